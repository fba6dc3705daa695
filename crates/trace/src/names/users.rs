//! Names of users from `/etc/passwd` (`passwd(5)`).

use std::collections::HashMap;

/// Names by user id.
#[derive(Debug, Default)]
pub(super) struct Users {
    names: Option<HashMap<u32, String>>,
}

impl Users {
    /// The name, the number if there is none. The file is read once.
    pub(super) fn name(&mut self, uid: u32) -> &str {
        let names =
            self.names.get_or_insert_with(|| parse(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()));
        names.entry(uid).or_insert_with(|| uid.to_string())
    }
}

/// `name:password:uid:...`; the first line of a number counts.
fn parse(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok()));
        if let (Some(name), Some(uid)) = (name, uid) {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_file() {
        let names = parse("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n# no line\n\nabc:x:12:\n:x:-1:0\n");
        assert_eq!(names.get(&0).map(String::as_str), Some("root"));
        assert_eq!((names.get(&12).map(String::as_str), names.len()), (Some("abc"), 2));
        assert_eq!(Users::default().name(4_000_000_000), "4000000000");
    }
}

//! Which calls are traced: the words of `-e trace=`.

use std::collections::BTreeSet;

use skep_isa::syscalls::Arch;

use crate::table::{CLASSES, calls};

/// A set of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Numbers of the calls.
    pub numbers: BTreeSet<u32>,
    /// Whether calls that have no name are traced too.
    pub others: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { numbers: calls().keys().copied().collect(), others: true }
    }
}

/// Names that are so near to a wrong one that they may be meant.
fn near(name: &str) -> Option<&'static str> {
    let similar = |known: &&'static str| known.contains(name) || name.contains(known);
    let candidates = Arch::X86_64.syscalls().map(|row| row.1).filter(similar);
    let distance = |known: &&'static str| (!known.contains(name), known.len().abs_diff(name.len()));
    candidates.min_by_key(distance).filter(|_| name.len() > 2)
}

/// Calls without which it is not known what a descriptor stands for.
const OPENING: &[&str] = &["open", "openat", "close", "dup", "dup2", "dup3", "socket", "accept", "accept4", "pipe2"];

impl Selection {
    /// Adds the calls that open and close descriptors; gives those that were not there.
    pub fn follow_descriptors(&mut self) -> BTreeSet<u32> {
        let opening = OPENING.iter().filter_map(|name| Arch::X86_64.number(name));
        opening.filter(|number| self.numbers.insert(*number)).collect()
    }

    /// Reads `openat,%network,/regular-ish`, `!futex`, `all`, `none`.
    ///
    /// # Errors
    /// A sentence about the first word that means nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (negated, list) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut numbers = BTreeSet::new();
        let mut others = false;
        for word in list.split(',') {
            match word.trim() {
                "all" => {
                    numbers.extend(calls().keys());
                    others = true;
                }
                "none" => {}
                word => Self::word(word, &mut numbers)?,
            }
        }
        if negated {
            numbers = calls().keys().copied().filter(|number| !numbers.contains(number)).collect();
            others = !others;
        }
        Ok(Self { numbers, others })
    }

    fn word(word: &str, numbers: &mut BTreeSet<u32>) -> Result<(), String> {
        let (optional, word) = match word.strip_prefix('?') {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let before = numbers.len();
        if let Some(pattern) = word.strip_prefix('/') {
            let pattern = Pattern::parse(pattern)?;
            numbers.extend(calls().values().filter(|call| pattern.matches(call.name)).map(|call| call.number));
            if numbers.len() == before && !optional {
                return Err(format!("no system call matches `/{}`", pattern.text));
            }
            return Ok(());
        }
        let class = CLASSES.iter().find(|row| row.0 == word.strip_prefix('%').unwrap_or(word)).map(|row| row.1);
        let plain = calls().values().find(|call| call.name == word);
        match (class, plain) {
            // `stat` is a call, `%stat` a class.
            (_, Some(call)) if !word.starts_with('%') => {
                numbers.insert(call.number);
            }
            (Some(class), _) => {
                numbers.extend(calls().values().filter(|call| call.classes.contains(&class)).map(|call| call.number));
            }
            _ if optional => {}
            _ => match word.parse() {
                Ok(number) if calls().contains_key(&number) => {
                    numbers.insert(number);
                }
                _ => {
                    let hint = near(word).map_or(String::new(), |name| format!("; did you mean `{name}`?"));
                    return Err(format!("`{word}` is neither a system call nor a class{hint}"));
                }
            },
        }
        Ok(())
    }
}

/// A pattern as `-e trace=/PATTERN` takes it: `^`, `$`, `.`, `*`, `|` and plain characters.
#[derive(Debug)]
struct Pattern {
    text: String,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"_^$.*|".contains(*c)) {
            Some(wrong) => {
                Err(format!("`{wrong}` has no meaning in a pattern; there are ^ $ . * | and plain characters"))
            }
            None if text.is_empty() => Err("a pattern stands behind `/`".to_owned()),
            None => Ok(Self { text: text.to_owned() }),
        }
    }

    fn matches(&self, name: &str) -> bool {
        self.text.split('|').any(|one| {
            let (anchored, one) = one.strip_prefix('^').map_or((false, one), |rest| (true, rest));
            let starts = if anchored { 0..1 } else { 0..name.len() + 1 };
            starts.into_iter().any(|start| here(one.as_bytes(), &name.as_bytes()[start..]))
        })
    }
}

/// Whether a text begins with what a pattern without alternatives means. Names are short, so trying is cheap.
fn here(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => true,
        [b'$'] => text.is_empty(),
        [one, b'*', rest @ ..] => {
            let same = |byte: &u8| *one == b'.' || byte == one;
            let run = text.iter().take_while(|byte| same(byte)).count();
            (0..=run).any(|length| here(rest, &text[length..]))
        }
        [one, rest @ ..] => text.first().is_some_and(|byte| *one == b'.' || byte == one) && here(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        let selection = Selection::parse(text).unwrap();
        selection.numbers.iter().map(|number| calls()[number].name).collect()
    }

    #[test]
    fn words() {
        assert_eq!(names("openat,close"), ["close", "openat"]);
        assert_eq!(names("/^getr.*id$"), ["getresuid", "getresgid"]);
        assert!(names("%file").contains(&"openat") && !names("%file").contains(&"read"));
        assert!(names("desc").contains(&"read"));
        assert!(!names("!read").contains(&"read") && names("!read").contains(&"write"));
        assert_eq!(names("stat"), ["stat"]);
        assert!(names("%stat").contains(&"newfstatat"));
        assert_eq!(names("?nosuch,read"), ["read"]);
        let mut selection = Selection::parse("read,close").unwrap();
        let added = selection.follow_descriptors();
        assert!(added.len() == OPENING.len() - 1 && added.is_subset(&selection.numbers));
        assert!(Selection::parse("all").unwrap().others && !Selection::parse("!all").unwrap().others);
        let error = Selection::parse("opena").unwrap_err();
        assert!(error.contains("did you mean `openat`"), "{error}");
        assert!(Selection::parse("/a(").is_err() && Selection::parse("/").is_err() && Selection::parse("%x").is_err());
    }
}

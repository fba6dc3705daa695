//! Sets of domain names: suffixes, globs and exact names, compared without regard to case.

use super::name::Name;
use std::collections::HashSet;
use std::fmt;

/// A set of patterns for domain names.
///
/// | pattern | matches |
/// |---|---|
/// | `example.com` | the name and everything below it |
/// | `=example.com` | the name alone |
/// | `*.cdn.*` | whole names; `*` stands for any characters (dots too), `?` for one |
///
/// A dot at the end of a pattern does not matter.
///
/// ```
/// use skep_packet::dns::DomainSet;
/// let set = DomainSet::new(["example.com", "=one.net", "*.cdn.*"]).unwrap();
/// assert!(set.matches_text("WWW.Example.com"));
/// assert!(!set.matches_text("badexample.com"));
/// assert!(set.matches_text("one.net") && !set.matches_text("www.one.net"));
/// assert!(set.matches_text("a.cdn.org"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainSet {
    suffixes: HashSet<Box<[u8]>>,
    exact: HashSet<Box<[u8]>>,
    globs: Vec<Box<[u8]>>,
}

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainPatternError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it and what would be right.
    pub reason: &'static str,
}

impl fmt::Display for DomainPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "domain pattern {:?}: {}", self.pattern, self.reason)
    }
}

impl std::error::Error for DomainPatternError {}

impl DomainSet {
    /// A set of some patterns.
    ///
    /// # Errors
    /// [`DomainPatternError`] for the first pattern that cannot match any name.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, DomainPatternError> {
        let mut set = Self::default();
        for pattern in patterns {
            set.add(pattern.as_ref())?;
        }
        Ok(set)
    }

    /// Adds a pattern.
    ///
    /// # Errors
    /// [`DomainPatternError`] if it cannot match any name.
    pub fn add(&mut self, pattern: &str) -> Result<(), DomainPatternError> {
        let error = |reason| Err(DomainPatternError { pattern: pattern.to_owned(), reason });
        let (exact, name) = match pattern.strip_prefix('=') {
            Some(name) => (true, name),
            None => (false, pattern),
        };
        let bare = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if bare.is_empty() && !(exact && name == ".") {
            return error("it is empty; write a name such as example.com");
        }
        if !bare.is_ascii() {
            return error("names are ASCII on the wire; write the xn-- form of an international name");
        }
        if bare.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return error("it holds a blank or a control character");
        }
        // Every byte of a name may be escaped as four characters.
        if bare.len() > 4 * super::name::MOST_NAME {
            return error("it is longer than any domain name");
        }
        if bare.starts_with('.') || bare.contains("..") {
            return error("it has an empty label; write example.com, which covers the names below it too");
        }
        let bytes = if bare.is_empty() { b".".to_vec().into() } else { bare.into_bytes().into_boxed_slice() };
        if !exact && bytes.iter().any(|byte| matches!(byte, b'*' | b'?')) {
            self.globs.push(bytes);
        } else if exact {
            self.exact.insert(bytes);
        } else {
            self.suffixes.insert(bytes);
        }
        Ok(())
    }

    /// True if the set has no patterns (it then matches nothing).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.suffixes.is_empty() && self.exact.is_empty() && self.globs.is_empty()
    }

    /// True if a pattern matches the name. `scratch` is overwritten; passing the same one saves allocations.
    #[must_use]
    pub fn matches(&self, name: &Name<'_>, scratch: &mut Vec<u8>) -> bool {
        scratch.clear();
        name.write_lower(scratch);
        self.matches_lower(scratch)
    }

    /// True if a pattern matches the name, which is given as text with or without a dot at the end.
    #[must_use]
    pub fn matches_text(&self, name: &str) -> bool {
        let bare = if name == "." { name } else { name.strip_suffix('.').unwrap_or(name) };
        self.matches_lower(bare.to_ascii_lowercase().as_bytes())
    }

    fn matches_lower(&self, name: &[u8]) -> bool {
        if self.exact.contains(name) {
            return true;
        }
        if !self.suffixes.is_empty() && suffixes(name).any(|suffix| self.suffixes.contains(suffix)) {
            return true;
        }
        self.globs.iter().any(|glob| glob_matches(glob, name))
    }
}

/// The name and all names above it, the longest first. Escaped dots do not separate labels.
fn suffixes(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    let starts = name.iter().enumerate().filter_map(move |(at, byte)| {
        let separates = *byte == b'.' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        separates.then_some(at + 1)
    });
    std::iter::once(0).chain(starts).filter_map(move |start| name.get(start..))
}

/// Matches a glob in time proportional to the product of the lengths at worst.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    // Where to go back to: behind the last star, and the text position that it was tried with.
    let mut retry = None;
    loop {
        match (glob.get(g), text.get(t)) {
            (Some(b'*'), _) => {
                retry = Some((g + 1, t));
                g += 1;
            }
            (Some(b'?'), Some(_)) => (g, t) = (g + 1, t + 1),
            (Some(a), Some(b)) if a == b => (g, t) = (g + 1, t + 1),
            (None, None) => return true,
            _ => match retry {
                Some((after_star, from)) if from < text.len() => {
                    retry = Some((after_star, from + 1));
                    (g, t) = (after_star, from + 1);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::tests::wire;

    #[test]
    fn names_on_the_wire() {
        let set = DomainSet::new(["Foo.Bar.", "com"]).unwrap();
        let mut scratch = Vec::new();
        let mut matches = |name: &str| {
            let bytes = wire(name);
            set.matches(&Name::parse(&bytes, 0).unwrap().0, &mut scratch)
        };
        assert!(matches("FoO.bAr") && matches("www.foo.bar") && matches("a.b.com") && matches("com"));
        assert!(!matches("xfoo.bar") && !matches("bar") && !matches("comx") && !matches(""));
        // A dot within a label is not a separator.
        let tricky = b"\x08evil.com\x00";
        assert!(!set.matches(&Name::parse(tricky, 0).unwrap().0, &mut scratch));
    }

    #[test]
    fn globs_agree_with_a_plain_definition() {
        fn plain(glob: &[u8], text: &[u8]) -> bool {
            match (glob.split_first(), text.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) => (0..=text.len()).any(|n| plain(rest, &text[n..])),
                (Some((b'?', g)), Some((_, t))) => plain(g, t),
                (Some((a, g)), Some((b, t))) => a == b && plain(g, t),
                _ => false,
            }
        }
        skep_random::random_test(|u| {
            let glob: Vec<u8> =
                (0..u.int_in_range(0..=8)?).map(|_| u.choose(b"ab*?.").copied()).collect::<Result<_, _>>()?;
            let text: Vec<u8> =
                (0..u.int_in_range(0..=8)?).map(|_| u.choose(b"ab.").copied()).collect::<Result<_, _>>()?;
            assert_eq!(glob_matches(&glob, &text), plain(&glob, &text), "{glob:?} {text:?}");
            Ok(())
        })
        .budget_ms(200);
        let long = vec![b'a'; 255];
        assert!(!glob_matches(&b"*a".repeat(100).into_iter().chain(*b"b").collect::<Vec<_>>(), &long));
    }

    #[test]
    fn bad_patterns_say_what_would_be_right() {
        for bad in ["", "=", "a b", ".com", "a..b", "b\u{fc}cher.de", "\x1b"] {
            assert!(DomainSet::new([bad]).is_err(), "{bad:?}");
        }
        let error = DomainSet::new(["b\u{fc}cher.de"]).unwrap_err();
        assert!(error.to_string().contains("xn--"));
        assert!(DomainSet::new(["=."]).unwrap().matches_text("."));
        assert!(DomainSet::default().is_empty() && !DomainSet::default().matches_text("a"));
    }
}

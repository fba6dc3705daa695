//! Patterns of names: `*` stands for any letters, `?` for one, `[a-z]` for one of a set.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This byte.
    Byte(u8),
    /// Any byte.
    One,
    /// Any bytes.
    Many,
    /// A byte of these ranges, or of none of them.
    Set { ranges: Vec<(u8, u8)>, inverted: bool },
}

impl Pattern {
    /// Reads a pattern. A `[` without its `]` stands for itself; so does everything behind a backslash.
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'*' if parts.last() == Some(&Part::Many) => {}
                b'*' => parts.push(Part::Many),
                b'?' => parts.push(Part::One),
                b'\\' if !rest.is_empty() => {
                    parts.push(Part::Byte(rest[0]));
                    rest = &rest[1..];
                }
                b'[' => match set(rest) {
                    Some((part, after)) => {
                        parts.push(part);
                        rest = after;
                    }
                    None => parts.push(Part::Byte(byte)),
                },
                byte => parts.push(Part::Byte(byte)),
            }
        }
        Self { parts }
    }

    /// Whether the pattern is a plain name.
    pub fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Byte(_)))
    }

    /// Whether the whole name fits. Takes at most the product of the two lengths.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let (mut at, mut part) = (0, 0);
        // Where to go on when what follows the last `*` does not fit: it takes one byte more.
        let mut retry: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.parts.get(part) {
                Some(Part::Many) => {
                    retry = Some((part + 1, at));
                    part += 1;
                    continue;
                }
                Some(each) if each.takes(name[at]) => {
                    at += 1;
                    part += 1;
                    continue;
                }
                _ => {}
            }
            let Some((behind, from)) = retry else { return false };
            retry = Some((behind, from + 1));
            (part, at) = (behind, from + 1);
        }
        self.parts[part..].iter().all(|part| *part == Part::Many)
    }
}

impl Part {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::One => true,
            Self::Many => false,
            Self::Set { ranges, inverted } => {
                ranges.iter().any(|&(first, last)| (first..=last).contains(&byte)) != *inverted
            }
        }
    }
}

/// A set behind its `[`, and what follows its `]`.
fn set(text: &[u8]) -> Option<(Part, &[u8])> {
    let inverted = matches!(text.first(), Some(b'!' | b'^'));
    let text = &text[usize::from(inverted)..];
    // A `]` at the start is one of the set.
    let end = text.iter().skip(1).position(|&byte| byte == b']')? + 1;
    let mut inside = &text[..end];
    let mut ranges = Vec::new();
    while let Some((&first, after)) = inside.split_first() {
        match after {
            [b'-', last, after @ ..] => {
                ranges.push((first, *last));
                inside = after;
            }
            after => {
                ranges.push((first, first));
                inside = after;
            }
        }
    }
    Some((Part::Set { ranges, inverted }, &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns() {
        let fits = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        for (pattern, name) in [
            ("a", "a"),
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("tcp_*", "tcp_sendmsg"),
            ("*send*", "tcp_sendmsg"),
            ("a?c", "abc"),
            ("[a-c]x[!0-9]", "bxy"),
            ("[]]", "]"),
            ("a[", "a["),
            ("\\*", "*"),
            ("*a*b", "aabab"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "b"), ("", "a"), ("tcp_*", "udp_x"), ("a?c", "ac"), ("[a-c]", "d"), ("\\*", "x"), ("*a*b", "aaba")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(Pattern::new("abc").is_plain() && !Pattern::new("a*").is_plain());
        // Without a limit on steps this would take for ever.
        assert!(!fits(&"*a".repeat(200), &format!("{}b", "a".repeat(5000))));
    }
}

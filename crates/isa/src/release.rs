//! Releases of the Linux kernel, the unit in which the tables say when something appeared.

use std::fmt;

/// A release such as 5.10, without its patch level. Releases compare in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Release {
    /// First number.
    pub major: u8,
    /// Second number.
    pub minor: u8,
}

impl Release {
    /// The release `major.minor`.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// Reads the start of `uname -r`, for example `6.1.0-18-amd64`; `None` if it does not start with two numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, rest) = text.split_once('.')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major: major.parse().ok()?, minor: rest.get(..end)?.parse().ok()? })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_uname() {
        assert_eq!(Release::parse("6.1.0-18-amd64"), Some(Release::new(6, 1)));
        assert_eq!(Release::parse("5.10"), Some(Release::new(5, 10)));
        assert_eq!(Release::parse("6.18-rc2"), Some(Release::new(6, 18)));
        assert_eq!(Release::parse("six"), None);
        assert!(Release::new(5, 10) > Release::new(5, 9));
        assert_eq!(Release::new(5, 10).to_string(), "5.10");
    }
}

//! Sets of named numbers: flags, and values of which one is meant.

use std::fmt::Write as _;

use super::{sets_fs, sets_ioctl, sets_ipc, sets_kernel, sets_main, sets_net, sets_options, sets_process};
use crate::decode::text::hex;

/// Names of numbers.
#[derive(Debug)]
pub struct Set {
    /// By which rows of calls refer to it.
    pub name: &'static str,
    /// What is said about numbers without a name; nothing if it is empty.
    pub unknown: &'static str,
    /// Numbers and names, in the order in which they are printed.
    pub rows: &'static [(u64, &'static str)],
}

/// The set with a name.
pub fn find(name: &str) -> Option<&'static Set> {
    Set::all().find(|set| set.name == name)
}

impl Set {
    /// Every set.
    pub fn all() -> impl Iterator<Item = &'static Set> {
        [
            sets_main::SETS,
            sets_net::SETS,
            sets_options::SETS,
            sets_ioctl::SETS,
            sets_kernel::SETS,
            sets_fs::SETS,
            sets_ipc::SETS,
            sets_process::SETS,
        ]
        .into_iter()
        .flatten()
    }

    /// The name of a number.
    pub fn name_of(&self, value: u64) -> Option<&'static str> {
        self.rows.iter().find(|row| row.0 == value).map(|row| row.1)
    }

    /// Writes the one that is meant.
    pub fn value(&self, value: u64, out: &mut String) {
        match self.name_of(value) {
            Some(name) => out.push_str(name),
            None => self.unnamed(value, out),
        }
    }

    /// Writes flags with `|` between them, the rest as a number.
    pub fn flags(&self, value: u64, out: &mut String) {
        let rest = self.some_flags(value, out, "");
        if value == 0 {
            out.push_str(self.name_of(0).unwrap_or("0"));
        } else if rest == value {
            self.unnamed(value, out);
        } else if rest != 0 {
            let _ = write!(out, "|{rest:#x}");
        }
    }

    /// Writes a number that has no name, with a remark that says so.
    fn unnamed(&self, value: u64, out: &mut String) {
        hex(value, out);
        if !self.unknown.is_empty() {
            // Writing to a string succeeds.
            let _ = write!(out, " /* {} */", self.unknown);
        }
    }

    /// Writes flags that have names, and the rest as a number, behind something that is there already.
    pub fn more_flags(&self, value: u64, out: &mut String) {
        let rest = self.some_flags(value, out, "|");
        if rest != 0 {
            let _ = write!(out, "|{rest:#x}");
        }
    }

    /// Writes flags that have names behind something that is there already; gives the rest.
    pub fn some_flags(&self, value: u64, out: &mut String, before: &str) -> u64 {
        let (mut rest, mut separator) = (value, before);
        for &(bits, name) in self.rows {
            if bits != 0 && rest & bits == bits {
                out.push_str(separator);
                out.push_str(name);
                separator = "|";
                rest &= !bits;
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_values() {
        let text = |set: &str, value, flags: bool| {
            let (set, mut out) = (find(set).unwrap(), String::new());
            if flags {
                set.flags(value, &mut out)
            } else {
                set.value(value, &mut out)
            }
            out
        };
        assert_eq!(text("prot", 3, true), "PROT_READ|PROT_WRITE");
        assert_eq!(text("prot", 0, true), "PROT_NONE");
        assert_eq!(text("prot", 0x41, true), "PROT_READ|0x40");
        assert_eq!(text("prot", 0x40, true), "0x40 /* PROT_??? */");
        assert_eq!(text("whence", 2, false), "SEEK_END");
        assert_eq!(text("whence", 9, false), "0x9 /* SEEK_??? */");
        assert_eq!(text("epoll_ctl", 0, false), "0 /* EPOLL_CTL_??? */");
        assert_eq!(text("memfd_secret", 3, true), "0x3");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Set::all().map(|set| set.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(find("nosuch").is_none());
    }
}

//! Stacks of user programs (`-k`): which file an address belongs to, and how far into it.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::decode::text::Bytes;

/// A part of a file in the memory of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    path: String,
}

/// What is mapped where.
#[derive(Debug, Default)]
pub struct Stacks {
    processes: HashMap<u32, Vec<Mapping>>,
}

/// The lines of `/proc/PID/maps`.
fn parse(text: &str) -> Vec<Mapping> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let offset = fields.nth(1)?;
        let path = fields.nth(2).unwrap_or_default().to_owned();
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Mapping { start: number(start)?, end: number(end)?, offset: number(offset)?, path })
    };
    text.lines().filter_map(line).collect()
}

impl Stacks {
    /// Forgets a process.
    pub fn forget(&mut self, process: u32) {
        self.processes.remove(&process);
    }

    fn find(&mut self, process: u32, address: u64) -> Option<&Mapping> {
        let inside = |mapping: &Mapping| (mapping.start..mapping.end).contains(&address);
        let known = self.processes.get(&process).is_some_and(|list| list.iter().any(inside));
        if !known {
            let text = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
            self.processes.insert(process, parse(&text));
        }
        self.processes.get(&process)?.iter().find(|mapping| inside(mapping))
    }

    /// Writes one line for each address.
    pub fn write(&mut self, process: u32, bytes: &[u8], out: &mut String) {
        for at in (0..bytes.len() / 8 * 8).step_by(8) {
            let address = Bytes(bytes).u64(at);
            if address == 0 {
                break;
            }
            let _ = match self.find(process, address) {
                Some(mapping) if !mapping.path.is_empty() => {
                    let offset = address - mapping.start + mapping.offset;
                    writeln!(out, " > {}(+{offset:#x}) [{address:#x}]", mapping.path)
                }
                _ => writeln!(out, " > unknown [{address:#x}]"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let text = "1000-3000 r-xp 00002000 fe:00 12   /bin/a\nbad\n5000-6000 rw-p 00000000 00:00 0\n";
        let list = parse(text);
        assert_eq!(list[0], Mapping { start: 0x1000, end: 0x3000, offset: 0x2000, path: "/bin/a".into() });
        assert_eq!((list.len(), list[1].path.as_str()), (2, ""));
        let mut stacks = Stacks { processes: HashMap::from([(1, list)]) };
        let mut out = String::new();
        stacks.write(1, &[0x1100_u64.to_ne_bytes(), [0; 8]].concat(), &mut out);
        assert_eq!(out, " > /bin/a(+0x2100) [0x1100]\n");
    }
}

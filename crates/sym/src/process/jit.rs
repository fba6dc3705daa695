//! Functions that were compiled at run time: `/tmp/perf-PID.map`, lines of start, size (both hexadecimal) and name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// Most bytes of a map that are read.
const MOST: u64 = 256 << 20;
/// `O_NONBLOCK` (open(2)): a pipe in the place of the map does not stop us.
const NO_WAIT: i32 = 0o4000;

/// The map of a process.
#[derive(Debug)]
pub(super) struct JitMap {
    path: PathBuf,
    shown: String,
    file: Option<File>,
    read: u64,
    /// End and name by start.
    functions: BTreeMap<u64, (u64, String)>,
}

impl JitMap {
    /// The map of a process that lives: by its number in its own namespace, below its own root.
    pub(super) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().last());
        let shown = format!("/tmp/perf-{}.map", inner.unwrap_or(&pid.to_string()));
        let path = PathBuf::from(format!("/proc/{pid}/root{shown}"));
        let mut map = Self { path, shown, file: None, read: 0, functions: BTreeMap::new() };
        map.open(pid);
        map
    }

    /// Opens it, if it belongs to the user of the process: in `/tmp` anybody may write.
    fn open(&mut self, pid: u32) {
        let Ok(owner) = fs::metadata(format!("/proc/{pid}")) else { return };
        let ours = |facts: &fs::Metadata| facts.is_file() && (facts.uid() == owner.uid() || facts.uid() == 0);
        let opened = fs::OpenOptions::new().read(true).custom_flags(NO_WAIT).open(&self.path).ok();
        self.file = opened.filter(|file| file.metadata().is_ok_and(|facts| ours(&facts)));
    }

    /// The function at an address: name, distance from its start, path of the map.
    pub(super) fn find(&mut self, pid: u32, address: u64) -> Option<(&str, u64, &str)> {
        if !self.has(address) {
            if self.file.is_none() {
                self.open(pid);
            }
            self.refresh();
        }
        let (start, (end, name)) = self.functions.range(..=address).next_back()?;
        (address < *end).then_some((name.as_str(), address - start, self.shown.as_str()))
    }

    fn has(&self, address: u64) -> bool {
        self.functions.range(..=address).next_back().is_some_and(|(_, (end, _))| address < *end)
    }

    /// Reads what was appended.
    fn refresh(&mut self) {
        let Some(file) = &mut self.file else { return };
        let length = file.metadata().map_or(0, |facts| facts.len());
        if length <= self.read || self.read > MOST {
            return;
        }
        let mut bytes = Vec::new();
        if file.take(MOST).read_to_end(&mut bytes).is_err() {
            return;
        }
        self.read += bytes.len() as u64;
        self.take_in(&String::from_utf8_lossy(&bytes));
    }

    /// Later lines replace what they overlap: code is freed and its room used again.
    fn take_in(&mut self, text: &str) {
        for line in text.lines() {
            let Some((start, end, name)) = function(line) else { continue };
            let overlaps = |(at, (until, _)): (&u64, &(u64, String))| (*until > start && *at < end).then_some(*at);
            while let Some(old) = self.functions.range(..end).next_back().and_then(overlaps) {
                self.functions.remove(&old);
            }
            self.functions.insert(start, (end, name.to_owned()));
        }
    }
}

/// A line: first address, address behind the last, name.
fn function(line: &str) -> Option<(u64, u64, &str)> {
    let (start, rest) = line.split_once(' ')?;
    let (size, name) = rest.split_once(' ')?;
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let start = number(start)?;
    let end = start.checked_add(number(size)?)?;
    (end > start && !name.is_empty()).then_some((start, end, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_replace_what_they_overlap() {
        let mut map = JitMap {
            path: "/no/such/file".into(),
            shown: "map".to_owned(),
            file: None,
            read: 0,
            functions: BTreeMap::new(),
        };
        map.take_in("1000 10 first\n1010 10 second one\nx y z\n1008 4 third\n\n0x2000 0x10 fourth\n3000 0 none\n");
        assert_eq!(map.find(1, 0x1009), Some(("third", 1, "map")));
        assert_eq!(map.find(1, 0x1001), None, "the first one was replaced");
        assert_eq!(map.find(1, 0x101f), Some(("second one", 0xf, "map")));
        assert_eq!(map.find(1, 0x2000), Some(("fourth", 0, "map")));
        assert_eq!(map.find(1, 0x3000), None);
    }
}

//! The installed tcpdump as the judge: what it compiles and which packets it keeps.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use skep_isa::classic::{Insn, parse_decimal};
use skep_proto::LinkType;
use tempfile::{NamedTempFile, TempDir};

use crate::TestPacket;
use crate::independent::Format;

/// The snapshot length in the recordings, which accepting programs return.
pub const SNAPLEN: u32 = 262_144;

/// A tcpdump that can be run.
#[derive(Debug)]
pub struct Tcpdump {
    version: String,
    directory: TempDir,
}

/// Packets of one link type in a capture file, written once and read by many runs of tcpdump.
#[derive(Debug)]
pub struct Recording {
    link: LinkType,
    count: usize,
    file: NamedTempFile,
}

impl Recording {
    /// Writes the packets to a temporary file; the index of each is coded in its time stamp.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new(link: LinkType, packets: &[TestPacket]) -> io::Result<Self> {
        let mut file = tempfile::Builder::new().prefix("skep-").suffix(".pcap").tempfile()?;
        file.write_all(&pcap(link, packets))?;
        Ok(Self { link, count: packets.len(), file })
    }

    /// The link type of the file.
    #[must_use]
    pub const fn link(&self) -> LinkType {
        self.link
    }

    /// The number of packets.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True if there are no packets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Where the file is; it vanishes when the recording is dropped.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// A little-endian pcap file with microsecond stamps; packet number `i` has the time `i` microseconds.
#[must_use]
pub fn pcap(link: LinkType, packets: &[TestPacket]) -> Vec<u8> {
    let mut file = Vec::with_capacity(24 + packets.len() * 128);
    for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, SNAPLEN, u32::from(link.0)] {
        file.extend(word.to_le_bytes());
    }
    for (index, packet) in packets.iter().enumerate() {
        let header = [index / 1_000_000, index % 1_000_000, packet.data.len(), packet.orig_len as usize];
        header.iter().for_each(|word| file.extend((*word as u32).to_le_bytes()));
        file.extend_from_slice(&packet.data);
    }
    file
}

impl Tcpdump {
    /// The tcpdump on the search path, `None` if there is none or it does not work.
    #[must_use]
    pub fn find() -> Option<Self> {
        let output = Command::new("tcpdump").arg("--version").output().ok()?;
        let said = [output.stdout, output.stderr].concat();
        let version = String::from_utf8_lossy(&said).lines().take(2).collect::<Vec<_>>().join(", ");
        let directory = tempfile::Builder::new().prefix("skep-tcpdump-").tempdir().ok()?;
        version.contains("libpcap").then_some(Self { version, directory })
    }

    /// The tcpdump on the search path, or a line that says that the test is skipped.
    ///
    /// # Panics
    /// If the environment has `SKEP_REQUIRE_TCPDUMP=1` and there is no tcpdump.
    #[must_use]
    pub fn find_or_skip() -> Option<Self> {
        let found = Self::find();
        if found.is_none() {
            let required = std::env::var_os("SKEP_REQUIRE_TCPDUMP").is_some_and(|value| value == "1");
            assert!(!required, "tcpdump is required but not installed");
            println!("SKIPPED: tcpdump is not installed");
        }
        found
    }

    /// What it says about its release and that of libpcap.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// True for libpcap 1.10, whose messages, padding and meaning differ in places from 1.11.
    #[must_use]
    pub fn is_libpcap_1_10(&self) -> bool {
        self.version.contains("libpcap version 1.10")
    }

    /// The printed program as for a capture that is about to start (`-y`). For link types that `-y` does not take,
    /// the program for an empty file.
    ///
    /// # Errors
    /// What tcpdump says about the expression, without its name in front.
    pub fn text(&self, expr: &str, link: LinkType, format: Format, optimise: bool) -> Result<String, String> {
        match link.info().filter(|row| row.in_libpcap_1_10) {
            Some(row) => self.print(&["-y", row.name], expr, format, optimise),
            None => self.text_for_file(expr, link, format, optimise),
        }
    }

    /// The printed program as for reading a recording (`-r`): differs for `inbound`, `ifindex` and the like.
    ///
    /// # Errors
    /// What tcpdump says about the expression, without its name in front.
    pub fn text_for_file(&self, expr: &str, link: LinkType, format: Format, optimise: bool) -> Result<String, String> {
        let path = self.empty_file(link).map_err(|error| format!("cannot write an empty recording: {error}"))?;
        let path = path.to_str().ok_or("the directory for temporary files has no UTF-8 name")?;
        self.print(&["-r", path], expr, format, optimise)
    }

    /// The program for a capture, see [`Tcpdump::text`].
    ///
    /// # Errors
    /// What tcpdump says about the expression, without its name in front.
    pub fn compile(&self, expr: &str, link: LinkType, optimise: bool) -> Result<Vec<Insn>, String> {
        let text = self.text(expr, link, Format::Decimal, optimise)?;
        parse_decimal(&text).map_err(|error| error.to_string())
    }

    /// The program for a recording, see [`Tcpdump::text_for_file`].
    ///
    /// # Errors
    /// What tcpdump says about the expression, without its name in front.
    pub fn compile_for_file(&self, expr: &str, link: LinkType, optimise: bool) -> Result<Vec<Insn>, String> {
        let text = self.text_for_file(expr, link, Format::Decimal, optimise)?;
        parse_decimal(&text).map_err(|error| error.to_string())
    }

    /// Which packets of a recording `tcpdump -O` keeps.
    ///
    /// # Errors
    /// What tcpdump says about the expression, without its name in front.
    pub fn verdicts(&self, expr: &str, recording: &Recording) -> Result<Vec<bool>, String> {
        let output = Command::new("tcpdump")
            .args(["-n", "-O", "-w", "-", "-r"])
            .arg(recording.path())
            .args(["--", expr])
            .output()
            .map_err(|error| format!("cannot run tcpdump: {error}"))?;
        if !output.status.success() {
            return Err(complaint(&output.stderr));
        }
        kept(&output.stdout, recording.len()).ok_or_else(|| "tcpdump wrote a file that cannot be read".to_owned())
    }

    fn print(&self, input: &[&str], expr: &str, format: Format, optimise: bool) -> Result<String, String> {
        let mut command = Command::new("tcpdump");
        command.arg("-n").args(input).arg(format.option());
        if !optimise {
            command.arg("-O");
        }
        let output = command.args(["--", expr]).output().map_err(|error| format!("cannot run tcpdump: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(complaint(&output.stderr))
        }
    }

    /// The path of a recording without packets, written when first asked for.
    fn empty_file(&self, link: LinkType) -> io::Result<PathBuf> {
        let path = self.directory.path().join(format!("empty-{}.pcap", link.0));
        if !path.exists() {
            // Another thread may do the same: each writes its own file and then renames it.
            let mut file = NamedTempFile::new_in(self.directory.path())?;
            file.write_all(&pcap(link, &[]))?;
            file.persist(&path).map_err(|error| error.error)?;
        }
        Ok(path)
    }
}

/// The error message among what tcpdump writes to standard error.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rfind(|line| line.starts_with("tcpdump: ")).or_else(|| text.lines().last());
    line.unwrap_or("tcpdump failed without a word").trim_start_matches("tcpdump: ").to_owned()
}

/// The indices in a file that [`pcap`] has numbered, as one verdict per packet.
fn kept(file: &[u8], count: usize) -> Option<Vec<bool>> {
    let mut verdicts = vec![false; count];
    let mut rest = file.get(24..)?;
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    while !rest.is_empty() {
        let index = word(rest, 0)? * 1_000_000 + word(rest, 4)?;
        *verdicts.get_mut(index)? = true;
        rest = rest.get(16 + word(rest, 8)?..)?;
    }
    Some(verdicts)
}

/// Applies `work` to every item on `threads` threads and returns the results in order.
///
/// # Panics
/// If `work` panics.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_results_keep_their_order() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(in_parallel(&items, 2, |item| item * 2), (0..100).map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn programs_and_complaints_come_from_tcpdump() {
        let Some(tcpdump) = Tcpdump::find_or_skip() else { return };
        let program = tcpdump.compile("ip", LinkType::EN10MB, true).unwrap();
        assert_eq!(program.len(), 4);
        assert_eq!(program[0], Insn { code: 0x28, jt: 0, jf: 0, k: 12 });
        assert_eq!(tcpdump.compile_for_file("ip", LinkType::EN10MB, true).unwrap(), program);
        assert!(tcpdump.compile("ip ip", LinkType::EN10MB, true).unwrap_err().contains("syntax error"));
        // An expression is never taken for an option.
        assert!(tcpdump.compile("-ip[0] = 1", LinkType::EN10MB, true).is_ok());
    }

    #[test]
    fn verdicts_tell_the_packets_apart() {
        let Some(tcpdump) = Tcpdump::find_or_skip() else { return };
        let packet = |kind: u8, length: usize| {
            let mut data = vec![0; length];
            if length > 13 {
                (data[12], data[13]) = (8, kind);
            }
            TestPacket { orig_len: 60, data }
        };
        let list = [packet(0, 60), packet(6, 60), packet(0, 13), packet(0, 14)];
        let recording = Recording::new(LinkType::EN10MB, &list).unwrap();
        assert_eq!(tcpdump.verdicts("ip", &recording).unwrap(), [true, false, false, true]);
        assert_eq!(tcpdump.verdicts("", &recording).unwrap(), [true; 4]);
        assert!(tcpdump.verdicts("port 70000", &recording).unwrap_err().contains("70000"));
    }
}

//! Capture files that `skboutput` writes: the classic format (pcap) with nanoseconds, Ethernet.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use skep_lang_script::plan::PacketRecord;

use crate::value::{half, word};

/// Magic number of files with nanoseconds (draft-ietf-opsawg-pcap, 4).
const MAGIC: u32 = 0xa1b2_3c4d;
/// Version of the format.
const VERSION: (u16, u16) = (2, 4);
/// Most bytes of a packet.
const SNAPLEN: u32 = 262_144;
/// `LINKTYPE_ETHERNET`
const ETHERNET: u32 = 1;
/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;

/// The files that were opened; `None` for one that cannot be written.
#[derive(Debug, Default)]
pub(super) struct Captures(HashMap<Arc<str>, Option<File>>);

impl Captures {
    /// Writes the packet of a record to a file, which is created for the first one. `wall` is what clocks on the wall show
    /// more than the boot clock. Gives what is wrong when that is new.
    pub(super) fn add(&mut self, name: &Arc<str>, record: &[u8], wall: i64) -> Option<String> {
        let problem = |error: &io::Error| format!("cannot write the packets to '{name}': {}", error.kind());
        let mut first = None;
        let file = self.0.entry(name.clone()).or_insert_with(|| match create(name) {
            Ok(file) => Some(file),
            Err(error) => {
                first = Some(problem(&error));
                None
            }
        });
        if let Some(open) = file
            && let Err(error) = packet(record, wall).map_or(Ok(()), |bytes| open.write_all(&bytes))
        {
            first = Some(problem(&error));
            *file = None;
        }
        first
    }
}

fn create(name: &str) -> io::Result<File> {
    let mut file = File::create(name)?;
    let mut head = MAGIC.to_ne_bytes().to_vec();
    head.extend_from_slice(&VERSION.0.to_ne_bytes());
    head.extend_from_slice(&VERSION.1.to_ne_bytes());
    for number in [0, 0, SNAPLEN, ETHERNET] {
        head.extend_from_slice(&number.to_ne_bytes());
    }
    file.write_all(&head)?;
    Ok(file)
}

/// A packet with its head, written at once so that readers see whole ones.
fn packet(record: &[u8], wall: i64) -> Option<Vec<u8>> {
    let time = i128::from(word(record, PacketRecord::TIME)?) + i128::from(wall);
    let (len, whole) = (half(record, PacketRecord::LEN)?, half(record, PacketRecord::WHOLE)?);
    let start = PacketRecord::BYTES as usize;
    let bytes = record.get(start..start.checked_add(len as usize)?)?;
    let seconds = u32::try_from(time.div_euclid(SECOND)).unwrap_or(0);
    let rest = u32::try_from(time.rem_euclid(SECOND)).unwrap_or(0);
    let mut packet: Vec<u8> = [seconds, rest, len, whole].iter().flat_map(|number| number.to_ne_bytes()).collect();
    packet.extend_from_slice(bytes);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_their_time_and_lengths() {
        let directory = tempfile::tempdir().unwrap();
        let name: Arc<str> = directory.path().join("a.pcap").display().to_string().into();
        let mut record = vec![0; PacketRecord::size(8) as usize];
        record[8..16].copy_from_slice(&1_500_000_000u64.to_ne_bytes());
        record[16..20].copy_from_slice(&60u32.to_ne_bytes());
        record[20..24].copy_from_slice(&3u32.to_ne_bytes());
        record[24..27].copy_from_slice(b"abc");
        let mut captures = Captures::default();
        for _ in 0..2 {
            assert_eq!(captures.add(&name, &record, SECOND as i64), None);
        }
        let bytes = std::fs::read(&*name).unwrap();
        let numbers = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((bytes.len(), numbers(0), numbers(20)), (24 + 2 * 19, MAGIC, ETHERNET));
        assert_eq!([24, 28, 32, 36].map(numbers), [2, 500_000_000, 3, 60]);
        assert_eq!(&bytes[40..43], b"abc");
        // Damaged records write nothing; a file that cannot be written is reported once.
        assert_eq!(captures.add(&name, &record[..25], 0), None);
        let bad: Arc<str> = "/nowhere/a.pcap".into();
        assert!(captures.add(&bad, &record, 0).unwrap().contains("/nowhere/a.pcap"));
        assert_eq!(captures.add(&bad, &record, 0), None);
    }
}

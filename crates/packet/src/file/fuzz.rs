//! The property that any bytes at all, given to a reader, must satisfy. Used by tests and by the fuzzer.

use std::io::Read;

use super::{FileError, Packet, Reader};

/// Copies of what a packet held, to compare two ways of reading.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    ts: i64,
    data: Vec<u8>,
    orig_len: u32,
    interface: u32,
    file_offset: u64,
}

impl Seen {
    fn new(packet: &Packet<'_>) -> Self {
        let Packet { ts, data, orig_len, interface, file_offset, .. } = *packet;
        Self { ts: ts.0, data: data.to_vec(), orig_len, interface, file_offset }
    }
}

/// Reads `data` as a capture file whole, in batches, and in small pieces: all must agree, end, and stay in bounds.
///
/// # Panics
/// If the property does not hold.
pub fn readers(data: &[u8]) {
    const PLENTY: usize = 100_000;
    let whole = drain(data.to_vec(), usize::MAX, false, PLENTY);
    let batches = drain(data.to_vec(), usize::MAX, true, PLENTY);
    let pieces = drain(data.to_vec(), 1 + data.len() % 7, false, PLENTY);
    assert_eq!(whole, batches, "batches and single packets differ");
    assert_eq!(whole, pieces, "the size of reads matters");
    let compressed = matches!(data, [0x1f, 0x8b, ..] | [0x28, 0xb5, ..] | [_, 0x2a, 0x4d, 0x18, ..] | [4, 0x22, ..]);
    let total: usize = whole.0.iter().map(|seen| seen.data.len()).sum();
    assert!(compressed || total <= data.len(), "{total} bytes from {}", data.len());
}

/// All packets and how it ended.
fn drain(data: Vec<u8>, piece: usize, batches: bool, most: usize) -> (Vec<Seen>, Option<String>) {
    let mut packets = Vec::new();
    let input = Pieces { data, at: 0, piece };
    let mut reader = match Reader::from_stream(input, "fuzz") {
        Ok(reader) => reader,
        Err(error) => return (packets, Some(error.to_string())),
    };
    let result = if batches {
        drain_batches(&mut reader, &mut packets, most)
    } else {
        drain_one_by_one(&mut reader, &mut packets, most)
    };
    if let Err(error) = &result {
        assert_eq!(error.packets, packets.len() as u64, "{error}");
        assert!(matches!(reader.next(), Ok(None)), "a reader goes on after {error}");
    }
    (packets, result.err().map(|error| error.to_string()))
}

fn drain_one_by_one(reader: &mut Reader, packets: &mut Vec<Seen>, most: usize) -> Result<(), FileError> {
    while packets.len() < most
        && let Some(packet) = reader.next()?
    {
        packets.push(Seen::new(&packet));
    }
    Ok(())
}

fn drain_batches(reader: &mut Reader, packets: &mut Vec<Seen>, most: usize) -> Result<(), FileError> {
    while let Some(mut batch) = reader.next_batch()? {
        while let Some(packet) = batch.next()? {
            if packets.len() == most {
                return Ok(());
            }
            packets.push(Seen::new(&packet));
        }
    }
    Ok(())
}

/// A stream that gives a few bytes at a time.
struct Pieces {
    data: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.piece).min(self.data.len() - self.at);
        buffer[..count].copy_from_slice(&self.data[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

//! Decompression on a thread of its own must not be visible: the same packets, the same errors, an end at any time.

mod support;

use std::fs::OpenOptions;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use skep_packet::Reader;
use support::*;

type Compressor = fn(&[u8]) -> Vec<u8>;

const COMPRESSORS: [(&str, Compressor); 3] = [("gzip", gzip), ("lz4", lz4), ("zstd", zstd)];

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn lz4(data: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Several pieces' worth of packets that do not compress well. Some need more than the room in front of a piece.
fn packets() -> Vec<Owned> {
    let mut state = 1u32;
    let mut bytes = |len: usize| -> Vec<u8> {
        let word = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        std::iter::repeat_with(word).take(len).collect()
    };
    (0..1500u32)
        .map(|i| {
            let len = if i % 250 == 249 { 200_000 } else { 60 + (i as usize * 37) % 1400 };
            Owned::new(i64::from(i) * 1000, &bytes(len))
        })
        .collect()
}

fn file() -> Vec<u8> {
    pcap(Order::Little, MICRO, (2, 4), &packets())
}

fn save(dir: &Path, data: &[u8]) -> PathBuf {
    let path = dir.join("f");
    std::fs::write(&path, data).unwrap();
    path
}

/// Reads a file by its name, and the same bytes as a stream, which is decompressed without a thread.
fn both(dir: &Path, data: &[u8]) -> (Vec<Owned>, Option<String>) {
    let path = save(dir, data);
    let (ahead, fault) = drain(&mut Reader::open(&path).unwrap());
    let name = path.to_str().unwrap();
    let (plain, expected) = drain(&mut Reader::from_stream(Cursor::new(data.to_vec()), name).unwrap());
    let fault = fault.map(|error| error.to_string());
    assert_eq!(fault, expected.map(|error| error.to_string()));
    assert!(ahead == plain, "{} packets and {}", ahead.len(), plain.len());
    (ahead, fault)
}

#[test]
fn whole_files() {
    let dir = tempfile::tempdir().unwrap();
    for (name, compress) in COMPRESSORS {
        let (got, fault) = both(dir.path(), &compress(&file()));
        assert!(got == packets() && fault.is_none(), "{name}: {} {fault:?}", got.len());
    }
}

#[test]
fn cut_and_damaged_files() {
    let dir = tempfile::tempdir().unwrap();
    for (name, compress) in COMPRESSORS {
        let data = compress(&file());
        for eighth in 1..8 {
            let (_, fault) = both(dir.path(), &data[..data.len() * eighth / 8]);
            assert!(fault.is_some(), "{name} cut at {eighth}/8");
        }
        // What is damaged here is the first record header of a second capture, seen long after decompression.
        let mut damaged = file();
        let good = damaged.len();
        damaged.extend([0xff; 40]);
        damaged.extend(file());
        let (got, fault) = both(dir.path(), &compress(&damaged));
        assert_eq!(got.len(), packets().len(), "{name}");
        assert!(fault.is_some_and(|text| text.contains(&format!("byte {good}"))), "{name}");
    }
    // Garbage between two members.
    let data = [gzip(&file()), vec![0x55; 100], gzip(&file())].concat();
    assert!(both(dir.path(), &data).1.is_some());
}

#[test]
fn a_reader_may_be_dropped_at_any_packet() {
    let dir = tempfile::tempdir().unwrap();
    for (_, compress) in COMPRESSORS {
        let path = save(dir.path(), &compress(&file()));
        for stop in [0, 1, 700, 900, 1400, 1500] {
            let mut reader = Reader::open(&path).unwrap();
            for _ in 0..stop {
                assert!(reader.next().unwrap().is_some());
            }
        }
    }
}

#[test]
fn a_file_may_grow_and_shrink_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (file(), file()[24..].to_vec());
    let path = save(dir.path(), &gzip(&first));
    let mut reader = Reader::open(&path).unwrap();
    assert!(reader.next().unwrap().is_some());
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&gzip(&second)).unwrap();
    let (got, error) = drain(&mut reader);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got.len(), 2 * packets().len() - 1);

    let mut reader = Reader::open(&path).unwrap();
    assert!(reader.next().unwrap().is_some());
    OpenOptions::new().write(true).open(&path).unwrap().set_len(1_000_000).unwrap();
    let (got, error) = drain(&mut reader);
    assert!(error.is_some() && !got.is_empty());
    assert!(reader.next().unwrap().is_none());
}

//! Reading capture files: every variant, every way to be cut off or damaged.

mod support;

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use skep_packet::file::{Compression, FileErrorKind, max_captured};
use skep_packet::{Direction, LinkType, Packet, Reader, Verdict, WriteOptions, Writer};
use support::*;

#[test]
fn every_pcap_variant_gives_the_same_packets() {
    for order in Order::BOTH {
        for magic in [MICRO, NANO, KUZNETZOV] {
            for minor in [0, 2, 3, 4] {
                let mut expected = sample();
                if magic == KUZNETZOV {
                    for (i, p) in expected.iter_mut().enumerate() {
                        p.direction = Some(if i % 2 == 0 { Direction::Outbound } else { Direction::Inbound });
                    }
                }
                let (got, error) = read_bytes(&pcap(order, magic, (2, minor), &expected));
                assert!(error.is_none(), "{order:?} {magic:x} 2.{minor}: {error:?}");
                assert_eq!(got, expected, "{order:?} {magic:x} 2.{minor}");
            }
        }
    }
}

#[test]
fn kuznetzov_records_name_the_interface() {
    let file = pcap(Order::Big, KUZNETZOV, (2, 4), &sample());
    let mut reader = Reader::from_stream(std::io::Cursor::new(file), "test").unwrap();
    assert_eq!(reader.next().unwrap().unwrap().ifindex, Some(7));
}

#[test]
fn pcapng_in_both_byte_orders() {
    for order in Order::BOTH {
        let mut expected = sample();
        expected[1].direction = Some(Direction::Inbound);
        expected[2].direction = Some(Direction::Outbound);
        let (got, error) = read_bytes(&pcapng(order, &expected));
        assert!(error.is_none(), "{error:?}");
        assert_eq!(got, expected);
    }
}

#[test]
fn pcapng_time_resolutions_and_offsets() {
    // if_tsresol, if_tsoffset, ticks, expected nanoseconds.
    let cases: [(Option<u8>, i64, u64, i64); 13] = [
        (None, 0, 1_500_000, 1_500_000_000),
        (Some(6), 0, 1_500_000, 1_500_000_000),
        (Some(9), 0, 1_500_000_001, 1_500_000_001),
        (Some(3), 0, 1_500, 1_500_000_000),
        (Some(0), 0, 7, 7_000_000_000),
        (Some(12), 0, 1_500_000_000_999, 1_500_000_000),
        (Some(0x80 | 10), 0, 1536, 1_500_000_000),
        (Some(0x80), 0, 3, 3_000_000_000),
        (Some(0xff), 0, u64::MAX, 0),
        (Some(0x7f), 0, u64::MAX, 0),
        (Some(9), 10, 5, 10_000_000_005),
        (Some(9), -10, 5, -9_999_999_995),
        (Some(0), i64::MAX, u64::MAX, i64::MAX),
    ];
    for order in Order::BOTH {
        for (resolution, offset, ticks, expected) in cases {
            let mut options = Vec::new();
            if let Some(code) = resolution {
                options.push(option(order, 9, &[code]));
            }
            if offset != 0 {
                options.push(option(order, 14, &order.u64(offset.cast_unsigned())));
            }
            let mut file = section(order);
            file.extend(interface(order, 1, 0, &options));
            file.extend(enhanced(order, 0, ticks, &Owned::new(0, b"x")));
            let (got, error) = read_bytes(&file);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(got[0].ts, expected, "{order:?} {resolution:?} {offset} {ticks}");
        }
    }
}

#[test]
fn pcapng_simple_and_obsolete_packet_blocks() {
    for order in Order::BOTH {
        let mut file = section(order);
        file.extend(interface(order, 101, 5, &[]));
        file.extend(interface(order, 113, 0, &[]));
        let mut simple = order.u32(9).to_vec();
        simple.extend(b"abcde");
        file.extend(block(order, 3, &simple));
        let mut packet = order.u16(1).to_vec();
        packet.extend(order.u16(0xffff));
        for word in [0, 42, 3, 8] {
            packet.extend(order.u32(word));
        }
        packet.extend(b"xyz\0");
        packet.extend(option(order, 2, &order.u32(2)));
        file.extend(block(order, 2, &packet));
        let (got, error) = read_bytes(&file);
        assert!(error.is_none(), "{error:?}");
        let first = Owned { orig_len: 9, link: LinkType::RAW, ..Owned::new(0, b"abcde") };
        let direction = Some(Direction::Outbound);
        let second = Owned { orig_len: 8, link: LinkType::LINUX_SLL, direction, ..Owned::new(42_000, b"xyz") };
        assert_eq!(got, [first, second]);
    }
}

#[test]
fn sections_may_change_byte_order_and_interfaces_are_listed_once() {
    let mut file = Vec::new();
    for order in [Order::Little, Order::Big, Order::Big] {
        file.extend(pcapng(order, &sample()[..2]));
    }
    let mut reader = Reader::from_stream(std::io::Cursor::new(file), "test").unwrap();
    assert_eq!(reader.interfaces()[0].name.as_deref(), Some("eth0"));
    let (got, error) = drain(&mut reader);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got.len(), 6);
    assert_eq!(reader.interfaces().len(), 1);
}

#[test]
fn large_blocks_without_packets_are_stepped_over() {
    let order = Order::Big;
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[]));
    file.extend(enhanced(order, 0, 1, &sample()[0]));
    // A decryption secrets block, larger than any buffer, after a packet and so inside a batch.
    file.extend(block(order, 10, &vec![0x55; 3 << 20]));
    file.extend(enhanced(order, 0, 2, &sample()[0]));
    let mut cut = file.clone();
    let (got, error) = read_bytes(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got.len(), 2);
    let mut reader = Reader::from_stream(std::io::Cursor::new(file), "test").unwrap();
    let mut count = 0;
    while let Some(mut batch) = reader.next_batch().unwrap() {
        while batch.next().unwrap().is_some() {
            count += 1;
        }
    }
    assert_eq!(count, 2);
    cut.truncate(1 << 20);
    let (got, error) = read_bytes(&cut);
    assert_eq!(got.len(), 1);
    assert!(matches!(error.unwrap().kind, FileErrorKind::Truncated { what: "the block", needed: 3_145_740, .. }));
}

/// Cuts a file after every byte. `ends` are the offsets where a file may end, with the packets before them.
fn check_every_cut(file: &[u8], ends: &[(usize, usize)]) {
    let first = ends[0].0;
    for cut in 0..=file.len() {
        let (got, error) = read_bytes(&file[..cut]);
        let expected = ends.iter().rev().find(|(at, _)| *at <= cut).map_or(0, |(_, packets)| *packets);
        assert_eq!(got.len(), expected, "cut at {cut}");
        let clean = ends.iter().any(|(at, _)| *at == cut);
        assert_eq!(error.is_none(), clean, "cut at {cut}: {error:?}");
        let Some(error) = error else { continue };
        match error.kind {
            FileErrorKind::NotACapture(_) => assert!(cut < 4),
            FileErrorKind::Truncated { offset, needed, found, .. } => {
                assert_eq!(offset + found, cut as u64, "cut at {cut}");
                assert!(needed > found && (cut < first || ends.iter().any(|(at, _)| *at as u64 == offset)), "{cut}");
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn pcap_cut_after_every_byte() {
    for magic in [MICRO, KUZNETZOV] {
        let header = if magic == KUZNETZOV { 24 } else { 16 };
        let packets = sample();
        let file = pcap(Order::Big, magic, (2, 4), &packets);
        let mut ends = vec![(24, 0)];
        for (i, p) in packets.iter().enumerate() {
            ends.push((ends[i].0 + header + p.data.len(), i + 1));
        }
        check_every_cut(&file, &ends);
    }
}

#[test]
fn pcapng_cut_after_every_byte() {
    let file = pcapng(Order::Big, &sample());
    let (mut at, mut packets, mut ends) = (0, 0, Vec::new());
    while at < file.len() {
        let kind = u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        packets += usize::from(kind == 6);
        at += u32::from_be_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize;
        ends.push((at, packets));
    }
    check_every_cut(&file, &ends);
}

/// The message for a file, which must have delivered `good` packets before.
#[track_caller]
fn complaint(file: &[u8], good: usize) -> String {
    let (got, error) = read_bytes(file);
    assert_eq!(got.len(), good);
    let text = error.expect("the file is damaged").to_string();
    assert!(!text.contains("os error"), "{text}");
    text
}

#[test]
fn damage_is_named_with_its_place() {
    let order = Order::Little;
    let good = pcap(order, MICRO, (2, 4), &sample()[..2]);
    let with = |tail: Vec<u8>| [good.clone(), tail].concat();
    let text = complaint(&with(pcap_record(order, 1, 2, u32::MAX, 60, b"abc")), 2);
    assert_eq!(
        text,
        "test is damaged at byte 130: the record claims 4294967295 captured bytes; EN10MB packets have at most 262144; \
         the 2 packets before it are good"
    );
    let text = complaint(&with(pcap_record(order, 1, 2, 60, 60, b"abc")), 2);
    assert_eq!(
        text,
        "test is cut off: the record at byte 130 needs 76 bytes, but only 19 are there; the 2 packets before it are good"
    );
    let text = complaint(b"\x7fELF\x02\x01\x01\x00 and so on", 0);
    assert!(text.contains("not a capture file: it begins with 7f 45 4c 46 02 01 01 00 (a program"), "{text}");
    assert!(complaint(b"", 0).contains("it is empty"));
    assert!(complaint(b"hello world", 0).contains("(text)"));
    assert!(complaint(&pcap_header(order, MICRO, (1, 2), 0, 1), 0).contains("pcap version 1.2"));

    let good = pcapng(order, &sample()[..1]);
    let with = |tail: Vec<u8>| [good.clone(), tail].concat();
    let mut odd = enhanced(order, 0, 1, &sample()[0]);
    odd[4] += 1;
    assert!(complaint(&with(odd.clone()), 1).contains("expected a multiple of 4, at least 32"));
    odd[4..8].copy_from_slice(&order.u32(0xffff_fff0));
    assert!(complaint(&with(odd), 1).contains("claims 4294967280 bytes"));
    let other = enhanced(order, 3, 1, &sample()[0]);
    assert!(complaint(&with(other), 1).contains("interface 3, but the section describes 1"));
    let mut tail = enhanced(order, 0, 1, &sample()[0]);
    let last = tail.len() - 4;
    tail[last] += 4;
    assert!(complaint(&with(tail), 1).contains("by its head"));
    let mut long = enhanced(order, 0, 1, &sample()[0]);
    long[20..24].copy_from_slice(&order.u32(5000));
    assert!(complaint(&with(long), 1).contains("claims 5000 captured bytes"));
    let mut option_long = enhanced(order, 0, 1, &sample()[0]);
    option_long[28 + 60 + 2] = 200;
    assert!(complaint(&with(option_long), 1).contains("option 1 claims 200 bytes"));
    let mut unknown = block(order, 99, b"abcdefgh");
    unknown[16] ^= 0xff;
    assert!(complaint(&with(unknown), 1).contains("by its head"));
    assert!(complaint(&with(block(order, 1, &[0; 4])), 1).contains("at least 20"));
}

#[test]
fn packets_longer_than_the_snapshot_length_are_cut_to_it() {
    let mut file = pcap_header(Order::Little, MICRO, (2, 4), 64, 1);
    file.extend(pcap_record(Order::Little, 1, 2, 100, 100, &[7; 100]));
    file.extend(pcap_record(Order::Little, 1, 2, 60, 60, &[8; 60]));
    let (got, error) = read_bytes(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!((got[0].data.len(), got[1].data.len()), (64, 60));
}

#[test]
fn link_numbers_of_linux_and_extra_bits_are_understood() {
    let file = pcap_header(Order::Little, MICRO, (2, 4), 0, 12 | 0x1400_0000);
    let reader = Reader::from_stream(std::io::Cursor::new(file), "test").unwrap();
    assert_eq!(reader.link(), LinkType::RAW);
    assert_eq!(reader.interfaces()[0].link_extra, 0x1400_0000);
    assert_eq!(reader.interfaces()[0].snaplen, max_captured(LinkType::RAW));
}

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

type Compressor = fn(&[u8]) -> Vec<u8>;

const COMPRESSORS: [(Compression, Compressor); 3] =
    [(Compression::Gzip, gzip), (Compression::Lz4, lz4), (Compression::Zstd, zstd)];

#[test]
fn compressed_files_of_one_and_several_members() {
    let packets = sample();
    for file in [pcap(Order::Big, NANO, (2, 4), &packets), pcapng(Order::Little, &packets)] {
        for (compression, compress) in COMPRESSORS {
            let (left, right) = file.split_at(file.len() / 2);
            for data in [compress(&file), [compress(left), compress(right)].concat()] {
                let mut reader = Reader::from_stream(std::io::Cursor::new(data), "test").unwrap();
                assert_eq!(reader.compression(), compression);
                let (got, error) = drain(&mut reader);
                assert!(error.is_none(), "{compression:?}: {error:?}");
                assert_eq!(got, packets, "{compression:?}");
            }
        }
    }
}

#[test]
fn zstd_skippable_frames_are_skipped() {
    let mut data = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    data.extend(zstd(&pcap(Order::Big, NANO, (2, 4), &sample())));
    let (got, error) = read_bytes(&data);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got, sample());
}

#[test]
fn a_cut_compressed_file_gives_what_is_there_and_one_error() {
    let packets: Vec<Owned> = (0..3000u32)
        .map(|i| Owned::new(i64::from(i), &i.wrapping_mul(2_654_435_761).to_le_bytes().repeat(30)))
        .collect();
    let file = pcap(Order::Little, NANO, (2, 4), &packets);
    for (compression, compress) in COMPRESSORS {
        let data = compress(&file);
        for cut in (10..data.len()).step_by(data.len() / 97) {
            let (got, error) = read_bytes(&data[..cut]);
            assert_eq!(got, packets[..got.len()], "{compression:?} cut at {cut} of {}", data.len());
            let error = error.unwrap_or_else(|| panic!("{compression:?} cut at {cut} of {}", data.len()));
            assert!(error.to_string().starts_with("test"), "{error}");
        }
        // Nearly everything is there, so nearly everything must come out. lz4 and zstd decode in blocks.
        let (got, _) = read_bytes(&data[..data.len() - 30]);
        let block = if compression == Compression::Gzip { 100 } else { 1100 };
        assert!(got.len() >= 3000 - block, "{compression:?} {}", got.len());
    }
}

#[test]
fn files_made_by_the_compression_programs() {
    let dir = tempfile::tempdir().unwrap();
    let packets: Vec<Owned> = (0..20_000u32).map(|i| Owned::new(i64::from(i) * 1000, &[i as u8; 90])).collect();
    let plain = dir.path().join("f.pcap");
    std::fs::write(&plain, pcap(Order::Little, MICRO, (2, 4), &packets)).unwrap();
    let name = plain.to_str().unwrap();
    let commands: [(&str, &[&str]); 5] = [
        ("gzip", &["-c", name]),
        ("zstd", &["-c", "-q", "-3", name]),
        ("zstd", &["-c", "-q", "-19", "--check", name]),
        ("lz4", &["-c", "-q", name]),
        ("lz4", &["-c", "-q", "-BD", "-9", name]),
    ];
    for (program, args) in commands {
        let Some(output) = tool(program, args) else { continue };
        let (got, error) = read_bytes(&output.stdout);
        assert!(error.is_none(), "{program} {args:?}: {error:?}");
        assert!(got == packets, "{program} {args:?}");
    }
}

#[test]
fn missing_files_and_directories() {
    let text = |path: &str| Reader::open(path).err().unwrap().to_string();
    assert_eq!(
        text("/nonexistent/x.pcap"),
        "cannot open /nonexistent/x.pcap: there is no such file or directory; check the spelling"
    );
    assert_eq!(text("/tmp"), "cannot open /tmp: it is a directory; name a file");
}

#[test]
fn packets_are_handed_over_until_it_is_enough() {
    let file = pcap(Order::Little, MICRO, (2, 4), &sample());
    let seen = |most: usize| {
        let mut reader = Reader::from_stream(std::io::Cursor::new(file.clone()), "memory").unwrap();
        let mut seen = 0;
        let mut look = |_: &Packet<'_>| {
            seen += 1;
            if seen == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        reader.each(&mut look).unwrap();
        seen
    };
    assert_eq!([seen(usize::MAX), seen(3)], [7, 3]);
}

/// Not a test of its own: the child of the next one, which gives it a capture as standard input.
#[test]
fn child_that_copies_standard_input_to_standard_output() {
    if std::env::var_os("SKEP_TEST_PIPE").is_none() {
        return;
    }
    let mut reader = Reader::open("-").unwrap();
    let mut writer = Writer::create("-", &WriteOptions::like(&reader)).unwrap();
    assert_eq!(writer.copy(&mut reader, |_| Verdict::Keep).unwrap(), 7);
    writer.finish().unwrap();
}

#[test]
fn a_dash_is_standard_input_and_output() {
    let file = pcap(if cfg!(target_endian = "little") { Order::Little } else { Order::Big }, NANO, (2, 4), &sample());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_copies_standard_input_to_standard_output"])
        .env("SKEP_TEST_PIPE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // Piece by piece, with the cut inside a record.
    input.write_all(&file[..100]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    input.write_all(&file[100..]).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    // The test harness of the child has its say before and after.
    let copy = output.stdout.windows(file.len()).any(|window| window == file);
    assert!(copy, "{}", String::from_utf8_lossy(&output.stdout));
}

/// Gives some bytes and is interrupted by signals from then on.
struct Interrupted(std::io::Cursor<Vec<u8>>);

impl Read for Interrupted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::ErrorKind::Interrupted.into()),
            count => Ok(count),
        }
    }
}

#[test]
fn a_signal_ends_a_live_stream_without_complaint() {
    let packets = sample();
    let mut file = pcap(Order::Little, MICRO, (2, 4), &packets);
    file.truncate(file.len() - 5);
    let mut reader = Reader::from_stream(Interrupted(std::io::Cursor::new(file)), "test").unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    reader.stop_on(Arc::clone(&flag));
    for _ in 1..packets.len() {
        assert!(reader.next().unwrap().is_some());
    }
    flag.store(true, Ordering::Relaxed);
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn progress_reaches_the_size_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.pcap.gz");
    let data = gzip(&pcap(Order::Little, MICRO, (2, 4), &sample()));
    std::fs::write(&path, &data).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    drain(&mut reader);
    assert_eq!(reader.progress().total, Some(data.len() as u64));
    assert_eq!(reader.progress().read, data.len() as u64);
    assert!(reader.file_id().is_some());
}

#[test]
fn any_bytes_at_all() {
    skep_random::random_test(|u| {
        let packets = sample();
        let order = Order::BOTH[u.choose_index(2)?];
        let mut file = match u.choose_index(7)? {
            0 => pcap_header(order, *u.choose(&[MICRO, NANO, KUZNETZOV])?, (2, 4), 64, 1),
            1 => pcap(order, KUZNETZOV, (2, 3), &packets),
            2 => pcapng(order, &packets),
            3 => section(order),
            4 => gzip(&pcapng(order, &packets)),
            5 => lz4(&pcapng(order, &packets)),
            _ => zstd(&pcap(order, MICRO, (2, 4), &packets)),
        };
        for _ in 0..u.int_in_range(0..=4)? {
            let at = u.choose_index(file.len())?;
            file[at] = u.arbitrary()?;
        }
        if u.ratio(1, 4)? {
            file.truncate(u.choose_index(file.len())?);
        }
        file.extend(u.bytes(u.len() / 2)?);
        skep_packet::file::fuzz::readers(&file);
        Ok(())
    })
    .budget_ms(1000);
}

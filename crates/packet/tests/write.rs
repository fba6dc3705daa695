//! Writing capture files: round trips, outputs that fail, series of files.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use skep_packet::file::Interface;
use skep_packet::write::{CopyError, Format, Precision, RotateClock, RotatingWriter, Rotation, WriteErrorKind, Wrote};
use skep_packet::{Direction, LinkType, Packet, Reader, Timestamp, Verdict, WriteOptions, Writer};
use support::*;

fn reader(bytes: &[u8]) -> Reader {
    Reader::from_stream(std::io::Cursor::new(bytes.to_vec()), "test").unwrap()
}

fn packet(owned: &Owned) -> Packet<'_> {
    let mut packet = Packet::new(Timestamp(owned.ts), &owned.data, owned.orig_len, owned.link);
    packet.direction = owned.direction;
    packet
}

fn native() -> Order {
    if cfg!(target_endian = "little") { Order::Little } else { Order::Big }
}

#[test]
fn every_format_reads_back_as_written() {
    let dir = tempfile::tempdir().unwrap();
    for (name, precision) in [("a.pcap", Precision::Micro), ("b.pcap", Precision::Nano), ("c.PcapNG", Precision::Micro)]
    {
        let path = dir.path().join(name);
        let mut packets = sample();
        let mut options = WriteOptions::new(LinkType::EN10MB);
        options.precision = precision;
        if precision == Precision::Nano {
            packets[3].ts += 1;
        }
        if name.ends_with("NG") {
            packets[3].ts += 1;
            packets[1].direction = Some(Direction::Inbound);
            packets[2].direction = Some(Direction::Outbound);
            packets[4].link = LinkType::RAW;
        }
        let mut writer = Writer::create(&path, &options).unwrap();
        packets.iter().for_each(|p| writer.write(&packet(p)).unwrap());
        let bytes = writer.bytes();
        assert_eq!(writer.finish().unwrap(), packets.len() as u64);
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes);
        let (got, error) = drain(&mut Reader::open(&path).unwrap());
        assert!(error.is_none(), "{error:?}");
        assert_eq!(got, packets, "{name}");
    }
}

#[test]
fn copies_of_files_in_our_own_byte_order_are_byte_identical() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.pcap");
    // Enough for several reads and for the path that does not copy.
    let packets: Vec<Owned> = (0..30_000i64).map(|i| Owned::new(i * 1000, &vec![i as u8; (i % 97) as usize])).collect();
    for magic in [MICRO, NANO] {
        let file = pcap(native(), magic, (2, 4), &packets);
        let mut input = reader(&file);
        let mut writer = Writer::create(&path, &WriteOptions::like(&input)).unwrap();
        assert_eq!(writer.copy(&mut input, |_| Verdict::Keep).unwrap(), 30_000);
        writer.finish().unwrap();
        assert!(fs::read(&path).unwrap() == file, "{magic:x}");
    }
}

/// Copies `file` keeping the packets whose number satisfies `keep`, and checks the outcome against the packets.
fn check_copy(file: &[u8], packets: &[Owned], name: &Path, keep: impl Fn(usize) -> bool) {
    let mut input = reader(file);
    let mut writer = Writer::create(name, &WriteOptions::like(&input)).unwrap();
    let mut number = 0;
    let verdict = |_: &Packet<'_>| {
        number += 1;
        if keep(number - 1) { Verdict::Keep } else { Verdict::Drop }
    };
    writer.copy(&mut input, verdict).unwrap();
    writer.finish().unwrap();
    let expected: Vec<_> = packets.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, p)| p.clone()).collect();
    let (got, error) = drain(&mut Reader::open(name).unwrap());
    assert!(error.is_none(), "{error:?}");
    assert!(got == expected, "{}", name.display());
}

#[test]
fn selections_are_copied_from_every_format_to_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let packets: Vec<Owned> =
        (0..20_000i64).map(|i| Owned::new(i * 1_000_000, &vec![i as u8; (i * 31 % 301) as usize])).collect();
    let files = [
        pcap(native(), MICRO, (2, 4), &packets),
        pcap(native(), MICRO, (2, 3), &packets),
        pcap(Order::Big, NANO, (2, 4), &packets),
        pcapng(Order::Little, &packets),
        pcapng(Order::Big, &packets),
    ];
    for file in &files {
        for name in ["o.pcap", "o.pcapng"] {
            let name = dir.path().join(name);
            check_copy(file, &packets, &name, |_| true);
            check_copy(file, &packets, &name, |_| false);
            check_copy(file, &packets, &name, |i| i % 3 == 1);
            check_copy(file, &packets, &name, |i| i / 700 % 2 == 0);
        }
    }
}

#[test]
fn copying_stops_when_told_and_keeps_what_came_before_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("o.pcap");
    let packets = sample();
    let mut file = pcap(native(), MICRO, (2, 4), &packets);
    for (last, expected) in [(Verdict::KeepAndStop, 3), (Verdict::Stop, 2)] {
        let mut input = reader(&file);
        let mut writer = Writer::create(&path, &WriteOptions::like(&input)).unwrap();
        let mut number = 0;
        let verdict = |_: &Packet<'_>| {
            number += 1;
            if number == 3 { last } else { Verdict::Keep }
        };
        assert_eq!(writer.copy(&mut input, verdict).unwrap(), expected);
        assert_eq!(writer.finish().unwrap(), expected);
    }
    file.truncate(file.len() - 1);
    let mut input = reader(&file);
    let mut writer = Writer::create(&path, &WriteOptions::like(&input)).unwrap();
    assert!(matches!(writer.copy(&mut input, |_| Verdict::Keep), Err(CopyError::Read(_))));
    writer.finish().unwrap();
    let (got, error) = drain(&mut Reader::open(&path).unwrap());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got, packets[..packets.len() - 1]);
}

#[test]
fn interfaces_keep_their_names_and_digits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("o.pcapng");
    let order = Order::Big;
    let mut file = section(order);
    file.extend(interface(order, 1, 100, &[option(order, 2, b"eth0")]));
    file.extend(interface(order, 113, 0, &[option(order, 2, b"any"), option(order, 9, &[9])]));
    file.extend(enhanced(order, 1, 5, &sample()[0]));
    file.extend(enhanced(order, 0, 5, &sample()[0]));
    let mut input = reader(&file);
    let mut writer = Writer::create(&path, &WriteOptions::like(&input)).unwrap();
    writer.copy(&mut input, |_| Verdict::Keep).unwrap();
    writer.finish().unwrap();
    let mut back = Reader::open(&path).unwrap();
    let (got, _) = drain(&mut back);
    assert_eq!(
        got.iter().map(|p| (p.link, p.ts)).collect::<Vec<_>>(),
        [(LinkType::LINUX_SLL, 5), (LinkType::EN10MB, 5000)]
    );
    let any =
        Interface { link: LinkType::LINUX_SLL, snaplen: 262_144, link_extra: 0, digits: 9, name: Some("any".into()) };
    let eth0 = Interface { link: LinkType::EN10MB, snaplen: 100, link_extra: 0, digits: 6, name: Some("eth0".into()) };
    assert_eq!(back.interfaces(), [any, eth0]);
}

#[test]
fn a_pcap_file_refuses_another_link_type() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path().join("o.pcap"), &WriteOptions::new(LinkType::RAW)).unwrap();
    let error = writer.write(&packet(&sample()[0])).unwrap_err().to_string();
    assert!(error.contains("link type RAW and cannot hold a packet of link type EN10MB"), "{error}");
    assert!(error.contains(".pcapng"), "{error}");
}

#[test]
fn the_input_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("f.pcap"), dir.path().join("link.pcap"));
    let file = pcap(Order::Little, MICRO, (2, 4), &sample());
    fs::write(&path, &file).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let input = Reader::open(&path).unwrap();
    let error = Writer::create(&link, &WriteOptions::like(&input)).err().unwrap();
    assert!(matches!(error.kind, WriteErrorKind::SameFile), "{error}");
    assert_eq!(fs::read(&path).unwrap(), file);
}

#[test]
fn times_that_a_format_cannot_hold_are_clamped() {
    let dir = tempfile::tempdir().unwrap();
    for (name, latest) in [("o.pcap", 4_294_967_295_999_999_999), ("o.pcapng", i64::MAX)] {
        let path = dir.path().join(name);
        let mut writer = Writer::create(&path, &WriteOptions::new(LinkType::EN10MB)).unwrap();
        for ts in [-5, i64::MAX] {
            writer.write(&packet(&Owned::new(ts, b"x"))).unwrap();
        }
        writer.finish().unwrap();
        let (got, _) = drain(&mut Reader::open(&path).unwrap());
        assert_eq!(got.iter().map(|p| p.ts).collect::<Vec<_>>(), [0, latest], "{name}");
    }
}

#[test]
fn a_full_device_is_reported() {
    if !Path::new("/dev/full").exists() {
        println!("SKIPPED: there is no /dev/full here");
        return;
    }
    let mut writer = Writer::create("/dev/full", &WriteOptions::new(LinkType::EN10MB)).unwrap();
    writer.write(&packet(&sample()[0])).unwrap();
    let error = writer.finish().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("writing /dev/full failed: the file system is full"), "{text}");
    assert!(!text.contains("os error") && !error.is_closed_pipe(), "{text}");
}

#[test]
fn a_closed_pipe_is_told_from_other_faults() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo.pcapng");
    let Some(made) = tool("mkfifo", &[fifo.to_str().unwrap()]) else { return };
    assert!(made.status.success());
    // The reader takes a few bytes and leaves.
    let name = fifo.clone();
    let other_end = std::thread::spawn(move || {
        let mut file = fs::File::open(name).unwrap();
        std::io::Read::read(&mut file, &mut [0; 10]).unwrap()
    });
    let mut writer = Writer::create(&fifo, &WriteOptions::new(LinkType::EN10MB)).unwrap();
    let big = Owned::new(0, &[1; 60_000]);
    let error = loop {
        if let Err(error) = writer.write(&packet(&big)).and_then(|()| writer.flush()) {
            break error;
        }
    };
    assert!(error.is_closed_pipe(), "{error}");
    assert_eq!(other_end.join().unwrap(), 10);
}

/// Not a test of its own: the child of the next one, which runs it under a limit on the size of files.
#[test]
fn child_that_writes_until_a_limit() {
    let Ok(path) = std::env::var("SKEP_TEST_LIMITED_FILE") else { return };
    let mut writer = Writer::create(&path, &WriteOptions::new(LinkType::EN10MB)).unwrap();
    let error = (0..100_000u32)
        .find_map(|i| writer.write(&packet(&Owned::new(0, &vec![i as u8; 50 + i as usize % 200]))).err())
        .expect("the limit must be met");
    drop(writer);
    println!("{error}");
    assert!(matches!(error.kind, WriteErrorKind::Write { partial: 0, .. }));
    let WriteErrorKind::Write { saved, .. } = error.kind else { return };
    assert_eq!(fs::metadata(&path).unwrap().len(), saved);
}

#[test]
fn no_partial_record_is_left_when_the_limit_of_a_file_is_met() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["f.pcap", "f.pcapng"] {
        // Two limits that cut at different places of a record.
        for blocks in [1001, 1500] {
            let path = dir.path().join(name);
            let script =
                format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$0\" --exact child_that_writes_until_a_limit");
            let status = Command::new("sh")
                .args(["-c", &script])
                .arg(std::env::current_exe().unwrap())
                .env("SKEP_TEST_LIMITED_FILE", &path)
                .output()
                .unwrap();
            assert!(status.status.success(), "{status:?}");
            let (got, error) = drain(&mut Reader::open(&path).unwrap());
            assert!(error.is_none(), "{error:?}");
            assert!(got.len() > 1000, "{}", got.len());
            let limit = blocks * 512;
            let length = fs::metadata(&path).unwrap().len();
            assert!(length <= limit && length + 300 > limit, "{length} of {limit}");
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn all_packets(dir: &Path, names: &[String]) -> Vec<Owned> {
    names.iter().flat_map(|name| drain(&mut Reader::open(dir.join(name)).unwrap()).0).collect()
}

#[test]
fn files_by_size() {
    let packets: Vec<Owned> = (0..100i64).map(|i| Owned::new(i, &[i as u8; 84])).collect();
    // Header 24, record 100: a file is full with more than 1024 bytes, that is with 11 records.
    let cases: [(Option<u32>, [&str; 3]); 3] = [
        (None, ["x.pcapng", "x.pcapng1", "x.pcapng2"]),
        (Some(3), ["x.pcapng0", "x.pcapng1", "x.pcapng2"]),
        (Some(101), ["x.pcapng000", "x.pcapng001", "x.pcapng002"]),
    ];
    for (files, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut options = WriteOptions::new(LinkType::EN10MB);
        options.format = Some(Format::Pcap);
        let rotation = Rotation { bytes: Some(1024), files, ..Rotation::default() };
        let mut series = RotatingWriter::create(dir.path().join("x.pcapng"), &options, rotation).unwrap();
        for (i, p) in packets[..25].iter().enumerate() {
            let wrote = series.write(&packet(p)).unwrap();
            assert_eq!(matches!(wrote, Wrote::Rotated { .. }), i == 11 || i == 22, "{i}");
        }
        let (count, last) = series.finish().unwrap();
        assert_eq!((count, last.unwrap()), (25, dir.path().join(expected[2])));
        assert_eq!(names(dir.path()), expected);
        assert_eq!(all_packets(dir.path(), &names(dir.path())), packets[..25]);
    }
}

#[test]
fn a_ring_of_files_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let packets: Vec<Owned> = (0..50i64).map(|i| Owned::new(i, &[i as u8; 84])).collect();
    let rotation = Rotation { bytes: Some(1024), files: Some(2), ..Rotation::default() };
    let mut series =
        RotatingWriter::create(dir.path().join("r"), &WriteOptions::new(LinkType::EN10MB), rotation).unwrap();
    packets.iter().for_each(|p| drop(series.write(&packet(p)).unwrap()));
    series.finish().unwrap();
    assert_eq!(names(dir.path()), ["r0", "r1"]);
    let expected = [&packets[44..], &packets[33..44]].concat();
    assert_eq!(all_packets(dir.path(), &names(dir.path())), expected);
}

#[test]
fn files_by_the_time_of_packets() {
    let dir = tempfile::tempdir().unwrap();
    let second = 1_000_000_000;
    let times = [100, 105, 109, 110, 125, 126].map(|s| s * second);
    let packets: Vec<Owned> = times.iter().map(|ts| Owned::new(*ts, b"abc")).collect();
    let template = dir.path().join("t%s");
    let options = WriteOptions::new(LinkType::EN10MB);
    let rotation = Rotation { every: Some(10), clock: RotateClock::Packets, ..Rotation::default() };
    let mut series = RotatingWriter::create(&template, &options, rotation).unwrap();
    packets.iter().for_each(|p| drop(series.write(&packet(p)).unwrap()));
    assert_eq!(series.finish().unwrap().0, 6);
    assert_eq!(names(dir.path()), ["t100", "t110", "t125"]);
    assert_eq!(all_packets(dir.path(), &names(dir.path())), packets);

    let dir = tempfile::tempdir().unwrap();
    let limited = Rotation { files: Some(2), ..rotation };
    let mut series = RotatingWriter::create(dir.path().join("t%s"), &options, limited).unwrap();
    let outcomes: Vec<_> = packets.iter().map(|p| series.write(&packet(p)).unwrap()).collect();
    assert_eq!(outcomes[3], Wrote::Rotated { closed: dir.path().join("t100") });
    assert_eq!(outcomes[4], Wrote::Finished { closed: dir.path().join("t110") });
    assert!(matches!(outcomes[5], Wrote::Finished { .. }));
    assert_eq!(series.finish().unwrap().0, 4);
    assert_eq!(names(dir.path()), ["t100", "t110"]);
}

#[test]
fn random_packets_survive_every_format() {
    skep_random::random_test(|u| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(if u.arbitrary()? { "f.pcap" } else { "f.pcapng" });
        let mut packets = Vec::new();
        while u.len() > 20 && packets.len() < 50 {
            let length = u.int_in_range(0..=300)?;
            let mut owned = Owned::new(i64::from(u.arbitrary::<u32>()?) << 20, u.bytes(length.min(u.len()))?);
            owned.orig_len = u.arbitrary()?;
            packets.push(owned);
        }
        let mut writer = Writer::create(&path, &WriteOptions::new(LinkType::EN10MB)).unwrap();
        packets.iter().for_each(|p| writer.write(&packet(p)).unwrap());
        writer.finish().unwrap();
        let (got, error) = drain(&mut Reader::open(&path).unwrap());
        assert!(error.is_none(), "{error:?}");
        assert_eq!(got, packets);
        Ok(())
    })
    .budget_ms(1000);
}

//! The same files through tcpdump, tshark and editcap. Each test says so when its program is not installed.

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use skep_packet::file::max_captured;
use skep_packet::write::{RotatingWriter, Rotation};
use skep_packet::{Direction, LinkType, Reader, Verdict, WriteOptions, Writer};
use skep_proto::link::LINK_TYPES;
use support::*;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Copies a file with tcpdump.
fn tcpdump_copy(from: &Path, to: &Path) -> Option<Output> {
    tool("tcpdump", &["-n", "--time-stamp-precision", "nano", "-r", text(from), "-w", text(to)])
}

/// Copies a file with our reader and writer, keeping what came before a fault. True if there was none.
fn our_copy(from: &Path, to: &Path, tweak: impl Fn(&mut WriteOptions)) -> bool {
    let Ok(mut reader) = Reader::open(from) else { return false };
    let mut options = WriteOptions::like(&reader);
    tweak(&mut options);
    let mut writer = Writer::create(to, &options).unwrap();
    let outcome = writer.copy(&mut reader, |_| Verdict::Keep);
    writer.finish().unwrap();
    outcome.is_ok()
}

fn odd_files() -> Vec<(&'static str, Vec<u8>)> {
    let order = Order::Little;
    let head = |snaplen, link| pcap_header(order, MICRO, (2, 4), snaplen, link);
    let record = |captured: u32, orig, there: usize| pcap_record(order, 1, 2, captured, orig, &vec![9; there]);
    let with = |head: Vec<u8>, records: &[Vec<u8>]| [vec![head], records.to_vec()].concat().concat();
    vec![
        ("longer than the snapshot length", with(head(64, 1), &[record(100, 100, 100), record(60, 60, 60)])),
        ("far too long", with(head(64, 1), &[record(300_000, 300_000, 300_000), record(60, 60, 60)])),
        ("cut in the data", with(head(64, 1), &[record(60, 60, 60), record(60, 60, 30)])),
        ("cut in the header", with(head(64, 1), &[record(60, 60, 60), vec![1; 5]])),
        ("no snapshot length", with(head(0, 1), &[record(262_144, 262_144, 262_144)])),
        ("one byte too long", with(head(i32::MAX as u32, 1), &[record(262_145, 262_145, 262_145)])),
        ("huge snapshot length", with(head(u32::MAX, 1), &[record(60, 60, 60)])),
        ("long USB packet", with(head(i32::MAX as u32, 249), &[record(300_000, 300_000, 300_000)])),
        ("captured more than there was", with(head(64, 1), &[record(60, 20, 60), record(10, 5, 10)])),
        ("a Linux number", with(head(64, 12), &[record(60, 60, 60)])),
        ("frame check sequence", with(head(64, 1 | 0x1400_0000), &[record(60, 60, 60)])),
        ("odd fraction of a second", with(head(64, 1), &[pcap_record(order, 1, 1_999_999, 1, 1, b"x")])),
        ("only a header", head(64, 1)),
    ]
}

/// tcpdump writes what it understood in this machine's byte order, so its copy shows how it reads a file.
#[test]
fn tcpdump_understands_every_file_as_we_do() {
    let dir = tempfile::tempdir().unwrap();
    let (from, theirs, ours) = (dir.path().join("in"), dir.path().join("theirs"), dir.path().join("ours"));
    let mut files = odd_files();
    for order in Order::BOTH {
        for magic in [MICRO, NANO, KUZNETZOV] {
            for minor in [2, 3, 4] {
                files.push((
                    Box::leak(format!("{order:?} {magic:x} 2.{minor}").into_boxed_str()),
                    pcap(order, magic, (2, minor), &sample()),
                ));
            }
        }
        files.push(("pcapng", pcapng(order, &sample())));
    }
    for (what, file) in files {
        fs::write(&from, file).unwrap();
        let Some(output) = tcpdump_copy(&from, &theirs) else { return };
        // `--time-stamp-precision nano` makes tcpdump write nanoseconds whatever it reads.
        let fine = our_copy(&from, &ours, |options| options.precision = skep_packet::write::Precision::Nano);
        assert_eq!(fine, output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let (mut theirs, mut ours) = (fs::read(&theirs).unwrap(), fs::read(&ours).unwrap());
        // A fraction of more than a second is carried over here and kept by tcpdump; the snapshot length of a pcapng
        // file is that of the first interface there and the largest possible one here.
        if what.starts_with("odd fraction") {
            theirs.drain(24..32);
            ours.drain(24..32);
        }
        let place = theirs.iter().zip(&ours).position(|(a, b)| a != b);
        assert!(theirs == ours, "{what}: {} and {} bytes, different at {place:?}", theirs.len(), ours.len());
    }
}

/// One byte more than the limit is damage for both, the limit itself is fine for both.
#[test]
fn limits_of_link_types_are_those_of_tcpdump() {
    let dir = tempfile::tempdir().unwrap();
    let (from, theirs) = (dir.path().join("in"), dir.path().join("theirs"));
    for row in LINK_TYPES.iter().filter(|row| row.in_libpcap_1_10) {
        // The few types with a larger limit are tested just above the ordinary one: their files would be huge.
        let limit = max_captured(row.link);
        let length = 262_145;
        let mut file = pcap_header(Order::Little, MICRO, (2, 4), i32::MAX as u32, row.link.0.into());
        file.extend(pcap_record(Order::Little, 1, 2, length, length, &vec![0; length as usize]));
        fs::write(&from, &file).unwrap();
        let Some(output) = tcpdump_copy(&from, &theirs) else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), limit >= length, "{}: {said}", row.name);
        assert_eq!(read_bytes(&file).1.is_none(), limit >= length, "{}", row.name);
        if limit > length {
            // Claimed only, not there: the message gives the limit.
            let mut file = pcap_header(Order::Little, MICRO, (2, 4), i32::MAX as u32, row.link.0.into());
            file.extend(pcap_record(Order::Little, 1, 2, limit + 1, 1, b""));
            fs::write(&from, &file).unwrap();
            let Some(output) = tcpdump_copy(&from, &theirs) else { return };
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains(&format!("bigger than maximum of {limit}")), "{}: {said}", row.name);
        }
    }
}

/// tshark's view of a file: time, length, captured length, interface name, direction.
fn tshark_fields(path: &Path) -> Option<Vec<String>> {
    let fields =
        ["frame.time_epoch", "frame.len", "frame.cap_len", "frame.interface_name", "frame.packet_flags_direction"];
    let mut args = vec!["-r", text(path), "-T", "fields"];
    fields.iter().for_each(|field| args.extend(["-e", field]));
    let output = tool("tshark", &args)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

#[test]
fn tshark_reads_the_pcapng_that_we_write() {
    let dir = tempfile::tempdir().unwrap();
    let (from, ours) = (dir.path().join("in"), dir.path().join("ours.pcapng"));
    let mut packets = sample();
    packets[0].direction = Some(Direction::Inbound);
    packets[1].direction = Some(Direction::Outbound);
    fs::write(&from, pcapng(Order::Big, &packets)).unwrap();
    assert!(our_copy(&from, &ours, |_| {}));
    let Some(seen) = tshark_fields(&ours) else { return };
    assert_eq!(Some(&seen), tshark_fields(&from).as_ref());
    let expected: Vec<String> = packets
        .iter()
        .map(|p| {
            let direction = match p.direction {
                Some(Direction::Inbound) => "0x00000001",
                Some(Direction::Outbound) => "0x00000002",
                None => "",
            };
            let (seconds, nanos) = (p.ts / 1_000_000_000, p.ts % 1_000_000_000);
            format!("{seconds}.{nanos:09}\t{}\t{}\teth0\t{direction}", p.orig_len, p.data.len())
        })
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn files_that_editcap_converts_read_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("in.pcap"), dir.path().join("out"));
    let packets = sample();
    fs::write(&from, pcap(Order::Big, MICRO, (2, 4), &packets)).unwrap();
    for format in ["pcap", "nsecpcap", "modpcap", "pcapng"] {
        let Some(output) = tool("editcap", &["-F", format, text(&from), text(&to)]) else { return };
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        let (mut got, error) = drain(&mut Reader::open(&to).unwrap());
        assert!(error.is_none(), "{format}: {error:?}");
        // The patched format has room for a direction, which editcap fills with "received".
        got.iter_mut().for_each(|p| p.direction = None);
        assert_eq!(got, packets, "{format}");
    }
}

/// Name and contents of every file.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn series_of_files_are_those_of_tcpdump() {
    let input = tempfile::tempdir().unwrap();
    let from = input.path().join("in.pcap");
    let packets: Vec<Owned> = (0..3300i64).map(|i| Owned::new(i * 1000, &vec![i as u8; 1400])).collect();
    fs::write(&from, pcap(Order::Little, MICRO, (2, 4), &packets)).unwrap();
    let hour = Some(3600);
    let cases: [(&[&str], Rotation); 7] = [
        (&["-C", "1"], Rotation { bytes: Some(1_000_000), ..Rotation::default() }),
        (&["-C", "1", "-W", "1"], Rotation { bytes: Some(1_000_000), files: Some(1), ..Rotation::default() }),
        (&["-C", "1", "-W", "3"], Rotation { bytes: Some(1_000_000), files: Some(3), ..Rotation::default() }),
        (&["-C", "1", "-W", "11"], Rotation { bytes: Some(1_000_000), files: Some(11), ..Rotation::default() }),
        (&["-C", "1", "-W", "101"], Rotation { bytes: Some(1_000_000), files: Some(101), ..Rotation::default() }),
        (&["-G", "3600", "-W", "3"], Rotation { every: hour, files: Some(3), ..Rotation::default() }),
        (
            &["-G", "3600", "-C", "1", "-W", "3"],
            Rotation { every: hour, bytes: Some(1_000_000), files: Some(3), ..Rotation::default() },
        ),
    ];
    for (flags, rotation) in cases {
        let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // `%%` shows whether the name is taken as a time format; a time would differ between the two runs.
        let name = theirs.path().join("f%%.pcap");
        let mut args = vec!["-n", "-Z", "root", "-r", text(&from), "-w", text(&name)];
        args.extend(flags);
        let Some(output) = tool("tcpdump", &args) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut reader = Reader::open(&from).unwrap();
        let options = WriteOptions::like(&reader);
        let mut series = RotatingWriter::create(ours.path().join("f%%.pcap"), &options, rotation).unwrap();
        while let Some(packet) = reader.next().unwrap() {
            series.write(&packet).unwrap();
        }
        series.finish().unwrap();
        let (theirs, ours) = (contents(theirs.path()), contents(ours.path()));
        let sizes =
            |files: &[(String, Vec<u8>)]| -> Vec<_> { files.iter().map(|f| (f.0.clone(), f.1.len())).collect() };
        assert_eq!(sizes(&theirs), sizes(&ours), "{flags:?}");
        assert!(theirs == ours, "{flags:?}");
    }
}

#[test]
fn our_files_are_read_by_tcpdump() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["f.pcap", "f.pcapng"] {
        let path = dir.path().join(name);
        let mut writer = Writer::create(&path, &WriteOptions::new(LinkType::EN10MB)).unwrap();
        let (packets, file) = (sample(), pcap(Order::Big, NANO, (2, 4), &sample()));
        let mut reader = Reader::from_stream(std::io::Cursor::new(file), "test").unwrap();
        writer.copy(&mut reader, |_| Verdict::Keep).unwrap();
        writer.finish().unwrap();
        let Some(output) = tool("tcpdump", &["-n", "--count", "-r", text(&path)]) else { return };
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), format!("{} packets", packets.len()), "{name}");
    }
}

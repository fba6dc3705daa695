//! `-r` with `-w`: copying, series of files, commands on complete files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use skep_packet::LinkType;

use crate::support::{count_in, path, recording, skep, skep_with, tcpdump};

#[test]
fn copies_are_those_of_tcpdump_byte_for_byte() {
    let (file, _) = recording(LinkType::EN10MB, 5000);
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (directory.path().join("ours"), directory.path().join("theirs"));
    let (ours, theirs) = (ours.to_str().unwrap(), theirs.to_str().unwrap());
    for expression in ["", "tcp", "host 10.0.0.1 or vlan", "udp port 53"] {
        skep(["filter", "-r", path(&file), "-w", ours, expression]).ok();
        if tcpdump(&["-r", path(&file), "-w", theirs, expression]).is_none() {
            return;
        }
        assert!(fs::read(ours).unwrap() == fs::read(theirs).unwrap(), "{expression}");
    }
}

#[test]
fn pipes_on_both_sides() {
    let (file, _) = recording(LinkType::EN10MB, 2000);
    let written = skep(["filter", "-r", path(&file), "-w", "-", "udp"]).ok();
    let count = count_in(&skep(["filter", "-r", path(&file), "--count", "udp"]).ok());
    assert!(count > 50);
    assert_eq!(count_in(&skep_with(["filter", "-r", "-", "--count"], &written.bytes).ok()), count);
}

#[test]
fn both_lines_and_a_file() {
    let (file, _) = recording(LinkType::EN10MB, 300);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.pcapng");
    let copy = copy.to_str().unwrap();
    let printed = skep(["filter", "-n", "-r", path(&file), "-w", copy, "--print", "-U", "ip6"]).ok();
    assert!(!printed.out.is_empty());
    assert_eq!(skep(["filter", "-n", "-r", copy]).ok().out, printed.out);
}

#[test]
fn snapshot_length_cuts() {
    let (file, packets) = recording(LinkType::EN10MB, 300);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("cut.pcap");
    skep(["filter", "-r", path(&file), "-w", copy.to_str().unwrap(), "-s", "40"]).ok();
    let expected: usize = packets.iter().map(|packet| 16 + packet.data.len().min(40)).sum();
    assert_eq!(fs::metadata(&copy).unwrap().len(), 24 + expected as u64);
}

#[test]
fn series_by_size_in_turn() {
    let (file, _) = recording(LinkType::EN10MB, 3000);
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().join("part.pcap");
    skep(["filter", "-r", path(&file), "-C", "20k", "-w", base.to_str().unwrap()]).ok();
    let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() > 3, "{names:?}");
    names.sort();
    let total: u64 =
        names.iter().map(|name| count_in(&skep(["filter", "-r", name.to_str().unwrap(), "--count"]).ok())).sum();
    assert_eq!(total, 3000);
    let ring = tempfile::tempdir().unwrap();
    let base = ring.path().join("part");
    skep(["filter", "-r", path(&file), "-C", "20k", "-W", "2", "-w", base.to_str().unwrap()]).ok();
    assert_eq!(fs::read_dir(&ring).unwrap().count(), 2);
}

#[test]
fn series_by_the_time_of_the_recording_with_a_command() {
    // Time stamps of the test packets count microseconds, so one second holds a million of them; begin late.
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    for second in 0..30u32 {
        for word in [1_700_000_000 + second, 0, 20, 20] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([0; 20]);
    }
    let directory = tempfile::tempdir().unwrap();
    let (log, script) = (directory.path().join("log"), directory.path().join("note.sh"));
    fs::write(&script, format!("#!/bin/sh\necho \"$1\" >> {}\n", log.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let base = directory.path().join("at-%s.pcap");
    let (base, script) = (base.to_str().unwrap(), script.to_str().unwrap());
    skep_with(["filter", "-r", "-", "-G", "10", "-w", base, "-z", script], &bytes).ok();
    for start in [1_700_000_000, 1_700_000_010, 1_700_000_020] {
        let name = directory.path().join(format!("at-{start}.pcap"));
        assert_eq!(count_in(&skep(["filter", "-r", name.to_str().unwrap(), "--count"]).ok()), 10, "{name:?}");
    }
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().count(), 2, "the last file was not rotated out: {log}");
    assert!(log.contains("at-1700000000.pcap") && log.contains("at-1700000010.pcap"), "{log}");
    // With -W the series ends.
    let base = directory.path().join("end-%s.pcap");
    skep_with(["filter", "-r", "-", "-G", "10", "-W", "1", "-w", base.to_str().unwrap()], &bytes).ok();
    assert!(!directory.path().join("end-1700000010.pcap").exists());
}

#[test]
fn full_disk_and_same_file_are_said() {
    let (file, _) = recording(LinkType::EN10MB, 300);
    let run = skep(["filter", "-r", path(&file), "-w", "/dev/full"]);
    assert_eq!(run.status, Some(1));
    assert!(run.err.contains("file system is full"), "{}", run.err);
    let before = fs::read(file.path()).unwrap();
    let run = skep(["filter", "-r", path(&file), "-w", path(&file), "ip"]);
    assert_eq!(run.status, Some(1));
    assert!(run.err.contains("choose another name"), "{}", run.err);
    assert!(fs::read(file.path()).unwrap() == before);
}

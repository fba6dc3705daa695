//! Tools about files and disks: opensnoop, statsnoop, biosnoop, biolatency, bitesize, syscount.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{is, json, number, shell, start};
use crate::support::skip;

#[test]
fn opensnoop() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("there");
    std::fs::write(&file, "").unwrap();
    let Some(mut tool) = start(&["opensnoop"]) else { return };
    let (path, missing) = (file.to_str().unwrap(), directory.path().join("missing"));
    let missing = missing.to_str().unwrap();
    let pid = shell(&format!("exec 7<{path}; cd {}; exec 8<missing", directory.path().display()));
    let row = tool.wait(|row| is(row, &[("pid", &pid), ("path", path)]));
    assert!(is(&row, &[("comm", "bash"), ("err", "0"), ("tid", &pid)]) && number(&row, "fd") >= 3, "{row:?}");
    let row = tool.wait(|row| is(row, &[("pid", &pid), ("path", "missing")]));
    assert!(is(&row, &[("fd", "-1"), ("err", "2"), ("error", "No such file or directory")]), "{row:?}");
    // A relative path begins in the directory that is told along.
    let inside = std::fs::canonicalize(directory.path()).unwrap();
    assert_eq!(row["cwd"], inside.to_str().unwrap());
    tool.stop();

    // With -F the directory stands in front, be it that of the process, of a descriptor, or below another mount.
    let Some(mut tool) = start(&["opensnoop", "-F"]) else { return };
    let pid = shell(&format!("cd {}; exec 8<missing; cd /proc; exec 8<nothing; exec 8<{path}", inside.display()));
    let whole = inside.join("missing");
    tool.wait(|row| is(row, &[("pid", &pid), ("path", whole.to_str().unwrap()), ("err", "2")]));
    tool.wait(|row| is(row, &[("pid", &pid), ("path", "/proc/nothing"), ("err", "2")]));
    tool.wait(|row| is(row, &[("pid", &pid), ("path", path), ("err", "0"), ("cwd", "")]));
    // `find` opens what is in a directory by the descriptor of the directory.
    let below = inside.join("below");
    std::fs::create_dir_all(below.join("deep")).unwrap();
    let pid = shell(&format!("exec find {} -type d", inside.display()));
    let deep = below.join("deep");
    tool.wait(|row| is(row, &[("pid", &pid), ("path", deep.to_str().unwrap()), ("err", "0")]));
    tool.stop();

    let Some(mut tool) = start(&["opensnoop", "-x", "-n", "bash"]) else { return };
    let pid = shell(&format!("exec 7<{path}; exec 8<{missing}"));
    tool.wait(|row| is(row, &[("pid", &pid), ("path", missing)]));
    let rows = tool.stop();
    assert!(rows.iter().all(|row| row["err"] != "0" && row["comm"].contains("bash")), "{rows:?}");
}

#[test]
fn statsnoop() {
    let own = std::process::id().to_string();
    let Some(mut tool) = start(&["statsnoop", "-p", &own]) else { return };
    assert!(std::fs::metadata("/no/such/attributes").is_err() && std::fs::metadata("/etc/passwd").is_ok());
    let row = tool.wait(|row| is(row, &[("pid", &own), ("path", "/no/such/attributes")]));
    assert!(is(&row, &[("ret", "-1"), ("err", "2"), ("error", "No such file or directory")]), "{row:?}");
    assert!(["statx", "newfstatat", "stat"].contains(&row["syscall"].as_str()), "{row:?}");
    let row = tool.wait(|row| is(row, &[("pid", &own), ("path", "/etc/passwd")]));
    assert!(is(&row, &[("ret", "0"), ("err", "0")]), "{row:?}");
    tool.stop();
}

/// Writes so many bytes to a file and waits until the disk has them; false, with a remark, if there is no disk.
pub(super) fn write_to_disk(directory: &Path, bytes: usize) -> bool {
    let device = std::fs::metadata(directory).unwrap().dev();
    let major = major_number(device);
    if major == 0 {
        skip("temporary files are in no file system on a disk");
        return false;
    }
    let mut file = std::fs::File::create(directory.join("data")).unwrap();
    file.write_all(&vec![7; bytes]).unwrap();
    file.sync_all().unwrap();
    true
}

/// The major number of a device (makedev(3)); 0 for file systems without one.
fn major_number(device: u64) -> u64 {
    (device >> 8) & 0xfff
}

#[test]
fn biosnoop() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut tool) = start(&["biosnoop"]) else { return };
    if !write_to_disk(directory.path(), 256 << 10) {
        return;
    }
    // sync() makes the requests itself: they are those of this process.
    let own = std::process::id().to_string();
    let row = tool.wait(|row| is(row, &[("pid", &own), ("kind", "W")]) && number(row, "bytes") >= 64 << 10);
    let (bytes, latency) = (number(&row, "bytes"), number(&row, "latency_ns"));
    assert!(bytes % 512 == 0 && bytes <= 8 << 20, "{row:?}");
    assert!((1..60_000_000_000).contains(&latency) && number(&row, "queued_ns") >= 0, "{row:?}");
    assert!(Path::new("/sys/block").join(&row["disk"]).exists(), "{row:?}");
    assert!(number(&row, "sector") > 0, "{row:?}");
    tool.stop();
}

#[test]
fn biolatency_and_bitesize() {
    let directory = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for args in [&["biolatency", "-D", "--for", "1s"][..], &["bitesize", "--for", "1s"]] {
        let path = directory.path().to_owned();
        let writer = std::thread::spawn(move || {
            // As long as the tool runs, so that it is attached for some of it.
            let start = std::time::Instant::now();
            let mut has_disk = true;
            while has_disk && start.elapsed() < std::time::Duration::from_secs(3) {
                has_disk = write_to_disk(&path, 64 << 10);
            }
            has_disk
        });
        let run = json(args);
        if !writer.join().unwrap() {
            return;
        }
        let Some(run) = run else { return };
        runs.push(run);
    }
    // A histogram has a row for each bucket: key, bounds, count.
    let latency = &runs[0];
    assert!(!latency.is_empty());
    for row in latency {
        assert!(Path::new("/sys/block").join(row["key"].as_str().unwrap()).exists(), "{row}");
        assert!(row["count"].as_u64().unwrap() > 0 && row["from"].as_i64() <= row["to"].as_i64(), "{row}");
    }
    let written =
        runs[1].iter().find(|row| row["from"].as_i64() <= Some(64 << 10) && row["to"].as_i64() >= Some(64 << 10));
    assert!(written.is_some(), "{:?}", runs[1]);
}

#[test]
fn syscount() {
    // This process asks for its parent many times; nobody else is wanted.
    let own = std::process::id().to_string();
    let busy = std::thread::spawn(|| {
        let start = std::time::Instant::now();
        let mut calls = 0u64;
        while start.elapsed() < std::time::Duration::from_secs(3) {
            let _ = std::os::unix::process::parent_id();
            let _ = std::fs::metadata("/no/such/file");
            calls += 1;
        }
        calls
    });
    let rows = json(&["syscount", "-p", &own, "-P", "--for", "1s"]);
    let made = i64::try_from(busy.join().unwrap()).unwrap();
    let Some(rows) = rows else { return };
    assert!(rows.iter().all(|row| row["pid"].as_u64() == Some(std::process::id().into())), "{rows:?}");
    let found = rows.iter().find(|row| row["syscall"] == "getppid").unwrap_or_else(|| panic!("{rows:?}"));
    let count = found["count"].as_i64().unwrap();
    assert!(count > 0 && count <= made && found["failed"] == 0 && found["total_ns"].as_i64() > Some(0), "{found}");
    let stat = rows.iter().find(|row| row["failed"].as_i64() > Some(0)).unwrap_or_else(|| panic!("{rows:?}"));
    assert!(["statx", "newfstatat", "stat"].contains(&stat["syscall"].as_str().unwrap()), "{stat}");

    let Some(rows) = json(&["syscount", "-x", "-p", "999999999", "--for", "50ms"]) else { return };
    assert!(rows.is_empty(), "{rows:?}");
}

#[test]
fn filetop_and_fsslower() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("filetop-data");
    let Some(mut slow) = start(&["fsslower", "0"]) else { return };
    let path = file.to_str().unwrap().to_owned();
    // The tool counts for a second; this goes on for longer, with the same figures each time.
    let writer = std::thread::spawn(move || {
        for _ in 0..15 {
            shell(&format!("dd if=/dev/zero of={path} bs=1000 count=37 conv=fsync; exec sleep 0.2"));
        }
    });
    let rows = json(&["filetop", "--for", "1s"]);
    writer.join().unwrap();
    let Some(rows) = rows else { return };
    let own: Vec<_> = rows.iter().filter(|row| row["file"] == "filetop-data").collect();
    let whole = own.iter().find(|row| row["writes"] == 37).unwrap_or_else(|| panic!("{own:?}"));
    assert_eq!((&whole["comm"], &whole["write_bytes"], &whole["reads"]), (&"dd".into(), &37_000.into(), &0.into()));
    assert!(rows.iter().all(|row| row["kind"] == "R"), "{rows:?}");

    let row = slow.wait(|row| is(row, &[("file", "filetop-data"), ("kind", "W")]));
    assert!(is(&row, &[("comm", "dd"), ("bytes", "1000")]) && number(&row, "latency_ns") > 0, "{row:?}");
    assert!(!row["fs"].is_empty() && number(&row, "offset") % 1000 == 0, "{row:?}");
    slow.wait(|row| is(row, &[("file", "filetop-data"), ("kind", "S"), ("comm", "dd"), ("bytes", "0")]));
    slow.wait(|row| is(row, &[("file", "filetop-data"), ("kind", "O"), ("comm", "dd")]));
    slow.stop();
    // Nothing of that takes a minute.
    let Some(slow) = start(&["fsslower", "60000"]) else { return };
    shell(&format!("cat {} >/dev/null", file.display()));
    assert!(slow.stop().is_empty());
}

//! Tools about memory: cachestat, oomkill, drsnoop, memleak.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{is, number, shell, start, traces};
use crate::support::skip;

#[test]
fn cachestat() {
    const SIZE: usize = 4 << 20;
    const PAGES: i64 = (SIZE / 4096) as i64;
    // Linux 6.13
    if !traces("mm_filemap_get_pages") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let names = ["cold", "warm"].map(|name| directory.path().join(format!("{name}-reader")));
    for path in &names {
        std::fs::copy("/bin/cat", path).unwrap();
    }
    let file = directory.path().join("data");
    std::fs::write(&file, vec![1; SIZE]).unwrap();
    let data = file.to_str().unwrap();
    // Written out, the pages can be given up.
    let forget = format!("dd of={data} oflag=nocache conv=notrunc,fdatasync count=0");
    let mut found = Vec::new();
    for name in &names {
        let comm = name.file_name().unwrap().to_str().unwrap();
        let text = format!("exec {} {data} >/dev/null", name.display());
        let Some(tool) = start(&["cachestat", "--comm", comm, "1000"]) else { return };
        if comm == "cold-reader" {
            // Its own program and libraries are in memory by then.
            shell(&format!("{} /dev/null", name.display()));
            shell(&forget);
        }
        shell(&text);
        let rows = tool.stop();
        assert_eq!(rows.len(), 1, "{rows:?}");
        // The file itself is in the cache of the machine.
        assert!(number(&rows[0], "cached_bytes") >= SIZE as i64 && number(&rows[0], "buffers_bytes") >= 0, "{rows:?}");
        found.push(rows[0].clone());
    }
    let (cold, warm) = (&found[0], &found[1]);
    // Where the file system keeps everything in memory, nothing can be given up.
    if number(cold, "misses") == 0 {
        return skip("temporary files are in a file system without a disk");
    }
    assert!((PAGES..PAGES + 512).contains(&number(cold, "misses")), "{cold:?}");
    assert!(number(warm, "misses") < 512 && (PAGES..PAGES + 512).contains(&number(warm, "hits")), "{warm:?}");
    assert!(number(warm, "hitratio") > number(cold, "hitratio"), "{found:?}");
}

/// A control group with a limit for memory; it goes when this is dropped.
pub(super) struct Limited {
    path: PathBuf,
}

impl Limited {
    /// `None`, with a remark, if such groups are not available.
    pub(super) fn new(name: &str, bytes: u64) -> Option<Self> {
        let name = format!("skep-test-{name}-{}", std::process::id());
        let places = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
        ];
        for (root, limit, swap) in places {
            let path = Path::new(root).join(&name);
            if std::fs::create_dir(&path).is_err() {
                continue;
            }
            let group = Self { path };
            if std::fs::write(group.path.join(limit), bytes.to_string()).is_ok() {
                // Without swap the limit is final; where there is none the file may be missing.
                let bytes = if swap == "memory.swap.max" { 0 } else { bytes };
                let _ = std::fs::write(group.path.join(swap), bytes.to_string());
                return Some(group);
            }
        }
        skip("control groups cannot limit memory here");
        None
    }

    /// Runs a command of the shell in it; gives its process number.
    pub(super) fn run(&self, text: &str) -> String {
        shell(&format!("echo $$ > {}/cgroup.procs && {text}", self.path.display()))
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // What ran in it has ended, but may not be quite gone.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn oomkill() {
    let Some(group) = Limited::new("oom", 24 << 20) else { return };
    let Some(mut tool) = start(&["oomkill"]) else { return };
    // Only what is in the group can be ended for its limit.
    let pid = group.run("exec tail /dev/zero");
    let row = tool.wait(|row| row["tpid"] == pid);
    assert!(is(&row, &[("pid", &pid), ("comm", "tail"), ("tcomm", "tail"), ("tuid", "0")]), "{row:?}");
    assert!((8 << 20..64 << 20).contains(&number(&row, "anon_bytes")), "{row:?}");
    assert!(number(&row, "total_bytes") >= number(&row, "anon_bytes"), "{row:?}");
    tool.stop();
}

#[test]
fn drsnoop() {
    let Some(group) = Limited::new("reclaim", 16 << 20) else { return };
    let directory = tempfile::tempdir().unwrap();
    let Some(mut tool) = start(&["drsnoop"]) else { return };
    // Pages of files can be given up: that is what a group does at its limit.
    let path = directory.path().join("data");
    let pid = group.run(&format!("exec dd if=/dev/zero of={} bs=1M count=48", path.display()));
    let row = tool.wait(|row| row["pid"] == pid);
    assert!(is(&row, &[("comm", "dd"), ("cause", "cgroup")]) && number(&row, "latency_ns") > 0, "{row:?}");
    let rows = tool.stop();
    assert!(rows.iter().filter(|row| row["pid"] == pid).any(|row| number(row, "pages") > 0), "{rows:?}");
}

/// Memory that [`memleak`] finds: pieces, and bytes of each.
const PIECES: usize = 40;
const PIECE: usize = 50_000;

/// Keeps memory, in a process of its own.
#[test]
#[ignore = "a part of the test of memleak, which runs it as a process"]
fn keeper() {
    if std::env::var_os("SKEP_TEST_KEEPER").is_none() {
        return;
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    for _ in 0..PIECES {
        std::mem::forget(std::hint::black_box(Vec::<u8>::with_capacity(PIECE)));
        drop(std::hint::black_box(Vec::<u8>::with_capacity(2 * PIECE)));
    }
    println!("\nkept");
    std::io::stdin().read_line(&mut line).unwrap();
}

/// The rows of memleak with these options about what [`keeper`] keeps. One tool at a time: each makes every call of malloc on
/// the machine slower, also those of the next.
fn kept(options: &[&str]) -> Option<Vec<super::Row>> {
    let exe = std::env::current_exe().unwrap();
    let mut keeper = Command::new(exe);
    keeper.args(["--exact", "tools::memory::keeper", "--ignored", "--nocapture", "--test-threads", "1"]);
    let mut keeper = keeper.env("SKEP_TEST_KEEPER", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = keeper.id().to_string();
    let mut orders = keeper.stdin.take().unwrap();
    let mut said = BufReader::new(keeper.stdout.take().unwrap()).lines();
    let tool = start(&[&["memleak", "-p", &pid][..], options].concat());
    writeln!(orders).unwrap();
    assert!(said.any(|line| line.unwrap() == "kept"));
    let rows = tool.map(super::Tool::stop);
    writeln!(orders).unwrap();
    drop(orders);
    keeper.wait().unwrap();
    let rows = rows?;
    assert!(rows.iter().all(|row| row["pid"] == pid), "{rows:?}");
    Some(rows)
}

#[test]
fn memleak() {
    if !super::able() {
        return;
    }
    let Some(rows) = kept(&[]) else { return };
    let large: Vec<_> = rows.iter().filter(|row| number(row, "bytes") >= (PIECES * PIECE) as i64).collect();
    let [row] = large.as_slice() else { panic!("{rows:?}") };
    assert_eq!((number(row, "bytes"), number(row, "count")), ((PIECES * PIECE) as i64, PIECES as i64), "{row:?}");
    // Who called malloc: the function itself, or one of the standard library that has no frame pointer for the next.
    let stack = &row["user_stack"];
    assert!(stack.contains("keeper") || stack.contains("raw_vec"), "{row:?}");
    // A command: looked at from its first call on, until it ends.
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("keep");
    let exe = std::env::current_exe().unwrap();
    let text = format!(
        "#!/bin/sh\nSKEP_TEST_KEEPER=1 exec {} --exact tools::memory::keeper --ignored --test-threads 1 >/dev/null\n",
        exe.display()
    );
    std::fs::write(&script, text).unwrap();
    let mut tool = start(&["memleak", "-c", &format!("sh {}", script.display())]).unwrap();
    let of_command = tool.rest();
    let kept_there = |row: &&super::Row| number(row, "count") == PIECES as i64;
    let large = of_command.iter().filter(kept_there).map(|row| number(row, "bytes")).max();
    assert_eq!(large, Some((PIECES * PIECE) as i64), "{of_command:?}");
    // One row for each piece, at addresses of their own.
    let each = kept(&["-a"]).unwrap();
    let pieces = each.iter().filter(|row| number(row, "bytes") == PIECE as i64).map(|row| &row["address"]);
    assert_eq!(pieces.collect::<std::collections::BTreeSet<_>>().len(), PIECES, "{each:?}");
    // Nothing is ten minutes old.
    let older = kept(&["--older", "600000"]).unwrap();
    assert!(older.is_empty(), "{older:?}");
    // One piece of four, of those that have the size.
    let sampled = kept(&["--sample-rate", "4", "-z", "50000", "-Z", "50000"]).unwrap();
    let counted: i64 = sampled.iter().map(|row| number(row, "count")).sum();
    assert_eq!(counted, (PIECES / 4) as i64, "{sampled:?}");
}

#[test]
fn capable() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Linux 6.14
    if !traces("cap_capable") {
        return;
    }
    let Some(mut tool) = start(&["capable"]) else { return };
    let own = shell(&format!("exec chown 1 {}", file.display()));
    let row = tool.wait(|row| is(row, &[("pid", &own), ("name", "CAP_CHOWN")]));
    assert!(is(&row, &[("cap", "0"), ("granted", "true"), ("uid", "0"), ("comm", "chown")]), "{row:?}");
    assert!(row["kernel_stack"].contains("chown") && !row["user_stack"].is_empty(), "{row:?}");
    let other = shell("exec setpriv --reuid=65534 --clear-groups cat /etc/shadow");
    let row = tool.wait(|row| is(row, &[("pid", &other), ("name", "CAP_DAC_READ_SEARCH"), ("comm", "cat")]));
    assert!(is(&row, &[("granted", "false"), ("uid", "65534")]), "{row:?}");
    tool.stop();
}

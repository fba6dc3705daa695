//! Whole processes of `skep` against tcpdump, in turns: start-up, compiling, and reading two million packets.
//! `cargo bench -p skep-cli --bench figures` prints a table; the times are the best of several rounds.
//!
//! `cargo bench -p skep-cli --bench figures -- --keep DIR` makes the recording in a directory and leaves it there.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skep_packet::LinkType;
use skep_testkit::packets;

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
const PACKETS: usize = 2_000_000;
/// Different packets among them.
const DISTINCT: usize = 6_500;
/// Bytes of a packet on average.
const MEAN: usize = 284;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !args.iter().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let own;
    let directory = match args.iter().position(|arg| arg == "--keep").and_then(|at| args.get(at + 1)) {
        Some(kept) => PathBuf::from(kept),
        None => {
            own = tempfile::tempdir()?;
            own.path().to_owned()
        }
    };
    fs::create_dir_all(&directory)?;
    let big = directory.join("big.pcap");
    if !big.exists() {
        make_recording(&big)?;
    }
    println!("{:<34} {:>10} {:>10} {:>8}", "", "skep ms", "tcpdump ms", "ratio");
    start_up();
    reading(&big.display().to_string());
    Ok(())
}

/// Packets of all kinds, repeated, with realistic lengths.
fn make_recording(path: &Path) -> Result<(), Box<dyn Error>> {
    let distinct: Vec<Vec<u8>> = packets(LinkType::EN10MB, DISTINCT * 6, 1)
        .into_iter()
        .filter(|packet| packet.data.len() == packet.orig_len as usize && packet.data.len() > 33)
        // Traffic is mostly IP: of the rest a tenth is kept.
        .enumerate()
        .filter(|(at, packet)| at % 10 == 0 || matches!(packet.data[12..14], [0x08, 0x00] | [0x86, 0xdd]))
        .map(|(_, packet)| packet)
        .take(DISTINCT)
        .enumerate()
        // Frames are padded in different measure, as traffic is of short and long packets.
        .map(|(at, mut packet)| {
            let length = packet.data.len().max((at * 7919) % (2 * MEAN));
            packet.data.resize(length, 0);
            packet.data
        })
        .collect();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    out.write_all(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])?;
    for (at, data) in (0..PACKETS as u32).zip(distinct.iter().cycle()) {
        let length = data.len() as u32;
        for word in [1_700_000_000 + at / 1000, at % 1000 * 1000, length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(data)?;
    }
    out.flush()?;
    Ok(())
}

fn start_up() {
    let arguments = ["-y", "EN10MB", "-d", "ip and tcp"];
    compare("compile `ip and tcp`", 300, &arguments, &arguments);
    let hosts = hosts(1000);
    // tcpdump takes the better part of a minute for it.
    let arguments = ["-y", "EN10MB", "-d", &hosts];
    row("compile 1,000 or'ed hosts", best(SKEP, &arguments, 20), None);
}

fn reading(big: &str) {
    let count = |expression: &'static str| vec!["-n", "-r", big, "--count", expression];
    compare("--count, no filter", 5, &["-r", big, "--count"], &["-r", big, "--count"]);
    compare("--count 'ip and tcp'", 5, &count("ip and tcp"), &count("ip and tcp"));
    for expression in ["tcp port 80", "host 1.2.3.4", "tcp[tcpflags] & tcp-syn != 0"] {
        compare(&format!("--count '{expression}'"), 5, &count(expression), &count(expression));
    }
    let write = ["-r", big, "-w", "/dev/null"];
    compare("-w /dev/null, no filter", 5, &write, &write);
    let write = ["-r", big, "-w", "/dev/null", "tcp port 80"];
    compare("-w /dev/null 'tcp port 80'", 5, &write, &write);
    let hosts = hosts(50);
    let many = ["-n", "-r", big, "--count", &hosts];
    compare("--count, 50 or'ed hosts", 5, &many, &many);
    let print = ["-n", "-r", big, "tcp"];
    compare("print -n tcp", 3, &print, &print);
    let print = ["-n", "-r", big];
    compare("print -n, everything", 3, &print, &print);
}

fn hosts(count: u32) -> String {
    let list: Vec<String> = (0..count).map(|i| format!("host 10.{}.{}.{}", i % 7, i / 256, i % 256)).collect();
    list.join(" or ")
}

fn compare(what: &str, rounds: usize, ours: &[&str], theirs: &[&str]) {
    let (mut first, mut second) = (Duration::MAX, Some(Duration::MAX));
    for _ in 0..rounds {
        first = first.min(best(SKEP, ours, 1));
        second = second.and_then(|time| Some(time.min(once("tcpdump", theirs)?)));
    }
    row(what, first, second);
}

fn row(what: &str, ours: Duration, theirs: Option<Duration>) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    match theirs {
        Some(theirs) => {
            println!("{what:<34} {:>10.2} {:>10.2} {:>8.2}", ms(ours), ms(theirs), ms(theirs) / ms(ours));
        }
        None => println!("{what:<34} {:>10.2} {:>10} {:>8}", ms(ours), "-", "-"),
    }
}

fn best(program: &str, arguments: &[&str], rounds: usize) -> Duration {
    (0..rounds).filter_map(|_| once(program, arguments)).min().unwrap_or_default()
}

/// The time of one run; `None` if the program is missing or fails.
fn once(program: &str, arguments: &[&str]) -> Option<Duration> {
    let mut command = Command::new(program);
    if program == SKEP {
        command.arg("filter");
    }
    let start = Instant::now();
    let status = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    status.success().then(|| start.elapsed())
}

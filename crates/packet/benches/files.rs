//! Reading and copying two million packets, whole process against tcpdump, in turns. `cargo bench -p skep-packet`.
//!
//! The bench starts itself as the child to be timed, so both sides pay for a process. Without tcpdump only our own
//! times are printed.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skep_packet::{Reader, Verdict, WriteOptions, Writer};

const PACKETS: u32 = 2_000_000;
const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child-count", file] => count(file),
        ["child-copy", file, keep] => copy(file, keep.parse()?),
        _ if args.iter().any(|arg| arg == "--bench") => compare(),
        // `cargo test --all-targets` runs benches too; they have nothing to prove there.
        _ => Ok(()),
    }
}

fn count(file: &str) -> Result<(), Box<dyn Error>> {
    let mut reader = Reader::open(file)?;
    let mut packets = 0;
    while reader.next()?.is_some() {
        packets += 1;
    }
    println!("{packets} packets, {} KiB at most", peak_kib());
    Ok(())
}

/// Keeps `keep` of every 16 packets.
fn copy(file: &str, keep: u64) -> Result<(), Box<dyn Error>> {
    let mut reader = Reader::open(file)?;
    let mut writer = Writer::create("/dev/null", &WriteOptions::like(&reader))?;
    let mut number = 0u64;
    writer.copy(&mut reader, |_| {
        number += 1;
        if number.wrapping_mul(11) % 16 < keep { Verdict::Keep } else { Verdict::Drop }
    })?;
    println!("{} packets, {} KiB at most", writer.finish()?, peak_kib());
    Ok(())
}

/// The most memory this process ever had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn compare() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("big.pcap");
    build(&file)?;
    let name = file.to_str().ok_or("the temporary directory has a name that is not text")?;
    let this = std::env::current_exe()?;
    let this = this.to_str().ok_or("this program has a name that is not text")?;
    let cases: [(&str, &[&str], &[&str]); 3] = [
        ("count", &[this, "child-count", name], &["tcpdump", "-n", "-r", name, "--count"]),
        ("write all", &[this, "child-copy", name, "16"], &["tcpdump", "-n", "-r", name, "-w", "/dev/null"]),
        (
            "write some",
            &[this, "child-copy", name, "5"],
            &["tcpdump", "-n", "-r", name, "-w", "/dev/null", "ip[8] < 80"],
        ),
    ];
    for (what, ours, theirs) in cases {
        let (mut best, mut peer) = (Duration::MAX, Duration::MAX);
        let mut said = String::new();
        let mut peer_runs = true;
        for _ in 0..ROUNDS {
            let (time, output) = run(ours)?;
            best = best.min(time);
            said = output;
            match run(theirs) {
                Ok((time, _)) if peer_runs => peer = peer.min(time),
                _ => peer_runs = false,
            }
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        print!("{what:10} skep {:6.1} ms ({})", ms(best), said.trim());
        if peer_runs {
            print!("  tcpdump {:6.1} ms  ratio {:.2}", ms(peer), ms(peer) / ms(best));
        }
        println!();
    }
    Ok(())
}

fn run(command: &[&str]) -> Result<(Duration, String), Box<dyn Error>> {
    let start = Instant::now();
    let output = Command::new(command[0]).args(&command[1..]).stderr(Stdio::null()).output()?;
    let time = start.elapsed();
    if !output.status.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok((time, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// About 600 MB of Ethernet packets of mixed sizes, mean 284 bytes.
fn build(path: &Path) -> Result<(), Box<dyn Error>> {
    const SIZES: [usize; 16] = [60, 66, 74, 90, 120, 200, 400, 590, 1514, 982, 60, 66, 66, 66, 66, 130];
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let header = [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 262_144, 1u32];
    header.iter().try_for_each(|word| out.write_all(&word.to_ne_bytes()))?;
    let mut state = 1u32;
    let mut body = [0u8; 1514];
    for number in 0..PACKETS {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = SIZES[(state >> 28) as usize];
        body[12..14].copy_from_slice(&[8, 0]);
        body[22] = (state >> 16) as u8;
        let head = [1_700_000_000 + number / 10_000, number % 10_000 * 100, size as u32, size as u32];
        head.iter().try_for_each(|word| out.write_all(&word.to_ne_bytes()))?;
        out.write_all(&body[..size])?;
    }
    out.flush()?;
    Ok(())
}

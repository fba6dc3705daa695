//! Symbols of addresses of this process: `cargo bench -p skep-sym`.
//!
//! Prints the time to the first symbol (the file is read) and symbols a second afterwards, and beside them what `addr2line`
//! of binutils needs for the same addresses. The aim is 100,000 a second.

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use skep_sym::{Binary, DebugDirs, Processes, mappings, resolve};

const SYMBOLS: usize = 2_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let pid = std::process::id();
    let path = resolve("libc", Some(pid))?;
    let binary = Binary::open(&path)?;
    let mapping = mappings(pid)?
        .into_iter()
        .find(|mapping| mapping.executable && path.ends_with(mapping.path.strip_prefix("/").unwrap_or(&mapping.path)))
        .ok_or("libc is not mapped")?;
    let inside = mapping.offset..mapping.offset + (mapping.end - mapping.start);
    let functions: Vec<_> =
        binary.functions().filter(|symbol| symbol.offset.is_some_and(|offset| inside.contains(&offset))).collect();
    let addresses: Vec<u64> = functions
        .iter()
        .filter_map(|symbol| Some(mapping.start + symbol.offset? - mapping.offset + symbol.size / 2))
        .collect();
    println!("{} functions of {}", addresses.len(), path.display());

    let mut processes = Processes::new(DebugDirs::default(), true);
    let start = Instant::now();
    black_box(processes.symbol(pid, addresses[0]).ok_or("no symbol")?);
    println!("first symbol        {:>12.3?}", start.elapsed());
    let start = Instant::now();
    let mut named = 0;
    for round in 0..SYMBOLS {
        // Far from the last one.
        let address = addresses[(round * 7919) % addresses.len()];
        named += usize::from(black_box(processes.symbol(pid, address)).is_some());
    }
    let rate = SYMBOLS as f64 / start.elapsed().as_secs_f64();
    println!("skep                {rate:>12.0} symbols a second, {named} of {SYMBOLS} named");

    let start = Instant::now();
    let child =
        Command::new("addr2line").args(["-f", "-e"]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let Ok(mut child) = child else {
        println!("addr2line is not installed");
        return Ok(());
    };
    let mut input = child.stdin.take().ok_or("no input")?;
    for symbol in &functions {
        writeln!(input, "{:x}", symbol.address + symbol.size / 2)?;
    }
    drop(input);
    child.wait()?;
    let rate = functions.len() as f64 / start.elapsed().as_secs_f64();
    println!("addr2line           {rate:>12.0} symbols a second, once for each");
    Ok(())
}

//! Time of our verification beside the kernel's own on the same programs, which its log states, and memory.
//!
//! The programs are those of `target/selftests/objects` (`cargo xtask corpus` compiles them) that both accept. Each is
//! measured three times, and the shortest time counts. The slowest are shown, and those that take more than twice as long. `SKEP_BENCH_PROGRAM` names a program that is verified again and
//! again in place of that, for a profiler.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_btf::Btf;
use skep_kernel::{LoadOptions, LogLevel, RunningKernel, load_with};
use skep_object::{Object, Program};
use skep_verifier::{Kernel, Verdict, verify_with};

/// Times each program is verified.
const RUNS: usize = 3;
/// Programs that are shown.
const SHOWN: usize = 25;

/// The times of a program.
struct Row {
    name: String,
    processed: u64,
    /// Instructions that the kernel has looked at.
    theirs: u64,
    ours: Duration,
    kernel: Duration,
}

fn ratio(ours: Duration, kernel: Duration) -> f64 {
    ours.as_secs_f64() / kernel.as_secs_f64().max(1e-6)
}

/// The time that the kernel says it took, and the instructions that it has looked at.
fn kernel_time(object: &Object, name: &str) -> Option<(Duration, u64)> {
    let programs = [name];
    let options =
        LoadOptions { programs: Some(&programs), pins: None, log: LogLevel::Statistics, ..LoadOptions::default() };
    let times = (0..RUNS).filter_map(|_| {
        let loaded = load_with(object, &options).ok()?;
        let log = loaded.programs.first()?.log().text();
        let number = |start: &str| -> Option<u64> {
            let line = log.lines().find_map(|line| line.strip_prefix(start))?;
            line.split(' ').next()?.parse().ok()
        };
        Some((Duration::from_micros(number("verification time ")?), number("processed ")?))
    });
    times.min()
}

fn our_time(object: &Object, program: &Program, types: &Arc<Btf>) -> Option<(Duration, u64)> {
    let mut best = Duration::MAX;
    let mut processed = 0;
    for _ in 0..RUNS {
        let begin = Instant::now();
        let verdict = verify_with(object, program, Kernel::newest(), types);
        best = best.min(begin.elapsed());
        let Verdict::Accepted(facts) = verdict else { return None };
        processed = facts.processed;
    }
    Some((best, processed))
}

/// The largest resident set so far, in MiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn objects() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let directory = program.ancestors().nth(3).map_or_else(PathBuf::new, |path| path.join("selftests/objects"));
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    paths.sort_unstable();
    paths
}

fn fitted(path: &Path) -> Option<Object> {
    let mut object = Object::from_elf(&std::fs::read(path).ok()?).ok()?;
    object.programs.iter_mut().for_each(|program| program.autoload = true);
    object.resolve(&RunningKernel::for_object(&object)).ok()?;
    Some(object)
}

fn main() {
    let Ok(types) = RunningKernel::new().types() else {
        return println!("SKIPPED: the kernel shows no types");
    };
    if let Ok(wanted) = std::env::var("SKEP_BENCH_PROGRAM") {
        return again_and_again(&wanted, &types);
    }
    let start = memory();
    let mut rows = Vec::new();
    for path in objects() {
        let Some(object) = fitted(&path) else { continue };
        for program in &object.programs {
            let Some((kernel, theirs)) = kernel_time(&object, &program.name) else { continue };
            let Some((ours, processed)) = our_time(&object, program, &types) else { continue };
            let file = path.file_stem().unwrap_or_default().to_string_lossy();
            rows.push(Row { name: format!("{file} {}", program.name), processed, theirs, ours, kernel });
        }
    }
    report(&mut rows, start);
}

fn report(rows: &mut [Row], start: u64) {
    let sum = |time: fn(&Row) -> Duration| rows.iter().map(time).sum::<Duration>();
    let (ours, kernel) = (sum(|row| row.ours), sum(|row| row.kernel));
    let slower = rows.iter().filter(|row| ratio(row.ours, row.kernel) > 2.0).count();
    let mut text =
        format!("{:<60} {:>9} {:>9} {:>10} {:>10} {:>6}\n", "program", "insns", "kernel's", "ours", "kernel", "ratio");
    let mut add = |row: &Row| {
        let (ours, kernel) = (row.ours.as_micros(), row.kernel.as_micros());
        let ratio = ratio(row.ours, row.kernel);
        let Row { name, processed, theirs, .. } = row;
        let _ = writeln!(text, "{name:<60} {processed:>9} {theirs:>9} {ours:>7} us {kernel:>7} us {ratio:>6.2}");
    };
    rows.sort_by_key(|row| std::cmp::Reverse(row.ours));
    rows.iter().take(SHOWN).for_each(&mut add);
    rows.iter().skip(SHOWN).filter(|row| ratio(row.ours, row.kernel) > 2.0).for_each(&mut add);
    let together = ratio(ours, kernel);
    println!(
        "{text}{} programs: ours {} ms, kernel {} ms, ratio {together:.2}; {slower} take more than twice as long; \
         memory {start} MiB before, at most {} MiB",
        rows.len(),
        ours.as_millis(),
        kernel.as_millis(),
        memory()
    );
}

fn again_and_again(wanted: &str, types: &Arc<Btf>) {
    for path in objects() {
        let Some(object) = fitted(&path) else { continue };
        let Some(program) = object.program(wanted) else { continue };
        for _ in 0..RUNS {
            let begin = Instant::now();
            let verdict = verify_with(&object, program, Kernel::newest(), types);
            println!("{} ms, {} MiB: {verdict:?}", begin.elapsed().as_millis(), memory());
        }
        return;
    }
    println!("no object has a program `{wanted}`");
}

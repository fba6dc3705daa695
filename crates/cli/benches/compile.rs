//! Programs in C as whole processes against clang in the same run: time and peak memory of compiling each program of the
//! corpus, instructions, and how long the programs take in the kernel. `cargo bench -p skep-cli --bench compile` prints a
//! table; loading programs needs CAP_BPF. Both compilers take turns; times are the best of several rounds.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skep_btf::{Btf, CPrinter, Source};
use skep_isa::ProgType;
use skep_kernel::{KernelBtf, LoadOptions, Loaded, TestInput, load_with};
use skep_lang_c::headers;
use skep_object::Object;
use skep_testkit::sources;

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
const ROUNDS: usize = 3;
/// Runs of a program in one call of the kernel.
const REPEAT: u32 = 20_000;

/// What one compiler needed for a program.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    /// Most memory, in KiB.
    memory: u64,
}

/// Ratios of one figure over all programs.
#[derive(Default)]
struct Ratios(Vec<f64>);

impl Ratios {
    /// The geometric mean, the best and the worst.
    fn row(&self, what: &str) {
        if self.0.is_empty() {
            return println!("{what:<44} nothing to compare");
        }
        let mean = (self.0.iter().map(|ratio| ratio.ln()).sum::<f64>() / self.0.len() as f64).exp();
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        println!("{what:<44} {mean:>8.3} {least:>8.3} {most:>8.3} {:>6}", self.0.len());
    }
}

fn main() {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    if Command::new("clang").arg("--version").stdout(Stdio::null()).status().is_err() {
        return println!("clang is not installed: there is nothing to compare with");
    }
    let directory = tempfile::tempdir().expect("a directory");
    write_headers(directory.path());
    let [ours, theirs] = ["ours.o", "theirs.o"].map(|name| directory.path().join(name));
    let (mut times, mut memories, mut runs) = (Ratios::default(), Ratios::default(), Ratios::default());
    let (mut sums, mut insns) = ([Duration::ZERO; 2], [0usize; 2]);
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "", "skep ms", "clang ms", "skep KiB", "clang KiB", "insns", "clang"
    );
    for source in sources::sources() {
        let (Some(mine), Some(other)) =
            (best(|| skep(&source, &ours)), best(|| sources::clang(&source, &theirs, directory.path())))
        else {
            continue;
        };
        times.0.push(mine.time.as_secs_f64() / other.time.as_secs_f64());
        memories.0.push(mine.memory as f64 / other.memory as f64);
        sums = [sums[0] + mine.time, sums[1] + other.time];
        let objects =
            [&ours, &theirs].map(|path| Object::from_elf(&fs::read(path).expect("an object")).expect("an object"));
        let sizes = sizes(&objects);
        insns = [insns[0] + sizes[0], insns[1] + sizes[1]];
        runs.0.extend(running(&objects));
        println!(
            "{:<28} {:>9.2} {:>9.2} {:>9} {:>9} {:>7} {:>7}",
            source.file_name().unwrap_or_default().to_string_lossy(),
            mine.time.as_secs_f64() * 1e3,
            other.time.as_secs_f64() * 1e3,
            mine.memory,
            other.memory,
            sizes[0],
            sizes[1]
        );
    }
    println!("\n{:<44} {:>8} {:>8} {:>8} {:>6}", "skep / clang -O2", "mean", "least", "most", "of");
    times.row("time of the process");
    memories.row("peak memory");
    runs.row("time of programs in the kernel");
    println!("{:<44} {:>8.3}", "time, all together", sums[0].as_secs_f64() / sums[1].as_secs_f64());
    println!("{:<44} {:>8.3} ({} / {})", "instructions", insns[0] as f64 / insns[1] as f64, insns[0], insns[1]);
}

/// Our headers, with all types of the kernel as text, where clang finds them.
fn write_headers(directory: &Path) {
    let kernel = Btf::parse(Source::new(KernelBtf::vmlinux().expect("the types of the kernel"))).expect("types");
    let mut printer = CPrinter::new(&kernel);
    printer.add_all().expect("the types of the kernel");
    sources::write_headers(directory, headers::files());
    fs::write(directory.join("vmlinux.h"), printer.into_header()).expect("a header");
}

fn skep(source: &Path, object: &Path) -> Command {
    let mut command = Command::new(SKEP);
    command.arg("build").arg("-o").arg(object).arg(source);
    command
}

/// The best of several rounds; nothing if the compiler refuses the program.
fn best(command: impl Fn() -> Command) -> Option<Cost> {
    let costs: Option<Vec<Cost>> = (0..ROUNDS).map(|_| cost(command())).collect();
    let costs = costs?;
    Some(Cost { time: costs.iter().map(|cost| cost.time).min()?, memory: costs.iter().map(|cost| cost.memory).max()? })
}

fn cost(mut command: Command) -> Option<Cost> {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let mut memory = 0;
    loop {
        memory = memory.max(peak(&child));
        if let Some(status) = child.try_wait().ok()? {
            let time = start.elapsed();
            return status.success().then_some(Cost { time, memory });
        }
    }
}

/// Most memory so far, looked at as often as possible (`VmHWM` in proc_pid_status(5)).
fn peak(child: &Child) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Instructions of the programs that both have.
fn sizes(objects: &[Object; 2]) -> [usize; 2] {
    let common = |name: &str| objects.iter().all(|of| of.programs.iter().any(|program| program.name == name));
    [0, 1].map(|at| objects[at].programs.iter().filter(|one| common(&one.name)).map(|one| one.insns.len()).sum())
}

/// For each program of the network that runs from both objects, how long one run takes in relation.
fn running(objects: &[Object; 2]) -> Vec<f64> {
    let packet = packet();
    let mut ratios = Vec::new();
    for program in &objects[0].programs {
        if !matches!(program.prog_type, ProgType::Xdp | ProgType::SchedCls | ProgType::SocketFilter) {
            continue;
        }
        let names = [program.name.as_str()];
        let options = LoadOptions { programs: Some(&names), pins: None, ..LoadOptions::default() };
        let (Ok(one), Ok(other)) = (load_with(&objects[0], &options), load_with(&objects[1], &options)) else {
            continue;
        };
        let once = |loaded: &Loaded| {
            let input = TestInput { data: &packet, repeat: REPEAT, ..TestInput::default() };
            let ran = loaded.program(names[0])?.test(&input).ok()?;
            Some(ran.run.duration.as_nanos() as f64)
        };
        let mut best = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (least, loaded) in best.iter_mut().zip([&one, &other]) {
                *least = least.min(once(loaded).unwrap_or(f64::INFINITY));
            }
        }
        // Programs that end at once are as fast as the clock is coarse.
        if best.iter().all(|time| time.is_finite() && *time >= 10.0) {
            ratios.push(best[0] / best[1]);
        }
    }
    ratios
}

/// A packet of TCP over IPv4.
fn packet() -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    bytes.extend([0x45, 0, 0, 60, 1, 2, 0, 0, 64, 6, 0x12, 0x34, 10, 1, 2, 3, 192, 168, 7, 9, 0x30, 0x39, 0, 80]);
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.resize(74, 0x33);
    bytes
}

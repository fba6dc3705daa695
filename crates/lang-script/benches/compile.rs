//! The compiler on the scripts of the tests: `cargo bench -p skep-lang-script --bench compile`.
//!
//! One script alone is shown as code, and compiled over
//! and over for a profiler: `SKEP_BENCH_SCRIPT=NAME`.
//!
//! Prints how long each stage and each pass takes, the best of several rounds, and how many instructions come out, next to
//! what bpftrace makes of the same scripts in the same run if it is installed (`bpftrace --emit-elf`, in a mount namespace
//! with tracefs, for which this needs root). Its times are those of the whole process, less that of one that only prints
//! its version.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use skep_isa::ebpf::{Cpu, Endian};
use skep_lang_script::compile::{Compiled, Environment, Switches, Text, compile};
use skep_lang_script::registers::Arch;
use skep_lang_script::types::btf::BtfTypes;
use skep_lang_script::types::{NoTypes, TypeSource};
use skep_lang_script::{Options, builtins, desugar};
use skep_object::Object;

#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/compile/world.rs"]
mod world;

const ROUNDS: u32 = 20;

/// What the running kernel takes.
static CPU: LazyLock<Cpu> =
    LazyLock::new(|| Cpu::from_number(skep_kernel::probe::instruction_set()).unwrap_or(Cpu::V3));

/// Short scripts whose size other compilers publish.
const SHORT: &[(&str, &str)] = &[
    ("exit", "BEGIN { exit(); }"),
    ("printf of texts", "tracepoint:syscalls:sys_enter_openat { printf(\"%s %s\\n\", comm, str(args->filename)); }"),
    ("count by command", "tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }"),
    ("histogram", "tracepoint:raw_syscalls:sys_enter { @ = hist(args->id); }"),
    ("count by kernel stack", "tracepoint:syscalls:sys_enter_openat { @[kstack] = count(); }"),
    ("count by user stack", "uprobe:/bin/bash:readline { @[ustack] = count(); }"),
];

/// Stages in order, with the best time of each.
#[derive(Default)]
struct Times(Vec<(String, Duration)>);

impl Times {
    fn total(&self) -> Duration {
        self.0.iter().map(|stage| stage.1).sum()
    }

    /// Keeps the better time of each stage.
    fn keep_best(&mut self, other: Self) {
        if self.0.is_empty() {
            self.0 = other.0;
        } else {
            self.0.iter_mut().zip(other.0).for_each(|(best, new)| best.1 = best.1.min(new.1));
        }
    }

    fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else {
            self.0.iter_mut().zip(&other.0).for_each(|(sum, new)| sum.1 += new.1);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let short = SHORT.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let scripts: Vec<(String, String)> = short.chain(world::tools()).collect();
    if let Some(name) = std::env::var_os("SKEP_BENCH_SCRIPT") {
        let (name, text) = scripts.iter().find(|tool| *tool.0 == name).ok_or("there is no script of this name")?;
        return one(name, text);
    }
    let start = Instant::now();
    world::kernel_types();
    println!("types of the kernel: {} ms\n", milliseconds(start.elapsed()));
    let floor = bpftrace(&["--version"]).map(|run| run.0);
    let mut passes = Times::default();
    let mut totals = [0usize; 3];
    println!("{:<24} {:>8} {:>10} | {:>9} {:>9} | {:>10}", "", "ms", "bpftrace", "insns", "bpftrace", "unshared");
    for (name, text) in scripts {
        let (best, object) = measure(&name, &text)?;
        let sizes = sizes(&object);
        let other = emit_elf(&text, floor);
        totals[0] += sizes.0;
        if let Some((_, insns)) = other {
            totals[1] += sizes.0;
            totals[2] += insns;
        }
        let text = |found: Option<String>| found.unwrap_or_else(|| "-".to_owned());
        println!(
            "{name:<24} {:>8} {:>10} | {:>9} {:>9} | {:>10}",
            milliseconds(best.total()),
            text(other.map(|other| milliseconds(other.0))),
            sizes.0,
            text(other.map(|other| other.1.to_string())),
            sizes.1,
        );
        passes.add(&best);
    }
    println!("{:<24} {:>8} {:>10} | {:>9}", "all", milliseconds(passes.total()), "", totals[0]);
    println!("{:<24} {:>8} {:>10} | {:>9} {:>9}", "those that both take", "", "", totals[1], totals[2]);
    println!();
    for (name, time) in &passes.0 {
        println!("{name:<24} {:>8} ms", milliseconds(*time));
    }
    Ok(())
}

/// Shows the code of a script, and compiles it over and over for a profiler.
fn one(name: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let object = build(name, text, &mut Times::default())?;
    for program in &object.programs {
        println!("{}:\n{}", program.name, skep_isa::ebpf::disassemble(&program.insns)?);
    }
    for _ in 0..ROUNDS * 50 {
        build(name, text, &mut Times::default())?;
    }
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

/// The best times of some rounds.
fn measure(name: &str, text: &str) -> Result<(Times, Object), Box<dyn Error>> {
    let mut best = Times::default();
    let mut last = None;
    for _ in 0..ROUNDS {
        let mut times = Times::default();
        last = Some(build(name, text, &mut times)?);
        best.keep_best(times);
    }
    Ok((best, last.ok_or("no rounds")?))
}

/// Text to programs.
fn build(name: &str, text: &str, times: &mut Times) -> Result<Object, Box<dyn Error>> {
    let mut last = Instant::now();
    let options = Options { name, builtin: &|name| builtins::find(name).is_some(), ..Options::default() };
    let simple = desugar(text, &options);
    times.0.push(("parse".to_owned(), last.elapsed()));
    // The types are new each time: what the compiler learns about them is part of its work.
    let formats = |category: &str, event: &str| world::format(category, event);
    let types = world::kernel_types().map(|btf| BtfTypes::new(btf).with_formats(&formats));
    last = Instant::now();
    let env = Environment {
        name,
        text: &Text::new(text),
        types: types.as_ref().map_or(&NoTypes as &dyn TypeSource, |types| types),
        probes: &world::Places,
        facts: &world::Answers,
        positional: &[],
        named: &[],
        allow_unsafe: true,
        process: None,
        arch: Arch::default(),
        inner_ids: false,
        switches: Switches::default(),
        foreign: None,
    };
    let compiled = compile(&simple.script, &env).map_err(|problems| format!("{name}: {problems:?}"))?;
    times.0.push(("compile".to_owned(), last.elapsed()));
    let Compiled { mut module, .. } = compiled;
    let cpu = *CPU;
    let passes = skep_opt::Options { verify: false, cpu: cpu.number(), ..skep_opt::Options::compact() };
    let report = skep_opt::optimise(&mut module, &passes);
    for (number, pass) in report.passes.iter().enumerate() {
        times.0.push((format!("{number:>2} {}", pass.name), pass.time));
    }
    last = Instant::now();
    let object = skep_codegen::compile(&module, &skep_codegen::Options { cpu, endian: Endian::NATIVE })?;
    times.0.push(("generate".to_owned(), last.elapsed()));
    Ok(object)
}

/// Instructions of all programs as they are loaded, and with functions that several of them share counted once.
fn sizes(object: &Object) -> (usize, usize) {
    let all = object.programs.iter().map(|program| program.insns.len()).sum();
    let mut seen = Vec::new();
    let mut once = 0;
    for program in &object.programs {
        for (number, function) in program.functions.iter().enumerate() {
            let end = program.functions.get(number + 1).map_or(program.insns.len(), |next| next.at.index());
            if number == 0 || !seen.contains(&&function.name) {
                seen.push(&function.name);
                once += end - function.at.index();
            }
        }
    }
    (all, once)
}

/// Runs bpftrace: how long it took, and whether it went well. `None` if it cannot be run.
fn bpftrace(arguments: &[&str]) -> Option<(Duration, bool)> {
    let script = "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; exec bpftrace \"$@\"";
    let mut best: Option<(Duration, bool)> = None;
    for _ in 0..3 {
        let start = Instant::now();
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).args(arguments);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        let time = start.elapsed();
        best = Some(best.map_or((time, status.success()), |known| (known.0.min(time), status.success())));
    }
    best.filter(|run| run.1)
}

/// How long bpftrace takes for a script, and how many instructions it makes; `None` if it does not take it.
fn emit_elf(text: &str, floor: Option<Duration>) -> Option<(Duration, usize)> {
    let directory = std::env::temp_dir().join(format!("skep-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).ok()?;
    let (script, object) = (directory.join("script.bt"), directory.join("script.o"));
    std::fs::write(&script, text).ok()?;
    let run = bpftrace(&["--emit-elf", object.to_str()?, script.to_str()?]);
    let insns = instructions(&object);
    std::fs::remove_dir_all(&directory).ok()?;
    Some((run?.0.saturating_sub(floor?), insns?))
}

/// Instructions in the sections with code of an ELF file (elf(5): little-endian, 64 bits).
fn instructions(path: &Path) -> Option<usize> {
    const EXECUTABLE: u64 = 4;
    let bytes = std::fs::read(path).ok()?;
    let number = |at: usize, len: usize| -> Option<u64> {
        let field = bytes.get(at..at + len)?;
        Some(field.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    let word = |at: usize| usize::try_from(number(at, 8)?).ok();
    let (start, count) = (word(0x28)?, number(0x3c, 2)?);
    let mut total = 0;
    for section in 0..usize::try_from(count).ok()? {
        let header = start + section * 64;
        if number(header + 8, 8)? & EXECUTABLE != 0 {
            total += word(header + 32)? / 8;
        }
    }
    Some(total)
}

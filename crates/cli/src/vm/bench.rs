//! `skep vm bench`: the time of a program on every engine.

use std::time::{Duration, Instant};

use skep_isa::ProgType;
use skep_kernel::load as load_into_kernel;
use skep_vm::ebpf::{Engine, Worker};

use super::input::Work;
use super::json::Json;
use super::load::{Chosen, worker};
use super::report::fault_text;
use crate::args::VmBenchArgs;
use crate::failure::Failure;
use crate::text::print;

/// Turns that every engine gets; the best one counts.
const TURNS: u32 = 5;
/// Bytes of an Ethernet header, which the kernel wants in front of every test packet.
const ETHERNET: usize = 14;
/// Bytes of packet for the kernel if none was given.
const DEFAULT_PACKET: usize = 64;
/// Machines that are compiled to tell the time of it.
const COMPILATIONS: u32 = 20;
/// Most runs of a turn in the kernel, which takes no more at once.
const KERNEL_RUNS: f64 = 1_000_000.0;

/// What the kernel had to say.
#[derive(Debug)]
enum Kernel {
    Nanoseconds(f64),
    Missing(String),
}

/// Compiled code.
#[derive(Debug)]
struct Compiled {
    nanoseconds: f64,
    /// Without checks of addresses, if our verifier says that the program needs none.
    unchecked: Option<f64>,
    compile_per_insn: f64,
    code_bytes: usize,
}

/// Times the program.
pub fn run(args: &VmBenchArgs) -> Result<(), Failure> {
    let chosen = Chosen::new(&args.program)?;
    let work = Work::new(&args.program, &chosen)?;
    let turn = Duration::from_millis(args.time) / TURNS;
    let interpreter = chosen.machine(Engine::Interpreter)?;
    let jit = chosen.machine(Engine::Jit)?;
    let verified = chosen.verified_machine(Engine::Jit)?;
    let mut interpreted = Timed::new(worker(&interpreter)?, &chosen, &work)?;
    let mut compiled = match jit.prepare(chosen.index) {
        true => Some(Timed::new(worker(&jit)?, &chosen, &work)?),
        false => None,
    };
    let mut unchecked = match verified.prepare(chosen.index) && !verified.is_checked(chosen.index) {
        true => Some(Timed::new(worker(&verified)?, &chosen, &work)?),
        false => None,
    };
    for _ in 0..TURNS {
        interpreted.turn(turn)?;
        for compiled in compiled.iter_mut().chain(&mut unchecked) {
            compiled.turn(turn)?;
        }
    }
    let compiled = match compiled {
        None => None,
        Some(timed) => Some(Compiled {
            nanoseconds: timed.best,
            unchecked: unchecked.map(|timed| timed.best),
            compile_per_insn: compile_time(&chosen)?.as_nanos() as f64 / chosen.program().insns.len() as f64,
            code_bytes: jit.machine_code(chosen.index).len(),
        }),
    };
    let kernel = in_kernel(&chosen, &work, turn);
    let report = Report { interpreter: interpreted.best, compiled, kernel };
    print(&if args.json { report.json(&chosen) } else { report.text(&chosen) })
}

/// An engine that is timed.
struct Timed<'a> {
    worker: Worker,
    chosen: &'a Chosen,
    work: &'a Work,
    context: Vec<u8>,
    /// Nanoseconds of a run in the best turn.
    best: f64,
}

impl<'a> Timed<'a> {
    /// Runs once, so that everything is in place.
    fn new(worker: Worker, chosen: &'a Chosen, work: &'a Work) -> Result<Self, Failure> {
        let mut timed = Self { worker, chosen, work, context: Vec::new(), best: f64::INFINITY };
        timed.batch(1)?;
        Ok(timed)
    }

    fn batch(&mut self, runs: u64) -> Result<Duration, Failure> {
        let start = Instant::now();
        for _ in 0..runs {
            if let Err(fault) = self.work.run_in_place(&mut self.worker, self.chosen.index, &mut self.context) {
                return Err(Failure::Run(fault_text(&self.chosen.object, &self.worker, &fault)));
            }
        }
        Ok(start.elapsed())
    }

    fn turn(&mut self, time: Duration) -> Result<(), Failure> {
        // A batch is long enough for the clock, and short enough to be undisturbed now and then.
        let mut runs = 1;
        while self.batch(runs)? < Duration::from_micros(100) && runs < 1 << 20 {
            runs *= 2;
        }
        let start = Instant::now();
        loop {
            let taken = self.batch(runs)?;
            self.best = self.best.min(taken.as_nanos() as f64 / runs as f64);
            if start.elapsed() >= time {
                return Ok(());
            }
        }
    }
}

/// The best time to compile the program, without loading it.
fn compile_time(chosen: &Chosen) -> Result<Duration, Failure> {
    let mut best = Duration::MAX;
    for _ in 0..COMPILATIONS {
        let vm = chosen.machine(Engine::Jit)?;
        let start = Instant::now();
        vm.prepare(chosen.index);
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn in_kernel(chosen: &Chosen, work: &Work, turn: Duration) -> Kernel {
    if work.packet.is_none() && !work.context.is_empty() {
        return Kernel::Missing("the kernel passes a context of its own; --mem has no meaning there".to_owned());
    }
    let loaded = match load_into_kernel(&chosen.object) {
        Ok(loaded) => loaded,
        Err(error) => return Kernel::Missing(error.to_string()),
    };
    let Some(program) = loaded.programs.get(chosen.index) else {
        return Kernel::Missing("the program was not loaded".to_owned());
    };
    let packet = work.packet.clone().unwrap_or_else(|| vec![0; DEFAULT_PACKET]);
    // The kernel takes an Ethernet header off before it runs a socket filter.
    let head = if chosen.program().prog_type == ProgType::SocketFilter { ETHERNET } else { 0 };
    let data = [&[0; ETHERNET][..head], &packet].concat();
    let time = |runs: u32| program.test_run(&data, runs).map(|run| run.duration.as_nanos() as f64);
    let measure = || {
        // The kernel tells whole nanoseconds, at least none.
        let once = time(1000)?.max(1.0);
        let runs = (turn.as_nanos() as f64 / once).clamp(1000.0, KERNEL_RUNS) as u32;
        (0..TURNS).try_fold(f64::INFINITY, |best, _| Ok(time(runs)?.min(best)))
    };
    measure().map_or_else(|error: skep_kernel::KernelError| Kernel::Missing(error.to_string()), Kernel::Nanoseconds)
}

struct Report {
    interpreter: f64,
    compiled: Option<Compiled>,
    kernel: Kernel,
}

impl Report {
    fn text(&self, chosen: &Chosen) -> String {
        let program = chosen.program();
        let insns = program.insns.len();
        let mut out = format!("program {}: {insns} instructions\n", program.name);
        out.push_str(&format!("interpreter {:>10.1} ns per run\n", self.interpreter));
        match &self.compiled {
            None => out.push_str("jit           not available on this machine\n"),
            Some(compiled) => {
                let ratio = self.interpreter / compiled.nanoseconds;
                out.push_str(&format!(
                    "jit         {:>10.1} ns per run, {ratio:.2} times as fast as the interpreter\n",
                    compiled.nanoseconds
                ));
                match compiled.unchecked {
                    Some(unchecked) => out.push_str(&format!(
                        "unchecked   {unchecked:>10.1} ns per run, {:.2} times the time of jit: verified, no checks of \
                         addresses\n",
                        unchecked / compiled.nanoseconds
                    )),
                    None => out.push_str("unchecked     not measured: the program needs checks of its addresses\n"),
                }
            }
        }
        match (&self.kernel, &self.compiled) {
            (Kernel::Missing(reason), _) => out.push_str(&format!("kernel        not measured: {reason}\n")),
            (Kernel::Nanoseconds(kernel), None) => out.push_str(&format!("kernel      {kernel:>10.1} ns per run\n")),
            (Kernel::Nanoseconds(kernel), Some(compiled)) => out.push_str(&format!(
                "kernel      {kernel:>10.1} ns per run (whole nanoseconds), {:.2} times the time of jit\n",
                kernel / compiled.nanoseconds
            )),
        }
        if let Some(compiled) = &self.compiled {
            out.push_str(&format!(
                "compiling   {:>10.1} ns per instruction, {} bytes of machine code ({:.1} per instruction)\n",
                compiled.compile_per_insn,
                compiled.code_bytes,
                compiled.code_bytes as f64 / insns as f64
            ));
        }
        out
    }

    fn json(&self, chosen: &Chosen) -> String {
        let program = chosen.program();
        let mut json = Json::object().text("program", &program.name).raw("instructions", program.insns.len());
        json = json.raw("interpreter_ns", format!("{:.2}", self.interpreter));
        if let Some(compiled) = &self.compiled {
            if let Some(unchecked) = compiled.unchecked {
                json = json.raw("unchecked_ns", format!("{unchecked:.2}"));
            }
            json = json
                .raw("jit_ns", format!("{:.2}", compiled.nanoseconds))
                .raw("compile_ns_per_instruction", format!("{:.2}", compiled.compile_per_insn))
                .raw("code_bytes", compiled.code_bytes);
        }
        json = match &self.kernel {
            Kernel::Nanoseconds(kernel) => json.raw("kernel_ns", kernel),
            Kernel::Missing(reason) => json.raw("kernel_ns", "null").text("kernel_missing", reason),
        };
        json.end() + "\n"
    }
}

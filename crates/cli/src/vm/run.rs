//! `skep vm run`: one program, its result and what it left behind.

use std::time::{Duration, Instant};

use skep_isa::ebpf::InsnIdx;
use skep_vm::ebpf::{Engine, Fault, Vm, Worker};

use super::input::Work;
use super::json::{Json, list};
use super::load::{Chosen, worker};
use super::maps::contents;
use super::plugin::no_compiled_code;
use super::report::{changes, disassembly, fault_json, fault_text};
use crate::args::VmRunArgs;
use crate::failure::Failure;
use crate::text::TextOut;

/// Runs from which on it pays to verify a program first, so that its code needs no checks of addresses.
const WORTH_VERIFYING: u64 = 10_000;

/// How a program was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Compiled,
    Interpreted,
    Traced,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Compiled => "jit",
            Self::Interpreted => "interpreter",
            Self::Traced => "trace",
        }
    }
}

/// Instructions that ran.
#[derive(Debug, Clone, Copy)]
enum Count {
    Exactly(u64),
    AtMost(u64),
}

/// All runs of a program.
#[derive(Debug)]
struct Runs {
    way: Way,
    result: Result<u64, Fault>,
    /// What register 1 points to after the last one.
    context: Vec<u8>,
    count: Count,
    fuel_used: u64,
    /// Runs that were begun.
    number: u64,
    time: Duration,
}

impl Runs {
    fn nanoseconds(&self) -> f64 {
        self.time.as_nanos() as f64 / self.number as f64
    }
}

/// Runs the program and prints what came of it.
pub fn run(args: &VmRunArgs) -> Result<(), Failure> {
    let chosen = Chosen::new(&args.program)?;
    let work = Work::new(&args.program, &chosen)?;
    let engine = if args.trace { Engine::Interpreter } else { args.engine.engine() };
    let verified = engine != Engine::Interpreter && args.repeat >= WORTH_VERIFYING;
    let vm = if verified { chosen.verified_machine(engine) } else { chosen.machine(engine) }?;
    let mut worker = worker(&vm)?;
    let mut out = TextOut::stdout(false)?;
    let runs = if args.trace {
        trace(&mut worker, &chosen, &work, &mut out, args.json)?
    } else {
        let compiled = engine != Engine::Interpreter && vm.prepare(chosen.index);
        if engine == Engine::Jit && !compiled {
            return Err(no_compiled_code());
        }
        let way = if compiled { Way::Compiled } else { Way::Interpreted };
        repeat(&mut worker, &chosen, &work, way, args.repeat)?
    };
    let report = Report { args, chosen: &chosen, work: &work, vm: &vm, worker: &worker, runs: &runs };
    let text = if args.json { report.json() } else { report.text() };
    out.buffer.extend_from_slice(text.as_bytes());
    out.flush()?;
    match runs.result {
        Ok(_) => Ok(()),
        Err(fault) => Err(Failure::Run(fault_text(&chosen.object, &worker, &fault))),
    }
}

fn repeat(worker: &mut Worker, chosen: &Chosen, work: &Work, way: Way, times: u64) -> Result<Runs, Failure> {
    let mut context = Vec::new();
    let mut number = 0;
    let start = Instant::now();
    let result = loop {
        number += 1;
        let result = work.run(worker, chosen.index, &mut context);
        if result.is_err() || number == times {
            break result;
        }
    };
    let time = start.elapsed();
    let fuel_used = worker.fuel_used();
    let count = match way {
        // Fuel is paid at jumps backwards and at calls; what comes before the first of them is free.
        Way::Compiled => Count::AtMost(fuel_used + chosen.program().insns.len() as u64),
        _ => match exact_count(chosen, work)? {
            Some(count) => Count::Exactly(count),
            None => Count::AtMost(fuel_used + chosen.program().insns.len() as u64),
        },
    };
    Ok(Runs { way, result, context, count, fuel_used, number, time })
}

/// Instructions of a first run. It has a machine of its own, so that it changes no map of the one that is shown. `None`
/// where runs cannot be traced.
fn exact_count(chosen: &Chosen, work: &Work) -> Result<Option<u64>, Failure> {
    let vm = chosen.machine(Engine::Interpreter)?;
    let (mut count, mut context) = (0, Vec::new());
    let Some(input) = work.input(&mut context) else { return Ok(None) };
    // A fault is told by the run itself.
    let _ = worker(&vm)?.trace(chosen.index, input, |_, _, _| count += 1);
    Ok(Some(count))
}

fn trace(worker: &mut Worker, chosen: &Chosen, work: &Work, out: &mut TextOut, json: bool) -> Result<Runs, Failure> {
    let mut tracer = Tracer { chosen, out, json, pending: None, shown: chosen.index, count: 0, failure: None };
    let mut context = Vec::new();
    let Some(input) = work.input(&mut context) else {
        return Err(Failure::Usage(
            "--trace does not follow programs that may change their packet; use a socket filter, or --mem".to_owned(),
        ));
    };
    let start = Instant::now();
    let result = worker.trace(chosen.index, input, |program, at, registers| {
        tracer.step(program, at, registers);
    });
    let time = start.elapsed();
    tracer.finish(None);
    if let Some(failure) = tracer.failure {
        return Err(failure);
    }
    let count = Count::Exactly(tracer.count);
    Ok(Runs { way: Way::Traced, result, context, count, fuel_used: worker.fuel_used(), number: 1, time })
}

/// Prints instructions as they run, each when the registers after it are known.
struct Tracer<'a> {
    chosen: &'a Chosen,
    out: &'a mut TextOut,
    json: bool,
    pending: Option<(usize, InsnIdx, [u64; 11])>,
    /// The program of the last line: tail calls lead to others.
    shown: usize,
    count: u64,
    /// Of the output; told after the run.
    failure: Option<Failure>,
}

impl Tracer<'_> {
    fn step(&mut self, program: usize, at: InsnIdx, registers: &[u64; 11]) {
        self.count += 1;
        self.finish(Some(registers));
        self.pending = Some((program, at, *registers));
    }

    /// Prints the pending instruction with what it changed, if that is known.
    fn finish(&mut self, after: Option<&[u64; 11]>) {
        let Some((program, at, before)) = self.pending.take().filter(|_| self.failure.is_none()) else { return };
        let rows = before.iter().zip(after.unwrap_or(&before)).enumerate();
        let changed =
            rows.filter(|(_, (before, after))| before != after).map(|(register, (_, after))| (register, *after));
        let code = disassembly(&self.chosen.object, program, at);
        let name = self.chosen.object.programs.get(program).map_or("", |program| program.name.as_str());
        let line = if self.json {
            let registers = changed.fold(Json::object(), |json, (register, value)| {
                json.text(&format!("r{register}"), &format!("{value:#x}"))
            });
            let line = Json::object().raw("step", self.count.saturating_sub(u64::from(after.is_some())));
            line.text("program", name).raw("insn", at).text("code", &code).raw("changed", registers.end()).end()
        } else {
            let changed: Vec<String> = changed.map(|(register, value)| format!("r{register} = {value:#x}")).collect();
            let heading = if program == self.shown { String::new() } else { format!("program {name}:\n") };
            let line = format!("{heading}{:>5}: {code:<40} {}", at.0, changed.join(", "));
            line.trim_end().to_owned()
        };
        self.shown = program;
        self.out.buffer.extend_from_slice(line.as_bytes());
        self.out.buffer.push(b'\n');
        self.failure = self.out.line_done().err();
    }
}

/// Everything that is told about the runs.
struct Report<'a> {
    args: &'a VmRunArgs,
    chosen: &'a Chosen,
    work: &'a Work,
    vm: &'a Vm,
    worker: &'a Worker,
    runs: &'a Runs,
}

impl Report<'_> {
    fn text(&self) -> String {
        let Self { runs, work, .. } = self;
        let mut out = match runs.result {
            Ok(value) => format!("r0 = {value} ({value:#x})\n"),
            Err(_) => "r0: none, the program was stopped\n".to_owned(),
        };
        out.push_str(&changes(work.name(), &work.context, &runs.context));
        if let Some(packet) = &work.packet {
            out.push_str(&format!("packet: {} bytes, unchanged (socket filters cannot write it)\n", packet.len()));
        }
        for map in contents(&self.chosen.object, self.vm, self.args.entries) {
            map.write(&mut out);
        }
        out.push_str(&match runs.count {
            Count::Exactly(count) if runs.number > 1 => format!("instructions: {count} in the first run\n"),
            Count::Exactly(count) => format!("instructions: {count}\n"),
            Count::AtMost(count) => {
                let hint = if work.is_traceable() { "; --interp counts exactly" } else { "" };
                format!("instructions: at most {count} (fuel used: {}){hint}\n", runs.fuel_used)
            }
        });
        if runs.way != Way::Traced {
            let runs_text =
                if runs.number == 1 { "one run, not warm".to_owned() } else { format!("{} runs", runs.number) };
            let checks = if self.is_checked() { "" } else { " without checks of addresses" };
            let way = runs.way.name();
            out.push_str(&format!("time: {:.1} ns per run ({way}{checks}, {runs_text})\n", runs.nanoseconds()));
        }
        out
    }

    /// Whether addresses were checked.
    fn is_checked(&self) -> bool {
        self.runs.way != Way::Compiled || self.vm.is_checked(self.chosen.index)
    }

    fn json(&self) -> String {
        let Self { runs, work, chosen, .. } = self;
        let program = chosen.program();
        let mut json = Json::object().text("program", &program.name).text("type", program.prog_type.name());
        json = match &runs.result {
            Ok(value) => json.raw("r0", value).text("r0_hex", &format!("{value:#x}")),
            Err(fault) => json.raw("r0", "null").raw("fault", fault_json(&chosen.object, self.worker, fault)),
        };
        let changed = work.context != runs.context;
        json = json.raw(work.name(), Json::object().raw("changed", changed).hex("bytes", &runs.context).end());
        if let Some(packet) = &work.packet {
            json = json.raw("packet", Json::object().raw("changed", false).hex("bytes", packet).end());
        }
        let maps = contents(&chosen.object, self.vm, self.args.entries);
        json = json.raw("maps", list(maps.iter().map(super::maps::Contents::json)));
        let (count, exact) = match runs.count {
            Count::Exactly(count) => (count, true),
            Count::AtMost(count) => (count, false),
        };
        json = json.raw("instructions", count).raw("exact", exact).raw("fuel_used", runs.fuel_used);
        json = json.text("engine", runs.way.name()).raw("checked", self.is_checked()).raw("runs", runs.number);
        let time = if runs.way == Way::Traced { "null".to_owned() } else { format!("{:.1}", runs.nanoseconds()) };
        let mut text = json.raw("ns_per_run", time).end();
        text.push('\n');
        text
    }
}

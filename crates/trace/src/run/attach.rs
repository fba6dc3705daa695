//! From the places of a plan to the kernel's ways of attaching.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use skep_isa::AttachType;
use skep_kernel::attach::{
    Attachment, Iter, IterTarget, KernelPlace, KernelPlaces, MultiMode, PerfEvent, PerfRate, PerfTarget, UserPlace,
    attach_iter, attach_kprobe, attach_kprobe_multi, attach_perf_event, attach_raw_tracepoint, attach_tracepoint,
    attach_tracing, attach_uprobe, attach_uprobe_multi, detach_all,
};
use skep_kernel::{KernelError, LoadedProgram};
use skep_lang_script::plan::{Attach, Period, Probe, UserTarget};
use skep_sym::{Binary, resolve};

/// Most bytes that an iterator may write.
const MOST_TEXT: u64 = 64 << 20;

/// What is attached.
#[derive(Debug, Default)]
pub struct Attached {
    /// What runs when something happens.
    pub links: Vec<Attachment>,
    /// What runs when it is read.
    pub iterators: Vec<Iter>,
}

impl Attached {
    /// Detaches everything.
    pub fn detach(&mut self) -> Result<(), KernelError> {
        self.iterators.clear();
        detach_all(std::mem::take(&mut self.links))
    }

    /// Attaches a program where its probe says. Probes that the host runs itself need nothing.
    pub fn add(&mut self, probe: &Probe, program: &LoadedProgram, process: Option<u32>) -> Result<(), String> {
        let text = |error: KernelError| error.to_string();
        let link: Attachment = match &probe.attach {
            Attach::Begin | Attach::End | Attach::Signal { .. } | Attach::Test { .. } | Attach::Bench { .. } => {
                return Ok(());
            }
            Attach::KernelFunction { functions, offset, ret } => {
                kernel(program, functions, *offset, *ret).map_err(text)?
            }
            Attach::KernelAddress { address, ret } => {
                attach_kprobe(program, KernelPlace::Address(*address), *ret, 0).map_err(text)?
            }
            Attach::Typed { ret, .. } | Attach::Program { ret, .. } => {
                let kind = if *ret { AttachType::TraceFexit } else { AttachType::TraceFentry };
                attach_tracing(program, kind, 0).map_err(text)?.into()
            }
            Attach::RawTracepoint { event } => attach_raw_tracepoint(program, event, 0).map_err(text)?.into(),
            Attach::Tracepoint { category, event } => attach_tracepoint(program, category, event, 0).map_err(text)?,
            Attach::UserFunction { binary, target, ret } => user(program, binary, target, *ret, process)?,
            Attach::Usdt { binary, provider, name } => {
                let (path, binary) = open(binary, process)?;
                let provider = Some(provider.as_str()).filter(|provider| !provider.is_empty());
                let places = binary.probe(provider, name).map_err(|error| error.to_string())?;
                for place in places {
                    let offset = place.offset.ok_or("its place is in no part of the file that is loaded")?;
                    let place = UserPlace { offset, counter: place.semaphore.unwrap_or(0), cookie: 0 };
                    self.links.push(attach_uprobe(program, &path, place, false, process).map_err(text)?);
                }
                return Ok(());
            }
            Attach::Iterator { pin, .. } => {
                let iterator = attach_iter(program, IterTarget::All).map_err(text)?;
                match pin {
                    Some(path) => iterator.link().pin(pin_path(path)).map_err(text)?,
                    None => self.iterators.push(iterator),
                }
                return Ok(());
            }
            perf => {
                let (event, rate, target) = perf_event(perf, process)?;
                Attachment::Perf(attach_perf_event(program, event, rate, target).map_err(text)?)
            }
        };
        self.links.push(link);
        Ok(())
    }
}

/// A name alone is one below the BPF file system.
fn pin_path(path: &str) -> PathBuf {
    PathBuf::from(skep_kernel::BPFFS).join(path)
}

fn kernel(program: &LoadedProgram, functions: &[String], offset: u64, ret: bool) -> Result<Attachment, KernelError> {
    let plain = |name: &'_ String| name.rsplit_once(':').map_or(name.clone(), |(_, name)| name.to_owned());
    let names: Vec<String> = functions.iter().map(plain).collect();
    if let [name] = names.as_slice() {
        return attach_kprobe(program, KernelPlace::Function { name, offset }, ret, 0);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(attach_kprobe_multi(program, KernelPlaces::Names(&names), &[], mode(ret))?.into())
}

fn mode(ret: bool) -> MultiMode {
    if ret { MultiMode::Return } else { MultiMode::Entry }
}

/// The file of a probe, as this process sees it.
fn open(name: &str, process: Option<u32>) -> Result<(PathBuf, Binary), String> {
    let path = match (name, process) {
        ("", Some(process)) => PathBuf::from(format!("/proc/{process}/exe")),
        ("", None) => return Err("it names no binary, and there is no process (`-p`) whose binary it means".to_owned()),
        (name, process) => resolve(name, process).map_err(|error| error.to_string())?,
    };
    let binary = Binary::open(&path).map_err(|error| error.to_string())?;
    Ok((path, binary))
}

fn user(
    program: &LoadedProgram,
    binary: &str,
    target: &UserTarget,
    ret: bool,
    process: Option<u32>,
) -> Result<Attachment, String> {
    let (path, binary) = open(binary, process)?;
    let function = |name: &str| {
        let symbol = binary.function(name).map_err(|error| error.to_string())?;
        symbol.offset.ok_or_else(|| format!("`{name}` has no place in `{}`", path.display()))
    };
    let offset = match target {
        UserTarget::Functions(names) if names.len() == 1 => function(&names[0])?,
        UserTarget::Functions(names) => {
            let places = names.iter().map(|name| function(name).map(UserPlace::at)).collect::<Result<Vec<_>, _>>()?;
            let link = attach_uprobe_multi(program, &path, &places, mode(ret), process);
            return Ok(link.map_err(|error| error.to_string())?.into());
        }
        UserTarget::SymbolOffset(name, behind) => function(name)?.saturating_add(*behind),
        UserTarget::Address(address) => binary
            .offset(*address)
            .ok_or_else(|| format!("the address {address:#x} is in no part of `{}` that is loaded", path.display()))?,
    };
    attach_uprobe(program, &path, UserPlace::at(offset), ret, process).map_err(|error| error.to_string())
}

/// The event behind a probe of time or counters.
fn perf_event(attach: &Attach, process: Option<u32>) -> Result<(PerfEvent, PerfRate, PerfTarget), String> {
    let everywhere = process.map_or(PerfTarget::AllCpus, PerfTarget::Process);
    let rate = |period: Period| match period {
        Period::Hertz(times) => PerfRate::Frequency(times),
        Period::Nanoseconds(time) => PerfRate::Period(time),
    };
    let each = |count: u64| PerfRate::Period(count.max(1));
    Ok(match *attach {
        Attach::Profile(period) => (PerfEvent::CPU_CLOCK, rate(period), everywhere),
        Attach::Interval(period) => (PerfEvent::CPU_CLOCK, rate(period), PerfTarget::Cpu(first_cpu())),
        Attach::Software { event, count } => (PerfEvent::Software(event), each(count), everywhere),
        Attach::Hardware { event, cache: true, count } => (PerfEvent::Cache(event), each(count), everywhere),
        Attach::Hardware { event, cache: false, count } => (PerfEvent::Hardware(event), each(count), everywhere),
        Attach::Watchpoint { address, len, read, write, execute } => {
            let event = PerfEvent::Breakpoint { address, length: len, read, write, execute };
            (event, each(1), everywhere)
        }
        _ => return Err("this kind of probe has no event".to_owned()),
    })
}

/// The first processor that is online.
fn first_cpu() -> u32 {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    list.split(['-', ',', '\n']).next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// What an iterator writes.
pub fn read(iterator: &Iter) -> Result<Vec<u8>, KernelError> {
    let mut text = Vec::new();
    let read = iterator.open()?.take(MOST_TEXT).read_to_end(&mut text);
    read.map_err(|error| KernelError::Invalid {
        action: "read an iterator",
        problem: format!("it stopped with an error: {}", error.kind()),
    })?;
    Ok(text)
}

/// Device and inode of the process id namespace of this process; zeros if they are not known.
pub fn pid_namespace() -> (u64, u64) {
    std::fs::metadata("/proc/self/ns/pid").map_or((0, 0), |facts| (facts.dev(), facts.ino()))
}

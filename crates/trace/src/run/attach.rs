//! From the places of a plan to the kernel's ways of attaching.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use skep_isa::AttachType;
use skep_kernel::attach::{
    Attachment, Iter, IterTarget, KernelPlace, KernelPlaces, Link, MultiMode, PerfEvent, PerfRate, PerfTarget,
    UserPlace, attach_iter, attach_kprobe, attach_kprobe_multi, attach_perf_event, attach_raw_tracepoint,
    attach_tracepoint, attach_tracing, attach_uprobe, attach_uprobe_multi, detach_all,
};
use skep_kernel::{KernelError, LoadedMap, LoadedProgram, Update};
use skep_lang_script::plan::{Attach, Period, Probe, UserTarget};
use skep_sym::{Binary, DebugDirs, resolve};

/// Most bytes that an iterator may write.
const MOST_TEXT: u64 = 64 << 20;

/// What is attached.
#[derive(Debug, Default)]
pub struct Attached {
    /// What runs when something happens.
    pub links: Vec<Attachment>,
    /// What runs when it is read.
    pub iterators: Vec<Iter>,
    /// Where debug files of programs are looked for.
    directories: DebugDirs,
    /// Programs that hand on system calls and are attached.
    callers: Vec<String>,
    /// Files of probes that were read, by the names in the script.
    files: HashMap<String, Rc<(PathBuf, Binary)>>,
}

impl Attached {
    /// Nothing yet. Debug files of programs are looked for in these directories.
    pub fn new(directories: DebugDirs) -> Self {
        Self { directories, ..Self::default() }
    }

    /// Detaches everything.
    pub fn detach(&mut self) -> Result<(), KernelError> {
        self.iterators.clear();
        self.callers.clear();
        detach_all(std::mem::take(&mut self.links))
    }

    /// Puts a program into a table of system calls, and attaches the one that hands on to it, if that is not done.
    pub fn enter_call(
        &mut self,
        table: &LoadedMap,
        number: u32,
        program: &LoadedProgram,
        caller: &LoadedProgram,
        ret: bool,
    ) -> Result<(), String> {
        let text = |error: KernelError| error.to_string();
        let fd = program.as_fd().as_raw_fd();
        table.set(&number.to_ne_bytes(), &fd.to_ne_bytes(), Update::Any).map_err(text)?;
        if !self.callers.iter().any(|known| known == caller.name()) {
            let event = if ret { "sys_exit" } else { "sys_enter" };
            self.links.push(attach_raw_tracepoint(caller, event, 0).map_err(text)?.into());
            self.callers.push(caller.name().to_owned());
        }
        Ok(())
    }

    /// The file of a probe, read once.
    fn file(&mut self, name: &str, process: Option<u32>) -> Result<Rc<(PathBuf, Binary)>, String> {
        if let Some(known) = self.files.get(name) {
            return Ok(Rc::clone(known));
        }
        let file = Rc::new(open(name, process, &self.directories)?);
        self.files.insert(name.to_owned(), Rc::clone(&file));
        Ok(file)
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
            Attach::SystemCall { .. } => return Err("system calls are in a table".to_owned()),
            Attach::Tracepoint { category, event } => attach_tracepoint(program, category, event, 0).map_err(text)?,
            Attach::UserFunction { binary, target, ret } => {
                let file = self.file(binary, process)?;
                self.links.extend(user(program, probe.many, &file, (target, *ret), process)?);
                return Ok(());
            }
            Attach::Usdt { binary, provider, name, places: wanted } => {
                let file = self.file(binary, process)?;
                let (path, binary) = &*file;
                let provider = Some(provider.as_str()).filter(|provider| !provider.is_empty());
                let places = binary.probe(provider, name).map_err(|error| error.to_string())?;
                for place in places {
                    let offset = place.offset.ok_or("its place is in no part of the file that is loaded")?;
                    if !wanted.is_empty() && !wanted.contains(&offset) {
                        continue;
                    }
                    let place = UserPlace { offset, counter: place.semaphore.unwrap_or(0), cookie: 0 };
                    self.links.push(attach_uprobe(program, path, place, false, process).map_err(text)?);
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
                let attach = |target| attach_perf_event(program, event, rate, target).map(Attachment::Perf);
                let PerfTarget::Process(process) = target else {
                    self.links.push(attach(target).map_err(text)?);
                    return Ok(());
                };
                // Events belong to threads. Those that end meanwhile are no loss as long as there is one.
                let mut results: Vec<_> = threads(process).into_iter().map(PerfTarget::Process).map(attach).collect();
                if results.iter().all(Result::is_err) {
                    return results.pop().map_or(Ok(()), |result| result.map(drop).map_err(text));
                }
                self.links.extend(results.into_iter().flatten());
                return Ok(());
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
fn open(name: &str, process: Option<u32>, directories: &DebugDirs) -> Result<(PathBuf, Binary), String> {
    let path = match (name, process) {
        ("", Some(process)) => PathBuf::from(format!("/proc/{process}/exe")),
        ("", None) => return Err("it names no binary, and there is no process (`-p`) whose binary it means".to_owned()),
        (name, process) => resolve(name, process).map_err(|error| error.to_string())?,
    };
    let binary = Binary::open_with_debug(&path, directories).map_err(|error| error.to_string())?;
    // That of an archive, if it names a file in one.
    Ok((binary.path().to_owned(), binary))
}

/// A place in a file, or several. `many` says whether the program is one for links of many places.
fn user(
    program: &LoadedProgram,
    many: bool,
    (path, binary): &(PathBuf, Binary),
    (target, ret): (&UserTarget, bool),
    process: Option<u32>,
) -> Result<Vec<Attachment>, String> {
    let function = |name: &str| {
        let symbol = binary.function(name).map_err(|error| error.to_string())?;
        symbol.offset.ok_or_else(|| format!("`{name}` has no place in `{}`", path.display()))
    };
    let offset = |address: u64| {
        let missing = || format!("the address {address:#x} is in no part of `{}` that is loaded", path.display());
        binary.offset(address).ok_or_else(missing)
    };
    let offsets = match target {
        UserTarget::Functions(names) => names.iter().map(|name| function(name)).collect::<Result<Vec<_>, _>>()?,
        UserTarget::SymbolOffset(name, behind) => vec![function(name)?.saturating_add(*behind)],
        UserTarget::Address(address) => vec![offset(*address)?],
        UserTarget::Addresses(addresses) => {
            addresses.iter().map(|address| offset(*address)).collect::<Result<Vec<_>, _>>()?
        }
    };
    let mut places: Vec<UserPlace> = offsets.into_iter().map(UserPlace::at).collect();
    if places.len() > 1 {
        let all = places.clone();
        places.retain(|place| can_be_probed(path, place.offset));
        if places.is_empty() {
            places = all;
        }
    }
    let text = |error: KernelError| error.to_string();
    match places.as_slice() {
        [place] if !many => Ok(vec![attach_uprobe(program, path, *place, ret, process).map_err(text)?]),
        places => {
            let mut links = Vec::new();
            let attach = |places: &[UserPlace]| attach_uprobe_multi(program, path, places, mode(ret), process);
            match split(places, &attach, &mut links) {
                Some(error) if links.is_empty() => Err(text(error)),
                _ => Ok(links),
            }
        }
    }
}

/// Whether the kernel can put a probe on the instruction at an offset of a file, as far as its first byte tells: on x86-64
/// not behind the prefixes `lock` and those of segments (`is_prefix_bad` in arch/x86/kernel/uprobes.c). Each attempt at many
/// places that fails costs a grace period.
fn can_be_probed(path: &Path, offset: u64) -> bool {
    const BAD: [u8; 5] = [0x26, 0x2e, 0x36, 0x3e, 0xf0];
    let mut first = [0];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut first, offset));
    !cfg!(target_arch = "x86_64") || read.is_err() || !BAD.contains(&first[0])
}

/// Attaches to all places with one link, or without those where no probe can be: the kernel refuses some instructions.
/// Gives the last error.
fn split(
    places: &[UserPlace],
    attach: &dyn Fn(&[UserPlace]) -> Result<Link, KernelError>,
    links: &mut Vec<Attachment>,
) -> Option<KernelError> {
    match (attach(places), places.len()) {
        (Ok(link), _) => {
            links.push(link.into());
            None
        }
        (Err(error @ KernelError::NotPermitted { .. }), _) | (Err(error), 0 | 1) => Some(error),
        (Err(_), count) => {
            let (first, second) = places.split_at(count / 2);
            let problems = [split(first, attach, links), split(second, attach, links)];
            problems.into_iter().flatten().last()
        }
    }
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

/// The threads of a process: itself, if they are not known.
fn threads(process: u32) -> Vec<u32> {
    let entries = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let found: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    if found.is_empty() { vec![process] } else { found }
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

//! A run: programs made, loaded and attached, records read until the end.
//!
//! ```text
//!  command prepared --> descriptors, threads, group into maps --> attached --> command goes on
//!                                                                                 |
//!     lines <-- ring buffer <-- wake up                                           |
//!     table <-- counts       <-- last traced thread, signal, end of the time <----+
//! ```

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use skep_btf::{Btf, Kind};
use skep_isa::syscalls::Arch;
use skep_kernel::attach::{Attachment, attach_raw_tracepoint, detach_all};
use skep_kernel::inventory::KernelTypes;
use skep_kernel::{KernelError, LoadError, LoadOptions, Loaded, LoadedMap, RingBuffer, Update, Waiting, Watch};
use skep_trace::names::Clock;

use crate::capture::plan;
use crate::fds::Detail;
use crate::lines::{Lines, Look, Totals};
use crate::program::layout::{CALLS, lost};
use crate::program::{PROGRAMS, Shape, Status, TaskOffsets, maps, object};
use crate::select::Selection;
use crate::summary::Counts;
use crate::table::calls;

/// `SIGINT`, `SIGTERM`, `SIGHUP` (signal(7)): they end a run in good order.
const ENDING: [i32; 3] = [2, 15, 1];
/// Inode of the outermost process id namespace (`PROC_PID_INIT_INO` of the kernel).
const OUTERMOST: u64 = 0xefff_fffc;
/// Records before signals and ends get their turn.
const AT_ONCE: u64 = 4096;
/// How often it is looked whether traced threads are left when there is no other sign.
const PATIENCE: Duration = Duration::from_millis(50);

/// What is traced.
#[derive(Debug, Default)]
pub struct Target {
    /// A command that is started.
    pub command: Option<Command>,
    /// Processes that run already.
    pub processes: Vec<u32>,
    /// Whether threads and processes that those make are traced too.
    pub follow: bool,
    /// Only processes below this control group (version 2).
    pub group: Option<PathBuf>,
    /// Only threads of this name.
    pub name: Option<String>,
}

/// A run.
#[derive(Debug)]
pub struct Request {
    /// What is traced.
    pub target: Target,
    /// Which calls.
    pub selection: Selection,
    /// By which results.
    pub status: Status,
    /// How lines look.
    pub look: Look,
    /// Whether there are lines.
    pub lines: bool,
    /// Whether calls are counted.
    pub count: bool,
    /// Whether stacks are captured.
    pub stack: bool,
    /// When it ends at the latest.
    pub time: Option<Duration>,
    /// Bytes of the ring buffer.
    pub ring: u32,
    /// Whether somebody watches, so that calls that have begun are shown while they wait.
    pub watched: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Calls that were written, damaged records.
    pub totals: Totals,
    /// Beginnings that found no room.
    pub lost_beginnings: u64,
    /// Ends that found no room.
    pub lost_ends: u64,
    /// Other records that found no room.
    pub lost_others: u64,
    /// Calls whose beginning was not seen, which are not counted.
    pub unpaired: u64,
    /// What was counted, in the order of the numbers.
    pub counts: Vec<Counts>,
    /// How the command has ended: its status, or 128 and the signal.
    pub status: Option<i32>,
}

/// Why there was no run, or it broke off.
#[derive(Debug)]
pub enum StraceError {
    /// What was asked for makes no sense here.
    Request(String),
    /// The programs cannot be loaded.
    Load(LoadError),
    /// The kernel refused something else.
    Kernel(KernelError),
    /// The output cannot be written.
    Output(io::Error),
}

impl std::fmt::Display for StraceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request(text) => f.write_str(text),
            Self::Load(error) => error.fmt(f),
            Self::Kernel(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}

impl std::error::Error for StraceError {}

impl From<KernelError> for StraceError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T, StraceError> {
    Err(StraceError::Request(text.into()))
}

/// Runs to the end and writes lines to `out`.
///
/// # Errors
/// [`StraceError`]; nothing stays attached.
pub fn run(mut request: Request, out: &mut dyn Write) -> Result<Outcome, StraceError> {
    if Arch::native() != Some(Arch::X86_64) {
        return refuse("system calls are known for x86-64 only, and this machine is another one");
    }
    check_namespace(&request.target)?;
    follow_descriptors(&mut request);
    let name = request.target.command.as_ref().map(|command| command.get_program().to_string_lossy().into_owned());
    let waiting = request.target.command.take().map(Waiting::prepare).transpose();
    let program = name.unwrap_or_default();
    let waiting = waiting.map_err(|error| StraceError::Request(format!("cannot start `{program}`: {error}")))?;
    let threads = threads(&request.target, waiting.as_ref())?;
    let shape = shape(&request, !threads.is_empty())?;
    let object = object(&shape).map_err(StraceError::Request)?;
    let options = LoadOptions { pins: None, ..LoadOptions::default() };
    let loaded = skep_kernel::load_with(&object, &options).map_err(StraceError::Load)?;
    let names: Vec<String> = object.maps.iter().map(|map| map.name.clone()).collect();
    let tables = Tables { loaded: &loaded, names: &names };
    tables.fill(&request, &threads)?;
    request.look.command = waiting.as_ref().map(Waiting::id).filter(|_| request.lines);
    let mut lines = Lines::new(request.look.clone(), Clock::system());
    threads.iter().for_each(|thread| lines.know(*thread));
    let mut run = Run {
        watch: Watch::new(&ENDING)?,
        ring: if request.lines { Some(RingBuffer::open(tables.map(maps::EVENTS)?)?) } else { None },
        tables,
        lines,
        out,
        end: request.time.map(|time| Instant::now() + time),
        threads: !threads.is_empty(),
        watched: request.watched,
    };
    if let Some(ring) = &run.ring {
        run.watch.add(std::os::fd::AsFd::as_fd(ring))?;
    }
    let attached = attach(&loaded)?;
    let outcome = run.until_over(waiting, &program);
    // What happens from now on is not wanted any more; what has happened is.
    detach_all(attached)?;
    let child = outcome?;
    run.drain()?;
    run.lines.finish();
    run.write()?;
    let mut outcome = run.outcome(request.count)?;
    outcome.status = child.map(end_of).transpose()?.flatten();
    Ok(outcome)
}

/// What descriptors stand for is known only if what opens and closes them is seen. What nobody asked for is not shown;
/// where it would be counted, or is left out by its result, `/proc` is asked instead.
fn follow_descriptors(request: &mut Request) {
    let needed = request.look.detail > Detail::None || !request.look.paths.is_empty();
    if !needed || !request.lines {
        return;
    }
    let mut all = request.selection.clone();
    let missing = all.follow_descriptors();
    request.look.tracked = request.status != Status::Failure && (missing.is_empty() || !request.count);
    if request.look.tracked {
        (request.selection, request.look.hidden) = (all, missing);
    }
}

/// Waits for a command that has ended; one that has not is left alone.
fn end_of(mut child: Child) -> Result<Option<i32>, StraceError> {
    let status = child.try_wait().map_err(StraceError::Output)?;
    Ok(status.and_then(|status| status.code().or_else(|| status.signal().map(|signal| 128 + signal))))
}

/// Programs see the numbers of the outermost namespace.
fn check_namespace(target: &Target) -> Result<(), StraceError> {
    use std::os::unix::fs::MetadataExt;
    let inner = std::fs::metadata("/proc/self/ns/pid").is_ok_and(|facts| facts.ino() != OUTERMOST);
    if inner && (target.command.is_some() || !target.processes.is_empty()) {
        return refuse(
            "this process lives in a process id namespace of its own, in which processes have other numbers than the \
             kernel's programs see; trace by --comm or --cgroup, or from outside",
        );
    }
    Ok(())
}

/// The threads that are traced from the start.
fn threads(target: &Target, waiting: Option<&Waiting>) -> Result<Vec<u32>, StraceError> {
    let mut threads: Vec<u32> = waiting.map(Waiting::id).into_iter().collect();
    for &process in &target.processes {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
        let Ok(tasks) = tasks else { return refuse(format!("there is no process {process}")) };
        if target.follow {
            let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
            threads.extend(tasks.filter_map(number));
        } else {
            threads.push(process);
        }
    }
    Ok(threads)
}

fn shape(request: &Request, threads: bool) -> Result<Shape, StraceError> {
    let name = match &request.target.name {
        None => None,
        Some(name) if name.is_empty() || name.len() > 15 => {
            return refuse(format!("`{name}` is no name of a thread: those have 1 to 15 bytes"));
        }
        Some(name) => {
            let mut bytes = [0; 16];
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            Some(bytes)
        }
    };
    Ok(Shape {
        own: std::process::id(),
        threads,
        follow: request.target.follow,
        name,
        group: request.target.group.is_some(),
        status: request.status,
        send: request.lines,
        count: request.count,
        signals: request.look.signals != 0,
        stack: request.stack,
        ring: request.ring,
        task: task_offsets()?,
    })
}

/// Where the kernel keeps what programs read of a task.
fn task_offsets() -> Result<TaskOffsets, StraceError> {
    let btf = KernelTypes::new().vmlinux()?;
    let offset = |name: &str| match member(&btf, "task_struct", name) {
        Some(offset) => Ok(offset),
        None => refuse(format!("the kernel's types have no `{name}` in `task_struct`")),
    };
    Ok(TaskOffsets { pid: offset("pid")?, tgid: offset("tgid")?, exit_code: offset("exit_code")? })
}

/// Distance of a member from the start of a structure in bytes.
fn member(btf: &Btf, structure: &str, name: &str) -> Option<u32> {
    let id = btf.find_type(structure, |kind| matches!(kind, Kind::Struct(_)))?;
    let Ok(Kind::Struct(composite)) = btf.kind(id) else { return None };
    let mut members = composite.members();
    let found = members.find(|member| btf.string(member.name).is_ok_and(|known| known == name))?;
    Some(found.bit_offset / 8)
}

/// Finds the directory of a control group: a path, or one below where version 2 is mounted.
///
/// # Errors
/// A sentence about what is missing.
pub fn group_path(text: &str) -> Result<PathBuf, String> {
    let root = group_root()?;
    let path =
        if Path::new(text).starts_with(&root) { PathBuf::from(text) } else { root.join(text.trim_start_matches('/')) };
    if path.join("cgroup.procs").exists() {
        Ok(path)
    } else {
        Err(format!("there is no control group `{text}` below {}", root.display()))
    }
}

/// Finds the control group of a container by its id or the beginning of it.
///
/// # Errors
/// A sentence about what is missing, or that several groups match.
pub fn container_path(id: &str) -> Result<PathBuf, String> {
    const SHORTEST: usize = 4;
    if id.len() < SHORTEST || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(format!("`{id}` is no id of a container: {SHORTEST} or more letters and digits"));
    }
    let root = group_root()?;
    let (mut found, mut rest) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = rest.pop() {
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let name = entry.file_name();
            // `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`, `ID`
            let starts = |part: &str| part.starts_with(id);
            if name.to_str().is_some_and(|name| starts(name) || name.rsplit('-').any(starts)) {
                found.push(entry.path());
            } else {
                rest.push(entry.path());
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(format!("no control group below {} belongs to a container `{id}`", root.display())),
        several => Err(format!("`{id}` may be each of {} containers; give more of the id", several.len())),
    }
}

fn group_root() -> Result<PathBuf, String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let path = line.and_then(|line| line.split(' ').nth(1));
    path.map(PathBuf::from).ok_or_else(|| "control groups of version 2 are not mounted here".to_owned())
}

/// Attaches everything; the beginnings of calls last, so that there are no beginnings whose ends are not seen.
fn attach(loaded: &Loaded) -> Result<Vec<Attachment>, StraceError> {
    let mut attached: Vec<Attachment> = Vec::new();
    for (name, event) in PROGRAMS.iter().rev() {
        let Some(program) = loaded.program(name) else { continue };
        match attach_raw_tracepoint(program, event, 0) {
            Ok(link) => attached.push(link.into()),
            Err(error) => {
                // The first problem is what counts.
                let _ = detach_all(attached);
                return Err(error.into());
            }
        }
    }
    Ok(attached)
}

/// The maps by their names.
struct Tables<'l> {
    loaded: &'l Loaded,
    names: &'l [String],
}

impl Tables<'_> {
    fn map(&self, name: &str) -> Result<&LoadedMap, StraceError> {
        let index = self.names.iter().position(|known| known == name);
        match index.and_then(|index| self.loaded.maps.get(index)) {
            Some(map) => Ok(map),
            None => refuse(format!("the programs have no map `{name}`")),
        }
    }

    fn fill(&self, request: &Request, threads: &[u32]) -> Result<(), StraceError> {
        let descriptors = self.map(maps::CALLS)?;
        for number in &request.selection.numbers {
            let Some(call) = calls().get(number).filter(|call| call.number < CALLS - 1) else { continue };
            let bytes = plan(call, request.look.style).descriptor();
            descriptors.set(&number.to_ne_bytes(), &bytes, Update::Any)?;
        }
        if request.selection.others {
            let bytes = crate::capture::Plan::default().descriptor();
            let named = |number: &u32| calls().contains_key(number);
            for number in (0..CALLS).filter(|number| !named(number)) {
                descriptors.set(&number.to_ne_bytes(), &bytes, Update::Any)?;
            }
        }
        for thread in threads {
            self.map(maps::THREADS)?.set(&thread.to_ne_bytes(), &[0; 8], Update::Any)?;
        }
        if let Some(path) = &request.target.group {
            let group = std::fs::File::open(path);
            let group = group.map_err(|error| StraceError::Request(format!("{}: {error}", path.display())))?;
            self.map(maps::GROUPS)?.set_object(&[0; 4], &group)?;
        }
        Ok(())
    }

    /// Whether a traced thread is left.
    fn any_thread(&self) -> Result<bool, StraceError> {
        Ok(!self.map(maps::THREADS)?.keys()?.is_empty())
    }
}

/// A run that goes on.
struct Run<'r> {
    tables: Tables<'r>,
    watch: Watch,
    ring: Option<RingBuffer>,
    lines: Lines,
    out: &'r mut dyn Write,
    end: Option<Instant>,
    threads: bool,
    watched: bool,
}

impl Run<'_> {
    /// Starts the command and reads until there is nothing to wait for. Gives the command, which may still run.
    fn until_over(&mut self, waiting: Option<Waiting>, program: &str) -> Result<Option<Child>, StraceError> {
        let child = match waiting {
            None => None,
            Some(waiting) => {
                let id = waiting.id();
                self.watch.add_process(id)?;
                let child = waiting.go_on();
                let child = child.map_err(|error| StraceError::Request(format!("cannot run `{program}`: {error}")))?;
                Some(child)
            }
        };
        let mut child = child;
        loop {
            let more = self.consume(AT_ONCE)?;
            if self.watch.signal().is_some() {
                break;
            }
            if self.end.is_some_and(|end| Instant::now() >= end) {
                break;
            }
            if more {
                continue;
            }
            let mut timeout = self.end.map(|end| end.saturating_duration_since(Instant::now()));
            if self.threads {
                if let Some(child) = &mut child {
                    // Taking its status makes its number free and its end final.
                    child.try_wait().map_err(StraceError::Output)?;
                }
                if !self.tables.any_thread()? {
                    break;
                }
                timeout = Some(timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE)));
            }
            if self.watched {
                self.lines.idle();
                self.write()?;
            }
            self.out.flush().map_err(StraceError::Output)?;
            self.watch.wait(timeout)?;
        }
        Ok(child)
    }

    /// Reads records, at most so many. Says whether there may be more.
    fn consume(&mut self, most: u64) -> Result<bool, StraceError> {
        let Some(ring) = &mut self.ring else { return Ok(false) };
        let (lines, mut left) = (&mut self.lines, most);
        ring.consume(|record| {
            lines.record(record);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.write()?;
        Ok(left == 0)
    }

    fn write(&mut self) -> Result<(), StraceError> {
        let text = self.lines.take();
        self.out.write_all(text.as_bytes()).map_err(StraceError::Output)
    }

    /// Reads all records that are there.
    fn drain(&mut self) -> Result<(), StraceError> {
        while self.consume(AT_ONCE)? {}
        Ok(())
    }

    fn outcome(&self, count: bool) -> Result<Outcome, StraceError> {
        let mut outcome = Outcome { totals: self.lines.totals(), ..Outcome::default() };
        if let Some(values) = self.tables.map(maps::LOST)?.get_per_cpu(&[0; 4])? {
            for value in values.iter().map(crate::decode::text::Bytes) {
                outcome.lost_beginnings += value.u64(lost::ENTER as usize);
                outcome.lost_ends += value.u64(lost::EXIT as usize);
                outcome.lost_others += value.u64(lost::OTHER as usize);
                outcome.unpaired += value.u64(lost::UNPAIRED as usize);
            }
        }
        if count {
            let stats = self.tables.map(maps::STATS)?;
            for index in 0..CALLS {
                if let Some(values) = stats.get_per_cpu(&index.to_ne_bytes())? {
                    outcome.counts.extend(Counts::add_up(index, values.iter()));
                }
            }
        }
        Ok(outcome)
    }
}

//! A whole object at work: loaded, attached, its records and messages delivered, until something ends it.
//!
//! ```text
//!  Object --load, attach_all--> Session --run--> records of ring buffers and perf buffers
//!                                  |             lines of bpf_printk (trace)
//!                                  |             until a signal, a duration, the end of a process, or `each` has enough
//!                                  +--contents--> what maps hold
//! ```
//!
//! Everything is detached and freed when the session is dropped, and by the kernel if the process is killed.

mod contents;
mod pinning;
mod places;
mod trace;

use std::fmt;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::process::Child;
use std::time::{Duration, Instant};

use skep_btf::{Btf, Kind, TypeId, Value};
use skep_isa::MapType;
use skep_isa::ebpf::{self, Callee, Op};
use skep_object::Object;

use crate::attach::{AttachOptions, Attachments, attach_all};
use crate::errors::KernelError;
use crate::load::{LoadError, LoadOptions, Loaded, load_with};
use crate::perf_buffer::{PerfBuffer, PerfRecord};
use crate::ringbuf::RingBuffer;
use crate::sys::signals::{Signals, process_end};
use crate::sys::wait::Epoll;

pub use contents::MapContents;
pub use pinning::pin_all;
pub use places::Places;
use trace::TracePipe;

const ACTION: &str = "run the programs of an object";
/// Pages of each processor's part of a perf buffer.
const PERF_PAGES: usize = 64;
/// Numbers of descriptors that are no stream.
const SIGNALS: u64 = u64::MAX;
const TRACE: u64 = u64::MAX - 1;
const PROCESS: u64 = u64::MAX - 2;
/// Records of one buffer before others, signals and the clock get their turn. Printing a record may cause the next one, so
/// a buffer may never become empty.
const AT_ONCE: u64 = 4096;
/// How often a process is looked at on kernels that do not report its end.
const LOOK: Duration = Duration::from_millis(50);

/// How an object is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionOptions<'a> {
    /// How it is loaded.
    pub load: LoadOptions<'a>,
    /// Where it is attached.
    pub attach: AttachOptions<'a>,
    /// The types of records: name of the map and of the type, for example `struct event`.
    pub types: &'a [(&'a str, &'a str)],
}

/// Why an object cannot be run.
#[derive(Debug)]
pub enum SessionError {
    /// It cannot be loaded.
    Load(LoadError),
    /// A program cannot be attached.
    Attach {
        /// Its name.
        program: String,
        /// The reason.
        error: KernelError,
    },
    /// A map or type that was named does not exist, or cannot be what it was named for.
    Type(String),
    /// Reading records failed.
    Kernel(KernelError),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Attach { program, error } => write!(f, "program `{program}`: {error}"),
            Self::Type(problem) => f.write_str(problem),
            Self::Kernel(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Load(error) => Some(error),
            Self::Attach { error, .. } | Self::Kernel(error) => Some(error),
            Self::Type(_) => None,
        }
    }
}

/// What programs deliver.
#[derive(Debug)]
pub enum Event<'a> {
    /// A record of a ring buffer or perf buffer.
    Record {
        /// The name of the map.
        map: &'a str,
        /// The processor, for perf buffers.
        cpu: Option<u32>,
        /// The record. Perf buffers may add up to 7 bytes at the end.
        bytes: &'a [u8],
        /// The same by its type; `None` if no type is known or it does not fit.
        value: Option<Value<'a>>,
    },
    /// Records were lost because the perf buffer was full.
    Lost {
        /// The name of the map.
        map: &'a str,
        /// How many.
        count: u64,
    },
    /// A line of `bpf_printk`, without its end.
    Printed(&'a str),
    /// A piece of what an iterator writes.
    Iterator {
        /// The name of the program.
        program: &'a str,
        /// The text.
        text: &'a str,
    },
}

/// What ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The time was over.
    Time,
    /// The process has ended.
    Process,
    /// SIGINT, SIGTERM or SIGHUP: its number.
    Signal(i32),
    /// The receiver of the events had enough.
    Enough,
}

/// A map with records, and their type.
struct Stream {
    map: String,
    ty: Option<TypeId>,
    source: Source,
}

enum Source {
    Ring(RingBuffer),
    Perf(PerfBuffer),
}

/// An object at work.
pub struct Session {
    // In the order in which they have to go: first nothing new comes, then the readers, then the maps.
    attachments: Attachments,
    streams: Vec<Stream>,
    trace: Option<TracePipe>,
    loaded: Loaded,
    object: Object,
    btf: Option<Btf>,
    notes: Vec<String>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams: Vec<&str> = self.streams.iter().map(|stream| stream.map.as_str()).collect();
        f.debug_struct("Session").field("streams", &streams).field("notes", &self.notes).finish_non_exhaustive()
    }
}

impl Session {
    /// Loads an object, opens its buffers, and attaches its programs, in this order: no record is missed.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the object stays.
    pub fn start(object: &Object, options: &SessionOptions<'_>) -> Result<Self, SessionError> {
        let btf = match object.btf.is_empty() {
            true => None,
            false => Some(Btf::parse(object.btf.clone()).map_err(|error| SessionError::Type(error.to_string()))?),
        };
        let types = types_of(object, btf.as_ref(), options.types)?;
        let loaded = load_with(object, &options.load).map_err(SessionError::Load)?;
        let mut notes: Vec<String> = loaded
            .missing
            .iter()
            .map(|missing| {
                format!("program `{}` goes without {}, which this kernel lacks", missing.program, missing.what)
            })
            .collect();
        let mut streams = Vec::new();
        for ((spec, map), ty) in object.maps.iter().zip(&loaded.maps).zip(types) {
            let source = match spec.map_type {
                MapType::Ringbuf => RingBuffer::open(map).map(Source::Ring),
                MapType::PerfEventArray => PerfBuffer::open(map, PERF_PAGES, 1).map(Source::Perf),
                _ => continue,
            };
            let source =
                source.map_err(|error| SessionError::Load(LoadError::Map { map: spec.name.clone(), error }))?;
            streams.push(Stream { map: spec.name.clone(), ty, source });
        }
        let mut trace = None;
        if object.programs.iter().any(|program| loaded.program(&program.name).is_some() && prints(program)) {
            match TracePipe::open() {
                Ok(pipe) => trace = Some(pipe),
                Err(error) => notes.push(format!("messages of bpf_printk are not shown: {error}")),
            }
        }
        let attachments = attach_all(&loaded, object, &options.attach)
            .map_err(|(program, error)| SessionError::Attach { program, error })?;
        Ok(Self { attachments, streams, trace, loaded, object: object.clone(), btf, notes })
    }

    /// What is loaded.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// What is attached, and what is not.
    pub fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    /// What the user may want to know: what the kernel lacks, what is not shown.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Hands events to `each` until it breaks, a signal to end comes (SIGINT, SIGTERM, SIGHUP), the time is over or the
    /// process has ended. Iterators run once at the beginning. What was delivered before the end is handed over.
    ///
    /// Signals are blocked in the calling thread meanwhile; other threads have to block them themselves.
    ///
    /// # Errors
    /// [`SessionError::Kernel`] if a buffer is damaged or an iterator fails.
    pub fn run(
        &mut self,
        duration: Option<Duration>,
        mut process: Option<&mut Child>,
        each: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<End, SessionError> {
        let system = |errno| SessionError::Kernel(KernelError::system(ACTION, errno));
        let signals = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
        let signals = Signals::block(&signals).map_err(system)?;
        let epoll = Epoll::new().map_err(system)?;
        epoll.add(signals.as_fd(), SIGNALS).map_err(system)?;
        for (stream, number) in self.streams.iter().zip(0u64..) {
            let fd = match &stream.source {
                Source::Ring(ring) => ring.as_fd(),
                Source::Perf(perf) => perf.as_fd(),
            };
            epoll.add(fd, number).map_err(system)?;
        }
        if let Some(trace) = &self.trace {
            epoll.add(trace.as_fd(), TRACE).map_err(system)?;
        }
        let ending = process.as_ref().map(|child| process_end(child.id()));
        if let Some(Ok(ending)) = &ending {
            epoll.add(ending.as_fd(), PROCESS).map_err(system)?;
        }
        let longest = matches!(ending, Some(Err(_))).then_some(LOOK);
        if self.iterate(each)?.is_break() {
            return Ok(End::Enough);
        }
        let end = duration.map(|duration| Instant::now() + duration);
        loop {
            if self.deliver(each)?.is_break() {
                return Ok(End::Enough);
            }
            let mut ended = None;
            while let Some(number) = signals.next() {
                ended = Some(End::Signal(number));
            }
            if process.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
                ended = ended.or(Some(End::Process));
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                ended = ended.or(Some(End::Time));
            }
            if let Some(ended) = ended {
                // What came while we looked.
                return Ok(if self.deliver(each)?.is_break() { End::Enough } else { ended });
            }
            let wait = left.into_iter().chain(longest).min();
            epoll.wait(wait, |_| {}).map_err(system)?;
        }
    }

    /// Everything that is there now.
    fn deliver(&mut self, each: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<ControlFlow<()>, SessionError> {
        let btf = self.btf.as_ref();
        let mut flow = ControlFlow::Continue(());
        for stream in &mut self.streams {
            let (map, ty) = (stream.map.as_str(), stream.ty);
            let value = |bytes: &[u8]| btf.zip(ty).and_then(|(btf, ty)| Value::decode(btf, ty, bytes).ok());
            let result = match &mut stream.source {
                Source::Ring(ring) => {
                    let mut left = AT_ONCE;
                    ring.consume(|bytes| {
                        flow = each(Event::Record { map, cpu: None, bytes, value: value(bytes) });
                        left -= 1;
                        // What is left keeps the buffer readable.
                        if left == 0 { ControlFlow::Break(()) } else { flow }
                    })
                }
                Source::Perf(perf) => perf.consume(|record| {
                    if flow.is_continue() {
                        flow = each(match record {
                            PerfRecord::Sample { cpu, data } => {
                                Event::Record { map, cpu: Some(cpu), bytes: data, value: value(data) }
                            }
                            PerfRecord::Lost { count, .. } => Event::Lost { map, count },
                        });
                    }
                }),
            };
            result.map_err(SessionError::Kernel)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        match &mut self.trace {
            Some(trace) => trace.lines(&mut |line| each(Event::Printed(line))).map_err(SessionError::Kernel),
            None => Ok(flow),
        }
    }

    /// Runs every iterator once.
    fn iterate(&self, each: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<ControlFlow<()>, SessionError> {
        for (program, iter) in &self.attachments.iterators {
            let mut file = iter.open().map_err(SessionError::Kernel)?;
            let mut text = String::new();
            let read = file.read_to_string(&mut text);
            let failed = |error: std::io::Error| {
                let errno = error.raw_os_error().unwrap_or(libc::EILSEQ);
                SessionError::Attach { program: program.clone(), error: KernelError::system("run an iterator", errno) }
            };
            read.map_err(failed)?;
            if !text.is_empty() && each(Event::Iterator { program, text: &text }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What the maps hold, at most `limit` entries of each. Buffers and constants are left out.
    pub fn contents(&self, limit: usize) -> Vec<MapContents> {
        contents::of_maps(&self.object, &self.loaded, self.btf.as_ref(), limit)
    }

    /// Detaches everything and tells whether that worked; dropping does the same and ignores failures.
    ///
    /// # Errors
    /// The first failure; the others are detached all the same.
    pub fn close(self) -> Result<(), KernelError> {
        let Attachments { attached, iterators, .. } = self.attachments;
        drop(iterators);
        crate::attach::detach_all(attached.into_iter().map(|(_, attachment)| attachment).collect())
    }
}

/// Whether a program calls `bpf_trace_printk` or `bpf_trace_vprintk`.
fn prints(program: &skep_object::Program) -> bool {
    let calls = ebpf::validate(&program.insns).unwrap_or_default();
    calls.into_iter().any(|(_, op)| matches!(op, Op::Call(Callee::Helper(6 | 177))))
}

/// The type of the records of each map: what was named, else what the map's definition says.
fn types_of(object: &Object, btf: Option<&Btf>, named: &[(&str, &str)]) -> Result<Vec<Option<TypeId>>, SessionError> {
    if let Some((map, _)) = named.iter().find(|(map, _)| !object.maps.iter().any(|spec| spec.name == *map)) {
        let known: Vec<&str> = object.maps.iter().map(|spec| spec.name.as_str()).collect();
        return Err(SessionError::Type(format!("there is no map `{map}`; there are: {}", known.join(", "))));
    }
    let of = |spec: &skep_object::MapSpec| {
        let Some((_, name)) = named.iter().find(|(map, _)| *map == spec.name) else {
            return Ok(spec.value_type.map(TypeId));
        };
        let found = btf.and_then(|btf| find_type(btf, name));
        let problem = || {
            SessionError::Type(format!(
                "the object describes no type `{name}`; is it used in a program, and was it compiled with -g?"
            ))
        };
        found.map(Some).ok_or_else(problem)
    };
    object.maps.iter().map(of).collect()
}

/// A type by its name in C: `struct event`, `union u`, `enum e`, or the name of a typedef or basic type.
fn find_type(btf: &Btf, name: &str) -> Option<TypeId> {
    let name = name.trim();
    let (word, plain) = name.split_once(' ').map_or(("", name), |(word, rest)| (word, rest.trim()));
    let of = |wanted: &dyn Fn(&Kind<'_>) -> bool, name: &str| btf.find_type(name, |kind| wanted(kind));
    match word {
        "struct" => of(&|kind| matches!(kind, Kind::Struct(_)), plain),
        "union" => of(&|kind| matches!(kind, Kind::Union(_)), plain),
        "enum" => of(&|kind| matches!(kind, Kind::Enum(_) | Kind::Enum64(_)), plain),
        _ => of(&|kind| matches!(kind, Kind::Int(_) | Kind::Typedef(_) | Kind::Struct(_) | Kind::Union(_)), name),
    }
}

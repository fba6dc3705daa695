//! Programs of performance events: counters, timers, breakpoints; and the descriptor that all probes share.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::many::Attachment;
use super::tracefs::Tracefs;
use super::words::{TRACING, Way, unknown};
use crate::errors::KernelError;
use crate::features::sysctl;
use crate::sys::link::{Extra, Target, link_create};
use crate::sys::perf::{self, PerfAttr, bit, kind};

const WAY: Way = Way {
    action: "attach a program to a performance event",
    what: "programs of performance events",
    since: Release::new(4, 9),
    needs: TRACING,
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerfEvent {
    /// A counter of the kernel: 0 is the clock of the processor (in nanoseconds), 1 that of the task, 2 page faults,
    /// 3 context switches, 4 migrations, 5 minor and 6 major faults (`enum perf_sw_ids`).
    Software(u64),
    /// A counter of the processor: 0 cycles, 1 instructions, 2 cache references, 3 cache misses, 4 branches, 5 missed
    /// branches (`enum perf_hw_id`).
    Hardware(u64),
    /// A counter of a cache: the cache, the operation shifted by 8, the result shifted by 16
    /// (`enum perf_hw_cache_id` and the following).
    Cache(u64),
    /// A counter by the number that the processor's manual gives it.
    Raw(u64),
    /// Accesses to memory.
    Breakpoint {
        /// The first address, a multiple of the length.
        address: u64,
        /// 1, 2, 4 or 8 bytes.
        length: u8,
        /// Whether reads count.
        read: bool,
        /// Whether writes count.
        write: bool,
        /// Whether execution counts; then the length must be that of a register and nothing else counts.
        execute: bool,
    },
}

impl PerfEvent {
    /// The clock of the processor, which fires also when nothing runs: the event for profiling.
    pub const CPU_CLOCK: Self = Self::Software(0);
}

/// How often the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerfRate {
    /// Every so many counts, at least 1 (nanoseconds for clocks).
    Period(u64),
    /// So many times a second, at least 1; `kernel.perf_event_max_sample_rate` limits it.
    Frequency(u64),
}

/// Whose events are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerfTarget {
    /// Those of all processes, on every processor that is online.
    AllCpus,
    /// Those of all processes on one processor.
    Cpu(u32),
    /// Those of one task, on every processor.
    Process(u32),
}

/// Programs of one or several performance events. Dropping it closes them, which detaches.
#[derive(Debug)]
pub struct PerfProbe {
    /// Links where the kernel has them, events otherwise.
    parts: Vec<OwnedFd>,
    /// The probe's definition by text, removed behind the events.
    definition: Option<Definition>,
}

impl PerfProbe {
    pub(super) fn new(parts: Vec<OwnedFd>) -> Self {
        Self { parts, definition: None }
    }

    /// The descriptors: one for each processor if it is an event of all of them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.parts.iter().map(AsFd::as_fd)
    }

    pub(super) fn with_definition(mut self, definition: Definition) -> Self {
        self.definition = Some(definition);
        self
    }
}

impl Drop for PerfProbe {
    fn drop(&mut self) {
        // The definition is in use until the last event is closed.
        self.parts.clear();
        self.definition.take();
    }
}

/// A probe that was defined by a line of text in the tracing file system; dropping it removes the line.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) tracefs: Tracefs,
    /// `kprobe_events` or `uprobe_events`.
    pub(super) file: &'static str,
    /// `group/name`
    pub(super) name: String,
}

impl Drop for Definition {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.tracefs.define(self.file, &format!("-:{}\n", self.name));
    }
}

/// Attaches a program (type perf_event) to an event; it runs whenever the event fires.
///
/// # Errors
/// [`KernelError::Unsupported`] if the machine has no such counter (virtual machines often lack those of the
/// processor), [`KernelError::NotPermitted`] with the value of `kernel.perf_event_paranoid`, [`KernelError::Invalid`] if
/// rate, address or process make no sense.
pub fn attach_perf_event(
    program: impl AsFd,
    event: PerfEvent,
    rate: PerfRate,
    target: PerfTarget,
) -> Result<PerfProbe, KernelError> {
    let attr = attributes(event, rate)?;
    let places: Vec<(i32, i32)> = match target {
        PerfTarget::AllCpus => online_cpus()?.into_iter().map(|cpu| (-1, cpu)).collect(),
        PerfTarget::Cpu(cpu) => vec![(-1, number(cpu)?)],
        PerfTarget::Process(pid) => vec![(number(pid)?, -1)],
    };
    let mut parts = Vec::with_capacity(places.len());
    for (pid, cpu) in places {
        let fd = perf::open(attr, None, pid, cpu).map_err(|errno| refused(errno, event, rate, target))?;
        parts.push(join(&WAY, fd, program.as_fd(), 0)?);
    }
    Ok(PerfProbe::new(parts))
}

fn number(value: u32) -> Result<i32, KernelError> {
    i32::try_from(value).map_err(|_| WAY.invalid(format!("{value} is no number of a process or processor")))
}

fn attributes(event: PerfEvent, rate: PerfRate) -> Result<PerfAttr, KernelError> {
    let (r#type, config) = match event {
        PerfEvent::Software(number) => (kind::SOFTWARE, number),
        PerfEvent::Hardware(number) => (kind::HARDWARE, number),
        PerfEvent::Cache(number) => (kind::HW_CACHE, number),
        PerfEvent::Raw(number) => (kind::RAW, number),
        PerfEvent::Breakpoint { .. } => (kind::BREAKPOINT, 0),
    };
    let (period, frequency) = match rate {
        PerfRate::Period(period) => (period, 0),
        PerfRate::Frequency(frequency) => (frequency, bit::FREQ),
    };
    if period == 0 {
        return Err(WAY.invalid("a rate of 0 never fires; give at least 1"));
    }
    let mut attr = PerfAttr { r#type, config, sample_period: period, bits_disabled: frequency, ..PerfAttr::default() };
    if let PerfEvent::Breakpoint { address, length, read, write, execute } = event {
        attr.config1 = address;
        attr.config2 = u64::from(length);
        attr.bp_type = u32::from(read) | u32::from(write) << 1 | u32::from(execute) << 2;
    }
    Ok(attr)
}

/// Sets the program of an event and starts it: by a link (Linux 5.15), otherwise by the event's own control. Returns what
/// keeps it attached.
pub(super) fn join(way: &Way, event: OwnedFd, program: BorrowedFd<'_>, cookie: u64) -> Result<OwnedFd, KernelError> {
    let wrong = || {
        "the program's type does not fit the event, it reads more of the record than there is, or the event has \
         another program"
            .to_owned()
    };
    let attach_type = AttachType::PerfEvent.number();
    let kept = match link_create(program, Target::Fd(event.as_fd()), attach_type, 0, &Extra::Perf { cookie }) {
        Ok(link) => {
            perf::enable(event.as_fd()).map_err(|errno| KernelError::system(way.action, errno))?;
            // The link keeps the event.
            link
        }
        Err(errno) if unknown(errno) => {
            if cookie != 0 && COOKIES.too_old() {
                return Err(COOKIES.unsupported());
            }
            perf::set_program(event.as_fd(), program).map_err(|errno| join_error(way, errno, wrong))?;
            perf::enable(event.as_fd()).map_err(|errno| KernelError::system(way.action, errno))?;
            event
        }
        Err(errno) => return Err(join_error(way, errno, wrong)),
    };
    Ok(kept)
}

const COOKIES: Way = Way {
    action: "attach a program with a cookie",
    what: "cookies of probes",
    since: Release::new(5, 15),
    needs: TRACING,
};

fn join_error(way: &Way, errno: i32, wrong: impl FnOnce() -> String) -> KernelError {
    match errno {
        libc::EEXIST => way.invalid("the event has a program already"),
        libc::E2BIG => way.invalid("as many programs as can be (64) are attached to this event already"),
        libc::EACCES => way.invalid(wrong()),
        errno => way.error(errno, wrong),
    }
}

/// The event of one probe or tracepoint as an attachment: a link if it became one.
pub(super) fn single(
    way: &Way,
    event: OwnedFd,
    program: BorrowedFd<'_>,
    cookie: u64,
) -> Result<Attachment, KernelError> {
    let kept = join(way, event, program, cookie)?;
    Ok(if is_link(&kept) { Link::new(kept).into() } else { Attachment::Perf(PerfProbe::new(vec![kept])) })
}

/// Whether a descriptor is a link, by the name that the kernel gives its file.
pub(super) fn is_link(fd: &OwnedFd) -> bool {
    use std::os::fd::AsRawFd as _;
    let target = fs::read_link(format!("/proc/thread-self/fd/{}", fd.as_raw_fd()));
    target.is_ok_and(|target| target.to_string_lossy().starts_with("anon_inode:bpf"))
}

fn refused(errno: i32, event: PerfEvent, rate: PerfRate, target: PerfTarget) -> KernelError {
    match errno {
        libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP | libc::ENXIO => {
            if let (libc::ENODEV, PerfTarget::Cpu(cpu)) = (errno, target) {
                return WAY.invalid(format!("processor {cpu} does not exist or is offline"));
            }
            WAY.lacks(format!(
                "the event {event:?} (a virtual machine without counters? use the clock of the processor)"
            ))
        }
        libc::ESRCH => WAY.invalid(match target {
            PerfTarget::Process(pid) => format!("there is no process {pid}"),
            _ => "the process has ended".to_owned(),
        }),
        libc::EACCES | libc::EPERM => not_permitted(WAY.action),
        libc::ENOSPC => WAY.invalid("all breakpoint registers of the processor are in use"),
        libc::EINVAL => {
            let most = sysctl("kernel.perf_event_max_sample_rate");
            match (rate, most) {
                (PerfRate::Frequency(frequency), Some(most))
                    if i64::try_from(frequency).is_ok_and(|own| own > most) =>
                {
                    WAY.invalid(format!(
                        "{frequency} times a second is more than kernel.perf_event_max_sample_rate allows ({most}); \
                         `sysctl -w kernel.perf_event_max_sample_rate={frequency}`"
                    ))
                }
                _ => WAY.invalid(format!("the kernel does not accept {event:?} at {rate:?} for {target:?}")),
            }
        }
        errno => KernelError::system(WAY.action, errno),
    }
}

/// Refused, with the sysctl that decides about performance events.
pub(super) fn not_permitted(action: &'static str) -> KernelError {
    let mut error = KernelError::not_permitted(action, TRACING);
    if let (KernelError::NotPermitted { remarks, .. }, Some(value)) = (&mut error, sysctl("kernel.perf_event_paranoid"))
        && value > -1
    {
        remarks.push(format!("kernel.perf_event_paranoid is {value}, so only capabilities help"));
    }
    error
}

/// Numbers of the processors that are online.
fn online_cpus() -> Result<Vec<i32>, KernelError> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online")
        .map_err(|error| KernelError::system(WAY.action, error.raw_os_error().unwrap_or(libc::EIO)))?;
    cpus(&text).ok_or_else(|| KernelError::system(WAY.action, libc::EPROTO))
}

/// The numbers in a list such as `0-3,8`; the kernel supports at most 8192 processors.
fn cpus(list: &str) -> Option<Vec<i32>> {
    let mut all = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        all.extend((first..=last.min(8191)).map(i32::from));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(cpus("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpus("0\n"), Some(vec![0]));
        assert_eq!(cpus("0-x"), None);
    }

    #[test]
    fn attributes_of_breakpoints_and_clocks() {
        let watch = PerfEvent::Breakpoint { address: 0x1000, length: 4, read: true, write: true, execute: false };
        let attr = attributes(watch, PerfRate::Period(1)).unwrap();
        assert_eq!((attr.r#type, attr.config1, attr.config2, attr.bp_type), (5, 0x1000, 4, 3));
        let attr = attributes(PerfEvent::CPU_CLOCK, PerfRate::Frequency(99)).unwrap();
        assert_eq!((attr.r#type, attr.sample_period, attr.bits_disabled), (1, 99, 1 << 10));
        assert!(attributes(PerfEvent::CPU_CLOCK, PerfRate::Period(0)).is_err());
    }
}

//! Attaching all programs of an object, each where its section says, with what sections cannot say as options.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use skep_isa::sections::{self, AttachWay};
use skep_isa::{AttachType, ProgType};
use skep_object::{AttachPoint, Object, Program, Side};

use super::usdt::Descriptions;
use super::{
    Attachment, CgroupOptions, Direction, Iter, IterTarget, KernelPlace, KernelPlaces, MultiMode, NetfilterPlace,
    NetkitSide, Order, PerfEvent, PerfRate, PerfTarget, TcOptions, UsdtPlace, UserPlace, XdpMode, attach_cgroup,
    attach_flow_dissector, attach_freplace, attach_infrared, attach_iter, attach_kprobe, attach_kprobe_multi,
    attach_netfilter, attach_netkit, attach_perf_event, attach_raw_tracepoint, attach_sk_lookup, attach_tc,
    attach_tc_action, attach_tracepoint, attach_tracing, attach_uprobe, attach_uprobe_multi, attach_xdp,
};
use crate::errors::KernelError;
use crate::features::running_release;
use crate::load::{Loaded, syscall_prefix};
use crate::prog::LoadedProgram;

const ACTION: &str = "attach a program";

/// Finds what names of functions and probes mean. This crate reads no symbols of files; `skep-sym` does.
pub trait Symbols {
    /// The file that a name stands for (a path, a library, a command) and where a function begins in it, in bytes of the
    /// file. An empty function stands for the start of the file.
    ///
    /// # Errors
    /// A sentence that names the file or function that is missing.
    fn function(&self, file: &str, function: &str, process: Option<u32>) -> Result<(PathBuf, u64), String>;

    /// The file and where each function begins whose name matches a pattern with `*` and `?`.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    fn functions(&self, file: &str, pattern: &str, process: Option<u32>) -> Result<(PathBuf, Vec<u64>), String>;

    /// The file and the places of a USDT probe, with their arguments.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    fn probe(
        &self,
        file: &str,
        provider: &str,
        name: &str,
        process: Option<u32>,
    ) -> Result<(PathBuf, Vec<UsdtPlace>), String>;

    /// The functions of the kernel that can be traced and match a pattern.
    ///
    /// # Errors
    /// [`KernelError`] if the kernel does not list them.
    fn kernel_functions(&self, pattern: &str) -> Result<Vec<String>, KernelError>;
}

/// What sections cannot say.
#[derive(Clone, Copy, Default)]
pub struct AttachOptions<'a> {
    /// The network interface for programs of XDP, traffic control and netkit, by its number.
    pub interface: Option<u32>,
    /// How XDP programs are attached.
    pub xdp: XdpMode,
    /// The control group for programs of control groups.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The receiver for decoders of infrared signals, from [`open_infrared`](super::open_infrared).
    pub infrared: Option<BorrowedFd<'a>>,
    /// The only process in which user probes run and perf events count.
    pub process: Option<u32>,
    /// What `bpf_get_attach_cookie` returns in all programs.
    pub cookie: u64,
    /// The event for programs of type perf_event, and how often they run.
    pub event: Option<(PerfEvent, PerfRate)>,
    /// The hook for netfilter programs.
    pub netfilter: Option<NetfilterPlace>,
    /// What iterators go over.
    pub iterate: IterTarget<'a>,
    /// Who knows symbols; needed for user probes and patterns.
    pub symbols: Option<&'a dyn Symbols>,
    /// Places that count instead of those of the sections: name of the program and place.
    pub places: &'a [(&'a str, AttachPoint)],
}

/// The programs of an object at their hooks. Dropping it detaches them.
#[derive(Debug, Default)]
pub struct Attachments {
    /// Name of the program (of the map for tables of operations) and its attachment, in the order of the object; a program may be attached at several places.
    pub attached: Vec<(String, Attachment)>,
    /// Iterators: they run when they are read.
    pub iterators: Vec<(String, Iter)>,
    /// Programs that were left alone, and why: nobody said where they belong, or they run only when they are called.
    pub left: Vec<(String, String)>,
}

/// What became of a program.
enum Outcome {
    Attached(Vec<Attachment>),
    Iterator(Iter),
    Left(String),
}

impl From<Attachment> for Outcome {
    fn from(attachment: Attachment) -> Self {
        Self::Attached(vec![attachment])
    }
}

impl From<super::Link> for Outcome {
    fn from(link: super::Link) -> Self {
        Attachment::from(link).into()
    }
}

/// Attaches the loaded programs of an object, and then its tables of operations, each under the name of its map.
///
/// Programs whose place is neither in their section nor in the options are listed in [`Attachments::left`].
///
/// # Errors
/// The name of the first program that cannot be attached, and why. Those before it are detached again.
pub fn attach_all(
    loaded: &Loaded,
    object: &Object,
    options: &AttachOptions<'_>,
) -> Result<Attachments, (String, KernelError)> {
    let mut all = Attachments::default();
    let mut usdt = Descriptions::of(loaded, object);
    for spec in &object.programs {
        let Some(program) = loaded.program(&spec.name) else { continue };
        if loaded.tables.iter().any(|table| table.has(&spec.name)) {
            continue;
        }
        let outcome = attach_one(program, spec, options, &mut usdt).map_err(|error| (spec.name.clone(), error))?;
        let name = || spec.name.clone();
        match outcome {
            Outcome::Attached(several) => all.attached.extend(several.into_iter().map(|one| (name(), one))),
            Outcome::Iterator(iter) => all.iterators.push((name(), iter)),
            Outcome::Left(why) => all.left.push((name(), why)),
        }
    }
    for table in &loaded.tables {
        let attachment = table.attach(loaded).map_err(|error| (table.name().to_owned(), error))?;
        all.attached.push((table.name().to_owned(), attachment));
    }
    Ok(all)
}

fn attach_one(
    program: &LoadedProgram,
    spec: &Program,
    options: &AttachOptions<'_>,
    usdt: &mut Descriptions<'_>,
) -> Result<Outcome, KernelError> {
    let cookie = options.cookie;
    let given = options.places.iter().find(|(name, _)| *name == spec.name).map(|(_, place)| place);
    let point = given.unwrap_or(&spec.attach);
    Ok(match point {
        AttachPoint::Unspecified => return without_place(program, spec, options),
        AttachPoint::Function { name, offset, side } => {
            let place = KernelPlace::Function { name, offset: *offset };
            attach_kprobe(program, place, *side == Side::Return, cookie)?.into()
        }
        AttachPoint::FunctionPattern { pattern, side } => kernel_pattern(program, pattern, *side, options)?,
        AttachPoint::Syscall { name, side } => {
            let prefix = syscall_prefix(std::env::consts::ARCH, running_release()).unwrap_or("__se_");
            let name = format!("{prefix}sys_{name}");
            let place = KernelPlace::Function { name: &name, offset: 0 };
            attach_kprobe(program, place, *side == Side::Return, cookie)?.into()
        }
        AttachPoint::Binary { path, symbol, offset, side } => {
            let (file, start) = symbols(options)?.function(path, symbol, options.process).map_err(invalid)?;
            let place = UserPlace { offset: start.saturating_add(*offset), counter: 0, cookie };
            attach_uprobe(program, file, place, *side == Side::Return, options.process)?.into()
        }
        AttachPoint::BinaryPattern { path, pattern, side } => {
            let (file, starts) = symbols(options)?.functions(path, pattern, options.process).map_err(invalid)?;
            let places: Vec<UserPlace> =
                starts.into_iter().map(|offset| UserPlace { offset, counter: 0, cookie }).collect();
            attach_uprobe_multi(program, file, &places, mode(*side), options.process)?.into()
        }
        AttachPoint::Usdt { path, provider, name } => {
            let (file, places) = symbols(options)?.probe(path, provider, name, options.process).map_err(invalid)?;
            let attach = |found: UsdtPlace| {
                let place = UserPlace { cookie: usdt.cookie(&found, cookie)?, ..found.place };
                attach_uprobe(program, &file, place, false, options.process)
            };
            Outcome::Attached(places.into_iter().map(attach).collect::<Result<_, _>>()?)
        }
        AttachPoint::Tracepoint { category, name } => attach_tracepoint(program, category, name, cookie)?.into(),
        AttachPoint::RawTracepoint(name) if spec.prog_type != ProgType::Tracing => {
            attach_raw_tracepoint(program, name, cookie)?.into()
        }
        AttachPoint::LsmHook(_) if spec.attach_type == Some(AttachType::LsmCgroup) => {
            return cgroup(program, AttachType::LsmCgroup, options);
        }
        AttachPoint::RawTracepoint(_) | AttachPoint::TypedFunction { .. } | AttachPoint::LsmHook(_) => {
            let attach_type = spec.attach_type.unwrap_or(AttachType::TraceFentry);
            attach_tracing(program, attach_type, cookie)?.into()
        }
        AttachPoint::Iterator(_) => Outcome::Iterator(attach_iter(program, options.iterate)?),
        AttachPoint::ProgramFunction(_) => attach_freplace(program, None)?.into(),
        AttachPoint::Operation(_) => Outcome::Left(
            "its table of operations is attached as a whole, and other programs of it are missing".to_owned(),
        ),
    })
}

/// Attaches a program whose section names a kind of place only.
fn without_place(program: &LoadedProgram, spec: &Program, options: &AttachOptions<'_>) -> Result<Outcome, KernelError> {
    let way = sections::parse(&spec.section).map_or(AttachWay::Nothing, |name| name.section.way);
    let left = |why: &str| Ok(Outcome::Left(why.to_owned()));
    let attach_type = spec.attach_type;
    match (way, spec.prog_type) {
        (AttachWay::MapEntry, _) => left("it runs from an entry of a device or processor map, which has to hold it"),
        (_, ProgType::Xdp | ProgType::SchedCls | ProgType::SchedAct) => {
            let Some(interface) = options.interface else { return left("no network interface was given") };
            interface_program(program, spec, interface, options.xdp)
        }
        (AttachWay::Cgroup, _) => match cgroup_type(spec) {
            Some(attach_type) => cgroup(program, attach_type, options),
            None => {
                left("its section does not say for which direction; use `cgroup_skb/ingress` or `cgroup_skb/egress`")
            }
        },
        (_, ProgType::SkLookup) => {
            let own = File::open("/proc/thread-self/ns/net")
                .map_err(|error| KernelError::system(ACTION, error.raw_os_error().unwrap_or(libc::EIO)))?;
            Ok(attach_sk_lookup(program, own)?.into())
        }
        (_, ProgType::FlowDissector) => Ok(attach_flow_dissector(program)?.into()),
        (_, ProgType::Netfilter) => match options.netfilter {
            Some(place) => Ok(attach_netfilter(program, place)?.into()),
            None => left("no netfilter hook was given"),
        },
        (_, ProgType::PerfEvent) => match options.event {
            Some((event, rate)) => {
                let target = options.process.map_or(PerfTarget::AllCpus, PerfTarget::Process);
                Ok(Attachment::Perf(attach_perf_event(program, event, rate, target)?).into())
            }
            None => left("no event was given"),
        },
        (AttachWay::Infrared, _) => match options.infrared {
            Some(device) => Ok(Attachment::Infrared(attach_infrared(program, device)?).into()),
            None => left("no receiver of infrared signals was given"),
        },
        (AttachWay::Nothing, _) => left("it runs when it is called"),
        _ if attach_type.is_none() || way == AttachWay::Socket => left("it belongs to a socket, a map or a route"),
        _ => left("nobody said where"),
    }
}

/// The hook of a control group that a program was made for.
fn cgroup_type(spec: &Program) -> Option<AttachType> {
    match spec.prog_type {
        ProgType::CgroupSkb => spec.attach_type,
        ProgType::SockOps => Some(AttachType::CgroupSockOps),
        ProgType::CgroupDevice => Some(AttachType::CgroupDevice),
        _ => spec.attach_type,
    }
}

fn cgroup(
    program: &LoadedProgram,
    attach_type: AttachType,
    options: &AttachOptions<'_>,
) -> Result<Outcome, KernelError> {
    match options.cgroup {
        Some(group) => Ok(attach_cgroup(program, group, attach_type, CgroupOptions::default())?.into()),
        None => Ok(Outcome::Left("no control group was given".to_owned())),
    }
}

fn interface_program(
    program: &LoadedProgram,
    spec: &Program,
    interface: u32,
    mode: XdpMode,
) -> Result<Outcome, KernelError> {
    Ok(match (spec.prog_type, spec.attach_type) {
        (ProgType::Xdp, _) => attach_xdp(program, interface, mode)?.into(),
        (ProgType::SchedCls, Some(AttachType::NetkitPrimary)) => {
            attach_netkit(program, interface, NetkitSide::Primary, Order::Any)?.into()
        }
        (ProgType::SchedCls, Some(AttachType::NetkitPeer)) => {
            attach_netkit(program, interface, NetkitSide::Peer, Order::Any)?.into()
        }
        (ProgType::SchedAct, _) => {
            let slot = attach_tc_action(program, interface, Direction::Ingress, &TcOptions::default())?;
            Attachment::Tc(slot).into()
        }
        (_, attach_type) => {
            let out = attach_type == Some(AttachType::TcxEgress);
            let direction = if out { Direction::Egress } else { Direction::Ingress };
            attach_tc(program, interface, direction)?.into()
        }
    })
}

fn kernel_pattern(
    program: &LoadedProgram,
    pattern: &str,
    side: Side,
    options: &AttachOptions<'_>,
) -> Result<Outcome, KernelError> {
    let names = symbols(options)?.kernel_functions(pattern)?;
    if names.is_empty() {
        return Err(invalid(format!("the kernel has no function that can be traced and matches `{pattern}`")));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cookies = if options.cookie == 0 { Vec::new() } else { vec![options.cookie; names.len()] };
    Ok(attach_kprobe_multi(program, KernelPlaces::Names(&names), &cookies, mode(side))?.into())
}

const fn mode(side: Side) -> MultiMode {
    match side {
        Side::Entry => MultiMode::Entry,
        Side::Return => MultiMode::Return,
        Side::Session => MultiMode::Session,
    }
}

fn symbols<'a>(options: &AttachOptions<'a>) -> Result<&'a dyn Symbols, KernelError> {
    options.symbols.ok_or_else(|| invalid("its place is a name, and nobody was given who knows symbols".to_owned()))
}

fn invalid(problem: String) -> KernelError {
    KernelError::Invalid { action: ACTION, problem }
}

/// Names without the programs.
impl std::fmt::Debug for AttachOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttachOptions")
            .field("interface", &self.interface)
            .field("cgroup", &self.cgroup)
            .field("process", &self.process)
            .field("cookie", &self.cookie)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_groups_know_their_hook() {
        let of = |prog_type, attach_type| {
            let mut spec = Program::new("p", prog_type, Vec::new());
            spec.attach_type = attach_type;
            cgroup_type(&spec)
        };
        assert_eq!(of(ProgType::SockOps, None), Some(AttachType::CgroupSockOps));
        assert_eq!(of(ProgType::CgroupDevice, None), Some(AttachType::CgroupDevice));
        assert_eq!(of(ProgType::CgroupSkb, None), None);
        assert_eq!(of(ProgType::CgroupSkb, Some(AttachType::CgroupInetEgress)), Some(AttachType::CgroupInetEgress));
    }
}

//! Traffic control below the queueing discipline `clsact`: the classifier `bpf`, for kernels without tcx, and the action
//! `bpf` behind a filter that matches every packet.

use std::os::fd::{AsFd, AsRawFd};

use skep_isa::Release;

use super::interface::{missing_index, shown};
use super::many::Attachment;
use super::tcx::{self, Direction, Order};
use super::words::{NETWORK, Way, slot, unknown};
use crate::errors::KernelError;
use crate::sys::netlink::{Message, Refusal, Socket, kind};

const FILTER: Way = Way {
    action: "attach a program to traffic control",
    what: "the classifier `bpf` with direct actions (CONFIG_NET_CLS_BPF, CONFIG_NET_SCH_INGRESS)",
    since: Release::new(4, 5),
    needs: NETWORK,
};

const ACTION: Way = Way {
    what: "the action `bpf` behind the classifier `matchall` (CONFIG_NET_ACT_BPF, CONFIG_NET_CLS_MATCHALL)",
    since: Release::new(4, 8),
    ..FILTER
};

/// What the kernel's words for ENOENT speak of when it was built without something (`net/sched`).
const LACKING: [&str; 3] = ["qdisc", "TC classifier", "TC action module"];

/// Bytes in `struct tcmsg`.
const TCMSG: usize = 20;
/// `TC_H_CLSACT`: the parent of the discipline `clsact`.
const CLSACT: u32 = 0xffff_fff1;
/// `TCA_KIND`
const KIND: u16 = 1;
/// `TCA_OPTIONS`
const OPTIONS: u16 = 2;
/// `TCA_BPF_FD`
const BPF_FD: u16 = 6;
/// `TCA_BPF_NAME`
const BPF_NAME: u16 = 7;
/// `TCA_BPF_FLAGS`
const BPF_FLAGS: u16 = 8;
/// `TCA_BPF_FLAG_ACT_DIRECT`: the result of the program is the action.
const DIRECT: u32 = 1;
/// `TCA_MATCHALL_ACT`: the list of actions, numbered from 1.
const MATCHALL_ACT: u16 = 2;
/// `TCA_ACT_KIND`
const ACT_KIND: u16 = 1;
/// `TCA_ACT_OPTIONS`
const ACT_OPTIONS: u16 = 2;
/// `TCA_ACT_BPF_PARMS`: `struct tc_act_bpf`.
const ACT_BPF_PARMS: u16 = 2;
/// `TCA_ACT_BPF_FD`
const ACT_BPF_FD: u16 = 5;
/// `TCA_ACT_BPF_NAME`
const ACT_BPF_NAME: u16 = 6;
/// `TC_ACT_PIPE`: go on with the next action. What happens when the program returns `TC_ACT_UNSPEC`.
const PIPE: u32 = 3;
/// `ETH_P_ALL`
const ALL_PROTOCOLS: u16 = 3;

impl Direction {
    /// The place of filters below `clsact`: `TC_H_MIN_INGRESS` or `TC_H_MIN_EGRESS`.
    fn parent(self) -> u32 {
        match self {
            Self::Ingress => 0xffff_fff2,
            Self::Egress => 0xffff_fff3,
        }
    }
}

/// How a filter is entered. The default lets the kernel choose.
#[derive(Debug, Clone, Default)]
pub struct TcOptions {
    /// 1 to 65535: filters with smaller numbers run first. 0: in front of those that are there.
    pub priority: u16,
    /// The number of the filter among those of its priority; 0: a free one.
    pub handle: u32,
    /// The name that `tc filter show` prints.
    pub name: String,
}

impl TcOptions {
    fn shown_name(&self) -> &str {
        if self.name.is_empty() { "skep" } else { &self.name }
    }
}

/// A filter with a program. Dropping it removes the filter; the discipline `clsact` stays, since others may have begun to
/// use it.
#[derive(Debug)]
pub struct TcSlot {
    /// The kind of the filter: `bpf` or `matchall`.
    classifier: &'static str,
    interface: u32,
    parent: u32,
    /// Priority in the upper half, protocol in network byte order in the lower one.
    info: u32,
    handle: u32,
    /// Belongs to the network namespace of the interface, wherever this value is dropped.
    socket: Socket,
    armed: bool,
}

slot!(TcSlot);

impl TcSlot {
    /// The priority, 1 to 65535.
    pub fn priority(&self) -> u16 {
        (self.info >> 16) as u16
    }

    /// The number among the filters of the priority.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    fn undo(&mut self) -> Result<(), KernelError> {
        let fixed = tcmsg(self.interface, self.handle, self.parent, self.info);
        let mut message = Message::new(kind::DELTFILTER, 0, &fixed);
        message.text(KIND, self.classifier);
        let way = Way { action: "detach a program from traffic control", ..FILTER };
        self.socket.request(message).map_err(|refusal| refused(&way, &refusal, self.interface))
    }
}

/// Attaches a classifier (`sched_cls`) to an interface: with a tcx link, or as a filter below `clsact` before Linux 6.6.
///
/// Programs that return `TC_ACT_UNSPEC` (-1) let the next one decide in both ways. A filter stays where it is if the process
/// is killed, a link does not.
///
/// # Errors
/// As for [`attach_tcx`](tcx::attach_tcx) and [`attach_tc_filter`].
pub fn attach_tc(program: impl AsFd, interface: u32, direction: Direction) -> Result<Attachment, KernelError> {
    match tcx::create_tcx(program.as_fd(), interface, direction, Order::Any) {
        Ok(link) => Ok(link.into()),
        Err(errno) if unknown(errno) && tcx::TCX.too_old() => {
            attach_tc_filter(program, interface, direction, &TcOptions::default()).map(Attachment::Tc)
        }
        Err(errno) => Err(tcx::refused(&tcx::TCX, errno, interface)),
    }
}

/// Attaches a classifier as a filter of kind `bpf` with direct actions below the discipline `clsact`, which is added to
/// the interface if it is not there (Linux 4.5).
///
/// # Errors
/// [`KernelError::Invalid`] if there is no such interface, or priority and handle are taken;
/// [`KernelError::Unsupported`] if the kernel was built without the classifier; [`KernelError::NotPermitted`].
pub fn attach_tc_filter(
    program: impl AsFd,
    interface: u32,
    direction: Direction,
    options: &TcOptions,
) -> Result<TcSlot, KernelError> {
    let fd = program.as_fd().as_raw_fd();
    add_filter(&FILTER, "bpf", interface, direction, options, |bpf| {
        bpf.attribute(BPF_FD, &fd.to_ne_bytes());
        bpf.text(BPF_NAME, options.shown_name());
        bpf.number(BPF_FLAGS, DIRECT);
    })
}

/// Attaches a program (type sched_act) as the action of a filter that matches every packet: kind `matchall`, below the
/// discipline `clsact`, which is added to the interface if it is not there (Linux 4.8).
///
/// # Errors
/// As for [`attach_tc_filter`]; [`KernelError::Unsupported`] if the kernel was built without the action `bpf`.
pub fn attach_tc_action(
    program: impl AsFd,
    interface: u32,
    direction: Direction,
    options: &TcOptions,
) -> Result<TcSlot, KernelError> {
    let fd = program.as_fd().as_raw_fd();
    // struct tc_act_bpf: index (0: a new one), capabilities, verdict, counts of references and filters.
    let parameters = [0, 0, PIPE, 0, 0].map(u32::to_ne_bytes).concat();
    add_filter(&ACTION, "matchall", interface, direction, options, |matchall| {
        matchall.nest(MATCHALL_ACT, |actions| {
            actions.nest(1, |action| {
                action.text(ACT_KIND, "bpf").nest(ACT_OPTIONS, |bpf| {
                    bpf.attribute(ACT_BPF_PARMS, &parameters).attribute(ACT_BPF_FD, &fd.to_ne_bytes());
                    bpf.text(ACT_BPF_NAME, options.shown_name());
                });
            });
        });
    })
}

/// Adds a filter of a kind with its options.
fn add_filter(
    way: &Way,
    classifier: &'static str,
    interface: u32,
    direction: Direction,
    options: &TcOptions,
    fill: impl FnOnce(&mut Message),
) -> Result<TcSlot, KernelError> {
    let mut socket = Socket::open().map_err(|refusal| KernelError::system(way.action, refusal.errno))?;
    add_clsact(&mut socket, interface).map_err(|refusal| refused(way, &refusal, interface))?;
    let info = u32::from(options.priority) << 16 | u32::from(ALL_PROTOCOLS.to_be());
    let fixed = tcmsg(interface, options.handle, direction.parent(), info);
    let mut message = Message::new(kind::NEWTFILTER, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &fixed);
    message.text(KIND, classifier).nest(OPTIONS, fill);
    // The kernel tells in its echo which priority and handle it chose.
    let mut chosen = None;
    socket
        .request_echo(message, |kind, body| {
            if kind == kind::NEWTFILTER {
                chosen = word(body, 8).zip(word(body, 16));
            }
        })
        .map_err(|refusal| refused(way, &refusal, interface))?;
    let (handle, info) = chosen.unwrap_or((options.handle, info));
    Ok(TcSlot { classifier, interface, parent: direction.parent(), info, handle, socket, armed: true })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn tcmsg(interface: u32, handle: u32, parent: u32, info: u32) -> [u8; TCMSG] {
    let mut fixed = [0; TCMSG];
    for (at, word) in [(4, interface), (8, handle), (12, parent), (16, info)] {
        fixed[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    fixed
}

/// Adds the discipline `clsact`; it is no error if it is there.
fn add_clsact(socket: &mut Socket, interface: u32) -> Result<(), Refusal> {
    let fixed = tcmsg(interface, 0xffff_0000, CLSACT, 0);
    let mut message = Message::new(kind::NEWQDISC, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &fixed);
    message.text(KIND, "clsact");
    match socket.request(message) {
        Err(refusal) if refusal.errno != libc::EEXIST => Err(refusal),
        _ => Ok(()),
    }
}

fn refused(way: &Way, refusal: &Refusal, interface: u32) -> KernelError {
    if matches!(refusal.errno, libc::ENODEV | libc::EINVAL)
        && let Some(missing) = missing_index(interface)
    {
        return way.invalid(missing);
    }
    let name = shown(interface);
    match refusal.errno {
        libc::EEXIST => way.invalid(format!("{name} has a filter with this priority and handle; choose others")),
        libc::ENOENT if refusal.text.is_empty() || LACKING.iter().any(|word| refusal.text.contains(word)) => {
            way.lacks(format!("{} ({})", way.what, refusal.words()))
        }
        libc::ENOENT => way.invalid(format!("{name}: {}", refusal.words())),
        errno => way.error(errno, || {
            format!(
                "{name}: {}; the program must be of type sched_cls for a filter or sched_act for an action, and the \
                 discipline `ingress` without egress side must not be in the place of `clsact`",
                refusal.words()
            )
        }),
    }
}

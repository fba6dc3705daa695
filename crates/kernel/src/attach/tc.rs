//! Traffic control: the classifier `bpf` below the queueing discipline `clsact`, for kernels without tcx.

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

/// A filter of the classifier `bpf`. Dropping it removes the filter; the discipline `clsact` stays, since others may
/// have begun to use it.
#[derive(Debug)]
pub struct TcSlot {
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
        message.text(KIND, "bpf");
        let way = Way { action: "detach a program from traffic control", ..FILTER };
        self.socket.request(message).map_err(|refusal| refused(&way, &refusal, self.interface))
    }
}

/// Attaches a classifier (`sched_cls`) to an interface: with a tcx link, or as a filter below `clsact` before Linux 6.6.
///
/// Programs that return `TC_ACT_UNSPEC` (-1) let the next one decide in both ways.
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
    let mut socket = Socket::open().map_err(|refusal| KernelError::system(FILTER.action, refusal.errno))?;
    add_clsact(&mut socket, interface).map_err(|refusal| refused(&FILTER, &refusal, interface))?;
    let info = u32::from(options.priority) << 16 | u32::from(ALL_PROTOCOLS.to_be());
    let fixed = tcmsg(interface, options.handle, direction.parent(), info);
    let mut message = Message::new(kind::NEWTFILTER, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &fixed);
    let name = if options.name.is_empty() { "skep" } else { &options.name };
    message.text(KIND, "bpf").nest(OPTIONS, |bpf| {
        bpf.attribute(BPF_FD, &program.as_fd().as_raw_fd().to_ne_bytes());
        bpf.text(BPF_NAME, name);
        bpf.number(BPF_FLAGS, DIRECT);
    });
    // The kernel tells in its echo which priority and handle it chose.
    let mut chosen = None;
    socket
        .request_echo(message, |kind, body| {
            if kind == kind::NEWTFILTER {
                chosen = word(body, 8).zip(word(body, 16));
            }
        })
        .map_err(|refusal| refused(&FILTER, &refusal, interface))?;
    let (handle, info) = chosen.unwrap_or((options.handle, info));
    Ok(TcSlot { interface, parent: direction.parent(), info, handle, socket, armed: true })
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
        libc::ENOENT if refusal.text.contains("qdisc") || refusal.text.is_empty() => {
            way.lacks(format!("{} ({})", way.what, refusal.words()))
        }
        libc::ENOENT => way.invalid(format!("{name}: {}", refusal.words())),
        errno => way.error(errno, || {
            format!(
                "{name}: {}; the program must be a classifier (type sched_cls), and the discipline `ingress` without \
                 egress side must not be in the place of `clsact`",
                refusal.words()
            )
        }),
    }
}

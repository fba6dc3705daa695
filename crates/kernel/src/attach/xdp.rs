//! XDP programs on interfaces: links, and rtnetlink for kernels before 5.9.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use skep_isa::{AttachType, Release};

use super::interface::{IFINFO, XDP, interfaces, missing_index, shown};
use super::link::Link;
use super::many::Attachment;
use super::words::{NETWORK, Way, keep, slot, unknown};
use crate::errors::KernelError;
use crate::sys::link::{Extra, Target, link_create};
use crate::sys::netlink::{self, Message, Refusal, Socket, kind};

const LINK: Way =
    Way { action: "attach an XDP program", what: "links for XDP", since: Release::new(5, 9), needs: NETWORK };
const SLOT: Way =
    Way { action: "attach an XDP program", what: "XDP on interfaces", since: Release::new(4, 8), needs: NETWORK };

/// Attributes inside of `IFLA_XDP`.
mod attr {
    pub(super) const FD: u16 = 1;
    pub(super) const FLAGS: u16 = 3;
    pub(super) const PROG_ID: u16 = 4;
    pub(super) const DRV_PROG_ID: u16 = 5;
    pub(super) const SKB_PROG_ID: u16 = 6;
    pub(super) const HW_PROG_ID: u16 = 7;
    pub(super) const EXPECTED_FD: u16 = 8;
    pub(super) const ATTACHED: u16 = 2;
}

/// `XDP_FLAGS_UPDATE_IF_NOEXIST`: only if no program is there.
const IF_ABSENT: u32 = 1;
/// `XDP_FLAGS_REPLACE` (Linux 5.7): only in place of the expected program.
const REPLACE: u32 = 16;

/// Where in the path of a packet an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum XdpMode {
    /// In the driver if it can, otherwise generic. The kernel decides.
    #[default]
    Best,
    /// In the driver, before a packet buffer exists.
    Native,
    /// After the kernel has made a packet buffer: slower, for every driver (Linux 4.12).
    Generic,
    /// In the network card.
    Offload,
}

impl XdpMode {
    /// `XDP_FLAGS_*_MODE`
    fn flags(self) -> u32 {
        match self {
            Self::Best => 0,
            Self::Generic => 2,
            Self::Native => 4,
            Self::Offload => 8,
        }
    }
}

/// Numbers of the programs that an interface runs; `None` where none is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct XdpState {
    /// In the driver.
    pub native: Option<u32>,
    /// Generic.
    pub generic: Option<u32>,
    /// In the network card.
    pub offload: Option<u32>,
}

impl XdpState {
    /// Reads the value of `IFLA_XDP`.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let id = |number| netlink::attribute(bytes, number).and_then(netlink::value_u32).filter(|&id| id != 0);
        let mut state =
            Self { native: id(attr::DRV_PROG_ID), generic: id(attr::SKB_PROG_ID), offload: id(attr::HW_PROG_ID) };
        // Before Linux 4.19 there is one number and the mode beside it.
        let mode = netlink::attribute(bytes, attr::ATTACHED).and_then(|value| value.first().copied());
        match mode {
            Some(1) if state.native.is_none() => state.native = id(attr::PROG_ID),
            Some(2) if state.generic.is_none() => state.generic = id(attr::PROG_ID),
            Some(3) if state.offload.is_none() => state.offload = id(attr::PROG_ID),
            _ => {}
        }
        state
    }

    /// Whether no program is attached.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// What runs on an interface now.
///
/// # Errors
/// [`KernelError::Invalid`] with the names of the interfaces if the number is none of them.
pub fn xdp_state(interface: u32) -> Result<XdpState, KernelError> {
    let all = interfaces()?;
    let found = all.iter().find(|each| each.index == interface).map(|each| each.xdp);
    found.ok_or_else(|| SLOT.invalid(missing_index(interface).unwrap_or_default()))
}

/// Attaches an XDP program to the interface with this number: as a link, or through rtnetlink before Linux 5.9. Never
/// replaces a program of somebody else.
///
/// # Errors
/// [`KernelError::Invalid`] if there is no such interface (with the names of those that exist), another program holds
/// it (with its number), or the mode does not work there; [`KernelError::NotPermitted`] without CAP_NET_ADMIN.
pub fn attach_xdp(program: impl AsFd, interface: u32, mode: XdpMode) -> Result<Attachment, KernelError> {
    let attach_type = AttachType::Xdp.number();
    match link_create(program.as_fd(), Target::Interface(interface), attach_type, mode.flags(), &Extra::None) {
        Ok(fd) => Ok(Link::new(fd).into()),
        Err(errno) if unknown(errno) && LINK.too_old() => {
            attach_xdp_slot(program, interface, mode, Expected::Nothing).map(Attachment::Xdp)
        }
        Err(errno) => Err(refused(&LINK, &Refusal { errno, text: String::new() }, interface, mode)),
    }
}

/// What must be attached for a change through rtnetlink to take place.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// No program.
    Nothing,
    /// Anything: replaces whatever is there.
    Anything,
    /// This program (Linux 5.7).
    Program(BorrowedFd<'a>),
}

/// An XDP program that was set through rtnetlink. Dropping it removes the program if it is still this one.
#[derive(Debug)]
pub struct XdpSlot {
    program: OwnedFd,
    interface: u32,
    mode: XdpMode,
    /// Belongs to the network namespace of the interface, wherever this value is dropped.
    socket: Socket,
    armed: bool,
}

slot!(XdpSlot);

/// Attaches an XDP program through rtnetlink (`IFLA_XDP`, Linux 4.8). It survives the process if it is left.
///
/// # Errors
/// As for [`attach_xdp`].
pub fn attach_xdp_slot(
    program: impl AsFd,
    interface: u32,
    mode: XdpMode,
    expected: Expected<'_>,
) -> Result<XdpSlot, KernelError> {
    let kept = keep(SLOT.action, program.as_fd())?;
    let mut socket = Socket::open().map_err(|refusal| KernelError::system(SLOT.action, refusal.errno))?;
    set(&mut socket, interface, Some(kept.as_fd()), mode, expected)
        .map_err(|refusal| refused(&SLOT, &refusal, interface, mode))?;
    Ok(XdpSlot { program: kept, interface, mode, socket, armed: true })
}

impl XdpSlot {
    /// Puts another program in its place, if it is still there.
    ///
    /// # Errors
    /// As for [`attach_xdp`]; the old program stays then.
    pub fn update(&mut self, program: impl AsFd) -> Result<(), KernelError> {
        let kept = keep(SLOT.action, program.as_fd())?;
        let expected = Expected::Program(self.program.as_fd());
        set(&mut self.socket, self.interface, Some(kept.as_fd()), self.mode, expected)
            .map_err(|refusal| refused(&SLOT, &refusal, self.interface, self.mode))?;
        self.program = kept;
        Ok(())
    }

    fn undo(&mut self) -> Result<(), KernelError> {
        let way = Way { action: "detach an XDP program", ..SLOT };
        let old = way.since.max(Release::new(5, 7));
        let careful = !Way { since: old, ..way }.too_old();
        let expected = if careful { Expected::Program(self.program.as_fd()) } else { Expected::Anything };
        set(&mut self.socket, self.interface, None, self.mode, expected)
            .map_err(|refusal| refused(&way, &refusal, self.interface, self.mode))
    }
}

/// Sets or removes the program of an interface.
fn set(
    socket: &mut Socket,
    interface: u32,
    program: Option<BorrowedFd<'_>>,
    mode: XdpMode,
    expected: Expected<'_>,
) -> Result<(), Refusal> {
    let mut fixed = [0; IFINFO];
    fixed[4..8].copy_from_slice(&interface.to_ne_bytes());
    let fd = program.map_or(-1, |program| program.as_raw_fd());
    let mut message = Message::new(kind::SETLINK, 0, &fixed);
    message.nest(XDP, |xdp| {
        xdp.attribute(attr::FD, &fd.to_ne_bytes());
        let condition = match expected {
            Expected::Nothing if program.is_some() => IF_ABSENT,
            Expected::Nothing | Expected::Anything => 0,
            Expected::Program(expected) => {
                xdp.attribute(attr::EXPECTED_FD, &expected.as_raw_fd().to_ne_bytes());
                REPLACE
            }
        };
        xdp.number(attr::FLAGS, mode.flags() | condition);
    });
    socket.request(message)
}

fn refused(way: &Way, refusal: &Refusal, interface: u32, mode: XdpMode) -> KernelError {
    if matches!(refusal.errno, libc::EINVAL | libc::ENODEV)
        && let Some(missing) = missing_index(interface)
    {
        return way.invalid(missing);
    }
    let name = shown(interface);
    let state = xdp_state(interface).unwrap_or_default();
    match refusal.errno {
        libc::EBUSY | libc::EEXIST if !state.is_empty() => {
            let held = [("native", state.native), ("generic", state.generic), ("offloaded", state.offload)];
            let held: Vec<String> = held
                .iter()
                .filter_map(|(mode, id)| id.map(|id| format!("{mode} program {id} (`bpftool prog show id {id}`)")))
                .collect();
            let way_out = "replace it as the expected one, or detach it first";
            way.invalid(format!("{name} is held by {}; {way_out}", held.join(" and ")))
        }
        libc::EBUSY => way.invalid(format!("{name} is held by another program or cannot be changed now")),
        libc::EOPNOTSUPP if mode == XdpMode::Native => {
            way.invalid(format!("the driver of {name} has no native XDP; use the generic mode"))
        }
        libc::EOPNOTSUPP if mode == XdpMode::Offload => way.invalid(format!("{name} cannot run programs in hardware")),
        libc::EOPNOTSUPP | libc::EINVAL | libc::ERANGE => way.invalid(format!(
            "{name}: {}; the mode may not fit the driver, the MTU may be too large for it (less than a page without \
             fragments), or the program is not of type XDP",
            refusal.words()
        )),
        errno => way.error(errno, String::new),
    }
}

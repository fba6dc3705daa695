//! A live capture: socket, ring and filter together.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use skep_isa::classic::Insn;
use skep_proto::LinkType;

use super::arphrd::{Framing, framing};
use super::cooked::{SLL2_LEN, sll2_header};
use super::error::CaptureError;
use super::interfaces::{InterfaceInfo, interface_name, resolve};
use super::live::{LivePacket, TAG, insert_tag, tag_of};
use super::memory::{Frame, Ring};
use super::options::{CaptureOptions, Directions};
use super::socket::{self, Shape};
use super::wake::Waker;
use crate::file::Timestamp;

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Packets are there.
    Ready,
    /// The time is over.
    TimedOut,
    /// The waker was used, by a signal perhaps.
    Woken,
}

/// What happened to the packets so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureStats {
    /// Handed out by [`Capture::next_packet`].
    pub captured: u64,
    /// Passed the kernel's filter. Includes those dropped, those of an unwanted direction and those not yet read.
    pub received: u64,
    /// Lost because the buffer was full.
    pub dropped: u64,
    /// Read, but of a direction that was not asked for.
    pub ignored: u64,
}

/// Why a filter could not be installed.
#[derive(Debug)]
pub enum InstallError<E> {
    /// The caller's part failed. The capture receives nothing until a filter is installed or [`Capture::accept_all`]
    /// is called.
    Attach(E),
    /// The capture failed.
    Capture(CaptureError),
}

impl<E: fmt::Display> fmt::Display for InstallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach(error) => error.fmt(f),
            Self::Capture(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for InstallError<E> {}

/// An open live capture.
///
/// It receives nothing until a filter is [installed](Self::install) or [`accept_all`](Self::accept_all) is called,
/// so no packet passes unfiltered; the first [`wait`](Self::wait) calls `accept_all` if neither was done.
pub struct Capture {
    // Before the socket, so that it is unmapped first.
    ring: Ring,
    socket: OwnedFd,
    interface: InterfaceInfo,
    link: LinkType,
    snaplen: u32,
    directions: Directions,
    delay: Duration,
    waker: Waker,
    stats: CaptureStats,
    filtered: bool,
    /// Error of the socket that is reported once the ring is empty.
    failed: Option<i32>,
}

/// The filter that rejects everything.
const NOTHING: [Insn; 1] = [Insn::ret_k(0)];

impl Capture {
    /// Opens a capture.
    ///
    /// # Errors
    /// [`CaptureError::NotPermitted`] without `CAP_NET_RAW`, [`CaptureError::NoSuchInterface`] with similar names,
    /// [`CaptureError::InterfaceDown`], [`CaptureError::RingMemory`], [`CaptureError::Unsupported`].
    pub fn open(options: &CaptureOptions) -> Result<Self, CaptureError> {
        let interface = resolve(&options.interface)?;
        let cooked = options.cooked || interface.index == 0 || framing(interface.hardware) == Framing::Cooked;
        let link = match framing(interface.hardware) {
            Framing::Raw(link) if !cooked => link,
            _ => LinkType::LINUX_SLL2,
        };
        let fd = socket::open(cooked)?;
        let socket = fd.as_fd();
        socket::use_version_3(socket)?;
        let room = if cooked { SLL2_LEN } else { TAG };
        socket::set_int(socket, libc::PACKET_RESERVE, i32::try_from(room).unwrap_or(0))
            .map_err(|errno| CaptureError::system("reserve room in the capture buffer", errno))?;
        ignore_outgoing(socket, options.directions, &interface);
        // Attached before the socket is bound, so nothing gets in before the real filter is there.
        socket::attach_filter(socket, &NOTHING)?;
        let shape = make_ring(socket, options)?;
        let ring = Ring::map(socket, shape)?;
        socket::bind(socket, interface.index).map_err(|errno| bind_error(errno, &interface))?;
        if options.promiscuous && interface.index != 0 && !interface.loopback {
            socket::join_promiscuous(socket, interface.index)?;
        }
        Ok(Self {
            ring,
            socket: fd,
            link,
            interface,
            snaplen: options.effective_snaplen(),
            directions: options.directions,
            delay: Duration::from_millis(options.delay_millis().into()),
            waker: options.waker.clone().map_or_else(Waker::new, Ok)?,
            stats: CaptureStats::default(),
            filtered: false,
            failed: None,
        })
    }

    /// How packets begin.
    #[must_use]
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// Whether packets come without link header. Filters for `LINUX_SLL2` must then go through
    /// [`rewrite_for_cooked`](super::rewrite_for_cooked) before they are installed.
    #[must_use]
    pub fn is_cooked(&self) -> bool {
        self.link == LinkType::LINUX_SLL2
    }

    /// The interface that is captured on, as it was when the capture was opened.
    #[must_use]
    pub fn interface(&self) -> &InterfaceInfo {
        &self.interface
    }

    /// Most bytes in [`LivePacket::data`].
    #[must_use]
    pub fn snaplen(&self) -> u32 {
        self.snaplen
    }

    /// What ends a wait early; copies work from other threads.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Installs a filter: `attach` is given the socket and attaches it.
    ///
    /// No packet gets in that the filter has not accepted: until it is attached one that rejects everything is. When
    /// a filter is replaced, packets that the old one accepted and that were not read yet are thrown away; this takes
    /// up to twice the delay of the options.
    ///
    /// # Errors
    /// What `attach` returns, or a failure of the capture.
    pub fn install<E>(&mut self, attach: impl FnOnce(BorrowedFd<'_>) -> Result<(), E>) -> Result<(), InstallError<E>> {
        if self.filtered {
            self.drain().map_err(InstallError::Capture)?;
        }
        // Also when it fails: the caller then decides whether to go on without a filter.
        self.filtered = true;
        attach(self.socket.as_fd()).map_err(InstallError::Attach)
    }

    /// Lets all packets in, each cut to the snap length by the kernel.
    ///
    /// # Errors
    /// [`CaptureError::System`] if the filter of the socket was locked.
    pub fn accept_all(&mut self) -> Result<(), CaptureError> {
        self.filtered = true;
        socket::attach_filter(self.socket.as_fd(), &[Insn::ret_k(self.snaplen)])
    }

    /// Lets no more packets in. Those that were let in are still delivered, the last ones after at most twice the
    /// delay of the options.
    ///
    /// # Errors
    /// As for [`accept_all`](Self::accept_all).
    pub fn stop(&mut self) -> Result<(), CaptureError> {
        self.filtered = true;
        socket::attach_filter(self.socket.as_fd(), &NOTHING)
    }

    /// Stops and throws away what was let in.
    fn drain(&mut self) -> Result<(), CaptureError> {
        self.stop()?;
        let end = Instant::now() + self.delay * 2;
        loop {
            self.ring.discard();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // The kernel hands over a block that is not full when its time is over.
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
    }

    /// Waits for packets: without end, or for a while. Returns at once if some are there.
    ///
    /// # Errors
    /// [`CaptureError::InterfaceDown`] or [`InterfaceGone`](CaptureError::InterfaceGone), after the last packet was
    /// read.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Wait, CaptureError> {
        if !self.filtered {
            self.accept_all()?;
        }
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if self.ring.is_ready() {
                return Ok(Wait::Ready);
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if let Some(errno) = self.failed {
                return self.last_wait(errno);
            }
            let polled = socket::poll(self.socket.as_fd(), self.waker.as_fd(), poll_millis(left))?;
            if polled.error {
                self.failed = Some(socket::pending_error(self.socket.as_fd())).filter(|&errno| errno != 0);
            } else if polled.packets && !self.ring.is_ready() {
                // The kernel looks at the block before the one that comes next; do not spin on its opinion.
                std::thread::sleep(Duration::from_millis(1));
            }
            if polled.woken {
                self.waker.clear();
                return Ok(Wait::Woken);
            }
            if left.is_some_and(|left| left.is_zero()) && !self.ring.is_ready() {
                return Ok(Wait::TimedOut);
            }
        }
    }

    /// The socket has failed: gives the kernel time to hand over the last block, then reports.
    fn last_wait(&mut self, errno: i32) -> Result<Wait, CaptureError> {
        let end = Instant::now() + self.delay * 2;
        while Instant::now() < end {
            if self.ring.is_ready() {
                return Ok(Wait::Ready);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let name = self.interface.name.clone();
        let still_there = interface_name(self.interface.index).as_ref() == Some(&name);
        Err(match errno {
            libc::ENETDOWN | libc::ENODEV if still_there => CaptureError::InterfaceDown { name },
            libc::ENETDOWN | libc::ENODEV => CaptureError::InterfaceGone { name },
            errno => CaptureError::system("receive packets", errno),
        })
    }

    /// The next packet that is there, without waiting. The one returned before is given back to the kernel.
    ///
    /// # Errors
    /// [`CaptureError::DamagedRing`]
    pub fn next_packet(&mut self) -> Result<Option<LivePacket<'_>>, CaptureError> {
        let frame = loop {
            let Some(frame) = self.ring.advance()? else { return Ok(None) };
            if self.is_wanted(&frame) {
                break frame;
            }
            self.stats.ignored += 1;
        };
        self.stats.captured += 1;
        let Frame { header, address, .. } = frame;
        let vlan = tag_of(&header);
        let (bytes, mut start) = self.ring.bytes(&frame);
        let before = start;
        if self.link == LinkType::LINUX_SLL2 {
            start = start.checked_sub(SLL2_LEN).ok_or(CaptureError::DamagedRing)?;
            bytes[start..before].copy_from_slice(&sll2_header(&address));
        } else if self.link == LinkType::EN10MB
            && let Some(tag) = vlan
        {
            start = insert_tag(bytes, start, tag).unwrap_or(start);
        }
        let added = u32::try_from(before - start).unwrap_or(0);
        let end = bytes.len().min(start.saturating_add(self.snaplen as usize));
        Ok(Some(LivePacket {
            ts: Timestamp::new(header.tp_sec.into(), header.tp_nsec),
            data: &bytes[start..end],
            orig_len: header.tp_len.saturating_add(added),
            link: self.link,
            ifindex: address.sll_ifindex.cast_unsigned(),
            packet_type: address.sll_pkttype,
            protocol: u16::from_be(address.sll_protocol),
            hardware: address.sll_hatype,
            rxhash: header.hv1.tp_rxhash,
            vlan,
            checksum_pending: header.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0,
        }))
    }

    fn is_wanted(&self, frame: &Frame) -> bool {
        let outgoing = frame.address.sll_pkttype == libc::PACKET_OUTGOING;
        match self.directions {
            // What is sent over the loopback interface comes back at once; one copy is enough.
            Directions::Both => !(outgoing && frame.address.sll_hatype == libc::ARPHRD_LOOPBACK),
            Directions::In => !outgoing,
            Directions::Out => outgoing,
        }
    }

    /// Counts since the capture was opened.
    ///
    /// # Errors
    /// [`CaptureError::System`] if the kernel does not tell.
    pub fn stats(&mut self) -> Result<CaptureStats, CaptureError> {
        let counts = socket::take_counts(self.socket.as_fd())?;
        self.stats.received += u64::from(counts.packets);
        self.stats.dropped += u64::from(counts.drops);
        Ok(self.stats)
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("interface", &self.interface).field("link", &self.link).finish_non_exhaustive()
    }
}

/// Has the kernel leave out sent packets where none is wanted, so that they are not counted either. Kernels before
/// 4.20 cannot; they are then left out here.
fn ignore_outgoing(socket: BorrowedFd<'_>, directions: Directions, interface: &InterfaceInfo) {
    if directions == Directions::In || (directions == Directions::Both && interface.loopback) {
        let _ = socket::set_int(socket, libc::PACKET_IGNORE_OUTGOING, 1);
    }
}

/// Makes the ring, smaller than asked for if memory is short.
fn make_ring(socket: BorrowedFd<'_>, options: &CaptureOptions) -> Result<Shape, CaptureError> {
    let (block, mut count) = options.blocks();
    loop {
        let shape = Shape { block, count };
        match socket::make_ring(socket, shape, options.delay_millis()) {
            Ok(()) => return Ok(shape),
            Err(libc::ENOMEM) if count > 2 => count /= 2,
            Err(libc::ENOMEM) => return Err(CaptureError::RingMemory { bytes: block.saturating_mul(count) }),
            Err(errno) => return Err(CaptureError::system("make the capture buffer", errno)),
        }
    }
}

fn bind_error(errno: i32, interface: &InterfaceInfo) -> CaptureError {
    let name = interface.name.clone();
    match errno {
        libc::ENETDOWN => CaptureError::InterfaceDown { name },
        libc::ENODEV | libc::ENXIO => CaptureError::InterfaceGone { name },
        errno => CaptureError::system("start the capture", errno),
    }
}

/// A timeout for poll(2), rounded up so that it does not return early; -1 for none.
fn poll_millis(left: Option<Duration>) -> i32 {
    left.map_or(-1, |left| i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX))
}

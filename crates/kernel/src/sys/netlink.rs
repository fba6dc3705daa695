//! Netlink messages of the routing family: building them, sending them, reading the answers (rtnetlink(7)).
//!
//! A message is a header of 16 bytes, a fixed structure of its kind, and attributes: length and type (two bytes each)
//! and a value, padded to four bytes. Only what attaching programs needs is here: requests with an acknowledgement,
//! and dumps.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::errors::{describe, last_errno};

/// Bytes in `struct nlmsghdr`.
const HEADER: usize = 16;
/// Room for one answer; the kernel's dumps come in pieces of at most 32 KiB.
const ANSWER: usize = 64 << 10;
/// Most pieces of one dump, so that a broken peer cannot keep us for ever.
const MOST_PIECES: usize = 100_000;
/// Level of the options of netlink sockets (`SOL_NETLINK`).
const SOL_NETLINK: libc::c_int = 270;
/// Asks for the kernel's reason in words (`NETLINK_EXT_ACK`, Linux 4.12).
const EXT_ACK: libc::c_int = 11;
/// Attribute of an error message that holds these words (`NLMSGERR_ATTR_MSG`).
const ERROR_TEXT: u16 = 1;
/// Set in the type of an attribute that holds attributes.
const NESTED: u16 = 1 << 15;
/// The bits of an attribute's type that are its number.
const TYPE_MASK: u16 = 0x3fff;
/// In the flags of an acknowledgement: attributes follow (`NLM_F_ACK_TLVS`).
const ACK_TLVS: u16 = 0x200;
/// In the flags of an acknowledgement: the request is not repeated in whole (`NLM_F_CAPPED`).
const CAPPED: u16 = 0x100;

/// Message kinds, `linux/rtnetlink.h`.
pub(crate) mod kind {
    pub(crate) const NEWLINK: u16 = 16;
    pub(crate) const GETLINK: u16 = 18;
    pub(crate) const SETLINK: u16 = 19;
    pub(crate) const NEWROUTE: u16 = 24;
    pub(crate) const DELROUTE: u16 = 25;
    pub(crate) const NEWQDISC: u16 = 36;
    pub(crate) const NEWTFILTER: u16 = 44;
    pub(crate) const DELTFILTER: u16 = 45;
    pub(crate) const GETTFILTER: u16 = 46;
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The error number.
    pub(crate) errno: i32,
    /// The kernel's own words; may be empty.
    pub(crate) text: String,
}

impl Refusal {
    fn new(errno: i32) -> Self {
        Self { errno, text: String::new() }
    }

    /// The reason in words: the kernel's, or those of the error number.
    pub(crate) fn words(&self) -> String {
        if self.text.is_empty() { describe(self.errno) } else { self.text.clone() }
    }
}

/// A message being built. Native byte order, as netlink has it.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Begins a request of a kind with `NLM_F_*` flags and its fixed structure.
    pub(crate) fn new(kind: u16, flags: libc::c_int, fixed: &[u8]) -> Self {
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).unwrap_or(1);
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        let mut message = Self { bytes };
        message.pad();
        message
    }

    /// Adds an attribute. Values longer than 65,531 bytes cannot be expressed; nobody here has such.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&value[..usize::from(length) - 4]);
        self.pad();
        self
    }

    /// Adds a number of four bytes.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Adds a text with its terminating NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Adds an attribute that holds what `fill` adds.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The bytes to send, with their length in the header.
    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// A received message: its kind, its flags and what follows the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Received<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A number of four bytes at the start of an attribute's value.
pub(crate) fn value_u32(value: &[u8]) -> Option<u32> {
    u32_at(value, 0)
}

/// The messages in a datagram, up to the first that is malformed.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let whole = bytes.get(..length).filter(|whole| whole.len() >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let (kind, flags, sequence) = (u16_at(whole, 4)?, u16_at(whole, 6)?, u32_at(whole, 8)?);
        Some(Received { kind, flags, sequence, body: &whole[HEADER..] })
    })
}

/// The attributes in `bytes` as pairs of number and value, up to the first that is malformed.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let whole = bytes.get(..length).filter(|whole| whole.len() >= 4)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16_at(whole, 2)? & TYPE_MASK, &whole[4..]))
    })
}

/// The value of the first attribute with this number.
pub(crate) fn attribute(bytes: &[u8], number: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == number).map(|(_, value)| value)
}

/// What an error message (`NLMSG_ERROR`) says; `None` for an acknowledgement.
fn refusal(message: &Received<'_>) -> Option<Refusal> {
    let Some(code) = u32_at(message.body, 0).map(u32::cast_signed) else { return Some(Refusal::new(libc::EPROTO)) };
    if code == 0 {
        return None;
    }
    let mut refusal = Refusal::new(code.wrapping_neg());
    if message.flags & ACK_TLVS != 0 {
        // The request is repeated: its header, or all of it.
        let echoed = if message.flags & CAPPED != 0 {
            HEADER
        } else {
            u32_at(message.body, 4).and_then(|length| usize::try_from(length).ok()).unwrap_or(HEADER)
        };
        let rest = message.body.get(4usize.saturating_add(echoed.next_multiple_of(4))..).unwrap_or_default();
        if let Some(text) = attribute(rest, ERROR_TEXT) {
            refusal.text = String::from_utf8_lossy(text).trim_end_matches('\0').to_owned();
        }
    }
    Some(refusal)
}

/// A socket of the routing family, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket. No privilege is needed for that and for dumps.
    pub(crate) fn open() -> Result<Self, Refusal> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(Refusal::new(last_errno()));
        }
        // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
        let socket = Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, sequence: 0 };
        let on: libc::c_int = 1;
        // Old kernels do not know the option; then there are no words.
        // SAFETY: pointer and length describe `on`, which the kernel only reads.
        unsafe {
            libc::setsockopt(
                socket.fd.as_raw_fd(),
                SOL_NETLINK,
                EXT_ACK,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        Ok(socket)
    }

    /// Sends a request and waits for its acknowledgement.
    pub(crate) fn request(&mut self, mut message: Message) -> Result<(), Refusal> {
        let flags = u16_at(&message.bytes, 6).unwrap_or(0) | libc::NLM_F_ACK as u16;
        message.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.exchange(message, |_, _| {})
    }

    /// The same, with what the kernel made of the request handed to `each` (`NLM_F_ECHO`).
    pub(crate) fn request_echo(&mut self, mut message: Message, each: impl FnMut(u16, &[u8])) -> Result<(), Refusal> {
        let flags = u16_at(&message.bytes, 6).unwrap_or(0) | (libc::NLM_F_ACK | libc::NLM_F_ECHO) as u16;
        message.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.exchange(message, each)
    }

    /// Sends a request for a list and hands every entry (its kind and its body) to `each`.
    pub(crate) fn dump(&mut self, mut message: Message, each: impl FnMut(u16, &[u8])) -> Result<(), Refusal> {
        let flags = u16_at(&message.bytes, 6).unwrap_or(0) | libc::NLM_F_DUMP as u16;
        message.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.exchange(message, each)
    }

    fn exchange(&mut self, message: Message, mut each: impl FnMut(u16, &[u8])) -> Result<(), Refusal> {
        self.sequence += 1;
        self.send(&message.finish(self.sequence))?;
        let mut buffer = vec![0; ANSWER];
        for _ in 0..MOST_PIECES {
            let length = self.receive(&mut buffer)?;
            for received in messages(&buffer[..length]).filter(|received| received.sequence == self.sequence) {
                match i32::from(received.kind) {
                    libc::NLMSG_ERROR => return refusal(&received).map_or(Ok(()), Err),
                    libc::NLMSG_DONE => return Ok(()),
                    _ => each(received.kind, received.body),
                }
            }
        }
        Err(Refusal::new(libc::EPROTO))
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Refusal> {
        loop {
            // SAFETY: pointer and length describe `bytes`, which the kernel only reads.
            let sent = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
            if sent >= 0 {
                return Ok(());
            }
            match last_errno() {
                libc::EINTR => {}
                errno => return Err(Refusal::new(errno)),
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, Refusal> {
        loop {
            // SAFETY: pointer and length describe `buffer`, which the kernel writes at most.
            let length = unsafe { libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            if let Ok(length) = usize::try_from(length) {
                return Ok(length.min(buffer.len()));
            }
            match last_errno() {
                libc::EINTR => {}
                errno => return Err(Refusal::new(errno)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back() {
        let mut message = Message::new(kind::SETLINK, libc::NLM_F_ACK, &[1, 2, 3, 4]);
        message.text(3, "lo").nest(43, |xdp| {
            xdp.number(1, 7).attribute(3, &[9]);
        });
        let bytes = message.finish(5);
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].kind, all[0].flags, all[0].sequence), (kind::SETLINK, 5, 5));
        let rest = &all[0].body[4..];
        assert_eq!(attribute(rest, 3), Some(&b"lo\0"[..]));
        let nested = attribute(rest, 43).unwrap();
        assert_eq!(attributes(nested).collect::<Vec<_>>(), [(1, &[7, 0, 0, 0][..]), (3, &[9][..])]);
        assert_eq!(attribute(rest, 44), None);
    }

    #[test]
    fn any_bytes_can_be_read() {
        skep_random::random_test(|u| {
            let bytes: Vec<u8> = u.arbitrary()?;
            let mut seen = 0;
            for message in messages(&bytes) {
                seen += message.body.len() + HEADER;
                let _ = refusal(&message);
                assert!(attributes(message.body).map(|(_, value)| value.len()).sum::<usize>() <= message.body.len());
            }
            assert!(seen <= bytes.len());
            Ok(())
        })
        .budget_ms(300);
    }

    #[test]
    fn the_kernel_answers() {
        let mut socket = Socket::open().unwrap();
        let mut links = 0;
        socket
            .dump(Message::new(kind::GETLINK, 0, &[0; 16]), |kind, _| links += u32::from(kind == kind::NEWLINK))
            .unwrap();
        assert!(links > 0, "there is always a loopback device");
        // A device that cannot exist.
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        let refused = socket.request(Message::new(kind::SETLINK, 0, &fixed)).unwrap_err();
        assert!([libc::ENODEV, libc::EPERM].contains(&refused.errno), "{refused:?}");
    }
}

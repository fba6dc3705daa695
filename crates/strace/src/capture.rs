//! From the table of calls to descriptors: what the programs copy when a call begins and when it ends.
//!
//! ```text
//!  word of an operation, from the lowest bits
//!  8: operation   8: argument   8: where the length comes from   8: bytes of its unit   16: most bytes   16: most elements
//! ```
//!
//! Bytes have in place of their elements how many stand in front of those that the length counts.

use crate::decode::text::Style;
use crate::program::TRACED;
use crate::program::layout::{DESCRIPTOR, MESSAGES, OPS, length, op, work};
use crate::table::Call;
use crate::table::kind::Kind;

/// `PATH_MAX`
const PATH: u16 = 4096;
/// Bytes of `struct pollfd`.
const POLLFD: u8 = 8;
/// Bytes of `struct iovec`, `struct msghdr`, `struct mmsghdr`.
const IOVEC: u16 = 16;
const MESSAGE: u16 = 56;
const MESSAGE_ENTRY: u16 = 64;
/// Bytes of the name of a thread with one more than there can be.
const THREAD_NAME: u16 = 16;
/// Bytes behind a structure that may have grown.
const MORE: u16 = 64;
/// Bytes in front of the text of a message of a queue, and of what stands for a file.
const HEAD: u16 = 8;
/// `MAX_HANDLE_SZ`
const HANDLE: u16 = 128;

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// What is done (`op`).
    pub what: u8,
    /// With which argument.
    pub arg: u8,
    /// Where the length comes from (`length`).
    pub source: u8,
    /// Bytes of the unit of the length.
    pub unit: u8,
    /// Most bytes.
    pub most: u16,
    /// Most elements; of bytes, how many stand in front; of messages, whether they were received.
    pub elements: u16,
}

impl Operation {
    const fn new(what: u8, arg: usize, most: u16) -> Self {
        Self { what, arg: arg as u8, source: length::MOST, unit: 1, most, elements: 0 }
    }

    /// Bytes in front of those that the length counts.
    const fn behind(self, front: u16) -> Self {
        Self { elements: front, ..self }
    }

    const fn length(self, source: u8, unit: u8) -> Self {
        Self { source, unit, ..self }
    }

    /// Its word.
    pub const fn word(self) -> u64 {
        self.what as u64
            | (self.arg as u64) << 8
            | (self.source as u64) << 16
            | (self.unit as u64) << 24
            | (self.most as u64) << 32
            | (self.elements as u64) << 48
    }
}

/// The operations of a call: when it begins, when it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// When it begins.
    pub before: Vec<Operation>,
    /// When it ends.
    pub after: Vec<Operation>,
}

/// What is captured of a call.
pub fn plan(call: &Call, style: Style) -> Plan {
    let mut plan = Plan::default();
    plan.add_all(&call.args, 0, style);
    plan.merge();
    plan.before.truncate(OPS as usize);
    plan.after.truncate(OPS as usize);
    plan
}

/// An array whose length is an argument: one element more than is shown, if there are so many.
fn array(arg: usize, size: u16, number: u8, style: Style) -> Operation {
    let elements = u16::try_from(style.elements()).unwrap_or(u16::MAX);
    let most = size.saturating_mul(elements.saturating_add(1)).min(work::MOST as u16);
    Operation::new(op::BYTES, arg, most).length(length::ARG + number, size as u8)
}

/// The most bytes of the text of a message with what stands in front of it.
fn text_behind(shown: u16) -> u16 {
    shown.saturating_add(HEAD).min(work::MOST as u16)
}

/// The most bytes that a text can be shown with, as a number of a descriptor: one more tells whether there are more.
fn most(style: Style) -> u16 {
    u16::try_from(style.most.saturating_add(1)).unwrap_or(u16::MAX).min(work::MOST as u16)
}

impl Plan {
    /// Adds what arguments need from number `first` on, whatever those say that decide about others.
    fn add_all(&mut self, kinds: &[Kind], first: usize, style: Style) {
        for (arg, &kind) in (first..).zip(kinds) {
            match kind {
                Kind::By(choice) => choice.all().for_each(|kinds| self.add_all(kinds, arg, style)),
                _ => self.add(kind, arg, style),
            }
        }
    }

    /// What several rows of a choice need is captured once, with the longest of all sizes.
    fn merge(&mut self) {
        for list in [&mut self.before, &mut self.after] {
            let mut merged: Vec<Operation> = Vec::new();
            for one in list.drain(..) {
                let same = |other: &&mut Operation| Operation { most: one.most, ..**other } == one;
                match merged.iter_mut().find(same) {
                    Some(other) => other.most = other.most.max(one.most),
                    None => merged.push(one),
                }
            }
            *list = merged;
        }
    }

    fn add(&mut self, kind: Kind, arg: usize, style: Style) {
        let bytes = |most| Operation::new(op::BYTES, arg, most);
        let text = |most: u16| Operation::new(op::TEXT, arg, most.saturating_add(1));
        let by_arg = |number: u8| length::ARG + number;
        let shown = most(style);
        let elements = u16::try_from(style.elements()).unwrap_or(u16::MAX);
        let array = |size: u16, number: u8| array(arg, size, number, style);
        let nodes = |number: u8| {
            let most = elements.saturating_add(1).saturating_mul(8).min(work::MOST as u16);
            bytes(most).length(length::NODES + number, 1)
        };
        let handle = |arg: usize| bytes(HEAD + HANDLE).length(length::BEHIND + arg as u8, 1).behind(HEAD);
        match kind {
            Kind::Path | Kind::Name => self.before.push(text(PATH - 1)),
            Kind::Text | Kind::MountType | Kind::MountData => self.before.push(text(shown)),
            Kind::ThreadName => self.before.push(text(THREAD_NAME)),
            Kind::OutThreadName => self.after.push(text(THREAD_NAME)),
            Kind::In(number) | Kind::InHex(number) | Kind::HostName(number) => {
                self.before.push(bytes(shown).length(by_arg(number), 1))
            }
            Kind::Out | Kind::OutHex | Kind::OutCounted => self.after.push(bytes(shown).length(length::RESULT, 1)),
            Kind::OutText => self.after.push(Operation::new(op::TEXT, arg, PATH)),
            Kind::Struct(one) | Kind::IfMade(one) => self.before.push(bytes(one.size)),
            Kind::Capabilities => self.before.push(bytes(24)),
            Kind::InOut(before, after) => {
                self.before.push(bytes(before.size));
                self.after.push(bytes(after.size));
            }
            Kind::Left(one) => {
                self.before.push(bytes(one.size));
                self.after.push(bytes(one.size));
            }
            Kind::Sized(one, number, _) => self.before.push(bytes(one.size + MORE).length(by_arg(number), 1)),
            Kind::OutStruct(one) | Kind::Rem(one) => self.after.push(bytes(one.size)),
            Kind::Array(one, number, _) => self.before.push(array(one.size, number)),
            Kind::FilledArray(one, number) => self.after.push(array(one.size, number)),
            Kind::ResultArray(one) => self.after.push(Operation { source: length::RESULT, ..array(one.size, 0) }),
            Kind::Argv => self.before.push(Operation { elements, ..Operation::new(op::TEXTS, arg, shown + 1) }),
            Kind::Envp if style.full => {
                self.before.push(Operation { elements, ..Operation::new(op::TEXTS, arg, shown + 1) });
            }
            Kind::Envp => self.before.push(Operation::new(op::COUNT, arg, 0)),
            Kind::Vector(_)
            | Kind::AddressVector(_)
            | Kind::OutVector(_)
            | Kind::Message
            | Kind::OutMessage
            | Kind::Messages(_)
            | Kind::OutMessages(_)
            | Kind::QueueMessage(_)
            | Kind::OutQueueMessage(_) => self.messages(kind, arg, style),
            Kind::OutFds => self.after.push(bytes(8)),
            Kind::Nodes(number) => self.before.push(nodes(number)),
            Kind::OutNodes(number) => self.after.push(nodes(number)),
            Kind::Handle => self.before.push(handle(arg)),
            Kind::OutHandle => {
                self.before.push(bytes(4));
                self.after.push(handle(arg));
            }
            Kind::SockAddr(number) => self.before.push(bytes(128).length(by_arg(number), 1)),
            Kind::OutSockAddr => self.after.push(bytes(128).length(length::BEHIND + arg as u8 + 1, 1)),
            Kind::SockLen => {
                self.before.push(bytes(4));
                self.after.push(bytes(4));
            }
            Kind::SigSet(_) => self.before.push(bytes(8)),
            Kind::OutSigSet(_) => self.after.push(bytes(8)),
            Kind::Cpus(number) => self.before.push(bytes(1024).length(by_arg(number), 1)),
            Kind::OutCpus => self.after.push(bytes(1024).length(length::RESULT, 1)),
            Kind::OptVal(number) => self.before.push(bytes(shown.max(16)).length(by_arg(number), 1)),
            Kind::OutOptVal => self.after.push(bytes(shown.max(16)).length(length::BEHIND + arg as u8 + 1, 1)),
            Kind::Offset => self.before.push(bytes(8)),
            Kind::SendOffset => {
                self.before.push(bytes(8));
                self.after.push(bytes(8));
            }
            Kind::Wstatus => self.after.push(bytes(4)),
            Kind::Dirents | Kind::Dirents32 => self.after.push(bytes(work::MOST as u16).length(length::RESULT, 1)),
            Kind::PollFds(number) | Kind::PpollFds(number) => {
                let size = bytes(u16::from(POLLFD) * 64).length(by_arg(number), POLLFD);
                self.before.push(size);
                self.after.push(size);
                if matches!(kind, Kind::PpollFds(_)) {
                    self.after.push(Operation::new(op::BYTES, arg + 2, 16));
                }
            }
            rest if rest.is_rest() => self.rest(rest, arg),
            _ => {}
        }
    }

    /// Vectors and messages.
    fn messages(&mut self, kind: Kind, arg: usize, style: Style) {
        let bytes = |most| Operation::new(op::BYTES, arg, most);
        let by_arg = |number: u8| length::ARG + number;
        let shown = most(style);
        let messages = |source| bytes(MESSAGE_ENTRY * MESSAGES as u16).length(source, MESSAGE_ENTRY as u8);
        match kind {
            Kind::Vector(number) => {
                self.before.push(Operation::new(op::VECTOR, arg, shown).length(by_arg(number), 1));
            }
            Kind::AddressVector(number) => self.before.push(array(arg, IOVEC, number, style)),
            Kind::OutVector(number) => {
                // For calls that fail.
                self.before.push(array(arg, IOVEC, number, style));
                self.after.push(Operation::new(op::VECTOR, arg, shown).length(by_arg(number), 1))
            }
            Kind::Message => self.before.push(Operation::new(op::MESSAGE, arg, shown)),
            Kind::OutMessage => {
                self.before.push(bytes(MESSAGE));
                self.after.push(Operation::new(op::MESSAGE, arg, shown));
            }
            Kind::Messages(number) => {
                self.before.push(Operation::new(op::MESSAGES, arg, shown).length(by_arg(number), 1));
                self.after.push(messages(length::RESULT));
            }
            Kind::OutMessages(number) => {
                let received = Operation { elements: 1, ..Operation::new(op::MESSAGES, arg, shown) };
                self.before.push(messages(by_arg(number)));
                self.after.push(received.length(length::RESULT, 1));
                self.after.push(messages(length::RESULT));
            }
            Kind::QueueMessage(number) => {
                self.before.push(bytes(text_behind(shown)).length(by_arg(number), 1).behind(HEAD));
            }
            Kind::OutQueueMessage(number) => {
                self.after.push(bytes(text_behind(shown)).length(by_arg(number), 1).behind(HEAD));
            }
            _ => {}
        }
    }

    /// Arguments that are told together.
    fn rest(&mut self, kind: Kind, arg: usize) {
        let bytes = |arg, most| Operation::new(op::BYTES, arg, most);
        match kind {
            Kind::Ioctl => {
                self.before.push(bytes(arg + 1, 64));
                self.after.push(bytes(arg + 1, 64));
            }
            Kind::Fcntl => {
                self.before.push(bytes(arg + 1, 32));
                self.after.push(bytes(arg + 1, 32));
            }
            Kind::Clone => self.after.push(bytes(2, 4)),
            Kind::Clone3 => {
                self.before.push(bytes(0, 88).length(length::ARG + 1, 1));
                self.after.push(bytes(0, 88).length(length::ARG + 1, 1));
            }
            Kind::Bpf => self.before.push(bytes(1, 160).length(length::ARG + 2, 1)),
            Kind::Futex => self.before.push(bytes(3, 16)),
            // Up to the mask in the `ucontext` to which the stack pointer points.
            Kind::SigReturn => self.before.push(bytes(6, 304)),
            Kind::ArchPrctl => self.after.push(bytes(1, 8)),
            Kind::Select(_) => {
                for set in 1..4 {
                    self.before.push(bytes(set, 128));
                    self.after.push(bytes(set, 128));
                }
                self.before.push(bytes(4, 16));
                self.after.push(bytes(4, 16));
            }
            _ => {}
        }
    }

    /// The descriptor of a call that is traced.
    pub fn descriptor(&self) -> Vec<u8> {
        let mut bytes = vec![0; DESCRIPTOR as usize];
        bytes[..8].copy_from_slice(&TRACED.to_ne_bytes());
        for (moment, list) in [&self.before, &self.after].into_iter().enumerate() {
            for (number, operation) in list.iter().enumerate().take(OPS as usize) {
                let at = 8 + 8 * (OPS as usize * moment + number);
                bytes[at..at + 8].copy_from_slice(&operation.word().to_ne_bytes());
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::calls;

    #[test]
    fn plans_fit() {
        for call in calls().values() {
            let mut whole = Plan::default();
            whole.add_all(&call.args, 0, Style { most: 100_000, ..Style::default() });
            whole.merge();
            assert!(whole.before.len() <= OPS as usize && whole.after.len() <= OPS as usize, "{}", call.name);
            for operation in whole.before.iter().chain(&whole.after) {
                assert!(
                    operation.arg < 7 && i64::from(operation.most) <= work::MOST + 1,
                    "{}: {operation:?}",
                    call.name
                );
            }
            // What is captured twice could not be told apart.
            for list in [&whole.before, &whole.after] {
                for (at, one) in list.iter().enumerate() {
                    let twice = list[..at].iter().any(|other| other.arg == one.arg && other.what == one.what);
                    assert!(!twice, "{}: {one:?}", call.name);
                }
            }
        }
    }

    #[test]
    fn read_is_captured_at_its_end() {
        let call = calls().values().find(|call| call.name == "read").unwrap();
        let plan = plan(call, Style::default());
        let bytes = Operation { source: length::RESULT, ..Operation::new(op::BYTES, 1, 33) };
        assert_eq!(plan, Plan { before: vec![], after: vec![bytes] });
    }
}

//! From the table of calls to descriptors: what the programs copy when a call begins and when it ends.
//!
//! ```text
//!  word of an operation, from the lowest bits
//!  8: operation   8: argument   8: where the length comes from   8: bytes of its unit   16: most bytes   16: most elements
//! ```

use crate::decode::text::Style;
use crate::program::TRACED;
use crate::program::layout::{DESCRIPTOR, OPS, length, op, work};
use crate::table::Call;
use crate::table::kind::Kind;

/// `PATH_MAX`
const PATH: u16 = 4096;
/// Bytes of `struct pollfd`, `struct iovec`.
const POLLFD: u8 = 8;

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
    /// Most elements.
    pub elements: u16,
}

impl Operation {
    const fn new(what: u8, arg: usize, most: u16) -> Self {
        Self { what, arg: arg as u8, source: length::MOST, unit: 1, most, elements: 0 }
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
    for (arg, &kind) in call.args.iter().enumerate() {
        plan.add(kind, arg, style);
    }
    plan.before.truncate(OPS as usize);
    plan.after.truncate(OPS as usize);
    plan
}

/// The most bytes that a text can be shown with, as a number of a descriptor: one more tells whether there are more.
fn most(style: Style) -> u16 {
    u16::try_from(style.most.saturating_add(1)).unwrap_or(u16::MAX).min(work::MOST as u16)
}

impl Plan {
    fn add(&mut self, kind: Kind, arg: usize, style: Style) {
        let bytes = |most| Operation::new(op::BYTES, arg, most);
        let text = |most: u16| Operation::new(op::TEXT, arg, most.saturating_add(1));
        let by_arg = |number: u8| length::ARG + number;
        let shown = most(style);
        let elements = u16::try_from(style.most).unwrap_or(u16::MAX);
        let array = |size: u16, number: u8| {
            bytes(size.saturating_mul(elements.saturating_add(1)).min(work::MOST as u16))
                .length(by_arg(number), size as u8)
        };
        match kind {
            Kind::Path => self.before.push(text(PATH - 1)),
            Kind::Text => self.before.push(text(shown)),
            Kind::In(number) => self.before.push(bytes(shown).length(by_arg(number), 1)),
            Kind::Out | Kind::OutHex => self.after.push(bytes(shown).length(length::RESULT, 1)),
            Kind::OutText => self.after.push(Operation::new(op::TEXT, arg, PATH)),
            Kind::Struct(one) => self.before.push(bytes(one.size)),
            Kind::OutStruct(one) | Kind::Rem(one) => self.after.push(bytes(one.size)),
            Kind::Array(one, number) => self.before.push(array(one.size, number)),
            Kind::OutArray(one, number) => self.before.push(array(one.size, number)),
            Kind::ResultArray(one) => self.after.push(Operation { source: length::RESULT, ..array(one.size, 0) }),
            Kind::Argv => self.before.push(Operation { elements, ..Operation::new(op::TEXTS, arg, shown + 1) }),
            Kind::Envp if style.full => {
                self.before.push(Operation { elements, ..Operation::new(op::TEXTS, arg, shown + 1) });
            }
            Kind::Envp => self.before.push(Operation::new(op::COUNT, arg, 0)),
            Kind::Vector(number) => {
                self.before.push(Operation::new(op::VECTOR, arg, shown).length(by_arg(number), 1));
            }
            Kind::OutVector(number) => {
                self.after.push(Operation::new(op::VECTOR, arg, shown).length(by_arg(number), 1))
            }
            Kind::Message => self.before.push(Operation::new(op::MESSAGE, arg, shown)),
            Kind::OutMessage => self.after.push(Operation::new(op::MESSAGE, arg, shown)),
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
            Kind::Prctl => {
                self.before.push(Operation::new(op::TEXT, 1, 17));
                self.after.push(Operation::new(op::TEXT, 1, 17));
            }
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
            for (arg, &kind) in call.args.iter().enumerate() {
                whole.add(kind, arg, Style { most: 100_000, ..Style::default() });
            }
            assert!(whole.before.len() <= OPS as usize && whole.after.len() <= OPS as usize, "{}", call.name);
            for operation in whole.before.iter().chain(&whole.after) {
                assert!(
                    operation.arg < 7 && i64::from(operation.most) <= work::MOST + 1,
                    "{}: {operation:?}",
                    call.name
                );
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

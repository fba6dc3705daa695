//! Values: bytes of a record or a map, seen through a [`Shape`].
//!
//! Decoding borrows and never fails: what the bytes do not hold is [`Value::Missing`]. Composite values decode their
//! parts when they are asked for, so nothing is allocated for an event. Renderings live next door: [`text`](crate::value)
//! by [`Renderer::text`], JSON by [`Renderer::json`].

mod json;
mod text;

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use skep_lang_script::plan::{Enumeration, Field, Shape, StackKey, StackMode};

use crate::names::{Names, StackId};

pub(crate) use json::{json_integer, json_string};
pub(crate) use text::{buffer_text, push_signed, push_unsigned};

/// Address families of [`Shape::Inet`] (`AF_INET`, `AF_INET6`).
const INET: u32 = 2;
const INET6: u32 = 10;

/// A decoded value. Texts and buffers borrow the bytes that they were decoded from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// The bytes end before the value does.
    Missing,
    /// Nothing.
    Void,
    /// An integer with a sign.
    Signed(i64),
    /// An integer without one.
    Unsigned(u64),
    /// A truth value.
    Bool(bool),
    /// An integer that has a name in an enumeration of the plan.
    Enum {
        /// The integer.
        number: i64,
        /// Index of the enumeration.
        enumeration: u32,
    },
    /// An address.
    Pointer(u64),
    /// Text without its end.
    Text {
        /// The bytes, not necessarily UTF-8.
        bytes: &'a [u8],
        /// Whether it filled its place, so that it was cut.
        cut: bool,
    },
    /// Bytes.
    Buffer(&'a [u8]),
    /// An internet address; `None` for a family that has none.
    Inet(Option<IpAddr>),
    /// A hardware address.
    Mac([u8; 6]),
    /// An address in the kernel, printed as a symbol.
    KernelSymbol(u64),
    /// An address in a process, printed as a symbol.
    UserSymbol {
        /// The address.
        address: u64,
        /// The process.
        pid: u32,
    },
    /// A stack trace.
    Stack {
        /// Which one.
        id: StackId,
        /// How frames are printed.
        mode: StackMode,
        /// Most frames that are printed.
        limit: u32,
    },
    /// A user id.
    User(u32),
    /// A time.
    Time {
        /// Nanoseconds since boot.
        boot: u64,
        /// How it is printed, as for `strftime(3)`.
        format: &'a str,
    },
    /// A control group.
    CgroupPath {
        /// Its id.
        id: u64,
        /// Pattern of the hierarchies that matter; empty for all.
        pattern: &'a str,
    },
    /// Number of an error.
    ErrorText(i32),
    /// Number of a signal.
    SignalName(i32),
    /// Number of a system call.
    SyscallName(u64),
    /// Fields one after the other.
    Tuple(Tuple<'a>),
    /// Fields with names.
    Record(Record<'a>),
    /// Elements of one shape.
    Array(Array<'a>),
}

/// The fields of a tuple.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuple<'a> {
    fields: &'a [Field],
    bytes: &'a [u8],
}

/// The fields of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    fields: &'a [(std::sync::Arc<str>, Field)],
    bytes: &'a [u8],
}

/// The elements of an array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Array<'a> {
    element: &'a Shape,
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// The fields of `bytes`, as the parts of a key are.
    pub fn new(fields: &'a [Field], bytes: &'a [u8]) -> Self {
        Self { fields, bytes }
    }
    /// Its fields in order.
    pub fn fields(self) -> impl ExactSizeIterator<Item = &'a Field> {
        self.fields.iter()
    }

    /// The values in order.
    pub fn values(self) -> impl ExactSizeIterator<Item = Value<'a>> {
        self.fields.iter().map(move |field| Value::field(field, self.bytes))
    }
}

impl<'a> Record<'a> {
    /// Its fields in order, with their names.
    pub fn fields(self) -> impl ExactSizeIterator<Item = (&'a str, &'a Field)> {
        self.fields.iter().map(|(name, field)| (&**name, field))
    }

    /// Names and values in order.
    pub fn values(self) -> impl ExactSizeIterator<Item = (&'a str, Value<'a>)> {
        self.fields.iter().map(move |(name, field)| (&**name, Value::field(field, self.bytes)))
    }
}

impl<'a> Array<'a> {
    /// The elements in order; those that the bytes do not hold are left out, except for the first one of them.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> {
        let size = self.element.size() as usize;
        let held = self.bytes.len().checked_div(size).map_or(0, |held| held.saturating_add(1));
        let count = usize::try_from(self.count).unwrap_or(usize::MAX).min(held);
        (0..count).map(move |index| Value::decode(self.element, self.bytes.get(index * size..).unwrap_or_default()))
    }
}

impl<'a> Value<'a> {
    /// The value at the beginning of `bytes`.
    pub fn decode(shape: &'a Shape, bytes: &'a [u8]) -> Self {
        Self::try_decode(shape, bytes).unwrap_or(Self::Missing)
    }

    /// The value of a field of `bytes`.
    pub fn field(field: &'a Field, bytes: &'a [u8]) -> Self {
        bytes.get(field.offset as usize..).map_or(Self::Missing, |bytes| Self::decode(&field.shape, bytes))
    }

    fn try_decode(shape: &'a Shape, bytes: &'a [u8]) -> Option<Self> {
        Some(match shape {
            Shape::Void => Self::Void,
            Shape::Int { bytes: width, signed: true } => Self::Signed(signed(bytes, *width)?),
            Shape::Int { bytes: width, signed: false } => Self::Unsigned(unsigned(bytes, *width)?),
            Shape::Bool => Self::Bool(*bytes.first()? != 0),
            Shape::Enum { bytes: width, enumeration } => {
                Self::Enum { number: signed(bytes, *width)?, enumeration: *enumeration }
            }
            Shape::Pointer => Self::Pointer(word(bytes, 0)?),
            Shape::Text(len) => {
                let bytes = bytes.get(..*len as usize)?;
                match bytes.iter().position(|&byte| byte == 0) {
                    Some(end) => Self::Text { bytes: &bytes[..end], cut: false },
                    None => Self::Text { bytes, cut: *len > 0 },
                }
            }
            Shape::Buffer(room) => {
                let len = half(bytes, 0)?.min(*room) as usize;
                Self::Buffer(bytes.get(4..)?.get(..len)?)
            }
            Shape::Inet => Self::Inet(inet(half(bytes, 0)?, array(bytes, 4)?)),
            Shape::Mac => Self::Mac(array(bytes, 0)?),
            Shape::KernelSymbol => Self::KernelSymbol(word(bytes, 0)?),
            Shape::UserSymbol => Self::UserSymbol { address: word(bytes, 0)?, pid: half(bytes, 8)? },
            Shape::Stack { kernel, mode, limit, .. } => {
                let hash = word(bytes, StackKey::HASH)?;
                let frames = half(bytes, StackKey::FRAMES)?;
                let pid = half(bytes, StackKey::PID)?;
                let id = StackId { kernel: *kernel, hash, frames, pid };
                Self::Stack { id, mode: *mode, limit: *limit }
            }
            Shape::User => Self::User(half(bytes, 0)?),
            Shape::Time(format) => Self::Time { boot: word(bytes, 0)?, format },
            Shape::CgroupPath(pattern) => Self::CgroupPath { id: word(bytes, 0)?, pattern },
            Shape::ErrorText => Self::ErrorText(half(bytes, 0)?.cast_signed()),
            Shape::SignalName => Self::SignalName(half(bytes, 0)?.cast_signed()),
            Shape::SyscallName => Self::SyscallName(word(bytes, 0)?),
            Shape::Tuple(fields) => Self::Tuple(Tuple { fields, bytes }),
            Shape::Record(fields) => Self::Record(Record { fields, bytes }),
            Shape::Array(element, count) => Self::Array(Array { element, count: *count, bytes }),
        })
    }

    /// What `%d`, `%x` and their kin print: the value in 64 bits, `None` for what is no number.
    pub fn number(&self) -> Option<u64> {
        match *self {
            Self::Signed(number) | Self::Enum { number, .. } => Some(number.cast_unsigned()),
            Self::Unsigned(number) | Self::Pointer(number) | Self::KernelSymbol(number) | Self::SyscallName(number) => {
                Some(number)
            }
            Self::UserSymbol { address, .. } => Some(address),
            Self::Time { boot, .. } => Some(boot),
            Self::CgroupPath { id, .. } => Some(id),
            Self::Bool(value) => Some(value.into()),
            Self::User(number) => Some(number.into()),
            Self::ErrorText(number) | Self::SignalName(number) => Some(i64::from(number).cast_unsigned()),
            _ => None,
        }
    }

    /// The order of keys: numbers by value, texts by bytes, tuples field by field.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Signed(a), Self::Signed(b)) => a.cmp(b),
            (Self::Enum { number: a, .. }, Self::Enum { number: b, .. }) => a.cmp(b),
            (Self::ErrorText(a), Self::ErrorText(b)) | (Self::SignalName(a), Self::SignalName(b)) => a.cmp(b),
            (Self::Text { bytes: a, .. }, Self::Text { bytes: b, .. }) | (Self::Buffer(a), Self::Buffer(b)) => a.cmp(b),
            (Self::Inet(a), Self::Inet(b)) => a.cmp(b),
            (Self::Mac(a), Self::Mac(b)) => a.cmp(b),
            (Self::Stack { id: a, .. }, Self::Stack { id: b, .. }) => a.cmp(b),
            (Self::Tuple(a), Self::Tuple(b)) => in_order(a.values(), b.values()),
            (Self::Record(a), Self::Record(b)) => {
                in_order(a.values().map(|pair| pair.1), b.values().map(|pair| pair.1))
            }
            (Self::Array(a), Self::Array(b)) => in_order(a.values(), b.values()),
            (a, b) => a.number().cmp(&b.number()),
        }
    }
}

/// The first difference decides, then the number of parts.
fn in_order<'a>(mut a: impl Iterator<Item = Value<'a>>, mut b: impl Iterator<Item = Value<'a>>) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) => match a.order(&b) {
                Ordering::Equal => {}
                order => return order,
            },
            (None, None) => return Ordering::Equal,
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

/// `N` bytes from an offset on.
fn array<const N: usize>(bytes: &[u8], offset: u32) -> Option<[u8; N]> {
    bytes.get(offset as usize..)?.first_chunk().copied()
}

/// 64 bits at an offset.
pub(crate) fn word(bytes: &[u8], offset: u32) -> Option<u64> {
    array(bytes, offset).map(u64::from_le_bytes)
}

/// 32 bits at an offset.
pub(crate) fn half(bytes: &[u8], offset: u32) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// An integer of 1, 2, 4 or 8 bytes; other widths do not exist.
fn unsigned(bytes: &[u8], width: u8) -> Option<u64> {
    match width {
        1 => bytes.first().map(|&byte| byte.into()),
        2 => array(bytes, 0).map(u16::from_le_bytes).map(u64::from),
        4 => half(bytes, 0).map(u64::from),
        8 => word(bytes, 0),
        _ => None,
    }
}

fn signed(bytes: &[u8], width: u8) -> Option<i64> {
    let shift = 64 - 8 * u32::from(width.clamp(1, 8));
    unsigned(bytes, width).map(|number| (number << shift).cast_signed() >> shift)
}

fn inet(family: u32, bytes: [u8; 16]) -> Option<IpAddr> {
    match family {
        INET => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        INET6 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// What renderings need besides the value.
#[derive(Debug)]
pub struct Renderer<'a> {
    /// Symbols, users, control groups, clocks.
    pub names: &'a mut Names,
    /// The enumerations of the plan.
    pub enums: &'a [Enumeration],
    /// Put behind texts that were cut.
    pub truncation: &'a str,
    /// A text of so many bytes with its zero counts as cut; 0 for none.
    pub full: u32,
    /// Flags of memory allocations: bits and names.
    pub flags: &'a [(u64, Arc<str>)],
}

impl Renderer<'_> {
    /// The name of an enumerator.
    fn enumerator(&self, number: i64, enumeration: u32) -> Option<&str> {
        let values = &self.enums.get(enumeration as usize)?.values;
        values.iter().find(|(value, _)| *value == number).map(|(_, name)| &**name)
    }
}

#[cfg(test)]
mod tests;

//! Values: bytes taken apart by their type.

use std::fmt;

use crate::blob::{Btf, MAX_DEPTH};
use crate::error::BtfError;
use crate::error::Problem;
use crate::kind::{Composite, Int, Kind, TypeId};

/// A value, as data. Names are those of the types.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// An integer that cannot be negative, of up to 128 bits.
    Unsigned(u128),
    /// An integer that can be negative, of up to 128 bits.
    Signed(i128),
    /// A truth value.
    Bool(bool),
    /// A character, any byte.
    Char(u8),
    /// A floating-point number of 4 or 8 bytes.
    Float(f64),
    /// A constant of an enumeration.
    Enum {
        /// Its number; unsigned 64-bit ones above `i64::MAX` as the negative number with the same bits.
        value: i64,
        /// Its name, if the enumeration has one for this number.
        name: Option<&'a str>,
    },
    /// An address.
    Pointer(u64),
    /// The elements of an array.
    Array(Vec<Self>),
    /// The members of a structure or union or the variables of a section, in the order of the declaration; anonymous ones
    /// have an empty name.
    Struct(Vec<(&'a str, Self)>),
    /// Bytes of a type that has no better form, such as a floating-point number of 16 bytes.
    Bytes(Vec<u8>),
}

/// Why bytes are no value of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueError {
    /// The type needs more bytes than there are: bytes needed and bytes found.
    Short(u64, u64),
    /// The types cannot be read, or are nested without measure.
    Btf(BtfError),
}

impl From<BtfError> for ValueError {
    fn from(error: BtfError) -> Self {
        Self::Btf(error)
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(needed, found) => write!(f, "a value of the type has {needed} bytes or more, not {found}"),
            Self::Btf(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ValueError {}

/// Prints the value as JSON on one line, as `bpftool -j map dump` does: constants by their names, addresses as numbers,
/// arrays of characters that end with a NUL as strings, other characters as numbers from -128 to 127, sections and structures
/// as objects. Unlike bpftool it prints bit fields as numbers. Numbers beyond 64 bits are strings in hexadecimal, and
/// floating-point numbers that JSON has no form for are null.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) if *number > u64::MAX.into() => write!(f, "\"{number:#x}\""),
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Signed(number) if i64::try_from(*number).is_err() => write!(f, "\"{number:#x}\""),
            Self::Signed(number) => write!(f, "{number}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Char(byte) => write!(f, "{}", byte.cast_signed()),
            Self::Float(number) if number.is_finite() => write!(f, "{number}"),
            Self::Float(_) => f.write_str("null"),
            Self::Enum { name: Some(name), .. } => string(name, f),
            Self::Enum { value, name: None } => write!(f, "{value}"),
            Self::Pointer(address) => write!(f, "{address}"),
            Self::Array(elements) => match self.text() {
                Some(text) => string(&text, f),
                None => list(f, ('[', ']'), elements, |element, f| write!(f, "{element}")),
            },
            Self::Bytes(bytes) => list(f, ('[', ']'), bytes, |byte, f| write!(f, "{byte}")),
            Self::Struct(members) => list(f, ('{', '}'), members, |(name, value), f| {
                string(name, f)?;
                write!(f, ":{value}")
            }),
        }
    }
}

/// Prints things with commas between them.
fn list<T>(
    f: &mut fmt::Formatter<'_>,
    (open, close): (char, char),
    items: &[T],
    mut item: impl FnMut(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{open}")?;
    for (at, value) in items.iter().enumerate() {
        f.write_str(if at > 0 { "," } else { "" })?;
        item(value, f)?;
    }
    write!(f, "{close}")
}

/// Prints a string of JSON.
fn string(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for char in text.chars() {
        match char {
            '"' | '\\' => write!(f, "\\{char}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            char if char.is_control() => write!(f, "\\u{:04x}", u32::from(char))?,
            char => write!(f, "{char}")?,
        }
    }
    f.write_str("\"")
}

impl<'a> Value<'a> {
    /// Takes bytes apart by a type, all little-endian. Bytes after the value do not matter, but belong to the last member
    /// if that is an array without length.
    ///
    /// # Errors
    /// Too few bytes, a type without size, types that do not exist, more than 32 types inside each other, many times more
    /// members than bytes.
    pub fn decode(btf: &'a Btf, id: TypeId, bytes: &[u8]) -> Result<Self, ValueError> {
        let mut decoder = Decoder { btf, bytes, left: 64 * bytes.len() + (1 << 16) };
        decoder.value(id, 0, 0)
    }

    /// The text of an array of characters up to the first NUL, if it is UTF-8 and all behind the NUL are NUL as well.
    pub fn text(&self) -> Option<String> {
        let Self::Array(elements) = self else { return None };
        let bytes = elements.iter().map(|element| match element {
            Self::Char(byte) => Some(*byte),
            _ => None,
        });
        let bytes = bytes.collect::<Option<Vec<u8>>>()?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let rest_is_empty = bytes[end..].iter().all(|byte| *byte == 0);
        String::from_utf8(bytes[..end].to_vec()).ok().filter(|_| rest_is_empty)
    }
}

/// What is taken apart.
struct Decoder<'a, 'b> {
    btf: &'a Btf,
    bytes: &'b [u8],
    /// How many more values there may be.
    left: usize,
}

impl<'a> Decoder<'a, '_> {
    /// The value at an offset in bytes.
    fn value(&mut self, id: TypeId, at: u64, depth: usize) -> Result<Value<'a>, ValueError> {
        self.left = self.left.checked_sub(1).ok_or(BtfError::new(0, Problem::Endless))?;
        if depth > MAX_DEPTH {
            return Err(BtfError::new(0, Problem::Nested(id.0)).into());
        }
        let btf = self.btf;
        Ok(match btf.resolved(id)? {
            Kind::Int(int) => {
                let bits = if int.bits == 0 { 8 * int.size.min(16) } else { int.bits.into() };
                let word = self.word(at, int.size)? >> int.bit_offset.min(127);
                // Compilers say of `char` that it is a signed integer, not that it is a character.
                match int.size == 1 && btf.name(btf.resolve(id)?)? == "char" {
                    true => Value::Char(word as u8),
                    false => integer(int, word, bits),
                }
            }
            Kind::Ptr(_) => Value::Pointer(self.word(at, 8)? as u64),
            Kind::Enum(values) | Kind::Enum64(values) => {
                let word = self.word(at, values.size)?;
                constant(btf, id, word, 8 * values.size.min(8))?
            }
            Kind::Float { size: 4 } => Value::Float(f32::from_bits(self.word(at, 4)? as u32).into()),
            Kind::Float { size: 8 } => Value::Float(f64::from_bits(self.word(at, 8)? as u64)),
            Kind::Float { size } => Value::Bytes(self.slice(at, size.into())?.to_vec()),
            Kind::Array(array) => {
                let size = u64::from(btf.size_of(array.element)?);
                let element = |index: u32| at + u64::from(index) * size;
                // What is longer than all bytes fails at the first element that is missing.
                let values = (0..array.len).map(|index| self.value(array.element, element(index), depth + 1));
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            Kind::Struct(composite) | Kind::Union(composite) => self.composite(composite, at, depth)?,
            Kind::Var { ty, .. } => self.value(ty, at, depth + 1)?,
            // A section is part of nothing.
            Kind::Datasec { vars, .. } if depth == 0 => {
                let mut found = Vec::new();
                for var in vars.iter() {
                    found.push((btf.name(var.ty)?, self.value(var.ty, at + u64::from(var.offset), depth + 1)?));
                }
                Value::Struct(found)
            }
            _ => return Err(BtfError::new(0, Problem::NoSize).into()),
        })
    }

    fn composite(&mut self, composite: Composite<'a>, at: u64, depth: usize) -> Result<Value<'a>, ValueError> {
        self.slice(at, composite.size.into())?;
        let mut found = Vec::new();
        for member in composite.members() {
            let name = self.btf.string(member.name)?;
            let offset = u64::from(member.bit_offset);
            let value = if member.bits == 0 {
                match self.btf.resolved(member.ty)? {
                    Kind::Array(array) if array.len == 0 => self.flexible(array.element, at + offset / 8, depth)?,
                    _ => self.value(member.ty, at + offset / 8, depth + 1)?,
                }
            } else {
                self.left = self.left.checked_sub(1).ok_or(BtfError::new(0, Problem::Endless))?;
                self.bitfield(member.ty, 8 * at + offset, member.bits.into())?
            };
            found.push((name, value));
        }
        Ok(Value::Struct(found))
    }

    /// The elements of an array without length: all that the rest of the bytes hold, if it is at the end of the value.
    fn flexible(&mut self, element: TypeId, at: u64, depth: usize) -> Result<Value<'a>, ValueError> {
        let size = u64::from(self.btf.size_of(element)?);
        let rest = if depth == 0 { (self.bytes.len() as u64).saturating_sub(at) } else { 0 };
        let count = rest.checked_div(size).unwrap_or(0);
        let values = (0..count).map(|index| self.value(element, at + index * size, depth + 1));
        Ok(Value::Array(values.collect::<Result<_, _>>()?))
    }

    /// Bits from a place on, at most 64 of them.
    fn bitfield(&mut self, id: TypeId, at: u64, bits: u32) -> Result<Value<'a>, ValueError> {
        let bits = bits.min(64);
        let last = (at + u64::from(bits)).div_ceil(8);
        let word = self.word(at / 8, (last - at / 8) as u32)? >> (at % 8);
        match self.btf.resolved(id)? {
            Kind::Int(int) => Ok(integer(int, word, bits)),
            Kind::Enum(_) | Kind::Enum64(_) => constant(self.btf, id, word, bits),
            _ => Ok(Value::Unsigned(mask(word, bits))),
        }
    }

    /// A number of up to 16 bytes.
    fn word(&self, at: u64, size: u32) -> Result<u128, ValueError> {
        let mut word = [0; 16];
        let bytes = self.slice(at, size.into())?;
        let len = bytes.len().min(16);
        word[..len].copy_from_slice(&bytes[..len]);
        Ok(u128::from_le_bytes(word))
    }

    fn slice(&self, at: u64, size: u64) -> Result<&[u8], ValueError> {
        let short = ValueError::Short(at.saturating_add(size), self.bytes.len() as u64);
        let (start, end) = (usize::try_from(at), usize::try_from(at.saturating_add(size)));
        let (Ok(start), Ok(end)) = (start, end) else { return Err(short) };
        self.bytes.get(start..end).ok_or(short)
    }
}

/// The lowest bits.
fn mask(word: u128, bits: u32) -> u128 {
    if bits >= 128 { word } else { word & ((1 << bits) - 1) }
}

/// The lowest bits, extended by their sign.
fn extend(word: u128, bits: u32) -> i128 {
    let above = 128 - bits.clamp(1, 128);
    (word << above).cast_signed() >> above
}

/// An integer from its lowest bits.
fn integer(int: Int, word: u128, bits: u32) -> Value<'static> {
    match int {
        Int { bool: true, .. } => Value::Bool(mask(word, bits) != 0),
        Int { char: true, .. } => Value::Char(mask(word, bits) as u8),
        Int { signed: true, .. } => Value::Signed(extend(word, bits)),
        _ => Value::Unsigned(mask(word, bits)),
    }
}

/// A constant of an enumeration from its lowest bits.
fn constant<'a>(btf: &'a Btf, id: TypeId, word: u128, bits: u32) -> Result<Value<'a>, ValueError> {
    let (Kind::Enum(values) | Kind::Enum64(values)) = btf.resolved(id)? else {
        return Ok(Value::Unsigned(mask(word, bits)));
    };
    let value = if values.signed { extend(word, bits) as i64 } else { (mask(word, bits) as u64).cast_signed() };
    // Older compilers do not say that constants can be negative; a negative one in a bit field shows by its sign then.
    let signed = mask(extend(word, bits).cast_unsigned(), 8 * values.size.min(8)) as u64;
    let named = |value: i64| values.values().find(|constant| constant.value == value);
    let found = named(value).or_else(|| named(signed.cast_signed()));
    let name = found.map(|constant| btf.string(constant.name)).transpose()?;
    Ok(Value::Enum { value, name })
}

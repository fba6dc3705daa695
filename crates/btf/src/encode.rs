//! Values from text: the way back from what [`Value`](crate::Value) prints to bytes.

use std::fmt;

use crate::blob::{Btf, MAX_DEPTH};
use crate::error::BtfError;
use crate::kind::{Composite, Enum, Int, Kind, TypeId};
use crate::notation::{Notation, parse};

/// Largest value that is made, in bytes.
const LARGEST: u32 = 64 << 20;

/// Why a text is no value of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    /// Where in the value: `.address[2]`; empty for the value itself.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.problem),
            place => write!(f, "{}: {}", place.trim_start_matches('.'), self.problem),
        }
    }
}

impl std::error::Error for EncodeError {}

impl From<BtfError> for EncodeError {
    fn from(error: BtfError) -> Self {
        Self::new(format!("the type cannot be read: {error}"))
    }
}

impl EncodeError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { place: String::new(), problem: problem.into() }
    }

    /// The same, seen from one level above.
    fn below(self, place: &str) -> Self {
        Self { place: format!("{place}{}", self.place), ..self }
    }
}

/// The bytes, little-endian, of a value that is given as text.
///
/// The text is JSON, or close to it: names need no quotes, numbers may be hexadecimal (`0x1f`), characters stand in
/// apostrophes, constants go by their names, and members and elements that are left out are zero. Of a union one member is
/// given. Everything that [`Value`](crate::Value) prints for a value without padding and without numbers that JSON has no
/// form for is read back to the same bytes.
///
/// # Errors
/// [`EncodeError`] with the place: text that is not of this form, members that do not exist, numbers that do not fit, types
/// without size or of more than 64 MiB.
///
/// ```
/// # let mut blob = vec![0x9f, 0xeb, 1, 0];
/// # for word in [24, 0, 40, 40, 9, 1, 1 << 24, 4, 1 << 24 | 32, 5, 4 << 24 | 1, 4, 7, 1, 0] {
/// #     blob.extend_from_slice(&u32::to_le_bytes(word));
/// # }
/// # blob.extend_from_slice(b"\0int\0p\0x\0");
/// use skep_btf::{Btf, TypeId, encode};
///
/// // `struct p { int x; }`
/// let btf = Btf::parse(blob)?;
/// assert_eq!(encode(&btf, TypeId(2), "{x: -2}")?, [0xfe, 0xff, 0xff, 0xff]);
/// assert!(encode(&btf, TypeId(2), "{y: 1}").unwrap_err().to_string().contains("it has: x"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(btf: &Btf, id: TypeId, text: &str) -> Result<Vec<u8>, EncodeError> {
    let notation = parse(text)?;
    let size = btf.size_of(id)?;
    if size > LARGEST {
        return Err(EncodeError::new(format!("values of {size} bytes are too large to be given as text")));
    }
    let mut encoder = Encoder { btf, bytes: vec![0; size as usize] };
    encoder.value(id, 0, &notation, 0)?;
    Ok(encoder.bytes)
}

struct Encoder<'a> {
    btf: &'a Btf,
    bytes: Vec<u8>,
}

impl Encoder<'_> {
    /// Writes a value at an offset in bytes.
    fn value(&mut self, id: TypeId, at: u64, given: &Notation, depth: usize) -> Result<(), EncodeError> {
        if depth > MAX_DEPTH {
            return Err(EncodeError::new("the type is nested too deeply"));
        }
        match self.btf.resolved(id)? {
            Kind::Int(int) => {
                let bits = if int.bits == 0 { 8 * int.size.min(16) } else { int.bits.into() };
                let number = integer(int, bits, given)?;
                self.put(at, int.size, number << int.bit_offset.min(127))
            }
            Kind::Ptr(_) => self.put(at, 8, number(given, 64, "an address")?),
            Kind::Enum(values) | Kind::Enum64(values) => {
                let word = self.constant(values, 8 * values.size.min(8), given)?;
                self.put(at, values.size, word)
            }
            Kind::Float { size } => self.put(at, size, float(given, size)?),
            Kind::Array(array) => self.array(array.element, array.len, at, given, depth),
            Kind::Struct(composite) | Kind::Union(composite) => self.composite(composite, at, given, depth),
            Kind::Var { ty, .. } => self.value(ty, at, given, depth + 1),
            Kind::Datasec { vars, .. } if depth == 0 => {
                let Notation::Record(members) = given else { return Err(expected("variables: {name: value}")) };
                for (name, value) in members {
                    let var = vars.iter().find(|var| self.btf.name(var.ty).is_ok_and(|known| known == name));
                    let var = var.ok_or_else(|| {
                        missing("variable", name, vars.iter().filter_map(|var| self.btf.name(var.ty).ok()))
                    })?;
                    self.value(var.ty, at + u64::from(var.offset), value, depth + 1)
                        .map_err(|error| error.below(&format!(".{name}")))?;
                }
                Ok(())
            }
            _ => Err(EncodeError::new("the type has no size")),
        }
    }

    fn array(&mut self, element: TypeId, len: u32, at: u64, given: &Notation, depth: usize) -> Result<(), EncodeError> {
        let size = u64::from(self.btf.size_of(element)?);
        match given {
            Notation::Text(text) if size == 1 => {
                let (bytes, room) = (text.as_bytes(), len as usize);
                if bytes.len() > room {
                    return Err(EncodeError::new(format!("{} bytes of text do not fit in {room}", bytes.len())));
                }
                bytes.iter().zip(at..).try_for_each(|(byte, at)| self.put(at, 1, (*byte).into()))
            }
            Notation::List(elements) => {
                if elements.len() > len as usize {
                    let problem = format!("there are {} elements, the array has {len}", elements.len());
                    return Err(EncodeError::new(problem));
                }
                for (index, value) in elements.iter().enumerate() {
                    self.value(element, at + index as u64 * size, value, depth + 1)
                        .map_err(|error| error.below(&format!("[{index}]")))?;
                }
                Ok(())
            }
            _ if size == 1 => Err(expected("a list of elements or a text in quotes")),
            _ => Err(expected("a list of elements: [1, 2]")),
        }
    }

    fn composite(
        &mut self,
        composite: Composite<'_>,
        at: u64,
        given: &Notation,
        depth: usize,
    ) -> Result<(), EncodeError> {
        let Notation::Record(members) = given else { return Err(expected("members: {name: value}")) };
        // Nameless members go by their order.
        let mut nameless = 0;
        for (name, value) in members {
            let btf = self.btf;
            let mut fitting = composite.members().filter(|member| btf.string(member.name).is_ok_and(|it| it == name));
            let member = match name.as_str() {
                "" => {
                    nameless += 1;
                    fitting.nth(nameless - 1)
                }
                _ => fitting.next(),
            };
            if let Some(member) = member {
                let offset = u64::from(member.bit_offset);
                let written = match member.bits {
                    0 => self.value(member.ty, at + offset / 8, value, depth + 1),
                    bits => self.bitfield(member.ty, 8 * at + offset, bits.into(), value),
                };
                written.map_err(|error| error.below(&format!(".{name}")))?;
            } else if let Some((ty, offset)) = self.inside(composite, name, 0)? {
                // A member of a nameless member.
                self.composite_member(ty, at + offset, name, value, depth)?;
            } else {
                let names = composite.members().filter_map(|member| btf.string(member.name).ok());
                return Err(missing("member", name, names));
            }
        }
        Ok(())
    }

    /// The nameless structure or union with a member of this name: its type and its offset in bytes.
    fn inside(&self, composite: Composite<'_>, name: &str, depth: usize) -> Result<Option<(TypeId, u64)>, EncodeError> {
        if depth > MAX_DEPTH || name.is_empty() {
            return Ok(None);
        }
        for member in composite.members() {
            if !self.btf.string(member.name)?.is_empty() {
                continue;
            }
            let (Kind::Struct(inner) | Kind::Union(inner)) = self.btf.resolved(member.ty)? else { continue };
            let has = inner.members().any(|inner| self.btf.string(inner.name).is_ok_and(|known| known == name));
            if has || self.inside(inner, name, depth + 1)?.is_some() {
                return Ok(Some((member.ty, u64::from(member.bit_offset / 8))));
            }
        }
        Ok(None)
    }

    fn composite_member(
        &mut self,
        ty: TypeId,
        at: u64,
        name: &str,
        value: &Notation,
        depth: usize,
    ) -> Result<(), EncodeError> {
        self.value(ty, at, &Notation::Record(vec![(name.to_owned(), value.clone())]), depth + 1)
    }

    fn bitfield(&mut self, id: TypeId, at: u64, bits: u32, given: &Notation) -> Result<(), EncodeError> {
        let bits = bits.min(64);
        let word = match self.btf.resolved(id)? {
            Kind::Int(int) => integer(int, bits, given)?,
            Kind::Enum(values) | Kind::Enum64(values) => self.constant(values, bits, given)?,
            _ => number(given, bits, "a number")?,
        };
        for bit in 0..u64::from(bits) {
            let place = at + bit;
            let short = EncodeError::new("the bit field lies outside of its structure");
            let byte = usize::try_from(place / 8).ok().and_then(|byte| self.bytes.get_mut(byte)).ok_or(short)?;
            let mask = 1 << (place % 8);
            *byte = if word >> bit & 1 == 1 { *byte | mask } else { *byte & !mask };
        }
        Ok(())
    }

    /// The bits of a constant: by its name or as a number.
    fn constant(&self, values: Enum<'_>, bits: u32, given: &Notation) -> Result<u128, EncodeError> {
        let (Notation::Word(name) | Notation::Text(name)) = given else {
            return number(given, bits, "a number or the name of a constant");
        };
        let found = values.values().find(|constant| self.btf.string(constant.name).is_ok_and(|known| known == name));
        let names = values.values().filter_map(|constant| self.btf.string(constant.name).ok());
        let found = found.ok_or_else(|| missing("constant", name, names))?;
        Ok(mask(i128::from(found.value).cast_unsigned(), bits))
    }

    /// Writes a number of `size` bytes.
    fn put(&mut self, at: u64, size: u32, word: u128) -> Result<(), EncodeError> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let place = self.bytes.get_mut(start..start.saturating_add(size as usize));
        let place = place.ok_or_else(|| EncodeError::new("it lies outside of the value"))?;
        for (byte, value) in place.iter_mut().zip(word.to_le_bytes()) {
            *byte = value;
        }
        Ok(())
    }
}

fn expected(what: &str) -> EncodeError {
    EncodeError::new(format!("expected {what}"))
}

/// A name that does not exist, with those that do.
fn missing<'a>(noun: &str, name: &str, known: impl Iterator<Item = &'a str>) -> EncodeError {
    const SHOWN: usize = 20;
    let mut names: Vec<&str> = known.filter(|name| !name.is_empty()).take(SHOWN + 1).collect();
    if names.len() > SHOWN {
        names[SHOWN] = "...";
    }
    EncodeError::new(format!("there is no {noun} `{name}`; it has: {}", names.join(", ")))
}

fn mask(word: u128, bits: u32) -> u128 {
    if bits >= 128 { word } else { word & ((1 << bits) - 1) }
}

/// A number of so many bits, read as unsigned or signed.
fn number(given: &Notation, bits: u32, what: &str) -> Result<u128, EncodeError> {
    let (word, negative) = match given {
        Notation::Number { magnitude, negative } => (*magnitude, *negative),
        Notation::Char(byte) => (u128::from(*byte), false),
        // Numbers beyond 64 bits are printed as texts.
        Notation::Text(text) => match text.strip_prefix("0x").map(|digits| u128::from_str_radix(digits, 16)) {
            Some(Ok(word)) => (word, false),
            _ => return Err(expected(what)),
        },
        _ => return Err(expected(what)),
    };
    let most = if negative { 1 << (bits.clamp(1, 128) - 1) } else { mask(u128::MAX, bits) };
    if word > most {
        let sign = if negative { "-" } else { "" };
        return Err(EncodeError::new(format!("{sign}{word} does not fit in {bits} bits")));
    }
    Ok(mask(if negative { word.wrapping_neg() } else { word }, bits))
}

fn integer(int: Int, bits: u32, given: &Notation) -> Result<u128, EncodeError> {
    match given {
        Notation::Word(word) if int.bool && word == "true" => Ok(1),
        Notation::Word(word) if int.bool && word == "false" => Ok(0),
        _ => number(given, bits, if int.bool { "true or false" } else { "a number" }),
    }
}

fn float(given: &Notation, size: u32) -> Result<u128, EncodeError> {
    let value = match given {
        Notation::Float(value) => *value,
        Notation::Number { magnitude, negative } => {
            let value = *magnitude as f64;
            if *negative { -value } else { value }
        }
        _ => return Err(expected("a number")),
    };
    match size {
        4 => Ok((value as f32).to_bits().into()),
        8 => Ok(value.to_bits().into()),
        _ => Err(EncodeError::new(format!("floating-point numbers of {size} bytes cannot be given"))),
    }
}

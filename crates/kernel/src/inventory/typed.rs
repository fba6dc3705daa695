//! Entries of maps by their types: bytes to values and text to bytes.

use std::fmt;
use std::sync::Arc;

use skep_btf::{Btf, EncodeError, Kind, TypeId, Value, encode};

use super::types::KernelTypes;
use crate::map_info::MapInfo;

/// The types of a map's keys and values, as far as it has some.
#[derive(Debug, Clone)]
pub struct MapTypesOf {
    btf: Option<Arc<Btf>>,
    /// Where the value's type is, if not with the key's.
    value_btf: Option<Arc<Btf>>,
    key: u32,
    value: u32,
    key_size: usize,
    value_size: usize,
}

/// Why a text is no key or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedError {
    /// `key` or `value`.
    pub what: &'static str,
    /// The text.
    pub text: String,
    /// What is wrong, and what is expected.
    pub problem: String,
}

impl fmt::Display for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no {} of this map: {}", self.text, self.what, self.problem)
    }
}

impl std::error::Error for TypedError {}

impl MapTypesOf {
    /// The types that the kernel has for a map.
    pub fn new(info: &MapInfo, types: &KernelTypes) -> Self {
        let btf = types.get(info.btf_id);
        let mut found = Self {
            btf,
            value_btf: None,
            key: info.key_type,
            value: info.value_type,
            key_size: info.key_size as usize,
            value_size: info.value_size as usize,
        };
        if info.kernel_value_type != 0 {
            found.value_btf = match info.kernel_btf_id {
                0 => types.vmlinux().ok(),
                id => types.get(id),
            };
            found.value = info.kernel_value_type;
        }
        found
    }

    /// Whether both keys and values have types, as far as the map has keys.
    pub fn is_typed(&self) -> bool {
        self.value_type().is_some() && (self.key_size == 0 || self.key_type().is_some() || self.is_section())
    }

    /// Whether the value is a section of global variables.
    pub fn is_section(&self) -> bool {
        self.value_type().is_some_and(|(btf, id)| matches!(btf.kind(id), Ok(Kind::Datasec { .. })))
    }

    /// The name of that section: `.data`, `.rodata`.
    pub fn section_name(&self) -> Option<&str> {
        let (btf, id) = self.value_type()?;
        btf.name(id).ok().filter(|_| self.is_section())
    }

    fn key_type(&self) -> Option<(&Btf, TypeId)> {
        (self.key != 0).then_some(())?;
        Some((self.btf.as_deref()?, TypeId(self.key)))
    }

    fn value_type(&self) -> Option<(&Btf, TypeId)> {
        (self.value != 0).then_some(())?;
        Some((self.value_btf.as_deref().or(self.btf.as_deref())?, TypeId(self.value)))
    }

    /// A key by its type; `None` if it has none.
    pub fn key<'a>(&'a self, bytes: &[u8]) -> Option<Value<'a>> {
        let (btf, id) = self.key_type()?;
        Value::decode(btf, id, bytes).ok()
    }

    /// A value (that of one processor, for per-CPU maps) by its type; `None` if it has none.
    pub fn value<'a>(&'a self, bytes: &[u8]) -> Option<Value<'a>> {
        let (btf, id) = self.value_type()?;
        Value::decode(btf, id, bytes).ok()
    }

    /// Whether values are whole numbers that can be added up: by their type, or by their size if they have none.
    pub fn is_number(&self) -> bool {
        match self.value_type() {
            Some((btf, id)) => {
                matches!(btf.resolved(id), Ok(Kind::Int(int)) if int.size <= 8 && !int.bool && !int.char)
            }
            None => matches!(self.value_size, 1 | 2 | 4 | 8),
        }
    }

    /// The bytes of a key that is given as text.
    ///
    /// # Errors
    /// [`TypedError`] with what is expected.
    pub fn key_from(&self, text: &str) -> Result<Vec<u8>, TypedError> {
        from_text("key", self.key_type(), self.key_size, text)
    }

    /// The bytes of a value (on one processor) that is given as text.
    ///
    /// # Errors
    /// As for [`key_from`](Self::key_from).
    pub fn value_from(&self, text: &str) -> Result<Vec<u8>, TypedError> {
        from_text("value", self.value_type(), self.value_size, text)
    }
}

/// Bytes in hexadecimal with spaces or colons between them or `hex:` in front; else a value of the type, or a number.
fn from_text(what: &'static str, ty: Option<(&Btf, TypeId)>, size: usize, text: &str) -> Result<Vec<u8>, TypedError> {
    let text = text.trim();
    let fail = |problem: String| TypedError { what, text: text.to_owned(), problem };
    if let Some(bytes) = hexadecimal(text) {
        let problem = |found: usize| format!("{found} bytes are given, it has {size}");
        return if bytes.len() == size { Ok(bytes) } else { Err(fail(problem(bytes.len()))) };
    }
    let plain = match ty {
        Some((btf, id)) => {
            let encoded = encode(btf, id, text).map_err(|error: EncodeError| fail(error.to_string()))?;
            // Types of keys and values have their sizes; anything else the kernel would not have taken.
            (encoded.len() == size).then_some(encoded)
        }
        None => number(text, size),
    };
    plain.ok_or_else(|| {
        let pairs = vec!["00"; size.min(4)].join(" ");
        let dots = if size > 4 { " ..." } else { "" };
        let or = if size <= 16 { " or a number that fits" } else { "" };
        fail(format!("it has no type; expected {size} bytes in hexadecimal, `{pairs}{dots}`{or}"))
    })
}

/// `0a 0b`, `0a:0b`, `0x0a 0x0b` or `hex:0a0b`.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let byte = |digits: &str| (1..=2).contains(&digits.len()).then(|| u8::from_str_radix(digits, 16).ok())?;
    if let Some(digits) = text.strip_prefix("hex:") {
        let digits = digits.as_bytes();
        let pairs = digits.chunks(2).map(|pair| (pair.len() == 2).then(|| byte(std::str::from_utf8(pair).ok()?))?);
        return pairs.collect();
    }
    let words: Vec<&str> = text.split([' ', ':']).filter(|word| !word.is_empty()).collect();
    if words.len() < 2 {
        return None;
    }
    words.iter().map(|word| byte(word.strip_prefix("0x").unwrap_or(word))).collect()
}

/// A number of up to 16 bytes, in the order of the machine.
fn number(text: &str, size: usize) -> Option<Vec<u8>> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) => u128::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    if size == 0 || size > 16 {
        return None;
    }
    let bits = 8 * size as u32;
    let fits = if negative { magnitude <= 1 << (bits - 1) } else { bits == 128 || magnitude < 1 << bits };
    let word = if negative { magnitude.wrapping_neg() } else { magnitude };
    let bytes = if cfg!(target_endian = "little") {
        word.to_le_bytes()[..size].to_vec()
    } else {
        word.to_be_bytes()[16 - size..].to_vec()
    };
    fits.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_types() {
        let read = |size, text: &str| from_text("key", None, size, text);
        assert_eq!(read(4, "258"), Ok(258u32.to_ne_bytes().to_vec()));
        assert_eq!(read(4, "-1"), Ok(vec![0xff; 4]));
        assert_eq!(read(2, "0x102"), Ok(0x102u16.to_ne_bytes().to_vec()));
        for text in ["0a 0b 0c", "0a:0b:0c", "0xa 0xb 0xc", "hex:0a0b0c"] {
            assert_eq!(read(3, text), Ok(vec![10, 11, 12]), "{text}");
        }
        assert!(read(1, "256").unwrap_err().to_string().contains("it has no type; expected 1 bytes in hexadecimal"));
        assert!(read(4, "1 2").unwrap_err().to_string().contains("2 bytes are given, it has 4"));
        assert!(read(20, "7").is_err() && read(4, "é").is_err() && read(4, "hex:é").is_err());
    }
}

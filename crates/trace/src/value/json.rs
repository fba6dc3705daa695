//! Values as JSON.
//!
//! Integers that a double cannot hold exactly become strings, as in the reference. Texts are valid UTF-8 in the output:
//! bytes that are not become the replacement character (the reference prints broken escapes there).

use super::text::{push_format, push_signed, push_unsigned};
use super::{Renderer, Value};

/// Integers up to here are exact in a double.
const EXACT: u64 = 1 << 53;

impl Renderer<'_> {
    /// Appends a value as JSON.
    pub fn json(&mut self, value: &Value<'_>, out: &mut Vec<u8>) {
        match *value {
            Value::Missing | Value::Void => out.extend_from_slice(b"null"),
            Value::Signed(number) | Value::Enum { number, .. } => json_integer(number.into(), out),
            Value::Unsigned(number) | Value::Pointer(number) => json_integer(number.into(), out),
            Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            Value::Buffer(bytes) => {
                out.push(b'[');
                for (index, &byte) in bytes.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    // As in the reference, bytes are characters of C: they have a sign.
                    push_signed(byte.cast_signed().into(), out);
                }
                out.push(b']');
            }
            Value::Tuple(tuple) => self.json_list(tuple.values(), out),
            Value::Array(array) => self.json_list(array.values(), out),
            Value::Record(record) => {
                out.push(b'{');
                for (index, (name, value)) in record.values().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    json_string(name.as_bytes(), out);
                    out.extend_from_slice(b": ");
                    self.json(&value, out);
                }
                out.push(b'}');
            }
            Value::Text { .. }
            | Value::Inet(_)
            | Value::Mac(_)
            | Value::KernelSymbol(_)
            | Value::UserSymbol { .. }
            | Value::Stack { .. }
            | Value::User(_)
            | Value::Time { .. }
            | Value::CgroupPath { .. }
            | Value::ErrorText(_)
            | Value::SignalName(_)
            | Value::SyscallName(_) => {
                let mut text = self.names.take_text();
                self.text(value, &mut text);
                json_string(&text, out);
                self.names.give_text(text);
            }
        }
    }

    fn json_list<'v>(&mut self, values: impl Iterator<Item = Value<'v>>, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.json(&value, out);
        }
        out.push(b']');
    }

    /// Appends what stands for a part of a key inside of the name of a member: text without spaces after commas, stack
    /// frames without indentation.
    pub(crate) fn json_key_part(&mut self, value: &Value<'_>, out: &mut Vec<u8>) {
        match *value {
            Value::Tuple(tuple) => {
                out.push(b'(');
                for (index, value) in tuple.values().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.json_key_part(&value, out);
                }
                out.push(b')');
            }
            Value::Stack { id, mode, limit } => self.stack(id, mode, limit, "", out),
            _ => self.text(value, out),
        }
    }
}

/// Appends an integer of 64 bits, as a string if a double cannot hold it.
pub(crate) fn json_integer(number: i128, out: &mut Vec<u8>) {
    let magnitude = u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX);
    let exact = magnitude == 0 || 64 - magnitude.leading_zeros() - magnitude.trailing_zeros() <= EXACT.ilog2();
    if !exact {
        out.push(b'"');
    }
    if number < 0 {
        out.push(b'-');
    }
    push_unsigned(magnitude, out);
    if !exact {
        out.push(b'"');
    }
}

/// Appends a string with quotes and escapes.
pub(crate) fn json_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\r' => out.extend_from_slice(b"\\r"),
                0x08 => out.extend_from_slice(b"\\b"),
                0x0c => out.extend_from_slice(b"\\f"),
                0..0x20 | 0x7f => push_format(out, format_args!("\\u{byte:04x}")),
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

//! Applying a compiled format.

use std::io::Write;

use skep_lang_script::plan::Field;

use super::{Conversion, Format, Kind, Segment};
use crate::value::{Renderer, Value, buffer_text, push_signed, push_unsigned};

impl Format {
    /// Appends the text for these arguments of a record. Arguments that are missing are printed as missing.
    pub fn render(&self, arguments: &[Field], record: &[u8], renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        let mut arguments = arguments.iter();
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text),
                Segment::Conversion(conversion) => {
                    let value = arguments.next().map_or(Value::Missing, |field| Value::field(field, record));
                    conversion.render(&value, renderer, out);
                }
            }
        }
    }
}

impl Conversion {
    fn render(self, value: &Value<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.content(value, renderer, out);
        let len = out.len() - start;
        let missing = (self.width as usize).saturating_sub(len);
        if missing > 0 {
            // As in the reference, zeros also fill up on the right: `%-05d` of 3 is `30000`.
            let fill = if self.zero { b'0' } else { b' ' };
            out.resize(out.len() + missing, fill);
            if !self.left {
                // As in the reference, signs and prefixes are part of what is filled up: `%05d` of -3 is `000-3`.
                out[start..].rotate_right(missing);
            }
        }
    }

    fn content(self, value: &Value<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Text => return renderer.text(value, out),
            Kind::Buffer | Kind::BufferEscaped | Kind::BufferHex => return self.buffer(value, renderer, out),
            _ => {}
        }
        let Some(number) = value.number() else { return renderer.text(value, out) };
        let unused = 64 - 8 * u32::from(self.bytes);
        let unsigned = number << unused >> unused;
        match self.kind {
            Kind::Signed => {
                let signed = (number << unused).cast_signed() >> unused;
                if self.plus && signed >= 0 {
                    out.push(b'+');
                }
                push_signed(signed, out);
            }
            Kind::Octal if self.alternate && unsigned != 0 => formatted(out, format_args!("0{unsigned:o}")),
            Kind::Octal => formatted(out, format_args!("{unsigned:o}")),
            Kind::Hex if self.alternate && unsigned != 0 => formatted(out, format_args!("0x{unsigned:x}")),
            Kind::Hex => formatted(out, format_args!("{unsigned:x}")),
            Kind::UpperHex if self.alternate && unsigned != 0 => formatted(out, format_args!("0X{unsigned:X}")),
            Kind::UpperHex => formatted(out, format_args!("{unsigned:X}")),
            Kind::AllocationFlags => flags(unsigned, renderer, out),
            Kind::Char => out.push(number.to_le_bytes()[0]),
            Kind::Pointer => formatted(out, format_args!("0x{number:x}")),
            _ => push_unsigned(unsigned, out),
        }
    }

    fn buffer(self, value: &Value<'_>, renderer: &mut Renderer<'_>, out: &mut Vec<u8>) {
        let (Value::Buffer(bytes) | Value::Text { bytes, .. }) = *value else { return renderer.text(value, out) };
        match self.kind {
            Kind::BufferEscaped => bytes.iter().for_each(|byte| formatted(out, format_args!("\\x{byte:02x}"))),
            Kind::BufferHex => {
                for (index, byte) in bytes.iter().enumerate() {
                    formatted(out, format_args!("{}{byte:02x}", if index > 0 { " " } else { "" }));
                }
            }
            _ => buffer_text(bytes, out),
        }
    }
}

/// The names of flags, as the kernel prints them: those that stand for several first, what has no name as a number.
fn flags(mut number: u64, renderer: &Renderer<'_>, out: &mut Vec<u8>) {
    if number == 0 {
        out.extend_from_slice(b"none");
        return;
    }
    let start = out.len();
    for (mask, name) in renderer.flags {
        if *mask != 0 && number & mask == *mask {
            if out.len() > start {
                out.push(b'|');
            }
            out.extend_from_slice(name.as_bytes());
            number &= !mask;
        }
    }
    if number != 0 {
        let bar = if out.len() > start { "|" } else { "" };
        formatted(out, format_args!("{bar}{number:#x}"));
    }
}

fn formatted(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(text);
}

//! Formats of `printf()`: compiled once into segments, then applied to records.
//!
//! A conversion is `%`, flags from `- + space # 0` in this order, a width (a number, or `*`, which is ignored), a
//! precision (ignored: it means something for fractions only, which the language has not), a length, and a letter. What
//! does not look like this is printed as it is, as in the reference.

mod parse;
mod render;

use std::fmt;

/// A compiled format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    segments: Vec<Segment>,
    conversions: usize,
}

/// A format that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatError {
    /// A conversion that the language has not.
    Unsupported {
        /// The conversion.
        text: String,
        /// Offset in the format in bytes.
        at: usize,
    },
    /// Another number of arguments than conversions.
    Arguments {
        /// Conversions of the format.
        expected: usize,
        /// Arguments that there are.
        given: usize,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { text, at } => write!(
                f,
                "the conversion `{text}` at byte {at} of the format is not supported; \
                 there are d i u o x X c s p r rx rh gr"
            ),
            Self::Arguments { expected, given } if given < expected => {
                write!(f, "not enough arguments for the format ({given} supplied, {expected} expected)")
            }
            Self::Arguments { expected, given } => {
                write!(f, "too many arguments for the format ({given} supplied, {expected} expected)")
            }
        }
    }
}

impl std::error::Error for FormatError {}

/// A piece of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Printed as it is.
    Literal(Box<[u8]>),
    /// The next argument.
    Conversion(Conversion),
}

/// How an argument is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Conversion {
    kind: Kind,
    /// Bytes of the integer that the argument is converted to: 1, 2, 4 or 8.
    bytes: u8,
    /// At least so many bytes.
    width: u32,
    left: bool,
    plus: bool,
    alternate: bool,
    zero: bool,
}

/// The letter of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `%d`, `%i`
    Signed,
    /// `%u`
    Unsigned,
    /// `%o`
    Octal,
    /// `%x`
    Hex,
    /// `%X`
    UpperHex,
    /// `%c`
    Char,
    /// `%s`
    Text,
    /// `%p`
    Pointer,
    /// `%r`
    Buffer,
    /// `%rx`
    BufferEscaped,
    /// `%rh`
    BufferHex,
    /// `%gr`
    AllocationFlags,
}

impl Format {
    /// Compiles a format for so many arguments.
    ///
    /// # Errors
    /// [`FormatError`] for conversions of fractions, and a wrong number of arguments.
    pub fn compile(text: &str, arguments: usize) -> Result<Self, FormatError> {
        let segments = parse::segments(text)?;
        let conversions = segments.iter().filter(|segment| matches!(segment, Segment::Conversion(_))).count();
        if conversions != arguments {
            return Err(FormatError::Arguments { expected: conversions, given: arguments });
        }
        Ok(Self { segments, conversions })
    }

    /// How many arguments it takes.
    pub fn arguments(&self) -> usize {
        self.conversions
    }
}

#[cfg(test)]
mod tests;

//! Requests that have no encoding.

use std::fmt;

/// Why an instruction was not emitted. The code is as it was before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EncodeError {
    /// A number that its field cannot hold.
    OutOfRange {
        /// What the number is, in words and with its unit.
        what: &'static str,
        /// The number asked for.
        value: i64,
        /// The least number that fits.
        least: i64,
        /// The greatest number that fits.
        greatest: i64,
        /// Every number that fits is a multiple of this.
        step: i64,
    },
    /// Two operands in one register, for which the architecture leaves the outcome open.
    SameRegister {
        /// The instruction.
        insn: &'static str,
        /// The number of the register, 31 for zero.
        number: u8,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OutOfRange { what, value, least, greatest, step } => {
                write!(f, "{what} is {value}, but must be from {least} to {greatest}")?;
                if step == 1 { Ok(()) } else { write!(f, " and a multiple of {step}") }
            }
            Self::SameRegister { insn, number } => {
                write!(f, "{insn} names register {number} twice where the architecture requires two different ones")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// A signed field of `bits` bits that counts units of `step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// What the number is, for errors.
    pub(super) what: &'static str,
    /// Bits of the field, the sign included: 1 to 31.
    pub(super) bits: u32,
    /// What one unit stands for; more than 0.
    pub(super) step: i64,
}

impl Field {
    /// The field's content for `value`, in the lowest bits.
    pub(super) fn encode(self, value: i64) -> Result<u32, EncodeError> {
        let Self { what, bits, step } = self;
        let limit = 1 << (bits - 1);
        let (least, greatest) = (-limit * step, (limit - 1) * step);
        if value % step != 0 || value < least || value > greatest {
            return Err(EncodeError::OutOfRange { what, value, least, greatest, step });
        }
        // The mask keeps the low bits of the two's complement, which is what the field holds.
        Ok((value / step) as u32 & ((1 << bits) - 1))
    }
}

/// Accepts `value` from 0 to `greatest`.
pub(super) fn at_most(what: &'static str, value: u8, greatest: u8) -> Result<u32, EncodeError> {
    if value > greatest {
        let (value, greatest) = (value.into(), greatest.into());
        return Err(EncodeError::OutOfRange { what, value, least: 0, greatest, step: 1 });
    }
    Ok(value.into())
}

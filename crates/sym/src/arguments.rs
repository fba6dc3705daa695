//! The arguments of USDT probes: text that the assembler wrote, such as `-4@%edi 8@-16(%rbp)`.
//!
//! ```text
//!  argument = [ "-" ] size [ "f" ] "@" operand          size in bytes, "-" signed, "f" floating point
//!  x86-64     $5  %rdi  -16(%rbp)  8(%rax,%rcx,4)  name+8(%rip)  name(%rip)
//!  aarch64    5   x0    [sp, 16]   [x1]  [x1, x2]
//! ```

use std::fmt;

use crate::binary::Machine;
use crate::registers::{self, Register};

/// An argument of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Bytes of the value: 1, 2, 4, 8 or 16.
    pub size: u8,
    /// Whether it is extended by its sign.
    pub signed: bool,
    /// Whether it is a floating-point number.
    pub float: bool,
    /// Where it is.
    pub location: Location,
}

/// Where the value of an argument is when the probe fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The value itself.
    Constant(i64),
    /// In a register.
    Register(Register),
    /// In memory at the sum of these.
    Memory {
        /// A register.
        base: Register,
        /// Another one, and what it is multiplied with: 1, 2, 4 or 8.
        index: Option<(Register, u8)>,
        /// Bytes.
        displacement: i64,
    },
    /// In memory at a symbol of the same file.
    Symbol {
        /// Its name.
        name: String,
        /// Bytes behind it.
        displacement: i64,
    },
}

/// Why a text is no list of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentError {
    /// The argument, from 1.
    pub number: usize,
    /// Its text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "argument {} of the probe, `{}`: {}", self.number, self.text.escape_debug(), self.problem)
    }
}

impl std::error::Error for ArgumentError {}

/// Most arguments of one probe; the macros of `sys/sdt.h` go to 12.
const MOST: usize = 64;

/// Reads the arguments of a probe for a kind of machine.
///
/// # Errors
/// [`ArgumentError`] for text that is not of the form above, and for more than 64 arguments.
pub fn parse_arguments(text: &str, machine: Machine) -> Result<Vec<Argument>, ArgumentError> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = end_of_argument(rest);
        let (each, after) = rest.split_at(end);
        let error = |problem| ArgumentError { number: found.len() + 1, text: each.chars().take(80).collect(), problem };
        if found.len() == MOST {
            return Err(error("there are too many arguments"));
        }
        found.push(argument(each, machine).map_err(error)?);
        rest = after.trim_start();
    }
    Ok(found)
}

/// Blanks end an argument, except inside of parentheses and brackets.
fn end_of_argument(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            letter if letter.is_whitespace() && depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn argument(text: &str, machine: Machine) -> Result<Argument, &'static str> {
    let (size, operand) = text.split_once('@').ok_or("there is no `@` between size and operand")?;
    let (signed, size) = size.strip_prefix('-').map_or((false, size), |size| (true, size));
    let (float, size) = size.strip_suffix('f').map_or((false, size), |size| (true, size));
    let size = match size {
        "1" => 1,
        "2" => 2,
        "4" => 4,
        "8" => 8,
        "16" => 16,
        _ => return Err("the size is not 1, 2, 4, 8 or 16 bytes"),
    };
    let location = match machine {
        Machine::X86_64 => x86_operand(operand)?,
        Machine::Aarch64 => aarch64_operand(operand)?,
        Machine::Other(_) => return Err("operands of this kind of machine are not known"),
    };
    Ok(Argument { size, signed, float, location })
}

/// A number in decimal, hexadecimal or octal digits, with an optional sign.
fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let value = match hexadecimal {
        Some(digits) if !digits.starts_with(['+', '-']) => u64::from_str_radix(digits, 16).ok()?,
        None if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    // Assemblers write 64-bit constants with or without sign.
    Some(if negative { value.wrapping_neg().cast_signed() } else { value.cast_signed() })
}

const BAD_NUMBER: &str = "the number is malformed";
const BAD_REGISTER: &str = "there is no such register";

fn x86_register(text: &str) -> Result<Register, &'static str> {
    text.trim().strip_prefix('%').and_then(registers::x86).ok_or(BAD_REGISTER)
}

fn x86_operand(text: &str) -> Result<Location, &'static str> {
    if let Some(constant) = text.strip_prefix('$') {
        return number(constant).map(Location::Constant).ok_or(BAD_NUMBER);
    }
    if text.starts_with('%') && !text.contains('(') {
        return x86_register(text).map(Location::Register);
    }
    let Some((front, inside)) = text.split_once('(') else {
        // Without registers: an address, or a symbol with an absolute one.
        return symbol(text);
    };
    let inside = inside.strip_suffix(')').ok_or("the parenthesis is not closed")?;
    if inside.trim() == "%rip" {
        return symbol(front);
    }
    let displacement = if front.is_empty() { 0 } else { sum(front).ok_or(BAD_NUMBER)? };
    let mut parts = inside.split(',');
    let base = x86_register(parts.next().unwrap_or_default())?;
    let index = match parts.next() {
        None => None,
        Some(index) => {
            let scale = match parts.next().map(str::trim) {
                None | Some("1") => 1,
                Some("2") => 2,
                Some("4") => 4,
                Some("8") => 8,
                Some(_) => return Err("the factor of the index is not 1, 2, 4 or 8"),
            };
            Some((x86_register(index)?, scale))
        }
    };
    if parts.next().is_some() {
        return Err("there are too many parts between the parentheses");
    }
    Ok(Location::Memory { base, index, displacement })
}

/// Numbers with signs between them: assemblers leave `-16+8` as it was.
fn sum(text: &str) -> Option<i64> {
    let mut total = 0i64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.bytes().skip(1).position(|byte| matches!(byte, b'+' | b'-')).map_or(rest.len(), |at| at + 1);
        let (each, after) = rest.split_at_checked(end)?;
        total = total.wrapping_add(number(each)?);
        rest = after;
    }
    Some(total)
}

/// `name`, `name+8`, `8+name`.
fn symbol(text: &str) -> Result<Location, &'static str> {
    const BAD: &str = "the operand is neither register, memory, symbol nor constant";
    let good = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|letter: char| letter.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'@'))
    };
    if good(text) {
        return Ok(Location::Symbol { name: text.to_owned(), displacement: 0 });
    }
    if let Some(at) = text.find(['+', '-']) {
        let (front, back) = text.split_at(at);
        if good(front) {
            let displacement = sum(back).ok_or(BAD_NUMBER)?;
            return Ok(Location::Symbol { name: front.to_owned(), displacement });
        }
        if let (Some(displacement), Some(name)) = (number(front), back.strip_prefix('+'))
            && good(name)
        {
            return Ok(Location::Symbol { name: name.to_owned(), displacement });
        }
    }
    Err(BAD)
}

fn aarch64_operand(text: &str) -> Result<Location, &'static str> {
    if let Some(inside) = text.strip_prefix('[') {
        let inside = inside.strip_suffix(']').ok_or("the bracket is not closed")?;
        let mut parts = inside.split(',').map(str::trim);
        let base = registers::aarch64(parts.next().unwrap_or_default()).ok_or(BAD_REGISTER)?;
        let second = parts.next();
        if parts.next().is_some() {
            return Err("there are too many parts between the brackets");
        }
        let second = second.map(|second| second.strip_prefix('#').unwrap_or(second));
        return match second {
            None => Ok(Location::Memory { base, index: None, displacement: 0 }),
            Some(second) => match number(second) {
                Some(displacement) => Ok(Location::Memory { base, index: None, displacement }),
                None => {
                    let index = registers::aarch64(second).ok_or(BAD_REGISTER)?;
                    Ok(Location::Memory { base, index: Some((index, 1)), displacement: 0 })
                }
            },
        };
    }
    if let Some(constant) = number(text.strip_prefix('#').unwrap_or(text)) {
        return Ok(Location::Constant(constant));
    }
    registers::aarch64(text).map(Location::Register).ok_or(BAD_REGISTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x86(text: &str) -> Vec<Argument> {
        parse_arguments(text, Machine::X86_64).unwrap_or_else(|error| panic!("{error}"))
    }

    fn register(name: &str) -> Register {
        registers::x86(name).unwrap()
    }

    #[test]
    fn operands_of_x86() {
        let all = x86(
            "-4@%edi 8@-16(%rbp) 1@$-5 4@8(%rax,%rcx,4) 8@counter+8(%rip) 8f@%xmm0 2@(%rsp) 4@-16+8(%rbx) 8@$0xffffffffffffffff",
        );
        assert_eq!(all.len(), 9);
        assert_eq!(
            all[0],
            Argument { size: 4, signed: true, float: false, location: Location::Register(register("edi")) }
        );
        let memory = |base, index, displacement| Location::Memory { base: register(base), index, displacement };
        assert_eq!(all[1].location, memory("rbp", None, -16));
        assert_eq!(all[2].location, Location::Constant(-5));
        assert_eq!(all[3].location, memory("rax", Some((register("rcx"), 4)), 8));
        assert_eq!(all[4].location, Location::Symbol { name: "counter".to_owned(), displacement: 8 });
        assert!(all[5].float && !all[0].float);
        assert_eq!(all[6].location, memory("rsp", None, 0));
        assert_eq!(all[7].location, memory("rbx", None, -8));
        assert_eq!(all[8].location, Location::Constant(-1));
        assert_eq!(x86("  "), []);
    }

    #[test]
    fn operands_of_aarch64() {
        let all = parse_arguments("-4@w3 8@[sp, 16] 8@[x1] 4@-7 8@[x1, x2] 8@[x29, -8]", Machine::Aarch64).unwrap();
        let register = |name| registers::aarch64(name).unwrap();
        assert_eq!(all[0].location, Location::Register(register("w3")));
        assert_eq!(all[1].location, Location::Memory { base: register("sp"), index: None, displacement: 16 });
        assert_eq!(all[3].location, Location::Constant(-7));
        let index = Some((register("x2"), 1));
        assert_eq!(all[4].location, Location::Memory { base: register("x1"), index, displacement: 0 });
        assert_eq!(all[5].location, Location::Memory { base: register("x29"), index: None, displacement: -8 });
    }

    #[test]
    fn mistakes_are_named() {
        let text = |text| parse_arguments(text, Machine::X86_64).unwrap_err().to_string();
        assert_eq!(text("4@%edi 3@%edi"), "argument 2 of the probe, `3@%edi`: the size is not 1, 2, 4, 8 or 16 bytes");
        for bad in
            ["x", "4@", "4@%nothing", "4@8(%rax", "4@8(%rax,%rcx,3)", "4@$x", "4@(%rax,%rcx,1,2)", "4@1+2", "4@+"]
        {
            assert!(parse_arguments(bad, Machine::X86_64).is_err(), "{bad}");
        }
        assert!(parse_arguments("4@x0", Machine::Other(8)).is_err());
        assert!(parse_arguments(&"1@$1 ".repeat(65), Machine::X86_64).is_err());
    }
}

//! Formatted text: `bpf_trace_printk`, `bpf_trace_vprintk`, `bpf_snprintf`, with the rules of `bpf_bprintf_prepare` in
//! `kernel/bpf/helpers.c`.
//!
//! Pointers are printed as the numbers that programs see; the kernel hides them behind a hash with `%p`. There are no
//! symbols, so `%ps`, `%pS` and `%pB` print numbers too.

use super::errno::EINVAL;
use super::strings::text_at;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;

type Result<T = u64> = std::result::Result<T, FaultKind>;

/// Bytes of a line with its zero (`MAX_BPRINTF_BUF`).
const MAX_LINE: usize = 1024;
/// Most arguments (`MAX_BPRINTF_VARARGS`).
const MAX_ARGUMENTS: usize = 12;
/// Longest field that is made, so that a width cannot take all memory.
const MAX_WIDTH: usize = 1 << 12;

/// What stands between `%` and the letter.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    zero: bool,
    plus: bool,
    left: bool,
    space: bool,
    width: usize,
}

/// The rest of a format.
struct Format<'a>(&'a [u8]);

impl Format<'_> {
    fn peek(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn skip(&mut self, count: usize) {
        self.0 = &self.0[count.min(self.0.len())..];
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        loop {
            match self.peek(0) {
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.left = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.skip(1);
        }
        while self.peek(0).is_ascii_digit() {
            flags.width = (flags.width * 10 + usize::from(self.peek(0) - b'0')).min(MAX_WIDTH);
            self.skip(1);
        }
        flags
    }

    /// Whether a conversion may end in front of the byte at `at`.
    fn ends(&self, at: usize) -> bool {
        let byte = self.peek(at);
        byte == 0 || matches!(byte, b' ' | 9..=13) || byte.is_ascii_punctuation()
    }
}

/// Fills a field up; zeros go behind the sign.
fn pad(out: &mut Vec<u8>, flags: Flags, sign: &str, body: &[u8], zero: bool) {
    let missing = flags.width.saturating_sub(sign.len() + body.len());
    if !flags.left && !zero {
        out.extend(std::iter::repeat_n(b' ', missing));
    }
    out.extend_from_slice(sign.as_bytes());
    if !flags.left && zero {
        out.extend(std::iter::repeat_n(b'0', missing));
    }
    out.extend_from_slice(body);
    if flags.left {
        out.extend(std::iter::repeat_n(b' ', missing));
    }
}

/// The text of a format with its arguments, `None` for what the kernel refuses.
pub(super) fn format(machine: &Machine, format: &[u8], arguments: &[u64]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut arguments = arguments.iter().copied();
    let mut rest = Format(format);
    while let Some(&byte) = rest.0.first() {
        if !matches!(byte, b' '..=b'~' | 9..=13) {
            return None;
        }
        rest.skip(1);
        if byte != b'%' {
            out.push(byte);
        } else if rest.peek(0) == b'%' {
            out.push(b'%');
            rest.skip(1);
        } else {
            let argument = arguments.next()?;
            conversion(machine, &mut rest, argument, &mut out)?;
        }
    }
    Some(out)
}

fn conversion(machine: &Machine, rest: &mut Format<'_>, argument: u64, out: &mut Vec<u8>) -> Option<()> {
    let flags = rest.flags();
    match rest.peek(0) {
        b'p' => {
            rest.skip(1);
            pointer(machine, rest, flags, argument, out)
        }
        b's' => {
            rest.skip(1);
            text(machine, rest, flags, argument, out)
        }
        b'c' => {
            rest.skip(1);
            pad(out, flags, "", &[argument as u8], false);
            Some(())
        }
        _ => integer(rest, flags, argument, out),
    }
}

fn integer(rest: &mut Format<'_>, flags: Flags, argument: u64, out: &mut Vec<u8>) -> Option<()> {
    let long = (0..2).take_while(|&at| rest.peek(at) == b'l').count();
    rest.skip(long);
    let letter = rest.peek(0);
    rest.skip(1);
    let (unsigned, signed) = if long > 0 {
        (argument, argument.cast_signed())
    } else {
        (u64::from(argument as u32), i64::from(argument as i32))
    };
    let (sign, body) = match letter {
        b'd' | b'i' => {
            let sign = match signed {
                ..0 => "-",
                _ if flags.plus => "+",
                _ if flags.space => " ",
                _ => "",
            };
            (sign, signed.unsigned_abs().to_string())
        }
        b'u' => ("", unsigned.to_string()),
        b'x' => ("", format!("{unsigned:x}")),
        b'X' => ("", format!("{unsigned:X}")),
        _ => return None,
    };
    pad(out, flags, sign, body.as_bytes(), flags.zero);
    Some(())
}

/// Text of the program; nothing where it cannot be read.
fn text(machine: &Machine, rest: &Format<'_>, flags: Flags, address: u64, out: &mut Vec<u8>) -> Option<()> {
    if !rest.ends(0) {
        return None;
    }
    let text = text_at(machine, address, MAX_LINE).unwrap_or_default();
    pad(out, flags, "", &text, false);
    Some(())
}

/// An address: all digits of it unless a width is given.
fn hexadecimal(mut flags: Flags, address: u64, out: &mut Vec<u8>) {
    if flags.width == 0 {
        (flags.width, flags.zero) = (16, true);
    }
    pad(out, flags, "", format!("{address:x}").as_bytes(), flags.zero);
}

fn pointer(machine: &Machine, rest: &mut Format<'_>, flags: Flags, address: u64, out: &mut Vec<u8>) -> Option<()> {
    match (rest.peek(0), rest.peek(1)) {
        _ if rest.ends(0) => hexadecimal(flags, address, out),
        (b'x' | b'K', _) => {
            rest.skip(1);
            hexadecimal(flags, address, out);
        }
        (b's' | b'S' | b'B', _) => {
            rest.skip(1);
            pad(out, flags, "", format!("{address:#x}").as_bytes(), false);
        }
        (b'k' | b'u', b's') => {
            rest.skip(2);
            return text(machine, rest, flags, address, out);
        }
        (dots @ (b'i' | b'I'), b'4') => {
            rest.skip(2);
            let mut bytes = [0; 4];
            // Where nothing can be read the kernel shows zeros.
            let _ = machine.read(address, &mut bytes);
            let parts = bytes.map(|byte| if dots == b'i' { format!("{byte:03}") } else { byte.to_string() });
            pad(out, flags, "", parts.join(".").as_bytes(), false);
        }
        (colons @ (b'i' | b'I'), b'6') => {
            rest.skip(2);
            let mut bytes = [0; 16];
            let _ = machine.read(address, &mut bytes);
            let words = bytes.as_chunks::<2>().0.iter().map(|[high, low]| format!("{high:02x}{low:02x}"));
            let separator = if colons == b'i' { "" } else { ":" };
            pad(out, flags, "", words.collect::<Vec<_>>().join(separator).as_bytes(), false);
        }
        _ => return None,
    }
    Some(())
}

/// Keeps a line for the host: its length without the zero.
fn print(machine: &mut Machine, pattern: u64, size: u64, arguments: &[u64]) -> Result {
    let pattern = machine.bytes(pattern, size as u32)?;
    let Some(end) = pattern.iter().position(|&byte| byte == 0) else { return Ok(EINVAL) };
    let Some(mut line) = format(machine, &pattern[..end], arguments) else { return Ok(EINVAL) };
    let length = line.len();
    line.truncate(MAX_LINE - 1);
    machine.environment.print(String::from_utf8_lossy(&line).into_owned());
    Ok(length as u64)
}

pub(super) fn trace_printk(machine: &mut Machine, [pattern, size, a, b, c]: [u64; 5]) -> Result {
    print(machine, pattern, size, &[a, b, c])
}

/// The arguments in memory, `None` if there are too many.
fn words(machine: &Machine, data: u64, size: u64) -> Result<Option<Vec<u64>>> {
    let count = size as usize / 8;
    if !size.is_multiple_of(8) || count > MAX_ARGUMENTS || (data == 0 && size != 0) {
        return Ok(None);
    }
    let bytes = machine.bytes(data, size as u32)?;
    Ok(Some(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()))
}

pub(super) fn trace_vprintk(machine: &mut Machine, [pattern, size, data, bytes, _]: [u64; 5]) -> Result {
    match words(machine, data, bytes)? {
        Some(arguments) => print(machine, pattern, size, &arguments),
        None => Ok(EINVAL),
    }
}

/// Formats into memory, cut if there is no room: the bytes that the whole would take with its zero.
pub(super) fn snprintf(machine: &mut Machine, [to, room, pattern, data, size]: [u64; 5]) -> Result {
    let Some(arguments) = words(machine, data, size)? else { return Ok(EINVAL) };
    let Some(pattern) = text_at(machine, pattern, MAX_LINE) else {
        return Err(FaultKind::WrongArgument { value: pattern, expected: "text that ends with a zero" });
    };
    let Some(mut text) = format(machine, &pattern, &arguments) else { return Ok(EINVAL) };
    let length = text.len() as u64 + 1;
    if let Some(room) = (room as u32 as usize).checked_sub(1) {
        text.truncate(room);
        text.push(0);
        machine.write(to, &text)?;
    }
    Ok(length)
}

//! Helpers that copy memory of the program and read text in it.
//!
//! Memory of the kernel and of other processes does not exist here: every address is one of the program's own.

use super::errno::{EFAULT, EINVAL, ERANGE};
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;

type Result<T = u64> = std::result::Result<T, FaultKind>;

/// Whether an address is none that compiled code would cut to 32 bits.
const fn is_whole(address: u64) -> bool {
    address <= u32::MAX as u64
}

/// Copies memory; where that is impossible the target is cleared (`bpf_probe_read_*` in `kernel/trace/bpf_trace.c`).
pub(super) fn probe_read(machine: &mut Machine, [to, size, from, ..]: [u64; 5]) -> Result {
    let size = size as u32;
    if is_whole(from) && machine.check_read(from, size).is_ok() {
        let bytes = machine.bytes(from, size)?;
        machine.write(to, &bytes)?;
        return Ok(0);
    }
    machine.fill(to, size, 0)?;
    Ok(EFAULT)
}

/// As [`probe_read`] with flags, of which there are none.
pub(super) fn copy_from_user(machine: &mut Machine, arguments: [u64; 5]) -> Result {
    probe_read(machine, arguments)
}

/// The bytes at an address up to a zero or the limit, `None` if one cannot be read.
pub(super) fn text_at(machine: &Machine, address: u64, limit: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for at in address..address.saturating_add(limit as u64) {
        let mut byte = [0];
        if !is_whole(at) || machine.read(at, &mut byte).is_err() {
            return None;
        }
        if byte[0] == 0 {
            break;
        }
        text.push(byte[0]);
    }
    Some(text)
}

/// Copies text with its zero, cut if there is no room; the number of bytes with the zero.
pub(super) fn probe_read_str(machine: &mut Machine, [to, size, from, ..]: [u64; 5]) -> Result {
    let size = size as u32;
    if size == 0 {
        return Ok(0);
    }
    match text_at(machine, from, size as usize - 1) {
        Some(mut text) => {
            text.push(0);
            machine.write(to, &text)?;
            Ok(text.len() as u64)
        }
        None => {
            machine.fill(to, size, 0)?;
            Ok(EFAULT)
        }
    }
}

/// Compares text like the kernel's `strncmp`: -1, 0 or 1.
pub(super) fn strncmp(machine: &mut Machine, [left, size, right, ..]: [u64; 5]) -> Result {
    for at in 0..u64::from(size as u32) {
        let (mut ours, mut theirs) = ([0], [0]);
        machine.read(left.wrapping_add(at), &mut ours)?;
        machine.read(right.wrapping_add(at), &mut theirs)?;
        if ours != theirs {
            return Ok(if ours < theirs { u64::MAX } else { 1 });
        }
        if ours[0] == 0 {
            break;
        }
    }
    Ok(0)
}

/// A number at the beginning of text: whether it is negative, its value, and the bytes up to its end; or the error.
fn number(text: &[u8], flags: u64) -> std::result::Result<(bool, u64, u64), u64> {
    /// Digits beyond this are not looked at (`__bpf_strtoull` in `kernel/bpf/helpers.c`).
    const MOST: usize = 63;
    if text.is_empty() || !matches!(flags, 0 | 8 | 10 | 16) {
        return Err(EINVAL);
    }
    // The kernel's idea of white space includes the no-break space of Latin-1.
    let is_space = |byte: &u8| matches!(byte, b' ' | 9..=13 | 0xa0);
    let mut rest = &text[text.iter().take_while(|byte| is_space(byte)).count()..];
    let negative = rest.first() == Some(&b'-');
    if negative {
        rest = &rest[1..];
    }
    if rest.is_empty() {
        return Err(EINVAL);
    }
    let skipped = text.len() - rest.len();
    let rest = &rest[..rest.len().min(MOST)];
    let has_mark = rest[0] == b'0' && rest.get(1).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'x'));
    let base = match flags {
        0 if rest[0] != b'0' => 10,
        0 if has_mark && rest.get(2).is_some_and(u8::is_ascii_hexdigit) => 16,
        0 => 8,
        base => base as u32,
    };
    let mark = if base == 16 && has_mark { 2 } else { 0 };
    let mut value = Some(0u64);
    let mut digits = 0;
    for byte in &rest[mark..] {
        let Some(digit) = char::from(*byte).to_digit(base) else { break };
        value = value.and_then(|value| value.checked_mul(base.into())?.checked_add(digit.into()));
        digits += 1;
    }
    let value = value.ok_or(ERANGE)?;
    if digits == 0 { Err(EINVAL) } else { Ok((negative, value, (skipped + mark + digits) as u64)) }
}

/// Reads a signed number: the bytes that it took.
pub(super) fn strtol(machine: &mut Machine, [text, size, flags, to, _]: [u64; 5]) -> Result {
    let text = machine.bytes(text, size as u32)?;
    let result = number(&text, flags).and_then(|(negative, value, length)| {
        let signed = if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() };
        Ok((signed.ok_or(ERANGE)?.cast_unsigned(), length))
    });
    store(machine, to, result)
}

/// Reads an unsigned number: the bytes that it took.
pub(super) fn strtoul(machine: &mut Machine, [text, size, flags, to, _]: [u64; 5]) -> Result {
    let text = machine.bytes(text, size as u32)?;
    let result = number(&text, flags).and_then(
        |(negative, value, length)| {
            if negative { Err(EINVAL) } else { Ok((value, length)) }
        },
    );
    store(machine, to, result)
}

fn store(machine: &mut Machine, to: u64, result: std::result::Result<(u64, u64), u64>) -> Result {
    let (value, answer) = result.unwrap_or_else(|error| (0, error));
    machine.write(to, &value.to_ne_bytes())?;
    Ok(answer)
}

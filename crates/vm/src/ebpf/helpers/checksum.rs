//! Checksums of the Internet (RFC 1071, RFC 1624): sums of 16-bit words in ones' complement.

use super::errno::{EFAULT, EINVAL, ENOTSUPP};
use crate::ebpf::context::PacketKind;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;

type Result = std::result::Result<u64, FaultKind>;

/// A sum folded to 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// The folded sum of bytes as words in the byte order of this machine.
fn sum(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |&byte| u16::from_ne_bytes([byte, 0]));
    fold(pairs.iter().map(|pair| u64::from(u16::from_ne_bytes(*pair))).sum::<u64>() + u64::from(last)).into()
}

/// The difference that replacing bytes makes to a sum: of any number of bytes and folded to 16 bits, as since Linux 6.13.
pub(super) fn csum_diff(machine: &mut Machine, [from, from_size, to, to_size, seed]: [u64; 5]) -> Result {
    let (from_size, to_size) = (from_size as u32, to_size as u32);
    let (from, to) = (machine.bytes(from, from_size)?, machine.bytes(to, to_size)?);
    let seed = seed as u32;
    // Subtracting is adding the complement. Zero has two forms, and which one comes out depends on the way.
    Ok(u64::from(match (from.is_empty(), to.is_empty()) {
        (true, _) => fold(u64::from(seed) + sum(&to)),
        (false, true) => !fold(u64::from(!seed) + sum(&from)),
        (false, false) => fold(u64::from(seed) + sum(&to) + u64::from(!fold(sum(&from)))),
    }))
}

/// There is never a sum of the whole packet by a device (`CHECKSUM_COMPLETE`) that this could correct.
pub(super) fn csum_update(machine: &mut Machine, _: [u64; 5]) -> Result {
    machine.window(PacketKind::Skb)?;
    Ok(ENOTSUPP)
}

/// The bytes of `flags` that say how many bytes changed.
const SIZE: u64 = 0xf;

/// The checksum field at an offset, `None` outside of the packet.
fn field(machine: &Machine, offset: u64) -> std::result::Result<Option<u64>, FaultKind> {
    let window = machine.window(PacketKind::Skb)?;
    let offset = u64::from(offset as u32);
    let good = offset <= 0xffff && offset % 2 == 0 && offset + 2 <= window.len().into();
    Ok(good.then(|| u64::from(window.data) + offset))
}

/// The field with the difference between two numbers of `size` bytes, or with a difference itself for size 0.
fn replaced(old: u16, from: u64, to: u64, size: u64) -> Option<u16> {
    let sum = u64::from(!old);
    let (from, to) = match size {
        0 if from != 0 => return None,
        0 => return Some(!fold(sum + u64::from(to as u32))),
        2 => (u64::from(!(from as u16)), u64::from(to as u16)),
        4 => (u64::from(!(from as u32)), u64::from(to as u32)),
        _ => return None,
    };
    Some(!fold(sum + from + to))
}

fn replace(machine: &mut Machine, at: u64, [from, to, flags]: [u64; 3], is_optional: bool, is_forced: bool) -> Result {
    let mut old = [0; 2];
    machine.read(at, &mut old)?;
    if is_optional && !is_forced && old == [0; 2] {
        return Ok(0);
    }
    let Some(new) = replaced(u16::from_ne_bytes(old), from, to, flags & SIZE) else { return Ok(EINVAL) };
    // Zero means that a datagram has none.
    let new = if is_optional && new == 0 { 0xffff } else { new };
    machine.write(at, &new.to_ne_bytes())?;
    Ok(0)
}

/// Corrects the checksum of an IPv4 header.
pub(super) fn l3_csum_replace(machine: &mut Machine, [_, offset, from, to, flags]: [u64; 5]) -> Result {
    if flags & !SIZE != 0 {
        return Ok(EINVAL);
    }
    match field(machine, offset)? {
        Some(at) => replace(machine, at, [from, to, flags], false, false),
        None => Ok(EFAULT),
    }
}

/// Corrects the checksum of TCP, UDP or ICMP. That the change is in the pseudo header matters for sums of devices only.
pub(super) fn l4_csum_replace(machine: &mut Machine, [_, offset, from, to, flags]: [u64; 5]) -> Result {
    const PSEUDO_HEADER: u64 = 0x10;
    const ZERO_IS_NONE: u64 = 0x20;
    const ENFORCE: u64 = 0x40;
    const IPV6: u64 = 0x80;
    if flags & !(SIZE | PSEUDO_HEADER | ZERO_IS_NONE | ENFORCE | IPV6) != 0 {
        return Ok(EINVAL);
    }
    match field(machine, offset)? {
        Some(at) => replace(machine, at, [from, to, flags], flags & ZERO_IS_NONE != 0, flags & ENFORCE != 0),
        None => Ok(EFAULT),
    }
}

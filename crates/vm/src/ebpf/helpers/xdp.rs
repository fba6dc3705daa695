//! Helpers on XDP frames (`net/core/filter.c`).

use super::errno::{EACCES, EFAULT, EINVAL, ENOMEM};
use crate::ebpf::context::PacketKind;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;

type Result<T = u64> = std::result::Result<T, FaultKind>;

/// Bytes at the start of the headroom that the kernel needs itself: `struct xdp_frame`.
const FRAME_HEAD: u32 = 40;
/// Bytes of the Ethernet header that a frame keeps.
const ETHERNET: i64 = 14;
/// Most bytes of metadata (`xdp_metalen_invalid` in `net/xdp.h`).
const MAX_METADATA: i64 = 255;

/// Moves the start of the frame, with the metadata in front of it.
pub(super) fn xdp_adjust_head(machine: &mut Machine, [_, offset, ..]: [u64; 5]) -> Result {
    let window = machine.window(PacketKind::Xdp)?;
    let offset = offset as i32;
    let metadata = window.data - window.data_meta;
    let data = i64::from(window.data) + i64::from(offset);
    let lowest = i64::from(window.lowest + FRAME_HEAD + metadata);
    if data < lowest || data > i64::from(window.data_end) - ETHERNET {
        return Ok(EINVAL);
    }
    let bytes = machine.bytes(window.data_meta.into(), metadata)?;
    let (data, data_meta) = (data as u32, window.data_meta.wrapping_add_signed(offset));
    if machine.move_packet(data_meta, data, window.data_end)?.is_none() {
        return Ok(ENOMEM);
    }
    machine.write(data_meta.into(), &bytes)?;
    Ok(0)
}

/// Moves the start of the metadata.
pub(super) fn xdp_adjust_meta(machine: &mut Machine, [_, offset, ..]: [u64; 5]) -> Result {
    let window = machine.window(PacketKind::Xdp)?;
    let data_meta = i64::from(window.data_meta) + i64::from(offset as i32);
    let length = i64::from(window.data) - data_meta;
    if data_meta < i64::from(window.lowest + FRAME_HEAD) || length < 0 {
        return Ok(EINVAL);
    }
    if length % 4 != 0 || length > MAX_METADATA {
        return Ok(EACCES);
    }
    let moved = machine.move_packet(data_meta as u32, window.data, window.data_end)?;
    Ok(moved.map_or(ENOMEM, |()| 0))
}

/// Moves the end of the frame; what is new is zero.
pub(super) fn xdp_adjust_tail(machine: &mut Machine, [_, offset, ..]: [u64; 5]) -> Result {
    let window = machine.window(PacketKind::Xdp)?;
    let end = i64::from(window.data_end) + i64::from(offset as i32);
    if end > i64::from(window.highest) || end < i64::from(window.data) + ETHERNET {
        return Ok(EINVAL);
    }
    let moved = machine.move_packet(window.data_meta, window.data, end as u32)?;
    Ok(moved.map_or(ENOMEM, |()| 0))
}

pub(super) fn xdp_get_buff_len(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(machine.window(PacketKind::Xdp)?.len().into())
}

/// The address of bytes of the frame, or the error (`bpf_xdp_pointer`).
fn bytes_at(machine: &Machine, offset: u64, size: u64) -> Result<std::result::Result<u64, u64>> {
    let window = machine.window(PacketKind::Xdp)?;
    let (offset, size) = (u64::from(offset as u32), u64::from(size as u32));
    Ok(if offset > 0xffff || size > 0xffff {
        Err(EFAULT)
    } else if offset + size > window.len().into() {
        Err(EINVAL)
    } else {
        Ok(u64::from(window.data) + offset)
    })
}

pub(super) fn xdp_load_bytes(machine: &mut Machine, [_, offset, to, size, _]: [u64; 5]) -> Result {
    let from = match bytes_at(machine, offset, size)? {
        Ok(from) => from,
        Err(error) => return Ok(error),
    };
    let bytes = machine.bytes(from, size as u32)?;
    machine.write(to, &bytes)?;
    Ok(0)
}

pub(super) fn xdp_store_bytes(machine: &mut Machine, [_, offset, from, size, _]: [u64; 5]) -> Result {
    let to = match bytes_at(machine, offset, size)? {
        Ok(to) => to,
        Err(error) => return Ok(error),
    };
    let bytes = machine.bytes(from, size as u32)?;
    machine.write(to, &bytes)?;
    Ok(0)
}

//! Records for the user side: ring buffers and arrays of perf events.

use skep_isa::MapType;

use super::errno::{EFAULT, EINVAL};
use super::map::status;
use crate::ebpf::context::PacketKind;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;
use crate::ebpf::maps::{Map, MapError};

type Result = std::result::Result<u64, FaultKind>;

/// The address of a new record, 0 if there is no room.
pub(super) fn ringbuf_reserve(machine: &mut Machine, [handle, size, flags, ..]: [u64; 5]) -> Result {
    let (map, values) = machine.placed_values(handle)?;
    if flags != 0 {
        return Ok(0);
    }
    Ok(map.ring_reserve(size).map_or(0, |offset| u64::from(values) + u64::from(offset)))
}

/// Finishes the record at an address.
fn finish(
    machine: &Machine,
    record: u64,
    flags: u64,
    how: fn(&Map, u32, u64) -> std::result::Result<(), MapError>,
) -> Result {
    let place = machine.map_at(record).filter(|(placed, _)| placed.map.kind() == MapType::Ringbuf);
    let done = place.is_some_and(|(placed, offset)| how(&placed.map, offset, flags).is_ok());
    let expected = "a record that was reserved in a ring buffer and is not finished";
    if done { Ok(0) } else { Err(FaultKind::WrongArgument { value: record, expected }) }
}

pub(super) fn ringbuf_submit(machine: &mut Machine, [record, flags, ..]: [u64; 5]) -> Result {
    finish(machine, record, flags, Map::ring_submit)
}

pub(super) fn ringbuf_discard(machine: &mut Machine, [record, flags, ..]: [u64; 5]) -> Result {
    finish(machine, record, flags, Map::ring_discard)
}

pub(super) fn ringbuf_output(machine: &mut Machine, [handle, data, size, flags, _]: [u64; 5]) -> Result {
    let record = machine.bytes(data, size as u32)?;
    Ok(status(machine.map(handle)?.ring_output(&record, flags)))
}

pub(super) fn ringbuf_query(machine: &mut Machine, [handle, question, ..]: [u64; 5]) -> Result {
    Ok(machine.map(handle)?.ring_query(question))
}

/// Sends a record, for programs on packets with bytes of the packet behind it (`bpf_skb_event_output` and
/// `bpf_xdp_event_output` in `net/core/filter.c`).
pub(super) fn perf_event_output(machine: &mut Machine, [_, handle, flags, data, size]: [u64; 5]) -> Result {
    const INDEX: u64 = 0xffff_ffff;
    const CURRENT_CPU: u64 = INDEX;
    const PACKET_BYTES: u64 = 0xf_ffff << 32;
    let on_packet = machine.window.kind != PacketKind::Host;
    let allowed = if on_packet { INDEX | PACKET_BYTES } else { INDEX };
    if flags & !allowed != 0 {
        return Ok(EINVAL);
    }
    let record = machine.bytes(data, size as u32)?;
    let taken = ((flags & PACKET_BYTES) >> 32) as usize;
    let Some(packet) = machine.packet().get(..taken) else { return Ok(EFAULT) };
    let index = if flags & INDEX == CURRENT_CPU { machine.cpu() } else { flags as u32 };
    Ok(status(machine.map(handle)?.perf_output(index, &[&record, packet])))
}

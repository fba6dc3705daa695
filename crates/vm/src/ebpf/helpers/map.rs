//! Helpers on maps.

use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;
use crate::ebpf::maps::MapError;

const EPERM: i64 = -1;

/// The register value of a result: 0 or a negative error number.
fn status(result: Result<(), MapError>) -> u64 {
    result.map_or_else(|error| error.errno(), |()| 0).cast_unsigned()
}

#[inline]
pub(super) fn lookup_elem(machine: &mut Machine, [map, key, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    machine.map_find(map, key)
}

pub(super) fn update_elem(machine: &mut Machine, [handle, key, value, flags, _]: [u64; 5]) -> Result<u64, FaultKind> {
    let map = machine.map(handle)?.clone();
    let shape = map.shape();
    let key = machine.bytes(key, shape.key_size)?;
    let value = machine.bytes(value, shape.value_size)?;
    if !map.is_writable_by_programs() {
        return Ok(EPERM.cast_unsigned());
    }
    Ok(status(map.update(&key, &value, flags, machine.cpu())))
}

pub(super) fn delete_elem(machine: &mut Machine, [handle, key, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    let map = machine.map(handle)?.clone();
    let key = machine.bytes(key, map.shape().key_size)?;
    if !map.is_writable_by_programs() {
        return Ok(EPERM.cast_unsigned());
    }
    Ok(status(map.delete(&key)))
}

/// The program that a tail call goes on in: its index plus 1, or 0 if there is none and the caller goes on.
pub(crate) fn tail_call(machine: &mut Machine, [context, map, index, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    machine.expect_context(context)?;
    machine.tail_call(map, index as u32)
}

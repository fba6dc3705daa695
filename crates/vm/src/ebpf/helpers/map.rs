//! Helpers on maps.

use skep_isa::MapType;

use super::errno::{E2BIG, EINVAL, EPERM};
use crate::ebpf::environment::Redirect;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;
use crate::ebpf::maps::{Map, MapError};

/// The register value of a result: 0 or a negative error number.
pub(super) fn status(result: Result<(), MapError>) -> u64 {
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
        return Ok(EPERM);
    }
    Ok(status(map.update(&key, &value, flags, machine.cpu())))
}

pub(super) fn delete_elem(machine: &mut Machine, [handle, key, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    let map = machine.map(handle)?.clone();
    let key = machine.bytes(key, map.shape().key_size)?;
    if !map.is_writable_by_programs() {
        return Ok(EPERM);
    }
    Ok(status(map.delete(&key)))
}

/// The program that a tail call goes on in: its index plus 1, or 0 if there is none and the caller goes on.
pub(crate) fn tail_call(machine: &mut Machine, [context, map, index, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    machine.expect_context(context)?;
    machine.tail_call(map, index as u32)
}

pub(super) fn push_elem(machine: &mut Machine, [handle, value, flags, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    let map = machine.map(handle)?.clone();
    let value = machine.bytes(value, map.shape().value_size)?;
    if !map.is_writable_by_programs() {
        return Ok(EPERM);
    }
    Ok(status(map.push(&value, flags)))
}

pub(super) fn pop_elem(machine: &mut Machine, [handle, value, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    if !machine.map(handle)?.is_writable_by_programs() {
        return Ok(EPERM);
    }
    take(machine, handle, value, Map::pop)
}

pub(super) fn peek_elem(machine: &mut Machine, [handle, value, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    take(machine, handle, value, Map::peek)
}

/// Gets a value into memory of the program; a Bloom filter reads the one that is there.
fn take(
    machine: &mut Machine,
    handle: u64,
    address: u64,
    operation: fn(&Map, &mut [u8]) -> Result<(), MapError>,
) -> Result<u64, FaultKind> {
    let map = machine.map(handle)?.clone();
    let size = map.shape().value_size;
    machine.check_write(address, size)?;
    let mut value = machine.bytes(address, size)?.to_vec();
    let result = operation(&map, &mut value);
    // Queues give zeros when they are empty.
    machine.write(address, &value)?;
    Ok(status(result))
}

/// The value of another processor, 0 if there is no such one or no such key.
pub(super) fn lookup_percpu_elem(machine: &mut Machine, [handle, key, cpu, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    let (map, values) = machine.placed_values(handle)?;
    let key = machine.bytes(key, map.shape().key_size)?;
    let per_cpu = matches!(map.kind(), MapType::PercpuArray | MapType::PercpuHash | MapType::LruPercpuHash);
    let cpu = u32::try_from(cpu).ok().filter(|&cpu| per_cpu && cpu < map.cpus());
    let found = cpu.and_then(|cpu| map.find(&key, cpu));
    Ok(found.map_or(0, |offset| u64::from(values) + u64::from(offset)))
}

/// Calls `function(map, key, value, argument)` for the entries; the number of calls. The callback's 1 ends it.
pub(super) fn for_each_map_elem(
    machine: &mut Machine,
    [handle, function, argument, flags, _]: [u64; 5],
) -> Result<u64, FaultKind> {
    let (map, values) = machine.placed_values(handle)?;
    let map = map.clone();
    let iterable = matches!(
        map.kind(),
        MapType::Array
            | MapType::PercpuArray
            | MapType::Hash
            | MapType::PercpuHash
            | MapType::LruHash
            | MapType::LruPercpuHash
    );
    if flags != 0 || !iterable {
        return Ok(EINVAL);
    }
    let mut key = vec![0; map.shape().key_size as usize];
    let (mut cursor, mut calls) = (0, 0);
    while let Some((next, offset)) = map.next_entry(cursor, machine.cpu(), &mut key) {
        cursor = next;
        calls += 1;
        let Some((lent, loan)) = machine.lend(&key)? else { return Ok(E2BIG) };
        let value = u64::from(values) + u64::from(offset);
        let result = machine.call(function, [handle, lent, value, argument, 0]);
        machine.give_back(loan);
        if result? != 0 {
            break;
        }
    }
    Ok(calls)
}

/// Says which entry of a map the frame is to go to (`__bpf_xdp_redirect_map` in `linux/filter.h`).
pub(super) fn redirect_map(machine: &mut Machine, [handle, key, flags, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    /// The action of missing entries.
    const ACTION: u64 = 3;
    const BROADCAST: u64 = 8;
    const EXCLUDE_INGRESS: u64 = 16;
    const XDP_ABORTED: u64 = 0;
    const XDP_REDIRECT: u64 = 4;
    let map = machine.map(handle)?.clone();
    let allowed = match map.kind() {
        MapType::Devmap | MapType::DevmapHash => ACTION | BROADCAST | EXCLUDE_INGRESS,
        MapType::Cpumap | MapType::Xskmap => ACTION,
        _ => {
            let expected = "a map of devices, CPUs or XDP sockets";
            return Err(FaultKind::WrongArgument { value: handle, expected });
        }
    };
    if flags & !allowed != 0 {
        return Ok(XDP_ABORTED);
    }
    let key = key as u32;
    machine.environment.redirect = None;
    if map.find(&key.to_ne_bytes(), machine.cpu()).is_none() && flags & BROADCAST == 0 {
        return Ok(flags & ACTION);
    }
    machine.environment.redirect = Some(Redirect::Map { map, key, flags });
    Ok(XDP_REDIRECT)
}

//! Helpers about the run itself and the bytes of the packet.

use crate::classic::next_random;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;

const EFAULT: i64 = -14;

pub(super) fn get_prandom_u32(machine: &mut Machine, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(next_random(&mut machine.random).into())
}

pub(super) fn get_smp_processor_id(machine: &mut Machine, _: [u64; 5]) -> Result<u64, FaultKind> {
    Ok(machine.cpu().into())
}

/// Copies packet bytes; the target is cleared when they are not all there (`bpf_skb_load_bytes` in
/// `net/core/filter.c`).
pub(super) fn skb_load_bytes(machine: &mut Machine, [skb, offset, to, size, _]: [u64; 5]) -> Result<u64, FaultKind> {
    machine.expect_context(skb)?;
    let (offset, size) = (offset as u32, size as u32);
    let start = offset as usize;
    let found = offset <= i32::MAX.cast_unsigned() && start + size as usize <= machine.packet().len();
    machine.check_write(to, size)?;
    if found {
        machine.copy_from_packet(start, to, size)?;
        Ok(0)
    } else {
        machine.fill(to, size, 0)?;
        Ok(EFAULT.cast_unsigned())
    }
}

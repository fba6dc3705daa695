//! Helpers about the run itself: time, task, processor, random numbers.

use crate::classic::next_random;
use crate::ebpf::environment::{ClockKind, NANOSECONDS_PER_JIFFY};
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;

type Result = std::result::Result<u64, FaultKind>;

pub(super) fn get_prandom_u32(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(next_random(&mut machine.random).into())
}

pub(super) fn get_smp_processor_id(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(machine.cpu().into())
}

pub(super) fn get_numa_node_id(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(machine.environment.numa_node.into())
}

pub(super) fn ktime_get_ns(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(machine.environment.clock.now(ClockKind::Monotonic))
}

pub(super) fn ktime_get_boot_ns(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(machine.environment.clock.now(ClockKind::Boot))
}

pub(super) fn ktime_get_coarse_ns(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(machine.environment.clock.now(ClockKind::Coarse))
}

pub(super) fn ktime_get_tai_ns(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(machine.environment.clock.now(ClockKind::Tai))
}

pub(super) fn jiffies64(machine: &mut Machine, _: [u64; 5]) -> Result {
    Ok(machine.environment.clock.now(ClockKind::Monotonic) / NANOSECONDS_PER_JIFFY)
}

pub(super) fn get_current_pid_tgid(machine: &mut Machine, _: [u64; 5]) -> Result {
    let task = &machine.environment.task;
    Ok(u64::from(task.tgid) << 32 | u64::from(task.pid))
}

pub(super) fn get_current_uid_gid(machine: &mut Machine, _: [u64; 5]) -> Result {
    let task = &machine.environment.task;
    Ok(u64::from(task.gid) << 32 | u64::from(task.uid))
}

/// Writes the name, always ended by a zero and filled up with zeros.
pub(super) fn get_current_comm(machine: &mut Machine, [to, size, ..]: [u64; 5]) -> Result {
    /// `TASK_COMM_LEN` without the zero.
    const MOST: usize = 15;
    let size = size as u32;
    machine.fill(to, size, 0)?;
    let room = (size as usize).saturating_sub(1).min(MOST);
    let name = machine.environment.task.comm.as_bytes();
    let name = name[..name.len().min(room)].to_vec();
    machine.write(to, &name)?;
    Ok(0)
}

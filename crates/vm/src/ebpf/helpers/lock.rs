//! `bpf_spin_lock`: mutual exclusion of all threads that have a map, by the 32-bit word in its value.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use crate::ebpf::fault::{FaultKind, Region};
use crate::ebpf::machine::Machine;

/// How long a program waits for a lock. Programs hold one for a few instructions, so that this is a mistake; after it
/// the run ends with a fault.
const PATIENCE: Duration = Duration::from_secs(1);
/// Attempts before other threads are let run.
const SPINS: u32 = 200;

const EXPECTED: &str = "a spin lock in a value of a map";

pub(super) fn spin_lock(machine: &mut Machine, [address, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    if !matches!(machine.region(address), Region::MapValues(_)) {
        return Err(FaultKind::WrongArgument { value: address, expected: EXPECTED });
    }
    if machine.environment.held_lock.is_some() {
        return Err(FaultKind::WrongArgument {
            value: address,
            expected: "no second lock, while the first one is held",
        });
    }
    let lock = machine.atomic_u32(address)?;
    let mut started = None;
    let mut spins = 0;
    while lock.compare_exchange_weak(0, 1, Acquire, Relaxed).is_err() {
        spins += 1;
        if spins < SPINS {
            std::hint::spin_loop();
            continue;
        }
        if started.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(FaultKind::DeadLock(address));
        }
        std::thread::yield_now();
    }
    machine.environment.held_lock = Some(address);
    Ok(0)
}

pub(super) fn spin_unlock(machine: &mut Machine, [address, ..]: [u64; 5]) -> Result<u64, FaultKind> {
    if machine.environment.held_lock != Some(address) {
        return Err(FaultKind::WrongArgument { value: address, expected: "the spin lock that the program holds" });
    }
    machine.environment.held_lock = None;
    machine.atomic_u32(address)?.store(0, Release);
    Ok(0)
}

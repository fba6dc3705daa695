//! Helpers that call functions of the program: loops now, timers later (`kernel/bpf/helpers.c`).

use super::errno::{E2BIG, EBUSY, EDEADLK, EINVAL};
use crate::ebpf::environment::ClockKind;
use crate::ebpf::fault::FaultKind;
use crate::ebpf::layout::{function_step, map_handle};
use crate::ebpf::machine::Machine;
use crate::ebpf::timers::{TIMER_BYTES, Timer};

type Result<T = u64> = std::result::Result<T, FaultKind>;

/// Most rounds of `bpf_loop` (`BPF_MAX_LOOPS` in `linux/bpf.h`).
const MAX_LOOPS: u32 = 8 << 20;

/// Calls `function(index, argument)` so often, or until it gives something else than 0: the number of calls.
pub(super) fn bpf_loop(machine: &mut Machine, [rounds, function, argument, flags, _]: [u64; 5]) -> Result {
    let rounds = rounds as u32;
    if flags != 0 {
        return Ok(EINVAL);
    }
    if rounds > MAX_LOOPS {
        return Ok(E2BIG);
    }
    for round in 0..rounds {
        if machine.call(function, [round.into(), argument, 0, 0, 0])? != 0 {
            return Ok(u64::from(round) + 1);
        }
    }
    Ok(rounds.into())
}

/// The number in a timer's structure.
fn number(machine: &Machine, address: u64) -> Result<u64> {
    let mut number = [0; 8];
    machine.read(address, &mut number)?;
    Ok(u64::from_ne_bytes(number))
}

/// The timer of a structure, `None` if it was not initialised.
fn timer(machine: &mut Machine, address: u64) -> Result<Option<&mut Timer>> {
    let number = number(machine, address)?;
    Ok(machine.environment.timers.get(number, address))
}

pub(super) fn timer_init(machine: &mut Machine, [address, handle, flags, ..]: [u64; 5]) -> Result {
    /// `CLOCK_REALTIME`, `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME`.
    const CLOCKS: [u64; 3] = [0, 1, 7];
    let map = machine.map_at(address).map(|(placed, _)| placed.number);
    let Some(map) = map.filter(|&map| map_handle(map) == handle) else {
        return Err(FaultKind::WrongArgument { value: address, expected: "a timer in a value of the map" });
    };
    if !CLOCKS.contains(&flags) {
        return Ok(EINVAL);
    }
    if timer(machine, address)?.is_some() {
        return Ok(EBUSY);
    }
    let number = machine.environment.timers.add(address, map);
    machine.write(address, &number.to_ne_bytes())?;
    Ok(0)
}

pub(super) fn timer_set_callback(machine: &mut Machine, [address, function, ..]: [u64; 5]) -> Result {
    let program = machine.running_program();
    let step = function_step(function).ok_or(FaultKind::NotAFunction(function))?;
    if machine.shared().programs[program].program.function_at(step).is_none() {
        return Err(FaultKind::NotAFunction(function));
    }
    let Some(timer) = timer(machine, address)? else { return Ok(EINVAL) };
    timer.callback = Some((program, step));
    Ok(0)
}

pub(super) fn timer_start(machine: &mut Machine, [address, nanoseconds, flags, ..]: [u64; 5]) -> Result {
    const ABSOLUTE: u64 = 1;
    const CPU_PIN: u64 = 2;
    let now = machine.environment.clock.now(ClockKind::Monotonic);
    let Some(timer) = timer(machine, address)?.filter(|timer| timer.callback.is_some()) else { return Ok(EINVAL) };
    if flags & !(ABSOLUTE | CPU_PIN) != 0 {
        return Ok(EINVAL);
    }
    timer.due = Some(if flags & ABSOLUTE != 0 { nanoseconds } else { now.saturating_add(nanoseconds) });
    Ok(0)
}

/// Stops a timer: 1 if it was started, 0 if not.
pub(super) fn timer_cancel(machine: &mut Machine, [address, ..]: [u64; 5]) -> Result {
    let number = number(machine, address)?;
    let firing = machine.environment.timers.firing;
    let Some(timer) = timer(machine, address)? else { return Ok(EINVAL) };
    if firing == Some(number) {
        return Ok(EDEADLK);
    }
    timer.callback = None;
    Ok(timer.due.take().is_some().into())
}

impl Machine {
    /// The key of the entry that has a timer, and the address of its value; `None` if the entry or the timer is gone.
    pub(crate) fn timer_entry(&self, number: u64, timer: Timer) -> Option<(Vec<u8>, u64)> {
        let (placed, offset) = self.map_at(timer.address)?;
        let map = &placed.map;
        let start = map.value_range(offset).filter(|range| range.end - offset >= TIMER_BYTES)?.start;
        let mut stored = [0; 8];
        if !map.values()?.read(offset as usize, &mut stored) || u64::from_ne_bytes(stored) != number {
            return None;
        }
        let mut key = vec![0; map.shape().key_size as usize];
        let mut cursor = 0;
        // Timers are in maps with one value for all processors.
        while let Some((next, value)) = map.next_entry(cursor, 0, &mut key) {
            if value == start {
                return Some((key, u64::from(placed.offset + start)));
            }
            cursor = next;
        }
        None
    }
}

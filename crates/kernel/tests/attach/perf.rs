//! Programs of performance events.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use skep_isa::ProgType;
use skep_kernel::KernelError;
use skep_kernel::attach::{PerfEvent, PerfRate, PerfTarget, attach_perf_event};

use super::support::{Counting, absent, is_root};

fn work() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(60) {
        black_box(start);
    }
}

fn this_thread() -> u32 {
    // SAFETY: takes no arguments.
    u32::try_from(unsafe { libc::syscall(libc::SYS_gettid) }).unwrap()
}

#[test]
fn clocks_on_all_processors_and_of_a_task() {
    if !is_root() {
        return;
    }
    for target in [PerfTarget::AllCpus, PerfTarget::Process(this_thread())] {
        let counting = Counting::new(ProgType::PerfEvent, 0);
        let probe =
            attach_perf_event(&counting.program, PerfEvent::CPU_CLOCK, PerfRate::Frequency(500), target).unwrap();
        assert!(probe.descriptors().count() >= 1);
        counting.expect_soon(5, work);
        drop(probe);
        counting.expect_end(work);
    }
}

/// Makes the thread need 200 new pages, one by one: not a few large ones.
fn touch_pages() {
    const PAGE: usize = 4096;
    const LENGTH: usize = 200 * PAGE;
    // SAFETY: the memory is new and belongs to nobody else until it is given back; each write is inside of it.
    unsafe {
        let (rights, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let start = libc::mmap(std::ptr::null_mut(), LENGTH, rights, kind, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        libc::madvise(start, LENGTH, libc::MADV_NOHUGEPAGE);
        for offset in (0..LENGTH).step_by(PAGE) {
            start.cast::<u8>().add(offset).write_volatile(1);
        }
        libc::munmap(start, LENGTH);
    }
}

#[test]
fn counters_of_the_kernel() {
    if !is_root() {
        return;
    }
    let counting = Counting::new(ProgType::PerfEvent, 0);
    let faults = PerfEvent::Software(2);
    let target = PerfTarget::Process(this_thread());
    let probe = attach_perf_event(&counting.program, faults, PerfRate::Period(1), target).unwrap();
    counting.expect_soon(100, touch_pages);
    drop(probe);
}

#[test]
fn breakpoints() {
    if !is_root() {
        return;
    }
    static WATCHED: AtomicU64 = AtomicU64::new(0);
    let counting = Counting::new(ProgType::PerfEvent, 0);
    let address = WATCHED.as_ptr().expose_provenance() as u64;
    let event = PerfEvent::Breakpoint { address, length: 8, read: false, write: true, execute: false };
    let target = PerfTarget::Process(this_thread());
    let probe = match attach_perf_event(&counting.program, event, PerfRate::Period(1), target) {
        Err(error @ (KernelError::Unsupported { .. } | KernelError::System { .. })) => {
            return absent(&error.to_string());
        }
        result => result.unwrap(),
    };
    counting.expect(3, || (0..3).for_each(|value| WATCHED.store(value, Ordering::Relaxed)));
    drop(probe);
    counting.expect_end(|| WATCHED.store(9, Ordering::Relaxed));
}

#[test]
fn what_a_machine_lacks_is_named() {
    if !is_root() {
        return;
    }
    let counting = Counting::new(ProgType::PerfEvent, 0);
    let attach = |event, rate, target| attach_perf_event(&counting.program, event, rate, target);
    let every = PerfRate::Period(1_000_000);
    match attach(PerfEvent::Hardware(0), every, PerfTarget::AllCpus) {
        Err(error) => assert!(error.to_string().contains("virtual machine without counters"), "{error}"),
        Ok(probe) => drop(probe),
    }
    let error = attach(PerfEvent::CPU_CLOCK, every, PerfTarget::Process(4_000_000)).unwrap_err();
    assert!(error.to_string().contains("there is no process 4000000"), "{error}");
    let error = attach(PerfEvent::CPU_CLOCK, PerfRate::Frequency(10_000_000), PerfTarget::AllCpus).unwrap_err();
    assert!(error.to_string().contains("perf_event_max_sample_rate"), "{error}");
    assert!(attach(PerfEvent::CPU_CLOCK, PerfRate::Frequency(0), PerfTarget::AllCpus).is_err());
    let error = attach(PerfEvent::CPU_CLOCK, every, PerfTarget::Cpu(8000)).unwrap_err();
    assert!(error.to_string().contains("8000"), "{error}");
    let filter = Counting::new(ProgType::SocketFilter, 0);
    let error = attach_perf_event(&filter.program, PerfEvent::CPU_CLOCK, every, PerfTarget::AllCpus).unwrap_err();
    assert!(error.to_string().contains("does not fit the event"), "{error}");
}

//! A sequence counter: readers without locks see the words of one moment.
//!
//! It is odd while the writer changes words that readers follow, and grows whenever memory becomes free for another use.
//! A reader that finds the same even number before and after its reads saw nothing half changed and nothing reused.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

/// Failed attempts after which a reader lets other threads run.
const SPINS: u32 = 64;
/// Failed attempts after which a reader with much to copy takes the writers' lock.
const PATIENCE: u32 = 16;

/// The counter. There is one writer at a time, which the owner sees to.
#[derive(Debug, Default)]
pub(super) struct Sequence(AtomicU64);

impl Sequence {
    /// Reads until nothing changed meanwhile. `attempt` may see anything and must only look, in bounded time.
    #[inline]
    pub(super) fn read<T>(&self, mut attempt: impl FnMut() -> T) -> T {
        let mut failures = 0;
        loop {
            if let Some(result) = self.try_read(&mut attempt) {
                return result;
            }
            failures += 1;
            pause(failures);
        }
    }

    /// As [`read`](Self::read), and takes the lock of the writers if they are faster than the attempts.
    pub(super) fn read_patiently<T, G>(&self, mut attempt: impl FnMut() -> T, lock: impl FnOnce() -> G) -> T {
        for failures in 1..=PATIENCE {
            if let Some(result) = self.try_read(&mut attempt) {
                return result;
            }
            pause(failures);
        }
        let _no_writer = lock();
        attempt()
    }

    #[inline]
    fn try_read<T>(&self, attempt: &mut impl FnMut() -> T) -> Option<T> {
        let before = self.0.load(Acquire);
        if before & 1 != 0 {
            return None;
        }
        let result = attempt();
        fence(Acquire);
        (self.0.load(Relaxed) == before).then_some(result)
    }

    /// For the writer: changes words that readers follow, and frees memory.
    pub(super) fn change<T>(&self, action: impl FnOnce() -> T) -> T {
        let before = self.0.load(Relaxed);
        self.0.store(before.wrapping_add(1), Relaxed);
        fence(Release);
        let result = action();
        self.0.store(before.wrapping_add(2), Release);
        result
    }

    /// For the writer, before it writes to memory that was in use before: whoever sees what is written next also sees
    /// that the counter grew when the memory became free.
    pub(super) fn reuse(&self) {
        fence(Release);
    }
}

/// Waits a moment before the next attempt.
#[cold]
fn pause(failures: u32) {
    if failures < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

//! Ending a wait from another thread or from a signal handler.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::error::CaptureError;

/// Wakes a [`Capture`](super::Capture) that waits for packets. Copies share one event.
#[derive(Debug, Clone)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

impl Waker {
    /// A new event.
    ///
    /// # Errors
    /// [`CaptureError::System`] if no more descriptors can be opened.
    pub fn new() -> Result<Self, CaptureError> {
        // SAFETY: no pointers are involved.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(CaptureError::last("create an event to be woken by"));
        }
        // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
        Ok(Self { event: Arc::new(unsafe { OwnedFd::from_raw_fd(fd) }) })
    }

    /// Ends the current wait, or the next one at once.
    pub fn wake(&self) {
        notify(self.event.as_raw_fd());
    }

    /// Forgets earlier calls of [`wake`](Self::wake).
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: the kernel writes at most eight bytes to `count`. Without a pending event it fails, which is fine.
        let _ = unsafe { libc::read(self.event.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Adds one to an event. Async-signal-safe.
fn notify(fd: i32) {
    let one = 1u64;
    // SAFETY: the kernel reads eight bytes of `one`. It fails only if the counter is full, and then it is set anyway.
    let _ = unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
}

/// A signal that a program which captures packets reacts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The polite request to end.
    Terminate,
    /// The terminal is gone.
    Hangup,
    /// For tcpdump: print statistics.
    User1,
    /// For tcpdump: write out what is buffered.
    User2,
    /// A child process ended.
    Child,
    /// The window has another size.
    WindowChange,
}

// TABLE
const SIGNALS: [(Signal, libc::c_int); 7] = [
    (Signal::Interrupt, libc::SIGINT),
    (Signal::Terminate, libc::SIGTERM),
    (Signal::Hangup, libc::SIGHUP),
    (Signal::User1, libc::SIGUSR1),
    (Signal::User2, libc::SIGUSR2),
    (Signal::Child, libc::SIGCHLD),
    (Signal::WindowChange, libc::SIGWINCH),
];

/// Signals that came, one bit each, by signal number.
static PENDING: AtomicU32 = AtomicU32::new(0);
/// Requests to end that nobody has taken yet.
static REQUESTS: AtomicI32 = AtomicI32::new(0);
/// Descriptor for the handler to write to.
static EVENT: AtomicI32 = AtomicI32::new(-1);
/// Keeps that descriptor open for the rest of the process.
static WAKER: OnceLock<Waker> = OnceLock::new();

/// Requests to end after which the process ends at once, in case nobody listens.
const PATIENCE: i32 = 3;

/// Signals of this process, noted instead of obeyed.
///
/// A handler only sets a flag and wakes whoever waits. Ctrl-C a third time without anybody having taken the first
/// ends the process. System calls that the signal interrupts fail with "interrupted", which `std` mostly repeats.
#[derive(Debug, Clone, Copy)]
pub struct Signals;

impl Signals {
    /// From now on notes these signals. Others keep what they did.
    ///
    /// A hangup that the parent made the process ignore (`nohup`) stays ignored.
    ///
    /// # Errors
    /// [`CaptureError::System`] if the kernel refuses.
    pub fn catch(signals: &[Signal]) -> Result<Self, CaptureError> {
        let waker = match WAKER.get() {
            Some(waker) => waker,
            None => {
                let fresh = Waker::new()?;
                WAKER.get_or_init(|| fresh)
            }
        };
        EVENT.store(waker.event.as_raw_fd(), Ordering::Release);
        for &(signal, number) in SIGNALS.iter().filter(|row| signals.contains(&row.0)) {
            install(number, signal == Signal::Hangup).map_err(|_| CaptureError::last("install a signal handler"))?;
        }
        Ok(Self)
    }

    /// Whether this signal came since it was last taken; takes it.
    pub fn take(self, signal: Signal) -> bool {
        let Some(row) = SIGNALS.iter().find(|row| row.0 == signal) else { return false };
        let bit = 1 << row.1;
        let came = PENDING.load(Ordering::Relaxed) & bit != 0 && PENDING.fetch_and(!bit, Ordering::AcqRel) & bit != 0;
        if came && ends(row.1) {
            REQUESTS.store(0, Ordering::Relaxed);
        }
        came
    }

    /// Whether any noted signal waits to be taken. One load: cheap enough for every packet.
    pub fn any(self) -> bool {
        PENDING.load(Ordering::Relaxed) != 0
    }

    /// The event that a signal sets; to be put into [`CaptureOptions::waker`](super::CaptureOptions::waker).
    pub fn waker(self) -> Option<Waker> {
        WAKER.get().cloned()
    }
}

fn install(number: libc::c_int, respect_ignored: bool) -> io::Result<()> {
    // SAFETY: `sigaction` is a C structure of integers and pointers, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes the current action to `action`; a null pointer asks for no change.
    if unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if respect_ignored && action.sa_sigaction == libc::SIG_IGN {
        return Ok(());
    }
    let handler: extern "C" fn(libc::c_int) = note;
    action.sa_sigaction = handler as usize;
    action.sa_flags = 0;
    // SAFETY: `sa_mask` is a signal set inside `action`.
    unsafe { libc::sigemptyset(&raw mut action.sa_mask) };
    // SAFETY: `note` only uses atomics, write(2), signal(2) and raise(3), which are async-signal-safe.
    if unsafe { libc::sigaction(number, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether the signal asks the process to end.
const fn ends(number: libc::c_int) -> bool {
    matches!(number, libc::SIGINT | libc::SIGTERM | libc::SIGHUP)
}

/// The handler. May run at any moment in any thread.
extern "C" fn note(number: libc::c_int) {
    // SAFETY: the address of the thread's error number is always valid; what is interrupted must find it unchanged.
    let errno = unsafe { *libc::__errno_location() };
    if (0..32).contains(&number) {
        PENDING.fetch_or(1 << number, Ordering::AcqRel);
    }
    if ends(number) && REQUESTS.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
        // SAFETY: both functions are async-signal-safe and take no pointers.
        unsafe {
            libc::signal(number, libc::SIG_DFL);
            libc::raise(number);
        }
    }
    let event = EVENT.load(Ordering::Acquire);
    if event >= 0 {
        notify(event);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_noted_once() {
        let signals = Signals::catch(&[Signal::User2]).unwrap();
        assert!(!signals.take(Signal::User2));
        // SAFETY: no pointers are involved; the handler was installed above.
        unsafe { libc::raise(libc::SIGUSR2) };
        assert!(signals.any());
        assert!(signals.take(Signal::User2));
        assert!(!signals.take(Signal::User2));
        let waker = signals.waker().unwrap();
        assert!(readable(&waker));
        waker.clear();
        assert!(!readable(&waker));
        waker.wake();
        assert!(readable(&waker));
    }

    fn readable(waker: &Waker) -> bool {
        let mut poll = libc::pollfd { fd: waker.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `poll` is one structure and the length says one.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }
}

//! The terminal: keys without waiting for the end of a line (termios(3)).

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Settings of a terminal.
#[derive(Clone, Copy)]
pub(crate) struct Settings(libc::termios);

/// The settings, `None` if the descriptor is no terminal.
pub(crate) fn settings(terminal: BorrowedFd<'_>) -> Option<Settings> {
    let mut settings = MaybeUninit::uninit();
    // SAFETY: the call fills `settings` if it succeeds.
    let result = unsafe { libc::tcgetattr(terminal.as_raw_fd(), settings.as_mut_ptr()) };
    // SAFETY: it has succeeded.
    (result == 0).then(|| Settings(unsafe { settings.assume_init() }))
}

/// Changes the settings. Failures leave them as they are.
pub(crate) fn set(terminal: BorrowedFd<'_>, settings: &Settings) {
    // SAFETY: the call only reads the structure.
    unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, &raw const settings.0) };
}

impl Settings {
    /// The same with single keys, without echo and without signals from keys.
    pub(crate) fn keys(mut self) -> Self {
        self.0.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG);
        self.0.c_cc[libc::VMIN] = 0;
        self.0.c_cc[libc::VTIME] = 0;
        self
    }
}

/// Waits until there is something to read, at most so many milliseconds.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: pointer and count describe one structure.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) > 0 }
}

/// Columns and rows, `None` if the descriptor is no terminal or does not know.
pub(crate) fn size(terminal: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel fills a `winsize`.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

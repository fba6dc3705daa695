//! Keys and size of the terminal, for displays that refresh.

use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::terminal::{self, Settings};

/// Reads single keys from standard input as long as it lives; the terminal is as before afterwards. Keys that end programs
/// (Ctrl-C is `\x03`) arrive like others.
pub struct Keys {
    before: Settings,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// `None` if standard input is no terminal.
    pub fn watch() -> Option<Self> {
        let input = std::io::stdin();
        if !input.is_terminal() {
            return None;
        }
        let before = terminal::settings(input.as_fd())?;
        terminal::set(input.as_fd(), &before.keys());
        Some(Self { before })
    }

    /// The next key, if one is pressed within this time.
    pub fn next(&self, within: Duration) -> Option<u8> {
        let mut input = std::io::stdin().lock();
        let milliseconds = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
        if !terminal::wait_readable(input.as_fd(), milliseconds) {
            return None;
        }
        let mut key = [0];
        matches!(input.read(&mut key), Ok(1)).then_some(key[0])
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        terminal::set(std::io::stdin().as_fd(), &self.before);
    }
}

/// Columns and rows of the terminal on standard output, `None` if it is none.
pub fn terminal_size() -> Option<(u16, u16)> {
    terminal::size(std::io::stdout().as_fd())
}

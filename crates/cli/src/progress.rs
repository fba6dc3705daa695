//! How far a long file has been read: one line on standard error, only if that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two updates; also the time before the first one, so that short files show nothing.
const INTERVAL: Duration = Duration::from_millis(500);
/// Packets between two looks at the clock.
const STRIDE: u32 = 1 << 14;

/// The line.
pub struct Progress {
    enabled: bool,
    total: Option<u64>,
    stride: u32,
    last: Instant,
    shown: bool,
}

impl Progress {
    /// `total`: bytes of the file, if offsets count them. `busy`: lines go to the terminal, so that there is no need.
    pub fn new(total: Option<u64>, busy: bool) -> Self {
        let enabled = io::stderr().is_terminal() && !(busy && io::stdout().is_terminal());
        Self { enabled, total, stride: STRIDE, last: Instant::now(), shown: false }
    }

    /// One more packet was read, whose record begins at `offset`.
    #[inline]
    pub fn packet(&mut self, offset: u64, packets: u64) {
        self.stride -= 1;
        if self.stride == 0 {
            self.stride = STRIDE;
            if self.enabled {
                self.update(offset, packets);
            }
        }
    }

    #[cold]
    fn update(&mut self, offset: u64, packets: u64) {
        if self.last.elapsed() < INTERVAL {
            return;
        }
        self.last = Instant::now();
        self.shown = true;
        let mib = offset >> 20;
        let share = match self.total {
            Some(total) if total > 0 => format!("{:3}%  ", u128::from(offset) * 100 / u128::from(total)),
            _ => String::new(),
        };
        // To the beginning of the line, text, erase the rest.
        let _ = write!(io::stderr(), "\r{share}{mib} MiB, {packets} packets\x1b[K");
    }

    /// Erases the line.
    pub fn clear(&mut self) {
        if self.shown {
            self.shown = false;
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

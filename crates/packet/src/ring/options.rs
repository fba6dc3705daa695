//! What to capture: interface, direction, lengths, buffer.

use std::time::Duration;

use super::wake::Waker;

/// Most bytes of a packet that are captured, as in tcpdump: more than any packet has.
pub const LARGEST_SNAPLEN: u32 = 262_144;

/// Which interface to capture on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceChoice {
    /// All of them at once; packets are `LINUX_SLL2`.
    Any,
    /// The one with this name. `any` means [`Any`](Self::Any); a number that is no name counts the list of
    /// [`list_interfaces`](super::list_interfaces) from 1.
    Named(String),
    /// The one with this system number, from 1.
    Index(u32),
}

/// Which packets to capture, by direction as seen from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Directions {
    /// Both. On the loopback interface, where every packet is sent and then received, only the received one.
    #[default]
    Both,
    /// Only received ones, including those for others.
    In,
    /// Only sent ones.
    Out,
}

/// How to capture. `CaptureOptions::new(interface)` gives the defaults of each field.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// Where.
    pub interface: InterfaceChoice,
    /// Most bytes of each packet, 1 to [`LARGEST_SNAPLEN`]; 0 stands for the largest. Default: the largest. A
    /// pseudo header counts.
    pub snaplen: u32,
    /// Whether the interface is asked to receive packets for others too. Default: yes. Without effect on `any`.
    pub promiscuous: bool,
    /// Bytes of the buffer shared with the kernel; rounded to whole blocks, at least two of 64 KiB. Default: 8 MiB.
    pub buffer: usize,
    /// How long a packet may wait in the kernel for others. Default: 100 ms; at least 1 ms, at most 10 s.
    pub delay: Duration,
    /// Which directions. Default: both.
    pub directions: Directions,
    /// Whether to read without link header (`LINUX_SLL2`) even where there is one. Default: no.
    pub cooked: bool,
    /// What ends a wait early. Default: one of its own, see [`Capture::waker`](super::Capture::waker).
    pub waker: Option<Waker>,
}

impl CaptureOptions {
    /// The default options for an interface.
    #[must_use]
    pub fn new(interface: InterfaceChoice) -> Self {
        Self {
            interface,
            snaplen: LARGEST_SNAPLEN,
            promiscuous: true,
            buffer: 8 << 20,
            delay: Duration::from_millis(100),
            directions: Directions::Both,
            cooked: false,
            waker: None,
        }
    }

    /// With the shortest delay that a ring allows, 1 ms.
    #[must_use]
    pub fn immediate(mut self) -> Self {
        self.delay = Duration::from_millis(1);
        self
    }

    /// The snap length in force.
    pub(super) fn effective_snaplen(&self) -> u32 {
        match self.snaplen {
            0 => LARGEST_SNAPLEN,
            len => len.min(LARGEST_SNAPLEN),
        }
    }

    /// The delay in the kernel's unit.
    pub(super) fn delay_millis(&self) -> u32 {
        u32::try_from(self.delay.as_millis()).unwrap_or(u32::MAX).clamp(1, 10_000)
    }

    /// Size of a block and number of blocks of the ring. Blocks are powers of two from 64 to 512 KiB: large enough
    /// for the longest packet, small enough that there are at least four where the buffer allows it.
    pub(super) fn blocks(&self) -> (usize, usize) {
        let mut block = 512 << 10;
        while block > 64 << 10 && block * 4 > self.buffer {
            block /= 2;
        }
        // The kernel counts frames in 32 bits; 1 GiB is more than enough.
        let count = (self.buffer.min(1 << 30) / block).max(2);
        (block, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_values_are_put_right() {
        let mut options = CaptureOptions::new(InterfaceChoice::Any);
        assert_eq!(options.blocks(), (512 << 10, 16));
        for (buffer, blocks) in
            [(0, (64 << 10, 2)), (1 << 20, (256 << 10, 4)), (usize::MAX, (512 << 10, 2048)), (300_000, (64 << 10, 4))]
        {
            options.buffer = buffer;
            assert_eq!(options.blocks(), blocks, "{buffer}");
        }
        options.snaplen = 0;
        assert_eq!(options.effective_snaplen(), LARGEST_SNAPLEN);
        options.snaplen = u32::MAX;
        assert_eq!(options.effective_snaplen(), LARGEST_SNAPLEN);
        options.delay = Duration::ZERO;
        assert_eq!(options.delay_millis(), 1);
        options.delay = Duration::MAX;
        assert_eq!(options.delay_millis(), 10_000);
    }
}

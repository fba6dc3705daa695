//! Parts of a function that are rarely run: emitted behind it, and reached by jumps.

use skep_isa::ebpf::Size;

use super::Reason;

/// A jump out of line. `S` is a jump that waits for its target, `P` a position in the code, `R` a register of the
/// processor.
#[derive(Debug)]
pub(crate) struct Cold<S, P, R> {
    pub(crate) from: S,
    pub(crate) step: u32,
    pub(crate) kind: ColdKind<P, R>,
}

/// What is out of line.
#[derive(Debug)]
pub(crate) enum ColdKind<P, R> {
    /// Stops; the register is stored in the first stop register.
    Stop(Reason, Option<R>),
    /// Calls the slow packet load and comes back, or leaves the function.
    PacketLoad { back: P, size: Size, offset: PacketOffset },
}

/// Offset of a packet load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PacketOffset {
    Constant(u32),
    /// In the generator's register for addresses.
    InRegister,
}

/// Jumps out of line, collected while a function is generated.
#[derive(Debug)]
pub(crate) struct ColdParts<S, P, R>(Vec<Cold<S, P, R>>);

impl<S, P: Copy, R> ColdParts<S, P, R> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// A jump to a stop.
    pub(crate) fn stop(&mut self, from: S, at: usize, reason: Reason, keep: Option<R>) {
        self.push(from, at, ColdKind::Stop(reason, keep));
    }

    /// Jumps to the slow way of a packet load, which comes back to `back`.
    pub(crate) fn packet_load(&mut self, from: Vec<S>, back: P, at: usize, size: Size, offset: PacketOffset) {
        from.into_iter().for_each(|from| self.push(from, at, ColdKind::PacketLoad { back, size, offset }));
    }

    fn push(&mut self, from: S, at: usize, kind: ColdKind<P, R>) {
        // Steps are fewer than a million.
        self.0.push(Cold { from, step: at as u32, kind });
    }

    /// All of them, for the end of a function.
    pub(crate) fn take(&mut self) -> Vec<Cold<S, P, R>> {
        std::mem::take(&mut self.0)
    }
}

/// The bytes of a packet load that lies at a constant offset, `None` if it is never in the packet: the areas of
/// `linux/filter.h` have negative offsets.
pub(crate) fn constant_range(k: i32, size: Size) -> Option<(u32, i32)> {
    let end = k.checked_add(size.bytes().cast_signed())?;
    (k >= 0).then_some((k.cast_unsigned(), end))
}

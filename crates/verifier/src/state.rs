//! The state on one path: frames of the functions on the way, references that are held (`struct bpf_verifier_state`).

use crate::reg::{Kind, Reg};

/// Bytes of stack of a function.
pub const STACK: u32 = 512;
/// Functions on a chain of calls.
pub const MAX_FRAMES: usize = 8;

/// What is in one byte of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Byte {
    /// Never written.
    Invalid,
    /// A part of a value that was spilled.
    Spill,
    /// Something.
    Misc,
    /// Zero.
    Zero,
}

/// Eight bytes of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// What each byte holds, the one with the lowest address first.
    pub bytes: [Byte; 8],
    /// The value that was spilled, if some byte says so.
    pub value: Reg,
}

impl Slot {
    /// Never written.
    pub const EMPTY: Self = Self { bytes: [Byte::Invalid; 8], value: Reg::UNSET };

    /// Whether all eight bytes are a spilled value.
    pub fn is_spill(&self) -> bool {
        self.bytes[0] == Byte::Spill
    }

    /// Whether the last byte is of a spilled value: a whole one, or a narrow one in the lower bytes.
    pub fn has_value(&self) -> bool {
        self.bytes.contains(&Byte::Spill)
    }

    /// Whether it holds a number of eight bytes.
    pub fn is_number(&self) -> bool {
        self.bytes == [Byte::Spill; 8] && self.value.is_number()
    }

    /// Forgets the value; its bytes hold something.
    pub fn scramble(&mut self) {
        for byte in &mut self.bytes {
            if *byte == Byte::Spill {
                *byte = Byte::Misc;
            }
        }
        self.value = Reg::UNSET;
    }
}

/// One function on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its registers.
    pub regs: [Reg; 11],
    /// Its stack as deep as it was used: slot 0 is at `r10 - 8`.
    pub stack: Vec<Slot>,
    /// The function.
    pub function: u32,
    /// The call that it was called by; the main function has none.
    pub call: Option<u32>,
}

impl Frame {
    /// A function at its start.
    pub fn new(function: u32, call: Option<u32>, depth: u8) -> Self {
        let mut regs = [Reg::UNSET; 11];
        regs[10] = Reg::pointer(Kind::Stack(depth));
        Self { regs, stack: Vec::new(), function, call }
    }

    /// The slot, which is added if it was never used.
    pub fn slot(&mut self, index: usize) -> &mut Slot {
        if self.stack.len() <= index {
            self.stack.resize(index + 1, Slot::EMPTY);
        }
        &mut self.stack[index]
    }
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The functions on the way, the main one first.
    pub frames: Vec<Frame>,
    /// References that have to be given back: id and the instruction that took it.
    pub references: Vec<(u32, u32)>,
}

impl State {
    /// The function that runs.
    pub fn top(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// The function that runs.
    pub fn current(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    /// How deep the function that runs is.
    pub fn depth(&self) -> u8 {
        u8::try_from(self.frames.len() - 1).unwrap_or(u8::MAX)
    }

    /// A register of the function that runs.
    pub fn reg(&self, number: usize) -> &Reg {
        &self.current().regs[number]
    }

    /// Changes a register of the function that runs.
    pub fn set(&mut self, number: usize, value: Reg) {
        self.top().regs[number] = value;
    }

    /// Every register and spilled value of every function.
    pub fn values(&mut self) -> impl Iterator<Item = &mut Reg> {
        self.frames.iter_mut().flat_map(|frame| {
            let spilled = frame.stack.iter_mut().filter(|slot| slot.is_spill() || slot.has_value());
            frame.regs.iter_mut().chain(spilled.map(|slot| &mut slot.value))
        })
    }

    /// Takes a reference at an instruction.
    pub fn acquire(&mut self, id: u32, at: u32) {
        self.references.push((id, at));
    }

    /// Gives a reference back: all copies of it are of no use any more. False if it is not held.
    pub fn release(&mut self, id: u32) -> bool {
        let Some(position) = self.references.iter().position(|(held, _)| *held == id) else { return false };
        self.references.remove(position);
        for value in self.values() {
            if value.reference == id {
                *value = Reg::UNKNOWN;
            }
        }
        true
    }

    /// The packet may have moved: pointers into it are of no use any more.
    pub fn forget_packet(&mut self) {
        for value in self.values() {
            if matches!(value.kind, Kind::Packet | Kind::PacketMeta | Kind::PacketEnd) {
                *value = Reg::UNKNOWN;
            }
        }
    }
}

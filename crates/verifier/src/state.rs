//! The state on one path: frames of the functions on the way, references that are held (`struct bpf_verifier_state`).

use std::collections::BTreeMap;

use crate::reg::{Kind, Reg, Special, Trust};
use crate::special::Place;

/// Bytes of stack of a function.
pub const STACK: u32 = 512;
/// Set in the number of dynptrs that stand for packets.
pub const PACKET_SLICE: u32 = 1 << 31;
/// Functions on a chain of calls.
pub const MAX_FRAMES: usize = 8;

/// What is in one byte of the stack. Each is a bit, so that eight are looked at together ([`Slot::word`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Byte {
    /// Never written.
    Invalid = 0,
    /// Something.
    Misc = 1,
    /// Zero.
    Zero = 2,
    /// A part of a value that was spilled.
    Spill = 4,
    /// A part of something that the kernel keeps here: an iterator, a dynptr, flags of interrupts.
    Kernel = 8,
}

impl Byte {
    /// Eight of the same.
    pub const fn eight(self) -> u64 {
        u64::from_le_bytes([self as u8; 8])
    }
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

    /// What the bytes hold, together.
    pub fn word(&self) -> u64 {
        u64::from_le_bytes(self.bytes.map(|byte| byte as u8))
    }

    /// Whether it holds a spilled value: in all eight bytes, or a narrow one in those with the lowest addresses
    /// (`is_spilled_reg`).
    pub fn is_spill(&self) -> bool {
        self.bytes[0] == Byte::Spill
    }

    /// Whether the last byte is of a spilled value: a whole one, or a narrow one in the lower bytes.
    pub fn has_value(&self) -> bool {
        self.bytes.contains(&Byte::Spill)
    }

    /// What the kernel keeps here.
    pub fn special(&self) -> Option<Special> {
        match self.value.kind {
            Kind::Special(special) if self.bytes[7] == Byte::Kernel => Some(special),
            _ => None,
        }
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
    /// As what it was called.
    pub role: Role,
    /// Rounds of the callback that its current call runs.
    pub rounds: u32,
}

/// As what a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// By a call, or as the main function.
    Function,
    /// By a helper, again and again; results are 0 or 1.
    Callback,
    /// By a function of the kernel that compares nodes, with the lock held.
    Compare,
    /// By the kernel later, so many calls after the program.
    Later(u32),
    /// By the verification itself: other programs call it.
    Global,
}

impl Frame {
    /// A function at its start.
    pub fn new(function: u32, call: Option<u32>, depth: u8) -> Self {
        let mut regs = [Reg::UNSET; 11];
        regs[10] = Reg::pointer(Kind::Stack(depth));
        Self { regs, stack: Vec::new(), function, call, role: Role::Function, rounds: 0 }
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
    /// The lock that is held.
    pub lock: Option<Lock>,
    /// Whether the RCU read lock is held.
    pub rcu: bool,
    /// How often preemption was forbidden.
    pub preempt: u32,
    /// Interrupts that were saved: ids, the last one at the end.
    pub interrupts: Vec<u32>,
    /// How often `may_goto` went on.
    pub rounds: u32,
    /// How many callbacks were begun.
    pub callbacks: u32,
    /// Iterators that are not at their ends, and how many rounds each went.
    pub iterators: BTreeMap<Place, u32>,
    /// Whether this is code that may sleep.
    pub sleeps: bool,
    /// Whether only a wrong guess of the processor leads here (`speculative`).
    pub guessed: bool,
}

/// A lock that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// What it is in: a map value or an object.
    pub kind: Kind,
    /// The name of the pointer that it was taken with.
    pub id: u32,
    /// The instruction.
    pub at: u32,
}

impl State {
    /// A state with one function.
    pub fn new(frame: Frame) -> Self {
        Self {
            frames: vec![frame],
            references: Vec::new(),
            lock: None,
            rcu: false,
            preempt: 0,
            interrupts: Vec::new(),
            rounds: 0,
            callbacks: 0,
            iterators: BTreeMap::new(),
            sleeps: false,
            guessed: false,
        }
    }

    /// Whether pointers that need the RCU read lock are valid (`in_rcu_cs`).
    pub fn in_rcu(&self) -> bool {
        self.rcu || self.lock.is_some() || self.preempt > 0 || !self.interrupts.is_empty() || !self.sleeps
    }

    /// Every slot that holds something of the kernel: depth of its frame and number.
    pub fn specials(&self) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (depth, frame) in self.frames.iter().enumerate() {
            let slots = frame.stack.iter().enumerate().filter(|(_, slot)| slot.special().is_some());
            found.extend(slots.map(|(slot, _)| (depth, slot)));
        }
        found
    }

    /// Pointers into a dynptr that is gone are of no use any more.
    pub fn forget_slices(&mut self, dynptr: u32, lost: Reg) {
        for value in self.values().filter(|value| value.is_pointer() && value.slice == dynptr) {
            *value = lost;
        }
    }

    /// The lock is given back: pointers to nodes that are in its list or tree may be invalid now.
    pub fn forget_shared(&mut self, lost: Reg) {
        for value in self.values() {
            if matches!(value.kind, Kind::Object(_, crate::reg::Hold::Shared)) {
                *value = lost;
            }
        }
    }

    /// The RCU read lock is given back: pointers that need it are not to be trusted any more.
    pub fn leave_rcu(&mut self) {
        self.rcu = false;
        for frame in &mut self.frames {
            let slots = frame.stack.iter_mut().map(|slot| &mut slot.value);
            for value in frame.regs.iter_mut().chain(slots) {
                match &mut value.kind {
                    Kind::Struct(_, trust) if *trust == Trust::Rcu => {
                        *trust = Trust::Untrusted;
                        value.nullable = false;
                    }
                    Kind::Object(_, hold) if *hold == crate::reg::Hold::Rcu => {
                        *hold = crate::reg::Hold::Untrusted;
                        value.nullable = false;
                    }
                    Kind::Special(Special::Iterator { trust, .. }) if *trust == Trust::Rcu => {
                        *trust = Trust::Untrusted;
                    }
                    _ => {}
                }
            }
        }
    }

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
    /// They become `lost`.
    pub fn release(&mut self, id: u32, lost: Reg) -> bool {
        let Some(position) = self.references.iter().position(|(held, _)| *held == id) else { return false };
        self.references.remove(position);
        for value in self.values() {
            if value.reference == id {
                *value = lost;
            }
        }
        true
    }

    /// The packet may have moved: pointers into it, and into parts that dynptrs gave, are of no use any more. They become
    /// `lost`.
    pub fn forget_packet(&mut self, lost: Reg) {
        for value in self.values() {
            let part = matches!(value.kind, Kind::Memory(_)) && value.slice & PACKET_SLICE != 0;
            if part || matches!(value.kind, Kind::Packet | Kind::PacketMeta | Kind::PacketEnd) {
                *value = lost;
            }
        }
    }
}

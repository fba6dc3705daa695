//! The way to a refusal: the instructions on it with what is known in front of each, and where a value on it comes from.

use skep_isa::ebpf::{AluOp, Callee, Notation, Op, Reg as Register, Src, Width, line};

use crate::precision::{Entry, Place};
use crate::reg::{Kind, Reg};
use crate::search::{Flow, Verifier};
use crate::state::{Frame, State};

/// States of a way that are kept: those before the refusal.
const KEPT: usize = 2048;
/// Places that are told of a value.
const TOLD: usize = 6;

/// The way to a refusal.
#[derive(Debug)]
pub struct Trail {
    /// The instructions, the one that is refused last.
    pub entries: Vec<Entry>,
    /// What they are.
    ops: Vec<Option<Op>>,
    /// What is known in front of the last of them.
    states: Vec<State>,
}

/// Something that happened to a value on the way to a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The slot of the instruction.
    pub at: u32,
    /// What it does, in words that go on behind the place.
    pub what: String,
}

impl Trail {
    /// Goes the way that a verification went, with a verifier that has not begun.
    pub fn follow(entries: Vec<Entry>, fresh: &mut Verifier<'_>) -> Self {
        let states = fresh.replay(&entries).unwrap_or_default();
        let ops = entries.iter().map(|entry| fresh.code.op(entry.at)).collect();
        Self { entries, ops, states }
    }

    /// What is known in front of an instruction of the way; `None` if that is not known any more.
    pub fn before(&self, index: usize) -> Option<&State> {
        let skipped = self.entries.len() - self.states.len();
        self.states.get(index.checked_sub(skipped)?)
    }

    /// What is known in front of the instruction that is refused.
    pub fn last(&self) -> Option<&State> {
        self.before(self.entries.len().checked_sub(1)?)
    }

    fn value(&self, index: usize, place: Place) -> Option<Reg> {
        let state = self.before(index)?;
        match place {
            Place::Reg(depth, reg) => state.frames.get(usize::from(depth))?.regs.get(usize::from(reg)).copied(),
            Place::Slot(depth, slot) => {
                state.frames.get(usize::from(depth))?.stack.get(usize::from(slot)).map(|slot| slot.value)
            }
        }
    }

    /// The last addition of a number that is not constant to the pointer in a register: where on the way, and the register
    /// with the number.
    pub fn addition(&self, reg: u8) -> Option<(usize, Register)> {
        let mut place = Place::Reg(self.entries.last()?.depth, reg);
        let mut found = None;
        self.walk(&mut place, |trail, index, op, place| {
            if let (Op::Alu { op: AluOp::Add, dst, src: Src::Reg(src), .. }, Place::Reg(depth, _)) = (op, *place) {
                let value = |reg: Register| trail.value(index, Place::Reg(depth, reg.number()));
                let (left, right) = (value(dst), value(src));
                let number = if right.is_some_and(|right| right.is_number()) { src } else { dst };
                let known = value(number).and_then(|value| value.as_constant()).is_some();
                if left.is_some_and(|left| left.is_pointer()) != right.is_some_and(|right| right.is_pointer()) && !known
                {
                    found = Some((index, number));
                    return false;
                }
                if number == dst {
                    *place = Place::Reg(depth, src.number());
                }
            }
            true
        });
        found
    }

    /// Where on the way a pointer became a number by an operation of 32 bits.
    pub fn lost_pointer(&self, mut place: Place) -> Option<usize> {
        let mut found = None;
        self.walk(&mut place, |trail, index, op, place| {
            if let Op::Alu { width: Width::W32, dst, src, .. } = op
                && *place == Place::Reg(trail.entries[index].depth, dst.number())
            {
                let depth = trail.entries[index].depth;
                let pointer = |reg: Register| {
                    trail.value(index, Place::Reg(depth, reg.number())).is_some_and(|value| value.is_pointer())
                };
                if pointer(dst) || matches!(src, Src::Reg(src) if pointer(src)) {
                    found = Some(index);
                    return false;
                }
            }
            true
        });
        found
    }

    /// What happened to the value in a register, the first first.
    pub fn origins(&self, reg: u8) -> Vec<Origin> {
        let Some(last) = self.entries.last() else { return Vec::new() };
        let mut place = Place::Reg(last.depth, reg);
        let (mut told, mut compared) = (Vec::new(), 0);
        let unset = self.value(self.entries.len() - 1, place).is_some_and(|value| value.kind == Kind::Unset);
        let ended = self.walk(&mut place, |trail, index, op, place| {
            let Entry { at, depth, stack, .. } = trail.entries[index];
            let mut tell = |what: String| told.push(Origin { at, what });
            let here = |reg: Register| *place == Place::Reg(depth, reg.number());
            let text = line(&op, Notation::Plain);
            let value = |index: usize, reg: Register| trail.value(index, Place::Reg(depth, reg.number()));
            match op {
                Op::Alu { op: AluOp::Mov, dst, src: Src::Imm(_), .. } if here(dst) => {
                    tell(format!("`{text}` sets it"));
                    return false;
                }
                Op::Alu { op: AluOp::Mov, dst, src: Src::Reg(src), width } if here(dst) => {
                    let is_cut = width == Width::W32 && value(index, src).is_some_and(|value| value.is_pointer());
                    if is_cut {
                        tell(format!("`{text}` keeps 32 bits of a pointer: what is left is a number"));
                        return false;
                    }
                }
                Op::Alu { dst, src, .. } if here(dst) => {
                    let (before, after) = (value(index, dst), value(index + 1, dst));
                    if let (Some(before), Some(after)) = (before, after) {
                        if before.is_pointer() && after.is_number() {
                            tell(format!("`{text}` makes a number of a pointer"));
                            return false;
                        }
                        let by = if let Src::Reg(src) = src { value(index, src) } else { None };
                        if let Some(by) = by.filter(|by| after.is_pointer() && by.as_constant().is_none()) {
                            tell(format!("`{text}` adds {}", if before.is_pointer() { by } else { before }));
                            if let (true, Src::Reg(src)) = (before.is_pointer(), src) {
                                *place = Place::Reg(depth, src.number());
                            }
                        } else if is_bounded(&before) && !is_bounded(&after) {
                            tell(format!("the bounds are lost by `{text}`: {after}"));
                            return false;
                        }
                    }
                }
                Op::Load { dst, base, size, .. } if here(dst) && stack.is_none() => {
                    let from = value(index, base).map_or_else(|| "memory".to_owned(), |base| base.kind.to_string());
                    let read = value(index + 1, dst).map_or_else(String::new, |value| format!(": {value}"));
                    tell(format!("{} bytes are read from {from}{read}", size.bytes()));
                    return false;
                }
                Op::JumpIf { dst, src, .. } if here(dst) || matches!(src, Src::Reg(src) if here(src)) => {
                    compared += 1;
                    if compared <= 2 {
                        let known = trail.value(index + 1, *place);
                        tell(format!("`{text}` tells{}", known.map_or_else(String::new, |value| format!(" {value}"))));
                    }
                }
                Op::Call(callee) if !matches!(callee, Callee::Local(_)) => {
                    if let Place::Reg(at, reg @ 0..=5) = *place
                        && at == depth
                    {
                        let name = match callee {
                            Callee::Helper(id) => u32::try_from(id)
                                .ok()
                                .and_then(skep_isa::helpers::by_id)
                                .map_or("a helper", |found| found.name),
                            _ => "a function of the kernel",
                        };
                        match reg {
                            0 => {
                                let value = value(index + 1, Register::R0);
                                let value = value.map_or_else(String::new, |value| format!(": {value}"));
                                tell(format!("it is the result of {name}{value}"));
                            }
                            _ => tell(format!("the call of {name} takes r1 to r5 away")),
                        }
                        return false;
                    }
                }
                Op::LoadImm { dst, .. } if here(dst) => return false,
                _ => {}
            }
            told.len() < TOLD
        });
        if !ended && unset && told.is_empty() {
            told.push(Origin { at: self.entries[0].at, what: "nothing on the path writes it".to_owned() });
        }
        told.reverse();
        told
    }

    /// Goes back along a value. True if the visitor has ended it.
    fn walk(&self, place: &mut Place, mut each: impl FnMut(&Self, usize, Op, &mut Place) -> bool) -> bool {
        for index in (0..self.entries.len().saturating_sub(1)).rev() {
            let entry = &self.entries[index];
            let Some(op) = self.ops[index] else { continue };
            if !each(self, index, op, place) {
                return true;
            }
            if !step_back(op, entry, place) {
                return false;
            }
        }
        false
    }
}

/// Where a value was before an instruction; false if it begins there.
fn step_back(op: Op, entry: &Entry, place: &mut Place) -> bool {
    let depth = entry.depth;
    let here = |place: Place, reg: Register| place == Place::Reg(depth, reg.number());
    let slot = entry.stack.map(|(depth, slot)| Place::Slot(depth, slot));
    match op {
        Op::Alu { op: AluOp::Mov, dst, src, .. } if here(*place, dst) => match src {
            Src::Reg(src) => *place = Place::Reg(depth, src.number()),
            Src::Imm(_) => return false,
        },
        Op::MovSx { dst, src, .. } if here(*place, dst) => *place = Place::Reg(depth, src.number()),
        Op::Load { dst, .. } if here(*place, dst) => match slot {
            Some(slot) => *place = slot,
            None => return false,
        },
        Op::LoadImm { dst, .. } if here(*place, dst) => return false,
        Op::Store { src, .. } if slot == Some(*place) => match src {
            Src::Reg(src) => *place = Place::Reg(depth, src.number()),
            Src::Imm(_) => return false,
        },
        Op::Call(Callee::Local(_)) => match *place {
            Place::Reg(callee, reg @ 1..=5) if callee == depth + 1 => *place = Place::Reg(depth, reg),
            Place::Reg(callee, _) | Place::Slot(callee, _) if callee == depth + 1 => return false,
            _ => {}
        },
        Op::Call(_) => {
            if let Place::Reg(at, 0..=5) = *place
                && at == depth
            {
                return false;
            }
        }
        Op::Exit if depth > 0 && *place == Place::Reg(depth - 1, 0) => *place = Place::Reg(depth, 0),
        _ => {}
    }
    true
}

/// Whether a value is a number that is not just anything.
fn is_bounded(value: &Reg) -> bool {
    value.is_number() && value.num.u64().max < u64::from(u32::MAX)
}

impl Verifier<'_> {
    /// The instructions from the start to where the walk stands.
    pub fn way(&self) -> Vec<Entry> {
        let mut pieces: Vec<&[Entry]> = vec![&self.trace];
        let mut parent = self.parent;
        while let Some(index) = parent {
            let kept = &self.kept[index as usize];
            pieces.push(&kept.trace);
            parent = kept.parent;
        }
        pieces.into_iter().rev().flatten().cloned().collect()
    }

    /// Executes the instructions of a way again; the states in front of the last of them. `None` if that is not possible:
    /// a callback that the kernel calls later does not begin where the program does.
    fn replay(&mut self, way: &[Entry]) -> Option<Vec<State>> {
        let start = way.first()?.at;
        let mut state = match self.code.function_at(start) {
            Some(0) => self.first_state(),
            Some(function) if self.globals.get(function as usize) == Some(&true) => self.begin_global(function).ok()?,
            _ => return None,
        };
        let mut states = Vec::new();
        for (index, entry) in way.iter().enumerate() {
            if index + KEPT >= way.len() {
                states.push(state.clone());
            }
            let Some(next) = way.get(index + 1) else { break };
            let op = self.code.op(entry.at)?;
            let flow = self.step(&mut state, entry.at, op).ok()?;
            let others = self.take_pending();
            let goes = |state: &State, at: u32| at == next.at && state.depth() == next.depth;
            match flow {
                Flow::Next(at) if goes(&state, at) => {}
                _ => state = others.into_iter().find(|(state, at)| goes(state, *at))?.0,
            }
        }
        Some(states)
    }

    /// What is known at the start of the program.
    pub fn first_state(&self) -> State {
        let mut frame = Frame::new(0, None, 0);
        frame.regs[1] = Reg::pointer(Kind::Context);
        State { sleeps: self.sleeps, ..State::new(frame) }
    }
}

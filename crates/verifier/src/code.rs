//! The program: instructions by slot, functions, and the shape that control flow must have (`check_subprogs`,
//! `check_cfg`).

use std::collections::BTreeMap;

use skep_isa::ebpf::{Callee, Field, Imm64, Insn, InsnError, InsnIdx, Op};

use crate::reject::{Reason, Rejection};

/// Functions of a program.
const MAX_FUNCTIONS: usize = 256;

/// A program taken apart.
#[derive(Debug)]
pub struct Code {
    /// Instructions by slot; `None` for the second slot of an immediate load.
    pub ops: Vec<Option<Op>>,
    /// Instructions that have fields that must be zero: refused when they are executed, and not before.
    pub malformed: BTreeMap<u32, InsnError>,
    /// First slots of the functions, in order, the main function first.
    pub functions: Vec<u32>,
    /// Slots at which states are compared.
    pub prune: Vec<bool>,
    /// The first slot of the function that exceptions end in; no instruction refers to it.
    exceptions: Option<u32>,
    /// Slots at which rounds of loops begin that the kernel itself goes through.
    pub turns: Vec<Option<Turn>>,
}

/// What goes through a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// `may_goto`
    MayGoto,
    /// The function that gives the next element of an iterator.
    Iterator,
    /// A helper that calls a function of the program.
    Callback,
}

/// Where control goes behind an instruction, inside of its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nowhere: the function ends.
    Exit,
    /// One place.
    To(u32),
    /// The next instruction, or another.
    Branch(u32, u32),
}

fn slot(index: InsnIdx) -> u32 {
    u32::try_from(index.index()).unwrap_or(u32::MAX)
}

/// What an instruction would be if the fields that must be zero were; `None` for instructions that the kernel looks at
/// before it follows paths.
fn stand_in(insn: &Insn, error: InsnError) -> Option<Op> {
    const CLASS: u8 = 7;
    const LD: u8 = 0;
    if insn.code & CLASS == LD {
        return None;
    }
    let (mut cleaned, mut error) = (*insn, error);
    // There are four fields.
    for _ in 0..4 {
        let InsnError::Field { field, .. } = error else { return None };
        match field {
            Field::Dst => cleaned.dst = 0,
            Field::Src => cleaned.src = 0,
            Field::Off => cleaned.off = 0,
            Field::Imm => cleaned.imm = 0,
        }
        match cleaned.decode(None) {
            Ok(op) => return Some(op),
            Err(another) => error = another,
        }
    }
    None
}

/// The instruction without what the kernel does not look at: the offset of an exit.
fn looked_at(insn: &Insn) -> Insn {
    const EXIT: u8 = 0x95;
    if insn.code == EXIT { Insn { off: 0, ..*insn } } else { *insn }
}

impl Code {
    /// Takes a program apart and checks its shape. `exceptions` is where the function begins that exceptions end in.
    ///
    /// # Errors
    /// What has no place in a program.
    pub fn new(insns: &[Insn], exceptions: Option<u32>) -> Result<Self, Rejection> {
        if insns.is_empty() {
            return Err(Rejection::at(0, Reason::Empty));
        }
        let (mut ops, mut malformed) = (vec![None; insns.len()], BTreeMap::new());
        let mut at = 0;
        while let Some(insn) = insns.get(at) {
            let index = slot(InsnIdx::new(at));
            let insn = looked_at(insn);
            let op = match insn.decode(insns.get(at + 1).copied()) {
                Ok(op) => op,
                Err(error) => {
                    malformed.insert(index, error);
                    stand_in(&insn, error).ok_or_else(|| Rejection::at(index, Reason::Malformed(error)))?
                }
            };
            if matches!(op, Op::Call(Callee::Reg(_))) {
                // No kernel knows calls of registers, even where no path leads.
                return Err(Rejection::at(index, Reason::Malformed(InsnError::UnknownOpcode(insn.code))));
            }
            ops[at] = Some(op);
            at += op.slots() as usize;
        }
        let turns = vec![None; ops.len()];
        let mut code = Self { prune: vec![false; ops.len()], ops, malformed, functions: Vec::new(), exceptions, turns };
        code.find_functions()?;
        code.check_jumps()?;
        code.check_reachable()?;
        Ok(code)
    }

    /// The number of slots.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.ops.len()).unwrap_or(u32::MAX)
    }

    /// The instruction at a slot.
    pub fn op(&self, at: u32) -> Option<Op> {
        self.ops.get(at as usize).copied().flatten()
    }

    /// The function that begins at a slot.
    pub fn function_at(&self, at: u32) -> Option<u32> {
        self.functions.binary_search(&at).ok().and_then(|index| u32::try_from(index).ok())
    }

    /// The function that a slot belongs to.
    pub fn function_of(&self, at: u32) -> u32 {
        let behind = self.functions.partition_point(|start| *start <= at);
        u32::try_from(behind.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The slots of a function.
    pub fn extent(&self, function: u32) -> (u32, u32) {
        let index = function as usize;
        (self.functions[index], self.functions.get(index + 1).copied().unwrap_or(self.slots()))
    }

    fn find_functions(&mut self) -> Result<(), Rejection> {
        let mut starts = vec![0];
        starts.extend(self.exceptions);
        for at in 0..self.slots() {
            let distance = match self.op(at) {
                Some(Op::Call(Callee::Local(distance)) | Op::LoadImm { value: Imm64::Func(distance), .. }) => distance,
                _ => continue,
            };
            match self.target(at, distance) {
                Some(target) => starts.push(target),
                None => return Err(Rejection::at(at, Reason::JumpOutside)),
            }
        }
        starts.sort_unstable();
        starts.dedup();
        if starts.len() > MAX_FUNCTIONS {
            return Err(Rejection::at(0, Reason::TooManyFunctions));
        }
        self.functions = starts;
        Ok(())
    }

    fn target(&self, at: u32, distance: i32) -> Option<u32> {
        let target = InsnIdx::new(at as usize).target(distance).map(slot)?;
        self.op(target).map(|_| target)
    }

    /// Where control goes behind the instruction at a slot.
    ///
    /// # Errors
    /// A jump to where no instruction begins.
    pub fn next(&self, at: u32) -> Result<Next, Rejection> {
        let Some(op) = self.op(at) else { return Err(Rejection::at(at, Reason::JumpOutside)) };
        let behind = at + op.slots();
        let jump = |distance: i32| self.target(at, distance).ok_or_else(|| Rejection::at(at, Reason::JumpOutside));
        Ok(match op {
            Op::Exit => Next::Exit,
            Op::Goto { off } => Next::To(jump(off.into())?),
            Op::GotoLong { off } => Next::To(jump(off)?),
            Op::JumpIf { off, .. } | Op::MayGoto { off } => Next::Branch(behind, jump(off.into())?),
            _ => Next::To(behind),
        })
    }

    /// Jumps stay in their function, and no function runs into the next one.
    fn check_jumps(&self) -> Result<(), Rejection> {
        for function in 0..u32::try_from(self.functions.len()).unwrap_or(u32::MAX) {
            let (start, end) = self.extent(function);
            let inside = |target: u32| (start..end).contains(&target);
            let mut last = start;
            for at in (start..end).filter(|at| self.op(*at).is_some()) {
                last = at;
                match self.next(at)? {
                    Next::Branch(_, target) if !inside(target) => {
                        return Err(Rejection::at(at, Reason::JumpOutOfFunction));
                    }
                    Next::To(target)
                        if !inside(target) && matches!(self.op(at), Some(Op::Goto { .. } | Op::GotoLong { .. })) =>
                    {
                        return Err(Rejection::at(at, Reason::JumpOutOfFunction));
                    }
                    _ => {}
                }
            }
            if !matches!(self.op(last), Some(Op::Exit | Op::Goto { .. } | Op::GotoLong { .. })) {
                return Err(Rejection::at(last, Reason::FallsOffTheEnd));
            }
        }
        Ok(())
    }

    /// Every instruction can be reached from the start; and the places where states are compared.
    fn check_reachable(&mut self) -> Result<(), Rejection> {
        let mut seen = vec![false; self.ops.len()];
        let mut open: Vec<u32> = vec![0];
        open.extend(self.exceptions);
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut seen[at as usize], true) {
                continue;
            }
            let op = self.op(at);
            match op {
                Some(Op::Call(Callee::Local(distance))) => {
                    self.mark(at);
                    self.mark(at + 1);
                    self.callee(at, distance, &mut open);
                }
                Some(Op::LoadImm { value: Imm64::Func(distance), .. }) => {
                    self.mark(at);
                    self.callee(at, distance, &mut open);
                }
                Some(Op::MayGoto { .. }) => self.turns[at as usize] = Some(Turn::MayGoto),
                Some(op) if crate::callback::calls_later(op) => self.mark(at),
                Some(op) if crate::callback::calls_back(op) => self.turn(at, Turn::Callback),
                _ => {}
            }
            match self.next(at)? {
                Next::Exit => {}
                Next::To(target) => {
                    if matches!(op, Some(Op::Goto { .. } | Op::GotoLong { .. })) {
                        self.mark(target);
                    }
                    open.push(target);
                }
                Next::Branch(behind, target) => {
                    self.mark(at);
                    self.mark(target);
                    open.extend([behind, target]);
                }
            }
        }
        match (0..self.slots()).find(|at| self.op(*at).is_some() && !seen[*at as usize]) {
            Some(at) => Err(Rejection::at(at, Reason::Unreachable)),
            None => Ok(()),
        }
    }

    /// States are compared where a function begins, too.
    fn callee(&mut self, at: u32, distance: i32, open: &mut Vec<u32>) {
        if let Some(target) = self.target(at, distance) {
            self.mark(target);
            open.push(target);
        }
    }

    /// Rounds of a loop begin at a slot.
    pub fn turn(&mut self, at: u32, turn: Turn) {
        self.turns[at as usize] = Some(turn);
        self.mark(at);
        self.mark(at + 1);
    }

    /// States are compared at a slot.
    pub fn mark(&mut self, at: u32) {
        if let Some(mark) = self.prune.get_mut(at as usize) {
            *mark = true;
        }
    }
}

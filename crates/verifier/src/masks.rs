//! What the kernel does about speculative execution for processes without `CAP_PERFMON`: pointers that numbers are added
//! to are masked, which not every addition allows, and paths that only a wrong guess takes are walked as well
//! (`sanitize_ptr_alu`, `sanitize_speculative_path`).

use std::collections::BTreeMap;

use skep_isa::ebpf::{AluOp, Reg as Register, Src};

use crate::alu::Arithmetic;
use crate::profile::Kernel;
use crate::reg::{Kind, Reg};
use crate::reject::{Reason, Step, Stop};
use crate::rules::{self, Rule};
use crate::search::{Flow, Verifier};
use crate::state::{STACK, State};

/// The mask that an addition or subtraction gets; all paths through it need the same one (`alu_state`, `alu_limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// None: both operands are numbers.
    Numbers,
    /// One for a pointer that is moved.
    Pointer {
        /// Whether the number is negative.
        negative: bool,
        /// Whether it is a constant.
        constant: bool,
        /// Whether the pointer is the register that is written.
        is_target: bool,
        /// How far it may be moved, in bytes.
        limit: u32,
    },
}

/// What is known about an addition before it is done.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    mask: Option<Mask>,
    to_left: bool,
}

/// What is found out about each instruction.
#[derive(Debug)]
pub struct Guards {
    /// Masks.
    masks: Vec<Option<Mask>>,
    /// Instructions that no guess goes beyond (`nospec`).
    before: Vec<bool>,
    /// Instructions behind which guesses end (`nospec_result`).
    behind: Vec<bool>,
    /// Maps that tail calls go through.
    programs: BTreeMap<u32, u32>,
}

impl Guards {
    /// Nothing is known.
    pub fn new(slots: usize) -> Self {
        Self {
            masks: vec![None; slots],
            before: vec![false; slots],
            behind: vec![false; slots],
            programs: BTreeMap::new(),
        }
    }
}

fn refused<T>(rule: &'static Rule) -> Step<T> {
    Err(Reason::Rule(rule).into())
}

impl Verifier<'_> {
    /// Whether something is done about speculative execution.
    pub fn guards(&self) -> bool {
        !self.loader.perfmon
    }

    /// Whether barriers are put where a path that was guessed does what it must not, in place of a refusal.
    fn has_barriers(&self) -> bool {
        self.kernel >= Kernel::V6_18
    }

    /// Whether a path that was guessed ends in front of an instruction.
    pub fn ends_guess(&self, state: &State, at: u32) -> bool {
        state.guessed && self.guarded.before[at as usize]
    }

    /// What becomes of a path that was guessed and came to a refusal, or to an instruction behind which guesses end.
    pub fn guess(&mut self, state: &State, at: u32, flow: Step<Flow>) -> Step<Flow> {
        if !state.guessed || !self.has_barriers() {
            return flow;
        }
        match flow {
            Err(Stop::Reject(reason))
                if !matches!(reason, Reason::TooComplex | Reason::TooManyBranches | Reason::InfiniteLoop) =>
            {
                self.guarded.before[at as usize] = true;
                self.guarded.masks[at as usize] = None;
                Ok(Flow::End)
            }
            Ok(Flow::Next(_)) if self.guarded.behind[at as usize] => Ok(Flow::End),
            other => other,
        }
    }

    /// A store to the stack that other code could read too early gets a barrier (`sanitize_stack_spill`): one of a
    /// pointer, or over something else than plain bytes.
    pub fn guard_store(&mut self, sensitive: bool) {
        if self.guards()
            && sensitive
            && let Some(entry) = self.trace.last()
        {
            self.guarded.behind[entry.at as usize] = true;
        }
    }

    /// A tail call: without masks its code has the map built in (`record_func_map`).
    pub fn one_map(&mut self, at: u32, map: Option<u32>) -> Step<()> {
        let Some(map) = map.filter(|_| self.guards()) else { return Ok(()) };
        match self.guarded.programs.insert(at, map) {
            Some(before) if before != map => refused(&rules::TAIL_CALL_MAPS),
            _ => Ok(()),
        }
    }

    /// A path that is only taken if the processor guesses wrong.
    pub fn push_guess(&mut self, state: &State, at: u32, unknown: &[Register]) -> Step<()> {
        if !self.guards() {
            return Ok(());
        }
        let mut guess = State { guessed: true, ..state.clone() };
        for register in unknown {
            guess.set(register.index(), Reg::UNKNOWN);
        }
        self.push(guess, at)
    }

    /// Whether no mask is needed for an addition.
    fn needs_no_mask(&self, at: u32, src: Src) -> bool {
        !self.guards() || matches!(src, Src::Imm(_)) || self.guarded.before[at as usize]
    }

    /// The addition of two numbers (`sanitize_val_alu`).
    pub fn mask_numbers(&mut self, at: u32, op: AluOp, src: Src) -> Step<()> {
        if !matches!(op, AluOp::Add | AluOp::Sub) || self.needs_no_mask(at, src) {
            return Ok(());
        }
        self.set_mask(at, Mask::Numbers)
    }

    fn set_mask(&mut self, at: u32, mask: Mask) -> Step<()> {
        match self.guarded.masks[at as usize].replace(mask) {
            Some(before) if before != mask => refused(&rules::MASK_PATHS),
            _ => Ok(()),
        }
    }

    /// How far a pointer is from the end that it is moved to (`retrieve_ptr_limit`). The kernel counts with 32 bits.
    fn mask_limit(&self, pointer: &Reg, to_left: bool) -> Step<u32> {
        let off = i64::from(pointer.off);
        let (most, limit) = match pointer.kind {
            Kind::Stack(_) => {
                let place = pointer.num.bits().value().cast_signed();
                (STACK + u32::from(to_left), place.wrapping_add(off).wrapping_neg())
            }
            Kind::Value(map) => {
                let num = if to_left { pointer.num.s64().min } else { pointer.num.u64().max.cast_signed() };
                (self.maps[map as usize].value_size, num.wrapping_add(off))
            }
            _ => return refused(&rules::MASK_KIND),
        };
        let limit = u32::try_from(limit.cast_unsigned() & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        if limit >= most { refused(&rules::MASK_LIMIT) } else { Ok(limit) }
    }

    /// Before a pointer is moved by a number; `is_target` if it is in the register that is written.
    pub fn open_window(
        &mut self,
        state: &State,
        what: Arithmetic,
        pointer: &Reg,
        number: &Reg,
        is_target: bool,
    ) -> Step<Window> {
        let Arithmetic { at, op, dst, src, .. } = what;
        let none = Window { mask: None, to_left: false };
        if !matches!(op, AluOp::Add | AluOp::Sub) || self.needs_no_mask(at, src) {
            return Ok(none);
        }
        let constant = number.num.as_constant().is_some();
        let negative = number.num.s64().min < 0;
        let mut window = none;
        if !state.guessed {
            if !constant && negative != (number.num.s64().max < 0) {
                return refused(&rules::MASK_SIGN);
            }
            window.to_left = (op == AluOp::Add) == negative;
            let limit = self.mask_limit(pointer, window.to_left)?;
            window.mask = Some(Mask::Pointer { negative, constant, is_target, limit });
            self.explores |= !constant;
        }
        if !constant {
            // The number is cut off, and the pointer stays where it is.
            let mut guess = State { guessed: true, ..state.clone() };
            guess.set(dst.index(), *pointer);
            self.push(guess, at + 1)?;
        }
        Ok(window)
    }

    /// Behind it: the pointer stays in what it points to, and the mask fits all paths (`sanitize_check_bounds`).
    pub fn close_window(&mut self, at: u32, window: Window, moved: &Reg) -> Step<()> {
        if !self.guards() {
            return Ok(());
        }
        match moved.kind {
            Kind::Stack(_) => match moved.fixed_offset() {
                Some(off) if (-i64::from(STACK)..0).contains(&off) => {}
                Some(_) => return refused(&rules::MASK_RANGE),
                None => return refused(&rules::STACK_VARIABLE),
            },
            Kind::Value(map) => {
                let access = crate::memory::Access { reg: 0, off: 0, size: 1, write: false };
                if crate::memory::bounds(moved, 0, 0, 1, self.maps[map as usize].value_size).is_err()
                    || self.no_fields(moved, access).is_err()
                {
                    return refused(&rules::MASK_RANGE);
                }
            }
            _ => {}
        }
        if let Some(Mask::Pointer { negative, constant, is_target, limit }) = window.mask {
            let now = self.mask_limit(moved, window.to_left)?;
            self.set_mask(at, Mask::Pointer { negative, constant, is_target, limit: limit.abs_diff(now) })?;
        }
        Ok(())
    }
}

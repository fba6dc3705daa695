//! What to change so that a refused program passes: changes of its instructions that the verification itself has tried.
//!
//! ```text
//!  Rejection --verified again--> trail --candidates--> changed programs --verified--> the first that passes
//! ```
//!
//! A change says how the program is to be made, not what it is to mean: to leave early where a test fails, to bound an
//! index, to give a reference back. Several faults of one program are mended one after the other.

mod access;
mod call;
mod hold;
mod value;

use skep_isa::ProgType;
use skep_isa::ebpf::{AluOp, Insn, JmpOp, Notation, Op, Reg as Register, Size, Src, Width, line};
use skep_object::{Line, Object, Program};

use crate::edit;
use crate::reg::Reg;
use crate::reject::Reason;
use crate::search::{MAX_PROCESSED, Verifier};
use crate::state::State;
use crate::trail::{Origin, Trail};
use crate::{Kernel, Rejection, Stop, Terms};

/// Programs that are tried.
const TRIED: usize = 40;
/// Changes that are made one after the other.
const ROUNDS: usize = 6;
/// Instructions that are looked at for all of them together.
const BUDGET: u64 = 2 * MAX_PROCESSED;

/// What is found out about a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advice {
    /// What happened to the value that the refusal is about, the first first.
    pub origins: Vec<Origin>,
    /// Changes that make the program pass, all of them together; empty if none were found.
    pub changes: Vec<Change>,
    /// The program with all of them, which passes.
    pub mended: Option<Program>,
}

/// A change of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it does, in words.
    pub words: String,
    /// The instruction that it is in front of, or in place of, as the program was before this change.
    pub at: u32,
    /// The source line of that instruction.
    pub line: Option<Line>,
    /// The instructions.
    pub code: Vec<String>,
}

/// A change that may help.
struct Candidate {
    words: String,
    at: u32,
    insns: Vec<Insn>,
    replaces: bool,
}

/// What candidates are made from.
struct Scene<'v, 'a> {
    verifier: &'v Verifier<'a>,
    trail: &'v Trail,
    state: &'v State,
    at: u32,
    op: Op,
    found: Vec<Candidate>,
}

/// Where the value comes from that a refusal is about, and changes with which the program passes.
pub fn advise(object: &Object, program: &Program, kernel: Kernel, terms: &Terms<'_>, rejection: &Rejection) -> Advice {
    let mut advice = Advice::default();
    let mut search = Search { object, kernel, terms, tried: 0, budget: BUDGET };
    let Some((trail, mut candidates)) = search.look(program, rejection, Some(&mut advice.origins)) else {
        return advice;
    };
    drop(trail);
    let (mut current, mut before) = (program.clone(), (rejection.at, rejection.reason.clone()));
    for _ in 0..ROUNDS {
        let Some((changed, change, next)) = search.try_all(&current, &candidates, &before) else { break };
        advice.changes.push(change);
        let Some(next) = next else {
            advice.mended = Some(changed);
            return advice;
        };
        current = changed;
        let Some((_, more)) = search.look(&current, &next, None) else { break };
        candidates = more;
        before = (next.at, next.reason);
    }
    // It does not pass with these.
    advice.changes.clear();
    advice
}

struct Search<'s> {
    object: &'s Object,
    kernel: Kernel,
    terms: &'s Terms<'s>,
    tried: usize,
    budget: u64,
}

/// A changed program, the change, and why it is refused still.
type Better = (Program, Change, Option<Rejection>);

impl Search<'_> {
    /// Verifies a program that is refused once more and looks at the way.
    fn look(
        &mut self,
        program: &Program,
        rejection: &Rejection,
        origins: Option<&mut Vec<Origin>>,
    ) -> Option<(Trail, Vec<Candidate>)> {
        let mut verifier = crate::prepare(self.object, program, self.kernel, self.terms).ok()?;
        match verifier.run() {
            Err((at, Stop::Reject(reason))) if at == rejection.at && reason == rejection.reason => {}
            _ => return None,
        }
        self.budget = self.budget.saturating_sub(verifier.processed);
        let way = verifier.way();
        let mut fresh = crate::prepare(self.object, program, self.kernel, self.terms).ok()?;
        let trail = Trail::follow(way, &mut fresh);
        let op = verifier.code.op(rejection.at)?;
        if let (Some(origins), Some(reg)) = (origins, subject(&rejection.reason, op, trail.last())) {
            *origins = trail.origins(reg);
        }
        let mut found = Vec::new();
        if let Some(state) = trail.last() {
            let mut scene = Scene { verifier: &verifier, trail: &trail, state, at: rejection.at, op, found };
            scene.candidates(&rejection.reason);
            found = scene.found;
        }
        Some((trail, found))
    }

    /// The first candidate with which the program passes, or else the first with which it comes to another refusal.
    fn try_all(&mut self, program: &Program, candidates: &[Candidate], before: &(u32, Reason)) -> Option<Better> {
        let mut partly = None;
        for candidate in candidates {
            if self.tried >= TRIED || self.budget == 0 {
                break;
            }
            self.tried += 1;
            let Some(changed) = candidate.apply(program) else { continue };
            let Ok(mut verifier) = crate::prepare(self.object, &changed, self.kernel, self.terms) else { continue };
            let end = verifier.run().and_then(|()| verifier.check_stacks());
            self.budget = self.budget.saturating_sub(verifier.processed);
            let path = verifier.path();
            drop(verifier);
            match end {
                Ok(_) => return Some((changed, candidate.change(program), None)),
                Err((at, Stop::Reject(reason))) if partly.is_none() => {
                    // The same refusal behind the change is none that is gone.
                    let count = u32::try_from(candidate.insns.len()).unwrap_or(u32::MAX);
                    let moved = at == before.0 || at == before.0.saturating_add(count);
                    let same = moved && std::mem::discriminant(&reason) == std::mem::discriminant(&before.1);
                    let earlier = at < candidate.at.saturating_add(count) && at >= candidate.at;
                    if !earlier && (!same || reason != before.1 && matches!(reason, Reason::StackUnwritten(_))) {
                        partly = Some((changed, candidate.change(program), Some(Rejection { at, reason, path })));
                    }
                }
                Err(_) => {}
            }
        }
        partly
    }
}

impl Candidate {
    fn apply(&self, program: &Program) -> Option<Program> {
        match self.replaces {
            true => edit::replace(program, self.at, &self.insns),
            false => edit::insert(program, self.at, &self.insns),
        }
    }

    fn change(&self, program: &Program) -> Change {
        let line = program.line_of(skep_isa::ebpf::InsnIdx::new(self.at as usize)).filter(|line| line.line > 0);
        let ops = skep_isa::ebpf::decode_program(&self.insns);
        let code = ops.map_or_else(|_| Vec::new(), |ops| ops.iter().map(|(_, op)| shown(op)).collect());
        Change { words: self.words.clone(), at: self.at, line: line.cloned(), code }
    }
}

fn shown(op: &Op) -> String {
    line(op, Notation::Plain)
}

/// The register that a refusal is about.
fn subject(reason: &Reason, op: Op, state: Option<&State>) -> Option<u8> {
    let operands = match op {
        Op::Alu { dst, src: Src::Reg(src), .. } => Some((dst, src)),
        _ => None,
    };
    match reason {
        Reason::Unwritten(reg)
        | Reason::NumberAsAddress(reg)
        | Reason::NullableAccess(reg, _)
        | Reason::NoAccess(reg, _)
        | Reason::BelowStart { reg, .. }
        | Reason::BehindEnd { reg, .. }
        | Reason::OutsidePacket { reg, .. }
        | Reason::Size { reg, .. }
        | Reason::ZeroSize(reg)
        | Reason::Argument { reg, .. }
        | Reason::KfuncArgument(_, reg, _) => Some(*reg),
        Reason::Unbounded { .. } | Reason::OffsetRange(_) => {
            let (dst, src) = operands?;
            let is_number = state?.reg(src.index()).is_number();
            Some(if is_number { src.number() } else { dst.number() })
        }
        Reason::NullableArithmetic(_) => match op {
            Op::Alu { dst, .. } if state?.reg(dst.index()).nullable => Some(dst.number()),
            _ => operands.map(|(_, src)| src.number()),
        },
        Reason::Result { .. } | Reason::ResultKind(_) => Some(0),
        Reason::MovedContext => match op {
            Op::Load { base, .. } | Op::Store { base, .. } => Some(base.number()),
            _ => None,
        },
        _ => None,
    }
}

/// A size of so many bytes.
fn sized(bytes: u32) -> Option<Size> {
    [Size::B, Size::H, Size::W, Size::DW].into_iter().find(|size| size.bytes() == bytes)
}

/// `dst = src`
fn copy(dst: Register, src: Register) -> Op {
    Op::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Src::Reg(src) }
}

/// `dst = imm`
fn set(dst: Register, imm: i32) -> Op {
    Op::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Src::Imm(imm) }
}

/// `dst += imm`
fn add(dst: Register, imm: i32) -> Op {
    Op::Alu { width: Width::W64, op: AluOp::Add, dst, src: Src::Imm(imm) }
}

/// `if dst OP src goto +off`
fn jump(op: JmpOp, dst: Register, src: Src, off: i16) -> Op {
    Op::JumpIf { width: Width::W64, op, dst, src, off }
}

impl<'v> Scene<'v, '_> {
    fn candidates(&mut self, reason: &Reason) {
        match reason {
            Reason::NullableAccess(..) | Reason::NullableArithmetic(_) => self.test_null(reason),
            Reason::Argument { nullable: true, .. } | Reason::KfuncArgument(..) => self.test_null(reason),
            Reason::OutsidePacket { off, size, .. } => self.test_packet(*off, *size),
            Reason::BehindEnd { reg, kind, .. } | Reason::BelowStart { reg, kind, .. } => {
                self.bound_index(*reg, *kind);
                self.bound_size(*reg + 1);
            }
            Reason::Unbounded { kind, .. } => self.bound_operand(*kind),
            Reason::OffsetRange(_) => self.bound_moved(),
            Reason::Size { reg, .. } | Reason::ZeroSize(reg) => self.bound_size(*reg),
            Reason::Unwritten(reg) => self.give_value(*reg),
            Reason::StackUnwritten(off) => self.clear_stack(*off),
            Reason::StackRange(..) | Reason::Misaligned { .. } => self.move_on_stack(),
            Reason::Result { .. } | Reason::ResultKind(_) => self.result(),
            Reason::NumberAsAddress(reg) => self.read_kernel(*reg),
            Reason::Context { off, size, write } => self.context(*off, *size, *write),
            Reason::MovedContext => self.leave_out("without this access"),
            Reason::HelperRefused(id) => self.other_helper(*id),
            Reason::KfuncRefused(_) | Reason::Licence(_) => self.without_call(),
            Reason::Unreleased(at) => self.give_back(*at),
            Reason::Rule(rule) => self.lock(rule),
            _ => {}
        }
        if let Reason::KfuncArgument(_, reg, rule) = reason {
            self.lock_argument(*reg, rule);
        }
    }

    fn offer(&mut self, at: u32, ops: &[Op], words: String) {
        self.found.push(Candidate { words, at, insns: edit::emit(ops), replaces: false });
    }

    fn offer_instead(&mut self, at: u32, ops: &[Op], words: String) {
        self.found.push(Candidate { words, at, insns: edit::emit(ops), replaces: true });
    }

    /// Results with which the function that runs at a depth may be left.
    fn results(&self, depth: u8) -> Vec<i32> {
        if depth > 0 {
            return vec![0, 1];
        }
        let usual = match self.verifier.program.prog_type {
            ProgType::Xdp => 2,
            ProgType::CgroupSkb | ProgType::CgroupSock | ProgType::CgroupSockAddr | ProgType::CgroupDevice => 1,
            ProgType::CgroupSysctl | ProgType::CgroupSockopt => 1,
            _ => 0,
        };
        match &self.verifier.hook.results {
            Some(allowed) if !allowed.contains(&usual.into()) => {
                allowed.iter().filter_map(|value| i32::try_from(*value).ok()).take(2).collect()
            }
            _ => vec![usual],
        }
    }

    /// Goes on only where a condition holds, else leaves the function; `first` comes before the test.
    fn leave_unless(&mut self, at: u32, depth: u8, first: &[Op], test: (JmpOp, Register, Src), words: &str) {
        for result in self.results(depth) {
            let mut ops = first.to_vec();
            ops.extend([jump(test.0, test.1, test.2, 2), set(Register::R0, result), Op::Exit]);
            self.offer(at, &ops, format!("{words}, and leave with {result} where it is not so"));
        }
    }

    /// Goes around the instruction where a condition does not hold.
    fn skip_unless(&mut self, test: (JmpOp, Register, Src), words: &str) {
        let around = match self.op {
            Op::Load { dst, .. } => vec![set(dst, 0)],
            Op::Call(_) => vec![set(Register::R0, 0)],
            Op::Store { .. } => Vec::new(),
            _ => return,
        };
        // The instruction itself is the last: who leaves it out jumps over it.
        let mut ops = vec![jump(test.0, test.1, test.2, i16::try_from(around.len() + 1).unwrap_or(1))];
        ops.extend(around);
        ops.extend([Op::Goto { off: 1 }, self.op]);
        self.offer_instead(self.at, &ops, format!("{words}, and go around this instruction where it is not so"));
    }

    /// Registers of the running function that nobody reads any more at an instruction.
    fn free(&self, at: u32) -> impl Iterator<Item = Register> + use<'v> {
        let live = self.verifier.live.get(at as usize).copied().unwrap_or(u16::MAX);
        let mut used = 0;
        for reg in read_and_written(self.op) {
            used |= 1u16 << reg.index();
        }
        (0..10).filter_map(Register::new).filter(move |reg| (live | used) & (1 << reg.index()) == 0)
    }

    fn value(&self, reg: u8) -> &'v Reg {
        self.state.reg(reg.into())
    }

    /// A place below the stack that the running function uses.
    fn spare_stack(&self) -> Option<i16> {
        let function = self.state.current().function as usize;
        let used = self.verifier.stack.get(function).copied().unwrap_or(0);
        let deep = used.next_multiple_of(8) + 8;
        (deep <= crate::state::STACK - 64).then(|| i16::try_from(deep).map(|deep| -deep).ok()).flatten()
    }
}

/// The registers that an access names as operands.
fn read_and_written(op: Op) -> Vec<Register> {
    match op {
        Op::Load { base, .. } | Op::LoadAcquire { base, .. } => vec![base],
        Op::Store { base, src: Src::Reg(src), .. } => vec![base, src],
        Op::Store { base, .. } => vec![base],
        Op::Call(_) => [Register::R1, Register::R2, Register::R3, Register::R4, Register::R5].to_vec(),
        _ => Vec::new(),
    }
}

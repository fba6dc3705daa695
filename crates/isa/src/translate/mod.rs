//! Translation of classic programs to 64-bit programs for socket filters.
//!
//! In: a classic program of sound structure, of any length up to a million instructions. Out: a 64-bit program of
//! type socket filter with the kernel's semantics of the classic one (`bpf_convert_filter` in `net/core/filter.c`):
//! loads outside of the packet and divisions by zero end it with 0, a question about the device of a packet that has
//! none ends it with A, shift counts are taken modulo 32, ancillary words come from `struct __sk_buff`.
//!
//! Registers: `r0` is A, `r7` is X, `r6` the context, `r8` is scratch; `M[k]` is at `r10 - 64 + 4k`. A, X and words
//! of M that may be read before they are written start as zero. Instructions that cannot be reached are dropped,
//! because the verifier refuses them.
//!
//! Not done here: optimisation. One classic instruction becomes a fixed short sequence.

#[doc(hidden)]
pub mod fuzz;
mod layout;
mod liveness;

use std::fmt;

use crate::classic::{self, Ancillary, CheckError, Source, ancillary};
use crate::ebpf::{AluOp, Callee, Cpu, Imm64, Insn, InsnIdx, JmpOp, Op, Order, Reg, Size, Src, Width};
use layout::Layout;
use liveness::{Live, live_sets, reachable};

const A: Reg = Reg::R0;
const CTX: Reg = Reg::R6;
const X: Reg = Reg::R7;
const TMP: Reg = Reg::R8;
/// Offset of `len` in `struct __sk_buff`.
const SKB_LEN: i16 = 0;

/// Where the key of a look-up lies, below the scratch words.
const KEY: i16 = -72;
/// `bpf_map_lookup_elem` (linux/bpf.h).
const MAP_LOOKUP_ELEM: i32 = 1;

/// What the target understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Newest instructions that may be used. [`Cpu::V3`] (the default) needs Linux 5.1; [`Cpu::V4`] needs 6.6 and
    /// lets programs of any shape grow beyond the reach of 16-bit jumps.
    pub cpu: Cpu,
}

impl Default for Options {
    fn default() -> Self {
        Self { cpu: Cpu::V3 }
    }
}

/// A translated program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// The 64-bit program.
    pub insns: Vec<Insn>,
    /// For each classic instruction the first slot of its translation, `None` if it cannot be reached.
    pub starts: Vec<Option<InsnIdx>>,
}

/// Why a program cannot be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TranslateError {
    /// The classic program is not valid.
    Invalid(CheckError),
    /// An instruction reads an ancillary word that 64-bit programs cannot read.
    Ancillary {
        /// Index of the classic instruction.
        at: usize,
        /// The word.
        word: &'static Ancillary,
        /// Why not.
        reason: &'static str,
    },
    /// More jump targets are open at this instruction than 16-bit jumps can serve.
    JumpsTooFar {
        /// Index of the classic instruction.
        at: usize,
    },
    /// The program has more instructions than any kernel takes; the number of them.
    TooLong(usize),
}

impl fmt::Display for TranslateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Ancillary { at, word, reason } => write!(
                f,
                "instruction {at} reads `{}` (SKF_AD_{}), which a 64-bit program cannot: {reason}; \
                 attach the classic program instead",
                word.name, word.constant
            ),
            Self::JumpsTooFar { at } => {
                write!(f, "too many long jumps cross instruction {at}; allow the instruction set v4 (Linux 6.6)")
            }
            Self::TooLong(len) => {
                write!(f, "the program has {len} instructions, at most {MAX_CLASSIC} can be translated")
            }
        }
    }
}

impl std::error::Error for TranslateError {}

/// Largest classic program that is translated: as many instructions as the verifier is willing to look at.
const MAX_CLASSIC: usize = 1_000_000;

/// Translates a classic program into a socket filter of the 64-bit machine.
///
/// # Errors
/// Programs of no sound structure ([`classic::check_structure`]), ancillary words out of reach, and, before
/// [`Cpu::V4`], programs with thousands of crossing jumps longer than 32,767 instructions.
pub fn translate(program: &[classic::Insn], options: &Options) -> Result<Translation, TranslateError> {
    translate_with_lookups(program, options, &[])
}

/// Replaces an instruction by a look-up in a hash map.
///
/// The instruction has to be one that computes the accumulator from itself (`and #0`) or from both registers
/// (`and x`): it stands for `A = map[(X, A)]`, or `map[(0, A)]` in the first form, and 0 where the map has no such key.
/// Keys are two and values one 32-bit number, in the machine's byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    /// Index of the classic instruction.
    pub at: usize,
    /// The map.
    pub map: Imm64,
}

/// [`translate`], with look-ups in maps in place of some instructions. `lookups` is in ascending order.
///
/// # Errors
/// As [`translate`].
pub fn translate_with_lookups(
    program: &[classic::Insn],
    options: &Options,
    lookups: &[Lookup],
) -> Result<Translation, TranslateError> {
    if program.len() > MAX_CLASSIC {
        return Err(TranslateError::TooLong(program.len()));
    }
    classic::check_structure(program).map_err(TranslateError::Invalid)?;
    let ops: Vec<classic::Op> = program.iter().filter_map(classic::Insn::decode).collect();
    let reachable = reachable(&ops);
    let live = live_sets(&ops);
    let mut emitter = Emitter { layout: Layout::new(ops.len(), options.cpu), cpu: options.cpu };
    emitter.prologue(&ops, live.first().copied().unwrap_or(Live::NONE));
    for (at, op) in ops.iter().enumerate() {
        if reachable[at] {
            emitter.layout.start(at)?;
            let live_after = live.get(at + 1).copied().unwrap_or(Live::NONE);
            match lookups.binary_search_by_key(&at, |l| l.at) {
                Ok(i) => emitter.lookup(lookups[i].map, matches!(op, classic::Op::AluX(_))),
                Err(_) => emitter.insn(at, *op, live_after)?,
            }
        }
    }
    Ok(emitter.layout.finish())
}

struct Emitter {
    layout: Layout,
    cpu: Cpu,
}

impl Emitter {
    fn emit(&mut self, op: Op) {
        self.layout.emit(op);
    }

    fn alu(&mut self, op: AluOp, dst: Reg, src: Src) {
        self.emit(Op::Alu { width: Width::W32, op, dst, src });
    }

    fn exit_with(&mut self, value: u32) {
        self.alu(AluOp::Mov, A, Src::Imm(value as i32));
        self.emit(Op::Exit);
    }

    /// Saves the context and clears whatever may be read before it is written.
    fn prologue(&mut self, ops: &[classic::Op], live: Live) {
        if ops.iter().any(reads_context) {
            self.emit(Op::mov(CTX, Reg::R1));
        }
        if live.contains(Live::A) {
            self.alu(AluOp::Mov, A, Src::Imm(0));
        }
        if live.contains(Live::X) {
            self.alu(AluOp::Mov, X, Src::Imm(0));
        }
        for k in (0..classic::SCRATCH_WORDS).filter(|&k| live.contains(Live::word(k))) {
            self.emit(Op::Store { size: Size::W, base: Reg::R10, off: scratch(k), src: Src::Imm(0) });
        }
    }

    fn insn(&mut self, at: usize, op: classic::Op, live_after: Live) -> Result<(), TranslateError> {
        use classic::Op as C;
        match op {
            C::LdAbs(size, k) => match ancillary(k) {
                Some(word) => self.ancillary(at, word)?,
                None => self.emit(Op::LdAbs { size: width(size), k: k as i32 }),
            },
            C::LdInd(size, k) => self.emit(Op::LdInd { size: width(size), src: X, k: k as i32 }),
            C::LdImm(k) => self.alu(AluOp::Mov, A, Src::Imm(k as i32)),
            C::LdxImm(k) => self.alu(AluOp::Mov, X, Src::Imm(k as i32)),
            C::LdMem(k) => self.load(A, Reg::R10, scratch(k)),
            C::LdxMem(k) => self.load(X, Reg::R10, scratch(k)),
            C::LdLen => self.load(A, CTX, SKB_LEN),
            C::LdxLen => self.load(X, CTX, SKB_LEN),
            C::LdxMsh(k) => self.header_length(k, live_after.contains(Live::A)),
            C::St(k) => self.emit(Op::Store { size: Size::W, base: Reg::R10, off: scratch(k), src: Src::Reg(A) }),
            C::Stx(k) => self.emit(Op::Store { size: Size::W, base: Reg::R10, off: scratch(k), src: Src::Reg(X) }),
            C::AluK(op, k) => self.alu(alu(op), A, Src::Imm(k as i32)),
            C::AluX(op) => {
                if matches!(op, classic::AluOp::Div | classic::AluOp::Mod) {
                    self.end_unless_x();
                }
                self.alu(alu(op), A, Src::Reg(X));
            }
            C::Neg => self.emit(Op::Neg { width: Width::W32, dst: A }),
            C::Ja(k) => self.layout.goto(at, k),
            C::JumpK { op, k, jt, jf } => {
                let src = self.constant(k);
                self.jump(at, condition(op), src, jt, jf);
            }
            C::JumpX { op, jt, jf } => self.jump(at, condition(op), Src::Reg(X), jt, jf),
            C::RetK(k) => self.exit_with(k),
            C::RetA => self.emit(Op::Exit),
            C::Tax => self.alu(AluOp::Mov, X, Src::Reg(A)),
            C::Txa => self.alu(AluOp::Mov, A, Src::Reg(X)),
        }
        Ok(())
    }

    /// `A = map[(state, A)]`, where the state is X or 0; 0 where there is no such key.
    fn lookup(&mut self, map: Imm64, with_state: bool) {
        let state = if with_state { Src::Reg(X) } else { Src::Imm(0) };
        self.emit(Op::Store { size: Size::W, base: Reg::R10, off: KEY, src: state });
        self.emit(Op::Store { size: Size::W, base: Reg::R10, off: KEY + 4, src: Src::Reg(A) });
        self.emit(Op::mov(Reg::R2, Reg::R10));
        self.emit(Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R2, src: Src::Imm(KEY.into()) });
        self.emit(Op::LoadImm { dst: Reg::R1, value: map });
        self.emit(Op::Call(Callee::Helper(MAP_LOOKUP_ELEM)));
        // A null pointer is the 0 that A becomes.
        self.emit(Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: A, src: Src::Imm(0), off: 1 });
        self.load(A, A, 0);
    }

    fn load(&mut self, dst: Reg, base: Reg, off: i16) {
        self.emit(Op::Load { size: Size::W, signed: false, dst, base, off });
    }

    /// `X = 4 * (packet[k] & 0xf)`. Packet loads always go to `r0`, so A moves out of the way if it is needed.
    fn header_length(&mut self, k: u32, keep_a: bool) {
        if keep_a {
            self.emit(Op::mov(TMP, A));
        }
        self.emit(Op::LdAbs { size: Size::B, k: k as i32 });
        self.alu(AluOp::And, A, Src::Imm(15));
        self.alu(AluOp::Lsh, A, Src::Imm(2));
        self.alu(AluOp::Mov, X, Src::Reg(A));
        if keep_a {
            self.emit(Op::mov(A, TMP));
        }
    }

    fn ancillary(&mut self, at: usize, word: &'static Ancillary) -> Result<(), TranslateError> {
        match word.source {
            Source::Field(off) => self.load(A, CTX, off),
            Source::FieldBe16(off) => {
                self.load(A, CTX, off);
                self.emit(Op::Swap { order: Order::Big, size: Size::H, dst: A });
            }
            Source::FieldOfDevice(off) => {
                self.load(TMP, CTX, off);
                // Without a device the kernel ends a classic program with whatever A holds.
                let width = self.jump_width();
                self.emit(Op::JumpIf { width, op: JmpOp::Ne, dst: TMP, src: Src::Imm(0), off: 1 });
                self.emit(Op::Exit);
                self.alu(AluOp::Mov, A, Src::Reg(TMP));
            }
            Source::Helper(id) => self.emit(Op::Call(Callee::Helper(id as i32))),
            Source::XorX => self.alu(AluOp::Xor, A, Src::Reg(X)),
            Source::Unreachable(reason) => return Err(TranslateError::Ancillary { at, word, reason }),
        }
        Ok(())
    }

    /// Ends the program with 0 if X is zero.
    fn end_unless_x(&mut self) {
        let width = self.jump_width();
        self.emit(Op::JumpIf { width, op: JmpOp::Ne, dst: X, src: Src::Imm(0), off: 2 });
        self.exit_with(0);
    }

    /// The constant as the operand of a jump.
    ///
    /// Without 32-bit jumps, a constant with its top bit set would be sign-extended and must go through a register.
    fn constant(&mut self, k: u32) -> Src {
        let imm = k as i32;
        if imm >= 0 || self.jump_width() == Width::W32 {
            return Src::Imm(imm);
        }
        self.alu(AluOp::Mov, TMP, Src::Imm(imm));
        Src::Reg(TMP)
    }

    /// Registers always hold zero-extended values, so 64-bit jumps decide alike where 32-bit ones do not exist.
    fn jump_width(&self) -> Width {
        if self.cpu >= Cpu::V3 { Width::W32 } else { Width::W64 }
    }

    fn jump(&mut self, at: usize, op: JmpOp, src: Src, jt: u8, jf: u8) {
        let width = self.jump_width();
        let inverse = op.inverse().filter(|inverse| self.cpu >= Cpu::V2 || *inverse == JmpOp::Ne);
        let branch = |op| Op::JumpIf { width, op, dst: A, src, off: 0 };
        match (jt, jf, inverse) {
            (jt, jf, _) if jt == jf => self.layout.goto(at, jt.into()),
            (jt, 0, _) => self.layout.branch(branch(op), at, jt.into()),
            (0, jf, Some(inverse)) => self.layout.branch(branch(inverse), at, jf.into()),
            (0, jf, None) => {
                self.emit(Op::JumpIf { width, op, dst: A, src, off: 1 });
                self.layout.goto(at, jf.into());
                // The branch just emitted skips the goto, so the next instruction can be reached from here.
                self.layout.falls_through();
            }
            (jt, jf, _) => {
                self.layout.branch(branch(op), at, jt.into());
                self.layout.goto(at, jf.into());
            }
        }
    }
}

fn reads_context(op: &classic::Op) -> bool {
    use classic::Op as C;
    matches!(op, C::LdAbs(..) | C::LdInd(..) | C::LdLen | C::LdxLen | C::LdxMsh(_))
}

/// Where `M[k]` lies, relative to the frame pointer.
fn scratch(k: u32) -> i16 {
    k as i16 * 4 - 64
}

fn width(size: classic::Size) -> Size {
    match size {
        classic::Size::Word => Size::W,
        classic::Size::Half => Size::H,
        classic::Size::Byte => Size::B,
    }
}

fn alu(op: classic::AluOp) -> AluOp {
    match op {
        classic::AluOp::Add => AluOp::Add,
        classic::AluOp::Sub => AluOp::Sub,
        classic::AluOp::Mul => AluOp::Mul,
        classic::AluOp::Div => AluOp::Div,
        classic::AluOp::Or => AluOp::Or,
        classic::AluOp::And => AluOp::And,
        classic::AluOp::Lsh => AluOp::Lsh,
        classic::AluOp::Rsh => AluOp::Rsh,
        classic::AluOp::Mod => AluOp::Mod,
        classic::AluOp::Xor => AluOp::Xor,
    }
}

fn condition(op: classic::JmpOp) -> JmpOp {
    match op {
        classic::JmpOp::Eq => JmpOp::Eq,
        classic::JmpOp::Gt => JmpOp::Gt,
        classic::JmpOp::Ge => JmpOp::Ge,
        classic::JmpOp::Set => JmpOp::Set,
    }
}

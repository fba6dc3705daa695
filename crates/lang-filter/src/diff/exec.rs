//! Runs a classic program on all packets at once: the result is the function "the program keeps the packet", and
//! which packets are too short for it.
//!
//! All jumps go forward, so every instruction is visited once, with the condition under which it is reached. Paths
//! that meet are merged; where they bring different registers, a few versions are kept side by side before the
//! registers themselves become choices.

use skep_isa::classic::{AluOp, Insn, JmpOp, Op, SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF, Size};

use super::bdd::{Bounded, Ref};
use super::inputs::{self, Base, MAX_LEN, Open};
use super::live::{A, REGS, X, live_registers, word};
use super::words::{WordId, Words};

/// Most register contents kept apart at one instruction.
const MAX_VERSIONS: usize = 8;
/// Conditions remembered as known in one state, so that repeated loads need not be conjoined again.
const MAX_KNOWN: usize = 8;

/// The level that tells whether the ancillary word with this number can be read; `None` if it always can.
pub(super) fn device_of(number: u32) -> Option<u32> {
    // Both come from the same device.
    matches!(number, word::IFINDEX | word::HATYPE).then(|| inputs::device_level(word::IFINDEX))
}

/// What is known where an instruction is reached.
#[derive(Debug, Clone)]
struct State {
    /// When this state is reached.
    when: Ref,
    /// The packet has at least this many bytes whenever it is.
    min_len: u32,
    /// Other conditions that follow from `when`.
    known: Vec<Ref>,
    regs: [WordId; REGS],
}

impl State {
    fn implies(&self, condition: Ref) -> bool {
        condition == Ref::TRUE || self.known.contains(&condition)
    }

    fn learn(&mut self, condition: Ref) {
        if self.known.len() == MAX_KNOWN {
            self.known.remove(0);
        }
        self.known.push(condition);
    }
}

/// When a load succeeds.
enum Inside {
    /// If the packet is at least this long.
    AtLeast(u32),
    /// If this holds.
    When(Ref),
}

/// What a program does with all packets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    /// The packets that it keeps.
    pub(super) keeps: Ref,
    /// The packets that it rejects because they end before something that it loads.
    pub(super) too_short: Ref,
}

/// What `program`, which has passed `check_structure`, does with all packets.
///
/// `keep` lists functions of the caller that must survive.
pub(super) fn verdict(words: &mut Words, program: &[Insn], keep: &[Ref]) -> Bounded<Verdict> {
    let ops: Vec<Op> = program.iter().filter_map(Insn::decode).collect();
    let live = live_registers(&ops);
    let verdict = Verdict { keeps: Ref::FALSE, too_short: Ref::FALSE };
    let mut run = Run { words, live, waiting: vec![Vec::new(); ops.len()], verdict };
    let start = State { when: Ref::TRUE, min_len: 0, known: Vec::new(), regs: [Words::ZERO; REGS] };
    run.arrive(0, start)?;
    let mut collect_at = COLLECT_MIN;
    for (at, &op) in ops.iter().enumerate() {
        if run.words.bdd.node_count() > collect_at {
            run.collect(keep);
            collect_at = COLLECT_MIN.max(run.words.bdd.node_count() * 2);
        }
        for state in std::mem::take(&mut run.waiting[at]) {
            run.step(at, op, state)?;
        }
    }
    Ok(run.verdict)
}

/// Below this number of nodes it is not worth looking for garbage.
const COLLECT_MIN: usize = 1 << 19;

struct Run<'a> {
    words: &'a mut Words,
    live: Vec<u32>,
    waiting: Vec<Vec<State>>,
    verdict: Verdict,
}

impl Run<'_> {
    fn collect(&mut self, keep: &[Ref]) {
        let mut roots: Vec<Ref> = keep.to_vec();
        roots.extend([self.verdict.keeps, self.verdict.too_short]);
        for state in self.waiting.iter().flatten() {
            roots.push(state.when);
            roots.extend(&state.known);
        }
        roots.extend(self.words.roots());
        self.words.bdd.collect(&roots);
    }

    /// Executes one instruction in one state.
    fn step(&mut self, at: usize, op: Op, mut state: State) -> Bounded<()> {
        match op {
            Op::LdAbs(_, k) if k >= SKF_AD_OFF => {
                let Some(value) = self.ancillary((k - SKF_AD_OFF) / 4, &mut state)? else { return Ok(()) };
                state.regs[A] = value;
            }
            Op::LdAbs(size, k) => {
                let (inside, value) = self.load(k, size)?;
                if !self.require_inside(&mut state, inside)? {
                    return Ok(());
                }
                state.regs[A] = value;
            }
            Op::LdInd(size, k) => {
                let (inside, value) = self.load_indirect(state.regs[X], k, size)?;
                if !self.require_inside(&mut state, inside)? {
                    return Ok(());
                }
                state.regs[A] = value;
            }
            Op::LdxMsh(k) => {
                let (inside, byte) = self.load(k, Size::Byte)?;
                if !self.require_inside(&mut state, inside)? {
                    return Ok(());
                }
                let (mask, two) = (self.words.constant(0xf)?, self.words.constant(2)?);
                let nibble = self.words.alu(AluOp::And, byte, mask)?;
                state.regs[X] = self.words.alu(AluOp::Lsh, nibble, two)?;
            }
            Op::LdImm(k) => state.regs[A] = self.words.constant(k)?,
            Op::LdxImm(k) => state.regs[X] = self.words.constant(k)?,
            Op::LdLen => state.regs[A] = self.words.packet_len()?,
            Op::LdxLen => state.regs[X] = self.words.packet_len()?,
            Op::LdMem(k) => state.regs[A] = state.regs[k as usize % A],
            Op::LdxMem(k) => state.regs[X] = state.regs[k as usize % A],
            Op::St(k) => state.regs[k as usize % A] = state.regs[A],
            Op::Stx(k) => state.regs[k as usize % A] = state.regs[X],
            Op::Tax => state.regs[X] = state.regs[A],
            Op::Txa => state.regs[A] = state.regs[X],
            Op::Neg => state.regs[A] = self.words.alu(AluOp::Sub, Words::ZERO, state.regs[A])?,
            Op::AluK(op, k) => {
                let k = self.words.constant(k)?;
                state.regs[A] = self.words.alu(op, state.regs[A], k)?;
            }
            Op::AluX(op) => {
                let x = state.regs[X];
                if matches!(op, AluOp::Div | AluOp::Mod) {
                    let zero = self.words.test(JmpOp::Eq, x, Words::ZERO)?;
                    if !self.require(&mut state, zero.not())? {
                        return Ok(());
                    }
                }
                state.regs[A] = self.words.alu(op, state.regs[A], x)?;
            }
            Op::Ja(k) => return self.arrive(at + 1 + k as usize, state),
            Op::JumpK { op, k, jt, jf } => {
                let k = self.words.constant(k)?;
                return self.branch(at, state, (op, k), jt, jf);
            }
            Op::JumpX { op, jt, jf } => {
                let x = state.regs[X];
                return self.branch(at, state, (op, x), jt, jf);
            }
            Op::RetK(0) => return Ok(()),
            Op::RetK(_) => return self.accept(state.when),
            Op::RetA => {
                let zero = self.words.test(JmpOp::Eq, state.regs[A], Words::ZERO)?;
                let when = self.words.bdd.and(state.when, zero.not())?;
                return self.accept(when);
            }
        }
        self.arrive(at + 1, state)
    }

    fn accept(&mut self, when: Ref) -> Bounded<()> {
        self.verdict.keeps = self.words.bdd.or(self.verdict.keeps, when)?;
        Ok(())
    }

    fn branch(&mut self, at: usize, mut state: State, test: (JmpOp, WordId), jt: u8, jf: u8) -> Bounded<()> {
        let (yes, no) = (at + 1 + usize::from(jt), at + 1 + usize::from(jf));
        if jt == jf {
            return self.arrive(yes, state);
        }
        let holds = self.words.test(test.0, state.regs[A], test.1)?;
        let mut other = state.clone();
        if self.require(&mut state, holds)? {
            self.arrive(yes, state)?;
        }
        if self.require(&mut other, holds.not())? {
            self.arrive(no, other)?;
        }
        Ok(())
    }

    /// Narrows the state to where `condition` holds; false if that is nowhere.
    fn require(&mut self, state: &mut State, condition: Ref) -> Bounded<bool> {
        if !state.implies(condition) {
            state.when = self.words.bdd.and(state.when, condition)?;
            state.learn(condition);
        }
        Ok(state.when != Ref::FALSE)
    }

    fn require_inside(&mut self, state: &mut State, inside: Inside) -> Bounded<bool> {
        let inside = match inside {
            Inside::AtLeast(n) if n <= state.min_len => return Ok(true),
            Inside::AtLeast(n) => {
                state.min_len = n;
                inputs::len_at_least(&mut self.words.bdd, n)?
            }
            Inside::When(condition) if state.implies(condition) => return Ok(true),
            Inside::When(condition) => {
                state.learn(condition);
                condition
            }
        };
        let outside = self.words.bdd.and(state.when, inside.not())?;
        self.verdict.too_short = self.words.bdd.or(self.verdict.too_short, outside)?;
        state.when = self.words.bdd.and(state.when, inside)?;
        Ok(state.when != Ref::FALSE)
    }

    /// Reaches the instruction at `target`.
    fn arrive(&mut self, target: usize, mut state: State) -> Bounded<()> {
        let Some(live) = self.live.get(target) else { return Ok(()) };
        for (number, reg) in state.regs.iter_mut().enumerate() {
            if live >> number & 1 == 0 {
                *reg = Words::ZERO;
            }
        }
        let versions = &self.waiting[target];
        let same = versions.iter().position(|other| other.regs == state.regs);
        let index = match same {
            Some(index) => index,
            None if versions.len() >= MAX_VERSIONS => {
                let mut merged = self.waiting[target].swap_remove(0);
                match self.words.sparingly(|words| choose_registers(words, &state, &merged))? {
                    Some(regs) => {
                        merged.regs = regs;
                        // A version with these registers may wait already; `arrive` will find it.
                        let merged = self.unite(merged, &state)?;
                        return self.arrive(target, merged);
                    }
                    None => {
                        self.waiting[target].push(merged);
                        self.waiting[target].push(state);
                        return Ok(());
                    }
                }
            }
            None => {
                self.waiting[target].push(state);
                return Ok(());
            }
        };
        let other = self.waiting[target].swap_remove(index);
        let united = self.unite(other, &state)?;
        self.waiting[target].push(united);
        Ok(())
    }

    /// The state that is reached when one of the two is; the registers are those of `state`.
    fn unite(&mut self, mut state: State, other: &State) -> Bounded<State> {
        state.when = self.words.bdd.or(state.when, other.when)?;
        state.min_len = state.min_len.min(other.min_len);
        state.known.retain(|condition| other.known.contains(condition));
        Ok(state)
    }

    /// The ancillary word with number `number`; `None` if the program always ends here.
    fn ancillary(&mut self, number: u32, state: &mut State) -> Bounded<Option<WordId>> {
        let (a, x) = (state.regs[A], state.regs[X]);
        match number {
            word::XOR_X => return self.words.alu(AluOp::Xor, a, x).map(Some),
            word::NLATTR | word::NLATTR_NEST => {
                return self.words.open(Open::Attribute(number, a, x), 32).map(Some);
            }
            _ => {}
        }
        if let Some(level) = device_of(number) {
            let device = self.words.bdd.var(level)?;
            if !self.require(state, device)? {
                return Ok(None);
            }
        }
        let width = skep_isa::classic::ANCILLARY.get(number as usize).map_or(32, |word| u32::from(word.bits));
        let mut bits = [Ref::FALSE; 32];
        for (i, bit) in (0..width).zip(&mut bits) {
            *bit = self.words.bdd.var(inputs::ancillary_level(number, i))?;
        }
        self.words.intern(bits).map(Some)
    }

    /// `size` bytes at a fixed address, as the kernel understands addresses from 2^31 on.
    fn load(&mut self, address: u32, size: Size) -> Bounded<(Inside, WordId)> {
        let at = match address {
            SKF_NET_OFF.. => return self.load_open(Base::Network, address - SKF_NET_OFF, size),
            SKF_LL_OFF.. => address - SKF_LL_OFF,
            _ => address,
        };
        let end = at.saturating_add(size.bytes());
        if end > MAX_LEN {
            return Ok((Inside::When(Ref::FALSE), Words::ZERO));
        }
        let mut bits = [Ref::FALSE; 32];
        for (i, bit) in (0..size.bytes() * 8).zip(&mut bits) {
            *bit = self.words.bdd.var(inputs::packet_level(end - 1 - i / 8, i % 8))?;
        }
        Ok((Inside::AtLeast(end), self.words.intern(bits)?))
    }

    /// `size` bytes at `x + k`: a choice among the values of X, or left open if X can have too many.
    fn load_indirect(&mut self, x: WordId, k: u32, size: Size) -> Bounded<(Inside, WordId)> {
        if let Some(x) = self.words.as_const(x) {
            return self.load(x.wrapping_add(k), size);
        }
        if let Some(values) = self.words.values(x)?
            && let Some((inside, bits)) = self.words_at(&values, k, size)?
        {
            return Ok((Inside::When(inside), self.words.intern(bits)?));
        }
        if let Some((base, k)) = self.open_base(x, k)? {
            return self.load_open(Base::Word(base), k, size);
        }
        // The address may wrap around, so that a larger distance says nothing about a smaller one.
        let (_, word) = self.load_open(Base::Word(x), k, size)?;
        let inside = self.words.open_bit(Open::Inside(x, k, size))?;
        Ok((Inside::When(inside), word))
    }

    /// The address `x + k`, which does not wrap around, as a distance from an address that is known already if
    /// possible; `None` if it may wrap around.
    fn open_base(&mut self, x: WordId, k: u32) -> Bounded<Option<(WordId, u32)>> {
        let fits = |words: &Words, x, k| words.max(x).checked_add(k).is_some_and(|top| top < SKF_LL_OFF);
        for base in self.words.inputs.bases() {
            if base != x {
                let distance = self.words.alu(AluOp::Sub, x, base)?;
                let Some(distance) = self.words.as_const(distance) else { continue };
                let total = k.wrapping_add(distance);
                if total < SKF_LL_OFF && fits(self.words, base, total) {
                    return Ok(Some((base, total)));
                }
            } else if fits(self.words, x, k) {
                return Ok(Some((x, k)));
            }
        }
        Ok(fits(self.words, x, k).then_some((x, k)))
    }

    /// The bytes at each of the addresses `value + k`, and when they lie inside the packet; `None` if too large.
    fn words_at(&mut self, values: &[(u32, Ref)], k: u32, size: Size) -> Bounded<Option<(Ref, [Ref; 32])>> {
        let mut inside = Ref::FALSE;
        let mut bits = [Ref::FALSE; 32];
        for &(value, when) in values {
            let (fits, word) = self.load(value.wrapping_add(k), size)?;
            let fits = match fits {
                Inside::AtLeast(n) => inputs::len_at_least(&mut self.words.bdd, n)?,
                Inside::When(condition) => condition,
            };
            let chosen = self.words.bits(word);
            let step = self.words.sparingly(|words| {
                let here = words.bdd.and(when, fits)?;
                Ok((words.bdd.or(inside, here)?, words.choose(when, chosen, bits)?))
            })?;
            let Some(step) = step else { return Ok(None) };
            (inside, bits) = step;
        }
        Ok(Some((inside, bits)))
    }

    /// `size` bytes at distance `k` from an open address.
    fn load_open(&mut self, base: Base, k: u32, size: Size) -> Bounded<(Inside, WordId)> {
        let end = k.saturating_add(size.bytes());
        let first = self.words.inputs.room_level(base)?;
        let inside = inputs::at_least(&mut self.words.bdd, first, end)?;
        if inside == Ref::FALSE {
            return Ok((Inside::When(inside), Words::ZERO));
        }
        let mut bits = [Ref::FALSE; 32];
        for (i, bit) in (0..size.bytes() * 8).zip(&mut bits) {
            let level = self.words.inputs.open_level(Open::Byte(base, end - 1 - i / 8), 8, i % 8)?;
            *bit = self.words.bdd.var(level)?;
        }
        Ok((Inside::When(inside), self.words.intern(bits)?))
    }
}

/// The registers of `first` where that is reached, and of `second` elsewhere.
fn choose_registers(words: &mut Words, first: &State, second: &State) -> Bounded<[WordId; REGS]> {
    let mut regs = second.regs;
    for (reg, &other) in regs.iter_mut().zip(&first.regs) {
        if *reg != other {
            let (x, y) = (words.bits(other), words.bits(*reg));
            let bits = words.choose(first.when, x, y)?;
            *reg = words.intern(bits)?;
        }
    }
    Ok(regs)
}

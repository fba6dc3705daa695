//! What code generators are given: a program and everything that is known about it before a byte is emitted.

use skep_isa::ebpf::{Callee, Op, Reg, Size};

use crate::ebpf::facts::{self, Fact};
use crate::ebpf::flow::{self, Live, RegSet, writes};
use crate::ebpf::helpers::{Helpers, Kind};
use crate::ebpf::layout::FRAME_BYTES;
use crate::ebpf::program::{Program, Step};

/// How to generate code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// A verifier has proved that every access stays in bounds: no address is cut, no alignment checked.
    pub(crate) proved: bool,
    /// Constants of the program do not appear in the code: they are combined with this random number first.
    pub(crate) blinding: Option<u32>,
    /// The processor has the shifts of BMI2.
    pub(crate) bmi2: bool,
    /// Helpers can be reached by a call with a 32-bit distance.
    pub(crate) near: bool,
}

/// A map whose look-ups code may do itself: an array, whose values lie one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArrayMap {
    /// The handle that stands for it.
    pub(crate) handle: u64,
    /// Address of the first value.
    pub(crate) values: u32,
    /// Number of values.
    pub(crate) entries: u32,
    /// Distance of two values in bytes.
    pub(crate) stride: u32,
}

/// A program and what is known about it.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) program: &'a Program,
    /// Its index in the machine.
    pub(crate) number: u32,
    pub(crate) helpers: &'a Helpers,
    pub(crate) options: Options,
    /// For each step the registers that are live behind it.
    pub(crate) live: Vec<RegSet>,
    /// For each step the registers that are live in front of it.
    live_into: Vec<RegSet>,
    /// For each step what [`address`](Self::address) tells.
    facts: Vec<Fact>,
    /// Look-ups in arrays, in the order of their steps.
    lookups: Vec<(u32, ArrayMap)>,
    /// For each step whether a jump leads to it, and whether one comes from behind.
    pub(crate) targets: Vec<Target>,
}

/// What a function does before its first step, and undoes where it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Registers that it saves: those of its caller that it writes.
    pub(crate) saved: RegSet,
    /// Registers that it sets to zero when a run starts with it: what a program reads without having written it.
    pub(crate) zeroed: RegSet,
    /// Whether it is entered by calls as well, which give these registers values: then calls have a way in of their
    /// own.
    pub(crate) called: bool,
    /// Whether it calls something, for which the stack is aligned and the return address kept.
    pub(crate) calls: bool,
    /// Whether it counts what `may_goto` does.
    pub(crate) counts: bool,
}

/// How a helper is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HelperCall {
    /// Goes on in another program.
    Tail,
    /// A look-up that needs no call.
    Lookup(ArrayMap),
    Call {
        /// It needs to know who calls: its own number, that of the program, and the frame, in the state.
        announced: bool,
    },
}

/// How control reaches a step other than from the step in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Target {
    /// A jump leads here, or a function starts here.
    pub(crate) joined: bool,
    /// A jump backwards leads here.
    pub(crate) loops: bool,
}

/// The register in which a step has an address; see [`Plan::address`].
const fn address_register(op: Op) -> Option<Reg> {
    match op {
        Op::Load { base, .. }
        | Op::Store { base, .. }
        | Op::LoadAcquire { base, .. }
        | Op::StoreRelease { base, .. }
        | Op::Atomic { base, .. } => Some(base),
        Op::LdAbs { .. } | Op::LdInd { .. } => Some(Reg::R6),
        Op::Call(_) => Some(Reg::R2),
        _ => None,
    }
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        program: &'a Program,
        number: u32,
        helpers: &'a Helpers,
        arrays: &[ArrayMap],
        options: Options,
    ) -> Self {
        let mut targets = vec![Target::default(); program.steps.len()];
        for function in &program.functions {
            targets[function.start as usize].joined = true;
        }
        for (at, step) in (0..).zip(&program.steps) {
            if step.op.jump_distance().is_some() {
                let target = &mut targets[step.target as usize];
                target.joined = true;
                target.loops |= step.target <= at;
            }
        }
        let Live { into: live_into, out: live } = flow::live(&program.steps, helpers);
        let mut facts = Vec::with_capacity(program.steps.len());
        let mut lookups = Vec::new();
        facts::visit(program, helpers, |at, known| {
            let step = &program.steps[at];
            facts.push(address_register(step.op).map_or(Fact::Any, |reg| known[reg.index()]));
            if let (Op::Call(Callee::Helper(_)), Fact::Number(handle)) = (step.op, known[Reg::R1.index()])
                && helpers.at(step.target).is_some_and(|helper| helper.kind == Kind::MapLookup)
                && let Some(array) = arrays.iter().find(|array| array.handle == handle)
            {
                // Steps are fewer than a million.
                lookups.push((at as u32, *array));
            }
        });
        Self { program, number, helpers, options, live, live_into, facts, lookups, targets }
    }

    /// What is known about the register in which a step has an address: the base of an access, register 6 of a packet
    /// load, the key of a look-up.
    pub(crate) fn address(&self, at: usize) -> Fact {
        self.facts[at]
    }

    /// The distance of an access from the end of the active frame, -512 to -1, if it is known to lie in it.
    pub(crate) fn in_frame(&self, at: usize, off: i16, size: Size) -> Option<i32> {
        let Fact::Frame(start) = self.address(at) else { return None };
        let distance = start + i32::from(off);
        (distance >= -(FRAME_BYTES as i32) && distance + size.bytes() as i32 <= 0).then_some(distance)
    }

    /// Whether the address of an access is known to be a multiple of its size.
    pub(crate) fn is_aligned(&self, at: usize, off: i16, size: Size) -> bool {
        let bytes = size.bytes();
        match self.address(at) {
            // Frames end at multiples of their size.
            Fact::Frame(place) => (place + i32::from(off)).cast_unsigned().is_multiple_of(bytes),
            Fact::Number(number) => number.wrapping_add_signed(off.into()).is_multiple_of(bytes.into()),
            _ => false,
        }
    }

    /// The array in which a call looks something up, if that is known.
    fn lookup(&self, at: usize) -> Option<ArrayMap> {
        let index = self.lookups.binary_search_by_key(&at, |&(step, _)| step as usize).ok()?;
        self.lookups.get(index).map(|&(_, array)| array)
    }

    /// How a step calls the helper at this index.
    pub(crate) fn helper_call(&self, at: usize, index: u32) -> HelperCall {
        let kind = self.helpers.at(index).map_or(Kind::Registered, |helper| helper.kind);
        if kind == Kind::TailCall {
            return HelperCall::Tail;
        }
        if let Some(array) = self.lookup(at) {
            return HelperCall::Lookup(array);
        }
        let announced = matches!(kind, Kind::Registered | Kind::CallsBack);
        HelperCall::Call { announced }
    }

    /// What a local call leads to: the index of the function, and what it costs.
    pub(crate) fn local_call(&self, target: u32) -> (usize, u32) {
        let index = self.program.function_of(target as usize);
        (index, self.program.functions[index].len())
    }

    /// The frame of a function.
    pub(crate) fn frame(&self, function: usize) -> Frame {
        let range = self.program.functions[function].range();
        // A run starts with the context and its length in registers 1 and 2.
        let given = RegSet::of(Reg::R1).with(RegSet::of(Reg::R2)).with(RegSet::of(Reg::R10));
        let zeroed = if function == 0 { self.live_into[0].without(given) } else { RegSet::NONE };
        let called = zeroed != RegSet::NONE && self.program.calls_itself(self.helpers);
        let mut frame = Frame { saved: zeroed, zeroed, called, ..Frame::default() };
        for step in &self.program.steps[range] {
            frame.saved = frame.saved.with(writes(step.op));
            frame.counts |= matches!(step.op, Op::MayGoto { .. });
            frame.calls |= matches!(step.op, Op::Call(_) | Op::LdAbs { .. } | Op::LdInd { .. });
        }
        frame.saved = frame.saved.and(RegSet::KEPT);
        frame
    }

    /// Registers that a call has lost and that something reads all the same: they get a value that shows it.
    pub(crate) fn lost(&self, at: usize) -> RegSet {
        self.live[at].and(RegSet::ARGUMENTS)
    }

    /// The next step, if nothing else leads to it.
    pub(crate) fn follower(&self, at: usize) -> Option<&'a Step> {
        // Functions start with a join.
        let next = at + 1;
        self.targets.get(next).is_some_and(|target| !target.joined).then(|| &self.program.steps[next])
    }

    /// A constant as it may appear in the code, and what it has to be combined with by an exclusive or to be itself.
    pub(crate) fn blinded(&self, value: u64) -> Option<(u64, u64)> {
        let key = self.options.blinding.filter(|_| value != 0)?;
        let key = u64::from(key) << 32 | u64::from(key);
        Some((value ^ key, key))
    }

    /// Whether constants of the program may be operands.
    pub(crate) const fn plain(&self) -> bool {
        self.options.blinding.is_none()
    }

    /// Whether a jump from one step to another pays fuel.
    pub(crate) const fn cost(from: usize, to: usize) -> Option<u32> {
        // Steps are fewer than a million.
        if to <= from { Some((from - to + 1) as u32) } else { None }
    }
}

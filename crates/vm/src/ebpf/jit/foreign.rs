//! Programs compiled for AArch64 whatever this machine is, as jobs for a harness that runs them in an emulator.
//!
//! What lives here is for tests alone: it writes down everything that the harness has to know, so that no constant of
//! the layout is repeated there, and reads what the harness says about a stop. All numbers are 64-bit and
//! little-endian; bytes are filled up with zeros to a multiple of eight.

use std::mem::offset_of;

use skep_isa::ProgType;
use skep_isa::ebpf::{Insn, InsnIdx};

use super::a64;
use super::plan::{Options, Plan};
use super::{AccessSite, Call, Lowered, Place, Reason};
use crate::ebpf::fault::{FaultKind, Region};
use crate::ebpf::helpers::Helpers;
use crate::ebpf::layout::{CONTEXT, PAGE_BYTES, STACK, STACK_END, function_address};
use crate::ebpf::program::Program;
use crate::ebpf::space::STATE_DISTANCE;
use crate::ebpf::state::State;

/// A program as AArch64 code with what the harness has to fill in.
#[derive(Debug)]
pub struct ForeignProgram {
    program: Program,
    lowered: Lowered,
}

/// What the harness tells about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignEnd {
    /// Register 0, if the program came to its end.
    pub value: u64,
    /// 0 for an exit, 1 for a call of the stop stub, 2 for a fault of an access.
    pub how: u64,
    /// Bytes from the start of the code to the place of the stop.
    pub position: u64,
    /// Fuel that is left.
    pub fuel: u64,
    /// Address of the cage.
    pub base: u64,
    /// A packet load asked for what the harness does not have, so that the run means nothing.
    pub unsupported: bool,
    /// The stop registers of the state.
    pub registers: [u64; 32],
}

/// Words of a [`ForeignEnd`], to read from the harness's output.
pub const END_WORDS: usize = 38;

impl ForeignEnd {
    /// From the words of the output.
    pub fn new(words: &[u64; END_WORDS]) -> Self {
        let [value, how, position, fuel, base, unsupported, ..] = *words;
        let mut registers = [0; 32];
        registers.copy_from_slice(&words[END_WORDS - 32..]);
        Self { value, how, position, fuel, base, unsupported: unsupported != 0, registers }
    }
}

/// Appends bytes with their number in front.
fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    word(out, bytes.len() as u64);
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(8), 0);
}

fn word(out: &mut Vec<u8>, value: u64) {
    out.extend(value.to_le_bytes());
}

/// The start of a file of jobs: the layout and the stubs. `None` if the stubs cannot be generated.
pub fn header() -> Option<Vec<u8>> {
    let stubs = a64::stubs().ok()?;
    let mut out = Vec::new();
    let numbers = [
        STATE_DISTANCE,
        size_of::<State>().next_multiple_of(PAGE_BYTES as usize),
        STACK as usize,
        PAGE_BYTES as usize,
        CONTEXT as usize,
        offset_of!(State, fuel),
        offset_of!(State, context),
        offset_of!(State, packet),
        offset_of!(State, packet_len),
        offset_of!(State, stop_pc),
        offset_of!(State, stop_registers),
        stubs.enter,
        stubs.stop,
        stubs.stop_access,
    ];
    numbers.into_iter().for_each(|number| word(&mut out, number as u64));
    bytes(&mut out, &stubs.code);
    Some(out)
}

impl ForeignProgram {
    /// Compiles. `None` if the program does not load or is too long. `blinding` and `proved` are as for
    /// [`Setup`](crate::ebpf::Setup).
    pub fn new(insns: &[Insn], helpers: &Helpers, blinding: Option<u32>, proved: bool) -> Option<Self> {
        let program = Program::new("foreign", ProgType::SocketFilter, insns, helpers, &[]).ok()?;
        let options = Options { proved, blinding, bmi2: false, near: false };
        let plan = Plan::new(&program, 0, helpers, &[], options);
        let lowered = a64::lower(&plan).ok()?;
        Some(Self { program, lowered })
    }

    /// Bytes of code.
    pub const fn code_len(&self) -> usize {
        self.lowered.code.len()
    }

    /// A job: the program with its input.
    pub fn job(&self, context: &[u8], packet: &[u8], fuel: u64) -> Vec<u8> {
        let room = context.len().max(1).next_multiple_of(PAGE_BYTES as usize);
        let start = CONTEXT as usize + room - context.len().next_multiple_of(8);
        let mut out = Vec::new();
        let numbers = [1, start as u64, room as u64, STACK_END.into(), fuel];
        numbers.into_iter().for_each(|number| word(&mut out, number));
        bytes(&mut out, context);
        bytes(&mut out, packet);
        bytes(&mut out, &self.lowered.code);
        word(&mut out, self.lowered.calls.len() as u64);
        for &(at, call) in &self.lowered.calls {
            let kind = match call {
                Call::Stop => 0,
                Call::Helper(_) => 1,
                Call::OtherProgram => 2,
                Call::Indirect => 3,
                Call::PacketLoad => 4,
            };
            word(&mut out, at.into());
            word(&mut out, kind);
        }
        word(&mut out, self.program.functions.len() as u64);
        for (function, &at) in self.program.functions.iter().zip(&self.lowered.functions) {
            word(&mut out, function_address(function.start));
            word(&mut out, at.into());
            word(&mut out, function.len().into());
        }
        out
    }

    /// Where and why a run stopped; `None` if the tables do not know the place. The region of an access is not looked
    /// up, it is always [`Region::Unmapped`].
    pub fn explain(&self, end: &ForeignEnd) -> Option<(InsnIdx, FaultKind)> {
        let position = u32::try_from(end.position).ok()?;
        let (step, kind) = if end.how == 1 {
            let stops = &self.lowered.stops;
            let stop = stops[stops.binary_search_by_key(&position, |stop| stop.at).ok()?];
            (stop.step, Self::reason(stop.reason, end))
        } else {
            let accesses = &self.lowered.accesses;
            let site = accesses[accesses.binary_search_by_key(&position, |access| access.at).ok()?];
            (site.step, Self::access(&site, end))
        };
        Some((self.program.steps.get(step as usize)?.at, kind))
    }

    fn reason(reason: Reason, end: &ForeignEnd) -> FaultKind {
        let kept = end.registers[0];
        match reason {
            Reason::OutOfFuel => FaultKind::OutOfFuel,
            Reason::TooManyFrames => FaultKind::TooManyFrames,
            Reason::Helper => FaultKind::HelperPanicked,
            Reason::BadCallTarget => FaultKind::BadCallTarget(kept),
            Reason::NotTheContext => FaultKind::NotTheContext(kept),
            Reason::OutsideFrame { off, size, access } => {
                let address = kept.wrapping_add_signed(off.into());
                FaultKind::OutOfBounds { address, size, access, region: Region::Unmapped }
            }
            Reason::Misaligned { size } => {
                FaultKind::Misaligned { address: u64::from(kept.wrapping_sub(end.base) as u32), size }
            }
        }
    }

    fn access(site: &AccessSite, end: &ForeignEnd) -> FaultKind {
        let register = |number: u8| end.registers[usize::from(number) % 32];
        let address = match site.place {
            Place::Fixed(address) => address,
            Place::Register { number, off } => register(number).wrapping_add_signed(off.into()) as u32,
            Place::Host { number } => register(number).wrapping_sub(end.base) as u32,
        };
        let (size, access) = (site.size, site.access);
        FaultKind::OutOfBounds { address: address.into(), size, access, region: Region::Unmapped }
    }
}

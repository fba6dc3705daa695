//! Unwinding of stacks of x86-64 by call frame information (`.eh_frame`, `.debug_frame`): from the registers of a function
//! to those of its caller, with nothing but a copy of the stack.
//!
//! Which process the addresses belong to, and so which file, is not known here: [`Processes`](crate::Processes) knows.

use std::fs::File;
use std::sync::Arc;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EndianArcSlice, EvaluationResult, Expression, Location,
    RegisterRule, RunTimeEndian, UnwindContext, UnwindExpression, UnwindSection, Value,
};
use object::ReadCache;

use crate::contents;
use crate::registers::x86;

type Slice = EndianArcSlice<RunTimeEndian>;

// TABLE
/// The registers that call frame information counts, in its order (System V psABI for x86-64, figure 3.36). The last one is
/// the return address.
const NAMES: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
];
/// Places in [`NAMES`].
const RBP: usize = 6;
const RSP: usize = 7;
const RIP: usize = 16;
/// Operations of an expression; compilers write a handful.
const MOST_OPERATIONS: u32 = 1000;
/// Functions of a file.
const MOST_FUNCTIONS: usize = 4 << 20;

/// Registers of a function, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Registers([Option<u64>; NAMES.len()]);

impl Registers {
    /// Those in the kernel's `struct pt_regs`; `None` if the bytes do not hold them.
    pub(crate) fn of_kernel(bytes: &[u8]) -> Option<Self> {
        let mut found = [None; NAMES.len()];
        for (value, name) in found.iter_mut().zip(NAMES) {
            let place = usize::from(x86(name)?.pt_regs?);
            *value = Some(u64::from_le_bytes(*bytes.get(place..)?.first_chunk()?));
        }
        Some(Self(found))
    }

    /// Where the function is.
    pub(crate) fn instruction(&self) -> Option<u64> {
        self.0[RIP]
    }

    fn get(&self, register: gimli::Register) -> Option<u64> {
        *self.0.get(usize::from(register.0))?
    }

    /// The caller of a function that keeps a frame pointer.
    pub(crate) fn by_frame_pointer(&self, stack: Stack<'_>) -> Option<Self> {
        let frame = self.0[RBP].filter(|frame| Some(*frame) >= self.0[RSP])?;
        let mut caller = [None; NAMES.len()];
        caller[RBP] = stack.word(frame);
        caller[RIP] = stack.word(frame.checked_add(8)?);
        caller[RSP] = frame.checked_add(16);
        caller[RIP].map(|_| Self(caller))
    }
}

/// A copy of the upper part of a stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stack<'a> {
    /// Address of the first byte.
    pub(crate) base: u64,
    /// The bytes.
    pub(crate) bytes: &'a [u8],
}

impl Stack<'_> {
    /// 8 bytes at an address.
    fn word(self, address: u64) -> Option<u64> {
        self.number(address, 8)
    }

    /// Up to 8 bytes at an address as a number.
    fn number(self, address: u64, size: u8) -> Option<u64> {
        let start = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let size = usize::from(size.min(8));
        let mut word = [0; 8];
        word[..size].copy_from_slice(self.bytes.get(start..start.checked_add(size)?)?);
        Some(u64::from_le_bytes(word))
    }
}

/// What comes of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The registers of the caller. `exact`: it was interrupted where it is, and did not call.
    Caller {
        /// Its registers.
        registers: Box<Registers>,
        /// Whether a signal was handled.
        exact: bool,
    },
    /// There is no caller, or it cannot be found.
    End,
    /// The information says nothing about this function.
    Unknown,
}

/// The call frame information of a file.
pub(crate) struct CallFrames {
    section: Section,
    bases: BaseAddresses,
    /// First address, address behind the last, and the place of the entry.
    functions: Vec<(u64, u64, usize)>,
    context: UnwindContext<usize>,
}

impl std::fmt::Debug for CallFrames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallFrames").field("functions", &self.functions.len()).finish_non_exhaustive()
    }
}

enum Section {
    Eh(EhFrame<Slice>),
    Debug(DebugFrame<Slice>),
}

impl CallFrames {
    /// That of a file; `None` if it has none that can be used.
    pub(crate) fn of_file(file: File) -> Option<Self> {
        Self::of(|name| contents::with_address(&ReadCache::new(&file), name))
    }

    /// That of bytes of a file.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Self::of(|name| contents::with_address(bytes, name))
    }

    fn of(section: impl Fn(&str) -> Option<(u64, Vec<u8>)>) -> Option<Self> {
        let address = |name: &str| section(name).map_or(0, |found| found.0);
        let bytes = |name: &str| section(name).filter(|found| !found.1.is_empty());
        let eh = bytes(".eh_frame").and_then(|(start, bytes)| {
            let bases =
                BaseAddresses::default().set_eh_frame(start).set_text(address(".text")).set_got(address(".got"));
            Self::of_eh_frame(bytes, bases)
        });
        eh.or_else(|| {
            let (_, bytes) = bytes(".debug_frame")?;
            let mut section = DebugFrame::from(EndianArcSlice::new(Arc::from(bytes), RunTimeEndian::Little));
            section.set_address_size(8);
            Self::read(Section::Debug(section), BaseAddresses::default())
        })
    }

    /// These bytes of `.eh_frame`, loaded at the address that the bases say.
    pub(crate) fn of_eh_frame(bytes: Vec<u8>, bases: BaseAddresses) -> Option<Self> {
        let mut section = EhFrame::from(EndianArcSlice::new(Arc::from(bytes), RunTimeEndian::Little));
        section.set_address_size(8);
        Self::read(Section::Eh(section), bases)
    }

    fn read(section: Section, bases: BaseAddresses) -> Option<Self> {
        let mut functions = match &section {
            Section::Eh(section) => functions(section, &bases),
            Section::Debug(section) => functions(section, &bases),
        };
        functions.sort_unstable();
        (!functions.is_empty()).then(|| Self { section, bases, functions, context: UnwindContext::new() })
    }

    /// From the function with this address of the file to its caller.
    pub(crate) fn step(&mut self, address: u64, registers: &Registers, stack: Stack<'_>) -> Step {
        let end = self.functions.partition_point(|function| function.0 <= address);
        let Some((_, _, place)) = self.functions[..end].last().filter(|function| address < function.1).copied() else {
            return Step::Unknown;
        };
        let (bases, context) = (&self.bases, &mut self.context);
        let caller = match &self.section {
            Section::Eh(section) => caller(section, (bases, place.into()), context, address, registers, stack),
            Section::Debug(section) => caller(section, (bases, place.into()), context, address, registers, stack),
        };
        caller.unwrap_or(Step::End)
    }
}

/// The functions that a section describes. What follows a malformed entry is lost.
fn functions<S: UnwindSection<Slice>>(section: &S, bases: &BaseAddresses) -> Vec<(u64, u64, usize)> {
    let mut found = Vec::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(entry) = partial.parse(S::cie_from_offset) else { continue };
        let (start, end) = (entry.initial_address(), entry.end_address());
        // The linker leaves entries of functions that it has thrown away, with address 0.
        if start != 0 && start < end {
            found.push((start, end, entry.offset()));
        }
        if found.len() >= MOST_FUNCTIONS {
            break;
        }
    }
    found
}

/// Finds the caller by the entry at a place. `None` if there is none, or what is needed is not known.
fn caller<S: UnwindSection<Slice>>(
    section: &S,
    (bases, place): (&BaseAddresses, S::Offset),
    context: &mut UnwindContext<usize>,
    address: u64,
    registers: &Registers,
    stack: Stack<'_>,
) -> Option<Step> {
    let entry = section.fde_from_offset(bases, place, S::cie_from_offset).ok()?;
    let (exact, encoding) = (entry.is_signal_trampoline(), entry.cie().encoding());
    let result = entry.cie().return_address_register();
    let row = entry.unwind_info_for_address(section, bases, context, address).ok()?;
    let evaluate = |expression: &UnwindExpression<usize>, first: Option<u64>| {
        evaluate(expression.get(section).ok()?, encoding, first, registers, stack)
    };
    let frame = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => registers.get(*register)?.checked_add_signed(*offset)?,
        CfaRule::Expression(expression) => evaluate(expression, None)?,
    };
    let mut known = [None; NAMES.len()];
    for (number, value) in known.iter_mut().enumerate() {
        let register = gimli::Register(u16::try_from(number).ok()?);
        *value = match row.register(register) {
            // Functions keep what they do not mention; of the registers that they need not keep nothing is asked.
            None | Some(RegisterRule::SameValue) if register != result => registers.get(register),
            Some(RegisterRule::Offset(offset)) => stack.word(frame.checked_add_signed(offset)?),
            Some(RegisterRule::ValOffset(offset)) => frame.checked_add_signed(offset),
            Some(RegisterRule::Register(other)) => registers.get(other),
            Some(RegisterRule::Expression(expression)) => {
                evaluate(&expression, Some(frame)).and_then(|address| stack.word(address))
            }
            Some(RegisterRule::ValExpression(expression)) => evaluate(&expression, Some(frame)),
            Some(RegisterRule::Constant(value)) => Some(value),
            _ => None,
        };
    }
    if row.register(gimli::Register(RSP as u16)).is_none() {
        known[RSP] = Some(frame);
    }
    known[RIP] = known.get(usize::from(result.0)).copied().flatten();
    known[RIP].filter(|address| *address != 0)?;
    Some(Step::Caller { registers: Box::new(Registers(known)), exact })
}

/// The value of an expression.
fn evaluate(
    expression: Expression<Slice>,
    encoding: gimli::Encoding,
    first: Option<u64>,
    registers: &Registers,
    stack: Stack<'_>,
) -> Option<u64> {
    let mut evaluation = expression.evaluation(encoding);
    evaluation.set_max_iterations(MOST_OPERATIONS);
    if let Some(first) = first {
        evaluation.set_initial_value(first);
    }
    let mut state = evaluation.evaluate().ok()?;
    // Each time something is asked for, an operation was done.
    for _ in 0..MOST_OPERATIONS {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresMemory { address, size, .. } => {
                evaluation.resume_with_memory(Value::Generic(stack.number(address, size)?)).ok()?
            }
            EvaluationResult::RequiresRegister { register, .. } => {
                evaluation.resume_with_register(Value::Generic(registers.get(register)?)).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.as_result().first()?.location {
        Location::Address { address } => Some(address),
        Location::Value { value: Value::Generic(value) } => Some(value),
        _ => None,
    }
}

/// Takes steps by any bytes of `.eh_frame` from a few places, for tests of what malformed ones do.
pub(crate) fn any(data: &[u8]) {
    let (stack, bytes) = data.split_at(data.len().min(64));
    let stack = Stack { base: 0x7000, bytes: stack };
    let bases = BaseAddresses::default().set_eh_frame(0x1000).set_text(0x2000);
    let Some(mut frames) = CallFrames::of_eh_frame(bytes.to_vec(), bases) else { return };
    let addresses: Vec<u64> = frames.functions.iter().take(8).flat_map(|each| [each.0, each.1 - 1]).collect();
    for address in addresses {
        let mut registers = Registers([Some(0x7000); NAMES.len()]);
        for _ in 0..8 {
            match frames.step(address, &registers, stack) {
                Step::Caller { registers: next, .. } => {
                    assert!(next.instruction().is_some_and(|address| address != 0));
                    registers = *next;
                }
                Step::End | Step::Unknown => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_the_kernel() {
        let bytes: Vec<u8> = (0..21u64).flat_map(u64::to_le_bytes).collect();
        let registers = Registers::of_kernel(&bytes).unwrap();
        assert_eq!((registers.0[RBP], registers.0[RSP], registers.instruction()), (Some(4), Some(19), Some(16)));
        assert_eq!(Registers::of_kernel(&bytes[..100]), None);
    }

    #[test]
    fn frame_pointers() {
        let words: Vec<u8> = [1u64, 0x7020, 0x1234, 3].into_iter().flat_map(u64::to_le_bytes).collect();
        let stack = Stack { base: 0x7000, bytes: &words };
        let mut registers = Registers([None; NAMES.len()]);
        registers.0[RBP] = Some(0x7008);
        registers.0[RSP] = Some(0x7000);
        let caller = registers.by_frame_pointer(stack).unwrap();
        assert_eq!((caller.0[RBP], caller.0[RSP], caller.0[RIP]), (Some(0x7020), Some(0x7018), Some(0x1234)));
        assert_eq!(caller.by_frame_pointer(stack), None, "behind the copy");
        registers.0[RSP] = Some(0x7010);
        assert_eq!(registers.by_frame_pointer(stack), None, "a frame lies above the stack pointer");
    }

    /// Functions of this program, from the first to the last instruction: where the return address is follows from them.
    #[test]
    fn the_file_of_this_test() {
        let mut frames = CallFrames::of_file(File::open("/proc/self/exe").unwrap()).unwrap();
        assert!(frames.functions.len() > 1000, "{frames:?}");
        let (start, end, _) = frames.functions[frames.functions.len() / 2];
        let words: Vec<u8> = (0..4096u64).flat_map(|number| (number + 1).to_le_bytes()).collect();
        let stack = Stack { base: 0x7000, bytes: &words };
        let mut registers = Registers([None; NAMES.len()]);
        registers.0[RSP] = Some(0x7010);
        // At the first instruction the return address is on top of the stack.
        let Step::Caller { registers: caller, exact } = frames.step(start, &registers, stack) else { panic!() };
        assert_eq!((caller.0[RIP], caller.0[RSP], exact), (Some(3), Some(0x7018), false));
        assert!(end > start);
        assert_eq!(frames.step(0, &registers, stack), Step::Unknown);
        registers.0[RSP] = None;
        assert_eq!(frames.step(start, &registers, stack), Step::End);
    }
}

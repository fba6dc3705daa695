//! One run of a program, with every step: what a debugger goes forwards and backwards in.
//!
//! The machine interprets the program once. In front of each instruction its registers are kept, and what the one before has
//! changed in memory: bytes before and bytes after. Any moment is then found by undoing or redoing changes.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use skep_isa::ebpf::{Callee, Op};
use skep_isa::programs;
use skep_object::Object;
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Input, PacketError, Region, SkBuff, Skb, Step as Seen, Vm, Watcher, Worker, XdpFrame};

/// Steps that are kept; a run that has more ends for the debugger there.
pub const MAX_STEPS: usize = 1 << 18;
/// Bytes of one part of memory that are followed, from its start.
pub const MAX_PART: usize = 1 << 20;

/// What a program runs on.
#[derive(Debug, Clone)]
pub enum Work {
    /// Bytes behind register 1: a context that was recorded, or any memory.
    Context(Vec<u8>),
    /// A packet that the program reads with packet loads: socket filters. The length is that on the wire.
    Filtered(Vec<u8>, u32, Metadata),
    /// A frame in a driver (`struct xdp_md`).
    Frame(Vec<u8>, Metadata),
    /// A packet in the stack (`struct __sk_buff`).
    Buffer(Vec<u8>, Metadata),
}

/// One step: what was there in front of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The program of the object; another one behind a tail call.
    pub program: usize,
    /// The slot of the instruction.
    pub at: u32,
    /// The registers.
    pub registers: [u64; 11],
    /// Calls that have not returned.
    pub depth: u8,
}

/// Bytes that an instruction changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    /// The step in front of which they are new.
    step: usize,
    address: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// A part of the program's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// "stack", "context", "packet", or the map's name.
    pub name: String,
    /// The address of its first byte.
    pub start: u64,
    /// Its bytes, at the moment that the recording is at.
    pub bytes: Vec<u8>,
}

impl Part {
    fn range(&self) -> Range<u64> {
        self.start..self.start + self.bytes.len() as u64
    }

    /// Puts bytes where this part has them; others are passed over.
    fn put(&mut self, address: u64, bytes: &[u8]) {
        for (address, byte) in (address..).zip(bytes) {
            if let Some(place) = address.checked_sub(self.start).and_then(|at| usize::try_from(at).ok())
                && let Some(place) = self.bytes.get_mut(place)
            {
                *place = *byte;
            }
        }
    }
}

/// Why nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError(String);

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RecordError {}

/// A run that was recorded, at one of its moments.
#[derive(Debug, Clone)]
pub struct Recording {
    /// All steps; one at least.
    pub steps: Vec<Step>,
    /// How the run ended: register 0, or what stopped it.
    pub end: Result<u64, String>,
    /// Whether there were more steps than are kept.
    pub cut: bool,
    /// The memory at the moment.
    parts: Vec<Part>,
    changes: Vec<Change>,
    /// Changes that are in `parts`.
    done: usize,
    now: usize,
}

/// What is filled while the program runs.
#[derive(Debug, Default)]
struct Tape {
    steps: Vec<Step>,
    changes: Vec<Change>,
    parts: Vec<Part>,
    shadow: Vec<Part>,
    depth: u8,
    cut: bool,
}

impl Recording {
    /// Runs a program of an object on something, with so much fuel at most.
    ///
    /// # Errors
    /// If the machine does not take the object, or the program cannot run on this.
    pub fn new(object: &Object, program: usize, work: &Work, fuel: u64) -> Result<Self, RecordError> {
        let wrong = |error: &dyn std::fmt::Display| RecordError(error.to_string());
        let vm = Vm::new(object).fuel(fuel).load().map_err(|error| wrong(&error))?;
        let mut worker = vm.worker().map_err(|error| wrong(&error))?;
        let tape = Arc::new(Mutex::new(Tape::default()));
        let layout = Layout::new(object, program, &worker, work);
        let (shared, ops) = (Arc::clone(&tape), operations(object));
        let mut last: Option<Op> = None;
        worker.set_watcher(Some(Watcher::new(move |seen| {
            let mut tape = shared.lock().unwrap_or_else(PoisonError::into_inner);
            tape.take(&seen, last, &layout);
            last = ops.get(seen.program).and_then(|ops| ops.get(seen.at.index())).copied().flatten();
        })));
        let end = run(&mut worker, program, work);
        worker.set_watcher(None);
        let tape = std::mem::take(&mut *tape.lock().unwrap_or_else(PoisonError::into_inner));
        if tape.steps.is_empty() {
            return Err(RecordError(end.err().unwrap_or_else(|| "the program has no instructions".to_owned())));
        }
        Ok(Self { steps: tape.steps, end, cut: tape.cut, parts: tape.parts, changes: tape.changes, done: 0, now: 0 })
    }

    /// The step that the recording is at.
    pub fn now(&self) -> usize {
        self.now
    }

    /// Goes to a step; behind the last one, to the last one.
    pub fn go(&mut self, step: usize) {
        self.now = step.min(self.steps.len() - 1);
        while let Some(change) = self.changes.get(self.done).filter(|change| change.step <= self.now) {
            self.parts.iter_mut().for_each(|part| part.put(change.address, &change.new));
            self.done += 1;
        }
        while let Some(change) = self.done.checked_sub(1).map(|last| &self.changes[last])
            && change.step > self.now
        {
            self.parts.iter_mut().for_each(|part| part.put(change.address, &change.old));
            self.done -= 1;
        }
    }

    /// The step that the recording is at.
    pub fn step(&self) -> &Step {
        &self.steps[self.now]
    }

    /// The parts of memory, as they are now.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Bytes of memory as they are now; `None` if they are not all in one part.
    pub fn read(&self, address: u64, size: usize) -> Option<&[u8]> {
        let part = self.parts.iter().find(|part| part.range().contains(&address))?;
        let start = usize::try_from(address - part.start).ok()?;
        part.bytes.get(start..start.checked_add(size)?)
    }
}

impl Tape {
    /// A step, and what the instruction before has changed.
    fn take(&mut self, seen: &Seen<'_>, last: Option<Op>, layout: &Layout) {
        if self.steps.len() >= MAX_STEPS {
            self.cut = true;
            return;
        }
        if self.steps.is_empty() {
            self.parts = layout.parts(seen);
            self.shadow.clone_from(&self.parts);
        } else {
            self.find_changes(seen, last);
        }
        match last {
            Some(Op::Call(Callee::Local(_))) => self.depth += 1,
            Some(Op::Exit) => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let at = u32::try_from(seen.at.index()).unwrap_or(u32::MAX);
        self.steps.push(Step { program: seen.program, at, registers: *seen.registers, depth: self.depth });
    }

    fn find_changes(&mut self, seen: &Seen<'_>, last: Option<Op>) {
        let before = self.steps.last().map(|step| step.registers).unwrap_or_default();
        let address =
            |base: skep_isa::ebpf::Reg, off: i16| before[base.index()].wrapping_add(i64::from(off).cast_unsigned());
        let place = match last {
            Some(Op::Store { size, base, off, .. } | Op::StoreRelease { size, base, off, .. }) => {
                Some((address(base, off), size.bytes() as usize))
            }
            Some(Op::Atomic { base, off, .. }) => Some((address(base, off), 8)),
            Some(Op::Call(Callee::Helper(_) | Callee::Kfunc { .. })) => None,
            _ => return,
        };
        let step = self.steps.len();
        for part in &mut self.shadow {
            let range = match place {
                // An atomic operation on four bytes at the end of a part has no eight.
                Some((address, size)) => address..address.saturating_add(size as u64).min(part.range().end),
                None => part.range(),
            };
            if range.start < part.start || range.start >= part.range().end {
                continue;
            }
            let first = usize::try_from(range.start - part.start).unwrap_or(0);
            let old = &part.bytes[first..first + usize::try_from(range.end - range.start).unwrap_or(0)];
            let mut new = old.to_vec();
            read(seen, range.start, &mut new);
            for change in differences(step, range.start, old, &new) {
                part.put(change.address, &change.new);
                self.changes.push(change);
            }
        }
    }
}

/// Reads memory. What cannot be read, as the stack below the running function and the gaps between values of maps, stays as it
/// was.
fn read(seen: &Seen<'_>, start: u64, bytes: &mut [u8]) {
    let whole = seen.machine.read(start, bytes);
    if whole.is_err() {
        for (at, word) in (start..).step_by(8).zip(bytes.chunks_mut(8)) {
            let _ = seen.machine.read(at, word);
        }
    }
}

/// The bytes that differ, from the first to the last in each piece of 64.
fn differences(step: usize, start: u64, old: &[u8], new: &[u8]) -> Vec<Change> {
    const PIECE: usize = 64;
    let pieces = (start..).step_by(PIECE).zip(old.chunks(PIECE).zip(new.chunks(PIECE)));
    let change = |(address, (old, new)): (u64, (&[u8], &[u8]))| {
        let differs = |at: &usize| old[*at] != new[*at];
        let first = (0..old.len()).find(differs)?;
        let last = (0..old.len()).rfind(differs)?;
        let address = address + first as u64;
        Some(Change { step, address, old: old[first..=last].to_vec(), new: new[first..=last].to_vec() })
    };
    pieces.filter_map(change).collect()
}

/// Where the parts of memory are.
struct Layout {
    parts: Vec<(String, Range<u64>)>,
    /// Where in the context the addresses of the packet and its end are.
    packet: Option<(u32, u32)>,
}

impl Layout {
    fn new(object: &Object, program: usize, worker: &Worker, work: &Work) -> Self {
        let name = |region: &Region| match region {
            Region::Stack => Some("stack".to_owned()),
            Region::MapValues(map) => Some(object.maps.get(*map as usize)?.name.clone()),
            _ => None,
        };
        let regions = worker.regions().into_iter();
        let parts = regions.filter_map(|(range, region)| Some((name(&region)?, range))).collect();
        let context = object.programs.get(program).and_then(|program| programs::facts(program.prog_type).context);
        let packet = context
            .filter(|_| matches!(work, Work::Frame(..) | Work::Buffer(..)))
            .and_then(|context| Some((context.field("data")?.offset, context.field("data_end")?.offset)));
        Self { parts, packet }
    }

    /// The parts with their bytes, in front of the first instruction.
    fn parts(&self, seen: &Seen<'_>) -> Vec<Part> {
        let (context, length) = (seen.registers[1], seen.registers[2]);
        let mut ranges = vec![("context".to_owned(), context..context.saturating_add(length))];
        let word = |offset: u32| {
            let mut bytes = [0; 4];
            seen.machine.read(context + u64::from(offset), &mut bytes).ok()?;
            Some(u64::from(u32::from_ne_bytes(bytes)))
        };
        if let Some((data, end)) = self.packet
            && let (Some(data), Some(end)) = (word(data), word(end))
            && data < end
        {
            ranges.push(("packet".to_owned(), data..end));
        }
        ranges.extend(self.parts.iter().cloned());
        let part = |(name, range): (String, Range<u64>)| {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).ok()?.min(MAX_PART)];
            read(seen, range.start, &mut bytes);
            Some(Part { name, start: range.start, bytes })
        };
        ranges.into_iter().filter_map(part).collect()
    }
}

/// The instructions of each program, by slot.
fn operations(object: &Object) -> Vec<Vec<Option<Op>>> {
    let of = |insns: &[skep_isa::ebpf::Insn]| {
        let mut ops = vec![None; insns.len()];
        let mut at = 0;
        while let Some(insn) = insns.get(at) {
            let op = insn.decode(insns.get(at + 1).copied()).ok();
            ops[at] = op;
            at += op.map_or(1, |op| op.slots() as usize);
        }
        ops
    };
    object.programs.iter().map(|program| of(&program.insns)).collect()
}

fn run(worker: &mut Worker, program: usize, work: &Work) -> Result<u64, String> {
    let packet = |error: PacketError| match error {
        PacketError::Fault(fault) => fault.to_string(),
        other => other.to_string(),
    };
    match work {
        Work::Context(bytes) => {
            let (mut context, meta) = (bytes.clone(), Metadata::default());
            let input = Input { context: &mut context, packet: &[], meta: &meta };
            worker.run(program, input).map_err(|fault| fault.to_string())
        }
        Work::Filtered(packet, wire_len, meta) => {
            let mut context = SkBuff::new(*wire_len, meta).as_ref().to_vec();
            let input = Input { context: &mut context, packet, meta };
            worker.run(program, input).map_err(|fault| fault.to_string())
        }
        Work::Frame(bytes, meta) => {
            let mut frame = XdpFrame { meta: *meta, ..XdpFrame::new(bytes) };
            worker.run_xdp(program, &mut frame).map(|verdict| verdict.code.into()).map_err(packet)
        }
        Work::Buffer(bytes, meta) => {
            let mut skb = Skb { meta: *meta, ..Skb::new(bytes) };
            worker.run_skb(program, &mut skb).map(|verdict| verdict.code.into()).map_err(packet)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_isa::ProgType;
    use skep_isa::ebpf::assemble;
    use skep_object::Program;
    use skep_vm::ebpf::DEFAULT_FUEL;

    #[test]
    fn what_helpers_write_is_seen() {
        // bpf_get_current_comm fills 16 bytes of stack.
        let text = "r1 = r10\nr1 += -16\nr2 = 16\ncall 16\nr0 = *(u64 *)(r10 -16)\nexit";
        let mut object = Object::new("GPL");
        object.add_program(Program::new("name", ProgType::Kprobe, assemble(text).unwrap()));
        let mut recording = Recording::new(&object, 0, &Work::Context(vec![0; 8]), DEFAULT_FUEL).unwrap();
        let stack = recording.step().registers[10] - 16;
        assert_eq!(recording.read(stack, 8), Some(&[0; 8][..]));
        recording.go(usize::MAX);
        let name = recording.read(stack, 8).unwrap().to_vec();
        assert_eq!(recording.end, Ok(u64::from_ne_bytes(name.clone().try_into().unwrap())));
        assert_ne!(name, [0; 8]);
        recording.go(3);
        assert_eq!(recording.read(stack, 8), Some(&[0; 8][..]));
        assert_eq!(recording.read(stack, usize::MAX), None);
    }

    #[test]
    fn a_run_that_does_wrong_is_recorded_to_there() {
        let mut object = Object::new("GPL");
        let text = "r0 = 1\nr0 = *(u64 *)(r0 +0)\nexit";
        object.add_program(Program::new("wrong", ProgType::SocketFilter, assemble(text).unwrap()));
        let recording = Recording::new(&object, 0, &Work::Context(Vec::new()), DEFAULT_FUEL).unwrap();
        assert_eq!(recording.steps.len(), 2);
        assert!(recording.end.is_err_and(|why| why.contains("instruction 1")));
    }
}

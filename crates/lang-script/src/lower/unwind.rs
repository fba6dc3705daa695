//! `dw_ustack`: a copy of the registers and the stack of the process goes to the host, which unwinds it; the value is a
//! hash of the addresses of code on the stack.
//!
//! ```text
//!  registers: ip, sp --> hash of the words above sp that can be addresses of code --> known? --> the value
//!                                                                                  \--> record with a copy --> the value
//! ```
//!
//! Two moments with the same addresses in the same order have the same frames, whatever else is on their stacks: the host
//! gets one copy for both. Which words can be addresses of code is known from where the process has its program and its
//! libraries.

use skep_ir::{
    Binary, Builder, Callee, Cond, Entity as _, FuncKind, FuncRef, Function, MapDecl, MapRef, Memory, Slot,
    Type as IrType, Unary, Value, Width,
};
use skep_isa::MapType as KernelMap;

use super::body::Body;
use super::memory::At;
use super::send::Lost;
use super::shared::helper;
use super::stacks::PRIME;
use super::{Unit, helpers};
use crate::check::tree::Expr;
use crate::plan::{Action, StackKey, UnwindRecord, system_maps};

/// Most bytes of the stack that are copied.
const ROOM: u32 = 16 << 10;
/// Bytes that are copied at once, from a multiple of them on: a piece is in one page, which is there or not.
const PIECE: u32 = 1 << 10;
/// Bytes that go into the hash at once.
const CHUNK: u32 = 64;
/// Copies that the host is known to have; the oldest make room for new ones.
const KNOWN: u32 = 16_384;
/// Bytes of the buffer for records if a script has copies of stacks in them and says nothing else.
const RING_BYTES: u32 = 8 << 20;
/// How far below the start of the area for files a library may be.
const FILES: i64 = 1 << 36;
/// Place of the instruction pointer in `struct pt_regs` of x86-64 (`arch/x86/include/asm/ptrace.h`), and how far behind it
/// the stack pointer is.
const INSTRUCTION: u32 = 128;
const STACK_POINTER: i16 = 24;

/// What the rounds of the loop over the stack share: places in a frame.
const HASH: i16 = 0;
const POINTER: i16 = 8;
const START: i16 = 16;
const PROGRAM: i16 = 24;
const LOWEST: i16 = 32;
const FRAME_BYTES: u32 = 40;

impl Body<'_, '_, '_> {
    /// Writes the key of the stack trace at this moment.
    pub fn write_unwound(&mut self, code: &[Expr; 3], to: At) {
        let function = self.cx.unwind_function();
        let mut arguments: Vec<Value> = code.iter().map(|part| self.scalar(part)).collect();
        let pid = self.process_id();
        arguments.push(pid);
        let hash = self.b.call(Callee::Func(function), &arguments, IrType::I64);
        let zero = self.b.i64(0);
        let unwound = self.b.i64(StackKey::UNWOUND.into());
        let frames = self.b.select(Cond::Eq, hash, zero, zero, unwound);
        self.store(Width::W64, to.plus(StackKey::HASH), hash);
        self.store(Width::W32, to.plus(StackKey::FRAMES), frames);
        self.store(Width::W32, to.plus(StackKey::PID), pid);
    }
}

impl Unit<'_> {
    /// The map with the copies that the host has.
    fn unwound(&mut self) -> MapRef {
        self.module.add_map(MapDecl::new(system_maps::UNWOUND, KernelMap::LruHash, 8, 4, KNOWN))
    }

    /// A function that sends registers and stack to the host unless it has them, and gives their hash; 0 if there is
    /// nothing to unwind. Its parameters are those of [`Call::Unwind`](crate::check::tree::Call::Unwind) and the process.
    fn unwind_function(&mut self) -> FuncRef {
        if let Some(known) = self.unwind {
            return known;
        }
        let action = self.action(Action::Unwind { room: ROOM });
        if self.input.settings.host.ring_bytes == 0 {
            let ring = &mut self.module.maps[self.events.index()].max_entries;
            *ring = (*ring).max(RING_BYTES);
        }
        let learn = self.learn_function();
        let known = self.unwound();
        let round = self.module.add_function(round());
        let copier = self.copy_function(action);
        let params = [IrType::I64; 4];
        let mut function = Function::new("skep_unwind", FuncKind::Static, &params, Some(IrType::I64));
        let frame = function.add_slot("frame", FRAME_BYTES, 8);
        let words = function.add_slot("words", 32, 8);
        let mut b = Builder::new(&mut function);
        let (start, pid) = (b.function.params()[0], b.function.params()[3]);
        let (process, none) = (b.block(&[]), b.block(&[]));
        // Threads of the kernel have no memory of their own.
        let zero = b.i64(0);
        b.branch(Cond::Ne, start, zero, process, none);
        b.switch_to(none);
        let zero = b.i64(0);
        b.ret(Some(zero));
        b.switch_to(process);
        b.call_void(Callee::Func(learn), &[pid]);
        let registers = registers(&mut b);
        let from = b.binary_const(Binary::Add, registers, INSTRUCTION.into());
        let (to, size) = (b.slot_addr(words), b.i64(32));
        b.call_void(Callee::Helper(helpers::PROBE_READ_KERNEL), &[to, size, from]);
        let from = b.slot_addr(words);
        let (place, pointer) = (b.load(Width::W64, from, 0), b.load(Width::W64, from, STACK_POINTER));
        let hash = hash(&mut b, (place, pointer), (frame, round));

        let key = b.slot_addr(words);
        b.store(Width::W64, key, 0, hash);
        let map = b.map_addr(known);
        let memory = Memory::MapValue(known);
        let found = helper(&mut b, helpers::MAP_LOOKUP, &[map, key], IrType::nullable(memory));
        let null = b.null(memory);
        let (old, new, sent) = (b.block(&[]), b.block(&[]), b.block(&[]));
        b.branch(Cond::Ne, found, null, old, new);
        b.switch_to(new);
        let done = b.call(Callee::Func(copier), &[pid, hash, pointer], IrType::I64);
        let zero = b.i64(0);
        b.branch(Cond::Ne, done, zero, sent, old);
        b.switch_to(sent);
        let map = b.map_addr(known);
        let key = b.slot_addr(words);
        let flags = b.i64(0);
        b.call_void(Callee::Helper(helpers::MAP_UPDATE), &[map, key, key, flags]);
        b.jump(old, &[]);
        b.switch_to(old);
        b.ret(Some(hash));
        let reference = self.module.add_function(function);
        self.unwind = Some(reference);
        reference
    }

    /// A function that sends a copy: its parameters are the process, the hash and the stack pointer. It gives 0 if there was
    /// no room.
    fn copy_function(&mut self, action: i64) -> FuncRef {
        let mut function = Function::new("skep_copy_stack", FuncKind::Static, &[IrType::I64; 3], Some(IrType::I64));
        let mut b = Builder::new(&mut function);
        let [pid, hash, pointer] = [0, 1, 2].map(|number| b.function.params()[number]);
        let map = b.map_addr(self.events);
        let size = b.i64(UnwindRecord::size(ROOM).into());
        let flags = b.i64(0);
        let record = helper(&mut b, helpers::RINGBUF_RESERVE, &[map, size, flags], IrType::nullable(Memory::Record));
        let null = b.null(Memory::Record);
        let (some, full) = (b.block(&[]), b.block(&[]));
        let record = b.branch_refining(Cond::Ne, record, null, some, full);
        b.switch_to(full);
        self.count_lost(&mut b, &Lost::Record);
        let zero = b.i64(0);
        b.ret(Some(zero));
        b.switch_to(some);
        let number = b.i64(action);
        b.store(Width::W64, record, 0, number);
        b.store(Width::W64, record, UnwindRecord::PID as i16, pid);
        b.store(Width::W64, record, UnwindRecord::HASH as i16, hash);
        let from = registers(&mut b);
        let to = b.ptr_add_const(record, UnwindRecord::REGISTERS as i32);
        let size = b.i64(UnwindRecord::REGISTERS_SIZE.into());
        b.call_void(Callee::Helper(helpers::PROBE_READ_KERNEL), &[to, size, from]);
        let base = b.binary_const(Binary::And, pointer, !i64::from(PIECE - 1));
        b.store(Width::W64, record, UnwindRecord::BASE as i16, base);
        let copied = pieces(&mut b, record, base);
        b.store(Width::W64, record, UnwindRecord::LEN as i16, copied);
        let flags = b.i64(0);
        b.call_void(Callee::Helper(helpers::RINGBUF_SUBMIT), &[record, flags]);
        let one = b.i64(1);
        b.ret(Some(one));
        self.module.add_function(function)
    }
}

/// The address of the registers with which the process entered the kernel.
fn registers(b: &mut Builder<'_>) -> Value {
    let task = helper(b, helpers::CURRENT_TASK_BTF, &[], IrType::I64);
    helper(b, helpers::TASK_REGISTERS, &[task], IrType::I64)
}

/// Copies the stack from an address on until it ends; gives the bytes.
fn pieces(b: &mut Builder<'_>, record: Value, base: Value) -> Value {
    let end = b.block(&[IrType::I64]);
    for piece in 0..ROOM / PIECE {
        let to = b.ptr_add_const(record, (UnwindRecord::STACK + piece * PIECE) as i32);
        let size = b.i64(PIECE.into());
        let from = b.binary_const(Binary::Add, base, (piece * PIECE).into());
        let result = helper(b, helpers::PROBE_READ_USER, &[to, size, from], IrType::I64);
        let (failed, next) = (b.block(&[]), b.block(&[]));
        let zero = b.i64(0);
        b.branch(Cond::Ne, result, zero, failed, next);
        b.switch_to(failed);
        let copied = b.i64((piece * PIECE).into());
        b.jump(end, &[copied]);
        b.switch_to(next);
    }
    let copied = b.i64(ROOM.into());
    b.jump(end, &[copied]);
    b.switch_to(end);
    b.param(end, 0)
}

/// A hash of the process, of where it is, and of all words above the stack pointer that can be addresses of code.
fn hash(b: &mut Builder<'_>, (place, pointer): (Value, Value), (frame, round): (Slot, FuncRef)) -> Value {
    let [start, end, files, pid] = [0, 1, 2, 3].map(|number| b.function.params()[number]);
    let program = b.binary(Binary::Sub, end, start);
    let lowest = b.binary_const(Binary::Sub, files, FILES);
    let seed = b.binary_const(Binary::Xor, pid, PRIME.cast_signed());
    let seed = mix(b, seed, place);
    let at = b.slot_addr(frame);
    for (place, value) in [(HASH, seed), (POINTER, pointer), (START, start), (PROGRAM, program), (LOWEST, lowest)] {
        b.store(Width::W64, at, place, value);
    }
    let rounds = b.i64((ROOM / CHUNK).into());
    let function = b.func_addr(round);
    let flags = b.i64(0);
    b.call_void(Callee::Helper(helpers::LOOP), &[rounds, function, at, flags]);
    let at = b.slot_addr(frame);
    let hash = b.load(Width::W64, at, HASH);
    // 0 stands for no stack trace.
    b.binary_const(Binary::Or, hash, 1)
}

/// A round: the next bytes of the stack go into the hash, word by word. It leaves the loop where the stack ends.
///
/// There is no branch for a word, so that the kernel's verifier has one way to follow and not three for each of them.
fn round() -> Function {
    let params = [IrType::I64, IrType::ptr(Memory::Stack)];
    let mut function = Function::new("skep_unwind_words", FuncKind::Callback, &params, Some(IrType::I64));
    let chunk = function.add_slot("chunk", CHUNK, 8);
    let mut b = Builder::new(&mut function);
    let (number, frame) = (b.function.params()[0], b.function.params()[1]);
    let pointer = b.load(Width::W64, frame, POINTER);
    let distance = b.binary_const(Binary::Mul, number, CHUNK.into());
    let from = b.binary(Binary::Add, pointer, distance);
    let (to, size) = (b.slot_addr(chunk), b.i64(CHUNK.into()));
    let result = helper(&mut b, helpers::PROBE_READ_USER, &[to, size, from], IrType::I64);
    let (some, over) = (b.block(&[]), b.block(&[]));
    let zero = b.i64(0);
    b.branch(Cond::Eq, result, zero, some, over);
    b.switch_to(over);
    let leave = b.i64(1);
    b.ret(Some(leave));
    b.switch_to(some);
    let start = b.load(Width::W64, frame, START);
    let program = b.load(Width::W64, frame, PROGRAM);
    let lowest = b.load(Width::W64, frame, LOWEST);
    let mut hash = b.load(Width::W64, frame, HASH);
    for place in (0..CHUNK).step_by(8) {
        let from = b.slot_addr(chunk);
        let word = b.load(Width::W64, from, place as i16);
        let distance = b.binary(Binary::Sub, word, start);
        let in_program = below(&mut b, distance, program);
        let distance = b.binary(Binary::Sub, word, lowest);
        let range = b.i64(FILES);
        let in_files = below(&mut b, distance, range);
        let code = b.binary(Binary::Or, in_program, in_files);
        // All ones for an address of code, else zero.
        let mask = b.unary(Unary::Neg, code);
        let mixed = mix(&mut b, hash, word);
        let change = b.binary(Binary::Xor, hash, mixed);
        let change = b.binary(Binary::And, change, mask);
        hash = b.binary(Binary::Xor, hash, change);
    }
    b.store(Width::W64, frame, HASH, hash);
    let go_on = b.i64(0);
    b.ret(Some(go_on));
    function
}

/// 1 if a number is below a limit under 2^63, else 0.
fn below(b: &mut Builder<'_>, number: Value, limit: Value) -> Value {
    let less = b.binary(Binary::Sub, number, limit);
    let small = b.binary_const(Binary::Xor, number, -1);
    let both = b.binary(Binary::And, less, small);
    b.binary_const(Binary::Lshr, both, 63)
}

fn mix(b: &mut Builder<'_>, hash: Value, word: Value) -> Value {
    let mixed = b.binary(Binary::Xor, hash, word);
    let mixed = b.binary_const(Binary::Mul, mixed, PRIME.cast_signed());
    let high = b.binary_const(Binary::Lshr, mixed, 29);
    b.binary(Binary::Xor, mixed, high)
}

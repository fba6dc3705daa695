//! `dw_ustack`: a copy of the registers and the stack of the process goes to the host, which unwinds it; the value is a
//! hash of the addresses of code in the copy.
//!
//! Two moments with the same addresses in the same order have the same frames, whatever else is on their stacks: the host
//! gets one copy for both. Which words can be addresses of code is known from where the process has its program and its
//! libraries.

use skep_ir::{
    Binary, Block, Builder, Callee, Cond, Entity as _, FuncKind, FuncRef, Function, MapDecl, MapRef, Memory,
};
use skep_ir::{Type as IrType, Value, Width};
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
/// Copies that the host is known to have; the oldest make room for new ones.
const KNOWN: u32 = 16_384;
/// Bytes of the buffer for records if a script has copies of stacks in them and says nothing else.
const RING_BYTES: u32 = 8 << 20;
/// How far below the start of the area for files a library may be.
const FILES: i64 = 1 << 36;
/// Places of the instruction pointer and the stack pointer in `struct pt_regs` of x86-64
/// (`arch/x86/include/asm/ptrace.h`).
const INSTRUCTION: u32 = UnwindRecord::REGISTERS + 128;
const STACK_POINTER: u32 = UnwindRecord::REGISTERS + 152;

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
    /// nothing to unwind or no room. Its parameters are those of [`Call::Unwind`](crate::check::tree::Call::Unwind) and the
    /// process.
    fn unwind_function(&mut self) -> FuncRef {
        if let Some(known) = self.unwind {
            return known;
        }
        let action = self.action(Action::Unwind { room: ROOM });
        if self.input.settings.host.ring_bytes == 0 {
            let events = self.events.index();
            let ring = &mut self.module.maps[events].max_entries;
            *ring = (*ring).max(RING_BYTES);
        }
        let (learn, known) = (self.learn_function(), self.unwound());
        let params = [IrType::I64; 4];
        let mut function = Function::new("skep_unwind", FuncKind::Static, &params, Some(IrType::I64));
        let key = function.add_slot("key", 8, 8);
        let mut b = Builder::new(&mut function);
        let (start, pid) = (b.function.params()[0], b.function.params()[3]);
        let (process, none) = (b.block(&[]), b.block(&[]));
        // Threads of the kernel have no memory of their own.
        let zero = b.i64(0);
        b.branch(Cond::Ne, start, zero, process, none);
        b.switch_to(process);
        b.call_void(Callee::Func(learn), &[pid]);
        let map = b.map_addr(self.events);
        let size = b.i64(UnwindRecord::size(ROOM).into());
        let flags = b.i64(0);
        let record = helper(&mut b, helpers::RINGBUF_RESERVE, &[map, size, flags], IrType::nullable(Memory::Record));
        let null = b.null(Memory::Record);
        let (some, full) = (b.block(&[]), b.block(&[]));
        let record = b.branch_refining(Cond::Ne, record, null, some, full);
        b.switch_to(full);
        self.count_lost(&mut b, &Lost::Record);
        b.jump(none, &[]);
        b.switch_to(none);
        let zero = b.i64(0);
        b.ret(Some(zero));
        b.switch_to(some);
        let number = b.i64(action);
        b.store(Width::W64, record, 0, number);
        b.store(Width::W64, record, UnwindRecord::PID as i16, pid);
        let first = copy(&mut b, record);
        let hash = hash(&mut b, record, first);
        finish(&mut b, record, hash, (key, known));
        let reference = self.module.add_function(function);
        self.unwind = Some(reference);
        reference
    }
}

/// Copies registers and stack into the record; gives the number of the word that the stack pointer points to.
fn copy(b: &mut Builder<'_>, record: Value) -> Value {
    let task = helper(b, helpers::CURRENT_TASK_BTF, &[], IrType::I64);
    let registers = helper(b, helpers::TASK_REGISTERS, &[task], IrType::I64);
    let to = b.ptr_add_const(record, UnwindRecord::REGISTERS as i32);
    let size = b.i64(UnwindRecord::REGISTERS_SIZE.into());
    b.call_void(Callee::Helper(helpers::PROBE_READ_KERNEL), &[to, size, registers]);
    let pointer = b.load(Width::W64, record, STACK_POINTER as i16);
    let base = b.binary_const(Binary::And, pointer, !i64::from(PIECE - 1));
    b.store(Width::W64, record, UnwindRecord::BASE as i16, base);
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
    let copied = b.param(end, 0);
    b.store(Width::W64, record, UnwindRecord::LEN as i16, copied);
    let below = b.binary_const(Binary::And, pointer, i64::from(PIECE - 1));
    b.binary_const(Binary::Lshr, below, 3)
}

/// A hash of the process, of where it is, and of all words above the stack pointer that can be addresses of code.
fn hash(b: &mut Builder<'_>, record: Value, first: Value) -> Value {
    let (start, end) = (b.function.params()[0], b.function.params()[1]);
    let (files, pid) = (b.function.params()[2], b.function.params()[3]);
    let program = b.binary(Binary::Sub, end, start);
    let lowest = b.binary_const(Binary::Sub, files, FILES);
    let place = b.load(Width::W64, record, INSTRUCTION as i16);
    let seed = b.binary_const(Binary::Xor, pid, PRIME.cast_signed());
    let seed = mix(b, seed, place);
    let bytes = b.load(Width::W64, record, UnwindRecord::LEN as i16);
    let words = b.binary_const(Binary::Lshr, bytes, 3);

    let head = b.block(&[IrType::I64, IrType::I64]);
    let (inside, run, after): (Block, Block, Block) = (b.block(&[]), b.block(&[]), b.block(&[]));
    let next = b.block(&[IrType::I64]);
    b.jump(head, &[first, seed]);
    b.switch_to(head);
    let (index, current) = (b.param(head, 0), b.param(head, 1));
    let limit = b.i64((ROOM / 8).into());
    let index = b.branch_refining(Cond::Ult, index, limit, inside, after);
    b.switch_to(inside);
    b.branch(Cond::Ult, index, words, run, after);

    b.switch_to(run);
    let distance = b.binary_const(Binary::Shl, index, 3);
    let at = b.ptr_add(record, distance);
    let word = b.load(Width::W64, at, UnwindRecord::STACK as i16);
    let (code, elsewhere) = (b.block(&[]), b.block(&[]));
    let in_program = b.binary(Binary::Sub, word, start);
    b.branch(Cond::Ult, in_program, program, code, elsewhere);
    b.switch_to(elsewhere);
    let in_files = b.binary(Binary::Sub, word, lowest);
    let range = b.i64(FILES);
    let other = b.block(&[]);
    b.branch(Cond::Ult, in_files, range, code, other);
    b.switch_to(other);
    b.jump(next, &[current]);
    b.switch_to(code);
    let mixed = mix(b, current, word);
    b.jump(next, &[mixed]);

    b.switch_to(next);
    let carried = b.param(next, 0);
    let following = b.binary_const(Binary::Add, index, 1);
    b.jump(head, &[following, carried]);
    b.switch_to(after);
    // 0 stands for no stack trace.
    b.binary_const(Binary::Or, current, 1)
}

fn mix(b: &mut Builder<'_>, hash: Value, word: Value) -> Value {
    let mixed = b.binary(Binary::Xor, hash, word);
    let mixed = b.binary_const(Binary::Mul, mixed, PRIME.cast_signed());
    let high = b.binary_const(Binary::Lshr, mixed, 29);
    b.binary(Binary::Xor, mixed, high)
}

/// Sends the record, or gives its room back if the host has the same already; returns the hash.
fn finish(b: &mut Builder<'_>, record: Value, hash: Value, (slot, known): (skep_ir::Slot, MapRef)) {
    let memory = Memory::MapValue(known);
    let key = b.slot_addr(slot);
    b.store(Width::W64, key, 0, hash);
    let map = b.map_addr(known);
    let found = helper(b, helpers::MAP_LOOKUP, &[map, key], IrType::nullable(memory));
    let null = b.null(memory);
    let (old, new) = (b.block(&[]), b.block(&[]));
    b.branch(Cond::Ne, found, null, old, new);
    b.switch_to(old);
    let flags = b.i64(0);
    b.call_void(Callee::Helper(helpers::RINGBUF_DISCARD), &[record, flags]);
    b.ret(Some(hash));
    b.switch_to(new);
    let map = b.map_addr(known);
    let key = b.slot_addr(slot);
    let flags = b.i64(0);
    b.call_void(Callee::Helper(helpers::MAP_UPDATE), &[map, key, key, flags]);
    b.store(Width::W64, record, UnwindRecord::HASH as i16, hash);
    let flags = b.i64(0);
    b.call_void(Callee::Helper(helpers::RINGBUF_SUBMIT), &[record, flags]);
    b.ret(Some(hash));
}

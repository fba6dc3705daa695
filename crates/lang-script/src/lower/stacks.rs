//! Stack traces: the frames go into a map of their own, once for each trace, and the value is their hash.

use skep_ir::{Binary, Cond, Memory, Type as IrType, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::plan::{Shape, StackKey, StackMode};
use crate::types::Type;

/// `BPF_F_USER_STACK`
const USER_STACK: i64 = 1 << 8;
/// `BPF_F_USER_BUILD_ID`
const USER_BUILD_ID: i64 = 1 << 11;
/// Bytes of a frame with a build id (`struct bpf_stack_build_id`).
const BUILD_ID_BYTES: u32 = 32;
/// `BPF_NOEXIST`
const NO_EXIST: i64 = 1;
/// 2^64 divided by the golden ratio: an odd number whose ones are spread (Knuth, The Art of Computer Programming, 6.4).
pub const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

impl Body<'_, '_, '_> {
    /// Writes the key of the stack trace at this moment.
    pub fn write_stack(&mut self, ty: &Type, to: At) {
        let Type::Host(Shape::Stack { kernel, mode, limit, .. }) = *ty else { return };
        let build_id = mode == StackMode::BuildId;
        let frame = if build_id { BUILD_ID_BYTES } else { 8 };
        let room = StackKey::MAX_FRAMES * 8;
        let bytes = (limit * frame).min(room / frame * frame);
        let buffer = self.temp(room);
        if bytes < room {
            self.fill(buffer, room);
        }
        let mut flags = if kernel { 0 } else { USER_STACK };
        if build_id {
            flags |= USER_BUILD_ID;
        }
        let context = self.context();
        let ptr = self.addr(buffer);
        let size = self.b.i64(bytes.into());
        let flags = self.b.i64(flags);
        let got = self.call_i64(helpers::GET_STACK, &[context, ptr, size, flags]);
        let (some, none, done) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        let zero = self.b.i64(0);
        self.b.branch(Cond::Sgt, got, zero, some, none);
        self.b.switch_to(none);
        self.fill(to, StackKey::SIZE);
        self.b.jump(done, &[]);
        self.b.switch_to(some);
        let frames = self.b.binary_const(Binary::Udiv, got, frame.into());
        let words = self.b.binary_const(Binary::Udiv, got, 8);
        let hash = self.hash(buffer, bytes / 8, words);
        let pid = if kernel { self.b.i64(0) } else { self.process_id() };
        // Older kernels do not take a key out of a record.
        let in_record = self.b.function.ty(to.ptr).pointer().is_none_or(|pointer| pointer.to == Memory::Record);
        let own = if in_record { self.temp(StackKey::SIZE) } else { to };
        self.store(Width::W64, own.plus(StackKey::HASH), hash);
        self.store(Width::W32, own.plus(StackKey::FRAMES), frames);
        self.store(Width::W32, own.plus(StackKey::PID), pid);
        if in_record {
            self.copy(to, own, StackKey::SIZE);
        }
        let map = self.cx.stacks();
        let map = self.b.map_addr(map);
        let (key, value) = (self.addr(own), self.addr(buffer));
        let flags = self.b.i64(NO_EXIST);
        // A trace that is there already stays; one for which there is no room has no frames when it is printed.
        let result = self.call_i64(helpers::MAP_UPDATE, &[map, key, value, flags]);
        if kernel {
            self.b.jump(done, &[]);
        } else {
            let first = self.b.block(&[]);
            let zero = self.b.i64(0);
            self.b.branch(Cond::Eq, result, zero, first, done);
            self.b.switch_to(first);
            self.learn(pid);
            self.b.jump(done, &[]);
        }
        self.b.switch_to(done);
    }

    /// Tells the host of a process whose addresses it will have to name.
    pub fn learn(&mut self, pid: Value) {
        let callee = skep_ir::Callee::Func(self.cx.learn_function());
        self.b.call_void(callee, &[pid]);
    }

    /// A hash of the first words of a buffer that has room for `room`.
    fn hash(&mut self, buffer: At, room: u32, words: Value) -> Value {
        let start = self.addr(buffer);
        let first = self.b.i64(PRIME.cast_signed());
        self.counted(room, Some(words), &[first], |body, index, values| {
            let distance = body.b.binary_const(Binary::Shl, index, 3);
            let word = At { ptr: body.b.ptr_add(start, distance), off: 0, align: 8 };
            let word = body.load(Width::W64, false, word);
            let mixed = body.b.binary(Binary::Xor, values[0], word);
            let mixed = body.b.binary_const(Binary::Mul, mixed, PRIME.cast_signed());
            let high = body.b.binary_const(Binary::Lshr, mixed, 29);
            vec![body.b.binary(Binary::Xor, mixed, high)]
        })[0]
    }

    /// On to one of two blocks by whether the loop has run for too long.
    pub fn may_goto(&mut self, next: skep_ir::Block, done: skep_ir::Block) {
        let data = skep_ir::InstData::MayGoto { next: skep_ir::Edge::to(next), done: skep_ir::Edge::to(done) };
        let none: &[IrType] = &[];
        self.b.inst(data, none);
    }
}

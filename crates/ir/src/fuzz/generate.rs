//! Modules out of random bytes that follow the rules, end, and stay in bounds by construction, so that the kernel accepts
//! what is compiled from them. A rejection is always a fault of ours.

use skep_isa::{MapType, ProgType};

use super::Bytes;
use super::statements::{Pool, Write};
use crate::builder::Builder;
use crate::entity::{Entity, FuncRef, Value};
use crate::function::{Function, Inlining, Loc};
use crate::module::{FuncKind, Global, MapDecl, Module, ProgramInfo, Source};
use crate::op::{Binary, Cond, Unary, Width};
use crate::types::{Memory, Type};

/// Bytes of the value of the array map, of the variable and of each object on the stack: a power of two, so that a mask
/// bounds an index.
pub const OBJECT: u32 = 32;
/// Bytes of keys and values of the hash map.
pub const HASH_BYTES: [u32; 2] = [8, 16];
/// Ways through the program that are left to be taken, as a power of two: the kernel's verifier walks all of them.
const WAYS: u32 = 9;
/// Bytes that the packet must have before it is read.
const PACKET: i32 = 14;

/// What generated code may call.
#[derive(Debug, Clone, Copy)]
pub struct Callable {
    pub function: FuncRef,
    /// Whether its last parameter is an object on the stack.
    pub takes_stack: bool,
    /// Ways through it, as a power of two.
    pub ways: u32,
    /// Functions that may be on a chain of calls from it on, itself included.
    pub depth: u32,
}

/// A random module: up to two static functions, then a program, which is the last function and returns a mixture of all
/// that it computed. It uses an array map, a hash map, a variable that is written and one that is only read, and as an
/// XDP program the packet.
pub fn module(bytes: &mut Bytes<'_>) -> Module {
    let mut module = Module::new("GPL");
    module.add_map(MapDecl::new("array", MapType::Array, 4, OBJECT, 4));
    // Fewer keys are used than there are entries: the map is never full.
    module.add_map(MapDecl::new("hash", MapType::Hash, HASH_BYTES[0], HASH_BYTES[1], 64));
    for (name, section) in [("state", ".data"), ("config", ".rodata")] {
        let content = (0..OBJECT).map(|_| bytes.u8()).collect();
        let (name, section) = (name.to_owned(), section.to_owned());
        module.add_global(Global { name, section, bytes: content, align: 8, ty: 0 });
    }
    module.sources.push(Source { name: "generated".into(), text: "\n".into() });
    let mut callables = Vec::new();
    for number in 0..bytes.below(3) {
        let callable = static_function(bytes, &mut module, number, &callables);
        callables.push(callable);
    }
    program(bytes, &mut module, &callables);
    module
}

fn static_function(bytes: &mut Bytes<'_>, module: &mut Module, number: usize, callables: &[Callable]) -> Callable {
    let takes_stack = bytes.one_in(2);
    let mut params = vec![Type::I64, Type::I32];
    if takes_stack {
        params.push(Type::ptr(Memory::Stack));
    }
    let mut function = Function::new(&format!("part{number}"), FuncKind::Static, &params, Some(Type::I64));
    function.inlining = bytes.pick(&[Inlining::Free, Inlining::Always, Inlining::Never]);
    let mut write = Write::new(bytes, &mut function, callables, WAYS / 3, Type::I64);
    let [wide, narrow] = [0, 1].map(|at| write.builder.param(write.builder.current(), at));
    write.pool.push(wide, Type::I64);
    write.pool.push(narrow, Type::I32);
    write.objects();
    if takes_stack {
        let object = write.builder.param(write.builder.current(), 2);
        write.add_object(object);
    }
    body(&mut write, 10);
    let (ways, depth) = (WAYS / 3 - write.ways, 1 + write.deepest);
    Callable { function: module.add_function(function), takes_stack, ways, depth }
}

fn program(bytes: &mut Bytes<'_>, module: &mut Module, callables: &[Callable]) {
    let prog_type = bytes.pick(&[ProgType::SocketFilter, ProgType::SchedCls, ProgType::Xdp]);
    let section = if prog_type == ProgType::SocketFilter { "socket".to_owned() } else { prog_type.name().to_owned() };
    let info = ProgramInfo { prog_type, attach_type: None, flags: 0, section };
    let context = Type::ptr(Memory::Context);
    let mut function = Function::new("main", FuncKind::Program(info), &[context], Some(Type::I32));
    let mut write = Write::new(bytes, &mut function, callables, WAYS, Type::I32);
    write.builder.at(Loc { source: 0, line: 1, column: 1 });
    let context = write.builder.param(write.builder.current(), 0);
    for _ in 0..2 {
        write.constant(Type::I64);
        write.constant(Type::I32);
    }
    write.objects();
    if prog_type == ProgType::Xdp {
        packet(&mut write, context);
    }
    body(&mut write, 20);
    module.add_function(function);
}

/// Statements, then the result.
fn body(write: &mut Write<'_, '_>, statements: usize) {
    let mut left = statements;
    while left > 0 && !write.bytes.is_empty() {
        left -= 1;
        write.statement(2, 1);
    }
    write.finish();
}

/// Reads the packet where it is long enough.
fn packet(write: &mut Write<'_, '_>, context: Value) {
    let b = &mut write.builder;
    let data = b.load_as(Type::ptr(Memory::Packet), Width::W32, false, context, 0);
    let end = b.load_as(Type::ptr(Memory::PacketEnd), Width::W32, false, context, 4);
    let last = b.ptr_add_const(data, PACKET);
    let none = b.i32(0x55);
    let (inside, behind) = (b.block(&[]), b.block(&[Type::I32]));
    let outside = b.block(&[]);
    b.branch_refining(Cond::Ugt, last, end, outside, inside);
    b.switch_to(outside);
    b.jump(behind, &[none]);
    b.switch_to(inside);
    let width = write.bytes.pick(&[Width::W8, Width::W16, Width::W32]);
    let off = write.bytes.below(PACKET as usize - width.bytes() as usize + 1);
    let value = write.builder.load(width, data, i16::try_from(off).unwrap_or(0));
    write.builder.jump(behind, &[value]);
    write.builder.switch_to(behind);
    let value = write.builder.param(behind, 0);
    write.pool.push(value, Type::I32);
    write.ways = write.ways.saturating_sub(1);
}

/// All values of a pool mixed into one.
pub fn mix(b: &mut Builder<'_>, pool: &Pool) -> Value {
    let mut sum = b.i64(0x1234_5678);
    for &(value, ty) in pool.all() {
        let wide = if ty == Type::I32 { b.unary(Unary::Extend, value) } else { value };
        sum = b.binary_const(Binary::Mul, sum, 0x0100_0193);
        sum = b.binary(Binary::Xor, sum, wide);
    }
    let high = b.binary_const(Binary::Lshr, sum, 32);
    b.binary(Binary::Xor, sum, high)
}

/// The number of an object as an entity.
pub fn entity<T: Entity>(index: usize) -> T {
    T::new(index)
}

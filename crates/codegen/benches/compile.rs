//! How long a large module takes: `cargo bench -p skep-codegen`.

use divan::Bencher;
use divan::counter::ItemsCount;
use skep_codegen::{Options, compile};
use skep_ir::{
    Binary, Builder, Callee, Cond, Edge, FuncKind, Function, InstData, MapDecl, MapRef, Memory, Module, ProgramInfo,
    Type, Width,
};
use skep_isa::{MapType, ProgType};

fn main() {
    divan::main();
}

/// What a large script looks like: events that are filtered, keys on the stack, counters in maps, a few choices.
fn script(events: u32) -> Module {
    let mut module = Module::new("GPL");
    module.add_map(MapDecl::new("counts", MapType::Hash, 16, 8, 1024));
    let info = ProgramInfo { prog_type: ProgType::Kprobe, attach_type: None, flags: 0, section: String::new() };
    let context = [Type::ptr(Memory::Context)];
    let mut func = Function::new("script", FuncKind::Program(info), &context, Some(Type::I32));
    let (key, value) = (func.add_slot("key", 16, 8), func.add_slot("value", 8, 8));
    let ctx = func.params()[0];
    let mut b = Builder::new(&mut func);
    for number in 0..events {
        let off = i16::try_from(number % 20 * 8).unwrap_or(0);
        let arg = b.load(Width::W64, ctx, off);
        let (count, next) = (b.block(&[]), b.block(&[]));
        let limit = b.i64(i64::from(number) * 10);
        b.branch(Cond::Ugt, arg, limit, count, next);
        b.switch_to(count);
        let time = b.call(Callee::Helper(5), &[], Type::I64);
        let pid = b.call(Callee::Helper(14), &[], Type::I64);
        let pid = b.binary_const(Binary::Lshr, pid, 32);
        let least = b.select(Cond::Ult, time, arg, time, arg);
        let (key, value) = (b.slot_addr(key), b.slot_addr(value));
        b.store(Width::W64, key, 0, pid);
        b.store(Width::W64, key, 8, least);
        let map = b.map_addr(MapRef(0));
        let nullable = Type::nullable(Memory::MapValue(MapRef(0)));
        let found = b.call(Callee::Helper(1), &[map, key], nullable);
        let null = b.null(Memory::MapValue(MapRef(0)));
        let (new, old) = (b.block(&[]), b.block(&[]));
        let found = b.branch_refining(Cond::Eq, found, null, new, old);
        b.switch_to(old);
        let one = b.i64(1);
        b.atomic(skep_ir::AtomicOp::Add, Width::W64, found, 0, one);
        b.jump(next, &[]);
        b.switch_to(new);
        b.store(Width::W64, value, 0, time);
        let flags = b.i64(0);
        b.call_void(Callee::Helper(2), &[map, key, value, flags]);
        b.inst(InstData::Jump(Edge::to(next)), &[]);
        b.switch_to(next);
    }
    let zero = b.i32(0);
    b.ret(Some(zero));
    module.add_function(func);
    module
}

#[divan::bench(args = [10, 80, 400])]
fn compile_script(bencher: Bencher, events: u32) {
    let module = script(events);
    let insts: usize = module.functions.iter().map(Function::inst_count).sum();
    let options = Options::default();
    bencher.counter(ItemsCount::new(insts)).bench(|| compile(&module, &options).map(|object| object.programs.len()));
}

#[divan::bench(args = [80])]
fn check_rules(bencher: Bencher, events: u32) {
    let module = script(events);
    bencher.bench(|| skep_ir::verify::verify(&module).is_ok());
}

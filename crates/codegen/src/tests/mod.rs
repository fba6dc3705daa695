//! Tests of code generation: each idiom with its exact text, the rules of frames and programs, random functions.

mod accepted;
mod control;
mod interpret;
mod ints;
mod kernel;
mod memory;
mod programs;
mod random;

use skep_ir::{Builder, FuncKind, Function, Global, GlobalRef, Memory, Module, ProgramInfo, Type, Value};
use skep_isa::ProgType;
use skep_isa::ebpf::{self, Cpu, Endian};
use skep_object::Object;

use crate::{Options, compile};

/// A pointer to the variable of [`text_of`].
const PTR: Type = Type::ptr(Memory::Global(GlobalRef(0)));

fn options(cpu: Cpu) -> Options {
    Options { cpu, endian: Endian::Little }
}

fn info(prog_type: ProgType) -> FuncKind {
    FuncKind::Program(ProgramInfo { prog_type, attach_type: None, flags: 0, section: String::new() })
}

/// A module with one socket filter.
fn module(name: &str, result: Option<Type>, build: impl FnOnce(&mut Builder<'_>, Value)) -> Module {
    let mut func = Function::new(name, info(ProgType::SocketFilter), &[Type::ptr(Memory::Context)], result);
    let ctx = func.params()[0];
    build(&mut Builder::new(&mut func), ctx);
    let mut module = Module::new("GPL");
    module.add_function(func);
    module
}

/// A module with a static function of these parameters, which no register of a program disturbs, and its text.
#[track_caller]
fn text_of(cpu: Cpu, params: &[Type], result: Type, build: impl FnOnce(&mut Builder<'_>, &[Value])) -> String {
    let mut func = Function::new("f", FuncKind::Static, params, Some(result));
    let values = func.params().to_vec();
    build(&mut Builder::new(&mut func), &values);
    let mut module = Module::new("GPL");
    let bytes = vec![0; 50_000];
    module.add_global(Global { name: "object".into(), section: ".bss".into(), bytes, align: 8, ty: 0 });
    let callee = module.add_function(func);
    let mut main = Function::new("main", info(ProgType::SocketFilter), &[Type::ptr(Memory::Context)], Some(Type::I32));
    let mut builder = Builder::new(&mut main);
    let mut args = Vec::new();
    for &ty in params {
        args.push(match ty {
            Type::I32 => builder.i32(0),
            Type::I64 => builder.i64(0),
            Type::Ptr(_) => builder.global_addr(GlobalRef(0)),
        });
    }
    builder.call(skep_ir::Callee::Func(callee), &args, result);
    let zero = builder.i32(0);
    builder.ret(Some(zero));
    module.add_function(main);
    let object = compile(&module, &options(cpu)).unwrap_or_else(|error| panic!("{error}"));
    let program = &object.programs[0];
    validate(&object);
    ebpf::disassemble(&program.insns[program.functions[1].at.index()..]).unwrap()
}

/// Reports a test that cannot run on this machine; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

fn validate(object: &Object) {
    object.validate().unwrap_or_else(|error| panic!("{error}"));
}

/// The text of the first program of a module.
#[track_caller]
fn program_text(module: &Module, cpu: Cpu) -> String {
    let object = compile(module, &options(cpu)).unwrap_or_else(|error| panic!("{error}"));
    validate(&object);
    ebpf::disassemble(&object.programs[0].insns).unwrap()
}

/// Compares a text with the expected one, whose lines are separated by `;`.
#[track_caller]
fn check(found: &str, expected: &str) {
    let expected: Vec<&str> = expected.split(';').map(str::trim).collect();
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, expected);
}

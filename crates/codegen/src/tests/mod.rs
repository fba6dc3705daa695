//! Tests of code generation: each idiom with its exact text, the rules of frames and programs, random functions.

mod control;
mod interpret;
mod ints;
mod kernel;
mod memory;
mod programs;
mod random;

use skep_ir::{Builder, FuncKind, Function, Memory, Module, ProgramInfo, Type, Value};
use skep_isa::ProgType;
use skep_isa::ebpf::{self, Cpu, Endian};
use skep_object::Object;

use crate::{Options, compile};

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
    let callee = module.add_function(func);
    let mut main = Function::new("main", info(ProgType::SocketFilter), &[Type::ptr(Memory::Context)], Some(Type::I32));
    let mut builder = Builder::new(&mut main);
    let args: Vec<Value> = params
        .iter()
        .map(|&ty| {
            let inst = builder.inst(skep_ir::InstData::Const(0), &[ty]);
            builder.function[inst].results[0]
        })
        .collect();
    builder.call(skep_ir::Callee::Func(callee), &args, result);
    let zero = builder.i32(0);
    builder.ret(Some(zero));
    module.add_function(main);
    let object = compile(&module, &options(cpu)).unwrap_or_else(|error| panic!("{error}"));
    let program = &object.programs[0];
    validate(&object);
    ebpf::disassemble(&program.insns[program.functions[1].at.index()..]).unwrap()
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

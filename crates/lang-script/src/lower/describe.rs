//! Types of functions in BTF: the kernel wants them for programs with callbacks, and they name functions in its messages.

use skep_btf::{Btf, BtfBuilder, BuildError, Int, Linkage, NewType, TypeId};
use skep_ir::{FuncKind, Module};

/// The kernel's function that finds a thread by its id; the thread has to be given back.
pub const FIND_TASK: &str = "bpf_task_from_pid";
/// The kernel's function that takes a thread back.
pub const RELEASE_TASK: &str = "bpf_task_release";

/// Gives every function of a module its type.
pub fn describe(module: &mut Module) {
    // Names are made of letters and digits, and there are few functions: nothing here can go wrong. If it does, programs
    // are loaded without types.
    if let Ok(bytes) = types(module) {
        module.btf = bytes;
    }
}

fn types(module: &mut Module) -> Result<Vec<u8>, BuildError> {
    let mut builder = BtfBuilder::new();
    // Those of functions in C keep their numbers, to which the module refers.
    let imported = Btf::parse(std::mem::take(&mut module.btf)).ok();
    if let Some(imported) = &imported {
        builder.append(imported)?;
    }
    let int = |size: u32, bits| Int { size, bits, bit_offset: 0, signed: true, char: false, bool: false };
    let word = builder.add("long", NewType::Int(int(8, 64)))?;
    let half = builder.add("int", NewType::Int(int(4, 32)))?;
    let pointer = builder.add("", NewType::Ptr(TypeId::VOID))?;
    for function in module.functions.iter_mut().filter(|function| function.ty == 0) {
        let names = ["a", "b", "c", "d", "e"];
        let params: Vec<(&str, TypeId)> = function
            .params()
            .iter()
            .zip(names)
            .map(|(&param, name)| (name, if function.ty(param).is_int() { word } else { pointer }))
            .collect();
        let result = match function.result {
            None => TypeId::VOID,
            Some(skep_ir::Type::I32) => half,
            Some(_) => word,
        };
        let proto = builder.add("", NewType::FuncProto { result, params: &params })?;
        let linkage = if matches!(function.kind, FuncKind::Program(_)) { Linkage::Global } else { Linkage::Static };
        function.ty = builder.add(&function.name, NewType::Func { proto, linkage })?.0;
    }
    let declared = |name: &str| {
        let found = |btf: &Btf| btf.find_function(name);
        imported.as_ref().and_then(found).is_some()
    };
    for kfunc in module.kfuncs.iter().filter(|kfunc| !declared(&kfunc.name)) {
        let task = |builder: &mut BtfBuilder| {
            let whole = builder.add("task_struct", NewType::Struct { size: 0, members: &[] })?;
            builder.add("", NewType::Ptr(whole))
        };
        // The kernel's own declaration has to agree with this.
        let proto = match kfunc.name.as_str() {
            FIND_TASK => {
                let result = task(&mut builder)?;
                builder.add("", NewType::FuncProto { result, params: &[("pid", half)] })?
            }
            RELEASE_TASK => {
                let param = task(&mut builder)?;
                builder.add("", NewType::FuncProto { result: TypeId::VOID, params: &[("p", param)] })?
            }
            _ => continue,
        };
        builder.add(&kfunc.name, NewType::Func { proto, linkage: Linkage::Extern })?;
    }
    Ok(builder.to_bytes())
}

//! Functions in C that a script imports (`import "file.bpf.c"`): what they take and give, by the types of their module.
//!
//! What lives here: the module with what scripts see of it. Compiling C is done by `skep-lang-c`, which this crate does not
//! know; the calls are lowered in `lower::foreign`.

use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, BuildError, Kind, Linkage, TypeId};
use skep_ir::{Entity as _, FuncKind, FuncRef, Function, Module};

use crate::check::Signature;
use crate::types::{Space, Type};

/// A module with functions that scripts may call.
#[derive(Debug, Clone)]
pub struct Foreign {
    module: Module,
    functions: Vec<(FuncRef, Signature)>,
}

impl Foreign {
    /// Everything in the module that a script can call: functions whose parameters and results are numbers and addresses.
    ///
    /// # Errors
    /// The module has a program, which nobody would attach, or its types cannot be read.
    pub fn new(mut module: Module) -> Result<Self, String> {
        if let Some((program, info)) = module.programs().next() {
            let name = &module.functions[program.index()].name;
            return Err(format!(
                "`{name}` is a program (section `{}`); a script can import functions only, its own probes call them",
                info.section
            ));
        }
        let unreadable = |error: &dyn std::fmt::Display| format!("the types cannot be read: {error}");
        let btf = Btf::parse(std::mem::take(&mut module.btf)).map_err(|error| unreadable(&error))?;
        module.btf = verified_at_calls(&mut module.functions, &btf).map_err(|error| unreadable(&error))?;
        let functions = (0..module.functions.len()).map(FuncRef::new);
        let functions = functions.filter_map(|number| Some((number, signature(&module, number, &btf)?))).collect();
        Ok(Self { module, functions })
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// The functions as scripts see them, in the order of the module.
    pub fn signatures(&self) -> impl ExactSizeIterator<Item = &Signature> {
        self.functions.iter().map(|(_, signature)| signature)
    }

    /// The function of the module behind one of [`signatures`](Self::signatures).
    pub fn function(&self, number: usize) -> Option<FuncRef> {
        self.functions.get(number).map(|(function, _)| *function)
    }
}

/// Lets the kernel verify functions with what is known where they are called, not by themselves: addresses
/// that they get from the script are numbers there. Gives the types that say so.
fn verified_at_calls(functions: &mut [Function], btf: &Btf) -> Result<Vec<u8>, BuildError> {
    let mut builder = BtfBuilder::new();
    builder.append(btf)?;
    for function in functions.iter_mut().filter(|function| function.kind == FuncKind::Global) {
        function.kind = FuncKind::Static;
        builder.set_linkage(TypeId(function.ty), Linkage::Static)?;
    }
    Ok(builder.to_bytes())
}

fn signature(module: &Module, number: FuncRef, btf: &Btf) -> Option<Signature> {
    let function = &module.functions[number.index()];
    if function.kind != FuncKind::Static {
        return None;
    }
    let Ok(Kind::Func { proto, .. }) = btf.kind(TypeId(function.ty)) else { return None };
    let Ok(Kind::FuncProto(proto)) = btf.kind(proto) else { return None };
    let params = proto.params().map(|param| value(btf, param.ty)).collect::<Option<Vec<_>>>()?;
    if params.len() != function.params().len() || params.contains(&Type::Void) {
        return None;
    }
    let result = value(btf, proto.result)?;
    let name = function.name.as_str().into();
    Some(Signature { name, params, result, calls: Vec::new(), inline: false })
}

/// A type of C as a type of the language; `None` for what registers do not hold.
fn value(btf: &Btf, ty: TypeId) -> Option<Type> {
    let number = |size: u32, signed: bool| Some(Type::int(u8::try_from(size).ok().filter(|size| *size <= 8)?, signed));
    match btf.resolved(ty).ok()? {
        Kind::Void => Some(Type::Void),
        Kind::Int(int) if int.bool => Some(Type::Bool),
        Kind::Int(int) => number(int.size, int.signed),
        Kind::Enum(list) | Kind::Enum64(list) => number(list.size, list.signed),
        Kind::Ptr(_) => Some(Type::Pointer(Arc::new(Type::Void), Space::Unknown)),
        _ => None,
    }
}

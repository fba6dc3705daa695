//! Types of functions that the module does not describe: the kernel wants one for every function of a program as soon as
//! it wants one for any, for example because one is called back.

use skep_btf::{Btf, BtfBuilder, BuildError, Int, Linkage, NewType, TypeId};
use skep_ir::{FuncKind, Function, Module, Type};

/// The types of a module.
#[derive(Debug, Clone, Default)]
pub struct Types {
    /// All types (BTF): those of the module under their numbers, then what was added.
    pub btf: Vec<u8>,
    /// The type of each function of the module.
    pub functions: Vec<u32>,
}

/// Describes every function that has no type: integers by their width, pointers as `void *`.
///
/// # Errors
/// Types of the module that cannot be read, a name with a NUL.
pub fn describe(module: &Module, btf: Option<&Btf>) -> Result<Types, BuildError> {
    let known: Vec<u32> = module.functions.iter().map(|func| func.ty).collect();
    if known.iter().all(|&ty| ty != 0) {
        return Ok(Types { btf: module.btf.clone(), functions: known });
    }
    let mut builder = BtfBuilder::new();
    if let Some(btf) = btf {
        builder.append(btf)?;
    }
    let int =
        |size| NewType::Int(Int { size, signed: false, char: false, bool: false, bit_offset: 0, bits: size as u8 * 8 });
    let narrow = builder.add("unsigned int", int(4))?;
    let wide = builder.add("unsigned long long", int(8))?;
    let pointer = builder.add("", NewType::Ptr(TypeId::VOID))?;
    let name_of = |ty: Type| match ty {
        Type::I32 => narrow,
        Type::I64 => wide,
        Type::Ptr(_) => pointer,
    };
    let mut types = Types::default();
    for func in &module.functions {
        types.functions.push(if func.ty == 0 { add(&mut builder, func, name_of)?.0 } else { func.ty });
    }
    types.btf = builder.to_bytes();
    Ok(types)
}

fn add(builder: &mut BtfBuilder, func: &Function, name_of: impl Fn(Type) -> TypeId) -> Result<TypeId, BuildError> {
    let result = func.result.map_or(TypeId::VOID, &name_of);
    let names: Vec<String> = (0..func.params().len()).map(|number| format!("arg{number}")).collect();
    let params: Vec<(&str, TypeId)> =
        names.iter().zip(func.params()).map(|(name, &param)| (name.as_str(), name_of(func.ty(param)))).collect();
    let proto = builder.add("", NewType::FuncProto { result, params: &params })?;
    let linkage = match func.kind {
        FuncKind::Program(_) | FuncKind::Global => Linkage::Global,
        FuncKind::Static | FuncKind::Callback => Linkage::Static,
    };
    builder.add(&identifier(&func.name), NewType::Func { proto, linkage })
}

/// A name that the kernel takes: letters, digits and underscores, not a digit first.
fn identifier(name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut text: String = name.chars().map(|c| if good(c) { c } else { '_' }).collect();
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        text.insert(0, '_');
    }
    text.truncate(127);
    text
}

//! Calls of functions in C: each gets a function in front of it that takes and gives 64-bit values as all of the script do.

use skep_ir::{
    Builder, Callee, Entity as _, FuncKind, FuncRef, Function, InstData, Memory, Type as IrType, Unary, Value,
};

use super::Unit;

/// Addresses in C.
const ADDRESS: IrType = IrType::ptr(Memory::Any);

impl Unit<'_> {
    /// The function in front of one in C, by its number among the signatures of the foreign module.
    pub(super) fn foreign(&mut self, number: usize) -> Option<FuncRef> {
        let foreign = self.input.env.foreign?;
        let callee = foreign.function(number)?;
        let signature = foreign.signatures().nth(number)?;
        let target = &self.module.functions[callee.index()];
        let types: Vec<IrType> = target.params().iter().map(|&param| target.ty(param)).collect();
        let result = target.result;
        let name = format!("call_{}", signature.name);
        let params = vec![IrType::I64; types.len()];
        let mut function = Function::new(&name, FuncKind::Static, &params, result.map(|_| IrType::I64));
        let mut b = Builder::new(&mut function);
        let entry = b.current();
        let given: Vec<Value> = (0..types.len()).map(|number| b.param(entry, number)).collect();
        let args: Vec<Value> = given.into_iter().zip(types).map(|(value, ty)| to_c(&mut b, value, ty)).collect();
        let value = match result {
            None => {
                b.call_void(Callee::Func(callee), &args);
                None
            }
            Some(ty) => {
                let value = b.call(Callee::Func(callee), &args, ty);
                let signed = signature.result.scalar().is_some_and(|(_, signed)| signed);
                Some(from_c(&mut b, value, ty, signed))
            }
        };
        b.ret(value);
        Some(self.module.add_function(function))
    }
}

/// A number of 64 bits as what a parameter wants.
fn to_c(b: &mut Builder<'_>, value: Value, ty: IrType) -> Value {
    match ty {
        IrType::I64 => value,
        IrType::I32 => b.unary(Unary::Truncate, value),
        IrType::Ptr(_) => made(b, InstData::Cast(value), ADDRESS),
    }
}

/// A result as a number of 64 bits.
fn from_c(b: &mut Builder<'_>, value: Value, ty: IrType, signed: bool) -> Value {
    match ty {
        IrType::I64 => value,
        IrType::I32 => b.unary(if signed { Unary::Sext32 } else { Unary::Extend }, value),
        IrType::Ptr(_) => made(b, InstData::PtrToInt(value), IrType::I64),
    }
}

fn made(b: &mut Builder<'_>, data: InstData, ty: IrType) -> Value {
    let inst = b.inst(data, &[ty]);
    b.function[inst].results[0]
}

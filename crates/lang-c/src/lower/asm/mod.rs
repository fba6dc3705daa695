//! Inline assembly. Barriers, whose text is empty, keep values from the optimiser; other texts are assembled and become
//! instructions of the representation ([`inline`]), or the body of a function that is nothing but assembly ([`naked`]).

mod inline;
mod naked;
mod text;

use skep_ir::{InstData, Type, Value};

use super::Lower;
use super::func::PTR;
use crate::parse::Parsed;
use crate::parse::ast::{Asm, AsmOperand, Expr, ExprKind};
use crate::types::{IntTy, QTy, Types};

/// Whether an operand is a place in memory and not in a register.
fn is_memory(operand: &AsmOperand) -> bool {
    operand.constraint.contains('m') && !operand.constraint.contains('r')
}

impl Lower<'_> {
    pub fn asm(&mut self, asm: &Asm) -> Parsed<()> {
        if !asm.text.trim().is_empty() {
            return self.inline_asm(asm);
        }
        let mut values = Vec::new();
        for output in &asm.outputs {
            values.push(self.through(asm, output)?);
        }
        for (output, value) in asm.outputs.iter().zip(values) {
            let Some(value) = value else { continue };
            let ty = self.f().ty(value);
            let opaque = self.f().value(InstData::Opaque(value), ty);
            let place = self.place(&output.expr)?;
            self.write(&place, output.expr.ty, opaque)?;
        }
        Ok(())
    }

    /// A value as a register of 64 bits holds it. The optimiser knows nothing of numbers.
    fn opened(&mut self, value: Value, ty: QTy) -> Value {
        let pointer = self.f().ty(value) == PTR;
        let wide = self.convert(value, ty, Types::int(IntTy::ULong));
        if pointer { wide } else { self.f().value(InstData::Opaque(wide), Type::I64) }
    }

    /// An operand as clang passes it: a cast to 8 or 16 bits leaves the rest of the register as it is, on which the kernel's
    /// macros that compare (`bpf_cmp_likely`) rely.
    fn uncut<'a>(&self, mut expr: &'a Expr) -> &'a Expr {
        while let ExprKind::Cast(inner) = &expr.kind
            && let (Some(to), Some(from)) = (self.types.as_int(expr.ty), self.types.as_int(inner.ty))
            && to.size() < 4
            && to != IntTy::Bool
            && from.size() > to.size()
            && from.size() <= 8
        {
            expr = inner;
        }
        expr
    }

    /// A register as a value of a type. The optimiser knows nothing of it.
    fn closed(&mut self, value: Value, ty: QTy) -> Value {
        let opaque = self.f().value(InstData::Opaque(value), Type::I64);
        self.convert(opaque, Types::int(IntTy::ULong), ty)
    }

    /// The input that is in the register of an output.
    fn tied<'a>(asm: &'a Asm, output: &AsmOperand) -> Option<&'a AsmOperand> {
        let number = asm.outputs.iter().position(|other| std::ptr::eq(other, output)).unwrap_or(0).to_string();
        asm.inputs.iter().find(|input| {
            input.constraint.trim() == number
                || output.name.as_ref().is_some_and(|name| input.constraint.trim() == format!("[{name}]"))
        })
    }

    /// The value that an output has before the assembly: its own, or that of the input that shares its register.
    fn through(&mut self, asm: &Asm, output: &AsmOperand) -> Parsed<Option<Value>> {
        if is_memory(output) {
            return Ok(None);
        }
        if output.constraint.starts_with('+') {
            return self.value(&output.expr).map(Some);
        }
        match Self::tied(asm, output) {
            Some(input) => {
                let value = self.value(&input.expr)?;
                let value = self.convert(value, input.expr.ty, output.expr.ty);
                Ok(Some(if self.register(output.expr.ty) == PTR { self.f().make_ptr(value) } else { value }))
            }
            None => Ok(None),
        }
    }
}

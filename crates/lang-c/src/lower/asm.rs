//! Inline assembly. Barriers are understood: empty text, with operands whose values the optimiser must not look into.

use skep_ir::{InstData, Value};

use super::Lower;
use crate::parse::Parsed;
use crate::parse::ast::{Asm, AsmOperand};
use crate::source::Diag;

impl Lower<'_> {
    pub fn asm(&mut self, asm: &Asm) -> Parsed<()> {
        if !asm.text.trim().is_empty() {
            return self.push(
                Diag::error(asm.loc, "inline assembly with instructions is not supported")
                    .with_help("barriers, whose text is empty, are: write the computation in C"),
            );
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

    /// The value that an output has behind the barrier: its own, or that of the input that shares its register.
    fn through(&mut self, asm: &Asm, output: &AsmOperand) -> Parsed<Option<Value>> {
        if output.constraint.contains('m') && !output.constraint.contains('r') {
            return Ok(None);
        }
        if output.constraint.starts_with('+') {
            return self.value(&output.expr).map(Some);
        }
        let number = asm.outputs.iter().position(|other| std::ptr::eq(other, output)).unwrap_or(0).to_string();
        let input = asm.inputs.iter().find(|input| {
            input.constraint.trim() == number
                || output.name.as_ref().is_some_and(|name| input.constraint.trim() == format!("[{name}]"))
        });
        match input {
            Some(input) => self.value(&input.expr).map(Some),
            None => Ok(None),
        }
    }
}

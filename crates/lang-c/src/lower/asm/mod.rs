//! Inline assembly: barriers, whose text is empty, and computations in the notation of BPF. The optimiser looks neither
//! into what goes in nor into what comes out.

use skep_ir::{Binary, InstData, Type, Unary, Value};

use super::Lower;
use super::func::PTR;
use crate::parse::Parsed;
use crate::parse::ast::{Asm, AsmOperand};
use crate::source::Diag;
use crate::types::{IntTy, QTy, Types};

/// Operators of the notation, longest first.
// TABLE
const OPERATORS: &[(&str, Option<Binary>)] = &[
    ("s>>=", Some(Binary::Ashr)),
    ("<<=", Some(Binary::Shl)),
    (">>=", Some(Binary::Lshr)),
    ("+=", Some(Binary::Add)),
    ("-=", Some(Binary::Sub)),
    ("*=", Some(Binary::Mul)),
    ("/=", Some(Binary::Udiv)),
    ("%=", Some(Binary::Urem)),
    ("&=", Some(Binary::And)),
    ("|=", Some(Binary::Or)),
    ("^=", Some(Binary::Xor)),
    ("=", None),
];

/// The registers of the operands: outputs, then inputs.
type Registers = Vec<Option<Value>>;

impl Lower<'_> {
    pub fn asm(&mut self, asm: &Asm) -> Parsed<()> {
        let mut registers: Registers = Vec::new();
        let empty = asm.text.trim().is_empty();
        for output in &asm.outputs {
            let value = self.through(asm, output)?;
            registers.push(value.map(|value| self.opened(value, output.expr.ty, empty)));
        }
        for input in &asm.inputs {
            // What is in memory is not in a register.
            let memory = input.constraint.contains('m') && !input.constraint.contains('r');
            let value = if memory || empty { None } else { Some(self.value(&input.expr)?) };
            registers.push(value.map(|value| self.opened(value, input.expr.ty, empty)));
        }
        for line in asm.text.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty()) {
            if self.computation(asm, line, &mut registers).is_none() {
                return self.push(
                    Diag::error(asm.loc, format!("the assembly `{line}` is not supported"))
                        .with_help("barriers and computations such as `%[x] &= 0xff` are: write the rest in C"),
                );
            }
        }
        for (output, value) in asm.outputs.iter().zip(registers) {
            let Some(value) = value else { continue };
            let ty = self.f().ty(value);
            let opaque = self.f().value(InstData::Opaque(value), ty);
            let made = if empty { opaque } else { self.closed(opaque, output.expr.ty) };
            let place = self.place(&output.expr)?;
            self.write(&place, output.expr.ty, made)?;
        }
        Ok(())
    }

    /// A value as a register of 64 bits holds it.
    fn opened(&mut self, value: Value, ty: QTy, empty: bool) -> Value {
        if empty {
            return value;
        }
        let wide = self.convert(value, ty, Types::int(IntTy::ULong));
        self.f().value(InstData::Opaque(wide), Type::I64)
    }

    fn closed(&mut self, value: Value, ty: QTy) -> Value {
        self.convert(value, Types::int(IntTy::ULong), ty)
    }

    /// The number of the operand that a text such as `%[name]` or `%0` names.
    fn operand(asm: &Asm, text: &str) -> Option<usize> {
        let text = text.strip_prefix('%')?;
        let all = || asm.outputs.iter().chain(&asm.inputs);
        if let Some(name) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return all().position(|operand| operand.name.as_deref() == Some(name));
        }
        text.parse().ok().filter(|&number| number < all().count())
    }

    /// `%[a] OP= %[b]`, with a number for the latter; `None` if it is something else.
    fn computation(&mut self, asm: &Asm, line: &str, registers: &mut Registers) -> Option<()> {
        let (at, text, op) = OPERATORS
            .iter()
            .filter_map(|(text, op)| Some((line.find(text)?, *text, *op)))
            .min_by_key(|found| found.0)?;
        let target = Self::operand(asm, line[..at].trim())?;
        let source = line[at + text.len()..].trim();
        if let Some(negated) = source.strip_prefix('-').filter(|rest| rest.starts_with('%')) {
            let value = registers[Self::operand(asm, negated)?]?;
            registers[target] = Some(self.f().unary(Unary::Neg, value));
            return op.is_none().then_some(());
        }
        let right = match Self::operand(asm, source) {
            Some(number) => registers[number]?,
            None => {
                let number = match source.strip_prefix("0x") {
                    Some(digits) => i64::from_str_radix(digits, 16).ok()?,
                    None => source.parse().ok()?,
                };
                self.f().number(number, Type::I64)
            }
        };
        registers[target] = Some(match op {
            None => right,
            Some(op) => {
                let left = registers[target]?;
                self.f().binary(op, left, right)
            }
        });
        Some(())
    }

    /// The value that an output has before the assembly: its own, or that of the input that shares its register.
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
            Some(input) => {
                let value = self.value(&input.expr)?;
                let value = self.convert(value, input.expr.ty, output.expr.ty);
                Ok(Some(if self.register(output.expr.ty) == PTR { self.f().make_ptr(value) } else { value }))
            }
            None => Ok(None),
        }
    }
}

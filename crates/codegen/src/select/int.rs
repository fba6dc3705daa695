//! Selection of arithmetic, with expansions of what older instruction sets lack.

use skep_ir::{Binary, Type, Unary, Value};
use skep_isa::ebpf::{AluOp, Cpu, Endian, Order, Size, Width};

use super::{Selector, width};
use crate::mir::{Inst, Rhs, VReg};

impl Selector<'_> {
    pub(super) fn unary(&mut self, op: Unary, value: Value, result: Option<Value>) {
        let width = result.map_or(Width::W64, |value| width(self.func.ty(value)));
        match op {
            Unary::Extend => self.rename(result, value),
            Unary::Truncate => {
                if !self.is_wide(result) || self.is_clean(value) {
                    self.rename(result, value);
                } else {
                    let src = self.reg(value);
                    let dst = self.result(result);
                    self.emit(Inst::Copy { width: Width::W32, dst, src });
                }
            }
            Unary::Neg => {
                let src = self.reg(value);
                let dst = self.result(result);
                self.emit(Inst::Neg { width, dst, src });
            }
            Unary::Sext8 => self.sign_extension(value, Size::B, width, result),
            Unary::Sext16 => self.sign_extension(value, Size::H, width, result),
            Unary::Sext32 => self.sign_extension(value, Size::W, Width::W64, result),
            Unary::Swap16 => self.swap(value, Size::H, result),
            Unary::Swap32 => self.swap(value, Size::W, result),
            Unary::Swap64 => self.swap(value, Size::DW, result),
        }
    }

    fn sign_extension(&mut self, value: Value, from: Size, width: Width, result: Option<Value>) {
        let src = self.reg(value);
        let reg = self.extend_from(src, from, width);
        self.bind(result, reg);
    }

    /// The low bytes of a register, extended by their sign.
    pub(super) fn extend_from(&mut self, src: VReg, from: Size, width: Width) -> VReg {
        if self.has(Cpu::V4) {
            let dst = self.new_reg();
            self.emit(Inst::MovSx { width, from, dst, src });
            return dst;
        }
        let bits = (width.bits() - 8 * from.bytes()) as i32;
        let high = self.emit_alu(width, AluOp::Lsh, src, Rhs::Imm(bits));
        self.emit_alu(width, AluOp::Arsh, high, Rhs::Imm(bits))
    }

    /// The low 32 bits of a register as a signed number of 64 bits.
    pub(super) fn extend_sign(&mut self, src: VReg) -> VReg {
        self.extend_from(src, Size::W, Width::W64)
    }

    fn swap(&mut self, value: Value, size: Size, result: Option<Value>) {
        let order = match (self.has(Cpu::V4), self.options.endian) {
            (true, _) => Order::Swap,
            (false, Endian::Little) => Order::Big,
            (false, Endian::Big) => Order::Little,
        };
        let src = self.reg(value);
        let dst = self.result(result);
        self.emit(Inst::Swap { order, size, dst, src });
    }

    pub(super) fn binary(&mut self, op: Binary, left: Value, right: Value, result: Option<Value>) {
        let width = width(self.func.ty(left));
        let (mut left, mut right) = (left, right);
        // The first operand's register becomes the result's: let it be the one that nobody reads any more.
        let swap = match (self.constant(left), self.constant(right)) {
            (Some(_), None) => true,
            (None, None) => self.needs.uses[left.0 as usize] > 1 && self.needs.uses[right.0 as usize] == 1,
            _ => false,
        };
        if op.commutes() && swap {
            (left, right) = (right, left);
        }
        match (op, self.constant(right)) {
            (Binary::Sub, Some(number)) => {
                // Subtractions of constants are additions, which the verifier treats better with pointers.
                let negated = match width {
                    Width::W32 => Some((number as i32).wrapping_neg()),
                    Width::W64 => number.checked_neg().and_then(|number| i32::try_from(number).ok()),
                };
                match negated {
                    Some(imm) => self.alu_rhs(AluOp::Add, width, left, Rhs::Imm(imm), result),
                    None => self.alu(AluOp::Sub, width, left, right, result),
                }
            }
            (Binary::Shl | Binary::Lshr | Binary::Ashr, Some(count)) => {
                // Counts beyond the width are refused by the verifier if they are constants.
                let count = (count & i64::from(width.bits() - 1)) as i32;
                self.alu_rhs(op.alu(), width, left, Rhs::Imm(count), result);
            }
            (Binary::Udiv | Binary::Urem | Binary::Sdiv | Binary::Srem, Some(0)) => {
                // So are divisors of 0.
                let reg = match op {
                    Binary::Udiv | Binary::Sdiv => self.number(0),
                    _ => {
                        let reg = self.reg(left);
                        self.copy(width, reg)
                    }
                };
                self.bind(result, reg);
            }
            (Binary::Sdiv | Binary::Srem, _) if !self.has(Cpu::V4) => {
                let reg = self.signed_division(op, left, right, width);
                self.bind(result, reg);
            }
            _ => self.alu(op.alu(), width, left, right, result),
        }
    }

    pub(super) fn alu(&mut self, op: AluOp, width: Width, left: Value, right: Value, result: Option<Value>) {
        let rhs = self.rhs(right, width);
        self.alu_rhs(op, width, left, rhs, result);
    }

    fn alu_rhs(&mut self, op: AluOp, width: Width, left: Value, rhs: Rhs, result: Option<Value>) {
        let lhs = self.reg(left);
        let dst = self.result(result);
        self.emit(Inst::Alu { width, op, dst, lhs, rhs });
    }

    /// Division or remainder by the absolute values. What is defined for 0 and for the smallest number comes out right by
    /// itself: the former by the unsigned operation, the latter because negating it changes nothing.
    fn signed_division(&mut self, op: Binary, left: Value, right: Value, width: Width) -> VReg {
        let dividend = self.reg(left);
        let magnitude = self.absolute(dividend, width);
        let (divisor, sign) = match self.constant(right) {
            Some(number) => {
                let number = if width == Width::W32 { i64::from(number as i32) } else { number };
                let magnitude = number.unsigned_abs().cast_signed();
                let imm = match width {
                    Width::W32 => Ok(magnitude as i32),
                    Width::W64 => i32::try_from(magnitude),
                };
                (imm.map_or_else(|_| Rhs::Reg(self.number(magnitude)), Rhs::Imm), Ok(number < 0))
            }
            None => {
                let divisor = self.reg(right);
                (Rhs::Reg(self.absolute(divisor, width)), Err(divisor))
            }
        };
        let unsigned = if op == Binary::Sdiv { AluOp::Div } else { AluOp::Mod };
        let quotient = self.emit_alu(width, unsigned, magnitude, divisor);
        match (op, sign) {
            (Binary::Srem, _) | (_, Ok(false)) => self.negate_if_negative(quotient, dividend, width, true),
            (_, Ok(true)) => self.negate_if_negative(quotient, dividend, width, false),
            (_, Err(divisor)) => {
                let signs = self.emit_alu(width, AluOp::Xor, dividend, Rhs::Reg(divisor));
                self.negate_if_negative(quotient, signs, width, true)
            }
        }
    }

    fn absolute(&mut self, reg: VReg, width: Width) -> VReg {
        // The copy becomes the result, in one register, whether it is negated or not.
        let copy = self.copy(Width::W64, reg);
        self.negate_if_negative(copy, reg, width, true)
    }

    /// `reg`, negated if the sign of `of` is as `negative` says.
    fn negate_if_negative(&mut self, reg: VReg, of: VReg, width: Width, negative: bool) -> VReg {
        let (change, keep, join) = (self.new_block(), self.new_block(), self.new_block());
        let param = self.new_reg();
        self.out.blocks[join.index()].params.push(param);
        let (yes, no) = if negative { (change, keep) } else { (keep, change) };
        self.branch_on_sign(width, of, yes, no);
        self.switch_to(change);
        let dst = self.new_reg();
        self.emit(Inst::Neg { width, dst, src: reg });
        self.emit(Inst::Jump(join, vec![dst]));
        self.switch_to(keep);
        self.emit(Inst::Jump(join, vec![reg]));
        self.switch_to(join);
        param
    }

    /// Whether a value is an integer of 32 bits.
    pub(super) fn is_narrow(&self, value: Value) -> bool {
        self.func.ty(value) == Type::I32
    }
}

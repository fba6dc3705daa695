//! From encoded slots to typed instructions, with every reserved field checked.
//!
//! Structure only: whether a program is safe to run is decided by a verifier.

use std::fmt;

use super::table::{ROWS, Row};
use super::{Callee, Imm64, Insn, InsnIdx, Op};

/// A field of an encoded instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Destination register.
    Dst,
    /// Source register.
    Src,
    /// Offset.
    Off,
    /// Immediate.
    Imm,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dst => "dst",
            Self::Src => "src",
            Self::Off => "off",
            Self::Imm => "imm",
        })
    }
}

/// Why one instruction does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsnError {
    /// No instruction has this opcode.
    UnknownOpcode(u8),
    /// A field holds a value that no instruction with this opcode has.
    Field {
        /// The opcode.
        code: u8,
        /// The field.
        field: Field,
        /// What it holds.
        found: i32,
    },
    /// A register field holds a number above 10.
    NoSuchRegister {
        /// The opcode.
        code: u8,
        /// The field.
        field: Field,
        /// What it holds.
        found: u8,
    },
    /// The program ends in the middle of a 64-bit immediate load.
    SecondSlotMissing,
    /// The second slot of a 64-bit immediate load has a field besides its immediate, or an immediate it must not have.
    SecondSlot,
    /// A jump or local call leads out of the program.
    JumpOutside {
        /// The distance.
        distance: i32,
    },
    /// A jump or local call leads to the second slot of a 64-bit immediate load.
    JumpIntoImmediate {
        /// The distance.
        distance: i32,
    },
    /// The last instruction lets the program run past its end.
    FallsOffTheEnd,
}

impl fmt::Display for InsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOpcode(code) => write!(f, "no instruction has the opcode {code:#04x}"),
            Self::Field { code, field, found } => {
                write!(f, "opcode {code:#04x}: the field {field} holds {found}, expected ")?;
                write_allowed(f, *code, *field)
            }
            Self::NoSuchRegister { code, field, found } => {
                write!(f, "opcode {code:#04x}: the field {field} names r{found}; registers are r0 to r10")
            }
            Self::SecondSlotMissing => f.write_str("the program ends inside a 64-bit immediate load"),
            Self::SecondSlot => {
                f.write_str("the second slot of a 64-bit immediate load must be zero except for an immediate it needs")
            }
            Self::JumpOutside { distance } => write!(f, "the jump by {distance:+} leads out of the program"),
            Self::JumpIntoImmediate { distance } => {
                write!(f, "the jump by {distance:+} leads into a 64-bit immediate load")
            }
            Self::FallsOffTheEnd => f.write_str("the program must end in `exit` or an unconditional jump"),
        }
    }
}

impl std::error::Error for InsnError {}

/// Why a program does not decode: the instruction and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// The slot of the instruction.
    pub at: InsnIdx,
    /// What is wrong with it.
    pub error: InsnError,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {}: {}", self.at, self.error)
    }
}

impl std::error::Error for DecodeError {}

impl Insn {
    /// Takes the instruction apart. `next` is the following slot, needed by 64-bit immediate loads only.
    ///
    /// # Errors
    /// Unknown opcodes, reserved fields that are not zero, registers above 10, a missing or wrong second slot.
    pub fn decode(self, next: Option<Insn>) -> Result<Op, InsnError> {
        let row = self.row()?;
        for (used, field, found) in [(row.uses.dst(), Field::Dst, self.dst), (row.uses.src(), Field::Src, self.src)] {
            if used && found > 10 {
                return Err(InsnError::NoSuchRegister { code: self.code, field, found });
            }
        }
        let second = match row.op {
            Op::LoadImm { value, .. } => check_second(value, next.ok_or(InsnError::SecondSlotMissing)?)?,
            _ => Self::default(),
        };
        row.op.with_operands(self, second).ok_or(InsnError::UnknownOpcode(self.code))
    }

    /// The table row of the instruction.
    ///
    /// # Errors
    /// An unknown opcode, or a field that holds what no instruction with this opcode has. Registers and the second
    /// slot are not looked at.
    pub fn row(self) -> Result<&'static Row, InsnError> {
        let mut best: Option<(usize, Field)> = None;
        for row in rows_of(self.code) {
            let wrong = wrong_fields(self, row);
            let Some(&(field, _)) = wrong.iter().flatten().next() else {
                return Ok(row);
            };
            // The closest row explains best what is wrong.
            let count = wrong.iter().flatten().count();
            if best.is_none_or(|(least, _)| count < least) {
                best = Some((count, field));
            }
        }
        Err(match best {
            None => InsnError::UnknownOpcode(self.code),
            Some((_, field)) => InsnError::Field { code: self.code, field, found: field.of(self) },
        })
    }
}

impl Field {
    fn of(self, insn: Insn) -> i32 {
        match self {
            Self::Dst => insn.dst.into(),
            Self::Src => insn.src.into(),
            Self::Off => insn.off.into(),
            Self::Imm => insn.imm,
        }
    }
}

/// Decodes a whole program into its instructions with their positions.
///
/// # Errors
/// The first instruction that does not decode. Jump targets are not looked at; see [`validate`].
pub fn decode_program(insns: &[Insn]) -> Result<Vec<(InsnIdx, Op)>, DecodeError> {
    let mut ops = Vec::with_capacity(insns.len());
    let mut at = 0;
    while let Some(insn) = insns.get(at) {
        let index = InsnIdx::new(at);
        let op = insn.decode(insns.get(at + 1).copied()).map_err(|error| DecodeError { at: index, error })?;
        ops.push((index, op));
        at += op.slots() as usize;
    }
    Ok(ops)
}

/// Decodes a whole program and checks that control cannot leave it: every jump and local call leads to the start of
/// an instruction, and the last instruction does not fall through.
///
/// # Errors
/// The first instruction that breaks a rule; an empty program falls off its end at slot 0.
pub fn validate(insns: &[Insn]) -> Result<Vec<(InsnIdx, Op)>, DecodeError> {
    let ops = decode_program(insns)?;
    let mut starts = vec![false; insns.len()];
    for (at, _) in &ops {
        starts[at.index()] = true;
    }
    for &(at, op) in &ops {
        let distance = match op {
            Op::Call(Callee::Local(distance)) | Op::LoadImm { value: Imm64::Func(distance), .. } => Some(distance),
            _ => op.jump_distance(),
        };
        if let Some(distance) = distance {
            let error = match at.target(distance).and_then(|target| starts.get(target.index())) {
                None => InsnError::JumpOutside { distance },
                Some(false) => InsnError::JumpIntoImmediate { distance },
                Some(true) => continue,
            };
            return Err(DecodeError { at, error });
        }
    }
    match ops.last() {
        Some((_, op)) if !op.falls_through() => Ok(ops),
        Some(&(at, _)) => Err(DecodeError { at, error: InsnError::FallsOffTheEnd }),
        None => Err(DecodeError { at: InsnIdx(0), error: InsnError::FallsOffTheEnd }),
    }
}

fn check_second(value: Imm64, second: Insn) -> Result<Insn, InsnError> {
    let only_imm = Insn { imm: second.imm, ..Insn::default() };
    if second != only_imm || (second.imm != 0 && !value.uses_second()) {
        return Err(InsnError::SecondSlot);
    }
    Ok(second)
}

/// The fixed fields that differ from what the row demands, with the demanded values.
fn wrong_fields(insn: Insn, row: &Row) -> [Option<(Field, i32)>; 4] {
    let template = row.op.encode().first;
    let uses = row.uses;
    [(Field::Src, uses.src()), (Field::Off, uses.off()), (Field::Imm, uses.imm()), (Field::Dst, uses.dst())]
        .map(|(field, used)| (!used && field.of(insn) != field.of(template)).then(|| (field, field.of(template))))
}

fn write_allowed(f: &mut fmt::Formatter<'_>, code: u8, field: Field) -> fmt::Result {
    let mut allowed: Vec<i32> = rows_of(code).map(|row| field.of(row.op.encode().first)).collect();
    allowed.sort_unstable();
    allowed.dedup();
    for (index, value) in allowed.iter().enumerate() {
        let separator = match index {
            0 => "",
            _ if index + 1 == allowed.len() => " or ",
            _ => ", ",
        };
        write!(f, "{separator}{value}")?;
    }
    Ok(())
}

const NO_ROW: u8 = u8::MAX;

/// For each opcode its first row, and for each row the next one with the same opcode.
static CHAINS: ([u8; 256], [u8; ROWS.len()]) = chain_rows();

const fn chain_rows() -> ([u8; 256], [u8; ROWS.len()]) {
    assert!(ROWS.len() < NO_ROW as usize);
    let mut first = [NO_ROW; 256];
    let mut next = [NO_ROW; ROWS.len()];
    let mut row = ROWS.len();
    while row > 0 {
        row -= 1;
        let code = ROWS[row].op.encode().first.code as usize;
        next[row] = first[code];
        first[code] = row as u8;
    }
    (first, next)
}

/// The rows that share an opcode.
fn rows_of(code: u8) -> impl Iterator<Item = &'static Row> {
    static TABLE: [Row; ROWS.len()] = ROWS;
    let (first, next) = &CHAINS;
    let mut row = usize::from(first[usize::from(code)]);
    std::iter::from_fn(move || {
        let found = TABLE.get(row)?;
        row = usize::from(next[row]);
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebpf::{Reg, Size, Src, Width};

    fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
        Insn { code, dst, src, off, imm }
    }

    #[test]
    fn every_row_decodes_to_its_template() {
        for row in &ROWS {
            let encoded = row.op.encode();
            assert_eq!(encoded.first.decode(encoded.second), Ok(row.op), "{row:?}");
            assert_eq!(encoded.second.is_some(), row.op.slots() == 2);
        }
    }

    /// Every field of every row: an operand may vary, a reserved field may not.
    #[test]
    fn reserved_fields_are_rejected() {
        for row in &ROWS {
            let encoded = row.op.encode();
            let flips = [
                (Field::Dst, row.uses.dst(), Insn { dst: 9, ..encoded.first }),
                (Field::Src, row.uses.src(), Insn { src: 9, ..encoded.first }),
                (Field::Off, row.uses.off(), Insn { off: 999, ..encoded.first }),
                (Field::Imm, row.uses.imm(), Insn { imm: 9999, ..encoded.first }),
            ];
            for (field, used, changed) in flips {
                match changed.decode(encoded.second) {
                    Ok(op) => {
                        assert!(used, "{field} of {row:?} is not checked");
                        assert_eq!(op.encode().first, changed);
                    }
                    Err(error) => {
                        assert!(!used, "{error} in {row:?}");
                        assert_eq!(error, InsnError::Field { code: changed.code, field, found: field.of(changed) });
                    }
                }
            }
        }
    }

    #[test]
    fn registers_end_at_ten() {
        let error = insn(0xbf, 0, 11, 0, 0).decode(None).unwrap_err();
        assert_eq!(error.to_string(), "opcode 0xbf: the field src names r11; registers are r0 to r10");
        assert!(insn(0xbf, 10, 10, 0, 0).decode(None).is_ok());
        assert!(insn(0xbf, 15, 0, 0, 0).decode(None).is_err());
    }

    #[test]
    fn messages_list_what_is_allowed() {
        let error = decode_program(&[insn(0x95, 0, 0, 0, 0), insn(0xdc, 1, 0, 0, 24)]).unwrap_err();
        assert_eq!(error.to_string(), "instruction 1: opcode 0xdc: the field imm holds 24, expected 16, 32 or 64");
        let error = insn(0x95, 0, 1, 0, 0).decode(None).unwrap_err();
        assert_eq!(error.to_string(), "opcode 0x95: the field src holds 1, expected 0");
        assert_eq!(insn(0xff, 0, 0, 0, 0).decode(None), Err(InsnError::UnknownOpcode(0xff)));
    }

    #[test]
    fn immediate_loads_need_their_second_slot() {
        let first = insn(0x18, 1, 0, 0, -1);
        assert_eq!(first.decode(None), Err(InsnError::SecondSlotMissing));
        let op = first.decode(Some(insn(0, 0, 0, 0, 1))).unwrap();
        assert_eq!(op, Op::LoadImm { dst: Reg::R1, value: Imm64::Value(0x1_ffff_ffff) });
        assert_eq!(first.decode(Some(insn(0, 1, 0, 0, 1))), Err(InsnError::SecondSlot));
        assert_eq!(insn(0x18, 1, 1, 0, 3).decode(Some(insn(0, 0, 0, 0, 1))), Err(InsnError::SecondSlot));
        assert!(matches!(insn(0x18, 1, 7, 0, 3).decode(None), Err(InsnError::Field { field: Field::Src, .. })));
    }

    #[test]
    fn control_stays_inside() {
        let exit = insn(0x95, 0, 0, 0, 0);
        let wide = [insn(0x18, 1, 0, 0, 0), Insn::default()];
        let at = |insns: &[Insn]| validate(insns).map(|_| ()).map_err(|error| error.error);
        assert_eq!(at(&[exit]), Ok(()));
        assert_eq!(at(&[]), Err(InsnError::FallsOffTheEnd));
        assert_eq!(at(&[insn(0xb7, 0, 0, 0, 0)]), Err(InsnError::FallsOffTheEnd));
        assert_eq!(at(&[insn(5, 0, 0, 1, 0), exit]), Err(InsnError::JumpOutside { distance: 1 }));
        assert_eq!(at(&[insn(5, 0, 0, -2, 0), exit]), Err(InsnError::JumpOutside { distance: -2 }));
        assert_eq!(
            at(&[insn(5, 0, 0, 1, 0), wide[0], wide[1], exit]),
            Err(InsnError::JumpIntoImmediate { distance: 1 })
        );
        assert_eq!(at(&[insn(5, 0, 0, 2, 0), wide[0], wide[1], exit]), Ok(()));
        assert_eq!(at(&[insn(0x85, 0, 1, 0, 5), exit]), Err(InsnError::JumpOutside { distance: 5 }));
    }

    #[test]
    fn opcodes_of_the_specification() {
        let cases = [
            (Op::Alu { width: Width::W64, op: super::super::AluOp::Add, dst: Reg::R1, src: Src::Imm(0) }, 0x07),
            (Op::Load { size: Size::W, signed: false, dst: Reg::R1, base: Reg::R1, off: 0 }, 0x61),
            (Op::Load { size: Size::B, signed: true, dst: Reg::R1, base: Reg::R1, off: 0 }, 0x91),
            (Op::Store { size: Size::DW, base: Reg::R1, off: 0, src: Src::Reg(Reg::R2) }, 0x7b),
            (Op::Call(Callee::Reg(Reg::R3)), 0x8d),
            (Op::GotoLong { off: 1 }, 0x06),
            (Op::MayGoto { off: 1 }, 0xe5),
        ];
        for (op, code) in cases {
            assert_eq!(op.encode().first.code, code, "{op:?}");
        }
        let codes: std::collections::BTreeSet<u8> = ROWS.iter().map(|row| row.op.encode().first.code).collect();
        // 120 opcodes of the conformance suite plus packet loads, may_goto and 8 and 16 bit atomics.
        assert_eq!(codes.len(), 129);
    }
}

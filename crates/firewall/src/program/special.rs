//! Conditions that are not in the tables: found out once for each packet, as bits of a word.

use skep_btf::BuildError;
use skep_ir::{Binary, Block, Cond, FuncRef, MapDecl, MapRef, Module, Unary, Value, Width};
use skep_isa::classic::{AluOp, Insn, JmpOp, Op, SCRATCH_WORDS, Size};

use super::code::{self, Code, Var};
use super::parse::field;
use super::view::{Types, View};
use super::{Hook, Maps, work};
use crate::rules::special::{Condition, Hours};
use crate::zone::Zone;

/// Bytes of a row of the clock: from when on, in seconds, and what is added to the time then.
const ROW: usize = 16;

/// The map of the local clock: when what is to be added to the time of the machine.
pub fn clock(zone: &Zone) -> MapDecl {
    let rows = zone.rows.iter().flat_map(|row| [row.0.to_ne_bytes(), row.1.to_ne_bytes()].concat()).collect::<Vec<_>>();
    let mut decl = MapDecl::new("fw_clock", skep_isa::MapType::Array, 4, rows.len() as u32, 1);
    decl.contents = vec![(vec![0; 4], rows)];
    decl
}

/// What conditions need besides the packet.
pub struct Special<'s> {
    /// All conditions of the list.
    pub conditions: &'s [Condition],
    /// Numbers and depths of control groups, for each condition.
    pub groups: &'s [(u64, u32)],
    /// Numbers of interfaces, for each condition.
    pub leaves: &'s [Vec<u32>],
    /// The clock, and how many rows it has.
    pub clock: Option<(MapRef, usize)>,
}

/// Adds the function that finds out which conditions hold: `(context)`.
///
/// # Errors
/// None but for a defect.
pub fn add(
    module: &mut Module,
    types: &mut Types,
    maps: &Maps,
    hook: Hook,
    special: &Special<'_>,
) -> Result<FuncRef, BuildError> {
    // Expressions are verified by themselves: their paths would multiply otherwise.
    let mut expressions = Vec::new();
    for (number, condition) in special.conditions.iter().enumerate() {
        expressions.push(match condition {
            Condition::Expression(expression) => {
                let name = format!("{}_match{number}", hook.program());
                let function = types.function(&name, 0, (maps, hook, 0), |code, view, _| {
                    view.expression(code, expression.program());
                })?;
                Some(module.add_function(function))
            }
            _ => None,
        });
    }
    let name = format!("{}_conditions", hook.program());
    let function = types.function(&name, 0, (maps, hook, 0), |code, view, _| {
        view.conditions(code, special, &expressions);
    })?;
    Ok(module.add_function(function))
}

impl View {
    fn conditions(&self, code: &mut Code<'_>, special: &Special<'_>, expressions: &[Option<FuncRef>]) {
        let zero = code.num(0);
        let held = code.var(zero);
        if let Some((map, rows)) = special.clock
            && special.conditions.iter().any(|condition| matches!(condition, Condition::Hours(_)))
        {
            self.clock(code, special.conditions, map, rows, held);
        }
        let mut owner = None;
        for ((condition, &(group, depth)), bit) in special.conditions.iter().zip(special.groups).zip(0..) {
            match condition {
                Condition::Hours(_) => {}
                Condition::Expression(_) => {
                    let Some(Some(expression)) = expressions.get(bit as usize) else { continue };
                    let accepts = code.call(*expression, &[self.context]);
                    code.when_is(Cond::Ne, accepts, 0, |code| hold(code, held, bit));
                }
                // Packets that arrive have no socket yet.
                Condition::Users(_) | Condition::Group(_) | Condition::Leaves(_) if self.hook != Hook::Egress => {}
                Condition::Users(users) => {
                    let owner = *owner.get_or_insert_with(|| {
                        let owner = code.helper(code::SOCKET_USER, &[self.context]);
                        code.with(Binary::And, owner, 0xffff_ffff)
                    });
                    for users in users {
                        let other = code.b.block(&[]);
                        code.leave_if(other, Cond::Ult, owner, (*users.start()).into());
                        code.leave_if(other, Cond::Ugt, owner, (*users.end()).into());
                        hold(code, held, bit);
                        code.close(other);
                        code.b.switch_to(other);
                    }
                }
                Condition::Leaves(_) => {
                    let interface = code.load(Width::W32, self.context, field::INTERFACE);
                    for &wanted in special.leaves.get(bit as usize).into_iter().flatten() {
                        code.when_is(Cond::Eq, interface, wanted.into(), |code| hold(code, held, bit));
                    }
                }
                Condition::Group(_) => {
                    let depth = code.num(depth.into());
                    let found = code.helper(code::SOCKET_GROUP, &[self.context, depth]);
                    let wanted = code.bits(group);
                    code.when(Cond::Eq, found, wanted, |code| hold(code, held, bit));
                }
            }
        }
        let held = code.get(held);
        code.store(Width::W64, self.memory, work::CONDITIONS, held);
    }

    /// The hours, by the local clock: the time of the machine and the last row that has begun.
    fn clock(&self, code: &mut Code<'_>, conditions: &[Condition], map: MapRef, rows: usize, held: Var) {
        let missing = code.b.block(&[]);
        let now = code.helper(code::REAL_TIME, &[]);
        let seconds = code.with(Binary::Udiv, now, 1_000_000_000);
        let zero = code.num(0);
        let table = code.element(map, zero, missing);
        let add = code.var(zero);
        for row in 0..rows {
            let at = (row * ROW) as i16;
            let from = code.load(Width::W64, table, at);
            code.when(Cond::Uge, seconds, from, |code| {
                let offset = code.load(Width::W64, table, at + 8);
                code.set(add, offset);
            });
        }
        let add = code.get(add);
        let local = code.b.binary(Binary::Add, seconds, add);
        let minutes = code.with(Binary::Udiv, local, 60);
        let minute = code.with(Binary::Urem, minutes, 1440);
        let days = code.with(Binary::Udiv, minutes, 1440);
        let days = code.with(Binary::Add, days, 4);
        let today = code.with(Binary::Urem, days, 7);
        let yesterday = code.with(Binary::Add, today, 6);
        let yesterday = code.with(Binary::Urem, yesterday, 7);
        let one = code.num(1);
        let [today, yesterday] = [today, yesterday].map(|day| code.b.binary(Binary::Shl, one, day));
        for (condition, bit) in conditions.iter().zip(0..) {
            let Condition::Hours(Hours { from, until, days }) = *condition else { continue };
            let (yes, morning, no) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
            let days = code.num(days.into());
            let of_today = code.b.binary(Binary::And, today, days);
            code.leave_if(morning, Cond::Eq, of_today, 0);
            code.leave_if(morning, Cond::Ult, minute, from.into());
            if from < until {
                code.leave_if(morning, Cond::Uge, minute, until.into());
            }
            code.close(yes);
            code.b.switch_to(morning);
            if from >= until {
                let of_yesterday = code.b.binary(Binary::And, yesterday, days);
                code.leave_if(no, Cond::Eq, of_yesterday, 0);
                code.leave_if(yes, Cond::Ult, minute, until.into());
            }
            code.close(no);
            code.b.switch_to(yes);
            hold(code, held, bit);
            code.close(no);
            code.b.switch_to(no);
        }
        code.close(missing);
        code.b.switch_to(missing);
    }

    /// A classic program: 1 if it accepts the packet. What it reads beyond the packet rejects it (`bpf_convert_filter` in
    /// `net/core/filter.c`).
    fn expression(&self, code: &mut Code<'_>, program: &[Insn]) {
        let zero = code.num(0);
        let mut state = Classic {
            view: self,
            a: code.var(zero),
            x: code.var(zero),
            scratch: [None; SCRATCH_WORDS as usize],
            starts: program.iter().map(|_| code.b.block(&[])).collect(),
            accepted: code.b.block(&[]),
            rejected: code.b.block(&[]),
        };
        for op in program.iter().filter_map(Insn::decode) {
            if let Op::LdMem(k) | Op::LdxMem(k) | Op::St(k) | Op::Stx(k) = op
                && let Some(word @ None) = state.scratch.get_mut(k as usize)
            {
                *word = Some(code.var(zero));
            }
        }
        match state.starts.first() {
            Some(&first) => code.close(first),
            None => code.close(state.rejected),
        }
        for (at, insn) in program.iter().enumerate() {
            code.b.switch_to(state.starts[at]);
            match insn.decode() {
                Some(op) => state.step(code, at, op),
                None => code.close(state.rejected),
            }
            let next = state.target(at, 0);
            code.close(next);
        }
        code.b.switch_to(state.accepted);
        code.give(1);
        code.b.switch_to(state.rejected);
    }
}

fn hold(code: &mut Code<'_>, held: Var, bit: u32) {
    let bit = code.bits(1 << bit);
    code.or_into(held, bit);
}

/// A classic program on its way into the intermediate representation. Its words have 32 bits and stand in 64.
struct Classic<'r> {
    view: &'r View,
    a: Var,
    x: Var,
    scratch: [Option<Var>; SCRATCH_WORDS as usize],
    starts: Vec<Block>,
    accepted: Block,
    rejected: Block,
}

impl Classic<'_> {
    /// The block so many instructions behind the next one.
    fn target(&self, at: usize, distance: usize) -> Block {
        self.starts.get(at + 1 + distance).copied().unwrap_or(self.rejected)
    }

    /// A scratch word. Programs have no others.
    fn word(&self, number: u32) -> Var {
        self.scratch.get(number as usize).copied().flatten().unwrap_or(self.a)
    }

    fn load(&self, code: &mut Code<'_>, size: Size, at: Value) -> Value {
        let view = self.view;
        view.fetch(code, at, size.bytes().into(), self.rejected);
        match size {
            Size::Byte => code.load(Width::W8, view.head, 0),
            Size::Half => code.load_net16(view.head, 0),
            Size::Word => {
                let word = code.load(Width::W32, view.head, 0);
                code.b.unary(Unary::Swap32, word)
            }
        }
    }

    fn step(&self, code: &mut Code<'_>, at: usize, op: Op) {
        let constant = |code: &mut Code<'_>, k: u32| code.num(k.into());
        match op {
            Op::LdAbs(size, k) => {
                let place = constant(code, k);
                let value = self.load(code, size, place);
                code.set(self.a, value);
            }
            Op::LdInd(size, k) => {
                let x = code.get(self.x);
                let place = code.with(Binary::Add, x, k.into());
                let place = code.with(Binary::And, place, 0xffff_ffff);
                let value = self.load(code, size, place);
                code.set(self.a, value);
            }
            Op::LdImm(k) => {
                let value = constant(code, k);
                code.set(self.a, value);
            }
            Op::LdxImm(k) => {
                let value = constant(code, k);
                code.set(self.x, value);
            }
            Op::LdMem(k) | Op::LdxMem(k) => {
                let value = code.get(self.word(k));
                code.set(if matches!(op, Op::LdMem(_)) { self.a } else { self.x }, value);
            }
            Op::LdLen | Op::LdxLen => {
                let length = code.load(Width::W32, self.view.memory, work::LENGTH);
                code.set(if op == Op::LdLen { self.a } else { self.x }, length);
            }
            Op::LdxMsh(k) => {
                let place = constant(code, k);
                let byte = self.load(code, Size::Byte, place);
                let words = code.with(Binary::And, byte, 15);
                let bytes = code.with(Binary::Shl, words, 2);
                code.set(self.x, bytes);
            }
            Op::St(k) | Op::Stx(k) => {
                let value = code.get(if matches!(op, Op::St(_)) { self.a } else { self.x });
                code.set(self.word(k), value);
            }
            Op::AluK(op, k) => {
                let value = constant(code, k);
                self.alu(code, op, value);
            }
            Op::AluX(op) => {
                let value = code.get(self.x);
                if matches!(op, AluOp::Div | AluOp::Mod) {
                    code.leave_if(self.rejected, Cond::Eq, value, 0);
                }
                self.alu(code, op, value);
            }
            Op::Neg => {
                let (zero, a) = (code.num(0), code.get(self.a));
                let value = code.b.binary(Binary::Sub, zero, a);
                let value = code.with(Binary::And, value, 0xffff_ffff);
                code.set(self.a, value);
            }
            Op::Ja(distance) => {
                let target = self.target(at, distance as usize);
                code.close(target);
            }
            Op::JumpK { op, k, jt, jf } => {
                let value = constant(code, k);
                self.jump(code, at, op, value, [jt, jf]);
            }
            Op::JumpX { op, jt, jf } => {
                let value = code.get(self.x);
                self.jump(code, at, op, value, [jt, jf]);
            }
            Op::RetK(k) => code.close(if k == 0 { self.rejected } else { self.accepted }),
            Op::RetA => {
                let a = code.get(self.a);
                code.leave_if(self.rejected, Cond::Eq, a, 0);
                code.close(self.accepted);
            }
            Op::Tax => {
                let a = code.get(self.a);
                code.set(self.x, a);
            }
            Op::Txa => {
                let x = code.get(self.x);
                code.set(self.a, x);
            }
        }
    }

    fn alu(&self, code: &mut Code<'_>, op: AluOp, value: Value) {
        let a = code.get(self.a);
        let binary = match op {
            AluOp::Add => Binary::Add,
            AluOp::Sub => Binary::Sub,
            AluOp::Mul => Binary::Mul,
            AluOp::Div => Binary::Udiv,
            AluOp::Or => Binary::Or,
            AluOp::And => Binary::And,
            AluOp::Lsh => Binary::Shl,
            AluOp::Rsh => Binary::Lshr,
            AluOp::Mod => Binary::Urem,
            AluOp::Xor => Binary::Xor,
        };
        let value = if matches!(op, AluOp::Lsh | AluOp::Rsh) { code.with(Binary::And, value, 31) } else { value };
        let result = code.b.binary(binary, a, value);
        let result = code.with(Binary::And, result, 0xffff_ffff);
        code.set(self.a, result);
    }

    fn jump(&self, code: &mut Code<'_>, at: usize, op: JmpOp, value: Value, [jt, jf]: [u8; 2]) {
        let cond = match op {
            JmpOp::Eq => Cond::Eq,
            JmpOp::Gt => Cond::Ugt,
            JmpOp::Ge => Cond::Uge,
            JmpOp::Set => Cond::Set,
        };
        let a = code.get(self.a);
        let (yes, no) = (self.target(at, jt.into()), self.target(at, jf.into()));
        code.b.branch(cond, a, value, yes, no);
    }
}

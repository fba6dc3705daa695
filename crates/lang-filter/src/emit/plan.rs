//! How a value is computed: straight-line instructions together with what the two registers hold after each.

use skep_isa::classic::{AluOp, Insn, SCRATCH_WORDS};

use crate::value::{TableId, Val, ValId, Values};

/// What the two registers are known to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Regs {
    /// The accumulator.
    pub a: Option<ValId>,
    /// The index register.
    pub x: Option<ValId>,
}

/// One instruction of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The instruction.
    pub insn: Insn,
    /// Whether it reads the accumulator.
    pub reads_a: bool,
    /// Whether it reads the index register.
    pub reads_x: bool,
    /// New content of the accumulator, if it is written.
    pub a: Option<ValId>,
    /// New content of the index register, if it is written.
    pub x: Option<ValId>,
    /// The instruction stands for a look-up in this table: of the accumulator, or of both registers.
    pub table: Option<TableId>,
    /// Temporary scratch word that is written (`true`) or read.
    pub temp: Option<(u8, bool)>,
}

impl Step {
    fn new(insn: Insn) -> Self {
        Self { insn, reads_a: false, reads_x: false, a: None, x: None, table: None, temp: None }
    }
    fn reads_a(self) -> Self {
        Self { reads_a: true, ..self }
    }
    fn reads_x(self) -> Self {
        Self { reads_x: true, ..self }
    }
    fn sets_a(self, v: ValId) -> Self {
        Self { a: Some(v), ..self }
    }
    fn sets_x(self, v: ValId) -> Self {
        Self { x: Some(v), ..self }
    }
    fn temp(self, word: u8, written: bool) -> Self {
        Self { temp: Some((word, written)), ..self }
    }
}

/// A straight-line computation.
#[derive(Debug, Default)]
pub struct Plan {
    /// Instructions, in order.
    pub steps: Vec<Step>,
    /// Whether what follows the plan reads the accumulator.
    pub then_reads_a: bool,
    /// Whether what follows the plan reads the index register.
    pub then_reads_x: bool,
    /// What the registers hold so far.
    held: Regs,
    /// Whether the last step is an effect that no entry may skip.
    ends_in_store: bool,
    temps_in_use: u8,
    /// Set when the expression needs more scratch words than there are.
    pub out_of_words: bool,
}

impl Plan {
    /// Loads `value` into the accumulator.
    pub fn load_a(&mut self, values: &Values, value: ValId, vars: u8) {
        if self.held.a == Some(value) {
            return;
        }
        if self.held.x == Some(value) {
            self.push(Step::new(Insn::txa()).reads_x().sets_a(value));
            return;
        }
        match values.get(value) {
            Val::Const(k) => self.push(Step::new(Insn::ld_imm(k)).sets_a(value)),
            Val::Len => self.push(Step::new(Insn::ld_len()).sets_a(value)),
            Val::Abs(size, k) => self.push(Step::new(Insn::ld_abs(size, k)).sets_a(value)),
            Val::Ind(size, base, k) => {
                self.load_x(values, base, vars);
                self.push(Step::new(Insn::ld_ind(size, k)).reads_x().sets_a(value));
            }
            Val::Var(var) => self.push(Step::new(Insn::ld_mem(u32::from(var.0))).sets_a(value)),
            Val::Table(table, state, inner) => {
                let step = match state {
                    Some(state) => {
                        self.load_both(values, inner, state, vars);
                        Step::new(Insn::alu_x(AluOp::And)).reads_x()
                    }
                    None => {
                        self.load_a(values, inner, vars);
                        Step::new(Insn::alu_k(AluOp::And, 0))
                    }
                };
                self.push(Step { table: Some(table), ..step.reads_a().sets_a(value) });
            }
            Val::Neg(inner) => {
                self.load_a(values, inner, vars);
                self.push(Step::new(Insn::neg()).reads_a().sets_a(value));
            }
            Val::Bin(..) if header_length(values, value).is_some() => {
                self.load_x(values, value, vars);
                self.push(Step::new(Insn::txa()).reads_x().sets_a(value));
            }
            Val::Bin(op, left, right) => {
                if let Some(k) = values.as_const(right)
                    && op.eval(1, k).is_some()
                    && !(matches!(op, AluOp::Lsh | AluOp::Rsh) && k > 31)
                {
                    self.load_a(values, left, vars);
                    self.push(Step::new(Insn::alu_k(op, k)).reads_a().sets_a(value));
                    return;
                }
                let commutes = matches!(op, AluOp::Add | AluOp::Mul | AluOp::And | AluOp::Or | AluOp::Xor);
                let swap = commutes && !direct_x(values, right) && direct_x(values, left);
                let (left, right) = if swap { (right, left) } else { (left, right) };
                self.load_both(values, left, right, vars);
                self.push(Step::new(Insn::alu_x(op)).reads_a().reads_x().sets_a(value));
            }
        }
    }

    /// Loads `left` into the accumulator and `right` into the index register.
    pub fn load_both(&mut self, values: &Values, left: ValId, right: ValId, vars: u8) {
        if left == right {
            self.load_a(values, left, vars);
            self.push(Step::new(Insn::tax()).reads_a().sets_x(left));
        } else if direct_x(values, right) {
            self.load_a(values, left, vars);
            self.load_x(values, right, vars);
        } else if !uses_x(values, left) {
            self.load_x(values, right, vars);
            self.load_a(values, left, vars);
        } else {
            self.load_a(values, right, vars);
            let word = self.temps_in_use;
            if u32::from(word) + u32::from(vars) >= SCRATCH_WORDS {
                self.out_of_words = true;
                return;
            }
            let slot = u8::try_from(SCRATCH_WORDS - 1).unwrap_or(15) - word;
            self.temps_in_use += 1;
            self.push(Step::new(Insn::st(u32::from(slot))).reads_a().temp(slot, true));
            self.load_a(values, left, vars);
            self.push(Step::new(Insn::ldx_mem(u32::from(slot))).sets_x(right).temp(slot, false));
            self.temps_in_use -= 1;
        }
    }

    /// Loads `value` into the index register; the accumulator may be lost.
    fn load_x(&mut self, values: &Values, value: ValId, vars: u8) {
        if self.held.x == Some(value) {
            return;
        }
        let direct = match values.get(value) {
            Val::Const(k) => Some(Insn::ldx_imm(k)),
            Val::Len => Some(Insn::ldx_len()),
            Val::Var(var) => Some(Insn::ldx_mem(u32::from(var.0))),
            _ => header_length(values, value).map(Insn::ldx_msh),
        };
        if let Some(insn) = direct {
            self.push(Step::new(insn).sets_x(value));
        } else {
            self.load_a(values, value, vars);
            self.push(Step::new(Insn::tax()).reads_a().sets_x(value));
        }
    }

    /// Stores the accumulator, which holds the plan's value, in the memory word `word`; it then is `var`.
    pub fn store(&mut self, word: u8, var: Option<ValId>) {
        self.ends_in_store = true;
        self.push(Step { a: var, ..Step::new(Insn::st(u32::from(word))).reads_a() });
    }

    fn push(&mut self, step: Step) {
        self.held.a = step.a.or(self.held.a);
        self.held.x = step.x.or(self.held.x);
        self.steps.push(step);
    }

    /// What the registers have to hold for a jump to step `at`; `None` if such a jump is not possible.
    ///
    /// Every step may be skipped whose result is in its register already.
    pub fn requirement(&self, at: usize) -> Option<Regs> {
        if self.ends_in_store && at == self.steps.len() {
            return None;
        }
        let mut held = Regs::default();
        for step in &self.steps[..at] {
            held.a = step.a.or(held.a);
            held.x = step.x.or(held.x);
        }
        let (mut a_open, mut x_open) = (true, true);
        let mut need = Regs::default();
        let mut written = [false; SCRATCH_WORDS as usize];
        let mut read = |reads_a: bool, reads_x: bool, a_open: bool, x_open: bool| -> Option<()> {
            if reads_a && a_open {
                need.a = Some(held.a?);
            }
            if reads_x && x_open {
                need.x = Some(held.x?);
            }
            Some(())
        };
        for step in &self.steps[at..] {
            read(step.reads_a, step.reads_x, a_open, x_open)?;
            a_open &= step.a.is_none();
            x_open &= step.x.is_none();
            if let Some((word, write)) = step.temp {
                if write {
                    written[usize::from(word)] = true;
                } else if !written[usize::from(word)] {
                    return None;
                }
            }
        }
        read(self.then_reads_a, self.then_reads_x, a_open, x_open)?;
        Some(need)
    }

    /// The registers after a jump to step `at` with `before`.
    pub fn exit(&self, at: usize, before: Regs) -> Regs {
        let mut regs = before;
        for step in &self.steps[at..] {
            regs.a = step.a.or(regs.a);
            regs.x = step.x.or(regs.x);
        }
        regs
    }
}

/// The packet offset `k`, if `value` is `4 * (packet[k] & 0xf)`: there is one instruction for that.
pub fn header_length(values: &Values, value: ValId) -> Option<u32> {
    let Val::Bin(AluOp::Lsh, nibble, two) = values.get(value) else { return None };
    let Val::Bin(AluOp::And, byte, mask) = values.get(nibble) else { return None };
    match values.get(byte) {
        Val::Abs(skep_isa::classic::Size::Byte, k)
            if values.as_const(two) == Some(2)
                && values.as_const(mask) == Some(0xf)
                && k < skep_isa::classic::SKF_AD_OFF =>
        {
            Some(k)
        }
        _ => None,
    }
}

/// Whether `value` can be loaded into the index register without touching the accumulator.
fn direct_x(values: &Values, value: ValId) -> bool {
    matches!(values.get(value), Val::Const(_) | Val::Len | Val::Var(_)) || header_length(values, value).is_some()
}

/// Whether loading `value` into the accumulator overwrites the index register.
fn uses_x(values: &Values, value: ValId) -> bool {
    match values.get(value) {
        Val::Ind(..) => true,
        Val::Bin(..) if header_length(values, value).is_some() => true,
        Val::Bin(_, a, b) => values.as_const(b).is_none() || uses_x(values, a),
        Val::Neg(a) => uses_x(values, a),
        Val::Table(_, state, a) => state.is_some() || uses_x(values, a),
        _ => false,
    }
}

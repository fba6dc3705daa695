//! Symbolic runs of a filter: number and architecture are given, arguments are not.

use skep_isa::classic::{AluOp, Insn, Op, SCRATCH_WORDS, Size};

use super::action::Action;
use super::condition::{Condition, Value, implied};
use super::decision::Decision;

/// Instructions that all ways of one run together may take.
const MAX_STEPS: u32 = 50_000;
/// Comparisons of arguments on one way.
pub(super) const MAX_DEPTH: usize = 128;
/// Operations on values that are not known, on one way.
const MAX_COMPUTED: u32 = 64;

/// A system call as a filter sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// `AUDIT_ARCH_*`
    pub arch: u32,
    /// Its number.
    pub number: u32,
}

#[derive(Debug, Clone)]
struct Machine {
    at: usize,
    a: Value,
    x: Value,
    scratch: [Value; SCRATCH_WORDS as usize],
    /// Operations on values that are not known.
    computed: u32,
}

/// What a filter decides about a system call, for all arguments.
///
/// Programs that break the rules of seccomp (`seccomp_check_filter` in `kernel/seccomp.c`) cannot be installed; here
/// they end as the kernel ends a faulty run, by killing.
pub fn decide(filter: &[Insn], call: Call) -> Decision {
    let zero = Value::Known(0);
    let machine = Machine {
        at: 0,
        a: zero.clone(),
        x: zero.clone(),
        scratch: [(); SCRATCH_WORDS as usize].map(|()| zero.clone()),
        computed: 0,
    };
    let mut steps = MAX_STEPS;
    run(filter, call, machine, &mut Vec::new(), &mut steps)
}

fn run(filter: &[Insn], call: Call, mut machine: Machine, path: &mut Vec<Condition>, steps: &mut u32) -> Decision {
    const FAULT: Decision = Decision::Always(Action::KillThread);
    loop {
        let Some(op) = filter.get(machine.at).and_then(Insn::decode) else { return FAULT };
        let Some(left) = steps.checked_sub(1) else { return Decision::TooComplex };
        *steps = left;
        machine.at += 1;
        machine.computed += u32::from(matches!(machine.a, Value::Computed(..)));
        if machine.computed > MAX_COMPUTED {
            return Decision::TooComplex;
        }
        let (op, right, [jt, jf]) = match op {
            Op::JumpK { op, k, jt, jf } => (op, Value::Known(k), [jt, jf]),
            Op::JumpX { op, jt, jf } => (op, machine.x.clone(), [jt, jf]),
            Op::RetK(k) => return Decision::Always(Action::of(k)),
            Op::RetA => {
                let Value::Known(result) = machine.a else { return Decision::TooComplex };
                return Decision::Always(Action::of(result));
            }
            op => match machine.compute(op, call) {
                Some(()) => continue,
                None => return FAULT,
            },
        };
        let known = match (&machine.a, &right) {
            (Value::Known(left), Value::Known(right)) => Some(op.eval(*left, *right)),
            (left, right) => implied(path, left, op, right),
        };
        if let Some(holds) = known {
            machine.at += usize::from(if holds { jt } else { jf });
            continue;
        }
        if path.len() >= MAX_DEPTH {
            return Decision::TooComplex;
        }
        let left = machine.a.clone();
        let mut branch = |holds, distance: u8| {
            let mut machine = machine.clone();
            machine.at += usize::from(distance);
            path.push(Condition { left: left.clone(), op, right: right.clone(), holds });
            let decision = run(filter, call, machine, path, steps);
            path.pop();
            decision
        };
        let (yes, no) = (branch(true, jt), branch(false, jf));
        return Decision::when(left, op, right, yes, no);
    }
}

impl Machine {
    /// Executes what is neither a conditional jump nor a return. `None` where the kernel ends the program.
    fn compute(&mut self, op: Op, call: Call) -> Option<()> {
        let scratch = |k: u32| usize::try_from(k).ok().filter(|&k| k < SCRATCH_WORDS as usize);
        match op {
            Op::LdAbs(Size::Word, 0) => self.a = Value::Known(call.number),
            Op::LdAbs(Size::Word, 4) => self.a = Value::Known(call.arch),
            Op::LdAbs(Size::Word, offset) if offset < 64 && offset % 4 == 0 => self.a = Value::Word(offset),
            // Seccomp filters have no other loads.
            Op::LdAbs(..) | Op::LdInd(..) | Op::LdxMsh(_) => return None,
            Op::LdImm(k) => self.a = Value::Known(k),
            Op::LdxImm(k) => self.x = Value::Known(k),
            Op::LdMem(k) => self.a = self.scratch[scratch(k)?].clone(),
            Op::LdxMem(k) => self.x = self.scratch[scratch(k)?].clone(),
            // The length of `struct seccomp_data`.
            Op::LdLen => self.a = Value::Known(64),
            Op::LdxLen => self.x = Value::Known(64),
            Op::St(k) => self.scratch[scratch(k)?] = self.a.clone(),
            Op::Stx(k) => self.scratch[scratch(k)?] = self.x.clone(),
            Op::AluK(op, k) => self.a = Value::compute(op, self.a.clone(), Value::Known(k))?,
            Op::AluX(op) => self.a = Value::compute(op, self.a.clone(), self.x.clone())?,
            Op::Neg => self.a = Value::compute(AluOp::Sub, Value::Known(0), self.a.clone())?,
            Op::Ja(k) => self.at = self.at.checked_add(usize::try_from(k).ok()?)?,
            Op::Tax => self.x = self.a.clone(),
            Op::Txa => self.a = self.x.clone(),
            Op::JumpK { .. } | Op::JumpX { .. } | Op::RetK(_) | Op::RetA => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use skep_isa::classic::JmpOp;

    use super::*;

    const CALL: Call = Call { arch: 0xc000_003e, number: 56 };

    fn word(k: u32) -> Insn {
        Insn::ld_abs(Size::Word, k)
    }

    fn cases(filter: &[Insn]) -> Vec<(String, String)> {
        let cases = decide(filter, CALL).cases();
        cases.into_iter().map(|case| (case.when, case.action.map_or("?".to_owned(), |a| a.to_string()))).collect()
    }

    fn pair(when: &str, action: &str) -> (String, String) {
        (when.to_owned(), action.to_owned())
    }

    #[test]
    fn number_and_architecture_are_known() {
        let filter = [
            word(4),
            Insn::jump_k(JmpOp::Eq, 0xc000_003e, 1, 0),
            Insn::ret_k(0),
            word(0),
            Insn::jump_k(JmpOp::Eq, 56, 0, 1),
            Insn::ret_k(0x0005_0026),
            Insn::ret_k(0x7fff_0000),
        ];
        assert_eq!(cases(&filter), [pair("always", "fail with ENOSYS")]);
        let other = decide(&filter, Call { number: 57, ..CALL });
        assert_eq!(other, Decision::Always(Action::Allow));
        assert_eq!(decide(&filter, Call { arch: 3, ..CALL }), Decision::Always(Action::KillThread));
    }

    #[test]
    fn halves_of_arguments_come_together() {
        // arg1 == 0x100000005 and none of these flags in arg0.
        let filter = [
            word(28),
            Insn::jump_k(JmpOp::Eq, 1, 0, 5),
            word(24),
            Insn::jump_k(JmpOp::Eq, 5, 0, 3),
            word(16),
            Insn { code: 0x54, jt: 0, jf: 0, k: 0x7e02_0000 },
            Insn::jump_k(JmpOp::Eq, 0, 1, 0),
            Insn::ret_k(0x0005_0001),
            Insn::ret_k(0x7fff_0000),
        ];
        let expected = "arg1 == 0x100000005 and (low(arg0) & 0x7e020000) == 0";
        assert_eq!(cases(&filter), [pair(expected, "allow"), pair("otherwise", "fail with EPERM")]);
    }

    #[test]
    fn comparisons_that_are_settled_are_not_repeated() {
        let twice = [
            word(16),
            Insn::jump_k(JmpOp::Gt, 10, 0, 2),
            Insn::jump_k(JmpOp::Ge, 11, 0, 1),
            Insn::ret_k(0x7fff_0000),
            Insn::ret_k(0),
        ];
        assert_eq!(cases(&twice), [pair("low(arg0) > 10", "allow"), pair("otherwise", "kill thread")]);
        let once = [word(16), Insn::jump_k(JmpOp::Ge, 5, 0, 1), Insn::ret_k(0x7ffc_0000), Insn::ret_k(0)];
        let both = decide(&twice, CALL).with_older(&decide(&once, CALL)).cases();
        assert_eq!(both[0].when, "low(arg0) > 10");
        assert_eq!((both.len(), both[0].action), (2, Some(Action::Log)));
    }

    #[test]
    fn faulty_programs_end() {
        assert_eq!(decide(&[], CALL), Decision::Always(Action::KillThread));
        assert_eq!(decide(&[Insn::ld_abs(Size::Byte, 0)], CALL), Decision::Always(Action::KillThread));
        // Each comparison asks about another word of the instruction pointer shifted; all ways stay open.
        let mut deep = vec![word(8)];
        for k in 0..2000 {
            deep.push(Insn::jump_k(JmpOp::Set, 1 << (k % 32), 0, 0));
            deep.push(Insn { code: 0x04, jt: 0, jf: 0, k: 1 });
        }
        deep.push(Insn::ret_k(0));
        assert!(matches!(decide(&deep, CALL), Decision::TooComplex | Decision::Always(_) | Decision::If { .. }));
    }
}

//! Atomic operations: every operation, width and pair of registers, equal and unequal compare-and-exchange, and the
//! loads and stores with ordering.

use skep_isa::ebpf::{AtomicOp, Op, Reg, Size, Src, Width};

use super::asm::{R0, R3, REGS, WIDTHS, group};
use super::registers::register_pairs;
use super::script::{Home, Script, WINDOW};
use super::values::any;
use super::{Case, Cases, KernelVerdict, eval};
use crate::Rng;

/// Operation and whether it fetches; exchanges always do.
fn operations() -> impl Iterator<Item = (AtomicOp, bool)> {
    let both = AtomicOp::ALL.iter().flat_map(|&op| [(op, false), (op, true)]);
    both.filter(|&(op, fetch)| fetch || op.alu().is_some())
}

/// All of them.
pub(super) fn cases() -> Cases {
    Box::new(Home::ALL.into_iter().flat_map(|home| {
        let forms = WIDTHS.into_iter().flat_map(|width| operations().map(move |(op, fetch)| (width, op, fetch)));
        let all = forms.map(move |(width, op, fetch)| all_registers(home, width, op, fetch));
        let values = WIDTHS.into_iter().map(move |width| all_values(home, width));
        let ordered = [Size::B, Size::H, Size::W, Size::DW].map(|size| ordered(home, size));
        let bases = WIDTHS.map(move |width| base_is_result(home, width));
        all.chain(values).chain(ordered).chain(bases)
    }))
}

/// A random place in the window and a split of its offset between register and instruction.
pub(super) fn place(rng: &mut Rng, size: Size) -> (usize, i32, i16) {
    let bytes = size.bytes() as usize;
    let at = bytes * rng.below(WINDOW / bytes);
    let delta = 8 * rng.below(WINDOW / 8) as i32;
    (at, delta, (at as i32 - delta) as i16)
}

/// Why the kernel refuses programs whose base receives the old value (`check_atomic_rmw` in `kernel/bpf/verifier.c`).
const LOST_BASE: KernelVerdict = KernelVerdict::Refuses(
    "an atomic operation whose result overwrites its base: the base is checked after the result",
);

/// Base and source in every pair of registers, except where the result overwrites the base.
fn all_registers(home: Home, width: Width, op: AtomicOp, fetch: bool) -> Case {
    let mut rng = Rng::new(0xa70);
    let mut script = Script::new(home, &mut rng);
    let exchange = op == AtomicOp::CmpXchg;
    for (base, src) in register_pairs().filter(|&(base, src)| base != src && !(exchange && base == R0)) {
        both_rounds(&mut script, &mut rng, (width, op, fetch), base, src);
    }
    let name = format!("atomic {op:?}{} {}{}", width.bits(), if fetch { "fetch " } else { "" }, home.name());
    script.case(name, group(Op::Atomic { width, op, fetch, base: R0, off: 0, src: R0 }))
}

/// Once with a value that differs from register 0, once with one that equals it.
fn both_rounds(script: &mut Script, rng: &mut Rng, (width, op, fetch): (Width, AtomicOp, bool), base: Reg, src: Reg) {
    for equal in [false, true] {
        let (at, delta, off) = place(rng, width.size());
        one(script, rng, (at, width.size()), equal, |script| {
            script.point(base, delta);
            Op::Atomic { width, op, fetch, base, off, src }
        });
    }
}

/// The old value overwrites the base: compare-and-exchange through register 0, and exchange of a register with what it
/// points to, which leaves an address in memory that is cleared again.
fn base_is_result(home: Home, width: Width) -> Case {
    let mut rng = Rng::new(0xa73);
    let mut script = Script::new(home, &mut rng);
    for &src in &REGS[1..] {
        both_rounds(&mut script, &mut rng, (width, AtomicOp::CmpXchg, true), R0, src);
    }
    for base in REGS {
        let (at, delta, off) = place(&mut rng, width.size());
        script.set_all(&mut rng);
        script.point(base, delta);
        script.run(Op::Atomic { width, op: AtomicOp::Xchg, fetch: true, base, off, src: base });
        script.check_all();
        script.point(R3, 0);
        script.run(Op::Store { size: width.size(), base: R3, off: at as i16, src: Src::Imm(0) });
    }
    let about = Op::Atomic { width, op: AtomicOp::CmpXchg, fetch: true, base: R0, off: 0, src: R0 };
    let case = script.case(format!("atomic into base {} {}", width.bits(), home.name()), group(about));
    if case.kernel == KernelVerdict::MayRun { case.kernel(LOST_BASE) } else { case }
}

/// One operation on a fresh value, then a look at all registers and the bytes around it.
fn one(
    script: &mut Script,
    rng: &mut Rng,
    (at, size): (usize, Size),
    equal: bool,
    make: impl FnOnce(&mut Script) -> Op,
) {
    script.set_all(rng);
    // Odd, so that it never equals an address in register 0.
    let old = any(rng) | 1;
    script.point(R3, 0);
    script.set(R0, old);
    script.run(Op::Store { size, base: R3, off: at as i16, src: Src::Reg(R0) });
    script.set(R3, any(rng));
    if !equal {
        script.set(R0, eval::neg(Width::W64, old));
    } else if size == Size::DW || rng.percent(50) {
        script.set(R0, old);
    } else {
        // Equal in the low half only.
        script.set(R0, old ^ 1 << (32 + rng.below(32)));
    }
    let op = make(script);
    script.run(op);
    script.check_all();
    script.check_window(at / 8 * 8);
}

/// Many values in few registers.
fn all_values(home: Home, width: Width) -> Case {
    let mut rng = Rng::new(0xa71);
    let mut script = Script::new(home, &mut rng);
    for (op, fetch) in operations() {
        for _ in 0..60 {
            let [mut base, src, other, ..]: [Reg; 10] = super::asm::shuffled(&mut rng);
            if base == R0 {
                base = other;
            }
            let (at, delta, off) = place(&mut rng, width.size());
            let equal = rng.percent(50);
            one(&mut script, &mut rng, (at, width.size()), equal, |script| {
                script.point(base, delta);
                Op::Atomic { width, op, fetch, base, off, src }
            });
        }
    }
    let about = Op::Atomic { width, op: AtomicOp::Add, fetch: true, base: R0, off: 0, src: R0 };
    script.case(format!("atomic values {} {}", width.bits(), home.name()), group(about))
}

/// `load_acquire` and `store_release`, every pair of registers.
fn ordered(home: Home, size: Size) -> Case {
    let mut rng = Rng::new(0xa72);
    let mut script = Script::new(home, &mut rng);
    for (base, other) in register_pairs() {
        let (at, delta, off) = place(&mut rng, size);
        if base != other {
            script.set_all(&mut rng);
            script.point(base, delta);
            script.run(Op::StoreRelease { size, base, off, src: other });
            script.check_all();
            script.check_window(at / 8 * 8);
        }
        script.set_all(&mut rng);
        script.point(base, delta);
        script.run(Op::LoadAcquire { size, dst: other, base, off });
        script.check_all();
    }
    let name = format!("atomic ordered {} {}", 8 * size.bytes(), home.name());
    script.case(name, group(Op::LoadAcquire { size, dst: R0, base: R0, off: 0 }))
}

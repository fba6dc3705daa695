//! Instructions from registers to registers.

use super::{Listing, Random, WIDTHS, numbers, s, st, z, zt};
use crate::ebpf::jit::a64::{
    AddImm, Arith, Bitfield, Cond, Divide, Extend, Logic, Reverse, Select, Shift, Width, Width::W, Width::X,
};

const ARITH: [(Arith, &str); 4] =
    [(Arith::Add, "add"), (Arith::Adds, "adds"), (Arith::Sub, "sub"), (Arith::Subs, "subs")];
const LOGIC: [(Logic, &str); 8] = [
    (Logic::And, "and"),
    (Logic::Bic, "bic"),
    (Logic::Orr, "orr"),
    (Logic::Orn, "orn"),
    (Logic::Eor, "eor"),
    (Logic::Eon, "eon"),
    (Logic::Ands, "ands"),
    (Logic::Bics, "bics"),
];
const SHIFTS: [(Shift, &str); 4] = [(Shift::Lsl, "lsl"), (Shift::Lsr, "lsr"), (Shift::Asr, "asr"), (Shift::Ror, "ror")];

/// Every condition and its name.
pub(super) const CONDITIONS: [(Cond, &str); 14] = [
    (Cond::Eq, "eq"),
    (Cond::Ne, "ne"),
    (Cond::Hs, "hs"),
    (Cond::Lo, "lo"),
    (Cond::Mi, "mi"),
    (Cond::Pl, "pl"),
    (Cond::Vs, "vs"),
    (Cond::Vc, "vc"),
    (Cond::Hi, "hi"),
    (Cond::Ls, "ls"),
    (Cond::Ge, "ge"),
    (Cond::Lt, "lt"),
    (Cond::Gt, "gt"),
    (Cond::Le, "le"),
];

/// The operands of three registers as text.
fn three(w: Width, [d, n, m]: [u8; 3]) -> String {
    format!("{}, {}, {}", zt(w, d), zt(w, n), zt(w, m))
}

#[test]
fn three_registers() {
    let mut listing = Listing::default();
    for (w, regs) in WIDTHS.into_iter().flat_map(|w| numbers().into_iter().map(move |regs| (w, regs))) {
        let ([d, n, m], text) = (regs.map(z), three(w, regs));
        for (op, name) in ARITH {
            listing.emits(format!("{name} {text}"), |code| code.arith(op, w, d, n, m));
        }
        for (op, name) in LOGIC {
            listing.emits(format!("{name} {text}"), |code| code.logic(op, w, d, n, m));
        }
        for (shift, name) in SHIFTS {
            listing.emits(format!("{name} {text}"), |code| code.shift(shift, w, d, n, m));
        }
        for (kind, name) in [(Divide::Unsigned, "udiv"), (Divide::Signed, "sdiv")] {
            listing.emits(format!("{name} {text}"), |code| code.div(kind, w, d, n, m));
        }
        listing.emits(format!("mul {text}"), |code| code.mul(w, d, n, m));
    }
    listing.check("three");
}

#[test]
fn two_and_four_registers() {
    let mut listing = Listing::default();
    for w in WIDTHS {
        for [a, b] in numbers() {
            let ([d, m], text) = ([a, b].map(z), format!("{}, {}", zt(w, a), zt(w, b)));
            listing.emits(format!("mov {text}"), |code| code.mov(w, d, m));
            listing.emits(format!("mvn {text}"), |code| code.mvn(w, d, m));
            listing.emits(format!("neg {text}"), |code| code.neg(w, d, m));
            listing.emits(format!("cmp {text}"), |code| code.cmp(w, d, m));
            listing.emits(format!("cmn {text}"), |code| code.cmn(w, d, m));
            listing.emits(format!("tst {text}"), |code| code.tst(w, d, m));
            listing.emits(format!("rev16 {text}"), |code| code.rev(Reverse::Halves, w, d, m));
            let words = if w == X { "rev32" } else { "rev" };
            listing.emits(format!("{words} {text}"), |code| code.rev(Reverse::Words, w, d, m));
            let double = format!("rev {}, {}", zt(X, a), zt(X, b));
            listing.emits(double, |code| code.rev(Reverse::Double, w, d, m));
            let narrow = format!("{}, {}", zt(w, a), zt(W, b));
            listing.emits(format!("sxtb {narrow}"), |code| code.sxtb(w, d, m));
            listing.emits(format!("sxth {narrow}"), |code| code.sxth(w, d, m));
            listing.emits(format!("sxtw {}, {}", zt(X, a), zt(W, b)), |code| code.sxtw(d, m));
            listing.emits(format!("uxtb {}, {}", zt(W, a), zt(W, b)), |code| code.uxtb(d, m));
            listing.emits(format!("uxth {}, {}", zt(W, a), zt(W, b)), |code| code.uxth(d, m));
            let move_sp = format!("add {}, {}, #0", st(X, a), st(X, b));
            listing.emits(move_sp, |code| code.mov_sp(s(a), s(b)));
        }
        for regs @ [a, b, c, e] in numbers() {
            let ([d, n, m, o], text) = (regs.map(z), format!("{}, {}", three(w, [a, b, c]), zt(w, e)));
            listing.emits(format!("madd {text}"), |code| code.madd(w, d, n, m, o));
            listing.emits(format!("msub {text}"), |code| code.msub(w, d, n, m, o));
        }
    }
    listing.check("two-four");
}

#[test]
fn shifted_registers_and_shifts() {
    let (mut listing, mut random) = (Listing::default(), Random(1));
    for w in WIDTHS {
        for (shift, shift_name) in SHIFTS {
            for amount in (0..=65).chain([127, 128, 255]) {
                let regs = [(); 3].map(|()| random.number());
                let ([d, n, m], fits) = (regs.map(z), u32::from(amount) < w.bits());
                let text = format!("{}, {shift_name} #{amount}", three(w, regs));
                for (op, name) in ARITH {
                    let fits = fits && shift != Shift::Ror;
                    listing.decides(fits, format!("{name} {text}"), |code| {
                        code.arith_shifted(op, w, d, n, (m, shift, amount))
                    });
                }
                for (op, name) in LOGIC {
                    listing.decides(fits, format!("{name} {text}"), |code| {
                        code.logic_shifted(op, w, d, n, (m, shift, amount))
                    });
                }
                let text = format!("{shift_name} {}, {}, #{amount}", zt(w, regs[0]), zt(w, regs[1]));
                listing.decides(fits, text, |code| code.shift_imm(shift, w, d, n, amount));
            }
        }
    }
    listing.check("shifted");
}

#[test]
fn extended_registers() {
    let mut listing = Listing::default();
    let extends = [
        (Extend::Uxtb, "uxtb"),
        (Extend::Uxth, "uxth"),
        (Extend::Uxtw, "uxtw"),
        (Extend::Uxtx, "uxtx"),
        (Extend::Sxtb, "sxtb"),
        (Extend::Sxth, "sxth"),
        (Extend::Sxtw, "sxtw"),
    ];
    for w in WIDTHS {
        for (index, [a, b, c]) in numbers().into_iter().enumerate() {
            // Three of the amounts that exist or one that does not, with each extension.
            let amount = index as u8 % 6;
            for (extend, name) in extends {
                let mt = zt(if extend == Extend::Uxtx { w } else { W }, c);
                let (d, n, m) = (s(a), s(b), (z(c), extend, amount));
                let text = format!("{}, {}, {mt}, {name} #{amount}", st(w, a), st(w, b));
                listing.decides(amount < 5, format!("add {text}"), |code| code.add_extended(w, d, n, m));
                listing.decides(amount < 5, format!("sub {text}"), |code| code.sub_extended(w, d, n, m));
                let text = format!("cmp {}, {mt}, {name} #{amount}", st(w, b));
                listing.decides(amount < 5, text, |code| code.cmp_extended(w, n, m));
            }
        }
    }
    listing.check("extended");
}

#[test]
fn immediates_of_additions() {
    let mut listing = Listing::default();
    let values = [0, 1, 0x555, 0xaaa, 0xfff, 0x1000, 0x2000, 0x55_5000, 0xaa_a000, 0xff_f000];
    for w in WIDTHS {
        for (index, [a, b]) in numbers().into_iter().enumerate() {
            let value = values[index % values.len()];
            let imm = AddImm::new(value).unwrap();
            let text = format!("{}, {}, #{value}", st(w, a), st(w, b));
            listing.emits(format!("add {text}"), |code| code.add_imm(w, s(a), s(b), imm));
            listing.emits(format!("sub {text}"), |code| code.sub_imm(w, s(a), s(b), imm));
            let text = format!("{}, {}, #{value}", zt(w, a), st(w, b));
            listing.emits(format!("adds {text}"), |code| code.adds_imm(w, z(a), s(b), imm));
            listing.emits(format!("subs {text}"), |code| code.subs_imm(w, z(a), s(b), imm));
            let text = format!("{}, #{value}", st(w, b));
            listing.emits(format!("cmp {text}"), |code| code.cmp_imm(w, s(b), imm));
            listing.emits(format!("cmn {text}"), |code| code.cmn_imm(w, s(b), imm));
        }
    }
    // Every immediate, and what is next to it.
    for value in (0..0x1001).chain((1..0x1002).flat_map(|high| [high << 12, (high << 12) + 1])).chain([1 << 32]) {
        let text = format!("add x1, x2, #{value}");
        match AddImm::new(value) {
            Some(imm) => listing.emits(text, |code| code.add_imm(X, s(1), s(2), imm)),
            None => listing.refused.push(text),
        }
    }
    listing.check("additions");
}

#[test]
fn bit_fields() {
    let (mut listing, mut random) = (Listing::default(), Random(2));
    for w in WIDTHS {
        for (lowest, bits) in (0..=65).flat_map(|lowest| (0..=66).map(move |bits| (lowest, bits))) {
            let [a, b] = [(); 2].map(|()| random.number());
            let text = format!("{}, {}, #{lowest}, #{bits}", zt(w, a), zt(w, b));
            match Bitfield::new(w, lowest, bits) {
                Some(field) => {
                    listing.emits(format!("ubfx {text}"), |code| code.ubfx(z(a), z(b), field));
                    listing.emits(format!("sbfx {text}"), |code| code.sbfx(z(a), z(b), field));
                }
                None => listing.refused.push(format!("ubfx {text}")),
            }
        }
    }
    assert_eq!(Bitfield::new(X, 255, 255), None);
    listing.check("fields");
}

#[test]
fn selection() {
    let (mut listing, mut random) = (Listing::default(), Random(3));
    let selects =
        [(Select::Same, "csel"), (Select::Increment, "csinc"), (Select::Invert, "csinv"), (Select::Negate, "csneg")];
    for w in WIDTHS {
        for (cond, cond_name) in CONDITIONS {
            for number in 0..32 {
                let text = format!("cset {}, {cond_name}", zt(w, number));
                listing.emits(text, |code| code.cset(w, z(number), cond));
                let regs = [number, random.number(), random.number()];
                for (select, name) in selects {
                    let text = format!("{name} {}, {cond_name}", three(w, regs));
                    let [d, n, m] = regs.map(z);
                    listing.emits(text, |code| code.select(select, w, d, (cond, n, m)));
                }
            }
        }
    }
    listing.check("selection");
}

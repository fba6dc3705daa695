//! Sequences that an optimising code generator may replace by something shorter, and their neighbours that it must not:
//! rotates, address arithmetic, masks, fused loads, read-modify-write, compares, known constants, conditional moves.
//!
//! Each pattern runs many times with other registers and operands, as constants and from memory, and every register is
//! checked after each time, so that a value that was thought dead is missed.

use skep_isa::ebpf::{AluOp, JmpOp, Op, Order, Reg, Size, Src, Width};

use super::alu::kernel_refuses;
use super::asm::{R0, R4, REGS, W32, W64, WIDTHS, alu, alui, group, load, set, shuffled, store};
use super::script::{Home, Script};
use super::values::{any, any_immediate, near_power};
use super::{Case, Cases, KernelVerdict};
use crate::Rng;

/// Rounds of a pattern in one program.
const ROUNDS: usize = 96;

/// One round: registers in random order and with random values, to be used as the pattern likes.
type Pattern = fn(&mut Script, &mut Rng, [Reg; 10]);

// TABLE
const PATTERNS: [(&str, Pattern); 25] = [
    ("rotate", rotate),
    ("rotate by registers", rotate_by_register),
    ("no rotate", no_rotate),
    ("add of three", add_of_three),
    ("scaled add", scaled_add),
    ("multiply by constant", multiply_by_constant),
    ("mask", mask),
    ("extend by shifts", extend_by_shifts),
    ("neutral constants", neutral_constants),
    ("powers of two", powers_of_two),
    ("quotient and remainder", quotient_and_remainder),
    ("load and operate", load_and_operate),
    ("load into base", load_into_base),
    ("read modify write", read_modify_write),
    ("aliases", aliases),
    ("store and load", store_and_load),
    ("swapped memory", swapped_memory),
    ("dead stores", dead_stores),
    ("high halves", high_halves),
    ("same register", same_register),
    ("copies", copies),
    ("boolean", boolean),
    ("minimum and maximum", minimum),
    ("compare after arithmetic", compare_after_arithmetic),
    ("shift count in fixed register", shift_count),
];

/// One program for each pattern and home, and one for constants that the kernel does not take.
pub(super) fn cases() -> Cases {
    let all = Home::ALL.into_iter().flat_map(|home| PATTERNS.map(|(name, pattern)| (home, name, pattern)));
    let all = all.map(|(home, name, pattern)| program(home, name, pattern));
    let refused = Home::ALL.map(|home| {
        let case = program(home, "constants out of range", out_of_range);
        Case { kernel: KernelVerdict::Refuses("shift by a constant outside of the width"), ..case }
    });
    Box::new(all.chain(refused))
}

fn program(home: Home, name: &str, pattern: Pattern) -> Case {
    let mut rng = Rng::new(0x784b);
    let mut script = Script::new(home, &mut rng);
    for _ in 0..ROUNDS {
        script.set_all(&mut rng);
        let registers = shuffled(&mut rng);
        pattern(&mut script, &mut rng, registers);
        script.check_all();
    }
    script.case(format!("trap {name} {}", home.name()), group(alu(W64, AluOp::Add, R0, R0)))
}

fn width(rng: &mut Rng) -> Width {
    rng.pick(&WIDTHS)
}

/// `t = a; t <<= k; a >>= n - k; a |= t`, in either order and with either way to join.
fn rotate(script: &mut Script, rng: &mut Rng, [a, t, ..]: [Reg; 10]) {
    let width = width(rng);
    let count = rng.between(1, width.bits() as usize - 1) as i32;
    let rest = width.bits() as i32 - count;
    let (first, second) = if rng.percent(50) { (AluOp::Lsh, AluOp::Rsh) } else { (AluOp::Rsh, AluOp::Lsh) };
    let copy = if rng.percent(70) { W64 } else { W32 };
    script.run(alu(copy, AluOp::Mov, t, a));
    script.run_all(&[alui(width, first, t, count), alui(width, second, a, rest)]);
    let join = rng.pick(&[AluOp::Or, AluOp::Add, AluOp::Xor]);
    script.run(if rng.percent(70) { alu(width, join, a, t) } else { alu(width, join, t, a) });
}

/// The same by registers, the count taken from `n - k` or from `-k`.
fn rotate_by_register(script: &mut Script, rng: &mut Rng, [a, t, k, n, ..]: [Reg; 10]) {
    let width = width(rng);
    script.run_all(&[Op::mov(t, a), Op::mov_imm(n, if rng.percent(50) { width.bits() as i32 } else { 0 })]);
    script.run_all(&[alu(width, AluOp::Sub, n, k), alu(width, AluOp::Lsh, t, k), alu(width, AluOp::Rsh, a, n)]);
    script.run(alu(width, AluOp::Or, a, t));
}

/// What differs from a rotate in one thing: counts, widths, the sign, the operator, the copied register.
fn no_rotate(script: &mut Script, rng: &mut Rng, [a, t, other, ..]: [Reg; 10]) {
    let width = width(rng);
    let bits = width.bits() as usize;
    let count = rng.between(1, bits - 1) as i32;
    let mut rest = bits as i32 - count;
    let (mut first, mut second, mut join) = (width, AluOp::Rsh, AluOp::Or);
    let mut source = a;
    match rng.below(6) {
        0 => rest = rng.below(bits) as i32,
        1 => second = AluOp::Arsh,
        2 => join = rng.pick(&[AluOp::And, AluOp::Sub, AluOp::Mul]),
        3 => first = if count < 32 { rng.pick(&WIDTHS) } else { W64 },
        4 => source = other,
        _ => second = AluOp::Lsh,
    }
    script.run_all(&[Op::mov(t, source), alui(first, AluOp::Lsh, t, count), alui(width, second, a, rest)]);
    if rng.percent(30) {
        // Something in between that changes one part.
        script.run(alui(W64, AluOp::Add, rng.pick(&[a, t]), 1));
    }
    script.run(alu(width, join, a, t));
}

/// `d = a; d += b` and `d = a; d += imm`, with `b` the result, the copy or the original, at both widths.
fn add_of_three(script: &mut Script, rng: &mut Rng, [d, a, b, ..]: [Reg; 10]) {
    let (copy, sum) = (width(rng), width(rng));
    let b = rng.pick(&[b, d, a]);
    let op = rng.pick(&[AluOp::Add, AluOp::Add, AluOp::Sub]);
    script.run(alu(copy, AluOp::Mov, d, a));
    if rng.percent(50) {
        script.run(alu(sum, op, d, b));
    } else {
        script.run(alui(sum, op, d, any_immediate(rng)));
    }
}

/// `d = a; d <<= 1..4; d += b; d += imm`
fn scaled_add(script: &mut Script, rng: &mut Rng, [d, a, b, ..]: [Reg; 10]) {
    let (shift, sum) = (width(rng), width(rng));
    let b = rng.pick(&[b, a, d]);
    script.run_all(&[Op::mov(d, a), alui(shift, AluOp::Lsh, d, rng.below(5) as i32), alu(sum, AluOp::Add, d, b)]);
    if rng.percent(50) {
        script.run(alui(width(rng), AluOp::Add, d, any_immediate(rng)));
    }
}

fn multiply_by_constant(script: &mut Script, rng: &mut Rng, [d, a, ..]: [Reg; 10]) {
    let (copy, product) = (width(rng), width(rng));
    let imm =
        if rng.percent(50) { rng.pick(&[0, 1, -1, 2, 3, 4, 5, 8, 9, 10, 127, 128, -128]) } else { any_immediate(rng) };
    let source = rng.pick(&[a, a, d]);
    script.run_all(&[alu(copy, AluOp::Mov, d, source), alui(product, AluOp::Mul, d, imm)]);
}

/// Masks of whole bytes and their neighbours; a constant with sign masks nothing at 64 bits above bit 31.
fn mask(script: &mut Script, rng: &mut Rng, [d, a, ..]: [Reg; 10]) {
    const MASKS: [i32; 12] =
        [0xff, 0xffff, -1, 0xff_ffff, 0x7f, 0x7fff, i32::MAX, 0xff00, -0x100, -0x1_0000, 0x100, i32::MIN];
    if rng.percent(50) {
        script.run(alu(width(rng), AluOp::Mov, d, a));
    }
    let op = rng.pick(&[AluOp::And, AluOp::And, AluOp::And, AluOp::Or, AluOp::Xor]);
    script.run(alui(width(rng), op, d, rng.pick(&MASKS)));
    if rng.percent(30) {
        // A mask of 64 bits in a register.
        let wide = [0xffff_ffff, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff, 0xff_0000_0000][rng.below(4)];
        script.run_all(&[set(a, wide), alu(W64, AluOp::And, d, a)]);
    }
}

/// `a <<= n; a >>= n` with and without sign, with equal and unequal counts.
fn extend_by_shifts(script: &mut Script, rng: &mut Rng, [a, ..]: [Reg; 10]) {
    let (up, down) = (width(rng), width(rng));
    let count = rng.pick(&[8, 16, 24, 31]);
    let count = if up == W64 && down == W64 { rng.pick(&[count, 32, 48, 56, 63]) } else { count };
    let back = if rng.percent(80) { count } else { count - 1 };
    let right = rng.pick(&[AluOp::Rsh, AluOp::Arsh]);
    script.run_all(&[alui(up, AluOp::Lsh, a, count), alui(down, right, a, back)]);
}

/// Operations that change nothing, except that those of 32 bits clear the high half.
fn neutral_constants(script: &mut Script, rng: &mut Rng, [a, b, ..]: [Reg; 10]) {
    const NEUTRAL: [(AluOp, i32); 13] = [
        (AluOp::Add, 0),
        (AluOp::Sub, 0),
        (AluOp::Mul, 1),
        (AluOp::Div, 1),
        (AluOp::SDiv, 1),
        (AluOp::Or, 0),
        (AluOp::Xor, 0),
        (AluOp::And, -1),
        (AluOp::Lsh, 0),
        (AluOp::Rsh, 0),
        (AluOp::Arsh, 0),
        (AluOp::Mod, -1),
        (AluOp::SMod, i32::MIN),
    ];
    let (op, imm) = rng.pick(&NEUTRAL);
    let width = width(rng);
    script.run(alui(width, op, a, imm));
    let (op, imm) = rng.pick(&NEUTRAL);
    script.run_all(&[Op::mov_imm(b, imm), alu(width, op, a, b)]);
}

/// Products, quotients and remainders by powers of two, with and without sign.
fn powers_of_two(script: &mut Script, rng: &mut Rng, [a, ..]: [Reg; 10]) {
    let op = rng.pick(&[AluOp::Mul, AluOp::Div, AluOp::Mod, AluOp::SDiv, AluOp::SMod]);
    let imm = near_power(rng.below(32), [0, 0, 3, 1, 2][rng.below(5)]) as i32;
    script.run(alui(width(rng), op, a, if imm == 0 { 1 } else { imm }));
}

/// Both results of the same division, which share a machine instruction, in both orders.
fn quotient_and_remainder(script: &mut Script, rng: &mut Rng, [q, r, a, b, ..]: [Reg; 10]) {
    let (first, second) = (width(rng), width(rng));
    let signed = rng.percent(50);
    let (div, rem) = if signed { (AluOp::SDiv, AluOp::SMod) } else { (AluOp::Div, AluOp::Mod) };
    let b = rng.pick(&[b, b, q, r, a]);
    script.run_all(&[Op::mov(q, a), Op::mov(r, a)]);
    let pair = [alu(first, div, q, b), alu(second, rem, r, b)];
    script.run_all(&if rng.percent(50) { pair } else { [pair[1], pair[0]] });
}

/// An aligned place in the first 64 bytes of the window.
fn place(rng: &mut Rng, size: Size) -> i16 {
    let bytes = size.bytes() as usize;
    (bytes * rng.below(64 / bytes)) as i16
}

/// `t = [base]; d OP= t`, the loaded value alive afterwards, with every size against every width.
fn load_and_operate(script: &mut Script, rng: &mut Rng, [base, t, d, ..]: [Reg; 10]) {
    let size = rng.pick(Size::ALL);
    let off = place(rng, size);
    script.point(base, 0);
    let signed = size != Size::DW && rng.percent(30);
    script.run(Op::Load { size, signed, dst: t, base, off });
    if rng.percent(20) {
        script.run(alui(W64, AluOp::Add, rng.pick(&[t, d]), 1));
    }
    let op = rng.pick(AluOp::ALL);
    script.run(if rng.percent(80) { alu(width(rng), op, d, t) } else { alu(width(rng), op, t, t) });
}

/// A load that overwrites its own base, used at once; then through a second base.
fn load_into_base(script: &mut Script, rng: &mut Rng, [base, second, d, ..]: [Reg; 10]) {
    let size = rng.pick(&[Size::W, Size::DW]);
    let off = place(rng, size);
    script.point(base, 0);
    script.point(second, 8);
    script.run(load(size, base, base, off));
    script.run(alu(width(rng), rng.pick(&[AluOp::Add, AluOp::Xor, AluOp::Mul, AluOp::Mov]), d, base));
    script.run(load(size, d, second, off));
    script.run(alu(width(rng), AluOp::Sub, base, d));
}

/// `t = [p]; t OP= x; [p] = t` and neighbours: another size or place, a store in between, `x` loaded from the same place.
fn read_modify_write(script: &mut Script, rng: &mut Rng, [base, alias, t, x, ..]: [Reg; 10]) {
    let size = rng.pick(Size::ALL);
    let off = place(rng, size);
    script.point(base, 0);
    script.point(alias, 0);
    script.run(load(size, t, base, off));
    let op = rng.pick(&[AluOp::Add, AluOp::Sub, AluOp::And, AluOp::Or, AluOp::Xor, AluOp::Lsh, AluOp::Mul]);
    if rng.percent(50) {
        script.run(alu(width(rng), op, t, x));
    } else {
        script.run(alui(width(rng), op, t, rng.between(0, 31) as i32));
    }
    let (mut back, mut to) = (size, off);
    match rng.below(6) {
        0 => script.run(store(size, alias, off, x)),
        1 => script.run(load(size, x, alias, off)),
        2 => back = rng.pick(Size::ALL),
        3 => to = place(rng, size),
        _ => {}
    }
    to -= to % back.bytes() as i16;
    script.run(store(back, base, to, t));
    script.check_window(usize::from(to.unsigned_abs()) / 8 * 8);
    script.check_window(usize::from(off.unsigned_abs()) / 8 * 8);
}

/// Two bases for the same bytes: the second load sees what was stored through the other one.
fn aliases(script: &mut Script, rng: &mut Rng, [a, b, x, y, z, ..]: [Reg; 10]) {
    let (wide, narrow) = (rng.pick(&[Size::DW, Size::W]), rng.pick(Size::ALL));
    let off = place(rng, wide);
    let shift = 8 * rng.below(5) as i32;
    script.point(a, 0);
    script.point(b, shift);
    script.run(load(wide, x, a, off));
    let other = off - off % narrow.bytes() as i16 - shift as i16;
    script.run_all(&[store(narrow, b, other, z), load(wide, y, a, off), alu(W64, AluOp::Sub, x, y)]);
}

/// A store followed by a load of the same place: another size, another sign, the stored register changed in between.
fn store_and_load(script: &mut Script, rng: &mut Rng, [base, x, y, ..]: [Reg; 10]) {
    let (wrote, read) = (rng.pick(Size::ALL), rng.pick(Size::ALL));
    script.point(base, 0);
    let off = 8 * rng.below(8) as i16;
    if rng.percent(70) {
        script.run(store(wrote, base, off, x));
    } else {
        script.run(Op::Store { size: wrote, base, off, src: Src::Imm(any_immediate(rng)) });
    }
    if rng.percent(40) {
        script.run(alui(width(rng), AluOp::Add, x, 1));
    }
    let inner = (read.bytes() as usize * rng.below(8 / read.bytes() as usize)) as i16;
    let signed = read != Size::DW && rng.percent(40);
    script.run(Op::Load { size: read, signed, dst: y, base, off: off + inner });
}

/// A load or store next to a byte swap.
fn swapped_memory(script: &mut Script, rng: &mut Rng, [base, x, ..]: [Reg; 10]) {
    let (size, swap) = (rng.pick(Size::ALL), rng.pick(&[Size::H, Size::W, Size::DW]));
    let order = [Order::Little, Order::Big, Order::Swap][rng.below(3)];
    let off = place(rng, size);
    let swap = Op::Swap { order, size: swap, dst: x };
    script.point(base, 0);
    script.run_all(&[load(size, x, base, off), swap]);
    script.run_all(&[swap, store(size, base, off, x)]);
    script.check_window(usize::from(off.unsigned_abs()) / 8 * 8);
}

/// Registers and memory written twice, and once more through a part.
fn dead_stores(script: &mut Script, rng: &mut Rng, [base, x, y, ..]: [Reg; 10]) {
    let off = 8 * rng.below(8) as i16;
    script.point(base, 0);
    script.run_all(&[store(Size::DW, base, off, x), store(Size::DW, base, off, y)]);
    let part = rng.pick(&[Size::B, Size::H, Size::W]);
    script.run(store(part, base, off, x));
    script.run_all(&[Op::mov_imm(x, 1), Op::mov_imm(x, 2), alui(W32, AluOp::Mov, y, -1)]);
    script.run(alu(width(rng), AluOp::Mov, y, x));
    script.check_window(usize::from(off.unsigned_abs()));
}

/// An operation of 32 bits, then one of 64 bits that sees the cleared half, and the other way round.
fn high_halves(script: &mut Script, rng: &mut Rng, [a, b, c, ..]: [Reg; 10]) {
    let op = rng.pick(AluOp::ALL);
    match rng.below(4) {
        0 => script.run(alu(W32, op, a, b)),
        1 => script.run(alu(W32, AluOp::Mov, a, a)),
        2 => script.run(Op::Neg { width: W32, dst: a }),
        _ => script.run(alui(W32, rng.pick(&[AluOp::Add, AluOp::Mov, AluOp::Or, AluOp::Arsh]), a, 31)),
    }
    script.run(alu(W64, rng.pick(&[AluOp::Add, AluOp::Rsh, AluOp::Mov, AluOp::Div, AluOp::SMod]), c, a));
    if rng.percent(50) {
        script.run_all(&[alui(W64, AluOp::Lsh, a, 32), alu(W64, AluOp::Or, c, a)]);
    }
    // A comparison of 64 bits relies on the half as well.
    script.check_jump(W64, rng.pick(JmpOp::ALL), a, Src::Reg(c));
    script.check_jump(W32, rng.pick(JmpOp::ALL), a, Src::Reg(c));
}

fn same_register(script: &mut Script, rng: &mut Rng, [a, b, ..]: [Reg; 10]) {
    script.run_all(&[alu(width(rng), rng.pick(AluOp::ALL), a, a), alu(width(rng), rng.pick(AluOp::ALL), b, a)]);
    script.check_jump(width(rng), rng.pick(JmpOp::ALL), a, Src::Reg(a));
    script.check_jump(width(rng), rng.pick(JmpOp::ALL), b, Src::Reg(b));
}

/// Chains and exchanges of copies, of which some cut.
fn copies(script: &mut Script, rng: &mut Rng, registers: [Reg; 10]) {
    for _ in 0..8 {
        let (dst, src) = (rng.pick(&registers[..4]), rng.pick(&registers[..4]));
        script.run(match rng.below(5) {
            0 => alu(W32, AluOp::Mov, dst, src),
            1 => alui(width(rng), AluOp::Add, dst, 1),
            2 => Op::MovSx { width: W64, from: Size::W, dst, src },
            _ => Op::mov(dst, src),
        });
    }
    // Exchange by three times exclusive or.
    let [a, b, ..] = registers;
    let width = width(rng);
    script.run_all(&[(a, b), (b, a), (a, b)].map(|(dst, src)| alu(width, AluOp::Xor, dst, src)));
}

/// A condition that is biased to hold half of the time, between `a` and `b` or a constant.
fn condition(script: &mut Script, rng: &mut Rng, a: Reg, b: Reg) -> (Width, JmpOp, Reg, Src) {
    if rng.percent(20) {
        script.run(Op::mov(b, a));
    }
    let src = if rng.percent(60) { Src::Reg(b) } else { Src::Imm(any_immediate(rng)) };
    (width(rng), rng.pick(JmpOp::ALL), a, src)
}

/// `r = 1; if C goto +1; r = 0` and variations: the result is an operand, the constants differ, a third register moves.
fn boolean(script: &mut Script, rng: &mut Rng, [a, b, r, x, y, ..]: [Reg; 10]) {
    let condition = condition(script, rng, a, b);
    let r = rng.pick(&[r, r, a, b]);
    let (yes, no) = rng.pick(&[(1, 0), (0, 1), (-1, 0), (7, -9), (1, 1)]);
    match rng.below(4) {
        0 => {
            let r = if r == a || r == b { x } else { r };
            script.run(Op::mov_imm(r, yes));
            script.branch(condition, |script| script.run(Op::mov_imm(r, no)), None::<fn(&mut Script)>);
        }
        1 => script.branch(
            condition,
            |script| script.run(Op::mov_imm(r, no)),
            Some(|script: &mut Script| script.run(Op::mov_imm(r, yes))),
        ),
        2 => {
            let width = width(rng);
            script.branch(condition, |script| script.run(alu(width, AluOp::Mov, x, y)), None::<fn(&mut Script)>);
        }
        _ => script.branch(
            condition,
            |script| script.run_all(&[Op::mov(r, x), alui(W32, AluOp::Mov, x, 5)]),
            Some(|script: &mut Script| script.run_all(&[Op::mov(r, y), Op::mov(x, r)])),
        ),
    }
}

/// `d = a; if d < b goto +1; d = b`, all conditions and widths, and magnitudes.
fn minimum(script: &mut Script, rng: &mut Rng, [d, a, b, ..]: [Reg; 10]) {
    let (width, copy) = (width(rng), width(rng));
    let op = rng.pick(&[JmpOp::Lt, JmpOp::Gt, JmpOp::SLt, JmpOp::SGt, JmpOp::Le, JmpOp::SGe]);
    let (left, right) = if rng.percent(50) { (d, b) } else { (b, d) };
    script.run(Op::mov(d, a));
    script.branch(
        (width, op, left, Src::Reg(right)),
        |script| script.run(alu(copy, AluOp::Mov, d, b)),
        None::<fn(&mut Script)>,
    );
    script.branch(
        (width, JmpOp::SGe, a, Src::Imm(0)),
        |script| script.run(Op::Neg { width: copy, dst: a }),
        None::<fn(&mut Script)>,
    );
}

/// Arithmetic that sets machine flags, then a jump on the same operands, with moves of zero in between.
fn compare_after_arithmetic(script: &mut Script, rng: &mut Rng, [a, b, z, ..]: [Reg; 10]) {
    let op = rng.pick(&[AluOp::Sub, AluOp::Add, AluOp::And, AluOp::Or, AluOp::Lsh, AluOp::Mul]);
    script.run(alu(width(rng), op, a, b));
    if rng.percent(60) {
        script.run(alui(width(rng), AluOp::Mov, z, 0));
    }
    let zero = if rng.percent(50) { Src::Imm(0) } else { Src::Reg(b) };
    for _ in 0..3 {
        script.check_jump(width(rng), rng.pick(JmpOp::ALL), a, zero);
        if rng.percent(40) {
            script.run(alui(W64, AluOp::Add, z, 1));
        }
    }
}

/// The register that machines shift by, as count, as result, and as neither.
fn shift_count(script: &mut Script, rng: &mut Rng, [a, b, ..]: [Reg; 10]) {
    let op = rng.pick(&[AluOp::Lsh, AluOp::Rsh, AluOp::Arsh]);
    let (dst, src) = rng.pick(&[(a, R4), (R4, a), (R4, R4), (a, b), (a, a)]);
    script.run_all(&[alu(width(rng), op, dst, src), alu(width(rng), op, b, dst)]);
    script.run(alu(width(rng), AluOp::Div, rng.pick(&REGS), src));
}

/// Shifts by constants from the width up, which count modulo the width, and rotates made of them.
fn out_of_range(script: &mut Script, rng: &mut Rng, [a, t, ..]: [Reg; 10]) {
    let width = width(rng);
    let imm = loop {
        let imm = any_immediate(rng);
        if kernel_refuses(width, AluOp::Lsh, imm).is_some() {
            break imm;
        }
    };
    let op = rng.pick(&[AluOp::Lsh, AluOp::Rsh, AluOp::Arsh]);
    script.run_all(&[Op::mov(t, a), alui(width, op, t, imm)]);
    script.run_all(&[alui(width, AluOp::Rsh, a, imm.wrapping_neg()), alu(width, AluOp::Or, a, t)]);
    let value = any(rng);
    script.set(t, value);
    let division = rng.pick(&[AluOp::Div, AluOp::Mod, AluOp::SDiv, AluOp::SMod]);
    script.run(alui(width, division, t, 0));
}

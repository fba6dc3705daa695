//! Loads and stores: every size, sign, pair of registers and offset, byte order, overlaps, and places far away.

use skep_isa::ebpf::{AluOp, JmpOp, Op, Reg, Size, Src};

use super::asm::{Asm, CONTEXT, R0, R1, R2, R3, R4, R10, W64, alu, alui, group, jump_if, load, set, shuffled, store};
use super::atomics::place;
use super::registers::register_pairs;
use super::script::{Home, Script, WINDOW};
use super::values::{IMMEDIATES, any};
use super::{Case, Cases, KernelVerdict, eval};
use crate::Rng;

/// Loads and stores of a size, as constructors; sign-extending loads exist below 8 bytes.
fn loads() -> impl Iterator<Item = (Size, bool)> {
    Size::ALL
        .iter()
        .flat_map(|&size| [(size, false), (size, true)])
        .filter(|&(size, signed)| !signed || size != Size::DW)
}

/// Aligned accesses, for the stack and for memory, then unaligned ones.
pub(super) fn cases() -> Cases {
    let aligned = Home::ALL.into_iter().flat_map(|home| {
        let load = loads().map(move |(size, signed)| all_loads(home, size, signed));
        let store = Size::ALL.iter().map(move |&size| all_stores(home, size));
        let constants = [store_constants(home), round_trip(home), overlaps(home, 8)];
        load.chain(store).chain(constants)
    });
    let unaligned = [1, 2, 4].into_iter().flat_map(|step| Home::ALL.map(|home| overlaps(home, step)));
    Box::new(aligned.chain(unaligned))
}

fn all_loads(home: Home, size: Size, signed: bool) -> Case {
    let mut rng = Rng::new(0x3e0);
    let mut script = Script::new(home, &mut rng);
    let op = |dst, base, off| Op::Load { size, signed, dst, base, off };
    for (dst, base) in register_pairs() {
        for _ in 0..3 {
            let (_, delta, off) = place(&mut rng, size);
            script.set_all(&mut rng);
            script.point(base, delta);
            script.run(op(dst, base, off));
            script.check_all();
        }
    }
    if home == Home::Stack {
        for off in (-(WINDOW as i16)..0).step_by(size.bytes() as usize) {
            let [dst, ..] = shuffled(&mut rng);
            script.run(op(dst, R10, off));
            script.check_all();
        }
    }
    let name = format!("memory load {}{} {}", if signed { "s" } else { "u" }, 8 * size.bytes(), home.name());
    script.case(name, group(op(R0, R0, 0)))
}

fn all_stores(home: Home, size: Size) -> Case {
    let mut rng = Rng::new(0x3e1);
    let mut script = Script::new(home, &mut rng);
    for (base, src) in register_pairs().filter(|(base, src)| base != src) {
        for constant in [false, false, true] {
            let (at, delta, off) = place(&mut rng, size);
            script.set_all(&mut rng);
            script.point(base, delta);
            let src = if constant { Src::Imm(rng.pick(&IMMEDIATES)) } else { Src::Reg(src) };
            script.run(Op::Store { size, base, off, src });
            script.check_all();
            script.check_window(at / 8 * 8);
        }
    }
    let name = format!("memory store {} {}", 8 * size.bytes(), home.name());
    script.case(name, group(store(size, R0, 0, R0)))
}

/// Constants of every size: extended to 8 bytes, cut for the others.
fn store_constants(home: Home) -> Case {
    let mut rng = Rng::new(0x3e2);
    let mut script = Script::new(home, &mut rng);
    for (imm, &size) in IMMEDIATES.into_iter().flat_map(|imm| Size::ALL.iter().map(move |size| (imm, size))) {
        let (at, delta, off) = place(&mut rng, size);
        let [base, ..] = shuffled(&mut rng);
        script.point(base, delta);
        script.run(Op::Store { size, base, off, src: Src::Imm(imm) });
        script.check_window(at / 8 * 8);
    }
    let about = Op::Store { size: Size::DW, base: R0, off: 0, src: Src::Imm(0) };
    script.case(format!("memory store constants {}", home.name()), group(about))
}

/// Stores of one size, loads of another, at all places in eight bytes: byte order and forwarding of stored values.
fn round_trip(home: Home) -> Case {
    let mut rng = Rng::new(0x3e3);
    let mut script = Script::new(home, &mut rng);
    for &wrote in Size::ALL {
        for (read, signed) in loads() {
            for (at, from) in steps(wrote).flat_map(|at| steps(read).map(move |from| (at, from))) {
                let [base, src, dst, ..] = shuffled(&mut rng);
                script.set(src, any(&mut rng));
                script.point(base, 8);
                script.run(store(wrote, base, at, src));
                script.run(Op::Load { size: read, signed, dst, base, off: from });
                script.check_all();
            }
        }
    }
    script.case(format!("memory round trip {}", home.name()), group(store(Size::DW, R0, 0, R0)))
}

/// The places of a size in eight bytes.
fn steps(size: Size) -> impl Iterator<Item = i16> + Clone {
    (0..8).step_by(size.bytes() as usize)
}

/// Random stores that overlap, read back in all sizes; places are multiples of `step`.
fn overlaps(home: Home, step: usize) -> Case {
    let mut rng = Rng::new(0x3e4 + step as u64);
    let mut script = Script::new(home, &mut rng);
    let span = 32;
    let any_place = |rng: &mut Rng, size: Size| {
        let step = step.min(size.bytes() as usize);
        step * rng.below((span - size.bytes() as usize) / step + 1)
    };
    for _ in 0..300 {
        let [base, src, dst, ..] = shuffled(&mut rng);
        let size = rng.pick(Size::ALL);
        script.set(src, any(&mut rng));
        script.point(base, 0);
        let off = any_place(&mut rng, size) as i16;
        script.run(store(size, base, off, src));
        let (size, signed) = rng.pick(&loads().collect::<Vec<_>>());
        let off = any_place(&mut rng, size) as i16;
        script.run(Op::Load { size, signed, dst, base, off });
        script.check_all();
        script.check_window(8 * rng.below(span / 8));
    }
    let case = script.case(format!("memory overlap {step} {}", home.name()), group(store(Size::DW, R0, 0, R0)));
    if step < 8 && home == Home::Stack {
        case.kernel(KernelVerdict::Refuses("accesses to the stack must be aligned"))
    } else {
        case
    }
}

/// Offsets at the ends of their range, and sums of registers and offsets, in 70,000 bytes of memory.
pub(super) fn far() -> Cases {
    const BYTES: usize = 70_000;
    let borders = [
        0, 1, 2, 7, 8, 127, 128, 129, 255, 256, 4095, 4096, 0x7ffe, 0x7fff, -1, -8, -127, -128, -129, -130, -256, -257,
        -4096, -4097, -0x7fff, -0x8000i16,
    ];
    let forms: Vec<_> = loads().collect();
    let mut all: Vec<Case> = Vec::new();
    for (size, signed) in forms {
        let mut rng = Rng::new(0xfa);
        let memory = rng.bytes(BYTES);
        let mut after = memory.clone();
        let mut asm = Asm::default();
        asm.op(store(Size::DW, R10, -8, R1));
        for off in borders {
            for base in super::asm::REGS {
                let (dst, temp) = others(&mut rng, base);
                let at = rng.between(0x8000, BYTES - 0x8000 - 8);
                let place = (at as i64 + i64::from(off)) as usize;
                asm.ops(&[load(Size::DW, base, R10, -8), alui(W64, AluOp::Add, base, at as i32)]);
                asm.op(Op::Load { size, signed, dst, base, off });
                let mut value = eval::load(&after, place, size);
                if signed {
                    value = eval::extend(W64, size, value);
                }
                asm.expect(dst, value, temp);
                if !signed {
                    let value = any(&mut rng);
                    asm.ops(&[set(dst, value), store(size, base, off, dst)]);
                    eval::store(&mut after, place, size, value);
                }
            }
        }
        let name = format!("memory-far {}{}", if signed { "s" } else { "u" }, 8 * size.bytes());
        let case = asm.checked(name, group(Op::Load { size, signed, dst: R0, base: R0, off: 0 })).kernel(CONTEXT);
        all.push(Case { memory, memory_after: Some(after), ..case });
    }
    all.push(length());
    all.push(sum());
    Box::new(all.into_iter())
}

/// Two registers besides the base.
fn others(rng: &mut Rng, base: Reg) -> (Reg, Reg) {
    let mut left = shuffled(rng).into_iter().filter(|&reg| reg != base);
    (left.next().unwrap_or(R0), left.next().unwrap_or(R0))
}

/// Register 2 is the length.
fn length() -> Case {
    let mut asm = Asm::default();
    asm.ops(&[Op::mov(R0, R2), Op::Exit]);
    let case = asm.case("memory-far length".to_owned(), group(Op::Exit), 1234).kernel(CONTEXT);
    Case { memory: vec![7; 1234], ..case }
}

/// The sum of all bytes, by a loop whose bound is the length, with the last byte read and the one behind it not.
fn sum() -> Case {
    let memory = Rng::new(5).bytes(4099);
    let sum: u64 = memory.iter().map(|&byte| u64::from(byte)).sum();
    let mut asm = Asm::default();
    asm.ops(&[Op::mov_imm(R0, 0), Op::mov(R3, R1), alu(W64, AluOp::Add, R3, R2)]);
    let end = asm.label();
    let again = asm.here();
    asm.to(jump_if(W64, JmpOp::Ge, R1, Src::Reg(R3)), end);
    asm.ops(&[load(Size::B, R4, R1, 0), alu(W64, AluOp::Add, R0, R4), alui(W64, AluOp::Add, R1, 1)]);
    asm.to(super::asm::GOTO, again);
    asm.place(end);
    asm.op(Op::Exit);
    let case = asm.case("memory-far sum".to_owned(), group(load(Size::B, R0, R0, 0)), sum).kernel(CONTEXT);
    Case { memory, ..case }
}

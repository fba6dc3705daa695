//! Programs that must be refused before they run: unknown opcodes, reserved fields that are not zero, registers that do
//! not exist, control flow that leaves the program, and well-formed ones that ask for what is not there.

use skep_isa::ebpf::{Callee, Cpu, Group, Imm64, Insn, Op, ROWS, Row, Size, Src, Width};

use super::asm::{GOTO, GOTO_LONG, R0, R1, R2, R10, W64, alu, alui, group, jump_if, load, set, unary};
use super::{Case, Cases, Expect, KernelVerdict};

const EXIT: Insn = Op::Exit.encode().first;
const ZERO: Insn = Op::mov_imm(R0, 0).encode().first;
/// The second half of an immediate load.
const HALF: Insn = Insn { code: 0, dst: 0, src: 0, off: 0, imm: 0 };

fn case(name: String, about: (Group, Cpu), insns: Vec<Insn>) -> Case {
    let (group, cpu) = about;
    Case {
        name,
        insns,
        memory: vec![0; 64],
        memory_after: None,
        expect: Expect::Rejected,
        group,
        cpu,
        kernel: KernelVerdict::MayRun,
        checks: 1,
    }
}

/// The instruction between a move, which makes register 0 known, and an exit.
fn framed(name: String, about: (Group, Cpu), slots: &[Insn]) -> Case {
    let mut insns = vec![ZERO];
    insns.extend(slots);
    insns.extend([ZERO, EXIT]);
    case(name, about, insns)
}

fn slots(op: Op) -> Vec<Insn> {
    let mut list = Vec::new();
    op.emit(&mut list);
    list
}

/// What `validate` refuses.
pub(super) fn malformed() -> Cases {
    Box::new(reserved_fields().chain(second_slots()).chain(opcodes()).chain(registers()).chain(control_flow()))
}

/// Every field that a row does not use, set to what no row with the opcode has.
fn reserved_fields() -> impl Iterator<Item = Case> {
    ROWS.into_iter().enumerate().flat_map(|(number, row)| {
        let template = slots(row.op);
        let (uses, about) = (row.uses, (row.group, row.cpu));
        let mut changed: Vec<(String, Insn)> = Vec::new();
        let first = template[0];
        if !uses.dst() {
            changed.extend((1..16).map(|dst| (format!("dst {dst}"), Insn { dst, ..first })));
        }
        if !uses.src() {
            changed.extend((1..16).map(|src| (format!("src {src}"), Insn { src, ..first })));
        }
        if !uses.off() {
            let values = [1, 2, -1, 8, 16, 32, 64, 255, i16::MAX, i16::MIN];
            changed.extend(values.map(|off| (format!("off {off}"), Insn { off, ..first })));
        }
        if !uses.imm() {
            let values = [1, 2, -1, 8, 0x50, 0xff, 0x101, 0x1_0000, i32::MAX, i32::MIN];
            changed.extend(values.map(|imm| (format!("imm {imm:#x}"), Insn { imm, ..first })));
        }
        let family = siblings(first.code);
        changed.into_iter().filter(move |(_, insn)| !family.iter().any(|row| accepts(row, *insn))).map(
            move |(what, insn)| {
                let name = format!("reject row {number} opcode {:#04x} {what}", insn.code);
                framed(name, about, &[&[insn], &template[1..]].concat())
            },
        )
    })
}

fn siblings(code: u8) -> Vec<Row> {
    ROWS.into_iter().filter(|row| row.op.encode().first.code == code).collect()
}

/// Whether the fixed fields are those of the row.
fn accepts(row: &Row, insn: Insn) -> bool {
    let template = row.op.encode().first;
    let uses = row.uses;
    (uses.dst() || insn.dst == template.dst)
        && (uses.src() || insn.src == template.src)
        && (uses.off() || insn.off == template.off)
        && (uses.imm() || insn.imm == template.imm)
}

/// Every field of the second slot of a 64-bit immediate load, and the immediate where it carries nothing.
fn second_slots() -> impl Iterator<Item = Case> {
    let wide = ROWS.into_iter().filter(|row| row.op.slots() == 2);
    wide.enumerate().flat_map(|(number, row)| {
        let first = slots(row.op)[0];
        let carries = !matches!(row.op, Op::LoadImm { value: Imm64::MapFd(_) | Imm64::Func(_) | Imm64::MapIdx(_), .. });
        let mut list = vec![
            ("code", Insn { code: 1, ..HALF }),
            ("code of lddw", Insn { code: first.code, ..HALF }),
            ("dst", Insn { dst: 1, ..HALF }),
            ("src", Insn { src: 1, ..HALF }),
            ("off", Insn { off: 1, ..HALF }),
            ("off and imm", Insn { off: -1, imm: 1, ..HALF }),
        ];
        if !carries {
            list.extend([("imm", Insn { imm: 1, ..HALF }), ("negative imm", Insn { imm: -1, ..HALF })]);
        }
        list.into_iter().map(move |(what, second)| {
            framed(format!("reject second slot {number} {what}"), (row.group, row.cpu), &[first, second])
        })
    })
}

/// All of the 256 opcodes that are in no row, with operands that would suit most instructions.
fn opcodes() -> impl Iterator<Item = Case> {
    (0..=u8::MAX).filter(|&code| siblings(code).is_empty()).flat_map(|code| {
        let shapes = [Insn { code, ..HALF }, Insn { code, imm: 1, ..HALF }, Insn { code, src: 1, ..HALF }];
        shapes.into_iter().zip(0..).map(move |(insn, shape)| {
            framed(format!("reject opcode {code:#04x} shape {shape}"), (Group::Linux, Cpu::V4), &[insn])
        })
    })
}

/// Registers 11 to 15 in every register field of every row.
fn registers() -> impl Iterator<Item = Case> {
    ROWS.into_iter().enumerate().flat_map(|(number, row)| {
        (11..16).flat_map(move |register| {
            let template = slots(row.op);
            let mut list = Vec::new();
            if row.uses.dst() {
                list.push(("dst", Insn { dst: register, ..template[0] }));
            }
            if row.uses.src() {
                list.push(("src", Insn { src: register, ..template[0] }));
            }
            list.into_iter().map(move |(field, insn)| {
                let name = format!("reject register {register} as {field} of row {number}");
                framed(name, (row.group, row.cpu), &[&[insn], &template[1..]].concat())
            })
        })
    })
}

/// Jumps and calls to where no instruction starts, missing ends, halves of instructions.
fn control_flow() -> impl Iterator<Item = Case> {
    let wide = slots(set(R1, 7));
    let about = |op: Op| (group(op), super::asm::cpu(&slots(op)));
    let mut list = vec![
        case("reject empty program".to_owned(), about(Op::Exit), Vec::new()),
        case("reject half an lddw".to_owned(), about(set(R1, 7)), vec![wide[0]]),
        case("reject half an lddw at the end".to_owned(), about(set(R1, 7)), vec![ZERO, wide[0]]),
        case("reject half an lddw and exit".to_owned(), about(set(R1, 7)), vec![ZERO, wide[0], EXIT]),
        case("reject lone second slot".to_owned(), about(set(R1, 7)), vec![ZERO, wide[1], EXIT]),
    ];
    let ends = [
        Op::mov_imm(R0, 0),
        set(R0, 0),
        jump_if(W64, skep_isa::ebpf::JmpOp::Eq, R0, Src::Imm(0)),
        Op::Call(Callee::Helper(5)),
        Op::MayGoto { off: -1 },
        load(Size::B, R0, R1, 0),
    ];
    for (op, number) in ends.into_iter().zip(0..) {
        let insns = [&[ZERO][..], &slots(op)].concat();
        list.push(case(format!("reject falling off the end {number}"), about(op), insns));
    }
    let jumps = [
        GOTO,
        GOTO_LONG,
        jump_if(W64, skep_isa::ebpf::JmpOp::Eq, R0, Src::Imm(1)),
        jump_if(Width::W32, skep_isa::ebpf::JmpOp::SLt, R0, Src::Reg(R0)),
        Op::MayGoto { off: 0 },
        Op::Call(Callee::Local(0)),
        Op::LoadImm { dst: R1, value: Imm64::Func(0) },
    ];
    // Slots: 0 move, 1-2 immediate load, 3 the jump (and 4 if it has two), then move, immediate load, move, exit.
    for (op, kind) in jumps.into_iter().zip(0..) {
        let template = slots(op);
        let after = template.len() as i32 - 1;
        let long = !matches!(op, Op::Goto { .. } | Op::JumpIf { .. } | Op::MayGoto { .. });
        let far: &[i32] = if long { &[100_000, -100_000, i32::MAX, i32::MIN] } else { &[] };
        let distances = [5, 6, 32_767, -5, -6, -32_768, -2, 2].map(|it| if it > 0 { it + after } else { it });
        for &distance in distances.iter().chain(far) {
            let jump =
                if long { Insn { imm: distance, ..template[0] } } else { Insn { off: distance as i16, ..template[0] } };
            let insns = [&[ZERO], &wide[..], &[jump], &template[1..], &[ZERO], &wide[..], &[ZERO, EXIT]].concat();
            list.push(case(format!("reject target {distance} of jump {kind}"), about(op), insns));
        }
    }
    list.into_iter()
}

/// What is well formed, but names what cannot be written or does not exist.
pub(super) fn loader() -> Cases {
    let mut writes = unary(R10, R10);
    writes.extend(unary(R10, R1));
    for (width, op) in super::asm::binary() {
        writes.extend([alu(width, op, R10, R1), alui(width, op, R10, 8)]);
    }
    for &size in Size::ALL {
        writes.extend([false, true].map(|signed| Op::Load { size, signed, dst: R10, base: R1, off: 0 }));
        writes.push(Op::LoadAcquire { size, dst: R10, base: R1, off: 0 });
    }
    writes.retain(|op| op.encode().first.row().is_ok());
    writes.push(set(R10, 0));
    for width in super::asm::WIDTHS {
        let fetching = skep_isa::ebpf::AtomicOp::ALL.iter().filter(|op| **op != skep_isa::ebpf::AtomicOp::CmpXchg);
        writes.extend(fetching.map(|&op| Op::Atomic { width, op, fetch: true, base: R1, off: 0, src: R10 }));
    }
    let missing = [0x7fff_ffff, -1, i32::MIN, 0, 100_000].map(|id| Op::Call(Callee::Helper(id)));
    let maps = [
        Imm64::MapFd(12_345),
        Imm64::MapFd(-1),
        Imm64::MapFdValue { fd: 12_345, offset: 0 },
        Imm64::MapIdx(12_345),
        Imm64::MapIdxValue { idx: 12_345, offset: 0 },
    ];
    let maps = maps.map(|value| Op::LoadImm { dst: R2, value });
    let kernel = [
        Op::Call(Callee::Kfunc { id: i32::MAX, module: 0 }),
        Op::LoadImm { dst: R2, value: Imm64::BtfVar { id: i32::MAX, fd: 0 } },
    ];
    let all = writes.into_iter().chain(missing).chain(maps).chain(kernel);
    Box::new(all.enumerate().map(|(number, op)| {
        let about = (group(op), super::asm::cpu(&slots(op)));
        framed(format!("reject-loader {number} {op:?}"), about, &slots(op))
    }))
}

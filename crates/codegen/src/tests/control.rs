//! Branches, selections, switches, loops.

use skep_ir::{Binary, Cond, Edge, InstData, Type, Unary};
use skep_isa::ebpf::Cpu;

use super::{PTR, check, text_of};

const I32: Type = Type::I32;
const I64: Type = Type::I64;

/// `if left COND right return 1 else return 2`
#[track_caller]
fn branch(cpu: Cpu, ty: Type, cond: Cond, right: Option<i64>) -> String {
    text_of(cpu, &[ty, ty], I64, |b, v| {
        let (yes, no) = (b.block(&[]), b.block(&[]));
        let right = match right {
            Some(number) => {
                let inst = b.inst(InstData::Const(number), &[ty]);
                b.function[inst].results[0]
            }
            None => v[1],
        };
        b.branch(cond, v[0], right, yes, no);
        for (block, number) in [(yes, 1), (no, 2)] {
            b.switch_to(block);
            let number = b.i64(number);
            b.ret(Some(number));
        }
    })
}

#[test]
fn comparisons_by_version() {
    check(&branch(Cpu::V3, I32, Cond::Ult, None), "r0 = 1; if w1 < w2 goto +1; r0 = 2; exit");
    check(&branch(Cpu::V3, I32, Cond::Ugt, Some(0x8000_0000)), "r0 = 1; if w1 > -2147483648 goto +1; r0 = 2; exit");
    // Without 32-bit jumps zeros in the upper halves make the wide comparison right.
    check(&branch(Cpu::V2, I32, Cond::Ult, None), "r0 = 1; if r1 < r2 goto +1; r0 = 2; exit");
    check(
        &branch(Cpu::V2, I32, Cond::Ugt, Some(0x8000_0000)),
        "w4 = -2147483648; r0 = 1; if r1 > r4 goto +1; r0 = 2; exit",
    );
    check(
        &branch(Cpu::V2, I32, Cond::Slt, Some(-5)),
        "r1 <<= 32; r1 s>>= 32; r0 = 1; if r1 s< -5 goto +1; r0 = 2; exit",
    );
    // Version 1 has no "less".
    check(&branch(Cpu::V1, I64, Cond::Ult, None), "r0 = 1; if r2 > r1 goto +1; r0 = 2; exit");
    check(&branch(Cpu::V1, I64, Cond::Sle, Some(9)), "r0 = 2; if r1 s> 9 goto +1; r0 = 1; exit");
    check(&branch(Cpu::V3, I64, Cond::Eq, Some(0)), "r0 = 1; if r1 == 0 goto +1; r0 = 2; exit");
}

#[test]
fn the_compared_register_is_used() {
    // The bound is checked, lost by a call, and used: the name behind the branch is the one that survives.
    let text = text_of(Cpu::V3, &[PTR, I64], I64, |b, v| {
        let (out, inside) = (b.block(&[]), b.block(&[]));
        let high = b.i64(63);
        let index = b.branch_refining(Cond::Ugt, v[1], high, out, inside);
        b.switch_to(out);
        let zero = b.i64(0);
        b.ret(Some(zero));
        b.switch_to(inside);
        b.call_void(skep_ir::Callee::Helper(5), &[]);
        let place = b.ptr_add(v[0], index);
        let byte = b.load_as(I64, skep_ir::Width::W8, false, place, 0);
        b.ret(Some(byte));
    });
    check(&text, "r7 = r1; r0 = 0; if r2 > 63 goto +4; r9 = r2; call 5; r7 += r9; r0 = *(u8 *)(r7 +0); exit");
}

#[test]
fn comparisons_fuse_with_branches() {
    let text = text_of(Cpu::V3, &[I64, I64], I64, |b, v| {
        let (yes, no) = (b.block(&[]), b.block(&[]));
        let less = b.compare(Cond::Slt, v[0], v[1]);
        let narrow = b.unary(Unary::Truncate, less);
        let zero = b.i32(0);
        b.branch(Cond::Eq, narrow, zero, yes, no);
        for (block, value) in [(yes, v[0]), (no, v[1])] {
            b.switch_to(block);
            b.ret(Some(value));
        }
    });
    check(&text, "if r1 s< r2 goto +2; r0 = r1; exit; r0 = r2; exit");
}

#[test]
fn choices_are_branches() {
    let text = text_of(Cpu::V3, &[I64, I64], I64, |b, v| {
        let least = b.select(Cond::Ult, v[0], v[1], v[0], v[1]);
        b.ret(Some(least));
    });
    check(&text, "if r1 < r2 goto +2; r0 = r2; exit; r0 = r1; exit");
    let text = text_of(Cpu::V3, &[I64], I64, |b, v| {
        let seven = b.i64(7);
        let same = b.compare(Cond::Eq, v[0], seven);
        b.ret(Some(same));
    });
    check(&text, "r0 = 1; if r1 == 7 goto +1; r0 = 0; exit");
}

fn switch(cases: &[i64]) -> String {
    text_of(Cpu::V3, &[I64], I64, |b, v| {
        let blocks: Vec<_> = cases.iter().map(|_| b.block(&[])).collect();
        let other = b.block(&[]);
        let cases = cases.iter().zip(&blocks).map(|(&case, &block)| (case, Edge::to(block))).collect();
        b.inst(InstData::Switch { value: v[0], cases, default: Edge::to(other) }, &[]);
        for (block, number) in blocks.into_iter().chain([other]).zip(0..) {
            b.switch_to(block);
            let number = b.i64(number);
            b.ret(Some(number));
        }
    })
}

#[test]
fn few_cases_are_a_chain() {
    check(&switch(&[3, 1]), "r0 = 1; if r1 == 1 goto +3; r0 = 0; if r1 == 3 goto +1; r0 = 2; exit");
}

#[test]
fn many_cases_are_a_tree() {
    let text = switch(&[10, 20, 30, 40, 50, 60, 70, 80]);
    assert_eq!(text.lines().next(), Some("if r1 >= 50 goto +9"), "{text}");
    assert_eq!(text.matches("= ").count(), 8 + 1 + 9, "{text}");
}

#[test]
fn loops() {
    // for (sum = i = 0; i < n; i++) sum += i
    let text = text_of(Cpu::V3, &[I64], I64, |b, v| {
        let (head, body, exit) = (b.block(&[I64, I64]), b.block(&[]), b.block(&[]));
        let zero = b.i64(0);
        b.jump(head, &[zero, zero]);
        b.switch_to(head);
        let (sum, index) = (b.param(head, 0), b.param(head, 1));
        b.branch(Cond::Ult, index, v[0], body, exit);
        b.switch_to(body);
        let (next_sum, next) = (b.binary(Binary::Add, sum, index), b.binary_const(Binary::Add, index, 1));
        b.jump(head, &[next_sum, next]);
        b.switch_to(exit);
        b.ret(Some(sum));
    });
    check(&text, "r0 = 0; r2 = 0; if r2 < r1 goto +1; exit; r0 += r2; r2 += 1; goto -5");
}

/// Two ways behind a comparison that put numbers on the stack and call a helper with them.
fn two_calls(numbers: [i64; 2], helpers: [u32; 2]) -> String {
    text_of(Cpu::V3, &[I64], I64, |b, v| {
        let slot = b.function.add_slot("key", 8, 8);
        let blocks = [b.block(&[]), b.block(&[])];
        let nine = b.i64(9);
        b.branch(Cond::Ult, v[0], nine, blocks[0], blocks[1]);
        for ((block, number), helper) in blocks.into_iter().zip(numbers).zip(helpers) {
            b.switch_to(block);
            let (key, number) = (b.slot_addr(slot), b.i64(number));
            b.store(skep_ir::Width::W64, key, 0, number);
            b.call_void(skep_ir::Callee::Helper(helper), &[key]);
            let zero = b.i64(0);
            b.ret(Some(zero));
        }
    })
}

#[test]
fn ways_share_what_they_have_in_common() {
    check(
        &two_calls([1, 2], [5, 5]),
        "if r1 < 9 goto +2; *(u64 *)(r10 -8) = 2; goto +1; *(u64 *)(r10 -8) = 1; r1 = r10; r1 += -8; call 5; r0 = 0; exit",
    );
    // What makes the argument stands in both, but in front of it there is what is compared.
    check(
        &two_calls([3, 3], [5, 6]),
        "*(u64 *)(r10 -8) = 3; if r1 < 9 goto +4; r1 = r10; r1 += -8; call 6; goto +3; r1 = r10; r1 += -8; call 5; r0 = 0; \
         exit",
    );
}

#[test]
fn what_ways_access_by_pointers_of_their_own_is_not_shared() {
    let text = text_of(Cpu::V3, &[PTR, I64], I64, |b, v| {
        let blocks = [b.block(&[]), b.block(&[])];
        let nine = b.i64(9);
        b.branch(Cond::Ult, v[1], nine, blocks[0], blocks[1]);
        for (block, step) in blocks.into_iter().zip([8, 16]) {
            b.switch_to(block);
            let place = b.ptr_add_const(v[0], step);
            let byte = b.load_as(I64, skep_ir::Width::W8, false, place, 0);
            b.ret(Some(byte));
        }
    });
    check(&text, "if r2 < 9 goto +2; r0 = *(u8 *)(r1 +16); exit; r0 = *(u8 *)(r1 +8); exit");
}

#[test]
fn may_goto_leaves_a_loop() {
    let text = text_of(Cpu::V4, &[], I64, |b, _| {
        let (head, done) = (b.block(&[]), b.block(&[]));
        b.jump(head, &[]);
        b.switch_to(head);
        b.inst(InstData::MayGoto { next: Edge::to(head), done: Edge::to(done) }, &[]);
        b.switch_to(done);
        let zero = b.i64(0);
        b.ret(Some(zero));
    });
    check(&text, "may_goto +1; goto -2; r0 = 0; exit");
}

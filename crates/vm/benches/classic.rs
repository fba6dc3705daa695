//! Speed of the interpreters on the filters that people write.
//!
//! Every filter runs on a mix of packets that leave it at different places. The throughput column counts
//! instructions of the classic program, whatever the interpreter fused them into.

use std::cell::Cell;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use skep_isa::classic::{AluOp, Insn, JmpOp, Size};
use skep_isa::translate::{Options, translate};
use skep_vm::classic::{Metadata, Program};
use skep_vm::ebpf::SocketFilter;

fn main() {
    divan::main();
}

/// `ip and tcp`
fn ip_and_tcp() -> Vec<Insn> {
    vec![
        Insn::ld_abs(Size::Half, 12),
        Insn::jump_k(JmpOp::Eq, 0x0800, 0, 3),
        Insn::ld_abs(Size::Byte, 23),
        Insn::jump_k(JmpOp::Eq, 6, 0, 1),
        Insn::ret_k(262_144),
        Insn::ret_k(0),
    ]
}

/// `ip and udp port 53`
fn udp_port_53() -> Vec<Insn> {
    vec![
        Insn::ld_abs(Size::Half, 12),
        Insn::jump_k(JmpOp::Eq, 0x0800, 0, 10),
        Insn::ld_abs(Size::Byte, 23),
        Insn::jump_k(JmpOp::Eq, 17, 0, 8),
        Insn::ld_abs(Size::Half, 20),
        Insn::jump_k(JmpOp::Set, 0x1fff, 6, 0),
        Insn::ldx_msh(14),
        Insn::ld_ind(Size::Half, 14),
        Insn::jump_k(JmpOp::Eq, 53, 2, 0),
        Insn::ld_ind(Size::Half, 16),
        Insn::jump_k(JmpOp::Eq, 53, 0, 1),
        Insn::ret_k(262_144),
        Insn::ret_k(0),
    ]
}

/// `ip host` with 50 addresses as libpcap writes it: a list for the source and one for the destination.
fn hosts_list() -> Vec<Insn> {
    let mut insns = vec![Insn::ld_abs(Size::Half, 12), Insn::jump_k(JmpOp::Eq, 0x0800, 0, 102)];
    for (list, offset) in [26, 30].into_iter().enumerate() {
        insns.push(Insn::ld_abs(Size::Word, offset));
        for host in 0..50u8 {
            let accept = if list == 0 { 101 - host } else { 50 - host };
            insns.push(Insn::jump_k(JmpOp::Eq, 0x0a01_0000 + u32::from(host), accept, 0));
        }
    }
    insns.extend([Insn::ret_k(0), Insn::ret_k(262_144)]);
    insns
}

/// Arithmetic: a hash of the two addresses in scratch memory, modulo 7.
fn arithmetic() -> Vec<Insn> {
    vec![
        Insn::ld_abs(Size::Word, 26),
        Insn::st(0),
        Insn::ld_abs(Size::Word, 30),
        Insn::ldx_mem(0),
        Insn::alu_x(AluOp::Xor),
        Insn::alu_k(AluOp::Mul, 0x9e37_79b1),
        Insn::tax(),
        Insn::alu_k(AluOp::Rsh, 16),
        Insn::alu_x(AluOp::Xor),
        Insn::alu_k(AluOp::Mod, 7),
        Insn::jump_k(JmpOp::Eq, 3, 0, 1),
        Insn::ret_k(262_144),
        Insn::ret_k(0),
    ]
}

/// Packets of 90 bytes: ARP, ICMP, TCP and UDP with different addresses and ports.
fn packets() -> Vec<Vec<u8>> {
    (0..64u8)
        .map(|n| {
            let mut packet = vec![n; 90];
            let ether_type: u16 = if n % 8 == 0 { 0x0806 } else { 0x0800 };
            packet[12..14].copy_from_slice(&ether_type.to_be_bytes());
            packet[14] = 0x45;
            packet[20..22].fill(0);
            packet[23] = [6, 17, 17, 1][usize::from(n % 4)];
            packet[26..30].copy_from_slice(&[10, 1, 0, 40 + n]);
            packet[34..38].copy_from_slice(&[0, 53 + n % 3, 0, 80]);
            packet
        })
        .collect()
}

/// Instructions that a plain walk over the program executes: the unit of the throughput column.
fn executed(insns: &[Insn], packet: &[u8]) -> usize {
    // Shortening the program to the first `n` steps is not possible from outside, so the walk is repeated here for
    // the few forms that the programs above use.
    use skep_isa::classic::Op;
    let (mut a, mut x, mut m, mut pc, mut steps) = (0u32, 0u32, 0u32, 0usize, 0usize);
    let load = |size: Size, at: u32| {
        packet[at as usize..][..size.bytes() as usize].iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte))
    };
    loop {
        steps += 1;
        let op = insns[pc].decode().expect("the benchmark's programs are valid");
        pc += 1;
        match op {
            Op::LdAbs(size, k) => a = load(size, k),
            Op::LdInd(size, k) => a = load(size, k + x),
            Op::LdxMsh(k) => x = (load(Size::Byte, k) & 0xf) * 4,
            Op::St(_) => m = a,
            Op::LdxMem(_) => x = m,
            Op::Tax => x = a,
            Op::AluK(op, k) => a = op.eval(a, k).expect("no division by zero"),
            Op::AluX(op) => a = op.eval(a, x).expect("no division by zero"),
            Op::JumpK { op, k, jt, jf } => pc += usize::from(if op.eval(a, k) { jt } else { jf }),
            _ => return steps,
        }
    }
}

fn bench(bencher: Bencher<'_, '_>, insns: &[Insn]) {
    let program = Program::new(insns).expect("the benchmark's programs are valid");
    let packets = packets();
    let meta = Metadata::default();
    let steps: usize = packets.iter().map(|packet| executed(insns, packet)).sum();
    let kept = Cell::new(0u64);
    bencher.counter(ItemsCount::new(steps)).bench_local(|| {
        for packet in &packets {
            let verdict = program.run(black_box(packet), 90, &meta);
            kept.set(kept.get() + u64::from(verdict != 0));
        }
    });
    assert!(kept.get() > 0, "no packet passed the filter");
}

#[divan::bench]
fn ip_tcp(bencher: Bencher<'_, '_>) {
    bench(bencher, &ip_and_tcp());
}

#[divan::bench]
fn udp_port(bencher: Bencher<'_, '_>) {
    bench(bencher, &udp_port_53());
}

#[divan::bench]
fn fifty_hosts(bencher: Bencher<'_, '_>) {
    bench(bencher, &hosts_list());
}

#[divan::bench]
fn hash(bencher: Bencher<'_, '_>) {
    bench(bencher, &arithmetic());
}

/// The same filter as 64-bit instructions; counted in classic instructions all the same.
#[divan::bench]
fn udp_port_translated(bencher: Bencher<'_, '_>) {
    let insns = udp_port_53();
    let translated = translate(&insns, &Options::default()).expect("the benchmark's programs translate");
    let mut filter = SocketFilter::new(&translated.insns).expect("translations load");
    let packets = packets();
    let meta = Metadata::default();
    let steps: usize = packets.iter().map(|packet| executed(&insns, packet)).sum();
    bencher.counter(ItemsCount::new(steps)).bench_local(|| {
        let verdicts = packets.iter().map(|packet| filter.run(black_box(packet), 90, &meta));
        verdicts.filter(|verdict| verdict.is_ok_and(|kept| kept != 0)).count()
    });
}

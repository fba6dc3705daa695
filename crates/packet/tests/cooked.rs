//! Filters rewritten for packets without pseudo header say the same as before, for random filters and packets.

use skep_isa::classic::{ANCILLARY, AluOp, Insn, JmpOp, SKF_AD_OFF, Size, check_structure};
use skep_packet::ring::{SLL2_LEN, rewrite_for_cooked};
use skep_random::random_test;
use skep_random::{Result, Unstructured};
use skep_vm::classic::{Metadata, Program};

const SIZES: [Size; 3] = [Size::Word, Size::Half, Size::Byte];
const FIELDS: [(Size, u32); 5] = [(Size::Half, 0), (Size::Half, 2), (Size::Word, 4), (Size::Half, 8), (Size::Byte, 10)];
const JUMPS: [JmpOp; 4] = [JmpOp::Eq, JmpOp::Gt, JmpOp::Ge, JmpOp::Set];

/// A random instruction that a compiler could emit. `left` instructions follow.
fn any_insn(u: &mut Unstructured<'_>, left: u8) -> Result<Insn> {
    let distance = |u: &mut Unstructured<'_>| u.int_in_range(0..=left.saturating_sub(1).min(20));
    let payload = SLL2_LEN as u32..=60;
    Ok(match u.int_in_range(0..=15)? {
        0..=1 => {
            let (size, k) = *u.choose(&FIELDS)?;
            Insn::ld_abs(size, k)
        }
        2..=3 => Insn::ld_abs(*u.choose(&SIZES)?, u.int_in_range(payload)?),
        4 => Insn::ld_ind(*u.choose(&SIZES)?, u.int_in_range(payload)?),
        5 => Insn::ldx_msh(u.int_in_range(payload)?),
        6 => Insn::ld_len(),
        7 => Insn::ld_imm(u.int_in_range(0..=300)?),
        8 => Insn::ldx_imm(u.int_in_range(0..=40)?),
        // Netlink attributes are searched for in the packet's bytes; such filters are not rewritten.
        9 => match u.choose(&ANCILLARY)?.offset {
            12 | 16 => Insn::ld_len(),
            offset => Insn::ld_abs(Size::Word, SKF_AD_OFF + offset),
        },
        10 => Insn::alu_k(*u.choose(&[AluOp::Add, AluOp::And, AluOp::Sub])?, u.int_in_range(1..=255)?),
        11 => Insn::st(u.int_in_range(0..=3)?),
        12 => Insn::ld_mem(u.int_in_range(0..=3)?),
        13..=14 if left > 1 => {
            let k = *u.choose(&[0, 1, 4, 6, 17, 0x800, 0x86dd, 772])?;
            Insn::jump_k(*u.choose(&JUMPS)?, k, distance(u)?, distance(u)?)
        }
        _ if left > 1 && u.ratio(1, 3)? => Insn::ja(distance(u)?.into()),
        _ => Insn::alu_x(*u.choose(&[AluOp::Add, AluOp::Xor])?),
    })
}

#[test]
fn rewritten_filters_agree() {
    let (mut runs, mut nonzero) = (0u32, 0u32);
    random_test(|u| {
        let len: u8 = u.int_in_range(1..=40)?;
        let mut insns = (0..len).rev().map(|left| any_insn(u, left + 1)).collect::<Result<Vec<_>>>()?;
        insns.push(if u.arbitrary()? { Insn::ret_a() } else { Insn::ret_k(7) });
        assert_eq!(check_structure(&insns), Ok(()));
        let Some(rewritten) = rewrite_for_cooked(&insns) else { panic!("cannot be rewritten: {insns:?}") };
        let (before, after) = (Program::new(&insns).unwrap(), Program::new(&rewritten).unwrap());
        for _ in 0..4 {
            let meta = Metadata {
                protocol: *u.choose(&[0x800, 0x86dd, 4])?,
                ifindex: Some(u.int_in_range(1..=6)?),
                packet_type: u.int_in_range(0..=4)?,
                hatype: *u.choose(&[1, 772])?,
                mark: u.arbitrary()?,
                rxhash: u.arbitrary()?,
                vlan_tci: u.arbitrary()?,
                payload_offset: u.int_in_range(0..=100)?,
                ..Metadata::default()
            };
            let with_header = Metadata { payload_offset: meta.payload_offset + SLL2_LEN as u32, ..meta };
            let longest = u.len().min(60);
            let length = u.int_in_range(0..=longest)?;
            // Choosing the length took a byte.
            let payload = u.bytes(length.min(u.len()))?;
            let mut packet = meta.protocol.to_be_bytes().to_vec();
            packet.extend([0, 0]);
            packet.extend(meta.ifindex.unwrap_or(0).to_be_bytes());
            packet.extend(meta.hatype.to_be_bytes());
            packet.extend([meta.packet_type, 6, 1, 2, 3, 4, 5, 6, 0, 0]);
            packet.extend(payload);
            let wire = packet.len() as u32 + u.int_in_range(0..=9)?;
            let expected = before.run(&packet, wire, &with_header);
            assert_eq!(after.run(payload, wire - SLL2_LEN as u32, &meta), expected, "{insns:?} {packet:02x?}");
            runs += 1;
            nonzero += u32::from(expected != 0);
        }
        Ok(())
    })
    .budget_ms(1000);
    assert!(runs > 100 && nonzero > runs / 20 && nonzero < runs, "one-sided test: {nonzero} of {runs}");
}

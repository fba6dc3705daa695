//! Packets without a link header: the pseudo header in front of them, and filters that know it.
//!
//! `LINUX_SLL2` puts 20 bytes of the kernel's facts in front of the network packet (the format that libpcap
//! documents under that name; all numbers are big-endian):
//!
//! ```text
//!  0 protocol   2 reserved, 0   4 interface   8 hardware type   10 packet type   11 address length   12..20 address
//! ```
//!
//! A filter is compiled for these bytes, but the kernel runs it on the packet without them.

use skep_isa::classic::{AluOp, Insn, Op, SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF, Size, ancillary_by_name};

/// Bytes in the pseudo header.
pub const SLL2_LEN: usize = 20;
const LEN: u32 = SLL2_LEN as u32;

/// The pseudo header for the facts in a packet's socket address.
pub(super) fn sll2_header(address: &libc::sockaddr_ll) -> [u8; SLL2_LEN] {
    let mut header = [0; SLL2_LEN];
    // The protocol is kept in network byte order by the kernel too.
    header[0..2].copy_from_slice(&address.sll_protocol.to_ne_bytes());
    header[4..8].copy_from_slice(&address.sll_ifindex.to_be_bytes());
    header[8..10].copy_from_slice(&address.sll_hatype.to_be_bytes());
    header[10] = address.sll_pkttype;
    header[11] = address.sll_halen;
    header[12..20].copy_from_slice(&address.sll_addr);
    header
}

// TABLE
/// Fields of the pseudo header and the ancillary word that holds the same number.
const FIELDS: [(Size, u32, &str); 4] =
    [(Size::Half, 0, "proto"), (Size::Word, 4, "ifidx"), (Size::Half, 8, "hatype"), (Size::Byte, 10, "type")];

/// Ancillary word with the offset of the transport payload, counted from the start of the packet.
const PAYLOAD_OFFSET: u32 = SKF_AD_OFF + 52;
/// Ancillary words that look for netlink attributes at the offset in A.
const NETLINK_ATTRIBUTE: u32 = SKF_AD_OFF + 12;
/// The nested variant.
const NESTED_ATTRIBUTE: u32 = SKF_AD_OFF + 16;

/// Rewrites a filter for `LINUX_SLL2` into one that says the same about the packet without the pseudo header, which
/// is what the kernel shows to filters of cooked captures.
///
/// Offsets into the payload lose 20; whole fields of the header become ancillary words; `ld #pktlen` and the
/// payload offset gain 20.
/// `None`: the filter reads other header bytes or netlink attributes, or a jump becomes too long; filter in user space then. Offsets that
/// are computed so large that they wrap around at 2^32 are rejected by both programs, except by those that aim at
/// the header that way.
///
/// ```
/// use skep_isa::classic::{Insn, JmpOp, Size};
/// use skep_packet::ring::rewrite_for_cooked;
///
/// let ip = [Insn::ld_abs(Size::Half, 0), Insn::jump_k(JmpOp::Eq, 0x800, 0, 1), Insn::ret_k(1), Insn::ret_k(0)];
/// let rewritten = rewrite_for_cooked(&ip).ok_or("cannot be rewritten")?;
/// assert_eq!(rewritten[0], Insn::ld_abs(Size::Half, skep_isa::classic::SKF_AD_OFF));
/// assert!(rewrite_for_cooked(&[Insn::ld_abs(Size::Byte, 12), Insn::ret_a()]).is_none());
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn rewrite_for_cooked(insns: &[Insn]) -> Option<Vec<Insn>> {
    let rewritten: Vec<Rewritten> = insns.iter().map(rewrite).collect::<Option<_>>()?;
    // New position of every instruction, and of the end.
    let mut positions: Vec<usize> = Vec::with_capacity(insns.len() + 1);
    let mut end = 0;
    for one in &rewritten {
        positions.push(end);
        end += one.len();
    }
    positions.push(end);
    let mut result = Vec::with_capacity(end);
    for (at, one) in rewritten.iter().enumerate() {
        match *one {
            Rewritten::One(op) => result.push(with_distances(op, at, &positions)?.encode()),
            Rewritten::Two(first, second) => result.extend([first.encode(), second.encode()]),
        }
    }
    Some(result)
}

/// What becomes of one instruction.
enum Rewritten {
    One(Op),
    /// Never jumps.
    Two(Op, Op),
}

impl Rewritten {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Two(..) => 2,
        }
    }
}

fn rewrite(insn: &Insn) -> Option<Rewritten> {
    let op = insn.decode()?;
    let one = match op {
        // Both count from the start of the packet.
        Op::LdLen => return Some(Rewritten::Two(op, Op::AluK(AluOp::Add, LEN))),
        Op::LdAbs(_, PAYLOAD_OFFSET) => return Some(Rewritten::Two(op, Op::AluK(AluOp::Add, LEN))),
        Op::LdAbs(_, NETLINK_ATTRIBUTE | NESTED_ATTRIBUTE) => return None,
        Op::LdAbs(size, k) => rewrite_absolute(size, k)?,
        // Offsets from the middle of the 32-bit range on are negative ones, relative to other headers.
        Op::LdInd(size, k @ LEN..0x8000_0000) => Op::LdInd(size, k - LEN),
        Op::LdxMsh(k @ LEN..0x8000_0000) => Op::LdxMsh(k - LEN),
        // There is no way to add to X without losing A.
        Op::LdInd(..) | Op::LdxMsh(_) | Op::LdxLen => return None,
        other => other,
    };
    Some(Rewritten::One(one))
}

fn rewrite_absolute(size: Size, k: u32) -> Option<Op> {
    match (size, k) {
        // Ancillary words and offsets from the network header mean the same in both; there is no link header.
        (_, SKF_NET_OFF..) => Some(Op::LdAbs(size, k)),
        (_, SKF_LL_OFF..) => None,
        (_, LEN..) => Some(Op::LdAbs(size, k - LEN)),
        (Size::Half, 2) => Some(Op::LdImm(0)),
        _ => {
            let field = FIELDS.iter().find(|field| (field.0, field.1) == (size, k))?;
            Some(Op::LdAbs(size, ancillary_by_name(field.2)?.k()))
        }
    }
}

/// The same operation, with the jump distances that the new positions demand.
fn with_distances(op: Op, at: usize, positions: &[usize]) -> Option<Op> {
    let here = *positions.get(at)?;
    let distance = |old: u32| -> Option<u32> {
        let target = at.checked_add(1)?.checked_add(usize::try_from(old).ok()?)?;
        u32::try_from(positions.get(target)?.checked_sub(here + 1)?).ok()
    };
    let short = |old: u8| u8::try_from(distance(old.into())?).ok();
    Some(match op {
        Op::Ja(k) => Op::Ja(distance(k)?),
        Op::JumpK { op, k, jt, jf } => Op::JumpK { op, k, jt: short(jt)?, jf: short(jf)? },
        Op::JumpX { op, jt, jf } => Op::JumpX { op, jt: short(jt)?, jf: short(jf)? },
        other => other,
    })
}

// The first ancillary word must lie in the range that is left alone above.
const _: () = assert!(SKF_AD_OFF > SKF_NET_OFF && SKF_NET_OFF > SKF_LL_OFF);

#[cfg(test)]
mod tests {
    use super::*;
    use skep_isa::classic::JmpOp;

    #[test]
    fn header_layout() {
        let address = libc::sockaddr_ll {
            sll_family: 17,
            sll_protocol: 0x86ddu16.to_be(),
            sll_ifindex: 0x0102_0304,
            sll_hatype: 772,
            sll_pkttype: 4,
            sll_halen: 6,
            sll_addr: [1, 2, 3, 4, 5, 6, 0, 0],
        };
        let expected = [0x86, 0xdd, 0, 0, 1, 2, 3, 4, 3, 4, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0];
        assert_eq!(sll2_header(&address), expected);
    }

    #[test]
    fn payload_moves_and_fields_become_words() {
        let insns = [
            Insn::ld_abs(Size::Half, 0),
            Insn::ld_abs(Size::Half, 2),
            Insn::ld_abs(Size::Word, 4),
            Insn::ld_abs(Size::Half, 8),
            Insn::ld_abs(Size::Byte, 10),
            Insn::ld_abs(Size::Byte, 29),
            Insn::ldx_msh(20),
            Insn::ld_ind(Size::Half, 22),
            Insn::ld_abs(Size::Word, SKF_AD_OFF + 20),
            Insn::ret_a(),
        ];
        let expected = [
            Insn::ld_abs(Size::Half, SKF_AD_OFF),
            Insn::ld_imm(0),
            Insn::ld_abs(Size::Word, SKF_AD_OFF + 8),
            Insn::ld_abs(Size::Half, SKF_AD_OFF + 28),
            Insn::ld_abs(Size::Byte, SKF_AD_OFF + 4),
            Insn::ld_abs(Size::Byte, 9),
            Insn::ldx_msh(0),
            Insn::ld_ind(Size::Half, 2),
            Insn::ld_abs(Size::Word, SKF_AD_OFF + 20),
            Insn::ret_a(),
        ];
        assert_eq!(rewrite_for_cooked(&insns).as_deref(), Some(&expected[..]));
    }

    #[test]
    fn other_header_bytes_stay_in_user_space() {
        for insn in [
            Insn::ld_abs(Size::Byte, 0),
            Insn::ld_abs(Size::Word, 0),
            Insn::ld_abs(Size::Word, 18),
            Insn::ld_abs(Size::Byte, 19),
            Insn::ld_ind(Size::Byte, 19),
            Insn::ld_ind(Size::Byte, u32::MAX),
            Insn::ldx_msh(12),
            Insn::ldx_len(),
            Insn::ld_abs(Size::Byte, SKF_LL_OFF),
            Insn::ld_abs(Size::Word, NETLINK_ATTRIBUTE),
            Insn::ld_abs(Size::Word, NESTED_ATTRIBUTE),
            Insn { code: 0x0e, ..Insn::default() },
        ] {
            assert_eq!(rewrite_for_cooked(&[insn, Insn::ret_a()]), None, "{insn:?}");
        }
    }

    #[test]
    fn jumps_reach_over_inserted_instructions() {
        let insns = [Insn::jump_k(JmpOp::Eq, 1, 1, 2), Insn::ld_len(), Insn::ja(1), Insn::ld_len(), Insn::ret_a()];
        let rewritten = rewrite_for_cooked(&insns).unwrap();
        let add = Insn::alu_k(AluOp::Add, 20);
        assert_eq!(
            rewritten,
            [Insn::jump_k(JmpOp::Eq, 1, 2, 3), Insn::ld_len(), add, Insn::ja(2), Insn::ld_len(), add, Insn::ret_a()]
        );
        let mut far = vec![Insn::jump_k(JmpOp::Eq, 1, 255, 0)];
        far.extend([Insn::ld_len(); 256]);
        far.push(Insn::ret_a());
        assert_eq!(rewrite_for_cooked(&far), None, "the jump does not reach");
        assert_eq!(rewrite_for_cooked(&[Insn::ja(7), Insn::ret_a()]), None, "the jump leaves the program");
    }
}

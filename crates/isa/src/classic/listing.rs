//! Printing of classic programs: tcpdump's `-d`, `-dd` and `-ddd`, the string of iptables' xt_bpf, raw bytes.
//!
//! The formats are tcpdump's to the byte. Reading them back is in [`super::parse`].

use std::fmt::Write;

use super::{Insn, Operand, ancillary};

/// The release of libpcap whose white space the `-d` listing follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PadStyle {
    /// libpcap 1.10 and before: mnemonics without operand are padded with blanks to eight columns and one more.
    V1_10,
    /// libpcap 1.11: no blanks at the end of a line.
    V1_11,
}

/// The program as `tcpdump -d` prints it, one line per instruction.
pub fn listing(insns: &[Insn], style: PadStyle) -> String {
    let mut out = String::with_capacity(insns.len() * 48);
    for (index, insn) in insns.iter().enumerate() {
        out.push_str(&line(insn, index, style));
        out.push('\n');
    }
    out
}

/// One line of [`listing`] without its newline: the instruction at `index`.
pub fn line(insn: &Insn, index: usize, style: PadStyle) -> String {
    let next = index as i64 + 1;
    let (mnemonic, operand) = match insn.form() {
        Some(form) => (form.mnemonic, operand_text(form.operand, insn.k, next)),
        None => ("unimp", format!("0x{:x}", insn.code)),
    };
    if insn.is_conditional() {
        let (yes, no) = (next + i64::from(insn.jt), next + i64::from(insn.jf));
        return format!("({index:03}) {mnemonic:<8} {operand:<16} jt {yes}\tjf {no}");
    }
    if operand.is_empty() && style == PadStyle::V1_11 {
        return format!("({index:03}) {mnemonic}");
    }
    format!("({index:03}) {mnemonic:<8} {operand}")
}

/// The operand alone, for example `#0x800`, `[12]` or `x`; `next` is the index of the following instruction.
fn operand_text(operand: Operand, k: u32, next: i64) -> String {
    // tcpdump prints decimal operands with "%d", so large ones come out negative.
    let signed = k as i32;
    match operand {
        Operand::None => String::new(),
        Operand::Hex => format!("#0x{k:x}"),
        Operand::Dec => format!("#{signed}"),
        Operand::Abs => match ancillary(k) {
            Some(word) => format!("[{}]", word.name),
            None => format!("[{signed}]"),
        },
        Operand::Ind => format!("[x + {signed}]"),
        Operand::Mem => format!("M[{signed}]"),
        Operand::Msh => format!("4*([{signed}]&0xf)"),
        Operand::Len => "#pktlen".to_owned(),
        Operand::X => "x".to_owned(),
        Operand::Target => format!("{}", (next as i32).wrapping_add(signed)),
    }
}

/// The program as `tcpdump -dd` prints it: the initialisers of an array of `struct sock_filter`.
pub fn c_array(insns: &[Insn]) -> String {
    let mut out = String::with_capacity(insns.len() * 30);
    for Insn { code, jt, jf, k } in insns {
        let _ = writeln!(out, "{{ {code:#x}, {jt}, {jf}, 0x{k:08x} }},");
    }
    out
}

/// The program as `tcpdump -ddd` prints it: the number of instructions, then `code jt jf k` in decimal.
pub fn decimal(insns: &[Insn]) -> String {
    join_decimal(insns, "\n") + "\n"
}

/// The program as one line for `iptables -m bpf --bytecode` and `tc filter ... bpf bytecode`.
pub fn xt_bpf(insns: &[Insn]) -> String {
    join_decimal(insns, ",")
}

fn join_decimal(insns: &[Insn], separator: &str) -> String {
    let mut out = insns.len().to_string();
    for Insn { code, jt, jf, k } in insns {
        let _ = write!(out, "{separator}{code} {jt} {jf} {k}");
    }
    out
}

/// The program as the kernel reads it on a machine of this byte order: eight bytes per instruction.
pub fn to_ne_bytes(insns: &[Insn]) -> Vec<u8> {
    let mut out = Vec::with_capacity(insns.len() * 8);
    for Insn { code, jt, jf, k } in insns {
        out.extend_from_slice(&code.to_ne_bytes());
        out.extend_from_slice(&[*jt, *jf]);
        out.extend_from_slice(&k.to_ne_bytes());
    }
    out
}

/// The inverse of [`to_ne_bytes`]; `None` if the length is no multiple of eight.
pub fn from_ne_bytes(bytes: &[u8]) -> Option<Vec<Insn>> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| {
        chunks
            .iter()
            .map(|&[c0, c1, jt, jf, k0, k1, k2, k3]| Insn {
                code: u16::from_ne_bytes([c0, c1]),
                jt,
                jf,
                k: u32::from_ne_bytes([k0, k1, k2, k3]),
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::{JmpOp, SKF_AD_OFF, Size};

    fn ip_filter() -> [Insn; 4] {
        [Insn::ld_abs(Size::Half, 12), Insn::jump_k(JmpOp::Eq, 0x800, 0, 1), Insn::ret_k(262_144), Insn::ret_k(0)]
    }

    #[test]
    fn tcpdump_d_of_ip() {
        let expected = "(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n(002) ret      #262144\n\
                        (003) ret      #0\n";
        assert_eq!(listing(&ip_filter(), PadStyle::V1_10), expected);
        assert_eq!(listing(&ip_filter(), PadStyle::V1_11), expected);
    }

    #[test]
    fn tcpdump_dd_and_ddd_of_ip() {
        let expected = "{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000800 },\n{ 0x6, 0, 0, 0x00040000 },\n\
                        { 0x6, 0, 0, 0x00000000 },\n";
        assert_eq!(c_array(&ip_filter()), expected);
        assert_eq!(decimal(&ip_filter()), "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n");
        assert_eq!(xt_bpf(&ip_filter()), "4,40 0 0 12,21 0 1 2048,6 0 0 262144,6 0 0 0");
    }

    #[test]
    fn padding_differs_between_releases() {
        assert_eq!(line(&Insn::tax(), 5, PadStyle::V1_10), "(005) tax      ");
        assert_eq!(line(&Insn::tax(), 5, PadStyle::V1_11), "(005) tax");
    }

    #[test]
    fn ancillary_words_have_names() {
        assert_eq!(line(&Insn::ld_abs(Size::Half, SKF_AD_OFF + 4), 0, PadStyle::V1_11), "(000) ldh      [type]");
        assert_eq!(line(&Insn::ld_abs(Size::Half, SKF_AD_OFF + 5), 0, PadStyle::V1_11), "(000) ldh      [-4091]");
    }

    #[test]
    fn bytes_round_trip() {
        let bytes = to_ne_bytes(&ip_filter());
        assert_eq!(from_ne_bytes(&bytes).unwrap(), ip_filter());
        assert_eq!(from_ne_bytes(&bytes[1..]), None);
    }
}

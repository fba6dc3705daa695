//! One encoded 64-bit instruction slot and its bytes.

/// Byte order of an encoded program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first; the destination register is in the low half of the register byte.
    Little,
    /// Most significant byte first; the destination register is in the high half of the register byte.
    Big,
}

impl Endian {
    /// The byte order of this machine.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };
}

/// One slot of eight bytes (`struct bpf_insn`), fields as they are encoded, valid or not.
///
/// [`Insn::decode`](super::Insn::decode) and [`Op::encode`](super::Op::encode) convert from and to the typed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Insn {
    /// Opcode: class, operation or size, source or mode.
    pub code: u8,
    /// Destination register, 0 to 15 as encoded.
    pub dst: u8,
    /// Source register or a number that tells instructions apart, 0 to 15 as encoded.
    pub src: u8,
    /// Distance in bytes (memory) or slots (jumps), or a number that tells instructions apart.
    pub off: i16,
    /// Constant operand.
    pub imm: i32,
}

impl Insn {
    /// The encoded slot. Register numbers above 15 lose their high bits.
    pub const fn to_bytes(self, endian: Endian) -> [u8; 8] {
        let (dst, src) = (self.dst & 15, self.src & 15);
        let (regs, off, imm) = match endian {
            Endian::Little => (src << 4 | dst, self.off.to_le_bytes(), self.imm.to_le_bytes()),
            Endian::Big => (dst << 4 | src, self.off.to_be_bytes(), self.imm.to_be_bytes()),
        };
        [self.code, regs, off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
    }

    /// The slot encoded in these bytes. Never fails: validity is the matter of decoding.
    pub const fn from_bytes(bytes: [u8; 8], endian: Endian) -> Self {
        let [code, regs, o0, o1, i0, i1, i2, i3] = bytes;
        match endian {
            Endian::Little => Self {
                code,
                dst: regs & 15,
                src: regs >> 4,
                off: i16::from_le_bytes([o0, o1]),
                imm: i32::from_le_bytes([i0, i1, i2, i3]),
            },
            Endian::Big => Self {
                code,
                dst: regs >> 4,
                src: regs & 15,
                off: i16::from_be_bytes([o0, o1]),
                imm: i32::from_be_bytes([i0, i1, i2, i3]),
            },
        }
    }
}

/// The encoded program.
pub fn to_bytes(insns: &[Insn], endian: Endian) -> Vec<u8> {
    insns.iter().flat_map(|insn| insn.to_bytes(endian)).collect()
}

/// The slots of an encoded program; `None` if the length is no multiple of eight.
pub fn from_bytes(bytes: &[u8], endian: Endian) -> Option<Vec<Insn>> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| chunks.iter().map(|&chunk| Insn::from_bytes(chunk, endian)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_layout() {
        let insn = Insn { code: 0x7b, dst: 10, src: 1, off: -8, imm: 0x0102_0304 };
        let little = [0x7b, 0x1a, 0xf8, 0xff, 4, 3, 2, 1];
        let big = [0x7b, 0xa1, 0xff, 0xf8, 1, 2, 3, 4];
        assert_eq!(insn.to_bytes(Endian::Little), little);
        assert_eq!(insn.to_bytes(Endian::Big), big);
        assert_eq!(from_bytes(&little, Endian::Little), Some(vec![insn]));
        assert_eq!(from_bytes(&big, Endian::Big), Some(vec![insn]));
        assert_eq!(from_bytes(&big[1..], Endian::Big), None);
        assert_eq!(to_bytes(&[insn, insn], Endian::Little), [little, little].concat());
    }
}

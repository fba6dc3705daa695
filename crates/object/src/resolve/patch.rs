//! Putting a value that depends on the kernel into an instruction, by libbpf's rules (`bpf_core_patch_insn`).

use skep_isa::ebpf::Insn;

/// What to put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patch {
    /// What the instruction must hold so far, `None` if anything.
    pub(super) old: Option<u64>,
    /// The value, `None` if the kernel does not have what the program asks for.
    pub(super) new: Option<u64>,
    /// Sizes of the accessed member in bytes: as compiled, and in the kernel. `None` if they do not matter.
    pub(super) sizes: Option<(u32, u32)>,
    /// Whether loads and stores of the member would access something else in the kernel.
    pub(super) bad_access: bool,
}

/// The number of the helper that does not exist and stands for "bad relocation", as in libbpf: 0xbad2310.
pub const BAD_RELOCATION: i32 = 195_896_080;

/// The instruction that must not be reached: verifiers remove it or refuse the program.
pub(super) const POISON: Insn = Insn { code: 0x85, dst: 0, src: 0, off: 0, imm: BAD_RELOCATION };

const CLASS: u8 = 7;
const LOAD_IMM: u8 = 0x18;

/// Patches the instruction at `at`. Whether it is usable after that.
///
/// # Errors
/// An instruction that does not hold what was compiled, or cannot hold the value.
pub(super) fn patch(insns: &mut [Insn], at: usize, patch: &Patch) -> Result<bool, String> {
    let second = insns.get(at + 1).copied();
    let Some(insn) = insns.get_mut(at) else { return Err("there is no such instruction".to_owned()) };
    let wide = insn.code == LOAD_IMM;
    let class = insn.code & CLASS;
    // Stores of constants, stores, loads.
    let accesses = matches!(class, 1..=3);
    let Some(new) = patch.new.filter(|_| !(accesses && patch.bad_access)) else {
        *insn = POISON;
        if wide && let Some(second) = insns.get_mut(at + 1) {
            *second = POISON;
        }
        return Ok(false);
    };
    let holds = |found: i64| match patch.old {
        Some(old) if old != found.cast_unsigned() => {
            Err(format!("the instruction holds {found}, but the type says {}", old.cast_signed()))
        }
        _ => Ok(()),
    };
    match class {
        // Arithmetic with a constant.
        4 | 7 if insn.code & 8 == 0 => {
            holds(insn.imm.into())?;
            insn.imm = new as i32;
        }
        1..=3 => {
            holds(insn.off.into())?;
            insn.off = i16::try_from(new).map_err(|_| format!("the distance {new} is more than 32,767 bytes"))?;
            if let Some((old, new)) = patch.sizes.filter(|(old, new)| old != new) {
                *insn = resized(*insn, old, new)?;
            }
        }
        0 if wide => {
            let second = second.ok_or("the second half of the instruction is missing")?;
            if insn.src != 0 || insn.off != 0 || (Insn { imm: 0, ..second }) != Insn::default() {
                return Err("a 64-bit load of something else than a number cannot be adapted".to_owned());
            }
            let found = u64::from(second.imm.cast_unsigned()) << 32 | u64::from(insn.imm.cast_unsigned());
            holds(found.cast_signed())?;
            insn.imm = new as i32;
            insns[at + 1].imm = (new >> 32) as i32;
        }
        _ => return Err(format!("an instruction with opcode {:#04x} cannot be adapted", insn.code)),
    }
    Ok(true)
}

/// A load or store of another size.
fn resized(insn: Insn, old: u32, new: u32) -> Result<Insn, String> {
    /// Sizes in bytes by their number in the opcode.
    const SIZES: [u32; 4] = [4, 2, 1, 8];
    let found = SIZES[usize::from(insn.code >> 3 & 3)];
    if found != old {
        return Err(format!("the instruction accesses {found} bytes, but the type says {old}"));
    }
    let number = SIZES.iter().position(|size| *size == new);
    let number = number.ok_or_else(|| format!("no instruction accesses {new} bytes at once"))?;
    Ok(Insn { code: insn.code & !0x18 | (number as u8) << 3, ..insn })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_isa::ebpf::{assemble, disassemble};

    fn patched(text: &str, old: u64, new: u64, sizes: Option<(u32, u32)>) -> Result<String, String> {
        let mut insns = assemble(text).unwrap();
        patch(&mut insns, 0, &Patch { old: Some(old), new: Some(new), sizes, bad_access: false })?;
        Ok(disassemble(&insns).unwrap())
    }

    #[test]
    fn every_place() {
        let cases = [
            ("r1 += 8\n", 8, 24, None, "r1 += 24\n"),
            ("w1 = 8\n", 8, 24, None, "w1 = 24\n"),
            ("r1 = *(u64 *)(r2 + 8)\n", 8, 16, Some((8, 4)), "r1 = *(u32 *)(r2 + 16)\n"),
            ("r1 = *(s8 *)(r2 + 8)\n", 8, 16, Some((1, 4)), "r1 = *(s32 *)(r2 + 16)\n"),
            ("*(u16 *)(r2 + 8) = r1\n", 8, 6, Some((2, 1)), "*(u8 *)(r2 + 6) = r1\n"),
            ("*(u32 *)(r2 + 8) = 7\n", 8, 6, Some((4, 4)), "*(u32 *)(r2 + 6) = 7\n"),
            ("r1 = 5 ll\n", 5, 1 << 40 | 3, None, "r1 = 1099511627779 ll\n"),
            ("r1 = -1\n", u64::MAX, -7i64 as u64, None, "r1 = -7\n"),
        ];
        for (text, old, new, sizes, expected) in cases {
            let expected = disassemble(&assemble(expected).unwrap()).unwrap();
            assert_eq!(patched(text, old, new, sizes), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be() {
        let cases = [
            ("r1 += 8\n", 9, 24, None, "holds 8, but the type says 9"),
            ("r1 += r2\n", 0, 24, None, "opcode 0x0f"),
            ("goto +0\n", 0, 24, None, "opcode 0x05"),
            ("r1 = *(u64 *)(r2 + 8)\n", 8, 40000, None, "more than 32,767"),
            ("r1 = *(u64 *)(r2 + 8)\n", 8, 8, Some((4, 8)), "accesses 8 bytes, but the type says 4"),
            ("r1 = *(u64 *)(r2 + 8)\n", 8, 8, Some((8, 3)), "no instruction accesses 3 bytes"),
        ];
        for (text, old, new, sizes, expected) in cases {
            let message = patched(text, old, new, sizes).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn poison() {
        let mut insns = assemble("r1 = 5 ll\nr1 = *(u64 *)(r2 + 8)\n").unwrap();
        let missing = Patch { old: Some(77), new: None, sizes: None, bad_access: false };
        assert_eq!(patch(&mut insns, 0, &missing), Ok(false));
        assert_eq!(insns[..2], [POISON; 2]);
        let bad = Patch { old: None, new: Some(8), sizes: Some((8, 4)), bad_access: true };
        assert_eq!(patch(&mut insns, 2, &bad), Ok(false));
        assert_eq!(insns[2], POISON);
        let mut insns = assemble("r1 += 8\n").unwrap();
        assert_eq!(patch(&mut insns, 0, &bad), Ok(true), "arithmetic does not access anything");
        assert_eq!(insns[0].imm, 8);
    }
}

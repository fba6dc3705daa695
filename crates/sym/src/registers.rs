//! Registers of x86-64 and AArch64 as operands of probes name them, and where `struct pt_regs` keeps them.

use crate::binary::Machine;

/// A register, or a part of one, that a program at a probe can read from its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Register {
    /// The name of the whole register: `rax`, `x0`, `sp`, `xmm1`.
    pub name: &'static str,
    /// Bytes from the start of the kernel's `struct pt_regs`; `None` for registers that are not in it (vectors).
    pub pt_regs: Option<u16>,
    /// Bytes of the part that is meant: 1, 2, 4, 8 or 16.
    pub size: u8,
    /// Byte of the register at which the part begins: 1 for `ah` and the like, else 0.
    pub first: u8,
}

// TABLE
/// Whole name, place in `struct pt_regs` (`arch/x86/include/asm/ptrace.h`), names of 4, 2, 1 bytes and of the second byte.
const X86: [(&str, u16, [&str; 4]); 17] = [
    ("rax", 80, ["eax", "ax", "al", "ah"]),
    ("rbx", 40, ["ebx", "bx", "bl", "bh"]),
    ("rcx", 88, ["ecx", "cx", "cl", "ch"]),
    ("rdx", 96, ["edx", "dx", "dl", "dh"]),
    ("rsi", 104, ["esi", "si", "sil", ""]),
    ("rdi", 112, ["edi", "di", "dil", ""]),
    ("rbp", 32, ["ebp", "bp", "bpl", ""]),
    ("rsp", 152, ["esp", "sp", "spl", ""]),
    ("r8", 72, ["r8d", "r8w", "r8b", ""]),
    ("r9", 64, ["r9d", "r9w", "r9b", ""]),
    ("r10", 56, ["r10d", "r10w", "r10b", ""]),
    ("r11", 48, ["r11d", "r11w", "r11b", ""]),
    ("r12", 24, ["r12d", "r12w", "r12b", ""]),
    ("r13", 16, ["r13d", "r13w", "r13b", ""]),
    ("r14", 8, ["r14d", "r14w", "r14b", ""]),
    ("r15", 0, ["r15d", "r15w", "r15b", ""]),
    ("rip", 128, ["eip", "ip", "", ""]),
];

// TABLE
/// Names of the vector registers, by number.
const XMM: [&str; 16] = [
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
    "xmm14", "xmm15",
];

// TABLE
/// Names of the general registers of AArch64, by number.
const A64: [&str; 31] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
    "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30",
];

// TABLE
/// Names of the vector registers of AArch64, by number.
const A64_VECTORS: [&str; 32] = [
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",
    "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31",
];

/// The register of x86-64 with this name, without `%`.
pub(crate) fn x86(name: &str) -> Option<Register> {
    if let Some(at) = XMM.iter().position(|own| *own == name) {
        return Some(Register { name: XMM[at], pt_regs: None, size: 16, first: 0 });
    }
    X86.iter().find_map(|&(whole, place, parts)| {
        let found = |size, first| Register { name: whole, pt_regs: Some(place), size, first };
        if whole == name {
            return Some(found(8, 0));
        }
        let at = parts.iter().position(|part| !part.is_empty() && *part == name)?;
        Some([found(4, 0), found(2, 0), found(1, 0), found(1, 1)][at])
    })
}

/// The register of AArch64 with this name. `struct pt_regs` begins with the registers x0 to x30, then sp and pc.
pub(crate) fn aarch64(name: &str) -> Option<Register> {
    let whole = |name, place, size| Some(Register { name, pt_regs: Some(place), size, first: 0 });
    match name {
        "sp" | "x31" => return whole("sp", 248, 8),
        "wsp" => return whole("sp", 248, 4),
        "lr" => return whole("x30", 240, 8),
        "fp" => return whole("x29", 232, 8),
        "pc" => return whole("pc", 256, 8),
        _ => {}
    }
    let number: u16 = name.get(1..).filter(|digits| !digits.starts_with('+'))?.parse().ok()?;
    let vector =
        |size| A64_VECTORS.get(usize::from(number)).map(|name| Register { name, pt_regs: None, size, first: 0 });
    match name.as_bytes().first()? {
        b'x' => whole(A64.get(usize::from(number))?, 8 * number, 8),
        b'w' => whole(A64.get(usize::from(number))?, 8 * number, 4),
        b'b' => vector(1),
        b'h' => vector(2),
        b's' => vector(4),
        b'd' => vector(8),
        b'q' | b'v' => vector(16),
        _ => None,
    }
}

/// The register with the address of the instruction that is about to run; `None` for machines that are not known.
pub fn program_counter(machine: Machine) -> Option<Register> {
    match machine {
        Machine::X86_64 => x86("rip"),
        Machine::Aarch64 => aarch64("pc"),
        Machine::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_places() {
        let register = x86("ah").unwrap();
        assert_eq!((register.name, register.pt_regs, register.size, register.first), ("rax", Some(80), 1, 1));
        assert_eq!(x86("r9d").map(|register| (register.pt_regs, register.size)), Some((Some(64), 4)));
        assert_eq!(x86("xmm3").map(|register| register.pt_regs), Some(None));
        assert_eq!(x86(""), None);
        assert_eq!(x86("x0"), None);
        assert_eq!(aarch64("x30").unwrap().pt_regs, Some(240));
        assert_eq!(aarch64("w3").map(|register| (register.pt_regs, register.size)), Some((Some(24), 4)));
        assert_eq!(aarch64("d31").unwrap().name, "v31");
        for name in ["x32", "w31", "x", "rax", "x+1", "é"] {
            assert_eq!(aarch64(name), None, "{name}");
        }
    }
}

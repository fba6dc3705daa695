//! Registers of the traced code in `struct pt_regs` (x86-64) and `struct user_pt_regs` (AArch64): their names and where
//! they are, and which of them calls use (the System V and the AAPCS64 calling conventions).

/// The processor that programs run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64
    X86_64,
    /// 64-bit ARM
    Aarch64,
}

impl Default for Arch {
    /// The one that this was built for.
    fn default() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }
}

// TABLE
/// Registers of x86-64 with their offsets in bytes (`arch/x86/include/asm/ptrace.h`).
const X86_64: &[(&str, u32)] = &[
    ("r15", 0),
    ("r14", 8),
    ("r13", 16),
    ("r12", 24),
    ("bp", 32),
    ("bx", 40),
    ("r11", 48),
    ("r10", 56),
    ("r9", 64),
    ("r8", 72),
    ("ax", 80),
    ("cx", 88),
    ("dx", 96),
    ("si", 104),
    ("di", 112),
    ("orig_rax", 120),
    ("ip", 128),
    ("pc", 128),
    ("cs", 136),
    ("flags", 144),
    ("sp", 152),
    ("ss", 160),
];

impl Arch {
    /// Offset of a register in the context, in bytes. Its value has 8.
    pub fn register(self, name: &str) -> Option<u32> {
        match self {
            Self::X86_64 => X86_64.iter().find(|register| register.0 == name).map(|register| register.1),
            Self::Aarch64 => match name {
                "sp" => Some(248),
                "pc" | "ip" => Some(256),
                "pstate" => Some(264),
                "fp" => Some(29 * 8),
                "lr" => Some(30 * 8),
                _ => {
                    let number = name.strip_prefix('r').or_else(|| name.strip_prefix('x'))?.parse::<u32>().ok()?;
                    (number <= 30).then_some(number * 8)
                }
            },
        }
    }

    /// Names of all registers, for suggestions.
    pub fn names(self) -> Vec<String> {
        match self {
            Self::X86_64 => X86_64.iter().map(|register| register.0.to_owned()).collect(),
            Self::Aarch64 => {
                (0..=30).map(|n| format!("r{n}")).chain(["sp", "pc", "pstate"].map(str::to_owned)).collect()
            }
        }
    }

    /// The register that holds an argument of a function; `None` for those on the stack.
    pub const fn argument(self, number: u32) -> Option<&'static str> {
        let list: &[&str] = match self {
            Self::X86_64 => &["di", "si", "dx", "cx", "r8", "r9"],
            Self::Aarch64 => &["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"],
        };
        if (number as usize) < list.len() { Some(list[number as usize]) } else { None }
    }

    /// How many arguments are in registers.
    pub const fn register_arguments(self) -> u32 {
        match self {
            Self::X86_64 => 6,
            Self::Aarch64 => 8,
        }
    }

    /// Words between the stack pointer at the start of a function and the first argument on the stack: the return
    /// address, where the call puts it there.
    pub const fn first_stack_word(self) -> u32 {
        match self {
            Self::X86_64 => 1,
            Self::Aarch64 => 0,
        }
    }

    /// The register with the result of a function.
    pub const fn result(self) -> &'static str {
        match self {
            Self::X86_64 => "ax",
            Self::Aarch64 => "r0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_calls_exist() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for number in 0..arch.register_arguments() {
                assert!(arch.register(arch.argument(number).unwrap()).is_some());
            }
            assert_eq!(arch.argument(arch.register_arguments()), None);
            assert!(arch.register(arch.result()).is_some() && arch.register("sp").is_some());
            assert!(arch.names().iter().all(|name| arch.register(name).is_some()));
        }
        assert_eq!(Arch::X86_64.register("ip"), Some(128));
        assert_eq!(Arch::Aarch64.register("r31"), None);
    }
}

//! Versions of the 64-bit instruction set (clang's `-mcpu=v1` to `v4`) and what Linux added besides.
//!
//! Sources: RFC 9669, the history of `kernel/bpf/verifier.c`, the documentation of clang's BPF target.

use crate::Release;

/// Instructions that came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InsnFeature {
    /// A short name: a version or the mnemonic in small letters.
    pub name: &'static str,
    /// Version of the instruction set that includes them, 0 for those that no version names.
    pub version: u8,
    /// First release whose verifier takes them.
    pub since: Release,
    /// The instructions in the kernel's notation.
    pub example: &'static str,
    /// What they do and what they are good for.
    pub about: &'static str,
}

/// The feature with this name.
pub fn by_name(name: &str) -> Option<&'static InsnFeature> {
    FEATURES.iter().find(|feature| feature.name == name)
}

const fn feature(
    name: &'static str,
    version: u8,
    major: u8,
    minor: u8,
    example: &'static str,
    about: &'static str,
) -> InsnFeature {
    InsnFeature { name, version, since: Release::new(major, minor), example, about }
}

// TABLE
/// What each version has and what came outside of versions.
#[rustfmt::skip]
pub static FEATURES: &[InsnFeature] = &[
    feature("v1", 1, 3, 18, "r0 = *(u64 *)(r1 +8)", "The first set: 64-bit arithmetic and its 32-bit forms, loads and stores of 1, 2, 4 and 8 bytes, jumps that compare for equality, unsigned and signed greater, bit tests, calls of helpers, atomic addition, byte swaps to and from a byte order."),
    feature("packet-loads", 1, 3, 18, "r0 = *(u16 *)skb[12]", "Absolute and indirect loads from the packet in network byte order, inherited from the classic set; only for socket filters and traffic control. RFC 9669 calls them deprecated."),
    feature("v2", 2, 4, 14, "if r1 < r2 goto +1", "Jumps that compare for less, unsigned and signed: programs need not swap operands, so they are shorter."),
    feature("calls", 1, 4, 16, "call pc+5", "Calls of functions of the program itself. Clang emits them for every version; before, everything had to be inlined."),
    feature("v3", 3, 5, 1, "if w1 == 5 goto +1", "Jumps that compare the lower halves of registers (JMP32). Clang then uses 32-bit arithmetic freely, which makes code for int shorter."),
    feature("loops", 0, 5, 3, "if r1 != 0 goto -3", "Jumps backwards whose end the verifier can prove by walking through all rounds."),
    feature("atomics", 3, 5, 12, "r0 = atomic_fetch_add((u64 *)(r1 +0), r0)", "Atomic and, or, xor; exchange; compare and exchange; and forms that return the old value. Clang emits the latter from v3 on."),
    feature("kfunc-calls", 0, 5, 13, "call kfunc#1234", "Calls of functions of the kernel by their BTF number."),
    feature("callbacks", 0, 5, 13, "r1 = code_addr(5)", "Loading the address of a function of the program, to be called by a helper such as loop or for_each_map_elem."),
    feature("v4", 4, 6, 6, "gotol +70000", "Everything of the rows that follow with version 4: signed division, signed loads and moves, byte swaps without condition, far jumps."),
    feature("sdiv", 4, 6, 6, "r1 s/= r2", "Signed division and remainder, rounded towards zero."),
    feature("movsx", 4, 6, 6, "r1 = (s8)r2", "Moves that extend the sign of 8, 16 or 32 bits."),
    feature("ldsx", 4, 6, 6, "r1 = *(s16 *)(r2 +0)", "Loads that extend the sign of 1, 2 or 4 bytes."),
    feature("bswap", 4, 6, 6, "r1 = bswap32 r1", "Byte swaps whatever the byte order of the machine is."),
    feature("gotol", 4, 6, 6, "gotol +70000", "A jump whose distance has 32 bits instead of 16."),
    feature("addr-space-cast", 0, 6, 9, "r1 = addr_space_cast(r2, 0, 1)", "Turns the address of arena memory that user space understands into one that the program can follow, and back."),
    feature("may-goto", 0, 6, 9, "may_goto +5", "A jump that is taken at the latest after so many rounds: it bounds loops whose end cannot be proved. Called cond_break in C."),
    feature("percpu-mov", 0, 6, 10, "r0 = &(void __percpu *)(r0)", "The address of a per-CPU variable for this processor. Only the verifier itself inserts it."),
    feature("load-acquire", 0, 6, 15, "r0 = load_acquire((u64 *)(r1 +0))", "Loads that no later access overtakes, and (store_release) stores that overtake no earlier access. Needs a compiler for the processor that has them: x86-64, arm64, riscv."),
    feature("jump-tables", 0, 6, 19, "gotox r1", "Jumps to an address from a table of the map type insn_array, for switch statements."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_versions_come_in_order() {
        for feature in FEATURES {
            assert_eq!(by_name(feature.name), Some(feature));
            assert!(feature.about.ends_with('.') && feature.version <= 4, "{}", feature.name);
        }
        assert!(FEATURES.is_sorted_by_key(|feature| feature.since));
    }
}

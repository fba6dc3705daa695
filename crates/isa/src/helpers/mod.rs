//! Helpers: the numbered functions of the kernel that programs call.
//!
//! The table is closed: since Linux 6.2 the kernel adds functions as kfuncs, by name and BTF id.

use crate::{ProgSet, ProgType, Release};

pub mod numbers;
mod signature;
mod table;

pub use signature::{Access, Arg, Ret, Signature};

/// What a call does to the memory that its program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing, and during one run of a program it gives the same for the same arguments.
    Same,
    /// Nothing: what is read in front of the call is what is read behind it.
    Nothing,
    /// It may write memory that it is given, values of maps, objects of the kernel.
    Memory,
    /// The same, and the packet may be somewhere else: pointers into it that were loaded before are worth nothing.
    Packet,
}

/// One helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Helper {
    /// Number in the call instruction (`enum bpf_func_id`), from 1.
    pub id: u32,
    /// Name without the `bpf_` prefix.
    pub name: &'static str,
    /// First release that has it for some program type.
    pub since: Release,
    /// Whether, in most program types that have it, only programs with a licence compatible with the GPL may call it.
    pub gpl_only: bool,
    /// Whether only programs that may sleep can call it.
    pub may_sleep: bool,
    /// What a call does to the program's memory.
    pub effect: Effect,
    /// Whether it takes pointers into the packet where it reads memory.
    pub packets: bool,
    /// The program types that may call it at one of their attach types, with all capabilities, in Linux 6.18.
    pub programs: ProgSet,
    /// Its prototype in C (`linux/bpf.h`).
    pub prototype: &'static str,
    /// What it takes and gives; more than one if that differs between program types.
    pub signatures: &'static [Signature],
    /// What it does, in a sentence or two.
    pub about: &'static str,
}

impl Helper {
    /// How programs of this type call it, `None` if they cannot.
    pub fn signature(&self, prog_type: ProgType) -> Option<&'static Signature> {
        self.signatures.iter().find(|signature| signature.programs.contains(prog_type))
    }

    /// Whether it may write memory whose address it is given, or hands it to a function of the program that may.
    pub fn writes_arguments(&self) -> bool {
        self.signatures.iter().flat_map(|signature| signature.args).any(Arg::is_written)
    }

    /// Whether pointers into the packet that were loaded before a call are worth nothing behind it.
    pub fn moves_packet(&self) -> bool {
        self.effect == Effect::Packet
    }
}

/// Every helper in the order of the numbers.
pub static HELPERS: &[Helper; 211] = &table::HELPERS;

/// The helper with this number.
pub fn by_id(id: u32) -> Option<&'static Helper> {
    let index = usize::try_from(id.checked_sub(1)?).ok()?;
    HELPERS.get(index)
}

/// The helper with this name, with or without `bpf_`.
pub fn by_name(name: &str) -> Option<&'static Helper> {
    let name = name.strip_prefix("bpf_").unwrap_or(name);
    HELPERS.iter().find(|helper| helper.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_number() {
        for helper in HELPERS {
            assert_eq!(by_id(helper.id), Some(helper));
            assert_eq!(by_name(helper.name), Some(helper));
            assert_eq!(by_name(&format!("bpf_{}", helper.name)), Some(helper));
        }
        assert_eq!(by_id(0), None);
        assert_eq!(by_id(212), None);
        assert_eq!(by_name("unspec"), None);
        assert!(HELPERS.is_sorted_by_key(|helper| helper.since));
    }

    #[test]
    fn what_a_helper_writes_it_changes() {
        for helper in HELPERS {
            let writes = |arg: &Arg| match arg {
                Arg::Value(access) | Arg::Memory(access) | Arg::MemoryOrNull(access) => *access != Access::Read,
                Arg::FixedMemory(_, access) => *access != Access::Read,
                _ => false,
            };
            let changes = helper.signatures.iter().flat_map(|signature| signature.args).any(writes);
            let quiet = matches!(helper.effect, Effect::Same | Effect::Nothing);
            assert!(!changes || !quiet && helper.writes_arguments(), "{}", helper.name);
        }
        assert!(
            by_name("xdp_adjust_head").unwrap().moves_packet() && !by_name("skb_load_bytes").unwrap().moves_packet()
        );
        assert_eq!(by_name("ktime_get_ns").unwrap().effect, Effect::Nothing);
        // Linux refuses the second one: "helper access to the packet is not allowed".
        let takes = |name: &str| by_name(name).unwrap().packets;
        assert!(takes("csum_diff") && !takes("skb_store_bytes"));
        let writes = |name| by_name(name).unwrap().writes_arguments();
        assert!(writes("probe_read") && writes("for_each_map_elem") && writes("dynptr_write"));
        assert!(!writes("map_update_elem") && !writes("ringbuf_reserve") && !writes("ringbuf_output"));
    }

    #[test]
    fn rows_agree_with_themselves() {
        for helper in HELPERS {
            let start = helper.prototype.find(&format!("bpf_{}(", helper.name));
            assert!(start.is_some(), "{}", helper.prototype);
            assert!(helper.about.ends_with('.') && helper.about.len() > 15, "{}", helper.name);
            let mut covered = ProgSet::NONE;
            for signature in helper.signatures {
                assert!(signature.args.len() <= 5 && !signature.programs.is_empty(), "{}", helper.name);
                assert!(signature.programs.iter().all(|prog| !covered.contains(prog)), "{}", helper.name);
                covered = covered.union(signature.programs);
                // A size follows the memory that it is the size of.
                for (index, arg) in signature.args.iter().enumerate() {
                    let sized = matches!(arg, Arg::Size | Arg::SizeOrZero);
                    let memory =
                        index > 0 && matches!(signature.args[index - 1], Arg::Memory(_) | Arg::MemoryOrNull(_));
                    assert!(!sized || memory, "{}", helper.name);
                }
            }
            assert_eq!(covered, helper.programs, "{}", helper.name);
        }
        let assign = by_name("sk_assign").unwrap();
        assert_eq!(assign.signature(ProgType::SkLookup).unwrap().args[1], Arg::SocketOrNull);
        assert_eq!(assign.signature(ProgType::SchedCls).unwrap().args[1], Arg::TypedSock);
        assert_eq!(assign.signature(ProgType::Xdp), None);
    }
}

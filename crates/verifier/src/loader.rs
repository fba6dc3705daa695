//! Who loads a program, and what the kernel asks of that process before the verifier walks through the program
//! (`bpf_prog_load`, `map_create`).

use skep_isa::ebpf::{Callee, Imm64, Op};
use skep_isa::helpers::Helper;
use skep_isa::programs::{self, Privileges};
use skep_isa::{MapType, ProgType, Release, maps};
use skep_object::{Object, Program};

use crate::code::{Code, Next};
use crate::profile::Kernel;
use crate::reject::{Reason, Rejection};

/// Instructions of a program that is loaded without `CAP_BPF` (`BPF_MAXINSNS`).
const MOST_INSNS: usize = 4096;

/// The capabilities of the process that loads a program, as far as `bpf(2)` asks for them; a token counts as those that it
/// grants.
///
/// Without `CAP_BPF` it is taken for granted that the kernel lets such processes load programs at all
/// (`kernel.unprivileged_bpf_disabled` is 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Loader {
    /// `CAP_BPF`: all types of programs and maps, functions, loops, more than 4,096 instructions.
    pub bpf: bool,
    /// `CAP_PERFMON`: addresses of the kernel may be seen, and nothing is done about speculative execution.
    pub perfmon: bool,
    /// `CAP_NET_ADMIN`: programs that change packets and sockets.
    pub net_admin: bool,
}

impl Default for Loader {
    fn default() -> Self {
        Self::ALL
    }
}

impl Loader {
    /// All of them, as root has.
    pub const ALL: Self = Self { bpf: true, perfmon: true, net_admin: true };
    /// None of them.
    pub const NONE: Self = Self { bpf: false, perfmon: false, net_admin: false };

    /// Those of a list like `bpf,net_admin`, with or without `cap_` in front; `sys_admin` counts as `bpf` and `perfmon`.
    ///
    /// # Errors
    /// The name that is none of these.
    pub fn from_names(list: &str) -> Result<Self, String> {
        let mut loader = Self::NONE;
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let plain = name.to_ascii_lowercase();
            match plain.strip_prefix("cap_").unwrap_or(&plain) {
                "bpf" => loader.bpf = true,
                "perfmon" => loader.perfmon = true,
                "net_admin" => loader.net_admin = true,
                "sys_admin" => (loader.bpf, loader.perfmon) = (true, true),
                "all" => loader = Self::ALL,
                "none" => {}
                _ => return Err(name.to_owned()),
            }
        }
        Ok(loader)
    }

    /// What they are worth to a kernel: before 5.8 there was only `CAP_SYS_ADMIN`, for which both of its parts stand here.
    #[must_use]
    pub fn on(self, kernel: Kernel) -> Self {
        if kernel.release() >= Release::new(5, 8) {
            return self;
        }
        let both = self.bpf && self.perfmon;
        Self { bpf: both, perfmon: both, ..self }
    }
}

// TABLE
/// Helpers that ask for `CAP_BPF` where others of the same hook do not (`bpf_base_func_proto`).
const HELPERS_OF_BPF: &[&str] = &[
    "spin_lock",
    "spin_unlock",
    "jiffies64",
    "per_cpu_ptr",
    "this_cpu_ptr",
    "timer_init",
    "timer_set_callback",
    "timer_start",
    "timer_cancel",
    "kptr_xchg",
    "for_each_map_elem",
    "loop",
    "user_ringbuf_drain",
    "ringbuf_reserve_dynptr",
    "ringbuf_submit_dynptr",
    "ringbuf_discard_dynptr",
    "dynptr_from_mem",
    "dynptr_read",
    "dynptr_write",
    "dynptr_data",
    "cgrp_storage_get",
    "cgrp_storage_delete",
    "task_storage_get",
    "task_storage_delete",
    "get_current_cgroup_id",
    "get_current_ancestor_cgroup_id",
    "get_cgroup_classid",
    "current_task_under_cgroup",
];

// TABLE
/// Helpers that ask for `CAP_PERFMON`.
const HELPERS_OF_PERFMON: &[&str] = &[
    "trace_printk",
    "trace_vprintk",
    "get_current_task",
    "get_current_task_btf",
    "probe_read_user",
    "probe_read_kernel",
    "probe_read_user_str",
    "probe_read_kernel_str",
    "snprintf_btf",
    "snprintf",
    "task_pt_regs",
];

/// Those that do in every type of program.
const ALWAYS: &[&str] = &["sys_bpf", "probe_write_user"];

// TABLE
/// Those that do where packets and sockets are, and not in programs of type syscall (`bpf_sk_base_func_proto`).
const OF_SOCKETS: &[&str] = &[
    "skc_to_tcp6_sock",
    "skc_to_tcp_sock",
    "skc_to_tcp_timewait_sock",
    "skc_to_tcp_request_sock",
    "skc_to_udp6_sock",
    "skc_to_unix_sock",
    "skc_to_mptcp_sock",
];

// TABLE
/// Those that the hooks of all types share since 6.18, and ask for `CAP_PERFMON` since then.
const SHARED: &[&str] = &[
    "get_current_comm",
    "perf_event_read",
    "perf_event_read_value",
    "send_signal",
    "send_signal_thread",
    "get_task_stack",
    "copy_from_user",
    "copy_from_user_task",
    "get_branch_snapshot",
    "find_vma",
];

/// Fields of `struct __sk_buff` for which programs at control groups ask for `CAP_BPF` (`cg_skb_is_valid_access`): first
/// byte, the one behind the last, and whether only writes do.
const FIELDS_OF_BPF: &[(i64, i64, bool)] = &[(76, 84, false), (152, 160, true)];

/// The capability that a helper asks for in a type of program, and the process does not have.
pub fn missing_for(helper: &Helper, prog_type: ProgType, kernel: Kernel, loader: Loader) -> Option<&'static str> {
    if !loader.bpf && HELPERS_OF_BPF.contains(&helper.name) {
        return Some("CAP_BPF");
    }
    // Before 6.18 programs of type syscall have those of tracing without being asked.
    let of_tracing = prog_type == ProgType::Syscall && kernel < Kernel::V6_18;
    let perfmon = (HELPERS_OF_PERFMON.contains(&helper.name) && !of_tracing)
        || ALWAYS.contains(&helper.name)
        || (OF_SOCKETS.contains(&helper.name) && prog_type != ProgType::Syscall)
        || (SHARED.contains(&helper.name) && kernel >= Kernel::V6_18);
    // Whatever asks for CAP_PERFMON asks for CAP_BPF, too.
    (perfmon && !(loader.bpf && loader.perfmon)).then_some("CAP_PERFMON")
}

/// Whether a part of the context is there for such a process.
pub fn has_field(program: &Program, loader: Loader, off: i64, size: u32, write: bool) -> bool {
    let hidden = |(first, behind, only_write): &(i64, i64, bool)| {
        off < *behind && *first < off + i64::from(size) && (write || !only_write)
    };
    loader.bpf || program.prog_type != ProgType::CgroupSkb || !FIELDS_OF_BPF.iter().any(hidden)
}

/// Whether a process may load programs of a type at all, since Linux 5.8.
pub fn may_load(prog_type: ProgType, loader: Loader) -> bool {
    missing_for_type(prog_type, loader).is_none()
}

/// The capability that a type of program asks for and the process does not have.
fn missing_for_type(prog_type: ProgType, loader: Loader) -> Option<&'static str> {
    let privileges = programs::facts(prog_type).privileges;
    if !loader.bpf && privileges != Privileges::Unprivileged {
        return Some("CAP_BPF");
    }
    if !loader.net_admin && privileges.net_admin() {
        return Some("CAP_NET_ADMIN");
    }
    (!loader.perfmon && privileges.perfmon()).then_some("CAP_PERFMON")
}

/// What is asked before the program is looked at.
///
/// # Errors
/// What needs which capability.
pub fn admits(object: &Object, program: &Program, loader: Loader) -> Result<(), Rejection> {
    let needs = |at: u32, what: String, capability| Rejection::at(at, Reason::Capability { what, capability });
    if !loader.bpf && program.insns.len() > MOST_INSNS {
        return Err(needs(0, format!("more than {MOST_INSNS} instructions"), "CAP_BPF"));
    }
    if let Some(capability) = missing_for_type(program.prog_type, loader) {
        return Err(needs(0, format!("programs of type {}", program.prog_type), capability));
    }
    let mut at = 0;
    while let Some(insn) = program.insns.get(at) {
        let Ok(op) = insn.decode(program.insns.get(at + 1).copied()) else {
            at += 1;
            continue;
        };
        let slot = u32::try_from(at).unwrap_or(u32::MAX);
        match op {
            Op::Call(Callee::Local(_) | Callee::Kfunc { .. }) | Op::LoadImm { value: Imm64::Func(_), .. }
                if !loader.bpf =>
            {
                return Err(needs(slot, "functions of the program or the kernel".to_owned(), "CAP_BPF"));
            }
            Op::LoadImm { value: Imm64::MapFd(map) | Imm64::MapFdValue { fd: map, .. }, .. } => {
                let map = usize::try_from(map).ok().and_then(|map| object.maps.get(map));
                if let Some((map, capability)) = map.and_then(|map| Some((map, of_map(map.map_type, loader)?))) {
                    return Err(needs(slot, format!("maps of type {}", map.map_type), capability));
                }
            }
            _ => {}
        }
        at += op.slots() as usize;
    }
    Ok(())
}

/// The capability that a type of map asks for and the process does not have. `CAP_NET_ADMIN` is enough where it is asked for.
fn of_map(map: MapType, loader: Loader) -> Option<&'static str> {
    let privileges = maps::facts(map).privileges;
    if privileges.net_admin() {
        return (!loader.net_admin).then_some("CAP_NET_ADMIN");
    }
    if privileges.perfmon() && !loader.perfmon {
        return Some("CAP_PERFMON");
    }
    (!loader.bpf && privileges != Privileges::Unprivileged).then_some("CAP_BPF")
}

/// A jump that closes a loop, if there is one that paths from the start come to (`check_cfg`).
pub fn first_loop(code: &Code) -> Option<u32> {
    first_back_edge(code, 0, |_| true)
}

/// An instruction that is no jump and leads to the start of a loop from inside of it, which kernels before 6.7 refuse.
pub fn first_fall_back(code: &Code) -> Option<u32> {
    let jumps = |at| {
        matches!(code.op(at), Some(Op::Goto { .. } | Op::GotoLong { .. } | Op::JumpIf { .. } | Op::MayGoto { .. }))
    };
    code.functions.iter().find_map(|start| first_back_edge(code, *start, |at| !jumps(at)))
}

/// An instruction of which `closes` holds and that leads back to one on the way to it from the start of a function, in the
/// order in which the kernel goes through a program.
fn first_back_edge(code: &Code, start: u32, closes: impl Fn(u32) -> bool) -> Option<u32> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; code.ops.len()];
    // An instruction, and how many of its successors were looked at.
    let mut way = vec![(start, 0u8)];
    *marks.get_mut(start as usize)? = Mark::Open;
    while let Some((at, seen)) = way.last_mut() {
        let (from, turn) = (*at, *seen);
        *seen += 1;
        let next = match (code.next(from), turn) {
            (Ok(Next::To(target) | Next::Branch(target, _)), 0) | (Ok(Next::Branch(_, target)), 1) => target,
            _ => {
                marks[from as usize] = Mark::Done;
                way.pop();
                continue;
            }
        };
        match marks.get(next as usize).copied() {
            Some(Mark::New) => {
                marks[next as usize] = Mark::Open;
                way.push((next, 0));
            }
            Some(Mark::Open) if closes(from) => return Some(from),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_capabilities() {
        assert_eq!(Loader::from_names("bpf, CAP_NET_ADMIN"), Ok(Loader { perfmon: false, ..Loader::ALL }));
        assert_eq!(Loader::from_names("sys_admin"), Ok(Loader { net_admin: false, ..Loader::ALL }));
        assert_eq!((Loader::from_names("none"), Loader::from_names("all")), (Ok(Loader::NONE), Ok(Loader::ALL)));
        assert_eq!(Loader::from_names("bpf,chown"), Err("chown".to_owned()));
    }

    #[test]
    fn parts_of_sys_admin_count_since_they_are_there() {
        let bpf = Loader { bpf: true, ..Loader::NONE };
        assert_eq!((bpf.on(Kernel::V5_4), bpf.on(Kernel::V5_10)), (Loader::NONE, bpf));
        assert_eq!(Loader::ALL.on(Kernel::V5_4), Loader::ALL);
    }
}

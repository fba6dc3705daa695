//! Functions of the kernel that programs call by name: what they do with references and who may call them.
//!
//! `data/kfuncs.txt` has a row for each: name, flags of its registration (`KF_*` in `linux/btf.h`), and the groups of
//! program types that it is registered for, as read in Linux 6.12 and 6.18.

use std::collections::HashMap;
use std::sync::OnceLock;

use skep_isa::ProgType;

/// What is known about one function.
#[derive(Debug, Clone, Default)]
pub struct Kfunc {
    /// The result has to be given back.
    pub acquires: bool,
    /// The argument with a reference is given back.
    pub releases: bool,
    /// The result may be null.
    pub may_be_null: bool,
    /// Pointers have to be valid for as long as the program runs.
    pub trusted: bool,
    /// Pointers have to be valid under the RCU read lock.
    pub rcu: bool,
    /// It may sleep.
    pub sleeps: bool,
    /// It may end the machine.
    pub destructive: bool,
    /// The iterator that it begins is valid under the RCU read lock only.
    pub rcu_protected: bool,
    /// It begins an iterator.
    pub begins: bool,
    /// It gives the next element of an iterator.
    pub next: bool,
    /// It ends an iterator.
    pub ends: bool,
    /// The kernel asks more about the program than its type.
    pub filtered: bool,
    groups: Vec<&'static str>,
}

impl Kfunc {
    /// Whether programs of a type may call it; `None` if that depends on more than the type.
    pub fn is_for(&self, prog_type: ProgType) -> Option<bool> {
        if self.filtered {
            return None;
        }
        Some(self.groups.iter().any(|one| *one == "any" || Some(*one) == group(prog_type)))
    }
}

/// The group that registrations know a type by (`bpf_prog_type_to_kfunc_hook`).
fn group(prog_type: ProgType) -> Option<&'static str> {
    Some(match prog_type {
        ProgType::Xdp => "xdp",
        ProgType::SchedCls => "sched_cls",
        ProgType::SchedAct => "sched_act",
        ProgType::StructOps => "struct_ops",
        ProgType::Tracing | ProgType::Tracepoint | ProgType::PerfEvent | ProgType::Lsm => "tracing",
        ProgType::Syscall => "syscall",
        ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::CgroupDevice
        | ProgType::CgroupSockAddr
        | ProgType::CgroupSockopt
        | ProgType::CgroupSysctl
        | ProgType::SockOps => "cgroup",
        ProgType::SkSkb => "sk_skb",
        ProgType::SocketFilter => "socket_filter",
        ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => "lwt",
        ProgType::Netfilter => "netfilter",
        ProgType::Kprobe => "kprobe",
        _ => return None,
    })
}

/// The row of a function.
pub fn by_name(name: &str) -> Option<&'static Kfunc> {
    static ROWS: OnceLock<HashMap<&'static str, Kfunc>> = OnceLock::new();
    ROWS.get_or_init(|| include_str!("../data/kfuncs.txt").lines().filter_map(row).collect()).get(name)
}

fn row(line: &'static str) -> Option<(&'static str, Kfunc)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let mut kfunc = Kfunc::default();
    for flag in words.next()?.split(',') {
        match flag {
            "acquire" => kfunc.acquires = true,
            "release" => kfunc.releases = true,
            "null" => kfunc.may_be_null = true,
            "trusted" => kfunc.trusted = true,
            "rcu" => kfunc.rcu = true,
            "sleeps" => kfunc.sleeps = true,
            "destructive" => kfunc.destructive = true,
            "in-rcu" => kfunc.rcu_protected = true,
            "new" => kfunc.begins = true,
            "next" => kfunc.next = true,
            "destroy" => kfunc.ends = true,
            "filtered" => kfunc.filtered = true,
            _ => {}
        }
    }
    // What is given back has to be held.
    kfunc.trusted |= kfunc.releases;
    kfunc.groups = words.next()?.split(',').collect();
    Some((name, kfunc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read() {
        const FLAGS: &[&str] = &[
            "-",
            "acquire",
            "release",
            "null",
            "trusted",
            "rcu",
            "sleeps",
            "destructive",
            "in-rcu",
            "new",
            "next",
            "destroy",
            "filtered",
        ];
        for line in include_str!("../data/kfuncs.txt").lines() {
            let (name, _) = row(line).unwrap_or_else(|| panic!("{line}"));
            let flags = line.split(' ').nth(1).unwrap();
            assert!(flags.split(',').all(|flag| FLAGS.contains(&flag)), "{line}");
            assert!(by_name(name).is_some());
        }
        let find = by_name("bpf_task_from_pid").unwrap();
        assert!(find.acquires && find.may_be_null);
        assert_eq!(find.is_for(ProgType::Tracing), Some(true));
        assert_eq!(find.is_for(ProgType::SocketFilter), Some(false));
    }
}

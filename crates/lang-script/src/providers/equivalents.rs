//! Events that happen exactly when a function of the kernel is called or returns: what serves a probe on the function where
//! the kernel has neither kprobes nor fentry. And nearby events, which mean something else and are only named in messages.
//!
//! Sources: the places of the tracepoints in the functions of the files that are named with the rows.

use crate::registers::Arch;

/// Where a number comes from that a script asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The event does not tell.
    Missing,
    /// A word of the context.
    Word(u32),
    /// A field of the tracepoint's record.
    Field(&'static str),
    /// A register in the registers that the first word of the context points to.
    Register(&'static str),
    /// The number of the system call in these registers.
    CallNumber,
    /// It is always this.
    Number(i64),
}

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Test {
    /// What is compared.
    pub source: Source,
    /// Whether it has to be equal; else it must differ.
    pub equal: bool,
    /// With what.
    pub value: i64,
}

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A tracepoint with a record: category and name.
    Tracepoint(&'static str, &'static str),
    /// A raw tracepoint.
    Raw(&'static str),
}

/// An event in place of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivalent {
    /// The function.
    pub function: &'static str,
    /// Whether its return is meant.
    pub ret: bool,
    /// The event.
    pub event: Event,
    /// Its arguments; those that are not listed are missing.
    pub args: &'static [Source],
    /// Its result.
    pub result: Source,
    /// When the event stands for the function: of each list one has to hold.
    pub when: &'static [&'static [Test]],
}

const fn is(field: &'static str, value: i64) -> Test {
    Test { source: Source::Field(field), equal: true, value }
}

const fn is_not(field: &'static str, value: i64) -> Test {
    Test { source: Source::Field(field), equal: false, value }
}

const fn raw(function: &'static str, event: &'static str, args: &'static [Source]) -> Equivalent {
    Equivalent { function, ret: false, event: Event::Raw(event), args, result: Source::Missing, when: &[] }
}

/// `IPPROTO_TCP`
const TCP: i64 = 6;
/// `TCP_SYN_SENT`, `TCP_SYN_RECV`, `TCP_LISTEN` (include/net/tcp_states.h)
const SYN_SENT: i64 = 2;
const SYN_RECV: i64 = 3;
const LISTEN: i64 = 10;

const FIRST: &[Source] = &[Source::Word(0)];
const FIRST_TWO: &[Source] = &[Source::Word(0), Source::Word(1)];

// TABLE: several rows for a function are all attached if their events are different, else the first that the kernel has.
/// All of them.
pub const EQUIVALENTS: &[Equivalent] = &[
    // net/ipv4/tcp.c: the function reports every change before it makes it. Others report here as well: sockets that begin
    // to listen, and new sockets that come out of a listening one.
    Equivalent {
        function: "tcp_set_state",
        ret: false,
        event: Event::Tracepoint("sock", "inet_sock_set_state"),
        args: &[Source::Field("skaddr"), Source::Field("newstate")],
        result: Source::Missing,
        when: &[
            &[is("protocol", TCP)],
            &[is_not("newstate", LISTEN)],
            &[is_not("oldstate", LISTEN), is_not("newstate", SYN_RECV)],
        ],
    },
    // net/ipv4/tcp_ipv4.c, tcp_ipv6.c: a connection enters this state and is built next; its own port may not be chosen yet.
    Equivalent {
        function: "tcp_connect",
        ret: false,
        event: Event::Tracepoint("sock", "inet_sock_set_state"),
        args: &[Source::Field("skaddr")],
        result: Source::Missing,
        when: &[&[is("protocol", TCP)], &[is("newstate", SYN_SENT)]],
    },
    // net/ipv4/tcp_output.c
    raw("tcp_retransmit_skb", "tcp_retransmit_skb", FIRST_TWO),
    raw("__tcp_retransmit_skb", "tcp_retransmit_skb", FIRST_TWO),
    // net/ipv4/tcp_input.c
    raw("tcp_rcv_space_adjust", "tcp_rcv_space_adjust", FIRST),
    // net/core/skbuff.c: all of them report here.
    raw("kfree_skb", "kfree_skb", FIRST),
    raw("kfree_skb_reason", "kfree_skb", FIRST),
    raw("sk_skb_reason_drop", "kfree_skb", &[Source::Missing, Source::Word(0), Source::Word(2)]),
    raw("consume_skb", "consume_skb", FIRST),
    // net/core/dev.c
    raw("__dev_queue_xmit", "net_dev_queue", FIRST),
    raw("dev_queue_xmit", "net_dev_queue", FIRST),
    // block/blk-mq.c
    raw("blk_account_io_start", "block_io_start", FIRST),
    raw("__blk_account_io_start", "block_io_start", FIRST),
    raw("blk_account_io_done", "block_io_done", FIRST),
    raw("__blk_account_io_done", "block_io_done", FIRST),
    raw("blk_mq_start_request", "block_rq_issue", FIRST),
    raw("blk_start_request", "block_rq_issue", FIRST),
    // kernel/exit.c, kernel/fork.c, kernel/sched/core.c
    raw("do_exit", "sched_process_exit", &[]),
    raw("wake_up_new_task", "sched_wakeup_new", FIRST),
    // security/commoncap.c, Linux 6.13: the options, which are the last argument, are not told.
    Equivalent {
        function: "cap_capable",
        ret: false,
        event: Event::Tracepoint("capability", "cap_capable"),
        args: &[Source::Field("cred"), Source::Field("target_ns"), Source::Field("cap")],
        result: Source::Missing,
        when: &[],
    },
    Equivalent {
        function: "cap_capable",
        ret: true,
        event: Event::Tracepoint("capability", "cap_capable"),
        args: &[],
        result: Source::Field("ret"),
        when: &[],
    },
];

/// Events near functions whose meaning differs: function, event, how it differs.
// TABLE
pub const NEARBY: &[(&str, &str, &str)] = &[
    (
        "inet_csk_accept",
        "tracepoint:sock:inet_sock_set_state",
        "fires when the connection is established, in any process",
    ),
    ("oom_kill_process", "tracepoint:oom:mark_victim", "has the victim's id, name and memory instead of `oom_control`"),
    ("finish_task_switch", "tracepoint:sched:sched_switch", "fires before the switch, in the process that leaves"),
    ("try_to_wake_up", "tracepoint:sched:sched_waking", "fires only for processes that sleep"),
    ("vfs_read", "tracepoint:syscalls:sys_enter_read", "sees system calls only, not reads by the kernel"),
    ("vfs_write", "tracepoint:syscalls:sys_enter_write", "sees system calls only, not writes by the kernel"),
    ("vfs_open", "tracepoint:syscalls:sys_enter_openat", "sees system calls only"),
    ("vfs_fsync", "tracepoint:syscalls:sys_enter_fsync", "sees system calls only"),
    ("handle_mm_fault", "tracepoint:exceptions:page_fault_user", "fires before the kernel looks for the memory area"),
    ("submit_bio", "tracepoint:block:block_bio_queue", "fires behind the limits of control groups"),
    ("xfs_file_open", "tracepoint:xfs:*", "are those of the file system itself, with other arguments"),
    ("xfs_file_read_iter", "tracepoint:xfs:xfs_file_buffered_read", "has inode, offset and length, not the call"),
    ("xfs_file_write_iter", "tracepoint:xfs:xfs_file_buffered_write", "has inode, offset and length, not the call"),
    ("xfs_file_fsync", "tracepoint:xfs:xfs_file_fsync", "has the inode, not the call"),
];

/// The events that stand for a function.
pub fn of(function: &str, ret: bool) -> impl Iterator<Item = &'static Equivalent> {
    EQUIVALENTS.iter().filter(move |row| row.function == function && row.ret == ret)
}

/// An event near a function: its name, and how it differs.
pub fn nearby(function: &str) -> Option<(&'static str, &'static str)> {
    NEARBY.iter().find(|row| row.0 == function).map(|row| (row.1, row.2))
}

/// Names of tracepoints of system calls that differ from those of the calls.
// TABLE
const EVENT_NAMES: &[(&str, &str)] = &[
    ("newfstat", "fstat"),
    ("newstat", "stat"),
    ("newlstat", "lstat"),
    ("newuname", "uname"),
    ("umount", "umount2"),
    ("sendfile64", "sendfile"),
];

/// The system call behind a tracepoint `syscalls:EVENT`: whether its end is meant, and its name.
pub fn traced_call(event: &str) -> Option<(bool, &str)> {
    let (ret, name) = match event.strip_prefix("sys_enter_") {
        Some(name) => (false, name),
        None => (true, event.strip_prefix("sys_exit_")?),
    };
    Some((ret, EVENT_NAMES.iter().find(|row| row.0 == name).map_or(name, |row| row.1)))
}

/// How the function behind a system call hands on its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// It gets one argument, the address of the registers.
    Registers,
    /// It gets the arguments of the system call.
    Arguments,
}

/// What stands in front of the name of a system call in the names of functions, and how these get their arguments.
// TABLE
const PREFIXES: &[(&str, Passing)] = &[
    ("__x64_sys_", Passing::Registers),
    ("__arm64_sys_", Passing::Registers),
    ("__se_sys_", Passing::Arguments),
    ("__do_sys_", Passing::Arguments),
    ("SyS_", Passing::Arguments),
    ("sys_", Passing::Arguments),
    // These are called from one system call only.
    ("ksys_", Passing::Arguments),
];

/// Helpers of system calls with the names in front of which `ksys_` stands and that nothing else calls.
const ONLY_CALLS: &[&str] = &["read", "write", "pread64", "pwrite64", "mmap_pgoff", "shmget", "semget", "msgget"];

/// The system call that a function is, and how it gets its arguments.
pub fn system_call(function: &str, arch: Arch) -> Option<(&str, Passing)> {
    let (prefix, passing) = PREFIXES.iter().find(|(prefix, _)| function.starts_with(prefix))?;
    let name = &function[prefix.len()..];
    let own = match *prefix {
        "__x64_sys_" => arch == Arch::X86_64,
        "__arm64_sys_" => arch == Arch::Aarch64,
        "ksys_" => ONLY_CALLS.contains(&name),
        _ => true,
    };
    own.then_some((name, *passing))
}

/// System calls, and where the first arguments of a function are among theirs.
pub type Calls = &'static [(&'static str, &'static [Source])];

/// Functions that several system calls lead to and nothing else; words are the numbers of the call's arguments.
// TABLE
pub const SHARED_CALLS: &[(&str, Calls)] = &[(
    // fs/open.c: `creat`, `open`, `openat` and `openat2` end here. The first two have no directory: AT_FDCWD.
    "do_sys_openat2",
    &[
        ("open", &[Source::Number(-100), Source::Word(0)]),
        ("creat", &[Source::Number(-100), Source::Word(0)]),
        ("openat", &[Source::Word(0), Source::Word(1)]),
        ("openat2", &[Source::Word(0), Source::Word(1)]),
    ],
)];

impl Arch {
    /// The register with an argument of a system call, from 0.
    pub const fn call_argument(self, number: u32) -> Option<&'static str> {
        let list: &[&str] = match self {
            Self::X86_64 => &["di", "si", "dx", "r10", "r8", "r9"],
            Self::Aarch64 => &["r0", "r1", "r2", "r3", "r4", "r5"],
        };
        if (number as usize) < list.len() { Some(list[number as usize]) } else { None }
    }

    /// Where the registers that the kernel keeps of a process hold the number of its system call: offset and bytes in
    /// `struct pt_regs` (`orig_ax`, `syscallno`).
    pub const fn call_number(self) -> (u32, u8) {
        match self {
            Self::X86_64 => (120, 8),
            Self::Aarch64 => (280, 4),
        }
    }

    /// A register that tells calls of the processor's own kind from those of 32-bit programs, with its value for the own.
    pub const fn own_calls(self) -> Option<(&'static str, i64)> {
        match self {
            // The code segment of 64-bit programs (`__USER_CS`).
            Self::X86_64 => Some(("cs", 0x33)),
            Self::Aarch64 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_system_calls() {
        let of = |name| system_call(name, Arch::X86_64);
        assert_eq!(of("__x64_sys_openat"), Some(("openat", Passing::Registers)));
        assert_eq!(of("ksys_read"), Some(("read", Passing::Arguments)));
        assert_eq!(of("ksys_sync"), None);
        assert_eq!(of("__arm64_sys_openat"), None);
        assert_eq!(of("vfs_read"), None);
    }

    #[test]
    fn rows_agree_with_one_another() {
        for row in EQUIVALENTS {
            let record = matches!(row.event, Event::Tracepoint(..));
            let tests = row.when.iter().flat_map(|list| list.iter()).map(|test| &test.source);
            for source in row.args.iter().chain([&row.result]).chain(tests) {
                assert!(!matches!(source, Source::Field(_)) || record, "{}", row.function);
                assert!(!matches!(source, Source::Word(_)) || !record, "{}", row.function);
            }
        }
        assert!(nearby("inet_csk_accept").is_some() && of("tcp_set_state", false).count() == 1);
    }
}

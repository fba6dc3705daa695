//! The types of probes as a table: how they are written, what programs attached there can read, what they are for.

pub mod equivalents;
mod events;
mod expand;
mod point;
pub mod renamed;

pub use events::{Event, HARDWARE_EVENTS, SOFTWARE_EVENTS};
pub use expand::{ProbeSource, expand, matches, suggest};
pub use point::{KernelPlace, Point, UserPlace, parse_point};

/// What kind of place a probe is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `begin`
    Begin,
    /// `end`
    End,
    /// `self`
    Own,
    /// `test`
    Test,
    /// `bench`
    Bench,
    /// `kprobe`
    Kprobe,
    /// `kretprobe`
    Kretprobe,
    /// `fentry`
    Fentry,
    /// `fexit`
    Fexit,
    /// `rawtracepoint`
    RawTracepoint,
    /// `tracepoint`
    Tracepoint,
    /// `profile`
    Profile,
    /// `interval`
    Interval,
    /// `software`
    Software,
    /// `hardware`
    Hardware,
    /// `uprobe`
    Uprobe,
    /// `uretprobe`
    Uretprobe,
    /// `usdt`
    Usdt,
    /// `watchpoint`
    Watchpoint,
    /// `iter`
    Iter,
}

impl Kind {
    /// Whether its places belong to the kernel, so that its programs run for every process and have to look themselves
    /// which one it is.
    pub const fn is_everywhere(self) -> bool {
        matches!(
            self,
            Self::Kprobe | Self::Kretprobe | Self::Fentry | Self::Fexit | Self::RawTracepoint | Self::Tracepoint
        )
    }
}

/// A type of probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// What it is.
    pub kind: Kind,
    /// Its full name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// The fewest and the most parts behind the name.
    pub parts: (usize, usize),
    /// Number of the part, from 1, that is a path and may contain slashes.
    pub path: Option<usize>,
    /// The forms in which it is written.
    pub forms: &'static [&'static str],
    /// Which values programs can read: a string of `args`, `argN`, `retval`, `func`, `ctx`, `reg`.
    pub data: &'static [Data],
    /// What it is for, one sentence.
    pub doc: &'static str,
}

/// Values that only some types of probes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Data {
    /// `args`: arguments by name.
    Args,
    /// `arg0`, `arg1`, ...
    ArgN,
    /// `retval`
    Retval,
    /// `func`
    Func,
    /// `ctx`
    Ctx,
    /// `reg("name")`
    Reg,
}

impl Provider {
    /// Whether programs at this type of probe can read the value.
    pub fn has(&self, data: Data) -> bool {
        self.data.contains(&data)
    }
}

// TABLE
/// All types of probes.
pub const PROVIDERS: &[Provider] = &[
    Provider {
        kind: Kind::Begin,
        name: "begin",
        aliases: &[],
        parts: (0, 0),
        path: None,
        forms: &["begin"],
        data: &[],
        doc: "Runs once, before all other probes are attached.",
    },
    Provider {
        kind: Kind::End,
        name: "end",
        aliases: &[],
        parts: (0, 0),
        path: None,
        forms: &["end"],
        data: &[],
        doc: "Runs once, after all other probes are detached.",
    },
    Provider {
        kind: Kind::Own,
        name: "self",
        aliases: &[],
        parts: (2, 2),
        path: None,
        forms: &["self:signal:SIGUSR1"],
        data: &[],
        doc: "Runs when the tracing process itself gets the signal.",
    },
    Provider {
        kind: Kind::Test,
        name: "test",
        aliases: &[],
        parts: (1, 1),
        path: None,
        forms: &["test:name"],
        data: &[],
        doc: "A test of the script, run with `--test`; it passes if it returns 0.",
    },
    Provider {
        kind: Kind::Bench,
        name: "bench",
        aliases: &[],
        parts: (1, 1),
        path: None,
        forms: &["bench:name"],
        data: &[],
        doc: "A benchmark of its own statements, run with `--bench`.",
    },
    Provider {
        kind: Kind::Kprobe,
        name: "kprobe",
        aliases: &["k"],
        parts: (1, 2),
        path: None,
        forms: &["kprobe:function", "kprobe:module:function", "kprobe:function+offset", "kprobe:0xffffffff81000000"],
        data: &[Data::ArgN, Data::Func, Data::Ctx, Data::Reg],
        doc: "The start of a function of the kernel, or an instruction in it.",
    },
    Provider {
        kind: Kind::Kretprobe,
        name: "kretprobe",
        aliases: &["kr"],
        parts: (1, 2),
        path: None,
        forms: &["kretprobe:function", "kretprobe:module:function"],
        data: &[Data::Retval, Data::Func, Data::Ctx, Data::Reg],
        doc: "The return of a function of the kernel.",
    },
    Provider {
        kind: Kind::Fentry,
        name: "fentry",
        aliases: &["f", "kfunc"],
        parts: (1, 3),
        path: None,
        forms: &["fentry:function", "fentry:module:function", "fentry:bpf:program", "fentry:bpf:id:program"],
        data: &[Data::Args, Data::Func],
        doc: "The start of a function of the kernel or of a BPF program, with its arguments by name and type.",
    },
    Provider {
        kind: Kind::Fexit,
        name: "fexit",
        aliases: &["fr", "kretfunc"],
        parts: (1, 3),
        path: None,
        forms: &["fexit:function", "fexit:module:function", "fexit:bpf:program", "fexit:bpf:id:program"],
        data: &[Data::Args, Data::Retval, Data::Func],
        doc: "The return of a function of the kernel or of a BPF program, with its arguments and its result.",
    },
    Provider {
        kind: Kind::RawTracepoint,
        name: "rawtracepoint",
        aliases: &["rt"],
        parts: (1, 2),
        path: None,
        forms: &["rawtracepoint:event", "rawtracepoint:module:event"],
        data: &[Data::Args, Data::ArgN],
        doc: "A tracepoint with the arguments that the kernel passes to it, before they are made into a record.",
    },
    Provider {
        kind: Kind::Tracepoint,
        name: "tracepoint",
        aliases: &["t"],
        parts: (2, 2),
        path: None,
        forms: &["tracepoint:category:event"],
        data: &[Data::Args],
        doc: "A tracepoint of the kernel with the fields of its record.",
    },
    Provider {
        kind: Kind::Profile,
        name: "profile",
        aliases: &["p"],
        parts: (1, 2),
        path: None,
        forms: &["profile:hz:99", "profile:ms:10", "profile:99ms"],
        data: &[Data::Ctx, Data::Reg],
        doc: "Again and again, on every processor.",
    },
    Provider {
        kind: Kind::Interval,
        name: "interval",
        aliases: &["i"],
        parts: (1, 2),
        path: None,
        forms: &["interval:s:1", "interval:hz:10", "interval:500ms"],
        data: &[Data::Ctx, Data::Reg],
        doc: "Again and again, on one processor.",
    },
    Provider {
        kind: Kind::Software,
        name: "software",
        aliases: &["s"],
        parts: (1, 2),
        path: None,
        forms: &["software:event", "software:event:count"],
        data: &[Data::Ctx, Data::Reg],
        doc: "Once in so many software events of the kernel, such as page faults.",
    },
    Provider {
        kind: Kind::Hardware,
        name: "hardware",
        aliases: &["h"],
        parts: (1, 2),
        path: None,
        forms: &["hardware:event", "hardware:event:count"],
        data: &[Data::Ctx, Data::Reg],
        doc: "Once in so many events that the processor counts, such as cache misses.",
    },
    Provider {
        kind: Kind::Uprobe,
        name: "uprobe",
        aliases: &["u"],
        parts: (1, 3),
        path: Some(1),
        forms: &[
            "uprobe:binary:function",
            "uprobe:binary:function+offset",
            "uprobe:binary:0x1234",
            "uprobe:binary@file.c:line",
            "uprobe:binary:cpp:\"name(types)\"",
            "uprobe:function (with -p)",
        ],
        data: &[Data::Args, Data::ArgN, Data::Func, Data::Ctx, Data::Reg],
        doc: "The start of a function of a program or library, or an instruction in it.",
    },
    Provider {
        kind: Kind::Uretprobe,
        name: "uretprobe",
        aliases: &["ur"],
        parts: (1, 3),
        path: Some(1),
        forms: &["uretprobe:binary:function", "uretprobe:binary:cpp:\"name(types)\"", "uretprobe:function (with -p)"],
        data: &[Data::Retval, Data::Func, Data::Ctx, Data::Reg],
        doc: "The return of a function of a program or library.",
    },
    Provider {
        kind: Kind::Usdt,
        name: "usdt",
        aliases: &["U"],
        parts: (1, 3),
        path: Some(1),
        forms: &["usdt:binary:name", "usdt:binary:provider:name", "usdt:name (with -p)"],
        data: &[Data::ArgN, Data::Ctx, Data::Reg],
        doc: "A probe that a program declares in its own source.",
    },
    Provider {
        kind: Kind::Watchpoint,
        name: "watchpoint",
        aliases: &["w"],
        parts: (3, 3),
        path: None,
        forms: &["watchpoint:address:length:mode"],
        data: &[Data::Ctx, Data::Reg],
        doc: "An access to an address: `r` reads, `w` writes, `x` execution.",
    },
    Provider {
        kind: Kind::Iter,
        name: "iter",
        aliases: &["it"],
        parts: (1, 2),
        path: Some(2),
        forms: &["iter:task", "iter:task_file", "iter:task_vma", "iter:task:pin"],
        data: &[Data::Ctx],
        doc: "Runs once for each of the kernel's objects of a kind, such as tasks.",
    },
];

/// The type of probe with that name or alias. Names may be in capital letters; of the aliases `u` and `U` differ.
pub fn find(name: &str) -> Option<&'static Provider> {
    let by_alias = PROVIDERS.iter().find(|provider| provider.aliases.contains(&name));
    by_alias.or_else(|| {
        PROVIDERS.iter().find(|provider| {
            provider.name.eq_ignore_ascii_case(name)
                || provider.aliases.iter().any(|alias| alias.len() > 1 && alias.eq_ignore_ascii_case(name))
        })
    })
}

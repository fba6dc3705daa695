//! Sets of flags that are printed by name.

/// A set: values under a mask of which one holds, and bits of which any hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// The name of the function in expressions.
    pub name: &'static str,
    /// Bits of the values; 0 if there are none.
    pub mask: u64,
    /// Names of the values.
    pub values: &'static [(&'static str, u64)],
    /// Names of the bits.
    pub bits: &'static [(&'static str, u64)],
}

// TABLE: numbers from include/uapi/asm-generic/fcntl.h, mman-common.h, linux/sched.h, linux/socket.h (x86-64).
/// All sets.
pub const SETS: &[Set] = &[
    Set {
        name: "OPEN_FLAGS",
        mask: 3,
        values: &[("O_RDONLY", 0), ("O_WRONLY", 1), ("O_RDWR", 2)],
        bits: &[
            ("O_CREAT", 0o100),
            ("O_EXCL", 0o200),
            ("O_TRUNC", 0o1000),
            ("O_APPEND", 0o2000),
            ("O_NONBLOCK", 0o4000),
            ("O_DIRECTORY", 0o200_000),
            ("O_CLOEXEC", 0o2_000_000),
        ],
    },
    Set { name: "PROT_FLAGS", mask: 0, values: &[], bits: &[("PROT_READ", 1), ("PROT_WRITE", 2), ("PROT_EXEC", 4)] },
    Set {
        name: "MAP_FLAGS",
        mask: 0xf,
        values: &[("MAP_SHARED", 1), ("MAP_PRIVATE", 2), ("MAP_SHARED_VALIDATE", 3)],
        bits: &[("MAP_FIXED", 0x10), ("MAP_ANONYMOUS", 0x20), ("MAP_LOCKED", 0x2000), ("MAP_POPULATE", 0x8000)],
    },
    Set {
        name: "CLONE_FLAGS",
        mask: 0xff,
        values: &[("SIGCHLD", 17), ("0", 0)],
        bits: &[
            ("CLONE_VM", 0x100),
            ("CLONE_FS", 0x200),
            ("CLONE_FILES", 0x400),
            ("CLONE_VFORK", 0x4000),
            ("CLONE_THREAD", 0x1_0000),
            ("CLONE_NEWNS", 0x2_0000),
            ("CLONE_NEWUSER", 0x1000_0000),
            ("CLONE_NEWPID", 0x2000_0000),
            ("CLONE_NEWNET", 0x4000_0000),
        ],
    },
    Set {
        name: "MSG_FLAGS",
        mask: 0,
        values: &[],
        bits: &[
            ("MSG_OOB", 1),
            ("MSG_PEEK", 2),
            ("MSG_DONTROUTE", 4),
            ("MSG_DONTWAIT", 0x40),
            ("MSG_NOSIGNAL", 0x4000),
        ],
    },
];

/// The set with a name.
pub fn find(name: &str) -> Option<&'static Set> {
    SETS.iter().find(|set| set.name == name)
}

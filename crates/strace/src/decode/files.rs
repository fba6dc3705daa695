//! Structures about files.

use std::fmt::Write as _;

use super::text::{Bytes, Style, hex, mode};
use super::values::{comment, flags, value};

/// `S_IFMT`
const TYPE: u64 = 0o170_000;

/// `S_IFREG|S_ISUID|0644`; a mode whose type has no name is a number.
pub fn file_mode(bits: u64, out: &mut String) {
    if bits & TYPE != 0 {
        let name = crate::table::sets::find("mode_type").and_then(|set| set.name_of(bits & TYPE));
        let Some(name) = name else { return mode(bits, out) };
        out.push_str(name);
        out.push('|');
    }
    for (bit, name) in [(0o4000, "S_ISUID|"), (0o2000, "S_ISGID|"), (0o1000, "S_ISVTX|")] {
        if bits & bit != 0 {
            out.push_str(name);
        }
    }
    mode(bits & 0o777, out);
}

/// `makedev(0x1, 0x3)`: the kernel's numbering in `st_dev`.
pub fn device(number: u64, out: &mut String) {
    let major = number >> 8 & 0xfff | number >> 32 & 0xffff_f000;
    let minor = number & 0xff | number >> 12 & 0xffff_ff00;
    made(major, minor, out);
}

fn made(major: u64, minor: u64, out: &mut String) {
    out.push_str("makedev(");
    hex(major, out);
    out.push_str(", ");
    hex(minor, out);
    out.push(')');
}

fn is_device(bits: u64) -> bool {
    matches!(bits & TYPE, 0o020_000 | 0o060_000)
}

fn moment(name: &str, seconds: i64, nanoseconds: i64, out: &mut String) {
    let _ = write!(out, ", {name}={seconds}");
    comment(seconds, nanoseconds, 9, out);
    if nanoseconds != 0 {
        let _ = write!(out, ", {name}_nsec={nanoseconds}");
    }
}

/// `struct stat`
pub fn stat(bytes: Bytes<'_>, style: Style, out: &mut String) {
    let bits = u64::from(bytes.u32(24));
    out.push('{');
    if style.full {
        out.push_str("st_dev=");
        device(bytes.u64(0), out);
        let _ = write!(out, ", st_ino={}, ", bytes.u64(8));
    }
    out.push_str("st_mode=");
    file_mode(bits, out);
    if style.full {
        let _ = write!(
            out,
            ", st_nlink={}, st_uid={}, st_gid={}, st_blksize={}, st_blocks={}",
            bytes.u64(16),
            bytes.u32(28),
            bytes.u32(32),
            bytes.u64(56),
            bytes.u64(64)
        );
    }
    if is_device(bits) {
        out.push_str(", st_rdev=");
        device(bytes.u64(40), out);
    } else {
        let _ = write!(out, ", st_size={}", bytes.u64(48));
    }
    if style.full {
        for (name, at) in [("st_atime", 72), ("st_mtime", 88), ("st_ctime", 104)] {
            moment(name, bytes.i64(at), bytes.i64(at + 8), out);
        }
        out.push('}');
    } else {
        out.push_str(", ...}");
    }
}

/// `struct statx`
pub fn statx(bytes: Bytes<'_>, style: Style, out: &mut String) {
    let bits = u64::from(bytes.u16(28));
    out.push_str("{stx_mask=");
    flags("statx_mask", bytes.u32(0).into(), out);
    if style.full {
        let _ = write!(out, ", stx_blksize={}", bytes.u32(4));
    }
    out.push_str(", stx_attributes=");
    flags("statx_attr", bytes.u64(8), out);
    if style.full {
        let _ = write!(out, ", stx_nlink={}, stx_uid={}, stx_gid={}", bytes.u32(16), bytes.u32(20), bytes.u32(24));
    }
    out.push_str(", stx_mode=");
    file_mode(bits, out);
    if style.full {
        let _ = write!(out, ", stx_ino={}", bytes.u64(32));
    }
    let _ = write!(out, ", stx_size={}", bytes.u64(40));
    if style.full {
        let _ = write!(out, ", stx_blocks={}, stx_attributes_mask=", bytes.u64(48));
        flags("statx_attr", bytes.u64(56), out);
        for (name, at) in [("stx_atime", 64), ("stx_btime", 80), ("stx_ctime", 96), ("stx_mtime", 112)] {
            let (seconds, nanoseconds) = (bytes.i64(at), i64::from(bytes.u32(at + 8)));
            let _ = write!(out, ", {name}={{tv_sec={seconds}, tv_nsec={nanoseconds}}}");
            comment(seconds, nanoseconds, 9, out);
        }
        for (name, at) in [(", stx_rdev=", 128), (", stx_dev=", 136)] {
            out.push_str(name);
            made(bytes.u32(at).into(), bytes.u32(at + 4).into(), out);
        }
        let _ = write!(out, ", stx_mnt_id={:#x}}}", bytes.u64(144));
    } else {
        out.push_str(", ...}");
    }
}

// TABLE: `linux/magic.h`
const FILE_SYSTEMS: &[(u64, &str)] = &[
    (0x0000_9fa0, "PROC_SUPER_MAGIC"),
    (0x0000_ef53, "EXT2_SUPER_MAGIC"),
    (0x0102_1994, "TMPFS_MAGIC"),
    (0x6265_6572, "SYSFS_MAGIC"),
    (0x5846_5342, "XFS_SUPER_MAGIC"),
    (0x9123_683e, "BTRFS_SUPER_MAGIC"),
    (0x794c_7630, "OVERLAYFS_SUPER_MAGIC"),
    (0x6367_7270, "CGROUP2_SUPER_MAGIC"),
    (0x0027_e0eb, "CGROUP_SUPER_MAGIC"),
    (0xcafe_4a11, "BPF_FS_MAGIC"),
    (0x7472_6163, "TRACEFS_MAGIC"),
    (0x6462_6720, "DEBUGFS_MAGIC"),
    (0x0000_1cd1, "DEVPTS_SUPER_MAGIC"),
    (0x6e73_6673, "NSFS_MAGIC"),
    (0x5049_5045, "PIPEFS_MAGIC"),
    (0x534f_434b, "SOCKFS_MAGIC"),
    (0x0000_6969, "NFS_SUPER_MAGIC"),
    (0x6573_5546, "FUSE_SUPER_MAGIC"),
    (0xf97c_ff8c, "SELINUX_MAGIC"),
    (0x7371_7368, "SQUASHFS_MAGIC"),
    (0x9584_58f6, "HUGETLBFS_MAGIC"),
    (0x0102_1997, "V9FS_MAGIC"),
];

// TABLE: flags of mounts as `statfs(2)` gives them.
const MOUNT_FLAGS: &[(u64, &str)] = &[
    (0x20, "ST_VALID"),
    (1, "ST_RDONLY"),
    (2, "ST_NOSUID"),
    (4, "ST_NODEV"),
    (8, "ST_NOEXEC"),
    (0x10, "ST_SYNCHRONOUS"),
    (0x40, "ST_MANDLOCK"),
    (0x80, "ST_WRITE"),
    (0x100, "ST_APPEND"),
    (0x200, "ST_IMMUTABLE"),
    (0x400, "ST_NOATIME"),
    (0x800, "ST_NODIRATIME"),
    (0x1000, "ST_RELATIME"),
    (0x2000, "ST_NOSYMFOLLOW"),
];

/// `struct statfs`
pub fn statfs(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{f_type=");
    match FILE_SYSTEMS.iter().find(|row| row.0 == bytes.u64(0)) {
        Some((_, name)) => out.push_str(name),
        None => hex(bytes.u64(0), out),
    }
    let names = ["f_bsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree"];
    for (name, at) in names.into_iter().zip((8..).step_by(8)) {
        let _ = write!(out, ", {name}={}", bytes.u64(at));
    }
    out.push_str(", f_fsid={val=[");
    hex(bytes.u32(56).into(), out);
    out.push_str(", ");
    hex(bytes.u32(60).into(), out);
    let _ = write!(out, "]}}, f_namelen={}, f_frsize={}, f_flags=", bytes.u64(64), bytes.u64(72));
    let (bits, mut rest, mut separator) = (bytes.u64(80), bytes.u64(80), "");
    for (bit, name) in MOUNT_FLAGS {
        if bits & bit != 0 {
            let _ = write!(out, "{separator}{name}");
            separator = "|";
            rest &= !bit;
        }
    }
    if rest != 0 || bits == 0 {
        out.push_str(separator);
        hex(rest, out);
    }
    out.push('}');
}

/// Ways to access a file, by the lowest bits of the flags of `open(2)`.
pub const ACCESS: [&str; 4] = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"];

/// Flags of `open(2)`: the way to access first.
pub fn open_flags(bits: u64, out: &mut String) {
    let bits = bits & 0xffff_ffff;
    out.push_str(ACCESS[(bits & 3) as usize]);
    if let Some(set) = crate::table::sets::find("open") {
        set.more_flags(bits & !3, out);
    }
}

/// `struct flock`; the process is known only when the kernel has filled it in.
pub fn flock(bytes: Bytes<'_>, _: Style, out: &mut String) {
    lock(bytes, false, out);
}

/// A `struct flock`, with the process that holds the lock if that is asked for.
pub fn lock(bytes: Bytes<'_>, process: bool, out: &mut String) {
    out.push_str("{l_type=");
    value("lock", bytes.u16(0).into(), out);
    out.push_str(", l_whence=");
    value("whence", bytes.u16(2).into(), out);
    let _ = write!(out, ", l_start={}, l_len={}", bytes.i64(8), bytes.i64(16));
    if process {
        let _ = write!(out, ", l_pid={}", bytes.i32(24));
    }
    out.push('}');
}

/// Time stamps and owners aside, what a name in a directory costs: the number of entries in what `getdents` has filled.
pub fn entries(bytes: &[u8], head: usize) -> usize {
    let (mut at, mut count) = (0, 0);
    while at + head <= bytes.len() {
        let length = usize::from(Bytes(bytes).u16(at + 16));
        if length < head {
            break;
        }
        at += length;
        count += 1;
    }
    count
}

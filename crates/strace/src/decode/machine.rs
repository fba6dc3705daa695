//! Structures about the machine, its file systems and clocks, and about processes (`linux/timex.h`, `linux/quota.h`,
//! `linux/mount.h`, `linux/landlock.h`, `linux/kexec.h`, `linux/sched/types.h`, `asm/ldt.h`, `linux/aio_abi.h`).

use std::fmt::Write as _;

use super::text::{Bytes, Style, address, hex, mode};
use super::values::{comment, flags, value};
use crate::table::{sets, signals};

/// `struct __kernel_timex`
pub fn timex(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{modes=");
    flags("timex_modes", bytes.u32(0).into(), out);
    fields(bytes, &[("offset", 8), ("freq", 16), ("maxerror", 24), ("esterror", 32)], out);
    out.push_str(", status=");
    flags("timex_status", bytes.u32(40).into(), out);
    fields(bytes, &[("constant", 48), ("precision", 56), ("tolerance", 64)], out);
    // Writing to a string succeeds.
    let _ = write!(out, ", time={{tv_sec={}, tv_usec={}}}", bytes.i64(72), bytes.i64(80));
    fields(bytes, &[("tick", 88), ("ppsfreq", 96), ("jitter", 104)], out);
    let _ = write!(out, ", shift={}", bytes.i32(112));
    fields(bytes, &[("stabil", 120), ("jitcnt", 128), ("calcnt", 136), ("errcnt", 144), ("stbcnt", 152)], out);
    let _ = write!(out, ", tai={}}}", bytes.i32(160));
}

/// Fields of 8 bytes with sign.
fn fields(bytes: Bytes<'_>, names: &[(&str, usize)], out: &mut String) {
    for (name, at) in names {
        let _ = write!(out, ", {name}={}", bytes.i64(*at));
    }
}

/// `struct utimbuf`
pub fn utimbuf(bytes: Bytes<'_>, _: Style, out: &mut String) {
    for (name, at) in [("{actime=", 0), (", modtime=", 8)] {
        let _ = write!(out, "{name}{}", bytes.i64(at));
        comment(bytes.i64(at), 0, 9, out);
    }
    out.push('}');
}

/// `[1795869461 /* 2026-11-28T12:37:41+0000 */]`
pub fn seconds(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "[{}", bytes.i64(0));
    comment(bytes.i64(0), 0, 9, out);
    out.push(']');
}

/// `[QFMT_VFS_V1]`
pub fn quota_format(bytes: Bytes<'_>, _: Style, out: &mut String) {
    bracketed("quota_format", bytes, out);
}

fn bracketed(set: &str, bytes: Bytes<'_>, out: &mut String) {
    out.push('[');
    value(set, bytes.u32(0).into(), out);
    out.push(']');
}

fn bracketed_flags(set: &str, bytes: Bytes<'_>, out: &mut String) {
    out.push('[');
    flags(set, bytes.u32(0).into(), out);
    out.push(']');
}

/// `struct if_dqinfo`
pub fn quota_info(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{dqi_bgrace={}, dqi_igrace={}, dqi_flags=", bytes.u64(0), bytes.u64(8));
    flags("quota_info", bytes.u32(16).into(), out);
    out.push_str(", dqi_valid=");
    flags("quota_info_valid", bytes.u32(20).into(), out);
    out.push('}');
}

// TABLE: the first fields of `struct if_dqblk`, of 8 bytes each.
const LIMITS: [&str; 6] = ["bhardlimit", "bsoftlimit", "curspace", "ihardlimit", "isoftlimit", "curinodes"];

fn limits(bytes: Bytes<'_>, style: Style, out: &mut String) {
    for (number, name) in LIMITS.into_iter().enumerate() {
        let _ = write!(out, "{}dqb_{name}={}", if number == 0 { "{" } else { ", " }, bytes.u64(8 * number));
    }
    if style.full {
        let _ = write!(out, ", dqb_btime={}, dqb_itime={}, dqb_valid=", bytes.u64(48), bytes.u64(56));
        flags("quota_valid", bytes.u32(64).into(), out);
    }
}

/// `struct if_dqblk`
pub fn quota(bytes: Bytes<'_>, style: Style, out: &mut String) {
    limits(bytes, style, out);
    out.push_str(if style.full { "}" } else { ", ...}" });
}

/// `struct if_nextdqblk`
pub fn quota_next(bytes: Bytes<'_>, style: Style, out: &mut String) {
    limits(bytes, style, out);
    match style.full {
        true => drop(write!(out, ", dqb_id={}}}", bytes.u32(68))),
        false => drop(write!(out, ", dqb_id={}, ...}}", bytes.u32(68))),
    }
}

/// The beginning of `struct fs_disk_quota`.
pub fn xfs_quota(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{d_version={}, d_flags=", bytes.u8(0) as i8);
    flags("xfs_quota_type", bytes.u8(1).into(), out);
    out.push_str(", d_fieldmask=");
    hex(bytes.u16(2).into(), out);
    let _ = write!(out, ", d_id={}", bytes.u32(4));
    let names = ["blk_hardlimit", "blk_softlimit", "ino_hardlimit", "ino_softlimit", "bcount", "icount"];
    for (name, at) in names.into_iter().zip((8..).step_by(8)) {
        let _ = write!(out, ", d_{name}={}", bytes.u64(at));
    }
    out.push_str(", ...}");
}

/// `[FS_QUOTA_UDQ_ACCT]`
pub fn xfs_flags(bytes: Bytes<'_>, _: Style, out: &mut String) {
    bracketed_flags("xfs_quota", bytes, out);
}

/// `[FS_USER_QUOTA]`
pub fn xfs_types(bytes: Bytes<'_>, _: Style, out: &mut String) {
    bracketed_flags("xfs_quota_type", bytes, out);
}

/// `struct mount_attr`
pub fn mount_attr(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{attr_set=");
    flags("mount_setattr", bytes.u64(0), out);
    out.push_str(", attr_clr=");
    flags("mount_setattr", bytes.u64(8), out);
    out.push_str(", propagation=");
    value("propagation", bytes.u64(16), out);
    let _ = write!(out, ", userns_fd={}}}", bytes.u64(24));
}

/// The first version of `struct landlock_ruleset_attr`.
pub fn landlock_rules(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{handled_access_fs=");
    flags("landlock_fs", bytes.u64(0), out);
    out.push('}');
}

/// `struct landlock_path_beneath_attr`
pub fn landlock_path(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{allowed_access=");
    flags("landlock_fs", bytes.u64(0), out);
    let _ = write!(out, ", parent_fd={}}}", bytes.i32(8));
}

/// The entry of a table of segments: `struct user_desc`.
pub fn user_desc(bytes: Bytes<'_>, _: Style, out: &mut String) {
    const BITS: [(&str, u32, u32); 7] = [
        ("seg_32bit", 0, 1),
        ("contents", 1, 3),
        ("read_exec_only", 3, 1),
        ("limit_in_pages", 4, 1),
        ("seg_not_present", 5, 1),
        ("useable", 6, 1),
        ("lm", 7, 1),
    ];
    let padded = |number: u32| if number == 0 { "00000000".to_owned() } else { format!("{number:#08x}") };
    let (base, limit) = (padded(bytes.u32(4)), padded(bytes.u32(8)));
    let _ = write!(out, "{{entry_number={}, base_addr={base}, limit={limit}", bytes.i32(0));
    for (name, shift, mask) in BITS {
        let _ = write!(out, ", {name}={}", bytes.u32(12) >> shift & mask);
    }
    out.push('}');
}

/// The entry that is asked for.
pub fn user_desc_asked(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{entry_number={}, ...}}", bytes.i32(0));
}

/// `struct __sysctl_args`
pub fn sysctl(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{name=");
    address(bytes.u64(0), out);
    let _ = write!(out, ", nlen={}", bytes.i32(8));
    for (name, at) in [(", oldval=", 16), (", oldlenp=", 24), (", newval=", 32)] {
        out.push_str(name);
        address(bytes.u64(at), out);
    }
    let _ = write!(out, ", newlen={}}}", bytes.u64(40));
}

/// `struct sched_attr`, as far as its size says.
pub fn sched_attr(bytes: Bytes<'_>, _: Style, out: &mut String) {
    const KEEP_POLICY: u64 = 8;
    const KEEP_PARAMETERS: u64 = 0x10;
    const FIRST: u32 = 48;
    const SECOND: u32 = 56;
    let (size, bits) = (bytes.u32(0), bytes.u64(8));
    let _ = write!(out, "{{size={size}, ");
    if bits & KEEP_POLICY == 0 {
        out.push_str("sched_policy=");
        value("sched", bytes.u32(4).into(), out);
        out.push_str(", ");
    }
    out.push_str("sched_flags=");
    flags("sched_flags", bits, out);
    if bits & KEEP_PARAMETERS == 0 {
        let _ = write!(out, ", sched_nice={}, sched_priority={}", bytes.i32(16), bytes.u32(20));
        for (name, at) in [("runtime", 24), ("deadline", 32), ("period", 40)] {
            let _ = write!(out, ", sched_{name}={}", bytes.u64(at));
        }
    }
    if size >= SECOND {
        let _ = write!(out, ", sched_util_min={}, sched_util_max={}", bytes.u32(48), bytes.u32(52));
    }
    out.push_str(if size > SECOND || size > FIRST && size < SECOND { ", ...}" } else { "}" });
}

/// `struct sock_fprog`
pub fn sock_fprog(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{len={}, filter=", bytes.u16(0));
    address(bytes.u64(8), out);
    out.push('}');
}

/// `[SECCOMP_RET_ERRNO]`
pub fn seccomp_ret(bytes: Bytes<'_>, _: Style, out: &mut String) {
    bracketed("seccomp_ret", bytes, out);
}

/// `struct seccomp_notif_sizes`
pub fn seccomp_sizes(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let (one, response, data) = (bytes.u16(0), bytes.u16(2), bytes.u16(4));
    let _ = write!(out, "{{seccomp_notif={one}, seccomp_notif_resp={response}, seccomp_data={data}}}");
}

/// `struct kexec_segment`
pub fn kexec_segment(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{buf=");
    address(bytes.u64(0), out);
    let _ = write!(out, ", bufsz={}, mem=", bytes.u64(8));
    hex(bytes.u64(16), out);
    let _ = write!(out, ", memsz={}}}", bytes.u64(24));
}

/// `struct kcmp_epoll_slot`
pub fn kcmp_slot(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{efd={}, tfd={}, toff={}}}", bytes.i32(0), bytes.i32(4), bytes.u32(8));
}

/// `struct futex_waitv`
pub fn futex_waitv(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{val=");
    hex(bytes.u64(0), out);
    out.push_str(", uaddr=");
    address(bytes.u64(8), out);
    out.push_str(", flags=");
    flags("futex2", bytes.u32(16).into(), out);
    if bytes.u32(20) != 0 {
        let _ = write!(out, ", __reserved={:#x}", bytes.u32(20));
    }
    out.push('}');
}

/// The beginning of `struct iocb`.
pub fn iocb(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{aio_data=");
    hex(bytes.u64(0), out);
    out.push_str(", aio_lio_opcode=");
    value("iocb", bytes.u16(16).into(), out);
    let _ = write!(out, ", aio_fildes={}}}", bytes.i32(20));
}

/// `struct io_event`
pub fn io_event(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{data=");
    hex(bytes.u64(0), out);
    out.push_str(", obj=");
    hex(bytes.u64(8), out);
    let _ = write!(out, ", res={}, res2={}}}", bytes.i64(16), bytes.i64(24));
}

/// `[MPOL_DEFAULT]`
pub fn policy(bytes: Bytes<'_>, _: Style, out: &mut String) {
    bracketed("mpol", bytes, out);
}

/// `[SIGTERM]`
pub fn signal(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push('[');
    signals::name(bytes.u32(0).into(), out);
    out.push(']');
}

/// `[PR_TSC_ENABLE]`
pub fn time_stamps(bytes: Bytes<'_>, _: Style, out: &mut String) {
    bracketed("pr_tsc", bytes, out);
}

/// An address in an array.
pub fn pointer(bytes: Bytes<'_>, _: Style, out: &mut String) {
    address(bytes.u64(0), out);
}

/// What has become of a page: its node, or an error with a minus.
pub fn page_status(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let status = bytes.i32(0);
    let error = u16::try_from(status.unsigned_abs()).ok().filter(|_| status < 0).and_then(skep_isa::errno::name);
    let _ = match error {
        Some(name) => write!(out, "-{name}"),
        None => write!(out, "{status}"),
    };
}

/// How a file may be opened: `struct open_how`.
pub fn open_how(bytes: Bytes<'_>, _: Style, out: &mut String) {
    const ACCESS: u64 = 3;
    out.push_str("{flags=");
    out.push_str(super::files::ACCESS[(bytes.u64(0) & ACCESS) as usize]);
    if let Some(set) = sets::find("open") {
        set.more_flags(bytes.u64(0) & !ACCESS, out);
    }
    if bytes.u64(8) != 0 {
        out.push_str(", mode=");
        mode(bytes.u64(8), out);
    }
    out.push_str(", resolve=");
    flags("resolve", bytes.u64(16), out);
    out.push('}');
}

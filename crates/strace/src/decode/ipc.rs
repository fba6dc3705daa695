//! Structures of objects of System V, of POSIX queues and of keys (`asm-generic/ipcbuf.h` and its neighbours,
//! `linux/mqueue.h`, `linux/keyctl.h`).

use std::fmt::Write as _;

use super::text::{Bytes, Style, address, hex, mode};
use super::values::{flags, value};
use crate::table::signals;

/// Owner and permissions: what IPC_SET takes of them, or all.
fn permissions(name: &str, bytes: Bytes<'_>, all: bool, out: &mut String) {
    // Writing to a string succeeds.
    let _ = write!(out, "{{{name}_perm={{uid={}, gid={}, mode=", bytes.u32(4), bytes.u32(8));
    mode(bytes.u32(20).into(), out);
    if all {
        let _ = write!(out, ", key={}, cuid={}, cgid={}", bytes.u32(0), bytes.u32(12), bytes.u32(16));
    }
    out.push('}');
}

/// Fields of 8 bytes with these names and places.
fn fields(bytes: Bytes<'_>, names: &[(&str, usize)], out: &mut String) {
    for (name, at) in names {
        let _ = write!(out, ", {name}={}", bytes.u64(*at));
    }
}

/// Fields of 4 bytes with sign, one behind the other, in braces.
fn numbers(bytes: Bytes<'_>, names: &[&str], out: &mut String) {
    for (number, name) in names.iter().enumerate() {
        let before = if number == 0 { "{" } else { ", " };
        let _ = write!(out, "{before}{name}={}", bytes.i32(4 * number));
    }
}

/// What `semctl(IPC_SET)` takes of `struct semid64_ds`.
pub fn semid_set(bytes: Bytes<'_>, _: Style, out: &mut String) {
    permissions("sem", bytes, false, out);
    out.push('}');
}

/// `struct semid64_ds`
pub fn semid(bytes: Bytes<'_>, _: Style, out: &mut String) {
    permissions("sem", bytes, true, out);
    fields(bytes, &[("sem_otime", 48), ("sem_ctime", 64), ("sem_nsems", 80)], out);
    out.push('}');
}

/// `struct seminfo`
pub fn seminfo(bytes: Bytes<'_>, _: Style, out: &mut String) {
    const NAMES: [&str; 10] =
        ["semmap", "semmni", "semmns", "semmnu", "semmsl", "semopm", "semume", "semusz", "semvmx", "semaem"];
    numbers(bytes, &NAMES, out);
    out.push('}');
}

/// What `shmctl(IPC_SET)` takes of `struct shmid64_ds`.
pub fn shmid_set(bytes: Bytes<'_>, _: Style, out: &mut String) {
    permissions("shm", bytes, false, out);
    out.push('}');
}

/// `struct shmid64_ds`
pub fn shmid(bytes: Bytes<'_>, _: Style, out: &mut String) {
    permissions("shm", bytes, true, out);
    fields(bytes, &[("shm_segsz", 48)], out);
    let _ = write!(out, ", shm_cpid={}, shm_lpid={}", bytes.i32(80), bytes.i32(84));
    fields(bytes, &[("shm_nattch", 88), ("shm_atime", 56), ("shm_dtime", 64), ("shm_ctime", 72)], out);
    out.push('}');
}

/// `struct shminfo64`
pub fn shminfo(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{shmmax={}", bytes.u64(0));
    fields(bytes, &[("shmmin", 8), ("shmmni", 16), ("shmseg", 24), ("shmall", 32)], out);
    out.push('}');
}

/// `struct shm_info`
pub fn shm_info(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{used_ids={}", bytes.i32(0));
    let names = [("shm_tot", 8), ("shm_rss", 16), ("shm_swp", 24), ("swap_attempts", 32), ("swap_successes", 40)];
    fields(bytes, &names, out);
    out.push('}');
}

/// What `msgctl(IPC_SET)` takes of `struct msqid64_ds`.
pub fn msqid_set(bytes: Bytes<'_>, _: Style, out: &mut String) {
    permissions("msg", bytes, false, out);
    fields(bytes, &[("msg_qbytes", 88)], out);
    out.push('}');
}

/// `struct msqid64_ds`
pub fn msqid(bytes: Bytes<'_>, _: Style, out: &mut String) {
    permissions("msg", bytes, true, out);
    let names = [("msg_stime", 48), ("msg_rtime", 56), ("msg_ctime", 64), ("msg_qnum", 80), ("msg_qbytes", 88)];
    fields(bytes, &names, out);
    let _ = write!(out, ", msg_lspid={}, msg_lrpid={}}}", bytes.i32(96), bytes.i32(100));
}

/// `struct msginfo`
pub fn msginfo(bytes: Bytes<'_>, _: Style, out: &mut String) {
    numbers(bytes, &["msgpool", "msgmap", "msgmax", "msgmnb", "msgmni", "msgssz", "msgtql"], out);
    let _ = write!(out, ", msgseg={}}}", bytes.u16(28));
}

/// `struct mq_attr` with flags of `open(2)`.
pub fn mq_attr(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{mq_flags=");
    flags("open", bytes.u64(0), out);
    queue(bytes, out);
}

/// `struct mq_attr` whose flags do not count.
pub fn mq_attr_open(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{mq_flags=");
    hex(bytes.u64(0), out);
    queue(bytes, out);
}

fn queue(bytes: Bytes<'_>, out: &mut String) {
    let (most, size, now) = (bytes.i64(8), bytes.i64(16), bytes.i64(24));
    let _ = write!(out, ", mq_maxmsg={most}, mq_msgsize={size}, mq_curmsgs={now}}}");
}

/// `struct sigevent`: `{sigev_signo=SIGALRM, sigev_notify=SIGEV_SIGNAL}`
pub fn sigevent(bytes: Bytes<'_>, _: Style, out: &mut String) {
    const SIGNAL: u32 = 0;
    const THREAD: u32 = 2;
    const THREAD_ID: u32 = 4;
    out.push('{');
    if bytes.u64(0) != 0 {
        let _ = write!(out, "sigev_value={{sival_int={}, sival_ptr={:#x}}}, ", bytes.i32(0), bytes.u64(0));
    }
    out.push_str("sigev_signo=");
    match bytes.u32(12) {
        SIGNAL | THREAD | THREAD_ID => signals::name(bytes.u32(8).into(), out),
        _ => drop(write!(out, "{}", bytes.u32(8))),
    }
    out.push_str(", sigev_notify=");
    value("sigev", bytes.u32(12).into(), out);
    match bytes.u32(12) {
        THREAD => {
            for (name, at) in [(", sigev_notify_function=", 16), (", sigev_notify_attributes=", 24)] {
                out.push_str(name);
                address(bytes.u64(at), out);
            }
        }
        THREAD_ID => drop(write!(out, ", sigev_notify_thread_id={}", bytes.i32(16))),
        _ => {}
    }
    out.push('}');
}

/// `struct keyctl_dh_params`
pub fn key_dh(bytes: Bytes<'_>, _: Style, out: &mut String) {
    for (number, name) in ["private", "prime", "base"].into_iter().enumerate() {
        let _ = write!(out, "{}{name}=", if number == 0 { "{" } else { ", " });
        serial(bytes.u32(4 * number), out);
    }
    out.push('}');
}

/// The beginning of `struct keyctl_pkey_params`.
pub fn key_pkey(bytes: Bytes<'_>, _: Style, out: &mut String) {
    key_lengths(bytes, "out_len", out);
}

/// The same for KEYCTL_PKEY_VERIFY.
pub fn key_verify(bytes: Bytes<'_>, _: Style, out: &mut String) {
    key_lengths(bytes, "in2_len", out);
}

fn key_lengths(bytes: Bytes<'_>, second: &str, out: &mut String) {
    out.push_str("{key_id=");
    serial(bytes.u32(0), out);
    let _ = write!(out, ", in_len={}, {second}={}}}", bytes.u32(4), bytes.u32(8));
}

/// The number of a key, or the name of one that everybody has.
pub fn serial(number: u32, out: &mut String) {
    match crate::table::sets::find("key_spec").and_then(|set| set.name_of(number.into())) {
        Some(name) => out.push_str(name),
        None => drop(write!(out, "{}", number.cast_signed())),
    }
}

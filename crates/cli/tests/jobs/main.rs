//! The jobs that the scripts of bpftrace's own collection do, each done by a script of ours (the tests of the language
//! have them): started as a user does, with the event made to happen, and what is printed compared with what must come.
//!
//! The table says what each needs. On a kernel with kprobes all run; on one without, those run whose probes another way
//! serves, or whose job a second script does with tracepoints. `docs/kernels.md` says how to run them on other kernels.

mod probes;
mod session;
mod work;

use std::path::Path;

use session::{Printed, Session, script};

/// What becomes of a job on a kernel without kprobes.
enum Without {
    /// The same script runs: it has no kprobes, or the kernel's events serve them.
    Same,
    /// Another script does the job.
    Other(&'static str),
    /// Nothing tells about it there.
    Nothing(&'static str),
}

/// A job.
struct Job {
    name: &'static str,
    script: &'static str,
    without: Without,
    /// First release whose kernel has the events of the script.
    since: (u32, u32),
    /// What else has to be there, as a question to the shell, and what to say if it is not.
    needs: &'static [(&'static str, &'static str)],
    work: fn(),
    /// Lines that must be printed; `*` stands for any letters.
    expected: &'static [&'static str],
}

const BLOCK: (&str, &str) = ("[ -e /dev/nullb0 ] || grep -q '^/dev/[^ ]* / ' /proc/mounts", "there is no disk");
const NETNS: (&str, &str) = ("unshare -n true && command -v ip && command -v bash", "it needs unshare, ip and bash");
const OPENSSL: (&str, &str) = ("command -v openssl", "there is no openssl");
const BASH: (&str, &str) = ("command -v bash", "there is no bash");
const XFS: (&str, &str) = ("grep -q xfs /proc/filesystems && command -v mkfs.xfs", "there is no XFS, or no mkfs.xfs");
const ZRAM: (&str, &str) =
    ("[ -e /dev/zram0 ] && command -v mkswap && command -v swapon", "there is no device for swapping");
const MIRROR: (&str, &str) =
    ("[ -e /sys/module/md_mod/parameters/new_array ] && [ -e /dev/ram1 ]", "there are no mirrors");
const SYMBOL: (&str, &str) = ("grep -qw avenrun /proc/kallsyms", "the kernel hides the addresses of its data");
const OLD: (u32, u32) = (5, 17);

macro_rules! jobs {
    ($($(#[$doc:meta])* $module:ident {
        $($test:ident: $script:literal, $without:expr, $since:expr, [$($needs:expr),*], $work:path, $expected:expr;)+
    })+) => {
        // TABLE
        /// All of them.
        const JOBS: &[Job] = &[$($(Job {
            name: stringify!($test),
            script: $script,
            without: $without,
            since: $since,
            needs: &[$($needs),*],
            work: $work,
            expected: &$expected,
        },)+)+];

        $($(#[$doc])*
        mod $module {
            $(#[test]
            fn $test() {
                super::run(super::JOBS.iter().find(|job| job.name == stringify!($test)).unwrap());
            })+
        })+
    };
}

use Without::{Nothing, Other, Same};

jobs! {
    /// With tracepoints, user probes and clocks.
    events {
        bashreadline: "bashreadline.bt", Same, OLD, [BASH], work::line_of_bash, ["*echo skep-line"];
        biolatency: "biolatency.bt", Same, OLD, [BLOCK], work::disk, ["@usecs:", "[*|@*"];
        biosnoop: "biosnoop.bt", Same, (6, 5), [BLOCK], work::disk, ["* us"];
        biostacks: "biostacks.bt", Same, (6, 5), [BLOCK], work::disk, ["@usecs[", "*submit_bio*", "[*|@*"];
        bitesize: "bitesize.bt", Same, OLD, [BLOCK], work::disk, ["@sizes[*]:", "[*|@*"];
        cpuwalk: "cpuwalk.bt", Same, OLD, [], work::busy, ["@cpus:", "[*|@*"];
        execsnoop: "execsnoop.bt", Same, OLD, [], work::programs, ["* /bin/true skep-argument"];
        gethostlatency: "gethostlatency.bt", Same, OLD, [], work::hosts, ["* ms localhost"];
        killsnoop: "killsnoop.bt", Same, OLD, [], work::signals, ["(*, sh, *, 0, 0)"];
        loads: "loads.bt", Same, OLD, [SYMBOL], work::wait, ["*.*"];
        naptime: "naptime.bt", Same, OLD, [], work::programs, ["sleep <- *: 0.321 s"];
        opensnoop: "opensnoop.bt", Same, OLD, [],
            work::open_files, ["*-2 No such file or directory /tmp/skep-no-such-file", "*Success /etc/passwd"];
        pidpersec: "pidpersec.bt", Same, OLD, [], work::pid_per_second, ["*forks @new: *"];
        runqlat: "runqlat.bt", Same, OLD, [], work::busy, ["@usecs:", "[*|@*"];
        runqlen: "runqlen.bt", Same, OLD, [], work::busy, ["@length:", "[*|@*"];
        setuids: "setuids.bt", Same, OLD, [], work::ids, ["(12345, *, *)"];
        ssllatency: "ssllatency.bt", Same, OLD, [OPENSSL],
            work::tls, ["@lat[SSL_write]:", "@bytes[SSL_read]: *", "@stat[SSL_*]: { .count = *"];
        sslsnoop: "sslsnoop.bt", Same, OLD, [OPENSSL], work::tls, ["* openssl *SSL_write*12", "* openssl *SSL_read*"];
        statsnoop: "statsnoop.bt", Same, OLD, [], work::open_files, ["*2 /tmp/skep-no-such-file", "*0 /etc/passwd"];
        syncsnoop: "syncsnoop.bt", Same, OLD, [], work::sync, ["*sys_enter_fsync", "*sys_enter_sync"];
        syscount: "syscount.bt", Same, OLD, [], work::open_files, ["@calls[*]: *", "@procs[*]: *"];
        tcpdrop: "tcpdrop.bt", Same, OLD, [NETNS], work::drops, ["10.99.0.1:9 *NEIGH_FAILED*"];
        threadsnoop: "threadsnoop.bt", Same, OLD, [], work::thread, ["* PID *"];
        writeback: "writeback.bt", Same, OLD, [], work::written_back, ["* pages, reason *"];
    }
    /// With functions of the kernel.
    functions {
        biolatency_kp: "biolatency-kp.bt", Same, OLD, [BLOCK], work::disk, ["@usecs:", "[*|@*"];
        capable: "capable.bt", Other("capable-tp.bt"), OLD, [], work::capability, ["* 0 CHOWN *"];
        dcsnoop: "dcsnoop.bt", Nothing("look-ups of names have no events"), OLD, [],
            work::lookups, ["M skep-no-such-file", "R *"];
        mdflush: "mdflush.bt", Nothing("flushes of mirrors have no events"), OLD, [MIRROR], work::mirror, ["* md_skep"];
        oomkill: "oomkill.bt", Other("oomkill-tp.bt"), OLD, [], work::out_of_memory, ["* tail, *"];
        swapin: "swapin.bt", Nothing("pages that come back from swap have no event of their own"), OLD, [ZRAM],
            work::swap, ["@pages[*, *]: *"];
        tcpaccept: "tcpaccept.bt", Other("tcpaccept-tp.bt"), OLD, [], work::connection, ["127.0.0.1 *"];
        tcpconnect: "tcpconnect.bt", Same, OLD, [], work::connection, ["127.0.0.1 *"];
        tcplife: "tcplife.bt", Same, OLD, [], work::connection, ["* 1* 2* ms", "* 2* 1* ms"];
        tcpretrans: "tcpretrans.bt", Same, OLD, [NETNS], work::retransmits, ["*SYN_SENT"];
        tcpsynbl: "tcpsynbl.bt", Nothing("the queue of new connections has no event"), OLD, [],
            work::connection, ["@backlog[*]:", "[0]*"];
        undump: "undump.bt", Nothing("reads of sockets have no event with the bytes"), OLD, [],
            work::unix_socket, ["* 11 skep-undump"];
        vfscount: "vfscount.bt", Other("vfscount-tp.bt"), OLD, [], work::open_files, ["@[*open*]: *"];
        vfsstat: "vfsstat.bt", Other("vfsstat-tp.bt"), OLD, [],
            work::files_for_a_second, ["@[*read*]: *", "@[*write*]: *"];
        xfsdist: "xfsdist.bt", Other("xfsdist-tp.bt"), OLD, [XFS], work::xfs, ["@us[xfs_file_*_iter]:", "[*|@*"];
    }
}

#[test]
fn the_table_is_complete() {
    assert_eq!(JOBS.len(), 39);
    for job in JOBS {
        let other = match &job.without {
            Other(script) => Some(*script),
            Same => None,
            Nothing(why) => {
                assert!(!why.is_empty());
                None
            }
        };
        for name in [job.script].into_iter().chain(other) {
            assert!(script(name).is_file(), "{name}");
        }
    }
}

/// Says why a job cannot be done; that is a failure where it must be.
fn skip(job: &Job, why: &str) {
    println!("{}: SKIPPED: {why}", job.name);
}

fn release() -> (u32, u32) {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(['.', '-']).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn run(job: &Job) {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped");
        return skip(job, "tracing needs CAP_SYS_ADMIN");
    }
    if release() < job.since {
        return skip(job, &format!("its events came with Linux {}.{}", job.since.0, job.since.1));
    }
    if let Some((_, why)) = job.needs.iter().find(|(question, _)| !work::shell(question)) {
        return skip(job, why);
    }
    let kprobes = Path::new("/sys/bus/event_source/devices/kprobe").exists();
    let name = match job.without {
        Other(other) if !kprobes => other,
        Nothing(why) if !kprobes => return skip(job, &format!("the kernel has no kprobes, and {why}")),
        _ => job.script,
    };
    let path = script(name);
    let mut last = None;
    // What happens on a whole machine may be late once.
    for _ in 0..3 {
        let session = match Session::start(&[path.to_str().unwrap()]) {
            Ok(session) => session,
            Err(printed) => panic!("{name} does not start: {printed:#?}"),
        };
        (job.work)();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let printed: Printed = session.end();
        assert_eq!(printed.status, Some(0), "{name}: {printed:#?}");
        if missing(job, &printed).is_empty() {
            println!("{}: {name} did it", job.name);
            return;
        }
        last = Some(printed);
    }
    let printed = last.unwrap();
    panic!("{name} did not print {:?}\n{}\n{}", missing(job, &printed), printed.out, printed.err);
}

/// The lines that were not printed. `PID` stands for this process.
fn missing(job: &Job, printed: &Printed) -> Vec<String> {
    let process = std::process::id().to_string();
    job.expected
        .iter()
        .map(|pattern| pattern.replace("PID", &process))
        .filter(|pattern| !printed.has(pattern))
        .collect()
}

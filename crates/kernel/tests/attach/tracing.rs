//! Tracepoints of all kinds, functions, security hooks, iterators.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;

use skep_isa::{AttachType, MapType, ProgType};
use skep_kernel::attach::{
    Attachment, IterTarget, Tracefs, attach_freplace, attach_iter, attach_raw_tracepoint, attach_tracepoint,
    attach_tracing,
};
use skep_kernel::{KernelError, LoadedProgram, ProgramDefinition, Update};

use super::support::{Counting, Wanted, absent, in_namespace, is_root, map, only_this_thread, value};

/// A system call that nothing else in the test makes.
fn call() {
    // SAFETY: takes no arguments.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Makes the kernel call `vfs_read`.
fn read() {
    drop(std::fs::read("/proc/self/stat").unwrap());
}

fn load(wanted: &Wanted<'_>) -> Option<Counting> {
    match Counting::load(wanted) {
        Ok(counting) => Some(counting),
        Err(KernelError::NotPermitted { .. }) => {
            absent(&format!("this kernel refuses to load {:?} programs for {:?}", wanted.prog_type, wanted.btf));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn tracepoints() {
    in_namespace(|| {
        let before = only_this_thread();
        let wanted = Wanted { before: &before, ..Wanted::new(ProgType::Tracepoint, 0) };
        let counting = Counting::load(&wanted).unwrap();
        let attached = attach_tracepoint(&counting.program, "syscalls", "sys_enter_getppid", 0).unwrap();
        counting.expect(3, || (0..3).for_each(|_| call()));
        println!("attached as {attached:?}");
        drop(attached);
        counting.expect_end(call);
    });
}

#[test]
fn cookies_of_tracepoints_arrive() {
    in_namespace(|| {
        let counters = super::support::counter();
        let text = format!(
            "r6 = r1\n{}r1 = r6\ncall 174\nr1 = map[fd:{}][0]+0 ll\n*(u64 *)(r1 +8) = r0\nr0 = 0\nexit\n",
            only_this_thread(),
            std::os::fd::AsRawFd::as_raw_fd(&counters.as_fd())
        );
        let insns = skep_isa::ebpf::assemble(&text).unwrap();
        let definition =
            ProgramDefinition { name: "cookie", prog_type: ProgType::Tracepoint, insns: &insns, license: "GPL" };
        let program = LoadedProgram::load(&definition).unwrap();
        let attached = attach_tracepoint(&program, "syscalls", "sys_enter_getppid", 0x1234_5678_9abc).unwrap();
        call();
        assert_eq!(value(&counters, 1), 0x1234_5678_9abc);
        assert!(matches!(attached, Attachment::Link(_)));
    });
}

#[test]
fn unknown_tracepoints_have_neighbours() {
    in_namespace(|| {
        let counting = Counting::new(ProgType::Tracepoint, 0);
        let text = |category, name| attach_tracepoint(&counting.program, category, name, 0).unwrap_err().to_string();
        assert!(text("syscalls", "sys_enter_getppit").contains("did you mean `sys_enter_getppid`"));
        assert!(text("syscall", "sys_enter_getppid").contains("did you mean `syscalls:sys_enter_getppid`?"));
        assert!(text("nothing", "nothing_at_all").contains("nor a category `nothing`"));
        let raw = Counting::new(ProgType::RawTracepoint, 0);
        let text = |name| attach_raw_tracepoint(&raw.program, name, 0).unwrap_err().to_string();
        assert!(text("sched_swich").contains("did you mean `sched_switch`?"), "{}", text("sched_swich"));
        assert!(text("sched:sched_switch").contains("without category: `sched_switch`"));
        assert!(text("sys_enter_openat").contains("system calls share `sys_enter` and `sys_exit`"));
        // A socket filter is no program for tracepoints.
        let filter = Counting::new(ProgType::SocketFilter, 0);
        let error = attach_tracepoint(&filter.program, "syscalls", "sys_enter_getppid", 0).unwrap_err();
        assert!(error.to_string().contains("program's type does not fit the event"), "{error}");
        assert!(Tracefs::find().unwrap().tracepoints().len() > 100);
    });
}

#[test]
fn tracefs_that_is_not_mounted() {
    if !is_root() {
        return;
    }
    let thread = std::thread::spawn(|| {
        // SAFETY: the calls take constants and C strings, and change nothing but this thread's namespaces.
        unsafe {
            assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
            let none = std::ptr::null();
            assert_eq!(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()), 0);
            while libc::umount2(c"/sys/kernel/tracing".as_ptr(), libc::MNT_DETACH) == 0 {}
            while libc::umount2(c"/sys/kernel/debug".as_ptr(), libc::MNT_DETACH) == 0 {}
        }
        let tracefs = Tracefs::find().unwrap();
        let id = tracefs.event_id("sched", "sched_switch");
        (tracefs, id, std::fs::read_to_string("/proc/thread-self/mounts").unwrap())
    });
    let (tracefs, id, mounts) = thread.join().unwrap();
    assert!(tracefs.root().starts_with("/proc/self/fd"), "{tracefs:?}");
    assert!(id.unwrap() > 0 && tracefs.tracepoints().len() > 100);
    assert!(!mounts.contains("tracefs"), "nothing is mounted: {mounts}");
}

#[test]
fn raw_tracepoints() {
    if !is_root() {
        return;
    }
    let before =
        format!("{}r1 = *(u64 *)(r6 +8)\nif r1 == {} goto +2\nr0 = 0\nexit\n", only_this_thread(), libc::SYS_getppid);
    let counting = Counting::load(&Wanted { before: &before, ..Wanted::new(ProgType::RawTracepoint, 0) }).unwrap();
    let link = attach_raw_tracepoint(&counting.program, "sys_enter", 0).unwrap();
    counting.expect(2, || (0..2).for_each(|_| call()));
    assert!(link.id().unwrap() > 0);
    assert_eq!(link.program_id().unwrap(), counting.program.info().unwrap().id);
    drop(link);
    counting.expect_end(call);
}

#[test]
fn typed_tracepoints() {
    if !is_root() {
        return;
    }
    let before = only_this_thread();
    let wanted = Wanted {
        before: &before,
        btf: Some("btf_trace_sys_enter"),
        ..Wanted::at(ProgType::Tracing, AttachType::TraceRawTp, 0)
    };
    let Some(counting) = load(&wanted) else { return };
    let link = attach_tracing(&counting.program, AttachType::TraceRawTp, 0).unwrap();
    let start = counting.count();
    call();
    assert!(counting.count() > start);
    drop(link);
    counting.expect_end(call);
}

#[test]
fn functions_and_their_results() {
    if !is_root() {
        return;
    }
    for attach_type in [AttachType::TraceFentry, AttachType::TraceFexit, AttachType::ModifyReturn] {
        let before = only_this_thread();
        // Results of security hooks can be changed on every kernel, those of other functions where it allows that.
        let target = if attach_type == AttachType::ModifyReturn { "security_file_open" } else { "vfs_read" };
        let wanted = Wanted { before: &before, btf: Some(target), ..Wanted::at(ProgType::Tracing, attach_type, 0) };
        let Some(counting) = load(&wanted) else { continue };
        let link = match attach_tracing(&counting.program, attach_type, 0) {
            Ok(link) => link,
            Err(error @ KernelError::Unsupported { .. }) => {
                absent(&error.to_string());
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        counting.expect_soon(1, read);
        drop(link);
        counting.expect_end(read);
        let link = attach_tracing(&counting.program, attach_type, 7).unwrap();
        assert!(link.id().unwrap() > 0);
    }
}

#[test]
fn security_hooks() {
    if !is_root() {
        return;
    }
    let lsm = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let before = only_this_thread();
    let wanted =
        Wanted { before: &before, btf: Some("bpf_lsm_file_open"), ..Wanted::at(ProgType::Lsm, AttachType::LsmMac, 0) };
    let Some(counting) = load(&wanted) else { return };
    let link = attach_tracing(&counting.program, AttachType::LsmMac, 0).unwrap();
    if lsm.split(',').any(|name| name.trim() == "bpf") {
        counting.expect(1, || drop(File::open("/proc/self/status").unwrap()));
    } else {
        absent(&format!("`bpf` is not among the active security modules ({})", lsm.trim()));
    }
    drop(link);
    counting.expect_end(|| drop(File::open("/proc/self/status").unwrap()));
}

#[test]
fn replacing_needs_a_program_of_that_type() {
    if !is_root() {
        return;
    }
    let counting = Counting::new(ProgType::SocketFilter, 0);
    let error = attach_freplace(&counting.program, Some((counting.program.as_fd(), 1))).unwrap_err();
    assert!(error.to_string().contains("not of type ext"), "{error}");
    let error = attach_tracing(&counting.program, AttachType::TraceFentry, 0).unwrap_err();
    assert!(error.to_string().contains("was not loaded for a function"), "{error}");
}

#[test]
fn iterators_over_tasks_and_maps() {
    if !is_root() {
        return;
    }
    // bpf_seq_write of four bytes for each task; the last call, with no task, writes nothing.
    let body = |pointer: i32| {
        format!(
            "r1 = *(u64 *)(r6 +0)\nr1 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r6 +{pointer})\nif r2 == 0 goto +5\n\
             *(u32 *)(r10 -4) = 0x2e706b73\nr2 = r10\nr2 += -4\nr3 = 4\ncall 127\n"
        )
    };
    let before = body(8);
    let wanted = Wanted {
        before: &before,
        btf: Some("bpf_iter_task"),
        ..Wanted::at(ProgType::Tracing, AttachType::TraceIter, 0)
    };
    let Some(counting) = load(&wanted) else { return };
    let iter = attach_iter(&counting.program, IterTarget::All).unwrap();
    let text = |iter: &skep_kernel::attach::Iter| {
        let mut text = String::new();
        iter.open().unwrap().read_to_string(&mut text).unwrap();
        text
    };
    let all = text(&iter);
    assert!(all.len() >= 8 && all.replace("skp.", "").is_empty(), "{all}");
    assert_eq!(counting.count(), all.len() as u64 / 4 + 1);
    // One task, by its number.
    // SAFETY: takes no arguments.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    let one = attach_iter(&counting.program, IterTarget::Task(u32::try_from(thread).unwrap())).unwrap();
    assert_eq!(text(&one), "skp.");
    let own = attach_iter(&counting.program, IterTarget::Process(std::process::id())).unwrap();
    assert!(text(&own).len() >= 4);
    // The elements of a map.
    let before = body(16);
    let wanted = Wanted {
        before: &before,
        btf: Some("bpf_iter_bpf_map_elem"),
        ..Wanted::at(ProgType::Tracing, AttachType::TraceIter, 0)
    };
    let elements = Counting::load(&wanted).unwrap();
    let hash = map(MapType::Hash, 4, 4, 10);
    for key in 0..7u32 {
        hash.set(&key.to_ne_bytes(), &[0; 4], Update::Any).unwrap();
    }
    let iter = attach_iter(&elements.program, IterTarget::Map(hash.as_fd())).unwrap();
    assert_eq!(text(&iter), "skp.".repeat(7));
    let error = attach_iter(&elements.program, IterTarget::All).unwrap_err();
    assert!(error.to_string().contains("need that map"), "{error}");
}

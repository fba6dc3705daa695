//! Each type of probe on the kernel that runs: what it counts must be what this process did. `PID` in a script stands for
//! this process.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::session::{Printed, Session};
use super::work;

/// What a kernel has to have.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    /// Nothing special.
    Nothing,
    /// Kprobes.
    Kprobes,
    /// Programs at functions, which may be refused though the kernel has them.
    Typed,
    /// Either of them.
    Functions,
    /// A module for network devices.
    Module,
}

impl Needs {
    fn there(self) -> bool {
        let kprobes = Path::new("/sys/bus/event_source/devices/kprobe").exists();
        let typed = || probe_of_types();
        match self {
            Self::Nothing => true,
            Self::Kprobes => kprobes,
            Self::Typed => typed(),
            Self::Functions => kprobes || typed(),
            Self::Module => {
                kprobes && Path::new("/sys/module/dummy/initstate").exists() && work::shell("command -v unshare")
            }
        }
    }
}

/// Whether programs at functions may be attached here.
fn probe_of_types() -> bool {
    let prober = skep_kernel::probe::Prober::new();
    let types = skep_kernel::KernelBtf::vmlinux().ok();
    let types = types.and_then(|blob| skep_btf::Btf::parse(blob.bytes().to_vec()).ok());
    let number = types.and_then(|btf| btf.find_where("vfs_read", |kind| matches!(kind, skep_btf::Kind::Func { .. })));
    number.is_some_and(|number| prober.function(number.0, false).is_ok())
}

const FILE: &str = "/tmp/skep-probe-file";

/// Three files that do not exist, and five reads of ten bytes.
fn files() {
    for _ in 0..3 {
        assert!(File::open("/tmp/skep-probe").is_err());
    }
    std::fs::write(FILE, [7; 100]).unwrap();
    let mut file = File::open(FILE).unwrap();
    for _ in 0..5 {
        file.read_exact(&mut [0; 10]).unwrap();
    }
    std::fs::remove_file(FILE).unwrap();
}

fn sleep() {
    for _ in 0..4 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// New memory is touched, and processors are busy.
fn memory() {
    let bytes = std::hint::black_box(vec![1u8; 32 << 20]);
    assert_eq!(bytes[5 << 20], 1);
    work::busy();
}

static WATCHED: AtomicU32 = AtomicU32::new(0);

fn watched() {
    for _ in 0..7 {
        WATCHED.fetch_add(1, Ordering::SeqCst);
    }
}

#[track_caller]
fn traced(name: &str, needs: Needs, text: &str, work: fn(), expected: &[&str]) {
    traced_with(name, needs, &[], text, work, expected);
}

#[track_caller]
fn traced_with(name: &str, needs: Needs, more: &[&str], text: &str, work: fn(), expected: &[&str]) {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) || !needs.there() {
        return println!("{name}: SKIPPED: this kernel or this user cannot");
    }
    let text = text.replace("PID", &std::process::id().to_string());
    let arguments: Vec<&str> = more.iter().copied().chain(["-e", &text]).collect();
    let printed: Printed = match Session::start(&arguments) {
        Ok(session) => {
            work();
            session.end()
        }
        Err(printed) => panic!("{name} does not start: {}\n{}", printed.out, printed.err),
    };
    let missing: Vec<&&str> = expected.iter().filter(|pattern| !printed.has(pattern)).collect();
    assert!(missing.is_empty(), "{name} did not print {missing:?}\n{}\n{}", printed.out, printed.err);
    println!("{name}: done\n{}", printed.err);
}

#[test]
fn functions_of_system_calls_have_a_way_everywhere() {
    let text = "kprobe:do_sys_openat2 /pid == PID && str(arg1) == \"/tmp/skep-probe\"/ { @a = count(); } \
                kretprobe:do_sys_openat2 /pid == PID && (int32)retval < 0/ { @r[(int32)retval] = count(); }";
    traced("openat2", Needs::Nothing, text, files, &["@a: 3", "@r[-2]: 3"]);
    let text = "kprobe:__x64_sys_openat /pid == PID && str(((struct pt_regs *)arg0)->si) == \"/tmp/skep-probe\"/ \
                { @a = count(); } kretprobe:__x64_sys_openat /pid == PID && (int64)retval < 0/ { @r[(int64)retval] = count(); }";
    if cfg!(target_arch = "x86_64") {
        traced("openat", Needs::Nothing, text, files, &["@a: 3", "@r[-2]: 3"]);
    }
}

#[test]
fn system_calls_by_their_tracepoints() {
    let text = "tracepoint:syscalls:sys_enter_openat /pid == PID && str(args.filename) == \"/tmp/skep-probe\"/ \
                { @dir[(int32)args.dfd, args.flags & 0x80000] = count(); @nr = max(args.__syscall_nr); } \
                tracepoint:syscalls:sys_exit_openat /pid == PID && args.ret < 0/ { @r[args.ret] = count(); } \
                tracepoint:raw_syscalls:sys_enter /pid == PID/ { @raw[args.id == 257] = count(); } \
                tracepoint:syscalls:sys_enter_openat /pid == PID/ { @again[probe] = count(); }";
    let expected =
        ["@dir[-100, 524288]: 3", "@r[-2]: 3", "@again[tracepoint:syscalls:sys_enter_openat]: *", "@raw[*]: *"];
    traced("system calls", Needs::Nothing, text, files, &expected);
}

#[test]
fn starts_and_returns_of_functions() {
    let text = "kprobe:vfs_read /pid == PID && (arg0 & 7) == 0/ \
                { @k[str(((struct file *)arg0)->f_path.dentry->d_name.name), arg2] = count(); @name[func] = count(); } \
                kretprobe:vfs_read /pid == PID && (int64)retval == 10/ { @ret = count(); }";
    let expected = ["@k[skep-probe-file, 10]: 5", "@ret: 5", "@name[vfs_read]: *"];
    traced("kprobe", Needs::Functions, text, files, &expected);
}

#[test]
fn many_functions_at_once() {
    let text = "kprobe:vfs_r* /pid == PID/ { @[func] = count(); @all = count(); } \
                kretprobe:vfs_r* /pid == PID/ { @back = count(); }";
    traced("many", Needs::Kprobes, text, files, &["@[vfs_read]: *", "@all: *", "@back: *"]);
}

#[test]
fn instructions_inside_of_functions() {
    // One of them is the first behind the hook of the function tracer.
    let text = "config = { missing_probes = ignore } \
                kprobe:vfs_read+5, kprobe:vfs_read+9 /pid == PID/ { @n = count(); @ip = max(reg(\"ip\")); }";
    traced("offset", Needs::Kprobes, text, files, &["@n: *"]);
}

#[test]
fn registers_and_stacks_of_functions() {
    let text = "kprobe:vfs_read /pid == PID && reg(\"di\") == arg0/ { @[kstack(3)] = count(); }";
    traced("registers", Needs::Kprobes, text, files, &["*vfs_read+*"]);
}

#[test]
fn typed_arguments() {
    let text = "fentry:vfs_read /pid == PID/ { @f[str(args.file->f_path.dentry->d_name.name), args.count] = count(); } \
                fexit:vfs_read /pid == PID && retval == 10/ { @r = max(args.count); @n = count(); @name[func] = count(); }";
    traced("fentry", Needs::Typed, text, files, &["@f[skep-probe-file, 10]: 5", "@n: 5", "@r: 10"]);
    let text = "fentry:vfs_read /pid == PID && args.count == 10/ { @f = count(); } \
                fexit:vfs_read /pid == PID && retval == 10/ { @n = count(); }";
    traced("fentry by any way", Needs::Functions, text, files, &["@f: 5", "@n: 5"]);
}

#[test]
fn functions_of_modules() {
    let text = "kprobe:dummy_xmit { @bare = count(); } kprobe:dummy:dummy_xmit { @named = count(); }";
    traced("module", Needs::Module, text, work::swallowed, &["@bare: *", "@named: *"]);
    let text = "fentry:dummy:dummy_xmit { @typed[str(args.dev->name)] = count(); } \
                fexit:dummy:dummy_xmit { @back[(int64)retval] = count(); }";
    traced("module with types", Needs::Module, text, work::swallowed, &["@typed[skd]: *", "@back[0]: *"]);
}

#[test]
fn iterators() {
    let text = "iter:task { if (ctx.task->tgid == PID) { @[ctx.task->tgid] = count(); } }";
    let expected = format!("@[{}]: *", std::process::id());
    traced("iterator", Needs::Typed, text, || (), &[&expected]);
}

#[test]
fn memory_that_is_watched() {
    let address = std::ptr::from_ref(&WATCHED) as usize;
    let text = format!("watchpoint:{address:#x}:4:w {{ @ = count(); }}");
    let process = std::process::id().to_string();
    traced_with("watchpoint", Needs::Kprobes, &["-p", &process], &text, watched, &["@: 7"]);
}

#[test]
fn counters_and_clocks() {
    let text = "software:page-faults:1 /pid == PID/ { @faults = count(); } profile:hz:99 { @p = count(); } \
                interval:ms:20 { @i = count(); } software:context-switches:1 { @c = count(); }";
    traced("software", Needs::Nothing, text, memory, &["@faults: *", "@p: *", "@i: *", "@c: *"]);
}

/// Each event that the kernel counts can be attached; those that this work causes are counted.
#[test]
fn software_events() {
    let names: Vec<&str> = skep_lang_script::providers::SOFTWARE_EVENTS.iter().map(|event| event.name).collect();
    let text: String = names.iter().map(|name| format!("software:{name}:1 {{ @[probe] = count(); }} ")).collect();
    // A clock that runs once in each nanosecond would leave no time for anything else.
    let text = text.replace("-clock:1 ", "-clock:1000000 ");
    let expected = [
        "@[software:page-faults:1]: *",
        "@[software:minor-faults:1]: *",
        "@[software:context-switches:1]: *",
        "@[software:cpu-clock:1000000]: *",
    ];
    traced("software events", Needs::Nothing, &text, memory, &expected);
}

/// Counters of the processor, where it has them; else what is missing is said.
#[test]
fn hardware_events() {
    for (name, count) in [("cpu-cycles", 1_000_000), ("instructions", 1_000_000), ("L1-dcache-loads", 100_000)] {
        let text = format!("hardware:{name}:{count} {{ @n = count(); @user = sum((uint64)usermode); }}");
        match Session::start(&["-e", &text]) {
            Ok(session) => {
                work::busy();
                let printed = session.end();
                assert!(printed.has("@n: *"), "{name}: {}\n{}", printed.out, printed.err);
            }
            Err(printed) => {
                if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
                    return println!("SKIPPED: attaching needs CAP_SYS_ADMIN");
                }
                let has_counters = Path::new("/sys/bus/event_source/devices/cpu").exists();
                // A machine may have counters without this event.
                assert!(!has_counters || name == "L1-dcache-loads", "{name}: {}", printed.err);
                let said = format!("cannot attach the probe `hardware:{name}:{count}` (line 1): ");
                assert!(printed.err.contains(&said) && printed.status == Some(255), "{name}: {printed:#?}");
                println!("{name}: SKIPPED: the processor has no such counter: {}", printed.err);
            }
        }
    }
}

#[test]
fn raw_tracepoints() {
    let text = "rawtracepoint:sched_process_exec { @[str(args.p->comm)] = count(); } \
                rawtracepoint:sys_enter /pid == PID/ { @calls = count(); } tracepoint:sched:sched_process_* { @s[probe] = count(); }";
    let expected = ["@[sleep]: *", "@calls: *", "@s[tracepoint:sched:sched_process_exit]: *"];
    traced("raw", Needs::Nothing, text, work::programs, &expected);
}

#[test]
fn naps() {
    let text = "kprobe:hrtimer_nanosleep /pid == PID/ { @ = count(); }";
    traced("hrtimer", Needs::Functions, text, sleep, &["@: 4"]);
}

/// Some functions begin with an instruction on which the kernel cannot put a probe.
#[test]
fn of_many_functions_of_a_library_those_that_can_be_probed() {
    let able = skep_kernel::has_capability(skep_kernel::Capability::SysAdmin);
    if !able || !work::shell("ls /lib/*/libcrypto.so* /usr/lib/*/libcrypto.so*") {
        return println!("SKIPPED: tracing needs CAP_SYS_ADMIN, and the test libcrypto");
    }
    for body in ["@ = count();", "@[func] = count();"] {
        let text = format!("config = {{ missing_probes = ignore }} uprobe:libcrypto:EVP_A* {{ {body} }}");
        match Session::start(&["--dry-run", "-e", &text]) {
            Ok(session) => panic!("it goes on: {:?}", session.end()),
            Err(printed) => assert_eq!(printed.status, Some(0), "{printed:#?}"),
        }
    }
    let text = "config = { missing_probes = warn } uprobe:libcrypto:no_such_function { @ = count(); }";
    match Session::start(&["-e", text]) {
        Ok(session) => panic!("nothing is left to wait for: {:?}", session.end()),
        Err(printed) => {
            assert!(printed.err.contains("no_such_function") && printed.status == Some(255), "{printed:#?}")
        }
    }
}

#[test]
fn places_that_cannot_be_reached_are_explained() {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return println!("SKIPPED: attaching needs CAP_SYS_ADMIN");
    }
    let refused = |text: &str| match Session::start(&["-e", text]) {
        Ok(session) => panic!("{text}: {:?}", session.end()),
        Err(printed) => printed.err,
    };
    let error = refused("kprobe:vfs_no_such_function { @ = count(); }");
    assert!(error.contains("the kernel has no function `vfs_no_such_function`"), "{error}");
    if Needs::Functions.there() {
        return;
    }
    let error = refused("kprobe:vfs_read { @ = count(); }");
    for part in ["no kprobes", "refuses fentry", "tracepoint:syscalls:sys_enter_read"] {
        assert!(error.contains(part), "{error}");
    }
    let error = refused("kprobe:tcp_connect { printf(\"%d\", arg1); }");
    assert!(error.contains("does not tell arg1"), "{error}");
    let error = refused("kprobe:vfs_read+5 { @ = count(); }");
    assert!(error.contains("only kprobes reach instructions"), "{error}");
}

/// Loops whose rounds the kernel's verifier must not follow one by one; the same on every release.
#[test]
fn long_loops() {
    let scripts = [
        ("$s = 0; for ($i : 0..100000) { $s += $i; } printf(\"%ld\\n\", $s);", "4999950000"),
        (
            "$i = 0; $x = 0; $y = 0; $z = 0; while (1) { $i++; if ($x > 5) { $y++; $x = 0 } else { $x++; } \
             if ($y > 7) { $z += 3; $y = 0; } if ($i == 90000) { break; } } printf(\"%d %d %d\\n\", $x, $y, $z);",
            "1 1 4821",
        ),
        (
            "$a = (1, 2, \"abc\"); $n = 0; for ($i : 0..20000) { $a = ($i, 5, \"abd\"); if ($a.0 == 77) { @ = $a; } \
             for ($j : 0..3) { if ($j == 1) { @z = lhist($j, 0, 10, 1); } unroll (5) { $n++; } } } printf(\"%d\\n\", $n);",
            "300000",
        ),
        (
            "$n = 0; for ($i : 0..50) { for ($j : 0..40) { for ($k : 0..30) { $n += $i > $j ? 1 : $k > 3 ? 2 : 3; } } } \
          printf(\"%d\\n\", $n);",
            "87880",
        ),
        (
            "@m[1] = 5; @m[2] = 7; $s = 0; for ($kv : @m) { for ($i : 0..$kv.1) { $s += $kv.0; } } printf(\"%d\\n\", $s);",
            "19",
        ),
        ("@c = sum(5); @c = sum(6); $i = 0; while ($i < 10) { $i += (int64)@c; } printf(\"%d\\n\", $i);", "11"),
    ];
    for (body, expected) in scripts {
        let text = format!("begin {{ {body} exit(); }}");
        if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
            return println!("SKIPPED: loading programs needs CAP_SYS_ADMIN");
        }
        match Session::start(&["-e", &text]) {
            Ok(session) => panic!("it goes on: {:?}", session.end()),
            Err(printed) => assert!(printed.has(expected) && printed.status == Some(0), "{text}: {printed:#?}"),
        }
    }
    let value = "fn found($limit : int64) : int64 { for ($i : 0..1000) { if ($i * $i > $limit) { return $i; } } return -1; } \
                 begin { printf(\"%d %d\\n\", found(100), found(10000000)); exit(); }";
    match Session::start(&["-e", value]) {
        Ok(session) => panic!("it goes on: {:?}", session.end()),
        Err(printed) => assert!(printed.has("11 -1"), "{printed:#?}"),
    }
}

//! Verdicts for processes with fewer capabilities against those of the running kernel.

mod agreement;

use agreement::{Figures, Tally, Theirs, Unlocked};
use skep_isa::ProgType::{
    self, CgroupSkb, CgroupSock, LwtIn, SchedCls, SkMsg, SkSkb, SockOps, SocketFilter, Syscall, Xdp,
};
use skep_isa::ebpf::assemble;
use skep_isa::helpers::HELPERS;
use skep_object::{Object, ProgFlags, Program};
use skep_testkit::selftests::Selftests;
use skep_verifier::{Kernel, Loader, Reason, Terms, Verdict, may_load, verify_by};

/// A process that may load programs, and not see addresses of the kernel.
const WITHOUT_PERFMON: Loader = Loader { perfmon: false, ..Loader::ALL };

/// The kernel's own tests that say what a process without capabilities gets; all of them where the whole corpus is compared.
fn names(tests: &Selftests) -> Vec<String> {
    let all = is_all();
    let text = |name: &str| std::fs::read_to_string(tests.source(name)).unwrap_or_default();
    tests.names().unwrap().into_iter().filter(|name| all || text(name).contains("_unpriv")).collect()
}

fn is_all() -> bool {
    std::env::var("SKEP_CORPUS").as_deref() == Ok("all")
}

fn compare(loader: Loader, word: &str, kernel: Kernel) {
    if !agreement::guards() {
        return;
    }
    if agreement::is_emulated() {
        return compare_compiled(loader, word, kernel);
    }
    let tests = match Selftests::prepare(&agreement::cache()) {
        Ok(tests) => tests,
        Err(why) => return agreement::skip(&why),
    };
    let tally = agreement::in_parallel(&names(&tests), |name| match tests.object(name) {
        Ok(bytes) => agreement::judge_reduced(name, &bytes, kernel, loader),
        Err(_) => Vec::new(),
    });
    let part = if is_all() { "all" } else { "part" };
    hold(&format!("selftests-{part}-{word}-{}", kernel.name()), &tally);
    let own = agreement::in_parallel(&agreement::own_sources(), |source| {
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        match skep_testkit::clang::compile(source, &[]) {
            Ok(bytes) => agreement::judge_reduced(&name, &bytes, kernel, loader),
            Err(_) => Vec::new(),
        }
    });
    hold(&format!("own-all-{word}-{}", kernel.name()), &own);
}

/// Every third object of those that were compiled on another kernel.
fn compare_compiled(loader: Loader, word: &str, kernel: Kernel) {
    let Ok(entries) = std::fs::read_dir(agreement::cache().join("objects")) else {
        return println!("SKIPPED: no objects were taken along");
    };
    let stem = |path: &std::path::Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut objects: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    objects.retain(|path| path.extension().is_some_and(|one| one == "o") && stem(path).starts_with("verifier_"));
    objects.sort_unstable();
    let some: Vec<_> = objects.into_iter().step_by(3).collect();
    let tally = agreement::in_parallel(&some, |path| {
        agreement::judge_reduced(&stem(path), &std::fs::read(path).unwrap_or_default(), kernel, loader)
    });
    hold(&format!("selftests-third-{word}-{}", kernel.name()), &tally);
}

/// Shows the figures, and fails if they are worse than they were.
fn hold(name: &str, tally: &Tally) {
    let report = tally.write_report(name);
    let found = tally.figures();
    println!("{name}: {found}");
    println!("each program: {}", report.display());
    if agreement::is_emulated() {
        tally.worst().iter().for_each(|line| println!("{line}"));
    }
    if std::env::var("SKEP_WRITE_FIGURES").as_deref() == Ok("1") {
        return Figures::write(name, &found);
    }
    let worse = Figures::read(name).compare(&found);
    assert!(worse.is_empty(), "{name}: worse than before:\n{}\nsee {}", worse.join("\n"), report.display());
}

#[test]
fn verdicts_with_bpf_and_without_perfmon() {
    let Some(kernel) = agreement::running() else { return };
    compare(WITHOUT_PERFMON, "bpf", kernel);
}

#[test]
fn verdicts_without_capabilities() {
    let Some(kernel) = agreement::running() else { return };
    let Some(_unlocked) = Unlocked::new() else {
        return println!("SKIPPED: this kernel never lets processes without capabilities load programs");
    };
    compare(Loader::NONE, "none", kernel);
}

/// A program of its own.
fn object(text: &str, prog_type: ProgType) -> Object {
    let mut program = Program::new("test", prog_type, assemble(text).unwrap());
    if prog_type == Syscall {
        program.flags = ProgFlags::SLEEPABLE;
    }
    Object { license: "GPL".to_owned(), programs: vec![program], ..Object::default() }
}

/// Whether a helper is there for a process, by the running kernel.
fn is_there(object: &Object, loader: Loader) -> Option<bool> {
    match agreement::theirs_for(object, &object.programs[0], loader) {
        Theirs::Takes => Some(true),
        Theirs::Refuses(words) => {
            Some(!["cannot use helper", "unknown func", "invalid func"].iter().any(|one| words.contains(one)))
        }
        Theirs::Silent(_) => None,
    }
}

#[test]
fn nothing_is_read_from_used_stack_only() {
    let Some(kernel) = agreement::running() else { return };
    for (before, first) in [("r0 = 0", -8), ("*(u64 *)(r10 - 8) = 0", -8), ("*(u64 *)(r10 - 8) = 0", -16)] {
        let rest = "r2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\ncall 28\nr0 = 0\nexit";
        let object = object(&format!("{before}\nr1 = r10\nr1 += {first}\n{rest}"), SchedCls);
        for loader in [Loader::ALL, WITHOUT_PERFMON] {
            let ours = verify_by(&object, &object.programs[0], kernel, &Terms { loader, ..Terms::default() });
            let ours = matches!(ours, Verdict::Accepted(_));
            match agreement::theirs_for(&object, &object.programs[0], loader) {
                Theirs::Takes => assert!(ours, "{before}, {first}, {loader:?}"),
                Theirs::Refuses(why) => assert!(!ours, "{before}, {first}, {loader:?}: {why}"),
                Theirs::Silent(why) => println!("no verdict of the kernel: {why}"),
            }
        }
    }
}

#[test]
fn helpers_ask_for_capabilities() {
    let Some(kernel) = agreement::running() else { return };
    let unlocked = Unlocked::new();
    let types = [SocketFilter, CgroupSkb, CgroupSock, SchedCls, Xdp, LwtIn, SkMsg, SkSkb, SockOps, Syscall];
    let (mut compared, mut wrong) = (0, Vec::new());
    for loader in [WITHOUT_PERFMON, Loader::NONE].into_iter().filter(|loader| loader.bpf || unlocked.is_some()) {
        for prog_type in types.into_iter().filter(|prog_type| may_load(*prog_type, loader)) {
            // Who asks where it was called has its own rule for that.
            for helper in HELPERS.iter().filter(|helper| helper.name != "get_func_ip") {
                let object = object(&format!("call {}\nr0 = 0\nexit", helper.id), prog_type);
                let terms = Terms { loader, ..Terms::default() };
                let ours = match verify_by(&object, &object.programs[0], kernel, &terms) {
                    Verdict::Undecided { .. } => continue,
                    Verdict::Accepted(_) => true,
                    Verdict::Rejected(rejection) => !matches!(
                        rejection.reason,
                        Reason::HelperRefused(_)
                            | Reason::NoHelper(_)
                            | Reason::Capability { .. }
                            | Reason::Later { .. }
                    ),
                };
                let Some(theirs) = is_there(&object, loader) else { continue };
                compared += 1;
                if theirs != ours {
                    wrong.push(format!("{} in {prog_type} for {loader:?}: the kernel {theirs}", helper.name));
                }
            }
        }
    }
    assert!(compared > 1_000 && wrong.is_empty(), "of {compared}:\n{}", wrong.join("\n"));
}

// TABLE
/// A rule, a type, a program, and whether a process with `CAP_BPF` alone and one without capabilities load it on 6.12, and on
/// 6.18 where that differs.
const WRITTEN: &[(&str, ProgType, &str, [bool; 2])] = &[
    ("a pointer is the result", SocketFilter, "r0 = r10\nexit", [false, false]),
    ("a number is the result", SocketFilter, "r0 = 1\nexit", [true, true]),
    ("a pointer is written into the context", SocketFilter, "*(u64 *)(r1 + 48) = r1\nr0 = 0\nexit", [false, false]),
    ("a pointer is compared with a number", SocketFilter, "r0 = 0\nif r10 > 5 goto +0\nexit", [false, false]),
    ("pointers are compared", SocketFilter, "r0 = 0\nif r1 == r10 goto +0\nexit", [false, false]),
    ("half of a pointer is copied", SocketFilter, "w0 = w1\nr0 = 0\nexit", [false, false]),
    ("a pointer is negated", SocketFilter, "r1 = -r1\nr0 = 0\nexit", [false, false]),
    ("pointers are subtracted", SocketFilter, "r2 = r10\nr2 -= r10\nr0 = 0\nexit", [false, false]),
    (
        "a pointer is spilled and filled",
        SocketFilter,
        "*(u64 *)(r10 - 8) = r1\nr1 = *(u64 *)(r10 - 8)\nr0 = *(u32 *)(r1 + 0)\nexit",
        [true, true],
    ),
    (
        "a part of a spilled pointer is overwritten",
        SocketFilter,
        "*(u64 *)(r10 - 8) = r1\n*(u32 *)(r10 - 8) = 0\nr0 = 0\nexit",
        [false, false],
    ),
    (
        "a spilled pointer is read in part",
        SocketFilter,
        "*(u64 *)(r10 - 8) = r1\nr0 = *(u32 *)(r10 - 8)\nexit",
        [false, false],
    ),
    ("stack is read that was never written", SocketFilter, "r0 = *(u64 *)(r10 - 8)\nexit", [false, false]),
    (
        "a number is added to a pointer to the stack",
        SocketFilter,
        "r2 = *(u32 *)(r1 + 0)\nr2 &= 8\nr2 -= 16\nr2 += r10\n*(u64 *)(r2 + 0) = 0\nr0 = 0\nexit",
        [false, false],
    ),
    (
        "a register with a constant is added to it",
        SocketFilter,
        "r2 = -8\nr3 = r10\nr3 += r2\n*(u64 *)(r3 + 0) = 0\nr0 = 0\nexit",
        [true, true],
    ),
    (
        "it is moved out of the stack and back",
        SocketFilter,
        "r3 = r10\nr3 += -520\nr3 += 512\n*(u64 *)(r3 + 0) = 0\nr0 = 0\nexit",
        [false, false],
    ),
    (
        "a register is added to the packet",
        SchedCls,
        "r2 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = *(u32 *)(r1 + 0)\nr4 &= 15\nr2 += r4\nr0 = 0\nexit",
        [false, false],
    ),
    (
        "a constant is added to the packet",
        SchedCls,
        "r2 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r2\nr4 += 14\nr0 = 0\nif r4 > r3 goto +1\nr0 = *(u8 *)(r2 + 13)\nexit",
        [true, false],
    ),
    ("the packet at a control group", CgroupSkb, "r2 = *(u32 *)(r1 + 76)\nr0 = 1\nexit", [true, false]),
    // With a wrong guess it never ends.
    ("a loop", SocketFilter, "r0 = 0\nr0 += 1\nif r0 < 10 goto -2\nexit", [false, false]),
    ("a function", SocketFilter, "call pc+1\nexit\nr0 = 0\nexit", [true, false]),
    ("a helper of CAP_BPF", SocketFilter, "call 118\nr0 = 0\nexit", [true, false]),
    ("a helper of CAP_PERFMON", SocketFilter, "call 35\nr0 = 0\nexit", [false, false]),
    ("a helper of anybody", SocketFilter, "call 7\nr0 = 0\nexit", [true, true]),
    (
        "a pointer is passed for a number",
        SocketFilter,
        "r2 = r1\nr3 = r10\nr3 += -8\n*(u64 *)(r10 - 8) = 0\nr4 = 4\ncall 26\nr0 = 0\nexit",
        [false, false],
    ),
    (
        "memory of a helper with a spilled pointer",
        SocketFilter,
        "*(u64 *)(r10 - 8) = r1\nr3 = r10\nr3 += -8\nr2 = 0\nr4 = 4\ncall 26\nr0 = 0\nexit",
        [false, false],
    ),
    (
        "one addition for numbers and for pointers",
        SocketFilter,
        "r2 = *(u32 *)(r1 + 0)\nr3 = -8\nr4 = r10\nif r2 == 0 goto +1\nr4 = 5\nr4 += r3\nr0 = 0\nexit",
        [false, false],
    ),
    (
        "a guess reads what is never written",
        SocketFilter,
        "r0 = 0\nr2 = 1\nif r2 == 1 goto +1\nr0 = *(u64 *)(r10 - 8)\nexit",
        [true, true],
    ),
];

/// Rules by which 6.12 and older refuse what paths do that only a wrong guess takes; 6.18 puts barriers there.
const GUESSES: &[&str] = &["a guess reads what is never written"];

#[test]
fn written_programs() {
    let running = agreement::running().filter(|_| agreement::guards());
    let unlocked = Unlocked::new();
    let bpf = Loader { net_admin: true, ..WITHOUT_PERFMON };
    for (rule, prog_type, text, expected) in WRITTEN {
        let object = object(text, *prog_type);
        for (loader, takes) in [bpf, Loader::NONE].into_iter().zip(*expected) {
            for kernel in [Kernel::V6_12, Kernel::V6_18] {
                let takes = takes && (kernel == Kernel::V6_18 || !GUESSES.contains(rule));
                let terms = Terms { loader, ..Terms::default() };
                let ours = verify_by(&object, &object.programs[0], kernel, &terms);
                assert_eq!(ours.accepted(), Some(takes), "{rule}, {loader:?}, {}: {ours:?}", kernel.name());
                if running == Some(kernel) && (loader.bpf || unlocked.is_some()) {
                    let theirs = agreement::theirs_for(&object, &object.programs[0], loader);
                    let agrees = matches!((&theirs, takes), (Theirs::Takes, true) | (Theirs::Refuses(_), false));
                    assert!(agrees, "{rule}, {loader:?}: {theirs:?}");
                }
            }
        }
    }
}

// TABLE
/// A program, and whether it passes if arithmetic with pointers is refused.
const ARITHMETIC: &[(&str, bool)] = &[
    ("r2 = r10\nr2 += -8\n*(u64 *)(r2 + 0) = 1\nr0 = 0\nexit", true),
    ("r2 = 7\nr2 *= 3\nr0 = r2\nexit", true),
    ("*(u64 *)(r10 - 8) = r1\nr1 = *(u64 *)(r10 - 8)\nr0 = *(u32 *)(r1 + 0)\nexit", true),
    ("r2 = r10\nr3 = -8\nr2 += r3\nr0 = 0\nexit", false),
    ("r2 = r10\nr2 -= r10\nr0 = 0\nexit", false),
    ("w2 = w1\nr0 = 0\nexit", false),
    ("r1 += 4\nr0 = 0\nexit", false),
    ("r1 = -r1\nr0 = 0\nexit", false),
    ("r1 = be32 r1\nr0 = 0\nexit", false),
    ("r2 = (s8)r1\nr0 = 0\nexit", false),
    ("*(u64 *)(r10 - 8) = r1\nr2 = 1\nlock *(u64 *)(r10 - 8) += r2\nr0 = 0\nexit", false),
];

#[test]
fn arithmetic_with_pointers_is_refused_on_request() {
    for (text, passes) in ARITHMETIC {
        let object = object(text, SocketFilter);
        let judged = |no_pointer_arithmetic| {
            let terms = Terms { no_pointer_arithmetic, ..Terms::default() };
            verify_by(&object, &object.programs[0], Kernel::newest(), &terms)
        };
        match judged(true) {
            Verdict::Rejected(rejection) if !passes => {
                assert_eq!(rejection.reason, Reason::Rule(&skep_verifier::rules::POINTER_ARITHMETIC), "{text}");
            }
            other => assert_eq!((other.accepted(), passes), (Some(true), &true), "{text}: {other:?}"),
        }
        assert_eq!(judged(false).accepted(), Some(true), "{text}");
    }
}

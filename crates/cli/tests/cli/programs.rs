//! Scripts at programs in user space: arguments by their notes and debug information, lines, names, stack traces.
//!
//! The programs are compiled here; what they pass to their functions is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Run, skep, skip};

/// A program that was compiled.
struct Program {
    directory: TempDir,
    file: PathBuf,
}

impl Program {
    /// Compiles one of the sources next to these tests; `None`, with a remark, if that or loading programs is not possible.
    fn compile(source: &str, compiler: &str, options: &[&str]) -> Option<Self> {
        if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
            skip("loading programs needs CAP_SYS_ADMIN");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("program");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
        match Command::new(compiler).args(options).arg("-o").arg(&file).arg(&source).output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                Some(Self { directory, file })
            }
            Err(_) => {
                skip(&format!("there is no compiler `{compiler}`"));
                None
            }
        }
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }

    /// Runs a script with the program as its command; `BIN` in the script is its path.
    #[track_caller]
    fn trace(&self, arguments: &str, script: &str) -> Run {
        self.trace_with(&[], arguments, script)
    }

    #[track_caller]
    fn trace_with(&self, options: &[&str], arguments: &str, script: &str) -> Run {
        let command = format!("{} {arguments}", self.name());
        let script = script.replace("BIN", &self.name());
        let mut all = vec!["run", "-q"];
        all.extend(options);
        all.extend(["-c", &command, "-e", &script]);
        skep(all)
    }

    /// What a script that is faulty says.
    #[track_caller]
    fn refused(&self, script: &str) -> String {
        let run = skep(["run", "--dry-run", "-e", &script.replace("BIN", &self.name())]);
        assert_eq!(run.status, Some(2), "{run:?}");
        run.err
    }
}

#[track_caller]
fn has(run: &Run, lines: &[&str]) {
    for line in lines {
        assert!(run.out.lines().any(|each| each == *line), "{line:?} is missing in {run:?}");
    }
}

/// Three places of one probe, each with its arguments elsewhere: registers, memory, constants, a variable of the program.
#[test]
fn arguments_of_usdt_probes() {
    let Some(program) = Program::compile("usdt.c", "gcc", &["-O1"]) else { return };
    let script = "usdt:BIN:skep:mark { @[probe, arg0, str(arg1), arg2] = count(); @negative[arg0 < 0] = count(); }
                  usdt:BIN:parts { @parts[arg0, arg1, arg2, arg3] = count(); }
                  usdt:BIN:skep:guarded { @guarded = sum(arg0); }";
    let run = program.trace("3", script).ok();
    let name = format!("usdt:{}:skep:mark", program.name());
    for (values, count) in [("-5, register, -20", 3), ("-7, memory, -3", 3), ("77, global, 200", 3)] {
        has(&run, &[&format!("@[{name}, {values}]: {count}")]);
    }
    has(&run, &["@negative[true]: 6", "@negative[false]: 3", "@parts[86, 22136, 120, 305419896]: 3", "@guarded: 27"]);
    // One program where the arguments do not matter, at all places.
    let run = program.trace("2", "usdt:BIN:mark { @ = count(); }").ok();
    has(&run, &["@: 6"]);
    let said = program.refused("usdt:BIN:skep:mark { print(arg3); }");
    assert!(said.contains("has no `arg3`") && said.contains("it has 3 arguments"), "{said}");
}

/// A program in C for [`arguments_of_usdt_probes_in_c`].
const USDT_IN_C: &str = r#"#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>
struct event { s32 number, count; s64 last; s32 missing, size; u64 cookie; char text[16]; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); __type(value, struct event); } events SEC(".maps");
SEC("usdt/BIN:skep:plain")
int BPF_USDT(plain, int number, const char *text, long last)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	long none;

	if (!event)
		return 0;
	event->number = number;
	event->last = last;
	event->count = bpf_usdt_arg_cnt(ctx);
	event->missing = bpf_usdt_arg(ctx, 5, &none);
	event->size = bpf_usdt_arg_size(ctx, 1);
	event->cookie = bpf_usdt_cookie(ctx);
	bpf_probe_read_user_str(event->text, sizeof(event->text), text);
	bpf_ringbuf_submit(event, 0);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"#;

#[test]
fn arguments_of_usdt_probes_in_c() {
    let Some(program) = Program::compile("usdt.c", "gcc", &["-O1"]) else { return };
    let source = program.directory.path().join("usdt.bpf.c");
    fs::write(&source, USDT_IN_C.replace("BIN", &program.name())).unwrap();
    let command = format!("{} 2", program.name());
    let source = source.display().to_string();
    let run = skep(["run", "--json", "--attach", "cookie=77", "-c", &command, &source]).ok();
    let events: Vec<&str> = run.out.lines().filter(|line| line.contains("\"map\":\"events\"")).collect();
    let event = |last: i64| {
        format!(
            "{{\"map\":\"events\",\"record\":{{\"number\":-17,\"count\":3,\"last\":{last},\"missing\":-2,\"size\":8,\
             \"cookie\":77,\"text\":\"plain\"}}}}"
        )
    };
    assert_eq!(events, [event(1 << 40), event(-9), event(1 << 40), event(-9)], "{run:?}");
}

#[test]
fn arguments_of_usdt_probes_as_bpftrace_has_them() {
    let Some(program) = Program::compile("usdt.c", "gcc", &["-O1"]) else { return };
    let script = "usdt:BIN:skep:plain { @plain[arg0, str(arg1), arg2] = count();  }";
    let script = script.replace("BIN", &program.name());
    let command = format!("{} 4", program.name());
    let theirs = Command::new("bpftrace").args(["-c", &command, "-e", &script]).stdin(Stdio::null()).output();
    let Ok(theirs) = theirs else { return skip("bpftrace is not installed") };
    let theirs = Run::of(theirs).ok();
    let ours = program.trace("4", &script).ok();
    let maps = |run: &Run| {
        let mut lines: Vec<String> = run.out.lines().filter(|line| line.starts_with('@')).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(maps(&ours), maps(&theirs), "{theirs:?}");
    assert_eq!(maps(&ours).len(), 2);
}

/// All ways in which a value can be passed, for programs of several compilers and forms of debug information.
#[test]
fn arguments_by_name() {
    let kinds: [(&str, &[&str]); 5] = [
        ("gcc", &["-O0", "-g"]),
        ("gcc", &["-O1", "-g", "-gz"]),
        ("gcc", &["-O2", "-g", "-gdwarf-4", "-fdebug-types-section", "-fno-ipa-sra"]),
        ("clang", &["-O0", "-g"]),
        ("clang", &["-O1", "-g", "-gdwarf-4"]),
    ];
    let script = "uprobe:BIN:work {
            @node[args.node->value, str(args.node->name), args.node->low, args.node->high, args.node->at.y] = count();
            @next = args.node->next->value; @name = str(args.node->next->name);
            @colour[args.node->colour, args.colour] = count(); @union = args.node->number; @byte = args.node->bytes[0];
            @scalars[args.number, str(args.text), args.small] = count();
            $same = (struct node *)arg0; @cast = $same->value;
        }
        uretprobe:BIN:work { @work = retval; @less = retval < 0; }
        uprobe:BIN:many { @many[args.a, args.f, args.g, args.h, args.big.b] = count(); }
        uprobe:BIN:pair { @pair[args.p.x, args.p.y, args.after] = count(); }
        uretprobe:BIN:make { @made = retval.c; }";
    for (compiler, options) in kinds {
        let Some(program) = Program::compile("types.c", compiler, options) else { continue };
        let run = program.trace("2", script).ok();
        has(
            &run,
            &[
                "@node[40, first, 5, 17, 7]: 2",
                "@next: 2",
                "@name: second",
                "@colour[GREEN, BLUE]: 2",
                "@union: 99",
                "@byte: 99",
                "@scalars[-9, hello, 200]: 2",
                "@cast: 40",
                "@work: -234",
                "@less: true",
                "@many[1, 6, -7, 8, 1]: 1",
                "@many[1, 6, -7, 8, 2]: 1",
                "@pair[-1, 7, 3]: 2",
                "@made: 3",
            ],
        );
    }
}

#[test]
fn arguments_that_cannot_be_read_are_explained() {
    let Some(program) = Program::compile("types.c", "gcc", &["-O1", "-g"]) else { return };
    let said = program.refused("uprobe:BIN:many { print(args.ratio); }");
    assert!(said.contains("floating-point"), "{said}");
    let said = program.refused("uprobe:BIN:work { print(args.nod); }");
    assert!(said.contains("the argument `nod` is not known") && said.contains("did you mean `node`?"), "{said}");
    let said = program.refused("uprobe:BIN:work { print(args.node->valu); }");
    assert!(said.contains("in `node` the field `valu` is not known"), "{said}");
    let said = program.refused("uprobe:BIN:work+4 { print(args.node); }");
    assert!(said.contains("at the start of a function only"), "{said}");
    let list = skep(["run", "-v", "-l", &format!("uprobe:{}:work", program.name())]).ok();
    assert!(list.out.contains("    int16 number\n") && list.out.contains("    struct* node\n"), "{list:?}");
    let Some(plain) = Program::compile("types.c", "gcc", &["-O1"]) else { return };
    let said = plain.refused("uprobe:BIN:work { print(args.node); }");
    assert!(said.contains("there is no debug information") && said.contains("-g"), "{said}");
}

#[test]
fn lines_of_the_source() {
    let Some(program) = Program::compile("types.c", "gcc", &["-O1", "-g"]) else { return };
    let source = include_str!("../programs/types.c");
    let line = 1 + source.lines().position(|line| line.contains("sum -= colour")).unwrap();
    let text = format!(
        "uprobe:BIN@programs/types.c:{line} {{ @at = count(); @name[probe] = count(); }} uprobe:BIN:types.c:{line} {{ @two = \
         count(); }}"
    );
    let run = program.trace("5", &text).ok();
    let name = format!("@name[uprobe:{}@programs/types.c:{line}]: 5", program.name());
    has(&run, &["@at: 5", "@two: 5", &name]);
    let said = program.refused("uprobe:BIN@types.c:2 { @ = 1; }");
    assert!(said.contains("no code of the line `types.c:2`") && said.contains("nearest line with code"), "{said}");
    let said = program.refused("uprobe:BIN@other.c:2 { @ = 1; }");
    assert!(said.contains("no source file `other.c`"), "{said}");
}

#[test]
fn names_of_cpp() {
    let Some(program) = Program::compile("names.cpp", "g++", &["-O1", "-g"]) else { return };
    let text = "uprobe:BIN:cpp:\"shop::pay(shop::Item const&, int)\" { @pay[args.item->price, args.item->id, args.cash] = count(); }
                uprobe:BIN:cpp:\"shop::pay\" { @both = count(); }
                uprobe:BIN:cpp:\"shop::Item::sell\" { @sell[args.this->price, args.count] = count(); }
                uprobe:BIN:cpp:\"*shop::twice*\" { @twice = count(); @stack[ustack(1)] = count(); }";
    let run = program.trace("", text).ok();
    has(&run, &["@pay[30, 17, 100]: 1", "@both: 2", "@sell[30, 2]: 1", "@twice: 2"]);
    assert!(run.out.contains("int shop::twice<int>(int)+0"), "{run:?}");
    let mangled = program.trace("", &format!("config = {{ cpp_demangle = false }} {text}")).ok();
    assert!(mangled.out.contains("_ZN4shop5twiceIiEET_S1_+0"), "{mangled:?}");
    let said = program.refused("uprobe:BIN:cpp:\"shop::pey\" { @ = 1; }");
    assert!(said.contains("did you mean `shop::pay`?"), "{said}");
}

/// The process has ended when the map is printed.
#[test]
fn stack_traces_of_processes_that_have_ended() {
    let options = ["-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-Wl,--build-id"];
    let Some(program) = Program::compile("stacks.c", "gcc", &options) else { return };
    let run =
        program.trace("3 300", "uprobe:BIN:inner { @[ustack(4)] = count(); @at[usym(reg(\"ip\"))] = count(); }").ok();
    // At the first instruction there is no frame of the function's own yet: kernels before 6.11 leave out its caller.
    for frame in ["        inner+0\n", "        outer+", "        main+"] {
        assert!(run.out.contains(frame), "{frame} is missing in {run:?}");
    }
    has(&run, &["@at[inner]: 3"]);
    // Without symbols of its own, with those of a debug file.
    let debug = program.directory.path().join("debug");
    fs::create_dir(&debug).unwrap();
    let split = debug.join("program.debug");
    let objcopy = |arguments: &[&Path]| Command::new("objcopy").args(arguments).status();
    let Ok(kept) = objcopy(&[Path::new("--only-keep-debug"), &program.file, &split]) else {
        return skip("no objcopy (Debian: binutils)");
    };
    assert!(kept.success());
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&split);
    assert!(objcopy(&[Path::new("--strip-all"), &program.file]).unwrap().success());
    assert!(objcopy(&[Path::new(&link), &program.file]).unwrap().success());
    let text = "uprobe:BIN:inner { @[ustack(1)] = count(); @build[ustack(build_id, 1)] = count(); }";
    let missing = program.trace("3 300", text);
    assert!(missing.status == Some(255) && missing.err.contains("there is no function `inner`"), "{missing:?}");
    let debug = debug.display().to_string();
    let run = program.trace_with(&["--debuginfo", &debug], "3 300", text).ok();
    assert!(run.out.contains("        inner+0\n"), "{run:?}");
    let notes = Command::new("readelf").arg("-n").arg(&program.file).output().unwrap();
    let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).unwrap();
    assert!(run.out.contains(&format!("{id} 0x")), "{id} is missing in {run:?}");
}

/// The keys of a map that are stack traces, by the names of their functions, with their counts.
fn traces(run: &Run, map: &str) -> Vec<(Vec<String>, u64)> {
    let name = |line: &str| line.trim().split('+').next().unwrap_or_default().to_owned();
    let starts = format!("{map}[\n");
    let entries = run.out.split(&starts).skip(1).map(|entry| entry.split_once("]: ").unwrap());
    let count = |rest: &str| rest.lines().next().unwrap().parse().unwrap();
    entries.map(|(frames, rest)| (frames.lines().map(name).collect(), count(rest))).collect()
}

/// No function of the program keeps a frame pointer: only its call frame information leads to the callers, through the C
/// library and through a signal. The process has ended when the map is printed.
#[test]
fn stack_traces_without_frame_pointers() {
    if !cfg!(target_arch = "x86_64") {
        return skip("`dw_ustack` is for x86-64");
    }
    unwound(&["-fasynchronous-unwind-tables"]);
    unwound(&["-fno-asynchronous-unwind-tables", "-g"]);
}

/// Traces a program that was compiled with these options.
fn unwound(more: &[&str]) {
    let mut options = vec!["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"];
    options.extend(more);
    let Some(program) = Program::compile("unwind.c", "gcc", &options) else { return };
    let text = "uprobe:BIN:innermost { @dwarf[dw_ustack] = count(); @pointers[ustack] = count(); }
                uprobe:BIN:inner { printf(\"in %d%s\", pid > 0, dw_ustack(perf, 2)); }";
    let run = program.trace("50", text).ok();
    // One trace for each way, although what else is on the stack differs from round to round.
    let found = traces(&run, "@dwarf");
    assert_eq!(found.len(), 2, "{run:?}");
    let position = |frames: &[String], name: &str| frames.iter().position(|frame| frame == name);
    for (frames, count) in &found {
        assert_eq!((*count, &frames[..2]), (50, &["innermost".to_owned(), "inner".to_owned()][..]), "{run:?}");
        let way = if frames[2] == "compare" { "sorts" } else { "interrupted" };
        let (way, main) = (position(frames, way), position(frames, "main"));
        assert!(way.is_some() && way.map(|way| way + 1) == main, "{frames:?}");
        assert!(frames.len() > main.unwrap() + 1, "the C library called main: {frames:?}");
    }
    assert!(found.iter().any(|trace| trace.0[2] == "handle" && position(&trace.0, "raise").is_some()), "{run:?}");
    let pointers = traces(&run, "@pointers");
    assert!(pointers.iter().all(|trace| position(&trace.0, "main").is_none()), "{run:?}");
    assert_eq!(run.out.matches("in 1\n").count(), 100, "{run:?}");
    assert_eq!(run.out.matches(&format!("inner+0 ({})\n", program.name())).count(), 100, "{run:?}");
}

/// The frame of a function without a file has the name that the program gave it.
#[test]
fn functions_that_are_made_at_run_time() {
    if !cfg!(target_arch = "x86_64") {
        return skip("the program holds instructions of x86-64");
    }
    let options = ["-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"];
    let Some(program) = Program::compile("jit.c", "gcc", &options) else { return };
    let run = program.trace("", "uprobe:BIN:innermost { @[ustack] = count(); @perf[ustack(perf)] = count(); }").ok();
    assert!(run.out.contains("        made at run time+6\n"), "{run:?}");
    assert!(run.out.contains(" made at run time+6 (/tmp/perf-"), "{run:?}");
}

/// A library inside of an archive, from where it is mapped.
#[test]
fn functions_of_libraries_in_archives() {
    let Some(program) = Program::compile("mapped.c", "cc", &["-O1"]) else { return };
    let source = program.directory.path().join("part.c");
    fs::write(&source, "int work(int n) { return n * 3; }\nint other(int n) { return n * 5; }\n").unwrap();
    let library = program.directory.path().join("libpart.so");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status();
    assert!(made.unwrap().success());
    let archive = program.directory.path().join("all.zip");
    let pack = |kind: &str| {
        let text = format!(
            "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w', zipfile.{kind}) as file:\n    \
             file.writestr('first', 'x' * 5000)\n    file.write(sys.argv[2], 'lib/libpart.so')\n"
        );
        Command::new("python3").args(["-c", &text]).arg(&archive).arg(&library).status()
    };
    match pack("ZIP_STORED") {
        Ok(status) => assert!(status.success()),
        Err(_) => return skip("there is no python3"),
    }
    let inside = format!("{}!/lib/libpart.so", archive.display());
    let offset = skep_sym::Binary::open(&inside).unwrap().function("work").unwrap().offset.unwrap();
    let text = format!(
        "uprobe:{inside}:work {{ @work = count(); @sum = sum(arg0); }} uprobe:{inside}:oth* {{ @other = count(); }}"
    );
    let run = program.trace(&format!("{} {offset} 4", archive.display()), &text).ok();
    has(&run, &["@work: 4", "@sum: 10"]);
    assert!(!run.out.contains("@other"), "{run:?}");
    let said = skep(["run", "-e", &format!("uprobe:{}!/lib/no.so:work {{ @ = 1; }}", archive.display())]);
    assert!(said.status != Some(0) && said.err.contains("it holds no file `lib/no.so`"), "{said:?}");
    assert!(pack("ZIP_DEFLATED").unwrap().success());
    let said = skep(["run", "-e", &text]);
    assert!(said.status != Some(0) && said.err.contains("`lib/libpart.so` is compressed in it"), "{said:?}");
}

#[test]
fn variables_of_programs() {
    let Some(program) = Program::compile("stacks.c", "gcc", &["-O1"]) else { return };
    let text = "uprobe:BIN:inner { @value = *uaddr(\"global\"); @same = usym(uaddr(\"middle\")); }";
    let run = program.trace("1 200", text).ok();
    has(&run, &["@value: 4711", "@same: middle"]);
    let Some(fixed) = Program::compile("stacks.c", "gcc", &["-O1", "-no-pie"]) else { return };
    let run = fixed.trace("1 200", "uretprobe:BIN:inner { @value = *uaddr(\"global\"); }").ok();
    has(&run, &["@value: 4711"]);
    let said = program.refused("uprobe:BIN:inner { print(uaddr(\"globel\")); }");
    assert!(said.contains("has no symbol `globel`"), "{said}");
}

#[test]
fn flame_graphs() {
    let options = ["-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"];
    let Some(program) = Program::compile("stacks.c", "gcc", &options) else { return };
    let (svg, folded) = (program.directory.path().join("flame.svg"), program.directory.path().join("folded"));
    let (svg, folded) = (svg.display().to_string(), folded.display().to_string());
    let text = "uprobe:BIN:inner { @[comm, ustack] = count(); } end { clear(@); }";
    program.trace_with(&["--flame", &svg, "--folded", &folded], "7 300", text).ok();
    let lines = fs::read_to_string(&folded).unwrap();
    let line = lines.lines().find(|line| line.contains("main;")).unwrap_or_else(|| panic!("{lines}"));
    assert!(line.starts_with("program;") && line.contains(";main;outer;") && line.ends_with(";inner 7"), "{line}");
    let picture = fs::read_to_string(&svg).unwrap();
    assert!(picture.contains("<title>inner (7, 100.00%)</title>"), "{picture}");
    let run = program.trace_with(&["--flame", &svg], "1", "uprobe:BIN:inner { @ = count(); }");
    assert!(run.status == Some(1) && run.err.contains("no map of the script has stack traces"), "{run:?}");
}

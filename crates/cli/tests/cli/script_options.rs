//! The command line of scripts: options, forms of the output, the environment, exit status, the name of bpftrace.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::script::{able, traced};
use crate::support::{Run, SKEP, skep, skep_with};

/// A script that needs nothing.
#[track_caller]
fn here(args: &[&str], text: &str) -> Run {
    skep(["run", "--vm", "-q"].iter().chain(args).chain(&["-e", text]))
}

#[track_caller]
fn with_env(name: &str, value: &str, text: &str) -> Run {
    let mut command = crate::support::command(["run", "--vm", "-q", "-e", text]);
    Run::of(command.env(name, value).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn tables_and_csv() {
    let rows = "for ($i : 0..3) { print((pid = (int32)($i * 40000), name = \"a,b\", ok = $i == 1)); }";
    let text = format!(
        "begin {{ {rows} printf(\"between\\n\"); print((1, \"x\")); print(7); @m[1, \"k\"] = 5; @s = stats(4); }}"
    );
    let csv = here(&["-f", "csv"], &text).ok();
    let expected = "pid,name,ok\n0,\"a,b\",false\n40000,\"a,b\",true\n80000,\"a,b\",false\n\nvalue1,value2\n1,x\n\nvalue\n7\n\n\
                    map,key1,key2,value\n@m,1,k,5\n\nmap,count,average,total\n@s,1,4,4\n";
    assert_eq!((csv.out.as_str(), csv.err.as_str()), (expected, "between\n"));
    let table = here(&["-f", "table"], &text).ok();
    let expected = "    pid  name  ok\n      0  a,b   false\n  40000  a,b   true\n  80000  a,b   false\nbetween\n\n    value1  value2\n         1  x\n\nvalue\n    7\n\n@m\nkey1  key2  value\n   1  k         5\n\n@s\n\
                    count  average  total\n    1        4      4\n";
    assert_eq!(table.out, expected);
    // A head stands above the rows of one form, whichever statement printed them.
    let one = here(&["-f", "csv"], "begin { print((a = 1, b = 2)); } end { print((a = 3, b = 4)); }").ok();
    assert_eq!(one.out, "a,b\n1,2\n3,4\n");
}

#[test]
fn arguments_of_scripts() {
    let text = "begin { printf(\"%d %s %d|%d %s %d\\n\", $1, str($2), $#, getopt(\"n\", 1), getopt(\"s\", \"no\"), getopt(\"b\", false)); }";
    let run = |args: &[&str]| skep(["run", "--vm", "-e", text].iter().chain(args)).ok().out;
    assert!(run(&["5", "word"]).starts_with("5 word 2|1 no 0\n"));
    assert!(run(&["5", "word", "--", "--n=7", "--s=yes", "--b"]).starts_with("5 word 2|7 yes 1\n"));
    assert!(run(&["5", "--", "word", "--n=7"]).starts_with("5 word 2|7 no 0\n"));
    assert!(run(&[]).starts_with("0  0|1 no 0\n"));
    let piped = skep_with(["run", "--vm", "-q", "-", "8"], b"begin { print($1); }\n").ok();
    assert_eq!(piped.out, "8\n\n\n");
}

#[test]
fn exit_status() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("bpftrace");
    symlink(SKEP, &link).unwrap();
    let under = |program: &Path, args: &[&str]| {
        Run::of(Command::new(program).args(args).stdin(Stdio::null()).output().unwrap()).status.unwrap()
    };
    let script = |args: &[&str]| skep(["script"].iter().chain(args)).status.unwrap();
    // The arguments, the status as skep, the status as bpftrace.
    let rows: &[(&[&str], i32, i32)] = &[
        (&["--vm", "-e", "begin { exit(); }"], 0, 0),
        (&["--vm", "-e", "begin { exit(42); }"], 42, 42),
        (&["--vm", "-e", "begin { errorf(\"x\"); }"], 1, 1),
        (&["--vm", "-e", "begin { $x = ; }"], 2, 1),
        (&["--vm", "-e", "begin { nosuch(); }"], 2, 1),
        (&["--no-such-option"], 2, 1),
        (&["--vm", "/no/such/file.bt"], 1, 1),
        (&["--vm", "-e", "profile:hz:9 { }"], 255, 255),
        (&["-c", "/no/such/program", "-e", "begin { }"], 1, 1),
    ];
    for (args, ours, theirs) in rows {
        assert_eq!((script(args), under(&link, args)), (*ours, *theirs), "{args:?}");
    }
    if able() {
        let args = ["-e", "uprobe:/bin/sh:no_such_function { @ = 1; }"];
        assert_eq!((script(&args), under(&link, &args)), (255, 255));
    }
}

#[test]
fn the_environment() {
    let text = "begin { printf(\"%s\\n\", str($1)); @a = 1; }";
    let print_maps = |value| with_env("BPFTRACE_PRINT_MAPS_ON_EXIT", value, text);
    assert!(print_maps("1").ok().out.ends_with("@a: 1\n"));
    assert_eq!(print_maps("false").ok().out, "\n\n\n");
    // The environment wins.
    let both = "config = { print_maps_on_exit = true; } begin { @a = 1; }";
    assert_eq!(with_env("BPFTRACE_PRINT_MAPS_ON_EXIT", "0", both).ok().out, "\n\n");
    let long = with_env("BPFTRACE_STRLEN", "4", "begin { @s = str((int8 *)8); print(sizeof(@s)); }").ok();
    assert!(long.out.starts_with("4\n"), "{long:?}");
    let wrong = print_maps("perhaps");
    let message = "skep: BPFTRACE_PRINT_MAPS_ON_EXIT=perhaps: it is `true` or `false`\n";
    assert_eq!((wrong.err.as_str(), wrong.status), (message, Some(2)));
    assert!(with_env("BPFTRACE_COLOR", "always", "begin { $x = ; }").err.contains("\x1b["));
    assert!(!with_env("BPFTRACE_COLOR", "never", "begin { $x = ; }").err.contains("\x1b["));
    let types = with_env("BPFTRACE_BTF", "/no/such/file", "begin { $t = (struct task_struct *)0; print($t->pid); }");
    assert!(types.status == Some(2) && types.err.contains("task_struct"), "{types:?}");
    assert_eq!(with_env("BPFTRACE_NO_SUCH_THING", "1", "begin { }").ok().out, "\n\n");
}

#[test]
fn headers() {
    let directory = tempfile::tempdir().unwrap();
    let header = directory.path().join("point.h");
    std::fs::write(&header, "#define FIVE 5\nstruct point { int x; long y; };\nenum shade { DARK = 3, LIGHT };\n")
        .unwrap();
    let text = "begin { printf(\"%d %d %d\\n\", sizeof(struct point), FIVE, LIGHT); }";
    let dir = directory.path().to_str().unwrap();
    for args in [&["--include", header.to_str().unwrap()][..], &["-I", dir, "--include", "point.h"]] {
        assert_eq!(here(args, text).ok().out, "16 5 4\n\n\n");
    }
    for include in ["#include \"point.h\"\n", "#include <point.h>\n"] {
        assert_eq!(here(&["-I", dir], &format!("{include}{text}")).ok().out, "16 5 4\n\n\n", "{include}");
    }
    let missing = here(&["--include", "nosuch.h"], "begin { }");
    assert!(missing.status == Some(2) && missing.err.contains("`nosuch.h` cannot be read"), "{missing:?}");
}

#[test]
fn what_is_printed_instead_of_running() {
    let version = skep(["script", "-V"]).ok().out;
    assert!(version.starts_with("skep ") && version.contains("language of bpftrace"), "{version}");
    let info = skep(["run", "--info"]).ok().out;
    assert!(info.starts_with(&version) && info.contains("system:\n"), "{info}");
    let listed = skep(["run", "-l", "-e", "begin { } interval:s:1 { @ = 1; }"]).ok().out;
    assert_eq!(listed, "begin\ninterval:s:1\n");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.bt");
    std::fs::write(&file, "end { printf(\"x\"); }").unwrap();
    assert_eq!(skep(["run", "-l", file.to_str().unwrap()]).ok().out, "end\n");
    let types = skep(["run", "-l", "struct task_stru*"]).ok().out;
    assert!(types.starts_with("struct task_struct\n"), "{types}");
    let whole = skep(["run", "-lv", "struct list_head"]).ok().out;
    assert!(whole.starts_with("struct list_head {\n\tstruct list_head *next;\n"), "{whole}");
    let shades = skep(["run", "-lv", "enum pid_type"]).ok().out;
    assert!(shades.starts_with("enum pid_type {\n") && shades.contains("PIDTYPE_TGID"), "{shades}");
    let none = skep(["run", "-l", "union nosuch*"]);
    assert!(none.status == Some(1) && none.err.contains("`*` stands for any letters"), "{none:?}");
    let fields = skep(["run", "-lv", "rawtracepoint:sched_switch"]).ok().out;
    assert!(fields.contains("    struct task_struct * prev\n"), "{fields}");
    let fields = skep(["run", "-lv", "fexit:vfs_read"]).ok().out;
    assert!(fields.contains("    struct file * file\n") && fields.contains(" retval\n"), "{fields}");
    assert_eq!(skep(["run", "--mode", "codegen", "-e", "begin { exit(3); }"]).ok().out, "");
    assert_eq!(skep(["run", "--mode", "format", "-e", "BEGIN{exit( );}"]).ok().out, "begin\n{\n  exit();\n}\n");
    let stages = skep(["run", "--mode", "compiler-bench", "-e", "begin { exit(3); }"]).ok().out;
    assert_eq!(stages.lines().filter(|line| line.ends_with(" ms")).count(), 4, "{stages}");
    assert!(skep(["run", "-d", "all", "-e", "begin { }"]).ok().out.contains("Script {"));
    assert_eq!(
        skep([
            "run",
            "--vm",
            "-q",
            "--verify-llvm-ir",
            "--usdt-file-activation",
            "--dwarf-pid",
            "1",
            "-e",
            "begin { }"
        ])
        .ok()
        .out,
        "\n\n"
    );
    let functions = directory.path().join("functions");
    std::fs::write(&functions, "vfs_one\nother\nvfs_two [module]\n").unwrap();
    let listed = |args: &[&str]| {
        let all = ["run", "--traceable-functions", functions.to_str().unwrap(), "-l"];
        skep(all.iter().chain(args)).ok().out
    };
    assert_eq!(listed(&["kprobe:vfs_*"]), "kprobe:vfs_one\nkprobe:vfs_two\n");
    // Whether this kernel can attach to them does not matter.
    let text = "kprobe:vfs_*, fentry:other { @ = count(); }";
    assert_eq!(listed(&["-e", text]), "kprobe:vfs_one\nkprobe:vfs_two\nfentry:other\n");
}

#[test]
fn objects_of_scripts() {
    let directory = tempfile::tempdir().unwrap();
    let object = directory.path().join("script.o");
    let path = object.to_str().unwrap();
    skep(["run", "--emit-elf", path, "-e", "begin { @m[1] = count(); printf(\"x\\n\"); }"]).ok();
    let listing = skep(["dis", path]).ok().out;
    assert!(listing.contains("begin_0") && listing.contains("ringbuf_reserve"), "{listing}");
    let wrong = skep(["run", "--emit-elf", "/no/such/x.o", "-e", "begin { }"]);
    assert!(wrong.status == Some(1) && wrong.err.contains("cannot write /no/such/x.o"), "{wrong:?}");
}

#[test]
fn what_is_not_available_says_so() {
    for (args, instead) in [
        (&["--aot", "x"][..], "keep the script itself"),
        (&["--emit-llvm", "x"], "`-d ir`"),
        (&["--probe-filter", "("], "--probe-filter ("),
    ] {
        let run = skep(["run"].iter().chain(args).chain(&["-e", "begin { }"]));
        assert_eq!((run.status, run.err.lines().count()), (Some(2), 1), "{run:?}");
        assert!(run.err.contains(instead), "{run:?}");
    }
}

#[test]
fn reads_that_fail() {
    if !able() {
        return;
    }
    let text = "begin { $p = (uint64 *)8; $x = *$p; printf(\"%d\\n\", $x); }";
    let quiet = skep(["run", "-q", "-e", text]).ok();
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("0\n\n\n", ""));
    let loud = skep(["run", "-q", "-k", "-e", text]).ok();
    assert!(loud.out.starts_with("0\n") && loud.err.contains("WARNING: Failed to probe_read"), "{loud:?}");
    assert!(loud.err.starts_with("stdin:1:"), "{loud:?}");
    let json = skep(["run", "-q", "-k", "-f", "json", "-e", text]).ok().out;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["type"], &first["retcode"], &first["line"]), (&"helper_error".into(), &(-14).into(), &1.into()));
}

#[test]
fn one_process_alone() {
    // The process of -p waits for its start, so that its system calls come when the script is attached.
    let mut sleeper = Command::new("sh").args(["-c", "sleep 0.7; cat /dev/null; exec /bin/sleep 0.1"]).spawn().unwrap();
    let pid = sleeper.id().to_string();
    let text = "tracepoint:syscalls:sys_enter_execve { @[pid] = count(); }";
    let run = traced(&["-p", &pid, "-e", text]);
    let status = sleeper.wait().unwrap();
    let Some(run) = run else { return };
    assert!(status.success());
    assert_eq!(run.ok().out, format!("\n\n@[{pid}]: 1\n"));
}

#[test]
fn the_reference_of_the_language() {
    let page = skep(["help", "script", "kprobe"]).ok().out;
    assert!(page.contains("kprobe:function") && page.contains("arg0, arg1, ..."), "{page}");
    assert!(skep(["help", "script", "hist"]).ok().out.contains("@map = hist(integer[, bits])"));
    assert!(skep(["help", "script", "max_strlen"]).ok().out.contains("BPFTRACE_MAX_STRLEN"));
    let all = skep(["help", "script"]).ok().out;
    assert!(all.contains("skep help script NAME") && all.contains("uprobe") && all.contains("str_trunc_trailer"));
    let wrong = skep(["help", "script", "histt"]);
    assert!(wrong.status == Some(2) && wrong.err.contains("did you mean hist?"), "{wrong:?}");
    assert!(skep(["help"]).ok().out.contains("the language of scripts"));
}

//! Every feature of the script language, run on this machine's kernel: a row of `language.txt` for each, with what it
//! prints. Where the installed bpftrace has the feature, it prints the same in the same run.
//!
//! `SKEP_UPDATE_GOLDEN=1` writes what is printed now into the file.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skep_kernel::Held;

use crate::support::{Run, SKEP, command, skep, skip};

/// One feature.
#[derive(Default)]
struct Row {
    name: String,
    /// Arguments of skep.
    options: Vec<String>,
    /// Arguments of the script.
    args: Vec<String>,
    status: i32,
    /// What standard error has to contain.
    error: Vec<String>,
    /// Whether the reference prints the same.
    same: bool,
    script: String,
    output: String,
}

impl Row {
    /// `=== name`, lines that begin with `: `, the script, `---`, and what is printed.
    fn read(text: &str) -> Self {
        let (head, output) = text.split_once("\n---\n").unwrap_or_else(|| panic!("no `---`: {text}"));
        let mut row = Self { output: output.trim_end().to_owned(), ..Self::default() };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (number, line) in head.lines().enumerate() {
            match line.strip_prefix(": ").and_then(|line| line.split_once(' ').or(Some((line, "")))) {
                _ if number == 0 => row.name = line.to_owned(),
                Some(("options", rest)) => row.options = words(rest),
                Some(("args", rest)) => row.args = words(rest),
                Some(("status", rest)) => row.status = rest.parse().unwrap(),
                Some(("error", rest)) => row.error.push(rest.to_owned()),
                Some(("bpftrace", "")) => row.same = true,
                Some(other) => panic!("{other:?}"),
                None => {
                    row.script.push_str(line);
                    row.script.push('\n');
                }
            }
        }
        row
    }

    /// The row as it stands in the file.
    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "=== {}", self.name);
        for (name, words) in [("options", &self.options), ("args", &self.args)] {
            if !words.is_empty() {
                let _ = writeln!(text, ": {name} {}", words.join(" "));
            }
        }
        if self.status != 0 {
            let _ = writeln!(text, ": status {}", self.status);
        }
        for part in &self.error {
            let _ = writeln!(text, ": error {part}");
        }
        if self.same {
            text.push_str(": bpftrace\n");
        }
        let _ = writeln!(text, "{}---\n{}\n", self.script, self.output);
    }

    fn run(&self) -> Run {
        let mut args = vec!["run".to_owned(), "-q".to_owned(), "--unsafe".to_owned()];
        args.extend(self.options.iter().cloned());
        args.extend(["-e".to_owned(), self.script.clone()]);
        args.extend(self.args.iter().cloned());
        skep(args)
    }

    /// What the reference prints, without what older releases say about attaching.
    fn reference(&self) -> String {
        let mut command = Command::new("bpftrace");
        command.args(["--unsafe", "-e", &self.script]).args(&self.args).stdin(Stdio::null());
        let out = Run::of(command.output().unwrap()).ok().out;
        let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("Attaching ")).collect();
        lines.join("\n")
    }

    /// What is wrong with what was printed; nothing if all is right.
    fn problem(&self, run: &Run) -> Option<String> {
        let printed = run.out.trim_end();
        if run.status != Some(self.status) || printed != self.output {
            return Some(format!(
                "status {:?}, expected {}\n--- printed\n{printed}\n--- expected\n{}\n--- errors\n{}",
                run.status, self.status, self.output, run.err
            ));
        }
        let missing = self.error.iter().find(|part| !run.err.contains(*part));
        missing.map(|part| format!("standard error lacks {part:?}:\n{}", run.err))
    }
}

/// Lines without spaces at their ends and without empty ones, in which releases of the reference differ.
fn even(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/language.txt")
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(file()).unwrap();
    let (_, rest) = text.split_once("=== ").unwrap();
    rest.split("\n=== ").map(Row::read).collect()
}

#[test]
fn every_feature_prints_what_it_should() {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    let mut rows = rows();
    assert!(rows.len() > 90, "{}", rows.len());
    if std::env::var_os("SKEP_UPDATE_GOLDEN").is_some() {
        let old = std::fs::read_to_string(file()).unwrap();
        let mut text = old.split_once("=== ").unwrap().0.to_owned();
        for row in &mut rows {
            let run = row.run();
            row.output = run.out.trim_end().to_owned();
            row.status = run.status.unwrap_or(0);
            row.write(&mut text);
        }
        std::fs::write(file(), text).unwrap();
        return;
    }
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(format!("=== {}\n{}{}\n", row.name, row.script, row.problem(&row.run())?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn the_reference_prints_the_same() {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    if Command::new("bpftrace").arg("--version").output().is_err() {
        return skip("bpftrace is not installed");
    }
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.same).collect();
    assert!(rows.len() > 20, "{}", rows.len());
    for row in rows {
        let (ours, theirs) = (even(&row.output), even(&row.reference()));
        assert_eq!(ours, theirs, "{}: ours is left, bpftrace's is right:\n{}", row.name, row.script);
    }
}

/// Builtins that no test can run on the machines that we have, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("override", "it needs kprobes and a kernel with CONFIG_BPF_KPROBE_OVERRIDE"),
    ("socket_cookie", "it needs a program at a function that gets a socket"),
];

/// Every builtin, type of probe and setting of the tables is in a script that a test runs.
#[test]
fn everything_in_the_tables_is_run() {
    fn gather(directory: &Path, text: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, text);
            } else if path.extension().is_some_and(|ending| ["rs", "txt", "bt"].iter().any(|known| ending == *known)) {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut text = String::new();
    gather(&tests, &mut text);
    gather(&tests.join("../../lang-script/tests/constructs"), &mut text);
    let words: std::collections::HashSet<&str> =
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let builtins = skep_lang_script::builtins::BUILTINS.iter().map(|row| row.name);
    let probes = skep_lang_script::providers::PROVIDERS.iter().map(|row| row.name);
    let settings = skep_lang_script::settings::SETTINGS.iter().filter(|row| !row.doc.is_empty()).map(|row| row.name);
    let missing: Vec<&str> = builtins
        .chain(probes)
        .chain(settings)
        .filter(|name| !words.contains(name) && NOT_RUN.iter().all(|row| row.0 != *name))
        .collect();
    assert!(missing.is_empty(), "no test runs {missing:?}");
}

/// The script in a file, run with these options; `None` where programs cannot be loaded.
fn in_directory(files: &[(&str, &str)], options: &[&str]) -> Option<(tempfile::TempDir, Run)> {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        skip("loading programs needs CAP_SYS_ADMIN");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let script = directory.path().join(files[0].0).display().to_string();
    let run = skep(["run", "-q"].into_iter().chain(options.iter().copied()).chain([script.as_str()]));
    Some((directory, run))
}

#[test]
fn imports() {
    let main = "import \"types.h\";\nimport \"lib.bt\";\nimport \"more\";\nimport \"lib.bt\";\n\
                begin { print((sizeof(struct pair), LIMIT, double(4), triple(4))); }\n";
    let files = [
        ("main.bt", main),
        ("types.h", "#define LIMIT 9\nstruct pair { int a; long b; };\n"),
        ("lib.bt", "macro double(x) { x * 2 }\nbegin { print(\"library\"); }\n"),
        ("more/one.bt", "fn triple($x : int64) : int64 { return $x * 3; }\n"),
    ];
    let Some((_, run)) = in_directory(&files, &[]) else { return };
    assert_eq!(run.ok().out, "(16, 9, 8, 12)\nlibrary\n\n\n");
    let Some((_, run)) = in_directory(&[("main.bt", "import \"none.bt\";\nbegin { }\n")], &[]) else { return };
    assert!(run.status == Some(2) && run.err.contains("none.bt"), "{run:?}");
}

/// Functions in C, with what they need: a variable, a map, a loop, types of the kernel, addresses of the script's variables.
const FUNCTIONS_IN_C: &str = r#"
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "factor.h"

static __u64 calls;
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } seen SEC(".maps");

int add(int a, int b) { calls++; return a + b; }
unsigned char low(unsigned long number) { return number; }
signed char negative(void) { return -2; }
_Bool odd(int number) { return number & 1; }
__u64 called(void) { return calls; }
int scale(int number) { return FACTOR * number; }
static __attribute__((noinline)) int digits(__u64 number) {
    int count = 1;
    for (int round = 0; round < 20 && number > 9; round++) { number /= 10; count++; }
    return count;
}
int width(__u64 number) { return digits(number); }
long doubled(const long *number) { long value = 0; bpf_probe_read_kernel(&value, sizeof(value), number); return 2 * value; }
__u64 times(__u32 key) {
    __u64 one = 1, *found = bpf_map_lookup_elem(&seen, &key);
    if (found) return ++*found;
    bpf_map_update_elem(&seen, &key, &one, BPF_ANY);
    return 1;
}
int process(void) {
    struct task_struct *task = (void *)bpf_get_current_task();
    return BPF_CORE_READ(task, tgid);
}
"#;

#[test]
fn imports_of_functions_in_c() {
    let main = "import \"functions.bpf.c\";\nimport \"more.bpf.c\";\n\
                fn twice($x : int64) : int64 { return add($x, $x); }\n\
                begin { print((add(2, -3), low(0x1ff), negative(), odd(7), odd(8), scale(5), twice(4)));\n\
                $n = (int64)21; print(doubled(&$n));\n\
                print((width(0), width(12345), called(), times(3), times(3), times(4), process() == pid, other()));\n\
                @sum[add(1, 1)] = sum(add(3, 4)); }\n";
    let files = [
        ("main.bt", main),
        ("functions.bpf.c", FUNCTIONS_IN_C),
        ("factor.h", "#define FACTOR 6\n"),
        ("more.bpf.c", "#include <base.h>\nint other(void) { return add(BASE, 2); }\n"),
    ];
    // A header that only `-I` leads to.
    let headers = tempfile::tempdir().unwrap();
    std::fs::write(headers.path().join("base.h"), "#define BASE 20\n").unwrap();
    let include = ["-I", headers.path().to_str().unwrap()];
    let Some((directory, run)) = in_directory(&files, &include) else { return };
    let expected = "(-1, 255, -2, true, false, 30, 8)\n42\n(1, 5, 2, 1, 2, 1, true, 22)\n\n\n@sum[2]: 7\n";
    assert_eq!(run.ok().out, expected);
    // The rules of the intermediate representation hold, and the object can be written.
    let (script, object) = (directory.path().join("main.bt"), directory.path().join("out.o"));
    let (script, object) = (script.display().to_string(), object.display().to_string());
    skep(["run", "-q", "--verify-llvm-ir", "--emit-elf", &object].iter().chain(&include).chain(&[&*script])).ok();
    assert!(std::fs::metadata(&object).unwrap().len() > 1000);
}

#[test]
fn imports_in_c_that_are_wrong() {
    let cases = [
        ("int f(void) { return undeclared; }\n", "undeclared"),
        (
            "#define SEC(name) __attribute__((section(name), used))\nSEC(\"xdp\") int f(void *ctx) { return 2; }\n",
            "`f` is a program (section `xdp`); a script can import functions only",
        ),
        ("struct big { long l[4]; }; int f(struct big b);\nint g(void) { return 1; }\n", "the function `f`"),
    ];
    for (text, message) in cases {
        let files = [("main.bt", "import \"tool.bpf.c\";\nbegin { print(f()); }\n"), ("tool.bpf.c", text)];
        let Some((_, run)) = in_directory(&files, &[]) else { return };
        assert!(run.status == Some(2) && run.err.contains(message), "{message}: {run:?}");
    }
    let call = |call: &str| {
        let text = format!("import \"tool.bpf.c\";\nbegin {{ {call}; }}\n");
        in_directory(&[("main.bt", &text), ("tool.bpf.c", "int f(int a) { return a; }\n")], &[]).map(|made| made.1)
    };
    let Some(run) = call("print(f(1, 2))") else { return };
    assert!(run.status == Some(2) && run.err.contains("`f` takes 1 arguments, not 2"), "{run:?}");
    let Some(run) = call("print(f(\"text\"))") else { return };
    assert!(run.status == Some(2) && run.err.contains("the parameter is of type int32"), "{run:?}");
}

#[test]
fn directories_that_anybody_may_write_to_are_not_imported() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("library");
    std::fs::create_dir(&library).unwrap();
    std::fs::write(library.join("one.bt"), "macro one() { 1 }\n").unwrap();
    let script = directory.path().join("main.bt");
    std::fs::write(&script, "import \"library\";\nbegin { print(one()); }\n").unwrap();
    let run = || skep(["run", "-q", "--dry-run", script.to_str().unwrap()]);
    std::fs::set_permissions(&library, std::fs::Permissions::from_mode(0o777)).unwrap();
    let refused = run();
    assert!(refused.status == Some(2) && refused.err.contains("library"), "{refused:?}");
    std::fs::set_permissions(&library, std::fs::Permissions::from_mode(0o755)).unwrap();
    if skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        run().ok();
    }
}

#[test]
fn settings_of_the_environment_count_more() {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    let text =
        "config = { max_map_keys = 5; max_strlen = 7 } begin { print((config.max_map_keys, config.max_strlen)); }";
    let mut command = command(["run", "-q", "-e", text]);
    let run = Run::of(command.env("BPFTRACE_MAX_MAP_KEYS", "9").env("BPFTRACE_OTHER", "1").output().unwrap());
    assert_eq!(run.ok().out, "(9, 7)\n\n\n");
    let mut wrong = crate::support::command(["run", "-q", "-e", text]);
    let run = Run::of(wrong.env("BPFTRACE_MAX_STRLEN", "many").output().unwrap());
    assert!(
        run.status == Some(2) && run.err.contains("BPFTRACE_MAX_STRLEN=many: it is a number from 1 to 16384"),
        "{run:?}"
    );
}

/// Runs a command of the shell in namespaces of its own, with the script as `$TEXT`; `None` if that is not possible.
fn apart(flags: &str, shell: &str, text: &str) -> Option<Run> {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        skip("namespaces need CAP_SYS_ADMIN");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c", shell]).env("TEXT", text).env("TZ", "UTC").stdin(Stdio::null());
    let Ok(output) = command.output() else {
        skip("there is no `unshare`");
        return None;
    };
    let run = Run::of(output);
    if run.status == Some(99) {
        skip(&run.err);
        return None;
    }
    Some(run)
}

#[test]
fn packets_go_to_capture_files() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        return skip("tcpdump is not installed");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out.pcap").display().to_string();
    let text =
        format!("rawtracepoint:net_dev_queue {{ $r = skboutput(\"{file}\", args.skb, 60, 0); @[$r] = count(); }}");
    let send = "bash -c 'echo hello-packet > /dev/udp/127.0.0.1/9'";
    let shell = format!("ip link set lo up || exit 99; exec {SKEP} run -q -e \"$TEXT\" -c \"{send}\"");
    let Some(run) = apart("-n", &shell, &text) else { return };
    let run = run.ok();
    assert!(run.out.contains("@[0]: "), "{run:?}");
    let Some(read) = crate::support::tcpdump(&["-nn", "-A", "-r", &file]) else { return };
    let read = read.ok();
    assert!(read.out.contains("> 127.0.0.1.9: UDP, length 13") && read.out.contains("hello-packet"), "{read:?}");
}

#[test]
fn debugf_goes_to_the_trace_pipe() {
    let shell = format!(
        "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; {SKEP} run -q -e \"$TEXT\" && \
         grep -a 'skep 5' /sys/kernel/tracing/trace"
    );
    let Some(run) = apart("-m", &shell, "begin { debugf(\"skep %d %s %lx\", 5, comm, 255); }") else { return };
    let run = run.ok();
    assert!(run.out.contains("skep 5 skep ff"), "{run:?}");
}

/// Whether the machine refused to load or attach; then the test cannot run here.
fn refused(run: &Run) -> bool {
    let reasons = [
        "no permission to load a program",
        "does not support",
        "a security module or a policy",
        "cannot use helper bpf_probe_write_user",
    ];
    let refused = reasons.iter().any(|reason| run.err.contains(reason));
    if refused {
        println!("SKIPPED: {}", run.err);
    }
    refused
}

#[test]
fn paths_of_open_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("held");
    std::fs::write(&file, "x").unwrap();
    let name = file.display().to_string();
    let text = format!(
        "iter:task_file /ctx.task->tgid == {}/ {{ if (path(ctx.file.f_path) == \"{name}\") \
         {{ printf(\"%d %s\\n\", ctx.fd, path(ctx.file->f_path, 6)); }} }}",
        std::process::id()
    );
    let held = std::fs::File::open(&file).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&held);
    let run = skep(["run", "-q", "-e", &text]);
    if refused(&run) {
        return;
    }
    // The room of the second one is too small: the kernel gives nothing.
    assert_eq!(run.ok().out, format!("{fd} \n\n\n"));
}

#[test]
fn memory_of_a_process_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let (source, binary) = (directory.path().join("w.c"), directory.path().join("w"));
    let text = "#include <stdio.h>\n__attribute__((noinline)) void look(char *text) { __asm__ volatile(\"\" :: \"r\"(text) : \"memory\"); }\n\
                int main(void) { char text[16] = \"before\"; look(text); puts(text); return 0; }\n";
    std::fs::write(&source, text).unwrap();
    let made = Command::new("cc").args(["-O1", "-o"]).arg(&binary).arg(&source).status();
    if !made.is_ok_and(|status| status.success()) {
        return skip("there is no C compiler `cc`");
    }
    let binary = binary.display().to_string();
    let text = format!("uprobe:{binary}:look {{ $new = \"after\"; $r = write_user(arg0, $new, 6); @[$r] = count(); }}");
    let run = skep(["run", "-q", "--unsafe", "-c", &binary, "-e", &text]);
    if refused(&run) {
        return;
    }
    let run = run.ok();
    assert!(run.out.contains("after\n") && run.out.contains("@[0]: 1\n"), "{run:?}");
}

/// Places that some machines refuse: an address of the kernel, another BPF program.
#[test]
fn addresses_and_other_programs() {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let address =
        symbols.lines().find_map(|line| line.strip_suffix(" t do_nanosleep").or(line.strip_suffix(" T do_nanosleep")));
    if let Some(address) = address.filter(|address| !address.trim_start_matches('0').is_empty()) {
        let text = format!("kprobe:0x{address} {{ @[func] = count(); }}");
        let run = skep(["run", "-q", "--unsafe", "-c", "sleep 0.1", "-e", &text]);
        if !refused(&run) {
            assert!(run.ok().out.contains("@[do_nanosleep]: "));
        }
        assert!(skep(["run", "-q", "-e", &text]).err.contains("`--unsafe` allows addresses"));
    }
    let mut child = command(["run", "-q", "-e", "interval:ms:20 { @n++; }"]).stdout(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let id = loop {
        let held = skep_kernel::held_by(child.id());
        let program = held.into_iter().find_map(|(_, held)| match held {
            Held::Program(id) => Some(id),
            _ => None,
        });
        match program {
            Some(id) => break id,
            None => assert!(start.elapsed() < Duration::from_secs(20), "the other script does not start"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let text = format!("fentry:bpf:{id}:interval_0 {{ @ = count(); }} interval:ms:300 {{ exit(); }}");
    let run = skep(["run", "-q", "-e", &text]);
    child.kill().unwrap();
    child.wait().unwrap();
    if !refused(&run) {
        assert!(run.ok().out.contains("@: "));
    }
    let missing = skep(["run", "-q", "-e", "fentry:bpf:no_such_program { @ = count(); }"]);
    assert!(
        missing.status == Some(1) && missing.err.contains("cannot trace `fentry:bpf:no_such_program`"),
        "{missing:?}"
    );
}

#[test]
fn signals_reach_the_process() {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    for call in ["signal(\"SIGKILL\")", "signal_thread(9)"] {
        let text = format!("rawtracepoint:sys_enter /pid == cpid/ {{ {call}; }} end {{ print(1); }}");
        let start = Instant::now();
        let run = skep(["run", "-q", "--unsafe", "-c", "sleep 30", "-e", &text]).ok();
        assert!(run.out.starts_with("1\n") && start.elapsed().as_secs() < 20, "{run:?}");
        let run = skep(["run", "-q", "-c", "true", "-e", &text]);
        assert!(run.status == Some(2) && run.err.contains("`--unsafe` allows it"), "{run:?}");
    }
}

//! What all tools have in common: lists, help, sources, filters, forms, recordings.

use std::process::{Command, Stdio};

use super::{is, number, shell, start};
use crate::support::{SKEP, skep};

/// Tools of the binary, by the list.
fn names() -> Vec<String> {
    let list = skep(["tools"]).ok().out;
    let rows = list.lines().filter(|line| line.starts_with("  "));
    let is_tool = |name: &String| skep_tools::catalogue::is_embedded(name);
    rows.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(is_tool).collect()
}

#[test]
fn lists_help_and_sources() {
    let names = names();
    assert!(names.len() >= 20, "{names:?}");
    for name in &names {
        let help = skep([name.as_str(), "--help"]).ok().out;
        assert!(help.contains(&format!("Usage: skep {name}")) && help.contains("\nExample:\n  $ sudo skep"), "{help}");
        assert_eq!(skep(["help", name]).ok().out, help);
        let source = skep([name.as_str(), "--source"]).ok().out;
        assert!(source.starts_with("/*\n * ") && source.contains(&format!(" * {name}: ")), "{source}");
    }
}

/// Every tool has a manual page with an example and its own options, and is completed by each shell.
#[test]
fn manual_pages_and_completions() {
    let directory = tempfile::tempdir().unwrap();
    skep(["man", directory.path().to_str().unwrap()]).ok();
    let scripts = ["bash", "zsh", "fish"].map(|shell| skep(["completions", shell]).ok().out);
    let mut known = names();
    known.extend(["nflat", "doctor", "strace", "trace", "dns"].map(str::to_owned));
    for name in &known {
        let page = std::fs::read_to_string(directory.path().join(format!("skep-{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains("Example"), "{name}: {page}");
        for script in &scripts {
            let mut words = script.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
            assert!(words.any(|word| word == name), "{name} is not completed");
        }
    }
    for tool in &skep_tools::catalogue::Catalogue::embedded().tools {
        let name = &tool.header.name;
        let page = std::fs::read_to_string(directory.path().join(format!("skep-{name}.1"))).unwrap();
        let page = page.replace('\\', "");
        for option in &tool.header.options {
            assert!(page.contains(&format!("--{}", option.long)), "{name}: --{} is not in its page", option.long);
        }
    }
}

#[test]
fn mistakes_end_with_a_hint() {
    for (args, part) in [
        (&["opensnoop", "--where", "paht ~ x"][..], "no field `paht`; there are: time, uid, pid"),
        (&["opensnoop", "--fields", "nothing"], "no field `nothing`"),
        (&["opensnoop", "--sort", "nothing"], "no such field"),
        (&["opensnoop", "-o", "folded"], "no stacks"),
        (&["opensnoop", "--container", "abcdabcd"], "no container"),
        (&["opensnoop", "--uid", "no such user"], "no such user"),
        (&["tool", "no-such-tool"], "`skep tools` lists them"),
    ] {
        let run = skep(args);
        assert_eq!(run.status, Some(2), "{run:?}");
        assert!(run.err.contains(part), "{run:?}");
    }
    let run = skep(["opensnoop", "-r", "/no/such/recording"]);
    assert!(run.status == Some(1) && run.err.contains("/no/such/recording"), "{run:?}");
}

#[test]
fn what_is_missing_is_said_in_a_line() {
    if !super::able() {
        return;
    }
    // A copy, because the directory of the binary may be closed to others.
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("skep");
    std::fs::copy(SKEP, &copy).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy).arg("opensnoop");
    let run = crate::support::Run::of(command.output().unwrap());
    assert_eq!(run.err, "skep: opensnoop needs CAP_BPF and CAP_PERFMON: run it as root\n", "{run:?}");
    // The tracing file system need not be mounted.
    let text = "umount -A /sys/kernel/tracing 2>/dev/null; umount -A /sys/kernel/debug 2>/dev/null; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", text, "sh", SKEP, "opensnoop", "--for", "1ms"]);
    let run = crate::support::Run::of(command.output().unwrap()).ok();
    assert!(run.out.starts_with("PID"), "{run:?}");
}

#[test]
fn filters_choose_in_the_kernel() {
    // Two programs under two names do the same; only one is wanted.
    let directory = tempfile::tempdir().unwrap();
    let names = ["wanted-one", "other-one"].map(|name| directory.path().join(name));
    for path in &names {
        std::fs::copy("/bin/cat", path).unwrap();
    }
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let Some(mut tool) = start(&["opensnoop", "--comm", "wanted-one", "--fields", "pid,comm,path"]) else { return };
    let ids = [1, 0].map(|index| {
        let mut child = Command::new(&names[index]).arg(&file).spawn().unwrap();
        child.wait().unwrap();
        child.id().to_string()
    });
    let path = file.to_str().unwrap();
    tool.wait(|row| is(row, &[("pid", &ids[1]), ("path", path)]));
    let rows = tool.stop();
    assert!(rows.iter().all(|row| row["comm"] == "wanted-one" && row["pid"] != ids[0]), "{rows:?}");

    // By process: this one opens files, others do as well.
    let own = std::process::id().to_string();
    let Some(mut tool) = start(&["opensnoop", "-p", &own, "--where", "path ~ mark && err == 0"]) else { return };
    let mark = directory.path().join("mark");
    std::fs::write(&mark, "x").unwrap();
    shell(&format!("cat {}", mark.display()));
    let row = tool.wait(|row| row["path"] == mark.to_str().unwrap());
    assert!(row["pid"] == own && !row["user"].is_empty(), "{row:?}");
    assert_eq!(row["exe"], std::env::current_exe().unwrap().display().to_string());
    let rows = tool.stop();
    assert!(rows.iter().all(|row| row["pid"] == own && row["path"].contains("mark")), "{rows:?}");

    // Nobody has this user.
    let Some(tool) = start(&["opensnoop", "-u", "4000000000"]) else { return };
    shell("cat /etc/hostname");
    assert!(tool.stop().is_empty());
}

#[test]
fn recordings_are_shown_again() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("rows");
    let recording = recording.to_str().unwrap();
    let Some(mut tool) = start(&["execsnoop", "--where", "args ~ '/bin/true mark *'", "--count", "2"]) else { return };
    shell("/bin/true mark 1; /bin/true mark 2; /bin/true mark 3");
    let live = tool.rest();
    assert_eq!(
        live.iter().map(|row| row["args"].as_str()).collect::<Vec<_>>(),
        ["/bin/true mark 1", "/bin/true mark 2"]
    );

    // A recording holds every row; the first line of it says that the tool is at work.
    let mut command = super::command(&["execsnoop", "--write", recording, "--count", "3", "--comm", "true"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    while std::fs::metadata(recording).map_or(0, |facts| facts.len()) == 0 && child.try_wait().unwrap().is_none() {
        shell("/bin/true mark 4; /bin/true mark 5; /bin/true mark 6");
    }
    assert!(child.wait().unwrap().success());
    let read = |args: &[&str]| skep([&["execsnoop", "-r", recording][..], args].concat());
    let rows = read(&["--json"]).ok().out;
    let rows: Vec<serde_json::Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter().all(|row| row["comm"] == "true" && row["args"].as_str().unwrap().starts_with("/bin/true mark "))
    );
    let first = rows[0]["args"].as_str().unwrap();
    let some = read(&["--csv", "--fields", "args", "--where", &format!("args == '{first}'"), "--top", "1"]).ok();
    assert_eq!(some.lines(), ["args", first]);
    let wrong = skep(["opensnoop", "-r", recording]);
    assert!(wrong.err.contains("it was made by execsnoop: use `skep execsnoop -r`"), "{wrong:?}");
}

#[test]
fn tables_have_the_usual_heads() {
    if !super::able() {
        return;
    }
    // TABLE: heads of the tools that these are named after.
    for (args, head) in [
        (&["execsnoop"][..], "PCOMM            PID     PPID    RET ARGS"),
        (&["opensnoop"], "PID     COMM              FD ERR PATH"),
        (&["exitsnoop"], "PCOMM            PID     PPID    TID          AGE(s) EXIT_CODE"),
        (
            &["tcplife"],
            "PID     COMM             LADDR           LPORT RADDR           RPORT     TX_KB     RX_KB         MS",
        ),
        (&["tcpconnect", "-U"], "UID PID     COMM             IP SADDR           DADDR           DPORT"),
        (&["tcpaccept"], "PID     COMM             IP RADDR           RPORT LADDR           LPORT"),
        (&["biosnoop"], "COMM             PID     DISK      T      SECTOR    BYTES  LAT(ms)"),
    ] {
        let output = super::command(&[args, &["--for", "1ms"]].concat()).output().unwrap();
        if output.status.code() == Some(99) {
            return crate::support::skip("tracefs cannot be mounted");
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let found: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
        let expected: Vec<&str> = head.split_whitespace().collect();
        assert!(found.starts_with(&expected), "{args:?}: {text}");
    }
}

#[test]
fn tools_of_the_user() {
    let directory = tempfile::tempdir().unwrap();
    let text = "/*\n * mine: Numbers\n *\n * Question: Which numbers?\n * Topic: own\n *\n * Columns:\n \
        *   n  N  >3  always  The number.\n *\n * Options:\n *   -m, --most N  set most  How many.\n *\n \
        * Example:\n *   $ skep mine\n */\nimport \"lib/filters.bt\";\nimport \"part.bt\";\n\
        begin { for $i : 0..getopt(\"most\", 3) { print((n = twice($i))); } exit(); }\n";
    std::fs::write(directory.path().join("mine.bt"), text).unwrap();
    std::fs::write(directory.path().join("part.bt"), "macro twice(x) { 2 * x }\n").unwrap();
    std::fs::write(directory.path().join("broken.bt"), "begin { }\n").unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(SKEP).args(args).env("SKEP_TOOLS_PATH", directory.path()).output().unwrap();
        crate::support::Run::of(output)
    };
    let list = run(&["tools"]).ok();
    assert!(list.out.contains("own\n  mine           Which numbers?"), "{list:?}");
    assert!(list.err.contains("broken.bt, line 1: a tool begins with a comment"), "{list:?}");
    if super::able() {
        assert_eq!(run(&["mine"]).ok().out, "  N\n  0\n  2\n  4\n");
        assert_eq!(
            run(&["mine", "-m", "5", "--sort", "-n", "--top", "2", "--json"]).ok().out,
            "{\"n\": 8}\n{\"n\": 6}\n"
        );
        let path = directory.path().to_str().unwrap();
        let named = skep(["tool", "--tools-path", path, "mine", "--where", "n > 2"]).ok();
        assert_eq!(named.out, "  N\n  4\n");
    }
}

#[test]
fn times_and_order() {
    let Some(mut tool) = start(&["execsnoop", "--comm", "true", "--sort", "-args", "--top", "2"]) else { return };
    for word in ["b", "c", "a"] {
        shell(&format!("/bin/true mark-{word}"));
    }
    // Sorted rows come when the tool ends.
    assert!(tool.rows.is_empty());
    let kill = Command::new("kill").args(["-INT", &tool.child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let rows = tool.rest();
    let args: Vec<&str> = rows.iter().map(|row| row["args"].as_str()).collect();
    assert_eq!(args, ["/bin/true mark-c", "/bin/true mark-b"]);
    assert!(rows.iter().all(|row| row["time"].starts_with("20") && row["time"].ends_with("+00:00")), "{rows:?}");
    assert!(rows.iter().all(|row| number(row, "cgroup") > 0), "{rows:?}");
}

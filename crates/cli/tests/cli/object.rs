//! `skep load` and `skep run` on objects that clang makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Run, SKEP, command, skep, skip};

/// A source of the kernel crate's tests or a text, compiled; `None` with a note without clang or privileges.
#[track_caller]
fn compiled(text: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        skip("loading programs needs CAP_SYS_ADMIN");
        return None;
    }
    match skep_testkit::clang::compile_text(text, &[]) {
        Ok(bytes) => {
            let directory = tempfile::tempdir().unwrap();
            let object = directory.path().join("case.o");
            std::fs::write(&object, bytes).unwrap();
            Some((directory, object))
        }
        Err(why) => {
            skip(&why);
            None
        }
    }
}

const EVENTS: &str = "
struct event { u32 process; char text[8]; };
struct { __uint(type, RINGBUF); __uint(max_entries, 65536); __type(value, struct event); } events SEC(\".maps\");
u64 total;
SEC(\"raw_tp/sys_exit\") int f(void *ctx)
{
    struct event *event = ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event)
        return 0;
    event->process = 7;
    __builtin_memcpy(event->text, \"hi\\0\\0\\0\\0\\0\", 8);
    ringbuf_submit(event, 0);
    __sync_fetch_and_add(&total, 1);
    return 0;
}
SEC(\"xdp\") int g(void *ctx) { return 2; }
";

fn run(object: &Path, args: &[&str]) -> Run {
    skep([&["run", object.to_str().unwrap()], args].concat())
}

#[test]
fn records_are_printed_by_type() {
    let Some((_directory, object)) = compiled(EVENTS) else { return };
    let text = run(&object, &["--count", "3"]).ok();
    assert_eq!(text.lines()[..3], ["events: {\"process\":7,\"text\":\"hi\"}"; 3]);
    assert!(text.lines()[3].starts_with(".bss = {\"total\":"), "{text:?}");
    assert!(text.err.contains("program `g` is not attached: no network interface was given"), "{text:?}");
    let json = run(&object, &["-c", "true", "--json", "--prog", "f"]).ok();
    for line in json.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["record"]["text"] == "hi" || value["map"] == ".bss", "{line}");
    }
    assert!(json.lines().len() > 1 && json.err.is_empty(), "{json:?}");
    assert_eq!(run(&object, &["--once", "--entries", "0", "--prog", "g"]).ok().out, "");
}

#[test]
fn wrong_arguments_are_named() {
    let Some((directory, object)) = compiled(EVENTS) else { return };
    for (args, expected) in [
        (&["--prog", "nothing"][..], "there is no program `nothing`; there are: f, g"),
        (&["--type", "events=struct nothing"], "no type `struct nothing`"),
        (&["--type", "events"], "expected MAP=TYPE"),
        (&["--attach", "somewhere"], "`somewhere` is none of dev=NAME"),
        (&["--duration", "0"], "above 0"),
    ] {
        let run = run(&object, args);
        assert!(run.status == Some(2) && run.err.contains(expected), "{args:?}: {run:?}");
    }
    let text = directory.path().join("case.txt");
    std::fs::write(&text, "int main;").unwrap();
    let no_object = skep(["load", text.to_str().unwrap()]);
    assert!(no_object.status == Some(1) && no_object.err.contains("not an ELF file"), "{no_object:?}");
}

#[test]
fn refusals_come_with_their_lines() {
    let Some((_directory, object)) = compiled("SEC(\"raw_tp/sys_exit\") int f(u64 *ctx) { return *(int *)ctx[0]; }\n")
    else {
        return;
    };
    let file = object.to_str().unwrap();
    let short = skep(["load", file]);
    assert_eq!(short.status, Some(1));
    assert!(short.err.contains("skep: the kernel's verifier refused program `f`: "), "{}", short.err);
    assert!(short.err.contains("  R1 invalid mem access 'scalar'") && short.err.contains("-v shows"), "{}", short.err);
    let long = skep(["load", "-v", file]);
    assert!(long.err.contains("processed ") && long.err.lines().count() > short.err.lines().count(), "{}", long.err);
}

#[test]
fn what_is_pinned_stays_until_it_is_removed() {
    let Some((_directory, object)) = compiled(EVENTS) else { return };
    let pins = PathBuf::from(format!("/sys/fs/bpf/skep_cli_{}", std::process::id()));
    let maps = pins.join("maps");
    let (file, pin, map_pin) = (object.to_str().unwrap(), pins.to_str().unwrap(), maps.to_str().unwrap());
    let loaded = skep(["load", file, "--attach", "--pin", pin, "--map-pin", map_pin]);
    let names = |path: &Path| {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    };
    let found = (names(&pins), names(&maps));
    // Again is an error, and takes nothing away.
    let again = skep(["load", file, "--pin", pin]);
    let after = names(&pins);
    std::fs::remove_dir_all(&pins).unwrap();
    loaded.ok();
    assert_eq!(found.0, ["f", "f_link", "g", "maps"]);
    assert_eq!(found.1, ["_bss", "events"]);
    assert!(again.status == Some(1) && again.err.contains("something is there already"), "{again:?}");
    assert_eq!(after, found.0);
    let check = skep(["load", file]).ok();
    assert!(check.out.contains("program f: ") && check.out.contains("the programs are freed again"), "{}", check.out);
}

#[test]
fn who_may_not_load_is_told_what_it_takes() {
    let Some((_directory, object)) = compiled(EVENTS) else { return };
    let mut without = Command::new("setpriv");
    without.args(["--bounding-set=-all", "--inh-caps=-all", SKEP, "load"]).arg(&object);
    let Ok(output) = without.output() else { return skip("setpriv is not installed") };
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    // Where `kernel.unprivileged_bpf_disabled` is 0 everybody may create the map.
    assert!(text.contains("no permission to ") && text.contains("; it needs CAP_BPF or CAP_SYS_ADMIN"), "{text}");
    assert!(text.contains("sudo") && !text.contains("os error"), "{text}");
}

#[test]
fn an_interrupt_ends_it_properly() {
    let Some((_directory, object)) = compiled(EVENTS) else { return };
    let file = object.to_str().unwrap();
    let mut child = command(["run", file, "--prog", "g", "-v"]);
    let mut child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success() && child.wait().unwrap().success());
}

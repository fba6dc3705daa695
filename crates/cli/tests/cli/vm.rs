//! `skep vm`: programs as text and as objects, every option, errors; the plug-in on both engines.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use skep_isa::ebpf::{Endian, to_bytes};
use skep_packet::LinkType;
use skep_testkit::conformance::{Case, Expect, families};
use tempfile::TempDir;

use crate::support::{Run, path, recording, skep, skep_with, skip};

/// Adds the bytes of its memory and makes them zeros.
const SUM: &str = "
    r0 = 0
    if r2 == 0 goto done
again:
    r3 = *(u8 *)(r1 +0)     ; the next byte
    r0 += r3
    *(u8 *)(r1 +0) = 0
    r1 += 1
    r2 -= 1
    if r2 != 0 goto again
done:
    exit
";

/// Programs and maps for clang.
const OBJECT: &str = r#"
#define SEC(n) __attribute__((section(n), used))
struct { int (*type)[1]; int (*max_entries)[16]; unsigned *key; unsigned long long *value; } seen SEC(".maps");
struct { int (*type)[2]; int (*max_entries)[4]; unsigned *key; unsigned long long *value; } totals SEC(".maps");
static void *(*lookup)(void *, const void *) = (void *)1;
static long (*update)(void *, const void *, const void *, unsigned long long) = (void *)2;
struct __sk_buff { unsigned len; };
unsigned long long load_byte(void *skb, unsigned long long off) __asm__("llvm.bpf.load.byte");
SEC("socket") int count(struct __sk_buff *skb)
{
    unsigned proto = load_byte(skb, 9), zero = 0;
    unsigned long long one = 1, *value = lookup(&seen, &proto), *total = lookup(&totals, &zero);
    if (total)
        *total += skb->len;
    if (value)
        *value += 1;
    else
        update(&seen, &proto, &one, 0);
    return proto;
}
SEC("xdp") int careless(void *ctx)
{
    unsigned key = 7;
    unsigned long long *value = lookup(&totals, &key);
    return *value;
}
struct xdp_md { unsigned data, data_end; };
SEC("xdp") int flip(struct xdp_md *ctx)
{
    unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + 1 > end)
        return 1;
    *data ^= 0xff;
    return 3;
}
SEC("perf_event") int other(void *ctx)
{
    return 0;
}
"#;

/// A file in a directory of its own.
fn file(name: &str, contents: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    std::fs::write(&file, contents).unwrap();
    (directory, file)
}

/// Runs `skep vm COMMAND FILE OPTIONS`.
fn vm(command: &str, file: &Path, options: &[&str]) -> Run {
    skep([&["vm", command, file.to_str().unwrap()][..], options].concat())
}

/// Runs a text with `skep vm run`.
fn run(text: &str, options: &[&str]) -> Run {
    let (_directory, file) = file("prog.s", text);
    vm("run", &file, options)
}

fn json(run: &Run) -> Value {
    serde_json::from_str(run.lines().last().unwrap()).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

/// The object of [`OBJECT`]; `None`, with a remark, if there is no clang.
fn object() -> Option<(TempDir, PathBuf)> {
    let (directory, source) = file("prog.c", OBJECT);
    let object = directory.path().join("prog.o");
    let mut command = Command::new("clang");
    command.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wno-everything", "-c", "-o"]).arg(&object).arg(source);
    match command.output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            skip("clang is not installed");
            return None;
        }
    }
    Some((directory, object))
}

#[test]
fn result_memory_and_counts() {
    for engine in ["--jit", "--interp"] {
        let run = run(SUM, &["--mem", "01 02 0304 ff", engine]).ok();
        assert!(
            run.out.starts_with("r0 = 265 (0x109)\nmemory: 5 of 5 bytes changed\n  0000: 00 00 00 00 00\n"),
            "{run:?}"
        );
        let exact = run.out.contains("instructions: 33\n");
        assert_eq!(exact, engine == "--interp", "{run:?}");
        assert!(run.out.contains(if exact { "(interpreter, one run" } else { "(jit, one run" }), "{run:?}");
    }
    // The bound of compiled code holds.
    let bound = json(&run(SUM, &["--mem", "01 02 0304 ff", "--jit", "--json"]).ok());
    assert!(bound["instructions"].as_u64().unwrap() >= 33 && bound["exact"] == false, "{bound}");
    // Only the changed bytes are shown.
    let run = run("*(u8 *)(r1 +17) = 0xab\nr0 = -1\nexit", &["--mem", &"11".repeat(40)]).ok();
    let dump = "memory: 1 of 40 bytes changed\n  0010: .. ab .. .. .. .. .. .. .. .. .. .. .. .. .. ..\n";
    assert!(run.out.starts_with(&format!("r0 = 18446744073709551615 (0xffffffffffffffff)\n{dump}")), "{run:?}");
}

#[test]
fn unchanged_memory_and_none() {
    assert!(run("r0 = *(u8 *)(r1 +1)\nexit", &["--mem", "0x0102"]).ok().out.contains("memory: 2 bytes, unchanged\n"));
    assert!(!run("r0 = 0\nexit", &[]).ok().out.contains("memory"));
    // The length is in register 2, and it is the whole of the memory.
    assert!(run("r0 = r2\nexit", &["--mem", ""]).ok().out.starts_with("r0 = 0 "));
    assert!(run("r0 = r2\nexit", &["--mem", "00 00 00"]).ok().out.starts_with("r0 = 3 "));
}

#[test]
fn trace_shows_every_instruction() {
    let traced = run(SUM, &["--mem", "05 06", "--trace"]).ok();
    let lines = traced.lines();
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>().join(" "), "2: r3 = *(u8 *)(r1 +0) r3 = 0x5");
    assert_eq!(lines[14], "    8: exit");
    assert_eq!(lines[15], "r0 = 11 (0xb)");
    assert!(traced.out.ends_with("instructions: 15\n"), "{traced:?}");
    let as_json = run(SUM, &["--mem", "05 06", "--trace", "--json"]).ok();
    let steps: Vec<Value> = as_json.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(steps.len(), 16);
    assert_eq!(
        (&steps[3]["step"], &steps[3]["insn"], &steps[3]["changed"]["r0"]),
        (&4.into(), &3.into(), &"0x5".into())
    );
    assert_eq!((&steps[14]["step"], &steps[14]["code"]), (&15.into(), &"exit".into()));
    assert_eq!(
        (&steps[15]["r0"], &steps[15]["exact"], &steps[15]["memory"]["bytes"]),
        (&11.into(), &true.into(), &"0000".into())
    );
    assert_eq!(run(SUM, &["--trace", "--jit"]).status, Some(2));
}

#[test]
fn repeated_runs_start_anew() {
    for engine in ["--jit", "--interp"] {
        let value = json(&run(SUM, &["--mem", "01 02", "--repeat", "1000", engine, "--json"]).ok());
        assert_eq!((&value["r0"], &value["runs"]), (&3.into(), &1000.into()));
        assert!(value["ns_per_run"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(run(SUM, &["--repeat", "0"]).status, Some(2));
}

#[test]
fn faults_tell_where_and_what() {
    for engine in ["--jit", "--interp", "--trace"] {
        let run = run("r0 = 1\nr0 = *(u64 *)(r1 +12)\nexit", &["--mem", "0011223344556677", engine]);
        assert_eq!(run.status, Some(1));
        for part in [
            "program `prog` was stopped: instruction 1 reads 8 bytes",
            "    1: r0 = *(u64 *)(r1 +12)",
            "the context  <- the access begins 4 bytes behind its end",
            "the stack",
        ] {
            assert!(run.err.contains(part), "{engine}, {part}: {run:?}");
        }
        assert!(run.out.contains("r0: none, the program was stopped\nmemory: 8 bytes, unchanged\n"), "{run:?}");
    }
    let value = run("r0 = *(u64 *)(r10 +0)\nexit", &["--json"]);
    let fault = &json(&value)["fault"];
    assert_eq!((&fault["insn"], &fault["region"], value.status), (&0.into(), &"the stack".into(), Some(1)));
}

#[test]
fn fuel_ends_loops() {
    for engine in ["--jit", "--interp", "--trace"] {
        let run = run("again: r0 += 1\ngoto again\nexit", &["--fuel", "50", engine]);
        assert_eq!(run.status, Some(1));
        assert!(run.err.contains("instruction 1 used up its fuel"), "{run:?}");
    }
    assert!(run(SUM, &["--mem", &"01".repeat(100), "--fuel", "601", "--jit"]).ok().out.contains("r0 = 100 "));
}

#[test]
fn objects_with_maps_and_packets() {
    let Some((directory, object)) = object() else { return };
    let packet = directory.path().join("packet");
    std::fs::write(&packet, [&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17][..], &[0; 34]].concat()).unwrap();
    let options = ["--prog", "count", "--packet", packet.to_str().unwrap(), "--repeat", "3"];
    for engine in ["--jit", "--interp"] {
        let run = vm("run", &object, &[&options[..], &[engine]].concat()).ok();
        for part in [
            "r0 = 17 (0x11)\ncontext: 192 bytes, unchanged\npacket: 44 bytes, unchanged",
            "map seen (hash): 1 entry of 16\n  11000000: 0300000000000000\n",
            "map totals (array): 1 entry that is not zero of 4\n  00000000: 8400000000000000\n",
        ] {
            assert!(run.out.contains(part), "{part}: {run:?}");
        }
    }
    let run = vm("run", &object, &[&options[..], &["--entries", "0"]].concat()).ok();
    assert!(run.out.contains("1 entry of 16\n  and 1 more; --entries shows them\n"), "{run:?}");
    let value = json(&vm("run", &object, &[&options[..], &["--json"]].concat()).ok());
    assert_eq!(value["maps"][0]["entries"][0]["key"], "11000000");
    // The first packet of a recording; its protocol is one byte of the Ethernet addresses or type.
    let (capture, packets) = recording(LinkType::EN10MB, 3);
    let value = json(&vm("run", &object, &["--prog", "count", "--packet", path(&capture), "--json"]).ok());
    assert_eq!(value["r0"], packets[0].data[9]);
}

#[test]
fn objects_with_mistakes() {
    let Some((_directory, object)) = object() else { return };
    let several = vm("run", &object, &[]);
    assert!(
        several.status == Some(2) && several.err.contains("choose one with --prog: count, careless"),
        "{several:?}"
    );
    let unknown = vm("run", &object, &["--prog", "nosuch"]);
    assert!(unknown.status == Some(2) && unknown.err.contains("no program `nosuch`"), "{unknown:?}");
    let stopped = vm("run", &object, &["--prog", "careless"]);
    assert_eq!(stopped.status, Some(1));
    assert!(stopped.err.contains("the values of map totals"), "{stopped:?}");
    assert!(stopped.err.contains("prog.c:25:12: return *value;"), "{stopped:?}");
    let packet = vm("run", &object, &["--prog", "other", "--packet", "/dev/null"]);
    assert!(packet.status == Some(2) && packet.err.contains("is of type perf_event"), "{packet:?}");
}

#[test]
fn programs_that_change_their_packet() {
    let Some((directory, object)) = object() else { return };
    let packet = directory.path().join("frame");
    std::fs::write(&packet, [0x0f; 60]).unwrap();
    let options = ["--prog", "flip", "--packet", packet.to_str().unwrap()];
    for engine in ["--jit", "--interp"] {
        let run = vm("run", &object, &[&options[..], &[engine]].concat()).ok();
        assert!(run.out.starts_with("r0 = 3 (0x3)\npacket: 1 of 60 bytes changed\n  0000: f0 .. .."), "{run:?}");
        let json = json(&vm("run", &object, &[&options[..], &[engine, "--json"]].concat()).ok());
        assert_eq!(json["packet"]["bytes"], format!("f0{}", "0f".repeat(59)));
    }
    let traced = vm("run", &object, &[&options[..], &["--trace"]].concat());
    assert!(traced.status == Some(2) && traced.err.contains("--trace does not follow"), "{traced:?}");
}

#[test]
fn files_that_are_no_programs() {
    let failing = |name: &str, bytes: &[u8], part: &str| {
        let (_directory, file) = file(name, bytes);
        let run = vm("run", &file, &[]);
        assert!(run.status == Some(1) && run.err.contains(part), "{part}: {run:?}");
    };
    failing("x.s", b"r0 = 0\nr0 := 2\nexit", "x.s: line 2, column ");
    failing("x.s", b"; nothing", "holds no instructions");
    failing("x.s", &[0xff, 0xfe], "neither an ELF object nor a text");
    failing("x.o", b"\x7fELF", "x.o: ");
    failing("x.s", b"call 5000\nexit", "helper 5000");
    failing("x.s", b"r0 = 0", "program `x`: instruction 0");
    let missing = vm("run", Path::new("/nonexistent/prog.s"), &[]);
    assert!(missing.status == Some(1) && missing.err.contains("cannot read /nonexistent/prog.s"), "{missing:?}");
    for options in [&["--mem", "1"][..], &["--mem", "zz"], &["--mem", "00", "--packet", "x"], &["--jit", "--interp"]] {
        assert_eq!(run(SUM, options).status, Some(2), "{options:?}");
    }
    // Standard input is a file, too.
    assert!(skep_with(["vm", "run", "-"], b"r0 = 5\nexit").ok().out.starts_with("r0 = 5 "));
}

#[test]
fn bench_tells_times() {
    let (_directory, sum) = file("sum.s", SUM);
    let value = json(&vm("bench", &sum, &["--mem", "01 02 03", "--time", "20", "--json"]).ok());
    for key in ["interpreter_ns", "jit_ns", "compile_ns_per_instruction", "code_bytes"] {
        assert!(value[key].as_f64().unwrap() > 0.0, "{key}: {value}");
    }
    assert!(value["kernel_missing"].as_str().unwrap().contains("--mem"), "{value}");
    let text = vm("bench", &sum, &["--time", "20"]).ok();
    for part in ["program sum: 9 instructions", "interpreter", "ns per run", "bytes of machine code"] {
        assert!(text.out.contains(part), "{text:?}");
    }
    let stopped = vm("bench", &sum, &["--mem", "01 02 03", "--fuel", "3"]);
    assert!(stopped.status == Some(1) && stopped.err.contains("used up its fuel"), "{stopped:?}");
    // A program that the kernel takes.
    let (_directory, simple) = file("simple.s", "r0 = 7\nexit");
    let value = json(&vm("bench", &simple, &["--time", "20", "--json"]).ok());
    match value["kernel_ns"].as_f64() {
        Some(time) => assert!(time >= 0.0),
        None => skip(value["kernel_missing"].as_str().unwrap()),
    }
}

/// The program of a case as text.
fn text_of(case: &Case) -> String {
    to_bytes(&case.insns, Endian::NATIVE).iter().map(|byte| format!("{byte:02x} ")).collect()
}

#[test]
fn plugin_agrees_with_the_conformance_set() {
    let mut seen = 0;
    for case in families().iter().flat_map(|family| family.cases().take(3)) {
        let memory: String = case.memory.iter().map(|byte| format!("{byte:02x}")).collect();
        // Arguments have a limit.
        if memory.len() > 100_000 {
            continue;
        }
        seen += 1;
        for engine in ["--interp", "--jit"] {
            let run = skep_with(["vm", "plugin", memory.as_str(), engine], format!("{}\n", text_of(&case)).as_bytes());
            match case.expect {
                Expect::Value(value) => assert_eq!(run.ok().out, format!("{value:x}\n"), "{} {engine}", case.name),
                Expect::Rejected => {
                    assert!(
                        run.status == Some(1) && run.out.is_empty() && !run.err.is_empty(),
                        "{}: {run:?}",
                        case.name
                    );
                }
            }
        }
    }
    assert!(seen >= 40, "{seen}");
}

#[test]
fn plugin_takes_what_runners_pass() {
    let program = "b7000000 2a000000\n95 00 00 00 00 00 00 00";
    for arguments in [&["vm", "plugin"][..], &["vm", "plugin", ""], &["vm", "plugin", "00 11"]] {
        assert_eq!(skep_with(arguments, program.as_bytes()).ok().out, "2a\n");
    }
    // Register 1 points to the memory, register 2 is its length, helper 5 returns its argument.
    let load = "71 10 01 00 00 00 00 00 0f 20 00 00 00 00 00 00 bf 01 00 00 00 00 00 00 \
                85 00 00 00 05 00 00 00 95 00 00 00 00 00 00 00";
    if cfg!(target_endian = "little") {
        assert_eq!(skep_with(["vm", "plugin", "10 20 30"], load.as_bytes()).ok().out, "23\n");
        // Compiled code checks pages, and memory ends at a multiple of 8.
        let outside = skep_with(["vm", "plugin", "10", "--interp"], load.as_bytes());
        assert!(outside.status == Some(1) && outside.err.contains("instruction 0 reads 1 bytes"), "{outside:?}");
    }
    for (arguments, input) in [(&["vm", "plugin"][..], "b7"), (&["vm", "plugin"], ""), (&["vm", "plugin"], "xy")] {
        let run = skep_with(arguments, input.as_bytes());
        assert!(run.status == Some(1) && run.out.is_empty() && !run.err.is_empty(), "{run:?}");
    }
    for arguments in [&["vm", "plugin", "--elf"][..], &["vm", "plugin", "abc"], &["vm", "plugin", "00", "11"]] {
        assert_eq!(skep_with(arguments, program.as_bytes()).status, Some(2), "{arguments:?}");
    }
}

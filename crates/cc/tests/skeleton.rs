//! The module that a skeleton is compiles, loads, and reads and writes what programs see.

#[path = "common/skip.rs"]
mod skip;

use std::fs;
use std::path::Path;
use std::process::Command;

use skep_cc::{Disk, Wishes, build, skeleton};
use skep_kernel::{Capability, has_capability};
use skep_lang_c::options::Options;
use skep_lang_c::pp::MainFile;
use skep_lang_c::provider::NoTypes;
use skep_object::Object;
use skip::skip;

const SOURCE: &str = r#"
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

enum mode { OFF, COUNT = 3, SUM };
struct inner { __u16 low, high; };
struct key { __u32 id; char name[8]; };
struct value {
	__u64 total;
	enum mode mode;
	struct inner pair[2];
	union { __u32 whole; __u8 parts[4]; };
	__u32 first : 3, second : 7;
	_Bool seen;
};

struct {
	__uint(type, 1 /* BPF_MAP_TYPE_HASH */);
	__uint(max_entries, 16);
	__type(key, struct key);
	__type(value, struct value);
} totals SEC(".maps");

struct {
	__uint(type, 27 /* BPF_MAP_TYPE_RINGBUF */);
	__uint(max_entries, 4096);
} events SEC(".maps");

const volatile __s64 factor = 2;
enum mode mode = COUNT;
__u32 runs;
struct inner last[2];

SEC("socket")
int count(void *ctx)
{
	struct key key = { .id = 7, .name = "seven" };
	struct value *value = bpf_map_lookup_elem(&totals, &key);

	runs++;
	last[1].high = runs;
	if (!value)
		return 0;
	value->total = value->total * factor + (mode == SUM);
	value->pair[1].low += value->second;
	value->seen = 1;
	return runs;
}

char _license[] SEC("license") = "GPL";
"#;

const MAIN: &str = r#"
mod program;
use program::*;
use skep_kernel::{LoadOptions, TestInput, Update};
use skep_kernel::attach::AttachOptions;

fn main() {
    let mut open = Open::new();
    open.set_factor(&10).set_mode(&SUM);
    let live = open.load(&LoadOptions { pins: None, ..LoadOptions::default() }).unwrap_or_else(|error| panic!("{error}"));
    let key = Key { id: 7, name: *b"seven\0\0\0" };
    let pair = [Inner { low: 1, high: 2 }, Inner { low: 3, high: 4 }];
    let value = Value2 { total: 4, mode: COUNT, pair, part3: [1, 2, 3, 4], first: 5, second: 100, seen: false };
    live.map_totals().set(&key, &value, Update::Create).unwrap();
    let data = [0; 64];
    let run = || live.prog_count().unwrap().test(&TestInput { data: &data, repeat: 1, ..TestInput::default() }).unwrap();
    assert_eq!(run().run.result, 1);
    let pair = [Inner { low: 1, high: 2 }, Inner { low: 103, high: 4 }];
    let expected = Value2 { total: 41, pair, seen: true, ..value };
    assert_eq!(live.map_totals().get(&key).unwrap(), Some(expected));
    assert_eq!(live.map_totals().keys().unwrap(), [key.clone()]);
    live.set_runs(&41).unwrap();
    assert_eq!(run().run.result, 42);
    assert_eq!((live.get_runs().unwrap(), live.get_factor().unwrap(), live.get_mode().unwrap()), (42, 10, SUM));
    assert_eq!(live.get_last().unwrap()[1], Inner { low: 0, high: 42 });
    assert!(live.map_totals().remove(&key).unwrap());
    assert_eq!(live.map_events().max_entries(), 4096);
    let attached = live.attach(&AttachOptions::default()).unwrap();
    assert_eq!(attached.left.len(), 1, "filters of sockets need a socket");
    println!("everything is as it should be");
}
"#;

fn module() -> String {
    let main = MainFile { name: "count.bpf.c", text: SOURCE.as_bytes() };
    let built = build(&main, &Options::default(), &Disk, &mut NoTypes::new(), Wishes::default());
    let bytes = built.unwrap_or_else(|failed| panic!("{failed}")).object.to_elf().expect("an object");
    let object = Object::from_elf(&bytes).expect("an object");
    skeleton::rust(&object, &bytes, "count.bpf.c").expect("a module")
}

#[test]
fn a_program_with_a_skeleton_runs() {
    if !has_capability(Capability::Bpf) && !has_capability(Capability::SysAdmin) {
        return skip("loading programs needs CAP_BPF");
    }
    let Some(cargo) = option_env!("CARGO") else { return skip("nobody said where cargo is") };
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("a file");
    fs::create_dir(directory.path().join("src")).expect("a directory");
    write("src/program.rs", &module());
    write("src/main.rs", MAIN);
    let dependency = |name: &str| format!("skep-{name} = {{ path = {:?} }}\n", crates.join(name));
    write(
        "Cargo.toml",
        &format!(
            "[package]\nname = \"skeleton\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{}{}",
            dependency("kernel"),
            dependency("object")
        ),
    );
    // The versions of the workspace, which are there.
    fs::copy(crates.join("../Cargo.lock"), directory.path().join("Cargo.lock")).expect("the versions");
    let output = Command::new(cargo)
        .args(["run", "--offline", "--quiet"])
        .current_dir(directory.path())
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("skeleton"))
        .output()
        .expect("cargo");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(out.trim(), "everything is as it should be", "{err}");
}

//! `skep btf`.

use std::fs;
use std::process::Command;

use skep_testkit::clang;

use super::{Loaded, json, object, tool};
use crate::support::{skep, skip};

/// What newer releases of bpftool print and older ones do not.
const MODES: [&str; 2] = [" __attribute__((mode(byte)))", " __attribute__((mode(word)))"];

/// Without what depends on the release of bpftool.
fn older(text: &str) -> String {
    MODES.iter().fold(text.to_owned(), |text, mode| text.replace(mode, ""))
}

/// Whether bpftool is installed; reports a skip if not.
fn bpftool() -> bool {
    let there = Command::new("bpftool").arg("version").output().is_ok();
    if !there {
        skip("bpftool is not installed");
    }
    there
}

#[test]
fn whole_dumps_are_those_of_bpftool() {
    if !bpftool() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut files = vec!["/sys/kernel/btf/vmlinux".to_owned()];
    for name in clang::SOURCES {
        match clang::object(name) {
            Ok(bytes) => {
                let path = directory.path().join(format!("{name}.o"));
                fs::write(&path, &*bytes).unwrap();
                files.push(path.display().to_string());
            }
            Err(why) => return skip(&why),
        }
    }
    for file in &files {
        if !fs::exists(file).unwrap() {
            skip(&format!("{file} does not exist"));
            continue;
        }
        let raw = skep(["btf", "dump", file, "--raw"]).ok().out;
        assert!(raw == tool("bpftool", &["btf", "dump", "file", file, "format", "raw"]), "{file}");
        let c = skep(["btf", "dump", file, "--c"]).ok().out;
        assert!(older(&c) == older(&tool("bpftool", &["btf", "dump", "file", file, "format", "c"])), "{file}");
    }
}

#[test]
fn named_types_come_with_what_they_need() {
    let Some((_directory, path)) = object() else { return };
    let path = path.to_str().unwrap();
    let expected = "struct facts {\n\tu64 count;\t/* 0 */\n\tenum colour colour;\t/* 8 */\n\tint pair[2];\t/* 12 */\n\t\
                    char text[12];\t/* 20 */\n\tunsigned int flag: 1;\t/* 32:0 */\n\tunsigned int level: 3;\t/* 32:1 */\n\t\
                    /* size: 40 */\n};\n\n";
    assert_eq!(skep(["btf", "dump", path, "facts", "--alone"]).ok().out, expected);
    let needed = "typedef unsigned long long u64;\n\n";
    let text = skep(["btf", "dump", path, "struct facts"]).ok().out;
    assert!(
        text.contains(needed)
            && text.contains("enum colour {\n\tRED = 1,\n\tGREEN = 2,\n};")
            && text.ends_with(expected)
    );
    assert!(!text.contains("struct place"), "{text}");
    let raw = skep(["btf", "dump", path, "--raw", "place"]).ok().out;
    assert!(raw.contains("STRUCT 'place' size=8 vlen=2\n\t'port'"), "{raw}");
    let function = skep(["btf", "dump", path, "helper_function"]).ok().out;
    assert!(function.ends_with("int helper_function(u32 number);\n\n"), "{function}");
    let near = skep(["btf", "dump", path, "fact"]);
    assert!(near.status == Some(1) && near.err.contains("names with these letters: facts"), "{near:?}");

    if !fs::exists("/sys/kernel/btf/vmlinux").unwrap() {
        return skip("the kernel has no types");
    }
    let task = skep(["btf", "dump", "task_struct"]).ok().out;
    assert!(task.contains("\nstruct task_struct {\n") && task.contains("\tpid_t pid;\t/* "), "{task}");
    let list = skep(["btf", "dump", "--kernel", "--alone", "list_head"]).ok().out;
    let expected = "struct list_head {\n\tstruct list_head *next;\t/* 0 */\n\tstruct list_head *prev;\t/* 8 */\n\t\
                    /* size: 16 */\n};\n\n";
    assert_eq!(list, expected);
    // A compiler takes what is printed, and finds members where the comments say.
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("task.c");
    let place = task.lines().find_map(|line| line.strip_prefix("\tpid_t pid;\t/* ")?.strip_suffix(" */")).unwrap();
    let check = format!("_Static_assert(__builtin_offsetof(struct task_struct, pid) == {place}, \"\");\n");
    fs::write(&source, format!("{task}{check}")).unwrap();
    if let Err(why) = clang::compile(&source, &["-Wno-everything"]) {
        skip(&why);
    }
}

#[test]
fn loaded_types_by_number() {
    let Some(loaded) = Loaded::new() else { return };
    let id = loaded.program("obs_xdp").info().unwrap().btf_id.to_string();
    let ours = skep(["btf", "dump", "id", &id, "--raw"]).ok().out;
    assert_eq!(ours, tool("bpftool", &["btf", "dump", "id", &id, "format", "raw"]));
    let all = json(&skep(["btf", "list", "--json"]).ok().out);
    let found = all.as_array().unwrap().iter().find(|one| one["id"].as_u64() == id.parse().ok());
    assert_eq!(found.unwrap()["kernel"], false, "{all}");
    assert!(skep(["btf", "list"]).ok().out.contains("the kernel"));
}

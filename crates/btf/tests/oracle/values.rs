//! Values in maps, compared with what bpftool prints of the same map.

use std::process::Command;

use skep_btf::{Btf, BtfBuilder, TypeId, Value, ValueError};

use super::{Compiled, installed, run};

/// Loads the object, pins what it makes, and runs something with the directory.
fn loaded<T>(compiled: &Compiled, body: impl FnOnce(&str) -> T) -> Option<T> {
    let pin = format!("/sys/fs/bpf/skep-btf-values-{}", std::process::id());
    let maps = format!("{pin}-maps");
    let output = Command::new("bpftool")
        .args(["-d", "prog", "loadall"])
        .arg(compiled.path("object"))
        .args([&pin, "pinmaps", &maps])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("Error loading .BTF"), "the kernel refuses the types: {log}");
    let result = output.status.success().then(|| body(&maps));
    for directory in [pin, maps] {
        let _ = std::fs::remove_dir_all(directory);
    }
    if result.is_none() {
        println!("{log}");
        super::skip("bpftool may not load programs here");
    }
    result
}

fn section(btf: &Btf) -> TypeId {
    btf.find(".data").unwrap()
}

#[test]
fn maps_read_as_bpftool_prints_them_and_the_kernel_takes_rebuilt_types() {
    if !installed(&["bpftool", "clang", "llvm-objcopy"]) {
        return;
    }
    let compiled = Compiled::new("values.c");
    // What the builder makes goes to the kernel in place of what the compiler made.
    let mut builder = BtfBuilder::new();
    builder.append(&compiled.btf()).unwrap();
    compiled.replace(".BTF", &builder.to_bytes());
    let dumped = loaded(&compiled, |maps| {
        let map = std::fs::read_dir(maps).unwrap().map(|entry| entry.unwrap().path());
        let map = map.into_iter().find(|path| path.to_string_lossy().contains("data")).unwrap();
        run(Command::new("bpftool").args(["-j", "map", "dump", "pinned"]).arg(map))
    });
    let Some(dumped) = dumped else { return };
    let numbers = dumped.split_once("\"value\":[").unwrap().1.split_once(']').unwrap().0;
    let hex = |text: &str| u8::from_str_radix(text.trim_matches('"').trim_start_matches("0x"), 16).unwrap();
    let bytes: Vec<u8> = numbers.split(',').map(hex).collect();
    let btf = compiled.btf();
    for name in ["value", "second"] {
        let var = btf.find_where(name, |kind| matches!(kind, skep_btf::Kind::Var { .. })).unwrap();
        let offset = {
            // bpftool has filled in the offsets for the kernel, not in the file: the variables follow each other.
            let before = ["value", "second"].iter().take_while(|other| **other != name);
            let size =
                |name: &&str| btf.size_of(btf.find_where(name, |k| matches!(k, skep_btf::Kind::Var { .. })).unwrap());
            before.map(|name| size(name).unwrap() as usize).sum::<usize>()
        };
        let ours = Value::decode(&btf, var, &bytes[offset..]).unwrap();
        let ours = format!("{{\"{name}\":{ours}}}");
        assert!(dumped.contains(&ours), "{ours}\n{dumped}");
    }
}

#[test]
fn bit_fields_and_huge_numbers() {
    if !installed(&["clang", "llvm-objcopy"]) {
        return;
    }
    let compiled = Compiled::new("values.c");
    let btf = compiled.btf();
    let data = format!(".data={}", compiled.path("data").display());
    run(Command::new("llvm-objcopy").args(["--dump-section", &data]).arg(compiled.path("object")));
    let data = std::fs::read(compiled.path("data")).unwrap();
    let bits = btf.find("bits").unwrap();
    let size = btf.size_of(bits).unwrap() as usize;
    // The section ends with this variable.
    let value = Value::decode(&btf, bits, &data[data.len() - size..]).unwrap();
    let expected = r#"{"low":-2,"more":17,"color":"BLUE","far":1099511627760,"bit":true,"huge":-5}"#;
    assert_eq!(value.to_string(), expected);
    let short = Value::decode(&btf, bits, &data[..size - 1]);
    assert_eq!(short, Err(ValueError::Short(size as u64, size as u64 - 1)));
    assert!(Value::decode(&btf, section(&btf), &data).is_ok());
}

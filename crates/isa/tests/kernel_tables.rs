//! Holds the tables of helpers, program types and map types against the enumerations of the running kernel.

use std::process::Command;

use skep_isa::{MapType, ProgType, helpers};

/// Names and numbers of the enumeration that starts with the constant `first`, from the kernel's BTF.
fn enumeration<'a>(btf: &'a str, first: &str) -> Vec<(&'a str, u32)> {
    let start = btf.find(&format!("\t'{first}' val=0\n")).expect("the kernel's BTF lacks the enumeration");
    btf[start..]
        .lines()
        .map_while(|line| line.strip_prefix("\t'")?.split_once("' val="))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

#[test]
fn tables_agree_with_the_running_kernel() {
    let dump = Command::new("bpftool").args(["btf", "dump", "file", "/sys/kernel/btf/vmlinux"]).output();
    let btf = match dump {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        _ => {
            let required = std::env::var_os("SKEP_REQUIRE_KERNEL").is_some_and(|value| value == "1");
            assert!(!required, "bpftool cannot print the kernel's BTF");
            println!("SKIPPED: bpftool cannot print the kernel's BTF");
            return;
        }
    };
    let kernel_helpers = enumeration(&btf, "BPF_FUNC_unspec");
    for helper in &helpers::HELPERS {
        // An older kernel ends its enumeration earlier.
        if let Some((name, _)) = kernel_helpers.iter().find(|(name, id)| *id == helper.id && !name.starts_with("__")) {
            assert_eq!(*name, format!("BPF_FUNC_{}", helper.name));
        }
    }
    let types = ProgType::ALL.iter().map(|kind| ("PROG", kind.number(), kind.name()));
    let types = types.chain(MapType::ALL.iter().map(|kind| ("MAP", kind.number(), kind.name())));
    for (what, number, name) in types {
        let constants = enumeration(&btf, &format!("BPF_{what}_TYPE_UNSPEC"));
        let constant = format!("BPF_{what}_TYPE_{}", name.to_uppercase());
        if let Some((_, found)) = constants.iter().find(|(found, _)| *found == constant) {
            assert_eq!(*found, number, "{constant}");
        } else {
            let last = constants.iter().map(|(_, number)| *number).max().unwrap();
            assert!(number >= last, "the kernel lacks {constant}");
        }
    }
}

//! `skep dis`.

use super::{Loaded, json, object, tool};
use crate::support::{skep, skep_with, skip};

#[test]
fn texts_have_labels_and_names() {
    let program = "r1 = r10\nif r1 == 0 goto +2\ncall 1\ngoto -3\nr2 = map[fd:0] ll\nexit\n";
    let out = skep_with(["dis", "-"], program.as_bytes()).ok().out;
    let expected = "program program (socket_filter, section `program`)\n    0: r1 = r10\nL1:\n    1: if r1 == 0 goto L2\n    \
                    2: call bpf_map_lookup_elem\n    3: goto L1\nL2:\n    4: r2 = map[fd:0] ll\n    6: exit\n";
    assert_eq!(out.replace("section ``", "section `program`"), expected);
    let out = skep_with(["dis", "-", "--opcodes"], b"r0 = 7\nexit\n").ok().out;
    assert!(out.contains("    0: r0 = 7\n       b7 00 00 00 07 00 00 00\n"), "{out}");
    let run = skep_with(["dis", "-", "--jited"], b"exit\n");
    assert!(run.status == Some(2) && run.err.contains("only programs in the kernel"), "{run:?}");
}

#[test]
fn files_show_source_functions_and_variables() {
    let Some((_directory, path)) = object() else { return };
    let path = path.to_str().unwrap();
    let out = skep(["dis", path, "--prog", "observed_classifier_with_a_long_name"]).ok().out;
    for text in [
        "program observed_classifier_with_a_long_name (sched_cls, section `tc`)\n",
        "observed_classifier_with_a_long_name:\n",
        "helper_function:\n",
        "; obs_counter += obs_limit;  observe.c:",
        " = &obs_limit ll\n",
        " = &obs_counter ll\n",
        " = map[obs_typed] ll\n",
        ": call bpf_map_lookup_elem\n",
        ": call helper_function\n",
        " goto L",
        "L1:\n",
    ] {
        assert!(out.contains(text), "{text}: {out}");
    }
    assert!(!out.contains("program obs_xdp"), "{out}");
    let all = json(&skep(["dis", path, "--json"]).ok().out);
    assert_eq!(all.as_array().unwrap().len(), 8, "{all}");
    let wrong = skep(["dis", path, "--prog", "nothing"]);
    assert!(wrong.status == Some(2) && wrong.err.contains("it has: ") && wrong.err.contains("obs_xdp"), "{wrong:?}");

    // As many instructions, with the same bytes, as llvm-objdump finds in the section of a program without calls.
    let Ok(output) = std::process::Command::new("llvm-objdump").args(["-d", "-j", "xdp", path]).output() else {
        return skip("llvm-objdump is not installed");
    };
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    let xdp = all.as_array().unwrap().iter().find(|program| program["name"] == "obs_xdp").unwrap();
    for insn in xdp["insns"].as_array().unwrap() {
        let digits = insn["opcodes"].as_str().unwrap().as_bytes();
        let bytes: Vec<&str> = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        assert!(listing.contains(&bytes.join(" ")), "{insn}: {listing}");
    }
}

#[test]
fn programs_of_the_kernel_are_those_of_bpftool() {
    let Some(loaded) = Loaded::new() else { return };
    let name = "observed_classifier_with_a_long_name";
    let pin = loaded.pin(name);
    let ours = json(&skep(["dis", "prog", &pin, "--json"]).ok().out);
    let theirs = json(&tool("bpftool", &["-j", "prog", "dump", "xlated", "pinned", &pin, "opcodes"]));
    let ours = ours[0]["insns"].as_array().unwrap();
    let theirs: Vec<&serde_json::Value> =
        theirs.as_array().unwrap().iter().filter(|insn| !insn["disasm"].is_null()).collect();
    assert_eq!(ours.len(), theirs.len());
    for (our, their) in ours.iter().zip(&theirs) {
        let code = u64::from_str_radix(&our["opcodes"].as_str().unwrap()[..2], 16).unwrap();
        let opcode = their["opcodes"]["code"].as_str().unwrap().trim_start_matches("0x");
        assert_eq!(code, u64::from_str_radix(opcode, 16).unwrap(), "{our} {their}");
        assert!(!our["text"].as_str().unwrap().contains("not an instruction"), "{our} {their}");
        // Functions of the kernel by the same names.
        if let Some(called) = their["disasm"].as_str().unwrap().strip_prefix("(85) call ")
            && !called.starts_with("pc")
        {
            let called = called.split('#').next().unwrap();
            assert_eq!(our["text"], format!("call {called}"), "{their}");
        }
    }
    let text = skep(["dis", "prog", &loaded.id(name).to_string()]).ok().out;
    let map = format!("map[obs_percpu id:{}]", loaded.map("obs_percpu"));
    for part in [name, "helper_function:\n", ": call helper_function\n", &map, "; obs_counter += obs_limit;"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let info = loaded.program(name).info().unwrap();
    if info.machine_bytes == 0 {
        return skip("programs are interpreted here");
    }
    let machine = json(&skep(["dis", "prog", &pin, "--jited", "--json"]).ok().out);
    let functions = machine.as_array().unwrap();
    assert_eq!(functions.len(), 2, "the program and its function");
    assert_eq!((&functions[0]["name"], &functions[1]["name"]), (&name.into(), &"helper_function".into()));
    let bytes = |function: &serde_json::Value| -> usize {
        function["insns"].as_array().unwrap().iter().map(|insn| insn["opcodes"].as_str().unwrap().len() / 2).sum()
    };
    assert_eq!(functions.iter().map(bytes).sum::<usize>(), info.machine_bytes as usize);
    let plain = crate::support::command(["dis", "prog", &pin, "--jited"]).env("PATH", "/nonexistent").output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.contains("; obs_counter += obs_limit;") && plain.contains("    0: "), "{plain}");
}

//! The tables of features against the running kernel, by trying; and what trying leaves behind.

mod common;

use std::collections::HashMap;
use std::process::Command;

use skep_isa::contexts::Context;
use skep_isa::ebpf::Insn;
use skep_isa::helpers;
use skep_isa::programs::facts;
use skep_isa::{AttachType, ProgType};
use skep_kernel::probe::{Finding, Group, Prober, Reason, Status};
use skep_kernel::{LoadedProgram, ProgramDefinition, ProgramOptions, running_release};

/// Reasons that the kernel's release is not to blame for.
fn is_excused(reason: &Reason) -> bool {
    matches!(reason, Reason::TooOld { .. } | Reason::Configuration { .. } | Reason::Policy { .. })
}

/// What Debian's 6.1 has of later releases.
const TAKEN_BACK: &[&str] = &["gotol"];

/// A missing feature that the running kernel should have is a mistake in a table or in a probe.
fn check(findings: &[Finding]) {
    let running = running_release().unwrap();
    for finding in findings {
        match &finding.status {
            Status::Missing(reason) => assert!(is_excused(reason), "{}: {reason}", finding.name),
            _ => assert!(
                finding.since.is_none_or(|since| since <= running) || TAKEN_BACK.contains(&&*finding.name),
                "{} is newer than this kernel",
                finding.name
            ),
        }
    }
}

#[test]
fn types_instructions_and_links_are_what_the_release_promises() {
    if !common::can_load() {
        return;
    }
    let prober = Prober::new();
    for group in [Group::Programs, Group::Maps, Group::Attach, Group::Links, Group::Instructions] {
        check(&prober.group(group));
    }
}

/// A kernel that takes long jumps takes them for what they are.
#[test]
fn long_jumps_go_where_they_say() {
    if !common::can_load() {
        return;
    }
    let insn = |code, imm| Insn { code, imm, ..Default::default() };
    // r0 = 7; if r0 == 0 goto +1; gotol +1; r0 = 1; exit
    let short = Insn { off: 1, ..insn(0x15, 0) };
    let insns = [insn(0xb7, 7), short, insn(0x06, 1), insn(0xb7, 1), insn(0x95, 0)];
    let definition =
        ProgramDefinition { name: "jump", prog_type: ProgType::SocketFilter, insns: &insns, license: "GPL" };
    match LoadedProgram::load(&definition) {
        Ok(program) => assert_eq!(program.test_run(&[0; 64], 1).unwrap().result, 7),
        Err(error) => {
            println!("SKIPPED: {error}");
            assert!(running_release().is_none_or(|running| running < skep_isa::Release::new(6, 6)), "{error}");
        }
    }
}

#[test]
fn helpers_agree_with_the_table() {
    if !common::can_load() {
        return;
    }
    // The table is that of one release; others differ where types were given more.
    let strict = running_release() == Some(skep_isa::Release::new(6, 18));
    let findings = Prober::new().group(Group::Helpers);
    assert!(findings.len() > 4000, "{}", findings.len());
    for finding in &findings {
        let (prog, name) = finding.name.split_once('/').unwrap();
        let prog_type = ProgType::from_name(prog).unwrap();
        let allowed = helpers::by_name(name).unwrap().programs.contains(prog_type);
        // Depends on the configuration or on lockdown.
        let depends =
            ["override_return", "probe_write_user", "get_func_ip"].contains(&name) || prog_type == ProgType::LircMode2;
        if strict && !depends {
            assert_eq!(finding.is_present(), allowed, "{}", finding.name);
        }
    }
}

#[test]
fn bpftool_finds_the_same_types() {
    let output = Command::new("bpftool").args(["feature", "probe", "kernel"]).output();
    let Ok(output) = output else {
        common::skip("bpftool is not installed");
        return;
    };
    if !common::can_load() {
        return;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: HashMap<(&str, &str), bool> = text
        .lines()
        .filter_map(|line| {
            let (kind, rest) = line.strip_prefix("eBPF ")?.split_once("_type ")?;
            let (name, answer) = rest.split_once(" is ")?;
            Some(((kind, name), answer == "available"))
        })
        .collect();
    assert!(theirs.len() > 50, "{text}");
    let prober = Prober::new();
    for (kind, group) in [("program", Group::Programs), ("map", Group::Maps)] {
        for finding in prober.group(group) {
            // bpftool takes a program at the entry of a function for the whole type, and policies refuse just those.
            if finding.name == "tracing" {
                continue;
            }
            if let Some(available) = theirs.get(&(kind, finding.name.as_str())) {
                assert_eq!(finding.is_present(), *available, "{kind} type {}: {:?}", finding.name, finding.status);
            }
        }
    }
}

/// Loads a program that reads or writes a field, as wide as it is or as wide as the kernel allows.
fn accepts(prog_type: ProgType, place: Option<AttachType>, offset: u32, size: u32, write: bool) -> bool {
    let code = match (size, write) {
        (1, false) => 0x71,
        (2, false) => 0x69,
        (4, false) => 0x61,
        (8, false) => 0x79,
        (1, true) => 0x73,
        (2, true) => 0x6b,
        (4, true) => 0x63,
        _ => 0x7b,
    };
    let off = i16::try_from(offset).unwrap();
    let zero = Insn { code: 0xb7, dst: 2, ..Default::default() };
    let access =
        if write { Insn { code, dst: 1, src: 2, off, imm: 0 } } else { Insn { code, dst: 2, src: 1, off, imm: 0 } };
    let insns =
        [zero, access, Insn { code: 0xb7, imm: 1, ..Default::default() }, Insn { code: 0x95, ..Default::default() }];
    let definition = ProgramDefinition { name: "context", prog_type, insns: &insns, license: "GPL" };
    LoadedProgram::load_with(&definition, ProgramOptions { attach_type: place, ..Default::default() }).is_ok()
}

fn any_width(prog_type: ProgType, places: &[Option<AttachType>], field: (u32, u32), write: bool) -> bool {
    let (offset, size) = field;
    places.iter().any(|place| {
        [1, 2, 4, 8].iter().filter(|width| **width <= size).any(|width| {
            (0..size).step_by(*width as usize).any(|step| {
                step + width <= size
                    && (offset + step) % width == 0
                    && accepts(prog_type, *place, offset + step, *width, write)
            })
        })
    })
}

fn check_context(prog_type: ProgType, context: &Context) {
    let mut places: Vec<Option<AttachType>> =
        facts(prog_type).attach_types.iter().map(|attach| Some(*attach)).collect();
    if places.is_empty() || [ProgType::SchedCls, ProgType::Xdp].contains(&prog_type) {
        places.truncate(1);
        places.insert(0, None);
    }
    for field in context.fields {
        let place = (field.offset, field.size);
        let name = format!("{prog_type}: {}.{}", context.name, field.name);
        assert_eq!(any_width(prog_type, &places, place, false), field.readable.contains(prog_type), "reading {name}");
        assert_eq!(any_width(prog_type, &places, place, true), field.writable.contains(prog_type), "writing {name}");
    }
}

#[test]
fn contexts_allow_what_the_table_says() {
    if !common::can_load() {
        return;
    }
    if running_release() != Some(skep_isa::Release::new(6, 18)) {
        common::skip("the table of accesses is that of Linux 6.18");
        return;
    }
    for prog_type in ProgType::ALL {
        if let Some(context) = facts(*prog_type).context {
            check_context(*prog_type, context);
        }
    }
}

#[test]
fn the_system_is_described_and_nothing_stays_behind() {
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let prober = Prober::new();
    let system = prober.group(Group::System);
    assert!(system.iter().any(|finding| finding.name == "kernel" && finding.is_present()));
    assert!(system.iter().all(|finding| finding.group == Group::System && finding.since.is_none()));
    let maps = prober.group(Group::Maps);
    assert_eq!(maps.len(), skep_isa::MapType::ALL.len());
    let kfuncs = prober.group(Group::Kfuncs);
    assert_eq!(kfuncs.len(), skep_isa::kfuncs::KFUNCS.len());
    drop(prober);
    // Other tests of this process open descriptors as well, a few at a time.
    let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(after < before + 16, "{before} descriptors before, {after} after");
}

//! What the kernel refuses, captured from the running one, and what is said about it.

mod common;

use std::process::Command;

use common::can_load;
use skep_isa::ebpf::{Insn, assemble};
use skep_isa::{MapType, ProgType};
use skep_kernel::{KernelError, LoadedBtf, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition};

fn load(prog_type: ProgType, insns: &[Insn]) -> Result<LoadedProgram, KernelError> {
    LoadedProgram::load(&ProgramDefinition { name: "refused", prog_type, insns, license: "GPL" })
}

fn exit() -> Vec<Insn> {
    assemble("r0 = 0\nexit\n").unwrap()
}

/// Set in a copy of this test that runs without privileges.
const UNPRIVILEGED: &str = "SKEP_TEST_UNPRIVILEGED";

#[test]
fn without_privileges() {
    if std::env::var_os(UNPRIVILEGED).is_some() {
        return unprivileged();
    }
    if !can_load() {
        return;
    }
    // A copy in a directory that others may enter, run as nobody without any capability.
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let copy = directory.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for path in [directory.path(), &copy] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"])
        .arg(&copy)
        .args(["--exact", "without_privileges", "--nocapture"])
        .env(UNPRIVILEGED, "1")
        .env_remove("SKEP_REQUIRE_KERNEL")
        .current_dir("/")
        .output();
    match output {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
            assert!(text.contains("explained"), "{text}");
        }
        Err(error) => common::skip(&format!("no setpriv: {error}")),
    }
}

fn unprivileged() {
    let definition = MapDefinition {
        name: "refused",
        map_type: MapType::LpmTrie,
        key_size: 8,
        value_size: 4,
        max_entries: 1,
        flags: 1,
    };
    let errors = [
        load(ProgType::Xdp, &exit()).unwrap_err(),
        LoadedMap::create(&definition).unwrap_err(),
        LoadedBtf::load(b"nothing").unwrap_err(),
        skep_kernel::program_ids().next().unwrap().unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, KernelError::NotPermitted { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("it needs CAP_") && text.contains("run it with sudo"), "{text}");
        println!("explained: {text}");
    }
    if skep_kernel::sysctl("kernel.unprivileged_bpf_disabled").is_some_and(|value| value != 0) {
        let text = load(ProgType::SocketFilter, &exit()).unwrap_err().to_string();
        assert!(text.contains("kernel.unprivileged_bpf_disabled is"), "{text}");
    }
}

#[test]
fn policies_are_told_apart_from_missing_capabilities() {
    if !can_load() {
        return;
    }
    // Somebody else's policy may refuse hooks of the security modules; nothing here goes around that.
    let Ok(kernel) = skep_kernel::KernelBtf::vmlinux() else { return };
    let btf = skep_btf::Btf::parse(kernel.bytes().to_vec()).unwrap();
    let Some(hook) = btf.find("bpf_lsm_file_open") else { return };
    let options = skep_kernel::ProgramOptions {
        attach_type: Some(skep_isa::AttachType::LsmMac),
        attach_btf_id: hook.0,
        ..Default::default()
    };
    let insns = exit();
    let definition = ProgramDefinition { name: "hook", prog_type: ProgType::Lsm, insns: &insns, license: "GPL" };
    match LoadedProgram::load_with(&definition, options) {
        Ok(program) => assert_eq!(program.info().unwrap().attach_btf_id, hook.0),
        Err(error @ KernelError::NotPermitted { .. }) => {
            let text = error.to_string();
            assert!(
                text.contains("the process has the capability, so a security module or a policy")
                    || text.contains("locked down"),
                "{text}"
            );
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn programs_that_are_too_long_or_of_no_type() {
    if !can_load() {
        return;
    }
    let mut long = vec![exit()[0]; 1_000_001];
    long.push(exit()[1]);
    let error = load(ProgType::SocketFilter, &long).unwrap_err().to_string();
    assert!(error.contains("it has 1000002 instructions, and a kernel takes at most 1000000"), "{error}");
    // A type without a place of attachment where one is needed.
    let error = load(ProgType::CgroupSockAddr, &exit()).unwrap_err().to_string();
    assert!(error.starts_with("the kernel's verifier refused program `refused`: "), "{error}");
    assert!(error.contains("place of attachment"), "{error}");
    // Kernels that keep the end of logs write all of it before, a million lines here.
    let slow = std::env::var("SKEP_VM_KERNEL").is_ok();
    if slow && skep_kernel::running_release() >= Some(skep_isa::Release::new(6, 4)) {
        return println!("SKIPPED: the log of a program without end takes minutes in an emulator");
    }
    // An endless loop of states: the verifier gives up.
    let text = "r0 = 0\nr1 = 0\nr0 += 1\nif r0 < 10000000 goto -2\nexit\n";
    let error = load(ProgType::SocketFilter, &assemble(text).unwrap()).unwrap_err();
    let KernelError::Rejected { log, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains("too large") || error.to_string().contains("infinite loop"), "{error}");
    assert!(!log.is_empty());
}

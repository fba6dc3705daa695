//! `skep verify` on objects that clang makes. It needs no privileges.

use std::path::PathBuf;

use crate::support::{skep, skip};

const PROGRAMS: &str = "struct xdp_md { u32 data; u32 data_end; };
SEC(\"xdp\") int good(struct xdp_md *x) { return 2; }
SEC(\"xdp\") int bad(struct xdp_md *x)
{
    u8 *start = (void *)(u64)x->data, *end = (void *)(u64)x->data_end;
    if (start + 4 > end)
        return 1;
    return start[4];
}
";

/// [`PROGRAMS`] as an object of clang, if there is one.
fn compiled() -> Option<(tempfile::TempDir, PathBuf)> {
    let directory = tempfile::tempdir().unwrap();
    let object = directory.path().join("case.o");
    match skep_testkit::clang::compile_text(PROGRAMS, &[]) {
        Ok(bytes) => std::fs::write(&object, bytes).unwrap(),
        Err(why) => {
            skip(&why);
            return None;
        }
    }
    Some((directory, object))
}

#[test]
fn a_matrix_and_reasons() {
    let Some((_directory, object)) = compiled() else { return };
    let path = object.to_str().unwrap();
    forms(path);
    let run = skep(["verify", path]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert_eq!(
        run.lines()[..3],
        [
            "PROGRAM  6.1        6.12       6.18",
            "good     yes        yes        yes",
            "bad      no         no         no"
        ]
    );
    assert!(run.out.contains("bad on Linux 6.1, 6.12, 6.18: 1 byte at 4 behind r"), "{run:?}");
    assert!(run.out.contains("return start[4];") && run.out.contains("if (start + 4 > end)"), "{run:?}");
    assert!(run.out.contains("  where the value comes from\n    6: u8 *start"), "{run:?}");
    assert!(run.out.contains("  checked: the program passes with\n    9: compare r"), "{run:?}");
    assert!(run.out.contains(" with the end of the packet first, and leave with 2"), "{run:?}");
    let run = skep(["verify", "--prog", "good", "--kernel", "6.18", path]).ok();
    assert_eq!(run.out, "PROGRAM  6.18\ngood     yes\n");
    let run = skep(["verify", "--prog", "good", "--kernel", "live", path]).ok();
    let release = skep_kernel::running_release().unwrap();
    let closest = skep_verifier::Kernel::at_most(release).unwrap();
    assert_eq!(run.out, format!("PROGRAM  {}\ngood     yes\n", closest.name()));
    assert_eq!(run.err.contains("come closest to it"), closest.release() != release, "{run:?}");
    let run = skep(["verify", "--prog", "none", path]);
    assert_eq!((run.status, run.err.contains("no program `none`")), (Some(2), true), "{run:?}");
}

/// States, graphs, facts, JSON and ranges of kernels.
fn forms(path: &str) {
    let run = skep(["verify", "--kernel", "5.10..6.6", path]);
    assert_eq!(run.lines()[0], "PROGRAM  5.10       5.15       6.1        6.6", "{run:?}");
    assert!(run.out.contains("    r") && run.out.contains(" = the packet+4 (4 bytes known)"), "{run:?}");
    let run = skep(["verify", "--kernel", "4.9", path]);
    assert_eq!((run.status, run.err.contains("expected one of 5.4")), (Some(2), true), "{run:?}");
    let run = skep(["verify", "--facts", "--prog", "good", path]).ok();
    assert!(run.out.contains("  instructions of a run   at most 2\n"), "{run:?}");
    assert!(run.out.contains("  drops or refuses        never\n"), "{run:?}");
    assert!(run.out.contains("  needs Linux 4.8         programs of type xdp\n"), "{run:?}");
    let run = skep(["verify", "--states", "--prog", "bad", path]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.out.contains("r1 = the context") && run.out.contains("the packet (0 bytes known)"), "{run:?}");
    let run = skep(["verify", "--at", "9", "--prog", "bad", path]);
    assert!(run.out.contains("return start[4];") && !run.out.contains("start + 4 > end"), "{run:?}");
    let run = skep(["verify", "--dot", "--prog", "bad", path]);
    assert!(run.out.starts_with("digraph \"bad\" {") && run.out.contains("color=red"), "{run:?}");
    let run = skep(["verify", "--json", "--kernel", "6.18", path]);
    let rows: Vec<serde_json::Value> = run.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["verdict"], &rows[0]["longest"]), (&"yes".into(), &2.into()), "{run:?}");
    assert_eq!(rows[1]["verdict"], "no", "{run:?}");
    assert_eq!(rows[1]["text"], "return start[4];", "{run:?}");
    assert_eq!(rows[1]["origins"][0]["what"].as_str().map(|what| what.starts_with("4 bytes are read")), Some(true));
    assert_eq!(rows[1]["changes"][0]["line"], 9, "{run:?}");
}

#[test]
fn processes_with_fewer_capabilities() {
    let Some((_directory, object)) = compiled() else { return };
    let path = object.to_str().unwrap();
    let good =
        |options: &[&str]| skep(["verify", "--prog", "good", "--kernel", "6.18"].iter().chain(options).chain([&path]));
    let run = good(&["--unprivileged"]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.out.contains("programs of type xdp need CAP_BPF"), "{run:?}");
    let run = good(&["--capabilities", "bpf"]);
    assert!(run.out.contains("programs of type xdp need CAP_NET_ADMIN"), "{run:?}");
    assert_eq!(good(&["--capabilities", "bpf,net_admin"]).status, Some(0));
    assert_eq!(good(&["--no-pointer-arithmetic"]).status, Some(0));
    let run = skep(["verify", "--prog", "bad", "--kernel", "6.18", "--no-pointer-arithmetic", path]);
    assert!(run.out.contains("there is arithmetic with a pointer"), "{run:?}");
    let run = good(&["--capabilities", "chown"]);
    assert!(run.status == Some(2) && run.err.contains("expected a list of bpf, perfmon"), "{run:?}");
}

#[test]
fn what_the_kernel_refuses_is_explained() {
    let Some((_directory, object)) = compiled() else { return };
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    let run = skep(["load", "--prog", "bad", object.to_str().unwrap()]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.err.contains("error: program `bad`, by the rules of Linux"), "{run:?}");
    assert!(run.err.contains("1 byte at 4 behind r") && run.err.contains("help: compare the address"), "{run:?}");
}

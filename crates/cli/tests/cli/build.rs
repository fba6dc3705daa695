//! `skep build`, and `skep run` on sources in C.

use crate::support::{Run, has_types, skip};

const DROP: &str = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n#ifndef VERDICT\n#define VERDICT XDP_DROP\n#endif\n\
    int seen;\nSEC(\"xdp\") int drop(struct xdp_md *ctx)\n{\n\tseen += ctx->data_end - ctx->data;\n\treturn VERDICT;\n}\n\
    char LICENSE[] SEC(\"license\") = \"GPL\";\n";

#[track_caller]
fn skep(args: &[&str]) -> Run {
    crate::support::skep(args)
}

/// A directory with `case.bpf.c`.
fn source(text: &str) -> (tempfile::TempDir, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("case.bpf.c");
    std::fs::write(&path, text).unwrap();
    let object = directory.path().join("case.o").display().to_string();
    (directory, path.display().to_string(), object)
}

#[test]
fn objects_are_written() {
    if !has_types() {
        return;
    }
    let (_directory, path, object) = source(DROP);
    skep(&["build", &path, "-o", &object, "-O2", "-g", "-mcpu=v2"]).ok();
    let listing = skep(&["dis", &object]).ok();
    assert!(listing.out.contains("program drop (xdp, section `xdp`)"), "{listing:?}");
    assert!(listing.out.contains("seen += ctx->data_end - ctx->data;"), "{listing:?}");
    let assembly = skep(&["build", &path, "-S", "-DVERDICT=XDP_TX"]).ok();
    assert!(assembly.out.contains("r0 = 3\n"), "{assembly:?}");
    let expanded = skep(&["build", &path, "-E", "-D", "VERDICT=7"]).ok();
    assert!(expanded.out.contains("return 7;") && !expanded.out.contains("#include"), "{expanded:?}");
    let rule = skep(&["build", &path, "-M", "-o", "x.o"]).ok();
    assert_eq!(rule.out, format!("x.o: \\\n  {path}\n"));
}

#[test]
fn mistakes_have_a_place() {
    if !has_types() {
        return;
    }
    let (_directory, path, object) = source("#include <linux/bpf.h>\nint x = ;\n");
    let run = skep(&["build", &path, "-o", &object]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(run.err.contains("case.bpf.c:2:9"), "{run:?}");
    assert!(!std::path::Path::new(&object).exists());
    let run = skep(&["build", "/nowhere/case.bpf.c"]);
    assert_eq!(run.status, Some(1), "{run:?}");
}

#[test]
fn sources_are_loaded() {
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("loading programs needs CAP_SYS_ADMIN");
    }
    if !has_types() {
        return;
    }
    let (_directory, path, _) = source(DROP);
    let run = skep(&["load", &path]).ok();
    assert!(run.out.contains("program drop:") || run.err.contains("program drop:"), "{run:?}");
}

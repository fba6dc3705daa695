//! `skep verify` on objects that clang makes. It needs no privileges.

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

#[test]
fn a_matrix_and_reasons() {
    let directory = tempfile::tempdir().unwrap();
    let (source, object) = (directory.path().join("case.c"), directory.path().join("case.o"));
    let header = skep_testkit::clang::directory().join("skep.h");
    std::fs::write(&source, format!("#include \"{}\"\n{PROGRAMS}", header.display())).unwrap();
    match skep_testkit::clang::compile(&source, &[]) {
        Ok(bytes) => std::fs::write(&object, bytes).unwrap(),
        Err(why) => return skip(&why),
    }
    let path = object.to_str().unwrap();
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
    assert!(run.out.contains("bad on Linux 6.1, 6.12, 6.18: 1 bytes at 4 behind r"), "{run:?}");
    assert!(run.out.contains("return start[4];") && run.out.contains("if (start + 4 > end)"), "{run:?}");
    let run = skep(["verify", "--prog", "good", "--kernel", "6.18", path]).ok();
    assert_eq!(run.out, "PROGRAM  6.18\ngood     yes\n");
    let run = skep(["verify", "--prog", "none", path]);
    assert_eq!((run.status, run.err.contains("no program `none`")), (Some(2), true), "{run:?}");
}

//! C declarations and listings, compared with bpftool's; layouts, checked by clang.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, CPrinter, Int, Kind, NewMember, NewType, RawType, TypeId};

use super::{Compiled, VMLINUX, bpftool_dump, installed, kernel, run};

/// Sizes of enumerations, which releases of bpftool before 7.2 do not print.
const MODES: [&str; 2] = [" __attribute__((mode(byte)))", " __attribute__((mode(word)))"];

#[track_caller]
fn same(ours: &str, theirs: &str) {
    let lines = ours.lines().zip(theirs.lines()).enumerate();
    if let Some((line, (ours, theirs))) = lines.into_iter().find(|(_, (ours, theirs))| ours != theirs) {
        panic!("line {}:\n  ours:   {ours}\n  theirs: {theirs}", line + 1);
    }
    assert_eq!(ours.len(), theirs.len(), "one of the texts goes on");
}

fn listing(btf: &Btf) -> String {
    btf.ids().fold(String::new(), |mut text, id| {
        writeln!(text, "{}", RawType(btf, id)).unwrap();
        text
    })
}

#[track_caller]
fn header(btf: &Btf) -> String {
    let mut printer = CPrinter::new(btf);
    printer.add_all().unwrap();
    printer.into_header()
}

/// Both texts of a file.
#[track_caller]
fn check(btf: &Btf, file: &Path) {
    same(&listing(btf), &bpftool_dump(file, "raw", None));
    let theirs = bpftool_dump(file, "c", None);
    let mut ours = header(btf);
    for mode in MODES.iter().filter(|mode| !theirs.contains(**mode)) {
        ours = ours.replace(mode, "");
    }
    same(&ours, &theirs);
}

#[test]
fn the_kernel_reads_as_bpftool_prints_it() {
    let Some(btf) = kernel() else { return };
    if installed(&["bpftool"]) {
        check(&btf, Path::new(VMLINUX));
    }
}

#[test]
fn objects_read_as_bpftool_prints_them() {
    if !installed(&["bpftool", "clang", "llvm-objcopy"]) {
        return;
    }
    for name in ["shapes.c", "other.c", "core.c", "core_match.c"] {
        let compiled = Compiled::new(name);
        check(&compiled.btf(), &compiled.path("BTF"));
    }
}

/// Assertions for the compiler that each named structure and each of its members is where the types say.
fn assertions(btf: &Btf) -> String {
    let mut text = String::new();
    for id in btf.ids() {
        let (keyword, composite) = match btf.kind(id).unwrap() {
            Kind::Struct(composite) => ("struct", composite),
            Kind::Union(composite) => ("union", composite),
            _ => continue,
        };
        let name = btf.name(id).unwrap();
        // Of types with the same name the first one has it in C.
        let same = |kind: &Kind<'_>| matches!(kind, Kind::Struct(_) | Kind::Union(_) | Kind::Enum(_) | Kind::Enum64(_));
        if name.is_empty() || btf.find_where(name, same) != Some(id) {
            continue;
        }
        writeln!(text, "_Static_assert(sizeof({keyword} {name}) == {}, \"{name}\");", composite.size).unwrap();
        for member in composite.members().filter(|member| member.bits == 0) {
            let field = btf.string(member.name).unwrap();
            if !field.is_empty() {
                let offset = member.bit_offset / 8;
                let place = format!("__builtin_offsetof({keyword} {name}, {field})");
                writeln!(text, "_Static_assert({place} == {offset}, \"{name}.{field}\");").unwrap();
            }
        }
    }
    text
}

#[track_caller]
fn clang_agrees(btf: &Btf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("layout.c");
    let text = header(btf) + &assertions(btf);
    assert!(text.matches("_Static_assert").count() > 20);
    std::fs::write(&file, text).unwrap();
    // For the machine itself, because variable argument lists are smaller for BPF.
    let options = ["-fsyntax-only", "-Wno-everything", "-ferror-limit=0"];
    run(Command::new("clang").args(options).arg(&file));
}

#[test]
fn clang_gives_what_is_printed_the_same_layout() {
    if !installed(&["clang", "llvm-objcopy"]) {
        return;
    }
    clang_agrees(&Compiled::new("shapes.c").btf());
    if let Some(btf) = kernel() {
        clang_agrees(&btf);
    }
}

#[test]
fn split_types_print_with_their_base() {
    let int = Int { size: 4, bits: 32, bit_offset: 0, signed: true, char: false, bool: false };
    let mut base = BtfBuilder::new();
    let int = base.add("int", NewType::Int(int)).unwrap();
    let node = base.add("node", NewType::Struct { size: 4, members: &[NewMember::new("x", int, 0)] }).unwrap();
    let base_bytes = base.to_bytes();
    let base = Arc::new(Btf::parse(base_bytes.clone()).unwrap());
    let mut split = BtfBuilder::with_base(Arc::clone(&base));
    let members = [NewMember::new("x", node, 0), NewMember::new("later", int, 32)];
    let outer = split.add("outer", NewType::Struct { size: 8, members: &members }).unwrap();
    assert_eq!(outer, TypeId(3));
    let split_bytes = split.to_bytes();
    let btf = Btf::parse_split(base, split_bytes.clone()).unwrap();
    assert_eq!((btf.find("node"), btf.find("outer"), btf.len()), (Some(node), Some(outer), 1));
    assert_eq!(btf.size_of(outer), Ok(8));
    let mut printer = CPrinter::new(&btf);
    printer.add_all().unwrap();
    let expected = "struct node {\n\tint x;\n};\n\nstruct outer {\n\tstruct node x;\n\tint later;\n};\n\n";
    assert_eq!(printer.text(), expected);
    if installed(&["bpftool"]) {
        let directory = tempfile::tempdir().unwrap();
        let [base_file, split_file] = ["base", "split"].map(|name| directory.path().join(name));
        std::fs::write(&base_file, base_bytes).unwrap();
        std::fs::write(&split_file, split_bytes).unwrap();
        same(&listing(&btf), &bpftool_dump(&split_file, "raw", Some(&base_file)));
    }
}

//! Relocations whose outcome the running kernel does not show: contradictions, sizes of loads, modules, errors.

use std::sync::Arc;

use skep_btf::core::{
    CoreKind, CoreProblem, MemorySize, Relocation, Resolution, relocate, types_are_compatible, types_match,
};
use skep_btf::{Array, Btf, BtfBuilder, Int, NewMember, NewType, Problem, TypeId};

const fn int(size: u32, signed: bool) -> Int {
    Int { size, bits: (8 * size) as u8, bit_offset: 0, signed, char: false, bool: false }
}

/// One structure with members of these integers, one after the other.
fn structure(name: &str, members: &[(&str, Int)]) -> Btf {
    let mut builder = BtfBuilder::new();
    let mut offset = 0;
    let mut found = Vec::new();
    for (member, int) in members {
        let ty = builder.add("number", NewType::Int(*int)).unwrap();
        found.push(NewMember::new(member, ty, 8 * offset));
        offset += int.size;
    }
    builder.add(name, NewType::Struct { size: offset, members: &found }).unwrap();
    Btf::parse(builder.to_bytes()).unwrap()
}

fn ask(local: &Btf, access: &str, kind: CoreKind, targets: &[&Btf]) -> Result<Resolution, CoreProblem> {
    let ty = local.ids().last().unwrap();
    relocate(local, Relocation { ty, access, kind }, targets).map_err(|error| error.problem)
}

#[test]
fn loads_change_their_size_only_if_the_value_stays() {
    let unsigned = structure("s", &[("x", int(4, false))]);
    let signed = structure("s", &[("x", int(4, true))]);
    let wide = structure("s___new", &[("y", int(4, false)), ("x", int(8, false))]);
    let memory = |local: &Btf| ask(local, "0:0", CoreKind::FieldByteOffset, &[&wide]).unwrap();
    assert_eq!(memory(&unsigned).memory, MemorySize::Changes { from: 4, to: 8 });
    assert_eq!(memory(&signed).memory, MemorySize::Refused { from: 4, to: 8 });
    let answer = memory(&unsigned);
    assert_eq!((answer.original, answer.value, answer.target), (Some(0), Some(4), Some((0, TypeId(3)))));
    let same = ask(&unsigned, "0:0", CoreKind::FieldByteOffset, &[&unsigned]).unwrap();
    assert_eq!(same.memory, MemorySize::Same);
}

#[test]
fn contradicting_types_are_an_error_and_agreeing_ones_are_not() {
    let local = structure("s", &[("x", int(4, false))]);
    let mut builder = BtfBuilder::new();
    let agreeing = [structure("s", &[("x", int(4, false))]), structure("s___two", &[("x", int(4, true))])];
    for btf in &agreeing {
        builder.append(btf).unwrap();
    }
    let target = Btf::parse(builder.to_bytes()).unwrap();
    assert_eq!(ask(&local, "0:0", CoreKind::FieldByteOffset, &[&target]).unwrap().value, Some(0));
    assert!(matches!(ask(&local, "0:0", CoreKind::FieldSigned, &[&target]), Err(CoreProblem::Ambiguous { .. })));
    builder.append(&structure("s", &[("before", int(8, false)), ("x", int(4, false))])).unwrap();
    let target = Btf::parse(builder.to_bytes()).unwrap();
    let relocation = Relocation { ty: TypeId(2), access: "0:0", kind: CoreKind::FieldByteOffset };
    let error = relocate(&local, relocation, &[&target]).unwrap_err().to_string();
    assert!(
        error.contains("byte_off of struct s, path 0:0") && error.contains("0 (") && error.contains("8 ("),
        "{error}"
    );
}

#[test]
fn modules_are_asked_after_the_kernel() {
    let local = structure("s", &[("x", int(4, false))]);
    let kernel = Arc::new(structure("other", &[("x", int(4, false))]));
    let mut module = BtfBuilder::with_base(Arc::clone(&kernel));
    let members = [NewMember::new("x", TypeId(1), 96)];
    let id = module.add("s", NewType::Struct { size: 16, members: &members }).unwrap();
    let module = Btf::parse_split(Arc::clone(&kernel), module.to_bytes()).unwrap();
    let empty = Btf::parse_split(Arc::clone(&kernel), BtfBuilder::with_base(Arc::clone(&kernel)).to_bytes()).unwrap();
    let answer = ask(&local, "0:0", CoreKind::FieldByteOffset, &[&*kernel, &empty, &module]).unwrap();
    assert_eq!((answer.value, answer.target), (Some(12), Some((2, id))));
    let first = structure("s", &[("x", int(4, false))]);
    let answer = ask(&local, "0:0", CoreKind::FieldByteOffset, &[&first, &empty, &module]).unwrap();
    assert_eq!((answer.value, answer.target), (Some(0), Some((0, TypeId(2)))));
    let nobody = ask(&local, "0:0", CoreKind::FieldByteOffset, &[&*kernel, &empty]).unwrap();
    assert_eq!((nobody.value, nobody.original, nobody.target), (None, Some(0), None));
}

#[test]
fn bad_paths_are_errors_that_say_why() {
    let local = structure("s", &[("x", int(4, false))]);
    let problem = |access: &str, kind| ask(&local, access, kind, &[&local]).unwrap_err();
    for access in ["", "0:", "0:x", ":0", "0:-1", "0:+0", "0:4294967296", &"0:".repeat(64)] {
        assert_eq!(problem(access, CoreKind::FieldExists), CoreProblem::Path, "{access}");
    }
    assert_eq!(problem("0:1", CoreKind::FieldExists), CoreProblem::NoPart(1, 1));
    assert_eq!(problem("0:0:0", CoreKind::FieldExists), CoreProblem::NoParts("INT"));
    assert_eq!(problem("0:0", CoreKind::TypeExists), CoreProblem::PathOfType);
    assert_eq!(problem("0", CoreKind::EnumvalValue), CoreProblem::NoParts("STRUCT"));
    assert_eq!(problem("1", CoreKind::FieldSigned), CoreProblem::Element);
    let relocation = Relocation { ty: TypeId(9), access: "0", kind: CoreKind::TypeSize };
    let error = relocate(&local, relocation, &[&local]).unwrap_err();
    assert!(matches!(error.problem, CoreProblem::Btf(error) if error.problem == Problem::NoSuchType(9)));
    let anonymous = structure("", &[("x", int(4, false))]);
    assert_eq!(ask(&anonymous, "0:0", CoreKind::FieldExists, &[&local]), Err(CoreProblem::Anonymous));
}

#[test]
fn arrays_without_length_have_any_element_and_others_do_not() {
    let with_array = |len| {
        let mut builder = BtfBuilder::new();
        let int = builder.add("int", NewType::Int(int(4, true))).unwrap();
        let array = builder.add("", NewType::Array(Array { element: int, index: int, len })).unwrap();
        let members = [NewMember::new("len", int, 0), NewMember::new("data", array, 32)];
        builder.add("s", NewType::Struct { size: 4 + 4 * len, members: &members }).unwrap();
        Btf::parse(builder.to_bytes()).unwrap()
    };
    let (flexible, short, long) = (with_array(0), with_array(2), with_array(8));
    let value = |local: &Btf, access, target| ask(local, access, CoreKind::FieldByteOffset, &[target]).map(|a| a.value);
    assert_eq!(value(&long, "0:1:5", &flexible), Ok(Some(24)));
    assert_eq!(value(&long, "0:1:5", &short), Ok(None));
    assert_eq!(value(&flexible, "0:1:100", &long), Ok(None));
    assert_eq!(value(&flexible, "0:1:100", &flexible), Ok(Some(404)));
    assert_eq!(value(&short, "0:1:2", &short), Err(CoreProblem::NoPart(2, 2)));
    // An array that grew is still read element by element.
    assert_eq!(ask(&short, "0:1", CoreKind::FieldByteOffset, &[&long]).unwrap().memory, MemorySize::Same);
}

#[test]
fn comparing_ends() {
    // A prototype that takes and returns itself, and a structure whose members lead back to it in many ways.
    let mut builder = BtfBuilder::new();
    let proto = builder.next_id();
    builder.add("", NewType::FuncProto { result: proto, params: &[("", proto), ("", proto)] }).unwrap();
    let wide = builder.next_id();
    let members: Vec<NewMember<'_>> = (0..20).map(|_| NewMember::new("m", wide, 0)).collect();
    builder.add("s", NewType::Struct { size: 4, members: &members }).unwrap();
    let btf = Btf::parse(builder.to_bytes()).unwrap();
    assert!(types_are_compatible(&btf, proto, &btf, proto).is_err());
    assert!(types_match(&btf, proto, &btf, proto).is_err());
    assert!(types_match(&btf, wide, &btf, wide).is_err());
}

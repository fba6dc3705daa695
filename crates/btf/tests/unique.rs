//! Types made unique: circles, declarations, what must stay apart; and limits of builder and printer.

use std::sync::Arc;

use skep_btf::{
    Btf, BtfBuilder, BuildError, CPrinter, Int, Kind, Linkage, NewMember, NewType, Problem, SectionVar, TypeId,
};

const INT: Int = Int { size: 4, bits: 32, bit_offset: 0, signed: true, char: false, bool: false };

/// `struct NAME { int value; struct NAME *next; }`, with its own `int` and pointer. Returns the structure.
fn list(builder: &mut BtfBuilder, name: &str, last: &str) -> TypeId {
    let int = builder.add("int", NewType::Int(INT)).unwrap();
    let pointer = builder.next_id();
    let node = TypeId(pointer.0 + 1);
    builder.add("", NewType::Ptr(node)).unwrap();
    let members = [NewMember::new("value", int, 0), NewMember::new(last, pointer, 64)];
    builder.add(name, NewType::Struct { size: 16, members: &members }).unwrap()
}

fn parse(builder: &BtfBuilder) -> Btf {
    Btf::parse(builder.to_bytes()).unwrap()
}

#[test]
fn circles_become_one() {
    let mut builder = BtfBuilder::new();
    let (one, other) = (list(&mut builder, "node", "next"), list(&mut builder, "node", "next"));
    let apart = list(&mut builder, "node", "previous");
    let map = builder.dedup().unwrap();
    assert_eq!(map.get(one), map.get(other));
    assert_ne!(map.get(one), map.get(apart));
    // One integer, and two pointers to two structures.
    assert_eq!(parse(&builder).len(), 5);
}

#[test]
fn circles_that_differ_far_away_stay_apart() {
    // Two structures look the same, and so do all types on the way to what is different.
    let mut builder = BtfBuilder::new();
    let chain = |builder: &mut BtfBuilder, end: &str| {
        let mut id = builder.add(end, NewType::Fwd { union: false }).unwrap();
        for _ in 0..200 {
            id = builder.add("", NewType::Ptr(id)).unwrap();
        }
        builder.add("holder", NewType::Struct { size: 8, members: &[NewMember::new("p", id, 0)] }).unwrap()
    };
    let ids = ["one", "other", "one"].map(|end| chain(&mut builder, end));
    let map = builder.dedup().unwrap();
    assert_ne!(map.get(ids[0]), map.get(ids[1]));
    assert_eq!(map.get(ids[0]), map.get(ids[2]));
    assert_eq!(parse(&builder).len(), 2 * 202);
}

#[test]
fn declarations_become_their_only_definition() {
    let mut builder = BtfBuilder::new();
    let declared = builder.add("node", NewType::Fwd { union: false }).unwrap();
    let union = builder.add("node", NewType::Fwd { union: true }).unwrap();
    let user = builder.add("", NewType::Ptr(declared)).unwrap();
    let node = list(&mut builder, "node", "next");
    let pointer = TypeId(node.0 - 1);
    let mut ambiguous = builder.clone();
    let map = builder.dedup().unwrap();
    assert_eq!(map.get(declared), map.get(node));
    assert_eq!(map.get(user), map.get(pointer));
    assert!(matches!(parse(&builder).kind(map.get(union).unwrap()), Ok(Kind::Fwd { union: true })));
    // With a second definition nobody can say which one is meant.
    let second = list(&mut ambiguous, "node", "previous");
    let map = ambiguous.dedup().unwrap();
    assert_ne!(map.get(node), map.get(second));
    assert!(matches!(parse(&ambiguous).kind(map.get(declared).unwrap()), Ok(Kind::Fwd { union: false })));
}

#[test]
fn definitions_that_differ_only_behind_members_leave_the_declaration_alone() {
    let mut builder = BtfBuilder::new();
    let declared = builder.add("s", NewType::Fwd { union: false }).unwrap();
    let ids = [4, 8].map(|size| {
        let number = Int { size, bits: 8 * size as u8, ..INT };
        let int = builder.add("number", NewType::Int(number)).unwrap();
        builder.add("s", NewType::Struct { size: 8, members: &[NewMember::new("x", int, 0)] }).unwrap()
    });
    let map = builder.dedup().unwrap();
    assert_ne!(map.get(ids[0]), map.get(ids[1]));
    assert!(matches!(parse(&builder).kind(map.get(declared).unwrap()), Ok(Kind::Fwd { .. })));
}

#[test]
fn split_blobs_take_from_their_base() {
    let mut base = BtfBuilder::new();
    let node = list(&mut base, "node", "next");
    let base = Arc::new(parse(&base));
    let mut split = BtfBuilder::with_base(Arc::clone(&base));
    let copy = list(&mut split, "node", "next");
    let own = split.add("mine", NewType::Struct { size: 16, members: &[NewMember::new("value", copy, 0)] }).unwrap();
    let map = split.dedup().unwrap();
    assert_eq!(map.get(copy), Some(node));
    let bytes = split.to_bytes();
    assert!(!bytes.windows(5).any(|window| window == b"value"), "the base has this string");
    let btf = Btf::parse_split(base, bytes).unwrap();
    assert_eq!((btf.len(), btf.find("mine")), (1, map.get(own)));
    let mut other = BtfBuilder::new();
    assert_eq!(other.append(&btf), Err(BuildError::OtherBase));
}

#[test]
fn types_can_be_changed_where_linkers_have_to() {
    let mut builder = BtfBuilder::new();
    let int = builder.add("int", NewType::Int(INT)).unwrap();
    let var = builder.add("x", NewType::Var { ty: int, linkage: Linkage::Extern }).unwrap();
    let place = SectionVar { ty: var, offset: 0, size: 0 };
    let section = builder.add(".data", NewType::Datasec { size: 0, vars: &[place] }).unwrap();
    builder.set_linkage(var, Linkage::Global).unwrap();
    let place = SectionVar { offset: 8, size: 4, ..place };
    builder.set_section(section, 12, &[place]).unwrap();
    let pointer = builder.add("", NewType::Ptr(TypeId::VOID)).unwrap();
    builder.set_target(pointer, section).unwrap();
    let btf = parse(&builder);
    assert_eq!(btf.kind(var), Ok(Kind::Var { ty: int, linkage: Linkage::Global }));
    assert!(matches!(btf.kind(section), Ok(Kind::Datasec { size: 12, vars }) if vars.iter().eq([place])));
    assert_eq!(btf.kind(pointer), Ok(Kind::Ptr(section)));
    assert_eq!(builder.set_section(section, 0, &[]), Err(BuildError::OtherKind(section.0)));
    assert_eq!(builder.set_target(int, int), Err(BuildError::OtherKind(int.0)));
    assert_eq!(builder.set_target(TypeId(99), int), Err(BuildError::NoSuchType(99)));
}

#[test]
fn limits_of_the_format_are_errors() {
    let mut builder = BtfBuilder::new();
    assert_eq!(builder.add("a\0b", NewType::Float { size: 8 }), Err(BuildError::Nul));
    let many = vec![("x", TypeId::VOID); 65_536];
    let proto = NewType::FuncProto { result: TypeId::VOID, params: &many };
    assert_eq!(builder.add("", proto), Err(BuildError::TooManyParts(65_536)));
    let value = |signed, value| NewType::Enum { size: 4, signed, values: value };
    assert_eq!(builder.add("e", value(true, &[("a", 1 << 31)])), Err(BuildError::Value(1 << 31)));
    assert_eq!(builder.add("e", value(false, &[("a", -1)])), Err(BuildError::Value(-1)));
    let bits = NewMember { bits: 3, ..NewMember::new("b", TypeId(1), 0) };
    let far = NewMember::new("far", TypeId(1), 1 << 24);
    let structure = NewType::Struct { size: 1 << 22, members: &[bits, far] };
    assert_eq!(builder.add("s", structure), Err(BuildError::Offset(1 << 24)));
    assert_eq!(parse(&builder).len(), 0);
    builder.add("", NewType::Ptr(TypeId(7))).unwrap();
    assert_eq!(builder.dedup(), Err(BuildError::NoSuchType(7)));
    assert_eq!(parse(&builder).len(), 1, "a failure changes nothing");
}

/// Types inside each other `depth` times, each made from the one before.
fn nested(depth: usize, mut wrap: impl FnMut(&mut BtfBuilder, TypeId) -> TypeId) -> (Btf, TypeId) {
    let mut builder = BtfBuilder::new();
    let mut id = builder.add("int", NewType::Int(INT)).unwrap();
    for _ in 0..depth {
        id = wrap(&mut builder, id);
    }
    (parse(&builder), id)
}

#[test]
fn deep_and_wide_types_end() {
    let problem = |(btf, id): (Btf, TypeId)| {
        let mut printer = CPrinter::new(&btf);
        printer.add(id).map(|()| printer.text().len()).map_err(|error| error.problem)
    };
    let pointer = |builder: &mut BtfBuilder, id| builder.add("", NewType::Ptr(id)).unwrap();
    assert!(matches!(problem(nested(10_000, pointer)), Err(Problem::Nested(_))));
    let inside = |builder: &mut BtfBuilder, id| {
        let members = [NewMember::new("a", id, 0), NewMember::new("b", id, 0)];
        builder.add("", NewType::Union { size: 4, members: &members }).unwrap()
    };
    // Each union holds the one before twice: the text would have 2^60 lines.
    let btf = nested(60, inside);
    let mut builder = BtfBuilder::new();
    builder.append(&btf.0).unwrap();
    let holder = builder.add("s", NewType::Struct { size: 4, members: &[NewMember::new("m", btf.1, 0)] }).unwrap();
    assert_eq!(problem((parse(&builder), holder)), Err(Problem::Endless));
    let proto = |builder: &mut BtfBuilder, id| {
        let params = [("", id)];
        let proto = builder.add("", NewType::FuncProto { result: id, params: &params }).unwrap();
        builder.add("", NewType::Ptr(proto)).unwrap()
    };
    assert!(problem(nested(1_000, proto)).is_err());
    let array = |builder: &mut BtfBuilder, id| {
        let array = skep_btf::Array { element: id, index: TypeId(1), len: 1 };
        let array = builder.add("", NewType::Array(array)).unwrap();
        builder.add("s", NewType::Struct { size: 4, members: &[NewMember::new("m", array, 0)] }).unwrap()
    };
    assert!(problem(nested(60, array)).is_ok());
    assert!(matches!(problem(nested(1_000, array)), Err(Problem::Nested(_))));
    // A hole of half a gigabyte.
    let hole = |builder: &mut BtfBuilder, id| {
        let members = [NewMember::new("m", id, 0)];
        builder.add("s", NewType::Struct { size: 1 << 29, members: &members }).unwrap()
    };
    assert_eq!(problem(nested(1, hole)), Err(Problem::Endless));
}

#[test]
fn structures_that_contain_themselves_are_errors() {
    let mut builder = BtfBuilder::new();
    let id = builder.next_id();
    builder.add("s", NewType::Struct { size: 4, members: &[NewMember::new("m", id, 0)] }).unwrap();
    let btf = parse(&builder);
    let error = CPrinter::new(&btf).add(id).unwrap_err();
    assert_eq!(error.problem, Problem::ContainsItself(id.0));
}

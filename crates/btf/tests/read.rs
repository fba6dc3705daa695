//! Hand-made blobs for every kind and every error, and the running kernel's types.

use skep_btf::{Btf, BtfError, Ext, Kind, Linkage, NameOff, Problem, TypeId};

const STRINGS: &[u8] = b"\0int\0a\0b\0";
const INT: u32 = 1;
const A: u32 = 5;
const B: u32 = 7;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn blob(types: &[u32]) -> Vec<u8> {
    let types = words(types);
    let len = types.len() as u32;
    let mut bytes = words(&[0x0001_eb9f, 24, 0, len, len, STRINGS.len() as u32]);
    bytes.extend(types);
    bytes.extend_from_slice(STRINGS);
    bytes
}

fn parse(types: &[u32]) -> Btf {
    Btf::parse(blob(types)).unwrap()
}

const fn info(kind: u32, count: u32) -> u32 {
    kind << 24 | count
}

/// `int`, as type 1 of most blobs here.
const INT_TYPE: [u32; 4] = [INT, info(1, 0), 4, 1 << 24 | 32];

fn with_int(types: &[u32]) -> Btf {
    parse(&[&INT_TYPE, types].concat())
}

/// One type of every kind; type 1 comes before them.
#[rustfmt::skip]
const KINDS: &[u32] = &[
    0, info(2, 0), 1, // 2: int *
    0, info(3, 0), 0, 1, 1, 7, // 3: int[7]
    A, info(4, 2), 8, A, 1, 0, B, 1, 32, // 4: struct a
    B, info(5, 1) | 1 << 31, 4, A, 1, 3 << 24 | 5, // 5: union b with a bit field
    A, info(6, 1) | 1 << 31, 4, B, u32::MAX, // 6: enum a, signed
    A, info(7, 0) | 1 << 31, 0, // 7: union a;
    A, info(8, 0), 3, // 8: typedef int a[7]
    0, info(9, 0), 8, // 9: volatile
    0, info(10, 0), 9, // 10: const
    0, info(11, 0), 10, // 11: restrict
    A, info(12, 1), 13, // 12: func
    0, info(13, 2), 1, A, 1, 0, 0, // 13: int (int a, ...)
    B, info(14, 0), 1, 1, // 14: var
    A, info(15, 1), 0, 14, 0, 4, // 15: datasec
    A, info(16, 0), 8, // 16: double
    A, info(17, 0), 4, 1, // 17: decl tag on the second member
    B, info(18, 0), 1, // 18: type tag
    A, info(19, 1), 8, B, 1, 2, // 19: enum64
];

#[test]
fn every_kind_is_read() {
    let btf = with_int(KINDS);
    assert_eq!(btf.len(), 19);
    let kind = |id| btf.kind(TypeId(id)).unwrap();
    assert_eq!(kind(0), Kind::Void);
    assert!(matches!(kind(1), Kind::Int(int) if int.signed && int.bits == 32 && !int.char && !int.bool));
    assert_eq!(kind(2), Kind::Ptr(TypeId(1)));
    assert!(matches!(kind(3), Kind::Array(array) if array.len == 7 && array.element == TypeId(1)));
    let Kind::Struct(composite) = kind(4) else { panic!("{:?}", kind(4)) };
    let members: Vec<_> = composite.members().map(|m| (btf.string(m.name).unwrap(), m.bit_offset, m.bits)).collect();
    assert_eq!(members, [("a", 0, 0), ("b", 32, 0)]);
    let Kind::Union(composite) = kind(5) else { panic!("{:?}", kind(5)) };
    assert!(composite.members().all(|member| (member.bit_offset, member.bits) == (5, 3)));
    let Kind::Enum(values) = kind(6) else { panic!("{:?}", kind(6)) };
    assert_eq!(values.values().next().unwrap().value, -1);
    assert_eq!(kind(7), Kind::Fwd { union: true });
    assert_eq!(kind(12), Kind::Func { proto: TypeId(13), linkage: Linkage::Global });
    let Kind::FuncProto(proto) = kind(13) else { panic!("{:?}", kind(13)) };
    assert_eq!(proto.params().map(|param| param.ty.0).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(kind(14), Kind::Var { ty: TypeId(1), linkage: Linkage::Global });
    assert!(matches!(kind(15), Kind::Datasec { size: 0, vars } if vars.iter().all(|var| var.ty == TypeId(14))));
    assert_eq!(kind(16), Kind::Float { size: 8 });
    assert!(matches!(kind(17), Kind::DeclTag(tag) if tag.component == Some(1) && tag.target == TypeId(4)));
    assert_eq!(kind(18), Kind::TypeTag(TypeId(1)));
    assert!(matches!(kind(19), Kind::Enum64(values) if values.values().next().unwrap().value == 2 << 32 | 1));
}

#[test]
fn names_and_sizes() {
    let btf = with_int(KINDS);
    assert_eq!(btf.resolve(TypeId(11)), Ok(TypeId(3)));
    let sizes = [(1, 4), (2, 8), (3, 28), (4, 8), (5, 4), (6, 4), (11, 28), (14, 4), (16, 8), (18, 4), (19, 8)];
    for (id, size) in sizes {
        assert_eq!(btf.size_of(TypeId(id)), Ok(size), "type {id}");
    }
    for id in [0, 7, 12, 13, 17] {
        assert_eq!(btf.size_of(TypeId(id)).map_err(|error| error.problem), Err(Problem::NoSize), "type {id}");
    }
    assert_eq!(btf.find("b"), Some(TypeId(5)));
    assert_eq!(btf.find("c"), None);
}

#[test]
fn circles_and_huge_sizes_end() {
    let problem = |btf: &Btf, id| btf.size_of(TypeId(id)).unwrap_err().problem;
    let circle = parse(&[0, info(10, 0), 2, 0, info(9, 0), 1]);
    assert_eq!(circle.resolve(TypeId(1)).unwrap_err().problem, Problem::TooDeep);
    assert_eq!(problem(&circle, 1), Problem::TooDeep);
    let array = parse(&[0, info(3, 0), 0, 1, 1, 1]);
    assert_eq!(problem(&array, 1), Problem::TooDeep);
    let huge = with_int(&[0, info(3, 0), 0, 1, 1, 1 << 30, 0, info(3, 0), 0, 2, 1, 4]);
    assert_eq!(problem(&huge, 2), Problem::TooLarge);
    assert_eq!(problem(&huge, 3), Problem::TooLarge);
    let missing = parse(&[0, info(10, 0), 9]);
    assert_eq!(missing.resolve(TypeId(1)).unwrap_err().problem, Problem::NoSuchType(9));
}

#[test]
fn damage_is_found_with_its_place() {
    let good = blob(&INT_TYPE);
    let damaged = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Btf::parse(bytes).unwrap_err()
    };
    let error = |offset, problem| BtfError { offset, problem };
    assert_eq!(damaged(0, 0), error(0, Problem::Magic(0xeb00)));
    assert_eq!(damaged(2, 9), error(2, Problem::Version(9)));
    assert_eq!(damaged(4, 23), error(4, Problem::HeaderLength(23)));
    assert_eq!(damaged(4, 255), error(4, Problem::HeaderLength(255)));
    assert_eq!(damaged(13, 9), error(24, Problem::Outside("the types")));
    assert_eq!(damaged(12, 15), error(24, Problem::Truncated("a type")));
    assert_eq!(damaged(21, 9), error(40, Problem::Outside("the strings")));
    assert_eq!(damaged(40, b'x'), error(40, Problem::Strings));
    assert_eq!(damaged(31, 20), error(28, Problem::Kind(20)));
    assert_eq!(damaged(31, 0), error(28, Problem::Kind(0)));
    let mut swapped = good.clone();
    swapped.swap(0, 1);
    let message = Btf::parse(swapped).unwrap_err().to_string();
    assert_eq!(message, "BTF, offset 0x0: made for a big-endian machine; compile with `-target bpfel`");
    for len in 0..good.len() {
        assert!(Btf::parse(good[..len].to_vec()).is_err(), "cut to {len} bytes");
    }
    let btf = Btf::parse(good).unwrap();
    assert_eq!(btf.string(NameOff(9)), Err(error(40, Problem::NoSuchString(9))));
    assert_eq!(btf.string(NameOff(u32::MAX)), Err(error(40, Problem::NoSuchString(u32::MAX))));
}

#[test]
fn records_of_instructions() {
    let functions = [8, A, 1, 16, 3];
    let lines = [20, A, 2, 0, INT, B, 7 << 10 | 5, 99, 8, INT, B, 8 << 10, 99, B, 0];
    let core = [16, A, 1, 24, 1, B, 2];
    let lens = [functions.len() as u32 * 4, lines.len() as u32 * 4, core.len() as u32 * 4];
    let header = [0x0001_eb9f, 32, 0, lens[0], lens[0], lens[1], lens[0] + lens[1], lens[2]];
    let bytes = words(&[&header[..], &functions, &lines, &core].concat());
    let ext = Ext::parse(&bytes).unwrap();
    assert_eq!(ext.functions[0].records[0].offset, 16);
    let places: Vec<_> = ext.lines[0].records.iter().map(|line| (line.offset, line.line, line.column)).collect();
    assert_eq!(places, [(0, 7, 5), (8, 8, 0)]);
    assert_eq!((ext.lines.len(), ext.lines[1].section, ext.lines[1].records.len()), (2, NameOff(B), 0));
    assert_eq!(ext.relocations[0].records[0].kind, 2);
    for len in 0..bytes.len() {
        assert!(Ext::parse(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
    let mut short = bytes.clone();
    short[32] = 4;
    assert_eq!(Ext::parse(&short), Err(BtfError { offset: 32, problem: Problem::RecordSize(4, 8) }));
    let mut many = bytes;
    many[43] = 0xff;
    assert_eq!(Ext::parse(&many).unwrap_err().problem, Problem::Truncated("the function records"));
}

#[test]
fn the_running_kernel_can_be_read() {
    let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        let required = std::env::var("SKEP_REQUIRE_KERNEL").as_deref() == Ok("1");
        assert!(!required, "the kernel has no BTF in /sys/kernel/btf/vmlinux");
        println!("SKIPPED: the kernel has no BTF in /sys/kernel/btf/vmlinux");
        return;
    };
    let btf = Btf::parse(bytes).unwrap();
    assert!(btf.len() > 10_000);
    for id in btf.ids() {
        btf.name(id).unwrap();
        let kind = btf.kind(id).unwrap();
        let Kind::Struct(composite) = kind else { continue };
        for member in composite.members() {
            let end = member.bit_offset / 8 + u32::from(member.bits != 0);
            assert!(end <= composite.size, "{}", btf.name(id).unwrap());
        }
    }
    // `struct bpf_insn` is part of the interface to user space.
    let insn = btf.ids().find(|id| btf.name(*id) == Ok("bpf_insn") && matches!(btf.kind(*id), Ok(Kind::Struct(_))));
    let insn = insn.unwrap();
    assert_eq!(btf.size_of(insn), Ok(8));
    let Ok(Kind::Struct(composite)) = btf.kind(insn) else { panic!("not a structure") };
    let members: Vec<_> = composite.members().map(|m| (btf.string(m.name).unwrap(), m.bit_offset, m.bits)).collect();
    assert_eq!(members, [("code", 0, 0), ("dst_reg", 8, 4), ("src_reg", 12, 4), ("off", 16, 0), ("imm", 32, 0)]);
}

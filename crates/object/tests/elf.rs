//! Hand-made object files: the whole of a good one, and every way to be wrong.

use skep_isa::ebpf::{Imm64, InsnIdx, Op, decode_program};
use skep_isa::{AttachType, MapType, ProgType};
use skep_object::fuzz::{Elf, sample};
use skep_object::{ElfError, ElfProblem, MapFlags, MapIdx, Object, ProgFlags, ProgIdx, Reference};

fn read(elf: &Elf) -> Result<Object, ElfError> {
    Object::from_elf(&elf.build())
}

fn message(elf: &Elf) -> String {
    read(elf).unwrap_err().to_string()
}

/// The number of a section of the sample.
fn number(elf: &Elf, name: &str) -> usize {
    elf.sections.iter().position(|section| section.name == name).unwrap()
}

#[test]
fn the_sample_is_read_in_whole() {
    let object = read(&sample()).unwrap();
    assert_eq!(object.license, "GPL");
    let names: Vec<_> = object.maps.iter().map(|map| (map.name.as_str(), map.map_type, map.value_size)).collect();
    assert_eq!(
        names,
        [
            ("array", MapType::Array, 4),
            ("outer", MapType::ArrayOfMaps, 4),
            ("jumps", MapType::ProgArray, 4),
            ("old", MapType::Array, 8),
            (".rodata", MapType::Array, 4),
            (".bss", MapType::Array, 8),
        ]
    );
    let [array, outer, jumps, old, rodata, bss] = &object.maps[..] else { panic!("{:?}", object.maps) };
    assert_eq!((array.key_size, array.max_entries, old.max_entries), (4, 2, 3));
    assert_eq!(outer.references, [(0, Reference::Map(MapIdx(0)))]);
    assert_eq!(outer.inner.as_ref().map(|inner| (inner.map_type, inner.max_entries)), Some((MapType::Array, 2)));
    assert_eq!(jumps.references, [(0, Reference::Program(ProgIdx(0)))]);
    assert_eq!(rodata.contents, [(vec![0; 4], vec![1, 2, 3, 4])]);
    assert!(rodata.flags.contains(MapFlags::READ_ONLY_FOR_PROGRAMS) && rodata.frozen);
    assert!(bss.contents.is_empty() && !bss.frozen);

    let [program] = &object.programs[..] else { panic!("{:?}", object.programs) };
    assert_eq!((program.name.as_str(), program.prog_type), ("main", ProgType::SocketFilter));
    let ops: Vec<_> = decode_program(&program.insns).unwrap().into_iter().map(|(_, op)| op).collect();
    let loads: Vec<_> =
        ops.iter().filter_map(|op| if let Op::LoadImm { value, .. } = op { Some(*value) } else { None }).collect();
    assert_eq!(loads, [MapIdx(0).load(), MapIdx(4).load_value(0), MapIdx(5).load_value(0)]);
    let functions: Vec<_> = program.functions.iter().map(|function| (function.at.0, &*function.name)).collect();
    assert_eq!(functions, [(0, "main"), (9, "sub")]);
    let lines: Vec<_> = program.lines.iter().map(|line| (line.at.0, &*line.file, line.line, &*line.text)).collect();
    assert_eq!(lines, [(0, "a.c", 3, "int main()"), (7, "a.c", 4, "return 7;")]);
    assert_eq!(program.line_of(InsnIdx(8)).map(|line| line.line), Some(4));
    assert_eq!(program.line_of(InsnIdx(9)), None, "nothing is known about the subprogram");
    let relocations: Vec<_> = program.core_relocations.iter().map(|r| (r.at.0, r.kind, &*r.access)).collect();
    assert_eq!(relocations, [(7, 0, "0:1")]);
}

#[test]
fn every_prefix_is_refused() {
    let bytes = sample().build();
    for len in 0..bytes.len() {
        assert!(Object::from_elf(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
}

#[test]
fn other_files_are_told_apart() {
    let good = sample().build();
    let damaged = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Object::from_elf(&bytes).unwrap_err().to_string()
    };
    let not_elf = Object::from_elf(b"").unwrap_err().to_string();
    assert!(not_elf.starts_with("offset 0x0 of the file: not an ELF file; give what `clang "), "{not_elf}");
    assert!(damaged(0, 0).contains("not an ELF file"));
    assert!(damaged(4, 1).contains("32 bits"));
    assert!(damaged(5, 2).contains("big-endian"));
    assert!(damaged(16, 2).contains("an executable or library"));
    assert!(damaged(18, 62).starts_with("offset 0x12 of the file: made for machine 62, expected 247"));
    assert!(damaged(62, 200).contains("there is no section 200"));
    assert!(damaged(60, 100).contains("the table of sections ends beyond the end of the data"));
}

#[test]
fn sections_decide_types() {
    let mut elf = Elf::default();
    for (name, program) in [("xdp.frags", "a"), ("cgroup/connect6", "b"), ("of_my_own", "c"), (".text", "d")] {
        let section = elf.code(name, "r0 = 0\nexit\n");
        elf.symbol(program, 2, section, 0, 16);
    }
    let object = read(&elf).unwrap();
    let kinds: Vec<_> =
        object.programs.iter().map(|p| (p.name.as_str(), p.prog_type, p.attach_type, p.flags)).collect();
    assert_eq!(
        kinds,
        [
            ("a", ProgType::Xdp, Some(AttachType::Xdp), ProgFlags::XDP_FRAGS),
            ("b", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Connect), ProgFlags::NONE),
            ("c", ProgType::SocketFilter, None, ProgFlags::NONE),
        ]
    );
    assert_eq!(object.programs[2].section, "of_my_own");
    // Without other code even `.text` is a program; without symbols it is named after its section.
    let mut elf = Elf::default();
    elf.code(".text", "r0 = 0\nexit\n");
    let object = read(&elf).unwrap();
    assert_eq!((object.programs[0].name.as_str(), object.programs[0].prog_type), (".text", ProgType::SocketFilter));
}

#[test]
fn functions_of_one_section_call_each_other() {
    let mut elf = Elf::default();
    // Both are programs, and `b` calls `a` without a relocation.
    let section = elf.code("socket", "r0 = 1\nexit\ncall pc-3\nexit\n");
    elf.symbol("a", 2, section, 0, 16);
    elf.symbol("b", 2, section, 16, 16);
    let object = read(&elf).unwrap();
    let text = skep_isa::ebpf::disassemble(&object.program("b").unwrap().insns).unwrap();
    assert_eq!(text, "call pc+1\nexit\nr0 = 1\nexit\n");
    // Recursion is copied once; a verifier may refuse it.
    elf.sections[0].data = elf.sections[0].data[16..].repeat(2);
    elf.sections[0].data[4..8].copy_from_slice(&1i32.to_le_bytes());
    elf.sections[0].data[20..24].copy_from_slice(&(-3i32).to_le_bytes());
    let object = read(&elf).unwrap();
    assert_eq!(object.programs.iter().map(|program| program.insns.len()).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn function_pointers_of_sections() {
    let mut elf = Elf::default();
    let program = elf.code("socket", "r1 = 16 ll\nr0 = 0\nexit\n");
    let text = elf.code(".text", "r0 = 0\nexit\nr0 = 1\nexit\n");
    elf.symbol("main", 2, program, 0, 32);
    elf.symbol("other", 2, text, 0, 16);
    elf.symbol("callback", 2, text, 16, 16);
    elf.symbol("text", 3, text, 0, 0);
    elf.relocation(program, 0, 1, "text");
    let object = read(&elf).unwrap();
    let program = &object.programs[0];
    let (_, op) = decode_program(&program.insns).unwrap()[0];
    assert!(matches!(op, Op::LoadImm { value: Imm64::Func(3), .. }), "{op:?}");
    assert_eq!(&*program.functions[1].name, "callback");
}

#[test]
fn wrong_code_is_located() {
    let program = |text: &str| {
        let mut elf = Elf::default();
        let section = elf.code("xdp", text);
        elf.symbol("main", 2, section, 0, 0);
        elf
    };
    let mut elf = program("r0 = 0\nexit\n");
    elf.sections[0].data[8] = 0xff;
    assert_eq!(message(&elf), "section `xdp`, offset 0x8, `main`: no instruction has the opcode 0xff");
    let mut elf = program("r0 = 0\nexit\n");
    elf.sections[0].data.push(0);
    assert_eq!(message(&elf), "section `xdp`, offset 0x11: code must begin and end at a multiple of 8 bytes");
    let mut elf = program("goto +1\nexit\nexit\n");
    elf.symbol("second", 2, 1, 16, 8);
    assert_eq!(message(&elf), "section `xdp`, offset 0x0, `main`: a jump by 1 leaves its function");
    let elf = program("call pc+0\nexit\n");
    assert_eq!(message(&elf), "section `xdp`, offset 0x0: no function starts at the target, offset 0x8");
    let mut elf = program("r0 = 0\nexit\n");
    elf.symbols[0].value = 16;
    assert!(message(&elf).starts_with("section `xdp`, offset 0x10, `main`: a function ends beyond the end"));
    let elf = program("r0 = 0\n");
    assert_eq!(read(&elf).unwrap_err().section, None);
    assert!(matches!(read(&elf).unwrap_err().problem, ElfProblem::Object(_)));
}

#[test]
fn wrong_references_are_located() {
    let refer = |section: u16, kind: u32, code: &str| {
        let mut elf = Elf::default();
        let program = elf.code("xdp", code);
        elf.symbol("main", 2, program, 0, 0);
        elf.section(".data", 3, vec![0; 8]);
        elf.section(".debug", 0, vec![0; 8]);
        elf.symbol("it", 1, section, 0, 0);
        elf.relocation(program, 0, kind, "it");
        elf
    };
    let load = "r1 = 0 ll\nr0 = 0\nexit\n";
    assert!(read(&refer(2, 1, load)).is_ok());
    let at = "section `xdp`, offset 0x0, `it`:";
    let cases = [
        (
            refer(0, 1, load),
            "is declared but defined nowhere; define it, link the objects first, or, for what the kernel has, declare it with `__ksym` and compile with `-g`",
        ),
        (
            refer(0, 10, "call pc-1\nexit\n"),
            "is declared but defined nowhere; define it, link the objects first, or, for what the kernel has, declare it with `__ksym` and compile with `-g`",
        ),
        (refer(0xfff2, 1, load), "has no section; initialise it or compile with `-fno-common`"),
        (refer(2, 4, load), "a relocation of type 4 has no meaning here"),
        (refer(2, 1, "r0 = 0\nexit\n"), "a relocation of type 1 has no meaning here"),
        (refer(2, 1, "r1 = 9 ll\nr0 = 0\nexit\n"), "a reference beyond the end of the variables"),
        (refer(1, 1, "r1 = 8 ll\nr0 = 0\nexit\n"), "no function starts at the target, offset 0x8"),
    ];
    for (elf, expected) in cases {
        assert_eq!(message(&elf), format!("{at} {expected}"));
    }
    let found = message(&refer(3, 1, load));
    assert!(
        found.starts_with(&format!("{at} a reference to section `.debug`, which programs cannot reach;")),
        "{found}"
    );
    let mut elf = refer(2, 1, load);
    elf.relocation(2, 0, 2, "main");
    assert!(message(&elf).starts_with(&format!("{at} variables of this section are initialised with addresses")));
    let mut elf = refer(2, 1, load);
    elf.relocation(1, 0, 1, "it");
    assert_eq!(message(&elf), "section `.rel`, offset 0x0: two relocations for one place; the file is damaged");
}

#[test]
fn wrong_maps_are_located() {
    let mut elf = sample();
    let btf = number(&elf, ".BTF");
    elf.sections[btf].name = ".other";
    assert!(message(&elf).starts_with("section `.maps`: maps are defined here, but section `.BTF` is missing"));
    let mut elf = sample();
    elf.sections[btf].data.truncate(30);
    assert!(matches!(read(&elf).unwrap_err().problem, ElfProblem::Btf(_)));
    let mut elf = sample();
    elf.symbols.retain(|symbol| symbol.name != "outer");
    assert!(message(&elf).contains("`outer`: has no symbol"));
    let mut elf = sample();
    let legacy = number(&elf, "maps");
    elf.sections[legacy].data[0] = 99;
    assert_eq!(message(&elf), "section `maps`, offset 0x0, `old`: map type 99 does not exist");
    elf.sections[legacy].data.truncate(16);
    assert!(message(&elf).contains("`old`: a map definition has at least 20 bytes"));
    let mut elf = sample();
    elf.sections[legacy].data.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    assert!(message(&elf).contains("only the first five numbers of a definition are known"));
    let mut elf = sample();
    let maps = number(&elf, ".maps");
    elf.sections[maps].relocations[1].2 = "sub";
    assert!(message(&elf).contains("section `.maps`, offset 0x50, `sub`: is no program; give the function a section"));
    elf.sections[maps].relocations = vec![(4, 2, "array")];
    assert!(message(&elf).contains("only `values` can refer to something"));
    elf.sections[maps].relocations = vec![(64, 2, "array")];
    assert!(message(&elf).contains("only `values` can refer to something"));
    let mut elf = sample();
    let tables = elf.section(".struct_ops", 3, vec![0; 8]);
    elf.symbol("table", 1, tables, 0, 8);
    let expected = "section `.struct_ops`, offset 0x0, `table`: section `.BTF` does not say what it is like";
    assert!(message(&elf).starts_with(expected), "{}", message(&elf));
}

#[test]
fn maps_of_older_loaders() {
    let definition = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let file = |words: &[&[u32]]| {
        let mut elf = Elf::default();
        let section = elf.section("maps", 3, definition(&words.concat()));
        let mut start = 0;
        for (name, words) in ["a", "b", "c"].into_iter().zip(words) {
            elf.symbol(name, 1, section, start, 4 * words.len() as u64);
            start += 4 * words.len() as u64;
        }
        elf
    };
    // Those of iproute2: type, sizes, entries, flags, id, pinning, inner id, inner index.
    let object = read(&file(&[&[2, 4, 8, 3, 0, 7, 2, 0, u32::MAX], &[12, 4, 4, 5, 0, 0, 0, 7, 3]])).unwrap();
    let [a, b] = &object.maps[..] else { panic!("{:?}", object.maps) };
    assert!(a.pinned && !b.pinned && a.references.is_empty());
    assert_eq!(b.inner.as_ref().map(|inner| (inner.value_size, inner.pinned)), Some((8, false)));
    assert_eq!(b.references, [(3, Reference::Map(MapIdx(0)))]);
    assert!(
        message(&file(&[&[12, 4, 4, 5, 0, 0, 0, 9, 3]])).contains("`a`: does not say what the maps in it are like")
    );
    assert!(message(&file(&[&[2, 4, 4, 5, 0, 0, 3, 0, 0]])).contains("`a`: pinning 3 is unknown"));
    assert!(read(&file(&[&[2, 4, 4, 5, 0, 0, 0]])).is_ok());
    assert!(message(&file(&[&[2, 4, 4, 5, 0, 0, 1]])).contains("number 7 is 1; compile with `-g`"));
}

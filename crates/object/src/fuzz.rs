//! Bodies of property tests, shared by `cargo test` and the fuzz targets, and the object files that they and other tests
//! start from.

use std::collections::HashMap;

use skep_isa::ProgType;
use skep_isa::ebpf::{Endian, Insn, assemble, to_bytes};

use crate::{Item, KernelData, Object, ObjectNames, Program, elf_section, link_elf, listing};

/// Any bytes as an object file, bare, as the changes to a good file, and as the parts of one with a good frame.
/// Whatever is read passes validation.
pub fn elf(data: &[u8]) {
    check(data);
    let mut damaged = sample().build();
    for &[low, high, new] in data.as_chunks::<3>().0 {
        let at = usize::from(u16::from_le_bytes([low, high])) % damaged.len();
        damaged[at] = new;
    }
    check(&damaged);
    let mut file = sample();
    let mut rest = data;
    while let Some((&[section, keep, len, symbol, value, size], tail)) = rest.split_first_chunk() {
        let (new, tail) = tail.split_at(usize::from(len % 64).min(tail.len()));
        rest = tail;
        let sections = file.sections.len();
        let section = &mut file.sections[usize::from(section) % sections];
        section.data.truncate(usize::from(keep));
        section.data.extend_from_slice(new);
        let symbols = file.symbols.len();
        let symbol = &mut file.symbols[usize::from(symbol) % symbols];
        (symbol.value, symbol.size) = (u64::from(value) * 4, u64::from(size) * 4);
    }
    check(&file.build());
}

/// A good object file with changes, three bytes of `data` for each: two for the place, one for what is put there. The
/// places are those of the file's own structure first, where most mistakes are made.
pub fn damaged(file: &[u8], data: &[u8]) {
    let mut damaged = file.to_vec();
    for &[low, high, new] in data.as_chunks::<3>().0 {
        let place = usize::from(u16::from_le_bytes([low, high]));
        // Headers of sections stand at the end, those of symbols and relocations in front of them.
        let at = match low % 4 {
            0 => damaged.len().saturating_sub(1 + place % 4096),
            _ => place.wrapping_mul(damaged.len()) >> 16,
        };
        if let Some(byte) = damaged.get_mut(at) {
            *byte = new;
        }
    }
    check(&damaged);
    let _ = link_elf(&[("damaged", &damaged), ("good", file)]);
}

/// Two damaged files linked: what comes out is an object file, or there is an error.
pub fn link(data: &[u8]) {
    let good = sample().build();
    let damage = |data: &[u8]| {
        let mut file = good.clone();
        for &[low, high, new] in data.as_chunks::<3>().0 {
            let at = usize::from(u16::from_le_bytes([low, high])) % file.len();
            file[at] = new;
        }
        file
    };
    let (one, other) = data.split_at(data.len() / 2);
    let (one, other) = (damage(one), damage(other));
    if let Ok(linked) = link_elf(&[("one", &one), ("other", &other)]) {
        assert!(linked.starts_with(b"\x7fELF"));
        check(&linked);
    }
}

fn check(bytes: &[u8]) {
    for name in [".BTF", "", ".strtab"] {
        let section = elf_section(bytes, name).ok().flatten();
        assert!(section.is_none_or(|section| section.len() <= bytes.len()));
    }
    let Ok(object) = Object::from_elf(bytes) else { return };
    check_writing(&object);
    let mut resolved = object.clone();
    match resolved.resolve(&KernelData::default()) {
        Ok(_) => assert_eq!(resolved.validate(), Ok(()), "what was resolved must be valid"),
        Err(_) => assert_eq!(resolved, object, "an error changes nothing"),
    }
    assert_eq!(object.validate_structure(), Ok(()), "what was read must be valid");
    for program in &object.programs {
        let inside = |at: skep_isa::ebpf::InsnIdx| at.index() < program.insns.len();
        assert_eq!(program.functions.first().map(|function| function.at.index()), Some(0));
        assert!(program.functions.is_sorted_by(|a, b| a.at < b.at) && program.functions.iter().all(|f| inside(f.at)));
        assert!(program.lines.is_sorted_by(|a, b| a.at < b.at) && program.lines.iter().all(|line| inside(line.at)));
        assert!(program.core_relocations.iter().all(|relocation| inside(relocation.at)));
        check_listing(program, &ObjectNames { object: &object, program });
    }
}

/// Any instructions have a listing, in which every slot appears once and every jump leads to a label.
pub fn listings(data: &[u8]) {
    let slots = data.as_chunks::<8>().0.iter();
    let insns: Vec<Insn> = slots.map(|slot| Insn::from_bytes(*slot, Endian::Little)).collect();
    let mut object = Object::new("GPL");
    let program = Program::new("random", ProgType::SocketFilter, insns);
    object.add_program(program.clone());
    check_listing(&program, &ObjectNames { object: &object, program: &program });
}

fn check_listing(program: &Program, names: &ObjectNames<'_>) {
    let items = listing(program, names);
    let mut next = 0;
    let mut labels = std::collections::HashSet::new();
    let mut goals = Vec::new();
    for item in &items {
        match item {
            Item::Insn { at, slots, text } => {
                assert_eq!(at.index(), next, "slots follow one another");
                assert!(!text.is_empty() && !slots.is_empty());
                next += slots.len();
                goals.extend(text.rsplit_once("goto L").map(|(_, number)| format!("L{number}")));
            }
            Item::Label { name, .. } => assert!(labels.insert(name.clone()), "labels are unique"),
            Item::Function { .. } | Item::Source(_) => {}
        }
    }
    assert_eq!(next, program.insns.len(), "every slot is listed");
    assert!(goals.iter().all(|goal| labels.contains(goal)), "every jump leads to a label");
}

/// What can be written can be read, and is written in the same way again.
fn check_writing(object: &Object) {
    let Ok(file) = object.to_elf() else { return };
    let again = Object::from_elf(&file);
    let again = again.unwrap_or_else(|error| panic!("what was written cannot be read: {error}"));
    assert_eq!(again.programs.len(), object.programs.len());
    assert_eq!(again.maps.len(), object.maps.len());
}

/// An object file in parts.
#[derive(Debug, Clone, Default)]
pub struct Elf {
    /// Sections from number 1.
    pub sections: Vec<ElfSection>,
    /// Symbols from number 1.
    pub symbols: Vec<ElfSymbol>,
}

/// A section with its relocations.
#[derive(Debug, Clone)]
pub struct ElfSection {
    /// Name.
    pub name: &'static str,
    /// `SHT_*`: 1 for bytes, 8 for zeros.
    pub kind: u32,
    /// `SHF_*`: 2 for memory, 4 for code.
    pub flags: u64,
    /// The bytes.
    pub data: Vec<u8>,
    /// Offset, type, and name of the symbol.
    pub relocations: Vec<(u64, u32, &'static str)>,
}

/// A symbol.
#[derive(Debug, Clone)]
pub struct ElfSymbol {
    /// Name.
    pub name: &'static str,
    /// Binding in the high half (1 is global), type in the low half (1 object, 2 function).
    pub info: u8,
    /// Number of the section.
    pub section: u16,
    /// Offset in the section.
    pub value: u64,
    /// Bytes.
    pub size: u64,
}

impl Elf {
    /// Adds a section and returns its number.
    pub fn section(&mut self, name: &'static str, flags: u64, data: Vec<u8>) -> u16 {
        self.sections.push(ElfSection { name, kind: 1, flags, data, relocations: Vec::new() });
        self.sections.len() as u16
    }

    /// Adds a section with the code that this text assembles to.
    pub fn code(&mut self, name: &'static str, text: &str) -> u16 {
        let insns = assemble(text).unwrap_or_default();
        self.section(name, 6, to_bytes(&insns, Endian::Little))
    }

    /// Adds a global symbol.
    pub fn symbol(&mut self, name: &'static str, kind: u8, section: u16, value: u64, size: u64) {
        self.symbols.push(ElfSymbol { name, info: 1 << 4 | kind, section, value, size });
    }

    /// Adds a relocation to the section with this number.
    pub fn relocation(&mut self, section: u16, offset: u64, kind: u32, symbol: &'static str) {
        self.sections[usize::from(section) - 1].relocations.push((offset, kind, symbol));
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut names = HashMap::new();
        let mut intern = |name: &'static str| {
            *names.entry(name).or_insert_with(|| {
                let at = strings.len() as u32;
                strings.extend_from_slice(name.as_bytes());
                strings.push(0);
                at
            })
        };
        let mut symbols = vec![0; 24];
        for symbol in &self.symbols {
            symbols.extend_from_slice(&intern(symbol.name).to_le_bytes());
            symbols.extend_from_slice(&[symbol.info, 0]);
            symbols.extend_from_slice(&symbol.section.to_le_bytes());
            symbols.extend_from_slice(&symbol.value.to_le_bytes());
            symbols.extend_from_slice(&symbol.size.to_le_bytes());
        }
        let table = self.sections.len() as u32 + 1;
        let mut all: Vec<Raw> = Vec::new();
        for section in &self.sections {
            all.push((intern(section.name), section.kind, section.flags, 0, 0, section.data.clone()));
        }
        all.push((intern(".symtab"), 2, 0, table + 1, 1, symbols));
        let string_name = intern(".strtab");
        for (number, section) in (1..).zip(&self.sections) {
            let mut records = Vec::new();
            for (offset, kind, name) in &section.relocations {
                let index = self.symbols.iter().position(|symbol| symbol.name == *name).map_or(0, |index| index + 1);
                records.extend_from_slice(&offset.to_le_bytes());
                records.extend_from_slice(&((index as u64) << 32 | u64::from(*kind)).to_le_bytes());
            }
            if !records.is_empty() {
                all.push((intern(".rel"), 9, 0, table, number, records));
            }
        }
        all.insert(table as usize, (string_name, 3, 0, 0, 0, strings));
        assemble_file(&all, table as u16 + 1)
    }
}

/// Name, type, flags, link, info and bytes of a section.
type Raw = (u32, u32, u64, u32, u32, Vec<u8>);

fn assemble_file(sections: &[Raw], names: u16) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    let mut headers = vec![0; 64];
    for (name, kind, flags, link, info, data) in sections {
        let mut header = [name.to_le_bytes(), kind.to_le_bytes()].concat();
        for word in [*flags, 0, file.len() as u64, data.len() as u64] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header.extend_from_slice(&[link.to_le_bytes(), info.to_le_bytes()].concat());
        header.resize(64, 0);
        headers.extend(header);
        if *kind != 8 {
            file.extend_from_slice(data);
        }
    }
    let start = file.len() as u64;
    file.extend(headers);
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &1u16.to_le_bytes());
    put(18, &247u16.to_le_bytes());
    put(40, &start.to_le_bytes());
    put(58, &64u16.to_le_bytes());
    put(60, &(sections.len() as u16 + 1).to_le_bytes());
    put(62, &names.to_le_bytes());
    file
}

/// A file with a bit of everything: a program that uses a map, variables, and a subprogram in `.text`; a map of maps; an
/// array of programs; source lines.
pub fn sample() -> Elf {
    let mut elf = Elf::default();
    let code = "r1 = 0 ll\nr1 = 0 ll\nr1 = 0 ll\ncall pc-1\nr0 = 7\nexit\n";
    let program = elf.code("socket", code);
    let text = elf.code(".text", "r0 = 1\nexit\n");
    let rodata = elf.section(".rodata", 2, vec![1, 2, 3, 4]);
    let bss = elf.section(".bss", 3, vec![0; 8]);
    elf.sections[usize::from(bss) - 1].kind = 8;
    let maps = elf.section(".maps", 3, vec![0; 96]);
    let legacy = elf.section("maps", 3, [2u32, 4, 8, 3, 0].iter().flat_map(|word| word.to_le_bytes()).collect());
    elf.section("license", 3, b"GPL\0".to_vec());
    elf.symbol("main", 2, program, 0, 0);
    elf.symbol("sub", 2, text, 0, 16);
    elf.symbol("constants", 1, rodata, 0, 4);
    elf.symbol("zeros", 1, bss, 0, 8);
    elf.symbol("array", 1, maps, 0, 24);
    elf.symbol("outer", 1, maps, 24, 32);
    elf.symbol("jumps", 1, maps, 56, 40);
    elf.symbol("old", 1, legacy, 0, 20);
    for (offset, kind, symbol) in [(0, 1, "array"), (16, 1, "constants"), (32, 1, "zeros"), (48, 10, "sub")] {
        elf.relocation(program, offset, kind, symbol);
    }
    elf.relocation(maps, 48, 2, "array");
    elf.relocation(maps, 80, 2, "main");
    let (btf, ext) = sample_types();
    elf.section(".BTF", 0, btf);
    elf.section(".BTF.ext", 0, ext);
    elf
}

/// The type information of the sample: what its three maps are like, and two source lines.
fn sample_types() -> (Vec<u8>, Vec<u8>) {
    let mut strings = vec![0];
    let mut name = |text: &str| {
        let at = strings.len() as u32;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at
    };
    let [maps, array, outer, jumps, socket] = [".maps", "array", "outer", "jumps", "socket"].map(&mut name);
    let [kind, key, value, entries, values] =
        ["type", "key_size", "value_size", "max_entries", "values"].map(&mut name);
    let [file, first, second, path] = ["a.c", "int main()", "return 7;", "0:1"].map(&mut name);
    let info = |kind: u32, count: u32| kind << 24 | count;
    let mut types = vec![0, info(1, 0), 4, 32];
    // Types 2 to 9: pointers to arrays of 2, 4, 12 and 3 elements, which is how definitions spell numbers.
    let [two, four, twelve, three] = [2, 4, 6, 8];
    for (pointer, count) in [(two, 2), (four, 4), (twelve, 12), (three, 3)] {
        types.extend([0, info(2, 0), pointer + 1, 0, info(3, 0), 0, 1, 1, count]);
    }
    // 10: the array; 11: a prototype; 12 and 13: pointer and array for `values` of the outer map; 14: the outer map.
    types.extend([0, info(4, 4), 24, kind, two, 0, key, four, 64, value, four, 128, entries, two, 192]);
    types.extend([0, info(13, 0), 0]);
    types.extend([0, info(2, 0), 10]);
    types.extend([0, info(3, 0), 0, 12, 1, 0]);
    types.extend([0, info(4, 4), 24, kind, twelve, 0, key, four, 64, entries, two, 128, values, 13, 192]);
    // 15 to 17: the array of programs.
    types.extend([0, info(2, 0), 11]);
    types.extend([0, info(3, 0), 0, 15, 1, 0]);
    types.extend([0, info(4, 4), 24, kind, three, 0, key, four, 64, entries, two, 128, values, 16, 192]);
    // 18 to 20: the variables; 21: their section.
    for (variable, ty) in [(array, 10), (outer, 14), (jumps, 17)] {
        types.extend([variable, info(14, 0), ty, 1]);
    }
    types.extend([maps, info(15, 3), 0, 18, 0, 24, 19, 0, 24, 20, 0, 24]);
    let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let len = types.len() as u32 * 4;
    let mut btf = bytes(&[0x0001_eb9f, 24, 0, len, len, strings.len() as u32]);
    btf.extend(bytes(&types));
    btf.extend(strings);
    let lines = [16, socket, 2, 0, file, first, 3 << 10 | 1, 56, file, second, 4 << 10 | 2];
    let core = [16, socket, 1, 56, 1, path, 0];
    let (lines_len, core_len) = (4 * lines.len() as u32, 4 * core.len() as u32);
    let mut ext = bytes(&[0x0001_eb9f, 32, 0, 0, 0, lines_len, lines_len, core_len]);
    ext.extend(bytes(&lines));
    ext.extend(bytes(&core));
    (btf, ext)
}

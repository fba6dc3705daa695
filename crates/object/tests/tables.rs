//! Tables of operations: as files have them, and fitted to kernels that are sources of a few lines.

use std::sync::Arc;

use skep_btf::Btf;
use skep_isa::{MapType, ProgType};
use skep_object::{KernelData, MapFlags, MapSpec, Module, Object, ProgIdx, Reference, Table, elf_section};

/// Compiles a text with the declarations of the corpus in front; `None` with a note if there is no clang.
#[track_caller]
fn compiled(text: &str) -> Option<Vec<u8>> {
    let file = skep_testkit::clang::compile_text(text, &[]);
    file.map_err(|why| {
        println!("SKIPPED: {why}");
        assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
    })
    .ok()
}

/// The types of a source, as if they were a kernel's.
fn types(text: &str) -> Option<Arc<Btf>> {
    let file = compiled(text)?;
    Some(Arc::new(Btf::parse(elf_section(&file, ".BTF").unwrap().unwrap().to_vec()).unwrap()))
}

/// Programs and one table of the given members.
const PROGRAMS: &str = r#"
struct thing { long x; };
SEC("struct_ops/one") int one(u64 *ctx) { return 1; }
SEC("struct_ops.s/two") int two(u64 *ctx) { return 2; }
struct ops {
    char name[8];
    int (*second)(struct thing *thing);
    int (*first)(struct thing *thing);
    u32 flags;
    u32 unused;
};
"#;

const TABLE: &str = r#"
SEC(".struct_ops.link") struct ops empty;
SEC(".struct_ops.link") struct ops full = { .name = "full", .first = (void *)one, .second = (void *)two, .flags = 5 };
SEC(".struct_ops") struct ops half = { .name = "half", .first = (void *)one };
"#;

/// A kernel whose structure has other members first.
const KERNEL: &str = r#"
struct ops {
    long state;
    int (*first)(void *thing);
    unsigned flags;
    int (*third)(void *thing);
    int (*second)(void *thing);
    char name[8];
};
struct bpf_struct_ops_ops { int refs; struct ops data __attribute__((aligned(64))); };
struct bpf_struct_ops_ops *unused;
"#;

fn object(table: &str) -> Option<Object> {
    let file = compiled(&format!("{PROGRAMS}{table}"))?;
    Some(Object::from_elf(&file).unwrap_or_else(|error| panic!("{table}: {error}")))
}

fn fitted(object: &Object, kernel: &Arc<Btf>) -> Result<Vec<Table>, String> {
    let kernel = KernelData { btf: Some(Arc::clone(kernel)), ..KernelData::default() };
    object.clone().resolve(&kernel).map(|resolved| resolved.tables).map_err(|error| error.to_string())
}

#[test]
fn tables_are_read_as_they_are() {
    let Some(object) = object(TABLE) else { return };
    let maps: Vec<_> = object.maps.iter().map(|map| (map.name.as_str(), map.flags, &map.references[..])).collect();
    let program = |name: &str| {
        let index = object.programs.iter().position(|program| program.name == name).unwrap();
        Reference::Program(ProgIdx(index as u32))
    };
    let (full, half) = ([(8, program("two")), (16, program("one"))], [(16, program("one"))]);
    let mut found = maps.clone();
    found.sort_by_key(|map| map.0);
    let none = MapFlags::default();
    assert_eq!(found, [("empty", MapFlags::LINK, &[][..]), ("full", MapFlags::LINK, &full), ("half", none, &half)]);
    for map in &object.maps {
        assert_eq!((map.map_type, map.key_size, map.value_size, map.max_entries), (MapType::StructOps, 4, 32, 1));
        let start = if map.name == "empty" { "" } else { &map.name };
        assert!(map.contents[0].1.starts_with(start.as_bytes()));
        assert_eq!(map.contents[0].1[8..24], [0; 16]);
    }
    assert!(object.programs.iter().all(|program| program.prog_type == ProgType::StructOps));
}

#[test]
fn tables_are_written() {
    let Some(object) = object(TABLE) else { return };
    let again = Object::from_elf(&object.to_elf().unwrap()).unwrap();
    assert_eq!((&again.maps, &again.programs), (&object.maps, &object.programs));
    // Other tables than the types know: a part of them, one that is new.
    let mut other = object.clone();
    other.maps.retain(|map| map.name != "empty");
    other.maps[0].name = "renamed".to_owned();
    other.maps.push(MapSpec { name: "zeros".to_owned(), contents: Vec::new(), ..other.maps[0].clone() });
    let again = Object::from_elf(&other.to_elf().unwrap()).unwrap();
    let plain = |object: &Object| {
        let of_map = |map: &MapSpec| (map.name.clone(), map.flags, map.value_size, map.references.clone());
        let mut maps: Vec<_> = object.maps.iter().map(of_map).collect();
        maps.sort_by(|a, b| a.0.cmp(&b.0));
        maps
    };
    assert_eq!(plain(&again), plain(&other));
    let zeros = again.maps.iter().find(|map| map.name == "zeros").unwrap();
    assert_eq!(zeros.contents, [(vec![0; 4], vec![0; 32])]);
    other.maps[0].flags = MapFlags::READ_ONLY_FOR_PROGRAMS;
    let error = other.to_elf().unwrap_err().to_string();
    assert!(error.contains("`renamed`: a file can give a table of operations no flag but that of links"), "{error}");
    // Linked with another file, programs and tables still belong together.
    let (one, two) = (object.to_elf().unwrap(), compiled("SEC(\"tc\") int alone(void *ctx) { return 9; }").unwrap());
    let linked = Object::from_elf_files(&[("two", &two), ("one", &one)]).unwrap();
    for (map, name, offset) in [("full", "two", 8), ("full", "one", 16), ("half", "one", 16)] {
        let map = linked.maps.iter().find(|spec| spec.name == map).unwrap();
        let target = map.references.iter().find(|(entry, _)| *entry == offset).unwrap().1;
        let Reference::Program(target) = target else { panic!("{target:?}") };
        assert_eq!(linked.programs[target.index()].name, name);
    }
}

#[test]
fn tables_get_the_kernels_layout() {
    let (Some(object), Some(kernel)) = (object(TABLE), types(KERNEL)) else { return };
    let tables = fitted(&object, &kernel).unwrap();
    let value_type = kernel.find("bpf_struct_ops_ops").unwrap().0;
    let full = tables.iter().find(|table| object.maps[table.map.index()].name == "full").unwrap();
    assert_eq!((full.ty, full.value_type), (kernel.find("ops").unwrap().0, value_type));
    let mut value = vec![0u8; 128];
    value[64 + 16] = 5;
    value[64 + 40..64 + 44].copy_from_slice(b"full");
    assert_eq!(full.value, value);
    let mut programs: Vec<_> = full.programs.iter().map(|entry| (entry.member, entry.offset)).collect();
    programs.sort_unstable();
    assert_eq!(programs, [(1, 64 + 8), (4, 64 + 32)]);
    // A module may have it as well, and the object itself stays as it was.
    let base = types("int x;").unwrap();
    let module = Module { name: "m".to_owned(), btf: kernel };
    let data = KernelData { btf: Some(base), modules: vec![module], ..KernelData::default() };
    let mut again = object.clone();
    let tables = again.resolve(&data).unwrap().tables;
    assert!(tables.iter().all(|table| table.module.as_deref() == Some("m")));
    assert_eq!(again.maps, object.maps);
}

#[test]
fn tables_that_do_not_fit() {
    let Some(kernel) = types(KERNEL) else { return };
    let cases = [
        (".unused = 1", KERNEL.to_owned(), "member `unused` does not exist in the kernel's structure; leave it 0"),
        (".first = (void *)one", KERNEL.replace("(*first)", "(*older)"), "member `first` does not exist"),
        (".flags = 1", KERNEL.replace("unsigned flags", "unsigned long flags"), "has 4 bytes here and 8 in the kernel"),
        (".flags = 1", KERNEL.replace("unsigned flags", "unsigned flags : 3"), "member `flags` is a bit field"),
        (
            ".flags = 1",
            KERNEL.replace("unsigned flags", "void *flags"),
            "is of kind `INT` here and `PTR` in the kernel",
        ),
        (
            ".first = (void *)one",
            KERNEL.replace("int (*first)(void *thing)", "int *first"),
            "is no function in the kernel",
        ),
        (
            ".first = (void *)one, .second = (void *)one",
            KERNEL.to_owned(),
            "program `one` stands in two different members",
        ),
        (
            "",
            KERNEL.replace("bpf_struct_ops_ops", "other"),
            "have a table of operations `ops` that programs can implement",
        ),
        ("", KERNEL.replace("struct ops data", "struct { int x; } data"), "does not hold a `struct ops`"),
    ];
    for (members, source, expected) in cases {
        let object = object(&format!("SEC(\".struct_ops\") struct ops table = {{ {members} }};")).unwrap();
        let message = fitted(&object, &types(&source).unwrap()).unwrap_err();
        assert!(message.starts_with("table of operations `table`: ") && message.contains(expected), "{message}");
    }
    // What only objects that no file gave can say.
    let mut object = object("SEC(\".struct_ops\") struct ops table = { .first = (void *)one };").unwrap();
    let good = object.clone();
    object.maps[0].references[0].0 = 4;
    assert!(fitted(&object, &kernel).unwrap_err().contains("at an offset where no member is"));
    object.maps[0].references[0].0 = 28;
    let message = object.validate().unwrap_err().to_string();
    assert_eq!(message, "map `table`: entry 28 is beyond the end of the table");
    let mut untyped = good;
    untyped.btf.clear();
    assert!(fitted(&untyped, &kernel).unwrap_err().contains("no types that describe it; compile with `-g`"));
}

#[test]
fn optional_tables_stay_optional() {
    let table = "struct ops table = { .first = (void *)one };";
    for (section, flags, optional) in [
        (".struct_ops", MapFlags(0), false),
        ("?.struct_ops", MapFlags(0), true),
        ("?.struct_ops.link", MapFlags::LINK, true),
    ] {
        let Some(read) = object(&format!("SEC(\"{section}\") {table}")) else { return };
        assert_eq!((read.maps[0].flags, read.maps[0].optional), (flags, optional), "{section}");
        let again = Object::from_elf(&read.to_elf().unwrap()).unwrap();
        assert_eq!((again.maps[0].flags, again.maps[0].optional), (flags, optional), "{section}");
        assert_eq!(again.maps[0].references, read.maps[0].references);
    }
}

#[test]
fn tables_that_cannot_be_read() {
    let cases = [
        (
            "SEC(\"?.struct_ops.x\") struct ops t = { .flags = 1 };",
            "section `?.struct_ops.x`: tables of operations belong into",
        ),
        (
            "SEC(\".struct_ops.x\") struct ops t = { .flags = 1 };",
            "section `.struct_ops.x`: tables of operations belong",
        ),
        ("SEC(\".struct_ops\") int t = 5;", "`t`: a table of operations is a structure with the name"),
        ("int v; SEC(\".struct_ops\") struct ops t = { .first = (void *)&v };", "refer to programs only"),
        (
            "static int f(void *x) { return 0; } SEC(\".struct_ops\") struct ops t = { .first = (void *)f };",
            "is no program; give the function a section",
        ),
    ];
    for (table, expected) in cases {
        let Some(file) = compiled(&format!("{PROGRAMS}{table}")) else { return };
        let message = Object::from_elf(&file).unwrap_err().to_string();
        assert!(message.contains(expected), "{table}: {message}");
    }
}

//! Programs with pointers into arenas in the kernel: what they build there is followed from user space, pointer by
//! pointer, and what user space writes is seen by them.

#[path = "common/skip.rs"]
mod skip;

use std::fs;
use std::path::Path;

use skep_btf::{Btf, Source};
use skep_cc::{Disk, Wishes, build};
use skep_isa::{MapType, Release};
use skep_kernel::{
    Capability, KernelBtf, KernelError, LoadOptions, Loaded, MapMemory, TestInput, has_capability, load_with,
    running_release,
};
use skep_lang_c::options::Options;
use skep_lang_c::pp::MainFile;
use skep_lang_c::provider::BtfTypes;
use skep_object::{MapSpec, Object};
use skip::skip;

fn compile(name: &str, kernel: &Btf) -> Object {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arena").join(name);
    compile_text(&fs::read(path).expect("a source"), kernel).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Through a file, as `skep build` does.
fn compile_text(text: &[u8], kernel: &Btf) -> Result<Object, String> {
    let main = MainFile { name: "arena.bpf.c", text };
    let mut types = BtfTypes::new(kernel);
    let built =
        build(&main, &Options::default(), &Disk, &mut types, Wishes::default()).map_err(|failed| failed.to_string())?;
    let bytes = built.object.to_elf().map_err(|error| error.to_string())?;
    let object = Object::from_elf(&bytes).map_err(|error| error.to_string())?;
    let arena = |object: &Object| object.maps.iter().find(|map| map.map_type == MapType::Arena).cloned();
    assert_eq!(arena(&object).map(|map| map.purpose), arena(&built.object).map(|map| map.purpose));
    Ok(object)
}

/// The types of the kernel, where it has arenas and we may use them.
fn kernel() -> Option<Btf> {
    if !has_capability(Capability::SysAdmin) {
        skip("loading programs needs CAP_SYS_ADMIN");
        return None;
    }
    if running_release().is_none_or(|release| release < Release::new(6, 10)) {
        skip("arenas with atomic operations are there from Linux 6.10 on");
        return None;
    }
    let Ok(kernel) = KernelBtf::vmlinux() else {
        skip("the kernel shows no types");
        return None;
    };
    Some(Btf::parse(Source::new(kernel)).expect("the types of the kernel"))
}

/// Programs with their variables and their arena.
struct Running {
    object: Object,
    loaded: Loaded,
}

impl Running {
    fn new(name: &str, kernel: &Btf) -> Self {
        let object = compile(name, kernel);
        let loaded = match load_with(&object, &LoadOptions::default()) {
            Ok(loaded) => loaded,
            Err(error) => panic!("{name}: {error}"),
        };
        Self { object, loaded }
    }

    fn run(&self, program: &str, context: &[u8]) -> u32 {
        let program = self.loaded.program(program).unwrap_or_else(|| panic!("{program}"));
        program.test(&TestInput { context, ..TestInput::default() }).expect("a run").run.result
    }

    /// The variable: the memory that it is in, and where.
    fn variable(&self, name: &str) -> (MapMemory, usize) {
        let place = |map: &MapSpec| map.variables().iter().find(|variable| variable.name == name).map(|of| of.offset);
        let (at, offset) =
            self.object.maps.iter().enumerate().find_map(|(at, map)| Some((at, place(map)?))).expect(name);
        (self.loaded.maps[at].memory().expect("its memory"), offset as usize)
    }

    fn number(&self, name: &str) -> i64 {
        let (memory, offset) = self.variable(name);
        memory.load(offset).expect("a number").cast_signed()
    }
}

/// The double word at an address that a pointer in the arena holds.
fn at(arena: &MapMemory, pointer: u64, offset: u64) -> u64 {
    let place = pointer.checked_sub(arena.address()).expect("a pointer into the arena") + offset;
    arena.load(place as usize).expect("a word of the arena")
}

#[test]
fn a_list_is_followed_from_user_space() {
    let Some(kernel) = kernel() else { return };
    let running = Running::new("list.bpf.c", &kernel);
    let (arena, head) = running.variable("head");
    assert_eq!(arena.address(), 1 << 44, "where `map_extra` puts it");
    // What the initialisers say is there before any program runs.
    let (_, origin) = running.variable("origin");
    let mut bytes = [0; 8];
    arena.read(origin, &mut bytes).expect("a structure");
    assert_eq!(bytes, [0xe8, 0x87, b'f', b'i', b'r', b's', b't', 0]);

    assert_eq!(running.run("add", &[]), 0);
    let follow = |step: &dyn Fn(u64)| {
        let (mut node, mut values) = (arena.load(head).expect("the head"), Vec::new());
        while node != 0 {
            values.push(at(&arena, node, 16).cast_signed());
            step(node);
            node = at(&arena, node, 0);
        }
        values
    };
    let expected: Vec<i64> = (0..100).rev().map(|value| value * 3).collect();
    let values = follow(&|node| {
        let (place, back) = (at(&arena, node, 24), at(&arena, node, 8));
        let index = at(&arena, node, 16) / 3;
        assert_eq!(place & 0x3ff, (1000 + index) & 0x3ff, "the bit-field of node {index}");
        assert_eq!(place >> 10 & 0x3f, 33);
        assert_eq!(at(&arena, back, 0), node, "the pointer back of node {index}");
    });
    assert_eq!(values, expected);

    assert_eq!(running.run("total", &[]), 0);
    let sum: i64 = expected.iter().sum();
    assert_eq!((running.number("sum"), running.number("seen")), (2 * sum, 100));
    let wide: i64 = (0..100).map(|index| ((1000 + index) & 0x3ff) + 330_000 + i64::from(b't')).sum();
    assert_eq!(running.number("wide"), wide);
    let (_, log) = running.variable("log");
    let third = arena.u32_at(log + 8).expect("a word").load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(i64::from(third), 3 + 2 * sum);

    // What user space writes counts.
    let first = arena.load(head).expect("the head") - arena.address();
    arena.u64_at(first as usize + 16).expect("a value").store(1_000_000, std::sync::atomic::Ordering::Release);
    assert_eq!(running.run("total", &[]), 0);
    assert_eq!(running.number("sum"), 2 * (sum - 297 + 1_000_000));

    assert_eq!(running.run("addresses", &[]), 0);
    assert_eq!((running.number("same"), running.number("shifted")), (6, 1_000_000));

    assert_eq!(running.run("cut_every_second", &[]), 0);
    assert_eq!(follow(&|_| {}), expected.iter().copied().skip(1).step_by(2).collect::<Vec<_>>());
}

fn request(key: u32, value: i64) -> Vec<u8> {
    [&key.to_le_bytes()[..], &[0; 4], &value.to_le_bytes()].concat()
}

#[test]
fn a_hash_table_is_read_from_user_space() {
    let Some(kernel) = kernel() else { return };
    let running = Running::new("table.bpf.c", &kernel);
    assert_eq!(running.run("prepare", &[]), 0);
    let (arena, statistics) = running.variable("statistics");
    let figures = || {
        let words = [0, 4, 8].map(|at| arena.u32_at(statistics + at).expect("a word"));
        let [entries, free, lost] = words.map(|word| word.load(std::sync::atomic::Ordering::Relaxed));
        (entries, free, lost, arena.load(statistics + 16).expect("a word"))
    };
    // Entries have 48 bytes: 341 in four pages.
    assert_eq!(figures(), (0, 341, 0, 0));
    for key in 0..400u32 {
        let result = running.run("update", &request(key * 7, i64::from(key) << 32));
        assert_eq!(result, u32::from(key >= 341), "{key}");
        assert_eq!(running.number("found"), 0, "{key}");
    }
    assert_eq!(figures(), (341, 0, 59, 341));
    running.run("update", &request(70, 5));
    assert_eq!(running.number("found"), 1, "the second update of one entry");
    for (key, found, value) in
        [(70, 1, 5), (7, 1, 1 << 32), (8, 0, 1 << 32), (341 * 7, 0, 1 << 32), (2380, 1, 340 << 32)]
    {
        running.run("look_up", &request(key, 0));
        assert_eq!((running.number("found"), running.number("value")), (found, value), "{key}");
    }
    for (key, found) in [(7, 1), (7, 0), (1, 0), (0, 1), (340 * 7, 1)] {
        running.run("remove", &request(key, 0));
        assert_eq!(running.number("found"), found, "{key}");
    }
    assert_eq!(figures(), (338, 3, 59, 342));

    // The same as user space sees it.
    let (_, buckets) = running.variable("buckets");
    let mut keys = Vec::new();
    for bucket in 0..64u64 {
        let mut entry = arena.load(buckets + 8 * bucket as usize).expect("a bucket");
        while entry != 0 {
            let key = at(&arena, entry, 8) as u32;
            assert_eq!(u64::from((key.wrapping_mul(2_654_435_761) >> 16) % 64), bucket, "{key}");
            assert_eq!(at(&arena, entry, 8) >> 32, if key == 70 { 2 } else { 1 });
            assert_eq!(at(&arena, entry, 24), u64::from_le_bytes(*b"an entry"));
            keys.push(key);
            entry = at(&arena, entry, 0);
        }
    }
    keys.sort_unstable();
    let expected: Vec<u32> = (1..340).map(|key| key * 7).filter(|key| *key != 7).collect();
    assert_eq!(keys, expected);
}

#[test]
fn mistakes_are_named() {
    let Some(kernel) = kernel() else { return };
    let arena = "struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 1); } \
                 memory SEC(\".maps\");";
    let program = |more: &str, body: &str| {
        format!(
            "#include <vmlinux.h>\n#include <bpf/bpf_helpers.h>\n#define __arena __attribute__((address_space(1)))\n\
             {more}\nchar _license[] SEC(\"license\") = \"GPL\";\nSEC(\"syscall\") int run(void *ctx) {{ {body} return 0; }}"
        )
    };
    let cases = [
        ("", "int __arena x = 1; return x;", "`x` cannot be in an arena: local variables are on the stack"),
        ("int *p; int __arena x;", "p = &x;", "changes the address space"),
        ("int __arena *p; int x;", "p = &x;", "a cast translates the address: `(__arena int *)`"),
        ("int __arena x;", "x = 1;", "variable `x` is in an arena, but there is none"),
        ("int __attribute__((address_space(2))) x;", "x = 1;", "there is no address space 2"),
    ];
    for (more, body, message) in cases {
        let error = compile_text(program(more, body).as_bytes(), &kernel).expect_err(message);
        assert!(error.contains(message), "{more} {body}: {error}");
    }
    // Variables that do not fit are found when the arena is filled.
    let text = program(&format!("{arena}\nlong __arena big[1000] = {{ 1 }};"), "big[7] = 2;");
    let object = compile_text(text.as_bytes(), &kernel).expect("an object");
    let Err(error) = load_with(&object, &LoadOptions::default()) else { panic!("it does not fit") };
    assert!(error.to_string().contains("have 8000 bytes, the arena 4096; raise max_entries"), "{error}");
    // Two mappings at one address.
    let text = program(&arena.replace("} memory", "__ulong(map_extra, 0x2ull << 44); } memory"), "");
    let object = compile_text(text.as_bytes(), &kernel).expect("an object");
    let first = load_with(&object, &LoadOptions::default()).expect("room at the address");
    let Err(error) = load_with(&object, &LoadOptions::default()) else { panic!("the address is taken") };
    assert!(error.to_string().contains("this process has other memory at 0x200000000000"), "{error}");
    drop(first);
    // Pages that have to be allocated are no memory before.
    let text = program(&arena.replace("BPF_F_MMAPABLE", "BPF_F_MMAPABLE | BPF_F_SEGV_ON_FAULT"), "");
    let object = compile_text(text.as_bytes(), &kernel).expect("an object");
    let loaded = load_with(&object, &LoadOptions::default()).expect("an arena");
    assert!(matches!(loaded.maps[0].memory(), Err(KernelError::Invalid { .. })));
}

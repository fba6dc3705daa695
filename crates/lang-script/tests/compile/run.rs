//! Scripts that run: `begin` programs in the running kernel, their maps and records read back.

use std::ops::ControlFlow;

use super::world;
use skep_kernel::{Loaded, RingBuffer, TestInput};
use skep_lang_script::compile::Compiled;
use skep_lang_script::plan::{Action, Buckets, HostInfo, Shape, system_maps};

/// A script whose `begin` programs have run.
struct Ran {
    compiled: Compiled,
    object: skep_object::Object,
    loaded: Loaded,
    records: Vec<Vec<u8>>,
}

fn run(text: &str) -> Option<Ran> {
    let compiled = world::build("test", text).unwrap_or_else(|problems| panic!("{problems}"));
    skep_ir::verify(&compiled.module).unwrap_or_else(|violations| panic!("{violations:?}"));
    let object = world::generate(&compiled.module, true).unwrap();
    let loaded = match skep_kernel::load(&object) {
        Ok(loaded) => loaded,
        Err(error) if world::not_permitted(&error) => {
            world::skip(&error.to_string());
            return None;
        }
        Err(error) => panic!("{error}\n{text}"),
    };
    let mut ran = Ran { compiled, object, loaded, records: Vec::new() };
    let host = ran.object.maps.iter().position(|map| map.name == system_maps::HOST);
    if let Some(host) = host {
        let cpus = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
        let last: u64 = cpus.trim().rsplit(['-', ',']).next().unwrap().parse().unwrap();
        let mut value = [0u8; HostInfo::SIZE as usize];
        value[16..24].copy_from_slice(&(last + 1).to_le_bytes());
        ran.loaded.maps[host].set(&[0; 4], &value, skep_kernel::Update::Any).unwrap();
    }
    let events = ran.map(system_maps::EVENTS);
    let mut ring = RingBuffer::open(&ran.loaded.maps[events]).unwrap();
    for probe in &ran.compiled.plan.probes {
        let input = TestInput { context: &[0; 64], ..TestInput::default() };
        ran.loaded.program(&probe.program).unwrap().test(&input).unwrap();
    }
    let mut records = Vec::new();
    ring.consume(|record| {
        records.push(record.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    ran.records = records;
    Some(ran)
}

impl Ran {
    fn map(&self, name: &str) -> usize {
        self.object.maps.iter().position(|map| map.name == name).unwrap()
    }

    /// The action of a record.
    fn action(&self, record: usize) -> &Action {
        let record = &self.records[record];
        &self.compiled.plan.actions[usize::try_from(word(record)).unwrap()]
    }

    /// The numbers and texts that a `printf` has sent.
    fn printed(&self, record: usize) -> Vec<String> {
        let Action::Print { args, .. } = self.action(record) else { panic!("{:?}", self.action(record)) };
        let bytes = &self.records[record];
        args.iter().map(|field| show(&field.shape, &bytes[field.offset as usize..])).collect()
    }

    /// The value of an entry with a key of one number of 8 bytes, summed over processors; `None` if there is none.
    fn entry(&self, name: &str, key: &[u8]) -> Option<Vec<u8>> {
        let map = self.compiled.plan.maps.iter().find(|map| &*map.name == name).unwrap();
        self.loaded.maps[self.map(&map.object_map)].get(key).unwrap()
    }
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

fn show(shape: &Shape, bytes: &[u8]) -> String {
    match shape {
        Shape::Int { bytes: size, signed } => {
            let mut raw = [0; 8];
            let size = usize::from(*size);
            raw[..size].copy_from_slice(&bytes[..size]);
            if *signed && bytes[size - 1] & 0x80 != 0 {
                raw[size..].fill(0xff);
                return i64::from_le_bytes(raw).to_string();
            }
            if *signed { i64::from_le_bytes(raw).to_string() } else { u64::from_le_bytes(raw).to_string() }
        }
        Shape::Bool => bytes[0].to_string(),
        Shape::Text(len) => {
            let bytes = &bytes[..*len as usize];
            let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        }
        Shape::Tuple(fields) => {
            let parts: Vec<String> =
                fields.iter().map(|field| show(&field.shape, &bytes[field.offset as usize..])).collect();
            format!("({})", parts.join(", "))
        }
        other => panic!("{other:?}"),
    }
}

/// What a script prints with one `printf` of all these values.
#[track_caller]
fn check(body: &str, values: &str, expected: &[&str]) {
    let count = expected.len();
    let format = vec!["%s"; count].join(" ");
    let text = format!("begin {{ {body} printf(\"{format}\\n\", {values}); }}");
    let Some(ran) = run(&text) else { return };
    let last = ran.records.len() - 1;
    assert_eq!(ran.printed(last), expected, "{text}");
}

#[test]
fn arithmetic() {
    check("$a = 7; $b = -3;", "$a + $b, $a - 10, $a * $b, $a / $b, $a % $b", &["4", "-3", "-21", "-2", "1"]);
    check(
        "$a = (uint8)200; $b = (int8)$a;",
        "$b, (uint16)$b, $a + 100, (uint8)($a + 100)",
        &["-56", "65480", "300", "44"],
    );
    check(
        "$a = 1; $a <<= 40; $a |= 5;",
        "$a >> 38, $a & 7, $a ^ 1, ~$a",
        &["4", "5", "1099511627780", "-1099511627782"],
    );
    check(
        "$a = 5; $b = $a++; $c = --$a;",
        "$a, $b, $c, $a > 3 ? 10 : 20, $a < 3, !$a",
        &["5", "5", "5", "10", "0", "0"],
    );
    check("$a = (uint64)0 - 1;", "(uint64)$a > 5, (int64)$a < 5, $a >> 60", &["1", "1", "-1"]);
}

#[test]
fn division_by_zero_warns_and_divides_by_one() {
    let Some(ran) = run("begin { $z = 0; $z = pid - pid; printf(\"%d %d\", 7 / $z, 7 % $z); }") else { return };
    assert_eq!(ran.records.len(), 3);
    assert!(matches!(ran.action(0), Action::Warning { at: (1, _), .. }));
    assert_eq!(ran.printed(2), ["7", "0"]);
}

#[test]
fn texts() {
    check(
        "$a = \"abc\"; $b = \"abcdef\";",
        "$a == \"abc\", $a != $b, strncmp($a, $b, 3), strncmp($a, $b, 4)",
        &["1", "1", "0", "1"],
    );
    check(
        "$b = \"a needle in a haystack\"; $a = \"x\"; $a = $b;",
        "strcontains($a, \"needle in\"), strcontains($a, \"hay\"), strcontains($a, \"nail\"), strcontains($a, \"k\"), strlen($a)",
        &["1", "1", "0", "1", "22"],
    );
    check(
        "$c = comm; @m[comm] = 5; @t = \"longer than that\"; @t = \"y\"; $t = @t;",
        "@m[$c], @t, $t[0], $c == comm",
        &["5", "y", "121", "1"],
    );
    check(
        "$a = \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345\"; $b = $a;",
        "$a == $b, strlen($b)",
        &["1", "136"],
    );
}

#[test]
fn loops() {
    check(
        "$s = 0; $i = 0; while ($i < 10) { $i++; if ($i == 3) { continue; } if ($i == 8) { break; } $s += $i; }",
        "$i, $s",
        &["8", "25"],
    );
    check("$s = 0; for $i : 2..6 { $s = $s * 10 + $i; }", "$s", &["2345"]);
    check("$s = 0; unroll(5) { $s++; if ($s == 3) { break; } }", "$s", &["3"]);
    check(
        "@m[1] = 10; @m[2] = 20; @m[3] = 30; $s = 0; $k = 0; for ($kv : @m) { if ($kv.0 == 2) { continue; } $s += $kv.1; $k++; }",
        "$s, $k, len(@m)",
        &["40", "2", "3"],
    );
    check(
        "@c[1] = sum(5); @c[1] = sum(6); @c[2] = sum(7); $s = 0; for ($kv : @c) { $s += $kv.1 * $kv.0; }",
        "$s, @c[1]",
        &["25", "11"],
    );
}

#[test]
fn maps_and_tuples() {
    check(
        "@x++; @x++; @x += 5; --@x; $old = @x++; @y[1, \"a\"] = (1, \"b\", 3);",
        "@x, $old, @y[1, \"a\"].1, @y[1, \"a\"].2",
        &["7", "6", "b", "3"],
    );
    check(
        "@a[1] = 5; $d = delete(@a, 1); $e = delete(@a, 1); @a[2] = 1;",
        "$d, $e, has_key(@a, 2), has_key(@a, 1), @a[1]",
        &["1", "0", "1", "0", "0"],
    );
    check("$t = (1, (2, \"in\")); $u = $t.1;", "$t.0, $u.0, $t.1.1, $t", &["1", "2", "in", "(1, (2, in))"]);
    check(
        "@min = min(5); @min = min(-3); @max = max(4); @max = max(9); @avg = avg(4); @avg = avg(8);",
        "(int64)@min, @max, @avg",
        &["-3", "9", "6"],
    );
}

#[test]
fn histograms_have_the_buckets_of_the_plan() {
    let values = [-5, 0, 1, 2, 3, 4, 7, 8, 100, 1023, 1024, 1 << 40, i64::MAX];
    for bits in [0, 2, 5] {
        let body: String = values.iter().map(|value| format!("@ = hist((int64){value}, {bits}); ")).collect();
        let Some(ran) = run(&format!("begin {{ {body} }}")) else { return };
        let bytes = ran.entry("@", &[0; 4]).unwrap();
        let count = Buckets::count(bits) as usize;
        let mut found = vec![0u64; count];
        for cpu in bytes.chunks(count * 8) {
            for (bucket, counter) in cpu.chunks(8).enumerate() {
                found[bucket] += word(counter);
            }
        }
        let mut expected = vec![0u64; count];
        for value in values {
            expected[Buckets::of(value, bits) as usize] += 1;
        }
        assert_eq!(found, expected, "{bits}");
    }
    let Some(ran) = run(
        "begin { @ = lhist(-1, 0, 10, 3); @ = lhist(0, 0, 10, 3); @ = lhist(9, 0, 10, 3); @ = lhist(10, 0, 10, 3); }",
    ) else {
        return;
    };
    let bytes = ran.entry("@", &[0; 4]).unwrap();
    let cpus = bytes.len() / 48;
    let found: Vec<u64> =
        (0..6).map(|bucket| (0..cpus).map(|cpu| word(&bytes[cpu * 48 + bucket * 8..])).sum()).collect();
    assert_eq!(found, [1, 1, 0, 0, 1, 1]);
}

#[test]
fn kernel_objects_read_directly_are_what_helpers_read() {
    if world::kernel_types().is_none() {
        return world::skip("the kernel has no types");
    }
    check(
        "$t = (struct task_struct *)(uint64)curtask;",
        "curtask->pid == $t->pid, curtask->tgid == $t->tgid, curtask->static_prio == $t->static_prio, \
         curtask->group_leader->pid == $t->group_leader->pid, ppid == $t->real_parent->tgid, \
         curtask->mm->owner->pid == $t->mm->owner->pid, curtask->pid == tid, curtask->pid != 0",
        &["1"; 8],
    );
}

#[test]
fn exit_ends_the_program() {
    let Some(ran) = run("begin { exit(3); printf(\"never\"); }") else { return };
    assert_eq!(ran.records.len(), 1);
    let Action::Exit { status } = ran.action(0) else { panic!() };
    assert_eq!(ran.records[0][*status as usize], 3);
}

#[test]
fn functions_and_returns() {
    let text = "fn f($x : int64) : int64 { if ($x > 5) { return 1; } return $x * 2; } begin { if (f(2) == 4) { printf(\"%d\", f(9)); return; } printf(\"%d\", 0); }";
    let Some(ran) = run(text) else { return };
    assert_eq!(ran.records.len(), 1);
    assert_eq!(ran.printed(0), ["1"]);
    let Some(ran) = run("begin { @m[1] = 1; for ($kv : @m) { return; } printf(\"%d\", 0); }") else { return };
    assert_eq!(ran.records.len(), 0);
}

//! Our maps against those of the running kernel: the same random operations, results, error numbers, contents and
//! evictions.
//!
//! A kernel that is out of reach is a skip that is printed, and a failure with `SKEP_REQUIRE_KERNEL=1`.

use std::os::fd::{AsFd, AsRawFd};

use skep_isa::ebpf::{AluOp, Callee, Imm64, Insn, JmpOp, Op, Reg, Size, Src, Width};
use skep_isa::{MapType, ProgType};
use skep_kernel::{
    KernelError, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, possible_cpus, test_verdict,
};
use skep_random::random_test;
use skep_vm::ebpf::maps::fuzz::{Outcome, Plan, Step, apply, lru_plan, plan};
use skep_vm::ebpf::maps::{Map, Shape, flag};
use skep_vm::fuzz::Bytes;

const MILLISECONDS: u64 = 2_000;

fn skip(reason: &str) {
    println!("SKIPPED: {reason}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {reason}");
}

fn definition(kind: MapType, shape: Shape) -> MapDefinition<'static> {
    MapDefinition {
        name: "skep_test",
        map_type: kind,
        key_size: shape.key_size,
        value_size: shape.value_size,
        max_entries: shape.max_entries,
        flags: shape.flags,
    }
}

fn create(kind: MapType, shape: Shape) -> Result<LoadedMap, i32> {
    LoadedMap::create_or_errno(&definition(kind, shape), None).unwrap_or_else(|error| panic!("{error}"))
}

/// Number of CPUs, if the kernel takes maps and programs from us.
fn kernel_in_reach() -> Option<u32> {
    let insns = skep_isa::ebpf::encode_program([Op::mov_imm(Reg::R0, 0), Op::Exit]);
    if let Err(error) = load(&insns) {
        skip(&error.to_string());
        return None;
    }
    let cpus = possible_cpus();
    if cpus.is_none() {
        skip("the number of processors is unknown");
    }
    cpus
}

fn load(insns: &[Insn]) -> Result<LoadedProgram, KernelError> {
    let definition = ProgramDefinition { name: "skep_test", prog_type: ProgType::SocketFilter, insns, license: "GPL" };
    LoadedProgram::load(&definition)
}

/// Keeps this thread on CPU 0, whose lists our user side uses.
fn pin() {
    let mut set = [0_u64; 16];
    set[0] = 1;
    // SAFETY: the kernel reads the bytes of the array and nothing else.
    let result = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&set), set.as_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// A program that looks up the first bytes of the packet (a 4-byte key) and returns whether they are there.
fn looking_up(map: &LoadedMap) -> LoadedProgram {
    let insns = skep_isa::ebpf::encode_program([
        Op::mov(Reg::R6, Reg::R1),
        Op::LdAbs { size: Size::W, k: 0 },
        Op::Store { size: Size::W, base: Reg::R10, off: -4, src: Src::Reg(Reg::R0) },
        Op::mov(Reg::R2, Reg::R10),
        Op::Alu { width: Width::W64, op: AluOp::Add, dst: Reg::R2, src: Src::Imm(-4) },
        Op::LoadImm { dst: Reg::R1, value: Imm64::MapFd(map.as_fd().as_raw_fd()) },
        Op::Call(Callee::Helper(1)),
        Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: Reg::R0, src: Src::Imm(0), off: 1 },
        Op::mov_imm(Reg::R0, 1),
        Op::Exit,
    ]);
    load(&insns).unwrap_or_else(|error| panic!("{error}"))
}

/// Does a step in the kernel. `None` where there is no program to look up.
fn apply_in_kernel(map: &LoadedMap, program: Option<&LoadedProgram>, step: &Step) -> Option<Outcome> {
    let mut value = vec![0; map.value_size()];
    let result = match step {
        Step::Lookup(key, asked) => {
            if map.map_type() == Some(MapType::BloomFilter) {
                value.clone_from(asked);
            }
            map.lookup_into(key, &mut value).map(|()| value)
        }
        Step::Use(key) => {
            // The load swaps the bytes of the key.
            let swapped: Vec<u8> = key.iter().rev().copied().collect();
            Ok(vec![test_verdict(program?, &swapped).unwrap_or_else(|error| panic!("{error}")) as u8])
        }
        Step::Update(key, given, flags) => {
            map.update_with_flags(key, if given.is_empty() { &value } else { given }, *flags).map(|()| Vec::new())
        }
        Step::Delete(key) => map.delete(key).map(|()| Vec::new()),
        Step::Take(key) => map.take_into(key, &mut value).map(|()| value),
        Step::Next(key) => {
            let mut next = vec![0; map.key_size()];
            map.next_key_into(key.as_deref(), &mut next).map(|found| if found { next } else { Vec::new() })
        }
        Step::Freeze => map.freeze_or_errno().map(|()| Vec::new()),
    };
    Some(result.map_err(|errno| -i64::from(errno)))
}

/// Hash maps have an order of their own; whether there is a next key is the same.
fn comparable(kind: MapType, step: &Step, outcome: Outcome) -> Outcome {
    let ordered = matches!(kind, MapType::Array | MapType::PercpuArray | MapType::LpmTrie);
    match (step, outcome) {
        // Whether a key is the last one depends on the order.
        (Step::Next(Some(_)), Ok(_)) if !ordered => Ok(Vec::new()),
        (Step::Next(None), Ok(key)) if !ordered => Ok(vec![u8::from(key.is_empty())]),
        (_, outcome) => outcome,
    }
}

fn kernel_entries(map: &LoadedMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let keys = map.keys().unwrap_or_else(|error| panic!("{error}"));
    let mut entries: Vec<_> =
        keys.into_iter().filter_map(|key| map.get(&key).ok().flatten().map(|value| (key, value))).collect();
    entries.sort();
    entries
}

fn our_entries(map: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries: Vec<_> = map.user().entries().collect();
    entries.sort();
    entries
}

fn run(Plan { kind, shape, steps }: &Plan, cpus: u32) -> usize {
    let (kind, shape) = (*kind, *shape);
    let ours = Map::new_for_cpus(kind, shape, cpus).unwrap_or_else(|error| panic!("{kind} {shape:?}: {error}"));
    let kernel = create(kind, shape).unwrap_or_else(|errno| panic!("{kind} {shape:?}: error {errno}"));
    assert_eq!(ours.shape().max_entries, kernel.max_entries(), "{kind} {shape:?}");
    let readable = shape.flags & (flag::RDONLY | flag::WRONLY) == 0;
    let program = (shape.key_size == 4 && readable).then(|| looking_up(&kernel));
    for (at, step) in steps.iter().enumerate() {
        let Some(expected) = apply_in_kernel(&kernel, program.as_ref(), step) else { continue };
        let expected = comparable(kind, step, expected);
        let outcome = comparable(kind, step, apply(&ours, step));
        assert_eq!(outcome, expected, "{kind} {shape:?} step {at} of {steps:?}");
    }
    let listed = !matches!(kind, MapType::Queue | MapType::Stack | MapType::BloomFilter);
    if listed && shape.flags & flag::WRONLY == 0 {
        assert_eq!(our_entries(&ours), kernel_entries(&kernel), "{kind} {shape:?} after {steps:?}");
    }
    steps.len()
}

#[test]
fn operations_errors_and_contents() {
    let Some(cpus) = kernel_in_reach() else { return };
    pin();
    let mut operations = 0;
    random_test(|u| {
        operations += run(&plan(&mut Bytes::new(u.bytes(u.len())?), cpus), cpus);
        Ok(())
    })
    .budget_ms(MILLISECONDS)
    .size_min(256)
    .size_max(1 << 11);
    println!("{operations} operations");
    assert!(operations > 0);
}

/// Evictions: LRU maps end with the same keys after long sequences with look-ups by programs.
#[test]
fn evictions() {
    let Some(cpus) = kernel_in_reach() else { return };
    pin();
    let (mut plans, mut operations) = (0, 0);
    random_test(|u| {
        operations += run(&lru_plan(&mut Bytes::new(u.bytes(u.len())?)), cpus);
        plans += 1;
        Ok(())
    })
    .budget_ms(MILLISECONDS)
    .size_min(1 << 11)
    .size_max(1 << 14);
    println!("{plans} plans, {operations} operations");
    assert!(operations > 0);
}

/// Which types, sizes and flags can be made at all.
#[test]
fn creation() {
    let Some(cpus) = kernel_in_reach() else { return };
    const KINDS: [MapType; 16] = [
        MapType::Array,
        MapType::PercpuArray,
        MapType::Hash,
        MapType::PercpuHash,
        MapType::LruHash,
        MapType::LruPercpuHash,
        MapType::LpmTrie,
        MapType::Queue,
        MapType::Stack,
        MapType::BloomFilter,
        MapType::Ringbuf,
        MapType::ProgArray,
        MapType::PerfEventArray,
        MapType::Devmap,
        MapType::DevmapHash,
        MapType::Cpumap,
    ];
    let mut maps = 0;
    random_test(|u| {
        let mut bytes = Bytes::new(u.bytes(u.len())?);
        let shape = Shape {
            key_size: bytes.pick(&[0, 1, 4, 4, 4, 5, 8, 300]),
            value_size: bytes.pick(&[0, 1, 4, 4, 8, 8, 40_000]),
            max_entries: bytes.pick(&[0, 1, 3, 4096, 8192, 5000]),
            flags: if bytes.one_in(2) { 0 } else { 1 << bytes.below(13) | 1 << bytes.below(13) },
        };
        // The user side of a memory node or a token takes more arguments than a shape has.
        let shape = Shape { flags: shape.flags & !flag::NUMA_NODE, ..shape };
        for kind in KINDS {
            // How many CPUs a kernel can have at most was decided when it was built.
            let unknown = kind == MapType::Cpumap && shape.max_entries > cpus;
            if unknown || u64::from(shape.value_size) * u64::from(shape.max_entries) > 1 << 22 {
                continue;
            }
            let expected = create(kind, shape).map(|map| map.max_entries()).map_err(|errno| -i64::from(errno));
            let ours = Map::new_for_cpus(kind, shape, cpus).map(|map| map.shape().max_entries).map_err(|e| e.errno());
            assert_eq!(ours, expected, "{kind} {shape:?}");
            maps += 1;
        }
        Ok(())
    })
    .budget_ms(MILLISECONDS)
    .size_min(16)
    .size_max(64);
    println!("{maps} maps");
    assert!(maps > 0);
}

/// Batches stop at the same entry with the same error.
#[test]
fn update_batches() {
    let Some(cpus) = kernel_in_reach() else { return };
    let shape = Shape { key_size: 4, value_size: 8, max_entries: 5, flags: 0 };
    let entries: Vec<(Vec<u8>, Vec<u8>)> =
        [3_u32, 1, 3, 9, 4, 7, 8, 2].iter().map(|key| (key.to_ne_bytes().to_vec(), vec![*key as u8; 8])).collect();
    let (keys, values): (Vec<_>, Vec<_>) = entries.iter().cloned().unzip();
    for kind in [MapType::Hash, MapType::Array, MapType::LruHash] {
        let kernel = create(kind, shape).unwrap_or_else(|errno| panic!("{errno}"));
        let ours = Map::new_for_cpus(kind, shape, cpus).unwrap_or_else(|error| panic!("{error}"));
        let expected = kernel.update_batch(entries.len() as u32, &keys.concat(), &values.concat());
        let outcome = ours.user().update_batch(&entries, 0);
        let expected = expected.map_err(|(errno, done)| (-i64::from(errno), done as usize));
        assert_eq!(outcome.map_err(|(error, done)| (error.errno(), done)), expected, "{kind}");
        if kind != MapType::LruHash {
            assert_eq!(our_entries(&ours), kernel_entries(&kernel), "{kind}");
        }
    }
}

/// Inner maps that fit and those that do not.
#[test]
fn maps_of_maps() {
    let Some(cpus) = kernel_in_reach() else { return };
    let small = Shape { key_size: 4, value_size: 8, max_entries: 4, flags: 0 };
    let candidates = [
        (MapType::Array, small),
        (MapType::Array, Shape { max_entries: 5, ..small }),
        (MapType::Array, Shape { max_entries: 5, flags: flag::INNER_MAP, ..small }),
        (MapType::Array, Shape { flags: flag::INNER_MAP, ..small }),
        (MapType::PercpuArray, small),
        (MapType::PercpuArray, Shape { max_entries: 5, ..small }),
        (MapType::Hash, small),
        (MapType::Hash, Shape { max_entries: 9, ..small }),
        (MapType::Hash, Shape { value_size: 4, ..small }),
        (MapType::Hash, Shape { flags: flag::NO_PREALLOC, ..small }),
        (MapType::LruHash, small),
        (MapType::Queue, Shape { key_size: 0, ..small }),
        (MapType::Ringbuf, Shape { key_size: 0, value_size: 0, max_entries: 4096, flags: 0 }),
        (MapType::Ringbuf, Shape { key_size: 0, value_size: 0, max_entries: 8192, flags: 0 }),
        (MapType::ProgArray, Shape { value_size: 4, ..small }),
    ];
    let made: Vec<_> = candidates
        .iter()
        .map(|&(kind, shape)| {
            let ours = Map::new_for_cpus(kind, shape, cpus).unwrap_or_else(|error| panic!("{error}"));
            (std::sync::Arc::new(ours), create(kind, shape).unwrap_or_else(|errno| panic!("{kind} {errno}")))
        })
        .collect();
    let outer_shape = Shape { key_size: 4, value_size: 4, max_entries: 2, flags: 0 };
    for outer_kind in [MapType::ArrayOfMaps, MapType::HashOfMaps] {
        for (template, (our_template, kernel_template)) in candidates.iter().zip(&made) {
            let made_outer = LoadedMap::create_or_errno(&definition(outer_kind, outer_shape), Some(kernel_template))
                .unwrap_or_else(|error| panic!("{error}"));
            let ours = Map::new_outer(outer_kind, outer_shape, our_template);
            assert_eq!(ours.is_ok(), made_outer.is_ok(), "{outer_kind} of {template:?}: {ours:?} {made_outer:?}");
            let (Ok(ours), Ok(kernel)) = (ours, made_outer) else { continue };
            for (candidate, (our_inner, kernel_inner)) in candidates.iter().zip(&made) {
                for (key, flags) in [(0_u32, 0), (1, 1), (1, 2), (2, 0)] {
                    let key = key.to_ne_bytes();
                    let descriptor = kernel_inner.as_fd().as_raw_fd().to_ne_bytes();
                    let expected =
                        kernel.update_with_flags(&key, &descriptor, flags).map_err(|errno| -i64::from(errno));
                    let outcome = ours.user().set_inner(&key, our_inner.clone(), flags).map_err(|error| error.errno());
                    assert_eq!(outcome, expected, "{outer_kind} of {template:?}: {candidate:?} {key:?} {flags}");
                }
            }
            for key in [0_u32, 1, 2, 3] {
                let key = key.to_ne_bytes();
                let mut value = [0; 4];
                let expected = kernel.lookup_into(&key, &mut value).map_err(|errno| -i64::from(errno));
                let found = ours.user().lookup(&key).map(drop).map_err(|error| error.errno());
                assert_eq!(found, expected, "{outer_kind} {key:?}");
                let expected = kernel.delete(&key).map_err(|errno| -i64::from(errno));
                assert_eq!(ours.user().delete(&key).map_err(|error| error.errno()), expected, "{outer_kind} {key:?}");
            }
        }
    }
}

/// Maps of devices and CPUs, with the loopback device and impossible values.
#[test]
fn redirection() {
    let Some(cpus) = kernel_in_reach() else { return };
    for (kind, size, numbers) in [
        (MapType::Devmap, 4, vec![1_u32, 0]),
        (MapType::Devmap, 8, vec![1, 0]),
        (MapType::DevmapHash, 4, vec![1, 0]),
        (MapType::Cpumap, 4, vec![0, 16_385]),
    ] {
        let shape = Shape { key_size: 4, value_size: size, max_entries: 3, flags: 0 };
        let kernel = create(kind, shape).unwrap_or_else(|errno| panic!("{kind} {errno}"));
        let ours = Map::new_for_cpus(kind, shape, cpus).unwrap_or_else(|error| panic!("{error}"));
        for number in numbers {
            let mut value = vec![0; size as usize];
            value[..4].copy_from_slice(&number.to_ne_bytes());
            for key in [0_u32, 1, 2, 3, 9] {
                let key = key.to_ne_bytes().to_vec();
                let look = Step::Lookup(key.clone(), Vec::new());
                for step in [
                    Step::Update(key.clone(), value.clone(), 2),
                    look.clone(),
                    Step::Update(key.clone(), value.clone(), 1),
                    Step::Update(key.clone(), value.clone(), 0),
                    Step::Update(key.clone(), value.clone(), 3),
                    look.clone(),
                    Step::Delete(key.clone()),
                    Step::Delete(key.clone()),
                    look,
                    Step::Update(key.clone(), value.clone(), 0),
                ] {
                    let expected = apply_in_kernel(&kernel, None, &step);
                    assert_eq!(Some(apply(&ours, &step)), expected, "{kind} {step:?}");
                }
            }
        }
    }
}

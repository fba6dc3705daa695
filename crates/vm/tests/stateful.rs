//! Random programs on memory and maps: interpreter = compiled code = the running kernel, in register 0 and in what
//! they leave in the maps.
//!
//! What the kernel's verifier has accepted is proved, so compiled code runs these programs without checks, too. A kernel
//! that is out of reach is a skip that is printed, and a failure with `SKEP_REQUIRE_KERNEL=1`.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_isa::ProgType;
use skep_isa::ebpf::{Insn, disassemble};
use skep_kernel::{KernelError, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, Update, test_verdict};
use skep_random::random_test;
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Engine, Helpers, Input, Map, Setup, Shape};
use skep_vm::fuzz::{Bytes, STATEFUL_MAPS, StatefulMap, stateful_program};

/// What a map holds, by key.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// What a run leaves behind.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    result: u32,
    maps: Vec<Entries>,
}

/// The number of maps, and the words that the first one holds at the start.
const COUNT: usize = STATEFUL_MAPS.len();

/// The global data at the start: words that the verifier cannot know.
fn start(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let words = STATEFUL_MAPS[0].value_size / 8;
    (0..words)
        .flat_map(|_| (u64::from(bytes.interesting_u32()) << 32 | u64::from(bytes.interesting_u32())).to_le_bytes())
        .collect()
}

fn kernel_map(map: &StatefulMap) -> Result<LoadedMap, KernelError> {
    let &StatefulMap { map_type, key_size, value_size, max_entries } = map;
    LoadedMap::create(&MapDefinition { name: "skep_test", map_type, key_size, value_size, max_entries, flags: 0 })
}

/// Maps with the descriptors that programs use.
fn kernel_maps() -> Result<(Vec<LoadedMap>, [i32; COUNT]), KernelError> {
    let maps = STATEFUL_MAPS.iter().map(kernel_map).collect::<Result<Vec<_>, _>>()?;
    let descriptors = std::array::from_fn(|at| maps[at].as_fd().as_raw_fd());
    Ok((maps, descriptors))
}

/// Empties the maps and gives the first one its start.
fn reset(maps: &[LoadedMap], start: &[u8]) -> Result<(), KernelError> {
    for (map, shape) in maps.iter().zip(&STATEFUL_MAPS) {
        for key in map.keys()? {
            if shape.map_type == skep_isa::MapType::Hash {
                map.remove(&key)?;
            } else {
                map.set(&key, &vec![0; map.value_size()], Update::Any)?;
            }
        }
    }
    maps[0].set(&[0; 4], start, Update::Any)
}

fn kernel_run(insns: &[Insn], maps: &[LoadedMap]) -> Result<Outcome, KernelError> {
    let definition = ProgramDefinition { name: "skep_test", prog_type: ProgType::SocketFilter, insns, license: "GPL" };
    let result = test_verdict(&LoadedProgram::load(&definition)?, &[0; 64])?;
    let entries = |map: &LoadedMap| -> Result<Entries, KernelError> {
        let mut entries: Entries =
            map.keys()?.into_iter().filter_map(|key| Some((key.clone(), map.get(&key).ok()??))).collect();
        entries.sort_unstable();
        Ok(entries)
    };
    Ok(Outcome { result, maps: maps.iter().map(entries).collect::<Result<_, _>>()? })
}

fn our_run(insns: &[Insn], start: &[u8], engine: Engine, proved: bool) -> Outcome {
    let maps: Vec<Arc<Map>> = STATEFUL_MAPS
        .iter()
        .map(|&StatefulMap { map_type, key_size, value_size, max_entries }| {
            let shape = Shape { key_size, value_size, max_entries, flags: 0 };
            Arc::new(Map::new(map_type, shape).unwrap_or_else(|error| panic!("{error}")))
        })
        .collect();
    maps[0].user().update(&[0; 4], start, 0).unwrap_or_else(|error| panic!("{error}"));
    let setup = Setup::new().helpers(Helpers::kernel()).program("test", ProgType::SocketFilter, insns).engine(engine);
    let setup = maps.iter().fold(setup, |setup, map| setup.map("map", Arc::clone(map)));
    // SAFETY: the kernel's verifier has accepted the program before this is called.
    let setup = if proved { unsafe { setup.proved() } } else { setup };
    let vm = setup.load().unwrap_or_else(|error| panic!("{error}"));
    let mut worker = vm.worker().unwrap_or_else(|error| panic!("{error}"));
    let input = Input { context: &mut [0; 192], packet: &[0; 64], meta: &Metadata::default() };
    let result = worker.run(0, input).unwrap_or_else(|fault| panic!("{engine:?}: {fault}\n{}", listing(insns)));
    let entries = |map: &Arc<Map>| {
        let mut entries: Entries = map.user().entries().collect();
        entries.sort_unstable();
        entries
    };
    Outcome { result: result as u32, maps: maps.iter().map(entries).collect() }
}

fn listing(insns: &[Insn]) -> String {
    disassemble(insns).unwrap_or_else(|error| error.to_string())
}

#[test]
fn programs_on_memory_and_maps() {
    let (maps, descriptors) = match kernel_maps() {
        Ok(made) => made,
        Err(error) => {
            println!("SKIPPED: {error}");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {error}");
            return;
        }
    };
    let (mut programs, mut refused, mut reported) = (0u64, 0u64, Instant::now());
    random_test(|u| {
        let data = u.bytes(u.len())?;
        let insns = |descriptors| {
            let mut bytes = Bytes::new(data);
            let start = start(&mut bytes);
            (start, stateful_program(&mut bytes, descriptors))
        };
        let (start, for_kernel) = insns(descriptors);
        reset(&maps, &start).unwrap_or_else(|error| panic!("{error}"));
        let expected = match kernel_run(&for_kernel, &maps) {
            Ok(expected) => expected,
            Err(KernelError::Rejected { log, .. }) if log.to_string().contains("too large") => {
                refused += 1;
                return Ok(());
            }
            Err(error) => panic!("{error}\n{}", listing(&for_kernel)),
        };
        let (_, ours) = insns(std::array::from_fn(|at| at as i32));
        for (engine, proved) in [
            (Engine::Interpreter, false),
            (Engine::InterpreterByPage, false),
            (Engine::Jit, false),
            (Engine::Jit, true),
        ] {
            let outcome = our_run(&ours, &start, engine, proved);
            assert_eq!(outcome, expected, "{engine:?} (proved: {proved}) and the kernel\n{}", listing(&ours));
        }
        programs += 1;
        if reported.elapsed() >= Duration::from_secs(60) {
            println!("{programs} programs so far");
            reported = Instant::now();
        }
        Ok(())
    })
    .budget_ms(2_000)
    .size_min(64)
    .size_max(1 << 11);
    println!("{programs} programs, {refused} with too many states for the kernel");
    assert!(programs > 0 && refused <= programs / 50);
}

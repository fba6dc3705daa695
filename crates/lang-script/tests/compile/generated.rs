//! Random scripts that compute: what the intermediate representation says before and behind the optimiser, the virtual
//! machine with code for every version of the instruction set, and the running kernel leave the same in all maps.
//! Whatever the compiler accepts the kernel accepts.

use std::time::{Duration, Instant};

use skep_ir::interp::{World, interpret};
use skep_ir::{FuncKind, FuncRef, GlobalRef, MapRef, Module};
use skep_isa::ebpf::{Cpu, Endian};
use skep_isa::fuzz::Bytes;
use skep_kernel::{KernelError, LoadError, TestInput, Update};
use skep_lang_script::compile::Compiled;
use skep_lang_script::fuzz::computing_script;
use skep_lang_script::plan::{HostInfo, ScriptMap, system_maps};
use skep_object::Object;
use skep_random::random_test;
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Engine, Helpers, Input, Vm};

use super::world;

/// The entries of each map of the script, sorted by key; values of processors are added up word by word.
type Outcome = Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>;

/// What the host says: so many processors, nothing else.
fn host(cpus: u64) -> Vec<u8> {
    let mut value = vec![0; HostInfo::SIZE as usize];
    value[HostInfo::CPUS as usize..][..8].copy_from_slice(&cpus.to_le_bytes());
    value
}

fn outcome(plan: &[ScriptMap], entries: impl Fn(&ScriptMap) -> Vec<(Vec<u8>, Vec<u8>)>, sizes: &[usize]) -> Outcome {
    let maps = plan.iter().zip(sizes).map(|(map, &size)| {
        let mut found: Vec<_> = entries(map)
            .into_iter()
            .map(|(key, value)| {
                let mut sum = vec![0u64; size / 8];
                for part in value.chunks(size) {
                    let words = part.as_chunks::<8>().0;
                    sum.iter_mut()
                        .zip(words)
                        .for_each(|(sum, word)| *sum = sum.wrapping_add(u64::from_le_bytes(*word)));
                }
                (key, sum.iter().flat_map(|word| word.to_le_bytes()).collect())
            })
            .collect();
        found.sort_unstable();
        (map.name.to_string(), found)
    });
    maps.collect()
}

/// The maps that are allowed to differ: none; and sizes of values in the order of the plan.
fn sizes(compiled: &Compiled) -> Vec<usize> {
    let of = |map: &ScriptMap| compiled.module.maps.iter().find(|decl| decl.name == map.object_map);
    compiled.plan.maps.iter().map(|map| of(map).map_or(8, |decl| decl.value_size as usize)).collect()
}

/// The representation, run as it says itself. `None` if that takes too many steps.
fn in_representation(module: &Module, compiled: &Compiled, context: &[u8]) -> Option<Outcome> {
    let mut machine = World::new(module);
    for (number, global) in (0..).zip(&module.globals) {
        if global.section == system_maps::HOST {
            assert!(machine.set_global(GlobalRef(number), &host(1)));
        }
    }
    let address = machine.add_context(context);
    let program = module.functions.iter().position(|function| matches!(function.kind, FuncKind::Program(_))).unwrap();
    match interpret(module, FuncRef(program as u32), &[address], &mut machine) {
        Ok(_) => {}
        Err(trap) if trap.reason == skep_ir::interp::Reason::Steps => return None,
        Err(trap) => panic!("{trap}"),
    }
    let entries = |map: &ScriptMap| {
        let at = module.maps.iter().position(|decl| decl.name == map.object_map).unwrap();
        machine.entries(MapRef(at as u32))
    };
    Some(outcome(&compiled.plan.maps, entries, &sizes(compiled)))
}

fn in_machine(object: &Object, compiled: &Compiled, context: &[u8], engine: Engine) -> Outcome {
    let vm = Vm::new(object).helpers(Helpers::kernel()).engine(engine).load().unwrap_or_else(|error| panic!("{error}"));
    let named = |name: &str| object.maps.iter().position(|map| map.name == name).and_then(|at| vm.map(at));
    if let Some(map) = named(system_maps::HOST) {
        map.user().update(&[0; 4], &host(1), 0).unwrap();
    }
    let mut worker = vm.worker().unwrap();
    let mut context = context.to_vec();
    let input = Input { context: &mut context, packet: &[], meta: &Metadata::default() };
    worker.run(0, input).unwrap_or_else(|fault| panic!("{engine:?}: {fault}"));
    let entries = |map: &ScriptMap| named(&map.object_map).unwrap().user().entries().collect();
    outcome(&compiled.plan.maps, entries, &sizes(compiled))
}

fn in_kernel(object: &Object, compiled: &Compiled, context: &[u8]) -> Result<Outcome, LoadError> {
    let loaded = skep_kernel::load(object)?;
    let named = |name: &str| object.maps.iter().position(|map| map.name == name).map(|at| &loaded.maps[at]);
    if let Some(map) = named(system_maps::HOST) {
        let cpus = skep_kernel::possible_cpus().unwrap();
        map.set(&[0; 4], &host(cpus.into()), Update::Any).unwrap();
    }
    loaded.programs[0].test(&TestInput { context, ..TestInput::default() }).unwrap();
    let entries = |map: &ScriptMap| {
        let found = named(&map.object_map).unwrap();
        let keys = found.keys().unwrap();
        keys.into_iter().filter_map(|key| Some((key.clone(), found.get(&key).unwrap()?))).collect()
    };
    Ok(outcome(&compiled.plan.maps, entries, &sizes(compiled)))
}

#[test]
fn scripts_compute_the_same_everywhere() {
    let newest = Cpu::from_number(skep_kernel::probe::instruction_set()).unwrap();
    let (mut tried, mut ran, mut large, mut out_of_reach, mut reported) = (0u32, 0u32, 0u32, None, Instant::now());
    random_test(|u| {
        let context: [u8; 64] = u.arbitrary()?;
        let text = computing_script(&mut Bytes::new(u.bytes(u.len())?));
        tried += 1;
        let compiled = match world::build("generated", &text) {
            Ok(compiled) => compiled,
            Err(_) => return Ok(()),
        };
        let Some(expected) = in_representation(&compiled.module, &compiled, &context) else { return Ok(()) };
        for cpu in [Cpu::V3, newest] {
            let mut module = compiled.module.clone();
            let passes = skep_opt::Options { cpu: cpu.number(), verify: true, ..skep_opt::Options::compact() };
            skep_opt::optimise(&mut module, &passes);
            let optimised = in_representation(&module, &compiled, &context);
            assert_eq!(optimised.as_ref(), Some(&expected), "the optimised representation\n{text}");
            let options = skep_codegen::Options { cpu, endian: Endian::NATIVE };
            for module in [&compiled.module, &module] {
                let object = match skep_codegen::compile(module, &options) {
                    Ok(object) => object,
                    Err(error) if error.to_string().contains("stack") => return Ok(()),
                    Err(error) => panic!("{error}\n{text}"),
                };
                for engine in [Engine::Interpreter, Engine::Jit] {
                    let found = in_machine(&object, &compiled, &context, engine);
                    assert_eq!(found, expected, "{engine:?}, {cpu:?}\n{text}");
                }
            }
            if out_of_reach.is_some() {
                continue;
            }
            let object = skep_codegen::compile(&module, &options).unwrap();
            match in_kernel(&object, &compiled, &context) {
                Ok(found) => assert_eq!(found, expected, "the kernel, {cpu:?}\n{text}"),
                Err(LoadError::Program { error: KernelError::Rejected { log, .. }, .. })
                    if log.text().contains("too large") || log.text().contains("too complex") =>
                {
                    large += 1;
                }
                Err(LoadError::Program { error: KernelError::Rejected { reason, log, .. }, .. }) => {
                    panic!("{reason}\n{}\n{text}", log.text())
                }
                Err(error) if world::not_permitted(&error) => out_of_reach = Some(error.to_string()),
                Err(error) => panic!("{error}\n{text}"),
            }
        }
        ran += 1;
        if reported.elapsed() >= Duration::from_secs(60) {
            println!("{ran} scripts so far");
            reported = Instant::now();
        }
        Ok(())
    })
    .budget_ms(1_000)
    .size_min(200)
    .size_max(2_000);
    println!("{tried} scripts, {ran} ran, {large} too large for the kernel");
    assert!(tried < 4 || ran > tried / 4, "{ran} of {tried} scripts could be compiled");
    if let Some(why) = out_of_reach {
        world::skip(&why);
    }
}

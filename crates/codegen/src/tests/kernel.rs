//! Random functions compiled for every version of the instruction set: what they mean, the virtual machine and the running
//! kernel agree on the result and on the memory, and the kernel's verifier refuses none.

use skep_isa::ProgType;
use skep_isa::ebpf::{self, Cpu};
use skep_kernel::{KernelError, LoadError, test_verdict};
use skep_object::{MapIdx, Object};
use skep_random::random_test;
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Engine, Input, Skb, Vm, XdpFrame};

use super::interpret::Run;
use super::{options, random, skip, validate};
use crate::{Error, Problem, compile};

/// Result and the bytes of the variable afterwards.
type Outcome = (u32, Vec<u8>);

fn in_machine(object: &Object, engine: Engine) -> Outcome {
    let vm = Vm::new(object).engine(engine).load().unwrap_or_else(|error| panic!("{error}"));
    let mut worker = vm.worker().unwrap_or_else(|error| panic!("{error}"));
    let input = Input { context: &mut [0; 192], packet: &[], meta: &Metadata::default() };
    let result = worker.run(0, input).unwrap_or_else(|fault| panic!("{fault}\n{}", listing(object)));
    let map = vm.map(0).unwrap();
    let mut bytes = vec![0; random::BYTES as usize];
    assert_eq!(map.user().lookup_into(&[0; 4], &mut bytes), Ok(()));
    (result as u32, bytes)
}

fn in_kernel(object: &Object) -> Result<Outcome, LoadError> {
    let loaded = skep_kernel::load(object)?;
    let result = test_verdict(&loaded.programs[0], &[0; 64]).unwrap_or_else(|error| panic!("{error}"));
    let bytes = loaded.map(MapIdx(0)).unwrap().get(&[0; 4]).unwrap().unwrap();
    Ok((result, bytes))
}

fn listing(object: &Object) -> String {
    ebpf::numbered(&ebpf::decode_program(&object.programs[0].insns).unwrap(), ebpf::Notation::Plain)
}

#[track_caller]
fn agree(cpu: Cpu, kernel: bool) {
    let mut count = 0;
    let mut out_of_reach = None;
    random_test(|u| {
        let module = random::module(u, cpu)?;
        let object = compile(&module, &options(cpu)).unwrap_or_else(|error| panic!("{error}"));
        validate(&object);
        let mut run = Run::new(&module);
        let result = run.call(&module.functions[1], &[0]) as u32;
        let expected = (result, run.global);
        for engine in [Engine::Interpreter, Engine::Jit] {
            assert_eq!(in_machine(&object, engine), expected, "{engine:?}\n{}", listing(&object));
        }
        if kernel && out_of_reach.is_none() {
            match in_kernel(&object) {
                Ok(found) => assert_eq!(found, expected, "kernel\n{}", listing(&object)),
                Err(LoadError::Program { error: KernelError::Rejected { reason, log, .. }, .. }) => {
                    panic!("{reason}\n{}\n{}", log.text(), listing(&object))
                }
                Err(error) => out_of_reach = Some(error.to_string()),
            }
        }
        count += 1;
        Ok(())
    })
    .budget_ms(1_500)
    .size_max(4_000);
    println!("{count} functions");
    if let Some(why) = out_of_reach {
        skip(&why);
    }
}

/// A packet run in the machine: result, then the values of the maps.
fn in_machine_on(object: &Object, prog_type: ProgType, packet: &[u8], engine: Engine) -> u32 {
    let vm = Vm::new(object).engine(engine).load().unwrap_or_else(|error| panic!("{error}"));
    let mut worker = vm.worker().unwrap_or_else(|error| panic!("{error}"));
    let result = match prog_type {
        ProgType::Xdp => worker.run_xdp(0, &mut XdpFrame::new(packet)).map(|verdict| verdict.code),
        _ => worker.run_skb(0, &mut Skb::new(packet)).map(|verdict| verdict.code),
    };
    result.unwrap_or_else(|error| panic!("{error:?}\n{}", listing(object)))
}

/// Modules of the representation's own generator, with maps, packets and calls: the reference interpreter says what they
/// mean.
#[test]
fn generated_modules() {
    const PACKET: [u8; 64] = [0x5a; 64];
    let (mut count, mut too_large, mut out_of_reach) = (0, 0, None);
    random_test(|u| {
        let cpu = *u.choose(&[Cpu::V3, Cpu::V4])?;
        let data = u.bytes(u.len())?;
        let module = skep_ir::fuzz::module(&mut skep_ir::fuzz::Bytes::new(data));
        let object = match compile(&module, &options(cpu)) {
            Ok(object) => object,
            // All that is computed is needed at the end: registers do not suffice, and three frames of them are too much.
            Err(Error { problem: Problem::Stack { .. }, .. }) => {
                too_large += 1;
                return Ok(());
            }
            Err(error) => panic!("{error}\n{module}"),
        };
        validate(&object);
        let (result, world) = skep_ir::fuzz::run(&module, &PACKET);
        let expected = result.unwrap_or_else(|trap| panic!("{trap}\n{module}")) as u32;
        let prog_type = object.programs[0].prog_type;
        for engine in [Engine::Interpreter, Engine::Jit] {
            let found = in_machine_on(&object, prog_type, &PACKET, engine);
            assert_eq!(found, expected, "{engine:?}\n{module}\n{}", listing(&object));
        }
        if out_of_reach.is_none() {
            match skep_kernel::load(&object) {
                Ok(loaded) => {
                    let run = loaded.programs[0].test_run(&PACKET, 1).unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(run.result, expected, "kernel\n{module}\n{}", listing(&object));
                    for map in [0, 1] {
                        for (key, value) in world.entries(skep_ir::MapRef(map)) {
                            let there = loaded.map(MapIdx(map)).unwrap().get(&key).unwrap();
                            assert_eq!(there, Some(value), "kernel, map {map}, {key:?}\n{module}");
                        }
                    }
                }
                Err(LoadError::Program { error: KernelError::Rejected { reason, log, .. }, .. }) => {
                    panic!("{reason}\n{}\n{module}\n{}", log.text(), listing(&object))
                }
                Err(error) => out_of_reach = Some(error.to_string()),
            }
        }
        count += 1;
        Ok(())
    })
    .budget_ms(1_500)
    .size_max(4_000);
    println!("{count} modules, {too_large} with too large frames");
    assert!(too_large < count, "{too_large} modules have too large frames, {count} have not");
    if let Some(why) = out_of_reach {
        skip(&why);
    }
}

#[test]
fn version_1() {
    agree(Cpu::V1, true);
}

#[test]
fn version_2() {
    agree(Cpu::V2, true);
}

#[test]
fn version_3() {
    agree(Cpu::V3, true);
}

#[test]
fn version_4() {
    agree(Cpu::V4, true);
}

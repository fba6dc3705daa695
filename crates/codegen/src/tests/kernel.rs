//! Random functions compiled for every version of the instruction set: what they mean, the virtual machine and the running
//! kernel agree on the result and on the memory, and the kernel's verifier refuses none.

use arbtest::arbtest;
use skep_isa::ebpf::{self, Cpu};
use skep_kernel::{KernelError, LoadError, test_verdict};
use skep_object::{MapIdx, Object};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Engine, Input, Vm};

use super::interpret::Run;
use super::{options, random, validate};
use crate::compile;

/// How long each random test runs: a second and a half, or what `SKEP_FUZZ_SECONDS` says.
fn milliseconds() -> u64 {
    std::env::var("SKEP_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse::<u64>().ok()).map_or(1_500, |s| s * 1_000)
}

/// Result and the bytes of the variable afterwards.
type Outcome = (u32, Vec<u8>);

fn in_machine(object: &Object, engine: Engine) -> Outcome {
    let vm = Vm::new(object).engine(engine).load().unwrap_or_else(|error| panic!("{error}"));
    let mut worker = vm.worker().unwrap_or_else(|error| panic!("{error}"));
    let input = Input { context: &mut [0; 192], packet: &[], meta: &Metadata::default() };
    let result = worker.run(0, input).unwrap_or_else(|fault| panic!("{fault}\n{}", listing(object)));
    let map = vm.map(0).unwrap();
    let mut bytes = vec![0; random::BYTES as usize];
    assert_eq!(map.lookup_into(&[0; 4], &mut bytes), Ok(()));
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

fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

#[track_caller]
fn agree(cpu: Cpu, kernel: bool) {
    let mut count = 0;
    let mut out_of_reach = None;
    arbtest(|u| {
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
    .budget_ms(milliseconds())
    .size_max(4_000);
    println!("{count} functions");
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

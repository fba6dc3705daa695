//! Our engines against the running kernel.
//!
//! Programs are random; the kernel runs them by `BPF_PROG_TEST_RUN` or as filters of Unix sockets. A kernel that is
//! out of reach is a skip that is printed, and a failure with `SKEP_REQUIRE_KERNEL=1`.

use arbtest::arbtest;
use skep_isa::ProgType;
use skep_isa::classic::{self, Insn};
use skep_isa::ebpf::{self, Cpu};
use skep_isa::translate::{Options, translate};
use skep_kernel::test_verdict;
use skep_kernel::{KernelError, LoadedProgram, ProgramDefinition, Verdicts};
use skep_vm::classic::{Metadata, Program};
use skep_vm::ebpf::{Engine, Input, Setup};
use skep_vm::fuzz::{Bytes, Special, arithmetic_program, classic_program};

/// How long each random test runs: a second and a half, or what `SKEP_FUZZ_SECONDS` says.
fn milliseconds() -> u64 {
    std::env::var("SKEP_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse::<u64>().ok()).map_or(1_500, |s| s * 1_000)
}

fn skip(error: &KernelError) {
    println!("SKIPPED: {error}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {error}");
}

fn load(insns: &[ebpf::Insn]) -> Result<LoadedProgram, KernelError> {
    let definition = ProgramDefinition { name: "skep_test", prog_type: ProgType::SocketFilter, insns, license: "GPL" };
    LoadedProgram::load(&definition)
}

/// Whether the kernel takes the smallest program from us.
fn kernel_is_in_reach() -> bool {
    let mut insns = Vec::new();
    ebpf::Op::mov_imm(ebpf::Reg::R0, 0).emit(&mut insns);
    ebpf::Op::Exit.emit(&mut insns);
    match load(&insns) {
        Ok(_) => true,
        Err(error) => {
            skip(&error);
            false
        }
    }
}

#[test]
fn computing_programs() {
    if !kernel_is_in_reach() {
        return;
    }
    let mut programs = 0;
    arbtest(|u| {
        let insns = arithmetic_program(&mut Bytes::new(u.bytes(u.len())?));
        let loaded = load(&insns).unwrap_or_else(|error| panic!("{error}"));
        let expected = test_verdict(&loaded, &[0; 64]).unwrap_or_else(|error| panic!("{error}"));
        let vm = Setup::new().program("test", ProgType::SocketFilter, &insns).load().unwrap();
        for engine in [Engine::Interpreter, Engine::Jit] {
            let mut worker = vm.worker().unwrap();
            worker.set_engine(engine);
            let result = worker.run(0, Input { context: &mut [], packet: &[], meta: &Metadata::default() });
            assert_eq!(result.map(|value| value as u32), Ok(expected), "{engine:?} {insns:?}");
        }
        programs += 1;
        Ok(())
    })
    .budget_ms(milliseconds())
    .size_min(128)
    .size_max(1 << 10);
    println!("{programs} programs");
    assert!(programs > 0);
}

/// A generated program that the kernel takes: all scratch words are written first.
fn loadable_program(bytes: &mut Bytes<'_>) -> Vec<Insn> {
    let mut insns: Vec<Insn> = (0..classic::SCRATCH_WORDS).map(Insn::st).collect();
    insns.extend(classic_program(bytes, Special::Portable));
    insns
}

/// The same classic program in the kernel (as a filter), in our classic interpreter, and translated to 64 bits in the
/// kernel and in our 64-bit interpreter.
#[test]
fn classic_programs() {
    let (mut verdicts, mut kept_packets) = (0, 0);
    // The packets of a Unix socket have no device and no header positions.
    let meta = Metadata { link_offset: None, ..Metadata::default() };
    arbtest(|u| {
        let mut bytes = Bytes::new(u.bytes(u.len())?);
        let insns = loadable_program(&mut bytes);
        let kernel = Verdicts::classic(&insns).unwrap_or_else(|error| panic!("{error}\n{insns:?}"));
        let program = Program::new(&insns).unwrap_or_else(|error| panic!("{error}"));
        for size in [3, 60, 200, 1500] {
            let packet = packet(&mut bytes, size);
            let expected = kernel.of(&packet).unwrap_or_else(|error| panic!("{error}"));
            let kept = program.run(&packet, size, &meta).min(size);
            let listing = || classic::listing(&insns, classic::PadStyle::V1_11);
            assert_eq!((kept != 0).then_some(kept), expected, "{}\n{packet:02x?}", listing());
            verdicts += 1;
            kept_packets += u32::from(kept != 0);
        }
        Ok(())
    })
    .budget_ms(milliseconds())
    .size_min(128)
    .size_max(1 << 12);
    println!("{verdicts} verdicts, {kept_packets} packets kept");
    assert!(kept_packets > 0 && kept_packets < verdicts);
}

fn packet(bytes: &mut Bytes<'_>, size: u32) -> Vec<u8> {
    // Small bytes, because programs have small constants.
    (0..size).map(|at| if bytes.is_empty() { (at % 7) as u8 } else { bytes.u8() % 64 }).collect()
}

#[test]
fn translated_programs() {
    if !kernel_is_in_reach() {
        return;
    }
    let mut verdicts = 0;
    let meta = Metadata { link_offset: None, ..Metadata::default() };
    let with_link = Metadata { link_offset: Some(0), ..Metadata::default() };
    arbtest(|u| {
        let mut bytes = Bytes::new(u.bytes(u.len())?);
        // NLATTR has no translation.
        let insns = loadable_program(&mut bytes);
        let Ok(translated) = translate(&insns, &Options { cpu: Cpu::V3 }) else { return Ok(()) };
        let loaded = load(&translated.insns).unwrap_or_else(|error| panic!("{error}\n{insns:?}"));
        let program = Program::new(&insns).unwrap_or_else(|error| panic!("{error}"));
        for size in [20, 200] {
            let packet = packet(&mut bytes, size);
            let ours = program.run(&packet, size, &meta);
            // The kernel puts a link header in front of packets of test runs. A sum may happen to lead there (SKF_LL_OFF).
            if ours != program.run(&packet, size, &with_link) {
                continue;
            }
            let expected = test_verdict(&loaded, &packet).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(ours, expected, "{insns:?}\n{packet:02x?}");
            verdicts += 1;
        }
        Ok(())
    })
    .budget_ms(milliseconds())
    .size_min(128)
    .size_max(1 << 12);
    println!("{verdicts} verdicts");
    assert!(verdicts > 0);
}

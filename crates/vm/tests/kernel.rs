//! Our engines against the running kernel.
//!
//! Programs are random; the kernel runs them by `BPF_PROG_TEST_RUN` or as filters of Unix sockets. A kernel that is
//! out of reach is a skip that is printed, and a failure with `SKEP_REQUIRE_KERNEL=1`.

use skep_isa::ProgType;
use skep_isa::classic::{self, Insn};
use skep_isa::ebpf::{self, Cpu};
use skep_isa::translate::{Options, translate};
use skep_kernel::test_verdict;
use skep_kernel::{KernelError, LoadedProgram, ProgramDefinition, Verdicts};
use skep_random::random_test;
use skep_vm::classic::{Metadata, Program};
use skep_vm::ebpf::{Engine, Input, Setup};
use skep_vm::fuzz::{Bytes, Special, arithmetic_program, classic_program};

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
    random_test(|u| {
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
    .budget_ms(1_500)
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

/// Where the kernel finds headers in a packet of a Unix socket, and in one of a test run of a socket filter: the network
/// header is where the packet begins, and a Unix socket's has no device and no link header.
fn packet_alone() -> Metadata {
    Metadata { network_offset: Some(0), link_offset: None, ..Metadata::default() }
}

/// Loads that count from a header end where the kernel's do, or fail as those.
#[test]
fn loads_from_headers() {
    if !kernel_is_in_reach() {
        return;
    }
    let packet: Vec<u8> = (1..=40).collect();
    for base in [classic::SKF_NET_OFF, classic::SKF_LL_OFF] {
        for at in [0, 1, 13, 14, 15, 20, 36, 37, 39, 40, 41, 53, 54, 60] {
            let insns = [Insn::ld_abs(classic::Size::Byte, base.wrapping_add(at)), Insn::ret_a()];
            let program = Program::new(&insns).unwrap();
            let kernel = Verdicts::classic(&insns).unwrap().of(&packet).unwrap();
            let kept = program.run(&packet, 40, &packet_alone()).min(40);
            assert_eq!((kept != 0).then_some(kept), kernel, "a Unix socket, {base:#x} + {at}");
            let translated = translate(&insns, &Options { cpu: Cpu::V3 }).unwrap();
            let kernel = test_verdict(&load(&translated.insns).unwrap(), &packet).unwrap();
            let framed = [&[0; 14], &packet[..]].concat();
            let meta = Metadata { network_offset: Some(14), link_offset: Some(0), ..Metadata::default() };
            assert_eq!(program.run(&framed, 54, &meta), kernel, "a test run, {base:#x} + {at}");
        }
    }
}

/// The same classic program in the kernel (as a filter), in our classic interpreter, and translated to 64 bits in the
/// kernel and in our 64-bit interpreter.
#[test]
fn classic_programs() {
    let (mut verdicts, mut kept_packets) = (0, 0);
    let meta = packet_alone();
    random_test(|u| {
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
    .budget_ms(1_500)
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
    let with_link = || Metadata { link_offset: Some(0), ..packet_alone() };
    random_test(|u| {
        let mut bytes = Bytes::new(u.bytes(u.len())?);
        // NLATTR has no translation.
        let insns = loadable_program(&mut bytes);
        let Ok(translated) = translate(&insns, &Options { cpu: Cpu::V3 }) else { return Ok(()) };
        let loaded = load(&translated.insns).unwrap_or_else(|error| panic!("{error}\n{insns:?}"));
        let program = Program::new(&insns).unwrap_or_else(|error| panic!("{error}"));
        let run = |data: &[u8], meta: &Metadata| program.run(data, data.len() as u32, meta);
        for size in [20, 200] {
            let packet = packet(&mut bytes, size);
            // The kernel puts a link header in front of packets of test runs, which ours have not. A sum may happen to
            // lead there (SKF_LL_OFF), perhaps to where it is longer by that.
            let longer = [&packet[..], &[0; 14]].concat();
            if [&packet, &longer].iter().any(|data| run(data, &packet_alone()) != run(data, &with_link())) {
                continue;
            }
            let ours = run(&packet, &packet_alone());
            let expected = test_verdict(&loaded, &packet).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(ours, expected, "{insns:?}\n{packet:02x?}");
            verdicts += 1;
        }
        Ok(())
    })
    .budget_ms(1_500)
    .size_min(128)
    .size_max(1 << 12);
    println!("{verdicts} verdicts");
    assert!(verdicts > 0);
}

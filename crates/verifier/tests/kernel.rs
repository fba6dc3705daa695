//! Our verdicts against those of the running kernel, program by program.
//!
//! A program that we accept and the kernel refuses is a failure; one that we refuse and the kernel takes is counted.

use std::collections::BTreeMap;

use skep_isa::ProgType;
use skep_isa::ebpf::Insn;
use skep_kernel::{KernelError, LoadError, LoadOptions, LoadedProgram, ProgramDefinition, RunningKernel, load_with};
use skep_object::{Object, Program};
use skep_random::random_test;
use skep_testkit::conformance::{self, KernelVerdict};
use skep_verifier::{Kernel, Verdict, verify, verify_with};
use skep_vm::fuzz::{Bytes, arbitrary_program, arithmetic_program, idiom_program};

fn ours(insns: &[Insn], prog_type: ProgType) -> Verdict {
    let program = Program::new("test", prog_type, insns.to_vec());
    let object = Object { license: "GPL".to_owned(), ..Object::default() };
    verify(&object, &program, Kernel::V6_18)
}

/// The kernel's verdict; `None` if it cannot be asked.
fn theirs(insns: &[Insn], prog_type: ProgType) -> Result<bool, KernelError> {
    let definition = ProgramDefinition { name: "skep_test", prog_type, insns, license: "GPL" };
    match LoadedProgram::load(&definition) {
        Ok(_) => Ok(true),
        Err(KernelError::Rejected { .. } | KernelError::Invalid { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn skip(error: &KernelError) {
    println!("SKIPPED: {error}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {error}");
}

/// Whether the kernel can be asked, and is the one whose rules are meant.
fn kernel_is_in_reach() -> bool {
    let mut insns = Vec::new();
    skep_isa::ebpf::Op::mov_imm(skep_isa::ebpf::Reg::R0, 0).emit(&mut insns);
    skep_isa::ebpf::Op::Exit.emit(&mut insns);
    match theirs(&insns, ProgType::SocketFilter) {
        Ok(taken) => taken,
        Err(error) => {
            skip(&error);
            false
        }
    }
}

/// What became of the programs of a test.
#[derive(Debug, Default)]
struct Tally {
    agreed: u32,
    refused_wrongly: BTreeMap<String, u32>,
    undecided: BTreeMap<&'static str, u32>,
}

impl Tally {
    #[track_caller]
    fn add(&mut self, what: &str, insns: &[Insn], prog_type: ProgType) {
        let mine = ours(insns, prog_type);
        let kernel = match theirs(insns, prog_type) {
            Ok(kernel) => kernel,
            Err(error) => return println!("{what}: {error}"),
        };
        match (&mine, kernel) {
            (Verdict::Accepted(_), false) => {
                let definition = ProgramDefinition { name: "skep_test", prog_type, insns, license: "GPL" };
                let why = LoadedProgram::load(&definition).map(drop).unwrap_err();
                panic!("{what}: accepted, but the kernel says: {why:?}\n{insns:?}");
            }
            (Verdict::Rejected(rejection), true) => {
                *self
                    .refused_wrongly
                    .entry(format!("{} at {} in {what}", rejection.reason, rejection.at))
                    .or_default() += 1;
            }
            (Verdict::Undecided { what, .. }, _) => *self.undecided.entry(what).or_default() += 1,
            _ => self.agreed += 1,
        }
    }

    fn wrong(&self) -> u32 {
        self.refused_wrongly.values().sum()
    }
}

#[test]
fn the_conformance_set() {
    if !kernel_is_in_reach() {
        return;
    }
    let mut tally = Tally::default();
    for family in conformance::families() {
        // Every tenth program of a family shows its rules.
        for case in family.cases().enumerate().filter(|(index, _)| index % 10 == 0).map(|(_, case)| case) {
            if !matches!(case.kernel, KernelVerdict::Differs(_)) {
                tally.add(&case.name, &case.insns, ProgType::SocketFilter);
            }
        }
    }
    println!("{tally:?}");
    assert!(tally.agreed > 500, "{tally:?}");
    assert_eq!(tally.wrong(), 0, "{tally:?}");
}

#[test]
fn the_offset_of_an_exit_is_not_looked_at_and_its_other_fields_are() {
    if !kernel_is_in_reach() {
        return;
    }
    let mut tally = Tally::default();
    for (dst, src, off, imm) in [(0, 0, -2, 0), (0, 0, -2, 1), (0, 0, 0, 1), (1, 0, 3, 0), (0, 1, 3, 0)] {
        let mut insns = Vec::new();
        skep_isa::ebpf::Op::mov_imm(skep_isa::ebpf::Reg::R0, 0).emit(&mut insns);
        insns.push(Insn { code: 0x95, dst, src, off, imm });
        tally.add("an exit", &insns, ProgType::SocketFilter);
    }
    assert_eq!((tally.agreed, tally.wrong()), (5, 0), "{tally:?}");
}

#[test]
fn calls_of_registers_are_refused_where_no_path_leads() {
    if !kernel_is_in_reach() {
        return;
    }
    use skep_isa::ebpf::{Callee, Op, Reg};
    let mut insns = Vec::new();
    Op::mov_imm(Reg::R0, 0).emit(&mut insns);
    // if r0 == 0 goto +1
    insns.push(Insn { code: 0x15, dst: 0, src: 0, off: 1, imm: 0 });
    Op::Call(Callee::Reg(Reg::R3)).emit(&mut insns);
    Op::Exit.emit(&mut insns);
    let verdict = ours(&insns, ProgType::SocketFilter);
    assert!(matches!(verdict, Verdict::Rejected(_)), "{verdict:?}");
    let mut tally = Tally::default();
    tally.add("a call of a register", &insns, ProgType::SocketFilter);
    assert_eq!(tally.agreed, 1, "{tally:?}");
}

/// Makes a program of random bytes.
type Maker = fn(&mut Bytes<'_>) -> Vec<Insn>;

#[test]
fn random_programs() {
    if !kernel_is_in_reach() {
        return;
    }
    let mut tally = Tally::default();
    let makers: [(&str, Maker); 3] =
        [("arithmetic", arithmetic_program), ("arbitrary", arbitrary_program), ("idioms", idiom_program)];
    random_test(|u| {
        let (name, maker) = *u.choose(&makers)?;
        let mut insns = maker(&mut Bytes::new(u.bytes(u.len() / 2)?));
        // Programs near the border: one field of one instruction is another.
        for _ in 0..u.int_in_range(0..=2)? {
            let count = insns.len();
            if count == 0 {
                break;
            }
            let insn = &mut insns[u.choose_index(count)?];
            match u.int_in_range(0..=4)? {
                0 => insn.dst = u.int_in_range(0..=10)?,
                1 => insn.src = u.int_in_range(0..=10)?,
                2 => insn.off = u.int_in_range(-16..=16)?,
                3 => insn.imm = *u.choose(&[0, 1, -1, 8, 255, 511, 512, i32::MIN, i32::MAX])?,
                _ => insn.code ^= 1 << u.int_in_range(3..=7)?,
            }
        }
        let prog_type = *u.choose(&[ProgType::SocketFilter, ProgType::Xdp, ProgType::SchedCls, ProgType::Kprobe])?;
        tally.add(name, &insns, prog_type);
        Ok(())
    })
    .budget_ms(2_000)
    .size_min(256)
    .size_max(1 << 12);
    println!("{tally:?}");
    assert!(tally.agreed > 20, "{tally:?}");
    // What is left are a few rules in which a number is known less exactly, and instructions that no path reaches. A short
    // run may meet several of them.
    assert!(tally.wrong() <= 10 + tally.agreed / 100, "{tally:?}");
}

/// The programs of an object, each by itself, as they are fitted to the running kernel.
fn programs_of(name: &str, bytes: &[u8], tally: &mut Tally) {
    let object = Object::from_elf(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut fitted = object.clone();
    if let Err(error) = fitted.resolve(&RunningKernel::for_object(&object)) {
        return println!("{name}: {error}");
    }
    for program in &fitted.programs {
        let what = format!("{name} {}", program.name);
        let mine = match RunningKernel::new().types() {
            Ok(types) => verify_with(&fitted, program, Kernel::V6_18, &types),
            Err(_) => verify(&fitted, program, Kernel::V6_18),
        };
        let options = LoadOptions { programs: Some(&[program.name.as_str()]), ..LoadOptions::default() };
        let kernel = match load_with(&object, &options) {
            Ok(_) => true,
            Err(LoadError::Program { error: KernelError::Rejected { .. }, .. }) => false,
            Err(error) => {
                println!("{what}: {error}");
                continue;
            }
        };
        match (&mine, kernel) {
            (Verdict::Accepted(_), false) => panic!("{what}: accepted, but the kernel refuses it"),
            (Verdict::Rejected(rejection), true) => {
                *tally
                    .refused_wrongly
                    .entry(format!("{what}: {} at {}", rejection.reason, rejection.at))
                    .or_default() += 1;
            }
            (Verdict::Undecided { what, .. }, _) => *tally.undecided.entry(what).or_default() += 1,
            _ => tally.agreed += 1,
        }
    }
}

#[test]
fn objects_of_clang() {
    if !kernel_is_in_reach() {
        return;
    }
    let mut tally = Tally::default();
    for name in skep_testkit::clang::SOURCES.iter().filter(|name| **name != "struct_ops") {
        match skep_testkit::clang::object(name) {
            Ok(bytes) => programs_of(name, &bytes, &mut tally),
            Err(why) => return println!("SKIPPED: {why}"),
        }
    }
    println!("{tally:?}");
    assert!(tally.agreed > 30, "{tally:?}");
    assert_eq!(tally.wrong(), 0, "{tally:?}");
}

#[test]
fn any_bytes_are_answered() {
    random_test(|u| {
        skep_verifier::fuzz::verdicts(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1_000);
}

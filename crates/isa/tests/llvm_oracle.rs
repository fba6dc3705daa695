//! Holds encoder, assembler and disassembler of the 64-bit set against LLVM's, where it is installed.
//!
//! Both directions: what we print, LLVM assembles to our bytes; what LLVM prints of our bytes, we assemble to them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use skep_isa::ebpf::{
    AtomicOp, Callee, Cpu, Endian, Group, Imm64, Insn, Notation, Op, ROWS, Row, assemble, from_bytes, line, to_bytes,
};

/// An installed LLVM: suffix of its program names and the newest instruction set it knows.
struct Llvm {
    suffix: &'static str,
    cpu: Cpu,
}

/// Every installed LLVM, none with a note.
fn installed() -> Vec<Llvm> {
    let candidates = [("-22", Cpu::V4), ("-19", Cpu::V4), ("-14", Cpu::V3)].map(|(suffix, cpu)| Llvm { suffix, cpu });
    let runs = |program: String| Command::new(program).arg("--version").output().is_ok();
    let found: Vec<Llvm> = candidates
        .into_iter()
        .filter(|Llvm { suffix, .. }| {
            ["mc", "objdump", "objcopy"].iter().all(|tool| runs(format!("llvm-{tool}{suffix}")))
        })
        .collect();
    if found.is_empty() {
        println!("SKIPPED: llvm-mc, llvm-objdump and llvm-objcopy of no known version are installed");
    }
    found
}

impl Llvm {
    fn mcpu(&self) -> &'static str {
        if self.cpu >= Cpu::V4 { "v4" } else { "v3" }
    }

    /// Assembles to an object file; the error output on failure.
    fn assemble(&self, source: &str, name: &str) -> Result<PathBuf, String> {
        let base = std::env::temp_dir().join(format!("skep-isa-{}-{name}{}", std::process::id(), self.suffix));
        let (input, object) = (base.with_extension("s"), base.with_extension("o"));
        std::fs::write(&input, source).unwrap();
        let output = Command::new(format!("llvm-mc{}", self.suffix))
            .args(["-triple", "bpfel", &format!("-mcpu={}", self.mcpu()), "-filetype=obj", "-o"])
            .arg(&object)
            .arg(&input)
            .output()
            .unwrap();
        std::fs::remove_file(&input).unwrap();
        match output.status.success() {
            true => Ok(object),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// The instructions of an object file as text, one a line.
    fn disassemble(&self, object: &PathBuf) -> Vec<String> {
        let output = Command::new(format!("llvm-objdump{}", self.suffix))
            .args(["-d", "--no-show-raw-insn", &format!("--mcpu={}", self.mcpu())])
            .arg(object)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let is_position = |position: &str| position.bytes().all(|byte| byte.is_ascii_hexdigit());
        let insns = text.lines().filter_map(|line| line.trim().split_once(":\t"));
        insns.filter(|(position, _)| is_position(position)).map(|(_, insn)| insn.trim().to_owned()).collect()
    }

    /// The bytes of the code section.
    fn code(&self, object: &PathBuf) -> Vec<u8> {
        let section = object.with_extension("text");
        let output = Command::new(format!("llvm-objcopy{}", self.suffix))
            .arg(format!("--dump-section=.text={}", section.display()))
            .arg(object)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let code = std::fs::read(&section).unwrap();
        std::fs::remove_file(&section).unwrap();
        code
    }
}

/// Programs of one instruction each: every row of the table with several operands.
fn samples(cpu: Cpu) -> Vec<(&'static Row, Vec<Insn>)> {
    let numbers = [(0, 0), (1, 1), (-1, -1), (300, 0x1234_5678), (i16::MIN, i32::MIN), (i16::MAX, i32::MAX)];
    let mut samples = Vec::new();
    for row in ROWS.iter().filter(|row| row.cpu <= cpu) {
        for (index, (off, imm)) in numbers.into_iter().enumerate() {
            let encoded = row.op.encode();
            let mut first = encoded.first;
            first.dst = if row.uses.dst() { 2 + index as u8 } else { first.dst };
            first.src = if row.uses.src() { 9 - index as u8 } else { first.src };
            first.off = if row.uses.off() { off } else { first.off };
            first.imm = if row.uses.imm() { imm } else { first.imm };
            let second = encoded.second.map(|second| match row.op {
                Op::LoadImm { value: Imm64::Value(_), .. } => Insn { imm: off.into(), ..second },
                _ => second,
            });
            samples.push((row, std::iter::once(first).chain(second).collect()));
        }
    }
    samples
}

/// Whether LLVM has a notation for the instruction at all.
fn known_to_llvm(row: &Row) -> bool {
    match row.op {
        Op::LoadImm { value, .. } => matches!(value, Imm64::Value(_)),
        Op::AddrSpaceCast { .. } | Op::LoadAcquire { .. } | Op::StoreRelease { .. } => false,
        Op::Call(callee) => matches!(callee, Callee::Helper(_)),
        _ => row.group != Group::Callx,
    }
}

#[test]
fn llvm_prints_what_we_assemble() {
    installed().iter().for_each(check_printing);
}

fn check_printing(llvm: &Llvm) {
    let samples: Vec<_> = samples(llvm.cpu).into_iter().filter(|(row, _)| known_to_llvm(row)).collect();
    let mut source = String::from(".text\n");
    for byte in samples.iter().flat_map(|(_, insns)| to_bytes(insns, Endian::Little)) {
        let _ = writeln!(source, ".byte {byte}");
    }
    let object = llvm.assemble(&source, "print").unwrap();
    let lines = llvm.disassemble(&object);
    std::fs::remove_file(&object).unwrap();
    assert_eq!(lines.len(), samples.len());
    let mut compared = 0;
    for ((row, insns), text) in samples.iter().zip(&lines) {
        // Operands that this LLVM does not know, such as newer instructions.
        if text.contains("<unknown>") {
            assert!(row.group == Group::Linux || llvm.cpu < Cpu::V4, "LLVM does not know {:?}", row.op);
            continue;
        }
        // LLVM drops the second part of a packet load's offset; clang never sets it.
        if matches!(row.op, Op::LdInd { .. }) && insns[0].imm != 0 {
            continue;
        }
        // LLVM 14 prints 32-bit atomic operations with result as if they had none.
        if llvm.cpu < Cpu::V4 && matches!(row.op, Op::Atomic { .. }) {
            continue;
        }
        match assemble(text) {
            Ok(found) => assert_eq!(&found, insns, "{text}"),
            Err(error) => panic!("{error}: {text} ({:?})", row.op),
        }
        compared += 1;
    }
    assert!(compared * 10 > samples.len() * 7, "only {compared} of {} instructions were compared", samples.len());
}

/// Whether LLVM's assembler reads our notation; it has other names for atomic functions.
fn notation_of_llvm(row: &Row) -> bool {
    match row.op {
        Op::Atomic { fetch: false, op: AtomicOp::Add, .. } => true,
        Op::Atomic { .. } | Op::MayGoto { .. } | Op::LdInd { .. } => false,
        _ => known_to_llvm(row),
    }
}

#[test]
fn llvm_assembles_what_we_print() {
    // Older ones lack text for some instructions that they encode, such as the remainder.
    installed().iter().filter(|llvm| llvm.cpu >= Cpu::V4).for_each(check_reading);
}

fn check_reading(llvm: &Llvm) {
    let mut source = String::from(".text\n");
    let mut expected = Vec::new();
    for (row, insns) in samples(llvm.cpu).into_iter().filter(|(row, _)| notation_of_llvm(row)) {
        let beyond_llvm = match row.op {
            Op::LdAbs { .. } => insns[0].imm < 0,
            Op::GotoLong { .. } => i16::try_from(insns[0].imm).is_err(),
            _ => false,
        };
        if beyond_llvm {
            continue;
        }
        let op = insns[0].decode(insns.get(1).copied()).unwrap();
        let _ = writeln!(source, "{}", line(&op, Notation::Plain));
        expected.extend(insns);
    }
    let object = llvm.assemble(&source, "read").unwrap_or_else(|error| panic!("{error}"));
    let code = llvm.code(&object);
    std::fs::remove_file(&object).unwrap();
    let found = from_bytes(&code, Endian::Little).unwrap();
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "slot {index}");
    }
}

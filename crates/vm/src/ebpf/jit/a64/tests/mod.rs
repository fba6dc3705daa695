//! Holds every instruction against LLVM's assembler, where it is installed.
//!
//! A test asks for an instruction and says, with the formatter below, how it is written; LLVM's word for the text has to
//! be ours. What we refuse, LLVM has to refuse as well.

mod branch;
mod data;
mod immediate;
mod literal;
mod memory;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Code, EncodeError, Reg, RegOrSp, RegOrZr, SP, Width, ZR};

const WIDTHS: [Width; 2] = [Width::W, Width::X];

/// The operand with this number, 31 for zero.
fn z(number: u8) -> RegOrZr {
    Reg::new(number).map_or(ZR, RegOrZr::from)
}

/// The operand with this number, 31 for the stack pointer.
fn s(number: u8) -> RegOrSp {
    Reg::new(number).map_or(SP, RegOrSp::from)
}

/// How [`z`] is written.
fn zt(width: Width, number: u8) -> String {
    match (width, number) {
        (Width::W, 31) => "wzr".into(),
        (Width::X, 31) => "xzr".into(),
        (Width::W, _) => format!("w{number}"),
        (Width::X, _) => format!("x{number}"),
    }
}

/// How [`s`] is written.
fn st(width: Width, number: u8) -> String {
    match (width, number) {
        (Width::W, 31) => "wsp".into(),
        (Width::X, 31) => "sp".into(),
        _ => zt(width, number),
    }
}

/// Register numbers for `N` operands: each takes every number, and all combinations of four with different bits.
fn numbers<const N: usize>() -> Vec<[u8; N]> {
    let mut all = Vec::new();
    for operand in 0..N {
        for number in 0..32 {
            let mut numbers = [3; N];
            numbers.iter_mut().zip(5..).for_each(|(other, fixed)| *other = fixed);
            numbers[operand] = number;
            all.push(numbers);
        }
    }
    for choice in 0..4usize.pow(N as u32) {
        let mut numbers = [0; N];
        for (operand, number) in numbers.iter_mut().enumerate() {
            *number = [0, 0b01010, 0b10101, 31][choice >> (2 * operand) & 3];
        }
        all.push(numbers);
    }
    all
}

/// Pseudo-random numbers, the same in each run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A register number, 31 included.
    fn number(&mut self) -> u8 {
        (self.next() >> 40) as u8 & 31
    }
}

/// Instructions as text and as our words, and texts that we refused.
#[derive(Default)]
struct Listing {
    text: Vec<String>,
    words: Vec<u32>,
    refused: Vec<String>,
}

impl Listing {
    /// `text` is one instruction that `word` encodes.
    fn word(&mut self, text: String, word: u32) {
        self.text.push(text);
        self.words.push(word);
    }

    /// `text` is the one instruction that `emit` emits.
    fn emits(&mut self, text: String, emit: impl FnOnce(&mut Code)) {
        let mut code = Code::new();
        emit(&mut code);
        let &[word] = code.words() else { panic!("{text}: {} instructions", code.words().len()) };
        self.word(text, word);
    }

    /// `text` is the one instruction that `emit` emits if `accept`, else `emit` fails and leaves no trace.
    fn decides(&mut self, accept: bool, text: String, emit: impl FnOnce(&mut Code) -> Result<(), EncodeError>) {
        if accept {
            return self.emits(text.clone(), |code| emit(code).unwrap_or_else(|error| panic!("{text}: {error}")));
        }
        let mut code = Code::new();
        assert!(emit(&mut code).is_err(), "{text} was emitted");
        assert!(code.words().is_empty(), "{text} failed, but left words");
        self.refused.push(text);
    }

    /// Compares all of it with LLVM.
    fn check(&self, name: &str) {
        assert!(!self.text.is_empty());
        let Some(llvm) = Llvm::installed() else { return };
        let expected = llvm.words(name, &self.text);
        assert_eq!(expected.len(), self.words.len(), "LLVM's count of instructions");
        for ((text, &word), &expected) in self.text.iter().zip(&self.words).zip(&expected) {
            assert_eq!(word, expected, "{text}: {word:#010x}, but {expected:#010x} of LLVM");
        }
        if !self.refused.is_empty() {
            let errors = llvm.errors(name, &self.refused);
            for (text, line) in self.refused.iter().zip(1..) {
                assert!(errors.contains(&line), "LLVM assembles {text}");
            }
        }
    }
}

/// An installed LLVM that knows the architecture.
struct Llvm {
    suffix: &'static str,
}

impl Llvm {
    /// The first one of the usual names; none with a note.
    fn installed() -> Option<Self> {
        let runs = |tool: String| Command::new(tool).arg("--version").output().ok();
        let found = ["", "-22", "-19", "-14"].into_iter().find(|suffix| {
            let assembler = runs(format!("llvm-mc{suffix}"));
            assembler.is_some_and(|output| String::from_utf8_lossy(&output.stdout).contains("aarch64"))
                && runs(format!("llvm-objcopy{suffix}")).is_some()
        });
        if found.is_none() {
            println!("SKIPPED: llvm-mc with the aarch64 target and llvm-objcopy are not installed");
        }
        found.map(|suffix| Self { suffix })
    }

    /// Assembles lines to an object file; errors are in the output.
    fn assemble(&self, base: &Path, lines: &[String]) -> (PathBuf, Output) {
        let (input, object) = (base.with_extension("s"), base.with_extension("o"));
        std::fs::write(&input, lines.join("\n") + "\n").unwrap();
        let output = Command::new(format!("llvm-mc{}", self.suffix))
            .args(["--assemble", "--triple=aarch64", "--mattr=+v8.5a", "--filetype=obj", "-o"])
            .args([&object, &input])
            .output()
            .unwrap();
        std::fs::remove_file(&input).unwrap();
        (object, output)
    }

    /// The words of the lines, one instruction each.
    fn words(&self, name: &str, lines: &[String]) -> Vec<u32> {
        let base = std::env::temp_dir().join(format!("skep-vm-a64-{}-{name}", std::process::id()));
        let (object, output) = self.assemble(&base, lines);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let code = base.with_extension("text");
        let output = Command::new(format!("llvm-objcopy{}", self.suffix))
            .args(["-O", "binary", "--only-section=.text"])
            .args([&object, &code])
            .output()
            .unwrap();
        std::fs::remove_file(&object).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(&code).unwrap();
        std::fs::remove_file(&code).unwrap();
        bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
    }

    /// The numbers of the lines that LLVM has errors for, from 1.
    fn errors(&self, name: &str, lines: &[String]) -> HashSet<usize> {
        let base = std::env::temp_dir().join(format!("skep-vm-a64-{}-{name}-refused", std::process::id()));
        let (object, output) = self.assemble(&base, lines);
        let _ = std::fs::remove_file(object);
        let text = String::from_utf8(output.stderr).unwrap();
        // FILE:LINE:COLUMN: error: MESSAGE
        let places = text.lines().filter_map(|line| line.split_once(": error: "));
        places.filter_map(|(place, _)| place.rsplit(':').nth(1)?.parse().ok()).collect()
    }
}

/// Known answers, written down from the manual's tables for where no LLVM is installed.
#[test]
fn a_few_words_are_those_of_the_manual() {
    let mut code = Code::new();
    code.nop();
    code.ret(Reg::LINK);
    code.mov_sp(Reg::FRAME, SP);
    code.brk(0xffff);
    code.udf(7);
    assert_eq!(code.words(), [0xd503_201f, 0xd65f_03c0, 0x9100_03fd, 0xd43f_ffe0, 7]);
}

//! What the verifier of the running kernel says about the same operations, number for number.
//!
//! A random program computes with two registers; the verifier's log has the state of a register behind each instruction
//! that changes it. Every part of it has to be the same here. From Linux 6.18 on; earlier kernels know less.

use std::collections::HashMap;

use skep_domain::{Cond, Op, Range, Scalar, Tnum, Width};
use skep_isa::{ProgType, ebpf};
use skep_kernel::{Capability, LoadedProgram, LogLevel, ProgramDefinition, ProgramOptions, has_capability};

#[track_caller]
fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// Whether the rules of the running kernel are those of the domain. Those of 7.x are others again.
fn applies() -> bool {
    if !has_capability(Capability::Bpf) && !has_capability(Capability::SysAdmin) {
        skip("loading programs needs CAP_BPF");
        return false;
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|number| number.trim().parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version != (6, 18) {
        // Not a fault of the machine: there is nothing to compare with.
        println!("SKIPPED: the rules are those of Linux 6.18, this is {}", release.trim());
    }
    version == (6, 18)
}

/// A program under construction, and what is known about registers 0 and 6.
struct Program {
    lines: Vec<String>,
    states: [Scalar; 2],
    /// What is expected behind a line.
    expected: Vec<(usize, [Option<Scalar>; 2])>,
    random: u64,
}

const NAMES: [&str; 2] = ["0", "6"];

impl Program {
    fn new(seed: u64) -> Self {
        let lines = ["call 7", "r6 = r0", "call 7"].map(str::to_owned).to_vec();
        // Random numbers of 32 bits, of which the verifier knows nothing.
        Self { lines, states: [Scalar::UNKNOWN; 2], expected: Vec::new(), random: seed.wrapping_mul(2).wrapping_add(1) }
    }

    fn below(&mut self, end: u64) -> u64 {
        // Marsaglia's xorshift.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % end
    }

    /// A constant that an instruction can hold.
    fn number(&mut self) -> i32 {
        let near = i32::try_from(self.below(9)).unwrap_or(0) - 4;
        match self.below(6) {
            0 => near,
            1 => near.wrapping_add(i32::MIN),
            2 => 1 << self.below(31),
            3 => (1 << self.below(31)) - 1,
            4 => i32::try_from(self.below(300)).unwrap_or(0),
            _ => i32::from_ne_bytes(u32::try_from(self.below(1 << 32)).unwrap_or(0).to_ne_bytes()),
        }
    }

    /// Adds a line and what the verifier has to say behind it.
    fn push(&mut self, line: String, changed: [bool; 2]) {
        let parts = [0, 1].map(|at| changed[at].then_some(self.states[at]));
        self.expected.push((self.lines.len(), parts));
        self.lines.push(line);
    }

    fn step(&mut self) {
        let at = usize::from(self.below(3) == 0);
        let width = if self.below(2) == 0 { Width::W32 } else { Width::W64 };
        let prefix = if width == Width::W32 { 'w' } else { 'r' };
        let (name, state) = (NAMES[at], self.states[at]);
        let mut changed = [at == 0, at == 1];
        let number = self.number();
        // Constants are extended by their sign; 32-bit operations use their lower half.
        let wide = i64::from(number).cast_unsigned();
        let constant = Scalar::constant(if width == Width::W32 { wide & 0xffff_ffff } else { wide });
        match self.below(10) {
            0..4 => self.arithmetic(at, width, prefix, constant, number),
            4..8 => {
                let other = if self.below(3) == 0 { None } else { Some(number) };
                let right = if other.is_some() { constant } else { self.states[1 - at] };
                // What holds where the program goes on.
                let conds =
                    [Cond::Eq, Cond::Ne, Cond::Lt, Cond::Le, Cond::Gt, Cond::Ge, Cond::SLt, Cond::SLe, Cond::SGt];
                let conds = [&conds[..], &[Cond::SGe, Cond::Set]].concat();
                let cond = conds[usize::try_from(self.below(11)).unwrap_or(0)];
                if state.decide(cond, right, width).is_some() {
                    return;
                }
                let Some((left, right)) = state.refine(cond.negated(), right, width) else { return };
                self.states[at] = left;
                let text = if let Some(number) = other {
                    number.to_string()
                } else {
                    self.states[1 - at] = right;
                    changed = [true; 2];
                    format!("{prefix}{}", NAMES[1 - at])
                };
                self.push(format!("if {prefix}{name} {} {text} goto end", sign(cond)), changed);
            }
            8 => {
                self.states[at] = state.neg(width);
                self.push(format!("{prefix}{name} = -{prefix}{name}"), changed);
            }
            _ => {
                let bytes = if self.below(2) == 0 { 1 } else { 2 };
                self.states[at] = match width {
                    Width::W64 => state.sign_extended(bytes),
                    Width::W32 => state.sign_extended32(bytes),
                };
                self.push(format!("{prefix}{name} = (s{}){prefix}{name}", bytes * 8), changed);
            }
        }
    }

    fn arithmetic(&mut self, at: usize, width: Width, prefix: char, constant: Scalar, number: i32) {
        let ops = [
            (Op::Add, "+="),
            (Op::Sub, "-="),
            (Op::Mul, "*="),
            (Op::And, "&="),
            (Op::Or, "|="),
            (Op::Xor, "^="),
            (Op::Lsh, "<<="),
            (Op::Rsh, ">>="),
            (Op::Arsh, "s>>="),
        ];
        let (op, text) = ops[usize::try_from(self.below(9)).unwrap_or(0)];
        let state = self.states[at];
        // The verifier goes two ways from here: one for 0, one for -1.
        if matches!(op, Op::And | Op::Or) && (state.s64() == Range::new(-1, 0) || state.s32() == Range::new(-1, 0)) {
            return;
        }
        let shift = matches!(op, Op::Lsh | Op::Rsh | Op::Arsh);
        let count = number.unsigned_abs() % width.bits();
        let (operand, right) = if shift {
            (Scalar::constant(count.into()), count.to_string())
        } else if self.below(3) == 0 {
            (self.states[1 - at], format!("{prefix}{}", NAMES[1 - at]))
        } else {
            (constant, number.to_string())
        };
        self.states[at] = state.alu(op, operand, width);
        self.push(format!("{prefix}{} {text} {right}", NAMES[at]), [at == 0, at == 1]);
    }

    /// The text with the end that all branches lead to.
    fn text(&self) -> String {
        let end = self.lines.len();
        let lines = self
            .lines
            .iter()
            .enumerate()
            .map(|(at, line)| line.replace("goto end", &format!("goto +{}", end - at - 1)));
        lines.chain(["r0 = 0".to_owned(), "exit".to_owned()]).collect::<Vec<String>>().join("\n")
    }
}

const fn sign(cond: Cond) -> &'static str {
    match cond {
        Cond::Eq => "==",
        Cond::Ne => "!=",
        Cond::Lt => "<",
        Cond::Le => "<=",
        Cond::Gt => ">",
        Cond::Ge => ">=",
        Cond::SLt => "s<",
        Cond::SLe => "s<=",
        Cond::SGt => "s>",
        Cond::SGe => "s>=",
        Cond::Set | Cond::Clear => "&",
    }
}

/// A number as the log prints it: decimal with a sign, or hexadecimal.
fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("number `{text}`")),
        None => text.parse::<i128>().map(|value| value as u64).unwrap_or_else(|_| panic!("number `{text}`")),
    }
}

/// The state of a register in a line of the log.
fn parse(line: &str, register: &str) -> Option<Scalar> {
    let (_, state) = line.split_once(';')?;
    let (_, text) = state.split_once(&format!("R{register}="))?;
    let text = text.strip_prefix('P').unwrap_or(text);
    let Some(parts) = text.strip_prefix("scalar(") else {
        return Some(Scalar::constant(number(text.split(' ').next()?)));
    };
    // The bits are the last part, and have brackets of their own; other registers may follow.
    let (parts, bits) = match parts.split_once("var_off=(") {
        Some((parts, bits)) if !parts.contains(')') => {
            let (value, mask) = bits.split_once(')')?.0.split_once("; ")?;
            (parts, Tnum::new(number(value), number(mask)))
        }
        _ => (parts.split(')').next()?, Tnum::UNKNOWN),
    };
    let mut found: HashMap<&str, u64> = HashMap::new();
    for part in parts.split(',').filter(|part| !part.is_empty() && !part.starts_with("id=")) {
        let mut names: Vec<&str> = part.split('=').collect();
        let value = number(names.pop()?);
        names.into_iter().for_each(|name| _ = found.insert(name, value));
    }
    let get = |name: &str, default: u64| found.get(name).copied().unwrap_or(default);
    let half = |value: u64| value as u32;
    let s64 = Range::new(get("smin", 1 << 63).cast_signed(), get("smax", u64::MAX >> 1).cast_signed());
    let s32 = Range::new(
        half(get("smin32", 1 << 31)).cast_signed(),
        half(get("smax32", u64::from(u32::MAX >> 1))).cast_signed(),
    );
    let u64 = Range::new(get("umin", 0), get("umax", u64::MAX));
    let u32 = Range::new(half(get("umin32", 0)), half(get("umax32", u64::from(u32::MAX))));
    Some(Scalar::exactly(bits, u64, s64, u32, s32))
}

fn compare(seed: u64) -> usize {
    let mut program = Program::new(seed);
    for _ in 0..12 {
        program.step();
    }
    let text = program.text();
    let insns = ebpf::assemble(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let definition =
        ProgramDefinition { name: "domain", prog_type: ProgType::SocketFilter, insns: &insns, license: "GPL" };
    let options = ProgramOptions { log: LogLevel::States, ..ProgramOptions::default() };
    let loaded = LoadedProgram::load_with(&definition, options).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let log = loaded.log().text();
    let mut compared = 0;
    for (at, states) in &program.expected {
        // The first time that the instruction is met; ways that were put off come later.
        let start = format!("{at}: (");
        let Some(line) = log.lines().find(|line| line.starts_with(&start)) else {
            panic!("seed {seed}: the verifier does not get to line {at}\n{text}\n{log}")
        };
        for (state, name) in states.iter().zip(NAMES) {
            let (Some(state), Some(found)) = (state, parse(line, name)) else { continue };
            assert_eq!(*state, found, "seed {seed}, line {at}: ours {state}, the kernel's {found}\n{text}\n{log}");
            compared += 1;
        }
    }
    compared
}

#[test]
fn the_verifier_agrees() {
    if !applies() {
        return;
    }
    let compared: usize = (1..=4_000).map(compare).sum();
    assert!(compared > 8_000, "only {compared} states were in the logs");
}

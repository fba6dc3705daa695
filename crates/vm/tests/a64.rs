//! Code for AArch64 in an emulator against the interpreter: result, fault with its place, fuel, memory.
//!
//! The programs of a test go to the emulator in one file, which `a64/harness.c` runs. Without the emulator or the cross
//! compiler (Debian: qemu-user, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross) a test is skipped and says so; with
//! `SKEP_REQUIRE_KERNEL=1` it fails instead.
//!
//! The harness has neither maps nor other programs. What needs them (tail calls, callbacks, look-ups in place, the values
//! of maps) runs in the emulator as a whole, with the crate compiled for AArch64: `rustup target add
//! aarch64-unknown-linux-gnu`, then `cargo test --target aarch64-unknown-linux-gnu -p skep-vm --test ebpf --test helpers`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use skep_isa::ProgType;
use skep_isa::ebpf::{Callee, Imm64, Insn, InsnIdx, Op, assemble, decode_program};
use skep_testkit::conformance::{Expect, families};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::foreign::{END_WORDS, ForeignEnd, ForeignProgram, header};
use skep_vm::ebpf::{Engine, FaultKind, Helpers, Input, Region, Setup};
use skep_vm::fuzz::{Bytes, arbitrary_program, arithmetic_program, idiom_program};
use tempfile::TempDir;

/// How a run ended: register 0, or the fault and its instruction.
type Ended = Result<u64, (InsnIdx, FaultKind)>;

/// How code is generated.
#[derive(Clone, Copy)]
struct Mode {
    blinding: Option<u32>,
    proved: bool,
}

const CHECKED: Mode = Mode { blinding: None, proved: false };
const BLINDED: Mode = Mode { blinding: Some(0x9e37_79b9), proved: false };
/// For programs that a verifier would accept.
const PROVED: Mode = Mode { blinding: None, proved: true };

/// What the interpreter says, and what the emulator is asked.
struct Asked {
    name: String,
    program: ForeignProgram,
    ended: Ended,
    fuel_used: u64,
    fuel: u64,
    context: Vec<u8>,
}

/// The harness, and the jobs that are written for it.
struct Emulator {
    directory: TempDir,
    jobs: BufWriter<File>,
    asked: Vec<Asked>,
}

fn helpers() -> Helpers {
    Helpers::none().with(5, |_, [r1, ..]| Ok(r1))
}

fn compile(harness: &Path) -> io::Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/a64/harness.c");
    let mut compiler = Command::new("aarch64-linux-gnu-gcc");
    let status = compiler.args(["-static", "-O2", "-Wall", "-Werror", "-o"]).arg(harness).arg(source).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("the cross compiler cannot build the harness")) }
}

impl Emulator {
    /// `None`, with a message, if there is no emulator or cross compiler.
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let there = compile(&directory.path().join("harness"))
            .and_then(|()| Command::new("qemu-aarch64").arg("--version").output());
        if let Err(error) = there {
            println!("SKIPPED: AArch64 code in an emulator: {error}; install qemu-user and gcc-aarch64-linux-gnu");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {error}");
            return None;
        }
        let file = File::create(directory.path().join("jobs")).unwrap_or_else(|error| panic!("{error}"));
        let mut emulator = Self { directory, jobs: BufWriter::new(file), asked: Vec::new() };
        emulator.write(&header().unwrap_or_else(|| panic!("the stubs cannot be encoded")));
        Some(emulator)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.jobs.write_all(bytes).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Interprets a program and asks the emulator for the same. `false` if the program does not load.
    fn ask(&mut self, name: &str, insns: &[Insn], input: (&[u8], &[u8]), fuel: u64, mode: Mode) -> bool {
        let (context, packet) = input;
        let setup = Setup::new().helpers(helpers()).fuel(fuel).engine(Engine::InterpreterByPage);
        let Ok(vm) = setup.program(name, ProgType::SocketFilter, insns).load() else { return false };
        let program = ForeignProgram::new(insns, &helpers(), mode.blinding, mode.proved);
        let program = program.unwrap_or_else(|| panic!("{name}: loads but cannot be compiled"));
        let mut worker = vm.worker().unwrap_or_else(|error| panic!("{error}"));
        let mut after = context.to_vec();
        let result = worker.run(0, Input { context: &mut after, packet, meta: &Metadata::default() });
        let job = program.job(context, packet, fuel);
        self.write(&job);
        let ended = result.map_err(|fault| (fault.at, without_region(fault.kind)));
        let name = name.to_owned();
        self.asked.push(Asked { name, program, ended, fuel_used: worker.fuel_used(), fuel, context: after });
        true
    }

    /// Runs the emulator and compares. Gives the number of runs that count.
    fn compare(mut self, listing: impl Fn(&str) -> String) -> usize {
        self.write(&[0; 8]);
        self.jobs.flush().unwrap_or_else(|error| panic!("{error}"));
        let path = |name: &str| -> PathBuf { self.directory.path().join(name) };
        let output = Command::new("qemu-aarch64").arg(path("harness")).arg(path("jobs")).output();
        let output = output.unwrap_or_else(|error| panic!("qemu-aarch64: {error}"));
        let mut results = output.stdout.as_slice();
        let mut compared = 0;
        for asked in &self.asked {
            let name = &asked.name;
            let Some(end) = read_end(&mut results) else {
                let errors = String::from_utf8_lossy(&output.stderr);
                panic!("{name}: the emulator ended with {}: {errors}\n{}", output.status, listing(name));
            };
            let (padded, rest) = results.split_at(asked.context.len().next_multiple_of(8));
            results = rest;
            if end.unsupported {
                continue;
            }
            let ended = match end.how {
                0 => Ok(end.value),
                _ => Err(asked.program.explain(&end).unwrap_or_else(|| panic!("{name}: stopped nowhere: {end:x?}"))),
            };
            assert_eq!(ended, asked.ended, "{name}\n{}", listing(name));
            let left = if matches!(ended, Err((_, FaultKind::OutOfFuel))) { 0 } else { end.fuel };
            assert_eq!(asked.fuel - left, asked.fuel_used, "{name}: fuel\n{}", listing(name));
            assert_eq!(&padded[..asked.context.len()], asked.context, "{name}: memory\n{}", listing(name));
            compared += 1;
        }
        assert!(results.is_empty() && output.status.success(), "the emulator ended with {}", output.status);
        compared
    }
}

fn read_end(results: &mut &[u8]) -> Option<ForeignEnd> {
    let (words, rest) = results.split_at_checked(8 * END_WORDS)?;
    *results = rest;
    let mut numbers = [0; END_WORDS];
    for (number, bytes) in numbers.iter_mut().zip(words.chunks_exact(8)) {
        *number = u64::from_le_bytes(bytes.try_into().ok()?);
    }
    Some(ForeignEnd::new(&numbers))
}

/// The harness does not look up what lies at an address.
fn without_region(kind: FaultKind) -> FaultKind {
    match kind {
        FaultKind::OutOfBounds { address, size, access, .. } => {
            FaultKind::OutOfBounds { address, size, access, region: Region::Unmapped }
        }
        kind => kind,
    }
}

/// Programs of more slots are run in one mode only: an emulator needs seconds to translate a million.
const LARGE: usize = 2_048;
/// Fuel of the conformance set: jumps backwards over forty thousand blocks cost what they span.
const FUEL: u64 = 1 << 40;

/// The families of one half of the conformance set, as programs with and without a verifier's proof. The interpreter
/// has to agree with the expectation too.
fn run_half(half: usize) {
    let chosen = families().iter().enumerate().filter(|(index, _)| index % 2 == half).map(|(_, family)| family);
    for family in chosen {
        let Some(mut emulator) = Emulator::new() else { return };
        let mut rejected = 0;
        for case in family.cases() {
            let mut ask = |mode| emulator.ask(&case.name, &case.insns, (&case.memory, &[]), FUEL, mode);
            let loads = ask(CHECKED) && (case.insns.len() > LARGE || ask(PROVED));
            match case.expect {
                Expect::Rejected => {
                    assert!(!loads, "{}: was not refused", case.name);
                    rejected += 1;
                }
                Expect::Value(value) => {
                    let asked = emulator.asked.last().filter(|_| loads);
                    assert_eq!(asked.map(|asked| asked.ended), Some(Ok(value)), "{}", case.name);
                }
            }
        }
        let compared = emulator.compare(|_| String::new());
        println!("{}: {compared} runs, {rejected} programs refused", family.name);
        assert!(compared + rejected > 0, "{} is empty", family.name);
    }
}

#[test]
fn first_half_of_the_conformance_set() {
    run_half(0);
}

#[test]
fn second_half_of_the_conformance_set() {
    run_half(1);
}

/// Steps that compute register 0 from registers 1 and 2, with the number of processor instructions for them.
const SEQUENCES: [(&str, usize); 24] = [
    ("r0 = r1; r0 += r2", 1),
    ("r0 = r1; r0 <<= 3; r0 += r2", 1),
    ("r1 <<= 3; r2 += r1; r0 = r2", 2),
    ("r0 = r2; r1 s>>= 7; r0 -= r1", 2),
    ("w0 = w1; w0 >>= 5; w0 ^= w2", 1),
    ("w0 = w1; r0 <<= 2; r0 += r2", 1),
    ("w0 = w1; r0 += r2", 1),
    // A move of 32 bits in front of a shift to the right, and a shift that is read again.
    ("w0 = w1; r0 >>= 2; r0 += r2", 2),
    ("r0 = r1; r0 <<= 3; r2 += r0; r0 ^= r2", 3),
    ("r0 = r1; r0 <<= 32; r0 >>= 32", 1),
    ("r0 = r1; r0 <<= 48; r0 s>>= 56", 1),
    ("r0 = r1; r0 >>= 9; r0 &= 127", 1),
    ("r0 = r1; r0 >>= 9; r0 &= 6", 2),
    ("w0 = w1; w0 >>= 24; w0 &= 255", 1),
    ("r0 = r1; r0 <<= 13; r1 >>= 51; r0 |= r1", 1),
    ("w0 = w1; w0 <<= 13; w1 >>= 19; w0 |= w1", 1),
    ("r0 = r1; r0 *= r2; r0 += r1", 1),
    ("r1 *= r2; r2 -= r1; r0 = r2", 2),
    ("r0 = r1; r0 %= r2", 2),
    ("r0 = *(u16 *)(r1 + 0); r0 = be16 r0", 2),
    ("r0 = 1; if r1 == 0 goto +1; r0 = 2", 3),
    ("r0 = 1; if w1 s< 0 goto +1; r0 = 2", 3),
    ("r0 = 1; if r1 & 64 goto +1; r0 = 2", 3),
    ("r0 = 1; if r1 & 65 goto +1; r0 = 2", 5),
];

#[test]
fn sequences_are_recognized() {
    for (text, expected) in SEQUENCES {
        let text = format!("{}\nexit\n", text.replace("; ", "\n"));
        let insns = assemble(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let program = ForeignProgram::new(&insns, &helpers(), None, false).unwrap_or_else(|| panic!("{text}"));
        // Around them: a landing pad, the return, and five instructions that lead to the stub for stops.
        assert_eq!(program.code_len() / 4 - 7, expected, "{text}");
    }
}

/// Random bytes that are the same in every run.
fn random(seed: u64) -> Vec<u8> {
    let mut rng = skep_testkit::Rng::new(seed);
    (0..512).map(|_| rng.u8()).collect()
}

/// The same program without what the harness does not have: maps, most helpers, the special areas of packet loads.
fn for_harness(insns: &[Insn]) -> Option<Vec<Insn>> {
    let mut out = Vec::new();
    for (_, op) in decode_program(insns).ok()? {
        let op = match op {
            Op::Call(Callee::Helper(_)) => Op::Call(Callee::Helper(5)),
            Op::LoadImm { dst, value: Imm64::MapFd(value) | Imm64::MapIdx(value) } => {
                Op::LoadImm { dst, value: Imm64::Value(value as u64) }
            }
            Op::LoadImm { dst, value: Imm64::MapFdValue { offset, .. } | Imm64::MapIdxValue { offset, .. } } => {
                Op::LoadImm { dst, value: Imm64::Value(0x0100_0fc0 + u64::from(offset)) }
            }
            Op::LdAbs { size, k } => Op::LdAbs { size, k: k & i32::MAX },
            op => op,
        };
        op.emit(&mut out);
    }
    Some(out)
}

/// Random programs, one in four with blinded constants.
fn random_programs(count: u64, make: impl Fn(&mut Bytes<'_>) -> Option<Vec<Insn>>) -> usize {
    let Some(mut emulator) = Emulator::new() else { return usize::MAX };
    let program = |seed| {
        let data = random(seed);
        let mut bytes = Bytes::new(&data);
        let insns = make(&mut bytes);
        (insns, bytes.take(256).to_vec())
    };
    for seed in 0..count {
        let (Some(insns), packet) = program(seed) else { continue };
        let mode = if seed.is_multiple_of(4) { BLINDED } else { CHECKED };
        emulator.ask(&seed.to_string(), &insns, (&[7; 64], &packet), 2_000, mode);
    }
    emulator.compare(|name| {
        let insns = name.parse().ok().and_then(|seed| program(seed).0).unwrap_or_default();
        skep_isa::ebpf::disassemble(&insns).unwrap_or_else(|error| error.to_string())
    })
}

#[test]
fn computing_programs() {
    assert!(random_programs(3_000, |bytes| Some(arithmetic_program(bytes))) >= 3_000);
}

#[test]
fn sequences_with_shorter_code() {
    assert!(random_programs(6_000, |bytes| Some(idiom_program(bytes))) >= 6_000);
}

#[test]
fn arbitrary_programs() {
    let compared = random_programs(8_000, |bytes| for_harness(&arbitrary_program(bytes)));
    println!("{compared} programs");
    assert!(compared > 500, "only {compared} programs load");
}

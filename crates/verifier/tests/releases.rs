//! Programs on which releases differ: the verdict for the running kernel is the running kernel's. In the machines of
//! `cargo xtask vm` that is Linux 6.1 or 6.12.
//!
//! Written ones show a rule each. The others are made: every helper without arguments and every place of the context
//! that some of the kernels allow and others do not, and random programs that our rules judge differently.

mod agreement;

use skep_isa::ProgType::{
    self, CgroupSkb, Kprobe, LwtIn, LwtXmit, PerfEvent, RawTracepoint, SchedCls, SkMsg, SkSkb, SockOps, SocketFilter,
    Tracepoint, Xdp,
};
use skep_isa::ebpf::{Insn, assemble};
use skep_isa::helpers::HELPERS;
use skep_kernel::{KernelError, LoadedProgram, ProgramDefinition};
use skep_object::{Object, Program};
use skep_testkit::Rng;
use skep_verifier::{Kernel, verify};
use skep_vm::fuzz::{Bytes, arbitrary_program, arithmetic_program, idiom_program};

/// Types of programs that are loaded without a place of attachment.
const TYPES: &[ProgType] = &[
    SocketFilter,
    Xdp,
    SchedCls,
    Kprobe,
    Tracepoint,
    PerfEvent,
    RawTracepoint,
    CgroupSkb,
    LwtIn,
    LwtXmit,
    SkMsg,
    SkSkb,
    SockOps,
];

// TABLE
/// A rule, a program, and which of 6.1, 6.12 and 6.18 take it.
const WRITTEN: &[(&str, &str, [bool; 3])] = &[
    ("signed division", "r0 = 7\nr1 = 2\nr0 s/= r1\nexit", [false, true, true]),
    ("signed remainder", "r0 = 7\nr1 = 2\nr0 s%= r1\nexit", [false, true, true]),
    ("signed copies", "r1 = 200\nr0 = (s8)r1\nexit", [false, true, true]),
    ("signed loads", "*(u64 *)(r10 - 8) = 1\nr0 = *(s8 *)(r10 - 8)\nexit", [false, true, true]),
    ("byte swaps without condition", "r0 = 1\nr0 = bswap64 r0\nexit", [false, true, true]),
    // They came into 6.1.72 as well.
    ("long jumps", "call 7\nif r0 == 1 goto +1\ngotol +1\nr0 = 2\nexit", [true, true, true]),
    ("signed division that no path comes to", "r0 = 7\nif r0 == 7 goto +1\nr0 s/= r0\nexit", [true, true, true]),
    ("signed copies that no path comes to", "r0 = 7\nif r0 == 7 goto +1\nr0 = (s8)r0\nexit", [true, true, true]),
    (
        "signed loads that no path comes to",
        "r0 = 7\nif r0 == 7 goto +1\nr0 = *(s8 *)(r1 + 0)\nexit",
        [false, true, true],
    ),
    ("may_goto", "r0 = 1\nmay_goto +1\ngoto -2\nexit", [false, true, true]),
    ("loads with order", "*(u64 *)(r10 - 8) = 1\nr0 = load_acquire((u64 *)(r10 - 8))\nexit", [false, false, true]),
    ("stores with order", "r1 = 1\nstore_release((u64 *)(r10 - 8), r1)\nr0 = 0\nexit", [false, false, true]),
    ("stack that was never written", "r0 = *(u64 *)(r10 - 8)\nexit", [false, true, true]),
    ("half a word that was never written", "*(u32 *)(r10 - 8) = 1\nr0 = *(u64 *)(r10 - 8)\nexit", [false, true, true]),
    ("bounded loops", "r0 = 0\nr0 += 1\nif r0 < 10 goto -2\nexit", [true, true, true]),
    (
        "falling into the start of a loop",
        "r1 = 0\nr0 = 0\ngoto +1\nr1 += 1\nif r1 < 4 goto -2\nexit",
        [false, true, true],
    ),
    (
        "loops that count on the stack",
        "call 7\nr0 &= 255\n*(u64 *)(r10 - 8) = r0\nr0 = 0\nr0 = *(u64 *)(r10 - 8)\nif r0 > 10 goto +4\nr0 += 1\n\
         *(u64 *)(r10 - 8) = r0\nr0 = 0\ngoto -6\nr0 = 0\nexit",
        [false, true, true],
    ),
    ("endless loops", "r0 = 0\ngoto -1\nexit", [false, false, false]),
    ("registers that were never written", "r0 = r5\nexit", [false, false, false]),
];

/// Rules that Linux 6.1 has lost in 6.1.191. What is said of 6.1 is to hold for the patch releases before as well.
const LOST_IN_6_1: &[&str] = &["stack that was never written", "half a word that was never written"];

// TABLE
/// Programs that no kernel takes, found by changing programs that it takes: a rule, a type, and the program.
const REFUSED: &[(&str, ProgType, &str)] = &[
    ("the start of a tracepoint's record", Tracepoint, "r0 = *(u64 *)(r1 + 0)\nr0 = 0\nexit"),
    (
        "a result at a place that is no multiple of its size",
        SocketFilter,
        "*(u64 *)(r10 - 16) = 0\nr1 = r10\nr1 += -16\nr2 = 8\nr3 = 10\nr4 = r10\nr4 += -28\ncall 105\nr0 = 0\nexit",
    ),
    (
        "an argument at such a place",
        SchedCls,
        "*(u64 *)(r10 - 8) = 0\nr2 = 0\nr3 = r10\nr3 += -5\nr4 = 0\nr5 = 0\ncall 163\nr0 = 0\nexit",
    ),
];

#[test]
fn refused_programs() {
    let running = agreement::running();
    for (rule, prog_type, text) in REFUSED {
        let insns = assemble(text).unwrap_or_else(|error| panic!("{rule}: {error}"));
        for kernel in Kernel::ASKED {
            assert_eq!(verdict(&insns, *prog_type, kernel), Some(false), "{rule} on {}", kernel.name());
        }
        if running.is_some() {
            assert_eq!(kernel_takes(&insns, *prog_type), Some(false), "{rule}: the running kernel");
        }
    }
}

fn verdict(insns: &[Insn], prog_type: ProgType, kernel: Kernel) -> Option<bool> {
    let program = Program::new("test", prog_type, insns.to_vec());
    let object = Object { license: "GPL".to_owned(), ..Object::default() };
    verify(&object, &program, kernel).accepted()
}

/// The kernel's verdict; `None` if it gives none.
fn kernel_takes(insns: &[Insn], prog_type: ProgType) -> Option<bool> {
    let definition = ProgramDefinition { name: "skep_test", prog_type, insns, license: "GPL" };
    match LoadedProgram::load(&definition) {
        Ok(_) => Some(true),
        Err(KernelError::Rejected { .. } | KernelError::Invalid { .. }) => Some(false),
        Err(_) => None,
    }
}

#[test]
fn written_programs() {
    let running = agreement::running();
    for (rule, text, expected) in WRITTEN {
        let insns = assemble(text).unwrap_or_else(|error| panic!("{rule}: {error}"));
        for (kernel, takes) in Kernel::ASKED.into_iter().zip(*expected) {
            assert_eq!(verdict(&insns, SocketFilter, kernel), Some(takes), "{rule} on {}", kernel.name());
            if running == Some(kernel) {
                let theirs = kernel_takes(&insns, SocketFilter);
                let lost = kernel == Kernel::V6_1 && LOST_IN_6_1.contains(rule) && theirs == Some(true);
                assert!(lost || theirs == Some(takes), "{rule}: the running kernel: {theirs:?}");
            }
        }
    }
}

/// Whether the kernels that were asked differ on a program, by our rules.
fn differs(insns: &[Insn], prog_type: ProgType) -> bool {
    let verdicts = Kernel::ASKED.map(|kernel| verdict(insns, prog_type, kernel));
    verdicts.iter().all(Option::is_some) && verdicts.iter().any(|one| *one != verdicts[0])
}

/// Programs that the kernels judge differently.
fn made() -> Vec<(String, Vec<Insn>, ProgType)> {
    let mut found = Vec::new();
    let mut add = |what: String, insns: Vec<Insn>, prog_type: ProgType| {
        if differs(&insns, prog_type) {
            found.push((what, insns, prog_type));
        }
    };
    for prog_type in TYPES.iter().copied() {
        let plain = HELPERS.iter().filter(|helper| helper.signatures.iter().all(|one| one.args.is_empty()));
        for helper in plain {
            let insns = assemble(&format!("call {}\nr0 = 0\nexit", helper.id)).unwrap();
            add(format!("{prog_type}: {}", helper.name), insns, prog_type);
        }
        for (size, name) in [(1, "u8"), (2, "u16"), (4, "u32"), (8, "u64")] {
            for off in (0..256).step_by(size) {
                let load = assemble(&format!("r0 = *({name} *)(r1 + {off})\nr0 = 0\nexit")).unwrap();
                add(format!("{prog_type}: {size} bytes at {off} are read"), load, prog_type);
                let store = assemble(&format!("r0 = 0\n*({name} *)(r1 + {off}) = r0\nexit")).unwrap();
                add(format!("{prog_type}: {size} bytes at {off} are written"), store, prog_type);
            }
        }
    }
    let mut rng = Rng::new(6);
    for number in 0..12_000 {
        let maker = rng.pick(&[idiom_program, arithmetic_program, arbitrary_program]);
        let insns = maker(&mut Bytes::new(&rng.bytes(200)));
        let prog_type = rng.pick(&[SocketFilter, Xdp, SchedCls, Kprobe]);
        add(format!("{prog_type}: random program {number}"), insns, prog_type);
    }
    found
}

#[test]
fn made_programs() {
    let Some(kernel) = agreement::running() else { return };
    let programs = made();
    let (mut same, mut silent, mut taken, mut wrong) = (0, 0, 0, Vec::new());
    for (what, insns, prog_type) in &programs {
        let ours = verdict(insns, *prog_type, kernel);
        match kernel_takes(insns, *prog_type) {
            None => silent += 1,
            theirs if theirs == ours => {
                same += 1;
                taken += u32::from(theirs == Some(true));
            }
            theirs => wrong.push(format!("{what}: the kernel {theirs:?}, we {ours:?}\n{insns:?}")),
        }
    }
    println!(
        "{} programs differ between the kernels: {same} verdicts of Linux {} are the same ({taken} taken), {silent} have none",
        programs.len(),
        kernel.name()
    );
    assert!(wrong.is_empty(), "{} are not the same:\n{}", wrong.len(), wrong.join("\n"));
    assert!(same > 20, "{same}");
}

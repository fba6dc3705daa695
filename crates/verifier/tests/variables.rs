//! Variables of the kernel: what we say of programs that use them is what the running kernel says. Kernels that are not
//! built to tell addresses of variables take none of these programs; those of Debian, in the emulator, tell them.

mod agreement;

use agreement::Theirs;
use skep_btf::Kind as Type;
use skep_isa::ProgType;
use skep_isa::ebpf::{Imm64, Insn, Op, Reg, assemble};
use skep_kernel::RunningKernel;
use skep_object::{KernelInfo as _, Object, Program};
use skep_verifier::{Terms, verify_by};

// TABLE
/// A rule, a variable of each processor, what is done with its address in register 1, and whether kernels that tell the
/// address take that.
const PROGRAMS: &[(&str, &str, &str, bool)] = &[
    ("the address alone", "bpf_prog_active", "r0 = 0\nexit", true),
    ("a comparison with null", "bpf_prog_active", "r0 = 0\nif r1 == 0 goto +0\nexit", true),
    ("the variable of nobody", "bpf_prog_active", "r0 = *(u32 *)(r1 + 0)\nexit", false),
    ("that of this processor", "bpf_prog_active", "call 154\nr0 = *(u32 *)(r0 + 0)\nexit", true),
    ("more than it has", "bpf_prog_active", "call 154\nr0 = *(u64 *)(r0 + 0)\nexit", false),
    ("a write", "bpf_prog_active", "call 154\n*(u32 *)(r0 + 0) = 1\nr0 = 0\nexit", false),
    (
        "that of a processor that may be missing",
        "bpf_prog_active",
        "r2 = 0\ncall 153\nr0 = *(u32 *)(r0 + 0)\nexit",
        false,
    ),
    (
        "that of a processor",
        "bpf_prog_active",
        "r2 = 0\ncall 153\nif r0 == 0 goto +2\nr0 = *(u32 *)(r0 + 0)\nexit\nexit",
        true,
    ),
    ("a structure", "runqueues", "call 154\nr0 = *(u32 *)(r0 + 4)\nexit", true),
    ("a structure of nobody", "runqueues", "r0 = *(u32 *)(r1 + 4)\nexit", false),
    ("a structure, written", "runqueues", "call 154\n*(u32 *)(r0 + 4) = 1\nr0 = 0\nexit", false),
    ("a structure that may be missing", "runqueues", "r2 = 0\ncall 153\nr0 = *(u32 *)(r0 + 4)\nexit", false),
    ("no variable", "runqueues", "r1 = 0\ncall 154\nr0 = 0\nexit", false),
];

#[test]
fn variables_of_each_processor() {
    let Some(release) = agreement::running() else { return };
    let kernel = RunningKernel::new();
    let Some(types) = kernel.btf() else { return agreement::skip("the kernel shows no types") };
    let tells = agreement::tells_variables(&kernel);
    let mut decided = 0;
    for (rule, variable, text, taken) in PROGRAMS {
        let Some(id) = types.find_type(variable, |kind| matches!(kind, Type::Var { .. })) else { continue };
        let mut insns: Vec<Insn> = Vec::new();
        let value = Imm64::BtfVar { id: i32::try_from(id.0).unwrap(), fd: 0 };
        Op::LoadImm { dst: Reg::R1, value }.emit(&mut insns);
        insns.extend(assemble(text).unwrap());
        let mut object = Object::new("GPL");
        object.add_program(Program::new("test", ProgType::RawTracepoint, insns));
        let terms = Terms { types: Some(&types), variables: Some(tells), ..Terms::default() };
        let ours = verify_by(&object, &object.programs[0], release, &terms);
        let Some(accepted) = ours.accepted() else { continue };
        assert_eq!(accepted, *taken && tells, "{rule}: {ours:?}");
        match agreement::theirs(&object, &object.programs[0]) {
            Theirs::Takes => assert!(accepted, "{rule}: the kernel takes it, we say {ours:?}"),
            Theirs::Refuses(words) => assert!(!accepted, "{rule}: {words}"),
            // What is missing is not the program's fault; here it is what is decided.
            Theirs::Silent(words) => assert!(!tells && !accepted, "{rule}: {words}"),
        }
        decided += 1;
    }
    println!("{decided} programs, addresses are {}", if tells { "told" } else { "not told" });
    assert!(decided == 0 || decided == PROGRAMS.len(), "{decided}");
}

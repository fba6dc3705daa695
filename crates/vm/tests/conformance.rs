//! The conformance set on every engine and, where its verifier allows, on the running kernel.
//!
//! A family is one test, so that they run side by side. A kernel that is out of reach is a skip that is printed, and a
//! failure with `SKEP_REQUIRE_KERNEL=1`.

use skep_isa::ProgType;
use skep_isa::ebpf::Insn;
use skep_kernel::{KernelError, LoadedProgram, ProgramDefinition, test_verdict};
use skep_testkit::conformance::{Case, Expect, Family, KernelVerdict, families};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Engine, Helpers, Input, Setup, Vm};

const ENGINES: [Engine; 3] = [Engine::Interpreter, Engine::InterpreterByPage, Engine::Jit];

/// Fuel for the longest case: jumps backwards over forty thousand blocks cost what they span.
const FUEL: u64 = 1 << 40;

fn load(case: &Case) -> Result<Vm, skep_vm::ebpf::SetupError> {
    let helpers = Helpers::none().with(5, |_, [r1, ..]| Ok(r1));
    Setup::new().helpers(helpers).fuel(FUEL).program(&case.name, ProgType::SocketFilter, &case.insns).load()
}

fn run(case: &Case) {
    let vm = match (load(case), case.expect) {
        (Err(_), Expect::Rejected) => return,
        (Ok(_), Expect::Rejected) => panic!("{}: was not refused", case.name),
        (Err(error), Expect::Value(_)) => panic!("{}: {error}", case.name),
        (Ok(vm), Expect::Value(_)) => vm,
    };
    let Expect::Value(expected) = case.expect else { return };
    for engine in ENGINES {
        let mut worker = vm.worker().unwrap_or_else(|error| panic!("{error}"));
        worker.set_engine(engine);
        let mut context = case.memory.clone();
        let input = Input { context: &mut context, packet: &[], meta: &Metadata::default() };
        let result = worker.run(0, input);
        assert_eq!(result, Ok(expected), "{} on {engine:?}", case.name);
        let after = case.memory_after.as_ref().unwrap_or(&case.memory);
        assert_eq!(&context, after, "{} on {engine:?}: memory", case.name);
    }
}

fn kernel_load(insns: &[Insn]) -> Result<LoadedProgram, KernelError> {
    let definition = ProgramDefinition { name: "skep_test", prog_type: ProgType::SocketFilter, insns, license: "GPL" };
    LoadedProgram::load(&definition)
}

/// What the kernel had to say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    NotAsked,
    Agrees,
    /// Its verifier cannot follow the program, although no rule forbids it.
    Refuses,
}

fn run_in_kernel(case: &Case) -> Kernel {
    let (KernelVerdict::MayRun, Expect::Value(expected)) = (case.kernel, case.expect) else { return Kernel::NotAsked };
    let loaded = match kernel_load(&case.insns) {
        Ok(loaded) => loaded,
        Err(KernelError::Rejected { .. }) => return Kernel::Refuses,
        Err(error) => panic!("{}: {error}", case.name),
    };
    let result = test_verdict(&loaded, &[0; 64]).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    assert_eq!(result, expected as u32, "{} in the kernel", case.name);
    Kernel::Agrees
}

fn in_reach() -> bool {
    let mut insns = Vec::new();
    skep_isa::ebpf::Op::mov_imm(skep_isa::ebpf::Reg::R0, 0).emit(&mut insns);
    skep_isa::ebpf::Op::Exit.emit(&mut insns);
    match kernel_load(&insns) {
        Ok(_) => true,
        Err(error) => {
            println!("SKIPPED: the kernel: {error}");
            assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {error}");
            false
        }
    }
}

/// Runs the families of one half of the set; two tests share the work of two processors.
fn run_half(half: usize) {
    let kernel = in_reach();
    let chosen = families().iter().enumerate().filter(|(index, _)| index % 2 == half).map(|(_, family)| family);
    for family in chosen {
        let Family { name, .. } = family;
        let (mut cases, mut checks, mut agreed, mut refused) = (0, 0, 0, 0);
        for case in family.cases() {
            run(&case);
            let verdict = if kernel { run_in_kernel(&case) } else { Kernel::NotAsked };
            agreed += u32::from(verdict == Kernel::Agrees);
            refused += u32::from(verdict == Kernel::Refuses);
            cases += 1;
            checks += case.checks;
        }
        println!("{name}: {cases} programs, {checks} checks; the kernel agrees on {agreed}, refuses {refused}");
        assert!(cases > 0, "{name} is empty");
        assert_eq!(refused, 0, "{name}: the kernel refuses programs that the set marks as acceptable");
    }
}

#[test]
fn first_half() {
    run_half(0);
}

#[test]
fn second_half() {
    run_half(1);
}

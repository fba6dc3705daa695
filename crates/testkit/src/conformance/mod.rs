//! The conformance set for the 64-bit instruction set: programs with the results that they must have.
//!
//! Every engine runs the same cases: the interpreter, both code generators, the kernel. What the cases expect comes from
//! the evaluator in this module, which computes with integers wider than the machine's and shares no arithmetic with
//! `skep-isa`; only the encoding of instructions is taken from there.
//!
//! ```
//! use skep_testkit::conformance::{Expect, families};
//!
//! let division = families().iter().find(|family| family.name == "division").unwrap();
//! let case = division.cases().next().unwrap();
//! assert_eq!(case.expect, Expect::Value(0));
//! assert!(case.checks > 100 && !case.insns.is_empty());
//! ```
//!
//! # How a case is run
//! On entry register 1 is the address of a copy of [`Case::memory`] and register 2 its length in bytes. Helper 5
//! returns its first argument. Register 0 at the exit is the result. No case reads a register or a byte of stack that
//! it has not written, or touches memory outside of its own; none executes more than two million instructions.
//!
//! Most programs hold many checks and return 0 if all hold, else the number of the first one that fails (in the
//! families `table` and `condition-table`: the number of rows of the table that were left, this one included, and in
//! the high half the column).

mod alu;
mod asm;
mod atomics;
mod branches;
mod calls;
mod distance;
mod eval;
mod jumps;
mod long;
mod memory;
mod random;
mod registers;
mod reject;
mod script;
mod tables;
mod traps;
mod values;

use skep_isa::ebpf::{Cpu, Group, Insn};

/// A program, what it works on, and what must come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it tests; unique in the whole set.
    pub name: String,
    /// The program.
    pub insns: Vec<Insn>,
    /// The bytes behind register 1 on entry. Many cases have none.
    pub memory: Vec<u8>,
    /// The bytes behind register 1 after the run, `None` if the program must not change them.
    pub memory_after: Option<Vec<u8>>,
    /// What must come out.
    pub expect: Expect,
    /// Conformance group of the instruction under test.
    pub group: Group,
    /// The first version of the instruction set that has all instructions of the program.
    pub cpu: Cpu,
    /// Whether the kernel can be asked as well.
    pub kernel: KernelVerdict,
    /// Number of single statements that the program checks.
    pub checks: u32,
}

/// What must come of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The program ends with this value in register 0. `BPF_PROG_TEST_RUN` tells its low 32 bits only.
    Value(u64),
    /// The program is refused before it runs.
    Rejected,
}

/// What the kernel has to say about a case, loaded as a socket filter with all capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelVerdict {
    /// The rules of the verifier allow it, so that it must come to the same result.
    MayRun,
    /// The verifier refuses it although the instruction set gives it a meaning; the rule.
    Refuses(&'static str),
    /// The kernel accepts it and gives it another meaning; the reason.
    Differs(&'static str),
}

/// A shard of the set.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name; that of each of its cases starts with it.
    pub name: &'static str,
    /// Whether [`skep_isa::ebpf::validate`] refuses every rejected case. Those of the other families are well formed,
    /// and the loader must refuse them.
    pub malformed: bool,
    make: fn() -> Cases,
}

impl Family {
    /// The cases in a fixed order, made one at a time.
    pub fn cases(&self) -> impl Iterator<Item = Case> + use<> {
        (self.make)()
    }
}

type Cases = Box<dyn Iterator<Item = Case>>;

const fn family(name: &'static str, make: fn() -> Cases) -> Family {
    Family { name, malformed: false, make }
}

// TABLE
static FAMILIES: [Family; 18] = [
    family("alu", alu::cases),
    family("division", alu::division),
    family("table", tables::cases),
    family("registers", registers::cases),
    family("condition", jumps::cases),
    family("condition-table", jumps::tables),
    family("distance", distance::cases),
    family("long", long::cases),
    family("branches", branches::cases),
    family("memory", memory::cases),
    family("memory-far", memory::far),
    family("atomic", atomics::cases),
    family("call", calls::cases),
    family("trap", traps::cases),
    family("straight", random::straight),
    family("branchy", random::branchy),
    Family { name: "reject", malformed: true, make: reject::malformed },
    family("reject-loader", reject::loader),
];

/// All families, in a fixed order.
pub fn families() -> &'static [Family] {
    &FAMILIES
}

/// All cases of all families. The whole set has a few thousand programs; one is made at a time.
pub fn cases() -> impl Iterator<Item = Case> {
    families().iter().flat_map(|family| family.cases())
}

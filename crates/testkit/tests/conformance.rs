//! The conformance set tests itself: it is complete, well formed, the same every time, and made in little time.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use skep_isa::ebpf::{Callee, Imm64, InsnIdx, Op, ROWS, Reg, decode_program, validate};
use skep_testkit::conformance::{Case, Expect, KernelVerdict, cases, families};

/// Whether the instruction names register 10 as its result.
fn writes_frame_pointer(op: &Op) -> bool {
    match *op {
        Op::Alu { dst, .. }
        | Op::MovSx { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Swap { dst, .. }
        | Op::Load { dst, .. }
        | Op::LoadAcquire { dst, .. }
        | Op::LoadImm { dst, .. }
        | Op::Atomic { fetch: true, src: dst, .. } => dst == Reg::R10,
        _ => false,
    }
}

/// Whether the instruction asks a loader without maps, with helper 5 only and without a kernel for what it has not.
fn asks_in_vain(op: &Op) -> bool {
    match *op {
        Op::Call(Callee::Helper(id)) => id != 5,
        Op::Call(Callee::Kfunc { .. }) => true,
        Op::LoadImm { value: Imm64::Value(_) | Imm64::Func(_), .. } => false,
        Op::LoadImm { .. } => true,
        _ => false,
    }
}

fn check_shape(case: &Case, malformed: bool) -> Vec<(InsnIdx, Op)> {
    let name = &case.name;
    let decoded = validate(&case.insns);
    match (case.expect, decoded) {
        (Expect::Value(_), decoded) => {
            let ops = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!ops.iter().any(|(_, op)| writes_frame_pointer(op) || asks_in_vain(op)), "{name}");
            assert!(case.insns.len() <= 250_000, "{name} has {} slots", case.insns.len());
            if let Some(after) = &case.memory_after {
                assert_eq!(after.len(), case.memory.len(), "{name}");
            }
            if !case.memory.is_empty() {
                assert!(matches!(case.kernel, KernelVerdict::Refuses(_)), "{name}: the kernel has no memory");
            }
            ops
        }
        (Expect::Rejected, Err(_)) => {
            assert!(malformed, "{name} is not well formed");
            Vec::new()
        }
        (Expect::Rejected, Ok(ops)) => {
            assert!(!malformed, "{name} is well formed");
            let in_vain = ops.iter().any(|(_, op)| writes_frame_pointer(op) || asks_in_vain(op));
            assert!(in_vain, "{name} has no reason to be refused: {ops:?}");
            Vec::new()
        }
    }
}

/// Opcode and fixed fields of every instruction that some program with a value contains.
#[test]
fn all_instructions_appear_and_all_cases_are_well_formed() {
    let start = Instant::now();
    let mut names = HashSet::new();
    let mut seen = HashSet::new();
    let mut totals = (0u64, 0u64, 0u64);
    let mut verdicts = BTreeMap::new();
    for family in families() {
        let (mut programs, mut checks, mut slots) = (0u64, 0u64, 0u64);
        for case in family.cases() {
            assert!(case.name.starts_with(family.name), "{} in {}", case.name, family.name);
            assert!(names.insert(case.name.clone()), "{} twice", case.name);
            assert!(case.checks > 0, "{} checks nothing", case.name);
            check_shape(&case, family.malformed).iter().for_each(|&(at, _)| {
                if let Ok(row) = case.insns[at.index()].row() {
                    seen.insert(row.op);
                }
            });
            *verdicts.entry(format!("{:?}", case.kernel)).or_insert(0u32) += 1;
            programs += 1;
            checks += u64::from(case.checks);
            slots += case.insns.len() as u64;
        }
        println!("{:16} {programs:6} programs {checks:8} checks {slots:9} slots", family.name);
        assert!(programs > 0 && checks >= programs);
        totals = (totals.0 + programs, totals.1 + checks, totals.2 + slots);
    }
    println!("{totals:?} programs, checks, slots in {:?}; {verdicts:#?}", start.elapsed());
    assert!(totals.1 > 1_000_000, "{} checks", totals.1);
    // What needs a packet, a map or the kernel has no value without them.
    let needs_more = |op: &Op| {
        matches!(op, Op::LdAbs { .. } | Op::LdInd { .. } | Op::AddrSpaceCast { .. })
            || (asks_in_vain(op) && !matches!(op, Op::Call(Callee::Helper(_))))
    };
    let missing: Vec<_> = ROWS.iter().map(|row| row.op).filter(|op| !needs_more(op)).collect();
    // Rows are told apart by where they are while the programs are counted, by their text only here.
    let seen: BTreeSet<String> = seen.into_iter().map(|op| format!("{op:?}")).collect();
    let missing: Vec<_> = missing.into_iter().filter(|op| !seen.contains(&format!("{op:?}"))).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

/// Whoever shards the set makes all of it several times, so it must not cost much.
#[test]
fn making_all_cases_is_quick() {
    let start = Instant::now();
    let slots: usize = cases().map(|case| case.insns.len()).sum();
    println!("{slots} slots in {:?}", start.elapsed());
    // Five seconds on a quiet machine at any optimisation; the limit leaves room for a busy one.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn the_same_cases_every_time() {
    for family in families().iter().filter(|family| family.name != "long") {
        let (first, second): (Vec<_>, Vec<_>) =
            (family.cases().step_by(37).collect(), family.cases().step_by(37).collect());
        assert!(first == second, "{} differs", family.name);
    }
    let pairs = cases().take(5).zip(families()[0].cases());
    assert!(pairs.into_iter().all(|(a, b)| a == b));
}

#[test]
fn cases_are_found_by_name() {
    let find = |name: &str| cases().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    let smallest = find("branches smallest");
    assert_eq!(smallest.expect, Expect::Value(u64::MAX - 1));
    assert_eq!(decode_program(&smallest.insns).unwrap()[1].1, Op::Exit);
    assert_eq!(find("call itself").expect, Expect::Value(720));
    assert_eq!(find("reject empty program").expect, Expect::Rejected);
}

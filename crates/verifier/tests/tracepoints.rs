//! What arguments of tracepoints may be null: a program for each argument of each tracepoint that this kernel has reads the
//! first byte behind it without a check. What we accept the kernel accepts.

use skep_btf::{Kind as Type, TypeId};
use skep_isa::ebpf::{Op, Reg, Size, encode_program};
use skep_isa::{AttachType, ProgType};
use skep_kernel::{KernelError, LoadError, LoadOptions, RunningKernel, load_with};
use skep_object::{AttachPoint, KernelInfo as _, Object, Program};
use skep_verifier::{Kernel, Verdict, verify_with};

/// A program at a tracepoint that reads a byte of the structure that an argument leads to.
fn reader(tracepoint: &str, argument: i16) -> Object {
    let load = |size, dst, off| Op::Load { size, signed: false, dst, base: Reg::R1, off };
    let insns = [load(Size::DW, Reg::R1, 8 * argument), load(Size::B, Reg::R2, 0), Op::mov_imm(Reg::R0, 0), Op::Exit];
    let mut program = Program::new("reader", ProgType::Tracing, encode_program(insns));
    program.attach_type = Some(AttachType::TraceRawTp);
    program.attach = AttachPoint::RawTracepoint(tracepoint.to_owned());
    let mut object = Object::new("GPL");
    object.add_program(program);
    object
}

#[test]
fn arguments_that_may_be_null() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if !release.starts_with("6.18.") {
        // Nothing that could be put right.
        return println!("SKIPPED: the arguments were asked of Linux 6.18, this is {}", release.trim());
    }
    let may_load = skep_kernel::has_capability(skep_kernel::Capability::SysAdmin);
    let Some(types) = RunningKernel::new().btf().filter(|_| may_load) else {
        println!("SKIPPED: loading programs needs CAP_SYS_ADMIN and the kernel's types");
        assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped");
        return;
    };
    let (mut accepted, mut refused, mut undecided, mut wrongly) = (0, 0, 0, Vec::new());
    for id in types.ids() {
        let Ok(Type::Typedef(target)) = types.kind(id) else { continue };
        let Some(tracepoint) = types.name(id).ok().and_then(|name| name.strip_prefix("btf_trace_")) else { continue };
        let Ok(Type::Ptr(proto)) = types.resolved(target) else { continue };
        let Ok(Type::FuncProto(proto)) = types.kind(proto) else { continue };
        let is_structure = |ty: TypeId| match types.resolved(ty) {
            Ok(Type::Ptr(target)) => matches!(types.resolved(target), Ok(Type::Struct(_))),
            _ => false,
        };
        // The first parameter is the registration's own.
        for (argument, _) in (0..).zip(proto.params().skip(1)).filter(|(_, param)| is_structure(param.ty)) {
            let object = reader(tracepoint, argument);
            let theirs = match load_with(&object, &LoadOptions::default()) {
                Ok(_) => None,
                Err(LoadError::Program { error: KernelError::Rejected { log, reason, .. }, .. }) => {
                    Some(log.summary().map_or(reason, |(words, _)| words.to_owned()))
                }
                Err(error) => panic!("{tracepoint}, {argument}: {error}"),
            };
            match (verify_with(&object, &object.programs[0], Kernel::V6_18, &types), theirs) {
                (Verdict::Accepted(_), Some(why)) => wrongly.push(format!("{tracepoint}, {argument}: accepted; {why}")),
                (Verdict::Rejected(_), None) => wrongly.push(format!("{tracepoint}, {argument}: refused")),
                (Verdict::Undecided { .. }, _) => undecided += 1,
                (_, None) => accepted += 1,
                (_, Some(_)) => refused += 1,
            }
        }
    }
    println!("{accepted} accepted, {refused} refused, {undecided} undecided");
    assert!(wrongly.is_empty(), "{wrongly:#?}");
    assert!(accepted > 500 && refused > 20, "{accepted} accepted, {refused} refused");
}

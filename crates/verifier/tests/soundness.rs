//! Programs that are accepted run in the checked interpreter on random input without touching memory that is not theirs.

use skep_isa::ProgType;
use skep_object::{Object, Program};
use skep_random::random_test;
use skep_verifier::{Kernel, Loader, Terms, verify_by};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{FaultKind, Input, Setup};
use skep_vm::fuzz::{Bytes, arithmetic_program, idiom_program};

/// Bytes of `struct __sk_buff`.
const CONTEXT: usize = 192;

#[test]
fn accepted_programs_keep_to_their_memory() {
    let mut ran = 0u32;
    random_test(|u| {
        let bytes = u.bytes(u.len() / 2)?.to_vec();
        let mut insns = if u.arbitrary()? {
            idiom_program(&mut Bytes::new(&bytes))
        } else {
            arithmetic_program(&mut Bytes::new(&bytes))
        };
        for _ in 0..u.int_in_range(0..=2)? {
            let count = insns.len();
            if count == 0 {
                break;
            }
            let insn = &mut insns[u.choose_index(count)?];
            match u.int_in_range(0..=3)? {
                0 => insn.dst = u.int_in_range(0..=10)?,
                1 => insn.src = u.int_in_range(0..=10)?,
                2 => insn.off = u.int_in_range(-24..=24)?,
                _ => insn.imm = *u.choose(&[0, 1, -1, 8, 255, 511, 512, i32::MIN, i32::MAX])?,
            }
        }
        let program = Program::new("test", ProgType::SocketFilter, insns.clone());
        let object = Object::new("GPL");
        let loader = *u.choose(&[Loader::ALL, Loader { perfmon: false, ..Loader::ALL }, Loader::NONE])?;
        let terms = Terms { loader, ..Terms::default() };
        if verify_by(&object, &program, Kernel::newest(), &terms).accepted() != Some(true) {
            return Ok(());
        }
        let setup = Setup::new().fuel(100_000).program("test", ProgType::SocketFilter, &insns);
        let Ok(vm) = setup.load() else { return Ok(()) };
        let mut worker = vm.worker().expect("a worker");
        let mut context = [0; CONTEXT];
        u.fill_buffer(&mut context)?;
        let packet = u.bytes(u.len().min(64))?;
        let input = Input { context: &mut context, packet, meta: &Metadata::default() };
        if let Err(fault) = worker.run(0, input) {
            let memory = matches!(fault.kind, FaultKind::OutOfBounds { .. } | FaultKind::Misaligned { .. });
            assert!(!memory, "{fault}\n{insns:?}");
        }
        ran += 1;
        Ok(())
    })
    .budget_ms(2_000)
    .size_min(256)
    .size_max(1 << 12);
    assert!(ran > 5, "{ran} programs were accepted and ran");
}

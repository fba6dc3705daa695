//! Classic filters on sockets of the running kernel. Needs no privilege.

use skep_isa::classic::{ANCILLARY, AluOp, CheckError, FORMS, Insn, JmpOp, Size, check};
use skep_kernel::{KernelError, Verdicts, attach_classic, bpf_extensions, detach, lock_filter, verdict_classic};
use skep_random::random_test;
use skep_random::{Result, Unstructured};
use std::os::unix::net::UnixDatagram;

#[test]
fn verdicts_are_exact() {
    // The length of an IPv4 packet decides: keep as many bytes as the second byte says if the first one is 0x45.
    let filter = [
        Insn::ld_abs(Size::Byte, 0),
        Insn::jump_k(JmpOp::Eq, 0x45, 0, 2),
        Insn::ld_abs(Size::Byte, 1),
        Insn::ret_a(),
        Insn::ret_k(0),
    ];
    let verdicts = Verdicts::classic(&filter).unwrap();
    assert_eq!(verdicts.of(&[0x45, 3, 9, 9, 9]).unwrap(), Some(3));
    assert_eq!(verdicts.of(&[0x45, 200, 9]).unwrap(), Some(3), "not more than there is");
    assert_eq!(verdicts.of(&[0x45, 0, 9]).unwrap(), None);
    assert_eq!(verdicts.of(&[0x45]).unwrap(), None, "a load behind the end rejects");
    assert_eq!(verdicts.of(&[0x46, 3, 9]).unwrap(), None);
    assert_eq!(verdicts.of(&[]).unwrap(), None);
    assert_eq!(verdict_classic(&[Insn::ret_k(1)], &[]).unwrap(), Some(0), "accepted although empty");
}

#[test]
fn many_packets_through_one_filter() {
    let mut verdicts = Verdicts::classic(&[Insn::ld_abs(Size::Half, 0), Insn::ret_a()]).unwrap();
    for n in 0..20_000u16 {
        let [high, low] = n.to_be_bytes();
        let expected = (n != 0).then_some(u32::from(n).min(4));
        assert_eq!(verdicts.of(&[high, low, 0, 0]).unwrap(), expected);
    }
    verdicts.replace_classic(&[Insn::ld_len(), Insn::ret_a()]).unwrap();
    let large = vec![7; 65_536];
    assert_eq!(verdicts.of(&large).unwrap(), Some(65_536));
}

#[test]
fn shift_counts_are_masked_by_the_kernel() {
    let filter = [
        Insn::ld_abs(Size::Byte, 0),
        Insn::tax(),
        Insn::ld_imm(1),
        Insn::alu_x(AluOp::Lsh),
        Insn::jump_k(JmpOp::Eq, 2, 0, 1),
        Insn::ret_k(1),
        Insn::ret_k(0),
    ];
    let verdicts = Verdicts::classic(&filter).unwrap();
    assert_eq!(verdicts.of(&[1]).unwrap(), Some(1));
    assert_eq!(verdicts.of(&[33]).unwrap(), Some(1));
    assert_eq!(verdicts.of(&[2]).unwrap(), None);
}

#[test]
fn refusals_name_the_instruction() {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    let error = attach_classic(&socket, &[Insn::ld_mem(3), Insn::ret_a()]).unwrap_err();
    assert!(matches!(error, KernelError::Program(CheckError::Insn { at: 0, .. })), "{error}");
    assert!(error.to_string().contains("instruction (000)"), "{error}");
    let error = attach_classic(&socket, &[]).unwrap_err();
    assert!(matches!(error, KernelError::Program(CheckError::Empty)), "{error}");
    for len in [4097, 65_536, 70_000] {
        let error = attach_classic(&socket, &vec![Insn::ret_k(0); len]).unwrap_err();
        assert!(matches!(error, KernelError::Program(CheckError::TooLong(n)) if n == len), "{error}");
    }
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = attach_classic(&file, &[Insn::ret_k(0)]).unwrap_err();
    assert!(matches!(error, KernelError::System { .. }), "{error}");
}

#[test]
fn largest_programs() {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    let mut chain: Vec<Insn> = (1..4095).map(|k| Insn::jump_k(JmpOp::Eq, k, 0, 0)).collect();
    chain.extend([Insn::ret_k(0), Insn::ret_k(1)]);
    assert_eq!(chain.len(), 4096);
    match attach_classic(&socket, &chain) {
        Ok(()) | Err(KernelError::SocketMemory { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    // Loads translate to many instructions each, so this exceeds any limit that a machine keeps by default.
    let mut loads = vec![Insn::ld_abs(Size::Half, 12); 4095];
    loads.push(Insn::ret_a());
    match attach_classic(&socket, &loads) {
        Err(error @ KernelError::SocketMemory { insns: 4096, limit: Some(limit) }) => {
            assert!(limit > 0);
            assert!(error.to_string().contains("sysctl -w net.core.optmem_max="), "{error}");
        }
        Err(error) => panic!("{error}"),
        Ok(()) => assert!(skep_kernel::sysctl("net.core.optmem_max").is_some_and(|limit| limit > 131_072)),
    }
}

#[test]
fn remove_and_lock() {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    assert!(matches!(detach(&socket), Err(KernelError::NoFilter)));
    attach_classic(&socket, &[Insn::ret_k(1)]).unwrap();
    detach(&socket).unwrap();
    attach_classic(&socket, &[Insn::ret_k(1)]).unwrap();
    lock_filter(&socket).unwrap();
    assert!(matches!(attach_classic(&socket, &[Insn::ret_k(0)]), Err(KernelError::FilterLocked)));
    assert!(matches!(detach(&socket), Err(KernelError::FilterLocked)));
}

#[test]
fn ancillary_words_end_where_the_kernel_says() {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    let end = bpf_extensions(&socket).unwrap();
    let ours = ANCILLARY.iter().map(|word| word.offset + 4).max();
    assert_eq!(Some(end), ours);
}

/// Any instruction: mostly from the table, sometimes just bits.
fn any_insn(u: &mut Unstructured<'_>, len: usize) -> Result<Insn> {
    let small = |u: &mut Unstructured<'_>| u.int_in_range(0..=17u32);
    let code = if u.ratio(9, 10)? { u.choose(&FORMS)?.code() } else { u.arbitrary()? };
    let jump = u32::try_from(len).unwrap_or(8);
    let k = match u.int_in_range(0..=4)? {
        0 => small(u)?,
        1 => u.int_in_range(0..=jump)?,
        2 => skep_isa::classic::SKF_AD_OFF.wrapping_add(u.int_in_range(0..=68)?),
        3 => u.int_in_range(0..=64)?,
        _ => u.arbitrary()?,
    };
    let distance = |u: &mut Unstructured<'_>| if u.ratio(3, 4)? { u.int_in_range(0..=3) } else { u.arbitrary() };
    Ok(Insn { code, jt: distance(u)?, jf: distance(u)?, k })
}

/// Our checker and the kernel accept the same programs.
#[test]
fn checker_agrees_with_the_kernel() {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    let mut verdicts = [0u32; 2];
    random_test(|u| {
        let len = u.int_in_range(0..=12usize)?;
        let mut insns = (0..len).map(|_| any_insn(u, len)).collect::<Result<Vec<_>>>()?;
        if u.ratio(7, 8)? {
            insns.push(if u.arbitrary()? { Insn::ret_a() } else { Insn::ret_k(1) });
        }
        let ours = check(&insns);
        verdicts[usize::from(ours.is_ok())] += 1;
        match (ours, attach_classic(&socket, &insns)) {
            (Ok(()), Ok(())) | (Err(_), Err(KernelError::Program(_))) => {}
            (ours, kernel) => panic!("ours {ours:?}, kernel {kernel:?}, program {insns:?}"),
        }
        Ok(())
    })
    .budget_ms(1000);
    assert!(verdicts.iter().all(|&count| count > 10), "one-sided test: {verdicts:?}");
}

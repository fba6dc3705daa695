//! 64-bit programs and maps in the running kernel. Needs CAP_BPF; reports what it skips.

mod common;

use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

use common::can_load;
use skep_isa::classic::{self, ANCILLARY, FORMS, SKF_AD_OFF, Source};
use skep_isa::ebpf::{Insn, assemble};
use skep_isa::translate::{Options, TranslateError, translate};
use skep_isa::{MapType, ProgType};
use skep_kernel::{
    KernelError, LoadError, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, Update, Verdicts,
    attach_program, load, test_verdict,
};
use skep_object::{MapFlags, MapSpec, Object, Program};
use skep_random::random_test;
use skep_random::{Result, Unstructured};

fn filter(insns: &[Insn]) -> std::result::Result<LoadedProgram, KernelError> {
    LoadedProgram::load(&ProgramDefinition {
        name: "test",
        prog_type: ProgType::SocketFilter,
        insns,
        license: "Dual MIT/GPL",
    })
}

/// Random classic instructions; every word that is read was written before by the opening ones.
fn any_classic(u: &mut Unstructured<'_>) -> Result<Vec<classic::Insn>> {
    let mut insns = vec![classic::Insn::st(0), classic::Insn::stx(1)];
    let len = u.int_in_range(1..=30u8)?;
    for left in (1..=len).rev() {
        let op = *u.choose(&FORMS)?;
        let far = left.saturating_sub(1);
        let word = u.choose(&ANCILLARY)?;
        let k = match u.int_in_range(0..=5)? {
            0 if deterministic(word.source) => word.k(),
            1..=3 => u.int_in_range(0..=40)?,
            4 => u.int_in_range(0..=1)?,
            _ => u.arbitrary()?,
        };
        let insn = classic::Insn {
            code: op.code(),
            jt: u.int_in_range(0..=far)?,
            jf: u.int_in_range(0..=far)?,
            k: if op.code() == 5 { k % u32::from(left) } else { k },
        };
        // Forms that the kernel would refuse with these operands are replaced by a harmless one.
        let alone = [classic::Insn::st(0), classic::Insn::stx(1), insn];
        let mut whole = alone.to_vec();
        whole.extend(std::iter::repeat_n(classic::Insn::ret_a(), usize::from(left)));
        insns.push(if classic::check(&whole).is_ok() { insn } else { classic::Insn::tax() });
    }
    insns.push(classic::Insn::ret_a());
    Ok(insns)
}

/// Whether two runs on the same packet read the same value. Facts about the device are left out because these packets
/// have none.
fn deterministic(source: Source) -> bool {
    matches!(source, Source::Field(_) | Source::FieldBe16(_) | Source::XorX)
}

#[test]
fn translated_filters_agree_with_classic_ones() {
    if !can_load() {
        return;
    }
    let (mut runs, mut kept) = (0u32, 0u32);
    random_test(|u| {
        let insns = any_classic(u)?;
        if classic::check(&insns).is_err() {
            return Ok(());
        }
        let translated = match translate(&insns, &Options::default()) {
            Ok(translated) => translated.insns,
            Err(TranslateError::Ancillary { .. }) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let program = filter(&translated).unwrap_or_else(|error| panic!("{error}\n{insns:?}"));
        let as_classic = Verdicts::classic(&insns).unwrap();
        let as_program = Verdicts::program(&program).unwrap();
        for _ in 0..6 {
            let length = u.int_in_range(0..=48)?;
            let packet = u.bytes(u.len().min(length))?.to_vec();
            let expected = as_classic.of(&packet).unwrap();
            assert_eq!(as_program.of(&packet).unwrap(), expected, "{insns:?} {packet:02x?}");
            runs += 1;
            kept += u32::from(expected.is_some());
        }
        Ok(())
    })
    .budget_ms(1500);
    assert!(runs > 50 && kept > runs / 50 && kept < runs, "one-sided test: {kept} of {runs}");
}

#[test]
fn every_reachable_ancillary_word_passes_the_verifier() {
    if !can_load() {
        return;
    }
    for word in &ANCILLARY {
        let insns = [
            classic::Insn::ldx_imm(3),
            classic::Insn::ld_abs(classic::Size::Word, SKF_AD_OFF + word.offset),
            classic::Insn::ret_a(),
        ];
        match translate(&insns, &Options::default()) {
            Ok(translated) => drop(filter(&translated.insns).unwrap_or_else(|error| panic!("{}: {error}", word.name))),
            Err(error) => assert!(matches!(word.source, Source::Unreachable(_)), "{}: {error}", word.name),
        }
    }
}

#[test]
fn exact_results_and_offsets_of_test_runs() {
    if !can_load() {
        return;
    }
    let insns = [classic::Insn::ld_abs(classic::Size::Word, 0), classic::Insn::ret_a()];
    let program = filter(&translate(&insns, &Options::default()).unwrap().insns).unwrap();
    assert_eq!(test_verdict(&program, &[0xde, 0xad, 0xbe, 0xef, 1]).unwrap(), 0xdead_beef);
    assert_eq!(test_verdict(&program, &[0xde, 0xad, 0xbe]).unwrap(), 0, "a load behind the end");
    let mut frame = vec![0; 14];
    frame.extend([1, 2, 3, 4]);
    assert_eq!(program.test_run(&frame, 1000).unwrap().result, 0x0102_0304, "the Ethernet header is taken off");
    let error = program.test_run(&[0; 13], 1).unwrap_err();
    assert!(error.to_string().contains("Ethernet header of 14 bytes"), "{error}");
    let interface = [classic::Insn::ld_abs(classic::Size::Word, SKF_AD_OFF + 8), classic::Insn::ret_a()];
    let program = filter(&translate(&interface, &Options::default()).unwrap().insns).unwrap();
    assert_eq!(test_verdict(&program, &[0; 20]).unwrap(), 1, "test packets come from the loopback device");
    let length = [classic::Insn::ld_len(), classic::Insn::ret_a()];
    let program = filter(&translate(&length, &Options::default()).unwrap().insns).unwrap();
    for len in [1, 2, 60, 1500] {
        assert_eq!(test_verdict(&program, &vec![0; len]).unwrap() as usize, len);
    }
}

#[test]
fn programs_beyond_classic_limits() {
    if !can_load() {
        return;
    }
    // Straight-line code: the verifier follows at most 8,192 open branches.
    let chain = |len: u32| {
        let mut text = String::from("r6 = r1\nr0 = *(u32 *)skb[0]\n");
        for value in 0..len {
            text.push_str(&format!("w0 += {value}\n"));
        }
        text.push_str("exit\n");
        assemble(&text).unwrap()
    };
    let (socket, _other) = UnixDatagram::pair().unwrap();
    let limit = skep_kernel::sysctl("net.core.optmem_max").unwrap_or(0);
    let program = filter(&chain(12_000)).unwrap();
    assert_eq!(program.insn_count(), 12_003);
    match attach_program(&socket, &program) {
        // Before Linux 6.7 the limit is 20 kB unless it was raised.
        Err(KernelError::SocketMemory { insns: 12_003, .. }) if limit < 131_072 => {}
        outcome => outcome.unwrap(),
    }
    let info = program.info().unwrap();
    assert_eq!((info.prog_type, info.name.as_str()), (Some(ProgType::SocketFilter), "test"));
    assert!(info.id > 0 && info.translated_bytes >= 8 * 12_000);
    let large = filter(&chain(25_000)).unwrap();
    match attach_program(&socket, &large) {
        Err(error @ KernelError::SocketMemory { .. }) => {
            assert!(error.to_string().contains("filter program of 25003 instructions"), "{error}");
        }
        Err(error) => panic!("{error}"),
        Ok(()) => assert!(limit > 131_072),
    }
    assert_eq!(test_verdict(&large, &[0, 0, 0, 1]).unwrap(), (0..25_000).sum::<u32>() + 1);
}

#[test]
fn refusals_give_the_reason() {
    if !can_load() {
        return;
    }
    let refuse = |text: &str| filter(&assemble(text).unwrap()).unwrap_err();
    let error = refuse("r0 = *(u64 *)(r1 +400)\nexit\n");
    let KernelError::Rejected { log, .. } = &error else { panic!("{error}") };
    assert!(log.text().lines().count() > 1);
    assert!(error.to_string().starts_with("the kernel's verifier refused program `test`: "), "{error}");
    assert!(error.to_string().contains("invalid bpf_context access off=400"), "{error}");
    let error = refuse("exit\n");
    assert!(error.to_string().contains("R0 !read_ok"), "{error}");
    // Many paths make a long log, which still arrives whole.
    let mut long = String::from("r6 = r1\n");
    for _ in 0..400 {
        long.push_str("r0 = *(u32 *)(r6 +0)\nr3 = 1\nif r0 == 5 goto +1\nr3 = 2\n");
    }
    long.push_str("r0 = *(u8 *)(r3 +0)\nexit\n");
    let error = refuse(&long);
    let KernelError::Rejected { log, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains("R3 invalid mem access"), "{error}");
    assert!(!log.is_truncated() && log.text().lines().count() > 400);
    let error = LoadedProgram::load(&ProgramDefinition {
        name: "x",
        prog_type: ProgType::SocketFilter,
        insns: &assemble("r0 = 0\nexit\n").unwrap(),
        license: "a\0b",
    });
    assert!(matches!(error, Err(KernelError::Invalid { .. })));
    assert!(matches!(filter(&[]), Err(KernelError::Rejected { .. })));
}

#[test]
fn other_types_do_not_attach_to_sockets() {
    if !can_load() {
        return;
    }
    let program = LoadedProgram::load(&ProgramDefinition {
        name: "xdp",
        prog_type: ProgType::Xdp,
        insns: &assemble("r0 = 2\nexit\n").unwrap(),
        license: "GPL",
    });
    let program = match program {
        Ok(program) => program,
        Err(KernelError::NotPermitted { .. }) => return common::skip("XDP programs need CAP_NET_ADMIN too"),
        Err(error) => panic!("{error}"),
    };
    let (socket, _other) = UnixDatagram::pair().unwrap();
    let error = attach_program(&socket, &program).unwrap_err();
    assert!(error.to_string().contains("`xdp` is not a socket filter"), "{error}");
    // An XDP program sees the Ethernet header.
    assert_eq!(program.test_run(&[0; 64], 3).unwrap().result, 2);
}

fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32, flags: u32) -> LoadedMap {
    LoadedMap::create(&MapDefinition { name: "m-1", map_type, key_size, value_size, max_entries, flags }).unwrap()
}

#[test]
fn hash_maps() {
    if !can_load() {
        return;
    }
    let map = map(MapType::Hash, 4, 8, 20_000, 0);
    assert_eq!((map.name(), map.map_type(), map.max_entries()), ("m_1", Some(MapType::Hash), 20_000));
    let pairs: Vec<(Vec<u8>, Vec<u8>)> =
        (0..20_000u32).map(|n| (n.to_ne_bytes().to_vec(), u64::from(n).to_ne_bytes().to_vec())).collect();
    map.fill(&pairs).unwrap();
    assert_eq!(map.get(&19_999u32.to_ne_bytes()).unwrap(), Some(19_999u64.to_ne_bytes().to_vec()));
    assert_eq!(map.get(&20_000u32.to_ne_bytes()).unwrap(), None);
    let mut keys = map.keys().unwrap();
    keys.sort();
    let mut expected: Vec<Vec<u8>> = pairs.iter().map(|pair| pair.0.clone()).collect();
    expected.sort();
    assert_eq!(keys, expected);

    let full = map.set(&[9; 4], &[0; 8], Update::Any).unwrap_err();
    assert!(full.to_string().contains("is full (20000 entries)"), "{full}");
    assert!(map.remove(&0u32.to_ne_bytes()).unwrap());
    assert!(!map.remove(&0u32.to_ne_bytes()).unwrap());
    let missing = map.set(&0u32.to_ne_bytes(), &[0; 8], Update::Replace).unwrap_err();
    assert!(missing.to_string().contains("has no entry with this key"), "{missing}");
    map.set(&0u32.to_ne_bytes(), &[0; 8], Update::Create).unwrap();
    let present = map.set(&0u32.to_ne_bytes(), &[0; 8], Update::Create).unwrap_err();
    assert!(present.to_string().contains("already has an entry"), "{present}");
    for (key, value) in [(3, 8), (5, 8), (4, 7), (4, 9)] {
        let error = map.set(&vec![0; key], &vec![0; value], Update::Any).unwrap_err();
        assert!(matches!(error, KernelError::Invalid { .. }), "{error}");
    }
    assert!(map.get(&[0; 3]).is_err() && map.remove(&[0; 5]).is_err());
}

#[test]
fn arrays_tries_and_per_cpu_maps() {
    if !can_load() {
        return;
    }
    let array = map(MapType::Array, 4, 2, 3, 0);
    array.fill(&[(vec![0; 4], vec![1, 2]), (2u32.to_ne_bytes().to_vec(), vec![3, 4])]).unwrap();
    assert_eq!(array.get(&2u32.to_ne_bytes()).unwrap(), Some(vec![3, 4]));
    assert!(array.set(&3u32.to_ne_bytes(), &[0, 0], Update::Any).is_err());
    assert!(array.remove(&[0; 4]).is_err(), "array entries stay");
    assert_eq!(array.keys().unwrap().len(), 3);

    let trie = map(MapType::LpmTrie, 8, 4, 100, MapFlags::NO_PREALLOC.0);
    let key = |bits: u32, address: [u8; 4]| [bits.to_ne_bytes(), address].concat();
    trie.fill(&[(key(8, [10, 0, 0, 0]), vec![8; 4]), (key(24, [10, 1, 2, 0]), vec![24; 4])]).unwrap();
    assert_eq!(trie.get(&key(32, [10, 1, 2, 3])).unwrap(), Some(vec![24; 4]));
    assert_eq!(trie.get(&key(32, [10, 9, 9, 9])).unwrap(), Some(vec![8; 4]));
    assert_eq!(trie.get(&key(32, [11, 0, 0, 0])).unwrap(), None);
    assert!(trie.set(&key(33, [0; 4]), &[0; 4], Update::Any).is_err());

    let cpus = skep_kernel::possible_cpus().unwrap() as usize;
    let counters = map(MapType::PercpuArray, 4, 4, 1, 0);
    assert_eq!(counters.value_size(), 8 * cpus);
    counters.set(&[0; 4], &vec![0; 8 * cpus], Update::Any).unwrap();
    assert_eq!(counters.get(&[0; 4]).unwrap().map(|value| value.len()), Some(8 * cpus));

    let error = LoadedMap::create(&MapDefinition {
        name: "bad",
        map_type: MapType::Array,
        key_size: 3,
        value_size: 4,
        max_entries: 1,
        flags: 0,
    });
    assert!(error.unwrap_err().to_string().contains("does not accept a map of type array with keys of 3 bytes"));
}

/// A filter that keeps packets whose first four bytes are in a set.
fn object_with_set(members: &[[u8; 4]]) -> Object {
    let mut object = Object::new("GPL");
    let mut set = MapSpec::new("set", MapType::Hash, 4, 1, 1000);
    set.contents = members.iter().map(|member| (member.to_vec(), vec![1])).collect();
    let set = object.add_map(set);
    let text = format!(
        "r6 = r1\nr0 = *(u32 *)skb[0]\nr0 = be32 r0\n*(u32 *)(r10 -4) = r0\nr2 = r10\nr2 += -4\n\
         r1 = map[fd:{}] ll\ncall 1\nif r0 == 0 goto +1\nr0 = *(u32 *)(r6 +0)\nexit\n",
        set.0
    );
    let insns = assemble(&text).unwrap();
    object.add_program(Program::new("in_set", ProgType::SocketFilter, insns));
    object
}

#[test]
fn objects_with_maps() {
    if !can_load() {
        return;
    }
    let members: Vec<[u8; 4]> = (0..500u32).map(|n| (n * 7).to_be_bytes()).collect();
    let loaded = load(&object_with_set(&members)).unwrap();
    let program = loaded.program("in_set").unwrap();
    assert!(loaded.program("other").is_none());
    let verdicts = Verdicts::program(program).unwrap();
    for n in 0..4000u32 {
        let expected = (n % 7 == 0 && n / 7 < 500).then_some(4);
        assert_eq!(verdicts.of(&n.to_be_bytes()).unwrap(), expected, "{n}");
    }
    // The set can change while the filter is attached.
    loaded.maps[0].set(&[1, 1, 1, 1], &[1], Update::Any).unwrap();
    assert_eq!(verdicts.of(&[1, 1, 1, 1, 1]).unwrap(), Some(5));
    // The socket keeps program and map alive.
    drop(loaded);
    assert_eq!(verdicts.of(&[1, 1, 1, 1]).unwrap(), Some(4));
}

#[test]
fn objects_that_cannot_be_loaded() {
    if !can_load() {
        return;
    }
    let mut object = object_with_set(&[[0; 4]; 2]);
    object.programs[0].insns.truncate(3);
    let error = load(&object).unwrap_err();
    assert!(matches!(error, LoadError::Object(_)), "{error}");
    let mut object = object_with_set(&[]);
    object.maps[0].map_type = MapType::LpmTrie;
    let error = load(&object).unwrap_err();
    assert!(error.to_string().starts_with("map `set`: cannot create a map: "), "{error}");
    let mut object = object_with_set(&[]);
    object.programs[0].insns = assemble("r0 = r5\nexit\n").unwrap();
    let error = load(&object).unwrap_err();
    assert!(error.to_string().starts_with("the kernel's verifier refused program `in_set`: R5 !read_ok"), "{error}");
    let mut object = object_with_set(&[]);
    object.maps[0] = MapSpec { contents: vec![(vec![0; 4], vec![7])], ..object.maps[0].clone() };
    object.maps[0].map_type = MapType::PercpuHash;
    let loaded = load(&object).unwrap();
    let value = loaded.maps[0].get(&[0; 4]).unwrap().unwrap();
    assert!(value.chunks(8).all(|slot| slot == [7, 0, 0, 0, 0, 0, 0, 0]), "{value:?}");
    assert!(loaded.maps[0].as_fd().try_clone_to_owned().is_ok_and(|fd| LoadedMap::from_fd(fd).is_ok()));
}

//! Programs that our own verifier has confined run without checks of addresses, and as they do with them; all others keep
//! their checks.

use std::sync::Arc;

use skep_isa::ebpf::{assemble, disassemble};
use skep_isa::{MapType, ProgType};
use skep_object::{MapSpec, Object, Program};
use skep_random::random_test;
use skep_verifier::Verified;
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Engine, Input, Map, Setup, Shape, Skb, UpdateFlag, Vm, XdpFrame};
use skep_vm::fuzz::{Bytes, STATEFUL_MAPS, StatefulMap, stateful_program};

/// What a run leaves behind: the result or the fault, the context or packet, and what is in the maps.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    result: Result<u64, String>,
    memory: Vec<u8>,
    maps: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// What a machine makes of a program: on a packet if it takes one, else on the bytes as its context.
fn outcome(vm: &Vm, prog_type: ProgType, maps: usize, bytes: &[u8]) -> Outcome {
    let mut worker = vm.worker().unwrap();
    let (result, memory) = match prog_type {
        ProgType::Xdp => {
            let mut frame = XdpFrame { packet: bytes.to_vec(), ..XdpFrame::default() };
            let result = worker.run_xdp(0, &mut frame).map(|verdict| verdict.code.into());
            (result.map_err(|error| error.to_string()), frame.packet)
        }
        ProgType::SchedCls => {
            let mut skb = Skb::new(bytes);
            let result = worker.run_skb(0, &mut skb).map(|verdict| verdict.code.into());
            (result.map_err(|error| error.to_string()), skb.packet)
        }
        _ => {
            let mut context = vec![0; 192];
            let input = Input { context: &mut context, packet: bytes, meta: &Metadata::default() };
            (worker.run(0, input).map_err(|fault| fault.to_string()), context)
        }
    };
    let maps = (0..maps).map(|map| {
        let mut entries: Vec<_> = vm.map(map).unwrap().user().entries().collect();
        entries.sort_unstable();
        entries
    });
    Outcome { result, memory, maps: maps.collect() }
}

/// Runs a program with and without checks. Whether it is confined.
fn compare(object: &Object, bytes: &[u8]) -> bool {
    let verified = Verified::new(object);
    let program = &object.programs[0];
    let unchecked = Setup::verified(&verified).engine(Engine::Jit).load().unwrap();
    assert_eq!(unchecked.is_checked(0), !verified.is_confined(0));
    if unchecked.is_checked(0) {
        return false;
    }
    let unchecked = outcome(&unchecked, program.prog_type, object.maps.len(), bytes);
    for engine in [Engine::Interpreter, Engine::Jit] {
        let checked = Setup::of(object).engine(engine).load().unwrap();
        assert!(checked.is_checked(0));
        let checked = outcome(&checked, program.prog_type, object.maps.len(), bytes);
        assert_eq!(unchecked, checked, "{engine:?}\n{}", disassemble(&program.insns).unwrap_or_default());
    }
    true
}

fn has_compiled_code() -> bool {
    let mut object = Object::new("GPL");
    object.add_program(Program::new("f", ProgType::SocketFilter, assemble("r0 = 0 \n exit").unwrap()));
    Setup::of(&object).engine(Engine::Jit).load().unwrap().prepare(0)
}

fn stateful_maps(object: &mut Object) {
    for &StatefulMap { map_type, key_size, value_size, max_entries } in &STATEFUL_MAPS {
        object.maps.push(MapSpec::new("map", map_type, key_size, value_size, max_entries));
    }
}

#[test]
fn random_programs_do_the_same_without_checks() {
    if !has_compiled_code() {
        return println!("SKIPPED: there is no compiled code on this machine");
    }
    let (mut confined, mut others) = (0u32, 0u32);
    random_test(|u| {
        let start = u.bytes(8.min(u.len()))?.to_vec();
        let data = u.bytes(u.len())?;
        let mut insns = stateful_program(&mut Bytes::new(data), std::array::from_fn(|at| at as i32));
        // Half of them are damaged, most of these are refused.
        if let [seed @ .., kind] = &start[..]
            && kind & 1 == 1
            && !insns.is_empty()
        {
            let count = insns.len();
            let insn = &mut insns[seed.iter().map(|byte| usize::from(*byte)).sum::<usize>() % count];
            match kind >> 1 & 3 {
                0 => insn.off = insn.off.wrapping_add(i16::from(kind >> 3) - 16),
                1 => insn.imm = insn.imm.wrapping_add(i32::from(kind >> 3)),
                2 => insn.src = (kind >> 3) % 11,
                _ => insn.dst = (kind >> 3) % 11,
            }
        }
        let mut object = Object::new("GPL");
        stateful_maps(&mut object);
        object.add_program(Program::new("f", ProgType::SocketFilter, insns));
        // Damaged programs may not even load.
        if Setup::of(&object).load().is_err() {
            return Ok(());
        }
        match compare(&object, data) {
            true => confined += 1,
            false => others += 1,
        }
        Ok(())
    })
    .budget_ms(1_000)
    .size_min(64)
    .size_max(1 << 12);
    println!("{confined} programs without checks, {others} with them");
    assert!(confined > others, "{confined} confined, {others} not: whole programs are");
}

/// A program in text, with maps.
fn program(prog_type: ProgType, text: &str, maps: &[MapSpec]) -> Object {
    let mut object = Object::new("GPL");
    object.maps.extend(maps.iter().cloned());
    object.add_program(Program::new("f", prog_type, assemble(text).unwrap_or_else(|error| panic!("{text}: {error}"))));
    object
}

/// Byte 12 of the packet, if it has 14, is raised.
const PACKET: &str = "r2 = *(u32 *)(r1 +DATA) \n r3 = *(u32 *)(r1 +END) \n r4 = r2 \n r4 += 14 \n if r4 > r3 goto +3 \n \
    r5 = *(u8 *)(r2 +12) \n r5 += 1 \n *(u8 *)(r2 +12) = r5 \n r0 = 2 \n exit";

#[test]
fn packets_are_reached_without_checks() {
    if !has_compiled_code() {
        return println!("SKIPPED: there is no compiled code on this machine");
    }
    for (prog_type, data, end) in [(ProgType::Xdp, "0", "4"), (ProgType::SchedCls, "76", "80")] {
        let object = program(prog_type, &PACKET.replace("DATA", data).replace("END", end), &[]);
        for length in [14, 15, 60, 1500] {
            assert!(compare(&object, &vec![7; length]), "{prog_type} is not confined");
        }
    }
}

#[test]
fn others_keep_their_checks() {
    let array = MapSpec::new("array", MapType::Array, 4, 8, 1);
    let look_up = "r1 = map[fd:0] ll \n r2 = r10 \n r2 += -4 \n *(u32 *)(r10 -4) = 0 \n call 1 \n if r0 == 0 goto +1 \n \
        r0 = *(u64 *)(r0 +0) \n exit";
    let confined = |object: &Object| Verified::new(object).is_confined(0);
    let plain = program(ProgType::SocketFilter, look_up, std::slice::from_ref(&array));
    assert!(confined(&plain));
    // Contexts with addresses of 64 bits, which only a kernel fills in.
    let tracing = program(ProgType::RawTracepoint, look_up, std::slice::from_ref(&array));
    assert!(!confined(&tracing));
    // A refused one.
    let untested = look_up.replace("if r0 == 0 goto +1", "if r0 == 0 goto +0");
    let hash = MapSpec::new("hash", MapType::Hash, 4, 8, 1);
    assert!(!confined(&program(ProgType::SocketFilter, &untested, std::slice::from_ref(&hash))));
    // An address that is the sum of two numbers costs an instruction more.
    let indexed = "r6 = *(u32 *)(r1 +0) \n r6 &= 7 \n r1 = map[fd:0] ll \n r2 = r10 \n r2 += -4 \n \
        *(u32 *)(r10 -4) = 0 \n call 1 \n if r0 == 0 goto +2 \n r0 += r6 \n r0 = *(u8 *)(r0 +0) \n exit";
    let indexed = program(ProgType::SocketFilter, indexed, &[hash]);
    assert!(confined(&indexed));
    let code = |setup: Setup| {
        let vm = setup.engine(Engine::Jit).load().unwrap();
        vm.prepare(0).then(|| vm.machine_code(0).len())
    };
    let (without, with) = (code(Setup::verified(&Verified::new(&indexed))), code(Setup::of(&indexed)));
    assert!(with.is_none() || without < with, "the code is not shorter: {without:?} and {with:?}");
    // A socket of the kernel.
    let socket = "r2 = *(u64 *)(r1 +168) \n r0 = 0 \n if r2 == 0 goto +1 \n r0 = *(u32 *)(r2 +4) \n exit";
    assert!(!confined(&program(ProgType::SchedCls, socket, &[])));
    // Maps in maps: which one is in there is not known.
    let mut outer = MapSpec::new("outer", MapType::ArrayOfMaps, 4, 4, 1);
    outer.inner = Some(Box::new(array.clone()));
    assert!(!confined(&program(ProgType::SocketFilter, look_up, &[array.clone(), outer])));
    // Constants of a frozen map, which embedders may change here.
    let mut frozen = MapSpec::new("frozen", MapType::Array, 4, 8, 1);
    (frozen.frozen, frozen.flags.0) = (true, 1 << 7);
    frozen.contents = vec![(vec![0; 4], vec![0; 8])];
    let index = "r1 = map[fd:1][0]+0 ll \n r1 = *(u64 *)(r1 +0) \n r2 = map[fd:0][0]+0 ll \n r2 += r1 \n r0 = *(u8 *)(r2 +0) \n exit";
    assert!(!confined(&program(ProgType::SocketFilter, index, &[array.clone(), frozen])));
    // Helpers of the embedder return what they like; programs that are added were not verified.
    let verified = Verified::new(&plain);
    let bad = assemble("r0 = *(u64 *)(r1 +8) \n r0 = *(u64 *)(r0 +0) \n exit").unwrap();
    let vm = Setup::verified(&verified).program("bad", ProgType::SocketFilter, &bad).load().unwrap();
    assert!(!vm.is_checked(0) && vm.is_checked(1));
    let vm = Setup::verified(&verified).helper(1, |_, _| Ok(1 << 40)).load().unwrap();
    assert!(vm.is_checked(0));
    let fault = vm.worker().unwrap().run(0, Input { context: &mut [], packet: &[], meta: &Metadata::default() });
    assert!(fault.is_err(), "{fault:?}");
    // More maps do no harm.
    let more =
        Arc::new(Map::new(MapType::Array, Shape { key_size: 4, value_size: 8, max_entries: 1, flags: 0 }).unwrap());
    let vm = Setup::verified(&verified).map("more", more).load().unwrap();
    assert!(!vm.is_checked(0));
    vm.map(0).unwrap().user().update(&[0; 4], &7u64.to_ne_bytes(), UpdateFlag::Any.bits()).unwrap();
    let seven = vm.worker().unwrap().run(0, Input { context: &mut [], packet: &[], meta: &Metadata::default() });
    assert_eq!(seven, Ok(7));
}

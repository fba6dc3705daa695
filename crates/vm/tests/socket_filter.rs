//! Socket filters: the context that they see, their maps, and what becomes of wrong ones.

use skep_isa::ebpf::{AluOp, Callee, Imm64, Insn, JmpOp, Op, Reg, Size, Src, Width};
use skep_isa::{MapType, ProgType};
use skep_object::{MapSpec, Object, Program};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{ObjectError, SetupError, SocketFilter};

const R0: Reg = Reg::R0;
const R1: Reg = Reg::R1;
const R2: Reg = Reg::R2;
const R6: Reg = Reg::R6;
const R10: Reg = Reg::R10;

fn assemble(ops: &[Op]) -> Vec<Insn> {
    skep_isa::ebpf::encode_program(ops.iter().copied())
}

const fn load(size: Size, dst: Reg, base: Reg, off: i16) -> Op {
    Op::Load { size, signed: false, dst, base, off }
}

#[test]
fn socket_filters_see_the_kernels_context() {
    let meta = Metadata {
        protocol: 0x0800,
        packet_type: 1,
        mark: 0x1234_5678,
        queue: 3,
        ifindex: Some(9),
        vlan_tci: Some(0x2064),
        vlan_tpid: 0x88a8,
        rxhash: 0xfeed_f00d,
        ..Metadata::default()
    };
    let field = |offset: i16| {
        let insns = assemble(&[load(Size::W, R0, R1, offset), Op::Exit]);
        SocketFilter::new(&insns).unwrap().run(&[1, 2], 60, &meta).unwrap()
    };
    let fields = [0, 4, 8, 12, 20, 24, 36, 40, 68].map(field);
    assert_eq!(fields, [60, 1, 0x1234_5678, 3, 1, 0x2064, 9, 9, 0xfeed_f00d]);
    // The EtherTypes are in network byte order.
    assert_eq!([16, 28].map(field), [0x0800u16.to_be().into(), 0x88a8u16.to_be().into()]);
    // Only the lower half of register 0 is the verdict.
    let wide = assemble(&[Op::LoadImm { dst: R0, value: Imm64::Value(1 << 32) }, Op::Exit]);
    assert_eq!(SocketFilter::new(&wide).unwrap().run(&[], 0, &meta), Ok(0));
}

#[test]
fn socket_filters_of_objects() {
    // Keeps packets whose first 4 bytes are a key of the map.
    let mut object = Object::new("GPL");
    let mut spec = MapSpec::new("addresses", MapType::Hash, 4, 1, 10);
    spec.contents = vec![(vec![10, 0, 0, 1], vec![1]), (vec![10, 0, 0, 2], vec![1])];
    let set = object.add_map(spec);
    let insns = assemble(&[
        Op::mov(R6, R1),
        Op::LdAbs { size: Size::W, k: 0 },
        Op::Swap { order: skep_isa::ebpf::Order::Big, size: Size::W, dst: R0 },
        Op::Store { size: Size::W, base: R10, off: -4, src: Src::Reg(R0) },
        Op::mov(R2, R10),
        Op::Alu { width: Width::W64, op: AluOp::Add, dst: R2, src: Src::Imm(-4) },
        Op::LoadImm { dst: R1, value: set.load() },
        Op::Call(Callee::Helper(1)),
        Op::JumpIf { width: Width::W64, op: JmpOp::Eq, dst: R0, src: Src::Imm(0), off: 1 },
        Op::mov_imm(R0, 0xffff),
        Op::Exit,
    ]);
    object.add_program(Program::new("hosts", ProgType::SocketFilter, insns));
    assert_eq!(object.validate(), Ok(()));
    let mut filter = SocketFilter::from_object(&object, "hosts").unwrap();
    let meta = Metadata::default();
    for (packet, kept) in [([10, 0, 0, 1], 0xffff), ([10, 0, 0, 2], 0xffff), ([10, 0, 0, 3], 0)] {
        assert_eq!(filter.run(&packet, 4, &meta), Ok(kept));
    }
    assert_eq!(filter.run(&[10, 0, 0], 4, &meta), Ok(0));
    let missing = SocketFilter::from_object(&object, "other").err();
    assert!(matches!(missing, Some(ObjectError::NoSuchProgram(name)) if name == "other"));
    object.maps[0].max_entries = 1;
    let full = SocketFilter::from_object(&object, "hosts");
    assert!(matches!(full, Err(ObjectError::Setup(SetupError::Map { .. }))));
}

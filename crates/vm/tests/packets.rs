//! Packets in the cage: their edges, what changes them, and that nothing of one run shows in the next.

use skep_isa::ProgType;
use skep_isa::ebpf::assemble;
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{
    Access, Engine, FaultKind, Helpers, Input, MAX_FRAME_BYTES, PacketError, Region, Setup, Skb, Worker, XdpFrame,
};

const ENGINES: [Engine; 3] = [Engine::Interpreter, Engine::InterpreterByPage, Engine::Jit];

fn worker(texts: &[&str], engine: Engine) -> Worker {
    let setup = Setup::new().helpers(Helpers::kernel()).engine(engine);
    let setup = texts.iter().fold(setup, |setup, text| {
        let insns = assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        setup.program("test", ProgType::Xdp, &insns)
    });
    setup.load().unwrap().worker().unwrap()
}

fn fault(result: Result<u32, PacketError>) -> FaultKind {
    match result {
        Err(PacketError::Fault(fault)) => fault.kind,
        other => panic!("{other:?}"),
    }
}

fn xdp(worker: &mut Worker, program: usize, packet: &[u8]) -> Result<u32, PacketError> {
    worker.run_xdp(program, &mut XdpFrame::new(packet)).map(|verdict| verdict.code)
}

fn skb(worker: &mut Worker, program: usize, packet: &[u8]) -> Result<u32, PacketError> {
    worker.run_skb(program, &mut Skb::new(packet)).map(|verdict| verdict.code)
}

#[test]
fn the_byte_behind_a_packet_faults() {
    let xdp_over = "r1 = *(u32 *)(r1 +4)\nr0 = *(u8 *)(r1 -1)\nr0 = *(u8 *)(r1 +0)\nexit";
    let skb_over = "r1 = *(u32 *)(r1 +80)\nr0 = *(u8 *)(r1 -1)\n*(u8 *)(r1 +0) = 1\nexit";
    for engine in ENGINES {
        let mut worker = worker(&[xdp_over, skb_over], engine);
        for length in [1, 14, 64, 4095, 4096, 4097, 70_000] {
            let packet = vec![1; length];
            let expected = |access| move |kind| matches!(kind, FaultKind::OutOfBounds { size: 1, access: was, region: Region::Packet, .. } if was == access);
            assert!(expected(Access::Read)(fault(xdp(&mut worker, 0, &packet))), "{engine:?} {length}");
            assert!(expected(Access::Write)(fault(skb(&mut worker, 1, &packet))), "{engine:?} {length}");
        }
    }
}

#[test]
fn the_interpreter_sees_both_edges() {
    // In front of the packet, of the metadata, and behind a tail that was cut.
    let front = "r1 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r1 -1)\nexit";
    let meta = "r6 = r1\nr2 = -4\ncall bpf_xdp_adjust_meta\nr1 = *(u32 *)(r6 +8)\nr0 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r1 -1)\nexit";
    let cut = "r6 = r1\nr2 = -8\ncall bpf_xdp_adjust_tail\nr1 = *(u32 *)(r6 +4)\nr0 = *(u8 *)(r1 -1)\nr0 = *(u8 *)(r1 +0)\nexit";
    let mut worker = worker(&[front, meta, cut], Engine::Interpreter);
    for (program, at) in [(0, 1), (1, 5), (2, 5)] {
        let Err(PacketError::Fault(fault)) = worker.run_xdp(program, &mut XdpFrame::new(&[1; 64])) else {
            panic!("program {program} must fault");
        };
        assert_eq!(fault.at.index(), at, "program {program}");
        assert!(matches!(fault.kind, FaultKind::OutOfBounds { region: Region::Packet, .. }));
    }
}

#[test]
fn a_tail_that_grows_ends_at_its_last_byte() {
    let text = "r6 = r1\nr2 = 100\ncall bpf_xdp_adjust_tail\nr1 = *(u32 *)(r6 +4)\nr0 = *(u8 *)(r1 -1)\n*(u8 *)(r1 -1) = 9\nexit";
    for engine in ENGINES {
        let mut worker = worker(&[text], engine);
        for _ in 0..2 {
            let mut frame = XdpFrame::new(&[7; 64]);
            let verdict = worker.run_xdp(0, &mut frame).unwrap();
            // The new bytes are zeros, also where an earlier run wrote.
            assert_eq!((verdict.code, frame.packet.len(), frame.packet[163], frame.packet[162]), (0, 164, 9, 0));
        }
    }
}

#[test]
fn nothing_is_left_for_the_next_run() {
    // Writes all over the headroom, then another run looks at what it gets there.
    let write = "r6 = r1\nr2 = -200\ncall bpf_xdp_adjust_head\nr1 = *(u32 *)(r6 +0)\n*(u64 *)(r1 +0) = -1\n*(u64 *)(r1 +96) = -1\nexit";
    let read = "r6 = r1\nr2 = -200\ncall bpf_xdp_adjust_head\nr1 = *(u32 *)(r6 +0)\nr0 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r1 +96)\nr0 |= r2\nexit";
    let data_of = "r0 = *(u32 *)(r1 +0)\nexit";
    let byte_at = "r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 +0)\nexit";
    for engine in ENGINES {
        let mut worker = worker(&[write, read, data_of, byte_at], engine);
        for length in [64, 5000, 64] {
            assert_eq!(xdp(&mut worker, 0, &vec![1; length]).unwrap(), 0);
            assert_eq!(xdp(&mut worker, 1, &vec![1; length]).unwrap(), 0, "{engine:?}");
        }
        // Packets always end at the same address, and a run without a packet finds none there.
        let data = xdp(&mut worker, 2, &[1; 64]).unwrap();
        assert_eq!(xdp(&mut worker, 2, &[1; 65]).unwrap(), data - 1);
        assert_eq!(xdp(&mut worker, 2, &[1; 9000]).unwrap(), data + 64 - 9000);
        assert_eq!(xdp(&mut worker, 2, &[1; 64]).unwrap(), data);
        let meta = Metadata::default();
        let mut context = u64::from(data).to_ne_bytes();
        let result = worker.run(3, Input { context: &mut context, packet: &[], meta: &meta });
        assert!(
            matches!(result.map_err(|fault| fault.kind), Err(FaultKind::OutOfBounds { region: Region::Packet, .. })),
            "{engine:?}"
        );
        // And the next packet is whole again.
        assert_eq!(xdp(&mut worker, 3, &[5; 64]).unwrap(), 5);
    }
}

#[test]
fn fields_go_in_and_come_back() {
    let text = "r0 = *(u32 *)(r1 +48)\nr2 = *(u32 *)(r1 +8)\nr0 += r2\nr2 = *(u64 *)(r1 +152)\nr0 += r2\nr2 = *(u32 *)(r1 +160)\n\
                r0 += r2\n*(u32 *)(r1 +8) = 11\n*(u32 *)(r1 +32) = 12\n*(u32 *)(r1 +44) = 13\n*(u32 *)(r1 +64) = 14\n\
                *(u32 *)(r1 +72) = 15\n*(u64 *)(r1 +152) = 16\nexit";
    let xdp_text = "r0 = *(u32 *)(r1 +12)\nr2 = *(u32 *)(r1 +16)\nr0 += r2\nr2 = *(u32 *)(r1 +20)\nr0 += r2\n\
                    r2 = *(u32 *)(r1 +8)\nr2 = *(u32 *)(r2 +0)\nr0 += r2\nexit";
    for engine in ENGINES {
        let mut worker = worker(&[text, xdp_text], engine);
        let mut skb = Skb::new(&[0; 20]);
        skb.cb[0] = 1;
        skb.meta.mark = 10;
        skb.tstamp = 100;
        skb.wire_len = Some(1000);
        assert_eq!(worker.run_skb(0, &mut skb).unwrap().code, 1111);
        assert_eq!((skb.meta.mark, skb.priority, skb.tc_index, skb.cb[4]), (11, 12, 13, 14));
        assert_eq!((skb.tc_classid, skb.tstamp, skb.meta.vlan_tci), (15, 16, None));
        let mut frame = XdpFrame::new(&[0; 20]);
        frame.metadata = 1000u32.to_ne_bytes().to_vec();
        (frame.ingress_ifindex, frame.rx_queue_index, frame.egress_ifindex) = (1, 10, 100);
        assert_eq!(worker.run_xdp(1, &mut frame).unwrap().code, 1111);
        assert_eq!(frame.metadata, 1000u32.to_ne_bytes());
    }
}

#[test]
fn packet_loads_follow_the_packet() {
    let text = "r6 = r1\nr2 = 4\nr3 = 0\ncall bpf_skb_change_head\nif r0 != 0 goto out\nr0 = *(u8 *)skb[3]\nr7 = r0\nr0 = *(u8 *)skb[4]\n\
                r7 += r0\nr1 = r6\nr2 = 30\nr3 = 0\ncall bpf_skb_change_tail\nr0 = *(u8 *)skb[29]\nr7 += r0\nr0 = r7\nout:\nexit";
    for engine in ENGINES {
        let mut packet = vec![1; 60];
        packet[0] = 77;
        packet[25] = 100;
        assert_eq!(skb(&mut worker(&[text], engine), 0, &packet).unwrap(), 177, "{engine:?}");
    }
}

#[test]
fn helpers_of_another_kind_of_program() {
    for engine in ENGINES {
        let mut worker =
            worker(&["r2 = 0\ncall bpf_xdp_adjust_head\nexit", "r2 = 0\ncall bpf_skb_pull_data\nexit"], engine);
        assert!(matches!(fault(skb(&mut worker, 0, &[0; 60])), FaultKind::WrongArgument { .. }));
        assert!(matches!(fault(xdp(&mut worker, 1, &[0; 60])), FaultKind::WrongArgument { .. }));
        let not_the_context = "r1 = r10\nr2 = 0\ncall bpf_xdp_adjust_head\nexit";
        let mut worker = self::worker(&[not_the_context], engine);
        assert!(matches!(fault(xdp(&mut worker, 0, &[0; 60])), FaultKind::NotTheContext(_)));
    }
}

#[test]
fn packets_that_cannot_be_given() {
    let mut worker = worker(&["r0 = 2\nexit"], Engine::Auto);
    let long = vec![0; MAX_FRAME_BYTES + 1];
    assert!(matches!(xdp(&mut worker, 0, &long), Err(PacketError::TooLong(_))));
    assert!(matches!(skb(&mut worker, 0, &long), Err(PacketError::TooLong(_))));
    assert_eq!(skb(&mut worker, 0, &long[1..]).unwrap(), 2);
    assert_eq!(xdp(&mut worker, 0, &[]).unwrap(), 2);
    let mut frame = XdpFrame::new(&[0; 20]);
    for length in [3, 256] {
        frame.metadata = vec![0; length];
        assert!(matches!(worker.run_xdp(0, &mut frame), Err(PacketError::Metadata(_))));
    }
}

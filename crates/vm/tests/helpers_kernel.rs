//! Helpers and packet contexts of the machine against the running kernel (`BPF_PROG_TEST_RUN`): the same programs on the
//! same packets must give the same register 0 and leave the same packet.
//!
//! A kernel that is out of reach is a skip that is printed, and a failure with `SKEP_REQUIRE_KERNEL=1`.

use std::fmt::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use skep_isa::ebpf::{Insn, assemble};
use skep_isa::{MapType, ProgType};
use skep_kernel::{KernelError, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, Update};
use skep_vm::ebpf::{Engine, Helpers, Map, Setup, Shape, Skb, Worker, XdpFrame};

fn skip(error: &KernelError) {
    println!("SKIPPED: {error}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {error}");
}

fn kernel_is_in_reach() -> bool {
    match load(ProgType::SocketFilter, &code("r0 = 0\nexit", &[])) {
        Ok(_) => true,
        Err(error) => {
            skip(&error);
            false
        }
    }
}

fn load(prog_type: ProgType, insns: &[Insn]) -> Result<LoadedProgram, KernelError> {
    LoadedProgram::load(&ProgramDefinition { name: "skep_helpers", prog_type, insns, license: "GPL" })
}

/// The program of a text in which `{0}` stands for the first map and so on.
fn code(text: &str, maps: &[i32]) -> Vec<Insn> {
    let text = maps
        .iter()
        .enumerate()
        .fold(text.to_owned(), |text, (at, map)| text.replace(&format!("{{{at}}}"), &map.to_string()));
    assemble(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Stores that put bytes into the frame at a negative offset.
fn put(offset: i32, bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in (offset..).zip(bytes) {
        writeln!(text, "*(u8 *)(r10 {at}) = {byte}").unwrap();
    }
    text
}

/// Text of the frame as the first two arguments.
fn text_argument(text: &[u8]) -> String {
    let room = text.len().next_multiple_of(8) as i32;
    format!("{}r1 = r10\nr1 += {}\nr2 = {}\n", put(-room - 16, text), -room - 16, text.len())
}

fn packet(length: usize) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..length).map(|at| (at * 7 + 3) as u8).collect();
    packet[12..14].copy_from_slice(&[0x08, 0x00]);
    packet[14] = 0x45;
    packet
}

/// Maps of both sides with the same contents.
struct Maps {
    kernel: Vec<LoadedMap>,
    ours: Vec<Arc<Map>>,
}

impl Maps {
    fn none() -> Self {
        Self { kernel: Vec::new(), ours: Vec::new() }
    }

    fn with(mut self, map_type: MapType, [key_size, value_size, max_entries, flags]: [u32; 4]) -> Self {
        let definition = MapDefinition { name: "skep_map", map_type, key_size, value_size, max_entries, flags };
        self.kernel.push(LoadedMap::create(&definition).unwrap());
        let shape = Shape { key_size, value_size, max_entries, flags };
        self.ours.push(Arc::new(Map::new(map_type, shape).unwrap()));
        self
    }

    /// A map with one read-only value, which the verifier knows.
    fn constant(self, value: &[u8]) -> Self {
        const RDONLY_PROG: u32 = 1 << 7;
        let maps = self.with(MapType::Array, [4, value.len() as u32, 1, RDONLY_PROG]);
        let (kernel, ours) = (maps.kernel.last().unwrap(), maps.ours.last().unwrap());
        kernel.set(&[0; 4], value, Update::Any).unwrap();
        kernel.freeze().unwrap();
        ours.user().update(&[0; 4], value, 0).unwrap();
        ours.user().freeze().unwrap();
        maps
    }
}

/// Runs a text in the kernel and on both engines; all must agree.
#[track_caller]
fn compare(prog_type: ProgType, text: &str, packet: &[u8], make: impl Fn() -> Maps) -> u32 {
    let maps = make();
    let descriptors: Vec<i32> = maps.kernel.iter().map(|map| map.as_fd().as_raw_fd()).collect();
    let loaded = load(prog_type, &code(text, &descriptors)).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (run, expected) = loaded.test_packet(packet).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for engine in [Engine::Interpreter, Engine::InterpreterByPage, Engine::Jit] {
        let maps = make();
        let indices: Vec<i32> = (0..).take(maps.ours.len()).collect();
        let setup = Setup::new().helpers(Helpers::kernel()).program("test", prog_type, &code(text, &indices));
        let setup = maps.ours.iter().fold(setup, |setup, map| setup.map("map", Arc::clone(map)));
        let mut worker = setup.engine(engine).load().unwrap().worker().unwrap();
        let (code, output) = run_ours(&mut worker, prog_type, packet);
        assert_eq!(code.cast_signed(), run.result.cast_signed(), "{engine:?} and the kernel\n{text}");
        assert_eq!(output, expected, "{engine:?} and the kernel\n{text}");
    }
    run.result
}

fn run_ours(worker: &mut Worker, prog_type: ProgType, packet: &[u8]) -> (u32, Vec<u8>) {
    if prog_type == ProgType::Xdp {
        let mut frame = XdpFrame::new(packet);
        let verdict = worker.run_xdp(0, &mut frame).unwrap_or_else(|error| panic!("{error}"));
        // The kernel gives metadata and packet in one.
        (verdict.code, [frame.metadata, frame.packet].concat())
    } else {
        let mut skb = Skb::new(packet);
        let verdict = worker.run_skb(0, &mut skb).unwrap_or_else(|error| panic!("{error}"));
        (verdict.code, skb.packet)
    }
}

#[track_caller]
fn xdp(text: &str, packet: &[u8]) -> i32 {
    compare(ProgType::Xdp, text, packet, Maps::none).cast_signed()
}

#[track_caller]
fn skb(text: &str, packet: &[u8]) -> i32 {
    compare(ProgType::SchedCls, text, packet, Maps::none).cast_signed()
}

#[test]
fn xdp_head_and_tail() {
    if !kernel_is_in_reach() {
        return;
    }
    for offset in [-216, -217, -8, 0, 1, 46, 47, 1000] {
        // New bytes at the head are anything in the kernel: they are overwritten.
        let text = format!(
            "r6 = r1\nr2 = {offset}\ncall bpf_xdp_adjust_head\nr7 = r0\nif r0 != 0 goto out\n{}r1 = r6\nr2 = 0\nr3 = r10\n\
             r3 += -216\nr4 = {}\nif r4 == 0 goto out\ncall bpf_xdp_store_bytes\nout:\nr0 = r7\nexit",
            (1..=27).fold(String::new(), |text, word| text + &format!("*(u64 *)(r10 -{}) = {word}\n", 8 * word)),
            (-offset).clamp(0, 216),
        );
        let result = xdp(&text, &packet(60));
        assert_eq!(result, if matches!(offset, -216..=46) { 0 } else { -22 }, "{offset}");
    }
    for (length, offset) in [(60, 100), (60, 3460), (60, 3461), (60, -46), (60, -47), (3500, 20), (3500, 21), (60, 0)] {
        let text = format!("r2 = {offset}\ncall bpf_xdp_adjust_tail\nexit");
        xdp(&text, &packet(length));
        let text =
            format!("r6 = r1\nr2 = {offset}\ncall bpf_xdp_adjust_tail\nr1 = r6\ncall bpf_xdp_get_buff_len\nexit");
        xdp(&text, &packet(length));
    }
}

#[test]
fn xdp_metadata_and_edges() {
    if !kernel_is_in_reach() {
        return;
    }
    for offset in [-4, -32, -3, -252, -256, -216, -220, 4, 0] {
        let text = format!(
            "r6 = r1\nr2 = {offset}\ncall bpf_xdp_adjust_meta\nif r0 != 0 goto out\nr0 = *(u32 *)(r6 +0)\n\
             r1 = *(u32 *)(r6 +8)\nr0 -= r1\nout:\nexit"
        );
        xdp(&text, &packet(64));
    }
    // Metadata moves with the head.
    let text = "r6 = r1\nr2 = -8\ncall bpf_xdp_adjust_meta\nr1 = *(u32 *)(r6 +8)\nr2 = *(u32 *)(r6 +0)\nr3 = r1\nr3 += 4\n\
                r0 = 1\nif r3 > r2 goto out\n*(u32 *)(r1 +0) = 77\nr1 = r6\nr2 = 14\ncall bpf_xdp_adjust_head\n\
                r1 = *(u32 *)(r6 +8)\nr2 = *(u32 *)(r6 +0)\nr3 = r1\nr3 += 4\nr0 = 2\nif r3 > r2 goto out\n\
                r0 = *(u32 *)(r1 +0)\nout:\nexit";
    assert_eq!(xdp(text, &packet(64)), 77);
    // Through pointers, with the length of the packet.
    let text = "r2 = *(u32 *)(r1 +4)\nr1 = *(u32 *)(r1 +0)\nr0 = r2\nr0 -= r1\nr3 = r1\nr3 += 20\nif r3 > r2 goto out\n\
                r4 = *(u32 *)(r1 +14)\n*(u16 *)(r1 +0) = 0x1234\nr0 += r4\nout:\nexit";
    for length in [14, 19, 20, 60, 3520] {
        xdp(text, &packet(length.max(15)));
    }
}

#[test]
fn xdp_bytes() {
    if !kernel_is_in_reach() {
        return;
    }
    let places = [(0, 8), (56, 8), (57, 8), (60, 4), (63, 1), (64, 1), (65_535, 8), (65_536, 8), (-1, 8)];
    for (offset, size) in places {
        let arguments = format!("*(u64 *)(r10 -8) = 5\nr2 = {offset}\nr3 = r10\nr3 += -8\nr4 = {size}\n");
        let load = "call bpf_xdp_load_bytes\nif r0 != 0 goto out\nr0 = *(u32 *)(r10 -8)\nout:\nexit";
        xdp(&format!("{arguments}{load}"), &packet(64));
        xdp(&format!("{arguments}call bpf_xdp_store_bytes\nexit"), &packet(64));
    }
}

#[test]
fn differences_of_checksums() {
    if !kernel_is_in_reach() {
        return;
    }
    for (from, to) in [(8, 8), (0, 8), (8, 0), (4, 12), (0, 0), (3, 4), (4, 2), (12, 4)] {
        for seed in [0, 1, -1, 0x1234_5678, 0xffff] {
            for fill in [0, -1, 0x1020_3040] {
                let text = format!(
                    "*(u64 *)(r10 -8) = {fill}\n*(u64 *)(r10 -16) = 77\n*(u64 *)(r10 -24) = {fill}\n*(u64 *)(r10 -32) = 0\n\
                     r1 = r10\nr1 += -16\nr2 = {from}\nr3 = r10\nr3 += -32\nr4 = {to}\nw5 = {seed}\n\
                     call bpf_csum_diff\nexit"
                );
                xdp(&text, &packet(64));
            }
        }
    }
}

#[test]
fn numbers_in_text() {
    if !kernel_is_in_reach() {
        return;
    }
    let texts: [&[u8]; 22] = [
        b"42",
        b" -42x",
        b"0x1fz",
        b"077",
        b"08",
        b"0x",
        b"-",
        b"",
        b"   ",
        b"+5",
        b"9223372036854775807",
        b"9223372036854775808",
        b"-9223372036854775808",
        b"-9223372036854775809",
        b"18446744073709551615",
        b"18446744073709551616",
        b"\t\n 7",
        b"ff",
        b"0xFFg",
        b"-0",
        b"0",
        b"\xa05",
    ];
    for text in texts {
        let padded = if text.is_empty() { b"\0" } else { text };
        for helper in ["strtol", "strtoul"] {
            for flags in [0, 8, 10, 16, 2, 32] {
                for answer in ["", "r0 = *(u32 *)(r10 -8)\n", "r0 = *(u32 *)(r10 -4)\n"] {
                    let text = format!(
                        "*(u64 *)(r10 -8) = 3\n{}r3 = {flags}\nr4 = r10\nr4 += -8\ncall bpf_{helper}\n{answer}exit",
                        text_argument(padded)
                    );
                    compare(ProgType::SchedCls, &text, &packet(64), Maps::none);
                }
            }
        }
    }
}

#[test]
fn comparisons_of_text() {
    if !kernel_is_in_reach() {
        return;
    }
    let constant = || Maps::none().constant(b"packet\0\0");
    for (text, size) in
        [("packet\0", 7), ("packet", 6), ("pack", 4), ("pacx\0", 5), ("pabk\0", 5), ("packetz\0", 8), ("\0", 1)]
    {
        let text = format!(
            "{}r2 = {size}\nr3 = map[fd:{{0}}][0]+0 ll\ncall bpf_strncmp\nexit",
            text_argument(text.as_bytes())
        );
        compare(ProgType::SchedCls, &text, &packet(64), constant);
    }
}

#[test]
fn formats() {
    if !kernel_is_in_reach() {
        return;
    }
    let formats = [
        "%d %u",
        "%5d|%-6u|",
        "%05d|% d|%+d",
        "%x %X",
        "%08x",
        "%lld %llu",
        "%lx",
        "%ld",
        "%c%c",
        "%%%d",
        "%s",
        "%d%",
        "%q",
        "%.3d",
        "%5c|%-3c|",
        "%i",
        "%hd",
        "%#x",
        "%d %d %d %d",
        "plain",
        "%-08d|",
        "%+05d|",
        "% 5d",
        "%px",
        "%12px|",
        "%pI4 %pi4",
        "%pks",
        "%lls",
        "%ss",
        "%5%",
        "%20d",
        "%\u{7}",
        "%l",
        "% x",
    ];
    for format in formats {
        for (first, second) in [(0, 1), (-5, 77), (65, 0x7fff_ffff)] {
            let mut constant = format.as_bytes().to_vec();
            constant.resize(32, 0);
            // The text in the first bytes of the frame is what was printed; a sum stands for it.
            let sum = (0..6).fold(String::new(), |text, word| {
                text + &format!("r2 = *(u64 *)(r10 -{})\nr0 *= 31\nr0 += r2\n", 96 - 8 * word)
            });
            for (room, arguments) in [(48, 16), (5, 24), (48, 0), (48, 12), (1, 24)] {
                let zeros =
                    (0..6).fold(String::new(), |text, word| text + &format!("*(u64 *)(r10 -{}) = 0\n", 96 - 8 * word));
                let text = format!(
                    "// {format:?}\n{zeros}*(u64 *)(r10 -24) = {first}\n*(u64 *)(r10 -16) = {second}\n*(u64 *)(r10 -8) = -1\nr1 = r10\n\
                     r1 += -96\nr2 = {room}\nr3 = map[fd:{{0}}][0]+0 ll\nr4 = r10\nr4 += -24\nr5 = {arguments}\n\
                     call bpf_snprintf\n{sum}r1 = r0\nr1 >>= 32\nr0 ^= r1\nexit"
                );
                // Pointers are those of the program here and any of the kernel's there.
                let dereferences = ["%s", "%ss", "%pks", "%pI4"].iter().any(|pointer| format.contains(pointer));
                if !dereferences {
                    compare_formatted(&text, || Maps::none().constant(&constant));
                }
            }
        }
    }
}

/// As [`compare`], but the verifier may refuse what the helper would.
#[track_caller]
fn compare_formatted(text: &str, make: impl Fn() -> Maps) {
    let maps = make();
    let descriptors: Vec<i32> = maps.kernel.iter().map(|map| map.as_fd().as_raw_fd()).collect();
    if load(ProgType::SchedCls, &code(text, &descriptors)).is_ok() {
        compare(ProgType::SchedCls, text, &packet(64), make);
    } else {
        let insns = code(text, &[0]);
        let setup = Setup::new().helpers(Helpers::kernel()).program("test", ProgType::SchedCls, &insns);
        let setup = setup.map("map", Arc::clone(&maps.ours[0]));
        let mut worker = setup.load().unwrap().worker().unwrap();
        let refused = text.split("call bpf_snprintf").next().unwrap().to_owned() + "call bpf_snprintf\nexit";
        let setup = Setup::new().helpers(Helpers::kernel()).program("test", ProgType::SchedCls, &code(&refused, &[0]));
        let mut only = setup.map("map", Arc::clone(&maps.ours[0])).load().unwrap().worker().unwrap();
        worker.run_skb(0, &mut Skb::new(&packet(64))).unwrap();
        let verdict = only.run_skb(0, &mut Skb::new(&packet(64))).unwrap();
        assert_eq!(verdict.code.cast_signed(), -22, "the kernel refuses\n{text}");
    }
}

#[test]
fn ring_buffers() {
    if !kernel_is_in_reach() {
        return;
    }
    let ring = || Maps::none().with(MapType::Ringbuf, [0, 0, 4096, 0]);
    for flags in [0, 1, 2, 3, 4] {
        let text = format!(
            "*(u64 *)(r10 -8) = 7\nr1 = map[fd:{{0}}] ll\nr2 = r10\nr2 += -8\nr3 = 8\nr4 = {flags}\n\
             call bpf_ringbuf_output\nexit"
        );
        compare(ProgType::SchedCls, &text, &packet(64), ring);
    }
    for (size, flags) in [(8, 0), (4080, 0), (4088, 0), (4096, 0), (1, 0), (8, 1)] {
        for finish in ["submit", "discard"] {
            for question in 0..5 {
                let text = format!(
                    "r1 = map[fd:{{0}}] ll\nr2 = {size}\nr3 = {flags}\ncall bpf_ringbuf_reserve\nr6 = 1000\nif r0 == 0 goto none\n\
                     r6 = 0\n*(u8 *)(r0 +0) = 1\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_{finish}\nnone:\n\
                     r1 = map[fd:{{0}}] ll\nr2 = {question}\ncall bpf_ringbuf_query\nr0 += r6\nexit"
                );
                compare(ProgType::SchedCls, &text, &packet(64), ring);
            }
        }
    }
}

#[test]
fn skb_bytes() {
    if !kernel_is_in_reach() {
        return;
    }
    for (offset, size) in [(0, 8), (56, 8), (57, 8), (64, 1), (0x7fff_ffff, 8), (-1, 1)] {
        let arguments = format!("*(u64 *)(r10 -8) = 5\nr2 = {offset}\nr3 = r10\nr3 += -8\nr4 = {size}\n");
        let load = "if r0 != 0 goto out\nr0 = *(u32 *)(r10 -8)\nout:\nexit";
        skb(&format!("{arguments}call bpf_skb_load_bytes\n{load}"), &packet(64));
        skb(&format!("{arguments}call bpf_skb_load_bytes\nr0 = *(u32 *)(r10 -8)\nexit"), &packet(64));
        for flags in [0, 1, 2, 3, 4] {
            skb(&format!("{arguments}r5 = {flags}\ncall bpf_skb_store_bytes\nexit"), &packet(64));
        }
        for header in [0, 1, 2] {
            skb(&format!("{arguments}r5 = {header}\ncall bpf_skb_load_bytes_relative\n{load}"), &packet(64));
        }
        skb(&format!("r2 = {offset}\ncall bpf_skb_pull_data\nexit"), &packet(64));
    }
}

#[test]
fn skb_checksums() {
    if !kernel_is_in_reach() {
        return;
    }
    for (from, to) in [(0, 0), (0, 0x1234), (0x0304, 0x0405), (0xffff, 0), (0x1234_5678, 0x7654_3210), (0, 0xffff)] {
        for flags in [0, 2, 4, 1, 3, 0x10, 0x12, 0x14, 0x20, 0x22, 0x24, 0x62, 0x200] {
            for offset in [24, 25, 62, 63, 64] {
                for helper in ["l3_csum_replace", "l4_csum_replace"] {
                    let text = format!("r2 = {offset}\nr3 = {from}\nr4 = {to}\nr5 = {flags}\ncall bpf_{helper}\nexit");
                    skb(&text, &packet(64));
                    let mut zeros = packet(64);
                    zeros[24..26].fill(0);
                    zeros[62..].fill(0);
                    skb(&text, &zeros);
                }
            }
        }
    }
    assert_eq!(skb("r2 = 5\ncall bpf_csum_update\nexit", &packet(64)), -524);
}

#[test]
fn skb_lengths() {
    if !kernel_is_in_reach() {
        return;
    }
    for size in [13, 14, 20, 64, 100, 1500, 4000] {
        for flags in [0, 1] {
            skb(&format!("r2 = {size}\nr3 = {flags}\ncall bpf_skb_change_tail\nexit"), &packet(64));
            skb(&format!("r2 = {size}\nr3 = {flags}\ncall bpf_skb_change_head\nexit"), &packet(64));
        }
        let text = format!("r6 = r1\nr2 = {size}\nr3 = 0\ncall bpf_skb_change_tail\nr0 = *(u32 *)(r6 +0)\nexit");
        skb(&text, &packet(64));
    }
}

#[test]
fn skb_tags() {
    if !kernel_is_in_reach() {
        return;
    }
    let push = "r1 = r6\nr2 = 0xa888\nr3 = 100\ncall bpf_skb_vlan_push\n";
    let pop = "r1 = r6\ncall bpf_skb_vlan_pop\n";
    let answers = [
        "",
        "r0 = *(u32 *)(r6 +20)\n",
        "r0 = *(u32 *)(r6 +24)\n",
        "r0 = *(u32 *)(r6 +28)\n",
        "r0 = *(u32 *)(r6 +16)\n",
        "r0 = *(u32 *)(r6 +0)\n",
    ];
    for steps in ["u", "uu", "uuu", "o", "uo", "uuo", "uuoo", "uuuo"] {
        let steps: String = steps.chars().map(|step| if step == 'u' { push } else { pop }).collect();
        for answer in answers {
            skb(&format!("r6 = r1\n{steps}{answer}exit"), &packet(64));
        }
    }
}

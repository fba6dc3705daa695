//! Packets: headers that are read and written through cursors, and maps that programs for packets use.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

use skep_kernel::attach::{AttachOptions, Symbols, UsdtArgument, UsdtLocation, UsdtPlace, attach_all};
use skep_kernel::{KernelError, PerfBuffer, PerfRecord, RingBuffer, Update};
use skep_object::AttachPoint;

use super::*;

impl Live {
    fn run(&self, program: &str, data: &[u8]) -> (u32, Vec<u8>) {
        let found = self.loaded.program(program).unwrap_or_else(|| panic!("no program {program}"));
        let output = found.test(&TestInput { data, repeat: 1, ..TestInput::default() }).expect("a run");
        (output.run.result, output.data)
    }

    /// Runs a filter of sockets on a whole frame: the kernel takes a header off, so there is one more.
    fn filter(&self, program: &str, frame: &[u8]) -> i32 {
        self.run(program, &[&[0; 12][..], &[0x88, 0xb5], frame].concat()).0.cast_signed()
    }

    fn section(&self, program: &str) -> &str {
        let found = self.object.programs.iter().find(|found| found.name == program);
        &found.unwrap_or_else(|| panic!("no program {program}")).section
    }
}

const SENDER: u64 = 0x0200_0000_0a0b;

/// A frame from a sender.
fn frame(kind: u16, rest: &[u8]) -> Vec<u8> {
    let sender = &SENDER.to_be_bytes()[2..];
    [&[2, 0, 0, 0, 0, 1], sender, &kind.to_be_bytes()[..], rest].concat()
}

/// The same with IPv4 in it; `words` are words of options.
fn ipv4(protocol: u8, words: u8, rest: &[u8]) -> Vec<u8> {
    let header = 20 + 4 * usize::from(words);
    let [high, low] = u16::try_from(header + rest.len()).expect("a length").to_be_bytes();
    let mut packet = vec![0x45 + words, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet.resize(header, 1);
    packet.extend(rest);
    frame(0x800, &packet)
}

#[test]
fn http_is_found_behind_headers_of_any_length() {
    let Some(live) = live("http.c") else { return };
    assert_eq!(live.section("http_filter"), "socket");
    let tcp = |words: u8, text: &str| {
        let mut header = vec![0x1f, 0x90, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50 + 16 * words, 0x18, 1, 0, 0, 0, 0, 0];
        header.resize(20 + 4 * usize::from(words), 0);
        [&header[..], text.as_bytes()].concat()
    };
    for (ip, options) in [(0, 0), (2, 3), (10, 10)] {
        for (text, kept) in [("GET / HTTP/1.1\r\n", -1), ("HTTP/1.1 200 OK\r\n", -1), ("POST /x", -1), ("GARBAGE", 0)] {
            let packet = ipv4(6, ip, &tcp(options, text));
            assert_eq!(live.filter("http_filter", &packet), kept, "{text:?} with {ip} and {options} words of options");
        }
    }
    assert_eq!(live.filter("http_filter", &ipv4(17, 0, &tcp(0, "GET / HTTP"))), 0, "not TCP");
    assert_eq!(live.filter("http_filter", &ipv4(6, 0, &tcp(0, "GET"))), 0, "too short for any");
    assert_eq!(live.filter("http_filter", &ipv4(6, 0, &[0; 4])), 0, "what is missing ends the program");
    assert_eq!((live.number("methods", b'G'.into()), live.sum("methods")), (3, 9));
}

#[test]
fn fields_are_those_of_the_standards() {
    let Some(live) = live("vlans.c") else { return };
    let tagged = |tag: u16, kind: u16| frame(0x8100, &[tag.to_be_bytes(), kind.to_be_bytes()].concat());
    assert_eq!(live.filter("count", &tagged(5 << 13 | 1 << 12 | 0xabc, 0x800)), 1);
    assert_eq!(live.filter("count", &tagged(5 << 13 | 0xabc, 0x86dd)), 2);
    assert_eq!(live.filter("count", &tagged(1, 0x800)), 1);
    let vlan = |id: u16| live.get("by_vlan", &id.to_ne_bytes()).map(|value| u64_at(&value, 0));
    assert_eq!((vlan(0xabc), vlan(1), vlan(2)), (Some(2), Some(1), None));
    assert_eq!([0, 5].map(|priority| live.number("priorities", priority)), [1, 2]);
    let arp = |operation: u8| {
        let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
        packet.extend(&SENDER.to_be_bytes()[2..]);
        packet.extend([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9]);
        frame(0x806, &packet)
    };
    // Nothing is read behind the last field.
    assert_eq!([1, 2].map(|operation| live.filter("count", &arp(operation))), [0x0a00_0009, 0]);
    let mut ipv6 = vec![0x61, 0x2a, 0xbc, 0xde, 0, 0, 58, 255];
    ipv6.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x02]);
    ipv6.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(live.filter("count", &frame(0x86dd, &ipv6)), 0xa_bcde + 0x12 + 0x1002 % 1000);
    let senders = live.map("by_sender").get_per_cpu(&SENDER.to_ne_bytes()).expect("a look-up").expect("an entry");
    assert_eq!(senders.sum(), Some(6));
}

#[test]
fn questions_for_names_are_matched() {
    let Some(live) = live("dns.c") else { return };
    let name = b"\x07example\x03org";
    let mut key = [0; 32];
    key[..name.len()].copy_from_slice(name);
    live.map("cache").set(&key, &[0; 16], Update::Any).expect("an entry");
    let question = |id: u16, flags: u8, name: &[u8]| {
        let mut packet = vec![0x9c, 0x40, 0, 53, 0, 0, 0, 0];
        packet.extend(id.to_be_bytes());
        packet.extend([flags, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        packet.extend(name);
        packet.extend([0, 0, 1, 0, 1]);
        packet
    };
    assert_eq!(live.filter("dns_matching", &ipv4(17, 0, &question(0x1234, 1, name))), -1);
    assert_eq!(live.filter("dns_matching", &ipv4(17, 5, &question(0x4321, 1, name))), -1);
    assert_eq!(live.filter("dns_matching", &ipv4(17, 0, &question(1, 1, b"\x07example\x03com"))), 0);
    assert_eq!(live.filter("dns_matching", &ipv4(17, 0, &question(2, 0x81, name))), 0, "an answer");
    let leaf = live.get("cache", &key).expect("an entry");
    assert_eq!((u64_at(&leaf, 0), u32_at(&leaf, 8) & 0xffff), (2, 0x4321));
}

#[test]
fn headers_are_written() {
    let Some(live) = live("rewrite.c") else { return };
    assert_eq!(live.section("forward"), "tc", "filters of sockets write nothing");
    let packet = ipv4(17, 0, &[7; 30]);
    let (result, changed) = live.run("forward", &packet);
    assert_eq!(result, 0);
    let mut expected = packet.clone();
    expected[..6].copy_from_slice(&packet[6..12]);
    expected[6..12].copy_from_slice(&packet[..6]);
    expected[20..22].copy_from_slice(&[0x40, 5]);
    expected[22] = 63;
    expected[30..34].copy_from_slice(&[10, 0, 0, 99]);
    assert_eq!(changed, expected);
    let mut last = packet;
    (last[20], last[22]) = (0x20, 1);
    let (result, changed) = live.run("forward", &last);
    assert_eq!((result, &changed[20..23]), (2, &[0x60, 5, 0][..]), "the bits around it stay");
    assert_eq!(live.number("seen", 1), 50);
}

#[test]
fn maps_lie_in_maps() {
    let Some(live) = live("nested.c") else { return };
    let packet = |class: u8, protocol: u8| {
        let mut packet = ipv4(protocol, 0, &[0; 12]);
        packet[15] = class;
        packet
    };
    assert_eq!(live.run("classify", &packet(1, 17)).0, 0, "no inner map");
    let inner = live.map("lengths").as_fd().as_raw_fd().to_ne_bytes();
    live.map("by_protocol").set(&17u32.to_ne_bytes(), &inner, Update::Any).expect("an inner map");
    assert_eq!([(); 3].map(|()| live.run("classify", &packet(1, 17)).0), [1, 2, 2]);
    assert_eq!(live.run("classify", &packet(1, 6)).0, 0);
    live.map("by_class").set(&1u32.to_ne_bytes(), &inner, Update::Any).expect("an inner map");
    assert_eq!(live.run("classify", &packet(1, 6)).0, 2);
    assert_eq!(live.number("lengths", 32), 4);
}

#[test]
fn packets_and_records_reach_the_host() {
    let Some(live) = live("events.c") else { return };
    let mut perf = PerfBuffer::open(live.map("skb_events"), 4, 1).expect("a buffer");
    let packet = ipv4(17, 0, b"to the host");
    assert_eq!(live.filter("submit", &packet), 1);
    let mut records = Vec::new();
    let each = |record: PerfRecord<'_>| match record {
        PerfRecord::Sample { data, .. } => records.push(data.to_vec()),
        PerfRecord::Lost { count, .. } => panic!("{count} lost"),
    };
    perf.consume(each).expect("records");
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!([u32_at(record, 0), u32_at(record, 4)], [0xface_b00c, packet.len() as u32]);
    assert_eq!(record[8..8 + packet.len()], packet);
    let mut ring = RingBuffer::open(live.map("records")).expect("a buffer");
    assert_eq!([packet, vec![0; 1001]].map(|packet| live.filter("reserve", &packet)), [1, 2]);
    let mut records = Vec::new();
    let each = |record: &[u8]| {
        records.push((u32_at(record, 0), u32_at(record, 4)));
        ControlFlow::Continue(())
    };
    ring.consume(each).expect("records");
    // Two records of 8 bytes, each with a head of 8, were there when the second was asked for.
    assert_eq!(records, [(1, 45), (2, 32), (1, 1001)]);
}

#[test]
fn lives_of_connections_are_told() {
    let Some(live) = live("tcplife.c") else { return };
    let attached = live.tracepoint("tracepoint__sock__inet_sock_set_state", "sock", "inet_sock_set_state");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let server = listener.local_addr().expect("an address").port();
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).expect("a connection");
    let own = client.local_addr().expect("an address").port();
    let (mut peer, _) = listener.accept().expect("a connection");
    client.write_all(b"x").expect("it is sent");
    client.shutdown(std::net::Shutdown::Write).expect("an end");
    peer.read_to_end(&mut Vec::new()).expect("it is received");
    drop((peer, client));
    let start = Instant::now();
    let life = loop {
        match live.get("lives", &own.to_ne_bytes()) {
            Some(life) => break life,
            None => assert!(start.elapsed() < LIMIT, "no life was told within {LIMIT:?}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    drop(attached);
    assert_eq!(u32_at(&life, 8), std::process::id());
    assert_eq!([12, 16].map(|at| life[at..at + 4].to_vec()), [vec![127, 0, 0, 1], vec![127, 0, 0, 1]]);
    assert_eq!([20, 22].map(|at| u16::from_ne_bytes([life[at], life[at + 1]])), [own, server]);
}

#[test]
fn tables_have_their_methods() {
    let Some(live) = live("tables.c") else { return };
    let prefix = [8u32.to_ne_bytes(), [10, 0, 0, 0]].concat();
    live.map("routes").set(&prefix, &6u32.to_ne_bytes(), Update::Any).expect("a route");
    let packet = ipv4(17, 0, &[]);
    assert_eq!([(); 2].map(|()| live.run("work", &packet).0), [2, 2]);
    let last = live.loaded.program("last").expect("a program").as_fd().as_raw_fd();
    live.map("stages").set(&2u32.to_ne_bytes(), &last.to_ne_bytes(), Update::Any).expect("a program");
    assert_eq!(live.run("work", &packet).0, 77, "the call went through");
    let plain = [0, 1, 2, 3u32].map(|key| u32_at(&live.get("plain", &key.to_ne_bytes()).expect("an entry"), 0));
    // Three runs; of six numbers that were put into the queue it held four, and gave three.
    assert_eq!(plain, [7, 3, 30, 18]);
    assert_eq!(live.number("sparse", 7), 46);
    assert_eq!(live.get("sparse", &8u32.to_ne_bytes()), None);
    assert_eq!(live.get("recent", &7u32.to_ne_bytes()), Some(vec![18, 0]));
    assert_eq!(
        live.map("each").get_per_cpu(&1u32.to_ne_bytes()).expect("a look-up").and_then(|all| all.sum()),
        Some(3)
    );
}

#[test]
fn every_place_has_its_section() {
    let Some(live) = live("places.c") else { return };
    let sections = ["to_socket", "established", "message", "kprobe__do_exit"].map(|name| live.section(name));
    assert_eq!(sections, ["xdp", "sockops", "sk_msg", "kprobe/do_exit"]);
    assert_eq!(live.section("raw_tracepoint__sched_process_fork"), "raw_tp/sched_process_fork");
    assert_eq!(live.loaded.programs.len(), 5);
    let object = compiled("typed.c").expect("types of the kernel").expect("an object");
    let mut sections: Vec<_> = object.programs.iter().map(|program| program.section.as_str()).collect();
    sections.sort_unstable();
    assert_eq!(
        sections,
        [
            "fentry/nf_tables:nft_do_chain",
            "fentry/vfs_open",
            "fexit/nf_tables:nft_do_chain",
            "fexit/vfs_open",
            "lsm/file_open"
        ]
    );
}

#[test]
fn iterators_follow_pointers_themselves() {
    let Some(live) = live("tasks.c") else { return };
    assert_eq!(live.section("bpf_iter__task"), "iter/task");
    let attached = attach_all(&live.loaded, &live.object, &AttachOptions::default());
    let attached = attached.unwrap_or_else(|(name, error)| panic!("{name}: {error}"));
    let mut text = String::new();
    attached.iterators[0].1.open().expect("a file").read_to_string(&mut text).expect("text");
    let comm = std::fs::read_to_string("/proc/self/comm").expect("a name");
    let own = format!("{} {}", std::process::id(), comm.trim_end());
    assert!(text.lines().any(|line| line == own), "{own}: {text}");
}

#[test]
fn headers_may_be_anywhere() {
    let Some(object) = compiled("extremes.c") else { return };
    let object = object.unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!(object.programs.len(), 2);
}

/// The checksum of the internet (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn checksums_follow_translations() {
    let Some(live) = live("translate.c") else { return };
    assert_eq!(live.section("translate"), "tc");
    // With both checksums; that of UDP includes addresses, protocol and length.
    let complete = |mut packet: Vec<u8>| {
        packet[24..26].fill(0);
        let sum = checksum(&packet[14..34]);
        packet[24..26].copy_from_slice(&sum.to_be_bytes());
        packet[40..42].fill(0);
        let length = (packet.len() - 34) as u8;
        let sum = checksum(&[&packet[26..34], &[0, 17, 0, length], &packet[34..]].concat());
        packet[40..42].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    let packet = complete(ipv4(17, 0, &[1, 2, 0, 53, 0, 13, 0, 0, b'h', b'e', b'l', b'l', b'o']));
    let before = live.run("translate", &packet);
    assert_eq!(before, (0, packet.clone()));
    let [old, new] = [0x0a00_0002u32, 0xc0a8_0107].map(u32::to_ne_bytes);
    live.map("translations").set(&old, &new, Update::Any).expect("an entry");
    let mut expected = packet.clone();
    expected[30..34].copy_from_slice(&[192, 168, 1, 7]);
    assert_eq!(live.run("translate", &packet), (3, complete(expected)));
}

// TABLE
/// What is not there, and what is said of it.
const REFUSED: &[(&str, &str)] = &[
    ("BPF_TABLE(\"extern\", u32, u64, theirs, 4);", "a table is a hash, array,"),
    ("BPF_TABLE(\"prog\", u32, int, stages, 4);", "macros of their own, as BPF_PROG_ARRAY(name, size)"),
    (
        "BPF_TABLE_PINNED(\"hash\", u32, u64, kept, 4, \"/sys/fs/bpf/other\");",
        "a pinned table lies at /sys/fs/bpf under its own name",
    ),
    ("BPF_ARRAY_OF_MAPS(outer, \"inner\", 4);", "there is no map `inner` that says how the inner maps look"),
    (
        "int f(struct __sk_buff *skb) { struct ip_t *ip = 0, copy = *ip; return copy.ttl; }",
        "a header in a packet is read and written member by member",
    ),
    (
        "int f(struct xdp_md *ctx) { struct ip_t *ip = 0; ip->ttl = 1; return 0; }",
        "that writes to a header has no packet",
    ),
    (
        "struct odd { u8 a : 4; u64 b : 63; } BPF_PACKET_HEADER; int f(struct __sk_buff *s) { return ((struct odd *)0)->b; }",
        "spans more than eight bytes",
    ),
    (
        "BPF_QUEUE(waiting, u32, 4); int f(struct __sk_buff *skb) { return waiting.lookup(&skb); }",
        "the map `waiting` has no method `lookup` with 1 arguments",
    ),
];

#[test]
fn what_is_not_there_is_told() {
    for (text, expected) in REFUSED {
        let Some(result) = compiled_text("refused.c", format!("#include <bcc/proto.h>\n{text}\n").as_bytes()) else {
            return;
        };
        let Err(message) = result else { panic!("`{text}` compiles") };
        assert!(message.contains(expected), "{text}: {message}");
        assert_eq!(message.matches("error:").count(), 1, "{text}: {message}");
    }
}

#[test]
fn shared_tables_are_pinned() {
    let text = "BPF_TABLE_PINNED(\"hash\", u32, u64, kept, 4, \"/sys/fs/bpf/kept\");\n\
                BPF_TABLE_SHARED(\"lpm_trie\", u64, u64, routes, 4);\n\
                int f(struct __sk_buff *skb) { kept.increment(1); return 0; }\n";
    let Some(object) = compiled_text("shared.c", text.as_bytes()) else { return };
    let object = object.expect("an object");
    let shared: Vec<_> = object.maps.iter().filter(|map| map.pinned).map(|map| (&*map.name, map.flags.0)).collect();
    assert_eq!(shared, [("kept", 0), ("routes", 1)]);
}

/// What is marked.
#[inline(never)]
extern "C" fn marked(first: u64, second: i32, text: *const u8) -> u64 {
    black_box(text);
    black_box(first ^ second.unsigned_abs() as u64)
}

/// Where the arguments of [`marked`] are, as a note would say.
struct Marked;

impl Symbols for Marked {
    fn function(&self, file: &str, _: &str, _: Option<u32>) -> Result<(PathBuf, u64), String> {
        Err(format!("{file} is asked for no function"))
    }

    fn functions(&self, file: &str, _: &str, _: Option<u32>) -> Result<(PathBuf, Vec<u64>), String> {
        Err(format!("{file} is asked for no functions"))
    }

    fn probe(&self, file: &str, _: &str, _: &str, _: Option<u32>) -> Result<(PathBuf, Vec<UsdtPlace>), String> {
        // In `struct pt_regs` of this architecture: the third and the second argument of a function.
        let [text, number] = if cfg!(target_arch = "x86_64") { [96, 104] } else { [16, 8] };
        let argument = |size, signed, at| UsdtArgument { size, signed, location: UsdtLocation::Register(at) };
        let arguments = vec![argument(8, false, text), argument(4, true, number), argument(8, false, text)];
        let place = UserPlace::at(offset_of(marked as *const () as usize));
        Ok((PathBuf::from(file), vec![UsdtPlace { place, arguments: Ok(arguments) }]))
    }

    fn kernel_functions(&self, pattern: &str) -> Result<Vec<String>, KernelError> {
        panic!("{pattern} is asked for")
    }
}

#[test]
fn arguments_of_marked_places_are_read() {
    let Some(live) = live("marked.c") else { return };
    assert_eq!(live.section("on_query"), "usdt");
    let place = AttachPoint::Usdt {
        path: std::env::current_exe().expect("a file").display().to_string(),
        provider: "skep".to_owned(),
        name: "query".to_owned(),
    };
    let places = [("on_query", place)];
    let process = Some(std::process::id());
    let options = AttachOptions { symbols: Some(&Marked), places: &places, process, ..AttachOptions::default() };
    let attached = attach_all(&live.loaded, &live.object, &options);
    let attached = attached.unwrap_or_else(|(name, error)| panic!("{name}: {error}"));
    let own = fs::read_link("/proc/thread-self").expect("a link").display().to_string();
    let own: u32 = own.rsplit('/').next().and_then(|number| number.parse().ok()).expect("a number");
    black_box(marked)(1, -7, c"select 1".as_ptr().cast());
    drop(attached);
    let query = live.get("queries", &own.to_ne_bytes()).expect("an entry");
    assert_eq!((query[..8].to_vec(), u32_at(&query, 8), u32_at(&query, 12)), (b"select 1".to_vec(), own, -7i32 as u32));
    assert_eq!(text_at(&query, 16), "select 1");
}

#[test]
fn texts_behind_records_are_read() {
    let Some(live) = live("marked.c") else { return };
    let attached = live.tracepoint("tracepoint__sched__sched_process_exec", "sched", "sched_process_exec");
    let process = ran("/bin/true", None);
    drop(attached);
    let run = live.get("runs", &process.to_ne_bytes()).expect("an entry");
    assert_eq!((u32_at(&run, 8), u32_at(&run, 12)), (process, process));
    assert_eq!(text_at(&run, 16), "/bin/true");
}

//! Same program, every executor: what the compiler makes of the corpus runs the same everywhere.
//!
//! ```text
//!                      +-> listing, C array, decimal --> a machine that only knows their text
//! expression -> program+-> classic interpreter
//!                      +-> the kernel, attached to a socket pair
//!                      +-> 64-bit translation, without and with look-ups in maps
//!                                             +-> 64-bit interpreter
//!                                             +-> the kernel, loaded with bpf(2): socket pair and test run
//! ```
//!
//! All follow the kernel's rules. Whether the verdicts are those of tcpdump is the subject of `tcpdump.rs`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{Display, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use skep_isa::ProgType;
use skep_isa::classic::{self, ANCILLARY, Insn, PadStyle, c_array, decimal, listing};
use skep_isa::translate::{self, TranslateError, translate};
use skep_kernel::{KernelError, Verdicts, test_verdict};
use skep_lang_filter::names::SystemResolver;
use skep_lang_filter::{Compat, Filter, Live, Options, compile};
use skep_object::{Object, Program};
use skep_proto::LinkType;
use skep_testkit::corpus::corpus_for;
use skep_testkit::independent::{self, Format, Rules};
use skep_testkit::tcpdump::in_parallel;
use skep_testkit::{LINKS, TestPacket, packets};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::SocketFilter;

/// The link types that get every expression; the others get every seventh.
const COMPLETE: [LinkType; 7] = [
    LinkType::EN10MB,
    LinkType::RAW,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::IEEE802_11_RADIO,
    LinkType::PPP,
    LinkType::NULL,
];
const SAMPLE: usize = 7;

/// What was compared.
#[derive(Debug, Default, Clone, Copy)]
struct Totals {
    expressions: usize,
    programs: usize,
    longest: usize,
    kept: usize,
    rejected: usize,
    attached: usize,
    attached_verdicts: usize,
    out_of_socket_memory: usize,
    loaded: usize,
    loaded_with_maps: usize,
    loaded_verdicts: usize,
    /// Expressions that need more scratch memory than there is.
    out_of_scratch: usize,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.expressions += other.expressions;
        self.programs += other.programs;
        self.longest = self.longest.max(other.longest);
        self.kept += other.kept;
        self.rejected += other.rejected;
        self.attached += other.attached;
        self.attached_verdicts += other.attached_verdicts;
        self.out_of_socket_memory += other.out_of_socket_memory;
        self.loaded += other.loaded;
        self.loaded_with_maps += other.loaded_with_maps;
        self.loaded_verdicts += other.loaded_verdicts;
        self.out_of_scratch += other.out_of_scratch;
    }
}

/// Names of the ancillary words that a program reads.
fn words(insns: &[Insn]) -> Vec<&'static str> {
    let load = |insn: &Insn| match insn.decode() {
        Some(classic::Op::LdAbs(_, k)) => classic::ancillary(k),
        _ => None,
    };
    insns.iter().filter_map(load).map(|word| word.name).collect()
}

/// The metadata as the independent machine wants it: by the names that listings have for the words.
fn by_name(meta: &Metadata) -> BTreeMap<&'static str, u32> {
    let mut map = BTreeMap::from([
        ("proto", meta.protocol.into()),
        ("type", meta.packet_type.into()),
        ("mark", meta.mark),
        ("queue", meta.queue.into()),
        ("rxhash", meta.rxhash),
        ("cpu", meta.cpu),
        ("random", meta.random),
        ("vlan_tci", meta.vlan_tci.unwrap_or(0).into()),
        ("vlanp", meta.vlan_tci.is_some().into()),
        ("vlan_tpid", meta.vlan_tci.map_or(0, |_| meta.vlan_tpid.into())),
    ]);
    if let Some(ifindex) = meta.ifindex {
        map.insert("ifidx", ifindex);
        map.insert("hatype", meta.hatype.into());
    }
    map
}

/// Name of the 64-bit programs.
const NAME: &str = "filter";

/// The translation of a classic program.
fn translated(insns: &[Insn]) -> Result<Object, TranslateError> {
    let mut object = Object::new("GPL");
    let insns = translate(insns, &translate::Options::default())?.insns;
    object.add_program(Program::new(NAME, ProgType::SocketFilter, insns));
    Ok(object)
}

/// One program in all executors of user space.
struct Executors {
    printed: independent::Program,
    classic: skep_vm::classic::Program,
    /// The 64-bit programs: the plain translation and, for long lists, one with maps. None if the program reads a
    /// word that 64-bit programs cannot read.
    wide: Vec<(Object, SocketFilter)>,
    words: Vec<&'static str>,
}

impl Executors {
    fn new(filter: &Filter) -> Result<Self, String> {
        let insns = filter.program.as_slice();
        let text = listing(insns, PadStyle::V1_11);
        let read =
            |text: &str, format| independent::Program::read(text, format).map_err(|e| format!("{format:?}: {e}"));
        let printed = read(&text, Format::Listing)?;
        for (text, format) in [(c_array(insns), Format::CArray), (decimal(insns), Format::Decimal)] {
            if read(&text, format)? != printed {
                return Err(format!("the listing and {format:?} are different programs"));
            }
        }
        let wide = match (translated(insns), filter.object()) {
            (Ok(plain), Ok(object)) => {
                let objects = if object.maps.is_empty() { vec![plain] } else { vec![plain, object] };
                let machine = |object: &Object| SocketFilter::from_object(object, NAME);
                let pair = |object| machine(&object).map(|machine| (object, machine));
                let pairs = objects.into_iter().map(pair).collect::<Result<Vec<_>, _>>();
                pairs.map_err(|e| format!("the 64-bit interpreter does not load it: {e}"))?
            }
            (Err(TranslateError::Ancillary { word, .. }), Err(_)) if word.name == "hatype" => Vec::new(),
            (Err(error), _) | (_, Err(error)) => return Err(format!("no translation: {error}")),
        };
        let classic = skep_vm::classic::Program::new(insns).map_err(|e| format!("the interpreter refuses it: {e}"))?;
        Ok(Self { printed, classic, wide, words: words(insns) })
    }

    /// The result for a packet, which must be the same in all machines.
    fn run(&mut self, packet: &[u8], wire_len: u32, meta: &Metadata) -> Result<u32, String> {
        let want = self.classic.run(packet, wire_len, meta);
        for (object, filter) in &mut self.wide {
            let got = filter.run(packet, wire_len, meta).map_err(|fault| format!("64-bit interpreter: {fault}"))?;
            if got != want {
                let maps = object.maps.len();
                return Err(format!("64-bit interpreter with {maps} maps {got}, classic interpreter {want}"));
            }
        }
        // Without a device the kernel ends a program that asks for it with A, of which the manuals know nothing.
        if meta.ifindex.is_none() && self.words.iter().any(|word| ["ifidx", "hatype"].contains(word)) {
            return Ok(want);
        }
        let ancillary = if self.words.is_empty() { BTreeMap::new() } else { by_name(meta) };
        let input = independent::Input { data: packet, wire_len, ancillary, rules: Rules::KERNEL };
        let (got, _) = self.printed.run(&input).map_err(|fault| format!("printed program: {fault}"))?;
        if got == want { Ok(want) } else { Err(format!("printed program {got}, classic interpreter {want}")) }
    }
}

/// Reports what cannot be tested here; a failure when `SKEP_REQUIRE_KERNEL` is 1.
fn skip(why: &dyn Display) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// Whether the kernel takes 64-bit programs from us.
fn loading_is_possible() -> bool {
    match translated(&[Insn::ret_k(1)]).map(|object| skep_kernel::load(&object)) {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            skip(&error);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// The most that the kernel could need for its own translation of a classic program, in bytes.
///
/// A packet load becomes a fast path, a call and the tests around them (`convert_bpf_ld_abs` in `net/core/filter.c`),
/// at most 24 slots of 8 bytes with what surrounds it; other instructions become at most 6.
fn kernel_bytes(insns: &[Insn]) -> u64 {
    let slots = |insn: &Insn| match insn.decode() {
        Some(classic::Op::LdAbs(..) | classic::Op::LdInd(..) | classic::Op::LdxMsh(_)) => 24,
        _ => 6,
    };
    insns.iter().map(slots).sum::<u64>() * 8 + 1024
}

/// Compares executors on the packets of a link type.
struct Bench<'a> {
    packets: &'a [TestPacket],
    /// Whether programs can be loaded with bpf(2).
    loading: bool,
    /// One of so many packets goes through the kernel.
    kernel_sample: usize,
}

impl Bench<'_> {
    /// Packets for the kernel, in which the captured length is the length on the wire.
    fn kernel_packets(&self) -> impl Iterator<Item = &[u8]> {
        self.packets.iter().step_by(self.kernel_sample).map(|packet| packet.data.as_slice())
    }

    fn compare(&self, filter: &Filter, metas: &[Metadata]) -> Result<Totals, String> {
        let insns = filter.program.as_slice();
        let mut totals = Totals { programs: 1, longest: insns.len(), ..Totals::default() };
        let mut executors = Executors::new(filter)?;
        for meta in metas {
            for packet in self.packets {
                let result = executors
                    .run(&packet.data, packet.orig_len, meta)
                    .map_err(|fault| describe(&fault, insns, &packet.data, packet.orig_len))?;
                *(if result == 0 { &mut totals.rejected } else { &mut totals.kept }) += 1;
            }
        }
        if insns.len() <= classic::MAX_INSNS {
            self.attach(insns, &mut executors, &mut totals)?;
        }
        if self.loading {
            self.load(insns, &mut executors, &mut totals)?;
        }
        Ok(totals)
    }

    /// The classic program as a filter of the kernel, which has to accept it.
    fn attach(&self, insns: &[Insn], executors: &mut Executors, totals: &mut Totals) -> Result<(), String> {
        let verdicts = match Verdicts::classic(insns) {
            Ok(verdicts) => verdicts,
            Err(KernelError::SocketMemory { insns: told, limit: Some(limit) }) => {
                totals.out_of_socket_memory += 1;
                let explained = told == insns.len() && kernel_bytes(insns) > limit;
                return if explained { Ok(()) } else { Err(format!("{told} instructions exceed {limit} bytes")) };
            }
            Err(error) => return Err(describe(&format!("the kernel refuses it: {error}"), insns, &[], 0)),
        };
        totals.attached += 1;
        if is_unsteady(executors) {
            return Ok(());
        }
        self.ask(insns, executors, &verdicts).map(|count| totals.attached_verdicts += count)
    }

    /// The 64-bit programs in the kernel, as filters and by test runs.
    fn load(&self, insns: &[Insn], executors: &mut Executors, totals: &mut Totals) -> Result<(), String> {
        let objects: Vec<Object> = executors.wide.iter().map(|(object, _)| object.clone()).collect();
        for object in objects {
            let fail = |fault: &dyn Display| describe(&format!("{} maps: {fault}", object.maps.len()), insns, &[], 0);
            let loaded = skep_kernel::load(&object).map_err(|error| fail(&error))?;
            let program = loaded.program(NAME).ok_or_else(|| fail(&"the program is missing"))?;
            totals.loaded += 1;
            totals.loaded_with_maps += usize::from(!object.maps.is_empty());
            if is_unsteady(executors) {
                continue;
            }
            match Verdicts::program(program) {
                Ok(verdicts) => totals.loaded_verdicts += self.ask(insns, executors, &verdicts)?,
                // A filter of a socket counts with the size of its instructions.
                Err(KernelError::SocketMemory { insns, limit: Some(limit) }) if insns as u64 * 8 + 1024 > limit => {}
                Err(error) => return Err(fail(&error)),
            }
            // Test runs have the loopback device, which is the first one of every network namespace.
            let meta = Metadata { ifindex: Some(1), hatype: 772, ..socket_pair() };
            for packet in self.kernel_packets().step_by(4).filter(|packet| !packet.is_empty()) {
                let len = u32::try_from(packet.len()).map_err(|e| e.to_string())?;
                let got = test_verdict(program, packet).map_err(|error| error.to_string())?;
                let want = executors.run(packet, len, &meta)?;
                if got != want {
                    return Err(describe(&format!("test run {got}, interpreters {want}"), insns, packet, len));
                }
                totals.loaded_verdicts += 1;
            }
        }
        Ok(())
    }

    /// The verdicts of a socket for a sample of the packets; how many these are.
    fn ask(&self, insns: &[Insn], executors: &mut Executors, verdicts: &Verdicts) -> Result<usize, String> {
        let mut count = 0;
        for packet in self.kernel_packets() {
            let len = u32::try_from(packet.len()).map_err(|e| e.to_string())?;
            let got = verdicts.of(packet).map_err(|error| error.to_string())?;
            let want = executors.run(packet, len, &socket_pair())?;
            if got != (want != 0).then_some(want.min(len)) {
                return Err(describe(&format!("socket {got:?}, interpreters {want}"), insns, packet, len));
            }
            count += 1;
        }
        Ok(count)
    }
}

/// What the kernel knows about a packet of a Unix socket: it has no device and no headers.
fn socket_pair() -> Metadata {
    Metadata { link_offset: None, ..Metadata::default() }
}

/// Whether the kernel's verdict may change from run to run.
fn is_unsteady(executors: &Executors) -> bool {
    executors.words.iter().any(|word| ["cpu", "random"].contains(word))
}

fn describe(fault: &str, insns: &[Insn], packet: &[u8], wire_len: u32) -> String {
    let mut hex = String::new();
    for byte in packet {
        let _ = write!(hex, "{byte:02x}");
    }
    format!("{fault}\n  {} of {wire_len} bytes: {hex}\n{}", packet.len(), listing(insns, PadStyle::V1_11))
}

/// An expression and what to compile it for.
struct Case {
    text: String,
    variants: Vec<Options>,
    /// Whether the compiler may find that it means nothing.
    grey: bool,
}

impl Case {
    /// Whether a refusal is no fault: no packet can match, or the word needs a live capture.
    fn may_refuse(&self, message: &str, options: &Options) -> bool {
        self.grey
            || message.starts_with("expression rejects all")
            || options.compat == Compat::V1_11 && message.starts_with("not a live capture")
    }
}

/// The compilations of one expression: both meanings, sometimes also without the optimiser and with the search
/// through IPv6 extension headers.
fn variants(index: usize, link: LinkType) -> Vec<Options> {
    let base = Options { link, ..Options::default() };
    let mut list = vec![Options { compat: Compat::V1_10, ..base }, Options { compat: Compat::V1_11, ..base }];
    if index.is_multiple_of(4) {
        list.push(Options { optimize: false, ..base });
    }
    if index % 4 == 1 {
        list.push(Options { ip6_ext: true, ..base });
    }
    list
}

/// Compiles and compares expressions; each program once. The second result lists the faults.
fn compare_all(
    bench: &Bench<'_>,
    link: LinkType,
    cases: impl Iterator<Item = Case>,
    metas: &[Metadata],
) -> (Totals, Vec<String>) {
    let resolver = SystemResolver::new();
    let (mut totals, mut faults, mut seen) = (Totals::default(), Vec::new(), HashSet::new());
    for case in cases {
        totals.expressions += 1;
        let text = &case.text;
        for options in &case.variants {
            let outcome = match compile(text, options, &resolver) {
                Ok(filter) if !seen.insert(filter.program.clone()) => continue,
                Ok(filter) => bench.compare(&filter, metas),
                Err(errors) if case.may_refuse(&errors[0].message, options) => continue,
                // The search through extension headers takes two words for each term.
                Err(errors) if options.ip6_ext && errors[0].message.contains("more scratch memory") => {
                    totals.out_of_scratch += 1;
                    continue;
                }
                Err(errors) => Err(format!("refused: {}", errors[0].message)),
            };
            match outcome {
                Ok(more) => totals.add(&more),
                Err(fault) => {
                    let how = (options.compat, options.optimize, options.ip6_ext);
                    faults.push(format!("{link} {how:?} `{text}`: {fault}"));
                }
            }
        }
    }
    (totals, faults)
}

/// Prints the totals and at most a dozen faults, of which there must be none.
fn conclude(totals: &Totals, faults: &[String]) {
    println!("{totals:?}");
    for fault in faults.iter().take(12) {
        println!("{fault}\n");
    }
    assert!(faults.is_empty(), "{} programs do not run the same everywhere", faults.len());
    assert!(totals.kept > totals.programs && totals.rejected > totals.programs, "one-sided: {totals:?}");
    assert!(totals.attached_verdicts > totals.attached, "the kernel was hardly asked: {totals:?}");
}

#[test]
fn corpus_runs_the_same_everywhere() {
    let loading = loading_is_possible();
    let results = in_parallel(LINKS, 2, |&link| {
        let complete = COMPLETE.contains(&link);
        let packets = packets(link, if complete { 400 } else { 200 }, 7);
        let bench = Bench { packets: &packets, loading, kernel_sample: 5 };
        // Each of the other link types gets another part of the corpus.
        let (step, first) = if complete { (1, 0) } else { (SAMPLE, link.0 as usize % SAMPLE) };
        let entries = corpus_for(link).into_iter().enumerate().skip(first).step_by(step);
        let cases = entries.map(|(index, entry)| Case {
            text: entry.text.to_owned(),
            variants: variants(index / step, link),
            grey: entry.grey.is_some(),
        });
        let meta = Metadata { ifindex: Some(3), packet_type: 4, ..Metadata::default() };
        let (totals, faults) = compare_all(&bench, link, cases, &[meta]);
        (link, totals, faults)
    });
    let (mut all, mut faults) = (Totals::default(), Vec::new());
    for (link, totals, mut more) in results {
        println!("{:>24}: {totals:?}", link.name().unwrap_or("?"));
        all.add(&totals);
        faults.append(&mut more);
    }
    conclude(&all, &faults);
    assert!(all.programs > 3_000, "only {} programs were compared", all.programs);
    assert!(all.out_of_scratch * 100 < all.expressions, "too many refusals: {all:?}");
}

/// Words of live captures, with the kernel's metadata in several states.
#[test]
fn live_words_run_the_same_everywhere() {
    let texts = [
        "inbound",
        "outbound and ip",
        "not outbound",
        "ifindex 0",
        "ifindex 1",
        "ifindex 3 or tcp",
        "ip and ifindex 1",
        "not ifindex 3",
        "vlan",
        "vlan 5",
        "vlan 5 and ip",
        "vlan and tcp port 80",
        "not vlan",
        "vlan and vlan 7",
        "ip or vlan 0 and ip6",
        "vlan and ip[8] > 64",
        "vlan and (host 10.0.0.1 or udp)",
        "mark = 0",
        "mark & 0xff = 7 and udp",
        "queue = 0 or queue > 3",
        "rxhash % 2 = 1",
        "rxhash = 0 and len > 100",
        "cpu < 2",
        "hatype = 1",
        "random & 1 = 0",
        "random % 10 < 3 and tcp",
        "mark = 7 and queue = 4 and rxhash = 0x12345678",
        "ip and mark > ip[8]",
        "link[mark] = 0",
    ];
    let metas = [
        socket_pair(),
        Metadata { ifindex: Some(1), hatype: 772, vlan_tci: Some(5), ..Metadata::default() },
        Metadata { ifindex: Some(3), hatype: 1, packet_type: 4, vlan_tci: Some(0xe007), ..Metadata::default() },
        Metadata { ifindex: Some(3), hatype: 1, mark: 7, queue: 4, rxhash: 0x1234_5678, cpu: 9, ..Metadata::default() },
        Metadata { ifindex: Some(7), vlan_tci: Some(0), vlan_tpid: 0x88a8, random: 20, ..Metadata::default() },
    ];
    let loading = loading_is_possible();
    let (mut all, mut faults) = (Totals::default(), Vec::new());
    let mut read = HashSet::new();
    for link in [LinkType::EN10MB, LinkType::LINUX_SLL, LinkType::LINUX_SLL2, LinkType::RAW] {
        let packets = packets(link, 300, 11);
        let bench = Bench { packets: &packets, loading, kernel_sample: 3 };
        // Other link types have no tags for `vlan` to look for.
        let sensible = |text: &&&str| link == LinkType::EN10MB || !text.contains("vlan");
        let base = Options { link, live: Some(Live::default()), ..Options::default() };
        let variants = [
            Options { compat: Compat::V1_10, ..base },
            Options { compat: Compat::V1_11, ..base },
            Options { optimize: false, ..base },
        ];
        for text in texts.iter().filter(sensible) {
            if let Ok(filter) = compile(text, &base, &SystemResolver::new()) {
                read.extend(words(&filter.program));
            }
        }
        let cases = texts.iter().filter(sensible).map(|text| Case {
            text: (*text).to_owned(),
            variants: variants.to_vec(),
            grey: false,
        });
        let (totals, mut more) = compare_all(&bench, link, cases, &metas);
        println!("{:>12}: {totals:?}", link.name().unwrap_or("?"));
        all.add(&totals);
        faults.append(&mut more);
    }
    conclude(&all, &faults);
    let expected = ["type", "ifidx", "mark", "queue", "hatype", "rxhash", "cpu", "vlan_tci", "vlanp", "random"];
    assert!(expected.iter().all(|name| ANCILLARY.iter().any(|word| word.name == *name)));
    assert!(expected.iter().all(|name| read.contains(name)), "the programs read only {read:?}");
}

/// Alternations of many terms, which become search trees; the longest ones are too long for the kernel's classic
/// filter, not for its 64-bit programs.
#[test]
fn large_alternations_run_the_same_everywhere() {
    let loading = loading_is_possible();
    let link = LinkType::EN10MB;
    let mut packets = packets(link, 400, 13);
    // Every second packet gets addresses and ports of the lists or near to them.
    for (at, packet) in packets.iter_mut().enumerate().filter(|(at, _)| at % 2 == 0) {
        packet.data = listed_packet(at);
        packet.orig_len = u32::try_from(packet.data.len()).unwrap_or(0);
    }
    let bench = Bench { packets: &packets, loading, kernel_sample: 1 };
    let list = |count: u32, term: &dyn Fn(u32) -> String| (0..count).map(term).collect::<Vec<_>>().join(" or ");
    let address = |n: u32| Ipv4Addr::from(0x0a00_0000 + n);
    let texts = [
        list(1_000, &|n| format!("host {}", address(n * 7))),
        list(300, &|n| format!("src net {}/29", address(n * 64))),
        list(1_000, &|n| format!("port {}", n * 5)),
        list(500, &|n| format!("ip6 host 2001:db8::{n:x}")),
        // Too long for a classic filter of the kernel.
        list(6_000, &|n| format!("src host {}", address(n * 3))),
        format!("udp and not ({})", list(6_000, &|n| format!("src host {}", address(n * 3)))),
        list(4_000, &|n| format!("host {}", address(n * 3))),
        list(3_000, &|n| format!("ip6 src host 2001:db8:{:x}::{:x}", n % 5, n * 3)),
        list(9_000, &|n| format!("udp dst port {}", n * 7)),
        format!(
            "({}) and greater 60",
            list(6_000, &|n| format!("ether src 02:00:00:00:{:02x}:{:02x}", n % 7, n / 7 % 256))
        ),
    ];
    let variants = vec![Options { link, ..Options::default() }];
    let cases = texts.into_iter().map(|text| Case { text, variants: variants.clone(), grey: false });
    let (totals, faults) = compare_all(&bench, link, cases, &[Metadata::default()]);
    conclude(&totals, &faults);
    assert!(totals.longest > classic::MAX_INSNS, "no program is beyond the kernel's limit: {totals:?}");
    assert!(totals.kept * 10 > totals.rejected, "the packets do not suit the lists: {totals:?}");
    assert!(!loading || totals.loaded_with_maps > 0, "no list needs a map: {totals:?}");
}

/// A UDP packet with small addresses and ports; every fifth one is IPv6.
fn listed_packet(at: usize) -> Vec<u8> {
    let n = u32::try_from(at * 37 % 18_000).unwrap_or(0);
    let [_, _, high, low] = n.to_be_bytes();
    let six = at.is_multiple_of(5);
    let mut data = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, high, low];
    if six {
        data.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 17, 64]);
        let source = Ipv6Addr::new(0x2001, 0xdb8, u16::from(low % 6), 0, 0, 0, 0, u16::from_be_bytes([high, low]));
        data.extend(source.octets());
        data.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(low)).octets());
    } else {
        data.extend([8, 0, 0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0]);
        data.extend((0x0a00_0000 + n).to_be_bytes());
        data.extend([192, 168, high, low]);
    }
    data.extend([0, 53, high, low, 0, 16, 0, 0]);
    data.extend([0; 8]);
    data
}

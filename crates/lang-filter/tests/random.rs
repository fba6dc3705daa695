//! Random expressions: optimised and unoptimised they are the same filter.
//!
//! Both programs run on generated packets, and the comparison of `diff` looks for a packet on which they differ. A
//! second is spent on that here, a minute with `SKEP_LONG_TESTS`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use skep_isa::classic::{Insn, PadStyle, listing};
use skep_lang_filter::diff::{self, Outcome};
use skep_lang_filter::names::SystemResolver;
use skep_lang_filter::{Compat, Options, compile};
use skep_proto::LinkType;
use skep_random::random_test;
use skep_testkit::{Rng, TestPacket, packets, random_expr};
use skep_vm::classic::{Metadata, Program};

/// Instructions of the plain program from which an expression may be a list of more than 256 alternatives of two tests
/// each. In such lists a packet that ends inside the fields of one alternative may be judged by another one (see the
/// guarantees of the crate).
const LONG_LIST: usize = 514;

/// Link types with different ways to find the network header. The words of Ethernet are for the first one only.
const LINKS: [LinkType; 7] = [
    LinkType::EN10MB,
    LinkType::EN10MB,
    LinkType::RAW,
    LinkType::LINUX_SLL2,
    LinkType::PPP,
    LinkType::NULL,
    LinkType::IEEE802_11_RADIO,
];

/// One random expression and what it is compiled for.
#[derive(Debug)]
struct Case {
    text: String,
    options: Options,
}

/// Both programs; the optimised one is `ret #0` if the compiler says that the expression rejects all packets.
struct Pair {
    plain: Vec<Insn>,
    optimized: Vec<Insn>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let link = rng.pick(&LINKS);
        let text = random_expr(&mut rng, link == LinkType::EN10MB);
        let compat = rng.pick(&[Compat::V1_10, Compat::V1_11]);
        let options = Options { link, compat, ip6_ext: rng.percent(25), ..Options::default() };
        Self { text, options }
    }

    /// `None` if the expression means nothing for the link type.
    fn compile(&self, resolver: &SystemResolver) -> Option<Pair> {
        let plain = compile(&self.text, &Options { optimize: false, ..self.options }, resolver);
        let optimized = compile(&self.text, &self.options, resolver);
        match (plain, optimized) {
            (Ok(plain), Ok(optimized)) => Some(Pair { plain: plain.program, optimized: optimized.program }),
            (Ok(plain), Err(errors)) if errors[0].message.starts_with("expression rejects all") => {
                Some(Pair { plain: plain.program, optimized: vec![Insn::ret_k(0)] })
            }
            (Err(plain), Err(optimized)) => {
                assert_eq!(plain[0].message, optimized[0].message, "{self:?}");
                None
            }
            // One program may need more scratch words than the other.
            (Ok(_), Err(errors)) | (Err(errors), Ok(_)) => {
                assert!(errors[0].message.starts_with("too many registers"), "{}: {self:?}", errors[0].message);
                None
            }
        }
    }
}

fn load(insns: &[Insn]) -> Program {
    Program::new(insns).unwrap_or_else(|error| panic!("{error}"))
}

impl Pair {
    fn may_be_long_list(&self) -> bool {
        self.plain.len() >= LONG_LIST
    }
}

/// The fault in full: expression, packet and both programs.
fn describe(case: &Case, pair: &Pair, packet: &[u8], wire_len: usize) -> String {
    let mut hex = String::new();
    for byte in packet {
        let _ = write!(hex, "{byte:02x}");
    }
    let Case { text, options } = case;
    let print = |insns| listing(insns, PadStyle::V1_11);
    format!(
        "`{text}`\n{options:?}\n{} of {wire_len} bytes: {hex}\nplain:\n{}\noptimised:\n{}",
        packet.len(),
        print(&pair.plain),
        print(&pair.optimized)
    )
}

#[test]
fn optimizing_changes_no_verdict() {
    let resolver = SystemResolver::new();
    let packets: HashMap<LinkType, Vec<TestPacket>> =
        LINKS.iter().map(|&link| (link, packets(link, 1_000, 3))).collect();
    let meta = Metadata::default();
    let (mut expressions, mut refused, mut kept, mut rejected, mut cut) = (0u64, 0u64, 0u64, 0u64, 0u64);
    random_test(|u| {
        let case = Case::new(u.arbitrary()?);
        let Some(pair) = case.compile(&resolver) else {
            refused += 1;
            return Ok(());
        };
        expressions += 1;
        let (plain, optimized) = (load(&pair.plain), load(&pair.optimized));
        for packet in &packets[&case.options.link] {
            let want = plain.run(&packet.data, packet.orig_len, &meta);
            let got = optimized.run(&packet.data, packet.orig_len, &meta);
            if got != want && pair.may_be_long_list() {
                // With more bytes behind it both programs agree about the packet.
                let longer = [&packet.data[..], &[0; 512]].concat();
                let agree =
                    plain.run(&longer, packet.orig_len, &meta) == optimized.run(&longer, packet.orig_len, &meta);
                assert!(agree, "{}", describe(&case, &pair, &longer, packet.orig_len as usize));
                cut += 1;
                continue;
            }
            assert_eq!(got, want, "{}", describe(&case, &pair, &packet.data, packet.orig_len as usize));
            *(if want == 0 { &mut rejected } else { &mut kept }) += 1;
        }
        Ok(())
    })
    .budget_ms(1_000);
    println!("{expressions} expressions, {refused} refused; {kept} verdicts to keep and {rejected} to reject");
    println!("{cut} verdicts about cut packets depend on the order of a long list");
    assert!(expressions > 50 && refused < expressions, "the random expressions do not compile");
    assert!(kept > expressions && rejected > expressions, "the verdicts are one-sided");
    assert!(cut * 1_000 < kept + rejected, "long lists may change the verdict of few packets only");
}

#[test]
fn optimizing_passes_the_comparison() {
    let resolver = SystemResolver::new();
    let run = |insns: &[Insn], packet: &[u8]| {
        let wire_len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        load(insns).run(packet, wire_len, &Metadata::default())
    };
    let (mut proved, mut open, mut cut) = (0u64, 0u64, 0u64);
    random_test(|u| {
        let case = Case::new(u.arbitrary()?);
        let Some(pair) = case.compile(&resolver) else { return Ok(()) };
        // Small limits: many expressions are worth more than the last intricate one.
        let limits = diff::Options {
            link: case.options.link,
            max_nodes: 300_000,
            time_limit: Duration::from_millis(150),
            max_packets: 500,
        };
        match diff::compare(&pair.plain, &pair.optimized, &limits, &run) {
            Outcome::Equivalent => proved += 1,
            Outcome::Unknown { reason: diff::Reason::Interpreter, .. } => {
                panic!("the comparison found a packet that makes no difference: {case:?}")
            }
            Outcome::Unknown { .. } => open += 1,
            Outcome::Different { cut_short: true, .. } if pair.may_be_long_list() => cut += 1,
            Outcome::Different { witness, facts, method, .. } => {
                panic!("{method}, {facts:?}: {}", describe(&case, &pair, &witness, witness.len()))
            }
        }
        Ok(())
    })
    .budget_ms(1_000);
    println!("{proved} expressions proved equivalent, {open} open, {cut} long lists that differ for cut packets only");
    assert!(proved > open + cut, "most random expressions are small enough for a proof");
}

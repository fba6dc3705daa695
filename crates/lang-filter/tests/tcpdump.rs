//! Every corpus expression on every link type that it makes sense for: the same verdict as the unoptimised program of
//! the installed tcpdump, on every generated packet. Prints the totals of instructions, written and executed.

use std::fmt::Write as _;

use skep_isa::classic::{PadStyle, check, listing};
use skep_lang_filter::names::SystemResolver;
use skep_lang_filter::{Compat, Options, compile};
use skep_proto::LinkType;
use skep_testkit::corpus::corpus_for;
use skep_testkit::independent::{Format, Input, Program};
use skep_testkit::tcpdump::in_parallel;
use skep_testkit::{LINKS, Recording, Tcpdump, TestPacket, packets};

/// Instructions of a set of programs, as written and as run.
#[derive(Debug, Default, Clone, Copy)]
struct Totals {
    expressions: usize,
    ours: usize,
    theirs: usize,
    ours_run: usize,
    theirs_run: usize,
    /// Expressions for which our program runs more instructions over all packets.
    slower: usize,
    /// Pairs of expression and packet for which our program runs more instructions.
    slower_packets: usize,
    pairs: usize,
    /// Expressions left out because libpcap is wrong (see [`libpcap_is_wrong`]).
    wrong: usize,
}

impl Totals {
    fn add(&mut self, other: Self) {
        self.expressions += other.expressions;
        self.ours += other.ours;
        self.theirs += other.theirs;
        self.ours_run += other.ours_run;
        self.theirs_run += other.theirs_run;
        self.slower += other.slower;
        self.slower_packets += other.slower_packets;
        self.pairs += other.pairs;
        self.wrong += other.wrong;
    }
}

/// Runs a printed program over all packets: verdicts and executed instructions.
fn run(program: &Program, packets: &[TestPacket]) -> Vec<(bool, usize)> {
    packets
        .iter()
        .map(|p| match program.run(&Input::recorded(&p.data, p.orig_len)) {
            Ok((value, steps)) => (value != 0, steps),
            Err(fault) => panic!("{fault}"),
        })
        .collect()
}

/// Where libpcap 1.10.3 itself is wrong, also without its optimiser; we do what the expression says instead.
fn libpcap_is_wrong(link: LinkType, text: &str) -> Option<&'static str> {
    let variable_header = matches!(
        link,
        LinkType::IEEE802_11
            | LinkType::IEEE802_11_RADIO
            | LinkType::IEEE802_11_RADIO_AVS
            | LinkType::PRISM_HEADER
            | LinkType::PPI
            | LinkType::PFLOG
    );
    if variable_header && text.contains("geneve") {
        return Some("it reads the header length from a memory word that was never written");
    }
    if variable_header && (text.starts_with("len ") && text.contains(" and ip") || text.starts_with("radio[")) {
        return Some("the relation overwrites the memory word that holds the header length");
    }
    if matches!(link, LinkType::SUNATM | LinkType::MTP2 | LinkType::MTP2_WITH_PHDR) && text.contains("!=") {
        return Some("`!=` of ATM and SS7 fields is compiled as `=`");
    }
    if matches!(link, LinkType::ARCNET | LinkType::ARCNET_LINUX) && text.contains('$') {
        return Some("`$xx` addresses are compared with a number that was not written");
    }
    None
}

struct Bench<'a> {
    tcpdump: &'a Tcpdump,
    link: LinkType,
    recording: &'a Recording,
    packets: &'a [TestPacket],
}

impl Bench<'_> {
    fn one(&self, text: &str) -> Result<Totals, String> {
        let want = self.tcpdump.verdicts(text, self.recording).map_err(|e| format!("tcpdump does not run it: {e}"))?;
        let mut ours = 0;
        let mut got = Vec::new();
        for optimize in [false, true] {
            // The program without optimisation is the simpler one: fewer packets tell enough.
            let count = if optimize { self.packets.len() } else { self.packets.len() / 5 };
            let (packets, want) = (&self.packets[..count], &want[..count]);
            let options = Options { link: self.link, compat: Compat::V1_10, optimize, ..Options::default() };
            let program = match compile(text, &options, &SystemResolver::new()) {
                Ok(filter) => filter.program,
                Err(errors) if errors[0].message.starts_with("expression rejects all") => {
                    let wrong = want.iter().any(|&v| v);
                    return if wrong { Err("we say that it rejects all".into()) } else { Ok(Totals::default()) };
                }
                Err(errors) => return Err(format!("refused: {}", errors[0].message)),
            };
            if program.len() <= 4096 {
                check(&program).map_err(|e| format!("the kernel would refuse it: {e}"))?;
            }
            ours = program.len();
            let printed = listing(&program, PadStyle::V1_11);
            let program = Program::read(&printed, Format::Listing).map_err(|e| format!("listing: {e}"))?;
            got = run(&program, packets);
            let differs = |i: &usize| got[*i].0 != want[*i];
            if let Some(i) = (0..want.len()).find(differs) {
                let count = (0..want.len()).filter(differs).count();
                return Err(describe(count, i, &packets[i], got[i].0, &printed));
            }
        }
        let Ok(theirs) = self.tcpdump.text_for_file(text, self.link, Format::Listing, true) else {
            return Ok(Totals::default());
        };
        let theirs = Program::read(&theirs, Format::Listing).map_err(|e| format!("their listing: {e}"))?;
        let their_run = run(&theirs, self.packets);
        let (ours_run, theirs_run) = (got.iter().map(|g| g.1).sum(), their_run.iter().map(|g| g.1).sum());
        Ok(Totals {
            expressions: 1,
            ours,
            theirs: theirs.len(),
            ours_run,
            theirs_run,
            slower: usize::from(ours_run > theirs_run),
            slower_packets: got.iter().zip(&their_run).filter(|(a, b)| a.1 > b.1).count(),
            pairs: got.len(),
            wrong: 0,
        })
    }
}

fn describe(count: usize, i: usize, packet: &TestPacket, ours: bool, printed: &str) -> String {
    let mut hex = String::new();
    for b in &packet.data {
        let _ = write!(hex, "{b:02x}");
    }
    let (len, orig) = (packet.data.len(), packet.orig_len);
    format!("{count} packets differ; the first is {i} ({len} of {orig} bytes), ours {ours}\n  {hex}\n{printed}")
}

#[test]
fn filters_agree_with_tcpdump() {
    const PACKETS: usize = 5_000;
    let Some(tcpdump) = Tcpdump::find_or_skip() else { return };
    let verbose = std::env::var_os("SKEP_TEST_VERBOSE").is_some();
    let only = std::env::var("SKEP_TEST_LINK").ok();
    let links: Vec<LinkType> =
        LINKS.iter().copied().filter(|l| only.as_deref().is_none_or(|o| l.name() == Some(o))).collect();
    let results = in_parallel(&links, 2, |&link| {
        let packets = packets(link, PACKETS, 1);
        let recording = Recording::new(link, &packets).expect("a recording can be written");
        let bench = Bench { tcpdump: &tcpdump, link, recording: &recording, packets: &packets };
        let name = link.name().unwrap_or("?");
        let mut totals = Totals::default();
        let mut faults = Vec::new();
        for entry in corpus_for(link).iter().filter(|e| e.grey.is_none()) {
            if libpcap_is_wrong(link, entry.text).is_some() {
                totals.wrong += 1;
                continue;
            }
            match bench.one(entry.text) {
                Ok(t) => {
                    if verbose && (t.ours > t.theirs || t.slower > 0) {
                        let (a, b, c, d) = (t.ours, t.theirs, t.ours_run, t.theirs_run);
                        println!("{name} `{}`: {a} vs {b} written, {c} vs {d} run", entry.text);
                    }
                    totals.add(t);
                }
                Err(fault) => faults.push(format!("{name} `{}`: {fault}", entry.text)),
            }
        }
        (name, totals, faults)
    });
    let mut all = Totals::default();
    let mut faults = Vec::new();
    for (name, totals, mut f) in results {
        println!("{name:>24}: {totals:?}");
        all.add(totals);
        faults.append(&mut f);
    }
    #[allow(clippy::cast_precision_loss, reason = "for display")]
    let ratio = |a: usize, b: usize| a as f64 / b as f64;
    println!("{} filters left out because libpcap compiles them wrongly", all.wrong);
    println!(
        "{} filters: {} instructions, tcpdump {} (ratio {:.3}); executed {}, tcpdump {} (ratio {:.3}); \
         slower on {} filters, {} of {} filter-packet pairs",
        all.expressions,
        all.ours,
        all.theirs,
        ratio(all.ours, all.theirs),
        all.ours_run,
        all.theirs_run,
        ratio(all.ours_run, all.theirs_run),
        all.slower,
        all.slower_packets,
        all.pairs,
    );
    for fault in faults.iter().take(12) {
        println!("{fault}\n");
    }
    assert!(faults.is_empty(), "{} filters differ from tcpdump", faults.len());
    assert!(all.expressions >= 300 || only.is_some(), "only {} filters were compared", all.expressions);
}

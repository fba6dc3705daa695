//! The kit tests itself: programs of `tcpdump -O`, run by the independent machine, against tcpdump's own verdicts.
//!
//! This needs nothing of the compiler, so it shows that packets, corpus and machine are sound before they judge it.

use skep_proto::LinkType;
use skep_testkit::corpus::{corpus_for, rejects};
use skep_testkit::independent::{Fault, Format, Input, Program};
use skep_testkit::tcpdump::in_parallel;
use skep_testkit::{LINKS, Recording, Rng, Tcpdump, TestPacket, corpus, packets, random_expr};

/// Runs the program that tcpdump prints for an expression in one format over all packets.
fn machine_verdicts(
    tcpdump: &Tcpdump,
    expr: &str,
    link: LinkType,
    format: Format,
    list: &[TestPacket],
) -> Result<Vec<Result<bool, Fault>>, String> {
    let text = tcpdump.text_for_file(expr, link, format, false)?;
    let program = Program::read(&text, format).map_err(|fault| format!("{fault}"))?;
    let run = |packet: &TestPacket| program.run(&Input::recorded(&packet.data, packet.orig_len));
    Ok(list.iter().map(|packet| run(packet).map(|(value, _)| value > 0)).collect())
}

/// Compares both over all packets; returns how many were kept, or what is wrong.
fn compare(
    tcpdump: &Tcpdump,
    expr: &str,
    format: Format,
    list: &[TestPacket],
    file: &Recording,
) -> Result<usize, String> {
    let link = file.link();
    let expected = tcpdump.verdicts(expr, file).map_err(|error| format!("{link}: `{expr}`: {error}"))?;
    let found =
        machine_verdicts(tcpdump, expr, link, format, list).map_err(|why| format!("{link}: `{expr}`: {why}"))?;
    for (index, (want, have)) in expected.iter().zip(&found).enumerate() {
        if have.as_ref() != Ok(want) {
            let data = &list[index].data;
            return Err(format!("{link}: `{expr}`: packet {index} {data:02x?}: tcpdump {want}, machine {have:?}"));
        }
    }
    Ok(expected.iter().filter(|kept| **kept).count())
}

/// Every expression for the first few link types that it names, on a few hundred packets; formats take turns.
#[test]
fn corpus_machine_and_tcpdump_agree() {
    let Some(tcpdump) = Tcpdump::find_or_skip() else { return };
    let mut failures = Vec::new();
    let mut never_matched = Vec::new();
    let mut runs = 0;
    for &link in LINKS {
        let list = packets(link, 4000, 7);
        let file = Recording::new(link, &list).unwrap();
        let entries: Vec<_> = corpus_for(link)
            .into_iter()
            // The loops of protochain do not always end.
            .filter(|entry| !entry.text.contains("protochain"))
            // The long tail of link types shares its code paths: a sample of the general groups is enough for it.
            .filter(|entry| entry.links.iter().position(|other| *other == link) < Some(3) || entry.line % 13 == 0)
            .collect();
        runs += entries.len();
        let results =
            in_parallel(&entries, 2, |entry| compare(&tcpdump, entry.text, Format::ALL[entry.line % 3], &list, &file));
        for (entry, result) in entries.iter().zip(results) {
            match result {
                Ok(0) => never_matched.push(format!("{link}: {}", entry.text)),
                Ok(_) => {}
                Err(what) => failures.push(what),
            }
        }
    }
    println!("{runs} comparisons, {} without a matching packet", never_matched.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(never_matched.len() * 5 < runs, "the packets miss too many filters:\n{}", never_matched.join("\n"));
}

/// Every entry compiles for every link type that it names.
#[test]
fn tcpdump_accepts_the_corpus() {
    let Some(tcpdump) = Tcpdump::find_or_skip() else { return };
    let entries = corpus();
    let results = in_parallel(&entries, 2, |entry| {
        // Two link types per entry, different ones for neighbours, keep the test short.
        let first = entry.line % entry.links.len();
        let second = (entry.line * 7 + 3) % entry.links.len();
        [first, second].map(|index| {
            let link = entry.links[index];
            tcpdump
                .text_for_file(entry.text, link, Format::Decimal, false)
                .err()
                .map(|error| format!("{}:{}: `{}` for {link}: {error}", entry.file, entry.line, entry.text))
        })
    });
    let refused: Vec<String> = results.into_iter().flatten().flatten().collect();
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

/// Every entry of the other list is refused with a message.
#[test]
fn tcpdump_refuses_the_rejects() {
    let Some(tcpdump) = Tcpdump::find_or_skip().filter(Tcpdump::is_libpcap_1_10) else { return };
    let entries = rejects();
    assert!(entries.len() > 100);
    let accepted: Vec<String> = in_parallel(&entries, 2, |entry| {
        let accepts = |link: &&LinkType| tcpdump.text_for_file(entry.text, **link, Format::Decimal, false).is_ok();
        entry.links.iter().find(accepts).map(|link| format!("{}: `{}` for {link}", entry.line, entry.text))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(accepted.is_empty(), "{} accepted:\n{}", accepted.len(), accepted.join("\n"));
}

/// Random expressions are mostly accepted, and the machine agrees on them too.
#[test]
fn random_expressions_are_useful() {
    let Some(tcpdump) = Tcpdump::find_or_skip() else { return };
    for (link, layers) in [(LinkType::EN10MB, true), (LinkType::RAW, false)] {
        let list = packets(link, 2000, 3);
        let file = Recording::new(link, &list).unwrap();
        let mut rng = Rng::new(u64::from(link.0));
        let texts: Vec<String> = (0..150).map(|_| random_expr(&mut rng, layers)).collect();
        let results = in_parallel(&texts, 2, |text| match tcpdump.verdicts(text, &file) {
            Err(_) => Ok(None),
            Ok(_) => compare(&tcpdump, text, Format::Decimal, &list, &file).map(Some),
        });
        let results: Vec<Option<usize>> = results.into_iter().collect::<Result<_, _>>().unwrap();
        let accepted = results.iter().flatten().count();
        let telling = results.iter().flatten().filter(|kept| (1..list.len()).contains(*kept)).count();
        assert!(accepted >= 130, "{link}: tcpdump accepts only {accepted} of 150");
        assert!(telling >= 90, "{link}: only {telling} of {accepted} tell packets apart");
    }
}

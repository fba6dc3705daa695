//! `--diff A B`: whether two expressions match the same packets, with a packet for which they do not.

use std::fmt::Write as _;

use skep_isa::classic::Insn;
use skep_lang_filter::diff::{self, Fact, Method, Outcome, compare};
use skep_packet::print::{PrintOptions, Printer, TimeStyle, dump};
use skep_packet::{LinkType, Packet, Timestamp, WriteOptions, Writer};
use skep_vm::classic::{Metadata, Program};

use super::expression::{Expression, Target, compile};
use crate::args::FilterArgs;
use crate::failure::{Failure, note, say};
use crate::text::print;

/// Compares, prints the answer, saves the witness.
pub fn run(args: &FilterArgs, pair: &[String]) -> Result<(), Failure> {
    let [a, b] = pair else {
        return Err(Failure::Usage("--diff takes two expressions; put each into quotes".to_owned()));
    };
    if args.link.is_none() {
        say!("Warning: assuming Ethernet");
    }
    let link = args.link.unwrap_or(LinkType::EN10MB);
    let target = Target::recording(link);
    let first = compile(&Expression::of_text(args, a, "A"), target)?.program;
    let second = compile(&Expression::of_text(args, b, "B"), target)?.program;
    let options = diff::Options { link, ..diff::Options::default() };
    match compare(&first, &second, &options, &verdict) {
        Outcome::Equivalent => print("equivalent: A and B match the same packets (proved by symbolic search)\n"),
        Outcome::Different { witness, facts, a_keeps, method, cut_short, .. } => {
            print(&describe(link, &witness, &facts, a_keeps != 0, method, cut_short))?;
            save(args, link, &witness)
        }
        Outcome::Unknown { reason, fuzzed } => {
            let text = format!(
                "unknown: there is no proof, because {reason}; no difference was found on {fuzzed} packets (fuzzing)"
            );
            Err(Failure::Run(text))
        }
    }
}

/// Runs a program on a packet that was captured whole.
fn verdict(insns: &[Insn], packet: &[u8]) -> u32 {
    let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    // The comparison has checked the structure; what it changes keeps it.
    Program::new(insns).map_or(0, |program| program.run(packet, len, &Metadata::default()))
}

fn describe(link: LinkType, witness: &[u8], facts: &[Fact], a_matches: bool, method: Method, cut: bool) -> String {
    let (yes, no) = if a_matches { ("A", "B") } else { ("B", "A") };
    let mut text = format!("different: {yes} matches this packet, {no} does not (found by {method})\n");
    for fact in facts {
        let _ = writeln!(text, "if the kernel says {fact}");
    }
    if cut {
        text.push_str("it ends before something that one of the programs loads; ");
        text.push_str("no difference was found on packets that are long enough\n");
    }
    let mut out = Vec::new();
    if witness.is_empty() {
        out.extend_from_slice(b"(a packet without any bytes)\n");
    } else {
        let options = PrintOptions { time: TimeStyle::Off, link: true, numeric: true, ..PrintOptions::default() };
        Printer::new(options).line(&mut out, &packet(link, witness));
        if out.last() == Some(&b'\n') {
            out.pop();
        }
        dump::hex(&mut out, witness);
        out.push(b'\n');
    }
    text.push_str(&String::from_utf8_lossy(&out));
    text
}

fn packet(link: LinkType, bytes: &[u8]) -> Packet<'_> {
    Packet::new(Timestamp(0), bytes, u32::try_from(bytes.len()).unwrap_or(u32::MAX), link)
}

fn save(args: &FilterArgs, link: LinkType, witness: &[u8]) -> Result<(), Failure> {
    let Some(path) = &args.write else { return Ok(()) };
    let mut writer = Writer::create(path, &WriteOptions::new(link))?;
    writer.write(&packet(link, witness))?;
    writer.finish()?;
    note(&format!("the packet was saved to {}", path.display()));
    Ok(())
}

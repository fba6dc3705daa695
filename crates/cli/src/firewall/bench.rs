//! `skep firewall bench`: what a packet costs, as a table.

use std::fmt::Write as _;

use skep_firewall::facts::Place;
use skep_firewall::fuzz::Random;
use skep_firewall::live::bench::{Report, bench};
use skep_firewall::live::force::all_interfaces;
use skep_firewall::program::Hook;
use skep_firewall::rules::{Direction, RuleSet};
use skep_firewall::sample::{Sample, sample};
use skep_packet::LinkType;

use super::{live, print, read_rules};
use crate::args::BenchArgs;
use crate::failure::Failure;

/// The packets that are made are always the same.
const START: u64 = 1;

/// Measures, and prints what came of it.
pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    let rules = match &args.file {
        Some(file) => read_rules(file)?,
        None => live()?.list().map_err(Failure::run)?.set,
    };
    let against = args.against.as_deref().map(read_rules).transpose()?;
    let all = all_interfaces().map_err(Failure::run)?;
    let index = |name: &str| all.iter().find(|each| each.1 == name).map(|each| each.0);
    let packets = match &args.read {
        Some(file) => recorded(file, args.packets as usize)?,
        None => sample(&rules, &index, args.packets as usize, &mut Random(START)),
    };
    let measure = |rules: &RuleSet| bench(rules, &packets, &index, args.repeat).map_err(Failure::run);
    let report = measure(&rules)?;
    let name = args.file.as_ref().map_or_else(|| "in force".to_owned(), |file| file.display().to_string());
    let mut text = told(&name, &report);
    if let Some((other, file)) = against.as_ref().zip(args.against.as_ref()) {
        let other = measure(other)?;
        text.push_str(&told(&file.display().to_string(), &other));
        for (before, after) in report.costs.iter().zip(&other.costs) {
            let ratio = after.mean.as_secs_f64() / before.mean.as_secs_f64().max(1e-9);
            let _ = writeln!(text, "{}: {ratio:.2} times the mean", hook(before.hook));
        }
    }
    print(&text)
}

const fn hook(hook: Hook) -> &'static str {
    match hook {
        Hook::Xdp => "xdp",
        Hook::Ingress => "in",
        Hook::Egress => "out",
    }
}

fn told(name: &str, report: &Report) -> String {
    let mut text = format!("{name}: {} rules, {} entries; a packet ", report.rules, report.entries);
    let _ = if report.straight {
        writeln!(text, "is compared with code, one entry after the other")
    } else {
        let (mean, most) = report.tables;
        writeln!(text, "needs {mean:.2} buckets of tables (at most {most}) and {:.2} comparisons", report.compared)
    };
    let _ = writeln!(
        text,
        "{:<4} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "HOOK", "PACKETS", "MEAN ns", "HALF ns", "99% ns", "EMPTY ns"
    );
    for cost in &report.costs {
        let times = [cost.mean, cost.half, cost.most, cost.floor].map(|time| time.as_nanos());
        let [mean, half, most, floor] = times;
        let _ = writeln!(text, "{:<4} {:>8} {mean:>9} {half:>9} {most:>9} {floor:>9}", hook(cost.hook), cost.packets);
    }
    text
}

/// The first packets of a recording, at both hooks.
fn recorded(file: &std::path::Path, most: usize) -> Result<Vec<Sample>, Failure> {
    let mut reader = skep_packet::Reader::open(file).map_err(Failure::run)?;
    if reader.link() != LinkType(1) {
        return Err(Failure::Run(format!("`{}` has no Ethernet packets", file.display())));
    }
    let mut all = Vec::new();
    while all.len() < most
        && let Some(packet) = reader.next().map_err(Failure::run)?
    {
        // The kernel runs programs on nothing shorter than an Ethernet header.
        if packet.data.len() > 14 {
            for direction in [Direction::In, Direction::Out] {
                all.push((packet.data.to_vec(), Place { direction, ..Place::default() }));
            }
        }
    }
    if all.is_empty() {
        return Err(Failure::Run(format!("`{}` has no packets", file.display())));
    }
    Ok(all)
}

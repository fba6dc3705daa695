//! `skep firewall explain`: what the programs do with packets, in our machine.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use skep_firewall::build::plan;
use skep_firewall::described::{Described, describe};
use skep_firewall::facts::Place;
use skep_firewall::machine::Machine;
use skep_firewall::rules::{Direction, Matches, RuleSet, parse_rule};
use skep_firewall::tables::layout::special;
use skep_packet::print::{PrintOptions, Printer, TimeStyle};
use skep_packet::{LinkType, Packet, Timestamp};

use super::{checked, print};
use crate::args::ExplainArgs;
use crate::failure::{Failure, note};

/// The number of an interface, from 1 on.
fn number(interfaces: &[String], name: &str) -> Option<u32> {
    let at = interfaces.iter().position(|known| known == name)?;
    u32::try_from(at + 1).ok()
}

/// A list in our machine.
struct Judge {
    rules: RuleSet,
    machine: Machine,
}

impl Judge {
    /// A list whose interfaces have numbers by their places among these names.
    fn new(file: &Path, interfaces: &[String]) -> Result<Self, Failure> {
        let (rules, _) = checked(file)?;
        let index = |name: &str| number(interfaces, name);
        let plan = plan(&rules, &index).map_err(Failure::run)?;
        let machine = Machine::new(&plan).map_err(Failure::run)?;
        Ok(Self { rules, machine })
    }

    /// What the programs do with a packet, and by what.
    fn ask(&mut self, packet: &[u8], place: Place, time: i64) -> Result<(&'static str, String), Failure> {
        let numbers = 0..special::FIRST + self.rules.rules.len() as u32;
        let before: Vec<u64> = numbers.clone().map(|number| self.machine.packets(number)).collect();
        // Hours, limits and connections go by the time of the recording.
        self.machine.set_time(u64::try_from(time).unwrap_or(0));
        let outcome = self.machine.run(packet, place).map_err(Failure::run)?;
        let changed = numbers.filter(|&number| self.machine.packets(number) != before[number as usize]);
        let names = changed.map(|number| match number {
            number if number < special::FIRST => special::name(number).unwrap_or_default().to_owned(),
            number => format!(
                "rule {}: {}",
                number + 1 - special::FIRST,
                self.rules.rules[(number - special::FIRST) as usize]
            ),
        });
        let names: Vec<String> = names.collect();
        let verdict = match outcome.answer {
            _ if outcome.passes => "accept",
            Some(_) => "reject",
            None => "drop",
        };
        Ok((verdict, if names.is_empty() { "not of the internet protocol".to_owned() } else { names.join(", ") }))
    }
}

/// Says which rule decides about each packet of a recording, or about one that is described.
pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    match (&args.read, &args.packet) {
        (Some(file), _) => recording(args, file),
        (None, words) => described(args, &words.join(" ")),
    }
}

fn recording(args: &ExplainArgs, file: &Path) -> Result<(), Failure> {
    let mut judge = Judge::new(&args.file, &[])?;
    let mut other = args.against.as_deref().map(|file| Judge::new(file, &[])).transpose()?;
    let mut reader = skep_packet::Reader::open(file).map_err(Failure::run)?;
    if reader.link() != LinkType(1) {
        return Err(Failure::Run(format!("`{}` has no Ethernet packets", file.display())));
    }
    let direction = if args.out { Direction::Out } else { Direction::In };
    let place = Place { direction, ..Place::default() };
    let mut number = 0u64;
    let mut different = 0u64;
    while let Some(packet) = reader.next().map_err(Failure::run)? {
        number += 1;
        let (verdict, by) = judge.ask(packet.data, place, packet.ts.0)?;
        match &mut other {
            None => print(&format!("{number} {verdict} {by}\n"))?,
            Some(other) => {
                let (would, why) = other.ask(packet.data, place, packet.ts.0)?;
                if would != verdict {
                    different += 1;
                    print(&format!("{number} {verdict} ({by}) -> {would} ({why})\n"))?;
                }
            }
        }
    }
    if other.is_some() {
        note(&format!("{different} of {number} packets would be treated differently"));
    }
    Ok(())
}

/// What a description says; sets are those of the rules.
fn wanted(text: &str, rules: &RuleSet) -> Result<Matches, Failure> {
    let rule = format!("count {text}");
    let read = parse_rule(&rule, rules).map_err(|errors| Failure::expression(&errors, "packet", &rule))?;
    Ok(read.matches)
}

/// A packet that is described.
fn described(args: &ExplainArgs, text: &str) -> Result<(), Failure> {
    // Names of interfaces are known before the list is planned.
    let (rules, _) = checked(&args.file)?;
    let wanted = wanted(text, &rules)?;
    let direction = if args.out { Direction::Out } else { Direction::In };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let Described { packet, place, interfaces, time, established } =
        describe(&rules, &wanted, direction, now).map_err(Failure::Usage)?;
    let options = PrintOptions { time: TimeStyle::Off, numeric: true, no_checksums: true, ..PrintOptions::default() };
    let mut line = Vec::new();
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    Printer::new(options).line(&mut line, &Packet::new(Timestamp(0), &packet, length, LinkType(1)));
    print(&String::from_utf8_lossy(&line))?;
    for file in [Some(args.file.as_path()), args.against.as_deref()].into_iter().flatten() {
        let mut judge = Judge::new(file, &interfaces)?;
        if established {
            judge.machine.know(&packet, place, time).map_err(Failure::run)?;
        }
        let (verdict, by) = judge.ask(&packet, place, i64::try_from(time).unwrap_or(i64::MAX))?;
        let name = if args.against.is_some() { format!("{}: ", file.display()) } else { String::new() };
        print(&format!("{name}{verdict} {by}\n"))?;
    }
    Ok(())
}

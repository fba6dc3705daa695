//! Changing rules: one added to many, and a whole list.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use skep_firewall::live::force::{ApplyOptions, DIRECTORY, Firewall};

use super::lists::{self, Kind, Method};
use super::{Failed, SKEP, flood};

/// What is printed, and the measurement.
pub const TABLES: &[(&str, &str)] =
    &[("add: one rule to 50,000, ms", "add"), ("apply: a whole list of 100,000 rules, ms", "apply")];

const MANY: usize = 50_000;
const ALL: usize = 100_000;
const ROUNDS: usize = 7;

/// Runs like any other process.
pub fn back() -> Result<(), Failed> {
    schedule("-o", "0")
}

/// Runs in front of all others.
pub fn ahead() -> Result<(), Failed> {
    schedule("-f", "20")
}

fn schedule(how: &str, priority: &str) -> Result<(), Failed> {
    let pid = std::process::id().to_string();
    let status = Command::new("chrt").args([how, "-p", priority, &pid]).status()?;
    if status.success() { Ok(()) } else { Err("chrt fails".into()) }
}

pub fn measure(what: &str) -> Result<String, Failed> {
    flood::set_up()?;
    if what == "add" { add() } else { apply() }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The median of several runs of a command; each gets its number.
fn command(words: impl Fn(usize) -> Vec<String>) -> Result<Duration, Failed> {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let words = words(round);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdout(std::process::Stdio::null());
        let start = Instant::now();
        let output = command.output().map_err(|error| format!("`{}`: {error}", words[0]))?;
        times.push(start.elapsed());
        if !output.status.success() {
            return Err(format!("`{}`: {}", words.join(" "), String::from_utf8_lossy(&output.stderr)).into());
        }
    }
    Ok(median(times))
}

fn row(text: &mut String, what: &str, time: Result<Duration, Failed>) {
    let _ = match time {
        Ok(time) => writeln!(text, "{what:<52} {:>10.3}", time.as_secs_f64() * 1e3),
        Err(error) => writeln!(text, "{what:<52} {:>10}  {error}", "-"),
    };
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn add() -> Result<String, Failed> {
    let (rules, _) = Kind::Last.list(MANY);
    let mut text = String::new();
    Method::Tcx.install(&rules)?;
    let rule = |round: usize| format!("drop in udp from 13.0.{}.{} to port 7", round / 256, round % 256);
    let mut firewall = Firewall::open(Path::new(DIRECTORY))?.ok_or("nothing is in force")?;
    for (what, position) in [("at the end", usize::MAX), ("in the middle", MANY / 2)] {
        let times = (0..201).map(|round| {
            let start = Instant::now();
            firewall.add(&rule(round), position).map(|()| start.elapsed())
        });
        let times: Result<Vec<Duration>, _> = times.collect();
        row(&mut text, &format!("skep, within a process, {what}"), Ok(median(times?)));
    }
    drop(firewall);
    row(&mut text, "an empty process", command(|_| words("true")));
    row(&mut text, "skep firewall add", command(|round| words(&format!("{SKEP} firewall add {}", rule(round + 300)))));
    let insert = |round| words(&format!("{SKEP} firewall insert 25000 {}", rule(round + 400)));
    row(&mut text, "skep firewall insert 25000", command(insert));
    row(&mut text, "skep firewall delete 25000", command(|_| words(&format!("{SKEP} firewall delete 25000"))));
    lists::nft(&lists::nft_rules(&rules))?;
    row(
        &mut text,
        "nft add rule",
        command(|round| words(&format!("nft add rule ip t c ip saddr 13.0.0.{round} udp dport 7 drop"))),
    );
    let insert = |round| words(&format!("nft insert rule ip t c index 25000 ip saddr 13.0.1.{round} udp dport 7 drop"));
    row(&mut text, "nft insert rule index 25000", command(insert));
    lists::nft("flush ruleset")?;
    for which in ["iptables-legacy", "iptables-nft"] {
        let whole = lists::feed(&format!("{which}-restore"), &[], &lists::iptables_rules(&rules));
        let time = whole.and_then(|()| {
            command(|round| words(&format!("{which} -A INPUT -s 13.0.0.{round} -p udp --dport 7 -j DROP")))
        });
        row(&mut text, &format!("{which} -A"), time);
        lists::feed(&format!("{which}-restore"), &[], "*filter\nCOMMIT\n")?;
    }
    Ok(text)
}

fn apply() -> Result<String, Failed> {
    let mut text = String::new();
    for kind in [Kind::Last, Kind::Mixed] {
        let (rules, _) = kind.list(ALL);
        let lines = rules.join("\n");
        std::fs::write("/run/rules", &lines)?;
        let start = Instant::now();
        let parsed =
            skep_firewall::parse(&lines, &|_| Err(String::new())).map_err(|errors| errors[0].message.clone())?;
        row(&mut text, &format!("skep, {}: reading", kind.word()), Ok(start.elapsed()));
        let start = Instant::now();
        skep_firewall::build::plan(&parsed, &|_| None)?;
        row(&mut text, &format!("skep, {}: planning alone", kind.word()), Ok(start.elapsed()));
        let options = ApplyOptions { interfaces: vec!["b0".to_owned()], ..ApplyOptions::default() };
        let start = Instant::now();
        Firewall::apply(Path::new(DIRECTORY), &parsed, &options)?;
        row(&mut text, &format!("skep, {}: planning, loading, filling", kind.word()), Ok(start.elapsed()));
        let start = Instant::now();
        let output = Command::new(SKEP).args(["firewall", "apply", "/run/rules", "--on", "b0"]).output()?;
        let time = start.elapsed();
        let time = if output.status.success() { Ok(time) } else { Err(String::from_utf8_lossy(&output.stderr).into()) };
        row(&mut text, &format!("skep firewall apply, {}", kind.word()), time);
    }
    let (rules, _) = Kind::Last.list(ALL);
    let list = lists::nft_rules(&rules);
    let start = Instant::now();
    let time = lists::nft(&list).map(|()| start.elapsed());
    row(&mut text, "nft -f", time);
    lists::nft("flush ruleset")?;
    let list = lists::iptables_rules(&rules);
    for which in ["iptables-legacy-restore", "iptables-nft-restore"] {
        let start = Instant::now();
        let time = lists::feed(which, &[], &list).map(|()| start.elapsed());
        row(&mut text, which, time);
        lists::feed(which, &[], "*filter\nCOMMIT\n")?;
    }
    Ok(text)
}

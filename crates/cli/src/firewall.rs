//! `skep firewall`: arguments into calls of the library.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::iter;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skep_diag::{Diagnostic, Span};
use skep_firewall::build::plan;
use skep_firewall::live::bank::LiveRules;
use skep_firewall::live::force::{ApplyOptions, DIRECTORY, Firewall, SWITCH_MISSING, all_interfaces, chosen};
use skep_firewall::live::guard;
use skep_firewall::live::store::{Count, Filling};
use skep_firewall::parse;
use skep_firewall::program::{PANIC_ACCEPT, PANIC_DROP};
use skep_firewall::rules::check::check;
use skep_firewall::rules::{Prefix, RuleSet, layout_of};
use skep_firewall::verified::{KERNELS, Refused, refused};
use skep_kernel::attach::XdpMode;
use skep_verifier::Kernel;

use self::names::look_up;
use crate::args::{ApplyArgs, FirewallCommand, ListArgs, PanicMode, SetCommand, XdpArg};
use crate::failure::{Failure, colour_on_stderr, say_part};

mod bench;
mod explain;
mod names;
mod translate;
mod watch;

pub fn run(command: &FirewallCommand) -> Result<(), Failure> {
    match command {
        FirewallCommand::Check(args) => {
            let file = &args.rules.file;
            let (rules, warnings) = checked(file)?;
            if args.verify {
                verified(file, &rules, &here())?;
            }
            print(&format!("{} rules, {warnings} warnings\n", rules.rules.len()))
        }
        FirewallCommand::Fmt(args) => {
            let text = text_of(&args.file)?;
            read_rules(&args.file)?;
            print(&layout_of(&text))
        }
        FirewallCommand::Import(args) => translate::import(args),
        FirewallCommand::Export(args) => translate::export(args),
        FirewallCommand::Unit { part } => translate::unit(*part),
        FirewallCommand::Explain(args) => explain::run(args),
        FirewallCommand::Apply(args) => apply(args),
        FirewallCommand::Confirm => match live()?.confirm().map_err(Failure::run)? {
            true => print("confirmed\n"),
            false => Err(Failure::Run("nothing waits to be confirmed".to_owned())),
        },
        FirewallCommand::List(args) => list(args),
        FirewallCommand::Watch(args) => watch::run(args),
        FirewallCommand::Bench(args) => bench::run(args),
        FirewallCommand::Diff(args) => diff(&read_rules(&args.file)?),
        FirewallCommand::Add { rule } => live()?.add(&rule.join(" "), usize::MAX).map_err(Failure::run),
        FirewallCommand::Insert { number, rule } => {
            live()?.add(&rule.join(" "), *number as usize - 1).map_err(Failure::run)
        }
        FirewallCommand::Delete { number } => {
            let text = live()?.delete(*number as usize - 1).map_err(Failure::run)?;
            print(&format!("deleted: {text}\n"))
        }
        FirewallCommand::Set(command) => set(command),
        FirewallCommand::Expire => expire(),
        FirewallCommand::Refresh { keep } => names::refresh(*keep),
        FirewallCommand::Panic { mode } => {
            let mode = match mode {
                PanicMode::Drop => PANIC_DROP,
                PanicMode::Accept => PANIC_ACCEPT,
                PanicMode::Off => 0,
            };
            live()?.panic(mode).map_err(Failure::run)
        }
        FirewallCommand::Off => live()?.remove().map_err(Failure::run),
        FirewallCommand::Rollback { token, after } => {
            std::thread::sleep(Duration::from_secs(*after));
            // Another command may have taken everything out meanwhile.
            let found = Firewall::open(Path::new(DIRECTORY)).map_err(Failure::run)?;
            found.map_or(Ok(()), |firewall| firewall.roll_back(*token).map(drop)).map_err(Failure::run)
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ClosedPipe),
        result => result.map_err(Failure::run),
    }
}

fn live() -> Result<Firewall, Failure> {
    let found = Firewall::open(Path::new(DIRECTORY)).map_err(Failure::run)?;
    found.ok_or_else(|| Failure::Run(SWITCH_MISSING.to_owned()))
}

fn text_of(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::Run(format!("cannot read `{}`: {error}", file.display())))
}

fn read_rules(file: &Path) -> Result<RuleSet, Failure> {
    let text = text_of(file)?;
    let directory = file.parent().unwrap_or(Path::new("."));
    let read =
        |name: &str| fs::read_to_string(directory.join(name)).map_err(|error| format!("cannot read it: {error}"));
    parse(&text, &read).map_err(|errors| Failure::expression(&errors, &file.to_string_lossy(), &text))
}

/// Reads rules and says what is suspicious about them.
fn checked(file: &Path) -> Result<(RuleSet, usize), Failure> {
    let rules = read_rules(file)?;
    let warnings = check(&rules);
    say_part!("{}", drawn(&warnings, &file.to_string_lossy(), &text_of(file)?));
    Ok((rules, warnings.len()))
}

/// Many warnings about one long text: each is drawn from its own line on, so that those before are counted once.
fn drawn(warnings: &[Diagnostic], name: &str, text: &str) -> String {
    let starts: Vec<usize> = { iter::once(0) }.chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let colour = colour_on_stderr();
    let one = |warning: &Diagnostic| {
        let Span { start, end } = warning.span;
        let line = starts.partition_point(|at| *at <= start as usize).saturating_sub(1);
        let (number, first) = (u32::try_from(line + 1).unwrap_or(u32::MAX), u32::try_from(starts[line]).unwrap_or(0));
        let moved = Diagnostic { span: Span::new(start - first, end - first), ..warning.clone() };
        skep_diag::render_from(&moved, name, number, &text[starts[line]..], colour)
    };
    warnings.iter().map(one).collect()
}

/// Verifies the programs that rules become. If one is refused, the rule that makes the difference is shown.
fn verified(file: &Path, rules: &RuleSet, kernels: &[Kernel]) -> Result<(), Failure> {
    let all = all_interfaces().map_err(Failure::run)?;
    let index = |name: &str| all.iter().find(|each| each.1 == name).map(|each| each.0);
    let Some(refused) = refused(rules, &index, kernels).map_err(Failure::run)? else { return Ok(()) };
    let Refused { rule, program, kernel, rejection } = refused;
    let (kernel, reason, at) = (kernel.name(), rejection.reason, rejection.at);
    let message = format!("Linux {kernel} would refuse the program `{program}`: {reason} (instruction {at})");
    let Some(rule) = rule else { return Err(Failure::Run(message)) };
    let error = Diagnostic::error(rules.rules[rule].span, message)
        .with_label("with this rule")
        .with_help("without this rule and those behind it the programs are accepted");
    Err(Failure::expression(&[error], &file.to_string_lossy(), &text_of(file)?))
}

/// The release whose rules come closest to those of the running kernel, if the firewall knows it.
fn here() -> Vec<Kernel> {
    let running = skep_kernel::running_release().and_then(Kernel::at_most);
    running.into_iter().filter(|kernel| KERNELS.contains(kernel)).collect()
}

fn apply(args: &ApplyArgs) -> Result<(), Failure> {
    let (rules, _) = checked(&args.file)?;
    let interfaces = chosen(&args.on).map_err(Failure::run)?;
    if !args.i_know
        && let Some(problem) = guard::own_session().and_then(|session| guard::cut(&rules, &session, &interfaces))
    {
        return Err(Failure::Run(format!("{problem}; nothing was changed; --i-know applies them all the same")));
    }
    // Whoever looks names up or applies nothing wants to know first.
    if args.dry_run || !rules.names.is_empty() {
        let all = all_interfaces().map_err(Failure::run)?;
        plan(&rules, &|name| all.iter().find(|each| each.1 == name).map(|each| each.0)).map_err(Failure::run)?;
    }
    if args.dry_run {
        // When they are applied the kernel itself decides.
        verified(&args.file, &rules, &here())?;
        return print(&format!("{} rules would be applied; nothing was changed\n", rules.rules.len()));
    }
    let answers = look_up(&rules);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let token = if args.confirm.is_some() { u64::try_from(now.as_nanos()).unwrap_or(1).max(1) } else { 0 };
    let mode = |mode| if mode == XdpArg::Native { XdpMode::Native } else { XdpMode::Generic };
    let named = !answers.is_empty();
    let options = ApplyOptions { interfaces: args.on.clone(), xdp: args.xdp.map(mode), answers, pending: token };
    let at = Firewall::apply(Path::new(DIRECTORY), &rules, &options).map_err(|error| {
        // If it is the kernel's verifier that said no, ours knows which rule it is.
        verified(&args.file, &rules, &here()).err().map(Failure::report);
        Failure::run(error)
    })?;
    if named {
        start_expiry()?;
    }
    if let Some(seconds) = args.confirm
        && let Err(error) = start_timer(token, seconds)
    {
        // Without a timer nobody would take the rules back.
        live()?.roll_back(token).map_err(Failure::run)?;
        return Err(Failure::Run(format!("the timer cannot be started ({error}); the rules were taken back")));
    }
    let until = args.confirm.map_or_else(String::new, |seconds| {
        format!("; they are taken back in {seconds} seconds unless you say `skep firewall confirm`")
    });
    print(&format!("{} rules are in force at {}{until}\n", rules.rules.len(), at.join(", ")))
}

/// A process that takes the rules back after a while.
fn start_timer(token: u64, seconds: u64) -> io::Result<()> {
    background(&["firewall", "rollback", "--token", &token.to_string(), "--after", &seconds.to_string()])
}

/// Starts this program in a process group of its own. It outlives this one, and whoever started it.
fn background(words: &[&str]) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().map(drop)
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let mut firewall = live()?;
    let live = firewall.list().map_err(Failure::run)?;
    let panics = match firewall.panics() {
        PANIC_DROP => "panic: every packet is dropped\n",
        PANIC_ACCEPT => "panic: every packet is accepted\n",
        _ => "",
    };
    print(&if args.metrics { metrics(&live) } else { format!("{panics}{}", table(&live)) })
}

/// Addresses and networks of a set.
fn prefixes<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<Prefix>, Failure> {
    words.map(|word| Prefix::parse(word).map_err(|problem| Failure::Run(format!("`{word}`: {problem}")))).collect()
}

fn set(command: &SetCommand) -> Result<(), Failure> {
    let mut firewall = live()?;
    match command {
        SetCommand::List { name } => {
            let uptime = uptime();
            let mut text = String::new();
            for (prefix, until) in firewall.set_members(name).map_err(Failure::run)? {
                let left = (until as f64 / 1e9 - uptime).max(0.0);
                let _ = match until {
                    0 => writeln!(text, "{prefix}"),
                    _ => writeln!(text, "{prefix}  # leaves in {left:.0} s"),
                };
            }
            print(&text)
        }
        SetCommand::Add { name, addresses, timeout } => {
            let all = prefixes(addresses.iter().map(String::as_str))?;
            let added = firewall.set_add(name, &all, *timeout).map_err(Failure::run)?;
            drop(firewall);
            if timeout.is_some() {
                start_expiry()?;
            }
            print(&format!("{added} added, {} were there\n", all.len() - added))
        }
        SetCommand::Del { name, addresses } => {
            let all = prefixes(addresses.iter().map(String::as_str))?;
            let removed = firewall.set_remove(name, &all).map_err(Failure::run)?;
            match all.len() - removed {
                0 => print(&format!("{removed} taken out\n")),
                missing => Err(Failure::Run(format!("{removed} taken out, {missing} were not in `{name}`"))),
            }
        }
        SetCommand::Load { name, file } => {
            let text = if file == Path::new("-") {
                io::read_to_string(io::stdin())
                    .map_err(|error| Failure::Run(format!("cannot read standard input: {error}")))?
            } else {
                text_of(file)?
            };
            let words = text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
            let (came, went) = firewall.set_replace(name, &prefixes(words)?).map_err(Failure::run)?;
            print(&format!("{came} added, {went} taken out\n"))
        }
    }
}

/// Starts what takes members out of sets when their time is over.
fn start_expiry() -> Result<(), Failure> {
    background(&["firewall", "expire"]).map_err(|error| {
        Failure::Run(format!(
            "the addresses are in their sets, but nothing can be started that takes them out: {error}"
        ))
    })
}

/// Waits for members whose time is over, as long as there are any; one process at a time does that.
fn expire() -> Result<(), Failure> {
    let path = "/run/skep-firewall-expire.lock";
    let lock = fs::File::create(path).map_err(|error| Failure::Run(format!("cannot open `{path}`: {error}")))?;
    loop {
        if lock.try_lock().is_err() {
            return Ok(());
        }
        let Some(mut firewall) = Firewall::open(Path::new(DIRECTORY)).map_err(Failure::run)? else { return Ok(()) };
        let Some(next) = firewall.expire().map_err(Failure::run)? else {
            // Whoever puts one in now finds nobody at work, because the firewall stays locked until then.
            return lock.unlock().map_err(Failure::run);
        };
        drop(firewall);
        // Members that come meanwhile may leave earlier.
        std::thread::sleep(Duration::from_nanos(next).min(Duration::from_secs(1)));
    }
}

/// Seconds since the machine was started.
fn uptime() -> f64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    uptime.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// How long ago something was, from a time of the monotonic clock.
fn ago(last: u64) -> String {
    if last == 0 {
        return "never".to_owned();
    }
    format!("{:.0}s", (uptime() - last as f64 / 1e9).max(0.0))
}

fn table(live: &LiveRules) -> String {
    let mut text = format!("{:>5} {:>12} {:>14} {:>8}  RULE\n", "NO", "PACKETS", "BYTES", "LAST");
    let mut row = |number: String, count: &Count, rule: &str| {
        let _ = writeln!(text, "{number:>5} {:>12} {:>14} {:>8}  {rule}", count.packets, count.bytes, ago(count.last));
    };
    for (number, rule) in (1..).zip(&live.rules) {
        row(number.to_string(), &rule.count, &rule.rule.to_string());
    }
    row(String::new(), &live.defaults[0], &format!("default in {}", live.set.default_in));
    row(String::new(), &live.defaults[1], &format!("default out {}", live.set.default_out));
    if let (Some(count), Some(verdict)) = (&live.forwarded, live.set.default_forward) {
        row(String::new(), count, &format!("default forward {verdict}"));
    }
    row(String::new(), &live.defaults[2], "malformed packets: drop");
    for (count, name) in live.cookies.iter().flatten().zip(["given: a cookie for a SYN", "dropped: wrong cookie"]) {
        row(String::new(), count, name);
    }
    for (name, filling) in fillings(live) {
        let refused = match filling.refused {
            0 => String::new(),
            refused => format!("; the table was full: {refused} were refused"),
        };
        let _ = writeln!(text, "{name}: {} of {}{refused}", filling.known, filling.room);
    }
    text
}

/// Tables that refuse new entries when they are full.
fn fillings(live: &LiveRules) -> impl Iterator<Item = (&'static str, Filling)> {
    let all = [("connections", live.connections), ("translations", live.translations), ("limits", live.limits)];
    all.into_iter().filter_map(|(name, filling)| Some((name, filling?)))
}

fn metrics(live: &LiveRules) -> String {
    let mut text = String::new();
    let named = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let rules = (1..).zip(&live.rules).map(|(number, rule)| (format!("{number}"), rule.rule.to_string(), rule.count));
    let defaults = ["default in", "default out", "malformed"].into_iter().zip(live.defaults);
    let defaults = defaults.chain(live.forwarded.map(|count| ("default forward", count)));
    let all: Vec<_> = rules.chain(defaults.map(|(name, count)| (name.to_owned(), name.to_owned(), count))).collect();
    for what in ["packets", "bytes"] {
        let _ = writeln!(text, "# TYPE skep_firewall_rule_{what}_total counter");
        for (number, rule, count) in &all {
            let rule = named(rule);
            let value = if what == "packets" { count.packets } else { count.bytes };
            let _ = writeln!(text, "skep_firewall_rule_{what}_total{{number=\"{number}\",rule=\"{rule}\"}} {value}");
        }
    }
    for (count, name) in live.cookies.iter().flatten().zip(["cookies_total", "wrong_cookies_total"]) {
        let _ = writeln!(text, "# TYPE skep_firewall_{name} counter\nskep_firewall_{name} {}", count.packets);
    }
    for (name, Filling { known, room, refused }) in fillings(live) {
        for (what, kind, value) in
            [("", "gauge", known), ("_limit", "gauge", room), ("_refused_total", "counter", refused)]
        {
            let _ = writeln!(text, "# TYPE skep_firewall_{name}{what} {kind}\nskep_firewall_{name}{what} {value}");
        }
    }
    text
}

/// Lines that go and come. Rules that keep their order among each other stay.
fn diff(new: &RuleSet) -> Result<(), Failure> {
    let lines = |rules: &RuleSet| rules.to_string().lines().map(str::to_owned).collect::<Vec<_>>();
    let old = lines(&live()?.list().map_err(Failure::run)?.set);
    let new = lines(new);
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - start;
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let mut text = String::new();
    for (sign, lines) in [('-', &old), ('+', &new)] {
        for line in &lines[start..lines.len() - end] {
            let _ = writeln!(text, "{sign} {line}");
        }
    }
    print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_drawn_as_from_the_whole_text() {
        for text in
            ["drop in tcp\n# why\ndrop in tcp to port 22\n\n drop in {\n  icmp\n}\ndrop in tcp", "a\n", "a", "\n\na\n"]
        {
            for start in 0..text.len() as u32 {
                for end in start..=text.len() as u32 {
                    let warning = Diagnostic::warning(Span::new(start, end), "never").with_label("here");
                    let whole = skep_diag::render(&warning, "rules", text, colour_on_stderr());
                    assert_eq!(drawn(&[warning], "rules", text), whole, "{start}..{end} of {text:?}");
                }
            }
        }
    }
}

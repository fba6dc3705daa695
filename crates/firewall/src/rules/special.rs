//! What rules ask that is not in the tables: expressions, hours, owners. The programs find out once for each packet which of
//! the conditions of a list hold; entries ask for bits of that.

use std::fmt::{self, Display, Formatter};
use std::ops::RangeInclusive;

use skep_isa::classic::Insn;
use skep_lang_filter::{Options, compile, names::FixedResolver};
use skep_vm::classic::{Metadata, Program};

use super::RuleSet;
use super::print::quoted;
use super::words::{self, DAYS};
use crate::facts::Facts;

/// Most different conditions of a list: bits of a word.
pub const MOST_CONDITIONS: usize = 64;
/// Most instructions of an expression.
pub const MOST_INSTRUCTIONS: usize = 512;
/// What the kernel says for packets without a socket (`overflowuid`).
pub const NOBODY: u32 = 65534;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// An expression of pcap-filter accepts the packet.
    Expression(Expression),
    /// It is a certain time of day, by the local clock.
    Hours(Hours),
    /// The user whose socket sends the packet is one of these.
    Users(Vec<RangeInclusive<u32>>),
    /// The packet is forwarded to one of these interfaces or zones.
    Leaves(Vec<String>),
    /// The socket that sends the packet belongs to a control group or one below: its path.
    Group(String),
}

/// An expression of pcap-filter, compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expression {
    text: String,
    program: Vec<Insn>,
}

/// A part of the day, of some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hours {
    /// The minute of the day in which it begins.
    pub from: u16,
    /// The minute before which it ends, up to 1440; not behind `from` if that is on the next day.
    pub until: u16,
    /// The days on which it begins, as bits of [`DAYS`].
    pub days: u8,
}

impl Expression {
    /// Compiles an expression for packets that begin with their Ethernet header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let filter = compile(text, &Options::default(), &FixedResolver::new()).map_err(|errors| {
            errors.first().map_or_else(String::new, |error| match error.help.first() {
                Some(help) => format!("{}; {help}", error.message),
                None => error.message.clone(),
            })
        })?;
        if filter.program.len() > MOST_INSTRUCTIONS {
            return Err(format!(
                "its program has {} instructions; there may be {MOST_INSTRUCTIONS}; use sets for lists of addresses",
                filter.program.len()
            ));
        }
        Ok(Self { text: text.to_owned(), program: filter.program })
    }

    /// The program.
    pub fn program(&self) -> &[Insn] {
        &self.program
    }

    /// Whether it accepts a packet.
    pub fn accepts(&self, packet: &[u8]) -> bool {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        Program::new(&self.program).is_ok_and(|program| program.run(packet, length, &Metadata::default()) != 0)
    }
}

/// Seconds of a day.
const DAY: u64 = 86_400;

impl Hours {
    /// Whether a local time, in seconds since the beginning of 1970, lies within.
    pub fn contains(&self, seconds: u64) -> bool {
        let minute = (seconds % DAY / 60) as u16;
        // The first of January 1970 was a Thursday.
        let today = (seconds / DAY + 4) % 7;
        let is_of = |day: u64| self.days & 1 << day != 0;
        if self.from < self.until {
            is_of(today) && (self.from..self.until).contains(&minute)
        } else {
            is_of(today) && minute >= self.from || is_of((today + 6) % 7) && minute < self.until
        }
    }
}

impl Condition {
    /// Whether it holds for a packet. Without a known time no hours hold.
    pub fn holds(&self, facts: &Facts) -> bool {
        match self {
            Self::Expression(expression) => expression.accepts(&facts.frame),
            Self::Hours(hours) => facts.place.time.is_some_and(|seconds| hours.contains(seconds)),
            Self::Users(users) => {
                facts.place.owner.is_some_and(|owner| users.iter().any(|users| users.contains(&owner)))
            }
            // Facts are about packets that arrive at this host or leave it.
            Self::Leaves(_) => false,
            Self::Group(path) => facts.place.group.is_some_and(|group| group == id_of(path)),
        }
    }

    /// Whether two conditions are of the same kind, of which a rule has one.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether only packets that leave can meet it.
    pub const fn is_about_sockets(&self) -> bool {
        matches!(self, Self::Users(_) | Self::Group(_))
    }
}

/// The name of a service in the path of its control group.
fn service(path: &str) -> Option<&str> {
    path.strip_prefix(words::SERVICES)?.strip_suffix(".service").filter(|name| !name.contains('/'))
}

/// Where control groups of version 2 are mounted first.
fn root() -> Option<std::path::PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.find(|fields| fields.get(2) == Some(&"cgroup2")).and_then(|fields| fields.get(1).map(Into::into))
}

/// The number of a control group and how deep it lies below the root.
///
/// # Errors
/// If there is no such group.
pub fn group(path: &str) -> Result<(u64, u32), String> {
    use std::os::unix::fs::MetadataExt as _;
    let inner = path.trim_matches('/');
    let root = root().ok_or_else(|| "no control groups of version 2 are mounted, see cgroups(7)".to_owned())?;
    let at = root.join(inner);
    let found = std::fs::metadata(&at).ok().filter(|_| at.join("cgroup.procs").exists());
    let found = found.ok_or_else(|| {
        format!("there is no control group `{path}`; services have one while they run: start it, then apply the rules")
    })?;
    let depth = inner.split('/').filter(|part| !part.is_empty()).count();
    Ok((found.ino(), depth as u32))
}

fn id_of(path: &str) -> u64 {
    group(path).map_or(0, |group| group.0)
}

/// All different conditions of rules, in the order in which they come first.
pub fn conditions(rules: &RuleSet) -> Vec<Condition> {
    let mut all: Vec<Condition> = Vec::new();
    for condition in rules.rules.iter().flat_map(|rule| &rule.matches.conditions) {
        if !all.contains(condition) {
            all.push(condition.clone());
        }
    }
    all
}

/// Which of a list's conditions hold, as bits.
pub fn held(all: &[Condition], facts: &Facts) -> u64 {
    all.iter().zip(0..).fold(0, |bits, (condition, bit)| bits | u64::from(condition.holds(facts)) << bit)
}

/// Conditions as lines, in their order.
pub fn to_text(conditions: &[Condition]) -> String {
    conditions.iter().map(|condition| format!("{condition}\n")).collect()
}

/// What [`to_text`] wrote.
pub fn from_text(text: &str) -> Option<Vec<Condition>> {
    let each = |line: &str| {
        let context = RuleSet { default_forward: Some(super::Verdict::Accept), ..RuleSet::default() };
        let read = |direction| super::parse_rule(&format!("count {direction} {line}"), &context).ok();
        let rule = read("out").or_else(|| read("forward"))?;
        rule.matches.conditions.into_iter().next()
    };
    text.lines().map(each).collect()
}

impl Display for Hours {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "between {} and {}", time(self.from), time(self.until))?;
        if self.days == words::ALL_DAYS {
            return Ok(());
        }
        let names: Vec<&str> = DAYS.iter().filter(|row| self.days & row.1 != 0).map(|row| row.0).collect();
        match names[..] {
            [one] => write!(f, " on {one}"),
            _ => write!(f, " on {{ {} }}", names.join(", ")),
        }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expression(expression) => write!(f, "match {}", quoted(expression.text.as_bytes())),
            Self::Hours(hours) => hours.fmt(f),
            Self::Users(users) => {
                f.write_str("uid ")?;
                super::print::list(f, users, |users| match (users.start(), users.end()) {
                    (first, last) if first == last => first.to_string(),
                    (first, last) => format!("{first}-{last}"),
                })
            }
            Self::Leaves(interfaces) => {
                f.write_str("out-on ")?;
                super::print::list(f, interfaces, String::clone)
            }
            Self::Group(path) => match service(path) {
                Some(name) => write!(f, "service {name}"),
                None => write!(f, "cgroup {}", quoted(path.as_bytes())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_belong_to_the_day_on_which_they_begin() {
        // Monday, the 5th of January 1970.
        let at = |day: u64, hour: u64, minute: u64| (3 + day) * DAY + hour * 3600 + minute * 60;
        let work = Hours { from: 8 * 60, until: 18 * 60, days: 0b0011_1110 };
        let [monday, friday, saturday] = [1, 5, 6];
        assert!(work.contains(at(monday, 8, 0)) && work.contains(at(friday, 17, 59)));
        assert!(!work.contains(at(monday, 7, 59)) && !work.contains(at(monday, 18, 0)));
        assert!(!work.contains(at(saturday, 12, 0)) && !work.contains(at(7, 12, 0)));
        let night = Hours { from: 22 * 60, until: 6 * 60, days: 1 << 5 };
        assert!(night.contains(at(friday, 23, 0)) && night.contains(at(saturday, 5, 59)));
        assert!(!night.contains(at(saturday, 23, 0)) && !night.contains(at(friday, 5, 0)));
        assert!(!night.contains(at(saturday, 6, 0)));
    }

    #[test]
    fn expressions_are_compiled_and_their_errors_told() {
        let expression = Expression::new("udp[8:2] & 0x8000 = 0").unwrap();
        assert!(!expression.accepts(&[0; 60]));
        assert!(Expression::new("udp port").is_err());
        let long = (0..600).map(|port| format!("port {}", port * 3)).collect::<Vec<_>>().join(" or ");
        assert!(Expression::new(&long).is_err_and(|error| error.contains("instructions")));
    }
}

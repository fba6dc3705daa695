//! Sums of outcomes, the table that is shown, and the report with a line for each program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{Figures, Ours, Outcome, Theirs};

/// How two verdicts compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// We accept what the kernel refuses.
    AcceptedWrongly,
    /// Our verifier panics.
    Broken,
    /// We refuse what the kernel takes.
    RefusedWrongly,
    /// We do not know.
    Undecided,
    /// Both accept, or both refuse.
    Same,
    /// The kernel gives no verdict.
    Silent,
}

impl Comparison {
    fn of(outcome: &Outcome) -> Self {
        match (&outcome.theirs, &outcome.ours) {
            (Theirs::Silent(_), _) => Self::Silent,
            (_, Ours::Broken(_)) => Self::Broken,
            (_, Ours::Undecided(_)) => Self::Undecided,
            (Theirs::Refuses(_), Ours::Takes) => Self::AcceptedWrongly,
            (Theirs::Takes, Ours::Refuses(_)) => Self::RefusedWrongly,
            _ => Self::Same,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AcceptedWrongly => "accepted wrongly",
            Self::Broken => "broken",
            Self::RefusedWrongly => "refused wrongly",
            Self::Undecided => "undecided",
            Self::Same => "same",
            Self::Silent => "no verdict",
        }
    }
}

/// All outcomes, in order.
#[derive(Debug)]
pub struct Tally {
    outcomes: Vec<(Comparison, Outcome)>,
}

impl Tally {
    /// Sorts outcomes, the worst first.
    pub fn new(outcomes: Vec<Outcome>) -> Self {
        let mut outcomes: Vec<_> = outcomes.into_iter().map(|outcome| (Comparison::of(&outcome), outcome)).collect();
        outcomes.sort_by(|(left, a), (right, b)| (left, &a.file, &a.program).cmp(&(right, &b.file, &b.program)));
        Self { outcomes }
    }

    fn count(&self, wanted: Comparison) -> usize {
        self.outcomes.iter().filter(|(comparison, _)| *comparison == wanted).count()
    }

    /// The sums.
    pub fn figures(&self) -> Figures {
        Figures {
            same: self.count(Comparison::Same),
            refused_wrongly: self.count(Comparison::RefusedWrongly),
            undecided: self.count(Comparison::Undecided),
            broken: self.count(Comparison::Broken),
            accepted_wrongly: self.programs(Comparison::AcceptedWrongly),
        }
    }

    /// `FILE PROGRAM` of each program that compares so.
    fn programs(&self, wanted: Comparison) -> Vec<String> {
        let those = self.outcomes.iter().filter(|(comparison, _)| *comparison == wanted);
        those.map(|(_, outcome)| format!("{} {}", outcome.file, outcome.program)).collect()
    }

    /// What we miss most, each with the number of programs.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let wanted = [Comparison::AcceptedWrongly, Comparison::RefusedWrongly, Comparison::Undecided];
        for wanted in wanted.into_iter().chain([Comparison::Silent]) {
            let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
            for (_, outcome) in self.outcomes.iter().filter(|(comparison, _)| *comparison == wanted) {
                *reasons.entry(without_numbers(reason(wanted, outcome))).or_default() += 1;
            }
            let mut reasons: Vec<_> = reasons.into_iter().collect();
            reasons.sort_by(|(a, left), (b, right)| right.cmp(left).then(a.cmp(b)));
            let _ = writeln!(text, "{}: {}", wanted.name(), self.count(wanted));
            for (reason, count) in reasons.iter().take(25) {
                let _ = writeln!(text, "{count:>6}  {reason}");
            }
        }
        text
    }

    /// A line for each program.
    fn lines(&self) -> impl Iterator<Item = (Comparison, String)> {
        self.outcomes.iter().map(|(comparison, outcome)| {
            let Outcome { file, program, kind, theirs, ours } = outcome;
            let line = format!("{}: {file} {program} ({kind}): kernel {theirs:?}; we {ours:?}", comparison.name());
            (*comparison, line)
        })
    }

    /// The lines of programs with another verdict.
    pub fn worst(&self) -> Vec<String> {
        self.lines().filter(|(comparison, _)| *comparison < Comparison::Undecided).map(|(_, line)| line).collect()
    }

    /// Writes a line for each program; returns the file.
    pub fn write_report(&self, name: &str) -> PathBuf {
        let directory = super::cache();
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("report-{name}.txt"));
        let text: String = self.lines().map(|(_, line)| line + "\n").collect();
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// What is to be said about an outcome of this kind.
fn reason(comparison: Comparison, outcome: &Outcome) -> &str {
    match (comparison, &outcome.theirs, &outcome.ours) {
        (Comparison::Undecided | Comparison::RefusedWrongly, _, Ours::Undecided(words) | Ours::Refuses(words))
        | (_, Theirs::Refuses(words) | Theirs::Silent(words), _) => words,
        _ => "",
    }
}

/// The words with `N` for each number, so that the same reason is one row.
pub fn without_numbers(words: &str) -> String {
    let mut text = String::new();
    for character in words.chars().take(110) {
        match character {
            '0'..='9' if text.ends_with('N') => {}
            '0'..='9' => text.push('N'),
            _ => text.push(character),
        }
    }
    text
}

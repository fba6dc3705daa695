//! Chains with jumps, written out as one list.

use std::collections::BTreeMap;

use skep_diag::Span;

use super::conjunction::{conjunction, forwarded};
use super::{Import, Remark};
use crate::rules::{Action, Direction, Limit, Matches, Rule, Verdict};

/// Rules that an import makes at most. Chains that return in the middle multiply what stands behind them.
const MOST_RULES: usize = 200_000;
/// Jumps inside of one another, as many as iptables itself allows in its tightest setting.
const MOST_DEPTH: usize = 64;

/// What a rule of a chain does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The end of the matter.
    Verdict(Verdict),
    /// Something without an end.
    Note(Option<String>),
    /// Another chain; what it does not decide comes back.
    Jump(String),
    /// Another chain; what it does not decide goes on where this chain was called.
    Goto(String),
    /// Back to where this chain was called.
    Return,
}

/// A rule of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line, counted from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
    /// What packets have to be like: one of these.
    pub alternatives: Vec<Matches>,
    /// The target concerns only packets beyond this.
    pub limit: Option<Limit>,
    /// What is done with them.
    pub target: Target,
    /// What ours does otherwise.
    pub different: Option<String>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// What happens at its end, for those that packets begin in.
    pub policy: Option<Verdict>,
    /// Its rules in their order.
    pub entries: Vec<Entry>,
}

/// All chains by their names.
pub type Chains = BTreeMap<String, Chain>;

/// Where packets go on: the rest of a chain, and of those that called it.
#[derive(Clone, Copy)]
struct Place<'a> {
    entries: &'a [Entry],
    back: Option<&'a Place<'a>>,
    policy: Verdict,
    depth: usize,
}

/// Writes out what a chain does with packets that are like `start`; gives its policy.
pub fn write_out(
    chains: &Chains,
    name: &str,
    start: &Matches,
    import: &mut Import,
) -> Result<Verdict, (usize, String)> {
    let Some(chain) = chains.get(name) else { return Ok(Verdict::Accept) };
    let policy = chain.policy.unwrap_or(Verdict::Accept);
    let place = Place { entries: &chain.entries, back: None, policy, depth: 0 };
    follow(chains, &place, start, import, false)?;
    Ok(policy)
}

/// Whether every packet that gets there is decided about.
type Decided = bool;

/// Writes out a chain. With `closing` what it leaves undecided is followed to the end, where the policy decides.
fn follow(
    chains: &Chains,
    place: &Place<'_>,
    start: &Matches,
    import: &mut Import,
    closing: bool,
) -> Result<Decided, (usize, String)> {
    for (number, entry) in place.entries.iter().enumerate() {
        let rest = Place { entries: &place.entries[number + 1..], ..*place };
        for wanted in &entry.alternatives {
            let both = match meet(start, wanted) {
                Ok(Some(both)) => both,
                Ok(None) => continue,
                Err(why) => {
                    import.missing.push(Remark { line: entry.line, text: entry.text.clone(), why });
                    continue;
                }
            };
            if let Some(why) = &entry.different {
                import.different.push(Remark { line: entry.line, text: entry.text.clone(), why: why.clone() });
            }
            let everything = both == *start && entry.limit.is_none();
            if step(chains, entry, &rest, both, import)? && everything {
                return Ok(true);
            }
        }
    }
    if !closing {
        return Ok(false);
    }
    match place.back {
        Some(back) => follow(chains, back, start, import, true),
        None => {
            emit(import, 0, Action { verdict: Some(place.policy), ..Action::default() }, start.clone())?;
            Ok(true)
        }
    }
}

/// What a rule takes of packets that are like `start`.
fn meet(start: &Matches, wanted: &Matches) -> Result<Option<Matches>, String> {
    if start.direction == Some(Direction::Forward) {
        return conjunction(start, &forwarded(wanted));
    }
    conjunction(start, wanted)
}

/// Writes out one rule for packets that are like `both`.
fn step(
    chains: &Chains,
    entry: &Entry,
    rest: &Place<'_>,
    both: Matches,
    import: &mut Import,
) -> Result<Decided, (usize, String)> {
    let line = entry.line;
    let called = |name: &str| {
        if rest.depth >= MOST_DEPTH {
            return Err((line, format!("more than {MOST_DEPTH} chains inside of one another, or a circle of jumps")));
        }
        let chain = chains.get(name);
        chain.ok_or_else(|| (line, format!("`{name}` is neither a chain of this table nor a known target")))
    };
    match &entry.target {
        Target::Verdict(verdict) => {
            let action = Action { verdict: Some(*verdict), limit: entry.limit, ..Action::default() };
            emit(import, line, action, both)?;
            Ok(true)
        }
        Target::Note(log) => {
            let action = Action { log: log.clone(), limit: entry.limit, ..Action::default() };
            emit(import, line, action, both)?;
            Ok(false)
        }
        Target::Jump(name) => {
            let entries = &called(name)?.entries;
            let place = Place { entries, back: Some(rest), depth: rest.depth + 1, ..*rest };
            follow(chains, &place, &both, import, false)
        }
        Target::Goto(name) => {
            let entries = &called(name)?.entries;
            let place = Place { entries, depth: rest.depth + 1, ..*rest };
            follow(chains, &place, &both, import, true)
        }
        // What comes behind the call is said for these packets alone, for a rule cannot say "all but those".
        Target::Return => match rest.back {
            Some(back) => follow(chains, back, &both, import, true),
            None => {
                emit(import, line, Action { verdict: Some(rest.policy), ..Action::default() }, both)?;
                Ok(true)
            }
        },
    }
}

/// Adds a rule.
fn emit(import: &mut Import, line: usize, action: Action, matches: Matches) -> Result<(), (usize, String)> {
    if import.rules.rules.len() >= MOST_RULES {
        return Err((line, format!("written out, these chains have more than {MOST_RULES} rules")));
    }
    import.rules.rules.push(Rule { action, matches, span: Span::default() });
    Ok(())
}

//! From a list of rules to filled tables.

use crate::program::{MOST_STRAIGHT, Shape};
use crate::rules::special::{Condition, group};
use crate::rules::{Rule, RuleSet, Verdict};
use crate::tables::expand::{expand, rule_record, verdict_record};
use crate::tables::layout::{Sizes, book, special};
use crate::tables::{Entry, Key, Record, Store, TableError, change};
use crate::zone::Zone;

/// The distance of the places of two rules in a file.
const STEP: u64 = 1 << 42;
/// How far in front of the next rule a new one is put: rules that are put in front of the same one, one after the other, find
/// this place millions of times; what is left is halved.
const NEAR: u64 = 1 << 20;

/// Entries that are kept free for members of sets that come later, besides as many as there are.
const SET_ROOM: usize = 1 << 12;

/// Numbers of interfaces by their names.
pub type Index<'i> = &'i dyn Fn(&str) -> Option<u32>;

/// A rule with its number and place, and what it needs in the tables.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its number, by which it is counted.
    pub number: u32,
    /// Its place: lower ones come first.
    pub order: u64,
    /// Its entries.
    pub entries: Vec<(Key, Entry)>,
    /// What it does.
    pub record: Record,
}

/// A whole list, ready to be put into tables.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The rules in their order.
    pub rules: Vec<Placed>,
    /// What the programs have to be made for.
    pub shape: Shape,
    defaults: [Verdict; 3],
}

/// Why a list cannot be put into tables.
#[derive(Debug, Clone)]
pub struct BuildError {
    /// The rule, counted from 0, if it is one's fault.
    pub rule: Option<usize>,
    /// What is wrong.
    pub problem: String,
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rule {
            Some(rule) => write!(f, "rule {}: {}", rule + 1, self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for BuildError {}

/// Plans a list of rules.
///
/// # Errors
/// The first rule that needs too many entries.
pub fn plan(rules: &RuleSet, index: Index<'_>) -> Result<Plan, BuildError> {
    let mut placed = Vec::with_capacity(rules.rules.len());
    for (at, rule) in rules.rules.iter().enumerate() {
        let number = u32::try_from(at).ok().and_then(|at| at.checked_add(special::FIRST));
        let number = number.ok_or_else(|| BuildError { rule: Some(at), problem: "there are too many rules".into() })?;
        let order = (at as u64 + 1).checked_mul(STEP);
        let order = order.ok_or_else(|| BuildError { rule: Some(at), problem: "there are too many rules".into() })?;
        placed
            .push(place(rules, rule, number, order, index).map_err(|problem| BuildError { rule: Some(at), problem })?);
    }
    let entries = placed.iter().map(|rule| rule.entries.len()).sum::<usize>();
    // Sets grow while they are in force.
    let room = entries + if rules.sets.is_empty() { 0 } else { SET_ROOM };
    let track = rules.is_stateful();
    let short = placed.len() <= MOST_STRAIGHT && entries <= MOST_STRAIGHT;
    let straight = placed.iter().flat_map(|rule| rule.entries.iter().map(|each| each.1)).filter(|_| short).collect();
    let tells_time = rules.conditions.iter().any(|condition| matches!(condition, Condition::Hours(_)));
    let shape = Shape {
        sizes: Sizes::for_rules(room, placed.len() + special::FIRST as usize, track, &rules.tables),
        track,
        payload: rules.rules.iter().any(|rule| rule.matches.payload.is_some()),
        straight,
        translates: rules.translates(),
        cookies: rules.gives_cookies(),
        forwards: rules.default_forward.is_some(),
        leaves: rules.conditions.iter().map(|condition| leaves(rules, condition, index)).collect(),
        conditions: rules.conditions.clone(),
        groups: groups(rules)?,
        zone: if tells_time { Zone::of_host(now()) } else { Zone::default() },
        bank: 0,
    };
    Ok(Plan {
        rules: placed,
        shape,
        defaults: [rules.default_in, rules.default_out, rules.default_forward.unwrap_or(Verdict::Accept)],
    })
}

/// The numbers of the interfaces that a condition is about.
fn leaves(rules: &RuleSet, condition: &Condition, index: Index<'_>) -> Vec<u32> {
    match condition {
        Condition::Leaves(names) => names.iter().flat_map(|name| rules.interfaces(name)).filter_map(index).collect(),
        _ => Vec::new(),
    }
}

/// Numbers and depths of the control groups that conditions are about.
fn groups(rules: &RuleSet) -> Result<Vec<(u64, u32)>, BuildError> {
    let each = |condition: &Condition| match condition {
        Condition::Group(path) => group(path).map_err(|problem| {
            let rule = rules.rules.iter().position(|rule| rule.matches.conditions.contains(condition));
            BuildError { rule, problem }
        }),
        _ => Ok((0, 0)),
    };
    rules.conditions.iter().map(each).collect()
}

/// Seconds since the beginning of 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Plans one rule.
///
/// # Errors
/// A sentence if it needs too many entries.
pub fn place(rules: &RuleSet, rule: &Rule, number: u32, order: u64, index: Index<'_>) -> Result<Placed, String> {
    let entries = expand(rules, rule, order, number, index)?;
    Ok(Placed { number, order, entries, record: rule_record(rule) })
}

/// The place of a new rule between two others, or at an end.
///
/// # Errors
/// A sentence if there is no place left.
pub fn between(before: Option<u64>, after: Option<u64>) -> Result<u64, String> {
    let low = before.unwrap_or(0);
    let order = match after {
        Some(high) => high - (high.saturating_sub(low) / 2).min(NEAR),
        None => low.saturating_add(STEP),
    };
    if order > low && after.is_none_or(|high| order < high) {
        Ok(order)
    } else {
        Err("too many rules were put in between these two; apply the list anew, which spreads them".to_owned())
    }
}

impl Plan {
    /// Fills empty tables.
    ///
    /// # Errors
    /// The first rule that does not fit.
    pub fn fill(&self, store: &mut impl Store) -> Result<(), BuildError> {
        let own = |error: TableError| BuildError { rule: None, problem: error.to_string() };
        let defaults = [
            (special::MALFORMED, Verdict::Drop),
            (special::DEFAULT_IN, self.defaults[0]),
            (special::DEFAULT_OUT, self.defaults[1]),
            (special::NEIGHBOURS, Verdict::Accept),
            (special::DEFAULT_FORWARD, self.defaults[2]),
            (special::FORWARDED, Verdict::Accept),
            (special::NO_CONNECTION, Verdict::Drop),
            (special::NO_TRANSLATION, Verdict::Drop),
            (special::COOKIE, Verdict::Drop),
            (special::WRONG_COOKIE, Verdict::Drop),
        ];
        for (rule, verdict) in defaults {
            store.set_record(rule, &verdict_record(verdict)).map_err(own)?;
        }
        change::begin(store).map_err(own)?;
        let mut entries = Vec::with_capacity(self.rules.iter().map(|rule| rule.entries.len()).sum());
        for (at, rule) in self.rules.iter().enumerate() {
            if rule.number >= store.sizes().rules {
                let full = TableError::Full("rules", store.sizes().rules);
                return Err(BuildError { rule: Some(at), problem: full.to_string() });
            }
            entries.extend_from_slice(&rule.entries);
        }
        change::fill(store, &entries).map_err(|(at, error)| {
            let mut behind = 0;
            let of = |rule: &Placed| {
                behind += rule.entries.len();
                at < behind
            };
            BuildError { rule: self.rules.iter().position(of), problem: error.to_string() }
        })?;
        for rule in &self.rules {
            store.set_record(rule.number, &rule.record).map_err(own)?;
        }
        let last = self.rules.last().map_or(u64::from(special::FIRST), |rule| u64::from(rule.number) + 1);
        store.set_book(book::RULES, last).map_err(own)?;
        store.set_book(book::CHANGED, 0).map_err(own)
    }
}

/// Adds a rule to tables. If it does not fit, its entries are taken out again.
///
/// # Errors
/// [`TableError`]
pub fn add(store: &mut impl Store, rule: &Placed) -> Result<(), TableError> {
    if rule.number >= store.sizes().rules {
        return Err(TableError::Full("rules", store.sizes().rules));
    }
    store.set_book(book::CHANGED, 1)?;
    for (done, (key, entry)) in rule.entries.iter().enumerate() {
        if let Err(error) = change::insert(store, key, entry) {
            for (key, entry) in &rule.entries[..done] {
                change::remove(store, key, entry)?;
            }
            return Err(error);
        }
    }
    // Until now the rule has only counted: it comes in force as a whole.
    store.set_record(rule.number, &rule.record)
}

/// Takes a rule out of tables; the number of entries that were there.
///
/// # Errors
/// [`TableError::Store`]
pub fn remove(store: &mut impl Store, rule: &Placed) -> Result<usize, TableError> {
    store.set_book(book::CHANGED, 1)?;
    let mut found = 0;
    for (key, entry) in &rule.entries {
        found += usize::from(change::remove(store, key, entry)?);
    }
    Ok(found)
}

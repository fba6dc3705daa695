//! Names in sets: their addresses are members with a time, which every look-up makes longer.

use std::collections::BTreeMap;

use super::force::{Firewall, Live};
use super::store::since_boot;
use crate::resolve::Found;
use crate::rules::{Prefix, RuleSet};

/// Seconds for which an address that a name has had stays at least: connections may still be made to it.
pub const KEPT: u64 = 3600;
/// Seconds for which it stays at most without another look-up.
const MOST_KEPT: u64 = 7 * 86_400;

/// What was found out about the names of sets: by set and name.
pub type Answers = BTreeMap<(String, String), Result<Vec<Found>, String>>;

/// Looks all names of a list up.
pub fn look_up(rules: &RuleSet, mut resolve: impl FnMut(&str) -> Result<Vec<Found>, String>) -> Answers {
    let mut answers = Answers::new();
    let mut known = BTreeMap::new();
    for (set, names) in &rules.names {
        for name in names {
            let answer = known.entry(name).or_insert_with(|| resolve(name));
            answers.insert((set.clone(), name.clone()), answer.clone());
        }
    }
    answers
}

/// Members by set, with the times at which they leave, in nanoseconds since the machine was started: the addresses that were
/// found, and where a name of the set was not, those that are known.
pub(super) fn members(
    answers: &Answers,
    kept: u64,
    known: &BTreeMap<String, Vec<(Prefix, u64)>>,
) -> BTreeMap<String, Vec<(Prefix, u64)>> {
    let later = |seconds: u64| since_boot() + seconds.min(MOST_KEPT) * 1_000_000_000;
    let mut members: BTreeMap<String, BTreeMap<Prefix, u64>> = BTreeMap::new();
    for ((set, _), answer) in answers {
        let list = members.entry(set.clone()).or_default();
        let failed = answer.is_err();
        let old = known.get(set).into_iter().flatten();
        // Whose addresses they are is not known, so all stay.
        let old = old.map(|(prefix, until)| (*prefix, if failed { later(kept).max(*until) } else { *until }));
        let found = answer.iter().flatten();
        let found = found.map(|(address, ttl)| (Prefix::of(*address), later(kept.max(u64::from(*ttl)))));
        for (prefix, until) in old.filter(|_| failed).chain(found) {
            let longest = list.entry(prefix).or_insert(0);
            *longest = until.max(*longest);
        }
    }
    members.into_iter().map(|(set, list)| (set, list.into_iter().collect())).collect()
}

impl Firewall {
    /// The list in force without rules: its sets and their names.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn head(&mut self) -> Live<RuleSet> {
        self.opened()?.head().cloned()
    }

    /// The addresses of names in sets, with the times at which they leave.
    pub(super) fn named(&mut self) -> Live<BTreeMap<String, Vec<(Prefix, u64)>>> {
        let bank = self.opened()?;
        let sets: Vec<String> = bank.head()?.names.keys().cloned().collect();
        let mut known = BTreeMap::new();
        for set in sets {
            let members = bank.set_members(&set)?.into_iter().filter(|(_, member)| member.named);
            known.insert(set, members.map(|(prefix, member)| (prefix, member.until)).collect());
        }
        Ok(known)
    }

    /// Puts what was found out about names in force: addresses stay for so many seconds, or longer if the answer says so. Gives
    /// how many have come.
    ///
    /// # Errors
    /// If the tables cannot be changed, or there is no room.
    pub fn renew(&mut self, answers: &Answers, kept: u64) -> Live<usize> {
        let members = members(answers, kept, &self.named()?);
        let mut come = 0;
        for (set, list) in &members {
            come += self.opened()?.set_named(set, list)?;
        }
        Ok(come)
    }
}

//! Changing what is in a named set that is in force.
//!
//! Every rule that names the set has entries for each of its members, so one member more is an entry more for each of these
//! rules; the others are not touched. A set that is negated in some rule has entries for what is not in it: those are made
//! anew, the new ones before the old ones go.

use super::bank::Bank;
use super::force::{Live, LiveError, failed};
use super::members::Member;
use crate::build::Placed;
use crate::rules::{Addresses, Prefix, Rule, RuleSet};
use crate::tables::layout::book;
use crate::tables::{Entry, Key, Store as _, TableError, change};

/// What is done to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Put,
    Take,
}

impl Bank {
    /// The number of a set.
    fn set_number(&mut self, name: &str) -> Live<u32> {
        let head = self.head()?;
        let known = || head.sets.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let at = head.sets.keys().position(|each| each == name);
        let at = at.ok_or_else(|| match head.sets.is_empty() {
            true => LiveError(format!("there is no set `{name}`: the rules in force have no sets")),
            false => LiveError(format!("there is no set `{name}` in force; there are: {}", known())),
        })?;
        u32::try_from(at).map_err(failed)
    }

    /// Puts into sets what is in them.
    pub(super) fn fill_sets(&mut self, rules: &mut RuleSet) -> Live<()> {
        self.fill_sets_with(rules, |_| true)
    }

    /// Puts into sets those members that are wanted.
    pub(super) fn fill_sets_with(&mut self, rules: &mut RuleSet, wanted: impl Fn(&Member) -> bool) -> Live<()> {
        if rules.sets.is_empty() {
            return Ok(());
        }
        let mut lists: Vec<&mut Vec<Prefix>> = rules.sets.values_mut().collect();
        for (set, prefix, member) in self.members.all().map_err(failed)? {
            if !wanted(&member) {
                continue;
            }
            if let Some(list) = lists.get_mut(set as usize) {
                list.push(prefix);
            }
        }
        Ok(())
    }

    /// All members of a set.
    pub(super) fn set_members(&mut self, name: &str) -> Live<Vec<(Prefix, Member)>> {
        let number = self.set_number(name)?;
        let all = self.members.all().map_err(failed)?;
        Ok(all.into_iter().filter(|each| each.0 == number).map(|each| (each.1, each.2)).collect())
    }

    /// Gives addresses of names their times in a set, and takes up those that are not there; gives how many that are. What is in
    /// the set for ever stays so.
    pub(super) fn set_named(&mut self, name: &str, found: &[(Prefix, u64)]) -> Live<usize> {
        let number = self.set_number(name)?;
        let mut added = 0;
        for (prefix, until) in found {
            let there = self.members.get(number, prefix).map_err(failed)?;
            if there.is_none_or(|member| member.until != 0) {
                added += self.put_members(name, &[*prefix], Member { until: *until, settled: true, named: true })?;
            }
        }
        Ok(added)
    }

    /// Puts prefixes into a set; gives how many were not there.
    pub(super) fn set_add(&mut self, name: &str, prefixes: &[Prefix], until: u64) -> Live<usize> {
        self.put_members(name, prefixes, Member { until, settled: true, named: false })
    }

    fn put_members(&mut self, name: &str, prefixes: &[Prefix], member: Member) -> Live<usize> {
        let number = self.set_number(name)?;
        let users = self.users(name)?;
        let mut added = 0;
        self.texts.set_sets_change(true).map_err(failed)?;
        for prefix in prefixes {
            match self.members.get(number, prefix).map_err(failed)? {
                Some(_) => self.members.put(number, prefix, &member).map_err(failed)?,
                None => {
                    self.members.put(number, prefix, &Member { settled: false, ..member }).map_err(failed)?;
                    if let Err(error) = self.step(Step::Put, name, prefix, &users) {
                        self.step(Step::Take, name, prefix, &users)?;
                        self.members.remove(number, prefix).map_err(failed)?;
                        self.texts.set_sets_change(false).map_err(failed)?;
                        return Err(LiveError(format!("{prefix} cannot be put into `{name}`: {error}")));
                    }
                    self.members.put(number, prefix, &member).map_err(failed)?;
                    added += 1;
                }
            }
        }
        self.texts.set_sets_change(false).map_err(failed)?;
        Ok(added)
    }

    /// Takes prefixes out of a set; gives how many were there.
    pub(super) fn set_remove(&mut self, name: &str, prefixes: &[Prefix]) -> Live<usize> {
        let number = self.set_number(name)?;
        let users = self.users(name)?;
        let mut removed = 0;
        self.texts.set_sets_change(true).map_err(failed)?;
        for prefix in prefixes {
            if let Some(member) = self.members.get(number, prefix).map_err(failed)? {
                self.members.put(number, prefix, &Member { settled: false, ..member }).map_err(failed)?;
                self.step(Step::Take, name, prefix, &users)?;
                self.members.remove(number, prefix).map_err(failed)?;
                removed += 1;
            }
        }
        self.texts.set_sets_change(false).map_err(failed)?;
        Ok(removed)
    }

    /// Takes out members whose time is over; when the next one leaves, if any will.
    pub(super) fn expire(&mut self, now: u64) -> Live<Option<u64>> {
        let all = self.members.all().map_err(failed)?;
        let names: Vec<String> = self.head()?.sets.keys().cloned().collect();
        let (mut over, mut next) = (vec![Vec::new(); names.len()], None::<u64>);
        for (set, prefix, member) in all {
            match member.until {
                0 => {}
                until if until <= now => over.get_mut(set as usize).into_iter().for_each(|list| list.push(prefix)),
                until => next = Some(next.map_or(until, |next| next.min(until))),
            }
        }
        for (name, prefixes) in names.iter().zip(over).filter(|(_, list)| !list.is_empty()) {
            self.set_remove(name, &prefixes)?;
        }
        Ok(next)
    }

    /// Takes out all members that are being put in or taken out: their entries may be there in part.
    pub(super) fn finish_sets(&mut self) -> Live<()> {
        let names: Vec<String> = self.head()?.sets.keys().cloned().collect();
        for (set, prefix, member) in self.members.all().map_err(failed)? {
            if member.settled {
                continue;
            }
            if let Some(name) = names.get(set as usize) {
                let users = self.users(name)?;
                self.step(Step::Take, name, &prefix, &users)?;
            }
            self.members.remove(set, &prefix).map_err(failed)?;
        }
        self.texts.set_sets_change(false).map_err(failed)
    }

    /// The rules that name a set.
    fn users(&mut self, name: &str) -> Live<Vec<(u32, u64, Rule)>> {
        let mut users = Vec::new();
        // Most rules name no set: their texts say so without being read.
        let word = format!("@{name}");
        for number in self.numbers() {
            if !self.texts.text(number).map_err(failed)?.contains(&word) {
                continue;
            }
            let rule = self.rule(number)?;
            let names =
                |side: &Option<Addresses>| side.as_ref().is_some_and(|side| side.sets.iter().any(|set| set == name));
            if names(&rule.matches.from) || names(&rule.matches.to) {
                users.push((number, self.texts.row(number).order, rule));
            }
        }
        Ok(users)
    }

    /// Changes the entries of the rules that name a set for one prefix more or less.
    fn step(&mut self, step: Step, name: &str, prefix: &Prefix, users: &[(u32, u64, Rule)]) -> Live<()> {
        for (number, order, rule) in users {
            let is_negated = [&rule.matches.from, &rule.matches.to].into_iter().flatten().any(|side| side.negated);
            let both =
                [&rule.matches.from, &rule.matches.to].into_iter().flatten().filter(|side| !side.sets.is_empty());
            if is_negated || both.count() > 1 {
                self.anew(step, name, prefix, (*number, *order, rule))?;
                continue;
            }
            // Only what this prefix adds to the rule.
            let mut part = rule.clone();
            for side in [&mut part.matches.from, &mut part.matches.to].into_iter().flatten() {
                if side.sets.iter().any(|set| set == name) {
                    (side.sets, side.prefixes) = (Vec::new(), vec![*prefix]);
                }
            }
            let head = self.head()?;
            let zones =
                RuleSet { zones: head.zones.clone(), conditions: head.conditions.clone(), ..RuleSet::default() };
            let Placed { entries, .. } = self.place_in(&zones, &part, *number, *order)?;
            for (key, entry) in &entries {
                self.change(step, key, entry).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Makes the entries of a rule anew, with a prefix in a set or without it.
    fn anew(&mut self, step: Step, name: &str, prefix: &Prefix, (number, order, rule): (u32, u64, &Rule)) -> Live<()> {
        let mut with = self.head()?.clone();
        self.fill_sets(&mut with)?;
        let mut without = with.clone();
        for (rules, wanted) in [(&mut with, true), (&mut without, false)] {
            let list = rules.sets.entry(name.to_owned()).or_default();
            list.retain(|each| each != prefix);
            if wanted {
                list.push(*prefix);
            }
        }
        let (with, without) =
            (self.place_in(&with, rule, number, order)?, self.place_in(&without, rule, number, order)?);
        let (new, old) = if step == Step::Put { (with, without) } else { (without, with) };
        let contains = |list: &Placed, entry: &(Key, Entry)| list.entries.iter().any(|each| each == entry);
        for entry in new.entries.iter().filter(|entry| !contains(&old, entry)) {
            self.change(Step::Put, &entry.0, &entry.1).map_err(failed)?;
        }
        for entry in old.entries.iter().filter(|entry| !contains(&new, entry)) {
            self.change(Step::Take, &entry.0, &entry.1).map_err(failed)?;
        }
        Ok(())
    }

    fn change(&mut self, step: Step, key: &Key, entry: &Entry) -> Result<(), TableError> {
        // Code of short lists does not know what has changed.
        self.tables.set_book(book::CHANGED, 1)?;
        match step {
            Step::Put if change::contains(&self.tables, key, entry)? => Ok(()),
            Step::Put => change::insert(&mut self.tables, key, entry),
            Step::Take => change::remove(&mut self.tables, key, entry).map(drop),
        }
    }
}

//! The bank in force: what is in it, and changing one rule of it.
//!
//! A process may die at any moment. So a change says first what it is about to do, one store puts it in force, and
//! whoever opens the bank next finishes it or takes it back (`Bank::finish`):
//!
//! ```text
//!  add:     text as coming --> entries, whose rule only counts --> the rule's record (in force) --> text as live
//!  delete:  text as going --> a record that only counts (out of force) --> entries out --> no text
//! ```

use super::force::{CONDITIONS, COOKIES, Live, LiveError, PAYLOAD, TRANSLATES, all_interfaces, failed};
use super::members::Members;
use super::store::{Count, Filling, KernelTables};
use super::texts::{State, Texts};
use crate::build::{self, Placed, place};
use crate::rules::{Rule, RuleSet, parse, parse_rule, special as conditions};
use crate::tables::layout::{book, special};
use crate::tables::{Record, Sizes, Store as _, TableError};

/// A rule in force.
#[derive(Debug, Clone)]
pub struct LiveRule {
    /// Its number, by which it is counted.
    pub number: u32,
    /// Its place.
    pub order: u64,
    /// What it says.
    pub rule: Rule,
    /// What it has done.
    pub count: Count,
}

/// What is in force.
#[derive(Debug, Clone)]
pub struct LiveRules {
    /// Sets, zones, defaults, and the rules in their order.
    pub set: RuleSet,
    /// The rules in the same order.
    pub rules: Vec<LiveRule>,
    /// What the defaults have done: in, out, malformed packets.
    pub defaults: [Count; 3],
    /// What the default for forwarded packets has done, if there is one.
    pub forwarded: Option<Count>,
    /// Cookies that were given, and packets with wrong ones; if a rule gives any.
    pub cookies: Option<[Count; 2]>,
    /// Connections, if any are followed.
    pub connections: Option<Filling>,
    /// Entries of translated connections, two each, if any rule changes addresses.
    pub translations: Option<Filling>,
    /// Limits, one for each rule or each of its sources, if a rule has one.
    pub limits: Option<Filling>,
}

/// An opened bank.
#[derive(Debug)]
pub struct Bank {
    pub(super) number: u32,
    pub(super) tables: KernelTables,
    pub(super) texts: Texts,
    pub(super) members: Members,
    /// Places and numbers of the rules in their order, once somebody asked.
    order: Option<Vec<(u64, u32)>>,
    /// The place of the last rule, while only that was asked.
    last: Option<u64>,
    /// Sets, zones and defaults, once somebody asked; the sets are empty.
    head: Option<RuleSet>,
    interfaces: Option<Vec<(u32, String)>>,
}

fn damaged(what: &str) -> LiveError {
    LiveError(format!("{what} in the kernel cannot be read; apply the rules file again"))
}

impl Bank {
    pub(super) fn new(number: u32, tables: KernelTables, texts: Texts, members: Members) -> Self {
        Self { number, tables, texts, members, order: None, last: None, head: None, interfaces: None }
    }

    /// Finishes or takes back what a process that died had begun.
    pub(super) fn finish(&mut self) -> Live<()> {
        if let Some(number) = self.texts.changed() {
            match self.texts.row(number).state {
                State::Absent | State::Live => {}
                State::Coming => {
                    let placed = self.placed(number)?;
                    let in_force = self.tables.record(number).map_err(failed)? == placed.record;
                    if in_force && !placed.record.is_neutral() {
                        self.texts.set_state(number, State::Live).map_err(failed)?;
                    } else {
                        self.take_out(&placed)?;
                    }
                }
                State::Going => {
                    let placed = self.placed(number)?;
                    self.take_out(&placed)?;
                }
            }
            self.texts.set_changed(None).map_err(failed)?;
        }
        if self.texts.sets_change() { self.finish_sets() } else { Ok(()) }
    }

    /// Places and numbers of the rules in their order.
    fn order(&mut self) -> &mut Vec<(u64, u32)> {
        let texts = &self.texts;
        self.order.get_or_insert_with(|| {
            let live = texts.live_rows(special::FIRST);
            let mut all: Vec<(u64, u32)> = live.map(|(number, row)| (row.order, number)).collect();
            // Rules stand in the order in which they were made, but for those that were put in between.
            all.sort();
            all
        })
    }

    /// The place of the last rule, 0 if there are none.
    fn last(&mut self) -> u64 {
        if let Some(order) = &self.order {
            return order.last().map_or(0, |last| last.0);
        }
        let texts = &self.texts;
        *self.last.get_or_insert_with(|| texts.live_rows(special::FIRST).map(|row| row.1.order).max().unwrap_or(0))
    }

    /// Sets without what is in them, zones, defaults and conditions.
    pub(super) fn head(&mut self) -> Live<&RuleSet> {
        if self.head.is_none() {
            let text = self.texts.text(0).map_err(failed)?;
            let mut head = parse(&text, &|_| Err(String::new())).map_err(|_| damaged("the sets"))?;
            let conditions = self.texts.text(CONDITIONS).map_err(failed)?;
            head.conditions = conditions::from_text(&conditions).ok_or_else(|| damaged("the conditions"))?;
            self.head = Some(head);
        }
        self.head.as_ref().ok_or_else(|| damaged("the sets"))
    }

    /// The sets that a rule names, with what is in them, zones and defaults.
    fn context(&mut self, rule: &Rule) -> Live<RuleSet> {
        let mut head = self.head()?.clone();
        let sides = [&rule.matches.from, &rule.matches.to];
        if sides.into_iter().flatten().any(|side| !side.sets.is_empty()) {
            self.fill_sets(&mut head)?;
        }
        Ok(head)
    }

    /// A rule with its entries.
    fn place(&mut self, rule: &Rule, number: u32, order: u64) -> Live<Placed> {
        let context = self.context(rule)?;
        self.place_in(&context, rule, number, order)
    }

    /// A rule with its entries, with sets as they are in `context`.
    pub(super) fn place_in(&mut self, context: &RuleSet, rule: &Rule, number: u32, order: u64) -> Live<Placed> {
        if !rule.matches.interfaces.is_empty() && self.interfaces.is_none() {
            self.interfaces = Some(all_interfaces()?);
        }
        let all = self.interfaces.as_deref().unwrap_or_default();
        let index = |name: &str| all.iter().find(|each| each.1 == name).map(|each| each.0);
        place(context, rule, number, order, &index).map_err(LiveError)
    }

    /// The rule of a number as its text says.
    pub(super) fn rule(&mut self, number: u32) -> Live<Rule> {
        let text = self.texts.text(number).map_err(failed)?;
        parse_rule(&text, self.head()?).map_err(|_| damaged(&format!("rule `{text}`")))
    }

    fn placed(&mut self, number: u32) -> Live<Placed> {
        let rule = self.rule(number)?;
        let order = self.texts.row(number).order;
        self.place(&rule, number, order)
    }

    /// Numbers of all rules.
    pub(super) fn numbers(&mut self) -> Vec<u32> {
        self.order().iter().map(|(_, number)| *number).collect()
    }

    /// What is in force, with counts.
    pub(super) fn list(&mut self) -> Live<LiveRules> {
        let mut set = self.head()?.clone();
        // The names stand for their addresses.
        self.fill_sets_with(&mut set, |member| !member.named)?;
        let mut rules = Vec::new();
        for (order, number) in self.order().clone() {
            let rule = self.rule(number)?;
            rules.push(LiveRule { number, order, rule, count: self.tables.count(number).map_err(failed)? });
        }
        set.rules = rules.iter().map(|rule| rule.rule.clone()).collect();
        let count = |number| self.tables.count(number).map_err(failed);
        let defaults = [count(special::DEFAULT_IN)?, count(special::DEFAULT_OUT)?, count(special::MALFORMED)?];
        let connections = self.tables.connections().map_err(failed)?;
        let gives = set.gives_cookies();
        let cookies = gives.then(|| Ok([count(special::COOKIE)?, count(special::WRONG_COOKIE)?])).transpose()?;
        let forwarded = set.default_forward.map(|_| count(special::DEFAULT_FORWARD)).transpose()?;
        Ok(LiveRules { set, rules, defaults, forwarded, cookies, connections, translations: None, limits: None })
    }

    /// A number that no rule has.
    fn number(&mut self) -> Live<u32> {
        let next = u32::try_from(self.tables.book(book::RULES).map_err(failed)?).map_err(failed)?;
        if next < self.texts.rows() {
            self.tables.set_book(book::RULES, u64::from(next) + 1).map_err(failed)?;
            return Ok(next);
        }
        let free = (special::FIRST..self.texts.rows()).find(|&number| self.texts.row(number).state == State::Absent);
        let free = free.ok_or_else(|| failed(TableError::Full("rules", self.texts.rows())))?;
        self.tables.forget_count(free).map_err(failed)?;
        Ok(free)
    }

    /// Puts one rule in, in front of the one at this position (from 0), or behind all.
    pub(super) fn add(&mut self, text: &str, position: usize) -> Live<()> {
        let rule = parse_rule(text, self.head()?).map_err(|errors| {
            let all: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
            LiveError(format!("`{text}`: {}", all.join("; ")))
        })?;
        let Sizes { flows, .. } = self.tables.sizes();
        let reads_payload = self.tables.book(PAYLOAD).map_err(failed)? != 0;
        if rule.action.translation.is_some() && self.tables.book(TRANSLATES).map_err(failed)? == 0 {
            let text = "no rule in force changes addresses, so the programs do not either; add the rule to the file and apply it";
            return Err(LiveError(text.to_owned()));
        }
        if rule.action.cookies && self.tables.book(COOKIES).map_err(failed)? == 0 {
            let text =
                "no rule in force gives cookies, so the programs do not either; add the rule to the file and apply it";
            return Err(LiveError(text.to_owned()));
        }
        if rule.matches.states != 0 && flows <= 1 || rule.matches.payload.is_some() && !reads_payload {
            let what = if rule.matches.payload.is_some() { "the payload" } else { "connections" };
            return Err(LiveError(format!(
                "no rule in force looks at {what}, so the programs do not either; add the rule to the file and apply it"
            )));
        }
        let order = if position == usize::MAX {
            build::between(Some(self.last()), None)
        } else {
            let all = self.order();
            let position = position.min(all.len());
            let before = position.checked_sub(1).map(|at| all[at].0);
            build::between(before, all.get(position).map(|rule| rule.0))
        };
        let order = order.map_err(LiveError)?;
        let number = self.number()?;
        let placed = self.place(&rule, number, order)?;
        self.texts.set_changed(Some(number)).map_err(failed)?;
        if let Err(error) = self.texts.put(number, order, State::Coming, &rule.to_string()) {
            self.texts.set_changed(None).map_err(failed)?;
            return Err(failed(error));
        }
        if let Err(error) = build::add(&mut self.tables, &placed) {
            self.take_out(&placed)?;
            return Err(failed(error));
        }
        self.texts.set_state(number, State::Live).map_err(failed)?;
        self.texts.set_changed(None).map_err(failed)?;
        self.last = self.last.map(|last| last.max(order));
        if let Some(all) = &mut self.order {
            all.insert(position.min(all.len()), (order, number));
        }
        Ok(())
    }

    /// Takes out the rule at a position (from 0); gives its text.
    pub(super) fn delete(&mut self, position: usize) -> Live<String> {
        let all = self.order();
        let Some(&(order, number)) = all.get(position) else {
            return Err(LiveError(format!("there is no rule {}; there are {}", position + 1, all.len())));
        };
        let rule = self.rule(number)?;
        let placed = self.place(&rule, number, order)?;
        self.texts.set_changed(Some(number)).map_err(failed)?;
        self.texts.set_state(number, State::Going).map_err(failed)?;
        let removed = self.take_out(&placed)?;
        self.order().remove(position);
        self.last = None;
        let text = rule.to_string();
        if removed < placed.entries.len() {
            return Err(LiveError(format!(
                "of {} entries of `{text}` {} were not found: interfaces have changed since it was applied; apply the rules \
                 file again",
                placed.entries.len(),
                placed.entries.len() - removed
            )));
        }
        Ok(text)
    }

    /// Takes a rule out of the tables, whatever is there of it; the number of its entries that were there.
    fn take_out(&mut self, placed: &Placed) -> Live<usize> {
        // From here on it decides about nothing, and its entries may go one by one; code of short lists knows it still.
        self.tables.set_book(book::CHANGED, 1).map_err(failed)?;
        self.tables.set_record(placed.number, &Record::default()).map_err(failed)?;
        let removed = build::remove(&mut self.tables, placed).map_err(failed)?;
        self.texts.set_state(placed.number, State::Absent).map_err(failed)?;
        self.texts.set_changed(None).map_err(failed)?;
        Ok(removed)
    }
}

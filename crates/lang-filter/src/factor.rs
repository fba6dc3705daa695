//! Lists of alternatives become switches.
//!
//! `host a or host b or ...` arrives as a list whose elements test the same few fields one after the other. Elements
//! that begin with a test of the same value are gathered into one switch on it, recursively: the EtherType, then the
//! protocol, then the port. Where a list alternates between values (source, destination, source ...), the elements are
//! gathered per value; what an element would have been preceded by is then evaluated before it may accept, because a
//! packet too short for it has to be rejected.

use std::collections::{BTreeSet, HashSet};

use crate::hash::FastMap;
use std::sync::Arc;

use crate::formula::{FId, Formula, Formulas};
use crate::ranges::RangeSet;
use crate::value::{ValId, Values};

/// Shortest list of plain tests that is gathered per value.
const GATHER_TESTS: usize = 4;
/// Shortest such list in which each value is loaded once, at the price of guards.
const GATHER_GUARDED: usize = 8;
/// Shortest list of compound alternatives that is gathered per value. In such a list, a packet that ends within the
/// fields of a *later* alternative is not told from one that ends within those of an earlier one.
const GATHER_COMPOUNDS: usize = 33;

/// Rewrites a formula.
pub fn factor(values: &Values, formulas: &mut Formulas, root: FId) -> FId {
    Factor { values, formulas, done: FastMap::default() }.formula(root)
}

struct Factor<'a> {
    values: &'a Values,
    formulas: &'a mut Formulas,
    done: FastMap<FId, FId>,
}

/// One alternative: what it tests first, and the rest.
#[derive(Clone)]
struct Alternative {
    value: ValId,
    cases: Vec<(Arc<RangeSet>, FId)>,
}

impl Factor<'_> {
    fn formula(&mut self, f: FId) -> FId {
        if let Some(&done) = self.done.get(&f) {
            return done;
        }
        let new = match self.formulas.get(f).clone() {
            Formula::Not(a) => {
                let a = self.formula(a);
                self.formulas.not(a)
            }
            Formula::And(list) => self.and(&list),
            Formula::Or(list) => {
                let list: Vec<FId> = list.iter().map(|&f| self.formula(f)).collect();
                self.or(&list)
            }
            Formula::Switch(value, cases) => {
                let cases = cases.iter().map(|(s, f)| (s.clone(), self.formula(*f))).collect();
                self.formulas.intern(Formula::Switch(value, cases))
            }
            _ => f,
        };
        self.done.insert(f, new);
        self.done.insert(new, new);
        new
    }

    /// Neighbouring negations are the negation of a list of alternatives.
    fn and(&mut self, list: &[FId]) -> FId {
        let mut out = Vec::with_capacity(list.len());
        let mut negated: Vec<FId> = Vec::new();
        for &f in list {
            if let Formula::Not(inner) = *self.formulas.get(f) {
                negated.push(inner);
                continue;
            }
            self.flush_negated(&mut negated, &mut out);
            out.push(self.formula(f));
        }
        self.flush_negated(&mut negated, &mut out);
        self.formulas.and(&out)
    }

    fn flush_negated(&mut self, negated: &mut Vec<FId>, out: &mut Vec<FId>) {
        if negated.is_empty() {
            return;
        }
        let any = self.formulas.or(negated);
        let any = self.formula(any);
        out.push(self.formulas.not(any));
        negated.clear();
    }

    /// `list` holds factored formulas.
    fn or(&mut self, list: &[FId]) -> FId {
        let mut flat = Vec::with_capacity(list.len());
        for &f in list {
            match self.formulas.get(f) {
                Formula::Or(inner) => flat.extend_from_slice(inner),
                _ => flat.push(f),
            }
        }
        let mut out: Vec<FId> = Vec::new();
        let mut run: Vec<Alternative> = Vec::new();
        for f in flat {
            match self.alternative(f) {
                Some(alternative) => run.push(alternative),
                None => {
                    self.flush_run(&mut run, &mut out);
                    out.push(f);
                }
            }
        }
        self.flush_run(&mut run, &mut out);
        self.formulas.or(&out)
    }

    /// Splits an alternative into its first test and the rest.
    fn alternative(&mut self, f: FId) -> Option<Alternative> {
        match self.formulas.get(f).clone() {
            Formula::In(value, set) => Some(Alternative { value, cases: vec![(set, Formulas::TRUE)] }),
            Formula::Switch(value, cases) => Some(Alternative { value, cases: cases.to_vec() }),
            Formula::And(list) => {
                let first = self.alternative(list[0])?;
                let cases = first
                    .cases
                    .into_iter()
                    .map(|(set, then)| {
                        let mut all = vec![then];
                        all.extend_from_slice(&list[1..]);
                        (set, self.formulas.and(&all))
                    })
                    .collect();
                Some(Alternative { value: first.value, cases })
            }
            _ => None,
        }
    }

    fn flush_run(&mut self, run: &mut Vec<Alternative>, out: &mut Vec<FId>) {
        let run = std::mem::take(run);
        if run.is_empty() {
            return;
        }
        let plain = run.iter().all(|a| a.cases.iter().all(|(_, rest)| *rest == Formulas::TRUE));
        let least = if plain { GATHER_TESTS } else { GATHER_COMPOUNDS };
        if run.len() >= least && run.iter().any(|a| a.value != run[0].value) {
            if plain && run.len() < GATHER_GUARDED {
                self.gather_twice(&run, out);
            } else {
                self.gather(&run, out);
            }
            return;
        }
        // Neighbours that test the same value.
        for group in run.chunk_by(|a, b| a.value == b.value) {
            out.push(self.merge(group));
        }
    }

    /// For short lists of plain tests: each value's tests up to the first of the next value, then, backwards, the rest.
    /// Nothing is evaluated earlier than it was, and once all are evaluated, order no longer matters.
    fn gather_twice(&mut self, run: &[Alternative], out: &mut Vec<FId>) {
        let mut order: Vec<ValId> = Vec::new();
        let mut late: Vec<Vec<Alternative>> = Vec::new();
        let mut early: Vec<Vec<Alternative>> = Vec::new();
        for alternative in run {
            match order.iter().position(|&v| v == alternative.value) {
                Some(i) if i + 1 == order.len() => early[i].push(alternative.clone()),
                Some(i) => late[i].push(alternative.clone()),
                None => {
                    order.push(alternative.value);
                    early.push(vec![alternative.clone()]);
                    late.push(Vec::new());
                }
            }
        }
        // All tests of the last value come at once.
        let groups = early.iter().chain(late.iter().rev());
        for group in groups.filter(|g| !g.is_empty()) {
            let merged = self.merge(group);
            out.push(merged);
        }
    }

    /// Gathers the alternatives per value, in the order in which the values first appear.
    fn gather(&mut self, run: &[Alternative], out: &mut Vec<FId>) {
        let mut order: Vec<ValId> = Vec::new();
        let mut first: Vec<usize> = Vec::new();
        let mut groups: Vec<Vec<Alternative>> = Vec::new();
        let mut index: FastMap<ValId, usize> = FastMap::default();
        for (i, alternative) in run.iter().enumerate() {
            let group = *index.entry(alternative.value).or_insert_with(|| {
                order.push(alternative.value);
                first.push(i);
                groups.push(Vec::new());
                order.len() - 1
            });
            // Values that come later now but were evaluated before this alternative.
            let guards: Vec<FId> = (group + 1..order.len())
                .filter(|&g| first[g] < i && self.values.can_fail(order[g], 0))
                .map(|g| self.formulas.intern(Formula::Need(order[g])))
                .collect();
            let mut guarded = alternative.clone();
            if !guards.is_empty() {
                for (_, rest) in &mut guarded.cases {
                    let mut all = vec![*rest];
                    all.extend_from_slice(&guards);
                    *rest = self.formulas.and(&all);
                }
            }
            groups[group].push(guarded);
        }
        for group in groups {
            out.push(self.merge(&group));
        }
    }

    /// One switch for alternatives that test the same value first.
    fn merge(&mut self, group: &[Alternative]) -> FId {
        let value = group[0].value;
        // Ends of ranges, each with what begins or ends there; sweeping over them yields the pieces.
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        let mut rests: Vec<FId> = Vec::new();
        for alternative in group {
            for (set, rest) in &alternative.cases {
                for &(lo, hi) in set.ranges() {
                    events.push((u64::from(lo), true, rests.len()));
                    events.push((u64::from(hi) + 1, false, rests.len()));
                }
                rests.push(*rest);
            }
        }
        if rests.is_empty() {
            return self.formulas.intern(Formula::In(value, Arc::new(RangeSet::EMPTY)));
        }
        events.sort_unstable();
        let mut active: BTreeSet<usize> = BTreeSet::new();
        let mut pieces: FastMap<Vec<FId>, (usize, Vec<(u32, u32)>)> = FastMap::default();
        let mut at = 0u64;
        let mut i = 0;
        while i < events.len() {
            let next = events[i].0;
            if next > at && !active.is_empty() {
                let mut key: Vec<FId> = Vec::new();
                let mut seen = HashSet::new();
                for &r in &active {
                    if seen.insert(rests[r]) {
                        key.push(rests[r]);
                    }
                    if rests[r] == Formulas::TRUE {
                        break;
                    }
                }
                let first = active.first().copied().unwrap_or(0);
                let entry = pieces.entry(key).or_insert_with(|| (first, Vec::new()));
                entry.0 = entry.0.min(first);
                // Both fit: ranges are of 32-bit numbers.
                entry.1.push((u32::try_from(at).unwrap_or(u32::MAX), u32::try_from(next - 1).unwrap_or(u32::MAX)));
            }
            at = next;
            while i < events.len() && events[i].0 == next {
                let (_, begins, rest) = events[i];
                if begins {
                    active.insert(rest);
                } else {
                    active.remove(&rest);
                }
                i += 1;
            }
        }
        let mut cases: Vec<(usize, RangeSet, FId)> = Vec::with_capacity(pieces.len());
        let mut list: Vec<(Vec<FId>, (usize, Vec<(u32, u32)>))> = pieces.into_iter().collect();
        list.sort_unstable_by(|a, b| (a.1.0, &a.1.1).cmp(&(b.1.0, &b.1.1)));
        for (key, (order, ranges)) in list {
            let then = if key.len() == 1 { key[0] } else { self.or(&key) };
            let set = RangeSet::from_ranges(ranges);
            match cases.iter_mut().rev().take(8).find(|(_, _, f)| *f == then) {
                Some((_, s, _)) => *s = s.union(&set),
                None => cases.push((order, set, then)),
            }
        }
        if let [(_, set, rest)] = &cases[..] {
            let test = self.formulas.intern(Formula::In(value, Arc::new(set.clone())));
            let rest = *rest;
            return self.formulas.and(&[test, rest]);
        }
        let cases: Vec<(Arc<RangeSet>, FId)> = cases.into_iter().map(|(_, set, f)| (Arc::new(set), f)).collect();
        self.formulas.intern(Formula::Switch(value, cases.into()))
    }
}

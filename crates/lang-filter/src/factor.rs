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
/// fields of a *later* alternative is not told from one that ends within those of an earlier one. Shorter lists stay in
/// their order, which is exact.
const GATHER_COMPOUNDS: usize = 257;

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
        let out = self.share_prefixes(&out);
        self.formulas.or(&out)
    }

    /// Neighbours that begin with the same tests and steps, such as the walk along IPv6 extension headers: those are
    /// made once. What is left must not set memory words, so that it finds them as the common part has left them.
    fn share_prefixes(&mut self, list: &[FId]) -> Vec<FId> {
        let conjuncts: Vec<Arc<[FId]>> = list
            .iter()
            .map(|&f| match self.formulas.get(f) {
                Formula::And(inner) => inner.clone(),
                _ => Arc::from([f]),
            })
            .collect();
        let mut out = Vec::with_capacity(list.len());
        let mut at = 0;
        for group in conjuncts.chunk_by(|a, b| a[0] == b[0]) {
            let range = at..at + group.len();
            at = range.end;
            let shared = group[1..].iter().fold(group[0].len(), |n, other| {
                n.min(group[0].iter().zip(other.iter()).take_while(|(a, b)| a == b).count())
            });
            let pure = group.iter().all(|c| c[shared..].iter().all(|&f| !self.formulas.sets_words(f)));
            if group.len() == 1 || !pure {
                out.extend_from_slice(&list[range]);
                continue;
            }
            let mut rests: Vec<FId> = group.iter().map(|c| self.formulas.and(&c[shared..])).collect();
            // Behind one that is certain, nothing is tested.
            if let Some(certain) = rests.iter().position(|&f| f == Formulas::TRUE) {
                rests.truncate(certain + 1);
            }
            let rest = if rests.len() == 1 { rests[0] } else { self.or(&rests) };
            let mut all = group[0][..shared].to_vec();
            all.push(rest);
            out.push(self.formulas.and(&all));
        }
        out
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
            } else if plain {
                self.gather(&run, out);
            } else {
                self.gather_compounds(&run, out);
            }
            return;
        }
        self.merge_neighbours(&run, out);
    }

    /// Neighbours that test the same value.
    fn merge_neighbours(&mut self, run: &[Alternative], out: &mut Vec<FId>) {
        for group in run.chunk_by(|a, b| a.value == b.value) {
            out.push(self.merge(group));
        }
    }

    /// Gathers the lists between alternatives that stand alone, such as `len > 100`: those gain nothing from the list
    /// around them, and what stands behind them must not be evaluated in front of them.
    fn gather_compounds(&mut self, run: &[Alternative], out: &mut Vec<FId>) {
        let mut counts: FastMap<ValId, usize> = FastMap::default();
        for alternative in run {
            *counts.entry(alternative.value).or_default() += 1;
        }
        let values = self.values;
        let alone = |a: &Alternative| counts[&a.value] == 1 || !values.can_fail(a.value, 0);
        for part in run.chunk_by(|a, b| alone(a) == alone(b)) {
            if part.len() < GATHER_COMPOUNDS || alone(&part[0]) {
                self.merge_neighbours(part, out);
            } else {
                self.gather(part, out);
            }
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
                    // A new value must not be loaded in front of a test that it stood behind.
                    if late.iter().any(|l| !l.is_empty()) {
                        self.flush_twice(&mut order, &mut early, &mut late, out);
                    }
                    order.push(alternative.value);
                    early.push(vec![alternative.clone()]);
                    late.push(Vec::new());
                }
            }
        }
        self.flush_twice(&mut order, &mut early, &mut late, out);
    }

    /// All tests of the last value come at once.
    fn flush_twice(
        &mut self,
        order: &mut Vec<ValId>,
        early: &mut Vec<Vec<Alternative>>,
        late: &mut Vec<Vec<Alternative>>,
        out: &mut Vec<FId>,
    ) {
        for group in early.iter().chain(late.iter().rev()).filter(|g| !g.is_empty()) {
            let merged = self.merge(group);
            out.push(merged);
        }
        order.clear();
        early.clear();
        late.clear();
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
        let mut cases: Vec<(RangeSet, FId)> = Vec::new();
        for piece in pieces(group) {
            let then = if piece.rests.len() == 1 { piece.rests[0] } else { self.or(&piece.rests) };
            let set = RangeSet::from_ranges(piece.ranges);
            // Equal ways on are mostly neighbours; the graph finds the others.
            match cases.iter_mut().rev().take(8).find(|(_, f)| *f == then) {
                Some((s, _)) => *s = s.union(&set),
                None => cases.push((set, then)),
            }
        }
        match &cases[..] {
            [] => self.formulas.intern(Formula::In(value, Arc::new(RangeSet::EMPTY))),
            [(set, rest)] => {
                let (set, rest) = (Arc::new(set.clone()), *rest);
                let test = self.formulas.intern(Formula::In(value, set));
                self.formulas.and(&[test, rest])
            }
            _ => {
                let cases: Vec<(Arc<RangeSet>, FId)> = cases.into_iter().map(|(s, f)| (Arc::new(s), f)).collect();
                self.formulas.intern(Formula::Switch(value, cases.into()))
            }
        }
    }
}

/// Numbers for which the same rests are left to test.
struct Piece {
    /// The first alternative that is concerned; pieces are tested in this order.
    order: usize,
    ranges: Vec<(u32, u32)>,
    /// What remains to be tested, in order, without repetition.
    rests: Vec<FId>,
}

/// Sweeps over the ends of all ranges of the alternatives.
fn pieces(group: &[Alternative]) -> Vec<Piece> {
    // Where a range begins or the number behind its end, whether it begins, and whose range it is.
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    let mut rests: Vec<FId> = Vec::new();
    for (set, rest) in group.iter().flat_map(|alternative| &alternative.cases) {
        for &(lo, hi) in set.ranges() {
            events.push((u64::from(lo), true, rests.len()));
            events.push((u64::from(hi) + 1, false, rests.len()));
        }
        rests.push(*rest);
    }
    events.sort_unstable();
    let mut active: BTreeSet<usize> = BTreeSet::new();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut index: FastMap<Vec<FId>, usize> = FastMap::default();
    let mut at = 0u64;
    for chunk in events.chunk_by(|a, b| a.0 == b.0) {
        let next = chunk[0].0;
        if let Some(&order) = active.first()
            && next > at
        {
            let left = still_to_test(&active, &rests);
            let piece = *index.entry(left).or_insert_with_key(|left| {
                pieces.push(Piece { order, ranges: Vec::new(), rests: left.clone() });
                pieces.len() - 1
            });
            let piece = &mut pieces[piece];
            piece.order = piece.order.min(order);
            // Both fit: they lie within or directly behind a range of 32-bit numbers.
            let end = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            piece.ranges.push((end(at), end(next - 1)));
        }
        at = next;
        for &(_, begins, rest) in chunk {
            if begins {
                active.insert(rest);
            } else {
                active.remove(&rest);
            }
        }
    }
    pieces.sort_by_key(|piece| piece.order);
    pieces
}

/// The rests of the active alternatives; what follows one that is certain is never tested.
fn still_to_test(active: &BTreeSet<usize>, rests: &[FId]) -> Vec<FId> {
    let mut seen = HashSet::new();
    let mut left = Vec::new();
    for &i in active {
        if seen.insert(rests[i]) {
            left.push(rests[i]);
        }
        if rests[i] == Formulas::TRUE {
            break;
        }
    }
    left
}

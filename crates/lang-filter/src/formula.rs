//! Boolean formulas over tests of packet values: what a filter means, before any decision about code.
//!
//! Evaluation is from left to right and stops as soon as the result is known; a value that cannot be evaluated ends the
//! whole filter with "reject". Both are part of the meaning, and every transformation keeps them.

use crate::hash::FastMap;
use std::sync::Arc;

use skep_isa::classic::JmpOp;

use crate::ranges::RangeSet;
use crate::value::{ValId, Values, Var};

/// An interned formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FId(u32);

/// A formula. `And` and `Or` are flat: no operand has the operator of its parent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Formula {
    /// Accepts.
    True,
    /// Rejects.
    False,
    /// The value is a member of the set.
    In(ValId, Arc<RangeSet>),
    /// The first value compares to the second (which is not a number).
    Cmp(JmpOp, ValId, ValId),
    /// The opposite.
    Not(FId),
    /// All, in order.
    And(Arc<[FId]>),
    /// Any, in order.
    Or(Arc<[FId]>),
    /// The formula of the first case whose set holds the value; false without one. The sets are disjoint.
    Switch(ValId, Arc<[(Arc<RangeSet>, FId)]>),
    /// True, if the value can be evaluated at all.
    Need(ValId),
    /// True; sets a memory word.
    Set(Var, ValId),
}

/// All formulas of one compilation.
#[derive(Debug)]
pub struct Formulas {
    list: Vec<Formula>,
    ids: FastMap<Formula, FId>,
}

impl Default for Formulas {
    fn default() -> Self {
        let mut new = Self { list: Vec::new(), ids: FastMap::default() };
        new.intern(Formula::True);
        new.intern(Formula::False);
        new
    }
}

impl Formulas {
    /// Always true.
    pub const TRUE: FId = FId(0);
    /// Always false.
    pub const FALSE: FId = FId(1);

    /// The formula of `id`.
    pub fn get(&self, id: FId) -> &Formula {
        &self.list[id.0 as usize]
    }

    /// Interns a formula as it is.
    pub fn intern(&mut self, formula: Formula) -> FId {
        if let Some(&id) = self.ids.get(&formula) {
            return id;
        }
        let id = FId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(formula.clone());
        self.ids.insert(formula, id);
        id
    }

    /// `value` is a member of `set`.
    pub fn member(&mut self, values: &Values, value: ValId, set: &RangeSet) -> FId {
        if let Some(k) = values.as_const(value) {
            return if set.contains(k) { Self::TRUE } else { Self::FALSE };
        }
        let (value, set) = values.simplify_membership(value, set);
        self.intern(Formula::In(value, Arc::new(set)))
    }

    /// `value == k`
    pub fn equals(&mut self, values: &Values, value: ValId, k: u32) -> FId {
        self.member(values, value, &RangeSet::single(k))
    }

    /// The opposite of `f`.
    pub fn not(&mut self, f: FId) -> FId {
        match *self.get(f) {
            Formula::True => Self::FALSE,
            Formula::False => Self::TRUE,
            Formula::Not(inner) => inner,
            _ => self.intern(Formula::Not(f)),
        }
    }

    /// All of `list`, in order.
    pub fn and(&mut self, list: &[FId]) -> FId {
        let mut flat = Vec::with_capacity(list.len());
        for &f in list {
            match self.get(f) {
                Formula::True => {}
                Formula::And(inner) => flat.extend_from_slice(inner),
                Formula::False => {
                    flat.push(f);
                    break;
                }
                _ => flat.push(f),
            }
        }
        self.wrap(flat, Self::TRUE, Formula::And)
    }

    /// Any of `list`, in order.
    pub fn or(&mut self, list: &[FId]) -> FId {
        let mut flat = Vec::with_capacity(list.len());
        for &f in list {
            match self.get(f) {
                Formula::False => {}
                Formula::Or(inner) => flat.extend_from_slice(inner),
                Formula::True => {
                    flat.push(f);
                    break;
                }
                _ => flat.push(f),
            }
        }
        self.wrap(flat, Self::FALSE, Formula::Or)
    }

    /// Whether evaluating `f` may set a memory word.
    pub fn sets_words(&self, f: FId) -> bool {
        match self.get(f) {
            Formula::Set(..) => true,
            Formula::Not(a) => self.sets_words(*a),
            Formula::And(list) | Formula::Or(list) => list.iter().any(|&f| self.sets_words(f)),
            Formula::Switch(_, cases) => cases.iter().any(|(_, f)| self.sets_words(*f)),
            _ => false,
        }
    }

    /// How deeply operators nest in `root`. Operands have smaller ids than what is made of them.
    pub fn depth(&self, root: FId) -> usize {
        let mut depths = vec![0usize; root.0 as usize + 1];
        let mut deepest = 0;
        for i in 0..=root.0 as usize {
            let of = |f: &FId| depths[f.0 as usize];
            let below = match &self.list[i] {
                Formula::Not(a) => of(a),
                Formula::And(list) | Formula::Or(list) => list.iter().map(of).max().unwrap_or(0),
                Formula::Switch(_, cases) => cases.iter().map(|(_, f)| of(f)).max().unwrap_or(0),
                _ => 0,
            };
            depths[i] = below + 1;
            deepest = deepest.max(depths[i]);
        }
        deepest
    }

    fn wrap(&mut self, mut flat: Vec<FId>, empty: FId, make: fn(Arc<[FId]>) -> Formula) -> FId {
        match flat.len() {
            0 => empty,
            1 => flat.remove(0),
            _ => self.intern(make(flat.into())),
        }
    }
}

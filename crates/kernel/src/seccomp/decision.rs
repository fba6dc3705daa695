//! What becomes of one system call: a tree of conditions with actions as leaves.

use std::cell::Cell;

use skep_isa::classic::JmpOp;

use super::action::Action;
use super::condition::{Condition, Value, all_of, implied};
use super::run::MAX_DEPTH;

/// Ways through two filters together that are followed.
const MAX_WAYS: u32 = 10_000;

/// A decision about one system call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Whatever the arguments are.
    Always(Action),
    /// It depends.
    If {
        /// What is compared.
        left: Value,
        /// How.
        op: JmpOp,
        /// With what.
        right: Value,
        /// If the comparison holds.
        yes: Box<Self>,
        /// If it does not.
        no: Box<Self>,
    },
    /// The filter has more ways through it than are followed.
    TooComplex,
}

/// One of the ways to an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The condition in words; `otherwise` for the rest.
    pub when: String,
    /// What is done then; `None` where the filter is too complex to say.
    pub action: Option<Action>,
}

impl Decision {
    /// A decision by a comparison, or the common outcome if it does not matter.
    pub(super) fn when(left: Value, op: JmpOp, right: Value, yes: Self, no: Self) -> Self {
        if yes == no { yes } else { Self::If { left, op, right, yes: Box::new(yes), no: Box::new(no) } }
    }

    /// What two filters decide together: `self` is the newer one. Comparisons that the way down to them has settled
    /// are left out.
    #[must_use]
    pub fn with_older(&self, older: &Self) -> Self {
        let left = Cell::new(MAX_WAYS);
        self.follow(&mut Vec::new(), &|action, path| {
            // Nothing is more severe, so the older filter need not be asked.
            if action == Action::KillProcess {
                return Self::Always(action);
            }
            older.follow(&mut path.clone(), &|older, _| {
                let Some(less) = left.get().checked_sub(1) else { return Self::TooComplex };
                left.set(less);
                Self::Always(action.with_older(older))
            })
        })
    }

    fn follow(&self, path: &mut Vec<Condition>, leaf: &dyn Fn(Action, &mut Vec<Condition>) -> Self) -> Self {
        match self {
            Self::Always(action) => leaf(*action, path),
            Self::TooComplex => Self::TooComplex,
            Self::If { .. } if path.len() >= MAX_DEPTH => Self::TooComplex,
            Self::If { left, op, right, yes, no } => {
                if let Some(holds) = implied(path, left, *op, right) {
                    return if holds { yes } else { no }.follow(path, leaf);
                }
                let mut branch = |holds, next: &Self| {
                    path.push(Condition { left: left.clone(), op: *op, right: right.clone(), holds });
                    let decision = next.follow(path, leaf);
                    path.pop();
                    decision
                };
                let (yes, no) = (branch(true, yes), branch(false, no));
                Self::when(left.clone(), *op, right.clone(), yes, no)
            }
        }
    }

    /// The ways to an action, in the order in which the filter asks; the action of most ways is what happens otherwise,
    /// and comes last. An unconditional decision is one case, `always`.
    pub fn cases(&self) -> Vec<Case> {
        let mut ways = Vec::new();
        self.collect(&mut Vec::new(), &mut ways);
        if let [(_, action)] = ways[..] {
            return vec![Case { when: "always".to_owned(), action }];
        }
        let count = |action: Option<Action>| ways.iter().filter(|way| way.1 == action).count();
        // Among equals the last one, which is where filters put their default.
        let most = ways.iter().map(|way| way.1).max_by_key(|&action| count(action)).flatten();
        let mut cases: Vec<Case> = ways
            .iter()
            .filter(|way| way.1 != most)
            .map(|(path, action)| Case { when: all_of(path), action: *action })
            .collect();
        cases.push(Case { when: "otherwise".to_owned(), action: most });
        cases
    }

    fn collect(&self, path: &mut Vec<Condition>, ways: &mut Vec<(Vec<Condition>, Option<Action>)>) {
        match self {
            Self::Always(action) => ways.push((path.clone(), Some(*action))),
            Self::TooComplex => ways.push((path.clone(), None)),
            Self::If { left, op, right, yes, no } => {
                for (holds, next) in [(true, yes), (false, no)] {
                    path.push(Condition { left: left.clone(), op: *op, right: right.clone(), holds });
                    next.collect(path, ways);
                    path.pop();
                }
            }
        }
    }
}

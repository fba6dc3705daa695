//! Rules of other firewalls, as rules of ours.
//!
//! What lives here: readers of what `iptables-save`, `ip6tables-save`, `nft -j list ruleset` and `ufw show added` print,
//! chains with their jumps, the conjunction of what two rules ask for, and the list that comes of it. What does not: the language of the result ([`rules`](crate::rules)).
//!
//! A list of ours has no chains. What a chain does to the packets that reach it is written out behind the rule that jumps
//! to it, with what that rule asks for added; so the result decides about every packet as the chains do. Lines that cannot be said are
//! left out and named.

mod chains;
mod conjunction;
mod iptables;
mod nft;
mod options;
pub(crate) mod reply;
mod ufw;

use std::fmt::{self, Display, Formatter, Write as _};

use skep_diag::Span;

use crate::rules::{Direction, Family, Matches, Rule, RuleSet, Verdict};

pub use conjunction::conjunction;
pub use nft::{import as nft, is_listing};
pub use ufw::{added as ufw, is_added};

/// What one line of another firewall became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The line, counted from 1.
    pub line: usize,
    /// The line itself.
    pub text: String,
    /// Why nothing of ours says it, or what ours does otherwise; a clause.
    pub why: String,
}

/// The rules that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Import {
    /// The list.
    pub rules: RuleSet,
    /// Lines that are not in it.
    pub missing: Vec<Remark>,
    /// Lines that are in it and do something else than before, though no other packets pass.
    pub different: Vec<Remark>,
}

/// Reads what `iptables-save` or `ip6tables-save` printed, or several of those one after the other.
///
/// # Errors
/// The number of a line, counted from 1, and a sentence about what is wrong with it: the text is no such output, a chain is missing,
/// chains jump in circles, or the list would become too long.
pub fn iptables(text: &str) -> Result<Import, (usize, String)> {
    let mut import = Import::default();
    let mut policies = Vec::new();
    let (tables, defaults) = iptables::read(text)?;
    for table in ufw::join(tables, &defaults, &mut import) {
        for remark in table.remarks {
            import.missing.push(remark);
        }
        for (direction, chain) in
            [(Direction::In, "INPUT"), (Direction::Out, "OUTPUT"), (Direction::Forward, "FORWARD")]
        {
            // A chain that says nothing lets all pass, as a list without rules about forwarded packets does.
            let says_nothing = |chain: &chains::Chain| chain.policy != Some(Verdict::Drop) && chain.entries.is_empty();
            if direction == Direction::Forward && table.chains.get(chain).is_none_or(says_nothing) {
                continue;
            }
            let family = table.family;
            let start = Matches { direction: Some(direction), family: Some(family), ..Matches::default() };
            let policy = chains::write_out(&table.chains, chain, &start, &mut import)?;
            policies.push((direction, family, policy));
        }
    }
    close(&mut import.rules, &policies);
    tidy(&mut import);
    Ok(import)
}

/// Brings remarks into the order of the lines, each once: a chain that several rules jump to is written out several times.
fn tidy(import: &mut Import) {
    for list in [&mut import.missing, &mut import.different] {
        list.sort_by_key(|remark| remark.line);
        list.dedup();
    }
}

/// What happens to packets that no rule decides about: for both versions of the protocol, or by a rule at the end.
fn close(rules: &mut RuleSet, policies: &[(Direction, Family, Verdict)]) {
    if policies.iter().any(|row| row.0 == Direction::Forward) {
        rules.default_forward = Some(Verdict::Accept);
    }
    for direction in [Direction::In, Direction::Out, Direction::Forward] {
        let of = |family| policies.iter().rfind(|row| (row.0, row.1) == (direction, family)).map(|row| row.2);
        let (four, six) = (of(Family::V4), of(Family::V6));
        if let Some(policy) = four.filter(|policy| *policy != Verdict::Accept && four == six) {
            match direction {
                Direction::In => rules.default_in = policy,
                Direction::Out => rules.default_out = policy,
                Direction::Forward => rules.default_forward = Some(policy),
            }
            continue;
        }
        for (family, policy) in [(Family::V4, four), (Family::V6, six)] {
            if policy.is_some_and(|policy| policy != Verdict::Accept) {
                let matches = Matches { direction: Some(direction), family: Some(family), ..Matches::default() };
                rules.rules.push(rule(policy, matches));
            }
        }
    }
}

/// A list in which all rules of an import may stand.
fn context() -> RuleSet {
    RuleSet { default_forward: Some(Verdict::Accept), ..RuleSet::default() }
}

/// A rule that only decides.
fn rule(verdict: Option<Verdict>, matches: Matches) -> Rule {
    let action = crate::rules::Action { verdict, ..crate::rules::Action::default() };
    Rule { action, matches, span: Span::default() }
}

impl Display for Import {
    /// A rules file, with what is missing as comments at its head.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (title, list) in [("Not in these rules", &self.missing), ("Not quite the same", &self.different)] {
            if !list.is_empty() {
                writeln!(text, "# {title}:")?;
            }
            for remark in list {
                writeln!(text, "#   line {}: {}\n#     {}", remark.line, remark.text, remark.why)?;
            }
        }
        write!(f, "{text}{}", self.rules)
    }
}

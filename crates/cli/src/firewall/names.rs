//! `skep firewall refresh`: names in sets.

use skep_firewall::live::names::{self, Answers};
use skep_firewall::resolve::Resolver;
use skep_firewall::rules::RuleSet;

use super::{live, print, start_expiry};
use crate::failure::{Failure, note};

/// Looks the names of a list up, and says which are not found.
pub(super) fn look_up(rules: &RuleSet) -> Answers {
    if rules.names.is_empty() {
        return Answers::new();
    }
    let resolver = Resolver::of_host();
    let answers = names::look_up(rules, |name| resolver.addresses(name));
    for ((set, _), answer) in &answers {
        if let Err(problem) = answer {
            note(&format!("set `{set}`: {problem}; the addresses that are known stay"));
        }
    }
    answers
}

/// Looks the names in force up again.
pub(super) fn refresh(keep: u64) -> Result<(), Failure> {
    let head = live()?.head().map_err(Failure::run)?;
    if head.names.is_empty() {
        return print("no set in force has names\n");
    }
    // Nobody waits for a name server: the firewall is not locked meanwhile.
    let answers = look_up(&head);
    let come = live()?.renew(&answers, keep).map_err(Failure::run)?;
    start_expiry()?;
    let failed = answers.values().filter(|answer| answer.is_err()).count();
    print(&format!("{} names looked up, {failed} failed; {come} addresses are new\n", answers.len()))?;
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Run("some names were not found".to_owned())),
    }
}

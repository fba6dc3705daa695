//! Whether kernels would load the programs that rules become, and which rule it is if they would not.

use skep_object::Object;
use skep_verifier::{Kernel, Rejection, Verdict, verify};

use crate::RuleSet;
use crate::build::{BuildError, Index, plan};
use crate::program::{dispatcher, object};
use crate::rules::special::conditions;

/// The kernels that have what the firewall needs: `tcx` came with Linux 6.6.
pub const KERNELS: [Kernel; 3] = [Kernel::V6_6, Kernel::V6_12, Kernel::V6_18];

/// A program that a kernel would not load.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The first rule with which it is refused, counted from 0; `None` if it is without any.
    pub rule: Option<usize>,
    /// The name of the program.
    pub program: String,
    /// The kernel.
    pub kernel: Kernel,
    /// Why, and where.
    pub rejection: Rejection,
}

/// Tells which program of a list is refused.
type Judge<'j> = dyn Fn(&RuleSet) -> Result<Option<Refused>, BuildError> + 'j;

/// The first program that one of `kernels` would not load, with the rule that makes the difference. What is undecided counts
/// as loaded.
///
/// # Errors
/// As [`plan`]; and what the compiler has to say, which is a defect of this crate.
pub fn refused(rules: &RuleSet, index: Index<'_>, kernels: &[Kernel]) -> Result<Option<Refused>, BuildError> {
    first_rule(rules, &|rules| refused_whole(rules, index, kernels))
}

/// What `judge` refuses, with the rule that makes the difference.
fn first_rule(rules: &RuleSet, judge: &Judge<'_>) -> Result<Option<Refused>, BuildError> {
    let Some(mut found) = judge(rules)? else { return Ok(None) };
    // The shortest beginning of the list that is refused ends with the rule.
    let (mut low, mut high) = (0, rules.rules.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match judge(&beginning(rules, middle))? {
            Some(shorter) => (high, found) = (middle, shorter),
            None => low = middle + 1,
        }
    }
    found.rule = high.checked_sub(1);
    Ok(Some(found))
}

/// The list with its first rules only.
fn beginning(rules: &RuleSet, count: usize) -> RuleSet {
    let mut rules = rules.clone();
    rules.rules.truncate(count);
    rules.conditions = conditions(&rules);
    rules
}

fn refused_whole(rules: &RuleSet, index: Index<'_>, kernels: &[Kernel]) -> Result<Option<Refused>, BuildError> {
    let own = |problem: String| BuildError { rule: None, problem };
    let programs = object(&plan(rules, index)?.shape).map_err(own)?;
    Ok(refused_object(&programs, kernels).or(refused_object(&dispatcher().map_err(own)?, kernels)))
}

fn refused_object(object: &Object, kernels: &[Kernel]) -> Option<Refused> {
    let one = |kernel: &Kernel| {
        object.programs.iter().find_map(|program| match verify(object, program, *kernel) {
            Verdict::Rejected(rejection) => {
                Some(Refused { rule: None, program: program.name.clone(), kernel: *kernel, rejection })
            }
            _ => None,
        })
    };
    kernels.iter().find_map(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_verifier::Reason;

    #[test]
    fn the_rule_that_makes_the_difference() {
        let text = "accept in tcp to port 22\ndrop in udp to port 53 between 08:00 and 18:00\naccept in icmp\n";
        let rules = crate::parse(text, &|_| Err("no files".to_owned())).unwrap();
        let judge = |limit: usize| {
            move |rules: &RuleSet| {
                let rejection = Rejection::at(0, Reason::TooComplex);
                let refused = Refused { rule: None, program: "p".into(), kernel: Kernel::newest(), rejection };
                Ok((rules.rules.len() >= limit).then_some(refused))
            }
        };
        let rule = |limit| first_rule(&rules, &judge(limit)).unwrap().map(|found| found.rule);
        assert_eq!(rule(0), Some(None));
        assert_eq!(rule(1), Some(Some(0)));
        assert_eq!(rule(2), Some(Some(1)));
        assert_eq!(rule(3), Some(Some(2)));
        assert_eq!(rule(4), None);
        assert_eq!(beginning(&rules, 1).conditions.len(), 0);
        assert_eq!(beginning(&rules, 2).conditions.len(), 1);
    }

    #[test]
    fn kernels_that_lack_something_refuse_every_list() {
        let rules = RuleSet::default();
        let found = refused(&rules, &|_| None, &[Kernel::V5_10]).unwrap().expect("Linux 5.10 lacks helpers");
        assert_eq!((found.rule, found.kernel), (None, Kernel::V5_10));
        assert!(matches!(found.rejection.reason, Reason::Later { .. }), "{found:?}");
    }
}

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

/// The first program that one of `kernels` would not load, with the rule that makes the difference. What is undecided counts
/// as loaded.
///
/// # Errors
/// As [`plan`]; and what the compiler has to say, which is a defect of this crate.
pub fn refused(rules: &RuleSet, index: Index<'_>, kernels: &[Kernel]) -> Result<Option<Refused>, BuildError> {
    let Some(mut found) = refused_whole(rules, index, kernels)? else { return Ok(None) };
    // The shortest beginning of the list that is refused ends with the rule.
    let (mut low, mut high) = (0, rules.rules.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match refused_whole(&beginning(rules, middle), index, kernels)? {
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

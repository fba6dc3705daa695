//! Names that somebody who mistyped may have meant.

use crate::near::distance;

/// Most suggestions that are given.
const MOST: usize = 5;
/// Longer names are not compared letter by letter.
const LONGEST: usize = 64;

/// The candidates that are most like `name`, the nearest first.
pub(super) fn suggestions(name: &str, candidates: &[&'static str]) -> Vec<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let short = name.strip_prefix("bpf_").unwrap_or(&name);
    if short.is_empty() || short.len() > LONGEST {
        return Vec::new();
    }
    let allowed = match short.len() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let mut found: Vec<(usize, &'static str)> = Vec::new();
    for candidate in candidates {
        let plain = candidate.strip_prefix("bpf_").unwrap_or(candidate).replace('-', "_");
        let steps = distance(short, &plain);
        if steps <= allowed {
            found.push((steps, candidate));
        } else if short.len() >= 3 && (plain.contains(short) || short.len() > 4 && short.contains(&plain)) {
            // Parts of a name come after names that are nearly right.
            found.push((LONGEST + plain.len(), candidate));
        }
    }
    found.sort_by_key(|(steps, _)| *steps);
    found.into_iter().map(|(_, candidate)| candidate).take(MOST).collect()
}

//! Names that somebody who mistyped may have meant.

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
        let steps = distance(short.as_bytes(), plain.as_bytes());
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

/// How many letters have to be changed, inserted, removed or swapped with their neighbour.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, steps) in rows[0].iter_mut().enumerate() {
        *steps = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance(b"hash", b"hash"), 0);
        assert_eq!(distance(b"hash", b"hsah"), 1);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"queue", b"stack"), 5);
    }
}

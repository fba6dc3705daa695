//! How far apart two names are, for "did you mean".

/// Longer names are not compared letter by letter.
const LONGEST: usize = 64;

/// How many bytes have to be changed, inserted, removed or swapped with their neighbour to make one name of the other.
/// A name of more than 64 bytes is further away from every other one than it has bytes.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a == b {
        return 0;
    }
    if a.len().max(b.len()) > LONGEST {
        return 1 + a.len().max(b.len());
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!((distance("hash", "hash"), distance("hash", "hsah"), distance("", "abc")), (0, 1, 3));
        assert_eq!((distance("queue", "stack"), distance("porrt", "port"), distance("kitten", "sitting")), (5, 1, 3));
        let long = "x".repeat(65);
        assert_eq!((distance(&long, &long), distance(&long, "x")), (0, 66));
    }
}

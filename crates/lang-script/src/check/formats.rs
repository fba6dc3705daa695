//! Formats of `printf` and its kin: the conversions in them, held against the arguments.

/// A conversion of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// Where it begins and ends in the format.
    pub range: std::ops::Range<usize>,
    /// The letters: `d`, `s`, `rx`.
    pub letters: String,
}

/// The conversions of a format in order.
///
/// # Errors
/// Where the format is wrong, and why.
pub fn conversions(format: &str) -> Result<Vec<Conversion>, (std::ops::Range<usize>, String)> {
    let bytes = format.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|&b| b == b'%').map(|offset| at + offset) {
        let mut end = start + 1;
        if bytes.get(end) == Some(&b'%') {
            at = end + 1;
            continue;
        }
        let skip = |end: &mut usize, set: &[u8]| {
            while bytes.get(*end).is_some_and(|b| set.contains(b)) {
                *end += 1;
            }
        };
        skip(&mut end, b"-+ #0");
        skip(&mut end, b"0123456789*");
        if bytes.get(end) == Some(&b'.') {
            end += 1;
            skip(&mut end, b"0123456789*");
        }
        skip(&mut end, b"hljztL");
        let rest = &format[end.min(format.len())..];
        let known = ["rx", "rh", "gr", "d", "i", "u", "o", "x", "X", "c", "s", "p", "r"];
        match known.iter().find(|letters| rest.starts_with(**letters)) {
            Some(letters) => {
                end += letters.len();
                found.push(Conversion { range: start..end, letters: (*letters).to_owned() });
            }
            None => {
                let stop = rest.chars().next().map_or(end, |c| end + c.len_utf8());
                let what = match rest.chars().next() {
                    Some('a' | 'A' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => "there are no floating-point numbers",
                    Some(_) => "there is no such conversion",
                    None => "the conversion has no letter",
                };
                return Err((start..stop, what.to_owned()));
            }
        }
        at = end;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_of_a_format() {
        let letters =
            |format| conversions(format).map(|found| found.into_iter().map(|one| one.letters).collect::<Vec<String>>());
        assert_eq!(letters("%-16s %5d%% %#x %llu %rx|%r").unwrap(), ["s", "d", "x", "u", "rx", "r"]);
        assert!(letters("%f").unwrap_err().1.contains("floating"));
        assert!(letters("100%").is_err() && letters("%é").is_err());
        assert_eq!(letters("no").unwrap().len(), 0);
    }
}

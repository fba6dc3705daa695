//! How long an address or a number at the beginning of a text is.
//!
//! Each function gives the length of the longest prefix that has the form (0 if none); the lexer takes the longest of
//! all forms. Values are checked elsewhere, except hardware addresses, which cannot be wrong once the form fits.

/// What to write instead of a broken IPv6 address.
pub(super) const V6_HELP: &str =
    "write up to eight words of one to four hexadecimal digits; `::` may stand once for zeros, as in `2001:db8::1`";

/// The length of the shortest hardware address: `1:2:3:4:5:6`.
pub(super) const MIN_MAC: usize = 11;

fn hex_run(text: &[u8], max: usize) -> usize {
    text.iter().take(max).take_while(|c| c.is_ascii_hexdigit()).count()
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// Decimal digits, or `0x` and hexadecimal digits.
pub(super) fn number_len(text: &[u8]) -> usize {
    if let [b'0', b'x' | b'X', digits @ ..] = text {
        let len = hex_run(digits, usize::MAX);
        if len > 0 {
            return 2 + len;
        }
    }
    text.iter().take_while(|c| c.is_ascii_digit()).count()
}

/// Two to four numbers with dots between.
pub(super) fn quad_len(text: &[u8]) -> usize {
    let mut at = number_len(text);
    let mut parts = 1;
    while at > 0 && parts < 4 && text.get(at) == Some(&b'.') {
        let len = number_len(&text[at + 1..]);
        if len == 0 {
            break;
        }
        at += 1 + len;
        parts += 1;
    }
    if parts >= 2 { at } else { 0 }
}

/// A hardware address and its length: six groups of one or two digits with `:`, `-` or `.` (always the same one),
/// three groups of four with dots, or twelve digits.
pub(super) fn mac(text: &[u8]) -> ([u8; 6], usize) {
    let pairs = [b':', b'-', b'.'].into_iter().map(|separator| grouped(text, separator, 6, 2));
    let fours = [grouped(text, b'.', 3, 4), if hex_run(text, 12) == 12 { 12 } else { 0 }];
    let len = pairs.chain(fours).max().unwrap_or(0);
    (mac_value(&text[..len]), len)
}

/// `groups` groups of hexadecimal digits: up to `digits` each if that is 2, exactly `digits` otherwise.
fn grouped(text: &[u8], separator: u8, groups: usize, digits: usize) -> usize {
    let mut at = 0;
    for group in 0..groups {
        if group > 0 {
            if text.get(at) != Some(&separator) {
                return 0;
            }
            at += 1;
        }
        let len = hex_run(&text[at..], digits);
        if len == 0 || (digits == 4 && len < 4) {
            return 0;
        }
        at += len;
    }
    at
}

fn mac_value(text: &[u8]) -> [u8; 6] {
    let mut value = [0; 6];
    let digits = text.iter().filter(|c| c.is_ascii_hexdigit()).count();
    let separators = text.len() - digits;
    if separators == 5 {
        for (byte, group) in value.iter_mut().zip(text.split(|c| !c.is_ascii_hexdigit())) {
            *byte = group.iter().fold(0, |v, &c| v << 4 | hex_value(c));
        }
    } else {
        let mut nibbles = text.iter().filter(|c| c.is_ascii_hexdigit()).map(|&c| hex_value(c));
        for byte in &mut value {
            *byte = nibbles.next().unwrap_or(0) << 4 | nibbles.next().unwrap_or(0);
        }
    }
    value
}

/// Text of the form of an IPv6 address: eight words, or fewer with `::` once; the last two may be a dotted IPv4 one.
pub(super) fn v6_len(text: &[u8]) -> usize {
    let mut words = 0;
    let mut at = 0;
    let mut best = 0;
    let mut gap = text.starts_with(b"::");
    if gap {
        at = 2;
        best = 2;
    }
    loop {
        let room = if gap { 7 } else { 8 };
        if words + 2 <= room && (gap || words == 6) {
            let quad = quad_len(&text[at..]);
            if text[at..at + quad].iter().filter(|&&c| c == b'.').count() == 3 {
                best = best.max(at + quad);
            }
        }
        let word = hex_run(&text[at..], 4);
        if word == 0 || words == room {
            return best;
        }
        at += word;
        words += 1;
        if gap || words == 8 {
            best = best.max(at);
        }
        if text[at..].starts_with(b"::") && !gap && words <= 7 {
            gap = true;
            at += 2;
            best = best.max(at);
        } else if text.get(at) == Some(&b':') && text.get(at + 1).is_some_and(u8::is_ascii_hexdigit) {
            at += 1;
        } else {
            return best;
        }
    }
}

/// At least two groups of one or two digits with colons after each, and perhaps one more: meant as a hardware address
/// but not one.
pub(super) fn colon_pairs_len(text: &[u8]) -> usize {
    let (mut at, mut groups, mut end) = (0, 0, 0);
    loop {
        let digits = hex_run(&text[at..], 2);
        let colons = text[at + digits..].iter().take_while(|&&c| c == b':').count();
        if digits == 0 || colons == 0 {
            return end;
        }
        at += digits + colons;
        groups += 1;
        if groups >= 2 {
            end = at;
        }
    }
}

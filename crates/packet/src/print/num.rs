//! Numbers and addresses as text, appended to a byte buffer without allocation (other than the buffer's growth).

use std::net::IpAddr;

const DIGITS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends `n` in decimal.
#[inline]
pub fn decimal(out: &mut Vec<u8>, n: u64) {
    if n < 10 {
        out.push(b'0' + n as u8);
        return;
    }
    let mut text = [0u8; 20];
    let mut at = text.len();
    let mut rest = n;
    while rest >= 10 {
        let pair = (rest % 100) as usize * 2;
        rest /= 100;
        at -= 2;
        text[at..at + 2].copy_from_slice(&DIGITS[pair..pair + 2]);
    }
    if rest > 0 {
        at -= 1;
        text[at] = b'0' + rest as u8;
    }
    out.extend_from_slice(&text[at..]);
}

/// Appends `n` in decimal with at least `width` digits (at most 20).
pub fn padded(out: &mut Vec<u8>, n: u64, width: usize) {
    let before = out.len();
    decimal(out, n);
    let digits = out.len() - before;
    for _ in digits..width.min(20) {
        out.insert(before, b'0');
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `n` in hexadecimal without leading zeros.
pub fn hex(out: &mut Vec<u8>, n: u64) {
    let digits = (64 - n.leading_zeros()).div_ceil(4).max(1);
    hex_padded(out, n, digits);
}

/// Appends the lower `digits` hexadecimal digits of `n`.
pub fn hex_padded(out: &mut Vec<u8>, n: u64, digits: u32) {
    for at in (0..digits).rev() {
        out.push(HEX[(n >> (at * 4) & 15) as usize]);
    }
}

/// Appends two hexadecimal digits for each byte.
pub fn hex_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Appends a link address: hexadecimal pairs with colons.
pub fn mac(out: &mut Vec<u8>, address: &[u8]) {
    for (index, byte) in address.iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        hex_bytes(out, &[*byte]);
    }
}

/// Appends an IPv4 address.
#[inline]
pub fn ipv4(out: &mut Vec<u8>, address: &[u8; 4]) {
    for (index, byte) in address.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        let byte = *byte;
        if byte >= 100 {
            let pair = usize::from(byte % 100) * 2;
            out.extend_from_slice(&[b'0' + byte / 100, DIGITS[pair], DIGITS[pair + 1]]);
        } else if byte >= 10 {
            let pair = usize::from(byte) * 2;
            out.extend_from_slice(&DIGITS[pair..pair + 2]);
        } else {
            out.push(b'0' + byte);
        }
    }
}

/// Appends an IPv6 address as `inet_ntop` does: the longest run of at least two zero groups (the first of equals)
/// becomes `::`, and the last four bytes of mapped and compatible addresses are dotted.
pub fn ipv6(out: &mut Vec<u8>, address: &[u8; 16]) {
    let mut groups = [0u16; 8];
    for (group, pair) in groups.iter_mut().zip(address.chunks_exact(2)) {
        *group = u16::from_be_bytes([pair[0], pair[1]]);
    }
    let (mut best, mut best_len, mut at) = (8, 1, 0);
    while at < 8 {
        let run = groups[at..].iter().take_while(|group| **group == 0).count();
        if run > best_len {
            (best, best_len) = (at, run);
        }
        at += run.max(1);
    }
    let dotted = best == 0 && (best_len == 6 || (best_len == 5 && groups[5] == 0xffff));
    let mut index = 0;
    while index < 8 {
        if index == best {
            out.extend_from_slice(if best + best_len == 8 { b"::" } else { b":" });
            index += best_len;
            continue;
        }
        if index > 0 {
            out.push(b':');
        }
        if dotted && index == 6 {
            ipv4(out, &[address[12], address[13], address[14], address[15]]);
            return;
        }
        hex(out, u64::from(groups[index]));
        index += 1;
    }
}

/// Appends an address of either kind.
pub fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => ipv4(out, &v4.octets()),
        IpAddr::V6(v6) => ipv6(out, &v6.octets()),
    }
}

/// Appends bytes of a packet so that a terminal cannot be controlled by them: control characters become `^X`, bytes
/// above 127 `M-` and the lower seven bits, as tcpdump writes them.
pub fn safe(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        let mut low = byte;
        if byte >= 0x80 {
            out.extend_from_slice(b"M-");
            low = byte & 0x7f;
        }
        if low < 0x20 || low == 0x7f {
            out.extend_from_slice(&[b'^', low ^ 0x40]);
        } else {
            out.push(low);
        }
    }
}

/// Appends bytes of a packet as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
pub fn json_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                // The controls above 0x7f, and the two line separators that some readers take for line ends.
                '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                    out.extend_from_slice(b"\\u");
                    hex_padded(out, u64::from(u32::from(character)), 4);
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_agree_with_the_standard_library() {
        let powers = (0..20).flat_map(|e| [10u64.pow(e) - 1, 10u64.pow(e), 10u64.pow(e) + 1, 5 * (10u64.pow(e) / 4)]);
        for n in (0..3000).chain(powers).chain([u64::MAX]) {
            assert_eq!(text(|out| decimal(out, n)), n.to_string());
            assert_eq!(text(|out| padded(out, n, 6)), format!("{n:06}"));
            assert_eq!(text(|out| hex(out, n)), format!("{n:x}"));
        }
        assert_eq!(text(|out| hex_padded(out, 0xabc, 4)), "0abc");
    }

    #[test]
    fn addresses_agree_with_the_standard_library() {
        skep_random::random_test(|u| {
            let mut address: [u8; 16] = u.arbitrary()?;
            let mask: u16 = u.arbitrary()?;
            for (index, byte) in address.iter_mut().enumerate() {
                // Many zero groups, so that runs of every length occur.
                if mask >> (index / 2 * 2) & 3 != 0 {
                    *byte = 0;
                }
            }
            let v6 = std::net::Ipv6Addr::from(address);
            // The standard library writes only mapped addresses dotted, inet_ntop also compatible ones.
            if v6.to_ipv4().is_none() {
                assert_eq!(text(|out| ipv6(out, &address)), v6.to_string());
            }
            let v4: [u8; 4] = u.arbitrary()?;
            assert_eq!(text(|out| ipv4(out, &v4)), std::net::Ipv4Addr::from(v4).to_string());
            Ok(())
        })
        .budget_ms(200);
        let v6 = |s: &str| text(|out| ipv6(out, &s.parse::<std::net::Ipv6Addr>().unwrap().octets()));
        assert_eq!(v6("::ffff:1.2.3.4"), "::ffff:1.2.3.4");
        assert_eq!(v6("::1.2.3.4"), "::1.2.3.4");
        assert_eq!((v6("::"), v6("::1"), v6("1::")), ("::".into(), "::1".into(), "1::".into()));
        assert_eq!(v6("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");
    }

    #[test]
    fn hostile_bytes_are_escaped() {
        assert_eq!(text(|out| safe(out, b"a\x1b[31m\xff\x00\x7f")), "a^[[31mM-^?^@^?");
        assert_eq!(
            text(|out| json_string(out, b"a\"\\\x1b\n\xff\xc3\xa9\x7f")),
            "\"a\\\"\\\\\\u001b\\n\u{fffd}\u{e9}\\u007f\""
        );
    }

    #[test]
    fn macs() {
        assert_eq!(text(|out| mac(out, &[2, 0, 0xab, 0, 0, 1])), "02:00:ab:00:00:01");
    }
}

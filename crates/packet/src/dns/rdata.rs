//! The data of resource records by type, and their text.

use super::error::{DnsError, DnsErrorKind};
use super::name::{Name, write_label};
use super::types::{TypeName, rtype};
use crate::print::num;
use std::fmt::Write as _;

/// The data of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The fields are those of the RFCs that the variants name.
pub enum RData<'a> {
    /// An IPv4 address.
    A([u8; 4]),
    /// An IPv6 address (RFC 3596).
    Aaaa([u8; 16]),
    /// Types whose data are one name: NS, CNAME, PTR, DNAME and the old MB, MD, MF, MG, MR.
    Name(Name<'a>),
    /// Mail exchange.
    Mx { preference: u16, host: Name<'a> },
    /// Text: strings, each behind its length. TXT, SPF, HINFO.
    Text(&'a [u8]),
    /// Start of authority.
    Soa { primary: Name<'a>, mailbox: Name<'a>, serial: u32, refresh: u32, retry: u32, expire: u32, minimum: u32 },
    /// Service location (RFC 2782).
    Srv { priority: u16, weight: u16, port: u16, target: Name<'a> },
    /// Service binding: SVCB and HTTPS (RFC 9460).
    Svcb { priority: u16, target: Name<'a>, params: &'a [u8] },
    /// Certification authority authorisation (RFC 8659).
    Caa { flags: u8, tag: &'a [u8], value: &'a [u8] },
    /// Delegation signer: DS and CDS (RFC 4034).
    Ds { key_tag: u16, algorithm: u8, digest_type: u8, digest: &'a [u8] },
    /// DNSKEY and CDNSKEY.
    Dnskey { flags: u16, protocol: u8, algorithm: u8, key: &'a [u8] },
    /// Signature: the type covered, and who signed.
    Rrsig {
        covered: u16,
        algorithm: u8,
        labels: u8,
        ttl: u32,
        expires: u32,
        begins: u32,
        key_tag: u16,
        signer: Name<'a>,
    },
    /// Next name that exists.
    Nsec { next: Name<'a>, types: &'a [u8] },
    /// Naming authority pointer (RFC 3403).
    Naptr { order: u16, preference: u16, strings: &'a [u8], replacement: Name<'a> },
    /// Certificate association (RFC 6698).
    Tlsa { usage: u8, selector: u8, matching: u8, data: &'a [u8] },
    /// SSH key fingerprint (RFC 4255).
    Sshfp { algorithm: u8, kind: u8, fingerprint: &'a [u8] },
    /// Options of EDNS.
    Opt(&'a [u8]),
    /// Any other type, as bytes.
    Other(&'a [u8]),
}

/// Reads the data of one record; every step is within its length.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
    end: usize,
    rtype: u16,
}

impl<'a> Reader<'a> {
    fn bad(&self) -> DnsError {
        DnsError { offset: self.at, kind: DnsErrorKind::RecordData(self.rtype) }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], DnsError> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.end).ok_or(self.bad())?;
        let bytes = self.message.get(self.at..end).ok_or(self.bad())?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DnsError> {
        let bad = self.bad();
        self.take(N)?.try_into().map_err(|_| bad)
    }

    fn u8(&mut self) -> Result<u8, DnsError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, DnsError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, DnsError> {
        self.array().map(u32::from_be_bytes)
    }

    fn rest(&mut self) -> Result<&'a [u8], DnsError> {
        self.take(self.end.saturating_sub(self.at))
    }

    fn name(&mut self) -> Result<Name<'a>, DnsError> {
        let (name, at) = Name::parse(self.message, self.at)?;
        if at > self.end {
            return Err(self.bad());
        }
        self.at = at;
        Ok(name)
    }

    /// Strings up to the end, or `count` of them; they are checked and returned as they are.
    fn strings(&mut self, count: usize) -> Result<&'a [u8], DnsError> {
        let start = self.at;
        for _ in 0..count {
            if self.at >= self.end {
                break;
            }
            let length = usize::from(self.u8()?);
            self.take(length)?;
        }
        self.message.get(start..self.at).ok_or(self.bad())
    }
}

impl<'a> RData<'a> {
    /// Decodes `len` bytes at `at` of a message. Types 3 to 5 and the like follow compression into the message.
    ///
    /// # Errors
    /// [`DnsError`] if the bytes do not fit the type, or some are left over.
    pub fn parse(kind: u16, message: &'a [u8], at: usize, len: usize) -> Result<Self, DnsError> {
        let mut r = Reader { message, at, end: at.saturating_add(len), rtype: kind };
        // Updates and their like send types without data.
        if len == 0 && kind != rtype::OPT {
            return Ok(Self::Other(&[]));
        }
        let data = match kind {
            rtype::A => Self::A(r.array()?),
            rtype::AAAA => Self::Aaaa(r.array()?),
            rtype::NS
            | rtype::CNAME
            | rtype::PTR
            | rtype::DNAME
            | rtype::MB
            | rtype::MD
            | rtype::MF
            | rtype::MG
            | rtype::MR => Self::Name(r.name()?),
            rtype::MX | rtype::KX | rtype::RT | rtype::AFSDB => Self::Mx { preference: r.u16()?, host: r.name()? },
            rtype::TXT | rtype::SPF | rtype::HINFO => Self::Text(r.strings(usize::MAX)?),
            rtype::SOA => Self::Soa {
                primary: r.name()?,
                mailbox: r.name()?,
                serial: r.u32()?,
                refresh: r.u32()?,
                retry: r.u32()?,
                expire: r.u32()?,
                minimum: r.u32()?,
            },
            rtype::SRV => Self::Srv { priority: r.u16()?, weight: r.u16()?, port: r.u16()?, target: r.name()? },
            rtype::SVCB | rtype::HTTPS => {
                let (priority, target, start) = (r.u16()?, r.name()?, r.at);
                while r.at < r.end {
                    r.u16()?;
                    let length = usize::from(r.u16()?);
                    r.take(length)?;
                }
                Self::Svcb { priority, target, params: message.get(start..r.at).unwrap_or_default() }
            }
            rtype::CAA => {
                let (flags, tag_len) = (r.u8()?, usize::from(r.u8()?));
                Self::Caa { flags, tag: r.take(tag_len)?, value: r.rest()? }
            }
            rtype::DS | rtype::CDS => {
                Self::Ds { key_tag: r.u16()?, algorithm: r.u8()?, digest_type: r.u8()?, digest: r.rest()? }
            }
            rtype::DNSKEY | rtype::CDNSKEY => {
                Self::Dnskey { flags: r.u16()?, protocol: r.u8()?, algorithm: r.u8()?, key: r.rest()? }
            }
            rtype::RRSIG => {
                let data = Self::Rrsig {
                    covered: r.u16()?,
                    algorithm: r.u8()?,
                    labels: r.u8()?,
                    ttl: r.u32()?,
                    expires: r.u32()?,
                    begins: r.u32()?,
                    key_tag: r.u16()?,
                    signer: r.name()?,
                };
                r.rest()?;
                data
            }
            rtype::NSEC => Self::Nsec { next: r.name()?, types: r.rest()? },
            rtype::NAPTR => {
                Self::Naptr { order: r.u16()?, preference: r.u16()?, strings: r.strings(3)?, replacement: r.name()? }
            }
            rtype::TLSA | rtype::SMIMEA => {
                Self::Tlsa { usage: r.u8()?, selector: r.u8()?, matching: r.u8()?, data: r.rest()? }
            }
            rtype::SSHFP => Self::Sshfp { algorithm: r.u8()?, kind: r.u8()?, fingerprint: r.rest()? },
            rtype::OPT => Self::Opt(r.rest()?),
            _ => Self::Other(r.rest()?),
        };
        if r.at == r.end { Ok(data) } else { Err(r.bad()) }
    }

    /// Appends the data as text, as zone files have it (keys and digests cut to 16 bytes).
    pub fn write(&self, out: &mut Vec<u8>) {
        let number = |out: &mut Vec<u8>, n: u32| {
            num::decimal(out, n.into());
            out.push(b' ');
        };
        match *self {
            Self::A(address) => num::ipv4(out, &address),
            Self::Aaaa(address) => num::ipv6(out, &address),
            Self::Name(name) => name.write(out),
            Self::Mx { preference, host } => {
                number(out, preference.into());
                host.write(out);
            }
            Self::Text(strings) => write_strings(out, strings),
            Self::Soa { primary, mailbox, serial, refresh, retry, expire, minimum } => {
                primary.write(out);
                out.push(b' ');
                mailbox.write(out);
                for n in [serial, refresh, retry, expire, minimum] {
                    out.push(b' ');
                    num::decimal(out, n.into());
                }
            }
            Self::Srv { priority, weight, port, target } => {
                [priority, weight, port].into_iter().for_each(|n| number(out, n.into()));
                target.write(out);
            }
            Self::Svcb { priority, target, params } => {
                number(out, priority.into());
                target.write(out);
                write_params(out, params);
            }
            Self::Caa { flags, tag, value } => {
                number(out, flags.into());
                write_label(out, tag);
                out.extend_from_slice(b" ");
                write_quoted(out, value);
            }
            Self::Ds { key_tag, algorithm, digest_type, digest } => {
                [key_tag, algorithm.into(), digest_type.into()].into_iter().for_each(|n| number(out, n.into()));
                write_hex(out, digest);
            }
            Self::Dnskey { flags, protocol, algorithm, key } => {
                [flags, protocol.into(), algorithm.into()].into_iter().for_each(|n| number(out, n.into()));
                write_hex(out, key);
            }
            Self::Rrsig { covered, algorithm, labels, ttl, expires, begins, key_tag, signer } => {
                out.extend_from_slice(TypeName(covered).to_string().as_bytes());
                out.push(b' ');
                [algorithm.into(), labels.into(), ttl, expires, begins, key_tag.into()]
                    .into_iter()
                    .for_each(|n| number(out, n));
                signer.write(out);
            }
            Self::Nsec { next, types } => {
                next.write(out);
                write_type_bitmap(out, types);
            }
            Self::Naptr { order, preference, strings, replacement } => {
                number(out, order.into());
                number(out, preference.into());
                write_strings(out, strings);
                out.push(b' ');
                replacement.write(out);
            }
            Self::Tlsa { usage, selector, matching, data } => {
                [usage, selector, matching].into_iter().for_each(|n| number(out, n.into()));
                write_hex(out, data);
            }
            Self::Sshfp { algorithm, kind, fingerprint } => {
                number(out, algorithm.into());
                number(out, kind.into());
                write_hex(out, fingerprint);
            }
            Self::Opt(bytes) | Self::Other(bytes) => {
                // RFC 3597: the generic form.
                out.extend_from_slice(b"\\# ");
                num::decimal(out, bytes.len() as u64);
                if !bytes.is_empty() {
                    out.push(b' ');
                    write_hex(out, bytes);
                }
            }
        }
    }
}

/// Strings, each behind its length, quoted and separated by blanks.
pub(crate) fn write_strings(out: &mut Vec<u8>, mut strings: &[u8]) {
    let mut first = true;
    while let Some((&length, rest)) = strings.split_first() {
        let (text, rest) = rest.split_at(usize::from(length).min(rest.len()));
        if !first {
            out.push(b' ');
        }
        first = false;
        write_quoted(out, text);
        strings = rest;
    }
}

fn write_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => write_label(out, &[byte]),
        }
    }
    out.push(b'"');
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const MOST: usize = 16;
    num::hex_bytes(out, bytes.get(..MOST).unwrap_or(bytes));
    if bytes.len() > MOST {
        out.extend_from_slice(b"...");
    }
}

/// Service parameters (RFC 9460, 14.3.2).
fn write_params(out: &mut Vec<u8>, mut params: &[u8]) {
    const KEYS: [&str; 7] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"];
    while let [k1, k2, l1, l2, rest @ ..] = params {
        let key = u16::from_be_bytes([*k1, *k2]);
        let (value, rest) = rest.split_at(usize::from(u16::from_be_bytes([*l1, *l2])).min(rest.len()));
        params = rest;
        out.push(b' ');
        match KEYS.get(usize::from(key)) {
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => {
                out.extend_from_slice(b"key");
                num::decimal(out, key.into());
            }
        }
        if value.is_empty() {
            continue;
        }
        out.push(b'=');
        write_param_value(out, key, value);
    }
}

fn write_param_value(out: &mut Vec<u8>, key: u16, value: &[u8]) {
    match (key, value) {
        (1, _) => {
            let mut left = value;
            while let Some((&length, rest)) = left.split_first() {
                let (protocol, rest) = rest.split_at(usize::from(length).min(rest.len()));
                write_label(out, protocol);
                out.extend_from_slice(if rest.is_empty() { b"" } else { b"," });
                left = rest;
            }
        }
        (3, &[high, low]) => num::decimal(out, u16::from_be_bytes([high, low]).into()),
        (4, _) => {
            for (index, address) in value.chunks_exact(4).enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                num::ipv4(out, &[address[0], address[1], address[2], address[3]]);
            }
        }
        (6, _) => {
            for (index, address) in value.chunks_exact(16).enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                if let Ok(address) = address.try_into() {
                    num::ipv6(out, address);
                }
            }
        }
        _ => write_hex(out, value),
    }
}

/// The types of an NSEC record (RFC 4034, 4.1.2).
fn write_type_bitmap(out: &mut Vec<u8>, mut windows: &[u8]) {
    let mut text = String::new();
    while let [window, length, rest @ ..] = windows {
        let (bits, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        windows = rest;
        for (index, byte) in bits.iter().enumerate().take(32) {
            for bit in (0..8u16).filter(|bit| byte & (0x80 >> bit) != 0) {
                let number = u16::from(*window) * 256 + index as u16 * 8 + bit;
                let _ = write!(text, " {}", TypeName(number));
            }
        }
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::tests::wire;

    fn text(kind: u16, data: &[u8]) -> Result<String, DnsError> {
        let mut out = Vec::new();
        RData::parse(kind, data, 0, data.len())?.write(&mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    fn join(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn common_types_have_their_text() {
        let name = wire("host.example");
        let check = |kind: u16, data: &[u8], expect: &str| {
            assert_eq!(text(kind, data).unwrap(), expect);
            // Every cut is an error, except where the rest may have any length.
            for end in 1..data.len() {
                let _ = text(kind, &data[..end]);
            }
        };
        check(1, &[1, 2, 3, 4], "1.2.3.4");
        check(28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], "2001:db8::9");
        check(5, &name, "host.example");
        check(15, &join(&[&[0, 10], &name]), "10 host.example");
        check(16, b"\x05hello\x04a\"\x1bb", "\"hello\" \"a\\\"\\027b\"");
        check(33, &join(&[&[0, 1, 0, 2, 0, 80], &name]), "1 2 80 host.example");
        check(
            6,
            &join(&[&name, &wire("m"), &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]]),
            "host.example m 1 2 3 4 5",
        );
        check(
            65,
            &join(&[
                &[0, 1, 0],
                &[0, 1, 0, 6, 2, b'h', b'2', 2, b'h', b'3'],
                &[0, 3, 0, 2, 1, 0xbb],
                &[0, 4, 0, 4, 1, 2, 3, 4],
            ]),
            "1 . alpn=h2,h3 port=443 ipv4hint=1.2.3.4",
        );
        check(257, b"\x00\x05issueca.org", "0 issue \"ca.org\"");
        check(43, &[0, 1, 8, 2, 0xaa, 0xbb], "1 8 2 aabb");
        check(47, &join(&[&name, &[0, 1, 0x62]]), "host.example A NS SOA");
        check(35, &join(&[&[0, 1, 0, 2], b"\x01U\x01S\x00", &name]), "1 2 \"U\" \"S\" \"\" host.example");
        check(65280, &[1, 2], "\\# 2 0102");
        check(44, &[1, 2, 3], "1 2 03");
    }

    #[test]
    fn data_that_do_not_fit_are_errors() {
        for (kind, data) in [(1, &[1, 2, 3][..]), (1, &[1, 2, 3, 4, 5]), (28, &[0; 15]), (15, &[0]), (16, &[5, b'a'])] {
            assert_eq!(text(kind, data).unwrap_err().kind, DnsErrorKind::RecordData(kind));
        }
        // A name may end only within the record.
        let message = b"\x03abc\x00";
        assert!(RData::parse(2, message, 0, 3).is_err());
    }
}

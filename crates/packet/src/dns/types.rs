//! Names of record types, classes, operations and response codes: one table each (IANA "DNS Parameters").

use std::fmt;

/// Builds constants and a table from the same rows.
macro_rules! types {
    ($($name:ident = $number:literal;)*) => {
        /// Numbers of record types.
        #[allow(missing_docs)]
        pub mod rtype {
            $(pub const $name: u16 = $number;)*
        }

        const TYPES: &[(u16, &str)] = &[$(($number, stringify!($name)),)*];
    };
}

// TABLE: record types, by number.
types! {
    A = 1; NS = 2; MD = 3; MF = 4; CNAME = 5; SOA = 6; MB = 7; MG = 8; MR = 9; NULL = 10; WKS = 11; PTR = 12;
    HINFO = 13; MINFO = 14; MX = 15; TXT = 16; RP = 17; AFSDB = 18; X25 = 19; ISDN = 20; RT = 21; NSAP = 22;
    NSAP_PTR = 23; SIG = 24; KEY = 25; PX = 26; GPOS = 27; AAAA = 28; LOC = 29; NXT = 30; EID = 31; NIMLOC = 32;
    SRV = 33; ATMA = 34; NAPTR = 35; KX = 36; CERT = 37; A6 = 38; DNAME = 39; SINK = 40; OPT = 41; APL = 42;
    DS = 43; SSHFP = 44; IPSECKEY = 45; RRSIG = 46; NSEC = 47; DNSKEY = 48; DHCID = 49; NSEC3 = 50;
    NSEC3PARAM = 51; TLSA = 52; SMIMEA = 53; HIP = 55; NINFO = 56; RKEY = 57; TALINK = 58; CDS = 59;
    CDNSKEY = 60; OPENPGPKEY = 61; CSYNC = 62; ZONEMD = 63; SVCB = 64; HTTPS = 65; SPF = 99; UINFO = 100;
    UID = 101; GID = 102; UNSPEC = 103; UNSPECA = 104; EUI48 = 108; EUI64 = 109; TKEY = 249; TSIG = 250;
    IXFR = 251; AXFR = 252; MAILB = 253; MAILA = 254; ANY = 255; URI = 256; CAA = 257;
}

/// The name of a record type, or `None`.
#[must_use]
pub fn type_name(rtype: u16) -> Option<&'static str> {
    let at = TYPES.binary_search_by_key(&rtype, |row| row.0).ok()?;
    TYPES.get(at).map(|row| row.1)
}

/// The number of a record type by name in any case, or of the form `TYPE123` (RFC 3597).
#[must_use]
pub fn type_number(name: &str) -> Option<u16> {
    if let Some(row) = TYPES.iter().find(|row| row.1.eq_ignore_ascii_case(name)) {
        return Some(row.0);
    }
    let (head, digits) = name.split_at_checked(4)?;
    if head.eq_ignore_ascii_case("TYPE") { digits.parse().ok() } else { None }
}

/// Prints a record type: its name, or `TYPE123`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeName(pub u16);

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match type_name(self.0) {
            Some(name) => f.pad(name),
            None => f.pad(&format!("TYPE{}", self.0)),
        }
    }
}

// TABLE: response codes, the extended ones of EDNS included.
const RCODES: [&str; 24] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
    "RCODE12",
    "RCODE13",
    "RCODE14",
    "RCODE15",
    "BADVERS",
    "BADKEY",
    "BADTIME",
    "BADMODE",
    "BADNAME",
    "BADALG",
    "BADTRUNC",
    "BADCOOKIE",
];

/// Prints a response code: its name, or `RCODE123`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RcodeName(pub u16);

impl fmt::Display for RcodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RCODES.get(usize::from(self.0)) {
            Some(name) => f.pad(name),
            None => f.pad(&format!("RCODE{}", self.0)),
        }
    }
}

/// Prints a class: `IN`, `CH`, `HS`, `NONE`, `ANY` or `CLASS123`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClassName(pub u16);

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.pad("IN"),
            3 => f.pad("CH"),
            4 => f.pad("HS"),
            254 => f.pad("NONE"),
            255 => f.pad("ANY"),
            other => f.pad(&format!("CLASS{other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_round_trip() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
        for &(number, name) in TYPES {
            assert_eq!(type_name(number), Some(name));
            assert_eq!(type_number(&name.to_lowercase()), Some(number));
        }
        assert_eq!(type_number("type65280"), Some(65280));
        assert_eq!((type_number("TYPE"), type_number("x"), type_number("\u{e9}\u{e9}\u{e9}")), (None, None, None));
        assert_eq!(TypeName(65280).to_string(), "TYPE65280");
        assert_eq!((RcodeName(3).to_string(), RcodeName(99).to_string()), ("NXDOMAIN".into(), "RCODE99".into()));
        assert_eq!((ClassName(1).to_string(), ClassName(77).to_string()), ("IN".into(), "CLASS77".into()));
    }
}

//! The keywords of the language: one table, read by the lexer and by the spelling suggestions.
//!
//! Names of constants (`tcp-syn`) are not keywords; they stand in `skep_proto::numbers`.

use crate::ast::{AtmField, AtmType, Dir, Kind, Mtp2Type, Mtp3Field, Proto};

/// A keyword. Synonyms are the same word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Proto(Proto),
    Src,
    Dst,
    /// One of the 802.11 directions, which do not combine with others.
    WlanAddr(Dir),
    Kind(Kind),
    Mask,
    And,
    Or,
    Not,
    Type,
    Subtype,
    WlanDir,
    Less,
    Greater,
    Byte,
    Broadcast,
    Multicast,
    Len,
    Inbound,
    Outbound,
    IfIndex,
    Vlan,
    Mpls,
    Pppoed,
    Pppoes,
    Geneve,
    /// A keyword since 1.11 only.
    Vxlan,
    Llc,
    PfIfname,
    PfRuleset,
    PfRule,
    PfSubrule,
    PfReason,
    PfAction,
    Atm(AtmType),
    AtmField(AtmField),
    Mtp2(Mtp2Type),
    Mtp3(Mtp3Field),
}

/// Every keyword, sorted by spelling (a test checks that).
// TABLE
pub(crate) const WORDS: &[(&str, Word)] = &[
    ("aarp", Word::Proto(Proto::Aarp)),
    ("action", Word::PfAction),
    ("addr1", Word::WlanAddr(Dir::Addr1)),
    ("addr2", Word::WlanAddr(Dir::Addr2)),
    ("addr3", Word::WlanAddr(Dir::Addr3)),
    ("addr4", Word::WlanAddr(Dir::Addr4)),
    ("address1", Word::WlanAddr(Dir::Addr1)),
    ("address2", Word::WlanAddr(Dir::Addr2)),
    ("address3", Word::WlanAddr(Dir::Addr3)),
    ("address4", Word::WlanAddr(Dir::Addr4)),
    ("ah", Word::Proto(Proto::Ah)),
    ("and", Word::And),
    ("arp", Word::Proto(Proto::Arp)),
    ("atalk", Word::Proto(Proto::Atalk)),
    ("bcc", Word::Atm(AtmType::Bcc)),
    ("broadcast", Word::Broadcast),
    ("byte", Word::Byte),
    ("carp", Word::Proto(Proto::Carp)),
    ("clnp", Word::Proto(Proto::Clnp)),
    ("connectmsg", Word::Atm(AtmType::Connectmsg)),
    ("csnp", Word::Proto(Proto::IsisCsnp)),
    ("decnet", Word::Proto(Proto::Decnet)),
    ("dir", Word::WlanDir),
    ("direction", Word::WlanDir),
    ("dpc", Word::Mtp3(Mtp3Field::Dpc)),
    ("dst", Word::Dst),
    ("es-is", Word::Proto(Proto::Esis)),
    ("esis", Word::Proto(Proto::Esis)),
    ("esp", Word::Proto(Proto::Esp)),
    ("ether", Word::Proto(Proto::Link)),
    ("fddi", Word::Proto(Proto::Link)),
    ("fisu", Word::Mtp2(Mtp2Type::Fisu)),
    ("gateway", Word::Kind(Kind::Gateway)),
    ("geneve", Word::Geneve),
    ("greater", Word::Greater),
    ("hdpc", Word::Mtp3(Mtp3Field::Hdpc)),
    ("hfisu", Word::Mtp2(Mtp2Type::Hfisu)),
    ("hlssu", Word::Mtp2(Mtp2Type::Hlssu)),
    ("hmsu", Word::Mtp2(Mtp2Type::Hmsu)),
    ("hopc", Word::Mtp3(Mtp3Field::Hopc)),
    ("host", Word::Kind(Kind::Host)),
    ("hsio", Word::Mtp3(Mtp3Field::Hsio)),
    ("hsls", Word::Mtp3(Mtp3Field::Hsls)),
    ("icmp", Word::Proto(Proto::Icmp)),
    ("icmp6", Word::Proto(Proto::Icmp6)),
    ("ifindex", Word::IfIndex),
    ("ifname", Word::PfIfname),
    ("igmp", Word::Proto(Proto::Igmp)),
    ("igrp", Word::Proto(Proto::Igrp)),
    ("iih", Word::Proto(Proto::IsisIih)),
    ("ilmic", Word::Atm(AtmType::Ilmic)),
    ("inbound", Word::Inbound),
    ("ip", Word::Proto(Proto::Ip)),
    ("ip6", Word::Proto(Proto::Ip6)),
    ("ipx", Word::Proto(Proto::Ipx)),
    ("is-is", Word::Proto(Proto::Isis)),
    ("isis", Word::Proto(Proto::Isis)),
    ("iso", Word::Proto(Proto::Iso)),
    ("l1", Word::Proto(Proto::IsisL1)),
    ("l2", Word::Proto(Proto::IsisL2)),
    ("lane", Word::Atm(AtmType::Lane)),
    ("lat", Word::Proto(Proto::Lat)),
    ("len", Word::Len),
    ("length", Word::Len),
    ("less", Word::Less),
    ("link", Word::Proto(Proto::Link)),
    ("llc", Word::Llc),
    ("lsp", Word::Proto(Proto::IsisLsp)),
    ("lssu", Word::Mtp2(Mtp2Type::Lssu)),
    ("lsu", Word::Mtp2(Mtp2Type::Lssu)),
    ("mask", Word::Mask),
    ("metac", Word::Atm(AtmType::Metac)),
    ("metaconnect", Word::Atm(AtmType::Metaconnect)),
    ("mopdl", Word::Proto(Proto::Mopdl)),
    ("moprc", Word::Proto(Proto::Moprc)),
    ("mpls", Word::Mpls),
    ("msu", Word::Mtp2(Mtp2Type::Msu)),
    ("multicast", Word::Multicast),
    ("net", Word::Kind(Kind::Net)),
    ("netbeui", Word::Proto(Proto::Netbeui)),
    ("not", Word::Not),
    ("oam", Word::Atm(AtmType::Oam)),
    ("oamf4", Word::Atm(AtmType::Oamf4)),
    ("oamf4ec", Word::Atm(AtmType::Oamf4ec)),
    ("oamf4sc", Word::Atm(AtmType::Oamf4sc)),
    ("on", Word::PfIfname),
    ("opc", Word::Mtp3(Mtp3Field::Opc)),
    ("or", Word::Or),
    ("outbound", Word::Outbound),
    ("pim", Word::Proto(Proto::Pim)),
    ("port", Word::Kind(Kind::Port)),
    ("portrange", Word::Kind(Kind::PortRange)),
    ("ppp", Word::Proto(Proto::Link)),
    ("pppoed", Word::Pppoed),
    ("pppoes", Word::Pppoes),
    ("proto", Word::Kind(Kind::Proto)),
    ("protochain", Word::Kind(Kind::ProtoChain)),
    ("psnp", Word::Proto(Proto::IsisPsnp)),
    ("ra", Word::WlanAddr(Dir::Ra)),
    ("radio", Word::Proto(Proto::Radio)),
    ("rarp", Word::Proto(Proto::Rarp)),
    ("reason", Word::PfReason),
    ("rnr", Word::PfRule),
    ("rset", Word::PfRuleset),
    ("rulenum", Word::PfRule),
    ("ruleset", Word::PfRuleset),
    ("sc", Word::Atm(AtmType::Sc)),
    ("sca", Word::Proto(Proto::Sca)),
    ("sctp", Word::Proto(Proto::Sctp)),
    ("sio", Word::Mtp3(Mtp3Field::Sio)),
    ("slip", Word::Proto(Proto::Link)),
    ("sls", Word::Mtp3(Mtp3Field::Sls)),
    ("snp", Word::Proto(Proto::IsisSnp)),
    ("src", Word::Src),
    ("srnr", Word::PfSubrule),
    ("stp", Word::Proto(Proto::Stp)),
    ("subrulenum", Word::PfSubrule),
    ("subtype", Word::Subtype),
    ("ta", Word::WlanAddr(Dir::Ta)),
    ("tcp", Word::Proto(Proto::Tcp)),
    ("tr", Word::Proto(Proto::Link)),
    ("type", Word::Type),
    ("udp", Word::Proto(Proto::Udp)),
    ("vci", Word::AtmField(AtmField::Vci)),
    ("vlan", Word::Vlan),
    ("vpi", Word::AtmField(AtmField::Vpi)),
    ("vrrp", Word::Proto(Proto::Vrrp)),
    ("vxlan", Word::Vxlan),
    ("wlan", Word::Proto(Proto::Link)),
];

/// Where the keywords of each first letter begin in [`WORDS`], and the end: a look-up then compares only a few.
const FIRST: [usize; 27] = {
    let mut first = [WORDS.len(); 27];
    let mut at = WORDS.len();
    let mut letter = 26;
    while letter > 0 {
        letter -= 1;
        while at > 0 && WORDS[at - 1].0.as_bytes()[0] as usize >= letter + b'a' as usize {
            at -= 1;
        }
        first[letter] = at;
    }
    first
};

/// The keyword spelt `text`. Case matters.
pub(crate) fn lookup(text: &str) -> Option<Word> {
    let letter = usize::from(text.bytes().next()?.checked_sub(b'a')?);
    let (start, end) = (*FIRST.get(letter)?, *FIRST.get(letter + 1)?);
    WORDS[start..end].iter().find(|row| row.0 == text).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_without_duplicates() {
        assert!(WORDS.windows(2).all(|w| w[0].0 < w[1].0));
        for (name, word) in WORDS {
            assert_eq!(lookup(name), Some(*word), "{name}");
        }
        for unknown in ["", "zebra", "portrang", "portranges", "{", "\u{e9}"] {
            assert_eq!(lookup(unknown), None, "{unknown}");
        }
        assert_eq!(lookup("Port"), None);
    }
}

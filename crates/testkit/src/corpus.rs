//! The expression corpus: our own filters, grouped by the link types for which they make sense.
//!
//! The text files in `corpus/` hold one expression per line. A line that starts with `#links:` names the link types
//! (or sets of them, from [`SETS`]) of the expressions below it, `#grey:` gives the reason why the expressions below
//! it need not agree with libpcap on every packet (until the next `#links:`); other lines that start with `#` are
//! comments.

use skep_proto::LinkType;

/// One expression of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The expression.
    pub text: &'static str,
    /// The link types for which tcpdump compiles it.
    pub links: Vec<LinkType>,
    /// Why a difference from libpcap or between machines would be no fault; `None` for most.
    pub grey: Option<&'static str>,
    /// The file that has it.
    pub file: &'static str,
    /// The line in that file, counted from 1.
    pub line: usize,
}

/// Builds the list of files from their names.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../corpus/", $name)))),*]
    };
}

const FILES: &[(&str, &str)] = files![
    "protocols.txt",
    "hosts.txt",
    "ports.txt",
    "arithmetic.txt",
    "nested.txt",
    "everyday.txt",
    "lists.txt",
    "syntax.txt",
    "ethernet.txt",
    "etherproto.txt",
    "llc.txt",
    "layers.txt",
    "ppp.txt",
    "loopback.txt",
    "direction.txt",
    "wifi.txt",
    "packetfilter.txt",
    "atm.txt",
    "ss7.txt",
    "grey.txt",
];

/// The link types with a protocol field that libpcap 1.10.3 can test.
const IP: &[LinkType] = &[
    LinkType::EN10MB,
    LinkType::RAW,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::PPP,
    LinkType::C_HDLC,
    LinkType::IEEE802_11,
    LinkType::IEEE802_11_RADIO,
    LinkType::PPP_SERIAL,
    LinkType::PPP_BSDOS,
    LinkType::PPP_PPPD,
    LinkType::PPP_ETHER,
    LinkType::ENC,
    LinkType::SLIP,
    LinkType::SLIP_BSDOS,
    LinkType::FRELAY,
    LinkType::IEEE802_11_RADIO_AVS,
    LinkType::PRISM_HEADER,
    LinkType::PPI,
    LinkType::PFLOG,
    LinkType::FDDI,
    LinkType::IEEE802,
    LinkType::IP_OVER_FC,
    LinkType::ARCNET,
    LinkType::ARCNET_LINUX,
    LinkType::ATM_RFC1483,
    LinkType::ATM_CLIP,
    LinkType::SUNATM,
    LinkType::APPLE_IP_OVER_IEEE1394,
    LinkType::SYMANTEC_FIREWALL,
    LinkType::LTALK,
    LinkType::IPNET,
    LinkType::NETANALYZER,
    LinkType::NETANALYZER_TRANSPARENT,
];

/// The four link types that have the words of 802.11.
const WIFI: &[LinkType] =
    &[LinkType::IEEE802_11, LinkType::IEEE802_11_RADIO, LinkType::IEEE802_11_RADIO_AVS, LinkType::PRISM_HEADER];

/// The sets that `#links:` may name, the most useful link types first.
pub const SETS: &[(&str, &[LinkType])] = &[
    ("@all", crate::packets::LINKS),
    ("@ip", IP),
    ("@wifi", WIFI),
    (
        "@mac",
        &[
            LinkType::EN10MB,
            LinkType::IEEE802_11,
            LinkType::IEEE802_11_RADIO,
            LinkType::IEEE802_11_RADIO_AVS,
            LinkType::PRISM_HEADER,
            LinkType::PPI,
            LinkType::FDDI,
            LinkType::IEEE802,
            LinkType::IP_OVER_FC,
            LinkType::NETANALYZER,
            LinkType::NETANALYZER_TRANSPARENT,
        ],
    ),
    (
        "@llc",
        &[
            LinkType::EN10MB,
            LinkType::IEEE802_11,
            LinkType::IEEE802_11_RADIO,
            LinkType::IEEE802_11_RADIO_AVS,
            LinkType::PRISM_HEADER,
            LinkType::PPI,
            LinkType::FDDI,
            LinkType::IEEE802,
            LinkType::ATM_RFC1483,
            LinkType::SUNATM,
        ],
    ),
    (
        "@vlan",
        &[
            LinkType::EN10MB,
            LinkType::IEEE802_11,
            LinkType::IEEE802_11_RADIO,
            LinkType::IEEE802_11_RADIO_AVS,
            LinkType::PRISM_HEADER,
            LinkType::NETANALYZER,
            LinkType::NETANALYZER_TRANSPARENT,
        ],
    ),
    (
        "@mpls",
        &[LinkType::EN10MB, LinkType::PPP, LinkType::C_HDLC, LinkType::NETANALYZER, LinkType::NETANALYZER_TRANSPARENT],
    ),
    (
        "@ppp",
        &[
            LinkType::PPP,
            LinkType::PPP_SERIAL,
            LinkType::PPP_BSDOS,
            LinkType::PPP_PPPD,
            LinkType::PPP_ETHER,
            LinkType::C_HDLC,
        ],
    ),
];

/// The whole corpus in the order of the files.
///
/// # Panics
/// If a corpus file has an expression before its first `#links:` line or names an unknown link type.
#[must_use]
pub fn corpus() -> Vec<Entry> {
    FILES.iter().flat_map(|(file, text)| entries(file, text)).collect()
}

/// Expressions that tcpdump refuses for the named link types when it reads a recording, even without its optimiser.
///
/// # Panics
/// Like [`corpus`].
#[must_use]
pub fn rejects() -> Vec<Entry> {
    entries("rejects.txt", include_str!("../corpus/rejects.txt"))
}

/// The entries that make sense for one link type.
#[must_use]
pub fn corpus_for(link: LinkType) -> Vec<Entry> {
    corpus().into_iter().filter(|entry| entry.links.contains(&link)).collect()
}

fn entries(file: &'static str, text: &'static str) -> Vec<Entry> {
    let mut list = Vec::new();
    let mut links: Vec<LinkType> = Vec::new();
    let mut grey = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(names) = line.strip_prefix("#links:") {
            links = names.split_whitespace().flat_map(set).collect();
            grey = None;
        } else if let Some(reason) = line.strip_prefix("#grey:") {
            grey = Some(reason.trim());
        } else if !line.is_empty() && !line.starts_with('#') {
            assert!(!links.is_empty(), "{file}:{}: an expression before the first #links: line", index + 1);
            list.push(Entry { text: line, links: links.clone(), grey, file, line: index + 1 });
        }
    }
    list
}

/// The link types behind one word of a `#links:` line.
fn set(word: &str) -> Vec<LinkType> {
    if let Some((_, links)) = SETS.iter().find(|(name, _)| *name == word) {
        return links.to_vec();
    }
    vec![LinkType::from_name(word).unwrap_or_else(|| panic!("`{word}` is neither a link type nor a set of them"))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn corpus_is_large_and_without_duplicates() {
        let all = corpus();
        let certain = all.iter().filter(|entry| entry.grey.is_none()).count();
        assert!(certain >= 400, "only {certain} expressions");
        let mut seen = HashSet::new();
        for entry in &all {
            for link in &entry.links {
                let first = seen.insert((entry.text, *link)) || entry.grey.is_some();
                assert!(first, "{}:{}: `{}` occurs twice for {link}", entry.file, entry.line, entry.text);
            }
        }
        assert!(corpus_for(LinkType::RAW).len() > 400);
        assert!(corpus_for(LinkType::MTP2).len() < 100);
    }
}

//! What the sender of a rejected packet is told, in the words of iptables and nft.
// TABLE

use crate::rules::{Family, Message, Reply, words};

/// Codes of ICMP errors by the names that iptables (behind `icmp-` and `icmp6-`) and nft give them.
const CODES: &[(Family, &str, u8)] = &[
    (Family::V4, "net-unreachable", 0),
    (Family::V4, "host-unreachable", 1),
    (Family::V4, "proto-unreachable", 2),
    (Family::V4, "prot-unreachable", 2),
    (Family::V4, "port-unreachable", 3),
    (Family::V4, "net-prohibited", 9),
    (Family::V4, "host-prohibited", 10),
    (Family::V4, "admin-prohibited", 13),
    (Family::V6, "no-route", 0),
    (Family::V6, "adm-prohibited", 1),
    (Family::V6, "admin-prohibited", 1),
    (Family::V6, "addr-unreachable", 3),
    (Family::V6, "port-unreachable", 4),
    (Family::V6, "policy-fail", 5),
    (Family::V6, "reject-route", 6),
];

/// Messages that nft writes for both versions.
const BOTH: &[(&str, &str)] = &[
    ("port-unreachable", "port-unreachable"),
    ("admin-prohibited", "admin-prohibited"),
    ("no-route", "net-unreachable"),
    ("host-unreachable", "host-unreachable"),
];

/// The message of a name in one version of the protocol.
///
/// # Errors
/// A clause if there is none.
pub fn message(family: Family, name: &str) -> Result<Reply, String> {
    let row = CODES.iter().find(|row| row.0 == family && row.1 == name);
    let message = row.and_then(|row| Message::of(family, row.2));
    message.map(Reply::Message).ok_or_else(|| format!("rejected packets cannot be answered with `{name}`"))
}

/// The message of a name that stands for both versions.
///
/// # Errors
/// A clause if there is none.
pub fn message_of_both(name: &str) -> Result<Reply, String> {
    let message = BOTH.iter().find(|row| row.0 == name).and_then(|row| words::number(words::MESSAGES, row.1));
    message.map(Reply::Message).ok_or_else(|| format!("rejected packets cannot be answered with `{name}`"))
}

/// The name that nft has for a message in one version of the protocol, or for both.
pub fn name_for_nft(message: Message, family: Option<Family>) -> Option<&'static str> {
    match family {
        Some(family) => {
            let code = message.code(family)?;
            // Of several names nft knows the last one.
            CODES.iter().rfind(|row| row.0 == family && row.2 == code).map(|row| row.1)
        }
        None => {
            let ours = words::name(words::MESSAGES, message)?;
            BOTH.iter().find(|row| row.1 == ours).map(|row| row.0)
        }
    }
}

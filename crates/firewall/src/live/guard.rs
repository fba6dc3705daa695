//! The guard of the session in which somebody types: rules that would cut it are refused.

use std::net::IpAddr;

use super::seed::End;
use crate::facts::{Facts, Fragment, Place};
use crate::linear;
use crate::rules::{Direction, Prefix, RuleSet, Verdict, words};

/// A session over SSH: the other end, and ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Where the person sits.
    pub peer: End,
    /// This machine.
    pub local: End,
}

/// Reads the value of `SSH_CONNECTION`.
pub fn session(text: &str) -> Option<Session> {
    let mut words = text.split_whitespace();
    let mut end = || -> Option<End> { Some((plain(words.next()?.parse().ok()?), words.next()?.parse().ok()?)) };
    Some(Session { peer: end()?, local: end()? })
}

/// Addresses of version 4 as such.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The session that this process or one of its parents runs in; `sudo` hides it from the process itself.
pub fn own_session() -> Option<Session> {
    let variable = |environment: &[u8]| {
        let all = environment.split(|&byte| byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
        all.filter_map(|entry| entry.strip_prefix("SSH_CONNECTION=")).find_map(session)
    };
    if let Some(found) = std::env::var("SSH_CONNECTION").ok().and_then(|text| session(&text)) {
        return Some(found);
    }
    let mut process = std::process::id();
    // A chain of parents is short; the limit is for one that changes while it is followed.
    for _ in 0..64 {
        if let Some(found) = std::fs::read(format!("/proc/{process}/environ")).ok().and_then(|bytes| variable(&bytes)) {
            return Some(found);
        }
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        process = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok().filter(|&parent| parent > 1)?;
    }
    None
}

/// What of a session would be dropped at one of these interfaces (number and name): a sentence, if anything.
pub fn cut(rules: &RuleSet, session: &Session, interfaces: &[(u32, String)]) -> Option<String> {
    let index = |name: &str| interfaces.iter().find(|each| each.1 == name).map(|each| each.0);
    let packets = [
        (Direction::In, 16, 2, "its packets"),
        (Direction::Out, 16, 2, "the answers to it"),
        (Direction::In, 2, 1, "a new session from the same address"),
        (Direction::Out, 18, 2, "the answer to a new session"),
    ];
    for (direction, flags, state, what) in packets {
        let mut dropped = interfaces.iter().filter_map(|(number, name)| {
            let facts = facts(session, direction, *number, flags, state);
            let decision = linear::judge(rules, &facts, &index, &mut |_| false);
            (decision.verdict != Verdict::Accept).then_some((name.as_str(), decision.rule))
        });
        if let Some((interface, rule)) = dropped.next() {
            let by = rule.map_or_else(
                || "the default".to_owned(),
                |rule| format!("rule {} (`{}`)", rule + 1, rules.rules[rule]),
            );
            let (peer, port) = session.peer;
            return Some(format!(
                "these rules would cut the SSH session from {peer} port {port} that they are typed in: at `{interface}`, {by} \
                 drops {what}"
            ));
        }
    }
    None
}

fn facts(session: &Session, direction: Direction, interface: u32, flags: u8, state: u8) -> Facts {
    let (from, to) = match direction {
        Direction::In => (session.peer, session.local),
        Direction::Out | Direction::Forward => (session.local, session.peer),
    };
    let (source, destination) = (Prefix::of(from.0), Prefix::of(to.0));
    Facts {
        place: Place { direction, interface, ..Place::default() },
        family: source.family,
        source: source.address,
        destination: destination.address,
        protocol: words::TCP,
        fragment: Fragment::Whole,
        ports: Some((from.1, to.1)),
        flags: Some(flags),
        icmp: None,
        vlan: None,
        payload: Vec::new(),
        state,
        macs: None,
        frame: Vec::new(),
        held: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_cut_the_session_are_told() {
        let session = session("203.0.113.5 50000 192.0.2.1 22").unwrap();
        let interfaces = [(2, "eth0".to_owned())];
        let cut = |text: &str| cut(&crate::parse(text, &|_| Err(String::new())).unwrap(), &session, &interfaces);
        assert_eq!(cut("accept in tcp to port 22\ndefault in drop"), None);
        assert!(cut("default in drop").unwrap().contains("the default drops its packets"));
        assert!(cut("accept in state established\ndefault in drop").unwrap().contains("a new session"));
        assert!(cut("drop out to 203.0.113.0/24").unwrap().contains("rule 1"));
        assert!(super::session("x").is_none());
    }
}

//! The parser and the installed tcpdump accept and reject the same expressions.
//!
//! `data/expressions.txt` has one expression a line, after the link type where it matters. Expressions whose fate only
//! code generation can decide, or a name that this machine may or may not know, are not in it. Where we differ on
//! purpose, the reason is in [`DIFFERENCES`].

use skep_lang_filter::parse::{Compat, ParseContext, parse};
use std::process::{Command, Stdio};

/// Expressions that tcpdump 4.99 rejects and we accept, and why.
const DIFFERENCES: &[(&str, &[&str])] = &[
    (
        "a group of ids may be nested; tcpdump's grammar allows it only after the first id",
        &["host ((1.2.3.4 or 1.2.3.5) or 1.2.3.6)", "host ((1.2.3.4))", "port 80 and ((80 or 82) or 81)"],
    ),
    ("a network of one number may have a prefix length", &["net 10/8", "net 10/8 or 11/8", "net 10 mask 255.0"]),
    ("words of the kernel's about a packet", &["mark = 1", "random % 10 = 0", "cpu = 1 or queue > 2"]),
    ("what stands behind IPv6 extension headers", &["ip6 chain tcp", "tcp6[13] & 2 != 0"]),
    ("sets from files", &["host @hosts.txt", "port @\"my ports\""]),
];

fn tcpdump_accepts(link_type: &str, expression: &str) -> Option<bool> {
    let mut command = Command::new("tcpdump");
    command.args(["-y", link_type, "-d", "-O", "--", expression]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(status.success())
}

fn we_accept(expression: &str) -> bool {
    parse(expression, &ParseContext { compat: Compat::V1_10 }).is_ok()
}

/// The link type and the expression of each line.
fn corpus() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("data/expressions.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('|').filter(|(link, _)| is_link_type(link)).unwrap_or(("EN10MB", line)))
}

fn is_link_type(text: &str) -> bool {
    text.len() > 2 && text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
}

#[test]
fn accepts_and_rejects_as_tcpdump_does() {
    if tcpdump_accepts("EN10MB", "tcp").is_none() {
        println!("SKIPPED: tcpdump is not installed");
        return;
    }
    let (mut accepted, mut rejected, mut wrong) = (0, 0, Vec::new());
    for (link_type, expression) in corpus() {
        let theirs = tcpdump_accepts(link_type, expression).expect("it was there a moment ago");
        *(if theirs { &mut accepted } else { &mut rejected }) += 1;
        if we_accept(expression) != theirs {
            wrong.push(format!("{expression}: tcpdump {}", if theirs { "accepts" } else { "rejects" }));
        }
    }
    println!("{accepted} accepted, {rejected} rejected");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(accepted >= 200 && rejected >= 150, "the corpus is not what it was: {accepted} and {rejected}");
}

#[test]
fn differences_are_as_described() {
    let oracle = tcpdump_accepts("EN10MB", "tcp").is_some();
    for (reason, expressions) in DIFFERENCES {
        for expression in *expressions {
            assert!(we_accept(expression), "{expression}: {reason}");
            if oracle {
                assert_eq!(tcpdump_accepts("EN10MB", expression), Some(false), "{expression}: {reason}");
            }
        }
    }
}

//! DNS transactions as lines and JSON, the choice of some of them, and statistics.

use super::domains::DomainSet;
use super::error::DnsError;
use super::message::{Message, Section};
use super::stats::milliseconds;
use super::transaction::{Event, Malformed, Transaction};
use super::types::{ClassName, RcodeName, TypeName};
use crate::Timestamp;
use crate::print::json::{Object, timestamp};
use crate::print::num;
use std::io::Write as _;

pub use super::stats::{Latencies, Statistics, TopNames};

/// Which events are shown. Conditions of different fields all have to hold; an empty one always does.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Names that match; an empty set lets all pass, damaged messages (which have no name) only then.
    pub domains: DomainSet,
    /// Record types.
    pub types: Vec<u16>,
    /// Only transactions that took this long or longer, in nanoseconds. Unanswered ones count as slow.
    pub slower_than_ns: Option<u64>,
    /// Only failures: a response code other than NOERROR, no response, or a damaged message.
    pub failed: bool,
    /// Only queries without a response.
    pub unanswered: bool,
}

impl Selection {
    /// True if the event is to be shown. `scratch` is as for [`DomainSet::matches`].
    #[must_use]
    pub fn accepts(&self, event: &Event) -> bool {
        let Some(transaction) = event.transaction() else {
            return self.domains.is_empty()
                && self.types.is_empty()
                && self.slower_than_ns.is_none()
                && !self.unanswered;
        };
        let silent = matches!(event, Event::Unanswered(_));
        let failure = transaction.response.as_ref().is_none_or(|r| r.rcode != 0 || r.error.is_some());
        let slow = |limit| silent || transaction.latency_ns().is_some_and(|latency| latency >= limit);
        (self.domains.is_empty() || self.domains.matches_text(&transaction.name))
            && (self.types.is_empty() || self.types.contains(&transaction.rtype))
            && self.slower_than_ns.is_none_or(slow)
            && (!self.failed || failure)
            && (!self.unanswered || silent)
    }
}

/// Appends the heading of the table that [`line()`] writes.
pub fn heading(out: &mut Vec<u8>) {
    let _ = writeln!(
        out,
        "{:<15} {:<21} {:<21} {:<6} {:<9} {:>9}  NAME -> ANSWERS",
        "TIME", "CLIENT", "SERVER", "TYPE", "RCODE", "LATENCY"
    );
}

/// Appends one line about an event, with its line end. Everything from the packet is escaped.
pub fn line(out: &mut Vec<u8>, event: &Event) {
    let transaction = match event {
        Event::Malformed(malformed) => return malformed_line(out, malformed),
        Event::Answered(t) | Event::Unanswered(t) | Event::Unexpected(t) => t,
    };
    let rcode = match transaction.rcode() {
        Some(rcode) => RcodeName(rcode).to_string(),
        None => "-".to_owned(),
    };
    let latency = match (event, transaction.latency_ns()) {
        (_, Some(ns)) => milliseconds(ns),
        (Event::Unanswered(_), None) => "none".to_owned(),
        (_, None) => "-".to_owned(),
    };
    clock(out, transaction.ts());
    let name = if transaction.name.is_empty() { "(no question)" } else { &transaction.name };
    let _ = write!(
        out,
        " {:<21} {:<21} {:<6} {:<9} {:>9}  {}",
        transaction.client.to_string(),
        transaction.server.to_string(),
        TypeName(transaction.rtype),
        rcode,
        latency,
        name
    );
    details(out, event, transaction);
    out.push(b'\n');
}

fn details(out: &mut Vec<u8>, event: &Event, transaction: &Transaction) {
    if let Some(response) = &transaction.response {
        for (index, answer) in response.answers.iter().enumerate() {
            let _ = write!(out, "{}", if index == 0 { " -> " } else { ", " });
            if answer.rtype != transaction.rtype {
                let _ = write!(out, "{} ", TypeName(answer.rtype));
            }
            let _ = write!(out, "{} (ttl {})", answer.data, answer.ttl);
        }
        let missing = usize::from(response.answer_count).saturating_sub(response.answers.len());
        if missing > 0 && !response.truncated {
            let _ = write!(out, " [{missing} more]");
        }
    }
    let mut notes = Vec::new();
    if transaction.protocol == super::Protocol::Tcp {
        notes.push("tcp".to_owned());
    }
    if transaction.class != 1 && transaction.class != 0 {
        notes.push(format!("class {}", ClassName(transaction.class)));
    }
    if transaction.retries > 0 {
        notes.push(format!("asked {} times", transaction.retries + 1));
    }
    if matches!(event, Event::Unanswered(_)) {
        notes.push("no response".to_owned());
    }
    if matches!(event, Event::Unexpected(_)) {
        notes.push("query not seen".to_owned());
    }
    if let Some(response) = &transaction.response {
        if response.truncated {
            notes.push("truncated".to_owned());
        }
        if response.partial {
            notes.push("packet incomplete".to_owned());
        }
        if let Some(error) = response.error {
            notes.push(format!("damaged: {error}"));
        }
    }
    if !notes.is_empty() {
        let _ = write!(out, " [{}]", notes.join(", "));
    }
}

fn malformed_line(out: &mut Vec<u8>, malformed: &Malformed) {
    clock(out, malformed.ts);
    let _ = writeln!(
        out,
        " {:<21} {:<21} {:<6} {:<9} {:>9}  not a DNS message ({} bytes, {})",
        malformed.src.to_string(),
        malformed.dst.to_string(),
        "-",
        "MALFORMED",
        "-",
        malformed.len,
        malformed.error
    );
}

/// Local time of day with microseconds.
fn clock(out: &mut Vec<u8>, ts: Timestamp) {
    let local = crate::print::local_time(ts.seconds());
    let _ = write!(out, "{:02}:{:02}:{:02}.{:06}", local.hour, local.minute, local.second, ts.nanos() / 1000);
}

/// Appends an event as one JSON object without a line end.
///
/// Fields: `event` (`answered`, `unanswered`, `unexpected`, `malformed`), `ts`, `client`, `client_port`, `server`,
/// `server_port`, `protocol`, `id`, `name`, `type`, `class`, `retries`, `latency_ms`, `rcode`, `answers` (array of
/// `name`, `type`, `ttl`, `data`), and flags where they are true.
pub fn json(out: &mut Vec<u8>, event: &Event) {
    let mut o = Object::new(out);
    let (kind, transaction) = match event {
        Event::Answered(t) => ("answered", t),
        Event::Unanswered(t) => ("unanswered", t),
        Event::Unexpected(t) => ("unexpected", t),
        Event::Malformed(malformed) => {
            o.text("event", b"malformed");
            timestamp(o.key("ts"), malformed.ts);
            o.plain("src", |out| num::ip(out, malformed.src.ip()));
            o.number("sport", malformed.src.port());
            o.plain("dst", |out| num::ip(out, malformed.dst.ip()));
            o.number("dport", malformed.dst.port());
            o.text("protocol", malformed.protocol.name().as_bytes());
            o.number("len", malformed.len as u64);
            error(&mut o, malformed.error);
            o.end();
            return;
        }
    };
    o.text("event", kind.as_bytes());
    timestamp(o.key("ts"), transaction.ts());
    o.plain("client", |out| num::ip(out, transaction.client.ip()));
    o.number("client_port", transaction.client.port());
    o.plain("server", |out| num::ip(out, transaction.server.ip()));
    o.number("server_port", transaction.server.port());
    o.text("protocol", transaction.protocol.name().as_bytes());
    o.number("id", transaction.id);
    o.text("name", transaction.name.as_bytes());
    o.text("type", TypeName(transaction.rtype).to_string().as_bytes());
    if transaction.class != 1 {
        o.text("class", ClassName(transaction.class).to_string().as_bytes());
    }
    if transaction.opcode != 0 {
        o.number("opcode", transaction.opcode);
    }
    if transaction.retries > 0 {
        o.number("retries", transaction.retries);
    }
    if let Some(ns) = transaction.latency_ns() {
        let out = o.key("latency_ms");
        num::decimal(out, ns / 1_000_000);
        out.push(b'.');
        num::padded(out, ns % 1_000_000, 6);
    }
    json_response(&mut o, transaction);
    o.end();
}

fn json_response(o: &mut Object<'_>, transaction: &Transaction) {
    let Some(response) = &transaction.response else { return };
    o.text("rcode", RcodeName(response.rcode).to_string().as_bytes());
    o.number("len", response.len as u64);
    let flags = [
        ("truncated", response.truncated),
        ("authoritative", response.authoritative),
        ("authenticated", response.authenticated),
        ("incomplete", response.partial),
    ];
    for (name, _) in flags.into_iter().filter(|(_, set)| *set) {
        o.flag(name, true);
    }
    let out = o.key("answers");
    out.push(b'[');
    for (index, answer) in response.answers.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b"," } else { b"" });
        let mut a = Object::new(out);
        a.text("name", answer.name.as_bytes());
        a.text("type", TypeName(answer.rtype).to_string().as_bytes());
        a.number("ttl", answer.ttl);
        a.text("data", answer.data.as_bytes());
        a.end();
    }
    out.push(b']');
    if let Some(fault) = response.error {
        error(o, fault);
    }
}

fn error(o: &mut Object<'_>, error: DnsError) {
    o.text("error", error.to_string().as_bytes());
}

/// Adds a message as a member of an object: `id`, `response`, `opcode`, `rcode`, flags, `questions` and `answers`.
pub(crate) fn json_message(o: &mut Object<'_>, key: &str, bytes: &[u8]) {
    let mut dns = o.object(key);
    match Message::parse(bytes) {
        Ok(message) => {
            if let Err(fault) = json_message_fields(&mut dns, &message) {
                error(&mut dns, fault);
            }
        }
        Err(fault) => error(&mut dns, fault),
    }
    dns.end();
}

fn json_message_fields(dns: &mut Object<'_>, message: &Message<'_>) -> Result<(), DnsError> {
    dns.number("id", message.id());
    dns.flag("response", message.is_response());
    if message.opcode() != 0 {
        dns.number("opcode", message.opcode());
    }
    if message.is_response() {
        dns.text("rcode", RcodeName(message.rcode()).to_string().as_bytes());
    }
    if message.is_truncated() {
        dns.flag("truncated", true);
    }
    let mut text = Vec::new();
    let mut fault = None;
    let out = dns.key("questions");
    out.push(b'[');
    for (index, question) in message.questions().enumerate() {
        let question = match question {
            Ok(question) => question,
            Err(error) => {
                fault = Some(error);
                break;
            }
        };
        out.extend_from_slice(if index > 0 { b"," } else { b"" });
        let mut q = Object::new(out);
        text.clear();
        question.name.write(&mut text);
        q.text("name", &text);
        q.text("type", TypeName(question.rtype).to_string().as_bytes());
        q.end();
    }
    out.push(b']');
    let out = dns.key("answers");
    out.push(b'[');
    let mut first = true;
    for record in message.records() {
        let (record, data) = match record.and_then(|record| record.data().map(|data| (record, data))) {
            Ok(decoded) => decoded,
            Err(error) => {
                fault.get_or_insert(error);
                break;
            }
        };
        if record.section != Section::Answer {
            continue;
        }
        out.extend_from_slice(if first { b"" } else { b"," });
        first = false;
        let mut a = Object::new(out);
        text.clear();
        record.name.write(&mut text);
        a.text("name", &text);
        a.text("type", TypeName(record.rtype).to_string().as_bytes());
        a.number("ttl", record.ttl);
        text.clear();
        data.write(&mut text);
        a.text("data", &text);
        a.end();
    }
    out.push(b']');
    fault.map_or(Ok(()), Err)
}

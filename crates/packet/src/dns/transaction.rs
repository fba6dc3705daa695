//! What the tracker finds: queries with their responses, in owned form.

use super::error::DnsError;
use super::message::{Message, Section};
use crate::Timestamp;
use std::net::SocketAddr;

/// How a message was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl Protocol {
    /// `udp` or `tcp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// A query and, if there was one, its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// When the first query was seen; `None` if only the response was.
    pub asked: Option<Timestamp>,
    /// Who asked.
    pub client: SocketAddr,
    /// Who was asked.
    pub server: SocketAddr,
    /// How.
    pub protocol: Protocol,
    /// The identifier of the messages.
    pub id: u16,
    /// Operation: 0 query, 4 notify, 5 update.
    pub opcode: u8,
    /// The name asked for, in the case of the query; empty if the message has no question.
    pub name: String,
    /// The record type asked for.
    pub rtype: u16,
    /// The class asked for.
    pub class: u16,
    /// How often the same query was sent again before the response.
    pub retries: u32,
    /// The response.
    pub response: Option<Response>,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// When it was seen.
    pub ts: Timestamp,
    /// Response code, extended by EDNS.
    pub rcode: u16,
    /// The message was cut to fit UDP; the client will ask again over TCP.
    pub truncated: bool,
    /// The server is an authority for the name.
    pub authoritative: bool,
    /// The server offers recursion.
    pub recursion_available: bool,
    /// The server has verified the data by DNSSEC.
    pub authenticated: bool,
    /// Length of the message in bytes.
    pub len: usize,
    /// The answers, [`MOST_ANSWERS`] at most.
    pub answers: Vec<Answer>,
    /// How many answers the header states.
    pub answer_count: u16,
    /// The fault that ended decoding, if the message is damaged.
    pub error: Option<DnsError>,
    /// The packet was cut off or a fragment: more answers may exist than are listed.
    pub partial: bool,
}

/// More answers of a response are counted, not kept.
pub const MOST_ANSWERS: usize = 64;

/// One record of the answer section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whose record it is.
    pub name: String,
    /// Its type.
    pub rtype: u16,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// Its data as text.
    pub data: String,
}

/// Something that the tracker tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A query was answered.
    Answered(Transaction),
    /// A query was not answered in time, or not before the end.
    Unanswered(Transaction),
    /// A response came without a query that was seen.
    Unexpected(Transaction),
    /// A packet on a DNS port does not hold a DNS message.
    Malformed(Malformed),
}

/// A message that could not be decoded as far as its question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// When it was seen.
    pub ts: Timestamp,
    /// Who sent it.
    pub src: SocketAddr,
    /// To whom.
    pub dst: SocketAddr,
    /// How.
    pub protocol: Protocol,
    /// Length of the message in bytes.
    pub len: usize,
    /// What is wrong.
    pub error: DnsError,
}

impl Transaction {
    /// Time from the first query to the response in nanoseconds; 0 if the clock went backwards.
    #[must_use]
    pub fn latency_ns(&self) -> Option<u64> {
        let (asked, response) = (self.asked?, self.response.as_ref()?);
        Some(u64::try_from(response.ts.0.saturating_sub(asked.0)).unwrap_or(0))
    }

    /// When the transaction began: the query's time, else the response's.
    #[must_use]
    pub fn ts(&self) -> Timestamp {
        self.asked.or(self.response.as_ref().map(|response| response.ts)).unwrap_or_default()
    }

    /// The response code, if there was a response.
    #[must_use]
    pub fn rcode(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.rcode)
    }
}

impl Event {
    /// The transaction, if the event is about one.
    #[must_use]
    pub fn transaction(&self) -> Option<&Transaction> {
        match self {
            Self::Answered(t) | Self::Unanswered(t) | Self::Unexpected(t) => Some(t),
            Self::Malformed(_) => None,
        }
    }
}

impl Response {
    /// Takes over what a response says. `partial` tells that the packet was not complete.
    pub(super) fn new(message: &Message<'_>, ts: Timestamp, partial: bool) -> Self {
        let mut answers = Vec::new();
        let mut error = None;
        for record in message.records() {
            let decoded = record.and_then(|record| record.data().map(|data| (record, data)));
            match decoded {
                Ok((record, data)) if record.section == Section::Answer => {
                    if answers.len() >= MOST_ANSWERS {
                        continue;
                    }
                    let mut text = Vec::new();
                    data.write(&mut text);
                    answers.push(Answer {
                        name: record.name.to_string(),
                        rtype: record.rtype,
                        ttl: record.ttl,
                        data: String::from_utf8_lossy(&text).into_owned(),
                    });
                }
                Ok(_) => {}
                Err(fault) => {
                    error = Some(fault);
                    break;
                }
            }
        }
        use super::error::DnsErrorKind::Truncated;
        let cut = matches!(error, Some(DnsError { kind: Truncated, .. })) && (partial || message.is_truncated());
        Self {
            ts,
            rcode: message.rcode(),
            truncated: message.is_truncated(),
            authoritative: message.is_authoritative(),
            recursion_available: message.recursion_available(),
            authenticated: message.flags() & 0x20 != 0,
            len: message.bytes().len(),
            answers,
            answer_count: message.counts()[1],
            error: if cut { None } else { error },
            partial,
        }
    }
}

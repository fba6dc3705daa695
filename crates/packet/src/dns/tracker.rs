//! Pairs queries with responses over a stream of packets, in bounded memory.
//!
//! A query is known by its ends, identifier, and question. The same query sent again counts as a retry; a response
//! that comes again counts as a repetition. Queries without a response are told after a timeout.

use super::message::Message;
use super::stream::{Segment, Streams};
use super::transaction::{Event, Malformed, Protocol, Response, Transaction};
use crate::decode::{Layers, Part, Transport};
use crate::{Packet, Timestamp};
use skep_proto::numbers::{port, tcp_flag};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// What a tracker looks at and how much it remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerOptions {
    /// Ports that carry DNS, 53 by default.
    pub ports: Vec<u16>,
    /// A query without a response for so many nanoseconds is unanswered. 5 seconds by default.
    pub timeout_ns: u64,
    /// Most queries that wait for a response; the oldest gives way. 100,000 by default.
    pub most_pending: usize,
    /// Most directions of TCP connections followed at once. 4,096 by default.
    pub most_flows: usize,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self { ports: vec![port::DNS], timeout_ns: 5_000_000_000, most_pending: 100_000, most_flows: 4096 }
    }
}

/// What went through a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackerCounts {
    /// Packets given to it.
    pub packets: u64,
    /// DNS messages found.
    pub messages: u64,
    /// Queries among them, retries included.
    pub queries: u64,
    /// Responses among them.
    pub responses: u64,
    /// Queries sent again.
    pub retries: u64,
    /// Responses that came again.
    pub repeated_responses: u64,
    /// Messages with a fault.
    pub malformed: u64,
    /// Fragments after the first, which cannot be assigned to a port and are not looked at.
    pub later_fragments: u64,
    /// Gaps in TCP streams.
    pub tcp_gaps: u64,
    /// TCP streams given up to stay within the bounds.
    pub tcp_dropped: u64,
    /// Queries told as unanswered early to stay within the bounds.
    pub evicted: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    client: SocketAddr,
    server: SocketAddr,
    protocol: Protocol,
    id: u16,
}

#[derive(Debug)]
struct Pending {
    /// The name in lower case, for comparison.
    lower: Vec<u8>,
    transaction: Transaction,
    /// The response was seen; what is left waits for repetitions.
    answered: bool,
    serial: u64,
}

/// Pairs queries and responses.
#[derive(Debug)]
pub struct Tracker {
    options: TrackerOptions,
    pending: HashMap<Key, Vec<Pending>>,
    /// How many are in `pending`.
    waiting: usize,
    /// The oldest first.
    queue: VecDeque<(Timestamp, Key, u64)>,
    serial: u64,
    streams: Streams,
    counts: TrackerCounts,
}

/// Where a message came from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    ts: Timestamp,
    src: SocketAddr,
    dst: SocketAddr,
    protocol: Protocol,
    /// Not all of it was captured, or it is a fragment.
    partial: bool,
}

impl Tracker {
    /// A tracker with options.
    #[must_use]
    pub fn new(options: TrackerOptions) -> Self {
        let streams = Streams::new(options.most_flows);
        Self {
            options,
            pending: HashMap::new(),
            waiting: 0,
            queue: VecDeque::new(),
            serial: 0,
            streams,
            counts: TrackerCounts::default(),
        }
    }

    /// What went through it so far.
    #[must_use]
    pub fn counts(&self) -> TrackerCounts {
        TrackerCounts { tcp_gaps: self.streams.gaps, tcp_dropped: self.streams.dropped, ..self.counts }
    }

    /// How many queries wait for a response.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pending.values().flatten().filter(|pending| !pending.answered).count()
    }

    /// Takes a packet. Packets that are not DNS are ignored. First come events about queries whose time is over.
    pub fn packet(&mut self, packet: &Packet<'_>, sink: &mut dyn FnMut(Event)) {
        self.counts.packets += 1;
        self.expire(packet.ts, sink);
        self.layers(packet.ts, &Layers::of(packet.link, packet.data, packet.orig_len), 0, sink);
    }

    fn layers(&mut self, ts: Timestamp, layers: &Layers<'_>, depth: u8, sink: &mut dyn FnMut(Event)) {
        if layers.fragment.is_some_and(|(offset, _)| offset > 0) {
            self.counts.later_fragments += 1;
            return;
        }
        if let (Some((src, dst)), Some((sport, dport))) = (layers.addresses(), layers.ports())
            && (self.options.ports.contains(&sport) || self.options.ports.contains(&dport))
        {
            let (src, dst) = (SocketAddr::new(src, sport), SocketAddr::new(dst, dport));
            let partial = layers.fragment.is_some() || !layers.payload.is_whole();
            match layers.transport {
                Transport::Udp(udp) => {
                    let origin = Origin { ts, src, dst, protocol: Protocol::Udp, partial };
                    self.message(udp.payload.data, &origin, sink);
                }
                Transport::Tcp(tcp) => {
                    let origin = Origin { ts, src, dst, protocol: Protocol::Tcp, partial: false };
                    self.segment(&tcp, tcp.payload, &origin, partial, sink);
                }
                _ => {}
            }
        } else if depth < 4
            && let Some((_, inner)) = layers.inner()
        {
            self.layers(ts, &inner, depth + 1, sink);
        }
    }

    fn segment(
        &mut self,
        tcp: &crate::decode::Tcp<'_>,
        payload: Part<'_>,
        origin: &Origin,
        cut: bool,
        sink: &mut dyn FnMut(Event),
    ) {
        let segment = Segment {
            key: (origin.src, origin.dst),
            seq: tcp.seq,
            syn: tcp.flags & tcp_flag::SYN != 0,
            last: tcp.flags & (tcp_flag::FIN | tcp_flag::RST) != 0,
            payload: payload.data,
            cut,
        };
        // The streams are taken out for the time, since the messages need the rest of the tracker.
        let mut streams = std::mem::replace(&mut self.streams, Streams::new(1));
        streams.segment(segment, |message| self.message(message, origin, sink));
        self.streams = streams;
    }

    /// Takes one DNS message.
    fn message(&mut self, bytes: &[u8], origin: &Origin, sink: &mut dyn FnMut(Event)) {
        if bytes.is_empty() {
            return;
        }
        self.counts.messages += 1;
        let decoded = Message::parse(bytes).and_then(|message| {
            let question = message.questions().next().transpose()?;
            Ok((message, question))
        });
        let (message, question) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                self.counts.malformed += 1;
                sink(Event::Malformed(Malformed {
                    ts: origin.ts,
                    src: origin.src,
                    dst: origin.dst,
                    protocol: origin.protocol,
                    len: bytes.len(),
                    error,
                }));
                return;
            }
        };
        let response = message.is_response();
        let (client, server) = if response { (origin.dst, origin.src) } else { (origin.src, origin.dst) };
        let key = Key { client, server, protocol: origin.protocol, id: message.id() };
        let mut lower = Vec::new();
        let mut transaction = Transaction {
            asked: None,
            client,
            server,
            protocol: origin.protocol,
            id: key.id,
            opcode: message.opcode(),
            name: String::new(),
            rtype: 0,
            class: 0,
            retries: 0,
            response: None,
        };
        if let Some(question) = question {
            question.name.write_lower(&mut lower);
            transaction.name = question.name.to_string();
            (transaction.rtype, transaction.class) = (question.rtype, question.class);
        }
        if response {
            self.counts.responses += 1;
            let response = Response::new(&message, origin.ts, origin.partial);
            self.counts.malformed += u64::from(response.error.is_some());
            transaction.response = Some(response);
            self.response(&key, &lower, transaction, sink);
        } else {
            self.counts.queries += 1;
            transaction.asked = Some(origin.ts);
            self.query(key, lower, transaction, sink);
        }
    }

    fn query(&mut self, key: Key, lower: Vec<u8>, transaction: Transaction, sink: &mut dyn FnMut(Event)) {
        let ts = transaction.ts();
        if let Some(same) = self.find(&key, &lower, &transaction) {
            if same.answered {
                // The identifier is used again: a new transaction in the old place.
                same.transaction = transaction;
                same.answered = false;
                let serial = same.serial;
                self.queue.push_back((ts, key, serial));
            } else {
                same.transaction.retries += 1;
                self.counts.retries += 1;
            }
        } else {
            self.serial += 1;
            let pending = Pending { lower, transaction, answered: false, serial: self.serial };
            self.pending.entry(key).or_default().push(pending);
            self.waiting += 1;
            self.queue.push_back((ts, key, self.serial));
        }
        while self.waiting > self.options.most_pending.max(1) || self.queue.len() > 2 * self.options.most_pending.max(1)
        {
            let Some((ts, key, serial)) = self.queue.pop_front() else { break };
            if self.drop_pending(&key, serial, ts, sink) {
                self.counts.evicted += 1;
            }
        }
    }

    fn response(&mut self, key: &Key, lower: &[u8], transaction: Transaction, sink: &mut dyn FnMut(Event)) {
        let Some(found) = self.find(key, lower, &transaction) else {
            sink(Event::Unexpected(transaction));
            return;
        };
        if found.answered {
            self.counts.repeated_responses += 1;
            return;
        }
        found.answered = true;
        // Only what tells a repetition stays behind; names and answers go out.
        let name = std::mem::take(&mut found.transaction.name);
        sink(Event::Answered(Transaction { name, response: transaction.response, ..found.transaction.clone() }));
    }

    /// The query of a message: the one with the same question, or any if the response has none.
    fn find(&mut self, key: &Key, lower: &[u8], transaction: &Transaction) -> Option<&mut Pending> {
        let any = transaction.name.is_empty() && transaction.response.is_some();
        self.pending.get_mut(key)?.iter_mut().find(|pending| {
            let other = &pending.transaction;
            any || (pending.lower == lower && (other.rtype, other.class) == (transaction.rtype, transaction.class))
        })
    }

    /// Tells queries whose time is over at `now`.
    pub fn expire(&mut self, now: Timestamp, sink: &mut dyn FnMut(Event)) {
        while let Some(&(ts, key, serial)) = self.queue.front() {
            let age = u64::try_from(now.0.saturating_sub(ts.0)).unwrap_or(0);
            if age < self.options.timeout_ns {
                return;
            }
            self.queue.pop_front();
            self.drop_pending(&key, serial, ts, sink);
        }
    }

    /// Tells all queries that still wait: the input has ended.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        while let Some((ts, key, serial)) = self.queue.pop_front() {
            self.drop_pending(&key, serial, ts, sink);
        }
    }

    /// Forgets the query that was asked at `ts`, and tells it if it was not answered. A place in the queue may be older
    /// than the transaction that took over the place of an answered one: then nothing happens.
    fn drop_pending(&mut self, key: &Key, serial: u64, ts: Timestamp, sink: &mut dyn FnMut(Event)) -> bool {
        let Some(list) = self.pending.get_mut(key) else { return false };
        let Some(at) = list.iter().position(|pending| pending.serial == serial) else { return false };
        if list[at].transaction.asked != Some(ts) {
            return false;
        }
        let pending = list.swap_remove(at);
        if list.is_empty() {
            self.pending.remove(key);
        }
        self.waiting -= 1;
        if !pending.answered {
            sink(Event::Unanswered(pending.transaction));
        }
        !pending.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkType;
    use crate::dns::message::tests::message;

    /// A raw IPv4 packet from port to port.
    fn udp(query: bool, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0];
        let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 53]);
        let (src, dst, sport, dport) =
            if query { (client, server, 4000u16, 53u16) } else { (server, client, 53, 4000) };
        packet.extend(src);
        packet.extend(dst);
        packet.extend(sport.to_be_bytes());
        packet.extend(dport.to_be_bytes());
        packet.extend((body.len() as u16 + 8).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(body);
        let total = packet.len() as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet
    }

    struct Run {
        tracker: Tracker,
        events: Vec<Event>,
    }

    impl Run {
        fn new() -> Self {
            Self { tracker: Tracker::new(TrackerOptions::default()), events: Vec::new() }
        }

        fn feed(&mut self, millis: i64, bytes: &[u8]) {
            let packet = Packet::new(Timestamp(millis * 1_000_000), bytes, bytes.len() as u32, LinkType::RAW);
            self.tracker.packet(&packet, &mut |event| self.events.push(event));
        }
    }

    const A: &[(&[u8], u16, u32, &[u8])] = &[(b"\xc0\x0c", 1, 300, &[1, 2, 3, 4])];

    #[test]
    fn a_query_meets_its_response_whatever_the_case() {
        let mut run = Run::new();
        run.feed(0, &udp(true, &message(7, 0x100, "FoO.bar", 1, &[])));
        run.feed(2, &udp(true, &message(7, 0x100, "FoO.bar", 1, &[])));
        run.feed(3, &udp(false, &message(7, 0x8180, "other.bar", 1, A)));
        run.feed(5, &udp(false, &message(7, 0x8180, "foo.BAR", 1, A)));
        run.feed(6, &udp(false, &message(7, 0x8180, "foo.BAR", 1, A)));
        let [Event::Unexpected(wrong), Event::Answered(t)] = &run.events[..] else { panic!("{:?}", run.events) };
        assert_eq!(wrong.name, "other.bar");
        assert_eq!((t.name.as_str(), t.retries, t.latency_ns()), ("FoO.bar", 1, Some(5_000_000)));
        assert_eq!(t.response.as_ref().unwrap().answers[0].data, "1.2.3.4");
        let counts = run.tracker.counts();
        assert_eq!((counts.retries, counts.repeated_responses, counts.queries), (1, 1, 2));
    }

    #[test]
    fn silence_is_told_after_the_timeout_and_at_the_end() {
        let mut run = Run::new();
        run.feed(0, &udp(true, &message(1, 0x100, "a.org", 1, &[])));
        run.feed(4000, &udp(true, &message(2, 0x100, "b.org", 1, &[])));
        assert!(run.events.is_empty());
        run.feed(5000, &udp(true, &message(3, 0x100, "c.org", 1, &[])));
        assert!(matches!(&run.events[..], [Event::Unanswered(t)] if t.name == "a.org"));
        run.feed(5001, &udp(false, &message(3, 0x8180, "c.org", 1, A)));
        run.tracker.finish(&mut |event| run.events.push(event));
        assert!(matches!(&run.events[2..], [Event::Unanswered(t)] if t.name == "b.org"));
        assert_eq!((run.tracker.waiting(), run.tracker.pending.len()), (0, 0));
    }

    #[test]
    fn an_identifier_may_be_used_again() {
        let mut run = Run::new();
        for round in 0..3 {
            run.feed(round * 10, &udp(true, &message(1, 0x100, "a.org", 1, &[])));
            run.feed(round * 10 + 1, &udp(false, &message(1, 0x8183, "a.org", 1, &[])));
        }
        run.feed(40, &udp(true, &message(1, 0x100, "a.org", 1, &[])));
        run.tracker.finish(&mut |event| run.events.push(event));
        assert!(run.events[..3].iter().all(|e| matches!(e, Event::Answered(t) if t.rcode() == Some(3))));
        assert!(matches!(&run.events[3..], [Event::Unanswered(_)]));
    }

    #[test]
    fn a_response_without_question_still_answers() {
        let mut run = Run::new();
        run.feed(0, &udp(true, &message(9, 0x100, "a.org", 1, &[])));
        run.feed(1, &udp(false, &[0, 9, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(matches!(&run.events[..], [Event::Answered(t)] if t.rcode() == Some(1) && t.name == "a.org"));
    }

    #[test]
    fn rubbish_is_counted_and_told() {
        let mut run = Run::new();
        let mut five_questions = message(1, 0x100, "a.org", 1, &[]);
        five_questions[5] = 5;
        run.feed(0, &udp(true, b"short"));
        run.feed(0, &udp(true, &five_questions));
        run.feed(0, &udp(true, &[&five_questions[..12], b"\xc0\x0c\0\x01\0\x01"].concat()));
        assert!(matches!(&run.events[..], [Event::Malformed(_), Event::Malformed(m)] if m.error.offset == 12));
        assert_eq!(run.tracker.counts().malformed, 2);
    }

    #[test]
    fn memory_is_bounded() {
        let mut run = Run::new();
        run.tracker.options.most_pending = 100;
        for id in 0..10_000u16 {
            run.feed(0, &udp(true, &message(id, 0x100, "a.org", 1, &[])));
            run.feed(0, &udp(false, &message(id, 0x8180, "a.org", 1, A)));
            run.feed(0, &udp(true, &message(id, 0x100, "b.org", 1, &[])));
        }
        assert!(run.tracker.pending.len() <= 100 && run.tracker.queue.len() <= 201);
        assert!(run.tracker.counts().evicted >= 9_800);
    }
}

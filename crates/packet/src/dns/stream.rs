//! DNS messages out of TCP segments: each direction of a connection is put together in order, within bounds.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// One direction of a connection: from, to.
type FlowKey = (SocketAddr, SocketAddr);

#[derive(Debug)]
struct Flow {
    /// The sequence number of the next byte that is expected.
    next: u32,
    /// Bytes of a message that is not complete.
    buffer: Vec<u8>,
    /// Tells a flow from an earlier one between the same ends.
    serial: u64,
}

/// A segment's place in its flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) key: FlowKey,
    pub(super) seq: u32,
    pub(super) syn: bool,
    /// FIN or RST: nothing follows.
    pub(super) last: bool,
    pub(super) payload: &'a [u8],
    /// Not all bytes of the segment were captured.
    pub(super) cut: bool,
}

/// Connections whose messages are put together. Segments out of order are not kept: what comes after a gap begins
/// anew if it looks like the beginning of a message.
#[derive(Debug)]
pub(super) struct Streams {
    flows: HashMap<FlowKey, Flow>,
    order: VecDeque<(FlowKey, u64)>,
    most_flows: usize,
    buffered: usize,
    serial: u64,
    /// Gaps in the sequence numbers that were met.
    pub(super) gaps: u64,
    /// Flows given up to stay within the bounds.
    pub(super) dropped: u64,
}

/// Bytes of incomplete messages over all flows.
const MOST_BUFFERED: usize = 16 << 20;

impl Streams {
    pub(super) fn new(most_flows: usize) -> Self {
        Self {
            flows: HashMap::new(),
            order: VecDeque::new(),
            most_flows: most_flows.max(1),
            buffered: 0,
            serial: 0,
            gaps: 0,
            dropped: 0,
        }
    }

    /// Takes a segment and passes on every message that it completes.
    pub(super) fn segment(&mut self, segment: Segment<'_>, mut message: impl FnMut(&[u8])) {
        let data_seq = segment.seq.wrapping_add(u32::from(segment.syn));
        if segment.syn {
            self.remove(&segment.key);
            if segment.payload.is_empty() {
                self.insert(segment.key, data_seq);
                return;
            }
        }
        if !segment.payload.is_empty() {
            self.data(&segment, data_seq, &mut message);
        }
        if segment.last || segment.cut {
            self.remove(&segment.key);
        }
    }

    fn data(&mut self, segment: &Segment<'_>, seq: u32, message: &mut impl FnMut(&[u8])) {
        if !self.flows.contains_key(&segment.key) {
            if !plausible(segment.payload) {
                return;
            }
            self.insert(segment.key, seq);
        }
        let Some(flow) = self.flows.get_mut(&segment.key) else { return };
        // Negative: seen before; positive: something is missing.
        let ahead = seq.wrapping_sub(flow.next) as i32;
        let mut fresh = segment.payload;
        if ahead > 0 {
            self.gaps += 1;
            self.buffered -= flow.buffer.len();
            flow.buffer.clear();
            if !plausible(segment.payload) {
                self.remove(&segment.key);
                return;
            }
        } else {
            fresh = fresh.get(ahead.unsigned_abs() as usize..).unwrap_or_default();
            if fresh.is_empty() {
                return;
            }
        }
        flow.next = seq.wrapping_add(segment.payload.len() as u32);
        let before = flow.buffer.len();
        let used;
        if before == 0 {
            used = emit(fresh, message);
            flow.buffer.extend_from_slice(fresh.get(used..).unwrap_or_default());
        } else {
            flow.buffer.extend_from_slice(fresh);
            used = emit(&flow.buffer, message);
            flow.buffer.drain(..used);
        }
        if flow.buffer.is_empty() {
            // A message of 64 KiB should not leave its memory behind in every flow.
            flow.buffer.shrink_to(512);
        }
        self.buffered = self.buffered - before + flow.buffer.len();
        if self.buffered > MOST_BUFFERED {
            self.dropped += 1;
            self.remove(&segment.key);
        }
    }

    fn insert(&mut self, key: FlowKey, next: u32) {
        self.serial += 1;
        while self.flows.len() >= self.most_flows || self.order.len() >= 2 * self.most_flows {
            let Some((oldest, serial)) = self.order.pop_front() else { break };
            if self.flows.get(&oldest).is_some_and(|flow| flow.serial == serial) {
                self.dropped += 1;
                self.remove(&oldest);
            }
        }
        self.order.push_back((key, self.serial));
        self.flows.insert(key, Flow { next, buffer: Vec::new(), serial: self.serial });
    }

    fn remove(&mut self, key: &FlowKey) {
        if let Some(flow) = self.flows.remove(key) {
            self.buffered -= flow.buffer.len();
        }
    }
}

/// Passes on complete messages; returns how many bytes they take.
fn emit(bytes: &[u8], message: &mut impl FnMut(&[u8])) -> usize {
    let (messages, used) = super::message::split_stream(bytes);
    messages.for_each(message);
    used
}

/// True if bytes whose place in the stream is unknown look like a length and a DNS header with few questions.
fn plausible(bytes: &[u8]) -> bool {
    match bytes {
        [l1, l2, _, _, _, _, q1, q2, ..] => u16::from_be_bytes([*l1, *l2]) >= 12 && u16::from_be_bytes([*q1, *q2]) <= 4,
        // Some senders put the length into a segment of its own.
        [l1, l2] => u16::from_be_bytes([*l1, *l2]) >= 12,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> FlowKey {
        (SocketAddr::from(([10, 0, 0, 1], port)), SocketAddr::from(([10, 0, 0, 2], 53)))
    }

    fn run(streams: &mut Streams, seq: u32, syn: bool, payload: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let segment = Segment { key: key(1), seq, syn, last: false, payload, cut: false };
        streams.segment(segment, |message| out.push(message.to_vec()));
        out
    }

    /// A message of some length behind its length field, with a plausible header.
    fn framed(length: u8) -> Vec<u8> {
        let mut bytes = vec![0, length, 9, 9, 1, 0, 0, 1];
        bytes.resize(2 + usize::from(length), 7);
        bytes
    }

    #[test]
    fn messages_over_several_segments_and_several_in_one() {
        let mut streams = Streams::new(10);
        let stream = [framed(20), framed(13), framed(15)].concat();
        assert!(run(&mut streams, 99, true, b"").is_empty());
        let mut found = Vec::new();
        let mut at = 0;
        for size in [1, 1, 30, 5, 20] {
            let end = (at + size).min(stream.len());
            found.extend(run(&mut streams, 100 + at as u32, false, &stream[at..end]));
            // A repetition changes nothing.
            assert!(run(&mut streams, 100 + at as u32, false, &stream[at..end]).is_empty());
            at = end;
        }
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [20, 13, 15]);
        assert_eq!((streams.gaps, streams.buffered), (0, 0));
    }

    #[test]
    fn after_a_gap_it_begins_anew() {
        let mut streams = Streams::new(10);
        assert_eq!(run(&mut streams, 1000, false, &framed(20)[..10]).len(), 0);
        assert_eq!(run(&mut streams, 2000, false, &framed(13)).len(), 1);
        assert_eq!((streams.gaps, streams.buffered), (1, 0));
        // Bytes from the middle of nowhere are not taken for a message.
        assert_eq!(run(&mut streams, 3000, false, b"\xff\xffrubbish that is no message").len(), 0);
        assert!(streams.flows.is_empty());
    }

    #[test]
    fn bounds_hold() {
        let mut streams = Streams::new(100);
        for port in 0..5000 {
            let segment = Segment {
                key: key(port),
                seq: 1,
                syn: false,
                last: false,
                payload: &[&[0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &[0; 60_000]].concat(),
                cut: false,
            };
            streams.segment(segment, |_| panic!("no message is complete"));
            assert!(streams.flows.len() <= 100 && streams.order.len() <= 200 && streams.buffered <= MOST_BUFFERED);
        }
        let held: usize = streams.flows.values().map(|flow| flow.buffer.len()).sum();
        assert_eq!(held, streams.buffered);
        assert!(streams.dropped > 4000);
    }
}

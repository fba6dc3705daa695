//! DNS messages: header, questions, records. Decoding is lazy and allocates nothing.

use super::error::{DnsError, DnsErrorKind};
use super::name::Name;
use super::rdata::RData;
use super::types::rtype;

/// A DNS message (RFC 1035). The header has been read; questions and records are decoded by iterating.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 12;

/// Which section a record is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Answers.
    Answer,
    /// Authority: name servers of the zone, or its SOA for negative answers.
    Authority,
    /// Additional: addresses of servers, OPT.
    Additional,
}

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The name asked for.
    pub name: Name<'a>,
    /// The record type asked for.
    pub rtype: u16,
    /// The class as sent; in multicast DNS the top bit asks for a unicast response.
    pub class: u16,
}

/// A resource record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Which section it is in.
    pub section: Section,
    /// Whose record it is.
    pub name: Name<'a>,
    /// Its type.
    pub rtype: u16,
    /// Its class as sent; in multicast DNS the top bit flushes caches, in OPT it is the UDP size.
    pub class: u16,
    /// How long it may be kept, in seconds; other things in OPT.
    pub ttl: u32,
    /// Where its data begin in the message.
    pub data_offset: usize,
    /// Its data as bytes.
    pub raw: &'a [u8],
    message: &'a [u8],
}

impl<'a> Record<'a> {
    /// The data by type.
    ///
    /// # Errors
    /// [`DnsError`] if they do not fit the type.
    pub fn data(&self) -> Result<RData<'a>, DnsError> {
        RData::parse(self.rtype, self.message, self.data_offset, self.raw.len())
    }
}

/// The pseudo record of EDNS (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// Largest UDP payload that the sender can receive, in bytes.
    pub udp_size: u16,
    /// Upper eight bits of the response code.
    pub extended_rcode: u8,
    /// Version, 0.
    pub version: u8,
    /// The sender understands DNSSEC records.
    pub dnssec_ok: bool,
}

impl<'a> Message<'a> {
    /// Takes a message whose header is complete.
    ///
    /// # Errors
    /// [`DnsErrorKind::Truncated`] if it has fewer than 12 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DnsError> {
        if bytes.len() < HEADER_LEN {
            return Err(DnsError { offset: bytes.len(), kind: DnsErrorKind::Truncated });
        }
        Ok(Self { bytes })
    }

    /// All bytes of the message.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn word(&self, index: usize) -> u16 {
        // The constructor has made sure of twelve bytes.
        self.bytes.get(index * 2..index * 2 + 2).map_or(0, |pair| u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// The identifier that pairs a response with its query.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.word(0)
    }

    /// All flag bits with operation and response code.
    #[must_use]
    pub fn flags(&self) -> u16 {
        self.word(1)
    }

    /// True for a response.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.flags() & 0x8000 != 0
    }

    /// The operation: 0 query, 4 notify, 5 update.
    #[must_use]
    pub fn opcode(&self) -> u8 {
        (self.flags() >> 11 & 15) as u8
    }

    /// The server is an authority for the name.
    #[must_use]
    pub fn is_authoritative(&self) -> bool {
        self.flags() & 0x0400 != 0
    }

    /// The message was cut to fit a UDP packet.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.flags() & 0x0200 != 0
    }

    /// Recursion is desired.
    #[must_use]
    pub fn recursion_desired(&self) -> bool {
        self.flags() & 0x0100 != 0
    }

    /// Recursion is available.
    #[must_use]
    pub fn recursion_available(&self) -> bool {
        self.flags() & 0x0080 != 0
    }

    /// The four bits of the header's response code; see [`Message::rcode`].
    #[must_use]
    pub fn header_rcode(&self) -> u8 {
        (self.flags() & 15) as u8
    }

    /// The response code with the upper bits that EDNS adds, if its record is readable.
    #[must_use]
    pub fn rcode(&self) -> u16 {
        let upper = self.edns().map_or(0, |edns| u16::from(edns.extended_rcode) << 4);
        upper | u16::from(self.header_rcode())
    }

    /// Numbers of questions, answers, authority and additional records, as the header claims.
    #[must_use]
    pub fn counts(&self) -> [u16; 4] {
        [self.word(2), self.word(3), self.word(4), self.word(5)]
    }

    /// The questions. The iterator ends after the first error.
    #[must_use]
    pub fn questions(&self) -> Questions<'a> {
        Questions { message: self.bytes, at: HEADER_LEN, left: self.counts()[0] }
    }

    /// The records of all sections. The iterator ends after the first error.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        let mut questions = self.questions();
        let failed = questions.by_ref().find_map(Result::err);
        let counts = self.counts();
        Records { message: self.bytes, at: questions.at, left: [counts[1], counts[2], counts[3]], failed }
    }

    /// The EDNS record, if there is one before the first fault.
    #[must_use]
    pub fn edns(&self) -> Option<Edns> {
        let record = self.records().map_while(Result::ok).find(|record| record.rtype == rtype::OPT)?;
        let [extended_rcode, version, high, _] = record.ttl.to_be_bytes();
        Some(Edns { udp_size: record.class, extended_rcode, version, dnssec_ok: high & 0x80 != 0 })
    }

    /// Walks the whole message, the data of every record included.
    ///
    /// # Errors
    /// The first fault. A message with the truncation flag may end early between records.
    pub fn check(&self) -> Result<(), DnsError> {
        for question in self.questions() {
            question?;
        }
        for record in self.records() {
            match record {
                Ok(record) => {
                    record.data()?;
                }
                Err(DnsError { kind: DnsErrorKind::Truncated, .. }) if self.is_truncated() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Iterator over the questions of a message.
#[derive(Debug, Clone, Copy)]
pub struct Questions<'a> {
    message: &'a [u8],
    at: usize,
    left: u16,
}

impl<'a> Iterator for Questions<'a> {
    type Item = Result<Question<'a>, DnsError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let question = self.step();
        if question.is_err() {
            self.left = 0;
        }
        Some(question)
    }
}

impl<'a> Questions<'a> {
    fn step(&mut self) -> Result<Question<'a>, DnsError> {
        let (name, at) = Name::parse(self.message, self.at)?;
        let fixed: [u8; 4] = fixed(self.message, at)?;
        self.at = at + 4;
        let [t1, t2, c1, c2] = fixed;
        Ok(Question { name, rtype: u16::from_be_bytes([t1, t2]), class: u16::from_be_bytes([c1, c2]) })
    }
}

/// Iterator over the records of a message.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    message: &'a [u8],
    at: usize,
    left: [u16; 3],
    failed: Option<DnsError>,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DnsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.left = [0; 3];
            return Some(Err(error));
        }
        let sections = [Section::Answer, Section::Authority, Section::Additional];
        let (section, left) = sections.into_iter().zip(&mut self.left).find(|(_, left)| **left > 0)?;
        *left -= 1;
        let record = self.step(section);
        if record.is_err() {
            self.left = [0; 3];
        }
        Some(record)
    }
}

impl<'a> Records<'a> {
    fn step(&mut self, section: Section) -> Result<Record<'a>, DnsError> {
        let (name, at) = Name::parse(self.message, self.at)?;
        let [t1, t2, c1, c2, l1, l2, l3, l4, d1, d2] = fixed(self.message, at)?;
        let data_offset = at + 10;
        let end = data_offset + usize::from(u16::from_be_bytes([d1, d2]));
        let raw = self
            .message
            .get(data_offset..end)
            .ok_or(DnsError { offset: self.message.len(), kind: DnsErrorKind::Truncated })?;
        self.at = end;
        Ok(Record {
            section,
            name,
            rtype: u16::from_be_bytes([t1, t2]),
            class: u16::from_be_bytes([c1, c2]),
            ttl: u32::from_be_bytes([l1, l2, l3, l4]),
            data_offset,
            raw,
            message: self.message,
        })
    }
}

fn fixed<const N: usize>(message: &[u8], at: usize) -> Result<[u8; N], DnsError> {
    let rest = message.get(at..).and_then(|rest| rest.first_chunk::<N>());
    rest.copied().ok_or(DnsError { offset: message.len(), kind: DnsErrorKind::Truncated })
}

/// Splits a TCP payload into DNS messages, each behind a length of two bytes (RFC 7766).
///
/// Returns the messages that are complete and the number of bytes that they take; the rest is the beginning of another.
#[must_use]
pub fn split_stream(bytes: &[u8]) -> (StreamMessages<'_>, usize) {
    let mut all = StreamMessages { bytes, at: 0 };
    let messages = all;
    while all.next().is_some() {}
    (messages, all.at)
}

/// Iterator over complete messages in a TCP payload.
#[derive(Debug, Clone, Copy)]
pub struct StreamMessages<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for StreamMessages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let head = self.bytes.get(self.at..self.at + 2)?;
        let start = self.at + 2;
        let end = start + usize::from(u16::from_be_bytes([head[0], head[1]]));
        let message = self.bytes.get(start..end)?;
        self.at = end;
        Some(message)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Labels of a name on the wire.
    pub(crate) fn wire(name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            out.push(label.len() as u8);
            out.extend(label.as_bytes());
        }
        out.push(0);
        out
    }

    /// A message with one question; records are name, type, TTL and data, in the answer section.
    pub(crate) fn message(
        id: u16,
        flags: u16,
        name: &str,
        rtype: u16,
        answers: &[(&[u8], u16, u32, &[u8])],
    ) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [id, flags, 1, answers.len() as u16, 0, 0] {
            out.extend(word.to_be_bytes());
        }
        out.extend(wire(name));
        out.extend(rtype.to_be_bytes());
        out.extend([0, 1]);
        for (name, rtype, ttl, data) in answers {
            out.extend(*name);
            out.extend(rtype.to_be_bytes());
            out.extend([0, 1]);
            out.extend(ttl.to_be_bytes());
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(*data);
        }
        out
    }

    #[test]
    fn questions_and_records() {
        let bytes = message(7, 0x8583, "Example.com", 28, &[(b"\xc0\x0c", 1, 300, &[1, 2, 3, 4])]);
        let m = Message::parse(&bytes).unwrap();
        assert_eq!((m.id(), m.is_response(), m.is_authoritative(), m.rcode(), m.opcode()), (7, true, true, 3, 0));
        let q = m.questions().next().unwrap().unwrap();
        assert_eq!((q.name.to_string().as_str(), q.rtype, q.class), ("Example.com", 28, 1));
        let r = m.records().next().unwrap().unwrap();
        assert_eq!((r.name == q.name, r.ttl, r.section), (true, 300, Section::Answer));
        assert_eq!(r.data().unwrap(), RData::A([1, 2, 3, 4]));
        assert_eq!(m.check(), Ok(()));
        for end in 12..bytes.len() {
            let cut = Message::parse(&bytes[..end]).unwrap();
            assert_eq!(cut.check().unwrap_err().kind, DnsErrorKind::Truncated, "{end}");
        }
        assert!(Message::parse(&bytes[..11]).is_err());
    }

    #[test]
    fn edns_extends_the_response_code() {
        let mut bytes = message(1, 0x8180, "x", 1, &[]);
        bytes[11] = 1;
        bytes.extend([0, 0, 41, 4, 0xd0, 1, 0, 0x80, 0, 0, 0]);
        let m = Message::parse(&bytes).unwrap();
        assert_eq!(m.rcode(), 16);
        assert_eq!(m.edns(), Some(Edns { udp_size: 1232, extended_rcode: 1, version: 0, dnssec_ok: true }));
    }

    #[test]
    fn streams_are_split() {
        let stream = b"\x00\x02ab\x00\x00\x00\x03cde\x00\x05fg";
        let (messages, used) = split_stream(stream);
        assert_eq!(messages.collect::<Vec<_>>(), [&b"ab"[..], b"", b"cde"]);
        assert_eq!(used, 11);
    }
}

//! Transport headers: TCP with options, UDP, SCTP chunks, ICMP and ICMPv6 essentials.
//!
//! Checksums are computed by the caller (it knows the addresses) with [`super::part::checksum`].

use super::part::{Cut, Part};

/// A TCP header (RFC 9293).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; counts only with the ACK flag.
    pub ack: u32,
    /// Header length in bytes, 20 to 60.
    pub header_len: usize,
    /// The flags of byte 13 (`skep_proto::numbers::tcp_flag`).
    pub flags: u8,
    /// Window, unscaled.
    pub window: u16,
    /// Checksum as sent.
    pub checksum: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// The options, as far as captured.
    pub options: Part<'a>,
    /// The payload.
    pub payload: Part<'a>,
}

/// Why a TCP header was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpError {
    /// The packet ends within the fixed header.
    Cut,
    /// The header length in bytes is below 20.
    TooShort(usize),
    /// The header length in bytes is beyond the segment's length.
    TooLong(usize),
}

impl From<Cut> for TcpError {
    fn from(_: Cut) -> Self {
        Self::Cut
    }
}

impl<'a> Tcp<'a> {
    /// Decodes a header.
    ///
    /// # Errors
    /// [`TcpError`].
    pub fn parse(part: Part<'a>) -> Result<Self, TcpError> {
        let fixed: [u8; 20] = part.array(0)?;
        let be16 = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let be32 = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let header_len = usize::from(fixed[12] >> 4) * 4;
        if header_len < 20 {
            return Err(TcpError::TooShort(header_len));
        }
        if header_len > part.len {
            return Err(TcpError::TooLong(header_len));
        }
        Ok(Self {
            sport: be16(0),
            dport: be16(2),
            seq: be32(4),
            ack: be32(8),
            header_len,
            flags: fixed[13],
            window: be16(14),
            checksum: be16(16),
            urgent: be16(18),
            options: part.limit(header_len).skip(20),
            payload: part.skip(header_len),
        })
    }

    /// The options, one after the other.
    #[must_use]
    pub fn options(&self) -> TcpOptions<'a> {
        TcpOptions { rest: self.options, done: false }
    }
}

/// One TCP option: its kind and the bytes behind kind and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// End of the list (0).
    End,
    /// Padding (1).
    Nop,
    /// Maximum segment size (2).
    Mss(u16),
    /// Window scale, a power of two (3).
    WindowScale(u8),
    /// Selective acknowledgement permitted (4).
    SackPermitted,
    /// Selective acknowledgement blocks (5), pairs of 32-bit numbers.
    Sack(&'a [u8]),
    /// Time stamps (8): value and echo.
    Timestamps(u32, u32),
    /// Another one, or one of the above with an unusual length.
    Other(u8, &'a [u8]),
    /// A length that does not fit; nothing can be read after it.
    Bad(u8),
    /// The option was not captured wholly.
    Cut(u8),
}

/// Iterator over TCP options.
#[derive(Debug, Clone, Copy)]
pub struct TcpOptions<'a> {
    rest: Part<'a>,
    done: bool,
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        if self.done || self.rest.len == 0 {
            return None;
        }
        let Ok(kind) = self.rest.u8(0) else {
            self.done = true;
            return Some(TcpOption::Cut(0));
        };
        if kind <= 1 {
            self.rest = self.rest.skip(1);
            self.done = kind == 0;
            return Some(if kind == 0 { TcpOption::End } else { TcpOption::Nop });
        }
        let length = match self.rest.u8(1) {
            Ok(length) => usize::from(length),
            Err(Cut) => {
                self.done = true;
                return Some(if self.rest.len < 2 { TcpOption::Bad(kind) } else { TcpOption::Cut(kind) });
            }
        };
        if length < 2 || length > self.rest.len {
            self.done = true;
            return Some(TcpOption::Bad(kind));
        }
        let Ok(body) = self.rest.bytes(2, length - 2) else {
            self.done = true;
            return Some(TcpOption::Cut(kind));
        };
        self.rest = self.rest.skip(length);
        Some(match (kind, body) {
            (2, &[a, b]) => TcpOption::Mss(u16::from_be_bytes([a, b])),
            (3, &[shift]) => TcpOption::WindowScale(shift),
            (4, []) => TcpOption::SackPermitted,
            (5, blocks) if !blocks.is_empty() && blocks.len().is_multiple_of(8) => TcpOption::Sack(blocks),
            (8, &[a, b, c, d, e, f, g, h]) => {
                TcpOption::Timestamps(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
            }
            _ => TcpOption::Other(kind, body),
        })
    }
}

/// A UDP header (RFC 768).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp<'a> {
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Length of header and payload as the header says.
    pub len: u16,
    /// Checksum as sent; 0 if the sender computed none.
    pub checksum: u16,
    /// The payload, not longer than the header says.
    pub payload: Part<'a>,
}

impl<'a> Udp<'a> {
    /// Decodes a header. A length field below 8 (jumbograms have 0) leaves all bytes as payload.
    ///
    /// # Errors
    /// [`Cut`] if the packet ends within the header.
    pub fn parse(part: Part<'a>) -> Result<Self, Cut> {
        let fixed: [u8; 8] = part.array(0)?;
        let be16 = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let len = be16(4);
        let body = if len >= 8 { part.limit(usize::from(len)) } else { part };
        Ok(Self { sport: be16(0), dport: be16(2), len, checksum: be16(6), payload: body.skip(8) })
    }
}

/// One SCTP chunk (RFC 9260).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SctpChunk<'a> {
    /// Chunk type.
    pub kind: u8,
    /// Chunk flags.
    pub flags: u8,
    /// Length as the chunk says, its header of 4 bytes included, padding not.
    pub len: u16,
    /// What follows the chunk's header, as far as captured.
    pub body: Part<'a>,
}

impl SctpChunk<'_> {
    /// The name of the chunk type.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        // TABLE: SCTP chunk types (IANA).
        const NAMES: [&str; 15] = [
            "DATA",
            "INIT",
            "INIT ACK",
            "SACK",
            "HB REQ",
            "HB ACK",
            "ABORT",
            "SHUTDOWN",
            "SHUTDOWN ACK",
            "OP ERR",
            "COOKIE ECHO",
            "COOKIE ACK",
            "ECN ECHO",
            "CWR",
            "SHUTDOWN COMPLETE",
        ];
        match self.kind {
            0x40 => Some("I-DATA"),
            0x80 => Some("ASCONF-ACK"),
            0x82 => Some("RE-CONFIG"),
            0xc0 => Some("FORWARD CUM TSN"),
            0xc1 => Some("ASCONF"),
            kind => NAMES.get(usize::from(kind)).copied(),
        }
    }
}

/// Iterator over the chunks behind the 12 bytes of an SCTP common header.
#[derive(Debug, Clone, Copy)]
pub struct SctpChunks<'a> {
    rest: Part<'a>,
}

impl<'a> SctpChunks<'a> {
    /// The chunks of a packet that begins with the common header.
    #[must_use]
    pub fn new(packet: Part<'a>) -> Self {
        Self { rest: packet.skip(12) }
    }
}

impl<'a> Iterator for SctpChunks<'a> {
    type Item = Result<SctpChunk<'a>, Cut>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len == 0 {
            return None;
        }
        let chunk = self.rest.array::<4>(0).and_then(|[kind, flags, a, b]| {
            let len = u16::from_be_bytes([a, b]);
            // A chunk shorter than its header would never end the loop.
            if len < 4 { Err(Cut) } else { Ok((kind, flags, len)) }
        });
        match chunk {
            Ok((kind, flags, len)) => {
                let body = self.rest.limit(usize::from(len)).skip(4);
                self.rest = self.rest.skip(usize::from(len).next_multiple_of(4));
                Some(Ok(SctpChunk { kind, flags, len, body }))
            }
            Err(Cut) => {
                self.rest = Part::new(&[], 0);
                Some(Err(Cut))
            }
        }
    }
}

/// An ICMP or ICMPv6 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp<'a> {
    /// Message type.
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
    /// Checksum as sent.
    pub checksum: Option<u16>,
    /// The four bytes after the checksum: identifier and sequence of an echo, MTU, pointer, gateway.
    pub word: Option<u32>,
    /// What follows the first eight bytes: an echo's data, or the packet that an error is about.
    pub body: Part<'a>,
}

impl<'a> Icmp<'a> {
    /// Decodes the header.
    ///
    /// # Errors
    /// [`Cut`] if type and code were not captured.
    pub fn parse(part: Part<'a>) -> Result<Self, Cut> {
        let (checksum, word) = (part.be16(2).ok(), part.be32(4).ok());
        Ok(Self { kind: part.u8(0)?, code: part.u8(1)?, checksum, word, body: part.skip(8) })
    }

    /// Identifier and sequence number of an echo request or reply.
    ///
    /// # Errors
    /// [`Cut`] if they were not captured.
    pub fn echo(&self) -> Result<(u16, u16), Cut> {
        self.word().map(|word| ((word >> 16) as u16, word as u16))
    }

    /// The four bytes after the checksum.
    ///
    /// # Errors
    /// [`Cut`] if they were not captured.
    pub fn word(&self) -> Result<u32, Cut> {
        self.word.ok_or(Cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(data: &[u8]) -> Part<'_> {
        Part::new(data, data.len())
    }

    fn segment(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 80, 1, 187, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0x12, 1, 0, 0xab, 0xcd, 0, 0];
        bytes[12] = ((20 + options.len()) / 4 * 16) as u8;
        bytes.extend(options);
        bytes.extend(b"data");
        bytes
    }

    #[test]
    fn tcp_options_are_read() {
        let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7];
        let bytes = segment(&options);
        let tcp = Tcp::parse(whole(&bytes)).unwrap();
        let found: Vec<_> = tcp.options().collect();
        assert_eq!(
            found,
            [
                TcpOption::Mss(1460),
                TcpOption::SackPermitted,
                TcpOption::Timestamps(1, 2),
                TcpOption::Nop,
                TcpOption::WindowScale(7)
            ]
        );
        assert_eq!((tcp.payload.data, tcp.seq, tcp.ack), (&b"data"[..], 5, 6));
    }

    #[test]
    fn bad_tcp_options_end_the_list() {
        let last = |options: &[u8]| {
            Tcp::parse(whole(&segment(options))).unwrap().options().last().map(|o| match o {
                TcpOption::Bad(kind) => kind,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(last(&[1, 1, 1, 9]), Some(9));
        assert_eq!(last(&[8, 5, 0, 0]), Some(8));
        assert_eq!(last(&[8, 0, 0, 0]), Some(8));
        let bytes = segment(&[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1]);
        let cut = Tcp::parse(Part::new(&bytes[..24], bytes.len())).unwrap();
        assert_eq!(cut.options().last(), Some(TcpOption::Cut(8)));
        assert_eq!(Tcp::parse(whole(&bytes[..19])), Err(TcpError::Cut));
        assert_eq!(Tcp::parse(whole(&bytes[..24])), Err(TcpError::TooLong(32)));
    }

    #[test]
    fn udp_length_limits_the_payload() {
        assert_eq!(Udp::parse(whole(b"\0\x35\0\x36\0\x0a\0\0abpad")).unwrap().payload.data, b"ab");
        assert_eq!(Udp::parse(whole(b"\0\x35\0\x36\0\x00\0\0abpad")).unwrap().payload.data, b"abpad");
        assert_eq!(Udp::parse(whole(b"\0\x35\0\x36\0\x0a\0")), Err(Cut));
    }

    #[test]
    fn sctp_chunks_always_end() {
        let mut packet = vec![0; 12];
        packet.extend([1, 0, 0, 6, 9, 9, 0, 0, 3, 0, 0, 2]);
        let chunks: Vec<_> = SctpChunks::new(whole(&packet)).collect();
        assert_eq!(chunks.len(), 2);
        assert_eq!(chunks[0].unwrap().name(), Some("INIT"));
        assert_eq!(chunks[0].unwrap().body.data, [9, 9]);
        assert_eq!(chunks[1], Err(Cut));
    }

    #[test]
    fn icmp_echo() {
        let icmp = Icmp::parse(whole(&[8, 0, 1, 2, 0x12, 0x34, 0, 9, 7])).unwrap();
        assert_eq!((icmp.echo(), icmp.body.data), (Ok((0x1234, 9)), &[7][..]));
        assert_eq!(Icmp::parse(whole(&[8])), Err(Cut));
        assert_eq!(Icmp::parse(Part::new(&[8, 0, 1, 2, 3], 20)).unwrap().echo(), Err(Cut));
    }
}

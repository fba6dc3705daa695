//! Network headers: IPv4 with options, IPv6 with its extension headers, ARP.
//!
//! Reassembly of fragments is not done; fragments are marked.

use super::part::{Cut, Part};
use skep_proto::numbers::ip_proto;

/// Why a network header was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetError {
    /// The packet ends within the header.
    Cut,
    /// The version field holds this instead of 4 or 6.
    Version(u8),
    /// The header length in bytes is below 20.
    HeaderLength(usize),
    /// The total length in bytes is below the header length.
    TotalLength(usize),
}

impl From<Cut> for NetError {
    fn from(_: Cut) -> Self {
        Self::Cut
    }
}

/// An IPv4 header (RFC 791).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4<'a> {
    /// Header length in bytes, 20 to 60.
    pub header_len: usize,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Length of header and payload in bytes as the header says.
    pub total_len: u16,
    /// Identification.
    pub id: u16,
    /// Flags (top three bits) and fragment offset in units of 8 bytes.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub proto: u8,
    /// Checksum as sent.
    pub checksum: u16,
    /// Source address.
    pub src: [u8; 4],
    /// Destination address.
    pub dst: [u8; 4],
    /// The header with its options, as far as captured.
    pub header: &'a [u8],
    /// The payload, as far as captured; its length is what the header claims.
    pub payload: Part<'a>,
    /// How many bytes of the claimed length were not on the wire.
    pub missing: usize,
}

impl<'a> Ipv4<'a> {
    /// Decodes a header. `part` may go on behind the packet (padding).
    ///
    /// # Errors
    /// [`NetError`]; the first fault in the order of the variants.
    pub fn parse(part: Part<'a>) -> Result<Self, NetError> {
        let first = part.u8(0)?;
        if first >> 4 != 4 {
            return Err(NetError::Version(first >> 4));
        }
        let fixed: [u8; 20] = part.array(0)?;
        let header_len = usize::from(first & 15) * 4;
        if header_len < 20 {
            return Err(NetError::HeaderLength(header_len));
        }
        let be16 = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let total_len = be16(2);
        let total = usize::from(total_len);
        if total < header_len {
            return Err(NetError::TotalLength(total));
        }
        let body = part.claim(total);
        Ok(Self {
            header_len,
            tos: fixed[1],
            total_len,
            id: be16(4),
            fragment: be16(6),
            ttl: fixed[8],
            proto: fixed[9],
            checksum: be16(10),
            src: [fixed[12], fixed[13], fixed[14], fixed[15]],
            dst: [fixed[16], fixed[17], fixed[18], fixed[19]],
            header: body.limit(header_len).data,
            payload: body.skip(header_len),
            missing: total.saturating_sub(part.len),
        })
    }

    /// Offset of this fragment in bytes.
    #[must_use]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.fragment & 0x1fff) * 8
    }

    /// True if more fragments follow.
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.fragment & 0x2000 != 0
    }

    /// True if this is a fragment of a packet rather than a whole one.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment & 0x3fff != 0
    }

    /// The options, as far as captured.
    #[must_use]
    pub fn options(&self) -> Part<'a> {
        Part::new(self.header.get(20..).unwrap_or_default(), self.header_len - 20)
    }
}

/// An IPv6 header (RFC 8200).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6<'a> {
    /// Traffic class.
    pub class: u8,
    /// Flow label, 20 bits.
    pub flow: u32,
    /// Payload length in bytes as the header says.
    pub payload_len: u16,
    /// The next header.
    pub next: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub src: [u8; 16],
    /// Destination address.
    pub dst: [u8; 16],
    /// What follows, extension headers included; its length is what the header claims.
    pub payload: Part<'a>,
    /// How many bytes of the claimed length were not on the wire.
    pub missing: usize,
}

impl<'a> Ipv6<'a> {
    /// Decodes the fixed header.
    ///
    /// # Errors
    /// [`NetError::Cut`] or [`NetError::Version`].
    pub fn parse(part: Part<'a>) -> Result<Self, NetError> {
        let fixed: [u8; 40] = part.array(0)?;
        if fixed[0] >> 4 != 6 {
            return Err(NetError::Version(fixed[0] >> 4));
        }
        let word = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
        let payload_len = u16::from_be_bytes([fixed[4], fixed[5]]);
        let rest = part.skip(40);
        let claimed = usize::from(payload_len);
        Ok(Self {
            class: (word >> 20) as u8,
            flow: word & 0xf_ffff,
            payload_len,
            next: fixed[6],
            hop_limit: fixed[7],
            src: part.array(8)?,
            dst: part.array(24)?,
            payload: rest.claim(claimed),
            missing: claimed.saturating_sub(rest.len),
        })
    }

    /// Walks the extension headers.
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions { next: self.next, rest: self.payload, failed: false, fragment: None }
    }
}

/// What was found behind the IPv6 extension headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upper<'a> {
    /// The protocol number.
    pub proto: u8,
    /// Its bytes.
    pub payload: Part<'a>,
    /// The fragment header's offset in bytes and more-flag, if there was one.
    pub fragment: Option<(usize, bool)>,
}

/// One IPv6 extension header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Which: hop-by-hop 0, routing 43, fragment 44, authentication 51, destination 60, mobility 135, and so on.
    pub kind: u8,
    /// The header's bytes, as far as captured.
    pub header: Part<'a>,
}

/// Iterator over IPv6 extension headers; afterwards [`Extensions::upper`] tells what follows them.
///
/// It stops at the first header that is not an extension, at a later fragment (whose payload has no headers), or
/// where the packet is cut.
#[derive(Debug, Clone, Copy)]
pub struct Extensions<'a> {
    next: u8,
    rest: Part<'a>,
    failed: bool,
    fragment: Option<(usize, bool)>,
}

impl<'a> Extensions<'a> {
    /// Runs through all headers and returns what follows.
    ///
    /// # Errors
    /// [`Cut`] if the packet ends within an extension header.
    pub fn upper(mut self) -> Result<Upper<'a>, Cut> {
        while self.next().is_some() {}
        if self.failed {
            return Err(Cut);
        }
        Ok(Upper { proto: self.next, payload: self.rest, fragment: self.fragment })
    }

    /// The header in which the packet is cut off, with the bytes that are there; `None` before that.
    #[must_use]
    pub fn cut(&self) -> Option<Extension<'a>> {
        self.failed.then_some(Extension { kind: self.next, header: self.rest })
    }

    fn step(&mut self) -> Result<Option<Extension<'a>>, Cut> {
        let kind = self.next;
        let later_fragment = self.fragment.is_some_and(|(offset, _)| offset > 0);
        if later_fragment {
            return Ok(None);
        }
        let length = match kind {
            ip_proto::HOPOPTS | ip_proto::ROUTING | ip_proto::DSTOPTS => usize::from(self.rest.u8(1)?) * 8 + 8,
            ip_proto::MOBILITY | ip_proto::HIP | ip_proto::SHIM6 => usize::from(self.rest.u8(1)?) * 8 + 8,
            ip_proto::FRAGMENT => 8,
            // RFC 4302: in words of four bytes, minus two.
            ip_proto::AH => usize::from(self.rest.u8(1)?) * 4 + 8,
            _ => return Ok(None),
        };
        let following = self.rest.u8(0)?;
        if kind == ip_proto::FRAGMENT {
            let word = self.rest.be16(2)?;
            self.fragment = Some((usize::from(word & 0xfff8), word & 1 != 0));
        }
        if self.rest.data.len() < length {
            return Err(Cut);
        }
        let header = self.rest.limit(length);
        self.rest = self.rest.skip(length);
        self.next = following;
        Ok(Some(Extension { kind, header }))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.step().unwrap_or_else(|Cut| {
            self.failed = true;
            None
        })
    }
}

/// An ARP or RARP packet (RFC 826, 903, 2390) with addresses of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp<'a> {
    /// Hardware type: 1 is Ethernet.
    pub hardware: u16,
    /// Protocol type, an EtherType.
    pub protocol: u16,
    /// Length of a hardware address in bytes.
    pub hardware_len: u8,
    /// Length of a protocol address in bytes.
    pub protocol_len: u8,
    /// 1 request, 2 reply, 3 and 4 reverse, 8 and 9 inverse.
    pub operation: u16,
    /// Sender's hardware address.
    pub sender_mac: &'a [u8],
    /// Sender's protocol address.
    pub sender: &'a [u8],
    /// Target's hardware address.
    pub target_mac: &'a [u8],
    /// Target's protocol address.
    pub target: &'a [u8],
}

impl<'a> Arp<'a> {
    /// Decodes a packet.
    ///
    /// # Errors
    /// [`Cut`] if the packet ends before the last address.
    pub fn parse(part: Part<'a>) -> Result<Self, Cut> {
        let (hardware_len, protocol_len) = (part.u8(4)?, part.u8(5)?);
        let (h, p) = (usize::from(hardware_len), usize::from(protocol_len));
        Ok(Self {
            hardware: part.be16(0)?,
            protocol: part.be16(2)?,
            hardware_len,
            protocol_len,
            operation: part.be16(6)?,
            sender_mac: part.bytes(8, h)?,
            sender: part.bytes(8 + h, p)?,
            target_mac: part.bytes(8 + h + p, h)?,
            target: part.bytes(8 + 2 * h + p, p)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(data: &[u8]) -> Part<'_> {
        Part::new(data, data.len())
    }

    #[test]
    fn ipv4_lengths_are_checked() {
        let mut packet = vec![0x46, 0xb8, 0, 26, 0, 7, 0x20, 1, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x94, 4, 0, 0];
        packet.extend(b"xypadding");
        let ip = Ipv4::parse(whole(&packet)).unwrap();
        assert_eq!((ip.header_len, ip.payload.data, ip.missing), (24, &b"xy"[..], 0));
        assert!(ip.more_fragments() && ip.is_fragment());
        assert_eq!((ip.fragment_offset(), ip.options().data), (8, &[0x94, 4, 0, 0][..]));
        let ip = Ipv4::parse(whole(&packet[..25])).unwrap();
        assert_eq!((ip.payload, ip.missing), (Part { data: b"x", len: 2 }, 1));
        let error = |at: usize, byte: u8| {
            let mut bad = packet.clone();
            bad[at] = byte;
            Ipv4::parse(whole(&bad)).unwrap_err()
        };
        assert_eq!(error(0, 0x66), NetError::Version(6));
        assert_eq!(error(0, 0x44), NetError::HeaderLength(16));
        assert_eq!(error(3, 23), NetError::TotalLength(23));
        assert_eq!(Ipv4::parse(whole(&packet[..19])), Err(NetError::Cut));
    }

    /// A packet with hop-by-hop, destination options, authentication and a fragment header of an offset.
    fn extended(offset: u8) -> Vec<u8> {
        let mut packet = vec![0x60, 0x12, 0x34, 0x56, 0, 0, 0, 64];
        packet.extend([1; 16]);
        packet.extend([2; 16]);
        packet.extend([60, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend([51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([44, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([60, 0, 0, offset, 0, 0, 0, 9]);
        packet.extend([17, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend(b"udp!");
        packet[5] = (packet.len() - 40) as u8;
        packet
    }

    #[test]
    fn ipv6_extension_headers_are_walked() {
        let packet = extended(1);
        let ip = Ipv6::parse(whole(&packet)).unwrap();
        assert_eq!((ip.class, ip.flow), (1, 0x23456));
        let kinds: Vec<u8> = ip.extensions().map(|e| e.kind).collect();
        assert_eq!(kinds, [0, 60, 51, 44, 60]);
        let upper = ip.extensions().upper().unwrap();
        assert_eq!((upper.proto, upper.payload.data, upper.fragment), (17, &b"udp!"[..], Some((0, true))));
    }

    #[test]
    fn later_fragments_end_the_walk() {
        let packet = extended(8);
        let ip = Ipv6::parse(whole(&packet)).unwrap();
        let upper = ip.extensions().upper().unwrap();
        assert_eq!((upper.proto, upper.fragment), (60, Some((8, false))));
        assert_eq!(upper.payload.len, 12);
    }

    #[test]
    fn cut_extension_headers_are_reported() {
        let packet = extended(1);
        for end in 40..packet.len() - 4 {
            assert_eq!(Ipv6::parse(whole(&packet[..end])).unwrap().extensions().upper(), Err(Cut), "{end}");
        }
        assert_eq!(Ipv6::parse(whole(&packet[..39])), Err(NetError::Cut));
    }

    #[test]
    fn arp_with_its_own_address_lengths() {
        let packet = [0, 1, 8, 0, 2, 1, 0, 1, 0xaa, 0xbb, 1, 0xcc, 0xdd, 2];
        let arp = Arp::parse(whole(&packet)).unwrap();
        assert_eq!((arp.sender_mac, arp.sender, arp.target), (&[0xaa, 0xbb][..], &[1][..], &[2][..]));
        assert_eq!(Arp::parse(whole(&packet[..13])), Err(Cut));
    }
}

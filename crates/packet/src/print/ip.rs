//! IPv4, IPv6 with extension headers, and the choice of the transport printer.

use super::num;
use super::pen::{Carrier, Pen, Written};
use super::services::PortKind;
use crate::decode::net::Extension;
use crate::decode::{Cut, Ipv4, Ipv6, NetError, Part, checksum};
use skep_proto::numbers::{ip_proto, ip_protocol};
use std::net::IpAddr;

/// Transport protocols that print the addresses with their ports.
fn shows_ports(proto: u8) -> bool {
    matches!(proto, ip_proto::TCP | ip_proto::UDP | ip_proto::SCTP)
}

/// The checksum of a transport packet with the pseudo header of its network layer (RFC 9293, 8200): 0 if correct.
pub(super) fn transport_checksum(carrier: &Carrier, proto: u8, data: &[u8]) -> u16 {
    let length = (data.len() as u32).to_be_bytes();
    let tail = [0, 0, 0, proto];
    match (carrier.src, carrier.final_dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => checksum(&[&src.octets(), &dst.octets(), &tail[2..], &length[2..], data]),
        (IpAddr::V6(src), IpAddr::V6(dst)) => checksum(&[&src.octets(), &dst.octets(), &length, &tail, data]),
        _ => 0,
    }
}

/// The checksum that would have been correct, from the one sent and what [`transport_checksum`] gave.
pub(super) fn right_checksum(sent: u16, result: u16) -> u16 {
    // In one's complement, sum over all = !result; without the sent value it is that minus `sent`.
    let sum = u32::from(!result) + u32::from(!sent);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

impl Pen<'_> {
    /// IPv4 or IPv6 by the version field.
    pub(super) fn ip_any(&mut self, part: Part<'_>) -> Written {
        self.layer = "ip";
        match part.u8(0)? >> 4 {
            4 => self.ipv4(part),
            6 => self.ipv6(part),
            version => {
                self.sd("IP", version);
                self.s(" (invalid)");
                Ok(())
            }
        }
    }

    pub(super) fn ipv4(&mut self, part: Part<'_>) -> Written {
        self.layer = "ip";
        let version = part.u8(0)? >> 4;
        if version != 4 {
            self.sd("IP", version);
            self.s(if version == 6 { ", wrong link-layer encapsulation (invalid)" } else { " (invalid)" });
            return Ok(());
        }
        if !self.opts.link {
            self.s("IP ");
        }
        let ip = match Ipv4::parse(part) {
            Ok(ip) => ip,
            Err(NetError::HeaderLength(length)) => {
                self.len("bad-hlen ", length);
                return Ok(());
            }
            Err(NetError::TotalLength(length)) => {
                self.len("bad-len ", length);
                return Ok(());
            }
            Err(_) => return Err(Cut),
        };
        if ip.missing > 0 {
            self.len("truncated-ip - ", ip.missing);
            self.s(" bytes missing! ");
        }
        if ip.missing > 0 && self.opts.verbose == 0 {
            self.whole_header(&ip)?;
        }
        if self.opts.verbose > 0 {
            self.ipv4_details(&ip)?;
        }
        let (src, dst) = (IpAddr::from(ip.src), IpAddr::from(ip.dst));
        let final_dst = source_route_end(ip.options()).map_or(dst, IpAddr::from);
        let carrier = Carrier { src, dst, final_dst, fragmented: ip.is_fragment(), addresses_shown: false };
        if ip.fragment_offset() > 0 {
            self.endpoints(&carrier, None, PortKind::Tcp);
            self.s(" ");
            self.protocol_name(ip.proto);
            return Ok(());
        }
        if !shows_ports(ip.proto) {
            self.endpoints(&carrier, None, PortKind::Tcp);
            self.s(" ");
        }
        self.whole_header(&ip)?;
        self.transport(ip.proto, ip.payload, &carrier)
    }

    /// Ends the line if the header's options are cut off.
    fn whole_header(&mut self, ip: &Ipv4<'_>) -> Written {
        if ip.header.len() < ip.header_len {
            self.len(" [remaining caplen(", ip.header.len());
            self.len(") < header length(", ip.header_len);
            self.s(")]");
            return Err(Cut);
        }
        Ok(())
    }

    fn ipv4_details(&mut self, ip: &Ipv4<'_>) -> Written {
        self.sx("(tos ", ip.tos);
        self.s(["", ",ECT(1)", ",ECT(0)", ",CE"][usize::from(ip.tos & 3)]);
        if ip.ttl > 0 {
            self.sd(", ttl ", ip.ttl);
        }
        self.sd(", id ", ip.id);
        self.len(", offset ", ip.fragment_offset());
        self.s(", flags [");
        let flags = [(0x2000, "+"), (0x4000, "DF"), (0x8000, "rsvd")];
        let mut any = false;
        for (_, name) in flags.into_iter().filter(|(bit, _)| ip.fragment & bit != 0) {
            self.s(if any { ", " } else { "" });
            self.s(name);
            any = true;
        }
        self.s(if any { "], proto " } else { "none], proto " });
        self.protocol_title(ip.proto);
        self.sd("), length ", ip.total_len);
        if ip.header_len > 20 {
            self.s(", options (");
            self.ipv4_options(ip.options())?;
            self.s(")");
        }
        if !self.opts.no_checksums && ip.header.len() == ip.header_len {
            let result = checksum(&[ip.header]);
            if result != 0 {
                self.s(", bad cksum ");
                num::hex(self.out, ip.checksum.into());
                self.s(" (->");
                num::hex(self.out, right_checksum(ip.checksum, result).into());
                self.s(")!");
            }
        }
        self.s(")\n    ");
        Ok(())
    }

    fn ipv4_options(&mut self, mut rest: Part<'_>) -> Written {
        let mut first = true;
        while rest.len > 0 {
            if !first {
                self.s(",");
            }
            first = false;
            let kind = rest.u8(0)?;
            match kind {
                0 => self.s("EOL"),
                1 => self.s("NOP"),
                7 => self.s("RR"),
                68 => self.s("timestamp"),
                130 => self.s("security"),
                131 => self.s("LSRR"),
                137 => self.s("SSRR"),
                148 => self.s("RA"),
                82 => self.s("traceroute"),
                _ => self.sd("unknown ", kind),
            }
            if kind <= 1 {
                if kind == 0 {
                    break;
                }
                rest = rest.skip(1);
                continue;
            }
            let length = usize::from(rest.u8(1)?);
            if length < 2 || length > rest.len {
                self.s(" [bad length]");
                return Ok(());
            }
            if matches!(kind, 7 | 131 | 137) {
                let routes = rest.bytes(2, length - 2)?.get(1..).unwrap_or_default();
                for (index, route) in routes.chunks_exact(4).enumerate() {
                    self.s(if index == 0 { " " } else { ", " });
                    num::ipv4(self.out, &[route[0], route[1], route[2], route[3]]);
                }
            }
            rest = rest.skip(length);
        }
        Ok(())
    }

    /// `TCP (6`, without the closing parenthesis.
    fn protocol_title(&mut self, proto: u8) {
        self.s(ip_protocol(proto).and_then(|row| row.title).unwrap_or("unknown"));
        self.sd(" (", proto);
    }

    /// The name of a protocol that is not decoded, or `ip-proto-N`.
    fn protocol_name(&mut self, proto: u8) {
        match ip_protocol(proto) {
            Some(row) if !self.opts.numeric => self.s(row.name),
            _ => self.sd("ip-proto-", proto),
        }
    }

    pub(super) fn ipv6(&mut self, part: Part<'_>) -> Written {
        self.layer = "ip6";
        let ip = match Ipv6::parse(part) {
            Ok(ip) => ip,
            Err(NetError::Version(version)) => {
                if !self.opts.link {
                    self.s("IP6 ");
                }
                self.sd("version error: ", version);
                self.s(" != 6");
                return Ok(());
            }
            Err(_) => return Err(Cut),
        };
        if !self.opts.link {
            self.s("IP6 ");
        }
        if ip.missing > 0 {
            self.len("truncated-ip6 - ", ip.missing);
            self.s(" bytes missing!");
        }
        if self.opts.verbose > 0 {
            self.s("(");
            if ip.class != 0 {
                self.sx_padded("class ", ip.class, 2);
                self.s(", ");
            }
            if ip.flow != 0 {
                self.sx_padded("flowlabel ", ip.flow, 5);
                self.s(", ");
            }
            self.sd("hlim ", ip.hop_limit);
            self.s(", next-header ");
            self.protocol_title(ip.next);
            self.sd(") payload length: ", ip.payload_len);
            self.s(") ");
        }
        let (src, dst) = (IpAddr::from(ip.src), IpAddr::from(ip.dst));
        let shown = !shows_ports(ip.next);
        let mut carrier = Carrier { src, dst, final_dst: dst, fragmented: false, addresses_shown: shown };
        if shown {
            self.endpoints(&carrier, None, PortKind::Tcp);
            self.s(" ");
        }
        let mut extensions = ip.extensions();
        let mut left = ip.payload;
        for extension in &mut extensions {
            left = left.skip(extension.header.len);
            if !self.extension(&extension, left.len, &mut carrier)? {
                return Ok(());
            }
        }
        if let Some(cut) = extensions.cut() {
            if cut.kind == ip_proto::ROUTING && cut.header.data.is_empty() {
                self.layer = "ip6";
            } else {
                self.extension(&cut, left.len.saturating_sub(8), &mut carrier)?;
            }
            return Err(Cut);
        }
        let upper = extensions.upper()?;
        self.transport(upper.proto, upper.payload, &carrier)
    }

    /// One extension header; `false` if the line ends here.
    fn extension(&mut self, extension: &Extension<'_>, left: usize, carrier: &mut Carrier) -> Result<bool, Cut> {
        let header = extension.header;
        match extension.kind {
            ip_proto::HOPOPTS => {
                self.layer = "hbhopt";
                header.bytes(0, usize::from(header.u8(1)?) * 8 + 8)?;
                self.s("HBH ");
                self.option_headers(header)?;
            }
            ip_proto::DSTOPTS => {
                self.layer = "dstopt";
                header.bytes(0, usize::from(header.u8(1)?) * 8 + 8)?;
                self.s("DSTOPT ");
                self.option_headers(header)?;
            }
            ip_proto::ROUTING => {
                self.routing(header)?;
                // The last address of a list that is not used up is the last stop; segment lists (RFC 8754) are
                // in reverse order.
                match (header.u8(2)?, header.u8(3)?) {
                    (0 | 2, 1..) if header.len >= 24 => {
                        carrier.final_dst = IpAddr::from(header.array::<16>(header.len - 16)?);
                    }
                    (4, _) if header.len >= 24 => carrier.final_dst = IpAddr::from(header.array::<16>(8)?),
                    _ => {}
                }
            }
            ip_proto::FRAGMENT => {
                self.layer = "frag6";
                let offset = usize::from(header.be16(2)? & 0xfff8);
                if self.opts.verbose > 0 {
                    let id = header.be32(4)?;
                    self.sx_padded("frag (", id, 8);
                    self.s(":");
                } else {
                    self.s("frag (");
                }
                self.len("", offset);
                self.len("|", left);
                self.s(")");
                carrier.fragmented = true;
                if offset > 0 {
                    return Ok(false);
                }
                self.s(" ");
            }
            ip_proto::AH => {
                self.authentication(header)?;
                self.s(": ");
            }
            _ => {
                self.layer = "mobility";
                self.s("mobility ");
            }
        }
        Ok(true)
    }

    /// Options of hop-by-hop and destination headers, with `-v`.
    fn option_headers(&mut self, header: Part<'_>) -> Written {
        if self.opts.verbose == 0 {
            return Ok(());
        }
        let mut rest = header.skip(2);
        while rest.len > 0 {
            let kind = rest.u8(0)?;
            if kind == 0 {
                self.s("(pad1)");
                rest = rest.skip(1);
                continue;
            }
            let length = usize::from(rest.u8(1)?);
            match kind {
                1 => self.s("(padn)"),
                5 => self.sx_padded("(rtalert: ", rest.be16(2)?, 4),
                0xc2 => self.sd("(jumbo: ", rest.be32(2)?),
                _ => {
                    self.sd("(opt_type ", kind);
                    self.len(": len=", length);
                }
            }
            self.s(if kind == 1 { "" } else { ")" });
            rest = rest.skip(length + 2);
            self.s(if rest.len > 0 { " " } else { "" });
        }
        self.s(" ");
        Ok(())
    }

    fn routing(&mut self, header: Part<'_>) -> Written {
        self.layer = "rt6";
        self.s("RT6");
        let length = header.u8(1)?;
        self.sd(" (len=", length);
        let kind = header.u8(2)?;
        self.sd(", type=", kind);
        if kind == 0 {
            self.s(" [Deprecated]");
        }
        self.sd(", segleft=", header.u8(3)?);
        match kind {
            0 | 2 if self.opts.verbose > 0 => self.sx(", rsv=", header.be32(4)?),
            4 => {
                self.sd(", last-entry=", header.u8(4)?);
                if self.opts.verbose > 0 {
                    self.sx(", flags=", header.u8(5)?);
                }
                self.sd(", tag=", header.be16(6)?);
            }
            _ => {}
        }
        if matches!(kind, 0 | 2 | 4) {
            for index in 0..usize::from(length) / 2 {
                let address = header.array(8 + index * 16)?;
                self.len(", [", index);
                self.s("]");
                num::ipv6(self.out, &address);
            }
        }
        self.s(") ");
        Ok(())
    }

    /// The payload of an IP packet (or of its first fragment).
    pub(super) fn transport(&mut self, proto: u8, part: Part<'_>, carrier: &Carrier) -> Written {
        let v4 = carrier.src.is_ipv4();
        match proto {
            ip_proto::TCP => self.tcp(part, carrier),
            ip_proto::UDP => self.udp(part, carrier),
            ip_proto::ICMP if v4 => self.icmp(part, carrier.fragmented),
            ip_proto::ICMPV6 if !v4 => self.icmp6(part, carrier),
            ip_proto::ICMP => self.invalid("[ICMP requires IPv4]"),
            ip_proto::ICMPV6 => self.invalid("[ICMPv6 requires IPv6]"),
            ip_proto::ETHERNET if v4 => self.invalid("[Ethernet requires IPv6]"),
            ip_proto::SCTP => self.sctp(part, carrier),
            ip_proto::IPIP => self.nested(|pen| pen.ipv4(part)),
            ip_proto::IPV6 => self.nested(|pen| pen.ipv6(part)),
            ip_proto::GRE => self.gre(part),
            ip_proto::IGMP => self.igmp(part),
            ip_proto::NO_NEXT => {
                self.s("no next header");
                Ok(())
            }
            ip_proto::AH => {
                let length = usize::from(part.u8(1).map_err(|_| self.at("ah"))?) * 4 + 8;
                self.authentication(part.limit(length))?;
                self.s(": ");
                let next = part.u8(0)?;
                let inner = Carrier { addresses_shown: true, ..*carrier };
                self.nested(|pen| pen.transport(next, part.skip(length), &inner))
            }
            ip_proto::ESP => {
                self.layer = "esp";
                // There is always something behind these two words.
                let (spi, seq) = (part.be32(0)?, part.be32(4)?);
                part.u8(8)?;
                self.sx_padded("ESP(spi=", spi, 8);
                self.sx(",seq=", seq);
                self.len("), length ", part.len);
                Ok(())
            }
            ip_proto::IPCOMP => {
                self.layer = "ipcomp";
                self.sx_padded("IPComp(cpi=", part.be16(2)?, 4);
                self.s(")");
                Ok(())
            }
            ip_proto::OSPF | ip_proto::PIM | ip_proto::VRRP => self.routing_protocol(proto, part),
            _ => {
                self.s(" ");
                self.protocol_name(proto);
                self.len(" ", part.len);
                Ok(())
            }
        }
    }

    pub(super) fn at(&mut self, layer: &'static str) -> Cut {
        self.layer = layer;
        Cut
    }

    fn invalid(&mut self, what: &str) -> Written {
        self.s(what);
        self.s(" (invalid)");
        Ok(())
    }
}

/// The last address of a source route that is not used up, among IPv4 options.
fn source_route_end(mut options: Part<'_>) -> Option<[u8; 4]> {
    while options.len > 0 {
        let kind = options.u8(0).ok()?;
        if kind == 0 {
            return None;
        }
        if kind == 1 {
            options = options.skip(1);
            continue;
        }
        let length = usize::from(options.u8(1).ok()?);
        if length < 2 || length > options.len {
            return None;
        }
        if matches!(kind, 131 | 137) && length >= 7 {
            let pointer = usize::from(options.u8(2).ok()?);
            return if pointer <= length { options.array(length - 4).ok() } else { None };
        }
        options = options.skip(length);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_checksum_is_found_from_the_wrong_one() {
        let mut header = [0x45, 0, 0, 30, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let right = checksum(&[&header]);
        for sent in [0u16, 1, 0xffff, right ^ 0x1111, right] {
            header[10..12].copy_from_slice(&sent.to_be_bytes());
            assert_eq!(right_checksum(sent, checksum(&[&header])), right, "{sent:#x}");
        }
    }
}

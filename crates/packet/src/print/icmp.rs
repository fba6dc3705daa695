//! ICMP and ICMPv6.

use super::ip::{right_checksum, transport_checksum};
use super::num;
use super::pen::{Carrier, Pen, Written};
use crate::decode::{Icmp, Ipv6, Part, checksum};
use skep_proto::numbers::{icmp, icmp6, ip_proto};

impl Pen<'_> {
    pub(super) fn icmp(&mut self, part: Part<'_>, fragmented: bool) -> Written {
        self.layer = "icmp";
        let head = Icmp::parse(part)?;
        // tcpdump decides what to say before it prints the name: a message that is cut shows only the mark.
        let before = self.out.len();
        self.s("ICMP ");
        if let Err(cut) = self.icmp_text(&head, part) {
            self.out.truncate(before);
            return Err(cut);
        }
        self.len(", length ", part.len);
        if self.opts.verbose == 0 {
            return Ok(());
        }
        if !fragmented && part.is_whole() {
            let result = checksum(&[part.data]);
            if result != 0 {
                self.s(" (wrong icmp cksum ");
                let sent = part.be16(2)?;
                num::hex(self.out, sent.into());
                self.s(" (->");
                num::hex(self.out, right_checksum(sent, result).into());
                self.s(")!)");
            }
        }
        let error = matches!(
            head.kind,
            icmp::UNREACHABLE | icmp::SOURCE_QUENCH | icmp::REDIRECT | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM
        );
        if error {
            self.s("\n\t");
            // The quoted packet is cut on purpose: its own length is not held against it.
            let claimed = usize::from(head.body.be16(2)?);
            let quoted = head.body.claim(claimed.max(head.body.len));
            self.nested(|pen| pen.ipv4(quoted))?;
        }
        Ok(())
    }

    /// What a message says, without name and length.
    fn icmp_text(&mut self, head: &Icmp<'_>, part: Part<'_>) -> Written {
        match head.kind {
            icmp::ECHO | icmp::ECHO_REPLY => {
                self.s(if head.kind == icmp::ECHO { "echo request, id " } else { "echo reply, id " });
                let (id, seq) = head.echo()?;
                self.sd("", id);
                self.sd(", seq ", seq);
            }
            icmp::UNREACHABLE => self.unreachable(head)?,
            icmp::REDIRECT => {
                let dst: [u8; 4] = head.body.array(16)?;
                let middle = ["redirect|net", "redirect|host", "redirect-tos|net", "redirect-tos|host"];
                let (word, target) = match middle.get(usize::from(head.code)).and_then(|m| m.split_once('|')) {
                    Some((word, target)) => (word, target),
                    None => ("", ""),
                };
                if word.is_empty() {
                    self.sd("redirect-#", head.code);
                } else {
                    self.s(word);
                }
                self.s(" ");
                num::ipv4(self.out, &dst);
                self.s(" to ");
                self.s(target);
                self.s(if target.is_empty() { "" } else { " " });
                num::ipv4(self.out, &head.word()?.to_be_bytes());
            }
            icmp::TIME_EXCEEDED => {
                head.body.bytes(0, 20)?;
                match head.code {
                    0 => self.s("time exceeded in-transit"),
                    1 => self.s("ip reassembly time exceeded"),
                    code => self.sd("time exceeded-#", code),
                }
            }
            icmp::PARAMETER_PROBLEM => match head.code {
                0 => self.sd("parameter problem - octet ", part.u8(4)?),
                code => self.sd("parameter problem - code ", code),
            },
            icmp::TIMESTAMP | icmp::TIMESTAMP_REPLY => {
                let reply = head.kind == icmp::TIMESTAMP_REPLY;
                let (id, seq) = head.echo()?;
                self.sd(if reply { "time stamp reply id " } else { "time stamp query id " }, id);
                self.sd(" seq ", seq);
                if reply {
                    for (name, at) in [(": org ", 0), (", recv ", 4), (", xmit ", 8)] {
                        self.s(name);
                        self.day_millis(head.body.be32(at)?);
                    }
                }
            }
            icmp::MASK_REPLY => self.sx_padded("address mask is ", head.body.be32(0)?, 8),
            kind => match icmp::name(kind) {
                Some(name) => self.s(name),
                None => self.sd("type-#", kind),
            },
        }
        Ok(())
    }

    fn unreachable(&mut self, head: &Icmp<'_>) -> Written {
        let dst: [u8; 4] = head.body.array(16)?;
        // TABLE: words before and after the address, by code (RFC 792, 1122, 1812).
        const WORDS: [(&str, &str); 16] = [
            ("net ", " unreachable"),
            ("host ", " unreachable"),
            ("", ""),
            ("", ""),
            ("", " unreachable - need to frag"),
            ("", " unreachable - source route failed"),
            ("net ", " unreachable - unknown"),
            ("host ", " unreachable - unknown"),
            ("", " unreachable - source host isolated"),
            ("net ", " unreachable - admin prohibited"),
            ("host ", " unreachable - admin prohibited"),
            ("net ", " unreachable - tos prohibited"),
            ("host ", " unreachable - tos prohibited"),
            ("host ", " unreachable - admin prohibited filter"),
            ("host ", " unreachable - host precedence violation"),
            ("host ", " unreachable - precedence cutoff"),
        ];
        let (before, after) = WORDS.get(usize::from(head.code)).copied().unwrap_or(("", ""));
        self.s(before);
        num::ipv4(self.out, &dst);
        match head.code {
            2 => {
                self.sd(" protocol ", head.body.u8(9)?);
                self.s(" unreachable");
            }
            3 => {
                let proto = head.body.u8(9)?;
                let header_len = usize::from(head.body.u8(0)? & 15) * 4;
                let port = head.body.be16(header_len + 2)?;
                match proto {
                    ip_proto::TCP => self.s(" tcp port "),
                    ip_proto::UDP => self.s(" udp port "),
                    other => {
                        self.sd(" protocol ", other);
                        self.s(" port ");
                    }
                }
                self.quoted_port(port, proto);
                self.s(" unreachable");
            }
            4 => {
                self.s(after);
                let mtu = head.word()? & 0xffff;
                if mtu != 0 {
                    self.sd(" (mtu ", mtu);
                    self.s(")");
                }
            }
            code if usize::from(code) >= WORDS.len() => self.sd(" unreachable - #", code),
            _ => self.s(after),
        }
        Ok(())
    }

    fn quoted_port(&mut self, port: u16, proto: u8) {
        use super::services::PortKind;
        match proto {
            ip_proto::TCP => self.port(port, PortKind::Tcp),
            ip_proto::UDP => self.port(port, PortKind::Udp),
            _ => self.sd("", port),
        }
    }

    /// Milliseconds since midnight as a time of day.
    fn day_millis(&mut self, millis: u32) {
        let seconds = u64::from(millis / 1000);
        num::padded(self.out, seconds / 3600, 2);
        self.s(":");
        num::padded(self.out, seconds / 60 % 60, 2);
        self.s(":");
        num::padded(self.out, seconds % 60, 2);
        self.s(".");
        num::padded(self.out, u64::from(millis % 1000), 3);
    }

    pub(super) fn icmp6(&mut self, part: Part<'_>, carrier: &Carrier) -> Written {
        self.layer = "icmp6";
        let kind = part.u8(0)?;
        let verbose = self.opts.verbose > 0;
        if verbose && !carrier.fragmented && part.is_whole() {
            let result = transport_checksum(carrier, ip_proto::ICMPV6, part.data);
            if result == 0 {
                self.s("[icmp6 sum ok] ");
            } else {
                let sent = part.be16(2)?;
                self.sx_padded("[bad icmp6 cksum ", sent, 4);
                self.sx_padded(" -> ", right_checksum(sent, result), 4);
                self.s("!] ");
            }
        }
        self.s("ICMP6, ");
        match icmp6::name(kind) {
            Some(name) => self.s(name),
            None => {
                self.sd("unknown icmp6 type (", kind);
                self.s(")");
            }
        }
        let discovery = matches!(kind, icmp6::ROUTER_SOLICITATION..=icmp6::REDIRECT);
        let undecoded = icmp6::name(kind).is_none();
        if verbose && (discovery || undecoded) {
            self.len(", length ", part.len);
        }
        part.u8(1)?;
        self.icmp6_text(kind, part)?;
        if !verbose {
            self.len(", length ", part.len);
        }
        if undecoded && self.opts.dump == super::Dump::None {
            super::dump::hex(self.out, part.data);
        }
        Ok(())
    }

    fn icmp6_text(&mut self, kind: u8, part: Part<'_>) -> Written {
        match kind {
            icmp6::UNREACHABLE => self.unreachable6(part.u8(1)?, part.skip(8))?,
            icmp6::PACKET_TOO_BIG => self.sd(", mtu ", part.be32(4)?),
            icmp6::TIME_EXCEEDED => match part.u8(1)? {
                0 => {
                    self.address_after(" for ", part, 8 + 24)?;
                }
                1 => self.s(" (reassembly)"),
                _ => {
                    self.sd(", unknown code (", part.u8(1)?);
                    self.s(")");
                }
            },
            icmp6::PARAMETER_PROBLEM => {
                let (code, pointer) = (part.u8(1)?, part.be32(4)?);
                part.bytes(8, 40)?;
                match code {
                    0 => self.sd(", erroneous - octet ", pointer),
                    1 => self.sd(", next header - octet ", pointer),
                    2 => self.sd(", option - octet ", pointer),
                    3 => self.sd(", incomplete header chain - octet ", pointer),
                    _ => self.sd(", code-#", code),
                }
            }
            icmp6::ECHO | icmp6::ECHO_REPLY => {
                let (id, seq) = (part.be16(4)?, part.be16(6)?);
                self.sd(", id ", id);
                self.sd(", seq ", seq);
            }
            icmp6::NEIGHBOR_SOLICITATION => {
                self.address_after(", who has ", part, 8)?;
                self.discovery_options(part.skip(24))?;
            }
            icmp6::NEIGHBOR_ADVERTISEMENT => self.advertisement(part)?,
            icmp6::ROUTER_SOLICITATION => self.discovery_options(part.skip(8))?,
            icmp6::ROUTER_ADVERTISEMENT if self.opts.verbose > 0 => self.router_advertisement(part)?,
            icmp6::REDIRECT => {
                self.address_after(", ", part, 24)?;
                self.address_after(" to ", part, 8)?;
            }
            icmp6::MULTICAST_LISTENER_QUERY if part.len >= 28 => {
                self.s(" v2");
                if self.opts.verbose > 0 {
                    self.sd(" [max resp delay=", part.be16(4)?);
                    self.s("]");
                }
                self.s(" [gaddr ");
                num::ipv6(self.out, &part.array(8)?);
                self.s("]");
            }
            // Of a cut message only the name is shown.
            icmp6::MULTICAST_LISTENER_QUERY..=icmp6::MULTICAST_LISTENER_DONE if part.data.len() >= 24 => {
                // tcpdump leaves out the blank here.
                self.sd("max resp delay: ", part.be16(4)?);
                self.address_after(" addr: ", part, 8)?;
            }
            icmp6::MULTICAST_LISTENER_REPORT_V2 => {
                self.sd(", ", part.be16(6)?);
                self.s(" group record(s)");
            }
            _ => {}
        }
        Ok(())
    }

    fn unreachable6(&mut self, code: u8, quoted: Part<'_>) -> Written {
        match code {
            0 => self.s(", unreachable route"),
            1 => self.s(",  unreachable prohibited"),
            2 => self.s(", beyond scope"),
            3 => self.s(", unreachable address"),
            4 => self.s(", unreachable port"),
            5 => self.s(", source address failed policy"),
            6 => self.s(", reject route"),
            _ => {
                self.sd(", unknown unreach code (", code);
                self.s(")");
                return Ok(());
            }
        }
        if code == 4 {
            let upper = Ipv6::parse(quoted).ok().and_then(|ip| ip.extensions().upper().ok());
            let ported = upper.filter(|upper| matches!(upper.proto, ip_proto::TCP | ip_proto::UDP));
            let port = ported.map(|upper| upper.payload.be16(2).map(|port| (upper.proto, port))).transpose()?;
            self.address_after(", ", quoted, 24)?;
            if let Some((proto, port)) = port {
                self.s(if proto == ip_proto::TCP { " tcp port " } else { " udp port " });
                self.quoted_port(port, proto);
            }
            return Ok(());
        }
        self.address_after(" ", quoted, 24)?;
        if code == 2 {
            self.address_after(", source address ", quoted, 8)?;
        }
        Ok(())
    }

    /// A text and the IPv6 address at an offset; nothing if the address was cut off.
    fn address_after(&mut self, text: &str, part: Part<'_>, at: usize) -> Written {
        let address = part.array(at)?;
        self.s(text);
        num::ipv6(self.out, &address);
        Ok(())
    }

    fn advertisement(&mut self, part: Part<'_>) -> Written {
        self.address_after(", tgt is ", part, 8)?;
        if self.opts.verbose > 0 {
            self.s(", ");
            self.flag_names(part.u8(4)?, &[(0x80, "router"), (0x40, "solicited"), (0x20, "override")]);
        }
        self.discovery_options(part.skip(24))
    }

    fn flag_names(&mut self, flags: u8, names: &[(u8, &str)]) {
        self.s("Flags [");
        let mut any = false;
        for (_, name) in names.iter().filter(|(bit, _)| flags & bit != 0) {
            self.s(if any { ", " } else { "" });
            self.s(name);
            any = true;
        }
        self.s(if any { "]" } else { "none]" });
    }

    fn router_advertisement(&mut self, part: Part<'_>) -> Written {
        part.bytes(0, 16)?;
        let flags = part.u8(5)?;
        self.sd("\n\thop limit ", part.u8(4)?);
        self.s(", ");
        self.flag_names(flags, &[(0x80, "managed"), (0x40, "other stateful"), (0x20, "home agent")]);
        self.s(", pref ");
        self.s(["medium", "high", "reserved", "low"][usize::from(flags >> 3 & 3)]);
        self.sd(", router lifetime ", part.be16(6)?);
        self.sd("s, reachable time ", part.be32(8)?);
        self.sd("ms, retrans timer ", part.be32(12)?);
        self.s("ms");
        self.discovery_options(part.skip(16))
    }

    fn prefix_information(&mut self, body: Part<'_>) -> Written {
        num::ipv6(self.out, &body.array(14)?);
        self.sd("/", body.u8(0)?);
        self.s(", ");
        self.flag_names(body.u8(1)?, &[(0x80, "onlink"), (0x40, "auto"), (0x20, "router")]);
        for (name, seconds) in [(", valid time ", body.be32(2)?), (", pref. time ", body.be32(6)?)] {
            if seconds == u32::MAX {
                self.s(name);
                self.s("infinity");
            } else {
                self.sd(name, seconds);
                self.s("s");
            }
        }
        Ok(())
    }

    /// Options of neighbour discovery, with `-v`, one per line.
    fn discovery_options(&mut self, mut rest: Part<'_>) -> Written {
        if self.opts.verbose == 0 {
            return Ok(());
        }
        while !rest.data.is_empty() {
            let (kind, words) = (rest.u8(0)?, rest.u8(1)?);
            if words == 0 {
                return Err(crate::decode::Cut);
            }
            let length = usize::from(words) * 8;
            let body = rest.bytes(2, length - 2)?;
            self.s("\n\t  ");
            match kind {
                1 => self.s("source link-address"),
                2 => self.s("destination link-address"),
                3 => self.s("prefix info"),
                5 => self.s("mtu"),
                14 => self.s("nonce"),
                _ => self.s("unknown"),
            }
            self.sd(" option (", kind);
            self.len("), length ", length);
            self.sd(" (", words);
            self.s("): ");
            match (kind, body) {
                (1 | 2, _) => self.mac(body),
                (3, _) if body.len() >= 30 => self.prefix_information(Part::new(body, body.len()))?,
                (5, [_, _, a, b, c, d]) => self.sd(" ", u32::from_be_bytes([*a, *b, *c, *d])),
                _ => {
                    self.s("0x");
                    num::hex_bytes(self.out, body);
                }
            }
            if self.opts.verbose > 1 {
                super::dump::hex_indented(self.out, "\n\t    ", body);
            }
            rest = rest.skip(length);
        }
        Ok(())
    }
}

//! MPLS, PPPoE, PPP and GRE.

use super::link::ppp_name;
use super::num;
use super::pen::{Pen, Written};
use crate::decode::{Cut, Gre, MplsLabel, Next, Part, link, tunnel};
use skep_proto::numbers::ethertype;

impl Pen<'_> {
    /// A stack of MPLS labels and what it carries.
    pub(super) fn mpls(&mut self, part: Part<'_>) -> Written {
        self.layer = "mpls";
        self.s("MPLS");
        let mut rest = part;
        loop {
            if rest.len < 4 {
                self.s(" (invalid)");
                return Ok(());
            }
            let entry = MplsLabel(rest.be32(0)?);
            rest = rest.skip(4);
            if self.opts.verbose > 0 && rest.len + 4 < part.len {
                self.s("\n\t");
            } else {
                self.s(" ");
            }
            self.sd("(label ", entry.label());
            if self.opts.verbose > 0 {
                self.s(match entry.label() {
                    0 => " (IPv4 explicit NULL)",
                    1 => " (router alert)",
                    2 => " (IPv6 explicit NULL)",
                    3 => " (implicit NULL)",
                    _ => "",
                });
            }
            self.sd(", tc ", entry.class());
            if entry.is_bottom() {
                self.s(", [S]");
            }
            self.sd(", ttl ", entry.ttl());
            self.s(")");
            if entry.is_bottom() {
                return self.mpls_payload(entry.next(rest), rest);
            }
        }
    }

    fn mpls_payload(&mut self, next: Next, rest: Part<'_>) -> Written {
        if rest.len == 0 || next == Next::Unknown {
            self.unknown(rest);
            return Ok(());
        }
        self.s(if self.opts.verbose > 0 { "\n\t" } else { " " });
        self.nested(|pen| pen.after(next, rest))
    }

    /// A PPPoE session packet.
    pub(super) fn pppoe_session(&mut self, part: Part<'_>) -> Written {
        self.layer = "pppoe";
        self.s("PPPoE  [ses ");
        let session = part.be16(2)?;
        self.sx("", session);
        self.s("]");
        let length = part.be16(4)?;
        let (_, protocol, rest) = tunnel::pppoe_session(part)?;
        self.s(" ");
        self.nested(|pen| pen.ppp(protocol, length.into(), rest))
    }

    /// A PPPoE discovery packet: its kind and tags.
    pub(super) fn pppoe_discovery(&mut self, part: Part<'_>) -> Written {
        self.layer = "pppoe";
        let (code, session, length) = (part.u8(1)?, part.be16(2)?, usize::from(part.be16(4)?));
        self.s("PPPoE ");
        self.s(match code {
            0x09 => "PADI",
            0x07 => "PADO",
            0x19 => "PADR",
            0x65 => "PADS",
            0xa7 => "PADT",
            _ => "PAD-%UNKNOWN",
        });
        if session != 0 {
            self.sx(" [ses ", session);
            self.s("]");
        }
        let mut rest = part.skip(6);
        if length > rest.len {
            self.len(" [len ", length);
            self.len(" > ", rest.len);
            self.s("!]");
        }
        rest = rest.limit(length);
        while rest.len >= 4 {
            let (kind, tag_len) = (rest.be16(0)?, usize::from(rest.be16(2)?));
            rest = rest.skip(4);
            if kind == 0 {
                break;
            }
            self.s(" [");
            match pppoe_tag(kind) {
                Some(name) => self.s(name),
                None => self.sx("TAG-", kind),
            }
            let value = rest.bytes(0, tag_len)?;
            if !value.is_empty() {
                let text = matches!(kind, 0x0101 | 0x0102 | 0x0201..=0x0203);
                if text || value.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
                    self.s(" \"");
                    self.safe(value);
                    self.s("\"");
                } else {
                    self.s(" 0x");
                    num::hex_bytes(self.out, value);
                }
            }
            self.s("]");
            rest = rest.skip(tag_len);
        }
        Ok(())
    }

    /// A PPP packet behind its protocol number.
    pub(super) fn ppp(&mut self, protocol: u16, length: usize, rest: Part<'_>) -> Written {
        if self.opts.link {
            self.s(ppp_name(protocol).unwrap_or("unknown"));
            self.sx_padded(" (", protocol, 4);
            self.len("), length ", length);
            self.s(": ");
        }
        self.ppp_payload(protocol, rest)
    }

    pub(super) fn ppp_payload(&mut self, protocol: u16, rest: Part<'_>) -> Written {
        match tunnel::ppp_next(protocol) {
            Next::Unknown => {
                match ppp_name(protocol) {
                    Some(name) => self.s(name),
                    None => self.sx_padded("unknown PPP protocol (", protocol, 4),
                }
                if let (0xc021 | 0x8021 | 0x8057 | 0x80fd, Ok(code), Ok(id)) = (protocol, rest.u8(0), rest.u8(1)) {
                    self.s(", ");
                    self.s(control_code(code));
                    self.sx_padded(" (", code, 2);
                    self.sd("), id ", id);
                    self.len(", length ", rest.len + 2);
                } else if ppp_name(protocol).is_none() {
                    self.s(")");
                    self.unknown(rest);
                } else {
                    self.len(", length ", rest.len);
                }
                Ok(())
            }
            next => self.after(next, rest),
        }
    }

    /// GRE.
    pub(super) fn gre(&mut self, part: Part<'_>) -> Written {
        self.layer = "gre";
        let flags = part.be16(0)?;
        let version = flags & 7;
        self.sd("GREv", version);
        if version > 1 {
            self.s(" ERROR: unknown-version");
            return Ok(());
        }
        if self.opts.verbose > 0 {
            self.gre_flags(flags, version == 1);
        }
        if flags & 0x4000 != 0 && version == 0 {
            self.len(", source routed, length ", part.len);
            return Ok(());
        }
        let gre = Gre::parse(part)?;
        if let Some(word) = gre.checksum {
            if self.opts.verbose > 0 {
                self.sx(", sum ", word >> 16);
            }
            self.sx(", off ", word & 0xffff);
        }
        match gre.key {
            Some(key) if version == 0 => self.sx(", key=", key),
            Some(key) => self.sd(", call ", key & 0xffff),
            None => {}
        }
        if let Some(sequence) = gre.sequence {
            self.sd(", seq ", sequence);
        }
        if let Some(ack) = gre.ack {
            self.sd(", ack ", ack);
        }
        if self.opts.link {
            self.s(", proto ");
            self.s(ethertype::name(gre.protocol).unwrap_or("unknown"));
            self.sx_padded(" (", gre.protocol, 4);
            self.s(")");
        }
        self.len(", length ", part.len);
        self.s(if self.opts.verbose > 0 { "\n\t" } else { ": " });
        self.gre_payload(&gre)
    }

    fn gre_flags(&mut self, flags: u16, pptp: bool) {
        let rows: [(u16, &str); 5] = [
            (0x8000, "checksum present"),
            (0x4000, "routing present"),
            (0x2000, "key present"),
            (0x1000, "sequence# present"),
            (if pptp { 0x0080 } else { 0 }, "acknowledgement# present"),
        ];
        self.s(", Flags [");
        let mut any = false;
        for (_, name) in rows.into_iter().filter(|(bit, _)| flags & bit != 0) {
            self.s(if any { ", " } else { "" });
            self.s(name);
            any = true;
        }
        self.s(if any { "]" } else { "none]" });
    }

    fn gre_payload(&mut self, gre: &Gre<'_>) -> Written {
        let payload = gre.payload;
        match gre.protocol {
            ethertype::IPV4 | ethertype::IPV6 | ethertype::TEB | ethertype::MPLS => {
                self.nested(|pen| pen.ether_payload(gre.protocol, payload).map(|_| ()))
            }
            ethertype::PPP if payload.len == 0 => Ok(()),
            ethertype::PPP => {
                let body = if payload.be16(0)? == 0xff03 { payload.skip(2) } else { payload };
                let (protocol, rest) = link::ppp_protocol(body).map_err(|_| Cut)?;
                self.nested(|pen| pen.ppp(protocol, payload.len, rest))
            }
            protocol => {
                self.sx("gre-proto-", protocol);
                Ok(())
            }
        }
    }
}

fn pppoe_tag(kind: u16) -> Option<&'static str> {
    Some(match kind {
        0x0101 => "Service-Name",
        0x0102 => "AC-Name",
        0x0103 => "Host-Uniq",
        0x0104 => "AC-Cookie",
        0x0105 => "Vendor-Specific",
        0x0110 => "Relay-Session-ID",
        0x0120 => "PPP-Max-Payload",
        0x0201 => "Service-Name-Error",
        0x0202 => "AC-System-Error",
        0x0203 => "Generic-Error",
        _ => return None,
    })
}

/// Codes of the PPP control protocols (RFC 1661).
fn control_code(code: u8) -> &'static str {
    // TABLE: codes 0 to 13.
    const NAMES: [&str; 14] = [
        "Vendor-Extension",
        "Conf-Request",
        "Conf-Ack",
        "Conf-Nack",
        "Conf-Reject",
        "Term-Request",
        "Term-Ack",
        "Code-Reject",
        "Prot-Reject",
        "Echo-Request",
        "Echo-Reply",
        "Disc-Req",
        "Ident",
        "Time-Remaining",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("Unknown Opcode")
}

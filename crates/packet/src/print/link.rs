//! Link headers and the choice of what follows them.

use super::num;
use super::pen::{Pen, Written};
use crate::decode::link::{self, Link, MAX_8023_LENGTH, Next};
use crate::decode::{Cut, Llc, Part, Wlan, tunnel};
use crate::file::Packet;
use skep_proto::LinkType;
use skep_proto::numbers::{ethertype, llc_sap};

/// The name that marks a cut link header, as tcpdump calls its decoders.
fn layer_name(link: LinkType) -> &'static str {
    match link {
        LinkType::EN10MB => "ether",
        LinkType::LINUX_SLL => "sll",
        LinkType::LINUX_SLL2 => "sll2",
        LinkType::NULL | LinkType::LOOP => "null",
        LinkType::PPP | LinkType::PPP_WITH_DIR | LinkType::PPP_PPPD => "ppp",
        LinkType::PPP_SERIAL => "ppp_hdlc",
        LinkType::PPP_BSDOS => "ppp_bsdos",
        LinkType::PPP_ETHER => "pppoe",
        LinkType::C_HDLC => "chdlc",
        LinkType::IEEE802_11 => "802.11",
        LinkType::IEEE802_11_RADIO => "802.11_radio",
        LinkType::PRISM_HEADER => "prism",
        LinkType::IEEE802_11_RADIO_AVS => "802.11_radio_avs",
        LinkType::PPI => "ppi",
        _ => "raw",
    }
}

/// The names of packet types in cooked headers.
fn packet_type_name(kind: u16) -> &'static str {
    ["In", "B", "M", "P", "Out"].get(usize::from(kind)).copied().unwrap_or("?")
}

/// Names of PPP protocols (IANA "PPP Numbers"), as tcpdump prints them.
pub(super) fn ppp_name(protocol: u16) -> Option<&'static str> {
    Some(match protocol {
        0x0021 => "IP",
        0x0057 => "IP6",
        0x002b => "IPX",
        0x002d => "VJC",
        0x002f => "VJNC",
        0x003d => "MLPPP",
        0x00fd => "COMP",
        0x0281 => "MPLS",
        0x0283 => "MPLS",
        0x8021 => "IPCP",
        0x8057 => "IP6CP",
        0x80fd => "CCP",
        0xc021 => "LCP",
        0xc023 => "PAP",
        0xc025 => "LQM",
        0xc223 => "CHAP",
        0xc227 => "EAP",
        _ => return None,
    })
}

impl Pen<'_> {
    /// The whole line of a packet, without the time.
    pub(super) fn packet(&mut self, packet: &Packet<'_>) {
        self.layer = layer_name(packet.link);
        if self.any_link(packet) == Err(Cut) {
            self.cut_mark();
        }
    }

    fn any_link(&mut self, packet: &Packet<'_>) -> Written {
        let part = Part::new(packet.data, packet.orig_len as usize);
        if packet.link == LinkType::EN10MB {
            return self.ethernet(part);
        }
        let (head, next, rest) = link::parse(packet.link, part)?;
        let header_len = part.len.saturating_sub(rest.len);
        match head {
            Link::Cooked { .. } => self.cooked(head, next, part, rest)?,
            Link::Family(family) => {
                if self.opts.link {
                    let name = match next {
                        Next::EtherType(ethertype::IPV4) => "IPv4",
                        Next::EtherType(ethertype::IPV6) => "IPv6",
                        _ => "Unknown",
                    };
                    if self.opts.quiet {
                        self.s(name);
                    } else {
                        self.s("AF ");
                        self.s(name);
                        self.sd(" (", family);
                        self.s(")");
                    }
                    self.len(", length ", part.len);
                    self.s(": ");
                } else if next == Next::Unknown {
                    self.sd("AF Unknown (", family);
                    self.len("), length ", part.len);
                    self.s(": ");
                }
                self.after(next, rest)?;
            }
            Link::Ppp { hdlc, protocol } => {
                if self.opts.link && hdlc && packet.link == LinkType::PPP_SERIAL {
                    self.s("ff 03 ");
                    num::decimal(self.out, part.len as u64);
                    self.s(" ");
                }
                if packet.link == LinkType::PPP_SERIAL {
                    self.s(ppp_name(protocol).unwrap_or("unknown"));
                    self.s(": ");
                    self.ppp_payload(protocol, rest)?;
                } else {
                    self.ppp(protocol, part.len, rest)?;
                }
            }
            Link::Chdlc { address, protocol } => {
                if self.opts.link {
                    self.s(match address {
                        0x0f => "unicast",
                        0x8f => "bcast",
                        _ => "unknown",
                    });
                    self.ethertype_name(", ethertype ", protocol);
                    self.len(", length ", part.len);
                    self.s(": ");
                }
                if protocol == ethertype::RARP {
                    self.len("SLARP (length: ", rest.len);
                    self.s(")");
                } else {
                    self.after(next, rest)?;
                }
            }
            Link::Wlan(wlan) => self.wlan(&wlan, next, rest)?,
            Link::None => {
                if self.opts.link {
                    self.s("ip: ");
                }
                self.after(next, rest)?;
            }
            Link::Ethernet { .. } | Link::Other => {
                self.s("[");
                match packet.link.name() {
                    Some(name) => self.s(name),
                    None => self.sd("link type ", packet.link.0),
                }
                self.len("], length ", part.len);
                self.unknown(rest);
                return Ok(());
            }
        }
        self.header_len += header_len;
        Ok(())
    }

    /// An EtherType with its name: `ethertype IPv4 (0x0800)`, or only the name with `-q`. `before` ends in `ethertype `.
    pub(super) fn ethertype_name(&mut self, before: &str, ether: u16) {
        if self.opts.quiet {
            self.s(before.trim_end_matches("ethertype "));
            match ethertype::name(ether) {
                Some(name) => self.s(name),
                None => {
                    self.sx_padded("Unknown Ethertype (", ether, 4);
                    self.s(")");
                }
            }
            return;
        }
        self.s(before);
        self.s(ethertype::name(ether).unwrap_or("Unknown"));
        self.sx_padded(" (", ether, 4);
        self.s(")");
    }

    /// An Ethernet frame, VLAN tags included.
    pub(super) fn ethernet(&mut self, part: Part<'_>) -> Written {
        self.layer = "ether";
        let (Link::Ethernet { dst, src, mut ethertype }, mut next, mut rest) = link::ethernet(part)? else {
            return Err(Cut);
        };
        let outermost = self.header_len == 0;
        if outermost {
            self.header_len = 14;
        }
        if self.opts.link {
            self.ethernet_head(&dst, &src, ethertype, part.len);
        }
        // A frame has at most a few tags; more are not followed.
        for _ in 0..16 {
            if !(tunnel::is_vlan(ethertype) && matches!(next, Next::EtherType(_))) {
                break;
            }
            self.layer = "vlan";
            let (tag, following, after_tag) = tunnel::vlan(rest)?;
            if self.opts.link {
                self.vlan_tag(tag);
                if following > MAX_8023_LENGTH {
                    self.ethertype_name("ethertype ", following);
                    self.s(", ");
                } else {
                    self.s("802.3");
                }
            }
            if outermost {
                self.header_len += 4;
            }
            ethertype = following;
            (next, rest) = link::after_type(following, after_tag);
        }
        match next {
            Next::Llc => self.llc(rest, Some((&src, &dst))),
            Next::EtherType(ether) if !self.ether_payload(ether, rest)? => {
                if !self.opts.link {
                    self.ethernet_head(&dst, &src, ether, part.len);
                }
                self.unknown(rest);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn ethernet_head(&mut self, dst: &[u8], src: &[u8], ether: u16, length: usize) {
        self.mac(src);
        self.s(" > ");
        self.mac(dst);
        if ether <= MAX_8023_LENGTH {
            // The length field is what tcpdump shows here, not the frame's.
            self.sd(", 802.3, length ", ether);
        } else {
            self.ethertype_name(", ethertype ", ether);
            self.len(", length ", length);
        }
        self.s(": ");
    }

    fn vlan_tag(&mut self, tag: u16) {
        self.sd("vlan ", tag & 0xfff);
        self.sd(", p ", tag >> 13);
        self.s(if tag & 0x1000 != 0 { ", DEI, " } else { ", " });
    }

    /// What a link header announced.
    pub(super) fn after(&mut self, next: Next, rest: Part<'_>) -> Written {
        match next {
            Next::EtherType(ether) => {
                if !self.ether_payload(ether, rest)? {
                    self.ethertype_name("ethertype ", ether);
                    self.len(", length ", rest.len);
                    self.s(": ");
                    self.unknown(rest);
                }
                Ok(())
            }
            Next::Llc => self.llc(rest, None),
            Next::Ppp(protocol) => self.ppp(protocol, rest.len, rest),
            Next::Ip => self.ip_any(rest),
            Next::Unknown => {
                self.unknown(rest);
                Ok(())
            }
        }
    }

    /// A payload by EtherType; `false` if the type is not known.
    pub(super) fn ether_payload(&mut self, ether: u16, rest: Part<'_>) -> Result<bool, Cut> {
        match ether {
            ethertype::IPV4 => self.ipv4(rest)?,
            ethertype::IPV6 => self.ipv6(rest)?,
            ethertype::ARP | ethertype::RARP => self.arp(rest)?,
            ethertype::MPLS | ethertype::MPLS_MULTICAST => self.mpls(rest)?,
            ethertype::PPPOE_SESSION => self.pppoe_session(rest)?,
            ethertype::PPPOE_DISCOVERY => self.pppoe_discovery(rest)?,
            ethertype::PPP => {
                let (protocol, body) = link::ppp_protocol(rest)?;
                self.ppp(protocol, rest.len, body)?;
            }
            ethertype::TEB => return self.nested(|pen| pen.ethernet(rest)).map(|()| true),
            ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_9100 | ethertype::QINQ_9200 => {
                self.layer = "vlan";
                let (tag, following, body) = tunnel::vlan(rest)?;
                if self.opts.link {
                    self.vlan_tag(tag);
                }
                if following > MAX_8023_LENGTH {
                    self.s("ethertype ");
                    self.s(ethertype::name(following).unwrap_or("Unknown"));
                    self.s(", ");
                }
                let (next, body) = link::after_type(following, body);
                self.nested(|pen| pen.after(next, body))?;
            }
            ethertype::LLDP => self.len("LLDP, length ", rest.len),
            ethertype::EAPOL => self.len("EAPOL, length ", rest.len),
            ethertype::SLOW => self.len("Slow Protocols, length ", rest.len),
            ethertype::LOOPBACK => self.len("Loopback, length ", rest.len),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn cooked(&mut self, head: Link<'_>, next: Next, part: Part<'_>, rest: Part<'_>) -> Written {
        let Link::Cooked { version, packet_type, ifindex, address, protocol, .. } = head else { return Err(Cut) };
        if version == 2 {
            let name = self.state.interfaces.get(&ifindex).map_or("?", String::as_str);
            let before = self.out.len();
            self.out.extend_from_slice(name.as_bytes());
            self.pad(before, 6);
            let before = self.out.len();
            self.s(packet_type_name(packet_type));
            self.pad(before, 4);
        }
        let known = matches!(next, Next::Llc) || matches!(next, Next::EtherType(ether) if knows(ether));
        if self.opts.link || (version == 1 && !known) {
            if version == 1 {
                let name = packet_type_name(packet_type);
                for _ in name.len()..3 {
                    self.s(" ");
                }
                self.s(name);
                self.s(" ");
            } else {
                self.sd("ifindex ", ifindex);
                self.s(" ");
            }
            if address.len() == 6 {
                self.mac(address);
                self.s(" ");
            }
            if protocol <= MAX_8023_LENGTH {
                self.s(if protocol == 4 { "802.2" } else { "802.3" });
            } else {
                self.ethertype_name("ethertype ", protocol);
            }
            self.len(", length ", part.len);
            self.s(": ");
        }
        if known { self.after(next, rest) } else { self.cooked_unknown(next, protocol, version, rest) }
    }

    fn cooked_unknown(&mut self, next: Next, protocol: u16, version: u8, rest: Part<'_>) -> Written {
        if version == 2 && !self.opts.link && next != Next::Unknown {
            self.ethertype_name("ethertype ", protocol);
            self.len(", length ", rest.len);
            self.s(": ");
        }
        self.unknown(rest);
        Ok(())
    }

    /// Fills up with blanks to a width counted from `before`, one at least.
    fn pad(&mut self, before: usize, width: usize) {
        let to = (before + width).max(self.out.len() + 1);
        self.out.resize(to, b' ');
    }

    /// LLC; `addresses` are those of the frame, source first.
    pub(super) fn llc(&mut self, part: Part<'_>, addresses: Option<(&[u8], &[u8])>) -> Written {
        self.layer = "llc";
        let (head, next, rest) = match link::llc(part) {
            Ok(parsed) => parsed,
            Err(Cut) => {
                self.cut_mark();
                self.unknown(part);
                return Ok(());
            }
        };
        if self.header_len > 0 {
            self.header_len += part.len.saturating_sub(rest.len);
        }
        if self.opts.link {
            self.llc_head(&head, rest.len);
        }
        if let Next::EtherType(ether) = next
            && self.ether_payload(ether, rest)?
        {
            return Ok(());
        }
        match (head.dsap, head.snap) {
            (llc_sap::SPANNING_TREE, _) => self.len("STP, length ", rest.len),
            (_, Some((oui, pid))) => {
                if !self.opts.link {
                    self.sx_padded("SNAP oui ", oui, 6);
                    self.sx_padded(", pid ", pid, 4);
                    self.len(", length ", rest.len);
                }
                self.unknown(rest);
            }
            _ => {
                if !self.opts.link {
                    self.llc_ends(&head, addresses);
                }
                self.llc_control(&head);
                self.s(if head.ssap & 1 == 0 { ", Flags [Command]" } else { ", Flags [Response]" });
                self.len(", length ", part.len);
                // Only information frames carry data.
                if head.control & 1 == 0 || head.control & 0xef == 0x03 {
                    self.unknown(part);
                }
            }
        }
        Ok(())
    }

    fn llc_head(&mut self, head: &Llc, length: usize) {
        let name = |sap: u8| llc_sap::name(sap).unwrap_or("Unknown");
        self.s("LLC, dsap ");
        self.s(name(head.dsap & 0xfe));
        self.sx_padded(" (", head.dsap, 2);
        self.s(if head.dsap & 1 == 0 { ") Individual, ssap " } else { ") Group, ssap " });
        self.s(name(head.ssap & 0xfe));
        self.sx_padded(" (", head.ssap & 0xfe, 2);
        self.s(if head.ssap & 1 == 0 { ") Command, ctrl " } else { ") Response, ctrl " });
        self.sx_padded("", head.control, if head.is_unnumbered() { 2 } else { 4 });
        self.s(": ");
        if let Some((oui, pid)) = head.snap {
            self.s("oui ");
            self.s(match oui {
                0 => "Ethernet",
                0x0c => "Cisco",
                0xf8 => "Cisco bridged",
                0x80_07c2 => "RFC2684",
                _ => "Unknown",
            });
            self.sx_padded(" (", oui, 6);
            self.s("), ");
            if oui == 0 {
                self.ethertype_name("ethertype ", pid);
            } else {
                self.sx_padded("pid ", pid, 4);
            }
            self.len(", length ", length);
            self.s(": ");
        }
    }

    fn llc_ends(&mut self, head: &Llc, addresses: Option<(&[u8], &[u8])>) {
        let ends = [(head.ssap & 0xfe, addresses.map(|a| a.0)), (head.dsap & 0xfe, addresses.map(|a| a.1))];
        for (index, (sap, address)) in ends.into_iter().enumerate() {
            if index == 1 {
                self.s(" > ");
            }
            if let Some(address) = address {
                self.mac(address);
                self.s(" ");
            }
            match llc_sap::name(sap) {
                Some(name) => self.s(name),
                None => self.sx_padded(if index == 0 { "Unknown SSAP " } else { "Unknown DSAP " }, sap, 2),
            }
        }
        self.s(" ");
    }

    fn llc_control(&mut self, head: &Llc) {
        let control = head.control;
        if head.is_unnumbered() {
            self.s("Unnumbered, ");
            self.s(match control & 0xef {
                0x03 => "ui",
                0x6f => "sabme",
                0x43 => "disc",
                0x63 => "ua",
                0x0f => "dm",
                0x87 => "frmr",
                0xaf => "xid",
                0xe3 => "test",
                _ => "unknown",
            });
        } else if control & 1 == 1 {
            self.s("Supervisory, ");
            self.s(["Receiver Ready", "Receiver not Ready", "Reject", "?"][usize::from(control >> 2 & 3)]);
            self.sd(", rcv seq ", control >> 9);
        } else {
            self.sd("Information, send seq ", control >> 1 & 0x7f);
            self.sd(", rcv seq ", control >> 9);
        }
    }

    fn wlan(&mut self, head: &Wlan, next: Next, rest: Part<'_>) -> Written {
        if next == Next::Llc && !self.opts.link {
            return self.llc(rest, None);
        }
        self.s(head.name());
        if let Some(source) = head.source() {
            self.s(" ");
            self.mac(&source);
            self.s(" >");
        }
        self.s(" ");
        self.mac(&head.destination());
        if head.protected() {
            self.s(" encrypted");
        }
        if next == Next::Llc {
            self.s(": ");
            return self.llc(rest, None);
        }
        self.len(", length ", rest.len);
        Ok(())
    }
}

/// True if [`Pen::ether_payload`] prints this EtherType.
fn knows(ether: u16) -> bool {
    matches!(
        ether,
        ethertype::IPV4
            | ethertype::IPV6
            | ethertype::ARP
            | ethertype::RARP
            | ethertype::MPLS
            | ethertype::MPLS_MULTICAST
            | ethertype::PPPOE_SESSION
            | ethertype::PPPOE_DISCOVERY
            | ethertype::PPP
            | ethertype::TEB
            | ethertype::LLDP
            | ethertype::EAPOL
            | ethertype::SLOW
            | ethertype::LOOPBACK
    ) || tunnel::is_vlan(ether)
}

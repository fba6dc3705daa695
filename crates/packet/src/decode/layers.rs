//! The whole of a packet at once: link, tags, network and transport, each as far as it could be decoded.
//!
//! This is what DNS tracking and JSON output work on; the text printer follows the headers itself, because it shows
//! the faults between them.

use super::link::{self, Link, Next};
use super::net::{Arp, Ipv4, Ipv6, NetError};
use super::part::Part;
use super::transport::{Icmp, Tcp, Udp};
use super::tunnel::{self, MplsLabel, Tunnel};
use skep_proto::LinkType;
use skep_proto::numbers::{ethertype, ip_proto};
use std::net::IpAddr;

/// The network layer of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net<'a> {
    /// None that is decoded here.
    None,
    /// ARP or RARP.
    Arp(Arp<'a>),
    /// IPv4.
    V4(Ipv4<'a>),
    /// IPv6, its extension headers skipped.
    V6(Ipv6<'a>),
}

/// The transport layer of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'a> {
    /// None, or one that is not decoded here; see [`Layers::proto`].
    None,
    /// TCP.
    Tcp(Tcp<'a>),
    /// UDP.
    Udp(Udp<'a>),
    /// ICMP.
    Icmp(Icmp<'a>),
    /// ICMPv6.
    Icmp6(Icmp<'a>),
    /// SCTP: the ports.
    Sctp(u16, u16),
}

/// VLAN identifiers of a packet, outermost first; more than four are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vlans {
    tags: [u16; 4],
    count: usize,
}

impl Vlans {
    /// The tags (priority, DEI and identifier), outermost first.
    #[must_use]
    pub fn tags(&self) -> &[u16] {
        &self.tags[..self.count]
    }

    fn push(&mut self, tag: u16) {
        if let Some(slot) = self.tags.get_mut(self.count) {
            *slot = tag;
            self.count += 1;
        }
    }
}

/// What a fault in a packet is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The packet was cut off within this header.
    Cut(&'static str),
    /// A header contradicts itself.
    Bad(&'static str),
}

/// A decoded packet. Fields of layers that are missing or damaged are empty and `fault` says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers<'a> {
    /// The link header.
    pub link: Link<'a>,
    /// VLAN tags.
    pub vlans: Vlans,
    /// The first MPLS label.
    pub mpls: Option<MplsLabel>,
    /// PPPoE session number.
    pub pppoe: Option<u16>,
    /// The EtherType of the network layer, if one was stated.
    pub ethertype: Option<u16>,
    /// The network layer.
    pub net: Net<'a>,
    /// The transport protocol's number, extension headers of IPv6 skipped.
    pub proto: Option<u8>,
    /// Fragment offset in bytes and whether more follow, for fragments.
    pub fragment: Option<(usize, bool)>,
    /// The transport layer. A later fragment has none.
    pub transport: Transport<'a>,
    /// The bytes behind the last decoded header.
    pub payload: Part<'a>,
    /// Why decoding stopped early.
    pub fault: Option<Fault>,
}

/// Tags, labels and sessions in one packet at most; more is an attack or damage.
const MOST_TAGS: usize = 32;

impl<'a> Layers<'a> {
    /// Decodes a packet. Total: never fails, whatever the bytes are.
    #[must_use]
    pub fn of(link: LinkType, data: &'a [u8], orig_len: u32) -> Self {
        let part = Part::new(data, orig_len as usize);
        let mut layers = Self::empty(part);
        match link::parse(link, part) {
            Ok((head, next, rest)) => {
                layers.link = head;
                layers.follow(next, rest);
            }
            Err(_) => layers.fault = Some(Fault::Cut("link")),
        }
        layers
    }

    /// Decodes what another header announced, without a link header.
    #[must_use]
    pub fn after(next: Next, part: Part<'a>) -> Self {
        let mut layers = Self::empty(part);
        if next == Next::EtherType(ethertype::TEB) {
            match link::ethernet(part) {
                Ok((head, next, rest)) => {
                    layers.link = head;
                    layers.follow(next, rest);
                }
                Err(_) => layers.fault = Some(Fault::Cut("link")),
            }
        } else {
            layers.follow(next, part);
        }
        layers
    }

    fn empty(payload: Part<'a>) -> Self {
        Self {
            link: Link::None,
            vlans: Vlans::default(),
            mpls: None,
            pppoe: None,
            ethertype: None,
            net: Net::None,
            proto: None,
            fragment: None,
            transport: Transport::None,
            payload,
            fault: None,
        }
    }

    /// Source and destination address of the network layer.
    #[must_use]
    pub fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self.net {
            Net::V4(ip) => Some((IpAddr::from(ip.src), IpAddr::from(ip.dst))),
            Net::V6(ip) => Some((IpAddr::from(ip.src), IpAddr::from(ip.dst))),
            _ => None,
        }
    }

    /// Source and destination port.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.transport {
            Transport::Tcp(tcp) => Some((tcp.sport, tcp.dport)),
            Transport::Udp(udp) => Some((udp.sport, udp.dport)),
            Transport::Sctp(sport, dport) => Some((sport, dport)),
            _ => None,
        }
    }

    /// The packet within, if this one is a tunnel's (IP in IP, GRE, VXLAN, Geneve).
    #[must_use]
    pub fn inner(&self) -> Option<(Tunnel, Layers<'a>)> {
        let (tunnel, next, part) = match (self.transport, self.proto, self.fragment) {
            (_, _, Some((1.., _))) => return None,
            (Transport::Udp(udp), ..) => tunnel::inside_udp(udp.sport, udp.dport, udp.payload)?,
            (Transport::None, Some(proto), _) => tunnel::inside_ip(proto, self.payload)?,
            _ => return None,
        };
        Some((tunnel, Self::after(next, part)))
    }

    /// Follows tags, labels and sessions to the network layer.
    fn follow(&mut self, mut next: Next, mut part: Part<'a>) {
        for _ in 0..MOST_TAGS {
            self.payload = part;
            let step = match next {
                Next::EtherType(ether) => {
                    self.ethertype = Some(ether);
                    self.step(ether, part)
                }
                Next::Llc => link::llc(part).map(|(_, next, rest)| Some((next, rest))).map_err(|_| Fault::Cut("llc")),
                Next::Ppp(protocol) => Ok(Some((tunnel::ppp_next(protocol), part))),
                Next::Ip => {
                    self.ip(part);
                    return;
                }
                Next::Unknown => return,
            };
            match step {
                Ok(Some((following, rest))) => (next, part) = (following, rest),
                Ok(None) => return,
                Err(fault) => {
                    self.fault = Some(fault);
                    return;
                }
            }
        }
        self.fault = Some(Fault::Bad("tags"));
    }

    /// One EtherType: `Some` if another header of the same kind of choice follows.
    fn step(&mut self, ether: u16, part: Part<'a>) -> Result<Option<(Next, Part<'a>)>, Fault> {
        match ether {
            _ if tunnel::is_vlan(ether) => {
                let (tag, following, rest) = tunnel::vlan(part).map_err(|_| Fault::Cut("vlan"))?;
                self.vlans.push(tag);
                let (next, rest) = link::after_type(following, rest);
                Ok(Some((next, rest)))
            }
            ethertype::MPLS | ethertype::MPLS_MULTICAST => {
                let label = MplsLabel(part.be32(0).map_err(|_| Fault::Cut("mpls"))?);
                self.mpls.get_or_insert(label);
                let rest = part.skip(4);
                Ok(Some((if label.is_bottom() { label.next(rest) } else { Next::EtherType(ether) }, rest)))
            }
            ethertype::PPPOE_SESSION => {
                let (session, protocol, rest) = tunnel::pppoe_session(part).map_err(|_| Fault::Cut("pppoe"))?;
                self.pppoe = Some(session);
                Ok(Some((Next::Ppp(protocol), rest)))
            }
            ethertype::ARP | ethertype::RARP => {
                self.net = Net::Arp(Arp::parse(part).map_err(|_| Fault::Cut("arp"))?);
                Ok(None)
            }
            ethertype::IPV4 | ethertype::IPV6 => Ok(Some((Next::Ip, part))),
            _ => Ok(None),
        }
    }

    fn ip(&mut self, part: Part<'a>) {
        let outcome = match part.u8(0).map(|byte| byte >> 4) {
            Ok(6) => self.ipv6(part),
            _ => self.ipv4(part),
        };
        if let Err(error) = outcome {
            self.fault = Some(match error {
                NetError::Cut => Fault::Cut("ip"),
                NetError::Version(_) => Fault::Bad("ip version"),
                NetError::HeaderLength(_) => Fault::Bad("ip header length"),
                NetError::TotalLength(_) => Fault::Bad("ip length"),
            });
        }
    }

    fn ipv4(&mut self, part: Part<'a>) -> Result<(), NetError> {
        let ip = Ipv4::parse(part)?;
        self.net = Net::V4(ip);
        self.ethertype.get_or_insert(ethertype::IPV4);
        self.proto = Some(ip.proto);
        self.payload = ip.payload;
        if ip.is_fragment() {
            self.fragment = Some((ip.fragment_offset(), ip.more_fragments()));
        }
        self.transport(ip.proto, ip.payload);
        Ok(())
    }

    fn ipv6(&mut self, part: Part<'a>) -> Result<(), NetError> {
        let ip = Ipv6::parse(part)?;
        self.net = Net::V6(ip);
        self.ethertype.get_or_insert(ethertype::IPV6);
        self.payload = ip.payload;
        let Ok(upper) = ip.extensions().upper() else {
            self.fault = Some(Fault::Cut("ip6 extension"));
            return Ok(());
        };
        self.proto = Some(upper.proto);
        self.fragment = upper.fragment;
        self.payload = upper.payload;
        self.transport(upper.proto, upper.payload);
        Ok(())
    }

    fn transport(&mut self, proto: u8, part: Part<'a>) {
        if self.fragment.is_some_and(|(offset, _)| offset > 0) {
            return;
        }
        let (transport, payload) = match proto {
            ip_proto::TCP => match Tcp::parse(part) {
                Ok(tcp) => (Transport::Tcp(tcp), tcp.payload),
                Err(super::transport::TcpError::Cut) => return self.fault = Some(Fault::Cut("tcp")),
                Err(_) => return self.fault = Some(Fault::Bad("tcp header length")),
            },
            ip_proto::UDP => match Udp::parse(part) {
                Ok(udp) => (Transport::Udp(udp), udp.payload),
                Err(_) => return self.fault = Some(Fault::Cut("udp")),
            },
            ip_proto::ICMP | ip_proto::ICMPV6 => match Icmp::parse(part) {
                Ok(icmp) if proto == ip_proto::ICMP => (Transport::Icmp(icmp), icmp.body),
                Ok(icmp) => (Transport::Icmp6(icmp), icmp.body),
                Err(_) => return self.fault = Some(Fault::Cut("icmp")),
            },
            ip_proto::SCTP => match (part.be16(0), part.be16(2)) {
                (Ok(sport), Ok(dport)) => (Transport::Sctp(sport, dport), part.skip(12)),
                _ => return self.fault = Some(Fault::Cut("sctp")),
            },
            _ => return,
        };
        self.transport = transport;
        self.payload = payload;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ethernet frame with two VLAN tags, IPv4 with options, and UDP.
    fn frame() -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xa8, 0, 7, 0x81, 0, 0x20, 8, 8, 0];
        frame.extend([0x46, 0, 0, 36, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0]);
        frame.extend([0, 53, 0x30, 0x39, 0, 12, 0, 0]);
        frame.extend(b"data");
        frame
    }

    #[test]
    fn tags_options_and_ports() {
        let frame = frame();
        let layers = Layers::of(LinkType::EN10MB, &frame, frame.len() as u32);
        assert_eq!(layers.vlans.tags(), [7, 0x2008]);
        assert_eq!(layers.ports(), Some((53, 12345)));
        assert_eq!(layers.payload.data, b"data");
        assert_eq!(layers.addresses().unwrap().0.to_string(), "10.0.0.1");
        assert_eq!(layers.fault, None);
    }

    #[test]
    fn every_cut_is_survived_and_named() {
        let frame = frame();
        for end in 0..frame.len() - 4 {
            let layers = Layers::of(LinkType::EN10MB, &frame[..end], frame.len() as u32);
            assert!(matches!(layers.fault, Some(Fault::Cut(_))), "{end}: {layers:?}");
        }
    }

    #[test]
    fn an_endless_stack_of_tags_is_a_fault() {
        let mut frame = vec![0; 12];
        frame.extend([0x81, 0, 0, 1].repeat(300));
        let layers = Layers::of(LinkType::EN10MB, &frame, frame.len() as u32);
        assert_eq!(layers.fault, Some(Fault::Bad("tags")));
        assert_eq!(layers.vlans.tags(), [1, 1, 1, 1]);
    }

    #[test]
    fn inner_packets() {
        let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 47, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend([0x20, 0, 8, 0, 0, 0, 0, 9]);
        packet.extend(&frame()[22..]);
        packet[3] = packet.len() as u8;
        let layers = Layers::of(LinkType::RAW, &packet, packet.len() as u32);
        let (tunnel, inner) = layers.inner().unwrap();
        assert_eq!((tunnel, inner.ports()), (Tunnel::Gre(Some(9)), Some((53, 12345))));
        assert!(inner.inner().is_none());
    }
}

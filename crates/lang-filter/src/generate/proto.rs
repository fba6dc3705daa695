//! Protocol words and `proto N`.

use skep_isa::classic::{AluOp, Size};
use skep_proto::numbers::ethertype;

use super::linktype::{
    ETHERTYPE_AARP, ETHERTYPE_ARP, ETHERTYPE_ATALK, ETHERTYPE_DECNET, ETHERTYPE_IP, ETHERTYPE_IP6, ETHERTYPE_RARP,
    LLC_IPX, LLC_ISO, LLC_NETBEUI, LLC_STP,
};
use super::words::proto_word;
use super::{Gen, Generator, Refusal, Rel};
use crate::ast::{ByteOp, LlcType, Proto, Quals};
use crate::formula::FId;
use crate::ranges::RangeSet;

/// Which layer a protocol word belongs to and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// Told by the link layer: EtherType or LLC service access point.
    Link(u32),
    /// An IPv4 protocol.
    Ip4(u32),
    /// An IPv6 protocol.
    Ip6(u32),
    /// A protocol over both.
    Ip(u32),
    /// Told by the first byte behind the LLC header of ISO.
    Iso(u32),
    /// IS-IS packet types, any of them.
    IsIs(&'static [u32]),
    /// Has no number.
    None,
}

/// The layer of a protocol word.
pub(super) fn layer(proto: Proto) -> Layer {
    use Layer::{Ip, Ip4, Ip6, IsIs, Iso, Link};
    match proto {
        Proto::Link | Proto::Radio => Layer::None,
        Proto::Ip => Link(ETHERTYPE_IP),
        Proto::Ip6 => Link(ETHERTYPE_IP6),
        Proto::Arp => Link(ETHERTYPE_ARP),
        Proto::Rarp => Link(ETHERTYPE_RARP),
        Proto::Atalk => Link(ETHERTYPE_ATALK),
        Proto::Aarp => Link(ETHERTYPE_AARP),
        Proto::Decnet => Link(ETHERTYPE_DECNET),
        Proto::Lat => Link(ethertype::LAT as u32),
        Proto::Sca => Link(ethertype::SCA as u32),
        Proto::Moprc => Link(ethertype::MOPRC as u32),
        Proto::Mopdl => Link(ethertype::MOPDL as u32),
        Proto::Iso => Link(LLC_ISO),
        Proto::Stp => Link(LLC_STP),
        Proto::Ipx => Link(LLC_IPX),
        Proto::Netbeui => Link(LLC_NETBEUI),
        Proto::Tcp => Ip(6),
        Proto::Udp => Ip(17),
        Proto::Sctp => Ip(132),
        Proto::Pim => Ip(103),
        Proto::Ah => Ip(51),
        Proto::Esp => Ip(50),
        Proto::Icmp => Ip4(1),
        Proto::Igmp => Ip4(2),
        Proto::Igrp => Ip4(9),
        Proto::Vrrp | Proto::Carp => Ip4(112),
        Proto::Icmp6 => Ip6(58),
        Proto::Clnp => Iso(0x81),
        Proto::Esis => Iso(0x82),
        Proto::Isis => Iso(0x83),
        // Packet types: hello 15 16 17, link state 18 20, complete 24 25 and partial 26 27 sequence numbers.
        Proto::IsisL1 => IsIs(&[26, 24, 18, 15, 17]),
        Proto::IsisL2 => IsIs(&[27, 25, 20, 16, 17]),
        Proto::IsisIih => IsIs(&[17, 16, 15]),
        Proto::IsisLsp => IsIs(&[20, 18]),
        Proto::IsisSnp => IsIs(&[27, 26, 25, 24]),
        Proto::IsisCsnp => IsIs(&[25, 24]),
        Proto::IsisPsnp => IsIs(&[27, 26]),
    }
}

impl Generator<'_> {
    /// A protocol word alone.
    pub(super) fn proto_word(&mut self, proto: Proto) -> Gen<FId> {
        match layer(proto) {
            Layer::Link(number) => self.link_proto(number),
            Layer::Ip4(number) => self.ip4_proto(number),
            Layer::Ip6(number) => self.ip6_proto(number),
            Layer::Ip(number) => self.ip_proto(number),
            Layer::Iso(number) => self.iso_proto(number),
            Layer::IsIs(types) => self.isis_proto(types),
            Layer::None => Err(Refusal::new(format!("`{}` is not a test of its own", proto_word(proto)))
                .help("it qualifies what follows: `ether host 00:11:22:33:44:55`, `link[0] & 1 != 0`")),
        }
    }

    /// TCP, UDP and so on over either IP.
    pub(super) fn ip_proto(&mut self, number: u32) -> Gen<FId> {
        let four = self.ip4_proto(number)?;
        let six = self.ip6_proto(number)?;
        Ok(self.or(&[four, six]))
    }

    pub(super) fn ip4_proto(&mut self, number: u32) -> Gen<FId> {
        let ip = self.link_proto(ETHERTYPE_IP)?;
        let field = self.field(Rel::Network, 9, Size::Byte, number)?;
        Ok(self.and(&[ip, field]))
    }

    /// The protocol directly behind the IPv6 header, or behind one fragment header.
    pub(super) fn ip6_proto(&mut self, number: u32) -> Gen<FId> {
        const FRAGMENT: u32 = 44;
        if self.options.ip6_ext {
            return self.ip6_upper(number);
        }
        let ip6 = self.link_proto(ETHERTYPE_IP6)?;
        let direct = self.field(Rel::Network, 6, Size::Byte, number)?;
        let fragment = self.field(Rel::Network, 6, Size::Byte, FRAGMENT)?;
        let behind = self.field(Rel::Network, 40, Size::Byte, number)?;
        let behind = self.and(&[fragment, behind]);
        let either = self.or(&[direct, behind]);
        Ok(self.and(&[ip6, either]))
    }

    fn iso_proto(&mut self, number: u32) -> Gen<FId> {
        use super::layout::TypeTest;
        match self.link.test {
            // Frame Relay puts the NLPID into the link-layer header.
            TypeTest::FrameRelay => self.field(Rel::Link, 2, Size::Half, 0x0300 | number),
            TypeTest::Hdlc => {
                let iso = self.link_proto(LLC_ISO)?;
                // Cisco pads the header with one byte in front of ISO packets.
                let field = self.field(Rel::NetworkNoSnap, 1, Size::Byte, number)?;
                Ok(self.and(&[iso, field]))
            }
            _ => {
                let iso = self.link_proto(LLC_ISO)?;
                let field = self.field(Rel::NetworkNoSnap, 0, Size::Byte, number)?;
                Ok(self.and(&[iso, field]))
            }
        }
    }

    fn isis_proto(&mut self, types: &[u32]) -> Gen<FId> {
        let isis = self.iso_proto(0x83)?;
        let mut value = self.load(Rel::NetworkNoSnap, 4, Size::Byte)?;
        if self.newer() {
            // The upper three bits of the type are reserved.
            value = self.values.bin_k(AluOp::And, value, 0x1f);
        }
        let set = RangeSet::from_ranges(types.iter().map(|&t| (t, t)).collect());
        let types = self.member(value, &set);
        Ok(self.and(&[isis, types]))
    }

    /// `[proto] proto N`
    pub(super) fn proto_number(&mut self, quals: Quals, number: u32) -> Gen<FId> {
        use crate::ast::Dir;
        if quals.dir != Dir::Default {
            return Err(Refusal::new("`src` and `dst` do not apply to `proto`"));
        }
        let limit = |max: u32, what: &str| {
            if number > max {
                Err(Refusal::new(format!("{what} number {number} greater than maximum {max}")))
            } else {
                Ok(())
            }
        };
        match quals.proto {
            None => {
                limit(255, "protocol")?;
                self.ip_proto(number)
            }
            Some(Proto::Ip) => {
                limit(255, "protocol")?;
                self.ip4_proto(number)
            }
            Some(Proto::Ip6) => {
                limit(255, "protocol")?;
                self.ip6_proto(number)
            }
            Some(Proto::Link) => {
                limit(0xffff, "`ether proto`")?;
                if self.newer() && (256..=1500).contains(&number) {
                    return Err(Refusal::new(format!(
                        "`ether proto` {number} is neither an LLC address nor an EtherType"
                    ))
                    .help("0 to 255 is an LLC service access point, from 1536 on an EtherType"));
                }
                self.link_proto(number)
            }
            Some(Proto::Iso) => {
                limit(255, "`iso proto`")?;
                self.iso_proto(number)
            }
            Some(Proto::Isis) => {
                limit(255, "`isis proto`")?;
                self.isis_proto(&[number])
            }
            Some(other) => Err(Refusal::new(format!("'{}' does not encapsulate another protocol", proto_word(other)))
                .help("`proto` follows `ip`, `ip6`, `ether`, `iso` or `isis`")),
        }
    }

    /// `[proto] proto NAME`
    pub(super) fn proto_name(&mut self, quals: Quals, name: &str) -> Gen<FId> {
        let number = match quals.proto {
            None | Some(Proto::Ip | Proto::Ip6) => self.resolver.protocol(name)?.map(u32::from).ok_or_else(|| {
                let family = quals.proto.map_or("", |p| if p == Proto::Ip { "ip " } else { "ip6 " });
                Refusal::new(format!("unknown '{family}proto' value '{name}'"))
                    .help("the name is looked up in /etc/protocols; a number works as well")
            })?,
            Some(Proto::Iso) => match name {
                "clnp" => 0x81,
                "esis" | "es-is" => 0x82,
                "isis" | "is-is" => 0x83,
                _ => {
                    return Err(Refusal::new(format!("unknown 'iso proto' value '{name}'"))
                        .help("known are clnp, esis and isis"));
                }
            },
            Some(Proto::Link) => {
                skep_proto::numbers::ether_proto(name, self.newer()).map(u32::from).ok_or_else(|| {
                    Refusal::new(format!("unknown 'ether proto' value '{name}'"))
                        .help("a number works as well, e.g. `ether proto 0x88cc`")
                })?
            }
            Some(other) => {
                return Err(Refusal::new(format!("'{}' does not encapsulate another protocol", proto_word(other))));
            }
        };
        self.proto_number(quals, number)
    }

    /// `llc` and its frame types.
    pub(super) fn llc(&mut self, kind: Option<LlcType>) -> Gen<FId> {
        use super::layout::TypeTest;
        let is_llc = match self.link.test {
            TypeTest::Ethernet if super::is_ethernet(self.link.link) => {
                let length = self.is_length()?;
                // 0xffff is the start of a raw 802.3 IPX frame.
                let raw = self.field(Rel::Llc, 0, Size::Half, 0xffff)?;
                let not_raw = self.formulas.not(raw);
                self.and(&[length, not_raw])
            }
            TypeTest::SunAtm => self.masked(Rel::Packet, 0, Size::Byte, 2, 0x0f)?,
            TypeTest::Llc if self.link.link != skep_proto::LinkType::IP_OVER_FC => crate::formula::Formulas::TRUE,
            TypeTest::Wlan => self.wlan_data_frame()?,
            _ => return Err(Refusal::new(format!("'llc' not supported on {}", self.link_name()))),
        };
        let Some(kind) = kind else { return Ok(is_llc) };
        // Control field: information 0, supervisory 01, unnumbered 11 in the low bits.
        let (value, mask) = match kind {
            LlcType::I => {
                let numbered = self.bit(Rel::Llc, 2, 1)?;
                let information = self.formulas.not(numbered);
                return Ok(self.and(&[is_llc, information]));
            }
            LlcType::S => (0x01, 0x03),
            LlcType::U => (0x03, 0x03),
            LlcType::Rr => (0x01, 0x0f),
            LlcType::Rnr => (0x05, 0x0f),
            LlcType::Rej => (0x09, 0x0f),
            LlcType::Ui => (0x03, 0xef),
            LlcType::Ua => (0x63, 0xef),
            LlcType::Disc => (0x43, 0xef),
            LlcType::Dm => (0x0f, 0xef),
            LlcType::Sabme => (0x6f, 0xef),
            LlcType::Test => (0xe3, 0xef),
            LlcType::Xid => (0xaf, 0xef),
            LlcType::Frmr => (0x87, 0xef),
        };
        let control = self.masked(Rel::Llc, 2, Size::Byte, value, mask)?;
        Ok(self.and(&[is_llc, control]))
    }

    /// `byte I op V`
    pub(super) fn byte(&mut self, index: u32, op: ByteOp, value: u32) -> Gen<FId> {
        let byte = self.load(Rel::Link, index, Size::Byte)?;
        Ok(match op {
            ByteOp::Eq => self.equals(byte, value),
            ByteOp::Lt => self.member(byte, &RangeSet::range(0, value).minus(&RangeSet::single(value))),
            ByteOp::Gt => self.member(byte, &RangeSet::range(value, u32::MAX).minus(&RangeSet::single(value))),
            ByteOp::And | ByteOp::Or => {
                let op = if op == ByteOp::And { AluOp::And } else { AluOp::Or };
                let combined = self.values.bin_k(op, byte, value);
                let zero = self.equals(combined, 0);
                self.formulas.not(zero)
            }
        })
    }
}

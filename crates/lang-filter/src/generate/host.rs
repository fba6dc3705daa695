//! Hosts, networks and hardware addresses.

use skep_isa::classic::{AluOp, Size};

use super::layout::Hardware;
use super::linktype::{ETHERTYPE_ARP, ETHERTYPE_DECNET, ETHERTYPE_IP, ETHERTYPE_IP6, ETHERTYPE_RARP};
use super::words::proto_word;
use super::{Gen, Generator, Refusal, Rel};
use crate::ast::{Dir, Dotted, Id, Kind, Proto, Quals};
use crate::formula::FId;
use crate::parse::{Compat, ParseContext};
use crate::ranges::RangeSet;

impl Generator<'_> {
    /// `[proto] [dir] [type] id`
    pub(super) fn qualified(&mut self, quals: Quals, id: &Id) -> Gen<FId> {
        match quals.kind {
            Kind::Default | Kind::Host | Kind::Net => self.address(quals, id),
            Kind::Port | Kind::PortRange => self.port(quals, id),
            Kind::Proto => match id {
                Id::Number(n) => self.proto_number(quals, *n),
                Id::Name(name) => self.proto_name(quals, name),
                _ => Err(Refusal::new("`proto` is followed by a number or a name")),
            },
            Kind::ProtoChain => self.protochain(quals, id),
            Kind::Gateway => Err(Refusal::new("'gateway' is not supported")
                .help("write `ether host MAC and not host ADDRESS`, with the gateway's two addresses")),
        }
    }

    fn address(&mut self, quals: Quals, id: &Id) -> Gen<FId> {
        match id {
            Id::Number(n) => self.dotted_host(quals, *n, None),
            Id::V4(dotted) if quals.proto == Some(Proto::Decnet) => self.decnet_id(quals, *dotted),
            Id::V4(dotted) => self.dotted_host(quals, dotted.value(), Some(dotted.bits())),
            Id::V4Len(dotted, len) => {
                let mask = if *len == 0 { 0 } else { u32::MAX << (32 - len) };
                self.network(quals, *dotted, mask, &format!("/{len}"))
            }
            Id::V4Mask(dotted, mask) => {
                let mask = left_justify(mask.value(), mask.bits());
                self.network(quals, *dotted, mask, " mask")
            }
            Id::V6(address) => self.v6_host(quals, *address, [0xff; 16]),
            Id::V6Len(address, len) => self.v6_network(quals, *address, *len),
            Id::Mac(mac) => self.mac(quals, *mac),
            Id::Mac8(byte) => self.arcnet_host(quals, *byte),
            Id::Name(name) if quals.kind == Kind::Net => self.network_name(quals, name),
            Id::Name(name) => self.host_name(quals, name),
            Id::Set(path) => self.id_set(quals, path),
        }
    }

    fn dotted_host(&mut self, quals: Quals, value: u32, bits: Option<u32>) -> Gen<FId> {
        match quals.proto {
            Some(Proto::Link) => {
                return Err(Refusal::new("a hardware address has six bytes: illegal link-layer address")
                    .help("write `ether host 00:11:22:33:44:55`, or drop `ether` to name an IP address"));
            }
            Some(Proto::Decnet) if bits.is_none() => return self.decnet_host(quals.dir, value),
            _ => {}
        }
        let (mut value, mut mask) = (value, u32::MAX);
        match bits {
            Some(bits) => {
                mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
                value = left_justify(value, bits);
            }
            // A bare number after `net` is the network's leading bytes.
            None if quals.kind == Kind::Net => {
                while value != 0 && value & 0xff00_0000 == 0 {
                    value <<= 8;
                    mask <<= 8;
                }
            }
            None => {}
        }
        self.ip_host(quals, value, mask)
    }

    fn network(&mut self, quals: Quals, dotted: Dotted, mask: u32, how: &str) -> Gen<FId> {
        if quals.kind != Kind::Net {
            return Err(Refusal::new(format!("Mask syntax for networks only: '{how}' follows `net`"))
                .help(format!("write `net {}{how}`", show_dotted(dotted))));
        }
        let value = left_justify(dotted.value(), dotted.bits());
        if value & !mask != 0 {
            let fixed = (value & mask).to_be_bytes().map(|b| b.to_string()).join(".");
            return Err(Refusal::new(format!("non-network bits set in \"{}{how}\"", show_dotted(dotted)))
                .help(format!("the network is {fixed}{how}; for the one address write `host`")));
        }
        self.ip_host(quals, value, mask)
    }

    /// An IPv4 address under a mask, in the protocols that carry such addresses.
    pub(super) fn ip_host(&mut self, quals: Quals, value: u32, mask: u32) -> Gen<FId> {
        let kind = if quals.kind == Kind::Net { "net" } else { "host" };
        match quals.proto {
            None => {
                let ip = self.ip_address(quals.dir, ETHERTYPE_IP, (12, 16), value, mask)?;
                if self.labels > 0 {
                    return Ok(ip);
                }
                let arp = self.ip_address(quals.dir, ETHERTYPE_ARP, (14, 24), value, mask)?;
                let rarp = self.ip_address(quals.dir, ETHERTYPE_RARP, (14, 24), value, mask)?;
                Ok(self.or(&[ip, arp, rarp]))
            }
            Some(Proto::Ip) => self.ip_address(quals.dir, ETHERTYPE_IP, (12, 16), value, mask),
            Some(Proto::Arp) => self.ip_address(quals.dir, ETHERTYPE_ARP, (14, 24), value, mask),
            Some(Proto::Rarp) => self.ip_address(quals.dir, ETHERTYPE_RARP, (14, 24), value, mask),
            Some(Proto::Link) => {
                Err(Refusal::new("illegal link-layer address").help("a hardware address looks like 00:11:22:33:44:55"))
            }
            Some(other) => Err(Refusal::new(format!(
                "'{0}' is not a valid qualifier for '{kind} <IPv4 address>'",
                proto_word(other)
            ))
            .help(format!("write `{} and {kind} ...`", proto_word(other)))),
        }
    }

    fn ip_address(&mut self, dir: Dir, proto: u32, (src, dst): (u32, u32), value: u32, mask: u32) -> Gen<FId> {
        self.by_direction(dir, "host", &mut |this, source| {
            let carried = this.link_proto(proto)?;
            let at = if source { src } else { dst };
            let field = this.masked(Rel::Network, at, Size::Word, value, mask)?;
            Ok(this.and(&[carried, field]))
        })
    }

    /// Combines the source and the destination test as the direction says.
    pub(super) fn by_direction(
        &mut self,
        dir: Dir,
        what: &str,
        test: &mut dyn FnMut(&mut Self, bool) -> Gen<FId>,
    ) -> Gen<FId> {
        match dir {
            Dir::Src => test(self, true),
            Dir::Dst => test(self, false),
            Dir::SrcAndDst => {
                let src = test(self, true)?;
                let dst = test(self, false)?;
                Ok(self.and(&[src, dst]))
            }
            Dir::Default | Dir::SrcOrDst => {
                let src = test(self, true)?;
                let dst = test(self, false)?;
                Ok(self.or(&[src, dst]))
            }
            Dir::Ra | Dir::Ta | Dir::Addr1 | Dir::Addr2 | Dir::Addr3 | Dir::Addr4 => {
                Err(Refusal::new(format!("802.11 address words do not apply to '{what}'"))
                    .help("they qualify hardware addresses: `wlan addr1 00:11:22:33:44:55`"))
            }
        }
    }

    pub(super) fn v6_host(&mut self, quals: Quals, address: [u8; 16], mask: [u8; 16]) -> Gen<FId> {
        match quals.proto {
            None | Some(Proto::Ip6) => {}
            Some(other) => {
                return Err(Refusal::new(format!(
                    "'{}' is not a valid qualifier for 'host <IPv6 address>'",
                    proto_word(other)
                ))
                .help("write `ip6 host ...` or just `host ...`"));
            }
        }
        let word =
            |bytes: &[u8; 16], i: usize| bytes[4 * i..4 * i + 4].iter().fold(0u32, |v, &b| v << 8 | u32::from(b));
        self.by_direction(quals.dir, "host", &mut |this, source| {
            let mut list = vec![this.link_proto(ETHERTYPE_IP6)?];
            for i in 0..4 {
                let at = if source { 8 } else { 24 } + 4 * u32::try_from(i).unwrap_or(0);
                list.push(this.masked(Rel::Network, at, Size::Word, word(&address, i), word(&mask, i))?);
            }
            Ok(this.and(&list))
        })
    }

    fn v6_network(&mut self, quals: Quals, address: [u8; 16], len: u32) -> Gen<FId> {
        if quals.kind != Kind::Net && len != 128 {
            return Err(Refusal::new("Mask syntax for networks only").help("write `net ADDRESS/LENGTH`"));
        }
        let mask = (u128::MAX).checked_shl(128 - len).unwrap_or(0);
        let value = u128::from_be_bytes(address);
        if value & !mask != 0 {
            let fixed = std::net::Ipv6Addr::from(value & mask);
            return Err(Refusal::new(format!("non-network bits set in \"{}/{len}\"", std::net::Ipv6Addr::from(value)))
                .help(format!("the network is {fixed}/{len}")));
        }
        self.v6_host(quals, address, mask.to_be_bytes())
    }

    fn network_name(&mut self, quals: Quals, name: &str) -> Gen<FId> {
        let Some((mut value, mut mask)) = self.resolver.network(name)? else {
            return Err(Refusal::new(format!("unknown network '{name}'")).help("names are looked up in /etc/networks"));
        };
        while value != 0 && value & 0xff00_0000 == 0 {
            value <<= 8;
            mask <<= 8;
        }
        self.ip_host(quals, value, mask)
    }

    fn host_name(&mut self, quals: Quals, name: &str) -> Gen<FId> {
        if quals.proto == Some(Proto::Link) {
            let Some(mac) = self.resolver.ether_host(name)? else {
                return Err(Refusal::new(format!("unknown ether host '{name}'"))
                    .help("names of hardware addresses are looked up in /etc/ethers"));
            };
            return self.mac(quals, mac);
        }
        let addresses = self.resolver.host(name)?;
        let mut list = Vec::new();
        for address in addresses {
            match address {
                std::net::IpAddr::V4(v4) if quals.proto != Some(Proto::Ip6) => {
                    list.push(self.ip_host(quals, u32::from(v4), u32::MAX)?);
                }
                std::net::IpAddr::V6(v6) if quals.proto.is_none_or(|p| p == Proto::Ip6) => {
                    list.push(self.v6_host(quals, v6.octets(), [0xff; 16])?);
                }
                _ => {}
            }
        }
        if list.is_empty() {
            return Err(Refusal::new(format!("unknown host '{name}'"))
                .help("the name has no address of this kind; an address works as well"));
        }
        Ok(self.or(&list))
    }

    fn mac(&mut self, quals: Quals, mac: [u8; 6]) -> Gen<FId> {
        if quals.proto != Some(Proto::Link) || quals.kind == Kind::Net {
            return Err(Refusal::new("Ethernet address used in non-ether expression")
                .help("write `ether host` (or `wlan host`) in front of it"));
        }
        match self.link.hardware {
            Hardware::Mac { dst, src } => {
                let check = self.lane_or_tunnel_check()?;
                let host = self.by_direction(quals.dir, "ether host", &mut |this, source| {
                    // Offsets of the table count from the packet; those of an inner frame from its header.
                    let at = if source { src } else { dst };
                    this.bytes(Rel::Link, at, &mac)
                })?;
                Ok(match check {
                    Some(check) => self.and(&[check, host]),
                    None => host,
                })
            }
            Hardware::Wlan => self.wlan_host(quals.dir, mac),
            Hardware::None | Hardware::Arcnet => {
                Err(Refusal::new(format!("packets of {} carry no 48-bit hardware addresses", self.link_name())))
            }
        }
    }

    fn arcnet_host(&mut self, quals: Quals, byte: u8) -> Gen<FId> {
        if quals.proto != Some(Proto::Link) {
            return Err(Refusal::new("ARCnet address used in non-arc expression").help("write `link host $xx`"));
        }
        if self.link.hardware != Hardware::Arcnet {
            return Err(Refusal::new("8-bit hardware addresses stand in ARCnet packets only"));
        }
        self.by_direction(quals.dir, "link host", &mut |this, source| {
            this.field(Rel::Link, u32::from(!source), Size::Byte, u32::from(byte))
        })
    }

    /// `[proto] broadcast`
    pub(super) fn broadcast(&mut self, proto: Option<Proto>) -> Gen<FId> {
        match proto {
            None | Some(Proto::Link) => match self.link.hardware {
                Hardware::Mac { .. } | Hardware::Wlan => {
                    self.mac(Quals { proto: Some(Proto::Link), dir: Dir::Dst, kind: Kind::Host }, [0xff; 6])
                }
                Hardware::Arcnet => self.field(Rel::Link, 1, Size::Byte, 0),
                Hardware::None => Err(Refusal::new("not a broadcast link")
                    .help(format!("packets of {} have no hardware address", self.link_name()))),
            },
            Some(Proto::Ip) => {
                let Some(netmask) = self.options.netmask else {
                    return Err(Refusal::new("netmask not known, so 'ip broadcast' not supported")
                        .help("name the interface with `-i`, or the address: `ip dst host 10.0.0.255`"));
                };
                let ip = self.link_proto(ETHERTYPE_IP)?;
                let value = self.load(Rel::Network, 16, Size::Word)?;
                let host = self.values.bin_k(AluOp::And, value, !netmask);
                let all = RangeSet::single(0).union(&RangeSet::single(!netmask));
                let broadcast = self.member(host, &all);
                Ok(self.and(&[ip, broadcast]))
            }
            Some(other) => Err(Refusal::new(format!("'{}' has no broadcasts", proto_word(other)))
                .help("only link-layer and IP broadcast filters exist: `broadcast`, `ip broadcast`")),
        }
    }

    /// `[proto] multicast`
    pub(super) fn multicast(&mut self, proto: Option<Proto>) -> Gen<FId> {
        match proto {
            None | Some(Proto::Link) => match self.link.hardware {
                Hardware::Mac { dst, .. } => {
                    let check = self.lane_or_tunnel_check()?;
                    let group = self.bit(Rel::Link, dst, 1)?;
                    Ok(match check {
                        Some(check) => self.and(&[check, group]),
                        None => group,
                    })
                }
                Hardware::Wlan => self.wlan_multicast(),
                Hardware::Arcnet => self.field(Rel::Link, 1, Size::Byte, 0),
                Hardware::None => Err(Refusal::new(format!(
                    "packets of {} have no hardware address, so no link-layer multicasts",
                    self.link_name()
                ))),
            },
            Some(Proto::Ip) => {
                let ip = self.link_proto(ETHERTYPE_IP)?;
                let value = self.load(Rel::Network, 16, Size::Byte)?;
                // 1.10 counted 240.0.0.0/4 and 255.255.255.255 in.
                let last = if self.newer() { 239 } else { 255 };
                let group = self.member(value, &RangeSet::range(224, last));
                Ok(self.and(&[ip, group]))
            }
            Some(Proto::Ip6) => {
                let ip6 = self.link_proto(ETHERTYPE_IP6)?;
                let group = self.field(Rel::Network, 24, Size::Byte, 255)?;
                Ok(self.and(&[ip6, group]))
            }
            Some(other) => Err(Refusal::new(format!("'{}' has no multicasts", proto_word(other)))
                .help("only link-layer, IP and IPv6 multicast filters exist")),
        }
    }

    fn decnet_id(&mut self, quals: Quals, dotted: Dotted) -> Gen<FId> {
        let (area, node) = (u32::from(dotted.parts[0]), u32::from(dotted.parts[1]));
        if dotted.len != 2 || (self.newer() && area > 63) {
            return Err(Refusal::new(format!("invalid DECnet address '{}'", show_dotted(dotted)))
                .help("a DECnet address is AREA.NODE with AREA up to 63 and NODE up to 1023"));
        }
        self.decnet_host(quals.dir, area << 10 | node)
    }

    /// A DECnet phase IV address; little-endian, behind a padding byte or not, in long or short packets.
    fn decnet_host(&mut self, dir: Dir, address: u32) -> Gen<FId> {
        const LONG: u32 = 6;
        const SHORT: u32 = 2;
        let swapped = (address & 0xff) << 8 | address >> 8 & 0xff;
        self.by_direction(dir, "decnet host", &mut |this, source| {
            let (short, long) = if source { (5, 17) } else { (3, 9) };
            let decnet = this.link_proto(ETHERTYPE_DECNET)?;
            let mut forms = Vec::with_capacity(4);
            for (kind, at) in [(SHORT, short), (LONG, long)] {
                let plain = this.masked(Rel::Network, 2, Size::Byte, kind, 7)?;
                let field = this.field(Rel::Network, at, Size::Half, swapped)?;
                forms.push(this.and(&[plain, field]));
                let padded = this.masked(Rel::Network, 2, Size::Half, 0x8100 | kind, 0xff07)?;
                let field = this.field(Rel::Network, at + 1, Size::Half, swapped)?;
                forms.push(this.and(&[padded, field]));
            }
            let any = this.or(&forms);
            Ok(this.and(&[decnet, any]))
        })
    }

    /// `host @FILE`, `net @FILE`, `port @FILE`: any id of the file.
    pub(super) fn id_set(&mut self, quals: Quals, path: &str) -> Gen<FId> {
        let entries = self.resolver.set(path)?;
        let mut list = Vec::with_capacity(entries.len());
        for entry in &entries {
            let place = |refusal: Refusal| Refusal {
                message: format!("{path}:{}: '{}': {}", entry.line, entry.text, refusal.message),
                ..refusal
            };
            let (kind, id) = set_entry(quals.kind, &entry.text, self.options.compat).map_err(place)?;
            list.push(self.qualified(Quals { kind, ..quals }, &id).map_err(place)?);
        }
        Ok(self.or(&list))
    }
}

/// An id of a set file. Networks may stand among hosts, and ranges among ports.
fn set_entry(kind: Kind, text: &str, compat: Compat) -> Gen<(Kind, Id)> {
    let kind = match kind {
        Kind::Default | Kind::Host if text.contains('/') => Kind::Net,
        Kind::Default => Kind::Host,
        Kind::Port if text.contains('-') => Kind::PortRange,
        other => other,
    };
    let id = crate::parse::parse_id(text, &ParseContext { compat }).map_err(Refusal::new)?;
    Ok((kind, id))
}

fn left_justify(value: u32, bits: u32) -> u32 {
    value.checked_shl(32 - bits).unwrap_or(0)
}

fn show_dotted(dotted: Dotted) -> String {
    dotted.parts[..usize::from(dotted.len)].iter().map(u8::to_string).collect::<Vec<_>>().join(".")
}

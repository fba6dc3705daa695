//! Ports and port ranges of TCP, UDP and SCTP.

use skep_isa::classic::{AluOp, Size};

use super::linktype::{ETHERTYPE_IP, ETHERTYPE_IP6};
use super::words::proto_word;
use super::{Gen, Generator, Refusal, Rel};
use crate::ast::{Dir, Id, Kind, Proto, Quals};
use crate::formula::FId;
use crate::ranges::RangeSet;

const SCTP: u32 = 132;
const TCP: u32 = 6;
const UDP: u32 = 17;

impl Generator<'_> {
    /// `[tcp|udp|sctp] [dir] port|portrange id`
    pub(super) fn port(&mut self, quals: Quals, id: &Id) -> Gen<FId> {
        let kind = if quals.kind == Kind::Port { "port" } else { "portrange" };
        let written = match quals.proto {
            None => None,
            Some(Proto::Tcp) => Some(TCP),
            Some(Proto::Udp) => Some(UDP),
            Some(Proto::Sctp) => Some(SCTP),
            Some(other) => {
                return Err(Refusal::new(format!("'{0}' is not a valid qualifier for '{kind}'", proto_word(other)))
                    .help(format!("write `{} and {kind} ...`", proto_word(other))));
            }
        };
        match id {
            Id::Number(n) => {
                let n = self.port_number(*n)?;
                self.ports(quals.dir, written, &RangeSet::single(n))
            }
            Id::Name(name) => {
                let (set, proto) = self.port_name(quals, name, written)?;
                self.ports(quals.dir, proto, &set)
            }
            Id::Set(path) => self.id_set(quals, path),
            _ => Err(Refusal::new(format!("`{kind}` is followed by a number or a service name"))
                .help(format!("addresses follow `host` or `net`; ports look like `{kind} 443`"))),
        }
    }

    fn port_number(&self, n: u32) -> Gen<u32> {
        if n > 0xffff {
            return Err(Refusal::new(format!("port number {n} greater than maximum 65535")));
        }
        Ok(n)
    }

    fn port_name(&self, quals: Quals, name: &str, written: Option<u32>) -> Gen<(RangeSet, Option<u32>)> {
        if quals.kind == Kind::PortRange
            && let Some((low, high)) = self.split_range(name, written)
        {
            let ((a, p), (b, q)) = (low?, high?);
            let proto = written.or(if p == q { p } else { None });
            return Ok((RangeSet::range(a.min(b), a.max(b)), proto));
        }
        let (n, proto) = self.service(name, written)?;
        Ok((RangeSet::single(n), proto))
    }

    /// The two ends of `A-B`; a hyphen inside a service name does not split it.
    #[allow(clippy::type_complexity, reason = "two lookups of the same kind")]
    fn split_range(
        &self,
        name: &str,
        written: Option<u32>,
    ) -> Option<(Gen<(u32, Option<u32>)>, Gen<(u32, Option<u32>)>)> {
        for (i, _) in name.match_indices('-') {
            let (low, high) = (self.service(&name[..i], written), self.service(&name[i + 1..], written));
            if low.is_ok() && high.is_ok() || name.matches('-').count() == 1 {
                return Some((low, high));
            }
        }
        None
    }

    /// A port number or service name; and the protocol, if the name exists for one only.
    fn service(&self, name: &str, written: Option<u32>) -> Gen<(u32, Option<u32>)> {
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
            let n = name.parse().map_err(|_| Refusal::new(format!("port number {name} greater than maximum 65535")))?;
            return Ok((self.port_number(n)?, written));
        }
        let Some(service) = self.resolver.service(name)? else {
            return Err(Refusal::new(format!("unknown port '{name}'"))
                .help("service names are looked up in /etc/services, upper and lower case matter; a number works"));
        };
        let on = service.transports;
        let only = match (on.tcp, on.udp) {
            (true, true) => None,
            (true, false) => Some((TCP, "tcp")),
            (false, true) => Some((UDP, "udp")),
            (false, false) if on.sctp => Some((SCTP, "sctp")),
            (false, false) => None,
        };
        match (written, only) {
            (Some(written), Some((only, word))) if written != only => {
                Err(Refusal::new(format!("port '{name}' is {word}"))
                    .help(format!("write `{word} port {name}`, or the number {}", service.port)))
            }
            _ => Ok((u32::from(service.port), written.or(only.map(|(number, _)| number)))),
        }
    }

    /// IPv6 first, then IPv4, as libpcap does.
    pub(super) fn ports(&mut self, dir: Dir, proto: Option<u32>, set: &RangeSet) -> Gen<FId> {
        let six = self.ports6(dir, proto, set)?;
        let four = self.ports4(dir, proto, set)?;
        Ok(self.or(&[six, four]))
    }

    fn each_protocol(&mut self, proto: Option<u32>, test: &mut dyn FnMut(&mut Self, u32) -> Gen<FId>) -> Gen<FId> {
        let protos: &[u32] = match proto {
            None => &[SCTP, TCP, UDP],
            Some(TCP) => &[TCP],
            Some(UDP) => &[UDP],
            Some(_) => &[SCTP],
        };
        let mut list = Vec::with_capacity(protos.len());
        for &p in protos {
            list.push(test(self, p)?);
        }
        Ok(self.or(&list))
    }

    pub(super) fn ports4(&mut self, dir: Dir, proto: Option<u32>, set: &RangeSet) -> Gen<FId> {
        let ip = self.link_proto(ETHERTYPE_IP)?;
        let protos = self.each_protocol(proto, &mut |this, p| {
            let is = this.field(Rel::Network, 9, Size::Byte, p)?;
            let first = this.first_fragment()?;
            let ports = this.by_direction(dir, "port", &mut |this, source| {
                let value = this.load(Rel::Transport4, if source { 0 } else { 2 }, Size::Half)?;
                Ok(this.member(value, set))
            })?;
            Ok(this.and(&[is, first, ports]))
        })?;
        Ok(self.and(&[ip, protos]))
    }

    pub(super) fn ports6(&mut self, dir: Dir, proto: Option<u32>, set: &RangeSet) -> Gen<FId> {
        if self.options.ip6_ext {
            return self.ports6_behind_extensions(dir, proto, set);
        }
        let ip6 = self.link_proto(ETHERTYPE_IP6)?;
        let protos = self.each_protocol(proto, &mut |this, p| {
            let is = this.field(Rel::Network, 6, Size::Byte, p)?;
            let ports = this.by_direction(dir, "port", &mut |this, source| {
                let value = this.load(Rel::Transport6, if source { 0 } else { 2 }, Size::Half)?;
                Ok(this.member(value, set))
            })?;
            Ok(this.and(&[is, ports]))
        })?;
        Ok(self.and(&[ip6, protos]))
    }

    /// The IPv4 fragment offset is 0.
    pub(super) fn first_fragment(&mut self) -> Gen<FId> {
        let value = self.load(Rel::Network, 6, Size::Half)?;
        let offset = self.values.bin_k(AluOp::And, value, 0x1fff);
        Ok(self.equals(offset, 0))
    }
}

//! Chains of headers: `protochain`, IPv6 extension headers, and what stands behind them.
//!
//! libpcap loops backwards, which no kernel accepts; here the chain is unrolled. Longer chains than [`MAX_HEADERS`] do
//! not match.

use skep_isa::classic::{AluOp, Size};

use super::linktype::{ETHERTYPE_IP, ETHERTYPE_IP6};
use super::proto::{Layer, layer};
use super::words::proto_word;
use super::{Gen, Generator, Refusal, Rel};
use crate::ast::{Dir, Id, Proto, Quals};
use crate::formula::{FId, Formulas};
use crate::ranges::RangeSet;
use crate::value::{ValId, Var};

/// Headers that are followed before the chain is given up.
const MAX_HEADERS: usize = 6;
const AH: u32 = 51;
const FRAGMENT: u32 = 44;
/// Hop-by-hop options, routing, destination options: length in units of eight bytes without the first.
const OPTION_HEADERS: [u32; 3] = [0, 43, 60];

/// A walk along a chain: the current protocol, and where its header begins in the packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    proto: Var,
    at: Var,
}

impl Generator<'_> {
    fn chain_start(&mut self, rel: Rel, proto_offset: u32) -> Gen<(Walk, FId)> {
        let first = self.load(Rel::Network, proto_offset, Size::Byte)?;
        let (base, k) = self.base(rel)?;
        // Every walk sets its words before it reads them, so those with one start can share them.
        let walk = match self.walks.get(&(base, k)) {
            Some(walk) => *walk,
            None => Walk { proto: self.new_var()?, at: self.new_var()? },
        };
        self.walks.insert((base, k), walk);
        let start = match base {
            Some(base) => self.values.bin_k(AluOp::Add, base, k),
            None => self.values.constant(k),
        };
        let sets = [self.set(walk.proto, first), self.set(walk.at, start)];
        Ok((walk, self.and(&sets)))
    }

    /// Goes to the next header: its number is the first byte here, and this header is
    /// `(second byte + plus) << shift` bytes long.
    fn chain_step(&mut self, walk: Walk, plus: u32, shift: u32) -> FId {
        let at = self.values.var(walk.at);
        let next = self.values.load(Size::Byte, Some(at), 0);
        let length = self.values.load(Size::Byte, Some(at), 1);
        let length = self.values.bin_k(AluOp::Add, length, plus);
        let length = self.values.bin_k(AluOp::Lsh, length, shift);
        let behind = self.values.bin(AluOp::Add, length, at);
        let sets = [self.set(walk.proto, next), self.set(walk.at, behind)];
        self.and(&sets)
    }

    /// One of `targets` is reached within the bound.
    fn chain(&mut self, walk: Walk, targets: &RangeSet, ip6: bool, first_only: bool) -> FId {
        let proto = self.values.var(walk.proto);
        let found = self.member(proto, targets);
        let mut steps = Vec::new();
        if ip6 {
            let options = RangeSet::from_ranges(OPTION_HEADERS.iter().map(|&n| (n, n)).collect());
            let is = self.member(proto, &options);
            let step = self.chain_step(walk, 1, 3);
            steps.push(self.and(&[is, step]));
            let is = self.equals(proto, FRAGMENT);
            let at = self.values.var(walk.at);
            let offset = self.values.load(Size::Half, Some(at), 2);
            let offset = self.values.bin_k(AluOp::And, offset, 0xfff8);
            let first = if first_only { self.equals(offset, 0) } else { Formulas::TRUE };
            let step = self.chain_step(walk, 1, 3);
            steps.push(self.and(&[is, first, step]));
        }
        let is = self.equals(proto, AH);
        let step = self.chain_step(walk, 2, 2);
        steps.push(self.and(&[is, step]));
        let step = self.or(&steps);
        let mut chain = found;
        for _ in 0..MAX_HEADERS {
            let further = self.and(&[step, chain]);
            chain = self.or(&[found, further]);
        }
        chain
    }

    fn chain4(&mut self, number: u32) -> Gen<FId> {
        let ip = self.link_proto(ETHERTYPE_IP)?;
        let (walk, start) = self.chain_start(Rel::Transport4, 9)?;
        let chain = self.chain(walk, &RangeSet::single(number), false, false);
        Ok(self.and(&[ip, start, chain]))
    }

    fn chain6(&mut self, targets: &RangeSet, first_only: bool) -> Gen<(Walk, FId)> {
        let ip6 = self.link_proto(ETHERTYPE_IP6)?;
        let (walk, start) = self.chain_start(Rel::Transport6, 6)?;
        let chain = self.chain(walk, targets, true, first_only);
        Ok((walk, self.and(&[ip6, start, chain])))
    }

    /// `[ip|ip6] protochain id`
    pub(super) fn protochain(&mut self, quals: Quals, id: &Id) -> Gen<FId> {
        if quals.dir != Dir::Default {
            return Err(Refusal::new("`src` and `dst` do not apply to `protochain`"));
        }
        let number = match id {
            Id::Number(n) => *n,
            Id::Name(name) => u32::from(self.resolver.protocol(name)?.ok_or_else(|| {
                Refusal::new(format!("unknown protocol '{name}'")).help("names are looked up in /etc/protocols")
            })?),
            _ => return Err(Refusal::new("`protochain` is followed by a number or a name")),
        };
        if number > 255 {
            return Err(Refusal::new(format!("protocol number {number} greater than maximum 255")));
        }
        match quals.proto {
            None => {
                let four = self.chain4(number)?;
                let (_, six) = self.chain6(&RangeSet::single(number), false)?;
                Ok(self.or(&[four, six]))
            }
            Some(Proto::Ip) => self.chain4(number),
            Some(Proto::Ip6) => Ok(self.chain6(&RangeSet::single(number), false)?.1),
            Some(other) => Err(Refusal::new(format!("bad protocol '{}' applied for 'protochain'", proto_word(other)))
                .help("`protochain` follows `ip`, `ip6` or nothing")),
        }
    }

    /// `ip6 chain PROTO`
    pub(super) fn ip6_chain(&mut self, proto: Proto) -> Gen<FId> {
        match layer(proto) {
            Layer::Ip(number) | Layer::Ip6(number) => self.ip6_upper(number),
            _ => Err(Refusal::new(format!("'{}' does not run over IPv6", proto_word(proto)))),
        }
    }

    /// The protocol behind any IPv6 extension headers.
    pub(super) fn ip6_upper(&mut self, number: u32) -> Gen<FId> {
        Ok(self.chain6(&RangeSet::single(number), false)?.1)
    }

    /// Ports behind any IPv6 extension headers, of first fragments.
    pub(super) fn ports6_behind_extensions(&mut self, dir: Dir, proto: Option<u32>, set: &RangeSet) -> Gen<FId> {
        let targets = proto.map_or_else(|| RangeSet::from_ranges(vec![(6, 6), (17, 17), (132, 132)]), RangeSet::single);
        let (walk, chain) = self.chain6(&targets, true)?;
        let at = self.values.var(walk.at);
        let ports = self.by_direction(dir, "port", &mut |this, source| {
            let value = this.values.load(Size::Half, Some(at), if source { 0 } else { 2 });
            Ok(this.member(value, set))
        })?;
        Ok(self.and(&[chain, ports]))
    }

    /// `tcp6[offset:size]` and its like: the value and its protocol test.
    pub(super) fn behind_extensions(
        &mut self,
        number: u32,
        offset: ValId,
        inner: Option<FId>,
        size: Size,
    ) -> Gen<(ValId, FId)> {
        let (walk, chain) = self.chain6(&RangeSet::single(number), true)?;
        let at = self.values.var(walk.at);
        let base = self.values.bin(AluOp::Add, at, offset);
        // The bound on the memory word is not known, so a constant offset stays in the instruction.
        let value = match self.values.as_const(offset) {
            Some(k) => self.values.load(size, Some(at), k),
            None => self.values.load(size, Some(base), 0),
        };
        let list: Vec<FId> = inner.into_iter().chain([chain]).collect();
        Ok((value, self.and(&list)))
    }
}

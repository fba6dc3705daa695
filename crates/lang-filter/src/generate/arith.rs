//! Relations and arithmetic over packet bytes.

use skep_isa::classic::{AluOp, JmpOp, SKF_AD_OFF, Size};

use super::linktype::ETHERTYPE_IP6;
use super::words::proto_word;
use super::{Gen, Generator, Refusal, Rel};
use crate::ast::{Accessor, Arith, MetaWord, Proto, RelOp};
use crate::formula::{FId, Formula};
use crate::ranges::RangeSet;
use crate::value::ValId;

/// A compiled operand: its value, and the protocol test that goes with it.
struct Operand {
    value: ValId,
    check: Option<FId>,
}

impl Generator<'_> {
    /// `A relop B`
    pub(super) fn relation(&mut self, op: RelOp, left: &Arith, right: &Arith) -> Gen<FId> {
        let left = self.operand(left)?;
        let right = self.operand(right)?;
        let test = self.compare(op, left.value, right.value);
        // Both sides are evaluated before they are compared, also where a side has no influence on the result.
        let mut list: Vec<FId> = left.check.into_iter().chain(right.check).collect();
        list.push(test);
        Ok(self.and(&list))
    }

    fn compare(&mut self, op: RelOp, left: ValId, right: ValId) -> FId {
        if let Some(k) = self.values.as_const(right) {
            return self.member(left, &number_set(op, k));
        }
        if let Some(k) = self.values.as_const(left) {
            return self.member(right, &number_set(mirror(op), k));
        }
        let (jump, negate) = match op {
            RelOp::Eq => (JmpOp::Eq, false),
            RelOp::Ne => (JmpOp::Eq, true),
            RelOp::Gt => (JmpOp::Gt, false),
            RelOp::Ge => (JmpOp::Ge, false),
            RelOp::Lt => (JmpOp::Ge, true),
            RelOp::Le => (JmpOp::Gt, true),
        };
        let test = self.formulas.intern(Formula::Cmp(jump, left, right));
        if negate { self.formulas.not(test) } else { test }
    }

    fn operand(&mut self, arith: &Arith) -> Gen<Operand> {
        match arith {
            Arith::Number(k) => Ok(Operand { value: self.values.constant(*k), check: None }),
            Arith::Len => Ok(Operand { value: self.values.len(), check: None }),
            Arith::Neg(inner) => {
                let inner = self.operand(inner)?;
                Ok(Operand { value: self.values.neg(inner.value), check: inner.check })
            }
            Arith::Binary(op, left, right, span) => {
                let left = self.operand(left)?;
                let right = self.operand(right)?;
                if let Some(k) = self.values.as_const(right.value) {
                    let fault = match op {
                        AluOp::Div if k == 0 => Some("division by zero"),
                        AluOp::Mod if k == 0 => Some("modulus by zero"),
                        AluOp::Lsh | AluOp::Rsh if k > 31 => Some("shift by more than 31 bits"),
                        _ => None,
                    };
                    if let Some(fault) = fault {
                        return Err(Refusal::new(fault).at(*span));
                    }
                }
                // As in libpcap, the protocol test of the right operand is not part of the result.
                Ok(Operand { value: self.values.bin(*op, left.value, right.value), check: left.check })
            }
            Arith::Load { proto, offset, size, span } => {
                let offset = self.operand(offset)?;
                let size =
                    Size::from_bytes(*size).ok_or_else(|| Refusal::new("data size must be 1, 2, or 4").at(*span))?;
                self.access(*proto, &offset, size).map_err(|r| if r.span.is_some() { r } else { r.at(*span) })
            }
            Arith::Meta(word, span) => {
                if self.options.live.is_none() {
                    return Err(Refusal::new("this word is known to the kernel only, during a live capture")
                        .at(*span)
                        .help("capture with `-i IFACE`; a recording does not hold it"));
                }
                let offset = match word {
                    MetaWord::Mark => 20,
                    MetaWord::Queue => 24,
                    MetaWord::Hatype => 28,
                    MetaWord::Rxhash => 32,
                    MetaWord::Cpu => 36,
                    MetaWord::Random => 56,
                };
                Ok(Operand { value: self.values.abs(Size::Word, SKF_AD_OFF + offset), check: None })
            }
        }
    }

    /// `proto[offset:size]`
    fn access(&mut self, accessor: Accessor, offset: &Operand, size: Size) -> Gen<Operand> {
        let proto = match accessor {
            Accessor::Proto(proto) => proto,
            Accessor::Tcp6 => return self.access6(6, offset, size),
            Accessor::Udp6 => return self.access6(17, offset, size),
            Accessor::Sctp6 => return self.access6(132, offset, size),
        };
        match proto {
            Proto::Link => {
                let value = self.indexed(Rel::Link, offset.value, size)?;
                Ok(Operand { value, check: offset.check })
            }
            Proto::Radio => {
                if !self.has_radio_header() {
                    return Err(Refusal::new(format!(
                        "radio information not present in capture: {}",
                        self.link_name()
                    )));
                }
                let value = self.indexed(Rel::Packet, offset.value, size)?;
                Ok(Operand { value, check: offset.check })
            }
            Proto::Ip
            | Proto::Ip6
            | Proto::Arp
            | Proto::Rarp
            | Proto::Atalk
            | Proto::Decnet
            | Proto::Lat
            | Proto::Sca
            | Proto::Moprc
            | Proto::Mopdl => {
                let value = self.indexed(Rel::Network, offset.value, size)?;
                let carried = self.proto_word(proto)?;
                let check = self.checks(&[offset.check, Some(carried)]);
                Ok(Operand { value, check })
            }
            Proto::Tcp
            | Proto::Udp
            | Proto::Sctp
            | Proto::Icmp
            | Proto::Igmp
            | Proto::Igrp
            | Proto::Pim
            | Proto::Vrrp
            | Proto::Carp => {
                let value = self.indexed(Rel::Transport4, offset.value, size)?;
                let ip = self.proto_word(Proto::Ip)?;
                let carried = self.proto_word(proto)?;
                let first = self.first_fragment()?;
                let check = self.checks(&[Some(ip), offset.check, Some(carried), Some(first)]);
                Ok(Operand { value, check })
            }
            Proto::Icmp6 => {
                let value = self.indexed(Rel::Transport6, offset.value, size)?;
                let ip6 = self.link_proto(ETHERTYPE_IP6)?;
                let next = self.field(Rel::Network, 6, Size::Byte, 58)?;
                let check = self.checks(&[offset.check, Some(ip6), Some(next)]);
                Ok(Operand { value, check })
            }
            other => Err(Refusal::new(format!("'{}' does not support the index operation", proto_word(other))).help(
                "bytes can be taken from ether, ip, ip6, arp, rarp, tcp, udp, sctp, icmp, icmp6 and a few others",
            )),
        }
    }

    fn access6(&mut self, number: u32, offset: &Operand, size: Size) -> Gen<Operand> {
        let (value, check) = self.behind_extensions(number, offset.value, offset.check, size)?;
        Ok(Operand { value, check: Some(check) })
    }

    fn checks(&mut self, list: &[Option<FId>]) -> Option<FId> {
        let list: Vec<FId> = list.iter().flatten().copied().collect();
        Some(self.and(&list))
    }

    /// The bytes at a computed offset from `rel`.
    pub(super) fn indexed(&mut self, rel: Rel, index: ValId, size: Size) -> Gen<ValId> {
        let (base, k) = self.base(rel)?;
        let base = match (base, self.values.as_const(index)) {
            (None, _) => index,
            (Some(base), Some(c)) if u64::from(c) + u64::from(k) < u64::from(SKF_AD_OFF) => {
                return Ok(self.values.load(size, Some(base), k.wrapping_add(c)));
            }
            (Some(base), _) => self.values.bin(AluOp::Add, index, base),
        };
        Ok(self.values.load(size, Some(base), k))
    }
}

/// The numbers `v` with `v op k`.
pub(super) fn number_set(op: RelOp, k: u32) -> RangeSet {
    let single = RangeSet::single(k);
    match op {
        RelOp::Eq => single,
        RelOp::Ne => single.complement(),
        RelOp::Ge => RangeSet::range(k, u32::MAX),
        RelOp::Gt => RangeSet::range(k, u32::MAX).minus(&single),
        RelOp::Le => RangeSet::range(0, k),
        RelOp::Lt => RangeSet::range(0, k).minus(&single),
    }
}

fn mirror(op: RelOp) -> RelOp {
    match op {
        RelOp::Lt => RelOp::Gt,
        RelOp::Le => RelOp::Ge,
        RelOp::Gt => RelOp::Lt,
        RelOp::Ge => RelOp::Le,
        other => other,
    }
}

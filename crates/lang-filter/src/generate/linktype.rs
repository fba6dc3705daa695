//! Which protocol does the link layer carry? One way of asking per family of link types.

use skep_isa::classic::Size;
use skep_proto::numbers::{ethertype, llc_sap};

use super::layout::TypeTest;
use super::{Gen, Generator, Refusal, Rel};
use crate::formula::{FId, Formulas};
use crate::ranges::RangeSet;

pub const ETHERTYPE_IP: u32 = ethertype::IPV4 as u32;
pub const ETHERTYPE_ARP: u32 = ethertype::ARP as u32;
pub const ETHERTYPE_RARP: u32 = ethertype::RARP as u32;
pub const ETHERTYPE_IP6: u32 = ethertype::IPV6 as u32;
pub const ETHERTYPE_DECNET: u32 = ethertype::DECNET as u32;
pub const ETHERTYPE_ATALK: u32 = ethertype::ATALK as u32;
pub const ETHERTYPE_AARP: u32 = ethertype::AARP as u32;
const ETHERTYPE_NS: u32 = ethertype::NS as u32;
const ETHERTYPE_IPX: u32 = ethertype::IPX as u32;
pub const ETHERTYPE_MPLS: u32 = ethertype::MPLS as u32;
pub const ETHERTYPE_PPPOED: u32 = ethertype::PPPOE_DISCOVERY as u32;
pub const ETHERTYPE_PPPOES: u32 = ethertype::PPPOE_SESSION as u32;
pub const ETHERTYPE_TEB: u32 = ethertype::TEB as u32;
/// Tag protocol identifiers of IEEE 802.1Q, 802.1ad and the older double tagging.
pub const VLAN_TPIDS: [u32; 3] = [ethertype::VLAN as u32, ethertype::QINQ as u32, ethertype::QINQ_9100 as u32];
pub const LLC_STP: u32 = llc_sap::SPANNING_TREE as u32;
pub const LLC_IPX: u32 = llc_sap::IPX as u32;
pub const LLC_NETBEUI: u32 = llc_sap::NETBEUI as u32;
pub const LLC_ISO: u32 = llc_sap::ISO_NS as u32;
const LLC_IP: u32 = llc_sap::IP as u32;
/// Largest 802.3 length; greater numbers are EtherTypes.
const MAX_LENGTH: u32 = 1500;
const AF_INET: u32 = 2;
/// Linux's own AF_INET6 and those of the BSDs and Darwin, which write such captures.
const AF_INET6_LINUX: u32 = 10;
const AF_INET6_OTHERS: [u32; 3] = [24, 28, 30];

impl Generator<'_> {
    /// The link layer carries the protocol with this EtherType, or LLC service access point up to 1500.
    pub(super) fn link_proto(&mut self, proto: u32) -> Gen<FId> {
        if self.labels > 0 {
            return self.mpls_proto(proto);
        }
        match self.link.test {
            TypeTest::Ethernet => {
                // A tunnel names a protocol whether or not an Ethernet header follows; no further check then.
                let check = self.lane_check()?;
                let inner = self.ethernet_proto(proto)?;
                match check {
                    Some(check) => Ok(self.and(&[check, inner])),
                    None => Ok(inner),
                }
            }
            TypeTest::Hdlc => self.link_field(if proto == LLC_ISO { LLC_ISO << 8 | LLC_ISO } else { proto }),
            TypeTest::Wlan => {
                let data = self.wlan_data_frame()?;
                let inner = self.llc_proto(proto)?;
                Ok(self.and(&[data, inner]))
            }
            TypeTest::Llc => self.llc_proto(proto),
            TypeTest::SunAtm => {
                let llc = self.masked(Rel::Packet, 0, Size::Byte, 2, 0x0f)?;
                let inner = self.llc_proto(proto)?;
                Ok(self.and(&[llc, inner]))
            }
            TypeTest::Cooked => self.cooked_proto(proto),
            TypeTest::Version => match proto {
                ETHERTYPE_IP => self.masked(Rel::Link, 0, Size::Byte, 0x40, 0xf0),
                ETHERTYPE_IP6 => self.masked(Rel::Link, 0, Size::Byte, 0x60, 0xf0),
                _ => Ok(Formulas::FALSE),
            },
            TypeTest::Ipv4 => Ok(if proto == ETHERTYPE_IP { Formulas::TRUE } else { Formulas::FALSE }),
            TypeTest::Ipv6 => Ok(if proto == ETHERTYPE_IP6 { Formulas::TRUE } else { Formulas::FALSE }),
            TypeTest::Ppp => self.link_field(ppp_number(proto)),
            TypeTest::PppBsdos if proto == ETHERTYPE_IP => {
                let value = self.load(Rel::LinkType, 0, Size::Half)?;
                Ok(self.member(value, &RangeSet::from_ranges(vec![(0x21, 0x21), (0x2d, 0x2d), (0x2f, 0x2f)])))
            }
            TypeTest::PppBsdos => self.link_field(ppp_number(proto)),
            TypeTest::FamilyHost | TypeTest::FamilyNet => self.family_proto(proto),
            TypeTest::Pflog => {
                let Some(families) = self.families(proto) else { return Ok(Formulas::FALSE) };
                let value = self.load(Rel::Link, 1, Size::Byte)?;
                let set = RangeSet::from_ranges(families.iter().map(|&f| (f, f)).collect());
                Ok(self.member(value, &set))
            }
            TypeTest::Arcnet => self.arcnet_proto(proto),
            TypeTest::Localtalk => Ok(if proto == ETHERTYPE_ATALK { Formulas::TRUE } else { Formulas::FALSE }),
            TypeTest::FrameRelay => match proto {
                ETHERTYPE_IP => self.field(Rel::Link, 2, Size::Half, 0x03cc),
                ETHERTYPE_IP6 => self.field(Rel::Link, 2, Size::Half, 0x038e),
                LLC_ISO => {
                    let value = self.load(Rel::Link, 2, Size::Half)?;
                    Ok(self.member(value, &RangeSet::range(0x0381, 0x0383)))
                }
                _ => Ok(Formulas::FALSE),
            },
            TypeTest::Juniper => self.masked(Rel::Link, 0, Size::Word, 0x4d47_4300, 0xffff_ff00),
            TypeTest::Bacnet => self.masked(Rel::Link, 0, Size::Word, 0x55ff_0000, 0xffff_0000),
            TypeTest::Ipnet => match proto {
                ETHERTYPE_IP => self.field(Rel::LinkType, 0, Size::Byte, 2),
                ETHERTYPE_IP6 => self.field(Rel::LinkType, 0, Size::Byte, 26),
                _ => Ok(Formulas::FALSE),
            },
            TypeTest::Field => self.link_field(proto),
            TypeTest::Unsupported => Err(Refusal::new(format!(
                "packets of {} do not tell their network protocol in a way that filters know",
                self.link_name()
            ))
            .help("`link[N:M]`, `len`, `less` and `greater` work on every link type")),
        }
    }

    fn link_field(&mut self, k: u32) -> Gen<FId> {
        self.field(Rel::LinkType, 0, Size::Half, k)
    }

    /// The 16 bits at the protocol field are an 802.3 length.
    pub(super) fn is_length(&mut self) -> Gen<FId> {
        let value = self.load(Rel::LinkType, 0, Size::Half)?;
        Ok(self.member(value, &RangeSet::range(0, MAX_LENGTH)))
    }

    /// SNAP with this organisation code and protocol.
    fn snap(&mut self, organisation: u32, proto: u32) -> Gen<FId> {
        let [_, o0, o1, o2] = organisation.to_be_bytes();
        let [_, _, p0, p1] = proto.to_be_bytes();
        self.bytes(Rel::Llc, 0, &[0xaa, 0xaa, 0x03, o0, o1, o2, p0, p1])
    }

    fn ethernet_proto(&mut self, proto: u32) -> Gen<FId> {
        match proto {
            LLC_ISO | LLC_IP | LLC_NETBEUI => {
                let length = self.is_length()?;
                let llc = self.field(Rel::Llc, 0, Size::Half, proto << 8 | proto)?;
                Ok(self.and(&[length, llc]))
            }
            LLC_IPX => {
                let direct = self.link_field(ETHERTYPE_IPX)?;
                let length = self.is_length()?;
                let snap = self.snap(0, ETHERTYPE_IPX)?;
                let dsap = self.field(Rel::Llc, 0, Size::Byte, LLC_IPX)?;
                let raw = self.field(Rel::Llc, 0, Size::Half, 0xffff)?;
                let inner = self.or(&[snap, dsap, raw]);
                let llc = self.and(&[length, inner]);
                Ok(self.or(&[direct, llc]))
            }
            ETHERTYPE_ATALK | ETHERTYPE_AARP => {
                let direct = self.link_field(proto)?;
                let length = self.is_length()?;
                let snap = self.appletalk_snap(proto)?;
                let llc = self.and(&[length, snap]);
                Ok(self.or(&[direct, llc]))
            }
            _ if proto <= MAX_LENGTH => {
                let length = self.is_length()?;
                let dsap = self.field(Rel::Llc, 0, Size::Byte, proto)?;
                Ok(self.and(&[length, dsap]))
            }
            _ => self.link_field(proto),
        }
    }

    fn appletalk_snap(&mut self, proto: u32) -> Gen<FId> {
        self.snap(if proto == ETHERTYPE_ATALK { 0x08_0007 } else { 0 }, proto)
    }

    fn cooked_proto(&mut self, proto: u32) -> Gen<FId> {
        // Marks that stand in the protocol field for frames without EtherType (linux/if_ether.h).
        const RAW_802_3: u32 = 1;
        const LLC: u32 = 4;
        match proto {
            LLC_ISO | LLC_IP | LLC_NETBEUI => {
                let mark = self.link_field(LLC)?;
                let llc = self.field(Rel::Llc, 0, Size::Half, proto << 8 | proto)?;
                Ok(self.and(&[mark, llc]))
            }
            LLC_IPX => {
                let direct = self.link_field(ETHERTYPE_IPX)?;
                let raw = self.link_field(RAW_802_3)?;
                let mark = self.link_field(LLC)?;
                let dsap = self.field(Rel::Llc, 0, Size::Byte, LLC_IPX)?;
                let snap = self.snap(0, ETHERTYPE_IPX)?;
                let inner = self.or(&[dsap, snap]);
                let llc = self.and(&[mark, inner]);
                Ok(self.or(&[direct, raw, llc]))
            }
            ETHERTYPE_ATALK | ETHERTYPE_AARP => {
                let direct = self.link_field(proto)?;
                let mark = self.link_field(LLC)?;
                let snap = self.appletalk_snap(proto)?;
                let llc = self.and(&[mark, snap]);
                Ok(self.or(&[direct, llc]))
            }
            _ if proto <= MAX_LENGTH => {
                let mark = self.link_field(LLC)?;
                let dsap = self.field(Rel::Llc, 0, Size::Byte, proto)?;
                Ok(self.and(&[mark, dsap]))
            }
            _ => self.link_field(proto),
        }
    }

    fn llc_proto(&mut self, proto: u32) -> Gen<FId> {
        match proto {
            LLC_ISO | LLC_IP | LLC_NETBEUI => self.field(Rel::Llc, 0, Size::Half, proto << 8 | proto),
            ETHERTYPE_ATALK => self.snap(0x08_0007, proto),
            _ if proto <= MAX_LENGTH => self.field(Rel::Llc, 0, Size::Byte, proto),
            // Behind 802.2 the field at 6 is taken for the EtherType; that it is SNAP is not checked.
            _ => self.field(Rel::Llc, 6, Size::Half, proto),
        }
    }

    fn families(&self, proto: u32) -> Option<Vec<u32>> {
        match proto {
            ETHERTYPE_IP => Some(vec![AF_INET]),
            ETHERTYPE_IP6 if self.newer() => Some([&AF_INET6_OTHERS[..], &[AF_INET6_LINUX]].concat()),
            // 1.10 asks for the capturing host's own number live, and for the others' in recordings.
            ETHERTYPE_IP6 if self.options.live.is_none() && self.link.test != TypeTest::Pflog => {
                Some(AF_INET6_OTHERS.to_vec())
            }
            ETHERTYPE_IP6 => Some(vec![AF_INET6_LINUX]),
            _ => None,
        }
    }

    fn family_proto(&mut self, proto: u32) -> Gen<FId> {
        let Some(families) = self.families(proto) else { return Ok(Formulas::FALSE) };
        let host_order = self.link.test == TypeTest::FamilyHost && !self.options.swapped;
        let set = families.iter().map(|&f| if host_order { f.to_be() } else { f });
        let set = RangeSet::from_ranges(set.map(|f| (f, f)).collect());
        let value = self.load(Rel::Link, 0, Size::Word)?;
        Ok(self.member(value, &set))
    }

    fn arcnet_proto(&mut self, proto: u32) -> Gen<FId> {
        let numbers: &[u32] = match proto {
            ETHERTYPE_IP6 => &[196],
            ETHERTYPE_IP => &[212, 240],
            ETHERTYPE_ARP => &[213, 241],
            ETHERTYPE_RARP => &[214],
            ETHERTYPE_ATALK => &[221],
            _ => return Ok(Formulas::FALSE),
        };
        let value = self.load(Rel::LinkType, 0, Size::Byte)?;
        Ok(self.member(value, &RangeSet::from_ranges(numbers.iter().map(|&n| (n, n)).collect())))
    }

    /// Behind an MPLS label only the version nibble tells, and only if it is the last label.
    fn mpls_proto(&mut self, proto: u32) -> Gen<FId> {
        let version = match proto {
            ETHERTYPE_IP => 0x40,
            ETHERTYPE_IP6 => 0x60,
            _ => {
                return Err(Refusal::new("unsupported protocol over mpls")
                    .help("behind `mpls` only `ip` and `ip6` (and what runs on them) can be told apart"));
            }
        };
        let last = self.masked(Rel::PreviousLabel, 2, Size::Byte, 1, 1)?;
        let nibble = self.masked(Rel::Network, 0, Size::Byte, version, 0xf0)?;
        Ok(self.and(&[last, nibble]))
    }
}

/// The PPP protocol number of an EtherType or LLC service access point.
fn ppp_number(proto: u32) -> u32 {
    match proto {
        ETHERTYPE_IP => 0x21,
        ETHERTYPE_IP6 => 0x57,
        ETHERTYPE_DECNET => 0x27,
        ETHERTYPE_ATALK => 0x29,
        ETHERTYPE_NS => 0x25,
        LLC_ISO => 0x23,
        LLC_STP => 0x31,
        LLC_IPX => 0x2b,
        other => other,
    }
}

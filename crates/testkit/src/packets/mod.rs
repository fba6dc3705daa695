//! Deterministic packets for every link type: valid ones, truncated ones, damaged ones and noise.
//!
//! The generator knows the layouts of the protocols only as far as filters look at them. It shares no code with the
//! compiler and the decoders that it tests.

mod ether;
mod ip;
mod other;
pub mod pools;
mod wan;
mod wifi;

use skep_proto::LinkType;

use crate::Rng;

/// One captured packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPacket {
    /// The captured bytes, beginning with the link-layer header.
    pub data: Vec<u8>,
    /// The length on the wire; larger than the captured length for packets that were cut.
    pub orig_len: u32,
}

/// The link types that have a frame layout of their own here. Any other type is accepted too and gets packets with a
/// header of unknown meaning.
pub const LINKS: &[LinkType] = &[
    LinkType::EN10MB,
    LinkType::RAW,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::ENC,
    LinkType::PPP,
    LinkType::PPP_SERIAL,
    LinkType::PPP_BSDOS,
    LinkType::PPP_PPPD,
    LinkType::PPP_ETHER,
    LinkType::C_HDLC,
    LinkType::SLIP,
    LinkType::SLIP_BSDOS,
    LinkType::FRELAY,
    LinkType::IEEE802_11,
    LinkType::IEEE802_11_RADIO,
    LinkType::IEEE802_11_RADIO_AVS,
    LinkType::PRISM_HEADER,
    LinkType::PPI,
    LinkType::PFLOG,
    LinkType::FDDI,
    LinkType::IEEE802,
    LinkType::IP_OVER_FC,
    LinkType::ARCNET,
    LinkType::ARCNET_LINUX,
    LinkType::ATM_RFC1483,
    LinkType::ATM_CLIP,
    LinkType::SUNATM,
    LinkType::MTP2,
    LinkType::MTP2_WITH_PHDR,
    LinkType::MTP3,
    LinkType::APPLE_IP_OVER_IEEE1394,
    LinkType::SYMANTEC_FIREWALL,
    LinkType::LTALK,
    LinkType::IPNET,
    LinkType::NETANALYZER,
    LinkType::NETANALYZER_TRANSPARENT,
    LinkType::DSA_TAG_BRCM,
    LinkType::DSA_TAG_DSA,
    LinkType::MPLS,
];

/// `n` packets of a link type. The same arguments give the same packets on every machine.
///
/// Every valid packet is followed by a copy cut at a random length, because programs differ most on short packets;
/// every third also by a copy with a few flipped bits, and every sixth by noise.
#[must_use]
pub fn packets(link: LinkType, n: usize, seed: u64) -> Vec<TestPacket> {
    let mut forge = Forge { rng: Rng::new(seed ^ u64::from(link.0) << 32) };
    let mut list = Vec::with_capacity(n + 4);
    let mut round = 0usize;
    while list.len() < n {
        let frame = forge.frame(link);
        list.push(forge.cut(&frame));
        if round.is_multiple_of(3) {
            list.push(forge.damaged(&frame));
        }
        if round.is_multiple_of(6) {
            let count = forge.rng.below(96);
            let noise = forge.rng.bytes(count);
            list.push(forge.whole(noise));
        }
        list.push(forge.whole(frame));
        round += 1;
    }
    list.truncate(n);
    list
}

/// The state of the generator; the layers of the protocol stack are methods in the other files.
struct Forge {
    rng: Rng,
}

impl Forge {
    fn whole(&mut self, data: Vec<u8>) -> TestPacket {
        let orig_len = data.len() as u32;
        // Some adapters record less than they saw, whatever the snapshot length.
        let orig_len = if self.rng.percent(5) { orig_len + self.rng.below(2000) as u32 } else { orig_len };
        TestPacket { data, orig_len }
    }

    /// A copy cut at a random place, mostly within the headers.
    fn cut(&mut self, frame: &[u8]) -> TestPacket {
        let limit = if self.rng.percent(75) { frame.len().min(80) } else { frame.len() };
        let keep = self.rng.below(limit + 1);
        // Half of the cut packets are short on the wire as well.
        let orig_len = if self.rng.percent(50) { frame.len() } else { keep };
        TestPacket { data: frame[..keep].to_vec(), orig_len: orig_len as u32 }
    }

    /// A copy with one to four flipped bits, mostly within the headers.
    fn damaged(&mut self, frame: &[u8]) -> TestPacket {
        let mut data = frame.to_vec();
        let limit = if self.rng.percent(80) { data.len().min(64) } else { data.len() };
        for _ in 0..self.rng.between(1, 4) {
            let at = self.rng.below(limit);
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << self.rng.below(8);
            }
        }
        self.whole(data)
    }

    /// A valid frame of a link type.
    fn frame(&mut self, link: LinkType) -> Vec<u8> {
        match link {
            LinkType::EN10MB => self.ethernet(2),
            LinkType::RAW => self.raw_ip(),
            LinkType::IPV4 => self.ipv4(2),
            LinkType::IPV6 => self.ipv6(2),
            LinkType::LINUX_SLL => self.cooked(),
            LinkType::LINUX_SLL2 => self.cooked_v2(),
            LinkType::NULL => {
                let swapped = self.rng.percent(50);
                self.null(swapped)
            }
            LinkType::LOOP => self.null(true),
            LinkType::ENC => self.enc(),
            LinkType::PPP | LinkType::PPP_SERIAL => {
                let first = self.rng.pick(&[0xff, 0xff, 0xff, 0x0f, 0x8f]);
                self.ppp(first)
            }
            LinkType::PPP_PPPD => {
                let direction = self.rng.below(2) as u8;
                self.ppp(direction)
            }
            LinkType::PPP_BSDOS => self.fixed_header(5, 24, true),
            LinkType::PPP_ETHER => {
                let session = self.rng.percent(80);
                self.pppoe_header(1, session)
            }
            LinkType::C_HDLC => self.cisco_hdlc(),
            LinkType::SLIP => {
                let direction = self.rng.below(2) as u8;
                [vec![direction], self.rng.bytes(15), self.raw_ip()].concat()
            }
            LinkType::SLIP_BSDOS => [self.rng.bytes(24), self.raw_ip()].concat(),
            LinkType::FRELAY => self.frame_relay(),
            LinkType::IEEE802_11 => self.wifi(),
            LinkType::IEEE802_11_RADIO => self.radiotap(),
            LinkType::IEEE802_11_RADIO_AVS => self.avs(),
            LinkType::PRISM_HEADER => self.prism(),
            LinkType::PPI => self.ppi(),
            LinkType::PFLOG => self.pflog(),
            LinkType::FDDI => self.fddi(),
            LinkType::IEEE802 => self.token_ring(),
            LinkType::IP_OVER_FC => self.fibre_channel(),
            LinkType::ARCNET => self.arcnet(false),
            LinkType::ARCNET_LINUX => self.arcnet(true),
            LinkType::ATM_RFC1483 => self.llc(1),
            LinkType::ATM_CLIP => {
                if self.rng.percent(70) {
                    self.llc(1)
                } else {
                    self.raw_ip()
                }
            }
            LinkType::SUNATM => self.sun_atm(),
            LinkType::MTP2 => self.mtp2(),
            LinkType::MTP2_WITH_PHDR => [self.rng.bytes(4), self.mtp2()].concat(),
            LinkType::MTP3 => {
                [vec![self.rng.pick(&[0x83, 0x85, 3])], self.ss7_label().to_vec(), self.rng.bytes(16)].concat()
            }
            LinkType::APPLE_IP_OVER_IEEE1394 => self.fixed_header(16, 18, false),
            LinkType::SYMANTEC_FIREWALL => self.fixed_header(6, 44, false),
            LinkType::LTALK => [vec![1, 2, self.rng.pick(&[1, 2, 0x81])], self.rng.bytes(24)].concat(),
            LinkType::IPNET => self.ipnet(),
            LinkType::NETANALYZER => [self.rng.bytes(4), self.ethernet(1)].concat(),
            LinkType::NETANALYZER_TRANSPARENT => [self.rng.bytes(12), self.ethernet(1)].concat(),
            LinkType::DSA_TAG_BRCM | LinkType::DSA_TAG_DSA => self.switch_tagged(4),
            LinkType::DSA_TAG_EDSA => self.switch_tagged(8),
            LinkType::MPLS => self.mpls(1),
            _ if link.name().is_some_and(|name| name.starts_with("JUNIPER")) => self.juniper(),
            _ => self.unknown(link),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn packets_are_deterministic_varied_and_bounded() {
        for &link in LINKS {
            let list = packets(link, 5000, 1);
            assert_eq!(list.len(), 5000);
            assert_eq!(list[..50], packets(link, 50, 1)[..]);
            assert_ne!(list[..50], packets(link, 50, 2)[..]);
            let distinct: HashSet<_> = list.iter().map(|packet| &packet.data).collect();
            assert!(distinct.len() > 3500, "{link}: only {} distinct packets", distinct.len());
            assert!(list.iter().all(|packet| packet.orig_len as usize >= packet.data.len()));
            assert!(list.iter().all(|packet| packet.data.len() < 2000));
            assert!(list.iter().any(|packet| packet.data.is_empty()));
            assert!(list.iter().filter(|packet| packet.orig_len as usize > packet.data.len()).count() > 500);
        }
    }

    #[test]
    fn every_named_link_type_gets_packets() {
        for row in skep_proto::link::LINK_TYPES {
            assert_eq!(packets(row.link, 64, 3).len(), 64);
        }
    }
}

//! Packets of the network stack for traffic control and control groups: `struct __sk_buff` with the packet in the cage.

use super::PacketError;
use super::window::{MAX_FRAME_BYTES, PacketKind};
use crate::classic::Metadata;
use crate::ebpf::environment::{ClonedPacket, Redirect};
use crate::ebpf::socket_filter::SkBuff;
use crate::ebpf::worker::Worker;

/// Longest packet that helpers make (`BPF_SKB_MAX_LEN` in `net/core/filter.c`, for pages of 4 KiB).
pub(crate) const MAX_GROWN_BYTES: u32 = 16_384 - 320;
/// `TC_ACT_REDIRECT` in `linux/pkt_cls.h`.
const TC_ACT_REDIRECT: u32 = 7;

/// Bytes of the Ethernet header.
const ETHERNET: u32 = 14;

/// A packet with the fields that programs may change. The others of `struct __sk_buff` come from
/// [`meta`](Self::meta).
#[derive(Debug, Clone)]
pub struct Skb {
    /// The bytes: from the link header on for traffic control, from the network header on for control groups. At most
    /// [`MAX_FRAME_BYTES`](super::MAX_FRAME_BYTES).
    pub packet: Vec<u8>,
    /// What is known about it; its mark is read back from the context, VLAN tag and hash are changed by helpers.
    pub meta: Metadata,
    /// `priority`
    pub priority: u32,
    /// `tc_index`
    pub tc_index: u32,
    /// `cb`: what programs tell each other.
    pub cb: [u32; 5],
    /// `tc_classid`
    pub tc_classid: u32,
    /// `tstamp` in nanoseconds.
    pub tstamp: u64,
    /// `wire_len`: bytes on the wire, `None` for those of the packet.
    pub wire_len: Option<u32>,
    /// `gso_segs`
    pub gso_segs: u32,
    /// `gso_size`
    pub gso_size: u32,
}

/// What a program said about a packet.
#[derive(Debug, Clone)]
pub struct SkbVerdict {
    /// The lower half of register 0: `TC_ACT_*` for traffic control, 1 to let it pass for control groups.
    pub code: u32,
    /// Where it goes, if the code is `TC_ACT_REDIRECT`.
    pub redirect: Option<Redirect>,
    /// Copies that were sent elsewhere, in order.
    pub clones: Vec<ClonedPacket>,
}

// TABLE
/// Offsets of the fields in `struct __sk_buff` (`linux/bpf.h`).
mod field {
    pub(super) const MARK: usize = 8;
    pub(super) const VLAN_PRESENT: usize = 20;
    pub(super) const VLAN_TCI: usize = 24;
    pub(super) const VLAN_PROTO: usize = 28;
    pub(super) const PRIORITY: usize = 32;
    pub(super) const TC_INDEX: usize = 44;
    pub(super) const CB: usize = 48;
    pub(super) const HASH: usize = 68;
    pub(super) const TC_CLASSID: usize = 72;
    pub(super) const TSTAMP: usize = 152;
    pub(super) const WIRE_LEN: usize = 160;
    pub(super) const GSO_SEGS: usize = 164;
    pub(super) const GSO_SIZE: usize = 176;
}

/// Offset of `vlan_present` in the context, for the helpers on VLAN tags.
pub(crate) const VLAN_FIELDS: u64 = field::VLAN_PRESENT as u64;
/// Offset of `hash` in the context.
pub(crate) const HASH_FIELD: u64 = field::HASH as u64;

impl Skb {
    /// A packet that starts with an Ethernet header, as traffic control sees it.
    pub fn new(packet: &[u8]) -> Self {
        let protocol = packet.get(12..14).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        let network_offset = Some(ETHERNET);
        Self::with_meta(packet, Metadata { protocol, network_offset, ..Metadata::default() })
    }

    /// A packet that starts with its network header, as control groups see it.
    pub fn without_link_header(packet: &[u8], protocol: u16) -> Self {
        let meta = Metadata { protocol, link_offset: None, network_offset: Some(0), ..Metadata::default() };
        Self::with_meta(packet, meta)
    }

    fn with_meta(packet: &[u8], meta: Metadata) -> Self {
        Self {
            packet: packet.to_vec(),
            meta,
            priority: 0,
            tc_index: 0,
            cb: [0; 5],
            tc_classid: 0,
            tstamp: 0,
            wire_len: None,
            gso_segs: 0,
            gso_size: 0,
        }
    }

    fn context(&self) -> SkBuff {
        let len = self.packet.len() as u32;
        let mut context = SkBuff::new(len, &self.meta);
        context.put(field::PRIORITY, self.priority);
        context.put(field::TC_INDEX, self.tc_index);
        self.cb.iter().zip(0..).for_each(|(&word, index)| context.put(field::CB + 4 * index, word));
        context.put(field::TC_CLASSID, self.tc_classid);
        context.0[field::TSTAMP..field::TSTAMP + 8].copy_from_slice(&self.tstamp.to_ne_bytes());
        context.put(field::WIRE_LEN, self.wire_len.unwrap_or(len));
        context.put(field::GSO_SEGS, self.gso_segs);
        context.put(field::GSO_SIZE, self.gso_size);
        context
    }

    fn read_back(&mut self, context: &SkBuff) {
        self.meta.mark = context.get(field::MARK);
        self.meta.rxhash = context.get(field::HASH);
        let tagged = context.get(field::VLAN_PRESENT) != 0;
        self.meta.vlan_tci = tagged.then(|| context.get(field::VLAN_TCI) as u16);
        if tagged {
            self.meta.vlan_tpid = u16::from_be(context.get(field::VLAN_PROTO) as u16);
        }
        self.priority = context.get(field::PRIORITY);
        self.tc_index = context.get(field::TC_INDEX);
        self.cb = std::array::from_fn(|index| context.get(field::CB + 4 * index));
        self.tc_classid = context.get(field::TC_CLASSID);
        let tstamp = context.0[field::TSTAMP..].first_chunk::<8>();
        self.tstamp = tstamp.map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    }
}

impl Worker {
    /// Runs a program of traffic control or of a control group on a packet in the cage. The packet and its fields hold
    /// what the program made of them afterwards, unless the run ended with a fault.
    ///
    /// # Errors
    /// [`PacketError`]
    ///
    /// # Panics
    /// If there is no program with this index, or a registered helper panics.
    pub fn run_skb(&mut self, program: usize, skb: &mut Skb) -> Result<SkbVerdict, PacketError> {
        if skb.packet.len() > MAX_FRAME_BYTES {
            return Err(PacketError::TooLong(skb.packet.len()));
        }
        let tailroom = MAX_GROWN_BYTES.saturating_sub(skb.packet.len() as u32);
        self.machine_mut().place_packet(PacketKind::Skb, &[], &skb.packet, tailroom).map_err(PacketError::Memory)?;
        let mut context = skb.context();
        let code = self.run_on_packet(program, &mut context.0, &skb.meta)? as u32;
        skb.read_back(&context);
        self.machine().take_packet(&mut Vec::new(), &mut skb.packet);
        let environment = &mut self.machine_mut().environment;
        let redirect = environment.redirect.take().filter(|_| code == TC_ACT_REDIRECT);
        Ok(SkbVerdict { code, redirect, clones: std::mem::take(&mut environment.clones) })
    }
}

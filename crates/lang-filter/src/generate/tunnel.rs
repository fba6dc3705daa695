//! Keywords that shift the offsets of what follows, directions and the fields of pf logs.

use skep_isa::classic::{AluOp, JmpOp, SKF_AD_OFF, Size};
use skep_proto::LinkType;

use super::layout::{Layout, TypeTest};
use super::linktype::{ETHERTYPE_MPLS, ETHERTYPE_PPPOES, ETHERTYPE_TEB, VLAN_TPIDS};
use super::{Gen, Generator, Off, Refusal, Rel};
use crate::ast::Dir;
use crate::formula::{FId, Formula};
use crate::ranges::RangeSet;

/// Words of the kernel about a packet (`SKF_AD_...` of linux/filter.h).
const AD_PKTTYPE: u32 = SKF_AD_OFF + 4;
const AD_IFINDEX: u32 = SKF_AD_OFF + 8;
const AD_VLAN_TAG: u32 = SKF_AD_OFF + 44;
const AD_VLAN_PRESENT: u32 = SKF_AD_OFF + 48;
/// `PACKET_OUTGOING` of linux/if_packet.h.
const OUTGOING: u32 = 4;

const UDP: u32 = 17;
const GENEVE_PORT: u32 = 6081;
const VXLAN_PORT: u32 = 4789;

impl Generator<'_> {
    /// `vlan [id]`
    pub(super) fn vlan(&mut self, id: Option<u32>) -> Gen<FId> {
        if self.labels > 0 {
            return Err(Refusal::new("no VLAN match after MPLS"));
        }
        if !matches!(self.link.test, TypeTest::Ethernet | TypeTest::Wlan) {
            return Err(Refusal::new(format!("no VLAN support for {}", self.link_name())));
        }
        if let Some(id) = id
            && id > 4095
        {
            return Err(Refusal::new(format!("VLAN tag {id} greater than maximum 4095")));
        }
        let live = self.options.live.is_some() && self.vlans == 0 && self.link.link == LinkType::EN10MB;
        self.vlans += 1;
        if live && self.tunnel.is_none() {
            return self.vlan_live(id);
        }
        let tagged = self.vlan_in_bytes(id)?;
        self.shift_link(None, 4);
        Ok(tagged)
    }

    fn vlan_in_bytes(&mut self, id: Option<u32>) -> Gen<FId> {
        let mut list = Vec::with_capacity(VLAN_TPIDS.len());
        for tpid in VLAN_TPIDS {
            list.push(self.link_proto(tpid)?);
        }
        let tagged = self.or(&list);
        let Some(id) = id else { return Ok(tagged) };
        let number = self.masked(Rel::Network, 0, Size::Half, id, 0x0fff)?;
        Ok(self.and(&[tagged, number]))
    }

    /// On a live capture the kernel has usually taken the tag out of the bytes: it then stands in the metadata, and
    /// nothing is shifted.
    fn vlan_live(&mut self, id: Option<u32>) -> Gen<FId> {
        let shift = self.new_var()?;
        let zero = self.values.constant(0);
        let init = self.set(shift, zero);
        self.prelude.push(init);

        let present = self.values.abs(Size::Byte, AD_VLAN_PRESENT);
        let mut offloaded = vec![self.equals(present, 1)];
        if let Some(id) = id {
            let tag = self.values.abs(Size::Half, AD_VLAN_TAG);
            let number = self.values.bin_k(AluOp::And, tag, 0x0fff);
            offloaded.push(self.equals(number, id));
        }
        let offloaded = self.and(&offloaded);
        let tagged = self.vlan_in_bytes(id)?;
        let four = self.values.constant(4);
        let shifted = self.set(shift, four);
        let in_bytes = self.and(&[tagged, shifted]);
        let either = self.or(&[offloaded, in_bytes]);
        let var = self.values.var(shift);
        self.shift_link(Some(var), 0);
        Ok(either)
    }

    fn shift_link(&mut self, var: Option<crate::value::ValId>, k: u32) {
        for off in [&mut self.protocol, &mut self.payload].into_iter().flatten() {
            off.var = var.or(off.var);
            off.k += k;
        }
    }

    /// `mpls [label]`
    pub(super) fn mpls(&mut self, label: Option<u32>) -> Gen<FId> {
        let mut list = Vec::with_capacity(2);
        if self.labels > 0 {
            // The label before is not the bottom of the stack.
            list.push(self.masked(Rel::PreviousLabel, 2, Size::Byte, 0, 1)?);
        } else {
            list.push(match self.link.link {
                LinkType::PPP => self.link_proto(0x0281)?,
                LinkType::C_HDLC
                | LinkType::PPP_SERIAL
                | LinkType::EN10MB
                | LinkType::NETANALYZER
                | LinkType::NETANALYZER_TRANSPARENT => self.link_proto(ETHERTYPE_MPLS)?,
                _ => return Err(Refusal::new(format!("no MPLS support for {}", self.link_name()))),
            });
        }
        if let Some(label) = label {
            if label > 0xf_ffff {
                return Err(Refusal::new(format!("MPLS label {label} greater than maximum 1048575")));
            }
            list.push(self.masked(Rel::Network, 0, Size::Word, label << 12, 0xffff_f000)?);
        }
        self.network += 4;
        self.network_no_snap += 4;
        self.labels += 1;
        Ok(self.and(&list))
    }

    /// `pppoes [session]`
    pub(super) fn pppoes(&mut self, session: Option<u32>) -> Gen<FId> {
        let mut list = vec![self.link_proto(ETHERTYPE_PPPOES)?];
        if let Some(session) = session {
            if session > 0xffff {
                return Err(Refusal::new(format!("PPPoE session number {session} greater than maximum 65535")));
            }
            list.push(self.masked(Rel::Network, 0, Size::Word, session, 0xffff)?);
        }
        let (var, k) = self.base(Rel::Network)?;
        // Behind the six bytes of PPPoE: the PPP protocol, then the payload.
        let off = |n: u32| Off { var, k: k + n };
        self.link = Layout::of(LinkType::PPP);
        self.header = off(6);
        self.protocol = Some(off(6));
        self.payload = Some(off(8));
        self.network = 0;
        self.network_no_snap = 0;
        Ok(self.and(&list))
    }

    /// `geneve [vni]`: also sets where the inner frame or packet begins.
    pub(super) fn geneve(&mut self, vni: Option<u32>) -> Gen<FId> {
        let base = self.new_var()?;
        let start = self.tunnel_start(GENEVE_PORT, vni, base, (0, 0xc0))?;
        let (header, protocol, payload) = (self.new_var()?, self.new_var()?, self.new_var()?);
        self.clear(&[base, header, protocol, payload]);
        let base = self.values.var(base);
        let flags = self.values.load(Size::Byte, Some(base), 0);
        let words = self.values.bin_k(AluOp::And, flags, 0x3f);
        let options = self.values.bin_k(AluOp::Lsh, words, 2);
        let length = self.values.bin_k(AluOp::Add, options, 8);
        let inner = self.values.bin(AluOp::Add, length, base);
        let set_header = self.set(header, inner);
        let kind = self.values.load(Size::Half, Some(base), 2);
        let bridged = self.equals(kind, ETHERTYPE_TEB);
        let inner = self.values.var(header);
        let (ether_type, ether_payload) =
            (self.values.bin_k(AluOp::Add, inner, 12), self.values.bin_k(AluOp::Add, inner, 14));
        let own_type = self.values.bin_k(AluOp::Add, base, 2);
        let ethernet = [bridged, self.set(protocol, ether_type), self.set(payload, ether_payload)];
        let ethernet = self.and(&ethernet);
        let direct = [self.set(protocol, own_type), self.set(payload, inner)];
        let direct = self.and(&direct);
        let offsets = self.or(&[ethernet, direct]);
        let all = self.and(&[start, set_header, offsets]);

        let (protocol, payload) = (self.values.var(protocol), self.values.var(payload));
        self.enter_tunnel(
            Off { var: Some(inner), k: 0 },
            Off { var: Some(protocol), k: 0 },
            Off { var: Some(payload), k: 0 },
        );
        self.tunnel = Some((inner, payload));
        Ok(all)
    }

    /// `vxlan [vni]`
    pub(super) fn vxlan(&mut self, vni: Option<u32>) -> Gen<FId> {
        if !self.newer() {
            return Err(Refusal::new("'vxlan' exists from libpcap 1.11 on").help("use `--compat 1.11`"));
        }
        let base = self.new_var()?;
        let start = self.tunnel_start(VXLAN_PORT, vni, base, (0x08, 0x08))?;
        self.clear(&[base]);
        let base = Some(self.values.var(base));
        self.enter_tunnel(Off { var: base, k: 8 }, Off { var: base, k: 20 }, Off { var: base, k: 22 });
        self.tunnel = None;
        Ok(start)
    }

    /// UDP to `port` over either IP, the tunnel's first byte and number right; sets `base` to the tunnel header.
    fn tunnel_start(
        &mut self,
        port: u32,
        vni: Option<u32>,
        base: crate::value::Var,
        (flags, mask): (u32, u32),
    ) -> Gen<FId> {
        if let Some(vni) = vni
            && vni > 0xff_ffff
        {
            return Err(Refusal::new(format!("VNI {vni} greater than maximum 16777215")));
        }
        let mut forms = Vec::with_capacity(2);
        for rel in [Rel::Transport4, Rel::Transport6] {
            let set = RangeSet::single(port);
            let mut list = vec![if rel == Rel::Transport4 {
                self.ports4(Dir::Dst, Some(UDP), &set)?
            } else {
                self.ports6(Dir::Dst, Some(UDP), &set)?
            }];
            list.push(self.masked(rel, 8, Size::Byte, flags, mask)?);
            if let Some(vni) = vni {
                list.push(self.masked(rel, 12, Size::Word, vni << 8, 0xffff_ff00)?);
            }
            let (var, k) = self.base(rel)?;
            let start = match var {
                Some(var) => self.values.bin_k(AluOp::Add, var, k + 8),
                None => self.values.constant(k + 8),
            };
            list.push(self.set(base, start));
            forms.push(self.and(&list));
        }
        Ok(self.or(&forms))
    }

    /// Other branches may read the offsets without having passed the keyword.
    fn clear(&mut self, vars: &[crate::value::Var]) {
        let zero = self.values.constant(0);
        for &var in vars {
            let clear = self.set(var, zero);
            self.prelude.push(clear);
        }
    }

    fn enter_tunnel(&mut self, header: Off, protocol: Off, payload: Off) {
        self.link = Layout::of(LinkType::EN10MB);
        self.header = header;
        self.protocol = Some(protocol);
        self.payload = Some(payload);
        self.network = 0;
        self.network_no_snap = 3;
        self.lane = false;
        self.vlans += 1;
    }

    /// What has to hold before a field of an inner Ethernet header may be looked at.
    pub(super) fn lane_or_tunnel_check(&mut self) -> Gen<Option<FId>> {
        if let Some(check) = self.lane_check()? {
            return Ok(Some(check));
        }
        Ok(self.tunnel.map(|(header, payload)| {
            let same = self.formulas.intern(Formula::Cmp(JmpOp::Eq, header, payload));
            self.formulas.not(same)
        }))
    }

    /// Control frames of ATM LAN emulation are no Ethernet frames.
    pub(super) fn lane_check(&mut self) -> Gen<Option<FId>> {
        if !self.lane {
            return Ok(None);
        }
        let control = self.field(Rel::Packet, 4, Size::Half, 0xff00)?;
        Ok(Some(self.formulas.not(control)))
    }

    /// `inbound`, `outbound`
    pub(super) fn direction(&mut self, out: bool) -> Gen<FId> {
        let link = self.options.link;
        let (value, outgoing) = match link {
            LinkType::LINUX_SLL => (self.values.abs(Size::Half, 0), OUTGOING),
            LinkType::LINUX_SLL2 => (self.values.abs(Size::Byte, 10), OUTGOING),
            LinkType::SLIP => {
                let value = self.values.abs(Size::Byte, 0);
                let incoming = self.equals(value, 0);
                return Ok(if out { self.formulas.not(incoming) } else { incoming });
            }
            LinkType::IPNET => return self.field(Rel::Packet, 2, Size::Half, if out { 1 } else { 2 }),
            LinkType::PFLOG => return self.field(Rel::Packet, 60, Size::Byte, if out { 2 } else { 1 }),
            LinkType::PPP_PPPD => return self.field(Rel::Packet, 0, Size::Byte, u32::from(out)),
            _ if Layout::of(link).test == TypeTest::Juniper => {
                return self.masked(Rel::Packet, 3, Size::Byte, u32::from(!out), 1);
            }
            _ if self.options.live.is_some() || !self.newer() => (self.values.abs(Size::Half, AD_PKTTYPE), OUTGOING),
            _ => {
                let word = if out { "outbound" } else { "inbound" };
                return Err(Refusal::new(format!(
                    "not a live capture, '{word}' not supported on {}",
                    self.link_name()
                ))
                .help("the direction is recorded by captures of `-i any`"));
            }
        };
        let outbound = self.equals(value, outgoing);
        Ok(if out { outbound } else { self.formulas.not(outbound) })
    }

    /// `ifindex N`
    pub(super) fn interface(&mut self, n: u32) -> Gen<FId> {
        let value = match self.options.link {
            LinkType::LINUX_SLL2 => self.values.abs(Size::Word, 4),
            _ if self.options.live.is_some() || !self.newer() => self.values.abs(Size::Word, AD_IFINDEX),
            _ => {
                return Err(Refusal::new(format!(
                    "not a live capture, 'ifindex' not supported on {}",
                    self.link_name()
                ))
                .help("the interface is recorded by captures of `-i any`"));
            }
        };
        Ok(self.equals(value, n))
    }

    fn only_pflog(&self, word: &str) -> Gen<()> {
        if self.options.link == LinkType::PFLOG {
            return Ok(());
        }
        Err(Refusal::new(format!("'{word}' supported only on {}", LinkType::PFLOG.description().unwrap_or("pf logs"))))
    }

    pub(super) fn pf_name(&mut self, word: &str, offset: u32, room: usize, name: &str) -> Gen<FId> {
        self.only_pflog(word)?;
        if name.len() >= room {
            return Err(Refusal::new(format!("'{word}' names have at most {} characters", room - 1)));
        }
        self.bytes(Rel::Packet, offset, name.as_bytes())
    }

    pub(super) fn pf_field(&mut self, word: &str, size: Size, offset: u32, k: u32) -> Gen<FId> {
        self.only_pflog(word)?;
        self.field(Rel::Packet, offset, size, k)
    }
}

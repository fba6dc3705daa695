//! Protocols of which only the essentials are shown: AH, SCTP, IGMP, OSPF, PIM, VRRP.

use super::num;
use super::pen::{Carrier, Pen, Written};
use super::services::PortKind;
use crate::decode::transport::SctpChunks;
use crate::decode::{Part, checksum};
use skep_proto::numbers::ip_proto;

impl Pen<'_> {
    /// An authentication header.
    pub(super) fn authentication(&mut self, header: Part<'_>) -> Written {
        self.layer = "ah";
        self.s("AH(");
        let words = usize::from(header.u8(1)?);
        if self.opts.verbose > 0 {
            self.len("length=", words);
            self.len("(", words * 4 + 8);
            self.s("-bytes),");
        }
        let reserved = header.be16(2)?;
        if reserved != 0 {
            self.sx("reserved=", reserved);
            self.s("[MustBeZero],");
        }
        self.sx_padded("spi=", header.be32(4)?, 8);
        self.sx(",seq=", header.be32(8)?);
        let icv = header.bytes(12, (words * 4 + 8).saturating_sub(12))?;
        self.s(",icv=0x");
        num::hex_bytes(self.out, icv);
        self.s(")");
        Ok(())
    }

    pub(super) fn sctp(&mut self, part: Part<'_>, carrier: &Carrier) -> Written {
        self.layer = "sctp";
        let ports = (part.be16(0)?, part.be16(2)?);
        self.endpoints(carrier, Some(ports), PortKind::Tcp);
        self.s(" sctp");
        part.bytes(0, 12)?;
        if self.opts.quiet {
            return Ok(());
        }
        for (index, chunk) in SctpChunks::new(part).enumerate() {
            let chunk = chunk?;
            self.len(" (", index + 1);
            self.s(") [");
            match chunk.name() {
                Some(name) => self.s(name),
                None => self.sx("Unknown chunk type: ", chunk.kind),
            }
            self.s("]");
        }
        Ok(())
    }

    pub(super) fn igmp(&mut self, part: Part<'_>) -> Written {
        self.layer = "igmp";
        if self.opts.quiet {
            self.s("igmp");
            return Ok(());
        }
        let kind = part.u8(0)?;
        let group = |at: usize| part.array::<4>(at);
        match kind {
            0x11 => {
                self.s("igmp query");
                let code = part.u8(1)?;
                let version = if part.len >= 12 { 3 } else { 1 + u8::from(code > 0) };
                self.sd(" v", version);
                let address = group(4)?;
                if address != [0; 4] {
                    self.s(" [gaddr ");
                    num::ipv4(self.out, &address);
                    self.s("]");
                }
            }
            0x12 | 0x16 => {
                self.s(if kind == 0x12 { "igmp v1 report " } else { "igmp v2 report " });
                num::ipv4(self.out, &group(4)?);
            }
            0x17 => {
                self.s("igmp leave ");
                num::ipv4(self.out, &group(4)?);
            }
            0x22 => {
                self.sd("igmp v3 report, ", part.be16(6)?);
                self.s(" group record(s)");
            }
            0x13 => {
                self.s("igmp dvmrp");
                if part.len < 8 {
                    self.len(" [len ", part.len);
                    self.s("]");
                }
            }
            _ => self.sd("igmp-", kind),
        }
        if self.opts.verbose > 0 && part.is_whole() && checksum(&[part.data]) != 0 {
            self.s(" bad igmp cksum ");
            num::hex(self.out, part.be16(2)?.into());
            self.s("!");
        }
        Ok(())
    }

    pub(super) fn routing_protocol(&mut self, proto: u8, part: Part<'_>) -> Written {
        let first = part.u8(0).map_err(|_| self.at("ip"))?;
        match proto {
            ip_proto::OSPF => {
                self.layer = "ospf2";
                const KINDS: [&str; 6] = ["", "Hello", "Database Description", "LS-Request", "LS-Update", "LS-Ack"];
                let kind = part.u8(1)?;
                self.sd("OSPFv", first);
                match KINDS.get(usize::from(kind)) {
                    Some(name) if kind > 0 => {
                        self.s(", ");
                        self.s(name);
                    }
                    _ => self.sd(", unknown LS-type ", kind),
                }
            }
            ip_proto::PIM => self.sd("PIMv", first >> 4),
            _ => {
                self.layer = "vrrp";
                let (vrid, prio) = (part.u8(1)?, part.u8(2)?);
                self.sd("VRRPv", first >> 4);
                self.s(", Advertisement");
                self.sd(", vrid ", vrid);
                self.sd(", prio ", prio);
            }
        }
        self.len(", length ", part.len);
        Ok(())
    }
}

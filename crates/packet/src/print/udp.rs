//! UDP and what it carries: DNS, DHCP, NTP, VXLAN, Geneve.

use super::ip::{right_checksum, transport_checksum};
use super::pen::{Carrier, Pen, Written};
use super::services::PortKind;
use crate::decode::tunnel;
use crate::decode::{Cut, Geneve, Part, Udp};
use skep_proto::numbers::{ethertype, ip_proto, port};

impl Pen<'_> {
    pub(super) fn udp(&mut self, part: Part<'_>, carrier: &Carrier) -> Written {
        self.layer = "udp";
        let (Ok(sport), Ok(dport)) = (part.be16(0), part.be16(2)) else {
            if !carrier.addresses_shown {
                self.endpoints(carrier, None, PortKind::Udp);
                self.s(" ");
            }
            return Err(Cut);
        };
        self.endpoints(carrier, Some((sport, dport)), PortKind::Udp);
        self.s(" ");
        if part.len < 8 {
            self.len("truncated-udp ", part.len);
            return Ok(());
        }
        let claimed = usize::from(part.be16(4)?);
        if claimed < 8 {
            self.len("truncated-udplength ", claimed);
            return Ok(());
        }
        let udp = Udp::parse(part)?;
        self.udp_checksum(&udp, part, carrier);
        if !self.opts.quiet && self.udp_application(&udp)? {
            return Ok(());
        }
        if claimed - 8 > udp.payload.len && !carrier.fragmented {
            self.len("UDP, bad length ", claimed - 8);
            self.len(" > ", udp.payload.len);
        } else {
            self.len("UDP, length ", claimed - 8);
        }
        Ok(())
    }

    /// With `-vv`, and with `-v` for IPv6, where the checksum is mandatory.
    fn udp_checksum(&mut self, udp: &Udp<'_>, part: Part<'_>, carrier: &Carrier) {
        let wanted = self.opts.verbose > 1 || (self.opts.verbose > 0 && carrier.src.is_ipv6());
        let packet = part.limit(usize::from(udp.len));
        if !wanted || self.opts.no_checksums || carrier.fragmented {
            return;
        }
        // IPv6 does not allow packets without a checksum.
        if udp.checksum == 0 && carrier.src.is_ipv4() {
            self.s("[no cksum] ");
            return;
        }
        if !packet.is_whole() {
            return;
        }
        let result = transport_checksum(carrier, ip_proto::UDP, packet.data);
        if result == 0 {
            self.s("[udp sum ok] ");
        } else {
            self.sx_padded("[bad udp cksum ", udp.checksum, 4);
            self.sx_padded(" -> ", right_checksum(udp.checksum, result), 4);
            self.s("!] ");
        }
    }

    /// The payload, if the ports tell what it is.
    fn udp_application(&mut self, udp: &Udp<'_>) -> Result<bool, Cut> {
        let either = |known: u16| udp.sport == known || udp.dport == known;
        let payload = udp.payload;
        if either(port::DNS) || either(port::MDNS) {
            self.dns(payload, either(port::MDNS))?;
        } else if either(port::BOOTPS) || either(port::BOOTPC) {
            self.dhcp(payload)?;
        } else if either(port::NTP) {
            self.ntp(payload)?;
        } else if either(546) || either(547) {
            self.dhcp6(payload)?;
        } else if either(port::VXLAN) {
            self.vxlan(payload)?;
        } else if either(port::GENEVE) {
            self.geneve(payload)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn dhcp(&mut self, payload: Part<'_>) -> Written {
        self.layer = "bootp";
        self.s("BOOTP/DHCP, ");
        let operation = payload.u8(0)?;
        let (hardware, hardware_len) = (payload.u8(1)?, payload.u8(2)?);
        match operation {
            1 => self.s("Request"),
            2 => self.s("Reply"),
            other => self.sd("unknown (", other),
        }
        self.s(if operation > 2 || operation == 0 { ")" } else { "" });
        if operation == 1 && hardware == 1 && hardware_len == 6 {
            self.s(" from ");
            let mac: [u8; 6] = payload.array(28)?;
            self.mac(&mac);
        }
        self.len(", length ", payload.len);
        Ok(())
    }

    fn ntp(&mut self, payload: Part<'_>) -> Written {
        self.layer = "ntp";
        const MODES: [&str; 8] = [
            "Reserved",
            "symmetric active",
            "symmetric passive",
            "Client",
            "Server",
            "Broadcast",
            "Control Message",
            "Reserved",
        ];
        let first = payload.u8(0)?;
        self.sd("NTPv", first >> 3 & 7);
        self.s(", ");
        self.s(MODES[usize::from(first & 7)]);
        self.len(", length ", payload.len);
        Ok(())
    }

    fn dhcp6(&mut self, payload: Part<'_>) -> Written {
        self.layer = "dhcp6";
        // TABLE: DHCPv6 message types (RFC 8415).
        const KINDS: [&str; 14] = [
            "",
            "solicit",
            "advertise",
            "request",
            "confirm",
            "renew",
            "rebind",
            "reply",
            "release",
            "decline",
            "reconf",
            "inf-req",
            "relay-fwd",
            "relay-reply",
        ];
        let kind = payload.u8(0)?;
        self.s("dhcp6 ");
        match KINDS.get(usize::from(kind)) {
            Some(name) if kind > 0 => self.s(name),
            _ => self.sd("msgtype-", kind),
        }
        Ok(())
    }

    fn vxlan(&mut self, payload: Part<'_>) -> Written {
        self.layer = "vxlan";
        self.s("VXLAN, ");
        if payload.len < 8 {
            self.len(" [payload ", payload.len);
            self.s(" < 8] (invalid)");
            return Ok(());
        }
        let (flags, vni, inner) = tunnel::vxlan(payload)?;
        self.s(if flags & 8 != 0 { "flags [I] " } else { "flags [.] " });
        self.sx_padded("(", flags, 2);
        self.sd("), vni ", vni);
        self.s("\n");
        self.nested(|pen| pen.ethernet(inner))
    }

    fn geneve(&mut self, payload: Part<'_>) -> Written {
        self.layer = "geneve";
        self.s("Geneve");
        let head = Geneve::parse(payload)?;
        if head.version != 0 {
            self.sd(" ERROR: unknown-version ", head.version);
            return Ok(());
        }
        self.s(match head.flags {
            0 => ", Flags [none]",
            0x40 => ", Flags [C]",
            0x80 => ", Flags [O]",
            _ => ", Flags [OC]",
        });
        self.sx(", vni ", head.vni);
        if self.opts.link {
            self.s(", proto ");
            self.s(ethertype::name(head.protocol).unwrap_or("unknown"));
            self.sx_padded(" (", head.protocol, 4);
            self.s(")");
        }
        if head.options_len > 0 {
            self.len(", options [", head.options_len);
            self.s(" bytes]");
        }
        self.s(if self.opts.verbose > 0 { "\n\t" } else { ": " });
        self.nested(|pen| match pen.ether_payload(head.protocol, head.payload) {
            Ok(true) => Ok(()),
            Ok(false) => {
                pen.sx("geneve-proto-", head.protocol);
                Ok(())
            }
            Err(Cut) => Err(Cut),
        })
    }
}

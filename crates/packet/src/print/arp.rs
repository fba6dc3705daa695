//! ARP and RARP.

use super::num;
use super::pen::{Pen, Written};
use crate::decode::{Arp, Part};

impl Pen<'_> {
    pub(super) fn arp(&mut self, part: Part<'_>) -> Written {
        self.layer = "arp";
        let arp = Arp::parse(part)?;
        if !self.opts.link {
            self.s("ARP, ");
        }
        let usual = arp.protocol == 0x0800 && arp.protocol_len == 4 && arp.hardware_len != 0;
        if !usual || self.opts.verbose > 0 {
            match arp.hardware {
                1 => self.s("Ethernet"),
                6 => self.s("TokenRing"),
                7 => self.s("ArcNet"),
                15 => self.s("FrameRelay"),
                17 => self.s("Strip"),
                24 => self.s("IEEE 1394"),
                other => self.sd("Unknown Hardware (", other),
            }
            self.s(if matches!(arp.hardware, 1 | 6 | 7 | 15 | 17 | 24) { "" } else { ")" });
            self.sd(" (len ", arp.hardware_len);
            match arp.protocol {
                0x0800 => self.s("), IPv4"),
                other => {
                    self.sx_padded("), Unknown Protocol (", other, 4);
                    self.s(")");
                }
            }
            self.sd(" (len ", arp.protocol_len);
            self.s("), ");
            if self.opts.verbose == 0 {
                self.len("length ", part.len);
                return Ok(());
            }
        }
        self.arp_operation(&arp, usual, part)
    }

    fn arp_operation(&mut self, arp: &Arp<'_>, usual: bool, part: Part<'_>) -> Written {
        let protocol = |pen: &mut Self, address: &[u8]| match address {
            &[a, b, c, d] if usual => num::ipv4(pen.out, &[a, b, c, d]),
            _ => pen.s(if arp.protocol == 0x0800 { "<wrong len>" } else { "<wrong proto type>" }),
        };
        match arp.operation {
            1 => {
                self.s("Request who-has ");
                protocol(self, arp.target);
                if arp.target_mac.iter().any(|byte| *byte != 0) {
                    self.s(" (");
                    self.mac(arp.target_mac);
                    self.s(")");
                }
                self.s(" tell ");
                protocol(self, arp.sender);
            }
            2 => {
                self.s("Reply ");
                protocol(self, arp.sender);
                self.s(" is-at ");
                self.mac(arp.sender_mac);
            }
            3 | 8 => {
                self.s(if arp.operation == 3 { "Reverse Request who-is " } else { "Inverse Request who-is " });
                self.mac(arp.target_mac);
                self.s(" tell ");
                self.mac(arp.sender_mac);
            }
            4 => {
                self.s("Reverse Reply ");
                self.mac(arp.target_mac);
                self.s(" at ");
                protocol(self, arp.target);
            }
            9 => {
                self.s("Inverse Reply ");
                self.mac(arp.sender_mac);
                self.s(" at ");
                protocol(self, arp.sender);
            }
            other => {
                if other == 10 {
                    self.s("NACK Reply ");
                } else {
                    self.sd("Unknown (", other);
                    self.s(") ");
                }
                self.unknown(part);
                return Ok(());
            }
        }
        self.len(", length ", part.len);
        Ok(())
    }
}

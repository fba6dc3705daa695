//! What all parts of the text printer write with: the buffer, the options, and how far the packet was read.

use super::num;
use super::seq::SeqTable;
use super::services::{PortKind, Services};
use super::{Dump, PrintOptions};
use crate::decode::{Cut, Part};
use std::collections::HashMap;
use std::net::IpAddr;

/// What a printer remembers from one packet to the next.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) seqs: SeqTable,
    pub(super) services: Services,
    pub(super) interfaces: HashMap<u32, String>,
}

/// Ends the line of a packet early, with a mark that names the layer that was cut.
pub(super) type Written = Result<(), Cut>;

/// The network layer under a transport header: addresses for the line and for the checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carrier {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    /// The destination that the checksum covers: the last one, if the packet is source routed (RFC 8200, 8.1).
    pub(super) final_dst: IpAddr,
    /// The packet is a fragment: its checksum cannot be verified.
    pub(super) fragmented: bool,
    /// The addresses are printed already (IPv6 extension headers came between).
    pub(super) addresses_shown: bool,
}

/// Packets within packets; deeper ones are an attack.
const MOST_LAYERS: u8 = 16;

pub(super) struct Pen<'p> {
    pub(super) out: &'p mut Vec<u8>,
    pub(super) opts: &'p PrintOptions,
    pub(super) state: &'p mut State,
    /// The layer that a mark names.
    pub(super) layer: &'static str,
    /// Length of the link header, which dumps leave out.
    pub(super) header_len: usize,
    depth: u8,
}

impl<'p> Pen<'p> {
    pub(super) fn new(out: &'p mut Vec<u8>, opts: &'p PrintOptions, state: &'p mut State) -> Self {
        Self { out, opts, state, layer: "", header_len: 0, depth: 0 }
    }

    #[inline]
    pub(super) fn s(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A text, then a number.
    #[inline]
    pub(super) fn sd(&mut self, text: &str, n: impl Into<u64>) {
        self.s(text);
        num::decimal(self.out, n.into());
    }

    /// A text, then a length.
    #[inline]
    pub(super) fn len(&mut self, text: &str, n: usize) {
        self.s(text);
        num::decimal(self.out, n as u64);
    }

    /// A text, then `0x` and a number in hexadecimal.
    pub(super) fn sx(&mut self, text: &str, n: impl Into<u64>) {
        self.s(text);
        self.s("0x");
        num::hex(self.out, n.into());
    }

    /// A text, then `0x` and a number in hexadecimal of a fixed width.
    pub(super) fn sx_padded(&mut self, text: &str, n: impl Into<u64>, digits: u32) {
        self.s(text);
        self.s("0x");
        num::hex_padded(self.out, n.into(), digits);
    }

    pub(super) fn mac(&mut self, address: &[u8]) {
        num::mac(self.out, address);
    }

    pub(super) fn ip_address(&mut self, address: IpAddr) {
        num::ip(self.out, address);
    }

    /// Bytes of the packet, made harmless.
    pub(super) fn safe(&mut self, bytes: &[u8]) {
        num::safe(self.out, bytes);
    }

    pub(super) fn port(&mut self, port: u16, kind: PortKind) {
        if !self.opts.numeric
            && let Some(name) = self.state.services.name(port, kind)
        {
            self.out.extend_from_slice(name.as_bytes());
            return;
        }
        num::decimal(self.out, port.into());
    }

    /// `a.port > b.port: `, or only the ports if the addresses are printed already.
    pub(super) fn endpoints(&mut self, carrier: &Carrier, ports: Option<(u16, u16)>, kind: PortKind) {
        for (index, address) in [carrier.src, carrier.dst].into_iter().enumerate() {
            if index == 1 {
                self.s(" > ");
            }
            let port = ports.map(|(sport, dport)| if index == 0 { sport } else { dport });
            if !(carrier.addresses_shown && port.is_some()) {
                self.ip_address(address);
            }
            if let Some(port) = port {
                if !carrier.addresses_shown {
                    self.out.push(b'.');
                }
                self.port(port, kind);
            }
        }
        self.out.push(b':');
    }

    /// The mark of a layer that was cut off.
    pub(super) fn cut_mark(&mut self) {
        self.s(" [|");
        self.s(self.layer);
        self.s("]");
    }

    /// The bytes of a payload that nothing is known about; not with `-q`, and not if a dump follows anyway.
    pub(super) fn unknown(&mut self, part: Part<'_>) {
        if self.opts.dump == Dump::None && !self.opts.quiet {
            super::dump::hex_ascii(self.out, part.data);
        }
    }

    /// Runs a printer for a packet within this one, unless it is nested too deep.
    pub(super) fn nested(&mut self, print: impl FnOnce(&mut Self) -> Written) -> Written {
        if self.depth >= MOST_LAYERS {
            self.s("[nested too deep]");
            return Ok(());
        }
        self.depth += 1;
        let written = print(self);
        self.depth -= 1;
        written
    }
}

//! One line per packet, in the words of tcpdump 4.99 so that its users feel at home, or one JSON object per line.
//!
//! Nothing is allocated per packet apart from the growth of the caller's buffer. Bytes of a packet never reach the
//! output as control characters. Names are given to ports and protocols only (from `/etc/services` and a built-in
//! table, unless [`PrintOptions::numeric`]); addresses are never looked up in the DNS.
//!
//! Where the output differs from tcpdump's on purpose:
//! - TLS ClientHellos show their server name; HTTP start lines are shown on any port, and with `-v` too only they;
//! - of protocols that are not decoded here the name and length are shown (`STP, length 35`, `OSPFv2, Hello, length 44`);
//!   DHCP, NTP, LLDP, SCTP, PIM, VRRP, IGMP, DHCPv6 and ICMPv6 multicast reports have one line without details;
//! - payloads of UDP ports other than those of DNS, DHCP, NTP, VXLAN and Geneve are not looked at;
//! - DNS shows HTTPS, CAA, TLSA and other newer types by name, and the data of all types that it knows; a message over
//!   TCP is shown even if the segment holds more than one or begins one; a cut message always has its mark;
//! - rare TCP options (MD5, MPTCP, user timeout) and options of unusual length are shown in hexadecimal;
//! - ICMPv6 knows the newer codes of "destination unreachable", and wrong orders of IPv6 extension headers are shown
//!   rather than refused;
//! - where a packet is cut off within its headers, `-x` still leaves out the link header, and `-e` shows what there is of
//!   it.

mod app;
mod arp;
mod dns;
pub mod dump;
mod icmp;
mod ip;
pub(crate) mod json;
mod link;
mod minor;
pub mod num;
mod pen;
pub mod seq;
pub mod services;
mod tcp;
pub mod time;
mod tunnel;
mod udp;

use crate::file::Packet;
use pen::{Pen, State};
use services::Services;
use time::Clock;
pub use time::{LocalTime, TimeStyle, local_time};

/// Whether and how the bytes of a packet follow its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dump {
    /// Not at all.
    #[default]
    None,
    /// Hexadecimal (`-x`).
    Hex,
    /// Hexadecimal and characters (`-X`).
    HexAscii,
    /// Characters (`-A`).
    Ascii,
}

/// What is printed about a packet. The default is tcpdump's without options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrintOptions {
    /// The form of the time.
    pub time: TimeStyle,
    /// Nine digits after the second rather than six.
    pub nanos: bool,
    /// The link header too (`-e`).
    pub link: bool,
    /// The number of `-v` options: 0 to 3.
    pub verbose: u8,
    /// Less (`-q`).
    pub quiet: bool,
    /// Bytes after the line (`-x`, `-X`, `-A`).
    pub dump: Dump,
    /// With the link header in the dump (`-xx`, `-XX`, `-AA`).
    pub dump_link: bool,
    /// No names of ports and protocols (`-n`).
    pub numeric: bool,
    /// TCP sequence numbers as they are (`-S`).
    pub absolute_seq: bool,
    /// Do not verify checksums (`-K`).
    pub no_checksums: bool,
    /// One JSON object per packet instead of text; of the other options only `dump` (as `"data"`) and `numeric`
    /// count.
    pub json: bool,
}

/// Prints packets. It remembers TCP conversations, the time of the packet before, and the names of ports.
#[derive(Debug)]
pub struct Printer {
    options: PrintOptions,
    clock: Clock,
    state: State,
}

impl Printer {
    /// A printer with options.
    ///
    /// ```
    /// use skep_packet::print::{PrintOptions, Printer, TimeStyle};
    /// use skep_packet::{LinkType, Packet, Timestamp};
    ///
    /// let mut printer = Printer::new(PrintOptions { time: TimeStyle::Off, ..PrintOptions::default() });
    /// let bytes = [
    ///     0x45, 0, 0, 30, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
    ///     0x20, 0, 0x30, 0, 0, 10, 0, 0, 1, 2, // UDP
    /// ];
    /// let mut out = Vec::new();
    /// printer.line(&mut out, &Packet::new(Timestamp(0), &bytes, 30, LinkType::RAW));
    /// assert_eq!(out, b"IP 10.0.0.1.8192 > 10.0.0.2.12288: UDP, length 2\n");
    /// ```
    #[must_use]
    pub fn new(options: PrintOptions) -> Self {
        Self { options, clock: Clock::new(options.time, options.nanos), state: State::default() }
    }

    /// The options that it was made with.
    #[must_use]
    pub fn options(&self) -> &PrintOptions {
        &self.options
    }

    /// Uses these names of ports instead of those of `/etc/services`.
    pub fn set_services(&mut self, services: Services) {
        self.state.services = services;
    }

    /// Gives a name to an interface number, for captures on all interfaces.
    pub fn set_interface_name(&mut self, ifindex: u32, name: &str) {
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        self.state.interfaces.insert(ifindex, name);
    }

    /// Appends the line of a packet with its line end, and its dump if the options ask for one.
    pub fn line(&mut self, out: &mut Vec<u8>, packet: &Packet<'_>) {
        if self.options.json {
            json::object(out, packet, &self.options, &mut self.state);
            out.push(b'\n');
            return;
        }
        self.clock.write(out, packet.ts);
        if packet.data.is_empty() {
            out.extend_from_slice(b"[Invalid header: caplen==0, len==");
            num::decimal(out, packet.orig_len.into());
            out.extend_from_slice(b"]\n");
            return;
        }
        let mut pen = Pen::new(out, &self.options, &mut self.state);
        pen.packet(packet);
        let skip = if self.options.dump_link { 0 } else { pen.header_len };
        let rest = packet.data.get(skip..).unwrap_or_default();
        match self.options.dump {
            Dump::None => {}
            Dump::Hex => dump::hex(out, rest),
            Dump::HexAscii => dump::hex_ascii(out, rest),
            Dump::Ascii if rest.is_empty() => {}
            Dump::Ascii => dump::ascii(out, rest),
        }
        out.push(b'\n');
    }
}

//! TCP.

use super::ip::{right_checksum, transport_checksum};
use super::num;
use super::pen::{Carrier, Pen, Written};
use super::seq::Base;
use super::services::PortKind;
use crate::decode::transport::{TcpError, TcpOption};
use crate::decode::{Cut, Part, Tcp};
use skep_proto::numbers::{ip_proto, port, tcp_flag};

impl Pen<'_> {
    pub(super) fn tcp(&mut self, part: Part<'_>, carrier: &Carrier) -> Written {
        self.layer = "tcp";
        let (Ok(sport), Ok(dport)) = (part.be16(0), part.be16(2)) else {
            self.endpoints(carrier, None, PortKind::Tcp);
            return Err(Cut);
        };
        self.endpoints(carrier, Some((sport, dport)), PortKind::Tcp);
        self.s(" ");
        let tcp = match Tcp::parse(part) {
            Ok(tcp) => tcp,
            Err(TcpError::Cut) => return Err(Cut),
            Err(TcpError::TooShort(length)) => {
                self.len(" tcp ", part.len.saturating_sub(length));
                self.len(" [bad hdr length ", length);
                self.s(" - too short, < 20]");
                return Ok(());
            }
            Err(TcpError::TooLong(length)) => return self.tcp_too_long(part, length, carrier, (sport, dport)),
        };
        if self.opts.quiet {
            self.len("tcp ", tcp.payload.len);
            return Ok(());
        }
        self.tcp_flags(tcp.flags);
        let base = self.tcp_base(carrier, (sport, dport), (tcp.seq, tcp.ack), tcp.flags);
        if self.opts.verbose > 0 && !self.opts.no_checksums && !carrier.fragmented && part.is_whole() {
            let result = transport_checksum(carrier, ip_proto::TCP, part.data);
            self.sx_padded(", cksum ", tcp.checksum, 4);
            if result == 0 {
                self.s(" (correct)");
            } else {
                self.sx_padded(" (incorrect -> ", right_checksum(tcp.checksum, result), 4);
                self.s(")");
            }
        }
        let length = tcp.payload.len;
        let marks = tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST;
        if self.opts.verbose > 1 || length > 0 || tcp.flags & marks != 0 {
            let seq = tcp.seq.wrapping_sub(base.seq);
            self.sd(", seq ", seq);
            if length > 0 {
                self.sd(":", seq.wrapping_add(length as u32));
            }
        }
        if tcp.flags & tcp_flag::ACK != 0 {
            self.sd(", ack ", tcp.ack.wrapping_sub(base.ack));
        }
        self.sd(", win ", tcp.window);
        if tcp.flags & tcp_flag::URG != 0 {
            self.sd(", urg ", tcp.urgent);
        }
        if tcp.header_len > 20 && !self.tcp_options(&tcp, base)? {
            return Ok(());
        }
        self.len(", length ", length);
        if length == 0 { Ok(()) } else { self.tcp_payload(&tcp) }
    }

    fn tcp_too_long(&mut self, part: Part<'_>, length: usize, carrier: &Carrier, ports: (u16, u16)) -> Written {
        if self.opts.quiet {
            // tcpdump subtracts without looking; a length that wraps helps nobody.
            self.s("tcp 0");
        } else {
            let flags = part.u8(13)?;
            self.tcp_flags(flags);
            // The numbers count for the packets that follow.
            self.tcp_base(carrier, ports, (part.be32(4)?, part.be32(8)?), flags);
        }
        self.len(" [bad hdr length ", length);
        self.len(" - too long, > ", part.len);
        self.s("]");
        Ok(())
    }

    fn tcp_flags(&mut self, flags: u8) {
        self.s("Flags [");
        if flags == 0 {
            self.s("none");
        }
        for row in tcp_flag::TABLE {
            if u32::from(flags) & row.number != 0 {
                self.s(row.name);
            }
        }
        self.s("]");
    }

    /// What to subtract from the numbers: packets without ACK, and the first of a conversation, are shown as they are.
    fn tcp_base(&mut self, carrier: &Carrier, ports: (u16, u16), numbers: (u32, u32), flags: u8) -> Base {
        if self.opts.absolute_seq || flags & tcp_flag::ACK == 0 {
            return Base::default();
        }
        let (src, dst) = ((carrier.src, ports.0), (carrier.dst, ports.1));
        self.state.seqs.base(src, dst, numbers.0, numbers.1, flags & tcp_flag::SYN != 0)
    }

    /// The options; `false` if one is bad and the line ends there.
    fn tcp_options(&mut self, tcp: &Tcp<'_>, base: Base) -> Result<bool, Cut> {
        self.s(", options [");
        let mut separator = "";
        for option in tcp.options() {
            self.s(separator);
            match option {
                TcpOption::End => self.s("eol"),
                TcpOption::Nop => self.s("nop"),
                TcpOption::Mss(size) => self.sd("mss ", size),
                TcpOption::WindowScale(shift) => self.sd("wscale ", shift),
                TcpOption::SackPermitted => self.s("sackOK"),
                TcpOption::Sack(blocks) => self.sack(blocks, base),
                TcpOption::Timestamps(value, echo) => {
                    self.sd("TS val ", value);
                    self.sd(" ecr ", echo);
                }
                TcpOption::Other(kind, body) => self.tcp_other_option(kind, body),
                TcpOption::Bad(_) => {
                    self.s(if separator.is_empty() { "[bad opt]" } else { "[bad opt]]" });
                    return Ok(false);
                }
                TcpOption::Cut(_) => return Err(Cut),
            }
            separator = ",";
        }
        self.s("]");
        Ok(true)
    }

    fn sack(&mut self, blocks: &[u8], base: Base) {
        self.len("sack ", blocks.len() / 8);
        self.s(" ");
        for block in blocks.chunks_exact(8) {
            let edge = |at: usize| {
                u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]).wrapping_sub(base.sack)
            };
            self.sd("{", edge(0));
            self.sd(":", edge(4));
            self.s("}");
        }
    }

    fn tcp_other_option(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (34, []) => return self.s("tfo  cookiereq"),
            (34, cookie) if (4..=16).contains(&cookie.len()) => self.s("tfo  cookie "),
            (34, _) => return self.s("tfo  (invalid)"),
            (28, &[high, low]) => {
                self.sx("uto ", u16::from_be_bytes([high, low]));
                return;
            }
            (29, &[key, next, ref mac @ ..]) => {
                self.sd("tcp-ao keyid ", key);
                self.sd(" rnextkeyid ", next);
                if !mac.is_empty() {
                    self.s(" mac 0x");
                    num::hex_bytes(self.out, mac);
                }
                return;
            }
            (30, _) => self.s("mptcp"),
            (253 | 254, &[high, low, ref rest @ ..]) => {
                self.s("exp-");
                num::hex_bytes(self.out, &[high, low]);
                if rest.is_empty() {
                    return;
                }
                self.s(" 0x");
                num::hex_bytes(self.out, rest);
                return;
            }
            (2, _) => self.s("mss"),
            (3, _) => self.s("wscale"),
            (4, _) => self.s("sackOK"),
            (5, _) => return self.s("sack invalid sack"),
            (8, _) => self.s("TS"),
            (19, _) => self.s("md5"),
            (29, _) => self.s("tcp-ao"),
            _ => self.sd("unknown-", kind),
        }
        if kind == 34 {
            num::hex_bytes(self.out, body);
        } else if !body.is_empty() {
            self.s(" 0x");
            num::hex_bytes(self.out, body);
        }
    }

    /// Some systems say in words why they reset a connection (RFC 9293, 3.5.3).
    fn reset_text(&mut self, payload: Part<'_>) {
        const MOST: usize = 30;
        if self.opts.verbose > 0 {
            let shown = payload.limit(MOST);
            self.s(if payload.is_whole() { " [RST" } else { " [!RST" });
            self.s(if payload.len > MOST { "+ " } else { " " });
            self.safe(shown.data);
            self.s("]");
        }
    }

    fn tcp_payload(&mut self, tcp: &Tcp<'_>) -> Written {
        let either = |known: u16| tcp.sport == known || tcp.dport == known;
        if tcp.flags & tcp_flag::RST != 0 {
            self.reset_text(tcp.payload);
            return Ok(());
        }
        if either(port::DNS) {
            return self.dns_stream(tcp.payload);
        }
        self.stream_payload(tcp.payload, either(port::HTTP) || either(8080) || either(3128), either(port::SSH))
    }
}

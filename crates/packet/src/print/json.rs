//! One JSON object per packet, with typed fields. Fields that a packet does not have are left out.
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `ts` | number | seconds since 1970, with nine digits |
//! | `len`, `caplen` | number | bytes on the wire, bytes captured |
//! | `link` | string | name of the link type |
//! | `interface`, `direction` | string | where known: `in`, `out`, `broadcast`, `multicast`, `other` |
//! | `eth` | object | `src`, `dst` |
//! | `vlan` | array | identifiers, outermost first |
//! | `mpls`, `pppoe` | number | first label, session |
//! | `ethertype` | number | of the network layer |
//! | `arp` | object | `op`, `src`, `src_mac`, `dst`, `dst_mac` |
//! | `ip` | object | `version`, `src`, `dst`, `proto`, `proto_name`, `ttl`, `tos`, `len`, `id`, `fragment` |
//! | `sport`, `dport` | number | |
//! | `tcp` | object | `flags`, `seq`, `ack`, `window`, `len` |
//! | `udp` | object | `len` |
//! | `icmp` | object | `type`, `code`, `id`, `seq` |
//! | `tunnel` | object | `kind`, `id`, and `ip`, `sport`, `dport` of the packet within |
//! | `dns` | object | see [`crate::dns::report`]; `error` if it is damaged |
//! | `tls_sni`, `http` | string | server name; start line |
//! | `error` | string | why decoding stopped |
//! | `data` | string | the bytes in hexadecimal, if a dump is asked for |

use super::num;
use super::pen::State;
use super::{Dump, PrintOptions};
use crate::decode::{Fault, Layers, Link, Net, Transport, app};
use crate::dns::report;
use crate::file::{Direction, Packet};
use skep_proto::numbers::{ip_protocol, port, tcp_flag};

/// Writes the members of one object: commas and names.
pub(crate) struct Object<'o> {
    pub(crate) out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    pub(crate) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(crate) fn number(&mut self, name: &str, value: impl Into<u64>) {
        num::decimal(self.key(name), value.into());
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn text(&mut self, name: &str, value: &[u8]) {
        num::json_string(self.key(name), value);
    }

    /// A string that `write` appends; it must not need escapes (addresses, numbers).
    pub(crate) fn plain(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.key(name);
        out.push(b'"');
        write(out);
        out.push(b'"');
    }

    pub(crate) fn object(&mut self, name: &str) -> Object<'_> {
        Object::new(self.key(name))
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}

/// Appends `seconds.nanoseconds`.
pub(crate) fn timestamp(out: &mut Vec<u8>, ts: crate::Timestamp) {
    if ts.0 < 0 {
        out.push(b'-');
    }
    let ns = ts.0.unsigned_abs();
    num::decimal(out, ns / 1_000_000_000);
    out.push(b'.');
    num::padded(out, ns % 1_000_000_000, 9);
}

pub(super) fn object(out: &mut Vec<u8>, packet: &Packet<'_>, opts: &PrintOptions, state: &mut State) {
    let layers = Layers::of(packet.link, packet.data, packet.orig_len);
    let mut o = Object::new(out);
    timestamp(o.key("ts"), packet.ts);
    o.number("len", packet.orig_len);
    o.number("caplen", packet.data.len() as u64);
    match packet.link.name() {
        Some(name) => o.text("link", name.as_bytes()),
        None => o.number("link", packet.link.0),
    }
    link(&mut o, packet, &layers, state);
    network(&mut o, &layers);
    transport(&mut o, &layers);
    if let Some((tunnel, inner)) = layers.inner() {
        let mut t = o.object("tunnel");
        t.text("kind", tunnel.name().as_bytes());
        use crate::decode::Tunnel;
        if let Tunnel::Gre(Some(id)) | Tunnel::Vxlan(id) | Tunnel::Geneve(id) = tunnel {
            t.number("id", id);
        }
        network(&mut t, &inner);
        if let Some((sport, dport)) = inner.ports() {
            t.number("sport", sport);
            t.number("dport", dport);
        }
        t.end();
    } else {
        application(&mut o, &layers);
    }
    if let Some(fault) = layers.fault {
        let (what, layer) = match fault {
            Fault::Cut(layer) => ("cut off in ", layer),
            Fault::Bad(layer) => ("bad ", layer),
        };
        o.plain("error", |out| {
            out.extend_from_slice(what.as_bytes());
            out.extend_from_slice(layer.as_bytes());
        });
    }
    if opts.dump != Dump::None {
        o.plain("data", |out| num::hex_bytes(out, packet.data));
    }
    o.end();
}

fn link(o: &mut Object<'_>, packet: &Packet<'_>, layers: &Layers<'_>, state: &State) {
    let mut direction = packet.direction.map(|direction| match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
    });
    let mut ifindex = packet.ifindex;
    match layers.link {
        Link::Ethernet { dst, src, .. } => {
            let mut eth = o.object("eth");
            eth.plain("src", |out| num::mac(out, &src));
            eth.plain("dst", |out| num::mac(out, &dst));
            eth.end();
        }
        Link::Cooked { packet_type, ifindex: index, address, .. } => {
            if index != 0 {
                ifindex = Some(index);
            }
            direction = ["in", "broadcast", "multicast", "other", "out"].get(usize::from(packet_type)).copied();
            if !address.is_empty() {
                let mut eth = o.object("eth");
                eth.plain("src", |out| num::mac(out, address));
                eth.end();
            }
        }
        Link::Wlan(head) => {
            let mut eth = o.object("eth");
            if let Some(source) = head.source() {
                eth.plain("src", |out| num::mac(out, &source));
            }
            eth.plain("dst", |out| num::mac(out, &head.destination()));
            eth.end();
            o.text("wlan", head.name().as_bytes());
        }
        _ => {}
    }
    if let Some(index) = ifindex {
        match state.interfaces.get(&index) {
            Some(name) => o.text("interface", name.as_bytes()),
            None => o.number("ifindex", index),
        }
    }
    if let Some(direction) = direction {
        o.text("direction", direction.as_bytes());
    }
    if !layers.vlans.tags().is_empty() {
        let out = o.key("vlan");
        out.push(b'[');
        for (index, tag) in layers.vlans.tags().iter().enumerate() {
            out.extend_from_slice(if index > 0 { b"," } else { b"" });
            num::decimal(out, u64::from(tag & 0xfff));
        }
        out.push(b']');
    }
    if let Some(label) = layers.mpls {
        o.number("mpls", label.label());
    }
    if let Some(session) = layers.pppoe {
        o.number("pppoe", session);
    }
}

fn network(o: &mut Object<'_>, layers: &Layers<'_>) {
    if let Some(ethertype) = layers.ethertype {
        o.number("ethertype", ethertype);
    }
    match layers.net {
        Net::None => return,
        Net::Arp(arp) => {
            let mut a = o.object("arp");
            a.number("op", arp.operation);
            let ends = [("src", "src_mac", arp.sender, arp.sender_mac), ("dst", "dst_mac", arp.target, arp.target_mac)];
            for (name, mac_name, address, mac) in ends {
                if let &[x, y, z, w] = address {
                    a.plain(name, |out| num::ipv4(out, &[x, y, z, w]));
                }
                a.plain(mac_name, |out| num::mac(out, mac));
            }
            a.end();
            return;
        }
        Net::V4(_) | Net::V6(_) => {}
    }
    let mut ip = o.object("ip");
    let (version, ttl, tos, len) = match layers.net {
        Net::V6(v6) => (6u8, v6.hop_limit, v6.class, u64::from(v6.payload_len) + 40),
        Net::V4(v4) => (4, v4.ttl, v4.tos, u64::from(v4.total_len)),
        Net::None | Net::Arp(_) => (0, 0, 0, 0),
    };
    ip.number("version", version);
    if let Some((src, dst)) = layers.addresses() {
        ip.plain("src", |out| num::ip(out, src));
        ip.plain("dst", |out| num::ip(out, dst));
    }
    if let Some(proto) = layers.proto {
        ip.number("proto", proto);
        if let Some(row) = ip_protocol(proto) {
            ip.text("proto_name", row.name.as_bytes());
        }
    }
    ip.number("ttl", ttl);
    ip.number("tos", tos);
    ip.number("len", len);
    if let Net::V4(v4) = layers.net {
        ip.number("id", v4.id);
    }
    if let Some((offset, more)) = layers.fragment {
        let mut fragment = ip.object("fragment");
        fragment.number("offset", offset as u64);
        fragment.flag("more", more);
        fragment.end();
    }
    ip.end();
}

fn transport(o: &mut Object<'_>, layers: &Layers<'_>) {
    if let Some((sport, dport)) = layers.ports() {
        o.number("sport", sport);
        o.number("dport", dport);
    }
    match layers.transport {
        Transport::Tcp(tcp) => {
            let mut t = o.object("tcp");
            t.plain("flags", |out| {
                for row in tcp_flag::TABLE.iter().filter(|row| u32::from(tcp.flags) & row.number != 0) {
                    out.extend_from_slice(row.name.as_bytes());
                }
            });
            t.number("seq", tcp.seq);
            t.number("ack", tcp.ack);
            t.number("window", tcp.window);
            t.number("len", tcp.payload.len as u64);
            t.end();
        }
        Transport::Udp(udp) => {
            let mut u = o.object("udp");
            u.number("len", udp.payload.len as u64);
            u.end();
        }
        Transport::Icmp(icmp) | Transport::Icmp6(icmp) => {
            let mut i = o.object("icmp");
            i.number("type", icmp.kind);
            i.number("code", icmp.code);
            let echo = match layers.transport {
                Transport::Icmp(_) => matches!(icmp.kind, 0 | 8),
                _ => matches!(icmp.kind, 128 | 129),
            };
            if let (true, Ok((id, seq))) = (echo, icmp.echo()) {
                i.number("id", id);
                i.number("seq", seq);
            }
            i.end();
        }
        Transport::Sctp(..) | Transport::None => {}
    }
}

fn application(o: &mut Object<'_>, layers: &Layers<'_>) {
    let dns_port = |ports: (u16, u16)| [port::DNS, port::MDNS].iter().any(|p| ports.0 == *p || ports.1 == *p);
    let Some(ports) = layers.ports() else { return };
    match layers.transport {
        Transport::Udp(udp) if dns_port(ports) => report::json_message(o, "dns", udp.payload.data),
        Transport::Tcp(tcp) if dns_port(ports) => {
            // The first message of a segment; the tracker sees all of them.
            if let Some(message) = crate::dns::message::split_stream(tcp.payload.data).0.next() {
                report::json_message(o, "dns", message);
            }
        }
        Transport::Tcp(tcp) => {
            if let Some(hello) = app::client_hello(tcp.payload)
                && let Some(name) = hello.server_name
            {
                o.text("tls_sni", name);
            } else if let Some(line) = app::http_start(tcp.payload.data) {
                o.text("http", line);
            }
        }
        _ => {}
    }
}

//! Socket addresses, messages and options.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::text::{Bytes, Style, address, end_array, quote};
use super::values::{flags, value};
use crate::program::layout::part;
use crate::record::{Chunk, View};
use crate::table::sets;

/// Writes a `sockaddr` of which these bytes are known.
pub fn sockaddr(bytes: &[u8], style: Style, out: &mut String) {
    let known = Bytes(bytes);
    let family = known.u16(0);
    out.push_str("{sa_family=");
    value("af", family.into(), out);
    match family {
        1 => unix(bytes.get(2..).unwrap_or_default(), style, out),
        2 if bytes.len() >= 8 => {
            let ip = Ipv4Addr::from([known.u8(4), known.u8(5), known.u8(6), known.u8(7)]);
            let _ = write!(out, ", sin_port=htons({}), sin_addr=inet_addr(\"{ip}\")", known.net16(2));
        }
        10 if bytes.len() >= 24 => {
            let ip: [u8; 16] = std::array::from_fn(|at| known.u8(8 + at));
            let flow = u32::from_be(known.u32(4));
            let _ = write!(
                out,
                ", sin6_port=htons({}), sin6_flowinfo=htonl({flow}), inet_pton(AF_INET6, \"{}\", &sin6_addr)",
                known.net16(2),
                Ipv6Addr::from(ip)
            );
            if bytes.len() >= 28 {
                let _ = write!(out, ", sin6_scope_id={}", known.u32(24));
            }
        }
        16 if bytes.len() >= 12 => {
            let _ = write!(out, ", nl_pid={}, nl_groups={:08x}", known.u32(4), known.u32(8));
        }
        17 if bytes.len() >= 12 => {
            let _ = write!(
                out,
                ", sll_protocol=htons({:#x}), sll_ifindex={}, sll_hatype={}, sll_pkttype={}, sll_halen={}",
                known.net16(2),
                known.i32(4),
                known.u16(8),
                known.u8(10),
                known.u8(11)
            );
        }
        _ if bytes.len() > 2 => {
            out.push_str(", sa_data=");
            quote(&bytes[2..], false, style, out);
        }
        _ => {}
    }
    out.push('}');
}

/// The path of a socket of the file system, or its abstract name.
fn unix(path: &[u8], style: Style, out: &mut String) {
    match path.split_first() {
        None => {}
        Some((0, name)) => {
            out.push_str(", sun_path=@");
            quote(name, false, style, out);
        }
        Some(_) => {
            out.push_str(", sun_path=");
            quote(Bytes(path).field(0, path.len()), false, style, out);
        }
    }
}

/// Writes the vector that argument `arg` is or has. The chunks come from `get`.
pub fn vector<'r>(at: u64, count: u64, get: &dyn Fn(u16) -> Option<Chunk<'r>>, style: Style, out: &mut String) {
    let Some(entries) = get(part::VECTOR).and_then(|chunk| chunk.bytes) else { return address(at, out) };
    out.push('[');
    let entries = entries.as_chunks::<16>().0;
    let entries = &entries[..entries.len().min(style.elements())];
    for (number, entry) in entries.iter().enumerate() {
        let entry = Bytes(entry);
        out.push_str(if number == 0 { "{iov_base=" } else { ", {iov_base=" });
        match get(number as u16).map(|chunk| (chunk.bytes, chunk.full)) {
            Some((Some(bytes), full)) if entry.u64(0) != 0 => {
                let shown = &bytes[..bytes.len().min(style.most)];
                quote(shown, full > shown.len() as u64, style, out);
            }
            _ => address(entry.u64(0), out),
        }
        let _ = write!(out, ", iov_len={}}}", entry.u64(8));
    }
    end_array(entries.len(), count, out);
}

/// Writes the message that argument `arg` points to. `old` is the length of the name before the call.
pub fn message(view: &View<'_>, arg: usize, end: bool, old: Option<i32>, style: Style, out: &mut String) {
    let get = |number| if end { view.after(arg, number) } else { view.before(arg, number) };
    let Some(head) = get(part::WHOLE).and_then(|chunk| chunk.bytes).map(Bytes) else {
        return address(view.arg(arg), out);
    };
    out.push_str("{msg_name=");
    match get(part::NAME).and_then(|chunk| chunk.bytes) {
        Some(name) if !name.is_empty() => sockaddr(name, style, out),
        _ => address(head.u64(0), out),
    }
    let _ = match (head.i32(8), old) {
        (new, Some(old)) if old != new => write!(out, ", msg_namelen={old} => {new}"),
        (new, _) => write!(out, ", msg_namelen={new}"),
    };
    out.push_str(", msg_iov=");
    match head.u64(16) {
        0 => out.push_str("NULL"),
        at => vector(at, head.u64(24), &get, style, out),
    }
    let _ = write!(out, ", msg_iovlen={}", head.u64(24));
    let length = head.u64(40);
    if length > 0 || head.u64(32) != 0 && !end {
        out.push_str(", msg_control=");
        match get(part::CONTROL).and_then(|chunk| chunk.bytes) {
            Some(bytes) if length > 0 => control(bytes, length, style, out),
            _ => address(head.u64(32), out),
        }
    }
    let _ = write!(out, ", msg_controllen={length}, msg_flags=");
    flags("msg", head.u32(48).into(), out);
    out.push('}');
}

/// Writes control data.
fn control(bytes: &[u8], full: u64, style: Style, out: &mut String) {
    const HEAD: usize = 16;
    out.push('[');
    let (mut at, mut separator) = (0, "");
    while at + HEAD <= bytes.len() {
        let one = Bytes(&bytes[at..]);
        let length = usize::try_from(one.u64(0)).unwrap_or(usize::MAX);
        let (level, kind) = (one.u32(8), one.u32(12));
        let _ = write!(out, "{separator}{{cmsg_len={length}, cmsg_level=");
        value("sol", level.into(), out);
        out.push_str(", cmsg_type=");
        let socket = level == 1;
        if socket {
            value("scm", kind.into(), out)
        } else {
            let _ = write!(out, "{kind:#x}");
        }
        let data = &bytes[at + HEAD..];
        let data = &data[..data.len().min(length.saturating_sub(HEAD))];
        if !data.is_empty() {
            out.push_str(", cmsg_data=");
            control_data(data, socket, kind, style, out);
        }
        out.push('}');
        separator = ", ";
        let Some(next) = length.max(HEAD).checked_next_multiple_of(8).and_then(|step| at.checked_add(step)) else {
            break;
        };
        at = next;
    }
    if at < bytes.len() || full > bytes.len() as u64 {
        out.push_str(", ...");
    }
    out.push(']');
}

fn control_data(data: &[u8], socket: bool, kind: u32, style: Style, out: &mut String) {
    let known = Bytes(data);
    match (socket, kind) {
        (true, 1) => {
            let fds: Vec<String> = (0..data.len() / 4).map(|number| known.i32(4 * number).to_string()).collect();
            let _ = write!(out, "[{}]", fds.join(", "));
        }
        (true, 2) if data.len() >= 12 => {
            let _ = write!(out, "{{pid={}, uid={}, gid={}}}", known.i32(0), known.u32(4), known.u32(8));
        }
        _ => quote(data, false, style, out),
    }
}

// TABLE: sets that name the options of a level.
const LEVELS: &[(u64, &str)] = &[
    (0, "ip"),
    (1, "so"),
    (6, "tcp"),
    (0x11, "sol_udp"),
    (0x29, "ipv6"),
    (0x84, "sol_sctp"),
    (0xff, "sol_raw"),
    (0x100, "sol_ipx"),
    (0x101, "sol_ax25"),
    (0x107, "sol_packet"),
    (0x10a, "sol_irda"),
    (0x10c, "sol_llc"),
    (0x10d, "sol_dccp"),
    (0x10e, "sol_netlink"),
    (0x10f, "sol_tipc"),
    (0x110, "sol_rxrpc"),
    (0x111, "sol_pppol2tp"),
    (0x112, "sol_bluetooth"),
    (0x113, "sol_pnpipe"),
    (0x114, "sol_rds"),
    (0x115, "sol_iucv"),
    (0x116, "sol_caif"),
    (0x117, "sol_alg"),
    (0x118, "sol_nfc"),
    (0x119, "sol_kcm"),
    (0x11a, "sol_tls"),
    (0x11b, "sol_xdp"),
];

// TABLE: options that have another meaning when they are set than when they are asked for; nothing if they have none.
const WHEN_SET: &[(u64, u64, &str)] = &[
    (0, 64, "IPT_SO_SET_REPLACE"),
    (0, 65, "IPT_SO_SET_ADD_COUNTERS"),
    (0, 66, ""),
    (0, 67, ""),
    (0, 96, "ARPT_SO_SET_REPLACE"),
    (0, 97, "ARPT_SO_SET_ADD_COUNTERS"),
    (0, 99, ""),
    (0, 128, "EBT_SO_SET_ENTRIES"),
    (0, 129, "EBT_SO_SET_COUNTERS"),
    (0, 130, ""),
    (0, 131, ""),
    (1, 26, "SO_ATTACH_FILTER"),
    (0x29, 64, "IP6T_SO_SET_REPLACE"),
    (0x29, 65, "IP6T_SO_SET_ADD_COUNTERS"),
    (0x29, 68, ""),
    (0x29, 69, ""),
];

/// Writes an option of a level that is asked for or set.
pub fn option_name(level: u64, option: u64, is_set: bool, out: &mut String) {
    let (level, option) = (level & 0xffff_ffff, option & 0xffff_ffff);
    let set = LEVELS.iter().find(|row| row.0 == level).and_then(|row| sets::find(row.1));
    let Some(set) = set else {
        // Writing to a string succeeds.
        let _ = write!(out, "{option}");
        return;
    };
    match WHEN_SET.iter().find(|row| is_set && row.0 == level && row.1 == option) {
        Some((_, _, "")) => drop(write!(out, "{option:#x} /* {} */", set.unknown)),
        Some((_, _, name)) => out.push_str(name),
        None => set.value(option, out),
    }
}

// TABLE: sets that name the protocols of a family.
const PROTOCOLS: &[(u64, &str)] = &[
    (2, "ipproto"),
    (3, "ax25"),
    (10, "ipproto"),
    (16, "netlink"),
    (17, "ethernet"),
    (29, "can"),
    (31, "bluetooth"),
    (33, "af"),
    (34, "isdn"),
    (35, "phonet"),
    (37, "caif"),
    (39, "nfc"),
    (41, "kcm"),
    (43, "smc"),
];

/// Writes the protocol of a socket of a family.
pub fn protocol(family: u64, raw: u64, out: &mut String) {
    let set = PROTOCOLS.iter().find(|row| row.0 == family & 0xffff_ffff).and_then(|row| sets::find(row.1));
    let number = raw & 0xffff_ffff;
    match set.map(|set| (set, set.name)) {
        None => drop(write!(out, "{raw}")),
        Some((set, "ethernet")) => {
            out.push_str("htons(");
            set.value(u16::from_be(number as u16).into(), out);
            out.push(')');
        }
        Some((set, "ax25")) => drop(write!(out, "{number:#x} /* {} */", set.name_of(number).unwrap_or(set.unknown))),
        Some((set, _)) => set.value(number, out),
    }
}

/// Writes the value of an option: a number in brackets, or what is known about some options.
pub fn option(level: u64, name: u64, bytes: &[u8], full: u64, style: Style, out: &mut String) {
    let known = Bytes(bytes);
    match (level & 0xffff_ffff, name & 0xffff_ffff, bytes.len()) {
        // SO_LINGER
        (1, 13, 8) => drop(write!(out, "{{l_onoff={}, l_linger={}}}", known.i32(0), known.i32(4))),
        // SO_RCVTIMEO, SO_SNDTIMEO
        (1, 20 | 21, 16) => super::values::timeval(known, style, out),
        // SO_PEERCRED
        (1, 17, 12) => {
            let _ = write!(out, "{{pid={}, uid={}, gid={}}}", known.i32(0), known.i32(4), known.i32(8));
        }
        // SO_ERROR
        (1, 4, 4) => {
            let error = u16::try_from(known.i32(0)).ok().filter(|error| *error != 0).and_then(skep_isa::errno::name);
            match error {
                Some(error) => drop(write!(out, "[{error}]")),
                None => drop(write!(out, "[{}]", known.i32(0))),
            }
        }
        // IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP
        (0, 35 | 36, 8) => {
            let ip = |at: usize| Ipv4Addr::from([known.u8(at), known.u8(at + 1), known.u8(at + 2), known.u8(at + 3)]);
            let (group, interface) = (ip(0), ip(4));
            let _ = write!(out, "{{imr_multiaddr=inet_addr(\"{group}\"), imr_interface=inet_addr(\"{interface}\")}}");
        }
        (_, _, 4) => drop(write!(out, "[{}]", known.i32(0))),
        _ => {
            let shown = &bytes[..bytes.len().min(style.most)];
            quote(shown, full > shown.len() as u64, style, out);
        }
    }
}

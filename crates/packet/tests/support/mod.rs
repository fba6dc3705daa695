//! Builds capture files of every variant by hand, and runs the other programs that tests compare with.
#![allow(dead_code, missing_docs)]

use std::process::Command;

use skep_packet::{Direction, FileError, LinkType, Reader};

/// A packet that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    pub ts: i64,
    pub data: Vec<u8>,
    pub orig_len: u32,
    pub link: LinkType,
    pub direction: Option<Direction>,
}

impl Owned {
    pub fn new(ts: i64, data: &[u8]) -> Self {
        Self { ts, data: data.to_vec(), orig_len: data.len() as u32, link: LinkType::EN10MB, direction: None }
    }
}

/// A few packets of different lengths, odd ones too, whose times have no more than microseconds.
pub fn sample() -> Vec<Owned> {
    let base = 1_700_000_000_000_000_000;
    [60usize, 14, 61, 0, 1, 200, 63]
        .iter()
        .enumerate()
        .map(|(i, len)| {
            let data: Vec<u8> = (0..*len).map(|at| (at * 7 + i) as u8).collect();
            let mut owned = Owned::new(base + i as i64 * 1_234_567_000, &data);
            owned.orig_len += (i as u32 % 3) * 100;
            owned
        })
        .collect()
}

/// Everything a reader delivers, and how it ended.
pub fn drain(reader: &mut Reader) -> (Vec<Owned>, Option<FileError>) {
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(p)) => packets.push(Owned {
                ts: p.ts.0,
                data: p.data.to_vec(),
                orig_len: p.orig_len,
                link: p.link,
                direction: p.direction,
            }),
            Ok(None) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

pub fn read_bytes(bytes: &[u8]) -> (Vec<Owned>, Option<FileError>) {
    match Reader::from_stream(std::io::Cursor::new(bytes.to_vec()), "test") {
        Ok(mut reader) => drain(&mut reader),
        Err(error) => (Vec::new(), Some(error)),
    }
}

/// Numbers in one byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Little,
    Big,
}

impl Order {
    pub const BOTH: [Self; 2] = [Self::Little, Self::Big];

    pub fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    pub fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }

    pub fn u64(self, value: u64) -> [u8; 8] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
}

pub const MICRO: u32 = 0xa1b2_c3d4;
pub const NANO: u32 = 0xa1b2_3c4d;
pub const KUZNETZOV: u32 = 0xa1b2_cd34;

pub fn pcap_header(order: Order, magic: u32, version: (u16, u16), snaplen: u32, link: u32) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(order.u32(magic));
    out.extend(order.u16(version.0));
    out.extend(order.u16(version.1));
    out.extend([0; 8]);
    out.extend(order.u32(snaplen));
    out.extend(order.u32(link));
    out
}

pub fn pcap_record(order: Order, seconds: u32, fraction: u32, first: u32, second: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [seconds, fraction, first, second] {
        out.extend(order.u32(word));
    }
    out.extend(data);
    out
}

/// A whole pcap file of these packets.
pub fn pcap(order: Order, magic: u32, version: (u16, u16), packets: &[Owned]) -> Vec<u8> {
    let mut out = pcap_header(order, magic, version, 262_144, 1);
    for p in packets {
        let fraction = (p.ts % 1_000_000_000) / if magic == NANO { 1 } else { 1000 };
        let (captured, orig) = (p.data.len() as u32, p.orig_len);
        let swapped = version.1 < 3;
        let (first, second) = if swapped { (orig, captured) } else { (captured, orig) };
        out.extend(pcap_record(order, (p.ts / 1_000_000_000) as u32, fraction as u32, first, second, &[]));
        if magic == KUZNETZOV {
            out.extend(order.u32(7));
            out.extend(order.u16(0x0800));
            out.extend([if p.direction == Some(Direction::Outbound) { 4 } else { 0 }, 0]);
        }
        out.extend(&p.data);
    }
    out
}

pub fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(order.u16(code));
    out.extend(order.u16(value.len() as u16));
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

pub fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (12 + body.len().next_multiple_of(4)) as u32;
    let mut out = Vec::new();
    out.extend(order.u32(kind));
    out.extend(order.u32(length));
    out.extend(body);
    out.resize(length as usize - 4, 0);
    out.extend(order.u32(length));
    out
}

pub fn section(order: Order) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(order.u32(0x1a2b_3c4d));
    body.extend(order.u16(1));
    body.extend(order.u16(0));
    body.extend(order.u64(u64::MAX));
    body.extend(option(order, 1, b"a comment"));
    body.extend(option(order, 0, b""));
    block(order, 0x0a0d_0d0a, &body)
}

pub fn interface(order: Order, link: u16, snaplen: u32, options: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(order.u16(link));
    body.extend(order.u16(0));
    body.extend(order.u32(snaplen));
    options.iter().for_each(|o| body.extend(o));
    block(order, 1, &body)
}

/// An enhanced packet block.
pub fn enhanced(order: Order, id: u32, ticks: u64, p: &Owned) -> Vec<u8> {
    let mut body = Vec::new();
    for word in [id, (ticks >> 32) as u32, ticks as u32, p.data.len() as u32, p.orig_len] {
        body.extend(order.u32(word));
    }
    body.extend(&p.data);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(option(order, 1, b"a remark"));
    if let Some(direction) = p.direction {
        let flags = if direction == Direction::Inbound { 1 } else { 2 };
        body.extend(option(order, 2, &order.u32(flags)));
    }
    body.extend(option(order, 0, b""));
    block(order, 6, &body)
}

/// A whole pcapng file of these packets with microseconds and one interface.
pub fn pcapng(order: Order, packets: &[Owned]) -> Vec<u8> {
    let mut out = section(order);
    out.extend(interface(order, 1, 0, &[option(order, 2, b"eth0")]));
    // A name resolution block, which holds no packet.
    out.extend(block(order, 4, &option(order, 0, b"")));
    for p in packets {
        out.extend(enhanced(order, 0, (p.ts / 1000) as u64, p));
    }
    out
}

/// Runs another program: standard output, or `None` with a note if it is not installed.
pub fn tool(program: &str, args: &[&str]) -> Option<std::process::Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

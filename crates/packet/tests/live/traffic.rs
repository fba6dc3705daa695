//! Counting: what the filter lets through is captured, once, in order, and nothing else.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use skep_isa::classic::{Insn, JmpOp, Size};
use skep_kernel::{KernelError, attach_classic};
use skep_packet::ring::{Capture, CaptureOptions, Directions, InstallError, InterfaceChoice, LivePacket, Wait};
use skep_packet::{Direction, LinkType};

use crate::net::{ADDRESS, ADDRESS6, CABLE, MAC, Net};

/// Accepts UDP packets over IPv4 and IPv6 to a port; `network` is where the network header starts. No fragments.
pub fn udp_to(port: u16, network: u32, protocol: Insn) -> Vec<Insn> {
    let port = u32::from(port);
    vec![
        protocol,
        Insn::jump_k(JmpOp::Eq, 0x86dd, 0, 4),
        Insn::ld_abs(Size::Byte, network + 6),
        Insn::jump_k(JmpOp::Eq, 17, 0, 9),
        Insn::ld_abs(Size::Half, network + 42),
        Insn::jump_k(JmpOp::Eq, port, 6, 7),
        Insn::jump_k(JmpOp::Eq, 0x0800, 0, 6),
        Insn::ld_abs(Size::Byte, network + 9),
        Insn::jump_k(JmpOp::Eq, 17, 0, 4),
        Insn::ldx_msh(network),
        Insn::ld_ind(Size::Half, network + 2),
        Insn::jump_k(JmpOp::Eq, port, 0, 1),
        Insn::ret_k(262_144),
        Insn::ret_k(0),
    ]
}

/// The same for Ethernet.
pub fn ethernet_udp_to(port: u16) -> Vec<Insn> {
    udp_to(port, 14, Insn::ld_abs(Size::Half, 12))
}

pub fn options() -> CaptureOptions {
    let mut options = CaptureOptions::new(InterfaceChoice::Named(CABLE.to_owned()));
    options.delay = Duration::from_millis(10);
    options
}

/// A capture on the cable with this filter.
#[track_caller]
pub fn capture(options: &CaptureOptions, filter: &[Insn]) -> Capture {
    let mut capture = Capture::open(options).unwrap();
    capture.install(|socket| attach_classic(socket, filter)).unwrap();
    capture
}

/// Hands every packet to `each`, until none came for a while. Returns their number.
#[track_caller]
pub fn read_all(capture: &mut Capture, mut each: impl FnMut(LivePacket<'_>)) -> u64 {
    let mut count = 0;
    while capture.wait(Some(Duration::from_millis(300))).unwrap() == Wait::Ready {
        while let Some(packet) = capture.next_packet().unwrap() {
            each(packet);
            count += 1;
        }
    }
    count
}

/// Sends numbered datagrams to a port of the other side; IPv4 and IPv6 in turn.
pub fn send_numbered(from: usize, port: u16, numbers: std::ops::Range<u32>) {
    let v4 = UdpSocket::bind((ADDRESS[from], 0)).unwrap();
    let v6 = UdpSocket::bind((ADDRESS6[from], 0)).unwrap();
    let to4 = SocketAddr::new(IpAddr::V4(ADDRESS[1 - from].parse::<Ipv4Addr>().unwrap()), port);
    let to6 = SocketAddr::new(IpAddr::V6(ADDRESS6[1 - from].parse::<Ipv6Addr>().unwrap()), port);
    for number in numbers {
        let (socket, to) = if number % 2 == 0 { (&v4, to4) } else { (&v6, to6) };
        // A closed port answers, and the answer makes the next call fail: that is no failure to send.
        while socket.send_to(&number.to_be_bytes(), to).is_err() {}
    }
}

#[test]
fn filtered_udp_is_counted_exactly() {
    let Some(net) = Net::new() else { return };
    let mut capture = net.inside(0, || capture(&options(), &ethernet_udp_to(4242)));
    assert_eq!(capture.link(), LinkType::EN10MB);
    let index = capture.interface().index;
    net.inside(1, || {
        for start in (0..1000).step_by(100) {
            send_numbered(1, 4242, start..start + 100);
            send_numbered(1, 4243, 0..50);
        }
    });
    let mut expected = 0u32;
    let mut last = 0;
    let count = read_all(&mut capture, |packet| {
        let (_, number) = packet.data.split_at(packet.data.len() - 4);
        assert_eq!(number, expected.to_be_bytes());
        let length = if expected.is_multiple_of(2) { 14 + 20 + 8 + 4 } else { 14 + 40 + 8 + 4 };
        assert_eq!((packet.data.len(), packet.orig_len), (length, length as u32));
        assert_eq!(packet.data[..12], [MAC[0], MAC[1]].concat());
        assert_eq!((packet.ifindex, packet.packet_type, packet.vlan), (index, 0, None));
        assert_eq!(packet.protocol, if expected.is_multiple_of(2) { 0x0800 } else { 0x86dd });
        assert_eq!(packet.to_packet().direction, Some(Direction::Inbound));
        assert!(packet.ts.0 >= last, "time goes on");
        last = packet.ts.0;
        expected += 1;
    });
    assert_eq!(count, 1000);
    let stats = capture.stats().unwrap();
    assert_eq!((stats.captured, stats.received, stats.dropped, stats.ignored), (1000, 1000, 0, 0));
}

#[test]
fn nothing_slips_through_before_the_filter() {
    let Some(net) = Net::new() else { return };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            net.inside(1, || {
                while !done.load(Ordering::Relaxed) {
                    send_numbered(1, 9, 0..10);
                    std::thread::sleep(Duration::from_micros(200));
                }
            });
        });
        for _ in 0..5 {
            let mut capture = net.inside(0, || Capture::open(&options()).unwrap());
            std::thread::sleep(Duration::from_millis(20));
            capture.install(|socket| attach_classic(socket, &ethernet_udp_to(4242))).unwrap();
            net.inside(1, || send_numbered(1, 4242, 0..100));
            let mut count = 0;
            while count < 100 {
                assert_eq!(capture.wait(Some(Duration::from_secs(5))).unwrap(), Wait::Ready);
                while let Some(packet) = capture.next_packet().unwrap() {
                    assert_eq!(packet.data[packet.data.len() - 10..][..2], 4242u16.to_be_bytes()[..], "{packet:?}");
                    count += 1;
                }
            }
            assert_eq!(capture.stats().unwrap().received, 100);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn replacing_a_filter_leaves_nothing_of_the_old_one() {
    let Some(net) = Net::new() else { return };
    let mut capture = net.inside(0, || capture(&options(), &ethernet_udp_to(1000)));
    net.inside(1, || send_numbered(1, 1000, 0..64));
    capture.install(|socket| attach_classic(socket, &ethernet_udp_to(2000))).unwrap();
    net.inside(1, || {
        send_numbered(1, 1000, 0..64);
        send_numbered(1, 2000, 100..120);
    });
    let mut expected = 100u32;
    read_all(&mut capture, |packet| {
        assert_eq!(packet.data[packet.data.len() - 4..], expected.to_be_bytes());
        expected += 1;
    });
    assert_eq!(expected, 120);

    // A program that the kernel refuses leaves the capture closed, not open.
    let refused = capture.install(|socket| attach_classic(socket, &[Insn::ld_mem(0), Insn::ret_a()]));
    assert!(matches!(refused, Err(InstallError::Attach(KernelError::Program(_)))), "{refused:?}");
    net.inside(1, || send_numbered(1, 2000, 0..10));
    assert_eq!(read_all(&mut capture, |_| {}), 0);
    capture.accept_all().unwrap();
    net.inside(1, || send_numbered(1, 7, 0..10));
    assert!(read_all(&mut capture, |_| {}) >= 10);
}

#[test]
fn drops_are_counted() {
    const SENT: u32 = 6000;
    let Some(net) = Net::new() else { return };
    let mut options = options();
    options.buffer = 0;
    let mut capture = net.inside(0, || capture(&options, &ethernet_udp_to(4242)));
    // Two blocks of 64 KiB hold about a thousand of these; nobody reads meanwhile.
    net.inside(1, || send_numbered(1, 4242, 0..SENT));
    let before = capture.stats().unwrap();
    assert!(before.dropped > 0, "{before:?}");
    let count = read_all(&mut capture, |_| {});
    let stats = capture.stats().unwrap();
    assert_eq!(stats.received, u64::from(SENT));
    assert_eq!(stats.captured, count);
    assert_eq!(stats.captured + stats.dropped, stats.received, "{stats:?}");
    assert!(count > 0);
    // The ring works again after it was full.
    net.inside(1, || send_numbered(1, 4242, 0..10));
    assert_eq!(read_all(&mut capture, |_| {}), 10);
}

#[test]
fn long_capture_goes_round_the_ring() {
    let Some(net) = Net::new() else { return };
    let mut options = options();
    options.buffer = 256 << 10;
    let mut capture = net.inside(0, || capture(&options, &ethernet_udp_to(4242)));
    let mut expected = 0u32;
    for start in (0..20_000).step_by(500) {
        net.inside(1, || send_numbered(1, 4242, start..start + 500));
        while expected < start + 500 {
            assert_eq!(capture.wait(Some(Duration::from_secs(5))).unwrap(), Wait::Ready);
            while let Some(packet) = capture.next_packet().unwrap() {
                assert_eq!(packet.data[packet.data.len() - 4..], expected.to_be_bytes());
                expected += 1;
            }
        }
    }
    let stats = capture.stats().unwrap();
    assert_eq!((stats.captured, stats.received, stats.dropped), (20_000, 20_000, 0));
}

/// A reader that waits before every packet, and so asks again when it has read a block to its end.
#[test]
fn one_packet_per_wait() {
    let Some(net) = Net::new() else { return };
    let mut capture = net.inside(0, || capture(&options(), &ethernet_udp_to(4242)));
    for round in 0..40u32 {
        net.inside(1, || send_numbered(1, 4242, round * 2..round * 2 + 2));
        for number in round * 2..round * 2 + 2 {
            assert_eq!(capture.wait(Some(Duration::from_secs(5))).unwrap(), Wait::Ready);
            let packet = capture.next_packet().unwrap().unwrap();
            assert_eq!(packet.data[packet.data.len() - 4..], number.to_be_bytes());
        }
    }
}

#[test]
fn tcp_by_direction() {
    let Some(net) = Net::new() else { return };
    // Everything with IPv4 protocol 6.
    let filter = [
        Insn::ld_abs(Size::Half, 12),
        Insn::jump_k(JmpOp::Eq, 0x0800, 0, 3),
        Insn::ld_abs(Size::Byte, 23),
        Insn::jump_k(JmpOp::Eq, 6, 0, 1),
        Insn::ret_k(262_144),
        Insn::ret_k(0),
    ];
    let mut captures = [Directions::Both, Directions::In, Directions::Out].map(|directions| {
        let mut options = options();
        options.directions = directions;
        net.inside(0, || capture(&options, &filter))
    });
    let listener = net.inside(0, || TcpListener::bind((ADDRESS[0], 8080)).unwrap());
    let mut client = net.inside(1, || TcpStream::connect((ADDRESS[0], 8080)).unwrap());
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"question").unwrap();
    let mut buffer = [0; 8];
    server.read_exact(&mut buffer).unwrap();
    server.write_all(b"answer!!").unwrap();
    client.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"answer!!");
    drop((client, server));
    let mut seen = Vec::new();
    let mut syn = 0;
    let [both, incoming, outgoing] = captures.each_mut().map(|capture| {
        read_all(capture, |packet| {
            seen.push(packet.direction());
            syn += u32::from(packet.data[47] & 0x3f == 2);
        })
    });
    assert!(incoming >= 3 && outgoing >= 3, "{incoming} {outgoing}");
    assert_eq!(both, incoming + outgoing);
    assert_eq!(syn, 2, "the first packet came in and was seen by two of the three");
    let inbound = seen.iter().filter(|&&direction| direction == Direction::Inbound).count() as u64;
    assert_eq!(inbound, 2 * incoming);
}

#[test]
fn icmp_answers() {
    let Some(net) = Net::new() else { return };
    let icmp = [
        Insn::ld_abs(Size::Half, 12),
        Insn::jump_k(JmpOp::Eq, 0x0800, 0, 3),
        Insn::ld_abs(Size::Byte, 23),
        Insn::jump_k(JmpOp::Eq, 1, 0, 1),
        Insn::ret_k(262_144),
        Insn::ret_k(0),
    ];
    let mut capture = net.inside(0, || capture(&options(), &icmp));
    let requests: Vec<Vec<u8>> = (0..20).map(echo_request).collect();
    net.inject(1, &requests);
    let mut pairs = [Vec::new(), Vec::new()];
    read_all(&mut capture, |packet| {
        let answer = usize::from(packet.direction() == Direction::Outbound);
        // Type 8 asks, 0 answers.
        assert_eq!(packet.data[34], if answer == 1 { 0 } else { 8 });
        pairs[answer].push(packet.data[41]);
    });
    let numbers: Vec<u8> = (0..20).collect();
    assert_eq!(pairs, [numbers.clone(), numbers]);
}

/// An Ethernet frame with an ICMP echo request from side 1 to side 0.
pub fn echo_request(number: u8) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1];
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut icmp = vec![8, 0, 0, 0, 0x12, 0x34, 0, number];
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    [&MAC[0][..], &MAC[1], &[8, 0], &ip, &icmp].concat()
}

/// RFC 1071
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!(folded as u16)).to_be_bytes()
}

//! Kinds of interfaces: loopback, `any`, tunnels, VLAN tags; and the options that change what is delivered.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

use skep_isa::classic::{Insn, JmpOp, SKF_AD_OFF, Size};
use skep_kernel::attach_classic;
use skep_packet::LinkType;
use skep_packet::ring::{
    Capture, CaptureOptions, Directions, InterfaceChoice, SLL2_LEN, VlanTag, Wait, list_interfaces, rewrite_for_cooked,
};
use skep_vm::classic::{Metadata, Program};

use crate::net::{CABLE, MAC, Net, inject_here, skip};
use crate::traffic::{capture, echo_request, ethernet_udp_to, options, read_all, send_numbered, udp_to};

fn on(interface: &str) -> CaptureOptions {
    CaptureOptions { interface: InterfaceChoice::Named(interface.to_owned()), ..options() }
}

/// A filter for `LINUX_SLL2` as a compiler would make it.
fn cooked_udp_to(port: u16) -> Vec<Insn> {
    udp_to(port, SLL2_LEN as u32, Insn::ld_abs(Size::Half, 0))
}

#[test]
fn loopback_delivers_one_copy() {
    let Some(net) = Net::new() else { return };
    for (directions, expected) in [(Directions::Both, 0), (Directions::In, 0), (Directions::Out, 4)] {
        let mut options = on("lo");
        options.directions = directions;
        let mut capture = net.inside(0, || capture(&options, &ethernet_udp_to(5000)));
        assert_eq!(capture.link(), LinkType::EN10MB);
        net.inside(0, || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..50 {
                while socket.send_to(b"once", "127.0.0.1:5000").is_err() {}
            }
        });
        let count = read_all(&mut capture, |packet| {
            assert_eq!(packet.packet_type, expected);
            assert_eq!(packet.data[..12], [0; 12]);
        });
        let stats = capture.stats().unwrap();
        assert_eq!((count, stats.captured), (50, 50), "{directions:?}");
        if directions != Directions::Out {
            assert_eq!(stats.received, 50, "the kernel does not even count the other copy");
        }
    }
}

/// A tagged frame: UDP to `port`, with a number at the end.
fn tagged(tags: &[(u16, u16)], port: u16, number: u8) -> Vec<u8> {
    let mut frame = [MAC[0], MAC[1]].concat();
    for (tpid, tci) in tags {
        frame.extend(tpid.to_be_bytes());
        frame.extend(tci.to_be_bytes());
    }
    frame.extend([8, 0, 0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1]);
    frame.extend([0x30, 0x39]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 9, 0, 0, number]);
    frame
}

#[test]
fn vlan_tags_are_put_back() {
    let Some(net) = Net::new() else { return };
    // What the kernel's filter sees: the tag is a word beside the packet and not in its bytes.
    let vlan_five = [
        Insn::ld_abs(Size::Byte, SKF_AD_OFF + 48),
        Insn::jump_k(JmpOp::Eq, 1, 0, 4),
        Insn::ld_abs(Size::Half, SKF_AD_OFF + 44),
        Insn::alu_k(skep_isa::classic::AluOp::And, 0xfff),
        Insn::jump_k(JmpOp::Eq, 5, 0, 1),
        Insn::ret_k(262_144),
        Insn::ret_k(0),
    ];
    let mut some = net.inside(0, || capture(&options(), &vlan_five));
    let mut all = net.inside(0, || capture(&options(), &[Insn::ret_k(262_144)]));
    let frames = [
        tagged(&[(0x8100, 0x2005)], 9, 0),
        tagged(&[], 9, 1),
        tagged(&[(0x88a8, 0x0007), (0x8100, 0x0005)], 9, 2),
        tagged(&[(0x8100, 0x0005), (0x8100, 0x0009)], 9, 3),
        tagged(&[(0x8100, 0x0006)], 9, 4),
    ];
    net.inject(1, &frames);
    let mut numbers = Vec::new();
    read_all(&mut some, |packet| {
        let number = packet.data[packet.data.len() - 1];
        numbers.push(number);
        assert_eq!(packet.data, frames[usize::from(number)]);
        assert_eq!(packet.orig_len as usize, packet.data.len());
    });
    assert_eq!(numbers, [0, 3]);
    let mut tags = Vec::new();
    read_all(&mut all, |packet| {
        // Answers that the other side may send are not ours to look at.
        if packet.data.get(..12) == frames[0].get(..12) {
            assert_eq!(packet.data, frames[tags.len()]);
            tags.push(packet.vlan.map(|tag| (tag.tpid, tag.tci)));
        }
    });
    let expected = [Some((0x8100, 0x2005)), None, Some((0x88a8, 7)), Some((0x8100, 5)), Some((0x8100, 6))];
    assert_eq!(tags, expected);
}

#[test]
fn snap_length_counts_the_tag() {
    let Some(net) = Net::new() else { return };
    let mut options = options();
    options.snaplen = 20;
    let mut capture = net.inside(0, || Capture::open(&options).unwrap());
    capture.accept_all().unwrap();
    let frame = tagged(&[(0x8100, 5)], 9, 0);
    net.inject(1, std::slice::from_ref(&frame));
    let mut count = 0;
    read_all(&mut capture, |packet| {
        assert!(packet.data.len() <= 20);
        // The system may say something of its own on a fresh interface.
        if packet.vlan.is_some() {
            assert_eq!(packet.data, &frame[..20]);
            assert_eq!(packet.orig_len as usize, frame.len());
            assert_eq!(packet.vlan, Some(VlanTag { tci: 5, tpid: 0x8100 }));
            count += 1;
        }
    });
    assert_eq!(count, 1);
}

#[test]
fn any_sees_all_interfaces() {
    let Some(net) = Net::new() else { return };
    let filter = cooked_udp_to(4242);
    let rewritten = rewrite_for_cooked(&filter).unwrap();
    let mut any = net.inside(0, || capture(&on("any"), &rewritten));
    assert_eq!((any.link(), any.is_cooked(), any.interface().index), (LinkType::LINUX_SLL2, true, 0));
    let index = net.inside(0, || list_interfaces().unwrap()).iter().find(|i| i.name == CABLE).unwrap().index;
    net.inside(1, || {
        send_numbered(1, 4242, 0..100);
        send_numbered(1, 4243, 0..100);
    });
    net.inside(0, || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            while socket.send_to(b"none", "127.0.0.1:4243").is_err() {}
            while socket.send_to(b"loop", "127.0.0.1:4242").is_err() {}
        }
        send_numbered(0, 4242, 100..150);
    });
    let original = Program::new(&filter).unwrap();
    let (mut cable, mut sent, mut looped) = (0u32, 0, 0);
    read_all(&mut any, |packet| {
        let (header, payload) = packet.data.split_at(SLL2_LEN);
        assert_eq!(packet.orig_len as usize, packet.data.len());
        assert_ne!(original.run(packet.data, packet.orig_len, &Metadata::default()), 0, "{packet:?}");
        assert_eq!(header[..2], packet.protocol.to_be_bytes());
        assert_eq!(header[2..4], [0, 0]);
        assert_eq!(header[4..8], packet.ifindex.to_be_bytes());
        assert_eq!(header[8..10], packet.hardware.to_be_bytes());
        assert_eq!((header[10], header[11]), (packet.packet_type, 6));
        assert_eq!(payload[0] >> 4, if packet.protocol == 0x0800 { 4 } else { 6 });
        if payload.ends_with(b"loop") {
            assert_eq!((packet.ifindex, packet.packet_type, packet.hardware), (1, 0, 772));
            looped += 1;
        } else {
            assert_eq!((packet.ifindex, packet.hardware), (index, 1));
            let number = u32::from_be_bytes(payload[payload.len() - 4..].try_into().unwrap());
            assert_eq!(number, cable + sent);
            // The sender's hardware address, whoever that is.
            let side = usize::from(packet.packet_type == 0);
            assert_eq!(header[12..18], MAC[side]);
            if side == 1 { cable += 1 } else { sent += 1 }
        }
    });
    assert_eq!((cable, sent, looped), (100, 50, 10));
    let stats = any.stats().unwrap();
    assert_eq!((stats.captured, stats.ignored, stats.received), (160, 10, 170), "loopback sends are left out");
}

#[test]
fn cooked_capture_of_one_interface() {
    let Some(net) = Net::new() else { return };
    let mut options = options();
    options.cooked = true;
    let mut capture = net.inside(0, || capture(&options, &rewrite_for_cooked(&cooked_udp_to(4242)).unwrap()));
    net.inside(1, || send_numbered(1, 4242, 0..10));
    assert_eq!(read_all(&mut capture, |packet| assert_eq!(packet.link, LinkType::LINUX_SLL2)), 10);
}

/// `struct ifreq` of `TUNSETIFF`: name and flags.
#[repr(C)]
struct TunRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

#[test]
fn tunnels_are_raw_ip() {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const IFF_TUN: u16 = 1;
    const IFF_NO_PI: u16 = 0x1000;
    let Some(net) = Net::new() else { return };
    let opened = net.inside(0, || {
        let tunnel = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
        let mut request = TunRequest { name: [0; 16], flags: IFF_TUN | IFF_NO_PI, rest: [0; 22] };
        request.name[..4].copy_from_slice(b"tun7");
        // SAFETY: the request has the size of a `struct ifreq` and lives through the call.
        let result = unsafe { libc::ioctl(tunnel.as_raw_fd(), TUNSETIFF as _, &raw mut request) };
        if result == 0 { Ok(tunnel) } else { Err(std::io::Error::last_os_error()) }
    });
    let mut tunnel = match opened {
        Ok(tunnel) => tunnel,
        Err(error) => return skip(&format!("no tunnel interfaces: {error}")),
    };
    net.ip(0, &["link", "set", "tun7", "up"]);
    let mut capture = net.inside(0, || {
        let mut capture = Capture::open(&on("tun7")).unwrap();
        capture.accept_all().unwrap();
        capture
    });
    assert_eq!(capture.link(), LinkType::RAW);
    let packet = echo_request(1).split_off(14);
    for _ in 0..5 {
        tunnel.write_all(&packet).unwrap();
    }
    let mut ours = 0;
    read_all(&mut capture, |seen| ours += u32::from(seen.data == packet && seen.packet_type == 0));
    assert_eq!(ours, 5);
}

#[test]
fn promiscuous_mode_ends_with_the_capture() {
    let Some(net) = Net::new() else { return };
    // Counts the holders; the namespace's own view, read where it applies.
    let promiscuity = || {
        net.inside(0, || {
            let output = Command::new("ip").args(["-d", "link", "show", "dev", CABLE]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let words: Vec<&str> = text.split_whitespace().collect();
            words.windows(2).find(|pair| pair[0] == "promiscuity").map(|pair| pair[1].parse::<u32>().unwrap())
        })
    };
    if promiscuity().is_none() {
        return skip("this version of ip does not print the promiscuity");
    }
    let mut quiet = options();
    quiet.promiscuous = false;
    let silent = net.inside(0, || Capture::open(&quiet).unwrap());
    assert_eq!(promiscuity(), Some(0));
    let mut loud = net.inside(0, || Capture::open(&options()).unwrap());
    assert_eq!(promiscuity(), Some(1));
    loud.accept_all().unwrap();
    let mut frame = echo_request(3);
    frame[..6].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
    net.inject(1, std::slice::from_ref(&frame));
    let mut types = Vec::new();
    read_all(&mut loud, |packet| {
        if packet.data == frame {
            types.push(packet.packet_type);
        }
    });
    assert_eq!(types, [3], "a packet for another machine");
    drop((silent, loud));
    // The membership ends when the socket is closed, which closing waits for.
    assert_eq!(promiscuity(), Some(0));
}

#[test]
fn waits_end_on_time_and_when_woken() {
    let Some(net) = Net::new() else { return };
    let mut capture = net.inside(0, || capture(&options(), &ethernet_udp_to(4242)));
    let start = Instant::now();
    assert_eq!(capture.wait(Some(Duration::from_millis(60))).unwrap(), Wait::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(60), "not before the time is over");
    assert_eq!(capture.wait(Some(Duration::ZERO)).unwrap(), Wait::TimedOut);
    let waker = capture.waker();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            waker.wake();
        });
        assert_eq!(capture.wait(None).unwrap(), Wait::Woken);
    });
    // Being woken is told once.
    assert_eq!(capture.wait(Some(Duration::from_millis(1))).unwrap(), Wait::TimedOut);
    // Packets that are there come before everything else.
    net.inside(1, || send_numbered(1, 4242, 0..1));
    assert_eq!(capture.wait(None).unwrap(), Wait::Ready);
    capture.waker().wake();
    assert_eq!(capture.wait(None).unwrap(), Wait::Ready);
    assert!(capture.next_packet().unwrap().is_some());
    assert!(capture.next_packet().unwrap().is_none());
    assert_eq!(capture.wait(None).unwrap(), Wait::Woken);
}

#[test]
fn stopping_delivers_what_was_let_in() {
    let Some(net) = Net::new() else { return };
    let mut options = options();
    options.delay = Duration::from_millis(200);
    let mut capture = net.inside(0, || capture(&options, &ethernet_udp_to(4242)));
    net.inside(1, || send_numbered(1, 4242, 0..20));
    capture.stop().unwrap();
    net.inside(1, || send_numbered(1, 4242, 20..40));
    let mut count = 0;
    while capture.wait(Some(Duration::from_millis(500))).unwrap() == Wait::Ready {
        while capture.next_packet().unwrap().is_some() {
            count += 1;
        }
    }
    assert_eq!(count, 20);
}

/// Same interfaces in the same order with the same words as tcpdump prints.
#[test]
fn list_is_that_of_tcpdump() {
    let Some(net) = Net::new() else { return };
    net.ip(1, &["link", "add", "veth9", "type", "veth", "peer", "name", "veth10"]);
    net.ip(1, &["link", "set", "veth9", "up"]);
    let (ours, theirs) = net.inside(1, || (list_interfaces().unwrap(), Command::new("tcpdump").arg("-D").output()));
    let Ok(theirs) = theirs else { return skip("tcpdump is not installed") };
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    let known = |line: &str| ours.iter().any(|ours| line.split(' ').next() == Some(ours.name.as_str()));
    let theirs: Vec<&str> =
        theirs.lines().filter_map(|line| line.split_once('.')).map(|line| line.1).filter(|line| known(line)).collect();
    let ours: Vec<String> = ours.iter().map(ToString::to_string).collect();
    assert_eq!(ours, theirs);
    assert!(ours.len() >= 5, "{ours:?}");
}

/// `any` is bound to no interface, so it also has those that do not exist yet.
#[test]
fn any_includes_interfaces_that_come_later() {
    let Some(net) = Net::new() else { return };
    let mut any = net.inside(0, || {
        let mut capture = Capture::open(&on("any")).unwrap();
        let ours = [Insn::ld_abs(Size::Byte, 9), Insn::jump_k(JmpOp::Eq, 1, 0, 1), Insn::ret_k(100), Insn::ret_k(0)];
        capture.install(|socket| attach_classic(socket, &ours)).unwrap();
        capture
    });
    net.ip(0, &["link", "add", "late0", "type", "veth", "peer", "name", "late1"]);
    net.ip(0, &["link", "set", "late0", "up"]);
    net.ip(0, &["link", "set", "late1", "up"]);
    net.inside(0, || inject_here("late0", &[echo_request(9)]));
    let mut interfaces = Vec::new();
    let name_of = |index| net.inside(0, || skep_packet::ring::interface_name(index));
    read_all(&mut any, |packet| interfaces.push((name_of(packet.ifindex).unwrap(), packet.packet_type)));
    // Sent on one, received on the other; for another machine, as the address says.
    assert_eq!(interfaces, [("late0".to_owned(), 4), ("late1".to_owned(), 3)]);
}

//! Tables of connections, limits and translations that are full, by the programs in our machine, whose clock is moved.

use skep_firewall::build::plan;
use skep_firewall::facts::Place;
use skep_firewall::machine::Machine;
use skep_firewall::rules::Direction;
use skep_firewall::tables::layout::special;

const SECOND: u64 = 1_000_000_000;

/// A host with rules, and the time in seconds.
struct Host {
    machine: Machine,
    time: u64,
}

impl Host {
    fn new(rules: &str) -> Self {
        let rules = skep_firewall::parse(rules, &|_| Err(String::new())).unwrap();
        let mut host = Self { machine: Machine::new(&plan(&rules, &|_| None).unwrap()).unwrap(), time: 1_000_000 };
        host.wait(0);
        host
    }

    fn wait(&mut self, seconds: u64) {
        self.time += seconds;
        self.machine.set_time(self.time * SECOND);
    }

    fn passes(&mut self, packet: &[u8], direction: Direction) -> bool {
        self.machine.run(packet, Place { direction, ..Place::default() }).unwrap().passes
    }

    /// A packet of the client with a number to us, with these flags of TCP; 0 for UDP.
    fn arrives(&mut self, client: u8, flags: u8) -> bool {
        self.passes(&packet(flags, [10, 0, 0, client], [10, 0, 1, 1], [4000, 80]), Direction::In)
    }

    fn leaves(&mut self, client: u8, flags: u8) -> bool {
        self.passes(&packet(flags, [10, 0, 1, 1], [10, 0, 0, client], [80, 4000]), Direction::Out)
    }

    fn opens(&mut self, client: u8) -> bool {
        self.arrives(client, SYN) && self.leaves(client, SYN | ACK) && self.arrives(client, ACK)
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn packet(flags: u8, from: [u8; 4], to: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
    let (protocol, length) = if flags == 0 { (17, 28) } else { (6, 40) };
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, length, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend([from, to].as_flattened());
    packet.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    packet.extend(if flags == 0 {
        vec![0, 8, 0, 0]
    } else {
        vec![0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 4, 0, 0, 0, 0, 0]
    });
    packet
}

const FOLLOWED: &str =
    "tables connections 4\ndefault in drop\naccept in state established\naccept in to port 80 state new\n";

#[test]
fn a_full_table_keeps_connections_and_refuses_new_ones() {
    let mut host = Host::new(FOLLOWED);
    assert!((1..=4).all(|client| host.opens(client)));
    for client in 5..=50 {
        assert!(!host.arrives(client, SYN) && !host.arrives(client, 0));
    }
    assert_eq!(host.machine.packets(special::NO_CONNECTION), 92);
    assert!((1..=4).all(|client| host.arrives(client, ACK) && host.leaves(client, ACK)));
    // So does what leaves: nobody would know the answer.
    assert!(!host.leaves(60, SYN) && host.machine.packets(special::NO_CONNECTION) == 93);
    // One ends; its place is free after a while, and it is given to one only.
    assert!(host.arrives(2, FIN | ACK) && host.leaves(2, FIN | ACK) && host.arrives(2, ACK));
    assert!(!host.arrives(5, SYN));
    host.wait(59);
    assert!(!host.arrives(5, SYN));
    host.wait(3);
    assert!(host.opens(5) && !host.arrives(6, SYN));
    // Silent ones stay for days.
    host.wait(4 * 86_400);
    assert!([1, 3, 4].into_iter().all(|client| host.arrives(client, ACK)));
    host.wait(6 * 86_400);
    assert!([1, 3, 4, 5].into_iter().all(|client| !host.arrives(client, ACK)));
    assert!((10..=13).all(|client| host.opens(client)) && !host.opens(14));
}

#[test]
fn senders_that_do_not_answer_leave_soon() {
    let mut host = Host::new(FOLLOWED);
    assert!(host.opens(1));
    // A sender that has made its address up: the host answers, and nobody answers that; all it can do is to send again.
    for client in 2..=4 {
        assert!(host.arrives(client, SYN) && host.leaves(client, SYN | ACK) && host.arrives(client, SYN));
    }
    assert!(!host.opens(5));
    host.wait(121);
    assert!((5..=7).all(|client| host.opens(client)) && host.arrives(1, ACK));
    // Ports that are used again begin another connection, which stays.
    assert!(host.arrives(5, RST | ACK) && host.opens(5));
    host.wait(3600);
    assert!(host.arrives(5, ACK) && !host.opens(8));
}

#[test]
fn without_room_every_packet_is_beyond_its_limit() {
    let mut host = Host::new("tables limits 8\nlimit 2/min burst 2 per source then drop in udp\n");
    assert!((1..=8).all(|client| host.arrives(client, 0)));
    assert!((9..=20).all(|client| !host.arrives(client, 0)));
    assert!((1..=8).all(|client| host.arrives(client, 0) && !host.arrives(client, 0)));
    // Whose allowance is whole again needs no entry.
    host.wait(59);
    assert!(!host.arrives(9, 0));
    host.wait(3);
    assert!((9..=16).all(|client| host.arrives(client, 0)) && !host.arrives(17, 0));
}

#[test]
fn translations_are_refused_and_leave() {
    let mut host = Host::new("tables translations 3\nsnat 192.0.2.1 out ipv4 tcp udp from 10.0.0.0/24\n");
    let sends = |host: &mut Host, client: u8, flags: u8| {
        host.passes(&packet(flags, [10, 0, 0, client], [10, 0, 1, 1], [4000, 80]), Direction::Out)
    };
    assert!((1..=3).all(|client| sends(&mut host, client, SYN)) && sends(&mut host, 1, ACK));
    assert!((4..=9).all(|client| !sends(&mut host, client, SYN)));
    assert_eq!(host.machine.packets(special::NO_TRANSLATION), 6);
    host.wait(241);
    // The first one was used by both ends.
    assert!((4..=5).all(|client| sends(&mut host, client, SYN)) && !sends(&mut host, 6, SYN));
    assert!(sends(&mut host, 1, FIN | ACK));
    host.wait(241);
    assert!((6..=8).all(|client| sends(&mut host, client, SYN)) && !sends(&mut host, 9, SYN));
}

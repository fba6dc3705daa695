//! Random rules and packets, and what has to hold for them.

mod chains;

use crate::facts::{self, Facts, Fragment, Packet, Place};
use crate::rules::special::{Condition, Expression, Hours, conditions};
use crate::rules::{
    Action, Addresses, Direction, Family, Matches, Payload, Ports, Prefix, Reply, Rule, RuleSet, Verdict, parse,
    parse_rule, words,
};

pub use chains::{chains, tables};

/// Numbers from a start (splitmix64, Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// A start from any bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(
            bytes
                .iter()
                .fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)),
        )
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of a list, which is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

/// An address near to others.
fn address(random: &mut Random, family: Family) -> u128 {
    let base: u128 = match family {
        Family::V4 => {
            u128::from(random.pick(&[0x0a00_0000u32, 0x0a01_0203, 0x0a01_0280, 0xc0a8_0101, 0x0a01_ffff])) << 96
        }
        Family::V6 => random.pick(&[0x2001_0db8 << 96, 0x2001_0db8_0001 << 80, 0xfd00 << 112, 1]),
    };
    let bit = 128 - u32::from(family.bits()) + random.below(family.bits().into()) as u32;
    if random.one_in(3) { base ^ 1 << bit } else { base }
}

fn prefix(random: &mut Random, family: Family) -> Prefix {
    let length = if random.one_in(2) { random.pick(&[8, 16, 24, 32]) } else { random.below(33) as u8 };
    let length = if family == Family::V6 { length * 4 } else { length };
    Prefix::new(family, address(random, family), length)
}

fn addresses(random: &mut Random, family: Option<Family>) -> Addresses {
    let count = 1 + random.below(3);
    let family = |random: &mut Random| family.unwrap_or_else(|| random.pick(&Family::ALL));
    let prefixes = (0..count).map(|_| {
        let family = family(random);
        prefix(random, family)
    });
    let prefixes: Vec<Prefix> = prefixes.collect();
    // What is not in several prefixes of version 6 can be too many for one bucket.
    let few = prefixes.len() == 1 || prefixes.iter().all(|prefix| prefix.family == Family::V4) && random.one_in(4);
    Addresses { negated: few && random.one_in(4), sets: Vec::new(), prefixes }
}

const PORT_POOL: [u16; 8] = [22, 53, 80, 443, 1024, 1100, 8080, 65535];

fn ports(random: &mut Random) -> Ports {
    let range = |random: &mut Random| {
        let first = random.pick(&PORT_POOL);
        let last = if random.one_in(2) { first } else { first.saturating_add(random.pick(&[1, 200, 900, 5000])) };
        first..=last
    };
    let count = 1 + random.below(2);
    let ranges = (0..count).map(|_| range(random)).collect();
    Ports { negated: random.one_in(6), ranges }
}

/// Expressions of every kind of instruction.
const EXPRESSIONS: &[&str] = &[
    "udp[8:2] & 0x8000 = 0",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "len > 70",
    "ip[0] & 0xf != 5",
    "ip6 and ip6[6] = 17",
    "ether[0] & 1 = 0 and len / 2 % 3 = 1",
    "tcp[((tcp[12] & 0xf0) >> 2):1] = 0x61",
    "ip[2:2] - ip[8] * 2 > 100 or udp port 53",
    "len / ip[6] > 1",
    "vlan 5 and (port 22 or net 10.1.0.0/16)",
    "src host 10.1.2.3 or icmp6[0] = 128",
];

/// A rule without limit.
pub fn rule(random: &mut Random, sets: &[&str]) -> Rule {
    let mut matches = Matches {
        direction: random.pick(&[None, None, Some(Direction::In), Some(Direction::Out)]),
        family: random.pick(&[None, None, Some(Family::V4), Some(Family::V6)]),
        ..Matches::default()
    };
    match random.below(5) {
        0 => matches.protocols = vec![6],
        1 => matches.protocols = vec![17, 6],
        2 => matches.protocols = vec![random.pick(&[1, 58])],
        _ => {}
    }
    let side = |random: &mut Random, family| {
        let mut all = addresses(random, family);
        if random.one_in(4) && !sets.is_empty() && !all.negated {
            all.sets.push(random.pick(sets).to_owned());
        }
        all
    };
    if random.one_in(2) {
        matches.from = Some(side(random, matches.family));
    }
    if random.one_in(2) {
        matches.to = Some(side(random, matches.family));
    }
    let may_have_ports = matches.protocols.iter().all(|number| words::WITH_PORTS.contains(number));
    if may_have_ports {
        matches.from_port = random.one_in(6).then(|| ports(random));
        matches.to_port = random.one_in(2).then(|| ports(random));
    }
    if matches.protocols == [6] && random.one_in(3) {
        matches.flags = Some(random.pick(&[(2, 18), (16, 16), (0, 2)]));
    }
    if matches.protocols.len() == 1 && !may_have_ports && random.one_in(2) {
        matches.icmp = vec![(random.pick(&[0, 3, 8, 128]), random.pick(&[None, Some(0)]))];
    }
    if !matches.protocols.is_empty() && may_have_ports && random.one_in(6) {
        matches.payload = Some(Payload { offset: random.below(4) as u8, bytes: vec![random.below(3) as u8 + b'a'] });
    }
    if random.one_in(8) && matches.to_port.is_none() && matches.from_port.is_none() && matches.icmp.is_empty() {
        matches.fragment = if matches.flags.is_none() { Some(random.one_in(2)) } else { Some(false) };
    }
    matches.vlan = random.one_in(10).then(|| random.pick(&[1, 5]));
    matches.mark = random.one_in(10).then(|| random.pick(&[(1, u32::MAX), (0, 2)]));
    matches.states = if random.one_in(8) { random.pick(&[1, 2, 8, 9, 12]) } else { 0 };
    matches.interfaces =
        if random.one_in(8) { vec![random.pick(&["one", "two", "none"]).to_owned()] } else { Vec::new() };
    if random.one_in(10) {
        matches.from_mac = (0..1 + random.below(2)).map(|_| [2, 0, 0, 0, 0, random.below(4) as u8]).collect();
    }
    if random.one_in(10) {
        matches.to_mac = vec![[2, 0, 0, 0, 0, random.pick(&[1, 1, 9])]];
    }
    if random.one_in(6) {
        matches.conditions.extend(Expression::new(random.pick(EXPRESSIONS)).map(Condition::Expression));
    }
    if random.one_in(8) {
        let from = random.below(1440) as u16;
        let until = (from + 1 + random.below(1439) as u16) % 1440;
        let hours = Hours { from, until, days: 1 + random.below(127) as u8 };
        matches.conditions.push(Condition::Hours(hours));
    }
    if random.one_in(8) && matches.direction == Some(Direction::Out) {
        matches.conditions.push(Condition::Users(vec![{
            let (first, last) = random.pick(&[(0, 0), (0, 999), (1000, 1000)]);
            first..=last
        }]));
    }
    let message = random.pick(words::MESSAGES).1;
    let reply = match message.only() {
        Some(family) if matches.family != Some(family) => Reply::Usual,
        _ => random.pick(&[Reply::Usual, Reply::Message(message)]),
    };
    let reject = Verdict::Reject(reply);
    let verdict = random.pick(&[None, Some(Verdict::Accept), Some(Verdict::Drop), Some(reject)]);
    let mark = random.one_in(6).then(|| random.below(4) as u32);
    let log = random.one_in(10).then(|| "a \"log\"".to_owned());
    Rule {
        action: Action { verdict, log, mark, limit: None, ..Action::default() },
        matches,
        span: skep_diag::Span::new(0, 0),
    }
}

/// The numbers of the interfaces in random rules.
pub fn index(name: &str) -> Option<u32> {
    match name {
        "one" => Some(1),
        "two" => Some(2),
        _ => None,
    }
}

/// A list of rules.
pub fn rules(random: &mut Random, most: u64) -> RuleSet {
    let mut set = RuleSet::default();
    for name in ["near", "far"] {
        let family = random.pick(&Family::ALL);
        set.sets.insert(name.to_owned(), addresses(random, Some(family)).prefixes);
    }
    set.default_in = random.pick(&[Verdict::Accept, Verdict::Drop]);
    set.default_out = random.pick(&[Verdict::Accept, Verdict::Drop]);
    for _ in 0..random.below(most + 1) {
        let rule = rule(random, &["near", "far"]);
        set.rules.push(rule);
    }
    set.conditions = conditions(&set);
    set
}

/// A packet, whole or damaged, and where it is met.
pub fn packet(random: &mut Random) -> (Vec<u8>, Place) {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for _ in 0..random.pick(&[0, 0, 0, 1, 2, 3]) {
        bytes.extend([0x81, 0, 0, random.pick(&[1, 5])]);
    }
    let protocol = random.pick(&[6, 6, 6, 17, 17, 1, 58, 132, 47]);
    let upper = upper(random, protocol);
    let family = random.pick(&Family::ALL);
    let (from, to) = (address(random, family), address(random, family));
    match family {
        Family::V4 => {
            let fragment: u16 = random.pick(&[0, 0, 0, 0, 0x2000, 0x2010, 0x0010, 0x4000]);
            let options = random.pick(&[0, 0, 0, 4]);
            bytes.extend([8, 0, 0x45 + options / 4, 0]);
            let total = 20 + usize::from(options) + upper.len();
            bytes.extend((total as u16).to_be_bytes());
            bytes.extend([0, 7]);
            bytes.extend(fragment.to_be_bytes());
            bytes.extend([64, protocol, 0, 0]);
            bytes.extend(((from >> 96) as u32).to_be_bytes());
            bytes.extend(((to >> 96) as u32).to_be_bytes());
            bytes.extend(vec![0; options.into()]);
        }
        Family::V6 => {
            let mut headers = Vec::new();
            let mut kinds = Vec::new();
            for _ in 0..random.pick(&[0, 0, 0, 1, 2, 7]) {
                let kind = random.pick(&[0, 60, 43, 44, 51]);
                kinds.push(kind);
                let offset: u16 = random.pick(&[0, 0, 1, 8, 9]);
                let [high, low] = offset.to_be_bytes();
                headers.push([0, 0, high, low, 0, 0, 0, 0]);
            }
            kinds.push(protocol);
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(((headers.len() * 8 + upper.len()) as u16).to_be_bytes());
            bytes.extend([kinds[0], 64]);
            bytes.extend(from.to_be_bytes());
            bytes.extend(to.to_be_bytes());
            for (at, mut header) in headers.into_iter().enumerate() {
                header[0] = kinds[at + 1];
                bytes.extend(header);
            }
        }
    }
    bytes.extend(upper);
    match random.below(16) {
        0 => bytes.truncate(14 + random.below(60) as usize),
        1 => {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        2 => bytes.extend([b'a'; 9]),
        _ => {}
    }
    let place = Place {
        direction: random.pick(&[Direction::In, Direction::Out]),
        interface: 1 + random.below(3) as u32,
        vlan: random.one_in(10).then_some(5),
        mark: random.pick(&[0, 0, 1, 2]),
        time: Some(1_700_000_000 + random.below(30 * 86_400)),
        owner: Some(random.pick(&[0, 7, 1000, 2000])),
        group: None,
    };
    (bytes, place)
}

fn upper(random: &mut Random, protocol: u8) -> Vec<u8> {
    let port = |random: &mut Random| {
        random.pick(&PORT_POOL).saturating_add(random.pick(&[0, 0, 0, 1, 150, 1000])).to_be_bytes()
    };
    let mut bytes = Vec::new();
    match protocol {
        6 => {
            bytes.extend(port(random));
            bytes.extend(port(random));
            bytes.extend([0; 8]);
            bytes.extend([random.pick(&[0x50, 0x50, 0x60, 0x40]), random.pick(&[2, 16, 18, 4, 24]), 0, 0, 0, 0, 0, 0]);
        }
        17 | 132 => {
            bytes.extend(port(random));
            bytes.extend(port(random));
            bytes.extend([0; 4]);
        }
        1 | 58 => {
            bytes.extend([random.pick(&[0, 3, 8, 128, 135]), random.pick(&[0, 1])]);
            bytes.extend([0; 6]);
        }
        _ => bytes.extend([0; 8]),
    }
    let length = random.pick(&[0, 1, 3, 40, 90]);
    bytes.extend((0..length).map(|_| b'a' + random.below(3) as u8));
    bytes
}

/// What rules are asked about a packet, with the state of one that nobody knows.
pub fn read(packet: &[u8], place: Place) -> Packet {
    match facts::read(packet, place) {
        Packet::Known(facts) => {
            let state = facts.fresh_state();
            Packet::Known(Facts { state, ..facts })
        }
        other => other,
    }
}

/// Whether an expectation about fragments holds: later ones have no ports.
pub fn is_sound(facts: &Facts) -> bool {
    facts.fragment != Fragment::Later || facts.ports.is_none() && facts.flags.is_none() && facts.icmp.is_none()
}

/// Any bytes are read without a panic as what iptables-save prints, and what comes of them is a rules file.
pub fn imports(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // Any text, and any lines within a table.
    for text in [text.to_string(), format!("*filter\n:INPUT DROP [0:0]\n:a - [0:0]\n{text}\nCOMMIT\n")] {
        if let Ok(import) = crate::import::iptables(&text) {
            let printed = import.to_string();
            let read = parse(&printed, &|_| Err(String::new()));
            assert!(read.is_ok(), "{printed}\n{read:?}");
        }
    }
}

/// Any bytes are read without a panic, as rules and as packets, and what random rules print is read back as the same.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let no_files = |_: &str| Err("there are no files here".to_owned());
    if let Ok(rules) = parse(&text, &no_files) {
        let printed = rules.to_string();
        let again = parse(&printed, &no_files).unwrap_or_else(|errors| panic!("{printed}: {errors:?}"));
        assert_eq!(again.to_string(), printed);
    }
    if let Packet::Known(facts) = facts::read(bytes, Place::default()) {
        assert!(is_sound(&facts));
    }
    let mut random = Random::of(bytes);
    let rules = rules(&mut random, 6);
    for rule in &rules.rules {
        let printed = rule.to_string();
        let mut again = parse_rule(&printed, &rules).unwrap_or_else(|errors| panic!("{printed}: {errors:?}"));
        again.span = rule.span;
        assert_eq!(&again, rule, "{printed}");
    }
}

/// What the linear reference says about a packet, as programs of traffic control have to: whether it passes, its mark, the
/// rule.
pub fn expected(rules: &RuleSet, packet: &[u8], place: Place) -> (bool, u32, Option<usize>) {
    match read(packet, place) {
        Packet::Foreign => (true, place.mark, None),
        Packet::Malformed => (false, place.mark, None),
        Packet::Known(facts) if facts.is_neighbour_discovery() => (true, place.mark, None),
        Packet::Known(facts) => {
            let decision = crate::linear::judge(rules, &facts, &index, &mut |_| true);
            (decision.verdict == Verdict::Accept, decision.mark, decision.rule)
        }
    }
}

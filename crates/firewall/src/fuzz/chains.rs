//! Random chains of other firewalls.

use std::fmt::Write as _;

use super::Random;

/// Random chains as iptables-save prints them, with jumps to later chains only: addresses in 10.9.0.0/24, ports below 8.
pub fn chains(random: &mut Random) -> String {
    const NAMES: [&str; 4] = ["INPUT", "one", "two", "three"];
    let mut text = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n".to_owned();
    for name in &NAMES[1..] {
        let _ = writeln!(text, ":{name} - [0:0]");
    }
    for (number, name) in NAMES.iter().enumerate() {
        for _ in 0..2 + random.below(5) {
            let _ = write!(text, "-A {name}");
            let not = |random: &mut Random| if random.one_in(4) { " !" } else { "" };
            if random.one_in(3) {
                let length = 28 + random.below(5);
                let address = random.below(32) & (u64::MAX << (32 - length));
                let _ = write!(text, "{} -s 10.9.0.{address}/{length}", not(random));
            }
            let port = |random: &mut Random| {
                let first = random.below(8);
                match first + random.below(8 - first) {
                    last if last > first => format!("{first}:{last}"),
                    _ => first.to_string(),
                }
            };
            match random.below(8) {
                0 => text.push_str(" -p icmp -m icmp --icmp-type 8"),
                1 => {
                    let compared = ["SYN", "ACK", "SYN,ACK", "NONE"][random.below(4) as usize];
                    let _ = write!(text, " -p tcp -m tcp{} --tcp-flags SYN,ACK,FIN {compared}", not(random));
                }
                2 => {
                    let _ = write!(text, " -p tcp -m tcp{} --dport {}", not(random), port(random));
                }
                3 => {
                    let option = ["sports", "dports", "ports"][random.below(3) as usize];
                    let (not, first, second) = (not(random), port(random), random.below(8));
                    let _ = write!(text, " -p udp -m multiport{not} --{option} {first},{second}");
                }
                4 => {
                    let first = 1 + random.below(20);
                    let (not, last) = (not(random), first + random.below(12));
                    if text.rsplit('\n').next().is_some_and(|line| !line.contains("-s ")) {
                        let _ = write!(text, " -m iprange{not} --src-range 10.9.0.{first}-10.9.0.{last}");
                    }
                }
                _ => {}
            }
            let target = match random.below(8) {
                0 | 1 => " -j ACCEPT".to_owned(),
                2 | 3 => " -j DROP".to_owned(),
                4 if number > 0 => " -j RETURN".to_owned(),
                5 | 6 if number < 3 => format!(" -j {}", NAMES[number + 1 + random.below(3 - number as u64) as usize]),
                7 if number < 3 => format!(" -g {}", NAMES[number + 1 + random.below(3 - number as u64) as usize]),
                _ => String::new(),
            };
            let _ = writeln!(text, "{target}");
        }
    }
    text + "COMMIT\n"
}

/// Random tables as `nft -f` reads them: two base chains for what arrives, two chains that they jump to, a set of addresses, one
/// of ports, a map of verdicts. Addresses in 10.9.0.0/24, ports below 9.
pub fn tables(random: &mut Random) -> String {
    // No chain may come back to itself: jumps go to chains that stand in front.
    const NAMES: [&str; 4] = ["two", "one", "first", "second"];
    let mut text = format!(
        "table {} t {{\n set near {{ type ipv4_addr; flags interval; elements = {{ 10.9.0.4-10.9.0.{}, 10.9.0.16/30 }}\n }}\n \
         set prts {{ type inet_service; flags interval; elements = {{ 1, 3-{} }}\n }}\n \
         map verdicts {{ type inet_service : verdict; elements = {{ 2 : drop, 4 : accept, 6 : jump two }}\n }}\n",
        random.pick(&["inet", "ip"]),
        5 + random.below(8),
        4 + random.below(4),
    );
    for (number, name) in NAMES.iter().enumerate() {
        let policy = random.pick(&["accept", "accept", "drop"]);
        let _ = writeln!(text, " chain {name} {{");
        match *name {
            "first" => text.push_str("  type filter hook prerouting priority -10; policy accept;\n"),
            "second" => drop(writeln!(text, "  type filter hook input priority 0; policy {policy};")),
            _ => {}
        }
        for _ in 0..1 + random.below(4) {
            let conditions = [source(random), transport(random)];
            let order = if random.one_in(2) { [0, 1] } else { [1, 0] };
            let said: String = order.into_iter().map(|at| conditions[at].as_str()).collect();
            let verdict = verdict(random, &NAMES[..number.min(2)], number >= 2);
            // A map of verdicts has a protocol of its own.
            let said = if verdict.contains("dport vmap") { &conditions[0] } else { &said };
            let _ = writeln!(text, "  {said}{verdict}");
        }
        text.push_str(" }\n");
    }
    text + "}\n"
}

/// What is asked of the source, the interface or the connection, with a space behind, or nothing.
fn source(random: &mut Random) -> String {
    let not = random.pick(&["", "", "!= "]);
    let first = 2 + random.below(28);
    let last = first + 1 + random.below(6);
    let length = 28 + random.below(5);
    let network = first & (u64::MAX << (32 - length));
    match random.below(10) {
        0 => format!("ip saddr {not}10.9.0.{network}/{length} "),
        1 => format!("ip saddr {not}10.9.0.{first}-10.9.0.{last} "),
        2 => format!("ip saddr {not}@near "),
        3 => format!("ip saddr {not}{{ 10.9.0.{first}, 10.9.0.{} }} ", 40 + random.below(9)),
        5 => random.pick(&["ct state new ", "ct state invalid ", "ct state != invalid "]).to_owned(),
        6 => random.pick(&["ct state established,related ", "ct state { new, established } "]).to_owned(),
        4 => random.pick(&["iifname { \"a0\", \"lo\" } ", "iifname \"a0\" ", "iifname \"lo\" "]).to_owned(),
        _ => String::new(),
    }
}

/// What is asked of the protocol and ports.
fn transport(random: &mut Random) -> String {
    let not = random.pick(&["", "", "!= "]);
    let protocol = random.pick(&["tcp", "udp"]);
    let side = random.pick(&["sport", "dport"]);
    let first = random.below(8);
    let last = first + 1 + random.below(8 - first);
    match random.below(13) {
        0 => format!("{protocol} {side} {not}{first} "),
        1 => format!("{protocol} {side} {not}{first}-{last} "),
        2 => format!("{protocol} {side} {not}{{ {first}, {} }} ", last + 1),
        3 => format!("{protocol} {side} {not}@prts "),
        4 => format!("meta l4proto {{ tcp, udp }} th {side} {not}{first} "),
        5 => random.pick(&["icmp type { echo-request, 13 } ", "icmp type != echo-request ", "icmp code 0 "]).to_owned(),
        6 => format!(
            "tcp flags {}",
            random.pick(&["syn ", "== syn ", "syn,rst ", "& (syn|ack) != syn ", "& (fin|syn|rst|ack) == syn "])
        ),
        7 => format!("ip protocol {not}{} ", random.pick(&["tcp", "icmp", "{ udp, icmp }"])),
        8 => format!("meta l4proto {not}{protocol} "),
        9 => format!("ip saddr . tcp dport {{ 10.9.0.0/28 . {first}, 10.9.0.20-10.9.0.30 . 0-{last} }} "),
        _ => String::new(),
    }
}

/// What is done: `behind` are chains that may be called.
fn verdict(random: &mut Random, behind: &[&str], is_base: bool) -> String {
    let chain = behind.get(random.below(2) as usize % behind.len().max(1));
    match (random.below(12), chain) {
        (0..=2, _) => "accept".to_owned(),
        (3 | 4, _) => "counter drop".to_owned(),
        (5, _) => "counter".to_owned(),
        (6, _) => "reject".to_owned(),
        (7, Some(chain)) => format!("jump {chain}"),
        (8, Some(chain)) => format!("goto {chain}"),
        (9, Some(_)) => "tcp dport vmap @verdicts".to_owned(),
        (10, Some(chain)) => format!("udp dport vmap {{ {} : drop, 5-6 : accept, 7 : goto {chain} }}", random.below(5)),
        _ if is_base => "counter".to_owned(),
        _ => "return".to_owned(),
    }
}

//! Rules of ours as a script for nft.
//!
//! Chains stand where ours are met: `prerouting` for what arrives, `output` and `forward` for what leaves (where nft may
//! still reject), all behind connection tracking. In lists that tell forwarded packets from others, `input`, `output` and
//! `forward` have a chain each.

use std::fmt::Write as _;

use crate::import::reply::name_for_nft;
use crate::rules::{
    Action, Addresses, Direction, Family, Matches, Message, Ports, Prefix, Reply, Rule, RuleSet, Verdict,
    special::Condition, words,
};

/// A script, and what it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Export {
    /// What `nft -f` reads.
    pub text: String,
    /// Positions of rules that are not in it, from 0, with a clause why.
    pub missing: Vec<(usize, String)>,
}

/// What lines need besides their chains.
#[derive(Default)]
struct Besides {
    /// Sets in which sources have limits.
    dynamic: String,
    /// Whether the chain `refuse` is called, which answers as a plain `reject` of ours does.
    refuses: bool,
}

/// Addresses of one version that a side of a rule asks for.
enum Side {
    /// Any.
    Any,
    /// None of this version.
    None,
    /// What stands behind `saddr`.
    Text(String),
}

/// A list as a script for `nft -f`.
pub fn nft(rules: &RuleSet) -> Export {
    let mut export = Export::default();
    let mut besides = Besides::default();
    let mut chains = [const { String::new() }; 3];
    for (at, rule) in rules.rules.iter().enumerate() {
        match one(rules, rule, at, &mut besides) {
            Ok(lines) => {
                for (direction, line) in lines {
                    let _ = writeln!(chains[direction as usize], "    {line}");
                }
            }
            Err(why) => export.missing.push((at, why)),
        }
    }
    let mut text = "table inet skep {\n".to_owned();
    for (name, prefixes) in &rules.sets {
        for (family, kind) in [(Family::V4, "ipv4_addr"), (Family::V6, "ipv6_addr")] {
            let own = listed(prefixes.iter().filter(|prefix| prefix.family == family));
            let elements = if own.is_empty() { String::new() } else { format!(" elements = {{ {own} }}") };
            let name = set_name(name, family);
            let _ = writeln!(text, "  set {name} {{ type {kind}; flags interval; auto-merge;{elements}\n  }}");
        }
    }
    let defaults = [Some(rules.default_in), Some(rules.default_out), rules.default_forward];
    let defaults = defaults.map(|verdict| verdict.map(|verdict| default(verdict, &mut besides)));
    text.push_str(&besides.dynamic);
    if besides.refuses {
        let _ = writeln!(text, "  chain refuse {{\n    {RESET}\n    {UNREACHABLE}\n  }}");
    }
    for (((name, device), chain), default) in CHAINS.into_iter().zip(chains).zip(defaults) {
        let Some(default) = default else { continue };
        // Rules are asked about neither, and those of `in` are not about the loopback device.
        let _ = writeln!(
            text,
            "  chain {name} {{\n    {device} lo accept\n    icmpv6 type 133-136 accept\n{chain}{default}  }}"
        );
    }
    for (name, hook, priority) in if rules.default_forward.is_some() { HOOKS_APART } else { HOOKS } {
        let _ = writeln!(text, "  chain {hook} {{\n    type filter hook {hook} priority {priority}; policy accept;");
        let _ = writeln!(text, "    jump {name}\n  }}");
    }
    export.text = text + "}\n";
    export
}

/// The chains of the directions in their order, with what the interface is called in them that is not the loopback device.
const CHAINS: [(&str, &str); 3] = [("in", "iifname"), ("out", "oifname"), ("routed", "iifname")];
/// Where the chains are called: behind connection tracking, and behind the other filters of what leaves.
const HOOKS: [(&str, &str, i32); 3] = [("in", "prerouting", -150), ("out", "output", 10), ("out", "forward", 10)];
/// The same if forwarded packets are told from others, which is known behind the routes.
const HOOKS_APART: [(&str, &str, i32); 3] = [("in", "input", -150), ("out", "output", 10), ("routed", "forward", 10)];
/// The two parts of a plain `reject`.
const RESET: &str = "meta l4proto tcp reject with tcp reset";
const UNREACHABLE: &str = "reject with icmpx type port-unreachable";

/// The line at the end of a chain.
fn default(verdict: Verdict, besides: &mut Besides) -> String {
    match verdict {
        Verdict::Accept => String::new(),
        Verdict::Drop => "    counter drop\n".to_owned(),
        Verdict::Reject(reply) => match reject(reply, None, &[], besides) {
            Ok(text) => format!("    counter {text}\n"),
            // A default has a message of both versions; nothing passes if nft has none.
            Err(_) => "    counter drop\n".to_owned(),
        },
    }
}

/// The statement of a rejection in rules for these protocols, of one version or of both.
fn reject(reply: Reply, family: Option<Family>, protocols: &[u8], besides: &mut Besides) -> Result<String, String> {
    let message = match reply {
        Reply::Message(message) => message,
        Reply::Usual if protocols == [words::TCP] => return Ok("reject with tcp reset".to_owned()),
        Reply::Usual if !protocols.is_empty() && !protocols.contains(&words::TCP) => Message::USUAL,
        Reply::Usual => {
            besides.refuses = true;
            return Ok("jump refuse".to_owned());
        }
    };
    let word = match family {
        Some(Family::V4) => "icmp",
        Some(Family::V6) => "icmpv6",
        None => "icmpx",
    };
    let name = name_for_nft(message, family);
    let name = name.ok_or("nft has no such message for both versions: say `ipv4` or `ipv6`")?;
    Ok(format!("reject with {word} type {name}"))
}

/// The name of the part of a set with addresses of a version.
fn set_name(name: &str, family: Family) -> String {
    let number = if family == Family::V4 { 4 } else { 6 };
    // A name of nft begins with a letter.
    format!("s_{}_{number}", name.replace('-', "_"))
}

/// Prefixes with commas; none of them lies in another, which nft would refuse.
fn listed<'p>(prefixes: impl Iterator<Item = &'p Prefix> + Clone) -> String {
    let mut outer: Vec<&Prefix> = Vec::new();
    for prefix in prefixes.clone() {
        let inside = prefixes.clone().any(|other| other != prefix && other.covers(prefix));
        if !inside && !outer.contains(&prefix) {
            outer.push(prefix);
        }
    }
    outer.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The lines of a rule with the chain of each.
fn one(rules: &RuleSet, rule: &Rule, at: usize, besides: &mut Besides) -> Result<Vec<(Direction, String)>, String> {
    let sides = [&rule.matches.from, &rule.matches.to];
    if sides.into_iter().flatten().flat_map(|side| &side.sets).any(|set| rules.names.contains_key(set)) {
        return Err("its set has names of hosts, which nft would look up only once".to_owned());
    }
    let wanted = &rule.matches;
    // Everything that is written below; a rule that says more is not written at all.
    let said = Matches {
        direction: wanted.direction,
        interfaces: wanted.interfaces.clone(),
        family: wanted.family,
        protocols: wanted.protocols.clone(),
        from: wanted.from.clone(),
        from_port: wanted.from_port.clone(),
        to: wanted.to.clone(),
        to_port: wanted.to_port.clone(),
        states: wanted.states,
        flags: wanted.flags,
        fragment: wanted.fragment,
        icmp: wanted.icmp.clone(),
        mark: wanted.mark,
        conditions: wanted.conditions.iter().filter(|each| matches!(each, Condition::Leaves(_))).cloned().collect(),
        ..Matches::default()
    };
    let action = &rule.action;
    let done = Action {
        verdict: action.verdict,
        log: action.log.clone(),
        mark: action.mark,
        limit: action.limit,
        ..Action::default()
    };
    if said != *wanted {
        return Err(
            "it looks at something (a VLAN, the payload, ...) that has no counterpart at these hooks".to_owned()
        );
    }
    if done != *action {
        return Err("what it does has no counterpart at these hooks".to_owned());
    }
    let directions: Vec<Direction> = match wanted.direction {
        Some(only) => vec![only],
        None if rules.default_forward.is_some() => vec![Direction::In, Direction::Out, Direction::Forward],
        None => vec![Direction::In, Direction::Out],
    };
    let per_source = action.limit.is_some_and(|limit| limit.per_source);
    let leaves = wanted.conditions.iter().map(|condition| match condition {
        Condition::Leaves(interfaces) => devices(rules, "oifname", interfaces),
        _ => String::new(),
    });
    let leaves: String = leaves.collect();
    let mut lines = Vec::new();
    for family in families(rules, wanted, per_source) {
        let Some(condition) = condition(rules, wanted, family) else { continue };
        let statements = statements(rule, family, at, besides)?;
        for &direction in &directions {
            let own = if direction == Direction::Out { "oifname" } else { "iifname" };
            let device = devices(rules, own, &wanted.interfaces) + &leaves;
            lines.push((direction, format!("{device}{condition}{statements}")));
        }
    }
    Ok(lines)
}

/// The versions that a rule has to be written for, or none if one line says both.
fn families(rules: &RuleSet, wanted: &Matches, per_source: bool) -> Vec<Option<Family>> {
    let has_addresses = wanted.from.is_some() || wanted.to.is_some();
    if !has_addresses && !per_source && wanted.fragment.is_none() {
        return vec![wanted.family];
    }
    let meant = |family: &Family| {
        let some = |side: &Option<Addresses>| {
            side.as_ref().is_none_or(|side| !matches!(self::side(rules, side, *family), Side::None))
        };
        wanted.family.is_none_or(|wanted| wanted == *family) && some(&wanted.from) && some(&wanted.to)
    };
    Family::ALL.into_iter().filter(meant).map(Some).collect()
}

/// That the interface of a name of nft is one of these, with a space behind; nothing if none are named.
fn devices(rules: &RuleSet, which: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let all: Vec<String> =
        names.iter().flat_map(|name| rules.interfaces(name)).map(|name| format!("\"{name}\"")).collect();
    format!("{which} {{ {} }} ", all.join(", "))
}

fn side(rules: &RuleSet, addresses: &Addresses, family: Family) -> Side {
    let not = if addresses.negated { "!= " } else { "" };
    let inline: Vec<&Prefix> = addresses.prefixes.iter().filter(|prefix| prefix.family == family).collect();
    if let ([name], []) = (&addresses.sets[..], &addresses.prefixes[..]) {
        return Side::Text(format!("{not}@{}", set_name(name, family)));
    }
    // A set besides other addresses is written out.
    let named = addresses.sets.iter().filter_map(|name| rules.sets.get(name)).flatten();
    let named: Vec<&Prefix> = named.filter(|prefix| prefix.family == family).collect();
    let all: Vec<&Prefix> = inline.into_iter().chain(named).collect();
    match (all.is_empty(), addresses.negated) {
        (true, true) => Side::Any,
        (true, false) => Side::None,
        _ if all.iter().any(|prefix| prefix.length == 0) => {
            if addresses.negated {
                Side::None
            } else {
                Side::Any
            }
        }
        _ => Side::Text(format!("{not}{{ {} }}", listed(all.into_iter()))),
    }
}

fn range(range: &std::ops::RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// What a rule asks for, with a space behind; `None` if no packet of this version is like that.
fn condition(rules: &RuleSet, wanted: &Matches, family: Option<Family>) -> Option<String> {
    let mut text = String::new();
    let name = |family| if family == Family::V4 { "ip" } else { "ip6" };
    let mut has_version = false;
    for (addresses, word) in [(&wanted.from, "saddr"), (&wanted.to, "daddr")] {
        let (Some(addresses), Some(family)) = (addresses, family) else { continue };
        match side(rules, addresses, family) {
            Side::Any => {}
            Side::None => return None,
            Side::Text(list) => {
                has_version = true;
                let _ = write!(text, "{} {word} {list} ", name(family));
            }
        }
    }
    if let Some(family) = family.filter(|_| !has_version) {
        let _ = write!(text, "meta nfproto {} ", if family == Family::V4 { "ipv4" } else { "ipv6" });
    }
    if !wanted.protocols.is_empty() {
        let all: Vec<String> = wanted.protocols.iter().map(u8::to_string).collect();
        let _ = write!(text, "meta l4proto {{ {} }} ", all.join(", "));
    }
    for (ports, word) in [(&wanted.from_port, "sport"), (&wanted.to_port, "dport")] {
        let Some(Ports { .. }) = ports else { continue };
        let meant = ports.as_ref().map(Ports::meant).unwrap_or_default();
        if meant.is_empty() {
            return None;
        }
        // Those that overlap become one.
        let mut all: Vec<(u16, u16)> = meant.iter().map(|range| (*range.start(), *range.end())).collect();
        all.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (first, last) in all {
            match merged.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        let all: Vec<String> = merged.iter().map(|(first, last)| range(&(*first..=*last))).collect();
        if wanted.protocols.is_empty() {
            let _ = write!(text, "meta l4proto {{ 6, 17, 33, 132, 136 }} ");
        }
        let _ = write!(text, "th {word} {{ {} }} ", all.join(", "));
    }
    if let Some((value, mask)) = wanted.flags {
        let _ = write!(text, "tcp flags & {mask:#x} == {value:#x} ");
    }
    if !wanted.icmp.is_empty() {
        let icmp = if wanted.protocols == [words::ICMP6] { "icmpv6" } else { "icmp" };
        let pair = |(kind, code): &(u8, Option<u8>)| {
            code.map_or_else(|| format!("{kind} . 0-255"), |code| format!("{kind} . {code}"))
        };
        let all: Vec<String> = wanted.icmp.iter().map(pair).collect();
        if wanted.icmp.iter().all(|(_, code)| code.is_none()) {
            let all: Vec<String> = wanted.icmp.iter().map(|(kind, _)| kind.to_string()).collect();
            let _ = write!(text, "{icmp} type {{ {} }} ", all.join(", "));
        } else {
            let _ = write!(text, "{icmp} type . {icmp} code {{ {} }} ", all.join(", "));
        }
    }
    if wanted.states != 0 {
        let names = words::STATES.iter().filter(|(_, bit)| wanted.states & bit != 0).map(|(name, _)| *name);
        let _ = write!(text, "ct state {} ", names.collect::<Vec<_>>().join(","));
    }
    match (wanted.fragment, family) {
        (Some(is), Some(Family::V4)) => {
            let _ = write!(text, "ip frag-off & 0x3fff {} 0 ", if is { "!=" } else { "==" });
        }
        (Some(is), Some(Family::V6)) => text.push_str(if is { "exthdr frag exists " } else { "exthdr frag missing " }),
        _ => {}
    }
    match wanted.mark {
        Some((value, u32::MAX)) => drop(write!(text, "meta mark {value:#x} ")),
        Some((value, mask)) => drop(write!(text, "meta mark & {mask:#x} == {value:#x} ")),
        None => {}
    }
    Some(text)
}

/// What a rule does.
fn statements(rule: &Rule, family: Option<Family>, at: usize, besides: &mut Besides) -> Result<String, String> {
    let action = &rule.action;
    let mut parts = Vec::new();
    if let Some(limit) = action.limit {
        let unit = match limit.seconds {
            1 => "second",
            60 => "minute",
            3600 => "hour",
            _ => "day",
        };
        let rate = format!("limit rate over {}/{unit} burst {} packets", limit.packets, limit.burst);
        match (limit.per_source, family) {
            (false, _) => parts.push(rate),
            (true, Some(family)) => {
                let (number, kind, ip) =
                    if family == Family::V4 { (4, "ipv4_addr", "ip") } else { (6, "ipv6_addr", "ip6") };
                let name = format!("l_{}_{number}", at + 1);
                let head =
                    format!("  set {name} {{ type {kind}; size 65535; flags dynamic,timeout; timeout 1d;\n  }}\n");
                if !besides.dynamic.contains(&head) {
                    besides.dynamic.push_str(&head);
                }
                parts.push(format!("add @{name} {{ {ip} saddr {rate} }}"));
            }
            (true, None) => return Err("its limit is for the sources of both versions at once".to_owned()),
        }
    }
    parts.push("counter".to_owned());
    if let Some(text) = &action.log {
        if text.contains(['"', '\\', '\n']) {
            return Err("the text of its log cannot be quoted".to_owned());
        }
        parts.push(if text.is_empty() { "log".to_owned() } else { format!("log prefix \"{text}\"") });
    }
    if let Some(mark) = action.mark {
        parts.push(format!("meta mark set {mark:#x}"));
    }
    match action.verdict {
        Some(Verdict::Reject(reply)) => parts.push(reject(reply, family, &rule.matches.protocols, besides)?),
        verdict => parts.extend(verdict.map(|verdict| verdict.to_string())),
    }
    Ok(parts.join(" "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn rules_are_written_for_nft() {
        let text = "set office = { 10.0.0.0/8, 10.1.0.0/16, fd00::/8 }\nzone lan = { eth0, eth1 }\ndefault in drop\n\
             accept in on lan tcp from @office to port { 22, 80-90, 85 } state { new, established }\n\
             drop out to !{ 192.0.2.0/24 } mark 0x10/0xff\naccept in icmp type { 3/4, 8 }\n\
             limit 3/min burst 4 per source then drop in ipv4 udp\nlog \"no\" drop in fragment ipv4\n\
             drop in udp payload at 0 == \"x\"\ncount in tcp flags syn/syn,ack\n\
             reject out tcp to port 7\nreject out udp to port 7\nreject in to port 8\nreject with host-prohibited in ipv4\n\
             reject with net-unreachable out";
        let rules = crate::parse(text, &|_| Err(String::new())).unwrap();
        let export = super::nft(&rules);
        assert_eq!(export.missing.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [5]);
        for line in [
            "  set s_office_4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/8 }\n",
            "  chain prerouting {\n    type filter hook prerouting priority -150; policy accept;\n    jump in\n  }\n",
            "    type filter hook forward priority 10; policy accept;\n    jump out\n",
            "    counter drop\n  }\n  chain out {\n",
            "  chain refuse {\n    meta l4proto tcp reject with tcp reset\n    reject with icmpx type port-unreachable\n  }\n",
            "    meta l4proto { 6 } th dport { 7 } counter reject with tcp reset\n",
            "    meta l4proto { 17 } th dport { 7 } counter reject with icmpx type port-unreachable\n",
            "    meta l4proto { 6, 17, 33, 132, 136 } th dport { 8 } counter jump refuse\n",
            "    meta nfproto ipv4 counter reject with icmp type host-prohibited\n",
            "    counter reject with icmpx type no-route\n",
            "    iifname { \"eth0\", \"eth1\" } ip saddr @s_office_4 meta l4proto { 6 } th dport { 22, 80-90 } ct state \
             new,established counter accept\n",
            "    iifname { \"eth0\", \"eth1\" } ip6 saddr @s_office_6 meta l4proto { 6 } th dport { 22, 80-90 } ct state \
             new,established counter accept\n",
            "    ip daddr != { 192.0.2.0/24 } meta mark & 0xff == 0x10 counter drop\n",
            "    meta nfproto ipv6 meta mark & 0xff == 0x10 counter drop\n",
            "    meta l4proto { 1 } icmp type . icmp code { 3 . 4, 8 . 0-255 } counter accept\n",
            "    meta nfproto ipv4 meta l4proto { 17 } add @l_4_4 { ip saddr limit rate over 3/minute burst 4 packets } \
             counter drop\n",
            "    meta nfproto ipv4 ip frag-off & 0x3fff != 0 counter log prefix \"no\" drop\n",
            "    meta l4proto { 6 } tcp flags & 0x12 == 0x2 counter\n",
        ] {
            assert!(export.text.contains(line), "{line}\n{}", export.text);
        }
        assert!(!export.text.contains("chain routed"), "{}", export.text);
    }

    #[test]
    fn forwarded_packets_have_a_chain_of_their_own() {
        let text = "zone lan = { a1, a2 }\ndefault out drop\ndefault forward drop\naccept on a0 state established\n\
             accept forward on lan out-on { a0, lan } tcp to port 22\ndrop in udp\naccept forward udp from mac 02:00:00:00:00:01\n";
        let rules = crate::parse(text, &|_| Err(String::new())).unwrap();
        let export = super::nft(&rules);
        assert_eq!(export.missing.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3]);
        let (head, end) = ("icmpv6 type 133-136 accept", "ct state established counter accept");
        for chain in [
            format!(
                "  chain in {{\n    iifname lo accept\n    {head}\n    iifname {{ \"a0\" }} {end}\n    meta l4proto {{ 17 }} counter drop\n  }}\n"
            ),
            format!(
                "  chain out {{\n    oifname lo accept\n    {head}\n    oifname {{ \"a0\" }} {end}\n    counter drop\n  }}\n"
            ),
            format!(
                "  chain routed {{\n    iifname lo accept\n    {head}\n    iifname {{ \"a0\" }} {end}\n    iifname {{ \"a1\", \"a2\" }} \
                 oifname {{ \"a0\", \"a1\", \"a2\" }} meta l4proto {{ 6 }} th dport {{ 22 }} counter accept\n    counter drop\n  }}\n"
            ),
            "  chain input {\n    type filter hook input priority -150; policy accept;\n    jump in\n  }\n".to_owned(),
            "  chain forward {\n    type filter hook forward priority 10; policy accept;\n    jump routed\n  }\n"
                .to_owned(),
        ] {
            assert!(export.text.contains(&chain), "{chain}\n{}", export.text);
        }
        assert!(!export.text.contains("hook prerouting"), "{}", export.text);
    }
}

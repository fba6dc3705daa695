//! The rules of ufw: its files, which iptables-restore reads, and what `ufw show added` prints (man pages ufw(8),
//! ufw-framework(8)).
//!
//! The files have chains of ufw's own, which ufw itself puts behind `INPUT` and `OUTPUT`; its policies are in
//! `/etc/default/ufw`.

use std::collections::BTreeMap;

use skep_diag::Span;

use super::chains::{Chain, Chains, Entry, Target};
use super::iptables::{Defaults, Table};
use super::{Import, Remark, options};
use crate::rules::{
    Action, Addresses, Direction, Family, Limit, Matches, Message, Ports, Prefix, Reply, Rule, RuleSet, Verdict,
    parse_rule, words,
};

/// The parts of ufw behind a chain, in their order.
const PARTS: [&str; 3] = ["before", "user", "after"];
/// What `ufw limit` allows: six connections in thirty seconds.
const LIMIT: Limit = Limit { packets: 12, seconds: 60, burst: 6, per_source: true };
/// What ufw itself does in front of the rules that were added (its `before.rules` and `before6.rules`).
const BEFORE: &str = "accept on lo
accept state { established, related }
drop in state invalid
accept in icmp type { unreachable, time-exceeded, parameter-problem, echo-request }
accept in icmp6 type { unreachable, too-big, time-exceeded, parameter-problem, echo-request, echo-reply }
accept in ipv4 udp from port 67 to port 68
accept in udp to { 224.0.0.251, ff02::fb } port 5353
accept in udp to { 239.255.255.250, ff02::f } port 1900
";

/// Whether a table has chains of ufw and not those that call them.
fn is_part(table: &Table) -> bool {
    !table.chains.contains_key("INPUT") && table.chains.keys().any(|name| name.starts_with("ufw"))
}

/// Puts tables that came from files of ufw together, one for each version of the protocol.
pub fn join(tables: Vec<Table>, defaults: &Defaults, import: &mut Import) -> Vec<Table> {
    let (parts, mut whole): (Vec<Table>, Vec<Table>) = tables.into_iter().partition(is_part);
    if parts.is_empty() {
        return whole;
    }
    let mut joined: BTreeMap<Family, Table> = BTreeMap::new();
    for part in parts {
        let table = Table { family: part.family, chains: Chains::new(), remarks: Vec::new() };
        let table = joined.entry(part.family).or_insert(table);
        table.remarks.extend(part.remarks);
        for (name, chain) in part.chains {
            let entries = chain.entries;
            table.chains.entry(name).or_default().entries.extend(entries);
        }
    }
    if defaults.input.is_none() {
        let text = "DEFAULT_INPUT_POLICY".to_owned();
        let why = "it was not among the files (it is in /etc/default/ufw): what arrives is dropped".to_owned();
        import.different.push(Remark { line: 0, text, why });
    }
    let policies =
        [("input", defaults.input.unwrap_or(Verdict::Drop)), ("output", defaults.output.unwrap_or(Verdict::Accept))];
    for (family, mut table) in joined {
        let prefix = if family == Family::V4 { "ufw" } else { "ufw6" };
        for (direction, policy) in policies {
            let names = PARTS.iter().map(|part| format!("{prefix}-{part}-{direction}"));
            // Where files jump to those of the user themselves, they are not called a second time.
            let calls = |name: &String| {
                let jump = Target::Jump(name.clone());
                table.chains.values().flat_map(|chain| &chain.entries).any(|entry| entry.target == jump)
            };
            let called = names.filter(|name| table.chains.contains_key(name) && !calls(name));
            let call = |name| Entry {
                line: 0,
                text: String::new(),
                alternatives: vec![Matches::default()],
                limit: None,
                target: Target::Jump(name),
                different: None,
            };
            let entries = called.map(call).collect();
            table.chains.insert(direction.to_uppercase(), Chain { policy: Some(policy), entries });
        }
        whole.push(table);
    }
    whole
}

/// Whether a text is what `ufw show added` prints.
pub fn is_added(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next().is_some_and(|line| line.starts_with("Added user rules") || line.starts_with("ufw "))
}

/// Reads what `ufw show added` printed. What ufw does by itself stands in front of the rules, and its usual policies
/// behind them.
pub fn added(text: &str) -> Import {
    let mut import = Import::default();
    let known = RuleSet::default();
    let before = BEFORE.lines().filter_map(|line| parse_rule(line, &known).ok());
    import.rules.rules = before.map(|rule| Rule { span: Span::default(), ..rule }).collect();
    import.rules.default_in = Verdict::Drop;
    let mut different = |line: usize, text: &str, why: &str| {
        import.different.push(Remark { line, text: text.to_owned(), why: why.to_owned() });
    };
    different(0, "ufw default", "policies are not in this text: what arrives is dropped, what leaves is accepted");
    different(0, "before.rules", "what ufw accepts by itself is said as in its usual files");
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        let Some(words) = line.strip_prefix("ufw ") else { continue };
        match one(words) {
            Ok((rules, different)) => {
                import.rules.rules.extend(rules);
                let remark = |why: &str| Remark { line: number, text: line.to_owned(), why: why.to_owned() };
                import.different.extend(different.into_iter().map(remark));
            }
            Err(why) => import.missing.push(Remark { line: number, text: line.to_owned(), why }),
        }
    }
    import
}

/// A line behind `ufw`.
fn one(line: &str) -> Result<(Vec<Rule>, Option<&'static str>), String> {
    let all = options::words(&line.replace('\'', "\""))?;
    let mut words = all.iter().map(String::as_str).peekable();
    let action = words.next().unwrap_or_default();
    let port_unreachable = Verdict::Reject(Reply::Message(Message::USUAL));
    let (verdict, limit, different) = match action {
        "allow" => (Verdict::Accept, false, None),
        "deny" => (Verdict::Drop, false, None),
        // Connections of TCP are reset where a rule is about them alone.
        "reject" => (port_unreachable, false, None),
        "limit" => (
            Verdict::Accept,
            true,
            Some("six connections at once and one each five seconds, not six in thirty seconds"),
        ),
        "route" => return Err("forwarded packets have no rules of their own here".to_owned()),
        other => return Err(format!("there is no counterpart to `ufw {other}`")),
    };
    let mut log = None;
    let mut matches = Matches { direction: Some(Direction::In), ..Matches::default() };
    let mut to = true;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("behind `{word}` something is missing"));
        match word {
            "in" => matches.direction = Some(Direction::In),
            "out" => matches.direction = Some(Direction::Out),
            "on" => matches.interfaces.push(value()?.to_owned()),
            "log" | "log-all" => log = Some(format!("ufw {action} ")),
            "comment" => drop(value()?),
            "proto" => matches.protocols = vec![protocol(value()?)?],
            "from" | "to" => {
                to = word == "to";
                let addresses = addresses(value()?)?;
                *(if to { &mut matches.to } else { &mut matches.from }) = addresses;
            }
            "port" => {
                let ports = Some(ports(value()?)?);
                *(if to { &mut matches.to_port } else { &mut matches.from_port }) = ports;
            }
            "app" => return Err(format!("write the ports of the application `{}`", value()?)),
            simple => {
                let (port, named) = simple.split_once('/').map_or((simple, None), |(port, name)| (port, Some(name)));
                let problem = |_| format!("`{simple}` is no port; write the ports of this application");
                matches.to_port = Some(ports(port).map_err(problem)?);
                if let Some(name) = named {
                    matches.protocols = vec![protocol(name)?];
                }
            }
        }
    }
    if matches.protocols.is_empty() && (matches.to_port.is_some() || matches.from_port.is_some()) {
        matches.protocols = vec![words::TCP, 17];
    }
    let of_tcp = matches.protocols.contains(&words::TCP);
    let verdict = if verdict == port_unreachable && of_tcp { Verdict::Reject(Reply::Usual) } else { verdict };
    let make = |action, matches| Rule { action, matches, span: Span::default() };
    let mut rules = Vec::new();
    if limit {
        let action = Action { verdict: Some(Verdict::Drop), limit: Some(LIMIT), ..Action::default() };
        rules.push(make(action, Matches { states: 1, ..matches.clone() }));
    }
    rules.push(make(Action { verdict: Some(verdict), log, ..Action::default() }, matches));
    for rule in &rules {
        // What may stand together is for the language of the result to say.
        if let Err(errors) = parse_rule(&rule.to_string(), &RuleSet::default()) {
            return Err(errors.into_iter().next().map_or(String::new(), |error| error.message));
        }
    }
    Ok((rules, different))
}

fn protocol(name: &str) -> Result<u8, String> {
    let name = if name == "ipv6" { "41" } else { name };
    let found = words::number(words::PROTOCOLS, name).or_else(|| name.parse().ok());
    found.ok_or_else(|| format!("`{name}` is no known protocol"))
}

fn addresses(text: &str) -> Result<Option<Addresses>, String> {
    if text == "any" {
        return Ok(None);
    }
    Ok(Some(Addresses { negated: false, sets: Vec::new(), prefixes: vec![Prefix::parse(text)?] }))
}

/// Ports with commas; `8000:8100`.
fn ports(text: &str) -> Result<Ports, String> {
    let number = |text: &str| text.parse().ok().or_else(|| words::number(words::PORTS, text));
    let range = |text: &str| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(first..=last)
    };
    let ranges = text.split(',').map(range).collect::<Option<Vec<_>>>();
    Ok(Ports { negated: false, ranges: ranges.ok_or_else(|| format!("`{text}` is no port or range of ports"))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_rules_are_read() {
        let text = "Added user rules (see 'ufw status' for running firewall):\nufw allow 22/tcp\n\
             ufw allow from 192.168.1.0/24 to any port 8000:8100,9000 proto tcp comment 'the \"lab\"'\nufw deny out 25\n\
             ufw limit ssh/tcp\nufw reject in on eth0 from 10.0.0.1\n\
             ufw reject proto tcp from 10.0.0.2 to any port 25\nufw allow log proto udp from any port 53\n\
             ufw route allow in on eth0 out on eth1\nufw allow 'Nginx Full'\n";
        assert!(is_added(text));
        let import = added(text);
        let rules: Vec<String> = import.rules.rules.iter().map(ToString::to_string).collect();
        assert_eq!(
            rules[BEFORE.lines().count()..],
            [
                "accept in tcp to port 22",
                "accept in tcp from 192.168.1.0/24 to port { 8000-8100, 9000 }",
                "drop out tcp udp to port 25",
                "limit 12/min burst 6 per source then drop in tcp to port 22 state new",
                "accept in tcp to port 22",
                "reject with port-unreachable in on eth0 from 10.0.0.1",
                "reject in tcp from 10.0.0.2 to port 25",
                "log \"ufw allow \" accept in udp from port 53",
            ]
        );
        let missing: Vec<(usize, &str)> =
            import.missing.iter().map(|remark| (remark.line, remark.why.as_str())).collect();
        assert_eq!(
            missing,
            [
                (9, "forwarded packets have no rules of their own here"),
                (10, "`Nginx Full` is no port; write the ports of this application")
            ]
        );
        assert!(import.different.iter().any(|remark| remark.line == 5 && remark.why.contains("six connections")));
    }

    #[test]
    fn files_become_one_list() {
        let files = "DEFAULT_INPUT_POLICY=\"DROP\"\nDEFAULT_OUTPUT_POLICY=\"ACCEPT\"\nIPV6=yes\n\
             *filter\n:ufw-before-input - [0:0]\n:ufw-before-output - [0:0]\n-A ufw-before-input -i lo -j ACCEPT\n\
             -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n\
             *filter\n:ufw-user-input - [0:0]\n:ufw-user-limit - [0:0]\n### RULES ###\n\
             ### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input -p tcp --dport 22 -j ACCEPT\n\
             ### END RULES ###\nCOMMIT\n*filter\n:ufw6-user-input - [0:0]\n-A ufw6-user-input -s fd00::/8 -j ACCEPT\nCOMMIT\n";
        let import = crate::import::iptables(files).unwrap();
        assert!(import.missing.is_empty() && import.different.is_empty(), "{import}");
        assert_eq!(
            import.rules.to_string(),
            "default in drop\ndefault out accept\naccept in on lo ipv4\naccept in ipv4 state { established, related }\n\
             accept in ipv4 tcp to port 22\naccept in ipv6 from fd00::/8\n"
        );
        let import = crate::import::iptables(&files.replace("\"DROP\"", "\"REJECT\"")).unwrap();
        assert!(
            import.to_string().starts_with("default in reject with port-unreachable\ndefault out accept\n"),
            "{import}"
        );
    }
}

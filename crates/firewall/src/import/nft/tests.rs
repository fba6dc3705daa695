//! Single rules of nft. That the same packets pass is tried with nft itself in the tests of the command.

use super::*;

/// Imports a list of objects in a table `inet t` whose chain `c` is at the hook `input`.
fn import_of(objects: &str, policy: &str) -> Import {
    let text = format!(
        r#"{{"nftables": [{{"metainfo": {{}}}}, {{"table": {{"family": "inet", "name": "t"}}}},
        {{"chain": {{"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "{policy}"}}}},
        {{"chain": {{"family": "inet", "table": "t", "name": "web"}}}} {objects}]}}"#
    );
    import(&text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn rule(chain: &str, expressions: &str) -> String {
    format!(
        r#", {{"rule": {{"family": "inet", "table": "t", "chain": "{chain}", "handle": 7, "expr": [{expressions}]}}}}"#
    )
}

fn compare(left: &str, op: &str, right: &str) -> String {
    format!(r#"{{"match": {{"op": "{op}", "left": {left}, "right": {right}}}}}"#)
}

fn field(protocol: &str, field: &str) -> String {
    format!(r#"{{"payload": {{"protocol": "{protocol}", "field": "{field}"}}}}"#)
}

fn lines(import: &Import) -> Vec<String> {
    import.rules.rules.iter().map(ToString::to_string).collect()
}

const DROP: &str = r#", {"drop": null}"#;

#[test]
fn comparisons_become_matches() {
    let (saddr, dport, flags) = (field("ip", "saddr"), field("tcp", "dport"), field("tcp", "flags"));
    let masked = |left: &str, mask: &str| format!(r#"{{"&": [{left}, {mask}]}}"#);
    let mark = r#"{"meta": {"key": "mark"}}"#;
    let rows = [
        (compare(&saddr, "==", r#""10.0.0.1""#), vec!["drop in ipv4 from 10.0.0.1"]),
        (compare(&saddr, "!=", r#"{"prefix": {"addr": "10.0.0.0", "len": 8}}"#), vec!["drop in ipv4 from !10.0.0.0/8"]),
        (
            compare(&saddr, "==", r#"{"range": ["10.0.0.1", "10.0.0.3"]}"#),
            vec!["drop in ipv4 from { 10.0.0.1, 10.0.0.2/31 }"],
        ),
        (compare(&dport, "==", r#"{"set": [22, {"range": [80, 90]}]}"#), vec!["drop in tcp to port { 22, 80-90 }"]),
        (compare(&dport, "!=", "22"), vec!["drop in tcp to port !22"]),
        (compare(&dport, ">", "1023"), vec!["drop in tcp to port 1024-65535"]),
        (
            format!(
                "{}, {}",
                compare(r#"{"meta": {"key": "l4proto"}}"#, "==", r#"{"set": ["tcp", "udp"]}"#),
                compare(&field("th", "dport"), "==", "53")
            ),
            vec!["drop in tcp udp to port 53"],
        ),
        (compare(&flags, "in", r#"["syn", "rst"]"#), vec!["drop in tcp flags syn/syn", "drop in tcp flags rst/rst"]),
        (compare(&masked(&flags, r#"["syn", "ack"]"#), "==", r#""syn""#), vec!["drop in tcp flags syn/syn,ack"]),
        (
            compare(&masked(&flags, r#"["syn", "ack"]"#), "!=", r#""syn""#),
            vec!["drop in tcp flags none/syn", "drop in tcp flags syn,ack/syn,ack"],
        ),
        (compare(&field("icmp", "type"), "==", r#""echo-request""#), vec!["drop in ipv4 icmp type echo-request"]),
        (
            format!(
                "{}, {}",
                compare(&field("icmp", "type"), "==", r#""destination-unreachable""#),
                compare(&field("icmp", "code"), "==", r#""port-unreachable""#)
            ),
            vec!["drop in ipv4 icmp type unreachable/3"],
        ),
        (
            compare(r#"{"ct": {"key": "state"}}"#, "in", r#"["established", "related"]"#),
            vec!["drop in state { established, related }"],
        ),
        (
            compare(r#"{"ct": {"key": "state"}}"#, "!=", r#""invalid""#),
            vec!["drop in state { new, established, related }"],
        ),
        (
            compare(r#"{"meta": {"key": "iifname"}}"#, "==", r#"{"set": ["eth0", "lo"]}"#),
            vec!["drop in on { eth0, lo }"],
        ),
        // At this hook no packet leaves.
        (compare(r#"{"meta": {"key": "oifname"}}"#, "==", r#""eth0""#), vec![]),
        (compare(&masked(mark, "255"), "==", "16"), vec!["drop in mark 0x10/0xff"]),
        (compare(&masked(mark, "3"), "!=", "1"), vec!["drop in mark 0x0/0x1", "drop in mark 0x3/0x3"]),
        (
            compare(
                &format!(r#"{{"concat": [{saddr}, {dport}]}}"#),
                "==",
                r#"{"set": [{"concat": ["10.0.0.1", 80]}, {"concat": [{"prefix": {"addr": "10.1.0.0", "len": 16}}, {"range": [1, 2]}]}]}"#,
            ),
            vec!["drop in ipv4 tcp from 10.0.0.1 to port 80", "drop in ipv4 tcp from 10.1.0.0/16 to port 1-2"],
        ),
        (
            r#"{"limit": {"rate": 5, "burst": 9, "per": "minute", "inv": true}}"#.to_owned(),
            vec!["limit 5/min burst 9 then drop in"],
        ),
        (
            format!(
                r#"{}, {{"set": {{"op": "add", "elem": {saddr}, "set": "@d", "stmt": [{{"limit": {{"rate": 3, "per": "second", "inv": true}}}}]}}}}"#,
                compare(&dport, "==", "22")
            ),
            vec!["limit 3/s burst 5 per source then drop in ipv4 tcp to port 22"],
        ),
        (
            r#"{"counter": {"packets": 1, "bytes": 2}}, {"log": {"prefix": "no "}}"#.to_owned(),
            vec!["log \"no \" in", "drop in"],
        ),
    ];
    for (expressions, expected) in rows {
        let import = import_of(&rule("c", &format!("{expressions}{DROP}")), "accept");
        assert_eq!(
            (lines(&import), &import.missing[..]),
            (expected.iter().map(|rule| rule.to_string()).collect(), &[][..])
        );
    }
}

#[test]
fn maps_chains_sets_and_policies() {
    let objects = [
        r#", {"set": {"family": "inet", "table": "t", "name": "a.b", "type": "ipv4_addr", "flags": ["timeout"], "elem": ["10.0.0.1", {"elem": {"val": {"range": ["10.1.0.0", "10.1.0.1"]}, "timeout": 9}}]}}"#,
        r#", {"map": {"family": "inet", "table": "t", "name": "m", "type": "inet_service", "map": "verdict", "elem": [[22, {"accept": null}], [80, {"jump": {"target": "web"}}], [81, {"continue": null}]]}}"#,
        &rule("web", &format!("{}{DROP}", compare(&field("ip", "saddr"), "==", r#""@a.b""#))),
        &rule("c", &format!(r#"{{"vmap": {{"key": {}, "data": "@m"}}}}"#, field("tcp", "dport"))),
    ];
    let import = import_of(&objects.concat(), "drop");
    assert_eq!(
        import.to_string(),
        "set a_b = { 10.0.0.1, 10.1.0.0/31 }\ndefault in drop\ndefault out accept\naccept in tcp to port 22\n\
         drop in ipv4 tcp from @a_b to port 80\n"
    );
}

#[test]
fn rejections_are_told_apart() {
    for (kind, expected) in [
        (r#"{"type": "tcp reset"}"#, "reject in tcp"),
        (r#"{"type": "icmp", "expr": "prot-unreachable"}"#, "reject with proto-unreachable in ipv4"),
        (r#"{"type": "icmpv6", "expr": "addr-unreachable"}"#, "reject with host-unreachable in ipv6"),
        (r#"{"type": "icmpx", "expr": "no-route"}"#, "reject with net-unreachable in"),
        ("null", "reject with port-unreachable in"),
    ] {
        let import = import_of(&rule("c", &format!(r#"{{"reject": {kind}}}"#)), "accept");
        assert_eq!((lines(&import), &import.missing[..]), (vec![expected.to_owned()], &[][..]), "{kind}");
    }
    let import = import_of(&rule("c", r#"{"reject": {"type": "icmp", "expr": "frag-needed"}}"#), "accept");
    assert!(import.missing[0].why.contains("cannot be answered with `frag-needed`"), "{import}");
}

/// What one base chain accepts goes on in the next one.
#[test]
fn base_chains_stand_behind_each_other() {
    let second = r#", {"chain": {"family": "ip", "table": "u", "name": "c", "type": "filter", "hook": "input", "prio": -5, "policy": "accept"}}"#;
    let accept = format!(
        r#", {{"rule": {{"family": "ip", "table": "u", "chain": "c", "expr": [{}, {{"accept": null}}]}}}}"#,
        compare(&field("tcp", "dport"), "==", "80")
    );
    let drop = rule("c", &format!("{}{DROP}", compare(&field("ip", "saddr"), "==", r#""10.0.0.1""#)));
    let import = import_of(&format!("{second}{accept}{drop}"), "drop");
    let expected =
        ["drop in ipv4 tcp from 10.0.0.1 to port 80", "drop in ipv4 tcp to port 80", "drop in ipv4 from 10.0.0.1"];
    assert_eq!(lines(&import), expected, "{import}");
    assert_eq!(import.rules.default_in, Verdict::Drop);
}

/// Forwarded packets meet the chains in front of the routes and behind them, too.
#[test]
fn chains_about_forwarded_packets_are_lined_up() {
    let chain = |hook: &str, more: &str| {
        format!(
            r#", {{"chain": {{"family": "ip", "table": "f", "name": "{hook}", "type": "filter", "hook": "{hook}", "prio": 0 {more}}}}}"#
        )
    };
    let rule = |hook: &str, expressions: &str| {
        format!(r#", {{"rule": {{"family": "ip", "table": "f", "chain": "{hook}", "expr": [{expressions}]}}}}"#)
    };
    let device =
        |key: &str, name: &str| compare(&format!(r#"{{"meta": {{"key": "{key}"}}}}"#), "==", &format!(r#""{name}""#));
    let (a0, a1) = (device("iifname", "a0"), device("oifname", "a1"));
    let text = [
        chain("prerouting", ""),
        chain("forward", r#", "policy": "drop""#),
        chain("postrouting", ""),
        rule("prerouting", &format!("{}{DROP}", device("iifname", "a5"))),
        // Which interface a packet leaves through is not known there.
        rule("prerouting", &format!("{a1}, {a0}{DROP}")),
        rule("forward", &format!(r#"{a1}, {a0}, {{"accept": null}}"#)),
        rule("postrouting", &format!("{a1}{DROP}")),
    ]
    .concat();
    let import = import_of(&text, "accept");
    assert_eq!(
        lines(&import),
        [
            "drop in on a5 ipv4",
            "drop out on a1 ipv4",
            "drop forward on a5 ipv4",
            "drop forward on a0 ipv4 out-on a1",
            "drop forward ipv4",
        ],
        "{import}"
    );
    assert_eq!(import.rules.default_forward, Some(Verdict::Accept));
    // Without a policy or a rule no chain says anything about them alone.
    let import = import_of(&chain("forward", ""), "accept");
    assert_eq!(import.rules.default_forward, None);
}

#[test]
fn what_cannot_be_said_is_named() {
    let dport = compare(&field("tcp", "dport"), "==", "22");
    let rows = [
        (
            r#"{"limit": {"rate": 10, "burst": 4, "per": "second"}}, {"accept": null}"#,
            "write `limit 10/second then drop",
        ),
        (r#"{"masquerade": null}"#, "changes packets"),
        (r#"{"xt": null}"#, "iptables-save"),
        (r#"{"match": {"op": "==", "left": {"meta": {"key": "pkttype"}}, "right": "broadcast"}}"#, "no counterpart"),
        (r#"{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "wlan*"}}"#, "patterns"),
        (
            r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "ttl"}}, "right": 3}}"#,
            "no counterpart",
        ),
        (r#"{"set": {"op": "add", "elem": {}, "set": "@d"}}"#, "elements that rules put into sets"),
        ("7", "no counterpart"),
    ];
    for (expression, why) in rows {
        let import = import_of(&rule("c", &format!("{dport}, {expression}")), "accept");
        assert!(import.rules.rules.is_empty(), "{import}");
        let [remark] = &import.missing[..] else { panic!("{expression}: {:?}", import.missing) };
        assert!(
            remark.why.contains(why) && remark.line == 1 && remark.text.starts_with("inet t c handle 7: "),
            "{remark:?}"
        );
    }
    let circle = rule("web", r#"{"jump": {"target": "web"}}"#) + &rule("c", r#"{"jump": {"target": "web"}}"#);
    let text = format!(
        r#"{{"nftables": [{{"chain": {{"family": "inet", "table": "t", "name": "c", "hook": "input", "type": "filter"}}}},
        {{"chain": {{"family": "inet", "table": "t", "name": "web"}}}} {circle}]}}"#
    );
    assert!(import(&text).unwrap_err().1.contains("a circle"));
    assert!(import("{}").unwrap_err().1.contains("no list `nftables`"));
}

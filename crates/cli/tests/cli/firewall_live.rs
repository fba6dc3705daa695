//! `skep firewall` while it is in force: sets that change, processes that are killed, rules that come from nft and go back.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use skep_firewall::fuzz::Random;

use crate::firewall::{PACKETS, in_namespaces};
use crate::support::{skep_with, skip};

#[test]
fn sets_change_in_place() {
    in_namespaces(
        r#"
serve 80 81
cat > /run/rules <<'END'
set bad = { 10.9.0.77 }
set good = { }
drop in icmp from @bad
drop in tcp from !@good to port 81
count in icmp6
END
yes $skep firewall apply /run/rules >/dev/null
yes ping4; yes open 80; no open 81
[ "$($skep firewall set add bad 10.9.0.2 10.8.0.0/16 10.9.0.77)" = '2 added, 1 were there' ]
no ping4; yes open 80
[ "$($skep firewall set list bad | tr '\n' ' ')" = '10.8.0.0/16 10.9.0.2 10.9.0.77 ' ]
# Counts of rules stay, and so does the set when one rule is added.
[ "$($skep firewall list | awk '/drop in icmp from/ { print $2 }')" -ge 1 ]
yes $skep firewall add drop in udp from @bad
no ping4
yes $skep firewall set del bad 10.9.0.2 >/dev/null
yes ping4
no $skep firewall set del bad 10.9.0.2 2>/run/said >/dev/null
grep -q "0 taken out, 1 were not in" /run/said
# What is not in a set.
yes $skep firewall set add good 10.9.0.2 >/dev/null
yes open 81
yes $skep firewall set add good 10.20.0.0/16 >/dev/null
yes open 81
yes $skep firewall set del good 10.9.0.2 >/dev/null
no open 81
# For a while.
yes $skep firewall set add bad 10.9.0.2 --timeout 4 >/dev/null
no ping4
$skep firewall set list bad | grep -q '10.9.0.2  # leaves in'
soon ping4
[ "$($skep firewall set list bad | grep -c 10.9.0.2)" = 0 ]
# From a file, many at once.
for i in $(seq 1 2000); do echo "10.30.$((i / 256)).$((i % 256))"; done > /run/many
echo 10.9.0.2 >> /run/many
[ "$($skep firewall set load bad /run/many)" = '2001 added, 2 taken out' ]
no ping4
echo '10.9.0.77 # one' | $skep firewall set load bad - >/dev/null
yes ping4
no $skep firewall set add nobody 10.9.0.2 2>/run/said
grep -q 'there is no set `nobody` in force; there are: bad, good' /run/said
no $skep firewall set add bad 10.9.0.0/33 2>/run/said
"#,
    );
}

/// Connections through this host have no sockets here: the kernel's own tracking knows them.
#[test]
fn forwarded_connections_survive_first_enforcement() {
    if !Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return skip("nft is not installed");
    }
    in_namespaces(
        r#"
unshare -n sleep 900 & third=$!
until [ "$(readlink /proc/$third/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
trap 'kill $other $third $(jobs -p) 2>/dev/null || true' EXIT
far() { nsenter -t $third -n "$@"; }
ip link add c0 type veth peer name d0 netns $third
ip addr add 10.8.0.1/24 dev c0; ip link set c0 up
far ip addr add 10.8.0.2/24 dev d0; far ip link set d0 up; far ip link set lo up
far ip route add default via 10.8.0.1; peer ip route add default via 10.9.0.1
sysctl -qw net.ipv4.ip_forward=1
nft 'table ip t { chain c { type filter hook forward priority 0; ct state established accept; }; }'
far python3 -c '
import socket
s = socket.socket(); s.bind(("10.8.0.2", 80)); s.listen(8); open("/run/far", "w").close()
c, _ = s.accept()
while True: c.sendall(c.recv(16))' &
soon [ -e /run/far ]
mkfifo /run/in
peer bash -c 'exec 3<>/dev/tcp/10.8.0.2/80; echo zero >&3; head -c 5 <&3; while read -r line; do echo "$line" >&3; timeout 30 head -c 4 <&3; done' < /run/in > /run/out &
exec 4> /run/in
soon grep -q zero /run/out
[ -r /proc/net/nf_conntrack ] || { echo all is well; exit 0; }
printf 'default in drop\naccept in state established\n' > /run/rules
yes $skep firewall apply /run/rules >/dev/null
no peer timeout 1 bash -c 'exec 3<>/dev/tcp/10.8.0.2/80' 2>/dev/null
echo one >&4
soon grep -q one /run/out
$skep firewall list | grep -q '^connections: [1-9][0-9]* of 65536$'
$skep firewall list --metrics | grep -q '^skep_firewall_connections_limit 65536$'
"#,
    );
}

/// A process that is killed at any moment leaves the old rules or the new ones, complete, and what enforces them.
#[test]
fn killed_commands_leave_old_rules_or_new_ones() {
    in_namespaces(
        r#"
for i in $(seq 1 400); do echo "count in udp from 10.77.$((i / 256)).$((i % 256)) to port { 1, 2, 3 }"; done > /run/more
{ echo 'set s = { 10.66.0.1 }'; echo 'drop in icmp'; echo 'drop in udp from @s'; } > /run/a
{ echo 'set s = { 10.66.0.1 }'; echo 'drop in icmp'; echo 'drop in udp from @s'; cat /run/more; } > /run/b
yes $skep firewall apply /run/a >/dev/null
rules() { $skep firewall export | grep -v -e ^default -e ^set | sort | md5sum; }
killed=0
# Runs a command, kills it after a random time of up to so many milliseconds; the rules are those of before or those with the change.
strike() {
  most=$1; shift
  before=$(rules)
  "$@" >/dev/null 2>&1 & victim=$!
  sleep $(printf '0.%03d' $((RANDOM % most)))
  if kill -9 $victim 2>/dev/null; then killed=$((killed + 1)); fi
  wait $victim 2>/dev/null || true
  # Enforced all the time, also before anybody looks.
  no peer ping -c 1 -W 0.2 10.9.0.1 >/dev/null 2>&1
  after=$(rules)
}
for turn in $(seq 1 12); do
  strike 150 $skep firewall apply /run/b
  whole=$(sort /run/b | grep -v ^set | md5sum); old=$(sort /run/a | grep -v ^set | md5sum)
  [ "$after" = "$before" ] || [ "$($skep firewall export | wc -l)" = 405 ] || { echo "FAILED: apply left $($skep firewall export | wc -l) lines"; exit 1; }
  [ $((turn % 2)) = 1 ] || yes $skep firewall apply /run/a >/dev/null
done
yes $skep firewall apply /run/a >/dev/null
for turn in $(seq 1 15); do
  n=$($skep firewall export | wc -l)
  strike 12 $skep firewall add accept in tcp from 10.55.0.$turn to port '{' 1, 5-9, 40-5000, 7000, 8000 '}'
  m=$($skep firewall export | wc -l)
  [ $m = $n ] || [ $m = $((n + 1)) ] || { echo "FAILED: add left $m of $n"; exit 1; }
  strike 12 $skep firewall delete $((m - 3))
  [ "$($skep firewall export | wc -l)" -ge $((m - 1)) ]
  [ $m -gt 5 ] || yes $skep firewall add accept in tcp from 10.54.0.$turn
  strike 12 $skep firewall set add s 10.66.1.$turn
  $skep firewall set list s >/dev/null
done
[ $killed -ge 12 ] || { echo "FAILED: only $killed were killed"; exit 1; }
# Everything still works.
yes $skep firewall apply /run/a >/dev/null
no ping4
yes $skep firewall off
yes ping4
"#,
    );
}

/// A script for nft with sets, maps, chains and everything that packets of [`PACKETS`] can be told apart by.
fn script(random: &mut Random) -> String {
    let mut text = "table inet t {\n set near { type ipv4_addr; flags interval; elements = { 10.9.0.4-10.9.0.9, 10.9.0.16/30 }\n }\n \
                    set prts { type inet_service; flags interval; elements = { 1, 3-5 }\n }\n \
                    map verdicts { type inet_service : verdict; elements = { 2 : drop, 4 : accept, 6 : jump two }\n }\n"
        .to_owned();
    let pick = |random: &mut Random, list: &[&str]| list[random.below(list.len() as u64) as usize].to_owned();
    let rule = |random: &mut Random, chains: &[&str]| {
        let mut rule = String::new();
        if random.one_in(3) {
            let first = random.below(28) + 2;
            rule += &match random.below(4) {
                0 => "ip saddr @near ".to_owned(),
                1 => format!("ip saddr != 10.9.0.{}/30 ", first & !3),
                2 => format!("ip saddr 10.9.0.{first}-10.9.0.{} ", first + 1 + random.below(4)),
                _ => format!("ip saddr {{ 10.9.0.{first}, 10.9.0.40 }} "),
            };
        }
        let (low, not) = (random.below(7), pick(random, &["", "!= "]));
        rule += &match random.below(9) {
            0 => format!("tcp dport {not}{{ {low}, 8 }} "),
            1 => format!("udp sport {not}{low}-{} ", low + 1),
            2 => format!("meta l4proto {{ tcp, udp }} th dport {not}{low} "),
            3 => format!(
                "tcp flags {} ",
                pick(random, &["syn", "& (syn|ack) == syn", "& (syn|ack) != syn", "syn,rst", "== syn"])
            ),
            4 => "icmp type { echo-request, 13 } ".to_owned(),
            5 => format!("udp dport {not}@prts "),
            6 => format!("ip saddr . tcp dport {{ 10.9.0.0/28 . {low}, 10.9.0.20-10.9.0.30 . 0-3 }} "),
            7 => "iifname { \"a0\", \"lo\" } ip protocol icmp ".to_owned(),
            _ => String::new(),
        };
        rule + &match random.below(7) {
            0 | 1 => "accept".to_owned(),
            2 | 3 => "counter drop".to_owned(),
            4 if !chains.is_empty() => format!("{} {}", pick(random, &["jump", "goto"]), pick(random, chains)),
            5 if !chains.is_empty() => {
                pick(random, &["tcp dport vmap @verdicts", "udp dport vmap { 1 : drop, 2-3 : accept, 5 : goto two }"])
            }
            6 if chains.len() < 2 => "return".to_owned(),
            _ => "counter".to_owned(),
        }
    };
    let chains: [(&str, &str, &[&str]); 4] = [
        ("two", "", &[]),
        ("one", "", &["two"]),
        ("first", "type filter hook prerouting priority -10; policy accept;", &["one", "two"]),
        ("second", "type filter hook input priority 0; policy POLICY;", &["one", "two"]),
    ];
    for (name, head, below) in chains {
        let policy = pick(random, &["accept", "drop"]);
        let _ = writeln!(text, " chain {name} {{\n  {}", head.replace("POLICY", &policy));
        for _ in 0..2 + random.below(4) {
            let rule = rule(random, below);
            // A rule compares one protocol only once.
            let twice = rule.contains("vmap")
                && (rule.contains("port @")
                    || rule.contains("port {")
                    || rule.contains("flags")
                    || rule.contains("icmp"));
            let _ = writeln!(text, "  {}", if twice { "counter" } else { &rule });
        }
        let _ = writeln!(text, " }}");
    }
    text + "}\n"
}

#[test]
fn imported_listings_decide_as_nft_does_and_go_back() {
    if !Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return skip("nft is not installed");
    }
    let mut random = Random(0x0f7);
    let directory = tempfile::tempdir().unwrap();
    for number in 0..8 {
        std::fs::write(directory.path().join(format!("{number}")), script(&mut random)).unwrap();
    }
    let script = r#"
different=0
for file in $chains/*; do
  nft -f $file 2>/run/said || { cat $file /run/said; exit 1; }
  nft -j list ruleset > /run/saved
  pass /run/theirs
  nft flush ruleset
  yes $skep firewall import /run/saved > /run/rules
  yes $skep firewall apply /run/rules >/dev/null
  pass /run/ours
  yes $skep firewall off
  yes $skep firewall export --nft /run/rules > /run/back
  yes nft -f /run/back
  pass /run/again
  nft flush ruleset
  for kind in ours again; do
    cmp -s /run/theirs /run/$kind || { echo "FAILED: $kind: $(cat $file /run/rules)"; [ $kind = ours ] || cat /run/back; diff <(tr ' ' '\n' < /run/theirs) <(tr ' ' '\n' < /run/$kind) | head; exit 1; }
  done
  [ "$(wc -w < /run/ours)" = 600 ] || different=$((different + 1))
done
[ $different -ge 5 ] || { echo "FAILED: only $different lists drop anything"; exit 1; }
"#;
    in_namespaces(&format!("chains={}\n{PACKETS}{script}", directory.path().display()));
}

#[test]
fn other_firewalls_are_told_apart() {
    let added =
        skep_with(["firewall", "import", "-"], b"Added user rules (see 'ufw status'):\nufw allow 22/tcp\n").ok();
    assert!(added.out.ends_with("accept in tcp to port 22\n") && added.out.contains("default in drop"), "{added:?}");
    assert!(added.err.contains("note: standard input: policies are not in this text"), "{}", added.err);
    let listing = br#"{"nftables": [{"chain": {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 2, "expr": [{"masquerade": null}]}}]}"#;
    let refused = skep_with(["firewall", "import", "-"], listing);
    assert_eq!((refused.status, refused.out.as_str()), (Some(1), ""), "{refused:?}");
    let line = "not imported: standard input: rule 1: `masquerade` changes packets, which is left to nftables\n  ip t c handle 2: ";
    assert!(refused.err.contains(line), "{}", refused.err);
    let unit = skep_with(["firewall", "unit"], b"").ok();
    assert!(
        unit.out.contains("Before=network-pre.target")
            && unit.out.contains(" firewall apply /etc/skep/firewall.skep\n")
    );
}

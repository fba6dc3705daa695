//! `skep firewall` while it is in force: sets that change, processes that are killed, rules that come from nft and go back.

use std::process::{Command, Stdio};

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

#[test]
fn imported_listings_decide_as_nft_does_and_go_back() {
    if !Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return skip("nft is not installed");
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
    let chains = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/nft");
    in_namespaces(&format!("chains={chains}\n{PACKETS}{script}"));
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

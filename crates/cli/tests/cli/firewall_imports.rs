//! Rules of other firewalls: the same packets pass, and senders are told the same, as with iptables and nft themselves.

use std::process::{Command, Stdio};

use skep_firewall::fuzz::{self, Random};

use crate::firewall::in_namespaces;
use crate::support::{skep_with, skip};

/// Whether a program is installed.
pub fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// How many random lists are tried: 8, or one for every three seconds that `SKEP_FUZZ_SECONDS` says.
pub fn lists() -> u64 {
    skep_random::asked_duration().map_or(8, |time| (time.as_secs() / 3).max(8))
}

/// The same packets pass with chains of iptables and with what comes of them here.
#[test]
fn imported_chains_decide_as_iptables_does() {
    if !["iptables-restore", "iptables-save"].into_iter().all(has) {
        return skip("iptables is not installed");
    }
    let mut random = Random(0x1a7e5);
    let directory = tempfile::tempdir().unwrap();
    for number in 0..lists() {
        std::fs::write(directory.path().join(format!("{number}")), fuzz::chains(&mut random)).unwrap();
    }
    in_namespaces(&format!("chains={}\n{PACKETS}{SAME_PACKETS}", directory.path().display()));
}

/// Sends packets of three protocols with their numbers as identification, each the first of its connection; `hear` prints the numbers of those that raw sockets
/// get, which stand behind iptables and traffic control.
const PACKETS: &str = r#"
# The senders have a link address: what the kernel answers them would wait for one otherwise, at the cost of the one socket that
# a processor has for the ICMP errors of all namespaces, and tests beside this one would get none.
link=$(peer ip -br link show b0 | awk '{ print $3 }')
for number in $(seq 3 31); do ip neigh replace 10.9.0.$number lladdr $link dev a0 nud permanent; done
cat > /run/packets.py <<'END'
import random, socket, struct, sys, time
from sums import sum16
if sys.argv[1] == "send":
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    random.seed(7)
    target, known = socket.inet_aton("10.9.0.1"), set()
    for number in range(1, 601):
        while True:
            source = socket.inet_aton("10.9.0.%d" % random.randint(2, 31))
            kind = random.choice([1, 6, 6, 17, 17])
            ports = (random.randint(0, 8), random.randint(0, 8))
            if kind == 1 or (source, kind, ports) not in known: break
        known.add((source, kind, ports))
        if kind == 1:
            body = struct.pack("!BBHHH", random.choice([13, 8]), 0, 0, number, 1)
            body = body[:2] + struct.pack("!H", sum16(body)) + body[4:]
        elif kind == 6:
            body = struct.pack("!HHIIBBHHH", *ports, number, 0, 5 << 4, random.choice([0, 2, 16, 18, 17, 4]), 1024, 0, 0)
        else:
            body = struct.pack("!HHHH", *ports, 8 + 4, 0) + b"skep"
        if kind == 6:
            check = sum16(source + target + struct.pack("!HH", kind, len(body)) + body)
            body = body[:16] + struct.pack("!H", check) + body[18:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number, 0, 64, kind, 0, source, target)
        out.sendto(head + body, ("10.9.0.1", 0))
        if number % 50 == 0: time.sleep(0.01)
else:
    import os, select
    heard = [socket.socket(socket.AF_INET, socket.SOCK_RAW, kind) for kind in (1, 6, 17)]
    for each in heard: each.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    open("/run/hearing", "w").close()
    numbers = set()
    while True:
        ready = select.select(heard, [], [], 0.5)[0]
        if not ready and os.path.exists("/run/sent"): break
        for each in ready:
            packet = each.recv(2048)
            if packet[12:16] != socket.inet_aton("10.9.0.1"):
                numbers.add(struct.unpack("!H", packet[4:6])[0])
    print(*sorted(numbers))
END
pass() {
  rm -f /run/hearing /run/sent
  python3 /run/packets.py hear > "$1" & hearer=$!
  until [ -e /run/hearing ]; do kill -0 $hearer; sleep 0.05; done
  peer python3 /run/packets.py send
  : > /run/sent
  wait $hearer
}
pass /run/all
[ "$(wc -w < /run/all)" = 600 ] || { echo "FAILED: only $(wc -w < /run/all) of 600 packets arrive"; exit 1; }
"#;

const SAME_PACKETS: &str = r#"
different=0
for file in $chains/*; do
  iptables-restore < $file
  iptables-save > /run/saved
  pass /run/theirs
  iptables -F; iptables -X
  yes $skep firewall import /run/saved > /run/rules
  yes $skep firewall apply /run/rules >/dev/null
  pass /run/ours
  yes $skep firewall off
  cmp -s /run/theirs /run/ours || { echo "FAILED: $(cat /run/saved /run/rules)"; diff <(tr ' ' '\n' < /run/theirs) <(tr ' ' '\n' < /run/ours) | head; exit 1; }
  [ "$(wc -w < /run/ours)" = 600 ] || different=$((different + 1))
done
[ $((different * 3)) -ge $(ls $chains | wc -l) ] || { echo "FAILED: only $different lists drop anything"; exit 1; }
"#;

#[test]
fn what_cannot_be_imported_is_said() {
    let text =
        b"*filter\n:INPUT DROP [0:0]\n-A INPUT -m owner --uid-owner 0 -j ACCEPT\n-A INPUT -p udp -j ACCEPT\nCOMMIT\n";
    let refused = skep_with(["firewall", "import", "-"], text);
    assert_eq!((refused.status, refused.out.as_str()), (Some(1), ""), "{refused:?}");
    assert!(
        refused.err.contains("not imported: standard input:3: there is no counterpart to `-m owner`"),
        "{}",
        refused.err
    );
    assert!(
        refused.err.contains("lines that cannot be imported: 1; --partial prints the rules without them"),
        "{}",
        refused.err
    );
    let partial = skep_with(["firewall", "import", "--partial", "-"], text).ok();
    assert!(
        partial.out.ends_with("default in accept\ndefault out accept\naccept in ipv4 udp\ndrop in ipv4\n"),
        "{partial:?}"
    );
}

/// `same_packets FILE`: those of `pass` in `/run/theirs` pass with what comes of `/run/saved` here, too, and with what that
/// becomes for nft.
pub const SAME_BOTH_WAYS: &str = r#"
same_packets() {
  file=$1
  $skep firewall import /run/saved > /run/rules 2>/run/said || { echo "FAILED: $(cat /run/said $file)"; exit 1; }
  $skep firewall apply /run/rules >/dev/null 2>/run/said || { echo "FAILED: $(cat /run/said $file /run/rules)"; exit 1; }
  pass /run/ours
  yes $skep firewall off
  $skep firewall export --nft /run/rules > /run/back 2>/run/said || { echo "FAILED: $(cat /run/said $file)"; exit 1; }
  nft -f /run/back 2>/run/said || { echo "FAILED: $(cat /run/said /run/back)"; exit 1; }
  pass /run/again
  nft flush ruleset
  for kind in ours again; do
    cmp -s /run/theirs /run/$kind || { echo "FAILED: $kind: $(cat $file /run/rules)"; [ $kind = ours ] || cat /run/back; diff <(tr ' ' '\n' < /run/theirs) <(tr ' ' '\n' < /run/$kind) | head; exit 1; }
  done
}
"#;

/// The same packets pass with random tables of nft, with what comes of them here, and with what that becomes for nft.
#[test]
fn imported_listings_decide_as_nft_does_and_go_back() {
    if !has("nft") {
        return skip("nft is not installed");
    }
    let mut random = Random(0x0f7_1e5);
    let directory = tempfile::tempdir().unwrap();
    for number in 0..lists() {
        std::fs::write(directory.path().join(format!("{number}")), fuzz::tables(&mut random)).unwrap();
    }
    let script = r#"
# A packet in the middle of a connection begins none, and connections are soon forgotten: the same packets come again.
echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose
for limit in /proc/sys/net/netfilter/nf_conntrack_*timeout*; do echo 1 > $limit; done
forget() { until [ -z "$(cat /proc/net/nf_conntrack)" ]; do sleep 0.1; done; }
different=0
for file in $chains/*; do
  nft -f $file 2>/run/said || { cat $file /run/said; exit 1; }
  nft -j list ruleset > /run/saved
  pass /run/theirs
  nft flush ruleset
  forget
  same_packets $file
  forget
  [ "$(wc -w < /run/ours)" = 600 ] || different=$((different + 1))
done
[ $((different * 3)) -ge $(ls $chains | wc -l) ] || { echo "FAILED: only $different lists drop anything"; exit 1; }
"#;
    in_namespaces(&format!("chains={}\n{PACKETS}{SAME_BOTH_WAYS}{script}", directory.path().display()));
}

/// What senders are told about rejected packets is the same with iptables and nft themselves, with what comes of their rules
/// here, and with what that becomes for nft.
#[test]
fn rejections_are_those_of_iptables_and_nft() {
    if !["iptables-restore", "ip6tables-restore", "nft"].into_iter().all(has) {
        return skip("iptables or nft is not installed");
    }
    in_namespaces(&format!("{PROBE}{REJECTIONS}"));
}

/// `tell FILE` sends a packet of TCP and of UDP to each port, in both versions, and writes down what comes back.
const PROBE: &str = r#"
cat > /run/probe.py <<'END'
import select, socket, struct, time
from sums import sum16
families = {4: socket.AF_INET, 6: socket.AF_INET6}
names = {4: ("10.9.0.2", "10.9.0.1"), 6: ("fd00:9::2", "fd00:9::1")}
hear = {}
for version, family in families.items():
    for protocol in (6, 1 if version == 4 else 58):
        hear[socket.socket(family, socket.SOCK_RAW, protocol)] = version, protocol
send = {(version, protocol): socket.socket(family, socket.SOCK_RAW, protocol)
        for version, family in families.items() for protocol in (6, 17)}
told = {}
def collect(seconds, until):
    end = time.time() + seconds
    while time.time() < end and not until():
        for each in select.select(list(hear), [], [], 0.05)[0]:
            version, protocol = hear[each]
            packet = each.recv(2048)
            if version == 4: packet = packet[4 * (packet[0] & 15):]
            if protocol == 6:
                source, target = struct.unpack("!HH", packet[:4])
                if target == 4000 and packet[13] & 4: told[version, 6, source] = "reset"
            elif packet[0] == (3 if version == 4 else 1):
                quoted = packet[8:]
                kind, ports = (quoted[9], quoted[20:24]) if version == 4 else (quoted[6], quoted[40:44])
                told[version, kind, struct.unpack("!HH", ports)[1]] = "code %d" % packet[1]
for version in (4, 6):
    source, target = (socket.inet_pton(families[version], name) for name in names[version])
    for protocol in (6, 17):
        # What has no answer is asked again: a busy machine loses some. The last one is always answered.
        for again in range(60):
            for port in range(1, 10):
                if (version, protocol, port) in told: continue
                if protocol == 6: body = struct.pack("!HHIIBBHHH", 4000, port, 7, 0, 5 << 4, 2, 1024, 0, 0)
                else: body = struct.pack("!HHHH", 4000, port, 12, 0) + b"skep"
                check = sum16(source + target + struct.pack("!HH", protocol, len(body)) + body)
                at = 16 if protocol == 6 else 6
                body = body[:at] + struct.pack("!H", check) + body[at + 2:]
                send[version, protocol].sendto(body, (names[version][1], 0))
                collect(0.05, lambda: (version, protocol, port) in told)
            if again >= 2 and (version, protocol, 9) in told: break
for key in sorted(told): print(*key, told[key])
END
tell() { peer python3 /run/probe.py > $1; [ "$(grep -c ' 9 ' $1)" = 4 ] || { echo "FAILED: $1"; cat $1; exit 1; }; }
same() { cmp -s /run/theirs $1 || { echo "FAILED: $2"; cat /run/rules; diff /run/theirs $1; exit 1; }; }
# Errors are not rationed here.
echo 0 > /proc/sys/net/ipv4/icmp_ratemask
echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
echo 1000000 > /proc/sys/net/ipv4/icmp_msgs_per_sec
echo 1000000 > /proc/sys/net/ipv4/icmp_msgs_burst
both() {
  yes $skep firewall import "$@" > /run/rules 2>/run/said
  [ ! -s /run/said ] || { echo "FAILED: $(cat /run/said)"; exit 1; }
  yes $skep firewall apply /run/rules >/dev/null
  tell /run/ours
  yes $skep firewall off
  yes $skep firewall export --nft /run/rules > /run/back
  yes nft -f /run/back
  tell /run/again
  nft flush ruleset
  same /run/ours "what comes of it"; same /run/again "and for nft: $(cat /run/back)"
}
"#;

const REJECTIONS: &str = r#"
reject() { for protocol in tcp udp; do echo "-A INPUT -p $protocol --dport $1 -j REJECT --reject-with $2"; done; }
{
  echo '*filter'; echo ':INPUT ACCEPT [0:0]'; port=1
  for name in net-unreachable host-unreachable port-unreachable proto-unreachable net-prohibited host-prohibited admin-prohibited; do
    reject $port icmp-$name; port=$((port + 1))
  done
  echo '-A INPUT -p udp --dport 8 -j DROP'; echo '-A INPUT -p tcp --dport 8 -j REJECT --reject-with tcp-reset'
  echo '-A INPUT -p icmp -j ACCEPT'; echo '-A INPUT -j REJECT'; echo COMMIT
} > /run/four
{
  echo '*filter'; echo ':INPUT ACCEPT [0:0]'; port=1
  for name in no-route adm-prohibited addr-unreachable port-unreachable policy-fail reject-route; do
    reject $port icmp6-$name; port=$((port + 1))
  done
  echo '-A INPUT -p tcp --dport 7 -j DROP'; echo '-A INPUT -p tcp -j REJECT --reject-with tcp-reset'
  echo '-A INPUT -p udp -j REJECT'; echo COMMIT
} > /run/six
iptables-restore < /run/four; ip6tables-restore < /run/six
iptables-save > /run/saved4; ip6tables-save > /run/saved6
tell /run/theirs
[ "$(grep -c code /run/theirs)" -ge 28 ] && [ "$(grep -c reset /run/theirs)" -ge 3 ] || { echo "FAILED: too few answers"; cat /run/theirs; exit 1; }
iptables -F; ip6tables -F; nft flush ruleset
both /run/saved4 /run/saved6
cat > /run/nft <<'END'
table inet t {
  chain c {
    type filter hook input priority 0; policy drop;
    icmpv6 type 133-136 accept
    tcp dport 1 reject with tcp reset
    tcp dport 2 reject
    meta l4proto { tcp, udp } th dport 3 reject with icmpx type admin-prohibited
    meta l4proto { tcp, udp } th dport 4 reject with icmpx type no-route
    meta l4proto { tcp, udp } th dport 5 reject with icmpx type host-unreachable
    udp dport 6 reject with icmp type prot-unreachable
    tcp dport 6 reject with icmpv6 type policy-fail
    meta l4proto { tcp, udp } th dport 9 jump d
  }
  chain d {
    meta l4proto tcp reject with tcp reset
    reject
  }
}
END
yes nft -f /run/nft
nft -j list ruleset > /run/saved
tell /run/theirs
nft flush ruleset
both /run/saved
# What leaves is rejected here.
cat > /run/told.py <<'END'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM); s.settimeout(30)
try: s.connect(("10.9.0.2", int(sys.argv[2]))); s.send(b"x"); s.recv(1); print("answered")
except OSError as error: print(error.errno)
END
printf 'reject out tcp to port 7\nreject out udp to port 8\n' > /run/rules
yes $skep firewall apply /run/rules >/dev/null
said="$(python3 /run/told.py tcp 7) $(python3 /run/told.py udp 8)"
[ "$said" = '111 111' ] || { echo "FAILED: told $said"; exit 1; }
yes $skep firewall off
yes $skep firewall export --nft /run/rules > /run/back
yes nft -f /run/back
[ "$(python3 /run/told.py tcp 7)" = 111 ] || { echo "FAILED: for nft $(python3 /run/told.py tcp 7)"; exit 1; }
"#;

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

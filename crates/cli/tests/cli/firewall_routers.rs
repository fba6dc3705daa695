//! Rules of other firewalls on a router: the same packets are forwarded and arrive as with iptables and nft themselves, with what
//! comes of their chains here, and with what that becomes for nft.

use std::fmt::Write as _;

use skep_firewall::fuzz::{self, Random};

use crate::firewall::{ROUTER, in_namespaces};
use crate::firewall_imports::{SAME_BOTH_WAYS, has, lists};
use crate::support::skip;

/// What rules about forwarded packets may ask for besides.
const DEVICES: [&str; 5] = [" -i a0", " -i a1", " -o a0", " -o a1", " -i a0 -o a1"];

/// Random chains about arriving packets as chains about forwarded ones, with interfaces and addresses of the other network, and
/// some lines about what arrives.
fn iptables(random: &mut Random) -> String {
    let mut text = String::new();
    for line in fuzz::chains(random).lines() {
        let mut line = line.replace("-A INPUT", "-A FORWARD");
        if line.starts_with("-A") && random.one_in(4) {
            line = line.replace("10.9.0.", "10.8.0.");
        }
        if line.starts_with("-A") && random.one_in(3) {
            line = line.replacen(" -j", &format!("{} -j", random.pick(&DEVICES)), 1);
        }
        if line.starts_with(":FORWARD") && random.one_in(3) {
            line = line.replace("ACCEPT", "DROP");
        }
        if line == "COMMIT" {
            text.push_str("-A INPUT -p udp -m udp --sport 3 -j DROP\n-A INPUT -i a1 -p tcp -m tcp --dport 2 -j DROP\n");
        }
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Random tables whose second chain is about forwarded packets; the first is about all that arrive.
fn nft(random: &mut Random) -> String {
    let mut text = String::new();
    for line in fuzz::tables(random).lines() {
        let mut line = line.replace("filter hook input", "filter hook forward");
        let is_rule = line.starts_with("  ") && !line.contains(" hook ");
        if is_rule && random.one_in(4) {
            line = line.replace("10.9.0.", "10.8.0.");
        }
        if is_rule && !line.contains("iifname") && random.one_in(3) {
            let device =
                random.pick(&["iifname \"a1\"", "iifname \"a0\" oifname \"a1\"", "iifname { \"a0\", \"a1\" }"]);
            line = format!("  {device} {}", line.trim_start());
        }
        let _ = writeln!(text, "{line}");
    }
    text + "table ip u {\n chain arrives {\n  type filter hook input priority 0; policy accept;\n  udp sport 3 drop\n }\n \
            chain leaves {\n  type filter hook postrouting priority 0; policy accept;\n  oifname \"a0\" udp dport 5 drop\n }\n}\n"
}

/// `pass FILE` sends packets of three protocols with their numbers as identification from both networks to the other one and to the
/// router itself, and writes down which ones arrive. Their hops tell them from what hosts answer.
const PACKETS: &str = r#"
cat > /run/packets.py <<'END'
import os, random, select, socket, struct, sys, time
from sums import sum16
what, name, hops = sys.argv[1], sys.argv[2], 77
if what == "send":
    own, targets, first = {"peer": ("10.9.0.", ["10.8.0.2", "10.8.0.2", "10.9.0.1"], 1),
                           "inner": ("10.8.0.", ["10.9.0.2", "10.9.0.2", "10.8.0.1"], 401)}[name]
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    random.seed(first)
    for number in range(first, first + 400):
        to = random.choice(targets)
        source, target = socket.inet_aton(own + str(random.randint(2, 31))), socket.inet_aton(to)
        kind = random.choice([1, 6, 6, 17, 17])
        ports = (random.randint(0, 8), random.randint(0, 8))
        if kind == 1:
            body = struct.pack("!BBHHH", random.choice([0, 8]), 0, 0, 1, number)
            body = body[:2] + struct.pack("!H", sum16(body)) + body[4:]
        elif kind == 6:
            body = struct.pack("!HHIIBBHHH", *ports, number, 0, 5 << 4, random.choice([0, 2, 16, 18, 17, 4]), 1024, 0, 0)
            check = sum16(source + target + struct.pack("!HH", kind, len(body)) + body)
            body = body[:16] + struct.pack("!H", check) + body[18:]
        else:
            body = struct.pack("!HHHH", *ports, 8 + 4, 0) + b"skep"
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number, 0, hops, kind, 0, source, target)
        out.sendto(head + body, (to, 0))
        if number % 50 == 0: time.sleep(0.01)
else:
    heard = [socket.socket(socket.AF_INET, socket.SOCK_RAW, kind) for kind in (1, 6, 17)]
    for each in heard: each.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    open("/run/hearing." + name, "w").close()
    numbers = set()
    while True:
        ready = select.select(heard, [], [], 0.5)[0]
        if not ready and os.path.exists("/run/sent"): break
        for each in ready:
            packet = each.recv(2048)
            if packet[8] in (hops, hops - 1): numbers.add(struct.unpack("!H", packet[4:6])[0])
    print(*sorted(numbers))
END
peer ip route add 10.8.0.0/24 via 10.9.0.1
here() { "$@"; }
pass() {
  rm -f /run/hearing.* /run/sent
  hearers=
  for name in here peer inner; do
    $name python3 /run/packets.py hear $name > /run/heard.$name & hearers="$hearers $!"
  done
  for name in here peer inner; do soon [ -e /run/hearing.$name ]; done
  peer python3 /run/packets.py send peer
  inner python3 /run/packets.py send inner
  : > /run/sent
  wait $hearers
  cat /run/heard.here /run/heard.peer /run/heard.inner > "$1"
}
pass /run/all
[ "$(wc -w < /run/all)" = 800 ] || { echo "FAILED: only $(wc -w < /run/all) of 800 packets arrive"; exit 1; }
different=0
for file in $chains/*; do
  theirs $file
  pass /run/theirs
  nothing
  same_packets $file
  grep -q ' forward' /run/rules || { echo "FAILED: no rules about forwarded packets: $(cat $file /run/rules)"; exit 1; }
  [ "$(wc -w < /run/ours)" = 800 ] || different=$((different + 1))
done
[ $((different * 3)) -ge $(ls $chains | wc -l) ] || { echo "FAILED: only $different lists drop anything"; exit 1; }
"#;

/// Tries random texts; `shell` defines `theirs FILE`, which loads one and saves it in `/run/saved`, and `nothing`, which unloads it.
#[track_caller]
fn same_packets(seed: u64, text: impl Fn(&mut Random) -> String, shell: &str) {
    let mut random = Random(seed);
    let directory = tempfile::tempdir().unwrap();
    for number in 0..lists() / 2 {
        std::fs::write(directory.path().join(number.to_string()), text(&mut random)).unwrap();
    }
    in_namespaces(&format!("chains={}\n{ROUTER}{shell}{SAME_BOTH_WAYS}{PACKETS}", directory.path().display()));
}

#[test]
fn a_router_decides_as_with_iptables() {
    if !["iptables-restore", "iptables-save", "nft"].into_iter().all(has) {
        return skip("iptables or nft is not installed");
    }
    let shell = r#"
theirs() { yes iptables-restore "$1"; iptables-save > /run/saved; }
nothing() { iptables -P FORWARD ACCEPT; iptables -F; iptables -X; nft flush ruleset; }
"#;
    same_packets(0x0f0_27a2d, iptables, shell);
}

#[test]
fn a_router_decides_as_with_nft() {
    if !has("nft") {
        return skip("nft is not installed");
    }
    let shell = r#"
theirs() { nft -f "$1" 2>/run/said || { cat "$1" /run/said; exit 1; }; nft -j list ruleset > /run/saved; }
nothing() { nft flush ruleset; }
"#;
    same_packets(0x2047e5, nft, shell);
}

/// Connections through a router in both versions of the protocol, by their states, and what is told about rejected ones.
#[test]
fn connections_pass_a_router_as_with_iptables() {
    if !["iptables-restore", "ip6tables-restore", "nft"].into_iter().all(has) {
        return skip("iptables or nft is not installed");
    }
    let script = r#"
cat > /run/serve.py <<'END'
import socket, sys, threading
def one(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port)); s.listen(8); open("/run/ready.%s.%d" % (address, port), "w").close()
    while True: s.accept()[0].sendall(b"hi")
for address in sys.argv[1:]:
    for port in (80, 81, 82): threading.Thread(target=one, args=(address, port)).start()
END
cat > /run/ask.py <<'END'
import socket, sys
for address in sys.argv[1:]:
    for port in (80, 81, 82):
        try: told = socket.create_connection((address, port), 30 if port < 82 else 1).recv(2).decode()
        except ConnectionRefusedError: told = "refused"
        except OSError: told = "silence"
        print(address, port, told)
END
peer ip route add 10.8.0.0/24 via 10.9.0.1; peer ip route add fd00:8::/64 via fd00:9::1
nsenter -t $other -n python3 /run/serve.py 10.9.0.2 fd00:9::2 &
nsenter -t $third -n python3 /run/serve.py 10.8.0.2 fd00:8::2 &
for address in 10.9.0.2 fd00:9::2 10.8.0.2 fd00:8::2; do for port in 80 81 82; do soon [ -e /run/ready.$address.$port ]; done; done
tell() { inner python3 /run/ask.py 10.9.0.2 fd00:9::2 > $1; peer python3 /run/ask.py 10.8.0.2 fd00:8::2 >> $1; }
# Inner hosts reach port 80, outer ones port 81; the other one of both is refused, and what is left is dropped.
for tool in iptables ip6tables; do
  $tool-restore <<'END'
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:lan - [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i a1 -o a0 -j lan
-A FORWARD -i a0 -o a1 -p tcp -m tcp --dport 81 -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -o a1 -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset
-A lan -p tcp -m tcp --dport 80 --syn -j ACCEPT
-A lan -p tcp -m tcp --dport 81 -j REJECT --reject-with tcp-reset
COMMIT
END
done
# Neighbours have to be found.
ip6tables -A INPUT -p ipv6-icmp -j ACCEPT
iptables-save > /run/saved4; ip6tables-save > /run/saved6
cat > /run/expected <<'END'
10.9.0.2 80 hi
10.9.0.2 81 refused
10.9.0.2 82 silence
fd00:9::2 80 hi
fd00:9::2 81 refused
fd00:9::2 82 silence
10.8.0.2 80 refused
10.8.0.2 81 hi
10.8.0.2 82 silence
fd00:8::2 80 refused
fd00:8::2 81 hi
fd00:8::2 82 silence
END
check() { tell /run/told; cmp -s /run/expected /run/told || { echo "FAILED: $1"; diff /run/expected /run/told; cat /run/rules; exit 1; }; }
: > /run/rules
check "iptables itself"
for tool in iptables ip6tables; do $tool -P INPUT ACCEPT; $tool -P FORWARD ACCEPT; $tool -F; $tool -X; done; nft flush ruleset
yes $skep firewall import /run/saved4 /run/saved6 > /run/rules 2>/run/said
[ ! -s /run/said ] || { echo "FAILED: $(cat /run/said)"; exit 1; }
yes $skep firewall apply /run/rules >/dev/null
check "what comes of it"
yes $skep firewall off
yes $skep firewall export --nft /run/rules > /run/back
yes nft -f /run/back
check "and for nft: $(cat /run/back)"
"#;
    in_namespaces(&format!("{ROUTER}{script}"));
}

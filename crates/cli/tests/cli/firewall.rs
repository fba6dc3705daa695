//! `skep firewall` with real traffic: namespaces of its own, joined by a pair of devices; nothing is left behind.

use std::process::{Command, Stdio};

use crate::support::{Run, SKEP, skep, skep_with, skip};

/// What every test begins with: the host is this namespace with `a0`, 10.9.0.1 and fd00:9::1; the other end is reached by
/// `peer COMMAND`, 10.9.0.2 and fd00:9::2.
const PRELUDE: &str = r#"
set -eu
mount --make-rprivate /
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
# For scripts in the same directory: the checksum of the internet protocol.
cat > /run/sums.py <<'END'
import struct
def sum16(data):
    if len(data) % 2: data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
END
ip link set lo up
unshare -n sleep 900 & other=$!
trap 'kill $other $(jobs -p) 2>/dev/null || true' EXIT
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
peer() { nsenter -t $other -n "$@"; }
ip link add a0 type veth peer name b0 netns $other
ip addr add 10.9.0.1/24 dev a0
ip addr add fd00:9::1/64 dev a0 nodad
ip link set a0 up
peer ip link set lo up
peer ip addr add 10.9.0.2/24 dev b0
peer ip addr add fd00:9::2/64 dev b0 nodad
peer ip link set b0 up
# What has to work may take its time on a busy machine; what must not is waited for a second.
yes() { wait=30; "$@" || { echo "FAILED, should work: $*"; exit 1; }; }
no() { wait=1; if "$@"; then echo "FAILED, should not work: $*"; exit 1; fi; }
soon() { for turn in $(seq 600); do if "$@"; then return; fi; sleep 0.1; done; echo "FAILED, never: $*"; exit 1; }
# A connection and its answer: `open PORT`.
open() { [ "$(peer timeout $wait bash -c "exec 3<>/dev/tcp/10.9.0.1/$1; head -c 2 <&3" 2>/dev/null)" = hi ]; }
answers() { for turn in $(seq $wait); do if peer ping -c 1 -W 1 "$@" >/dev/null 2>&1; then return; fi; done; return 1; }
ping4() { answers 10.9.0.1; }
ping6() { answers fd00:9::1; }
serve() {
  python3 -c '
import socket, sys, threading, time
def one(port):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("10.9.0.1", port)); s.listen(8)
    open("/run/ready%d" % port, "w").close()
    keep = []
    while True:
        c, _ = s.accept(); c.sendall(b"hi"); keep.append(c)
        def echo(c=c):
            while True:
                d = c.recv(16)
                if not d: return
                c.sendall(d)
        threading.Thread(target=echo, daemon=True).start()
for p in sys.argv[1:]: threading.Thread(target=one, args=(int(p),), daemon=True).start()
time.sleep(900)' "$@" &
  for port in "$@"; do until [ -e /run/ready$port ]; do sleep 0.05; done; done
}
"#;

/// Makes the host a router: behind `a1`, 10.8.0.1 and fd00:8::1, is another one, 10.8.0.2 and fd00:8::2, reached by `inner COMMAND`.
pub const ROUTER: &str = r#"
unshare -n sleep 900 & third=$!
trap 'kill $other $third $(jobs -p) 2>/dev/null || true' EXIT
until [ "$(readlink /proc/$third/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
inner() { nsenter -t $third -n "$@"; }
ip link add a1 type veth peer name c0 netns $third
ip addr add 10.8.0.1/24 dev a1; ip addr add fd00:8::1/64 dev a1 nodad; ip link set a1 up
inner ip link set lo up
inner ip addr add 10.8.0.2/24 dev c0; inner ip addr add fd00:8::2/64 dev c0 nodad; inner ip link set c0 up
inner ip route add default via 10.8.0.1; inner ip route add default via fd00:8::1
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
"#;

/// Runs a test in a shell of its own namespaces.
#[track_caller]
pub fn in_namespaces(script: &str) {
    for tool in ["unshare", "nsenter", "ip", "bash", "ping", "python3"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return skip(&format!("{tool} is not installed"));
        }
    }
    let may = Command::new("unshare").args(["-n", "-m", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return skip("namespaces need CAP_SYS_ADMIN");
    }
    let text = format!("{PRELUDE}{script}\necho all is well\n");
    let mut command = Command::new("unshare");
    command.args(["-n", "-m", "bash", "-c", &text]).env("skep", SKEP).env_remove("SSH_CONNECTION").stdin(Stdio::null());
    let run = Run::of(command.output().unwrap());
    assert!(run.status == Some(0) && run.out.ends_with("all is well\n"), "{}\n{}", run.out, run.err);
}

#[test]
fn verdicts_reach_the_traffic_and_are_counted() {
    in_namespaces(
        r#"
serve 80 22
yes open 80; yes ping4; yes ping6
cat > /run/rules <<'END'
set office = { 10.9.0.0/28 }
default in drop
accept in state established
accept in tcp from @office to port { 22, 8000-8100 }
accept in icmp type echo-request
END
yes $skep firewall apply /run/rules >/dev/null
yes open 22; no open 80; yes ping4; no ping6
$skep firewall list | grep -q 'accept in icmp'
[ "$($skep firewall list | awk '/echo-request/ { print $2 }')" -ge 1 ]
[ "$($skep firewall list | awk '/default in/ { print $2 }')" -ge 1 ]
$skep firewall list --metrics | grep -q '^skep_firewall_rule_packets_total{number="2"'
# One rule at a time.
yes $skep firewall insert 1 accept in tcp to port 80
yes open 80
yes $skep firewall delete 1 >/dev/null
no open 80
yes $skep firewall add accept in icmp6
yes ping6
# Panic, and back.
yes $skep firewall panic drop; no ping4; no open 22
yes $skep firewall panic accept; yes open 80
yes $skep firewall panic off; no open 80; yes ping4
yes $skep firewall off
yes open 80; yes ping6
[ -z "$(ls /sys/fs/bpf)" ] || [ -z "$(ls /sys/fs/bpf/skep)" ]
"#,
    );
}

#[test]
fn established_connections_survive_first_enforcement_and_changes() {
    in_namespaces(
        r#"
serve 80
mkfifo /run/in
peer bash -c 'exec 3<>/dev/tcp/10.9.0.1/80; head -c 2 <&3 >/dev/null; echo > /run/open; while read -r line; do echo "$line" >&3; timeout 30 head -c 4 <&3; done' < /run/in > /run/out &
exec 4> /run/in
soon [ -e /run/open ]
cat > /run/rules <<'END'
default in drop
accept in state established
END
yes $skep firewall apply /run/rules >/dev/null
no open 80
echo one >&4
soon grep -q one /run/out
echo 'drop in udp' >> /run/rules
yes $skep firewall apply /run/rules >/dev/null
echo two >&4
soon grep -q two /run/out
no open 80
"#,
    );
}

#[test]
fn rules_that_are_not_confirmed_are_taken_back() {
    in_namespaces(
        r#"
echo 'drop in icmp' > /run/rules
yes $skep firewall apply /run/rules --confirm 10 >/dev/null
no ping4
soon [ ! -e /sys/fs/bpf/skep/firewall/fw_switch ]
yes ping4
no $skep firewall confirm 2>/dev/null
echo 'drop in icmp6' > /run/first
yes $skep firewall apply /run/first >/dev/null
yes $skep firewall apply /run/rules --confirm 15 >/dev/null
yes ping6; no ping4
listed() { $skep firewall list | grep -q "$1"; }
soon listed icmp6
yes ping4; no ping6
yes $skep firewall apply /run/rules --confirm 10 >/dev/null
yes $skep firewall confirm >/dev/null
sleep 11
no ping4
"#,
    );
}

#[test]
fn the_session_is_guarded_and_faulty_rules_change_nothing() {
    in_namespaces(
        r#"
echo 'drop in icmp' > /run/good
yes $skep firewall apply /run/good >/dev/null
echo 'default in drop' > /run/bad
no env SSH_CONNECTION='10.9.0.2 5000 10.9.0.1 22' $skep firewall apply /run/bad 2> /run/said
grep -q 'would cut the SSH session' /run/said
no ping4
$skep firewall list | grep -q 'drop in icmp'
printf 'drop in from 10.0.0.0/33\naccpt in\n' > /run/bad
no $skep firewall apply /run/bad 2> /run/said
grep -q '0 to 32' /run/said && grep -q 'begins with what it does' /run/said
$skep firewall list | grep -q 'drop in icmp'
yes env SSH_CONNECTION='10.9.0.2 5000 10.9.0.1 22' $skep firewall apply /run/good --dry-run >/dev/null
"#,
    );
}

#[test]
fn limits_marks_fragments_and_payload_work() {
    in_namespaces(
        r#"
serve 80
cat > /run/rules <<'END'
drop in fragment
limit 2/d burst 2 per source then drop in icmp
drop in icmp6 to fd00:9::1 whole
mark 7 out to 10.9.0.2
drop in udp payload at 0 == "bad"
END
yes $skep firewall apply /run/rules >/dev/null
yes ping4; yes ping4; no ping4
no ping6
no peer ping -c 1 -W 1 -s 3000 10.9.0.1 >/dev/null 2>&1
[ "$($skep firewall list | awk '/drop in fragment/ { print $2 }')" -ge 1 ]
[ "$($skep firewall list | awk '/mark 0x7/ { print $2 }')" -ge 1 ]
peer bash -c 'echo badly > /dev/udp/10.9.0.1/9; echo well > /dev/udp/10.9.0.1/9'
[ "$($skep firewall list | awk '/payload/ { print $2 }')" = 1 ]
"#,
    );
}

#[test]
fn senders_of_rejected_packets_are_told() {
    in_namespaces(
        r#"
cat > /run/tell.py <<'END'
# How a connection or a datagram to an address and port ends: refused at once, or silence.
import errno, socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(int(sys.argv[4]))
try:
    s.connect((address, port))
    if kind == "udp":
        s.send(b"skep"); s.recv(16)
    print("answered")
except ConnectionRefusedError: print("refused")
except TimeoutError: print("silence")
END
told() { [ "$("$@")" = "$want" ]; }
here() { python3 /run/tell.py "$1" "$2" "$3" $wait; }
there() { peer python3 /run/tell.py "$1" "$2" "$3" $wait; }
serve 80
cat > /run/rules <<'END'
reject in to port 1000-1999
reject out to port 2000-2999
drop in to port 3000
reject in icmp
default out accept
END
yes $skep firewall apply /run/rules >/dev/null
yes open 80
want=refused
for address in 10.9.0.1 fd00:9::1; do
  for kind in tcp udp; do yes told there $kind $address 1000; done
done
# What would leave is answered here, as if the other end did it.
for address in 10.9.0.2 fd00:9::2; do
  for kind in tcp udp; do yes told here $kind $address 2000; done
done
want=silence wait=1
[ "$(there tcp 10.9.0.1 3000)" = silence ] || { echo "FAILED: dropped packets are answered"; exit 1; }
peer ping -c 1 -W 1 10.9.0.1 2>&1 | grep -qi 'port unreachable' || { echo "FAILED: a rejected ping"; exit 1; }
# The same with a program at hand that would drop what leaves: answers pass.
printf 'reject in tcp to port 1000\ndefault out drop\n' > /run/rules
yes $skep firewall apply /run/rules >/dev/null
want=refused
yes told there tcp 10.9.0.1 1000
[ "$($skep firewall list | awk '/reject in/ { print $2 }')" -ge 1 ]
"#,
    );
}

#[test]
fn expressions_hours_link_addresses_and_owners_decide() {
    in_namespaces(
        r#"
serve 80 81
cat > /run/rules <<'END'
drop in match "icmp[icmptype] = icmp-echo and len > 200"
drop in tcp to port 81 between 00:00 and 24:00
drop out tcp from port 80 uid 4242
drop out udp uid 4242
count in icmp6 from mac 02:00:00:00:00:77
END
yes $skep firewall apply /run/rules >/dev/null
big() { answers -s 400 10.9.0.1; }
yes ping4; no big
yes open 80; no open 81
# Users: root's datagrams arrive, those of 4242 do not.
cat > /run/listen.py <<'END'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.9.0.2", 7000))
open("/run/listening", "w").close()
with open("/run/heard", "w", buffering=1) as f:
    while True: f.write(s.recv(64).decode() + "\n")
END
nsenter -t $other -n python3 /run/listen.py &
soon [ -e /run/listening ]
cat > /run/say.py <<'END'
import os, socket, sys
os.setuid(int(sys.argv[1]))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), ("10.9.0.2", 7000))
END
chmod 755 /run /run/say.py
yes python3 /run/say.py 4242 theirs
yes python3 /run/say.py 0 ours
soon grep -q ours /run/heard
grep -q theirs /run/heard && { echo "FAILED: a datagram of user 4242 arrived"; exit 1; }
[ "$($skep firewall list | awk '/drop out udp uid 4242/ { print $2 }')" = 1 ]
# Link addresses.
yes ping6
[ "$($skep firewall list | awk '/from mac/ { print $2 }')" = 0 ]
peer ip link set b0 address 02:00:00:00:00:77
peer ip addr add fd00:9::2/64 dev b0 nodad 2>/dev/null || true
ip neigh flush dev a0 2>/dev/null || true
yes ping6
[ "$($skep firewall list | awk '/from mac/ { print $2 }')" -ge 1 ]
# What the programs in force do not find out cannot be added alone; what they do can.
no $skep firewall add 'drop in match "tcp port 7"' 2> /run/said
grep -q 'add the rule to the file and apply it' /run/said
yes $skep firewall add 'drop out tcp uid 4242'
yes $skep firewall delete 1 >/dev/null
yes big
# Hours that are over, by the local clock.
hour=$(date +%H)
from=$(printf '%02d:00' $(((10#$hour + 2) % 24))) until=$(printf '%02d:00' $(((10#$hour + 3) % 24)))
echo "drop in icmp between $from and $until" > /run/rules
yes $skep firewall apply /run/rules >/dev/null
yes ping4
from=$(printf '%02d:00' $(((10#$hour + 23) % 24))) until=$(printf '%02d:00' $(((10#$hour + 2) % 24)))
echo "drop in icmp between $from and $until" > /run/rules
yes $skep firewall apply /run/rules >/dev/null
no ping4
"#,
    );
}

#[test]
fn the_control_group_of_the_sender_decides() {
    in_namespaces(
        r#"
groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
if [ -z "$groups" ]; then mkdir /run/groups; mount -t cgroup2 none /run/groups; groups=/run/groups; fi
name=skep-test-$$
mkdir -p $groups/$name/inner
trap 'kill $other $(jobs -p) 2>/dev/null || true; rmdir $groups/$name/inner $groups/$name' EXIT
printf 'drop out icmp cgroup "/%s"\n' $name > /run/rules
yes $skep firewall apply /run/rules >/dev/null
inside() { (echo $BASHPID > $groups/$name/inner/cgroup.procs; ping -c 1 -W $wait 10.9.0.2 >/dev/null 2>&1); }
outside() { ping -c 1 -W $wait 10.9.0.2 >/dev/null 2>&1; }
yes outside; no inside
echo 'drop out service no-such-service' > /run/rules
no $skep firewall apply /run/rules 2> /run/said
grep -q 'start it, then apply' /run/said
no inside
"#,
    );
}

#[test]
fn addresses_are_translated_for_whole_connections() {
    let script = r#"
cat > /run/much.py <<'END'
# Serves a megabyte to everybody and writes down who asks, or asks for it.
import socket, sys
data = bytes(range(256)) * 4096
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
if sys.argv[1] == "serve":
    s = socket.socket(family); s.bind((sys.argv[2], int(sys.argv[3]))); s.listen(8)
    open(sys.argv[4], "w").close()
    with open(sys.argv[4], "w", buffering=1) as log:
        while True:
            c, who = s.accept(); log.write("from " + who[0] + "\n"); c.sendall(data); c.recv(16); c.close()
else:
    s = socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=int(sys.argv[4])); got = b""
    while len(got) < len(data): got += s.recv(65536)
    sys.exit(got != data)
END
nsenter -t $third -n python3 /run/much.py serve 10.8.0.2 80 /run/log.inner4 &
nsenter -t $third -n python3 /run/much.py serve fd00:8::2 80 /run/log.inner6 &
nsenter -t $other -n python3 /run/much.py serve 10.9.0.2 70 /run/log.peer4 &
nsenter -t $other -n python3 /run/much.py serve fd00:9::2 70 /run/log.peer6 &
serve 80
for each in inner4 inner6 peer4 peer6; do soon [ -e /run/log.$each ]; done
cat > /run/rules <<'END'
default in drop
accept in state { established, related }
redirect 80 in tcp to port 8000
dnat 10.8.0.2:80 in on a0 ipv4 tcp to 10.9.0.1 port 9000
dnat [fd00:8::2]:80 in on a0 ipv6 tcp to fd00:9::1 port 9000
accept in on a1
masquerade out on a0 tcp udp icmp icmp6 from { 10.8.0.0/24, fd00:8::/64 }
END
yes $skep firewall apply /run/rules >/dev/null
no open 80; yes open 8000
from_peer() { nsenter -t $other -n python3 /run/much.py ask $1 $2 $wait 2>/run/why; }
from_inner() { nsenter -t $third -n python3 /run/much.py ask $1 $2 $wait 2>/run/why; }
yes from_peer 10.9.0.1 9000; yes from_peer fd00:9::1 9000
grep -q 'from 10.9.0.2' /run/log.inner4; grep -q 'from fd00:9::2' /run/log.inner6
yes from_inner 10.9.0.2 70; yes from_inner fd00:9::2 70
# They know only this host, and have no way to those behind it.
grep -q 'from 10.9.0.1' /run/log.peer4; grep -q 'from fd00:9::1' /run/log.peer6
pings() { for turn in $(seq $wait); do if inner ping -c 1 -W 1 $1 >/dev/null 2>&1; then return; fi; done; return 1; }
yes pings 10.9.0.2; yes pings fd00:9::2
# Translations survive another list.
echo 'count in udp' >> /run/rules
yes $skep firewall apply /run/rules >/dev/null
yes from_peer 10.9.0.1 9000; yes from_inner 10.9.0.2 70
[ "$($skep firewall list | awk '/masquerade/ { print $2 }')" -ge 1 ]
sed -i '/masquerade/d' /run/rules
yes $skep firewall apply /run/rules >/dev/null
no pings 10.9.0.2
"#;
    in_namespaces(&format!("{ROUTER}{script}"));
}

#[test]
fn rules_are_checked_and_formed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules");
    std::fs::write(&file, "drop in from 10.0.0.0/8\naccept   in from 10.1.0.0/16 # never\n").unwrap();
    let file = file.to_str().unwrap();
    let check = skep(["firewall", "check", file]).ok();
    assert!(check.err.contains("shadowed") && check.out == "2 rules, 1 warnings\n", "{check:?}");
    let formed = skep(["firewall", "fmt", file]).ok();
    assert_eq!(formed.out, "drop in from 10.0.0.0/8\naccept in from 10.1.0.0/16  # never\n");
    std::fs::write(file, "drop in from @nobody\nnat out\n").unwrap();
    let faulty = skep_with(["firewall", "check", file], b"");
    assert_eq!(faulty.status, Some(2));
    assert!(faulty.err.contains("there is no set `nobody`") && faulty.err.contains("not supported"), "{faulty:?}");
}

#[test]
fn described_packets_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let (file, other) = (directory.path().join("rules"), directory.path().join("other"));
    let text = "set near = { 192.0.2.0/24 }\nzone lan = { eth0, eth1 }\ndefault in drop\naccept in on lan tcp from @near to port ssh\n\
        reject in udp to port 53\naccept in ipv6 icmp6 type echo-request\n";
    std::fs::write(&file, text).unwrap();
    std::fs::write(&other, text.replace("ssh", "80")).unwrap();
    let (file, other) = (file.to_str().unwrap(), other.to_str().unwrap());
    let explain = |words: &str| {
        let words = words.split(' ');
        skep(["firewall", "explain", file, "--packet"].into_iter().chain(words)).ok().out
    };
    let told = explain("in on eth0 tcp from 192.0.2.7 port 4000 to 10.0.0.1 port 22");
    let [packet, verdict] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert!(packet.starts_with("IP 192.0.2.7.4000 > 10.0.0.1.22: Flags [S]"), "{packet}");
    assert_eq!(verdict, "accept rule 1: accept in on lan tcp from @near to port 22");
    for (words, verdict) in [
        ("in on lan tcp from @near to port 22", "accept rule 1: "),
        ("in on eth2 tcp from @near to port 22", "drop default in"),
        ("in tcp from @near to port 22", "drop default in"),
        ("udp from 192.0.2.7 to 10.0.0.1 port 53", "reject rule 2: "),
        ("icmp6 type echo-request", "accept rule 3: "),
        ("out tcp to 10.0.0.1", "accept default out"),
    ] {
        let told = explain(words);
        assert!(told.lines().nth(1).unwrap().starts_with(verdict), "{words}: {told}");
    }
    let both = skep([
        "firewall",
        "explain",
        file,
        "--against",
        other,
        "--packet",
        "on",
        "eth1",
        "tcp",
        "from",
        "@near",
        "to",
        "port",
        "80",
    ]);
    let both = both.ok().out;
    assert!(both.contains("rules: drop default in\n") && both.contains("other: accept rule 1: "), "{both}");
    for (words, why) in
        [(vec!["from", "@nobody"], "there is no set `nobody`"), (vec!["state", "related"], "a packet has one state")]
    {
        let refused = skep_with(["firewall", "explain", file, "--packet"].into_iter().chain(words), b"");
        assert!(refused.status != Some(0) && refused.err.contains(why), "{refused:?}");
    }
}

#[test]
fn described_packets_have_connections_users_and_times() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules");
    let text = "default in drop\ndefault out drop\naccept state established\ndrop in tcp state invalid\n\
        accept out tcp uid 1000 between 08:00 and 18:00 on mon-fri\naccept in udp match \"udp[0:2] < 2000\"\n";
    std::fs::write(&file, text).unwrap();
    for (words, verdict) in [
        ("tcp state established to port 22", "accept rule 1: "),
        ("out udp state established", "accept rule 1: "),
        ("tcp state invalid", "drop rule 2: "),
        ("tcp state new", "drop default in"),
        ("out tcp uid 1000 between 12:00 and 12:30 on wed", "accept rule 3: "),
        ("out tcp uid 1000 between 12:00 and 12:30 on sat", "drop default out"),
        ("out tcp uid 1001 between 12:00 and 12:30 on wed", "drop default out"),
        ("udp match \"udp[0:2] < 2000\"", "accept rule 4: "),
        ("udp from port 3000", "drop default in"),
    ] {
        let told = skep(["firewall", "explain", file.to_str().unwrap(), "--packet", words]).ok().out;
        assert!(told.lines().nth(1).unwrap().starts_with(verdict), "{words}: {told}");
    }
}

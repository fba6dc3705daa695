//! Tables of the firewall that are full, with real traffic.

use crate::firewall::{ROUTER, in_namespaces};

/// What tests of full tables need: `flood COUNT PORT`, from as many sources as there are numbers, and values of `list --metrics`.
const FLOOD: &str = r#"
cat > /run/flood.py <<'END'
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
target, port = socket.inet_aton("10.9.0.1"), int(sys.argv[2])
for number in range(int(sys.argv[1])):
    source = struct.pack("!I", 0x0a800000 + number)
    s.sendto(struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, 28, 1, 0, 64, 17, 0, source, target, 5, port, 8, 0), ("10.9.0.1", 0))
END
flood() { peer python3 /run/flood.py $1 $2; }
value() { $skep firewall list --metrics | awk -v name=skep_firewall_$1 '$1 == name { print $2 }'; }
rule() { $skep firewall list | awk -v text="$1" 'index($0, text) { print $2 }'; }
is() { [ "$(value $1)" -ge $2 ] && [ "$(value $1)" -le $3 ]; }
"#;

#[test]
fn a_flood_does_not_end_connections_and_what_is_refused_is_told() {
    let script = r#"
serve 80
cat > /run/rules <<'END'
tables connections 200 limits 100
default in drop
accept in state established
limit 5/min per source then drop in udp to port 9
accept in udp
accept in tcp to port 80
accept in icmp type echo-request
END
yes $skep firewall apply /run/rules >/dev/null
$skep firewall export | grep -q '^tables connections 200$'
mkfifo /run/in
peer bash -c 'exec 3<>/dev/tcp/10.9.0.1/80; head -c 2 <&3 >/dev/null; echo > /run/open; while read -r line; do echo "$line" >&3; timeout 30 head -c 4 <&3; done' < /run/in > /run/out &
exec 4> /run/in
soon [ -e /run/open ]
$skep firewall watch --dropped > /run/watched & watcher=$!
soon eval '[ "$(value connections)" -ge 1 ]'
# The reader has told the programs once it shows anything.
seen() { flood 1 7777 && grep -q 'drop by full table of connections' /run/watched; }
flood 1000 8
soon eval '[ "$(value connections_refused_total)" -ge 800 ]'
is connections 200 200 || { echo FAILED; $skep firewall list; exit 1; }
$skep firewall list | grep -q '^connections: 200 of 200; the table was full: [0-9]* were refused$'
echo one >&4; soon grep -q one /run/out
no open 80
again() { flood 500 8; grep -q 'drop by full table of connections | IP 10.128' /run/watched; }
soon again
# Sources that nobody has counted before are beyond their limit; they reach no rule behind it.
flood 1000 9
soon eval '[ "$(rule "limit 5/min")" -ge 900 ]'
is limits 1 100; is limits_refused_total 900 1000 || { echo FAILED; $skep firewall list; exit 1; }
limited() { flood 300 9; grep -q 'drop by rule 2: limit 5/min per source then drop in udp to port 9 (full table of limits)' /run/watched; }
soon limited
kill $watcher
# More room, with all that is there; less than there is needs is refused.
sed -i 's/connections 200/connections 100/' /run/rules
no $skep firewall apply /run/rules 2>/run/said
grep -q 'there are 200 connections, and the table of this list has room for 100; say `tables connections 512`' /run/said
sed -i 's/connections 100/connections 1000/' /run/rules
yes $skep firewall apply /run/rules >/dev/null
is connections 200 300; is connections_limit 1000 1000
echo two >&4; soon grep -q two /run/out
yes open 80
echo 'tables flows 5' > /run/bad
no $skep firewall apply /run/bad 2>/run/said
grep -q 'there is no table `flows`' /run/said && grep -q 'connections, translations, limits' /run/said
"#;
    in_namespaces(&format!("{FLOOD}{script}"));
}

#[test]
fn a_router_without_room_for_translations_says_so() {
    let script = r#"
cat > /run/many.py <<'END'
import socket, sys
for port in range(int(sys.argv[1]), int(sys.argv[2])):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.8.0.2", port)); s.sendto(b"hi", ("10.9.0.2", 9))
END
cat > /run/answer.py <<'END'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.9.0.2", 9)); open("/run/listens", "w").close()
while True:
    data, sender = s.recvfrom(64); s.sendto(data, sender)
END
nsenter -t $other -n python3 /run/answer.py &
soon [ -e /run/listens ]
cat > /run/ask.py <<'END'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.8.0.2", 2000)); s.settimeout(int(sys.argv[1]))
s.sendto(b"there", ("10.9.0.2", 9))
print(s.recv(16).decode())
END
cat > /run/rules <<'END'
tables translations 50
masquerade out on a0 udp from 10.8.0.0/24
END
yes $skep firewall apply /run/rules >/dev/null
asked() { inner python3 /run/ask.py $wait 2>/dev/null | grep -q there; }
yes asked
inner python3 /run/many.py 3000 3500
soon eval '[ "$(value translations_refused_total)" -ge 400 ]'
is translations 100 100 || { echo FAILED; $skep firewall list; exit 1; }
# The connection that was there first goes on.
yes asked
"#;
    in_namespaces(&format!("{ROUTER}{FLOOD}{script}"));
}

#[test]
fn a_flood_of_connections_gets_cookies() {
    let script = r#"
serve 80
cat > /run/serve6.py <<'END'
import socket
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("fd00:9::1", 80)); s.listen(8)
open("/run/serves6", "w").close()
while True:
    c, _ = s.accept(); c.sendall(b"hi"); c.close()
END
python3 /run/serve6.py & soon [ -e /run/serves6 ]
cat > /run/syn.py <<'END'
# Connections that are begun by as many senders as there are numbers, and acknowledgements of what was never sent.
import socket, struct, sys
six, count, flags = sys.argv[1] == "6", int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if six else socket.AF_INET
target = socket.inet_pton(family, "fd00:9::1" if six else "10.9.0.1")
from sums import sum16
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("b0", 0))
link = b"".join(bytes.fromhex(open(p).read().strip().replace(":", "")) for p in ("/run/mac_a0", "/run/mac_b0"))
for number in range(count):
    source = struct.pack("!IIII", 0xfd000009, 0, 1, number) if six else struct.pack("!I", 0x0a900000 + number)
    segment = struct.pack("!HHIIBBHHH", 1024 + number % 60000, 80, number, 7 * number + 1, 0x50, flags, 64000, 0, 0)
    pseudo = source + target + (struct.pack("!IHBB", 20, 0, 0, 6) if six else struct.pack("!BBH", 0, 6, 20))
    segment = segment[:16] + struct.pack("!H", sum16(pseudo + segment)) + segment[18:]
    if six: head = struct.pack("!IHBB", 6 << 28, 20, 6, 64) + source + target
    else:
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, source, target)
        head = head[:10] + struct.pack("!H", sum16(head)) + head[12:]
    s.send(link + (b"\x86\xdd" if six else b"\x08\0") + head + segment)
END
ip -br link show a0 | awk '{ print $3 }' > /run/mac_a0
peer ip -br link show b0 | awk '{ print $3 }' > /run/mac_b0
open6() { [ "$(peer timeout $wait bash -c "exec 3<>/dev/tcp/fd00:9::1/80; head -c 2 <&3" 2>/dev/null)" = hi ]; }
waiting() { grep -c ' 03 ' /proc/net/tcp /proc/net/tcp6 | awk -F: '{ n += $2 } END { print n }'; }
# A connection that begins before there are cookies goes on.
mkfifo /run/in
peer bash -c 'exec 3<>/dev/tcp/10.9.0.1/80; head -c 2 <&3 >/dev/null; echo > /run/open; while read -r line; do echo "$line" >&3; timeout 30 head -c 4 <&3; done' < /run/in > /run/out &
exec 4> /run/in
soon [ -e /run/open ]
for rules in 'accept in state established' 'count in'; do
  printf 'default in drop\n%s\naccept with syn-cookies in tcp to port 80\naccept in icmp6\n' "$rules" > /run/rules
  echo 1 > /proc/sys/net/ipv4/tcp_syncookies
  no $skep firewall apply /run/rules 2>/run/said
  grep -q 'sysctl -w net.ipv4.tcp_syncookies=2' /run/said
  echo 2 > /proc/sys/net/ipv4/tcp_syncookies
  yes $skep firewall apply /run/rules >/dev/null
  before=0
  peer python3 /run/syn.py 4 20000 2 & flood=$!
  yes open 80
  echo one >&4; soon grep -q one /run/out
  wait $flood
  soon eval '[ "$(value cookies_total)" -ge $((before + 18000)) ]'
  [ "$(waiting)" = 0 ] || { echo "FAILED: half-open connections"; cat /proc/net/tcp; exit 1; }
  yes open 80
  peer python3 /run/syn.py 6 2000 2
  yes open6
  soon eval '[ "$(value cookies_total)" -ge $((before + 19500)) ]'
  [ "$(waiting)" = 0 ] || { echo "FAILED: half-open connections"; cat /proc/net/tcp6; exit 1; }
  # Nobody has sent what these acknowledge.
  peer python3 /run/syn.py 4 1000 16
  soon eval '[ "$(value wrong_cookies_total)" -ge 990 ]'
  # Nothing is kept of all these.
  [ "$rules" = 'count in' ] || is connections 1 50 || { echo FAILED; $skep firewall list; exit 1; }
  yes open 80; yes open6
  : > /run/out; echo two >&4; soon grep -q two /run/out; : > /run/out
  $skep firewall off
done
# Only what is beyond a rate.
cat > /run/rules <<'END'
default in drop
accept in state established
limit 5/s burst 5 then accept with syn-cookies in tcp to port 80
accept in tcp to port 80
END
yes $skep firewall apply /run/rules >/dev/null
peer python3 /run/syn.py 4 2000 2
soon eval '[ "$(value cookies_total)" -ge 1000 ]'
[ "$(value cookies_total)" -le 1995 ] || { echo FAILED; $skep firewall list; exit 1; }
yes open 80
"#;
    in_namespaces(&format!("{FLOOD}{script}"));
}

//! What rules ask of packets, each with traffic that has it and traffic that has it not.

use crate::firewall::in_namespaces;

#[test]
fn tags_marks_flags_types_and_zones_decide() {
    in_namespaces(
        r#"
serve 80 81
yes ping4; yes ping6; yes open 80; yes open 81
rules() { cat > /run/rules; yes $skep firewall apply --i-know /run/rules >/dev/null; }
hits() { $skep firewall list | grep -F -- "$1" | awk '{ print $2 }'; }
# Tags: frames with and without, as the other end puts them on the wire; the kernel takes the tag out of the packet.
cat > /run/tagged.py <<'END'
import socket, struct, sys
from sums import sum16
tag, count = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("b0", 0))
own = s.getsockname()[4]
udp = struct.pack("!HHHH", 4000, 9, 12, 0) + b"skep"
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 1, 0, 64, 17, 0, socket.inet_aton("10.9.0.2"), socket.inet_aton("10.9.0.1"))
total = sum16(head)
head = head[:10] + struct.pack("!H", total) + head[12:]
to = bytes.fromhex(sys.argv[3].replace(":", ""))
link = to + own + (struct.pack("!HH", 0x8100, tag) if tag else b"") + b"\x08\x00"
for _ in range(count): s.send(link + head + udp)
END
here=$(ip -br link show a0 | awk '{ print $3 }')
printf 'count in udp to port 9 vlan 5\ncount in udp to port 9\n' | rules
peer python3 /run/tagged.py 5 3 $here; peer python3 /run/tagged.py 6 2 $here; peer python3 /run/tagged.py 0 1 $here
counted() { [ "$(hits 'vlan 5')" = "$1" ] && [ "$(hits 'count in udp to port 9' | tail -1)" = "$2" ]; }
soon counted 3 6
# Flags: what begins a connection, and what goes on.
echo 'drop in tcp to port 81 flags syn/syn,ack' | rules
no open 81; yes open 80; yes ping4
echo 'drop in tcp from port 1-65535 to port 81 flags fin,urg/fin,urg' | rules
yes open 81
# Types of both versions.
echo 'drop in icmp6 type echo-request' | rules
yes ping4; no ping6
echo 'drop in icmp type { echo-reply, 3/4 }' | rules
yes ping4; yes ping6
# Interfaces and zones.
printf 'zone near = { a0 }\nzone far = { lo }\ndefault in drop\naccept in on far\naccept in on near icmp\n' | rules
yes ping4; no open 80; no ping6
printf 'zone near = { a0, lo }\ndrop in on near tcp to port 80\n' | rules
no open 80; yes open 81
# Networks and all but those.
printf 'set here = { 10.9.0.0/24 }\ndrop in icmp from ! @here\n' | rules
peer ip addr add 10.7.0.2/32 dev b0; ip route add 10.7.0.2 dev a0
outside() { answers -I 10.7.0.2 10.9.0.1; }
yes ping4; no outside
yes $skep firewall set add here 10.7.0.2 >/dev/null
yes outside
# Protocols by number, and what is not the internet protocol: neighbours are found.
printf 'default in drop\naccept in proto 1\n' | rules
ip neigh flush dev a0; peer ip neigh flush dev b0
yes ping4; no open 80
# The mark that a program gives its packets.
cat > /run/send.py <<'END'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 36, int(sys.argv[1], 0))  # SO_MARK
for _ in range(int(sys.argv[2])): s.sendto(b"skep", ("10.9.0.2", 9))
END
printf 'drop out udp to port 9 mark 0x10/0xf0\ncount out udp to port 9\n' | rules
python3 /run/send.py 0x15 3; python3 /run/send.py 0x21 2; python3 /run/send.py 0 1
[ "$(hits 'mark 0x10/0xf0')" = 3 ] && [ "$(hits 'count out udp')" = 3 ] || { echo "FAILED: $($skep firewall list)"; exit 1; }
"#,
    );
}

//! What comes with translated connections besides their packets: errors about them, and fragments.

use crate::firewall::{ROUTER, in_namespaces};

#[test]
fn errors_and_fragments_of_translated_connections_arrive() {
    let script = r#"
cat > /run/echo.py <<'END'
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM); s.bind((sys.argv[1], 7000)); open(sys.argv[2], "w").close()
while True:
    data, sender = s.recvfrom(65535); s.sendto(data[::-1], sender)
END
cat > /run/ask.py <<'END'
# How a datagram of so many bytes to an address and port ends.
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(int(sys.argv[4])); s.connect((sys.argv[1], int(sys.argv[2])))
text = bytes(n * 7 % 251 for n in range(int(sys.argv[3])))
try:
    s.send(text)
    print("whole" if s.recv(65535) == text[::-1] else "something else")
except ConnectionRefusedError: print("refused")
except TimeoutError: print("silence")
END
nsenter -t $other -n python3 /run/echo.py 10.9.0.2 /run/echo1 &
nsenter -t $other -n python3 /run/echo.py fd00:9::2 /run/echo2 &
nsenter -t $third -n python3 /run/echo.py 10.8.0.2 /run/echo3 &
nsenter -t $third -n python3 /run/echo.py fd00:8::2 /run/echo4 &
for each in 1 2 3 4; do soon [ -e /run/echo$each ]; done
# Behind the peer is a network with short packets.
peer sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
peer ip link add d0 type veth peer name d1
peer ip link set d0 mtu 1300 up; peer ip link set d1 up
peer ip addr add 10.7.0.254/24 dev d0; peer ip addr add fd00:7::254/64 dev d0 nodad
peer ip neigh add 10.7.0.1 lladdr 02:00:00:00:00:07 dev d0; peer ip neigh add fd00:7::1 lladdr 02:00:00:00:00:07 dev d0
ip route add 10.7.0.0/24 via 10.9.0.2; ip route add fd00:7::/64 via fd00:9::2
cat > /run/rules <<'END'
default in drop
accept in state { established, related }
dnat 10.8.0.2:7000 in on a0 ipv4 udp to 10.9.0.1 port 9000
dnat [fd00:8::2]:7000 in on a0 ipv6 udp to fd00:9::1 port 9000
dnat 10.8.0.2:7001 in on a0 ipv4 udp to 10.9.0.1 port 9001
dnat [fd00:8::2]:7001 in on a0 ipv6 udp to fd00:9::1 port 9001
accept in on a1
masquerade out on a0 tcp udp icmp icmp6 from { 10.8.0.0/24, fd00:8::/64 }
END
yes $skep firewall apply /run/rules >/dev/null
from_inner() { [ "$(inner python3 /run/ask.py $2 $3 $4 $wait 2>/run/why)" = $1 ]; }
from_peer() { [ "$(peer python3 /run/ask.py $2 $3 $4 $wait 2>/run/why)" = $1 ]; }
for address in 10.9.0.2 fd00:9::2; do
  yes from_inner whole $address 7000 10
  yes from_inner whole $address 7000 3000
  yes from_inner whole $address 7000 20000
  # The peer knows only this host, and tells it that nobody listens.
  yes from_inner refused $address 7001 10
  yes from_inner refused $address 7001 1400
done
for address in 10.9.0.1 fd00:9::1; do
  yes from_peer whole $address 9000 10
  yes from_peer whole $address 9000 3000
  # The host inside tells that, and is not to be seen.
  yes from_peer refused $address 9001 10
  yes from_peer refused $address 9001 1400
done
# Time exceeded, about echo requests: their number is changed back.
exceeded() { inner ping -c 1 -W $wait -t 2 $1 2>&1 | grep -Eq "From $2 .*(Time to live exceeded|Hop limit)"; }
yes exceeded 10.7.0.1 10.9.0.2; yes exceeded fd00:7::1 fd00:9::2
# Too long for the network behind: path MTU discovery.
long() { inner ping -c 1 -W $wait -M do -s 1350 $1 2>&1 | grep -q "mtu[ =]*1300"; }
yes long 10.7.0.1; yes long fd00:7::1
inner ip route get 10.7.0.1 | grep -q 'mtu 1300'
inner ip -6 route get fd00:7::1 | grep -q 'mtu 1300'
# Errors about nothing that is known are not related.
count() { $skep firewall list | awk '/default in drop/ { print $2 }'; }
before=$(count)
cat > /run/lie.py <<'END'
import socket, struct
from sums import sum16
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
quoted = struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, 28, 1, 0, 64, 17, 0, bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2]), 5, 6, 8, 0)
error = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
s.sendto(error[:2] + struct.pack("!H", sum16(error)) + error[4:], ("10.9.0.1", 0))
END
peer python3 /run/lie.py
soon eval '[ "$(count)" -gt "$before" ]'
"#;
    in_namespaces(&format!("{ROUTER}{script}"));
}

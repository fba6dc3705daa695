//! Rules about forwarded packets: a router between two networks.

use crate::firewall::{ROUTER, in_namespaces};
use crate::support::skep_with;

#[test]
fn a_router_decides_about_what_it_forwards() {
    let script = r#"
cat > /run/serve.py <<'END'
import socket, sys, threading
def one(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port)); s.listen(8); open(sys.argv[1] + str(port) + ("six" if ":" in address else ""), "w").close()
    while True:
        c, sender = s.accept(); c.sendall(("hi " + sender[0]).encode()); c.close()
threads = [threading.Thread(target=one, args=(a, int(p))) for a in sys.argv[2].split(",") for p in sys.argv[3:]]
[t.start() for t in threads]
END
cat > /run/ask.py <<'END'
import socket, sys
try: print(socket.create_connection((sys.argv[1], int(sys.argv[2])), int(sys.argv[3])).recv(99).decode())
except ConnectionRefusedError: print("refused")
except (TimeoutError, OSError): print("silence")
END
nsenter -t $other -n python3 /run/serve.py /run/peer 10.9.0.2,fd00:9::2 70 71 &
nsenter -t $third -n python3 /run/serve.py /run/inner 10.8.0.2,fd00:8::2 80 81 &
serve 22 23
for each in peer70 peer71six inner80 inner81six; do soon [ -e /run/$each ]; done
peer ip route add 10.8.0.0/24 via 10.9.0.1; peer ip route add fd00:8::/64 via fd00:9::1
from_inner() { [ "$(inner python3 /run/ask.py $2 $3 $wait 2>/run/why)" = "$1" ]; }
from_peer() { [ "$(peer python3 /run/ask.py $2 $3 $wait 2>/run/why)" = "$1" ]; }
pings() { for turn in $(seq $wait); do if $1 ping -c 1 -W 1 $2 >/dev/null 2>&1; then return; fi; done; return 1; }
cat > /run/rules <<'END'
zone lan = { a1 }
default in drop
default forward drop
accept state { established, related }
accept in tcp to port 22
accept in icmp6
accept forward on lan out-on a0 tcp to port 70
reject forward on lan out-on a0 tcp to port 71
accept forward on a0 out-on lan tcp to port 80
drop in tcp to port { 70, 80 }
END
yes $skep firewall apply /run/rules >/dev/null
# What arrives for this host and what is only on its way are two things.
yes open 22; no open 23
for four in 10.9.0.2:10.8.0.2:10.8.0.2 fd00_9__2:fd00_8__2:fd00_8__2; do
  IFS=: read -r peer_address inner_address seen <<< "$four"
  peer_address=${peer_address//_/:} inner_address=${inner_address//_/:} seen=${seen//_/:}
  yes from_inner "hi $seen" $peer_address 70
  yes from_inner refused $peer_address 71
  yes from_peer "hi $peer_address" $inner_address 80
  no from_peer "hi $peer_address" $inner_address 81
done
no pings inner 10.9.0.2
[ "$($skep firewall list | awk '/default forward drop/ { print $2 }')" -ge 1 ]
[ "$($skep firewall list | awk '/accept forward on lan/ { print $2 }')" -ge 2 ]
[ "$($skep firewall list | awk '/drop in tcp/ { print $2 }')" = 0 ]
[ "$($skep firewall export)" = "$($skep firewall fmt <($skep firewall export))" ]
# One rule at a time.
yes $skep firewall add accept forward icmp
yes pings inner 10.9.0.2; yes pings peer 10.8.0.2
yes $skep firewall delete 8 >/dev/null
no $skep firewall add accept forward out-on a1 2>/run/said
# This host itself talks to both.
yes pings '' 10.8.0.2; yes pings '' 10.9.0.2
# Addresses are changed behind the verdict.
cat > /run/rules <<'END'
default in drop
default forward drop
accept state { established, related }
dnat 10.8.0.2:80 in on a0 ipv4 tcp to 10.9.0.1 port 9000
dnat 10.8.0.2:81 in on a0 ipv4 tcp to 10.9.0.1 port 9001
accept forward on a0 to 10.8.0.2 tcp to port 80
accept forward on a1 tcp to port 70
masquerade out on a0 ipv4 tcp from 10.8.0.0/24
END
yes $skep firewall apply /run/rules >/dev/null
yes from_inner 'hi 10.9.0.1' 10.9.0.2 70
no from_inner 'hi 10.9.0.1' 10.9.0.2 71
yes from_peer 'hi 10.9.0.2' 10.9.0.1 9000
no from_peer 'hi 10.9.0.2' 10.9.0.1 9001
# The rule of the verdict is shown, not the one that changes addresses.
$skep firewall watch > /run/watched & watcher=$!
shown() { from_inner 'hi 10.9.0.1' 10.9.0.2 70; grep -q 'out a0 accept by rule 5: accept forward on a1' /run/watched; }
soon shown
kill $watcher
# Nothing is forwarded: what came is for nobody, and the rules for what arrives are asked.
echo 0 > /proc/sys/net/ipv4/ip_forward
no from_inner 'hi 10.9.0.1' 10.9.0.2 70
"#;
    in_namespaces(&format!("{ROUTER}{script}"));
}

#[test]
fn forwarded_packets_need_a_default() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules");
    for (text, wrong) in [
        ("accept forward on eth0\n", "lists with a default for them"),
        ("default forward drop\naccept in out-on eth0\n", "only forwarded packets have"),
        ("default forward drop\nmasquerade forward tcp\n", "source of packets that leave"),
        ("default forward drop\naccept forward tcp uid 5\n", "have a socket"),
    ] {
        std::fs::write(&file, text).unwrap();
        let faulty = skep_with(["firewall", "check", file.to_str().unwrap()], b"");
        assert!(faulty.status == Some(2) && faulty.err.contains(wrong), "{text}{faulty:?}");
    }
}

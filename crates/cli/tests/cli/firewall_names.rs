//! Names in sets of the firewall, with a name server of the test.

use crate::firewall::in_namespaces;
use crate::support::skep;

#[test]
fn names_are_looked_up_again_and_known_addresses_stay() {
    in_namespaces(
        r##"
# Answers with the addresses in /run/zone: lines of name, seconds, address. One beginning with - is an error, one with ! is sent
# over TCP only.
cat > /run/dns.py <<'END'
import socket, struct, threading
def answer(query, stream):
    name, at = [], 12
    while query[at]: name.append(query[at + 1:at + 1 + query[at]].decode()); at += 1 + query[at]
    kind = struct.unpack("!H", query[at + 1:at + 3])[0]
    name, question = ".".join(name), query[12:at + 5]
    code, records, known, cut = 3, [], False, False
    for line in open("/run/zone"):
        words = line.split()
        if words[0].lstrip("-!") != name: continue
        code = 2 if words[0][0] == "-" else 0
        cut = words[0][0] == "!" and not stream
        family = socket.AF_INET6 if ":" in words[2] else socket.AF_INET
        if kind == (28 if ":" in words[2] else 1) and code == 0 and not cut:
            data = socket.inet_pton(family, words[2])
            records.append(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, int(words[1]), len(data)) + data)
    flags = 0x8180 | code | (0x200 if cut else 0)
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)
def stream():
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 53)); s.listen(8)
    open("/run/dns_tcp", "w").close()
    while True:
        c, _ = s.accept(); length = struct.unpack("!H", c.recv(2))[0]; a = answer(c.recv(length), True)
        c.sendall(struct.pack("!H", len(a)) + a); c.close()
threading.Thread(target=stream, daemon=True).start()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 53))
open("/run/dns_udp", "w").close()
while True:
    query, sender = s.recvfrom(512); s.sendto(answer(query, False), sender)
END
for file in hosts resolv.conf; do [ -e /etc/$file ] || { echo 'SKIPPED: no '$file; exit 0; }; done
echo '10.9.0.77 fixed.test' > /run/hosts
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' > /run/resolv.conf
mount --bind /run/hosts /etc/hosts
mount --bind /run/resolv.conf /etc/resolv.conf
printf 'peer.test 5 10.9.0.2\n!peer6.test 5 fd00:9::2\n' > /run/zone
python3 /run/dns.py & server=$!
soon [ -e /run/dns_tcp ]; soon [ -e /run/dns_udp ]
serve 80
cat > /run/rules <<'END'
set friends = { name "Peer.test", name "peer6.test.", 10.9.0.99, name "fixed.test" }
default in drop
accept in icmp from @friends
accept in icmp6 from @friends
END
yes $skep firewall apply /run/rules > /dev/null
yes ping4; yes ping6
members() { $skep firewall set list friends | awk '{ print $1 }' | tr '\n' ' '; }
[ "$(members)" = '10.9.0.2 10.9.0.77 10.9.0.99 fd00:9::2 ' ] || { echo "FAILED: $(members)"; exit 1; }
$skep firewall set list friends | grep -q '^10.9.0.2  # leaves in 3[56][0-9][0-9] s'
$skep firewall set list friends | grep -q '^10.9.0.99$'
# What is listed has the names, and can be applied again.
$skep firewall export | grep -q '^set friends = { name "peer.test", name "peer6.test", name "fixed.test", 10.9.0.99 }$'
[ -z "$($skep firewall diff /run/rules)" ]
# It has moved: both addresses are known for a while, then the old one leaves.
printf 'peer.test 1 10.9.0.50\n!peer6.test 900 fd00:9::2\n' > /run/zone
[ "$($skep firewall refresh --keep 4)" = '3 names looked up, 0 failed; 1 addresses are new' ]
yes $skep firewall refresh --keep 4 > /dev/null
yes ping4
# The old address was given an hour when it was found; where it is found again, what is said last counts.
printf 'peer.test 1 10.9.0.2\n!peer6.test 900 fd00:9::2\n' > /run/zone
yes $skep firewall refresh --keep 2 > /dev/null
printf 'peer.test 1 10.9.0.50\n!peer6.test 900 fd00:9::2\n' > /run/zone
yes $skep firewall refresh --keep 600 > /dev/null
gone() { case "$(members)" in *10.9.0.2' '*) return 1;; esac; }
soon gone
no ping4; yes ping6
# Without answers, and with errors, what is known stays, and is said.
printf 'peer.test 1 10.9.0.2\n' > /run/zone
no $skep firewall refresh --keep 600 > /dev/null 2> /run/said
grep -q 'set `friends`: there is no name `peer6.test`, says 127.0.0.1; the addresses that are known stay' /run/said
yes ping4; yes ping6
kill $server; wait $server || true
no $skep firewall refresh > /dev/null 2> /run/said
grep -q 'set `friends`: `peer.test`: 127.0.0.1 does not answer' /run/said
yes ping4; yes ping6
# So does a list that is applied without a name server; one that begins without says so.
echo 'count in udp' >> /run/rules
yes $skep firewall apply /run/rules > /dev/null 2> /run/said
grep -q 'does not answer' /run/said
yes ping4; yes ping6
yes $skep firewall off
yes $skep firewall apply /run/rules > /dev/null 2> /run/said
no ping4
[ "$(members)" = '10.9.0.77 10.9.0.99 ' ]
# What takes members out has nothing more to wait for.
yes $skep firewall off
"##,
    );
}

#[test]
fn names_are_checked_and_have_units() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules");
    std::fs::write(&file, "set a = { name \"a..b\" }\nset b = { name \"b.example\" }\naccept in from @b\n").unwrap();
    let faulty = skep(["firewall", "check", file.to_str().unwrap()]);
    assert!(faulty.status == Some(2) && faulty.err.contains("a name of a host has labels"), "{faulty:?}");
    std::fs::write(&file, "set b = { name \"b.example\" }\naccept in from @b\n").unwrap();
    let export = skep(["firewall", "export", "--nft", file.to_str().unwrap()]);
    assert!(export.status == Some(1) && export.err.contains("names of hosts"), "{export:?}");
    let timer = skep(["firewall", "unit", "timer"]).ok().out;
    let service = skep(["firewall", "unit", "names"]).ok().out;
    assert!(timer.contains("OnUnitActiveSec=5min") && service.contains("firewall refresh"), "{timer}{service}");
    assert!(skep(["firewall", "unit"]).ok().out.contains("firewall apply /etc/skep/firewall.skep"));
}

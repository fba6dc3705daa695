//! `skep firewall` while it is in force: sets that change, processes that are killed.

use crate::firewall::{ROUTER, in_namespaces};

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

/// Connections through a router that exist go on when rules come into force in the middle of them, when rules are applied
/// again, when programs are swapped and when no process is left; new ones are refused.
#[test]
fn forwarded_connections_survive_first_enforcement_and_changes() {
    let script = r#"
peer ip route add default via 10.9.0.1; peer ip route add default via fd00:9::1
cat > /run/talk.py <<'END'
# Serves echoes at an address, or keeps one connection and says what comes back for each line that is asked for.
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
if sys.argv[1] == "serve":
    s = socket.socket(family); s.bind((sys.argv[2], 80)); s.listen(8)
    open(sys.argv[3], "w").close()
    import threading
    def echo(c):
        while d := c.recv(64): c.sendall(d)
    while True: threading.Thread(target=echo, args=(s.accept()[0],), daemon=True).start()
else:
    s = socket.create_connection((sys.argv[2], 80), timeout=float(sys.argv[3]))
    for line in sys.stdin:
        s.sendall(line.encode()); got = b""
        while len(got) < len(line): got += s.recv(64)
        print(got.decode(), end="", flush=True)
END
for at in 10.8.0.2 fd00:8::2; do nsenter -t $third -n python3 /run/talk.py serve $at /run/serves.$at & done
for at in 10.8.0.2 fd00:8::2; do soon [ -e /run/serves.$at ]; done
fresh() { echo new | peer timeout $((wait + 1)) python3 /run/talk.py ask $1 $wait 2>/dev/null | grep -q new; }
yes fresh 10.8.0.2; yes fresh fd00:8::2
# The kernel follows connections where something asks it to.
nft 'add table inet t; add chain inet t c { type filter hook forward priority 0; }; add rule inet t c ct state established accept'
mkfifo /run/in4 /run/in6
nsenter -t $other -n python3 /run/talk.py ask 10.8.0.2 60 < /run/in4 > /run/out4 &
nsenter -t $other -n python3 /run/talk.py ask fd00:8::2 60 < /run/in6 > /run/out6 &
exec 4> /run/in4 5> /run/in6
goes_on() { echo $1 >&4; echo $1 >&5; soon grep -q $1 /run/out4; soon grep -q $1 /run/out6; }
goes_on before
printf 'default in drop\naccept in state established\naccept in icmp to 10.8.0.2\n' > /run/rules
yes $skep firewall apply /run/rules >/dev/null
no fresh 10.8.0.2; no fresh fd00:8::2
goes_on first
# The kernel's own tracking is not asked from here on.
nft flush ruleset
# Another list in other programs: the bank that was not there.
[ -e /sys/fs/bpf/skep/firewall/bank0 ] && [ ! -e /sys/fs/bpf/skep/firewall/bank1 ]
echo 'drop in udp payload at 0 == "x"' >> /run/rules
yes $skep firewall apply /run/rules >/dev/null
[ -e /sys/fs/bpf/skep/firewall/bank1 ]
goes_on again
no fresh 10.8.0.2; no fresh fd00:8::2
# Another copy of the program, as an upgrade brings it, puts its own programs in force, and is gone then.
cp $skep /run/other-skep
yes /run/other-skep firewall apply /run/rules >/dev/null
rm /run/other-skep
for process in /proc/[0-9]*; do
  [ "$(readlink $process/ns/net)" = "$(readlink /proc/self/ns/net)" ] || continue
  case "$(readlink $process/exe)" in *skep*) echo "FAILED: a process is left: $(tr '\0' ' ' < $process/cmdline)"; exit 1;; esac
done 2>/dev/null
goes_on upgraded
"#;
    in_namespaces(&format!("{ROUTER}{script}"));
}

/// What becomes of packets is shown as it happens: where, by which rule, the packet, the process; across lists that follow one
/// another; what is lost is counted.
#[test]
fn verdicts_are_watched() {
    in_namespaces(
        r#"
serve 80
server=$!
cat > /run/rules <<'END'
accept in tcp to port 80
log "odd" drop in icmp
reject in udp to port 7
END
no $skep firewall watch 2>/run/said
grep -q 'no rules are in force' /run/said
yes $skep firewall apply /run/rules >/dev/null
watcher() { $skep firewall watch "$@" > /run/lines 2>/run/said & watcher=$!; soon seen 'in a0 drop by rule 2'; }
# Until it watches, and until it has printed.
seen() { peer ping -c 1 -W 0.2 10.9.0.1 >/dev/null 2>&1 || true; grep -q "$1" /run/lines; }
shown() { for turn in $(seq 300); do if grep -qE "$1" /run/lines; then return; fi; sleep 0.1; done; echo "FAILED: not shown: $1"; head -c 3000 /run/lines; exit 1; }
watcher
shown '^[0-9:.]+ in a0 log by rule 2: log "odd" drop in icmp \| IP 10\.9\.0\.2 > 10\.9\.0\.1: ICMP echo request, id [0-9]+, seq 1, length 64$'
shown '^[0-9:.]+ in a0 drop by rule 2: log "odd" drop in icmp \| IP 10\.9\.0\.2 > 10\.9\.0\.1: ICMP echo request'
yes open 80
shown 'in a0 accept by rule 1: accept in tcp to port 80 \| IP 10\.9\.0\.2\.[0-9]+ > 10\.9\.0\.1\.80: Flags \[S\], seq'
shown "out a0 accept by default out \| IP 10\.9\.0\.1\.80 > 10\.9\.0\.2\.[0-9]+: Flags .* \| python3 $server$"
peer bash -c 'echo x > /dev/udp/10.9.0.1/7'
shown 'in a0 reject by rule 3: reject in udp to port 7 \| IP 10\.9\.0\.2\.[0-9]+ > 10\.9\.0\.1\.7: UDP, length 2$'
no $skep firewall watch 2>/run/other
grep -q 'another `skep firewall watch` is running' /run/other
# Numbers follow changes, and the next list is watched too.
yes $skep firewall insert 1 count in udp
soon seen 'drop by rule 3: log "odd" drop in icmp'
printf 'default in drop\naccept in tcp\n' > /run/rules
yes $skep firewall apply /run/rules >/dev/null
soon seen 'in a0 drop by default in | IP 10.9.0.2 > 10.9.0.1: ICMP echo request'
kill -INT $watcher; wait $watcher || { echo "FAILED: $(cat /run/said)"; exit 1; }
# Only what is asked for, so many.
printf 'accept in tcp\nlog "odd" drop in icmp\nlog "late" drop in icmp\n' > /run/rules
yes $skep firewall apply /run/rules >/dev/null
$skep firewall watch --dropped --count 3 > /run/lines & watcher=$!
soon eval 'seen "." && ! kill -0 $watcher 2>/dev/null || { yes open 80; false; }'
[ "$(wc -l < /run/lines)" = 3 ] && [ "$(grep -c 'drop by rule 2' /run/lines)" = 3 ] || { echo "FAILED: dropped"; cat /run/lines; exit 1; }
$skep firewall watch --logged --count 2 > /run/lines & watcher=$!
soon eval 'seen "." && ! kill -0 $watcher 2>/dev/null'
[ "$(grep -c 'log by rule 2' /run/lines)" = 2 ] || { echo "FAILED: logged"; cat /run/lines; exit 1; }
# A reader that does not read loses packets, and says how many.
cat > /run/flood.py <<'END'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(20000): s.sendto(b"x", ("10.9.0.1", 9))
END
loses() {
  watcher --no-process
  kill -STOP $watcher; peer python3 /run/flood.py; kill -CONT $watcher
  kill -INT $watcher; wait $watcher || true
  grep -q 'packets that there was no room for: [0-9]' /run/said
}
soon loses
# Whoever goes takes the records along: the rules are as before.
yes $skep firewall off
"#,
    );
}

/// Rules are measured without touching what is in force, and a long list costs as few buckets as it should.
#[test]
fn costs_are_measured() {
    in_namespaces(
        r#"
serve 80
printf 'default in drop\naccept in tcp to port 80 state { new, established }\nreject in udp to port 7\n' > /run/rules
yes $skep firewall apply /run/rules >/dev/null
yes open 80
# What is in force is not touched: no packet of the measurement is counted.
counted() { $skep firewall list | awk '/reject in udp/ { print $2 }'; }
yes $skep firewall bench --packets 40 --repeat 50 > /run/told
[ "$(counted)" = 0 ] || { echo "FAILED: what is in force was touched: $(counted)"; exit 1; }
head -1 /run/told | grep -q '^in force: 2 rules, .* entries; a packet is compared with code'
[ "$(awk '$1 ~ /^(xdp|in|out)$/ && $2 ~ /^[1-9][0-9]*$/ && $3 ~ /^[0-9]+$/ { print $1 }' /run/told | tr '\n' ' ')" = 'xdp in out ' ] || { echo "FAILED"; cat /run/told; exit 1; }
for i in $(seq 0 999); do echo "drop in udp from 10.$((i % 200)).$((i / 200)).0/$((24 + i % 9)) to port $((i + 1))"; done > /run/long
yes $skep firewall bench /run/rules --against /run/long --packets 40 --repeat 50 > /run/told
grep -qE '^/run/long: 1000 rules, 1000 entries; a packet needs [0-9]+\.[0-9]+ buckets of tables \(at most [1-9]' /run/told || { echo "FAILED"; cat /run/told; exit 1; }
grep -qE '^in: [0-9.]+ times the mean$' /run/told
python3 - > /run/packets.pcap <<'END'
import struct, sys
out = sys.stdout.buffer
out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
packet = bytes(12) + b"\x08\x00" + struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, 28, 0, 0, 64, 17, 0, bytes([10, 3, 0, 1]), bytes([10, 9, 0, 1]), 5, 4, 8, 0)
for number in range(3): out.write(struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet)
END
yes $skep firewall bench /run/long -r /run/packets.pcap --repeat 10 > /run/told
grep -qE '^in +3 ' /run/told || { echo "FAILED"; cat /run/told; exit 1; }
yes $skep firewall off
no $skep firewall bench 2>/run/said
grep -q 'no rules are in force' /run/said
"#,
    );
}

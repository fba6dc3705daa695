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

//! Live captures in network namespaces of their own: what the kernel filters is counted exactly.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::support::{SKEP, count_in, skep, skip};

/// Interface name on both sides of the cable.
const CABLE: &str = "veth0";
/// Address of the side that captures.
const THERE: &str = "10.78.0.2";

/// Two namespaces joined by a cable. Removed when dropped.
struct Net([String; 2]);

fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| format!("ip cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", args.join(" "), text.trim())) }
}

impl Net {
    #[track_caller]
    fn new() -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let base = format!("skepcli{}x{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let net = Self([format!("{base}a"), format!("{base}b")]);
        match net.build() {
            Ok(()) => Some(net),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    fn build(&self) -> Result<(), String> {
        let [a, b] = &self.0;
        for name in [a, b] {
            ip(&["netns", "add", name])?;
        }
        ip(&["-n", a, "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", b])?;
        for (name, address) in [(a, "10.78.0.1/24"), (b, "10.78.0.2/24")] {
            ip(&["-n", name, "address", "add", address, "dev", CABLE])?;
            ip(&["-n", name, "link", "set", CABLE, "up"])?;
        }
        Ok(())
    }

    /// Sends datagrams from the first side to a port of the second.
    fn send(&self, count: u32, port: u16, text: &str) {
        let script = format!("for i in $(seq {count}); do printf '{text}' > /dev/udp/{THERE}/{port}; done");
        let status = Command::new("ip").args(["netns", "exec", &self.0[0], "bash", "-c", &script]).status().unwrap();
        assert!(status.success());
    }

    /// Starts `skep` on the second side and waits until it listens.
    fn start(&self, args: &[&str]) -> Running {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.0[1], SKEP])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            assert_ne!(err.read_line(&mut said).unwrap(), 0, "{said}");
        }
        Running { child, err, said }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.0 {
            // The cable goes with its namespaces. One that was never made is no loss.
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
    said: String,
}

impl Running {
    fn signal(&self, name: &str) {
        // `ip netns exec` becomes the program, so this is its process.
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for a line on standard error.
    fn wait_for(&mut self, part: &str) {
        let from = self.said.len();
        while !self.said[from..].contains(part) {
            assert_ne!(self.err.read_line(&mut self.said).unwrap(), 0, "{}", self.said);
        }
    }

    /// Ends it and collects what it printed. Status 0 is expected.
    fn finish(mut self, signal: Option<&str>) -> (Vec<u8>, String) {
        if let Some(name) = signal {
            self.signal(name);
        }
        let mut out = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        self.err.read_to_string(&mut self.said).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.said);
        (out, self.said)
    }
}

/// The three numbers of the summary.
#[track_caller]
fn summary(said: &str) -> [u64; 3] {
    ["captured", "received by filter", "dropped by kernel"].map(|what| {
        let line = said.lines().rev().find(|line| line.ends_with(what)).unwrap_or_else(|| panic!("{what}: {said}"));
        line.split(' ').next().unwrap().parse().unwrap()
    })
}

fn lines(out: &[u8]) -> usize {
    String::from_utf8_lossy(out).lines().count()
}

#[test]
fn the_kernel_filters_and_counts_are_exact() {
    let Some(net) = Net::new() else { return };
    let running = net.start(&["filter", "-ni", CABLE, "udp and dst port 7001"]);
    net.send(50, 7001, "yes");
    net.send(70, 7002, "no");
    let (out, said) = running.finish(Some("-INT"));
    assert_eq!((lines(&out), summary(&said)), (50, [50, 50, 0]), "{said}");
    assert!(!said.contains("user space"), "{said}");
    let text = String::from_utf8_lossy(&out);
    assert!(text.lines().all(|line| line.contains("> 10.78.0.2.7001: UDP, length 3")), "{text}");
}

#[test]
fn the_number_of_packets_ends_it() {
    let Some(net) = Net::new() else { return };
    let running = net.start(&["filter", "-n", "-i", CABLE, "-c", "3", "--json", "udp dst port 7001"]);
    net.send(9, 7001, "x");
    let (out, said) = running.finish(None);
    let text = String::from_utf8(out).unwrap();
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((objects.len(), summary(&said)[0]), (3, 3));
    assert!(objects.iter().all(|object| object["dport"] == 7001), "{text}");
}

#[test]
fn all_interfaces_with_directions() {
    let Some(net) = Net::new() else { return };
    let running = net.start(&["filter", "-ni", "any", "inbound and udp dst port 7001"]);
    net.send(20, 7001, "x");
    let (out, said) = running.finish(Some("-TERM"));
    assert_eq!((lines(&out), summary(&said)), (20, [20, 20, 0]), "{said}");
    assert!(said.contains("LINUX_SLL2") && !said.contains("user space"), "{said}");
    assert!(
        String::from_utf8_lossy(&out).lines().all(|line| line.contains(&format!(" {CABLE} ")) && line.contains(" In "))
    );
}

/// Neither classic bytecode nor the memory of a socket holds these.
#[test]
fn large_filters_run_in_the_kernel_too() {
    let Some(net) = Net::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("expression");
    for hosts in [1500, 5000] {
        let term = |i: u32| format!("host 192.{}.{}.{}", i * 7 % 251, i / 256, i % 256);
        let terms: Vec<String> = (0..hosts).map(term).collect();
        fs::write(&file, format!("{} or udp dst port 7001", terms.join(" or "))).unwrap();
        let running = net.start(&["filter", "-ni", CABLE, "-F", file.to_str().unwrap()]);
        net.send(10, 7001, "x");
        net.send(10, 7002, "x");
        let (out, said) = running.finish(Some("-INT"));
        assert_eq!((lines(&out), summary(&said)), (10, [10, 10, 0]), "{said}");
        assert!(!said.contains("user space"), "{said}");
    }
}

#[test]
fn statistics_on_request_and_a_file() {
    let Some(net) = Net::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("live.pcapng");
    let file = file.to_str().unwrap();
    let mut running = net.start(&["filter", "-i", CABLE, "-U", "-w", file, "udp dst port 7001"]);
    net.send(5, 7001, "x");
    // Nothing says when the packets have arrived, so statistics are asked for until they have.
    loop {
        running.signal("-USR1");
        running.wait_for("dropped by kernel");
        if summary(&running.said)[0] == 5 {
            break;
        }
    }
    assert_eq!(count_in(&skep(["filter", "-r", file, "--count"])), 5, "-U has written them out");
    let (_, said) = running.finish(Some("-INT"));
    assert_eq!(summary(&said), [5, 5, 0], "{said}");
    assert_eq!(count_in(&skep(["filter", "-r", file, "--count", "inbound"])), 5);
}

#[test]
fn privileges_are_given_up() {
    let Some(net) = Net::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("first.pcap");
    let running = net.start(&["filter", "-i", CABLE, "-Z", "nobody", "-w", file.to_str().unwrap(), "udp"]);
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert!(!uid.split_whitespace().skip(1).any(|uid| uid == "0"), "{uid}");
    net.send(3, 7001, "x");
    running.finish(Some("-INT"));
    assert_eq!(count_in(&skep(["filter", "-r", file.to_str().unwrap(), "--count", "udp dst port 7001"])), 3);
    // Later files of a series could not be created: said at once, not in an hour.
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("ip")
        .args(["netns", "exec", &net.0[1], SKEP, "filter", "-i", CABLE, "-Z", "nobody", "-C", "1", "-w"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("nobody") && err.contains("later files"), "{err}");
}

#[test]
fn dns_is_watched_live() {
    let Some(net) = Net::new() else { return };
    let running = net.start(&["dns", "-i", CABLE, "--timeout", "1", "-c", "1"]);
    net.send(3, 7001, "x");
    // A query for the A record of `a.test`.
    net.send(
        1,
        53,
        "\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x01a\\x04test\\x00\\x00\\x01\\x00\\x01",
    );
    let (out, said) = running.finish(None);
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().nth(1).is_some_and(|line| line.contains("a.test") && line.contains("no response")), "{text}");
    assert_eq!(summary(&said)[1..], [1, 0], "the kernel passed DNS only: {said}");
}

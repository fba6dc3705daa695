//! Tools about TCP. Servers are threads of this process with names of their own, clients are other processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Row, Tool, is, json, number, shell, start, traces};

/// A listener on a port of the kernel's choice.
pub(super) fn listen(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Runs something in a thread with a name, to its end.
pub(super) fn named<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new().name(name.to_owned()).spawn(work).unwrap().join().unwrap()
}

/// A client that does what lines on its standard input say.
struct Client {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Client {
    /// Connects to an address.
    fn new(host: &str, port: u16) -> Self {
        let text = format!("exec 3<>/dev/tcp/{host}/{port} || exit 1; while read -r line; do eval \"$line\"; done");
        let mut command = Command::new("bash");
        let mut child = command.args(["-c", &text]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let orders = child.stdin.take();
        Self { child, orders }
    }

    fn id(&self) -> String {
        self.child.id().to_string()
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for its end, which closes the connection.
    fn end(mut self) {
        drop(self.orders.take());
        self.child.wait().unwrap();
    }
}

/// The two rows of a session at this port of the server: the server's and the client's.
#[track_caller]
fn sides(tool: &mut Tool, port: u16, client_port: Option<u16>) -> (Row, Row) {
    let port = port.to_string();
    let fits = |row: &Row, field: &str, other: &str| {
        row[field] == port && client_port.is_none_or(|client| row[other] == client.to_string())
    };
    let server = tool.wait(|row| fits(row, "lport", "rport"));
    let client = tool.wait(|row| fits(row, "rport", "lport"));
    (server, client)
}

#[test]
fn tcplife_counts_what_applications_move() {
    let Some(mut tool) = start(&["tcplife"]) else { return };
    let (listener, port) = listen("127.0.0.1:0");
    let server = thread::Builder::new().name("life-server".into()).spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.write_all(&[1; 300]).unwrap();
        stream.read_to_end(&mut all).unwrap();
        all.len()
    });
    let mut client = Client::new("127.0.0.1", port);
    let pid = client.id();
    client.order("head -c 5000 /dev/zero >&3; head -c 300 <&3 >/dev/null");
    client.end();
    assert_eq!(server.unwrap().join().unwrap(), 5000);
    let (server, client) = sides(&mut tool, port, None);
    let own = std::process::id().to_string();
    let expected = [("pid", own.as_str()), ("comm", "life-server"), ("tx_bytes", "300"), ("rx_bytes", "5000")];
    assert!(is(&server, &expected) && is(&server, &[("direction", "in"), ("closed", "peer")]), "{server:?}");
    let expected = [("pid", pid.as_str()), ("comm", "bash"), ("tx_bytes", "5000"), ("rx_bytes", "300")];
    assert!(is(&client, &expected) && is(&client, &[("direction", "out"), ("closed", "local")]), "{client:?}");
    for row in [&server, &client] {
        assert!(is(row, &[("laddr", "127.0.0.1"), ("raddr", "127.0.0.1"), ("ip", "4"), ("seen", "whole")]), "{row:?}");
        assert!(
            number(row, "duration_ns") > 0 && number(row, "handshake_ns") > 0 && number(row, "rtt_us") > 0,
            "{row:?}"
        );
        assert_eq!(number(row, "retrans"), 0, "{row:?}");
    }
    tool.stop();
}

#[test]
fn tcplife_knows_the_owner_when_the_server_closes_first() {
    let Some(mut tool) = start(&["tcplife"]) else { return };
    let own = std::process::id().to_string();
    for _ in 0..10 {
        let (listener, port) = listen("127.0.0.1:0");
        let client = Client::new("127.0.0.1", port);
        let pid = client.id();
        named("first-server", move || drop(listener.accept().unwrap()));
        client.end();
        let (server, client) = sides(&mut tool, port, None);
        let expected = [("pid", own.as_str()), ("comm", "first-server"), ("closed", "local"), ("direction", "in")];
        assert!(is(&server, &expected), "{server:?}");
        assert!(
            is(&client, &[("pid", &pid), ("comm", "bash"), ("closed", "peer"), ("direction", "out")]),
            "{client:?}"
        );
        assert!(is(&server, &[("tx_bytes", "0"), ("rx_bytes", "0")]), "{server:?}");
        assert!(is(&client, &[("tx_bytes", "0"), ("rx_bytes", "0")]), "{client:?}");
    }
    tool.stop();

    // The filter by process finds the server's sessions.
    let Some(mut tool) = start(&["tcplife", "-p", &own]) else { return };
    let (listener, port) = listen("127.0.0.1:0");
    let client = Client::new("127.0.0.1", port);
    named("first-server", move || drop(listener.accept().unwrap()));
    client.end();
    tool.wait(|row| row["lport"] == port.to_string());
    assert!(tool.stop().iter().all(|row| row["pid"] == own));
}

#[test]
fn tcplife_knows_the_owner_after_a_reset() {
    let Some(mut tool) = start(&["tcplife"]) else { return };
    let own = std::process::id().to_string();
    for _ in 0..10 {
        // What was not read makes the end of the client a reset.
        let (listener, port) = listen("127.0.0.1:0");
        let client = Client::new("127.0.0.1", port);
        let pid = client.id();
        let mut stream = named("reset-server", move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&[1; 100]).unwrap();
            stream
        });
        client.end();
        // Its reset has come when reading ends.
        assert!(stream.read(&mut [0; 10]).is_err());
        let (server, client) = sides(&mut tool, port, None);
        assert!(
            is(&server, &[("pid", own.as_str()), ("comm", "reset-server"), ("closed", "peer reset")]),
            "{server:?}"
        );
        assert!(is(&client, &[("pid", &pid), ("comm", "bash"), ("closed", "local reset")]), "{client:?}");
        assert!(is(&server, &[("tx_bytes", "100"), ("rx_bytes", "0")]), "{server:?}");
        assert!(is(&client, &[("tx_bytes", "0"), ("rx_bytes", "100")]), "{client:?}");
    }
    tool.stop();
}

#[test]
fn tcplife_finds_sessions_that_were_there_before() {
    let (listener, port) = listen("127.0.0.1:0");
    let sessions: Vec<(Client, TcpStream)> = (0..10)
        .map(|_| {
            let client = Client::new("127.0.0.1", port);
            let accepted = listener.try_clone().unwrap();
            (client, named("early-server", move || accepted.accept().unwrap().0))
        })
        .collect();
    let Some(mut tool) = start(&["tcplife"]) else { return };
    let own = std::process::id().to_string();
    let mut open = Vec::new();
    for (index, (client, mut stream)) in sessions.into_iter().enumerate() {
        let client_port = stream.peer_addr().unwrap().port();
        let pid = client.id();
        match index {
            // The server closes first, a reset, and one that outlives the tool.
            0..5 => drop(stream),
            5..9 => stream.write_all(b"not read").unwrap(),
            _ => {
                open.push((client, stream, pid, client_port));
                continue;
            }
        }
        client.end();
        let (server, client) = sides(&mut tool, port, Some(client_port));
        assert!(is(&server, &[("pid", own.as_str()), ("seen", "partly"), ("direction", "in")]), "{server:?}");
        assert!(
            is(&client, &[("pid", &pid), ("comm", "bash"), ("seen", "partly"), ("direction", "out")]),
            "{client:?}"
        );
    }
    let rows = tool.stop();
    let (client, stream, pid, client_port) = open.pop().unwrap();
    let (client_port, port) = (client_port.to_string(), port.to_string());
    for expected in [
        [("pid", own.as_str()), ("lport", &port), ("rport", &client_port), ("closed", "open")],
        [("pid", &pid), ("lport", &client_port), ("rport", &port), ("closed", "open")],
    ] {
        assert!(rows.iter().any(|row| is(row, &expected)), "{expected:?}: {rows:#?}");
    }
    drop(stream);
    client.end();
}

#[test]
fn tcplife_adds_sessions_up() {
    if !super::able() {
        return;
    }
    let (listener, port) = listen("127.0.0.1:0");
    let mut tool = super::command(&["tcplife", "--metrics", "--every", "200ms", "--lport", &port.to_string()]);
    let mut child = tool.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // Totals come after each interval, also if there are none.
    if lines.next().is_none() {
        child.wait().unwrap();
        return crate::support::skip("tracefs cannot be mounted");
    }
    for length in [100, 250] {
        let client = Client::new("127.0.0.1", port);
        let server = listener.try_clone().unwrap();
        named("sum-server", move || {
            let (mut stream, _) = server.accept().unwrap();
            stream.write_all(&vec![7; length]).unwrap();
        });
        client.end();
    }
    let labels = format!("{{direction=\"in\",service_port=\"{port}\"}}");
    let mut missing = vec![
        format!("skep_tcplife_rows_total{labels} 2"),
        format!("skep_tcplife_tx_bytes_total{labels} 350"),
        format!("skep_tcplife_rx_bytes_total{labels} 0"),
    ];
    let last: Vec<String> = lines
        .by_ref()
        .take(20_000)
        .take_while(|line| {
            missing.retain(|wanted| wanted != line);
            !missing.is_empty()
        })
        .collect();
    let _ = child.kill();
    child.wait().unwrap();
    assert!(missing.is_empty(), "{missing:?}: {:?}", last.iter().rev().take(12).collect::<Vec<_>>());
    // The side that connected is of another port, which was not asked for.
    assert!(!last.iter().any(|line| line.contains("direction=\"out\"")), "{last:?}");
}

#[test]
fn tcplife_takes_mapped_addresses_for_what_they_are() {
    let Some(mut tool) = start(&["tcplife", "-4"]) else { return };
    let (listener, port) = listen("[::]:0");
    let client = Client::new("127.0.0.1", port);
    named("dual-server", move || drop(listener.accept().unwrap()));
    client.end();
    let (server, client) = sides(&mut tool, port, None);
    for row in [&server, &client] {
        assert!(is(row, &[("ip", "4"), ("laddr", "127.0.0.1"), ("raddr", "127.0.0.1")]), "{row:?}");
    }
    let (listener, port6) = listen("[::1]:0");
    let client = Client::new("::1", port6);
    named("six-server", move || drop(listener.accept().unwrap()));
    client.end();
    assert!(!tool.stop().iter().any(|row| row["ip"] != "4" || row["lport"] == port6.to_string()));

    let Some(mut tool) = start(&["tcplife", "-6", "-L", &port6.to_string()]) else { return };
    let (listener, _) = listen(&format!("[::1]:{port6}"));
    let client = Client::new("::1", port6);
    named("six-server", move || drop(listener.accept().unwrap()));
    client.end();
    let row = tool.wait(|_| true);
    assert!(is(&row, &[("ip", "6"), ("laddr", "::1"), ("raddr", "::1"), ("comm", "six-server")]), "{row:?}");
    tool.stop();
}

#[test]
fn tcpconnect_and_tcpconnlat() {
    let Some(mut asked) = start(&["tcpconnect"]) else { return };
    let Some(mut with_port) = start(&["tcpconnect", "-L"]) else { return };
    let Some(mut answered) = start(&["tcpconnlat"]) else { return };
    let (listener, port) = listen("127.0.0.1:0");
    let dport = port.to_string();
    let client = Client::new("127.0.0.1", port);
    let pid = client.id();
    let peer = listener.accept().unwrap().1.port().to_string();
    client.end();
    let expected =
        [("pid", pid.as_str()), ("comm", "bash"), ("ip", "4"), ("daddr", "127.0.0.1"), ("saddr", "127.0.0.1")];
    let row = asked.wait(|row| row["dport"] == dport);
    assert!(is(&row, &expected), "{row:?}");
    let row = with_port.wait(|row| row["dport"] == dport);
    assert!(is(&row, &expected) && row["lport"] == peer, "{row:?}");
    let row = answered.wait(|row| row["dport"] == dport);
    assert!(is(&row, &expected) && is(&row, &[("lport", &peer), ("result", "Success")]), "{row:?}");
    assert!((1..10_000_000_000).contains(&number(&row, "latency_ns")), "{row:?}");

    // Nobody listens there. A port that was just closed would not do: a process that another test starts at that moment
    // keeps it open until it has become another program.
    let pid = shell("exec 3<>/dev/tcp/127.0.0.77/1");
    asked.wait(|row| is(row, &[("pid", &pid), ("daddr", "127.0.0.77"), ("dport", "1")]));
    let row = answered.wait(|row| is(row, &[("pid", &pid), ("daddr", "127.0.0.77"), ("dport", "1")]));
    assert_eq!(row["result"], "Connection refused");
    drop(listener);
    // A connection that is accepted is not one that was asked for.
    assert!(!asked.stop().iter().any(|row| row["lport"] == dport));
    with_port.stop();
    answered.stop();
}

#[test]
fn tcpaccept() {
    let (listener, port) = listen("127.0.0.1:0");
    let Some(mut tool) = start(&["tcpaccept", "-P", &port.to_string()]) else { return };
    let (other, other_port) = listen("127.0.0.1:0");
    for (listener, port) in [(other, other_port), (listener, port)] {
        let client = Client::new("127.0.0.1", port);
        named("accept-server", move || drop(listener.accept().unwrap()));
        client.end();
    }
    let row = tool.wait(|_| true);
    let own = std::process::id().to_string();
    assert!(is(&row, &[("pid", own.as_str()), ("comm", "accept-server"), ("lport", &port.to_string())]), "{row:?}");
    assert!(is(&row, &[("laddr", "127.0.0.1"), ("raddr", "127.0.0.1")]) && number(&row, "rport") > 0, "{row:?}");
    assert_eq!(tool.stop().len(), 1);
}

#[test]
fn tcpstates() {
    let Some(mut tool) = start(&["tcpstates"]) else { return };
    let (listener, port) = listen("127.0.0.1:0");
    let port_text = port.to_string();
    let client = Client::new("127.0.0.1", port);
    let pid = client.id();
    named("state-server", move || drop(listener.accept().unwrap()));
    client.end();
    tool.wait(|row| is(row, &[("rport", &port_text), ("newstate", "CLOSE")]));
    tool.wait(|row| is(row, &[("lport", &port_text), ("oldstate", "FIN_WAIT2"), ("newstate", "CLOSE")]));
    let rows = tool.stop();
    let path = |wanted: &dyn Fn(&Row) -> bool| -> Vec<String> {
        rows.iter().filter(|row| wanted(row)).map(|row| row["newstate"].clone()).collect()
    };
    let of_client = path(&|row| row["rport"] == port_text);
    assert_eq!(of_client, ["SYN_SENT", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSE"]);
    assert!(rows.iter().filter(|row| row["rport"] == port_text).all(|row| row["pid"] == pid), "{rows:#?}");
    let of_server = path(&|row| row["lport"] == port_text && row["rport"] != "0" && row["oldstate"] != "LISTEN");
    assert_eq!(of_server, ["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"]);
    let end = rows.iter().find(|row| row["rport"] == port_text && row["oldstate"] == "ESTABLISHED").unwrap();
    assert!(number(end, "state_ns") > 0, "{end:?}");
}

#[test]
fn tcpretrans() {
    let Some(mut tool) = start(&["tcpretrans"]) else { return };
    // In a network of its own nobody answers: the first packet is sent again after a second.
    let script = "ip link add v0 type veth peer name v1 && ip address add 10.9.8.1/24 dev v0 && ip link set v0 up \
                  && ip link set v1 up && ip neighbour add 10.9.8.2 lladdr 02:00:00:00:00:01 dev v0 || exit 98; \
                  exec timeout 4 bash -c 'exec 3<>/dev/tcp/10.9.8.2/77'";
    let mut command = Command::new("unshare");
    let mut child = command.args(["-n", "sh", "-c", script]).stderr(Stdio::null()).spawn().unwrap();
    let status = child.wait().unwrap();
    if status.code() == Some(98) {
        return crate::support::skip("there are no pairs of virtual devices (veth)");
    }
    let row = tool.wait(|row| is(row, &[("raddr", "10.9.8.2"), ("rport", "77")]));
    assert!(is(&row, &[("laddr", "10.9.8.1"), ("state", "SYN_SENT"), ("comm", "bash"), ("ip", "4")]), "{row:?}");
    assert!(number(&row, "lport") > 0 && number(&row, "pid") > 0 && number(&row, "seq") > 0, "{row:?}");
    let own = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata("/proc/self/ns/net").unwrap()).to_string();
    assert_ne!(row["netns"], own);
    tool.stop();
}

#[test]
fn tcpdrop() {
    let Some(mut tool) = start(&["tcpdrop"]) else { return };
    let address = SocketAddr::from(([127, 0, 0, 78], 1));
    assert!(TcpStream::connect(address).is_err());
    let row = tool.wait(|row| is(row, &[("daddr", "127.0.0.78"), ("reason", "SKB_DROP_REASON_NO_SOCKET")]));
    assert!(is(&row, &[("saddr", "127.0.0.1"), ("dport", "1"), ("ip", "4"), ("flags", "2")]), "{row:?}");
    assert!(row["location"].starts_with("sk_skb_reason_drop") || row["location"].contains("tcp_v4_rcv"), "{row:?}");
    tool.stop();
}

#[test]
fn tcptop() {
    // Linux 6.3
    if !traces("sock_send_length") {
        return;
    }
    let (listener, port) = listen("127.0.0.1:0");
    let server = thread::Builder::new().name("top-server".into()).spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let mut all = 0;
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            all += read;
        }
        all
    });
    // The client sends a piece every hundredth of a second for longer than the tool runs.
    let text =
        format!("exec 3<>/dev/tcp/127.0.0.1/{port}; for i in {{1..250}}; do printf %1000s x >&3; sleep 0.01; done");
    let mut client = Command::new("bash").args(["-c", &text]).spawn().unwrap();
    let rows = json(&["tcptop", "--for", "1s"]);
    client.wait().unwrap();
    let all = i64::try_from(server.unwrap().join().unwrap()).unwrap();
    let Some(rows) = rows else { return };
    let side = |field: &str| {
        let found = rows.iter().find(|row| row[field] == port);
        found.unwrap_or_else(|| panic!("{rows:?}")).clone()
    };
    let (from, to) = (side("rport"), side("lport"));
    assert_eq!((&from["pid"], &to["comm"]), (&serde_json::json!(client.id()), &serde_json::json!("top-server")));
    let (sent, got) = (from["tx_bytes"].as_i64().unwrap(), to["rx_bytes"].as_i64().unwrap());
    assert!(sent > 0 && sent <= all && sent % 1000 == 0 && from["rx_bytes"] == 0, "{from}");
    assert!(got > 0 && got <= all && to["tx_bytes"] == 0, "{to}");
}

#[test]
fn gethostlatency() {
    let Some(mut tool) = start(&["gethostlatency"]) else { return };
    let pid = shell("exec getent ahosts localhost");
    let row = tool.wait(|row| row["pid"] == pid);
    assert!(is(&row, &[("comm", "getent"), ("host", "localhost"), ("failed", "false")]), "{row:?}");
    assert!((1..60_000_000_000).contains(&number(&row, "latency_ns")), "{row:?}");
    tool.stop();
}

/// A key and a certificate for TLS on this machine.
pub(super) struct Keys {
    key: String,
    cert: String,
}

/// A server with TLS, which knows no protocol.
pub(super) struct TlsServer {
    child: Child,
    pub(super) port: u16,
}

impl Keys {
    /// `None`, with a remark, where openssl is not installed.
    pub(super) fn new(directory: &Path) -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            crate::support::skip("openssl is not installed");
            return None;
        }
        let [key, cert] = ["key", "cert"].map(|name| directory.join(name).display().to_string());
        shell(&format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {cert}"
        ));
        Some(Self { key, cert })
    }

    /// Starts a server and waits until it can be reached.
    pub(super) fn server(&self) -> TlsServer {
        let (listener, port) = listen("127.0.0.1:0");
        drop(listener);
        let Self { key, cert } = self;
        let text = format!("exec openssl s_server -quiet -accept 127.0.0.1:{port} -key {key} -cert {cert}");
        let mut server = Command::new("bash");
        server.args(["-c", &text]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = server.spawn().unwrap();
        let reached = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(50));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(reached, "no server on port {port}");
        TlsServer { child, port }
    }
}

impl TlsServer {
    fn id(&self) -> String {
        self.child.id().to_string()
    }

    pub(super) fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn sslsniff() {
    let directory = tempfile::tempdir().unwrap();
    let Some(keys) = Keys::new(directory.path()) else { return };
    let server = keys.server();
    let own = server.id();
    let tool = start(&["sslsniff", "--comm", "openssl"]);
    let short = start(&["sslsniff", "--comm", "openssl", "--handshake", "--max-buffer-size", "8"]);
    let client = shell(&format!(
        "(printf 'a secret, \"quoted\"'; sleep 1) | timeout 5 openssl s_client -quiet -connect 127.0.0.1:{}",
        server.port
    ));
    let rows = tool.map(|mut tool| {
        let secret = "a secret, \"quoted\"";
        let sent = tool.wait(|row| is(row, &[("function", "WRITE/SEND"), ("data", secret)]));
        let got = tool.wait(|row| is(row, &[("function", "READ/RECV"), ("data", secret)]));
        tool.stop();
        (sent, got)
    });
    let short = short.map(|mut tool| {
        let handshake = tool.wait(|row| is(row, &[("function", "HANDSHAKE"), ("pid", &own)]));
        tool.wait(|row| is(row, &[("function", "READ/RECV"), ("pid", &own), ("data", "a secret"), ("len", "18")]));
        tool.stop();
        handshake
    });
    let (Some((sent, got)), Some(handshake)) = (rows, short) else { return };
    assert!((1..10_000_000_000).contains(&number(&handshake, "latency_ns")), "{handshake:?}");
    assert_eq!((got["pid"].as_str(), got["len"].as_str()), (own.as_str(), "18"));
    assert!(sent["pid"] != got["pid"] && sent["pid"] != client && sent["len"] == "18", "{sent:?}");
}

//! What others do does not appear: two processes do the same, one of them is wanted. And by other things than processes:
//! files, ports, networks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::files::write_to_disk;
use super::memory::Limited;
use super::network::{Keys, listen, named};
use super::{Row, is, json, shell, start, traces};

/// A shell that does what it is told, itself: what is asked of it must not start another process.
struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn new() -> Self {
        Self::of(Command::new("bash"))
    }

    /// In a network of its own, whose loopback device is up; `None` if that is not possible.
    fn elsewhere() -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", "ip link set lo up || exit 98; exec bash"]);
        let mut worker = Self::of(command);
        worker.does("true").then_some(worker)
    }

    fn of(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a shell");
        let (orders, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, orders, answers }
    }

    fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Does it and says so; false if it has ended.
    fn does(&mut self, what: &str) -> bool {
        let told = self.orders.as_mut().is_some_and(|orders| writeln!(orders, "{what}\necho done").is_ok());
        let mut line = String::new();
        told && self.answers.read_line(&mut line).is_ok() && line == "done\n"
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

/// Rows of a tool that wants one of two processes, which both do the same three times, the other one first and last.
fn of_one(args: &[&str], field: &str, what: &str) {
    let (mut wanted, mut other) = (Worker::new(), Worker::new());
    assert!(wanted.does("true") && other.does("true"));
    let pid = wanted.id();
    let Some(tool) = start(&[args, &["-p", &pid]].concat()) else { return };
    for _ in 0..3 {
        assert!(other.does(what) && wanted.does(what) && other.does(what), "{args:?}");
    }
    let rows = tool.stop();
    assert!(rows.iter().any(|row| row[field] == pid), "{args:?}: no row about {pid}: {rows:#?}");
    assert!(rows.iter().all(|row| row[field] == pid), "{args:?}: rows about others than {pid}: {rows:#?}");
}

/// Each tool that is about processes and can be made to see the same of two.
#[test]
fn of_another_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _server = std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            drop(stream);
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data");
    std::fs::write(&file, vec![b'x'; 100_000]).unwrap();
    let file = file.display();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -r -u 3 nothing; exec 3<&- 3>&-");
    let send = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; printf %100s x >&3; exec 3<&- 3>&-");
    let looked_up = format!("exec 3<>/dev/tcp/localhost/{port}; exec 3<&- 3>&-");
    let idle = "read -t 0.05 -u 9 9<> <(:)".to_owned();
    let busy = "for i in {1..60000}; do :; done".to_owned();
    // TABLE: the tool, the field with the process, what is done, and the tracepoint that not every kernel has.
    let rows: Vec<(&[&str], &str, String, &str)> = vec![
        (&["opensnoop"], "pid", format!("exec 7<{file}; exec 7<&-"), ""),
        (&["statsnoop"], "pid", format!("test -e {file}"), ""),
        (&["killsnoop"], "pid", "kill -0 $$".to_owned(), ""),
        (&["sigsnoop"], "pid", "trap : USR1; kill -USR1 $$".to_owned(), ""),
        (&["syscount", "-P"], "pid", format!("test -e {file}"), ""),
        (&["filetop"], "pid", format!("read -r line <{file}"), ""),
        (&["fsslower", "0"], "pid", format!("read -r line <{file}"), ""),
        (&["tcpconnect"], "pid", connect.clone(), ""),
        (&["tcpconnlat"], "pid", connect.clone(), ""),
        (&["tcpstates"], "pid", connect.clone(), ""),
        (&["tcplife"], "pid", connect, ""),
        (&["tcptop"], "pid", send, "sock_send_length"),
        (&["gethostlatency"], "pid", looked_up, ""),
        (&["memleak"], "pid", format!("v$RANDOM=$(<{file})"), ""),
        (&["offcputime"], "pid", idle, ""),
        (&["profile", "-F", "999"], "pid", busy, ""),
        (&["capable"], "pid", "ulimit -n 2000; ulimit -n 2001".to_owned(), "cap_capable"),
    ];
    for (args, field, what, event) in &rows {
        if event.is_empty() || traces(event) {
            of_one(args, field, what);
        }
    }
}

/// A program under two names: one that is wanted, and another.
fn twins(directory: &Path, program: &str) -> [String; 2] {
    let found = ["/usr/bin", "/bin", "/usr/local/bin"].map(|place| Path::new(place).join(program));
    let found = found.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("there is no program {program}"));
    ["wanted", "other"].map(|name| {
        let path = directory.join(format!("{name}-{program}"));
        std::fs::copy(found, &path).unwrap();
        path.display().to_string()
    })
}

/// Rows of a tool that wants one of two programs, which both do the same, the other one first and last.
#[track_caller]
fn of_named(args: &[&str], field: &str, name: &str, [wanted, other]: [&dyn Fn(); 2]) {
    let Some(tool) = start(&[args, &["--comm", name]].concat()) else { return };
    other();
    wanted();
    other();
    let rows = tool.stop();
    assert!(!rows.is_empty(), "{args:?}: no row about {name}");
    assert!(rows.iter().all(|row| row[field] == name), "{args:?}: rows about others than {name}: {rows:#?}");
}

/// Programs that are started: by name, because the process that is started is new.
#[test]
fn of_another_program() {
    let directory = tempfile::tempdir().unwrap();
    let [wanted, other] = twins(directory.path(), "true");
    for tool in ["execsnoop", "exitsnoop"] {
        // The worker starts both, so that it is the same who does.
        let mut worker = Worker::new();
        let Some(running) = start(&[tool, "--comm", "wanted-true"]) else { return };
        assert!(worker.does(&format!("{other}; {wanted}; {other}")));
        drop(worker);
        let rows = running.stop();
        assert!(!rows.is_empty() && rows.iter().all(|row| row["comm"] == "wanted-true"), "{tool}: {rows:#?}");
    }
}

/// Requests to a disk, from one of two programs.
#[test]
fn of_another_writer() {
    let directory = tempfile::tempdir().unwrap();
    if !write_to_disk(directory.path(), 4096) {
        return;
    }
    let names = twins(directory.path(), "dd");
    let file = directory.path().join("written");
    let writes = names.map(|dd| format!("exec {dd} if=/dev/zero of={} bs=64k count=1 conv=fsync", file.display()));
    let [wanted, other] = writes.each_ref().map(|text| move || drop(shell(text)));
    of_named(&["biosnoop"], "comm", "wanted-dd", [&wanted, &other]);
    // Histograms are printed at the end: both write for as long as the tool runs.
    let histogram = |args: &[&str]| {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    other();
                    wanted();
                }
            });
            let rows = json(&[args, &["--for", "1s"]].concat());
            done.store(true, Relaxed);
            rows
        })
    };
    let Some(rows) = histogram(&["bitesize", "--comm", "wanted-dd"]) else { return };
    assert!(!rows.is_empty() && rows.iter().all(|row| row["key"] == "wanted-dd"), "{rows:#?}");
    let Some(all) = histogram(&["biolatency", "-D"]) else { return };
    let disk = all[0]["key"].as_str().unwrap_or_else(|| panic!("{all:#?}"));
    for (options, has_rows) in [
        (&["--comm", "wanted-dd"][..], true),
        (&["--comm", "wanted-dd", "-Q"], true),
        (&["-d", disk], true),
        (&["--comm", "nobody"], false),
        (&["--comm", "nobody", "-Q"], false),
        (&["-d", "no-disk"], false),
    ] {
        let Some(rows) = histogram(&[&["biolatency", "-D"], options].concat()) else { return };
        assert_eq!(!rows.is_empty(), has_rows, "{options:?}: {rows:#?}");
        assert!(options[0] != "-d" || rows.iter().all(|row| row["key"] == disk), "{rows:#?}");
    }
}

/// Memory that is short for one of two programs.
#[test]
fn of_another_program_without_memory() {
    let Some(group) = Limited::new("others", 16 << 20) else { return };
    let directory = tempfile::tempdir().unwrap();
    let [wanted, other] = twins(directory.path(), "dd")
        .map(|dd| format!("exec {dd} if=/dev/zero of={} bs=1M count=48", directory.path().join("data").display()));
    of_named(&["drsnoop"], "comm", "wanted-dd", [&|| drop(group.run(&wanted)), &|| drop(group.run(&other))]);
    let [wanted, other] = twins(directory.path(), "tail").map(|tail| format!("exec {tail} /dev/zero"));
    of_named(&["oomkill"], "comm", "wanted-tail", [&|| drop(group.run(&wanted)), &|| drop(group.run(&other))]);
}

/// Servers that accept, and programs that send again what has no answer.
#[test]
fn of_another_side_of_tcp() {
    let (listener, port) = listen("127.0.0.1:0");
    let accept = |name: &'static str| {
        let (listener, client) = (listener.try_clone().unwrap(), format!("exec 3<>/dev/tcp/127.0.0.1/{port}"));
        let client = std::thread::spawn(move || shell(&client));
        named(name, move || drop(listener.accept().unwrap()));
        client.join().unwrap();
    };
    of_named(&["tcpaccept"], "comm", "wanted-server", [&|| accept("wanted-server"), &|| accept("other-server")]);
    let directory = tempfile::tempdir().unwrap();
    let [wanted, other] = twins(directory.path(), "bash");
    let Some(mut tool) = start(&["tcpretrans", "--comm", "wanted-bash"]) else { return };
    // Nobody answers there: the first packet is sent again after a second.
    let ask = |bash: &str| format!("timeout 4 {bash} -c 'exec 3<>/dev/tcp/10.9.8.2/77'");
    let script = format!(
        "ip link add v0 type veth peer name v1 && ip address add 10.9.8.1/24 dev v0 && ip link set v0 up \
         && ip link set v1 up && ip neighbour add 10.9.8.2 lladdr 02:00:00:00:00:01 dev v0 || exit 98; \
         {} & {}; wait",
        ask(&other),
        ask(&wanted)
    );
    let status = Command::new("unshare").args(["-n", "sh", "-c", &script]).stderr(Stdio::null()).status().unwrap();
    if status.code() == Some(98) {
        return crate::support::skip("there are no pairs of virtual devices (veth)");
    }
    tool.wait(|row| row["raddr"] == "10.9.8.2");
    let rows = tool.stop();
    assert!(rows.iter().all(|row| row["comm"] == "wanted-bash"), "{rows:#?}");
}

/// Text that one of two programs encrypts.
#[test]
fn of_another_program_with_tls() {
    let directory = tempfile::tempdir().unwrap();
    let Some(keys) = Keys::new(directory.path()) else { return };
    let names = twins(directory.path(), "openssl");
    let mut server = keys.server();
    let [wanted, other] = names.map(|openssl| {
        let port = server.port;
        move || {
            drop(shell(&format!(
                "(echo a secret; sleep 0.5) | timeout 5 {openssl} s_client -quiet -connect 127.0.0.1:{port}"
            )))
        }
    });
    of_named(&["sslsniff"], "comm", "wanted-openssl", [&wanted, &other]);
    server.end();
}

/// The same port and address in two networks.
#[test]
fn of_another_network() {
    let Some(mut elsewhere) = Worker::elsewhere() else {
        return crate::support::skip("network namespaces need CAP_SYS_ADMIN and `ip`");
    };
    let pid = elsewhere.id();
    let netns = std::fs::metadata(format!("/proc/{pid}/ns/net")).unwrap().ino().to_string();
    let mut here = Worker::new();
    let what = "exec 3<>/dev/tcp/127.0.0.92/1";
    for tool in ["tcpconnect", "tcpconnlat", "tcpdrop", "tcpstates"] {
        let Some(running) = start(&[tool, "--netns", &pid]) else { return };
        assert!(here.does(what) && elsewhere.does(what) && here.does(what));
        let rows = running.stop();
        assert!(!rows.is_empty(), "{tool}");
        let own = |row: &Row| row.get("netns").is_none_or(|cell| *cell == netns) && row["pid"] != here.id();
        assert!(rows.iter().all(own), "{tool}: {rows:#?}");
    }
}

/// A condition is asked in the kernel where it can be; rows are the same.
#[test]
fn of_other_values() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("there").display().to_string();
    std::fs::write(&file, "").unwrap();
    let mut worker = Worker::new();
    let pid = worker.id();
    let condition = format!("pid == {pid} && (fd >= 3 || err in (13, 20)) && err < 2");
    let Some(mut tool) = start(&["opensnoop", "--where", &condition]) else { return };
    let mut other = Worker::new();
    let what = format!("exec 7</no/such/file; exec 7<{file}; exec 7<{file}/x; exec 7<&-");
    assert!(other.does(&what) && worker.does(&what));
    tool.wait(|row| is(row, &[("pid", &pid), ("path", &file), ("err", "0")]));
    let rows = tool.stop();
    assert!(rows.iter().all(|row| row["pid"] == pid && row["err"] == "0"), "{rows:#?}");
}

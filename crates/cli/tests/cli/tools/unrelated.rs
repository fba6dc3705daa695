//! What others do does not appear: two processes do the same, one of them is wanted. And by other things than processes:
//! files, ports, networks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{Row, is, start, traces};

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

/// Programs that are started: by name, because the process that is started is new.
#[test]
fn of_another_program() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["wanted-true", "other-true"].map(|name| directory.path().join(name));
    for path in &names {
        std::fs::copy("/bin/true", path).unwrap();
    }
    let [wanted, other] = names.map(|path| path.display().to_string());
    for args in [["execsnoop", "--comm", "wanted-true"], ["exitsnoop", "--comm", "wanted-true"]] {
        let Some(tool) = start(&args) else { return };
        let mut worker = Worker::new();
        assert!(worker.does(&format!("{other}; {wanted}; {other}")));
        drop(worker);
        let rows = tool.stop();
        assert!(!rows.is_empty() && rows.iter().all(|row| row["comm"] == "wanted-true"), "{args:?}: {rows:#?}");
    }
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

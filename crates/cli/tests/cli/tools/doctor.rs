//! `skep doctor` and `skep nflat`: each trouble is made, in namespaces of its own and for some seconds, and has to be the
//! first finding; a process that does nothing has none.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{able, command};
use crate::support::{Run, SKEP, skep, skip};

/// Runs the doctor; `None` if that is not possible here.
#[track_caller]
fn doctor(args: &[&str]) -> Option<Value> {
    let mut command = command(&[&["doctor", "--for", "3s", "--json"], args].concat());
    report(&Run::of(command.output().unwrap()))
}

/// The report in the output of a run.
#[track_caller]
fn report(run: &Run) -> Option<Value> {
    if run.status == Some(99) {
        skip(&format!("tracefs cannot be mounted: {}", run.err));
        return None;
    }
    // On a busy machine events can be lost, which is said.
    assert_eq!(run.status, Some(0), "{run:?}");
    Some(serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{run:?}")))
}

/// The first finding.
#[track_caller]
fn first(report: &Value) -> Value {
    assert!(report["findings"][0].is_object(), "nothing was found: {report}");
    report["findings"][0].clone()
}

/// Whether a finding is of this kind and says this.
#[track_caller]
fn expect(report: &Value, case: &str, parts: &[&str]) {
    let finding = first(report);
    let text = finding.to_string();
    assert_eq!(finding["case"], case, "{report}");
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?}: {report}");
}

/// A copy of a program under a name of its own, by which the doctor is asked about it.
fn copy(of: &str, name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::copy(of, &path).unwrap();
    (directory, path)
}

/// A process that is ended with the value.
struct Running(Child);

impl Running {
    fn new(program: &Path, text: &str) -> Self {
        let mut command = Command::new("timeout");
        command.args(["--foreground", "60"]).arg(program).args(["-c", text]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // timeout hands the signal to what it runs.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Runs a thread with this name until the value is gone.
struct Working {
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Working {
    fn new(threads: usize, name: &str, work: impl Fn() + Send + Clone + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let begin = |_| {
            let (over, work) = (Arc::clone(&over), work.clone());
            let run = move || {
                while !over.load(Ordering::Relaxed) {
                    work();
                }
            };
            thread::Builder::new().name(name.to_owned()).spawn(run).unwrap()
        };
        Self { threads: (0..threads).map(begin).collect(), over }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_process_that_waits_has_no_finding() {
    let sleeper = Running::new(Path::new("/bin/sh"), "exec sleep 50");
    if !able() {
        return;
    }
    let pid = sleeper.0.id().to_string();
    let Some(report) = doctor(&["-p", &pid]) else { return };
    assert_eq!(report["findings"], serde_json::json!([]), "{report}");
    let names: Vec<&str> = report["collectors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"locks") && names.contains(&"files") && !names.contains(&"interrupts"), "{names:?}");
    let text = Run::of(command(&["doctor", "--for", "1s", "-p", &pid]).output().unwrap()).ok().out;
    assert!(text.starts_with(&format!("Looked at processes {pid} for ")), "{text}");
    assert!(
        text.contains("\nNothing was found.\n")
            && text.contains("\nNot looked at: rules, network, interrupts, groups: "),
        "{text}"
    );
}

#[test]
fn the_whole_machine_is_looked_at() {
    if !able() {
        return;
    }
    // What is found depends on the machine, which does other things at this time.
    let Some(report) = doctor(&[]) else { return };
    let collectors = report["collectors"].as_array().unwrap().len();
    let skipped = report["skipped"].as_array().unwrap();
    assert!(collectors >= 12 && skipped.iter().all(|one| one["collector"] == "rules"), "{report}");
    let weights: Vec<f64> =
        report["findings"].as_array().unwrap().iter().map(|one| one["weight"].as_f64().unwrap()).collect();
    assert!(weights.is_sorted_by(|a, b| a >= b), "{weights:?}");
}

#[test]
fn a_burner_is_found() {
    let (_directory, burner) = copy("/bin/bash", "doctor-burner");
    let _burner = Running::new(&burner, "while :; do :; done");
    if !able() {
        return;
    }
    let Some(report) = doctor(&["--comm", "doctor-burner"]) else { return };
    // On a busy machine it waits for a processor more than it uses one.
    expect(&report, "processors", &["doctor-burner", "a processor"]);
}

#[test]
fn configuration_that_is_missing_is_found() {
    let (directory, program) = copy("/bin/bash", "doctor-config");
    let home = directory.path().display();
    let text = format!(
        "for i in {{1..200}}; do (. /etc/doctor-no.conf || . {home}/.config/doctor-no.conf; exec {0} -c 'exit 3'); \
         sleep 0.2; done",
        program.display()
    );
    let _running = Running::new(&program, &text);
    if !able() {
        return;
    }
    let Some(report) = doctor(&["--comm", "doctor-config"]) else { return };
    let places = ["doctor-no.conf", "/etc/doctor-no.conf: does not exist", ".config/doctor-no.conf", "status 3"];
    expect(&report, "configuration", &places);
    assert!(first(&report)["next"].as_str().unwrap().contains("skep opensnoop -x"), "{report}");
}

#[test]
fn locks_are_found() {
    let lock = Arc::new(Mutex::new(()));
    let _working = Working::new(4, "doctor-locks", move || {
        let guard = lock.lock().unwrap();
        thread::sleep(Duration::from_millis(5));
        drop(guard);
    });
    if !able() {
        return;
    }
    let Some(report) = doctor(&["--comm", "doctor-locks"]) else { return };
    expect(&report, "stall", &["wait for one lock", "skep offcputime"]);
    assert_eq!(first(&report)["pid"], std::process::id());
}

#[test]
fn writing_to_disk_is_found() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("data");
    let once = move || {
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(b"x").unwrap();
        file.sync_all().unwrap();
    };
    let begin = Instant::now();
    once();
    if begin.elapsed() < Duration::from_micros(300) {
        println!("this file system does not wait for a disk");
        return;
    }
    let _working = Working::new(1, "doctor-disk", once);
    if !able() {
        return;
    }
    let Some(report) = doctor(&["--comm", "doctor-disk"]) else { return };
    expect(&report, "stall", &["doctor-disk", "of the time"]);
}

#[test]
fn names_without_answers_are_found() {
    let (_directory, program) = copy("/usr/bin/getent", "doctor-names");
    if !able() {
        return;
    }
    // Packets to the server leave through a device that leads nowhere.
    let text = format!(
        "mount -t tracefs tracefs /sys/kernel/tracing || exit 99
        ip link set lo up && ip link add d type dummy && ip addr add 192.0.2.1/24 dev d && ip link set d up || exit 98
        mount -t tmpfs none /mnt && echo 'nameserver 192.0.2.53' > /mnt/resolv && echo 'hosts: files dns' > /mnt/switch
        [ -e /etc/nsswitch.conf ] && mount --bind /mnt/switch /etc/nsswitch.conf
        mount --bind /mnt/resolv /etc/resolv.conf || exit 98
        (for i in 1 2 3 4 5 6 7 8 9; do timeout 2 {} ahosts no.doctor.example; done) >/dev/null 2>&1 &
        {SKEP} doctor --for 5s --json --comm doctor-names; status=$?; kill %1 2>/dev/null; exit $status",
        program.display()
    );
    let output = Command::new("unshare").args(["-m", "-n", "bash", "-c", &text]).stdin(Stdio::null()).output().unwrap();
    if output.status.code() == Some(98) {
        println!("no dummy device or no file for the resolver here");
        return;
    }
    let Some(report) = report(&Run::of(output)) else { return };
    expect(&report, "stall", &["waits for names of hosts", "no.doctor.example"]);
}

#[test]
fn programs_that_live_shortly_are_found() {
    let (_directory, program) = copy("/bin/bash", "doctor-storm");
    let _running = Running::new(&program, "while :; do /bin/true; done");
    if !able() {
        return;
    }
    let Some(report) = doctor(&["--comm", "doctor-storm"]) else { return };
    expect(&report, "hidden", &["doctor-storm", "programs a second", "times true", "skep execsnoop"]);
}

/// Runs something in a network namespace with these rules of nftables; `None` if there are none here.
#[track_caller]
fn with_rules(rules: &str, text: &str) -> Option<Run> {
    if !able() {
        return None;
    }
    if Command::new("nft").arg("--version").output().is_err() {
        skip("nft is not installed");
        return None;
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rules.as_bytes()).unwrap();
    let text = format!(
        "mount -t tracefs tracefs /sys/kernel/tracing || exit 99; ip link set lo up; nft -f {} || exit 97\n{text}",
        file.path().display()
    );
    let output = Command::new("unshare").args(["-m", "-n", "bash", "-c", &text]).stdin(Stdio::null()).output().unwrap();
    if output.status.code() == Some(97) {
        println!("this kernel has no nftables: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(Run::of(output))
}

/// A chain with many rules that fit nothing, one after the other.
fn long_chain(rules: usize) -> String {
    let lines = (0..rules).map(|n| format!("ip saddr 198.18.{}.{} counter drop\n", n / 250, n % 250));
    let body: String = lines.collect();
    format!("table ip t {{ chain c {{ type filter hook input priority 0;\n{body}udp dport 9 drop\n}} }}\n")
}

const TRAFFIC: &str = "(timeout 20 bash -c 'while :; do echo x >/dev/udp/127.0.0.1/7; done') 2>/dev/null &";

#[test]
fn slow_rules_are_found() {
    let text = format!(
        "{TRAFFIC}
        {SKEP} doctor --for 3s --json --netns $$; status=$?; kill %1; exit $status"
    );
    let Some(run) = with_rules(&long_chain(4000), &text) else { return };
    let Some(report) = report(&run) else { return };
    expect(&report, "rules", &["each packet of IPv4 spends", "in the rules of the hook input", "skep nflat"]);
    // Few rules are no trouble.
    let Some(run) = with_rules(&long_chain(3), &text) else { return };
    let found = self::report(&run).unwrap();
    assert!(found["findings"].as_array().unwrap().iter().all(|one| one["case"] != "rules"), "{found}");
}

#[test]
fn nflat_times_hooks() {
    // Packets to port 9 are dropped, those to port 7 and the answers that nobody listens there pass.
    let text = format!(
        "{SKEP} nflat --json --for 3s --netns $$ > /tmp/skep-nflat-$$ & sleep 1.5
        for i in {{1..20}}; do echo x >/dev/udp/127.0.0.1/9; done
        for i in {{1..30}}; do echo x >/dev/udp/127.0.0.1/7; done 2>/dev/null
        wait %1; status=$?; cat /tmp/skep-nflat-$$; rm /tmp/skep-nflat-$$; exit $status"
    );
    let Some(run) = with_rules(&long_chain(2000), &text) else { return };
    let run = run.ok();
    let rows: Vec<Value> = run.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = |hook: &str| {
        rows.iter().find(|row| row["hook"] == hook && row["ip"] == 4).unwrap_or_else(|| panic!("{rows:?}"))
    };
    let (input, output) = (row("input"), row("output"));
    let number = |row: &Value, field: &str| row[field].as_i64().unwrap();
    assert_eq!((number(input, "dropped"), number(output, "dropped")), (20, 0), "{rows:?}");
    assert!(number(input, "packets") >= 30 && number(output, "packets") >= 50, "{rows:?}");
    // Two thousand comparisons take more than one microsecond everywhere, and more than none of them.
    assert!(number(input, "mean_ns") > 1000 && number(input, "mean_ns") > number(output, "mean_ns"), "{rows:?}");
    assert!(number(input, "p50_ns") <= number(input, "p99_ns") && number(input, "max_ns") >= number(input, "mean_ns"));
    assert!(rows.iter().all(|row| row["hook"] != "forward"), "{rows:?}");
}

#[test]
fn mistakes_of_the_doctor_are_explained() {
    for (args, part) in [
        (&["doctor", "--only", "nothing"][..], "there is no such collector; `skep doctor --list` names them"),
        (&["doctor", "--for", "never"], "is no time"),
        (&["doctor", "--cgroup", "/no/such"], "/no/such"),
        (&["nflat", "--around", "x"], "expected a priority of netfilter"),
        (&["nflat", "--netns", "no-such-name"], "/run/netns/no-such-name"),
    ] {
        let run = skep(args);
        assert!(run.status == Some(2) && run.err.contains(part), "{run:?}");
    }
    let list = skep(["doctor", "--list"]).ok().out;
    assert!(list.contains("rules ") && list.contains("groups ") && list.lines().count() == 14, "{list}");
    let source = skep(["doctor", "--source", "--only", "locks"]).ok().out;
    assert!(source.contains("import \"doctor/locks.bt\";") && !source.contains("queue"), "{source}");
    if able() {
        let run = skep(["nflat", "--hook", "middle", "--for", "1ms"]);
        assert!(run.err.contains("there are prerouting, input, forward, output, postrouting"), "{run:?}");
    }
}

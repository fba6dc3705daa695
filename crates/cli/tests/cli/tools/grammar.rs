//! The options that all tools have, each at work: whose events, which rows, in which form, until when.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{able, command, is, json, number, shell, start};
use crate::strace::options::Group;
use crate::support::{Run, skip};

/// Runs a tool to its end; `None` if that is not possible here.
#[track_caller]
fn run(args: &[&str]) -> Option<Run> {
    if !able() {
        return None;
    }
    let run = Run::of(command(args).output().unwrap());
    if run.status == Some(99) {
        skip(&format!("tracefs cannot be mounted: {}", run.err));
        return None;
    }
    Some(run.ok())
}

/// Opens a file again and again for some seconds.
fn opener(path: &str) -> std::process::Child {
    let text = format!("for i in {{1..600}}; do exec 3<{path}; sleep 0.1; done");
    Command::new("bash").args(["-c", &text]).stdin(Stdio::null()).spawn().unwrap()
}

#[test]
fn several_processes() {
    let mut children = ["/etc/hostname", "/etc/passwd", "/etc/group"].map(opener);
    let ids = [0, 1, 2].map(|at| children[at].id().to_string());
    let both = format!("{},{}", ids[0], ids[1]);
    let outcome = start(&["opensnoop", "-p", &both]).map(|mut tool| {
        tool.wait(|row| is(row, &[("pid", &ids[0]), ("path", "/etc/hostname")]));
        tool.wait(|row| is(row, &[("pid", &ids[1]), ("path", "/etc/passwd")]));
        tool.stop()
    });
    let apart = start(&["opensnoop", "-p", &ids[0], "--pid", &ids[2]]).map(|mut tool| {
        tool.wait(|row| row["pid"] == ids[0]);
        tool.wait(|row| row["pid"] == ids[2]);
        tool.stop()
    });
    children.iter_mut().for_each(|child| drop(child.kill().and_then(|()| child.wait())));
    if let (Some(rows), Some(apart)) = (outcome, apart) {
        assert!(rows.iter().all(|row| row["pid"] == ids[0] || row["pid"] == ids[1]), "{rows:?}");
        assert!(apart.iter().all(|row| row["pid"] == ids[0] || row["pid"] == ids[2]), "{apart:?}");
    }
}

#[test]
fn groups_containers_and_pods() {
    if !able() {
        return;
    }
    let pod = "11111111-2222-3333-4444-555555555555";
    let id = format!("70015{}", "0".repeat(59));
    let name = format!("kubepods-pod{}.slice/cri-containerd-{id}.scope", pod.replace('-', "_"));
    let Some(group) = Group::new("skep-tools", &name) else { return };
    for choice in [["--cgroup", group.path.to_str().unwrap()], ["--container", "70015000"]] {
        let Some(mut tool) = start(&["opensnoop", choice[0], choice[1]]) else { return };
        let mut outside = opener("/etc/passwd");
        let mut inside = group.shell("for i in {1..600}; do exec 3</etc/hostname; sleep 0.1; done").spawn().unwrap();
        let row = tool.wait(|row| row["path"] == "/etc/hostname" && !row["container"].is_empty());
        let rows = tool.stop();
        for child in [&mut outside, &mut inside] {
            let _ = child.kill();
            child.wait().unwrap();
        }
        assert_eq!((row["container"].as_str(), row["pod"].as_str()), ("700150000000", pod));
        assert!(row["exe"].ends_with("bash") && row["user"] == "root", "{row:?}");
        let own = inside.id().to_string();
        // The shell starts `sleep`, which is in the group as well.
        assert!(rows.iter().all(|row| row["pid"] == own || row["comm"] == "sleep"), "{rows:?}");
    }
}

#[test]
fn network_namespaces_choose() {
    let inside =
        "unshare -n bash -c 'ip link set lo up; echo x >/dev/tcp/127.0.0.1/9; sleep 60' 2>/dev/null & echo $!; wait";
    let mut child = Command::new("bash");
    let child = child.args(["-c", inside]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let mut pid = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut pid).unwrap();
    let pid = pid.trim().to_owned();
    // It has moved when its namespace is another one.
    let link = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).ok();
    let begin = Instant::now();
    while link(&pid) == link("self") && begin.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    if let Some(mut tool) = start(&["opensnoop", "--netns", &pid]) {
        let text = format!("nsenter -t {pid} -n cat /etc/hostname; cat /etc/hostname");
        shell(&text);
        let row = tool.wait(|row| is(row, &[("comm", "cat"), ("path", "/etc/hostname")]));
        let rows = tool.stop();
        let rows: Vec<_> = rows.iter().filter(|found| found["path"] == "/etc/hostname").collect();
        assert_eq!(rows.len(), 1, "{row:?} {rows:?}");
    }
    shell(&format!("kill {pid}"));
    child.wait().unwrap();
}

#[test]
fn forms_fields_and_stamps() {
    let mut child = opener("/etc/hostname");
    let pid = child.id().to_string();
    let opens =
        |more: &[&str]| run(&[&["opensnoop", "-p", &pid, "--where", "path ~ hostname", "--count", "2"], more].concat());
    let all = || {
        Some([
            opens(&[])?,
            opens(&["-o", "wide"])?,
            opens(&["--fields", "path,pid"])?,
            opens(&["-o", "json", "--fields", "pid,user"])?,
            opens(&["--csv", "--fields", "comm,path"])?,
            opens(&["-T"])?,
            opens(&["--timestamp"])?,
        ])
    };
    let runs = all();
    let _ = child.kill();
    child.wait().unwrap();
    let Some([table, wide, fields, json, csv, time, since]) = runs else { return };
    let words =
        |run: &Run, line: usize| -> Vec<String> { run.lines()[line].split_whitespace().map(str::to_owned).collect() };
    assert_eq!(words(&table, 0), ["PID", "COMM", "FD", "ERR", "PATH"]);
    assert_eq!(words(&table, 1)[0], pid);
    assert_eq!(table.lines().len(), 3, "{table:?}");
    let head = words(&wide, 0);
    assert!(
        ["UID", "EXE", "CONTAINER", "POD", "USER"].iter().all(|name| head.iter().any(|word| word == name)),
        "{wide:?}"
    );
    assert_eq!(words(&fields, 0), ["PATH", "PID"]);
    assert_eq!(words(&fields, 1), ["/etc/hostname", pid.as_str()]);
    assert_eq!(json.lines()[0], format!("{{\"pid\": {pid}, \"user\": \"root\"}}"));
    assert_eq!(csv.lines(), ["comm,path", "bash,/etc/hostname", "bash,/etc/hostname"]);
    assert!(words(&time, 0)[0] == "TIME" && words(&time, 1)[0].len() == 8, "{time:?}");
    assert!(words(&since, 0)[0] == "TIME(s)" && words(&since, 1)[0] == "0.000000", "{since:?}");
    assert!(words(&since, 2)[0].parse::<f64>().unwrap() > 0.0, "{since:?}");
}

#[test]
fn intervals_order_and_ends() {
    let begin = Instant::now();
    let Some(rows) = json(&["syscount", "--every", "300ms", "--for", "1s", "--sort", "-count", "--top", "2"]) else {
        return;
    };
    assert!(begin.elapsed() >= Duration::from_secs(1));
    // Three intervals and what is left at the end, two rows of each; each in order.
    assert!((4..=8).contains(&rows.len()), "{rows:?}");
    let counts: Vec<i64> = rows.iter().map(|row| row["count"].as_i64().unwrap()).collect();
    assert!(counts.chunks(2).all(|pair| pair.len() < 2 || pair[0] >= pair[1]), "{counts:?}");
    // As the tools of this name take them: an interval and how often.
    let Some(rows) = json(&["syscount", "-T", "1", "0.3", "2"]) else { return };
    assert_eq!(rows.len(), 2, "{rows:?}");
    let own = std::process::id().to_string();
    let Some(rows) = json(&["syscount", "-P", "-c", &own, "1", "1"]) else { return };
    assert!(rows.iter().all(|row| row["pid"] != std::process::id()), "{rows:?}");
}

#[test]
fn flame_graphs_and_rates() {
    let mut busy = Command::new("bash");
    let mut busy = busy.args(["-c", "while ((SECONDS < 30)); do :; done"]).spawn().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flame.svg");
    let path = file.to_str().unwrap();
    let profile = |more: &[&str]| {
        let rows = json(&[&["profile", "--comm", "bash", "--for", "2s"], more].concat())?;
        Some((rows.iter().map(|row| row["count"].as_i64().unwrap()).sum::<i64>(), rows))
    };
    let both = || Some((profile(&["-F", "199", "--flame", path, "-U"])?, profile(&["-F", "5", "-K"])?));
    let runs = both();
    let _ = busy.kill();
    busy.wait().unwrap();
    let Some(((often, users), (seldom, kernels))) = runs else { return };
    assert!(often > 3 * seldom && often > 0, "{often} {seldom}");
    assert!(users.iter().all(|row| row["kernel_stack"].is_null()), "{users:?}");
    assert!(kernels.iter().all(|row| row["user_stack"].is_null()), "{kernels:?}");
    let picture = std::fs::read_to_string(&file).unwrap();
    assert!(picture.starts_with("<") && picture.contains("<svg") && picture.contains("bash"), "{picture}");
    let run = crate::support::skep(["opensnoop", "--flame", path]);
    assert!(run.status == Some(2) && run.err.contains("--flame"), "{run:?}");
}

#[test]
fn histograms_and_counts_in_place_of_rows() {
    let Some(run) = run(&["softirqs", "-d", "--for", "1s"]) else { return };
    assert!(run.out.contains("@dist[") && run.out.contains('|'), "{run:?}");
    let Some(rows) = json(&["softirqs", "--for", "1s"]) else { return };
    assert!(rows.iter().any(|row| row["softirq"] == "timer" || row["softirq"] == "sched"), "{rows:?}");
    // Connections that are refused.
    let tool = start(&["tcpconnect", "-c", "--comm", "bash"]);
    for _ in 0..3 {
        shell("echo >/dev/tcp/127.0.0.1/9");
    }
    let Some(tool) = tool else { return };
    let rows = tool.stop();
    let row = rows.iter().find(|row| is(row, &[("daddr", "127.0.0.1"), ("dport", "9")]));
    assert!(row.is_some_and(|row| number(row, "connects") >= 3), "{rows:?}");
}

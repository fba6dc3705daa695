//! Judges on made facts: what is to be found is found, what is daily life is not.

use std::time::Duration;

use super::*;
use crate::catalogue::library;
use crate::row::Cell;

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

/// A machine with two processors that was looked at for ten seconds.
fn seen(facts: Vec<Fact>) -> Seen {
    Seen { window: Duration::from_secs(10), processors: 2, facts, ..Seen::default() }
}

fn fact(from: &str, comm: &str, numbers: &[(&str, i128)], texts: &[(&str, &str)]) -> Fact {
    let own = [("from", text(from)), ("pid", Cell::Number(7)), ("comm", text(comm))];
    let numbers = numbers.iter().map(|(name, number)| (*name, Cell::Number(*number)));
    Fact::new(own.into_iter().chain(numbers).chain(texts.iter().map(|(name, value)| (*name, text(value)))))
}

fn all(seen: &Seen) -> Vec<Finding> {
    diagnose(&COLLECTORS.iter().collect::<Vec<_>>(), seen)
}

#[test]
fn every_collector_has_its_script() {
    let everything: Vec<&Collector> = COLLECTORS.iter().collect();
    let script = script(&everything).unwrap();
    for collector in COLLECTORS.iter().filter(|collector| !collector.script.is_empty()) {
        assert!(library(collector.script).is_some(), "{}", collector.name);
        assert!(script.contains(&format!("import \"{}\";", collector.script)));
    }
    assert_eq!(super::script(&[&COLLECTORS[0]]), None);
    assert!(CASES.iter().all(|(case, name, words)| case.name() == *name && case.words() == *words));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table with a row for each trouble")]
fn troubles_are_found() {
    const MS: i128 = 1_000_000;
    // TABLE: what was seen, the case, part of what is said, part of the evidence or of the next command.
    let table: Vec<(Vec<Fact>, Case, &str, &str)> = vec![
        (
            vec![fact("processors", "burner", &[("count", 480)], &[("stack", "")])],
            Case::Processors,
            "burner (process 7) uses 98 % of a processor",
            "49 % of the machine",
        ),
        (
            vec![fact("queue", "late", &[("wait_ns", 5000 * MS), ("count", 100), ("max_ns", 90 * MS)], &[])],
            Case::Processors,
            "threads of late (process 7) wait for a processor, together 50 % of the time",
            "100 waits, 50.0 ms each",
        ),
        (
            vec![
                fact("files", "app", &[("error", 2), ("count", 1)], &[("path", "/etc/app.conf")]),
                fact("files", "app", &[("error", 2), ("count", 1)], &[("path", "/srv/.config/app.conf")]),
            ],
            Case::Configuration,
            "looks for app.conf in 2 places",
            "/etc/app.conf: does not exist",
        ),
        (
            vec![fact("files", "app", &[("error", 13), ("count", 1), ("status", 256)], &[("path", "/srv/app.yaml")])],
            Case::Configuration,
            "may not read its configuration",
            "it ended with status 1",
        ),
        (
            vec![fact(
                "locks",
                "pool",
                &[("address", 0x1000), ("wait_ns", 20_000 * MS), ("count", 40), ("max_ns", 900 * MS), ("over", 1)],
                &[],
            )],
            Case::Stall,
            "wait for one lock, together 200 % of the time",
            "the lock at 0x1000, 500.0 ms each",
        ),
        (
            vec![fact(
                "kernel_locks",
                "k",
                &[("wait_ns", 3000 * MS), ("count", 3)],
                &[("stack", "__mutex_lock+1\nrename+2")],
            )],
            Case::Stall,
            "a lock of the kernel in rename, 30 %",
            "3 waits, 1.00 s each",
        ),
        (
            vec![fact(
                "blocked",
                "db",
                &[("wait_ns", 6000 * MS), ("count", 60), ("max_ns", 200 * MS)],
                &[("stack", "__schedule+1\nio_schedule+2\next4_read+5")],
            )],
            Case::Stall,
            "db (process 7) waits 60 % of the time for a disk",
            "(100 %) in ext4_read",
        ),
        (
            vec![fact("sync", "db", &[("wait_ns", 8000 * MS), ("count", 80), ("max_ns", 200 * MS)], &[])],
            Case::Stall,
            "waits 80 % of the time until its data is on disk",
            "80 calls of fsync",
        ),
        (
            vec![fact("disks", "", &[("wait_ns", 2000 * MS), ("count", 20), ("max_ns", 300 * MS)], &[("disk", "sdb")])],
            Case::Stall,
            "the disk sdb is slow: 100.0 ms for a request",
            "20 requests",
        ),
        (
            vec![fact(
                "names",
                "curl",
                &[("wait_ns", 5000 * MS), ("count", 1), ("failed", 1), ("max_ns", 5000 * MS), ("over", 1)],
                &[("host", "db.example")],
            )],
            Case::Stall,
            "curl (process 7) waits for names of hosts, together 50 %",
            "slow: db.example",
        ),
        (
            vec![fact("memory", "java", &[("wait_ns", 1000 * MS), ("count", 10)], &[])],
            Case::Hidden,
            "has to free memory before it gets some, 10 %",
            "10 times, 100.0 ms each",
        ),
        (vec![fact("killed", "java", &[], &[])], Case::Hidden, "java (process 7) was killed", "skep oomkill"),
        (
            vec![fact("network", "", &[("port", 443), ("count", 50)], &[("address", "192.0.2.7")])],
            Case::Hidden,
            "packets to 192.0.2.7:443 get lost",
            "50 segments",
        ),
        (
            vec![fact("dropped", "", &[("count", 500)], &[("reason", "SKB_DROP_REASON_SOCKET_RCVBUFF")])],
            Case::Hidden,
            "programs do not fetch what arrives",
            "500 packets",
        ),
        (
            vec![fact("programs", "make", &[("count", 900)], &[("program", "cc")])],
            Case::Hidden,
            "make (process 7) starts 90 programs a second",
            "900 times cc",
        ),
        (
            vec![fact("softirqs", "", &[("number", 3), ("wait_ns", 8000 * MS)], &[])],
            Case::Hidden,
            "the deferred interrupt net_rx takes 40 %",
            "skep softirqs",
        ),
        (
            vec![fact("processors", "ping", &[("count", 300)], &[("stack", "x+1\nnft_do_chain+5\ny+2")])],
            Case::Rules,
            "goes through rules of iptables or nftables 100 % of the time",
            "300 of 300 samples",
        ),
    ];
    for (facts, case, what, more) in table {
        let found = all(&seen(facts));
        let first = found.first().unwrap_or_else(|| panic!("nothing about {what}"));
        assert_eq!(first.case, case, "{first:?}");
        assert!(first.what.contains(what), "{first:?}");
        assert!(first.evidence.join("\n").contains(more) || first.next.contains(more), "{first:?}");
        assert!((0.0..=100.0).contains(&first.weight));
    }
}

#[test]
fn daily_life_is_no_trouble() {
    const MS: i128 = 1_000_000;
    let facts = vec![
        fact("processors", "bash", &[("count", 90)], &[("stack", "")]),
        fact("queue", "bash", &[("wait_ns", 3000 * MS), ("count", 100_000), ("max_ns", MS)], &[]),
        // One look for one file.
        fact("files", "vim", &[("error", 2), ("count", 1)], &[("path", "/srv/.vimrc")]),
        // What the loader looks for.
        fact("files", "ls", &[("error", 2), ("count", 9), ("status", 256)], &[("path", "/etc/ld.so.preload")]),
        // Found somewhere else.
        fact("files", "app", &[("error", 2), ("count", 5)], &[("path", "/srv/app.conf")]),
        fact("opened", "app", &[], &[("path", "/etc/app.conf")]),
        fact("locks", "x", &[("wait_ns", 100 * MS), ("count", 50), ("max_ns", 9 * MS), ("over", 1)], &[]),
        fact(
            "blocked",
            "sh",
            &[("wait_ns", 9000 * MS), ("count", 1)],
            &[("stack", "__schedule+1\nwait_for_vfork_done+2")],
        ),
        fact(
            "blocked",
            "rcu_tasks_kthre",
            &[("wait_ns", 9000 * MS), ("count", 1)],
            &[("stack", "__schedule+1\nsynchronize_rcu_normal+3\nrcu_tasks_wait_gp+2\nrcu_tasks_kthread+9")],
        ),
        fact("disks", "", &[("wait_ns", 2000 * MS), ("count", 20_000)], &[("disk", "sda")]),
        fact(
            "names",
            "curl",
            &[("wait_ns", 30 * MS), ("count", 3), ("max_ns", 12 * MS), ("over", 1)],
            &[("host", "a")],
        ),
        fact("network", "", &[("port", 443), ("count", 2)], &[("address", "192.0.2.7")]),
        fact("dropped", "", &[("count", 500)], &[("reason", "SKB_DROP_REASON_NO_SOCKET")]),
        fact("programs", "bash", &[("count", 40)], &[("program", "ls")]),
        fact("softirqs", "", &[("number", 1), ("wait_ns", 300 * MS)], &[]),
    ];
    assert_eq!(all(&seen(facts)), []);
    // Nothing at all, not even time.
    assert_eq!(all(&Seen::default()), []);
}

#[test]
fn reports() {
    let facts = vec![fact("processors", "burner", &[("count", 480)], &[("stack", "")])];
    let seen = seen(facts);
    let collectors: Vec<&Collector> = COLLECTORS.iter().collect();
    let findings = diagnose(&collectors, &seen);
    let skipped = [Skipped { name: "names", why: "no C library".to_owned() }];
    let pressure = Some(Pressure { cpu: 12.3, io: 0.0, memory: 0.0 });
    let report = Report {
        window: seen.window,
        processors: 2,
        whose: "the whole machine",
        collectors: &collectors,
        skipped: &skipped,
        pressure,
        findings: &findings,
    };
    let text = report.text();
    let start = "Looked at the whole machine for 10.0 s, with 14 collectors on 2 processors; somebody waited for a \
        processor 12 % of the time, for disks 0 %, for memory 0 %.\n\n 1. Burner (process 7) uses 98 % of a processor.\n";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("\n    Next: skep profile -p 7 --flame flame.svg 10\n"), "{text}");
    assert!(text.ends_with("Not looked at: names: no C library\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(
        (json["findings"][0]["case"].as_str(), json["findings"][0]["pid"].as_u64()),
        (Some("processors"), Some(7))
    );
    assert_eq!(json["skipped"][0]["collector"], "names");
    let quiet = Report { findings: &[], pressure: None, ..report }.text();
    assert!(quiet.contains("on 2 processors.\n\nNothing was found.\n"), "{quiet}");
}

#[test]
fn frames_and_times() {
    assert_eq!(report::telling("__schedule+1\nschedule+2\nfutex_wait+4"), "futex_wait");
    assert_eq!((report::telling("schedule+1"), report::telling("")), ("schedule".to_owned(), String::new()));
    for (nanos, expected) in [(5, "5 ns"), (1_500, "1.5 µs"), (2_500_000, "2.5 ms"), (3_000_000_000, "3.00 s")] {
        assert_eq!(report::time(Duration::from_nanos(nanos)), expected);
    }
}

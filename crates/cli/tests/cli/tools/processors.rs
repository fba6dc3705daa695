//! Tools about processors: runqlat, cpudist, runqlen, profile, offcputime, softirqs, hardirqs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::files::write_to_disk;
use super::json;

/// A thread with a name that does something again and again until it is dropped.
struct Again {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Again {
    fn new(name: &str, each: impl Fn() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let work = move || {
            while !seen.load(Ordering::Relaxed) {
                each();
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work).unwrap();
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[inline(never)]
fn spin() {
    let mut sum = 0u64;
    for number in 0..100_000u64 {
        sum = std::hint::black_box(sum.wrapping_mul(31) ^ number);
    }
}

fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

#[test]
fn runqlat() {
    let _busy = Again::new("sleeper-q", || std::thread::sleep(Duration::from_millis(1)));
    let Some(rows) = json(&["runqlat", "-L", "--for", "1s"]) else { return };
    let own: Vec<_> = rows.iter().filter(|row| row["key2"] == "sleeper-q").collect();
    // It wakes about a thousand times a second and waits for its processor each time.
    let count: u64 = own.iter().filter_map(|row| row["count"].as_u64()).sum();
    assert!((10..=5_000).contains(&count), "{own:?}");
    let Some(rows) = json(&["runqlat", "--comm", "sleeper-q", "--for", "500ms"]) else { return };
    let count: u64 = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
    assert!((5..=5_000).contains(&count), "{rows:?}");
    let Some(rows) = json(&["runqlat", "--comm", "nobody-at-all", "--for", "100ms"]) else { return };
    assert!(rows.is_empty(), "{rows:?}");
}

#[test]
fn cpudist() {
    let _busy = Again::new("sleeper-d", || std::thread::sleep(Duration::from_millis(4)));
    // It runs for microseconds and is off its processor for at least four milliseconds.
    let Some(on) = json(&["cpudist", "--comm", "sleeper-d", "--for", "1s"]) else { return };
    let Some(off) = json(&["cpudist", "-O", "--comm", "sleeper-d", "--for", "1s"]) else { return };
    let most = |rows: &[serde_json::Value]| {
        let largest = rows.iter().max_by_key(|row| row["count"].as_u64()).unwrap_or_else(|| panic!("no buckets"));
        (largest["from"].as_i64().unwrap(), largest["to"].as_i64().unwrap())
    };
    assert!(most(&on).0 < 4_000, "{on:?}");
    assert!(most(&off).1 >= 4_000, "{off:?}");
    for options in [&["cpudist"][..], &["cpudist", "-O"]] {
        let Some(rows) = json(&[options, &["--comm", "nobody-at-all", "--for", "100ms"]].concat()) else { return };
        assert!(rows.is_empty(), "{rows:?}");
    }
}

#[test]
fn runqlen() {
    let _busy: Vec<Again> = (0..processors() + 2).map(|_| Again::new("spinner-n", spin)).collect();
    let Some(rows) = json(&["runqlen", "-C", "--for", "1s"]) else { return };
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["key"].as_u64().unwrap() < 4096 && row["from"].as_i64() >= Some(0)), "{rows:?}");
    // With more threads than processors some of them wait.
    assert!(rows.iter().any(|row| row["from"].as_i64() >= Some(1) && row["count"].as_u64() > Some(0)), "{rows:?}");
}

#[test]
fn profile() {
    let _busy = Again::new("spinner-p", spin);
    let Some(rows) = json(&["profile", "--comm", "spinner-p", "--for", "1s"]) else { return };
    let samples: u64 = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
    // 49 a second on each processor at most, and it has one.
    assert!((3..=100).contains(&samples), "{rows:?}");
    assert!(rows.iter().all(|row| row["comm"] == "spinner-p" && row["pid"] == std::process::id()), "{rows:?}");
    assert!(rows.iter().any(|row| row["user_stack"].as_str().is_some_and(|stack| stack.contains("spin"))), "{rows:?}");
    if !super::able() {
        return;
    }
    let output = super::command(&["profile", "--comm", "spinner-p", "-f", "500ms"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    let (stack, count) = line.rsplit_once(' ').unwrap_or_default();
    assert!(stack.starts_with("spinner-p;") && count.parse::<u64>().is_ok(), "{text}");
}

#[test]
fn offcputime() {
    let _busy = Again::new("sleeper-o", || std::thread::sleep(Duration::from_millis(20)));
    let Some(rows) = json(&["offcputime", "--comm", "sleeper-o", "--for", "1s"]) else { return };
    let asleep = rows.iter().find(|row| row["kernel_stack"].as_str().is_some_and(|stack| stack.contains("nanosleep")));
    let asleep = asleep.unwrap_or_else(|| panic!("{rows:?}"));
    let (time, count) = (asleep["wait_ns"].as_u64().unwrap(), asleep["count"].as_u64().unwrap());
    assert!(count > 0 && time >= count * 20_000_000 && time <= 2_000_000_000, "{asleep}");
    assert!(!asleep["kernel_stack"].as_str().unwrap().contains("bpf"), "{asleep}");
    assert!(rows.iter().all(|row| row["comm"] == "sleeper-o"), "{rows:?}");
}

#[test]
fn interrupts() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap();
    let _busy = Again::new("sender", move || {
        let _ = socket.send_to(b"x", to);
        std::thread::sleep(Duration::from_micros(500));
    });
    let Some(rows) = json(&["softirqs", "--for", "1s"]) else { return };
    let received = rows.iter().find(|row| row["softirq"] == "net_rx").unwrap_or_else(|| panic!("{rows:?}"));
    let (count, total, max) = (
        received["count"].as_i64().unwrap(),
        received["total_ns"].as_i64().unwrap(),
        received["max_ns"].as_i64().unwrap(),
    );
    assert!(count >= 100 && max > 0 && total >= max && total <= 2_000_000_000 * processors() as i64, "{received}");
    // A disk interrupts when it is done; without one a virtual machine may have a second without interrupts of devices.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let has_disk = write_to_disk(&path, 4096);
    let write = move || {
        write_to_disk(&path, 64 << 10);
    };
    let _writer = has_disk.then(|| Again::new("irq-writer", write));
    let Some(rows) = json(&["hardirqs", "--for", "1s"]) else { return };
    assert!(!has_disk || !rows.is_empty());
    for row in &rows {
        assert!(row["total_ns"].as_i64() >= row["max_ns"].as_i64() && row["count"].as_i64() > Some(0), "{row}");
        assert_ne!(row["hardirq"], "", "{row}");
    }
}

#[test]
fn intervals() {
    // A part for each interval, and after so many the end.
    let _busy = Again::new("spinner-i", spin);
    let Some(rows) = json(&["profile", "--comm", "spinner-i", "--every", "300ms", "--for", "1s"]) else { return };
    assert!(!rows.is_empty());
    if !super::able() {
        return;
    }
    let output = super::command(&["softirqs", "0.2", "3", "--csv", "--where", "softirq == timer"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.lines().count() <= 4 && text.starts_with("softirq,count,total_ns,max_ns\n"), "{text}");
}

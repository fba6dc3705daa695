//! What the firewall costs: a packet that is dropped, a rule that is added, a list that is applied, against nftables and
//! iptables in the same run. `cargo bench -p skep-cli --bench firewall` prints tables; needs root, `unshare`, `ip`, `chrt`.
//!
//! Every measurement runs in namespaces of its own, with one pair of devices. Packets are made in the kernel: frames that
//! a program of XDP sends into one end (`BPF_F_TEST_XDP_LIVE_FRAMES`). The other end handles them in the same
//! process, so the time of this process on its processor is the whole path; it runs ahead of all others (`SCHED_FIFO`).
//!
//! A word behind `--bench` runs only the tables whose titles have it.

mod changes;
mod flood;
mod lists;

use std::process::Command;

use lists::{Kind, Method};

type Failed = Box<dyn std::error::Error>;

const SKEP: &str = env!("CARGO_BIN_EXE_skep");
/// Numbers of rules.
const SIZES: [usize; 5] = [1, 100, 1_000, 10_000, 100_000];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !args.iter().any(|arg| arg == "--bench") {
        return;
    }
    if let Some(at) = args.iter().position(|arg| arg == "--measure") {
        match measure(&args[at + 1..]) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{}: {error}", args[at + 1..].join(" ")),
        }
        return;
    }
    let only = args.iter().find(|arg| !arg.starts_with('-'));
    for (title, kind, methods) in lists::TABLES {
        if only.is_none_or(|only| title.contains(only.as_str())) {
            table(title, *kind, methods);
        }
    }
    for (title, what) in changes::TABLES {
        if only.is_none_or(|only| title.contains(only.as_str())) {
            println!("\n{title}");
            match inside(&["changes", what], false) {
                Some(text) => print!("{text}"),
                None => println!("-"),
            }
        }
    }
}

/// One measurement, in namespaces of its own.
fn measure(args: &[String]) -> Result<String, Failed> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["changes", what] => changes::measure(what),
        [method, kind, size] => {
            let method = Method::of(method).ok_or("no such method")?;
            let kind = Kind::of(kind).ok_or("no such kind of list")?;
            flood::measure(method, kind, size.parse()?)
        }
        _ => Err("unknown measurement".into()),
    }
}

/// Runs this program again in new namespaces; what it printed, if anything.
fn inside(words: &[&str], ahead: bool) -> Option<String> {
    let own = std::env::current_exe().ok()?;
    let mut command = Command::new("unshare");
    command.args(["-n", "-m"]);
    if ahead {
        command.args(["chrt", "-f", "20", "taskset", "-c", "1"]);
    }
    command.arg(own).args(["--bench", "--measure"]).args(words);
    let output = command.output().ok()?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).ok()?;
    (!text.trim().is_empty()).then_some(text)
}

/// Nanoseconds for a packet: a row for each method, a column for each size; then each row as a multiple of the first.
fn table(title: &str, kind: Kind, methods: &[Method]) {
    println!("\n{title}: ns for a packet");
    print!("{:<28}", "rules");
    SIZES.iter().for_each(|size| print!(" {size:>9}"));
    println!();
    let mut rows: Vec<Vec<Option<f64>>> = Vec::new();
    for method in methods {
        print!("{:<28}", method.name());
        let mut row = Vec::new();
        for size in SIZES {
            let time = (size <= method.most())
                .then(|| inside(&[method.word(), kind.word(), &size.to_string()], true))
                .flatten()
                .and_then(|text| text.trim().parse::<f64>().ok());
            print!(" {:>9}", time.map_or("-".to_owned(), |time| format!("{time:.0}")));
            let _ = std::io::Write::flush(&mut std::io::stdout());
            row.push(time);
        }
        println!();
        rows.push(row);
    }
    let Some((first, rest)) = rows.split_first() else { return };
    for (method, row) in methods.iter().skip(1).zip(rest) {
        print!("{:<28}", format!("{} / first", method.name()));
        for (ours, theirs) in first.iter().zip(row) {
            let ratio = ours.zip(*theirs).map_or("-".to_owned(), |(ours, theirs)| format!("{:.2}", theirs / ours));
            print!(" {ratio:>9}");
        }
        println!();
    }
}

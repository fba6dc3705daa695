//! Opening the running kernel's types and finding one: `cargo bench -p skep-btf --bench open` prints times and memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_btf::{Btf, Kind};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// A type near the end, one near the start, and one that does not exist.
const NAMES: [&str; 3] = ["tcp_sock", "task_struct", "no_such_type"];
const ROUNDS: usize = 50;

fn main() {
    // `cargo test --all-targets` runs benches too; they have nothing to prove there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let Ok(bytes) = std::fs::read(VMLINUX) else {
        println!("SKIPPED: {VMLINUX} cannot be read; the kernel needs CONFIG_DEBUG_INFO_BTF=y");
        return;
    };
    let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bytes);
    let open = || Btf::parse(Arc::clone(&bytes)).expect("the kernel's own types must open");
    let btf = open();
    println!("{} bytes, {} types, index {} bytes", bytes.as_ref().as_ref().len(), btf.len(), btf.index_size());
    row("open", || drop(black_box(open())));
    for name in NAMES {
        row(&format!("open, find {name}"), || {
            black_box(open().find(black_box(name)));
        });
    }
    row("open, make the index of names", || drop(black_box(open().find_flavours("task_struct"))));
    row("find with the index", || {
        black_box(btf.find(black_box("tcp_sock")));
    });
    println!("index with names {} bytes", btf.index_size());
    row("sizes of all types", || {
        black_box(btf.ids().filter_map(|id| btf.size_of(id).ok()).map(u64::from).sum::<u64>());
    });
    row("members of all structures", || {
        let members = |id| match btf.kind(id) {
            Ok(Kind::Struct(composite) | Kind::Union(composite)) => {
                composite.members().filter(|member| btf.string(member.name).is_ok()).count()
            }
            _ => 0,
        };
        black_box(btf.ids().map(members).sum::<usize>());
    });
}

/// Prints best and median of several rounds.
fn row(what: &str, mut body: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            body();
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("{what:<34} best {:>10.1?}  median {:>10.1?}", times[0], times[ROUNDS / 2]);
}

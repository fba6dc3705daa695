//! Many attachments at once, pinning, leaving.

use std::fs;
use std::time::Instant;

use skep_isa::ProgType;
use skep_kernel::attach::{Attachment, UserPlace, attach_raw_tracepoint, attach_tracepoint, attach_uprobe};

use super::probes::{many, offset, own_file};
use super::support::{Counting, in_namespace, only_this_thread, Wanted};

#[test]
fn measure() {
    in_namespace(|| {
        let counting = Counting::new(ProgType::Kprobe, 0);
        let tp = Counting::new(ProgType::Tracepoint, 0);
        let raw = Counting::new(ProgType::RawTracepoint, 0);
        for kind in ["uprobe", "tracepoint", "raw"] {
            for threads in [1usize, 4, 16, 64] {
                let start = Instant::now();
                let mut all: Vec<Attachment> = (0..128).map(|_| match kind {
                    "uprobe" => attach_uprobe(&counting.program, own_file(), UserPlace::at(offset(many)), false, None).unwrap(),
                    "tracepoint" => attach_tracepoint(&tp.program, "syscalls", "sys_enter_getppid", 0).unwrap_or_else(|_| attach_raw_tracepoint(&raw.program, "sys_enter", 0).unwrap().into()),
                    _ => attach_raw_tracepoint(&raw.program, "sys_enter", 0).unwrap().into(),
                }).collect();
                let attached = start.elapsed();
                let start = Instant::now();
                std::thread::scope(|scope| {
                    let each = all.len().div_ceil(threads);
                    while !all.is_empty() {
                        let part = all.split_off(all.len().saturating_sub(each));
                        scope.spawn(move || drop(part));
                    }
                });
                println!("{kind} {threads} threads: attach {attached:?} detach {:?}", start.elapsed());
            }
        }
    });
}

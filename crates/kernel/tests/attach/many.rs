//! Many attachments at once; pinning, leaving, taking over.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::time::Instant;

use skep_isa::{AttachType, ProgType};
use skep_kernel::attach::{
    Attachment, CgroupOptions, Link, UserPlace, attach_cgroup, attach_cgroup_slot, attach_raw_tracepoint,
    attach_uprobe, detach_all, open_cgroup,
};

use super::probes::{many, offset, own_file, touch};
use super::support::{Cgroup, Counting, in_namespace, is_root};

#[test]
fn all_at_once() {
    if !is_root() {
        return;
    }
    let probe = Counting::new(ProgType::Kprobe, 0);
    // Kernels before 6.10 have each program once at a raw tracepoint.
    let raw: Vec<Counting> = (0..40).map(|_| Counting::new(ProgType::RawTracepoint, 0)).collect();
    let place = UserPlace::at(offset(many));
    let mut all: Vec<Attachment> =
        (0..12).map(|_| attach_uprobe(&probe.program, own_file(), place, false, None).unwrap()).collect();
    let at_calls = |raw: &Counting| attach_raw_tracepoint(&raw.program, "sys_enter", 0);
    all.extend(raw.iter().map(|raw| Attachment::from(at_calls(raw).unwrap())));
    if let Err(error) = at_calls(&raw[0]) {
        assert!(error.to_string().contains("attached to `sys_enter` already"), "{error}");
        assert!(skep_kernel::running_release().unwrap() < skep_isa::Release::new(6, 10));
    }
    probe.expect(12, || touch(many(1)));
    let start = Instant::now();
    detach_all(all).unwrap();
    println!("52 attachments ended in {:?}", start.elapsed());
    probe.expect_end(|| touch(many(1)));
    raw.iter().for_each(|raw| raw.expect_end(|| drop(fs::metadata("/"))));
    detach_all(Vec::new()).unwrap();
}

#[test]
fn pinned_links_outlive_their_owner() {
    in_namespace(|| {
        let Some(group) = Cgroup::new() else { return };
        let counting = Counting::at(ProgType::CgroupSysctl, AttachType::CgroupSysctl, 1);
        let cgroup = open_cgroup(&group.path).unwrap();
        let read = || drop(group.run("cat /proc/sys/kernel/ostype"));
        let attach =
            || attach_cgroup(&counting.program, &cgroup, AttachType::CgroupSysctl, CgroupOptions::default()).unwrap();
        let attached = attach();
        let error = attached.pin("/tmp/skep-attach-link").unwrap_err().to_string();
        assert!(error.contains("mount -t bpf bpf /sys/fs/bpf"), "{error}");
        let error = attached.pin("/sys/fs/bpf/no/link").unwrap_err().to_string();
        assert!(error.contains("the directory of `/sys/fs/bpf/no/link` does not exist"), "{error}");
        attached.pin("/sys/fs/bpf/link").unwrap();
        assert!(attached.pin("/sys/fs/bpf/link").unwrap_err().to_string().contains("exists already"));
        drop(attached);
        counting.expect_soon(1, read);
        fs::remove_file("/sys/fs/bpf/link").unwrap();
        counting.expect_end(read);
        let error = attach().leave().unwrap_err().to_string();
        assert!(error.contains("pin its link"), "{error}");
        counting.expect_end(read);
        // Without link it stays when it is told to.
        let slot = attach_cgroup_slot(&counting.program, &cgroup, AttachType::CgroupSysctl, None).unwrap();
        Attachment::Cgroup(slot).leave().unwrap();
        counting.expect_soon(1, read);
        let again = attach_cgroup_slot(&counting.program, &cgroup, AttachType::CgroupSysctl, None).unwrap_err();
        assert!(again.to_string().contains("attached to the group already"), "{again}");
        assert!(Link::from_fd(OwnedFd::from(File::open("/dev/null").unwrap())).is_err());
    });
}

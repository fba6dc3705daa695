//! A process that is killed in the middle of attaching leaves nothing attached.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use skep_isa::{AttachType, ProgType};
use skep_kernel::attach::{
    Attachment, CgroupOptions, Direction, NetfilterFamily, NetfilterHook, NetfilterPlace, UserPlace, XdpMode,
    attach_cgroup, attach_netfilter, attach_raw_tracepoint, attach_tc, attach_uprobe, attach_xdp, interface,
    open_cgroup, xdp_state,
};
use skep_kernel::program_ids;

use super::probes::{many, offset, own_file};
use super::support::{Cgroup, Counting, in_namespace, pair_of_interfaces};
use crate::common::kernel_has;

const GROUP: &str = "SKEP_TEST_KILLED_GROUP";

/// Runs in the process that is killed: attaches and detaches without end.
#[test]
#[ignore = "only for the process that the other test kills"]
fn child() {
    let Ok(group) = std::env::var(GROUP) else { return };
    let xdp = Counting::new(ProgType::Xdp, 2);
    // Filters, which are the older way, stay when their owner is killed.
    let tc = kernel_has("links of traffic control", AttachType::TcxIngress.since())
        .then(|| Counting::new(ProgType::SchedCls, -1));
    let raw = Counting::new(ProgType::RawTracepoint, 0);
    let probe = Counting::new(ProgType::Kprobe, 0);
    let netfilter = kernel_has("programs for netfilter", ProgType::Netfilter.since())
        .then(|| Counting::at(ProgType::Netfilter, AttachType::Netfilter, 1));
    let sysctl = Counting::at(ProgType::CgroupSysctl, AttachType::CgroupSysctl, 1);
    let cgroup = open_cgroup(group).unwrap();
    let b = interface("b").unwrap().index;
    let family = NetfilterFamily::Ipv4;
    let place = NetfilterPlace { family, hook: NetfilterHook::LocalOut, priority: 5, defragment: false };
    let programs = [&xdp, &raw, &probe, &sysctl].into_iter().chain(&tc).chain(&netfilter);
    let ids: Vec<String> = programs.map(|each| each.program.info().unwrap().id.to_string()).collect();
    println!("attaching {}", ids.join(" "));
    loop {
        let mut all: Vec<Attachment> = vec![
            attach_xdp(&xdp.program, b, XdpMode::Native).unwrap(),
            attach_raw_tracepoint(&raw.program, "sys_enter", 0).unwrap().into(),
            attach_cgroup(&sysctl.program, &cgroup, AttachType::CgroupSysctl, CgroupOptions::default()).unwrap(),
        ];
        all.extend(tc.as_ref().map(|tc| attach_tc(&tc.program, b, Direction::Ingress).unwrap()));
        let attached = netfilter.as_ref().and_then(|netfilter| attach_netfilter(&netfilter.program, place).ok());
        all.extend(attached.map(Attachment::from));
        let place = UserPlace::at(offset(many));
        all.extend((0..5).map(|_| attach_uprobe(&probe.program, own_file(), place, false, None).unwrap()));
    }
}

#[test]
fn nothing_stays() {
    in_namespace(|| {
        let (_, b) = pair_of_interfaces();
        let Some(group) = Cgroup::new() else { return };
        for wait in [0, 3, 20, 45] {
            let mut child = Command::new(own_file())
                .args(["killed::child", "--exact", "--ignored", "--nocapture"])
                .env(GROUP, &group.path)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let line = lines.map_while(Result::ok).find(|line| line.contains("attaching "));
            let line = line.expect("the child says what it attaches");
            let ids: Vec<u32> =
                line.split("attaching ").nth(1).unwrap().split(' ').map(|id| id.parse().unwrap()).collect();
            assert!(ids.len() >= 4, "{line}");
            std::thread::sleep(Duration::from_millis(wait));
            child.kill().unwrap();
            child.wait().unwrap();
            // Programs live as long as anything that they are attached to; the kernel frees some of it later.
            let alive = || program_ids().filter_map(Result::ok).filter(|id| ids.contains(id)).count();
            let gone = (0..400).any(|_| {
                std::thread::sleep(Duration::from_millis(10));
                alive() == 0
            });
            assert!(gone, "{} of the programs are still alive", alive());
            assert!(xdp_state(b).unwrap().is_empty());
        }
    });
}

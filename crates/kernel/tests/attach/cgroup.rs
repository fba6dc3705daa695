//! Programs of control groups.

use skep_isa::{AttachType, ProgType};
use skep_kernel::attach::{Attachment, CgroupOptions, attach_cgroup, attach_cgroup_slot, open_cgroup};
use skep_kernel::{KernelError, running_release};

use super::support::{Cgroup, Counting, Wanted, absent, detach_now, in_namespace, is_root};

/// Connects to a port at which nobody listens.
const CONNECT: &str = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'";

// TABLE
/// Program type, attach type, what the program returns to allow, and a command that makes it run ("": none here).
const KINDS: [(ProgType, AttachType, i32, &str); 28] = [
    (ProgType::CgroupSkb, AttachType::CgroupInetIngress, 1, "ping -c 1 -W 1 127.0.0.1"),
    (ProgType::CgroupSkb, AttachType::CgroupInetEgress, 1, "ping -c 1 -W 1 127.0.0.1"),
    (ProgType::CgroupSock, AttachType::CgroupInetSockCreate, 1, "ping -c 1 -W 1 127.0.0.1"),
    (ProgType::CgroupSock, AttachType::CgroupInetSockRelease, 1, "ping -c 1 -W 1 127.0.0.1"),
    (ProgType::CgroupSock, AttachType::CgroupInet4PostBind, 1, ""),
    (ProgType::CgroupSock, AttachType::CgroupInet6PostBind, 1, ""),
    (ProgType::SockOps, AttachType::CgroupSockOps, 1, CONNECT),
    (ProgType::CgroupDevice, AttachType::CgroupDevice, 1, "head -c 1 /dev/zero"),
    (ProgType::CgroupSysctl, AttachType::CgroupSysctl, 1, "cat /proc/sys/kernel/ostype"),
    (ProgType::CgroupSockopt, AttachType::CgroupSetsockopt, 1, "ping -c 1 -W 1 127.0.0.1"),
    (ProgType::CgroupSockopt, AttachType::CgroupGetsockopt, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupInet4Bind, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupInet6Bind, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupInet4Connect, 1, CONNECT),
    (ProgType::CgroupSockAddr, AttachType::CgroupInet6Connect, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUdp4Sendmsg, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUdp6Sendmsg, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUdp4Recvmsg, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUdp6Recvmsg, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupInet4Getpeername, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupInet6Getpeername, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupInet4Getsockname, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupInet6Getsockname, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUnixConnect, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUnixSendmsg, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUnixRecvmsg, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUnixGetpeername, 1, ""),
    (ProgType::CgroupSockAddr, AttachType::CgroupUnixGetsockname, 1, ""),
];

#[test]
fn every_hook_of_control_groups() {
    in_namespace(|| {
        let Some(group) = Cgroup::new() else { return };
        let fd = open_cgroup(&group.path).unwrap();
        for (prog_type, attach_type, result, command) in KINDS {
            if running_release().is_some_and(|running| running < attach_type.since()) {
                absent(&format!("{attach_type} came with Linux {}", attach_type.since()));
                continue;
            }
            let counting = Counting::load(&Wanted::at(prog_type, attach_type, result)).unwrap();
            let attached = attach_cgroup(&counting.program, &fd, attach_type, CgroupOptions::default()).unwrap();
            assert!(matches!(attached, Attachment::Link(_)), "{attach_type}");
            if !command.is_empty() {
                group.run(command);
                assert!(counting.count() > 0, "{attach_type} did not run for `{command}`");
            }
            detach_now(attached);
            let before = counting.count();
            if !command.is_empty() {
                group.run(command);
            }
            assert_eq!(counting.count(), before, "{attach_type} still runs");
            // Without link.
            let slot = attach_cgroup_slot(&counting.program, &fd, attach_type, None);
            let slot = match slot {
                Err(error) => panic!("{attach_type}: {error}"),
                Ok(slot) => slot,
            };
            if !command.is_empty() {
                group.run(command);
                assert!(counting.count() > before, "{attach_type} did not run for `{command}`");
            }
            slot.detach().unwrap();
        }
    });
}

#[test]
fn programs_that_refuse_and_mistakes() {
    if !is_root() {
        return;
    }
    let Some(group) = Cgroup::new() else { return };
    let fd = open_cgroup(&group.path).unwrap();
    let deny = Counting::at(ProgType::CgroupSysctl, AttachType::CgroupSysctl, 0);
    let attached = attach_cgroup(&deny.program, &fd, AttachType::CgroupSysctl, CgroupOptions::default()).unwrap();
    assert!(!group.run("cat /proc/sys/kernel/ostype").status.success());
    detach_now(attached);
    assert!(group.run("cat /proc/sys/kernel/ostype").status.success());
    let error = open_cgroup("/sys/fs/nothing").unwrap_err().to_string();
    assert!(error.contains("does not exist") && error.contains("mounted"), "{error}");
    let error = open_cgroup("/tmp").unwrap_err().to_string();
    assert!(error.contains("no control group of the unified hierarchy"), "{error}");
    let options = CgroupOptions::default();
    let wrong = attach_cgroup(&deny.program, &fd, AttachType::CgroupInetEgress, options).unwrap_err();
    assert!(wrong.to_string().contains("was not loaded for cgroup_inet_egress"), "{wrong}");
    let directory = std::fs::File::open("/tmp").unwrap();
    let wrong = attach_cgroup(&deny.program, &directory, AttachType::CgroupSysctl, options).unwrap_err();
    assert!(wrong.to_string().contains("not a control group"), "{wrong}");
    // One program in place of another.
    let other = Counting::at(ProgType::CgroupSysctl, AttachType::CgroupSysctl, 1);
    let slot = attach_cgroup_slot(&deny.program, &fd, AttachType::CgroupSysctl, None).unwrap();
    let replaced = attach_cgroup_slot(
        &other.program,
        &fd,
        AttachType::CgroupSysctl,
        Some(std::os::fd::AsFd::as_fd(&deny.program)),
    )
    .unwrap();
    let gone = slot.detach().unwrap_err();
    assert!(matches!(gone, KernelError::Invalid { .. }), "{gone}");
    assert!(group.run("cat /proc/sys/kernel/ostype").status.success() && other.count() > 0);
    drop(replaced);
}

//! Giving up privileges, in a process of its own. Needs root; reports what it skips.

mod common;

use std::fs;
use std::net::UdpSocket;
use std::process::Command;

use skep_kernel::{Capability, drop_privileges, has_capability};

/// Set in the process that gives up its privileges.
const CHILD: &str = "SKEP_TEST_PRIVILEGES";

#[test]
fn root_becomes_nobody_for_good() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    if !(has_capability(Capability::SetUid) && has_capability(Capability::SetGid)) {
        return common::skip("changing the user needs CAP_SETUID and CAP_SETGID");
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "root_becomes_nobody_for_good", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("all gone"), "{text}");
}

fn child() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    drop_privileges("nobody").unwrap();
    // The test runs on a thread; the C library changes all of them.
    for status in ["/proc/self/status", "/proc/thread-self/status"] {
        let status = fs::read_to_string(status).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        for name in ["Uid:", "Gid:"] {
            let numbers = field(name);
            assert!(numbers.split_whitespace().all(|number| number == "65534"), "{name} {numbers}");
        }
        assert_eq!(field("CapEff:"), "0000000000000000");
        assert_eq!(field("CapPrm:"), "0000000000000000");
        assert!(!field("Groups:").split_whitespace().any(|group| group == "0"), "{}", field("Groups:"));
    }
    assert!(!has_capability(Capability::NetRaw));
    assert!(fs::read("/etc/shadow").is_err());
    // What was open stays open.
    socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    // A second time it is no change; another user is refused.
    drop_privileges("nobody").unwrap();
    let error = drop_privileges("root").unwrap_err();
    assert!(error.to_string().starts_with("cannot set the groups: "), "{error}");
    println!("all gone");
}

//! What cannot be captured, and captures whose interface is taken away.

use std::time::Duration;

use skep_kernel::{Capability, has_capability};
use skep_packet::ring::{Capture, CaptureError, CaptureOptions, InterfaceChoice, Wait};

use crate::net::{CABLE, Net};
use crate::traffic::{capture, ethernet_udp_to, options, send_numbered};

#[test]
fn names_that_do_not_exist() {
    let Some(net) = Net::new() else { return };
    let open = |name: &str| {
        let options = CaptureOptions::new(InterfaceChoice::Named(name.to_owned()));
        net.inside(0, || Capture::open(&options).map(drop)).unwrap_err().to_string()
    };
    assert_eq!(open("vteh0"), "there is no interface `vteh0`; did you mean `veth0`?");
    assert_eq!(open("wlp3s0f1"), "there is no interface `wlp3s0f1`; there are veth0, any, lo");
    assert_eq!(open("77"), "there is no interface `77`; there are veth0, any, lo");
}

#[test]
fn interface_that_is_down() {
    let Some(net) = Net::new() else { return };
    net.ip(0, &["link", "set", CABLE, "down"]);
    let error = net.inside(0, || Capture::open(&options()).map(drop)).unwrap_err();
    assert!(matches!(error, CaptureError::InterfaceDown { .. }), "{error}");
    assert_eq!(error.to_string(), "interface `veth0` is down; bring it up with `ip link set dev veth0 up`");
}

/// Packets that came before the interface went away are delivered, then the reason is told.
#[test]
fn interface_that_goes_away() {
    for (command, gone) in [(["link", "set", CABLE, "down"], false), (["link", "delete", "dev", CABLE], true)] {
        let Some(net) = Net::new() else { return };
        let mut options = options();
        options.delay = Duration::from_millis(200);
        let mut capture = net.inside(0, || capture(&options, &ethernet_udp_to(4242)));
        net.inside(1, || send_numbered(1, 4242, 0..30));
        net.ip(0, &command);
        let mut count = 0;
        let error = loop {
            match net.inside(0, || capture.wait(Some(Duration::from_secs(5)))) {
                Ok(Wait::Ready) => {}
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
            while capture.next_packet().unwrap().is_some() {
                count += 1;
            }
        };
        assert_eq!(count, 30);
        match error {
            CaptureError::InterfaceDown { name } => assert_eq!((name.as_str(), gone), (CABLE, false)),
            CaptureError::InterfaceGone { name } => assert_eq!((name.as_str(), gone), (CABLE, true)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn without_the_capability() {
    let Some(net) = Net::new() else { return };
    let error = net.inside(0, || {
        drop_net_raw();
        assert!(!has_capability(Capability::NetRaw));
        Capture::open(&options()).map(drop).unwrap_err()
    });
    assert!(matches!(error, CaptureError::NotPermitted), "{error}");
    assert!(error.to_string().contains("setcap cap_net_raw+ep"), "{error}");
}

/// Takes `CAP_NET_RAW` from the calling thread.
fn drop_net_raw() {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    // Effective, permitted and inheritable, for the lower and the upper 32 capabilities.
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: header and sets have the layout and the length that version 3 of the interface has.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()), 0);
        sets[0][0] &= !(1 << Capability::NetRaw.bit());
        assert_eq!(libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()), 0);
    }
}

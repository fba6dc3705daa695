//! Two network namespaces joined by a cable, and packets in them. Everything is removed when the value is dropped.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Interface name on both sides.
pub const CABLE: &str = "veth0";
/// Addresses of the two sides.
pub const ADDRESS: [&str; 2] = ["10.77.0.1", "10.77.0.2"];
/// IPv6 addresses of the two sides.
pub const ADDRESS6: [&str; 2] = ["fd77::1", "fd77::2"];
/// Hardware addresses of the two sides.
pub const MAC: [[u8; 6]; 2] = [[2, 0x77, 0, 0, 0, 1], [2, 0x77, 0, 0, 0, 2]];

/// A pair of namespaces, numbered 0 and 1.
pub struct Net {
    names: [String; 2],
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", arguments.join(" "), text.trim())) }
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

impl Net {
    /// Builds the pair; reports a skip and gives `None` where that is not possible.
    #[track_caller]
    pub fn new() -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let base = format!("skep{}x{number}", std::process::id());
        let net = Self { names: [format!("{base}a"), format!("{base}b")] };
        match net.build() {
            Ok(()) => Some(net),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    fn build(&self) -> Result<(), String> {
        for name in &self.names {
            ip(&["netns", "add", name])?;
        }
        let [a, b] = &self.names;
        let (mac_a, mac_b) = (mac_text(MAC[0]), mac_text(MAC[1]));
        let first = ["-n", a, "link", "add", CABLE, "address", &mac_a, "type", "veth"];
        ip(&[&first[..], &["peer", "name", CABLE, "address", &mac_b, "netns", b]].concat())?;
        for side in 0..2 {
            let name = &self.names[side];
            // No router solicitations and address checks: only packets that a test sends are on the cable.
            self.quiet(side);
            let v4 = format!("{}/24", ADDRESS[side]);
            let v6 = format!("{}/64", ADDRESS6[side]);
            let peer_mac = mac_text(MAC[1 - side]);
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", CABLE, "multicast", "off"])?;
            ip(&["-n", name, "address", "add", &v4, "dev", CABLE])?;
            ip(&["-n", name, "link", "set", CABLE, "up"])?;
            ip(&["-n", name, "address", "add", &v6, "dev", CABLE, "nodad"])?;
            for peer in [ADDRESS[1 - side], ADDRESS6[1 - side]] {
                let permanent = ["lladdr", &peer_mac, "dev", CABLE, "nud", "permanent"];
                ip(&[&["-n", name, "neighbour", "replace", peer], &permanent[..]].concat())?;
            }
        }
        Ok(())
    }

    fn quiet(&self, side: usize) {
        self.inside(side, || {
            for (name, value) in [("accept_dad", "0"), ("router_solicitations", "0"), ("addr_gen_mode", "1")] {
                // These belong to the namespace of the thread that opens them. Without IPv6 there are none, and then
                // nothing has to be silenced.
                let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{CABLE}/{name}"), value);
            }
        });
    }

    /// Runs `ip` inside a namespace.
    #[track_caller]
    pub fn ip(&self, side: usize, arguments: &[&str]) {
        ip(&[&["-n", &self.names[side]], arguments].concat()).unwrap();
    }

    /// Runs a function on a thread inside a namespace.
    #[track_caller]
    pub fn inside<T: Send>(&self, side: usize, run: impl FnOnce() -> T + Send) -> T {
        let name = &self.names[side];
        let enter = move || {
            let namespace = File::open(format!("/run/netns/{name}")).unwrap();
            // SAFETY: no pointers are involved; only this thread, which ends soon, changes its namespace.
            let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "setns: {}", std::io::Error::last_os_error());
            run()
        };
        std::thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Puts a frame on the cable as it is.
    #[track_caller]
    pub fn inject(&self, side: usize, frames: &[Vec<u8>]) {
        self.inside(side, || inject_here(CABLE, frames));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.names {
            // The cable goes with its namespaces. One that was never made is no loss.
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

/// Sends frames on an interface of the calling thread's namespace.
#[track_caller]
pub fn inject_here(interface: &str, frames: &[Vec<u8>]) {
    let name = std::ffi::CString::new(interface).unwrap();
    // SAFETY: `name` is a C string; the other calls take addresses and lengths of values that live through them.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "socket: {}", std::io::Error::last_os_error());
        let fd = OwnedFd::from_raw_fd(fd);
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
        for frame in frames {
            address.sll_protocol = u16::from_ne_bytes([frame[12], frame[13]]);
            let sent = libc::sendto(
                fd.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            );
            assert_eq!(sent, frame.len() as isize, "sendto: {}", std::io::Error::last_os_error());
        }
    }
}

/// Reports a test that cannot run on this machine; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

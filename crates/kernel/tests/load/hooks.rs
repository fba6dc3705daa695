//! Objects of clang at the hooks of control groups, sockets, routes, packets and results: each program is loaded and
//! attached, what it waits for happens, and its count moves.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use skep_isa::{AttachType, MapType};
use skep_kernel::attach::{
    AttachOptions, Attachments, LwtHook, LwtRoute, Seg6Route, attach_all, attach_flow_dissector, attach_infrared,
    attach_lwt, attach_reuseport, attach_seg6_local, attach_sockmap, open_cgroup, open_infrared,
};
use skep_kernel::{LoadError, LoadOptions, Loaded, LoadedProgram, TestInput, Update, attach_program, load_with};
use skep_object::Object;

use super::coverage::excuse;
use super::objects::{object, read_variable, set_variable};
use super::support::{Cgroup, in_namespace, map, pair_of_interfaces, run, send};

/// The programs of `hooks.c`, some of them loaded.
struct Hooks {
    object: Object,
    loaded: Loaded,
}

impl Hooks {
    fn new(programs: &[&str]) -> Option<Self> {
        let object = object("hooks")?;
        let options = LoadOptions { programs: Some(programs), ..LoadOptions::default() };
        let loaded = load_with(&object, &options).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.programs.len(), programs.len());
        Some(Self { object, loaded })
    }

    /// One program, unless this kernel is known not to have its type; `thread` is this thread.
    #[track_caller]
    fn one(name: &str) -> Option<Self> {
        let mut object = object("hooks")?;
        // SAFETY: takes no arguments.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) };
        set_variable(&mut object, "thread", &(thread as u32).to_ne_bytes());
        let options = LoadOptions { programs: Some(&[name]), ..LoadOptions::default() };
        match load_with(&object, &options) {
            Ok(loaded) => Some(Self { object, loaded }),
            Err(LoadError::Program { error, .. }) if excuse(name, &error).is_some() => {
                println!("{name}: not on this kernel: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Attaches the only program by its section, unless this kernel is known not to have its place.
    #[track_caller]
    fn attach(&self, options: &AttachOptions<'_>) -> Option<Attachments> {
        match attach_all(&self.loaded, &self.object, options) {
            Ok(attached) => {
                assert_eq!((attached.attached.len(), attached.left.len()), (1, 0), "{:?}", attached.left);
                Some(attached)
            }
            Err((name, error)) if excuse(&name, &error).is_some() => {
                println!("{name}: not on this kernel: {error}");
                None
            }
            Err((name, error)) => panic!("{name}: {error}"),
        }
    }

    fn program(&self, name: &str) -> &LoadedProgram {
        self.loaded.program(name).unwrap()
    }

    fn count(&self, index: usize) -> u64 {
        let counts = read_variable(&self.object, &self.loaded, "counts");
        u64::from_ne_bytes(counts[8 * index..8 * index + 8].try_into().unwrap())
    }

    /// Asserts that the program with this number runs within a second; softirqs may be late.
    #[track_caller]
    fn expect(&self, index: usize, event: impl FnOnce()) {
        let (before, deadline) = (self.count(index), Instant::now() + Duration::from_secs(1));
        event();
        while self.count(index) == before {
            assert!(Instant::now() < deadline, "program {index} did not run");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
pub fn control_groups() {
    in_namespace(|| {
        let names = ["created", "released", "operated", "opened", "asked", "configured", "connecting", "received"];
        let (Some(hooks), Some(group)) = (Hooks::new(&names), Cgroup::new()) else { return };
        let fd = open_cgroup(&group.path).unwrap();
        let options = AttachOptions { cgroup: Some(fd.as_fd()), ..AttachOptions::default() };
        let attached = attach_all(&hooks.loaded, &hooks.object, &options);
        let attached = attached.unwrap_or_else(|(name, error)| panic!("{name}: {error}"));
        assert_eq!((attached.attached.len(), attached.left.len()), (names.len(), 0));
        group.run("ping -c 1 -W 1 127.0.0.1");
        group.run("bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'");
        group.run("head -c 1 /dev/zero");
        group.run("cat /proc/sys/kernel/ostype");
        for (index, name) in names.iter().enumerate() {
            assert!(hooks.count(index) > 0, "{name} did not run");
        }
    });
}

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
pub fn messages_and_streams() {
    in_namespace(|| {
        let cases = [(8, "message", AttachType::SkMsgVerdict), (9, "stream", AttachType::SkSkbStreamVerdict)];
        for (index, name, attach_type) in cases {
            let Some(hooks) = Hooks::new(&[name]) else { return };
            let sockets = map(MapType::Sockmap, 4, 4, 2);
            let attached = attach_sockmap(hooks.program(name), &sockets, attach_type).unwrap();
            let (mut client, mut server) = connected();
            let watched = if index == 8 { client.as_raw_fd() } else { server.as_raw_fd() };
            sockets.set(&[0; 4], &watched.to_ne_bytes(), Update::Any).unwrap();
            hooks.expect(index, || {
                client.write_all(b"0123").unwrap();
                server.read_exact(&mut [0; 4]).unwrap();
            });
            drop(attached);
        }
    });
}

/// A socket that shares its port.
fn sharing() -> UdpSocket {
    // SAFETY: takes numbers; the descriptor is owned once.
    let socket = unsafe { UdpSocket::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)) };
    let on: libc::c_int = 1;
    // SAFETY: pointer and length describe `on`, and then an address of zeros, which live through the calls.
    unsafe {
        let fd = socket.as_raw_fd();
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, (&raw const on).cast(), length);
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        assert_eq!(libc::bind(fd, (&raw const address).cast(), length), 0);
    }
    socket
}

#[test]
pub fn sockets_and_calls() {
    in_namespace(|| {
        let Some(hooks) = Hooks::new(&["chosen", "filtered", "called"]) else { return };
        let receiver = sharing();
        let to = format!("127.0.0.1:{}", receiver.local_addr().unwrap().port());
        let slot = attach_reuseport(&receiver, hooks.program("chosen")).unwrap();
        hooks.expect(11, || send(1, &to));
        slot.detach().unwrap();

        let (near, far) = UnixDatagram::pair().unwrap();
        attach_program(&far, hooks.program("filtered")).unwrap();
        hooks.expect(15, || {
            near.send(b"x").unwrap();
        });

        let input = TestInput::default();
        let output = hooks.program("called").test(&input).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((output.run.result, hooks.count(14)), (7, 1));
    });
}

#[test]
pub fn packets_and_routes() {
    in_namespace(|| {
        let Some(hooks) = Hooks::new(&["dissected", "arriving", "leaving", "transmitted"]) else { return };
        let (a, _) = pair_of_interfaces();
        let dissector = attach_flow_dissector(hooks.program("dissected")).unwrap();
        hooks.expect(10, || send_frame(a, &[0x45; 40]));
        drop(dissector);

        run("ip neigh add 10.77.0.5 lladdr 02:00:00:00:00:02 dev a");
        let destination: IpAddr = "10.77.0.0".parse().unwrap();
        let cases = [(12, LwtHook::Out, "leaving"), (13, LwtHook::Xmit, "transmitted")];
        for (index, hook, name) in cases {
            let programs = [(hook, hooks.program(name).as_fd())];
            let headroom = if hook == LwtHook::Xmit { 14 } else { 0 };
            let (prefix, gateway, table) = (24, None, 254);
            let route = LwtRoute { destination, prefix, interface: a, gateway, table, programs: &programs, headroom };
            let attached = attach_lwt(&route).unwrap();
            hooks.expect(index, || send(2, "10.77.0.5:9"));
            drop(attached);
        }

        // A packet that arrives at `b` and is to be forwarded through `a`.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let programs = [(LwtHook::In, hooks.program("arriving").as_fd())];
        let (prefix, gateway, table) = (24, None, 254);
        let route = LwtRoute { destination, prefix, interface: a, gateway, table, programs: &programs, headroom: 0 };
        let attached = attach_lwt(&route).unwrap();
        hooks.expect(16, || send_frame(a, &forwarded()));
        drop(attached);
    });
}

#[test]
pub fn actions_of_traffic_control() {
    in_namespace(|| {
        let Some(hooks) = Hooks::one("acted") else { return };
        let (a, b) = pair_of_interfaces();
        let options = AttachOptions { interface: Some(b), ..AttachOptions::default() };
        let Some(attached) = hooks.attach(&options) else { return };
        hooks.expect(17, || send_frame(a, &forwarded()));
        let shown = std::process::Command::new("tc").args(["filter", "show", "dev", "b", "ingress"]).output().unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("matchall") && shown.contains("skep"), "{shown}");
        for (name, attachment) in attached.attached {
            attachment.detach().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let shown = std::process::Command::new("tc").args(["filter", "show", "dev", "b", "ingress"]).output().unwrap();
        assert!(shown.stdout.is_empty(), "{}", String::from_utf8_lossy(&shown.stdout));
    });
}

#[test]
pub fn segments() {
    in_namespace(|| {
        let Some(hooks) = Hooks::one("segment") else { return };
        let (a, b) = pair_of_interfaces();
        for name in ["all", "b"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "0").unwrap();
        }
        let segment = "fd77::1".parse().unwrap();
        let program = hooks.program("segment").as_fd();
        let route = Seg6Route { segment, prefix: 128, interface: b, table: 254, program };
        let attached = match attach_seg6_local(&route) {
            Ok(attached) => attached,
            Err(error) if excuse("segment", &error).is_some() => {
                return println!("segment: not on this kernel: {error}");
            }
            Err(error) => panic!("{error}"),
        };
        let again = attach_seg6_local(&route).unwrap_err().to_string();
        assert!(again.contains("a route to fd77::1/128 exists already"), "{again}");
        hooks.expect(18, || send_packet(a, 0x86dd, &segment_packet()));
        attached.detach().unwrap();
        let wrong = attach_seg6_local(&Seg6Route { prefix: 129, ..route }).unwrap_err().to_string();
        assert!(wrong.contains("129"), "{wrong}");
    });
}

#[test]
pub fn hooks_of_security_in_groups() {
    in_namespace(|| {
        let (Some(hooks), Some(group)) = (Hooks::one("refused"), Cgroup::new()) else { return };
        let fd = open_cgroup(&group.path).unwrap();
        let options = AttachOptions { cgroup: Some(fd.as_fd()), ..AttachOptions::default() };
        let connect = || {
            let output = group.run("bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'");
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        assert!(connect().contains("refused"));
        let Some(attached) = hooks.attach(&options) else { return };
        hooks.expect(19, || {
            let text = connect();
            assert!(text.contains("not permitted"), "{text}");
        });
        drop(attached);
    });
}

#[test]
pub fn results_of_functions() {
    in_namespace(|| {
        let Some(hooks) = Hooks::one("modified") else { return };
        let Some(attached) = hooks.attach(&AttachOptions::default()) else { return };
        let mut kinds = Vec::new();
        hooks.expect(21, || kinds.push(File::open("/dev/null").map_err(|error| error.kind()).err()));
        drop(attached);
        assert_eq!(kinds, [Some(std::io::ErrorKind::PermissionDenied)]);
    });
}

#[test]
pub fn arguments_of_tracepoints() {
    in_namespace(|| {
        let (Some(hooks), Some(other)) = (Hooks::one("finished"), Hooks::new(&["filtered"])) else { return };
        let Some(attached) = hooks.attach(&AttachOptions::default()) else { return };
        let filtered = other.program("filtered");
        hooks.expect(22, || {
            let error = filtered.test_run(&[0; 64], 1).unwrap_err().to_string();
            assert!(error.contains("out of domain"), "{error}");
        });
        drop(attached);
        assert!(filtered.test_run(&[0; 64], 1).is_ok());
    });
}

/// No kernel that Debian packages for x86-64 has them: CONFIG_BPF_LIRC_MODE2 demands that remote controls are built in
/// (CONFIG_RC_CORE=y), and there they are a module or left out. `cargo xtask vm --kernel 6.12+infrared` builds one with a
/// receiver that hears what is sent with it.
#[test]
pub fn remote_controls() {
    let Some(hooks) = Hooks::one("remote") else { return };
    let none = AttachOptions::default();
    let left = attach_all(&hooks.loaded, &hooks.object, &none).unwrap().left;
    assert_eq!(left, [("remote".to_owned(), "no receiver of infrared signals was given".to_owned())]);
    let wrong = attach_infrared(hooks.program("remote"), File::open("/dev/null").unwrap()).unwrap_err().to_string();
    assert!(wrong.contains("is no receiver of infrared signals"), "{wrong}");
    let mut device = match open_infrared("/dev/lirc0") {
        Ok(device) => device,
        // The kernel that is built for this test has a receiver.
        Err(error) if std::env::var("SKEP_VM_KERNEL").is_err() => return println!("SKIPPED: {error}"),
        Err(error) => panic!("{error}"),
    };
    let options = AttachOptions { infrared: Some(device.as_fd()), ..AttachOptions::default() };
    let attached = hooks.attach(&options).unwrap();
    let again = attach_infrared(hooks.program("remote"), &device).unwrap_err().to_string();
    assert!(again.contains("has this program already"), "{again}");
    // A pulse, a space and a pulse, in microseconds.
    let signal: Vec<u8> = [900_u32, 450, 560].iter().flat_map(|duration| duration.to_ne_bytes()).collect();
    hooks.expect(20, || device.write_all(&signal).unwrap());
    drop(attached);
    std::thread::sleep(Duration::from_millis(200));
    let before = hooks.count(20);
    device.write_all(&signal).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(hooks.count(20), before);
}

/// A UDP packet from 10.9.0.7 to 10.77.0.5.
fn forwarded() -> [u8; 28] {
    let mut packet =
        [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 9, 0, 7, 10, 77, 0, 5, 0x30, 0x39, 0, 9, 0, 8, 0, 0];
    let sum: u32 = packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// A packet from fd00::7 to the segment fd77::1, with fd88::2 as the segment that is left.
fn segment_packet() -> Vec<u8> {
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut packet = vec![0x60, 0, 0, 0, 0, 40, 43, 64];
    packet.extend([address("fd00::7"), address("fd77::1")].concat());
    // Segment routing header: nothing follows, 4 units of 8 bytes, type 4, one segment left, the last has number 1.
    packet.extend([59, 4, 4, 1, 1, 0, 0, 0]);
    packet.extend([address("fd88::2"), address("fd77::1")].concat());
    packet
}

/// Sends an IPv4 packet as a frame from `a` to `b` without telling the kernel what is in it, which makes it look.
fn send_frame(interface: u32, packet: &[u8]) {
    send_packet(interface, 0x0800, packet);
}

/// The same with another protocol.
fn send_packet(interface: u32, protocol: u16, packet: &[u8]) {
    let frame = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &protocol.to_be_bytes()[..], packet].concat();
    // SAFETY: the address and its length describe a structure on the stack, the frame a vector; both live through the
    // calls, and the socket is closed once.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(socket >= 0);
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = interface.cast_signed();
        to.sll_protocol = protocol.to_be();
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let sent = libc::sendto(socket, frame.as_ptr().cast(), frame.len(), 0, (&raw const to).cast(), length);
        assert_eq!(sent, frame.len() as isize);
        libc::close(socket);
    }
}

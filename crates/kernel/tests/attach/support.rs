//! Programs that count, namespaces that vanish, and what else the tests of attaching share.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use skep_btf::{Btf, Kind};
use skep_isa::ebpf::assemble;
use skep_isa::{AttachType, MapType, ProgType};
use skep_kernel::attach::Attachment;
use skep_kernel::{
    Capability, KernelBtf, KernelError, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, ProgramOptions,
    has_capability,
};

/// Reports a test that cannot run; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[track_caller]
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// Reports that this kernel was built without a feature, or that its policy forbids it: no tool and no privilege would
/// help, so it is no failure.
pub fn absent(why: &str) {
    println!("SKIPPED: {why}");
}

/// Whether the tests may run; reports a skip if not.
#[track_caller]
pub fn is_root() -> bool {
    let root = has_capability(Capability::SysAdmin) && has_capability(Capability::NetAdmin);
    if !root {
        skip("attaching needs CAP_SYS_ADMIN and CAP_NET_ADMIN");
    }
    root
}

/// Runs a test in a thread with network and mounts of its own, the tracing file system mounted. Everything vanishes with
/// the thread.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !is_root() {
        return;
    }
    let thread = std::thread::spawn(|| {
        // SAFETY: the calls take constants and C strings, and change nothing but this thread's namespaces.
        unsafe {
            assert_eq!(libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS), 0);
            let none = std::ptr::null();
            assert_eq!(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()), 0);
            let tracing = c"/sys/kernel/tracing".as_ptr();
            libc::mount(c"tracefs".as_ptr(), tracing, c"tracefs".as_ptr(), 0, none.cast());
            libc::mount(c"bpf".as_ptr(), c"/sys/fs/bpf".as_ptr(), c"bpf".as_ptr(), 0, none.cast());
        }
        run("ip link set dev lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a command line in the namespaces of the calling thread.
#[track_caller]
pub fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("`{line}`: {error}"));
    assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr));
}

/// A name that no other test and process uses now.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("skep-attach-{prefix}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A program that counts, and its count.
pub struct Counting {
    pub program: LoadedProgram,
    map: LoadedMap,
}

/// What a counting program is to be like.
pub struct Wanted<'a> {
    pub prog_type: ProgType,
    pub attach_type: Option<AttachType>,
    /// Runs in front of the counting; `r6` is the context. Jumps may go to the end only with `exit`.
    pub before: &'a str,
    /// What it returns.
    pub result: i32,
    /// The name of what it belongs to in the kernel's BTF.
    pub btf: Option<&'a str>,
}

impl Wanted<'_> {
    pub fn new(prog_type: ProgType, result: i32) -> Self {
        Self { prog_type, attach_type: None, before: "", result, btf: None }
    }

    pub fn at(prog_type: ProgType, attach_type: AttachType, result: i32) -> Self {
        Self { attach_type: Some(attach_type), ..Self::new(prog_type, result) }
    }
}

impl Counting {
    pub fn new(prog_type: ProgType, result: i32) -> Self {
        Self::load(&Wanted::new(prog_type, result)).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn at(prog_type: ProgType, attach_type: AttachType, result: i32) -> Self {
        Self::load(&Wanted::at(prog_type, attach_type, result)).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn load(wanted: &Wanted<'_>) -> Result<Self, KernelError> {
        let map = counter();
        let text = format!(
            "r6 = r1\n{}\nr1 = map[fd:{}][0]+0 ll\nr2 = 1\nlock *(u64 *)(r1 +0) += r2\nr0 = {}\nexit\n",
            wanted.before,
            map.as_fd().as_raw_fd(),
            wanted.result
        );
        let insns = assemble(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let definition =
            ProgramDefinition { name: "count", prog_type: wanted.prog_type, insns: &insns, license: "GPL" };
        let attach_btf_id = wanted.btf.map_or(0, btf_id);
        let options = ProgramOptions { attach_type: wanted.attach_type, attach_btf_id, ..ProgramOptions::default() };
        Ok(Self { program: LoadedProgram::load_with(&definition, options)?, map })
    }

    /// How often it has run.
    pub fn count(&self) -> u64 {
        value(&self.map, 0)
    }

    /// Asserts that `event` makes it run `times` times.
    #[track_caller]
    pub fn expect(&self, times: u64, event: impl FnOnce()) {
        let before = self.count();
        event();
        assert_eq!(self.count() - before, times, "runs of the program");
    }
}

/// Text that ends the program unless the calling thread runs it; clobbers r0 to r5.
pub fn only_this_thread() -> String {
    // SAFETY: takes no arguments.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    format!("call 14\nif w0 == {thread} goto +2\nr0 = 0\nexit\n")
}

/// An array of four counters of 64 bits.
pub fn counter() -> LoadedMap {
    map(MapType::Array, 4, 32, 1)
}

pub fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> LoadedMap {
    LoadedMap::create(&MapDefinition { name: "m", map_type, key_size, value_size, max_entries, flags: 0 }).unwrap()
}

/// The counter with this position in the only value of a map.
pub fn value(map: &LoadedMap, at: usize) -> u64 {
    let value = map.get(&0u32.to_ne_bytes()).unwrap().unwrap();
    u64::from_ne_bytes(value[8 * at..8 * at + 8].try_into().unwrap())
}

/// The number of a function or type in the kernel's BTF.
#[track_caller]
pub fn btf_id(name: &str) -> u32 {
    let btf = Btf::parse(KernelBtf::vmlinux().unwrap().bytes().to_vec()).unwrap();
    let kinds = |id| matches!(btf.kind(id), Ok(Kind::Func { .. } | Kind::Typedef { .. }));
    btf.ids().find(|&id| btf.name(id) == Ok(name) && kinds(id)).unwrap_or_else(|| panic!("no `{name}` in BTF")).0
}

/// Where the unified hierarchy of control groups is mounted.
pub fn cgroup_root() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (point, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then(|| point.to_owned())
    })
}

/// A control group that vanishes.
pub struct Cgroup {
    pub path: String,
}

impl Cgroup {
    pub fn new() -> Option<Self> {
        let Some(root) = cgroup_root() else {
            skip("the unified hierarchy of control groups is not mounted");
            return None;
        };
        let path = format!("{root}/{}", unique("group"));
        fs::create_dir(&path).unwrap();
        Some(Self { path })
    }

    /// Runs a command line inside of the group.
    pub fn run(&self, line: &str) -> std::process::Output {
        let script = format!("echo $$ > {}/cgroup.procs && exec {line}", self.path);
        Command::new("sh").args(["-c", &script]).output().unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

impl Counting {
    /// Asserts that `event` makes it run at least `times` times within a second; softirqs may be late.
    #[track_caller]
    pub fn expect_soon(&self, times: u64, event: impl FnOnce()) {
        let before = self.count();
        event();
        for _ in 0..200 {
            if self.count() - before >= times {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("the program ran {} times, expected {times}", self.count() - before);
    }
}

impl Counting {
    /// Asserts that within a second `event` does not make it run any more: the kernel frees some things a little later.
    #[track_caller]
    pub fn expect_end(&self, event: impl Fn()) {
        for _ in 0..50 {
            let before = self.count();
            event();
            if self.count() == before {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the program still runs");
    }
}

/// Detaches, by force if it is a link. Dropping is not enough where the next line must see the effect: other tests start
/// processes, which hold copies of all descriptors until they execute their program.
pub fn detach_now(attached: Attachment) {
    match attached {
        Attachment::Link(link) => link.detach().unwrap(),
        other => other.detach().unwrap(),
    }
}

/// Two connected interfaces, `a` with the address 10.9.0.1 and `b`, in the namespace of the calling thread. Packets to
/// 10.9.0.2 leave through `a` and arrive at `b`.
pub fn pair_of_interfaces() -> (u32, u32) {
    for scope in ["all", "default"] {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    run("ip link add name a address 02:00:00:00:00:01 type veth peer name b address 02:00:00:00:00:02");
    run("ip link set dev a up");
    run("ip link set dev b up");
    run("ip addr add 10.9.0.1/24 dev a");
    run("ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev a");
    let index = |name| skep_kernel::attach::interface(name).unwrap().index;
    (index("a"), index("b"))
}

/// Sends datagrams to an address.
pub fn send(times: u64, to: &str) {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    for _ in 0..times {
        // A refusal of an earlier datagram may be reported here.
        let _ = socket.send_to(b"skep", to);
    }
}

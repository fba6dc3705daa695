//! Packets that are made in the kernel, and what one of them costs.

use std::fs;
use std::process::Command;

use skep_cc::{Disk, Wishes};
use skep_firewall::live::force::all_interfaces;
use skep_kernel::{LoadOptions, Loaded, TestInput, load_with};
use skep_lang_c::options::{MacroOption, Options};
use skep_lang_c::pp::MainFile;
use skep_lang_c::provider::NoTypes;

use super::Failed;
use super::lists::{Flow, Kind, Method};

/// What has to be there, and a pair of devices. Frames are taken in by the other end only if it coalesces packets (GRO).
const SET_UP: &str = r#"
set -e
mount --make-rprivate /
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
ip link set lo up
ip link add a0 address 02:00:00:00:00:0a type veth peer name b0 address 02:00:00:00:00:0b
ip addr add 10.9.0.1/16 dev b0
ip link set a0 up
ip link set b0 up
python3 -c '
import array, fcntl, socket, struct
for name in (b"a0", b"b0"):
    value = array.array("B", struct.pack("II", 0x2c, 1))  # ETHTOOL_SGRO
    fcntl.ioctl(socket.socket(), 0x8946, struct.pack("16sP", name, value.buffer_info()[0]))
'
"#;

/// Packets for 10.10.0.1 go out by a device whose other end drops everything.
const FORWARD: &str = "
set -e
sysctl -qw net.ipv4.ip_forward=1
ip link add c0 type veth peer name c1
ip link set c0 up
ip link set c1 up
nft 'table netdev d { chain c { type filter hook ingress device c1 priority 0; policy drop; }; }'
ip addr add 10.11.0.1/24 dev c0
ip route add 10.10.0.0/16 dev c0
ip neigh add 10.10.0.1 lladdr 02:00:00:00:00:0c dev c0
";

/// Makes each frame that of a random flow, and sends it.
const GENERATOR: &str = r#"
typedef unsigned int u32;
typedef unsigned long long u64;
struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
static void *(*lookup)(void *map, const void *key) = (void *)1;
static u32 (*prandom)(void) = (void *)7;
static long (*redirect)(u32 ifindex, u64 flags) = (void *)23;
struct head { u32 words[8]; };
struct {
    int (*type)[2];
    u32 *key;
    struct head *value;
    int (*max_entries)[65536];
} heads __attribute__((section(".maps"), used));
__attribute__((section("xdp"), used)) int generate(struct xdp_md *ctx) {
    char *data = (char *)(long)ctx->data, *end = (char *)(long)ctx->data_end;
    u32 number = prandom() & 0xffff;
    struct head *head = lookup(&heads, &number);
    if (!head || data + 46 > end) return 0;
    u32 *to = (u32 *)(data + 14);
#pragma unroll
    for (int at = 0; at < 8; at++) to[at] = head->words[at];
    return redirect(IFINDEX, 0);
}
char license[] __attribute__((section("license"), used)) = "GPL";
"#;

/// Frames of one measurement at most, and time that it has to take at least, in nanoseconds.
const MOST: u32 = 1_000_000;
const LONG_ENOUGH: u64 = 150_000_000;
/// Measurements, of which the best counts.
const ROUNDS: usize = 5;

/// Runs a script.
pub fn shell(script: &str) -> Result<(), Failed> {
    let output = Command::new("bash").args(["-c", script]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// Namespaces with devices, ready for rules.
pub fn set_up() -> Result<(), Failed> {
    shell(SET_UP)
}

/// Nanoseconds for a packet. With [`Kind::Pass`] packets are for nobody here and end in the IP layer.
pub fn measure(method: Method, kind: Kind, size: usize) -> Result<String, Failed> {
    set_up()?;
    if method == Method::Floor || method == Method::Tcx || method == Method::Xdp {
        // Loading and filling may take time from nobody.
        super::changes::back()?;
    }
    let (rules, flows) = kind.list(size);
    method.install(&rules)?;
    if kind == Kind::Pass {
        shell(FORWARD)?;
    }
    super::changes::ahead()?;
    let flood = Flood::new(&flows, if kind == Kind::Pass { [10, 10, 0, 1] } else { [10, 9, 0, 1] })?;
    let before = (counter("Udp:", "NoPorts")?, counter("Ip:", "ForwDatagrams")?);
    let mut frames = 256;
    let mut best = f64::INFINITY;
    let mut sent = 0;
    let mut rounds = 0;
    while rounds < ROUNDS {
        let time = flood.run(frames)?;
        sent += u64::from(frames);
        if time < LONG_ENOUGH && frames < MOST {
            frames = (frames * 4).min(MOST);
            continue;
        }
        rounds += 1;
        best = best.min(time as f64 / f64::from(frames));
    }
    let after = (counter("Udp:", "NoPorts")?, counter("Ip:", "ForwDatagrams")?);
    let (reached, forwarded) = (after.0 - before.0, after.1 - before.1);
    // A list that lets packets through is not worth a figure.
    if reached > 0 || (forwarded != 0) != (kind == Kind::Pass) || kind == Kind::Pass && forwarded * 100 < sent * 99 {
        return Err(format!("of {sent} packets {reached} arrived, {forwarded} were forwarded").into());
    }
    Ok(best.to_string())
}

/// A line of `/proc/net/snmp`.
fn counter(protocol: &str, name: &str) -> Result<u64, Failed> {
    let text = fs::read_to_string("/proc/net/snmp")?;
    let mut lines = text.lines().filter(|line| line.starts_with(protocol));
    let (names, values) = (lines.next().ok_or("no counters")?, lines.next().ok_or("no counters")?);
    let at = names.split(' ').position(|word| word == name).ok_or("no such counter")?;
    Ok(values.split(' ').nth(at).ok_or("no such counter")?.parse()?)
}

struct Flood {
    loaded: Loaded,
    frame: Vec<u8>,
    /// `struct xdp_md` of a frame that came in at `a0`.
    context: Vec<u8>,
}

impl Flood {
    fn new(flows: &[Flow], target: [u8; 4]) -> Result<Self, Failed> {
        let device = all_interfaces()?.into_iter().find(|each| each.1 == "a0").ok_or("there is no a0")?.0;
        let macros = vec![MacroOption::Define("IFINDEX".to_owned(), Some(device.to_string()))];
        let options = Options { macros, ..Options::default() };
        let main = MainFile { name: "generator.c", text: GENERATOR.as_bytes() };
        let built = skep_cc::build(&main, &options, &Disk, &mut NoTypes::new(), Wishes { ir: false, colour: false })?;
        let loaded = load_with(&built.object, &LoadOptions { pins: None, ..LoadOptions::default() })?;
        let map = loaded.maps.first().ok_or("the generator has no map")?;
        for (number, flow) in (0u32..).zip(flows) {
            map.set(&number.to_ne_bytes(), &head(flow, target), skep_kernel::Update::Any)?;
        }
        let mut frame = vec![2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, 8, 0];
        frame.resize(60, 0);
        let mut context = vec![0; 24];
        context[4..8].copy_from_slice(&60u32.to_ne_bytes());
        context[12..16].copy_from_slice(&device.to_ne_bytes());
        Ok(Self { loaded, frame, context })
    }

    /// Sends frames; the nanoseconds that this process worked.
    fn run(&self, frames: u32) -> Result<u64, Failed> {
        let program = self.loaded.program("generate").ok_or("the generator is missing")?;
        let input = TestInput {
            data: &self.frame,
            context: &self.context,
            repeat: frames,
            live_frames: true,
            ..TestInput::default()
        };
        let before = worked()?;
        program.test(&input)?;
        Ok(worked()? - before)
    }
}

/// Nanoseconds on a processor: of this process, and of the kernel's thread for packets there.
fn worked() -> Result<u64, Failed> {
    let of = |path: &str| -> Result<u64, Failed> {
        Ok(fs::read_to_string(path)?.split(' ').next().ok_or("no times")?.parse()?)
    };
    let own = of("/proc/self/schedstat")?;
    Ok(own + softirq().map_or(Ok(0), |path| of(&path))?)
}

/// `ksoftirqd/1`
fn softirq() -> Option<String> {
    static PATH: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let find = || {
        let mut all = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
        let ours = |path: &std::path::PathBuf| {
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "ksoftirqd/1")
        };
        all.find(ours).map(|path| path.join("schedstat").display().to_string())
    };
    PATH.get_or_init(find).clone()
}

/// Headers of IP and UDP, and four bytes.
fn head(flow: &Flow, target: [u8; 4]) -> [u8; 32] {
    let mut head = [0; 32];
    head[..12].copy_from_slice(&[0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0]);
    head[12..16].copy_from_slice(&flow.source.to_be_bytes());
    head[16..20].copy_from_slice(&target);
    let sum: u32 = head[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    head[10..12].copy_from_slice(&(!(((sum & 0xffff) + (sum >> 16)) as u16)).to_be_bytes());
    head[20..22].copy_from_slice(&flow.from.to_be_bytes());
    head[22..24].copy_from_slice(&flow.to.to_be_bytes());
    head[24..26].copy_from_slice(&12u16.to_be_bytes());
    head
}

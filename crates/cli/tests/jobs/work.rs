//! What makes the events happen that scripts trace. Everything stays in this process, in own namespaces and control
//! groups, or on loopback.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command line of the shell to its end. What it prints is of no interest.
pub fn shell(line: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A line for the shell's `readline`.
pub fn line_of_bash() {
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-i"]).env("TERM", "dumb");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(b"echo skep-line\nexit\n").unwrap();
    child.wait().unwrap();
}

/// Reads and writes of a disk: of the one that does nothing, if it is there, else of a new file.
pub fn disk() {
    if let Ok(mut device) = File::options().read(true).write(true).open("/dev/nullb0") {
        let mut block = vec![0; 64 << 10];
        for part in 0..64u64 {
            device.seek(SeekFrom::Start(part << 22 | u64::from(std::process::id()) << 12 & 0x3f_f000)).unwrap();
            device.read_exact(&mut block).unwrap();
        }
        device.write_all(&block).unwrap();
        device.sync_all().unwrap();
        return;
    }
    let directory = tempfile::tempdir_in(place_of_files()).unwrap();
    for part in 0..4 {
        let mut file = File::create(directory.path().join(part.to_string())).unwrap();
        file.write_all(&vec![7; 256 << 10]).unwrap();
        file.sync_all().unwrap();
    }
}

/// A change of a file that needs a capability.
pub fn capability() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::chown(file.path(), Some(12_345), None).unwrap();
}

/// A file that does not exist is looked for.
pub fn lookups() {
    for _ in 0..3 {
        assert!(fs::metadata("/tmp/skep-no-such-file").is_err());
        // What is to be removed is looked for in another way.
        assert!(fs::remove_file("/tmp/skep-no-such-file").is_err());
    }
}

/// A file is opened, and looked at.
pub fn open_files() {
    let _ = File::open("/tmp/skep-no-such-file");
    let _ = fs::metadata("/tmp/skep-no-such-file");
    let _ = fs::metadata("/etc/passwd");
    File::open("/etc/passwd").unwrap();
}

/// Programs are started.
pub fn programs() {
    assert!(shell("/bin/true skep-argument; sleep 0.321"));
}

/// Names of hosts are looked up.
pub fn hosts() {
    let _ = "localhost:80".to_socket_addrs().map(Iterator::count);
}

/// A signal that is only tested.
pub fn signals() {
    assert!(shell(&format!("kill -0 {}", std::process::id())));
}

/// The ids of a process change.
pub fn ids() {
    assert!(shell("setpriv --reuid 12345 --clear-groups true"));
}

/// Files are brought to the disk.
pub fn sync() {
    let directory = tempfile::tempdir_in(place_of_files()).unwrap();
    let mut file = File::create(directory.path().join("file")).unwrap();
    file.write_all(&vec![7; 256 << 10]).unwrap();
    file.sync_all().unwrap();
    fs::write(directory.path().join("other"), vec![7; 256 << 10]).unwrap();
    assert!(shell("sync"));
}

/// Where files are on a disk, if there is one.
fn place_of_files() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    if built.is_dir() { built } else { std::env::temp_dir() }
}

/// More threads than processors are busy.
pub fn busy() {
    let threads: Vec<_> = (0..6)
        .map(|_| {
            std::thread::spawn(|| {
                let end = Instant::now() + Duration::from_millis(300);
                let mut count = 0u64;
                while Instant::now() < end {
                    count = std::hint::black_box(count + 1);
                    if count.is_multiple_of(1 << 16) {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Files are read and written for longer than a second.
pub fn files_for_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    for _ in 0..30 {
        fs::write(&file, [7; 100]).unwrap();
        assert_eq!(fs::read(&file).unwrap().len(), 100);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Nothing but time.
pub fn wait() {
    std::thread::sleep(Duration::from_millis(1500));
}

/// Processes for longer than a second.
pub fn pid_per_second() {
    programs();
    wait();
}

/// A connection over loopback: 10 bytes there, 20 back.
pub fn connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&[1; 10]).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.len(), 20);
    });
    let (mut stream, _) = listener.accept().unwrap();
    let mut asked = [0; 10];
    stream.read_exact(&mut asked).unwrap();
    stream.write_all(&[2; 20]).unwrap();
    drop(stream);
    client.join().unwrap();
}

/// Runs a command line with a network of its own.
fn own_network(inside: &str) {
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", inside]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap();
}

/// A connection to an address of a network where nobody has it. With `known` its hardware address seems to be known.
fn nowhere(known: &str) {
    own_network(&format!(
        "ip link add name ska type veth peer name skb && ip link set ska up && ip link set skb up && \
         ip addr add 10.99.0.1/24 dev ska && {known} timeout 4.5 bash -c 'echo >/dev/tcp/10.99.0.2/9'"
    ));
}

/// Packets that are sent again.
pub fn retransmits() {
    nowhere("ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev ska && ");
}

/// Packets that are dropped.
pub fn drops() {
    nowhere("");
}

/// Packets for a device that swallows them.
pub fn swallowed() {
    own_network(
        "ip link add name skd type dummy && ip link set skd up && ip addr add 10.99.0.1/24 dev skd && \
         bash -c 'echo >/dev/udp/10.99.0.2/9'",
    );
}

/// Bytes through a socket of this machine.
pub fn unix_socket() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    one.write_all(b"skep-undump").unwrap();
    let mut bytes = [0; 11];
    other.read_exact(&mut bytes).unwrap();
}

/// A thread.
pub fn thread() {
    std::thread::spawn(|| ()).join().unwrap();
}

/// A conversation with TLS between two programs of OpenSSL, with a key that both know.
pub fn tls() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server =
        format!("exec timeout 20 openssl s_server -quiet -nocert -psk 1a2b3c4d -naccept 1 -accept 127.0.0.1:{port}");
    let client = format!(
        "for try in 1 2 3 4 5 6 7 8 9 10; do (echo skep-secret; sleep 1) | timeout 10 openssl s_client -quiet \
         -psk 1a2b3c4d -connect 127.0.0.1:{port} && exit 0; sleep 0.3; done; exit 1"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &server]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = command.spawn().unwrap();
    shell(&client);
    let _ = server.kill();
    server.wait().unwrap();
}

/// A control group for memory: with version 2, or where version 1 has it.
struct Group {
    path: PathBuf,
    limit: &'static str,
}

impl Group {
    fn new() -> Self {
        let name = format!("skep-jobs-{}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/memory");
        if first.join("memory.limit_in_bytes").exists() {
            let path = first.join(name);
            fs::create_dir(&path).unwrap();
            return Self { path, limit: "memory.limit_in_bytes" };
        }
        let root = Path::new("/sys/fs/cgroup");
        fs::write(root.join("cgroup.subtree_control"), "+memory").unwrap();
        let path = root.join(name);
        fs::create_dir(&path).unwrap();
        Self { path, limit: "memory.max" }
    }

    /// Runs a command line with so many bytes of memory.
    fn run(&self, bytes: u64, line: &str) -> bool {
        fs::write(self.path.join(self.limit), bytes.to_string()).unwrap();
        shell(&format!("echo $$ > {}/cgroup.procs; {line}", self.path.display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last process may still be on its way out.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A process needs more memory than its control group may have.
pub fn out_of_memory() {
    Group::new().run(16 << 20, "head -c 300000000 /dev/zero | tail -c 200000000");
}

/// Pages go to the swap device and come back.
pub fn swap() {
    let device = "/dev/zram0";
    assert!(shell("echo 128M > /sys/block/zram0/disksize"), "no device for swapping");
    assert!(shell(&format!("mkswap {device} && swapon {device}")));
    Group::new().run(16 << 20, "head -c 60000000 /dev/zero | tail -c 40000000 | wc -c");
    assert!(shell(&format!("swapoff {device} && echo 1 > /sys/block/zram0/reset")));
}

/// Where a file system of the tests is mounted.
const XFS: &str = "/tmp/skep-xfs";

/// Runs a command line with an XFS file system in a file, which is gone afterwards.
fn with_xfs(inside: &str) -> bool {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(330 << 20).unwrap();
    let file = image.path().display();
    let line = format!(
        "mkdir -p {XFS}; mkfs.xfs -q -f {file} && mount -o loop -t xfs {file} {XFS} && {{ {inside}; umount {XFS}; }}"
    );
    let status = Command::new("unshare").args(["-m", "sh", "-c", &line]).stdin(Stdio::null()).status();
    let _ = fs::remove_dir(XFS);
    status.is_ok_and(|status| status.success())
}

/// Reads and writes of an XFS file system.
pub fn xfs() {
    let work = format!(
        "for n in 1 2 3 4 5; do head -c 100000 /dev/zero > {XFS}/$n; cat {XFS}/$n > /dev/null; done; sync {XFS}/1"
    );
    assert!(with_xfs(&work), "there is no XFS");
}

/// Files of an XFS file system go to the disk.
pub fn written_back() {
    if Path::new("/dev/nullb0").exists() {
        let work = format!("head -c 300000 /dev/zero > {XFS}/1; sync; head -c 300000 /dev/zero > {XFS}/2; sync");
        assert!(with_xfs(&work), "there is no XFS");
    } else {
        sync();
    }
}

/// A mirror of two memory disks is made, written to, and taken apart.
pub fn mirror() {
    let md = "/sys/block/md_skep/md";
    let line = format!(
        "echo md_skep > /sys/module/md_mod/parameters/new_array; cd {md} && echo none > metadata_version; \
         echo raid1 > level && echo 2 > raid_disks && for n in 0 1; do echo 1:$n > new_dev; done; \
         echo 0 > dev-ram0/slot; echo 1 > dev-ram1/slot; echo 8192 > component_size; echo active > array_state"
    );
    let made = shell(&line);
    let device = File::options().write(true).open("/dev/md_skep");
    let state = fs::read_to_string(format!("{md}/array_state"));
    let mut device = device.unwrap_or_else(|error| panic!("no mirror ({made}): {error}, {state:?}"));
    device.write_all(&[1; 4096]).unwrap();
    device.sync_all().unwrap();
    drop(device);
    shell(&format!("echo clear > {md}/array_state"));
}

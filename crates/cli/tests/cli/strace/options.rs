//! Options of `skep strace` that choose whose calls are shown and what stands beside them, and the structures of bpf(2),
//! perf_event_open(2) and requests of ioctl(2).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{compiled, has_strace, possible, same_lines, turn};
use crate::support::{Run, command, skep, skip};

/// Runs a command under `skep strace`; gives the lines of the trace and what the command printed.
#[track_caller]
fn traced(options: &[&str], program: &[&str]) -> (Vec<String>, String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut all = vec!["strace", "-o", log.path().to_str().unwrap()];
    all.extend(options.iter().chain(program));
    let run = skep(&all).ok();
    (fs::read_to_string(log.path()).unwrap().lines().map(str::to_owned).collect(), run.out)
}

/// The word in front of the line about this call, which is a time.
#[track_caller]
fn stamp(lines: &[String], call: &str) -> String {
    let line = lines.iter().find(|line| line.contains(&format!(" {call}("))).unwrap_or_else(|| panic!("{lines:?}"));
    line.split_whitespace().next().unwrap().to_owned()
}

/// Whether a text has this form: `9` stands for a digit.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(|(a, b)| a == b || (b == b'9' && a.is_ascii_digit()))
}

#[test]
fn structures_are_those_of_strace() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <linux/bpf.h>
        #include <linux/fs.h>
        #include <linux/perf_event.h>
        #include <net/if.h>
        #include <string.h>
        #include <sys/ioctl.h>
        #include <sys/socket.h>
        #include <sys/syscall.h>
        #include <fcntl.h>
        #include <unistd.h>
        int main() {
            union bpf_attr bpf;
            memset(&bpf, 0, sizeof bpf);
            bpf.map_type = BPF_MAP_TYPE_ARRAY; bpf.key_size = 4; bpf.value_size = 8; bpf.max_entries = 2;
            strcpy(bpf.map_name, "skep_strace");
            int map = syscall(SYS_bpf, BPF_MAP_CREATE, &bpf, 44);
            syscall(SYS_bpf, BPF_MAP_CREATE, &bpf, 48);
            memset(&bpf, 0, sizeof bpf);
            bpf.start_id = 0xfffffff0u;
            syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &bpf, 12);
            struct perf_event_attr attr;
            memset(&attr, 0, sizeof attr);
            attr.type = PERF_TYPE_SOFTWARE; attr.size = 112; attr.config = PERF_COUNT_SW_PAGE_FAULTS;
            attr.disabled = 1; attr.exclude_kernel = 1; attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID;
            attr.read_format = PERF_FORMAT_ID;
            syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
            int fd = socket(AF_INET, SOCK_DGRAM, 0);
            struct ifreq request;
            memset(&request, 0, sizeof request);
            strcpy(request.ifr_name, "lo");
            ioctl(fd, SIOCGIFINDEX, &request);
            ioctl(fd, SIOCGIFMTU, &request);
            ioctl(fd, SIOCGIFFLAGS, &request);
            strcpy(request.ifr_name, "skep-none");
            ioctl(fd, SIOCGIFMTU, &request);
            return 0;
        }"#;
    let Some(program) = compiled(directory.path(), "structures", text) else { return };
    same_lines(&program, &["-f", "-e", "trace=bpf,perf_event_open,ioctl"], 3);
}

#[test]
fn times_stand_where_they_are_asked_for() {
    if !possible() {
        return;
    }
    let _turn = turn();
    let sleep = ["sleep", "0.2"];
    let with = |option: &str| traced(&[option, "-e", "trace=clock_nanosleep"], &sleep).0;
    assert!(has_form(&stamp(&with("-t"), "clock_nanosleep"), "99:99:99"));
    assert!(has_form(&stamp(&with("-tt"), "clock_nanosleep"), "99:99:99.999999"));
    assert!(has_form(&stamp(&with("-ttt"), "clock_nanosleep"), "9999999999.999999"));
    // The time since the line before: the sleep stands before the end of the process.
    let lines = with("-r");
    let since = |line: &String| line.split_whitespace().next().unwrap().parse::<f64>().unwrap();
    assert!(since(&lines[0]) < 0.1 && since(lines.last().unwrap()) >= 0.2, "{lines:?}");
    let lines = with("-T");
    let line = lines.iter().find(|line| line.contains("clock_nanosleep(")).unwrap();
    let time: f64 = line.rsplit_once('<').unwrap().1.trim_end_matches('>').parse().unwrap();
    assert!((0.2..60.0).contains(&time), "{line}");
}

#[test]
fn the_command_has_the_user_and_the_variables_that_are_asked_for() {
    if !possible() {
        return;
    }
    let _turn = turn();
    let (lines, out) = traced(&["-u", "nobody", "-e", "trace=geteuid"], &["id", "-u"]);
    assert_eq!(out, "65534\n");
    assert!(lines.iter().any(|line| line.starts_with("geteuid()") && line.ends_with("= 65534")), "{lines:?}");
    let (_, out) =
        traced(&["-E", "SKEP_A=5", "-E", "HOME", "-e", "trace=geteuid"], &["sh", "-c", "echo $SKEP_A-$HOME"]);
    assert_eq!(out, "5-\n");
    let run = skep(["strace", "-u", "no-such-user", "true"]);
    assert!(run.status != Some(0) && run.err.contains("no-such-user"), "{run:?}");
}

#[test]
fn stacks_summaries_and_pipes() {
    if !possible() {
        return;
    }
    let _turn = turn();
    // The shell is still there when its stack is looked at.
    let (lines, _) = traced(&["-k", "-e", "trace=wait4"], &["sh", "-c", "/bin/true; sleep 0.5; :"]);
    let at = lines.iter().position(|line| line.starts_with("wait4(")).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(lines[at + 1].starts_with(" > ") && lines[at + 1].contains("libc"), "{lines:?}");
    let run = skep(["strace", "-c", "-w", "-e", "trace=clock_nanosleep", "sleep", "0.1"]).ok();
    let row = run.err.lines().find(|line| line.ends_with(" clock_nanosleep")).unwrap_or_else(|| panic!("{run:?}"));
    let seconds: f64 = row.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((0.1..60.0).contains(&seconds), "{row}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("upper");
    let pipe = format!("|tr a-z A-Z > {}", file.display());
    skep(["strace", "-o", &pipe, "-e", "trace=geteuid", "id", "-u"]).ok();
    assert!(fs::read_to_string(&file).unwrap().starts_with("GETEUID()"), "{pipe}");
    // Texts with bytes that cannot be printed.
    let (lines, _) = traced(&["-x", "-e", "trace=write"], &["printf", "\\001\\002"]);
    assert!(lines[0].starts_with("write(1, \"\\x01\\x02\", 2)"), "{lines:?}");
}

/// A control group of version 2 that is removed with the value.
pub struct Group {
    /// Its directory.
    pub path: PathBuf,
    /// How many directories belong to the test, from this one upwards.
    depth: usize,
}

impl Group {
    /// A group with this name below one of the test's own; `None`, with a remark, where there are none.
    pub fn new(parent: &str, name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|line| line[2] == "cgroup2");
        let Some(root) = root else {
            skip("control groups of version 2 are not mounted");
            return None;
        };
        let path = Path::new(root[1]).join(format!("{parent}-{}", std::process::id())).join(name);
        match fs::create_dir_all(&path) {
            Ok(()) => Some(Self { path, depth: Path::new(name).components().count() + 1 }),
            Err(error) => {
                skip(&format!("no control group can be made: {error}"));
                None
            }
        }
    }

    /// A command of the shell that runs inside.
    pub fn shell(&self, text: &str) -> Command {
        let mut command = Command::new("bash");
        let text = format!("echo $$ > {}/cgroup.procs && {text}", self.path.display());
        command.args(["-c", &text]).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for path in self.path.ancestors().take(self.depth) {
            // What has just ended in there may not be gone yet.
            let mut tries = 0..50;
            while fs::remove_dir(path).is_err() && path.exists() && tries.next().is_some() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

#[test]
fn groups_and_containers_choose() {
    if !possible() {
        return;
    }
    let _turn = turn();
    let id = format!("5ce9{}", "0".repeat(60));
    let Some(group) = Group::new("skep-strace", &format!("docker-{id}.scope")) else { return };
    let path = group.path.to_str().unwrap();
    for choice in [["--cgroup", path], ["--container", "5ce900"]] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut tracer = command(["strace", "-o", log.path().to_str().unwrap(), "-e", "trace=openat", "--for", "2s"]);
        let tracer = tracer.args(choice).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let tracer = tracer.spawn().unwrap();
        // Inside and outside the same is done until the tracer ends.
        let mut inside = group.shell("for i in {1..150}; do cat /etc/hostname; sleep 0.2; done").spawn().unwrap();
        let mut outside = Command::new("bash");
        outside.args(["-c", "for i in {1..150}; do cat /etc/os-release; sleep 0.2; done"]);
        let mut outside = outside.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let run = Run::of(tracer.wait_with_output().unwrap());
        for child in [&mut inside, &mut outside] {
            let _ = child.kill();
            child.wait().unwrap();
        }
        let run = run.ok();
        let text = fs::read_to_string(log.path()).unwrap();
        assert!(text.contains("\"/etc/hostname\""), "{choice:?} {run:?} {text}");
        assert!(!text.contains("/etc/os-release"), "{choice:?}: {text}");
    }
}

/// A program that does its work and stays until its standard input ends, so that what it has open can be looked at.
struct Staying {
    tracer: std::process::Child,
    log: tempfile::NamedTempFile,
}

impl Staying {
    /// Starts it under a tracer.
    fn start(mut tracer: Command, options: &[&str], program: &Path) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        tracer.arg("-o").arg(log.path()).args(options).arg(program);
        let tracer = tracer.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { tracer, log }
    }

    /// The lines, when one with this text is there; then it ends.
    #[track_caller]
    fn lines(mut self, wanted: &str) -> Vec<String> {
        let until = std::time::Instant::now() + Duration::from_secs(100);
        while !fs::read_to_string(self.log.path()).unwrap().contains(wanted) {
            assert!(std::time::Instant::now() < until, "{}", fs::read_to_string(self.log.path()).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.tracer.stdin.take());
        assert!(self.tracer.wait().unwrap().success());
        fs::read_to_string(self.log.path()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.tracer.kill();
        let _ = self.tracer.wait();
    }
}

/// The text with every number as one digit.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c.is_ascii_digit() {
            true if out.ends_with('9') => {}
            true => out.push('9'),
            false => out.push(c),
        }
    }
    out
}

#[test]
fn descriptors_have_the_names_of_strace() {
    if !possible() || !has_strace() {
        return;
    }
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <fcntl.h>
        #include <netinet/in.h>
        #include <arpa/inet.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <sys/syscall.h>
        #include <sys/uio.h>
        #include <unistd.h>
        int main() {
            char text[8];
            int file = open("/etc/passwd", O_RDONLY), null = open("/dev/null", O_RDWR);
            pread(file, text, 4, 0);
            pwrite(null, "abcd", 4, 0);
            int copy = dup(file);
            pread(copy, text, 2, 1);
            close(copy);
            int tcp = socket(AF_INET, SOCK_STREAM, 0), length = sizeof(struct sockaddr_in);
            struct sockaddr_in here = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
            bind(tcp, (void *)&here, sizeof here);
            listen(tcp, 5);
            getsockname(tcp, (void *)&here, &length);
            int other = socket(AF_INET, SOCK_STREAM, 0);
            connect(other, (void *)&here, sizeof here);
            sendto(other, "to", 2, 0, 0, 0);
            pread(-1, text, 1, 5);
            while (read(0, text, sizeof text) > 0) {}
            return 0;
        }"#;
    let Some(program) = compiled(directory.path(), "names", text) else { return };
    let select = "trace=pread64,pwrite64,getsockname,sendto";
    for option in ["-y", "-yy"] {
        let lines = |tracer: Command| {
            let lines = Staying::start(tracer, &[option, "-e", select], &program).lines("pread64(-1");
            // What the loader reads is not of interest.
            let own = lines.iter().skip_while(|line| !line.contains("/etc/passwd")).filter(|line| line.contains('<'));
            own.map(|line| without_numbers(&line.replace(' ', ""))).collect::<Vec<_>>()
        };
        let (theirs, ours) = (lines(Command::new("strace")), lines(command(["strace"])));
        assert!(theirs.len() >= 5, "{theirs:?}");
        if option == "-yy" {
            assert!(ours.iter().any(|line| line.contains("</dev/null<char9:9>>")), "{ours:?}");
            assert!(ours.iter().any(|line| line.contains("<TCP:[9.9.9.9:9->9.9.9.9:9]>")), "{ours:?}");
            assert_eq!(theirs, ours);
        } else {
            // Only -yy asks for more than a number of sockets.
            assert!(ours.iter().any(|line| line.starts_with("sendto(9<socket:[9]>")), "{ours:?}");
            assert_eq!(theirs, ours);
        }
    }
}

#[test]
fn a_path_chooses_what_strace_chooses() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <fcntl.h>
        #include <sys/stat.h>
        #include <unistd.h>
        int main() {
            char text[8];
            struct stat st;
            int other = open("/etc/group", O_RDONLY), file = open("/etc/passwd", O_RDONLY);
            read(other, text, 4);
            read(file, text, 4);
            fstat(file, &st);
            access("/etc/passwd", R_OK);
            access("/etc/group", R_OK);
            int copy = dup(file);
            lseek(copy, 0, SEEK_SET);
            close(other);
            close(file);
            return 0;
        }"#;
    let Some(program) = compiled(directory.path(), "path", text) else { return };
    same_lines(&program, &["-f", "-P", "/etc/passwd"], 5);
    // What opens it is not shown, and seen all the same.
    same_lines(&program, &["-f", "-P", "/etc/passwd", "-e", "trace=read,fstat,newfstatat,lseek"], 3);
}

#[test]
fn summaries_are_sorted_and_may_stand_behind_lines() {
    if !possible() || !has_strace() {
        return;
    }
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <sys/syscall.h>
        #include <unistd.h>
        int main() {
            for (int i = 0; i < 30; i++) getppid();
            for (int i = 0; i < 20; i++) getsid(0);
            for (int i = 0; i < 10; i++) syscall(SYS_getpgid, 0);
            for (int i = 0; i < 25; i++) close(-1);
            return 0;
        }"#;
    let Some(program) = compiled(directory.path(), "sorted", text) else { return };
    let select = "trace=getppid,getsid,getpgid";
    let names = |tracer: Command, key: &str| {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut tracer = tracer;
        tracer.arg("-o").arg(log.path()).args(["-c", "-S", key, "-e", select]).arg(&program);
        assert!(tracer.status().unwrap().success());
        let text = fs::read_to_string(log.path()).unwrap();
        let names = ["getppid", "getsid", "getpgid"];
        let last = text.lines().filter_map(|line| line.split_whitespace().last());
        last.filter(|word| names.contains(word)).map(str::to_owned).collect::<Vec<_>>()
    };
    for key in ["calls", "name"] {
        let (theirs, ours) = (names(Command::new("strace"), key), names(command(["strace"]), key));
        assert_eq!((theirs.len(), &theirs), (3, &ours), "{key}");
    }
    // Lines and then the table.
    let (lines, _) = traced(&["-C", "-e", "trace=getppid,close", "-Z"], &[program.to_str().unwrap()]);
    let closes = lines.iter().filter(|line| line.starts_with("close(-1)")).count();
    assert_eq!(closes, 25, "{lines:?}");
    let row = lines.iter().find(|line| line.ends_with(" close")).unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(row.split_whitespace().skip(3).collect::<Vec<_>>(), ["25", "25", "close"], "{row}");
}

/// A call that was interrupted goes on as another one, whose line says which it was.
#[test]
fn calls_that_go_on_are_named() {
    if !possible() {
        return;
    }
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
        #include <signal.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        #include <time.h>
        #include <unistd.h>
        int main() {
            int child = fork();
            if (!child) {
                struct timespec time = {1, 0};
                syscall(SYS_nanosleep, &time, 0);
                return 0;
            }
            usleep(100000);
            kill(child, SIGSTOP);
            waitpid(child, 0, WUNTRACED);
            kill(child, SIGCONT);
            waitpid(child, 0, 0);
            return 0;
        }"#;
    let Some(program) = compiled(directory.path(), "goes_on", text) else { return };
    let select = "trace=nanosleep,restart_syscall";
    let (lines, _) = traced(&["-f", "-e", select], &[program.to_str().unwrap()]);
    let interrupted = lines.iter().any(|line| line.contains("ERESTART_RESTARTBLOCK"));
    let named = lines.iter().any(|line| line.contains("restart_syscall(<... resuming interrupted nanosleep ...>"));
    // On a machine that is busy the child may be stopped before it sleeps.
    assert!(named || !interrupted, "{lines:?}");
}

#[test]
fn what_is_not_there_is_said() {
    for option in [&["-X", "raw"][..], &["-i"], &["-n"], &["-D"], &["-b", "execve"], &["-O", "5"], &["--tips"]] {
        let run = skep(["strace"].iter().chain(option).chain(&["true"]));
        assert!(run.status == Some(2) && run.err.contains(option[0]), "{option:?}: {run:?}");
    }
}

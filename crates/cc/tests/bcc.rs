//! Programs in the dialect of BCC: they load, and their maps hold what happened.

#[path = "bcc/filters.rs"]
mod filters;
#[path = "common/skip.rs"]
mod skip;

use std::ffi::CStr;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skep_btf::{Btf, Source};
use skep_cc::{Disk, TRACING, Wishes, build};
use skep_kernel::attach::{
    Attachment, PerfEvent, PerfRate, PerfTarget, Tracefs, UserPlace, attach_perf_event, attach_raw_tracepoint,
    attach_tracepoint, attach_uprobe,
};
use skep_kernel::{Capability, KernelBtf, LoadOptions, Loaded, LoadedMap, TestInput, has_capability, load_with};
use skep_lang_c::options::Options;
use skep_lang_c::pp::MainFile;
use skep_lang_c::provider::BtfTypes;
use skep_lang_c::source::FileSource;
use skep_object::Object;
use skip::skip;

/// How long something may take to happen on a machine that has much to do.
const LIMIT: Duration = Duration::from_secs(60);

/// Files, with the tracing file system wherever it is.
struct Files;

impl FileSource for Files {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match path.strip_prefix(TRACING) {
            Some(rest) => {
                let tracing = Tracefs::find().map_err(|error| error.to_string())?;
                Disk.read(&tracing.root().join(rest).display().to_string())
            }
            None => Disk.read(path),
        }
    }
}

/// A program and what became of it.
struct Live {
    object: Object,
    loaded: Loaded,
}

impl Live {
    fn map(&self, name: &str) -> &LoadedMap {
        let at = self.object.maps.iter().position(|map| map.name == name).unwrap_or_else(|| panic!("no map {name}"));
        &self.loaded.maps[at]
    }

    /// The value of a key, nothing if there is none.
    fn get(&self, map: &str, key: &[u8]) -> Option<Vec<u8>> {
        self.map(map).get(key).expect("a look-up")
    }

    fn number(&self, map: &str, key: u32) -> u64 {
        self.get(map, &key.to_ne_bytes()).map_or(0, |value| u64_at(&value, 0))
    }

    /// The sum of all values of 64 bits.
    fn sum(&self, map: &str) -> u64 {
        let keys = self.map(map).keys().expect("keys");
        keys.iter().filter_map(|key| self.get(map, key)).map(|value| u64_at(&value, 0)).sum()
    }

    fn tracepoint(&self, program: &str, category: &str, name: &str) -> Attachment {
        let found = self.loaded.program(program).expect("a program");
        attach_tracepoint(found, category, name, 0).unwrap_or_else(|error| panic!("{program}: {error}"))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn text_at(bytes: &[u8], at: usize) -> String {
    CStr::from_bytes_until_nul(&bytes[at..]).expect("an end").to_string_lossy().into_owned()
}

/// Compiles a file of `tests/bcc`, and says why it cannot. `None` where the kernel shows no types.
fn compiled(name: &str) -> Option<Result<Object, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bcc").join(name);
    compiled_text(name, &fs::read(&path).expect("a source"))
}

fn compiled_text(name: &str, text: &[u8]) -> Option<Result<Object, String>> {
    let Ok(kernel) = KernelBtf::vmlinux() else {
        skip("the kernel shows no types");
        return None;
    };
    let kernel = Btf::parse(Source::new(kernel)).expect("the types of the kernel");
    let options = Options { bcc: true, ..Options::default() };
    let built = build(&MainFile { name, text }, &options, &Files, &mut BtfTypes::new(&kernel), Wishes::default());
    Some(built.map(|built| built.object).map_err(|failed| failed.to_string()))
}

/// Compiles and loads a file of `tests/bcc`. `None` where programs cannot be loaded.
fn live(name: &str) -> Option<Live> {
    if !has_capability(Capability::Bpf) && !has_capability(Capability::SysAdmin) {
        skip("loading programs needs CAP_BPF");
        return None;
    }
    let object = compiled(name)?.unwrap_or_else(|failed| panic!("{failed}"));
    // As other loaders see it.
    let object = Object::from_elf(&object.to_elf().expect("an object")).expect("an object");
    let loaded = load_with(&object, &LoadOptions { pins: None, ..LoadOptions::default() });
    let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
    Some(Live { object, loaded })
}

/// Runs a command to its end and gives the number that its process had.
fn ran(command: &str, arg: Option<&str>) -> u32 {
    let mut child = Command::new(command).args(arg).stdout(Stdio::null()).spawn().expect("a process");
    let id = child.id();
    assert!(child.wait().expect("an end").success());
    id
}

#[test]
fn opened_files_are_seen_with_names_and_results() {
    let Some(live) = live("opens.c") else { return };
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().display().to_string();
    let attached = [
        live.tracepoint("tracepoint__syscalls__sys_enter_openat", "syscalls", "sys_enter_openat"),
        live.tracepoint("tracepoint__syscalls__sys_exit_openat", "syscalls", "sys_exit_openat"),
    ];
    let process = ran("cat", Some(&path));
    drop(attached);
    let last = live.get("last", &process.to_ne_bytes()).expect("an entry");
    assert_eq!(u64_at(&last, 0) >> 32, process.into());
    assert!(u32_at(&last, 16).cast_signed() >= 0, "the file was opened");
    assert_eq!((text_at(&last, 24), text_at(&last, 40)), ("cat".to_owned(), path));
    assert!(live.number("results", process) >= 1);
    assert!(live.get("infotmp", &(u64::from(process) << 32 | u64::from(process)).to_ne_bytes()).is_none());
}

#[test]
fn pointers_of_the_kernel_are_followed() {
    let Some(live) = live("ancestry.c") else { return };
    let name = "tracepoint__syscalls__sys_enter_getpriority";
    let attached = live.tracepoint(name, "syscalls", "sys_enter_getpriority");
    let process = ran("nice", None);
    drop(attached);
    let facts = live.get("facts", &process.to_ne_bytes()).expect("an entry");
    let namespace = fs::read_link("/proc/self/ns/net").expect("a namespace").display().to_string();
    let expected = [process, std::process::id(), std::os::unix::process::parent_id(), 1];
    assert_eq!([0, 4, 8, 12].map(|at| u32_at(&facts, at)), expected);
    assert_eq!(format!("net:[{}]", u32_at(&facts, 16)), namespace);
    assert_eq!(u32_at(&facts, 20), 0, "no program is being started");
    let own = fs::read_to_string("/proc/thread-self/comm").expect("a name");
    let leader = fs::read_to_string("/proc/self/comm").expect("a name");
    let parent = text_at(&facts, 48);
    assert_eq!(text_at(&facts, 32), "nice");
    assert!([own.trim(), leader.trim()].contains(&&*parent), "{parent}");
}

#[test]
fn latencies_are_counted_by_powers_of_two() {
    let Some(live) = live("latency.c") else { return };
    let attach = |program: &str, name: &str| {
        attach_raw_tracepoint(live.loaded.program(program).expect("a program"), name, 0).expect("attached")
    };
    let attached = [attach("raw_tracepoint__sys_enter", "sys_enter"), attach("raw_tracepoint__sys_exit", "sys_exit")];
    let process = ran("nice", None);
    drop(attached);
    let total = live.sum("dist");
    assert!(total >= 1);
    assert_eq!((live.number("counts", 1), live.number("counts", 2)), (total, 5 * total));
    let keys = live.map("by_pid").keys().expect("keys");
    let own: Vec<_> = keys.iter().filter(|key| u32_at(key, 0) == process).collect();
    assert_eq!(own.len(), 1, "one call by `nice`");
    assert_eq!(live.get("by_pid", own[0]).map(|value| u64_at(&value, 0)), Some(1));
    assert_eq!(live.sum("by_pid"), total);
}

#[test]
fn functions_of_the_kernel_load_with_their_parameters() {
    let Some(live) = live("connects.c") else { return };
    let sections: Vec<&str> = live.object.programs.iter().map(|program| program.section.as_str()).collect();
    for section in ["kprobe", "kprobe/tcp_set_state", "ksyscall/execve"] {
        assert!(sections.contains(&section), "{section} in {sections:?}");
    }
    assert_eq!(live.loaded.programs.len(), 4);
}

/// What is probed.
#[inline(never)]
extern "C" fn probed(first: u64, second: i32, text: *const u8) -> u64 {
    black_box(text);
    black_box(first + second.unsigned_abs() as u64)
}

/// Where a function is in the file of this program.
fn offset_of(address: usize) -> u64 {
    let maps = fs::read_to_string("/proc/self/maps").expect("the mappings");
    for line in maps.lines() {
        let mut parts = line.split_whitespace();
        let (Some(range), Some(_), Some(offset)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let number = |text: &str| u64::from_str_radix(text, 16).expect("a number");
        let Some((from, to)) = range.split_once('-').map(|(from, to)| (number(from), number(to))) else { continue };
        if (from..to).contains(&(address as u64)) {
            return number(offset) + address as u64 - from;
        }
    }
    panic!("the function is in no mapping")
}

#[test]
fn calls_of_a_function_are_seen_with_their_arguments() {
    let Some(live) = live("callers.c") else { return };
    let own = fs::read_link("/proc/self/exe").expect("a file");
    let place = UserPlace::at(offset_of(probed as *const () as usize));
    let attach = |program: &str, at_return| {
        let found = live.loaded.program(program).expect("a program");
        attach_uprobe(found, &own, place, at_return, Some(std::process::id())).expect("attached")
    };
    let attached = [attach("on_call", false), attach("on_return", true)];
    let text = c"what is said";
    assert_eq!(black_box(probed)(277, 2, text.as_ptr().cast()), 279);
    black_box(probed)(377, 5, text.as_ptr().cast());
    drop(attached);
    let call = live.get("calls", &77u64.to_ne_bytes()).expect("an entry");
    assert_eq!((u64_at(&call, 0), u32_at(&call, 8), u32_at(&call, 12)), (277, 7, 13));
    assert_eq!(text_at(&call, 16), "what is said");
    assert_eq!(live.get("recent", &77u64.to_ne_bytes()).map(|value| u64_at(&value, 0)), Some(7));
    assert_eq!(live.get("recent", &99u64.to_ne_bytes()).map(|value| u64_at(&value, 0)), Some(382));
}

#[test]
fn packets_are_counted_by_protocol() {
    let Some(live) = live("packets.c") else { return };
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    packet.extend([0x45, 0, 1, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.resize(300, 0);
    let run = |program: &str, data: &[u8]| {
        let found = live.loaded.program(program).expect("a program");
        found.test(&TestInput { data, repeat: 1, ..TestInput::default() }).expect("a run").run.result
    };
    assert_eq!(run("classify", &packet), 2, "XDP_PASS");
    packet[22] = 1;
    assert_eq!(run("classify", &packet), 1, "XDP_DROP");
    assert_eq!((live.number("protocols", 17), live.number("lengths", 2)), (2, 2));
    assert_eq!(run("filter", &packet), 256);
    assert_eq!(live.number("protocols", 1017), 1);
}

#[test]
fn samples_have_stacks() {
    let Some(live) = live("sampling.c") else { return };
    let program = live.loaded.program("do_perf_event").expect("a program");
    let attached = attach_perf_event(program, PerfEvent::Software(0), PerfRate::Frequency(99), PerfTarget::AllCpus);
    let attached = attached.expect("attached");
    let start = Instant::now();
    while live.number("total", 0) == 0 && start.elapsed() < LIMIT {
        black_box((0..100_000u64).sum::<u64>());
    }
    drop(attached);
    assert!(live.number("total", 0) > 0, "nothing was sampled within {LIMIT:?}");
    assert!(live.sum("counts") >= live.number("total", 0));
}

#[test]
fn time_on_the_processor_is_summed_up_by_tracepoint() {
    let Some(live) = live("switches.c") else { return };
    let attached = [
        live.tracepoint("tracepoint__sched__sched_switch", "sched", "sched_switch"),
        live.tracepoint("ends", "sched", "sched_process_exit"),
    ];
    let own = fs::read_link("/proc/thread-self").expect("a link").display().to_string();
    let own: u32 = own.rsplit('/').next().and_then(|number| number.parse().ok()).expect("a number");
    let start = Instant::now();
    while live.number("used", own) == 0 && start.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(attached);
    assert!(live.number("used", own) > 0, "no switch within {LIMIT:?}");
    assert!(live.sum("pairs") > 0);
}

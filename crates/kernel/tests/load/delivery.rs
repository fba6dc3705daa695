//! Every program is loaded and attached by its section, what it waits for happens, and its count moves. Dropped, it stops.

use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use skep_kernel::attach::{
    AttachOptions, NetfilterFamily, NetfilterHook, NetfilterPlace, PerfEvent, PerfRate, Symbols, UsdtArgument,
    UsdtLocation, UsdtPlace, UserPlace, attach_all, interface, open_cgroup,
};
use skep_kernel::{KernelError, LoadError, LoadOptions, Loaded, load_with};
use skep_object::Object;

use super::coverage::excuse;
use super::objects::{object, read_variable, set_variable};
use crate::common::{can_load, skip};

/// What user probes are attached to.
#[inline(never)]
pub extern "C" fn probed(value: u64) -> u64 {
    black_box(value.wrapping_mul(3) + 1)
}

/// The same for the test of arguments.
#[inline(never)]
pub extern "C" fn marked(value: u64) -> u64 {
    black_box(value.wrapping_mul(5) + 1)
}

/// Where `struct pt_regs` has the first argument of a function, and the stack.
const FIRST_ARGUMENT: u16 = if cfg!(target_arch = "x86_64") { 112 } else { 0 };
const STACK: u16 = if cfg!(target_arch = "x86_64") { 152 } else { 248 };

/// Symbols of this test program, out of its own memory map.
struct Own;

impl Own {
    fn offset(function: extern "C" fn(u64) -> u64) -> u64 {
        let address = function as *const () as u64;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let found = maps.lines().find_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let (start, end) = words[0].split_once('-')?;
            (number(start)..number(end)).contains(&address).then(|| address - number(start) + number(words[2]))
        });
        found.unwrap()
    }

    fn file(file: &str) -> PathBuf {
        assert_eq!(file, "/proc/self/exe");
        std::env::current_exe().unwrap()
    }
}

impl Symbols for Own {
    fn function(&self, file: &str, function: &str, _: Option<u32>) -> Result<(PathBuf, u64), String> {
        assert_eq!(function, "probed");
        Ok((Self::file(file), Self::offset(probed)))
    }

    fn functions(&self, file: &str, pattern: &str, _: Option<u32>) -> Result<(PathBuf, Vec<u64>), String> {
        assert_eq!(pattern, "prob*");
        Ok((Self::file(file), vec![Self::offset(probed)]))
    }

    fn probe(
        &self,
        file: &str,
        provider: &str,
        name: &str,
        _: Option<u32>,
    ) -> Result<(PathBuf, Vec<UsdtPlace>), String> {
        assert_eq!(provider, "skep");
        let function = if name == "marked" { marked } else { probed };
        let argument = |size, signed, location| UsdtArgument { size, signed, location };
        // The first argument of the function, half of it, a constant, something in a vector register, and what is on the
        // stack: where the function returns to.
        let arguments = vec![
            argument(8, false, UsdtLocation::Register(FIRST_ARGUMENT)),
            argument(1, true, UsdtLocation::Register(FIRST_ARGUMENT)),
            argument(4, true, UsdtLocation::Constant(-3)),
            argument(8, false, UsdtLocation::Unknown),
            argument(8, false, UsdtLocation::Memory { base: STACK, index: None, displacement: 0 }),
        ];
        let place = UserPlace::at(Self::offset(function));
        Ok((Self::file(file), vec![UsdtPlace { place, arguments: Ok(arguments) }]))
    }

    fn kernel_functions(&self, pattern: &str) -> Result<Vec<String>, KernelError> {
        assert_eq!(pattern, "__x64_sys_getpp*");
        Ok(vec!["__x64_sys_getppid".to_owned()])
    }
}

fn prepared() -> Option<Object> {
    let mut object = object("deliver")?;
    set_variable(&mut object, "process", &std::process::id().to_ne_bytes());
    Some(object)
}

fn count(object: &Object, loaded: &Loaded, index: usize) -> u64 {
    let counts = read_variable(object, loaded, "counts");
    u64::from_ne_bytes(counts[8 * index..8 * index + 8].try_into().unwrap())
}

/// Everything that some program waits for.
fn happen() {
    for _ in 0..3 {
        // SAFETY: the call has no arguments and cannot fail.
        unsafe { libc::getppid() };
        black_box(probed(4));
        std::thread::sleep(std::time::Duration::from_micros(10));
        drop(File::open("/proc/self/status"));
    }
}

// TABLE
/// Programs that run when something happens, and where each counts.
const PROGRAMS: &[(&str, usize)] = &[
    ("tracepoint", 0),
    ("raw", 1),
    ("typed", 2),
    ("call", 3),
    ("call_return", 4),
    ("function", 5),
    ("function_return", 6),
    ("pattern", 7),
    ("entry", 8),
    ("leave", 9),
    ("hook", 10),
    ("file", 11),
    ("file_return", 12),
    ("file_pattern", 13),
    ("marker", 14),
    ("optional", 22),
];

#[test]
pub fn programs_of_events_deliver() {
    if !can_load() {
        return;
    }
    let Some(object) = prepared() else { return };
    in_namespace(move || events(&object));
}

fn events(object: &Object) {
    for (name, index) in PROGRAMS {
        let options = LoadOptions { programs: Some(&[name]), ..LoadOptions::default() };
        let loaded = match load_with(object, &options) {
            Ok(loaded) => loaded,
            Err(LoadError::Program { error, .. }) if excuse(name, &error).is_some() => {
                println!("{name}: not on this kernel: {error}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        assert_eq!(loaded.programs.len(), 1);
        let options = AttachOptions { symbols: Some(&Own), ..AttachOptions::default() };
        let attached = match attach_all(&loaded, object, &options) {
            Ok(attached) => attached,
            Err((_, error)) if excuse(name, &error).is_some() => {
                println!("{name}: not on this kernel: {error}");
                continue;
            }
            Err((_, error)) => panic!("{name}: {error}"),
        };
        assert_eq!((attached.attached.len(), attached.left.len()), (1, 0), "{name}");
        let before = count(object, &loaded, *index);
        happen();
        let after = count(object, &loaded, *index);
        assert!(after >= before + 3, "{name}: {before} {after}");
        drop(attached);
        // Some end behind a grace period.
        let still = (0..200).any(|_| {
            let before = count(object, &loaded, *index);
            happen();
            std::thread::sleep(std::time::Duration::from_millis(5));
            count(object, &loaded, *index) == before
        });
        assert!(still, "{name} is still attached");
        println!("{name}: delivered");
    }
}

#[test]
pub fn iterators_and_events() {
    if !can_load() {
        return;
    }
    let Some(object) = prepared() else { return };
    let options = LoadOptions { programs: Some(&["each_task", "sample"]), ..LoadOptions::default() };
    let loaded = load_with(&object, &options).unwrap_or_else(|error| panic!("{error}"));
    let event = Some((PerfEvent::CPU_CLOCK, PerfRate::Frequency(1000)));
    let own = Some(std::process::id());
    let options = AttachOptions { event, process: own, ..AttachOptions::default() };
    let attached = attach_all(&loaded, &object, &options).unwrap_or_else(|(name, error)| panic!("{name}: {error}"));
    assert_eq!((attached.attached.len(), attached.iterators.len()), (1, 1));
    let mut text = String::new();
    attached.iterators[0].1.open().unwrap().read_to_string(&mut text).unwrap();
    // One run for each task, all in this process, and one more at the end.
    assert!(count(&object, &loaded, 15) > 1);
}

#[test]
fn arguments_of_markers_are_read() {
    if !can_load() {
        return;
    }
    let Some(object) = object("usdt") else { return };
    let loaded = load_with(&object, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let attach = |cookie| {
        let options = AttachOptions { symbols: Some(&Own), cookie, ..AttachOptions::default() };
        attach_all(&loaded, &object, &options).unwrap_or_else(|(name, error)| panic!("{name}: {error}"))
    };
    // The second and third description must not take the place of the first; the third is the same as the second.
    let attached = [attach(7), attach(8), attach(8)];
    black_box(marked(0x1234_5678_9abc_def0));
    drop(attached);
    let numbers = |name: &str| -> Vec<i64> {
        let bytes = read_variable(&object, &loaded, name);
        bytes.chunks_exact(8).map(|word| i64::from_ne_bytes(word.try_into().unwrap())).collect()
    };
    assert_eq!((numbers("runs"), numbers("counts"), numbers("cookies")), (vec![3], vec![5], vec![1 << 7 | 1 << 8]));
    assert_eq!(numbers("results"), [0, 0, 0, -22, 0, -2]);
    let values = numbers("values");
    assert_eq!(values[..4], [0x1234_5678_9abc_def0, -16, -3, 0]);
    assert!(values[4] != 0, "what lies on the stack");
    let descriptions = object.maps.iter().position(|map| map.name == "__bpf_usdt_specs").unwrap();
    let used = loaded.maps[descriptions]
        .entries()
        .filter(|entry| entry.as_ref().unwrap().1.iter().any(|byte| *byte != 0))
        .count();
    assert_eq!(used, 2);
}

/// In a thread with a network and mounts of its own, `lo` being up and the tracing file system mounted.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: the calls take constants and C strings, and change nothing but this thread's namespaces.
        unsafe {
            assert_eq!(libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS), 0);
            let none = std::ptr::null();
            assert_eq!(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()), 0);
            let (kind, place) = (c"tracefs".as_ptr(), c"/sys/kernel/tracing".as_ptr());
            libc::mount(kind, place, kind, 0, none.cast());
        }
        let up = std::process::Command::new("ip").args(["link", "set", "dev", "lo", "up"]).status();
        assert!(up.unwrap().success());
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
pub fn programs_of_the_network_deliver() {
    if !can_load() {
        return;
    }
    let Some(object) = prepared() else { return };
    if skep_kernel::running_release() < Some(skep_isa::Release::new(6, 6)) {
        // The attach types of tcx are part of loading.
        println!("SKIPPED: links of traffic control came with Linux 6.6");
        return;
    }
    in_namespace(move || {
        let Ok(groups) = std::fs::read_to_string("/proc/self/mounts") else { return skip("procfs is not mounted") };
        let root = groups.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let place = words.next()?;
            (words.next()? == "cgroup2").then(|| place.to_owned())
        });
        let Some(root) = root else { return skip("there is no control group file system (version 2)") };
        let group = open_cgroup(root).unwrap();
        let names = ["driver", "arriving", "leaving", "group", "lookup", "filter", "firewall"];
        let options = LoadOptions { programs: Some(&names), ..LoadOptions::default() };
        let loaded = load_with(&object, &options).unwrap_or_else(|error| panic!("{error}"));
        let place = AttachOptions {
            interface: Some(interface("lo").unwrap().index),
            cgroup: Some(group.as_fd()),
            netfilter: Some(NetfilterPlace {
                family: NetfilterFamily::Ipv4,
                hook: NetfilterHook::LocalOut,
                priority: 7,
                defragment: false,
            }),
            ..AttachOptions::default()
        };
        let attached = attach_all(&loaded, &object, &place).unwrap_or_else(|(name, error)| panic!("{name}: {error}"));
        let left: Vec<&str> = attached.left.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(left, ["filter"]);
        assert_eq!(attached.attached.len(), 6);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
        receiver.recv(&mut [0; 4]).unwrap();
        for (name, index) in [("driver", 17), ("arriving", 18), ("leaving", 19), ("group", 20), ("lookup", 21)] {
            assert!(count(&object, &loaded, index) > 0, "{name}");
        }
        // Without options they are left alone, each with a reason.
        drop(attached);
        let without = attach_all(&loaded, &object, &AttachOptions::default()).unwrap();
        let left: Vec<&str> = without.left.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(left, ["driver", "arriving", "leaving", "group", "filter", "firewall"]);
        assert!(without.left.iter().any(|(_, why)| why == "no control group was given"), "{:?}", without.left);
    });
}

#[test]
fn what_is_not_asked_for_is_not_loaded() {
    if !can_load() {
        return;
    }
    let Some(mut object) = prepared() else { return };
    object.programs.retain(|program| ["raw", "optional"].contains(&program.name.as_str()));
    let loaded = skep_kernel::load(&object).unwrap_or_else(|error| panic!("{error}"));
    assert!(loaded.program("raw").is_some() && loaded.program("optional").is_none());
    let options = LoadOptions { programs: Some(&["nothing"]), ..LoadOptions::default() };
    let error = load_with(&object, &options).unwrap_err();
    assert_eq!(error.to_string(), "there is no program `nothing`; there are: raw, optional");
}

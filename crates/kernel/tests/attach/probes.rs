//! Probes of the kernel and of files. User probes sit in this test program itself.

use std::fs;
use std::hint::black_box;

use skep_isa::{AttachType, ProgType};
use skep_kernel::KernelError;
use skep_kernel::attach::{
    Attachment, KernelPlace, KernelPlaces, MultiMode, UserPlace, attach_kprobe, attach_kprobe_event,
    attach_kprobe_multi, attach_uprobe, attach_uprobe_event, attach_uprobe_multi,
};

use super::support::{Counting, Wanted, absent, in_namespace, is_root, only_this_thread};

/// What is probed. Each test has one of its own, so that they can run at the same time.
macro_rules! targets {
    ($($name:ident = $number:literal,)*) => {$(
        #[inline(never)]
        pub extern "C" fn $name(value: u64) -> u64 {
            // Different bodies, so that the compiler does not merge them.
            black_box(value.wrapping_mul($number) + 1)
        }
    )*};
}
targets! { one = 3, two = 5, three = 7, four = 9, five = 11, many = 13, }

/// Uses a value.
pub fn touch(value: u64) {
    black_box(value);
}

/// The offset of a function of this program in its file.
pub fn offset(function: extern "C" fn(u64) -> u64) -> u64 {
    let address = function as *const () as u64;
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let found = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        let offset = number(rest.split(' ').nth(1)?)?;
        (start..end).contains(&address).then(|| address - start + offset)
    });
    found.unwrap()
}

/// The file of this program.
pub fn own_file() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

#[test]
fn functions_of_a_file_and_their_returns() {
    if !is_root() {
        return;
    }
    for at_return in [false, true] {
        let counting = Counting::new(ProgType::Kprobe, 0);
        let place = UserPlace::at(offset(one));
        let attached = attach_uprobe(&counting.program, own_file(), place, at_return, None).unwrap();
        counting.expect(4, || (0..4).for_each(|value| touch(one(value))));
        drop(attached);
        counting.expect_end(|| touch(one(1)));
    }
    // In one process only.
    let counting = Counting::new(ProgType::Kprobe, 0);
    let place = UserPlace::at(offset(one));
    let attached = attach_uprobe(&counting.program, own_file(), place, false, Some(1)).unwrap();
    counting.expect_end(|| touch(one(1)));
    drop(attached);
    let attached = attach_uprobe(&counting.program, own_file(), place, false, Some(std::process::id())).unwrap();
    drop(attached);
}

#[test]
fn definitions_by_text() {
    in_namespace(|| {
        for at_return in [false, true] {
            let counting = Counting::new(ProgType::Kprobe, 0);
            let place = UserPlace::at(offset(two));
            let probe = match attach_uprobe_event(&counting.program, own_file(), place, at_return, None) {
                Err(error @ KernelError::Unsupported { .. }) => return absent(&error.to_string()),
                result => result.unwrap(),
            };
            counting.expect(2, || (0..2).for_each(|value| touch(two(value))));
            let own = format!("skep/p{}_", std::process::id());
            let defined = || fs::read_to_string("/sys/kernel/tracing/uprobe_events").unwrap().contains(&own);
            assert!(defined());
            drop(probe);
            counting.expect_end(|| touch(two(1)));
            assert!(!defined(), "the definition is removed behind the program");
        }
        let counting = Counting::new(ProgType::Kprobe, 0);
        let error = attach_uprobe_event(&counting.program, "/no/such/file", UserPlace::at(1), false, None).unwrap_err();
        assert!(error.to_string().contains("`/no/such/file` does not exist"), "{error}");
    });
}

#[test]
fn many_places_with_one_link() {
    if !is_root() {
        return;
    }
    let places = [three, four].map(|function| UserPlace::at(offset(function)));
    for (mode, attach_type, times) in [
        (MultiMode::Entry, AttachType::TraceUprobeMulti, 2),
        (MultiMode::Return, AttachType::TraceUprobeMulti, 2),
        (MultiMode::Session, AttachType::TraceUprobeSession, 4),
    ] {
        let counting = match Counting::load(&Wanted::at(ProgType::Kprobe, attach_type, 0)) {
            Err(error) => {
                absent(&format!("{attach_type}: {error}"));
                continue;
            }
            Ok(counting) => counting,
        };
        let link = match attach_uprobe_multi(&counting.program, own_file(), &places, mode, None) {
            Err(error @ KernelError::Unsupported { .. }) => {
                absent(&error.to_string());
                continue;
            }
            result => result.unwrap(),
        };
        counting.expect(times, || touch(three(1) + four(1)));
        drop(link);
        counting.expect_end(|| touch(three(1)));
        let error = attach_uprobe_multi(&counting.program, own_file(), &[], mode, None).unwrap_err();
        assert!(error.to_string().contains("no place is given"), "{error}");
        let beyond = [UserPlace::at(1 << 40)];
        let error = attach_uprobe_multi(&counting.program, own_file(), &beyond, mode, None).unwrap_err();
        assert!(error.to_string().contains("behind the end"), "{error}");
        let error = attach_uprobe_multi(&counting.program, "/no/such/file", &places, mode, None).unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{error}");
    }
}

#[test]
fn wrong_places_in_files_are_explained() {
    if !is_root() {
        return;
    }
    let counting = Counting::new(ProgType::Kprobe, 0);
    let attach = |file: &str, place| attach_uprobe(&counting.program, file, UserPlace::at(place), false, None);
    let error = attach("/no/such/file", 1).unwrap_err().to_string();
    assert!(error.contains("`/no/such/file` does not exist"), "{error}");
    let own = own_file();
    let error = attach(own.to_str().unwrap(), 1 << 40).unwrap_err().to_string();
    assert!(error.contains("behind the end"), "{error}");
    let error = attach("/", 0).unwrap_err().to_string();
    assert!(error.contains("no ordinary file"), "{error}");
    let own = own_file();
    let error = attach_uprobe(&counting.program, own, UserPlace::at(offset(five)), false, Some(4_000_000)).unwrap_err();
    assert!(error.to_string().contains("no process 4000000"), "{error}");
}

#[test]
fn kernel_functions_and_their_returns() {
    in_namespace(|| {
        let before = only_this_thread();
        let place = KernelPlace::Function { name: "vfs_read", offset: 0 };
        let read = || drop(fs::read("/proc/self/stat").unwrap());
        for at_return in [false, true] {
            let counting = Counting::load(&Wanted { before: &before, ..Wanted::new(ProgType::Kprobe, 0) }).unwrap();
            let attached = match attach_kprobe(&counting.program, place, at_return, 0) {
                Err(error @ KernelError::Unsupported { .. }) => {
                    assert!(error.to_string().contains("CONFIG_KPROBES"), "{error}");
                    assert!(fs::metadata("/sys/bus/event_source/devices/kprobe").is_err());
                    return absent(&error.to_string());
                }
                result => result.unwrap(),
            };
            counting.expect_soon(1, read);
            drop(attached);
            counting.expect_end(read);
            let attached = Attachment::Perf(attach_kprobe_event(&counting.program, place, at_return).unwrap());
            counting.expect_soon(1, read);
            drop(attached);
            counting.expect_end(read);
            let nothing = KernelPlace::Function { name: "no_such_function", offset: 0 };
            let error = attach_kprobe(&counting.program, nothing, at_return, 0).unwrap_err();
            assert!(error.to_string().contains("no function `no_such_function`"), "{error}");
        }
    });
}

#[test]
fn many_kernel_functions_with_one_link() {
    if !is_root() {
        return;
    }
    let before = only_this_thread();
    for (mode, attach_type) in [
        (MultiMode::Entry, AttachType::TraceKprobeMulti),
        (MultiMode::Return, AttachType::TraceKprobeMulti),
        (MultiMode::Session, AttachType::TraceKprobeSession),
    ] {
        let wanted = Wanted { before: &before, ..Wanted::at(ProgType::Kprobe, attach_type, 0) };
        let counting = match Counting::load(&wanted) {
            Err(error) => {
                absent(&format!("{attach_type}: {error}"));
                continue;
            }
            Ok(counting) => counting,
        };
        let places = KernelPlaces::Names(&["vfs_read", "vfs_write"]);
        let link = match attach_kprobe_multi(&counting.program, places, &[1, 2], mode) {
            Err(error @ KernelError::Unsupported { .. }) => {
                absent(&error.to_string());
                continue;
            }
            result => result.unwrap(),
        };
        counting.expect_soon(1, || drop(fs::read("/proc/self/stat").unwrap()));
        drop(link);
        let error = attach_kprobe_multi(&counting.program, places, &[1], mode).unwrap_err();
        assert!(error.to_string().contains("1 cookies for 2 places"), "{error}");
    }
}

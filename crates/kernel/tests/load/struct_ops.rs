//! A congestion control of TCP made of programs: registered, used by connections, and gone again.

use std::ffi::CStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::thread;

use skep_isa::{MapType, ProgType};
use skep_kernel::attach::{AttachOptions, Attachment, attach_all};
use skep_kernel::{KernelError, LoadError, LoadOptions, Loaded, RunningKernel, load, load_with};
use skep_object::{KernelInfo as _, Object, ProgIdx, Reference};

use super::objects::{file, object, read_variable};
use super::translated::compare;
use crate::common::{can_load, skip};

/// Whoever registers the names of the corpus: the kernel has each once.
static NAMES: Mutex<()> = Mutex::new(());

/// Bytes that go through each connection.
const BYTES: usize = 1 << 20;

/// The object in the kernel, unless that has no such tables or its policy forbids them.
#[track_caller]
fn loaded() -> Option<(Object, Loaded)> {
    if !can_load() {
        return None;
    }
    let mut object = object("struct_ops")?;
    let kernel = RunningKernel::new();
    let Some(btf) = kernel.btf() else {
        skip("the kernel has no BTF");
        return None;
    };
    if btf.find("bpf_struct_ops_tcp_congestion_ops").is_none() {
        skip("the kernel has no congestion control that programs can implement");
        return None;
    }
    // Links for tables are of Linux 6.4.
    if kernel.version_code().is_some_and(|code| code < 6 << 16 | 4 << 8) {
        object.maps.retain(|map| map.name != "linked");
    }
    match load(&object) {
        Ok(loaded) => Some((object, loaded)),
        Err(LoadError::Program { program, error: error @ KernelError::NotPermitted { .. } })
            if std::env::var("SKEP_VM_KERNEL").is_err() =>
        {
            println!("SKIPPED: the policy of this machine forbids it: program `{program}`: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn known_algorithms() -> String {
    std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control").unwrap()
}

/// The congestion control of a socket, after choosing one.
fn choose(socket: &TcpStream, name: &str) -> String {
    let fd = socket.as_raw_fd();
    let length = name.len() as libc::socklen_t;
    // SAFETY: the name is `length` bytes long and lives as long as the call.
    let set = unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_ptr().cast(), length) };
    assert_eq!(set, 0, "{name}: {}", std::io::Error::last_os_error());
    let mut found = [0u8; 17];
    let mut length: libc::socklen_t = 16;
    let place = found.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `length` bytes, and there is one more for the NUL.
    let got = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, place, &raw mut length) };
    assert_eq!(got, 0, "{}", std::io::Error::last_os_error());
    CStr::from_bytes_until_nul(&found).unwrap().to_str().unwrap().to_owned()
}

/// Sends bytes over a connection of its own that uses the algorithm.
fn send_with(name: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    assert_eq!(choose(&sender, name), name);
    let receiving = thread::spawn(move || {
        let mut all = Vec::new();
        receiver.read_to_end(&mut all).map(|_| all)
    });
    sender.write_all(&vec![7; BYTES]).unwrap();
    drop(sender);
    assert_eq!(receiving.join().unwrap().unwrap(), vec![7; BYTES]);
}

#[test]
fn programs_of_tables_are_those_of_libbpf() {
    let Some((_, loaded)) = loaded() else { return };
    assert_eq!(loaded.programs.len(), 4);
    let Some(bytes) = file("struct_ops") else { return };
    compare("struct_ops", &bytes, &loaded.programs);
}

#[test]
pub fn tables_of_operations_are_used() {
    let _names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((object, loaded)) = loaded() else { return };
    let number = |name: &str| u64::from_ne_bytes(read_variable(&object, &loaded, name).try_into().unwrap());
    let names: Vec<String> = loaded.tables.iter().map(|table| format!("skep_{}", table.name())).collect();
    let of_type = object.maps.iter().filter(|map| map.map_type == MapType::StructOps);
    assert_eq!(loaded.tables.len(), of_type.count());
    assert!(names.contains(&"skep_plain".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| !known_algorithms().contains(name)), "loading registers nothing");
    let attachments =
        attach_all(&loaded, &object, &AttachOptions::default()).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(attachments.left.is_empty(), "{:?}", attachments.left);
    assert_eq!(attachments.attached.len(), names.len());
    for (name, attachment) in &attachments.attached {
        assert_eq!(matches!(attachment, Attachment::Link(_)), name == "linked");
    }
    for (round, name) in (1..).zip(&names) {
        assert!(known_algorithms().contains(name), "{name}: {}", known_algorithms());
        let before = number("acknowledged");
        send_with(name);
        assert_eq!(number("connections"), round, "{name}");
        assert!(number("acknowledged") > before, "{name}: the window never grew");
    }
    // The names are taken now.
    let second = load(&object).unwrap_or_else(|error| panic!("{error}"));
    let (table, error) = attach_all(&second, &object, &AttachOptions::default()).unwrap_err();
    assert!(error.to_string().contains("a table with this name is registered already; rename it"), "{table}: {error}");
    drop(attachments);
    assert!(names.iter().all(|name| !known_algorithms().contains(name)), "{}", known_algorithms());
}

/// What the kernel's congestion controls must have is missing: whoever made the table learns that.
#[test]
fn incomplete_tables_are_refused() {
    let _names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((mut object, whole)) = loaded() else { return };
    drop(whole);
    for map in object.maps.iter_mut().filter(|map| map.map_type == MapType::StructOps) {
        map.references.retain(|(offset, _)| *offset == 16);
    }
    object.programs.retain(|program| program.name == "start");
    for map in object.maps.iter_mut().filter(|map| map.map_type == MapType::StructOps) {
        map.references[0].1 = Reference::Program(ProgIdx(0));
    }
    let error = match load(&object) {
        // Tables for links are checked when they are loaded.
        Err(LoadError::Map { map, error }) if map == "linked" => error,
        Err(error) => panic!("{error}"),
        Ok(loaded) => attach_all(&loaded, &object, &AttachOptions::default()).unwrap_err().1,
    };
    assert!(error.to_string().contains("does not take it: a function that it needs is missing"), "{error}");
}

/// A table is registered only with all its programs, and programs of tables only load with their table.
#[test]
fn parts_of_tables_are_not_registered() {
    let Some((mut object, whole)) = loaded() else { return };
    drop(whole);
    let options = LoadOptions { programs: Some(&["start"]), ..LoadOptions::default() };
    let part = load_with(&object, &options).unwrap_or_else(|error| panic!("{error}"));
    assert!(part.tables.is_empty() && part.programs.len() == 1);
    let attachments = attach_all(&part, &object, &AttachOptions::default()).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(attachments.attached.is_empty());
    assert_eq!(attachments.left.len(), 1);
    object.maps.retain(|map| map.map_type != MapType::StructOps);
    let error = load(&object).unwrap_err().to_string();
    assert!(error.contains("no table of operations refers to it"), "{error}");
}

#[test]
fn optional_tables_are_loaded_when_somebody_asks() {
    let Some(mut object) = object("struct_ops") else { return };
    for map in object.maps.iter_mut().filter(|map| map.map_type == MapType::StructOps) {
        map.optional = true;
    }
    if !can_load() {
        return;
    }
    // No kernel and no policy is asked about them.
    let none = load(&object).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((none.programs.len(), none.tables.len(), none.left_out.len()), (0, 0, 2));
    assert!(none.left_out.iter().all(|map| none.map(*map).unwrap().map_type() == Some(MapType::Array)));
    let Some((_, whole)) = loaded() else { return };
    let names: Vec<&str> = object.programs.iter().map(|program| program.name.as_str()).collect();
    if whole.tables.len() < 2 {
        object.maps.retain(|map| map.name != "linked");
    }
    let asked = load_with(&object, &LoadOptions { programs: Some(&names), ..LoadOptions::default() });
    let asked = asked.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((asked.tables.len(), asked.left_out.len()), (whole.tables.len(), 0));
    // A program that another table has is loaded for that one.
    for map in object.maps.iter_mut().filter(|map| map.name == "plain") {
        map.optional = false;
    }
    let some = load(&object).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((some.tables.len(), some.programs.len()), (1, whole.programs.len()));
}

/// What the kernel says before its policy is asked: programs are fitted to its structure here.
#[test]
fn tables_are_fitted_to_this_kernel() {
    let Some(mut object) = object("struct_ops") else { return };
    let kernel = RunningKernel::new();
    let Some(btf) = kernel.btf() else { return skip("the kernel has no BTF") };
    let Some(value_type) = btf.find("bpf_struct_ops_tcp_congestion_ops") else {
        return skip("the kernel has no congestion control that programs can implement");
    };
    let tables = object.resolve(&kernel).unwrap().tables;
    assert_eq!(tables.len(), 2);
    for (table, name) in tables.iter().zip(["linked", "plain"]) {
        assert_eq!(object.maps[table.map.index()].name, name);
        assert_eq!(table.value_type, value_type.0);
        assert_eq!(table.module, None);
        assert_eq!(table.value.len(), btf.size_of(value_type).unwrap() as usize);
        let algorithm = format!("skep_{name}\0");
        assert!(table.value.windows(algorithm.len()).any(|part| part == algorithm.as_bytes()));
        let mut places: Vec<_> = table.programs.iter().map(|program| (program.member, program.offset)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 4, "{places:?}");
        assert!(object.programs.iter().all(|program| program.prog_type == ProgType::StructOps));
    }
}

//! What is known about system calls, as data: arguments, results and classes of every call, names of numbers,
//! structures. How it is printed is in [`decode`](crate::decode).

pub mod calls;
pub mod choices;
pub mod kind;
pub mod sets;
mod sets_fs;
mod sets_ioctl;
mod sets_ipc;
mod sets_kernel;
mod sets_main;
mod sets_net;
mod sets_options;
mod sets_process;
pub mod signals;
pub mod structs;

use std::collections::HashMap;
use std::sync::OnceLock;

use kind::{Kind, Result};
use skep_isa::syscalls::Arch;

/// A system call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub args: Vec<Kind>,
    /// Its result.
    pub result: Result,
    /// Its classes, as `-e trace=%CLASS` names them.
    pub classes: Vec<&'static str>,
}

/// All calls by number.
pub fn calls() -> &'static HashMap<u32, Call> {
    static CALLS: OnceLock<HashMap<u32, Call>> = OnceLock::new();
    CALLS.get_or_init(|| {
        let rows: HashMap<&str, &'static str> = calls::CALLS.iter().copied().collect();
        let call = |(number, name): (u32, &'static str)| {
            // A call without a row has six plain arguments; a test keeps that from happening.
            parse(number, name, rows.get(name).copied().unwrap_or("hex hex hex hex hex hex")).map(|call| (number, call))
        };
        Arch::X86_64.syscalls().filter_map(call).collect()
    })
}

/// The call with a number.
pub fn by_number(number: u32) -> Option<&'static Call> {
    calls().get(&number)
}

fn parse(number: u32, name: &'static str, row: &'static str) -> Option<Call> {
    let (front, classes) = row.split_once(';').unwrap_or((row, ""));
    let (args, result) = front.split_once('>').unwrap_or((front, "long"));
    let args = args.split_ascii_whitespace().map(Kind::parse).collect::<Option<Vec<_>>>()?;
    let result = Result::parse(result.trim())?;
    let mut classes: Vec<&'static str> = classes.split_ascii_whitespace().collect();
    if args.iter().any(|kind| matches!(kind, Kind::Path)) {
        classes.push("file");
    }
    if result == Result::Fd
        || args.iter().any(|kind| matches!(kind, Kind::Fd | Kind::DirFd | Kind::MarkFd | Kind::PollFds(_)))
    {
        classes.push("desc");
    }
    Some(Call { number, name, args, result, classes })
}

/// Names of classes and other names for them.
// TABLE
pub const CLASSES: &[(&str, &str)] = &[
    ("file", "file"),
    ("desc", "desc"),
    ("network", "network"),
    ("net", "network"),
    ("process", "process"),
    ("signal", "signal"),
    ("ipc", "ipc"),
    ("memory", "memory"),
    ("creds", "creds"),
    ("clock", "clock"),
    ("pure", "pure"),
    ("stat", "stat"),
    ("lstat", "lstat"),
    ("fstat", "fstat"),
    ("statfs", "statfs"),
    ("fstatfs", "fstatfs"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_row_that_is_understood() {
        let names: Vec<&str> = Arch::X86_64.syscalls().map(|row| row.1).collect();
        for name in &names {
            assert!(calls::CALLS.iter().any(|row| row.0 == *name), "{name} has no row");
        }
        for (name, row) in calls::CALLS {
            assert!(names.contains(name), "{name} is no call");
            assert!(parse(0, name, row).is_some(), "{name}: {row}");
        }
        assert_eq!(calls().len(), names.len());
    }

    #[test]
    fn classes_are_known() {
        for call in calls().values() {
            for class in &call.classes {
                assert!(CLASSES.iter().any(|row| row.1 == *class), "{}: {class}", call.name);
            }
            assert!(call.args.len() <= 6);
        }
    }
}

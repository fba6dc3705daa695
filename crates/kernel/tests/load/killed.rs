//! A process that is killed in the middle of loading and attaching leaves nothing behind.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use skep_kernel::attach::{AttachOptions, attach_all};
use skep_kernel::{LoadOptions, LoadedMap, LoadedProgram, load_with, map_ids, program_ids};

use super::objects::object;
use crate::common::can_load;

const CHILD: &str = "SKEP_TEST_LOADER_CHILD";

/// Runs in the process that is killed: loads, attaches and detaches without end.
#[test]
#[ignore = "only for the process that the other test kills"]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut object = object("deliver").unwrap();
    // A name that the other process finds in the kernel.
    let name = format!("sk{}", std::process::id());
    for program in &mut object.programs {
        program.name = format!("{name}_{}", program.name);
    }
    for map in &mut object.maps {
        map.name = format!("{name}{}", map.name);
    }
    let names: Vec<String> = ["tracepoint", "raw", "typed"].iter().map(|program| format!("{name}_{program}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    println!("\nloading");
    loop {
        let options = LoadOptions { programs: Some(&names), ..LoadOptions::default() };
        let loaded = load_with(&object, &options).unwrap_or_else(|error| panic!("{error}"));
        let attached = attach_all(&loaded, &object, &AttachOptions::default());
        assert_eq!(attached.unwrap_or_else(|(name, error)| panic!("{name}: {error}")).attached.len(), 3);
    }
}

/// The number of programs and maps that a process with this number has made.
fn alive(process: u32) -> (usize, usize) {
    let prefix = format!("sk{process}");
    let programs = program_ids().filter_map(Result::ok).filter_map(|id| LoadedProgram::by_id(id).ok());
    let maps = map_ids().filter_map(Result::ok).filter_map(|id| LoadedMap::by_id(id).ok());
    (
        programs.filter(|program| program.name().starts_with(&prefix)).count(),
        maps.filter(|map| map.name().starts_with(&prefix)).count(),
    )
}

#[test]
fn nothing_stays() {
    if !can_load() || object("deliver").is_none() {
        return;
    }
    // Children see the mounts of the thread that starts them.
    super::delivery::in_namespace(kill_several);
}

fn kill_several() {
    // In the last round the child is killed when it has a program, however slow the machine is.
    for wait in [Some(0), Some(7), Some(20), Some(35), None] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["killed::child", "--exact", "--ignored", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let started = lines.map_while(Result::ok).any(|line| line == "loading");
        assert!(started, "the child says that it loads");
        let process = child.id();
        match wait {
            Some(wait) => std::thread::sleep(Duration::from_millis(wait)),
            None => {
                let seen = (0..2000).any(|_| {
                    std::thread::sleep(Duration::from_millis(5));
                    alive(process).0 > 0
                });
                assert!(seen, "programs can be seen while their process lives");
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let gone = (0..400).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            alive(process) == (0, 0)
        });
        assert!(gone, "(programs, maps) alive: {:?}", alive(process));
    }
}

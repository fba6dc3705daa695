//! Symbols of this process and of one that has ended.

use std::process::{Command, Stdio};

use super::*;
use crate::binary::Binary;

/// The address at which this process has a function of a library.
fn address_of(pid: u32, library: &str, function: &str) -> u64 {
    let path = crate::resolve(library, Some(pid)).unwrap();
    let binary = Binary::open(&path).unwrap();
    let offset = binary.function(function).unwrap().offset.unwrap();
    let all = crate::mappings(pid).unwrap();
    let holds = |mapping: &&crate::Mapping| {
        mapping.executable
            && path.ends_with(mapping.path.strip_prefix("/").unwrap())
            && (mapping.offset..mapping.offset + mapping.end - mapping.start).contains(&offset)
    };
    let mapping = all.iter().find(holds).unwrap();
    mapping.start + offset - mapping.offset
}

#[test]
fn a_process_that_has_ended() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    // It answers when the loader is done.
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    std::io::Write::write_all(&mut input, b"x").unwrap();
    std::io::Read::read_exact(&mut output, &mut [0]).unwrap();
    let address = address_of(pid, "libc", "posix_spawn");
    let mut processes = Processes::new(DebugDirs::default(), true);
    processes.learn(pid);
    drop(input);
    child.wait().unwrap();
    let symbol = processes.symbol(pid, address + 2).unwrap();
    assert!(symbol.name.contains("posix_spawn") && symbol.offset == 2, "{symbol:?}");
    assert!(symbol.file.contains("libc.so"), "{symbol:?}");
    let (build_id, offset) = processes.build_id(pid, address).unwrap();
    assert!(build_id.len() == 40 && offset > 0, "{build_id}");
    assert_eq!(processes.symbol(pid, 1), None);
    assert_eq!(Processes::new(DebugDirs::default(), true).symbol(pid, address), None, "it was not learnt");
}

#[test]
fn the_code_of_the_kernel_for_processes() {
    let binary = Binary::parse("[vdso]", &vdso_bytes().unwrap()).unwrap();
    let wanted = if cfg!(target_arch = "x86_64") { "__vdso_clock_gettime" } else { "__kernel_clock_gettime" };
    let function = binary.function(wanted).unwrap();
    let text = fs::read_to_string("/proc/self/maps").unwrap();
    let region = text.lines().filter_map(Region::parse).find(|region| region.name == "[vdso]").unwrap();
    let mut processes = Processes::new(DebugDirs::default(), false);
    let symbol = processes.symbol(std::process::id(), region.start + function.offset.unwrap()).unwrap();
    assert!(symbol.offset == 0 && symbol.file == "[vdso]" && symbol.name.contains("clock_gettime"), "{symbol:?}");
}

#[test]
fn a_program_that_was_deleted() {
    let directory = std::env::temp_dir().join(format!("skep-sym-deleted-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let copy = directory.join("copy of cat");
    fs::copy(crate::find_program("cat").unwrap(), &copy).unwrap();
    let mut child = Command::new(&copy).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    std::io::Write::write_all(&mut input, b"x").unwrap();
    std::io::Read::read_exact(&mut output, &mut [0]).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    let text = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let region = text.lines().filter_map(Region::parse).find(|region| region.deleted && region.executable).unwrap();
    let mut processes = Processes::new(DebugDirs::default(), true);
    let found = processes.build_id(pid, region.start).map(|(id, offset)| (id.len(), offset));
    drop(input);
    child.wait().unwrap();
    assert_eq!(found, Some((40, region.offset)), "read through map_files, which needs CAP_SYS_ADMIN");
}

/// Its file is in a file system that only it sees.
#[test]
fn a_program_of_another_mount_namespace() {
    let script = "mount -t tmpfs none /mnt && cp \"$(command -v cat)\" /mnt/inside && exec /mnt/inside";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return println!("SKIPPED: there is no unshare") };
    let pid = child.id();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let answered =
        std::io::Write::write_all(&mut input, b"x").is_ok() && std::io::Read::read_exact(&mut output, &mut [0]).is_ok();
    let mut processes = Processes::new(DebugDirs::default(), true);
    processes.learn(pid);
    let text = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let region =
        text.lines().filter_map(Region::parse).find(|region| region.name == "/mnt/inside" && region.executable);
    drop(input);
    child.wait().unwrap();
    let Some(region) = region.filter(|_| answered) else {
        return println!("SKIPPED: a mount namespace needs CAP_SYS_ADMIN");
    };
    assert!(!Path::new("/mnt/inside").exists());
    let found = processes.build_id(pid, region.start).map(|(id, offset)| (id.len(), offset));
    assert_eq!(found, Some((40, region.offset)));
}

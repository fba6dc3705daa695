//! Filters of a real process: a child installs two, we read them back.
//!
//! Where filters cannot be installed or read the test is skipped and says so; with `SKEP_REQUIRE_KERNEL=1` it fails.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use skep_isa::classic::{Insn, JmpOp, Size};
use skep_isa::syscalls::Arch;
use skep_kernel::seccomp::{Action, Call, Decision, Mode, decide, filters_of, mode_of};

/// Ends the child when the test ends, however that is.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn install(filter: &[Insn]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut().cast() };
    // SAFETY: both calls only read; `Insn` has the layout of `struct sock_filter`.
    let results = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0),
        ]
    };
    if results == [0, 0] { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A filter that refuses one call with `ENOSYS`.
fn without(number: u32) -> Vec<Insn> {
    vec![
        Insn::ld_abs(Size::Word, 0),
        Insn::jump_k(JmpOp::Eq, number, 0, 1),
        Insn::ret_k(0x0005_0026),
        Insn::ret_k(0x7fff_0000),
    ]
}

#[test]
fn filters_are_read_back_newest_first() {
    let Some(arch) = Arch::native() else { return };
    let number = |name| arch.number(name).unwrap();
    let (older, newer) = (without(number("mount")), without(number("reboot")));
    let mut command = Command::new("sleep");
    command.arg("60");
    let installed = (older.clone(), newer.clone());
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(move || install(&installed.0).and_then(|()| install(&installed.1))) };
    let child = match command.spawn() {
        Ok(child) => Kept(child),
        Err(error) => return skip(&error),
    };
    let pid = child.0.id().cast_signed();
    assert!(matches!(mode_of(pid), Ok(Mode::Filters(None | Some(2)))));
    let filters = match filters_of(pid) {
        Ok(filters) => filters,
        Err(error) => return skip(&error),
    };
    assert_eq!(filters, [newer, older]);
    let call = Call { arch: arch.audit(), number: number("mount") };
    let decision = decide(&filters[0], call).with_older(&decide(&filters[1], call));
    assert_eq!(decision, Decision::Always(Action::Errno(38)));
    // It runs on and nobody traces it.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("TracerPid:\t0"), "{status}");
    assert!(!status.contains("State:\tt"), "{status}");
}

fn skip(error: &dyn std::fmt::Display) {
    println!("SKIPPED: filters of a process: {error}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {error}");
}

#[test]
fn processes_without_filters_and_without_existence() {
    assert!(matches!(mode_of(std::process::id().cast_signed()), Ok(Mode::Disabled | Mode::Filters(_))));
    let error = filters_of(i32::MAX).unwrap_err().to_string();
    assert!(error.contains("there is no process 2147483647"), "{error}");
    let error = filters_of(std::process::id().cast_signed()).unwrap_err().to_string();
    assert!(error.contains("cannot look at itself"), "{error}");
}

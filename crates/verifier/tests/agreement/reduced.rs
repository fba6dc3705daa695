//! The kernel's verdict for processes with fewer capabilities.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use skep_kernel::{KernelError, LoadError, LoadOptions, load_with};
use skep_object::{Object, Program};
use skep_verifier::Loader;

use super::Theirs;

const SETTING: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";

/// While it lives processes without capabilities may load programs. There is one at a time.
#[derive(Debug)]
pub struct Unlocked(String, #[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Unlocked {
    /// Changes the setting. `None` if the kernel does not let it be changed.
    pub fn new() -> Option<Self> {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = fs::read_to_string(SETTING).ok()?;
        fs::write(SETTING, "0").ok()?;
        Some(Self(before, one))
    }
}

impl Drop for Unlocked {
    fn drop(&mut self) {
        fs::write(SETTING, self.0.trim()).expect("the setting is as it was");
    }
}

/// Whether the running kernel does something about speculation: else CAP_PERFMON is not asked for what is about that.
pub fn guards() -> bool {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let off = line.split_whitespace().any(|word| word == "mitigations=off");
    if off {
        println!("SKIPPED: this kernel does nothing about speculation (mitigations=off)");
    }
    !off
}

/// Does something in a thread that has no other capabilities.
pub fn as_loader<T: Send>(loader: Loader, what: impl FnOnce() -> T + Send) -> T {
    let mut kept = CapabilitySet::empty();
    kept.set(CapabilitySet::BPF, loader.bpf);
    kept.set(CapabilitySet::PERFMON, loader.perfmon);
    kept.set(CapabilitySet::NET_ADMIN, loader.net_admin);
    let run = || {
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).expect("capabilities are given up");
        what()
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Takes types away, which the kernel takes from processes with CAP_BPF only.
pub fn strip(object: &mut Object) {
    object.btf.clear();
    for program in &mut object.programs {
        program.functions.iter_mut().for_each(|function| function.ty = None);
        program.lines.clear();
    }
}

/// The verdict on a program of an object that is fitted.
pub fn theirs(object: &Object, program: &Program, loader: Loader) -> Theirs {
    if loader == Loader::ALL {
        return super::theirs(object, program);
    }
    let options = LoadOptions { programs: Some(&[program.name.as_str()]), pins: None, ..LoadOptions::default() };
    match as_loader(loader, || load_with(object, &options).map(drop)) {
        Ok(()) => Theirs::Takes,
        Err(LoadError::Program { error: KernelError::Rejected { log, reason, .. }, .. }) => match log.summary() {
            Some((words, _)) if !skep_testkit::selftests::is_about_the_machine(words) => {
                Theirs::Refuses(words.to_owned())
            }
            Some((words, _)) => Theirs::Silent(words.to_owned()),
            None => Theirs::Silent(reason),
        },
        Err(
            LoadError::Program { error: error @ KernelError::NotPermitted { .. }, .. }
            | LoadError::Map { error: error @ KernelError::NotPermitted { .. }, .. },
        ) => Theirs::Refuses(error.to_string()),
        Err(error) => Theirs::Silent(error.to_string()),
    }
}

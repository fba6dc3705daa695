//! One program, two verdicts: what both say, sums of that, and the figures that are kept.
#![allow(dead_code, unused_imports, reason = "each of the tests uses a part")]

mod figures;
mod reduced;
mod tally;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use skep_kernel::{KernelError, LoadError, LoadOptions, RunningKernel, load_with};
use skep_object::{KernelInfo, Object, Program};
use skep_verifier::{Kernel, Loader, Terms, Verdict, verify_by};

pub use figures::Figures;
pub use reduced::{Unlocked, as_loader, guards, strip, theirs as theirs_for};
pub use tally::{Tally, without_numbers};

/// What the kernel says about a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Theirs {
    /// It takes it.
    Takes,
    /// Its verifier refuses it, with these words.
    Refuses(String),
    /// It gives no verdict on the program itself: it forbids the type, misses what the program is attached to...
    Silent(String),
}

/// What we say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ours {
    /// The kernel takes it.
    Takes,
    /// The kernel refuses it, because of this.
    Refuses(String),
    /// Rules that are not known here.
    Undecided(String),
    /// The verifier has panicked.
    Broken(String),
}

/// A program with both verdicts.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The source.
    pub file: String,
    /// The program.
    pub program: String,
    /// Its type.
    pub kind: &'static str,
    /// The kernel's verdict.
    pub theirs: Theirs,
    /// Our verdict.
    pub ours: Ours,
}

impl Outcome {
    /// A source that clang does not compile.
    pub fn not_compiled(file: &str, why: &str) -> Self {
        let theirs = Theirs::Silent(format!("not compiled: {why}"));
        let ours = Ours::Undecided("not compiled".to_owned());
        Self { file: file.to_owned(), program: "-".to_owned(), kind: "-", theirs, ours }
    }
}

/// Tells why nothing is compared; a failure where nothing may be skipped.
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// The kernel that runs, if its rules were asked and it loads programs.
pub fn running() -> Option<Kernel> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let found = Kernel::ASKED.into_iter().find(|kernel| release.starts_with(&format!("{}.", kernel.name())));
    let Some(kernel) = found else {
        // Nothing that could be put right.
        println!("SKIPPED: the rules of Linux {} were not asked", release.trim());
        return None;
    };
    let may_load = skep_kernel::has_capability(skep_kernel::Capability::SysAdmin);
    if !may_load {
        skip("loading programs needs CAP_SYS_ADMIN");
    }
    may_load.then_some(kernel)
}

/// Whether this is the machine of `cargo xtask vm`: there is no compiler, but what was compiled before may be there.
pub fn is_emulated() -> bool {
    std::env::var_os("SKEP_VM_KERNEL").is_some()
}

/// Where objects and reports are kept: beside what cargo builds.
pub fn cache() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().nth(3).map_or_else(|| PathBuf::from("target"), Path::to_path_buf).join("selftests")
}

/// The programs in C that other tests load.
pub fn own_sources() -> Vec<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let directories = ["object/tests/c", "kernel/tests/c"].map(|directory| crates.join(directory));
    let files = directories.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
    let mut sources: Vec<PathBuf> = files.map(|file| file.path()).filter(|path| is_source(path)).collect();
    sources.sort_unstable();
    sources
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "c")
}

/// The outcomes of all items, by two threads: most of the time is clang's and the kernel's.
pub fn in_parallel<T: Sync>(items: &[T], outcomes: impl Fn(&T) -> Vec<Outcome> + Sync) -> Tally {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let new = outcomes(item);
                    found.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
                }
            });
        }
    });
    Tally::new(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Whether the running kernel tells addresses of its variables.
pub fn tells_variables(kernel: &dyn KernelInfo) -> bool {
    !kernel.addresses("bpf_prog_active").is_empty()
}

/// Both verdicts on each program of an object, each program by itself.
pub fn judge(file: &str, bytes: &[u8], release: Kernel) -> Vec<Outcome> {
    let object = match Object::from_elf(bytes) {
        Ok(object) => object,
        Err(error) => return vec![Outcome::not_compiled(file, &error.to_string())],
    };
    let kernel = RunningKernel::for_object(&object);
    let mut outcomes = Vec::new();
    for index in 0..object.programs.len() {
        let program = &object.programs[index];
        let theirs = theirs(&object, program);
        let ours = match theirs {
            Theirs::Silent(_) => Ours::Undecided("no verdict of the kernel".to_owned()),
            _ => fitted(&object, index, &kernel)
                .map_or_else(Ours::Undecided, |fitted| ours(&fitted, index, &kernel, release, Loader::ALL)),
        };
        let kind = program.prog_type.name();
        outcomes.push(Outcome { file: file.to_owned(), program: program.name.clone(), kind, theirs, ours });
    }
    outcomes
}

/// The kernel's verdict on a program of an object, by itself.
pub fn theirs(object: &Object, program: &Program) -> Theirs {
    // Nothing stays: maps that are shared by name are pinned otherwise.
    let options = LoadOptions { programs: Some(&[program.name.as_str()]), pins: None, ..LoadOptions::default() };
    match load_with(object, &options) {
        Ok(_) => Theirs::Takes,
        Err(LoadError::Program { error: KernelError::Rejected { log, reason, .. }, .. }) => match log.summary() {
            Some((words, _)) if !skep_testkit::selftests::is_about_the_machine(words) => {
                Theirs::Refuses(words.to_owned())
            }
            Some((words, _)) => Theirs::Silent(words.to_owned()),
            None => Theirs::Silent(reason),
        },
        Err(error) => Theirs::Silent(error.to_string()),
    }
}

/// Both verdicts on each program of an object for a process with fewer capabilities. Types of programs that it may not load
/// at all are left out.
pub fn judge_reduced(file: &str, bytes: &[u8], release: Kernel, loader: Loader) -> Vec<Outcome> {
    let Ok(object) = Object::from_elf(bytes) else { return Vec::new() };
    let kernel = RunningKernel::for_object(&object);
    let mut outcomes = Vec::new();
    for index in 0..object.programs.len() {
        let program = &object.programs[index];
        if !skep_verifier::may_load(program.prog_type, loader) {
            continue;
        }
        let Ok(mut fitted) = fitted(&object, index, &kernel) else { continue };
        let ours = ours(&fitted, index, &kernel, release, loader);
        if !loader.bpf {
            reduced::strip(&mut fitted);
        }
        let theirs = reduced::theirs(&fitted, program, loader);
        let kind = program.prog_type.name();
        outcomes.push(Outcome { file: file.to_owned(), program: program.name.clone(), kind, theirs, ours });
    }
    outcomes
}

/// An object with one program, fitted to the running kernel.
fn fitted(object: &Object, index: usize, kernel: &dyn KernelInfo) -> Result<Object, String> {
    let mut fitted = object.clone();
    for (position, program) in fitted.programs.iter_mut().enumerate() {
        program.autoload = position == index;
    }
    if let Err(error) = fitted.resolve(kernel) {
        return Err(format!("not fitted: {error}"));
    }
    Ok(fitted)
}

fn ours(fitted: &Object, index: usize, kernel: &dyn KernelInfo, release: Kernel, loader: Loader) -> Ours {
    let types = kernel.btf();
    let variables = Some(tells_variables(kernel));
    let terms = Terms { types: types.as_ref(), loader, variables, ..Terms::default() };
    let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        verify_by(fitted, &fitted.programs[index], release, &terms)
    }));
    match verdict {
        Ok(Verdict::Accepted(_)) => Ours::Takes,
        Ok(Verdict::Rejected(rejection)) => Ours::Refuses(format!("{} (at {})", rejection.reason, rejection.at)),
        Ok(Verdict::Undecided { what, .. }) => Ours::Undecided(what.to_owned()),
        Err(_) => Ours::Broken("it panics".to_owned()),
    }
}

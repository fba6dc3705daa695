//! `cargo xtask vm`: tests on other kernels. Debian's packaged kernels run in an emulator, with an initial file system
//! of our own that holds nothing but the tests and what they need.
//!
//! ```text
//!  apt --kernels--> image ----------------------------------------------+
//!               \-> modules, in loading order --+                       |
//!  cargo test --no-run --binaries--> programs --+--contents--> archive --+--machine--> output, status
//!  ip, bpftool and others of the host ----------+        plan --^               \-- guest: the first process
//! ```

mod archive;
mod binaries;
mod built;
mod contents;
mod host;
mod kernels;
mod machine;
mod modules;
mod options;
pub mod plan;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use crate::tidy;
use binaries::Binary;
use contents::Contents;
use kernels::Kernel;
use machine::Machine;
use options::Options;
use plan::{Plan, Step};

/// Variables that tests find in the machine as they are here. `SKEP_REQUIRE_KERNEL` is not among them: what a test may
/// skip depends on the release, which `SKEP_VM_KERNEL` tells.
const PASSED_ON: &[&str] = &["RUST_BACKTRACE", "RUST_TEST_THREADS", "SKEP_CORPUS", "SKEP_FUZZ_SECONDS"];

/// The directory with the sources of the crates, which tests read data from.
const SOURCES: &str = "crates";

/// The directory below cargo's with what clang made for tests that ran on the host: there is no clang in the machine.
const OBJECTS: &str = "objects";

/// The sub-command. Its status is that of the first command in a machine that failed.
pub fn run(words: &[&str]) -> ExitCode {
    if words.iter().any(|word| matches!(*word, "--help" | "-h")) {
        print!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    match Options::parse(words).and_then(|options| all(&options)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("vm: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the kernels side by side, to the end also if one fails.
fn all(options: &Options) -> Result<u8, String> {
    let root = tidy::root();
    let cache = target(&root).join("xtask-vm");
    fs::create_dir_all(&cache).map_err(|error| format!("cannot create {}: {error}", cache.display()))?;
    if options.list {
        return kernels::list(&cache, &options.kernels).map(|()| 0);
    }
    let kernels = fetch(&cache, options)?;
    if options.fetch {
        return Ok(0);
    }
    let binaries = match options.shell {
        Some(_) => Vec::new(),
        None => binaries::build(&root, &options.selection)?,
    };
    let run = |kernel: &Kernel, output: Option<&Path>| {
        let started = Instant::now();
        let status = one(&root, &cache, kernel, &binaries, options, output).unwrap_or_else(|error| {
            eprintln!("vm: {}: {error}", kernel.release);
            1
        });
        (status, started.elapsed().as_secs_f32())
    };
    // Each machine takes one processor. The first prints as it goes, the others when their turn comes.
    let outputs: Vec<PathBuf> = kernels.iter().map(|kernel| own(&cache, kernel, "output")).collect();
    let mut first = 0;
    thread::scope(|scope| {
        let pairs = kernels.iter().zip(&outputs).enumerate();
        let threads: Vec<_> = pairs
            .map(|(number, (kernel, output))| scope.spawn(move || run(kernel, (number > 0).then_some(output))))
            .collect();
        for (number, ((kernel, output), thread)) in kernels.iter().zip(&outputs).zip(threads).enumerate() {
            let release = &kernel.release;
            println!("vm: {release} ({})", kernel.package);
            let (status, seconds) = thread.join().unwrap_or((1, 0.0));
            if number > 0 {
                let text = fs::read(output).unwrap_or_default();
                println!("{}", String::from_utf8_lossy(&text));
                let _ = fs::remove_file(output);
            }
            println!("vm: {release}: status {status} after {seconds:.1} s");
            first = if first == 0 { status } else { first };
        }
    });
    Ok(first)
}

/// The kernels to boot. Of the whole matrix those that can be had, for no Debian release offers all; but one at least.
fn fetch(cache: &Path, options: &Options) -> Result<Vec<Kernel>, String> {
    let mut kernels = Vec::new();
    for release in &options.kernels {
        match kernels::fetch(cache, release)? {
            Some(kernel) => kernels.push(kernel),
            None if options.named => return Err(kernels::missing(release)),
            None => println!("vm: SKIPPED {release}: {}", kernels::missing(release)),
        }
    }
    if kernels.is_empty() { Err("there is no kernel to run".to_owned()) } else { Ok(kernels) }
}

/// A file for one run of a kernel; several can run at the same time.
fn own(cache: &Path, kernel: &Kernel, kind: &str) -> PathBuf {
    cache.join(format!("{}-{}.{kind}", kernel.release, std::process::id()))
}

/// Boots one kernel; gives the status of what ran in it. What it prints goes to a file, if there is one.
fn one(
    root: &Path,
    cache: &Path,
    kernel: &Kernel,
    binaries: &[Binary],
    options: &Options,
    output: Option<&Path>,
) -> Result<u8, String> {
    let [initial, log, ended] = ["cpio", "log", "ended"].map(|kind| own(cache, kernel, kind));
    let result = fill(root, &initial, kernel, binaries, options).and_then(|()| {
        let (log, ended) = (log.clone(), ended.clone());
        let (memory, mitigations, time_limit) = (options.memory, options.mitigations, options.time_limit);
        Machine { kernel: &kernel.image, initial: &initial, log, ended, output, memory, mitigations, time_limit }.run()
    });
    // The log stays when there is something to find out.
    let used = [Some(&initial), Some(&ended), result.is_ok().then_some(&log)];
    for file in used.into_iter().flatten() {
        let _ = fs::remove_file(file);
    }
    result
}

/// Writes the initial file system.
fn fill(root: &Path, path: &Path, kernel: &Kernel, binaries: &[Binary], options: &Options) -> Result<(), String> {
    let modules = modules::collect(&kernel.modules)?;
    let mut contents = Contents::new(path)?;
    contents.settings(kernel)?;
    for binary in binaries {
        contents.built(&binary.path)?;
    }
    if !binaries.is_empty() {
        contents.tree(&root.join(SOURCES))?;
        let objects = target(root).join(OBJECTS);
        if objects.is_dir() {
            contents.tree(&objects)?;
        }
    }
    for name in &options.with {
        contents.with(name)?;
    }
    let mut environment = vec![("SKEP_VM_KERNEL".to_owned(), kernel.release.clone())];
    let passed = PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    environment.extend(passed);
    let commands = match &options.shell {
        Some(command) => vec![shell(command)],
        None => binaries.iter().filter(|binary| binary.is_test).map(|binary| test(binary, options)).collect(),
    };
    let names = modules.iter().map(|module| (module.file.clone(), module.parameters.to_owned())).collect();
    contents.finish(&modules, &Plan { environment, modules: names, commands })
}

fn shell(command: &str) -> Step {
    let words = ["sh", "-c", command].map(str::to_owned).to_vec();
    Step { title: String::new(), directory: PathBuf::from("/tmp"), words }
}

fn test(binary: &Binary, options: &Options) -> Step {
    let program = binary.path.to_string_lossy().into_owned();
    let words = std::iter::once(program).chain(options.arguments.iter().cloned()).collect();
    Step { title: binary.title.clone(), directory: binary.directory.clone(), words }
}

/// The directory that cargo builds in.
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |directory| root.join(directory))
}

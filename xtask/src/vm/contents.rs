//! What goes into the initial file system: programs of the host with their libraries, test programs, modules, the plan.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::vm::archive::Archive;
use crate::vm::kernels::Kernel;
use crate::vm::modules::Module;
use crate::vm::{host, plan};

/// Programs that come along when the host has them: those that tests call, and a few for `--shell`.
// TABLE: names that are looked up as the shell does.
const PROGRAMS: &[&str] = &[
    // Called by tests.
    "bpftool", "ip", "kill", "nft", "ping", "setpriv", "sh", "tc", "tcpdump", "umount", //
    // For people.
    "cat", "cut", "dmesg", "env", "find", "grep", "head", "id", "ls", "mount", "mkdir", "rm", "touch", "sed", "sleep",
    "sort", "stat", "tail", "timeout", "true", "uname", "wc",
];

/// Files that the C library and the tests look names up in.
const TABLES: &[&str] = &[
    "/etc/ethertypes",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/protocols",
    "/etc/services",
];

/// Directories that the first process mounts file systems on, or that programs expect.
const DIRECTORIES: &[&str] = &["/dev", "/proc", "/run", "/sys", "/tmp", "/var/run", "/var/tmp"];

/// Directories of programs that are not in everybody's `PATH`.
const MORE_PLACES: &str = ":/usr/sbin:/sbin:/usr/local/sbin";

/// Names in source directories that no test reads.
const SKIPPED: &[&str] = &["target", ".git"];

/// The file system that is being made.
pub struct Contents {
    archive: Archive<BufWriter<File>>,
    /// Where programs without debugging information are written to on their way.
    scratch: PathBuf,
}

impl Contents {
    /// Starts with this program as the first process, the usual programs and tables.
    ///
    /// # Errors
    /// A message with the file that cannot be read or written.
    pub fn new(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        let archive = Archive::new(BufWriter::new(file)).map_err(|error| full(&error))?;
        let mut contents = Self { archive, scratch: path.with_extension("stripped") };
        for directory in DIRECTORIES {
            contents.archive.directory(Path::new(directory)).map_err(|error| full(&error))?;
        }
        let ours = std::env::current_exe().map_err(|error| format!("cannot find the program of xtask: {error}"))?;
        contents.binary(&ours, Path::new("/init"))?;
        for program in PROGRAMS {
            if let Some(path) = find(program) {
                contents.program(&path)?;
            }
        }
        for table in TABLES.iter().map(Path::new).filter(|table| table.is_file()) {
            contents.copy(table, table)?;
        }
        Ok(contents)
    }

    /// Adds what `--with` names: a program, by name or absolute path, with its libraries, or a directory with
    /// everything below it.
    ///
    /// # Errors
    /// A message if there is no such program or file.
    pub fn with(&mut self, name: &str) -> Result<(), String> {
        let path = Path::new(name);
        if path.is_absolute() {
            return if path.is_dir() { self.tree(path) } else { self.program(path) };
        }
        let path = find(name).ok_or_else(|| format!("`--with {name}`: no such program in PATH; install it first"))?;
        self.program(&path)
    }

    /// Adds a program that cargo built, without debugging information, at the path that it has here.
    ///
    /// # Errors
    /// A message with the file that cannot be read or written.
    pub fn built(&mut self, path: &Path) -> Result<(), String> {
        self.binary(path, path)
    }

    /// Adds the settings of a kernel where distributions have them: `/boot/config-RELEASE`.
    ///
    /// # Errors
    /// A message with the file that cannot be read or written.
    pub fn settings(&mut self, kernel: &Kernel) -> Result<(), String> {
        let (Some(config), Some(release)) = (&kernel.config, kernel.modules.file_name()) else { return Ok(()) };
        self.copy(config, &Path::new("/boot").join(format!("config-{}", release.to_string_lossy())))
    }

    /// Adds a file or a directory with everything below it, at the path that it has here.
    ///
    /// # Errors
    /// A message with the file that cannot be read or written.
    pub fn tree(&mut self, path: &Path) -> Result<(), String> {
        if !path.is_dir() {
            return self.copy(path, path);
        }
        self.archive.directory(path).map_err(|error| full(&error))?;
        let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if SKIPPED.iter().all(|skipped| entry.file_name() != *skipped) {
                self.tree(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Adds modules and the plan, which names them, and ends the archive.
    ///
    /// # Errors
    /// A message if the archive cannot be written.
    pub fn finish(mut self, modules: &[Module], plan: &plan::Plan) -> Result<(), String> {
        for module in modules {
            let path = Path::new(plan::MODULES).join(&module.file);
            self.archive.file(&path, &module.contents).map_err(|error| full(&error))?;
        }
        self.archive.file(Path::new(plan::PATH), plan.to_json().as_bytes()).map_err(|error| full(&error))?;
        let mut sink = self.archive.finish().map_err(|error| full(&error))?;
        sink.flush().map_err(|error| full(&error))
    }

    /// A program of the host with its libraries. Programs find their data by the place of the file that a link leads to.
    fn program(&mut self, path: &Path) -> Result<(), String> {
        let real = fs::canonicalize(path).map_err(|error| format!("cannot find {}: {error}", path.display()))?;
        self.copy(&real, &real)?;
        self.archive.link(path, &real).map_err(|error| full(&error))?;
        self.libraries(&real)
    }

    /// A program that was built here, without debugging information, and its libraries.
    fn binary(&mut self, path: &Path, target: &Path) -> Result<(), String> {
        host::output(Command::new("strip").args(["--strip-debug", "-o"]).arg(&self.scratch).arg(path))?;
        let result = self.copy(&self.scratch.clone(), target);
        // The next program overwrites it; the last one may stay behind when the disk is broken.
        let _ = fs::remove_file(&self.scratch);
        result?;
        self.libraries(path)
    }

    fn libraries(&mut self, program: &Path) -> Result<(), String> {
        // Scripts and static programs make ldd fail: they have no libraries.
        let mut command = Command::new("ldd");
        let output = command.arg(program).output().map_err(|error| host::cannot_run(&command, &error))?;
        for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
            self.copy(Path::new(library), Path::new(library))?;
        }
        Ok(())
    }

    fn copy(&mut self, source: &Path, target: &Path) -> Result<(), String> {
        if self.archive.contains(target) {
            return Ok(());
        }
        let contents = fs::read(source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
        self.archive.file(target, &contents).map_err(|error| full(&error))
    }
}

fn full(error: &io::Error) -> String {
    format!("cannot write the initial file system: {error}")
}

/// A program as the shell finds it, also in the directories of the administrator.
fn find(name: &str) -> Option<PathBuf> {
    let mut places = std::env::var("PATH").unwrap_or_default();
    places.push_str(MORE_PLACES);
    places.split(':').map(|place| Path::new(place).join(name)).find(|path| path.is_file())
}

/// The paths in the output of ldd: `NAME => PATH (ADDRESS)` or, for the loader, `PATH (ADDRESS)`.
fn libraries(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_both_forms() {
        let output = "\tlinux-vdso.so.1 (0x0000)\n\tlibc.so.6 => /lib/libc.so.6 (0x1)\n\t/lib64/ld.so (0x2)\n";
        assert_eq!(libraries(output).collect::<Vec<_>>(), ["/lib/libc.so.6", "/lib64/ld.so"]);
        assert_eq!(libraries("\tnot a dynamic executable\n").count(), 0);
    }

    #[test]
    fn programs_are_found() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program").is_none());
    }
}

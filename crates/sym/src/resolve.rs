//! From what a user writes to a path: programs through `PATH`, libraries through the loader's cache, files of processes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::error::SymError;
use crate::process::Region;

/// Where the loader looks for libraries that are not in its cache.
const DIRECTORIES: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// A part of a file that a process has mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Behind the last address.
    pub end: u64,
    /// The offset in the file of the first address.
    pub offset: u64,
    /// Whether it can be executed.
    pub executable: bool,
    /// The path as the process sees it.
    pub path: PathBuf,
}

/// The path of a program or library: a path stays, `bash` is looked up in `PATH`, `c`, `libc`, `libc.so.6` in the loader's
/// cache. With a process, its mapped files come first and paths are seen from its root.
///
/// # Errors
/// [`SymError::Missing`] with where it was looked for, [`SymError::File`] if the process cannot be looked at.
pub fn resolve(name: &str, process: Option<u32>) -> Result<PathBuf, SymError> {
    if let Some(process) = process {
        let root = PathBuf::from(format!("/proc/{process}/root"));
        let own = |path: &Path| path.strip_prefix("/").map_or_else(|_| path.to_owned(), |inner| root.join(inner));
        if name.starts_with('/') {
            return Ok(own(Path::new(name)));
        }
        let all = mappings(process)?;
        let fits = |mapping: &&Mapping| mapping.executable && is_named(mapping.path.file_name(), name);
        if let Some(found) = all.iter().find(fits) {
            return Ok(own(&found.path));
        }
    }
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    find_program(name).or_else(|_| find_library(name)).map_err(|_| SymError::Missing {
        what: "program or library",
        name: name.to_owned(),
        place: "PATH, the loader's cache and its directories".to_owned(),
        remedy: "give its path".to_owned(),
    })
}

/// Whether a file is what a name means: the same, or a library by its name without `lib` and version.
fn is_named(file: Option<&OsStr>, name: &str) -> bool {
    let Some(file) = file.and_then(OsStr::to_str) else { return false };
    if file == name {
        return true;
    }
    let Some(stem) = file.split_once(".so").map(|(stem, _)| stem) else { return false };
    // Old releases of glibc had their version in front: libc-2.31.so.
    let stem = match stem.rsplit_once('-') {
        Some((stem, version)) if version.starts_with(|letter: char| letter.is_ascii_digit()) => stem,
        _ => stem,
    };
    stem == name || stem.strip_prefix("lib") == Some(name)
}

/// A program in one of the directories of `PATH`.
///
/// # Errors
/// [`SymError::Missing`] if there is none.
pub fn find_program(name: &str) -> Result<PathBuf, SymError> {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let executable = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    let found = std::env::split_paths(&directories).map(|directory| directory.join(name)).find(executable);
    found.filter(|_| !name.is_empty() && !name.contains('/')).ok_or_else(|| SymError::Missing {
        what: "program",
        name: name.to_owned(),
        place: "PATH".to_owned(),
        remedy: String::new(),
    })
}

/// A library by its name (`libc.so.6`, `libc`, `c`), for this kind of machine.
///
/// # Errors
/// [`SymError::Missing`] if neither the loader's cache nor its directories have it.
pub fn find_library(name: &str) -> Result<PathBuf, SymError> {
    let bytes = fs::read("/etc/ld.so.cache").unwrap_or_default();
    let all = cache::entries(&bytes);
    let exact = all.iter().find(|entry| entry.name == name);
    let fits = |entry: &&cache::Entry<'_>| is_named(Some(OsStr::new(entry.name)), name);
    if let Some(entry) = exact.or_else(|| all.iter().find(fits)) {
        return Ok(PathBuf::from(entry.path));
    }
    let names = |directory: &str| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| is_named(path.file_name(), name)).min()
    };
    DIRECTORIES.iter().find_map(|directory| names(directory)).ok_or_else(|| SymError::Missing {
        what: "library",
        name: name.to_owned(),
        place: "the loader's cache and its directories".to_owned(),
        remedy: "run `ldconfig` after installing it, or give its path".to_owned(),
    })
}

/// The files that a process has mapped, in the order of addresses.
///
/// # Errors
/// [`SymError::File`] if there is no such process or it belongs to somebody else.
pub fn mappings(process: u32) -> Result<Vec<Mapping>, SymError> {
    let path = PathBuf::from(format!("/proc/{process}/maps"));
    let text = fs::read(&path).map_err(|error| SymError::file(&path, &error))?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(mapping).collect())
}

/// A line of `/proc/PID/maps`; `None` if it is not about a file.
pub(crate) fn mapping(line: &str) -> Option<Mapping> {
    let region = Region::parse(line)?;
    let path = PathBuf::from(region.path()?);
    Some(Mapping { start: region.start, end: region.end, offset: region.offset, executable: region.executable, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let line = "7f12a000-7f12b000 r-xp 00001000 fd:00 1234      /usr/lib/a b.so (deleted)";
        let mapping = mapping(line).unwrap();
        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x7f12_a000, 0x7f12_b000, 0x1000));
        assert!(mapping.executable && mapping.path == Path::new("/usr/lib/a b.so"));
        for bad in ["", "7ffc-7ffd rw-p 0 00:00 0 [stack]", "x-y r 0 /a", "é"] {
            assert_eq!(super::mapping(bad), None, "{bad}");
        }
        assert!(mappings(std::process::id()).unwrap().iter().any(|mapping| mapping.executable));
        assert!(mappings(u32::MAX).is_err());
    }

    #[test]
    fn names_of_libraries() {
        for name in ["c", "libc", "libc.so.6"] {
            assert!(is_named(Some(OsStr::new("libc.so.6")), name), "{name}");
        }
        assert!(is_named(Some(OsStr::new("libc-2.31.so")), "c"));
        assert!(!is_named(Some(OsStr::new("libcap.so.2")), "c"));
        let found = find_library("c").unwrap();
        assert!(found.exists() && is_named(found.file_name(), "c"), "{found:?}");
        assert!(find_library("no-such-library").unwrap_err().to_string().contains("ldconfig"));
    }

    #[test]
    fn programs_and_processes() {
        assert!(find_program("sh").unwrap().is_absolute());
        assert!(resolve("no-such-program", None).unwrap_err().to_string().contains("give its path"));
        assert_eq!(resolve("./x", None).unwrap(), Path::new("./x"));
        let own = resolve("libc", Some(std::process::id())).unwrap();
        assert!(own.starts_with(format!("/proc/{}/root", std::process::id())) && own.exists(), "{own:?}");
    }
}

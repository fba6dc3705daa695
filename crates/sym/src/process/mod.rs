//! Symbols of processes: what the addresses in a stack trace of a process belong to.
//!
//! ```text
//!  learn(pid): /proc/PID/maps --> regions        kept when the process has ended
//!                  each file  --> opened through map_files: also deleted ones, and those of other mount namespaces
//!  unwind(pid, registers, stack): region --> call frame information of the file --> addresses of all callers
//!  symbol(pid, address): region --> file, read when it is first needed, once for all processes --> function + distance
//!                        region without a file --> /tmp/perf-PID.map, which compilers at run time write
//! ```
//!
//! A process that has ended before it was learnt cannot be looked at any more. One that executes another program, or whose
//! number belongs to another one, is noticed within a second while it lives.

mod jit;
mod regions;
mod unwind;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use regions::Region;

use crate::debug_files::DebugDirs;
use crate::demangle::demangle;
use crate::functions::Functions;
use jit::JitMap;
use unwind::Frames;

/// Processes that are remembered.
const MOST_PROCESSES: usize = 4096;
/// Files that are open, to be read when the process is gone, or for the names in them.
const MOST_OPEN: usize = 256;
/// How long what is known about a process is not checked again.
const FRESH: Duration = Duration::from_secs(1);
/// How long an address that is in no region does not make us read the regions again.
const PATIENCE: Duration = Duration::from_millis(50);

/// What an address of a process belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserSymbol<'a> {
    /// Name of the function, readable if that was asked for.
    pub name: &'a str,
    /// Bytes behind its start.
    pub offset: u64,
    /// The file as the process sees it, `[vdso]`, or the path of the map that names it.
    pub file: &'a str,
}

/// Processes and files that were looked at.
#[derive(Debug)]
pub struct Processes {
    directories: DebugDirs,
    readable: bool,
    processes: HashMap<u32, Process>,
    files: Vec<Mapped>,
    /// Numbers in `files` by device, inode and path.
    numbers: HashMap<(String, u64, String), usize>,
    open: usize,
}

#[derive(Debug)]
struct Process {
    identity: Identity,
    regions: Vec<(Region, Option<usize>)>,
    jit: JitMap,
    learnt: Instant,
    checked: Instant,
}

/// Which process and which program: both may change while the number stays.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    start: u64,
    program: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Mapped {
    name: String,
    state: State,
    build_id: Option<String>,
    /// The names that were asked for, by the number of the function.
    names: HashMap<usize, Box<str>>,
    /// The paths that it can be opened by while the process lives, the exact one first.
    ways: Vec<PathBuf>,
    frames: Frames,
}

#[derive(Debug)]
enum State {
    /// Open, so that it can be read when the process is gone.
    Open(File),
    /// To be opened by one of its paths.
    Named,
    Read(Box<Functions>),
    Unusable,
}

impl Processes {
    /// Nothing is known yet. Symbols that files have lost come from debug files in these directories; with `readable`
    /// names of C++ and Rust are shown as people write them.
    pub fn new(directories: DebugDirs, readable: bool) -> Self {
        Self { directories, readable, processes: HashMap::new(), files: Vec::new(), numbers: HashMap::new(), open: 0 }
    }

    /// Remembers where the files of a process are now, unless that is known already.
    pub fn learn(&mut self, pid: u32) {
        if self.processes.get(&pid).is_none_or(|known| known.checked.elapsed() > FRESH) {
            self.check(pid);
        }
    }

    /// Reads the regions if the process is new, or another one.
    fn check(&mut self, pid: u32) {
        let Some(identity) = identity(pid) else { return };
        match self.processes.get_mut(&pid) {
            Some(known) if known.identity == identity => known.checked = Instant::now(),
            _ => self.read(pid, identity),
        }
    }

    fn read(&mut self, pid: u32, identity: Identity) {
        let Ok(text) = fs::read(format!("/proc/{pid}/maps")) else { return };
        let text = String::from_utf8_lossy(&text);
        let found: Vec<Region> = text.lines().filter_map(Region::parse).filter(|region| region.executable).collect();
        // One that is just ending has no memory any more.
        if found.is_empty() {
            return;
        }
        if self.processes.len() >= MOST_PROCESSES {
            let oldest = self.processes.iter().min_by_key(|known| known.1.checked).map(|known| *known.0);
            oldest.map(|oldest| self.processes.remove(&oldest));
        }
        let regions = found.into_iter().map(|region| {
            let file = self.number(pid, &region);
            (region, file)
        });
        let regions = regions.collect();
        let now = Instant::now();
        let known = Process { identity, regions, jit: JitMap::of(pid), learnt: now, checked: now };
        self.processes.insert(pid, known);
    }

    /// The number of the file in a region.
    fn number(&mut self, pid: u32, region: &Region) -> Option<usize> {
        let name = match region.path() {
            Some(path) => path,
            None if region.name == "[vdso]" => "[vdso]",
            None => return None,
        };
        let key = (region.device.clone(), region.inode, name.to_owned());
        if let Some(number) = self.numbers.get(&key) {
            return Some(*number);
        }
        let (state, ways) = match name {
            "[vdso]" => (vdso().map_or(State::Unusable, |functions| State::Read(Box::new(functions))), Vec::new()),
            name => self.opened(pid, region, name),
        };
        let (name, names, frames) = (name.to_owned(), HashMap::new(), Frames::default());
        self.files.push(Mapped { name, state, build_id: None, names, ways, frames });
        self.numbers.insert(key, self.files.len() - 1);
        Some(self.files.len() - 1)
    }

    /// The file of a region, by the way that leads to exactly this file, else by its name.
    fn opened(&mut self, pid: u32, region: &Region, name: &str) -> (State, Vec<PathBuf>) {
        let exact = PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", region.start, region.end));
        let mut ways = vec![exact];
        if !region.deleted {
            let inner = Path::new(name).strip_prefix("/").unwrap_or(Path::new(name));
            ways.push(Path::new("/proc").join(pid.to_string()).join("root").join(inner));
            ways.push(PathBuf::from(name));
        }
        if self.open < MOST_OPEN
            && let Some(file) = ways.iter().find_map(|way| open(way))
        {
            self.open += 1;
            return (State::Open(file), ways);
        }
        (State::Named, ways)
    }

    /// The region with an address: number of its file, offset in that.
    fn locate(&mut self, pid: u32, address: u64) -> Option<(Option<usize>, u64)> {
        self.learn(pid);
        let known = self.processes.get(&pid)?;
        let mut found = known.find(address);
        if found.is_none() && known.learnt.elapsed() > PATIENCE {
            // Libraries are loaded while a process runs.
            if let Some(identity) = identity(pid) {
                self.read(pid, identity);
                found = self.processes.get(&pid)?.find(address);
            }
        }
        found
    }

    /// The symbol at an address of a process.
    pub fn symbol(&mut self, pid: u32, address: u64) -> Option<UserSymbol<'_>> {
        let (number, offset) = self.locate(pid, address)?;
        let Some(number) = number else {
            let jit = &mut self.processes.get_mut(&pid)?.jit;
            let (name, offset, file) = jit.find(pid, address)?;
            return Some(UserSymbol { name, offset, file });
        };
        self.load(number)?;
        let Mapped { name: file, state: State::Read(functions), names, .. } = &mut self.files[number] else {
            return None;
        };
        let found = functions.at(functions.head().address(offset)?)?;
        let name = match names.entry(found.number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let name = functions.name(found.number)?;
                let readable = if self.readable { demangle(&name) } else { None };
                place.insert(readable.unwrap_or(name).into())
            }
        };
        Some(UserSymbol { name, offset: found.offset, file })
    }

    /// Build id (hexadecimal) of the file at an address of a process, and the offset in that file.
    pub fn build_id(&mut self, pid: u32, address: u64) -> Option<(&str, u64)> {
        let (number, offset) = self.locate(pid, address)?;
        let number = number?;
        self.load(number)?;
        Some((self.files[number].build_id.as_deref()?, offset))
    }

    /// Reads a file, if that has not been done; `None` if it is of no use.
    fn load(&mut self, number: usize) -> Option<()> {
        let keep = self.open < MOST_OPEN;
        let mapped = &mut self.files[number];
        let name = Path::new(&mapped.name);
        let functions = match &mut mapped.state {
            State::Read(_) if mapped.build_id.is_some() => return Some(()),
            State::Unusable => return None,
            State::Read(functions) => {
                mapped.build_id = Some(hexadecimal(functions.head().build_id.as_deref()));
                return Some(());
            }
            State::Open(_) => {
                self.open -= 1;
                let State::Open(file) = std::mem::replace(&mut mapped.state, State::Unusable) else { return None };
                Functions::of_file(name, file, &self.directories, keep)
            }
            State::Named => {
                let file = mapped.ways.iter().find_map(|way| open(way));
                file.and_then(|file| Functions::of_file(name, file, &self.directories, keep))
            }
        };
        let Some(functions) = functions else {
            mapped.state = State::Unusable;
            return None;
        };
        self.open += functions.open_files();
        mapped.build_id = Some(hexadecimal(functions.head().build_id.as_deref()));
        mapped.state = State::Read(Box::new(functions));
        Some(())
    }
}

impl Process {
    fn find(&self, address: u64) -> Option<(Option<usize>, u64)> {
        let end = self.regions.partition_point(|region| region.0.start <= address);
        let (region, file) = self.regions[..end].last().filter(|region| address < region.0.end)?;
        Some((*file, address - region.start + region.offset))
    }
}

/// Opens a file if it is an ordinary one.
fn open(path: &Path) -> Option<File> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    File::open(path).ok()
}

fn hexadecimal(id: Option<&[u8]>) -> String {
    id.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which process and program a number stands for now; `None` if there is no such process.
fn identity(pid: u32) -> Option<Identity> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The start is field 22; the name, field 2, is in parentheses and may hold anything (proc_pid_stat(5)).
    let start = text.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    let program = fs::metadata(format!("/proc/{pid}/exe")).ok().map(|facts| (facts.dev(), facts.ino()));
    Some(Identity { start, program })
}

/// The kernel's code for processes: the same in each, so that this process may look at its own.
fn vdso() -> Option<Functions> {
    Functions::of_bytes(Path::new("[vdso]"), &vdso_bytes()?)
}

/// Its bytes.
fn vdso_bytes() -> Option<Vec<u8>> {
    let text = fs::read_to_string("/proc/self/maps").ok()?;
    let region = text.lines().filter_map(Region::parse).find(|region| region.name == "[vdso]")?;
    let size = usize::try_from(region.end - region.start).ok().filter(|size| *size <= 1 << 20)?;
    let mut bytes = vec![0; size];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut bytes, region.start).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests;

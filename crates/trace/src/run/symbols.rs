//! Symbols of this machine: of the kernel from `/proc/kallsyms`, of processes from the files that they have mapped; stack
//! traces from the map that programs keep them in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_lang_script::plan::{StackKey, system_maps};
use skep_sym::{Binary, Kallsyms, Mapping, mappings};

use super::Script;
use crate::names::{StackId, Symbol, Symbols};

/// Processes whose mappings are kept.
const MOST_PROCESSES: usize = 1024;

/// The symbols of the running system, read when they are first asked for.
#[derive(Debug)]
pub struct MachineSymbols {
    /// Whose map of stack traces is read; there is none for a script that does not run in the kernel.
    script: Option<Arc<Script>>,
    kallsyms: Kallsyms,
    processes: HashMap<u32, Vec<Mapping>>,
    /// By path as this process sees it; `None` for files that cannot be read.
    files: HashMap<PathBuf, Option<File>>,
}

#[derive(Debug)]
struct File {
    binary: Binary,
    /// Its path as the traced process sees it.
    name: String,
    build_id: Option<String>,
}

impl MachineSymbols {
    /// Symbols for the script, whose map of stack traces is read if it runs in the kernel.
    pub fn new(script: Option<Arc<Script>>) -> Self {
        Self { script, kallsyms: Kallsyms::new(), processes: HashMap::new(), files: HashMap::new() }
    }

    /// Reads where the files of a process are now, while it lives.
    pub fn learn(&mut self, pid: u32) {
        // A process that has ended leaves what was known before.
        if let Ok(found) = mappings(pid) {
            if self.processes.len() >= MOST_PROCESSES {
                self.processes.clear();
            }
            self.processes.insert(pid, found);
        }
    }

    /// The file at an address of a process, and the offset in it.
    fn file(&mut self, pid: u32, address: u64) -> Option<(&File, u64)> {
        let holds = |mapping: &Mapping| (mapping.start..mapping.end).contains(&address);
        if !self.processes.get(&pid).is_some_and(|known| known.iter().any(holds)) {
            self.learn(pid);
        }
        let mapping = self.processes.get(&pid)?.iter().find(|mapping| holds(mapping))?;
        let offset = address - mapping.start + mapping.offset;
        // The process may see another root, and may have ended.
        let inner = mapping.path.strip_prefix("/").unwrap_or(&mapping.path);
        let seen = Path::new("/proc").join(pid.to_string()).join("root").join(inner);
        let path = mapping.path.clone();
        let file = self.files.entry(path).or_insert_with_key(|path| {
            let binary = Binary::open(&seen).or_else(|_| Binary::open(path)).ok()?;
            let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
            let build_id = binary.build_id().map(hex);
            Some(File { binary, name: path.display().to_string(), build_id })
        });
        file.as_ref().map(|file| (file, offset))
    }
}

impl Symbols for MachineSymbols {
    fn kernel(&mut self, address: u64) -> Option<Symbol<'_>> {
        let (symbol, offset) = self.kallsyms.at(address).ok()??;
        Some(Symbol { name: &symbol.name, offset, module: symbol.module.as_deref().unwrap_or("") })
    }

    fn user(&mut self, pid: u32, address: u64) -> Option<Symbol<'_>> {
        let (file, offset) = self.file(pid, address)?;
        let (symbol, offset) = file.binary.symbol_at(file.binary.address(offset)?)?;
        Some(Symbol { name: &symbol.name, offset, module: &file.name })
    }

    fn stack(&mut self, id: StackId, addresses: &mut Vec<u64>) {
        let Some(map) = self.script.as_ref().and_then(|script| script.map(system_maps::STACKS)) else { return };
        let mut key = [0; StackKey::SIZE as usize];
        key[..8].copy_from_slice(&id.hash.to_ne_bytes());
        key[8..12].copy_from_slice(&id.frames.to_ne_bytes());
        key[12..].copy_from_slice(&id.pid.to_ne_bytes());
        let Ok(Some(value)) = map.get(&key) else { return };
        let words = value.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
        addresses.extend(words.take(id.frames as usize));
    }

    fn build_id(&mut self, pid: u32, address: u64) -> Option<(&str, u64)> {
        let (file, offset) = self.file(pid, address)?;
        Some((file.build_id.as_deref()?, offset))
    }
}

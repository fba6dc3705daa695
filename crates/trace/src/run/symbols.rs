//! Symbols of this machine: of the kernel from `/proc/kallsyms`, of processes from the files that they have mapped; stack
//! traces from the map that programs keep them in, or unwound from copies of stacks.

use std::collections::HashMap;
use std::sync::Arc;

use skep_lang_script::plan::{StackKey, system_maps};
use skep_sym::{DebugDirs, Kallsyms, Processes};

use super::Script;
use crate::names::{BuildIdFrame, StackCopy, StackId, Symbol, Symbols};

/// Bytes of `struct bpf_stack_build_id`: 4 status, 20 build id, 8 offset in the file or address.
const BUILD_ID_BYTES: usize = 32;
/// `BPF_STACK_BUILD_ID_VALID` and `BPF_STACK_BUILD_ID_IP`
const VALID: i32 = 1;
const ADDRESS: i32 = 2;

/// The symbols of the running system, read when they are first asked for.
#[derive(Debug)]
pub struct MachineSymbols {
    /// Whose map of stack traces is read; there is none for a script that does not run in the kernel.
    script: Option<Arc<Script>>,
    kallsyms: Kallsyms,
    processes: Processes,
    traces: Traces,
}

/// Stack traces that were unwound.
#[derive(Debug, Default)]
struct Traces {
    /// The trace of a copy, by its hash.
    of_copy: HashMap<u64, Arc<Trace>>,
    /// Each trace with the copy that it was first seen in.
    first: HashMap<Arc<Trace>, u64>,
}

/// A process and the addresses of a stack trace, innermost first.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Trace {
    pid: u32,
    addresses: Vec<u64>,
}

impl Traces {
    fn add(&mut self, hash: u64, trace: Trace) {
        let trace = match self.first.get_key_value(&trace) {
            Some((known, _)) => known.clone(),
            None => {
                let trace = Arc::new(trace);
                self.first.insert(trace.clone(), hash);
                trace
            }
        };
        self.of_copy.insert(hash, trace);
    }

    fn addresses(&self, hash: u64) -> &[u64] {
        self.of_copy.get(&hash).map_or(&[], |trace| &trace.addresses)
    }

    /// The first copy with the same trace.
    fn first(&self, hash: u64) -> u64 {
        self.of_copy.get(&hash).and_then(|trace| self.first.get(trace)).copied().unwrap_or(hash)
    }
}

impl MachineSymbols {
    /// Symbols for the script, whose map of stack traces is read if it runs in the kernel. Debug files are looked for in
    /// these directories; with `readable`, names of C++ and Rust are shown as people write them.
    pub fn new(script: Option<Arc<Script>>, directories: DebugDirs, readable: bool) -> Self {
        let processes = Processes::new(directories, readable);
        Self { script, kallsyms: Kallsyms::new(), processes, traces: Traces::default() }
    }

    /// What the map holds for a stack trace.
    fn value(&self, id: StackId) -> Option<Vec<u8>> {
        let map = self.script.as_ref()?.map(system_maps::STACKS)?;
        let mut key = [0; StackKey::SIZE as usize];
        key[..8].copy_from_slice(&id.hash.to_ne_bytes());
        key[8..12].copy_from_slice(&id.frames.to_ne_bytes());
        key[12..].copy_from_slice(&id.pid.to_ne_bytes());
        map.get(&key).ok()?
    }
}

impl Symbols for MachineSymbols {
    fn kernel(&mut self, address: u64) -> Option<Symbol<'_>> {
        let (symbol, offset) = self.kallsyms.at(address).ok()??;
        Some(Symbol { name: symbol.name, offset, module: symbol.module.unwrap_or("") })
    }

    fn user(&mut self, pid: u32, address: u64) -> Option<Symbol<'_>> {
        let symbol = self.processes.symbol(pid, address)?;
        Some(Symbol { name: symbol.name, offset: symbol.offset, module: symbol.file })
    }

    fn learn(&mut self, pid: u32) {
        self.processes.learn(pid);
    }

    fn unwind(&mut self, copy: StackCopy<'_>) {
        let most = StackKey::MAX_FRAMES as usize;
        let addresses = self.processes.unwind(copy.pid, copy.registers, (copy.base, copy.stack), most);
        self.traces.add(copy.hash, Trace { pid: copy.pid, addresses });
    }

    fn same_trace(&mut self, hash: u64) -> u64 {
        self.traces.first(hash)
    }

    fn stack(&mut self, id: StackId, addresses: &mut Vec<u64>) {
        if id.frames == StackKey::UNWOUND {
            return addresses.extend(self.traces.addresses(id.hash));
        }
        let Some(value) = self.value(id) else { return };
        let words = value.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
        addresses.extend(words.take(id.frames as usize));
    }

    fn build_ids(&mut self, id: StackId, frames: &mut Vec<BuildIdFrame>) {
        let Some(value) = self.value(id) else { return };
        frames.extend(value.chunks_exact(BUILD_ID_BYTES).take(id.frames as usize).filter_map(frame));
    }

    fn build_id(&mut self, pid: u32, address: u64) -> Option<(&str, u64)> {
        self.processes.build_id(pid, address)
    }
}

/// A frame as the kernel writes it; `None` for an empty one.
fn frame(bytes: &[u8]) -> Option<BuildIdFrame> {
    let status = i32::from_ne_bytes(*bytes.first_chunk()?);
    let build_id = *bytes.get(4..)?.first_chunk()?;
    let word = u64::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
    match status {
        VALID => Some(BuildIdFrame::File { build_id, offset: word }),
        ADDRESS => Some(BuildIdFrame::Address(word)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_with_the_same_trace_are_one() {
        let mut traces = Traces::default();
        let trace = |pid, addresses: &[u64]| Trace { pid, addresses: addresses.to_vec() };
        traces.add(7, trace(1, &[1, 2]));
        traces.add(8, trace(1, &[1, 2]));
        traces.add(9, trace(2, &[1, 2]));
        traces.add(8, trace(1, &[1, 2]));
        assert_eq!([7, 8, 9, 10].map(|hash| traces.first(hash)), [7, 7, 9, 10]);
        assert_eq!((traces.addresses(8), traces.addresses(10)), (&[1, 2][..], &[][..]));
    }

    #[test]
    fn frames_of_the_kernel() {
        let mut bytes = [0; BUILD_ID_BYTES];
        assert_eq!(frame(&bytes), None);
        bytes[24] = 7;
        bytes[..4].copy_from_slice(&ADDRESS.to_ne_bytes());
        let word = u64::from_ne_bytes([7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(frame(&bytes), Some(BuildIdFrame::Address(word)));
        bytes[..4].copy_from_slice(&VALID.to_ne_bytes());
        bytes[4] = 0xab;
        let Some(BuildIdFrame::File { build_id, offset }) = frame(&bytes) else { panic!() };
        assert_eq!((build_id[0], build_id[1], offset), (0xab, 0, word));
        assert_eq!(frame(&bytes[..20]), None);
    }
}

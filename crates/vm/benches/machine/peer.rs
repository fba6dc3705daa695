//! rbpf: the other user-space machine for BPF written in Rust.
//!
//! It has no maps. Its programs get the addresses of memory of ours where they refer to one, and a look-up helper of
//! ours as helper 1.

use std::fmt::Debug;
use std::ptr;

use rbpf::EbpfVmMbuff;
use skep_isa::MapType;
use skep_isa::ebpf::{self, Endian, Imm64, Insn, Op};
use skep_object::{MapSpec, Object};

use crate::compile::Built;
use crate::engine::{Engine, Loaded, Outcome, Refusal, Runner, failed, repeated, timed};

/// The kernel's number of the helper that looks a key up.
const MAP_LOOKUP: u32 = 1;

/// Room for the machine code of one instruction slot, several times what rbpf's JIT needs on average, and for what
/// surrounds a program.
const SLOT_BYTES: usize = 64;
const FIXED_BYTES: usize = 4096;

/// One of the two engines of rbpf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rbpf {
    /// The interpreter, which checks accesses.
    Interpreter,
    /// The JIT for x86-64, which checks nothing.
    Jit,
}

impl Engine for Rbpf {
    fn name(&self) -> &'static str {
        match self {
            Self::Interpreter => "rbpf interp",
            Self::Jit => "rbpf JIT",
        }
    }

    fn available(&self) -> Result<(), String> {
        if *self == Self::Jit && !cfg!(target_arch = "x86_64") {
            return Err("it makes code for x86-64 only".to_owned());
        }
        Ok(())
    }

    fn load(&self, built: &Built) -> Result<Loaded, Refusal> {
        let maps: Vec<HostMap> = built.flat.maps.iter().map(HostMap::new).collect::<Result<_, _>>().map_err(failed)?;
        let maps = maps.into_boxed_slice();
        let code = with_addresses(&built.flat, &maps).map_err(failed)?;
        // The machine borrows its code for as long as it lives; a benchmark may keep it until its end.
        let code: &'static [u8] = ebpf::to_bytes(&code, Endian::Little).leak();
        let mut vm = EbpfVmMbuff::new(Some(code)).map_err(unsupported)?;
        vm.register_helper(MAP_LOOKUP, look_up).map_err(unsupported)?;
        for map in &maps {
            let start = map.values.as_ptr() as u64;
            vm.register_allowed_memory(start..start + 8 * map.values.len() as u64);
        }
        let mut compile = None;
        let mut pages = None;
        if *self == Self::Jit {
            let mut memory = Pages::new(FIXED_BYTES + SLOT_BYTES * built.slots()).map_err(failed)?;
            vm.set_jit_exec_memory(memory.bytes()).map_err(unsupported)?;
            pages = Some(memory);
            let (compiled, time) = timed(|| vm.jit_compile());
            compiled.map_err(unsupported)?;
            compile = Some(time);
        }
        let runner = RbpfRunner { vm, jit: *self == Self::Jit, input: built.input.clone(), _maps: maps, _pages: pages };
        Ok(Loaded { runner: Box::new(runner), compile })
    }
}

fn unsupported(error: impl Debug) -> Refusal {
    Refusal::Unsupported(message(error))
}

/// The text of an error of rbpf, whose type can only be debug-printed: what stands between the quotes.
fn message(error: impl Debug) -> String {
    let whole = format!("{error:?}");
    whole.split('"').nth(1).map(str::to_owned).unwrap_or(whole)
}

struct RbpfRunner {
    vm: EbpfVmMbuff<'static>,
    jit: bool,
    input: Vec<u8>,
    /// What the addresses in the code point to.
    _maps: Box<[HostMap]>,
    /// The machine code; after the machine because fields are dropped in order.
    _pages: Option<Pages>,
}

impl Runner for RbpfRunner {
    fn run(&mut self, repeat: u32) -> Result<Outcome, String> {
        let range = self.input.as_ptr_range();
        let mut context = [range.start as u64, range.end as u64].map(u64::to_ne_bytes).concat();
        if !self.jit {
            return repeated(repeat, || self.vm.execute_program(&self.input, &context).map_err(message));
        }
        let context = ptr::slice_from_raw_parts_mut(context.as_mut_ptr(), context.len());
        repeated(repeat, || {
            // SAFETY: the program is one of ours, which stays inside its input, its stack and its maps; all of them
            // outlive the call. rbpf asks for a context as long-lived as the machine but keeps nothing of it, and
            // nothing else uses the vector behind the pointer until the last call is over.
            unsafe { self.vm.execute_program_jit(&mut self.input, &mut *context) }.map_err(message)
        })
    }
}

/// Memory for machine code: writable and executable at once, which is what rbpf asks for.
struct Pages {
    start: *mut libc::c_void,
    len: usize,
}

impl Pages {
    fn new(len: usize) -> Result<Self, String> {
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(format!("no executable memory: {}", std::io::Error::last_os_error()));
        }
        Ok(Self { start, len })
    }

    /// All bytes, for a machine that must not be used after this value is dropped.
    fn bytes(&mut self) -> &'static mut [u8] {
        // SAFETY: the mapping has `len` bytes, which are zero. Only the machine uses them, and the runner drops it
        // before the mapping.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and the machine that used it is gone.
        unsafe { libc::munmap(self.start, self.len) };
    }
}

/// The code with addresses where it refers to maps.
fn with_addresses(object: &Object, maps: &[HostMap]) -> Result<Vec<Insn>, String> {
    let mut insns = object.programs[0].insns.clone();
    for (at, op) in ebpf::validate(&insns.clone()).map_err(|error| error.to_string())? {
        let map = |index: i32| {
            let map = usize::try_from(index).ok().and_then(|index| maps.get(index));
            map.ok_or_else(|| format!("instruction {at} refers to map {index}, which does not exist"))
        };
        let address = match op {
            Op::LoadImm { value: Imm64::MapFd(index), .. } => ptr::from_ref(map(index)?) as u64,
            Op::LoadImm { value: Imm64::MapFdValue { fd, offset }, .. } => {
                map(fd)?.values.as_ptr() as u64 + u64::from(offset)
            }
            _ => continue,
        };
        let [low, high] = &mut insns[at.index()..at.index() + 2] else { continue };
        (low.src, low.imm, high.imm) = (0, address as i32, (address >> 32) as i32);
    }
    Ok(insns)
}

/// A map with keys of 32 bits: an array, or a table with open addressing that is at most half full.
struct HostMap {
    /// For hash maps a power of two of keys, each with the index of its value; empty for arrays.
    table: Vec<Option<(u32, u32)>>,
    /// Words of a value.
    words: usize,
    entries: u32,
    /// The values; atomic additions want them aligned.
    values: Vec<u64>,
}

impl HostMap {
    fn new(spec: &MapSpec) -> Result<Self, String> {
        let words = spec.value_size.div_ceil(8) as usize;
        let table = match spec.map_type {
            MapType::Array => Vec::new(),
            MapType::Hash => vec![None; 2 * spec.max_entries.next_power_of_two() as usize],
            other => return Err(format!("maps of type {other} are not in the benchmark")),
        };
        let values = vec![0; words * spec.max_entries as usize];
        let mut map = Self { table, words, entries: spec.max_entries, values };
        for ((key, value), free) in spec.contents.iter().zip(0..) {
            let key =
                <[u8; 4]>::try_from(&key[..]).map_err(|_| format!("keys of map {} must have 32 bits", spec.name))?;
            map.store(u32::from_ne_bytes(key), free, value);
        }
        Ok(map)
    }

    fn store(&mut self, key: u32, free: u32, value: &[u8]) {
        let mut index = key;
        if !self.table.is_empty() {
            let at = self.probe(key);
            index = self.table[at].get_or_insert((key, free)).1;
        }
        let start = index as usize * self.words;
        for (word, bytes) in self.values[start..].iter_mut().zip(value.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(padded);
        }
    }

    /// Where `key` is or would be, spread by a multiplication with 2^32 divided by the golden ratio.
    fn probe(&self, key: u32) -> usize {
        let mask = self.table.len() - 1;
        let mut at = (key.wrapping_mul(0x9e37_79b9) >> 12) as usize & mask;
        while self.table[at].is_some_and(|(other, _)| other != key) {
            at = (at + 1) & mask;
        }
        at
    }

    fn find(&self, key: u32) -> Option<&u64> {
        let index = if self.table.is_empty() {
            (key < self.entries).then_some(key)
        } else {
            self.table[self.probe(key)].map(|(_, index)| index)
        };
        self.values.get(index? as usize * self.words)
    }
}

/// `bpf_map_lookup_elem` for [`HostMap`]s.
fn look_up(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: our programs pass the address that `with_addresses` gave them, of a map that lives beside the machine,
    // and a key of 32 bits on their stack.
    let (map, key) = unsafe { (&*(map as *const HostMap), ptr::read_unaligned(key as *const u32)) };
    map.find(key).map_or(0, |value| ptr::from_ref(value) as u64)
}

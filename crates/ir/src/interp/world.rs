//! A host with maps, a packet, and the helpers that work on maps.

use std::collections::BTreeMap;

use skep_isa::MapType;

use super::machine::{Machine, network_order};
use super::{Host, Memory, Reason, Trap};
use crate::entity::{Entity, GlobalRef, KfuncRef, MapRef};
use crate::module::{MapDecl, Module};
use crate::op::Width;

/// Handles of maps: their numbers above this. No region is so far up.
const MAPS: u64 = 0x7ffe_0000_0000_0000;
/// Most rounds of `bpf_loop` (`BPF_MAX_LOOPS`).
const MOST_LOOPS: u64 = 1 << 23;

const ENOENT: i64 = 2;
const E2BIG: i64 = 7;
const EFAULT: i64 = 14;
const EEXIST: i64 = 17;
const EINVAL: i64 = 22;

/// `BPF_NOEXIST`
const NOEXIST: u64 = 1;
/// `BPF_EXIST`
const EXIST: u64 = 2;

/// A map: the addresses of its values by key.
#[derive(Debug, Clone)]
struct Table {
    decl: MapDecl,
    entries: BTreeMap<Vec<u8>, u64>,
}

impl Table {
    /// Whether it has all its entries from the start. Maps per processor have one.
    const fn is_array(&self) -> bool {
        matches!(self.decl.map_type, MapType::Array | MapType::PercpuArray)
    }

    const fn is_supported(&self) -> bool {
        use MapType::{Hash, LruHash, LruPercpuHash, PercpuHash};
        self.is_array() || matches!(self.decl.map_type, Hash | LruHash | PercpuHash | LruPercpuHash)
    }

    fn has_index(&self, key: &[u8]) -> bool {
        let index = key.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        index < self.decl.max_entries.into()
    }
}

/// A machine with one processor: arrays and hash tables (also per processor and LRU, which never drop anything here),
/// variables, a context and a packet; the helpers `map_lookup_elem`, `map_update_elem`, `map_delete_elem`,
/// `map_lookup_percpu_elem`, `for_each_map_elem`, `loop`, `probe_read_kernel` of its own memory, `ringbuf_reserve` and
/// `ringbuf_submit`; and fixed answers of others.
#[derive(Debug, Clone)]
pub struct World {
    memory: Memory,
    tables: Vec<Table>,
    globals: Vec<u64>,
    packet: Option<(u64, u64)>,
    answers: BTreeMap<u32, u64>,
}

impl World {
    /// The maps with their contents and the variables of a module.
    pub fn new(module: &Module) -> Self {
        let mut memory = Memory::default();
        let add = |global: &crate::module::Global| memory.add(global.bytes.clone(), !global.is_read_only());
        let globals = module.globals.iter().map(add).collect();
        let mut tables = Vec::new();
        for decl in &module.maps {
            let mut table = Table { decl: decl.clone(), entries: BTreeMap::new() };
            for (key, value) in &decl.contents {
                table.entries.insert(key.clone(), memory.add(value.clone(), true));
            }
            tables.push(table);
        }
        Self { memory, tables, globals, packet: None, answers: BTreeMap::new() }
    }

    /// A context with these bytes; its address, to be given to a program.
    pub fn add_context(&mut self, bytes: &[u8]) -> u64 {
        self.memory.add(bytes.to_vec(), true)
    }

    /// The packet, which takes the place of one before.
    pub fn set_packet(&mut self, bytes: &[u8]) {
        let start = self.memory.add(bytes.to_vec(), true);
        self.packet = Some((start, start + bytes.len() as u64));
    }

    /// The bytes of the packet.
    pub fn packet_bytes(&self) -> Option<&[u8]> {
        self.memory.region(self.packet?.0)
    }

    /// What a helper returns from now on.
    pub fn answer(&mut self, helper: u32, value: u64) {
        self.answers.insert(helper, value);
    }

    /// The bytes of a variable.
    pub fn global_bytes(&self, global: GlobalRef) -> Option<&[u8]> {
        self.memory.region(*self.globals.get(global.index())?)
    }

    /// Writes the first bytes of a variable, read-only ones too. Whether there is one with room for them.
    pub fn set_global(&mut self, global: GlobalRef, bytes: &[u8]) -> bool {
        let Some(&address) = self.globals.get(global.index()) else { return false };
        self.memory.overwrite(address, bytes)
    }

    /// The entries of a map in the order of their keys as bytes. Of an array those that were ever looked at or written.
    pub fn entries(&self, map: MapRef) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = self.tables.get(map.index()).into_iter().flat_map(|table| &table.entries);
        entries.map(|(key, &value)| (key.clone(), self.memory.region(value).unwrap_or_default().to_vec())).collect()
    }

    /// Looks for an entry; the address of its value, 0 for none.
    fn lookup(&mut self, map: usize, key: &[u8]) -> u64 {
        let table = &mut self.tables[map];
        if let Some(&value) = table.entries.get(key) {
            return value;
        }
        if !table.is_array() || !table.has_index(key) {
            return 0;
        }
        let value = self.memory.add(vec![0; table.decl.value_size as usize], true);
        table.entries.insert(key.to_vec(), value);
        value
    }

    /// Writes an entry; 0 or a negative error number.
    fn update(&mut self, map: usize, key: Vec<u8>, value: Vec<u8>, flags: u64) -> i64 {
        let table = &mut self.tables[map];
        if flags > EXIST {
            return -EINVAL;
        }
        if table.is_array() {
            if !table.has_index(&key) {
                return -E2BIG;
            }
            if flags == NOEXIST {
                return -EEXIST;
            }
            let address = self.lookup(map, &key);
            if let Ok(bytes) = self.memory.slice_mut(address, value.len()) {
                bytes.copy_from_slice(&value);
            }
            return 0;
        }
        let known = table.entries.contains_key(&key);
        match flags {
            NOEXIST if known => return -EEXIST,
            EXIST if !known => return -ENOENT,
            _ if !known && table.entries.len() >= table.decl.max_entries as usize => return -E2BIG,
            _ => {}
        }
        // A new element takes the place of the old one; pointers to that stay valid until the program ends.
        let address = self.memory.add(value, true);
        table.entries.insert(key, address);
        0
    }

    fn delete(&mut self, map: usize, key: &[u8]) -> i64 {
        let table = &mut self.tables[map];
        if table.is_array() {
            return -EINVAL;
        }
        if table.entries.remove(key).is_some() { 0 } else { -ENOENT }
    }

    /// A helper that takes a map and a key.
    fn map_helper(&mut self, id: u32, [map, key, value, flags, _]: [u64; 5]) -> Result<u64, Reason> {
        let index = map.checked_sub(MAPS).and_then(|index| usize::try_from(index).ok());
        let index = index.filter(|&index| index < self.tables.len());
        let Some(index) = index else { return Err(Reason::Host("the first argument is not a map".to_owned())) };
        let table = &self.tables[index];
        if !table.is_supported() {
            return Err(Reason::Host(format!("maps of type {} are not modelled", table.decl.map_type)));
        }
        let value_size = table.decl.value_size as usize;
        let key = self.memory.slice(key, table.decl.key_size as usize)?.to_vec();
        Ok(match id {
            1 => self.lookup(index, &key),
            // The third argument is the number of a processor.
            195 if value != 0 => 0,
            195 => self.lookup(index, &key),
            2 => {
                let value = self.memory.slice(value, value_size)?.to_vec();
                self.update(index, key, value, flags).cast_unsigned()
            }
            _ => self.delete(index, &key).cast_unsigned(),
        })
    }

    /// `bpf_for_each_map_elem`: calls a function with each entry until it returns something else than 0.
    fn for_each(
        &mut self,
        machine: &mut Machine<'_>,
        [map, callback, context, flags, _]: [u64; 5],
    ) -> Result<u64, Trap> {
        let index = map.checked_sub(MAPS).and_then(|index| usize::try_from(index).ok());
        let table = index.and_then(|index| self.tables.get(index));
        let (Some(table), Some(function)) = (table, machine.function_at(callback)) else {
            return Err(Machine::trap(Reason::Host("the arguments are no map and no function".to_owned())));
        };
        if flags != 0 {
            return Ok((-EINVAL).cast_unsigned());
        }
        let entries: Vec<(Vec<u8>, u64)> = table.entries.iter().map(|(key, &value)| (key.clone(), value)).collect();
        let mut count = 0;
        for (key, value) in entries {
            count += 1;
            let key = self.memory.add(key, false);
            let result = machine.call(self, function, &[map, key, value, context])?;
            self.memory.remove(key);
            if result != Some(0) {
                break;
            }
        }
        Ok(count)
    }

    /// `bpf_probe_read_kernel`: what cannot be read is zero.
    fn probe_read(&mut self, [to, len, from, ..]: [u64; 5]) -> Result<u64, Reason> {
        // The length is an `u32`.
        let len = (len & u64::from(u32::MAX)) as usize;
        let bytes = self.memory.slice(from, len).map(<[u8]>::to_vec);
        let target = self.memory.slice_mut(to, len)?;
        match bytes {
            Ok(bytes) => {
                target.copy_from_slice(&bytes);
                Ok(0)
            }
            Err(_) => {
                target.fill(0);
                Ok((-EFAULT).cast_unsigned())
            }
        }
    }

    /// `bpf_ringbuf_reserve` of a buffer that is never full: what is submitted is forgotten.
    fn reserve(&mut self, [_, len, ..]: [u64; 5]) -> u64 {
        self.memory.add(vec![0; len.min(1 << 20) as usize], true)
    }

    /// `bpf_loop`: calls a function with 0, 1, 2, ... until it returns something else than 0.
    fn run_loop(
        &mut self,
        machine: &mut Machine<'_>,
        [rounds, callback, context, flags, _]: [u64; 5],
    ) -> Result<u64, Trap> {
        if flags != 0 {
            return Ok((-EINVAL).cast_unsigned());
        }
        // The number of rounds is an `u32`.
        let rounds = rounds & u64::from(u32::MAX);
        if rounds > MOST_LOOPS {
            return Ok((-E2BIG).cast_unsigned());
        }
        let function = machine.function_at(callback);
        let function =
            function.ok_or_else(|| Machine::trap(Reason::Host("the second argument is no function".to_owned())))?;
        for round in 0..rounds {
            if machine.call(self, function, &[round, context])? != Some(0) {
                return Ok(round + 1);
            }
        }
        Ok(rounds)
    }
}

impl Host for World {
    fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn map(&self, map: MapRef) -> Option<u64> {
        (map.index() < self.tables.len()).then(|| MAPS + map.index() as u64)
    }

    fn global(&self, global: GlobalRef) -> Option<u64> {
        self.globals.get(global.index()).copied()
    }

    fn packet(&self) -> Option<[u64; 3]> {
        self.packet.map(|(start, end)| [start, start, end])
    }

    fn packet_load(&mut self, offset: u32, width: Width) -> Option<u64> {
        network_order(self.packet_bytes()?, offset, width)
    }

    fn helper(&mut self, machine: &mut Machine<'_>, id: u32, args: [u64; 5]) -> Result<u64, Trap> {
        match id {
            1..=3 | 195 => self.map_helper(id, args).map_err(Machine::trap),
            113 => self.probe_read(args).map_err(Machine::trap),
            131 => Ok(self.reserve(args)),
            132 => {
                self.memory.remove(args[0]);
                Ok(0)
            }
            164 => self.for_each(machine, args),
            181 => self.run_loop(machine, args),
            _ => self.answers.get(&id).copied().ok_or_else(|| {
                let name = skep_isa::helpers::by_id(id).map_or("?", |helper| helper.name);
                Machine::trap(Reason::Host(format!("the helper {id} ({name}) is not modelled")))
            }),
        }
    }

    fn kfunc(&mut self, _: &mut Machine<'_>, kfunc: KfuncRef, _: [u64; 5]) -> Result<u64, Trap> {
        Err(Machine::trap(Reason::Host(format!("the kernel function {kfunc} is not modelled"))))
    }
}

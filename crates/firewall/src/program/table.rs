//! Tables of what packets leave behind: connections, their translations, limits.
//!
//! A full table refuses new entries; what is in it stays. Entries are over by a time of their own. They are taken out when room
//! is needed, because nobody is there to do it before: a processor that finds the table full goes over it, until it has made
//! room for some, at most once a second if there is little to be found.

use skep_ir::{Binary, Cond, FuncKind, FuncRef, Function, MapDecl, MapRef, Memory, Module, Type, Value, Width};
use skep_isa::MapType;

use super::code::{self, Code};
use crate::tables::layout::{full, maps};

/// Entries that are taken out at once.
const TOGETHER: i64 = 512;
const SECOND: i64 = 1_000_000_000;

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its entries.
    pub map: MapRef,
    /// [`full`], for each processor.
    state: MapRef,
    /// Takes out entries that are over; gives how many.
    sweep: FuncRef,
}

/// What a table is like.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Its names.
    pub names: maps::Names,
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of an entry.
    pub value: usize,
    /// Most entries.
    pub entries: u32,
}

/// Adds a table to a module.
pub fn add(module: &mut Module, layout: &Layout) -> Table {
    let bytes = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let Layout { names, key, value, entries } = *layout;
    let map = module.add_map(MapDecl::new(names.table, MapType::Hash, bytes(key), bytes(value), entries));
    let state = module.add_map(MapDecl::new(names.full, MapType::PercpuArray, 4, bytes(full::SIZE), 1));
    let params = [
        Type::ptr(Memory::Map(map)),
        Type::ptr(Memory::Record),
        Type::ptr(Memory::MapValue(map)),
        Type::ptr(Memory::Stack),
    ];
    let mut each = Function::new(&format!("{}_each", names.table), FuncKind::Callback, &params, Some(Type::I64));
    code::write(&mut each, |code, params| {
        let state = code.only(state, 1);
        let until = code.load(Width::W64, params[2], names.until);
        let now = code.load(Width::W64, state, full::NOW);
        code.when(Cond::Uge, until, now, |code| code.give(0));
        let table = code.b.map_addr(map);
        code.helper(code::MAP_DELETE, &[table, params[1]]);
        let out = code.load(Width::W64, state, full::OUT);
        let out = code.with(Binary::Add, out, 1);
        code.store(Width::W64, state, full::OUT, out);
        code.when_is(Cond::Uge, out, TOGETHER, |code| code.give(1));
    });
    let each = module.add_function(each);
    let sweep = code::function(&format!("{}_sweep", names.table), 0, |code, _| {
        let state = code.only(state, 0);
        let now = code.helper(code::TIME, &[]);
        let wait = code.load(Width::W64, state, full::WAIT);
        code.when(Cond::Ult, now, wait, |code| code.give(0));
        let zero = code.num(0);
        code.store(Width::W64, state, full::NOW, now);
        code.store(Width::W64, state, full::OUT, zero);
        let (table, each, nothing) = (code.b.map_addr(map), code.b.func_addr(each), code.buffer(8));
        code.helper(code::FOR_EACH, &[table, each, nothing, zero]);
        let out = code.load(Width::W64, state, full::OUT);
        code.when_is(Cond::Ult, out, TOGETHER, |code| {
            let later = code.with(Binary::Add, now, SECOND);
            code.store(Width::W64, state, full::WAIT, later);
        });
        code.b.ret(Some(out));
    });
    Table { map, state, sweep: module.add_function(sweep) }
}

impl Code<'_> {
    /// Puts an entry into a table; gives 0, or something else if the table is full, which is counted.
    pub fn insert(&mut self, table: Table, key: Value, value: Value) -> Value {
        let (map, any) = (self.b.map_addr(table.map), self.num(0));
        let failed = self.helper(code::MAP_UPDATE, &[map, key, value, any]);
        let result = self.var(failed);
        self.when_is(Cond::Ne, failed, 0, |code| {
            let end = code.b.block(&[]);
            let out = code.call(table.sweep, &[]);
            code.when_is(Cond::Ne, out, 0, |code| {
                let failed = code.helper(code::MAP_UPDATE, &[map, key, value, any]);
                code.set(result, failed);
            });
            let failed = code.get(result);
            code.leave_if(end, Cond::Eq, failed, 0);
            let zero = code.num(0);
            let state = code.element(table.state, zero, end);
            let refused = code.load(Width::W64, state, full::REFUSED);
            let refused = code.with(Binary::Add, refused, 1);
            code.store(Width::W64, state, full::REFUSED, refused);
            code.close(end);
            code.b.switch_to(end);
        });
        self.get(result)
    }
}

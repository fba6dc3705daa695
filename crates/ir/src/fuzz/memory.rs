//! Random statements on memory: stack, variables, maps.

use super::generate::{HASH_BYTES, OBJECT, entity};
use super::statements::Write;
use crate::entity::{Block, MapRef, Value};
use crate::inst::{Callee, InstData};
use crate::op::{AtomicOp, Binary, Cond, Width};
use crate::types::{Memory, Type};

const LOOKUP: u32 = 1;
const UPDATE: u32 = 2;
const DELETE: u32 = 3;

/// Most keys of the hash map: fewer than it has entries.
const KEYS: i64 = 7;

impl Write<'_, '_> {
    /// Makes one or two initialised objects on the stack.
    pub fn objects(&mut self) {
        for number in 0..=self.bytes.below(2) {
            let slot = self.builder.function.add_slot(&format!("object{number}"), OBJECT, 8);
            let object = self.builder.slot_addr(slot);
            let byte = self.bytes.u8();
            self.builder.fill(object, OBJECT, byte, 8);
            self.add_object(object);
        }
    }

    /// Makes an object known.
    pub fn add_object(&mut self, object: Value) {
        self.stack.push(object);
    }

    /// A width with a type that it has when it is loaded and stored.
    fn width(&mut self) -> (Width, Type) {
        let width = self.bytes.pick(Width::ALL);
        let wide = width == Width::W64 || self.bytes.one_in(2);
        (width, if wide { Type::I64 } else { Type::I32 })
    }

    /// A multiple of a width in an object of so many bytes.
    fn offset(&mut self, width: Width, size: u32) -> i16 {
        let number = self.bytes.below((size / width.bytes()) as usize);
        i16::try_from(number as u32 * width.bytes()).unwrap_or(0)
    }

    fn load(&mut self, ptr: Value, size: u32) {
        let (width, ty) = self.width();
        let (off, signed) = (self.offset(width, size), self.bytes.one_in(3) && width != Width::W64);
        let value = self.builder.load_as(ty, width, signed, ptr, off);
        self.pool.push(value, ty);
    }

    fn store(&mut self, ptr: Value, size: u32) {
        let (width, ty) = self.width();
        let (off, value) = (self.offset(width, size), self.value(ty));
        self.builder.store(width, ptr, off, value);
    }

    /// Loads or stores at an index that is found at run time, bounded by a mask.
    fn indexed(&mut self, object: Value, size: u32) {
        let (width, ty) = self.width();
        let index = self.bounded(i64::from(size / width.bytes() - 1));
        let distance = self.builder.binary_const(Binary::Shl, index, width.bytes().trailing_zeros().into());
        let ptr = self.builder.ptr_add(object, distance);
        if self.bytes.one_in(2) {
            let value = self.builder.load_as(ty, width, false, ptr, 0);
            self.pool.push(value, ty);
        } else {
            let value = self.value(ty);
            self.builder.store(width, ptr, 0, value);
        }
    }

    /// An access to an object of [`OBJECT`] bytes.
    fn any_access(&mut self, object: Value) {
        match self.bytes.u8() % 4 {
            0 => self.load(object, OBJECT),
            1 => self.store(object, OBJECT),
            2 => self.indexed(object, OBJECT),
            _ => {
                let byte = self.bytes.u8();
                self.builder.fill(object, OBJECT / 2, byte, 8);
            }
        }
    }

    /// An access to an object on the stack, or a copy between two of them.
    pub fn object_access(&mut self) {
        let object = self.bytes.pick(&self.stack);
        let other = self.bytes.pick(&self.stack);
        if other != object && self.bytes.one_in(4) {
            self.builder.copy(object, other, OBJECT / 2, 8);
        } else {
            self.any_access(object);
        }
    }

    /// An access to a variable.
    pub fn variable_access(&mut self) {
        if self.bytes.one_in(3) {
            let config = self.builder.global_addr(entity(1));
            self.load(config, OBJECT);
        } else {
            let state = self.builder.global_addr(entity(0));
            self.any_access(state);
        }
    }

    /// An atomic operation on a variable or on an object on the stack.
    pub fn atomic_access(&mut self) {
        let object =
            if self.bytes.one_in(2) { self.builder.global_addr(entity(0)) } else { self.bytes.pick(&self.stack) };
        self.atomic(object, OBJECT);
    }

    fn atomic(&mut self, ptr: Value, size: u32) {
        let (width, ty) = self.bytes.pick(&[(Width::W32, Type::I32), (Width::W64, Type::I64)]);
        let (off, value) = (self.offset(width, size), self.value(ty));
        let data = if self.bytes.one_in(4) {
            InstData::CompareExchange { width, ptr, off, expected: self.value(ty), value }
        } else {
            InstData::Atomic { op: self.bytes.pick(AtomicOp::ALL), width, ptr, off, value }
        };
        let results = usize::from(self.bytes.one_in(2));
        let inst = self.builder.inst(data, &[ty][..results]);
        if let Some(&result) = self.builder.function[inst].results.first() {
            self.pool.push(result, ty);
        }
    }

    /// Looks a value up; in the block where the code goes on there is one, in the other block there is none.
    fn found(&mut self, map: MapRef, key: Value) -> (Value, Block) {
        let b = &mut self.builder;
        let address = b.map_addr(map);
        let ty = Type::nullable(Memory::MapValue(map));
        let maybe = b.call(Callee::Helper(LOOKUP), &[address, key], ty);
        let null = b.null(Memory::MapValue(map));
        let (some, none) = (b.block(&[]), b.block(&[]));
        let value = if self.bytes.one_in(2) {
            self.builder.branch_refining(Cond::Eq, maybe, null, none, some)
        } else {
            self.builder.branch_refining(Cond::Ne, maybe, null, some, none)
        };
        self.builder.switch_to(some);
        (value, none)
    }

    /// Some accesses to a value that was found; one number of it is known afterwards.
    fn use_value(&mut self, value: Value, none: Block, size: u32) {
        let known = self.pool.all().len();
        for _ in 0..self.bytes.below(3) {
            match self.bytes.u8() % 4 {
                0 => self.load(value, size),
                1 => self.store(value, size),
                2 => self.atomic(value, size),
                _ => self.indexed(value, size),
            }
        }
        let off = self.offset(Width::W64, size);
        let number = self.builder.load(Width::W64, value, off);
        self.pool.truncate(known);
        let behind = self.builder.block(&[Type::I64]);
        self.builder.jump(behind, &[number]);
        self.builder.switch_to(none);
        let missing = self.builder.i64(-1);
        self.builder.jump(behind, &[missing]);
        self.builder.switch_to(behind);
        let number = self.builder.param(behind, 0);
        self.pool.push(number, Type::I64);
    }

    /// Uses a value of the array map, if the index is in bounds.
    pub fn array_value(&mut self) {
        let (object, index) = (self.bytes.pick(&self.stack), self.value(Type::I32));
        let index = if self.bytes.one_in(4) { index } else { self.builder.binary_const(Binary::And, index, 3) };
        self.builder.store(Width::W32, object, 0, index);
        let (value, none) = self.found(entity(0), object);
        self.use_value(value, none, OBJECT);
    }

    /// Writes one of few keys to an object.
    fn key(&mut self) -> Value {
        let (object, key) = (self.bytes.pick(&self.stack), self.bounded(KEYS));
        self.builder.store(Width::W64, object, 0, key);
        object
    }

    /// Uses a value of the hash map, if there is one.
    pub fn hash_value(&mut self) {
        let key = self.key();
        let (value, none) = self.found(entity(1), key);
        self.use_value(value, none, HASH_BYTES[1]);
    }

    /// Writes or deletes an entry of the hash map.
    pub fn hash_change(&mut self) {
        let key = self.key();
        let map = self.builder.map_addr(entity(1));
        let result = if self.bytes.one_in(3) {
            self.builder.call(Callee::Helper(DELETE), &[map, key], Type::I64)
        } else {
            // The value may be the object with the key: 16 bytes of it, all initialised.
            let value = self.bytes.pick(&self.stack);
            let flags = i64::from(self.bytes.u8() % 3);
            let flags = self.builder.i64(flags);
            self.builder.call(Callee::Helper(UPDATE), &[map, key, value, flags], Type::I64)
        };
        self.pool.push(result, Type::I64);
    }
}

//! Functions that programs share: reports about what went wrong, callbacks that count.

use std::sync::Arc;

use skep_ir::{
    AtomicOp, Binary, Builder, Callee, Cond, FuncKind, FuncRef, Function, Memory, Type as IrType, Value, Width,
};

use super::send::Lost;
use super::{Unit, helpers};
use crate::check::tree::Map;
use crate::plan::{Action, LostInfo};

/// Places in [`Unit::report`].
const WARNING: usize = 0;
const FAILURE: usize = 1;
const LEARN: usize = 2;
/// How many there are.
pub const REPORTS: usize = 3;

/// Bytes of the record about a process: the action, its number.
const LEARN_BYTES: u32 = 16;

/// Bytes of the record of a helper's failure: the action, the error.
const FAILURE_BYTES: u32 = 16;
/// Where the error is in it.
const FAILURE_ERROR: u32 = 8;

/// A call of a helper with a result.
pub fn helper(b: &mut Builder<'_>, number: u32, args: &[Value], result: IrType) -> Value {
    b.call(Callee::Helper(number), args, result)
}

impl Unit<'_> {
    /// The action for a helper that failed.
    pub fn helper_failure(&mut self, helper: &str, at: (u32, u32)) -> i64 {
        let wanted = Action::HelperError { helper: Arc::from(helper), error: FAILURE_ERROR, at };
        match self.plan.actions.iter().position(|action| *action == wanted) {
            Some(found) => i64::try_from(found).unwrap_or(i64::MAX),
            None => self.action(wanted),
        }
    }

    /// Counts a record for which there was no room. Programs on other processors, and those that interrupt this one, count
    /// as well.
    pub fn count_lost(&mut self, b: &mut Builder<'_>, lost: &Lost) {
        let counters = b.global_addr(self.lost());
        let one = b.i64(1);
        let count =
            |b: &mut Builder<'_>, offset: u32| b.atomic(AtomicOp::Add, Width::W64, counters, offset as i16, one);
        count(b, LostInfo::RECORDS);
        match lost {
            Lost::Record => {}
            Lost::Error => {
                count(b, LostInfo::ERRORS);
            }
            Lost::Exit(status) => {
                let status = b.binary_const(Binary::And, *status, 0xffff_ffff);
                let word = b.binary_const(Binary::Add, status, 1);
                b.store(Width::W64, counters, LostInfo::EXIT as i16, word);
            }
        }
    }

    /// Sends a record with nothing but its action.
    pub fn warning_function(&mut self) -> FuncRef {
        if let Some(known) = self.report[WARNING] {
            return known;
        }
        let reference = self.sender("skep_warning", 8);
        self.report[WARNING] = Some(reference);
        reference
    }

    /// Sends a record with its action and an error.
    pub fn failure_function(&mut self) -> FuncRef {
        if let Some(known) = self.report[FAILURE] {
            return known;
        }
        let reference = self.sender("skep_failure", FAILURE_BYTES);
        self.report[FAILURE] = Some(reference);
        reference
    }

    /// Tells the host of a process, once.
    pub fn learn_function(&mut self) -> FuncRef {
        if let Some(known) = self.report[LEARN] {
            return known;
        }
        let action = self.action(Action::Learn { pid: 8 });
        let sender = self.sender("skep_process", LEARN_BYTES);
        let map = self.processes();
        let mut function = Function::new("skep_learn", FuncKind::Static, &[IrType::I64], None);
        let slot = function.add_slot("key", 4, 4);
        let mut b = Builder::new(&mut function);
        let pid = b.function.params()[0];
        let key = b.slot_addr(slot);
        let low = b.unary(skep_ir::Unary::Truncate, pid);
        b.store(Width::W32, key, 0, low);
        let address = b.map_addr(map);
        let memory = Memory::MapValue(map);
        let found = helper(&mut b, helpers::MAP_LOOKUP, &[address, key], IrType::nullable(memory));
        let null = b.null(memory);
        let (known, new) = (b.block(&[]), b.block(&[]));
        b.branch(Cond::Ne, found, null, known, new);
        b.switch_to(new);
        let address = b.map_addr(map);
        let key = b.slot_addr(slot);
        let value = b.slot_addr(slot);
        let flags = b.i64(0);
        b.call_void(Callee::Helper(helpers::MAP_UPDATE), &[address, key, value, flags]);
        let action = b.i64(action);
        b.call_void(Callee::Func(sender), &[action, pid]);
        b.ret(None);
        b.switch_to(known);
        b.ret(None);
        let reference = self.module.add_function(function);
        self.report[LEARN] = Some(reference);
        reference
    }

    /// A function that sends its parameters, the first as the action.
    fn sender(&mut self, name: &str, bytes: u32) -> FuncRef {
        let params = vec![IrType::I64; bytes as usize / 8];
        let mut function = Function::new(name, FuncKind::Static, &params, None);
        let mut b = Builder::new(&mut function);
        let map = b.map_addr(self.events);
        let size = b.i64(bytes.into());
        let flags = b.i64(0);
        let record = helper(&mut b, helpers::RINGBUF_RESERVE, &[map, size, flags], IrType::nullable(Memory::Record));
        let null = b.null(Memory::Record);
        let (some, none) = (b.block(&[]), b.block(&[]));
        let record = b.branch_refining(Cond::Ne, record, null, some, none);
        b.switch_to(some);
        for number in 0..params.len() {
            let value = b.function.params()[number];
            b.store(Width::W64, record, number as i16 * 8, value);
        }
        let flags = b.i64(0);
        b.call_void(Callee::Helper(helpers::RINGBUF_SUBMIT), &[record, flags]);
        b.ret(None);
        b.switch_to(none);
        self.count_lost(&mut b, &Lost::Record);
        b.ret(None);
        self.module.add_function(function)
    }

    /// A callback that counts how often it is called, in the frame that it gets.
    pub fn counting_callback(&mut self, map: Map) -> FuncRef {
        let map = self.maps[map.0 as usize].map;
        let params = [
            IrType::ptr(Memory::Map(map)),
            IrType::ptr(Memory::Record),
            IrType::ptr(Memory::MapValue(map)),
            IrType::ptr(Memory::Stack),
        ];
        let name = format!("skep_count_{}", self.module.functions.len());
        let mut function = Function::new(&name, FuncKind::Callback, &params, Some(IrType::I64));
        let mut b = Builder::new(&mut function);
        let frame = b.function.params()[3];
        let off = super::body::FRAME_COUNT as i16;
        let old = b.load_as(IrType::I64, Width::W64, false, frame, off);
        let new = b.binary_const(skep_ir::Binary::Add, old, 1);
        b.store(Width::W64, frame, off, new);
        let go_on = b.i64(0);
        b.ret(Some(go_on));
        self.module.add_function(function)
    }
}

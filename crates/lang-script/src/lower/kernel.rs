//! What reaches into the kernel and into processes: paths, sockets, threads, packets, the trace pipe, memory of the
//! process.

use std::sync::Arc;

use skep_diag::Span;
use skep_ir::{Binary, Callee, Cond, Global, Kfunc, Memory, Type as IrType, Value, Width};

use super::body::Body;
use super::memory::At;
use super::send::Lost;
use super::{describe, helpers};
use crate::check::tree::{Expr, Map, Packet, Var};
use crate::plan::{Action, PacketRecord};
use crate::types::Space;

/// `ENOSPC`: there was no room for the packet.
const NO_ROOM: i64 = -28;

impl Body<'_, '_, '_> {
    /// The number of an address, of which the verifier does not know where it leads: one may calculate with it.
    pub fn plain_address(&mut self, pointer: Value) -> Value {
        let kept = self.temp(8);
        self.store(Width::W64, kept, pointer);
        let from = self.addr(kept);
        let from = self.as_number(from);
        let copied = self.temp(8);
        self.read(copied, 8, from, Space::Kernel);
        self.load(Width::W64, false, copied)
    }

    /// A pointer that is not null, or 0: the verifier lets nobody calculate with one that may be null.
    pub fn object(&mut self, pointer: Value) -> Value {
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        let null = self.b.i64(0);
        let pointer = self.b.branch_refining(Cond::Ne, pointer, null, some, none);
        self.b.switch_to(some);
        self.b.jump(join, &[pointer]);
        self.b.switch_to(none);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// `find(@map, key, $value)`
    pub fn find(&mut self, map: Map, key: &[Expr], var: Var, span: Span) -> Value {
        let ty = self.checked.vars[var.0 as usize].clone();
        let key = self.key(map, key);
        let home = self.home(var.0);
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        self.at(span);
        let value = self.found(map, key, some, none);
        self.b.switch_to(some);
        if matches!(self.cx.maps[map.0 as usize].held, crate::plan::MapValue::Plain(_)) {
            let own = self.cx.maps[map.0 as usize].value_type.clone();
            if own.scalar().is_some() {
                let number = self.load_scalar(&own, At::start(value));
                let number = self.convert(number, &own, &ty);
                self.store_scalar(&ty, home, number);
            } else {
                let (own, size) = (self.size(&own), self.size(&ty));
                self.copy(home, At::start(value), own.min(size));
                self.fill(home.plus(own.min(size)), size - own.min(size));
            }
        } else {
            let number = self.aggregate_value(map, key);
            self.store_scalar(&ty, home, number);
        }
        let one = self.b.i64(1);
        self.b.jump(join, &[one]);
        self.b.switch_to(none);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// `path`: the text is empty if the kernel cannot tell it.
    pub fn write_path(&mut self, file: &Expr, offset: u32, to: At, size: u32) {
        self.fill(to, size);
        let file = self.scalar(file);
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let null = self.b.i64(0);
        let file = self.b.branch_refining(Cond::Ne, file, null, some, none);
        self.b.switch_to(some);
        let path = self.b.binary_const(Binary::Add, file, offset.into());
        let target = self.addr(to);
        let room = self.b.i64(size.into());
        let result = self.call_i64(helpers::D_PATH, &[path, target, room]);
        // What the kernel leaves behind when there is too little room is no path.
        let failed = self.b.block(&[]);
        let zero = self.b.i64(0);
        self.b.branch(Cond::Slt, result, zero, failed, none);
        self.b.switch_to(failed);
        self.fill(to, size);
        self.b.jump(none, &[]);
        self.b.switch_to(none);
    }

    /// `comm(tid)`: the text is empty if there is no such thread.
    pub fn write_name_of(&mut self, thread: &Expr, offset: u32, to: At, size: u32) {
        let kfunc = |name: &str| Kfunc::function(name, false);
        self.fill(to, size);
        let id = self.scalar(thread);
        let id = self.b.unary(skep_ir::Unary::Truncate, id);
        let find = self.cx.module.add_kfunc(kfunc(describe::FIND_TASK));
        let release = self.cx.module.add_kfunc(kfunc(describe::RELEASE_TASK));
        let found = self.b.call(Callee::Kfunc(find), &[id], IrType::nullable(Memory::Record));
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let null = self.b.null(Memory::Record);
        let found = self.b.branch_refining(Cond::Ne, found, null, some, none);
        self.b.switch_to(some);
        let address = self.as_number(found);
        let address = self.b.binary_const(Binary::Add, address, offset.into());
        self.read_text(to, size, None, address, Space::Kernel, false);
        self.b.call_void(Callee::Kfunc(release), &[found]);
        self.b.jump(none, &[]);
        self.b.switch_to(none);
    }

    /// `write_user`
    pub fn write_user(&mut self, to: &Expr, value: &Expr, len: &Expr, room: u32, span: Span) -> Value {
        let to = self.scalar(to);
        let from = self.bytes_of(value);
        let len = self.scalar(len);
        let len = self.at_most(len, room);
        let from = self.addr(from);
        self.at(span);
        let result = self.call_i64(helpers::PROBE_WRITE_USER, &[to, from, len]);
        self.report_failure(helpers::PROBE_WRITE_USER, result, span);
        result
    }

    /// `debugf`: texts are handed over by their addresses, which the kernel reads with care.
    pub fn debug(&mut self, format: &Arc<str>, args: &[Expr]) {
        let values: Vec<Value> = args
            .iter()
            .map(|arg| {
                if arg.ty.scalar().is_some() {
                    return self.scalar(arg);
                }
                let at = self.bytes_of(arg);
                let pointer = self.addr(at);
                self.as_number(pointer)
            })
            .collect();
        let mut bytes = format.as_bytes().to_vec();
        bytes.push(0);
        let len = self.b.i64(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        let name = format!("format_{}", self.cx.module.globals.len());
        let global = Global { name, section: ".rodata".to_owned(), bytes, align: 1, ty: 0 };
        let global = self.cx.module.add_global(global);
        let mut all = vec![self.b.global_addr(global), len];
        all.extend(values);
        self.call_void(helpers::TRACE_PRINTK, &all);
    }

    /// `skboutput`: 0 if the packet is on its way, else an error number.
    pub fn packet(&mut self, packet: &Packet, span: Span) -> Value {
        let data = self.scalar(&packet.data);
        let wanted = self.scalar(&packet.wanted);
        let there = self.scalar(&packet.there);
        let whole = self.scalar(&packet.whole);
        // What is asked for, what there is, and what there is room for: the smallest counts, and nothing below 0.
        let zero = self.b.i64(0);
        let there = self.b.select(Cond::Slt, there, zero, zero, there);
        let len = self.b.select(Cond::Ult, wanted, there, wanted, there);
        let len = self.at_most(len, packet.room);
        let result = self.temp(8);
        let failed = self.b.i64(NO_ROOM);
        self.store(Width::W64, result, failed);
        let action = self.cx.action(Action::Packet { file: packet.file.clone(), room: packet.room });
        self.at(span);
        self.record(action, PacketRecord::size(packet.room), Lost::Record, |body, record| {
            let now = body.call_i64(helpers::BOOT_NS, &[]);
            body.store(Width::W64, record.plus(PacketRecord::TIME), now);
            body.store(Width::W32, record.plus(PacketRecord::WHOLE), whole);
            body.store(Width::W32, record.plus(PacketRecord::LEN), len);
            let to = body.addr(record.plus(PacketRecord::BYTES));
            body.call_void(helpers::PROBE_READ_KERNEL, &[to, len, data]);
            let done = body.b.i64(0);
            body.store(Width::W64, result, done);
        });
        self.load(Width::W64, true, result)
    }
}

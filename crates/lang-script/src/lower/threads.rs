//! Threads by their ids where programs may not call the kernel's own function: the table that it looks them up in is read.
//!
//! The table may change meanwhile, as everything that programs read of the kernel: then there is no such thread, or one that
//! has just ended.

use skep_ir::{Binary, Builder, Callee, Cond, FuncKind, FuncRef, Function, Slot, Type as IrType, Unary, Value, Width};

use super::body::Body;
use super::memory::At;
use super::shared::helper;
use super::{Unit, helpers};
use crate::check::tree::{Expr, ThreadTable};
use crate::types::Space;

/// Levels of the table: ids have at most 30 bits, and each level takes 6.
const LEVELS: u32 = 5;
/// Children of a node.
const CHILDREN: i64 = 64;
/// The two lowest bits of an entry, and what they are in the address of a node (`xa_is_internal`, include/linux/xarray.h).
const TAG: i64 = 3;
const NODE: i64 = 2;

impl Body<'_, '_, '_> {
    /// The address of the thread with an id, 0 if there is none; `own` is the `struct pid` of the current thread.
    pub fn thread_in_table(&mut self, thread: &Expr, own: &Expr, table: ThreadTable) -> Value {
        let id = self.scalar(thread);
        let own = self.scalar(own);
        let find = self.cx.thread_function(table);
        self.b.call(Callee::Func(find), &[id, own], IrType::I64)
    }

    /// `comm` of a thread: the text is empty if its address is 0.
    pub fn write_name_at(&mut self, task: Value, offset: u32, to: At, size: u32) {
        self.fill(to, size);
        let (some, none) = (self.b.block(&[]), self.b.block(&[]));
        let zero = self.b.i64(0);
        self.b.branch(Cond::Ne, task, zero, some, none);
        self.b.switch_to(some);
        let address = self.b.binary_const(Binary::Add, task, offset.into());
        self.read_text(to, size, None, address, Space::Kernel, false);
        self.b.jump(none, &[]);
        self.b.switch_to(none);
    }
}

impl Unit<'_> {
    /// A function that gives the address of the thread with an id, 0 if there is none. Its parameters are the id and the
    /// `struct pid` of the current thread.
    fn thread_function(&mut self, table: ThreadTable) -> FuncRef {
        if let Some(known) = self.thread {
            return known;
        }
        let mut function = Function::new("skep_thread", FuncKind::Static, &[IrType::I64; 2], Some(IrType::I64));
        let slot = function.add_slot("word", 8, 8);
        let mut b = Builder::new(&mut function);
        let (id, own) = (b.function.params()[0], b.function.params()[1]);
        let id = b.unary(Unary::Truncate, id);
        let id = b.unary(Unary::Extend, id);
        let (leaf, none) = (b.block(&[IrType::I64]), b.block(&[]));
        let at = b.binary_const(Binary::Add, own, table.namespace.into());
        let namespace = word(&mut b, slot, at);
        let at = b.binary_const(Binary::Add, namespace, table.root.into());
        let mut entry = word(&mut b, slot, at);
        for level in 0..LEVELS {
            let (node, other) = (b.block(&[]), b.block(&[]));
            let tag = b.binary_const(Binary::And, entry, TAG);
            let wanted = b.i64(NODE);
            b.branch(Cond::Eq, tag, wanted, node, other);
            b.switch_to(other);
            b.jump(leaf, &[entry]);
            b.switch_to(node);
            let node = b.binary_const(Binary::Sub, entry, NODE);
            let at = b.binary_const(Binary::Add, node, table.shift.into());
            let shift = word(&mut b, slot, at);
            let shift = b.binary_const(Binary::And, shift, 63);
            let index = b.binary(Binary::Lshr, id, shift);
            if level == 0 {
                // What is above the uppermost node is not in the table.
                let inside = b.block(&[]);
                let children = b.i64(CHILDREN);
                b.branch(Cond::Ult, index, children, inside, none);
                b.switch_to(inside);
            }
            let index = b.binary_const(Binary::And, index, CHILDREN - 1);
            let distance = b.binary_const(Binary::Shl, index, 3);
            let child = b.binary_const(Binary::Add, node, table.slots.into());
            let child = b.binary(Binary::Add, child, distance);
            entry = word(&mut b, slot, child);
        }
        b.jump(leaf, &[entry]);

        b.switch_to(leaf);
        let found = b.param(leaf, 0);
        let tag = b.binary_const(Binary::And, found, TAG);
        let (pointer, linked) = (b.block(&[]), b.block(&[]));
        let zero = b.i64(0);
        b.branch(Cond::Eq, tag, zero, pointer, none);
        b.switch_to(pointer);
        let at = b.binary_const(Binary::Add, found, table.threads.into());
        let link = word(&mut b, slot, at);
        let zero = b.i64(0);
        b.branch(Cond::Ne, link, zero, linked, none);
        b.switch_to(linked);
        let task = b.binary_const(Binary::Sub, link, table.link.into());
        b.ret(Some(task));
        b.switch_to(none);
        let zero = b.i64(0);
        b.ret(Some(zero));
        let reference = self.module.add_function(function);
        self.thread = Some(reference);
        reference
    }
}

/// 8 bytes of the kernel at an address; 0 if they cannot be read.
fn word(b: &mut Builder<'_>, slot: Slot, address: Value) -> Value {
    let to = b.slot_addr(slot);
    let size = b.i64(8);
    helper(b, helpers::PROBE_READ_KERNEL, &[to, size, address], IrType::I64);
    let from = b.slot_addr(slot);
    b.load(Width::W64, from, 0)
}

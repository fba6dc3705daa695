//! Reads of kernel objects whose type the verifier knows: the thread, arguments of functions that are traced by their
//! types, and what their pointers lead to. A load is enough there; the kernel handles what cannot be read, which is zero.
//!
//! Pointers on the way are compared with null: the verifier takes some for pointers that may be null, and a helper would
//! give zero as well.

use skep_ir::{Block, Cond, Memory, Type as IrType, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::builtins::Builtin;
use crate::check::tree::{Base, Call, Expr, Kind, Place, Word};
use crate::types::{CompositeId, Space, Step, Type};

/// The number of the kernel's composite that a type points to.
fn target(ty: &Type) -> Option<u32> {
    match ty {
        Type::Pointer(to, Space::Kernel) => match **to {
            Type::Composite(CompositeId::Kernel(id)) => Some(id),
            _ => None,
        },
        _ => None,
    }
}

impl Body<'_, '_, '_> {
    /// The number at a place of an object behind a pointer, if a load gives it.
    pub fn direct(&mut self, pointer: &Expr, place: &Place, width: Width, signed: bool) -> Option<Value> {
        let id = self.known_type(pointer)?;
        if self.what_is_at(id, place, width.bytes()) != Some(Step::Number) {
            return None;
        }
        let null = self.b.block(&[]);
        let join = self.b.block(&[IrType::I64]);
        let ptr = self.known_pointer(pointer, id, null);
        let value = self.load(width, signed, At { ptr, off: place.offset, align: 8 });
        self.b.jump(join, &[value]);
        self.b.switch_to(null);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);
        self.b.switch_to(join);
        Some(self.b.param(join, 0))
    }

    fn what_is_at(&self, id: u32, place: &Place, size: u32) -> Option<Step> {
        if place.bits.is_some() || place.index.is_some() {
            return None;
        }
        self.cx.input.types.source().walk(id, place.offset, size)
    }

    /// The type of the object that a pointer leads to, if the verifier knows it.
    fn known_type(&self, pointer: &Expr) -> Option<u32> {
        let wanted = target(&pointer.ty)?;
        let known = match &pointer.kind {
            Kind::Builtin(Call::Value(Builtin::Curtask)) => true,
            Kind::Argument(Word::Number(_)) => self.is_typed,
            Kind::Convert(inner) => self.known_type(inner)? == wanted,
            Kind::Memory(place @ Place { base: Base::Address(inner, Space::Kernel), .. }) => {
                let id = self.known_type(inner)?;
                self.what_is_at(id, place, 8)? == Step::Pointer(wanted)
            }
            _ => false,
        };
        known.then_some(wanted)
    }

    /// The pointer itself; on to `null` if it is that.
    fn known_pointer(&mut self, pointer: &Expr, id: u32, null: Block) -> Value {
        self.at(pointer.span);
        let read = match &pointer.kind {
            Kind::Convert(inner) => return self.known_pointer(inner, id, null),
            Kind::Memory(Place { base: Base::Address(inner, _), offset, .. }) => {
                let before = self.known_type(inner).unwrap_or(id);
                let object = self.known_pointer(inner, before, null);
                self.load_pointer(Memory::KernelUntrusted(id), At { ptr: object, off: *offset, align: 8 })
            }
            Kind::Argument(Word::Number(number)) => {
                let context = self.context();
                let at = At { ptr: context, off: number.saturating_mul(8), align: 8 };
                self.load_pointer(Memory::Kernel(id), at)
            }
            _ => return self.call(helpers::CURRENT_TASK_BTF, &[], IrType::ptr(Memory::Kernel(id))),
        };
        let to = self.b.function.ty(read).pointer().map_or(Memory::Kernel(id), |pointer| pointer.to);
        let zero = self.b.null(to);
        let some = self.b.block(&[]);
        let known = self.b.branch_refining(Cond::Ne, read, zero, some, null);
        self.b.switch_to(some);
        known
    }
}

//! Types of computations and addresses.

use super::check::{Check, ensure, fits};
use super::control::Judged;
use crate::entity::{Entity, Value};
use crate::inst::InstData;
use crate::module::FuncKind;
use crate::op::{Cond, Space, Unary};
use crate::types::{Memory, Pointer, Type};

/// Judges everything that neither touches memory nor leads anywhere.
pub fn judge(check: &Check<'_>, data: &InstData, results: &[Type]) -> Judged {
    let &[result] = results else { return Err(format!("it has one result, not {}", results.len())) };
    match data {
        InstData::Const(number) => match result {
            Type::I32 | Type::I64 => Ok(()),
            Type::Ptr(Pointer { to: Memory::Any, .. }) => Ok(()),
            Type::Ptr(pointer) => ensure(pointer.nullable && *number == 0, || {
                "the only constant of a pointer type is 0, of a type that may be null".to_owned()
            }),
        },
        InstData::Unary(op, value) => unary(check, *op, *value, result),
        InstData::Binary(_, [left, right]) => {
            let (left, right) = (check.ty(*left), check.ty(*right));
            ensure(left.is_int() && left == right, || {
                format!("operands are two i32 or two i64, not {left} and {right}")
            })?;
            is(result, left)
        }
        InstData::Compare(cond, args) => {
            comparable(check, *cond, *args)?;
            is(result, Type::I64)
        }
        InstData::Select(cond, [left, right, yes, no]) => {
            comparable(check, *cond, [*left, *right])?;
            let context = result.pointer().is_some_and(|pointer| pointer.to == Memory::Context);
            ensure(!context, || "a context is not chosen: it is the parameter of the function".to_owned())?;
            [yes, no].into_iter().try_for_each(|value| {
                let ty = check.ty(*value);
                ensure(fits(ty, result), || format!("{value} is of type {ty}, the result of type {result}"))
            })
        }
        InstData::PtrAdd(ptr, offset) => {
            is(check.ty(*offset), Type::I64)?;
            addable(check.pointer(*ptr)?, false)?;
            is(result, check.ty(*ptr))
        }
        InstData::PtrAddConst(ptr, _) => {
            addable(check.pointer(*ptr)?, true)?;
            is(result, check.ty(*ptr))
        }
        InstData::PtrDiff(left, right) => {
            let (a, b) = (check.pointer(*left)?, check.pointer(*right)?);
            ensure(a == b || is_packet(a) && is_packet(b), || format!("{left} and {right} point to different memory"))?;
            is(result, Type::I64)
        }
        InstData::PtrToInt(ptr) => {
            ensure(!check.ty(*ptr).is_int(), || format!("{ptr} is not a pointer"))?;
            is(result, Type::I64)
        }
        InstData::Cast(value) => {
            ensure(check.ty(*value) != Type::I32, || format!("{value} is an i32: a pointer has 64 bits"))?;
            is(result, Type::ptr(Memory::Any))
        }
        InstData::SpaceCast(space, value) => {
            ensure(check.ty(*value) != Type::I32, || format!("{value} is an i32: an address has 64 bits"))?;
            is(result, Type::ptr(if *space == Space::Kernel { Memory::Arena } else { Memory::Any }))
        }
        InstData::Opaque(value) => is(result, check.ty(*value)),
        _ => address(check, data, result),
    }
}

fn address(check: &Check<'_>, data: &InstData, result: Type) -> Judged {
    match data {
        InstData::SlotAddr(_) => is(result, Type::ptr(Memory::Stack)),
        InstData::MapAddr(map) => is(result, Type::ptr(Memory::Map(*map))),
        InstData::GlobalAddr(global) => is(result, Type::ptr(Memory::Global(*global))),
        InstData::KernelAddr(_) => is(result, Type::ptr(Memory::Any)),
        InstData::FuncAddr(callee) => {
            let callee = &check.module.functions[callee.index()];
            ensure(callee.kind == FuncKind::Callback, || {
                format!("`{}` is not a callback: its address cannot be taken", callee.name)
            })?;
            is(result, Type::ptr(Memory::Function))
        }
        _ => is(result, Type::I64),
    }
}

fn is(ty: Type, expected: Type) -> Judged {
    ensure(ty == expected, || format!("expected type {expected}, found {ty}"))
}

fn unary(check: &Check<'_>, op: Unary, value: Value, result: Type) -> Judged {
    let ty = check.ty(value);
    ensure(ty.is_int(), || format!("{value} is of type {ty}; `{}` takes an integer", op.name()))?;
    match op {
        Unary::Extend => is(ty, Type::I32).and(is(result, Type::I64)),
        Unary::Truncate => is(ty, Type::I64).and(is(result, Type::I32)),
        Unary::Sext32 => is(result, Type::I64),
        Unary::Swap64 => is(ty, Type::I64).and(is(result, Type::I64)),
        Unary::Neg | Unary::Sext8 | Unary::Sext16 | Unary::Swap16 | Unary::Swap32 => is(result, ty),
    }
}

/// Whether a class of memory belongs to the packet: its pointers are compared with each other.
pub const fn is_packet(memory: Memory) -> bool {
    matches!(memory, Memory::Packet | Memory::PacketMeta | Memory::PacketEnd)
}

/// Two values that can be compared: integers of one type, or pointers to the same memory or into the packet.
pub fn comparable(check: &Check<'_>, cond: Cond, [left, right]: [Value; 2]) -> Judged {
    match (check.ty(left), check.ty(right)) {
        (Type::Ptr(a), Type::Ptr(b)) => {
            ensure(cond != Cond::Set, || "bits of pointers are not compared".to_owned())?;
            ensure(a.to == b.to || is_packet(a.to) && is_packet(b.to), || {
                format!("{left} and {right} point to different memory")
            })
        }
        (a, b) => ensure(a == b, || format!("{left} and {right} are of different types, {a} and {b}")),
    }
}

/// Whether something may be added to a pointer.
fn addable(memory: Memory, constant: bool) -> Judged {
    let message = match memory {
        Memory::Context => "the context is read at constant offsets from the parameter; nothing is added to it",
        Memory::Map(_) | Memory::InnerMap(_) => "nothing is added to a map",
        Memory::Function => "nothing is added to a function",
        Memory::PacketEnd => "the end of the packet is only compared: add to the other pointer",
        Memory::Kernel(_) | Memory::KernelUntrusted(_) if !constant => "only constants are added to a kernel object",
        _ => return Ok(()),
    };
    Err(message.to_owned())
}

//! Accesses to memory: class, type, alignment, and bounds where they are known.

use skep_isa::ProgType;

use super::check::{Check, ensure};
use super::control::{Judged, no_result};
use super::structure::ALIGNMENTS;
use crate::entity::{Entity, Value};
use crate::function::ValueDef;
use crate::inst::InstData;
use crate::module::FuncKind;
use crate::op::Width;
use crate::types::{Memory, Type};

/// Judges an instruction that touches memory.
pub fn judge(check: &Check<'_>, data: &InstData, results: &[Type]) -> Judged {
    match *data {
        InstData::Load { width, ptr, off, .. } => {
            let &[result] = results else { return Err(format!("it has one result, not {}", results.len())) };
            let memory = readable(check, ptr)?;
            access(check, memory, ptr, off.into(), width.bytes(), true)?;
            loaded(memory, width, result)
        }
        InstData::Store { width, ptr, off, value, .. } => {
            no_result(results)?;
            let memory = writable(check, ptr)?;
            access(check, memory, ptr, off.into(), width.bytes(), true)?;
            stored(memory, width, check.ty(value))
        }
        InstData::Atomic { width, ptr, off, value, .. } => atomic(check, width, ptr, off, &[value], results),
        InstData::CompareExchange { width, ptr, off, expected, value } => {
            atomic(check, width, ptr, off, &[expected, value], results)
        }
        InstData::Copy { to, from, len, align } => {
            no_result(results)?;
            let (target, source) = (writable(check, to)?, readable(check, from)?);
            block(check, target, to, len, align)?;
            block(check, source, from, len, align)
        }
        InstData::Fill { to, len, align, .. } => {
            no_result(results)?;
            block(check, writable(check, to)?, to, len, align)
        }
        InstData::PacketLoad { width, base, .. } => packet_load(check, width, base, results),
        _ => Ok(()),
    }
}

fn readable(check: &Check<'_>, ptr: Value) -> Result<Memory, String> {
    let memory = check.pointer(ptr)?;
    match memory {
        Memory::Map(_) | Memory::InnerMap(_) => Err(format!("{ptr} is a map: its values are looked up, not read")),
        Memory::PacketEnd => Err(format!("{ptr} is the end of the packet, which is only compared")),
        Memory::Function => Err(format!("{ptr} is a function, which is not read")),
        memory => Ok(memory),
    }
}

fn writable(check: &Check<'_>, ptr: Value) -> Result<Memory, String> {
    let memory = readable(check, ptr)?;
    match memory {
        Memory::Global(global) if check.module.globals[global.index()].is_read_only() => {
            Err(format!("`{}` is read-only", check.module.globals[global.index()].name))
        }
        Memory::KernelUntrusted(_) => Err("an untrusted kernel object is only read".to_owned()),
        memory => Ok(memory),
    }
}

/// What a pointer is an offset from, if all that was added to it is constant: the object and the bytes.
fn origin(check: &Check<'_>, mut ptr: Value) -> (Value, i64) {
    let mut sum = 0i64;
    // A chain that turns in a circle is not dominated by its definition; do not follow it for ever.
    for _ in 0..check.function.value_count() {
        match check.function.def_inst(ptr) {
            Some(InstData::PtrAddConst(base, off)) => {
                sum = sum.saturating_add(i64::from(*off));
                ptr = *base;
            }
            _ => break,
        }
    }
    (ptr, sum)
}

/// Bytes and alignment of the object that a pointer points to the start of.
fn object(check: &Check<'_>, base: Value) -> Option<(u32, u32)> {
    match check.function.def_inst(base)? {
        // Objects start at multiples of 8 in the frame.
        InstData::SlotAddr(slot) => Some((check.function.slots[slot.index()].size, 8)),
        InstData::GlobalAddr(global) => {
            let global = &check.module.globals[global.index()];
            Some((u32::try_from(global.bytes.len()).unwrap_or(u32::MAX), global.align))
        }
        _ => None,
    }
}

/// Bounds and alignment of an access, as far as they are known. `natural` accesses to stack and context are aligned.
fn access(check: &Check<'_>, memory: Memory, ptr: Value, off: i64, bytes: u32, natural: bool) -> Judged {
    let (base, before) = origin(check, ptr);
    let at = before.saturating_add(off);
    let aligned = at.rem_euclid(i64::from(bytes.max(1))) == 0;
    if memory == Memory::Context {
        let param = match check.function.def(base) {
            ValueDef::Param(block, _) => block == check.function.entry(),
            ValueDef::Result(..) => matches!(check.function.def_inst(base), Some(InstData::Load { .. })),
        };
        ensure(param, || format!("{ptr} is not the parameter that the context is"))?;
        ensure(at >= 0, || "the offset into the context is negative".to_owned())?;
        return ensure(!natural || aligned, || format!("offset {at} into the context is no multiple of {bytes}"));
    }
    let Some((size, _)) = object(check, base) else { return Ok(()) };
    ensure(at >= 0 && at.saturating_add(bytes.into()) <= i64::from(size), || {
        format!("bytes {at} to {} are not in the object of {size} bytes", at.saturating_add(bytes.into()))
    })?;
    ensure(!natural || memory != Memory::Stack || aligned, || {
        format!("offset {at} in the object on the stack is no multiple of {bytes}")
    })
}

fn loaded(memory: Memory, width: Width, result: Type) -> Judged {
    match result {
        Type::I32 => ensure(width != Width::W64, || "64 bits are loaded as an i64".to_owned()),
        Type::I64 => Ok(()),
        Type::Ptr(pointer) => {
            let narrow = memory == Memory::Context && width == Width::W32;
            ensure(width == Width::W64 || narrow, || "a pointer has 64 bits, in some contexts 32".to_owned())?;
            ensure(!matches!(memory, Memory::Packet | Memory::PacketMeta), || "a packet holds no pointers".to_owned())?;
            ensure(pointer.to != Memory::Context || memory == Memory::Stack, || {
                "a context is the parameter of the function, or was saved on the stack".to_owned()
            })
        }
    }
}

fn stored(memory: Memory, width: Width, value: Type) -> Judged {
    match value {
        Type::I32 => ensure(width != Width::W64, || "an i32 has no 64 bits: extend it".to_owned()),
        Type::I64 => Ok(()),
        Type::Ptr(_) => {
            ensure(width == Width::W64, || "a pointer is stored as a whole, with 64 bits".to_owned())?;
            let leak = matches!(memory, Memory::Context | Memory::Packet | Memory::PacketMeta);
            ensure(!leak, || "no pointer is stored in a context or a packet".to_owned())
        }
    }
}

fn atomic(check: &Check<'_>, width: Width, ptr: Value, off: i16, values: &[Value], results: &[Type]) -> Judged {
    let memory = writable(check, ptr)?;
    let allowed = matches!(
        memory,
        Memory::Stack | Memory::MapValue(_) | Memory::Global(_) | Memory::Record | Memory::Arena | Memory::Any
    );
    ensure(allowed, || {
        format!("atomic operations work on stack, map values, variables, records and arenas, not {memory}")
    })?;
    let ty = match width {
        Width::W32 => Type::I32,
        Width::W64 => Type::I64,
        _ => return Err("atomic operations have 32 or 64 bits".to_owned()),
    };
    ensure(results.len() <= 1 && results.iter().all(|&result| result == ty), || format!("its result is one {ty}"))?;
    let wrong = values.iter().find(|value| check.ty(**value) != ty);
    ensure(wrong.is_none(), || format!("operands of {} bits are of type {ty}", 8 * width.bytes()))?;
    access(check, memory, ptr, off.into(), width.bytes(), true)?;
    let (base, before) = origin(check, ptr);
    let at = before.saturating_add(off.into());
    // Where the start of the object is aligned, so must be the offset.
    let align = object(check, base).map_or(8, |object| object.1);
    let known = object(check, base).is_some();
    ensure(!known || align >= width.bytes() && at.rem_euclid(width.bytes().into()) == 0, || {
        format!("an atomic operation at offset {at} of an object with alignment {align} is not aligned")
    })
}

/// An object as a whole, or a part of it.
fn block(check: &Check<'_>, memory: Memory, ptr: Value, len: u32, align: u8) -> Judged {
    ensure(ALIGNMENTS.contains(&align.into()), || format!("{align} is no alignment: 1, 2, 4 or 8 is"))?;
    ensure(memory != Memory::Context, || "fields of a context are read one by one".to_owned())?;
    access(check, memory, ptr, 0, len, false)?;
    let (base, at) = origin(check, ptr);
    let known = object(check, base);
    let fits = known.is_none_or(|(_, start)| start >= align.into() && at.rem_euclid(align.into()) == 0);
    ensure(fits, || format!("{ptr} is no multiple of {align}"))
}

/// Legacy loads exist for programs that see socket buffers.
fn packet_load(check: &Check<'_>, width: Width, base: Option<Value>, results: &[Type]) -> Judged {
    ensure(width != Width::W64, || "packet loads have at most 32 bits".to_owned())?;
    ensure(results == [Type::I32], || "its result is one i32".to_owned())?;
    ensure(base.is_none_or(|base| check.ty(base) == Type::I32), || "the offset is an i32".to_owned())?;
    match &check.function.kind {
        FuncKind::Program(info) => {
            let legacy = [ProgType::SocketFilter, ProgType::SchedCls, ProgType::SchedAct];
            ensure(legacy.contains(&info.prog_type), || {
                format!(
                    "programs of type {} have no legacy packet loads; socket_filter and sched_cls do",
                    info.prog_type
                )
            })
        }
        _ => Err("legacy packet loads end the program: they stand in programs only".to_owned()),
    }
}

//! Memory: which accesses may touch the same bytes.

use skep_ir::{Binary, Entity, Function, Global, Inst, InstData, Memory, Slot, Unary, Value, Width};

/// A place in memory as far as it is known: a base, and bytes from it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The class of memory.
    pub class: Memory,
    /// The object on the stack, if it is one.
    pub slot: Option<Slot>,
    /// The value that the offset counts from.
    pub base: Value,
    /// Distance in bytes.
    pub offset: i64,
    /// Number of bytes.
    pub len: u32,
    /// Another base and the least distance from it, where the pointer is that base and a step that is not negative.
    pub floor: Option<(Value, i64)>,
}

impl Place {
    /// The bytes at a pointer.
    pub fn new(function: &Function, ptr: Value, off: i64, len: u32) -> Option<Self> {
        let class = function.ty(ptr).pointer()?.to;
        let (base, offset, slot) = origin(function, ptr);
        let offset = offset + off;
        let floor = match function.def_inst(base) {
            Some(InstData::PtrAdd(from, step)) if is_positive(function, *step) => {
                let (root, before, _) = origin(function, *from);
                Some((root, before + offset))
            }
            _ => None,
        };
        Some(Self { class, slot, base, offset, len, floor })
    }

    /// Whether this one begins behind the end of the other, however far.
    fn is_behind(&self, other: &Self) -> bool {
        self.floor.is_some_and(|(root, least)| root == other.base && other.offset + i64::from(other.len) <= least)
    }

    /// Whether an access to one may touch a byte of the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        if !may_alias(self.class, other.class) {
            return false;
        }
        match (self.slot, other.slot) {
            (Some(one), Some(another)) if one != another => return false,
            _ => {}
        }
        let same = self.base == other.base || self.slot.is_some() && self.slot == other.slot;
        let apart =
            self.offset + i64::from(self.len) <= other.offset || other.offset + i64::from(other.len) <= self.offset;
        !(same && apart || self.is_behind(other) || other.is_behind(self))
    }

    /// Whether all bytes of the other are in this one.
    pub fn covers(&self, other: &Self) -> bool {
        let same = self.base == other.base || self.slot.is_some() && self.slot == other.slot;
        same && self.offset <= other.offset && other.offset + i64::from(other.len) <= self.offset + i64::from(self.len)
    }
}

/// Whether a distance of 64 bits is not negative: a number of 32 bits, or a small multiple of one.
fn is_positive(function: &Function, step: Value) -> bool {
    let small = |value: Value| match function.def_inst(value) {
        Some(InstData::Unary(Unary::Extend, _)) => true,
        Some(InstData::Load { signed: false, width, .. }) => *width != Width::W64,
        _ => false,
    };
    let number = |value: &Value| function.constant(*value);
    match function.def_inst(step) {
        Some(InstData::Binary(Binary::Mul, [value, factor])) => {
            number(factor).is_some_and(|factor| (0..1 << 31).contains(&factor)) && small(*value)
        }
        Some(InstData::Binary(Binary::Shl, [value, by])) => {
            number(by).is_some_and(|by| (0..31).contains(&by)) && small(*value)
        }
        Some(InstData::Binary(Binary::And, [_, mask])) => number(mask).is_some_and(|mask| mask >= 0),
        _ => small(step),
    }
}

/// Where a pointer comes from by constant steps: the first pointer, the distance, and the object on the stack.
pub fn origin(function: &Function, ptr: Value) -> (Value, i64, Option<Slot>) {
    let (mut base, mut offset) = (ptr, 0);
    loop {
        match function.def_inst(base) {
            Some(InstData::PtrAddConst(from, step)) => {
                base = *from;
                offset += i64::from(*step);
            }
            Some(InstData::SlotAddr(slot)) => return (base, offset, Some(*slot)),
            _ => return (base, offset, None),
        }
    }
}

/// Whether pointers of two classes may point to the same byte. Objects of the kernel contain one another; records can be
/// slices of a packet, or a map value of another processor.
pub const fn may_alias(one: Memory, other: Memory) -> bool {
    use Memory::{Any, Global, Kernel, KernelUntrusted, MapValue, Packet, PacketMeta, Record};
    match (one, other) {
        (Kernel(_) | KernelUntrusted(_), Kernel(_) | KernelUntrusted(_))
        | (Record, MapValue(_) | Packet | PacketMeta | Record)
        | (MapValue(_) | Packet | PacketMeta, Record)
        | (Memory::Context, Memory::Context)
        | (Memory::Stack, Memory::Stack)
        | (Packet, Packet)
        | (PacketMeta, PacketMeta)
        | (Memory::Arena, Memory::Arena) => true,
        (Any, Memory::Map(_) | Memory::Function) | (Memory::Map(_) | Memory::Function, Any) => false,
        (Any, _) | (_, Any) => true,
        (MapValue(one), MapValue(other)) => one.0 == other.0,
        (Global(one), Global(other)) => one.0 == other.0,
        _ => false,
    }
}

/// The bytes that an instruction writes, if it writes at one place.
pub fn written(function: &Function, inst: Inst) -> Option<Place> {
    match function[inst].data {
        InstData::Store { width, ptr, off, .. }
        | InstData::Atomic { width, ptr, off, .. }
        | InstData::CompareExchange { width, ptr, off, .. } => Place::new(function, ptr, off.into(), width.bytes()),
        InstData::Copy { to, len, .. } | InstData::Fill { to, len, .. } => Place::new(function, to, 0, len),
        _ => None,
    }
}

/// The bytes that an instruction reads, if it reads at one place.
pub fn read(function: &Function, inst: Inst) -> Option<Place> {
    match function[inst].data {
        InstData::Load { width, ptr, off, .. }
        | InstData::Atomic { width, ptr, off, .. }
        | InstData::CompareExchange { width, ptr, off, .. } => Place::new(function, ptr, off.into(), width.bytes()),
        InstData::Copy { from, len, .. } => Place::new(function, from, 0, len),
        _ => None,
    }
}

/// The objects on the stack whose address is used for something else than accesses at constant offsets: calls may change
/// them. By index.
pub fn escaping_slots(function: &Function) -> Vec<bool> {
    let mut escaping = vec![false; function.slots.len()];
    let mut escape = |value: Value| {
        if let (_, _, Some(slot)) = origin(function, value) {
            escaping[slot.index()] = true;
        }
    };
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            match &function[inst].data {
                InstData::Load { .. } | InstData::PtrAddConst(..) | InstData::Fill { .. } | InstData::Copy { .. } => {}
                InstData::Store { value, .. } | InstData::Atomic { value, .. } => escape(*value),
                InstData::CompareExchange { expected, value, .. } => {
                    [*expected, *value].into_iter().for_each(&mut escape)
                }
                data => data.for_each_operand(&mut escape),
            }
        }
    }
    escaping
}

/// Whether nothing ever writes to a class of memory.
pub fn is_read_only(class: Memory, globals: &[Global]) -> bool {
    match class {
        Memory::Global(global) => globals.get(global.index()).is_some_and(Global::is_read_only),
        _ => false,
    }
}

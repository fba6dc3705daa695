//! Places in memory: addresses of lvalues, loads and stores, bit-fields, copies.

use std::fmt::Write as _;

use skep_ir::{Binary, Core, CoreKind, InstData, Space, Type, Unary, Value, Width};

use super::Lower;
use super::core::CoreWay;
use super::func::{Home, PTR};
use crate::parse::Parsed;
use crate::parse::ast::{Builtin, Expr, ExprKind, Storage};
use crate::source::{Diag, Loc};
use crate::types::{IntTy, Member, QTy, Quals, RecordId};

/// A place in memory.
#[derive(Debug, Clone)]
pub struct Addr {
    /// A pointer of any class.
    pub base: Value,
    /// Bytes behind it.
    pub off: i64,
    /// What the address is a multiple of.
    pub align: u64,
    pub volatile: bool,
    /// The relocated part of the way, behind `off`.
    pub core: Option<CoreWay>,
    /// Bits of a bit-field from here, and their number.
    pub bits: Option<(u64, u32)>,
    pub realm: Realm,
}

/// Whose memory a place is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// The program accesses it.
    Own,
    /// The kernel's, which only a helper reads.
    Kernel,
    /// The packet's: the address is an offset.
    Packet,
    /// An arena's: the address is one of user space.
    Arena,
}

impl Addr {
    pub const fn new(base: Value, align: u64) -> Self {
        Self { base, off: 0, align, volatile: false, core: None, bits: None, realm: Realm::Own }
    }

    /// So many bytes further on.
    pub fn plus(mut self, bytes: i64) -> Self {
        self.off += bytes;
        if bytes != 0 {
            self.align = self.align.min(1 << bytes.trailing_zeros().min(12));
        }
        self
    }
}

/// Where an lvalue is.
pub enum Place {
    Value(super::func::Local),
    Pair([super::func::Local; 2]),
    Memory(Addr),
}

impl Lower<'_> {
    /// The type that a register has for values of a C type.
    pub fn register(&self, ty: QTy) -> Type {
        match self.types.as_int(ty) {
            Some(int) if int.size() <= 4 => Type::I32,
            Some(_) => Type::I64,
            None => PTR,
        }
    }

    pub fn place(&mut self, expr: &Expr) -> Parsed<Place> {
        if let ExprKind::Var(var) = expr.kind {
            match self.home(var) {
                Some(Home::Value(local)) => return Ok(Place::Value(local)),
                Some(Home::Pair(pair)) => return Ok(Place::Pair(pair)),
                Some(Home::Slot(_)) | None => {}
            }
        }
        self.addr(expr).map(Place::Memory)
    }

    /// The address of an lvalue, or of an aggregate that is a value.
    pub fn addr(&mut self, expr: &Expr) -> Parsed<Addr> {
        self.at(expr.loc);
        let align = self.types.align(expr.ty);
        let mut addr = match &expr.kind {
            ExprKind::Var(var) => self.var_addr(*var, expr.loc)?,
            ExprKind::Compound(var, init) => {
                self.declare(*var, Some(init))?;
                self.var_addr(*var, expr.loc)?
            }
            ExprKind::Str(bytes) => {
                let global = self.string(bytes);
                let base = self.f().value(InstData::GlobalAddr(global), Type::ptr(skep_ir::Memory::Global(global)));
                Addr::new(base, 1)
            }
            ExprKind::Deref(ptr) => {
                let base = self.value(ptr)?;
                Addr { realm: self.realm(ptr, expr.ty), ..Addr::new(base, align) }
            }
            ExprKind::Member(base, record, index, preserve) => {
                let root = base.ty;
                let base = self.addr(base)?;
                self.member_addr(base, root, *record, *index, *preserve)?
            }
            ExprKind::Index(base, index) => {
                let size = self.types.size(expr.ty).unwrap_or(1);
                let base = self.addr(base)?;
                self.element_addr(base, index, size)?
            }
            ExprKind::Builtin(Builtin::Preserve, args) if args.len() == 1 => self.addr(&args[0])?,
            ExprKind::Cast(inner) if self.types.same(inner.ty, expr.ty, false) => self.addr(inner)?,
            _ => match self.rvalue(expr)? {
                super::expr::Val::Memory(addr) => addr,
                super::expr::Val::Wide(value) => {
                    let addr = self.temporary("", expr.ty);
                    self.store_wide(&addr, value)?;
                    addr
                }
                _ => return self.error(expr.loc, "this value has no place in memory"),
            },
        };
        addr.volatile |= self.types.strip(expr.ty).quals.has(Quals::VOLATILE);
        Ok(addr)
    }

    fn var_addr(&mut self, var: crate::parse::ast::VarId, loc: Loc) -> Parsed<Addr> {
        match self.home(var) {
            Some(Home::Slot(slot)) => {
                let align = u64::from(self.f().function.slots[skep_ir::Entity::index(slot)].align);
                let base = self.f().value(InstData::SlotAddr(slot), Type::ptr(skep_ir::Memory::Stack));
                Ok(Addr::new(base, align))
            }
            Some(Home::Value(local)) => {
                // A value whose address is needed after all is copied to memory: it is read there, not written.
                let ty = self.program.var(var).ty;
                let value = self.f().read(local);
                let addr = self.temporary("", ty);
                self.store(&addr, ty, value)?;
                Ok(addr)
            }
            Some(Home::Pair(pair)) => {
                let ty = self.program.var(var).ty;
                let value = self.read_pair(pair);
                let addr = self.temporary("", ty);
                self.store_wide(&addr, value)?;
                Ok(addr)
            }
            None => self.global_addr(var, loc),
        }
    }

    fn member_addr(&mut self, base: Addr, root: QTy, record: RecordId, index: u32, preserve: bool) -> Parsed<Addr> {
        let item = self.types.record(record);
        let Some(member) = item.members.as_ref().and_then(|members| members.get(index as usize)).cloned() else {
            return Ok(base);
        };
        let volatile = base.volatile;
        let mut addr = if preserve || base.core.is_some() {
            self.core_member(base, root, index, &member)
        } else {
            let align = if base.align < item_align(self, record) { base.align } else { u64::MAX };
            let mut addr = base.plus((member.bit_offset / 8).cast_signed());
            addr.align = member.align.min(align);
            addr
        };
        addr.volatile = volatile;
        addr.bits = member.bits.map(|width| (member.bit_offset % 8, width));
        Ok(addr)
    }

    fn core_member(&mut self, base: Addr, root: QTy, index: u32, member: &Member) -> Addr {
        let mut addr = base;
        let bytes = (member.bit_offset / 8).cast_signed();
        match &mut addr.core {
            Some(way) => {
                let _ = write!(way.access, ":{index}");
                way.local += bytes;
                way.bits = member.bits.map(|width| (way.local.cast_unsigned() * 8 + member.bit_offset % 8, width));
                way.ty = member.ty;
            }
            None => {
                addr.core = Some(CoreWay {
                    root,
                    access: format!("0:{index}"),
                    local: bytes,
                    bits: member.bits.map(|width| (member.bit_offset, width)),
                    ty: member.ty,
                });
            }
        }
        addr.align = member.align;
        addr
    }

    fn element_addr(&mut self, base: Addr, index: &Expr, size: u64) -> Parsed<Addr> {
        let mut base = base;
        let position = self.value(index)?;
        if let Some(at) = self.f().constant(position) {
            let step = at.wrapping_mul(size.cast_signed());
            if let Some(way) = base.core.as_mut().filter(|_| at >= 0) {
                let _ = write!(way.access, ":{at}");
                way.local += step;
                if let Some((of, _)) = self.types.element(way.ty) {
                    way.ty = of;
                }
                base.align = base.align.min(if step == 0 { u64::MAX } else { 1 << step.trailing_zeros().min(12) });
                return Ok(base);
            }
            return Ok(base.plus(step));
        }
        let (volatile, realm) = (base.volatile, base.realm);
        let align = base.align.min(1 << size.trailing_zeros().min(12));
        let bytes = self.f().binary_number(Binary::Mul, position, size.cast_signed());
        // A constant part stays behind the variable one, where instructions have room for it.
        let off = if base.core.is_none() { std::mem::take(&mut base.off) } else { 0 };
        let ptr = self.pointer(base);
        let ty = self.f().ty(ptr);
        let sum = self.f().value(InstData::PtrAdd(ptr, bytes), ty);
        let mut addr = Addr::new(sum, align);
        (addr.off, addr.volatile, addr.realm) = (off, volatile, realm);
        Ok(addr)
    }

    /// The address as a pointer of the class that it has.
    pub fn pointer(&mut self, addr: Addr) -> Value {
        let base = self.relocated(addr.base, addr.off, addr.core.as_ref());
        let off = if addr.core.is_some() { 0 } else { addr.off };
        self.f().add_bytes(base, off)
    }

    /// The address as a pointer value.
    pub fn pointer_value(&mut self, addr: Addr) -> Value {
        let ptr = self.pointer(addr);
        self.f().make_ptr(ptr)
    }

    /// A pointer plus the relocated part of the way, if there is one.
    fn relocated(&mut self, base: Value, off: i64, way: Option<&CoreWay>) -> Value {
        let Some(way) = way else { return base };
        let base = self.f().add_bytes(base, off);
        let root = self.root_btf(way.root);
        let core = Core { kind: CoreKind::FieldOffset, ty: root, access: way.access.as_str().into(), local: way.local };
        let core = self.module.add_core(core);
        let offset = self.f().core(core);
        let ty = self.f().ty(base);
        self.f().value(InstData::PtrAdd(base, offset), ty)
    }

    /// The base as memory is read and written through it.
    fn accessible(&mut self, addr: &Addr) -> Value {
        if addr.realm == Realm::Arena { self.f().space_cast(Space::Kernel, addr.base) } else { addr.base }
    }

    /// The address as a pointer that memory is read and written through.
    pub fn accessed(&mut self, addr: Addr) -> Value {
        let base = self.accessible(&addr);
        self.pointer(Addr { base, ..addr })
    }

    /// Base and distance for accesses.
    fn access(&mut self, addr: &Addr, more: u64) -> (Value, i16) {
        let base = self.accessible(addr);
        let base = self.relocated(base, addr.off, addr.core.as_ref());
        let off = if addr.core.is_some() { 0 } else { addr.off } + more.cast_signed();
        match i16::try_from(off) {
            Ok(off) => (base, off),
            Err(_) => (self.f().add_bytes(base, off), 0),
        }
    }

    /// The place of a bit-field. The unit of its type that it is in is relocated, as clang does it; where the bits are in
    /// the unit is what the types of the program say. `BPF_CORE_READ_BITFIELD` relocates both.
    pub fn storage_unit(&mut self, addr: &Addr) -> Addr {
        let mut place = addr.clone();
        let Some(mut way) = place.core.take() else { return place };
        let (start, _) = self.unit_of(&way);
        let inside = way.local - start;
        way.local = start;
        place.base = self.relocated(place.base, place.off, Some(&way));
        place.off = inside;
        place
    }

    fn load_piece(&mut self, addr: &Addr, at: u64, width: Width, signed: bool, ty: Type) -> Value {
        let (ptr, off) = self.access(addr, at);
        let volatile = addr.volatile;
        self.f().value(InstData::Load { width, signed, ptr, off, volatile }, ty)
    }

    /// Reads an integer of so many bytes, in parts if it is not aligned.
    pub fn load_bytes(&mut self, addr: &Addr, at: u64, size: u64, signed: bool, ty: Type) -> Value {
        let align = addr.align.min(if at == 0 { 8 } else { 1 << at.trailing_zeros().min(3) }).max(1);
        let step = align.min(size);
        if step >= size {
            let width = Width::from_bytes(size as u32).unwrap_or(Width::W64);
            return self.load_piece(addr, at, width, signed && size < 8, ty);
        }
        let width = Width::from_bytes(step as u32).unwrap_or(Width::W8);
        let mut sum = None;
        for part in (0..size).step_by(step as usize) {
            let last = part + step == size;
            let piece = self.load_piece(addr, at + part, width, signed && last, ty);
            let piece = self.f().binary_number(Binary::Shl, piece, 8 * part.cast_signed());
            sum = Some(match sum {
                None => piece,
                Some(sum) => self.f().binary(Binary::Or, sum, piece),
            });
        }
        match sum {
            Some(sum) => sum,
            None => self.f().number(0, ty),
        }
    }

    pub fn store_bytes(&mut self, addr: &Addr, at: u64, size: u64, value: Value) {
        let align = addr.align.min(if at == 0 { 8 } else { 1 << at.trailing_zeros().min(3) }).max(1);
        let step = align.min(size);
        let width = Width::from_bytes(step as u32).unwrap_or(Width::W8);
        let volatile = addr.volatile;
        for part in (0..size).step_by(step as usize) {
            let piece = self.f().binary_number(Binary::Lshr, value, 8 * part.cast_signed());
            let (ptr, off) = self.access(addr, at + part);
            self.f().inst(InstData::Store { width, ptr, off, value: piece, volatile }, &[]);
        }
    }

    /// Reads a value that a register holds.
    pub fn load(&mut self, addr: &Addr, ty: QTy) -> Parsed<Value> {
        match addr.realm {
            Realm::Own | Realm::Arena => {}
            Realm::Kernel => {
                let copy = self.fetched(addr, ty)?;
                return self.load(&copy, ty);
            }
            Realm::Packet => return self.load_from_packet(addr, ty),
        }
        if let Some((bit, width)) = addr.bits {
            let addr = self.storage_unit(addr);
            return self.load_bits(&addr, ty, bit, width);
        }
        let Some(int) = self.types.as_int(ty) else {
            let value = self.load_bytes(addr, 0, 8, false, Type::I64);
            return Ok(self.f().make_ptr(value));
        };
        Ok(self.load_bytes(addr, 0, int.size(), int.signed(), self.register(ty)))
    }

    /// Writes a value that a register holds.
    pub fn store(&mut self, addr: &Addr, ty: QTy, value: Value) -> Parsed<()> {
        if addr.realm == Realm::Packet {
            return self.store_to_packet(addr, ty, value);
        }
        if let Some((bit, width)) = addr.bits {
            let addr = self.storage_unit(addr);
            return self.store_bits(&addr, ty, value, bit, width);
        }
        let size = self.types.size(ty).unwrap_or(8);
        let value = if self.f().ty(value).is_int() { value } else { self.f().make_int(value) };
        self.store_bytes(addr, 0, size, value);
        Ok(())
    }

    /// How many bytes a bit-field is in, from its place.
    fn bit_bytes(&mut self, bit: u64, width: u32) -> Parsed<u64> {
        let needed = (bit + u64::from(width)).div_ceil(8);
        if needed > 8 {
            let loc = self.place_now;
            return self.error(loc, "a bit-field that spans more than eight bytes is not supported");
        }
        Ok(needed)
    }

    fn load_unit(&mut self, addr: &Addr, bytes: u64, ty: Type) -> Value {
        // In pieces, so that nothing behind the field is read.
        let mut sum: Option<Value> = None;
        for (at, step) in pieces(addr.align, bytes) {
            let piece = self.load_bytes(addr, at, step, false, ty);
            let piece = self.f().binary_number(Binary::Shl, piece, 8 * at.cast_signed());
            sum = Some(match sum {
                None => piece,
                Some(sum) => self.f().binary(Binary::Or, sum, piece),
            });
        }
        match sum {
            Some(sum) => sum,
            None => self.f().number(0, ty),
        }
    }

    fn load_bits(&mut self, addr: &Addr, ty: QTy, bit: u64, width: u32) -> Parsed<Value> {
        let bytes = self.bit_bytes(bit, width)?;
        let int = self.types.as_int(ty).unwrap_or(IntTy::UInt);
        let (work, bits) = if bytes > 4 { (Type::I64, 64) } else { (Type::I32, 32) };
        let raw = self.load_unit(addr, bytes, work);
        let value = if int.signed() {
            let up = self.f().binary_number(Binary::Shl, raw, bits - bit.cast_signed() - i64::from(width));
            self.f().binary_number(Binary::Ashr, up, bits - i64::from(width))
        } else {
            let down = self.f().binary_number(Binary::Lshr, raw, bit.cast_signed());
            if i64::from(width) == bits { down } else { self.f().binary_number(Binary::And, down, (1i64 << width) - 1) }
        };
        Ok(match (work, self.register(ty)) {
            (Type::I64, Type::I32) => self.f().unary(Unary::Truncate, value),
            (Type::I32, Type::I64) if int.signed() => self.f().unary(Unary::Sext32, value),
            (Type::I32, Type::I64) => self.f().unary(Unary::Extend, value),
            _ => value,
        })
    }

    fn store_bits(&mut self, addr: &Addr, ty: QTy, value: Value, bit: u64, width: u32) -> Parsed<()> {
        let bytes = self.bit_bytes(bit, width)?;
        let work = if bytes > 4 { Type::I64 } else { Type::I32 };
        let value = match (self.register(ty), work) {
            (Type::I64, Type::I32) => self.f().unary(Unary::Truncate, value),
            (Type::I32, Type::I64) => self.f().unary(Unary::Extend, value),
            _ => value,
        };
        let mask = if width >= 64 { -1 } else { (1i64 << width) - 1 };
        let value = self.f().binary_number(Binary::And, value, mask);
        let value = self.f().binary_number(Binary::Shl, value, bit.cast_signed());
        let old = self.load_unit(addr, bytes, work);
        let kept = self.f().binary_number(Binary::And, old, !(mask.wrapping_shl(bit as u32)));
        let new = self.f().binary(Binary::Or, kept, value);
        for (at, step) in pieces(addr.align, bytes) {
            let piece = self.f().binary_number(Binary::Lshr, new, 8 * at.cast_signed());
            self.store_bytes(addr, at, step, piece);
        }
        Ok(())
    }

    /// A new object on the stack.
    pub fn temporary(&mut self, name: &str, ty: QTy) -> Addr {
        let size = self.types.size(ty).unwrap_or(1);
        let align = self.types.align(ty).clamp(1, 8);
        let slot = self.slot(name, size, align);
        let base = self.f().value(InstData::SlotAddr(slot), Type::ptr(skep_ir::Memory::Stack));
        Addr::new(base, align)
    }

    /// A slot; one that is too large for any stack is reported once and made small.
    pub fn slot(&mut self, name: &str, size: u64, align: u64) -> skep_ir::Slot {
        let fits = u32::try_from(size).ok().filter(|size| *size <= 512);
        if fits.is_none() {
            let text = if name.is_empty() { "a temporary value".to_owned() } else { format!("`{name}`") };
            let loc = self.place_now;
            self.diags.push(
                Diag::error(loc, format!("{text} has {size} bytes, the stack of a BPF program 512"))
                    .with_help("put it into a map: a per-CPU array with one element serves as room to work in"),
            );
            self.failed = true;
        }
        let (size, align) = (fits.unwrap_or(8).max(1), align.clamp(1, 8) as u8);
        let f = self.f();
        let again = f.free.iter().position(|&slot| {
            let known = &f.function.slots[skep_ir::Entity::index(slot)];
            known.size == size && known.align == align && known.name == name
        });
        let slot = match again {
            Some(at) => f.free.swap_remove(at),
            None => f.function.add_slot(name, size, align),
        };
        if let Some(frame) = f.frame() {
            frame.slots.push(slot);
        }
        slot
    }

    /// Copies an object.
    pub fn copy(&mut self, to: Addr, from: Addr, size: u64) {
        if [to.realm, from.realm].contains(&Realm::Packet) {
            self.refuse_packet_copy();
            return;
        }
        if from.realm == Realm::Kernel {
            let (to, from) = (self.pointer(to), self.pointer(from));
            self.read_kernel(to, size, from);
            return;
        }
        let align = to.align.min(from.align).clamp(1, 8) as u8;
        if self.f().is_of_context(from.base) && from.core.is_none() {
            // Fields of a context are read one by one, at offsets that are known.
            for (at, step) in pieces(align.into(), size) {
                let ty = if step == 8 { Type::I64 } else { Type::I32 };
                let value = self.load_bytes(&from, at, step, false, ty);
                self.store_bytes(&to, at, step, value);
            }
            return;
        }
        let (to, from) = (self.accessed(to), self.accessed(from));
        let len = u32::try_from(size).unwrap_or(u32::MAX);
        if len > 0 && to != from {
            self.f().inst(InstData::Copy { to, from, len, align }, &[]);
        }
    }

    /// Clears an object.
    pub fn clear(&mut self, to: Addr, size: u64, byte: u8) {
        let align = to.align.clamp(1, 8) as u8;
        let to = self.accessed(to);
        let len = u32::try_from(size).unwrap_or(u32::MAX);
        if len > 0 {
            self.f().inst(InstData::Fill { to, len, byte, align }, &[]);
        }
    }

    fn home(&mut self, var: crate::parse::ast::VarId) -> Option<Home> {
        if self.program.var(var).storage != Storage::Local {
            return None;
        }
        self.f().frames.iter().rev().find_map(|frame| frame.homes.get(&var).copied())
    }
}

fn item_align(lower: &Lower<'_>, record: RecordId) -> u64 {
    lower.types.record(record).align
}

/// The accesses that make up so many bytes at a place with an alignment: where each begins, and its width.
fn pieces(align: u64, bytes: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= bytes {
            return None;
        }
        let place = if at == 0 { align } else { align.min(1 << at.trailing_zeros()) };
        let mut step = place.clamp(1, 8);
        while step > bytes - at {
            step /= 2;
        }
        at += step;
        Some((at - step, step))
    })
}

//! Types from the kernel's BTF, taken over one by one when they are asked for. Records get their members on first use.

use std::rc::Rc;

use skep_btf::{Btf, Kind as BtfKind, TypeId};

use super::{Enum, FuncTy, IntTy, Kind, Member, QTy, Quals, Record, RecordId, Types};

/// Most types on a chain of pointers, arrays and names.
const DEEPEST: u32 = 64;

impl Types {
    /// The type with a number in `btf`. `preserve` says whether accesses to records are relocated. What cannot be read
    /// becomes `void`.
    pub fn kernel_type(&mut self, btf: &Btf, id: TypeId, preserve: bool) -> QTy {
        self.kernel_type_within(btf, id, preserve, DEEPEST)
    }

    fn kernel_type_within(&mut self, btf: &Btf, id: TypeId, preserve: bool, depth: u32) -> QTy {
        if let Some(&known) = self.kernel_types.get(&id) {
            return known;
        }
        let (Ok(kind), true) = (btf.kind(id), depth > 0) else { return Self::void() };
        let name: Rc<str> = btf.name(id).unwrap_or("").into();
        let inner = |types: &mut Self, of: TypeId| types.kernel_type_within(btf, of, preserve, depth - 1);
        let ty = match kind {
            BtfKind::Void => Self::void(),
            BtfKind::Int(int) => Self::int(int_named(&name, int.size, int.signed, int.bool)),
            BtfKind::Ptr(to) => {
                let to = inner(self, to);
                self.ptr(to)
            }
            BtfKind::Array(array) => {
                let of = inner(self, array.element);
                self.array(of, Some(array.len.into()))
            }
            BtfKind::Struct(composite) => self.record_from(&name, false, Some((id, composite.size)), preserve),
            BtfKind::Union(composite) => self.record_from(&name, true, Some((id, composite.size)), preserve),
            BtfKind::Fwd { union } => {
                // The definition may have another number.
                let found = btf.find_type(&name, |kind| match kind {
                    BtfKind::Struct(_) => !union,
                    BtfKind::Union(_) => union,
                    _ => false,
                });
                match found {
                    Some(found) => inner(self, found),
                    None => self.record_from(&name, union, None, preserve),
                }
            }
            BtfKind::Enum(list) | BtfKind::Enum64(list) => {
                let values =
                    list.values().map(|value| (Rc::from(btf.string(value.name).unwrap_or("")), value.value)).collect();
                let repr = match (list.size, list.signed) {
                    (8, true) => IntTy::Long,
                    (8, false) => IntTy::ULong,
                    (1, _) => IntTy::UChar,
                    (2, _) => IntTy::UShort,
                    (_, true) => IntTy::Int,
                    _ => IntTy::UInt,
                };
                let item = self.add_enum(Enum { tag: name, repr, values, complete: true });
                self.plain(Kind::Enum(item))
            }
            BtfKind::Typedef(of) => {
                let of = inner(self, of);
                self.typedef(name, of)
            }
            BtfKind::Volatile(of) => with(inner(self, of), Quals::VOLATILE),
            BtfKind::Const(of) => with(inner(self, of), Quals::CONST),
            BtfKind::Restrict(of) => with(inner(self, of), Quals::RESTRICT),
            BtfKind::TypeTag(of) if &*name == "address_space(1)" => with(inner(self, of), Quals::ARENA),
            BtfKind::TypeTag(of) => inner(self, of),
            BtfKind::FuncProto(proto) => {
                let ret = inner(self, proto.result);
                let mut params: Vec<QTy> = Vec::new();
                let mut variadic = false;
                for param in proto.params() {
                    if param.ty == TypeId::VOID {
                        variadic = true;
                        break;
                    }
                    params.push(inner(self, param.ty));
                }
                self.plain(Kind::Func(Rc::new(FuncTy { ret, params, variadic })))
            }
            BtfKind::Func { proto, .. } => inner(self, proto),
            BtfKind::Var { ty, .. } => inner(self, ty),
            BtfKind::Float { size } => self.plain(Kind::Float(size as u8)),
            BtfKind::Datasec { .. } | BtfKind::DeclTag(_) => Self::void(),
        };
        self.kernel_types.insert(id, ty);
        ty
    }

    fn record_from(&mut self, name: &Rc<str>, union: bool, kernel: Option<(TypeId, u32)>, preserve: bool) -> QTy {
        let id = self.add_record(Record {
            union,
            tag: Rc::clone(name),
            members: None,
            size: kernel.map_or(0, |(_, size)| size.into()),
            align: 1,
            preserve,
            kernel: kernel.map(|(id, _)| id),
            known: kernel.is_some(),
            packet: false,
        });
        let ty = self.plain(Kind::Record(id));
        if let Some((number, _)) = kernel {
            self.kernel_types.insert(number, ty);
        }
        ty
    }

    /// Gives a record its members if it comes from `btf` and has none yet.
    pub fn complete(&mut self, btf: &Btf, id: RecordId) {
        let record = self.record(id);
        let (Some(number), None, preserve) = (record.kernel, &record.members, record.preserve) else { return };
        let Ok(BtfKind::Struct(composite) | BtfKind::Union(composite)) = btf.kind(number) else { return };
        // While members are taken over, the record must not be entered again.
        self.records[id.0 as usize].members = Some(Vec::new());
        let mut members = Vec::new();
        let mut align = 1u64;
        let size = u64::from(composite.size);
        for member in composite.members() {
            let name: Rc<str> = btf.string(member.name).unwrap_or("").into();
            let ty = self.kernel_type(btf, member.ty, preserve);
            if let Some(inner) = self.as_record(ty).or_else(|| self.record_of_elements(ty)) {
                self.complete(btf, inner);
            }
            let bit_offset = u64::from(member.bit_offset);
            let bits = (member.bits > 0).then_some(u32::from(member.bits));
            let natural = self.align(ty);
            if bits.is_none() && bit_offset % (8 * natural) == 0 && size % natural == 0 {
                align = align.max(natural);
            }
            members.push(Member { name, ty, bit_offset, bits, align: natural, tags: Vec::new() });
        }
        for member in &mut members {
            let place = 1u64 << (member.bit_offset / 8).trailing_zeros().min(12);
            member.align = if member.bit_offset == 0 { align } else { place.min(align) };
        }
        let record = &mut self.records[id.0 as usize];
        (record.members, record.align) = (Some(members), align);
    }

    fn record_of_elements(&self, mut ty: QTy) -> Option<RecordId> {
        while let Some((of, _)) = self.element(ty) {
            ty = of;
        }
        self.as_record(ty)
    }
}

const fn with(ty: QTy, quals: Quals) -> QTy {
    QTy { ty: ty.ty, quals: ty.quals.with(quals) }
}

fn int_named(name: &str, size: u32, signed: bool, bool: bool) -> IntTy {
    if bool {
        return IntTy::Bool;
    }
    match (size, signed, name) {
        (1, _, "char") => IntTy::Char,
        (1, true, _) => IntTy::SChar,
        (1, false, _) => IntTy::UChar,
        (2, true, _) => IntTy::Short,
        (2, false, _) => IntTy::UShort,
        (4, true, _) => IntTy::Int,
        (4, false, _) => IntTy::UInt,
        (16, true, _) => IntTy::Int128,
        (16, false, _) => IntTy::UInt128,
        (_, true, "long long" | "long long int") => IntTy::LongLong,
        (_, false, "unsigned long long" | "long long unsigned int") => IntTy::ULongLong,
        (_, true, _) => IntTy::Long,
        (_, false, _) => IntTy::ULong,
    }
}

//! The program's own types as BTF: what functions, maps, variables and relocations refer to.

use std::collections::HashMap;

use skep_btf::{Array, BtfBuilder, DeclTag, Int as BtfInt, Linkage, NewMember, NewType, TypeId};

use super::{IntTy, Kind, QTy, Quals, RecordId, Types};

/// Writes types once each. Records behind pointers come last, so that circles have no end.
#[derive(Debug)]
pub struct BtfOut {
    builder: BtfBuilder,
    ids: HashMap<QTy, TypeId>,
    records: HashMap<RecordId, TypeId>,
    forwards: HashMap<(std::rc::Rc<str>, bool), TypeId>,
    /// Pointers whose targets are still to be written.
    pending: Vec<(TypeId, QTy)>,
    failed: bool,
}

impl BtfOut {
    pub fn new() -> Self {
        Self {
            builder: BtfBuilder::new(),
            ids: HashMap::new(),
            records: HashMap::new(),
            forwards: HashMap::new(),
            pending: Vec::new(),
            failed: false,
        }
    }

    fn add(&mut self, name: &str, ty: NewType<'_>) -> TypeId {
        match self.builder.add(name, ty) {
            Ok(id) => id,
            Err(_) => {
                self.failed = true;
                TypeId::VOID
            }
        }
    }

    /// The number of a type.
    pub fn id(&mut self, types: &Types, ty: QTy) -> TypeId {
        if let Some(&id) = self.ids.get(&ty) {
            return id;
        }
        let id = self.write(types, ty);
        self.ids.insert(ty, id);
        id
    }

    fn write(&mut self, types: &Types, ty: QTy) -> TypeId {
        if ty.quals.has(Quals::ARENA) {
            // The kernel tells such pointers apart by what is done with them.
            return self.id(types, QTy { ty: ty.ty, quals: Quals(ty.quals.0 & !Quals::ARENA.0) });
        }
        for (bit, make) in [
            (Quals::RESTRICT, NewType::Restrict as fn(TypeId) -> NewType<'static>),
            (Quals::VOLATILE, NewType::Volatile),
            (Quals::CONST, NewType::Const),
        ] {
            if ty.quals.has(bit) {
                let inner = self.id(types, QTy { ty: ty.ty, quals: Quals(ty.quals.0 & !bit.0) });
                return self.add("", make(inner));
            }
        }
        match types.raw(ty.ty).clone() {
            Kind::Void => TypeId::VOID,
            Kind::Int(int) => self.int(int),
            Kind::Float(size) => {
                let name = if size == 4 { "float" } else { "double" };
                self.add(name, NewType::Float { size: size.into() })
            }
            Kind::Ptr(to) => {
                let id = self.add("", NewType::Ptr(TypeId::VOID));
                self.pending.push((id, to));
                id
            }
            Kind::Array(of, len) => {
                let element = self.id(types, of);
                let index = self.id(types, Types::int(IntTy::UInt));
                let len = u32::try_from(len.unwrap_or(0)).unwrap_or(u32::MAX);
                self.add("", NewType::Array(Array { element, index, len }))
            }
            Kind::Func(func) => {
                let result = self.id(types, func.ret);
                let mut params: Vec<(&str, TypeId)> =
                    func.params.iter().map(|&param| ("", self.id(types, param))).collect();
                if func.variadic {
                    params.push(("", TypeId::VOID));
                }
                self.add("", NewType::FuncProto { result, params: &params })
            }
            Kind::Record(id) => self.record(types, id),
            Kind::Enum(id) => {
                let item = types.enumeration(id).clone();
                let values: Vec<(&str, i64)> = item.values.iter().map(|(name, value)| (&**name, *value)).collect();
                let (size, signed) = (item.repr.size() as u32, item.repr.signed());
                let ty = if size > 4 {
                    NewType::Enum64 { size, signed, values: &values }
                } else {
                    NewType::Enum { size, signed, values: &values }
                };
                self.add(&item.tag, ty)
            }
            Kind::Typedef(name, of, _) => {
                let of = self.id(types, of);
                self.add(&name, NewType::Typedef(of))
            }
            Kind::Tagged(tag, of) => {
                let of = self.id(types, of);
                self.add(&tag, NewType::TypeTag(of))
            }
        }
    }

    fn int(&mut self, int: IntTy) -> TypeId {
        let size = int.size() as u32;
        let (bool, bits) = (int == IntTy::Bool, (8 * size) as u8);
        let ty = BtfInt { size, bits, bit_offset: 0, signed: int.signed(), char: false, bool };
        self.add(int.name(), NewType::Int(ty))
    }

    /// The number of a record.
    pub fn record(&mut self, types: &Types, id: RecordId) -> TypeId {
        if let Some(&known) = self.records.get(&id) {
            return known;
        }
        let record = types.record(id);
        let Some(members) = &record.members else {
            if record.tag.is_empty() {
                return TypeId::VOID;
            }
            let key = (record.tag.clone(), record.union);
            if let Some(&known) = self.forwards.get(&key) {
                return known;
            }
            let forward = self.add(&record.tag, NewType::Fwd { union: record.union });
            self.forwards.insert(key, forward);
            return forward;
        };
        let list: Vec<NewMember<'_>> = members
            .iter()
            .map(|member| NewMember {
                name: &member.name,
                ty: self.id(types, member.ty),
                bit_offset: u32::try_from(member.bit_offset).unwrap_or(u32::MAX),
                bits: member.bits.unwrap_or(0) as u8,
            })
            .collect();
        let size = u32::try_from(record.size).unwrap_or(u32::MAX);
        let ty = if record.union {
            NewType::Union { size, members: &list }
        } else {
            NewType::Struct { size, members: &list }
        };
        let made = self.add(&record.tag, ty);
        self.records.insert(id, made);
        for (number, member) in (0..).zip(members) {
            member.tags.iter().for_each(|tag| self.tag(tag, made, Some(number)));
        }
        made
    }

    /// A function with the names of its parameters.
    pub fn func(
        &mut self,
        types: &Types,
        name: &str,
        ret: QTy,
        params: &[(std::rc::Rc<str>, QTy)],
        linkage: Linkage,
    ) -> TypeId {
        let result = self.id(types, ret);
        let list: Vec<(&str, TypeId)> = params
            .iter()
            .map(|(name, ty)| (if name.is_empty() { "arg" } else { &**name }, self.id(types, *ty)))
            .collect();
        let proto = self.add("", NewType::FuncProto { result, params: &list });
        self.add(name, NewType::Func { proto, linkage })
    }

    /// A variable of the file.
    pub fn var(&mut self, types: &Types, name: &str, ty: QTy, linkage: Linkage) -> TypeId {
        let ty = self.id(types, ty);
        self.add(name, NewType::Var { ty, linkage })
    }

    /// An attribute of a variable, of a function or of one of its parameters.
    pub fn tag(&mut self, text: &str, target: TypeId, component: Option<u32>) {
        self.add(text, NewType::DeclTag(DeclTag { target, component }));
    }

    /// All types, `None` if one of them does not fit into BTF.
    pub fn finish(mut self, types: &Types) -> Option<Vec<u8>> {
        while let Some((pointer, to)) = self.pending.pop() {
            let target = self.id(types, to);
            if self.builder.set_target(pointer, target).is_err() {
                return None;
            }
        }
        (!self.failed).then(|| self.builder.to_bytes())
    }
}

//! Maps from their definitions in section `.maps`.

use std::rc::Rc;

use skep_ir::{MapDecl, MapRef};
use skep_isa::MapType;

use super::Lower;
use crate::konst::{Const, Eval, Symbol};
use crate::parse::Parsed;
use crate::parse::ast::VarId;
use crate::source::{Diag, Loc};
use crate::types::{Kind, QTy, RecordId};
use crate::unit::MapExtra;

/// What a definition says.
#[derive(Default)]
struct Definition {
    map_type: Option<u64>,
    key_size: u64,
    value_size: u64,
    max_entries: u64,
    flags: u64,
    key: Option<QTy>,
    value: Option<QTy>,
    inner: Option<QTy>,
    pinning: u64,
    map_extra: u64,
    numa_node: Option<u64>,
}

impl Lower<'_> {
    /// The number of the map that a variable defines.
    pub fn map(&mut self, var: VarId) -> Parsed<MapRef> {
        if let Some(&known) = self.maps.get(&var) {
            return Ok(known);
        }
        let program = Rc::clone(&self.program);
        let item = program.var(var);
        let Some(record) = self.types.as_record(item.ty) else {
            return self.push(
                Diag::error(item.loc, format!("`{}` in section `.maps` is not defined by a structure", item.name))
                    .with_help("`struct { __uint(type, BPF_MAP_TYPE_HASH); ... } name SEC(\".maps\");`"),
            );
        };
        let definition = self.definition(record, &item.name, item.loc)?;
        let decl = self.map_decl(&item.name, &definition, item.loc, 0)?;
        let map = self.module.add_map(decl);
        self.maps.insert(var, map);
        let mut values = Vec::new();
        for entry in item.init.iter().flat_map(|init| &init.entries) {
            let eval = Eval { types: &self.types, program: &program, variables: true };
            let name = match eval.eval(&entry.expr) {
                Some(Const::Addr(Symbol::Var(inner), 0)) => program.var(inner).name.to_string(),
                Some(Const::Addr(Symbol::Func(func), 0)) => program.func(func).name.to_string(),
                Some(Const::Int(0)) => continue,
                _ => return self.error(entry.expr.loc, "the value of an entry is the address of a map or a program"),
            };
            // The flexible member stands at the end of the definition.
            let base = self.types.record(record).size;
            let index = entry.offset.saturating_sub(base) / 8;
            values.push((u32::try_from(index).unwrap_or(u32::MAX), name));
        }
        self.unit.maps.push(MapExtra {
            map,
            pinning: definition.pinning as u32,
            map_extra: definition.map_extra,
            numa_node: definition.numa_node.map(|node| node as u32),
            values,
            loc: item.loc,
        });
        Ok(map)
    }

    fn definition(&mut self, record: RecordId, name: &str, loc: Loc) -> Parsed<Definition> {
        let mut found = Definition::default();
        let members = self.types.record(record).members.clone().unwrap_or_default();
        for member in members {
            let number = self.types.pointee(member.ty).and_then(|to| self.types.element(to)).and_then(|(_, len)| len);
            let pointee = self.types.pointee(member.ty);
            match (&*member.name, number) {
                ("type", Some(number)) => found.map_type = Some(number),
                ("key_size", Some(number)) => found.key_size = number,
                ("value_size", Some(number)) => found.value_size = number,
                ("max_entries", Some(number)) => found.max_entries = number,
                ("map_flags", Some(number)) => found.flags = number,
                ("pinning", Some(number)) => found.pinning = number,
                ("map_extra", Some(number)) => found.map_extra = number,
                ("numa_node", Some(number)) => found.numa_node = Some(number),
                ("key", _) => found.key = pointee,
                ("value", _) => found.value = pointee,
                ("values", _) => found.inner = self.types.element(member.ty).and_then(|(of, _)| self.types.pointee(of)),
                // `__ulong(map_extra, N)` is an enumeration with one value.
                (other, _) => {
                    let value = match self.types.kind(member.ty) {
                        Kind::Enum(id) => self.types.enumeration(*id).values.first().map(|value| value.1),
                        _ => None,
                    };
                    match value {
                        Some(value) if other == "map_extra" || other.is_empty() => {
                            found.map_extra = value.cast_unsigned()
                        }
                        _ => {
                            return self.error(
                                loc,
                                format!("the definition of the map `{name}` has an unknown field `{other}`"),
                            );
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    fn map_decl(&mut self, name: &str, definition: &Definition, loc: Loc, depth: u32) -> Parsed<MapDecl> {
        let number = definition.map_type.and_then(|number| u32::try_from(number).ok());
        let Some(map_type) = number.and_then(MapType::from_number) else {
            let text =
                number.map_or_else(|| "has no type".to_owned(), |number| format!("has the unknown type {number}"));
            return self.push(
                Diag::error(loc, format!("the map `{name}` {text}"))
                    .with_help("`__uint(type, BPF_MAP_TYPE_HASH);` gives it one"),
            );
        };
        let mut size = |ty: Option<QTy>, given: u64, what: &str| -> Parsed<u32> {
            let Some(ty) = ty else { return Ok(u32::try_from(given).unwrap_or(u32::MAX)) };
            match self.types.size(ty) {
                Some(size) if given == 0 || given == size => Ok(u32::try_from(size).unwrap_or(u32::MAX)),
                Some(size) => self
                    .error(loc, format!("the {what} of the map `{name}` has {size} bytes, `{what}_size` says {given}")),
                None => {
                    let shown = self.types.show(ty);
                    self.error(loc, format!("the {what} of the map `{name}` has the incomplete type `{shown}`"))
                }
            }
        };
        let mut key_size = size(definition.key, definition.key_size, "key")?;
        let mut value_size = size(definition.value, definition.value_size, "value")?;
        let outer = matches!(map_type, MapType::ArrayOfMaps | MapType::HashOfMaps);
        if outer || matches!(map_type, MapType::ProgArray | MapType::PerfEventArray) {
            // What these hold are descriptors, 32 bits wide.
            key_size = if key_size == 0 { 4 } else { key_size };
            value_size = if value_size == 0 { 4 } else { value_size };
        }
        let entries = u32::try_from(definition.max_entries).unwrap_or(u32::MAX);
        let mut decl = MapDecl::new(name, map_type, key_size, value_size, entries);
        decl.flags = definition.flags as u32;
        if takes_types(map_type) {
            decl.types = [definition.key, definition.value].map(|ty| ty.map_or(0, |ty| self.btf_of(ty)));
            if decl.types.contains(&0) {
                decl.types = [0; 2];
            }
        }
        // What the records of a buffer are is told to loaders; the kernel does not hear of it.
        if let (MapType::Ringbuf | MapType::PerfEventArray, Some(value)) = (map_type, definition.value) {
            decl.types = [0, self.btf_of(value)];
        }
        if let Some(inner) = definition.inner.and_then(|ty| self.types.as_record(ty)).filter(|_| outer && depth == 0) {
            let text = format!("{name}.inner");
            let definition = self.definition(inner, &text, loc)?;
            decl.inner = Some(Box::new(self.map_decl(&text, &definition, loc, 1)?));
        }
        Ok(decl)
    }
}

/// Whether the kernel takes BTF for keys and values of maps of a type.
const fn takes_types(map_type: MapType) -> bool {
    !matches!(
        map_type,
        MapType::PerfEventArray
            | MapType::CgroupArray
            | MapType::StackTrace
            | MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::Devmap
            | MapType::DevmapHash
            | MapType::Sockmap
            | MapType::Sockhash
            | MapType::Cpumap
            | MapType::Xskmap
            | MapType::Ringbuf
            | MapType::UserRingbuf
            | MapType::ProgArray
    )
}

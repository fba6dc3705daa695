//! The kernel's type information as a source of types.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use skep_btf::{Btf, Kind, Member as BtfMember, TypeId};

use super::walk::walk;
use super::{Composite, CompositeId, Member, Parameter, Prototype, Space, Step, Tag, Type, TypeSource, format};
use crate::plan::Enumeration;

/// How the text about a tracepoint in tracefs is read: category and event, `None` if there is no such event.
pub type Formats<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// Types of a BTF blob. Records of tracepoints come from tracefs where `formats` finds them, else from the blob.
pub struct BtfTypes<'a> {
    btf: &'a Btf,
    formats: Option<Formats<'a>>,
    composites: RefCell<HashMap<u32, Arc<Composite>>>,
    enumerators: RefCell<Option<HashMap<String, (i64, u32)>>>,
}

impl<'a> BtfTypes<'a> {
    /// The types of a blob.
    pub fn new(btf: &'a Btf) -> Self {
        Self { btf, formats: None, composites: RefCell::default(), enumerators: RefCell::default() }
    }

    /// With texts about tracepoints.
    #[must_use]
    pub fn with_formats(mut self, formats: Formats<'a>) -> Self {
        self.formats = Some(formats);
        self
    }

    /// The type with a number, without qualifiers and typedefs.
    fn convert(&self, id: TypeId) -> Type {
        let Ok(resolved) = self.btf.resolve(id) else { return Type::Void };
        match self.btf.kind(resolved) {
            Ok(Kind::Int(int)) if int.bool => Type::Bool,
            Ok(Kind::Int(int)) => match int.size {
                1 | 2 | 4 | 8 => Type::int(int.size as u8, int.signed),
                size => Type::Array(Arc::new(Type::U64), size / 8),
            },
            Ok(Kind::Ptr(to)) => self.pointee(to).pointer(Space::Kernel),
            Ok(Kind::Array(array)) => self.array(array.element, array.len),
            Ok(Kind::Struct(_) | Kind::Union(_)) => Type::Composite(CompositeId::Kernel(resolved.0)),
            Ok(Kind::Enum(listed) | Kind::Enum64(listed)) => {
                let bytes = u8::try_from(listed.size).unwrap_or(4);
                Type::Enum { bytes, signed: listed.signed, names: self.names(resolved) }
            }
            _ => Type::Void,
        }
    }

    /// What a pointer points to. Composites stay unread: the graph of types has cycles.
    fn pointee(&self, id: TypeId) -> Type {
        let Ok(resolved) = self.btf.resolve(id) else { return Type::Void };
        match self.btf.kind(resolved) {
            Ok(Kind::Ptr(to)) => {
                // Pointers to pointers to pointers are rare; cycles of pointers through typedefs are malformed.
                let inner = self.btf.resolve(to).and_then(|to| self.btf.kind(to).map(|kind| (to, kind)));
                match inner {
                    Ok((_, Kind::Ptr(_))) | Err(_) => Type::Void.pointer(Space::Kernel),
                    Ok((to, _)) => self.convert(to).pointer(Space::Kernel),
                }
            }
            Ok(Kind::Fwd { .. } | Kind::FuncProto(_) | Kind::Void) | Err(_) => Type::Void,
            Ok(_) => self.convert(resolved),
        }
    }

    fn array(&self, element: TypeId, len: u32) -> Type {
        // Some compilers give `char` no sign.
        let is_byte = matches!(self.btf.resolved(element), Ok(Kind::Int(int)) if int.size == 1 && !int.bool);
        if is_byte && self.plain_char(element) && len > 0 {
            return Type::Text(len);
        }
        // Depth is bounded by the reader: a blob cannot nest arrays without end.
        match self.btf.resolved(element) {
            Ok(Kind::Array(inner)) if len < 1 << 16 => Type::Array(Arc::new(self.flat(inner.element, inner.len)), len),
            _ => Type::Array(Arc::new(self.flat(element, 1)), len),
        }
    }

    /// An element, or so many of them, with arrays in it taken as bytes.
    fn flat(&self, element: TypeId, len: u32) -> Type {
        let one = match self.btf.resolved(element) {
            Ok(Kind::Array(_)) => {
                let bytes = self.btf.size_of(element).unwrap_or(0);
                Type::Array(Arc::new(Type::int(1, false)), bytes)
            }
            _ => self.convert(element),
        };
        if len == 1 { one } else { Type::Array(Arc::new(one), len) }
    }

    /// Whether the type is `char` itself and not a number of one byte.
    fn plain_char(&self, id: TypeId) -> bool {
        self.btf.resolve(id).and_then(|id| self.btf.name(id)).is_ok_and(|name| name == "char")
    }

    fn names(&self, id: TypeId) -> Arc<Enumeration> {
        let name = self.btf.name(id).unwrap_or("");
        let values = match self.btf.kind(id) {
            Ok(Kind::Enum(listed) | Kind::Enum64(listed)) => listed
                .values()
                .map(|value| (value.value, Arc::from(self.btf.string(value.name).unwrap_or(""))))
                .collect(),
            _ => Vec::new(),
        };
        Arc::new(Enumeration { name: name.into(), values })
    }

    fn member(&self, member: BtfMember) -> Member {
        let name: Arc<str> = self.btf.string(member.name).unwrap_or("").into();
        let ty = self.convert(member.ty);
        let width = ty.scalar().map_or(8, |scalar| u32::from(scalar.0) * 8);
        let (offset, bits) = if member.bits > 0 {
            // The integer that the field is in: aligned by its own width, if the field does not cross its end.
            let start = member.bit_offset / width * width;
            let start = if member.bit_offset + u32::from(member.bits) <= start + width {
                start
            } else {
                member.bit_offset / 8 * 8
            };
            (start / 8, Some(((member.bit_offset - start) as u8, member.bits)))
        } else {
            (member.bit_offset / 8, None)
        };
        Member { name, ty, offset, bits, indirect: false }
    }

    fn read(&self, id: TypeId) -> Option<Composite> {
        let (Kind::Struct(composite) | Kind::Union(composite)) = self.btf.kind(id).ok()? else { return None };
        let members = composite.members().map(|member| self.member(member)).collect();
        let name = self.btf.name(id).unwrap_or("").into();
        Some(Composite { name, size: composite.size, align: 8, members })
    }

    fn prototype(&self, proto: TypeId) -> Option<Prototype> {
        let Kind::FuncProto(proto) = self.btf.kind(proto).ok()? else { return None };
        let params = proto.params().map(|param| Parameter {
            name: self.btf.string(param.name).unwrap_or("").into(),
            ty: self.convert(param.ty),
        });
        Some(Prototype { params: params.collect(), result: self.convert(proto.result) })
    }
}

impl TypeSource for BtfTypes<'_> {
    fn find(&self, tag: Tag, name: &str) -> Option<Type> {
        let id = self.btf.find_type(name, |kind| {
            matches!(
                (tag, kind),
                (Tag::Struct, Kind::Struct(_))
                    | (Tag::Union, Kind::Union(_))
                    | (Tag::Enum, Kind::Enum(_) | Kind::Enum64(_))
                    | (Tag::Plain, Kind::Typedef(_) | Kind::Int(_))
            )
        })?;
        Some(self.convert(id))
    }

    fn composite(&self, id: u32) -> Option<Arc<Composite>> {
        if let Some(known) = self.composites.borrow().get(&id) {
            return Some(known.clone());
        }
        let read = Arc::new(self.read(TypeId(id))?);
        self.composites.borrow_mut().insert(id, read.clone());
        Some(read)
    }

    fn walk(&self, id: u32, offset: u32, size: u32) -> Option<Step> {
        walk(self.btf, id, offset, size)
    }

    fn enumerator(&self, name: &str) -> Option<(i64, Type)> {
        let mut index = self.enumerators.borrow_mut();
        let index = index.get_or_insert_with(|| {
            let mut all = HashMap::new();
            for id in self.btf.all_ids() {
                if let Ok(Kind::Enum(listed) | Kind::Enum64(listed)) = self.btf.kind(id) {
                    for value in listed.values() {
                        if let Ok(name) = self.btf.string(value.name) {
                            all.entry(name.to_owned()).or_insert((value.value, id.0));
                        }
                    }
                }
            }
            all
        });
        let &(value, id) = index.get(name)?;
        Some((value, self.convert(TypeId(id))))
    }

    fn function(&self, _module: &str, name: &str) -> Option<Prototype> {
        let id = self.btf.find_function(name)?;
        let Kind::Func { proto, .. } = self.btf.kind(id).ok()? else { return None };
        self.prototype(proto)
    }

    fn raw_tracepoint(&self, event: &str) -> Option<Prototype> {
        // `typedef void (*btf_trace_NAME)(void *, arguments)`
        let id = self.btf.find_type(&format!("btf_trace_{event}"), |kind| matches!(kind, Kind::Typedef(_)))?;
        let Kind::Ptr(to) = self.btf.resolved(id).ok()? else { return None };
        let mut prototype = self.prototype(self.btf.resolve(to).ok()?)?;
        if !prototype.params.is_empty() {
            prototype.params.remove(0);
        }
        // The prototype of the pointer has no names; those of the function that it is called through has them.
        let traced = self
            .function("", &format!("__traceiter_{event}"))
            .or_else(|| self.function("", &format!("__bpf_trace_{event}")));
        if let Some(traced) = traced {
            let names = traced.params.iter().skip(1);
            for (param, named) in prototype.params.iter_mut().zip(names) {
                param.name = named.name.clone();
            }
        }
        Some(prototype)
    }

    fn tracepoint(&self, category: &str, event: &str) -> Option<Composite> {
        let user = category == "syscalls";
        if let Some(text) = self.formats.and_then(|formats| formats(category, event)) {
            let mut record = format::parse(event, &text, user);
            for member in &mut record.members {
                if let Type::Pointer(to, _) = &member.ty
                    && **to == Type::Void
                    && let Some(known) = format_type(&text, &member.name, self)
                {
                    member.ty = known.pointer(if user { Space::User } else { Space::Kernel });
                }
            }
            return Some(record);
        }
        let name = format!("trace_event_raw_{event}");
        let id = self.btf.find_type(&name, |kind| matches!(kind, Kind::Struct(_)))?;
        let mut record = self.read(id)?;
        for member in &mut record.members {
            if let Some(name) = member.name.strip_prefix("__data_loc_") {
                (member.name, member.ty, member.indirect) = (name.into(), Type::Text(0), true);
            }
        }
        Some(record)
    }
}

/// What the pointer of this name points to by the text, if it is a structure that is known.
fn format_type(text: &str, name: &str, types: &BtfTypes<'_>) -> Option<Type> {
    let declaration = text.lines().find_map(|line| {
        let declaration = line.trim().strip_prefix("field:")?.split(';').next()?;
        declaration.ends_with(name).then_some(declaration)
    })?;
    let of = declaration.split('*').next()?.trim().trim_start_matches("const ").trim();
    if declaration.matches('*').count() > 1 {
        return None;
    }
    match of.strip_prefix("struct ") {
        Some(tag) => types.find(Tag::Struct, tag.trim()),
        None => super::named(of).or_else(|| types.find(Tag::Plain, of)),
    }
}

//! One declaration: type, name, and what C writes around the name.

use super::CPrinter;
use super::layout::Hole;
use crate::error::{BtfError, Problem};
use crate::kind::{Composite, Enum, FuncProto, Kind, TypeId};

impl<'a> CPrinter<'a> {
    /// `struct name`, as it is without a definition.
    pub(super) fn put_composite_name(&mut self, id: TypeId) -> Result<(), BtfError> {
        let keyword = if matches!(self.btf.kind(id)?, Kind::Union(_)) { "union" } else { "struct" };
        self.put_tag(keyword, id)
    }

    /// `struct name;` of a type that is only declared.
    pub(super) fn put_fwd(&mut self, id: TypeId) -> Result<(), BtfError> {
        let keyword = if self.btf.kind_flag(id)? { "union " } else { "struct " };
        let name = self.name_of(id)?;
        self.put([keyword, &name])
    }

    fn put_tag(&mut self, keyword: &str, id: TypeId) -> Result<(), BtfError> {
        let name = self.name_of(id)?;
        self.put([keyword, if name.is_empty() { "" } else { " " }, &name])
    }

    /// A structure or union with its members.
    pub(super) fn put_composite(&mut self, id: TypeId, composite: Composite<'_>, level: usize) -> Result<(), BtfError> {
        self.put_composite_name(id)?;
        self.put([" {"])?;
        let union = matches!(self.btf.kind(id)?, Kind::Union(_));
        let (_, broken) = self.layouts.composite(composite, 0)?;
        let packed = broken && !union;
        // The end of what was printed so far, in bits.
        let mut end = 0;
        let mut after_bitfield = false;
        for member in composite.members() {
            let from = u64::from(member.bit_offset);
            let align = if packed { 1 } else { self.layouts.align(member.ty)? };
            let hole = Hole { from: end, to: from, align, in_bitfield: after_bitfield && member.bits != 0 };
            self.put_padding(&hole, level + 1)?;
            self.line(level + 1)?;
            let name = self.btf.string(member.name)?;
            self.put_member(member.ty, name, from, level + 1)?;
            after_bitfield = member.bits != 0;
            if after_bitfield {
                self.put([": ", &member.bits.to_string()])?;
                end = from + u64::from(member.bits);
            } else {
                end = from + 8 * u64::from(self.btf.size_of(member.ty).unwrap_or(0));
            }
            self.put([";"])?;
            self.put_place(self.start + from, member.bits != 0)?;
        }
        if !union {
            let align = if packed { 1 } else { self.layouts.align(id)? };
            let hole = Hole { from: end, to: 8 * u64::from(composite.size), align, in_bitfield: false };
            self.put_padding(&hole, level + 1)?;
        }
        if self.places && level == 0 {
            self.line(level + 1)?;
            self.put(["/* size: ", &composite.size.to_string(), " */"])?;
        }
        if self.places && level == 0 || composite.members().len() > 0 || composite.size > 0 {
            self.line(level)?;
        }
        self.put(["}", if packed { " __attribute__((packed))" } else { "" }])
    }

    /// A member, whose type may be spelled out inside of it: its members count from the outermost start as well.
    fn put_member(&mut self, id: TypeId, name: &str, from: u64, level: usize) -> Result<(), BtfError> {
        let outer = self.start;
        let inside = matches!(self.btf.resolved(id)?, Kind::Struct(_) | Kind::Union(_) | Kind::Array(_));
        self.start = if inside { outer + from } else { 0 };
        let result = self.put_declaration(id, name, level);
        self.start = outer;
        result
    }

    /// The comment with a place.
    fn put_place(&mut self, bits: u64, bitfield: bool) -> Result<(), BtfError> {
        if !self.places {
            return Ok(());
        }
        let bit = if bitfield { format!(":{}", bits % 8) } else { String::new() };
        self.put(["\t/* ", &(bits / 8).to_string(), &bit, " */"])
    }

    /// An enumeration with its constants.
    pub(super) fn put_enum(&mut self, id: TypeId, level: usize) -> Result<(), BtfError> {
        self.put_tag("enum", id)?;
        let (Kind::Enum(values) | Kind::Enum64(values)) = self.btf.kind(id)? else { return Ok(()) };
        if values.values().len() == 0 {
            return Ok(());
        }
        self.put([" {"])?;
        for constant in values.values() {
            let name = self.btf.string(constant.name)?;
            let name = self.constant_name(name);
            self.line(level + 1)?;
            self.put([&name, " = ", &constant_text(values, constant.value), ","])?;
        }
        self.line(level)?;
        self.put(["}", mode(values)])
    }

    /// A variable, member or parameter of a type: `int (*name[2])(void)`.
    pub(super) fn put_declaration(&mut self, id: TypeId, name: &str, level: usize) -> Result<(), BtfError> {
        self.enter(id)?;
        // From the name outwards: pointers, arrays, functions and modifiers, down to the type that stands at the left.
        let mut chain = vec![id];
        let mut current = id;
        while let Kind::Ptr(next)
        | Kind::Volatile(next)
        | Kind::Const(next)
        | Kind::Restrict(next)
        | Kind::TypeTag(next)
        | Kind::Array(crate::Array { element: next, .. })
        | Kind::FuncProto(FuncProto { result: next, .. }) = self.btf.kind(current)?
        {
            if chain.len() >= super::DEPTH {
                return Err(BtfError::new(0, Problem::Nested(id.0)));
            }
            chain.push(next);
            current = next;
        }
        self.put_chain(&mut chain, name, level)?;
        self.leave();
        Ok(())
    }

    /// What is left of the chain, then the name.
    fn put_chain(&mut self, chain: &mut Vec<TypeId>, name: &str, level: usize) -> Result<(), BtfError> {
        self.burn(1)?;
        // The first pointer stands directly behind an opening parenthesis.
        let mut after_pointer = true;
        while let Some(id) = chain.pop() {
            let kind = self.btf.kind(id)?;
            match kind {
                Kind::Ptr(_) => self.put([if after_pointer { "*" } else { " *" }])?,
                Kind::Volatile(_) => self.put([" volatile"])?,
                Kind::Const(_) => self.put([" const"])?,
                Kind::Restrict(_) => self.put([" restrict"])?,
                Kind::Array(array) => {
                    self.drop_modifiers(chain);
                    self.put_array(chain, name, after_pointer, level)?;
                    return self.put(["[", &array.len.to_string(), "]"]);
                }
                Kind::FuncProto(proto) => {
                    self.drop_modifiers(chain);
                    if chain.is_empty() {
                        self.put_name(name, after_pointer)?;
                    } else {
                        self.put([" ("])?;
                        self.put_chain(chain, name, level)?;
                        self.put([")"])?;
                    }
                    return self.put_params(proto, level);
                }
                _ => {
                    self.put_modifiers(chain)?;
                    self.put_base(id, kind, level)?;
                }
            }
            after_pointer = matches!(kind, Kind::Ptr(_));
        }
        self.put_name(name, after_pointer)
    }

    /// What stands in front of the brackets.
    fn put_array(
        &mut self,
        chain: &mut Vec<TypeId>,
        name: &str,
        after_pointer: bool,
        level: usize,
    ) -> Result<(), BtfError> {
        let Some(next) = chain.last() else { return self.put_name(name, after_pointer) };
        let nested = matches!(self.btf.kind(*next)?, Kind::Array(_));
        let separate = !name.is_empty() && !after_pointer;
        self.put([if separate { " " } else { "" }, if nested { "" } else { "(" }])?;
        self.put_chain(chain, name, level)?;
        self.put([if nested { "" } else { ")" }])
    }

    /// The type at the left: everything that has a name or is spelled out.
    fn put_base(&mut self, id: TypeId, kind: Kind<'a>, level: usize) -> Result<(), BtfError> {
        let anonymous = self.btf.name(id)?.is_empty();
        match kind {
            Kind::Void => self.put(["void"]),
            Kind::Int(_) | Kind::Float { .. } => self.put([self.btf.name(id)?]),
            Kind::Struct(composite) | Kind::Union(composite) if anonymous => self.put_composite(id, composite, level),
            Kind::Struct(_) | Kind::Union(_) => self.put_composite_name(id),
            Kind::Enum(_) | Kind::Enum64(_) if anonymous => self.put_enum(id, level),
            Kind::Enum(_) | Kind::Enum64(_) => self.put_tag("enum", id),
            Kind::Fwd { .. } => self.put_fwd(id),
            Kind::Typedef(_) => {
                let name = self.name_of(id)?;
                self.put([&name])
            }
            Kind::TypeTag(_) => {
                let text = self.btf.name(id)?;
                match self.btf.kind_flag(id)? {
                    true => self.put([" __attribute__((", text, "))"]),
                    false => self.put([" __attribute__((btf_type_tag(\"", text, "\")))"]),
                }
            }
            // Functions, variables and their like cannot be part of a declaration.
            _ => Err(BtfError::new(0, Problem::NotInC(id.0))),
        }
    }

    /// Parameters in parentheses.
    fn put_params(&mut self, proto: FuncProto<'a>, level: usize) -> Result<(), BtfError> {
        let count = proto.params().len();
        if count == 0 || count == 1 && proto.params().all(|param| param.ty == TypeId::VOID) {
            return self.put(["(void)"]);
        }
        self.put(["("])?;
        for (at, param) in proto.params().enumerate() {
            self.put([if at > 0 { ", " } else { "" }])?;
            if at + 1 == count && param.ty == TypeId::VOID {
                self.put(["..."])?;
                continue;
            }
            let name = self.btf.string(param.name)?;
            self.put_declaration(param.ty, name, level)?;
        }
        self.put([")"])
    }

    /// Modifiers of the type at the left go in front of it.
    fn put_modifiers(&mut self, chain: &mut Vec<TypeId>) -> Result<(), BtfError> {
        while let Some(id) = chain.last() {
            let word = match self.btf.kind(*id)? {
                Kind::Volatile(_) => "volatile ",
                Kind::Const(_) => "const ",
                Kind::Restrict(_) => "restrict ",
                _ => break,
            };
            self.put([word])?;
            chain.pop();
        }
        Ok(())
    }

    /// gcc also marks arrays of constants and functions that do not return as `const` or `volatile`; C has no place to
    /// write that.
    fn drop_modifiers(&self, chain: &mut Vec<TypeId>) {
        let modifier =
            |id: &TypeId| matches!(self.btf.kind(*id), Ok(Kind::Volatile(_) | Kind::Const(_) | Kind::Restrict(_)));
        while chain.last().is_some_and(modifier) {
            chain.pop();
        }
    }

    fn put_name(&mut self, name: &str, after_pointer: bool) -> Result<(), BtfError> {
        self.put([if name.is_empty() || after_pointer { "" } else { " " }, name])
    }
}

/// The number of a constant with the ending that its type needs.
fn constant_text(values: Enum<'_>, value: i64) -> String {
    match (values.wide, values.signed) {
        (true, true) => format!("{value}LL"),
        (true, false) => format!("{}ULL", value.cast_unsigned()),
        (false, _) => value.to_string(),
    }
}

/// The attribute that forces the size of an enumeration where the values do not.
fn mode(values: Enum<'_>) -> &'static str {
    let wide = |value: i64| value.cast_unsigned() >> 32 != 0;
    match values.size {
        1 => " __attribute__((mode(byte)))",
        8 if !values.wide || !values.values().any(|constant| wide(constant.value)) => " __attribute__((mode(word)))",
        _ => "",
    }
}

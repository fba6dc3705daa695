//! Structures, unions and enumerations.

use std::rc::Rc;

use super::attr::Attrs;
use super::{Name, Parsed, Parser, Tag};
use crate::lex::{Keyword, Punct, TokenKind};
use crate::provider::NameKind;
use crate::source::{Loc, Sym};
use crate::types::layout::{Field, Rules, lay_out};
use crate::types::{Enum, IntTy, Kind, QTy, Record, RecordId, Types};

/// An enumerator as it is defined.
struct Enumerator {
    name: Rc<str>,
    value: i64,
    /// Whether the value is of a signed type.
    signed: bool,
    sym: Sym,
}

impl Parser<'_> {
    /// The name behind `struct`, `union` or `enum`, if there is one.
    fn tag_name(&mut self) -> Option<Sym> {
        let TokenKind::Ident(sym) = *self.peek() else { return None };
        self.next();
        Some(sym)
    }

    /// `struct` or `union`, behind the keyword.
    pub(super) fn record(&mut self, union: bool) -> Parsed<QTy> {
        let mut attrs = Attrs::default();
        self.attributes(&mut attrs)?;
        let what = if union { NameKind::Union } else { NameKind::Struct };
        let loc = self.loc();
        let tag = self.tag_name();
        // Attributes behind a tag without members belong to the declaration: `struct task_struct __kptr *task`.
        if !self.is(Punct::LBrace) {
            let Some(sym) = tag else {
                let found = self.describe();
                return self.error(loc, format!("expected a tag or members, found {found}"));
            };
            let id = match self.tag(sym, what, false) {
                Some(Tag::Record(id)) if self.types.record(id).union == union => id,
                Some(_) => {
                    let name = self.name_of(sym);
                    return self.error(loc, format!("`{name}` was declared as another kind of type"));
                }
                None => self.new_record(Some(sym), union),
            };
            return Ok(self.types.plain(Kind::Record(id)));
        }
        let id = match tag.and_then(|sym| self.tag(sym, what, true)) {
            Some(Tag::Record(id)) => {
                let old = self.types.record(id);
                // What the kernel's types gave at file scope is defined anew by the source.
                let defined = old.members.is_some() || old.known;
                if defined && old.kernel.is_none() {
                    let name = tag.map_or_else(|| "".into(), |sym| self.name_of(sym));
                    return self.error(loc, format!("`{name}` is defined twice"));
                }
                if defined || old.union != union { self.new_record(tag, union) } else { id }
            }
            _ => self.new_record(tag, union),
        };
        self.next();
        let fields = self.deeper(Self::members)?;
        self.attributes(&mut attrs)?;
        self.define(id, fields, &attrs, loc)?;
        let record = self.types.plain(Kind::Record(id));
        Ok(attrs.type_tags.into_iter().fold(record, |ty, tag| self.types.plain(Kind::Tagged(tag, ty))))
    }

    fn new_record(&mut self, tag: Option<Sym>, union: bool) -> RecordId {
        let name: Rc<str> = tag.map_or_else(|| "".into(), |sym| self.name_of(sym));
        let id = self.types.add_record(Record {
            union,
            tag: name,
            members: None,
            size: 0,
            align: 1,
            preserve: false,
            kernel: None,
            known: false,
            packet: false,
        });
        if let (Some(sym), Some(scope)) = (tag, self.scopes.last_mut()) {
            scope.tags.insert(sym, Tag::Record(id));
        }
        id
    }

    fn define(&mut self, id: RecordId, fields: Vec<Field>, attrs: &Attrs, loc: Loc) -> Parsed<()> {
        let union = self.types.record(id).union;
        let pack = self.pack.last().copied().unwrap_or(0);
        let rules = Rules { union, packed: attrs.packed, align: attrs.aligned, pack };
        let Some((members, size, align)) = lay_out(&self.types, fields, rules) else {
            return self.error(loc, "the type is too large");
        };
        let pushed = self.pushed.iter().any(|attrs| attrs.preserve);
        let record = &mut self.types.records[id.0 as usize];
        record.members = Some(members);
        (record.size, record.align, record.known) = (size, align, true);
        record.preserve = attrs.preserve || pushed;
        record.packet = attrs.packet;
        Ok(())
    }

    fn members(&mut self) -> Parsed<Vec<Field>> {
        let mut fields = Vec::new();
        while !self.take(Punct::RBrace) {
            self.pragmas();
            if self.take(Punct::Semi) {
                continue;
            }
            if self.is_word(Keyword::StaticAssert) {
                self.static_assert()?;
                continue;
            }
            let loc = self.loc();
            let specs = self.specifiers()?;
            self.settle(specs.ty);
            if self.take(Punct::Semi) {
                let anonymous = self.types.as_record(specs.ty).is_some();
                if anonymous {
                    let align = specs.attrs.aligned;
                    fields.push(Field {
                        name: "".into(),
                        ty: specs.ty,
                        bits: None,
                        align,
                        packed: specs.attrs.packed,
                        tags: Vec::new(),
                    });
                }
                continue;
            }
            loop {
                let field = self.member(specs.ty, &specs.attrs, loc)?;
                fields.push(field);
                if !self.take(Punct::Comma) {
                    break;
                }
            }
            self.expect(Punct::Semi, "behind a member")?;
        }
        Ok(fields)
    }

    fn member(&mut self, base: QTy, outer: &Attrs, loc: Loc) -> Parsed<Field> {
        let (name, ty, mut attrs) = if self.is(Punct::Colon) {
            ("".into(), base, Attrs::default())
        } else {
            let declared = self.declarator(base)?;
            let name = match declared.name {
                Some(sym) => self.name_of(sym),
                None => return self.error(declared.loc, "a member needs a name"),
            };
            (name, declared.ty, declared.attrs)
        };
        let mut bits = None;
        if self.take(Punct::Colon) {
            let (width, _) = self.constant_int("the width of a bit-field")?;
            let most = self.types.as_int(ty).map_or(0, |int| if int == IntTy::Bool { 1 } else { 8 * int.size() });
            match u32::try_from(width) {
                Ok(width) if u64::from(width) <= most && (width > 0 || name.is_empty()) => bits = Some(width),
                _ => {
                    let shown = self.types.show(ty);
                    return self.error(loc, format!("a bit-field of type `{shown}` cannot have {width} bits"));
                }
            }
        }
        self.attributes(&mut attrs)?;
        self.settle(ty);
        let flexible = matches!(self.types.element(ty), Some((_, None)));
        if self.types.size(ty).is_none() && !flexible {
            let shown = self.types.show(ty);
            return self.error(loc, format!("member `{name}` has the incomplete type `{shown}`"));
        }
        let packed = outer.packed || attrs.packed;
        let tags = outer.decl_tags.iter().chain(&attrs.decl_tags).cloned().collect();
        Ok(Field { name, ty, bits, align: outer.aligned.max(attrs.aligned), packed, tags })
    }

    /// `enum`, behind the keyword.
    pub(super) fn enumeration(&mut self) -> Parsed<QTy> {
        let mut attrs = Attrs::default();
        self.attributes(&mut attrs)?;
        let loc = self.loc();
        let tag = self.tag_name();
        let mut fixed = None;
        if self.is(Punct::Colon) && !self.is_label_colon() {
            self.next();
            let specs = self.specifiers()?;
            fixed = self.types.as_int(specs.ty);
        }
        if !self.is(Punct::LBrace) {
            let Some(sym) = tag else {
                let found = self.describe();
                return self.error(loc, format!("expected a tag or enumerators, found {found}"));
            };
            let id = match self.tag(sym, NameKind::Enum, false) {
                Some(Tag::Enum(id)) => id,
                Some(Tag::Record(_)) => {
                    let name = self.name_of(sym);
                    return self.error(loc, format!("`{name}` was declared as another kind of type"));
                }
                None => {
                    let name = self.name_of(sym);
                    let repr = fixed.unwrap_or(IntTy::UInt);
                    let empty = Enum { tag: name, repr, values: Vec::new(), complete: fixed.is_some() };
                    let id = self.types.add_enum(empty);
                    self.scopes[0].tags.insert(sym, Tag::Enum(id));
                    id
                }
            };
            return Ok(self.types.plain(Kind::Enum(id)));
        }
        self.next();
        let id = match tag.and_then(|sym| self.tag(sym, NameKind::Enum, true)) {
            Some(Tag::Enum(id)) if !self.types.enumeration(id).complete => id,
            _ => {
                let name: Rc<str> = tag.map_or_else(|| "".into(), |sym| self.name_of(sym));
                let empty = Enum { tag: name, repr: IntTy::UInt, values: Vec::new(), complete: false };
                let id = self.types.add_enum(empty);
                if let (Some(sym), Some(scope)) = (tag, self.scopes.last_mut()) {
                    scope.tags.insert(sym, Tag::Enum(id));
                }
                id
            }
        };
        let ty = self.types.plain(Kind::Enum(id));
        let values = self.enumerators(fixed)?;
        self.attributes(&mut attrs)?;
        let negative = values.iter().any(|one| one.signed && one.value < 0);
        let wide = values.iter().any(|one| match (negative, one.signed) {
            (true, _) => i32::try_from(one.value).is_err(),
            (false, true) => one.value > i64::from(u32::MAX),
            (false, false) => one.value.cast_unsigned() > u64::from(u32::MAX),
        });
        let mut repr = fixed.unwrap_or(match (wide, negative) {
            (false, false) => IntTy::UInt,
            (false, true) => IntTy::Int,
            (true, false) => IntTy::ULong,
            (true, true) => IntTy::Long,
        });
        if attrs.packed && fixed.is_none() {
            let small = |max: u64| values.iter().all(|one| one.value.cast_unsigned() <= max);
            repr = match () {
                () if !negative && small(0xff) => IntTy::UChar,
                () if !negative && small(0xffff) => IntTy::UShort,
                () => repr,
            };
        }
        // In an enumeration whose values fit, enumerators are of type `int`.
        let constant = if wide { ty } else { Types::int(IntTy::Int) };
        for one in &values {
            let fits = i32::try_from(one.value).is_ok();
            let constant = if fits || wide { constant } else { Types::int(IntTy::UInt) };
            self.declare(one.sym, Name::Enumerator(one.value, if wide { ty } else { constant }));
        }
        let item = &mut self.types.enums[id.0 as usize];
        item.values = values.into_iter().map(|one| (one.name, one.value)).collect();
        (item.repr, item.complete) = (repr, true);
        Ok(ty)
    }

    fn enumerators(&mut self, fixed: Option<IntTy>) -> Parsed<Vec<Enumerator>> {
        let mut values = Vec::new();
        let (mut next, mut signed) = (0i64, true);
        while !self.take(Punct::RBrace) {
            let (sym, _) = self.ident("an enumerator")?;
            let mut attrs = Attrs::default();
            self.attributes(&mut attrs)?;
            if self.take(Punct::Assign) {
                let (value, ty) = self.constant_int("the value of an enumerator")?;
                signed = self.types.as_int(ty).is_none_or(IntTy::signed);
                next = value;
            }
            let name = self.name_of(sym);
            values.push(Enumerator { name, value: next, signed, sym });
            let constant = fixed.unwrap_or(match (i32::try_from(next).is_ok(), signed) {
                (true, _) => IntTy::Int,
                (false, true) => IntTy::Long,
                (false, false) => IntTy::ULong,
            });
            self.declare(sym, Name::Enumerator(next, Types::int(constant)));
            next = next.wrapping_add(1);
            if !self.take(Punct::Comma) {
                self.expect(Punct::RBrace, "behind the enumerators")?;
                break;
            }
        }
        Ok(values)
    }

    /// In `case enum E: ` and bit-fields the colon does not belong to the enumeration.
    fn is_label_colon(&mut self) -> bool {
        !self.begins_type_at(1)
    }
}

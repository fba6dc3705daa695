//! Structures, unions and enumerations.

use std::rc::Rc;

use super::attr::Attrs;
use super::{Name, Parsed, Parser, Tag};
use crate::lex::{Keyword, Punct, TokenKind};
use crate::provider::NameKind;
use crate::source::{Loc, Sym};
use crate::types::layout::{Field, Rules, lay_out};
use crate::types::{Enum, Int, Kind, QTy, Record, RecordId, Types};

impl Parser<'_> {
    /// `struct` or `union`, behind the keyword.
    pub(super) fn record(&mut self, union: bool) -> Parsed<QTy> {
        let mut attrs = Attrs::default();
        self.attributes(&mut attrs)?;
        let what = if union { NameKind::Union } else { NameKind::Struct };
        let loc = self.loc();
        let tag = match *self.peek() {
            TokenKind::Ident(sym) => {
                self.next();
                Some(sym)
            }
            _ => None,
        };
        self.attributes(&mut attrs)?;
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
        Ok(self.types.plain(Kind::Record(id)))
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
                    fields.push(Field { name: "".into(), ty: specs.ty, bits: None, align, packed: specs.attrs.packed });
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
            let most = self.types.as_int(ty).map_or(0, |int| if int == Int::Bool { 1 } else { 8 * int.size() });
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
        Ok(Field { name, ty, bits, align: outer.aligned.max(attrs.aligned), packed })
    }

    /// `enum`, behind the keyword.
    pub(super) fn enumeration(&mut self) -> Parsed<QTy> {
        let mut attrs = Attrs::default();
        self.attributes(&mut attrs)?;
        let loc = self.loc();
        let tag = match *self.peek() {
            TokenKind::Ident(sym) => {
                self.next();
                Some(sym)
            }
            _ => None,
        };
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
                    let repr = fixed.unwrap_or(Int::UInt);
                    let empty = Enum { tag: name, repr, values: Vec::new(), complete: fixed.is_some(), kernel: None };
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
                let empty = Enum { tag: name, repr: Int::UInt, values: Vec::new(), complete: false, kernel: None };
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
        let negative = values.iter().any(|value| value.2 && value.1 < 0);
        let wide = values.iter().any(|value| match (negative, value.2) {
            (true, _) => i32::try_from(value.1).is_err(),
            (false, true) => value.1 > i64::from(u32::MAX),
            (false, false) => value.1.cast_unsigned() > u64::from(u32::MAX),
        });
        let mut repr = fixed.unwrap_or(match (wide, negative) {
            (false, false) => Int::UInt,
            (false, true) => Int::Int,
            (true, false) => Int::ULong,
            (true, true) => Int::Long,
        });
        if attrs.packed && fixed.is_none() {
            let small = |max: u64| values.iter().all(|value| value.1.cast_unsigned() <= max);
            repr = match () {
                () if !negative && small(0xff) => Int::UChar,
                () if !negative && small(0xffff) => Int::UShort,
                () => repr,
            };
        }
        // In an enumeration whose values fit, enumerators are of type `int`.
        let constant = if wide { ty } else { Types::int(Int::Int) };
        for (_, value, _, sym) in &values {
            let fits = i32::try_from(*value).is_ok();
            let constant = if fits || wide { constant } else { Types::int(Int::UInt) };
            self.declare(*sym, Name::Enumerator(*value, if wide { ty } else { constant }));
        }
        let item = &mut self.types.enums[id.0 as usize];
        item.values = values.into_iter().map(|(name, value, ..)| (name, value)).collect();
        (item.repr, item.complete) = (repr, true);
        Ok(ty)
    }

    /// Enumerators with their values, whether each is signed, and their names.
    fn enumerators(&mut self, fixed: Option<Int>) -> Parsed<Vec<(Rc<str>, i64, bool, Sym)>> {
        let mut values: Vec<(Rc<str>, i64, bool, Sym)> = Vec::new();
        let (mut next, mut signed) = (0i64, true);
        while !self.take(Punct::RBrace) {
            let (sym, _) = self.ident("an enumerator")?;
            let mut attrs = Attrs::default();
            self.attributes(&mut attrs)?;
            if self.take(Punct::Assign) {
                let (value, ty) = self.constant_int("the value of an enumerator")?;
                signed = self.types.as_int(ty).is_none_or(Int::signed);
                next = value;
            }
            let name = self.name_of(sym);
            values.push((name, next, signed, sym));
            let constant = fixed.unwrap_or(match (i32::try_from(next).is_ok(), signed) {
                (true, _) => Int::Int,
                (false, true) => Int::Long,
                (false, false) => Int::ULong,
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

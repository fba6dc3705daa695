//! Initialisers: braces, designators, strings; flattened to places and expressions.

use super::ast::{Expr, ExprKind, Init, InitEntry};
use super::{Parsed, Parser};
use crate::lex::{Punct, TokenKind};
use crate::source::Loc;
use crate::types::{Int, QTy};

/// Most entries of one initialiser, so that `[0 ... 1000000000] = 1` ends.
const MOST_ENTRIES: usize = 1 << 16;

/// A part of the object that is initialised.
#[derive(Debug, Clone, Copy)]
struct Part {
    ty: QTy,
    /// Bits from the start of the object.
    bit_offset: u64,
    bits: Option<u32>,
}

/// Where designators lead: a part, or several at a distance (`[a ... b]`).
struct Target {
    part: Part,
    /// How often, and the distance in bits.
    repeat: (u64, u64),
    /// Number of the member or element, after which the list goes on.
    index: u64,
}

impl Parser<'_> {
    /// An initialiser of something of this type; the type back, with the length that the initialiser gives an array.
    pub(super) fn initializer(&mut self, ty: QTy, constant: bool) -> Parsed<(Init, QTy)> {
        let loc = self.loc();
        let mut init = Init::default();
        let part = Part { ty, bit_offset: 0, bits: None };
        let len = self.deeper(|parser| parser.value_of(part, &mut init))?;
        let mut ty = ty;
        if let (Some((of, None)), Some(len)) = (self.types.element(ty), len) {
            ty = QTy { quals: ty.quals, ..self.types.array(of, Some(len)) };
        }
        init.whole = matches!(init.entries.as_slice(), [entry] if entry.offset == 0 && entry.bits.is_none()
            && self.types.same(entry.ty, ty, false));
        if constant {
            for entry in &init.entries {
                let known = matches!(entry.expr.kind, ExprKind::Str(_)) && self.types.element(entry.ty).is_some()
                    || crate::konst::Eval { types: &self.types, program: &self.program, variables: true }
                        .eval(&entry.expr)
                        .is_some();
                if !known {
                    let at = if entry.expr.loc == Loc::default() { loc } else { entry.expr.loc };
                    self.diags.error(at, "the initialiser of a global variable is not a constant");
                    break;
                }
            }
        }
        Ok((init, ty))
    }

    fn push(&mut self, init: &mut Init, part: Part, expr: Expr) -> Parsed<()> {
        if init.entries.len() >= MOST_ENTRIES {
            return self.error(expr.loc, format!("an initialiser with more than {MOST_ENTRIES} values"));
        }
        let bits = part.bits.map(|width| (part.bit_offset, width));
        // A later value replaces what was there.
        let entry = InitEntry { offset: part.bit_offset / 8, ty: part.ty, bits, expr };
        init.entries.push(entry);
        Ok(())
    }

    /// The value of a part; for arrays without length the number of elements.
    fn value_of(&mut self, part: Part, init: &mut Init) -> Parsed<Option<u64>> {
        let loc = self.loc();
        let element = self.types.element(part.ty);
        if let Some((of, len)) = element.filter(|(of, _)| self.types.as_int(*of).is_some()) {
            if let Some(Expr { kind: ExprKind::Str(bytes), .. }) = &self.pending {
                let bytes = bytes.clone();
                self.pending = None;
                let size = self.types.size(of).unwrap_or(1) as usize;
                let text = bytes.get(..bytes.len().saturating_sub(size)).unwrap_or_default();
                return self.text_value(part, of, len, text, init).map(Some);
            }
            let free = self.pending.is_none();
            let braced = free && self.is(Punct::LBrace) && matches!(self.peek_at(1), TokenKind::Str { .. });
            let text_ends = |kind: &TokenKind| matches!(kind, TokenKind::Punct(Punct::RBrace | Punct::Comma));
            let braced = braced && text_ends(self.peek_at(2));
            if free && (braced || matches!(self.peek(), TokenKind::Str { .. })) {
                if braced {
                    self.next();
                }
                let TokenKind::Str { bytes, .. } = self.peek().clone() else { return Ok(None) };
                let found = self.text_value(part, of, len, &bytes, init)?;
                self.next();
                if braced {
                    self.take(Punct::Comma);
                    self.expect(Punct::RBrace, "behind the string")?;
                }
                return Ok(Some(found));
            }
        }
        let aggregate = element.is_some() || self.types.as_record(part.ty).is_some();
        if self.pending.is_none() && self.is(Punct::LBrace) {
            self.next();
            if aggregate {
                return self.list(part, init, true).map(Some);
            }
            if self.take(Punct::RBrace) {
                return Ok(None);
            }
            let result = self.deeper(|parser| parser.value_of(part, init))?;
            self.take(Punct::Comma);
            self.expect(Punct::RBrace, "behind the value")?;
            return Ok(result);
        }
        let expr = self.pending_or_next()?;
        if aggregate {
            return self.whole_or_first(part, expr, init, loc);
        }
        let expr = self.assignable(expr, part.ty, "the initialiser")?;
        self.push(init, part, expr)?;
        Ok(None)
    }

    /// An aggregate without braces of its own: another aggregate, or the values of its parts.
    fn whole_or_first(&mut self, part: Part, expr: Expr, init: &mut Init, loc: Loc) -> Parsed<Option<u64>> {
        if self.types.as_record(part.ty).is_some() && self.types.same(expr.ty, part.ty, false) {
            self.push(init, part, expr)?;
            return Ok(None);
        }
        if let ExprKind::Compound(_, inner) = &expr.kind
            && self.types.element(part.ty).is_some()
        {
            for entry in inner.entries.clone() {
                let bits = entry.bits.map(|(at, _)| at);
                let bit_offset = part.bit_offset + bits.unwrap_or(8 * entry.offset);
                let place = Part { ty: entry.ty, bit_offset, bits: entry.bits.map(|(_, width)| width) };
                self.push(init, place, entry.expr)?;
            }
            return Ok(self.types.element(expr.ty).and_then(|(_, len)| len));
        }
        let (want, have) = (self.types.show(part.ty), self.types.show(expr.ty));
        self.error(loc, format!("`{want}` is initialised with braces, not with a value of type `{have}`"))
    }

    /// The value that was read ahead, or the next one.
    fn pending_or_next(&mut self) -> Parsed<Expr> {
        match self.pending.take() {
            Some(expr) => Ok(expr),
            None => self.assignment(),
        }
    }

    fn text_value(&mut self, part: Part, of: QTy, len: Option<u64>, bytes: &[u8], init: &mut Init) -> Parsed<u64> {
        let loc = self.loc();
        let size = self.types.size(of).unwrap_or(1).max(1);
        let chars = bytes.len() as u64 / size;
        let len = len.unwrap_or(chars + 1);
        if chars > len {
            let message = format!("the string has {chars} characters, the array room for {len}");
            return self.error(loc, message);
        }
        let int = self.types.as_int(of).unwrap_or(Int::Char);
        let mut text = bytes.to_vec();
        text.resize((len * size) as usize, 0);
        let ty = self.types.array(crate::types::Types::int(int), Some(len));
        let expr = Expr::new(ExprKind::Str(text.into()), ty, loc);
        self.push(init, Part { ty, ..part }, expr)?;
        Ok(len)
    }

    /// The parts of an aggregate: up to the brace, or as many as it has. The number of elements for arrays.
    fn list(&mut self, whole: Part, init: &mut Init, braces: bool) -> Parsed<u64> {
        let (mut next, mut longest) = (0u64, 0u64);
        loop {
            if braces && self.take(Punct::RBrace) {
                return Ok(longest);
            }
            if !braces && self.pending.is_none() && self.is(Punct::RBrace) {
                return Ok(longest);
            }
            let loc = self.loc();
            let target = if braces && (self.is(Punct::Dot) || self.is(Punct::LBracket)) {
                self.designators(whole)?
            } else if braces && matches!(self.peek(), TokenKind::Ident(_)) && self.is_old_designator() {
                let (name, at) = self.ident("a member")?;
                self.next();
                self.designated_member(whole, name, at)?
            } else {
                match self.part_at(whole, next) {
                    Some(part) => Target { part, repeat: (1, 0), index: next },
                    None if braces => {
                        let shown = self.types.show(whole.ty);
                        return self.error(loc, format!("more values than `{shown}` has parts"));
                    }
                    None => return Ok(longest),
                }
            };
            self.fill(&target, init)?;
            next = target.index + 1;
            longest = longest.max(next);
            let full = !braces && self.part_at(whole, next).is_none();
            if full {
                return Ok(longest);
            }
            if braces {
                if !self.take(Punct::Comma) {
                    self.expect(Punct::RBrace, "behind the values")?;
                    return Ok(longest);
                }
            } else if self.is(Punct::Comma)
                && !matches!(self.peek_at(1), TokenKind::Punct(Punct::RBrace | Punct::Dot | Punct::LBracket))
            {
                self.next();
            } else {
                return Ok(longest);
            }
        }
    }

    fn is_old_designator(&self) -> bool {
        matches!(self.peek_at(1), TokenKind::Punct(Punct::Colon))
    }

    fn fill(&mut self, target: &Target, init: &mut Init) -> Parsed<()> {
        let first = init.entries.len();
        let aggregate = self.types.element(target.part.ty).is_some() || self.types.as_record(target.part.ty).is_some();
        self.deeper(|parser| parser.fill_one(target.part, aggregate, init))?;
        let made: Vec<InitEntry> = init.entries[first..].to_vec();
        for time in 1..target.repeat.0 {
            for entry in &made {
                if init.entries.len() >= MOST_ENTRIES {
                    return self.error(entry.expr.loc, format!("an initialiser with more than {MOST_ENTRIES} values"));
                }
                let shift = time * target.repeat.1;
                let bits = entry.bits.map(|(at, width)| (at + shift, width));
                init.entries.push(InitEntry { offset: entry.offset + shift / 8, bits, ..entry.clone() });
            }
        }
        Ok(())
    }

    /// A part: an aggregate may leave out its braces, and one expression may stand for all of it.
    fn fill_one(&mut self, part: Part, aggregate: bool, init: &mut Init) -> Parsed<()> {
        let token =
            self.pending.is_none() && matches!(self.peek(), TokenKind::Punct(Punct::LBrace) | TokenKind::Str { .. });
        let array = self.types.element(part.ty).is_some();
        let direct = token && (self.is(Punct::LBrace) || array);
        if !aggregate || direct {
            return self.value_of(part, init).map(|_| ());
        }
        let loc = self.loc();
        let expr = self.pending_or_next()?;
        let text = array && matches!(expr.kind, ExprKind::Str(_));
        let whole =
            if array { matches!(expr.kind, ExprKind::Compound(..)) } else { self.types.same(expr.ty, part.ty, false) };
        if whole {
            return self.whole_or_first(part, expr, init, loc).map(|_| ());
        }
        self.pending = Some(expr);
        if text { self.value_of(part, init).map(|_| ()) } else { self.list(part, init, false).map(|_| ()) }
    }

    /// The part of an aggregate with a number.
    fn part_at(&mut self, whole: Part, index: u64) -> Option<Part> {
        if let Some((of, len)) = self.types.element(whole.ty) {
            if len.is_some_and(|len| index >= len) {
                return None;
            }
            let size = self.types.size(of)?;
            return Some(Part { ty: of, bit_offset: whole.bit_offset + 8 * size.checked_mul(index)?, bits: None });
        }
        let record = self.types.as_record(whole.ty)?;
        self.settle(whole.ty);
        let record = self.types.record(record);
        if record.union && index > 0 {
            return None;
        }
        let member = record.members.as_ref()?.get(usize::try_from(index).ok()?)?;
        let (ty, bit_offset, bits) = (member.ty, whole.bit_offset + member.bit_offset, member.bits);
        Some(Part { ty, bit_offset, bits })
    }

    fn designated_member(&mut self, whole: Part, name: crate::source::Sym, loc: Loc) -> Parsed<Target> {
        let text = self.name_of(name);
        let path = self.types.as_record(whole.ty).and_then(|record| {
            self.settle(whole.ty);
            self.types.find_member(record, &text)
        });
        let Some(path) = path else {
            let shown = self.types.show(whole.ty);
            return self.error(loc, format!("`{shown}` has no member `{text}`"));
        };
        let index = path.first().copied().unwrap_or(0) as u64;
        let mut part = whole;
        for step in path {
            let Some(record) = self.types.as_record(part.ty) else { continue };
            let Some(member) = self.types.record(record).members.as_ref().and_then(|list| list.get(step)) else {
                continue;
            };
            part = Part { ty: member.ty, bit_offset: part.bit_offset + member.bit_offset, bits: member.bits };
        }
        Ok(Target { part, repeat: (1, 0), index })
    }

    /// `.member[index].member =`
    fn designators(&mut self, whole: Part) -> Parsed<Target> {
        let mut target: Option<Target> = None;
        loop {
            let loc = self.loc();
            let at = target.as_ref().map_or(whole, |target| target.part);
            let step = if self.take(Punct::Dot) {
                let (name, loc) = self.ident("the name of a member")?;
                self.designated_member(at, name, loc)?
            } else if self.take(Punct::LBracket) {
                let (from, _) = self.constant_int("an index")?;
                let to = if self.take(Punct::Ellipsis) { self.constant_int("an index")?.0 } else { from };
                self.expect(Punct::RBracket, "behind the index")?;
                let Some((of, len)) = self.types.element(at.ty) else {
                    let shown = self.types.show(at.ty);
                    return self.error(loc, format!("`{shown}` is no array: it has members, `.name`"));
                };
                let most = len.map_or(1 << 32, |len| len.min(1 << 40));
                if from < 0 || to < from || to.cast_unsigned() >= most {
                    return self.error(loc, format!("index {to} of an array with {most} elements"));
                }
                let size = 8 * self.types.size(of).unwrap_or(0);
                let bit_offset = at.bit_offset + size * from.cast_unsigned();
                let part = Part { ty: of, bit_offset, bits: None };
                Target { part, repeat: ((to - from).cast_unsigned() + 1, size), index: to.cast_unsigned() }
            } else {
                break;
            };
            target = Some(match target {
                None => step,
                Some(outer) => {
                    let repeat = if outer.repeat.0 > 1 { outer.repeat } else { step.repeat };
                    Target { part: step.part, repeat, index: outer.index }
                }
            });
        }
        self.take(Punct::Assign);
        match target {
            Some(target) => Ok(target),
            None => {
                let loc = self.loc();
                self.error(loc, "a designator is expected here")
            }
        }
    }
}

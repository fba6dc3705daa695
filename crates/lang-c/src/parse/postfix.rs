//! Operands, and what follows them: indices, members, calls.

use super::ast::{Builtin, Expr, ExprKind, Stmt, StmtKind, Storage, Var};
use super::builtin::is_function;
use super::{Name, Parsed, Parser};
use crate::lex::{Keyword, Punct, TokenKind};
use crate::source::{Diag, Loc, Sym};
use crate::types::{IntTy, QTy, Quals, RecordId, Types};

impl Parser<'_> {
    pub(super) fn postfix(&mut self) -> Parsed<Expr> {
        let operand = self.primary()?;
        self.postfix_of(operand)
    }

    /// What follows an operand.
    pub(super) fn postfix_of(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            let loc = self.loc();
            let TokenKind::Punct(punct) = *self.peek() else { return Ok(expr) };
            let made = match punct {
                Punct::LBracket => {
                    self.next();
                    let index = self.deeper(Self::expression)?;
                    self.expect(Punct::RBracket, "behind the index")?;
                    self.index(expr, index, loc)?
                }
                Punct::LParen => {
                    self.next();
                    let args = self.arguments()?;
                    self.call(expr, args, loc)?
                }
                Punct::Dot | Punct::Arrow => {
                    self.next();
                    let (name, at) = self.ident("the name of a member")?;
                    if punct == Punct::Dot
                        && self.is(Punct::LParen)
                        && let Some(made) = self.method(&expr, name, at)?
                    {
                        expr = made;
                        continue;
                    }
                    if punct == Punct::Arrow {
                        expr = self.deref(expr, loc)?;
                    }
                    self.member_of(expr, name, at, punct == Punct::Arrow)?
                }
                Punct::PlusPlus | Punct::MinusMinus => {
                    self.next();
                    self.step_by(expr, if punct == Punct::PlusPlus { 1 } else { -1 }, true, loc)?
                }
                _ => return Ok(expr),
            };
            expr = self.low(made)?;
        }
    }

    /// Expressions behind an opening parenthesis, to the closing one.
    pub(super) fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        let mut args = Vec::new();
        if self.take(Punct::RParen) {
            return Ok(args);
        }
        loop {
            args.push(self.assignment()?);
            if self.take(Punct::RParen) {
                return Ok(args);
            }
            self.expect(Punct::Comma, "between arguments")?;
        }
    }

    pub(super) fn index(&mut self, base: Expr, index: Expr, loc: Loc) -> Parsed<Expr> {
        let (base, index) = if self.types.as_int(base.ty).is_some() { (index, base) } else { (base, index) };
        let index = self.rvalue(index)?;
        let Some(int) = self.types.as_int(index.ty).filter(|int| int.size() <= 8) else {
            let shown = self.types.show(index.ty);
            return self.error(loc, format!("an index is an integer, not `{shown}`"));
        };
        let wide = if int.signed() || int.size() < 8 { IntTy::Long } else { IntTy::ULong };
        let index = self.convert(index, Types::int(wide));
        if let Some((of, len)) = self.types.element(base.ty).filter(|_| base.is_lvalue()) {
            self.settle(of);
            if let (Some(at), Some(len)) = (index.literal(), len)
                && len > 0
                && !self.is_unevaluated()
                && (at < 0 || at.cast_unsigned() > len)
            {
                self.diags.push(Diag::warning(loc, format!("index {at} of an array with {len} elements")));
            }
            if self.types.size(of).is_none() {
                let shown = self.types.show(of);
                return self.error(loc, format!("the elements have the incomplete type `{shown}`"));
            }
            return Ok(Expr::new(ExprKind::Index(Box::new(base), Box::new(index)), of, loc));
        }
        let sum = self.binary(super::ast::BinOp::Add, base, index, loc)?;
        self.deref(sum, loc)
    }

    /// `base.name`
    pub(super) fn member_of(&mut self, base: Expr, name: Sym, loc: Loc, arrow: bool) -> Parsed<Expr> {
        let text = self.name_of(name);
        let Some(record) = self.types.as_record(base.ty) else {
            let shown = self.types.show(base.ty);
            let mut diag = Diag::error(loc, format!("`{text}` is looked for in `{shown}`, which has no members"));
            if !arrow && self.types.pointee(base.ty).is_some_and(|to| self.types.as_record(to).is_some()) {
                diag = diag.with_help(format!("it is a pointer: `->{text}` reads the member"));
            }
            return self.fail(diag);
        };
        self.settle(base.ty);
        let Some(path) = self.types.find_member(record, &text) else {
            let shown = self.types.show(base.ty);
            let message = if self.types.record(record).members.is_none() {
                format!("`{shown}` is only declared: its member `{text}` is not known")
            } else {
                format!("`{shown}` has no member `{text}`")
            };
            let mut diag = Diag::error(loc, message);
            if let Some(near) = self.near_member(record, &text) {
                diag = diag.with_help(format!("did you mean `{near}`?"));
            }
            return self.fail(diag);
        };
        let mut expr = base;
        for index in path {
            expr = self.member_at(expr, index, loc);
        }
        Ok(expr)
    }

    /// The member with a number. It has the qualifiers of the whole.
    fn member_at(&mut self, base: Expr, index: usize, loc: Loc) -> Expr {
        let quals = self.types.strip(base.ty).quals;
        let Some(id) = self.types.as_record(base.ty) else { return base };
        let record = self.types.record(id);
        let preserve = record.preserve || self.preserving > 0;
        let Some(member) = record.members.as_ref().and_then(|members| members.get(index)) else { return base };
        let ty = QTy { ty: member.ty.ty, quals: Quals(member.ty.quals.0 | quals.0) };
        self.settle(ty);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Expr::new(ExprKind::Member(Box::new(base), id, index, preserve), ty, loc)
    }

    fn near_member(&self, record: RecordId, name: &str) -> Option<String> {
        let members = self.types.record(record).members.as_ref()?;
        let names = members.iter().map(|member| &*member.name).filter(|name| !name.is_empty());
        super::nearest(name, names).map(str::to_owned)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let loc = self.loc();
        match self.peek().clone() {
            TokenKind::Number(sym) => {
                self.next();
                let (value, int) = self.number(sym, loc)?;
                Ok(Expr::new(ExprKind::Int(value), Types::int(int), loc))
            }
            TokenKind::Char { value, ty } => {
                self.next();
                let int = match ty {
                    crate::lex::CharTy::Utf16 => IntTy::UShort,
                    crate::lex::CharTy::Utf32 => IntTy::UInt,
                    _ => IntTy::Int,
                };
                Ok(Expr::new(ExprKind::Int(int.wrap(value)), Types::int(int), loc))
            }
            TokenKind::Str { bytes, ty } => {
                self.next();
                let of = match ty {
                    crate::lex::CharTy::Plain | crate::lex::CharTy::Utf8 => IntTy::Char,
                    crate::lex::CharTy::Utf16 => IntTy::UShort,
                    crate::lex::CharTy::Utf32 => IntTy::UInt,
                    crate::lex::CharTy::Wide => IntTy::Int,
                };
                Ok(self.string_literal(&bytes, of, loc))
            }
            TokenKind::Ident(sym) => {
                self.next();
                self.name(sym, loc)
            }
            TokenKind::Punct(Punct::LParen) => {
                if matches!(self.peek_at(1), TokenKind::Punct(Punct::LBrace)) {
                    return self.deeper(|parser| parser.statement_expression(loc));
                }
                self.next();
                let expr = self.deeper(Self::expression)?;
                self.expect(Punct::RParen, "behind the expression")?;
                Ok(expr)
            }
            TokenKind::Keyword(word) => self.keyword(word, loc),
            _ => {
                let found = self.describe();
                self.fail(Diag::error(loc, format!("expected an expression, found {found}")))
            }
        }
    }

    pub(super) fn string_literal(&mut self, bytes: &[u8], of: IntTy, loc: Loc) -> Expr {
        let size = of.size() as usize;
        let mut all = bytes.to_vec();
        all.resize(all.len() + size, 0);
        let len = (all.len() / size) as u64;
        let ty = self.types.array(Types::int(of), Some(len));
        Expr::new(ExprKind::Str(all.into()), ty, loc)
    }

    fn keyword(&mut self, word: Keyword, loc: Loc) -> Parsed<Expr> {
        match word {
            Keyword::Generic => self.deeper(Self::generic),
            Keyword::Func => {
                self.next();
                let name =
                    self.here.as_ref().map_or_else(|| "".into(), |here| self.program.func(here.func).name.clone());
                Ok(self.string_literal(name.as_bytes(), IntTy::Char, loc))
            }
            Keyword::Offsetof => self.deeper(Self::offsetof),
            Keyword::TypesCompatible => {
                self.next();
                self.expect(Punct::LParen, "behind `__builtin_types_compatible_p`")?;
                let one = self.type_name()?;
                self.expect(Punct::Comma, "between the types")?;
                let other = self.type_name()?;
                self.expect(Punct::RParen, "behind the types")?;
                let plain = |ty: QTy| QTy { quals: Quals::NONE, ..ty };
                let (one, other) = (plain(self.types.strip(one)), plain(self.types.strip(other)));
                let same = self.types.same(one, other, true);
                Ok(Expr::new(ExprKind::Int(same.into()), Types::int(IntTy::Int), loc))
            }
            Keyword::ChooseExpr => {
                self.next();
                self.expect(Punct::LParen, "behind `__builtin_choose_expr`")?;
                let (value, _) = self.constant_int("the first operand of `__builtin_choose_expr`")?;
                self.expect(Punct::Comma, "between the operands")?;
                let yes = self.assignment()?;
                self.expect(Punct::Comma, "between the operands")?;
                let no = self.assignment()?;
                self.expect(Punct::RParen, "behind the operands")?;
                Ok(if value != 0 { yes } else { no })
            }
            Keyword::VaArg => self.error(loc, "BPF functions have no variable arguments"),
            _ => {
                let found = self.describe();
                self.error(loc, format!("expected an expression, found {found}"))
            }
        }
    }

    fn name(&mut self, sym: Sym, loc: Loc) -> Parsed<Expr> {
        match self.lookup(sym) {
            Some(Name::Var(id)) => {
                let ty = self.program.var(id).ty;
                if !self.is_unevaluated() {
                    self.program.vars[id.0 as usize].used = true;
                }
                Ok(Expr::new(ExprKind::Var(id), ty, loc))
            }
            // The C library declares what is built in.
            Some(Name::Func(id)) if self.is(Punct::LParen) && self.is_declared_builtin(id) => {
                let name = self.name_of(sym);
                self.builtin(&name, loc)
            }
            Some(Name::Func(id)) => Ok(Expr::new(ExprKind::Func(id), self.program.func(id).ty, loc)),
            Some(Name::Enumerator(value, ty)) => Ok(Expr::new(ExprKind::Int(value), ty, loc)),
            Some(Name::Typedef(_)) => {
                let name = self.name_of(sym);
                self.error(loc, format!("`{name}` is a type: an expression is expected here"))
            }
            None => {
                let name = self.name_of(sym);
                if self.is(Punct::LParen) && is_function(&name) {
                    return self.builtin(&name, loc);
                }
                self.unknown(&name, loc)
            }
        }
    }

    fn is_declared_builtin(&self, id: super::ast::FuncId) -> bool {
        let func = self.program.func(id);
        func.body.is_none() && func.section.is_none() && is_function(&func.name)
    }

    fn unknown(&mut self, name: &str, loc: Loc) -> Parsed<Expr> {
        let call = self.is(Punct::LParen);
        let what = if call { "function" } else { "name" };
        let mut diag = Diag::error(loc, format!("unknown {what} `{name}`"));
        let helper = name.strip_prefix("bpf_").and_then(skep_isa::helpers::by_name);
        if call && helper.is_some() {
            diag = diag.with_help("`#include <bpf/bpf_helpers.h>` declares the helpers");
        } else {
            let mut names: Vec<String> = Vec::new();
            for scope in &self.scopes {
                names.extend(scope.names.keys().map(|sym| self.sources.text(*sym).to_owned()));
            }
            names.extend(skep_isa::helpers::HELPERS.iter().map(|helper| format!("bpf_{}", helper.name)));
            names.sort();
            if let Some(near) = super::nearest(name, names.iter().map(String::as_str)) {
                diag = diag.with_help(format!("did you mean `{near}`?"));
            }
        }
        self.fail(diag)
    }

    /// `({ ... })`: the value of the last statement.
    fn statement_expression(&mut self, loc: Loc) -> Parsed<Expr> {
        if self.here.is_none() && self.unevaluated == 0 {
            return self.error(loc, "a statement expression stands in functions only");
        }
        self.at += 2;
        self.push_scope();
        let body = self.block_items();
        self.pop_scope();
        let mut body = body?;
        self.expect(Punct::RParen, "behind `({ ... }`")?;
        let mut ty = Types::void();
        if let Some(Stmt { kind: StmtKind::Expr(last), .. }) = body.last_mut() {
            let value = std::mem::replace(last, Expr::new(ExprKind::Error, Types::void(), loc));
            let value = self.rvalue(value)?;
            ty = value.ty;
            *last = value;
        }
        Ok(Expr::new(ExprKind::StmtExpr(body), ty, loc))
    }

    /// `_Generic(value, type: result, ...)`
    fn generic(&mut self) -> Parsed<Expr> {
        let loc = self.loc();
        self.next();
        self.expect(Punct::LParen, "behind `_Generic`")?;
        self.unevaluated += 1;
        let control = self.assignment().and_then(|control| self.rvalue(control));
        self.unevaluated -= 1;
        let wanted = self.types.strip(control?.ty);
        let (mut chosen, mut default) = (None, None);
        while self.take(Punct::Comma) {
            let ty = if self.take_word(Keyword::Default) { None } else { Some(self.type_name()?) };
            self.expect(Punct::Colon, "behind the type")?;
            let fits = ty.is_some_and(|ty| self.types.same(ty, wanted, true));
            // What is not chosen is not evaluated.
            self.unevaluated += u32::from(ty.is_some() && !fits);
            let result = self.assignment();
            self.unevaluated -= u32::from(ty.is_some() && !fits);
            let result = result?;
            match ty {
                None => default = Some(result),
                Some(_) if fits && chosen.is_none() => chosen = Some(result),
                Some(_) => {}
            }
        }
        self.expect(Punct::RParen, "behind the choices of `_Generic`")?;
        match chosen.or(default) {
            Some(expr) => Ok(expr),
            None => {
                let shown = self.types.show(wanted);
                self.error(loc, format!("`_Generic` has no choice for `{shown}`"))
            }
        }
    }

    /// `__builtin_offsetof(type, member.member[index])`
    fn offsetof(&mut self) -> Parsed<Expr> {
        let loc = self.loc();
        self.next();
        self.expect(Punct::LParen, "behind `offsetof`")?;
        let ty = self.type_name()?;
        self.expect(Punct::Comma, "between type and member")?;
        let ptr = self.types.ptr(ty);
        let null = Expr::new(ExprKind::Int(0), Types::int(IntTy::ULong), loc);
        let null = Expr::new(ExprKind::Cast(Box::new(null)), ptr, loc);
        let mut place = self.deref(null, loc)?;
        let (name, at) = self.ident("the name of a member")?;
        self.unevaluated += 1;
        let result = self.member_of(place, name, at, false);
        self.unevaluated -= 1;
        place = result?;
        loop {
            if self.take(Punct::Dot) {
                let (name, at) = self.ident("the name of a member")?;
                place = self.member_of(place, name, at, false)?;
            } else if self.take(Punct::LBracket) {
                let index = self.expression()?;
                self.expect(Punct::RBracket, "behind the index")?;
                place = self.index(place, index, loc)?;
            } else {
                break;
            }
            place = self.low(place)?;
        }
        self.expect(Punct::RParen, "behind the member")?;
        if self.bit_field(&place).is_some() {
            return self.error(loc, "a bit-field has no offset in bytes");
        }
        let eval = crate::konst::Eval { types: &self.types, program: &self.program, variables: true };
        match eval.address(&place).and_then(|address| address.int()) {
            Some(offset) => Ok(Expr::new(ExprKind::Int(offset), Types::int(IntTy::ULong), loc)),
            None => self.error(loc, "this offset is not a constant"),
        }
    }

    /// A call of a function or of a pointer to one.
    pub(super) fn call(&mut self, callee: Expr, args: Vec<Expr>, loc: Loc) -> Parsed<Expr> {
        let at = callee.loc;
        if let ExprKind::Func(id) = callee.kind {
            self.called.insert(id);
            if let Some(here) = self.here.as_ref().filter(|_| self.bcc) {
                self.calls.push((here.func, id));
            }
        }
        let name = match &callee.kind {
            ExprKind::Func(id) => format!("`{}`", self.program.func(*id).name),
            ExprKind::Var(id) => format!("`{}`", self.program.var(*id).name),
            _ => "the function".to_owned(),
        };
        let callee = self.rvalue(callee)?;
        let Some(func) = self.types.pointee(callee.ty).and_then(|to| self.types.as_func(to)) else {
            let shown = self.types.show(callee.ty);
            return self.error(at, format!("only functions are called, not a value of type `{shown}`"));
        };
        let (wanted, given) = (func.params.len(), args.len());
        if given < wanted || given > wanted && !func.variadic {
            let s = if wanted == 1 { "" } else { "s" };
            return self.error(loc, format!("{name} takes {wanted} argument{s}, not {given}"));
        }
        let mut converted = Vec::new();
        for (at, arg) in args.into_iter().enumerate() {
            converted.push(match func.params.get(at) {
                Some(&ty) => self.assignable(arg, ty, &format!("argument {} of {name}", at + 1))?,
                None => {
                    let arg = self.rvalue(arg)?;
                    self.promote(arg)?
                }
            });
        }
        self.settle(func.ret);
        let ret = QTy { quals: Quals::NONE, ..func.ret };
        Ok(Expr::new(ExprKind::Call(Box::new(callee), converted), ret, loc))
    }

    /// `(type){ ... }`
    pub(super) fn compound_literal(&mut self, ty: QTy, loc: Loc) -> Parsed<Expr> {
        self.settle(ty);
        let global = self.here.is_none();
        let (init, ty) = self.initializer(ty, global)?;
        if self.types.size(ty).is_none() {
            let shown = self.types.show(ty);
            return self.error(loc, format!("a literal of the incomplete type `{shown}`"));
        }
        let init = std::rc::Rc::new(init);
        let storage = if global { Storage::Static } else { Storage::Local };
        let var = Var {
            name: "".into(),
            ty,
            storage,
            section: None,
            weak: false,
            align: 0,
            addressed: false,
            assigned: false,
            init: global.then(|| init.clone()),
            tags: Vec::new(),
            register: None,
            loc,
            used: true,
        };
        let id = self.add_var(var);
        if global {
            self.statics += 1;
            let name: std::rc::Rc<str> = format!(".literal.{}", self.statics).into();
            self.program.vars[id.0 as usize].name = name.clone();
            self.program.globals.insert(name, id);
            return Ok(Expr::new(ExprKind::Var(id), ty, loc));
        }
        Ok(Expr::new(ExprKind::Compound(id, init), ty, loc))
    }

    /// A builtin with operands, as an expression.
    pub(super) fn made(builtin: Builtin, args: Vec<Expr>, ty: QTy, loc: Loc) -> Expr {
        Expr::new(ExprKind::Builtin(builtin, args), ty, loc)
    }
}

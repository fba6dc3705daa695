//! Declarations: specifiers, variables, functions, names of types.

use std::rc::Rc;

use super::ast::{Func, Init, Stmt, StmtKind, Storage, Var, VarId};
use super::attr::Attrs;
use super::declarator::{Declared, Param};
use super::{Here, Name, Parsed, Parser, new_func};
use crate::lex::{Keyword, Punct, TokenKind};
use crate::source::{Diag, Loc, Sym};
use crate::types::{IntTy, Kind, QTy, Quals, Types};

/// What stands in front of declarators.
#[derive(Debug, Clone)]
pub struct Specs {
    pub ty: QTy,
    pub typedef: bool,
    pub is_extern: bool,
    pub is_static: bool,
    pub register: bool,
    pub inline: bool,
    /// `__auto_type`: the initialiser says.
    pub auto: bool,
    pub attrs: Attrs,
}

/// The words of a basic type, counted.
#[derive(Default)]
struct Words {
    signed: u8,
    unsigned: u8,
    long: u8,
    short: u8,
    /// `void`, `char`, `int`, `_Bool`, `__int128`, `float`, `double`.
    base: Option<Keyword>,
    any: bool,
}

impl Parser<'_> {
    /// Storage class, qualifiers and type.
    pub(super) fn specifiers(&mut self) -> Parsed<Specs> {
        let loc = self.loc();
        let mut specs = Specs {
            ty: Types::void(),
            typedef: false,
            is_extern: false,
            is_static: false,
            register: false,
            inline: false,
            auto: false,
            attrs: Attrs::default(),
        };
        let mut words = Words::default();
        let (mut quals, mut found): (Quals, Option<QTy>) = (Quals::NONE, None);
        loop {
            match *self.peek() {
                TokenKind::Keyword(word) => {
                    if !self.specifier(word, &mut specs, &mut words, &mut quals, &mut found)? {
                        break;
                    }
                }
                TokenKind::Ident(sym) if found.is_none() && !words.any && !specs.auto => match self.lookup(sym) {
                    Some(Name::Typedef(ty)) => {
                        self.next();
                        found = Some(ty);
                    }
                    _ => break,
                },
                _ => break,
            }
        }
        let ty = match (found, words.any) {
            (Some(ty), false) => ty,
            (Some(_), true) => return self.error(loc, "two types in one declaration"),
            (None, true) => self.basic(&words, loc)?,
            (None, false) if specs.auto => Types::void(),
            (None, false) => return self.no_type(loc),
        };
        if std::mem::take(&mut specs.attrs.arena) {
            quals = quals.with(Quals::ARENA);
        }
        specs.ty = QTy { ty: ty.ty, quals: ty.quals.with(quals) };
        if specs.attrs.mode > 0 {
            specs.ty = QTy { quals: specs.ty.quals, ..self.with_mode(ty, specs.attrs.mode) };
        }
        for tag in std::mem::take(&mut specs.attrs.type_tags) {
            specs.ty = self.types.plain(Kind::Tagged(tag, specs.ty));
        }
        Ok(specs)
    }

    fn with_mode(&self, ty: QTy, mode: u64) -> QTy {
        let signed = self.types.as_int(ty).is_none_or(IntTy::signed);
        let int = match (mode, signed) {
            (1, true) => IntTy::SChar,
            (2, true) => IntTy::Short,
            (8, true) => IntTy::Long,
            (16, true) => IntTy::Int128,
            (_, true) => IntTy::Int,
            (1, false) => IntTy::UChar,
            (2, false) => IntTy::UShort,
            (8, false) => IntTy::ULong,
            (16, false) => IntTy::UInt128,
            (_, false) => IntTy::UInt,
        };
        Types::int(int)
    }

    fn no_type<T>(&mut self, loc: Loc) -> Parsed<T> {
        let found = self.describe();
        let mut diag = match *self.peek() {
            TokenKind::Ident(_) => Diag::error(self.loc(), format!("unknown type name {found}")),
            _ => Diag::error(loc, format!("expected a type, found {found}")),
        };
        if matches!(self.peek(), TokenKind::Ident(_)) && self.kernel.is_none() {
            diag = diag.with_help("`#include \"vmlinux.h\"` brings the types of the kernel");
        }
        self.fail(diag)
    }

    /// Takes a keyword of a declaration; false if it is none.
    fn specifier(
        &mut self,
        word: Keyword,
        specs: &mut Specs,
        words: &mut Words,
        quals: &mut Quals,
        found: &mut Option<QTy>,
    ) -> Parsed<bool> {
        use Keyword as K;
        let loc = self.loc();
        match word {
            K::Typedef => specs.typedef = true,
            K::Extern => specs.is_extern = true,
            K::Static => specs.is_static = true,
            K::Register => specs.register = true,
            K::Inline => specs.inline = true,
            K::Noreturn => specs.attrs.noreturn = true,
            K::Auto | K::Extension => {}
            K::AutoType => specs.auto = true,
            K::ThreadLocal => return self.error(loc, "BPF programs have no threads: no variable is thread-local"),
            K::Complex => return self.error(loc, "BPF has no complex numbers"),
            K::Float16 | K::Float128 => return self.error(loc, "BPF has no floating-point numbers"),
            K::Const => *quals = quals.with(Quals::CONST),
            K::Volatile => *quals = quals.with(Quals::VOLATILE),
            K::Restrict => *quals = quals.with(Quals::RESTRICT),
            K::Atomic => {
                if matches!(self.peek_at(1), TokenKind::Punct(Punct::LParen)) {
                    self.at += 2;
                    *found = Some(self.type_name()?);
                    self.expect(Punct::RParen, "behind `_Atomic(...`")?;
                    return Ok(true);
                }
            }
            K::Attribute | K::Alignas => {
                self.attributes(&mut specs.attrs)?;
                return Ok(true);
            }
            K::Signed => (words.signed, words.any) = (words.signed + 1, true),
            K::Unsigned => (words.unsigned, words.any) = (words.unsigned + 1, true),
            K::Long => (words.long, words.any) = (words.long.saturating_add(1), true),
            K::Short => (words.short, words.any) = (words.short + 1, true),
            K::Void | K::Char | K::Int | K::Bool | K::Int128 | K::Uint128 | K::Float | K::Double => {
                if words.base.is_some() || found.is_some() {
                    return self.error(loc, "two types in one declaration");
                }
                (words.base, words.any) = (Some(word), true);
            }
            K::Struct | K::Union | K::Enum => {
                if found.is_some() || words.any {
                    return self.error(loc, "two types in one declaration");
                }
                self.next();
                let ty = self.deeper(|parser| match word {
                    K::Enum => parser.enumeration(),
                    _ => parser.record(word == K::Union),
                })?;
                *found = Some(ty);
                return Ok(true);
            }
            K::Typeof | K::TypeofUnqual => {
                self.next();
                let ty = self.typeof_type()?;
                *found = Some(if word == K::TypeofUnqual { QTy { quals: Quals::NONE, ..ty } } else { ty });
                return Ok(true);
            }
            _ => return Ok(false),
        }
        self.next();
        if words.signed > 1 || words.unsigned > 1 || words.short > 1 {
            return self.error(loc, format!("`{}` twice in one type", word.spelling()));
        }
        Ok(true)
    }

    /// The parentheses of `typeof`.
    fn typeof_type(&mut self) -> Parsed<QTy> {
        self.expect(Punct::LParen, "behind `typeof`")?;
        let ty = if self.begins_type() {
            self.type_name()?
        } else {
            self.unevaluated += 1;
            let expr = self.deeper(Self::expression);
            self.unevaluated -= 1;
            expr?.ty
        };
        self.expect(Punct::RParen, "behind `typeof(...`")?;
        Ok(ty)
    }

    fn basic(&mut self, words: &Words, loc: Loc) -> Parsed<QTy> {
        let unsigned = words.unsigned > 0;
        let int = match (words.base, words.long, words.short) {
            (Some(Keyword::Void), 0, 0) if !unsigned && words.signed == 0 => return Ok(Types::void()),
            (Some(Keyword::Float), 0, 0) => return Ok(self.types.plain(Kind::Float(4))),
            (Some(Keyword::Double), 0..=1, 0) => return Ok(self.types.plain(Kind::Float(8))),
            (Some(Keyword::Bool), 0, 0) if !unsigned => IntTy::Bool,
            (Some(Keyword::Char), 0, 0) if words.signed > 0 => IntTy::SChar,
            (Some(Keyword::Char), 0, 0) => IntTy::Char,
            (Some(Keyword::Int128), 0, 0) => IntTy::Int128,
            (Some(Keyword::Uint128), 0, 0) => IntTy::UInt128,
            (None | Some(Keyword::Int), 0, 1) => IntTy::Short,
            (None | Some(Keyword::Int), 0, 0) => IntTy::Int,
            (None | Some(Keyword::Int), 1, 0) => IntTy::Long,
            (None | Some(Keyword::Int), 2, 0) => IntTy::LongLong,
            _ => return self.error(loc, "these words do not make a type"),
        };
        Ok(Types::int(if unsigned { int.unsigned() } else { int }))
    }

    /// A declaration of the file.
    pub(super) fn external_declaration(&mut self) -> Parsed<()> {
        self.pragmas();
        if self.take(Punct::Semi) || matches!(self.peek(), TokenKind::Eof) {
            return Ok(());
        }
        if self.is_word(Keyword::StaticAssert) {
            return self.static_assert();
        }
        if self.is_word(Keyword::Asm) {
            let loc = self.loc();
            return self.error(loc, "assembly outside of functions is not supported");
        }
        while self.take_word(Keyword::Extension) {}
        let specs = self.specifiers()?;
        if self.take(Punct::Semi) {
            return Ok(());
        }
        let declared = self.declarator(specs.ty)?;
        if declared.params.is_some() && (self.is(Punct::LBrace)) {
            return self.function_definition(&specs, declared);
        }
        let mut statements = Vec::new();
        self.declarators(&specs, declared, &mut statements)
    }

    /// The rest of a declaration, behind the first declarator.
    pub(super) fn declarators(&mut self, specs: &Specs, first: Declared, out: &mut Vec<Stmt>) -> Parsed<()> {
        let mut declared = first;
        loop {
            self.declare_one(specs, declared, out)?;
            if !self.take(Punct::Comma) {
                break;
            }
            declared = self.declarator(specs.ty)?;
        }
        self.expect(Punct::Semi, "behind the declaration")
    }

    fn declare_one(&mut self, specs: &Specs, declared: Declared, out: &mut Vec<Stmt>) -> Parsed<()> {
        let Some(sym) = declared.name else {
            return self.error(declared.loc, "a declaration needs a name");
        };
        let mut attrs = specs.attrs.clone();
        attrs.merge(declared.attrs.clone());
        if specs.typedef {
            let name = self.name_of(sym);
            let mut ty = declared.ty;
            if attrs.mode > 0 {
                ty = self.with_mode(ty, attrs.mode);
            }
            let ty = self.types.typedef(name, ty);
            self.declare(sym, Name::Typedef(ty));
            return Ok(());
        }
        if self.types.as_func(declared.ty).is_some() {
            self.declare_function(sym, specs, &declared, &attrs);
            return Ok(());
        }
        if matches!(self.types.kind(declared.ty), Kind::Float(_)) && !specs.is_extern {
            return self.fail(
                Diag::error(declared.loc, "BPF has no floating-point numbers")
                    .with_help("use integers, for example in thousandths"),
            );
        }
        if specs.is_extern || self.here.is_none() || specs.is_static {
            return self.declare_static(sym, specs, declared, attrs);
        }
        self.declare_local(sym, specs, declared, attrs, out)
    }

    fn declare_function(&mut self, sym: Sym, specs: &Specs, declared: &Declared, attrs: &Attrs) -> super::ast::FuncId {
        let name = self.name_of(sym);
        let known = self.program.functions.get(&name).copied();
        let storage = if specs.is_static { Storage::Static } else { Storage::Extern };
        let mut func = match known {
            Some(id) => self.program.func(id).clone(),
            None => new_func(&name, declared.ty, storage, declared.loc),
        };
        if func.body.is_none() {
            func.ty = declared.ty;
        }
        if specs.is_static {
            func.storage = Storage::Static;
        }
        func.inline |= specs.inline;
        func.always_inline |= attrs.always_inline;
        func.noinline |= attrs.noinline;
        func.hidden |= attrs.hidden;
        func.naked |= attrs.naked;
        func.noreturn |= attrs.noreturn;
        func.weak = if known.is_some() { func.weak && func.body.is_none() || attrs.weak } else { attrs.weak };
        func.section = attrs.section.clone().or(func.section);
        func.asm_name = declared.asm_name.clone().or(func.asm_name);
        let own = attrs.decl_tags.iter().map(|tag| (None, tag.clone()));
        let params = declared.params.iter().flatten().zip(0..);
        let tags = params.flat_map(|(param, number)| param.tags.iter().map(move |tag| (Some(number), tag.clone())));
        for tag in own.chain(tags) {
            if !func.tags.contains(&tag) {
                func.tags.push(tag);
            }
        }
        let id = match known {
            Some(id) => {
                self.program.funcs[id.0 as usize] = func;
                id
            }
            None => self.add_func(func),
        };
        self.declare(sym, Name::Func(id));
        self.scopes[0].names.insert(sym, Name::Func(id));
        id
    }

    fn new_var(&self, sym: Sym, ty: QTy, storage: Storage, attrs: &Attrs, loc: Loc) -> Var {
        Var {
            name: self.name_of(sym),
            ty,
            storage,
            section: attrs.section.clone(),
            weak: attrs.weak,
            align: attrs.aligned,
            addressed: false,
            assigned: false,
            init: None,
            tags: attrs.decl_tags.clone(),
            register: None,
            loc,
            used: false,
        }
    }

    /// A variable that lives as long as the program.
    fn declare_static(&mut self, sym: Sym, specs: &Specs, declared: Declared, attrs: Attrs) -> Parsed<()> {
        let Declared { mut ty, loc, .. } = declared;
        let name = self.name_of(sym);
        let has_init = self.is(Punct::Assign);
        let storage = match () {
            () if specs.is_extern && !has_init => Storage::Extern,
            () if specs.is_static => Storage::Static,
            () => Storage::Global,
        };
        let in_function = self.here.is_some();
        let known = self.program.globals.get(&name).copied().filter(|_| !(in_function && specs.is_static));
        let id = match known {
            Some(id) => {
                let old = self.program.var(id).clone();
                let var = &mut self.program.vars[id.0 as usize];
                if storage != Storage::Extern {
                    var.storage = if old.storage == Storage::Static { Storage::Static } else { storage };
                }
                var.section = attrs.section.clone().or(old.section);
                var.align = var.align.max(attrs.aligned);
                var.tags.extend(attrs.decl_tags.iter().cloned());
                if self.types.size(old.ty).is_none() {
                    self.program.vars[id.0 as usize].ty = ty;
                } else {
                    ty = old.ty;
                }
                id
            }
            None => {
                let mut var = self.new_var(sym, ty, storage, &attrs, loc);
                if in_function && specs.is_static {
                    // Variables of functions have names of their own in the object.
                    self.statics += 1;
                    let outer =
                        self.here.as_ref().map_or_else(|| "".into(), |here| self.program.func(here.func).name.clone());
                    let own = format!("{outer}.{name}");
                    let taken = self.program.globals.contains_key(own.as_str());
                    var.name = if taken { format!("{own}.{}", self.statics).into() } else { own.into() };
                }
                let key = Rc::clone(&var.name);
                let id = self.add_var(var);
                self.program.globals.insert(key, id);
                id
            }
        };
        self.declare(sym, Name::Var(id));
        if specs.is_extern && !has_init && in_function {
            self.scopes[0].names.entry(sym).or_insert(Name::Var(id));
        }
        if self.take(Punct::Assign) {
            self.settle(ty);
            let (init, full) = self.initializer(ty, true)?;
            let var = &mut self.program.vars[id.0 as usize];
            (var.init, var.ty) = (Some(Rc::new(init)), full);
            ty = full;
        }
        self.settle(ty);
        // A tentative definition of an array without a length has one element.
        if storage != Storage::Extern && self.types.size(ty).is_none() {
            if let Some((of, None)) = self.types.element(ty) {
                let one = self.types.array(of, Some(1));
                self.program.vars[id.0 as usize].ty = one;
                return Ok(());
            }
            let shown = self.types.show(ty);
            return self.error(loc, format!("`{name}` has the incomplete type `{shown}`"));
        }
        Ok(())
    }

    fn declare_local(
        &mut self,
        sym: Sym,
        specs: &Specs,
        declared: Declared,
        attrs: Attrs,
        out: &mut Vec<Stmt>,
    ) -> Parsed<()> {
        let Declared { ty, loc, asm_name, .. } = declared;
        if specs.auto {
            self.expect(Punct::Assign, "behind a variable of `__auto_type`")?;
            let value = self.assignment()?;
            let value = self.rvalue(value)?;
            let ty = QTy { quals: specs.ty.quals, ..value.ty };
            let id = self.local(sym, ty, &attrs, loc);
            let entry = super::ast::InitEntry { offset: 0, ty, bits: None, expr: value };
            let init = Init { entries: vec![entry], whole: true };
            out.push(Stmt { kind: StmtKind::Decl(id, Some(Rc::new(init))), loc });
            return Ok(());
        }
        let name = self.name_of(sym);
        let id = self.local(sym, ty, &attrs, loc);
        self.program.vars[id.0 as usize].register = asm_name;
        let mut init = None;
        let mut full = ty;
        self.settle(ty);
        if self.take(Punct::Assign) {
            let (value, ty) = self.initializer(ty, false)?;
            full = ty;
            self.program.vars[id.0 as usize].ty = ty;
            init = Some(Rc::new(value));
            let callee = self.types.pointee(ty).is_some_and(|to| self.types.as_func(to).is_some());
            if ty.quals.has(Quals::CONST) || callee {
                // It may be asked whether this is a constant, and what is called.
                self.program.vars[id.0 as usize].init.clone_from(&init);
            }
        }
        if self.types.size(full).is_none() {
            let shown = self.types.show(full);
            return self.error(loc, format!("`{name}` has the incomplete type `{shown}`"));
        }
        out.push(Stmt { kind: StmtKind::Decl(id, init), loc });
        if let (Some(func), Some(scope)) = (attrs.cleanup, self.scopes.last_mut()) {
            scope.cleanups.push((id, func));
            self.program.vars[id.0 as usize].addressed = true;
        }
        Ok(())
    }

    fn local(&mut self, sym: Sym, ty: QTy, attrs: &Attrs, loc: Loc) -> VarId {
        if self.types.in_arena(ty) {
            let name = self.name_of(sym);
            self.diags.push(
                Diag::error(loc, format!("`{name}` cannot be in an arena: local variables are on the stack"))
                    .with_help("`static` gives it a place there; a pointer has `__arena` in front of its `*`"),
            );
        }
        let var = self.new_var(sym, ty, Storage::Local, attrs, loc);
        let id = self.add_var(var);
        self.declare(sym, Name::Var(id));
        id
    }

    fn function_definition(&mut self, specs: &Specs, declared: Declared) -> Parsed<()> {
        let Some(sym) = declared.name else {
            return self.error(declared.loc, "a function needs a name");
        };
        let mut attrs = specs.attrs.clone();
        attrs.merge(declared.attrs.clone());
        let id = self.declare_function(sym, specs, &declared, &attrs);
        if self.program.func(id).body.is_some() && !self.program.func(id).weak {
            let first = self.program.func(id).loc;
            let name = self.name_of(sym);
            let diag = Diag::error(declared.loc, format!("`{name}` is defined twice"))
                .with_note(first, "the first one is here");
            return self.fail(diag);
        }
        let Some(ty) = self.types.as_func(declared.ty) else { return Ok(()) };
        self.settle(ty.ret);
        self.here = Some(Here {
            func: id,
            ret: ty.ret,
            labels: std::collections::HashMap::new(),
            label_scopes: 0,
            label_names: Vec::new(),
            breaks: Vec::new(),
            continues: Vec::new(),
            switches: Vec::new(),
        });
        self.push_scope();
        let params = self.declare_params(declared.params.unwrap_or_default());
        let body = params.and_then(|mut params| {
            let mut read = self.probe_parameters(id, &mut params, declared.loc)?;
            let func = &mut self.program.funcs[id.0 as usize];
            func.params = params;
            func.loc = declared.loc;
            if func.storage == Storage::Extern {
                func.storage = Storage::Global;
            }
            self.next();
            read.extend(self.block_items()?);
            Ok(read)
        });
        self.pop_scope();
        let here = self.here.take();
        let body = body?;
        if let Some(here) = here {
            let all = here.labels.iter().filter(|(_, label)| !label.1);
            let mut missing: Vec<(Loc, Sym)> = all.map(|(&(sym, _), label)| (label.2, sym)).collect();
            missing.sort_unstable_by_key(|(loc, _)| loc.0);
            for (loc, sym) in missing {
                let name = self.name_of(sym);
                self.diags.error(loc, format!("there is no label `{name}` in this function"));
            }
            let func: &mut Func = &mut self.program.funcs[id.0 as usize];
            func.labels = here.label_names;
            func.body = Some(Rc::new(body));
        }
        Ok(())
    }

    fn declare_params(&mut self, params: Vec<Param>) -> Parsed<Vec<VarId>> {
        let mut ids = Vec::new();
        for param in params {
            self.settle(param.ty);
            // The kernel asks how large it is what a function gets the address of.
            if let Some(to) = self.types.pointee(param.ty) {
                self.settle(to);
            }
            let id = match param.name {
                Some(sym) => self.local(sym, param.ty, &Attrs::default(), param.loc),
                None => {
                    let mut var = self.new_var(Sym::default(), param.ty, Storage::Local, &Attrs::default(), param.loc);
                    var.name = "".into();
                    self.add_var(var)
                }
            };
            ids.push(id);
        }
        Ok(ids)
    }

    /// `_Static_assert(condition, "message");`
    pub(super) fn static_assert(&mut self) -> Parsed<()> {
        let loc = self.loc();
        self.next();
        self.expect(Punct::LParen, "behind `_Static_assert`")?;
        let (value, _) = self.constant_int("the condition of `_Static_assert`")?;
        let mut message = String::new();
        if self.take(Punct::Comma) {
            message = format!(": {}", self.string("the message of `_Static_assert`")?);
        }
        self.expect(Punct::RParen, "behind `_Static_assert(...`")?;
        self.expect(Punct::Semi, "behind `_Static_assert(...)`")?;
        if value == 0 {
            self.diags.error(loc, format!("static assertion failed{message}"));
        }
        Ok(())
    }
}

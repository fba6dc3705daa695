//! The parser, written by hand: from tokens to the typed tree.
//!
//! What lives here: declarations, types, statements, expressions, initialisers, builtins and attributes as the grammar has
//! them. Which operands fit is judged in `sema`, constants in `konst`; instructions are made in `lower`.

pub mod ast;
mod attr;
mod bcc;
pub mod builtin;
mod decl;
mod declarator;
mod expr;
mod init;
mod number;
mod postfix;
mod record;
mod stmt;

use std::collections::HashMap;
use std::rc::Rc;

use skep_ir::hash::QuickMap;

use crate::konst::{Const, Eval};
use crate::lex::{Keyword, PackPragma, Pragma, Punct, Token, TokenKind};
use crate::provider::{NameKind, TypeSource};
use crate::source::{Diag, Diags, Loc, Sources, Sym};
use crate::types::{EnumId, Kind, QTy, RecordId, Types};
use ast::{Expr, Func, FuncId, Program, Storage, Var, VarId};
use attr::Attrs;

/// Says that an error has been reported, so that the caller only has to find its way back.
#[derive(Debug, Clone, Copy)]
pub struct Reported;

/// What parsing a part gives.
pub type Parsed<T> = Result<T, Reported>;

/// Deepest nesting of expressions, statements, declarators and initialisers.
const DEEPEST: u32 = 200;

/// What an ordinary name means.
#[derive(Debug, Clone)]
pub enum Name {
    Var(VarId),
    Func(FuncId),
    Typedef(QTy),
    Enumerator(i64, QTy),
}

/// What a tag means.
#[derive(Debug, Clone, Copy)]
pub enum Tag {
    Record(RecordId),
    Enum(EnumId),
}

#[derive(Debug, Default)]
struct Scope {
    names: QuickMap<Sym, Name>,
    tags: QuickMap<Sym, Tag>,
    /// Variables with `cleanup`, in the order of their declaration.
    cleanups: Vec<(VarId, FuncId)>,
    /// Labels of `__label__`, with a number that no other scope has.
    labels: QuickMap<Sym, u32>,
}

/// What is known about the function that is being parsed.
#[derive(Debug)]
struct Here {
    func: FuncId,
    ret: QTy,
    /// By the number of the scope they belong to, 0 for the function.
    labels: HashMap<(Sym, u32), (ast::LabelId, bool, Loc)>,
    /// Scopes with labels of their own.
    label_scopes: u32,
    label_names: Vec<Rc<str>>,
    /// Depths of scopes where loops and switches begin: for `break` and `continue`.
    breaks: Vec<usize>,
    continues: Vec<usize>,
    /// The types of the switches around.
    switches: Vec<QTy>,
}

/// The parser.
pub struct Parser<'a> {
    tokens: Rc<[Token]>,
    at: usize,
    pub sources: &'a Sources,
    provider: &'a mut dyn TypeSource,
    pub diags: &'a mut Diags,
    pub types: Types,
    pub program: Program,
    scopes: Vec<Scope>,
    /// Whether unknown names are looked for in the kernel's types, and whether these are relocated.
    kernel: Option<bool>,
    missing: QuickMap<Sym, ()>,
    pushed: Vec<Attrs>,
    pack: Vec<u64>,
    here: Option<Here>,
    depth: u32,
    /// Inside of `__builtin_preserve_access_index`.
    preserving: u32,
    /// Operands that are not evaluated: of `sizeof`, `typeof` and their like.
    unevaluated: u32,
    statics: u32,
    /// A value of an initialiser that was read before its place was known.
    pending: Option<Expr>,
    /// Whether the dialect of BCC is read.
    bcc: bool,
    /// Functions that are called.
    called: std::collections::HashSet<ast::FuncId>,
    /// Who calls whom, in the dialect of BCC.
    calls: Vec<(ast::FuncId, ast::FuncId)>,
    /// Functions that write to headers of packets.
    writers: std::collections::HashSet<ast::FuncId>,
}

impl<'a> Parser<'a> {
    /// Reads a translation unit.
    pub fn new(
        tokens: &[Token],
        sources: &'a Sources,
        provider: &'a mut dyn TypeSource,
        diags: &'a mut Diags,
        bcc: bool,
    ) -> Self {
        Self {
            tokens: tokens.to_vec().into(),
            at: 0,
            sources,
            provider,
            diags,
            types: Types::new(),
            program: Program::default(),
            scopes: vec![Scope::default()],
            kernel: None,
            missing: QuickMap::default(),
            pushed: Vec::new(),
            pack: vec![0],
            here: None,
            depth: 0,
            preserving: 0,
            unevaluated: 0,
            statics: 0,
            pending: None,
            bcc,
            called: std::collections::HashSet::new(),
            calls: Vec::new(),
            writers: std::collections::HashSet::new(),
        }
    }

    /// Reads all declarations.
    pub fn run(mut self) -> (Types, Program) {
        while !matches!(self.peek(), TokenKind::Eof) && !self.diags.is_full() {
            let before = self.at;
            if self.external_declaration().is_err() {
                self.recover_file();
            }
            if self.at == before {
                self.at += 1;
            }
        }
        if self.bcc {
            self.place_programs();
        }
        (self.types, self.program)
    }

    fn peek(&self) -> &TokenKind {
        self.tokens.get(self.at).map_or(&TokenKind::Eof, |token| &token.kind)
    }

    fn peek_at(&self, ahead: usize) -> &TokenKind {
        self.tokens.get(self.at + ahead).map_or(&TokenKind::Eof, |token| &token.kind)
    }

    fn loc(&self) -> Loc {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(Loc::default(), |token| token.loc)
    }

    fn before(&self) -> Loc {
        self.tokens.get(self.at.saturating_sub(1)).map_or(Loc::default(), |token| token.loc)
    }

    const fn next(&mut self) {
        self.at += 1;
    }

    fn is(&self, punct: Punct) -> bool {
        matches!(self.peek(), TokenKind::Punct(found) if *found == punct)
    }

    fn is_word(&self, word: Keyword) -> bool {
        matches!(self.peek(), TokenKind::Keyword(found) if *found == word)
    }

    fn take(&mut self, punct: Punct) -> bool {
        let found = self.is(punct);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: Keyword) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, punct: Punct, what: &str) -> Parsed<()> {
        if self.take(punct) {
            return Ok(());
        }
        let found = self.describe();
        // What is missing is missing behind the token before.
        let loc = if punct == Punct::Semi { self.before() } else { self.loc() };
        let text = punct.spelling();
        self.fail(
            Diag::error(loc, format!("expected `{text}` {what}, found {found}"))
                .with_label(format!("`{text}` expected here")),
        )
    }

    /// The current token, for messages.
    fn describe(&self) -> String {
        match self.peek() {
            TokenKind::Ident(sym) => format!("`{}`", self.sources.text(*sym)),
            TokenKind::Keyword(word) => format!("`{}`", word.spelling()),
            TokenKind::Number(sym) => format!("`{}`", self.sources.text(*sym)),
            TokenKind::Char { .. } => "a character".to_owned(),
            TokenKind::Str { .. } => "a string".to_owned(),
            TokenKind::Punct(punct) => format!("`{}`", punct.spelling()),
            TokenKind::Pragma(_) => "a pragma".to_owned(),
            TokenKind::Stray(c) => format!("`{}`", c.escape_default()),
            TokenKind::Eof => "the end of the file".to_owned(),
        }
    }

    fn fail<T>(&mut self, diag: Diag) -> Parsed<T> {
        self.diags.push(diag);
        Err(Reported)
    }

    /// Reports an error.
    pub fn error<T>(&mut self, loc: Loc, message: impl Into<String>) -> Parsed<T> {
        self.fail(Diag::error(loc, message))
    }

    fn name_of(&self, sym: Sym) -> Rc<str> {
        self.sources.text(sym).into()
    }

    fn ident(&mut self, what: &str) -> Parsed<(Sym, Loc)> {
        let loc = self.loc();
        if let TokenKind::Ident(sym) = *self.peek() {
            self.next();
            return Ok((sym, loc));
        }
        let found = self.describe();
        self.error(loc, format!("expected {what}, found {found}"))
    }

    /// Runs a part of the parser one level deeper.
    fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            let loc = self.loc();
            return self.fail(
                Diag::error(loc, format!("this is nested more than {DEEPEST} levels deep"))
                    .with_help("split the expression or the function into parts"),
            );
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    /// Skips to behind the next `;` or `}` of the file.
    fn recover_file(&mut self) {
        self.scopes.truncate(1);
        (self.here, self.pending) = (None, None);
        let mut braces = 0usize;
        loop {
            match self.peek() {
                TokenKind::Eof => return,
                TokenKind::Punct(Punct::LBrace) => braces += 1,
                TokenKind::Punct(Punct::RBrace) => {
                    braces = braces.saturating_sub(1);
                    if braces == 0 {
                        self.next();
                        self.take(Punct::Semi);
                        return;
                    }
                }
                TokenKind::Punct(Punct::Semi) if braces == 0 => {
                    self.next();
                    return;
                }
                _ => {}
            }
            self.next();
        }
    }

    /// Acts on pragmas that stand here.
    fn pragmas(&mut self) {
        while let TokenKind::Pragma(pragma) = self.peek().clone() {
            self.next();
            match pragma {
                Pragma::Unroll(_) | Pragma::NoUnroll => {}
                Pragma::Pack(PackPragma::Set(to)) => {
                    if let Some(last) = self.pack.last_mut() {
                        *last = to.unwrap_or(0).into();
                    }
                }
                Pragma::Pack(PackPragma::Push(to)) => {
                    let now = self.pack.last().copied().unwrap_or(0);
                    if self.pack.len() < 100 {
                        self.pack.push(to.map_or(now, u64::from));
                    }
                }
                Pragma::Pack(PackPragma::Pop) => {
                    if self.pack.len() > 1 {
                        self.pack.pop();
                    }
                }
                Pragma::AttributePush(tokens) => {
                    let attrs = self.pushed_attributes(&tokens);
                    self.pushed.push(attrs);
                }
                Pragma::AttributePop => {
                    self.pushed.pop();
                }
                // The preprocessor has put declarations in its place.
                Pragma::Helpers => {}
                Pragma::KernelTypes { relocatable } => {
                    self.kernel = Some(relocatable || self.kernel == Some(true));
                    self.missing.clear();
                }
            }
        }
    }

    fn pushed_attributes(&mut self, tokens: &Rc<[Token]>) -> Attrs {
        let (mut attrs, loc) = (Attrs::default(), self.loc());
        let mut list: Vec<Token> = tokens.to_vec();
        list.push(Token { kind: TokenKind::Eof, loc, flags: crate::lex::TokenFlags::NONE });
        let outer = std::mem::replace(&mut self.tokens, list.into());
        let at = std::mem::replace(&mut self.at, 0);
        // What is wrong with it has been reported.
        let _: Parsed<()> = self.attribute_list(&mut attrs);
        (self.tokens, self.at) = (outer, at);
        attrs
    }

    // Names.

    fn declare(&mut self, sym: Sym, name: Name) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.insert(sym, name);
        }
    }

    /// What a name means, asked from the kernel's types if the source does not say.
    fn lookup(&mut self, sym: Sym) -> Option<Name> {
        if let Some(name) = self.scopes.iter().rev().find_map(|scope| scope.names.get(&sym)) {
            return Some(name.clone());
        }
        let relocatable = self.kernel?;
        if self.missing.contains_key(&sym) {
            return None;
        }
        let found = self.kernel_name(sym, relocatable);
        match &found {
            Some(name) => {
                self.scopes[0].names.insert(sym, name.clone());
            }
            None => {
                self.missing.insert(sym, ());
            }
        }
        found
    }

    fn kernel_name(&mut self, sym: Sym, relocatable: bool) -> Option<Name> {
        let text = self.name_of(sym);
        if let Some(id) = self.provider.find(&text, NameKind::Typedef) {
            return Some(Name::Typedef(self.types.kernel_type(self.provider.btf(), id, relocatable)));
        }
        if let Some(id) = self.provider.find(&text, NameKind::Enumerator) {
            let ty = self.types.kernel_type(self.provider.btf(), id, relocatable);
            let Kind::Enum(item) = self.types.kind(ty) else { return None };
            let value = self.types.enumeration(*item).values.iter().find(|value| value.0 == text)?.1;
            return Some(Name::Enumerator(value, ty));
        }
        if let Some(id) = self.provider.find(&text, NameKind::Func) {
            let ty = self.types.kernel_type(self.provider.btf(), id, relocatable);
            self.types.as_func(ty)?;
            let mut func = new_func(&text, ty, Storage::Extern, Loc::default());
            func.section = Some(".ksyms".into());
            func.weak = true;
            return Some(Name::Func(self.add_func(func)));
        }
        None
    }

    /// What a tag means: of this scope only, or of all and the kernel.
    fn tag(&mut self, sym: Sym, what: NameKind, here_only: bool) -> Option<Tag> {
        if here_only {
            return self.scopes.last()?.tags.get(&sym).copied();
        }
        if let Some(tag) = self.scopes.iter().rev().find_map(|scope| scope.tags.get(&sym)) {
            return Some(*tag);
        }
        let relocatable = self.kernel?;
        let text = self.name_of(sym);
        let id = self.provider.find(&text, what)?;
        let ty = self.types.kernel_type(self.provider.btf(), id, relocatable);
        let tag = match self.types.kind(ty) {
            Kind::Record(id) => Tag::Record(*id),
            Kind::Enum(id) => Tag::Enum(*id),
            _ => return None,
        };
        self.scopes[0].tags.insert(sym, tag);
        Some(tag)
    }

    /// Gives the records in a type their members, for its size, alignment and members.
    pub fn settle(&mut self, ty: QTy) {
        let mut ty = ty;
        while let Some((of, _)) = self.types.element(ty) {
            ty = of;
        }
        if let Some(id) = self.types.as_record(ty) {
            self.types.complete(self.provider.btf(), id);
        }
    }

    fn add_var(&mut self, var: Var) -> VarId {
        self.program.vars.push(var);
        VarId(u32::try_from(self.program.vars.len() - 1).unwrap_or(u32::MAX))
    }

    fn add_func(&mut self, func: Func) -> FuncId {
        let id = FuncId(u32::try_from(self.program.funcs.len()).unwrap_or(u32::MAX));
        self.program.functions.insert(Rc::clone(&func.name), id);
        self.program.funcs.push(func);
        id
    }

    fn push_scope(&mut self) {
        self.scopes.push(Scope::default());
    }

    fn pop_scope(&mut self) {
        if self.scopes.len() > 1 {
            self.scopes.pop();
        }
    }

    // Constants.

    /// The constant that an expression is.
    pub fn constant(&self, expr: &Expr) -> Option<Const> {
        Eval { types: &self.types, program: &self.program, variables: false }.eval(expr)
    }

    /// An integer constant expression.
    fn constant_int(&mut self, what: &str) -> Parsed<(i64, QTy)> {
        let loc = self.loc();
        let expr = self.conditional()?;
        let expr = self.rvalue(expr)?;
        // As an extension, `const` variables with a number count.
        let eval = Eval { types: &self.types, program: &self.program, variables: true };
        match eval.int(&expr) {
            Some(value) => Ok((value, expr.ty)),
            None => self.fail(
                Diag::error(loc, format!("{what} is not a constant"))
                    .with_help("a number, an enumerator, `sizeof` and operations on them are constants"),
            ),
        }
    }

    /// Whether a name of a type, or a keyword that begins one, stands here.
    fn begins_type(&mut self) -> bool {
        self.begins_type_at(0)
    }

    fn begins_type_at(&mut self, ahead: usize) -> bool {
        use Keyword as K;
        match *self.peek_at(ahead) {
            TokenKind::Keyword(word) => matches!(
                word,
                K::Auto
                    | K::Char
                    | K::Const
                    | K::Double
                    | K::Enum
                    | K::Extern
                    | K::Float
                    | K::Inline
                    | K::Int
                    | K::Long
                    | K::Register
                    | K::Restrict
                    | K::Short
                    | K::Signed
                    | K::Static
                    | K::Struct
                    | K::Typedef
                    | K::Union
                    | K::Unsigned
                    | K::Void
                    | K::Volatile
                    | K::Alignas
                    | K::Atomic
                    | K::Bool
                    | K::Complex
                    | K::Noreturn
                    | K::ThreadLocal
                    | K::AutoType
                    | K::Int128
                    | K::Uint128
                    | K::Typeof
                    | K::TypeofUnqual
                    | K::Float16
                    | K::Float128
            ),
            TokenKind::Ident(sym) => matches!(self.lookup(sym), Some(Name::Typedef(_))),
            _ => false,
        }
    }
}

/// A function that is only declared.
fn new_func(name: &str, ty: QTy, storage: Storage, loc: Loc) -> Func {
    Func {
        name: name.into(),
        ty,
        storage,
        inline: false,
        always_inline: false,
        noinline: false,
        weak: false,
        hidden: false,
        naked: false,
        noreturn: false,
        section: None,
        asm_name: None,
        tags: Vec::new(),
        params: Vec::new(),
        body: None,
        labels: Vec::new(),
        loc,
    }
}

/// The name that is meant by one that does not exist.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let most = if name.len() < 4 { 1 } else { 2 };
    let far = |other: &&str| skep_isa::near::distance(name, other);
    names.filter(|other| far(other) <= most && !other.starts_with("___")).min_by_key(far)
}

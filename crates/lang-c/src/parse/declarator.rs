//! Declarators: the part of a declaration that names something and says how the type is made of the one in front.

use std::rc::Rc;

use super::attr::Attrs;
use super::{Parsed, Parser};
use crate::lex::{Keyword, Punct, TokenKind};
use crate::source::{Diag, Loc, Sym};
use crate::types::{FuncTy, Kind, QTy, Quals, Types};

/// A parameter as it is declared.
#[derive(Debug, Clone)]
pub struct Param {
    pub name: Option<Sym>,
    pub ty: QTy,
    pub tags: Vec<Rc<str>>,
    pub loc: Loc,
}

/// What a declarator declares.
#[derive(Debug, Clone)]
pub struct Declared {
    pub name: Option<Sym>,
    pub loc: Loc,
    pub ty: QTy,
    /// The parameters, if it declares a function.
    pub params: Option<Vec<Param>>,
    pub attrs: Attrs,
    pub asm_name: Option<Rc<str>>,
}

/// One step from a type to another.
enum Step {
    Ptr(Quals, Vec<Rc<str>>),
    Array(Option<u64>),
    Func(Vec<Param>, bool),
}

struct Found {
    name: Option<Sym>,
    loc: Loc,
}

impl Parser<'_> {
    /// A declarator; without a name if `named` is false or it is left out.
    pub(super) fn declarator(&mut self, base: QTy) -> Parsed<Declared> {
        let (mut steps, mut attrs) = (Vec::new(), Attrs::default());
        let found = self.steps(&mut steps, &mut attrs)?;
        let mut asm_name = None;
        if self.take_word(Keyword::Asm) {
            self.expect(Punct::LParen, "behind `asm`")?;
            asm_name = Some(self.string("the name in the assembly")?);
            self.expect(Punct::RParen, "behind the name")?;
        }
        self.attributes(&mut attrs)?;
        let (mut ty, mut params) = (base, None);
        for step in steps {
            params = None;
            ty = match step {
                Step::Ptr(quals, tags) => {
                    let mut to = ty;
                    for tag in tags {
                        to = self.types.plain(Kind::Tagged(tag, to));
                    }
                    QTy { quals, ..self.types.ptr(to) }
                }
                Step::Array(len) => self.array_of(ty, len, found.loc)?,
                Step::Func(list, variadic) => {
                    if self.types.element(ty).is_some() || self.types.as_func(ty).is_some() {
                        return self.error(found.loc, format!("a function cannot return `{}`", self.types.show(ty)));
                    }
                    let types = list.iter().map(|param| param.ty).collect();
                    params = Some(list);
                    self.types.plain(Kind::Func(Rc::new(FuncTy { ret: ty, params: types, variadic })))
                }
            };
        }
        Ok(Declared { name: found.name, loc: found.loc, ty, params, attrs, asm_name })
    }

    fn array_of(&mut self, of: QTy, len: Option<u64>, loc: Loc) -> Parsed<QTy> {
        if self.types.is_void(of) || self.types.as_func(of).is_some() {
            return self.error(loc, format!("an array cannot have elements of type `{}`", self.types.show(of)));
        }
        let ty = self.types.array(of, len);
        if len.is_some() && self.types.size(of).is_some() && self.types.size(ty).is_none() {
            return self.error(loc, "the array is too large");
        }
        Ok(ty)
    }

    /// Collects the steps in the order in which they are applied.
    fn steps(&mut self, steps: &mut Vec<Step>, attrs: &mut Attrs) -> Parsed<Found> {
        self.attributes(attrs)?;
        while self.take(Punct::Star) {
            let mut own = Attrs::default();
            let mut quals = self.qualifiers(&mut own)?;
            if std::mem::take(&mut own.arena) {
                quals = quals.with(Quals::ARENA);
            }
            attrs.merge(Attrs { type_tags: Vec::new(), ..own.clone() });
            // Tags of a pointer belong to what it points to.
            steps.push(Step::Ptr(quals, own.type_tags));
        }
        let mut inner = Vec::new();
        let found = if self.is(Punct::LParen) && self.is_nested() {
            self.next();
            let found = self.deeper(|parser| parser.steps(&mut inner, attrs))?;
            self.expect(Punct::RParen, "behind the declarator")?;
            found
        } else if let TokenKind::Ident(sym) = *self.peek() {
            let loc = self.loc();
            self.next();
            Found { name: Some(sym), loc }
        } else {
            Found { name: None, loc: self.loc() }
        };
        let mut suffixes = Vec::new();
        loop {
            if self.take(Punct::LBracket) {
                suffixes.push(Step::Array(self.array_length()?));
            } else if self.is(Punct::LParen) {
                self.next();
                let (params, variadic) = self.deeper(Self::parameters)?;
                suffixes.push(Step::Func(params, variadic));
            } else {
                break;
            }
        }
        steps.extend(suffixes.into_iter().rev());
        steps.extend(inner);
        Ok(found)
    }

    /// Whether a parenthesis begins a nested declarator, not the parameters of a function without a name.
    fn is_nested(&mut self) -> bool {
        match self.peek_at(1) {
            TokenKind::Punct(punct) => matches!(punct, Punct::Star | Punct::LParen | Punct::LBracket | Punct::Caret),
            TokenKind::Keyword(Keyword::Attribute) => true,
            TokenKind::Ident(_) => !self.begins_type_at(1),
            _ => false,
        }
    }

    /// `const`, `volatile`, `restrict` and attributes.
    pub(super) fn qualifiers(&mut self, attrs: &mut Attrs) -> Parsed<Quals> {
        let mut quals = Quals::NONE;
        loop {
            if self.take_word(Keyword::Const) {
                quals = quals.with(Quals::CONST);
            } else if self.take_word(Keyword::Volatile) {
                quals = quals.with(Quals::VOLATILE);
            } else if self.take_word(Keyword::Restrict) {
                quals = quals.with(Quals::RESTRICT);
            } else if self.is_word(Keyword::Attribute) {
                self.attributes(attrs)?;
            } else {
                return Ok(quals);
            }
        }
    }

    fn array_length(&mut self) -> Parsed<Option<u64>> {
        while self.take_word(Keyword::Static) || self.take_word(Keyword::Const) || self.take_word(Keyword::Restrict) {}
        if self.take(Punct::RBracket) {
            return Ok(None);
        }
        if self.is(Punct::Star) && matches!(self.peek_at(1), TokenKind::Punct(Punct::RBracket)) {
            self.at += 2;
            return Ok(None);
        }
        let loc = self.loc();
        let expr = self.assignment()?;
        let expr = self.rvalue(expr)?;
        let value = crate::konst::Eval { types: &self.types, program: &self.program, variables: true }.int(&expr);
        let Some(value) = value else {
            return self.fail(
                Diag::error(loc, "the length of an array is not a constant")
                    .with_help("BPF programs have a fixed stack: use the largest length, or a map"),
            );
        };
        self.expect(Punct::RBracket, "behind the length of an array")?;
        let unsigned = self.types.as_int(expr.ty).is_some_and(|int| !int.signed());
        if value < 0 && !unsigned {
            return self.error(loc, format!("the length of an array is negative: {value}"));
        }
        if !(0..=1 << 40).contains(&value) {
            return self.error(loc, "the array is too large");
        }
        Ok(Some(value.cast_unsigned()))
    }

    fn parameters(&mut self) -> Parsed<(Vec<Param>, bool)> {
        let mut params = Vec::new();
        if self.take(Punct::RParen) {
            // Without a prototype any arguments are taken.
            return Ok((params, true));
        }
        if self.is_word(Keyword::Void) && matches!(self.peek_at(1), TokenKind::Punct(Punct::RParen)) {
            self.at += 2;
            return Ok((params, false));
        }
        self.push_scope();
        let result = self.parameter_list(&mut params);
        self.pop_scope();
        result.map(|variadic| (params, variadic))
    }

    fn parameter_list(&mut self, params: &mut Vec<Param>) -> Parsed<bool> {
        loop {
            if self.take(Punct::Ellipsis) {
                self.expect(Punct::RParen, "behind `...`")?;
                return Ok(true);
            }
            let specs = self.specifiers()?;
            let declared = self.declarator(specs.ty)?;
            let mut tags = specs.attrs.decl_tags;
            tags.extend(declared.attrs.decl_tags);
            let ty = self.adjusted(declared.ty);
            if self.types.is_void(ty) {
                return self.error(declared.loc, "a parameter cannot have the type `void`");
            }
            params.push(Param { name: declared.name, ty, tags, loc: declared.loc });
            if !self.take(Punct::Comma) {
                self.expect(Punct::RParen, "behind the parameters")?;
                return Ok(false);
            }
        }
    }

    /// Arrays and functions as parameters are pointers.
    fn adjusted(&mut self, ty: QTy) -> QTy {
        if let Some((of, _)) = self.types.element(ty) {
            return self.types.ptr(of);
        }
        if self.types.as_func(ty).is_some() {
            return self.types.ptr(ty);
        }
        ty
    }

    /// The name of a type, as casts and `sizeof` have it.
    pub(super) fn type_name(&mut self) -> Parsed<QTy> {
        let specs = self.specifiers()?;
        let declared = self.declarator(specs.ty)?;
        if declared.name.is_some() {
            return self.error(declared.loc, "a type without a name is expected here");
        }
        Ok(declared.ty)
    }

    /// The type of `void *`.
    pub(super) fn void_ptr(&mut self) -> QTy {
        self.types.ptr(Types::void())
    }
}

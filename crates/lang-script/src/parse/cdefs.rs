//! The C part: preprocessor lines, `struct`, `union`, `enum`, `typedef`.

use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use super::{Failed, Parse, Parser};
use crate::ast::{Definition, Member, Name, Spanned, TypeExpr, TypeKind};
use crate::lex::Kind;
use crate::words;

type Definitions = Vec<Spanned<Definition>>;
/// The names of an enumeration with their values.
type Values = Vec<(Name, Option<crate::ast::Expr>)>;

/// What `__attribute__((...))` said.
#[derive(Debug, Clone, Copy, Default)]
struct Attributes {
    packed: bool,
    align: Option<u32>,
}

impl Parser<'_> {
    /// A line that begins with `#`.
    pub(super) fn directive(&mut self, definitions: &mut Definitions) -> Parse<()> {
        let start = self.token.span.start;
        self.lexer.seek(self.token.span.end);
        let (line, rest) = self.lexer.line();
        let span = Span::new(start, rest.end);
        self.before = span.end;
        self.token = self.lexer.token();
        let (word, value) = line.split_once(|c: char| c.is_whitespace()).unwrap_or((&line, ""));
        let value = value.trim();
        let definition = match word {
            "include" => self.include(value, span),
            "define" => self.define(value, span),
            _ if word.starts_with('!') => {
                let error = Diagnostic::error(span, "`#!` belongs into the first line");
                self.report(error.with_help("move it up or remove it"));
                None
            }
            _ => Some(Definition::Directive(line.split_whitespace().collect::<Vec<_>>().join(" ").into())),
        };
        definitions.extend(definition.map(|definition| Spanned::new(definition, span)));
        Ok(())
    }

    fn include(&mut self, value: &str, span: Span) -> Option<Definition> {
        let system = value.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        let local = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(name) = system.or(local).filter(|name| !name.is_empty()) {
            return Some(Definition::Include { name: name.into(), system: system.is_some() });
        }
        let error = Diagnostic::error(span, "`#include` needs the name of a file");
        self.report(error.with_help("write `#include <linux/sched.h>` or `#include \"file.h\"`"));
        None
    }

    fn define(&mut self, value: &str, span: Span) -> Option<Definition> {
        let length = value.bytes().take_while(|b| *b == b'_' || b.is_ascii_alphanumeric()).count();
        let (name, rest) = value.split_at(length);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            let error = Diagnostic::error(span, "`#define` needs a name");
            self.report(error.with_help("write `#define NAME value`"));
            return None;
        }
        if rest.starts_with('(') {
            let warning = Diagnostic::warning(span, format!("`{name}` has parameters and is ignored"));
            self.report(warning.with_help(format!("write a macro of the language: `macro {name}(x) {{ ... }}`")));
            return None;
        }
        // The place of the name within the line, for messages about it.
        let text = self.slice(span);
        let at = text.find("define").map_or(0, |at| at + 6);
        let at = at + text[at..].find(name).unwrap_or(0);
        if !super::reads_as_type(rest) {
            self.values.insert(name.into());
        }
        let start = span.start + u32::try_from(at).unwrap_or(0);
        let name_span = Span::new(start, start + u32::try_from(name.len()).unwrap_or(0));
        Some(Definition::Constant { name: Spanned::new(name.into(), name_span), value: rest.trim().into() })
    }

    /// `struct`, `union`, `enum` or `typedef`; a semicolon may follow.
    pub(super) fn definition(&mut self, definitions: &mut Definitions) -> Parse<()> {
        let start = self.token.span.start;
        if self.eat_word("typedef") {
            self.typedef(start, definitions)?;
        } else if self.at_word("enum") {
            let (name, values) = self.enumeration()?;
            definitions.push(Spanned::new(Definition::Enum { name, values }, self.since(start)));
        } else {
            let (name, ty) = self.composite(definitions, None)?;
            if name.is_none() {
                let error = Diagnostic::error(ty.span, "this type has no name");
                self.report(error.with_help("name it: `struct name { ... }`"));
            }
        }
        self.eat(";");
        Ok(())
    }

    fn typedef(&mut self, start: u32, definitions: &mut Definitions) -> Parse<()> {
        let base = if self.begins_composite() {
            let fallback = self.typedef_name();
            self.composite(definitions, fallback)?.1
        } else if self.at_word("enum") && self.opens_braces() {
            let fallback = self.typedef_name();
            let (name, values) = self.enumeration()?;
            let name = name.or_else(|| fallback.map(|name| Spanned::new(name, self.since(start))));
            let ty = name.as_ref().map_or(TypeKind::Named("int".into()), |name| TypeKind::Enum(name.node.clone()));
            let span = self.since(start);
            definitions.push(Spanned::new(Definition::Enum { name, values }, span));
            Spanned::new(ty, span)
        } else {
            self.base_type()?
        };
        let (name, ty, bits) = self.declarator(base)?;
        let (Some(name), None) = (name, bits) else {
            self.expected("the new name of the type", "write `typedef unsigned int name;`");
            return Err(Failed);
        };
        self.types.insert(name.node.clone());
        definitions.push(Spanned::new(Definition::Typedef { name, ty }, self.since(start)));
        Ok(())
    }

    /// The name behind the braces of a `typedef struct { ... } name`, which the composite takes if it has none.
    fn typedef_name(&self) -> Option<Arc<str>> {
        let mut ahead = self.lexer.fork(self.token.span.end);
        let mut open = 0u32;
        loop {
            let token = ahead.token();
            match token.kind {
                Kind::Punct("{") => open += 1,
                Kind::Punct("}") => open = open.saturating_sub(1),
                Kind::Word if open == 0 => {
                    let word = self.slice(token.span);
                    let behind = ahead.fork(token.span.end).token().kind;
                    if matches!(behind, Kind::Punct(";" | "[")) {
                        return Some(word.into());
                    }
                }
                Kind::Punct(";") if open == 0 => return None,
                Kind::End => return None,
                _ => {}
            }
        }
    }

    /// Whether a `struct` or `union` with members is here.
    fn begins_composite(&self) -> bool {
        (self.at_word("struct") || self.at_word("union")) && self.opens_braces()
    }

    /// Whether braces follow the keyword here, perhaps behind a name and attributes.
    fn opens_braces(&self) -> bool {
        let mut ahead = self.lexer.fork(self.token.span.end);
        let mut open = 0u32;
        loop {
            let token = ahead.token();
            match token.kind {
                Kind::Punct("{") => return true,
                Kind::Punct("(") => open += 1,
                Kind::Punct(")") if open > 0 => open -= 1,
                Kind::Word | Kind::Int { .. } => {}
                Kind::Punct(",") if open > 0 => {}
                _ => return false,
            }
        }
    }

    /// A `struct` or `union` with its members, which is added to the definitions unless it has no name. Gives the type,
    /// and the name if there is one; `fallback` is the name that it gets if it has none.
    fn composite(
        &mut self,
        definitions: &mut Definitions,
        fallback: Option<Arc<str>>,
    ) -> Parse<(Option<Name>, TypeExpr)> {
        let keyword = self.advance().span;
        let union = self.slice(keyword) == "union";
        let mut attributes = Attributes::default();
        self.attributes(&mut attributes)?;
        let name = match self.word() {
            Some(_) => Some(self.expect_name("the name of a type")?),
            None => fallback.map(|name| Spanned::new(name, keyword)),
        };
        let members = self.nested(|p| p.members(definitions))?;
        self.attributes(&mut attributes)?;
        let span = self.since(keyword.start);
        let kind = if union { TypeKind::Union } else { TypeKind::Struct };
        let ty = Spanned::new(kind(name.as_ref().map_or("".into(), |name| name.node.clone())), span);
        if let Some(name) = &name {
            let Attributes { packed, align } = attributes;
            let node = Definition::Composite { name: name.clone(), union, packed, align, members };
            definitions.push(Spanned::new(node, span));
        }
        Ok((name, ty))
    }

    fn members(&mut self, definitions: &mut Definitions) -> Parse<Vec<Member>> {
        let open = self.expect("{")?;
        let mut members = Vec::new();
        while !self.at("}") {
            if self.token.kind == Kind::End {
                return self.unclosed(open);
            }
            if self.eat(";") {
                continue;
            }
            if self.member(&mut members, definitions).is_err() {
                self.skip_statement();
            }
        }
        self.advance();
        Ok(members)
    }

    /// One declaration, which may declare several members.
    fn member(&mut self, members: &mut Vec<Member>, definitions: &mut Definitions) -> Parse<()> {
        if self.begins_composite() {
            return self.inner(members, definitions);
        }
        let base = if self.at_word("enum") && self.opens_braces() {
            let start = self.token.span.start;
            let (name, values) = self.enumeration()?;
            let span = self.since(start);
            let ty = name.as_ref().map_or(TypeKind::Named("int".into()), |name| TypeKind::Enum(name.node.clone()));
            definitions.push(Spanned::new(Definition::Enum { name, values }, span));
            Spanned::new(ty, span)
        } else {
            self.base_type()?
        };
        self.declarators(base, None, members)
    }

    /// A composite inside of another.
    fn inner(&mut self, members: &mut Vec<Member>, definitions: &mut Definitions) -> Parse<()> {
        let named = self.second().kind == Kind::Word && !self.slice(self.second().span).starts_with("__attribute");
        if named {
            let (_, ty) = self.composite(definitions, None)?;
            return self.declarators(ty, None, members);
        }
        let keyword = self.advance().span;
        let union = self.slice(keyword) == "union";
        let mut attributes = Attributes::default();
        self.attributes(&mut attributes)?;
        let inner = self.nested(|p| p.members(definitions))?;
        self.attributes(&mut attributes)?;
        let span = self.since(keyword.start);
        if attributes.packed || attributes.align.is_some() {
            let error = Diagnostic::error(span, "attributes need a type with a name");
            self.report(error.with_help("define it on its own: `struct name { ... } __attribute__((packed));`"));
        }
        let kind = if union { TypeKind::Union } else { TypeKind::Struct };
        let ty = Spanned::new(kind("".into()), span);
        if self.eat(";") {
            members.push(Member { name: None, ty, bits: None, inner: Some((union, inner)) });
            return Ok(());
        }
        self.declarators(ty, Some((union, inner)), members)
    }

    /// What follows the type of a declaration, up to its semicolon.
    fn declarators(
        &mut self,
        base: TypeExpr,
        inner: Option<(bool, Vec<Member>)>,
        members: &mut Vec<Member>,
    ) -> Parse<()> {
        if matches!(base.node, TypeKind::Typeof(_) | TypeKind::Tuple(_) | TypeKind::Array(..)) {
            let error = Diagnostic::error(base.span, "this is no type of C");
            self.report(error.with_help("members of structs have types of C: `int`, `__u64`, `struct name *`"));
            return Err(Failed);
        }
        let (name, ty, bits) = self.declarator(base.clone())?;
        let divided = inner.is_some();
        members.push(Member { name, ty, bits, inner });
        self.attributes(&mut Attributes::default())?;
        while self.at(",") {
            if divided {
                let error = Diagnostic::error(self.token.span, "a type without a name can have one member only");
                self.report(error.with_help("name the type: `struct name { ... } a, b;`"));
                return Err(Failed);
            }
            self.advance();
            let (name, ty, bits) = self.declarator(base.clone())?;
            members.push(Member { name, ty, bits, inner: None });
            self.attributes(&mut Attributes::default())?;
        }
        self.expect(";")?;
        Ok(())
    }

    /// A name with its stars, brackets and bits. A pointer to a function becomes a pointer to `void`.
    fn declarator(&mut self, base: TypeExpr) -> Parse<(Option<Name>, TypeExpr, Option<u32>)> {
        let mut ty = base;
        let start = ty.span.start;
        while self.at("*") || self.word().is_some_and(|word| words::C_QUALIFIERS.contains(&word)) {
            if self.advance().kind == Kind::Punct("*") {
                self.grow()?;
                ty = Spanned::new(TypeKind::Pointer(Box::new(ty)), self.since(start));
            }
        }
        self.height = 0;
        if self.at("(") {
            return self.function_pointer(start);
        }
        if self.eat(":") {
            return Ok((None, ty, Some(self.bits()?)));
        }
        let name = self.expect_name("the name of a member")?;
        let mut sizes = Vec::new();
        while self.eat("[") {
            sizes.push(if self.at("]") { None } else { Some(Box::new(self.expr()?)) });
            self.expect("]")?;
        }
        if sizes.len() > 16 {
            let error = Diagnostic::error(self.since(start), "an array has at most 16 dimensions");
            self.report(error.with_help("define a type for the inner ones"));
            return Err(Failed);
        }
        for size in sizes.into_iter().rev() {
            ty = Spanned::new(TypeKind::Array(Box::new(ty), size), self.since(start));
        }
        let bits = if self.eat(":") { Some(self.bits()?) } else { None };
        Ok((Some(name), ty, bits))
    }

    fn bits(&mut self) -> Parse<u32> {
        if let Kind::Int { value: value @ 0..=64, .. } = self.token.kind {
            self.advance();
            return Ok(u32::try_from(value).unwrap_or_default());
        }
        let help = "write how many bits the member has: `unsigned int flag : 1;`";
        self.expected("a number of bits from 0 to 64", help);
        Err(Failed)
    }

    /// `(*name)(parameters)`
    fn function_pointer(&mut self, start: u32) -> Parse<(Option<Name>, TypeExpr, Option<u32>)> {
        self.expect("(")?;
        self.expect("*")?;
        let name = self.expect_name("the name of a member")?;
        self.expect(")")?;
        self.expect("(")?;
        let mut open = 0u32;
        while !(self.at(")") && open == 0) {
            match self.token.kind {
                Kind::Punct("(") => open += 1,
                Kind::Punct(")") => open -= 1,
                Kind::Punct("{" | "}" | ";") | Kind::End => {
                    self.expected("`)`", "close the parenthesis");
                    return Err(Failed);
                }
                _ => {}
            }
            self.advance();
        }
        self.advance();
        let span = self.since(start);
        let void = Spanned::new(TypeKind::Named("void".into()), span);
        Ok((Some(name), Spanned::new(TypeKind::Pointer(Box::new(void)), span), None))
    }

    /// `__attribute__((packed, aligned(8)))`, any number of times.
    fn attributes(&mut self, attributes: &mut Attributes) -> Parse<()> {
        while self.word().is_some_and(|word| word == "__attribute__" || word == "__attribute") {
            self.advance();
            self.expect("(")?;
            self.expect("(")?;
            while !self.at(")") {
                self.attribute(attributes)?;
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
            self.expect(")")?;
        }
        Ok(())
    }

    fn attribute(&mut self, attributes: &mut Attributes) -> Parse<()> {
        let name = self.expect_name("an attribute")?;
        match name.node.trim_matches('_') {
            "packed" => attributes.packed = true,
            "aligned" => {
                attributes.align = Some(16);
                if self.eat("(") {
                    let value = match self.token.kind {
                        Kind::Int { value, .. } if value.is_power_of_two() => u32::try_from(value).ok(),
                        _ => None,
                    };
                    if value.is_none() {
                        let help = "alignments are 1, 2, 4, 8, ...: `aligned(8)`";
                        self.expected("a power of two", help);
                        return Err(Failed);
                    }
                    self.advance();
                    self.expect(")")?;
                    attributes.align = value;
                }
            }
            // Attributes such as `preserve_access_index` or `unused` do not change the layout.
            _ if self.eat("(") => {
                while !self.at(")") && !matches!(self.token.kind, Kind::End | Kind::Punct("{" | "}" | ";")) {
                    self.advance();
                }
                self.expect(")")?;
            }
            _ => {}
        }
        Ok(())
    }

    /// `enum name { A, B = 3 }`
    fn enumeration(&mut self) -> Parse<(Option<Name>, Values)> {
        self.advance();
        self.attributes(&mut Attributes::default())?;
        let name = if self.at("{") { None } else { Some(self.expect_name("the name of the enumeration")?) };
        let open = self.expect("{")?;
        let mut values = Vec::new();
        while !self.at("}") {
            if self.token.kind == Kind::End {
                return self.unclosed(open);
            }
            let name = self.expect_name("the name of a value")?;
            let value = if self.eat("=") { Some(self.expr()?) } else { None };
            self.values.insert(name.node.clone());
            values.push((name, value));
            if !self.eat(",") {
                break;
            }
        }
        self.expect("}")?;
        self.attributes(&mut Attributes::default())?;
        Ok((name, values))
    }
}

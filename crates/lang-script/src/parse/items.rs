//! The top of a script: the order of its parts, probes, macros, functions, settings, imports.

use skep_diag::{Diagnostic, Span};

use super::{Failed, Parse, Parser};
use crate::ast::{Function, Macro, MapDecl, Name, Param, Probe, Script, Setting, Spanned};
use crate::lex::Kind;
use crate::words;

/// The parts of a script in the order in which they stand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    C,
    Head,
    Body,
}

impl Parser<'_> {
    /// The whole script.
    pub(super) fn script(&mut self) -> Script {
        let mut script = Script::default();
        let mut part = Part::C;
        while self.token.kind != Kind::End {
            let before = self.token.span;
            if self.item(&mut script, &mut part).is_err() {
                self.skip_item(before);
            }
        }
        script
    }

    fn item(&mut self, script: &mut Script, part: &mut Part) -> Parse<()> {
        let word = self.word();
        let second = if word.is_some() { self.second().kind } else { Kind::End };
        match (word, second) {
            (Some("struct" | "union" | "enum" | "typedef"), _) => {
                self.in_part(part, Part::C, "C definitions come");
                self.definition(&mut script.definitions)
            }
            (Some("config"), Kind::Punct("=")) => {
                self.in_part(part, Part::Head, "the config block comes");
                self.config(script)
            }
            (Some("import"), Kind::Text(_)) => {
                self.in_part(part, Part::Head, "imports come");
                self.advance();
                script.imports.push(self.expect_text("a path in quotes")?);
                self.end_of_line("the import")
            }
            (Some("macro"), Kind::Word) => {
                *part = Part::Body;
                script.macros.push(self.macro_definition()?);
                Ok(())
            }
            (Some("fn"), Kind::Word) => {
                *part = Part::Body;
                script.functions.push(self.function()?);
                Ok(())
            }
            (Some("let"), _) => {
                *part = Part::Body;
                script.maps.push(self.map_declaration()?);
                Ok(())
            }
            (Some(_), _) => {
                *part = Part::Body;
                script.probes.push(self.probe()?);
                Ok(())
            }
            (None, _) if self.at("#") => {
                self.in_part(part, Part::C, "lines for the C preprocessor come");
                self.directive(&mut script.definitions)
            }
            (None, _) if self.eat(";") => Ok(()),
            (None, _) if self.at("}") => {
                let error = Diagnostic::error(self.token.span, "this `}` closes nothing");
                self.report(error.with_help("remove it, or look for a `}` too many above"));
                self.advance();
                Ok(())
            }
            (None, _) => {
                let help = "a probe is written as `provider:place /condition/ { statements }`, for example `begin { }`";
                self.expected("a probe", help);
                Err(Failed)
            }
        }
    }

    /// Reports a part that stands behind a later one.
    fn in_part(&mut self, part: &mut Part, wanted: Part, what: &str) {
        if *part > wanted {
            let before = if wanted == Part::C {
                "`config`, imports, probes, macros and functions"
            } else {
                "probes, macros and functions"
            };
            let error = Diagnostic::error(self.token.span, format!("{what} before {before}"));
            self.report(error.with_help("move it up"));
        } else {
            *part = wanted;
        }
    }

    /// Goes to what is probably the next part: behind the braces of this one, or to a line that begins with the word of
    /// an item or of a provider.
    fn skip_item(&mut self, begun: Span) {
        if self.token.span == begun && self.token.kind != Kind::Punct("{") {
            self.advance();
        }
        let mut open = 0u32;
        while self.token.kind != Kind::End {
            match self.token.kind {
                Kind::Punct("{") => open += 1,
                Kind::Punct("}") => {
                    open = open.saturating_sub(1);
                    if open == 0 {
                        self.advance();
                        self.eat(";");
                        return;
                    }
                }
                Kind::Word if open == 0 && self.begins_item() => return,
                _ => {}
            }
            self.advance();
        }
    }

    fn begins_item(&self) -> bool {
        let start = self.token.span.start as usize;
        let first = self.text[..start].ends_with('\n') || start == 0;
        let word = self.slice(self.token.span);
        first && (words::ITEMS.contains(&word) || crate::providers::find(word).is_some())
    }

    /// The semicolon behind a line at the top, which may be missing at the end of the text.
    fn end_of_line(&mut self, what: &str) -> Parse<()> {
        if self.eat(";") {
            return Ok(());
        }
        self.expected("`;`", format!("{what} ends with a semicolon"));
        Err(Failed)
    }

    fn config(&mut self, script: &mut Script) -> Parse<()> {
        let begun = self.advance().span;
        self.expect("=")?;
        if !script.config.is_empty() {
            let error = Diagnostic::error(begun, "there is a config block already");
            self.report(error.with_help("put all settings into one block"));
        }
        let open = self.expect("{")?;
        while !self.at("}") {
            if self.token.kind == Kind::End {
                return self.unclosed(open);
            }
            if self.eat(";") {
                continue;
            }
            match self.setting() {
                Ok(setting) => script.config.push(setting),
                Err(Failed) => self.skip_statement(),
            }
        }
        self.advance();
        self.eat(";");
        Ok(())
    }

    fn setting(&mut self) -> Parse<(Name, Spanned<Setting>)> {
        let name = self.expect_name("the name of a setting")?;
        self.expect("=")?;
        let start = self.token.span.start;
        let negative = self.eat("-");
        let value = match &self.token.kind {
            Kind::Int { value, .. } if negative => Setting::Int(-i128::from(*value)),
            Kind::Int { value, .. } => Setting::Int(i128::from(*value)),
            Kind::Text(text) if !negative => Setting::Text(text.clone()),
            Kind::Word if !negative => match self.slice(self.token.span) {
                "true" => Setting::Bool(true),
                "false" => Setting::Bool(false),
                word => Setting::Text(word.into()),
            },
            _ => {
                let help = "settings are written as `max_strlen = 64;`";
                self.expected("a number, a word, a text, `true` or `false`", help);
                return Err(Failed);
            }
        };
        self.advance();
        let value = Spanned::new(value, self.since(start));
        if !self.at("}") {
            self.expect(";")?;
        }
        Ok((name, value))
    }

    /// Reports a brace that is not closed.
    pub(super) fn unclosed<T>(&mut self, open: Span) -> Parse<T> {
        let error = Diagnostic::error(open, "this `{` is not closed").with_label("opened here");
        self.report(error.with_help("add a `}` where the block ends"));
        self.stop();
        Err(Failed)
    }

    fn map_declaration(&mut self) -> Parse<MapDecl> {
        self.advance();
        if self.token.kind != Kind::Map {
            let help = "only maps are declared outside of probes: `let @name = hash(1000);`";
            self.expected("a map", help);
            return Err(Failed);
        }
        let name = self.take_name();
        self.expect("=")?;
        let kind = self.expect_name("the kind of the map")?;
        if !words::MAP_KINDS.contains(&&*kind.node) {
            let error = Diagnostic::error(kind.span, format!("there is no kind of map called `{}`", kind.node));
            let likely = words::nearest(&kind.node, words::MAP_KINDS.iter().copied());
            self.report(error.with_help(match likely {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => format!("known are {}", words::MAP_KINDS.join(", ")),
            }));
        }
        self.expect("(")?;
        let Kind::Int { value, .. } = self.token.kind else {
            self.expected("the number of entries", "write how many it can hold: `hash(1000)`");
            return Err(Failed);
        };
        let entries = Spanned::new(value, self.advance().span);
        self.expect(")")?;
        self.end_of_line("the declaration")?;
        Ok(MapDecl { name, kind, entries })
    }

    fn macro_definition(&mut self) -> Parse<Macro> {
        self.advance();
        let name = self.expect_name("the name of a macro")?;
        let mut params = None;
        if self.eat("(") {
            let mut list = Vec::new();
            while !self.at(")") {
                list.push(self.macro_param()?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
            params = Some(list);
        }
        let names: Vec<_> = params
            .iter()
            .flatten()
            .filter_map(|param| match param {
                Param::Expr(name) => Some(name.node.clone()),
                _ => None,
            })
            .filter(|name| self.values.insert(name.clone()))
            .collect();
        let body = self.nested(|p| p.block(true));
        for name in &names {
            self.values.remove(name);
        }
        if params.as_ref().is_none_or(Vec::is_empty) {
            self.values.insert(name.node.clone());
        }
        let body = body?;
        Ok(Macro { name, params, body: body.stmts, value: body.value.map(Box::new) })
    }

    fn macro_param(&mut self) -> Parse<Param> {
        match self.token.kind {
            Kind::Variable => Ok(Param::Variable(self.take_name())),
            Kind::Map => Ok(Param::Map(self.take_name())),
            Kind::Word => Ok(Param::Expr(self.expect_name("a parameter")?)),
            _ => {
                let help = "parameters of macros are `$variable`, `@map` or `name`, which stands for an expression";
                self.expected("a parameter", help);
                Err(Failed)
            }
        }
    }

    fn function(&mut self) -> Parse<Function> {
        self.advance();
        let name = self.expect_name("the name of a function")?;
        self.expect("(")?;
        let mut params = Vec::new();
        while !self.at(")") {
            if self.token.kind != Kind::Variable {
                let help = "parameters of functions are written as `$name : type`";
                self.expected("a parameter", help);
                return Err(Failed);
            }
            let param = self.take_name();
            self.expect(":")?;
            params.push((param, self.type_expr()?));
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        if !self.at(":") {
            self.expected("`:`", "the type of the result follows: `fn name() : uint64 { }`");
            return Err(Failed);
        }
        self.advance();
        let result = self.type_expr()?;
        let body = self.nested(|p| p.block(false))?;
        Ok(Function { name, params, result, body: body.stmts })
    }

    fn probe(&mut self) -> Parse<Probe> {
        let start = self.token.span.start;
        let name = (self.second().kind == Kind::Punct("=")).then(|| {
            let name = self.take_name();
            self.advance();
            name
        });
        let points = self.points()?;
        let predicate = if self.at("/") { Some(self.predicate()?) } else { None };
        if !self.at("{") {
            let help = "a probe is written as `provider:place /condition/ { statements }`";
            self.expected("`{`", help);
            return Err(Failed);
        }
        let body = self.nested(|p| p.block(false))?;
        Ok(Probe { name, points, predicate, body: body.stmts, span: self.since(start) })
    }

    fn predicate(&mut self) -> Parse<crate::ast::Expr> {
        self.advance();
        self.predicate = true;
        let expr = self.expr();
        self.predicate = false;
        let expr = expr?;
        if !self.at("/") {
            self.expected("`/`", "the condition stands between slashes: `/pid == 1/`");
            return Err(Failed);
        }
        self.advance();
        Ok(expr)
    }
}

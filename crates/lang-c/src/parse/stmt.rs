//! Statements.

use std::rc::Rc;

use super::ast::{Asm, AsmOperand, Expr, ExprKind, LabelId, Stmt, StmtKind};
use super::{Parsed, Parser};
use crate::lex::{Keyword, Punct, TokenKind};
use crate::source::{Loc, Sym};
use crate::types::Types;

impl Parser<'_> {
    /// What is in a block, behind its brace, to behind the other brace.
    pub(super) fn block_items(&mut self) -> Parsed<Vec<Stmt>> {
        let mut items = Vec::new();
        let mut failed = false;
        loop {
            if self.take(Punct::RBrace) {
                break;
            }
            if matches!(self.peek(), TokenKind::Eof) {
                let loc = self.loc();
                return self.error(loc, "the file ends within a block: a `}` is missing");
            }
            if self.deeper(|parser| parser.block_item(&mut items)).is_err() {
                failed = true;
                if self.diags.is_full() {
                    return Err(super::Reported);
                }
                self.recover_statement();
            }
        }
        if failed {
            return Err(super::Reported);
        }
        let loc = self.before();
        if !ends(&items) {
            self.cleanups(self.scopes.len() - 1, loc, &mut items);
        }
        Ok(items)
    }

    /// Skips to behind the next `;`, or to the brace that ends the block.
    fn recover_statement(&mut self) {
        let mut braces = 0usize;
        loop {
            match self.peek() {
                TokenKind::Eof => return,
                TokenKind::Punct(Punct::LBrace) => braces += 1,
                TokenKind::Punct(Punct::RBrace) if braces == 0 => return,
                TokenKind::Punct(Punct::RBrace) => {
                    braces -= 1;
                    if braces == 0 {
                        self.next();
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

    /// Calls of `cleanup` functions for the scopes from a depth on, innermost first.
    fn cleanups(&mut self, from: usize, loc: Loc, out: &mut Vec<Stmt>) {
        let list: Vec<_> =
            self.scopes[from..].iter().rev().flat_map(|scope| scope.cleanups.iter().rev().copied()).collect();
        for (var, func) in list {
            let ty = self.program.var(var).ty;
            let ptr = self.types.ptr(ty);
            let place = Expr::new(ExprKind::Var(var), ty, loc);
            let arg = Expr::new(ExprKind::AddrOf(Box::new(place)), ptr, loc);
            let callee = Expr::new(ExprKind::Func(func), self.program.func(func).ty, loc);
            if let Ok(call) = self.call(callee, vec![arg], loc) {
                out.push(Stmt { kind: StmtKind::Cleanup(call), loc });
            }
        }
    }

    /// Wraps a statement that leaves scopes in what has to be done before.
    fn leaving(&mut self, from: usize, stmt: Stmt, out: &mut Vec<Stmt>) {
        let loc = stmt.loc;
        self.cleanups(from, loc, out);
        out.push(stmt);
    }

    fn block_item(&mut self, out: &mut Vec<Stmt>) -> Parsed<()> {
        self.pragmas();
        if self.is_word(Keyword::StaticAssert) {
            return self.static_assert();
        }
        if self.is_word(Keyword::Label) {
            self.next();
            let number = self.here.as_mut().map_or(0, |here| {
                here.label_scopes += 1;
                here.label_scopes
            });
            while !self.take(Punct::Semi) {
                let (sym, _) = self.ident("a label")?;
                if let Some(scope) = self.scopes.last_mut() {
                    scope.labels.insert(sym, number);
                }
                self.take(Punct::Comma);
            }
            return Ok(());
        }
        let labelled = matches!(self.peek_at(1), TokenKind::Punct(Punct::Colon));
        let extension = self.is_word(Keyword::Extension) && self.begins_type_at(1);
        if extension {
            self.next();
        }
        if self.begins_type() && !labelled || self.is_word(Keyword::Attribute) && self.declares() {
            let specs = self.specifiers()?;
            if self.take(Punct::Semi) {
                return Ok(());
            }
            let declared = self.declarator(specs.ty)?;
            return self.declarators(&specs, declared, out);
        }
        self.statement(out)
    }

    /// Whether a declaration follows attributes.
    fn declares(&mut self) -> bool {
        let (mut ahead, mut depth) = (1, 0usize);
        loop {
            match self.peek_at(ahead) {
                TokenKind::Punct(Punct::LParen) => depth += 1,
                TokenKind::Punct(Punct::RParen) => depth = depth.saturating_sub(1),
                TokenKind::Eof => return false,
                _ => {}
            }
            ahead += 1;
            if depth == 0 {
                return self.begins_type_at(ahead);
            }
        }
    }

    /// One statement in a place where there is exactly one.
    fn single(&mut self) -> Parsed<Box<Stmt>> {
        let loc = self.loc();
        let mut items = Vec::new();
        self.push_scope();
        let result = self.deeper(|parser| parser.statement(&mut items));
        self.pop_scope();
        result?;
        if items.len() == 1
            && let Some(only) = items.pop()
        {
            return Ok(Box::new(only));
        }
        Ok(Box::new(Stmt { kind: StmtKind::Block(items), loc }))
    }

    fn statement(&mut self, out: &mut Vec<Stmt>) -> Parsed<()> {
        self.pragmas();
        let loc = self.loc();
        let stmt = |kind| Stmt { kind, loc };
        match self.peek().clone() {
            TokenKind::Punct(Punct::LBrace) => {
                self.next();
                self.push_scope();
                let items = self.block_items();
                self.pop_scope();
                out.push(stmt(StmtKind::Block(items?)));
                Ok(())
            }
            TokenKind::Punct(Punct::Semi) => {
                self.next();
                Ok(())
            }
            TokenKind::Keyword(Keyword::Attribute) => {
                // `__attribute__((fallthrough));`
                self.attributes(&mut super::attr::Attrs::default())?;
                self.take(Punct::Semi);
                Ok(())
            }
            TokenKind::Keyword(word) if is_statement(word) => {
                self.next();
                self.keyword_statement(word, loc, out)
            }
            TokenKind::Ident(sym) if matches!(self.peek_at(1), TokenKind::Punct(Punct::Colon)) => {
                self.at += 2;
                self.attributes(&mut super::attr::Attrs::default())?;
                let label = self.label(sym, true, loc)?;
                out.push(stmt(StmtKind::Label(label)));
                self.labelled(out)
            }
            _ => {
                let expr = self.expression()?;
                self.expect(Punct::Semi, "behind the expression")?;
                out.push(stmt(StmtKind::Expr(expr)));
                Ok(())
            }
        }
    }

    /// The statement behind a label; a declaration or the end of the block may follow as well.
    fn labelled(&mut self, out: &mut Vec<Stmt>) -> Parsed<()> {
        if self.is(Punct::RBrace) {
            return Ok(());
        }
        self.deeper(|parser| parser.block_item(out))
    }

    fn label(&mut self, sym: Sym, defined: bool, loc: Loc) -> Parsed<LabelId> {
        let name = self.name_of(sym);
        let scope = self.scopes.iter().rev().find_map(|scope| scope.labels.get(&sym).copied()).unwrap_or(0);
        let Some(here) = &mut self.here else {
            return self.error(loc, "labels stand in functions only");
        };
        let next = LabelId(u32::try_from(here.labels.len()).unwrap_or(u32::MAX));
        let entry = here.labels.entry((sym, scope)).or_insert((next, false, loc));
        let (id, twice) = (entry.0, entry.1 && defined);
        entry.1 |= defined;
        if id == next && here.label_names.len() <= next.0 as usize {
            here.label_names.push(name.clone());
        }
        if twice {
            return self.error(loc, format!("the label `{name}` stands twice in this function"));
        }
        Ok(id)
    }

    fn keyword_statement(&mut self, word: Keyword, loc: Loc, out: &mut Vec<Stmt>) -> Parsed<()> {
        let stmt = |kind| Stmt { kind, loc };
        match word {
            Keyword::If => {
                let cond = self.parenthesised("`if`")?;
                let cond = self.condition(cond)?;
                let yes = self.single()?;
                let no = if self.take_word(Keyword::Else) { Some(self.single()?) } else { None };
                out.push(stmt(StmtKind::If(cond, yes, no)));
                Ok(())
            }
            Keyword::While => {
                let cond = self.parenthesised("`while`")?;
                let cond = Some(self.condition(cond)?);
                let body = self.loop_body()?;
                out.push(stmt(StmtKind::Loop { init: Vec::new(), cond, step: None, body, post: false }));
                Ok(())
            }
            Keyword::Do => {
                let body = self.loop_body()?;
                if !self.take_word(Keyword::While) {
                    let (found, loc) = (self.describe(), self.loc());
                    return self.error(loc, format!("expected `while` behind the body of `do`, found {found}"));
                }
                let cond = self.parenthesised("`while`")?;
                let cond = Some(self.condition(cond)?);
                self.expect(Punct::Semi, "behind `do ... while (...)`")?;
                out.push(stmt(StmtKind::Loop { init: Vec::new(), cond, step: None, body, post: true }));
                Ok(())
            }
            Keyword::For => {
                self.push_scope();
                let result = self.for_loop(loc, out);
                self.pop_scope();
                result
            }
            Keyword::Switch => {
                let value = self.parenthesised("`switch`")?;
                let value = self.rvalue(value)?;
                let value = self.promote(value)?;
                if self.types.as_int(value.ty).is_none_or(|int| int.size() > 8) {
                    let shown = self.types.show(value.ty);
                    return self.error(loc, format!("`switch` takes an integer, not `{shown}`"));
                }
                let depth = self.scopes.len();
                if let Some(here) = &mut self.here {
                    here.breaks.push(depth);
                    here.switches.push(value.ty);
                }
                let body = self.single();
                if let Some(here) = &mut self.here {
                    here.breaks.pop();
                    here.switches.pop();
                }
                out.push(stmt(StmtKind::Switch(value, body?)));
                Ok(())
            }
            Keyword::Case => self.case(loc, out),
            Keyword::Default => {
                if self.here.as_ref().is_none_or(|here| here.switches.is_empty()) {
                    return self.error(loc, "`default` stands in a `switch` only");
                }
                self.expect(Punct::Colon, "behind `default`")?;
                out.push(stmt(StmtKind::Default));
                self.labelled(out)
            }
            Keyword::Break | Keyword::Continue => {
                let is_break = word == Keyword::Break;
                let depth = self
                    .here
                    .as_ref()
                    .and_then(|here| if is_break { here.breaks.last() } else { here.continues.last() });
                let Some(&depth) = depth else {
                    return self.error(loc, format!("`{}` stands in a loop only", word.spelling()));
                };
                self.expect(Punct::Semi, &format!("behind `{}`", word.spelling()))?;
                let kind = if is_break { StmtKind::Break } else { StmtKind::Continue };
                self.leaving(depth, stmt(kind), out);
                Ok(())
            }
            Keyword::Goto => {
                if self.is(Punct::Star) {
                    return self.error(loc, "BPF has no jumps to computed places");
                }
                let (sym, at) = self.ident("a label")?;
                self.expect(Punct::Semi, "behind `goto`")?;
                let label = self.label(sym, false, at)?;
                out.push(stmt(StmtKind::Goto(label)));
                Ok(())
            }
            Keyword::Return => self.return_statement(loc, out),
            _ => self.asm_statement(loc, out),
        }
    }

    fn parenthesised(&mut self, what: &str) -> Parsed<Expr> {
        self.expect(Punct::LParen, &format!("behind {what}"))?;
        let expr = self.expression()?;
        self.expect(Punct::RParen, &format!("behind the condition of {what}"))?;
        Ok(expr)
    }

    fn loop_body(&mut self) -> Parsed<Box<Stmt>> {
        let depth = self.scopes.len();
        if let Some(here) = &mut self.here {
            here.breaks.push(depth);
            here.continues.push(depth);
        }
        let body = self.single();
        if let Some(here) = &mut self.here {
            here.breaks.pop();
            here.continues.pop();
        }
        body
    }

    fn for_loop(&mut self, loc: Loc, out: &mut Vec<Stmt>) -> Parsed<()> {
        self.expect(Punct::LParen, "behind `for`")?;
        let mut init = Vec::new();
        if self.begins_type() || self.is_word(Keyword::Attribute) {
            let specs = self.specifiers()?;
            let declared = self.declarator(specs.ty)?;
            self.declarators(&specs, declared, &mut init)?;
        } else if !self.take(Punct::Semi) {
            let expr = self.expression()?;
            init.push(Stmt { kind: StmtKind::Expr(expr), loc });
            self.expect(Punct::Semi, "behind the start of `for`")?;
        }
        let mut cond = None;
        if !self.is(Punct::Semi) {
            let expr = self.expression()?;
            cond = Some(self.condition(expr)?);
        }
        self.expect(Punct::Semi, "behind the condition of `for`")?;
        let step = if self.is(Punct::RParen) { None } else { Some(self.expression()?) };
        self.expect(Punct::RParen, "behind `for (...`")?;
        let body = self.loop_body()?;
        out.push(Stmt { kind: StmtKind::Loop { init, cond, step, body, post: false }, loc });
        // Variables of the loop head that have to be cleaned up end behind the loop.
        self.cleanups(self.scopes.len() - 1, loc, out);
        Ok(())
    }

    fn case(&mut self, loc: Loc, out: &mut Vec<Stmt>) -> Parsed<()> {
        let Some(ty) = self.here.as_ref().and_then(|here| here.switches.last().copied()) else {
            return self.error(loc, "`case` stands in a `switch` only");
        };
        let (from, _) = self.constant_int("the value of `case`")?;
        let to = if self.take(Punct::Ellipsis) { self.constant_int("the value of `case`")?.0 } else { from };
        self.expect(Punct::Colon, "behind `case`")?;
        let wrap = |value: i64| self.types.as_int(ty).map_or(value, |int| int.wrap(value));
        out.push(Stmt { kind: StmtKind::Case(wrap(from), wrap(to)), loc });
        self.labelled(out)
    }

    fn return_statement(&mut self, loc: Loc, out: &mut Vec<Stmt>) -> Parsed<()> {
        let ret = self.here.as_ref().map_or(Types::void(), |here| here.ret);
        let value = if self.take(Punct::Semi) {
            if !self.types.is_void(ret) {
                let shown = self.types.show(ret);
                self.diags.warning(loc, format!("`return` without a value in a function that returns `{shown}`"));
            }
            None
        } else {
            let expr = self.expression()?;
            self.expect(Punct::Semi, "behind `return`")?;
            if self.types.is_void(ret) {
                let expr = self.rvalue(expr)?;
                if !self.types.is_void(expr.ty) {
                    self.diags.warning(loc, "a value is returned from a function that returns nothing");
                }
                out.push(Stmt { kind: StmtKind::Expr(expr), loc });
                None
            } else {
                Some(self.assignable(expr, ret, "what is returned")?)
            }
        };
        self.leaving(1, Stmt { kind: StmtKind::Return(value), loc }, out);
        Ok(())
    }

    fn asm_statement(&mut self, loc: Loc, out: &mut Vec<Stmt>) -> Parsed<()> {
        let mut asm = Asm {
            text: "".into(),
            outputs: Vec::new(),
            inputs: Vec::new(),
            clobbers: Vec::new(),
            labels: Vec::new(),
            volatile: false,
            loc,
        };
        loop {
            if self.take_word(Keyword::Volatile) {
                asm.volatile = true;
            } else if !self.take_word(Keyword::Goto) && !self.take_word(Keyword::Inline) {
                break;
            }
        }
        self.expect(Punct::LParen, "behind `asm`")?;
        asm.text = self.string("the assembly")?;
        let mut section = 0;
        while self.take(Punct::Colon) {
            section += 1;
            if self.is(Punct::Colon) || self.is(Punct::RParen) {
                continue;
            }
            match section {
                1 => asm.outputs = self.asm_operands(true)?,
                2 => asm.inputs = self.asm_operands(false)?,
                3 => loop {
                    asm.clobbers.push(self.string("a clobber")?);
                    if !self.take(Punct::Comma) {
                        break;
                    }
                },
                _ => loop {
                    let (sym, at) = self.ident("a label")?;
                    let label = self.label(sym, false, at)?;
                    asm.labels.push(label);
                    if !self.take(Punct::Comma) {
                        break;
                    }
                },
            }
        }
        self.expect(Punct::RParen, "behind the assembly")?;
        self.expect(Punct::Semi, "behind `asm(...)`")?;
        out.push(Stmt { kind: StmtKind::Asm(Box::new(asm)), loc });
        Ok(())
    }

    fn asm_operands(&mut self, output: bool) -> Parsed<Vec<AsmOperand>> {
        let mut operands = Vec::new();
        loop {
            let mut name: Option<Rc<str>> = None;
            if self.take(Punct::LBracket) {
                let (sym, _) = self.ident("the name of an operand")?;
                name = Some(self.name_of(sym));
                self.expect(Punct::RBracket, "behind the name of an operand")?;
            }
            let constraint = self.string("the constraint of an operand")?;
            self.expect(Punct::LParen, "behind the constraint")?;
            let expr = self.expression()?;
            self.expect(Punct::RParen, "behind the operand")?;
            let memory = constraint.contains('m') && !constraint.contains('r');
            let expr = if output {
                if !expr.is_lvalue() {
                    return self.error(expr.loc, "the output of assembly is a variable");
                }
                self.mark_assigned(&expr);
                expr
            } else if memory {
                expr
            } else {
                self.rvalue(expr)?
            };
            if memory {
                self.mark_addressed(&expr);
            }
            operands.push(AsmOperand { name, constraint, expr });
            if !self.take(Punct::Comma) {
                return Ok(operands);
            }
        }
    }
}

const fn is_statement(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::If
            | Keyword::While
            | Keyword::Do
            | Keyword::For
            | Keyword::Switch
            | Keyword::Case
            | Keyword::Default
            | Keyword::Break
            | Keyword::Continue
            | Keyword::Goto
            | Keyword::Return
            | Keyword::Asm
    )
}

/// Whether control does not reach the end of a list of statements.
fn ends(items: &[Stmt]) -> bool {
    matches!(
        items.last().map(|stmt| &stmt.kind),
        Some(StmtKind::Return(_) | StmtKind::Break | StmtKind::Continue | StmtKind::Goto(_))
    )
}

//! Expression text to syntax tree.
//!
//! The grammar is that of pcap-filter(7) as tcpdump applies it: `and` and `or` bind equally and associate to the left,
//! a bare id takes the qualifiers of the primitive before it, and inside a parenthesis that begins with a bare id only
//! bare ids may follow. Where this differs from tcpdump, it accepts more: nested parentheses of ids, `net 10/8`, sets
//! from files (`host @FILE`), words of the kernel's about a packet (`mark`), `tcp6[...]` and `ip6 chain tcp`.
//!
//! The boolean layer runs on a stack of its own, so that neither fifty thousand terms nor ten thousand parentheses
//! cost stack or more than linear time. What needs the link type, or a name looked up, is not decided here.

mod arith;
mod id;
mod primitive;
mod special;
mod warn;

use crate::ast::{Ast, Dir, Id, Kind, Node, NodeId, NodeKind, Primitive, Quals};
use crate::lex::{self, Lexed, Tok, Token};
use crate::suggest;
use skep_diag::{Diagnostic, Span};

/// Which libpcap release decides where releases differ in meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compat {
    /// libpcap 1.10 (tcpdump 4.99).
    V1_10,
    /// libpcap 1.11 (tcpdump 5.0).
    #[default]
    V1_11,
}

/// What the parser has to know besides the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParseContext {
    /// Whose language: `vxlan` is a keyword since 1.11 only, which also checks the ranges of DECnet addresses.
    pub compat: Compat,
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// The tree.
    pub ast: Ast,
    /// What may not mean what the author thinks; at most [`MAX_WARNINGS`], in the order of the text.
    pub warnings: Vec<Diagnostic>,
}

/// The longest source text in bytes: 16 MiB.
pub const MAX_SOURCE: usize = 16 << 20;

/// How many parentheses and `not`s may be open at the same place.
pub const MAX_NESTING: usize = 100_000;

/// No more warnings than this are given for one expression.
pub const MAX_WARNINGS: usize = 8;

/// Parses `source`. White space alone gives the empty tree, which accepts every packet.
///
/// # Errors
/// The errors found, at least one, each with its place. Parsing stops at the first, so there is exactly one today.
pub fn parse(source: &str, ctx: &ParseContext) -> Result<Parsed, Vec<Diagnostic>> {
    if source.len() > MAX_SOURCE {
        let message = format!("the expression is longer than {} MiB", MAX_SOURCE >> 20);
        let help = "put addresses into a file and write `host @FILE` or `net @FILE`";
        return Err(vec![Diagnostic::error(Span::new(0, 0), message).with_help(help)]);
    }
    let lexed = lex::lex(source, ctx.compat);
    let mut parser = Parser::new(source, ctx.compat, lexed);
    match parser.expression() {
        Ok(root) => {
            let ast = Ast { nodes: parser.nodes, root };
            let mut warnings = parser.warnings;
            warn::offset_shifts(&ast, source, &mut warnings);
            warnings.sort_by_key(|w| w.span.start);
            warnings.truncate(MAX_WARNINGS);
            Ok(Parsed { ast, warnings })
        }
        Err(error) => Err(vec![*error]),
    }
}

/// Reads one id alone, as it stands in a set file: number, address, prefix, hardware address or name.
///
/// # Errors
/// What is wrong with it, as the message of a diagnostic without a place.
pub fn parse_id(text: &str, ctx: &ParseContext) -> Result<Id, String> {
    if text.len() > MAX_ID {
        return Err(format!("longer than {MAX_ID} bytes"));
    }
    let lexed = lex::lex(text, ctx.compat);
    let mut parser = Parser::new(text, ctx.compat, lexed);
    let kind = if text.contains('/') { Kind::Net } else { Kind::Host };
    let quals = Quals { proto: None, dir: Dir::Default, kind };
    let id = match parser.peek() {
        // No qualifier precedes it, so a keyword can only be meant as a name.
        Tok::Word(_) => {
            let span = parser.next().span;
            Id::Name(parser.text(span).to_owned())
        }
        _ => {
            let id = parser.id_value(quals).map_err(|error| error.message)?;
            id.ok_or_else(|| parser.expected("a number, an address or a name").message)?
        }
    };
    match parser.peek() {
        Tok::End => Ok(id),
        _ => Err(parser.expected("nothing more").message),
    }
}

/// The longest id in a set file, in bytes; a name in the DNS has at most 253.
const MAX_ID: usize = 1024;

type Fallible<T> = Result<T, Box<Diagnostic>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum BoolOp {
    And,
    Or,
}

/// What may stand in a parenthesis. tcpdump's grammar decides by its first operand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing read yet.
    Open,
    /// Primitives, and bare ids after the first.
    Terms,
    /// Bare ids only.
    Ids,
}

/// The qualifiers in front of an id that is about to be read.
#[derive(Clone, Copy)]
struct Head {
    quals: Quals,
    span: Span,
}

/// An open parenthesis, or the whole expression.
struct Level {
    /// Place of the parenthesis.
    open: Span,
    mode: Mode,
    /// Qualifiers that stand directly before the parenthesis.
    head: Option<Head>,
    /// What a bare id means from here on; `None` where it means nothing.
    inherited: Option<Quals>,
    /// The same at the opening: also what holds after the closing.
    outer: Option<Quals>,
    /// The operands so far and the operator after them.
    left: Option<(NodeId, Span)>,
    op: Option<BoolOp>,
    /// How many pending `not`s belong to the levels around.
    nots: usize,
    /// Place of the first `or`, and whether its warning was given.
    or_at: Option<Span>,
    warned: bool,
}

impl Level {
    fn root() -> Self {
        Self::new(Span::default(), Mode::Terms, None, None, 0)
    }

    fn new(open: Span, mode: Mode, head: Option<Head>, inherited: Option<Quals>, nots: usize) -> Self {
        Self { open, mode, head, inherited, outer: inherited, left: None, op: None, nots, or_at: None, warned: false }
    }
}

/// A complete operand of `and`, `or`, `not`.
struct Operand {
    node: NodeId,
    span: Span,
    /// A bare id or a parenthesis of them.
    is_id: bool,
    /// What a bare id after it means.
    quals: Option<Quals>,
}

struct Parser<'a> {
    source: &'a str,
    compat: Compat,
    tokens: Vec<Token>,
    lex_error: Option<Diagnostic>,
    at: usize,
    nodes: Vec<Node>,
    levels: Vec<Level>,
    /// Where the pending `not`s begin.
    nots: Vec<Span>,
    head: Option<Head>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str, compat: Compat, lexed: Lexed) -> Self {
        // `host a or host b or...` has two nodes for three tokens.
        let nodes = Vec::with_capacity((lexed.tokens.len() / 3 * 2).min(1 << 20));
        Self {
            source,
            compat,
            tokens: lexed.tokens,
            lex_error: lexed.error,
            at: 0,
            nodes,
            levels: vec![Level::root()],
            nots: Vec::new(),
            head: None,
            warnings: Vec::new(),
        }
    }

    fn expression(&mut self) -> Fallible<Option<NodeId>> {
        if self.peek() == Tok::End {
            return Ok(None);
        }
        loop {
            let Some(mut operand) = self.operand()? else { continue };
            loop {
                self.complete(&operand);
                match self.peek() {
                    Tok::And | Tok::Or => {
                        self.operator();
                        break;
                    }
                    Tok::Close if self.levels.len() > 1 => operand = self.close(),
                    Tok::End if self.levels.len() == 1 => return Ok(self.levels[0].left.map(|left| left.0)),
                    _ => return Err(self.not_an_operator(operand.span)),
                }
            }
        }
    }

    /// Reads an operand, or a part of what stands before one: then there is none yet.
    fn operand(&mut self) -> Fallible<Option<Operand>> {
        if self.levels.len() + self.nots.len() > MAX_NESTING {
            let message = format!("parentheses and `not`s are nested more than {MAX_NESTING} deep");
            let error = Diagnostic::error(self.token(0).span, message);
            return Err(Box::new(error.with_help("join the terms on one level: `a or b or c`")));
        }
        match self.peek() {
            Tok::Not => {
                let span = self.next().span;
                self.nots.push(span);
                Ok(None)
            }
            Tok::Open => {
                let open = self.next().span;
                let head = self.head.take();
                let level = self.level();
                let ids_only = head.is_some() || level.mode == Mode::Ids;
                let inherited = head.map_or(level.inherited, |head| Some(head.quals));
                let mode = if ids_only { Mode::Ids } else { Mode::Open };
                self.levels.push(Level::new(open, mode, head, inherited, self.nots.len()));
                Ok(None)
            }
            _ if self.ids_only() => self.id().map(Some),
            _ => self.term(),
        }
    }

    /// Attaches an operand to what stands before it on its level.
    fn complete(&mut self, operand: &Operand) {
        let mut node = operand.node;
        let mut span = operand.span;
        let base = self.level().nots;
        while self.nots.len() > base {
            if let Some(not) = self.nots.pop() {
                span = not.to(span);
                node = self.push(NodeKind::Not(node), span);
            }
        }
        let level = self.level();
        if level.mode == Mode::Open {
            level.mode = if operand.is_id { Mode::Ids } else { Mode::Terms };
        }
        if !operand.is_id {
            level.inherited = operand.quals;
        }
        let left = level.left.take().zip(level.op.take());
        if let Some(((left, left_span), op)) = left {
            span = left_span.to(span);
            let kind = if op == BoolOp::And { NodeKind::And(left, node) } else { NodeKind::Or(left, node) };
            node = self.push(kind, span);
        }
        self.level().left = Some((node, span));
    }

    /// Reads `and` or `or`.
    fn operator(&mut self) {
        let token = self.next();
        let level = self.level();
        if token.tok == Tok::Or {
            level.op = Some(BoolOp::Or);
            level.or_at.get_or_insert(token.span);
            return;
        }
        level.op = Some(BoolOp::And);
        if let Some(or_at) = level.or_at.filter(|_| !level.warned) {
            level.warned = true;
            let left = level.left.map_or(or_at, |left| left.1);
            if self.warnings.len() < MAX_WARNINGS {
                self.warnings.push(warn::mixed(self.source, left, token.span));
            }
        }
    }

    /// Reads the parenthesis that closes the innermost level.
    fn close(&mut self) -> Operand {
        let close = self.next().span;
        let level = self.levels.pop().unwrap_or_else(Level::root);
        let start = level.head.map_or(level.open, |head| head.span);
        // A level is only closed after an operand, so that there is one.
        let node = level.left.map_or(NodeId(0), |left| left.0);
        let is_id = level.head.is_none() && level.mode == Mode::Ids;
        Operand { node, span: start.to(close), is_id, quals: level.outer }
    }

    fn ids_only(&self) -> bool {
        self.head.is_some() || self.levels.last().is_some_and(|level| level.mode == Mode::Ids)
    }

    /// The innermost level. The outermost one is never removed.
    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::root());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn push(&mut self, kind: NodeKind, span: Span) -> NodeId {
        // Every node takes at least one byte of source text (a list of ATM values two), so the count fits.
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node { kind, span });
        id
    }

    /// A finished primitive that is not a bare id and passes no qualifiers on.
    fn plain(&mut self, primitive: Primitive, span: Span) -> Option<Operand> {
        let node = self.push(NodeKind::Primitive(primitive), span);
        Some(Operand { node, span, is_id: false, quals: None })
    }

    fn peek(&self) -> Tok {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Tok {
        self.token(ahead).tok
    }

    /// The token `ahead` of the next one; the last one for ever after.
    fn token(&self, ahead: usize) -> Token {
        let last = self.tokens.len().saturating_sub(1);
        self.tokens.get((self.at + ahead).min(last)).copied().unwrap_or(Token { tok: Tok::End, span: Span::default() })
    }

    fn next(&mut self) -> Token {
        let token = self.token(0);
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    /// The token before the next one.
    fn previous(&self) -> Option<Token> {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).copied()
    }

    fn text(&self, span: Span) -> &'a str {
        self.source.get(span.range()).unwrap_or("")
    }

    /// The next token cannot stand here. If the lexer failed there, its own message is the better one.
    fn unexpected(&mut self, message: impl Into<String>) -> Box<Diagnostic> {
        let token = self.token(0);
        if token.tok == Tok::Bad
            && let Some(error) = self.lex_error.take()
        {
            return Box::new(error);
        }
        Box::new(Diagnostic::error(token.span, message))
    }

    /// `expected` is missing; the message names what was found instead.
    fn expected(&mut self, expected: &str) -> Box<Diagnostic> {
        let token = self.token(0);
        let found = suggest::shorten(self.text(token.span));
        let message = match token.tok {
            Tok::End => format!("expected {expected} but the expression ends here"),
            _ => format!("expected {expected}, found `{found}`"),
        };
        self.unexpected(message)
    }

    /// After a complete operand there is something else than `and`, `or`, a parenthesis or the end.
    fn not_an_operator(&mut self, before: Span) -> Box<Diagnostic> {
        let token = self.token(0);
        if token.tok == Tok::End {
            let open = self.level().open;
            let error = Diagnostic::error(open, "this parenthesis is not closed").with_label("opened here");
            return Box::new(error.with_help("add `)` where the group ends"));
        }
        if token.tok == Tok::Close {
            let error = self.unexpected("this `)` closes no parenthesis");
            return Box::new(error.with_help("remove it, or add the missing `(`"));
        }
        let help = self.site().instead_of_operator(before);
        let error = self.expected("`and` or `or`");
        match help {
            Some(help) if token.tok != Tok::Bad => Box::new(error.with_help(help)),
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests;

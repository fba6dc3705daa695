//! The typed tree: what a script means, every name resolved and every expression with its type. Lowering has no choices
//! left but registers and memory.

use std::sync::Arc;

use skep_diag::Span;

use crate::ast::BinaryOp;
use crate::plan::{MapValue, PrintTo};
use crate::types::{Space, Type};

/// A variable of a program or function: index into [`Unit::vars`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Var(pub u32);

/// A map: index into [`Input::maps`](crate::lower::Input::maps).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Map(pub u32);

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Its type.
    pub ty: Type,
    /// Its place.
    pub span: Span,
}

impl Expr {
    /// An expression.
    pub const fn new(kind: Kind, ty: Type, span: Span) -> Self {
        Self { kind, ty, span }
    }

    /// A number.
    pub const fn number(value: i64, ty: Type, span: Span) -> Self {
        Self { kind: Kind::Int(value), ty, span }
    }

    /// Calls a function with this expression and those in it, without those in statements.
    pub fn visit(&self, see: &mut dyn FnMut(&Self)) {
        see(self);
        match &self.kind {
            Kind::Int(_)
            | Kind::Text(_)
            | Kind::Bytes(_)
            | Kind::Var(_)
            | Kind::VarAddress(_)
            | Kind::MapAddress(_)
            | Kind::Argument(_)
            | Kind::Indirect(_)
            | Kind::Inline(..) => {}
            Kind::Memory(place) => {
                if let Base::Address(inner, _) | Base::Local(inner) = &place.base {
                    inner.visit(see);
                }
                if let Some((index, ..)) = &place.index {
                    index.visit(see);
                }
            }
            Kind::Address(inner, _)
            | Kind::Neg(inner)
            | Kind::Complement(inner)
            | Kind::Not(inner)
            | Kind::Convert(inner)
            | Kind::Block(_, inner) => inner.visit(see),
            Kind::Entry(_, parts) | Kind::Aggregate(_, parts) | Kind::Tuple(parts) | Kind::Function(_, parts) => {
                parts.iter().for_each(|part| part.visit(see));
            }
            Kind::Binary(_, left, right)
            | Kind::Compare(_, left, right, _)
            | Kind::And(left, right)
            | Kind::Or(left, right)
            | Kind::Equal { left, right, .. } => [left, right].into_iter().for_each(|side| side.visit(see)),
            Kind::Choose(cond, yes, no) => [cond, yes, no].into_iter().for_each(|part| part.visit(see)),
            Kind::Step { target, .. } => {
                if let Target::Entry(_, key) = target {
                    key.iter().for_each(|part| part.visit(see));
                }
            }
            Kind::Builtin(call) => call.visit(see),
        }
    }

    /// Its value, if it is a number that is known.
    pub const fn constant(&self) -> Option<i64> {
        match self.kind {
            Kind::Int(value) => Some(value),
            _ => None,
        }
    }
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// At an address in memory that has to be read with care.
    Address(Box<Expr>, Space),
    /// In the context of the program.
    Context,
    /// In a value that the program has itself: a variable, an entry of a map.
    Local(Box<Expr>),
}

/// A part of something.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Of what.
    pub base: Base,
    /// Bytes from its start.
    pub offset: u32,
    /// For elements of local arrays: the number, the bytes of an element, how many there are.
    pub index: Option<(Box<Expr>, u32, u32)>,
    /// For bit-fields: the first bit and their number.
    pub bits: Option<(u8, u8)>,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A number.
    Int(i64),
    /// A text.
    Text(Arc<str>),
    /// Bytes that are known.
    Bytes(Vec<u8>),
    /// A variable.
    Var(Var),
    /// The address of a variable.
    VarAddress(Var),
    /// The address of a map as the kernel keeps it.
    MapAddress(Map),
    /// Bytes in memory.
    Memory(Place),
    /// The address of bytes in memory.
    Address(Box<Expr>, u32),
    /// An argument of the probe: a word of its context.
    Argument(Word),
    /// The value of dynamic size that a word of a tracepoint's record points to.
    Indirect(u32),
    /// An entry of a map; 0 if there is none.
    Entry(Map, Vec<Expr>),
    /// The number that an aggregate has come to, over all processors.
    Aggregate(Map, Vec<Expr>),
    /// `-`
    Neg(Box<Expr>),
    /// `~`
    Complement(Box<Expr>),
    /// `!`
    Not(Box<Expr>),
    /// Arithmetic of 64 bits; operands are scalars, division by zero is reported.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// A comparison of scalars as signed numbers or not.
    Compare(BinaryOp, Box<Expr>, Box<Expr>, bool),
    /// Whether so many bytes are equal, or differ. A text ends at its first zero.
    Equal {
        /// Left.
        left: Box<Expr>,
        /// Right.
        right: Box<Expr>,
        /// Bytes to compare; `None` for whole texts.
        len: Option<u32>,
        /// Whether it is true if they differ.
        negated: bool,
    },
    /// `&&`
    And(Box<Expr>, Box<Expr>),
    /// `||`
    Or(Box<Expr>, Box<Expr>),
    /// A scalar as one of another type; a text with another size.
    Convert(Box<Expr>),
    /// `?:`
    Choose(Box<Expr>, Box<Expr>, Box<Expr>),
    /// Statements and a value.
    Block(Vec<Stmt>, Box<Expr>),
    /// A tuple, a record.
    Tuple(Vec<Expr>),
    /// `++`, `--`
    Step {
        /// What is changed.
        target: Target,
        /// By how much.
        by: i64,
        /// Whether the value is that before the change.
        postfix: bool,
    },
    /// A builtin value or function.
    Builtin(Call),
    /// A function of the script.
    Function(u32, Vec<Expr>),
    /// A function of the script in place of its call: its statements, and the variable with its result.
    Inline(Vec<Stmt>, Option<Var>),
}

/// A word that the kernel hands to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Argument with a number of a function, in a register or on the stack.
    Register(String),
    /// Argument behind those in registers: so many words above the stack pointer.
    StackWord(u32),
    /// Word with a number in an array of words.
    Number(u32),
    /// Word at an offset in the context.
    Context(u32),
    /// Argument with a number of a function whose types the kernel knows, as a number: what is loaded from the context
    /// itself is a pointer for the kernel's verifier, with which one may not calculate.
    Typed(u32),
    /// Result of such a function, as a number.
    Result,
    /// 8 bytes of the context from this offset on, as a number though the kernel's verifier would load a pointer.
    Copied(u32),
}

/// What can be changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A variable.
    Var(Var),
    /// An entry of a map.
    Entry(Map, Vec<Expr>),
}

/// A call of a builtin with everything that it needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// A value that a helper or two give: `comm`, `pid`, ...
    Value(crate::builtins::Builtin),
    /// Clock with this helper.
    Clock(u32),
    /// International atomic time, by what the host says that the clocks differ.
    SoftTai,
    /// A stack trace; the type says which.
    Stack,
    /// A stack trace that the host unwinds: first address of the program's code, address behind it, and the address below
    /// which files are mapped.
    Unwind(Box<[Expr; 3]>),
    /// `str(pointer, length)`
    Str(Box<Expr>, Option<Box<Expr>>, Space),
    /// `buf(pointer, length)`
    Buf(Box<Expr>, Option<Box<Expr>>, Space),
    /// An address of the network: family, address.
    Inet(Option<Box<Expr>>, Box<Expr>),
    /// The first bytes of a value: `macaddr`.
    Raw(Box<Expr>),
    /// `usym(address)`
    UserSymbol(Box<Expr>),
    /// A scalar that is printed differently.
    As(Box<Expr>),
    /// A register of the processor.
    Register(String),
    /// `bswap`
    Swap(Box<Expr>),
    /// `strlen`
    Length(Box<Expr>),
    /// `strcontains`
    Contains(Box<Expr>, Arc<str>),
    /// `len` of a stack trace
    Frames(Box<Expr>),
    /// `len` of a map
    Entries(Map),
    /// `has_key`
    Has(Map, Vec<Expr>),
    /// `delete`
    Delete(Map, Vec<Expr>),
    /// `signal`, `signal_thread`: the helper, the number.
    Signal(u32, Box<Expr>),
    /// `override`
    Override(Box<Expr>),
    /// `strstr`: where the second text begins in the first one, -1 if it does not occur.
    Search(Box<Expr>, Box<Expr>),
    /// `str_concat`
    Concat(Box<Expr>, Box<Expr>),
    /// `memcmp` of two values, up to so many bytes: the length, and what it can be at most.
    CompareBytes(Box<Expr>, Box<Expr>, Box<Expr>, u32),
    /// `find`: the variable gets the value of the entry.
    Find(Map, Vec<Expr>, Var),
    /// A pointer of the context whose type the kernel's verifier knows, and that may be null.
    Object(Box<Expr>),
    /// `path`: the typed pointer of a program's argument, and the bytes from there to the `struct path`.
    Path(Box<Expr>, u32),
    /// `socket_cookie` of a typed pointer.
    SocketCookie(Box<Expr>),
    /// `comm(tid)`: the thread, and where its name is in `struct task_struct`.
    NameOf(Box<Expr>, u32),
    /// `comm(tid)` by the kernel's table of threads: the thread, the `struct pid` of the current one, the table, and where
    /// the name is.
    NameInTable(Box<Expr>, Box<Expr>, ThreadTable, u32),
    /// `write_user`: where to, the value, the number of bytes, and the bytes that the value has.
    WriteUser(Box<Expr>, Box<Expr>, Box<Expr>, u32),
    /// `skboutput`
    Packet(Box<Packet>),
}

/// The kernel's table of threads by their ids: an IDR (include/linux/idr.h) in the first namespace, whose leaves are
/// `struct pid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadTable {
    /// Where `struct pid` has the first namespace, which holds all threads.
    pub namespace: u32,
    /// Where a namespace has the pointer to the uppermost node.
    pub root: u32,
    /// Where a node has the number of bits that nodes below it take of the id.
    pub shift: u32,
    /// Where a node has its 64 children.
    pub slots: u32,
    /// Where `struct pid` has the address of the link in its thread.
    pub threads: u32,
    /// Where the link is in `struct task_struct`.
    pub link: u32,
}

/// A packet that is written to a capture file.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// The file.
    pub file: Arc<str>,
    /// Address of its first byte that is written.
    pub data: Expr,
    /// Bytes that were asked for.
    pub wanted: Expr,
    /// Bytes that there are at the address.
    pub there: Expr,
    /// Bytes of the packet.
    pub whole: Expr,
    /// Most bytes that are written.
    pub room: u32,
}

impl Call {
    fn visit(&self, see: &mut dyn FnMut(&Expr)) {
        match self {
            Self::Value(_) | Self::Clock(_) | Self::SoftTai | Self::Stack | Self::Register(_) | Self::Entries(_) => {}
            Self::Str(first, second, _) | Self::Buf(first, second, _) => {
                first.visit(see);
                if let Some(second) = second {
                    second.visit(see);
                }
            }
            Self::Inet(family, address) => {
                if let Some(family) = family {
                    family.visit(see);
                }
                address.visit(see);
            }
            Self::Raw(inner)
            | Self::UserSymbol(inner)
            | Self::As(inner)
            | Self::Swap(inner)
            | Self::Length(inner)
            | Self::Contains(inner, _)
            | Self::Frames(inner)
            | Self::Signal(_, inner)
            | Self::Object(inner)
            | Self::Path(inner, _)
            | Self::SocketCookie(inner)
            | Self::NameOf(inner, _)
            | Self::Override(inner) => inner.visit(see),
            Self::Search(first, second) | Self::Concat(first, second) | Self::NameInTable(first, second, ..) => {
                [first, second].into_iter().for_each(|part| part.visit(see));
            }
            Self::CompareBytes(first, second, third, _) | Self::WriteUser(first, second, third, _) => {
                [first, second, third].into_iter().for_each(|part| part.visit(see));
            }
            Self::Unwind(code) => code.iter().for_each(|part| part.visit(see)),
            Self::Packet(packet) => {
                [&packet.data, &packet.wanted, &packet.there, &packet.whole]
                    .into_iter()
                    .for_each(|part| part.visit(see));
            }
            Self::Has(_, key) | Self::Delete(_, key) | Self::Find(_, key, _) => {
                key.iter().for_each(|part| part.visit(see))
            }
        }
    }
}

/// A statement with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Its place.
    pub span: Span,
}

impl Stmt {
    /// Calls a function with this statement and all statements and expressions in it.
    fn visit(&self, see: &mut dyn FnMut(Part<'_>)) {
        use StmtKind as S;
        see(Part::Stmt(self));
        match &self.kind {
            S::Expr(value)
            | S::SetVar(_, value)
            | S::Exit(value)
            | S::Return(Some(value))
            | S::Finish(Some((_, value))) => visit_expr(value, see),
            S::SetEntry(_, key, value) | S::Update(_, key, _, value) => {
                key.iter().chain([value]).for_each(|expr| visit_expr(expr, see));
            }
            S::Aggregate(_, key, value) => key.iter().chain(value).for_each(|expr| visit_expr(expr, see)),
            S::If(cond, yes, no) => {
                visit_expr(cond, see);
                yes.iter().chain(no).for_each(|stmt| stmt.visit(see));
            }
            S::ForRange(_, start, end, body) => {
                [start, end].into_iter().for_each(|expr| visit_expr(expr, see));
                visit_all(body, see);
            }
            S::While(cond, body) => {
                visit_expr(cond, see);
                visit_all(body, see);
            }
            S::ForMap(_, _, body) | S::Unroll(_, body) | S::Block(body) => visit_all(body, see),
            S::Send(_, args) | S::Debug(_, args) => args.iter().for_each(|expr| visit_expr(expr, see)),
            S::Clear(_) | S::Break | S::Continue | S::Return(None) | S::Finish(None) => {}
        }
    }
}

/// What is met on the way through statements.
#[derive(Debug, Clone, Copy)]
pub enum Part<'t> {
    /// A statement.
    Stmt(&'t Stmt),
    /// An expression.
    Expr(&'t Expr),
}

/// Calls a function with all statements and expressions in a body, at any depth.
pub fn visit_all(body: &[Stmt], see: &mut dyn FnMut(Part<'_>)) {
    body.iter().for_each(|stmt| stmt.visit(see));
}

/// Calls a function with an expression and all in it, statements included.
pub fn visit_expr(expr: &Expr, see: &mut dyn FnMut(Part<'_>)) {
    expr.visit(&mut |inner| {
        see(Part::Expr(inner));
        if let Kind::Block(body, _) | Kind::Inline(body, _) = &inner.kind {
            visit_all(body, see);
        }
    });
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum StmtKind {
    /// For its effect.
    Expr(Expr),
    /// A variable gets a value, of its own type.
    SetVar(Var, Expr),
    /// A variable becomes zero.
    Clear(Var),
    /// An entry of a map gets a value, of the map's type.
    SetEntry(Map, Vec<Expr>, Expr),
    /// An entry of a map gets a value of a calculation with its old one: no update in between is lost for `+`.
    Update(Map, Vec<Expr>, BinaryOp, Expr),
    /// A value goes into an aggregate; `count` has none.
    Aggregate(Map, Vec<Expr>, Option<Expr>),
    /// `if`
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `for ($kv : @map)`
    ForMap(Var, Map, Vec<Stmt>),
    /// `for ($i : a..b)`
    ForRange(Var, Expr, Expr, Vec<Stmt>),
    /// `while`
    While(Expr, Vec<Stmt>),
    /// `unroll`
    Unroll(u32, Vec<Stmt>),
    /// Statements in braces.
    Block(Vec<Stmt>),
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `return`
    Return(Option<Expr>),
    /// `return` in a function that stands in place of its call: its variable gets the result.
    Finish(Option<(Var, Expr)>),
    /// `debugf`
    Debug(Arc<str>, Vec<Expr>),
    /// Sends a record.
    Send(Request, Vec<Expr>),
    /// Sends the status and ends the program.
    Exit(Expr),
}

/// What a record asks for; its arguments become fields.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `printf` and its kin.
    Print(PrintTo, Arc<str>),
    /// `print` of a value.
    Value,
    /// `print` of a map.
    Map(Map, u32, u64),
    /// `print` of an entry: the first arguments are the key, the last one the value if `true`.
    Entry(Map, bool),
    /// `clear`
    Clear(Map),
    /// `zero`
    Zero(Map),
    /// `time`
    Time(Arc<str>),
    /// `join`: the argument is the address of the array.
    Join(Arc<str>, Space),
    /// `cat`
    Cat(Arc<str>),
    /// `system`
    System(Arc<str>),
}

/// What a program or a function is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unit {
    /// Types of its variables, parameters of a function first.
    pub vars: Vec<Type>,
    /// The condition under which it runs.
    pub predicate: Option<Expr>,
    /// What it does.
    pub body: Vec<Stmt>,
    /// The first variable whose type is not known.
    pub untyped: Option<Arc<str>>,
    /// Whether it depends on where it is attached.
    pub depends: bool,
}

/// A map with its types.
#[derive(Debug, Clone, PartialEq)]
pub struct MapType {
    /// Its name with the `@`.
    pub name: Arc<str>,
    /// Types of the parts of its key; empty for one value.
    pub key: Vec<Type>,
    /// What it holds.
    pub value: Held,
    /// The kind that was declared, and the number of entries.
    pub declared: Option<(Arc<str>, u64)>,
    /// Where it first occurs.
    pub span: Span,
}

/// What a map holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// Not known so far.
    Unknown,
    /// What was assigned.
    Plain(Type),
    /// What was counted.
    Aggregate(MapValue),
}

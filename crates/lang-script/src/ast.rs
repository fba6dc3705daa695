//! The syntax tree of a script, as the parser makes it: every name as it was written, nothing resolved.
//!
//! Every node has a span of the source text. Macros, imports and positional parameters are still in it; what replaces
//! them works on this tree.

use std::sync::Arc;

pub use skep_diag::Span;

/// Something with the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was written.
    pub node: T,
    /// Where.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A node at a place.
    pub const fn new(node: T, span: Span) -> Self {
        Self { node, span }
    }
}

/// A name as it was written.
pub type Name = Spanned<Arc<str>>;
/// An expression with its place.
pub type Expr = Spanned<ExprKind>;
/// A statement with its place.
pub type Stmt = Spanned<StmtKind>;
/// A type with its place.
pub type TypeExpr = Spanned<TypeKind>;

/// A whole script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// The C part: definitions of types and constants.
    pub definitions: Vec<Spanned<Definition>>,
    /// The settings of the `config` block.
    pub config: Vec<(Name, Spanned<Setting>)>,
    /// Imports.
    pub imports: Vec<Name>,
    /// Declared maps: `let @m = hash(10);`.
    pub maps: Vec<MapDecl>,
    /// Macros.
    pub macros: Vec<Macro>,
    /// Functions.
    pub functions: Vec<Function>,
    /// Probes in the order of the script.
    pub probes: Vec<Probe>,
}

/// A definition of the C part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// `#include <name>` or `"name"`.
    Include {
        /// What is included.
        name: Arc<str>,
        /// Whether in angle brackets.
        system: bool,
    },
    /// `#define NAME value`, a constant.
    Constant {
        /// Its name.
        name: Name,
        /// The text of the value; evaluated when it is used.
        value: Arc<str>,
    },
    /// `struct` or `union`.
    Composite {
        /// Its name.
        name: Name,
        /// Whether all members begin at the start.
        union: bool,
        /// Whether members follow without gaps.
        packed: bool,
        /// What its address is a multiple of at least: `__attribute__((aligned(n)))`.
        align: Option<u32>,
        /// Its members.
        members: Vec<Member>,
    },
    /// `enum`
    Enum {
        /// Its name, if it has one.
        name: Option<Name>,
        /// Names with values, those without counting on.
        values: Vec<(Name, Option<Expr>)>,
    },
    /// `typedef`
    Typedef {
        /// The new name.
        name: Name,
        /// What it stands for.
        ty: TypeExpr,
    },
    /// Another line of the preprocessor, without the `#`: `ifndef NAME`, `else`, `endif`, `undef NAME`, `pragma once`.
    Directive(Arc<str>),
}

/// A member of a composite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name; `None` for an anonymous composite.
    pub name: Option<Name>,
    /// Its type.
    pub ty: TypeExpr,
    /// Bits, for bit-fields.
    pub bits: Option<u32>,
    /// The members of an anonymous composite, and whether it is a union.
    pub inner: Option<(bool, Vec<Member>)>,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A number.
    Int(i128),
    /// A text or a word.
    Text(Arc<str>),
    /// `true` or `false`.
    Bool(bool),
}

/// `let @name = kind(entries);`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapDecl {
    /// Its name with the `@`.
    pub name: Name,
    /// `hash`, `lruhash`, `percpuhash`, `percpulruhash`, `percpuarray`.
    pub kind: Name,
    /// Most entries.
    pub entries: Spanned<u64>,
}

/// A macro: its parameters stand for what is written at the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macro {
    /// Its name.
    pub name: Name,
    /// Its parameters; `None` for one that is used without parentheses.
    pub params: Option<Vec<Param>>,
    /// Its body.
    pub body: Vec<Stmt>,
    /// Its value: the last expression without a semicolon.
    pub value: Option<Box<Expr>>,
}

/// A parameter of a macro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// `$v`: a variable, by reference.
    Variable(Name),
    /// `@m`: a map.
    Map(Name),
    /// `name`: an expression or a type.
    Expr(Name),
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// Its parameters with their types.
    pub params: Vec<(Name, TypeExpr)>,
    /// Type of its result.
    pub result: TypeExpr,
    /// Its body.
    pub body: Vec<Stmt>,
}

/// A probe: where it is attached, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its own name, if it was given one.
    pub name: Option<Name>,
    /// Where it is attached, each as it was written.
    pub points: Vec<Spanned<AttachPoint>>,
    /// The predicate.
    pub predicate: Option<Expr>,
    /// Its body.
    pub body: Vec<Stmt>,
    /// Its place.
    pub span: Span,
}

/// An attach point, divided at colons that are not in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachPoint {
    /// The provider, an alias replaced by its full name in small letters.
    pub provider: Arc<str>,
    /// What follows it, positional parameters filled in.
    pub parts: Vec<Arc<str>>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StmtKind {
    /// An expression whose value is not used.
    Expr(Expr),
    /// `let $v;`, `let $v : type = e;`
    Let {
        /// The variable with its `$`.
        name: Name,
        /// Its declared type.
        ty: Option<TypeExpr>,
        /// Its first value.
        value: Option<Expr>,
    },
    /// `target = e;`, or with an operator in front of the `=`.
    Assign {
        /// A variable, a map, an entry of a map.
        target: Expr,
        /// The operator of a compound assignment.
        op: Option<BinaryOp>,
        /// The value.
        value: Expr,
    },
    /// `_ = e;`
    Discard(Expr),
    /// `if`
    If {
        /// The condition.
        cond: Expr,
        /// Whether it is `if comptime`.
        comptime: bool,
        /// If it holds.
        yes: Vec<Stmt>,
        /// If not.
        no: Vec<Stmt>,
    },
    /// `for ($kv : @map)`
    ForMap {
        /// The variable.
        name: Name,
        /// The map.
        map: Name,
        /// The body.
        body: Vec<Stmt>,
    },
    /// `for ($i : a..b)`
    ForRange {
        /// The variable.
        name: Name,
        /// The first value.
        start: Expr,
        /// Behind the last value.
        end: Expr,
        /// The body.
        body: Vec<Stmt>,
    },
    /// `while`
    While {
        /// The condition.
        cond: Expr,
        /// The body.
        body: Vec<Stmt>,
    },
    /// `unroll(n)`
    Unroll {
        /// How often.
        count: Expr,
        /// The body.
        body: Vec<Stmt>,
    },
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `return`
    Return(Option<Expr>),
    /// Statements in braces.
    Block(Vec<Stmt>),
    /// `import "path";` in a block.
    Import(Name),
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExprKind {
    /// A number; `suffix` holds letters such as `ul`. Durations are in nanoseconds already.
    Int {
        /// Its value, 0 to 2^64 - 1.
        value: u64,
        /// Whether it was a duration or had a `u` in its suffix.
        unsigned: bool,
    },
    /// A text.
    Text(Arc<str>),
    /// `true`, `false`
    Bool(bool),
    /// `$1`, `$2`, ...
    Positional(u32),
    /// `$#`
    PositionalCount,
    /// `$name`
    Variable(Arc<str>),
    /// `@name`, or `@`
    Map(Arc<str>),
    /// `@name[k1, k2]`, `array[e]`
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// The keys.
        keys: Vec<Expr>,
    },
    /// A name: builtin value, constant, enumerator, macro without parentheses.
    Ident(Arc<str>),
    /// A call of a function or macro.
    Call {
        /// The name.
        name: Name,
        /// The arguments.
        args: Vec<Expr>,
    },
    /// `a.b`, `a->b`
    Field {
        /// The composite, or a pointer to one.
        base: Box<Expr>,
        /// The field.
        field: Name,
    },
    /// `a.0`
    TupleField {
        /// The tuple.
        base: Box<Expr>,
        /// The number.
        index: u32,
    },
    /// One operand.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// The operand.
        operand: Box<Expr>,
    },
    /// `++x`, `x--`
    Step {
        /// What is changed.
        target: Box<Expr>,
        /// Up by one, or down.
        up: bool,
        /// Whether the value is that before the change.
        postfix: bool,
    },
    /// Two operands.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left.
        left: Box<Expr>,
        /// Right.
        right: Box<Expr>,
    },
    /// `c ? a : b`; without `a` it is the condition itself.
    Ternary {
        /// The condition.
        cond: Box<Expr>,
        /// If it holds.
        yes: Option<Box<Expr>>,
        /// If not.
        no: Box<Expr>,
    },
    /// `if c { a } else { b }`
    If {
        /// The condition.
        cond: Box<Expr>,
        /// Whether it is `if comptime`.
        comptime: bool,
        /// If it holds.
        yes: Box<Expr>,
        /// If not.
        no: Box<Expr>,
    },
    /// `{ statements; e }`
    Block {
        /// The statements.
        body: Vec<Stmt>,
        /// The value.
        value: Option<Box<Expr>>,
    },
    /// `(type)e`
    Cast {
        /// The type.
        ty: TypeExpr,
        /// The operand.
        operand: Box<Expr>,
    },
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `(a = 1, b = 2)`
    Record(Vec<(Name, Expr)>),
    /// `comptime e`
    Comptime(Box<Expr>),
    /// `sizeof(type)` or `sizeof(e)`
    Sizeof(Box<TypeOrExpr>),
    /// `offsetof(type, a.b.c)`
    Offsetof {
        /// The composite.
        of: Box<TypeOrExpr>,
        /// The way to the field.
        path: Vec<Name>,
    },
    /// `typeinfo(type)` or `typeinfo(e)`
    Typeinfo(Box<TypeOrExpr>),
    /// A type as an argument of a macro: `typeof(e)`, `struct name`.
    Type(Box<TypeExpr>),
}

/// The argument of `sizeof` and its like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeOrExpr {
    /// A type.
    Type(TypeExpr),
    /// An expression, of which the type counts.
    Expr(Expr),
}

/// A type as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeKind {
    /// A name: `uint64`, `string`, a typedef of C or BTF.
    Named(Arc<str>),
    /// `struct name`
    Struct(Arc<str>),
    /// `union name`
    Union(Arc<str>),
    /// `enum name`
    Enum(Arc<str>),
    /// `type*`
    Pointer(Box<TypeExpr>),
    /// `type[n]`; without a number for `string[]` and members without a length.
    Array(Box<TypeExpr>, Option<Box<Expr>>),
    /// `(type, type)`
    Tuple(Vec<TypeExpr>),
    /// `typeof(e)`
    Typeof(Box<TypeOrExpr>),
}

/// Operators with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`
    Address,
}

/// Declares operators with their notation and their binding, the loosest first.
macro_rules! binary_ops {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $level:literal;)+) => {
        /// Operators with two operands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum BinaryOp { $($(#[$doc])* $variant,)+ }

        impl BinaryOp {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// How it is written.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// How tightly it binds: 1 is the loosest.
            pub const fn level(self) -> u8 {
                match self { $(Self::$variant => $level,)+ }
            }
        }
    };
}

// TABLE
binary_ops! {
    /// Logical or.
    Or = "||", 1;
    /// Logical and.
    And = "&&", 2;
    /// Bitwise or.
    BitOr = "|", 3;
    /// Bitwise exclusive or.
    BitXor = "^", 4;
    /// Bitwise and.
    BitAnd = "&", 5;
    /// Equal.
    Eq = "==", 6;
    /// Not equal.
    Ne = "!=", 6;
    /// Less.
    Lt = "<", 7;
    /// Less or equal.
    Le = "<=", 7;
    /// Greater.
    Gt = ">", 7;
    /// Greater or equal.
    Ge = ">=", 7;
    /// Shift to the left.
    Shl = "<<", 8;
    /// Shift to the right.
    Shr = ">>", 8;
    /// Addition.
    Add = "+", 9;
    /// Subtraction.
    Sub = "-", 9;
    /// Multiplication.
    Mul = "*", 10;
    /// Division.
    Div = "/", 10;
    /// Remainder.
    Mod = "%", 10;
}

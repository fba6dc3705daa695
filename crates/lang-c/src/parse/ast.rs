//! The typed tree that parsing gives and lowering reads. Every conversion is a node of its own; a use of an lvalue where a
//! value is wanted is a load.

use std::collections::HashMap;
use std::rc::Rc;

use crate::source::Loc;
use crate::types::{QTy, RecordId};

/// A variable, of any scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VarId(pub u32);

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FuncId(pub u32);

/// A label of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelId(pub u32);

/// An expression with its type.
#[derive(Debug, Clone)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: QTy,
    pub loc: Loc,
    /// How high the tree is: it is bounded, so that walks over it need little stack.
    pub height: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnOp {
    Neg,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl BinOp {
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
            Self::Shl => "<<",
            Self::Shr => ">>",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

/// Read-modify-write of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtomicKind {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Xchg,
}

/// What a CO-RE builtin asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CoreAsk {
    Field,
    Type,
    EnumValue,
    TypeId,
}

/// A builtin that is lowered to more than arithmetic.
#[derive(Debug, Clone, PartialEq)]
pub enum Builtin {
    /// `memcpy` and `memmove`: to, from, length.
    Copy {
        overlap: bool,
    },
    /// `memset`: to, byte, length.
    Fill,
    /// `memcmp`: one, other, length.
    Compare,
    /// Bytes in reverse, of so many bytes.
    Swap(u32),
    Clz(u32),
    Ctz(u32),
    Popcount(u32),
    Ffs(u32),
    Trap,
    Unreachable,
    /// Whether lowering can tell the value.
    ConstantP,
    /// `__builtin_preserve_access_index`.
    Preserve,
    /// The other CO-RE builtins, with the number of the question.
    Core(CoreAsk, u32),
    /// Atomic operation; the result is the value before (`true`) or behind it. Pointer, operand.
    Atomic {
        op: AtomicKind,
        before: bool,
    },
    /// Compare and exchange: pointer, expected, new. The result is the old value or whether it was written.
    CompareExchange {
        bool: bool,
    },
    /// The same with a pointer to what is expected.
    CompareExchangeAt,
    /// Atomic load, atomic store.
    Load,
    Store,
    /// A barrier.
    Fence,
    /// Add, subtract or multiply with overflow: one, other, pointer to the result.
    Overflow(BinOp),
    /// Legacy packet loads, by width: context, offset.
    PacketLoad(u32),
}

/// An operand of inline assembly.
#[derive(Debug, Clone)]
pub struct AsmOperand {
    pub name: Option<Rc<str>>,
    pub constraint: Rc<str>,
    pub expr: Expr,
}

/// Inline assembly as written.
#[derive(Debug, Clone)]
pub struct Asm {
    pub text: Rc<str>,
    pub outputs: Vec<AsmOperand>,
    pub inputs: Vec<AsmOperand>,
    pub clobbers: Vec<Rc<str>>,
    pub labels: Vec<LabelId>,
    pub volatile: bool,
    pub loc: Loc,
}

#[derive(Debug, Clone)]
pub enum ExprKind {
    /// A number, as its type has it.
    Int(i64),
    /// A number of 128 bits; one without sign has its bits.
    Wide(i128),
    /// A string literal with its terminating zero: an array.
    Str(Rc<[u8]>),
    Var(VarId),
    Func(FuncId),
    Unary(UnOp, Box<Expr>),
    /// Operands have one type, except for shifts; pointers are compared too.
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// Pointer, 64-bit index, size of the element in bytes, negative.
    PtrAdd(Box<Expr>, Box<Expr>, u64),
    PtrSub(Box<Expr>, Box<Expr>, u64),
    LogNot(Box<Expr>),
    LogAnd(Box<Expr>, Box<Expr>),
    LogOr(Box<Expr>, Box<Expr>),
    /// The first without the second is `?:`.
    Cond(Box<Expr>, Option<Box<Expr>>, Box<Expr>),
    Comma(Box<Expr>, Box<Expr>),
    Assign(Box<Expr>, Box<Expr>),
    /// `lhs OP= rhs`, computed in a type; for pointers the size of an element is in the right side already.
    AssignOp(BinOp, Box<Expr>, Box<Expr>, QTy),
    /// Lvalue, what is added (bytes for pointers), whether the result is the value before.
    IncDec(Box<Expr>, i64, bool),
    Cast(Box<Expr>),
    /// An array or a function as a pointer.
    Decay(Box<Expr>),
    Deref(Box<Expr>),
    AddrOf(Box<Expr>),
    /// A member by number, and whether the access is relocated.
    Member(Box<Expr>, RecordId, u32, bool),
    /// An element of an array that is an lvalue.
    Index(Box<Expr>, Box<Expr>),
    Call(Box<Expr>, Vec<Expr>),
    StmtExpr(Vec<Stmt>),
    /// A compound literal in a function: a variable and its initialiser.
    Compound(VarId, Rc<Init>),
    Builtin(Builtin, Vec<Expr>),
    /// A call of a map method of BCC's dialect or anything else that could not be understood: reported already.
    Error,
}

/// An initialiser, flattened: bytes that no entry covers are zero.
#[derive(Debug, Clone, Default)]
pub struct Init {
    pub entries: Vec<InitEntry>,
    /// True if one expression initialises the whole, so that nothing is cleared.
    pub whole: bool,
}

#[derive(Debug, Clone)]
pub struct InitEntry {
    /// Bytes from the start.
    pub offset: u64,
    pub ty: QTy,
    /// Bit offset from the start of the object, and width.
    pub bits: Option<(u64, u32)>,
    pub expr: Expr,
}

#[derive(Debug, Clone)]
pub struct Stmt {
    pub kind: StmtKind,
    pub loc: Loc,
}

#[derive(Debug, Clone)]
pub enum StmtKind {
    Expr(Expr),
    /// A local variable begins, with or without an initialiser.
    Decl(VarId, Option<Rc<Init>>),
    Block(Vec<Stmt>),
    If(Expr, Box<Stmt>, Option<Box<Stmt>>),
    /// Condition, body, step; `do` checks the condition at the end.
    Loop {
        init: Vec<Stmt>,
        cond: Option<Expr>,
        step: Option<Expr>,
        body: Box<Stmt>,
        post: bool,
    },
    Switch(Expr, Box<Stmt>),
    /// Values from and to, as the type of the switch has them.
    Case(i64, i64),
    Default,
    Break,
    Continue,
    Goto(LabelId),
    Label(LabelId),
    Return(Option<Expr>),
    Asm(Box<Asm>),
    /// A call at the end of a block for a variable with `cleanup`.
    Cleanup(Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// In a function.
    Local,
    /// Of a function or a file, with internal linkage.
    Static,
    /// Visible to others.
    Global,
    /// Not defined here.
    Extern,
}

/// A variable.
#[derive(Debug, Clone)]
pub struct Var {
    pub name: Rc<str>,
    pub ty: QTy,
    pub storage: Storage,
    pub section: Option<Rc<str>>,
    pub weak: bool,
    /// `aligned`, 0 for none.
    pub align: u64,
    /// Whether its address is used, so that it needs memory.
    pub addressed: bool,
    /// Whether anything but its definition assigns to it.
    pub assigned: bool,
    pub init: Option<Rc<Init>>,
    /// `btf_decl_tag`.
    pub tags: Vec<Rc<str>>,
    /// A register that is asked for: `register void *ctx asm("r1")`.
    pub register: Option<Rc<str>>,
    pub loc: Loc,
    pub used: bool,
}

/// A function.
#[derive(Debug, Clone)]
pub struct Func {
    pub name: Rc<str>,
    pub ty: QTy,
    pub storage: Storage,
    pub inline: bool,
    pub always_inline: bool,
    pub noinline: bool,
    pub weak: bool,
    /// `visibility("hidden")`: only this object sees it.
    pub hidden: bool,
    pub naked: bool,
    pub noreturn: bool,
    pub section: Option<Rc<str>>,
    /// The name in the object where it is another: `asm("llvm.bpf.load.byte")`.
    pub asm_name: Option<Rc<str>>,
    /// `btf_decl_tag`, of the function or of a parameter by number.
    pub tags: Vec<(Option<u32>, Rc<str>)>,
    pub params: Vec<VarId>,
    pub body: Option<Rc<Vec<Stmt>>>,
    pub labels: Vec<Rc<str>>,
    pub loc: Loc,
}

/// Everything that a translation unit declares.
#[derive(Debug, Default)]
pub struct Program {
    pub vars: Vec<Var>,
    pub funcs: Vec<Func>,
    /// Functions and variables of the file by name.
    pub functions: HashMap<Rc<str>, FuncId>,
    pub globals: HashMap<Rc<str>, VarId>,
}

impl Program {
    pub fn var(&self, id: VarId) -> &Var {
        &self.vars[id.0 as usize]
    }

    pub fn func(&self, id: FuncId) -> &Func {
        &self.funcs[id.0 as usize]
    }
}

impl Expr {
    pub fn new(kind: ExprKind, ty: QTy, loc: Loc) -> Self {
        let height = kind.height().saturating_add(1);
        Self { kind, ty, loc, height }
    }

    /// Whether it names a place.
    pub const fn is_lvalue(&self) -> bool {
        match &self.kind {
            ExprKind::Var(_) | ExprKind::Deref(_) | ExprKind::Index(..) | ExprKind::Str(_) | ExprKind::Compound(..) => {
                true
            }
            ExprKind::Member(base, ..) => base.is_lvalue(),
            ExprKind::Builtin(Builtin::Preserve, args) => matches!(args.as_slice(), [arg] if arg.is_lvalue()),
            _ => false,
        }
    }

    /// The number, if it is written as one of at most 64 bits.
    pub const fn literal(&self) -> Option<i64> {
        match self.kind {
            ExprKind::Int(value) => Some(value),
            _ => None,
        }
    }
}

impl Expr {
    /// The number, if it is written as one, as those of 128 bits have it. One of at most 64 bits stands for itself in a
    /// count only.
    pub const fn wide_literal(&self) -> Option<i128> {
        match self.kind {
            ExprKind::Wide(value) => Some(value),
            ExprKind::Int(value) => Some(value as i128),
            _ => None,
        }
    }
}

impl ExprKind {
    /// Height of the highest operand.
    fn height(&self) -> u16 {
        match self {
            Self::Int(_) | Self::Wide(_) | Self::Str(_) | Self::Var(_) | Self::Func(_) | Self::Error => 0,
            // Statements have their own bound of depth.
            Self::StmtExpr(_) | Self::Compound(..) => 0,
            Self::Unary(_, one)
            | Self::LogNot(one)
            | Self::IncDec(one, ..)
            | Self::Cast(one)
            | Self::Decay(one)
            | Self::Deref(one)
            | Self::AddrOf(one)
            | Self::Member(one, ..) => one.height,
            Self::Binary(_, one, other)
            | Self::PtrAdd(one, other, _)
            | Self::PtrSub(one, other, _)
            | Self::LogAnd(one, other)
            | Self::LogOr(one, other)
            | Self::Comma(one, other)
            | Self::Assign(one, other)
            | Self::AssignOp(_, one, other, _)
            | Self::Index(one, other) => one.height.max(other.height),
            Self::Cond(one, two, three) => one.height.max(three.height).max(two.as_ref().map_or(0, |two| two.height)),
            Self::Call(callee, args) => args.iter().map(|arg| arg.height).fold(callee.height, u16::max),
            Self::Builtin(_, args) => args.iter().map(|arg| arg.height).fold(0, u16::max),
        }
    }
}

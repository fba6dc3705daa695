//! Builtins: names that need no declaration.

use super::ast::{AtomicKind, BinOp, Builtin, CoreAsk, Expr, ExprKind, VarId};
use super::{Parsed, Parser};
use crate::lex::{Keyword, Punct};
use crate::source::{Diag, Loc};
use crate::types::{IntTy, QTy, Quals, Types};

/// What a builtin takes and gives.
#[derive(Clone, Copy)]
enum Form {
    /// Fixed operands of integer types, and a result.
    Ints(&'static [IntTy], IntTy),
    /// Two pointers and a length.
    Bytes,
    Fill,
    MemCompare,
    ConstantP,
    Nothing,
    Preserve,
    Core(CoreAsk),
    /// Atomics: pointer, value, and how many operands more are orders of memory.
    Atomic(usize),
    CompareExchange,
    CompareExchangeAt,
    AtomicLoad,
    AtomicStore,
    Fence,
    Overflow,
    PacketLoad,
}

/// What becomes of a call.
enum Way {
    /// An operation.
    Operation(Form, Builtin),
    /// The length of a literal.
    Length,
    /// How two literals compare.
    Order,
    /// The map that a literal names, for the dialect of BCC.
    Map,
    /// The first parameter of the function, for the same.
    Context,
    /// The first operand as it is.
    First,
    /// The first operand as a `long`.
    FirstAsLong,
}

struct Row {
    name: &'static str,
    way: Way,
}

const fn row(name: &'static str, form: Form, builtin: Builtin) -> Row {
    Row { name, way: Way::Operation(form, builtin) }
}

const fn value(name: &'static str, way: Way) -> Row {
    Row { name, way }
}

const fn fetch(name: &'static str, op: AtomicKind, before: bool, orders: usize) -> Row {
    row(name, Form::Atomic(orders), Builtin::Atomic { op, before })
}

const ULL: IntTy = IntTy::ULongLong;

// TABLE
const BUILTINS: &[Row] = &[
    row("__builtin_memcpy", Form::Bytes, Builtin::Copy { overlap: false }),
    row("__builtin_memmove", Form::Bytes, Builtin::Copy { overlap: true }),
    row("__builtin_memcpy_inline", Form::Bytes, Builtin::Copy { overlap: false }),
    row("memcpy", Form::Bytes, Builtin::Copy { overlap: false }),
    row("memmove", Form::Bytes, Builtin::Copy { overlap: true }),
    row("__builtin_memset", Form::Fill, Builtin::Fill),
    row("memset", Form::Fill, Builtin::Fill),
    row("__builtin_memcmp", Form::MemCompare, Builtin::Compare),
    row("__builtin_bcmp", Form::MemCompare, Builtin::Compare),
    row("memcmp", Form::MemCompare, Builtin::Compare),
    value("__builtin_strlen", Way::Length),
    value("__builtin_strcmp", Way::Order),
    value("__builtin_bcc_map", Way::Map),
    value("__builtin_bcc_context", Way::Context),
    row("__builtin_bswap16", Form::Ints(&[IntTy::UShort], IntTy::UShort), Builtin::Swap(2)),
    row("__builtin_bswap32", Form::Ints(&[IntTy::UInt], IntTy::UInt), Builtin::Swap(4)),
    row("__builtin_bswap64", Form::Ints(&[ULL], ULL), Builtin::Swap(8)),
    row("__builtin_clz", Form::Ints(&[IntTy::UInt], IntTy::Int), Builtin::Clz(4)),
    row("__builtin_clzl", Form::Ints(&[IntTy::ULong], IntTy::Int), Builtin::Clz(8)),
    row("__builtin_clzll", Form::Ints(&[ULL], IntTy::Int), Builtin::Clz(8)),
    row("__builtin_ctz", Form::Ints(&[IntTy::UInt], IntTy::Int), Builtin::Ctz(4)),
    row("__builtin_ctzl", Form::Ints(&[IntTy::ULong], IntTy::Int), Builtin::Ctz(8)),
    row("__builtin_ctzll", Form::Ints(&[ULL], IntTy::Int), Builtin::Ctz(8)),
    row("__builtin_popcount", Form::Ints(&[IntTy::UInt], IntTy::Int), Builtin::Popcount(4)),
    row("__builtin_popcountl", Form::Ints(&[IntTy::ULong], IntTy::Int), Builtin::Popcount(8)),
    row("__builtin_popcountll", Form::Ints(&[ULL], IntTy::Int), Builtin::Popcount(8)),
    row("__builtin_ffs", Form::Ints(&[IntTy::Int], IntTy::Int), Builtin::Ffs(4)),
    row("__builtin_ffsl", Form::Ints(&[IntTy::Long], IntTy::Int), Builtin::Ffs(8)),
    row("__builtin_ffsll", Form::Ints(&[IntTy::LongLong], IntTy::Int), Builtin::Ffs(8)),
    value("__builtin_expect", Way::FirstAsLong),
    value("__builtin_expect_with_probability", Way::FirstAsLong),
    value("__builtin_assume_aligned", Way::First),
    value("__builtin_launder", Way::First),
    row("__builtin_constant_p", Form::ConstantP, Builtin::ConstantP),
    row("__builtin_assume", Form::Nothing, Builtin::Fence),
    row("__builtin_prefetch", Form::Nothing, Builtin::Fence),
    row("__builtin_trap", Form::Nothing, Builtin::Trap),
    row("__builtin_unreachable", Form::Nothing, Builtin::Unreachable),
    row("__builtin_preserve_access_index", Form::Preserve, Builtin::Preserve),
    row("__builtin_preserve_field_info", Form::Core(CoreAsk::Field), Builtin::Core(CoreAsk::Field, 0)),
    row("__builtin_preserve_type_info", Form::Core(CoreAsk::Type), Builtin::Core(CoreAsk::Type, 0)),
    row("__builtin_preserve_enum_value", Form::Core(CoreAsk::EnumValue), Builtin::Core(CoreAsk::EnumValue, 0)),
    row("__builtin_btf_type_id", Form::Core(CoreAsk::TypeId), Builtin::Core(CoreAsk::TypeId, 0)),
    fetch("__sync_fetch_and_add", AtomicKind::Add, true, 0),
    fetch("__sync_fetch_and_sub", AtomicKind::Sub, true, 0),
    fetch("__sync_fetch_and_and", AtomicKind::And, true, 0),
    fetch("__sync_fetch_and_or", AtomicKind::Or, true, 0),
    fetch("__sync_fetch_and_xor", AtomicKind::Xor, true, 0),
    fetch("__sync_add_and_fetch", AtomicKind::Add, false, 0),
    fetch("__sync_sub_and_fetch", AtomicKind::Sub, false, 0),
    fetch("__sync_and_and_fetch", AtomicKind::And, false, 0),
    fetch("__sync_or_and_fetch", AtomicKind::Or, false, 0),
    fetch("__sync_xor_and_fetch", AtomicKind::Xor, false, 0),
    fetch("__sync_lock_test_and_set", AtomicKind::Xchg, true, 0),
    fetch("__atomic_fetch_add", AtomicKind::Add, true, 1),
    fetch("__atomic_fetch_sub", AtomicKind::Sub, true, 1),
    fetch("__atomic_fetch_and", AtomicKind::And, true, 1),
    fetch("__atomic_fetch_or", AtomicKind::Or, true, 1),
    fetch("__atomic_fetch_xor", AtomicKind::Xor, true, 1),
    fetch("__c11_atomic_fetch_add", AtomicKind::Add, true, 1),
    fetch("__c11_atomic_fetch_sub", AtomicKind::Sub, true, 1),
    fetch("__c11_atomic_fetch_and", AtomicKind::And, true, 1),
    fetch("__c11_atomic_fetch_or", AtomicKind::Or, true, 1),
    fetch("__c11_atomic_fetch_xor", AtomicKind::Xor, true, 1),
    fetch("__c11_atomic_exchange", AtomicKind::Xchg, true, 1),
    fetch("__atomic_add_fetch", AtomicKind::Add, false, 1),
    fetch("__atomic_sub_fetch", AtomicKind::Sub, false, 1),
    fetch("__atomic_and_fetch", AtomicKind::And, false, 1),
    fetch("__atomic_or_fetch", AtomicKind::Or, false, 1),
    fetch("__atomic_xor_fetch", AtomicKind::Xor, false, 1),
    fetch("__atomic_exchange_n", AtomicKind::Xchg, true, 1),
    row("__sync_val_compare_and_swap", Form::CompareExchange, Builtin::CompareExchange { bool: false }),
    row("__sync_bool_compare_and_swap", Form::CompareExchange, Builtin::CompareExchange { bool: true }),
    row("__atomic_compare_exchange_n", Form::CompareExchangeAt, Builtin::CompareExchangeAt),
    row("__c11_atomic_load", Form::AtomicLoad, Builtin::Load),
    row("__c11_atomic_store", Form::AtomicStore, Builtin::Store),
    row("__atomic_load_n", Form::AtomicLoad, Builtin::Load),
    row("__atomic_store_n", Form::AtomicStore, Builtin::Store),
    row("__sync_synchronize", Form::Fence, Builtin::Fence),
    row("__atomic_thread_fence", Form::Fence, Builtin::Fence),
    row("__atomic_signal_fence", Form::Fence, Builtin::Fence),
    row("__builtin_add_overflow", Form::Overflow, Builtin::Overflow(BinOp::Add)),
    row("__builtin_sub_overflow", Form::Overflow, Builtin::Overflow(BinOp::Sub)),
    row("__builtin_mul_overflow", Form::Overflow, Builtin::Overflow(BinOp::Mul)),
    row("__builtin_bpf_load_byte", Form::PacketLoad, Builtin::PacketLoad(1)),
    row("__builtin_bpf_load_half", Form::PacketLoad, Builtin::PacketLoad(2)),
    row("__builtin_bpf_load_word", Form::PacketLoad, Builtin::PacketLoad(4)),
];

/// Whether there is a builtin with this name, for `__has_builtin`.
pub fn is_builtin(name: &str) -> bool {
    const WORDS: [Keyword; 3] = [Keyword::Offsetof, Keyword::TypesCompatible, Keyword::ChooseExpr];
    WORDS.iter().any(|word| word.spelling() == name) || is_function(name)
}

/// Whether a builtin takes expressions only.
pub(super) fn is_function(name: &str) -> bool {
    BUILTINS.iter().any(|row| row.name == name)
}

impl Parser<'_> {
    /// A call of a builtin, at the parenthesis.
    pub(super) fn builtin(&mut self, name: &str, loc: Loc) -> Parsed<Expr> {
        let Some(row) = BUILTINS.iter().find(|row| row.name == name) else {
            return self.error(loc, format!("unknown builtin `{name}`"));
        };
        self.expect(Punct::LParen, "behind the name of a builtin")?;
        let preserves = matches!(row.way, Way::Operation(Form::Preserve | Form::Core(CoreAsk::Field), _));
        self.preserving += u32::from(preserves);
        let args = self.deeper(Self::arguments);
        self.preserving -= u32::from(preserves);
        let args = args?;
        let made = match &row.way {
            Way::Operation(form, builtin) => self.operation(name, *form, builtin, args, loc)?,
            Way::Length => self.length(name, args, loc)?,
            Way::Order => self.order(name, args, loc)?,
            Way::Map => return self.named_map(args, loc),
            Way::Context => return self.context(loc),
            Way::First | Way::FirstAsLong => {
                let Some(first) = args.into_iter().next() else {
                    return self.error(loc, format!("`{name}` takes an argument"));
                };
                let first = self.rvalue(first)?;
                match row.way {
                    Way::FirstAsLong => {
                        self.assignable(first, Types::int(IntTy::Long), "the value that is expected")?
                    }
                    _ => first,
                }
            }
        };
        self.low(made)
    }

    fn length(&mut self, name: &str, args: Vec<Expr>, loc: Loc) -> Parsed<Expr> {
        let [text] = self.counted::<1>(name, args, loc)?;
        let len = match &text.kind {
            ExprKind::Str(bytes) => bytes.iter().position(|&byte| byte == 0),
            _ => None,
        };
        match len {
            Some(len) => Ok(Expr::new(ExprKind::Int(len as i64), Types::int(IntTy::ULong), loc)),
            None => self.error(loc, "`__builtin_strlen` takes a string literal in BPF"),
        }
    }

    fn order(&mut self, name: &str, args: Vec<Expr>, loc: Loc) -> Parsed<Expr> {
        let texts = self.counted::<2>(name, args, loc)?;
        let [Some(one), Some(other)] = texts.map(|text| match text.kind {
            ExprKind::Str(bytes) => Some(bytes),
            _ => None,
        }) else {
            return self.error(loc, format!("`{name}` compares two string literals; `bpf_strncmp` compares others"));
        };
        let order = one.split(|&byte| byte == 0).next().cmp(&other.split(|&byte| byte == 0).next());
        Ok(Expr::new(ExprKind::Int(order as i64), Types::int(IntTy::Int), loc))
    }

    fn named_map(&mut self, args: Vec<Expr>, loc: Loc) -> Parsed<Expr> {
        let name = match args.first().map(|arg| &arg.kind) {
            Some(ExprKind::Str(bytes)) => String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned(),
            _ => return self.error(loc, "the name of a map inside others is a string literal"),
        };
        let is_map = |var: &&super::ast::Var| *var.name == *name && var.section.as_deref() == Some(".maps");
        match self.program.vars.iter().position(|var| is_map(&var)) {
            Some(at) => Ok(Expr::new(ExprKind::Var(VarId(at as u32)), self.program.vars[at].ty, loc)),
            None => {
                let text = format!("there is no map `{name}` that says how the inner maps look");
                self.diags.push(Diag::error(loc, text).with_help("it is declared in front of the outer map"));
                Ok(Expr::new(ExprKind::Int(0), Types::int(IntTy::Int), loc))
            }
        }
    }

    fn context(&mut self, loc: Loc) -> Parsed<Expr> {
        let first = self.here.as_ref().and_then(|here| self.program.func(here.func).params.first().copied());
        match first {
            Some(first) => Ok(Expr::new(ExprKind::Var(first), self.program.var(first).ty, loc)),
            None => self.error(loc, "the function has no parameter that could be a packet"),
        }
    }

    fn counted<const N: usize>(&mut self, name: &str, args: Vec<Expr>, loc: Loc) -> Parsed<[Expr; N]> {
        match <[Expr; N]>::try_from(args) {
            Ok(args) => Ok(args),
            Err(args) => self.error(loc, format!("`{name}` takes {N} arguments, not {}", args.len())),
        }
    }

    fn operation(&mut self, name: &str, form: Form, builtin: &Builtin, args: Vec<Expr>, loc: Loc) -> Parsed<Expr> {
        let made = |args, ty| Self::made(builtin.clone(), args, ty, loc);
        let int = Types::int(IntTy::Int);
        let long = Types::int(IntTy::ULong);
        match form {
            Form::Ints(types, result) => {
                let mut converted = Vec::new();
                if args.len() != types.len() {
                    return self.error(loc, format!("`{name}` takes {} argument, not {}", types.len(), args.len()));
                }
                for (arg, &ty) in args.into_iter().zip(types) {
                    converted.push(self.assignable(arg, Types::int(ty), &format!("the argument of `{name}`"))?);
                }
                Ok(self.known(made(converted, Types::int(result))))
            }
            Form::Bytes | Form::Fill | Form::MemCompare => {
                let void = self.void_ptr();
                let second = if matches!(form, Form::Fill) { int } else { self.const_void_ptr() };
                let first = if matches!(form, Form::MemCompare) { second } else { void };
                let [one, two, len] = self.counted::<3>(name, args, loc)?;
                let one = self.assignable(one, first, &format!("argument 1 of `{name}`"))?;
                let two = self.assignable(two, second, &format!("argument 2 of `{name}`"))?;
                let len = self.assignable(len, long, &format!("argument 3 of `{name}`"))?;
                let result = if matches!(form, Form::MemCompare) { int } else { void };
                Ok(made(vec![one, two, len], result))
            }
            Form::ConstantP => {
                let [arg] = self.counted::<1>(name, args, loc)?;
                let arg = self.rvalue(arg)?;
                if self.constant(&arg).is_some() {
                    return Ok(Expr::new(ExprKind::Int(1), int, loc));
                }
                Ok(made(vec![arg], int))
            }
            Form::Nothing | Form::Fence => Ok(made(Vec::new(), Types::void())),
            Form::Preserve => {
                let [arg] = self.counted::<1>(name, args, loc)?;
                let arg = if self.types.element(arg.ty).is_some() { self.rvalue(arg)? } else { arg };
                let ty = arg.ty;
                Ok(made(vec![arg], ty))
            }
            Form::Core(ask) => self.core(name, ask, args, loc),
            Form::Atomic(_)
            | Form::CompareExchange
            | Form::CompareExchangeAt
            | Form::AtomicLoad
            | Form::AtomicStore => self.atomic(name, form, builtin, args, loc),
            Form::Overflow => self.overflow(name, builtin, args, loc),
            Form::PacketLoad => {
                let [ctx, offset] = self.counted::<2>(name, args, loc)?;
                let void = self.void_ptr();
                let ctx = self.assignable(ctx, void, "the context")?;
                let offset = self.assignable(offset, Types::int(IntTy::UInt), "the offset")?;
                Ok(made(vec![ctx, offset], Types::int(IntTy::ULongLong)))
            }
        }
    }

    /// Operations on memory that others change too: the first argument is a pointer to it.
    fn atomic(&mut self, name: &str, form: Form, builtin: &Builtin, args: Vec<Expr>, loc: Loc) -> Parsed<Expr> {
        let (values, orders) = match form {
            Form::Atomic(orders) => (1, orders),
            Form::CompareExchange => (2, 0),
            Form::CompareExchangeAt => (2, 3),
            Form::AtomicStore => (1, 1),
            _ => (0, 1),
        };
        let (given, most) = (args.len(), 1 + values + orders);
        let mut args = args.into_iter().take(1 + values);
        let Some(ptr) = args.next().filter(|_| given > values && given <= most) else {
            return self.error(loc, format!("`{name}` takes {most} arguments, not {given}"));
        };
        let narrow = matches!(form, Form::AtomicLoad | Form::AtomicStore);
        let (ptr, to) = self.atomic_target(name, narrow, ptr, loc)?;
        let mut operands = vec![ptr];
        for (arg, number) in args.zip(2..) {
            // What is expected comes through a pointer.
            let pointer = number == 2 && matches!(form, Form::CompareExchangeAt);
            operands.push(match pointer {
                true => self.rvalue(arg)?,
                false => self.assignable(arg, to, &format!("argument {number} of `{name}`"))?,
            });
        }
        let ty = match builtin {
            Builtin::CompareExchange { bool: true } | Builtin::CompareExchangeAt => Types::int(IntTy::Bool),
            Builtin::Store => Types::void(),
            _ => to,
        };
        Ok(Self::made(builtin.clone(), operands, ty, loc))
    }

    /// A builtin as a number if its operand is one.
    fn known(&self, expr: Expr) -> Expr {
        match self.constant(&expr).and_then(|value| value.int()) {
            Some(value) => Expr::new(ExprKind::Int(value), expr.ty, expr.loc),
            None => expr,
        }
    }

    fn const_void_ptr(&mut self) -> QTy {
        self.types.ptr(QTy { quals: Quals::CONST, ..Types::void() })
    }

    /// A pointer to what an atomic operation changes, and the type of that; `narrow` if it may have any size.
    fn atomic_target(&mut self, name: &str, narrow: bool, ptr: Expr, loc: Loc) -> Parsed<(Expr, QTy)> {
        let ptr = self.rvalue(ptr)?;
        let Some(to) = self.types.pointee(ptr.ty).filter(|&to| self.types.is_register(to)) else {
            let shown = self.types.show(ptr.ty);
            return self.error(loc, format!("`{name}` takes a pointer to an integer or a pointer, not `{shown}`"));
        };
        if !narrow && self.types.size(to).is_none_or(|size| size < 4) {
            let shown = self.types.show(to);
            return self.push_error(
                Diag::error(loc, format!("`{name}` on `{shown}`: BPF has atomic operations on 4 and 8 bytes only"))
                    .with_help("make the variable an `int` or a `long`"),
            );
        }
        Ok((ptr, QTy { quals: Quals::NONE, ..to }))
    }

    fn core(&mut self, name: &str, ask: CoreAsk, args: Vec<Expr>, loc: Loc) -> Parsed<Expr> {
        let [what, kind] = self.counted::<2>(name, args, loc)?;
        let Some(kind) = self.constant(&kind).and_then(|kind| u32::try_from(kind.int()?).ok()) else {
            return self.error(loc, format!("the second argument of `{name}` is a constant number"));
        };
        let most = match ask {
            CoreAsk::Field => 5,
            CoreAsk::Type => 2,
            CoreAsk::EnumValue | CoreAsk::TypeId => 1,
        };
        if kind > most {
            return self.error(loc, format!("`{name}` has no question {kind}: 0 to {most} are defined"));
        }
        let ty = match ask {
            CoreAsk::Field | CoreAsk::Type => Types::int(IntTy::UInt),
            CoreAsk::EnumValue | CoreAsk::TypeId => Types::int(IntTy::ULong),
        };
        Ok(Self::made(Builtin::Core(ask, kind), vec![what], ty, loc))
    }

    fn overflow(&mut self, name: &str, builtin: &Builtin, args: Vec<Expr>, loc: Loc) -> Parsed<Expr> {
        let [one, other, ptr] = self.counted::<3>(name, args, loc)?;
        let ptr = self.rvalue(ptr)?;
        let to = self.types.pointee(ptr.ty).and_then(|to| Some((to, self.types.as_int(to)?)));
        let Some((to, int)) = to.filter(|(_, int)| int.size() <= 8) else {
            return self.error(loc, format!("the third argument of `{name}` points to an integer"));
        };
        let (one, other) = (self.rvalue(one)?, self.rvalue(other)?);
        let known = |ty: QTy| {
            self.types
                .as_int(ty)
                .is_some_and(|from| from.size() < 8 || int.size() == 8 && from.signed() == int.signed())
        };
        if !known(one.ty) || !known(other.ty) {
            return self.error(loc, format!("`{name}` with operands wider than the result is not supported"));
        }
        // Narrow results are computed in 64 bits, where nothing is lost.
        let wide = if int.size() == 8 { QTy { quals: Quals::NONE, ..to } } else { Types::int(IntTy::Long) };
        let (one, other) = (self.convert(one, wide), self.convert(other, wide));
        Ok(Self::made(builtin.clone(), vec![one, other, ptr], Types::int(IntTy::Bool), loc))
    }
}

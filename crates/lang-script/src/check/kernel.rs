//! Functions that reach into the kernel and into processes: paths, sockets, threads, packets, variables of processors.

use skep_diag::Span;

use super::Checker;
use super::calls::builtin;
use super::tree::{Base, Call, Expr, Kind, Packet, Place, Stmt, StmtKind, ThreadTable, Word};
use super::values::named;
use crate::ast::{self, BinaryOp, ExprKind};
use crate::builtins::Builtin;
use crate::compile::kernel_program;
use crate::infer::Growing;
use crate::providers::Kind as ProviderKind;
use crate::types::{Space, Tag, Type};

/// Most bytes that `skboutput` writes of a packet when the script does not say fewer.
const MOST_PACKET: u32 = 16_384;
/// Error numbers of the kernel are the highest addresses: `MAX_ERRNO`.
const MOST_ERRORS: i64 = 4095;

impl Checker<'_> {
    /// Whether the program is attached with types of the kernel, which some helpers want; reports it if not.
    fn has_types(&mut self, name: &str, kinds: &[ProviderKind], span: Span) -> bool {
        if self.state.site.provider.is_some_and(|provider| kinds.contains(&provider.kind)) {
            return true;
        }
        let names: Vec<&str> = crate::providers::PROVIDERS
            .iter()
            .filter(|provider| kinds.contains(&provider.kind))
            .map(|provider| provider.name)
            .collect();
        let message = format!("there is no `{name}` in {}", self.site_name());
        self.error_with_help(span, message, format!("it exists in {} probes", names.join(", ")));
        false
    }

    /// Whether a pointer is one that the kernel's verifier knows the type of: an argument, a field of the context.
    fn is_typed(value: &Expr) -> bool {
        matches!(&value.kind, Kind::Argument(Word::Number(_)) | Kind::Builtin(Call::Object(_)))
    }

    /// `path(struct path)`
    pub(super) fn path(&mut self, mut rest: Vec<Expr>, last: Expr, span: Span) -> Expr {
        use ProviderKind as P;
        if !self.has_types("path", &[P::Fentry, P::Fexit, P::Iter], span) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        let (file, len) = match rest.pop() {
            Some(file) => (file, Some(last)),
            None => (last, None),
        };
        let most = self.settings.max_strlen;
        let bytes = match len.as_ref().map(Expr::constant) {
            None => most,
            Some(Some(known)) if known > 0 => u32::try_from(known).unwrap_or(u32::MAX).min(most),
            Some(_) => return self.error(span, "the length must be known, and above 0"),
        };
        let wanted = self.types.find(Tag::Struct, "path");
        let to = match &file.ty {
            Type::Pointer(to, _) => (**to).clone(),
            other => other.clone(),
        };
        let (base, offset) = match file.kind {
            Kind::Memory(Place { base: Base::Address(base, _), offset, index: None, bits: None }) => (*base, offset),
            _ => (file, 0),
        };
        if Some(to) != wanted || !Self::is_typed(&base) {
            return self.error_with_help(
                base.span,
                "this is no `struct path` that the kernel's verifier knows",
                "it is a part of an argument: `path(args.file.f_path)`",
            );
        }
        builtin(Call::Path(Box::new(base), offset), Type::Text(bytes), span)
    }

    /// `socket_cookie(struct sock *)`
    pub(super) fn socket_cookie(&mut self, socket: Expr, span: Span) -> Expr {
        use ProviderKind as P;
        if !self.has_types("socket_cookie", &[P::Fentry, P::Fexit], span) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        if !matches!(socket.ty, Type::Pointer(..)) || !Self::is_typed(&socket) {
            return self.error_with_help(
                socket.span,
                "this is no socket that the kernel's verifier knows",
                "it is an argument: `socket_cookie(args.sk)`",
            );
        }
        builtin(Call::SocketCookie(Box::new(socket)), Type::U64, span)
    }

    /// `comm(tid)`
    pub(super) fn name_of(&mut self, arg: &ast::Expr, span: Span) -> Expr {
        const FIND: &str = crate::lower::FIND_TASK;
        let thread = self.expr(arg);
        let thread = self.number(thread, "the id of a thread is");
        let task = self.types.find(Tag::Struct, "task_struct");
        let name = match task {
            Some(Type::Composite(id)) => self.types.member(id, "comm"),
            _ => None,
        };
        let Some(name) = name else {
            return self.error_with_help(
                span,
                "`comm` of another thread needs the kernel's type information",
                "`comm` alone is the name of the current thread",
            );
        };
        let thread = Box::new(self.coerce(thread, &Type::int(4, true)));
        if self.types.source().function("", FIND).is_some() && self.may_call(FIND) {
            return builtin(Call::NameOf(thread, name.offset), Type::Text(16), span);
        }
        // Where programs may not ask the kernel, they look into its table themselves.
        match self.thread_table() {
            Ok(table) => {
                let own = self.of_task("comm", &["thread_pid"], span);
                let own = Box::new(self.coerce(own, &Type::U64));
                builtin(Call::NameInTable(thread, own, table, name.offset), Type::Text(16), span)
            }
            Err(problem) => {
                let message = format!("`comm` of another thread does not exist in {}: {problem}", self.site_name());
                self.error_with_help(
                    span,
                    message,
                    "tracepoints, fentry, fexit and perf events have it from Linux 6.2 on",
                )
            }
        }
    }

    /// Where the kernel keeps its threads by their ids, and how.
    fn thread_table(&self) -> Result<ThreadTable, String> {
        let place =
            |ty: &str, way: &[&str]| self.place_in(ty, way).ok_or_else(|| format!("`struct {ty}` has another form"));
        Ok(ThreadTable {
            namespace: place("pid", &["numbers"])?.saturating_add(place("upid", &["ns"])?),
            root: place("pid_namespace", &["idr", "idr_rt", "xa_head"])?,
            shift: place("xa_node", &["shift"])?,
            slots: place("xa_node", &["slots"])?,
            threads: place("pid", &["tasks"])?,
            link: place("task_struct", &["pid_links"])?,
        })
    }

    /// Bytes from the start of a structure to a member of a member.
    fn place_in(&self, ty: &str, way: &[&str]) -> Option<u32> {
        let mut offset = 0u32;
        let mut at = self.types.find(Tag::Struct, ty)?;
        for name in way {
            let Type::Composite(id) = at else { return None };
            let member = self.types.member(id, name)?;
            offset = offset.checked_add(member.offset)?;
            at = member.ty;
        }
        Some(offset)
    }

    /// Whether programs here may call a function of the kernel, as far as that is known.
    pub(super) fn may_call(&self, name: &str) -> bool {
        let Some(provider) = self.state.site.provider else { return false };
        skep_isa::kfuncs::by_name(name).is_some_and(|kfunc| kfunc.programs.contains(kernel_program(provider.kind)))
    }

    /// `is_err(pointer)`
    pub(super) fn is_err(&mut self, pointer: Expr, span: Span) -> Expr {
        let value = self.number(pointer, "a pointer is");
        let value = self.coerce(value, &Type::U64);
        let first = Expr::number(-MOST_ERRORS, Type::U64, span);
        Expr::new(Kind::Compare(BinaryOp::Ge, Box::new(value), Box::new(first), false), Type::Bool, span)
    }

    /// `container_of(pointer, type, member)`
    pub(super) fn container_of(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        let pointer = self.expr(&args[0]);
        if pointer.ty == Type::Unknown {
            return pointer;
        }
        let space = match &pointer.ty {
            Type::Pointer(_, space) => *space,
            Type::Int { .. } => self.state.site.space(),
            other => {
                let message = format!("a value of type {other} is no pointer");
                return self.error(args[0].span, message);
            }
        };
        let of = match &args[1].node {
            ExprKind::Type(ty) => self.written_type(ty),
            ExprKind::Ident(name) => {
                let ty = ast::Spanned::new(ast::TypeKind::Named(name.clone()), args[1].span);
                self.written_type(&ty)
            }
            _ => {
                self.error_with_help(
                    args[1].span,
                    "this is no type",
                    "write `container_of(pointer, struct name, member)`",
                );
                None
            }
        };
        let (Some(whole), Some(path)) = (of, member_path(&args[2])) else {
            if member_path(&args[2]).is_none() {
                self.error(args[2].span, "this is no member: its name is wanted, `a` or `a.b`");
            }
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        };
        let Some(offset) = self.offset_in(&whole, &path) else { return Expr::new(Kind::Int(0), Type::Unknown, span) };
        let address = self.coerce(Expr { ty: Type::U64, ..pointer }, &Type::U64);
        let distance = Expr::number(offset, Type::I64, span);
        let kind = Kind::Binary(BinaryOp::Sub, Box::new(address), Box::new(distance));
        Expr::new(kind, whole.pointer(space), span)
    }

    /// `percpu_kaddr("name", cpu)`: where the kernel keeps the variables of each processor is in an array of its own.
    pub(super) fn percpu_kaddr(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        let unknown = Expr::new(Kind::Int(0), Type::Unknown, span);
        let Some(name) = self.text_argument(&args[0]) else { return unknown };
        let mut addresses = Vec::new();
        for symbol in [&*name, "__per_cpu_offset"] {
            match self.env.facts.kernel_symbol(symbol) {
                Ok(address) => addresses.push(address.cast_signed()),
                Err(why) => {
                    return self.error_with_help(args[0].span, format!("`{symbol}` cannot be looked up"), why);
                }
            }
        }
        let cpu = match args.get(1) {
            Some(arg) => self.expr(arg),
            None => self.value(&"cpu".into(), span).unwrap_or_else(|| unknown.clone()),
        };
        let cpu = self.number(cpu, "a processor is");
        // The number is used twice and computed once.
        let var = self.declare_unnamed(span);
        self.growing(var, Growing::declared(Type::U64));
        if cpu.ty == Type::Unknown {
            return unknown;
        }
        let cpu = self.coerce(cpu, &Type::U64);
        let set = Stmt { kind: StmtKind::SetVar(var, cpu), span };
        let of =
            |op, left: Expr, right: Expr| Expr::new(Kind::Binary(op, Box::new(left), Box::new(right)), Type::U64, span);
        let known = |number: i64| Expr::number(number, Type::U64, span);
        let number = Expr::new(Kind::Var(var), Type::U64, span);
        let all = builtin(Call::Value(Builtin::Ncpus), Type::U64, span);
        let exists = Kind::Compare(BinaryOp::Lt, Box::new(number.clone()), Box::new(all), false);
        let exists = Expr::new(exists, Type::Bool, span);
        let place = of(BinaryOp::Add, of(BinaryOp::Mul, number, known(8)), known(addresses[1]));
        let base = Base::Address(Box::new(place), Space::Kernel);
        let start = Kind::Memory(Place { base, offset: 0, index: None, bits: None });
        let address = of(BinaryOp::Add, Expr::new(start, Type::U64, span), known(addresses[0]));
        let chosen = Kind::Choose(Box::new(exists), Box::new(address), Box::new(known(0)));
        Expr::new(Kind::Block(vec![set], Box::new(Expr::new(chosen, Type::U64, span))), Type::U64, span)
    }

    /// `write_user(pointer, value, length)`
    pub(super) fn write_user(&mut self, mut rest: Vec<Expr>, len: Expr, span: Span) -> Expr {
        let (Some(value), Some(to)) = (rest.pop(), rest.pop()) else { return len };
        let to = self.number(to, "an address is");
        let to = self.coerce(to, &Type::U64);
        let len = self.number(len, "a length is");
        let value = self.bytes_operand(value, &len);
        let room = self.types.size_and_align(&value.ty).0;
        if let Some(known) = len.constant().filter(|&known| known < 0 || known > room.into()) {
            return self.error(len.span, format!("{known} bytes cannot be written: the value has {room}"));
        }
        let len = self.coerce(len, &Type::U64);
        let call = Call::WriteUser(Box::new(to), Box::new(value), Box::new(len), room);
        builtin(call, Type::I64, span)
    }

    /// `skboutput("file", skb, length, offset)`
    pub(super) fn skboutput(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        use ProviderKind as P;
        let unknown = Expr::new(Kind::Int(0), Type::Unknown, span);
        let kinds = [P::Fentry, P::Fexit, P::RawTracepoint, P::Tracepoint, P::Kprobe];
        if !self.has_types("skboutput", &kinds, span) {
            return unknown;
        }
        let Some(file) = self.text_argument(&args[0]) else { return unknown };
        let mut numbers = Vec::new();
        for arg in &args[2..] {
            let value = self.expr(arg);
            let value = self.number(value, "a number of bytes is");
            numbers.push(self.coerce(value, &Type::U64));
        }
        let packet = self.expr(&args[1]);
        let is_packet = |ty: &Type| match ty {
            Type::Pointer(to, _) => self.types.find(Tag::Struct, "sk_buff").as_ref() == Some(&**to),
            _ => false,
        };
        if packet.ty != Type::Unknown && !is_packet(&packet.ty) {
            return self.error_with_help(
                args[1].span,
                format!("a packet of the kernel is a `struct sk_buff *`, this is of type {}", packet.ty),
                "a cast says it: `(struct sk_buff *)arg0`",
            );
        }
        let mut part = |name: &str, ty: &Type| {
            let field = ast::Spanned::new(name.into(), span);
            let value = self.field(&args[1], &field, span);
            self.coerce(value, ty)
        };
        let (data, whole, paged) = (part("data", &Type::U64), part("len", &Type::U64), part("data_len", &Type::U64));
        let (Some(from), Some(wanted)) = (numbers.pop(), numbers.pop()) else { return unknown };
        if [&data, &whole, &paged, &from, &wanted].iter().any(|value| value.ty == Type::Unknown) {
            return unknown;
        }
        let room = wanted
            .constant()
            .and_then(|known| u32::try_from(known).ok())
            .map_or(MOST_PACKET, |known| known.clamp(1, MOST_PACKET));
        let calculated =
            |op, left: Expr, right: Expr, ty| Expr::new(Kind::Binary(op, Box::new(left), Box::new(right)), ty, span);
        // What lies in pages of its own is not behind `data`.
        let there = calculated(BinaryOp::Sub, whole.clone(), paged, Type::I64);
        let there = calculated(BinaryOp::Sub, there, from.clone(), Type::I64);
        let data = calculated(BinaryOp::Add, Expr { ty: Type::U64, ..data }, from, Type::U64);
        builtin(Call::Packet(Box::new(Packet { file, data, wanted, there, whole, room })), Type::I64, span)
    }

    /// `curtask->a->b`
    pub(super) fn of_task(&mut self, name: &str, way: &[&str], span: Span) -> Expr {
        if self.types.find(Tag::Struct, "task_struct").is_none() {
            return self.error(span, format!("`{name}` needs the kernel's type information"));
        }
        self.expr(&named("curtask", way, span))
    }
}

/// The names of `a.b.c`.
fn member_path(expr: &ast::Expr) -> Option<Vec<ast::Name>> {
    match &expr.node {
        ExprKind::Ident(name) => Some(vec![ast::Spanned::new(name.clone(), expr.span)]),
        ExprKind::Field { base, field } => {
            let mut path = member_path(base)?;
            path.push(field.clone());
            Some(path)
        }
        _ => None,
    }
}

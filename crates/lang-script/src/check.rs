//! Checking: from the syntax tree to the typed tree, with every name resolved.
//!
//! A script is checked as a whole, again and again, until nothing new is learnt about the types of its variables and maps
//! ([`infer`](crate::infer)); the trees and the diagnostics of the last time count.

use std::collections::HashMap;
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use crate::ast::{self, Name};
use crate::compile::Environment;
use crate::infer::{Growing, Known, Misfit};
use crate::providers::{Data, Kind as ProviderKind, Provider};
use crate::settings::Settings;
use crate::types::definitions::Types;
use crate::types::user::UsdtArgument;
use crate::types::{CompositeId, Prototype, Space, Type};
use crate::words;
use tree::{Expr, Kind, Map, Stmt, StmtKind, Unit, Var};

mod access;
mod actions;
mod aggregates;
mod calls;
mod constants;
mod expr;
pub mod formats;
mod functions;
mod kernel;
mod ops;
mod route;
mod stmts;
mod texts;
pub mod tree;
mod typeinfo;
mod user;
mod values;

pub use route::{Access, CallSide, Mapped};

/// Where a program is attached, as far as it matters for what it can read.
#[derive(Debug, Clone)]
pub struct Site {
    /// The type of probe; `None` in a function.
    pub provider: Option<&'static Provider>,
    /// The name of the probe.
    pub name: Arc<str>,
    /// What `args` is.
    pub arguments: Arguments,
    /// Where values come from.
    pub access: Access,
}

/// What `args` is.
#[derive(Debug, Clone)]
pub enum Arguments {
    /// There are none, for the reason given.
    None(String),
    /// Fields of the context.
    Record(CompositeId),
    /// Words of an array in the context.
    Words(Prototype),
    /// Those of a USDT probe.
    Usdt(Arc<[Result<UsdtArgument, String>]>),
    /// Those of a function of a program, by its debug information: read when a statement needs them.
    Function {
        /// The binary; `None` for that of the process of `-p`.
        binary: Option<String>,
        /// Its symbol.
        function: String,
    },
}

impl Site {
    /// Inside of a function of the script.
    fn function(name: Arc<str>) -> Self {
        Self { provider: None, name, arguments: Arguments::None(String::new()), access: Access::Usual }
    }

    /// The space that addresses point into when nothing else says it.
    pub fn space(&self) -> Space {
        use ProviderKind as P;
        match self.provider.map(|provider| provider.kind) {
            Some(P::Uprobe | P::Uretprobe | P::Usdt) => Space::User,
            Some(P::Fentry | P::Fexit | P::RawTracepoint | P::Iter) => Space::Kernel,
            _ => Space::Unknown,
        }
    }

    /// Whether programs there can read the value.
    pub fn has(&self, data: Data) -> bool {
        self.provider.is_some_and(|provider| provider.has(data))
    }
}

/// A function of the script.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Its name.
    pub name: Arc<str>,
    /// Types of its parameters.
    pub params: Vec<Type>,
    /// Type of its result.
    pub result: Type,
    /// The functions that it calls.
    pub calls: Vec<usize>,
    /// Whether it stands in place of its calls: because it takes or gives what registers do not hold, or because it
    /// needs the place where the program is attached.
    pub inline: bool,
}

/// Where `return` leads.
#[derive(Debug, Clone)]
enum Returns {
    /// Out of the program.
    Probe,
    /// Out of a function with a result of this type.
    Function(Type),
    /// Behind a function that stands in place of its call, whose result is in a variable; `None` for none.
    Inline(Option<Var>),
}

/// What is known inside of one program or function.
struct State {
    site: Site,
    /// Number among all units, which keeps what was learnt about its variables.
    number: usize,
    /// Variables that came into being so far.
    made: u32,
    scopes: Vec<HashMap<Arc<str>, Var>>,
    loops: u32,
    returns: Returns,
    /// The functions that stand in place of their calls here, the innermost one last.
    inlining: Vec<usize>,
    depends: bool,
}

/// Checks one script.
pub struct Checker<'a> {
    /// What the compilation may ask.
    pub env: &'a Environment<'a>,
    /// Settings of the script.
    pub settings: &'a Settings,
    /// Types that are known by name.
    pub types: Types<'a>,
    /// What was learnt about variables and maps.
    pub known: Known,
    /// Functions of the script.
    pub functions: Vec<Signature>,
    /// Their bodies.
    pub bodies: &'a [ast::Function],
    /// What is wrong or strange, of this time.
    pub problems: Vec<Diagnostic>,
    state: State,
}

impl<'a> Checker<'a> {
    /// Begins with the declarations of a script.
    pub fn new(env: &'a Environment<'a>, settings: &'a Settings, types: Types<'a>, known: Known) -> Self {
        let site = Site::function("".into());
        Self {
            env,
            settings,
            types,
            known,
            functions: Vec::new(),
            bodies: &[],
            problems: Vec::new(),
            state: State::new(site, 0),
        }
    }

    /// Checks a probe at one place.
    pub fn probe(&mut self, number: usize, site: Site, probe: &ast::Probe) -> Unit {
        self.begin(number, site);
        let predicate = probe.predicate.as_ref().map(|predicate| {
            let predicate = self.expr(predicate);
            self.condition(predicate)
        });
        let predicate = self.with_process(predicate, probe.span);
        let predicate = match (self.routed_condition(probe.span), predicate) {
            (Some(first), Some(second)) => {
                Some(Expr::new(Kind::And(Box::new(first), Box::new(second)), Type::Bool, probe.span))
            }
            (first, second) => first.or(second),
        };
        let body = self.block(&probe.body);
        self.unit(predicate, body)
    }

    /// Only the process of `-p` counts, where attaching cannot see to that.
    fn with_process(&self, predicate: Option<Expr>, span: Span) -> Option<Expr> {
        use ProviderKind as P;
        let kind = self.state.site.provider?.kind;
        let filtered =
            matches!(kind, P::Kprobe | P::Kretprobe | P::Fentry | P::Fexit | P::Tracepoint | P::RawTracepoint);
        let Some(process) = self.env.process.filter(|_| filtered) else { return predicate };
        let pid = Expr::new(Kind::Builtin(tree::Call::Value(crate::builtins::Builtin::Pid)), Type::U32, span);
        let wanted = Expr::number(process.into(), Type::U32, span);
        let is = Kind::Compare(ast::BinaryOp::Eq, Box::new(pid), Box::new(wanted), false);
        let is = Expr::new(is, Type::Bool, span);
        Some(match predicate {
            Some(predicate) => Expr::new(Kind::And(Box::new(is), Box::new(predicate)), Type::Bool, span),
            None => is,
        })
    }

    /// Checks a function.
    pub fn function(&mut self, number: usize, index: usize, function: &ast::Function) -> Unit {
        let signature = self.functions[index].clone();
        let site = Site::function(signature.name.clone());
        self.begin(number, site);
        for ((name, _), ty) in function.params.iter().zip(&signature.params) {
            let var = self.declare(&name.node);
            self.growing(var, Growing::declared(ty.clone()));
        }
        self.state.returns = Returns::Function(signature.result);
        let body = self.block(&function.body);
        self.unit(None, body)
    }

    fn begin(&mut self, number: usize, site: Site) {
        self.types.programs_first(site.space() == Space::User);
        self.state = State::new(site, number);
        if self.known.vars.len() <= number {
            self.known.vars.resize(number + 1, Vec::new());
            self.known.var_names.resize(number + 1, Vec::new());
        }
    }

    fn unit(&self, predicate: Option<Expr>, body: Vec<Stmt>) -> Unit {
        let (number, made) = (self.state.number, self.state.made as usize);
        let vars: Vec<Type> = self.known.vars[number].iter().take(made).map(|var| var.ty.clone()).collect();
        let untyped = vars.iter().position(|ty| *ty == Type::Unknown);
        let untyped = untyped.map(|at| self.known.var_names[number][at].clone());
        Unit { vars, predicate, body, untyped, depends: self.state.depends }
    }

    fn error(&mut self, span: Span, message: impl Into<String>) -> Expr {
        self.problems.push(Diagnostic::error(span, message));
        Expr::new(Kind::Int(0), Type::Unknown, span)
    }

    fn error_with_help(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) -> Expr {
        self.problems.push(Diagnostic::error(span, message).with_help(help));
        Expr::new(Kind::Int(0), Type::Unknown, span)
    }

    fn warn(&mut self, span: Span, message: impl Into<String>, help: &str) {
        let warning = Diagnostic::warning(span, message);
        self.problems.push(if help.is_empty() { warning } else { warning.with_help(help) });
    }

    /// A new variable in the innermost scope.
    fn declare(&mut self, name: &Arc<str>) -> Var {
        let var = Var(self.state.made);
        self.state.made += 1;
        self.known.declare(self.state.number, var.0 as usize, name);
        if let Some(scope) = self.state.scopes.last_mut() {
            scope.insert(name.clone(), var);
        }
        var
    }

    /// A new variable that the script has no name for.
    fn declare_unnamed(&mut self, span: Span) -> Var {
        self.in_scope(|check| check.declare(&format!("{}..{}", span.start, span.end).into()))
    }

    fn growing(&mut self, var: Var, growing: Growing) {
        self.known.vars[self.state.number][var.0 as usize] = growing;
    }

    fn lookup(&self, name: &str) -> Option<Var> {
        self.state.scopes.iter().rev().find_map(|scope| scope.get(name).copied())
    }

    fn var_type(&self, var: Var) -> Type {
        self.known.vars[self.state.number][var.0 as usize].ty.clone()
    }

    /// Takes in that a variable gets a value, and makes the value one of the variable's type.
    fn learn_var(&mut self, var: Var, name: &str, value: Expr) -> Expr {
        let number = self.state.number;
        let result = self.known.vars[number][var.0 as usize].learn(&value, &mut self.known.changed);
        let ty = self.var_type(var);
        match result {
            Ok(()) => {}
            Err(Misfit::Never) => {
                return self.error(value.span, format!("`{name}` is of type {ty}, the value is of type {}", value.ty));
            }
            Err(Misfit::Sign) => self.warn(
                value.span,
                format!("`{name}` gets numbers with and without sign"),
                "both are taken as 64 bits with a sign; a cast says that this is meant",
            ),
        }
        self.coerce(value, &ty)
    }

    fn map(&mut self, name: &Arc<str>, span: Span) -> Map {
        self.known.map(name, span)
    }

    fn in_scope<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.state.scopes.push(HashMap::new());
        let result = body(self);
        self.state.scopes.pop();
        result
    }

    fn not_a_name(&mut self, name: &Name, what: &str, candidates: &[&str]) -> Expr {
        let message = format!("{what} `{}` is not known", name.node);
        match words::nearest(&name.node, candidates.iter().copied()) {
            Some(near) => self.error_with_help(name.span, message, format!("did you mean `{near}`?")),
            None => self.error(name.span, message),
        }
    }
}

impl State {
    fn new(site: Site, number: usize) -> Self {
        Self {
            site,
            number,
            made: 0,
            scopes: vec![HashMap::new()],
            loops: 0,
            returns: Returns::Probe,
            inlining: Vec::new(),
            depends: false,
        }
    }
}

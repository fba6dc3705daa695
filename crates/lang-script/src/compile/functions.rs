//! Functions of a script: what they take and give, which of them call which, and which stand in place of their calls.

use std::collections::HashSet;

use skep_diag::Diagnostic;

use crate::ast::{Expr, ExprKind, Function, Name, Script};
use crate::builtins::{self, Builtin};
use crate::check::{Checker, Signature};
use crate::types::Type;
use crate::visit::{Visitor, walk_expr};

/// Most parameters of a function of the kernel: the registers r1 to r5 (RFC 9669, 2.1).
const MOST_PARAMETERS: usize = 5;

/// What a body calls, and whether it needs the place where the program is attached.
struct Uses<'s> {
    functions: &'s [Function],
    calls: Vec<usize>,
    place: bool,
}

impl Uses<'_> {
    fn name(&mut self, name: &str) {
        if let Some(index) = self.functions.iter().position(|function| &*function.name.node == name) {
            if !self.calls.contains(&index) {
                self.calls.push(index);
            }
            return;
        }
        let bare = name.strip_prefix("__builtin_").unwrap_or(name);
        let numbered = |prefix: &str| {
            bare.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        };
        self.place |=
            numbered("arg") || numbered("sarg") || builtins::find(name).is_some_and(|row| row.builtin.of_probe());
    }
}

impl Visitor for Uses<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        match &expr.node {
            ExprKind::Call { name, args } => {
                self.name(&name.node.clone());
                // The name of another thread, unlike one's own, is not for every type of program.
                let row = builtins::find(&name.node);
                self.place |= row.is_some_and(|row| row.builtin == Builtin::Comm) && !args.is_empty();
            }
            ExprKind::Ident(name) => self.name(&name.clone()),
            _ => {}
        }
        walk_expr(self, expr);
    }
}

fn uses<'s>(functions: &'s [Function], see: impl FnOnce(&mut Uses<'s>)) -> Uses<'s> {
    let mut uses = Uses { functions, calls: Vec::new(), place: false };
    see(&mut uses);
    uses
}

/// The functions of a script as they are called. Those that are wrong are reported.
pub fn signatures(script: &Script, checker: &mut Checker<'_>, problems: &mut Vec<Diagnostic>) -> Vec<Signature> {
    let functions = &script.functions;
    let mut signatures: Vec<Signature> = Vec::new();
    let mut places = Vec::new();
    for function in functions {
        let mut params = Vec::new();
        for (name, ty) in &function.params {
            params.push(match checker.written_type(ty) {
                Some(Type::Void) => {
                    problems.push(Diagnostic::error(ty.span, format!("`{}` has no type", name.node)));
                    Type::I64
                }
                Some(ty) => ty,
                None => Type::I64,
            });
        }
        let result = checker.written_type(&function.result).unwrap_or(Type::I64);
        if signatures.iter().any(|known| known.name == function.name.node) {
            let message = format!("there are two functions `{}`", function.name.node);
            problems.push(Diagnostic::error(function.name.span, message));
        }
        let found = uses(functions, |uses| uses.stmts(&mut function.body.clone()));
        let in_registers = |ty: &Type| ty.scalar().is_some();
        let wide = params.len() > MOST_PARAMETERS
            || !params.iter().all(in_registers)
            || !(result == Type::Void || in_registers(&result));
        places.push(found.place);
        let (name, calls) = (function.name.node.clone(), found.calls);
        signatures.push(Signature { name, params, result, calls, inline: wide });
    }
    problems.append(&mut checker.problems);
    // What calls something that belongs to a place belongs to it as well.
    while let Some(index) = (0..signatures.len())
        .find(|&index| !places[index] && signatures[index].calls.iter().any(|&callee| places[callee]))
    {
        places[index] = true;
    }
    for (signature, place) in signatures.iter_mut().zip(places) {
        signature.inline |= place;
    }
    for (index, function) in functions.iter().enumerate() {
        if reaches(&signatures, index, index) {
            problems.push(
                Diagnostic::error(function.name.span, format!("the function `{}` calls itself", function.name.node))
                    .with_help("`while` and `for` repeat something"),
            );
        }
    }
    warn_unused(script, &signatures, checker.env.text.as_str().len(), problems);
    signatures
}

/// Whether one function calls another one, directly or through others.
fn reaches(signatures: &[Signature], from: usize, to: usize) -> bool {
    let mut seen = HashSet::new();
    let mut open = signatures[from].calls.clone();
    while let Some(next) = open.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next) {
            open.extend(&signatures[next].calls);
        }
    }
    false
}

/// Functions that stand in place of their calls are checked where they are called; without a call nothing is said about
/// them but this.
fn warn_unused(script: &Script, signatures: &[Signature], own: usize, problems: &mut Vec<Diagnostic>) {
    let called = uses(&script.functions, |uses| {
        for probe in &script.probes {
            if let Some(predicate) = &probe.predicate {
                uses.expr(&mut predicate.clone());
            }
            uses.stmts(&mut probe.body.clone());
        }
    });
    for (index, signature) in signatures.iter().enumerate() {
        let used = called.calls.iter().any(|&call| call == index || reaches(signatures, call, index));
        let name: &Name = &script.functions[index].name;
        // What is imported may have more than is used.
        if signature.inline && !used && name.span.end as usize <= own {
            let message = format!("the function `{}` is never called, so it is not checked", name.node);
            problems.push(Diagnostic::warning(name.span, message));
        }
    }
}

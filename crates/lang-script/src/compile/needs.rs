//! What the statements of a probe use, as far as it decides about the way to attach it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::ast::{self, ExprKind, Script};
use crate::visit::{Visitor, walk_expr};

/// Names that a probe and the functions of the script use.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    names: HashSet<Arc<str>>,
    fields: HashSet<Arc<str>>,
}

impl Needs {
    /// Those of a probe. Functions of the script count with every probe.
    pub fn of(script: &Script, probe: &ast::Probe) -> Self {
        let mut needs = Self::default();
        let mut probe = probe.clone();
        if let Some(predicate) = &mut probe.predicate {
            needs.expr(predicate);
        }
        needs.stmts(&mut probe.body);
        for function in &script.functions {
            needs.stmts(&mut function.body.clone());
        }
        needs
    }

    /// Whether a builtin of that name is used.
    pub fn uses(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The fields of `args` that are used.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| &**field)
    }

    /// Why the program has to run with the registers of the function, if it has to.
    pub fn registers(&self, in_registers: u32) -> Option<&'static str> {
        const REGISTERS: &[(&str, &str)] = &[
            ("reg", "`reg` reads registers"),
            ("ctx", "`ctx` is a value"),
            ("override", "`override` changes what the function returns"),
        ];
        if let Some((_, why)) = REGISTERS.iter().find(|(name, _)| self.uses(name)) {
            return Some(why);
        }
        let number = |name: &str, start: &str| name.strip_prefix(start).and_then(|rest| rest.parse::<u32>().ok());
        let stacked = |name: &Arc<str>| {
            number(name, "sarg").is_some() || number(name, "arg").is_some_and(|number| number >= in_registers)
        };
        self.names.iter().any(stacked).then_some("arguments on the stack are read")
    }

    /// Why a kprobe is better, though other ways would do.
    pub fn prefers_kprobe(&self) -> Option<&'static str> {
        self.uses("kstack").then_some("in a kprobe `kstack` begins with the function itself")
    }

    /// The highest number of an argument that is read by its number.
    pub fn highest_argument(&self) -> Option<u32> {
        self.names.iter().filter_map(|name| name.strip_prefix("arg")?.parse::<u32>().ok()).max()
    }
}

impl Visitor for Needs {
    fn expr(&mut self, expr: &mut ast::Expr) {
        match &expr.node {
            ExprKind::Ident(name) => {
                self.names.insert(name.strip_prefix("__builtin_").map_or_else(|| name.clone(), Arc::from));
            }
            ExprKind::Call { name, .. } => {
                self.names.insert(name.node.clone());
            }
            ExprKind::Field { base, field } => {
                if matches!(&base.node, ExprKind::Ident(name) if &**name == "args") {
                    self.fields.insert(field.node.clone());
                }
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}

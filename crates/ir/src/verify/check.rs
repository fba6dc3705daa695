//! What the rules of one function share: where they look and how they report.

use super::Violation;
use crate::entity::{Block, FuncRef, Inst, Value};
use crate::function::{Function, Loc};
use crate::module::Module;
use crate::types::{Memory, Pointer, Type};

/// A function that is being checked.
pub struct Check<'m> {
    pub module: &'m Module,
    pub number: FuncRef,
    pub function: &'m Function,
    violations: &'m mut Vec<Violation>,
}

impl<'m> Check<'m> {
    pub const fn new(
        module: &'m Module,
        number: FuncRef,
        function: &'m Function,
        violations: &'m mut Vec<Violation>,
    ) -> Self {
        Self { module, number, function, violations }
    }

    /// Whether there are more violations than so many.
    pub const fn found(&self, before: usize) -> bool {
        self.violations.len() > before
    }

    /// Reports something about the function or a block.
    pub fn report(&mut self, block: Option<Block>, message: impl Into<String>) {
        self.violations.push(Violation {
            function: Some(self.number),
            name: self.function.name.clone(),
            block,
            inst: None,
            loc: Loc::default(),
            message: message.into(),
        });
    }

    /// Reports something about an instruction.
    pub fn report_inst(&mut self, block: Block, inst: Inst, message: impl Into<String>) {
        let text = self.function.display(inst).to_string();
        self.violations.push(Violation {
            function: Some(self.number),
            name: self.function.name.clone(),
            block: Some(block),
            inst: Some(text),
            loc: self.function[inst].loc,
            message: message.into(),
        });
    }

    pub fn ty(&self, value: Value) -> Type {
        self.function.ty(value)
    }

    /// The pointer that a value is, one that is not null.
    pub fn pointer(&self, value: Value) -> Result<Memory, String> {
        match self.ty(value) {
            Type::Ptr(Pointer { to, nullable: false }) => Ok(to),
            Type::Ptr(Pointer { .. }) => {
                Err(format!("{value} may be null: compare it with 0 first, use what the branch gives"))
            }
            ty => Err(format!("{value} is an {ty}, not a pointer")),
        }
    }
}

/// Whether a value of one type may stand where another is expected.
pub fn fits(given: Type, expected: Type) -> bool {
    given == expected
        || matches!((given, expected), (Type::Ptr(given), Type::Ptr(expected)) if given.to == expected.to && expected.nullable)
}

/// Complains unless a condition holds.
pub fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

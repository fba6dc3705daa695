//! Functions that are nothing but assembly (`__attribute__((naked))`): their instructions are taken as they are.

use skep_ir::{Assembly, Entity, FuncRef, Referred};

use crate::konst::Symbol;
use crate::lower::Lower;
use crate::parse::ast::{Asm, Stmt, StmtKind};
use crate::parse::{Parsed, Reported};
use crate::source::Loc;

/// The assembly of a body that has nothing else.
fn only_assembly(body: &[Stmt]) -> Option<Vec<&Asm>> {
    let mut found = Vec::new();
    for stmt in body {
        match &stmt.kind {
            StmtKind::Asm(asm) => found.push(&**asm),
            StmtKind::Block(inner) => found.extend(only_assembly(inner)?),
            _ => return None,
        }
    }
    Some(found)
}

impl Lower<'_> {
    /// Assembles the body of a naked function into its place in the module. False if there is more than assembly in it.
    pub fn naked(&mut self, body: &[Stmt], number: FuncRef, loc: Loc) -> Parsed<bool> {
        let Some(all) = only_assembly(body).filter(|all| !all.is_empty()) else { return Ok(false) };
        let assembled = self.assemble(&all, &|_| None)?;
        let mut references = Vec::new();
        for (slot, symbol, off) in assembled.references {
            let referred = match symbol {
                Symbol::Var(var) if self.program.var(var).section.as_deref() == Some(".maps") => {
                    Referred::Map(self.map(var)?)
                }
                Symbol::Var(var) => Referred::Global(self.global(var)?, u32::try_from(off).unwrap_or(0)),
                Symbol::Str(text) => Referred::Global(self.string(&text), u32::try_from(off).unwrap_or(0)),
                Symbol::Func(func) if self.program.func(func).body.is_some() => {
                    let loaded = assembled.insns.get(slot as usize).is_some_and(|insn| insn.code == LOAD_IMM);
                    Referred::Func(self.function_ref(func, loaded)?)
                }
                Symbol::Func(func) => Referred::Kfunc(self.kfunc_ref(func)),
            };
            references.push((slot, referred));
        }
        let mut insns = assembled.insns;
        insns.truncate(assembled.end as usize);
        if insns.is_empty() {
            self.diags.error(loc, "the function has no instruction: not even `exit`");
            return Err(Reported);
        }
        let loc = self.ir_loc(loc);
        let function = &mut self.module.functions[number.index()];
        function.assembly = Some(Box::new(Assembly { insns, references, loc }));
        function.inlining = skep_ir::Inlining::Never;
        Ok(true)
    }
}

/// The opcode of a 64-bit constant load.
const LOAD_IMM: u8 = 0x18;

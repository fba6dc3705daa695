//! Statements.

use std::rc::Rc;

use skep_ir::{Cond, Edge, InstData};

use super::Lower;
use super::expr::Val;
use super::func::{Cases, Exits, Home};
use super::place::{Addr, Place};
use crate::parse::Parsed;
use crate::parse::ast::{Expr, Init, LabelId, Stmt, StmtKind, VarId};
use crate::types::{IntTy, Quals};

/// Most cases that a range is taken apart into; wider ones are compared.
const MOST_CASES: i64 = 16;

impl Lower<'_> {
    pub fn statements(&mut self, list: &[Stmt]) -> Parsed<()> {
        let mut result = Ok(());
        for stmt in list {
            // One bad statement does not hide the next.
            result = self.statement(stmt).and(result);
            if self.diags.is_full() {
                break;
            }
        }
        result
    }

    pub fn statement(&mut self, stmt: &Stmt) -> Parsed<()> {
        self.at(stmt.loc);
        self.bounded(stmt.loc)?;
        match &stmt.kind {
            StmtKind::Expr(expr) | StmtKind::Cleanup(expr) => self.effect(expr),
            StmtKind::Decl(var, init) => self.declare(*var, init.as_ref()),
            StmtKind::Block(items) => {
                let before = self.f().frame().map_or(0, |frame| frame.slots.len());
                let result = self.statements(items);
                // Objects of the block end here: those of the next block with the same name take their place.
                let ended = self.f().frame().map(|frame| frame.slots.split_off(before.min(frame.slots.len())));
                self.f().free.extend(ended.unwrap_or_default());
                result
            }
            StmtKind::If(cond, yes, no) => {
                let [on_yes, on_no, join] = [(); 3].map(|()| self.f().new_block());
                self.condition(cond, on_yes, on_no)?;
                self.f().enter_sealed(on_yes);
                let first = self.statement(yes);
                self.f().jump(join);
                self.f().enter_sealed(on_no);
                let second = no.as_ref().map_or(Ok(()), |no| self.statement(no));
                self.f().jump(join);
                self.f().enter_sealed(join);
                first.and(second)
            }
            StmtKind::Loop { init, cond, step, body, post } => {
                self.loop_of(init, cond.as_ref(), step.as_ref(), body, *post)
            }
            StmtKind::Switch(value, body) => self.switch(value, body),
            StmtKind::Case(from, to) => {
                let block = self.f().new_block();
                self.f().jump(block);
                self.f().block = block;
                if let Some(cases) = self.cases() {
                    cases.cases.push((*from, *to, block));
                }
                Ok(())
            }
            StmtKind::Default => {
                let block = self.f().new_block();
                self.f().jump(block);
                self.f().block = block;
                if let Some(cases) = self.cases() {
                    cases.default = Some(block);
                }
                Ok(())
            }
            StmtKind::Break => {
                if let Some(exits) = self.exits().last().copied() {
                    self.f().jump(exits.on_break);
                }
                Ok(())
            }
            StmtKind::Continue => {
                let target = self.exits().iter().rev().find_map(|exits| exits.on_continue);
                if let Some(target) = target {
                    self.f().jump(target);
                }
                Ok(())
            }
            StmtKind::Goto(label) => {
                let block = self.label(*label);
                self.f().jump(block);
                Ok(())
            }
            StmtKind::Label(label) => {
                let block = self.label(*label);
                self.f().jump(block);
                self.f().block = block;
                Ok(())
            }
            StmtKind::Return(value) => self.return_from(value.as_ref()),
            // Macros choose among texts of which not all are instructions.
            StmtKind::Asm(_) if !self.f().reachable() => Ok(()),
            StmtKind::Asm(asm) => self.asm(asm),
        }
    }

    fn cases(&mut self) -> Option<&mut Cases> {
        self.f().frame()?.switches.last_mut()
    }

    fn exits(&mut self) -> &[Exits] {
        self.f().frame().map_or(&[], |frame| &frame.exits)
    }

    pub fn label(&mut self, label: LabelId) -> skep_ir::Block {
        if let Some(block) = self.f().frame().and_then(|frame| frame.labels.get(&label).copied()) {
            return block;
        }
        let block = self.f().new_block();
        if let Some(frame) = self.f().frame() {
            frame.labels.insert(label, block);
        }
        block
    }

    fn loop_of(
        &mut self,
        init: &[Stmt],
        cond: Option<&Expr>,
        step: Option<&Expr>,
        body: &Stmt,
        post: bool,
    ) -> Parsed<()> {
        self.statements(init)?;
        let [head, inside, next, behind] = [(); 4].map(|()| self.f().new_block());
        self.f().jump(if post { inside } else { head });
        if !post {
            // The head stays open until the way back is there.
            self.f().block = head;
            match cond {
                Some(cond) => self.condition(cond, inside, behind)?,
                None => self.f().jump(inside),
            }
            self.f().seal(inside);
        }
        self.f().block = inside;
        if let Some(frame) = self.f().frame() {
            frame.exits.push(Exits { on_break: behind, on_continue: Some(next) });
        }
        let result = self.statement(body);
        if let Some(frame) = self.f().frame() {
            frame.exits.pop();
        }
        self.f().jump(next);
        self.f().enter_sealed(next);
        let stepped = step.map_or(Ok(()), |step| self.effect(step));
        if post {
            if let Some(cond) = cond {
                self.condition(cond, inside, behind)?;
            }
            self.f().seal(inside);
        } else {
            self.f().jump(head);
        }
        self.f().seal(head);
        self.f().enter_sealed(behind);
        result.and(stepped)
    }

    fn switch(&mut self, value: &Expr, body: &Stmt) -> Parsed<()> {
        let signed = self.types.as_int(value.ty).is_some_and(IntTy::signed);
        let number = self.value(value)?;
        let (dispatch, behind) = (self.f().new_block(), self.f().new_block());
        self.f().jump(dispatch);
        self.f().seal(dispatch);
        let continues = self.exits().iter().rev().find_map(|exits| exits.on_continue);
        if let Some(frame) = self.f().frame() {
            frame.exits.push(Exits { on_break: behind, on_continue: continues });
            frame.switches.push(Cases::default());
        }
        let result = self.statement(body);
        self.f().jump(behind);
        let cases = self.f().frame().and_then(|frame| {
            frame.exits.pop();
            frame.switches.pop()
        });
        let cases = cases.unwrap_or_default();
        let default = cases.default.unwrap_or(behind);
        self.f().block = dispatch;
        let mut single: Vec<(i64, Edge)> = Vec::new();
        for &(from, to, block) in &cases.cases {
            let count = to.wrapping_sub(from);
            if (0..MOST_CASES).contains(&count) {
                for case in from..=to {
                    if single.iter().any(|known| known.0 == case) {
                        self.diags.error(value.loc, format!("this `switch` has two cases for {case}"));
                        return Err(crate::parse::Reported);
                    }
                    single.push((case, Edge::to(block)));
                }
                continue;
            }
            let [inner, next] = [(); 2].map(|()| self.f().new_block());
            let ty = self.f().ty(number);
            let (low, high) = (self.f().number(from, ty), self.f().number(to, ty));
            let (ge, le) = if signed { (Cond::Sge, Cond::Sle) } else { (Cond::Uge, Cond::Ule) };
            self.f().branch(ge, number, low, inner, next);
            self.f().enter_sealed(inner);
            self.f().branch(le, number, high, block, next);
            self.f().enter_sealed(next);
        }
        match self.f().constant(number) {
            Some(known) => {
                let found = single.iter().find(|case| case.0 == known).map_or(default, |case| case.1.block);
                self.f().jump(found);
            }
            None if single.is_empty() => self.f().jump(default),
            None => self.f().switch(number, single, default),
        }
        for (_, _, block) in cases.cases {
            self.f().seal(block);
        }
        self.f().seal(default);
        self.f().enter_sealed(behind);
        result
    }

    fn return_from(&mut self, value: Option<&Expr>) -> Parsed<()> {
        let (result, ret) = match self.f().frame() {
            Some(frame) => (frame.result, frame.ret),
            None => return Ok(()),
        };
        let given = match value {
            Some(expr) => Some(self.rvalue(expr)?),
            None => None,
        };
        match (result, given) {
            (Some((block, home)), given) => {
                match (home, given) {
                    (Some(Home::Value(local)), Some(Val::Value(value))) => {
                        self.write(&Place::Value(local), ret, value)?
                    }
                    (Some(Home::Pair(pair)), Some(Val::Wide(value))) => self.write_pair(pair, value),
                    (Some(Home::Slot(slot)), Some(Val::Memory(from))) => {
                        let base = self.f().value(InstData::SlotAddr(slot), skep_ir::Type::ptr(skep_ir::Memory::Stack));
                        let size = self.types.size(ret).unwrap_or(0);
                        let align = self.types.align(ret).clamp(1, 8);
                        self.copy(Addr::new(base, align), from, size);
                    }
                    _ => {}
                }
                self.f().jump(block);
            }
            (None, given) => {
                let wanted = self.f().function.result;
                let value = match (wanted, given) {
                    (None, _) => None,
                    (Some(ty), Some(Val::Value(value))) => {
                        Some(if ty.is_int() { value } else { self.f().make_ptr(value) })
                    }
                    (Some(ty), _) => Some(self.f().number(0, ty)),
                };
                self.f().ret(value);
            }
        }
        Ok(())
    }

    /// A variable of the function begins.
    pub fn declare(&mut self, var: VarId, init: Option<&Rc<Init>>) -> Parsed<()> {
        let item = self.program.var(var).clone();
        let register = self.types.is_register(item.ty);
        let volatile = self.types.strip(item.ty).quals.has(Quals::VOLATILE);
        // A variable that is declared in a loop has one home for all rounds.
        let known = self.f().frame().and_then(|frame| frame.homes.get(&var).copied());
        let home = if let Some(known) = known {
            known
        } else if register && !item.addressed && !volatile {
            let ty = self.register(item.ty);
            Home::Value(self.f().new_local(ty))
        } else if self.is_wide(item.ty) && !item.addressed && !volatile {
            Home::Pair(self.new_pair())
        } else {
            self.place_now = item.loc;
            let size = self.types.size(item.ty).unwrap_or(1);
            let align = self.types.align(item.ty).max(item.align).clamp(1, 8);
            Home::Slot(self.slot(&item.name, size, align))
        };
        if let Some(frame) = self.f().frame() {
            frame.homes.insert(var, home);
        }
        let Some(init) = init else { return Ok(()) };
        match home {
            Home::Value(local) => {
                let value = match init.entries.last() {
                    Some(entry) => self.value(&entry.expr)?,
                    None => {
                        let ty = self.register(item.ty);
                        self.f().number(0, ty)
                    }
                };
                self.write(&Place::Value(local), item.ty, value)
            }
            Home::Pair(pair) => {
                let value = match init.entries.last() {
                    Some(entry) => self.halves(&entry.expr)?,
                    None => self.wide_number(0),
                };
                self.write_pair(pair, value);
                Ok(())
            }
            Home::Slot(slot) => {
                let align = u64::from(self.f().function.slots[skep_ir::Entity::index(slot)].align);
                let base = self.f().value(InstData::SlotAddr(slot), skep_ir::Type::ptr(skep_ir::Memory::Stack));
                self.initialise(&Addr::new(base, align), item.ty, init)
            }
        }
    }

    /// Writes an initialiser to memory.
    pub fn initialise(&mut self, addr: &Addr, ty: crate::types::QTy, init: &Init) -> Parsed<()> {
        let size = self.types.size(ty).unwrap_or(0);
        if !init.whole {
            // Cleared whole: padding too, as programs that use structures as keys rely on.
            self.clear(addr.clone(), size, 0);
        }
        for entry in &init.entries {
            let mut place = addr.clone().plus(entry.offset.cast_signed());
            place.bits = entry.bits.map(|(bit, width)| (bit % 8, width));
            if let crate::parse::ast::ExprKind::Str(bytes) = &entry.expr.kind
                && self.types.element(entry.ty).is_some()
            {
                self.write_bytes(&place, bytes);
            } else if self.types.is_register(entry.ty) {
                let value = self.value(&entry.expr)?;
                self.store(&place, entry.ty, value)?;
            } else if self.is_wide(entry.ty) {
                let value = self.halves(&entry.expr)?;
                self.store_wide(&place, value)?;
            } else {
                let from = self.addr(&entry.expr)?;
                let size = self.types.size(entry.ty).unwrap_or(0);
                self.copy(place, from, size);
            }
        }
        Ok(())
    }

    /// Writes known bytes, in words.
    fn write_bytes(&mut self, to: &Addr, bytes: &[u8]) {
        let mut at = 0usize;
        while at < bytes.len() {
            let place = if at == 0 { to.align } else { to.align.min(1 << at.trailing_zeros()) };
            let mut step = place.clamp(1, 8) as usize;
            while step > bytes.len() - at {
                step /= 2;
            }
            let mut word = [0u8; 8];
            word[..step].copy_from_slice(&bytes[at..at + step]);
            let number = i64::from_le_bytes(word);
            let ty = if step == 8 { skep_ir::Type::I64 } else { skep_ir::Type::I32 };
            let value = self.f().number(number, ty);
            let addr = to.clone().plus(at as i64);
            let ptr = self.accessed(addr);
            let width = skep_ir::Width::from_bytes(step as u32).unwrap_or(skep_ir::Width::W8);
            self.f().inst(InstData::Store { width, ptr, off: 0, value, volatile: false }, &[]);
            at += step;
        }
    }
}

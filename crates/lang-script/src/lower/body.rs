//! A function while its instructions come into being: entry, exits, variables.

use skep_diag::Span;
use skep_ir::{Block, Builder, Callee, Cond, InstData, Memory, Slot, Type as IrType, Value, Width};

use super::memory::{Scratch, Temps};
use super::{Unit, helpers};
use crate::check::tree::{self, Expr, Kind, Stmt, StmtKind};
use crate::types::Type;

/// What a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A program.
    Program,
    /// A function of the script; whether it has a result.
    Function(bool),
    /// The body of a loop over a map.
    Callback,
}

/// Where a variable lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In an object of its own.
    Slot(Slot),
    /// In the frame that callbacks share.
    Frame(u32),
    /// In the memory per processor.
    Scratch(u32),
}

/// Where `break` and `continue` lead.
#[derive(Debug, Clone, Copy)]
pub struct Loop {
    /// Behind the loop.
    pub after: Block,
    /// To the next time.
    pub next: Block,
}

/// What a program shares with its callbacks.
#[derive(Debug, Default)]
pub struct Shared {
    /// Where variables live.
    pub homes: Vec<Home>,
    /// Memory per processor.
    pub scratch: Scratch,
    /// Bytes of the frame that callbacks get; 0 if there are none.
    pub frame: u32,
    /// Whether the context is kept in the frame.
    pub has_context: bool,
}

/// In the frame that callbacks share: the context.
pub const FRAME_CONTEXT: u32 = 0;
/// In the frame: whether the program is to return.
pub const FRAME_RETURN: u32 = 8;
/// In the frame: a number that counts.
pub const FRAME_COUNT: u32 = 16;
/// In the frame: where variables begin.
pub const FRAME_VARS: u32 = 24;

/// Bytes of the stack for objects of a program without callbacks.
const LARGE_BUDGET: u32 = 320;
/// Bytes of the stack for objects of a callback or a function: frames on a chain of calls share 512 bytes.
const SMALL_BUDGET: u32 = 96;

/// A function while it comes into being.
pub struct Body<'u, 'a, 'f> {
    /// The module.
    pub cx: &'u mut Unit<'a>,
    /// Makes instructions.
    pub b: Builder<'f>,
    /// What was checked.
    pub checked: &'u tree::Unit,
    /// What it is.
    pub role: Role,
    /// What is shared with callbacks.
    pub state: Shared,
    /// Temporary objects.
    pub temps: Temps,
    /// The memory per processor.
    pub scratch: Value,
    /// Whether it is used.
    pub scratch_used: bool,
    /// The frame that callbacks share.
    frame: Option<Slot>,
    /// Whether the arguments of the probe are pointers whose types the verifier knows.
    pub is_typed: bool,
    /// The loops around.
    pub loops: Vec<Loop>,
    /// Whether the script's function or probe has a `while`.
    pub has_while: bool,
    start: Block,
}

impl<'u, 'a, 'f> Body<'u, 'a, 'f> {
    /// Begins a function.
    pub fn new(cx: &'u mut Unit<'a>, b: Builder<'f>, checked: &'u tree::Unit, role: Role) -> Self
    where
        'a: 'u,
    {
        Self::with_state(cx, b, checked, role, Shared::default())
    }

    /// Begins a callback that shares the state of a program.
    pub fn with_state(
        cx: &'u mut Unit<'a>,
        mut b: Builder<'f>,
        checked: &'u tree::Unit,
        role: Role,
        state: Shared,
    ) -> Self {
        // What the memory per processor is a value of is known when it is needed; the type of the pointer is mended then.
        let start = b.block(&[IrType::ptr(Memory::Record)]);
        let scratch = b.param(start, 0);
        b.switch_to(start);
        Self {
            cx,
            b,
            checked,
            role,
            state,
            temps: Temps::new(SMALL_BUDGET),
            scratch,
            scratch_used: false,
            frame: None,
            is_typed: false,
            loops: Vec::new(),
            has_while: super::control::has_while(&checked.body),
            start,
        }
    }

    /// Makes the whole function. `params` are the types of the parameters of a function of the script.
    pub fn run(&mut self, params: &[Type]) {
        let shared = has_map_loop(&self.checked.body) || self.checked.predicate.as_ref().is_some_and(expr_has_map_loop);
        self.place_variables(shared);
        for (index, ty) in params.iter().enumerate() {
            let value = self.b.function.params()[index];
            let home = self.home(u32::try_from(index).unwrap_or(u32::MAX));
            self.store_scalar(ty, home, value);
        }
        let checked = self.checked;
        if let Some(predicate) = &checked.predicate {
            let (run, leave) = (self.b.block(&[]), self.b.block(&[]));
            let mark = self.mark();
            self.cond(predicate, run, leave);
            self.release(mark);
            self.b.switch_to(leave);
            self.leave(None);
            self.b.switch_to(run);
        }
        self.stmts(&checked.body);
        if !self.b.is_closed() {
            self.leave(None);
        }
        self.entry();
    }

    /// Gives each variable its place. If there are callbacks, those that are small go into one object that they share.
    fn place_variables(&mut self, shared: bool) {
        const LARGEST_FRAME: u32 = 160;
        const MOST_IN_SLOTS: u32 = 192;
        self.temps.budget = match (self.role, shared) {
            (Role::Program, false) => LARGE_BUDGET,
            (Role::Program, true) => LARGEST_FRAME + SMALL_BUDGET,
            _ => SMALL_BUDGET,
        };
        let limit = self.cx.input.settings.on_stack_limit.max(8);
        let mut frame = FRAME_VARS;
        let checked = self.checked;
        for ty in &checked.vars {
            let size = self.size(ty).next_multiple_of(8).max(8);
            let home = if shared && size <= limit && frame + size <= LARGEST_FRAME {
                frame += size;
                Home::Frame(frame - size)
            } else if !shared && size <= limit && self.temps.stack + size <= MOST_IN_SLOTS.min(self.temps.budget) {
                Home::Slot(self.slot("variable", size))
            } else {
                // Variables are in front of all temporary objects, which come and go.
                let scratch = &mut self.state.scratch;
                scratch.next = scratch.next.saturating_add(size);
                scratch.most = scratch.next;
                Home::Scratch(scratch.next - size)
            };
            self.state.homes.push(home);
        }
        if shared {
            self.state.frame = frame;
            self.state.has_context = self.role == Role::Program;
            self.frame = Some(self.slot("frame", frame));
        }
    }

    /// The frame that callbacks share.
    pub fn frame_ptr(&mut self) -> Value {
        match (self.role, self.frame) {
            (Role::Callback, _) => self.b.function.params()[3],
            (_, Some(slot)) => self.b.slot_addr(slot),
            (_, None) => self.b.null(Memory::Stack),
        }
    }

    /// The context of the program.
    pub fn context(&mut self) -> Value {
        match self.role {
            Role::Callback => {
                let frame = self.frame_ptr();
                self.b.load_as(IrType::ptr(Memory::Context), Width::W64, false, frame, FRAME_CONTEXT as i16)
            }
            _ => self.b.function.params()[0],
        }
    }

    /// The first block, made when it is known what it has to prepare.
    pub fn entry(&mut self) {
        let entry = self.b.function.entry();
        self.b.switch_to(entry);
        if let Some(slot) = self.frame.filter(|_| self.state.frame > 0) {
            let frame = self.b.slot_addr(slot);
            self.b.fill(frame, self.state.frame, 0, 8);
            if self.state.has_context {
                let context = self.b.function.params()[0];
                self.b.store(Width::W64, frame, FRAME_CONTEXT as i16, context);
            }
        }
        if !self.scratch_used {
            self.b.function.retain_params(self.start, |_, _| false);
            self.b.jump(self.start, &[]);
            return;
        }
        let map = self.scratch_map();
        let bytes = self.state.scratch.most.next_multiple_of(8).max(8);
        let declared = &mut self.cx.module.maps[map.0 as usize];
        declared.value_size = declared.value_size.max(bytes);
        if bytes > 32 << 10 {
            let span = self.checked.body.first().map_or(Span::new(0, 0), |stmt| stmt.span);
            let message = format!("temporary values of this program take {bytes} bytes, at most 32768 fit");
            self.cx
                .problems
                .push(skep_diag::Diagnostic::error(span, message).with_help("smaller texts (`max_strlen`) help"));
        }
        let slot = self.b.function.add_slot("zero", 4, 4);
        let key = self.b.slot_addr(slot);
        let zero = self.b.i32(0);
        self.b.store(Width::W32, key, 0, zero);
        let address = self.b.map_addr(map);
        let memory = Memory::MapValue(map);
        let found = self.call(helpers::MAP_LOOKUP, &[address, key], IrType::nullable(memory));
        let null = self.b.null(memory);
        let (ready, missing) = (self.b.block(&[]), self.b.block(&[]));
        let found = self.b.branch_refining(Cond::Ne, found, null, ready, missing);
        self.b.switch_to(missing);
        self.leave_now(None);
        self.b.switch_to(ready);
        self.b.jump(self.start, &[found]);
        self.mend_scratch(memory);
    }

    /// Gives the memory per processor its type, now that its map is known, and all addresses that were made from it.
    fn mend_scratch(&mut self, memory: Memory) {
        let function = &mut *self.b.function;
        let mut old = vec![false; function.value_count()];
        old[self.scratch.0 as usize] = true;
        let mut found = vec![self.scratch];
        let insts: Vec<skep_ir::Inst> =
            function.blocks.iter().flat_map(|&block| function[block].insts.clone()).collect();
        // Addresses are made behind what they are made from, in the order of the numbers of instructions.
        let mut changed = true;
        while changed {
            changed = false;
            for &inst in &insts {
                let (InstData::PtrAdd(base, _) | InstData::PtrAddConst(base, _)) = function[inst].data else {
                    continue;
                };
                let result = function[inst].results[0];
                if old[base.0 as usize] && !old[result.0 as usize] {
                    old[result.0 as usize] = true;
                    found.push(result);
                    changed = true;
                }
            }
        }
        for value in found {
            function.set_type(value, IrType::ptr(memory));
        }
    }

    /// Leaves the function; from inside of a callback the program as well.
    pub fn leave(&mut self, value: Option<Value>) {
        if self.role == Role::Callback {
            let frame = self.frame_ptr();
            let one = self.b.i64(1);
            self.b.store(Width::W64, frame, FRAME_RETURN as i16, one);
        }
        self.leave_now(value);
    }

    fn leave_now(&mut self, value: Option<Value>) {
        match self.role {
            Role::Program => {
                let value = match value {
                    Some(value) => self.b.unary(skep_ir::Unary::Truncate, value),
                    None => self.b.i32(0),
                };
                self.b.ret(Some(value));
            }
            Role::Function(false) => self.b.ret(None),
            Role::Function(true) => {
                let value = value.unwrap_or_else(|| self.b.i64(0));
                self.b.ret(Some(value));
            }
            Role::Callback => {
                let stop = self.b.i64(1);
                self.b.ret(Some(stop));
            }
        }
    }

    /// A call of a helper with a result.
    pub fn call(&mut self, helper: u32, args: &[Value], result: IrType) -> Value {
        self.b.call(Callee::Helper(helper), args, result)
    }

    /// A call of a helper that gives 64 bits.
    pub fn call_i64(&mut self, helper: u32, args: &[Value]) -> Value {
        self.call(helper, args, IrType::I64)
    }

    /// A call of a helper without a result.
    pub fn call_void(&mut self, helper: u32, args: &[Value]) {
        self.b.call_void(Callee::Helper(helper), args);
    }

    /// Bytes of a type.
    pub fn size(&self, ty: &Type) -> u32 {
        self.cx.input.types.size_and_align(ty).0
    }

    /// The coming instructions come from here.
    pub fn at(&mut self, span: Span) {
        let loc = self.cx.loc(span);
        self.b.at(loc);
    }
}

/// Whether there is a loop over a map in statements.
pub fn has_map_loop(body: &[Stmt]) -> bool {
    body.iter().any(|stmt| match &stmt.kind {
        StmtKind::ForMap(..) => true,
        StmtKind::If(cond, yes, no) => expr_has_map_loop(cond) || has_map_loop(yes) || has_map_loop(no),
        StmtKind::While(cond, body) => expr_has_map_loop(cond) || has_map_loop(body),
        StmtKind::ForRange(_, start, end, body) => {
            expr_has_map_loop(start) || expr_has_map_loop(end) || has_map_loop(body)
        }
        StmtKind::Unroll(_, body) | StmtKind::Block(body) => has_map_loop(body),
        StmtKind::Expr(value) | StmtKind::SetVar(_, value) | StmtKind::Exit(value) | StmtKind::Return(Some(value)) => {
            expr_has_map_loop(value)
        }
        StmtKind::SetEntry(_, key, value) | StmtKind::Update(_, key, _, value) => {
            key.iter().any(expr_has_map_loop) || expr_has_map_loop(value)
        }
        StmtKind::Aggregate(_, key, value) => {
            key.iter().any(expr_has_map_loop) || value.as_ref().is_some_and(expr_has_map_loop)
        }
        StmtKind::Send(_, args) => args.iter().any(expr_has_map_loop),
        StmtKind::Clear(_) | StmtKind::Break | StmtKind::Continue | StmtKind::Return(None) => false,
    })
}

fn expr_has_map_loop(expr: &Expr) -> bool {
    let mut found = false;
    expr.visit(&mut |inner| match &inner.kind {
        Kind::Block(body, _) => found |= has_map_loop(body),
        Kind::Builtin(tree::Call::Entries(_)) => found = true,
        _ => {}
    });
    found
}

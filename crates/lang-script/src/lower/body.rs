//! A function while its instructions come into being: entry, exits, variables.

use skep_diag::Span;
use skep_ir::{Block, Builder, Callee, Cond, InstData, Memory, Slot, Type as IrType, Value, Width};

use super::memory::{Scratch, Temps};
use super::{Unit, helpers};
use crate::check::tree::{self, Kind, Part, StmtKind};
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
    /// Callbacks around.
    pub depth: u32,
}

/// In the frame that callbacks share: the context.
pub const FRAME_CONTEXT: u32 = 0;
/// In the frame: what is to be left.
pub const FRAME_RETURN: u32 = 8;
/// What is to be left: the program, or the function of the script itself.
pub const LEAVE_PROGRAM: i64 = 1;
/// What is to be left: the function that stands in place of its call around the loop.
pub const LEAVE_INLINE: i64 = 2;
/// In the frame: a number that counts.
pub const FRAME_COUNT: u32 = 16;
/// In the frame: what the program or function returns that is left.
pub const FRAME_RESULT: u32 = 24;
/// In the frame: where ranges start, one for each of the loops around.
pub const FRAME_STARTS: u32 = 32;
/// In the frame: where variables begin.
pub const FRAME_VARS: u32 = FRAME_STARTS + 8 * MOST_CALLBACKS;

/// Most callbacks inside of one another that are made for `while` and ranges.
pub const MOST_CALLBACKS: u32 = 3;

/// Bytes of the stack for objects of a program without callbacks.
const LARGE_BUDGET: u32 = 320;
/// Bytes of the stack for objects of a function: frames on a chain of calls share 512 bytes.
const SMALL_BUDGET: u32 = 96;
/// The same for callbacks, by the number of those around.
const CALLBACK_BUDGETS: [u32; 3] = [96, 48, 16];

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
    /// The ends of the functions that stand in place of their calls here, the innermost one last.
    pub inlines: Vec<Block>,
    /// Whether the script's function or probe has a loop whose rounds the verifier does not tell apart: what a variable
    /// holds in front of it must not be known then.
    pub has_loop: bool,
    /// The process that alone the program runs for.
    pub only_process: Option<u32>,
    /// The statement or call whose instructions are made.
    pub span: Span,
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
        let budget = match state.depth.checked_sub(1) {
            Some(around) => CALLBACK_BUDGETS[CALLBACK_BUDGETS.len().min(around as usize + 1) - 1],
            None => SMALL_BUDGET,
        };
        let start = b.block(&[IrType::ptr(Memory::Record)]);
        let scratch = b.param(start, 0);
        b.switch_to(start);
        Self {
            cx,
            b,
            checked,
            role,
            state,
            temps: Temps::new(budget),
            scratch,
            scratch_used: false,
            frame: None,
            is_typed: false,
            loops: Vec::new(),
            inlines: Vec::new(),
            has_loop: super::control::has_loop(&checked.body),
            only_process: None,
            span: Span::new(0, 0),
            start,
        }
    }

    /// Makes the whole function. `params` are the types of the parameters of a function of the script.
    pub fn run(&mut self, params: &[Type]) {
        let mut shared = false;
        let mut see = |part: Part<'_>| shared |= needs_frame(part);
        tree::visit_all(&self.checked.body, &mut see);
        if let Some(predicate) = &self.checked.predicate {
            tree::visit_expr(predicate, &mut see);
        }
        self.place_variables(shared);
        for (index, ty) in params.iter().enumerate() {
            let value = self.b.function.params()[index];
            let home = self.home(u32::try_from(index).unwrap_or(u32::MAX));
            self.store_scalar(ty, home, value);
        }
        if let Some(process) = self.only_process {
            self.leave_others(process);
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

    /// Leaves the program unless it runs for this process.
    fn leave_others(&mut self, process: u32) {
        let (run, leave) = (self.b.block(&[]), self.b.block(&[]));
        let mark = self.mark();
        let found = self.id(true);
        let wanted = self.b.i64(process.into());
        self.b.branch(Cond::Eq, found, wanted, run, leave);
        self.release(mark);
        self.b.switch_to(leave);
        self.leave(None);
        self.b.switch_to(run);
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
            (Role::Callback, _) => {
                let params = self.b.function.params();
                params[params.len() - 1]
            }
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
            self.mark_to_leave(LEAVE_PROGRAM);
            if let Some(value) = value {
                let frame = self.frame_ptr();
                self.b.store(Width::W64, frame, FRAME_RESULT as i16, value);
            }
        }
        self.leave_now(value);
    }

    /// Says in the frame what is to be left.
    pub fn mark_to_leave(&mut self, what: i64) {
        let frame = self.frame_ptr();
        let what = self.b.i64(what);
        self.b.store(Width::W64, frame, FRAME_RETURN as i16, what);
    }

    /// Leaves this function of the kernel alone.
    pub fn leave_now(&mut self, value: Option<Value>) {
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
        self.span = span;
        let loc = self.cx.loc(span);
        self.b.at(loc);
    }
}

/// Whether something in statements needs the frame that callbacks share: a loop, the number of entries of a map.
fn needs_frame(part: Part<'_>) -> bool {
    match part {
        Part::Stmt(stmt) => matches!(stmt.kind, StmtKind::ForMap(..) | StmtKind::While(..) | StmtKind::ForRange(..)),
        Part::Expr(expr) => matches!(expr.kind, Kind::Builtin(tree::Call::Entries(_))),
    }
}

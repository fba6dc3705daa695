//! The walk over all paths: depth first, with states kept at joins so that a path ends where another one has been
//! (`do_check`, `is_state_visited`).

use skep_isa::ebpf::{Callee, Imm64, Op};
use skep_object::{MapSpec, Object, Program};

use crate::code::{Code, Turn};
use crate::exceptions;
use crate::live;
use crate::loader::Loader;
use crate::masks::Guards;
use crate::memory::Class;
use crate::needs;
use crate::noted::Noted;
use crate::operations::{self, Operation};
use crate::precision::{Entry, Place, Wanted};
use crate::profile::{Hook, Kernel};
use crate::reject::{Reason, Rejection, Step, Stop};
use crate::rules;
use crate::slots::Slots;
use crate::state::State;
use crate::types::{Field, Types};
use crate::{Terms, loader};

/// Instructions on all paths together (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const MAX_PROCESSED: u64 = 1_000_000;
/// Branches that are open on one path (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`).
const MAX_PENDING: usize = 8192;

/// A state that was kept at a join.
#[derive(Debug)]
pub struct Kept {
    /// The state.
    pub state: State,
    /// The one before it on its path.
    pub parent: Option<u32>,
    /// The instructions from there to here.
    pub trace: Vec<Entry>,
    /// Slots of the stack that are read behind it.
    pub read: Slots,
    /// Slots that were overwritten between the state before it and this one.
    pub written: Slots,
    /// Paths from here that have not ended.
    pub branches: u32,
    /// The instruction.
    pub at: u32,
    /// States before it on its path.
    pub depth: u32,
    /// The state with which the loop began that this one is in, if the loop is not done.
    pub loop_entry: Option<u32>,
    /// How often it covered another state.
    pub hits: u32,
    /// How often it did not.
    pub misses: u32,
    /// Whether others are compared with it.
    pub listed: bool,
    /// Instructions on the longest path from here.
    pub longest: u64,
}

impl Kept {
    /// Frees what nobody asks for any more: the way to it once all paths from it have ended, and the state too if no other
    /// is compared with it.
    pub fn drop_unneeded(&mut self) {
        if self.branches == 0 {
            self.trace = Vec::new();
            if !self.listed {
                self.state.frames = Vec::new();
            }
        }
    }
}

/// A branch that is taken later.
#[derive(Debug)]
struct Pending {
    state: State,
    at: u32,
    parent: Option<u32>,
    trace: Vec<Entry>,
    written: Slots,
    loop_entry: Option<u32>,
}

/// What comes behind an instruction.
#[derive(Debug)]
pub enum Flow {
    /// The instruction at a slot.
    Next(u32),
    /// The path ends well.
    End,
}

/// A program that is looked at.
pub struct Verifier<'a> {
    /// The instructions.
    pub code: Code,
    /// The program.
    pub program: &'a Program,
    /// The maps: those of the object, then their inner ones.
    pub maps: Vec<&'a MapSpec>,
    /// The inner map of each map of maps.
    pub inner: Vec<Option<u32>>,
    /// For each map the fields of its values that only the kernel touches.
    pub fields: Vec<Vec<Field>>,
    /// Types.
    pub types: Types,
    /// What the kernel allows at the hook.
    pub hook: &'a Hook,
    /// The kernel.
    pub kernel: Kernel,
    /// Whether it is older than instructions of the program that it refuses where a path comes to them.
    pub old: bool,
    /// The capabilities of the process that loads the program.
    pub loader: Loader,
    /// Whether arithmetic with pointers is refused.
    pub no_pointer_arithmetic: bool,
    /// Whether the kernel tells addresses of its variables, if that is known.
    pub variables: Option<bool>,
    /// What is done about speculative execution.
    pub guarded: Guards,
    /// Whether numbers count exactly, because masks depend on them (`explore_alu_limits`).
    pub explores: bool,
    /// Whether the licence is compatible with the GPL.
    pub gpl: bool,
    /// Registers that are still read.
    pub live: Vec<u16>,
    /// States that were kept.
    pub kept: Vec<Kept>,
    /// Those at each instruction.
    pub at: Vec<Vec<u32>>,
    pending: Vec<Pending>,
    /// The last state that was kept on this path.
    pub parent: Option<u32>,
    /// The instructions since then.
    pub trace: Vec<Entry>,
    /// Slots of the stack that were overwritten since then.
    pub written: Slots,
    /// Instructions that were looked at.
    pub processed: u64,
    /// Jumps that were looked at.
    pub jumps: u64,
    /// Their number when a state was kept last.
    pub last_jumps: u64,
    /// The number of instructions then.
    pub last_processed: u64,
    next_id: u32,
    /// Deepest stack of each function in bytes.
    pub stack: Vec<u32>,
    /// What each instruction accesses.
    pub classes: Vec<Option<Class>>,
    /// Whether the program reaches memory, or rests on what is in it, that only a kernel has like this.
    pub leans_on_kernel: bool,
    /// Functions that make tail calls.
    pub tail_calls: Vec<bool>,
    /// Functions that are verified by themselves.
    pub globals: Vec<bool>,
    /// Those that were called.
    pub called: Vec<bool>,
    /// Functions that the kernel calls later.
    pub later: Vec<bool>,
    /// Functions that the kernel calls at all.
    pub called_back: Vec<bool>,
    /// The state with which the unfinished loop began that the path is in.
    pub loop_entry: Option<u32>,
    /// The operation that the program implements.
    pub operation: Option<Operation>,
    /// The function that exceptions end in.
    pub exceptions: Option<u32>,
    /// For each function where its address was taken first.
    pub named: Vec<Option<u32>>,
    /// Functions that were begun.
    entered: Vec<bool>,
    /// Whether the program may sleep.
    pub sleeps: bool,
    /// Who wants to know what is known at each instruction.
    pub noted: Option<&'a mut Noted>,
    /// Instructions on the longest path.
    longest: u64,
}

impl<'a> Verifier<'a> {
    /// A program before its first instruction.
    ///
    /// # Errors
    /// If it has no valid shape.
    pub fn new(
        object: &'a Object,
        program: &'a Program,
        hook: &'a Hook,
        kernel: Kernel,
        types: Types,
        globals: Vec<bool>,
        terms: &Terms<'_>,
    ) -> Result<Self, Rejection> {
        let callback = exceptions::callback(types.own.as_deref(), program, kernel);
        let callback = callback.map_err(|reason| Rejection::at(0, reason))?;
        let mut code = Code::new(&program.insns, callback)?;
        let loader = terms.loader.on(kernel);
        if !loader.bpf
            && let Some(at) = loader::first_loop(&code)
        {
            let reason = Reason::Capability { what: "loops".to_owned(), capability: "CAP_BPF" };
            return Err(Rejection::at(at, reason));
        }
        if kernel < Kernel::V6_12
            && let Some(at) = loader::first_fall_back(&code)
        {
            return Err(Rejection::at(at, Reason::Rule(&rules::LOOP_FALL)));
        }
        mark_turns(&mut code, &types);
        let mut maps: Vec<&MapSpec> = object.maps.iter().collect();
        let mut inner = vec![None; maps.len()];
        for (index, map) in object.maps.iter().enumerate() {
            if let Some(template) = &map.inner {
                inner[index] = u32::try_from(maps.len()).ok();
                maps.push(template);
                inner.push(None);
            }
        }
        let fields = maps.iter().map(|map| fields_of_map(map, &types)).collect();
        let slots = code.ops.len();
        let functions = code.functions.len();
        let unmet = |(at, op): (u32, &Option<Op>)| op.and_then(|op| needs::unmet_on_path(op, at, kernel.release()));
        let old = (0..).zip(&code.ops).filter_map(unmet).next().is_some();
        Ok(Self {
            live: live::live(&code),
            operation: operations::operation(object, program, &types),
            exceptions: callback.and_then(|at| code.function_at(at)),
            code,
            program,
            maps,
            inner,
            fields,
            types,
            hook,
            kernel,
            old,
            loader,
            no_pointer_arithmetic: terms.no_pointer_arithmetic,
            variables: terms.variables,
            guarded: Guards::new(slots),
            explores: false,
            gpl: is_gpl(&object.license),
            kept: Vec::new(),
            at: vec![Vec::new(); slots],
            pending: Vec::new(),
            parent: None,
            trace: Vec::new(),
            written: Slots::default(),
            processed: 0,
            jumps: 0,
            last_jumps: 0,
            last_processed: 0,
            next_id: 0,
            stack: vec![0; functions],
            classes: vec![None; slots],
            leans_on_kernel: false,
            tail_calls: vec![false; functions],
            globals,
            called: vec![false; functions],
            later: vec![false; functions],
            called_back: vec![false; functions],
            named: vec![None; functions],
            entered: vec![false; functions],
            loop_entry: None,
            sleeps: program.flags.0 & skep_object::ProgFlags::SLEEPABLE.0 != 0,
            noted: None,
            longest: 0,
        })
    }

    /// A new id.
    pub fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Walks all paths.
    ///
    /// # Errors
    /// The first instruction that cannot be executed, and why.
    pub fn run(&mut self) -> Result<(), (u32, Stop)> {
        self.check_operation()?;
        self.check_maps()?;
        self.check_exceptions()?;
        self.walk(self.first_state(), 0)?;
        // Before 6.8 all of them are verified, then those that are called.
        if self.kernel < Kernel::V6_12 {
            self.called.clone_from(&self.globals);
        }
        let mut done = vec![false; self.called.len()];
        while let Some(function) = (0..done.len()).find(|index| self.called[*index] && !done[*index]) {
            done[function] = true;
            let function = u32::try_from(function).unwrap_or(u32::MAX);
            let start = self.code.extent(function).0;
            let begin = self.begin_global(function).map_err(|stop| (start, stop))?;
            // States of other functions say nothing about this one.
            self.at.iter_mut().for_each(Vec::clear);
            self.kept.clear();
            (self.parent, self.loop_entry) = (None, None);
            self.trace.clear();
            self.written = Slots::default();
            self.walk(State { sleeps: self.sleeps, ..begin }, start)?;
        }
        // The kernel leaves out what it never reaches, and then misses the last function if its address is taken: that of
        // another one is taken for the next. It does not look if only the main function is left.
        if !self.entered.iter().skip(1).any(|entered| *entered) {
            return Ok(());
        }
        let behind = self.entered.iter().rposition(|entered| *entered).map_or(0, |last| last + 1);
        let left_out = self.named.iter().zip(&self.entered).enumerate().filter(|(_, (_, entered))| !**entered);
        match left_out.filter_map(|(index, (named, _))| Some((index, (*named)?))).next_back() {
            Some((index, at)) if index >= behind => Err((at, Reason::Rule(&rules::CALLBACK_UNUSED).into())),
            Some((_, at)) => Err((at, Stop::Undecided("functions between others that nothing calls"))),
            None => Ok(()),
        }
    }

    fn walk(&mut self, mut state: State, mut at: u32) -> Result<(), (u32, Stop)> {
        loop {
            self.processed += 1;
            if self.processed > MAX_PROCESSED {
                return Err((at, Reason::TooComplex.into()));
            }
            let covered =
                if self.code.prune[at as usize] { self.visited(at, &state).map_err(|stop| (at, stop))? } else { None };
            let flow = if covered.is_some() {
                Flow::End
            } else {
                if let Some(noted) = &mut self.noted {
                    noted.note(at, &state);
                }
                self.trace.push(Entry { at, depth: state.depth(), stack: None, linked: None });
                let op = self.code.op(at).ok_or((at, Stop::Reject(Reason::JumpOutside)))?;
                if let Some(function) = self.code.function_at(at) {
                    self.entered[function as usize] = true;
                }
                self.jumps += u64::from(is_jump(op));
                if self.ends_guess(&state, at) {
                    Flow::End
                } else {
                    let flow = self.step(&mut state, at, op);
                    self.guess(&state, at, flow).map_err(|stop| (at, stop))?
                }
            };
            match flow {
                Flow::Next(next) => at = next,
                Flow::End => {
                    self.end_path(covered.map_or(0, |kept| self.kept[kept as usize].longest));
                    let Some(next) = self.pending.pop() else { return Ok(()) };
                    (state, at, self.parent, self.trace) = (next.state, next.at, next.parent, next.trace);
                    (self.loop_entry, self.written) = (next.loop_entry, next.written);
                }
            }
        }
    }

    /// The branches for later, which are forgotten.
    pub fn take_pending(&mut self) -> Vec<(State, u32)> {
        std::mem::take(&mut self.pending).into_iter().map(|pending| (pending.state, pending.at)).collect()
    }

    /// A branch for later.
    ///
    /// # Errors
    /// If there are too many.
    pub fn push(&mut self, state: State, at: u32) -> Step<()> {
        if self.pending.len() >= MAX_PENDING {
            return Err(Reason::TooManyBranches.into());
        }
        if let Some(parent) = self.parent {
            self.kept[parent as usize].branches += 1;
        }
        let (parent, trace, loop_entry) = (self.parent, self.trace.clone(), self.loop_entry);
        self.pending.push(Pending { state, at, parent, trace, written: self.written, loop_entry });
        Ok(())
    }

    /// A way that begins anew: nothing before it matters.
    ///
    /// # Errors
    /// If there are too many.
    pub fn push_fresh(&mut self, state: State, at: u32) -> Step<()> {
        if self.pending.len() >= MAX_PENDING {
            return Err(Reason::TooManyBranches.into());
        }
        self.pending.push(Pending {
            state,
            at,
            parent: None,
            trace: Vec::new(),
            written: Slots::default(),
            loop_entry: None,
        });
        Ok(())
    }

    /// Notes which slot of the stack the instruction accesses.
    pub fn note_stack(&mut self, depth: u8, slot: usize) {
        if let Some(entry) = self.trace.last_mut() {
            entry.stack = u8::try_from(slot).ok().map(|slot| (depth, slot));
        }
    }

    /// Notes which numbers are copies of one another at a branch.
    pub fn note_linked(&mut self, places: &[Place]) {
        if let Some(entry) = self.trace.last_mut() {
            entry.linked = (places.len() > 1).then(|| places.into());
        }
    }

    /// Marks a register of the running function and what it comes from.
    pub fn precise(&mut self, state: &State, reg: u8) {
        if state.reg(reg.into()).is_number() {
            self.mark_precise(Wanted::of(&[Place::Reg(state.depth(), reg)]), 1);
        }
    }

    /// A path ends; `behind` instructions are on the longest one of the state that covers it.
    fn end_path(&mut self, behind: u64) {
        let mut length = self.trace.len() as u64 + behind;
        let mut parent = self.parent;
        if let (Some(above), Some(entry)) = (parent, self.loop_entry) {
            let known = self.kept[above as usize].loop_entry;
            self.kept[above as usize].loop_entry = self.outer(known, entry, Some(above));
        }
        while let Some(index) = parent {
            let kept = &mut self.kept[index as usize];
            kept.longest = kept.longest.max(length);
            kept.branches -= 1;
            if kept.branches > 0 {
                return;
            }
            length = kept.trace.len() as u64 + kept.longest;
            parent = kept.parent;
            kept.drop_unneeded();
            if let (Some(above), Some(entry)) = (parent, kept.loop_entry) {
                let known = self.kept[above as usize].loop_entry;
                self.kept[above as usize].loop_entry = self.outer(known, entry, Some(above));
            }
        }
        self.longest = self.longest.max(length);
    }

    /// Instructions on the longest path, if paths are what runs: the kernel repeats loops of iterators, callbacks and
    /// `may_goto` more often than they are walked through, and functions that are verified by themselves are not on the
    /// paths of their callers.
    pub fn longest(&self) -> Option<u64> {
        let repeats = self.code.ops.iter().flatten().any(|op| {
            matches!(
                op,
                Op::MayGoto { .. } | Op::Call(Callee::Kfunc { .. }) | Op::LoadImm { value: Imm64::Func(_), .. }
            )
        });
        (!repeats && !self.globals.contains(&true)).then_some(self.longest)
    }

    /// The branches on the way to where the walk stands: slot, and whether the jump was taken.
    pub fn path(&self) -> Vec<(u32, bool)> {
        let all = self.way();
        let mut path = Vec::new();
        for pair in all.windows(2) {
            if matches!(self.code.op(pair[0].at), Some(Op::JumpIf { .. })) {
                path.push((pair[0].at, pair[1].at != pair[0].at + 1));
            }
        }
        path
    }
}

/// Functions of the kernel with which rounds of loops begin.
fn mark_turns(code: &mut Code, types: &Types) {
    let Some(kernel) = &types.kernel else { return };
    for at in 0..code.slots() {
        let Some(Op::Call(Callee::Kfunc { id, module: 0 })) = code.op(at) else { continue };
        let name = u32::try_from(id).ok().and_then(|id| kernel.name(skep_btf::TypeId(id)).ok());
        match name.map(|name| (name, crate::kfuncs::by_name(name))) {
            Some((_, Some(kfunc))) if kfunc.next => code.turn(at, Turn::Iterator),
            Some(("bpf_rbtree_add_impl", _)) => code.turn(at, Turn::Callback),
            Some(("bpf_wq_set_callback_impl", _)) => code.mark(at),
            _ => {}
        }
    }
}

/// The fields of a map's values that only the kernel touches.
fn fields_of_map(map: &MapSpec, types: &Types) -> Vec<Field> {
    match (&types.own, map.value_type) {
        (Some(own), Some(ty)) => crate::types::fields(own, skep_btf::TypeId(ty)),
        _ => Vec::new(),
    }
}

fn is_jump(op: Op) -> bool {
    matches!(
        op,
        Op::Goto { .. } | Op::GotoLong { .. } | Op::JumpIf { .. } | Op::MayGoto { .. } | Op::Call(_) | Op::Exit
    )
}

/// Licences that the kernel takes for the GPL (`license_is_gpl_compatible`).
fn is_gpl(licence: &str) -> bool {
    matches!(licence, "GPL" | "GPL v2" | "GPL and additional rights" | "Dual BSD/GPL" | "Dual MIT/GPL" | "Dual MPL/GPL")
}

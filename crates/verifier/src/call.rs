//! Calls of helpers: who may call them where, on which maps, and what they leave (`check_helper_call`).

use skep_isa::helpers::{self, Access as Use, Helper};
use skep_isa::{AttachType, MapType, ProgType};

use crate::loader;
use crate::reg::Reg;
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::special::Given;
use crate::state::State;
use crate::types::Field;

/// What the arguments of a call have told.
#[derive(Debug, Default)]
pub struct Seen {
    /// The call.
    pub at: u32,
    /// The map of the timer that was passed.
    pub timer: Option<u32>,
    /// The map that was passed.
    pub map: Option<u32>,
    /// The key of it, if it is a constant.
    pub key: Option<u64>,
    /// Memory that waits for its size: register and use.
    pub memory: Option<(u8, Use)>,
    /// Memory that the helper fills: register and size.
    pub filled: Vec<(u8, u32)>,
    /// The greatest size that was passed.
    pub most: u64,
    /// A size that is a constant.
    pub constant: u32,
    /// A reference that ends here.
    pub released: Option<u32>,
    /// A reference that the result is a part of.
    pub reference: u32,
    /// The callback.
    pub callback: Option<u32>,
    /// The type of the variable of each processor that was passed.
    pub variable: Option<u32>,
    /// A dynptr that was passed.
    pub dynptr: Option<Given>,
    /// A dynptr that ends here.
    pub ended: Option<Given>,
    /// A place on the stack that becomes a dynptr.
    pub made: Option<u8>,
    /// The field of a map value that is exchanged, and whether something is put there.
    pub field: Option<Field>,
}

impl Verifier<'_> {
    /// Whether the program is attached to a function of the kernel (`check_get_func_ip`).
    fn is_at_function(&self) -> bool {
        let typed = [AttachType::TraceFentry, AttachType::TraceFexit, AttachType::ModifyReturn];
        match self.program.prog_type {
            ProgType::Kprobe => true,
            ProgType::Tracing => self.program.attach_type.is_some_and(|attach| typed.contains(&attach)),
            _ => false,
        }
    }

    /// `call HELPER`
    pub fn helper(&mut self, state: &mut State, at: u32, id: i32) -> Step<()> {
        let number = u32::try_from(id).map_err(|_| Reason::NoHelper(id))?;
        let helper = helpers::by_id(number).ok_or(Reason::NoHelper(id))?;
        if !self.hook.has_helper(number) {
            let doubtful = self.hook.may_have_helper(number);
            match self.has_doubtful(helper.name).filter(|_| doubtful) {
                Some(true) => {}
                Some(false) => return Err(Reason::HelperRefused(number).into()),
                None if doubtful => {
                    return Err(Stop::Undecided("a helper of which it is not known when this hook got it"));
                }
                // Some are only there for programs that may sleep, or at hooks that were not asked.
                None if helper.may_sleep || self.program.flags != skep_object::ProgFlags::default() => {
                    return Err(Stop::Undecided("helpers of programs that may sleep"));
                }
                None => return Err(Reason::HelperRefused(number).into()),
            }
        }
        if helper.name == "get_func_ip" && !self.is_at_function() {
            return Err(Reason::HelperRefused(number).into());
        }
        if let Some(capability) = loader::missing_for(helper, self.program.prog_type, self.kernel, self.loader) {
            return Err(Reason::Capability { what: format!("calls of {}", helper.name), capability }.into());
        }
        if helper.gpl_only && !self.gpl {
            return Err(Reason::Licence(number).into());
        }
        let Some(signature) = helper.signature(self.program.prog_type) else {
            return Err(Stop::Undecided("a helper without a signature"));
        };
        let mut seen = Seen { at, ..Seen::default() };
        for (index, arg) in signature.args.iter().enumerate() {
            let reg = u8::try_from(index + 1).unwrap_or(5);
            self.argument(state, helper, reg, *arg, &mut seen)?;
        }
        self.suits_map(helper, &seen)?;
        for (reg, size) in std::mem::take(&mut seen.filled) {
            self.fill_memory(state, reg, size)?;
        }
        self.check_regions(state, helper)?;
        if helper.name == "snprintf" {
            self.format(state)?;
        }
        if helper.name == "get_local_storage" && !state.reg(2).is_zero() {
            return Err(Reason::Rule(&rules::STORAGE_FLAGS).into());
        }
        if let Some(function) = seen.callback {
            self.helper_callback(state, at, helper, function)?;
        }
        self.helper_dynptrs(state, at, helper, &seen)?;
        if helper.name == "tail_call" {
            self.holds_nothing(state)?;
            self.one_map(at, seen.map)?;
            self.tail_calls[state.current().function as usize] = true;
        }
        if let Some(reference) = seen.released
            && !state.release(reference, self.lost())
        {
            return Err(Reason::NotHeld(1).into());
        }
        if helper.moves_packet() {
            state.forget_packet(self.lost());
        }
        for reg in 0..6 {
            state.set(reg, Reg::UNSET);
        }
        let result = self.result(state, at, helper, signature.result, &seen)?;
        state.set(0, result);
        Ok(())
    }

    /// Whether the helper works on the map (`check_map_func_compatibility`).
    fn suits_map(&self, helper: &Helper, seen: &Seen) -> Step<()> {
        let Some(map) = seen.map else { return Ok(()) };
        let spec = self.maps[map as usize];
        let facts = skep_isa::maps::facts(spec.map_type);
        let any = helper.name.starts_with("timer_")
            || (helper.name == "map_delete_elem" && matches!(spec.map_type, MapType::Array | MapType::PercpuArray));
        let sockets = matches!(spec.map_type, MapType::Sockmap | MapType::Sockhash);
        let changes = matches!(helper.name, "map_update_elem" | "map_delete_elem");
        if sockets && changes && !self.may_change_sockets(helper) {
            return Err(Reason::MapKind { helper: helper.id, map }.into());
        }
        if !any && !facts.helpers.contains(&helper.name) {
            return Err(Reason::MapKind { helper: helper.id, map }.into());
        }
        let writes = matches!(helper.name, "map_update_elem" | "map_delete_elem" | "map_push_elem" | "map_pop_elem");
        if writes {
            self.map_access(map, true)?;
        }
        Ok(())
    }

    /// Whether programs of this type change maps of sockets by the general helpers (`may_update_sockmap`).
    fn may_change_sockets(&self, helper: &Helper) -> bool {
        match self.program.prog_type {
            ProgType::Tracing => self.program.attach_type == Some(AttachType::TraceIter),
            ProgType::SockOps => helper.name == "map_delete_elem",
            ProgType::SocketFilter
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::Xdp
            | ProgType::SkReuseport
            | ProgType::FlowDissector
            | ProgType::SkLookup => true,
            _ => false,
        }
    }
}

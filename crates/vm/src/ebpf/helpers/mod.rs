//! Helper functions: the one table of those that exist outside the kernel, and the registry that a machine is made with.
//!
//! Numbers and meanings are those of `linux/bpf.h`; failures return the kernel's negative error numbers. A helper is a
//! safe function on a [`Machine`]; around it stands an entry with the calling convention of compiled code, in which
//! registers 1 to 5 are the first five arguments and the state of the run is the sixth.

mod basic;
mod map;

pub(crate) use map::tail_call;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::fault::FaultKind;
use super::machine::Machine;
use super::state::{Outcome, State};

/// A helper: takes registers 1 to 5 and gives register 0.
pub type HelperFn = dyn Fn(&mut Machine, [u64; 5]) -> Result<u64, FaultKind> + Send + Sync;

/// How executors call a helper.
pub(crate) type Entry = unsafe extern "C" fn(u64, u64, u64, u64, u64, *mut State) -> Outcome;

/// One helper that a program may call.
#[derive(Clone)]
pub(crate) struct Helper {
    /// Its number in call instructions.
    pub(crate) id: i32,
    /// Number of arguments, 0 to 5: what it reads of registers 1 to 5.
    pub(crate) arguments: u8,
    pub(crate) entry: Entry,
    /// What [`call_registered`] calls.
    registered: Option<Arc<HelperFn>>,
    /// What executors know about it.
    pub(crate) kind: Kind,
}

/// What executors know about a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: it is called.
    Plain,
    /// It looks a key up in a map: compiled code may do that itself.
    MapLookup,
    /// It may call functions of the program.
    CallsBack,
    /// It goes on in another program.
    TailCall,
    /// It was registered by the user of the library: [`State::helper`] says which one is meant.
    Registered,
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Helper").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The helpers that a program may call, by number.
#[derive(Debug, Clone, Default)]
pub struct Helpers {
    /// Ordered by number.
    rows: Vec<Helper>,
}

/// Makes the entry around a helper.
macro_rules! builtin {
    ($id:literal, $arguments:literal, $kind:ident, $function:path) => {{
        unsafe extern "C" fn entry(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, state: *mut State) -> Outcome {
            // SAFETY: executors pass the state of the run, whose machine is not in use while it executes a program.
            let machine = unsafe { &mut *(*state).machine };
            let result = $function(machine, [r1, r2, r3, r4, r5]);
            // SAFETY: as above.
            unsafe { finish(state, result) }
        }
        Helper { id: $id, arguments: $arguments, entry, registered: None, kind: Kind::$kind }
    }};
}

// TABLE
/// Every helper of the kernel that exists here: number, arguments, what executors know, function.
const BUILTIN: &[Helper] = &[
    builtin!(1, 2, MapLookup, map::lookup_elem),
    builtin!(2, 4, Plain, map::update_elem),
    builtin!(3, 2, Plain, map::delete_elem),
    builtin!(7, 0, Plain, basic::get_prandom_u32),
    builtin!(8, 0, Plain, basic::get_smp_processor_id),
    builtin!(12, 3, TailCall, map::tail_call),
    builtin!(26, 4, Plain, basic::skb_load_bytes),
];

impl Helpers {
    /// No helpers.
    pub const fn none() -> Self {
        Self { rows: Vec::new() }
    }

    /// All helpers of the kernel that exist outside of it.
    pub fn kernel() -> Self {
        Self { rows: BUILTIN.to_vec() }
    }

    /// With one more helper; it replaces one of the same number. It is taken to read all of registers 1 to 5.
    #[must_use]
    pub fn with(
        self,
        id: i32,
        helper: impl Fn(&mut Machine, [u64; 5]) -> Result<u64, FaultKind> + Send + Sync + 'static,
    ) -> Self {
        let row = Helper {
            id,
            arguments: 5,
            entry: call_registered,
            registered: Some(Arc::new(helper)),
            kind: Kind::Registered,
        };
        self.put(row)
    }

    fn put(mut self, row: Helper) -> Self {
        match self.rows.binary_search_by_key(&row.id, |row| row.id) {
            Ok(at) => self.rows[at] = row,
            Err(at) => self.rows.insert(at, row),
        }
        self
    }

    /// The index of the helper with this number, for [`at`](Self::at).
    pub(crate) fn find(&self, id: i32) -> Option<u32> {
        self.rows.binary_search_by_key(&id, |row| row.id).ok().and_then(|index| u32::try_from(index).ok())
    }

    pub(crate) fn at(&self, index: u32) -> Option<&Helper> {
        self.rows.get(index as usize)
    }

    /// The entries of all helpers.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.rows.iter().map(|row| row.entry)
    }

    /// Number of arguments of the helper at an index.
    pub(crate) fn argument_count(&self, index: u32) -> u8 {
        self.at(index).map_or(5, |row| row.arguments)
    }
}

/// The entry of all registered helpers.
unsafe extern "C" fn call_registered(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, state: *mut State) -> Outcome {
    // SAFETY: executors pass the state of the run, whose machine is not in use while it executes a program.
    let (machine, index) = unsafe { (&mut *(*state).machine, (*state).helper as u32) };
    let helper = machine.shared().helpers.at(index).and_then(|row| row.registered.clone());
    let result = match helper {
        // A panic must not unwind through compiled code; the thread that started the run goes on with it.
        Some(helper) => {
            catch_unwind(AssertUnwindSafe(|| helper(machine, [r1, r2, r3, r4, r5]))).unwrap_or_else(|payload| {
                machine.panic = Some(payload);
                Err(FaultKind::HelperPanicked)
            })
        }
        None => Err(FaultKind::BadCallTarget(index.into())),
    };
    // SAFETY: as above.
    unsafe { finish(state, result) }
}

/// Turns the result of a helper into what executors look at.
///
/// # Safety
/// `state` is the state of a living space.
#[inline(always)]
pub(crate) unsafe fn finish(state: *mut State, result: Result<u64, FaultKind>) -> Outcome {
    match result {
        Ok(value) => Outcome { value, stop: 0 },
        Err(fault) => {
            // SAFETY: the state is valid, and only this thread uses it.
            unsafe { (*state).fault = Some(fault) };
            Outcome { value: 0, stop: 1 }
        }
    }
}

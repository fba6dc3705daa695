//! Helper functions: the one table of those that exist outside the kernel, and the registry that a machine is made with.
//!
//! Numbers and meanings are those of `linux/bpf.h`; failures return the kernel's negative error numbers. A helper is a
//! safe function on a [`Machine`]; around it stands an entry with the calling convention of compiled code, in which
//! registers 1 to 5 are the first five arguments and the state of the run is the sixth.

mod argument;
mod basic;
mod buffer;
mod callback;
mod checksum;
mod errno;
mod format;
mod lock;
mod map;
mod redirect;
mod route;
mod skb;
mod strings;
mod xdp;

use argument::Argument;

pub(crate) use map::tail_call;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::fault::FaultKind;
use super::machine::Machine;
use super::state::{Outcome, State};
use super::timers::TIMER_BYTES;

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
    ($id:literal, [$($argument:expr),*], $kind:ident, $function:path) => {{
        const ARGUMENTS: &[Argument] = {
            #[allow(unused_imports)]
            use Argument::*;
            &[$($argument),*]
        };
        unsafe extern "C" fn entry(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64, state: *mut State) -> Outcome {
            // SAFETY: executors pass the state of the run, whose machine is not in use while it executes a program.
            let machine = unsafe { &mut *(*state).machine };
            let values = [r1, r2, r3, r4, r5];
            let checked = ARGUMENTS.iter().enumerate().try_for_each(|(at, argument)| argument.check(machine, at, &values));
            let result = checked.and_then(|()| $function(machine, values));
            // SAFETY: as above.
            unsafe { finish(state, result) }
        }
        Helper { id: $id, arguments: ARGUMENTS.len() as u8, entry, registered: None, kind: Kind::$kind }
    }};
}

// TABLE
/// Every helper of the kernel that exists here: number, arguments, what executors know, function. Those whose memory
/// depends on a map check it themselves, as do the look-ups, which must be fast.
const BUILTIN: &[Helper] = &[
    builtin!(1, [Any, Any], MapLookup, map::lookup_elem),
    builtin!(2, [Any, Any, Any, Any], Plain, map::update_elem),
    builtin!(3, [Any, Any], Plain, map::delete_elem),
    builtin!(4, [Out(1), Any, Any], Plain, strings::probe_read),
    builtin!(5, [], Plain, basic::ktime_get_ns),
    builtin!(6, [In(1), Any, Any, Any, Any], Plain, format::trace_printk),
    builtin!(7, [], Plain, basic::get_prandom_u32),
    builtin!(8, [], Plain, basic::get_smp_processor_id),
    builtin!(9, [Context, Any, In(3), Any, Any], Plain, skb::skb_store_bytes),
    builtin!(10, [Context, Any, Any, Any, Any], Plain, checksum::l3_csum_replace),
    builtin!(11, [Context, Any, Any, Any, Any], Plain, checksum::l4_csum_replace),
    builtin!(12, [Any, Any, Any], TailCall, map::tail_call),
    builtin!(13, [Context, Any, Any], Plain, redirect::clone_redirect),
    builtin!(14, [], Plain, basic::get_current_pid_tgid),
    builtin!(15, [], Plain, basic::get_current_uid_gid),
    builtin!(16, [Out(1), Any], Plain, basic::get_current_comm),
    builtin!(18, [Context, Any, Any], Plain, skb::skb_vlan_push),
    builtin!(19, [Context], Plain, skb::skb_vlan_pop),
    builtin!(23, [Any, Any], Plain, redirect::redirect),
    builtin!(25, [Context, Map, Any, In(4), Any], Plain, buffer::perf_event_output),
    builtin!(26, [Context, Any, Out(3), Any], Plain, skb::skb_load_bytes),
    builtin!(28, [In(1), Any, In(3), Any, Any], Plain, checksum::csum_diff),
    builtin!(38, [Context, Any, Any], Plain, skb::skb_change_tail),
    builtin!(39, [Context, Any], Plain, skb::skb_pull_data),
    builtin!(40, [Context, Any], Plain, checksum::csum_update),
    builtin!(42, [], Plain, basic::get_numa_node_id),
    builtin!(43, [Context, Any, Any], Plain, skb::skb_change_head),
    builtin!(44, [Context, Any], Plain, xdp::xdp_adjust_head),
    builtin!(45, [Out(1), Any, Any], Plain, strings::probe_read_str),
    builtin!(51, [Map, Any, Any], Plain, map::redirect_map),
    builtin!(54, [Context, Any], Plain, xdp::xdp_adjust_meta),
    builtin!(65, [Context, Any], Plain, xdp::xdp_adjust_tail),
    builtin!(68, [Context, Any, Out(3), Any, Any], Plain, skb::skb_load_bytes_relative),
    builtin!(69, [Context, Out(2), Any, Any], Plain, route::fib_lookup),
    builtin!(87, [Map, Any, Any], Plain, map::push_elem),
    builtin!(88, [Map, Any], Plain, map::pop_elem),
    builtin!(89, [Map, Any], Plain, map::peek_elem),
    builtin!(93, [Fixed(4)], CallsBack, lock::spin_lock),
    builtin!(94, [Fixed(4)], Plain, lock::spin_unlock),
    builtin!(105, [In(1), Any, Any, OutNumber], Plain, strings::strtol),
    builtin!(106, [In(1), Any, Any, OutNumber], Plain, strings::strtoul),
    builtin!(112, [Out(1), Any, Any], Plain, strings::probe_read),
    builtin!(113, [Out(1), Any, Any], Plain, strings::probe_read),
    builtin!(114, [Out(1), Any, Any], Plain, strings::probe_read_str),
    builtin!(115, [Out(1), Any, Any], Plain, strings::probe_read_str),
    builtin!(118, [], Plain, basic::jiffies64),
    builtin!(125, [], Plain, basic::ktime_get_boot_ns),
    builtin!(130, [Map, In(2), Any, Any], Plain, buffer::ringbuf_output),
    builtin!(131, [Map, Any, Any], Plain, buffer::ringbuf_reserve),
    builtin!(132, [Any, Any], Plain, buffer::ringbuf_submit),
    builtin!(133, [Any, Any], Plain, buffer::ringbuf_discard),
    builtin!(134, [Map, Any], Plain, buffer::ringbuf_query),
    builtin!(148, [Out(1), Any, Any], Plain, strings::copy_from_user),
    builtin!(152, [Any, In(2), Any, Any], Plain, redirect::redirect_neigh),
    builtin!(155, [Any, Any], Plain, redirect::redirect_peer),
    builtin!(160, [], Plain, basic::ktime_get_coarse_ns),
    builtin!(164, [Map, Function, Any, Any], CallsBack, map::for_each_map_elem),
    builtin!(165, [Out(1), Any, Any, In(4), Any], Plain, format::snprintf),
    builtin!(169, [Fixed(TIMER_BYTES), Map, Any], Plain, callback::timer_init),
    builtin!(170, [Fixed(TIMER_BYTES), Function], CallsBack, callback::timer_set_callback),
    builtin!(171, [Fixed(TIMER_BYTES), Any, Any], Plain, callback::timer_start),
    builtin!(172, [Fixed(TIMER_BYTES)], Plain, callback::timer_cancel),
    builtin!(177, [In(1), Any, In(3), Any], Plain, format::trace_vprintk),
    builtin!(181, [Any, Function, Any, Any], CallsBack, callback::bpf_loop),
    builtin!(182, [In(1), Any, Any], Plain, strings::strncmp),
    builtin!(188, [Context], Plain, xdp::xdp_get_buff_len),
    builtin!(189, [Context, Any, Out(3), Any], Plain, xdp::xdp_load_bytes),
    builtin!(190, [Context, Any, In(3), Any], Plain, xdp::xdp_store_bytes),
    builtin!(195, [Map, Any, Any], Plain, map::lookup_percpu_elem),
    builtin!(208, [], Plain, basic::ktime_get_tai_ns),
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

#[cfg(test)]
mod tests {
    use skep_isa::helpers::{by_id, by_name};

    use super::*;

    /// Numbers and names of helpers whose functions have names of their own.
    const SHARED: [(i32, &str); 8] = [
        (4, "probe_read"),
        (45, "probe_read_str"),
        (112, "probe_read_user"),
        (113, "probe_read_kernel"),
        (114, "probe_read_user_str"),
        (115, "probe_read_kernel_str"),
        (181, "loop"),
        (195, "map_lookup_percpu_elem"),
    ];

    /// The names in the source of the table are those of the functions; the numbers beside them must be the kernel's.
    #[test]
    fn numbers_and_names_are_those_of_the_kernel() {
        let source = include_str!("mod.rs");
        let rows = source.lines().filter_map(|line| line.trim().strip_prefix("builtin!("));
        let rows = rows.filter_map(|row| {
            let (id, rest) = row.split_once(", ")?;
            let name = rest.rsplit_once("::")?.1.strip_suffix("),")?;
            Some((id.parse::<i32>().ok()?, name))
        });
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows.len(), BUILTIN.len());
        for ((id, function), row) in rows.into_iter().zip(BUILTIN) {
            assert_eq!(id, row.id);
            let known = by_id(id.cast_unsigned()).map(|helper| helper.name);
            let shared = SHARED.iter().find(|&&(shared, _)| shared == id).map(|&(_, name)| name);
            let of_maps = format!("map_{function}");
            let named = shared.unwrap_or_else(|| if by_name(function).is_some() { function } else { &of_maps });
            assert_eq!(known, Some(named), "{id}");
        }
        assert!(BUILTIN.is_sorted_by(|one, next| one.id < next.id), "searched by number");
    }
}

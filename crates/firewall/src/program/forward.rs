//! Forwarded packets.
//!
//! Rules about them are asked where they leave, by the program of traffic control: both interfaces are known there, the one that
//! the packet came in by from `skb_iif`, and its addresses are those that hosts use. (A program at netfilter's forward hook would
//! know the same, but not change addresses behind its verdict, and packets have no header of the link there.) Where they arrive, the
//! routes say whether a packet is going to be forwarded; then no rule for what arrives is asked.

use skep_btf::BuildError;
use skep_ir::{Cond, FuncRef, Module, Value, Width};

use super::code::{self, Code};
use super::translate::{question, route};
use super::view::{Types, View};
use super::{Hook, Maps, work};

/// Results of `bpf_fib_lookup` for packets that stay: they are for this host or a group, or nothing is forwarded
/// (`BPF_FIB_LKUP_RET_NOT_FWDED`, `BPF_FIB_LKUP_RET_FWD_DISABLED`).
const STAYS: [i64; 2] = [4, 5];

/// Adds the function for packets that arrive: `(context, bits)`, 1 if the packet is going to be forwarded.
///
/// # Errors
/// None but for a defect.
pub fn add(module: &mut Module, types: &mut Types, maps: &Maps) -> Result<FuncRef, BuildError> {
    let function = types.function("skep_fw_routed", 1, (maps, Hook::Ingress, 0), routed)?;
    Ok(module.add_function(function))
}

fn routed(code: &mut Code<'_>, view: &View, args: &[Value]) {
    let &[bits] = args else { return };
    let query = question(code, view, bits);
    for (from, to) in [(work::SOURCE, route::SOURCE), (work::DESTINATION, route::DESTINATION)] {
        for part in [0, 4, 8, 12] {
            let word = code.load(Width::W32, view.memory, from + part);
            code.store(Width::W32, query, to + part, word);
        }
    }
    // Neighbours are not asked for: whether the next host is there is not the question.
    let (size, flags) = (code.num(route::BYTES.into()), code.num(route::SKIP_NEIGHBOUR));
    let found = code.helper(code::ROUTE, &[view.context, query, size, flags]);
    code.when_is(Cond::Slt, found, 0, |code| code.give(0));
    for stays in STAYS {
        code.when_is(Cond::Eq, found, stays, |code| code.give(0));
    }
    code.give(1);
}

//! What a program that is accepted does: which helpers and maps it uses, and what it can do to packets and processes.

use skep_isa::ebpf::{Callee, Imm64, Op};
use skep_isa::{ProgType, helpers, programs};
use skep_object::{Object, Program};

use crate::noted::Noted;
use crate::reg::Kind;

/// What a program does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// The helpers that it calls, by number.
    pub helpers: Vec<&'static str>,
    /// Calls of functions of the kernel.
    pub kernel_functions: u32,
    /// The names of the maps that it refers to, in the order of the object.
    pub maps: Vec<String>,
    /// The results that drop a packet or refuse a call, and that it may have, as the tables of program types name them;
    /// empty if it never does or its result decides nothing.
    pub drops: Vec<&'static str>,
    /// Whether it may change bytes of the packet, or its length.
    pub changes_packet: bool,
    /// Whether it may write memory of processes.
    pub writes_user: bool,
    /// Whether it may change memory of the kernel other than its maps: the context, or what functions return.
    pub overrides: bool,
}

// TABLE
/// Helpers that change the packet without moving it.
const CHANGING: &[&str] =
    &["skb_set_tunnel_key", "skb_set_tunnel_opt", "csum_update", "skb_ecn_set_ce", "msg_push_data"];
/// Helpers that write memory of processes.
const TO_USERS: &[&str] = &["probe_write_user"];
/// Helpers that change what functions of the kernel do.
const OVERRIDING: &[&str] = &["override_return", "set_retval", "send_signal", "send_signal_thread", "sys_bpf"];
/// Beginnings of what the tables say of results that end a packet's or a call's way.
const ENDS: &[&str] = &["drop", "refuse", "the socket does not get", "egress only: drop", "verdict: drop", "consume"];

/// What a program does, by its instructions and what was noted when it was verified.
pub fn uses(object: &Object, program: &Program, noted: &Noted) -> Uses {
    let mut uses = Uses::default();
    let mut maps: Vec<usize> = Vec::new();
    let mut numbers: Vec<u32> = Vec::new();
    let mut at = 0;
    while let Some(insn) = program.insns.get(at) {
        let Ok(op) = insn.decode(program.insns.get(at + 1).copied()) else {
            at += 1;
            continue;
        };
        match op {
            Op::Call(Callee::Helper(id)) => numbers.extend(u32::try_from(id)),
            Op::Call(Callee::Kfunc { .. }) => uses.kernel_functions += 1,
            Op::LoadImm { value: Imm64::MapFd(map) | Imm64::MapFdValue { fd: map, .. }, .. } => {
                maps.extend(usize::try_from(map));
            }
            Op::Store { base, .. } | Op::Atomic { base, .. } | Op::StoreRelease { base, .. } => {
                let slot = u32::try_from(at).unwrap_or(u32::MAX);
                let kinds = kinds(noted, slot, base.index());
                uses.changes_packet |= kinds.iter().any(|kind| kind.is_packet());
                uses.overrides |= kinds.contains(&Kind::Context) && !has_scratch(program.prog_type);
            }
            _ => {}
        }
        at += op.slots() as usize;
    }
    numbers.sort_unstable();
    numbers.dedup();
    for helper in numbers.into_iter().filter_map(helpers::by_id) {
        uses.helpers.push(helper.name);
        // A tail call leaves the packet as it is, and so does the other program as far as this one is concerned.
        uses.changes_packet |= (helper.moves_packet() && helper.name != "tail_call") || CHANGING.contains(&helper.name);
        uses.writes_user |= TO_USERS.contains(&helper.name);
        uses.overrides |= OVERRIDING.contains(&helper.name);
    }
    maps.sort_unstable();
    maps.dedup();
    uses.maps = maps.into_iter().filter_map(|map| object.maps.get(map)).map(|map| map.name.clone()).collect();
    uses.drops = drops(program, noted);
    uses
}

/// What a register points to at an instruction, on the paths that were kept.
fn kinds(noted: &Noted, slot: u32, register: usize) -> Vec<Kind> {
    let Some(place) = noted.at(slot) else { return Vec::new() };
    let kinds = place.moments.iter().filter_map(|moment| moment.registers.get(register)).map(|reg| reg.kind);
    // What was not kept may be anything.
    kinds.chain(place.cut.then_some(Kind::Packet)).collect()
}

/// Whether writes to the context are notes for the program itself: the words `cb` of packet buffers.
fn has_scratch(prog_type: ProgType) -> bool {
    programs::facts(prog_type).context.is_some_and(|context| context.name == "__sk_buff")
}

/// The results of the program that end the way of a packet or a call.
fn drops(program: &Program, noted: &Noted) -> Vec<&'static str> {
    let ending = programs::facts(program.prog_type).verdicts.iter();
    let ending = ending.filter(|verdict| ENDS.iter().any(|start| verdict.meaning.starts_with(start)));
    let may_be = |number: i64| {
        let exits = program.insns.iter().enumerate().filter(|(_, insn)| insn.code == 0x95);
        exits.filter_map(|(at, _)| noted.at(u32::try_from(at).ok()?)).any(|place| {
            let results = place.moments.iter().filter(|moment| moment.depth == 0).map(|moment| &moment.registers[0]);
            // The kernel looks at the lower half.
            let half = u64::from(number.cast_unsigned() as u32);
            place.cut || results.into_iter().any(|result| !result.is_number() || result.num.low_half().contains(half))
        })
    };
    ending
        .filter(|verdict| {
            let number =
                verdict.value.split_whitespace().next().and_then(|word| word.trim_end_matches(',').parse().ok());
            number.is_some_and(may_be)
        })
        .map(|verdict| verdict.value)
        .collect()
}

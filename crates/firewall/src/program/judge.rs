//! What becomes of a packet: rules that only count, limits, marks, records, verdicts.

use skep_ir::{Binary, Cond, FuncRef, Module, Value, Width};

use super::code::{self, Code};
use super::search::UNDECIDED;
use super::{Hook, Maps, work};
use crate::tables::layout::{ACCEPT, DROP, record, special, watch};

/// Most rules that only count, log or mark, or whose limit is not reached, for one packet; behind them the default decides.
pub const MOST_PASSED: i64 = 32;

/// Adds the functions and gives the one that judges: `(rule)`, [`ACCEPT`] or [`DROP`]. With a number other than 0 that rule
/// decides and none is searched for.
pub fn add(module: &mut Module, maps: &Maps, hook: Hook, search: FuncRef, tell: FuncRef) -> FuncRef {
    let name = hook.program();
    let limit = code::function(&format!("{name}_limit"), 4, |code, args| limit(code, maps, args));
    let limit = module.add_function(limit);
    let act = code::function(&format!("{name}_act"), 2, |code, args| act(code, maps, tell, args));
    let act = module.add_function(act);
    let judge = code::function(&format!("{name}_judge"), 1, |code, args| match hook {
        Hook::Xdp => early(code, maps, search, act),
        Hook::Ingress | Hook::Egress => {
            let default = if hook == Hook::Ingress { special::DEFAULT_IN } else { special::DEFAULT_OUT };
            judge(code, maps, &Calls { search, limit, act }, default, args[0]);
        }
    });
    module.add_function(judge)
}

struct Calls {
    search: FuncRef,
    limit: FuncRef,
    act: FuncRef,
}

fn judge(code: &mut Code<'_>, maps: &Maps, calls: &Calls, default: u32, given: Value) {
    let memory = code.only(maps.work, DROP.into());
    code.when_is(Cond::Ne, given, 0, |code| finish(code, maps, calls.act, given));
    let zero = code.num(0);
    let after = code.var(zero);
    code.repeat(MOST_PASSED, |code, _, done, next| {
        let from = code.get(after);
        let rule = code.call(calls.search, &[from]);
        code.leave_if(done, Cond::Eq, rule, 0);
        let order = code.load(Width::W64, memory, work::ORDER);
        code.set(after, order);
        let row = code.element(maps.rules, rule, done);
        let flags = code.load(Width::W32, row, record::FLAGS);
        let limited = code.num(record::LIMIT.into());
        code.when(Cond::Set, flags, limited, |code| {
            let interval = code.load(Width::W64, row, record::INTERVAL);
            let tolerance = code.load(Width::W64, row, record::TOLERANCE);
            let each = code.with(Binary::And, flags, record::PER_SOURCE.into());
            let beyond = code.call(calls.limit, &[rule, interval, tolerance, each]);
            code.leave_if(next, Cond::Eq, beyond, 0);
        });
        let verdict = code.load(Width::W32, row, record::VERDICT);
        code.call(calls.act, &[rule, verdict]);
        code.when_is(Cond::Ne, verdict, 0, |code| code.b.ret(Some(verdict)));
    });
    let default = code.num(default.into());
    finish(code, maps, calls.act, default);
}

/// Ends with what a rule says, which has a verdict.
fn finish(code: &mut Code<'_>, maps: &Maps, act: FuncRef, rule: Value) {
    let missing = code.b.block(&[]);
    let row = code.element(maps.rules, rule, missing);
    let verdict = code.load(Width::W32, row, record::VERDICT);
    code.call(act, &[rule, verdict]);
    code.b.ret(Some(verdict));
    code.b.switch_to(missing);
    code.give(DROP.into());
}

/// XDP: drops where nothing but a drop is to be done, else lets the packet pass to traffic control.
fn early(code: &mut Code<'_>, maps: &Maps, search: FuncRef, act: FuncRef) {
    let pass = code.b.block(&[]);
    let zero = code.num(0);
    let rule = code.call(search, &[zero]);
    code.leave_if(pass, Cond::Eq, rule, 0);
    code.leave_if(pass, Cond::Eq, rule, UNDECIDED);
    let row = code.element(maps.rules, rule, pass);
    let verdict = code.load(Width::W32, row, record::VERDICT);
    code.leave_if(pass, Cond::Ne, verdict, DROP.into());
    let flags = code.load(Width::W32, row, record::FLAGS);
    let more = code.with(Binary::And, flags, (record::LIMIT | record::SET_MARK).into());
    code.leave_if(pass, Cond::Ne, more, 0);
    code.call(act, &[rule, verdict]);
    code.give(DROP.into());
    code.b.switch_to(pass);
    code.give(ACCEPT.into());
}

/// `(rule, verdict)`: counts, notes the mark, sends the record.
fn act(code: &mut Code<'_>, maps: &Maps, tell: FuncRef, args: &[Value]) {
    let &[rule, verdict] = args else { return };
    let memory = code.only(maps.work, 0);
    let end = code.b.block(&[]);
    code.store(Width::W32, memory, work::RULE, rule);
    code.store(Width::W32, memory, work::VERDICT, verdict);
    let counter = code.element(maps.counters, rule, end);
    let (one, length) = (code.num(1), code.load(Width::W32, memory, work::LENGTH));
    let now = code.load(Width::W64, memory, work::NOW);
    for (offset, amount) in [(0, one), (8, length)] {
        let old = code.load(Width::W64, counter, offset);
        let new = code.b.binary(Binary::Add, old, amount);
        code.store(Width::W64, counter, offset, new);
    }
    code.store(Width::W64, counter, 16, now);
    let row = code.element(maps.rules, rule, end);
    let flags = code.load(Width::W32, row, record::FLAGS);
    let bit = code.num(record::SET_MARK.into());
    code.when(Cond::Set, flags, bit, |code| {
        let mark = code.load(Width::W32, row, record::MARK);
        code.store(Width::W32, memory, work::NEW_MARK, mark);
        let yes = code.num(1);
        code.store(Width::W32, memory, work::SET_MARK, yes);
    });
    let bit = code.num(record::LOG.into());
    code.when(Cond::Set, flags, bit, |code| {
        let (watched, kind) = (code.load(Width::W32, memory, work::WATCHED), code.num(watch::LOGS.into()));
        code.when(Cond::Set, watched, kind, |code| {
            code.call(tell, &[kind]);
        });
    });
    code.close(end);
    code.b.switch_to(end);
}

/// Adds the function that sends a record of the packet to whoever watches: `(kind)`. What there is no room for is counted.
pub fn tell(module: &mut Module, maps: &Maps, hook: Hook) -> FuncRef {
    let function = code::function(&format!("{}_tell", hook.program()), 1, |code, args| {
        let memory = code.only(maps.work, 0);
        code.store(Width::W8, memory, work::KIND, args[0]);
        let events = code.b.map_addr(maps.events);
        let (size, none) = (code.num(work::RECORD as i64), code.num(0));
        let failed = code.helper(code::RINGBUF_OUTPUT, &[events, memory, size, none]);
        code.when_is(Cond::Ne, failed, 0, |code| {
            let end = code.b.block(&[]);
            let lost = code.num(special::LOST.into());
            let counter = code.element(maps.counters, lost, end);
            let old = code.load(Width::W64, counter, 0);
            let new = code.with(Binary::Add, old, 1);
            code.store(Width::W64, counter, 0, new);
            code.close(end);
            code.b.switch_to(end);
        });
    });
    module.add_function(function)
}

/// `(rule, interval, tolerance, per_source)`: 1 if this packet is beyond the limit.
///
/// The generic cell rate algorithm (ITU-T I.371): what is kept is when the next packet is due. Two processors at the same time
/// may let a packet more through.
fn limit(code: &mut Code<'_>, maps: &Maps, args: &[Value]) {
    let &[rule, interval, tolerance, each] = args else { return };
    let memory = code.only(maps.work, 1);
    let key = code.buffer(24);
    code.store(Width::W32, key, 0, rule);
    code.when_is(Cond::Ne, each, 0, |code| {
        for word in [0, 8] {
            let value = code.load(Width::W64, memory, work::SOURCE + word);
            code.store(Width::W64, key, 8 + word, value);
        }
    });
    let now = code.load(Width::W64, memory, work::NOW);
    let fresh = code.b.block(&[]);
    let kept = code.find(maps.limits.map, key, fresh);
    let due = code.load(Width::W64, kept, 0);
    let start = code.var(due);
    code.when(Cond::Ult, due, now, |code| code.set(start, now));
    let start = code.get(start);
    let early = code.b.binary(Binary::Sub, start, now);
    code.when(Cond::Ugt, early, tolerance, |code| code.give(1));
    let next = code.b.binary(Binary::Add, start, interval);
    code.store(Width::W64, kept, 0, next);
    code.give(0);
    code.b.switch_to(fresh);
    let value = code.buffer(8);
    let next = code.b.binary(Binary::Add, now, interval);
    code.store(Width::W64, value, 0, next);
    // Without room nobody counts this sender's packets, so all of them are too many.
    let failed = code.insert(maps.limits, key, value);
    code.when_is(Cond::Ne, failed, 0, |code| {
        let one = code.num(1);
        code.store(Width::W8, memory, work::NO_LIMIT, one);
        code.give(1);
    });
}

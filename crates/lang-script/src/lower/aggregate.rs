//! What maps collect: each processor changes its own value, in place.

use skep_diag::Span;
use skep_ir::{Binary, Block, Cond, Memory, Type as IrType, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::check::tree::{Expr, Map};
use crate::compile::Ability;
use crate::plan::{HostInfo, MapValue, SeriesKind};

/// Processors that a kernel may have (`NR_CPUS`), where nobody says how many there are.
const MOST_PROCESSORS: u32 = 1024;

impl Body<'_, '_, '_> {
    /// `@map[key] = aggregate(value)`
    pub fn collect(&mut self, map: Map, key: &[Expr], value: Option<&Expr>, span: Span) {
        let number = value.map(|value| self.scalar(value));
        let key = self.key(map, key);
        self.at(span);
        let held = self.cx.maps[map.0 as usize].held.clone();
        let done = self.b.block(&[]);
        let number = match number {
            Some(number) => number,
            None => self.b.i64(1),
        };
        let at = match held {
            // Numbers of buckets first: they may take branches, in which a pointer would be kept.
            MapValue::Hist { bits } => {
                let bucket = self.log_bucket(number, bits);
                let value = self.found_or_made(map, key, done, span);
                return self.count_bucket(value, bucket, crate::plan::Buckets::count(bits), done);
            }
            MapValue::LinearHist { min, max, step } => {
                let bucket = self.linear_bucket(number, min, max, step);
                let value = self.found_or_made(map, key, done, span);
                return self.count_bucket(value, bucket, super::linear_buckets(min, max, step), done);
            }
            MapValue::Series { interval, count, how, signed } => {
                let (now, interval) = self.interval(interval);
                let place = self.b.binary_const(Binary::Urem, interval, count.into());
                // The time of a value tells which of those of several processors is the last one.
                let weight = if how == SeriesKind::Last { now } else { self.b.i64(1) };
                let at = if held.is_spread() {
                    let key = self.spread_key(map, key, place);
                    At::start(self.found_or_made(map, key, done, span))
                } else {
                    let value = self.found_or_made(map, key, done, span);
                    self.place_in_series(value, place, count, done)
                };
                return self.series(at, number, (weight, interval), (how, signed), done);
            }
            _ => At::start(self.found_or_made(map, key, done, span)),
        };
        match held {
            MapValue::Min { signed } | MapValue::Max { signed } => {
                let cond = match (matches!(held, MapValue::Min { .. }), signed) {
                    (true, true) => Cond::Slt,
                    (true, false) => Cond::Ult,
                    (false, true) => Cond::Sgt,
                    (false, false) => Cond::Ugt,
                };
                self.extreme(at, number, cond, done);
            }
            MapValue::Avg { .. } | MapValue::Stats { .. } => {
                self.add(at, number);
                let one = self.b.i64(1);
                self.add(at.plus(8), one);
                self.b.jump(done, &[]);
            }
            _ => {
                self.add(at, number);
                self.b.jump(done, &[]);
            }
        }
        self.b.switch_to(done);
    }

    fn add(&mut self, at: At, number: Value) {
        let old = self.load(Width::W64, false, at);
        let new = self.b.binary(Binary::Add, old, number);
        self.store(Width::W64, at, new);
    }

    /// Keeps the number if it is the first one, or if the comparison with the old one holds.
    fn extreme(&mut self, at: At, number: Value, cond: Cond, done: Block) {
        let (compare, keep) = (self.b.block(&[]), self.b.block(&[]));
        let set = self.load(Width::W64, false, at.plus(8));
        let zero = self.b.i64(0);
        self.b.branch(Cond::Eq, set, zero, keep, compare);
        self.b.switch_to(compare);
        let old = self.load(Width::W64, false, at);
        self.b.branch(cond, number, old, keep, done);
        self.b.switch_to(keep);
        self.store(Width::W64, at, number);
        let one = self.b.i64(1);
        self.store(Width::W64, at.plus(8), one);
        self.b.jump(done, &[]);
    }

    /// The boot clock, and the number of the interval since 1970.
    fn interval(&mut self, interval: u64) -> (Value, Value) {
        let now = self.call_i64(helpers::BOOT_NS, &[]);
        let offset = self.host_word(HostInfo::WALL_OFFSET);
        let wall = self.b.binary(Binary::Add, now, offset);
        (now, self.b.binary_const(Binary::Udiv, wall, interval.cast_signed()))
    }

    /// The key of the entry for one interval.
    fn spread_key(&mut self, map: Map, key: At, place: Value) -> At {
        let own = self.cx.maps[map.0 as usize].key_size;
        let size = self.cx.maps[map.0 as usize].held.key_size(own);
        let at = self.temp(size);
        self.fill(at, size);
        self.copy(at, key, own);
        self.store(Width::W64, at.plus(size - 8), place);
        at
    }

    /// An interval in a value that has room for all of them.
    fn place_in_series(&mut self, value: Value, place: Value, count: u32, done: Block) -> At {
        let (far, near) = (self.b.block(&[]), self.b.block(&[]));
        let limit = self.b.i64(count.into());
        // The verifier knows nothing about remainders.
        let place = self.b.branch_refining(Cond::Ult, place, limit, near, far);
        self.b.switch_to(far);
        self.b.jump(done, &[]);
        self.b.switch_to(near);
        let distance = self.b.binary_const(Binary::Mul, place, 24);
        At::start(self.b.ptr_add(value, distance))
    }

    fn series(
        &mut self,
        at: At,
        number: Value,
        (weight, interval): (Value, Value),
        (how, signed): (SeriesKind, bool),
        done: Block,
    ) {
        let (same, fresh) = (self.b.block(&[]), self.b.block(&[]));
        let old = self.load(Width::W64, false, at.plus(16));
        self.b.branch(Cond::Eq, old, interval, same, fresh);

        self.b.switch_to(fresh);
        self.store(Width::W64, at, number);
        self.store(Width::W64, at.plus(8), weight);
        self.store(Width::W64, at.plus(16), interval);
        self.b.jump(done, &[]);

        self.b.switch_to(same);
        if how == SeriesKind::Last {
            self.store(Width::W64, at.plus(8), weight);
        } else {
            self.add(at.plus(8), weight);
        }
        match how {
            SeriesKind::Last => self.store(Width::W64, at, number),
            SeriesKind::Avg | SeriesKind::Sum => self.add(at, number),
            SeriesKind::Max | SeriesKind::Min => {
                let cond = match (how, signed) {
                    (SeriesKind::Max, true) => Cond::Sgt,
                    (SeriesKind::Max, _) => Cond::Ugt,
                    (_, true) => Cond::Slt,
                    (_, false) => Cond::Ult,
                };
                let (keep, leave) = (self.b.block(&[]), self.b.block(&[]));
                let old = self.load(Width::W64, false, at);
                self.b.branch(cond, number, old, keep, leave);
                self.b.switch_to(keep);
                self.store(Width::W64, at, number);
                self.b.jump(leave, &[]);
                self.b.switch_to(leave);
            }
        }
        self.b.jump(done, &[]);
        self.b.switch_to(done);
    }

    /// The number that an aggregate has come to on all processors: 0 without an entry.
    pub fn aggregate_value(&mut self, map: Map, key: At) -> Value {
        let stored = &self.cx.maps[map.0 as usize];
        let (reference, held) = (stored.map, stored.held.clone());
        let memory = Memory::MapValue(reference);
        let cpus = self.host_word(HostInfo::CPUS);
        let key = self.addr(key);
        // The number of the processor, the result, and how many values went into it.
        let head = self.b.block(&[IrType::I64; 3]);
        let (body, after) = (self.b.block(&[]), self.b.block(&[]));
        let zero = self.b.i64(0);
        self.b.jump(head, &[zero, zero, zero]);
        self.b.switch_to(head);
        let [cpu, result, count] = [0, 1, 2].map(|number| self.b.param(head, number));
        let check = self.b.block(&[]);
        match self.cx.input.env.facts.can(Ability::MayGoto) {
            Ok(()) => self.may_goto(check, after),
            // The kernel's verifier follows all rounds then.
            Err(_) => {
                let most = self.cx.input.env.facts.processors().unwrap_or(MOST_PROCESSORS);
                let most = self.b.i64(most.into());
                self.b.branch(Cond::Ult, cpu, most, check, after);
            }
        }
        self.b.switch_to(check);
        self.b.branch(Cond::Ult, cpu, cpus, body, after);
        self.b.switch_to(body);
        let address = self.b.map_addr(reference);
        let found = self.call(helpers::LOOKUP_PERCPU, &[address, key, cpu], IrType::nullable(memory));
        let null = self.b.null(memory);
        let some = self.b.block(&[]);
        let found = self.b.branch_refining(Cond::Ne, found, null, some, after);
        self.b.switch_to(some);
        let at = At::start(found);
        let value = self.load(Width::W64, false, at);
        let (result, count) = match held {
            MapValue::Min { signed } | MapValue::Max { signed } => {
                let set = self.load(Width::W64, false, at.plus(8));
                let least = matches!(held, MapValue::Min { .. });
                self.pick(value, set, result, count, (least, signed))
            }
            MapValue::Avg { .. } | MapValue::Stats { .. } => {
                let more = self.load(Width::W64, false, at.plus(8));
                (self.b.binary(Binary::Add, result, value), self.b.binary(Binary::Add, count, more))
            }
            _ => (self.b.binary(Binary::Add, result, value), count),
        };
        let next = self.b.binary_const(Binary::Add, cpu, 1);
        self.b.jump(head, &[next, result, count]);
        self.b.switch_to(after);
        let [result, count] = [1, 2].map(|number| self.b.param(head, number));
        match held {
            // Division by zero gives zero.
            MapValue::Avg { signed: true } | MapValue::Stats { signed: true } => {
                self.b.binary(Binary::Sdiv, result, count)
            }
            MapValue::Avg { .. } | MapValue::Stats { .. } => self.b.binary(Binary::Udiv, result, count),
            _ => result,
        }
    }

    /// The smaller or larger of the value of a processor, if it is set, and the result so far, if there is one.
    fn pick(&mut self, value: Value, set: Value, result: Value, count: Value, how: (bool, bool)) -> (Value, Value) {
        let cond = match how {
            (true, true) => Cond::Slt,
            (true, false) => Cond::Ult,
            (false, true) => Cond::Sgt,
            (false, false) => Cond::Ugt,
        };
        let (is_set, compare, take, leave) =
            (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64; 2]);
        let zero = self.b.i64(0);
        self.b.branch(Cond::Ne, set, zero, is_set, leave);
        self.b.switch_to(is_set);
        let zero = self.b.i64(0);
        self.b.branch(Cond::Eq, count, zero, take, compare);
        self.b.switch_to(compare);
        self.b.branch(cond, value, result, take, leave);
        self.b.switch_to(take);
        let one = self.b.i64(1);
        self.b.jump(join, &[value, one]);
        self.b.switch_to(leave);
        self.b.jump(join, &[result, count]);
        self.b.switch_to(join);
        (self.b.param(join, 0), self.b.param(join, 1))
    }
}

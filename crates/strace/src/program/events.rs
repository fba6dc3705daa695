//! The programs themselves.

use skep_ir::{
    Binary, Cond, FuncKind, FuncRef, Function, MapRef, Memory, Module, ProgramInfo, Type, Unary, Value, Width,
};
use skep_isa::ProgType;
use skep_isa::helpers::numbers as helpers;

use super::code::{self, Code};
use super::layout::{
    CALLS, CHUNK_SIGNAL_BYTES, HELD, NARROW, OPS, STACK_BYTES, chunk, field, kind, lost, op, part, regs, stat, work,
};
use super::{Maps, PROGRAMS, Shape, Status, chunks};

/// Bit of a descriptor's flags: the call is traced.
pub const TRACED: i64 = 1;
/// `BPF_ANY`
const ANY: i64 = 0;
/// `BPF_F_USER_STACK`
const USER_STACK: i64 = 1 << 8;
/// Results from here on up to -1 are errors.
const FIRST_ERROR: i64 = -4095;
/// `TRACE_SIGNAL_IGNORED` (trace/events/signal.h)
const SIGNAL_IGNORED: i64 = 1;
/// Bytes of a record without chunks.
const HEAD: i64 = field::CHUNKS as i64;

/// What all programs know.
struct Programs<'p> {
    maps: &'p Maps,
    shape: &'p Shape,
    operation: FuncRef,
}

/// Writes the body of a program.
type Body = fn(&Programs<'_>, &mut Code<'_>, Value);

/// Adds all programs that are needed.
pub fn add(module: &mut Module, maps: &Maps, shape: &Shape) {
    let operation = chunks::add(module, maps.scratch);
    let all = Programs { maps, shape, operation };
    let mut program = |number: usize, body: Body| {
        let (name, event) = PROGRAMS[number];
        let info = ProgramInfo {
            prog_type: ProgType::RawTracepoint,
            attach_type: None,
            flags: 0,
            section: format!("raw_tp/{event}"),
        };
        let mut function = Function::new(name, FuncKind::Program(info), &[Type::ptr(Memory::Context)], Some(Type::I32));
        code::write(&mut function, |code, params| body(&all, code, params[0]));
        module.add_function(function);
    };
    program(0, |all, code, context| all.enter(code, context));
    program(1, |all, code, context| all.exit(code, context));
    if shape.threads || shape.send {
        program(2, |all, code, context| all.fork(code, context));
        program(3, |all, code, context| all.end(code, context));
    }
    if shape.signals && shape.send {
        program(4, |all, code, context| all.signal(code, context));
        program(5, |all, code, context| all.ignored(code, context));
    }
}

impl Programs<'_> {
    /// Leaves the program if nobody wants to know about the running thread. Gives process and thread in one word.
    fn filter(&self, code: &mut Code<'_>) -> Value {
        let ids = code.helper(helpers::PID_TGID, &[]);
        let process = code.with(Binary::Lshr, ids, 32);
        let own = code.num(self.shape.own.into());
        code.leave_if(Cond::Eq, process, own);
        if self.shape.threads {
            code.value_or_leave(self.maps.threads, ids);
        }
        if self.shape.group {
            let groups = code.b.map_addr(self.maps.groups);
            let (first, yes) = (code.num(0), code.num(1));
            let inside = code.helper(helpers::UNDER_CGROUP, &[groups, first]);
            code.leave_if(Cond::Ne, inside, yes);
        }
        if let Some(name) = &self.shape.name {
            let at = code.buffer(16);
            let size = code.num(16);
            code.helper(helpers::COMM, &[at, size]);
            for (offset, bytes) in [0, 8].into_iter().zip(name.as_chunks::<8>().0) {
                let part = code.load(Width::W64, at, offset);
                let wanted = code.num(i64::from_le_bytes(*bytes));
                code.leave_if(Cond::Ne, part, wanted);
            }
        }
        ids
    }

    /// The index of a call in maps: its number, or the last one.
    fn index(code: &mut Code<'_>, number: Value) -> Value {
        let last = code.num(i64::from(CALLS) - 1);
        code.min(number, last)
    }

    /// Writes what every record begins with, and the registers of the user.
    fn head(code: &mut Code<'_>, memory: Value, kind: u32, ids: Value, registers: Value) {
        let to = code.b.ptr_add_const(memory, work::REGS.into());
        let size = code.num(regs::SIZE);
        code.helper(helpers::PROBE_READ_KERNEL, &[to, size, registers]);
        let record = code.b.ptr_add_const(memory, work::RECORD.into());
        Self::who(code, record, kind, ids);
        let to = code.b.ptr_add_const(record, field::NAME.into());
        let size = code.num(16);
        code.helper(helpers::COMM, &[to, size]);
        let number = code.load(Width::W64, memory, work::REGS + regs::NUMBER);
        let segment = code.load(Width::W64, memory, work::REGS + regs::CS);
        let narrow = code.num(regs::CS_NARROW);
        let number = code.with(Binary::And, number, 0xffff_ffff);
        let shown = code.var(number);
        code.either(
            Cond::Eq,
            segment,
            narrow,
            |code| {
                let marked = code.with(Binary::Or, number, NARROW.into());
                code.set(shown, marked);
                Self::arguments(code, memory, regs::NARROW_ARGS);
            },
            |code| Self::arguments(code, memory, regs::ARGS),
        );
        let shown = code.get(shown);
        let shown = code.b.unary(Unary::Truncate, shown);
        code.b.store(Width::W32, record, field::NUMBER, shown);
        // In place of a seventh argument.
        let stack = code.load(Width::W64, memory, work::REGS + regs::SP);
        code.b.store(Width::W64, record, field::LENGTH, stack);
        let (zero, start) = (code.num(0), code.num(HEAD));
        code.b.store(Width::W64, record, field::RESULT, zero);
        code.b.store(Width::W64, memory, work::CURSOR, start);
        code.b.store(Width::W64, memory, work::FAILED, zero);
        code.b.store(Width::W64, memory, work::MARK, zero);
        let all = code.num(i64::MAX);
        code.b.store(Width::W64, memory, work::RESULT, all);
    }

    fn arguments(code: &mut Code<'_>, memory: Value, places: [i16; 6]) {
        for (number, place) in (0..).zip(places) {
            let value = code.load(Width::W64, memory, work::REGS + place);
            code.b.store(Width::W64, memory, work::RECORD + field::ARGS + 8 * number, value);
        }
    }

    /// Kind, time, process and thread.
    fn who(code: &mut Code<'_>, record: Value, kind: u32, ids: Value) {
        let kind = code.b.i32(kind);
        code.b.store(Width::W32, record, field::KIND, kind);
        let now = code.helper(helpers::BOOT_NS, &[]);
        code.b.store(Width::W64, record, field::TIME, now);
        let process = code.with(Binary::Lshr, ids, 32);
        for (value, at) in [(ids, field::THREAD), (process, field::PROCESS)] {
            let value = code.b.unary(Unary::Truncate, value);
            code.b.store(Width::W32, record, at, value);
        }
    }

    /// Performs the operations of a descriptor for one moment.
    fn capture(&self, code: &mut Code<'_>, memory: Value, descriptor: Value, moment: i64) {
        // Descriptors are for the 64-bit table.
        let number = code.load(Width::W32, memory, work::RECORD + field::NUMBER);
        let narrow = code.num(NARROW.into());
        code.when(Cond::Ult, number, narrow, |code| self.operations(code, descriptor, moment));
    }

    fn operations(&self, code: &mut Code<'_>, descriptor: Value, moment: i64) {
        let zero = code.num(0);
        let word = code.var(zero);
        code.repeat(
            OPS,
            |code, index| {
                let distance = code.with(Binary::Mul, index, 8);
                let at = code.b.ptr_add(descriptor, distance);
                let operation = code.load(Width::W64, at, 8 + (8 * OPS * moment) as i16);
                code.set(word, operation);
                let zero = code.num(0);
                (Cond::Eq, operation, zero)
            },
            |code, _| {
                let operation = code.get(word);
                code.call(self.operation, &[operation]);
            },
        );
    }

    /// Adds the stack of the user.
    fn stack(&self, code: &mut Code<'_>, memory: Value, context: Value) {
        let cursor = code.load(Width::W64, memory, work::CURSOR);
        let limit = code.num(work::LIMIT);
        code.when(Cond::Ule, cursor, limit, |code| {
            let record = code.b.ptr_add_const(memory, work::RECORD.into());
            let at = code.b.ptr_add(record, cursor);
            let to = code.b.ptr_add_const(at, chunk::HEAD as i32);
            let (size, flags) = (code.num(STACK_BYTES), code.num(USER_STACK));
            let got = code.helper(helpers::GET_STACK, &[context, to, size, flags]);
            let meta = code.b.i32(u32::from(op::STACK) | u32::from(part::WHOLE) << 16);
            code.b.store(Width::W32, at, chunk::KIND, meta);
            let short = code.b.unary(Unary::Truncate, got);
            code.b.store(Width::W32, at, chunk::GOT, short);
            code.b.store(Width::W64, at, chunk::FULL, got);
            let zero = code.num(0);
            code.when(Cond::Sge, got, zero, |code| {
                let bytes = code.with(Binary::And, got, 0xff8);
                let behind = code.with(Binary::Add, bytes, chunk::HEAD);
                let cursor = code.b.binary(Binary::Add, cursor, behind);
                code.b.store(Width::W64, memory, work::CURSOR, cursor);
            });
        });
    }

    /// Sends the record in the working memory, or counts it as lost.
    fn send(&self, code: &mut Code<'_>, memory: Value, counter: i16) {
        let length = code.load(Width::W64, memory, work::CURSOR);
        let most = code.num(work::LIMIT + work::MOST);
        let length = code.min(length, most);
        let record = code.b.ptr_add_const(memory, work::RECORD.into());
        self.output(code, record, length, counter);
    }

    fn output(&self, code: &mut Code<'_>, record: Value, length: Value, counter: i16) {
        let events = code.b.map_addr(self.maps.events);
        let flags = code.num(0);
        let failed = code.helper(helpers::RINGBUF_OUTPUT, &[events, record, length, flags]);
        let zero = code.num(0);
        let maps = self.maps;
        code.when(Cond::Ne, failed, zero, |code| Self::lost(code, maps, counter));
    }

    /// Counts something that is lost.
    fn lost(code: &mut Code<'_>, maps: &Maps, counter: i16) {
        let (zero, one) = (code.num(0), code.num(1));
        code.value_or(maps.lost, zero, |code, value| code.count(value, counter, one), |_| {});
    }

    fn set(code: &mut Code<'_>, map: MapRef, key: Value, value: Value) {
        let at = code.key(key);
        let map = code.b.map_addr(map);
        let flags = code.num(ANY);
        code.helper(helpers::MAP_UPDATE, &[map, at, value, flags]);
    }

    fn remove(code: &mut Code<'_>, map: MapRef, key: Value) {
        let at = code.key(key);
        let map = code.b.map_addr(map);
        code.helper(helpers::MAP_DELETE, &[map, at]);
    }

    /// The descriptor of a call that is traced; else the program ends.
    fn descriptor(&self, code: &mut Code<'_>, index: Value) -> Value {
        let descriptor = code.value_or_leave(self.maps.calls, index);
        let flags = code.load(Width::W64, descriptor, 0);
        let traced = code.with(Binary::And, flags, TRACED);
        let zero = code.num(0);
        code.leave_if(Cond::Eq, traced, zero);
        descriptor
    }

    /// `sys_enter(registers, number)`
    fn enter(&self, code: &mut Code<'_>, context: Value) {
        let ids = self.filter(code);
        let registers = code.load(Width::W64, context, 0);
        let number = code.load(Width::W64, context, 8);
        let index = Self::index(code, number);
        let descriptor = self.descriptor(code, index);
        if self.shape.count {
            self.start(code, ids, number);
        }
        if !self.shape.send {
            return;
        }
        let memory = chunks::work_memory(code, self.maps.scratch);
        Self::head(code, memory, kind::ENTER, ids, registers);
        self.capture(code, memory, descriptor, 0);
        if self.shape.stack {
            self.stack(code, memory, context);
        }
        let failed = code.load(Width::W64, memory, work::FAILED);
        let zero = code.num(0);
        code.when(Cond::Ne, failed, zero, |code| {
            let value = code.buffer(8);
            Self::set(code, self.maps.again, ids, value);
        });
        if self.shape.status == Status::Any {
            return self.send(code, memory, lost::ENTER);
        }
        let length = code.load(Width::W64, memory, work::CURSOR);
        let record = code.b.ptr_add_const(memory, work::RECORD.into());
        code.b.store(Width::W64, record, field::LENGTH, length);
        Self::set(code, self.maps.held, ids, record);
    }

    /// Remembers when a call began.
    fn start(&self, code: &mut Code<'_>, ids: Value, number: Value) {
        let now = code.helper(helpers::BOOT_NS, &[]);
        let maps = self.maps;
        code.value_or(
            maps.started,
            ids,
            |code, value| {
                code.b.store(Width::W64, value, 0, now);
                code.b.store(Width::W64, value, 8, number);
            },
            |code| {
                let value = code.buffer(16);
                code.b.store(Width::W64, value, 0, now);
                code.b.store(Width::W64, value, 8, number);
                Self::set(code, maps.started, ids, value);
            },
        );
    }

    /// Leaves the program if the result is not wanted.
    fn wanted(&self, code: &mut Code<'_>, result: Value, unwanted: impl Fn(&mut Code<'_>)) {
        let first = code.num(FIRST_ERROR);
        let cond = match self.shape.status {
            Status::Any => return,
            Status::Success => Cond::Uge,
            Status::Failure => Cond::Ult,
        };
        code.when(cond, result, first, |code| {
            unwanted(code);
            code.leave();
        });
    }

    /// `sys_exit(registers, result)`
    fn exit(&self, code: &mut Code<'_>, context: Value) {
        let ids = self.filter(code);
        let registers = code.load(Width::W64, context, 0);
        let result = code.load(Width::W64, context, 8);
        let number = code.buffer(8);
        let size = code.num(8);
        let from = code.with(Binary::Add, registers, regs::NUMBER.into());
        code.helper(helpers::PROBE_READ_KERNEL, &[number, size, from]);
        let number = code.load(Width::W64, number, 0);
        let number = code.var(number);
        // The return from a signal handler restores the registers of before, and has no number at its end.
        let (seen, none) = (code.get(number), code.num(-1));
        code.when(Cond::Eq, seen, none, |code| {
            let back = code.num(regs::SIGRETURN);
            code.set(number, back);
        });
        let number = code.get(number);
        let index = Self::index(code, number);
        let descriptor = self.descriptor(code, index);
        let maps = self.maps;
        self.wanted(code, result, |code| Self::remove(code, maps.held, ids));
        if self.shape.count {
            self.finish_count(code, ids, number, result);
        }
        if !self.shape.send {
            return;
        }
        if self.shape.status != Status::Any {
            code.value_or(
                maps.held,
                ids,
                |code, record| {
                    let length = code.load(Width::W64, record, field::LENGTH);
                    let most = code.num(HELD.into());
                    let length = code.min(length, most);
                    self.output(code, record, length, lost::ENTER);
                },
                |_| {},
            );
            Self::remove(code, maps.held, ids);
        }
        let memory = chunks::work_memory(code, maps.scratch);
        Self::head(code, memory, kind::EXIT, ids, registers);
        code.b.store(Width::W64, memory, work::RECORD + field::RESULT, result);
        let short = code.load(Width::W32, memory, work::RECORD + field::NUMBER);
        let none = code.num(0xffff_ffff);
        code.when(Cond::Eq, short, none, |code| {
            let back = code.b.i32(regs::SIGRETURN as u32);
            code.b.store(Width::W32, memory, work::RECORD + field::NUMBER, back);
        });
        self.again(code, ids, descriptor, memory);
        let zero = code.num(0);
        // What calls fill is filled only if they succeed.
        code.when(Cond::Sge, result, zero, |code| {
            code.b.store(Width::W64, memory, work::RESULT, result);
            self.capture(code, memory, descriptor, 1);
        });
        self.send(code, memory, lost::EXIT);
    }

    /// What could not be read when the call began, because it was not in memory yet, is read when it ends.
    fn again(&self, code: &mut Code<'_>, ids: Value, descriptor: Value, memory: Value) {
        let maps = self.maps;
        code.value_or(
            maps.again,
            ids,
            |code, _| {
                Self::remove(code, maps.again, ids);
                let mark = code.num(chunk::AGAIN.into());
                code.b.store(Width::W64, memory, work::MARK, mark);
                self.capture(code, memory, descriptor, 0);
                let zero = code.num(0);
                code.b.store(Width::W64, memory, work::MARK, zero);
            },
            |_| {},
        );
    }

    /// Counts a call that ends, if its beginning was seen.
    fn finish_count(&self, code: &mut Code<'_>, ids: Value, number: Value, result: Value) {
        let now = code.helper(helpers::BOOT_NS, &[]);
        let maps = self.maps;
        let zero = code.num(0);
        let began = code.var(zero);
        code.value_or(
            maps.started,
            ids,
            |code, value| {
                let started = code.load(Width::W64, value, 8);
                code.when(Cond::Eq, started, number, |code| {
                    let time = code.load(Width::W64, value, 0);
                    code.set(began, time);
                });
                let zero = code.num(0);
                code.b.store(Width::W64, value, 0, zero);
            },
            |_| {},
        );
        let began = code.get(began);
        let took = code.b.binary(Binary::Sub, now, began);
        code.either(
            Cond::Eq,
            began,
            zero,
            |code| Self::lost(code, maps, lost::UNPAIRED),
            |code| Self::count_one(code, maps, number, result, took),
        );
    }

    /// Adds a call to the counts.
    fn count_one(code: &mut Code<'_>, maps: &Maps, number: Value, result: Value, took: Value) {
        let index = Self::index(code, number);
        code.value_or(
            maps.stats,
            index,
            |code, value| {
                let (one, first) = (code.num(1), code.num(FIRST_ERROR));
                code.add_to(value, stat::CALLS, one);
                code.add_to(value, stat::TOTAL, took);
                code.when(Cond::Uge, result, first, |code| code.add_to(value, stat::ERRORS, one));
                Self::extremes(code, value, took);
                let bucket = logarithm(code, took);
                let distance = code.with(Binary::Mul, bucket, 8);
                let at = code.b.ptr_add(value, distance);
                code.add_to(at, stat::BUCKETS, one);
            },
            |_| {},
        );
    }

    /// Shortest and longest. Zero stands for "none yet", so a call of no time counts as one nanosecond.
    fn extremes(code: &mut Code<'_>, value: Value, took: Value) {
        let longest = code.load(Width::W64, value, stat::LONGEST);
        code.when(Cond::Ugt, took, longest, |code| code.b.store(Width::W64, value, stat::LONGEST, took));
        let shortest = code.load(Width::W64, value, stat::SHORTEST);
        // One less makes zero the largest number.
        let before = code.with(Binary::Sub, shortest, 1);
        code.when(Cond::Ult, took, before, |code| {
            let shown = code.with(Binary::Or, took, 1);
            code.b.store(Width::W64, value, stat::SHORTEST, shown);
        });
    }

    /// A record with a head and nothing else, in the stack of the program.
    fn small(code: &mut Code<'_>, bytes: u32, kind: u32, ids: Value, args: &[Value]) -> Value {
        let record = code.buffer(bytes);
        Self::who(code, record, kind, ids);
        for (number, &arg) in (0..).zip(args) {
            code.b.store(Width::W64, record, field::ARGS + 8 * number, arg);
        }
        record
    }

    /// A number of 4 bytes in the kernel.
    fn kernel_word(code: &mut Code<'_>, object: Value, offset: u32) -> Value {
        let to = code.buffer(8);
        let size = code.num(4);
        let from = code.with(Binary::Add, object, offset.into());
        code.helper(helpers::PROBE_READ_KERNEL, &[to, size, from]);
        code.load(Width::W32, to, 0)
    }

    /// `sched_process_fork(parent, child)`
    fn fork(&self, code: &mut Code<'_>, context: Value) {
        let ids = self.filter(code);
        let child = code.load(Width::W64, context, 8);
        let thread = Self::kernel_word(code, child, self.shape.task.pid);
        let process = Self::kernel_word(code, child, self.shape.task.tgid);
        if self.shape.threads && self.shape.follow {
            let value = code.buffer(8);
            Self::set(code, self.maps.threads, thread, value);
        }
        if self.shape.send {
            let record = Self::small(code, HEAD as u32, kind::FORK, ids, &[thread, process]);
            let length = code.num(HEAD);
            self.output(code, record, length, lost::OTHER);
        }
    }

    /// `sched_process_exit(task)`: the task is the one that runs.
    fn end(&self, code: &mut Code<'_>, context: Value) {
        let ids = self.filter(code);
        let task = code.load(Width::W64, context, 0);
        let status = Self::kernel_word(code, task, self.shape.task.exit_code);
        if self.shape.threads {
            Self::remove(code, self.maps.threads, ids);
        }
        if self.shape.send {
            let record = Self::small(code, HEAD as u32, kind::END, ids, &[status]);
            let to = code.b.ptr_add_const(record, field::NAME.into());
            let size = code.num(16);
            code.helper(helpers::COMM, &[to, size]);
            let length = code.num(HEAD);
            self.output(code, record, length, lost::OTHER);
        }
    }

    /// `signal_deliver(number, info, action)`
    fn signal(&self, code: &mut Code<'_>, context: Value) {
        let ids = self.filter(code);
        self.signal_record(code, context, kind::SIGNAL, ids);
    }

    /// `signal_generate(number, info, task, group, result)`: what a traced process would have been told.
    fn ignored(&self, code: &mut Code<'_>, context: Value) {
        let result = code.load(Width::W64, context, 32);
        let result = code.with(Binary::And, result, 0xffff_ffff);
        let ignored = code.num(SIGNAL_IGNORED);
        code.leave_if(Cond::Ne, result, ignored);
        let task = code.load(Width::W64, context, 16);
        let thread = Self::kernel_word(code, task, self.shape.task.pid);
        let process = Self::kernel_word(code, task, self.shape.task.tgid);
        let own = code.num(self.shape.own.into());
        code.leave_if(Cond::Eq, process, own);
        if self.shape.threads {
            code.value_or_leave(self.maps.threads, thread);
        } else if self.shape.group || self.shape.name.is_some() {
            // The thread that would get it is not the one that runs; whether it is wanted cannot be asked here.
            return;
        }
        let process = code.with(Binary::Shl, process, 32);
        let ids = code.b.binary(Binary::Or, process, thread);
        self.signal_record(code, context, kind::IGNORED, ids);
    }

    fn signal_record(&self, code: &mut Code<'_>, context: Value, kind: u32, ids: Value) {
        let number = code.load(Width::W64, context, 0);
        let info = code.load(Width::W64, context, 8);
        let bytes = HEAD + chunk::HEAD + CHUNK_SIGNAL_BYTES;
        let record = Self::small(code, bytes as u32, kind, ids, &[number]);
        let at = code.b.ptr_add_const(record, field::CHUNKS.into());
        let meta = code.b.i32(u32::from(op::SIGNAL) | u32::from(part::WHOLE) << 16);
        code.b.store(Width::W32, at, chunk::KIND, meta);
        let size = code.num(CHUNK_SIGNAL_BYTES);
        let short = code.b.i32(CHUNK_SIGNAL_BYTES as u32);
        code.b.store(Width::W32, at, chunk::GOT, short);
        code.b.store(Width::W64, at, chunk::FULL, info);
        let to = code.b.ptr_add_const(at, chunk::HEAD as i32);
        code.helper(helpers::PROBE_READ_KERNEL, &[to, size, info]);
        let length = code.num(bytes);
        self.output(code, record, length, lost::OTHER);
    }
}

/// The binary logarithm of a number, in steps of halves of its bits; 0 for 0.
fn logarithm(code: &mut Code<'_>, value: Value) -> Value {
    let zero = code.num(0);
    let (result, rest) = (code.var(zero), code.var(value));
    for step in [32, 16, 8, 4, 2, 1] {
        let limit = code.num(1 << step);
        let now = code.get(rest);
        code.when(Cond::Uge, now, limit, |code| {
            let sum = code.get(result);
            let sum = code.with(Binary::Add, sum, step);
            code.set(result, sum);
            let now = code.with(Binary::Lshr, now, step);
            code.set(rest, now);
        });
    }
    let (result, last) = (code.get(result), code.num(stat::BUCKET_COUNT - 1));
    code.min(result, last)
}

//! Every helper on the interpreter and on compiled code: what it gives, what it leaves, and its errors.
//!
//! What the kernel runs in a test run is compared with it in `helpers_kernel.rs`.

use std::fmt::Write;
use std::sync::Arc;

use skep_isa::ebpf::assemble;
use skep_isa::{MapType, ProgType};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{
    Clock, Device, Engine, FaultKind, FibTable, Helpers, Input, LoadError, Map, Neighbour, Problem, PtRegs,
    RawTracepoint, Redirect, Route, RouteKind, Setup, SetupError, Shape, Skb, Task, Vm, Worker, X86Register, XdpAction,
    XdpFrame,
};

const ENGINES: [Engine; 3] = [Engine::Interpreter, Engine::InterpreterByPage, Engine::Jit];

fn map(kind: MapType, [key_size, value_size, max_entries]: [u32; 3]) -> Arc<Map> {
    let shape = Shape { key_size, value_size, max_entries, flags: 0 };
    Arc::new(Map::new_for_cpus(kind, shape, 4).unwrap_or_else(|error| panic!("{kind}: {error}")))
}

fn vm(text: &str, maps: &[Arc<Map>], engine: Engine) -> Vm {
    let insns = assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let setup = Setup::new().helpers(Helpers::kernel()).engine(engine).program("test", ProgType::SchedCls, &insns);
    let setup = maps.iter().fold(setup, |setup, map| setup.map("map", Arc::clone(map)));
    setup.load().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn worker(text: &str, maps: &[Arc<Map>], engine: Engine) -> Worker {
    vm(text, maps, engine).worker().unwrap()
}

fn run(worker: &mut Worker) -> Result<u64, FaultKind> {
    let meta = Metadata { cpu: 2, random: 77, ..Metadata::default() };
    let input = Input { context: &mut [0; 8], packet: &[1, 2, 3, 4], meta: &meta };
    worker.run(0, input).map_err(|fault| fault.kind)
}

/// The result of a program on every engine, each with new maps.
#[track_caller]
fn results(text: &str, maps: impl Fn() -> Vec<Arc<Map>>) -> Result<u64, FaultKind> {
    let [first, rest @ ..] = ENGINES.map(|engine| run(&mut worker(text, &maps(), engine)));
    rest.into_iter().for_each(|other| assert_eq!(other, first, "{text}"));
    first
}

#[track_caller]
fn result(text: &str) -> i64 {
    results(text, Vec::new).unwrap_or_else(|fault| panic!("{fault}\n{text}")).cast_signed()
}

#[track_caller]
fn with_map(text: &str, kind: MapType, sizes: [u32; 3]) -> i64 {
    results(text, || vec![map(kind, sizes)]).unwrap_or_else(|fault| panic!("{fault}\n{text}")).cast_signed()
}

/// Stores that put bytes into the frame at a negative offset.
fn put(offset: i32, bytes: &[u8]) -> String {
    (offset..).zip(bytes).fold(String::new(), |mut text, (at, byte)| {
        writeln!(text, "*(u8 *)(r10 {at}) = {byte}").unwrap();
        text
    })
}

#[test]
fn facts_of_the_run() {
    let mut worker = worker("call bpf_get_current_pid_tgid\nexit", &[], Engine::Jit);
    assert_eq!(run(&mut worker), Ok(1000 << 32 | 1001));
    worker.set_task(Task { pid: 7, tgid: 8, uid: 9, gid: 10, comm: "a name that is too long".to_owned() });
    assert_eq!(run(&mut worker), Ok(8 << 32 | 7));
    assert_eq!(result("call bpf_get_current_uid_gid\nexit"), 1000 << 32 | 1000);
    assert_eq!(result("call bpf_get_smp_processor_id\nexit"), 2);
    assert_eq!(result("call bpf_get_prandom_u32\nexit"), 77);
    let comm = "r1 = r10\nr1 += -16\nr2 = 16\ncall bpf_get_current_comm\nr0 = *(u64 *)(r10 -16)\nexit";
    assert_eq!(result(comm).to_ne_bytes(), *b"skep-tas");
    let short =
        "*(u64 *)(r10 -8) = -1\nr1 = r10\nr1 += -8\nr2 = 5\ncall bpf_get_current_comm\nr0 = *(u64 *)(r10 -8)\nexit";
    assert_eq!(result(short).to_ne_bytes(), *b"skep\0\xff\xff\xff");
}

#[test]
fn clocks() {
    for engine in ENGINES {
        for (name, expected) in
            [("ktime_get_ns", 9), ("ktime_get_boot_ns", 9), ("ktime_get_coarse_ns", 9), ("ktime_get_tai_ns", 9)]
        {
            let mut worker = worker(&format!("call bpf_{name}\nexit"), &[], engine);
            let before = run(&mut worker).unwrap();
            assert!(before > 0 && run(&mut worker).unwrap() >= before, "{name}");
            worker.set_clock(Clock::fixed(expected));
            assert_eq!(run(&mut worker), Ok(expected));
            assert_eq!(worker.advance_time(11), Ok(0));
            assert_eq!(run(&mut worker), Ok(expected + 11));
        }
        let mut worker = worker("call bpf_jiffies64\nexit", &[], engine);
        worker.set_clock(Clock::fixed(1_000_000_000));
        assert_eq!(run(&mut worker), Ok(250));
        let mut worker = self::worker("call bpf_get_numa_node_id\nexit", &[], engine);
        worker.set_numa_node(3);
        assert_eq!(run(&mut worker), Ok(3));
    }
}

#[test]
fn printed_lines() {
    for engine in ENGINES {
        let format = b"%d %5u|%-4x|%s %c%%\0";
        let text = format!(
            "{}{}r1 = r10\nr1 += -64\nr2 = {}\nr3 = -3\nr4 = 12\nr5 = 255\ncall bpf_trace_printk\nexit",
            put(-64, b"%d %5u|%-4x|%%\0"),
            put(-24, b"text\0"),
            15
        );
        let mut first = worker(&text, &[], engine);
        assert_eq!(run(&mut first), Ok(15));
        assert_eq!(first.printed().collect::<Vec<_>>(), ["-3    12|ff  |%"]);
        assert_eq!(first.take_printed().0.len(), 1);
        assert_eq!(first.printed().len(), 0);
        let text = format!(
            "{}{}*(u64 *)(r10 -80) = -3\n*(u64 *)(r10 -72) = 12\n*(u64 *)(r10 -64) = 255\nr1 = r10\nr1 += -16\n\
             *(u64 *)(r10 -56) = r1\n*(u64 *)(r10 -48) = 33\nr1 = r10\nr1 += -40\nr2 = {}\nr3 = r10\nr3 += -80\nr4 = 40\n\
             call bpf_trace_vprintk\nexit",
            put(-40, format),
            put(-16, b"text\0"),
            format.len()
        );
        let mut all = worker(&text, &[], engine);
        assert_eq!(run(&mut all), Ok(21));
        assert_eq!(all.printed().collect::<Vec<_>>(), ["-3    12|ff  |text !%"]);
        let bad = text.replace("r4 = 40", "r4 = 32");
        assert_eq!(run(&mut worker(&bad, &[], engine)).map(u64::cast_signed), Ok(-22));
        let bad = text.replace("r4 = 40", "r4 = 39");
        assert_eq!(run(&mut worker(&bad, &[], engine)).map(u64::cast_signed), Ok(-22));
    }
}

#[test]
fn copies_of_memory() {
    for helper in ["probe_read", "probe_read_user", "probe_read_kernel", "copy_from_user"] {
        let text = |from: &str| {
            format!(
                "*(u64 *)(r10 -8) = 5\n*(u64 *)(r10 -16) = 9\nr1 = r10\nr1 += -16\nr2 = 8\n{from}\nr4 = 0\ncall bpf_{helper}\n\
                 r1 = *(u64 *)(r10 -16)\nr0 *= 100\nr0 += r1\nexit"
            )
        };
        assert_eq!(result(&text("r3 = r10\nr3 += -8")), 5);
        assert_eq!(result(&text("r3 = 0")), -1400);
        assert_eq!(result(&text("r3 = 0xffff888000000000 ll")), -1400);
        // What is wrong with the target is a fault.
        let bad = text("r3 = r10\nr3 += -8").replace("r1 += -16", "r1 = 8");
        assert!(matches!(results(&bad, Vec::new), Err(FaultKind::OutOfBounds { address: 8, .. })));
    }
    for helper in ["probe_read_str", "probe_read_user_str", "probe_read_kernel_str"] {
        let text = |size: u32, from: &str| {
            format!(
                "{}*(u64 *)(r10 -16) = -1\nr1 = r10\nr1 += -16\nr2 = {size}\n{from}\ncall bpf_{helper}\nr1 = *(u64 *)(r10 -16)\n\
                 *(u64 *)(r10 -24) = r1\nr1 &= 0xff\nr0 *= 1000\nr0 += r1\nexit",
                put(-8, b"abc\0zzz")
            )
        };
        let here = "r3 = r10\nr3 += -8";
        assert_eq!(result(&text(8, here)), 4097);
        assert_eq!(result(&text(2, here)), 2097);
        assert_eq!(result(&text(1, here)), 1000);
        assert_eq!(result(&text(0, here)), 255);
        assert_eq!(result(&text(8, "r3 = 64")), -14_000);
    }
}

#[test]
fn maps_without_keys() {
    let value = "*(u64 *)(r10 -8) = 5\nr1 = map[fd:0] ll\nr2 = r10\nr2 += -8\n";
    for kind in [MapType::Queue, MapType::Stack] {
        let text = |steps: &str| {
            let mut text = String::from("*(u64 *)(r10 -8) = 5\n");
            for step in steps.chars() {
                let (setup, name) = match step {
                    'u' => ("r3 = 0\n", "push"),
                    'x' => ("r3 = 8\n", "push"),
                    'o' => ("", "pop"),
                    _ => ("", "peek"),
                };
                write!(text, "r1 = map[fd:0] ll\nr2 = r10\nr2 += -8\n{setup}call bpf_map_{name}_elem\n").unwrap();
            }
            text
        };
        let run = |steps: &str| with_map(&format!("{}exit", text(steps)), kind, [0, 8, 2]);
        assert_eq!((run("u"), run("uu"), run("uuu"), run("x")), (0, 0, -7, -22));
        assert_eq!((run("o"), run("up"), run("uo"), run("uoo"), run("p")), (-2, 0, 0, -2, -2));
        // An empty queue clears the value.
        let cleared = format!("{}r0 = *(u64 *)(r10 -8)\nexit", text("o"));
        assert_eq!(with_map(&cleared, kind, [0, 8, 2]), 0);
    }
    let bloom = format!("{value}r3 = 0\ncall bpf_map_push_elem\n{value}call bpf_map_peek_elem\nexit");
    assert_eq!(with_map(&bloom, MapType::BloomFilter, [0, 8, 64]), 0);
    assert_eq!(with_map(&format!("{value}call bpf_map_peek_elem\nexit"), MapType::BloomFilter, [0, 8, 64]), -2);
    assert_eq!(with_map(&format!("{value}call bpf_map_pop_elem\nexit"), MapType::BloomFilter, [0, 8, 64]), -95);
    assert_eq!(with_map(&format!("{value}r3 = 0\ncall bpf_map_push_elem\nexit"), MapType::Hash, [4, 8, 1]), -524);
    let no_map = "r1 = 5\nr2 = r10\nr2 += -8\ncall bpf_map_pop_elem\nexit";
    assert_eq!(results(no_map, Vec::new), Err(FaultKind::NotAMap(5)));
}

#[test]
fn values_of_other_processors() {
    let text = |cpu: i32| {
        format!(
            "*(u32 *)(r10 -4) = 1\nr1 = map[fd:0] ll\nr2 = r10\nr2 += -4\nr3 = {cpu}\ncall bpf_map_lookup_percpu_elem\n\
             if r0 == 0 goto none\nr1 = *(u64 *)(r0 +0)\n*(u64 *)(r0 +0) = 9\nr0 = r1\nexit\nnone:\nr0 = -1\nexit"
        )
    };
    for engine in ENGINES {
        let values = map(MapType::PercpuArray, [4, 8, 2]);
        let parts: Vec<u8> = (10u64..14).flat_map(u64::to_ne_bytes).collect();
        values.user().update(&[1, 0, 0, 0], &parts, 0).unwrap();
        for (cpu, expected) in [(0, 10), (3, 13), (4, -1), (-1, -1)] {
            let found = run(&mut worker(&text(cpu), &[Arc::clone(&values)], engine)).map(u64::cast_signed);
            assert_eq!(found, Ok(expected), "{cpu}");
        }
        assert_eq!(values.user().lookup_on_cpu(&[1, 0, 0, 0], 3), Ok(9u64.to_ne_bytes().to_vec()));
    }
    assert_eq!(with_map(&text(0), MapType::Array, [4, 8, 2]), -1);
}

#[test]
fn loops() {
    let text = |rounds: &str, flags: i32, stop: i32| {
        format!(
            "*(u64 *)(r10 -8) = 0\nr1 = {rounds}\nr2 = subprog[round] ll\nr3 = r10\nr3 += -8\nr4 = {flags}\ncall bpf_loop\n\
             r1 = *(u64 *)(r10 -8)\nr0 *= 1000\nr0 += r1\nexit\nround:\nr3 = *(u64 *)(r2 +0)\nr3 += r1\n\
             *(u64 *)(r2 +0) = r3\nr0 = 0\nif r1 != {stop} goto more\nr0 = 1\nmore:\nexit"
        )
    };
    assert_eq!(result(&text("10", 0, -1)), 10_045);
    assert_eq!(result(&text("10", 0, 3)), 4_006);
    assert_eq!(result(&text("0", 0, 3)), 0);
    assert_eq!(result(&text("10", 1, 3)), -22_000);
    assert_eq!(result(&text("8388609", 0, 3)), -7_000);
    let no_function = text("1", 0, 0).replace("r2 = subprog[round] ll", "r2 = 99");
    assert_eq!(results(&no_function, Vec::new), Err(FaultKind::NotAFunction(99)));
    // A fault in a callback ends the run.
    let fault = text("10", 0, 3).replace("r3 = *(u64 *)(r2 +0)", "r3 = *(u64 *)(r1 +0)");
    assert!(matches!(results(&fault, Vec::new), Err(FaultKind::OutOfBounds { address: 0, .. })));
}

#[test]
fn entries_one_by_one() {
    let text = |flags: i32, stop: i32| {
        format!(
            "*(u64 *)(r10 -8) = 0\nr1 = map[fd:0] ll\nr2 = subprog[each] ll\nr3 = r10\nr3 += -8\nr4 = {flags}\n\
             call bpf_for_each_map_elem\nr1 = *(u64 *)(r10 -8)\nr0 *= 1000\nr0 += r1\nexit\neach:\nr5 = *(u32 *)(r2 +0)\n\
             r1 = *(u64 *)(r3 +0)\nr1 += r5\n*(u64 *)(r3 +0) = 1\nr3 = *(u64 *)(r4 +0)\nr3 += r1\n*(u64 *)(r4 +0) = r3\n\
             r0 = {stop}\nexit"
        )
    };
    assert_eq!(with_map(&text(0, 0), MapType::Array, [4, 8, 5]), 5_010);
    assert_eq!(with_map(&text(0, 1), MapType::Array, [4, 8, 5]), 1_000);
    assert_eq!(with_map(&text(0, 0), MapType::PercpuArray, [4, 8, 3]), 3_003);
    assert_eq!(with_map(&text(1, 0), MapType::Array, [4, 8, 5]), -22_000);
    assert_eq!(with_map(&text(0, 0), MapType::Queue, [0, 8, 5]), -22_000);
    let filled = || {
        let hash = map(MapType::Hash, [4, 8, 8]);
        (1u32..=3).for_each(|key| hash.user().update(&key.to_ne_bytes(), &7u64.to_ne_bytes(), 0).unwrap());
        vec![hash]
    };
    assert_eq!(results(&text(0, 0), filled), Ok(3_027));
    // A key that was lent is gone afterwards.
    let kept = text(0, 0).replace("r1 = *(u64 *)(r10 -8)\nr0 *= 1000", "r1 = *(u64 *)(r10 -8)\nr0 = *(u32 *)(r1 +0)");
    let kept = kept.replace("r3 += r1\n*(u64 *)(r4 +0) = r3", "*(u64 *)(r4 +0) = r2");
    let engine = Engine::Interpreter;
    assert!(matches!(run(&mut worker(&kept, &filled(), engine)), Err(FaultKind::OutOfBounds { .. })));
}

#[test]
fn timers() {
    let text = "*(u32 *)(r10 -4) = 1\nr1 = map[fd:0] ll\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n\
                r6 = r0\nr1 = r6\nr2 = map[fd:0] ll\nr3 = 1\ncall bpf_timer_init\nr7 = r0\nr1 = r6\nr2 = subprog[fire] ll\n\
                call bpf_timer_set_callback\nr1 = r6\nr2 = 100\nr3 = 0\ncall bpf_timer_start\nr0 += r7\nout:\nexit\n\
                fire:\nr6 = r3\nr4 = *(u64 *)(r3 +16)\nr2 = *(u32 *)(r2 +0)\nr4 += r2\n*(u64 *)(r3 +16) = r4\n\
                if r4 > 2 goto end\nr1 = r6\nr2 = 50\nr3 = 0\ncall bpf_timer_start\nend:\nr1 = r6\ncall bpf_timer_cancel\n\
                *(u64 *)(r6 +24) = r0\nr0 = 0\nexit";
    let cancel = "*(u32 *)(r10 -4) = 1\nr1 = map[fd:0] ll\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n\
                  r1 = r0\ncall bpf_timer_cancel\nout:\nexit";
    for engine in ENGINES {
        let values = map(MapType::Array, [4, 32, 2]);
        let fired = |values: &Map| {
            let value = values.user().lookup(&[1, 0, 0, 0]).unwrap();
            let word = |at: usize| i64::from_ne_bytes(*value[at..].first_chunk().unwrap());
            (word(16), word(24))
        };
        let setup = Setup::new().helpers(Helpers::kernel()).engine(engine).map("map", Arc::clone(&values));
        let setup = setup.program("start", ProgType::SchedCls, &assemble(text).unwrap());
        let setup = setup.program("cancel", ProgType::SchedCls, &assemble(cancel).unwrap());
        let mut worker = setup.load().unwrap().worker().unwrap();
        worker.set_clock(Clock::fixed(0));
        let go = |worker: &mut Worker, program| {
            let input = Input { context: &mut [], packet: &[], meta: &Metadata::default() };
            worker.run(program, input).unwrap().cast_signed()
        };
        assert_eq!(go(&mut worker, 1), -22, "not initialised");
        assert_eq!(go(&mut worker, 0), 0);
        assert_eq!((worker.advance_time(99), fired(&values)), (Ok(0), (0, 0)));
        assert_eq!((worker.advance_time(1), fired(&values)), (Ok(1), (1, -35)));
        assert_eq!((worker.advance_time(1000), fired(&values)), (Ok(2), (3, -35)));
        assert_eq!(go(&mut worker, 0), -16, "initialised before, and started again");
        assert_eq!((go(&mut worker, 1), go(&mut worker, 1)), (1, 0));
        assert_eq!((worker.advance_time(1000), fired(&values)), (Ok(0), (3, -35)));
        // A new value has no timer.
        go(&mut worker, 0);
        values.user().update(&[1, 0, 0, 0], &[0; 32], 0).unwrap();
        assert_eq!((worker.advance_time(1000), fired(&values)), (Ok(0), (0, 0)));
    }
}

#[test]
fn a_timer_that_starts_itself_at_once_runs_out_of_fuel() {
    let text = "*(u32 *)(r10 -4) = 0\nr1 = map[fd:0] ll\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n\
                r6 = r0\nr1 = r6\nr2 = map[fd:0] ll\nr3 = 1\ncall bpf_timer_init\nr1 = r6\nr2 = subprog[fire] ll\n\
                call bpf_timer_set_callback\nr1 = r6\nr2 = 0\nr3 = 0\ncall bpf_timer_start\nout:\nr0 = 0\nexit\nfire:\n\
                r1 = r3\nr2 = 0\nr3 = 0\ncall bpf_timer_start\nr0 = 0\nexit";
    let mut worker = worker(text, &[map(MapType::Array, [4, 16, 1])], Engine::Interpreter);
    worker.set_clock(Clock::fixed(5));
    worker.set_fuel(1000);
    assert_eq!(run(&mut worker), Ok(0));
    assert_eq!(worker.advance_time(10).map_err(|fault| fault.kind), Err(FaultKind::OutOfFuel));
}

/// A program that takes the lock of the only value, does something, and releases it.
fn locked(inside: &str) -> String {
    format!(
        "*(u32 *)(r10 -4) = 0\nr1 = map[fd:0] ll\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr6 = r0\n\
         r1 = r6\ncall bpf_spin_lock\n{inside}r1 = r6\ncall bpf_spin_unlock\nout:\nr0 = 0\nexit"
    )
}

#[test]
fn locks_exclude() {
    const ROUNDS: u64 = 20_000;
    let text = locked("r1 = *(u64 *)(r6 +8)\nr1 += 1\n*(u64 *)(r6 +8) = r1\n");
    for engine in ENGINES {
        let values = map(MapType::Array, [4, 16, 1]);
        let vm = vm(&text, &[Arc::clone(&values)], engine);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut worker = vm.worker().unwrap();
                    (0..ROUNDS).for_each(|_| assert_eq!(run(&mut worker), Ok(0)));
                });
            }
        });
        let value = values.user().lookup(&[0; 4]).unwrap();
        assert_eq!(value[..4], [0; 4]);
        assert_eq!(value[8..], (2 * ROUNDS).to_ne_bytes());
    }
}

#[test]
fn locks_that_are_used_wrongly() {
    let maps = || vec![map(MapType::Array, [4, 16, 1])];
    let twice = locked("r1 = r6\ncall bpf_spin_lock\n");
    assert!(matches!(results(&twice, maps), Err(FaultKind::WrongArgument { .. })));
    let released = locked("r1 = r6\ncall bpf_spin_unlock\n");
    assert!(matches!(results(&released, maps), Err(FaultKind::WrongArgument { .. })));
    let elsewhere = "r1 = r10\nr1 += -8\ncall bpf_spin_lock\nexit";
    assert!(matches!(results(elsewhere, maps), Err(FaultKind::WrongArgument { .. })));
    for engine in ENGINES {
        // A lock that somebody else holds for ever.
        let values = map(MapType::Array, [4, 16, 1]);
        let mut value = [0; 16];
        value[0] = 1;
        values.user().update(&[0; 4], &value, 0).unwrap();
        let mut waits = worker(&locked(""), &[Arc::clone(&values)], engine);
        assert!(matches!(run(&mut waits), Err(FaultKind::DeadLock(_))));
        // A lock that is held at the end is released.
        values.user().update(&[0; 4], &[0; 16], 0).unwrap();
        let mut holds = worker(&locked("goto out\n"), &[Arc::clone(&values)], engine);
        assert_eq!(run(&mut holds), Ok(0));
        assert_eq!(run(&mut holds), Ok(0));
        assert_eq!(values.user().lookup(&[0; 4]).unwrap()[..4], [0; 4]);
    }
}

#[test]
fn records() {
    for engine in ENGINES {
        let ring = map(MapType::Ringbuf, [0, 0, 4096]);
        let text = "r1 = map[fd:0] ll\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\n*(u64 *)(r0 +0) = 77\n\
                    r1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nr1 = map[fd:0] ll\nr2 = 0\ncall bpf_ringbuf_query\nout:\nexit";
        assert_eq!(run(&mut worker(text, &[Arc::clone(&ring)], engine)), Ok(16));
        let mut records = Vec::new();
        ring.ring_consume(&mut |record| records.push(record.to_vec())).unwrap();
        assert_eq!(records, [77u64.to_ne_bytes()]);
        let twice =
            text.replace("r1 = map[fd:0] ll\nr2 = 0\ncall bpf_ringbuf_query", "r1 = 4096\ncall bpf_ringbuf_discard");
        assert!(matches!(run(&mut worker(&twice, &[ring], engine)), Err(FaultKind::WrongArgument { value: 4096, .. })));

        let events = map(MapType::PerfEventArray, [4, 4, 4]);
        events.perf_open(2, 64).unwrap();
        let text = |flags: u64, size: u32| {
            format!(
                "*(u64 *)(r10 -8) = 7\nr2 = map[fd:0] ll\nr3 = {flags:#x} ll\nr4 = r10\nr4 += -8\nr5 = {size}\n\
                 call bpf_perf_event_output\nexit"
            )
        };
        let send =
            |flags, size| run(&mut worker(&text(flags, size), &[Arc::clone(&events)], engine)).unwrap().cast_signed();
        assert_eq!((send(0xffff_ffff, 8), send(2, 4), send(1, 8), send(9, 8)), (0, 0, -2, -7));
        assert_eq!(send(1 << 32, 8), -22);
        let mut skb = Skb::new(&[5; 20]);
        skb.meta.cpu = 2;
        let with_packet = text(3 << 32 | 2, 4);
        let verdict = worker(&with_packet, &[Arc::clone(&events)], engine).run_skb(0, &mut skb).unwrap();
        assert_eq!(verdict.code, 0);
        let verdict = worker(&text(21 << 32 | 2, 4), &[Arc::clone(&events)], engine).run_skb(0, &mut skb).unwrap();
        assert_eq!(verdict.code.cast_signed(), -14);
        let mut records = Vec::new();
        events.perf_consume(2, &mut |record| records.push(record.to_vec())).unwrap();
        assert_eq!(records, [vec![7, 0, 0, 0, 0, 0, 0, 0], vec![7, 0, 0, 0], vec![7, 0, 0, 0, 5, 5, 5]]);
    }
}

#[test]
fn redirects() {
    let xdp = |text: &str, maps: &[Arc<Map>], engine| {
        worker(text, maps, engine).run_xdp(0, &mut XdpFrame::new(&[0; 20])).unwrap()
    };
    let skb = |text: &str, engine| worker(text, &[], engine).run_skb(0, &mut Skb::new(&[3; 20])).unwrap();
    for engine in ENGINES {
        let verdict = xdp("r1 = 5\nr2 = 0\ncall bpf_redirect\nexit", &[], engine);
        assert_eq!(verdict.action, XdpAction::Redirect);
        assert!(matches!(verdict.redirect, Some(Redirect::Device { ifindex: 5, ingress: false })));
        assert_eq!(xdp("r1 = 5\nr2 = 1\ncall bpf_redirect\nexit", &[], engine).action, XdpAction::Aborted);
        // Another action forgets the target.
        assert!(xdp("r1 = 5\nr2 = 0\ncall bpf_redirect\nr0 = 2\nexit", &[], engine).redirect.is_none());
        let verdict = skb("r1 = 5\nr2 = 1\ncall bpf_redirect\nexit", engine);
        assert!(matches!(verdict.redirect, Some(Redirect::Device { ifindex: 5, ingress: true })));
        assert_eq!((verdict.code, skb("r1 = 5\nr2 = 2\ncall bpf_redirect\nexit", engine).code), (7, 2));
        assert!(matches!(
            skb("r1 = 6\nr2 = 0\ncall bpf_redirect_peer\nexit", engine).redirect,
            Some(Redirect::Peer(6))
        ));
        let neighbour = skb("r1 = 6\nr2 = 0\nr3 = 0\nr4 = 0\ncall bpf_redirect_neigh\nexit", engine);
        assert!(matches!(neighbour.redirect, Some(Redirect::Neighbour { ifindex: 6, .. })));
        let clones = skb("r2 = 4\nr3 = 1\ncall bpf_clone_redirect\nexit", engine).clones;
        assert_eq!((clones.len(), clones[0].ifindex, clones[0].ingress, clones[0].packet.len()), (1, 4, true, 20));
        let devices = map(MapType::Devmap, [4, 4, 4]);
        devices.user().update(&1u32.to_ne_bytes(), &9u32.to_ne_bytes(), 0).unwrap();
        let to = |key: u32, flags: u32| {
            let text = format!("r1 = map[fd:0] ll\nr2 = {key}\nr3 = {flags}\ncall bpf_redirect_map\nexit");
            xdp(&text, &[Arc::clone(&devices)], engine)
        };
        assert!(matches!(to(1, 2).redirect, Some(Redirect::Map { key: 1, flags: 2, .. })));
        assert_eq!((to(0, 2).code, to(0, 0).code, to(1, 32).code, to(0, 8).code), (2, 0, 0, 4));
    }
}

#[test]
fn routes() {
    let route = |destination: &str, prefix, gateway: Option<&str>| Route {
        destination: destination.parse().unwrap(),
        prefix,
        kind: RouteKind::Unicast,
        ifindex: 2,
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        source: None,
        metric: 9,
        table: 254,
    };
    let routes = vec![
        route("10.0.0.0", 8, Some("10.0.0.1")),
        route("10.1.0.0", 16, None),
        Route { kind: RouteKind::Blackhole, ..route("10.2.0.0", 16, None) },
        route("fd00::", 8, Some("fd00::1")),
    ];
    let device = |ifindex, forwarding| Device { ifindex, address: [2, 0, 0, 0, 0, 2], mtu: 1500, forwarding };
    let neighbour = |address: &str, last| Neighbour {
        ifindex: 2,
        address: address.parse().unwrap(),
        link_address: [2, 0, 0, 0, 1, last],
    };
    let neighbours = vec![neighbour("10.0.0.1", 1), neighbour("fd00::1", 6)];
    let devices = vec![device(1, true), device(2, true), device(3, false)];
    let table = Arc::new(FibTable { routes, devices, neighbours });
    for engine in ENGINES {
        let ask = |family: u8, length: u16, ifindex: u8, destination: &[u8], flags: i32| {
            let mut parameters = [0; 64];
            parameters[0] = family;
            parameters[6..8].copy_from_slice(&length.to_ne_bytes());
            parameters[8] = ifindex;
            parameters[32..32 + destination.len()].copy_from_slice(destination);
            let text = format!(
                "{}r6 = r10\nr6 += -64\nr2 = r6\nr3 = 64\nr4 = {flags}\ncall bpf_fib_lookup\nr1 = *(u8 *)(r6 +63)\nr0 <<= 8\n\
                 r0 |= r1\nexit",
                put(-64, &parameters)
            );
            let mut worker = worker(&text, &[], engine);
            worker.set_routes(Arc::clone(&table));
            let verdict = worker.run_xdp(0, &mut XdpFrame::new(&[0; 20])).unwrap().code.cast_signed();
            (verdict >> 8, verdict & 0xff)
        };
        assert_eq!(ask(2, 0, 1, &[10, 9, 9, 9], 0), (0, 1));
        assert_eq!(ask(2, 0, 1, &[10, 1, 9, 9], 0), (7, 0));
        assert_eq!(ask(2, 0, 1, &[10, 1, 9, 9], 4), (0, 0));
        assert_eq!(ask(2, 0, 1, &[10, 2, 9, 9], 0).0, 1);
        assert_eq!(ask(2, 0, 1, &[11, 2, 9, 9], 0).0, 4);
        assert_eq!(ask(2, 1501, 1, &[10, 9, 9, 9], 0).0, 8);
        assert_eq!(ask(2, 0, 3, &[10, 9, 9, 9], 0).0, 5);
        assert_eq!(ask(2, 0, 1, &[10, 9, 9, 9], 16).0, 9);
        assert_eq!(ask(10, 0, 1, &[0xfd, 0, 7], 0), (0, 6));
        assert_eq!(ask(7, 0, 1, &[], 0).0, -97);
        assert_eq!(ask(2, 0, 1, &[10, 9, 9, 9], 64).0, -22);
    }
}

#[test]
fn contexts_of_tracing() {
    for engine in ENGINES {
        let mut worker = worker("r0 = *(u64 *)(r1 +8)\n*(u64 *)(r1 +0) = 3\nexit", &[], engine);
        let mut arguments = RawTracepoint::new(&[1, 42]);
        let meta = Metadata::default();
        let input = Input { context: arguments.bytes(), packet: &[], meta: &meta };
        assert_eq!(worker.run(0, input), Ok(42));
        assert_eq!(arguments, RawTracepoint::new(&[3, 42]));
        let mut worker = self::worker("r0 = *(u64 *)(r1 +104)\nexit", &[], engine);
        let mut registers = PtRegs::entry(&[1, 43]).with(X86Register::Rip, 9);
        assert_eq!(registers.get(X86Register::Rip), 9);
        assert_eq!(worker.run(0, Input { context: registers.bytes(), packet: &[], meta: &meta }), Ok(43));
        assert_eq!(PtRegs::exit(5).get(X86Register::Rax), 5);
    }
}

#[test]
fn unknown_helpers_are_named() {
    let insns = assemble("call bpf_get_stackid\nexit").unwrap();
    let error = Setup::new().helpers(Helpers::kernel()).program("test", ProgType::Kprobe, &insns).load().unwrap_err();
    let SetupError::Program { error: LoadError::Insn { problem: Problem::NoSuchHelper(27), .. }, .. } = &error else {
        panic!("{error}");
    };
    assert!(error.to_string().contains("get_stackid"), "{error}");
}

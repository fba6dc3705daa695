//! Records and maps of programs that run in the kernel: what fired was printed or reported lost.

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use skep_isa::ebpf::assemble;
use skep_isa::{MapType, ProgType};
use skep_kernel::{
    Capability, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, RingBuffer, Update, has_capability,
    possible_cpus,
};
use skep_lang_script::plan::{Action, MapValue, Plan, PrintTo, ScriptMap, Shape, lay_out};
use skep_trace::events::{Buffering, Dispatcher, Flow, Form, Output, Script};
use skep_trace::maps::{KernelMaps, MapRequest, MapSource, Snapshot};
use skep_trace::names::{Clock, Names, NoSymbols};

/// Reports a test that cannot run here.
fn can_load() -> bool {
    let can = has_capability(Capability::Bpf) || has_capability(Capability::SysAdmin);
    if !can {
        println!("SKIPPED: loading programs needs CAP_BPF");
        assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped");
    }
    can
}

fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> LoadedMap {
    let definition = MapDefinition { name: "trace", map_type, key_size, value_size, max_entries, flags: 0 };
    LoadedMap::create(&definition).unwrap()
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The counters of all processors together.
fn total(map: &LoadedMap) -> u64 {
    map.get_per_cpu(&[0; 4]).unwrap().and_then(|values| values.sum()).unwrap()
}

/// Sends a record of 16 bytes (action 0, then 7), or counts it as lost; counts every run in the third map.
fn program(ring: &LoadedMap, lost: &LoadedMap, fired: &LoadedMap) -> LoadedProgram {
    let fd = |map: &LoadedMap| map.as_fd().as_raw_fd();
    let count = |map: &LoadedMap, label: &str| {
        format!(
            "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:{}] ll\ncall map_lookup_elem\nif r0 == 0 goto {label}\n\
             r1 = *(u64 *)(r0 + 0)\nr1 += 1\n*(u64 *)(r0 + 0) = r1\n{label}:\n",
            fd(map)
        )
    };
    let text = format!(
        "{}*(u64 *)(r10 - 24) = 0\n*(u64 *)(r10 - 16) = 7\nr1 = map[fd:{}] ll\nr2 = r10\nr2 += -24\nr3 = 16\nr4 = 0\n\
         call ringbuf_output\nif r0 == 0 goto end\n{}end:\nr0 = 0\nexit\n",
        count(fired, "sent"),
        fd(ring),
        count(lost, "end0"),
    );
    let insns = assemble(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let definition = ProgramDefinition { name: "send", prog_type: ProgType::SchedCls, insns: &insns, license: "GPL" };
    LoadedProgram::load(&definition).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_fired_was_printed_or_reported_lost() {
    if !can_load() {
        return;
    }
    let ring_map = map(MapType::Ringbuf, 0, 0, 4096);
    let (lost, fired) = (map(MapType::PercpuArray, 4, 8, 1), map(MapType::PercpuArray, 4, 8, 1));
    let program = program(&ring_map, &lost, &fired);
    let mut ring = RingBuffer::open(&ring_map).unwrap();
    let args = lay_out(8, [Shape::Int { bytes: 8, signed: true }]);
    let plan =
        Plan { actions: vec![Action::Print { to: PrintTo::Output, format: "%d\n".into(), args }], ..Plan::default() };
    let to = Shared::default();
    let output = Output::new(Form::Text, Buffering::Full, Box::new(to.clone()), Box::new(io::sink()));
    let names = Names::new(Box::new(NoSymbols), Clock::system());
    let mut dispatcher = Dispatcher::new(&plan, Script::default(), names, output).unwrap();
    let mut maps = KernelMaps::new(Vec::new());
    let mut reported = 0;
    // The ring has room for 170 records.
    for round in [1000, 100, 170, 171, 5] {
        program.test_run(&[0; 64], round).unwrap();
        ring.consume(|record| match dispatcher.record(record, &mut maps).unwrap() {
            Flow::Continue => ControlFlow::Continue(()),
            Flow::Exit(status) => panic!("exit with {status}"),
        })
        .unwrap();
        let lost_now = total(&lost);
        dispatcher.lost(lost_now - reported).unwrap();
        reported = lost_now;
    }
    dispatcher.output().flush().unwrap();
    let (counts, fired) = (dispatcher.counts(), total(&fired));
    assert_eq!(fired, 1000 + 100 + 170 + 171 + 5);
    assert!(counts.handled > 300 && counts.lost > 800, "{counts:?}");
    assert_eq!((counts.handled + counts.lost, counts.damaged), (fired, 0));
    let text = String::from_utf8(to.0.take()).unwrap();
    assert_eq!(text.lines().filter(|line| *line == "7").count() as u64, counts.handled);
    assert!(text.contains("Lost 830 events\n"), "{text}");
}

fn print(plan: &ScriptMap, maps: &mut KernelMaps<'_>) -> String {
    let entries = maps.entries(0).unwrap();
    let mut names = Names::new(Box::new(NoSymbols), Clock::system());
    let mut renderer =
        skep_trace::value::Renderer { names: &mut names, enums: &[], truncation: "..", full: 0, flags: &[] };
    let mut out = Vec::new();
    Snapshot::new(plan, &entries, MapRequest::default()).text(&mut renderer, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn maps_of_the_kernel() {
    if !can_load() {
        return;
    }
    let cpus = possible_cpus().unwrap() as usize;
    let key = lay_out(0, [Shape::Int { bytes: 8, signed: true }]);
    let counts = ScriptMap { name: "@m".into(), object_map: String::new(), key, value: MapValue::Count, per_cpu: true };
    let kernel = map(MapType::PercpuHash, 8, 8, 64);
    for key in 1..=3u64 {
        let values: Vec<[u8; 8]> = (0..cpus as u64).map(|cpu| (key * 10 + cpu).to_ne_bytes()).collect();
        kernel.set_per_cpu(&key.to_ne_bytes(), &values, Update::Any).unwrap();
    }
    let each = |key: u64| (0..cpus as u64).map(|cpu| key * 10 + cpu).sum::<u64>();
    let mut maps = KernelMaps::new(vec![&kernel]);
    assert_eq!(print(&counts, &mut maps), format!("@m[1]: {}\n@m[2]: {}\n@m[3]: {}\n", each(1), each(2), each(3)));
    assert_eq!(maps.entry(0, &2u64.to_ne_bytes()).unwrap().unwrap().len(), cpus);
    assert_eq!(maps.entry(0, &9u64.to_ne_bytes()).unwrap(), None);
    maps.zero(0).unwrap();
    assert_eq!(print(&counts, &mut maps), "@m[1]: 0\n@m[2]: 0\n@m[3]: 0\n");
    maps.clear(0).unwrap();
    assert_eq!(print(&counts, &mut maps), "");
    assert!(maps.entries(1).unwrap_err().to_string().contains("of 1 that are loaded"));
    assert!(maps.entry(0, &[1]).is_err(), "a key of another length");

    let array = map(MapType::Array, 4, 8, 1);
    array.set(&[0; 4], &5u64.to_ne_bytes(), Update::Any).unwrap();
    let mut maps = KernelMaps::new(vec![&array]);
    let total = ScriptMap { key: Vec::new(), value: MapValue::Sum { signed: false }, per_cpu: false, ..counts };
    assert_eq!(print(&total, &mut maps), "@m: 5\n");
    maps.clear(0).unwrap();
    assert_eq!(print(&total, &mut maps), "@m: 0\n");
}

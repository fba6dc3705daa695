//! Scripts in this process: programs run in the machine of `skep_vm`, without any privilege. Only probes that the host
//! runs itself exist here, and intervals, which it runs when they are due.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_kernel::Watch;
use skep_lang_script::plan::{Attach, Period, Plan, Probe, system_maps};
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Fault, Input, Map, Setup, SetupError, Task, UpdateFlag, Vm, Worker};

use super::engine::{Each, Engine, Losses};
use super::{CONTEXT, RunError};
use crate::maps::{MapEntry, MapSource, SourceError};

/// Instructions that one run of a program may take: some minutes.
const FUEL: u64 = 1 << 38;

/// A script in the machine of this process: its programs, and its maps by the names that the plan knows.
#[derive(Debug)]
pub struct LocalScript {
    vm: Vm,
    worker: Worker,
    /// Names of the maps, in the order in which the machine has them.
    maps: Vec<String>,
}

impl LocalScript {
    /// Loads the programs of a setup, whose maps have these names. Programs see this process as theirs.
    ///
    /// # Errors
    /// [`RunError::NeedsKernel`] if probes or programs need something that only a kernel has.
    pub fn load(setup: Setup, maps: Vec<String>, plan: &Plan) -> Result<Self, RunError> {
        if let Some(probe) = plan.probes.iter().find(|probe| !is_ours(&probe.attach)) {
            let (name, line) = (&probe.name, probe.line);
            let problem = format!("`{name}` (line {line}) waits for something that happens in the kernel");
            return Err(RunError::NeedsKernel(problem));
        }
        let vm = setup.fuel(FUEL).load().map_err(|error| RunError::NeedsKernel(needs_kernel(&error)))?;
        let memory =
            |error: std::io::Error| RunError::NeedsKernel(format!("there is no memory for the machine: {error}"));
        let mut worker = vm.worker().map_err(memory)?;
        worker.set_task(this_task());
        Ok(Self { vm, worker, maps })
    }

    fn map(&self, name: &str) -> Option<Arc<Map>> {
        self.vm.map(self.maps.iter().position(|map| map == name)?)
    }

    fn needed(&self, name: &str) -> Result<Arc<Map>, RunError> {
        self.map(name).ok_or_else(|| RunError::Missing(format!("map `{name}`")))
    }

    fn program(&self, probe: &Probe) -> Result<usize, RunError> {
        self.vm.find(&probe.program).ok_or_else(|| RunError::Missing(format!("program `{}`", probe.program)))
    }
}

/// Whether probes of this kind happen in this process.
fn is_ours(attach: &Attach) -> bool {
    use Attach::{Begin, Bench, End, Interval, Signal, Test};
    matches!(attach, Begin | End | Signal { .. } | Test { .. } | Bench { .. } | Interval(_))
}

/// What is not there, without the name of the program, which users do not know.
fn needs_kernel(error: &SetupError) -> String {
    let text = error.to_string();
    match text.split_once("calls helper ").and_then(|(_, rest)| rest.split_once('(')?.1.split_once(')')) {
        Some((helper, _)) => format!("it asks the kernel for something (`bpf_{helper}`)"),
        None => text,
    }
}

/// This thread as programs in the kernel would see it.
fn this_task() -> Task {
    use rustix::process::{getgid, getpid, getuid};
    let comm = std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
    let number = |pid: rustix::process::Pid| pid.as_raw_nonzero().get().unsigned_abs();
    Task {
        pid: number(rustix::thread::gettid()),
        tgid: number(getpid()),
        uid: getuid().as_raw(),
        gid: getgid().as_raw(),
        comm: comm.trim_end_matches('\n').to_owned(),
    }
}

/// A probe that is run again and again.
struct Interval {
    probe: usize,
    period: Duration,
    due: Instant,
}

/// The machine as what runs a script.
pub(super) struct InProcess<'s> {
    plan: &'s Plan,
    script: &'s mut LocalScript,
    ring: Arc<Map>,
    /// Records that were taken out of the ring and not handed over yet.
    waiting: VecDeque<Vec<u8>>,
    intervals: Vec<Interval>,
    meta: Metadata,
}

impl<'s> InProcess<'s> {
    pub fn new(plan: &'s Plan, script: &'s mut LocalScript) -> Result<Self, RunError> {
        let ring = script.needed(system_maps::EVENTS)?;
        // Random numbers differ from run to run.
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) as u32;
        let meta = Metadata { random, ..Metadata::default() };
        Ok(Self { plan, script, ring, waiting: VecDeque::new(), intervals: Vec::new(), meta })
    }

    fn run(&mut self, probe: &Probe) -> Result<u32, RunError> {
        let program = self.script.program(probe)?;
        let mut context = CONTEXT;
        let input = Input { context: &mut context, packet: &[], meta: &self.meta };
        let result = self.script.worker.run(program, input).map_err(|fault| stopped(probe, &fault))?;
        self.meta.random = self.meta.random.wrapping_mul(0x9e37_79b1).wrapping_add(1);
        Ok(result as u32)
    }
}

fn stopped(probe: &Probe, fault: &Fault) -> RunError {
    RunError::Stopped { probe: probe.name.clone(), line: probe.line, problem: fault.to_string() }
}

fn period(period: Period) -> Duration {
    match period {
        Period::Hertz(times) => Duration::from_nanos(1_000_000_000 / times.max(1)),
        Period::Nanoseconds(time) => Duration::from_nanos(time),
    }
}

impl Engine for InProcess<'_> {
    fn wait_for_records(&self, _: &Watch) -> Result<(), RunError> {
        // They come only while this process runs a program.
        Ok(())
    }

    fn cpus(&self) -> u32 {
        1
    }

    fn tell(&mut self, host: &[u8]) -> Result<(), RunError> {
        let Some(map) = self.script.map(system_maps::HOST) else { return Ok(()) };
        let any = UpdateFlag::Any.bits();
        map.user().update(&[0; 4], host, any).map_err(|error| RunError::Missing(format!("map for the host ({error})")))
    }

    fn call(&mut self, probe: &Probe) -> Result<u32, RunError> {
        self.run(probe)
    }

    fn time(&mut self, probe: &Probe, times: u32) -> Result<Duration, RunError> {
        // Puts the context in place; machine code is made the first time.
        self.run(probe)?;
        let program = self.script.program(probe)?;
        let start = Instant::now();
        for _ in 0..times {
            self.script.worker.execute(program).map_err(|fault| stopped(probe, &fault))?;
        }
        Ok(start.elapsed())
    }

    fn attach(&mut self, probe: &Probe, _: Option<u32>) -> Result<(), String> {
        if let Attach::Interval(every) = probe.attach {
            let index = self.plan.probes.iter().position(|known| std::ptr::eq(known, probe));
            let period = period(every);
            let due = Instant::now() + period;
            self.intervals.extend(index.map(|probe| Interval { probe, period, due }));
        }
        // The others are run by the host, and those that are not were refused when the script was loaded.
        Ok(())
    }

    fn next_iterator(&mut self) -> Result<Option<Vec<u8>>, RunError> {
        Ok(None)
    }

    fn is_attached(&self) -> bool {
        !self.intervals.is_empty()
    }

    fn work(&mut self) -> Result<Option<Duration>, RunError> {
        let now = Instant::now();
        let Some(next) = self.intervals.iter_mut().min_by_key(|interval| interval.due) else { return Ok(None) };
        if next.due > now {
            return Ok(Some(next.due - now));
        }
        // What was missed is not made up for, as with timers of the kernel.
        while next.due <= now {
            next.due += next.period.max(Duration::from_micros(1));
        }
        let plan = self.plan;
        let probe = next.probe;
        self.run(&plan.probes[probe])?;
        Ok(Some(Duration::ZERO))
    }

    fn capacity(&self) -> u64 {
        u64::from(self.ring.shape().max_entries) / 8
    }

    fn consume(&mut self, each: &mut Each<'_>) -> Result<(), RunError> {
        let waiting = &mut self.waiting;
        let taken = self.ring.ring_consume(&mut |record| waiting.push_back(record.to_vec()));
        taken.map_err(|error| RunError::Missing(format!("buffer for records ({error})")))?;
        let mut maps = LocalMaps::new(self.plan, self.script)?;
        while let Some(record) = self.waiting.pop_front() {
            if each(&record, &mut maps).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn losses(&self) -> Result<Losses, RunError> {
        let Some(map) = self.script.map(system_maps::LOST) else { return Ok(Losses::default()) };
        Ok(Losses::read(&map.user().lookup(&[0; 4]).unwrap_or_default()))
    }

    fn detach(&mut self) -> Result<(), RunError> {
        self.intervals.clear();
        Ok(())
    }

    fn maps(&mut self) -> Result<Box<dyn MapSource + '_>, RunError> {
        Ok(Box::new(LocalMaps::new(self.plan, self.script)?))
    }
}

/// The maps of a plan in this process.
struct LocalMaps(Vec<Arc<Map>>);

impl LocalMaps {
    fn new(plan: &Plan, script: &LocalScript) -> Result<Self, RunError> {
        Ok(Self(plan.maps.iter().map(|map| script.needed(&map.object_map)).collect::<Result<_, _>>()?))
    }

    fn map(&self, map: usize) -> Result<&Map, SourceError> {
        self.0.get(map).map(|map| &**map).ok_or_else(|| format!("the plan has no map with number {map}").into())
    }
}

/// One value for each processor, or one.
fn split(map: &Map, value: &[u8]) -> Vec<Vec<u8>> {
    use skep_isa::MapType::{LruPercpuHash, PercpuArray, PercpuHash};
    let size = map.shape().value_size as usize;
    if matches!(map.kind(), PercpuHash | LruPercpuHash | PercpuArray) {
        let stride = size.next_multiple_of(8).max(8);
        return value.chunks(stride).map(|value| value[..size.min(value.len())].to_vec()).collect();
    }
    vec![value.to_vec()]
}

impl MapSource for LocalMaps {
    fn entries(&mut self, map: usize) -> Result<Vec<MapEntry>, SourceError> {
        let map = self.map(map)?;
        Ok(map.user().entries().map(|(key, value)| MapEntry { key, values: split(map, &value) }).collect())
    }

    fn entry(&mut self, map: usize, key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, SourceError> {
        let map = self.map(map)?;
        match map.user().lookup(key) {
            Ok(value) => Ok(Some(split(map, &value))),
            Err(skep_vm::ebpf::MapError::NotFound) => Ok(None),
            Err(error) => Err(error.to_string().into()),
        }
    }

    fn clear(&mut self, map: usize) -> Result<(), SourceError> {
        use skep_isa::MapType::{Array, PercpuArray};
        if matches!(self.map(map)?.kind(), Array | PercpuArray) {
            return self.zero(map);
        }
        let map = self.map(map)?;
        let keys: Vec<Vec<u8>> = map.user().entries().map(|entry| entry.0).collect();
        keys.iter().try_for_each(|key| map.user().delete(key)).map_err(|error| error.to_string().into())
    }

    fn zero(&mut self, map: usize) -> Result<(), SourceError> {
        let map = self.map(map)?;
        let zeros = vec![0; map.user().value_size()];
        let keys: Vec<Vec<u8>> = map.user().entries().map(|entry| entry.0).collect();
        let any = UpdateFlag::Any.bits();
        keys.iter().try_for_each(|key| map.user().update(key, &zeros, any)).map_err(|error| error.to_string().into())
    }
}

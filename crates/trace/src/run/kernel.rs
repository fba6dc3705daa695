//! Scripts in the kernel.

use std::time::{Duration, Instant};

use skep_kernel::attach::Iter;
use skep_kernel::{Loaded, LoadedMap, LoadedProgram, RingBuffer, TestInput, Update, Watch, possible_cpus};
use skep_lang_script::plan::{Attach, Plan, Probe, system_maps};
use skep_sym::DebugDirs;

use super::engine::{Each, Engine, Losses};
use super::{CONTEXT, PACKET, RunError, attach};
use crate::maps::{KernelMaps, MapSource};

/// A script in the kernel: its programs, and its maps by the names that the plan knows.
#[derive(Debug)]
pub struct Script {
    /// What was loaded.
    pub loaded: Loaded,
    /// Names of the maps, in the order in which they were loaded.
    pub maps: Vec<String>,
}

impl Script {
    /// The map with a name.
    pub fn map(&self, name: &str) -> Option<&LoadedMap> {
        self.loaded.maps.get(self.maps.iter().position(|map| map == name)?)
    }

    fn needed(&self, name: &str) -> Result<&LoadedMap, RunError> {
        self.map(name).ok_or_else(|| RunError::Missing(format!("map `{name}`")))
    }

    fn program(&self, name: &str) -> Result<&LoadedProgram, RunError> {
        self.loaded.program(name).ok_or_else(|| RunError::Missing(format!("program `{name}`")))
    }

    /// The maps of a plan.
    fn maps_of(&self, plan: &Plan) -> Result<KernelMaps<'_>, RunError> {
        let maps = plan.maps.iter().map(|map| self.needed(&map.object_map));
        Ok(KernelMaps::new(maps.collect::<Result<_, _>>()?))
    }
}

/// The kernel as what runs a script.
pub(super) struct InKernel<'s> {
    plan: &'s Plan,
    script: &'s Script,
    ring: RingBuffer,
    attached: attach::Attached,
    /// Those that are still to be read, the last one first.
    iterators: Vec<Iter>,
}

impl<'s> InKernel<'s> {
    /// Debug files of programs are looked for in these directories.
    pub fn new(plan: &'s Plan, script: &'s Script, directories: DebugDirs) -> Result<Self, RunError> {
        let ring = RingBuffer::open(script.needed(system_maps::EVENTS)?)?;
        let attached = attach::Attached::new(directories);
        Ok(Self { plan, script, ring, attached, iterators: Vec::new() })
    }

    /// Puts a program into the table of system calls; with the first one the table begins to work.
    fn enter_call(&mut self, table: u32, number: u32, program: &LoadedProgram) -> Result<(), String> {
        let script = self.script;
        let row = self.plan.call_tables.get(table as usize).ok_or("the script has no table for it")?;
        let map = script.needed(&row.object_map).map_err(|error| error.to_string())?;
        let caller = script.program(&row.program).map_err(|error| error.to_string())?;
        self.attached.enter_call(map, number, program, caller, row.ret)
    }
}

/// What a program that the host runs itself gets.
fn input(probe: &Probe, repeat: u32) -> TestInput<'static> {
    match probe.attach {
        Attach::Test { .. } | Attach::Bench { .. } => TestInput { data: &PACKET, repeat, ..TestInput::default() },
        _ => TestInput { context: &CONTEXT, ..TestInput::default() },
    }
}

impl Engine for InKernel<'_> {
    fn wait_for_records(&self, watch: &Watch) -> Result<(), RunError> {
        Ok(watch.add(std::os::fd::AsFd::as_fd(&self.ring))?)
    }

    fn cpus(&self) -> u32 {
        possible_cpus().unwrap_or(1)
    }

    fn tell(&mut self, host: &[u8]) -> Result<(), RunError> {
        let Some(map) = self.script.map(system_maps::HOST) else { return Ok(()) };
        Ok(map.set(&[0; 4], host, Update::Any)?)
    }

    fn call(&mut self, probe: &Probe) -> Result<u32, RunError> {
        Ok(self.script.program(&probe.program)?.test(&input(probe, 1))?.run.result)
    }

    fn time(&mut self, probe: &Probe, times: u32) -> Result<Duration, RunError> {
        let program = self.script.program(&probe.program)?;
        let start = Instant::now();
        program.test(&input(probe, times))?;
        Ok(start.elapsed())
    }

    fn attach(&mut self, probe: &Probe, process: Option<u32>) -> Result<(), String> {
        let script = self.script;
        let program = script.program(&probe.program).map_err(|error| error.to_string())?;
        let result = match &probe.attach {
            Attach::SystemCall { number, table, .. } => self.enter_call(*table, *number, program),
            _ => self.attached.add(probe, program, process),
        };
        // The newest is read last.
        self.iterators.splice(0..0, self.attached.iterators.drain(..));
        result
    }

    fn next_iterator(&mut self) -> Result<Option<Vec<u8>>, RunError> {
        Ok(self.iterators.pop().map(|iterator| attach::read(&iterator)).transpose()?)
    }

    fn is_attached(&self) -> bool {
        !self.attached.links.is_empty() || !self.iterators.is_empty()
    }

    fn work(&mut self) -> Result<Option<Duration>, RunError> {
        Ok(None)
    }

    fn capacity(&self) -> u64 {
        // A record has a header of 8 bytes.
        self.ring.size() as u64 / 8
    }

    fn consume(&mut self, each: &mut Each<'_>) -> Result<(), RunError> {
        let mut maps = self.script.maps_of(self.plan)?;
        self.ring.consume(|record| each(record, &mut maps))?;
        Ok(())
    }

    fn losses(&self) -> Result<Losses, RunError> {
        let Some(map) = self.script.map(system_maps::LOST) else { return Ok(Losses::default()) };
        Ok(map.get(&[0; 4])?.map(|value| Losses::read(&value)).unwrap_or_default())
    }

    fn detach(&mut self) -> Result<(), RunError> {
        self.iterators.clear();
        Ok(self.attached.detach()?)
    }

    fn maps(&mut self) -> Result<Box<dyn MapSource + '_>, RunError> {
        Ok(Box::new(self.script.maps_of(self.plan)?))
    }
}

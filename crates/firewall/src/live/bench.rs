//! What a packet costs: programs and tables of a list of their own, run in the kernel on packets that go nowhere
//! (`BPF_PROG_TEST_RUN`). Nothing that is in force is touched.

use std::sync::atomic::Ordering;
use std::time::Duration;

use skep_kernel::{LoadOptions, Loaded, LoadedMap, LoadedProgram, MapMemory, TestInput, TestRun, load_with};
use skep_object::Object;

use super::force::{Live, LiveError, failed};
use super::store::KernelTables;
use crate::build::{Plan, plan};
use crate::facts::{Packet, Place};
use crate::fuzz::read;
use crate::program::{self, Hook, PANIC_ACCEPT, SWITCH, dispatcher};
use crate::rules::{Direction, RuleSet};
use crate::sample::Sample;
use crate::tables::memory::Memory;

/// Runs of the program that looks at nothing.
const FLOOR_RUNS: u32 = 100_000;
/// Runs of a packet that is changed, each by itself.
const SINGLE_RUNS: u32 = 50;
/// What traffic control returns for a packet that is sent elsewhere (`TC_ACT_REDIRECT`).
const REDIRECT: u32 = 7;
/// Bytes of `struct __sk_buff`, and where mark and interface are in it.
const CONTEXT: (usize, usize, usize) = (192, 8, 40);

/// What packets cost at a hook, without what the call of a program costs that looks at nothing.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// The hook.
    pub hook: Hook,
    /// Packets that were tried.
    pub packets: usize,
    /// On average.
    pub mean: Duration,
    /// Half of the packets cost at most this.
    pub half: Duration,
    /// All but one of a hundred cost at most this.
    pub most: Duration,
    /// What was taken off.
    pub floor: Duration,
}

/// What a list costs.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its rules.
    pub rules: usize,
    /// Entries that they become.
    pub entries: usize,
    /// Whether it is short enough to be code.
    pub straight: bool,
    /// Buckets of tables that are looked into for a packet: on average, and at most.
    pub tables: (f64, u32),
    /// Entries that a packet is compared with, on average.
    pub compared: f64,
    /// The hooks.
    pub costs: Vec<Cost>,
}

/// A list that is loaded and attached nowhere.
struct Trial {
    dispatchers: Loaded,
    switch: MapMemory,
    /// The programs behind the dispatchers, and their maps.
    _programs: Loaded,
}

/// A map of loaded programs.
fn map_of(object: &Object, loaded: &Loaded, name: &str) -> Result<LoadedMap, String> {
    let found = object.maps.iter().zip(&loaded.maps).find(|(spec, _)| spec.name == name);
    let (_, map) = found.ok_or_else(|| format!("the programs have no map `{name}`"))?;
    LoadedMap::by_id(map.id()).map_err(|error| error.to_string())
}

impl Trial {
    fn new(plan: &Plan) -> Live<Self> {
        let options = || LoadOptions { pins: None, ..LoadOptions::default() };
        let object = program::object(&plan.shape).map_err(LiveError)?;
        let programs = load_with(&object, &options()).map_err(failed)?;
        let mut tables = KernelTables::open(|name| map_of(&object, &programs, name)).map_err(failed)?;
        plan.fill(&mut tables).map_err(failed)?;
        let object = dispatcher().map_err(LiveError)?;
        let dispatchers = load_with(&object, &options()).map_err(failed)?;
        for hook in Hook::ALL {
            let missing = || LiveError("a program is missing".to_owned());
            let program = programs.program(hook.program()).ok_or_else(missing)?;
            let banks = map_of(&object, &dispatchers, hook.banks()).map_err(LiveError)?;
            banks.set_object(&hook.slot(0).to_ne_bytes(), program).map_err(failed)?;
        }
        let switch = map_of(&object, &dispatchers, SWITCH).map_err(LiveError)?.memory().map_err(failed)?;
        Ok(Self { dispatchers, switch, _programs: programs })
    }

    fn program(&self, hook: Hook) -> Live<&LoadedProgram> {
        let found = self.dispatchers.program(hook.dispatcher());
        found.ok_or_else(|| LiveError("a program is missing".to_owned()))
    }

    fn panic(&self, mode: u32) -> Live<()> {
        let word = self.switch.u32_at(4).ok_or_else(|| LiveError("the switch cannot be written".to_owned()))?;
        word.store(mode, Ordering::Release);
        Ok(())
    }

    /// What packets cost at a hook; `None` if none are met there.
    fn cost(&self, hook: Hook, packets: &[Sample], repeat: u32) -> Live<Option<Cost>> {
        let program = self.program(hook)?;
        let direction = if hook == Hook::Egress { Direction::Out } else { Direction::In };
        let packets: Vec<&Sample> = packets.iter().filter(|(_, place)| place.direction == direction).collect();
        let Some((first, place)) = packets.first() else { return Ok(None) };
        self.panic(PANIC_ACCEPT)?;
        let floor = run(program, hook, first, place, FLOOR_RUNS)?.0.duration;
        let mut single = Duration::ZERO;
        for _ in 0..SINGLE_RUNS {
            single += run(program, hook, first, place, 1)?.0.duration;
        }
        let single = single / SINGLE_RUNS;
        self.panic(0)?;
        let mut costs = Vec::with_capacity(packets.len());
        for (packet, place) in &packets {
            let (done, changed) = run(program, hook, packet, place, 1)?;
            // What is changed is another packet when it comes again.
            let cost = if changed || done.result == REDIRECT {
                let mut sum = Duration::ZERO;
                for _ in 0..SINGLE_RUNS {
                    sum += run(program, hook, packet, place, 1)?.0.duration;
                }
                (sum / SINGLE_RUNS).saturating_sub(single)
            } else {
                run(program, hook, packet, place, repeat)?.0.duration.saturating_sub(floor)
            };
            costs.push(cost);
        }
        costs.sort_unstable();
        let at = |share: usize| costs[(costs.len() * share / 100).min(costs.len() - 1)];
        let count = u32::try_from(costs.len()).unwrap_or(u32::MAX);
        let mean = costs.iter().sum::<Duration>() / count;
        Ok(Some(Cost { hook, packets: costs.len(), mean, half: at(50), most: at(99), floor }))
    }
}

/// Runs a program on a packet; gives whether the packet is another one then.
fn run(program: &LoadedProgram, hook: Hook, packet: &[u8], place: &Place, repeat: u32) -> Live<(TestRun, bool)> {
    let (size, mark, interface) = CONTEXT;
    let mut context = vec![0; size];
    context[mark..mark + 4].copy_from_slice(&place.mark.to_ne_bytes());
    context[interface..interface + 4].copy_from_slice(&place.interface.to_ne_bytes());
    // XDP would want a queue of the interface.
    let context: &[u8] = if hook == Hook::Xdp { &[] } else { &context };
    let input = TestInput { data: packet, context, repeat, ..TestInput::default() };
    let output = program.test(&input).map_err(failed)?;
    Ok((output.run, output.data != packet))
}

/// Measures a list on packets, each `repeat` times in a row (so what it needs is in the caches of the processor). `index` gives
/// numbers of interfaces by their names.
///
/// # Errors
/// If the list does not fit, or the kernel does not run it.
pub fn bench(rules: &RuleSet, packets: &[Sample], index: &dyn Fn(&str) -> Option<u32>, repeat: u32) -> Live<Report> {
    let plan = plan(rules, index).map_err(failed)?;
    let mut memory = Memory::new(plan.shape.sizes);
    plan.fill(&mut memory).map_err(failed)?;
    let (mut probed, mut most, mut compared, mut known) = (0_u64, 0, 0_u64, 0_u32);
    for (packet, place) in packets {
        let Packet::Known(facts) = read(packet, *place) else { continue };
        known += 1;
        let (mut after, mut tables) = (0, 0);
        loop {
            let search = memory.search(&facts, after);
            tables += search.probed;
            compared += u64::from(search.compared);
            // Behind rules that only count it is searched again.
            match search.found {
                Some((order, rule)) if memory.verdict(rule) == 0 => after = order,
                _ => break,
            }
        }
        probed += u64::from(tables);
        most = most.max(tables);
    }
    let trial = Trial::new(&plan)?;
    let costs = Hook::ALL.into_iter().map(|hook| trial.cost(hook, packets, repeat));
    let costs = costs.collect::<Live<Vec<_>>>()?.into_iter().flatten().collect();
    let known = f64::from(known.max(1));
    Ok(Report {
        rules: rules.rules.len(),
        entries: plan.rules.iter().map(|rule| rule.entries.len()).sum(),
        straight: !plan.shape.straight.is_empty(),
        tables: (probed as f64 / known, most),
        compared: compared as f64 / known,
        costs,
    })
}

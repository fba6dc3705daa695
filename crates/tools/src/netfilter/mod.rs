//! Timing packets in the hooks of netfilter: pairs of programs around all rules of a hook, or around one priority.
//!
//! The text of the programs is behind the head of `tools/nflat.s`. What lives here: making the pairs, reading what they
//! counted. What does not: when it is read, and how it is shown.

mod times;

use std::fmt;
use std::fs::File;

use skep_isa::ebpf::assemble;
use skep_isa::{AttachType, MapType, ProgType};
use skep_kernel::attach::{
    Link, NetfilterFamily, NetfilterHook, NetfilterPlace, attach_netfilter, attach_netfilter_in,
};
use skep_kernel::{Loaded, load};
use skep_object::{MapIdx, MapSpec, Object, Program};

pub use times::HookTimes;
use times::{BYTES, between, decode};

/// The text of the programs, with their head.
pub const TEXT: &str = include_str!("../../../../tools/nflat.s");

/// Hooks by their names in rules.
// TABLE: in the order of the kernel's numbers.
pub const HOOKS: &[(&str, NetfilterHook)] = &[
    ("prerouting", NetfilterHook::PreRouting),
    ("input", NetfilterHook::LocalIn),
    ("forward", NetfilterHook::Forward),
    ("output", NetfilterHook::LocalOut),
    ("postrouting", NetfilterHook::PostRouting),
];

/// Versions of IP with the family of each.
// TABLE
const FAMILIES: &[(u8, NetfilterFamily)] = &[(4, NetfilterFamily::Ipv4), (6, NetfilterFamily::Ipv6)];

/// The first and the last priority that programs may have.
const FIRST: i32 = i32::MIN + 1;
const LAST: i32 = i32::MAX - 1;

/// What is timed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timed<'a> {
    /// Only this hook, by its name.
    pub hook: Option<&'a str>,
    /// Only what has this priority.
    pub around: Option<i32>,
    /// In this network namespace; in that of the process without one.
    pub namespace: Option<&'a File>,
}

/// Pairs of programs at work. Dropping them detaches them.
pub struct Timers {
    loaded: Loaded,
    links: Vec<Link>,
    /// Slots of the map: version of IP, name of the hook.
    slots: Vec<(u32, u8, &'static str)>,
    /// What was read last.
    last: Vec<HookTimes>,
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// The two programs of a slot.
fn programs(slot: u32) -> Result<[Program; 2], String> {
    let texts = TEXT.split_once("# before\n").and_then(|(_, rest)| rest.split_once("# after\n"));
    let (before, after) = texts.ok_or("the text of nflat has no two programs")?;
    let made = |name: &str, text: &str| {
        let text = text.replace("HOOK", &slot.to_string());
        let insns = assemble(&text).map_err(|error| format!("nflat, {name}: {error}"))?;
        let mut program = Program::new(&format!("{name}_{slot}"), ProgType::Netfilter, insns);
        program.attach_type = Some(AttachType::Netfilter);
        Ok::<_, String>(program)
    };
    Ok([made("before", before)?, made("after", after)?])
}

impl Timers {
    /// Loads and attaches what is timed.
    ///
    /// # Errors
    /// What the kernel refuses, in a line; a hook that does not exist.
    pub fn start(timed: Timed<'_>) -> Result<Self, String> {
        let hooks = (0_u32..).zip(HOOKS).filter(|(_, (name, _))| timed.hook.is_none_or(|wanted| *name == wanted));
        let hooks: Vec<_> = hooks.collect();
        if hooks.is_empty() {
            let names: Vec<&str> = HOOKS.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "there is no hook `{}`; there are {}",
                timed.hook.unwrap_or_default(),
                names.join(", ")
            ));
        }
        let (count, families) = (HOOKS.len() as u32, FAMILIES.len() as u32);
        let mut object = Object::new("GPL");
        object.add_map(MapSpec::new("times", MapType::PercpuArray, 4, BYTES, count * families));
        let (early, late) = match timed.around {
            None => (FIRST, LAST),
            Some(priority) => (priority.saturating_sub(1).max(FIRST), priority.saturating_add(1).min(LAST)),
        };
        let (mut places, mut slots) = (Vec::new(), Vec::new());
        for (row, (version, family)) in (0..).zip(FAMILIES) {
            for (column, (name, hook)) in &hooks {
                let slot = row * count + column;
                for (program, priority) in programs(slot)?.into_iter().zip([early, late]) {
                    object.add_program(program);
                    places.push(NetfilterPlace { family: *family, hook: *hook, priority, defragment: false });
                }
                slots.push((slot, *version, *name));
            }
        }
        let loaded = load(&object).map_err(|error| error.to_string())?;
        let mut links = Vec::new();
        // The one behind comes first, so that nothing is counted as lost that was on its way.
        for (program, place) in loaded.programs.iter().zip(&places).rev() {
            let link = match timed.namespace {
                Some(namespace) => attach_netfilter_in(program, *place, namespace),
                None => attach_netfilter(program, *place),
            };
            links.push(link.map_err(|error| error.to_string())?);
        }
        Ok(Self { loaded, links, slots, last: Vec::new() })
    }

    /// What was counted since the last time. Hooks that no packet came to are left out.
    ///
    /// # Errors
    /// What the kernel refuses, in a line.
    pub fn read(&mut self) -> Result<Vec<HookTimes>, String> {
        let map = self.loaded.map(MapIdx(0)).ok_or("nflat has no map")?;
        let mut all = Vec::new();
        for (slot, version, hook) in &self.slots {
            let values = map.get_per_cpu(&slot.to_ne_bytes()).map_err(|error| error.to_string())?;
            let values: Vec<&[u8]> = values.iter().flat_map(|values| values.iter()).collect();
            all.push(decode(*version, hook, &values));
        }
        let found = between(&self.last, &all);
        self.last = all;
        Ok(found)
    }

    /// How many programs are attached.
    pub fn attached(&self) -> usize {
        self.links.len()
    }
}

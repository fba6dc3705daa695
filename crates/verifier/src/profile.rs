//! What a kernel allows to each type of program at each hook, as it was asked of running kernels, one load each.
//!
//! The files under `data/` have a paragraph for each hook: the helpers that may be called, results that are accepted, and
//! which bytes of the context may be read (`r`) and written (`w`) in which sizes, and what is read.

use std::collections::HashMap;
use std::sync::OnceLock;

use skep_isa::{ProgType, Release};

use crate::reg::Kind;

/// A release of the kernel whose rules are known.
///
/// 6.1, 6.12 and 6.18 were asked themselves, and verdicts are compared with them in tests. The others are made of these:
/// what the tables of `skep_isa` date later is not there, and what is dated earlier but was not at the hook of the older
/// neighbour is undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kernel {
    /// Linux 5.4.
    V5_4,
    /// Linux 5.10.
    V5_10,
    /// Linux 5.15.
    V5_15,
    /// Linux 6.1, of Debian.
    V6_1,
    /// Linux 6.6.
    V6_6,
    /// Linux 6.12, of Debian.
    V6_12,
    /// Linux 6.18.
    V6_18,
}

// TABLE
/// Each release with its numbers, and where what its hooks allow is from.
const KERNELS: [(Kernel, &str, Release, Origin); 7] = [
    (Kernel::V5_4, "5.4", Release::new(5, 4), Origin::Before(Kernel::V6_1)),
    (Kernel::V5_10, "5.10", Release::new(5, 10), Origin::Before(Kernel::V6_1)),
    (Kernel::V5_15, "5.15", Release::new(5, 15), Origin::Before(Kernel::V6_1)),
    (Kernel::V6_1, "6.1", Release::new(6, 1), Origin::Asked(include_str!("../data/linux-6.1.txt"))),
    (Kernel::V6_6, "6.6", Release::new(6, 6), Origin::Between(Kernel::V6_1, Kernel::V6_12)),
    (Kernel::V6_12, "6.12", Release::new(6, 12), Origin::Asked(include_str!("../data/linux-6.12.txt"))),
    (Kernel::V6_18, "6.18", Release::new(6, 18), Origin::Asked(include_str!("../data/linux-6.18.txt"))),
];

/// Where it is known from what a kernel allows.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// It was asked.
    Asked(&'static str),
    /// From a younger one.
    Before(Kernel),
    /// From an older and a younger one.
    Between(Kernel, Kernel),
}

type Hooks = HashMap<(u32, u32), Hook>;

impl Kernel {
    /// All of them, the oldest first.
    pub const ALL: [Self; 7] = [Self::V5_4, Self::V5_10, Self::V5_15, Self::V6_1, Self::V6_6, Self::V6_12, Self::V6_18];

    /// Those that were asked, and that verdicts are compared with.
    pub const ASKED: [Self; 3] = [Self::V6_1, Self::V6_12, Self::V6_18];

    /// The youngest.
    pub const fn newest() -> Self {
        Self::V6_18
    }

    /// `6.18`
    pub fn name(self) -> &'static str {
        KERNELS[self as usize].1
    }

    /// Its release.
    pub fn release(self) -> Release {
        KERNELS[self as usize].2
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kernel| kernel.name() == name)
    }

    /// The youngest that is not younger than a release: whose rules come closest to it.
    pub fn at_most(release: Release) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|kernel| kernel.release() <= release)
    }

    /// The hooks of this kernel.
    fn hooks(self) -> &'static Hooks {
        static HOOKS: [OnceLock<Hooks>; 7] = [const { OnceLock::new() }; 7];
        HOOKS[self as usize].get_or_init(|| match KERNELS[self as usize].3 {
            Origin::Asked(text) => parse(text),
            Origin::Before(younger) => older(younger.hooks(), None, self.release()),
            Origin::Between(old, younger) => older(younger.hooks(), Some(old.hooks()), self.release()),
        })
    }

    /// What is allowed at a hook: the attach type is 0 for types that are loaded without one.
    pub fn hook(self, prog_type: ProgType, attach_type: u32) -> Option<&'static Hook> {
        let hooks = self.hooks();
        let number = prog_type.number();
        // Types that take any attach type, or none, have one row.
        let only = || {
            let mut rows = hooks.iter().filter(|((one, _), _)| *one == number);
            rows.next().filter(|_| rows.next().is_none()).map(|(_, hook)| hook)
        };
        hooks.get(&(number, attach_type)).or_else(only)
    }
}

/// What the hooks of an older release allow: what younger ones do, without what came later.
fn older(younger: &Hooks, old: Option<&Hooks>, release: Release) -> Hooks {
    let mut hooks = Hooks::new();
    for (key, hook) in younger {
        let Some(prog_type) = ProgType::from_number(key.0).filter(|prog_type| prog_type.since() <= release) else {
            continue;
        };
        let is_later = |id: u32| skep_isa::helpers::by_id(id).is_none_or(|helper| helper.since > release);
        let there = |hook: &Hook| -> Vec<(u32, u32)> {
            let ids = hook.helpers.iter().flat_map(|(first, last)| *first..=*last);
            ids.filter(|id| !is_later(*id)).map(|id| (id, id)).collect()
        };
        let hidden = later_fields(prog_type, release);
        // A hook that the older neighbour does not have tells by itself.
        let base = old.map_or(hook, |old| old.get(key).unwrap_or(hook));
        let (helpers, doubtful) = (there(base), there(hook));
        let new = |id: u32| {
            old.is_some() && skep_isa::helpers::by_id(id).is_some_and(|helper| helper.since > Release::new(6, 1))
        };
        let (certain, doubtful): (Vec<_>, Vec<_>) =
            doubtful.into_iter().filter(|id| !helpers.contains(id)).partition(|(id, _)| new(*id));
        let helpers = helpers.into_iter().chain(certain).collect();
        let (results, accesses) = (base.results.clone(), base.accesses.clone());
        hooks.insert(*key, Hook { helpers, doubtful, results, accesses, hidden });
    }
    hooks
}

/// Bytes of the context that a release does not have.
fn later_fields(prog_type: ProgType, release: Release) -> Vec<(u32, u32)> {
    let Some(context) = skep_isa::programs::facts(prog_type).context else { return Vec::new() };
    let later = context.fields.iter().filter(|field| field.since > release);
    later.map(|field| (field.offset, field.offset + field.size)).collect()
}

/// What is read from the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A number.
    Number,
    /// A pointer, perhaps null.
    Pointer(Kind, bool),
    /// A pointer to the structure of the kernel with this name, which can be relied on.
    Structure(&'static str),
    /// A pointer to a structure with a type of the kernel.
    Typed,
}

/// An access to the context that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Access {
    first: u32,
    last: u32,
    step: u32,
    size: u32,
    read: bool,
    write: bool,
    field: Field,
}

/// What is allowed at one hook.
#[derive(Debug, Default)]
pub struct Hook {
    helpers: Vec<(u32, u32)>,
    /// Helpers that it is not known of.
    doubtful: Vec<(u32, u32)>,
    /// Results that are accepted; `None` for any.
    pub results: Option<Vec<i64>>,
    accesses: Vec<Access>,
    /// Bytes of the context that are not there yet: first, and behind the last.
    hidden: Vec<(u32, u32)>,
}

impl Hook {
    /// A hook with these helpers, and those that it is not known of, whose context has no fields.
    pub(crate) fn of(helpers: Vec<u32>, doubtful: Vec<u32>, results: Option<Vec<i64>>) -> Self {
        let ranges = |ids: Vec<u32>| ids.into_iter().map(|id| (id, id)).collect();
        Self { helpers: ranges(helpers), doubtful: ranges(doubtful), results, ..Self::default() }
    }

    /// Whether the helper may be called.
    pub fn has_helper(&self, id: u32) -> bool {
        self.helpers.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    /// Whether it is not known if the helper may be called.
    pub fn may_have_helper(&self, id: u32) -> bool {
        self.doubtful.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    /// What is read from `size` bytes at a distance; `None` if they cannot be read.
    pub fn read(&self, off: i64, size: u32) -> Option<Field> {
        self.find(off, size).filter(|access| access.read).map(|access| access.field)
    }

    /// Whether `size` bytes at a distance can be written.
    pub fn writes(&self, off: i64, size: u32) -> bool {
        self.find(off, size).is_some_and(|access| access.write)
    }

    fn find(&self, off: i64, size: u32) -> Option<&Access> {
        let off = u32::try_from(off).ok()?;
        if self.hidden.iter().any(|(first, behind)| off < *behind && *first < off + size) {
            return None;
        }
        self.accesses.iter().find(|access| {
            access.size == size
                && (access.first..=access.last).contains(&off)
                && (off - access.first).is_multiple_of(access.step)
        })
    }
}

fn parse(text: &'static str) -> Hooks {
    let mut hooks = Hooks::new();
    let mut key = (0, 0);
    for line in text.lines() {
        let Some((word, rest)) = line.split_once(' ') else { continue };
        match word {
            "program" => {
                let mut numbers = rest.split(' ').filter_map(|number| number.parse().ok());
                key = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
                hooks.insert(key, Hook::default());
            }
            _ => {
                if let Some(hook) = hooks.get_mut(&key) {
                    fill(hook, word, rest);
                }
            }
        }
    }
    hooks
}

fn fill(hook: &mut Hook, word: &str, rest: &'static str) {
    match word {
        "helpers" => hook.helpers = rest.split(' ').filter_map(range).map(|(first, last, _)| (first, last)).collect(),
        "results" => {
            hook.results = (rest != "any").then(|| rest.split(' ').filter_map(|word| word.parse().ok()).collect())
        }
        _ => {
            let Some((head, list)) = rest.split_once(": ") else { return };
            let Some((kind, size)) = head.rsplit_once(' ') else { return };
            let size = size.parse().unwrap_or(0);
            let field = field(kind);
            hook.accesses.extend(list.split(' ').filter_map(range).map(|(first, last, step)| Access {
                first,
                last,
                step,
                size,
                read: word.contains('r'),
                write: word.contains('w'),
                field,
            }));
        }
    }
}

fn field(name: &'static str) -> Field {
    match name {
        "scalar" => Field::Number,
        "pkt" => Field::Pointer(Kind::Packet, false),
        "pkt_meta" => Field::Pointer(Kind::PacketMeta, false),
        "pkt_end" => Field::Pointer(Kind::PacketEnd, false),
        "sock" => Field::Pointer(Kind::Socket, false),
        "sock_or_null" => Field::Pointer(Kind::Socket, true),
        "sock_common_or_null" => Field::Pointer(Kind::SockCommon, true),
        "flow_keys" => Field::Pointer(Kind::FlowKeys, false),
        "tp_buffer" => Field::Pointer(Kind::Record, false),
        _ => name.strip_prefix("trusted_ptr_").map_or(Field::Typed, Field::Structure),
    }
}

/// `8`, `8-24`, or `8-24/4`.
fn range(text: &str) -> Option<(u32, u32, u32)> {
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some((first.parse().ok()?, last.parse().ok()?, step.parse().ok().filter(|step| *step > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_in_order() {
        for (index, kernel) in Kernel::ALL.into_iter().enumerate() {
            assert_eq!((KERNELS[index].0, kernel as usize), (kernel, index));
            assert_eq!(kernel.release().to_string(), kernel.name());
            assert_eq!(Kernel::from_name(kernel.name()), Some(kernel));
        }
        assert_eq!(Kernel::at_most(Release::new(6, 11)), Some(Kernel::V6_6));
        assert_eq!(Kernel::at_most(Release::new(7, 0)), Some(Kernel::V6_18));
        assert_eq!(Kernel::at_most(Release::new(4, 19)), None);
    }

    #[test]
    fn what_came_later_is_not_there() {
        let id = |name: &str| skep_isa::helpers::by_name(name).unwrap().id;
        let has = |kernel: Kernel, name: &str| kernel.hook(ProgType::SchedCls, 0).unwrap().has_helper(id(name));
        let first = |name: &str| Kernel::ALL.into_iter().find(|kernel| has(*kernel, name)).unwrap();
        assert_eq!(first("ktime_get_ns"), Kernel::V5_4);
        assert_eq!(first("ringbuf_output"), Kernel::V5_10);
        assert_eq!(first("loop"), Kernel::V6_1);
        assert_eq!(first("cgrp_storage_get"), Kernel::V6_6);
        // `tstamp_type` is of 5.18.
        let reads = |kernel: Kernel| kernel.hook(ProgType::SchedCls, 0).unwrap().read(180, 1).is_some();
        assert_eq!(Kernel::ALL.map(reads), [false, false, false, true, true, true, true]);
        assert!(Kernel::V5_4.hook(ProgType::SkLookup, 36).is_none());
    }
}

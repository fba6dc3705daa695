//! Links and probes in words.

use std::fs;
use std::path::PathBuf;

use super::attachments::Where;
use super::cgroups::Cgroups;
use super::namespaces::Networks;
use super::types::KernelTypes;
use crate::link_info::{Attach, IterLimit, LinkInfo, LinkTarget, PerfTarget};
use crate::map::LoadedMap;
use crate::prog::LoadedProgram;
use crate::stats::ProbePlace;

/// The name of the code at an address of the kernel, `function` or `function+0x10`; asked for when a text needs it.
pub type Symbols<'a> = dyn Fn(u64) -> Option<String> + 'a;

/// Most places of a link that are spelled out.
const SPELLED: usize = 4;
/// In the flags of links to many functions: the program runs when they return (`BPF_F_KPROBE_MULTI_RETURN`).
const ON_RETURN: u32 = 1;
/// What the kernel puts in front of the names of its tables of operations.
const STRUCT_OPS: &str = "bpf_struct_ops_";

// TABLE
/// `PERF_TYPE_*` (`linux/perf_event.h`) and the names of `config` for those that have some.
const EVENTS: [(&str, &[&str]); 8] = [
    (
        "hardware",
        &[
            "cpu-cycles",
            "instructions",
            "cache-references",
            "cache-misses",
            "branches",
            "branch-misses",
            "bus-cycles",
            "stalled-cycles-frontend",
            "stalled-cycles-backend",
            "ref-cycles",
        ],
    ),
    (
        "software",
        &[
            "cpu-clock",
            "task-clock",
            "page-faults",
            "context-switches",
            "cpu-migrations",
            "minor-faults",
            "major-faults",
            "alignment-faults",
            "emulation-faults",
            "dummy",
            "bpf-output",
            "cgroup-switches",
        ],
    ),
    ("tracepoint", &[]),
    ("hardware cache", &[]),
    ("raw", &[]),
    ("breakpoint", &[]),
    // The first two numbers that the kernel gives away, always to these (`perf_event_init`), and shows nowhere.
    ("cpu clock", &["cpu-clock"]),
    ("task clock", &["task-clock"]),
];

// TABLE
/// `NF_INET_*`
const NETFILTER_HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];

/// What a place is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// The kind of place.
    pub(super) kind: String,
    /// Which one.
    pub(super) place: String,
    /// The same for comparing.
    pub(super) site: Where,
}

impl Words {
    fn new(kind: impl Into<String>, place: impl Into<String>) -> Self {
        Self { kind: kind.into(), place: place.into(), site: Where::Other }
    }

    fn at(self, site: Where) -> Self {
        Self { site, ..self }
    }
}

/// What texts need to know.
pub(super) struct Speaker<'a> {
    pub(super) types: &'a KernelTypes,
    pub(super) cgroups: &'a Cgroups,
    pub(super) networks: &'a Networks,
    pub(super) symbols: &'a Symbols<'a>,
}

impl Speaker<'_> {
    /// A link.
    pub(super) fn link(&self, link: &LinkInfo) -> Words {
        match &link.target {
            LinkTarget::RawTracepoint { name, .. } => Words::new("raw_tracepoint", name),
            LinkTarget::Tracing { attach_type, object, btf_id, .. } => {
                Words::new(hook(*attach_type), self.function(link.program, *object, *btf_id))
            }
            LinkTarget::Cgroup { cgroup, attach_type } => {
                Words::new(hook(*attach_type), self.cgroups.name(*cgroup)).at(Where::Cgroup(*cgroup))
            }
            LinkTarget::Iter { name, limit } => Words::new("iter", format!("{name}{}", self.limit(limit))),
            LinkTarget::Netns { netns, attach_type } => {
                let inode = u64::from(*netns);
                Words::new(hook(*attach_type), self.networks.namespace(inode)).at(Where::Namespace(inode))
            }
            LinkTarget::Xdp { ifindex } => {
                Words::new("xdp", self.networks.device(*ifindex)).at(Where::Device(*ifindex))
            }
            LinkTarget::Tcx { ifindex, attach_type } | LinkTarget::Netkit { ifindex, attach_type } => {
                Words::new(hook(*attach_type), self.networks.device(*ifindex)).at(Where::Device(*ifindex))
            }
            LinkTarget::StructOps { map } => Words::new("struct_ops", self.operations(*map)),
            LinkTarget::Netfilter { protocol, hook, priority, .. } => {
                Words::new("netfilter", netfilter(*protocol, *hook, *priority))
            }
            LinkTarget::KprobeMulti { addresses, flags, .. } => {
                let kind = if flags & ON_RETURN != 0 { "kretprobe_multi" } else { "kprobe_multi" };
                let name = |address: &u64| (self.symbols)(*address).unwrap_or_else(|| hidden(*address));
                Words::new(kind, spelled("function", addresses.len(), addresses.iter().map(name)))
            }
            LinkTarget::UprobeMulti { path, offsets, pid, flags, .. } => {
                let kind = if flags & ON_RETURN != 0 { "uretprobe_multi" } else { "uprobe_multi" };
                let places = spelled("place", offsets.len(), offsets.iter().map(|offset| format!("+{offset:#x}")));
                let process = if *pid == 0 { String::new() } else { format!(" of process {pid}") };
                Words::new(kind, format!("{path} {places}{process}"))
            }
            LinkTarget::PerfEvent(target) => self.perf(target),
            LinkTarget::Sockmap { map, attach_type } => {
                let name = LoadedMap::by_id(*map).map(|map| format!(" ({})", map.name())).unwrap_or_default();
                Words::new(hook(*attach_type), format!("map {map}{name}"))
            }
            LinkTarget::Other => Words::new(format!("link type {}", link.type_number), ""),
        }
    }

    /// A function of the kernel, or of another program.
    fn function(&self, program: u32, object: u32, btf_id: u32) -> String {
        let info = LoadedProgram::by_id(program).and_then(|program| program.info()).ok();
        let names = info.as_ref().filter(|info| info.attach_btf_id == btf_id).map(|info| info.attach_btf_obj_id);
        let types = names.filter(|id| *id != 0).unwrap_or(object);
        let name = self.types.type_name(types, btf_id).unwrap_or_else(|| format!("type {btf_id} of BTF {types}"));
        // Where the types are not the kernel's, `object` is the number of a program.
        if self.types.is_kernel(types) || types == 0 { name } else { format!("{name} of program {object}") }
    }

    fn limit(&self, limit: &IterLimit) -> String {
        match limit {
            IterLimit::None => String::new(),
            IterLimit::Map(map) => format!(" of map {map}"),
            IterLimit::Cgroup { cgroup, .. } => format!(" from {}", self.cgroups.name(*cgroup)),
            IterLimit::Task { tid, pid: 0 } => format!(" of thread {tid}"),
            IterLimit::Task { pid, .. } => format!(" of process {pid}"),
        }
    }

    /// A table of operations: its type and its map.
    fn operations(&self, map: u32) -> String {
        let Ok(info) = LoadedMap::by_id(map).and_then(|map| map.info()) else { return format!("map {map}") };
        let types = match info.kernel_btf_id {
            0 => self.types.vmlinux().ok(),
            id => self.types.get(id),
        };
        let name = types.and_then(|btf| btf.name(skep_btf::TypeId(info.kernel_value_type)).ok().map(str::to_owned));
        let name = name.unwrap_or_default();
        format!("{} {} (map {map})", name.strip_prefix(STRUCT_OPS).unwrap_or(&name), info.name).trim_start().to_owned()
    }

    fn perf(&self, target: &PerfTarget) -> Words {
        match target {
            PerfTarget::Kprobe { function, offset, address, on_return, .. } => {
                self.kernel_probe(function, u64::from(*offset), *address, *on_return)
            }
            PerfTarget::Uprobe { file, offset, on_return, .. } => user_probe(file, u64::from(*offset), *on_return),
            PerfTarget::Tracepoint { name, .. } => Words::new("tracepoint", name),
            PerfTarget::Event { kind, config, .. } => Words::new("perf_event", event(*kind, *config)),
            PerfTarget::Unknown => Words::new("perf_event", ""),
        }
    }

    /// What `BPF_TASK_FD_QUERY` says, in the same words as for links.
    pub(super) fn probe(&self, place: &ProbePlace) -> Words {
        match place {
            ProbePlace::RawTracepoint(name) => Words::new("raw_tracepoint", name),
            ProbePlace::Tracepoint(name) => Words::new("tracepoint", name),
            ProbePlace::Kernel { function, offset, address, on_return } => {
                self.kernel_probe(function, *offset, *address, *on_return)
            }
            ProbePlace::User { file, offset, on_return } => user_probe(file, *offset, *on_return),
            ProbePlace::Other(number) => Words::new("perf_event", format!("of kind {number}")),
        }
    }

    fn kernel_probe(&self, function: &str, offset: u64, address: u64, on_return: bool) -> Words {
        let kind = if on_return { "kretprobe" } else { "kprobe" };
        let place = match function {
            "" => (self.symbols)(address).unwrap_or_else(|| hidden(address)),
            name if offset == 0 => name.to_owned(),
            name => format!("{name}+{offset:#x}"),
        };
        Words::new(kind, place)
    }
}

fn user_probe(file: &str, offset: u64, on_return: bool) -> Words {
    Words::new(if on_return { "uretprobe" } else { "uprobe" }, format!("{file} +{offset:#x}"))
}

/// An address that has no name.
fn hidden(address: u64) -> String {
    if address == 0 { "a hidden address".to_owned() } else { format!("{address:#x}") }
}

/// The name of a hook.
fn hook(attach: Attach) -> String {
    attach.known.map_or_else(|| format!("attach type {}", attach.number), |known| known.name().to_owned())
}

/// `3 functions: a, b, c`
fn spelled(noun: &str, count: usize, names: impl Iterator<Item = String>) -> String {
    let first: Vec<String> = names.take(SPELLED).collect();
    let more = if count > first.len() { format!(" and {} more", count - first.len()) } else { String::new() };
    match count {
        0 => format!("hidden {noun}s"),
        1 => first.join(""),
        _ => format!("{count} {noun}s: {}{more}", first.join(", ")),
    }
}

fn netfilter(protocol: u32, hook: u32, priority: i32) -> String {
    let family = match protocol {
        2 => "IPv4".to_owned(),
        10 => "IPv6".to_owned(),
        other => format!("protocol {other}"),
    };
    let name = NETFILTER_HOOKS.get(hook as usize).map_or_else(|| format!("hook {hook}"), |name| (*name).to_owned());
    format!("{family} {name} priority {priority}")
}

/// The name of a performance event.
fn event(kind: u32, config: u64) -> String {
    let row = EVENTS.get(kind as usize);
    let name = row.and_then(|(_, names)| names.get(usize::try_from(config).ok()?));
    match (row, name) {
        (_, Some(name)) => (*name).to_owned(),
        (Some((kind, _)), None) => format!("{kind} {config:#x}"),
        (None, None) => match event_source(kind) {
            Some(source) if config == 0 => source,
            Some(source) => format!("{source} {config:#x}"),
            None => format!("type {kind}, config {config:#x}"),
        },
    }
}

/// The source of events with a number that the kernel has given away at run time: `uprobe`, `power`, `msr`.
fn event_source(kind: u32) -> Option<String> {
    let entries = fs::read_dir("/sys/bus/event_source/devices").ok()?.flatten();
    let has_number =
        |path: PathBuf| fs::read_to_string(path.join("type")).is_ok_and(|text| text.trim().parse() == Ok(kind));
    let mut named = entries.filter(|entry| has_number(entry.path()));
    named.next().map(|entry| entry.file_name().display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_places() {
        assert_eq!(event(1, 0), "cpu-clock");
        assert_eq!(event(4, 0x1b7), "raw 0x1b7");
        assert_eq!(event(u32::MAX, 2), "type 4294967295, config 0x2");
        assert_eq!(netfilter(2, 1, -128), "IPv4 input priority -128");
        let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
        assert_eq!(spelled("function", 5, names.clone().into_iter()), "5 functions: a, b, c, d and 1 more");
        assert_eq!(spelled("function", 1, names.into_iter().take(1)), "a");
        assert_eq!(spelled("function", 0, std::iter::empty()), "hidden functions");
    }
}

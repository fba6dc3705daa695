//! What the kernel's own types tell: attach types, kinds of links, kfuncs.

use std::collections::{HashMap, HashSet};

use skep_btf::{Btf, Enum, Kind, TypeId};
use skep_isa::kfuncs::KFUNCS;
use skep_isa::{AttachType, LinkType, ProgType, Release};

use super::reason::{Needs, of_failure};
use super::{Finding, Group, Prober, Reason, Status};
use crate::KernelBtf;
use crate::features::running_release;

/// Names out of the kernel's BTF. All sets are empty if the kernel publishes none.
#[derive(Debug, Default)]
pub(super) struct KernelTypes {
    known: bool,
    attach_types: HashSet<String>,
    link_types: HashSet<String>,
    /// Tagged as kfuncs, if the kernel tags (Linux 6.10), else all functions.
    kfuncs: HashSet<String>,
    /// Numbers of the functions in [`TARGETS`].
    targets: HashMap<&'static str, u32>,
}

/// Functions that stand for all others when the kernel wants to know what a program attaches to: one that exists only
/// for such tests, a security hook, an iterator, a tracepoint.
const TARGETS: [&str; 4] = ["bpf_fentry_test1", "bpf_lsm_file_open", "bpf_iter_task", "btf_trace_sched_switch"];

impl KernelTypes {
    pub(super) fn read() -> Self {
        let blob = KernelBtf::vmlinux().ok().map(|types| types.bytes().to_vec());
        blob.and_then(|bytes| Btf::parse(bytes).ok()).map(|btf| Self::of(&btf)).unwrap_or_default()
    }

    fn of(btf: &Btf) -> Self {
        let mut types = Self { known: true, ..Self::default() };
        let mut tagged = HashSet::new();
        let mut functions = HashSet::new();
        for id in btf.ids() {
            match btf.kind(id) {
                Ok(Kind::Enum(values)) => match btf.name(id) {
                    Ok("bpf_attach_type") => types.attach_types = constants(btf, values),
                    Ok("bpf_link_type") => types.link_types = constants(btf, values),
                    _ => {}
                },
                Ok(Kind::DeclTag(tag)) if btf.name(id) == Ok("bpf_kfunc") => {
                    tagged.extend(owned_name(btf, tag.target));
                }
                Ok(Kind::Func { .. }) => {
                    // Only names of the table matter, and all of them but two begin so.
                    let name = btf.name(id).unwrap_or_default();
                    types.note_target(name, id);
                    if name.starts_with("bpf_") || name.starts_with("css_") {
                        functions.insert(name.to_owned());
                    }
                }
                Ok(Kind::Typedef(_)) => types.note_target(btf.name(id).unwrap_or_default(), id),
                _ => {}
            }
        }
        types.kfuncs = if tagged.is_empty() { functions } else { tagged };
        types
    }

    fn note_target(&mut self, name: &str, id: TypeId) {
        if let Some(target) = TARGETS.iter().find(|target| **target == name) {
            self.targets.insert(target, id.0);
        }
    }

    /// What the least program of a type attaches to, `None` if the type needs nothing or nothing suitable was found.
    pub(super) fn target(&self, prog_type: ProgType, attach_type: Option<AttachType>) -> Option<u32> {
        let name = match (prog_type, attach_type) {
            (ProgType::Lsm, _) => "bpf_lsm_file_open",
            (ProgType::Tracing, Some(AttachType::TraceIter)) => "bpf_iter_task",
            (ProgType::Tracing, Some(AttachType::TraceRawTp)) => "btf_trace_sched_switch",
            (ProgType::Tracing, Some(AttachType::TraceFentry | AttachType::TraceFexit)) => "bpf_fentry_test1",
            _ => return None,
        };
        self.targets.get(name).copied()
    }

    /// Whether the kernel knows an attach type, `None` if it does not tell.
    pub(super) fn attach_type(&self, attach_type: AttachType) -> Option<bool> {
        let constant = format!("BPF_{}", attach_type.name().to_ascii_uppercase());
        self.known.then(|| self.attach_types.contains(&constant))
    }
}

fn owned_name(btf: &Btf, id: TypeId) -> Option<String> {
    btf.name(id).ok().map(str::to_owned)
}

fn constants(btf: &Btf, values: Enum<'_>) -> HashSet<String> {
    values.values().filter_map(|value| btf.string(value.name).ok()).map(str::to_owned).collect()
}

/// What each kind of link needs in the kernel's configuration.
const fn config_of(link_type: LinkType) -> &'static [&'static str] {
    match link_type {
        LinkType::RawTracepoint | LinkType::Tracing | LinkType::Iter => &["CONFIG_BPF_EVENTS"],
        LinkType::Cgroup => &["CONFIG_CGROUP_BPF"],
        LinkType::Netns | LinkType::Xdp | LinkType::Sockmap => &["CONFIG_NET"],
        LinkType::PerfEvent => &["CONFIG_PERF_EVENTS"],
        LinkType::KprobeMulti => &["CONFIG_FPROBE"],
        LinkType::UprobeMulti => &["CONFIG_UPROBES"],
        LinkType::StructOps => &["CONFIG_BPF_JIT"],
        LinkType::Netfilter => &["CONFIG_NETFILTER_BPF_LINK"],
        LinkType::Tcx => &["CONFIG_NET_XGRESS"],
        LinkType::Netkit => &["CONFIG_NETKIT"],
    }
}

/// Why there are no links of a kind, `None` if there are: the kernel's types (or its release) know it and its
/// configuration did not leave it out.
pub(super) fn missing_link(prober: &Prober, link_type: LinkType) -> Option<Reason> {
    let types = prober.types();
    let needs = Needs { since: link_type.since(), config: config_of(link_type), capabilities: &[] };
    let constant = format!("BPF_LINK_TYPE_{}", link_type.name().to_ascii_uppercase());
    let known = match link_type {
        _ if !types.known => is_new_enough(link_type.since()),
        // The kernel had the number for itself before it let anybody make such links.
        LinkType::StructOps => types.attach_type(AttachType::StructOps) == Some(true),
        _ => types.link_types.contains(&constant),
    };
    let off = needs.config.iter().any(|option| prober.config().is_on(option) == Some(false));
    (!known || off).then(|| of_failure(prober, libc::EINVAL, needs))
}

/// Every kind of link.
pub(super) fn probe_links(prober: &Prober) -> Vec<Finding> {
    let finding = |link_type: &LinkType| Finding {
        group: Group::Links,
        name: link_type.name().to_owned(),
        since: Some(link_type.since()),
        status: missing_link(prober, *link_type).map_or(Status::Present, Status::Missing),
    };
    LinkType::ALL.iter().map(finding).collect()
}

fn is_new_enough(since: Release) -> bool {
    running_release().is_some_and(|running| running >= since)
}

/// Every kfunc of the table, by name in the kernel's types. Those of modules that are not loaded count as missing.
pub(super) fn probe_kfuncs(prober: &Prober) -> Vec<Finding> {
    let types = prober.types();
    let status = |name: &str, since: Release| {
        if types.kfuncs.contains(name) {
            return Status::Present;
        }
        Status::Missing(match running_release() {
            Some(running) if since > running => Reason::TooOld { since, running },
            _ if !types.known => Reason::Configuration { options: vec!["CONFIG_DEBUG_INFO_BTF".to_owned()] },
            _ => Reason::Other("built without what it belongs to, or its module is not loaded".to_owned()),
        })
    };
    let finding = |row: &skep_isa::kfuncs::Kfunc| Finding {
        group: Group::Kfuncs,
        name: row.name.to_owned(),
        since: Some(row.since),
        status: status(row.name, row.since),
    };
    KFUNCS.iter().map(finding).collect()
}

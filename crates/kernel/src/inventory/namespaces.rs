//! Programs on network devices and of network namespaces, in every namespace that a process is in or that has a name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;

use skep_isa::AttachType;

use super::attachments::{Attachment, Where};
use crate::attach::{Interface, interfaces};
use crate::holders::numbers;
use crate::sys::link::{Target, prog_query};
use crate::sys::namespace::enter_network;
use crate::sys::netlink::{self, Message, Socket, kind};

/// Where `ip netns` keeps names.
const NAMED: &str = "/run/netns";
/// Bytes in `struct tcmsg`.
const TCMSG: usize = 20;
/// `TCA_KIND`
const KIND: u16 = 1;
/// `TCA_OPTIONS`
const OPTIONS: u16 = 2;
/// `TCA_BPF_NAME`
const BPF_NAME: u16 = 7;
/// `TCA_BPF_ID`
const BPF_ID: u16 = 11;

// TABLE
/// Places of devices that `BPF_PROG_QUERY` knows.
const HOOKS: [AttachType; 4] =
    [AttachType::TcxIngress, AttachType::TcxEgress, AttachType::NetkitPrimary, AttachType::NetkitPeer];

// TABLE
/// Parents of filters below `clsact` (`TC_H_MIN_INGRESS`, `TC_H_MIN_EGRESS`) and what they are called.
const PARENTS: [(u32, &str); 2] = [(0xffff_fff2, "tc_ingress"), (0xffff_fff3, "tc_egress")];

// TABLE
/// Places of whole namespaces.
const NAMESPACE_HOOKS: [AttachType; 2] = [AttachType::FlowDissector, AttachType::SkLookup];

/// A network namespace.
#[derive(Debug)]
struct Namespace {
    /// What it is called in texts; empty for that of this process.
    label: String,
    /// A file that stands for it.
    path: PathBuf,
}

/// What was found in all namespaces.
#[derive(Debug, Default)]
pub(super) struct Networks {
    /// Programs on devices and of namespaces.
    pub(super) attachments: Vec<Attachment>,
    /// The devices of this process's namespace: number and name.
    pub(super) devices: Vec<(u32, String)>,
    /// The names of namespaces by inode.
    labels: BTreeMap<u64, String>,
}

impl Networks {
    /// Looks into every namespace that may be entered.
    pub(super) fn read() -> Self {
        let mut all = Self::default();
        for (inode, namespace) in namespaces() {
            let Ok(file) = File::open(&namespace.path) else { continue };
            all.labels.insert(inode, namespace.label.clone());
            // Only a thread of its own may change its namespace: there is no way back without privilege.
            let looked = thread::scope(|scope| {
                scope
                    .spawn(|| {
                        if !namespace.label.is_empty() {
                            enter_network(file.as_fd()).ok()?;
                        }
                        Some(look(&namespace.label, inode, &file))
                    })
                    .join()
                    .ok()
                    .flatten()
            });
            let Some((attachments, devices)) = looked else { continue };
            all.attachments.extend(attachments);
            if namespace.label.is_empty() {
                all.devices = devices;
            }
        }
        all
    }

    /// What a device of this process's namespace is called.
    pub(super) fn device(&self, ifindex: u32) -> String {
        match self.devices.iter().find(|(index, _)| *index == ifindex) {
            _ if ifindex == 0 => "a removed device".to_owned(),
            Some((_, name)) => name.clone(),
            None => format!("device number {ifindex} of another namespace"),
        }
    }

    /// What a namespace is called.
    pub(super) fn namespace(&self, inode: u64) -> String {
        match self.labels.get(&inode).map(String::as_str) {
            _ if inode == 0 => "a removed network namespace".to_owned(),
            Some("") => "this network namespace".to_owned(),
            Some(label) => label.to_owned(),
            None => format!("network namespace {inode}"),
        }
    }
}

/// The namespaces by inode: this one, those with names, those that processes are in.
fn namespaces() -> BTreeMap<u64, Namespace> {
    let mut found = BTreeMap::new();
    let mut add = |path: PathBuf, label: String| {
        if let Ok(metadata) = fs::metadata(&path) {
            found.entry(metadata.ino()).or_insert(Namespace { label, path });
        }
    };
    add(PathBuf::from("/proc/thread-self/ns/net"), String::new());
    for entry in fs::read_dir(NAMED).into_iter().flatten().flatten() {
        add(entry.path(), format!("namespace {}", entry.file_name().display()));
    }
    for pid in numbers("/proc") {
        add(PathBuf::from(format!("/proc/{pid}/ns/net")), format!("namespace of process {pid}"));
    }
    found
}

/// Looks into the namespace of the calling thread.
fn look(label: &str, inode: u64, file: &File) -> (Vec<Attachment>, Vec<(u32, String)>) {
    let mut found = Vec::new();
    let devices = interfaces().unwrap_or_default();
    for device in &devices {
        device_programs(device, label, &mut found);
    }
    for hook in NAMESPACE_HOOKS {
        for program in prog_query(Target::Fd(file.as_fd()), hook.number()).unwrap_or_default() {
            let place = if label.is_empty() { "this network namespace".to_owned() } else { label.to_owned() };
            found.push(Attachment::new(program, hook.name(), place, Where::Namespace(inode)));
        }
    }
    (found, devices.into_iter().map(|device| (device.index, device.name)).collect())
}

/// XDP, tcx, netkit and filters of `clsact` on one device.
fn device_programs(device: &Interface, label: &str, found: &mut Vec<Attachment>) {
    let place = if label.is_empty() { device.name.clone() } else { format!("{} ({label})", device.name) };
    let mut add = |program: u32, kind: &str, place: String| {
        found.push(Attachment::new(program, kind, place, Where::Device(device.index)));
    };
    for (program, mode) in
        [(device.xdp.native, "native"), (device.xdp.generic, "generic"), (device.xdp.offload, "offload")]
    {
        if let Some(program) = program {
            add(program, "xdp", format!("{place} {mode}"));
        }
    }
    for hook in HOOKS {
        for program in prog_query(Target::Interface(device.index), hook.number()).unwrap_or_default() {
            add(program, hook.name(), place.clone());
        }
    }
    for (parent, kind) in PARENTS {
        for (program, name) in filters(device.index, parent) {
            add(program, kind, if name.is_empty() { place.clone() } else { format!("{place} {name}") });
        }
    }
}

/// The programs of the filters of kind `bpf` below a parent, with the names of the filters.
fn filters(device: u32, parent: u32) -> Vec<(u32, String)> {
    let mut fixed = [0; TCMSG];
    fixed[4..8].copy_from_slice(&device.to_ne_bytes());
    fixed[12..16].copy_from_slice(&parent.to_ne_bytes());
    let mut found = Vec::new();
    let Ok(mut socket) = Socket::open() else { return found };
    // A device without the discipline has no filters, which some kernels call an error.
    let _ = socket.dump(Message::new(kind::GETTFILTER, 0, &fixed), |_, body| found.extend(filter(body)));
    found
}

/// A message about a filter: the number of the program and the name, if it is of kind `bpf`.
fn filter(body: &[u8]) -> Option<(u32, String)> {
    let attributes = body.get(TCMSG..)?;
    if netlink::attribute(attributes, KIND)? != b"bpf\0" {
        return None;
    }
    let options = netlink::attribute(attributes, OPTIONS)?;
    let program = netlink::value_u32(netlink::attribute(options, BPF_ID)?)?;
    let name = netlink::attribute(options, BPF_NAME).unwrap_or_default();
    Some((program, String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()))
}

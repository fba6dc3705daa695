//! Program types and attach types: loads the least program of each.

use std::os::fd::OwnedFd;

use skep_isa::programs::{Privileges, facts};
use skep_isa::{AttachType, ProgType};

use super::reason::{Needs, of_failure};
use super::types::missing_link;
use super::{Finding, Group, Prober, Status};
use crate::features::Capability;
use crate::sys::attr::{ProgLoad, object_name};
use crate::sys::program::{Parts, prog_load};

/// Flag of loading: the program may sleep.
const SLEEPABLE: u32 = 1 << 4;
/// Room for the log of a program of a few instructions.
const LOG: usize = 4096;

/// How loading a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The error number, `None` if the kernel took it.
    pub(super) errno: Option<i32>,
    /// What the verifier said.
    pub(super) log: String,
}

/// Loads a program without a target in the kernel and forgets it again.
pub(super) fn attempt(prog_type: ProgType, attach_type: Option<AttachType>, insns: &[[u8; 8]]) -> Attempt {
    attempt_at(prog_type, attach_type, insns, 0)
}

/// Loads a program for the function (or table) with a number in the kernel's types, 0 for none, and forgets it again.
fn attempt_at(prog_type: ProgType, attach_type: Option<AttachType>, insns: &[[u8; 8]], target: u32) -> Attempt {
    match attempt_kept(prog_type, attach_type, insns, target) {
        Ok(_) => Attempt { errno: None, log: String::new() },
        Err(attempt) => attempt,
    }
}

/// Loads a program and keeps it.
pub(super) fn attempt_kept(
    prog_type: ProgType,
    attach_type: Option<AttachType>,
    insns: &[[u8; 8]],
    target: u32,
) -> Result<OwnedFd, Attempt> {
    let mut attr = ProgLoad {
        prog_type: prog_type.number(),
        prog_name: object_name("skep_probe"),
        expected_attach_type: attach_type.map_or(0, AttachType::number),
        prog_flags: if prog_type == ProgType::Syscall { SLEEPABLE } else { 0 },
        attach_btf_id: target,
        log_level: 1,
        ..ProgLoad::default()
    };
    let mut log = [0; LOG];
    let parts = Parts { insns, license: c"GPL", functions: &[], lines: &[], fd_array: &[] };
    prog_load(&mut attr, parts, &mut log).map_err(|errno| {
        let end = log.iter().position(|byte| *byte == 0).unwrap_or(LOG);
        Attempt { errno: Some(errno), log: String::from_utf8_lossy(&log[..end]).into_owned() }
    })
}

/// Types whose programs name a function of the kernel when they are loaded.
pub(super) const fn needs_target(prog_type: ProgType) -> bool {
    matches!(prog_type, ProgType::Tracing | ProgType::StructOps | ProgType::Ext | ProgType::Lsm)
}

/// The attach type that stands for a program type, `None` if it is loaded without.
pub(super) fn usual_attach_type(prog_type: ProgType) -> Option<AttachType> {
    match prog_type {
        // These may be loaded without, and older kernels know only that.
        ProgType::Kprobe | ProgType::SchedCls | ProgType::Xdp | ProgType::PerfEvent | ProgType::SkSkb => None,
        ProgType::StructOps => None,
        // Typed tracepoints need less of the kernel than its functions.
        ProgType::Tracing => Some(AttachType::TraceRawTp),
        other => facts(other).attach_types.first().copied(),
    }
}

/// `r0 = value; exit`, with a value that the type accepts everywhere.
pub(super) fn least_program(attach_type: Option<AttachType>) -> [[u8; 8]; 2] {
    use AttachType::{
        CgroupInet4Getpeername, CgroupInet4Getsockname, CgroupInet6Getpeername, CgroupInet6Getsockname,
        CgroupUdp4Recvmsg, CgroupUdp6Recvmsg, CgroupUnixGetpeername, CgroupUnixGetsockname, CgroupUnixRecvmsg,
    };
    let only_one = matches!(
        attach_type,
        Some(
            CgroupUdp4Recvmsg
                | CgroupUdp6Recvmsg
                | CgroupInet4Getpeername
                | CgroupInet6Getpeername
                | CgroupInet4Getsockname
                | CgroupInet6Getsockname
                | CgroupUnixRecvmsg
                | CgroupUnixGetpeername
                | CgroupUnixGetsockname
        )
    );
    let value = skep_isa::ebpf::Insn { code: 0xb7, imm: i32::from(only_one), ..Default::default() };
    let exit = skep_isa::ebpf::Insn { code: 0x95, ..Default::default() };
    [value, exit].map(|insn| insn.to_bytes(skep_isa::ebpf::Endian::NATIVE))
}

/// The capabilities that loading programs or making maps needs.
pub(super) const fn capabilities(privileges: Privileges) -> &'static [Capability] {
    match privileges {
        Privileges::Unprivileged | Privileges::Bpf => &[Capability::Bpf],
        Privileges::NetAdmin => &[Capability::Bpf, Capability::NetAdmin],
        Privileges::Perfmon => &[Capability::Bpf, Capability::Perfmon],
        Privileges::NetAdminAndPerfmon => &[Capability::Bpf, Capability::NetAdmin, Capability::Perfmon],
    }
}

fn try_type(prober: &Prober, prog_type: ProgType, attach_type: Option<AttachType>) -> Status {
    let target = prober.types().target(prog_type, attach_type);
    // No type of the kernel with number 1 is a function, so loading ends with a complaint about that.
    let number = if needs_target(prog_type) { target.unwrap_or(1) } else { 0 };
    let attempt = attempt_at(prog_type, attach_type, &least_program(attach_type), number);
    if attempt.errno.is_none() || target.is_none() && needs_target(prog_type) && !attempt.log.is_empty() {
        return Status::Present;
    }
    let since = attach_type.map_or(prog_type.since(), |attach| attach.since().max(prog_type.since()));
    let needs =
        Needs { since, config: facts(prog_type).config, capabilities: capabilities(facts(prog_type).privileges) };
    Status::Missing(of_failure(prober, attempt.errno.unwrap_or(0), needs))
}

/// Every program type.
pub(super) fn probe(prober: &Prober) -> Vec<Finding> {
    let finding = |prog_type: &ProgType| Finding {
        group: Group::Programs,
        name: prog_type.name().to_owned(),
        since: Some(prog_type.since()),
        status: try_type(prober, *prog_type, usual_attach_type(*prog_type)),
    };
    ProgType::ALL.iter().map(finding).collect()
}

/// Every attach type, with a program type that goes there.
///
/// The kernel looks at the attach type when it loads a program only for some types; for the others its published types
/// say whether it knows it.
pub(super) fn probe_attach(prober: &Prober) -> Vec<Finding> {
    let finding = |attach_type: &AttachType| {
        let owner = ProgType::ALL.iter().copied().find(|prog| facts(*prog).attach_types.contains(attach_type));
        let prog_type = owner.unwrap_or(ProgType::SocketFilter);
        let needs = Needs {
            since: attach_type.since(),
            config: facts(prog_type).config,
            capabilities: capabilities(facts(prog_type).privileges),
        };
        let status = match prober.types().attach_type(*attach_type) {
            Some(false) => Status::Missing(of_failure(prober, libc::EINVAL, needs)),
            Some(true) | None => try_type(prober, prog_type, Some(*attach_type)),
        };
        // A program that loads is of no use if nothing can hold it.
        let link = attach_type.link_type().and_then(|link| missing_link(prober, link));
        let status = if status == Status::Present { link.map_or(status, Status::Missing) } else { status };
        Finding { group: Group::Attach, name: attach_type.name().to_owned(), since: Some(attach_type.since()), status }
    };
    AttachType::ALL.iter().map(finding).collect()
}

//! Getting a filter into the kernel: as a classic program, as a 64-bit one, or not at all.

use std::os::fd::BorrowedFd;

use skep_isa::classic::{self, Insn};
use skep_isa::{ProgType, translate};
use skep_kernel::{attach_classic, attach_program};
use skep_object::{Object, Program as ObjectProgram};
use skep_packet::ring::{Capture, InstallError, LivePacket, rewrite_for_cooked};
use skep_vm::classic::{Metadata, Program};

use crate::failure::Failure;

/// Where a filter runs.
pub enum Installed {
    /// In the kernel, as the program that tcpdump would attach.
    Classic,
    /// In the kernel, as a 64-bit program.
    SixtyFour,
    /// Here: the kernel passes everything.
    Here(Box<Program>),
}

impl Installed {
    /// Whether a packet that the kernel passed is wanted.
    #[inline]
    pub fn wants(&self, packet: &LivePacket<'_>) -> bool {
        match self {
            Self::Classic | Self::SixtyFour => true,
            Self::Here(program) => program.run(packet.data, packet.orig_len, &facts(packet)) != 0,
        }
    }
}

/// Installs a filter in the best place there is. `wanted` is the program for the packets that the capture delivers.
///
/// If the kernel cannot have it, one line on standard error says why, and the filter runs here.
pub fn install(capture: &mut Capture, wanted: &[Insn]) -> Result<Installed, Failure> {
    let for_kernel = if capture.is_cooked() { rewrite_for_cooked(wanted) } else { Some(wanted.to_vec()) };
    let reason = match for_kernel {
        None => "it reads bytes of the pseudo header that the kernel does not have".to_owned(),
        Some(insns) => match in_kernel(capture, &insns)? {
            Ok(installed) => return Ok(installed),
            Err(reason) => reason,
        },
    };
    eprintln!("Warning: the filter runs in user space, which costs more time per packet: {reason}");
    let program = Program::new(wanted).map_err(Failure::run)?;
    capture.accept_all().map_err(Failure::run)?;
    Ok(Installed::Here(Box::new(program)))
}

/// Tries both kinds of program. The inner error says why neither can be had.
fn in_kernel(capture: &mut Capture, insns: &[Insn]) -> Result<Result<Installed, String>, Failure> {
    let mut reason = None;
    if insns.len() <= classic::MAX_INSNS {
        match capture.install(|socket| attach_classic(socket, insns)) {
            Ok(()) => return Ok(Ok(Installed::Classic)),
            Err(InstallError::Attach(error)) => reason = Some(error.to_string()),
            Err(InstallError::Capture(error)) => return Err(Failure::run(error)),
        }
    }
    match capture.install(|socket| attach_translation(socket, insns)) {
        Ok(()) => Ok(Ok(Installed::SixtyFour)),
        Err(InstallError::Attach(error)) => Ok(Err(reason.unwrap_or(error))),
        Err(InstallError::Capture(error)) => Err(Failure::run(error)),
    }
}

fn attach_translation(socket: BorrowedFd<'_>, insns: &[Insn]) -> Result<(), String> {
    let translation = translate::translate(insns, &translate::Options::default()).map_err(|error| error.to_string())?;
    let mut object = Object::new("GPL");
    object.add_program(ObjectProgram::new("skep_filter", ProgType::SocketFilter, translation.insns));
    let loaded = skep_kernel::load(&object).map_err(|error| error.to_string())?;
    let program = loaded.programs.first().ok_or("the kernel took no program")?;
    attach_program(socket, program).map_err(|error| error.to_string())
}

/// What the kernel has told about a packet. A VLAN tag of an Ethernet packet is among its bytes again.
fn facts(packet: &LivePacket<'_>) -> Metadata {
    let tag = packet.vlan.filter(|_| packet.link == skep_packet::LinkType::LINUX_SLL2);
    Metadata {
        protocol: packet.protocol,
        packet_type: packet.packet_type,
        ifindex: Some(packet.ifindex),
        hatype: packet.hardware,
        rxhash: packet.rxhash,
        vlan_tci: tag.map(|tag| tag.tci),
        vlan_tpid: tag.map_or(0x8100, |tag| tag.tpid),
        ..Metadata::default()
    }
}

//! Getting a filter into the kernel: as a classic program, as a 64-bit one, or not at all.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use skep_isa::classic::{self, Insn};
use skep_isa::ebpf::{self, Callee, Imm64, Op, Reg};
use skep_isa::{MapType, ProgType, translate};
use skep_kernel::{
    KernelError, Loaded, LoadedMap, LoadedProgram, MapDefinition, ProgramDefinition, Update, attach_classic,
    attach_program,
};
use skep_lang_filter::Filter;
use skep_packet::ring::{Capture, InstallError, LivePacket, rewrite_for_cooked};
use skep_vm::classic::{Metadata, Program};

use crate::failure::{Failure, say};

/// Where a filter runs.
pub enum Installed {
    /// In the kernel, as the program that tcpdump would attach.
    Classic,
    /// In the kernel, as a 64-bit program; with the array that holds it if it is large, and its maps.
    SixtyFour { _array: Option<LoadedMap>, _maps: Option<Box<Loaded>> },
    /// Here: the kernel passes everything.
    Here(Box<Program>),
}

impl Installed {
    /// Whether a packet that the kernel passed is wanted.
    #[inline]
    pub fn wants(&self, packet: &LivePacket<'_>) -> bool {
        match self {
            Self::Classic | Self::SixtyFour { .. } => true,
            Self::Here(program) => program.run(packet.data, packet.orig_len, &facts(packet)) != 0,
        }
    }
}

/// Installs a filter in the best place there is. `filter` is for the packets that the capture delivers.
///
/// If the kernel cannot have it, one line on standard error says why, and the filter runs here.
pub fn install(capture: &mut Capture, filter: &Filter) -> Result<Installed, Failure> {
    let wanted = &filter.program;
    if !filter.fits_kernel()
        && !capture.is_cooked()
        && let Some(installed) = with_maps(capture, filter)?
    {
        return Ok(installed);
    }
    let for_kernel = if capture.is_cooked() { rewrite_for_cooked(wanted) } else { Some(wanted.clone()) };
    let reason = match for_kernel {
        None => "it reads bytes of the pseudo header that the kernel does not have".to_owned(),
        Some(insns) => match in_kernel(capture, &insns)? {
            Ok(installed) => return Ok(installed),
            Err(reason) => reason,
        },
    };
    say!("Warning: the filter runs in user space, which costs more time per packet: {reason}");
    let program = Program::new(wanted).map_err(Failure::run)?;
    capture.accept_all().map_err(Failure::run)?;
    Ok(Installed::Here(Box::new(program)))
}

/// Tries the 64-bit program that keeps its long lists in maps. `None` if there is none, or the kernel does not take it.
fn with_maps(capture: &mut Capture, filter: &Filter) -> Result<Option<Installed>, Failure> {
    let Ok(object) = filter.object() else { return Ok(None) };
    if object.maps.is_empty() {
        return Ok(None);
    }
    let Ok(loaded) = skep_kernel::load(&object) else { return Ok(None) };
    let Some(program) = loaded.programs.first() else { return Ok(None) };
    match capture.install(|socket| attach_program(socket, program)) {
        Ok(()) => Ok(Some(Installed::SixtyFour { _array: None, _maps: Some(Box::new(loaded)) })),
        Err(InstallError::Attach(_)) => Ok(None),
        Err(InstallError::Capture(error)) => Err(Failure::run(error)),
    }
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
    let mut array = None;
    let attach = |socket: BorrowedFd<'_>| {
        array = attach_translation(socket, insns)?;
        Ok(())
    };
    match capture.install(attach) {
        Ok(()) => Ok(Ok(Installed::SixtyFour { _array: array, _maps: None })),
        Err(InstallError::Attach(error)) => Ok(Err(reason.unwrap_or(error))),
        Err(InstallError::Capture(error)) => Err(Failure::run(error)),
    }
}

/// Attaches the 64-bit translation.
///
/// A socket may only be charged a limited amount of memory for its filter. A program beyond that is put into a program
/// array, which is not charged to the socket, and what is attached is a stub that calls it. The array empties itself
/// when its descriptor is closed, so it must live as long as the capture.
fn attach_translation(socket: BorrowedFd<'_>, insns: &[Insn]) -> Result<Option<LoadedMap>, String> {
    let translation = translate::translate(insns, &translate::Options::default()).map_err(|error| error.to_string())?;
    let program = load_filter(&translation.insns).map_err(|error| error.to_string())?;
    match attach_program(socket, &program) {
        Ok(()) => return Ok(None),
        Err(KernelError::SocketMemory { .. }) => {}
        Err(error) => return Err(error.to_string()),
    }
    let array = array_with(&program).map_err(|error| error.to_string())?;
    let stub = load_filter(&stub(&array)).map_err(|error| error.to_string())?;
    attach_program(socket, &stub).map_err(|error| error.to_string())?;
    Ok(Some(array))
}

fn load_filter(insns: &[ebpf::Insn]) -> Result<LoadedProgram, KernelError> {
    let prog_type = ProgType::SocketFilter;
    LoadedProgram::load(&ProgramDefinition { name: "skep_filter", prog_type, insns, license: "GPL" })
}

/// A program array whose only entry is this program.
fn array_with(program: &LoadedProgram) -> Result<LoadedMap, KernelError> {
    let definition = MapDefinition {
        name: "skep_filter",
        map_type: MapType::ProgArray,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: 0,
    };
    let array = LoadedMap::create(&definition)?;
    array.set(&0u32.to_ne_bytes(), &program.as_fd().as_raw_fd().to_ne_bytes(), Update::Any)?;
    Ok(array)
}

/// Continues with the program in the array; rejects the packet should that be impossible.
fn stub(array: &LoadedMap) -> Vec<ebpf::Insn> {
    /// `bpf_tail_call` (`BPF_FUNC_tail_call`).
    const TAIL_CALL: i32 = 12;
    let array = Imm64::MapFd(array.as_fd().as_raw_fd());
    ebpf::encode_program([
        // r1 is the context already.
        Op::LoadImm { dst: Reg::R2, value: array },
        Op::mov_imm(Reg::R3, 0),
        Op::Call(Callee::Helper(TAIL_CALL)),
        Op::mov_imm(Reg::R0, 0),
        Op::Exit,
    ])
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

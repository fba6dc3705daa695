//! What a program works on: memory, or a packet with its context.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use skep_isa::ProgType;
use skep_packet::Reader;
use skep_packet::file::FileErrorKind;
use skep_vm::classic::Metadata;
use skep_vm::ebpf::{Fault, Input, MAX_CONTEXT_BYTES, MAX_FRAME_BYTES, PacketError, SkBuff, Skb, Worker, XdpFrame};

use super::load::{Chosen, unreadable};
use crate::args::ProgramArgs;
use crate::failure::Failure;

/// How a program gets what it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Bytes behind register 1.
    Memory,
    /// A context, and a packet that it can only read.
    SocketFilter,
    /// A frame that it may change (`struct xdp_md`).
    Xdp,
    /// A packet that it may change (`struct __sk_buff`).
    Skb,
}

/// What each run of a program starts with.
#[derive(Debug)]
pub struct Work {
    kind: Kind,
    /// What register 1 points to; for programs that may change their packet, the packet.
    pub context: Vec<u8>,
    /// The captured bytes of the packet, if the program gets one.
    pub packet: Option<Vec<u8>>,
    meta: Metadata,
    /// The length of the packet on the wire.
    wire_len: u32,
}

impl Work {
    /// The input that the options ask for.
    pub fn new(args: &ProgramArgs, chosen: &Chosen) -> Result<Self, Failure> {
        let Some(path) = &args.packet else { return Self::memory(args) };
        let program = chosen.program();
        let kind = match program.prog_type {
            ProgType::SocketFilter => Kind::SocketFilter,
            ProgType::Xdp => Kind::Xdp,
            ProgType::SchedCls | ProgType::SchedAct | ProgType::CgroupSkb => Kind::Skb,
            other => {
                return Err(Failure::Usage(format!(
                    "--packet is for programs on packets (socket filter, xdp, tc, cgroup_skb), and program `{}` is of \
                     type {}; give what register 1 points to with --mem",
                    program.name,
                    other.name()
                )));
            }
        };
        let (packet, wire_len, meta) = first_packet(path)?;
        if kind == Kind::SocketFilter {
            let context = SkBuff::new(wire_len, &meta).as_ref().to_vec();
            return Ok(Self { kind, context, packet: Some(packet), meta, wire_len });
        }
        if packet.len() > MAX_FRAME_BYTES {
            let error = PacketError::TooLong(packet.len());
            return Err(Failure::Usage(format!("{}: {error}", path.display())));
        }
        Ok(Self { kind, context: packet, packet: None, meta, wire_len })
    }

    fn memory(args: &ProgramArgs) -> Result<Self, Failure> {
        let context = args.mem.as_ref().map_or_else(Vec::new, |bytes| bytes.0.clone());
        if context.len() > MAX_CONTEXT_BYTES as usize {
            return Err(Failure::Usage(format!(
                "--mem has {} bytes, and at most {MAX_CONTEXT_BYTES} are possible",
                context.len()
            )));
        }
        Ok(Self { kind: Kind::Memory, context, packet: None, meta: Metadata::default(), wire_len: 0 })
    }

    /// The same, for the debugger.
    pub fn for_debugger(&self) -> skep_debug::Work {
        let bytes = self.context.clone();
        match self.kind {
            Kind::Memory => skep_debug::Work::Context(bytes),
            Kind::SocketFilter => {
                let packet = self.packet.clone().unwrap_or_default();
                skep_debug::Work::Filtered(packet, self.wire_len, self.meta)
            }
            Kind::Xdp => skep_debug::Work::Frame(bytes, self.meta),
            Kind::Skb => skep_debug::Work::Buffer(bytes, self.meta),
        }
    }

    /// What people call the bytes behind register 1.
    pub const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Memory => "memory",
            Kind::SocketFilter => "context",
            Kind::Xdp | Kind::Skb => "packet",
        }
    }

    /// Whether its runs can be looked at step by step.
    pub const fn is_traceable(&self) -> bool {
        !matches!(self.kind, Kind::Xdp | Kind::Skb)
    }

    /// A run on a copy of the context; `None` if the program may change its packet.
    pub fn input<'a>(&'a self, context: &'a mut Vec<u8>) -> Option<Input<'a>> {
        if !self.is_traceable() {
            return None;
        }
        context.clone_from(&self.context);
        Some(Input { context, packet: self.packet.as_deref().unwrap_or_default(), meta: &self.meta })
    }

    /// Runs a program on a fresh context, which stays in the address space of the program: the shortest way, for
    /// measurements.
    pub fn run_in_place(&self, worker: &mut Worker, program: usize, scratch: &mut Vec<u8>) -> Result<u64, Fault> {
        match worker.context(self.context.len()) {
            Ok(context) if self.kind == Kind::Memory => {
                context.copy_from_slice(&self.context);
                worker.execute(program)
            }
            _ => self.run(worker, program, scratch),
        }
    }

    /// Runs a program on a copy of the context or packet, which holds afterwards what the program left there.
    pub fn run(&self, worker: &mut Worker, program: usize, context: &mut Vec<u8>) -> Result<u64, Fault> {
        if let Some(input) = self.input(context) {
            return worker.run(program, input);
        }
        let (packet, result) = if self.kind == Kind::Xdp {
            let mut frame = XdpFrame { meta: self.meta, ..XdpFrame::new(&self.context) };
            let result = worker.run_xdp(program, &mut frame).map(|verdict| verdict.code);
            (frame.packet, result)
        } else {
            let mut skb = Skb { meta: self.meta, ..Skb::new(&self.context) };
            let result = worker.run_skb(program, &mut skb).map(|verdict| verdict.code);
            (skb.packet, result)
        };
        *context = packet;
        match result {
            Ok(code) => Ok(code.into()),
            Err(PacketError::Fault(fault)) => Err(fault),
            // The length was checked, there is no metadata, and the pages are those of every run.
            Err(error) => panic!("the packet cannot be placed: {error}"),
        }
    }
}

/// The bytes of the first packet of a recording, or else of the file; its length on the wire; what is known about it.
fn first_packet(path: &Path) -> Result<(Vec<u8>, u32, Metadata), Failure> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let raw = |bytes: Vec<u8>| {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        (bytes, len, Metadata::default())
    };
    if bytes.is_empty() {
        return Ok(raw(bytes));
    }
    let mut reader = match Reader::from_stream(Cursor::new(bytes.clone()), &name) {
        Ok(reader) => reader,
        Err(error) if matches!(error.kind, FileErrorKind::NotACapture(_)) => return Ok(raw(bytes)),
        Err(error) => return Err(Failure::run(error)),
    };
    match reader.next().map_err(Failure::run)? {
        Some(packet) => {
            let meta = Metadata { ifindex: packet.ifindex, ..Metadata::default() };
            Ok((packet.data.to_vec(), packet.orig_len, meta))
        }
        None => Err(Failure::Run(format!("{name} is a recording without packets; give one that has a packet"))),
    }
}

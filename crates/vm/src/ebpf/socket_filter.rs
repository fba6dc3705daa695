//! Socket filters: 64-bit programs that look at a packet and say how many bytes to keep.

use std::fmt;
use std::io;

use skep_isa::ProgType;
use skep_isa::ebpf::Insn;
use skep_object::Object;

use super::fault::Fault;
use super::helpers::Helpers;
use super::vm::{Setup, SetupError, Vm};
use super::worker::{Input, Worker};
use crate::classic::Metadata;

/// The context of a socket filter as bytes: `struct __sk_buff` of `linux/bpf.h`.
#[derive(Debug, Clone, Copy)]
pub struct SkBuff(pub(super) [u8; SkBuff::BYTES]);

impl SkBuff {
    /// Size of the structure.
    pub const BYTES: usize = 192;

    /// The context of a packet of `len` bytes (on the wire). Fields that a socket filter may not read are 0.
    pub fn new(len: u32, meta: &Metadata) -> Self {
        let mut context = Self([0; Self::BYTES]);
        // Network byte order is what the kernel shows for the two EtherTypes.
        let network = |ether_type: u16| u32::from(ether_type.to_be());
        let ifindex = meta.ifindex.unwrap_or(0);
        context.put(0, len);
        context.put(4, u32::from(meta.packet_type & 7));
        context.put(8, meta.mark);
        context.put(12, meta.queue.into());
        context.put(16, network(meta.protocol));
        if let Some(tci) = meta.vlan_tci {
            context.put(20, 1);
            context.put(24, tci.into());
            context.put(28, network(meta.vlan_tpid));
        }
        context.put(36, ifindex);
        context.put(40, ifindex);
        context.put(68, meta.rxhash);
        context
    }

    /// The structure.
    pub const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    pub(super) fn put(&mut self, offset: usize, value: u32) {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// The number at an offset, 0 outside.
    pub(super) fn get(&self, offset: usize) -> u32 {
        self.0.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }
}

impl AsRef<[u8]> for SkBuff {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Why a filter of an object cannot run.
#[derive(Debug)]
pub enum ObjectError {
    /// The object has no socket filter of this name.
    NoSuchProgram(String),
    /// A map or the program cannot be had in user space.
    Setup(SetupError),
    /// There is no address space to run it in.
    Memory(io::Error),
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchProgram(name) => write!(f, "the object has no socket filter with the name `{name}`"),
            Self::Setup(error) => error.fmt(f),
            Self::Memory(error) => {
                write!(f, "cannot reserve 4 GiB of addresses for the program: {error}; raise `ulimit -v`")
            }
        }
    }
}

impl std::error::Error for ObjectError {}

/// A 64-bit socket filter with its maps.
#[derive(Debug)]
pub struct SocketFilter {
    vm: Vm,
    worker: Worker,
    program: usize,
}

impl SocketFilter {
    /// Loads a filter without maps.
    ///
    /// # Errors
    /// [`ObjectError::Setup`] if it does not load, [`ObjectError::Memory`] if there are no addresses for it.
    pub fn new(insns: &[Insn]) -> Result<Self, ObjectError> {
        let setup = Setup::new().helpers(Helpers::kernel()).program("filter", ProgType::SocketFilter, insns);
        Self::from_vm(setup.load().map_err(ObjectError::Setup)?, 0)
    }

    /// Loads the socket filter called `name` with all maps of its object and their contents.
    ///
    /// # Errors
    /// When there is no such filter, a map is impossible in user space, or the program does not load.
    pub fn from_object(object: &Object, name: &str) -> Result<Self, ObjectError> {
        let vm = Vm::new(object).load().map_err(ObjectError::Setup)?;
        let wanted = |&(program, prog_type): &(&str, ProgType)| program == name && prog_type == ProgType::SocketFilter;
        let program = vm.programs().position(|row| wanted(&row));
        let program = program.ok_or_else(|| ObjectError::NoSuchProgram(name.to_owned()))?;
        Self::from_vm(vm, program)
    }

    fn from_vm(vm: Vm, program: usize) -> Result<Self, ObjectError> {
        let worker = vm.worker().map_err(ObjectError::Memory)?;
        Ok(Self { vm, worker, program })
    }

    /// Runs the filter on the captured bytes of a packet that had `wire_len` bytes on the wire.
    ///
    /// The result is the number of bytes to keep, 0 to reject the packet; it may be larger than the packet.
    ///
    /// # Errors
    /// The first instruction that does what it must not. The packet is neither accepted nor rejected then.
    pub fn run(&mut self, packet: &[u8], wire_len: u32, meta: &Metadata) -> Result<u32, Fault> {
        let mut context = SkBuff::new(wire_len, meta);
        let kept = self.worker.run(self.program, Input { context: &mut context.0, packet, meta })?;
        // The kernel's program runners return 32 bits.
        Ok(kept as u32)
    }

    /// The machine that runs it, for its maps.
    pub const fn vm(&self) -> &Vm {
        &self.vm
    }
}

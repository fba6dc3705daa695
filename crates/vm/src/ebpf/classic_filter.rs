//! Classic filters at the speed of compiled code: translated to 64 bits, compiled, run on packets where they lie.

use skep_isa::ProgType;
use skep_isa::classic::Insn;
use skep_isa::ebpf::{Cpu, Op, decode_program};
use skep_isa::translate::{Options, translate};

use super::helpers::Helpers;
use super::socket_filter::SkBuff;
use super::vm::{DEFAULT_FUEL, Engine, Setup};
use super::worker::Worker;
use crate::classic::{LoadError, Metadata, Program};

/// Packets that are interpreted before it is worth to compile.
const FIRST_PACKETS: u32 = 1_000;

/// Filters of at most so many instructions are interpreted: they end before compiled code has been entered and left.
const SHORT: usize = 32;

/// A classic filter, ready to run on millions of packets.
///
/// After the first thousand packets it is compiled, where that is possible and pays, and gives what [`Program`] gives on every packet. The search for netlink
/// attributes has no translation; such filters, and those on processors without a code generator, are interpreted.
#[derive(Debug)]
pub struct ClassicFilter {
    program: Program,
    insns: Vec<Insn>,
    /// Packets until it is compiled; 0 if it will not be, or is.
    wait: u32,
    compiled: Option<Box<Compiled>>,
}

#[derive(Debug)]
struct Compiled {
    worker: Worker,
    /// Whether it reads anything of the context.
    needs_context: bool,
}

impl ClassicFilter {
    /// Loads a filter.
    ///
    /// # Errors
    /// Those of [`Program::new`].
    pub fn new(insns: &[Insn]) -> Result<Self, LoadError> {
        let program = Program::new(insns)?;
        let wait = if insns.len() > SHORT { FIRST_PACKETS } else { 0 };
        Ok(Self { program, insns: insns.to_vec(), wait, compiled: None })
    }

    /// Compiles it now, whatever the number of packets. `false` if it can only be interpreted.
    pub fn compile(&mut self) -> bool {
        self.wait = 0;
        self.compiled = compile(&self.insns).map(Box::new);
        self.compiled.is_some()
    }

    /// Runs the filter on the captured bytes of a packet that had `wire_len` bytes on the wire: the number of bytes to
    /// keep, 0 to reject the packet. It may be larger than the packet.
    #[inline]
    pub fn run(&mut self, packet: &[u8], wire_len: u32, meta: &Metadata) -> u32 {
        if self.wait != 0 {
            self.wait -= 1;
            if self.wait == 0 {
                self.compile();
            }
        }
        let compiled = self.compiled.as_mut().and_then(|compiled| compiled.run(packet, wire_len, meta));
        // A classic program cannot fault; if its translation did, the reference decides.
        compiled.unwrap_or_else(|| self.program.run(packet, wire_len, meta))
    }
}

impl Compiled {
    #[inline]
    fn run(&mut self, packet: &[u8], wire_len: u32, meta: &Metadata) -> Option<u32> {
        if self.needs_context {
            let context = self.worker.context(SkBuff::BYTES).ok()?;
            context.copy_from_slice(SkBuff::new(wire_len, meta).bytes());
        }
        // The kernel's program runners return 32 bits.
        self.worker.execute_on(0, packet, meta).ok().map(|kept| kept as u32)
    }
}

fn compile(insns: &[Insn]) -> Option<Compiled> {
    let translated = translate(insns, &Options { cpu: Cpu::V4 }).ok()?;
    let setup = Setup::new().helpers(Helpers::kernel()).fuel(DEFAULT_FUEL).engine(Engine::Jit);
    let vm = setup.program("filter", ProgType::SocketFilter, &translated.insns).load().ok()?;
    if !vm.prepare(0) {
        return None;
    }
    let mut worker = vm.worker().ok()?;
    worker.context(SkBuff::BYTES).ok()?;
    let ops = decode_program(&translated.insns).ok()?;
    // Only the context is loaded from otherwise than through the frame pointer.
    let needs_context = ops
        .iter()
        .any(|(_, op)| matches!(op, Op::Load { base, .. } if base.number() != 10) || matches!(op, Op::Call(_)));
    Some(Compiled { worker, needs_context })
}

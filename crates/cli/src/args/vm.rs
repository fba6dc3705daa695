//! The options of `skep vm`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use skep_vm::ebpf::{DEFAULT_FUEL, Engine};

use super::values::{HexBytes, hex_bytes};

/// The commands of `skep vm`. What they do is told at their arguments: a remark here would hide the long text of
/// `--help`.
#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs)]
pub enum VmCommand {
    Run(VmRunArgs),
    Bench(VmBenchArgs),
    Plugin(VmPluginArgs),
}

/// Which engine runs the program.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(skip)]
pub struct EngineArgs {
    /// Compile it to machine code, or fail. Without --jit and --interp it is compiled where that is possible
    #[arg(long, conflicts_with = "interp")]
    pub jit: bool,
    /// Interpret it
    #[arg(long)]
    pub interp: bool,
}

impl EngineArgs {
    /// The engine that these options ask for.
    pub const fn engine(self) -> Engine {
        match self {
            Self { jit: true, .. } => Engine::Jit,
            Self { interp: true, .. } => Engine::Interpreter,
            Self { .. } => Engine::Auto,
        }
    }
}

/// The program and what it works on.
#[derive(Debug, Clone, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("input").args(["mem", "packet"]))]
pub struct ProgramArgs {
    /// An object file of clang, or instructions as text; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The program with this name; needed if the object has several
    #[arg(long, value_name = "NAME")]
    pub prog: Option<String>,
    /// Bytes that register 1 points to, in hexadecimal; register 2 is their number
    #[arg(long, value_name = "HEX", value_parser = hex_bytes, allow_hyphen_values = true)]
    pub mem: Option<HexBytes>,
    /// A packet for a socket filter, XDP or tc program: the first of a recording (pcap, pcapng), or else the bytes of the file
    #[arg(long, value_name = "FILE")]
    pub packet: Option<PathBuf>,
    /// Stop a run that used so much fuel: about the number of its instructions
    #[arg(long, value_name = "N", default_value_t = DEFAULT_FUEL)]
    pub fuel: u64,
}

/// Run a program and show its result: register 0, memory, maps; trace it.
///
/// FILE is an object file that clang made (-O2 -g -target bpf -c), or a text with one instruction a line as `skep
/// filter --ebpf` and the kernel print them. Nothing is verified before the run: an access outside of the memory that
/// the program was given, or a loop without end, stops it with a report. No privilege is needed.
#[derive(Debug, Clone, Args)]
#[command(
    args_override_self = true,
    after_help = "Examples:
  skep vm run prog.s                             no memory
  skep vm run prog.s --mem '01 02 03 04'         register 1 points to these bytes
  skep vm run filter.o --prog main --packet dns.pcap
  skep vm run prog.s --trace                     every instruction with the registers that it changed
  skep vm run prog.o --jit --repeat 1000000      time per run

Exit status: 0 if the program ran to its end, 1 if it was stopped or could not be loaded, 2 for wrong usage."
)]
pub struct VmRunArgs {
    /// The program and its input.
    #[command(flatten)]
    pub program: ProgramArgs,
    /// The engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Print every instruction with the registers that it changed; interprets
    #[arg(long, conflicts_with_all = ["jit", "repeat"])]
    pub trace: bool,
    /// Run it so often. Memory starts anew each time, maps keep their contents; what is shown is the end of the last run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: u64,
    /// Print at most so many entries of each map
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub entries: usize,
    /// JSON: one object for the result, in front of it one for each traced instruction
    #[arg(long)]
    pub json: bool,
}

/// Time a program on the interpreter, as compiled code and in the kernel.
///
/// The engines run in turns, and the best turn of each counts. The kernel takes part when this process may load
/// programs, its verifier accepts the program, and it can test programs of this type; it gets the packet, or one of
/// zeros. Otherwise the reason is told.
#[derive(Debug, Clone, Args)]
#[command(
    args_override_self = true,
    after_help = "Examples:
  skep vm bench prog.s --mem 0011223344556677
  sudo skep vm bench filter.o --packet dns.pcap  with the kernel"
)]
pub struct VmBenchArgs {
    /// The program and its input.
    #[command(flatten)]
    pub program: ProgramArgs,
    /// Time for each engine, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub time: u64,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Run one program from standard input, as conformance suites call it.
///
/// Standard input holds the instructions in hexadecimal, eight bytes each in the byte order of this machine; blanks and
/// line ends do not count. Register 1 points to the memory, register 2 is its length. Helper 5 returns its first
/// argument, and there are no others. Register 0 is printed in hexadecimal. If the program cannot be loaded or is
/// stopped, the reason is on standard error and the exit status is not 0.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:
  echo 'b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00' | skep vm plugin       prints 2a")]
pub struct VmPluginArgs {
    /// The memory in hexadecimal; none if absent or empty
    #[arg(value_name = "HEX", value_parser = hex_bytes)]
    pub memory: Option<HexBytes>,
    /// The engine.
    #[command(flatten)]
    pub engine: EngineArgs,
}

//! The options of `skep debug`.

use clap::Args;

use super::ProgramArgs;

/// Step a program forwards and backwards over a packet or a context, in user space.
///
/// The program is run once without privileges and every step is kept, so a step back is like a step forward. Beside the value of
/// a register stands what the verifier of Linux 6.18 knows of it on all paths. In a terminal the whole screen is used; else commands
/// are read from standard input, one a line: `help` lists them. Editors attach by the Debug Adapter Protocol with --dap.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  skep debug filter.o --prog parse --packet dns.pcap
  skep debug prog.s --mem '01 02 03 04'
  skep debug --dap filter.o --packet dns.pcap       for an editor, on standard input and output

Exit status: 0, 1 if the program cannot be run, 2 for wrong usage.")]
pub struct DebugArgs {
    /// The program and its input.
    #[command(flatten)]
    pub program: ProgramArgs,
    /// Speak the Debug Adapter Protocol on standard input and output
    #[arg(long)]
    pub dap: bool,
    /// Read commands by the line in a terminal too, in place of the whole screen
    #[arg(long, conflicts_with = "dap")]
    pub plain: bool,
}

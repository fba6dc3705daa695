//! The options of `skep verify`.

use clap::{Args, ValueEnum};

use super::ObjectArgs;

/// Tell whether kernels would load the programs of an object, and why not.
///
/// Nothing is loaded: the rules of the kernel's verifier are applied here, for a process with all capabilities. What needs rules
/// that are not known here is undecided. Layouts of types are those of the running kernel.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exit status: 0 if nothing is refused, 1 if something is, 2 wrong usage.

Examples:
  skep verify filter.bpf.o
  skep verify --kernel 6.1 --kernel 6.18 --prog handle_xdp filter.bpf.o")]
pub struct VerifyArgs {
    #[command(flatten)]
    pub object: ObjectArgs,
    /// For this kernel; may be repeated. Without it for all whose rules are known
    #[arg(long, value_enum, value_name = "RELEASE")]
    pub kernel: Vec<KernelArg>,
}

/// A release of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KernelArg {
    /// Linux 6.1
    #[value(name = "6.1")]
    V6_1,
    /// Linux 6.12
    #[value(name = "6.12")]
    V6_12,
    /// Linux 6.18
    #[value(name = "6.18")]
    V6_18,
}

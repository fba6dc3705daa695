//! The options of `skep seccomp`.

use clap::Args;

/// Show and explain the seccomp filters of a process.
///
/// The kernel asks every filter of a process about every system call and takes the most severe answer. Printed is what
/// they decide together, for each kind of system calls that the kernel has: which are allowed, which fail, what depends on arguments. Needs
/// CAP_SYS_ADMIN, and CAP_SYS_PTRACE for processes of others; the process is stopped for some microseconds.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep seccomp 4711               what process 4711 may do
  sudo skep seccomp 4711 -c mount,bpf  only these system calls
  sudo skep seccomp 4711 -d            the programs themselves")]
pub struct SeccompArgs {
    /// The process, or one of its threads
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: i32,
    /// Only these system calls
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    pub call: Vec<String>,
    /// Only this filter, 0 for the newest, instead of all together
    #[arg(short, long, value_name = "NUMBER")]
    pub filter: Option<usize>,
    /// List the instructions of the filters instead
    #[arg(short, long)]
    pub dump: bool,
    /// One JSON object
    #[arg(long, conflicts_with = "dump")]
    pub json: bool,
}

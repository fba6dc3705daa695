//! The options of `skep strace`, which are those of strace where both have them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Show the system calls of a command, of processes, of a control group or of the whole system, without stopping anything.
///
/// Without a command and without -p everything on the machine is traced. Lines are those of strace; they are decoded from
/// what programs at two tracepoints of the kernel copy.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exit status: that of the command; 1 if tracing failed, 2 for wrong usage.

Examples:
  sudo skep strace ls /
  sudo skep strace -f -e trace=%network -yy -p 4711
  sudo skep strace -c --histogram make
  sudo skep strace -e openat -Z --for 10s             # failed openat() on the whole machine
  sudo skep strace --container 3f2a -e trace=%file --json
  sudo skep strace -f -o trace.txt -ttt -T ./server")]
pub struct StraceArgs {
    /// The command to start and trace, with its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
    /// What is traced: trace=CALL,%CLASS,/PATTERN,!CALL; signal=NAME; status=successful|failed; quiet=exit. `trace=` may be
    /// left out
    #[arg(short = 'e', long = "expr", value_name = "EXPR", allow_hyphen_values = true)]
    pub expressions: Vec<String>,
    /// Trace also the threads and processes that are made meanwhile, and with -p all threads
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub follow_forks: u8,
    /// Trace these processes
    #[arg(short, long = "attach", value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// Say what descriptors stand for; twice: also addresses of sockets
    #[arg(short = 'y', long = "decode-fds", action = clap::ArgAction::Count)]
    pub descriptors: u8,
    /// Only calls with this path, or with a descriptor of it
    #[arg(short = 'P', long = "trace-path", value_name = "PATH")]
    pub paths: Vec<String>,
    /// Only calls that succeed
    #[arg(short = 'z', long, conflicts_with = "failed_only")]
    pub successful_only: bool,
    /// Only calls that fail
    #[arg(short = 'Z', long)]
    pub failed_only: bool,
    /// Only processes below this control group (version 2)
    #[arg(long, value_name = "PATH", conflicts_with = "container")]
    pub cgroup: Option<String>,
    /// Only processes of this container, by its id or the beginning of it
    #[arg(long, value_name = "ID")]
    pub container: Option<String>,
    /// Only threads with this name
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,
    /// End after this time: 10s, 500ms, 2m
    #[arg(long = "for", value_name = "TIME")]
    pub time: Option<String>,
    /// Count calls, errors and times in the kernel, and print a table at the end; nothing is sent for a call
    #[arg(short = 'c', long)]
    pub summary_only: bool,
    /// Like -c, and print the lines too
    #[arg(short = 'C', long)]
    pub summary: bool,
    /// Times in tables are those of the clock: they always are
    #[arg(short = 'w', long)]
    pub summary_wall_clock: bool,
    /// By what the table is sorted: time, max-time, min-time, avg-time, calls, errors, name, nothing
    #[arg(short = 'S', long, value_name = "KEY", default_value = "time")]
    pub summary_sort_by: String,
    /// Print also how the times of each call are spread
    #[arg(long)]
    pub histogram: bool,
    /// The time of day before each line; twice: with microseconds; three times: seconds since 1970
    #[arg(short = 't', action = clap::ArgAction::Count)]
    pub time_of_day: u8,
    /// The time since the line before
    #[arg(short = 'r', long)]
    pub relative_timestamps: bool,
    /// The time that each call took
    #[arg(short = 'T', long)]
    pub syscall_times: bool,
    /// The stack of the program behind each call
    #[arg(short = 'k', long)]
    pub stack_traces: bool,
    /// Most bytes of texts, and most elements of lists
    #[arg(short = 's', long, value_name = "SIZE", default_value_t = 32, value_parser = clap::value_parser!(u16).range(..=8000))]
    pub string_limit: u16,
    /// Texts that cannot be printed in hexadecimal; twice: all texts
    #[arg(short = 'x', action = clap::ArgAction::Count)]
    pub hex: u8,
    /// Structures and environments in full
    #[arg(short, long)]
    pub verbose: bool,
    /// The column of results
    #[arg(short = 'a', long, value_name = "COLUMN", default_value_t = 40)]
    pub columns: usize,
    /// Say less: nothing about lost calls; twice: nothing about ends of processes
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub quiet: u8,
    /// Write to this file in place of standard error; `|COMMAND` writes to a command of the shell
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// One JSON object for each call
    #[arg(long)]
    pub json: bool,
    /// Run the command as this user
    #[arg(short, long, value_name = "USER", requires = "command")]
    pub user: Option<String>,
    /// Set (NAME=VALUE) or remove (NAME) a variable in the environment of the command
    #[arg(short = 'E', long = "env", value_name = "NAME[=VALUE]", requires = "command")]
    pub environment: Vec<String>,
    /// Megabytes of the buffer between kernel and skep, a power of two
    #[arg(long, value_name = "MEGABYTES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub buffer: u32,
}

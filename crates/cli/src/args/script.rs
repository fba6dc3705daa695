//! The options of `skep script`, which is also `skep run` for scripts, and the command line of bpftrace.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use skep_sym::DebugDirs;

/// Trace with a script: compile it, attach its probes, print what it says, until exit(), ctrl-C or the end of -c.
///
/// The language is that of bpftrace. `skep run` with a file that ends in `.bt` or with `-e` is the same, and so is this
/// binary under the name `bpftrace`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exit status: that of exit(), 1 if the script could not be run, 2 if it is faulty.

Examples:
  sudo skep run -e 'tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }'
  sudo skep run opensnoop.bt -- --pid=4711
  sudo skep run -c 'ls /' -e 'uprobe:libc:malloc /pid == cpid/ { @ = hist(arg0); }'
  sudo skep run -l 'tracepoint:sched:*'
  skep run --fmt tool.bt")]
pub struct ScriptArgs {
    /// The script (`-` for standard input), then its arguments `$1`, `$2`, ...; --NAME=VALUE behind `--`
    #[arg(value_name = "FILE|ARGUMENT", allow_negative_numbers = true)]
    pub words: Vec<String>,
    /// The script itself in place of a file
    #[arg(short = 'e', long = "expr", value_name = "SCRIPT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Trace only this process, where probes can be limited to one, and end with it
    #[arg(short, long, value_name = "PID", conflicts_with = "command", value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Option<u32>,
    /// Start this command when everything is attached, and end with it; `cpid` is its number
    #[arg(short, long, value_name = "COMMAND")]
    pub command: Option<String>,
    /// Write the output to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The form of the output
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t = FormArg::Text)]
    pub format: FormArg,
    /// When output is written
    #[arg(short = 'B', value_enum, value_name = "WHEN", default_value_t = BufferArg::Line)]
    pub buffering: BufferArg,
    /// Say nothing about the number of probes
    #[arg(short, long)]
    pub quiet: bool,
    /// Tell more: what verifier and attaching say; with -l the fields of tracepoints
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print a stage of the compiler instead of running; may be repeated
    #[arg(short, long = "dump", value_enum, value_name = "STAGE")]
    pub dump: Vec<StageArg>,
    /// Allow functions that change what is traced: system(), signal(), override()
    #[arg(long = "unsafe")]
    pub allow_unsafe: bool,
    /// Load and attach, then end; nothing runs but what happens meanwhile
    #[arg(long)]
    pub dry_run: bool,
    /// Show no warnings of the compiler and at run time
    #[arg(long)]
    pub no_warnings: bool,
    /// List the places that a pattern means, `kprobe:vfs_*`; without one all
    #[arg(short, long, num_args = 0..=1, value_name = "PATTERN", default_missing_value = "*", conflicts_with = "text")]
    pub list: Option<String>,
    /// Look for debug files of programs in these directories (separated by `:`), then in /usr/lib/debug
    #[arg(long, value_name = "DIR", value_delimiter = ':')]
    pub debuginfo: Vec<PathBuf>,
    /// At the end write a flame graph of the maps with stack traces in their keys
    #[arg(long, value_name = "FILE.svg")]
    pub flame: Option<PathBuf>,
    /// The same as text: a line for each stack trace, its frames separated by `;`, and the number
    #[arg(long, value_name = "FILE")]
    pub folded: Option<PathBuf>,
    /// Print the script in the usual form
    #[arg(long)]
    pub fmt: bool,
}

impl ScriptArgs {
    /// Where debug files are.
    pub fn debug_dirs(&self) -> DebugDirs {
        DebugDirs::new(self.debuginfo.iter().cloned())
    }
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormArg {
    /// As the script says
    Text,
    /// One JSON object a line
    Json,
}

/// When output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BufferArg {
    /// After every line
    Line,
    /// In large pieces
    Full,
    /// At once
    None,
}

/// What the compiler makes on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StageArg {
    /// The script as a tree
    Ast,
    /// The intermediate representation as it was lowered
    Ir,
    /// The same behind the optimiser
    Opt,
    /// What the host does
    Plan,
    /// The programs
    Bytecode,
    /// How long each stage took
    Time,
}

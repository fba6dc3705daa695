//! The options of `skep script`, which is also `skep run` for scripts, and the command line of bpftrace.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use skep_sym::DebugDirs;

/// Trace with a script: compile it, attach its probes, print what it says, until exit(), ctrl-C or the end of -c.
///
/// The language is that of bpftrace. `skep run` with a file that ends in `.bt` or with `-e` is the same, and so is this
/// binary under the name `bpftrace`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit status: that of exit(), 1 for errors while it runs and failed tests, 2 if it is faulty, 255 if it could not be \
loaded or attached.

Examples:
  sudo skep run -e 'tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }'
  sudo skep run opensnoop.bt -- --pid=4711
  sudo skep run -c 'ls /' -e 'uprobe:libc:malloc /pid == cpid/ { @ = hist(arg0); }'
  sudo skep run -l 'tracepoint:sched:*'
  skep run --vm --test tool.bt
  skep run --fmt tool.bt"
)]
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
    /// Tell more: what verifier and attaching say; with -l fields and types
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Warn also when a helper could not read memory
    #[arg(short = 'k', action = clap::ArgAction::Count)]
    pub helper_errors: u8,
    /// Run in this process instead of the kernel, without privileges: begin, end, interval, self, test and bench probes
    #[arg(long)]
    pub vm: bool,
    /// Run the tests of the script (test:NAME)
    #[arg(long, conflicts_with = "bench")]
    pub test: bool,
    /// Run the benchmarks of the script (bench:NAME)
    #[arg(long)]
    pub bench: bool,
    /// What to do with the script
    #[arg(long, value_enum, value_name = "MODE", conflicts_with_all = ["test", "bench", "fmt"])]
    pub mode: Option<ModeArg>,
    /// Only probes whose names fit this regular expression, and begin and end
    #[arg(long, value_name = "REGEX")]
    pub probe_filter: Option<String>,
    /// Print a stage of the compiler instead of running; may be repeated
    #[arg(short, long = "dump", value_enum, value_name = "STAGE")]
    pub dump: Vec<StageArg>,
    /// Write programs and maps to an object file instead of running
    #[arg(long, value_name = "FILE")]
    pub emit_elf: Option<PathBuf>,
    /// Write the object file also if no kernel would load it
    #[arg(long, requires = "emit_elf")]
    pub no_verify: bool,
    /// Allow functions that change what is traced: system(), signal(), override()
    #[arg(long = "unsafe")]
    pub allow_unsafe: bool,
    /// Load and attach, then end; nothing runs but what happens meanwhile
    #[arg(long)]
    pub dry_run: bool,
    /// Show no warnings of the compiler and at run time
    #[arg(long)]
    pub no_warnings: bool,
    /// Also look for headers in this directory; may be repeated
    #[arg(short = 'I', value_name = "DIRECTORY")]
    pub include_dirs: Vec<PathBuf>,
    /// Read this header as if the script included it; may be repeated
    #[arg(long, value_name = "FILE")]
    pub include: Vec<String>,
    /// Do without a feature of the kernel: kprobe_multi, kprobe_session, uprobe_multi
    #[arg(long, value_enum, value_name = "FEATURE", value_delimiter = ',')]
    pub no_feature: Vec<FeatureArg>,
    /// Take the functions that kprobes can be attached to from this file, one a line
    #[arg(long, value_name = "FILE")]
    pub traceable_functions: Option<PathBuf>,
    /// List the places that a pattern means, `kprobe:vfs_*`, types (`struct NAME`), or the probes of a script; all without
    #[arg(short, long, num_args = 0..=1, value_name = "PATTERN", default_missing_value = ALL_PLACES)]
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
    /// Print what this program and the kernel can do
    #[arg(long)]
    pub info: bool,
    /// Print the version
    #[arg(short = 'V', long)]
    pub version: bool,
    #[command(flatten)]
    pub other: OtherArgs,
}

/// What is listed without a pattern.
pub const ALL_PLACES: &str = "*";

impl ScriptArgs {
    /// Where debug files are.
    pub fn debug_dirs(&self) -> DebugDirs {
        DebugDirs::new(self.debuginfo.iter().cloned())
    }

    /// What is to be listed. The pattern may stand behind other options.
    pub fn listed(&self) -> Option<&str> {
        let pattern = self.list.as_deref()?;
        Some(if pattern == ALL_PLACES { self.words.first().map_or(pattern, String::as_str) } else { pattern })
    }
}

/// Options of bpftrace that need nothing here, or are not available.
#[derive(Debug, Clone, Args)]
pub struct OtherArgs {
    /// Semaphores of USDT probes are raised through the file; this is always so
    #[arg(long, hide = true)]
    pub usdt_file_activation: bool,
    /// Hold what the compiler made against its own rules
    #[arg(long, hide = true)]
    pub verify_llvm_ir: bool,
    /// Processes whose stacks can be unwound; this is so for all
    #[arg(long, hide = true, value_name = "PID")]
    pub dwarf_pid: Vec<u32>,
    #[arg(long, hide = true, value_name = "FILE")]
    pub emit_llvm: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    pub aot: Option<PathBuf>,
}

/// What to do with a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Compile it and do nothing else
    Codegen,
    /// Compile it again and again, and print how long each stage takes
    CompilerBench,
    /// As --bench
    Bench,
    /// As --test
    Test,
    /// As --fmt
    Format,
}

/// A feature of the kernel that can be done without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum FeatureArg {
    /// Kprobes of several functions at once
    KprobeMulti,
    /// Entry and return of functions by one link
    KprobeSession,
    /// Uprobes of several functions at once
    UprobeMulti,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormArg {
    /// As the script says
    Text,
    /// One JSON object a line
    Json,
    /// Printed values and maps as aligned tables
    Table,
    /// Printed values and maps as lines with commas
    Csv,
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
    #[value(alias = "parse")]
    Ast,
    /// The intermediate representation as it was lowered
    #[value(aliases = ["types", "codegen"])]
    Ir,
    /// The same behind the optimiser
    #[value(alias = "codegen-opt")]
    Opt,
    /// What the host does
    Plan,
    /// The programs
    #[value(alias = "dis")]
    Bytecode,
    /// How long each stage took
    Time,
    /// What the kernel's verifier says about the programs
    Verifier,
    /// All of them but the last
    All,
}

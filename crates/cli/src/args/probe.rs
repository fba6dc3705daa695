//! The options of the generic tracing tools, those of their originals in BCC.

use clap::Args;

/// Print a line for each time that a function is called or an event occurs, with its arguments.
///
/// A probe is `[p|r|t|u]:[LIBRARY]:NAME[(SIGNATURE)] [(CONDITION)] ["FORMAT", VALUE, ...]`: `p` is the entry of a function,
/// `r` its return, `t` a tracepoint, `u` a USDT probe. Values are C expressions: arg1 to arg6, retval, args->FIELD of
/// tracepoints, parameters of the signature, $pid, $uid, $task and their like. %s reads texts, %K and %U print symbols;
/// STRCMP, STRPREFIX, STRSUFFIX, STRSTR and STRGLOB compare texts; ERRNO, IP, MAC, SOCKADDR, OPEN_FLAGS, HEX (with %rh)
/// and FDNAME print what numbers mean.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep trace 'do_sys_open \"%s\", arg2'
  sudo skep trace 'r::vfs_read (retval < 0) \"%d %s\", retval, ERRNO(-retval)'
  sudo skep trace 't:sched:sched_process_exec \"%s\", args->filename'
  sudo skep trace 'c:open (STRPREFIX(\"/etc/\", arg1)) \"%s %s\", arg1, OPEN_FLAGS(arg2)'
  sudo skep trace -K 'tcp_drop(struct sock *sk) \"%d\", sk->__sk_common.skc_num'")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct TraceArgs {
    /// Probes with conditions and formats
    #[arg(value_name = "PROBE", required = true)]
    pub probes: Vec<String>,
    #[command(flatten)]
    pub who: WhoArgs,
    /// Pages of 4 KiB of the buffer that lines go through
    #[arg(short, long, value_name = "PAGES", value_parser = clap::value_parser!(u32).range(1..=262144))]
    pub buffer_pages: Option<u32>,
    /// Trace only this thread
    #[arg(short = 'L', long = "tid", value_name = "TID", conflicts_with = "pid")]
    pub tid: Option<u32>,
    /// Bytes of texts that are read
    #[arg(short = 'Z', long, value_name = "BYTES", default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=16383))]
    pub string_size: u32,
    /// Trace this process, too
    #[arg(short = 'S', long)]
    pub include_self: bool,
    /// End after so many lines
    #[arg(short = 'M', long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_events: Option<u64>,
    /// Print seconds since the start
    #[arg(short, long)]
    pub timestamp: bool,
    /// Print seconds since 1970
    #[arg(short, long)]
    pub unix_timestamp: bool,
    /// Print the time of day of the event
    #[arg(short = 'T', long)]
    pub time: bool,
    /// Print the processor
    #[arg(short = 'C', long)]
    pub print_cpu: bool,
    /// Trace only threads whose name has this part
    #[arg(short, long, value_name = "PART")]
    pub name: Option<String>,
    /// Print only lines with this part
    #[arg(short = 'f', long, value_name = "PART")]
    pub msg_filter: Option<String>,
    /// STRCMP compares bytes: STRCMP("{0x6c,0x00}", arg1)
    #[arg(short = 'B', long = "bin-cmp", alias = "bin_cmp")]
    pub bin_cmp: bool,
    /// Print the stack of the kernel behind each line
    #[arg(short = 'K', long)]
    pub kernel_stack: bool,
    /// Print the stack of the process behind each line
    #[arg(short = 'U', long)]
    pub user_stack: bool,
    /// Stacks are addresses
    #[arg(short, long)]
    pub address: bool,
    /// Count equal lines and print them at the end
    #[arg(short = 'A', long, requires = "max_events")]
    pub aggregate: bool,
    #[command(flatten)]
    pub made: MadeArgs,
}

/// Whom to trace.
#[derive(Debug, Clone, Args)]
pub struct WhoArgs {
    /// Trace only this process
    #[arg(short, long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Trace only processes of this user id
    #[arg(long, value_name = "UID")]
    pub uid: Option<u32>,
    /// Trace only processes in this control group
    #[arg(long, alias = "cgroup-path", value_name = "PATH")]
    pub cgroup: Option<String>,
}

/// What is shared by everything that is made of specifications.
#[derive(Debug, Clone, Args)]
pub struct MadeArgs {
    /// Take definitions of types from this file
    #[arg(short = 'I', long = "include", value_name = "FILE")]
    pub includes: Vec<String>,
    /// Print the script that is made of the arguments and end
    #[arg(long)]
    pub source: bool,
    /// Tell more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Count or draw values of expressions at functions and events.
///
/// A specification is `[p|r|t|u]:[LIBRARY]:FUNCTION(SIGNATURE)[:TYPE,...:EXPRESSION,...[:CONDITION]][#LABEL]`. At returns
/// there are also $retval, $latency and $entry(PARAMETER).
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep argdist -C 'p:c:malloc(size_t size):size_t:size'
  sudo skep argdist -H 'r::vfs_read(struct file *file, char *buf, size_t count):u64:$latency/1000#microseconds'
  sudo skep argdist -C 't:syscalls:sys_enter_openat():char*:args->filename' -T 10")]
pub struct ArgdistArgs {
    /// Count the values
    #[arg(short = 'C', long = "count", value_name = "SPEC", required_unless_present = "histogram")]
    pub counts: Vec<String>,
    /// Draw a histogram of the value
    #[arg(short = 'H', long = "histogram", value_name = "SPEC")]
    pub histogram: Vec<String>,
    #[command(flatten)]
    pub who: WhoArgs,
    /// Trace only this thread
    #[arg(short, long, value_name = "TID", conflicts_with = "pid")]
    pub tid: Option<u32>,
    /// Bytes of texts that are read
    #[arg(short = 'z', long, value_name = "BYTES", default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=16383))]
    pub string_size: u32,
    /// Seconds between two outputs
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub interval: u32,
    /// End after so many outputs
    #[arg(short = 'n', long = "number", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub number: Option<u32>,
    /// End after so many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub duration: Option<u32>,
    /// Go on counting instead of beginning anew at each output
    #[arg(short, long)]
    pub cumulative: bool,
    /// Print only the most frequent values
    #[arg(short = 'T', long, value_name = "NUMBER")]
    pub top: Option<usize>,
    #[command(flatten)]
    pub made: MadeArgs,
}

/// What the tools with a pattern share.
#[derive(Debug, Clone, Args)]
pub struct PatternArgs {
    #[command(flatten)]
    pub who: WhoArgs,
    /// Print every so many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub interval: Option<u32>,
    /// End after so many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub duration: Option<u32>,
    /// Print the time of day in front of each output
    #[arg(short = 'T', long)]
    pub timestamp: bool,
    /// The pattern is a regular expression of `.*`, `^` and `$`
    #[arg(short, long)]
    pub regexp: bool,
    #[command(flatten)]
    pub made: MadeArgs,
}

/// Count how often functions, tracepoints or USDT probes that a pattern means are hit.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep funccount 'vfs_*'
  sudo skep funccount -d 5 'c:str*'
  sudo skep funccount -i 1 't:block:*'")]
pub struct FunccountArgs {
    /// `FUNCTION`, `LIBRARY:FUNCTION`, `t:CATEGORY:EVENT`, `u:BINARY:PROBE`; `*` stands for any letters
    pub pattern: String,
    /// Count on this processor only
    #[arg(short, long, value_name = "CPU")]
    pub cpu: Option<u32>,
    #[command(flatten)]
    pub common: PatternArgs,
}

/// Count the stacks that lead to a function or event.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep stackcount t:block:block_rq_issue
  sudo skep stackcount -U c:malloc -p 4711 -d 10
  sudo skep stackcount -f t:sched:sched_switch -D 5 > switches.folded")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct StackcountArgs {
    /// `FUNCTION`, `LIBRARY:FUNCTION`, `t:CATEGORY:EVENT`, `u:BINARY:PROBE`; `*` stands for any letters
    pub pattern: String,
    #[command(flatten)]
    pub who: WhoArgs,
    /// Count on this processor only
    #[arg(short, long, value_name = "CPU")]
    pub cpu: Option<u32>,
    /// Print every so many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub interval: Option<u32>,
    /// End after so many seconds
    #[arg(short = 'D', long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub duration: Option<u32>,
    /// Print the time of day in front of each output
    #[arg(short = 'T', long)]
    pub timestamp: bool,
    /// The pattern is a regular expression of `.*`, `^` and `$`
    #[arg(short, long)]
    pub regexp: bool,
    /// Print offsets behind the names
    #[arg(short = 's', long)]
    pub offset: bool,
    /// Count each process by itself
    #[arg(short = 'P', long)]
    pub perpid: bool,
    /// Stacks of the kernel only
    #[arg(short = 'K', long)]
    pub kernel_stacks_only: bool,
    /// Stacks of the process only
    #[arg(short = 'U', long)]
    pub user_stacks_only: bool,
    /// Print a line between the stacks of the kernel and the process
    #[arg(short, long)]
    pub delimited: bool,
    /// Print addresses
    #[arg(short = 'v', long, alias = "verbose")]
    pub addresses: bool,
    /// Print one line for each stack, for flame graphs
    #[arg(short, long)]
    pub folded: bool,
    /// Print the script that is made of the arguments and end
    #[arg(long)]
    pub source: bool,
}

/// Draw how long functions take.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep funclatency -u vfs_read
  sudo skep funclatency -F 'vfs_*' -d 10
  sudo skep funclatency c:malloc -p 4711")]
pub struct FunclatencyArgs {
    /// `FUNCTION` or `LIBRARY:FUNCTION`; `*` stands for any letters
    pub pattern: String,
    /// In microseconds
    #[arg(short = 'u', long, conflicts_with = "milliseconds")]
    pub microseconds: bool,
    /// In milliseconds
    #[arg(short, long)]
    pub milliseconds: bool,
    /// A histogram for each function
    #[arg(short = 'F', long)]
    pub function: bool,
    /// The function may be called inside of itself
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub level: Option<u32>,
    #[command(flatten)]
    pub common: PatternArgs,
}

/// Draw how much time is between two calls or events.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:
  sudo skep funcinterval -u t:block:block_rq_issue")]
pub struct FuncintervalArgs {
    /// `FUNCTION`, `LIBRARY:FUNCTION`, `t:CATEGORY:EVENT`, `u:BINARY:PROBE`
    pub pattern: String,
    /// In microseconds
    #[arg(short = 'u', long, conflicts_with = "milliseconds")]
    pub microseconds: bool,
    /// In milliseconds
    #[arg(short, long)]
    pub milliseconds: bool,
    #[command(flatten)]
    pub common: PatternArgs,
}

/// Print calls that take longer than a threshold.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep funcslower -m 10 vfs_read vfs_write
  sudo skep funcslower -u 100 -a 2 c:open")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct FuncslowerArgs {
    /// `FUNCTION` or `LIBRARY:FUNCTION`
    #[arg(value_name = "FUNCTION", required = true)]
    pub functions: Vec<String>,
    #[command(flatten)]
    pub who: WhoArgs,
    /// Slow are calls of so many milliseconds
    #[arg(short = 'm', long, value_name = "MILLISECONDS")]
    pub min_ms: Option<u64>,
    /// Slow are calls of so many microseconds
    #[arg(short = 'u', long, value_name = "MICROSECONDS", conflicts_with = "min_ms")]
    pub min_us: Option<u64>,
    /// Print so many arguments
    #[arg(short = 'a', long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=6))]
    pub arguments: u32,
    /// Print the time of day
    #[arg(short = 'T', long)]
    pub time: bool,
    /// Print seconds since the start
    #[arg(short, long)]
    pub timestamp: bool,
    /// Print the stack of the kernel
    #[arg(short = 'K', long)]
    pub kernel_stack: bool,
    /// Print the stack of the process
    #[arg(short = 'U', long)]
    pub user_stack: bool,
    /// End after so many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub duration: Option<u32>,
    #[command(flatten)]
    pub made: MadeArgs,
}

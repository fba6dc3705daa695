//! The options of `skep load` and `skep run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::SourceArgs;

/// The object, what of it, and where it goes.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct ObjectArgs {
    /// An object file (`clang -O2 -g -target bpf -c`), or a program in C (`.c`), which is compiled; several are linked
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Only this program; may be repeated. Without it all whose section does not begin with `?`
    #[arg(long, value_name = "NAME")]
    pub prog: Vec<String>,
    /// Where maps that are shared by name are looked for and pinned; /sys/fs/bpf if not given
    #[arg(long, value_name = "DIRECTORY")]
    pub shared: Option<PathBuf>,
    /// Tell more; twice also what the verifier says of programs that it accepts
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Load the programs and maps of an object into the kernel and pin them.
///
/// Without --pin this is a check: everything is loaded, reported and freed again.
#[derive(Debug, Clone, Args)]
#[command(after_help = PLACES)]
pub struct LoadArgs {
    #[command(flatten)]
    pub object: ObjectArgs,
    /// Also attach, where the sections or WHERE say; may be repeated
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub attach: Vec<String>,
    /// Pin programs, and links as NAME_link, in this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub pin: Option<PathBuf>,
    /// Pin maps in this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub map_pin: Option<PathBuf>,
}

/// Load and attach an object, print what it delivers, and clean up.
///
/// Printed are the records of ring buffers and perf buffers by their type, messages of bpf_printk, the output of iterators, and
/// at the end what the maps hold. Ends with ctrl-C, after --duration, or with the command of -c.
#[derive(Debug, Clone, Args)]
#[command(after_help = PLACES)]
pub struct RunArgs {
    #[command(flatten)]
    pub object: ObjectArgs,
    /// Where to attach, beyond what the sections say; may be repeated
    #[arg(long, value_name = "WHERE")]
    pub attach: Vec<String>,
    /// The type of a map's records, for example `events=struct event`; without it what the map's definition says
    #[arg(long = "type", value_name = "MAP=TYPE")]
    pub types: Vec<String>,
    /// Start this command when everything is attached, and end with it
    #[arg(short, long, value_name = "COMMAND")]
    pub command: Option<String>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// End when everything that is there at the start was delivered
    #[arg(long, conflicts_with_all = ["duration", "command"])]
    pub once: bool,
    /// End after so many records
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Entries of each map that are printed at the end; 0 for none
    #[arg(long, value_name = "NUMBER", default_value_t = 64)]
    pub entries: usize,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// What WHERE may be.
const PLACES: &str = "WHERE:
  dev=eth0                  the interface for XDP, traffic control and netkit programs
  xdp=generic               how XDP programs are attached: native, generic, offload
  cgroup=/sys/fs/cgroup/x   the control group for programs of control groups
  lirc=/dev/lirc0           the receiver for decoders of infrared signals
  pid=4711                  the process for user probes and performance events
  cookie=7                  what bpf_get_attach_cookie returns
  hz=99                     how often programs of type perf_event run on each processor
  netfilter=ip:forward:0    family (ip, ip6), hook and priority for netfilter programs
  f@kprobe/do_nanosleep     another place for program f, as a section would name it

Examples:
  sudo skep run trace.o -c 'ls /'
  sudo skep run events.o --type 'events=struct event' --json
  sudo skep run drop.o --attach dev=eth0 --duration 10
  sudo skep load trace.o --attach --pin /sys/fs/bpf/trace";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(|| "expected a number of seconds above 0".to_owned())
}

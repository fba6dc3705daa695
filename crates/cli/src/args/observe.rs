//! The options of `skep ps`, `maps`, `map`, `links`, `link`, `dis` and `btf`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

/// Programs in the kernel: what they are, where they run, who holds them, what they cost.
///
/// HELD BY names the processes that have the program, a link or a performance event of it open, and the paths where it is
/// pinned; when the last of them goes, the program goes. Needs CAP_SYS_ADMIN, and CAP_SYS_PTRACE for the processes of others.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep ps                       all programs
  sudo skep ps --stats               the same with runs, time and share of a processor during a second
  sudo skep ps --top                 the busiest first, again every second; q ends it
  sudo skep ps --type xdp --json     those of a type, as JSON
  sudo skep ps --pid 4711            those that a process holds")]
pub struct PsArgs {
    /// Only the program with this number
    #[arg(long, value_name = "NUMBER")]
    pub id: Option<u32>,
    /// Only programs whose names contain this text
    #[arg(short, long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Only programs of this type: xdp, kprobe, sched_cls, ...
    #[arg(short, long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Only programs that this process holds
    #[arg(short, long)]
    pub pid: Option<u32>,
    /// Count runs for a while and show what came of it
    #[arg(short, long)]
    pub stats: bool,
    /// Show the busiest programs again and again until q, Ctrl-C or the end of --rounds
    #[arg(long, conflicts_with = "json")]
    pub top: bool,
    /// Seconds to count for, or between two pictures of --top
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
    /// Pictures of --top
    #[arg(long, value_name = "COUNT", requires = "top")]
    pub rounds: Option<u64>,
    /// One JSON array
    #[arg(long)]
    pub json: bool,
}

/// Maps in the kernel: what they are, which programs use them, who holds them.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep maps                all maps
  sudo skep maps --count        with the number of entries that they have now
  sudo skep maps --name conn    those with `conn` in their names")]
pub struct MapsArgs {
    /// Only maps whose names contain this text
    #[arg(short, long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Only maps of this type: hash, array, ringbuf, ...
    #[arg(short, long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Only maps that this process holds
    #[arg(short, long)]
    pub pid: Option<u32>,
    /// Count the entries of each
    #[arg(short, long)]
    pub count: bool,
    /// One JSON array
    #[arg(long)]
    pub json: bool,
}

/// How keys and values are given.
const VALUES: &str = "MAP is a number, a name or the path of a pin (anything with a `/`).

Keys and values of maps with types are given as JSON, in which names need no quotes and what is left out is zero: `7`,
`{port: 80, proto: TCP}`, `[1, 2]`, `\"eth0\"`. Those of others are numbers, in the order of bytes of this machine. All may be
given as bytes in hexadecimal: `0a 00 00 01`, `0a:00:00:01`, `hex:0a000001`.

Examples:
  sudo skep map dump counts
  sudo skep map get counts 7
  sudo skep map set config 0 '{enabled: true, ports: [80, 443]}'
  sudo skep map delete /sys/fs/bpf/blocked '0a:00:00:01'";

/// Read and change the entries of a map.
#[derive(Debug, Clone, Subcommand)]
pub enum MapCommand {
    /// Print all entries
    #[command(after_help = VALUES)]
    Dump {
        /// The map: number, name or path
        map: String,
        /// What `bpftool -j map dump` prints
        #[arg(long)]
        json: bool,
    },
    /// Print the value for a key; of queues and stacks, what comes next
    #[command(after_help = VALUES)]
    Get {
        /// The map: number, name or path
        map: String,
        /// The key; none for maps without keys
        #[arg(allow_negative_numbers = true)]
        key: Option<String>,
        /// What `bpftool -j map lookup` prints
        #[arg(long)]
        json: bool,
    },
    /// Store a value, for maps without keys the only argument
    #[command(after_help = VALUES)]
    Set {
        /// The map: number, name or path
        map: String,
        /// Key and value
        #[arg(num_args = 1..=2, required = true, allow_negative_numbers = true, value_names = ["KEY", "VALUE"])]
        entry: Vec<String>,
        /// Only if there is no entry with this key
        #[arg(long, conflicts_with = "replace")]
        create: bool,
        /// Only if there is an entry with this key
        #[arg(long)]
        replace: bool,
        /// Only on this processor, for maps that have a value for each; the others keep theirs
        #[arg(long, value_name = "NUMBER")]
        cpu: Option<usize>,
    },
    /// Remove an entry
    #[command(after_help = VALUES)]
    Delete {
        /// The map: number, name or path
        map: String,
        /// The key
        #[arg(allow_negative_numbers = true)]
        key: String,
    },
    /// Print what is known about the map itself
    #[command(after_help = VALUES)]
    Info {
        /// The map: number, name or path
        map: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Links in the kernel: which program runs where, who holds it there.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep links
  sudo skep links --json
  sudo skep link detach 12")]
pub struct LinksArgs {
    /// Only links of this program, by number
    #[arg(long, value_name = "NUMBER")]
    pub prog: Option<u32>,
    /// Only links whose kinds or places contain this text
    #[arg(short, long, value_name = "TEXT")]
    pub place: Option<String>,
    /// One JSON array
    #[arg(long)]
    pub json: bool,
}

/// Change a link.
#[derive(Debug, Clone, Subcommand)]
pub enum LinkCommand {
    /// Take the program away from its place now, whoever holds the link
    #[command(
        after_help = "Works for XDP, tcx, netkit, control groups, network namespaces, struct_ops and socket maps. \
                            Links of tracing programs, perf events and netfilter end when everybody has closed and unpinned \
                            them; `skep links` says who holds them."
    )]
    Detach {
        /// The link: number or path of a pin
        link: String,
    },
}

/// Programs as listings: with source lines, names of functions, maps and helpers, and labels.
///
/// Of files the instructions are listed as the file has them; of programs in the kernel as the verifier left them, or with
/// --jited the machine code. Machine code is disassembled by `objdump` if that is installed and printed in hexadecimal
/// otherwise.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  skep dis filter.o                      all programs of a file
  skep dis filter.o --prog ingress       one of them
  sudo skep dis prog 42                  a program of the kernel
  sudo skep dis prog my_prog --jited     its machine code
  sudo skep dis prog /sys/fs/bpf/p --opcodes")]
pub struct DisArgs {
    /// An object file or a text with instructions (`-` for standard input); or `prog` and a number, name or path
    #[arg(required = true, num_args = 1..=2, value_names = ["FILE|prog", "ID|NAME|PINNED"])]
    pub source: Vec<String>,
    /// Only this program of the file
    #[arg(long, value_name = "NAME")]
    pub prog: Option<String>,
    /// The instructions as the kernel has translated them (the default for `prog`)
    #[arg(long, conflicts_with = "jited")]
    pub xlated: bool,
    /// The machine code
    #[arg(long)]
    pub jited: bool,
    /// With the bytes of the instructions
    #[arg(long)]
    pub opcodes: bool,
    /// One JSON array
    #[arg(long)]
    pub json: bool,
}

/// Type information (BTF).
#[derive(Debug, Clone, Subcommand)]
pub enum BtfCommand {
    /// Print types: as declarations in C, or as a listing
    Dump(BtfDumpArgs),
    /// List the BTF that is loaded: the kernel's, its modules', that of programs and maps
    List {
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
}

/// Print types: those of the running kernel, or of a file, module or program.
///
/// The first word is a file if one of this name exists and `id` is followed by a number; all others are names of types. With
/// names, what they need is printed in front of them, and members get their places: bytes from the start, and bits.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("from").multiple(false), after_help = "Examples:
  skep btf dump task_struct               a structure of the kernel with what it needs
  skep btf dump task_struct --alone       only itself
  skep btf dump --module nf_conntrack nf_conn
  skep btf dump filter.o --raw            everything in a file, as a listing
  skep btf dump > vmlinux.h               all types of the kernel")]
pub struct BtfDumpArgs {
    /// A file (object file or raw BTF) or `id` and a number, then names of types
    #[arg(value_name = "FILE|id N|TYPE")]
    pub words: Vec<String>,
    /// The types of the running kernel (the default if no file is named)
    #[arg(long, group = "from")]
    pub kernel: bool,
    /// The types of a module of the kernel
    #[arg(long, group = "from", value_name = "NAME")]
    pub module: Option<String>,
    /// A file with the types that those of the file continue
    #[arg(short = 'B', long, value_name = "FILE", conflicts_with = "from")]
    pub base: Option<PathBuf>,
    /// Declarations in C (the default)
    #[arg(long, conflicts_with = "raw")]
    pub c: bool,
    /// A listing with numbers
    #[arg(long)]
    pub raw: bool,
    /// Only the named types, without what they need
    #[arg(long)]
    pub alone: bool,
}

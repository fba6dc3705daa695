//! The options of `skep firewall`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Check rules, put them in force, change and watch them.
#[derive(Debug, Clone, Subcommand)]
pub enum FirewallCommand {
    /// Check a rules file: errors, and rules that can never decide anything
    Check(CheckArgs),
    /// Print a rules file in one form; comments of their own lines stay
    Fmt(RulesFile),
    Import(ImportArgs),
    Export(ExportArgs),
    /// Print a systemd unit that applies /etc/skep/firewall.skep before the network comes up, or those that look names up again
    Unit {
        /// Which one: a service and a timer look up the names in sets every five minutes
        #[arg(value_enum, default_value = "rules")]
        part: UnitPart,
    },
    /// Look up the names in sets again: addresses that they have now come in, others leave when their time is over
    Refresh {
        /// Addresses stay for so many seconds at least; longer, if the answer may be used for longer
        #[arg(long, value_name = "SECONDS", default_value_t = skep_firewall::live::names::KEPT,
            value_parser = clap::value_parser!(u64).range(1..=604_800))]
        keep: u64,
    },
    Explain(ExplainArgs),
    Apply(ApplyArgs),
    /// Keep the list that was applied with --confirm
    Confirm,
    /// Print the rules in force with what they have done
    List(ListArgs),
    Watch(WatchArgs),
    Bench(BenchArgs),
    /// Print what a rules file would change: lines with - go, lines with + come
    Diff(RulesFile),
    /// Add one rule behind all others; those are not touched
    Add {
        /// The rule, as in a rules file
        #[arg(required = true, num_args = 1..)]
        rule: Vec<String>,
    },
    /// Add one rule in front of the one with this number
    Insert {
        /// The number, as `list` has it
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
        /// The rule, as in a rules file
        #[arg(required = true, num_args = 1..)]
        rule: Vec<String>,
    },
    /// Take out one rule
    Delete {
        /// The number, as `list` has it
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
    },
    /// Look into a set in force, or change it; no other rules are touched
    #[command(subcommand)]
    Set(SetCommand),
    /// Drop everything, accept everything, or go back to the rules, at once and without a rules file
    Panic {
        /// What happens to all packets
        mode: PanicMode,
    },
    /// Take everything out of the kernel: all packets go on
    Off,
    /// Take out members of sets whose time is over, as long as there are any with a time
    #[command(hide = true)]
    Expire,
    /// Take back a list that has not been confirmed
    #[command(hide = true)]
    Rollback {
        /// The number that the list was applied with
        #[arg(long)]
        token: u64,
        /// Seconds to wait before
        #[arg(long)]
        after: u64,
    },
}

/// A unit of systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UnitPart {
    /// `skep-firewall.service`: applies the rules
    Rules,
    /// `skep-firewall-names.service`: looks names up
    Names,
    /// `skep-firewall-names.timer`: starts that every five minutes
    Timer,
}

/// What is done to a set in force. The rules file is not changed.
#[derive(Debug, Clone, Subcommand)]
pub enum SetCommand {
    /// Print what is in a set
    List {
        /// The set
        name: String,
    },
    /// Put addresses and networks into a set
    Add {
        /// The set
        name: String,
        /// Addresses and networks
        #[arg(required = true)]
        addresses: Vec<String>,
        /// They leave after so many seconds
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
        timeout: Option<u64>,
    },
    /// Take addresses and networks out of a set
    Del {
        /// The set
        name: String,
        /// Addresses and networks, as `list` has them
        #[arg(required = true)]
        addresses: Vec<String>,
    },
    /// Give a set the addresses and networks in a file, one a line; others leave, those that stay are not touched
    Load {
        /// The set
        name: String,
        /// The file; `-` is standard input
        file: PathBuf,
    },
}

/// A rules file, and how far it is checked.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub rules: RulesFile,
    /// Also verify the programs that the rules become, by the rules of the running kernel; takes about a second
    #[arg(long)]
    pub verify: bool,
}

/// A rules file.
#[derive(Debug, Clone, Args)]
pub struct RulesFile {
    /// The file
    #[arg(value_name = "FILE", default_value = "/etc/skep/firewall.skep")]
    pub file: PathBuf,
}

/// Print the rules of another firewall as a rules file. Chains are written out as one list that decides about every packet
/// as they do; a line that cannot be said is named, and then nothing is printed without --partial.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  iptables-save > four; ip6tables-save > six\n  \
    skep firewall import four six > firewall.skep\n  skep firewall check firewall.skep")]
pub struct ImportArgs {
    /// What iptables-save, ip6tables-save, `nft -j list ruleset` or `ufw show added` printed, or files of ufw; `-` is standard
    /// input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print the rules although some lines are not in them
    #[arg(long)]
    pub partial: bool,
}

/// Print the rules in force, or those of a file, as a rules file, or for nft. A rule that nft cannot say is named, and then
/// nothing is printed without --partial.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// A rules file instead of what is in force
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A script for `nft -f`: a table `inet skep`
    #[arg(long)]
    pub nft: bool,
    /// Print the script although some rules are not in it
    #[arg(long, requires = "nft")]
    pub partial: bool,
}

/// Say for each packet of a recording, or for one that is described, which rule decides, by running the programs themselves.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  skep firewall explain rules.skep -r traffic.pcap
  skep firewall explain rules.skep -r traffic.pcap --against new.skep
  skep firewall explain rules.skep --packet in on eth0 tcp from 192.0.2.7 to 10.0.0.1 port ssh")]
pub struct ExplainArgs {
    /// The rules file
    #[arg(value_name = "FILE", default_value = "/etc/skep/firewall.skep")]
    pub file: PathBuf,
    /// The recording (pcap or pcapng, Ethernet)
    #[arg(short, long, value_name = "CAPTURE", required_unless_present = "packet", conflicts_with = "packet")]
    pub read: Option<PathBuf>,
    /// A packet in the words of rules; what is not said is chosen: the first packet of a connection, now. With `state
    /// established` its connection is known, `between 12:00 and 13:00` is the next such time
    #[arg(long, value_name = "WORDS", num_args = 1..)]
    pub packet: Vec<String>,
    /// The packets leave the host instead of arriving
    #[arg(long)]
    pub out: bool,
    /// Only packets about which this other rules file says something else
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
}

/// Put a rules file in force, in place of what was before: all of it or nothing.
///
/// Rules stay in force without any process. Connections that exist stay established. Rules that would cut the SSH session
/// they are typed in are refused.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep firewall apply rules.skep                 at all interfaces but the loopback device
  sudo skep firewall apply rules.skep --confirm 30    taken back after 30 seconds without `skep firewall confirm`
  sudo skep firewall apply rules.skep --on eth0 --xdp native")]
pub struct ApplyArgs {
    /// The rules file
    #[arg(value_name = "FILE", default_value = "/etc/skep/firewall.skep")]
    pub file: PathBuf,
    /// Only at this interface (again for more)
    #[arg(long, value_name = "INTERFACE")]
    pub on: Vec<String>,
    /// Drop in XDP what needs nothing else
    #[arg(long, value_name = "MODE")]
    pub xdp: Option<XdpArg>,
    /// Take the rules back after so many seconds unless `skep firewall confirm` comes before
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub confirm: Option<u64>,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Apply rules that cut the SSH session they are typed in
    #[arg(long)]
    pub i_know: bool,
}

/// Where XDP runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum XdpArg {
    /// In the driver
    Native,
    /// Behind the driver
    Generic,
}

/// The panic mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PanicMode {
    /// Every packet is dropped
    Drop,
    /// Every packet goes on
    Accept,
    /// The rules decide
    Off,
}

/// Print what becomes of packets as it happens: when, where, the verdict, the rule, the packet in short, the process that has
/// its socket. Ends with ctrl-C. Programs send records only while this runs; what there is no room for is counted.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep firewall watch                what becomes of every packet
  sudo skep firewall watch --dropped      only packets that do not go on
  sudo skep firewall watch --logged       only what rules with `log` meet")]
pub struct WatchArgs {
    /// Only packets that are dropped or rejected
    #[arg(long, conflicts_with = "logged")]
    pub dropped: bool,
    /// Only what rules with `log` meet
    #[arg(long)]
    pub logged: bool,
    /// End after so many lines
    #[arg(short, long, value_name = "LINES", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Do not look for processes
    #[arg(long)]
    pub no_process: bool,
}

/// Measure what rules cost for each packet on this machine, at each hook: those in force, or those of a file. They are loaded a
/// second time and run on packets that go nowhere; nothing in force is touched, no traffic is made.
///
/// Packets are made from what rules ask for, one of four is like none of them; or they come from a recording. Each one comes many
/// times in a row, so tables are in the caches of the processor, as they are for a few busy connections.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo skep firewall bench                                 what is in force
  sudo skep firewall bench rules.skep --against new.skep   before and after
  sudo skep firewall bench -r traffic.pcap")]
pub struct BenchArgs {
    /// A rules file instead of what is in force
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Measure this other rules file too, with the same packets
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Packets of this recording (pcap or pcapng, Ethernet) instead of made ones
    #[arg(short, long, value_name = "CAPTURE")]
    pub read: Option<PathBuf>,
    /// Packets, of which arriving and leaving ones are tried at their hooks
    #[arg(long, value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub packets: u32,
    /// Times that each of them is tried in a row
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub repeat: u32,
}

/// How the list is printed.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// As metrics in the text format of Prometheus
    #[arg(long)]
    pub metrics: bool,
}

//! The options of `skep dns`.

use std::path::PathBuf;

use clap::Args;

/// Watch DNS: queries with their answers, latency and failures.
///
/// Queries and responses are paired, over UDP and TCP, IPv4 and IPv6. Without -r, packets of the first interface that
/// is up are captured, which needs CAP_NET_RAW; the kernel passes only DNS. Names are compared without regard to case.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    after_help = "Examples:
  sudo skep dns                                  every query on the first interface with its answer
  sudo skep dns -i any --slow 100 --failed       slow ones and failures
  skep dns -r trace.pcap -d example.com '*.test' names in these domains
  skep dns -r trace.pcap --top 20                only a table of the names asked for most"
)]
pub struct DnsArgs {
    /// Only these domains and what is below them; `*` and `?` match parts of a name
    #[arg(short, long, value_name = "NAME", num_args = 1.., help_heading = "Choice")]
    pub domains: Vec<String>,
    /// Only transactions that took at least so many milliseconds
    #[arg(long, value_name = "MS", help_heading = "Choice")]
    pub slow: Option<u64>,
    /// Only failures: error codes, malformed messages
    #[arg(long, help_heading = "Choice")]
    pub failed: bool,
    /// Only queries without a response
    #[arg(long, help_heading = "Choice")]
    pub unanswered: bool,
    /// End after so many lines
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Choice")]
    pub count: Option<u64>,

    /// Capture on this interface: a name, its number in `skep filter -D`, or `any`
    #[arg(short, long, value_name = "IFACE", help_heading = "Input")]
    pub interface: Option<String>,
    /// Read a recording: pcap or pcapng, plain or compressed; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "interface", help_heading = "Input")]
    pub read: Option<PathBuf>,
    /// Port of DNS servers; can be given several times. 53 unless given
    #[arg(long, value_name = "PORT", help_heading = "Input")]
    pub port: Vec<u16>,
    /// A query without response after so many seconds counts as unanswered
    #[arg(long, value_name = "SECONDS", default_value_t = 5, help_heading = "Input",
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub timeout: u32,
    /// Do not ask the interface for packets to others (promiscuous mode)
    #[arg(short = 'p', long = "no-promiscuous-mode", help_heading = "Input")]
    pub no_promiscuous: bool,
    /// Once the input is open, become this user
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER", help_heading = "Input")]
    pub user: Option<String>,

    /// One JSON object per transaction
    #[arg(long, help_heading = "Printing")]
    pub json: bool,
    /// At the end, a table of the N names asked for most instead of a line for each transaction
    #[arg(long, value_name = "N", help_heading = "Printing")]
    pub top: Option<usize>,
    /// Write out every line at once
    #[arg(short = 'l', help_heading = "Printing")]
    pub line_buffered: bool,
}

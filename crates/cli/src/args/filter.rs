//! The options of `skep filter`. Letters mean what they mean to tcpdump.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use skep_packet::LinkType;

use super::values::{CompatArg, DirectionArg, Precision, file_size, link_type};

const INPUT: &str = "Input";
const CHOICE: &str = "Choice";
const FILES: &str = "Output to files";
const PRINT: &str = "Printing";
const CODE: &str = "Bytecode (no packets are read)";

/// Capture, read, print and save packets that match a tcpdump expression; show its bytecode.
///
/// Without -r, packets of the first interface that is up are captured, which needs CAP_NET_RAW (run it with sudo, or
/// once `sudo setcap cap_net_raw+ep` on the program); reading a recording needs no privilege. The filter runs inside
/// the kernel where that is possible. Without -w, one line is printed for every packet.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
#[command(
    group = clap::ArgGroup::new("rotation").args(["file_size", "seconds"]).multiple(true),
    args_override_self = true,
    after_help = "Examples:
  sudo skep filter 'udp port 53'                 packets of the first interface
  sudo skep filter -ni any -c 10 icmp            ten packets from any interface
  skep filter -r trace.pcapng.zst -w dns.pcap port 53
  skep filter -r trace.pcap --count 'net 10/8 and not tcp'
  skep filter --explain 'vlan and tcp port 80'   what the bytecode does
  skep filter --diff 'port 53' 'udp port 53'     a packet on which they differ

Signals: Ctrl-C ends a capture with its summary, SIGUSR1 prints statistics, SIGUSR2 writes out what is buffered."
)]
pub struct FilterArgs {
    /// Expression in the language of pcap-filter(7); its words are joined by blanks. Without one all packets match
    #[arg(value_name = "EXPR", allow_negative_numbers = true)]
    pub expression: Vec<String>,

    /// Capture on this interface: a name, its number in -D, or `any`
    #[arg(short, long, value_name = "IFACE", help_heading = INPUT)]
    pub interface: Option<String>,
    /// Read a recording: pcap or pcapng, plain or compressed with gzip, zstd or lz4; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "interface", help_heading = INPUT)]
    pub read: Option<PathBuf>,
    /// Link type: of a live capture (LINUX_SLL2 leaves link headers out), to read a recording as, or to compile for
    #[arg(short = 'y', long = "linktype", value_name = "LINKTYPE", value_parser = link_type, help_heading = INPUT)]
    pub link: Option<LinkType>,
    /// Keep at most so many bytes of each packet; 0 for all
    #[arg(short, long = "snapshot-length", value_name = "SNAPLEN", help_heading = INPUT)]
    pub snaplen: Option<u32>,
    /// Do not ask the interface for packets to others (promiscuous mode)
    #[arg(short = 'p', long = "no-promiscuous-mode", help_heading = INPUT)]
    pub no_promiscuous: bool,
    /// Capture only packets that go this way
    #[arg(short = 'Q', long, value_name = "in|out|inout", value_enum, hide_possible_values = true,
        conflicts_with = "read", help_heading = INPUT)]
    pub direction: Option<DirectionArg>,
    /// Size of the buffer shared with the kernel, in KiB; 8192 unless given
    #[arg(short = 'B', long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..=1_048_576),
        help_heading = INPUT)]
    pub buffer_size: Option<u32>,
    /// Deliver packets at once rather than in groups
    #[arg(long, help_heading = INPUT)]
    pub immediate_mode: bool,
    /// Once input and output are open, become this user
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER", help_heading = INPUT)]
    pub user: Option<String>,
    /// List the interfaces that can be captured on
    #[arg(short = 'D', long, help_heading = INPUT)]
    pub list_interfaces: bool,
    /// List the link types that the interface offers
    #[arg(short = 'L', long, help_heading = INPUT)]
    pub list_data_link_types: bool,

    /// End after so many matching packets
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = CHOICE)]
    pub count: Option<u64>,
    /// Leave out the first so many matching packets
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = CHOICE)]
    pub skip: u64,
    /// Read the expression from a file (`-`: standard input); `#` begins a comment
    #[arg(short = 'F', value_name = "FILE", conflicts_with = "expression", help_heading = CHOICE)]
    pub expression_file: Option<PathBuf>,
    /// Where releases of libpcap give an expression different meanings: which one applies (1.11 unless given)
    #[arg(long, value_name = "1.10|1.11", value_enum, default_value_t, hide_default_value = true,
        hide_possible_values = true, help_heading = CHOICE)]
    pub compat: CompatArg,
    /// Find ports and protocols behind IPv6 extension headers too
    #[arg(long, help_heading = CHOICE)]
    pub ip6_ext: bool,
    /// Do not optimise the bytecode
    #[arg(short = 'O', long = "no-optimize", help_heading = CHOICE)]
    pub no_optimize: bool,

    /// Save packets: pcap, or pcapng if the name ends so; `-` is standard output
    #[arg(short, long, value_name = "FILE", help_heading = FILES)]
    pub write: Option<PathBuf>,
    /// Print packets while saving them
    #[arg(long, help_heading = FILES)]
    pub print: bool,
    /// Write each packet out at once
    #[arg(short = 'U', long, help_heading = FILES)]
    pub packet_buffered: bool,
    /// Begin a new file after so many millions of bytes; units: k, m, g
    #[arg(short = 'C', value_name = "SIZE", value_parser = file_size, requires = "write", help_heading = FILES)]
    pub file_size: Option<u64>,
    /// Begin a new file after so many seconds (of the recording with -r); strftime(3) names
    #[arg(short = 'G', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..),
        requires = "write", help_heading = FILES)]
    pub seconds: Option<u64>,
    /// With -C use so many files in turn; with -G alone end after so many
    #[arg(short = 'W', value_name = "FILES", value_parser = clap::value_parser!(u32).range(1..), help_heading = FILES)]
    #[arg(requires = "rotation")]
    pub files: Option<u32>,
    /// Run a command on each complete file, in the background
    #[arg(short = 'z', value_name = "COMMAND", requires = "rotation", help_heading = FILES)]
    pub command: Option<String>,

    /// Print only how many packets match
    #[arg(long = "count", help_heading = PRINT)]
    pub only_count: bool,
    /// One JSON object per packet
    #[arg(long, help_heading = PRINT)]
    pub json: bool,
    /// No names of ports and protocols (addresses are never looked up); -nn is the same
    #[arg(short, action = ArgAction::Count, help_heading = PRINT)]
    pub numeric: u8,
    /// The link header too
    #[arg(short = 'e', help_heading = PRINT)]
    pub link_header: bool,
    /// Number the lines
    #[arg(short = '#', long, help_heading = PRINT)]
    pub number: bool,
    /// More; up to -vvv
    #[arg(short, long, action = ArgAction::Count, help_heading = PRINT)]
    pub verbose: u8,
    /// Less
    #[arg(short, long, help_heading = PRINT)]
    pub quiet: bool,
    /// The bytes in hexadecimal; -xx with the link header
    #[arg(short = 'x', action = ArgAction::Count, help_heading = PRINT)]
    pub hex: u8,
    /// The bytes in hexadecimal and as characters; -XX with the link header
    #[arg(short = 'X', action = ArgAction::Count, help_heading = PRINT)]
    pub hex_ascii: u8,
    /// The bytes as characters; -AA with the link header
    #[arg(short = 'A', action = ArgAction::Count, help_heading = PRINT)]
    pub ascii: u8,
    /// Time: -t none, -tt seconds since 1970, -ttt since the packet before, -tttt with date, -ttttt since the first
    #[arg(short = 't', action = ArgAction::Count, help_heading = PRINT)]
    pub time: u8,
    /// Digits of a second, printed and captured
    #[arg(long, value_name = "micro|nano", value_enum, hide_possible_values = true, help_heading = PRINT)]
    pub time_stamp_precision: Option<Precision>,
    /// The same as --time-stamp-precision=nano
    #[arg(long, conflicts_with = "time_stamp_precision", help_heading = PRINT)]
    pub nano: bool,
    /// Absolute TCP sequence numbers
    #[arg(short = 'S', long = "absolute-tcp-sequence-numbers", help_heading = PRINT)]
    pub absolute_seq: bool,
    /// Do not verify checksums
    #[arg(short = 'K', long = "dont-verify-checksums", help_heading = PRINT)]
    pub no_checksums: bool,
    /// Write out every line at once
    #[arg(short = 'l', help_heading = PRINT)]
    pub line_buffered: bool,

    /// Listing as tcpdump prints it; -dd as C array, -ddd as numbers
    #[arg(short = 'd', action = ArgAction::Count, help_heading = CODE)]
    pub dump: u8,
    /// Listing with a remark on every line, the layers assumed, and the decisions as a drawing
    #[arg(long, help_heading = CODE)]
    pub explain: bool,
    /// The decisions as a graph for Graphviz
    #[arg(long, help_heading = CODE)]
    pub dot: bool,
    /// The 64-bit program that does the same, in the kernel's notation
    #[arg(long, help_heading = CODE)]
    pub ebpf: bool,
    /// Print the 64-bit program also if no kernel would load it
    #[arg(long, requires = "ebpf", help_heading = CODE)]
    pub no_verify: bool,
    /// Do two expressions match the same packets? If not, show one on which they differ; -w saves it
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["expression", "expression_file", "read"],
        allow_hyphen_values = true, help_heading = CODE)]
    pub diff: Option<Vec<String>>,
}

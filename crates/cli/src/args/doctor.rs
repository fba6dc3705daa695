//! The options of `skep doctor`.

use clap::Args;

/// Look at the machine for some seconds and say what is wrong with it.
///
/// A dozen cheap collectors look at processors, locks, disks, names of hosts, files that are not found, memory, lost packets,
/// rules of the firewall, and more. What they find is told in words, the most important first, with what was measured and
/// the command that shows more.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  sudo skep doctor                         the whole machine, for ten seconds
  sudo skep doctor --for 20s --json        as data
  sudo skep doctor --comm myserver         only what belongs to threads of this name
  sudo skep doctor --only rules,network    only these collectors; --list names them")]
pub struct DoctorArgs {
    /// For how long it looks: 10s, 1m
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = skep_tools::command::time)]
    pub duration: std::time::Duration,
    /// Only these collectors
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// List the collectors
    #[arg(long)]
    pub list: bool,
    /// The report as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print the script of the collectors
    #[arg(long)]
    pub source: bool,
    /// Say more about what happens
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Only these processes
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',', help_heading = "Whose events")]
    pub pids: Vec<u32>,
    /// Only threads with these names
    #[arg(long = "comm", value_name = "NAME", value_delimiter = ',', help_heading = "Whose events")]
    pub comms: Vec<String>,
    /// Only processes of these users, by name or number
    #[arg(short, long = "uid", value_name = "USER", value_delimiter = ',', help_heading = "Whose events",
        value_parser = skep_tools::filters::user)]
    pub uids: Vec<u32>,
    /// Only this control group and those that are below it now
    #[arg(long, value_name = "PATH", help_heading = "Whose events")]
    pub cgroup: Option<std::path::PathBuf>,
    /// Only the container whose identity begins like this
    #[arg(long, value_name = "ID", help_heading = "Whose events")]
    pub container: Option<String>,
    /// Only this network namespace: of a process, a path, a name of `ip netns`
    #[arg(long, value_name = "PID|PATH", help_heading = "Whose events",
        value_parser = skep_tools::filters::network_namespace)]
    pub netns: Option<u64>,
}

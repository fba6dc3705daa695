//! The command line: what was typed, checked for form and nothing else. Nothing here opens a file.
//!
//! `--help`, the manual pages and shell completion are made from these definitions.

mod build;
mod debug;
mod dns;
mod doctor;
mod features;
mod filter;
mod firewall;
mod later;
mod object;
mod observe;
mod probe;
mod script;
mod seccomp;
mod strace;
mod tools;
mod values;
mod verify;
mod vm;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use later::{Later, LaterCommand};

pub use build::{BuildArgs, CpuArg, SourceArgs};
pub use debug::DebugArgs;
pub use dns::DnsArgs;
pub use doctor::DoctorArgs;
pub use features::{FeaturesArgs, HelpArgs};
pub use filter::FilterArgs;
pub use firewall::{
    ApplyArgs, BenchArgs, ExplainArgs, ExportArgs, FirewallCommand, ImportArgs, ListArgs, PanicMode, SetCommand,
    UnitPart, WatchArgs, XdpArg,
};
pub use object::{LoadArgs, ObjectArgs, RunArgs};
pub use observe::{BtfCommand, BtfDumpArgs, DisArgs, LinkCommand, LinksArgs, MapCommand, MapsArgs, PsArgs};
pub use probe::{
    ArgdistArgs, FunccountArgs, FuncintervalArgs, FunclatencyArgs, FuncslowerArgs, PatternArgs, StackcountArgs,
    TraceArgs, WhoArgs,
};
pub use script::{ALL_PLACES, BufferArg, FeatureArg, FormArg, ModeArg, ScriptArgs, StageArg};
pub use seccomp::SeccompArgs;
pub use strace::StraceArgs;
pub use tools::{ToolArgs, ToolsArgs};
pub use values::{CompatArg, Precision, hex_bytes};
pub use verify::VerifyArgs;
pub use vm::{ProgramArgs, VmBenchArgs, VmCommand, VmPluginArgs, VmRunArgs};

/// The BPF system in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "skep",
    version,
    // `skep help` also explains program types, maps, helpers and the like.
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Exit status: 0 success; 1 input, capture or output failed; 2 wrong usage or a faulty filter expression."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
// Parsed once per process, so their sizes do not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture, read, print and save packets that match a tcpdump expression; show its bytecode
    Filter(Later<FilterArgs>),
    /// A host firewall: ordered rules, changed all at once or one at a time
    Firewall(LaterCommand<FirewallCommand>),
    /// Watch DNS: queries with their answers, latency and failures
    Dns(Later<DnsArgs>),
    /// Show and explain the seccomp filters of a process
    Seccomp(Later<SeccompArgs>),
    /// Compile a program in C to an object that any loader takes
    Build(Later<BuildArgs>),
    /// Load the programs and maps of an object into the kernel and pin them
    Load(Later<LoadArgs>),
    /// Load and attach an object, print what it delivers, and clean up
    Run(Later<RunArgs>),
    /// Trace with a script: compile it, attach its probes, print what it says, until exit(), ctrl-C or the end of -c
    Script(Later<ScriptArgs>),
    /// Print a line for each time that a function is called or an event occurs, with its arguments
    Trace(Later<TraceArgs>),
    /// Count or draw values of expressions at functions and events
    Argdist(Later<ArgdistArgs>),
    /// Count how often functions, tracepoints or USDT probes that a pattern means are hit
    Funccount(Later<FunccountArgs>),
    /// Count the stacks that lead to a function or event
    Stackcount(Later<StackcountArgs>),
    /// Draw how long functions take
    Funclatency(Later<FunclatencyArgs>),
    /// Draw how much time is between two calls or events
    Funcinterval(Later<FuncintervalArgs>),
    /// Print calls that take longer than a threshold
    Funcslower(Later<FuncslowerArgs>),
    /// Tell whether kernels would load the programs of an object, and why not
    Verify(Later<VerifyArgs>),
    /// Step a program forwards and backwards over a packet or a context, in user space
    Debug(Later<DebugArgs>),
    /// Look at the machine for some seconds and say what is wrong with it
    Doctor(Later<DoctorArgs>),
    /// The tools, by the questions that they answer: `skep NAME` runs one
    Tools(Later<ToolsArgs>),
    /// Run a tool: `skep NAME` is the same for those that `skep tools` lists
    Tool(Later<ToolArgs>),
    /// Show the system calls of a command, of processes, of a control group or of the whole system, without stopping anything
    Strace(Later<StraceArgs>),
    /// Run, trace and time 64-bit programs in user space
    Vm(LaterCommand<VmCommand>),
    /// Programs in the kernel: where they run, who holds them, what they cost
    Ps(Later<PsArgs>),
    /// Maps in the kernel: sizes, memory, which programs use them, who holds them
    Maps(Later<MapsArgs>),
    /// Read and change the entries of a map
    Map(LaterCommand<MapCommand>),
    /// Links in the kernel: which program runs where, who holds it there
    Links(Later<LinksArgs>),
    /// Change a link
    Link(LaterCommand<LinkCommand>),
    /// List the instructions of a file's or the kernel's programs, or their machine code
    Dis(Later<DisArgs>),
    /// Print types: of the kernel, its modules, files and programs
    Btf(LaterCommand<BtfCommand>),
    /// What the running kernel can do, and why something is missing
    Features(Later<FeaturesArgs>),
    /// Explain a sub-command, program type, map type, helper, kfunc, attach type, link, instruction or limit
    Help(Later<HelpArgs>),
    /// Print a script that completes skep's command lines in a shell
    #[command(after_help = "Bash: source <(skep completions bash)")]
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// Into this directory
        directory: PathBuf,
    },
}

/// The words of the command line as [`Cli`] reads them: `skep run` with a script is `skep script`, and so is everything
/// if the binary has the name `bpftrace`; `skep NAME` with a tool is `skep tool NAME`.
pub fn words(mut words: Vec<OsString>) -> Vec<OsString> {
    if is_bpftrace(&words) {
        words.insert(1, "script".into());
    } else if words.get(1).is_some_and(|word| word == "run") && is_script(&words[2..]) {
        words[1] = "script".into();
    } else if let Some(word) = words.get(1).and_then(|word| word.to_str())
        && (skep_tools::catalogue::is_embedded(word) || is_own_tool(word))
    {
        words.insert(1, "tool".into());
    }
    if words.get(1).is_some_and(|word| word == "build" || word == "run" || word == "load") {
        words = words.into_iter().map(habit_of_compilers).collect();
    }
    if words.get(1).is_some_and(|word| word == "script") {
        // The pattern of `-l` stands behind it, so `-v` must not.
        let both = |word: &OsString| word == "-lv";
        while let Some(at) = words.iter().take_while(|word| *word != "--").position(both) {
            words.splice(at..=at, ["-v".into(), "-l".into()]);
        }
    }
    words
}

/// Options of compilers that are words behind one dash. Levels of optimisation and `-g` ask for what is done anyway.
fn habit_of_compilers(word: OsString) -> OsString {
    match word.to_str() {
        Some("-include") => "--include".into(),
        Some(text) if text.starts_with("-mcpu=") => format!("-{text}").into(),
        _ => word,
    }
}

/// Whether the user has a tool of this name. Commands of skep come first.
fn is_own_tool(word: &str) -> bool {
    let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    plain
        && !word.starts_with('-')
        && skep_tools::catalogue::directories(None).iter().any(|path| path.join(format!("{word}.bt")).is_file())
        && Cli::command().find_subcommand(word).is_none()
}

/// Whether the binary was started under the name of bpftrace, whose exit status counts then.
pub fn is_bpftrace(words: &[OsString]) -> bool {
    words.first().map(Path::new).and_then(Path::file_name).is_some_and(|name| name == "bpftrace")
}

// TABLE
/// Options of scripts that objects do not have.
const OF_SCRIPTS: &[&str] =
    &["-e", "--expr", "-l", "-lv", "--list", "--fmt", "--vm", "--test", "--bench", "--mode", "--info", "--emit-elf"];

/// Whether the words behind `skep run` tell that a script is run, and no object.
fn is_script(words: &[OsString]) -> bool {
    let texts = || words.iter().filter_map(|word| word.to_str()).take_while(|text| *text != "--");
    let is_option = |text: &str| OF_SCRIPTS.contains(&text) || (text.starts_with("-e") && !text.starts_with("--"));
    texts().any(is_option)
        || texts().find(|text| text.ends_with(".bt") || text.ends_with(".o")).is_some_and(|file| file.ends_with(".bt"))
}

/// Prints the parser's answer: help, version, or what is wrong.
pub fn answer(answer: &clap::Error) -> ExitCode {
    // Nobody is left to tell if this cannot be printed.
    let _ = answer.print();
    let code = u8::try_from(answer.exit_code()).unwrap_or(2);
    let words: Vec<OsString> = std::env::args_os().take(1).collect();
    ExitCode::from(if is_bpftrace(&words) { code.min(1) } else { code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
        let abouts = |command: &clap::Command| -> Vec<_> {
            command.get_subcommands().map(|command| command.get_about().map(ToString::to_string)).collect()
        };
        let (mut all, listed) = (Cli::command(), abouts(&Cli::command()));
        all.build();
        assert_eq!(abouts(&all), listed, "a sub-command is listed with what it says itself");
    }

    #[test]
    fn habits_of_tcpdump_are_understood() {
        let parse = |words: &[&str]| {
            let all = ["skep", "filter"].iter().chain(words);
            match Cli::try_parse_from(all).map(|cli| cli.command) {
                Ok(Command::Filter(args)) => args,
                other => panic!("{words:?}: {other:?}"),
            }
        };
        let args = parse(&["-nnei", "any", "-s0", "-c5", "tcp", "port", "80"]);
        assert_eq!((args.numeric, args.link_header, args.snaplen, args.count), (2, true, Some(0), Some(5)));
        assert_eq!(args.interface.as_deref(), Some("any"));
        assert_eq!(args.expression, ["tcp", "port", "80"]);
        let args = parse(&["-r", "-", "-w", "-", "port", "53", "-vvv"]);
        assert_eq!((args.read.as_deref(), args.write.as_deref()), (Some("-".as_ref()), Some("-".as_ref())));
        assert_eq!((args.verbose, args.expression.len()), (3, 2));
        let args = parse(&["-dd", "-d", "--", "ip[2:2]", "-", "4", "=", "-i"]);
        assert_eq!((args.dump, args.expression.join(" ").as_str()), (3, "ip[2:2] - 4 = -i"));
        let args = parse(&["-tttt", "-XX", "--diff", "tcp", "udp"]);
        assert_eq!((args.time, args.hex_ascii, args.diff.as_ref().unwrap().len()), (4, 2, 2));
        let args = parse(&["-pni", "eth0", "-U", "-U", "-C", "10k", "-G3", "-W2", "-z", "gzip", "-w", "x"]);
        assert_eq!((args.file_size, args.seconds, args.files), (Some(10_240), Some(3), Some(2)));
    }

    #[test]
    fn scripts_are_told_from_objects() {
        let read = |line: &str| {
            let all = words(line.split(' ').map(OsString::from).collect());
            Cli::try_parse_from(all).map(|cli| cli.command)
        };
        assert!(matches!(read("skep run tool.bt -v"), Ok(Command::Script(_))));
        assert!(matches!(read("skep run -c ls -e end{}"), Ok(Command::Script(_))));
        assert!(matches!(read("skep run tool.o --json"), Ok(Command::Run(_))));
        assert!(matches!(read("skep ps"), Ok(Command::Ps(_))));
        let Ok(Command::Script(args)) = read("/usr/bin/bpftrace -l kprobe:vfs_* -B none -f json") else { panic!() };
        assert_eq!((args.list.as_deref(), args.buffering), (Some("kprobe:vfs_*"), BufferArg::None));
        assert!(matches!(read("skep run --emit-elf x.o -e begin{}"), Ok(Command::Script(_))));
        assert!(matches!(read("skep run tool.o x.bt"), Ok(Command::Run(_))));
        let Ok(Command::Script(args)) = read("bpftrace -lv struct*") else { panic!() };
        assert_eq!((args.list.as_deref(), args.verbose), (Some("struct*"), 1));
        let Ok(Command::Script(args)) = read("skep run x.bt 5 -- --pid=3 -v") else { panic!() };
        assert_eq!(args.words, ["x.bt", "5", "--pid=3", "-v"]);
    }

    #[test]
    fn tools_are_commands() {
        let read = |line: &str| Cli::try_parse_from(words(line.split(' ').map(OsString::from).collect()));
        let Ok(Command::Tool(args)) = read("skep tcplife -p 5 --help").map(|cli| cli.command) else { panic!() };
        assert_eq!((args.name.as_str(), args.words.len()), ("tcplife", 3));
        let Ok(Command::Tool(args)) = read("skep tool --tools-path /x mine -o json").map(|cli| cli.command) else {
            panic!()
        };
        assert_eq!((args.tools_path.clone(), args.words.len()), (Some(PathBuf::from("/x")), 2));
        assert!(matches!(read("skep ps").map(|cli| cli.command), Ok(Command::Ps(_))));
        // No tool hides behind a command.
        let commands = Cli::command();
        for tool in &skep_tools::catalogue::Catalogue::embedded().tools {
            assert!(commands.find_subcommand(&tool.header.name).is_none(), "{}", tool.header.name);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [
            &["-i", "lo", "-r", "x"][..],
            &["-c", "0"],
            &["-c", "many"],
            &["-C", "5"],
            &["-y", "nosuch"],
            &["-W", "3", "-w", "x"],
            &["--diff", "one"],
            &["-Q", "sideways"],
            &["-z", "gzip", "-w", "x"],
            &["--compat", "0.9"],
        ] {
            let all = ["skep", "filter"].iter().chain(words);
            assert_eq!(Cli::try_parse_from(all).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }
}

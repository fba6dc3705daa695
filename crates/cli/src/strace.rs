//! `skep strace`: options to a request, and what came of it to an exit status. All else is done by `skep_strace`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use skep_kernel::{KernelError, LoadError};
use skep_strace::decode::text::Style;
use skep_strace::fds::Detail;
use skep_strace::lines::{Look, Prefix, Stamp};
use skep_strace::program::Status;
use skep_strace::select::Selection;
use skep_strace::session::{container_path, group_path};
use skep_strace::summary::{self, Sort};
use skep_strace::table::signals;
use skep_strace::{Outcome, Request, StraceError, Target};

use crate::args::StraceArgs;
use crate::failure::{Failure, note};
use crate::object::show;

/// Traces; gives the status of the command.
pub fn run(args: &StraceArgs) -> Result<ExitCode, Failure> {
    let sort = Sort::parse(&args.summary_sort_by).map_err(|text| Failure::Usage(format!("-S: {text}")))?;
    if args.follow_forks > 1 {
        return Err(Failure::Usage("a file for each process (-ff) is not supported; -f writes all to one".to_owned()));
    }
    if let Some(option) = args.command.first().and_then(|word| word.to_str()).filter(|word| word.starts_with('-')) {
        return Err(Failure::Usage(format!(
            "`{option}` is no option of `skep strace`; `skep strace --help` lists those that there are. A program with this \
             name is started by its path"
        )));
    }
    let request = request(args)?;
    let mut out = output(args)?;
    let outcome = skep_strace::run(request, &mut out).map_err(failed)?;
    report(args, sort, outcome, &mut out)
}

fn failed(error: StraceError) -> Failure {
    match error {
        StraceError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        StraceError::Load(LoadError::Program { error: KernelError::Rejected { log, .. }, program }) => {
            show(&log, false);
            Failure::Run(format!("the kernel refuses the program `{program}`"))
        }
        error => Failure::run(error),
    }
}

/// A command that reads what is written. It is waited for when nobody writes any more.
struct Pipe(Child);

impl Pipe {
    /// Starts a command of the shell. Ctrl-C is for the tracing alone, so that nothing of its end is lost.
    fn start(text: &str) -> Result<Self, Failure> {
        let mut command = Command::new("sh");
        let started = command.args(["-c", text]).stdin(Stdio::piped()).process_group(0).spawn();
        started.map(Self).map_err(|error| Failure::Run(format!("cannot start `sh -c '{text}'`: {}", error.kind())))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.stdin.as_mut().map_or(Ok(0), |to| to.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.stdin.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Its status is its own affair.
        let _ = self.0.wait();
    }
}

/// Where lines go: a file, a command, or standard error, which the command leaves alone most of the time.
fn output(args: &StraceArgs) -> Result<BufWriter<Box<dyn Write>>, Failure> {
    let writer: Box<dyn Write> = match &args.output {
        None => Box::new(io::stderr()),
        Some(path) if path.to_str().is_some_and(|text| text.starts_with(['|', '!'])) => {
            Box::new(Pipe::start(&path.to_string_lossy()[1..])?)
        }
        Some(path) => {
            let file = File::create(path);
            Box::new(file.map_err(|error| Failure::Run(format!("cannot write `{}`: {error}", path.display())))?)
        }
    };
    Ok(BufWriter::with_capacity(1 << 16, writer))
}

fn request(args: &StraceArgs) -> Result<Request, Failure> {
    let mut words =
        Words { selection: Selection::default(), status: Status::Any, signals: u64::MAX, no_ends: args.quiet > 1 };
    args.expressions.iter().try_for_each(|text| words.read(text))?;
    let usage = |text: String| Failure::Usage(text);
    let group = match (&args.cgroup, &args.container) {
        (Some(path), _) => Some(group_path(path).map_err(usage)?),
        (None, Some(id)) => Some(container_path(id).map_err(usage)?),
        (None, None) => None,
    };
    if !args.buffer.is_power_of_two() {
        return Err(Failure::Usage(format!("--buffer {}: it is no power of two", args.buffer)));
    }
    let status = match (args.successful_only, args.failed_only) {
        (true, _) => Status::Success,
        (_, true) => Status::Failure,
        _ => words.status,
    };
    let target = Target {
        command: command(args)?,
        processes: args.pids.clone(),
        follow: args.follow_forks > 0,
        group,
        name: args.comm.clone(),
    };
    let look = Look {
        style: Style { full: args.verbose, most: args.string_limit.into(), hex: args.hex.min(2) },
        column: args.columns,
        prefix: prefix(args),
        stamp: match args.time_of_day {
            0 => Stamp::None,
            1 => Stamp::Seconds,
            2 => Stamp::Microseconds,
            _ => Stamp::Unix,
        },
        relative: args.relative_timestamps,
        duration: args.syscall_times,
        no_ends: words.no_ends,
        signals: words.signals,
        paths: args.paths.clone(),
        detail: match args.descriptors {
            0 => Detail::None,
            1 => Detail::Paths,
            _ => Detail::Sockets,
        },
        json: args.json,
        // What depends on the command and on the calls is known when it runs.
        ..Look::default()
    };
    Ok(Request {
        target,
        selection: words.selection,
        status,
        look,
        lines: !args.summary_only,
        count: args.summary_only || args.summary,
        stack: args.stack_traces,
        time: args.time.as_deref().map(duration).transpose()?,
        ring: args.buffer << 20,
        watched: args.output.is_none() && io::stderr().is_terminal(),
    })
}

/// Threads are named where there may be several.
fn prefix(args: &StraceArgs) -> Prefix {
    let chosen = !args.command.is_empty() || !args.pids.is_empty();
    match (chosen, args.follow_forks > 0 || args.pids.len() > 1, args.output.is_some()) {
        (false, ..) => Prefix::Named,
        (true, true, true) => Prefix::Always,
        (true, true, false) => Prefix::Several,
        (true, false, _) => Prefix::None,
    }
}

/// What `-e` says.
struct Words {
    selection: Selection,
    status: Status,
    signals: u64,
    no_ends: bool,
}

impl Words {
    fn read(&mut self, text: &str) -> Result<(), Failure> {
        let usage = |problem: String| Failure::Usage(format!("-e {text}: {problem}"));
        let (what, value) = text.split_once('=').unwrap_or(("trace", text));
        match what {
            "trace" | "t" => self.selection = Selection::parse(value).map_err(usage)?,
            "signal" | "signals" | "s" => self.signals = signal_set(value).map_err(usage)?,
            "status" => {
                self.status = match value {
                    "successful" => Status::Success,
                    "failed" => Status::Failure,
                    "all" => Status::Any,
                    _ => return Err(usage("there are `successful`, `failed` and `all`".to_owned())),
                };
            }
            "quiet" | "silence" | "silent" | "q" => {
                let known = ["exit", "exits", "all", "attach", "personality", "path-resolution", "superseded", "none"];
                for word in value.split(',') {
                    if !known.contains(&word) {
                        return Err(usage(format!("`{word}` is nothing that can be left unsaid")));
                    }
                    self.no_ends |= matches!(word, "exit" | "exits" | "all");
                }
            }
            other => {
                let text = format!("`{other}` is not supported; there are trace, signal, status and quiet");
                return Err(usage(text));
            }
        }
        Ok(())
    }
}

/// Signals by their names, `all`, `none`, or all but some (`!SIGCHLD`), as bits from 1 on.
fn signal_set(text: &str) -> Result<u64, String> {
    let (negated, list) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let mut set = 0;
    for word in list.split(',') {
        set |= match word {
            "all" => u64::MAX,
            "none" => 0,
            word => match signals::number(&word.to_ascii_uppercase()) {
                Some(number @ 1..=64) => 1 << (number & 63),
                _ => return Err(format!("there is no signal `{word}`")),
            },
        };
    }
    Ok(if negated { !set } else { set })
}

/// The command as it is started.
fn command(args: &StraceArgs) -> Result<Option<Command>, Failure> {
    let Some((program, rest)) = args.command.split_first() else { return Ok(None) };
    let name = program.to_string_lossy();
    let path = if name.contains('/') {
        name.clone().into_owned().into()
    } else {
        skep_sym::find_program(&name).map_err(|_| Failure::Run(format!("there is no program `{name}` in PATH")))?
    };
    let mut command = Command::new(&path);
    command.arg0(program).args(rest);
    for variable in &args.environment {
        match variable.split_once('=') {
            Some((name, value)) => command.env(name, value),
            None => command.env_remove(variable),
        };
    }
    if let Some(user) = &args.user {
        let (uid, gid) = ids(user)?;
        command.uid(uid).gid(gid);
    }
    Ok(Some(command))
}

/// Numbers of a user and its group.
fn ids(user: &str) -> Result<(u32, u32), Failure> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = text.lines().find(|line| line.split(':').next() == Some(user));
    let number = |at| line.and_then(|line| line.split(':').nth(at)).and_then(|text| text.parse().ok());
    match (number(2), number(3)) {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        _ => Err(Failure::Usage(format!("-u {user}: there is no such user in /etc/passwd"))),
    }
}

/// `10s`, `500ms`, `2m`; a number alone means seconds.
fn duration(text: &str) -> Result<Duration, Failure> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let found = factor.zip(number.parse::<u64>().ok()).and_then(|(factor, number)| number.checked_mul(factor));
    let found = found.filter(|found| *found > 0).map(Duration::from_millis);
    found.ok_or_else(|| Failure::Usage(format!("--for {text}: expected a time such as 10s, 500ms or 2m")))
}

/// The table, what was lost, and the status.
fn report(
    args: &StraceArgs,
    sort: Sort,
    mut outcome: Outcome,
    out: &mut BufWriter<Box<dyn Write>>,
) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    if args.summary || args.summary_only {
        summary::sort(&mut outcome.counts, sort);
        text.push_str(&summary::table(&outcome.counts));
        if args.histogram {
            text.push_str(&summary::histograms(&outcome.counts));
        }
    }
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(Failure::ClosedPipe),
        other => other.map_err(|error| Failure::Run(format!("cannot write the output: {error}")))?,
    }
    if args.quiet == 0 {
        losses(&outcome);
    }
    Ok(ExitCode::from(outcome.status.and_then(|status| u8::try_from(status & 0xff).ok()).unwrap_or(0)))
}

fn losses(outcome: &Outcome) {
    let (begun, ended, other) = (outcome.lost_beginnings, outcome.lost_ends, outcome.lost_others);
    if begun + ended + other > 0 {
        note(&format!(
            "the buffer was full: {ended} ends and {begun} beginnings of calls, and {other} other records are lost; \
             choose fewer calls (-e trace=) or a larger buffer (--buffer)"
        ));
    }
    if outcome.totals.damaged > 0 {
        note(&format!("{} records were damaged and left out", outcome.totals.damaged));
    }
    // A command waits for its start in a call that is none of its own.
    let unpaired = outcome.unpaired.saturating_sub(u64::from(outcome.status.is_some()));
    if unpaired > 0 {
        note(&format!("{unpaired} calls that had begun before are not counted"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_signals() {
        assert_eq!(duration("2m").ok(), Some(Duration::from_secs(120)));
        assert_eq!(duration("500ms").ok(), Some(Duration::from_millis(500)));
        assert!(["", "0", "1x", "99999999999999999999s"].iter().all(|text| duration(text).is_err()));
        assert_eq!(signal_set("SIGINT,term"), Ok(1 << 2 | 1 << 15));
        assert_eq!(signal_set("!chld"), Ok(!(1 << 17)));
        assert_eq!(signal_set("none"), Ok(0));
        assert!(signal_set("SIGNO").is_err());
    }
}

//! Attach points with their parts understood.

use std::fmt;

use skep_diag::Diagnostic;

use super::{Event, HARDWARE_EVENTS, Kind, Provider, SOFTWARE_EVENTS, find};
use crate::ast::{AttachPoint, Spanned};
use crate::lex::number;
use crate::plan::Period;
use crate::words;

/// An attach point. Names may hold `*`, which stands for any letters, until [`expand`](super::expand) has replaced them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// `begin`
    Begin,
    /// `end`
    End,
    /// `self:signal:SIGUSR1`
    Signal {
        /// Name of the signal.
        name: String,
    },
    /// `test:name`
    Test {
        /// Its name.
        name: String,
    },
    /// `bench:name`
    Bench {
        /// Its name.
        name: String,
    },
    /// `kprobe`, `kretprobe`
    Kprobe {
        /// Whether at the return.
        ret: bool,
        /// The module, if one is named.
        module: Option<String>,
        /// Where.
        place: KernelPlace,
    },
    /// `fentry`, `fexit` of a function of the kernel.
    Typed {
        /// Whether at the return.
        ret: bool,
        /// The module, if one is named.
        module: Option<String>,
        /// The function.
        function: String,
    },
    /// `fentry:bpf`, `fexit:bpf`: a program.
    Program {
        /// Whether at the return.
        ret: bool,
        /// The id of the program, if one is given.
        id: Option<u32>,
        /// Its name.
        name: String,
    },
    /// `rawtracepoint`
    RawTracepoint {
        /// The module, if one is named.
        module: Option<String>,
        /// The event.
        event: String,
    },
    /// `tracepoint`
    Tracepoint {
        /// Its directory below `events` in tracefs.
        category: String,
        /// The event.
        event: String,
    },
    /// Start or end of one system call; a script writes it as a tracepoint or as the function behind it.
    SystemCall {
        /// Whether at the end.
        ret: bool,
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
    },
    /// `profile`
    Profile(Period),
    /// `interval`
    Interval(Period),
    /// `software`; the name is that of the table.
    Software {
        /// The event, with `*` not yet looked up.
        name: String,
        /// `PERF_COUNT_SW_*`; 0 for a name with `*`.
        event: u64,
        /// Once in so many events.
        count: u64,
    },
    /// `hardware`
    Hardware {
        /// The event, with `*` not yet looked up.
        name: String,
        /// `PERF_COUNT_HW_*`; 0 for a name with `*`.
        event: u64,
        /// Once in so many events.
        count: u64,
    },
    /// `uprobe`, `uretprobe`
    User {
        /// Whether at the return.
        ret: bool,
        /// The binary; `None` for that of the process of `-p`.
        binary: Option<String>,
        /// Where in it.
        place: UserPlace,
    },
    /// `usdt`
    Usdt {
        /// The binary; `None` for that of the process of `-p`.
        binary: Option<String>,
        /// The provider; `None` for any.
        provider: Option<String>,
        /// The name.
        name: String,
        /// Offsets in the file of the places that are meant; empty for all that have the name.
        places: Vec<u64>,
    },
    /// `watchpoint`
    Watchpoint {
        /// The address.
        address: u64,
        /// Bytes: 1, 2, 4 or 8.
        len: u8,
        /// Reads.
        read: bool,
        /// Writes.
        write: bool,
        /// Execution.
        execute: bool,
    },
    /// `iter`
    Iter {
        /// What it runs over: `task`, `task_file`, ...
        kind: String,
        /// Where it is pinned, instead of being read.
        pin: Option<String>,
    },
}

/// Where in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelPlace {
    /// Bytes behind the start of a function.
    Function(String, u64),
    /// An address.
    Address(u64),
}

/// Where in a binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserPlace {
    /// Bytes behind the start of a function with that symbol.
    Function(String, u64),
    /// A function by its name in C++, without its parameters all that have it.
    Cpp(String),
    /// An address in the binary.
    Address(u64),
    /// A line of the source, and a column; the addresses in the binary that it stands for, once they have been looked up.
    Line(String, u32, Option<u32>, Vec<u64>),
}

/// Understands the parts of an attach point. `process` says whether a process is given (`-p`): its binary need not be named.
///
/// # Errors
/// What is wrong with it and how it is written.
pub fn parse_point(point: &Spanned<AttachPoint>, process: bool) -> Result<Point, Diagnostic> {
    let Some(provider) = find(&point.node.provider) else {
        let error = Diagnostic::error(point.span, format!("there is no probe type called `{}`", point.node.provider));
        return Err(error.with_help("`kprobe`, `tracepoint` and `uprobe` are some of them"));
    };
    let parts: Vec<&str> = point.node.parts.iter().map(|part| &**part).collect();
    let parsed = check_count(provider, &parts).and_then(|()| Parts { provider, parts: &parts, process }.parse());
    parsed.map_err(|message| {
        let forms: Vec<String> = provider.forms.iter().map(|form| format!("`{form}`")).collect();
        Diagnostic::error(point.span, message).with_help(format!("write {}", forms.join(", ")))
    })
}

fn check_count(provider: &Provider, parts: &[&str]) -> Result<(), String> {
    let (least, most) = provider.parts;
    let name = provider.name;
    if !(least..=most).contains(&parts.len()) {
        let wanted = match (least, most) {
            (0, 0) => return Err(format!("nothing follows `{name}`")),
            (least, most) if least == most => format!("{least}"),
            _ => format!("{least} to {most}"),
        };
        return Err(format!("`{name}` has {wanted} parts behind its name, not {}", parts.len()));
    }
    match parts.iter().position(|part| part.is_empty()) {
        Some(index) => Err(format!("part {} of this `{name}` is empty", index + 1)),
        None => Ok(()),
    }
}

struct Parts<'a> {
    provider: &'a Provider,
    parts: &'a [&'a str],
    process: bool,
}

impl Parts<'_> {
    fn parse(&self) -> Result<Point, String> {
        let name = || self.parts[0].to_owned();
        Ok(match self.provider.kind {
            Kind::Begin => Point::Begin,
            Kind::End => Point::End,
            Kind::Test => Point::Test { name: name() },
            Kind::Bench => Point::Bench { name: name() },
            Kind::Own => self.own()?,
            Kind::Kprobe | Kind::Kretprobe => self.kprobe()?,
            Kind::Fentry | Kind::Fexit => self.typed()?,
            Kind::RawTracepoint => {
                let (module, event) = self.with_module();
                Point::RawTracepoint { module, event }
            }
            Kind::Tracepoint => Point::Tracepoint { category: name(), event: self.parts[1].to_owned() },
            Kind::Profile => Point::Profile(self.period()?),
            Kind::Interval => Point::Interval(self.period()?),
            Kind::Software => {
                let (name, event, count) = self.event(SOFTWARE_EVENTS)?;
                Point::Software { name, event, count }
            }
            Kind::Hardware => {
                let (name, event, count) = self.event(HARDWARE_EVENTS)?;
                Point::Hardware { name, event, count }
            }
            Kind::Uprobe | Kind::Uretprobe => self.user()?,
            Kind::Usdt => self.usdt()?,
            Kind::Watchpoint => self.watchpoint()?,
            Kind::Iter => Point::Iter { kind: name(), pin: self.parts.get(1).map(|pin| (*pin).to_owned()) },
        })
    }

    fn own(&self) -> Result<Point, String> {
        match self.parts {
            ["signal", "SIGUSR1"] => Ok(Point::Signal { name: "SIGUSR1".into() }),
            ["signal", other] => Err(format!("`{other}` cannot be waited for; only SIGUSR1 can")),
            _ => Err(format!("`{}` is no event of the tracing process", self.parts[0])),
        }
    }

    /// The last part, and the module before it.
    fn with_module(&self) -> (Option<String>, String) {
        match self.parts {
            [module, name] => (Some((*module).to_owned()), (*name).to_owned()),
            _ => (None, self.parts[self.parts.len() - 1].to_owned()),
        }
    }

    fn kprobe(&self) -> Result<Point, String> {
        let ret = self.provider.kind == Kind::Kretprobe;
        let (module, function) = self.with_module();
        let place = if function.starts_with(|c: char| c.is_ascii_digit()) {
            KernelPlace::Address(integer(&function, "address")?)
        } else {
            let (function, offset) = with_offset(&function)?;
            KernelPlace::Function(function, offset)
        };
        if ret && !matches!(place, KernelPlace::Function(_, 0) | KernelPlace::Address(_)) {
            return Err("a return has no offset".into());
        }
        Ok(Point::Kprobe { ret, module, place })
    }

    fn typed(&self) -> Result<Point, String> {
        let ret = self.provider.kind == Kind::Fexit;
        Ok(match self.parts {
            ["bpf", name] => Point::Program { ret, id: None, name: (*name).to_owned() },
            ["bpf", id, name] => {
                let id =
                    u32::try_from(integer(id, "program id")?).map_err(|_| format!("{id} is no id of a program"))?;
                Point::Program { ret, id: Some(id), name: (*name).to_owned() }
            }
            [_, _, _] => return Err("three parts are for programs: the first one must be `bpf`".into()),
            _ => {
                let (module, function) = self.with_module();
                Point::Typed { ret, module, function }
            }
        })
    }

    fn period(&self) -> Result<Period, String> {
        let [unit, count] = self.parts else {
            let time = integer(self.parts[0], "time")?;
            return if time >= 1_000 { Ok(Period::Nanoseconds(time)) } else { Err("1us is the shortest time".into()) };
        };
        let count = integer(count, "number")?;
        if count == 0 {
            return Err("the number must not be 0".into());
        }
        let nanoseconds: u64 = match *unit {
            "hz" => return Ok(Period::Hertz(count)),
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" => 1_000,
            _ => return Err(format!("`{unit}` is no unit; known are hz, s, ms, us")),
        };
        count.checked_mul(nanoseconds).map(Period::Nanoseconds).ok_or_else(|| "the time is too long".into())
    }

    fn event(&self, events: &[Event]) -> Result<(String, u64, u64), String> {
        let name = self.parts[0];
        let found = events.iter().find(|event| event.name == name || event.alias == name);
        let count = match self.parts.get(1) {
            Some(count) => Some(integer(count, "number")?),
            None => None,
        };
        if count == Some(0) {
            return Err("the number must not be 0".into());
        }
        match found {
            Some(event) => Ok((event.name.to_owned(), event.number, count.unwrap_or(event.count))),
            // The defaults are those of the events that it turns out to be.
            None if name.contains('*') => Ok((name.to_owned(), 0, count.unwrap_or(0))),
            None => {
                let likely = words::nearest(name, events.iter().map(|event| event.name));
                let hint = likely.map(|likely| format!("; did you mean `{likely}`?")).unwrap_or_default();
                Err(format!("there is no {} event `{name}`{hint}", self.provider.name))
            }
        }
    }

    fn user(&self) -> Result<Point, String> {
        let ret = self.provider.kind == Kind::Uretprobe;
        let (binary, place) = match self.parts {
            [target] => (None, user_place(target)?),
            [binary, "cpp", name] => (Some(*binary), UserPlace::Cpp((*name).to_owned())),
            [binary, line, column] if is_line(binary, line) => source_line(binary, line, Some(column))?,
            [binary, file, line] if is_number(line) => {
                let line = line.parse().map_err(|_| format!("`{line}` is no line"))?;
                (Some(*binary), UserPlace::Line((*file).to_owned(), line, None, Vec::new()))
            }
            [_, _, _] => return Err("three parts need `cpp` in the middle, or a file and line".into()),
            [binary, line] if is_line(binary, line) => source_line(binary, line, None)?,
            [binary, target] => (Some(*binary), user_place(target)?),
            _ => return Err("parts are missing".into()),
        };
        if binary.is_none() && !self.process {
            return Err("without a process (`-p`), the binary must be named".into());
        }
        if ret && !matches!(place, UserPlace::Function(_, 0) | UserPlace::Cpp(_) | UserPlace::Address(_)) {
            return Err("a return has neither offset nor line".into());
        }
        Ok(Point::User { ret, binary: binary.map(str::to_owned), place })
    }

    fn usdt(&self) -> Result<Point, String> {
        let (binary, provider, name) = match self.parts {
            [name] if self.process => (None, None, *name),
            [_] => return Err("without a process (`-p`), the binary must be named".into()),
            [binary, name] => (Some(*binary), None, *name),
            [binary, provider, name] => (Some(*binary), Some(*provider), *name),
            _ => return Err("parts are missing".into()),
        };
        let own = |text: Option<&str>| text.map(str::to_owned);
        Ok(Point::Usdt { binary: own(binary), provider: own(provider), name: name.to_owned(), places: Vec::new() })
    }

    fn watchpoint(&self) -> Result<Point, String> {
        let address = integer(self.parts[0], "address")?;
        let len = match integer(self.parts[1], "length")? {
            len @ (1 | 2 | 4 | 8) => u8::try_from(len).unwrap_or(8),
            other => return Err(format!("{other} bytes cannot be watched; 1, 2, 4 and 8 can")),
        };
        let mode = self.parts[2];
        let letters = ['r', 'w', 'x'].map(|letter| mode.matches(letter).count());
        if letters.iter().any(|count| *count > 1) || letters.iter().sum::<usize>() != mode.len() {
            return Err(format!("`{mode}` is no mode: it is made of the letters r, w and x"));
        }
        let [read, write, execute] = letters.map(|count| count == 1);
        Ok(Point::Watchpoint { address, len, read, write, execute })
    }
}

fn integer(text: &str, what: &str) -> Result<u64, String> {
    let starts = text.starts_with(|c: char| c.is_ascii_digit());
    let value = if starts { number(text).ok() } else { None };
    value.map(|(value, _)| value).ok_or_else(|| format!("`{text}` is no {what}"))
}

/// `name+offset`
fn with_offset(text: &str) -> Result<(String, u64), String> {
    match text.split_once('+') {
        Some(("", _)) => Err("a name is missing before the offset".into()),
        Some((name, offset)) => Ok((name.to_owned(), integer(offset, "offset")?)),
        None => Ok((text.to_owned(), 0)),
    }
}

fn user_place(target: &str) -> Result<UserPlace, String> {
    if target.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(UserPlace::Address(integer(target, "address")?));
    }
    let (name, offset) = with_offset(target)?;
    Ok(UserPlace::Function(name, offset))
}

/// Whether these are the parts of `binary@file:line`.
fn is_line(binary: &str, line: &str) -> bool {
    binary.contains('@') && is_number(line)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn source_line<'a>(binary: &'a str, line: &str, column: Option<&str>) -> Result<(Option<&'a str>, UserPlace), String> {
    let number = |text: &str, what| -> Result<u32, String> {
        text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("`{text}` is no {what}"))
    };
    let (binary, file) = binary.rsplit_once('@').unwrap_or((binary, ""));
    let column = column.map(|column| number(column, "column")).transpose()?;
    Ok((
        Some(binary).filter(|binary| !binary.is_empty()),
        UserPlace::Line(file.to_owned(), number(line, "line")?, column, Vec::new()),
    ))
}

impl fmt::Display for Point {
    /// As it is written in a script and as the builtin `probe` gives it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = |module: &Option<String>| module.as_ref().map(|module| format!("{module}:")).unwrap_or_default();
        match self {
            Self::Begin => f.write_str("begin"),
            Self::End => f.write_str("end"),
            Self::Signal { name } => write!(f, "self:signal:{name}"),
            Self::Test { name } => write!(f, "test:{name}"),
            Self::Bench { name } => write!(f, "bench:{name}"),
            Self::Kprobe { ret, module: m, place } => {
                write!(f, "{}:{}", if *ret { "kretprobe" } else { "kprobe" }, module(m))?;
                match place {
                    KernelPlace::Function(name, 0) => f.write_str(name),
                    KernelPlace::Function(name, offset) => write!(f, "{name}+{offset}"),
                    KernelPlace::Address(address) => write!(f, "{address:#x}"),
                }
            }
            Self::Typed { ret, module: m, function } => {
                write!(f, "{}:{}{function}", if *ret { "fexit" } else { "fentry" }, module(m))
            }
            Self::Program { ret, id, name } => {
                let id = id.map(|id| format!("{id}:")).unwrap_or_default();
                write!(f, "{}:bpf:{id}{name}", if *ret { "fexit" } else { "fentry" })
            }
            Self::RawTracepoint { module: m, event } => write!(f, "rawtracepoint:{}{event}", module(m)),
            Self::Tracepoint { category, event } => write!(f, "tracepoint:{category}:{event}"),
            Self::SystemCall { ret, name, .. } => {
                write!(f, "rawtracepoint:{} of {name}", if *ret { "sys_exit" } else { "sys_enter" })
            }
            Self::Profile(period) => write!(f, "profile:{}", period_text(*period)),
            Self::Interval(period) => write!(f, "interval:{}", period_text(*period)),
            Self::Software { name, count, .. } => write!(f, "software:{name}:{count}"),
            Self::Hardware { name, count, .. } => write!(f, "hardware:{name}:{count}"),
            Self::User { ret, binary, place } => {
                let kind = if *ret { "uretprobe" } else { "uprobe" };
                let binary = binary.as_deref().unwrap_or_default();
                let colon = if binary.is_empty() { "" } else { ":" };
                match place {
                    UserPlace::Function(name, 0) => write!(f, "{kind}:{binary}{colon}{name}"),
                    UserPlace::Function(name, offset) => write!(f, "{kind}:{binary}{colon}{name}+{offset}"),
                    UserPlace::Cpp(name) => write!(f, "{kind}:{binary}:cpp:{name:?}"),
                    UserPlace::Address(address) => write!(f, "{kind}:{binary}{colon}{address:#x}"),
                    UserPlace::Line(file, line, None, _) => write!(f, "{kind}:{binary}@{file}:{line}"),
                    UserPlace::Line(file, line, Some(column), _) => write!(f, "{kind}:{binary}@{file}:{line}:{column}"),
                }
            }
            Self::Usdt { binary, provider, name, .. } => {
                f.write_str("usdt")?;
                for part in [binary, provider].into_iter().flatten() {
                    write!(f, ":{part}")?;
                }
                write!(f, ":{name}")
            }
            Self::Watchpoint { address, len, read, write, execute } => {
                let letters = [(read, "r"), (write, "w"), (execute, "x")];
                let mode: String = letters.iter().filter(|(set, _)| **set).map(|(_, letter)| *letter).collect();
                write!(f, "watchpoint:{address:#x}:{len}:{mode}")
            }
            Self::Iter { kind, pin: None } => write!(f, "iter:{kind}"),
            Self::Iter { kind, pin: Some(pin) } => write!(f, "iter:{kind}:{pin}"),
        }
    }
}

fn period_text(period: Period) -> String {
    match period {
        Period::Hertz(count) => format!("hz:{count}"),
        Period::Nanoseconds(n) if n.is_multiple_of(1_000_000_000) => format!("s:{}", n / 1_000_000_000),
        Period::Nanoseconds(n) if n.is_multiple_of(1_000_000) => format!("ms:{}", n / 1_000_000),
        Period::Nanoseconds(n) if n.is_multiple_of(1_000) => format!("us:{}", n / 1_000),
        Period::Nanoseconds(n) => format!("{n}ns"),
    }
}

#[cfg(test)]
mod tests;

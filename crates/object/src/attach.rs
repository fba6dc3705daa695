//! Where a program wants to be attached: what the rest of a section's name says, as data.

use std::fmt;

use skep_isa::near::distance;
use skep_isa::sections::{AttachWay, SECTIONS, Section, SectionName};

/// At which end of a function a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Side {
    /// When it is entered.
    #[default]
    Entry,
    /// When it returns.
    Return,
    /// At both ends, which share a cookie (`kprobe.session`, `uprobe.session`).
    Session,
}

/// Where a program attaches, as far as its section says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum AttachPoint {
    /// The section does not say; whoever attaches has to.
    #[default]
    Unspecified,
    /// A kernel function, by kprobe.
    Function {
        /// Its name in `/proc/kallsyms`.
        name: String,
        /// Bytes from its start; 0 unless at entry.
        offset: u64,
        /// Entry or return.
        side: Side,
    },
    /// All kernel functions that match a pattern with `*` and `?`.
    FunctionPattern {
        /// The pattern.
        pattern: String,
        /// Entry, return or both.
        side: Side,
    },
    /// A system call.
    Syscall {
        /// Its name without the prefix of the architecture, for example `openat`.
        name: String,
        /// Entry or return.
        side: Side,
    },
    /// A function in a file.
    Binary {
        /// The file: a path, or a name to look for where libraries and commands are.
        path: String,
        /// The function; empty if the offset counts from the start of the file.
        symbol: String,
        /// Bytes from the function, or from the start of the file.
        offset: u64,
        /// Entry or return.
        side: Side,
    },
    /// All functions of a file that match a pattern with `*` and `?`.
    BinaryPattern {
        /// The file, as for [`Binary`](Self::Binary).
        path: String,
        /// The pattern.
        pattern: String,
        /// Entry, return or both.
        side: Side,
    },
    /// A marker that the authors of a program placed.
    Usdt {
        /// The file, as for [`Binary`](Self::Binary).
        path: String,
        /// Who placed it.
        provider: String,
        /// Its name.
        name: String,
    },
    /// A tracepoint with its formatted record.
    Tracepoint {
        /// The directory below `events` in tracefs.
        category: String,
        /// The directory below.
        name: String,
    },
    /// A tracepoint with its arguments, raw or typed.
    RawTracepoint(String),
    /// A kernel function known to BTF.
    TypedFunction {
        /// The module, `None` for "wherever it is".
        module: Option<String>,
        /// Its name.
        name: String,
    },
    /// A security hook, without `bpf_lsm_`.
    LsmHook(String),
    /// The target of an iterator.
    Iterator(String),
    /// A member of an operations table. For people only: the map says which member a program implements.
    Operation(String),
    /// A function of another program.
    ProgramFunction(String),
}

/// Why the name of a section cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachError {
    /// The name as it stands in the file.
    pub section: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the section's name `{}` cannot be understood; {}", self.section, self.expected)
    }
}

impl std::error::Error for AttachError {}

impl AttachPoint {
    /// Reads the rest of a section's name. No rest leaves the point unspecified.
    ///
    /// # Errors
    /// A rest that the row of the table does not allow; the form that it has to have.
    ///
    /// ```
    /// use skep_isa::sections;
    /// use skep_object::AttachPoint;
    ///
    /// let name = sections::parse("tp/syscalls/sys_enter_openat").ok_or("unknown")?;
    /// let point = AttachPoint::parse(&name)?;
    /// assert!(matches!(point, AttachPoint::Tracepoint { name, .. } if name == "sys_enter_openat"));
    /// let name = sections::parse("tp/sys_enter_openat").ok_or("unknown")?;
    /// assert!(AttachPoint::parse(&name).unwrap_err().to_string().contains("`tp/CATEGORY/NAME`"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(name: &SectionName<'_>) -> Result<Self, AttachError> {
        let Some(rest) = name.rest else { return Ok(Self::Unspecified) };
        let row = name.section;
        let point = Self::of_rest(row, rest);
        point.ok_or_else(|| AttachError {
            section: format!("{}{}/{rest}", if name.autoload { "" } else { "?" }, row.prefix),
            expected: match form(row.way) {
                Some(form) => format!("expected `{}/{form}`", row.prefix),
                None => format!("expected `{}` and nothing behind it", row.prefix),
            },
        })
    }

    fn of_rest(row: &Section, rest: &str) -> Option<Self> {
        let side = side(row);
        if rest.is_empty() {
            return None;
        }
        let own = rest.to_owned();
        Some(match row.way {
            AttachWay::Function => {
                let (name, offset) = with_offset(rest, side)?;
                is_symbol(name, "").then(|| Self::Function { name: name.to_owned(), offset, side })?
            }
            AttachWay::FunctionPattern => {
                is_symbol(rest, "*?").then_some(Self::FunctionPattern { pattern: own, side })?
            }
            AttachWay::Syscall => is_symbol(rest, "").then_some(Self::Syscall { name: own, side })?,
            AttachWay::Binary => {
                // A path may hold colons; a symbol does not, apart from pairs of them in names of other languages.
                let (path, place) = split_path(rest)?;
                let (symbol, offset) = match number(place) {
                    Some(offset) => ("", offset),
                    None => with_offset(place, side)?,
                };
                Self::Binary { path: path.to_owned(), symbol: symbol.to_owned(), offset, side }
            }
            AttachWay::BinaryPattern => {
                let (path, pattern) = split_path(rest)?;
                Self::BinaryPattern { path: path.to_owned(), pattern: pattern.to_owned(), side }
            }
            AttachWay::Usdt => {
                let (front, name) = rest.rsplit_once(':').filter(|(_, name)| !name.is_empty())?;
                let (path, provider) = front.rsplit_once(':').filter(|(path, p)| !path.is_empty() && !p.is_empty())?;
                let [path, provider, name] = [path, provider, name].map(str::to_owned);
                Self::Usdt { path, provider, name }
            }
            AttachWay::Tracepoint => {
                let (category, name) = rest.split_once('/')?;
                let fine = !category.is_empty() && !name.is_empty() && !name.contains('/');
                fine.then(|| Self::Tracepoint { category: category.to_owned(), name: name.to_owned() })?
            }
            AttachWay::RawTracepoint => is_symbol(rest, "").then_some(Self::RawTracepoint(own))?,
            AttachWay::TypedFunction => {
                let (module, name) = rest.split_once(':').map_or((None, rest), |(module, name)| (Some(module), name));
                let fine = is_symbol(name, "") && module.is_none_or(|module| is_symbol(module, "-"));
                fine.then(|| Self::TypedFunction { module: module.map(str::to_owned), name: name.to_owned() })?
            }
            AttachWay::LsmHook => is_symbol(rest, "").then_some(Self::LsmHook(own))?,
            AttachWay::Iterator => is_symbol(rest, "").then_some(Self::Iterator(own))?,
            AttachWay::OperationsTable => Self::Operation(own),
            AttachWay::ProgramFunction => Self::ProgramFunction(own),
            _ => return None,
        })
    }
}

const fn side(row: &Section) -> Side {
    match row.attach_type {
        Some(skep_isa::AttachType::TraceKprobeSession | skep_isa::AttachType::TraceUprobeSession) => Side::Session,
        _ if row.at_return => Side::Return,
        _ => Side::Entry,
    }
}

/// What follows the slash, for messages.
const fn form(way: AttachWay) -> Option<&'static str> {
    Some(match way {
        AttachWay::Function => "FUNCTION` or, at entry, `FUNCTION+OFFSET",
        AttachWay::FunctionPattern => "PATTERN` of letters, digits, `_`, `.`, `*` and `?",
        AttachWay::Syscall => "NAME",
        AttachWay::Binary => "PATH:FUNCTION`, `PATH:FUNCTION+OFFSET` or `PATH:OFFSET",
        AttachWay::BinaryPattern => "PATH:PATTERN",
        AttachWay::Usdt => "PATH:PROVIDER:NAME",
        AttachWay::Tracepoint => "CATEGORY/NAME",
        AttachWay::RawTracepoint => "NAME",
        AttachWay::TypedFunction => "FUNCTION` or `MODULE:FUNCTION",
        AttachWay::LsmHook => "HOOK",
        AttachWay::Iterator => "TARGET",
        AttachWay::OperationsTable => "MEMBER",
        AttachWay::ProgramFunction => "FUNCTION",
        _ => return None,
    })
}

/// Whether a text may be the name of a symbol; `more` are characters that are allowed as well.
fn is_symbol(text: &str, more: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.' || more.contains(c))
}

/// A name and the number behind a plus sign. Only probes at entry may have one.
fn with_offset(text: &str, side: Side) -> Option<(&str, u64)> {
    let Some((name, offset)) = text.rsplit_once('+') else { return Some((text, 0)) };
    let offset = number(offset)?;
    (!name.is_empty() && (offset == 0 || side == Side::Entry)).then_some((name, offset))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit())),
    }
}

/// A path and what follows its colon; both are there.
fn split_path(text: &str) -> Option<(&str, &str)> {
    let at = text.match_indices(':').map(|(at, _)| at).find(|at| {
        // `a::b` is one name, in front of which the path ends.
        !text[at + 1..].starts_with(':') && !text[..*at].ends_with(':')
    })?;
    let (path, place) = (&text[..at], &text[at + 1..]);
    (!path.is_empty() && !place.is_empty()).then_some((path, place))
}

/// The known name that a misspelt one was probably meant to be, `None` if none is close.
pub fn near_section(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix('?').unwrap_or(name);
    let best = |name: &str| {
        let distances = SECTIONS.iter().map(|row| (distance(name, row.prefix), row.prefix));
        distances.min_by_key(|(distance, _)| *distance)
    };
    // What stands behind the slash may be anything.
    let parts = [Some(name), name.split_once('/').map(|(front, _)| front)];
    let found = parts.into_iter().flatten().filter_map(best).min_by_key(|(distance, _)| *distance)?;
    // Two letters in eight or more, one in three or more: less is coincidence.
    let most = match found.1.len() {
        0..=2 => 0,
        3..=7 => 1,
        _ => 2,
    };
    (found.0 <= most).then_some(found.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str) -> Result<AttachPoint, AttachError> {
        AttachPoint::parse(&skep_isa::sections::parse(name).unwrap())
    }

    #[test]
    fn every_way_is_read() {
        let (own, side) = (str::to_owned, Side::Entry);
        let cases = [
            ("xdp", AttachPoint::Unspecified),
            ("kprobe", AttachPoint::Unspecified),
            ("kprobe/f.isra.0+0x10", AttachPoint::Function { name: own("f.isra.0"), offset: 16, side }),
            ("kretprobe/f", AttachPoint::Function { name: own("f"), offset: 0, side: Side::Return }),
            ("kprobe.multi/tcp_*", AttachPoint::FunctionPattern { pattern: own("tcp_*"), side }),
            ("kprobe.session/a?", AttachPoint::FunctionPattern { pattern: own("a?"), side: Side::Session }),
            ("?kretsyscall/openat", AttachPoint::Syscall { name: own("openat"), side: Side::Return }),
            (
                "uprobe//bin/sh:main+4",
                AttachPoint::Binary { path: own("/bin/sh"), symbol: own("main"), offset: 4, side },
            ),
            (
                "uprobe.s/libc.so.6:0x1f",
                AttachPoint::Binary { path: own("libc.so.6"), symbol: own(""), offset: 31, side },
            ),
            ("uprobe//a:b::c", AttachPoint::Binary { path: own("/a"), symbol: own("b::c"), offset: 0, side }),
            (
                "uretprobe.multi.s//a:*",
                AttachPoint::BinaryPattern { path: own("/a"), pattern: own("*"), side: Side::Return },
            ),
            ("usdt//a:p:n", AttachPoint::Usdt { path: own("/a"), provider: own("p"), name: own("n") }),
            ("tp/sched/sched_switch", AttachPoint::Tracepoint { category: own("sched"), name: own("sched_switch") }),
            ("raw_tp.w/x", AttachPoint::RawTracepoint(own("x"))),
            ("tp_btf/x", AttachPoint::RawTracepoint(own("x"))),
            ("fentry/f", AttachPoint::TypedFunction { module: None, name: own("f") }),
            ("fexit.s/nf_nat:f", AttachPoint::TypedFunction { module: Some(own("nf_nat")), name: own("f") }),
            ("lsm/file_open", AttachPoint::LsmHook(own("file_open"))),
            ("iter/task", AttachPoint::Iterator(own("task"))),
            ("struct_ops/init", AttachPoint::Operation(own("init"))),
            ("freplace/f", AttachPoint::ProgramFunction(own("f"))),
        ];
        for (name, expected) in cases {
            assert_eq!(point(name), Ok(expected), "{name}");
        }
    }

    #[test]
    fn wrong_rests_say_what_is_expected() {
        let cases = [
            ("kprobe/", "`kprobe/` cannot be understood; expected `kprobe/FUNCTION`"),
            ("kretprobe/f+8", "expected `kretprobe/FUNCTION` or, at entry"),
            ("kprobe/f*", "expected `kprobe/FUNCTION`"),
            ("?tp/sched", "`?tp/sched` cannot be understood; expected `tp/CATEGORY/NAME`"),
            ("tp/a/b/c", "expected `tp/CATEGORY/NAME`"),
            ("uprobe/main", "expected `uprobe/PATH:FUNCTION`"),
            ("uprobe/:main", "expected `uprobe/PATH:FUNCTION`"),
            ("usdt//a:n", "expected `usdt/PATH:PROVIDER:NAME`"),
            ("fentry/a b", "expected `fentry/FUNCTION`"),
        ];
        for (name, expected) in cases {
            let message = point(name).unwrap_err().to_string();
            assert!(message.contains(expected), "{name}: {message}");
        }
    }

    #[test]
    fn misspelt_names_are_close() {
        let cases = [
            ("xpd", Some("xdp")),
            ("trcepoint/sched/sched_switch", Some("tracepoint")),
            ("kprob/x", Some("kprobe")),
            ("cgroup/conect4", Some("cgroup/connect4")),
            ("?fentri/f", Some("fentry")),
            ("of_my_own", None),
            (".text", None),
            ("te", None),
        ];
        for (name, expected) in cases {
            assert_eq!(near_section(name), expected, "{name}");
        }
    }
}

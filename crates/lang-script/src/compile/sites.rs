//! Attach points: what each means on this machine, what programs there can read, and how the host attaches them.

use std::ops::Range;
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};
use skep_isa::{AttachType, ProgType};

use super::{Environment, Switches, Wanted};
use crate::ast::Script;
use crate::check::{Arguments, Site};
use crate::plan::{Attach, UserTarget};
use crate::providers::{self, KernelPlace, Point, Provider, UserPlace, expand, parse_point, suggest};
use crate::settings::{MissingProbes, Settings};
use crate::types::CompositeId;
use crate::types::definitions::Types;

/// Where one attach point of a probe leads: programs there differ only if the statements depend on the place.
#[derive(Debug, Clone)]
pub struct Group {
    /// Index of the probe in the script.
    pub probe: usize,
    /// Its name as it was written.
    pub name: Arc<str>,
    /// Its place.
    pub span: Span,
    /// For each place what programs can read there.
    pub sites: Vec<Site>,
    /// Whether programs for it are wanted; others only tell about types.
    pub wanted: bool,
    points: Vec<Point>,
}

/// A program and where it is attached.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Index of the probe in the script.
    pub probe: usize,
    /// Place in the script.
    pub span: Span,
    /// The type of probe.
    pub provider: &'static Provider,
    /// Names and places.
    pub attach: Vec<(Arc<str>, Attach)>,
    /// Whether it is wanted.
    pub wanted: bool,
}

impl Group {
    /// The program for some of the places.
    pub fn instance(&self, range: Range<usize>, switches: &Switches) -> Instance {
        let sites = &self.sites[range.clone()];
        let points = &self.points[range];
        let provider = sites.first().and_then(|site| site.provider).unwrap_or(&providers::PROVIDERS[0]);
        let attach = match points {
            // Functions are attached all at once.
            [Point::Kprobe { ret, .. }, _, ..] if switches.kprobe_multi => {
                let functions = points.iter().filter_map(kernel_function).collect();
                vec![(self.name.clone(), Attach::KernelFunction { functions, offset: 0, ret: *ret })]
            }
            [Point::User { ret, binary, .. }, _, ..] if switches.uprobe_multi && same_binary(points) => {
                let functions = points.iter().filter_map(user_function).collect();
                let binary = binary.clone().unwrap_or_default();
                let target = UserTarget::Functions(functions);
                vec![(self.name.clone(), Attach::UserFunction { binary, target, ret: *ret })]
            }
            _ => sites.iter().zip(points).map(|(site, point)| (site.name.clone(), attach(point))).collect(),
        };
        Instance { probe: self.probe, span: self.span, provider, attach, wanted: self.wanted }
    }
}

fn kernel_function(point: &Point) -> Option<String> {
    let Point::Kprobe { module, place: KernelPlace::Function(name, _), .. } = point else { return None };
    Some(module.as_ref().map_or_else(|| name.clone(), |module| format!("{module}:{name}")))
}

fn user_function(point: &Point) -> Option<String> {
    let Point::User { place: UserPlace::Function(name, 0), .. } = point else { return None };
    Some(name.clone())
}

fn same_binary(points: &[Point]) -> bool {
    let binary = |point: &Point| match point {
        Point::User { binary, .. } => Some(binary.clone()),
        _ => None,
    };
    let first = points.first().and_then(binary);
    points.iter().all(|point| binary(point) == first && user_function(point).is_some())
}

/// The plan's form of a place. Those that [`refuse`] rejects never get here.
fn attach(point: &Point) -> Attach {
    let text = |option: &Option<String>| option.clone().unwrap_or_default();
    match point {
        Point::Begin => Attach::Begin,
        Point::End => Attach::End,
        Point::Signal { name } => Attach::Signal { name: name.clone() },
        Point::Test { name } => Attach::Test { name: name.clone() },
        Point::Bench { name } => Attach::Bench { name: name.clone() },
        Point::Kprobe { ret, place, .. } => {
            let offset = match place {
                KernelPlace::Function(_, offset) => *offset,
                KernelPlace::Address(_) => 0,
            };
            Attach::KernelFunction { functions: kernel_function(point).into_iter().collect(), offset, ret: *ret }
        }
        Point::Typed { ret, module, function } => {
            let module = module.clone().filter(|module| module != "vmlinux").unwrap_or_default();
            Attach::Typed { module, function: function.clone(), ret: *ret }
        }
        Point::Program { ret, name, .. } => Attach::Typed { module: String::new(), function: name.clone(), ret: *ret },
        Point::RawTracepoint { event, .. } => Attach::RawTracepoint { event: event.clone() },
        Point::Tracepoint { category, event } => {
            Attach::Tracepoint { category: category.clone(), event: event.clone() }
        }
        Point::Profile(period) => Attach::Profile(*period),
        Point::Interval(period) => Attach::Interval(*period),
        Point::Software { event, count, .. } => Attach::Software { event: *event, count: *count },
        Point::Hardware { event, count, .. } => Attach::Hardware { event: *event, cache: false, count: *count },
        Point::User { ret, binary, place } => {
            let target = match place {
                UserPlace::Function(name, 0) => UserTarget::Functions(vec![name.clone()]),
                UserPlace::Function(name, offset) => UserTarget::SymbolOffset(name.clone(), *offset),
                UserPlace::Address(address) => UserTarget::Address(*address),
                UserPlace::Cpp(_) | UserPlace::Line(..) => UserTarget::Functions(Vec::new()),
            };
            Attach::UserFunction { binary: text(binary), target, ret: *ret }
        }
        Point::Usdt { binary, provider, name } => {
            Attach::Usdt { binary: text(binary), provider: text(provider), name: name.clone() }
        }
        Point::Watchpoint { address, len, read, write, execute } => {
            Attach::Watchpoint { address: *address, len: *len, read: *read, write: *write, execute: *execute }
        }
        Point::Iter { kind, pin } => Attach::Iterator { kind: kind.clone(), pin: pin.clone() },
    }
}

/// Whether functions and events of the kernel can be called so; `*` is allowed.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.*".contains(&b))
}

/// Why a place cannot be attached to, if it cannot, and what to do instead.
fn refuse(point: &Point, env: &Environment<'_>) -> Option<(String, &'static str)> {
    let strange = |names: &[&str]| names.iter().find(|name| !is_name(name)).map(|name| (*name).to_owned());
    let named = match point {
        Point::Kprobe { place: KernelPlace::Function(name, _), .. } => strange(&[name]),
        Point::Typed { function, .. } => strange(&[function]),
        Point::RawTracepoint { event, .. } => strange(&[event]),
        Point::Tracepoint { category, event } => strange(&[category, event]),
        Point::Iter { kind, .. } => strange(&[kind]),
        _ => None,
    };
    if let Some(name) = named {
        let message = format!("`{name}` is no name that the kernel could have");
        return Some((message, "names are made of letters, digits, `_` and `.`; `*` stands for any of them"));
    }
    match point {
        Point::Kprobe { place: KernelPlace::Address(_), .. } => Some((
            "probes at an address of the kernel are not available".to_owned(),
            "name the function: `kprobe:function+offset`",
        )),
        Point::Program { .. } => Some((
            "probes of BPF programs are not available".to_owned(),
            "`fentry:function` traces functions of the kernel",
        )),
        Point::User { place: UserPlace::Line(..), .. } => Some((
            "probes at a line of the source are not available".to_owned(),
            "name the function: `uprobe:binary:function+offset`",
        )),
        Point::User { place: UserPlace::Cpp(_), .. } => Some((
            "functions are found by their symbols, not by their names in C++".to_owned(),
            "`nm -D binary` lists the symbols; `*` stands for any letters",
        )),
        Point::Watchpoint { .. } if env.process.is_none() => {
            Some(("a watchpoint needs a process".to_owned(), "`-p PID` or `-c COMMAND` says which"))
        }
        _ => None,
    }
}

/// The attach points of all probes of a script.
pub fn groups(
    script: &Script,
    env: &Environment<'_>,
    settings: &Settings,
    types: &mut Types<'_>,
    wanted: &Wanted<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut total = 0u64;
    for (index, probe) in script.probes.iter().enumerate() {
        for written in &probe.points {
            let point = match parse_point(written, env.process.is_some()) {
                Ok(point) => point,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let name = probe.name.as_ref().map_or_else(|| point.to_string().into(), |name| name.node.clone());
            let wanted = providers::find(&written.node.provider).is_some_and(|found| wanted(found.kind, &name));
            if let Some((message, help)) = refuse(&point, env) {
                if !wanted {
                    continue;
                }
                problems.push(Diagnostic::error(written.span, message).with_help(help));
                continue;
            }
            let points = match expand(&point, env.probes) {
                Ok(points) => points,
                Err(_) if !wanted => continue,
                Err(why) => {
                    problems.push(Diagnostic::error(written.span, "the wildcard cannot be resolved").with_help(why));
                    continue;
                }
            };
            if points.is_empty() && !wanted {
                continue;
            }
            if points.is_empty() {
                problems.extend(missing(&point, written.span, env, settings));
                continue;
            }
            total += if wanted { points.len() as u64 } else { 0 };
            let sites = points.iter().map(|point| site(&written.node.provider, point, types)).collect();
            groups.push(Group { probe: index, name, span: written.span, sites, wanted, points });
        }
    }
    if total > settings.max_probes {
        let message = format!("the script has {total} probes, at most {} are allowed", settings.max_probes);
        let span = script.probes.first().map_or(Span::new(0, 0), |probe| probe.span);
        problems.push(Diagnostic::error(span, message).with_help("`config = { max_probes = ...; }` allows more"));
    }
    groups
}

fn missing(point: &Point, span: Span, env: &Environment<'_>, settings: &Settings) -> Option<Diagnostic> {
    let message = format!("nothing fits `{point}`");
    let problem = match settings.missing_probes {
        MissingProbes::Error => Diagnostic::error(span, message),
        MissingProbes::Warn => Diagnostic::warning(span, message),
        MissingProbes::Ignore => return None,
    };
    Some(match suggest(point, env.probes) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem,
    })
}

fn site(provider: &str, point: &Point, types: &mut Types<'_>) -> Site {
    let provider = providers::find(provider);
    let arguments = match point {
        Point::Tracepoint { category, event } => match types.source().tracepoint(category, event) {
            Some(record) => Arguments::Record(CompositeId::Script(types.add(record))),
            None => Arguments::None(format!(
                "neither tracefs nor the kernel's types describe `{category}:{event}`; is tracefs mounted on \
                 /sys/kernel/tracing?"
            )),
        },
        Point::RawTracepoint { event, .. } => match types.source().raw_tracepoint(event) {
            Some(prototype) => Arguments::Words(prototype),
            None => Arguments::None(format!("the kernel's types have no raw tracepoint `{event}`")),
        },
        Point::Typed { module, function, .. } => {
            match types.source().function(module.as_deref().unwrap_or(""), function) {
                Some(prototype) => Arguments::Words(prototype),
                None => Arguments::None(format!("the kernel's types have no function `{function}`")),
            }
        }
        _ => Arguments::None("the binary's types are not read; `arg0`, `arg1`, ... are the arguments".to_owned()),
    };
    Site { provider, name: point.to_string().into(), arguments }
}

/// Program type, attach type and section of the program of an instance.
pub fn program(instance: &Instance) -> (ProgType, Option<AttachType>, String) {
    use providers::Kind as K;
    let first = instance.attach.first();
    let section = |prefix: &str| match first.map(|first| &first.1) {
        Some(Attach::KernelFunction { functions, offset, .. }) => match functions.first() {
            // The module is in the plan; sections have no place for it.
            Some(name) if functions.len() == 1 => {
                let name = name.rsplit(':').next().unwrap_or(name);
                if *offset == 0 { format!("{prefix}/{name}") } else { format!("{prefix}/{name}+{offset}") }
            }
            _ => prefix.to_owned(),
        },
        Some(Attach::Typed { function, .. }) => format!("{prefix}/{function}"),
        Some(Attach::RawTracepoint { event }) => format!("{prefix}/{event}"),
        Some(Attach::Tracepoint { category, event }) => format!("{prefix}/{category}/{event}"),
        Some(Attach::Iterator { kind, .. }) => format!("{prefix}/{kind}"),
        _ => prefix.to_owned(),
    };
    let several = match first.map(|first| &first.1) {
        Some(Attach::KernelFunction { functions, .. }) => functions.len() > 1,
        Some(Attach::UserFunction { target: UserTarget::Functions(functions), .. }) => functions.len() > 1,
        _ => false,
    };
    match instance.provider.kind {
        K::Begin | K::End | K::Own => (ProgType::RawTracepoint, None, "raw_tp".to_owned()),
        // The kernel runs programs of this type as often as it is asked to, and tells what they return.
        K::Test | K::Bench => (ProgType::Xdp, None, "xdp".to_owned()),
        K::Kprobe if several => (ProgType::Kprobe, Some(AttachType::TraceKprobeMulti), section("kprobe.multi")),
        K::Kretprobe if several => (ProgType::Kprobe, Some(AttachType::TraceKprobeMulti), section("kretprobe.multi")),
        K::Kprobe => (ProgType::Kprobe, None, section("kprobe")),
        K::Kretprobe => (ProgType::Kprobe, None, section("kretprobe")),
        K::Fentry => (ProgType::Tracing, Some(AttachType::TraceFentry), section("fentry")),
        K::Fexit => (ProgType::Tracing, Some(AttachType::TraceFexit), section("fexit")),
        K::RawTracepoint => (ProgType::RawTracepoint, None, section("raw_tp")),
        K::Tracepoint => (ProgType::Tracepoint, None, section("tracepoint")),
        K::Profile | K::Interval | K::Software | K::Hardware | K::Watchpoint => {
            (ProgType::PerfEvent, None, "perf_event".to_owned())
        }
        K::Uprobe | K::Uretprobe if several => {
            let prefix = if instance.provider.kind == K::Uprobe { "uprobe.multi" } else { "uretprobe.multi" };
            (ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), prefix.to_owned())
        }
        K::Uprobe => (ProgType::Kprobe, None, "uprobe".to_owned()),
        K::Uretprobe => (ProgType::Kprobe, None, "uretprobe".to_owned()),
        K::Usdt => (ProgType::Kprobe, None, "usdt".to_owned()),
        K::Iter => (ProgType::Tracing, Some(AttachType::TraceIter), section("iter")),
    }
}

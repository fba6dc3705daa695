//! Attach points: what each means on this machine, what programs there can read, and how the host attaches them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};
use skep_isa::{AttachType, ProgType};

use super::needs::Needs;
use super::routes::{Route, Router, Unreachable};
use super::{Ability, Environment, Wanted};
use crate::ast::Script;
use crate::check::{Arguments, Site};
use crate::plan::{Attach, MissingProbes, UserTarget};
use crate::providers::{self, HARDWARE_EVENTS, KernelPlace, Point, Provider, UserPlace, expand, parse_point, suggest};
use crate::settings::Settings;
use crate::types::CompositeId;
use crate::types::definitions::Types;
use crate::types::user::UsdtSite;

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
    /// For each place the way there.
    routes: Vec<Route>,
    /// Whether one link may hold all places.
    together: bool,
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
    /// Names, places, and which way was taken instead of the one that is written.
    pub attach: Vec<(Arc<str>, Attach, Arc<str>)>,
    /// Whether the program is one for links of many places, be it one place only.
    pub many: bool,
    /// Whether it is wanted.
    pub wanted: bool,
}

impl Group {
    /// Whether the kernel ties a program to one of the places when it is loaded, or the program itself differs.
    pub fn is_bound(&self) -> bool {
        self.routes.iter().any(Route::binds)
    }

    /// The program for some of the places.
    pub fn instance(&self, range: Range<usize>) -> Instance {
        let sites = &self.sites[range.clone()];
        let routes = &self.routes[range];
        let points: Vec<&Point> = routes.iter().map(|route| &route.point).collect();
        let provider = sites.first().and_then(|site| site.provider).unwrap_or(&providers::PROVIDERS[0]);
        let why = || routes.first().map_or_else(Arc::default, |route| Arc::from(route.why.as_str()));
        let attach = match points.as_slice() {
            // Functions are attached all at once.
            [Point::Kprobe { ret, .. }, _, ..] if self.together => {
                let functions = points.iter().filter_map(|point| kernel_function(point)).collect();
                vec![(self.name.clone(), Attach::KernelFunction { functions, offset: 0, ret: *ret }, why())]
            }
            [Point::User { ret, binary, .. }, _, ..] if self.together && same_binary(&points) => {
                let functions = points.iter().filter_map(|point| user_function(point)).collect();
                let binary = binary.clone().unwrap_or_default();
                let target = UserTarget::Functions(functions);
                vec![(self.name.clone(), Attach::UserFunction { binary, target, ret: *ret }, why())]
            }
            _ => {
                let each = |(site, route): (&Site, &Route)| {
                    (site.name.clone(), attach(&route.point), Arc::from(route.why.as_str()))
                };
                sites.iter().zip(routes).map(each).collect()
            }
        };
        // Links of many places in a file are detached faster than others, also with one place.
        let many = match attach.as_slice() {
            [(_, Attach::KernelFunction { functions, .. }, _)] => functions.len() > 1,
            [(_, Attach::UserFunction { .. }, _), ..] => self.together,
            _ => false,
        };
        Instance { probe: self.probe, span: self.span, provider, attach, many, wanted: self.wanted }
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

fn same_binary(points: &[&Point]) -> bool {
    let binary = |point: &Point| match point {
        Point::User { binary, .. } => Some(binary.clone()),
        _ => None,
    };
    let first = points.first().and_then(|point| binary(point));
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
        Point::Kprobe { ret, place: KernelPlace::Address(address), .. } => {
            Attach::KernelAddress { address: *address, ret: *ret }
        }
        Point::Kprobe { ret, place, .. } => {
            let offset = if let KernelPlace::Function(_, offset) = place { *offset } else { 0 };
            Attach::KernelFunction { functions: kernel_function(point).into_iter().collect(), offset, ret: *ret }
        }
        Point::Typed { ret, module, function } => {
            let module = module.clone().filter(|module| module != "vmlinux").unwrap_or_default();
            Attach::Typed { module, function: function.clone(), ret: *ret }
        }
        Point::Program { ret, id, name } => Attach::Program { id: *id, name: name.clone(), ret: *ret },
        Point::RawTracepoint { event, .. } => Attach::RawTracepoint { event: event.clone() },
        Point::Tracepoint { category, event } => {
            Attach::Tracepoint { category: category.clone(), event: event.clone() }
        }
        Point::SystemCall { ret, number, .. } => Attach::SystemCall { ret: *ret, number: *number, table: 0 },
        Point::Profile(period) => Attach::Profile(*period),
        Point::Interval(period) => Attach::Interval(*period),
        Point::Software { event, count, .. } => Attach::Software { event: *event, count: *count },
        Point::Hardware { name, event, count } => {
            let cache = HARDWARE_EVENTS.iter().any(|row| row.cache && row.name == name);
            Attach::Hardware { event: *event, cache, count: *count }
        }
        Point::User { ret, binary, place } => {
            let target = match place {
                UserPlace::Function(name, 0) => UserTarget::Functions(vec![name.clone()]),
                UserPlace::Function(name, offset) => UserTarget::SymbolOffset(name.clone(), *offset),
                UserPlace::Address(address) => UserTarget::Address(*address),
                UserPlace::Line(.., addresses) => UserTarget::Addresses(addresses.clone()),
                // Names of C++ have become symbols.
                UserPlace::Cpp(name) => UserTarget::Functions(vec![name.clone()]),
            };
            Attach::UserFunction { binary: text(binary), target, ret: *ret }
        }
        Point::Usdt { binary, provider, name, places } => {
            let (name, places) = (name.clone(), places.clone());
            Attach::Usdt { binary: text(binary), provider: text(provider), name, places }
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
        Point::Kprobe { place: KernelPlace::Address(_), .. } if !env.allow_unsafe => Some((
            "a probe in the middle of an instruction brings the kernel down".to_owned(),
            "`kprobe:function+offset` is checked; `--unsafe` allows addresses",
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
        let needs = Needs::of(script, probe);
        let mut seen: HashMap<String, String> = HashMap::new();
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
                    let message = format!("the place `{point}` cannot be found");
                    problems.push(Diagnostic::error(written.span, message).with_help(why));
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
            let routes = match Router::new(env, types, &needs).routes(&points) {
                Ok(mut routes) => {
                    // Two names of a script may be one function here.
                    routes.retain(|(index, route)| {
                        let written = &points[*index];
                        let name = written.to_string();
                        !matches!(written, Point::Kprobe { .. } | Point::Typed { .. })
                            || *seen.entry(route.point.to_string()).or_insert_with(|| name.clone()) == name
                    });
                    routes
                }
                Err(_) if !wanted => continue,
                Err(problem) => {
                    problems.extend(unreachable(problem, written.span, settings));
                    continue;
                }
            };
            let reached = routes
                .into_iter()
                .flat_map(|(index, route)| sites(&written.node.provider, &points[index], route, env, types));
            let (routes, sites): (Vec<Route>, Vec<Site>) = reached.unzip();
            let together = together(&routes, env);
            groups.push(Group { probe: index, name, span: written.span, sites, wanted, routes, together });
        }
    }
    if total > settings.max_probes {
        let message = format!("the script has {total} probes, at most {} are allowed", settings.max_probes);
        let span = script.probes.first().map_or(Span::new(0, 0), |probe| probe.span);
        problems.push(Diagnostic::error(span, message).with_help("`config = { max_probes = ...; }` allows more"));
    }
    groups
}

/// Whether the kernel has links that hold many places, and they are wanted.
fn together(routes: &[Route], env: &Environment<'_>) -> bool {
    match routes {
        [Route { point: Point::Kprobe { .. }, .. }, _, ..] => {
            env.switches.kprobe_multi && env.facts.can(Ability::KprobeMulti).is_ok()
        }
        [Route { point: Point::User { .. }, .. }, ..] => {
            env.switches.uprobe_multi && env.facts.can(Ability::UprobeMulti).is_ok()
        }
        _ => false,
    }
}

fn unreachable(problem: Unreachable, span: Span, settings: &Settings) -> Option<Diagnostic> {
    let diagnostic = match settings.host.missing_probes {
        MissingProbes::Error => Diagnostic::error(span, problem.message),
        MissingProbes::Warn => Diagnostic::warning(span, problem.message),
        MissingProbes::Ignore => return None,
    };
    Some(diagnostic.with_help(problem.help))
}

fn missing(point: &Point, span: Span, env: &Environment<'_>, settings: &Settings) -> Option<Diagnostic> {
    let message = format!("nothing fits `{point}`");
    let problem = match settings.host.missing_probes {
        MissingProbes::Error => Diagnostic::error(span, message),
        MissingProbes::Warn => Diagnostic::warning(span, message),
        MissingProbes::Ignore => return None,
    };
    Some(match suggest(point, env.probes) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem,
    })
}

/// The kinds of places that a point stands for, with what programs can read there: one, but for a USDT probe whose
/// arguments are not everywhere in the same registers.
fn sites(
    provider: &str,
    written: &Point,
    route: Route,
    env: &Environment<'_>,
    types: &mut Types<'_>,
) -> Vec<(Route, Site)> {
    if let Point::User { binary, .. } | Point::Usdt { binary, .. } = &route.point {
        types.source().traced(binary.as_deref());
    }
    let Point::Usdt { binary, provider: owner, name, .. } = &route.point else {
        let site = site(provider, written, &route, types);
        return vec![(route, site)];
    };
    let access = route.access.clone();
    let site = |arguments| Site {
        provider: providers::find(provider),
        name: written.to_string().into(),
        arguments,
        access: access.clone(),
    };
    match env.probes.usdt_sites(binary.as_deref(), owner.as_deref(), name) {
        Ok(found) if !found.is_empty() => {
            let each = |one: UsdtSite| {
                let (binary, owner, name) = (binary.clone(), owner.clone(), name.clone());
                let point = Point::Usdt { binary, provider: owner, name, places: one.places };
                (Route { point, ..route.clone() }, site(Arguments::Usdt(one.arguments)))
            };
            found.into_iter().map(each).collect()
        }
        // Attaching says what is wrong with the name.
        Ok(_) => vec![(route.clone(), site(Arguments::None("the binary has no such probe".to_owned())))],
        Err(why) => vec![(route.clone(), site(Arguments::None(why)))],
    }
}

/// What programs can read at a place that the script calls `written`, by the way there.
fn site(provider: &str, written: &Point, route: &Route, types: &mut Types<'_>) -> Site {
    let provider = providers::find(provider);
    // Named arguments are those of the function that was written.
    let described = match (written, &route.point) {
        (Point::Typed { .. }, Point::Kprobe { .. } | Point::RawTracepoint { .. } | Point::SystemCall { .. })
        | (Point::Tracepoint { .. }, Point::RawTracepoint { .. } | Point::SystemCall { .. }) => written,
        _ => &route.point,
    };
    let arguments = match described {
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
        Point::Program { .. } => Arguments::None("the types of other programs are not read".to_owned()),
        Point::Typed { module, function, .. } => {
            match types.source().function(module.as_deref().unwrap_or(""), function) {
                Some(prototype) => Arguments::Words(prototype),
                None => Arguments::None(format!("the kernel's types have no function `{function}`")),
            }
        }
        Point::User { binary, place: UserPlace::Function(function, 0), .. } => {
            Arguments::Function { binary: binary.clone(), function: function.clone() }
        }
        _ => Arguments::None("where arguments are is known at the start of a function only".to_owned()),
    };
    Site { provider, name: written.to_string().into(), arguments, access: route.access.clone() }
}

/// The type of the programs of a type of probe.
pub const fn kernel_program(kind: providers::Kind) -> ProgType {
    use providers::Kind as K;
    match kind {
        K::Begin | K::End | K::Own | K::RawTracepoint => ProgType::RawTracepoint,
        // The kernel runs programs of this type as often as it is asked to, and tells what they return.
        K::Test | K::Bench => ProgType::Xdp,
        K::Kprobe | K::Kretprobe | K::Uprobe | K::Uretprobe | K::Usdt => ProgType::Kprobe,
        K::Fentry | K::Fexit | K::Iter => ProgType::Tracing,
        K::Tracepoint => ProgType::Tracepoint,
        K::Profile | K::Interval | K::Software | K::Hardware | K::Watchpoint => ProgType::PerfEvent,
    }
}

/// Program type, attach type and section of the program of an instance.
pub fn program(instance: &Instance) -> (ProgType, Option<AttachType>, String) {
    let Some((_, attach, _)) = instance.attach.first() else {
        return (ProgType::RawTracepoint, None, "raw_tp".to_owned());
    };
    let side = |ret: &bool, entry: &'static str, exit: &'static str| if *ret { exit } else { entry };
    match attach {
        Attach::Begin | Attach::End | Attach::Signal { .. } => (ProgType::RawTracepoint, None, "raw_tp".to_owned()),
        Attach::Test { .. } | Attach::Bench { .. } => (ProgType::Xdp, None, "xdp".to_owned()),
        Attach::KernelFunction { functions, offset, ret } => {
            let prefix = side(ret, "kprobe", "kretprobe");
            match functions.as_slice() {
                // The module is in the plan; sections have no place for it.
                [name] if !instance.many => {
                    let name = name.rsplit(':').next().unwrap_or(name);
                    let behind = if *offset == 0 { String::new() } else { format!("+{offset}") };
                    (ProgType::Kprobe, None, format!("{prefix}/{name}{behind}"))
                }
                _ => (ProgType::Kprobe, Some(AttachType::TraceKprobeMulti), format!("{prefix}.multi")),
            }
        }
        Attach::KernelAddress { ret, .. } => (ProgType::Kprobe, None, side(ret, "kprobe", "kretprobe").to_owned()),
        Attach::Typed { function, ret, .. } => {
            let kind = if *ret { AttachType::TraceFexit } else { AttachType::TraceFentry };
            (ProgType::Tracing, Some(kind), format!("{}/{function}", side(ret, "fentry", "fexit")))
        }
        Attach::Program { name, ret, .. } => {
            let kind = if *ret { AttachType::TraceFexit } else { AttachType::TraceFentry };
            (ProgType::Tracing, Some(kind), format!("{}/{name}", side(ret, "fentry", "fexit")))
        }
        Attach::RawTracepoint { event } => (ProgType::RawTracepoint, None, format!("raw_tp/{event}")),
        // The host puts it into a table.
        Attach::SystemCall { .. } => (ProgType::RawTracepoint, None, "raw_tp".to_owned()),
        Attach::Tracepoint { category, event } => {
            (ProgType::Tracepoint, None, format!("tracepoint/{category}/{event}"))
        }
        Attach::Profile(_)
        | Attach::Interval(_)
        | Attach::Software { .. }
        | Attach::Hardware { .. }
        | Attach::Watchpoint { .. } => (ProgType::PerfEvent, None, "perf_event".to_owned()),
        Attach::UserFunction { ret, .. } if instance.many => {
            let section = side(ret, "uprobe.multi", "uretprobe.multi").to_owned();
            (ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), section)
        }
        Attach::UserFunction { ret, .. } => (ProgType::Kprobe, None, side(ret, "uprobe", "uretprobe").to_owned()),
        Attach::Usdt { .. } => (ProgType::Kprobe, None, "usdt".to_owned()),
        Attach::Iterator { kind, .. } => (ProgType::Tracing, Some(AttachType::TraceIter), format!("iter/{kind}")),
    }
}

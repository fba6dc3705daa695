//! Wildcards: which places an attach point with `*` means.

use super::{Event, HARDWARE_EVENTS, KernelPlace, Point, SOFTWARE_EVENTS, UserPlace};
use crate::types::user::UsdtSite;
use crate::words;

/// What the machine has to attach to. Each list is asked for only when a wildcard needs it. An error says why the list is
/// not available and what would help.
pub trait ProbeSource {
    /// Functions of the kernel that a kprobe can be attached to: module (empty for the kernel itself) and name.
    ///
    /// # Errors
    /// Why the list is not available.
    fn functions(&self) -> Result<Vec<(String, String)>, String>;
    /// Functions of the kernel with types in BTF, for fentry and fexit: module (`vmlinux` for the kernel itself) and name.
    ///
    /// # Errors
    /// Why the list is not available.
    fn typed_functions(&self) -> Result<Vec<(String, String)>, String>;
    /// BPF programs that are loaded: id and name.
    ///
    /// # Errors
    /// Why the list is not available.
    fn programs(&self) -> Result<Vec<(u32, String)>, String>;
    /// Tracepoints: category and event.
    ///
    /// # Errors
    /// Why the list is not available.
    fn tracepoints(&self) -> Result<Vec<(String, String)>, String>;
    /// Raw tracepoints: module (`vmlinux` for the kernel itself) and event.
    ///
    /// # Errors
    /// Why the list is not available.
    fn raw_tracepoints(&self) -> Result<Vec<(String, String)>, String>;
    /// Kinds of iterators.
    ///
    /// # Errors
    /// Why the list is not available.
    fn iterators(&self) -> Result<Vec<String>, String>;
    /// Binaries whose path fits a pattern; with the pattern `*`, those of the process of `-p`.
    ///
    /// # Errors
    /// Why the list is not available.
    fn binaries(&self, pattern: &str) -> Result<Vec<String>, String>;
    /// Symbols of functions in a binary; `None` is the binary of the process of `-p`.
    ///
    /// # Errors
    /// Why the list is not available.
    fn symbols(&self, binary: Option<&str>) -> Result<Vec<String>, String>;
    /// Probes that a binary declares: provider and name.
    ///
    /// # Errors
    /// Why the list is not available.
    fn usdt(&self, binary: Option<&str>) -> Result<Vec<(String, String)>, String>;
    /// The places of a probe that a binary declares, those with the same arguments together; without a provider of any.
    ///
    /// # Errors
    /// Why they are not known.
    fn usdt_sites(&self, _binary: Option<&str>, _provider: Option<&str>, _name: &str) -> Result<Vec<UsdtSite>, String> {
        Err("the notes of the binary are not read here".to_owned())
    }
    /// Functions in a binary that have names of C++ or Rust: the name as people read it, and the symbol.
    ///
    /// # Errors
    /// Why the list is not available.
    fn readable_functions(&self, _binary: Option<&str>) -> Result<Vec<(String, String)>, String> {
        Err("the symbols of the binary are not read here".to_owned())
    }
    /// The addresses in a binary at which the code of a line of a source file begins, one for each function that holds
    /// the line or a copy of it.
    ///
    /// # Errors
    /// Why there is none, and what would help.
    fn line(&self, _binary: Option<&str>, _file: &str, _line: u32, _column: Option<u32>) -> Result<Vec<u64>, String> {
        Err("the debug information of the binary is not read here".to_owned())
    }
}

/// Whether a text fits a pattern, in which `*` stands for any letters, also none.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, begun)) = star {
            // The last star takes one letter more.
            star = Some((at, begun + 1));
            p = at + 1;
            t = begun + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

fn wild(text: &str) -> bool {
    text.contains('*')
}

fn wild_in(text: Option<&String>) -> bool {
    text.is_some_and(|text| wild(text))
}

/// The pairs that fit; a module that is not named fits any.
fn pairs(list: Vec<(String, String)>, module: Option<&String>, name: &str) -> Vec<(String, String)> {
    let fits = |(m, n): &(String, String)| module.is_none_or(|module| matches(module, m)) && matches(name, n);
    list.into_iter().filter(fits).collect()
}

/// The places that an attach point means: itself if it has no `*`, otherwise those of the source that fit, which may be
/// none. The order is that of the source, without repetitions.
///
/// # Errors
/// Why the source cannot tell.
pub fn expand(point: &Point, source: &dyn ProbeSource) -> Result<Vec<Point>, String> {
    let mut points = match point {
        Point::Kprobe { ret, module, place: KernelPlace::Function(name, offset) }
            if wild(name) || wild_in(module.as_ref()) =>
        {
            let found = pairs(source.functions()?, module.as_ref(), name);
            let place = |name| KernelPlace::Function(name, *offset);
            let module = |m: String| if module.is_some() && !m.is_empty() { Some(m) } else { None };
            found
                .into_iter()
                .map(|(m, name)| Point::Kprobe { ret: *ret, module: module(m), place: place(name) })
                .collect()
        }
        Point::Typed { ret, module, function } if wild(function) || wild_in(module.as_ref()) => {
            let found = pairs(source.typed_functions()?, module.as_ref(), function);
            found.into_iter().map(|(m, function)| Point::Typed { ret: *ret, module: Some(m), function }).collect()
        }
        Point::Program { ret, id, name } if wild(name) => {
            let fits = |(i, n): &(u32, String)| id.is_none_or(|id| id == *i) && matches(name, n);
            let found = source.programs()?.into_iter().filter(fits);
            found.map(|(id, name)| Point::Program { ret: *ret, id: Some(id), name }).collect()
        }
        Point::RawTracepoint { module, event } if wild(event) || wild_in(module.as_ref()) => {
            let found = pairs(source.raw_tracepoints()?, module.as_ref(), event);
            found.into_iter().map(|(m, event)| Point::RawTracepoint { module: Some(m), event }).collect()
        }
        Point::Tracepoint { category, event } if wild(category) || wild(event) => {
            let found = pairs(source.tracepoints()?, Some(category), event);
            found.into_iter().map(|(category, event)| Point::Tracepoint { category, event }).collect()
        }
        Point::Software { name, count, .. } if wild(name) => {
            events(SOFTWARE_EVENTS, name, *count, |name, event, count| Point::Software { name, event, count })
        }
        Point::Hardware { name, count, .. } if wild(name) => {
            events(HARDWARE_EVENTS, name, *count, |name, event, count| Point::Hardware { name, event, count })
        }
        Point::Iter { kind, pin } if wild(kind) => {
            let found = source.iterators()?.into_iter().filter(|name| matches(kind, name));
            found.map(|kind| Point::Iter { kind, pin: pin.clone() }).collect()
        }
        Point::User { .. } | Point::Usdt { .. } => user(point, source)?,
        _ => vec![point.clone()],
    };
    let mut seen = std::collections::HashSet::new();
    points.retain(|point| seen.insert(point.to_string()));
    Ok(points)
}

fn events(table: &[Event], pattern: &str, count: u64, make: impl Fn(String, u64, u64) -> Point) -> Vec<Point> {
    let found = table.iter().filter(|event| matches(pattern, event.name));
    found.map(|event| make(event.name.to_owned(), event.number, if count == 0 { event.count } else { count })).collect()
}

/// Binaries first, then what is in each.
fn user(point: &Point, source: &dyn ProbeSource) -> Result<Vec<Point>, String> {
    let (Point::User { binary, .. } | Point::Usdt { binary, .. }) = point else { return Ok(vec![point.clone()]) };
    let binaries = match binary {
        Some(pattern) if wild(pattern) => source.binaries(pattern)?.into_iter().map(Some).collect(),
        binary => vec![binary.clone()],
    };
    let mut points = Vec::new();
    for binary in binaries {
        match point {
            Point::User { ret, place: UserPlace::Function(name, offset), .. } if wild(name) => {
                let found = source.symbols(binary.as_deref())?.into_iter().filter(|symbol| matches(name, symbol));
                let place = |symbol| UserPlace::Function(symbol, *offset);
                points.extend(found.map(|symbol| Point::User {
                    ret: *ret,
                    binary: binary.clone(),
                    place: place(symbol),
                }));
            }
            Point::User { ret, place: UserPlace::Cpp(name), .. } => {
                let found = source.readable_functions(binary.as_deref())?;
                let found = found.into_iter().filter(|(readable, _)| is_called(name, readable));
                let place = |symbol| UserPlace::Function(symbol, 0);
                points.extend(found.map(|(_, symbol)| Point::User {
                    ret: *ret,
                    binary: binary.clone(),
                    place: place(symbol),
                }));
            }
            Point::User { ret, place: UserPlace::Line(file, line, column, _), .. } => {
                let addresses = source.line(binary.as_deref(), file, *line, *column)?;
                let place = UserPlace::Line(file.clone(), *line, *column, addresses);
                points.push(Point::User { ret: *ret, binary, place });
            }
            Point::User { ret, place, .. } => points.push(Point::User { ret: *ret, binary, place: place.clone() }),
            Point::Usdt { provider, name, .. } if wild(name) || wild_in(provider.as_ref()) => {
                let found = pairs(source.usdt(binary.as_deref())?, provider.as_ref(), name);
                let make = |(provider, name)| Point::Usdt {
                    binary: binary.clone(),
                    provider: Some(provider),
                    name,
                    places: Vec::new(),
                };
                points.extend(found.into_iter().map(make));
            }
            Point::Usdt { provider, name, .. } => {
                let (provider, name) = (provider.clone(), name.clone());
                points.push(Point::Usdt { binary, provider, name, places: Vec::new() });
            }
            _ => {}
        }
    }
    Ok(points)
}

/// Whether a readable name is what was written: the whole, or without its parameters if none were written. Blanks do not
/// count.
fn is_called(written: &str, readable: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|letter| *letter != ' ').collect::<String>();
    let (written, readable) = (plain(written), plain(readable));
    if written.contains('(') {
        return matches(&written, &readable);
    }
    matches(&written, readable.split_once('(').map_or(readable.as_str(), |(name, _)| name))
}

/// What was probably meant by a place that does not exist: the name in the source that is most like it.
pub fn suggest(point: &Point, source: &dyn ProbeSource) -> Option<String> {
    let near = |name: &str, list: Vec<(String, String)>| {
        let likely = words::nearest(name, list.iter().map(|(_, name)| name.as_str()));
        likely.map(str::to_owned)
    };
    match point {
        Point::Kprobe { place: KernelPlace::Function(name, _), .. } => near(name, source.functions().ok()?),
        Point::Typed { function, .. } => near(function, source.typed_functions().ok()?),
        Point::RawTracepoint { event, .. } => near(event, source.raw_tracepoints().ok()?),
        Point::Tracepoint { category, event } => {
            let list = source.tracepoints().ok()?;
            let inside = list.iter().filter(|(c, _)| c == category).map(|(_, event)| event.as_str());
            match words::nearest(event, inside) {
                Some(likely) => Some(format!("{category}:{likely}")),
                None => {
                    let likely = list.iter().find(|(_, e)| e == event)?;
                    Some(format!("{}:{event}", likely.0))
                }
            }
        }
        Point::User { binary, place: UserPlace::Function(name, _), .. } => {
            let symbols = source.symbols(binary.as_deref()).ok()?;
            words::nearest(name, symbols.iter().map(String::as_str)).map(str::to_owned)
        }
        Point::User { binary, place: UserPlace::Cpp(name), .. } => {
            let wanted = name.split('(').next().unwrap_or(name);
            let all = source.readable_functions(binary.as_deref()).ok()?;
            let bare = |readable: &'_ str| readable.split('(').next().unwrap_or_default().to_owned();
            let names: Vec<String> = all.iter().map(|(readable, _)| bare(readable)).collect();
            words::nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
        }
        Point::Usdt { binary, name, .. } => near(name, source.usdt(binary.as_deref()).ok()?),
        Point::Iter { kind, .. } => {
            let kinds = source.iterators().ok()?;
            words::nearest(kind, kinds.iter().map(String::as_str)).map(str::to_owned)
        }
        _ => None,
    }
}

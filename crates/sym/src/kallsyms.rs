//! Symbols of the kernel: `/proc/kallsyms`, and the functions that can be traced.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use skep_kernel::KernelError;
use skep_kernel::attach::Tracefs;

use crate::error::SymError;
use crate::pattern::Pattern;

/// A symbol of the kernel or of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelSymbol {
    /// Its address.
    pub address: u64,
    /// The letter of `nm`: `t` and `T` for code, `d`, `b`, `r` for data.
    pub kind: char,
    /// Its name; several symbols may have the same.
    pub name: String,
    /// The module that it belongs to; `None` for the kernel itself.
    pub module: Option<String>,
}

/// The symbols of the running kernel, read when first asked for.
#[derive(Debug, Default)]
pub struct Kallsyms {
    symbols: OnceLock<Result<Vec<KernelSymbol>, SymError>>,
    /// Positions in the order of names.
    by_name: OnceLock<Vec<u32>>,
}

impl Kallsyms {
    /// Nothing is read yet.
    pub const fn new() -> Self {
        Self { symbols: OnceLock::new(), by_name: OnceLock::new() }
    }

    /// Symbols out of a text of the form of `/proc/kallsyms`.
    ///
    /// # Errors
    /// [`SymError::Hidden`] if all addresses are 0.
    pub fn parse(text: &str) -> Result<Self, SymError> {
        let kallsyms = Self::new();
        let symbols = read(text)?;
        let _ = kallsyms.symbols.set(Ok(symbols));
        Ok(kallsyms)
    }

    /// All symbols in the order of their addresses.
    ///
    /// # Errors
    /// [`SymError::File`] if `/proc/kallsyms` cannot be read (CONFIG_KALLSYMS), [`SymError::Hidden`].
    pub fn symbols(&self) -> Result<&[KernelSymbol], SymError> {
        let load = || {
            let path = Path::new("/proc/kallsyms");
            let text = fs::read(path).map_err(|error| SymError::file(path, &error))?;
            read(&String::from_utf8_lossy(&text))
        };
        self.symbols.get_or_init(load).as_deref().map_err(Clone::clone)
    }

    /// The symbols with a name, in the order of their addresses.
    ///
    /// # Errors
    /// As for [`symbols`](Self::symbols).
    pub fn named(&self, name: &str) -> Result<Vec<&KernelSymbol>, SymError> {
        let symbols = self.symbols()?;
        let order = self.by_name.get_or_init(|| {
            let mut order: Vec<u32> = (0..u32::try_from(symbols.len()).unwrap_or(u32::MAX)).collect();
            order.sort_by(|a, b| symbols[*a as usize].name.cmp(&symbols[*b as usize].name));
            order
        });
        let start = order.partition_point(|&at| symbols[at as usize].name.as_str() < name);
        let found = order[start..].iter().map(|&at| &symbols[at as usize]);
        Ok(found.take_while(|symbol| symbol.name == name).collect())
    }

    /// The address of the only code or data with a name.
    ///
    /// # Errors
    /// [`SymError::Missing`] if there is none, or several; and as for [`symbols`](Self::symbols).
    pub fn address(&self, name: &str) -> Result<u64, SymError> {
        let found = self.named(name)?;
        let remedy = match found.as_slice() {
            [symbol] => return Ok(symbol.address),
            [] => String::new(),
            several => format!("{} symbols have this name; give an address", several.len()),
        };
        let place = "/proc/kallsyms".to_owned();
        Err(SymError::Missing { what: "single symbol", name: name.to_owned(), place, remedy })
    }

    /// The symbol at or below an address and the distance from its start; `None` below the first.
    ///
    /// # Errors
    /// As for [`symbols`](Self::symbols).
    pub fn at(&self, address: u64) -> Result<Option<(&KernelSymbol, u64)>, SymError> {
        let symbols = self.symbols()?;
        let end = symbols.partition_point(|symbol| symbol.address <= address);
        Ok(end.checked_sub(1).map(|at| (&symbols[at], address - symbols[at].address)))
    }
}

/// Reads lines of address, kind, name and `[module]`; those of another form are left out.
fn read(text: &str) -> Result<Vec<KernelSymbol>, SymError> {
    let mut symbols: Vec<KernelSymbol> = text.lines().filter_map(line).collect();
    if !symbols.is_empty() && symbols.iter().all(|symbol| symbol.address == 0) {
        return Err(SymError::Hidden);
    }
    symbols.sort_by_key(|symbol| symbol.address);
    Ok(symbols)
}

fn line(line: &str) -> Option<KernelSymbol> {
    let mut words = line.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let kind = words.next()?.chars().next()?;
    let name = words.next()?.to_owned();
    let module = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']')).map(str::to_owned);
    Some(KernelSymbol { address, kind, name, module })
}

/// A function that the function tracer, and so fentry and links of many kprobes, can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceableFunction {
    /// Its name.
    pub name: String,
    /// The module that it belongs to; `None` for the kernel itself.
    pub module: Option<String>,
}

/// The traceable functions whose names fit a pattern, in the order of the kernel (`available_filter_functions` in the
/// tracing file system).
///
/// # Errors
/// [`KernelError::Invalid`] if the tracing file system is not mounted, [`KernelError::Unsupported`] if the kernel has no
/// function tracer (CONFIG_FUNCTION_TRACER), [`KernelError::NotPermitted`].
pub fn traceable_functions(pattern: &Pattern) -> Result<Vec<TraceableFunction>, KernelError> {
    let tracefs = Tracefs::find()?;
    let text = tracefs.traceable_functions()?;
    Ok(text.lines().filter_map(traceable).filter(|function| pattern.matches(&function.name)).collect())
}

fn traceable(line: &str) -> Option<TraceableFunction> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?.to_owned();
    let module = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']')).map(str::to_owned);
    Some(TraceableFunction { name, module })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ffff0010 T second\nffff0000 T _text\nffff0020 t twice\nffff0040 t twice [nf]\nbroken\n";

    #[test]
    fn names_and_addresses() {
        let kallsyms = Kallsyms::parse(TEXT).unwrap();
        assert_eq!(kallsyms.address("second").unwrap(), 0xffff_0010);
        let (symbol, distance) = kallsyms.at(0xffff_001f).unwrap().unwrap();
        assert_eq!((symbol.name.as_str(), distance), ("second", 15));
        assert_eq!(kallsyms.at(1).unwrap(), None);
        assert_eq!(kallsyms.named("twice").unwrap().len(), 2);
        assert_eq!(kallsyms.at(0xffff_0041).unwrap().unwrap().0.module.as_deref(), Some("nf"));
        assert!(kallsyms.address("twice").unwrap_err().to_string().contains("2 symbols have this name"));
        assert!(kallsyms.address("third").is_err());
        assert_eq!(Kallsyms::parse("0 T a\n0 T b\n").unwrap_err(), SymError::Hidden);
    }

    #[test]
    fn lines_of_traceable_functions() {
        assert_eq!(traceable("a [b]"), Some(TraceableFunction { name: "a".to_owned(), module: Some("b".to_owned()) }));
        assert_eq!(traceable(""), None);
    }
}

//! Symbols of the kernel: `/proc/kallsyms`, and the functions that can be traced.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::OnceLock;

use skep_kernel::KernelError;
use skep_kernel::attach::Tracefs;

use crate::error::SymError;
use crate::pattern::Pattern;

/// A symbol of the kernel or of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelSymbol<'a> {
    /// Its address.
    pub address: u64,
    /// The letter of `nm`: `t` and `T` for code, `d`, `b`, `r` for data.
    pub kind: char,
    /// Its name; several symbols may have the same.
    pub name: &'a str,
    /// The module that it belongs to; `None` for the kernel itself.
    pub module: Option<&'a str>,
}

/// The symbols of the running kernel, read when first asked for.
#[derive(Debug, Default)]
pub struct Kallsyms {
    table: OnceLock<Result<Table, SymError>>,
}

/// All symbols. There are some 200,000, so what is kept of each is small.
#[derive(Debug, Default)]
struct Table {
    /// In the order of addresses.
    entries: Vec<Entry>,
    /// All names, a line each.
    names: String,
    modules: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    address: u64,
    /// Where the name begins.
    name: u32,
    /// Number of the module, counted from 1; 0 is the kernel.
    module: u16,
    kind: u8,
}

impl Kallsyms {
    /// Nothing is read yet.
    pub const fn new() -> Self {
        Self { table: OnceLock::new() }
    }

    /// Symbols out of a text of the form of `/proc/kallsyms`.
    ///
    /// # Errors
    /// [`SymError::Hidden`] if all addresses are 0.
    pub fn parse(text: &str) -> Result<Self, SymError> {
        let kallsyms = Self::new();
        let table = Table::read(text.as_bytes(), Path::new("/proc/kallsyms"))?;
        let _ = kallsyms.table.set(Ok(table));
        Ok(kallsyms)
    }

    fn table(&self) -> Result<&Table, SymError> {
        let load = || {
            let path = Path::new("/proc/kallsyms");
            let file = File::open(path).map_err(|error| SymError::file(path, &error))?;
            Table::read(BufReader::with_capacity(64 << 10, file), path)
        };
        self.table.get_or_init(load).as_ref().map_err(Clone::clone)
    }

    /// All symbols in the order of their addresses.
    ///
    /// # Errors
    /// [`SymError::File`] if `/proc/kallsyms` cannot be read (CONFIG_KALLSYMS), [`SymError::Hidden`].
    pub fn symbols(&self) -> Result<impl ExactSizeIterator<Item = KernelSymbol<'_>>, SymError> {
        let table = self.table()?;
        Ok(table.entries.iter().map(|entry| table.symbol(entry)))
    }

    /// The symbols with a name, in the order of their addresses.
    ///
    /// # Errors
    /// As for [`symbols`](Self::symbols).
    pub fn named(&self, name: &str) -> Result<Vec<KernelSymbol<'_>>, SymError> {
        Ok(self.symbols()?.filter(|symbol| symbol.name == name).collect())
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
    pub fn at(&self, address: u64) -> Result<Option<(KernelSymbol<'_>, u64)>, SymError> {
        let table = self.table()?;
        let end = table.entries.partition_point(|entry| entry.address <= address);
        let last = end.checked_sub(1).map(|at| &table.entries[at]);
        Ok(last.map(|entry| (table.symbol(entry), address - entry.address)))
    }
}

impl Table {
    /// Reads lines of address, kind, name and `[module]`; those of another form are left out.
    fn read(mut text: impl BufRead, path: &Path) -> Result<Self, SymError> {
        let (mut table, mut line) = (Self::default(), Vec::new());
        loop {
            line.clear();
            match text.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(SymError::file(path, &error)),
            }
            table.add(&String::from_utf8_lossy(&line));
        }
        if !table.entries.is_empty() && table.entries.iter().all(|entry| entry.address == 0) {
            return Err(SymError::Hidden);
        }
        table.entries.sort_by_key(|entry| entry.address);
        table.entries.shrink_to_fit();
        Ok(table)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let kind = *words.next()?.as_bytes().first()?;
        let (name, at) = (words.next()?, u32::try_from(self.names.len()).ok()?);
        let module = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
        let module = module.and_then(|module| self.module(module)).unwrap_or(0);
        self.names.push_str(name);
        self.names.push('\n');
        self.entries.push(Entry { address, name: at, module, kind });
        Some(())
    }

    /// The number of a module. Those of one module follow each other.
    fn module(&mut self, name: &str) -> Option<u16> {
        if self.modules.last().is_none_or(|last| last != name) {
            self.modules.push(name.to_owned());
        }
        u16::try_from(self.modules.len()).ok()
    }

    fn symbol(&self, entry: &Entry) -> KernelSymbol<'_> {
        let rest = self.names.get(entry.name as usize..).unwrap_or_default();
        KernelSymbol {
            address: entry.address,
            kind: entry.kind.into(),
            name: rest.split_once('\n').map_or(rest, |(name, _)| name),
            module: usize::from(entry.module).checked_sub(1).and_then(|at| self.modules.get(at)).map(String::as_str),
        }
    }
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
        assert_eq!((symbol.name, distance), ("second", 15));
        assert_eq!(kallsyms.at(1).unwrap(), None);
        assert_eq!(kallsyms.named("twice").unwrap().len(), 2);
        assert_eq!(kallsyms.at(0xffff_0041).unwrap().unwrap().0.module, Some("nf"));
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

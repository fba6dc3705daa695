//! Programs and libraries that a script traces, as the compiler of scripts sees them: types from their debug information,
//! places of lines, names of C++, arguments of USDT probes.
//!
//! Binaries and their debug information are read when they are first asked for.

mod convert;
mod usdt;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use skep_lang_script::compile::ProgramSymbol;
use skep_lang_script::types::user::UserFunction;
use skep_lang_script::types::{Composite, Tag, Type};
use skep_sym::{Binary, DebugDirs, DebugInfo, EntryId, Mapping, SymbolKind, demangle, mappings, resolve};

pub use usdt::usdt_sites;

/// The number of the first composite of a program; those of the kernel's types are below.
pub const FIRST_COMPOSITE: u32 = 1 << 31;

/// The programs of one compilation.
#[derive(Debug)]
pub struct Programs {
    process: Option<u32>,
    directories: DebugDirs,
    /// By the name that the script has for them; empty for the binary of the process.
    known: RefCell<Vec<(String, Opened)>>,
    composites: RefCell<Composites>,
    functions: RefCell<Functions>,
}

/// A program, or why it cannot be read.
type Opened = Result<Rc<Program>, String>;

/// Functions by program and symbol, or why they are not known.
type Functions = HashMap<(String, String), Result<Arc<UserFunction>, String>>;

/// A program or library.
#[derive(Debug)]
pub struct Program {
    /// Its symbols and probes.
    pub binary: Binary,
    debug: OnceCell<Result<DebugInfo, String>>,
}

/// Structures of programs that were met, each with a number.
#[derive(Debug, Default)]
struct Composites {
    /// Number of the program, and the entry in it.
    list: Vec<(usize, EntryId)>,
    by_entry: HashMap<(usize, EntryId), u32>,
    /// By program, name and layout: every unit of a program describes the structures that it uses anew.
    by_layout: HashMap<(usize, String), u32>,
    read: HashMap<u32, Arc<Composite>>,
}

/// Marks of clones that the compiler made with a calling convention of their own (GCC).
const CLONES: [&str; 3] = [".constprop.", ".isra.", ".part."];

impl Programs {
    /// Nothing is read yet. `process` is that of `-p` or `-c`.
    pub fn new(process: Option<u32>, directories: DebugDirs) -> Self {
        Self {
            process,
            directories,
            known: RefCell::default(),
            composites: RefCell::default(),
            functions: RefCell::default(),
        }
    }

    /// A program by the name that the script has for it; `None` is that of the process.
    ///
    /// # Errors
    /// Why it cannot be found or read.
    pub fn open(&self, name: Option<&str>) -> Result<Rc<Program>, String> {
        let number = self.number(name);
        self.known.borrow()[number].1.clone()
    }

    fn number(&self, name: Option<&str>) -> usize {
        let key = name.unwrap_or_default();
        if let Some(found) = self.known.borrow().iter().position(|known| known.0 == key) {
            return found;
        }
        let program = self.read(name).map(Rc::new);
        let mut known = self.known.borrow_mut();
        known.push((key.to_owned(), program));
        known.len() - 1
    }

    fn read(&self, name: Option<&str>) -> Result<Program, String> {
        let path = match (name, self.process) {
            (Some(name), process) => resolve(name, process).map_err(|error| error.to_string())?,
            (None, Some(process)) => PathBuf::from(format!("/proc/{process}/exe")),
            (None, None) => return Err("there is no process (`-p`) whose binary is meant".to_owned()),
        };
        let binary = Binary::open_with_debug(path, &self.directories).map_err(|error| error.to_string())?;
        Ok(Program { binary, debug: OnceCell::new() })
    }

    fn program(&self, number: usize) -> Option<Rc<Program>> {
        self.known.borrow().get(number)?.1.clone().ok()
    }

    fn debug<'p>(&self, program: &'p Program) -> Result<&'p DebugInfo, String> {
        let open = || DebugInfo::open(&program.binary, &self.directories).map_err(|error| error.to_string());
        program.debug.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    /// A function by its symbol.
    ///
    /// # Errors
    /// Why its arguments are not known.
    pub fn function(&self, binary: Option<&str>, name: &str) -> Result<Arc<UserFunction>, String> {
        let key = (binary.unwrap_or_default().to_owned(), name.to_owned());
        if let Some(known) = self.functions.borrow().get(&key) {
            return known.clone();
        }
        let found = self.read_function(binary, name).map(Arc::new);
        self.functions.borrow_mut().insert(key, found.clone());
        found
    }

    fn read_function(&self, binary: Option<&str>, name: &str) -> Result<UserFunction, String> {
        if CLONES.iter().any(|mark| name.contains(mark)) {
            return Err(
                "the compiler has made this copy of the function with a calling convention of its own".to_owned()
            );
        }
        let number = self.number(binary);
        let program = self.open(binary)?;
        let symbol = program.binary.function(name).map_err(|error| error.to_string())?;
        let debug = self.debug(&program)?;
        let function = debug.function(symbol.address).map_err(|error| error.to_string())?;
        Ok(self.convert_function(number, debug, &function))
    }

    /// The addresses of a line.
    ///
    /// # Errors
    /// Why there is none, with what there is instead.
    pub fn line(&self, binary: Option<&str>, file: &str, line: u32, column: Option<u32>) -> Result<Vec<u64>, String> {
        let program = self.open(binary)?;
        self.debug(&program)?.line(file, line, column).map_err(|error| error.to_string())
    }

    /// Functions with names of C++ and Rust: readable name and symbol.
    ///
    /// # Errors
    /// Why the binary cannot be read.
    pub fn readable_functions(&self, binary: Option<&str>) -> Result<Vec<(String, String)>, String> {
        let program = self.open(binary)?;
        let named =
            program.binary.functions().filter_map(|symbol| Some((demangle(&symbol.name)?, symbol.name.clone())));
        let mut found: Vec<(String, String)> = named.collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// A symbol, of a function or of data, and where the process has the file, if there is one that has it.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn symbol(&self, binary: Option<&str>, name: &str) -> Result<ProgramSymbol, String> {
        let program = self.open(binary)?;
        let file = &program.binary;
        let named = file.symbols().iter().find(|symbol| symbol.name == name && symbol.kind != SymbolKind::Plt);
        let missing = || format!("`{}` has no symbol `{name}`; `nm` lists those that it has", file.path().display());
        let symbol = named.ok_or_else(missing)?;
        let base = if file.is_fixed() { Some(0) } else { self.base(file) };
        Ok(ProgramSymbol { address: symbol.address, bytes: symbol.size, base })
    }

    /// What has to be added to the addresses of a file in the process.
    fn base(&self, file: &Binary) -> Option<u64> {
        let process = self.process?;
        let identity = |path: &Path| std::fs::metadata(path).ok().map(|facts| (facts.dev(), facts.ino()));
        let wanted = identity(file.path())?;
        let root = PathBuf::from(format!("/proc/{process}/root"));
        let all = mappings(process).ok()?;
        let same = |mapping: &&Mapping| {
            let inner = mapping.path.strip_prefix("/").unwrap_or(&mapping.path);
            identity(&root.join(inner)) == Some(wanted)
        };
        all.iter().filter(same).find_map(|mapping| file.load_base(mapping))
    }

    /// The type with a name in one of the programs that were opened and have debug information.
    pub fn find(&self, tag: Tag, name: &str) -> Option<Type> {
        self.in_each(|number, debug| {
            let tag = match tag {
                Tag::Struct => Some("struct"),
                Tag::Union => Some("union"),
                Tag::Enum => Some("enum"),
                Tag::Plain => None,
            };
            debug.find(tag, name).map(|entry| self.convert(number, debug, Some(entry)))
        })
    }

    /// The value and type of an enumerator of one of the programs.
    pub fn enumerator(&self, name: &str) -> Option<(i64, Type)> {
        self.in_each(|number, debug| {
            let (value, entry) = debug.enumerator(name)?;
            Some((value, self.convert(number, debug, Some(entry))))
        })
    }

    fn in_each<T>(&self, wanted: impl Fn(usize, &DebugInfo) -> Option<T>) -> Option<T> {
        let count = self.known.borrow().len();
        (0..count).find_map(|number| {
            let program = self.program(number)?;
            wanted(number, self.debug(&program).ok()?)
        })
    }

    /// A composite by its number, from [`FIRST_COMPOSITE`] on.
    pub fn composite(&self, number: u32) -> Option<Arc<Composite>> {
        if let Some(known) = self.composites.borrow().read.get(&number) {
            return Some(known.clone());
        }
        let index = number.checked_sub(FIRST_COMPOSITE)?;
        let (program, entry) = *self.composites.borrow().list.get(index as usize)?;
        let open = self.program(program)?;
        let read = Arc::new(self.convert_composite(program, self.debug(&open).ok()?, entry)?);
        self.composites.borrow_mut().read.insert(number, read.clone());
        Some(read)
    }
}

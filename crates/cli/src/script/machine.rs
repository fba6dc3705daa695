//! What the compiler asks about the machine: types, places to attach to, facts; files that scripts import.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_btf::{Btf, Kind, TypeId};
use skep_kernel::attach::Tracefs;
use skep_kernel::inventory::{KernelTypes, program_names};
use skep_kernel::probe::Prober;
use skep_lang_script::Options;
use skep_lang_script::ast::Script;
use skep_lang_script::compile::{Ability, Facts, NoFacts, ProgramSymbol};
use skep_lang_script::desugar::{FileKind, Loaded, Loader};
use skep_lang_script::providers::{Kind as ProbeKind, ProbeSource, find};
use skep_lang_script::types::btf::BtfTypes;
use skep_lang_script::types::user::{UsdtSite, UserFunction};
use skep_lang_script::types::{Composite, Prototype, Step, Tag, Type, TypeSource};
use skep_sym::{DebugDirs, Kallsyms, Pattern, mappings, traceable_functions};
use skep_trace::programs::{FIRST_COMPOSITE, Programs, usdt_sites};

use super::environment;

/// The running machine. Everything is read when it is first asked for.
pub struct Machine {
    types: OnceCell<Option<Arc<Btf>>>,
    tracefs: OnceCell<Option<Tracefs>>,
    kallsyms: Kallsyms,
    programs: Programs,
    prober: Prober,
    answers: RefCell<HashMap<String, Result<(), String>>>,
    /// The module whose types the script needs besides those of the kernel.
    module: Option<String>,
    with_module: OnceCell<Option<Arc<Btf>>>,
    /// The file with the functions that can be traced, in place of the kernel's list.
    functions: Option<PathBuf>,
    /// Whether programs do not run in its kernel: what it can does not matter then.
    elsewhere: bool,
    /// The process of `-p` or `-c`.
    pub process: Option<u32>,
}

impl Machine {
    /// Nothing is read yet.
    pub fn new(process: Option<u32>, directories: DebugDirs) -> Self {
        Self {
            types: OnceCell::new(),
            tracefs: OnceCell::new(),
            kallsyms: Kallsyms::new(),
            programs: Programs::new(process, directories),
            prober: Prober::default(),
            answers: RefCell::default(),
            module: None,
            with_module: OnceCell::new(),
            functions: None,
            elsewhere: false,
            process,
        }
    }

    /// With the functions that can be traced from a file.
    #[must_use]
    pub fn with_functions(self, functions: Option<PathBuf>) -> Self {
        Self { functions, ..self }
    }

    /// For programs that do not run in its kernel, if so.
    #[must_use]
    pub fn elsewhere(self, elsewhere: bool) -> Self {
        Self { elsewhere, ..self }
    }

    /// With the types of the first module that the script names functions of.
    #[must_use]
    pub fn for_script(mut self, script: &Script) -> Self {
        let points = script.probes.iter().flat_map(|probe| &probe.points);
        self.module = points
            .filter_map(|point| match (find(&point.node.provider)?.kind, point.node.parts.as_slice()) {
                (ProbeKind::Fentry | ProbeKind::Fexit, [module, _]) => Some(module.to_string()),
                _ => None,
            })
            .find(|module| !matches!(module.as_str(), "vmlinux" | "bpf") && !module.contains('*'));
        self
    }

    /// The types that scripts see.
    fn script_types(&self) -> Option<&Btf> {
        let Some(module) = &self.module else { return self.btf() };
        let read = || KernelTypes::new().module(module).ok();
        self.with_module.get_or_init(read).as_deref().or_else(|| self.btf())
    }

    /// The kernel's types, `None` if it has none.
    pub fn btf(&self) -> Option<&Btf> {
        let from_file = |path: PathBuf| Btf::parse(fs::read(path).ok()?).ok().map(Arc::new);
        let read = || match environment::btf() {
            Some(path) => from_file(path),
            None => KernelTypes::new().vmlinux().ok(),
        };
        self.types.get_or_init(read).as_deref()
    }

    fn needed_btf(&self) -> Result<&Btf, String> {
        self.btf().ok_or_else(|| "the kernel has no type information (CONFIG_DEBUG_INFO_BTF)".to_owned())
    }

    fn tracefs(&self) -> Option<&Tracefs> {
        self.tracefs.get_or_init(|| Tracefs::find().ok()).as_ref()
    }

    /// The text about the record of a tracepoint.
    fn format(&self, category: &str, event: &str) -> Option<String> {
        let plain = |part: &str| !part.contains('/') && !part.starts_with('.');
        let root = self.tracefs().filter(|_| plain(category) && plain(event))?.root();
        fs::read_to_string(root.join("events").join(category).join(event).join("format")).ok()
    }

    /// Names in BTF: those that the function accepts, as it gives them.
    fn names(&self, wanted: impl Fn(&Kind<'_>, &str) -> Option<String>) -> Result<Vec<String>, String> {
        let btf = self.needed_btf()?;
        let mut found: Vec<String> =
            btf.ids().filter_map(|id| wanted(&btf.kind(id).ok()?, btf.name(id).ok()?)).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The number of a function among the kernel's types.
    fn function_type(&self, name: &str) -> Option<TypeId> {
        self.btf()?.find_function(name)
    }

    /// Asks the kernel; the answer is kept by [`Facts::can`].
    fn ask(&self, ability: Ability<'_>) -> Result<(), String> {
        match ability {
            Ability::Kprobe => self.prober.kprobes(),
            Ability::KprobeAt(name) => self.prober.kprobe_at(name),
            Ability::KprobeMulti => self.prober.kprobe_links(),
            Ability::UprobeMulti => self.prober.uprobe_links(),
            Ability::MayGoto => self.prober.bounded_loops(),
            Ability::CheaperWays => Ok(()),
            // Reading types is faster than reading all symbols.
            Ability::Function(name) if self.function_type(name).is_some() => Ok(()),
            Ability::Function(name) => match self.kallsyms.named(name) {
                Ok(found) if found.iter().any(|symbol| matches!(symbol.kind, 't' | 'T' | 'w' | 'W')) => Ok(()),
                Ok(_) => Err(format!("the kernel has no function `{name}`")),
                // Without symbols the attempt to attach tells.
                Err(_) => Ok(()),
            },
            Ability::Typed { module, function, ret } => {
                let of_kernel = module.is_empty() || module == "vmlinux";
                let stand_in = if of_kernel { function } else { "bpf_fentry_test1" };
                self.needed_btf()?;
                match self.function_type(stand_in) {
                    Some(number) => self.prober.function(number.0, ret),
                    None => Err(format!("the kernel's types do not describe `{function}`")),
                }
            }
        }
    }
}

/// The types of the machine for one compilation.
pub struct MachineTypes<'m> {
    machine: &'m Machine,
    formats: &'m dyn Fn(&str, &str) -> Option<String>,
    types: OnceCell<Option<BtfTypes<'m>>>,
}

impl<'m> MachineTypes<'m> {
    /// The types; texts about tracepoints come from `formats`, which is [`formats`].
    pub fn new(machine: &'m Machine, formats: &'m dyn Fn(&str, &str) -> Option<String>) -> Self {
        Self { machine, formats, types: OnceCell::new() }
    }

    fn types(&self) -> Option<&BtfTypes<'m>> {
        let open = || Some(BtfTypes::new(self.machine.script_types()?).with_formats(self.formats));
        self.types.get_or_init(open).as_ref()
    }
}

/// Texts about tracepoints of the machine.
pub fn formats(machine: &Machine) -> impl Fn(&str, &str) -> Option<String> {
    |category, event| machine.format(category, event)
}

impl TypeSource for MachineTypes<'_> {
    fn find(&self, tag: Tag, name: &str) -> Option<Type> {
        let kernel = self.types().and_then(|types| types.find(tag, name));
        kernel.or_else(|| self.machine.programs.find(tag, name))
    }
    fn composite(&self, id: u32) -> Option<Arc<Composite>> {
        if id >= FIRST_COMPOSITE {
            return self.machine.programs.composite(id);
        }
        self.types()?.composite(id)
    }
    fn walk(&self, id: u32, offset: u32, size: u32) -> Option<Step> {
        self.types()?.walk(id, offset, size)
    }
    fn enumerator(&self, name: &str) -> Option<(i64, Type)> {
        let kernel = self.types().and_then(|types| types.enumerator(name));
        kernel.or_else(|| self.machine.programs.enumerator(name))
    }
    fn user_function(&self, binary: Option<&str>, function: &str) -> Result<Arc<UserFunction>, String> {
        self.machine.programs.function(binary, function)
    }
    fn find_traced(&self, tag: Tag, name: &str) -> Option<Type> {
        self.machine.programs.find(tag, name)
    }
    fn traced(&self, binary: Option<&str>) {
        // What is wrong with it is said when it is attached.
        let _ = self.machine.programs.open(binary);
    }
    fn function(&self, module: &str, name: &str) -> Option<Prototype> {
        self.types()?.function(module, name)
    }
    fn raw_tracepoint(&self, event: &str) -> Option<Prototype> {
        self.types()?.raw_tracepoint(event)
    }
    fn tracepoint(&self, category: &str, event: &str) -> Option<Composite> {
        self.types()?.tracepoint(category, event)
    }
}

impl ProbeSource for Machine {
    fn functions(&self) -> Result<Vec<(String, String)>, String> {
        if let Some(path) = &self.functions {
            let text = fs::read_to_string(path);
            let text = text.map_err(|error| format!("`{}` cannot be read: {}", path.display(), error.kind()))?;
            return Ok(text.lines().filter_map(listed_function).collect());
        }
        if let Ok(found) = traceable_functions(&Pattern::new("*")) {
            return Ok(found.into_iter().map(|each| (each.module.unwrap_or_default(), each.name)).collect());
        }
        // Without the function tracer there is no list, but any function may be tried.
        let symbols = self.kallsyms.symbols().map_err(|error| error.to_string())?;
        let code = symbols.filter(|symbol| matches!(symbol.kind, 't' | 'T'));
        Ok(code.map(|symbol| (symbol.module.unwrap_or_default().to_owned(), symbol.name.to_owned())).collect())
    }

    fn typed_functions(&self) -> Result<Vec<(String, String)>, String> {
        let found = self.names(|kind, name| matches!(kind, Kind::Func { .. }).then(|| name.to_owned()))?;
        Ok(found.into_iter().map(|name| ("vmlinux".to_owned(), name)).collect())
    }

    fn programs(&self) -> Result<Vec<(u32, String)>, String> {
        program_names().map_err(|error| error.to_string())
    }

    fn tracepoints(&self) -> Result<Vec<(String, String)>, String> {
        let tracefs = self.tracefs().ok_or("tracefs is not mounted: `mount -t tracefs tracefs /sys/kernel/tracing`")?;
        Ok(tracefs.tracepoints().into_iter().map(|each| (each.category, each.name)).collect())
    }

    fn raw_tracepoints(&self) -> Result<Vec<(String, String)>, String> {
        let named = |kind: &Kind<'_>, name: &str| match kind {
            Kind::Typedef(_) => name.strip_prefix("btf_trace_").map(str::to_owned),
            _ => None,
        };
        Ok(self.names(named)?.into_iter().map(|name| ("vmlinux".to_owned(), name)).collect())
    }

    fn iterators(&self) -> Result<Vec<String>, String> {
        self.names(|kind, name| match kind {
            Kind::Func { .. } => name.strip_prefix("bpf_iter_").map(str::to_owned),
            _ => None,
        })
    }

    fn binaries(&self, pattern: &str) -> Result<Vec<String>, String> {
        if let (Some(process), false) = (self.process, pattern.contains('/')) {
            let all = mappings(process).map_err(|error| error.to_string())?;
            let executable = all.into_iter().filter(|mapping| mapping.executable);
            let mut found: Vec<String> = executable.map(|mapping| mapping.path.display().to_string()).collect();
            found.sort();
            found.dedup();
            return Ok(found);
        }
        Ok(glob(pattern))
    }

    fn symbols(&self, binary: Option<&str>) -> Result<Vec<String>, String> {
        let program = self.programs.open(binary)?;
        let mut found: Vec<String> = program.binary.functions().map(|symbol| symbol.name.clone()).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn usdt(&self, binary: Option<&str>) -> Result<Vec<(String, String)>, String> {
        let program = self.programs.open(binary)?;
        let mut found: Vec<(String, String)> =
            program.binary.probes().iter().map(|probe| (probe.provider.clone(), probe.name.clone())).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn usdt_sites(&self, binary: Option<&str>, provider: Option<&str>, name: &str) -> Result<Vec<UsdtSite>, String> {
        usdt_sites(&self.programs.open(binary)?.binary, provider, name)
    }

    fn readable_functions(&self, binary: Option<&str>) -> Result<Vec<(String, String)>, String> {
        self.programs.readable_functions(binary)
    }

    fn line(&self, binary: Option<&str>, file: &str, line: u32, column: Option<u32>) -> Result<Vec<u64>, String> {
        self.programs.line(binary, file, line, column)
    }
}

/// The files whose paths fit a pattern, in which `*` stands for letters of one component. A name alone is looked for in
/// the directories of `PATH`.
fn glob(pattern: &str) -> Vec<String> {
    if !pattern.contains('/') {
        let directories = std::env::var_os("PATH").unwrap_or_default();
        return std::env::split_paths(&directories)
            .flat_map(|directory| glob(&directory.join(pattern).to_string_lossy()))
            .collect();
    }
    let (start, rest) = match pattern.strip_prefix('/') {
        Some(rest) => (PathBuf::from("/"), rest),
        None => (PathBuf::from("."), pattern),
    };
    let mut found = vec![start];
    for part in rest.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|directory| children(directory, part)).collect();
    }
    found.retain(|path| path.is_file());
    found.sort();
    found.iter().map(|path| path.display().to_string()).collect()
}

fn children(directory: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains('*') {
        return vec![directory.join(part)];
    }
    let pattern = Pattern::new(part);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| pattern.matches(name)))
        .map(|e| e.path())
        .collect()
}

impl Facts for Machine {
    fn cgroup_id(&self, path: &str) -> Result<u64, String> {
        // The id of a control group is the inode of its directory (cgroup_id in the kernel).
        let facts = fs::metadata(path).map_err(|error| format!("`{path}` cannot be looked at: {}", error.kind()))?;
        Ok(facts.ino())
    }

    fn user_symbol(&self, binary: Option<&str>, name: &str) -> Result<ProgramSymbol, String> {
        self.programs.symbol(binary, name)
    }

    fn kernel_symbol(&self, name: &str) -> Result<u64, String> {
        self.kallsyms.address(name).map_err(|error| error.to_string())
    }

    fn can(&self, ability: Ability<'_>) -> Result<(), String> {
        if self.elsewhere {
            return NoFacts.can(ability);
        }
        let key = format!("{ability:?}");
        if let Some(known) = self.answers.borrow().get(&key) {
            return known.clone();
        }
        let answer = self.ask(ability);
        self.answers.borrow_mut().insert(key, answer.clone());
        answer
    }

    fn versions(&self, function: &str) -> Vec<String> {
        let start = format!("{function}.");
        let Ok(symbols) = self.kallsyms.symbols() else { return Vec::new() };
        let names = symbols.filter(|symbol| matches!(symbol.kind, 't' | 'T') && symbol.name.starts_with(&start));
        names.map(|symbol| symbol.name.to_owned()).collect()
    }

    fn processors(&self) -> Option<u32> {
        skep_kernel::possible_cpus()
    }
}

/// A line of `available_filter_functions`: the name, then the module in brackets if it is in one.
fn listed_function(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let module = words.next().unwrap_or_default();
    Some((module.trim_matches(['[', ']']).to_owned(), name))
}

/// Imports from the directory of the importing script, and headers from those of `-I`.
pub struct Files<'a> {
    /// The directories of `-I`.
    pub directories: &'a [PathBuf],
}

impl Loader for Files<'_> {
    fn load(&self, importer: &str, path: &str) -> Result<Vec<Loaded>, String> {
        let base = Path::new(importer).parent().unwrap_or(Path::new(""));
        let mut whole = base.join(path);
        if !whole.exists() {
            whole = self.elsewhere(path).unwrap_or(whole);
        }
        let why = |error: std::io::Error| format!("`{}` cannot be read: {}", whole.display(), error.kind());
        let facts = fs::metadata(&whole).map_err(why)?;
        if !facts.is_dir() {
            return Ok(vec![file(&whole)?]);
        }
        if facts.permissions().mode() & 0o002 != 0 {
            return Err(format!("anybody may write to `{}`; take that right away: `chmod o-w`", whole.display()));
        }
        let entries = fs::read_dir(&whole).map_err(why)?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| kind(path).is_some());
        paths.sort();
        paths.iter().map(|path| file(path)).collect()
    }

    fn system_header(&self, path: &str) -> Result<Option<Loaded>, String> {
        self.elsewhere(path).map(|path| file(&path)).transpose()
    }
}

impl Files<'_> {
    /// The file with this name in the directories of `-I`.
    fn elsewhere(&self, name: &str) -> Option<PathBuf> {
        self.directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file())
    }
}

fn file(path: &Path) -> Result<Loaded, String> {
    let kind = kind(path).ok_or_else(|| {
        format!("`{}` is none of the kinds of files that can be imported: .bt, .h, .bpf.c", path.display())
    })?;
    let text =
        fs::read_to_string(path).map_err(|error| format!("`{}` cannot be read: {}", path.display(), error.kind()))?;
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Ok(Loaded { path: path.display().to_string(), kind, text })
}

fn kind(path: &Path) -> Option<FileKind> {
    let name = path.file_name()?.to_str()?;
    let kinds = [(".bt", FileKind::Script), (".h", FileKind::Header), (".bpf.c", FileKind::Program)];
    kinds.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, kind)| kind)
}

/// What the passes before the compiler need.
pub fn options<'a>(name: &'a str, params: &'a [String], loader: &'a dyn Loader) -> Options<'a> {
    let builtin = &|name: &str| skep_lang_script::builtins::find(name).is_some();
    Options { name, params, loader, builtin, ..Options::default() }
}

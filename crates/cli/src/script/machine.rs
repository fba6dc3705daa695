//! What the compiler asks about the machine: types, places to attach to, facts; files that scripts import.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_btf::{Btf, Kind};
use skep_kernel::attach::Tracefs;
use skep_kernel::inventory::KernelTypes;
use skep_lang_script::Options;
use skep_lang_script::compile::Facts;
use skep_lang_script::desugar::{FileKind, Loaded, Loader};
use skep_lang_script::providers::ProbeSource;
use skep_lang_script::types::btf::BtfTypes;
use skep_lang_script::types::{Composite, Prototype, Step, Tag, Type, TypeSource};
use skep_sym::{Binary, Kallsyms, Pattern, mappings, resolve, traceable_functions};

/// The running machine. Everything is read when it is first asked for.
#[derive(Default)]
pub struct Machine {
    types: OnceCell<Option<Arc<Btf>>>,
    tracefs: OnceCell<Option<Tracefs>>,
    kallsyms: Kallsyms,
    /// The process of `-p` or `-c`.
    pub process: Option<u32>,
}

impl Machine {
    /// Nothing is read yet.
    pub fn new(process: Option<u32>) -> Self {
        Self { process, ..Self::default() }
    }

    /// The kernel's types, `None` if it has none.
    fn btf(&self) -> Option<&Btf> {
        self.types.get_or_init(|| KernelTypes::new().vmlinux().ok()).as_deref()
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

    fn binary(&self, name: Option<&str>) -> Result<Binary, String> {
        let path = match (name, self.process) {
            (Some(name), process) => resolve(name, process).map_err(|error| error.to_string())?,
            (None, Some(process)) => PathBuf::from(format!("/proc/{process}/exe")),
            (None, None) => return Err("there is no process (`-p`) whose binary is meant".to_owned()),
        };
        Binary::open(path).map_err(|error| error.to_string())
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
        let open = || Some(BtfTypes::new(self.machine.btf()?).with_formats(self.formats));
        self.types.get_or_init(open).as_ref()
    }
}

/// Texts about tracepoints of the machine.
pub fn formats(machine: &Machine) -> impl Fn(&str, &str) -> Option<String> {
    |category, event| machine.format(category, event)
}

impl TypeSource for MachineTypes<'_> {
    fn find(&self, tag: Tag, name: &str) -> Option<Type> {
        self.types()?.find(tag, name)
    }
    fn composite(&self, id: u32) -> Option<Arc<Composite>> {
        self.types()?.composite(id)
    }
    fn walk(&self, id: u32, offset: u32, size: u32) -> Option<Step> {
        self.types()?.walk(id, offset, size)
    }
    fn enumerator(&self, name: &str) -> Option<(i64, Type)> {
        self.types()?.enumerator(name)
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
        if let Ok(found) = traceable_functions(&Pattern::new("*")) {
            return Ok(found.into_iter().map(|each| (each.module.unwrap_or_default(), each.name)).collect());
        }
        // Without the function tracer there is no list, but any function may be tried.
        let symbols = self.kallsyms.symbols().map_err(|error| error.to_string())?;
        let code = symbols.iter().filter(|symbol| matches!(symbol.kind, 't' | 'T'));
        Ok(code.map(|symbol| (symbol.module.clone().unwrap_or_default(), symbol.name.clone())).collect())
    }

    fn typed_functions(&self) -> Result<Vec<(String, String)>, String> {
        let found = self.names(|kind, name| matches!(kind, Kind::Func { .. }).then(|| name.to_owned()))?;
        Ok(found.into_iter().map(|name| ("vmlinux".to_owned(), name)).collect())
    }

    fn programs(&self) -> Result<Vec<(u32, String)>, String> {
        Err("probes of BPF programs are not available".to_owned())
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
        let binary = self.binary(binary)?;
        let mut found: Vec<String> = binary.functions().map(|symbol| symbol.name.clone()).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn usdt(&self, binary: Option<&str>) -> Result<Vec<(String, String)>, String> {
        let binary = self.binary(binary)?;
        let mut found: Vec<(String, String)> =
            binary.probes().iter().map(|probe| (probe.provider.clone(), probe.name.clone())).collect();
        found.sort();
        found.dedup();
        Ok(found)
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

    fn kernel_symbol(&self, name: &str) -> Result<u64, String> {
        self.kallsyms.address(name).map_err(|error| error.to_string())
    }
}

/// Imports from the directory of the importing script.
pub struct Files;

impl Loader for Files {
    fn load(&self, importer: &str, path: &str) -> Result<Vec<Loaded>, String> {
        let base = Path::new(importer).parent().unwrap_or(Path::new(""));
        let whole = base.join(path);
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
pub fn options<'a>(name: &'a str, params: &'a [String]) -> Options<'a> {
    let builtin = &|name: &str| skep_lang_script::builtins::find(name).is_some();
    Options { name, params, loader: &Files, builtin, ..Options::default() }
}

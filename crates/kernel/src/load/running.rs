//! What the running kernel says about itself, for [`Object::resolve`](skep_object::Object::resolve): asked once, and only
//! when a program needs it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::sync::{Arc, OnceLock};

use skep_btf::{Btf, Source};
use skep_isa::Release;
use skep_object::{ExternKind, KernelInfo, Module, Object};

use crate::errors::KernelError;
use crate::features::running_release;
use crate::ids::btf_ids;
use crate::kernel_btf::KernelBtf;
use crate::loaded_btf::LoadedBtf;
use crate::probe::KernelConfig;

/// The running kernel. Answers are kept, so one value serves many objects.
///
/// * Settings come from `/proc/config.gz` or the distribution's file in `/boot`.
/// * Addresses come from `/proc/kallsyms`, which is read line by line: a kernel has some hundred thousand symbols and a
///   program asks for a few.
/// * Types come from `/sys/kernel/btf`; those of modules are read when the kernel proper lacks a name.
#[derive(Debug, Default)]
pub struct RunningKernel {
    /// Symbols that will be asked for, to find all of them in one pass.
    expected: HashSet<String>,
    config: OnceLock<KernelConfig>,
    symbols: OnceLock<HashMap<String, Vec<u64>>>,
    modules: OnceLock<Vec<Module>>,
}

impl RunningKernel {
    /// A kernel that nothing was asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, prepared for the questions of one object.
    pub fn for_object(object: &Object) -> Self {
        let addresses = object.externs.iter().filter(|external| external.kind == ExternKind::Address);
        Self { expected: addresses.map(|external| external.name.clone()).collect(), ..Self::default() }
    }

    /// The types of the kernel.
    ///
    /// # Errors
    /// [`KernelError::NoKernelTypes`] if it shows none, or none that can be read.
    pub fn types(&self) -> Result<Arc<Btf>, KernelError> {
        self.btf().ok_or_else(|| KernelError::NoKernelTypes { name: "vmlinux".to_owned() })
    }
}

impl KernelInfo for RunningKernel {
    fn version_code(&self) -> Option<u32> {
        version_code(&fs::read_to_string("/proc/sys/kernel/osrelease").ok()?)
    }

    fn config(&self, name: &str) -> Option<String> {
        self.config.get_or_init(KernelConfig::read).value(name).map(str::to_owned)
    }

    fn addresses(&self, symbol: &str) -> Vec<u64> {
        if self.expected.contains(symbol) {
            let all = self.symbols.get_or_init(|| addresses(&self.expected));
            return all.get(symbol).cloned().unwrap_or_default();
        }
        let wanted = HashSet::from([symbol.to_owned()]);
        addresses(&wanted).remove(symbol).unwrap_or_default()
    }

    fn btf(&self) -> Option<Arc<Btf>> {
        /// They stay what they are as long as the kernel runs, and finding the places of all types takes a millisecond.
        static TYPES: OnceLock<Option<Arc<Btf>>> = OnceLock::new();
        let read = || Some(Arc::new(Btf::parse(Source::new(KernelBtf::vmlinux().ok()?)).ok()?));
        TYPES.get_or_init(read).clone()
    }

    fn modules(&self) -> Vec<Module> {
        let read = || {
            let Some(base) = self.btf() else { return Vec::new() };
            let names = KernelBtf::names().into_iter().filter(|name| name != "vmlinux");
            let module = |name: String| {
                let blob = KernelBtf::module(&name).ok()?;
                let btf = Btf::parse_split(Arc::clone(&base), Source::new(blob)).ok()?;
                Some(Module { name, btf: Arc::new(btf) })
            };
            names.filter_map(module).collect()
        };
        self.modules.get_or_init(read).clone()
    }

    fn has_cookie(&self) -> bool {
        running_release().is_some_and(|release| release >= Release::new(5, 15))
    }

    fn has_syscall_wrapper(&self) -> bool {
        syscall_prefix(std::env::consts::ARCH, running_release()).is_some()
    }
}

// TABLE
/// Architectures whose system calls take a saved set of registers (`ARCH_HAS_SYSCALL_WRAPPER`), the release since which
/// they do, and what the names of those functions begin with.
const WRAPPERS: &[(&str, Release, &str)] = &[
    ("x86_64", Release::new(4, 17), "__x64_"),
    ("x86", Release::new(4, 17), "__ia32_"),
    ("aarch64", Release::new(4, 19), "__arm64_"),
    ("s390x", Release::new(4, 17), "__s390x_"),
    ("powerpc64", Release::new(6, 1), ""),
    ("riscv64", Release::new(6, 6), "__riscv_"),
];

/// What the name of a system call's function begins with in front of `sys_`; `None` if there is no wrapper.
pub(crate) fn syscall_prefix(architecture: &str, release: Option<Release>) -> Option<&'static str> {
    let row = WRAPPERS.iter().find(|row| row.0 == architecture)?;
    release.is_none_or(|release| release >= row.1).then_some(row.2)
}

/// `major << 16 | minor << 8 | patch` of the start of a release's name; what is missing counts as 0.
fn version_code(text: &str) -> Option<u32> {
    let mut numbers = text.trim().split('.').map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse::<u32>().ok()
    });
    let major = numbers.next()??;
    let minor = numbers.next().flatten().unwrap_or(0);
    let patch = numbers.next().flatten().unwrap_or(0);
    Some(major.min(0xffff) << 16 | minor.min(255) << 8 | patch.min(255))
}

/// The addresses of some symbols in `/proc/kallsyms`.
fn addresses(wanted: &HashSet<String>) -> HashMap<String, Vec<u64>> {
    let mut found: HashMap<String, Vec<u64>> = HashMap::new();
    let Ok(file) = File::open("/proc/kallsyms") else { return found };
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (address, name) = (words.next(), words.nth(1));
        if let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok())
            && wanted.contains(name)
            && let Some(address) =
                address.and_then(|word| u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        {
            let all = found.entry(name.to_owned()).or_default();
            if !all.contains(&address) {
                all.push(address);
            }
        }
        line.clear();
    }
    found
}

/// Opens the BTF that the kernel has of a module, for instructions that refer to its types (Linux 5.11).
///
/// # Errors
/// [`KernelError::NoKernelTypes`] if there is no such module, [`KernelError::NotPermitted`].
pub fn module_btf(name: &str) -> Result<LoadedBtf, KernelError> {
    for id in btf_ids() {
        let btf = match LoadedBtf::by_id(id?) {
            Ok(btf) => btf,
            // It has gone meanwhile.
            Err(KernelError::NoSuchId { .. }) => continue,
            Err(error) => return Err(error),
        };
        let info = btf.info()?;
        if info.kernel && info.name == name {
            return Ok(btf);
        }
    }
    Err(KernelError::NoKernelTypes { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_packed() {
        let cases =
            [("6.18.5\n", 0x06_12_05), ("6.1.0-18-amd64", 0x06_01_00), ("5.4.300", 0x05_04_ff), ("7", 0x07_00_00)];
        for (text, code) in cases {
            assert_eq!(version_code(text), Some(code), "{text}");
        }
        assert_eq!(version_code("linux"), None);
    }

    #[test]
    fn wrappers_of_architectures() {
        assert_eq!(syscall_prefix("x86_64", Some(Release::new(6, 1))), Some("__x64_"));
        assert_eq!(syscall_prefix("x86_64", Some(Release::new(4, 16))), None);
        assert_eq!(syscall_prefix("aarch64", None), Some("__arm64_"));
        assert_eq!(syscall_prefix("sparc64", None), None);
    }

    #[test]
    fn the_kernel_answers() {
        let kernel = RunningKernel::new();
        assert!(kernel.version_code().is_some_and(|code| code >> 16 >= 4));
        assert!(kernel.addresses("no_such_symbol_at_all").is_empty());
        // Unprivileged processes see the names with address 0.
        if File::open("/proc/kallsyms").is_ok() {
            assert_eq!(kernel.addresses("schedule").len(), 1);
        }
        let Some(btf) = kernel.btf() else { return crate::skip("the kernel has no BTF") };
        assert!(btf.find("task_struct").is_some());
        assert!(Arc::ptr_eq(&btf, &kernel.btf().unwrap()), "asked once");
    }
}

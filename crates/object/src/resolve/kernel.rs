//! What has to be known about a kernel, as a trait, and the same as plain data.

use std::collections::HashMap;
use std::sync::Arc;

use skep_btf::Btf;

/// A module of a kernel with its types.
#[derive(Debug, Clone)]
pub struct Module {
    /// Its name as in `/sys/kernel/btf`.
    pub name: String,
    /// Its types, which go on after those of the kernel.
    pub btf: Arc<Btf>,
}

/// What programs ask about the kernel that they are going to run on. Nothing is asked that no program needs.
pub trait KernelInfo {
    /// The release as `KERNEL_VERSION` packs it: `major << 16 | minor << 8 | patch`, the last at most 255.
    fn version_code(&self) -> Option<u32>;

    /// The setting of the kernel's build with this name (`CONFIG_...`): what stands behind the equals sign, for texts
    /// with their quotes. `None` if it is not set.
    fn config(&self, name: &str) -> Option<String>;

    /// The addresses of this symbol (`/proc/kallsyms`), each once.
    fn addresses(&self, symbol: &str) -> Vec<u64>;

    /// The kernel's types (`/sys/kernel/btf/vmlinux`).
    fn btf(&self) -> Option<Arc<Btf>>;

    /// The modules that are loaded.
    fn modules(&self) -> Vec<Module>;

    /// Whether probes can pass a cookie to their programs (`bpf_get_attach_cookie`, Linux 5.15).
    fn has_cookie(&self) -> bool;

    /// Whether system calls take their arguments from a saved set of registers
    /// (`CONFIG_ARCH_HAS_SYSCALL_WRAPPER`).
    fn has_syscall_wrapper(&self) -> bool;
}

/// A kernel as plain data.
#[derive(Debug, Clone, Default)]
pub struct KernelData {
    /// The release, see [`KernelInfo::version_code`].
    pub version_code: Option<u32>,
    /// Settings without the equals sign, see [`KernelInfo::config`].
    pub config: HashMap<String, String>,
    /// Addresses of symbols.
    pub addresses: HashMap<String, Vec<u64>>,
    /// Types.
    pub btf: Option<Arc<Btf>>,
    /// Modules.
    pub modules: Vec<Module>,
    /// See [`KernelInfo::has_cookie`].
    pub cookie: bool,
    /// See [`KernelInfo::has_syscall_wrapper`].
    pub syscall_wrapper: bool,
}

impl KernelData {
    /// Takes the settings from the text of a `.config` file. Of two with one name the first counts.
    pub fn read_config(&mut self, text: &str) {
        for line in text.lines().filter(|line| line.starts_with("CONFIG_")) {
            if let Some((name, value)) = line.split_once('=') {
                self.config.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
    }

    /// Takes the addresses from the text of `/proc/kallsyms`.
    pub fn read_symbols(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let address = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            if let (Some(address), Some(_), Some(name)) = (address, words.next(), words.next()) {
                let known = self.addresses.entry(name.to_owned()).or_default();
                if !known.contains(&address) {
                    known.push(address);
                }
            }
        }
    }
}

impl KernelInfo for KernelData {
    fn version_code(&self) -> Option<u32> {
        self.version_code
    }

    fn config(&self, name: &str) -> Option<String> {
        self.config.get(name).cloned()
    }

    fn addresses(&self, symbol: &str) -> Vec<u64> {
        self.addresses.get(symbol).cloned().unwrap_or_default()
    }

    fn btf(&self) -> Option<Arc<Btf>> {
        self.btf.clone()
    }

    fn modules(&self) -> Vec<Module> {
        self.modules.clone()
    }

    fn has_cookie(&self) -> bool {
        self.cookie
    }

    fn has_syscall_wrapper(&self) -> bool {
        self.syscall_wrapper
    }
}

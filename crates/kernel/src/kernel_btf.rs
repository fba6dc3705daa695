//! The types of the running kernel and its modules, out of `/sys/kernel/btf`.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::errors::KernelError;
use crate::sys::memory::{Access, Mapping};

/// Where the kernel shows its types.
const DIRECTORY: &str = "/sys/kernel/btf";

/// One blob of the kernel. Since Linux 6.16 that of the kernel proper is mapped, so that only pages that somebody looks at
/// cost anything; everything else is read.
#[derive(Debug)]
pub struct KernelBtf {
    name: String,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Mapped(Mapping),
    Read(Vec<u8>),
}

impl KernelBtf {
    /// The types of the kernel without its modules.
    ///
    /// # Errors
    /// [`KernelError::NoKernelTypes`] if it was built without or sysfs is not mounted.
    pub fn vmlinux() -> Result<Self, KernelError> {
        Self::open("vmlinux")
    }

    /// The types of a module that is loaded (Linux 5.11). They continue the numbers and strings of
    /// [`vmlinux`](Self::vmlinux).
    ///
    /// # Errors
    /// [`KernelError::NoKernelTypes`].
    pub fn module(name: &str) -> Result<Self, KernelError> {
        Self::open(name)
    }

    /// The names of all blobs that exist: `vmlinux` and the loaded modules with types, sorted.
    pub fn names() -> Vec<String> {
        let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn open(name: &str) -> Result<Self, KernelError> {
        let missing = || KernelError::NoKernelTypes { name: name.to_owned() };
        // A name is one component of a path.
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(missing());
        }
        let path: PathBuf = Path::new(DIRECTORY).join(name);
        let mut file = File::open(path).map_err(|_| missing())?;
        let length = file.metadata().ok().and_then(|data| usize::try_from(data.len()).ok()).unwrap_or(0);
        let mapped = if length == 0 { Err(0) } else { Mapping::new(file.as_fd(), length, 0, Access::Read, true) };
        let data = match mapped {
            Ok(mapping) => Data::Mapped(mapping),
            Err(_) => {
                let mut bytes = Vec::with_capacity(length);
                file.read_to_end(&mut bytes).map_err(|_| missing())?;
                Data::Read(bytes)
            }
        };
        Ok(Self { name: name.to_owned(), data })
    }

    /// `vmlinux` or the name of the module.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the bytes are those of the kernel, not a copy.
    pub fn is_mapped(&self) -> bool {
        matches!(self.data, Data::Mapped(_))
    }

    /// The blob, as `skep_btf` reads it.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            // SAFETY: the kernel maps the constant section of its image, and refuses mappings for writing.
            Data::Mapped(mapping) => unsafe { mapping.bytes(0, mapping.len()) },
            Data::Read(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for KernelBtf {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

//! Type information by the number that the kernel gives it, parsed once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use skep_btf::{Btf, Source, TypeId};

use crate::errors::KernelError;
use crate::kernel_btf::KernelBtf;
use crate::loaded_btf::{BtfInfo, LoadedBtf};

/// What `vmlinux` is called among the blobs of the kernel.
const VMLINUX: &str = "vmlinux";

/// The types of the kernel proper in a form that can be shared.
struct Shared(KernelBtf);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// Reads blobs when they are asked for and keeps them.
#[derive(Debug, Default)]
pub struct KernelTypes {
    vmlinux: RefCell<Option<Arc<Btf>>>,
    known: RefCell<HashMap<u32, Option<Known>>>,
}

#[derive(Debug, Clone)]
struct Known {
    info: BtfInfo,
    btf: Arc<Btf>,
}

impl KernelTypes {
    /// Nothing is read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The types of the kernel proper.
    ///
    /// # Errors
    /// [`KernelError::NoKernelTypes`], also if they cannot be parsed.
    pub fn vmlinux(&self) -> Result<Arc<Btf>, KernelError> {
        if let Some(btf) = &*self.vmlinux.borrow() {
            return Ok(Arc::clone(btf));
        }
        let source = Source::new(Shared(KernelBtf::vmlinux()?));
        let btf = Btf::parse(source).map_err(|_| KernelError::NoKernelTypes { name: VMLINUX.to_owned() })?;
        let btf = Arc::new(btf);
        *self.vmlinux.borrow_mut() = Some(Arc::clone(&btf));
        Ok(btf)
    }

    /// The types of a module, which continue those of the kernel.
    ///
    /// # Errors
    /// As for [`vmlinux`](Self::vmlinux).
    pub fn module(&self, name: &str) -> Result<Arc<Btf>, KernelError> {
        if name == VMLINUX {
            return self.vmlinux();
        }
        let blob = KernelBtf::module(name)?;
        let btf = Btf::parse_split(self.vmlinux()?, Source::new(Shared(blob)));
        btf.map(Arc::new).map_err(|_| KernelError::NoKernelTypes { name: name.to_owned() })
    }

    /// The types that are loaded under a number, which may be those of the kernel or a module.
    ///
    /// # Errors
    /// [`KernelError::NoSuchId`], [`KernelError::NotPermitted`], [`KernelError::Invalid`] if we cannot parse them.
    pub fn by_id(&self, id: u32) -> Result<(BtfInfo, Arc<Btf>), KernelError> {
        let loaded = LoadedBtf::by_id(id)?;
        let info = loaded.info()?;
        let invalid = |error: &dyn std::fmt::Display| KernelError::Invalid {
            action: "read type information (BTF)",
            problem: format!("number {id} cannot be parsed: {error}"),
        };
        let btf = match (info.kernel, info.name.as_str()) {
            (true, VMLINUX) => self.vmlinux()?,
            (true, _) => Arc::new(Btf::parse_split(self.vmlinux()?, loaded.bytes()?).map_err(|error| invalid(&error))?),
            _ => Arc::new(Btf::parse(loaded.bytes()?).map_err(|error| invalid(&error))?),
        };
        Ok((info, btf))
    }

    /// As [`by_id`](Self::by_id), from memory if it was asked for before. `None` for 0 and what cannot be read.
    pub fn get(&self, id: u32) -> Option<Arc<Btf>> {
        self.known(id).map(|known| known.btf)
    }

    /// The kernel's name for a type under a number and a module, if it is one of the kernel: `bpf_prog_run`,
    /// `nf_hook [nf_tables]`. For types of other programs only the name.
    pub fn type_name(&self, btf_id: u32, type_id: u32) -> Option<String> {
        let known = self.known(btf_id)?;
        let name = known.btf.name(TypeId(type_id)).ok().filter(|name| !name.is_empty())?;
        let module = known.info.kernel && known.info.name != VMLINUX;
        Some(if module { format!("{name} [{}]", known.info.name) } else { name.to_owned() })
    }

    /// Whether a number is that of the kernel's or a module's types.
    pub fn is_kernel(&self, btf_id: u32) -> bool {
        self.known(btf_id).is_some_and(|known| known.info.kernel)
    }

    fn known(&self, id: u32) -> Option<Known> {
        if id == 0 {
            return None;
        }
        if let Some(known) = self.known.borrow().get(&id) {
            return known.clone();
        }
        let known = self.by_id(id).ok().map(|(info, btf)| Known { info, btf });
        self.known.borrow_mut().insert(id, known.clone());
        known
    }
}

//! From an object as compiled to one for a certain kernel: settings, symbols, and the layout of the kernel's types.
//!
//! ```text
//! Object --config--> value of `.kconfig`
//!        --symbols--> addresses and numbers of types in instructions
//!        --core, patch--> offsets, sizes and constants in instructions
//!        --tables--> tables of operations as the kernel lays them out
//!        --types--> type information that the kernel takes
//! ```
//!
//! The kernel is asked through [`KernelInfo`]; the result is plain data again. Instructions come out as libbpf makes them.

mod config;
mod core;
mod kernel;
mod patch;
mod symbols;
mod tables;
mod types;

use skep_btf::Btf;

pub use kernel::{KernelData, KernelInfo, Module};
pub use patch::BAD_RELOCATION;
pub use symbols::MISSING_FUNCTION;
pub use tables::{Table, TableProgram};

use crate::{ExternKind, Object, ObjectError};
use symbols::{Finder, Symbol};

/// What an object needs from the kernel beside itself, once it is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// The modules whose types instructions refer to. The descriptor of the first one's BTF belongs to position 1 of
    /// `fd_array`, and so on; position 0 stands for the kernel. Loads of variables (`BPF_PSEUDO_BTF_ID`) hold the same
    /// number in their second half, where the kernel wants the descriptor itself.
    pub modules: Vec<String>,
    /// What the kernel does not have, for explanations when the verifier refuses a program because of it.
    pub missing: Vec<Missing>,
    /// The object's type information as the kernel takes it; empty if there is none. The numbers are those of
    /// [`Object::btf`].
    pub btf: Vec<u8>,
    /// The object's tables of operations as the kernel has them, in the order of the maps.
    pub tables: Vec<Table>,
}

/// Something that the kernel does not have, where a program must not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The program.
    pub program: String,
    /// The instruction.
    pub at: skep_isa::ebpf::InsnIdx,
    /// What is missing.
    pub what: String,
}

impl Object {
    /// Whether programs refer to what only a kernel has: [`resolve`](Self::resolve) has to run first.
    pub fn is_unresolved(&self) -> bool {
        !self.externs.is_empty() || self.programs.iter().any(|p| p.autoload && !p.core_relocations.is_empty())
    }

    /// Fits the object to a kernel: puts in the values of settings, the addresses of symbols and the layout of types.
    ///
    /// What the kernel lacks becomes 0 where the program allows that, and otherwise an instruction that no verifier
    /// lets be reached ([`Resolved::missing`] says where). Relocations of programs that are not loaded on their own
    /// ([`Program::autoload`](crate::Program::autoload)) stay as they are. An object without externs and relocations
    /// asks nothing about the kernel.
    ///
    /// # Errors
    /// A symbol or setting that must exist and does not, or whose type does not fit; a relocation that makes no sense; a
    /// table of operations that the kernel does not have like this.
    /// The object is unchanged then.
    pub fn resolve(&mut self, kernel: &dyn KernelInfo) -> Result<Resolved, ObjectError> {
        let mut new = self.clone();
        let mut finder = Finder::new(kernel);
        let mut missing = Vec::new();
        let local = match self.btf.is_empty() {
            true => None,
            false => Some(Btf::parse(self.btf.clone()).map_err(|error| ObjectError::Types(error.to_string()))?),
        };
        new.put_settings(kernel)?;
        if let Some(local) = &local {
            let symbols = self.find_symbols(&mut finder, local)?;
            new.put_symbols(&symbols, &mut missing)?;
            core::relocate(&mut new, local, &mut finder, &mut missing)?;
        }
        let tables = tables::fit_all(&new, local.as_ref(), &mut finder)?;
        let btf = local.as_ref().map_or_else(Vec::new, |local| types::for_kernel(local, &self.btf));
        new.externs.clear();
        *self = new;
        Ok(Resolved { modules: finder.needed, missing, btf, tables })
    }

    fn put_settings(&mut self, kernel: &dyn KernelInfo) -> Result<(), ObjectError> {
        for external in &self.externs {
            let ExternKind::Config { map, offset, form } = external.kind else { continue };
            let wrong = |problem| ObjectError::Extern { name: external.name.clone(), problem };
            let value = config::value(external, form, kernel).map_err(wrong)?;
            let spec = self.maps.get_mut(map.index()).ok_or_else(|| wrong("its map does not exist".to_owned()))?;
            if spec.contents.is_empty() {
                spec.contents = vec![(vec![0; spec.key_size as usize], vec![0; spec.value_size as usize])];
            }
            let Some(value) = value else {
                if external.weak {
                    continue;
                }
                let problem = "the kernel was built without this setting, or does not show its settings \
                               (CONFIG_IKCONFIG_PROC); declare it `__weak` if 0 will do";
                return Err(wrong(problem.to_owned()));
            };
            let start = offset as usize;
            let place = spec.contents[0].1.get_mut(start..start + value.len());
            place.ok_or_else(|| wrong("it lies outside of its map".to_owned()))?.copy_from_slice(&value);
        }
        Ok(())
    }

    fn find_symbols(&self, finder: &mut Finder<'_>, local: &Btf) -> Result<Vec<Symbol>, ObjectError> {
        let find = |external: &crate::Extern| {
            let found = finder.find(external, local);
            found.map_err(|problem| ObjectError::Extern { name: external.name.clone(), problem })
        };
        self.externs.iter().map(find).collect()
    }

    fn put_symbols(&mut self, symbols: &[Symbol], missing: &mut Vec<Missing>) -> Result<(), ObjectError> {
        for program in &mut self.programs {
            for used in std::mem::take(&mut program.externs) {
                let index = used.target.index();
                let (Some(symbol), Some(external)) = (symbols.get(index), self.externs.get(index)) else {
                    let problem = format!("program `{}` refers to it, but it does not exist", program.name);
                    return Err(ObjectError::Extern { name: format!("extern {index}"), problem });
                };
                symbols::put(&mut program.insns, used.at.index(), *symbol, index).map_err(|problem| {
                    let problem = format!("program `{}`, instruction {}: {problem}", program.name, used.at);
                    ObjectError::Extern { name: external.name.clone(), problem }
                })?;
                if *symbol == Symbol::Missing && matches!(external.kind, ExternKind::Function { .. }) {
                    let what = format!("the function `{}`", external.name);
                    missing.push(Missing { program: program.name.clone(), at: used.at, what });
                }
            }
        }
        Ok(())
    }
}

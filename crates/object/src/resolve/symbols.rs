//! Kernel symbols: from names to addresses and numbers of types.

use std::sync::Arc;

use skep_btf::core::types_are_compatible;
use skep_btf::{Btf, Kind, TypeId, essential_name};
use skep_isa::ebpf::{Callee, Imm64, Insn, Op};

use super::{KernelInfo, Module};
use crate::{Extern, ExternKind};

/// Number of the helper that does not exist and stands for kernel function 0 of the externs, as in libbpf.
pub const MISSING_FUNCTION: i32 = 2_002_000_000;

/// What became of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// The kernel does not have it, which is allowed.
    Missing,
    /// Its address.
    Address(u64),
    /// Its number, and that of its module: 0 for the kernel itself, else one more than its position in the list.
    Typed { id: u32, module: u16 },
}

/// Finds symbols, and collects the modules in which some were found.
pub(super) struct Finder<'k> {
    kernel: &'k dyn KernelInfo,
    btf: Option<Option<Arc<Btf>>>,
    modules: Option<Vec<Module>>,
    /// The names of the modules that are needed.
    pub(super) needed: Vec<String>,
}

impl<'k> Finder<'k> {
    pub(super) fn new(kernel: &'k dyn KernelInfo) -> Self {
        Self { kernel, btf: None, modules: None, needed: Vec::new() }
    }

    /// The kernel's types; asks once.
    pub(super) fn btf(&mut self) -> Result<Arc<Btf>, String> {
        let btf = self.btf.get_or_insert_with(|| self.kernel.btf()).clone();
        btf.ok_or_else(|| "the kernel has no type information; it needs CONFIG_DEBUG_INFO_BTF".to_owned())
    }

    /// The modules; asks once.
    pub(super) fn modules(&mut self) -> &[Module] {
        self.modules.get_or_insert_with(|| self.kernel.modules())
    }

    /// Finds one symbol.
    ///
    /// # Errors
    /// A symbol that must exist and does not, has several addresses, or another type than was declared.
    pub(super) fn find(&mut self, external: &Extern, local: &Btf) -> Result<Symbol, String> {
        let found = match external.kind {
            ExternKind::Config { .. } => return Ok(Symbol::Missing),
            ExternKind::Address => return self.address(external),
            ExternKind::Variable { ty } => {
                self.typed(&external.name, |kind| matches!(kind, Kind::Var { .. }))?.map(|found| (found, ty))
            }
            ExternKind::Function { ty } => {
                let name = essential_name(&external.name);
                self.typed(name, |kind| matches!(kind, Kind::Func { .. }))?.map(|found| (found, ty))
            }
        };
        let Some(((id, module), ty)) = found else {
            if external.weak {
                return Ok(Symbol::Missing);
            }
            let what = if matches!(external.kind, ExternKind::Function { .. }) { "function" } else { "variable" };
            return Err(format!(
                "neither the kernel nor its modules describe a {what} of this name; load the module that has it, or \
                 declare it `__weak` and ask `bpf_ksym_exists`"
            ));
        };
        let btf = match module {
            None => self.btf()?,
            Some(module) => Arc::clone(&self.modules()[module].btf),
        };
        let there = match btf.kind(id) {
            Ok(Kind::Var { ty, .. }) => ty,
            Ok(Kind::Func { proto, .. }) => proto,
            _ => TypeId::VOID,
        };
        let broken = |error: skep_btf::BtfError| error.to_string();
        let (here, there) = (local.resolve(TypeId(ty)).map_err(broken)?, btf.resolve(there).map_err(broken)?);
        let same = types_are_compatible(local, here, &btf, there).map_err(broken)?;
        if !same {
            // A weak function of another type is like none: the program has another way.
            if external.weak && matches!(external.kind, ExternKind::Function { .. }) {
                return Ok(Symbol::Missing);
            }
            return Err("the kernel has it with another type; compare the declaration with the kernel's".to_owned());
        }
        let module = module.map(|module| self.module_number(module)).transpose()?.unwrap_or(0);
        Ok(Symbol::Typed { id: id.0, module })
    }

    fn address(&self, external: &Extern) -> Result<Symbol, String> {
        match &self.kernel.addresses(&external.name)[..] {
            [] if external.weak => Ok(Symbol::Missing),
            [] => Err("the kernel has no symbol of this name; declare it `__weak` if it may be missing".to_owned()),
            [0] => Err("the kernel hides addresses; kernel.kptr_restrict or missing CAP_SYSLOG may be why".to_owned()),
            [address] => Ok(Symbol::Address(*address)),
            several => Err(format!("the kernel has {} symbols of this name; none can be chosen", several.len())),
        }
    }

    /// The first type of this name that the kernel or a module has, and the position of the module.
    fn typed(
        &mut self,
        name: &str,
        wanted: impl Fn(&Kind<'_>) -> bool,
    ) -> Result<Option<(TypeId, Option<usize>)>, String> {
        if let Some(id) = self.btf()?.find_where(name, &wanted) {
            return Ok(Some((id, None)));
        }
        let modules = self.modules().iter().enumerate();
        let found = modules.filter_map(|(index, module)| Some((module.btf.find_where(name, &wanted)?, Some(index))));
        Ok(found.into_iter().next())
    }

    fn module_number(&mut self, module: usize) -> Result<u16, String> {
        let name = self.modules()[module].name.clone();
        let position = match self.needed.iter().position(|known| *known == name) {
            Some(position) => position,
            None => {
                self.needed.push(name);
                self.needed.len() - 1
            }
        };
        // Calls hold the number in a signed field of 16 bits.
        let number = u16::try_from(position + 1).ok().filter(|number| *number <= 255);
        number.ok_or_else(|| "the object needs more than 255 modules".to_owned())
    }
}

/// Puts a symbol into an instruction that refers to extern number `index`.
///
/// # Errors
/// An instruction that cannot hold it.
pub(super) fn put(insns: &mut [Insn], at: usize, symbol: Symbol, index: usize) -> Result<(), String> {
    let wrong = || "the instruction does not refer to a symbol".to_owned();
    let slots = insns.get(at..).unwrap_or_default();
    let first = *slots.first().ok_or_else(wrong)?;
    let op = first.decode(slots.get(1).copied()).map_err(|error| error.to_string())?;
    let op = match (op, symbol) {
        (Op::LoadImm { dst, .. }, symbol) => {
            let value = match symbol {
                Symbol::Missing => Imm64::Value(0),
                Symbol::Address(address) => Imm64::Value(address),
                Symbol::Typed { id, module } => Imm64::BtfVar { id: id.cast_signed(), fd: module.into() },
            };
            Op::LoadImm { dst, value }
        }
        (Op::Call(_), Symbol::Typed { id, module }) => {
            Op::Call(Callee::Kfunc { id: id.cast_signed(), module: module.cast_signed() })
        }
        (Op::Call(_), _) => {
            let number = i32::try_from(index).ok().and_then(|index| MISSING_FUNCTION.checked_add(index));
            Op::Call(Callee::Helper(number.unwrap_or(MISSING_FUNCTION)))
        }
        _ => return Err(wrong()),
    };
    let encoded = op.encode();
    let new = std::iter::once(encoded.first).chain(encoded.second);
    insns.iter_mut().skip(at).zip(new).for_each(|(slot, new)| *slot = new);
    Ok(())
}

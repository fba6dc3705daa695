//! Relocations of the kernel's types ("compile once, run everywhere"): each is answered once and put into every
//! instruction that asks for it.

use std::collections::HashMap;
use std::sync::Arc;

use skep_btf::core::{CoreKind, MemorySize, Relocation, Resolution, relocate as answer};
use skep_btf::{Btf, TypeId};

use super::Missing;
use super::patch::{self, Patch};
use super::symbols::Finder;
use crate::{CoreRelocation, Object, ObjectError, Program};

/// Applies the relocations of all programs that are loaded.
pub(super) fn relocate(
    object: &mut Object,
    local: &Btf,
    finder: &mut Finder<'_>,
    missing: &mut Vec<Missing>,
) -> Result<(), ObjectError> {
    let mut answers = HashMap::new();
    for program in object.programs.iter_mut().filter(|program| program.autoload) {
        let relocations = std::mem::take(&mut program.core_relocations);
        for relocation in &relocations {
            let kind = CoreKind::new(relocation.kind);
            let wrong = |problem: String| ObjectError::Relocation {
                program: program.name.clone(),
                at: relocation.at,
                what: describe(local, relocation, kind),
                problem,
            };
            let kind = kind.ok_or_else(|| {
                wrong(format!("the kind {} of relocation is newer than this program", relocation.kind))
            })?;
            let key = (relocation.kind, relocation.ty, Arc::clone(&relocation.access));
            let resolution = match answers.get(&key) {
                Some(known) => *known,
                None => {
                    let asked = Relocation { ty: TypeId(relocation.ty), access: &relocation.access, kind };
                    let new = ask(local, asked, finder).map_err(wrong)?;
                    answers.insert(key, new);
                    new
                }
            };
            if !put(program, relocation, &resolution).map_err(|(problem, program)| ObjectError::Relocation {
                program,
                at: relocation.at,
                what: describe(local, relocation, Some(kind)),
                problem,
            })? {
                let what = describe(local, relocation, Some(kind));
                missing.push(Missing { program: program.name.clone(), at: relocation.at, what });
            }
        }
    }
    Ok(())
}

/// The answer of the kernel, or of its modules if it has no such type.
fn ask(local: &Btf, relocation: Relocation<'_>, finder: &mut Finder<'_>) -> Result<Resolution, String> {
    let kernel = match relocation.kind {
        CoreKind::TypeIdLocal => None,
        _ => Some(finder.btf()?),
    };
    let targets: Vec<&Btf> = kernel.iter().map(Arc::as_ref).collect();
    let first = answer(local, relocation, &targets).map_err(|error| error.to_string())?;
    if first.target.is_some() || relocation.kind == CoreKind::TypeIdLocal || finder.modules().is_empty() {
        return Ok(first);
    }
    let targets: Vec<&Btf> = targets.into_iter().chain(finder.modules().iter().map(|m| m.btf.as_ref())).collect();
    answer(local, relocation, &targets).map_err(|error| error.to_string())
}

/// Changes the instruction. Whether it is usable after that.
fn put(program: &mut Program, relocation: &CoreRelocation, answer: &Resolution) -> Result<bool, (String, String)> {
    let (sizes, bad_access) = match answer.memory {
        MemorySize::Same => (None, false),
        MemorySize::Changes { from, to } => (Some((from, to)), false),
        MemorySize::Refused { from, to } => (Some((from, to)), true),
    };
    let patch = Patch { old: answer.original, new: answer.value, sizes, bad_access };
    patch::patch(&mut program.insns, relocation.at.index(), &patch).map_err(|problem| (problem, program.name.clone()))
}

/// What a relocation asks for, for people: `field_exists of struct task_struct, path 0:3`.
fn describe(local: &Btf, relocation: &CoreRelocation, kind: Option<CoreKind>) -> String {
    let name = local.name(TypeId(relocation.ty)).unwrap_or_default();
    let question = kind.map_or("unknown question", CoreKind::name);
    format!("{question} of `{name}`, path {}", relocation.access)
}

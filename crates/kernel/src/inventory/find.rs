//! From what people call a program, map or link to the thing itself: a number, a name, or a path in a BPF file system.

use crate::errors::KernelError;
use crate::ids::{OpenLink, map_ids, program_ids};
use crate::map::LoadedMap;
use crate::pin::Rights;
use crate::prog::LoadedProgram;

use super::rows::full_name;
use super::types::KernelTypes;

/// The program with this number, the only one with this name (the whole one or the kernel's 15 bytes), or what is pinned
/// at this path (anything with a `/`).
///
/// # Errors
/// [`KernelError::NoSuchId`], [`KernelError::Invalid`] if no program or several have the name, [`KernelError::Pin`],
/// [`KernelError::NotPermitted`].
pub fn find_program(text: &str) -> Result<LoadedProgram, KernelError> {
    if text.contains('/') {
        return LoadedProgram::pinned(text);
    }
    if let Ok(id) = text.parse() {
        return LoadedProgram::by_id(id);
    }
    let types = KernelTypes::new();
    let mut found = Vec::new();
    for id in program_ids() {
        let id = id?;
        let Ok(program) = LoadedProgram::by_id(id) else { continue };
        let Ok(info) = program.info() else { continue };
        let whole = || full_name(&program, &info, &types);
        // Only names that begin alike can have more behind what the kernel keeps.
        if info.name == text || text.starts_with(&info.name) && whole().as_deref() == Some(text) {
            found.push((id, program));
        }
    }
    only(found, "program", text, "skep ps")
}

/// The programs that are loaded: numbers and names, in whole where their types tell them.
///
/// # Errors
/// [`KernelError::NotPermitted`] if they cannot be listed.
pub fn program_names() -> Result<Vec<(u32, String)>, KernelError> {
    let types = KernelTypes::new();
    let mut found = Vec::new();
    for id in program_ids() {
        let Ok(program) = LoadedProgram::by_id(id?) else { continue };
        let Ok(info) = program.info() else { continue };
        let name = full_name(&program, &info, &types).unwrap_or_else(|| info.name.clone());
        found.push((info.id, name));
    }
    Ok(found)
}

/// The map with this number, the only one with this name, or what is pinned at this path (anything with a `/`).
///
/// # Errors
/// As for [`find_program`].
pub fn find_map(text: &str) -> Result<LoadedMap, KernelError> {
    if text.contains('/') {
        return LoadedMap::pinned(text, Rights::All).or_else(|_| LoadedMap::pinned(text, Rights::Read));
    }
    if let Ok(id) = text.parse() {
        return LoadedMap::by_id(id);
    }
    let mut found = Vec::new();
    for id in map_ids() {
        let id = id?;
        found.extend(LoadedMap::by_id(id).ok().filter(|map| map.name() == text).map(|map| (id, map)));
    }
    only(found, "map", text, "skep maps")
}

/// The link with this number, or what is pinned at this path. Links have no names.
///
/// # Errors
/// As for [`find_program`].
pub fn find_link(text: &str) -> Result<OpenLink, KernelError> {
    match text.parse() {
        Ok(id) => OpenLink::by_id(id),
        Err(_) if text.contains('/') => OpenLink::pinned(text),
        Err(_) => Err(KernelError::Invalid {
            action: "find a link",
            problem: format!("`{text}` is neither a number nor a path; `skep links` lists links with their numbers"),
        }),
    }
}

/// The only one of what was found.
fn only<T>(mut found: Vec<(u32, T)>, noun: &str, name: &str, list: &str) -> Result<T, KernelError> {
    let action = "find something by its name";
    match found.len() {
        1 => Ok(found.swap_remove(0).1),
        0 => Err(KernelError::Invalid { action, problem: format!("no {noun} is called `{name}`; `{list}` lists all") }),
        count => {
            let ids: Vec<String> = found.iter().map(|(id, _)| id.to_string()).collect();
            let problem = format!("{count} {noun}s are called `{name}`; use a number: {}", ids.join(", "));
            Err(KernelError::Invalid { action, problem })
        }
    }
}

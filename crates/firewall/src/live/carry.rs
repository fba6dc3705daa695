//! Connections that a new list takes over where it cannot have the same table, because that has another size.

use skep_kernel::{LoadedMap, Update};

use super::force::{Live, LiveError, failed};
use super::store::{lasts, monotonic};
use crate::tables::layout::maps::{FLOWS, Names};

/// Puts the entries of one table that are not over into another one, unless they are there; `false` if the tables hold
/// something different.
///
/// # Errors
/// If there are more than the other one has room for.
pub(super) fn carry(names: &Names, old: &LoadedMap, new: &LoadedMap) -> Live<bool> {
    if old.key_size() != new.key_size() || old.value_size() != new.value_size() {
        return Ok(false);
    }
    let now = monotonic();
    let mut entries = Vec::new();
    for entry in old.entries() {
        let (key, value) = entry.map_err(failed)?;
        if lasts(names, &value, now) {
            entries.push((key, value));
        }
    }
    let room = new.max_entries() as usize;
    fits(names, entries.len(), room)?;
    for (key, value) in &entries {
        if new.get(key).map_err(failed)?.is_none() {
            new.set(key, value, Update::Any).map_err(failed)?;
        }
    }
    Ok(true)
}

/// Whether so many entries fit.
///
/// # Errors
/// What to say instead, if they do not.
pub(super) fn fits(names: &Names, entries: usize, room: usize) -> Live<()> {
    if entries <= room {
        return Ok(());
    }
    // Translated connections have two entries each.
    let (what, each) = if *names == FLOWS { ("connections", 1) } else { ("translations", 2) };
    let (entries, room) = (entries.div_ceil(each), room / each);
    Err(LiveError(format!(
        "there are {entries} {what}, and the table of this list has room for {room}; say `tables {what} {}`",
        (entries * 2).next_power_of_two()
    )))
}

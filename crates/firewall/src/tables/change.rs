//! Adding and removing entries while programs read the tables.

use std::fmt;

use super::entry::Entry;
use super::layout::{HASH_1, Head, Key, LONGEST_CHAIN, Record, Sizes, WAYS, book};

/// How long an entry that was removed is left alone, in nanoseconds: programs that were looking at it are long done then.
const REST: u64 = 1_000_000_000;

/// Why tables could not be changed. They mean the same as before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableError {
    /// A table is full: what, and how much it holds.
    Full(&'static str, u32),
    /// Too many entries can only be told apart one by one.
    Crowded(u32),
    /// The tables cannot be reached.
    Store(String),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(what, most) => write!(
                f,
                "there is no room for more {what} ({most}); nothing was changed; apply the rules file anew, which makes \
                 larger tables"
            ),
            Self::Crowded(most) => write!(
                f,
                "more than {most} rules have the same addresses and differ only in what is compared one by one (ranges of \
                 ports, flags, marks...); nothing was changed; merge some of them"
            ),
            Self::Store(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for TableError {}

/// Tables, wherever they are. Every method is one access that programs see as a whole or not at all, except
/// [`write_entry`](Self::write_entry), whose entry nobody looks at yet.
pub trait Store {
    /// How large they are.
    fn sizes(&self) -> Sizes;
    /// Where the chain of a bucket begins.
    ///
    /// # Errors
    /// [`TableError::Store`], as for all methods.
    fn head(&self, bucket: u32) -> Result<Head, TableError>;
    /// Changes where the chain of a bucket begins.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn set_head(&mut self, bucket: u32, head: Head) -> Result<(), TableError>;
    /// An entry.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn entry(&self, number: u32) -> Result<Entry, TableError>;
    /// Writes a whole entry.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn write_entry(&mut self, number: u32, entry: &Entry) -> Result<(), TableError>;
    /// Changes what follows an entry.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn set_next(&mut self, number: u32, next: u32) -> Result<(), TableError>;
    /// Says that an entry was given back, when, and which one was given back next.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn set_free(&mut self, number: u32, free: [u64; 2]) -> Result<(), TableError>;
    /// Adds classes to the byte of a way in a slot of the index.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn widen(&mut self, slot: u32, way: u8, classes: u8) -> Result<(), TableError>;
    /// A word of the book.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn book(&self, word: u32) -> Result<u64, TableError>;
    /// Changes a word of the book.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn set_book(&mut self, word: u32, value: u64) -> Result<(), TableError>;
    /// Says what a rule does.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn set_record(&mut self, rule: u32, record: &Record) -> Result<(), TableError>;
    /// Nanoseconds of the monotonic clock.
    fn now(&self) -> u64;
    /// A number that nobody can guess, for the hashes; 0 where nobody would want to.
    fn secret(&self) -> u64;
}

/// Gives empty tables what their hashes depend on.
///
/// # Errors
/// [`TableError::Store`]
pub fn begin(store: &mut impl Store) -> Result<(), TableError> {
    let factor = HASH_1 ^ store.secret() << 1;
    store.set_book(book::FACTOR, factor)
}

/// The bucket of a key, and what all hashes depend on.
fn bucket(store: &impl Store, key: &Key) -> Result<(u32, u64), TableError> {
    let factor = store.book(book::FACTOR)?;
    Ok((key.bucket(factor, store.sizes().bucket_bits), factor))
}

/// Says in the index that there is an entry.
fn widen(store: &mut impl Store, key: &Key, factor: u64) -> Result<(), TableError> {
    for (slot, classes) in key.slots(factor, store.sizes().hash_bits) {
        store.widen(slot, key.way, classes)?;
    }
    Ok(())
}

/// Fills tables that have no entries yet and that no program reads: entries of one bucket stand side by side.
///
/// # Errors
/// [`TableError`], with the position of the entry that does not fit.
pub fn fill(store: &mut impl Store, entries: &[(Key, Entry)]) -> Result<(), (usize, TableError)> {
    let most = store.sizes().entries;
    // Entry 0 is none.
    if entries.len() >= most as usize {
        return Err((most.saturating_sub(1) as usize, TableError::Full("entries", most)));
    }
    let mut order = Vec::with_capacity(entries.len());
    for (at, (key, entry)) in entries.iter().enumerate() {
        let (bucket, factor) = bucket(store, key).map_err(|error| (at, error))?;
        widen(store, key, factor).map_err(|error| (at, error))?;
        order.push((bucket, entry.order, at));
    }
    order.sort_unstable();
    let longest = LONGEST_CHAIN as usize;
    let crowded = order.windows(longest + 1).filter(|chain| chain[0].0 == chain[longest].0);
    if let Some(at) = crowded.map(|chain| chain[longest].2).min() {
        return Err((at, TableError::Crowded(LONGEST_CHAIN)));
    }
    let mut before = None;
    for (number, &(bucket, place, at)) in (1..).zip(&order) {
        let own = |error| (at, error);
        let is_last = order.get(number as usize).is_none_or(|next| next.0 != bucket);
        let next = if is_last { 0 } else { number + 1 };
        store.write_entry(number, &Entry { next, free: [0; 2], ..entries[at].1 }).map_err(own)?;
        if before != Some(bucket) {
            store.set_head(bucket, Head::of(Some((number, place)))).map_err(own)?;
        }
        before = Some(bucket);
    }
    store.set_book(book::ENTRIES, entries.len() as u64).map_err(|error| (0, error))
}

/// Adds an entry.
///
/// # Errors
/// [`TableError`]; nothing is changed then but that the index may say too much.
pub fn insert(store: &mut impl Store, key: &Key, entry: &Entry) -> Result<(), TableError> {
    let (bucket, factor) = bucket(store, key)?;
    // Where it belongs: behind all with the same order or a lower one.
    let (mut before, mut length) = (0, 0);
    let mut after = store.head(bucket)?.entry;
    let mut at = after;
    while at != 0 {
        length += 1;
        if length >= LONGEST_CHAIN {
            return Err(TableError::Crowded(LONGEST_CHAIN));
        }
        let here = store.entry(at)?;
        if here.order <= entry.order {
            (before, after) = (at, here.next);
        }
        at = here.next;
    }
    let number = take(store)?;
    store.write_entry(number, &Entry { next: after, free: [0; 2], ..*entry })?;
    widen(store, key, factor)?;
    if before == 0 {
        store.set_head(bucket, Head::of(Some((number, entry.order))))
    } else {
        store.set_next(before, number)
    }
}

/// Removes the first entry of a rule that is found by a key; `false` if there is none.
///
/// # Errors
/// [`TableError::Store`]
pub fn remove(store: &mut impl Store, key: &Key, wanted: &Entry) -> Result<bool, TableError> {
    let (bucket, _) = bucket(store, key)?;
    let mut before = 0;
    let mut at = store.head(bucket)?.entry;
    while at != 0 {
        let here = store.entry(at)?;
        if (Entry { next: 0, free: [0; 2], ..here }) == (Entry { next: 0, free: [0; 2], ..*wanted }) {
            if before == 0 {
                let first = if here.next == 0 { None } else { Some((here.next, store.entry(here.next)?.order)) };
                store.set_head(bucket, Head::of(first))?
            } else {
                store.set_next(before, here.next)?
            }
            give_back(store, at)?;
            return Ok(true);
        }
        (before, at) = (at, here.next);
    }
    Ok(false)
}

/// Whether an entry is found by a key.
///
/// # Errors
/// [`TableError::Store`]
pub fn contains(store: &impl Store, key: &Key, wanted: &Entry) -> Result<bool, TableError> {
    let (bucket, _) = bucket(store, key)?;
    let mut at = store.head(bucket)?.entry;
    while at != 0 {
        let here = store.entry(at)?;
        if (Entry { next: 0, free: [0; 2], ..here }) == (Entry { next: 0, free: [0; 2], ..*wanted }) {
            return Ok(true);
        }
        at = here.next;
    }
    Ok(false)
}

/// An entry that nobody looks at.
fn take(store: &mut impl Store) -> Result<u32, TableError> {
    let first = store.book(book::FREE_FIRST)? as u32;
    if first != 0 {
        let [next, since] = store.entry(first)?.free;
        if store.now().saturating_sub(since) >= REST {
            store.set_book(book::FREE_FIRST, next)?;
            return Ok(first);
        }
    }
    let taken = store.book(book::ENTRIES)?;
    let most = store.sizes().entries;
    let number = u32::try_from(taken + 1).ok().filter(|&number| number < most);
    let number = number.ok_or(TableError::Full("entries", most))?;
    store.set_book(book::ENTRIES, taken + 1)?;
    Ok(number)
}

fn give_back(store: &mut impl Store, number: u32) -> Result<(), TableError> {
    store.set_free(number, [0, store.now()])?;
    // The last one counts only while there is a first one.
    let (first, last) = (store.book(book::FREE_FIRST)? as u32, store.book(book::FREE_LAST)? as u32);
    if first == 0 {
        store.set_book(book::FREE_LAST, number.into())?;
        return store.set_book(book::FREE_FIRST, number.into());
    }
    let since = store.entry(last)?.free[1];
    store.set_free(last, [number.into(), since])?;
    store.set_book(book::FREE_LAST, number.into())
}

/// A check of the number of ways that the layout and the index have in common.
const _: () = assert!(WAYS == 3);

#[cfg(test)]
mod tests {
    use super::{Store as _, TableError, begin, fill, insert, remove};
    use crate::build::plan;
    use crate::fuzz::{self, Random};
    use crate::tables::layout::{Head, Key, LONGEST_CHAIN};
    use crate::tables::{Entry, Memory};

    /// All chains: entries without what ties them together.
    fn chains(tables: &Memory) -> Vec<Vec<Entry>> {
        let chain = |bucket| {
            let mut found = Vec::new();
            let head = tables.head(bucket).unwrap();
            let mut at = head.entry;
            while at != 0 {
                let entry = tables.entry(at).unwrap();
                at = entry.next;
                found.push(Entry { next: 0, free: [0; 2], ..entry });
            }
            assert_eq!(head, Head::of(found.first().map(|first| (head.entry, first.order))));
            found
        };
        (0..1 << tables.sizes().bucket_bits).map(chain).collect()
    }

    #[test]
    fn tables_that_are_filled_are_those_to_which_each_entry_was_added() {
        skep_random::random_test(|u| {
            let mut random = Random(u.arbitrary()?);
            let planned = plan(&fuzz::rules(&mut random, 60), &fuzz::index).unwrap();
            let mut all: Vec<(Key, Entry)> = planned.rules.iter().flat_map(|rule| rule.entries.clone()).collect();
            let mut sizes = planned.shape.sizes;
            sizes.bucket_bits = 1 + random.below(u64::from(sizes.bucket_bits)) as u32;
            let (mut filled, mut added) = (Memory::new(sizes), Memory::new(sizes));
            begin(&mut filled).unwrap();
            begin(&mut added).unwrap();
            let result = fill(&mut filled, &all);
            let each = all
                .iter()
                .enumerate()
                .try_for_each(|(at, (key, entry))| insert(&mut added, key, entry).map_err(|error| (at, error)));
            if each.is_err() {
                assert_eq!(result, each);
                assert!(matches!(each, Err((_, TableError::Crowded(LONGEST_CHAIN)))));
                return Ok(());
            }
            assert_eq!(result, Ok(()));
            assert_eq!(chains(&filled), chains(&added));
            while !all.is_empty() && !random.one_in(50) {
                let (key, entry) = all.swap_remove(random.below(all.len() as u64) as usize);
                assert!(remove(&mut filled, &key, &entry).unwrap() && remove(&mut added, &key, &entry).unwrap());
            }
            assert_eq!(chains(&filled), chains(&added));
            Ok(())
        })
        .budget_ms(500);
    }
}

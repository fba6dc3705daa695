//! Adding and removing entries while programs read the tables.

use std::fmt;

use super::layout::{Entry, Key, LONGEST_CHAIN, Record, Side, Sizes, WAYS, book, hash, slots_before};

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
    /// The bucket of a key.
    ///
    /// # Errors
    /// [`TableError::Store`], as for all methods.
    fn bucket(&self, key: &Key) -> Result<Option<u32>, TableError>;
    /// Gives a key its bucket, for ever.
    ///
    /// # Errors
    /// [`TableError::Full`], [`TableError::Store`].
    fn set_bucket(&mut self, key: &Key, bucket: u32) -> Result<(), TableError>;
    /// The first entry of a bucket, 0 for none.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn head(&self, bucket: u32) -> Result<u32, TableError>;
    /// Changes the first entry of a bucket.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn set_head(&mut self, bucket: u32, entry: u32) -> Result<(), TableError>;
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
    /// Adds bits to a word of the index.
    ///
    /// # Errors
    /// [`TableError::Store`]
    fn widen(&mut self, slot: u32, way: u8, bits: u64) -> Result<(), TableError>;
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
}

/// Adds an entry.
///
/// # Errors
/// [`TableError`]; nothing is changed then but that the index may say too much.
pub fn insert(store: &mut impl Store, key: &Key, entry: &Entry) -> Result<(), TableError> {
    let bucket = match store.bucket(key)? {
        Some(bucket) => bucket,
        None => new_bucket(store, key)?,
    };
    // Where it belongs: behind all with the same order or a lower one.
    let (mut before, mut length) = (0, 0);
    let mut after = store.head(bucket)?;
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
    for (side, class, address) in
        [(Side::Source, key.source_class, key.source), (Side::Destination, key.destination_class, key.destination)]
    {
        let bits = store.sizes().hash_bits;
        let slot = slots_before(key.family, side, class.into(), bits) + hash(address, bits);
        store.widen(slot, key.way, key.pair())?;
    }
    if before == 0 { store.set_head(bucket, number) } else { store.set_next(before, number) }
}

/// Removes the first entry of a rule that is found by a key; `false` if there is none.
///
/// # Errors
/// [`TableError::Store`]
pub fn remove(store: &mut impl Store, key: &Key, wanted: &Entry) -> Result<bool, TableError> {
    let Some(bucket) = store.bucket(key)? else { return Ok(false) };
    let mut before = 0;
    let mut at = store.head(bucket)?;
    while at != 0 {
        let here = store.entry(at)?;
        if (Entry { next: 0, free: [0; 2], ..here }) == (Entry { next: 0, free: [0; 2], ..*wanted }) {
            if before == 0 {
                store.set_head(bucket, here.next)?
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
    let Some(bucket) = store.bucket(key)? else { return Ok(false) };
    let mut at = store.head(bucket)?;
    while at != 0 {
        let here = store.entry(at)?;
        if (Entry { next: 0, free: [0; 2], ..here }) == (Entry { next: 0, free: [0; 2], ..*wanted }) {
            return Ok(true);
        }
        at = here.next;
    }
    Ok(false)
}

fn new_bucket(store: &mut impl Store, key: &Key) -> Result<u32, TableError> {
    let taken = store.book(book::BUCKETS)?;
    let most = store.sizes().entries;
    let bucket = u32::try_from(taken).ok().filter(|&bucket| bucket < most).ok_or(TableError::Full("buckets", most))?;
    // Taken first: if the process dies here, a bucket is lost, but two keys never share one.
    store.set_book(book::BUCKETS, taken + 1)?;
    store.set_head(bucket, 0)?;
    store.set_bucket(key, bucket)?;
    Ok(bucket)
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

//! The texts of the rules in force, kept beside their tables, so that what is in force can be listed and changed by any
//! process.
//!
//! They are one piece of shared memory: words about the whole, a row for each rule by its number, and the texts behind
//! each other. Row 0 has sets, zones and defaults. A row's state says what a process that died was about to do.

use std::sync::atomic::Ordering;

use skep_isa::MapType;
use skep_kernel::{LoadedMap, MapDefinition, MapMemory};

use crate::program::MMAPABLE;
use crate::tables::TableError;

/// The name of the map.
pub const TEXTS: &str = "fw_texts";
/// Words in front of the rows.
const HEAD: usize = 64;
/// Where the head has the number of rows, the first free byte, whether sets are being changed, and which rule is.
const ROWS: usize = 8;
const USED: usize = 16;
const SETS: usize = 24;
const CHANGED: usize = 32;
/// What the first word is, so that memory of another version is told.
const VERSION: u64 = 0x736b_6570_7478_0002;
/// Bytes of a row: the rule's place in the list, where its text is and how long, its state.
const ROW: usize = 24;
const PLACE: usize = 8;
const STATE: usize = 16;
/// Free bytes for texts of rules that come later, besides as many as there are.
const ROOM: usize = 1 << 16;

/// What a row says about its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Absent = 0,
    /// It is in force.
    Live = 1,
    /// It is being added.
    Coming = 2,
    /// It is being taken out.
    Going = 3,
}

impl State {
    fn of(number: u64) -> Self {
        [Self::Live, Self::Coming, Self::Going]
            .into_iter()
            .find(|state| *state as u64 == number)
            .unwrap_or(Self::Absent)
    }
}

/// A rule's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its place in the list.
    pub order: u64,
    /// What is about it.
    pub state: State,
}

/// All texts.
#[derive(Debug)]
pub struct Texts {
    memory: MapMemory,
    rows: usize,
}

fn damaged() -> TableError {
    TableError::Store(
        "the texts in the kernel were made by another version of skep: apply the rules file again".to_owned(),
    )
}

impl Texts {
    /// A map for rules with numbers below `rows` and texts of so many bytes.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn create(rows: u32, bytes: usize) -> Result<(LoadedMap, Self), TableError> {
        let failed = |error: skep_kernel::KernelError| TableError::Store(error.to_string());
        let size = HEAD + rows as usize * ROW + 2 * bytes + ROOM;
        let words = u32::try_from(size / 8 + 1).map_err(|_| TableError::Full("bytes of text", u32::MAX))?;
        let definition = MapDefinition {
            name: TEXTS,
            map_type: MapType::Array,
            key_size: 4,
            value_size: 8,
            max_entries: words,
            flags: MMAPABLE,
        };
        let map = LoadedMap::create(&definition).map_err(failed)?;
        let texts = Self { memory: map.memory().map_err(failed)?, rows: rows as usize };
        texts.store(ROWS, rows.into())?;
        texts.store(USED, (HEAD + texts.rows * ROW) as u64)?;
        texts.store(0, VERSION)?;
        Ok((map, texts))
    }

    /// The texts in a map.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn open(map: &LoadedMap) -> Result<Self, TableError> {
        let memory = map.memory().map_err(|_| damaged())?;
        if memory.load(0) != Some(VERSION) {
            return Err(damaged());
        }
        let rows = memory.load(ROWS).and_then(|rows| usize::try_from(rows).ok()).ok_or_else(damaged)?;
        if rows.checked_mul(ROW).is_none_or(|bytes| bytes + HEAD > memory.len()) {
            return Err(damaged());
        }
        Ok(Self { memory, rows })
    }

    fn store(&self, at: usize, value: u64) -> Result<(), TableError> {
        self.memory.u64_at(at).ok_or_else(damaged)?.store(value, Ordering::Release);
        Ok(())
    }

    fn load(&self, at: usize) -> u64 {
        self.memory.load(at).unwrap_or(0)
    }

    /// Numbers that rules may have are below this.
    pub fn rows(&self) -> u32 {
        self.rows as u32
    }

    /// Whether somebody was changing sets when they died, or is.
    pub fn sets_change(&self) -> bool {
        self.load(SETS) != 0
    }

    /// Says that sets are being changed, or no longer.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn set_sets_change(&self, change: bool) -> Result<(), TableError> {
        self.store(SETS, change.into())
    }

    /// The rule that somebody was adding or taking out when they died, or is.
    pub fn changed(&self) -> Option<u32> {
        u32::try_from(self.load(CHANGED)).ok().filter(|&number| number != 0)
    }

    /// Says which rule is being added or taken out.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn set_changed(&self, number: Option<u32>) -> Result<(), TableError> {
        self.store(CHANGED, number.unwrap_or(0).into())
    }

    fn at(&self, number: u32) -> Result<usize, TableError> {
        let number = number as usize;
        if number < self.rows { Ok(HEAD + number * ROW) } else { Err(damaged()) }
    }

    /// What is known about a rule besides its text.
    pub fn row(&self, number: u32) -> Row {
        let Ok(at) = self.at(number) else { return Row { order: 0, state: State::Absent } };
        Row { order: self.load(at), state: State::of(self.load(at + STATE)) }
    }

    /// Numbers and rows of the rules that there are, from a number on. Rows are read many at a time.
    pub fn live_rows(&self, from: u32) -> impl Iterator<Item = (u32, Row)> {
        const MANY: usize = 1024;
        let all = from as usize..self.rows;
        all.step_by(MANY).flat_map(move |first| {
            let count = MANY.min(self.rows - first);
            let mut bytes = vec![0; count * ROW];
            // Rows lie inside, as was seen when the texts were opened.
            let _ = self.memory.read(HEAD + first * ROW, &mut bytes);
            let word = |row: &[u8], at: usize| {
                row.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_ne_bytes(*word))
            };
            let row = move |row: &[u8]| Row { order: word(row, 0), state: State::of(word(row, STATE)) };
            let rows: Vec<Row> = bytes.chunks_exact(ROW).map(row).collect();
            (first as u32..).zip(rows).filter(|(_, row)| row.state != State::Absent)
        })
    }

    /// Keeps a text: whoever reads sees it as a whole, with its place and state, or what was there before.
    ///
    /// # Errors
    /// [`TableError::Full`] if there is no room for it; [`TableError::Store`].
    pub fn put(&self, number: u32, order: u64, state: State, text: &str) -> Result<(), TableError> {
        let row = self.at(number)?;
        let used = self.load(USED) as usize;
        // Not in one word with the end of what is there, which may be read meanwhile.
        let end = (used + text.len()).next_multiple_of(8);
        if end > self.memory.len() || self.memory.write(used, text.as_bytes()).is_none() {
            return Err(TableError::Full("bytes of text", u32::try_from(self.memory.len()).unwrap_or(u32::MAX)));
        }
        self.store(USED, end as u64)?;
        self.store(row, order)?;
        self.store(row + PLACE, (used as u64) << 32 | text.len() as u64)?;
        self.set_state(number, state)
    }

    /// Changes what is about a rule.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn set_state(&self, number: u32, state: State) -> Result<(), TableError> {
        self.store(self.at(number)? + STATE, state as u64)
    }

    /// The text of a rule.
    ///
    /// # Errors
    /// [`TableError::Store`]
    pub fn text(&self, number: u32) -> Result<String, TableError> {
        let place = self.load(self.at(number)? + PLACE);
        let (at, length) = ((place >> 32) as usize, (place & 0xffff_ffff) as usize);
        if at + length > self.memory.len() {
            return Err(damaged());
        }
        let mut bytes = vec![0; length];
        self.memory.read(at, &mut bytes).ok_or_else(damaged)?;
        String::from_utf8(bytes).map_err(|_| damaged())
    }
}

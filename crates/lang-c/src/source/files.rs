//! Files, and places in them.

use std::rc::Rc;

use super::names::{Names, Sym};

/// A place in the translation unit: a byte of a file, or a token that a macro made.
///
/// A value below 2³¹ counts bytes over all files, from 1; one above is the number of an expansion. Zero is no place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct Loc(pub u32);

/// Marks places that a macro made.
const EXPANSION: u32 = 1 << 31;

/// The bytes of all files together.
const MAX_BYTES: usize = 1 << 30;

/// The number of a file within its [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileId(pub u32);

/// Where a place is, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// The file.
    pub file: FileId,
    /// Its name, as `#line` may have changed it.
    pub name: &'a str,
    /// Byte offset in the file.
    pub offset: u32,
    /// Line from 1, as `#line` may have changed it.
    pub line: u32,
    /// Column from 1, in bytes.
    pub column: u32,
}

/// Gives the texts of files.
pub trait FileSource {
    /// The text of the file at `path`; nothing if there is none.
    ///
    /// # Errors
    /// A message if the file is there and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String>;
}

/// A [`FileSource`] without files: embedded headers are all there is.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl FileSource for NoFiles {
    fn read(&self, _: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}

#[derive(Debug)]
struct File {
    name: Rc<str>,
    text: Rc<str>,
    /// The place of the first byte.
    base: u32,
    /// Offsets at which lines start.
    lines: Vec<u32>,
    /// True for headers of the system and for embedded ones: no warnings about their text.
    system: bool,
    /// Where it is included.
    included_at: Loc,
    /// `#line` directives: the first physical line (from 0) that is concerned, its number, and the name.
    renumbered: Vec<(u32, u32, Rc<str>)>,
}

#[derive(Debug, Clone, Copy)]
struct Expansion {
    spelling: Loc,
    parent: Loc,
    name: Sym,
}

/// All files of a translation unit, what is known of places in them, and names.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<File>,
    expansions: Vec<Expansion>,
    names: Names,
}

impl Sources {
    /// Without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; bytes that are no UTF-8 become replacement characters. Nothing if all files together are too large
    /// (a gigabyte).
    pub fn add(&mut self, name: &str, text: &[u8], system: bool, included_at: Loc) -> Option<FileId> {
        let base = self.files.last().map_or(1, |last| last.base as usize + last.text.len() + 1);
        let text: Rc<str> = String::from_utf8_lossy(text).into();
        if base + text.len() >= MAX_BYTES {
            return None;
        }
        let after = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at as u32 + 1);
        let lines = std::iter::once(0).chain(after).collect();
        let id = FileId(self.files.len() as u32);
        let base = base as u32;
        self.files.push(File { name: name.into(), text, base, lines, system, included_at, renumbered: Vec::new() });
        Some(id)
    }

    /// The text of a file.
    pub fn text_of(&self, file: FileId) -> Rc<str> {
        self.files.get(file.0 as usize).map_or_else(|| "".into(), |file| Rc::clone(&file.text))
    }

    /// The name of a file.
    pub fn name_of(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |file| &file.name)
    }

    /// The names of all files in the order in which they were first read.
    pub fn file_names(&self) -> impl Iterator<Item = (&str, bool)> {
        self.files.iter().map(|file| (&*file.name, file.system))
    }

    /// Where a file is included; no place for the main file.
    pub fn included_at(&self, file: FileId) -> Loc {
        self.files.get(file.0 as usize).map_or_else(Loc::default, |file| file.included_at)
    }

    /// The place of a byte of a file.
    pub fn loc(&self, file: FileId, offset: usize) -> Loc {
        self.files.get(file.0 as usize).map_or_else(Loc::default, |of| Loc(of.base + offset.min(of.text.len()) as u32))
    }

    /// Renumbers: the line after the one of `at` has this number, and the file this name.
    pub fn renumber(&mut self, at: Loc, line: u32, name: &str) {
        let Some((index, offset)) = self.find(self.spelling(at)) else { return };
        let physical = line_of(&self.files[index].lines, offset);
        self.files[index].renumbered.push((physical + 1, line, name.into()));
    }

    /// Records that a token which is spelled at `spelling` came out of the macro `name`, used at `parent`. Where the
    /// table is full, the place of the use itself.
    pub fn expand(&mut self, spelling: Loc, parent: Loc, name: Sym) -> Loc {
        let number = self.expansions.len() as u32;
        if number >= EXPANSION - 1 {
            return parent;
        }
        self.expansions.push(Expansion { spelling, parent, name });
        Loc(number | EXPANSION)
    }

    /// Where the characters of a token are.
    pub fn spelling(&self, loc: Loc) -> Loc {
        let mut loc = loc;
        while let Some(of) = self.expansion(loc) {
            loc = of.spelling;
        }
        loc
    }

    /// The use of the macro that a token came out of, with the name of the macro. The use may have come out of a macro
    /// itself.
    pub fn parent(&self, loc: Loc) -> Option<(Loc, Sym)> {
        self.expansion(loc).map(|of| (of.parent, of.name))
    }

    /// The place in a file that the user sees: that of the outermost use of a macro.
    pub fn outermost(&self, loc: Loc) -> Loc {
        let mut loc = loc;
        while let Some(of) = self.expansion(loc) {
            loc = of.parent;
        }
        loc
    }

    fn expansion(&self, loc: Loc) -> Option<Expansion> {
        if loc.0 & EXPANSION == 0 {
            return None;
        }
        self.expansions.get((loc.0 & !EXPANSION) as usize).copied()
    }

    /// The file of a place below [`EXPANSION`], and the offset in it.
    fn find(&self, loc: Loc) -> Option<(usize, u32)> {
        if loc.0 == 0 || loc.0 & EXPANSION != 0 {
            return None;
        }
        let index = self.files.partition_point(|file| file.base <= loc.0).checked_sub(1)?;
        Some((index, (loc.0 - self.files[index].base).min(self.files[index].text.len() as u32)))
    }

    /// Where the outermost use is, for people. Nothing for no place.
    pub fn place(&self, loc: Loc) -> Option<Place<'_>> {
        self.place_of_file(self.outermost(loc))
    }

    /// Where the characters are, for people. Nothing for no place.
    pub fn spelling_place(&self, loc: Loc) -> Option<Place<'_>> {
        self.place_of_file(self.spelling(loc))
    }

    fn place_of_file(&self, loc: Loc) -> Option<Place<'_>> {
        let (index, offset) = self.find(loc)?;
        let file = &self.files[index];
        let physical = line_of(&file.lines, offset);
        let column = offset - file.lines[physical as usize] + 1;
        let renumbered = file.renumbered.iter().rev().find(|(from, ..)| *from <= physical);
        let (line, name) = match renumbered {
            Some((from, number, name)) => (number.saturating_add(physical - from), &**name),
            None => (physical + 1, &*file.name),
        };
        Some(Place { file: FileId(index as u32), name, offset, line, column })
    }

    /// The line that a place is in, without its end: of the outermost use.
    pub fn line_text(&self, loc: Loc) -> &str {
        let Some((index, offset)) = self.find(self.outermost(loc)) else { return "" };
        let file = &self.files[index];
        let line = line_of(&file.lines, offset) as usize;
        let end = file.lines.get(line + 1).map_or(file.text.len(), |&next| next as usize);
        file.text.get(file.lines[line] as usize..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }

    /// True if the characters are in a header of the system or in an embedded one.
    pub fn is_system(&self, loc: Loc) -> bool {
        self.find(self.spelling(loc)).is_some_and(|(index, _)| self.files[index].system)
    }

    /// The number of a text.
    pub fn intern(&mut self, text: &str) -> Sym {
        self.names.intern(text)
    }

    /// How many texts have numbers; these are the numbers below.
    pub fn name_count(&self) -> usize {
        self.names.count()
    }

    /// The number of a text that was met before.
    pub fn known(&self, text: &str) -> Option<Sym> {
        self.names.find(text)
    }

    /// The text of a number.
    pub fn text(&self, sym: Sym) -> &str {
        self.names.text(sym)
    }
}

/// The line, from 0, of an offset.
fn line_of(lines: &[u32], offset: u32) -> u32 {
    lines.partition_point(|&start| start <= offset).saturating_sub(1) as u32
}

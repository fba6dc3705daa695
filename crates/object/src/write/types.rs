//! Types and names behind those of a blob: definitions of maps, and what `.BTF.ext` refers to.

use std::collections::HashMap;

use crate::btf_edit::{kind, word};

/// A blob that grows.
pub(crate) struct Types {
    types: Vec<u8>,
    /// Number of types so far.
    count: u32,
    strings: Vec<u8>,
    places: HashMap<Vec<u8>, u32>,
    /// The integer that arrays of definitions are made of.
    int: Option<u32>,
}

impl Types {
    /// Starts from a blob that was opened before, or from nothing.
    pub(crate) fn new(blob: &[u8]) -> Self {
        let header = word(blob, 4) as usize;
        let part = |offset: usize, len: usize| {
            let start = header.saturating_add(word(blob, offset) as usize);
            let end = start.saturating_add(word(blob, len) as usize).min(blob.len());
            blob.get(start..end).unwrap_or_default().to_vec()
        };
        let (types, mut strings) = (part(8, 12), part(16, 20));
        if strings.is_empty() {
            strings.push(0);
        }
        let count = crate::btf_edit::records(blob).len() as u32;
        let mut places = HashMap::new();
        let mut at = 0;
        for text in strings.split(|byte| *byte == 0) {
            places.entry(text.to_vec()).or_insert(at as u32);
            // Texts of lines lose their indentation when they are read: what is left is the end of a known text.
            let indent = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            places.entry(text[indent..].to_vec()).or_insert((at + indent) as u32);
            at += text.len() + 1;
        }
        places.insert(Vec::new(), 0);
        Self { types, count, strings, places, int: None }
    }

    /// Where a text starts among the strings.
    pub(crate) fn name(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text.as_bytes()) {
            return *place;
        }
        let place = self.strings.len() as u32;
        // A NUL would end the name early; it cannot come from a file.
        self.strings.extend(text.bytes().filter(|byte| *byte != 0));
        self.strings.push(0);
        self.places.insert(text.as_bytes().to_vec(), place);
        place
    }

    /// Adds a type and returns its number.
    fn add(&mut self, words: &[u32]) -> u32 {
        self.types.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self.count += 1;
        self.count
    }

    fn int(&mut self) -> u32 {
        if let Some(int) = self.int {
            return int;
        }
        let name = self.name("int");
        let int = self.add(&[name, kind::INT << 24, 4, 1 << 24 | 32]);
        self.int = Some(int);
        int
    }

    pub(crate) fn pointer(&mut self, target: u32) -> u32 {
        self.add(&[0, 2 << 24, target])
    }

    pub(crate) fn array(&mut self, element: u32, len: u32) -> u32 {
        let int = self.int();
        self.add(&[0, kind::ARRAY << 24, 0, element, int, len])
    }

    /// A type that spells a number: `int (*)[NUMBER]`, or an enumeration for what does not fit in 32 bits.
    pub(crate) fn number(&mut self, number: u64) -> u32 {
        if let Ok(number) = u32::try_from(number) {
            let int = self.int();
            let array = self.array(int, number);
            return self.pointer(array);
        }
        let name = self.name("number");
        self.add(&[0, kind::ENUM64 << 24 | 1, 8, name, number as u32, (number >> 32) as u32])
    }

    /// A structure without name: names, types and sizes in bytes of its members.
    pub(crate) fn structure(&mut self, members: &[(&str, u32, u32)]) -> (u32, u32) {
        let mut words = vec![0, kind::STRUCT << 24 | members.len() as u32, 0];
        let mut size = 0;
        for (name, ty, bytes) in members {
            let name = self.name(name);
            words.extend([name, *ty, size * 8]);
            size += bytes;
        }
        words[2] = size;
        (self.add(&words), size)
    }

    /// A prototype of a function with a pointer to its context.
    pub(crate) fn program(&mut self) -> u32 {
        let int = self.int();
        let pointer = self.pointer(0);
        let name = self.name("ctx");
        self.add(&[0, kind::FUNC_PROTO << 24 | 1, int, name, pointer])
    }

    /// A global variable.
    pub(crate) fn variable(&mut self, name: &str, ty: u32) -> u32 {
        let name = self.name(name);
        self.add(&[name, kind::VAR << 24, ty, 1])
    }

    /// A section with variables: number, offset and size of each.
    pub(crate) fn section(&mut self, name: &str, size: u32, vars: &[(u32, u32, u32)]) -> u32 {
        let name = self.name(name);
        let mut words = vec![name, kind::DATASEC << 24 | vars.len() as u32, size];
        words.extend(vars.iter().flat_map(|(ty, offset, size)| [*ty, *offset, *size]));
        self.add(&words)
    }

    /// Gives a section another name, so that loaders take the new one of that name.
    pub(crate) fn rename(&mut self, blob: &[u8], ty: u32, name: &str) {
        let name = self.name(name);
        let header = (word(blob, 4) + word(blob, 8)) as usize;
        let record = crate::btf_edit::records(blob).get(ty as usize - 1).copied();
        if let Some(record) = record {
            crate::btf_edit::set_word(&mut self.types, record.at - header, name);
        }
    }

    /// The blob; empty if it has no types and no names.
    pub(crate) fn build(&self) -> Vec<u8> {
        if self.types.is_empty() && self.strings.len() <= 1 {
            return Vec::new();
        }
        let mut blob = vec![0x9f, 0xeb, 1, 0];
        let types = self.types.len() as u32;
        for number in [24, 0, types, types, self.strings.len() as u32] {
            blob.extend_from_slice(&number.to_le_bytes());
        }
        [&blob[..], &self.types, &self.strings].concat()
    }
}

/// The content of `.BTF.ext`: for each section the records about functions, lines and relocations.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) functions: Vec<(u32, Vec<[u32; 2]>)>,
    pub(crate) lines: Vec<(u32, Vec<[u32; 4]>)>,
    pub(crate) relocations: Vec<(u32, Vec<[u32; 4]>)>,
}

impl Extra {
    /// The bytes; empty if there is nothing to say.
    pub(crate) fn build(&self) -> Vec<u8> {
        let parts = [part(&self.functions), part(&self.lines), part(&self.relocations)];
        if parts.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let mut start = 0;
        let mut words = vec![32];
        for part in &parts {
            words.extend([start, part.len() as u32]);
            start += part.len() as u32;
        }
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        [&bytes[..], &parts.concat()].concat()
    }
}

/// The size of records, then for each section its name, the number of records, and the records.
fn part<const N: usize>(sections: &[(u32, Vec<[u32; N]>)]) -> Vec<u8> {
    if sections.iter().all(|(_, records)| records.is_empty()) {
        return Vec::new();
    }
    let mut words = vec![4 * N as u32];
    for (name, records) in sections.iter().filter(|(_, records)| !records.is_empty()) {
        words.extend([*name, records.len() as u32]);
        words.extend(records.iter().flatten());
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

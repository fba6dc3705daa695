//! Many names at once, in one walk through all types. An index of all names costs more than a compiler has to do with a
//! few hundred of them.

use std::collections::HashMap;

use crate::blob::Btf;
use crate::bytes::words;
use crate::kind::TypeId;
use crate::number::{self, Info};

/// What has the names that were asked for.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    names: HashMap<Box<str>, Named>,
}

/// What has one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The types, functions and variables of this name, in ascending order: those of a base first.
    pub types: Vec<TypeId>,
    /// The first enumeration that declares a constant of this name.
    pub enumerator: Option<TypeId>,
}

impl Selection {
    /// What has a name; nothing for a name that was not asked for.
    pub fn get(&self, name: &str) -> Option<&Named> {
        self.names.get(name)
    }

    /// Notes a name that is met, which begins a text and ends at a zero byte.
    fn meet(&mut self, text: &[u8], note: impl FnOnce(&mut Named)) {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        if let Ok(name) = std::str::from_utf8(&text[..end])
            && let Some(named) = self.names.get_mut(name)
        {
            note(named);
        }
    }
}

impl Btf {
    /// Looks for types, functions and enumerators of many names. Empty names are nobody's.
    pub fn select<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Selection {
        let mut filter = Filter::default();
        let mut selection = Selection::default();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            if !selection.names.contains_key(name) {
                filter.add(name.as_bytes());
                selection.names.insert(name.into(), Named::default());
            }
        }
        if !selection.names.is_empty() {
            self.select_into(&filter, &mut selection);
        }
        selection
    }

    fn select_into(&self, filter: &Filter, selection: &mut Selection) {
        if let Some(base) = self.base() {
            base.select_into(filter, selection);
        }
        let bytes = self.bytes();
        let (first, own) = self.own_strings();
        let text = |offset: u32| match offset.checked_sub(first) {
            Some(offset) => own.get(offset as usize..).unwrap_or_default(),
            None => self.strings_from(offset),
        };
        for (id, at) in self.places() {
            let Ok([name, info]) = words(bytes, at, "a type") else { continue };
            if name != 0 {
                let text = text(name);
                if filter.may_have(text) {
                    selection.meet(text, |named| named.types.push(id));
                }
            }
            let info = Info(info);
            let step = match info.kind() {
                number::ENUM => 8,
                number::ENUM64 => 12,
                _ => continue,
            };
            let start = at + 12;
            let values = bytes.get(start..start + step * info.count()).unwrap_or_default();
            for value in values.chunks_exact(step) {
                let Ok([name]) = words(value, 0, "an enumerator") else { continue };
                let text = text(name);
                if filter.may_have(text) {
                    selection.meet(text, |named| _ = named.enumerator.get_or_insert(id));
                }
            }
        }
    }
}

/// Bits of a hash of the first eight bytes of names: of the kernel's 200,000 names it leaves a few thousand, at the price of
/// one load each.
struct Filter(Vec<u64>);

/// Bits of the hash.
const BITS: u32 = 16;

impl Default for Filter {
    fn default() -> Self {
        Self(vec![0; (1 << BITS) / 64])
    }
}

impl Filter {
    fn add(&mut self, name: &[u8]) {
        let bit = bit(name);
        if let Some(word) = self.0.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// False if no name that was added begins the text and ends at a zero byte.
    fn may_have(&self, text: &[u8]) -> bool {
        let bit = bit(text);
        self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}

/// The bit of a text that ends at a zero byte or at its end.
fn bit(text: &[u8]) -> usize {
    let word = match text.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => {
            let mut word = [0; 8];
            word[..text.len()].copy_from_slice(text);
            u64::from_le_bytes(word)
        }
    };
    // The highest bit of the first zero byte; the bytes from there on do not count.
    let ones = u64::from_ne_bytes([1; 8]);
    let zero = word.wrapping_sub(ones) & !word & (ones << 7);
    let word = if zero == 0 { word } else { word & ((1 << (zero.trailing_zeros() - 7)) - 1) };
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BtfBuilder, Int, Kind, NewType};

    #[test]
    fn the_filter_lets_each_name_through() {
        skep_random::random_test(|u| {
            let name: Vec<u8> = u.arbitrary::<Vec<u8>>()?.into_iter().filter(|byte| *byte != 0).collect();
            let behind: Vec<u8> = u.arbitrary()?;
            let mut filter = Filter::default();
            assert!(!filter.may_have(&name));
            filter.add(&name);
            assert!(filter.may_have(&name));
            assert!(filter.may_have(&[&name[..], &[0], &behind].concat()));
            Ok(())
        })
        .budget_ms(300);
    }

    /// Everything of a blob is found under its name, as walks through all of it find it.
    fn check(btf: &Btf, name: &str) {
        let selection = btf.select([name, "no such name", ""]);
        let named = selection.get(name).expect("it was asked for");
        let all: Vec<TypeId> = btf.all_ids().filter(|id| btf.name(*id) == Ok(name)).collect();
        assert_eq!(named.types, all, "{name}");
        let declares = |id: &TypeId| match btf.kind(*id) {
            Ok(Kind::Enum(list) | Kind::Enum64(list)) => list.values().any(|value| btf.string(value.name) == Ok(name)),
            _ => false,
        };
        assert_eq!(named.enumerator, btf.all_ids().find(declares), "{name}");
        assert_eq!(selection.get("no such name"), Some(&Named::default()));
        assert_eq!(selection.get(""), None);
    }

    #[test]
    fn names_are_found_as_by_looking_at_each_type() {
        let mut builder = BtfBuilder::new();
        let int = Int { size: 4, bits: 32, bit_offset: 0, signed: true, char: false, bool: false };
        let int = builder.add("int", NewType::Int(int)).expect("int");
        for name in ["first", "second_and_longer", "first_function"] {
            builder.add(name, NewType::Typedef(int)).expect("a name");
        }
        let values = &[("ONE", 1), ("TWO_AND_MORE", 2), ("first", 3)];
        builder.add("colours", NewType::Enum { size: 4, signed: true, values }).expect("an enumeration");
        builder
            .add("first", NewType::Enum64 { size: 8, signed: true, values: &[("ONE", 1), ("LAST", 2)] })
            .expect("one");
        let btf = Btf::parse(builder.to_bytes()).expect("types");
        for name in ["int", "first", "second_and_longer", "second_a", "ONE", "TWO_AND_MORE", "TWO", "LAST", "colours"] {
            check(&btf, name);
        }
    }
}

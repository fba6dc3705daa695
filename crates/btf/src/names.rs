//! Names of types: flavours, and the index that is built when names are asked for repeatedly.

/// A name without its flavour: `task_struct___old` is the type `task_struct` as somebody else declares it. The flavour
/// begins at the last three underscores that have another character on both sides
/// (`bpf_core_essential_name_len` of the kernel).
pub fn essential_name(name: &str) -> &str {
    name.get(..essential(name.as_bytes()).len()).unwrap_or(name)
}

/// The same for bytes.
pub(crate) fn essential(name: &[u8]) -> &[u8] {
    // Hardly any name has three underscores in a row.
    if !name.windows(3).any(|window| window == b"___") {
        return name;
    }
    let separator = |window: &[u8]| matches!(window, [a, b'_', b'_', b'_', b] if *a != b'_' && *b != b'_');
    match name.windows(5).rposition(separator) {
        Some(at) => &name[..=at],
        None => name,
    }
}

/// Which types have a name: numbers of types, sorted by a hash of the name without flavour, then by number.
///
/// Four bytes for each type with a name and four for each eight of them.
#[derive(Debug, Clone)]
pub(crate) struct NameIndex {
    /// Where in `types` the types with this hash begin; one more than there are hashes.
    starts: Vec<u32>,
    types: Vec<u32>,
    /// How far to shift a hash to the right.
    shift: u32,
}

impl NameIndex {
    /// Sorts pairs of number and text, of which the name is what stands before the first zero byte; names that are empty are
    /// left out.
    pub(crate) fn new<'a>(names: impl Iterator<Item = (u32, &'a [u8])>) -> Self {
        let mut hashes: Vec<(u32, u32)> = Vec::with_capacity(names.size_hint().0);
        for (id, text) in names {
            let key = first_key(text).unwrap_or_else(|| {
                let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                key(essential(&text[..end]))
            });
            if key != 0 {
                hashes.push((id, hash(key)));
            }
        }
        // Eight types to a bucket: comparing their names costs less than a larger table in the cache.
        let bits = (hashes.len() / 8).max(2).ilog2().min(24);
        let shift = u32::BITS - bits;
        let mut starts = vec![0u32; (1 << bits) + 1];
        for (_, hash) in &hashes {
            starts[(*hash >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut types = vec![0; hashes.len()];
        for (id, hash) in hashes {
            let slot = &mut next[(hash >> shift) as usize];
            if let Some(place) = types.get_mut(*slot as usize) {
                *place = id;
            }
            *slot += 1;
        }
        Self { starts, types, shift }
    }

    /// The types whose name without flavour may be this one, in ascending order.
    pub(crate) fn candidates(&self, essential: &[u8]) -> &[u32] {
        let bucket = (hash(key(essential)) >> self.shift) as usize;
        let bounds = self.starts.get(bucket).zip(self.starts.get(bucket + 1));
        bounds.and_then(|(from, to)| self.types.get(*from as usize..*to as usize)).unwrap_or_default()
    }

    /// Bytes that the index occupies.
    pub(crate) fn size(&self) -> usize {
        4 * (self.starts.capacity() + self.types.capacity())
    }
}

/// Mixes the first sixteen bytes of a name without flavour, with zeros behind a shorter one. Two loads for each of the 150,000
/// types of a kernel: reading whole names would take several times as long.
fn hash(key: u128) -> u32 {
    let word =
        (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((key >> 64) as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let word = (word ^ word >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (word >> 32) as u32
}

/// Sixteen times the same byte.
const fn all(byte: u8) -> u128 {
    u128::from_ne_bytes([byte; 16])
}

/// The highest bit of the first zero byte, and perhaps of some bytes behind it.
const fn zeros(word: u128) -> u128 {
    word.wrapping_sub(all(1)) & !word & all(0x80)
}

/// The first bytes of a name without flavour.
fn key(essential: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = essential.len().min(16);
    bytes[..length].copy_from_slice(&essential[..length]);
    u128::from_le_bytes(bytes)
}

/// The same for the name that begins a text and ends at a zero byte; `None` if it has to be read whole, because there may be a
/// flavour within the first bytes.
fn first_key(text: &[u8]) -> Option<u128> {
    let word = u128::from_le_bytes(*text.first_chunk()?);
    let zero = zeros(word);
    let word = if zero == 0 { word } else { word & ((1 << (zero.trailing_zeros() - 7)) - 1) };
    let lines = zeros(word ^ all(b'_'));
    let flavour = lines & lines >> 8 & lines >> 16 | lines & 0x80 << 120;
    (flavour == 0).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::{NameIndex, essential, essential_name, first_key, key};

    #[test]
    fn flavours() {
        for (name, essential) in [
            ("task_struct", "task_struct"),
            ("task_struct___old", "task_struct"),
            ("a___b", "a"),
            ("a___b___c", "a___b"),
            ("a____b", "a____b"),
            ("___b", "___b"),
            ("a___", "a___"),
            ("a__b", "a__b"),
            ("", ""),
        ] {
            assert_eq!(essential_name(name), essential, "{name}");
        }
    }

    #[test]
    fn keys_are_those_of_the_names() {
        skep_random::random_test(|u| {
            let length = u.int_in_range(0..=24)?;
            let letters = (0..length).map(|_| u.choose(b"_a_b\x80\xff").copied());
            let name: Vec<u8> = letters.collect::<Result<_, _>>()?;
            let behind: Vec<u8> = u.arbitrary()?;
            let text = [&name[..], &[0], &behind].concat();
            if let Some(found) = first_key(&text) {
                assert_eq!(found, key(essential(&name)), "{name:?}");
            } else {
                assert!(text.len() < 16 || name.windows(2).any(|pair| pair == b"__") || name.get(15) == Some(&b'_'));
            }
            Ok(())
        })
        .budget_ms(300);
    }

    #[test]
    fn every_name_is_found_in_order() {
        let names: Vec<String> = (0..10_000).map(|number| format!("name{}", number % 3_000)).collect();
        let index = NameIndex::new((1..).zip(names.iter().map(String::as_bytes)));
        for number in 0..3_000u32 {
            let name = format!("name{number}");
            let found = index.candidates(name.as_bytes()).iter();
            let found: Vec<u32> = found.copied().filter(|id| names[*id as usize - 1] == name).collect();
            let expected: Vec<u32> = (number + 1..=10_000).step_by(3_000).collect();
            assert_eq!(found, expected, "{name}");
        }
        assert!(index.size() < 64 << 10, "{}", index.size());
    }
}

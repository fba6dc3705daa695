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
    /// Sorts pairs of number and name; names that are empty are left out.
    pub(crate) fn new<'a>(names: impl Iterator<Item = (u32, &'a [u8])>) -> Self {
        let named = names.filter(|(_, name)| !name.is_empty());
        let hashes: Vec<(u32, u32)> = named.map(|(id, name)| (id, hash(essential(name)))).collect();
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
        let bucket = (hash(essential) >> self.shift) as usize;
        let bounds = self.starts.get(bucket).zip(self.starts.get(bucket + 1));
        bounds.and_then(|(from, to)| self.types.get(*from as usize..*to as usize)).unwrap_or_default()
    }

    /// Bytes that the index occupies.
    pub(crate) fn size(&self) -> usize {
        4 * (self.starts.capacity() + self.types.capacity())
    }
}

/// FNV-1a with a final mix, because the highest bits are used. Names are short; nothing else is needed.
fn hash(name: &[u8]) -> u32 {
    let hash = name.iter().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d)
}

#[cfg(test)]
mod tests {
    use super::{NameIndex, essential_name};

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

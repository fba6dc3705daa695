//! `/etc/ld.so.cache`: where the loader finds libraries.
//!
//! The file begins with the text `glibc-ld.so.cache1.1`, possibly behind an older table. Then follow the number of
//! entries and the bytes of text (four bytes each), 20 bytes more, and entries of 24 bytes: flags, place of the name and
//! of the path (counted from the start of this table), and eight bytes and four that are not needed here.

/// The start of the table.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Bytes in front of the entries.
const HEADER: usize = 48;
/// Bytes of an entry.
const ENTRY: usize = 24;

/// A library: its name with version, and its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) path: &'a str,
}

/// The libraries in a cache. Entries that are malformed are left out.
pub(crate) fn entries(bytes: &[u8]) -> Vec<Entry<'_>> {
    let Some(start) = bytes.windows(MAGIC.len()).position(|window| window == MAGIC) else { return Vec::new() };
    let table = &bytes[start..];
    let word = |at: usize| {
        let four = table.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_ne_bytes(four)).ok()
    };
    let text = |at: usize| {
        let rest = table.get(at..)?;
        let end = rest.iter().take(4096).position(|&byte| byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    };
    let count = word(MAGIC.len()).unwrap_or(0).min(table.len() / ENTRY);
    (0..count)
        .filter_map(|number| {
            let at = HEADER + number * ENTRY;
            Some(Entry { name: text(word(at + 4)?)?, path: text(word(at + 8)?)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_and_broken_ones() {
        let mut bytes = b"ld.so-1.7.0\0\0\0\0\0".to_vec();
        let mut table = MAGIC.to_vec();
        table.extend(1u32.to_ne_bytes());
        table.resize(HEADER, 0);
        for word in [0x303u32, 72, 84, 0, 0, 0] {
            table.extend(word.to_ne_bytes());
        }
        table.extend(b"libx.so.1\0\0\0/lib/libx.so.1\0");
        bytes.extend(table);
        assert_eq!(entries(&bytes), [Entry { name: "libx.so.1", path: "/lib/libx.so.1" }]);
        for length in 0..bytes.len() {
            assert!(entries(&bytes[..length]).len() <= 1);
        }
        assert_eq!(entries(b""), []);
    }
}

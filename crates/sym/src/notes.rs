//! Notes of ELF files: name, number and content, each padded to four bytes.

/// A note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note<'a> {
    /// The owner, without its NUL.
    pub(crate) name: &'a [u8],
    /// What it is, as the owner numbers it.
    pub(crate) kind: u32,
    /// The content.
    pub(crate) content: &'a [u8],
}

/// The order of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// Whether the least significant byte is first.
    pub(crate) little: bool,
    /// Bytes of an address: 4 or 8.
    pub(crate) address: usize,
}

impl Order {
    pub(crate) fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    }

    pub(crate) fn address_at(self, bytes: &[u8], at: usize) -> Option<u64> {
        if self.address == 4 {
            return self.u32_at(bytes, at).map(u64::from);
        }
        let eight = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        Some(if self.little { u64::from_le_bytes(eight) } else { u64::from_be_bytes(eight) })
    }
}

/// The notes in a section, up to the first that is malformed.
pub(crate) fn notes(mut bytes: &[u8], order: Order) -> impl Iterator<Item = Note<'_>> {
    std::iter::from_fn(move || {
        let length = |at| order.u32_at(bytes, at).and_then(|length| usize::try_from(length).ok());
        let (name, content) = (length(0)?, length(4)?);
        let kind = order.u32_at(bytes, 8)?;
        let start = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
        let end = start.checked_add(content)?;
        let note = Note { name: bytes.get(12..12usize.checked_add(name)?)?, kind, content: bytes.get(start..end)? };
        bytes = bytes.get(end.checked_next_multiple_of(4)?..).unwrap_or_default();
        let name = note.name.strip_suffix(&[0]).unwrap_or(note.name);
        Some(Note { name, ..note })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Order = Order { little: true, address: 8 };

    #[test]
    fn notes_and_broken_ones() {
        let mut bytes = vec![4, 0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0, b'G', b'N', b'U', 0, 1, 2, 3, 0];
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, b'x', 0, 0, 0]);
        let all: Vec<_> = notes(&bytes, ORDER).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], Note { name: b"GNU", kind: 7, content: &[1, 2, 3] });
        assert_eq!((all[1].name, all[1].kind), (&b"x"[..], 9));
        assert_eq!(notes(&[0xff; 40], ORDER).count(), 0);
        assert_eq!(notes(&bytes[..30], ORDER).count(), 1);
        assert_eq!(Order { little: false, address: 4 }.address_at(&[0, 0, 1, 2], 0), Some(258));
    }
}

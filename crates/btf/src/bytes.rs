//! Numbers at places of a byte slice, all little-endian.

use crate::error::{BtfError, Problem};

/// The number at `offset`; `what` names what the data would end in.
pub(crate) fn u32_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u32, BtfError> {
    let word = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    word.map(|word| u32::from_le_bytes(*word)).ok_or(BtfError::new(offset, Problem::Truncated(what)))
}

/// The `N` numbers at `offset`.
pub(crate) fn words<const N: usize>(bytes: &[u8], offset: usize, what: &'static str) -> Result<[u32; N], BtfError> {
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        *word = u32_at(bytes, offset.saturating_add(4 * index), what)?;
    }
    Ok(words)
}

/// The numbers of a record that is known to be complete.
pub(crate) fn record<const N: usize>(bytes: &[u8]) -> [u32; N] {
    words(bytes, 0, "").unwrap_or([0; N])
}

/// Magic number of all BTF headers.
const MAGIC: u16 = 0xeb9f;

/// Checks magic number and version and returns the length of the header.
pub(crate) fn header(bytes: &[u8], least: u32) -> Result<u32, BtfError> {
    let start: &[u8; 8] = bytes.first_chunk().ok_or(BtfError::new(0, Problem::Truncated("the header")))?;
    let [m0, m1, version, _flags, length @ ..] = *start;
    match u16::from_le_bytes([m0, m1]) {
        MAGIC => {}
        found if found == MAGIC.swap_bytes() => return Err(BtfError::new(0, Problem::BigEndian)),
        found => return Err(BtfError::new(0, Problem::Magic(found))),
    }
    if version != 1 {
        return Err(BtfError::new(2, Problem::Version(version)));
    }
    let length = u32::from_le_bytes(length);
    // Longer headers come from newer compilers and are fine as long as they are there.
    if length < least || length as usize > bytes.len() {
        return Err(BtfError::new(4, Problem::HeaderLength(length)));
    }
    Ok(length)
}

/// The range of a part that the header describes relative to its own end.
pub(crate) fn part(
    bytes: &[u8],
    header: u32,
    offset: u32,
    length: u32,
    what: &'static str,
) -> Result<std::ops::Range<usize>, BtfError> {
    let start = u64::from(header) + u64::from(offset);
    let end = start + u64::from(length);
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if end <= bytes.len() => Ok(start..end),
        (Ok(start), _) => Err(BtfError::new(start, Problem::Outside(what))),
        _ => Err(BtfError::new(usize::MAX, Problem::Outside(what))),
    }
}

//! Random bytes as records: nothing may panic, loop or grow without bound.

use skep_trace::names::Clock;

use crate::decode::text::Style;
use crate::fds::Detail;
use crate::lines::{Lines, Look, Prefix};

/// Most bytes that a record may become for each of its own, names and hexadecimal digits included.
const GROWTH: usize = 400;

/// The bytes are several records one behind the other, each with its length in two bytes in front.
///
/// # Panics
/// If a promise is broken.
pub fn records(bytes: &[u8]) {
    let Some((&options, mut rest)) = bytes.split_first() else { return };
    let style = Style { full: options & 1 != 0, hex: options >> 1 & 3, ..Style::default() };
    let look = Look {
        style,
        prefix: Prefix::Several,
        duration: options & 8 != 0,
        json: options & 16 != 0,
        detail: Detail::None,
        ..Look::default()
    };
    let mut lines = Lines::new(look, Clock::fixed(0));
    let total = rest.len();
    let mut records = 0;
    while let Some((length, behind)) = rest.split_at_checked(2) {
        let length = usize::from(u16::from_le_bytes([length[0], length[1]])) % 1024;
        let (record, behind) = behind.split_at(length.min(behind.len()));
        lines.record(record);
        lines.idle();
        records += 1;
        rest = behind;
    }
    lines.finish();
    let out = lines.take();
    assert!(out.len() <= GROWTH * (total + 1000) + records * 4000, "{} bytes of {total}", out.len());
}

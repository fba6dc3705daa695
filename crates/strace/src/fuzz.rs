//! Random bytes as records, and calls with random registers and memory: nothing may panic, loop or grow without bound.

use skep_trace::names::Clock;

use crate::capture::{Operation, plan};
use crate::decode::text::Style;
use crate::fds::Detail;
use crate::lines::{Lines, Look, Prefix};
use crate::program::layout::{MESSAGE_STEP, chunk, field, kind, op, part};
use crate::table::Call;

/// Most bytes that a record may become for each of its own, names and hexadecimal digits included.
const GROWTH: usize = 400;

/// Takes records in turn; `options` decides how they are shown.
///
/// # Panics
/// If a promise is broken.
fn shown<'r>(options: u8, records: impl IntoIterator<Item = &'r [u8]>) {
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
    let (mut total, mut count) = (0, 0);
    for record in records {
        lines.record(record);
        if options & 32 != 0 {
            lines.idle();
        }
        total += record.len() + 2;
        count += 1;
    }
    lines.finish();
    let out = lines.take();
    assert!(out.len() <= GROWTH * (total + 1000) + count * 4000, "{} bytes of {total}", out.len());
}

/// The bytes are several records one behind the other, each with its length in two bytes in front.
///
/// # Panics
/// If a promise is broken.
pub fn records(bytes: &[u8]) {
    let Some((&options, mut rest)) = bytes.split_first() else { return };
    let mut records = Vec::new();
    while let Some((length, behind)) = rest.split_at_checked(2) {
        let length = usize::from(u16::from_le_bytes([length[0], length[1]])) % 1024;
        let (record, behind) = behind.split_at(length.min(behind.len()));
        records.push(record);
        rest = behind;
    }
    shown(options | 32, records);
}

// TABLE: numbers at which calculations go wrong.
const EXTREMES: [u64; 16] = [
    0,
    1,
    2,
    3,
    8,
    64,
    0x1000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX.cast_unsigned(),
    i64::MIN.cast_unsigned(),
    u64::MAX - 1,
    u64::MAX,
];

/// Numbers from a source of bits, many of them extreme.
struct Numbers<'n>(&'n mut dyn FnMut() -> u64);

impl Numbers<'_> {
    fn any(&mut self) -> u64 {
        (self.0)()
    }

    fn below(&mut self, most: u64) -> u64 {
        self.any() % most.max(1)
    }

    fn extreme(&mut self) -> u64 {
        match self.below(4) {
            0 => self.any(),
            1 => self.below(128),
            _ => EXTREMES[self.below(EXTREMES.len() as u64) as usize],
        }
    }

    /// Memory of a program: zeros, ones, extreme numbers, text.
    fn memory(&mut self, length: usize) -> Vec<u8> {
        match self.below(4) {
            0 => vec![0; length],
            1 => vec![0xff; length],
            2 => b"path/".iter().copied().cycle().take(length).collect(),
            _ => {
                let words = length.div_ceil(8);
                let mut bytes: Vec<u8> = (0..words).flat_map(|_| self.extreme().to_le_bytes()).collect();
                bytes.truncate(length);
                bytes
            }
        }
    }
}

/// A call begins and ends with registers, results and memory from a source of bits. What is captured has the form that
/// programs in the kernel give it; some of it is missing.
///
/// # Panics
/// If a promise is broken.
pub fn call(call: &Call, source: &mut dyn FnMut() -> u64) {
    let mut numbers = Numbers(source);
    let options = numbers.any() as u8;
    let style = Style { full: options & 1 != 0, ..Style::default() };
    let plan = plan(call, style);
    let args: [u64; 6] = std::array::from_fn(|_| numbers.extreme());
    let result = match numbers.below(3) {
        0 => numbers.below(4096).cast_signed().wrapping_neg(),
        1 => numbers.below(100).cast_signed(),
        _ => numbers.extreme().cast_signed(),
    };
    let mut enter = head(kind::ENTER, call.number, 0, args);
    plan.before.iter().for_each(|operation| captured(&mut enter, operation, 0, &mut numbers));
    let mut exit = head(kind::EXIT, call.number, result, args);
    if numbers.below(4) == 0 {
        plan.before.iter().for_each(|operation| captured(&mut exit, operation, chunk::AGAIN, &mut numbers));
    }
    plan.after.iter().for_each(|operation| captured(&mut exit, operation, 0, &mut numbers));
    // The beginning, the end or the half of one may be lost.
    let cut = numbers.below(8) as usize;
    let records: Vec<&[u8]> = match cut {
        0 => vec![&exit],
        1 => vec![&enter, &enter],
        2 => vec![&enter[..enter.len() - enter.len() / 3], &exit[..exit.len() - exit.len() / 3]],
        _ => vec![&enter, &exit],
    };
    shown(options, records);
}

fn head(kind: u32, number: u32, result: i64, args: [u64; 6]) -> Vec<u8> {
    let mut bytes = vec![0; field::CHUNKS as usize];
    let mut put = |at: i16, value: &[u8]| bytes[at as usize..at as usize + value.len()].copy_from_slice(value);
    put(field::KIND, &kind.to_le_bytes());
    put(field::NUMBER, &number.to_le_bytes());
    put(field::THREAD, &7_u32.to_le_bytes());
    put(field::PROCESS, &7_u32.to_le_bytes());
    put(field::RESULT, &result.to_le_bytes());
    for (number, arg) in (0..).zip(args) {
        put(field::ARGS + 8 * number, &arg.to_le_bytes());
    }
    bytes
}

/// Adds what an operation captures.
fn captured(record: &mut Vec<u8>, operation: &Operation, mark: u8, numbers: &mut Numbers<'_>) {
    let most = usize::from(operation.most).min(300);
    let parts: &[u16] = match operation.what {
        op::TEXTS => &[0, 1, 2],
        op::VECTOR => &[part::VECTOR, 0, 1],
        op::MESSAGE | op::MESSAGES => &[part::WHOLE, part::NAME, part::CONTROL, part::VECTOR, 0, 1],
        _ => &[part::WHOLE],
    };
    let places = if operation.what == op::MESSAGES { 2 } else { 1 };
    for (place, part) in (0..places).flat_map(|place| parts.iter().map(move |part| (place, *part))) {
        let missing = numbers.below(8);
        if missing == 0 {
            continue;
        }
        let length = match (operation.what, part) {
            _ if missing == 1 => None,
            (op::BYTES, _) => Some(if numbers.below(2) == 0 { most } else { numbers.below(most as u64 + 1) as usize }),
            (op::COUNT, _) => Some(0),
            (op::TEXT | op::TEXTS, _) => Some(1 + numbers.below(40) as usize),
            (_, part::WHOLE) => Some(56),
            (_, part::VECTOR) => Some(16 * numbers.below(4) as usize),
            _ => Some(numbers.below(64) as usize),
        };
        let arg = operation.arg | place << MESSAGE_STEP;
        record.extend([operation.what | mark, arg]);
        record.extend(part.to_le_bytes());
        let bytes = length.map(|length| numbers.memory(length));
        let got = bytes.as_ref().map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(0));
        record.extend(got.to_le_bytes());
        record.extend(numbers.extreme().to_le_bytes());
        record.extend(bytes.unwrap_or_default());
        record.resize(record.len().next_multiple_of(8), 0);
    }
}

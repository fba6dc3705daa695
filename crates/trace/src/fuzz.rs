//! Properties that any bytes must satisfy when they are taken for values, formats or records. Used by tests and by the
//! fuzzer.

use std::sync::Arc;

use skep_lang_script::plan::{Enumeration, Field, MapValue, ScriptMap, SeriesKind, Shape, StackMode};

use crate::format::Format;
use crate::maps::{MapEntry, MapRequest, Snapshot};
use crate::names::{Clock, Names, NoSymbols};
use crate::table::Style;
use crate::value::{Renderer, Value};

/// Reads a shape from bytes, not deeper than `depth`.
pub fn shape(bytes: &mut &[u8], depth: u32) -> Shape {
    let choice = byte(bytes);
    let number = u32::from_le_bytes([byte(bytes), byte(bytes) & 1, 0, 0]);
    // Every now and then a number that no memory holds.
    let number = if choice & 0x80 != 0 && number.is_multiple_of(7) { u32::MAX - number } else { number };
    let kernel = choice & 0x40 != 0;
    match choice % 23 {
        0 => Shape::Void,
        1 | 2 => Shape::Int { bytes: byte(bytes), signed: kernel },
        3 => Shape::Int { bytes: 8, signed: kernel },
        4 => Shape::Bool,
        5 => Shape::Enum { bytes: byte(bytes) & 8, enumeration: number },
        6 => Shape::Pointer,
        7 => Shape::Text(number),
        8 => Shape::Buffer(number),
        9 => Shape::Inet,
        10 => Shape::Mac,
        11 => Shape::KernelSymbol,
        12 => Shape::UserSymbol,
        13 => Shape::Stack { kernel, dwarf: !kernel && number % 3 == 0, mode: mode(byte(bytes)), limit: number },
        14 => Shape::User,
        15 => Shape::Time("%H:%M:%S %q".into()),
        16 => Shape::ErrorText,
        17 => Shape::SignalName,
        18 => Shape::SyscallName,
        19 if depth > 0 => Shape::Array(Box::new(shape(bytes, depth - 1)), number),
        20 if depth > 0 => Shape::Record(fields(bytes, depth).into_iter().map(|field| ("f".into(), field)).collect()),
        21.. if depth > 0 => Shape::Tuple(fields(bytes, depth)),
        _ => Shape::Text(8),
    }
}

fn fields(bytes: &mut &[u8], depth: u32) -> Vec<Field> {
    let count = byte(bytes) % 5;
    (0..count)
        .map(|_| {
            let offset = if byte(bytes) == 0xff { u32::MAX } else { byte(bytes).into() };
            Field { offset, shape: shape(bytes, depth - 1) }
        })
        .collect()
}

fn mode(number: u8) -> StackMode {
    match number % 4 {
        0 => StackMode::Bpftrace,
        1 => StackMode::Perf,
        2 => StackMode::Raw,
        _ => StackMode::BuildId,
    }
}

fn byte(bytes: &mut &[u8]) -> u8 {
    bytes.split_off_first().copied().unwrap_or(0)
}

/// Takes a shape from the first bytes and decodes the rest by it. Rendering must not panic, and what it says must not be
/// larger than what it was said by.
///
/// # Panics
/// If a property does not hold.
pub fn value(mut bytes: &[u8]) {
    let shape = shape(&mut bytes, 3);
    // The size is a number, whatever the shape is.
    let _ = (shape.size(), shape.align());
    let value = Value::decode(&shape, bytes);
    assert_eq!(value.order(&value), std::cmp::Ordering::Equal);
    let enums = [Enumeration { name: "E".into(), values: vec![(1, Arc::from("A"))] }];
    let mut names = Names::new(Box::new(NoSymbols), Clock::fixed(0));
    let mut renderer = Renderer { names: &mut names, enums: &enums, truncation: "..", full: 0, flags: &[] };
    let mut out = Vec::new();
    renderer.text(&value, &mut out);
    out.clear();
    renderer.json(&value, &mut out);
    assert!(std::str::from_utf8(&out).is_ok(), "JSON is UTF-8");
}

/// Takes the first half as a format and the second as the record of its arguments, of all shapes in turn. Literal text
/// must be in the output, and compiling twice gives the same.
///
/// # Panics
/// If a property does not hold.
pub fn format(bytes: &[u8]) {
    let (text, mut rest) = bytes.split_at(bytes.len() / 2);
    let text = String::from_utf8_lossy(text);
    let arguments = (0..=text.len()).find_map(|count| Format::compile(&text, count).ok());
    let Some(format) = arguments else { return };
    let fields: Vec<Field> = (0..format.arguments())
        .map(|index| Field { offset: u32::try_from(index).unwrap_or(0), shape: shape(&mut rest, 1) })
        .collect();
    let mut names = Names::new(Box::new(NoSymbols), Clock::fixed(0));
    let mut renderer = Renderer { names: &mut names, enums: &[], truncation: "..", full: 0, flags: &[] };
    let mut out = Vec::new();
    format.render(&fields, rest, &mut renderer, &mut out);
    if !text.contains('%') {
        assert_eq!(out, text.as_bytes(), "text without conversions is printed as it is");
    }
}

/// Takes the kind of a map, a key and values from bytes and prints the map. Nothing must panic, JSON must be UTF-8.
///
/// # Panics
/// If a property does not hold.
pub fn map(mut bytes: &[u8]) {
    let (choice, request) = (byte(&mut bytes), byte(&mut bytes));
    let value = map_value(choice, &mut bytes);
    let key = if byte(&mut bytes) & 1 == 0 { Vec::new() } else { fields(&mut bytes, 2) };
    let map = ScriptMap { name: "@m".into(), object_map: String::new(), key, value, per_cpu: choice & 0x80 != 0 };
    let entries: Vec<MapEntry> = bytes
        .chunks(200)
        .map(|chunk| {
            let (key, value) = chunk.split_at(chunk.len() / 5);
            MapEntry { key: key.to_vec(), values: value.chunks(72).map(<[u8]>::to_vec).collect() }
        })
        .collect();
    let request =
        MapRequest { top: (request & 3).into(), div: (request >> 2 & 7).into(), zero_if_empty: request & 0x80 != 0 };
    let snapshot = Snapshot::new(&map, &entries, request);
    let mut names = Names::new(Box::new(NoSymbols), Clock::fixed(0));
    let mut renderer = Renderer { names: &mut names, enums: &[], truncation: "..", full: 0, flags: &[] };
    let mut out = Vec::new();
    snapshot.text(&mut renderer, &mut out);
    out.clear();
    snapshot.json(&mut renderer, &mut out);
    assert!(std::str::from_utf8(&out).is_ok(), "JSON is UTF-8");
    for style in [Style::Table, Style::Csv] {
        out.clear();
        snapshot.rows(style, &mut renderer, &mut out);
        let rows = out.len();
        out.clear();
        snapshot.named_rows(style, &mut renderer, &mut out);
        assert!(rows > 0 && out.len() > rows, "there is a head, and the name is one column more");
    }
}

fn map_value(choice: u8, bytes: &mut &[u8]) -> MapValue {
    let signed = choice & 0x40 != 0;
    let mut number = || i64::from_le_bytes(std::array::from_fn(|_| byte(bytes)));
    match choice % 10 {
        0 => MapValue::Count,
        1 => MapValue::Sum { signed },
        2 => MapValue::Min { signed },
        3 => MapValue::Max { signed },
        4 => MapValue::Avg { signed },
        5 => MapValue::Stats { signed },
        6 => MapValue::Hist { bits: (choice % 7).into() },
        7 => MapValue::LinearHist { min: number(), max: number(), step: number() },
        8 => MapValue::Series {
            interval: number().cast_unsigned(),
            count: (choice % 9).into(),
            how: [SeriesKind::Last, SeriesKind::Avg, SeriesKind::Max, SeriesKind::Min, SeriesKind::Sum]
                [usize::from(choice % 5)],
            signed,
        },
        _ => MapValue::Plain(shape(bytes, 2)),
    }
}

//! Readers of the three printed formats. Strict: every line must be used completely.

use super::{Fault, Source, Step};

/// Names of the ancillary words in listings, by their distance from the start of that area divided by four.
const NAMES: [&str; 16] = [
    "proto",
    "type",
    "ifidx",
    "nla",
    "nlan",
    "mark",
    "queue",
    "hatype",
    "rxhash",
    "cpu",
    "xor_x",
    "vlan_tci",
    "vlanp",
    "poff",
    "random",
    "vlan_tpid",
];

/// Start of the ancillary area, as an unsigned number.
const ANCILLARY: u32 = 0xffff_f000;

pub(super) fn listing(text: &str) -> Result<Vec<Step>, Fault> {
    lines(text).enumerate().map(|(index, line)| listing_line(index, line).ok_or_else(|| unreadable(line))).collect()
}

pub(super) fn c_array(text: &str) -> Result<Vec<Step>, Fault> {
    let parse = |index, line: &str| {
        let inside = line.strip_prefix('{')?.strip_suffix("},")?;
        let fields: Vec<u32> = inside.split(',').map(|field| number(field.trim())).collect::<Option<_>>()?;
        numbers(index, &fields)
    };
    lines(text).enumerate().map(|(index, line)| parse(index, line).ok_or_else(|| unreadable(line))).collect()
}

pub(super) fn decimal(text: &str) -> Result<Vec<Step>, Fault> {
    let mut rows = lines(text);
    let count = rows.next().unwrap_or("");
    let parse = |index, line: &str| {
        let fields: Vec<u32> = line.split(' ').map(|field| field.parse().ok()).collect::<Option<_>>()?;
        numbers(index, &fields)
    };
    let steps: Vec<Step> = rows
        .enumerate()
        .map(|(index, line)| parse(index, line).ok_or_else(|| unreadable(line)))
        .collect::<Result<_, _>>()?;
    if count.parse() == Ok(steps.len()) { Ok(steps) } else { Err(unreadable(count)) }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

fn unreadable(line: &str) -> Fault {
    Fault::Unreadable { line: line.to_owned() }
}

/// Decimal (possibly negative) or hexadecimal.
fn number(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok();
    }
    let value: i64 = text.parse().ok()?;
    if value < 0 { i32::try_from(value).ok().map(|value| value as u32) } else { u32::try_from(value).ok() }
}

fn listing_line(index: usize, line: &str) -> Option<Step> {
    let (place, rest) = line.strip_prefix('(')?.split_once(") ")?;
    if place.len() < 3 || place.parse() != Ok(index) {
        return None;
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (mnemonic, operand, targets) = match words.iter().position(|word| *word == "jt") {
        Some(at) => (*words.first()?, words[1..at].join(" "), Some(&words[at..])),
        None => (*words.first()?, words[1..].join(" "), None),
    };
    if let Some(when) = branch_kind(mnemonic) {
        let &["jt", yes, "jf", no] = targets? else { return None };
        return Some(Step::Branch { when, by: source(&operand)?, yes: yes.parse().ok()?, no: no.parse().ok()? });
    }
    if targets.is_some() {
        return None;
    }
    plain_line(mnemonic, &operand)
}

fn branch_kind(mnemonic: &str) -> Option<char> {
    Some(match mnemonic {
        "jeq" => '=',
        "jgt" => '>',
        "jge" => 'g',
        "jset" => '&',
        _ => return None,
    })
}

fn source(operand: &str) -> Option<Source> {
    if operand == "x" { Some(Source::X) } else { number(operand.strip_prefix('#')?).map(Source::Constant) }
}

fn plain_line(mnemonic: &str, operand: &str) -> Option<Step> {
    let constant = || operand.strip_prefix('#').and_then(number);
    let inside = |before: &str, after: &str| operand.strip_prefix(before)?.strip_suffix(after);
    let cell = || inside("M[", "]").and_then(number).filter(|cell| *cell < 16);
    let compute = |with| source(operand).map(|by| Step::Compute { with, by });
    match mnemonic {
        "ld" if operand == "#pktlen" => Some(Step::LoadLength),
        "ld" if operand.starts_with('#') => constant().map(Step::LoadConstant),
        "ld" if operand.starts_with('M') => cell().map(Step::LoadCell),
        "ld" => load(4, inside("[", "]")?),
        "ldh" => load(2, inside("[", "]")?),
        "ldb" => load(1, inside("[", "]")?),
        "ldx" if operand == "#pktlen" => Some(Step::XLength),
        "ldx" if operand.starts_with('#') => constant().map(Step::XConstant),
        "ldx" => cell().map(Step::XCell),
        "ldxb" => inside("4*([", "]&0xf)").and_then(number).map(Step::XHeaderLength),
        "st" => cell().map(Step::StoreA),
        "stx" => cell().map(Step::StoreX),
        "add" => compute('+'),
        "sub" => compute('-'),
        "mul" => compute('*'),
        "div" => compute('/'),
        "mod" => compute('%'),
        "and" => compute('&'),
        "or" => compute('|'),
        "xor" => compute('^'),
        "lsh" => compute('<'),
        "rsh" => compute('>'),
        "neg" if operand.is_empty() => Some(Step::Negate),
        "ja" => operand.parse().ok().map(Step::Jump),
        // libpcap prints `ret` alone for `ret a`.
        "ret" if operand.is_empty() || operand == "a" => Some(Step::ReturnA),
        "ret" => constant().map(Step::ReturnConstant),
        "tax" if operand.is_empty() => Some(Step::AToX),
        "txa" if operand.is_empty() => Some(Step::XToA),
        _ => None,
    }
}

/// A packet load from what stands between the brackets.
fn load(width: u32, inside: &str) -> Option<Step> {
    if NAMES.contains(&inside) {
        return Some(Step::LoadNamed(inside.to_owned()));
    }
    match inside.strip_prefix("x + ") {
        Some(distance) => number(distance).map(|at| Step::LoadBehindX { width, at }),
        None => number(inside).map(|at| absolute(width, at)),
    }
}

/// A load at a fixed place, which may be an ancillary word.
fn absolute(width: u32, at: u32) -> Step {
    let word = at.wrapping_sub(ANCILLARY);
    match NAMES.get((word / 4) as usize) {
        Some(name) if word.is_multiple_of(4) => Step::LoadNamed((*name).to_owned()),
        _ => Step::LoadAt { width, at },
    }
}

/// An instruction from its four numbers: class in the lowest three bits, then what the class needs.
fn numbers(index: usize, fields: &[u32]) -> Option<Step> {
    let &[code, jt, jf, k] = fields else { return None };
    let target = |distance: u32| index.checked_add(1)?.checked_add(distance as usize).filter(|_| distance < 256);
    let width = match code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 0,
    };
    let cell = Some(k).filter(|cell| *cell < 16);
    let by = if code & 0x08 == 0 { Source::Constant(k) } else { Source::X };
    match (code & 7, code & !7) {
        (0, 0x00) => Some(Step::LoadConstant(k)),
        (0, 0x20 | 0x28 | 0x30) => Some(absolute(width, k)),
        (0, 0x40 | 0x48 | 0x50) => Some(Step::LoadBehindX { width, at: k }),
        (0, 0x60) => cell.map(Step::LoadCell),
        (0, 0x80) => Some(Step::LoadLength),
        (1, 0x00) => Some(Step::XConstant(k)),
        (1, 0x60) => cell.map(Step::XCell),
        (1, 0x80) => Some(Step::XLength),
        (1, 0xb0) => Some(Step::XHeaderLength(k)),
        (2, 0) => cell.map(Step::StoreA),
        (3, 0) => cell.map(Step::StoreX),
        (4, 0x80) => Some(Step::Negate),
        (4, high) if high <= 0xa8 => {
            let with = ['+', '-', '*', '/', '|', '&', '<', '>', ' ', '%', '^'][(high >> 4) as usize];
            (with != ' ').then_some(Step::Compute { with, by })
        }
        // Distances count from the next instruction; a loop has a huge one that wraps around.
        (5, 0x00) => Some(Step::Jump((index as u32).wrapping_add(1).wrapping_add(k) as usize)),
        (5, high) if (0x10..=0x48).contains(&high) => {
            let when = ['=', '>', 'g', '&'][(high >> 4) as usize - 1];
            Some(Step::Branch { when, by, yes: target(jt)?, no: target(jf)? })
        }
        (6, 0x00) => Some(Step::ReturnConstant(k)),
        (6, 0x10) => Some(Step::ReturnA),
        (7, 0x00) => Some(Step::AToX),
        (7, 0x80) => Some(Step::XToA),
        _ => None,
    }
}

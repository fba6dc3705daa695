//! Bodies of property tests, shared by `cargo test` and the fuzz targets. Each takes arbitrary bytes.

use std::sync::Arc;

use crate::arguments::parse_arguments;
use crate::binary::{Binary, Machine};
use crate::demangle::demangle;
use crate::dwarf::{DebugInfo, DebugType};
use crate::functions::Functions;
use crate::notes::{Order, notes};
use crate::pattern::Pattern;
use crate::{cache, resolve, unwind, usdt, zip};

/// Any text as arguments of a probe, on both kinds of machine.
pub fn arguments(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut tried = vec![text.clone().into_owned()];
    // Text that looks like operands is what random bytes hardly ever are.
    const WORDS: [&str; 32] = [
        "4@", "-8@", "8f@", "1@", "$", "%rax", "%rbp", "%rip", "(", ")", ",", " ", "-16", "8", "0x", "[", "]", "x0",
        "sp", "w3", "name", "+", "-", "%xmm0", "4", "2", "@", "#", "$5", "q1", "é", "%",
    ];
    tried.push(data.iter().map(|&byte| WORDS[usize::from(byte) % WORDS.len()]).collect());
    for text in tried {
        for machine in [Machine::X86_64, Machine::Aarch64, Machine::Other(8)] {
            match parse_arguments(&text, machine) {
                Ok(all) => assert!(all.iter().all(|each| matches!(each.size, 1 | 2 | 4 | 8 | 16)), "{text}"),
                Err(error) => assert!(error.number >= 1 && !error.to_string().is_empty()),
            }
        }
    }
}

/// Any bytes as notes, and as probes in notes.
pub fn note_reader(data: &[u8]) {
    for order in
        [Order { little: true, address: 8 }, Order { little: false, address: 8 }, Order { little: true, address: 4 }]
    {
        let total: usize = notes(data, order).map(|note| 12 + note.name.len() + note.content.len()).sum();
        assert!(total <= data.len(), "more notes than bytes");
        let context = usdt::Context { order, machine: Machine::X86_64, base: Some(0x1000) };
        let mut framed = Vec::new();
        for word in [8, u32::try_from(data.len()).unwrap_or(0), 3] {
            framed.extend(if order.little { word.to_le_bytes() } else { word.to_be_bytes() });
        }
        framed.extend(b"stapsdt\0");
        framed.extend(data);
        let found = usdt::probes(&framed, context, Some);
        assert!(found.len() <= 1 && (data.len() < 3 * order.address) == found.is_empty() || data.len() < 26);
        for probe in found {
            let _ = probe.arguments();
        }
    }
}

/// Any bytes as an ELF file, a loader's cache, a map of a process, a pattern.
pub fn files(data: &[u8]) {
    let mut bytes = data.to_vec();
    for header in [&b""[..], b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0"] {
        let length = header.len().min(bytes.len());
        bytes[..length].copy_from_slice(&header[..length]);
        if let Some(functions) = Functions::of_bytes("any".as_ref(), &bytes)
            && let Some(found) = functions.at(0x1000)
        {
            let _ = functions.name(found.number);
        }
        if let Ok(binary) = Binary::parse("any", &bytes) {
            for symbol in binary.functions() {
                let offset = symbol.offset.unwrap_or(0);
                assert!(binary.offset(symbol.address) == Some(offset));
            }
            let _ = binary.symbol_at(0x1000);
        }
    }
    assert!(cache::entries(data).len() <= data.len());
    let read = |at: u64, into: &mut [u8]| {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        into.copy_from_slice(&data[start..start + into.len()]);
        Ok(())
    };
    let _ = zip::find(&read, data.len() as u64, "a");
    let text = String::from_utf8_lossy(data);
    let _ = resolve::mapping(&text);
    if text.len() < 2000 {
        let pattern = Pattern::new(&text);
        assert!(!pattern.is_plain() || text.contains('\\') || pattern.matches(&text));
    }
}

/// Any bytes as the sections of debug information of a small program.
pub fn debug_information(data: &[u8]) {
    /// An ELF file with nothing but a header.
    const EMPTY: &[u8; 64] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\x38\0\0\0\x40\0\0\0\0\0";
    let Ok(binary) = Binary::parse("any", EMPTY) else { return };
    let names = [".debug_abbrev", ".debug_info", ".debug_line", ".debug_str", ".debug_ranges", ".debug_rnglists"];
    let piece = data.len().div_ceil(names.len()).max(1);
    let sections = names.into_iter().zip(data.chunks(piece)).map(|(name, bytes)| (name, Arc::from(bytes)));
    if let Ok(debug) = DebugInfo::of_sections(&binary, sections.collect()) {
        look_around(&debug);
    }
    let text = String::from_utf8_lossy(data);
    for symbol in [text.clone().into_owned(), format!("_Z{text}"), format!("_R{text}")] {
        if let Some(name) = demangle(&symbol) {
            assert!(name.len() <= 16 << 10, "{symbol}");
        }
    }
}

/// Any bytes as a stack and call frame information.
pub fn call_frames(data: &[u8]) {
    unwind::any(data);
}

/// Asks debug information for everything that it can be asked for.
pub fn look_around(debug: &DebugInfo) {
    let mut types = Vec::new();
    for address in [0, 1, 0x1000, 0x1139, 0x401_000] {
        if let Ok(function) = debug.function(address) {
            assert!(function.params.len() < 1 << 20);
            types.extend(function.params.iter().map(|param| param.ty).chain([function.result]));
        }
    }
    for tag in [None, Some("struct"), Some("union"), Some("enum")] {
        types.extend(["point", "node", "int", "a", ""].map(|name| debug.find(tag, name)));
    }
    for ty in types {
        let _ = debug.bytes(ty);
        if let DebugType::Composite(id) = debug.kind(ty) {
            let _ = debug.composite(id);
        }
    }
    let _ = debug.enumerator("a");
    for line in [1, 5] {
        match debug.line("program.c", line, None) {
            Ok(found) => assert!(!found.is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use skep_random::random_test;

    /// Runs a body on random bytes for a second.
    fn smoke(body: fn(&[u8])) {
        random_test(|u| {
            let data: Vec<u8> = u.arbitrary()?;
            body(&data);
            Ok(())
        })
        .budget_ms(1000);
    }

    #[test]
    fn arguments() {
        smoke(super::arguments);
    }

    #[test]
    fn note_reader() {
        smoke(super::note_reader);
    }

    #[test]
    fn debug_information() {
        smoke(super::debug_information);
    }

    #[test]
    fn call_frames() {
        smoke(super::call_frames);
        // Real ones with changes.
        let file = object::ReadCache::new(std::fs::File::open("/proc/self/exe").unwrap());
        let (_, whole) = crate::contents::with_address(&file, ".eh_frame").unwrap();
        let start = &whole[..whole.len().min(2048)];
        random_test(|u| {
            let mut bytes = vec![0x70; 64];
            bytes.extend(start);
            for _ in 0..u.int_in_range(1..=8)? {
                let at = u.int_in_range(0..=bytes.len() - 1)?;
                bytes[at] = u.arbitrary()?;
            }
            super::call_frames(&bytes);
            Ok(())
        })
        .budget_ms(500);
    }

    #[test]
    fn files() {
        smoke(super::files);
        // A real file with changes.
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let start = &whole[..whole.len().min(4096)];
        random_test(|u| {
            let mut bytes = start.to_vec();
            for _ in 0..u.int_in_range(1..=8)? {
                let at = u.int_in_range(0..=bytes.len() - 1)?;
                bytes[at] = u.arbitrary()?;
            }
            super::files(&bytes);
            Ok(())
        })
        .budget_ms(500);
    }
}

//! Memory and faults for people and as JSON.

use std::fmt::Write as _;

use skep_isa::ebpf::{InsnIdx, Notation, line};
use skep_object::Object;
use skep_vm::ebpf::{Fault, FaultKind, Region, Worker};

use super::json::{Json, list};

/// Bytes on a line of a dump.
const ROW: usize = 16;

/// The text of an instruction of a program.
pub fn disassembly(object: &Object, program: usize, at: InsnIdx) -> String {
    let insns = object.programs.get(program).map_or(&[][..], |program| &program.insns);
    let slot = |index: usize| insns.get(index).copied();
    let op = slot(at.index()).and_then(|insn| insn.decode(slot(at.index() + 1)).ok());
    op.map_or_else(|| "(no instruction)".to_owned(), |op| line(&op, Notation::Plain))
}

/// What a program changed in memory: lines with the new bytes, two points where nothing changed.
pub fn changes(name: &str, before: &[u8], after: &[u8]) -> String {
    let changed = before.iter().zip(after).filter(|(before, after)| before != after).count();
    if before.is_empty() {
        return String::new();
    }
    if changed == 0 {
        return format!("{name}: {} bytes, unchanged\n", before.len());
    }
    let mut out = format!("{name}: {changed} of {} bytes changed\n", before.len());
    for (row, (before, after)) in before.chunks(ROW).zip(after.chunks(ROW)).enumerate() {
        if before == after {
            continue;
        }
        let _ = write!(out, "  {:04x}:", row * ROW);
        for (before, after) in before.iter().zip(after) {
            let _ = if before == after { write!(out, " ..") } else { write!(out, " {after:02x}") };
        }
        out.push('\n');
    }
    out
}

/// Where a fault is in the source: file, line, column, text.
fn source(object: &Object, fault: &Fault) -> Option<(String, String)> {
    let line = object.programs.get(fault.program)?.line_of(fault.at)?;
    Some((format!("{}:{}:{}", line.file, line.line, line.column), line.text.trim().to_owned()))
}

/// What a region is called; maps by their names.
fn region_name(object: &Object, region: Region) -> String {
    match region {
        Region::MapValues(index) => match object.maps.get(index as usize) {
            Some(map) => format!("the values of map {}", map.name),
            None => region.to_string(),
        },
        _ => region.to_string(),
    }
}

/// Where an access lies in relation to a region.
fn position(address: u64, start: u64, end: u64) -> String {
    if address < start {
        format!("the access begins {} bytes in front of it", start - address)
    } else if address >= end {
        format!("the access begins {} bytes behind its end", address - end)
    } else {
        format!("the access begins {} bytes in front of its end", end - address)
    }
}

/// A fault with its instruction, its source line and the address space.
pub fn fault_text(object: &Object, worker: &Worker, fault: &Fault) -> String {
    let name = object.programs.get(fault.program).map_or("", |program| program.name.as_str());
    let code = disassembly(object, fault.program, fault.at);
    let mut out = format!("program `{name}` was stopped: {fault}\n{:>5}: {code}\n", fault.at.0);
    if let Some((place, text)) = source(object, fault) {
        let _ = writeln!(out, "source: {place}: {text}");
    }
    let FaultKind::OutOfBounds { address, region, .. } = fault.kind else {
        return out.trim_end().to_owned();
    };
    out.push_str("address space:");
    for (range, here) in worker.regions() {
        let _ = write!(out, "\n  {:#010x} to {:#010x}  {}", range.start, range.end, region_name(object, here));
        // Where in the null region a null pointer lies tells nothing.
        if here == region && region != Region::Null {
            let _ = write!(out, "  <- {}", position(address, range.start, range.end));
        }
    }
    out
}

/// The same as JSON.
pub fn fault_json(object: &Object, worker: &Worker, fault: &Fault) -> String {
    let name = object.programs.get(fault.program).map_or("", |program| program.name.as_str());
    let mut json = Json::object()
        .text("program", name)
        .raw("insn", fault.at)
        .text("code", &disassembly(object, fault.program, fault.at))
        .text("reason", &fault.kind.to_string())
        .raw("fuel_left", fault.fuel);
    if let Some((place, text)) = source(object, fault) {
        json = json.text("source", &place).text("source_text", &text);
    }
    if let FaultKind::OutOfBounds { address, region, .. } = fault.kind {
        let regions = worker.regions().into_iter().map(|(range, here)| {
            let row = Json::object().text("start", &format!("{:#x}", range.start));
            row.text("end", &format!("{:#x}", range.end)).text("name", &region_name(object, here)).end()
        });
        json = json.text("address", &format!("{address:#x}")).text("region", &region_name(object, region));
        json = json.raw("address_space", list(regions));
    }
    json.end()
}

//! Calls as JSON, one object a line.

use std::fmt::Write as _;

use crate::decode::Parts;
use crate::record::{Record, View, is_error};

/// Writes a text as a JSON string.
fn string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn head(record: &Record<'_>, kind: &str, out: &mut String) {
    let _ = write!(
        out,
        "{{\"type\":\"{kind}\",\"time\":{},\"pid\":{},\"tid\":{}",
        record.time, record.process, record.thread
    );
    if !record.name.is_empty() {
        out.push_str(",\"comm\":");
        string(&String::from_utf8_lossy(record.name), out);
    }
}

/// A call: `time` in nanoseconds since boot, `duration` in nanoseconds.
pub fn call(out: &mut String, view: &View<'_>, name: &str, parts: Parts, took: Option<u64>) {
    head(&view.first(), "call", out);
    out.push_str(",\"call\":");
    string(name, out);
    out.push_str(",\"args\":[");
    for (number, text) in parts.all().enumerate() {
        if number > 0 {
            out.push(',');
        }
        string(&text, out);
    }
    out.push(']');
    if let Some(exit) = view.exit() {
        let _ = write!(out, ",\"result\":{}", if is_error(exit.result) { -1 } else { exit.result });
        if is_error(exit.result)
            && let Some(name) = skep_isa::errno::name(exit.result.unsigned_abs() as u16)
        {
            let _ = write!(out, ",\"error\":\"{name}\"");
        }
    }
    if let Some(took) = took {
        let _ = write!(out, ",\"duration\":{took}");
    }
    out.push_str("}\n");
}

/// The end of a thread.
pub fn end(out: &mut String, record: &Record<'_>, status: u32) {
    head(record, "end", out);
    let (code, signal) = (status >> 8 & 0xff, status & 0x7f);
    let _ = if signal == 0 { write!(out, ",\"status\":{code}") } else { write!(out, ",\"signal\":{signal}") };
    out.push_str("}\n");
}

/// A signal.
pub fn signal(out: &mut String, record: &Record<'_>, name: &str, info: &str) {
    head(record, "signal", out);
    out.push_str(",\"signal\":");
    string(name, out);
    out.push_str(",\"info\":");
    string(info, out);
    out.push_str("}\n");
}

//! What programs in the dialect of BCC expect from the machine: structures of the tracepoints that they name, made from the
//! formats that the kernel shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use skep_btf::trace_fields;
use skep_lang_c::source::FileSource;

/// Where the kernel describes tracepoints, as far as [`FileSource`] is asked.
pub const TRACING: &str = "/sys/kernel/tracing/";

/// What a text expects to be declared without a header: structures for the tracepoints that it names, as
/// `struct tracepoint__sched__sched_switch`, and how arguments of USDT probes are read.
///
/// # Errors
/// A tracepoint that the kernel does not describe.
pub fn prelude(text: &[u8], files: &dyn FileSource) -> Result<String, String> {
    let mut out = String::new();
    if String::from_utf8_lossy(text).contains("bpf_usdt_readarg") {
        out.push_str("#include <bcc/usdt.h>\n");
    }
    for (category, event) in named(&String::from_utf8_lossy(text)) {
        let Some(format) = files.read(&format!("{TRACING}events/{category}/{event}/format"))? else {
            return Err(format!("the kernel shows no tracepoint {category}:{event}"));
        };
        structure(&mut out, &category, &event, &String::from_utf8_lossy(&format));
    }
    Ok(out)
}

/// Categories and events of `TRACEPOINT_PROBE(category, event)` and `tracepoint__category__event`.
fn named(text: &str) -> BTreeSet<(String, String)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("TRACEPOINT_PROBE") {
        if text[..at].ends_with(word) {
            continue;
        }
        let rest = text[at + "TRACEPOINT_PROBE".len()..].trim_start();
        let inside = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        if let Some((category, event)) = inside.and_then(|(inside, _)| inside.split_once(',')) {
            found.insert((category.trim().to_owned(), event.trim().to_owned()));
        }
    }
    for (at, _) in text.match_indices("tracepoint__") {
        if text[..at].ends_with(word) {
            continue;
        }
        let rest = &text[at + "tracepoint__".len()..];
        let name = &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())];
        if let Some((category, event)) = name.split_once("__") {
            found.insert((category.to_owned(), event.to_owned()));
        }
    }
    found.retain(|(category, event)| [category, event].iter().all(|part| !part.is_empty() && part.chars().all(word)));
    found
}

/// One structure: fields at their offsets, with the types that their sizes and signs say.
fn structure(out: &mut String, category: &str, event: &str, format: &str) {
    let _ = write!(out, "struct tracepoint__{category}__{event} {{ unsigned long long ___common;");
    let mut end = 8;
    for field in trace_fields(format).filter(|field| field.offset >= 8) {
        if field.offset > end {
            let _ = write!(out, " char ___gap{end}[{}];", field.offset - end);
        }
        let (name, size) = (field.name, field.size);
        if field.is_indirect() {
            let _ = write!(out, " int data_loc_{name};");
        } else if let Some(count) = field.count {
            // The name of a constant tells nothing here: then they are bytes.
            let elements = count.parse().unwrap_or(size).max(1);
            let element = size / elements;
            let ty = if element == 1 { "char" } else { integer(element, field.signed) };
            let _ = write!(out, " {ty} {name}[{elements}];");
        } else if field.is_pointer() {
            let _ = write!(out, " {} {name};", field.declared);
        } else if matches!(size, 1 | 2 | 4 | 8) {
            let _ = write!(out, " {} {name};", integer(size, field.signed));
        } else {
            let _ = write!(out, " char {name}[{size}];");
        }
        end = field.offset + size;
    }
    out.push_str(" };\n");
}

const fn integer(size: u32, signed: bool) -> &'static str {
    match (size, signed) {
        (1, true) => "char",
        (1, false) => "unsigned char",
        (2, true) => "short",
        (2, false) => "unsigned short",
        (4, true) => "int",
        (4, false) => "unsigned int",
        (_, true) => "long long",
        (_, false) => "unsigned long long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_fields_of_formats() {
        let format = "name: x\nID: 1\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                      \tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n\
                      \tfield:const char * filename;\toffset:16;\tsize:8;\tsigned:0;\n\
                      \tfield:char comm[16];\toffset:24;\tsize:16;\tsigned:0;\n\
                      \tfield:__data_loc char[] name;\toffset:40;\tsize:4;\tsigned:0;\n";
        let mut out = String::new();
        structure(&mut out, "a", "b", format);
        assert_eq!(
            out,
            "struct tracepoint__a__b { unsigned long long ___common; int __syscall_nr; char ___gap12[4]; const char * \
             filename; char comm[16]; int data_loc_name; };\n"
        );
    }

    #[test]
    fn tracepoints_are_found_by_both_names() {
        let text = "TRACEPOINT_PROBE(sched, sched_switch) {}\nint f(struct tracepoint__irq__softirq_entry *args) {}";
        let pairs = [("irq", "softirq_entry"), ("sched", "sched_switch")];
        assert_eq!(named(text), pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        assert!(prelude(b"TRACEPOINT_PROBE(no, where)", &skep_lang_c::source::NoFiles).is_err());
    }
}

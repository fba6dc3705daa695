//! Tests of attach points and wildcards.

use super::*;
use crate::providers::{PROVIDERS, ProbeSource, expand, matches, suggest};

fn parsed(text: &str) -> Result<Point, Diagnostic> {
    let (script, diagnostics) = crate::parse(&format!("{text} {{ }}"));
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:#?}");
    parse_point(&script.probes[0].points[0], false)
}

fn point(text: &str) -> Point {
    parsed(text).unwrap_or_else(|error| panic!("{text}: {}", error.message))
}

#[test]
fn each_kind() {
    // TABLE
    for (text, canonical) in [
        ("BEGIN", "begin"),
        ("end", "end"),
        ("self:signal:SIGUSR1", "self:signal:SIGUSR1"),
        ("test:name", "test:name"),
        ("bench:name", "bench:name"),
        ("k:vfs_read", "kprobe:vfs_read"),
        ("kprobe:ext4:f+0x10", "kprobe:ext4:f+16"),
        ("kprobe:0xffffffff81000000", "kprobe:0xffffffff81000000"),
        ("kr:f", "kretprobe:f"),
        ("kfunc:f", "fentry:f"),
        ("f:tcp:f", "fentry:tcp:f"),
        ("kretfunc:f", "fexit:f"),
        ("fr:bpf:prog", "fexit:bpf:prog"),
        ("fentry:bpf:12:prog", "fentry:bpf:12:prog"),
        ("rt:sched_switch", "rawtracepoint:sched_switch"),
        ("rawtracepoint:vmlinux:sched_switch", "rawtracepoint:vmlinux:sched_switch"),
        ("t:sched:sched_switch", "tracepoint:sched:sched_switch"),
        ("p:hz:99", "profile:hz:99"),
        ("profile:99ms", "profile:ms:99"),
        ("i:s:1", "interval:s:1"),
        ("interval:us:1500", "interval:us:1500"),
        ("interval:1e6", "interval:ms:1"),
        ("s:faults", "software:page-faults:100"),
        ("software:cs:7", "software:context-switches:7"),
        ("h:cycles", "hardware:cpu-cycles:1000000"),
        ("hardware:branches:5", "hardware:branch-instructions:5"),
        ("hardware:LLC-load-misses", "hardware:LLC-load-misses:100000"),
        ("u:/bin/sh:main", "uprobe:/bin/sh:main"),
        ("uprobe:c:malloc+4", "uprobe:c:malloc+4"),
        ("uprobe:/bin/sh:0x1234", "uprobe:/bin/sh:0x1234"),
        ("uprobe:/bin/sh@main.c:12", "uprobe:/bin/sh@main.c:12"),
        ("uprobe:/bin/sh@main.c:12:3", "uprobe:/bin/sh@main.c:12:3"),
        ("uprobe:/a.apk!/lib/x.so:f", "uprobe:/a.apk!/lib/x.so:f"),
        ("uprobe:a:cpp:\"n::f(int, char)\"", "uprobe:a:cpp:\"n::f(int, char)\""),
        ("ur:/bin/sh:main", "uretprobe:/bin/sh:main"),
        ("U:/bin/sh:name", "usdt:/bin/sh:name"),
        ("usdt:/bin/sh:ns:name", "usdt:/bin/sh:ns:name"),
        ("w:0x1000:8:wr", "watchpoint:0x1000:8:rw"),
        ("it:task_file", "iter:task_file"),
        ("iter:task:/sys/fs/bpf/x", "iter:task:/sys/fs/bpf/x"),
    ] {
        let first = point(text);
        assert_eq!(first.to_string(), canonical);
        assert_eq!(point(canonical), first, "{canonical}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    // TABLE
    for (text, part) in [
        ("begin:x", "nothing follows `begin`"),
        ("tracepoint:x", "has 2 parts"),
        ("kprobe", "has 1 to 2 parts"),
        ("kprobe:", "part 1 of this `kprobe` is empty"),
        ("kprobe:f+x", "`x` is no offset"),
        ("kprobe:+1", "a name is missing"),
        ("kretprobe:f+1", "a return has no offset"),
        ("self:signal:SIGTERM", "only SIGUSR1"),
        ("self:x:y", "no event of the tracing process"),
        ("fentry:a:b:c", "must be `bpf`"),
        ("fentry:bpf:x:c", "no program id"),
        ("profile:hz:0", "must not be 0"),
        ("profile:h:1", "no unit"),
        ("profile:999ns", "1us is the shortest"),
        ("profile:s:18446744073709551615", "too long"),
        ("profile:hz:-1", "no number"),
        ("software:page-fault", "did you mean `page-faults`?"),
        ("hardware:cycles:0", "must not be 0"),
        ("uprobe:main", "the binary must be named"),
        ("usdt:main", "the binary must be named"),
        ("uprobe:a:b:c", "three parts need `cpp`"),
        ("uretprobe:a@b.c:1", "neither offset nor line"),
        ("watchpoint:0x0:3:r", "3 bytes"),
        ("watchpoint:0x0:4:rr", "no mode"),
        ("watchpoint:x:4:r", "no address"),
    ] {
        let error = parsed(text).expect_err(text);
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert!(error.help[0].starts_with("write `"), "{text}");
    }
}

#[test]
fn the_table_is_consistent() {
    let mut names: Vec<&str> = PROVIDERS.iter().flat_map(|p| p.aliases.iter().copied().chain([p.name])).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a name means two things");
    for provider in PROVIDERS {
        for form in provider.forms {
            let form = form.trim_end_matches(" (with -p)");
            let parts = crate::lex::Lexer::new(form).point(|_| provider.path).0;
            assert_eq!(parts[0].0, provider.name);
            assert!((provider.parts.0..=provider.parts.1).contains(&(parts.len() - 1)), "{form}");
        }
    }
}

#[test]
fn a_process_names_the_binary() {
    let (script, _) = crate::parse("uprobe:main, usdt:x { }");
    for (index, binary) in [None, None].into_iter().enumerate() {
        let point = parse_point(&script.probes[0].points[index], true).expect("the process has a binary");
        assert!(matches!(point, Point::User { binary: b, .. } | Point::Usdt { binary: b, .. } if b == binary));
    }
}

#[test]
fn patterns() {
    for (pattern, text) in [("*", ""), ("a*", "a"), ("*a*b*", "xaxbx"), ("a*b*c", "abbbc"), ("**", "x"), ("a", "a")] {
        assert!(matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("", "a"), ("a*", "b"), ("*a", "ab"), ("a*b", "a"), ("A", "a")] {
        assert!(!matches(pattern, text), "{pattern} {text}");
    }
    // Does not take exponential time.
    assert!(!matches(&"*a".repeat(1_000), &"a".repeat(999)));
}

struct Machine;

fn list(items: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
    Ok(items.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
}

impl ProbeSource for Machine {
    fn functions(&self) -> Result<Vec<(String, String)>, String> {
        list(&[("", "vfs_read"), ("", "vfs_write"), ("ext4", "ext4_read"), ("", "vfs_read")])
    }
    fn typed_functions(&self) -> Result<Vec<(String, String)>, String> {
        list(&[("vmlinux", "vfs_read"), ("tcp", "tcp_read")])
    }
    fn programs(&self) -> Result<Vec<(u32, String)>, String> {
        Ok(vec![(1, "one".into()), (2, "other".into())])
    }
    fn tracepoints(&self) -> Result<Vec<(String, String)>, String> {
        list(&[("sched", "sched_switch"), ("sched", "sched_wakeup"), ("irq", "softirq_entry")])
    }
    fn raw_tracepoints(&self) -> Result<Vec<(String, String)>, String> {
        list(&[("vmlinux", "sched_switch")])
    }
    fn iterators(&self) -> Result<Vec<String>, String> {
        Ok(vec!["task".into(), "task_file".into()])
    }
    fn binaries(&self, pattern: &str) -> Result<Vec<String>, String> {
        let known = ["/lib/a.so", "/lib/b.so"];
        Ok(known.iter().filter(|path| matches(pattern, path)).map(|path| (*path).to_owned()).collect())
    }
    fn symbols(&self, binary: Option<&str>) -> Result<Vec<String>, String> {
        match binary {
            Some("/lib/a.so") => Ok(vec!["read_a".into(), "write_a".into()]),
            Some("/lib/b.so") => Ok(vec!["read_b".into()]),
            _ => Err("no such binary".into()),
        }
    }
    fn usdt(&self, _: Option<&str>) -> Result<Vec<(String, String)>, String> {
        list(&[("gc", "start"), ("gc", "done"), ("io", "start")])
    }
}

#[test]
fn wildcards() {
    // TABLE
    for (text, expected) in [
        ("kprobe:vfs_*", "kprobe:vfs_read kprobe:vfs_write"),
        ("kprobe:*:*read", "kprobe:vfs_read kprobe:ext4:ext4_read"),
        ("kprobe:ext4:*", "kprobe:ext4:ext4_read"),
        ("kprobe:nothing*", ""),
        ("kprobe:exact", "kprobe:exact"),
        ("fentry:*_read", "fentry:vmlinux:vfs_read fentry:tcp:tcp_read"),
        ("fexit:bpf:o*", "fexit:bpf:1:one fexit:bpf:2:other"),
        ("rt:sched_*", "rawtracepoint:vmlinux:sched_switch"),
        ("t:sched:*", "tracepoint:sched:sched_switch tracepoint:sched:sched_wakeup"),
        ("t:*:*irq*", "tracepoint:irq:softirq_entry"),
        (
            "software:*-faults:3",
            "software:alignment-faults:3 software:emulation-faults:3 software:major-faults:3 \
          software:minor-faults:3 software:page-faults:3",
        ),
        ("hardware:bus*", "hardware:bus-cycles:100000"),
        ("hardware:iTLB*:7", "hardware:iTLB-loads:7 hardware:iTLB-load-misses:7"),
        ("iter:task*", "iter:task iter:task_file"),
        ("uprobe:/lib/*:read*", "uprobe:/lib/a.so:read_a uprobe:/lib/b.so:read_b"),
        ("uprobe:/lib/*.so:main", "uprobe:/lib/a.so:main uprobe:/lib/b.so:main"),
        ("usdt:/lib/a.so:gc:*", "usdt:/lib/a.so:gc:start usdt:/lib/a.so:gc:done"),
        ("usdt:/lib/a.so:st*", "usdt:/lib/a.so:gc:start usdt:/lib/a.so:io:start"),
    ] {
        let points = expand(&point(text), &Machine).expect(text);
        let points: Vec<String> = points.iter().map(ToString::to_string).collect();
        assert_eq!(points.join(" "), expected, "{text}");
    }
    assert_eq!(expand(&point("uprobe:/x:r*"), &Machine), Err("no such binary".into()));
}

#[test]
fn likely_places() {
    for (text, expected) in [
        ("kprobe:vfs_raed", Some("vfs_read")),
        ("t:sched:sched_swich", Some("sched:sched_switch")),
        ("t:scheduler:softirq_entry", Some("irq:softirq_entry")),
        ("uprobe:/lib/a.so:reada", Some("read_a")),
        ("iter:tasks", Some("task")),
        ("kprobe:zzzzzz", None),
    ] {
        assert_eq!(suggest(&point(text), &Machine).as_deref(), expected, "{text}");
    }
}

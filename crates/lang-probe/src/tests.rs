//! What specifications are translated to.

use crate::argdist::{self, Form};
use crate::count::{self, Stacks};
use crate::latency::{self, Unit};
use crate::report::{Layout, Lines, Report, Rows, Table};
use crate::spec::{Kind, Spec};
use crate::trace::{self, Facts, NoFacts, Options, Stamp};
use crate::{Filter, Problem, fuzz};

/// `vfs_read` returns a long, all others an int.
struct Known;

impl Facts for Known {
    fn returns(&self, function: &str) -> Option<String> {
        Some(if function == "vfs_read" { "int64" } else { "int32" }.to_owned())
    }
}

/// The script of a probe, without settings and header; it has to parse.
#[track_caller]
fn traced(probe: &str, options: &Options) -> String {
    let made = trace::translate(&[probe.to_owned()], options, &Known).unwrap();
    parses(&made.script);
    let at = made.script.find("}\n\n").unwrap();
    let at = at + 3 + made.script[at + 3..].find("}\n\n").unwrap();
    made.script[at + 3..].to_owned()
}

#[track_caller]
fn parses(script: &str) {
    let (_, found) = skep_lang_script::parse(script);
    assert!(found.is_empty(), "{script}\n{found:?}");
}

#[track_caller]
fn refused(probe: &str) -> Problem {
    trace::translate(&[probe.to_owned()], &Options::default(), &NoFacts).unwrap_err()
}

#[test]
fn places() {
    let cases = [
        ("do_sys_open", "kprobe:do_sys_open"),
        ("p::do_sys_open", "kprobe:do_sys_open"),
        ("::do_sys_open", "kprobe:do_sys_open"),
        ("do_sys_open+0x10", "kprobe:do_sys_open+16"),
        ("r::vfs_read", "kretprobe:vfs_read"),
        ("c:open", "uprobe:c:open"),
        ("p:c:open", "uprobe:c:open"),
        ("r:/bin/bash:readline", "uretprobe:/bin/bash:readline"),
        ("r:/opt/a:b/c:f", "uretprobe:\"/opt/a:b/c\":f"),
        ("t:sched:sched_switch", "tracepoint:sched:sched_switch"),
        ("u:pthread:pthread_create", "usdt:pthread:pthread_create"),
        ("u:/usr/bin/node:node:gc__start", "usdt:/usr/bin/node:node:gc__start"),
        ("c:str*", "uprobe:c:str*"),
    ];
    for (text, point) in cases {
        assert_eq!(Spec::parse(text, 0, text.len()).unwrap().point(), point, "{text}");
    }
    assert_eq!(Spec::parse("r:c:f", 0, 5).unwrap().kind, Kind::Return);
    for (text, part) in [
        ("", "expected"),
        ("q:c:f", "no type of probe"),
        ("t:sched", "kprobe"),
        ("t:a:b:c", "a category and an event"),
        ("r::f+4", "no offset"),
        ("f+x", "no offset"),
        ("p::", "missing"),
    ] {
        match Spec::parse(text, 0, text.len()) {
            Err(error) => assert!(error.message.contains(part), "{text}: {error:?}"),
            // Two parts are a library and a function.
            Ok(spec) => assert_eq!((text, spec.library.as_str()), ("t:sched", "t")),
        }
    }
}

#[test]
fn lines_conditions_and_formats() {
    let plain = Options::default();
    assert_eq!(
        traced("do_sys_open \"%s\", arg2", &plain),
        "kprobe:do_sys_open\n{\n  printf(\"%-7d %-7d %-15s %-16s %s\\n\", pid, tid, comm, \"do_sys_open\", str(arg1, 80));\n}\n\n"
    );
    // Widths, several conversions without a blank, pointers, percent signs: what the original cannot print.
    let text = traced(
        "c:read(int fd, void *buf, size_t count) (fd > 2 && count != 0) \"%-8d%d 100%% %p %08x\", fd, count, buf, arg1",
        &plain,
    );
    assert!(text.contains("uprobe:c:read\n/((int)arg0 > 2 && (size_t)arg2 != 0)/ {"), "{text}");
    assert!(
        text.contains(
            "%-8d%d 100%% %p %08x\\n\", pid, tid, comm, \"read\", (int)arg0, (size_t)arg2, (void *)arg1, arg0);"
        ),
        "{text}"
    );
    // The sign of what is returned is that of the function's type.
    let text = traced("r::vfs_open (retval < 0) \"%d\", retval", &plain);
    assert!(text.contains("kretprobe:vfs_open\n/((int32)retval < 0)/ {"), "{text}");
    // Commas inside of values belong to them.
    let text = traced(
        "t:syscalls:sys_enter_openat (STRCMP(\"/etc/passwd\", args->filename)) \"%s %d\", args->filename, (args->flags & 1 ? 1 : 2)",
        &plain,
    );
    assert!(text.contains("/(str(args.filename, 80) == \"/etc/passwd\")/"), "{text}");
    assert!(text.contains("str(args.filename, 80), args.flags & 1 ? 1 : 2);"), "{text}");
    // Names that begin like arguments are not arguments.
    let text = traced("f(int arg12x) \"%d %d\", arg12x, arg2@user", &plain);
    assert!(text.contains("(int)arg0, uptr(arg1));"), "{text}");
    let text = traced("f(const char __user *name) \"%s %K %U\", name, arg2, arg3", &plain);
    assert!(text.contains("%s %s %s\\n"), "{text}");
    assert!(text.contains("str((char *)uptr(arg0), 80), ksym(arg1), usym(arg2));"), "{text}");
    let text = traced("f \"%d %d %d %d\", $pid, $tgid, $uid, $task->tgid", &plain);
    assert!(text.contains("tid, pid, uid, curtask.tgid);"), "{text}");
}

#[test]
fn functions_in_capitals() {
    let plain = Options::default();
    for (probe, expected) in [
        ("f (STRPREFIX(\"/etc\", arg1))", "strncmp(str(arg0, 80), \"/etc\", 4) == 0"),
        ("f (STRSTR(\"etc\", arg1))", "strcontains(str(arg0, 80), \"etc\")"),
        ("f (STRSUFFIX(\"c\", arg1))", "strlen(str(arg0, 80)) >= 1 && str(arg0, 80)[strlen(str(arg0, 80)) - 1] == 99"),
        ("f (STRGLOB(\"/e*\", arg1))", "strncmp(str(arg0, 80), \"/e\", 2) == 0"),
        ("f (STRCMP(\"sh\", $comm))", "comm == \"sh\""),
        ("f \"%s\", ERRNO(arg1)", "strerror(arg0)"),
        ("f \"%s\", IP(arg1)", "ntop(arg0)"),
        ("f \"%rh\", HEX(arg1, 4)", "buf(arg0, 4)"),
    ] {
        let text = traced(probe, &plain);
        assert!(text.contains(expected), "{probe}:\n{text}");
    }
    let text = traced("f \"<%s>\", OPEN_FLAGS(arg1)", &plain);
    assert!(text.contains(" <%s%s%s%s%s%s%s%s>\\n"), "{text}");
    assert!(text.contains("(arg0 & 64 ? \"|O_CREAT\" : \"\")"), "{text}");
    let text = traced("f \"%s\", SOCKADDR(arg1)", &plain);
    assert!(text.contains(" %s:%d\\n"), "{text}");
    let bytes = Options { binary: true, ..Options::default() };
    let text = traced("f (STRCMP(\"{0x6c,0x00}\", arg1))", &bytes);
    assert!(text.contains("/(((uint8 *)arg0)[0] == 108 && ((uint8 *)arg0)[1] == 0)/"), "{text}");
}

#[test]
fn options_of_trace() {
    let options = Options {
        filter: Filter { pid: Some(7), comm: Some("sh".to_owned()), not_pid: Some(9), ..Filter::default() },
        max_events: Some(3),
        stamp: Stamp::Elapsed,
        cpu: true,
        kernel_stack: true,
        ..Options::default()
    };
    let text = traced("f (arg1 == 1)", &options);
    assert!(text.contains("/pid == 7 && pid != 9 && strcontains(comm, \"sh\") && (arg0 == 1)/"), "{text}");
    assert!(text.contains("let $number = @events++;"), "{text}");
    assert!(text.contains("\"%d.%06d %-3d %-7d %-7d %-15s %-16s%s\\n\""), "{text}");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (probe, part, at) in [
        ("f \"%d %d\", arg1", "2 conversions, and 1 values", 2),
        ("f \"%y\", arg1", "no such conversion", 3),
        ("f \"a\\qb\"", "not a known escape", 4),
        ("f \"%d\" arg1", "a comma is expected", 7),
        ("f \"%d, arg1", "never closed", 2),
        ("f (arg1 == 1", "never closed", 2),
        ("f(retval == 1)", "no parameter", 2),
        ("f \"%d\", arg0", "counted from 1", 8),
        ("f \"%d\", $nobody", "there is no `$nobody`", 8),
        ("f \"%d\", @x", "no expression of C", 8),
        ("f \"%d\", ", "missing", 7),
        ("f arg1", "a format in double quotes", 2),
        ("t:a:b(int x)", "only functions have parameters", 5),
        ("f (OPEN_FLAGS(arg1))", "only be printed", 3),
    ] {
        let problem = refused(probe);
        let first = &problem.diagnostics[0];
        assert!(first.message.contains(part), "{probe}: {first:?}");
        assert_eq!(first.span.start, at, "{probe}: {first:?}");
    }
}

#[test]
fn distributions() {
    let made = |form, spec: &str| {
        let made = argdist::translate(&[(form, spec.to_owned())], &argdist::Options::default(), &Known).unwrap();
        parses(&made.script);
        made
    };
    let counts = made(Form::Counts, "p:c:malloc(size_t size):size_t:size:size > 16#sizes");
    assert!(
        counts.script.contains("  if (size_t)arg0 > 16 {\n    @c0[(size_t)((size_t)arg0)] = count();\n  }"),
        "{}",
        counts.script
    );
    assert_eq!(counts.report.tables[0].title, "sizes");
    assert_eq!(counts.report.tables[0].rows, Rows::Values { labels: vec!["size".to_owned()] });
    let latency = made(
        Form::Histogram,
        "r::vfs_read(struct file *file, char *buf, size_t count):u64:$latency/1000:$entry(count) > 9",
    );
    for part in [
        "kprobe:vfs_read\n{\n  @start0[tid] = nsecs;\n  @entry0_count[tid] = (size_t)arg2;\n}",
        "kretprobe:vfs_read\n/(has_key(@start0, tid))/ {",
        "if @entry0_count[tid] > 9 {",
        "@h0 = hist((u64)((nsecs - @start0[tid]) / 1000));",
        "delete(@entry0_count, tid);",
    ] {
        assert!(latency.script.contains(part), "{part}\n{}", latency.script);
    }
    let two = made(Form::Counts, "t:syscalls:sys_enter_openat():char*,int:args->filename,args->flags");
    assert!(two.script.contains("@c0[str(args.filename, 80), (int)(args.flags)] = count();"), "{}", two.script);
    assert!(two.script.contains("print((table=0, k0=$kv.0.0, k1=$kv.0.1, count=(uint64)$kv.1));"), "{}", two.script);
    made(Form::Counts, "r::__vfs_read()");
    for (form, spec, part) in [
        (Form::Histogram, "p::f()", "needs a value"),
        (Form::Counts, "p::f():int", "has to follow"),
        (Form::Counts, "p::f():int,int:arg1", "2 types and 1 expressions"),
        (Form::Counts, "f", "no specification"),
        (Form::Counts, "r::f(int a):int:$entry(b)", "parameter of the signature"),
    ] {
        let problem = argdist::translate(&[(form, spec.to_owned())], &argdist::Options::default(), &Known).unwrap_err();
        assert!(problem.diagnostics[0].message.contains(part), "{spec}: {problem:?}");
    }
}

#[test]
fn patterns() {
    let options = count::Options { interval: Some(1), duration: Some(5), ..count::Options::default() };
    let made = count::functions("vfs_*", &options).unwrap();
    parses(&made.script);
    assert!(made.script.contains("kprobe:vfs_*\n{\n  @c0[func] = count();\n}"), "{}", made.script);
    let regex = count::Options { regex: true, ..count::Options::default() };
    assert!(count::functions("c:^str.*$", &regex).unwrap().script.contains("uprobe:c:str*\n"));
    assert!(count::functions("^a(b|c)$", &regex).is_err());
    let stacks = Stacks { per_process: true, ..Stacks::default() };
    let made = count::stacks("c:malloc", &options, stacks).unwrap();
    parses(&made.script);
    assert!(made.script.contains("@c0[ustack, comm, pid] = count();"), "{}", made.script);
    for made in [
        latency::histogram("vfs_*", &options, Unit::Microseconds, true, false),
        latency::histogram("c:qsort", &options, Unit::Nanoseconds, false, false),
        latency::interval("t:block:*", &options, Unit::Milliseconds),
        latency::slower(
            &["f".to_owned(), "c:g".to_owned()],
            &options,
            &latency::Slower { arguments: 2, threshold: 5, ..latency::Slower::default() },
        ),
    ] {
        parses(&made.unwrap().script);
    }
    assert!(latency::histogram("t:a:b", &options, Unit::Nanoseconds, false, false).is_err());
}

fn report(layout: Layout, lines: &[&str]) -> String {
    use std::io::Write as _;
    let mut out = Vec::new();
    let mut report = Report::new(layout, &mut out);
    // In pieces, as buffers come.
    for piece in (lines.join("\n") + "\n").as_bytes().chunks(7) {
        report.write_all(piece).unwrap();
    }
    report.finish().unwrap();
    drop(report);
    String::from_utf8(out).unwrap()
}

#[test]
fn tables() {
    let table = |rows| Layout {
        lines: Lines::default(),
        tables: vec![Table { title: "title".to_owned(), rows, top: Some(2) }],
    };
    let rows = [
        r#"{"type": "value", "data": {"table": 0, "k0": "a,b", "count": 9}}"#,
        r#"{"type": "value", "data": {"table": 0, "k0": 4, "count": 1}}"#,
        r#"{"type": "value", "data": {"table": 0, "k0": 5, "count": 3}}"#,
        r#"{"type": "value", "data": {"table": 0, "end": 1}}"#,
    ];
    let text = report(table(Rows::Values { labels: vec!["x".to_owned()] }), &rows);
    assert_eq!(text, "title\n\tCOUNT      EVENT\n\t3          x = 5\n\t9          x = a,b\n");
    let stack = [
        r#"{"type": "value", "data": {"table": 0, "kstack": "\n        f+3\n        g+0x1f\n", "comm": "dd", "pid": 7, "count": 2}}"#,
        r#"{"type": "value", "data": {"table": 0, "end": 1}}"#,
    ];
    let shape = |folded| Rows::Stacks { delimiter: false, folded, offsets: false };
    assert_eq!(report(table(shape(false)), &stack), "title\n  f\n  g\n    dd [7]\n    2\n\n");
    assert_eq!(report(table(shape(true)), &stack), "title\ndd;g;f 2\n");
    let histogram = [
        r#"{"type": "stats", "data": {"@s0": {"count": 3, "average": 4, "total": 12}}}"#,
        r#"{"type": "hist", "data": {"@h0": [{"min": 1, "max": 1, "count": 1}, {"min": 4, "max": 7, "count": 2}]}}"#,
    ];
    let text = report(table(Rows::Histogram { unit: "usecs".to_owned() }), &histogram);
    let half = format!("{}{}", "*".repeat(20), " ".repeat(20));
    let expected = format!(
        "title\n     usecs               : count     distribution\n         0 -> 1          : 1        |{half}|\n         \
         2 -> 3          : 0        |{}|\n         4 -> 7          : 2        |{}|\n\navg = 4 usecs, total: 12 usecs, count: 3\n\n",
        " ".repeat(40),
        "*".repeat(40)
    );
    assert_eq!(text, expected);
}

#[test]
fn lines_are_chosen_and_counted() {
    let lines = |only: Option<&str>, count| Layout {
        lines: Lines { only: only.map(str::to_owned), count },
        tables: Vec::new(),
    };
    let input = [
        r#"{"type": "printf", "data": "HEADER\n"}"#,
        r#"{"type": "printf", "data": "a \"x\"\n"}"#,
        r#"{"type": "printf", "data": "b\n"}"#,
        r#"{"type": "printf", "data": "b\n"}"#,
    ];
    assert_eq!(report(lines(Some("\"x\""), false), &input), "HEADER\na \"x\"\n");
    assert_eq!(report(lines(None, true), &input), "HEADER\n2       b\n1       a \"x\"\n");
}

#[test]
fn any_text_is_translated_or_refused() {
    skep_random::random_test(|u| {
        let pieces = [
            "f", "(", ")", "\"", "%d", ",", " ", ":", "arg1", "retval", "r", "t", "c", "#", "+", "$entry(", "@user",
            "STRCMP(", "{", "*", "é", "\\", "int x", "->",
        ];
        let mut text = String::new();
        for _ in 0..u.int_in_range(0..=24)? {
            text.push_str(u.choose(&pieces)?);
        }
        fuzz::specifications(&text);
        fuzz::reports(text.as_bytes());
        Ok(())
    })
    .budget_ms(1_000);
}

//! Scripts that run in this process: they print what they print in the kernel, and need no privileges.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::script::able;
use crate::support::{Run, SKEP, skep};

/// The scripts among the tests of the language that have no probe but `begin` and `end`.
fn corpus() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lang-script/tests");
    let mut found = Vec::new();
    for directory in ["constructs", "scripts"] {
        let entries = std::fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().path());
        found.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "bt")));
    }
    found.sort();
    found.retain(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        let (script, _) = skep_lang_script::parse(&text);
        let points = || script.probes.iter().flat_map(|probe| &probe.points);
        points().next().is_some() && points().all(|point| ["begin", "end"].contains(&&*point.node.provider))
    });
    assert!(found.len() > 4, "{found:?}");
    found
}

/// Scripts with whatever can be seen without events of the kernel.
const SCRIPTS: &[&str] = &[
    "begin { printf(\"%d %s %-6s|%5d|%x\\n\", 5, \"five\", \"ab\", 12, 255); } end { printf(\"end\\n\"); }",
    "begin { @a = 7; @b[1, \"x\"] = 5; @h = hist(9); @l = lhist(12, 0, 100, 10); @s = stats(4); @v = avg(3); }",
    "begin { @m[1] = count(); @m[2] = count(); @m[2] = count(); print(@m); clear(@m); @m[3] = count(); print(@m, 1); }",
    "begin { @x[1] = 2; @x[2] = 4; for ($kv : @x) { @sum += $kv.0 * $kv.1; } delete(@x, 1); print(len(@x)); }",
    "begin { @z[\"k\"] = max(3); @z[\"k\"] = max(9); @y = min(-4); zero(@z); print(@z); print(has_key(@z, \"k\")); }",
    "begin { printf(\"%d %d %d %s %d\\n\", pid == tid, uid, gid, comm, has_cpid); @[comm] = count(); }",
    "begin { $i = 0; while ($i < 1000) { @n[$i % 7] = sum($i); $i++; } for ($j : 0..500) { @k = stats($j); } }",
    "begin { print((1, \"two\", (3, true))); print((a = 1, b = \"x\")); print(strlen(\"hello\")); print(\"text\"); }",
    "begin { printf(\"%s %d\\n\", str($1), $2 + 1); @[str($1)] = $#; }",
    "begin { $a = 5; $b = $a - $a; printf(\"%d\\n\", 7 / $b); }",
    "begin { printf(\"%s\\n\", strcontains(\"abc\", \"bc\") ? \"yes\" : \"no\"); exit(4); } end { printf(\"%d\\n\", 1); }",
    "begin { errorf(\"bad %d\", 3); } end { warnf(\"late\"); }",
    "begin { for ($i : 0..100000) { printf(\"%d\\n\", $i); } }",
    "fn twice($x : int64) : int64 { return $x * 2; } begin { print(twice(21)); @t[twice(2)] = hist(twice(4), 2); }",
    "interval:ms:10 { if (@n < 5) { @n++; printf(\"%d\\n\", @n); } else { exit(); } }",
    "interval:hz:50 { if (@n < 3) { @n++; } else { printf(\"three\\n\"); exit(2); } } end { print(@n); clear(@n); }",
    "begin { printf(\"%s %s %s\\n\", signal_name(9), strerror(2), ntop(0x0100007f)); cat(\"/proc/sys/kernel/ostype\"); }",
    "begin { @m[1] = 1; @m[2] = 2; if (@m[3] == 0) { @m[3] = @m[1] + @m[2]; } print(@m[3]); print(elapsed < 1000000000); }",
];

#[track_caller]
fn both(args: &[&str]) -> [Run; 2] {
    [&["run", "-q"][..], &["run", "-q", "--vm"]].map(|first| skep(first.iter().chain(args)))
}

#[test]
fn the_same_as_in_the_kernel() {
    if !able() {
        return;
    }
    for path in corpus() {
        let text = std::fs::read_to_string(&path).unwrap();
        for form in ["text", "json"] {
            let [kernel, here] = both(&["-f", form, path.to_str().unwrap()]);
            assert_eq!((kernel.status, kernel.lines().len()), (here.status, here.lines().len()), "{path:?}");
            // Times and numbers of processes are others in each run.
            if !["nsecs", "pid"].iter().any(|word| text.contains(word)) {
                assert_eq!((&kernel.out, &kernel.err), (&here.out, &here.err), "{path:?}");
            }
        }
    }
    for text in SCRIPTS {
        for form in ["text", "json", "table", "csv"] {
            let [kernel, here] = both(&["-f", form, "-e", text, "word", "7"]);
            assert_eq!((&kernel.out, &kernel.err, kernel.status), (&here.out, &here.err, here.status), "{form} {text}");
            assert!(!here.out.is_empty() || form != "text", "{here:?}");
        }
    }
}

#[test]
fn without_any_privilege() {
    let ids = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    let text = "begin { printf(\"%d\\n\", uid); @m[comm] = count(); } interval:ms:5 { exit(3); }";
    let output =
        Command::new("setpriv").args(ids).args([SKEP, "run", "--vm", "-e", text]).stdin(Stdio::null()).output();
    let run = Run::of(output.unwrap());
    if run.err.contains("Permission denied") || run.err.contains("setpriv:") {
        return crate::support::skip(&format!("the binary cannot be run by another user: {}", run.err));
    }
    assert_eq!((run.out.as_str(), run.status), ("65534\n\n\n@m[skep]: 1\n", Some(3)), "{run:?}");
}

#[test]
fn what_needs_the_kernel_is_refused() {
    let run = skep(["run", "--vm", "-e", "begin { printf(\"x\\n\"); }\nprofile:hz:99 { @ = count(); }"]);
    let message = "skep: the script cannot run with `--vm`: `profile:hz:99` (line 2) waits for something that happens in \
                   the kernel\n";
    assert_eq!((run.out.as_str(), run.err.as_str(), run.status), ("", message, Some(255)));
    let run = skep(["run", "--vm", "-e", "begin { @[kstack] = count(); }"]);
    let message = "skep: the script cannot run with `--vm`: it asks the kernel for something (`bpf_get_stack`)\n";
    assert_eq!((run.err.as_str(), run.status), (message, Some(255)));
}

#[test]
fn signals_run_their_probes() {
    let text = "interval:ms:1 { @n = 1; if (@got) { exit(); } } self:signal:SIGUSR1 { printf(\"got it\\n\"); @got = 1; } \
                begin { printf(\"ready\\n\"); }";
    let kinds: &[&[&str]] = if able() { &[&[], &["--vm"]] } else { &[&["--vm"]] };
    for kind in kinds {
        let mut command = crate::support::command(["run"].iter().chain(*kind).chain(&["-e", text]));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        assert_eq!(line, "ready\n");
        let sent = Command::new("kill").args(["-USR1", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
        assert_eq!(
            (rest.as_str(), child.wait().unwrap().code()),
            ("got it\n\n\n@got: 1\n@n: 1\n", Some(0)),
            "{kind:?}"
        );
    }
}

const CHECKS: &str = "begin { @start = 5; }\n\
    test:adds { if (@start + 1 != 6) { return 1; } printf(\"in adds\\n\"); }\n\
    test:wrong { return 3; }\n\
    test:leaves { exit(2); }\n\
    test:says { errorf(\"no good\"); }\n\
    test:last { exit(); }\n\
    bench:count { @c = count(); }\n\
    bench:add { @a += 1; }\n\
    kprobe:no_such_function_here { @k = nsecs; }\n\
    end { printf(\"end %d\\n\", @start); }\n";

#[test]
fn tests_of_scripts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checks.bt");
    std::fs::write(&path, CHECKS).unwrap();
    let file = path.to_str().unwrap();
    let kinds: &[&[&str]] = if able() { &[&[], &["--vm"]] } else { &[&["--vm"]] };
    for kind in kinds {
        let run = |args: &[&str]| skep(["run"].iter().chain(*kind).chain(args));
        let all = run(&["--test", file]);
        let expected = "in adds\nok      adds\nFAILED  wrong: it returned 3\nFAILED  leaves: exit(2)\n\
                        FAILED  says: errorf()\nok      last\nend 5\n";
        assert_eq!((all.out.as_str(), all.status), (expected, Some(1)), "{kind:?} {all:?}");
        assert_eq!(all.err, format!("{file}:5:13: ERROR: no good\n"));
        let some = run(&["--mode", "test", "--probe-filter", "^test:(adds|last)$", file]).ok();
        assert_eq!(some.out, "in adds\nok      adds\nok      last\nend 5\n");
        let json = run(&["--test", "-f", "json", file]);
        let lines: Vec<serde_json::Value> =
            json.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let tests: Vec<_> =
            lines.iter().filter(|line| line["type"] == "test_result").map(|line| &line["data"]).collect();
        assert_eq!((tests.len(), &tests[0]["name"], &tests[0]["passed"]), (5, &"adds".into(), &true.into()));
        assert_eq!((&tests[1]["passed"], &tests[1]["problem"]), (&false.into(), &"it returned 3".into()));
        assert!(tests.iter().all(|test| test["nanoseconds"].as_u64().unwrap() > 0));
        let bench = run(&["--bench", file]).ok();
        let rows: Vec<Vec<&str>> = bench.lines().iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!((rows.len(), rows[0][0], rows[1][0], rows[2][0]), (3, "count", "add", "end"), "{bench:?}");
        for row in &rows[..2] {
            let (nanoseconds, runs) = (row[1].parse::<f64>().unwrap(), row[5].parse::<u64>().unwrap());
            assert!(nanoseconds > 0.0 && runs > 0, "{row:?}");
        }
        let json = run(&["--bench", "-f", "json", file]).ok();
        let first: serde_json::Value = serde_json::from_str(json.lines()[0]).unwrap();
        assert_eq!((&first["type"], &first["data"]["name"]), (&"benchmark_result".into(), &"count".into()));
        assert!(first["data"]["nanoseconds"].as_f64().unwrap() > 0.0 && first["data"]["runs"].as_u64().unwrap() > 0);
        // What a script has besides its tests need not exist for them, but for everything else.
        let none = run(&["--test", "-e", "begin { }"]);
        assert_eq!(
            (none.err.as_str(), none.status),
            ("skep: there are no tests; `test:NAME { ... }` is one\n", Some(1))
        );
        let only = run(&["-e", "test:a { }"]);
        assert!(only.status == Some(1) && only.err.contains("tests are run by --test"), "{only:?}");
    }
}

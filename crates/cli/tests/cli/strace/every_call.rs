//! Nearly every call with odd arguments, and those that administrators meet, under strace and under `skep strace`.

use std::collections::{BTreeMap, BTreeSet};

use super::{both, by_thread, compiled, normalised, same_lines, turn};

/// Calls whose lines differ from those of strace 6.1 when their arguments make no sense, and why.
// TABLE
const DIFFERENT: &[(&str, &str)] = &[
    ("msgget", "strace leaves out the `|` between flags without a name and permissions"),
    ("restart_syscall", "strace names the call before, even if that was not interrupted"),
    ("sendmmsg", "16 messages are captured"),
];

/// Those that differ as well if everything is shown.
// TABLE
const DIFFERENT_IN_FULL: &[(&str, &str)] = &[
    ("futex_waitv", "64 elements of an array are captured"),
    ("poll", "64 elements of an array are captured"),
    ("ppoll", "64 elements of an array are captured"),
];

/// The lines of the first thread behind the call that makes it nobody, by call.
fn by_call(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let threads = by_thread(text);
    let lines = threads.first().map(Vec::as_slice).unwrap_or_default();
    for line in lines.iter().skip_while(|line| !line.starts_with("setresuid(")) {
        if let Some((name, _)) = line.split_once('(') {
            let mut line = normalised(line);
            // Features of kernels that are newer than strace 6.1 have names here.
            if let Some((front, back)) = line.split_once(", features=")
                && let Some((_, back)) = back.split_once(", ")
            {
                line = format!("{front}, {back}");
            }
            calls.entry(name.to_owned()).or_default().push(line);
        }
    }
    calls
}

#[test]
fn odd_arguments_are_shown_as_strace_shows_them() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compiled(directory.path(), "every_call", include_str!("../c/strace_every_call.c")) else {
        return;
    };
    for (more, different) in [(&[][..], &[][..]), (&["-v"], DIFFERENT_IN_FULL)] {
        let options: Vec<&str> = ["-f"].iter().chain(more).copied().collect();
        let Some((theirs, ours)) = both(&program, &options) else { return };
        compare(&theirs, &ours, &DIFFERENT.iter().chain(different).map(|row| row.0).collect::<Vec<_>>());
    }
}

/// Fails if a call differs that is not in the table of those that do, and if one does not differ that is.
#[track_caller]
fn compare(theirs: &str, ours: &str, different: &[&str]) {
    let (theirs, ours) = (by_call(theirs), by_call(ours));
    assert!(theirs.len() > 300, "{} calls", theirs.len());
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let known = |name: &str| different.contains(&name);
    let (mut wrong, mut number) = (Vec::new(), 0);
    for name in names {
        let (a, b) = (theirs.get(name), ours.get(name));
        match (a == b, known(name)) {
            (true, false) => {}
            (true, true) => wrong.push(format!("{name} does not differ any more: take it out of the table")),
            (false, true) => number += 1,
            (false, false) => {
                let lines = |list: Option<&Vec<String>>| list.cloned().unwrap_or_default();
                wrong.extend(super::difference(&lines(a), &lines(b)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(number, different.len(), "a call of the table is not made");
}

#[test]
fn calls_of_administrators_are_shown_as_strace_shows_them() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compiled(directory.path(), "admin", include_str!("../c/strace_admin.c")) else { return };
    // Of `io_submit` the address of its array is shown.
    for more in [&[][..], &["-v"], &["-s", "5", "-x"]] {
        let options: Vec<&str> = ["-f", "-e", "trace=!io_submit"].iter().chain(more).copied().collect();
        same_lines(&program, &options, 80);
    }
}

//! What the compiler says about scripts that are wrong.

use super::world;

/// The script is refused, and the text says why and what helps.
#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let problems = match world::build("test", text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(problems) => problems,
    };
    for part in parts {
        assert!(problems.contains(part), "{text}\nlacks {part:?}:\n{problems}");
    }
}

/// The script is accepted with a warning.
#[track_caller]
fn warned(text: &str, part: &str) {
    let compiled = world::build("test", text).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(compiled.warnings.iter().any(|warning| warning.message.contains(part)), "{:?}", compiled.warnings);
}

#[test]
fn names_that_are_not_known() {
    refused("begin { printff(\"x\"); }", &["the function `printff` is not known", "did you mean `printf`?", "1:9"]);
    refused("begin { print(pidd); }", &["the name `pidd` is not known", "did you mean `pid`?"]);
    refused("begin { $count = 1; print($cuont); }", &["there is no variable `$cuont` here", "did you mean `$count`?"]);
    refused("begin { if (pid) { $x = 1; } print($x); }", &["there is no variable `$x` here", "let $x;"]);
    refused("begin { print(@x); }", &["nothing is ever assigned to `@x`"]);
    refused("begin { print((struct nothing *)1); }", &["struct `nothing` is not known"]);
    refused("kprobe:vfs_read { print(reg(\"axx\")); }", &["the register `axx` is not known"]);
    refused("config = { max_strln = 5 } begin { exit(); }", &["there is no setting `max_strln`", "max_strlen"]);
}

#[test]
fn types_that_do_not_fit() {
    refused("begin { $x = 1; $x = \"a\"; }", &["`$x` is of type int64, the value is of type string[2]"]);
    refused("begin { @x = 1; @x = \"a\"; }", &["`@x` holds values of type int64 elsewhere, not string[2]"]);
    refused("begin { @x[1] = 1; @x[1, 2] = 1; }", &["`@x` has a key of 1 parts elsewhere, not 2"]);
    refused("begin { @x = 1; @x[1] = 1; }", &["`@x` has no key elsewhere"]);
    refused("begin { @x = count(); @x = 5; }", &["`@x` holds count() elsewhere"]);
    refused("begin { @x = count(); @x = sum(1); }", &["`@x` holds count() elsewhere, not sum()"]);
    refused("begin { print(\"a\" < \"b\"); }", &["have no order"]);
    refused("begin { print(1 + \"b\"); }", &["`+` is applied to a number, this is of type string[2]"]);
    refused("begin { print(comm == 5); }", &["cannot be compared"]);
    refused("begin { if (comm) { } }", &["is no condition", "compare it"]);
    refused("begin { $t = (1, 2); print($t.2); }", &["there is no part 2"]);
    refused("begin { print(1 / 0); }", &["divides by zero"]);
}

#[test]
fn what_is_not_there() {
    refused("begin { print(args.x); }", &["there is no `args` in begin probes"]);
    refused("begin { print(arg0); }", &["there is no `arg0` in begin probes", "kprobe"]);
    refused("kprobe:vfs_read { print(retval); }", &["there is no `retval` in kprobe probes", "kretprobe"]);
    refused("tracepoint:sched:sched_switch { print(args.prev_com); }", &["`prev_com` is not known", "prev_comm"]);
    refused("kprobe:vfs_nothing* { exit(); }", &["nothing fits `kprobe:vfs_nothing*`"]);
    refused("begin { break; }", &["there is no loop around this"]);
    refused("begin { @x[1] = 1; for ($kv : @x) { exit(); } }", &["cannot end inside of a loop over a map"]);
}

#[test]
fn places_in_programs() {
    refused("usdt:/bin/x:p:marked { print(arg1); }", &["`usdt:/bin/x:p:marked` has no `arg1`", "it has 1 arguments"]);
    refused("usdt:/bin/x:p:other { print(arg0); }", &["are not known", "there are no notes"]);
    refused("usdt:/bin/x:p:marked { print(args.x); }", &["there is no `args` in usdt probes"]);
    refused("uprobe:/bin/x:main { print(args.x); }", &["the arguments of `main` are not known", "`arg0`"]);
    refused("uprobe:/bin/x@a.c:8 { exit(); }", &["`uprobe:/bin/x@a.c:8` cannot be found", "there is no such line"]);
    refused("uprobe:/bin/x:cpp:\"ns::ff\" { exit(); }", &["nothing fits", "did you mean `ns::f`?"]);
    refused("kprobe:vfs_read { print(uaddr(\"x\")); }", &["there is no program here"]);
}

#[test]
fn formats_and_arguments() {
    refused("begin { printf(\"%d\"); }", &["the format has 1 conversions, there are 0 values"]);
    refused("begin { printf(\"%d\", comm); }", &["`%d` prints a number"]);
    refused("begin { printf(\"%f\", 1); }", &["there are no floating-point numbers"]);
    refused("begin { str(); }", &["`str` takes 1 to 2 arguments, not 0", "str(pointer"]);
    refused("begin { @x = lhist(1, 0, 100000, 1); }", &["at most 1000 buckets"]);
    refused("begin { @x = hist(1, 9); }", &["from 0 to 5"]);
    refused("begin { count(); }", &["`count` is assigned to a map"]);
    refused("begin { unroll(nsecs) { } }", &["must be known"]);
    refused("begin { fail(\"stop here\"); }", &["stop here"]);
    refused("begin { static_assert(sizeof(uint64) == 4, \"size\"); }", &["size"]);
}

#[test]
fn what_is_strange_is_warned_about() {
    warned("begin { if (pid < 0) { exit(); } }", "this never holds");
    warned("begin { if (pid >= 0) { exit(); } }", "this always holds");
    warned("begin { 5; }", "nothing is done with this value");
    warned("begin { $x = nsecs; $y = -1; if ($x < $y) { exit(); } }", "with a sign");
    warned("begin { $x = nsecs; $x = -1; exit(); }", "with and without sign");
}

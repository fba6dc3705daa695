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
fn variables_without_a_type() {
    refused("begin { let $x; print($x); }", &["`$x` never gets a value that says", "`let $x : int64;` says it"]);
    assert!(world::build("test", "begin { let $x; $x += 5; let $y; $y++; print(($x, $y)); }").is_ok());
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

#[test]
fn functions_of_the_script() {
    refused("fn f($x : int64) : int64 { return f($x); } begin { f(1); }", &["the function `f` calls itself"]);
    refused(
        "fn f() : void { g(); } fn g() : void { f(); exit(); } begin { f(); }",
        &["the function `f` calls itself", "the function `g` calls itself", "repeat something"],
    );
    refused("fn f($x : int64) : int64 { return $x; } begin { f(); }", &["`f` takes 1 arguments, not 0"]);
    refused(
        "fn f($s : string[8]) : void { print($s); } begin { f(5); }",
        &["`$s` is of type string[8], the value is of type int64"],
    );
    refused(
        "fn f($n : int64) : string[8] { return $n; } begin { print(f(5)); }",
        &["`the result` is of type string[8], the value is of type int64"],
    );
    refused(
        "fn f() : string[8] { return; } begin { print(f()); }",
        &["the function returns a value of type string[8]"],
    );
    refused("fn f() : void { exit(); return 5; } begin { f(); }", &["the function returns nothing"]);
    refused("fn f($s : strin) : void { } begin { f(1); }", &["strin"]);
    refused("begin { $y = 1; f(); } fn f() : void { print($y); exit(); }", &["there is no variable `$y` here"]);
    refused("fn f() : void { print(args.x); } begin { f(); }", &["there is no `args` in begin probes"]);
    refused("fn f() : void { break; exit(); } begin { while (1) { f(); } }", &["there is no loop around this"]);
    warned("fn f() : void { exit(5); } begin { print(1); }", "the function `f` is never called");
}

#[test]
fn what_reaches_into_the_kernel() {
    refused("begin { print(len(dw_ustack)); }", &["how many frames `dw_ustack` has is not known", "len(ustack)"]);
    refused("begin { print(dw_ustack(build_id)); }", &["have no build ids", "`ustack(build_id)` has them"]);
    refused("begin { print(dw_ustack(200)); }", &["neither a way of printing stack traces nor a number of frames"]);
    refused("begin { $s = ustack; $s = dw_ustack; }", &["ustack_t", "dw_ustack_t"]);
    refused("kprobe:vfs_read { print(path(arg0)); }", &["there is no `path` in kprobe probes", "fentry, fexit, iter"]);
    refused("fentry:vfs_read { print(path(args.file)); }", &["this is no `struct path`", "path(args.file.f_path)"]);
    refused("fentry:vfs_read { print(socket_cookie(args.count)); }", &["this is no socket", "socket_cookie(args.sk)"]);
    refused("begin { skboutput(\"a.pcap\", 1, 1, 0); }", &["there is no `skboutput` in begin probes"]);
    refused("kprobe:vfs_read { skboutput(\"a.pcap\", arg0, 1, 0); }", &["a `struct sk_buff *`", "a cast says it"]);
    refused("begin { container_of(nsecs, struct task_struct, com); }", &["`com` is not known", "did you mean `comm`?"]);
    refused("begin { container_of(nsecs, 5, comm); }", &["this is no type"]);
    refused("begin { @m[1] = 1; find(@m, 1, 5); }", &["goes into a variable"]);
    refused("begin { find(5, 1, $x); }", &["`find` takes a map"]);
    refused("begin { print(strstr(5, \"a\")); }", &["a value of type int64 is no text", "str(pointer)"]);
    refused("begin { print(memcmp((1, 2), comm, 17)); }", &["17 bytes cannot be compared: the value has 16"]);
    refused("begin { write_user(0, comm, 40); }", &["40 bytes cannot be written: the value has 16"]);
    refused("begin { debugf(\"%o\", 1); }", &["the kernel does not print", "`%o`"]);
    refused("begin { debugf(\"%s\", 1); }", &["the kernel does not print", "texts with `%s`"]);
    refused("begin { debugf(\"%d%d%d%d\", 1, 2, 3, 4); }", &["`debugf` takes 1 to 4 arguments, not 5"]);
    refused("begin { print(typeinfo(5)); }", &["has to be allowed", "unstable_typeinfo = enable"]);
    refused("begin { $x = &nsecs; }", &["this has no address", "&$x"]);
    refused("begin { print((int8[9])5); }", &["a number has 8 bytes, int8[9] has 9"]);
    refused("begin { print(nsecs(tay)); }", &["there is no such clock", "sw_tai"]);
    refused(
        "begin { @ = tseries(1, 1s, 5000); print(len(@)); }",
        &["a series with more than 1000 intervals is kept in pieces"],
    );
    refused("begin { @ = tseries(1, 1s, 5); @ = tseries(1, 1s, 6); }", &["not the same with other numbers"]);
    let address = "kprobe:0xffffffff81000000 { @ = count(); }";
    let problems = world::build_with("test", address, |env| env.allow_unsafe = false).unwrap_err();
    assert!(problems.contains("brings the kernel down") && problems.contains("--unsafe"), "{problems}");
    assert!(world::build("test", address).is_ok());
}

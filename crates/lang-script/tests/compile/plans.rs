//! Plans: what the host gets to know about a script, held against files. `SKEP_UPDATE_GOLDEN=1` writes them anew.

use std::path::Path;

use super::world;
use skep_lang_script::plan::{Action, Attach, MapValue, Shape, UserTarget};

#[test]
fn plans_are_as_they_were() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let wanted = ["aggregates", "actions", "big", "perf", "user", "wildcard"];
    for (name, text) in world::constructs() {
        let base = name.trim_end_matches(".bt");
        if !wanted.contains(&base) {
            continue;
        }
        let compiled = world::build(&name, &text).unwrap_or_else(|problems| panic!("{problems}"));
        let plan = format!("{:#?}\n", compiled.plan);
        let file = directory.join(format!("{base}.txt"));
        if std::env::var_os("SKEP_UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&file, &plan).unwrap();
        }
        let old = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(plan, old, "{name}: run with SKEP_UPDATE_GOLDEN=1 if the new plan is right");
    }
}

#[test]
fn programs_are_shared_where_the_place_does_not_matter() {
    let plan = |text| world::build("test", text).unwrap_or_else(|problems| panic!("{problems}")).plan;
    let all = plan("kprobe:vfs_* { @ = count(); }");
    assert_eq!(all.probes.len(), 1);
    assert!(matches!(&all.probes[0].attach, Attach::KernelFunction { functions, .. } if functions.len() == 3));
    assert_eq!(&*all.probes[0].name, "kprobe:vfs_*");
    let each = plan("kprobe:vfs_* { @[probe] = count(); }");
    assert_eq!(each.probes.len(), 3);
    assert_ne!(each.probes[0].program, each.probes[1].program);
    let events = plan("tracepoint:sched:sched_* { @ = count(); }");
    assert!(events.probes.len() > 2);
    assert!(events.probes.iter().all(|probe| probe.program == events.probes[0].program));
    let typed = plan("fentry:vfs_* { @ = count(); }");
    assert_ne!(typed.probes[0].program, typed.probes[1].program);
    let user = plan("uprobe:/bin/bash:* { @ = count(); }");
    let target = |attach: &Attach| match attach {
        Attach::UserFunction { target: UserTarget::Functions(functions), .. } => functions.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(target(&user.probes[0].attach), 6);
}

#[test]
fn keys_and_values_have_their_shapes() {
    let text = "kprobe:vfs_read { @a[pid, comm] = nsecs; @b = avg(arg2); exit(); }";
    let plan = world::build("test", text).unwrap().plan;
    let offsets: Vec<u32> = plan.maps[0].key.iter().map(|field| field.offset).collect();
    assert_eq!(offsets, [0, 4]);
    assert_eq!(plan.maps[0].key[1].shape, Shape::Text(16));
    assert_eq!(plan.maps[0].value, MapValue::Plain(Shape::Int { bytes: 8, signed: false }));
    assert!(!plan.maps[0].per_cpu && plan.maps[1].per_cpu);
    assert!(plan.actions.iter().any(|action| matches!(action, Action::Exit { status: 8 })));
}

/// Programs whose loading some machines refuse follow the rules, and there is code for them.
#[test]
fn typed_programs_have_code() {
    if world::kernel_types().is_none() {
        return world::skip("the kernel has no types");
    }
    let scripts = [
        "fentry:vfs_read { @[args.file->f_inode->i_ino] = sum(args.count); printf(\"%s\", func); }",
        "fexit:vfs_read /retval > 0/ { @ = hist(retval); @n[str(args.file->f_path.dentry->d_name.name)] = count(); }",
        "iter:task { printf(\"%d %s\\n\", ctx.task->pid, ctx.task->comm); }",
        "iter:task { $t = ctx.task; @[$t->tgid] = count(); }",
        "uprobe:/bin/bash:readline { $r = write_user(arg0, comm, 4); @w = sum($r); write_user(arg0, arg1, arg2); }",
        "fentry:vfs_getattr { print(path(args.path)); printf(\"%s\", path(args.path, 20)); }",
        "fentry:filp_close { @[path(args.filp.f_path)] = count(); }",
        "fexit:tcp_sendmsg { @[socket_cookie(args.sk), comm(1)] = sum(retval); }",
        "fentry:bpf:some_program { @ = count(); } ",
        "kprobe:0xffffffff81000000 { @[func] = count(); }",
    ];
    for text in scripts {
        let compiled = world::build("test", text).unwrap_or_else(|problems| panic!("{problems}"));
        skep_ir::verify(&compiled.module).unwrap_or_else(|violations| panic!("{violations:?}"));
        for optimised in [false, true] {
            assert_eq!(world::generate(&compiled.module, optimised).unwrap().programs.len(), 1);
        }
    }
}

/// Code that scripts become does not grow unnoticed: instructions of all programs, with functions that they call.
#[test]
fn programs_are_small() {
    let most = [
        ("begin { exit(); }", 23),
        ("kprobe:vfs_read { @[comm] = count(); }", 60),
        ("kprobe:vfs_read { @ = hist(arg2); }", 85),
        ("kprobe:vfs_read { @[kstack] = count(); }", 112),
        ("tracepoint:syscalls:sys_enter_openat { printf(\"%s %s\\n\", comm, str(args.filename)); }", 40),
    ];
    for (text, most) in most {
        let compiled = world::build("test", text).unwrap_or_else(|problems| panic!("{problems}"));
        let object = world::generate(&compiled.module, true).unwrap();
        let count: usize = object.programs.iter().map(|program| program.insns.len()).sum();
        println!("{count} of {most}: {text}");
        assert!(count <= most, "{count} instructions, at most {most}: {text}");
    }
}

#[test]
fn the_environment_matters() {
    let text = "kprobe:vfs_read { printf(\"%d %d\", pid, tid); } begin { exit(); }";
    let loads = |compiled: skep_lang_script::compile::Compiled| {
        skep_ir::verify(&compiled.module).unwrap_or_else(|violations| panic!("{violations:?}"));
        let object = skep_codegen::compile(&compiled.module, &skep_codegen::Options::default()).unwrap();
        world::load(&object).unwrap_or_else(|reason| panic!("{reason}"));
        object.programs[0].insns.len()
    };
    let plain = loads(world::build("test", text).unwrap());
    let one = loads(world::build_with("test", text, |env| env.process = Some(17)).unwrap());
    let inner = loads(world::build_with("test", text, |env| env.inner_ids = true).unwrap());
    assert!(one > plain && inner > plain, "{plain} {one} {inner}");
    let refused = world::build_with("test", "begin { system(\"ls\"); }", |env| env.allow_unsafe = false);
    assert!(refused.unwrap_err().contains("--unsafe"));
    let text = "begin { static_assert(getopt(\"count\", 1) == 5); static_assert(getopt(\"flag\")); \
                static_assert(!getopt(\"other\")); exit(); }";
    let compiled = world::build("test", text);
    assert!(compiled.is_err());
    let given: &'static [(String, String)] =
        Box::leak(Box::new([("count".to_owned(), "5".to_owned()), ("flag".to_owned(), String::new())]));
    let compiled = world::build_with("test", text, |env| env.named = given);
    assert!(compiled.is_ok(), "{:?}", compiled.err());
}

/// A program for each way in which the arguments are kept, if the statements look at them.
#[test]
fn places_of_usdt_probes() {
    let probes = |text: &str| {
        let compiled = world::build("test", text).unwrap_or_else(|problems| panic!("{problems}"));
        let probes = compiled.plan.probes.into_iter().map(|probe| match probe.attach {
            Attach::Usdt { places, .. } => (probe.program, places),
            other => panic!("{other:?}"),
        });
        probes.collect::<Vec<_>>()
    };
    let found = probes("usdt:/bin/x:p:marked { @[probe, arg0] = count(); }");
    assert_eq!(found, [("usdt_0".to_owned(), vec![0x10]), ("usdt_1".to_owned(), vec![0x20])]);
    let found = probes("usdt:/bin/x:p:marked { @ = count(); }");
    assert_eq!(found, [("usdt_0".to_owned(), vec![0x10]), ("usdt_0".to_owned(), vec![0x20])]);
}

#[test]
fn names_of_cpp_and_lines() {
    let target = |text: &str| {
        let compiled = world::build("test", text).unwrap_or_else(|problems| panic!("{problems}"));
        match compiled.plan.probes.as_slice() {
            [probe] => match &probe.attach {
                Attach::UserFunction { target, .. } => target.clone(),
                other => panic!("{other:?}"),
            },
            several => panic!("{several:?}"),
        }
    };
    let both = UserTarget::Functions(vec!["_ZN2ns1fEi".to_owned(), "_ZN2ns1fEl".to_owned()]);
    assert_eq!(target("uprobe:/bin/x:cpp:\"ns::f\" { exit(); }"), both);
    assert_eq!(target("uprobe:/bin/x:cpp:\"*f(*)\" { exit(); }"), both);
    let one = UserTarget::Functions(vec!["_ZN2ns1fEl".to_owned()]);
    assert_eq!(target("uretprobe:/bin/x:cpp:\"ns::f( long )\" { exit(); }"), one);
    let line = UserTarget::Addresses(vec![0x1000, 0x1010]);
    assert_eq!(target("uprobe:/bin/x@a.c:7 { exit(); }"), line);
    assert_eq!(target("uprobe:/bin/x:a.c:7 { exit(); }"), line);
}

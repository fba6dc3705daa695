//! Ways to attach on kernels that lack something.

use super::world;
use skep_lang_script::compile::{Ability, Facts};
use skep_lang_script::plan::{Attach, Plan};

/// A kernel with some of all abilities, and with these functions if any are named.
#[derive(Clone, Copy)]
struct Kernel {
    kprobes: bool,
    multi: bool,
    typed: bool,
    cheaper: bool,
    functions: &'static [&'static str],
}

/// Everything.
const FULL: Kernel = Kernel { kprobes: true, multi: true, typed: true, cheaper: true, functions: &[] };
/// Neither kprobes nor programs at functions.
const BARE: Kernel = Kernel { kprobes: false, multi: false, typed: false, ..FULL };

impl Facts for Kernel {
    fn cgroup_id(&self, _: &str) -> Result<u64, String> {
        Ok(1)
    }
    fn kernel_symbol(&self, _: &str) -> Result<u64, String> {
        Ok(0xffff_ffff_8100_0000)
    }
    fn can(&self, ability: Ability<'_>) -> Result<(), String> {
        let able = match ability {
            Ability::Kprobe | Ability::KprobeAt(_) => self.kprobes,
            Ability::KprobeMulti => self.multi,
            Ability::Typed { .. } => self.typed,
            Ability::CheaperWays => self.cheaper,
            Ability::Function(name) => self.functions.is_empty() || self.functions.contains(&name),
            Ability::UprobeMulti | Ability::MayGoto => true,
        };
        if able { Ok(()) } else { Err(format!("this kernel cannot: {ability:?}")) }
    }
    fn versions(&self, function: &str) -> Vec<String> {
        let start = format!("{function}.");
        self.functions.iter().filter(|name| name.starts_with(&start)).map(|name| (*name).to_owned()).collect()
    }
}

fn build(kernel: &Kernel, text: &str) -> Result<Plan, String> {
    // An environment of any lifetime can refer to it.
    let kernel: &'static Kernel = Box::leak(Box::new(*kernel));
    world::build_with("test", text, |env| env.facts = kernel).map(|compiled| {
        skep_ir::verify(&compiled.module).unwrap_or_else(|violations| panic!("{violations:?}"));
        skep_codegen::compile(&compiled.module, &skep_codegen::Options::default()).unwrap();
        compiled.plan
    })
}

#[track_caller]
fn plan(kernel: &Kernel, text: &str) -> Plan {
    build(kernel, text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn typed(plan: &Plan) -> bool {
    plan.probes.iter().all(|probe| matches!(probe.attach, Attach::Typed { .. }))
}

fn kprobes(plan: &Plan) -> bool {
    plan.probes.iter().all(|probe| matches!(probe.attach, Attach::KernelFunction { .. }))
}

#[test]
fn functions_by_the_cheapest_way_that_fits() {
    if world::kernel_types().is_none() {
        return world::skip("the kernel has no types");
    }
    let read =
        "kprobe:vfs_read { @[arg0, arg2] = count(); @n[func] = count(); } kretprobe:vfs_read { @r = sum(retval); }";
    let found = plan(&FULL, read);
    assert!(typed(&found) && found.probes.iter().all(|probe| probe.route.contains("served by `f")), "{found:#?}");
    assert!(kprobes(&plan(&Kernel { cheaper: false, ..FULL }, read)));
    assert!(kprobes(&plan(&Kernel { typed: false, ..FULL }, read)));
    assert!(typed(&plan(&Kernel { kprobes: false, multi: false, ..FULL }, read)));
    for registers in ["@ = reg(\"di\");", "@ = sum(arg7);", "@[kstack] = count();", "@ = sarg0;"] {
        let found = plan(&FULL, &format!("kprobe:vfs_read {{ {registers} }}"));
        assert!(kprobes(&found) && found.probes[0].route.is_empty(), "{registers}");
    }
    assert!(kprobes(&plan(&FULL, "kprobe:vfs_read+4 { @ = count(); }")));
    // A stack trace is a reason, but not one to give up.
    assert!(typed(&plan(&Kernel { kprobes: false, multi: false, ..FULL }, "kprobe:vfs_read { @[kstack] = count(); }")));
    let error = build(&BARE, "kprobe:vfs_read { @ = count(); }").unwrap_err();
    assert!(error.contains("Kprobe") && error.contains("sys_enter_read` sees system calls only"), "{error}");
}

#[test]
fn typed_functions_by_registers() {
    if world::kernel_types().is_none() {
        return world::skip("the kernel has no types");
    }
    let kernel = Kernel { typed: false, ..FULL };
    let found =
        plan(&kernel, "fentry:vfs_read { @[args.file->f_flags] = sum(args.count); } fexit:vfs_read { @r = retval; }");
    assert!(kprobes(&found) && found.probes[0].route.contains("served by `kprobe:vfs_read`"), "{found:#?}");
    let error = build(&BARE, "fexit:vfs_read { @ = sum(args.count); }").unwrap_err();
    assert!(error.contains("cannot be attached"), "{error}");
}

#[test]
fn many_functions_one_by_one() {
    let found = plan(&Kernel { multi: false, ..FULL }, "kprobe:vfs_* { @[func] = count(); }");
    assert_eq!(found.probes.len(), 3);
    assert!(kprobes(&found) && found.probes.iter().all(|probe| probe.program == found.probes[0].program));
    let found = plan(&FULL, "kprobe:vfs_* { @[func] = count(); }");
    assert_eq!(found.probes.len(), 1);
}

#[test]
fn functions_with_other_names() {
    let kernel = |functions| Kernel { cheaper: false, functions, ..FULL };
    let function = |plan: &Plan| match &plan.probes[0].attach {
        Attach::KernelFunction { functions, .. } => functions[0].clone(),
        other => panic!("{other:?}"),
    };
    let text = "kprobe:blk_account_io_start, kprobe:__blk_account_io_start { @[arg0] = count(); }";
    let found = plan(&kernel(&["__blk_account_io_start"]), text);
    // Both names mean one function, which must not count twice.
    assert_eq!((found.probes.len(), function(&found).as_str()), (1, "__blk_account_io_start"));
    let found = plan(&kernel(&["finish_task_switch.isra.0"]), "kprobe:finish_task_switch { @ = count(); }");
    assert_eq!(function(&found), "finish_task_switch.isra.0");
    let gone = kernel(&["sk_skb_reason_drop"]);
    let found = plan(&gone, "kprobe:kfree_skb { @[arg0] = count(); }");
    assert_eq!(function(&found), "sk_skb_reason_drop");
    let error = build(&gone, "kprobe:kfree_skb_reason { @[arg2] = count(); }").unwrap_err();
    assert!(error.contains("does not have `arg2`"), "{error}");
    let error = build(&gone, "kprobe:no_such_function { @ = count(); }").unwrap_err();
    assert!(error.contains("the kernel has no function `no_such_function`"), "{error}");
    let text = "config = { missing_probes = ignore } kprobe:no_such_function { @ = count(); } begin { @ = count(); }";
    assert_eq!(plan(&gone, text).probes.len(), 1);
}

#[test]
fn functions_of_system_calls_by_their_events() {
    let found = plan(
        &BARE,
        "kprobe:do_sys_openat2 { @[arg0, str(arg1)] = count(); } kretprobe:ksys_read { @r = sum(retval); }",
    );
    let calls = |plan: &Plan, side: bool| -> Vec<u32> {
        let number = |attach: &Attach| match attach {
            Attach::SystemCall { ret, number, .. } if *ret == side => Some(*number),
            _ => None,
        };
        plan.probes.iter().filter_map(|probe| number(&probe.attach)).collect()
    };
    assert_eq!((calls(&found, false).len(), calls(&found, true).len(), found.call_tables.len()), (4, 1, 2));
    let error = build(&BARE, "kprobe:do_sys_openat2 { @ = arg2; }").unwrap_err();
    assert!(error.contains("does not tell arg2") || error.contains("arg2"), "{error}");
    let text = "tracepoint:syscalls:sys_enter_openat { @[str(args.filename), args.flags] = count(); } \
                tracepoint:syscalls:sys_enter_openat { @n = count(); } tracepoint:raw_syscalls:sys_enter { @r[args.id] = count(); }";
    let found = plan(&FULL, text);
    assert_eq!((calls(&found, false).len(), found.call_tables.len()), (2, 2), "{found:#?}");
    assert!(matches!(&found.probes[2].attach, Attach::RawTracepoint { event } if event == "sys_enter"));
    let found = plan(&Kernel { cheaper: false, ..FULL }, text);
    assert!(found.probes.iter().all(|probe| matches!(probe.attach, Attach::Tracepoint { .. })));
    // The arguments as a whole are not in the raw tracepoint.
    let found = plan(&FULL, "tracepoint:raw_syscalls:sys_enter { @[args.args[0]] = count(); }");
    assert!(matches!(found.probes[0].attach, Attach::Tracepoint { .. }));
    // One program serves all.
    let found = plan(&FULL, "tracepoint:syscalls:sys_enter_* { @ = count(); }");
    assert!(found.probes.len() > 5 && found.probes.iter().all(|probe| probe.program == found.probes[0].program));
}

#[test]
fn events_in_place_of_functions() {
    if world::kernel_types().is_none() {
        return world::skip("the kernel has no types");
    }
    let text = "kprobe:tcp_set_state { @[((struct sock *)arg0)->__sk_common.skc_family, arg1] = count(); @n[func] = count(); }";
    let found = plan(&BARE, text);
    assert!(matches!(&found.probes[0].attach, Attach::Tracepoint { event, .. } if event == "inet_sock_set_state"));
    assert_eq!(&*found.probes[0].name, "kprobe:tcp_set_state");
    let found = plan(&BARE, "kprobe:kfree_skb { @[((struct sk_buff *)arg0)->len] = count(); }");
    assert!(matches!(&found.probes[0].attach, Attach::RawTracepoint { event } if event == "kfree_skb"));
    let error = build(&BARE, "kprobe:tcp_connect { @ = arg1; }").unwrap_err();
    assert!(error.contains("does not tell arg1"), "{error}");
    let error = build(&BARE, "kretprobe:inet_csk_accept { @ = retval; }").unwrap_err();
    assert!(error.contains("fires when the connection is established"), "{error}");
}

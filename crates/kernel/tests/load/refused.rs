//! What the verifier refuses is told in terms of the source, and what the kernel lacks by its name.

use skep_kernel::{KernelError, LoadError, load};

use super::objects::of_source;
use crate::common::can_load;

fn refusal(source: &str) -> Option<(String, Vec<String>)> {
    let object = of_source(source)?;
    let error = load(&object).unwrap_err();
    let LoadError::Program { error: KernelError::Rejected { log, .. }, .. } = &error else { panic!("{error}") };
    let lines = log.relevant(8).into_iter().map(str::to_owned).collect();
    Some((error.to_string(), lines))
}

// TABLE
/// A program, what the one line says, and what the relevant lines say.
const CASES: &[(&str, &[&str], &str)] = &[
    (
        "u32 x;\nSEC(\"raw_tp/sys_enter\") int f(u64 *ctx) {\n    return *(int *)ctx[0];\n}\n",
        &["refused program `f`", "return *(int *)ctx[0];", "R1 invalid mem access 'scalar'"],
        "R1 invalid mem access 'scalar'",
    ),
    (
        "struct { __uint(type, HASH); __type(key, u32); __type(value, u64); __uint(max_entries, 1); } m SEC(\".maps\");\n\
         SEC(\"socket\") int f(void *ctx) {\n    u32 zero = 0;\n    u64 *value = map_lookup(&m, &zero);\n    return *value;\n}\n",
        &["`return *value;`", "invalid mem access 'map_value_or_null'"],
        "map_value_or_null",
    ),
    (
        "extern void no_such_function(int x) __ksym __weak;\n\
         SEC(\"tc\") int f(void *ctx) {\n    no_such_function(3);\n    return 0;\n}\n",
        &["the running kernel does not have the function `no_such_function`", "ask whether it exists"],
        "no_such_function",
    ),
    (
        "struct task_struct { int of_no_kernel; } __core;\n\
         SEC(\"tp_btf/sched_switch\") int f(u64 *ctx) {\n    struct task_struct *task = (void *)ctx[1];\n    \
         return task->of_no_kernel;\n}\n",
        &["the running kernel does not have", "of_no_kernel"],
        "task->of_no_kernel",
    ),
];

#[test]
fn refusals_speak_of_the_source() {
    if !can_load() {
        return;
    }
    for (source, summary, relevant) in CASES {
        let Some((text, lines)) = refusal(source) else { return };
        println!("{text}\n  {}", lines.join("\n  "));
        for part in *summary {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\n') && !text.contains("os error"), "{text}");
        assert!(lines.iter().any(|line| line.contains(relevant)), "{lines:?}");
    }
}

#[test]
fn missing_places_are_named() {
    if !can_load() {
        return;
    }
    let cases = [
        (
            "fentry/no_such_function_here",
            "neither the kernel nor its modules describe a function `no_such_function_here`",
        ),
        ("tp_btf/no_such_event", "describe a tracepoint `no_such_event`"),
        ("lsm/no_such_hook", "describe a security hook `no_such_hook`"),
        ("iter/no_such_kind", "describe an iterator `no_such_kind`"),
        ("fentry/no_such_module:f", "a module `no_such_module`"),
        ("fentry", "expected a section `fentry/FUNCTION`"),
    ];
    for (section, expected) in cases {
        let source = format!("SEC(\"{section}\") int f(void *ctx) {{ return 0; }}\n");
        let Some(object) = of_source(&source) else { return };
        let error = load(&object).unwrap_err().to_string();
        assert!(error.starts_with("program `f`: ") && error.contains(expected), "{section}: {error}");
    }
}

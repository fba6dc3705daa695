//! The rules: each is broken by a small function, and the report names what and where.

use skep_ir::verify::{Options, verify_with};
use skep_ir::{Block, Callee, FuncRef, Loc, parse, verify};

/// What all functions here may refer to.
const DECLARATIONS: &str = r#"license "GPL"
map m0 @hash = hash key 4 value 16 entries 8
map m1 @other = array key 4 value 16 entries 8
global g0 @state in ".data" align 8 = zero 16
global g1 @config in ".rodata" align 4 = zero 16
func f0 @helped: static -> i64 {
b0(v0: i64, v1: ptr<packet>):
  return v0
}
func f1 @silent: static {
b0:
  return
}
func f2 @called: callback -> i64 {
b0(v0: i32, v1: ptr<stack>):
  v2: i64 = const 0
  return v2
}
func f3 @moving: static {
b0(v0: ptr<ctx>, v1: i64):
  call helper skb_pull_data(v0, v1)
  return
}
"#;

/// The messages about a module with these functions.
fn messages(functions: &str) -> Vec<String> {
    let text = format!("{DECLARATIONS}{functions}");
    let module = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let violations = verify_with(&module, Options { report_unreachable: true }).err().unwrap_or_default();
    violations.iter().map(ToString::to_string).collect()
}

/// A program with this body behind values of many types.
fn program(body: &str) -> String {
    format!(
        r#"func f4 @main: program sched_cls "tc" -> i32 {{
  slot s0 16 align 8
  slot s1 8 align 8
b0(v0: ptr<ctx>):
  v1: i64 = const 1
  v2: i32 = const 2
  v3: ptr<stack> = slot_addr s0
  v4: ptr<packet> = load.32 v0 + 76
  v5: ptr<end> = load.32 v0 + 80
  v6: ptr<map m0> = map_addr m0
  v7: ptr<value m0>? = call helper map_lookup_elem(v6, v3)
  v8: ptr<value m0>? = const 0
  v9: ptr<global g1> = global_addr g1
  v10: ptr<global g0> = global_addr g0
  v11: ptr<kernel 5> = load.64 v0 + 168
{body}
}}
"#
    )
}

/// A body that only has this instruction besides the end.
fn single(inst: &str) -> String {
    program(&format!("  {inst}\n  return v2"))
}

#[test]
fn what_is_right_passes() {
    let rights = [
        single("store.64 v3 + 8, v1"),
        single("v20: ptr<ctx> = load.64 v3 + 0\n  v21: i32 = load.32 v20 + 4"),
        single("store.64 v3 + 0, v7"),
        single("v20: i64 = ptr_diff v5, v4"),
        single("v20: i64 = compare ult v4, v5"),
        single("v20: i64 = compare eq v7, v8"),
        single("v20: ptr<kernel 5> = ptr_add_const v11, 8\n  v21: i64 = load.64 v20 + 0"),
        single("v20: ptr<stack> = ptr_add_const v3, 8\n  store.32 v20 + 4, v2"),
        single("v20: i64 = atomic.64 xchg v10 + 8, v1"),
        single("v20: i64 = call f0(v1, v4)\n  call f1()"),
        single("v20: i32 = packet_load.16 v2 + 12"),
        single("v20: ptr<function> = func_addr f2\n  call helper loop(v2, v20, v3, v1)"),
        single("copy v3, v9, 16 align 4"),
        // The non-null name holds behind the edge, also in a loop there.
        program(
            "  v20: ptr<value m0> = branch ne v7, v8 -> b1(), b2()\nb1:\n  v21: i64 = load.64 v20 + 0\n  \
             branch eq v21, v1 -> b1(), b2()\nb2:\n  return v2",
        ),
        // A non-null pointer may go where one that may be null is expected.
        program("  jump b1(v7)\nb1(v20: ptr<value m0>?):\n  return v2"),
        program("  switch v1 [1 -> b1(), 2 -> b1()] else b1()\nb1:\n  may_goto b2(), b2()\nb2:\n  unreachable"),
        // Loaded again behind the call.
        single("call helper skb_pull_data(v0, v2)\n  v20: ptr<packet> = load.32 v0 + 76\n  v21: i32 = load.8 v20 + 0"),
    ];
    for right in rights {
        assert_eq!(messages(&right), [""; 0], "{right}");
    }
}

#[test]
fn types_of_computations() {
    let wrongs = [
        ("v20: i64 = add v1, v2", "operands are two i32 or two i64"),
        ("v20: i64 = and v4, v4", "operands are two i32 or two i64"),
        ("v20: i32 = add v1, v1", "expected type i64, found i32"),
        ("v20: i64 = extend v1", "expected type i32, found i64"),
        ("v20: i64 = truncate v1", "expected type i32, found i64"),
        ("v20: i64 = neg v4", "takes an integer"),
        ("v20: i64 = sext8 v2", "expected type i32, found i64"),
        ("v20: i32 = swap64 v1", "expected type i64, found i32"),
        ("v20: i32 = compare eq v1, v1", "expected type i64, found i32"),
        ("v20: i64 = compare eq v1, v2", "different types"),
        ("v20: i64 = compare eq v4, v3", "different memory"),
        ("v20: i64 = compare set v4, v4", "bits of pointers"),
        ("v20: i64 = compare eq v7, v1", "different types"),
        ("v20: i64 = select eq v1, v1, v1, v2", "v2 is of type i32"),
        ("v20: ptr<ctx> = select eq v1, v1, v0, v0", "a context is not chosen"),
        ("v20: ptr<stack> = const 0", "only constant of a pointer type"),
        ("v20: ptr<stack>? = const 1", "only constant of a pointer type"),
        ("v20: ptr<packet> = ptr_add v4, v2", "expected type i64, found i32"),
        ("v20: ptr<ctx> = ptr_add v0, v1", "nothing is added to it"),
        ("v20: ptr<ctx> = ptr_add_const v0, 4", "nothing is added to it"),
        ("v20: ptr<map m0> = ptr_add_const v6, 4", "nothing is added to a map"),
        ("v20: ptr<end> = ptr_add_const v5, 4", "add to the other pointer"),
        ("v20: ptr<kernel 5> = ptr_add v11, v1", "only constants are added"),
        ("v20: ptr<value m0>? = ptr_add_const v7, 4", "v7 may be null"),
        ("v20: i64 = ptr_add v1, v1", "v1 is an i64, not a pointer"),
        ("v20: i64 = ptr_diff v4, v3", "different memory"),
        ("v20: i64 = ptr_to_int v1", "v1 is not a pointer"),
        ("v20: ptr<packet> = slot_addr s0", "expected type ptr<stack>"),
        ("v20: ptr<map m1> = map_addr m0", "expected type ptr<map m0>"),
        ("v20: ptr<function> = func_addr f0", "`helped` is not a callback"),
        ("add v1, v1", "it has one result, not 0"),
    ];
    check_singles(&wrongs);
}

#[test]
fn rules_of_memory() {
    let wrongs = [
        ("v20: i64 = load.64 v7 + 0", "v7 may be null: compare it with 0 first"),
        ("v20: i64 = load.64 v1 + 0", "not a pointer"),
        ("v20: i64 = load.64 v6 + 0", "v6 is a map"),
        ("v20: i64 = load.64 v5 + 0", "only compared"),
        ("v20: i32 = load.64 v3 + 0", "64 bits are loaded as an i64"),
        ("v20: i64 = load.64 v0 + 4", "offset 4 into the context is no multiple of 8"),
        ("v20: i32 = load.32 v0 - 4", "negative"),
        ("v20: i64 = load.64 v3 + 4", "offset 4 in the object on the stack is no multiple of 8"),
        ("v20: i64 = load.64 v3 + 16", "bytes 16 to 24 are not in the object of 16 bytes"),
        ("v20: i64 = load.8 v3 - 1", "bytes -1 to 0 are not"),
        ("v20: ptr<stack> = ptr_add_const v3, 12\n  store.32 v20 + 4, v2", "bytes 16 to 20"),
        ("v20: i64 = load.64 v9 + 12", "bytes 12 to 20"),
        ("v20: ptr<packet> = load.32 v3 + 0", "a pointer has 64 bits"),
        ("v20: ptr<stack> = load.64 v4 + 0", "a packet holds no pointers"),
        ("v20: ptr<ctx> = load.64 v0 + 0", "a context is the parameter"),
        ("store.64 v3 + 0, v2", "an i32 has no 64 bits"),
        ("store.32 v3 + 0, v4", "a pointer is stored as a whole"),
        ("store.64 v0 + 0, v4", "no pointer is stored in a context"),
        ("store.64 v9 + 0, v1", "`config` is read-only"),
        ("v20: i64 = store.64 v3 + 0, v1", "it has no result"),
        ("atomic.64 add v0 + 0, v1", "atomic operations work on"),
        ("atomic.64 add v4 + 0, v1", "atomic operations work on"),
        ("atomic.16 add v3 + 0, v2", "32 or 64 bits"),
        ("atomic.64 add v3 + 0, v2", "operands of 64 bits are of type i64"),
        ("v20: i64 = atomic.32 add v3 + 0, v2", "its result is one i32"),
        ("atomic.64 add v10 + 4, v1", "is not aligned"),
        ("atomic.32 add v9 + 0, v2", "read-only"),
        ("compare_exchange.32 v3 + 0, v2, v1", "of type i32"),
        ("copy v3, v0, 8 align 8", "one by one"),
        ("copy v3, v9, 16 align 8", "v9 is no multiple of 8"),
        ("copy v3, v9, 8 align 3", "3 is no alignment"),
        ("copy v3, v10, 17 align 1", "bytes 0 to 17"),
        ("fill v9, 8, 0 align 4", "read-only"),
        ("fill v3, 17, 0 align 8", "bytes 0 to 17"),
        ("v20: i64 = packet_load.64 0", "at most 32 bits"),
        ("v20: i32 = packet_load.32 v1 + 0", "the offset is an i32"),
        ("packet_load.32 0", "its result is one i32"),
    ];
    check_singles(&wrongs);
}

#[test]
fn rules_of_calls() {
    let wrongs = [
        ("call helper 5000()", "no helper with the number 5000"),
        ("call helper ktime_get_ns(v1, v1, v1, v1, v1, v1)", "at most five arguments"),
        ("call helper ktime_get_ns(v5)", "v5 is the end of the packet"),
        ("v20: ptr<value m0> = call helper map_lookup_elem(v6, v3)", "what is looked up may be null"),
        ("v20: ptr<value m1>? = call helper map_lookup_elem(v6, v3)", "the map is m0"),
        ("v20: i64 = call helper map_lookup_elem(v3, v3)", "v3 is not a map"),
        ("v20: i64 = call f0(v1)", "`helped` takes 2 arguments, not 1"),
        ("v20: i64 = call f0(v2, v4)", "v2 is of type i32, `helped` takes i64"),
        ("v20: i32 = call f0(v1, v4)", "`helped` returns i64"),
        ("v20: i64 = call f1()", "`silent` returns nothing"),
        ("v20: i64 = call f2(v2, v3)", "which only the kernel calls"),
        ("v20: i32 = call f4(v0)", "which only the kernel calls"),
    ];
    check_singles(&wrongs);
}

fn check_singles(wrongs: &[(&str, &str)]) {
    for (inst, message) in wrongs {
        let found = messages(&single(inst));
        assert!(found.iter().any(|text| text.contains(message)), "{inst}: {found:#?}");
        assert!(found[0].starts_with("function `main`, b0, `"), "{inst}: {found:#?}");
    }
}

#[test]
fn flow_of_control_and_values() {
    let wrongs = [
        (program("  return v1"), "v1 is of type i64, the function returns i32"),
        (program("  return"), "the function returns i32"),
        (program("  v20: i64 = add v1, v1"), "the block does not end here"),
        (program("  return v2\n  return v2"), "nothing may stand behind the end"),
        (program("  jump b1()\nb1:"), "the block is empty"),
        (program("  jump b0(v0)"), "is the entry"),
        (program("  jump b1(v1)\nb1:\n  return v2"), "b1 has 0 parameters, the edge has 1"),
        (program("  jump b1(v1)\nb1(v20: i32):\n  return v20"), "v1 is of type i64, parameter v20"),
        (program("  jump b1(v7)\nb1(v20: ptr<value m0>):\n  return v2"), "parameter v20 of b1"),
        (program("  jump b1(v0)\nb1(v20: ptr<ctx>):\n  return v2"), "v20 is a context"),
        (program("  return v2\nb1:\n  return v2"), "the block cannot be reached"),
        (program("  v20: i64 = add v21, v1\n  v21: i64 = add v1, v1\n  return v2"), "v21 is not defined on every way"),
        (
            program("  branch eq v1, v1 -> b1(), b2()\nb1:\n  v20: i32 = const 1\n  jump b2()\nb2:\n  return v20"),
            "v20 is not defined on every way",
        ),
        (program("  switch v4 [] else b1()\nb1:\n  return v2"), "v4 is not an integer"),
        (program("  switch v1 [1 -> b1(), 1 -> b1()] else b1()\nb1:\n  return v2"), "two cases for 1"),
        // Refinement.
        (
            program(
                "  v20: ptr<value m0> = branch eq v7, v8 -> b1(), b2()\nb1:\n  v21: i64 = load.64 v20 + 0\n  return v2\nb2:\n  return v2",
            ),
            "v20 is read where the pointer may be null",
        ),
        (
            program(
                "  v20: ptr<value m0> = branch ne v7, v8 -> b1(), b1()\nb1:\n  v21: i64 = load.64 v20 + 0\n  return v2",
            ),
            "v20 is read where the pointer may be null",
        ),
        (
            program(
                "  v20: ptr<value m0> = branch ne v7, v8 -> b1(), b2()\nb2:\n  jump b1()\nb1:\n  v21: i64 = load.64 v20 + 0\n  return v2",
            ),
            "v20 is read where the pointer may be null",
        ),
        (
            program("  v20: ptr<value m0> = branch ult v7, v8 -> b1(), b1()\nb1:\n  return v2"),
            "only eq and ne with the constant 0",
        ),
        (
            program("  v20: ptr<value m0> = branch ne v7, v7 -> b1(), b1()\nb1:\n  return v2"),
            "only eq and ne with the constant 0",
        ),
        (program("  v20: ptr<value m1> = branch ne v7, v8 -> b1(), b1()\nb1:\n  return v2"), "another memory"),
        (program("  v20: i32 = branch ne v1, v1 -> b1(), b1()\nb1:\n  return v2"), "its operand of type i64"),
        (
            program("  v20: i64, v21: i64, v22: i64 = branch ne v1, v1 -> b1(), b1()\nb1:\n  return v2"),
            "at most two results",
        ),
        // Its own edges lead away before the name is there.
        (program("  v20: i64 = branch ne v1, v1 -> b1(v20), b1(v1)\nb1(v21: i64):\n  return v2"), "v20 is not defined"),
    ];
    for (text, message) in wrongs {
        let found = messages(&text);
        assert!(found.iter().any(|found| found.contains(message)), "{text}\n{found:#?}");
    }
}

#[test]
fn moved_packets() {
    let moves = |helper| Callee::Helper(helper).moves_packet();
    assert!(moves(39) && !moves(1) && !moves(0) && !moves(u32::MAX));
    let stale = "v4 points into the packet as it was before a call that may have moved it";
    let wrongs = [
        single("call helper skb_pull_data(v0, v2)\n  v20: i32 = load.8 v4 + 0"),
        single("call f3(v0, v1)\n  v20: i64 = ptr_diff v5, v4"),
        // Around a loop.
        program(
            "  jump b1()\nb1:\n  v20: i32 = load.8 v4 + 0\n  call f3(v0, v1)\n  branch eq v20, v2 -> b1(), b2()\nb2:\n  return v2",
        ),
        // On one of two ways.
        program(
            "  branch eq v1, v1 -> b1(), b2()\nb1:\n  call f3(v0, v1)\n  jump b2()\nb2:\n  v20: i32 = load.8 v4 + 0\n  return v2",
        ),
    ];
    for text in wrongs {
        let found = messages(&text);
        assert!(found.iter().any(|found| found.contains(stale)), "{text}\n{found:#?}");
    }
}

#[test]
fn chains_of_calls() {
    let function = |number: u32, size: u32, calls: &[u32]| {
        let calls: String = calls.iter().map(|callee| format!("  call f{callee}()\n")).collect();
        let used = "  v0: ptr<stack> = slot_addr s0\n  v1: i32 = const 0\n  store.8 v0 + 0, v1\n";
        format!(
            "func f{number} @n{number}: static {{\n  slot s0 {size} align 8 @big{number}\nb0:\n{used}{calls}  \
             return\n}}\n"
        )
    };
    let recursion = function(4, 8, &[5]) + &function(5, 8, &[1, 6]) + &function(6, 8, &[5]);
    assert_eq!(messages(&recursion), ["function `n5`: the function calls itself, which BPF forbids: n5 -> n6 -> n5"]);
    let large = function(4, 200, &[5, 1]) + &function(5, 301, &[6]) + &function(6, 8, &[]);
    // 200, 304 and 8 bytes are just 512.
    assert_eq!(messages(&large), [""; 0]);
    let larger = function(4, 208, &[5, 1]) + &function(5, 301, &[6]) + &function(6, 8, &[]);
    assert_eq!(
        messages(&larger),
        ["function `n4`: objects on the stack take 520 bytes of 512 in n4 -> n5 -> n6: `big5` of `n5` has 301 bytes, \
          `big4` of `n4` has 208 bytes, `big6` of `n6` has 8 bytes"]
    );
    let chain = |last: u32| -> String {
        (4..=last)
            .map(|number| if number < last { function(number, 8, &[number + 1]) } else { function(number, 8, &[]) })
            .collect()
    };
    assert_eq!(messages(&chain(11)), [""; 0]);
    let found = messages(&chain(12));
    assert!(found[0].contains("9 functions call each other, at most 8 may: n4 -> n5"), "{found:?}");
}

#[test]
fn declarations_and_signatures() {
    let cases = [
        ("global g2 @x in \".data\" align 3 = zero 4", "`x` has an alignment of 3"),
        ("func f4 @helped: static {\nb0:\n  return\n}", "two functions have the name `helped`"),
        ("func f4 @x: static {\n  slot s0 513 align 8\nb0:\n  return\n}", "object s0 has 513 bytes"),
        ("func f4 @x: program xdp \"xdp\" -> i32 {\nb0(v0: i64):\n  unreachable\n}", "is `ptr<ctx>`"),
        ("func f4 @x: program xdp \"xdp\" {\nb0:\n  return\n}", "a program returns an integer"),
        ("func f4 @x: static {\nb0(v0: i64, v1: i64, v2: i64, v3: i64, v4: i64, v5: i64):\n  return\n}", "five"),
        ("func f4 @x: program xdp \"xdp\" -> i32 {\nb0:\n  v0: i32 = packet_load.8 0\n  return v0\n}", "type xdp"),
        ("func f4 @x: static -> i32 {\nb0:\n  v0: i32 = packet_load.8 0\n  return v0\n}", "in programs only"),
    ];
    for (text, message) in cases {
        let found = messages(text);
        assert!(found.iter().any(|found| found.contains(message)), "{text}\n{found:#?}");
    }
}

#[test]
fn what_was_taken_away_is_not_read() {
    let text = "func f0 @f: static {\nb0(v0: i64):\n  jump b1(v0)\nb1(v1: i64):\n  v2: i64 = neg v1\n  return\n}";
    let mut module = parse(text).unwrap();
    verify(&module).unwrap();
    module.functions[0].retain_params(Block(1), |_, _| false);
    let violations = verify(&module).unwrap_err();
    assert_eq!(violations.len(), 1);
    assert!(violations[0].message.contains("v1 is read, but nothing defines it any more"), "{violations:?}");
}

#[test]
fn a_violation_says_where() {
    let text = "func f0 @f: static {\nb0(v0: i64):\n  jump b3()\nb3:\n  v1: i32 = neg v0 ; @2:7:9\n  return\n}";
    let violations = verify(&parse(text).unwrap()).unwrap_err();
    let [violation] = violations.as_slice() else { panic!("{violations:?}") };
    assert_eq!((violation.function, violation.block), (Some(FuncRef(0)), Some(Block(3))));
    assert_eq!(violation.loc, Loc { source: 2, line: 7, column: 9 });
    assert_eq!(violation.inst.as_deref(), Some("v1: i32 = neg v0 ; @2:7:9"));
}

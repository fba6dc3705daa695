//! Pointers whose class the front end does not know.

use skep_ir::interp::{World, interpret};

const TEXT: &str = r#"license "GPL"

func f0 @twice: static -> i64 {
  slot s0 8 align 8
b0(v0: i64):
  v1: ptr<stack> = slot_addr s0
  store.64 v1 + 0, v0
  v2: ptr<any> = cast v1
  v3: i64 = load.64 v2 + 0
  v4: i64 = ptr_to_int v2
  v5: ptr<any> = cast v4
  v6: i64 = load.64 v5 + 0
  v7: i64 = add v3, v6
  v8: i64 = opaque v7
  return v8
}
"#;

#[test]
fn they_are_made_of_numbers_and_of_other_pointers() {
    let module = skep_ir::parse(TEXT).expect("a module");
    assert_eq!(module.to_string(), TEXT);
    assert_eq!(skep_ir::verify(&module), Ok(()));
    let function = module.function("twice").expect("the function");
    assert_eq!(interpret(&module, function, &[21], &mut World::new(&module)), Ok(Some(42)));
}

#[test]
fn half_a_register_is_no_pointer() {
    let text = TEXT.replace("v4: i64 = ptr_to_int v2", "v4: i32 = const 7");
    let module = skep_ir::parse(&text).expect("a module");
    let violations = skep_ir::verify(&module).expect_err("a rule is broken");
    assert!(violations[0].message.contains("a pointer has 64 bits"), "{}", violations[0]);
}

const ARENA: &str = r#"license "GPL"
map m0 @memory = arena key 0 value 0 entries 1
global g0 @count in ".addr_space.1" align 8 = "0500000000000000"

func f0 @next: static -> i64 {
b0:
  v0: ptr<global g0> = global_addr g0
  v1: ptr<any> = cast v0
  v2: ptr<arena> = space_cast kernel v1
  v3: i64 = load.64 v2 + 0
  v4: i64 = add v3, v3
  store.64 v2 + 0, v4
  v5: ptr<any> = space_cast user v2
  v6: ptr<arena> = space_cast kernel v5
  v7: i64 = load.64 v6 + 0
  return v7
}
"#;

#[test]
fn memory_of_an_arena_has_two_addresses() {
    let module = skep_ir::parse(ARENA).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(module.to_string(), ARENA);
    assert_eq!(skep_ir::verify(&module), Ok(()));
    let function = module.function("next").expect("the function");
    assert_eq!(interpret(&module, function, &[], &mut World::new(&module)), Ok(Some(10)));
    for (old, new, message) in [
        ("v2: ptr<arena> = space_cast kernel v1", "v2: ptr<any> = space_cast kernel v1", "expected type ptr<arena>"),
        ("v5: ptr<any> = space_cast user v2", "v5: ptr<arena> = space_cast user v2", "expected type ptr<any>"),
    ] {
        let module = skep_ir::parse(&ARENA.replace(old, new)).expect("a module");
        let violations = skep_ir::verify(&module).expect_err("a rule is broken");
        assert!(violations[0].message.contains(message), "{}", violations[0]);
    }
}

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

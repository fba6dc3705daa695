//! Values with the text and the JSON of the reference; any bytes with any shape.

use skep_lang_script::plan::{Shape, StackMode};

use super::*;
use crate::testing::{Build, enums, names};

fn both(value: &(Shape, Vec<u8>)) -> (String, String) {
    let value = Value::decode(&value.0, &value.1);
    let (mut text, mut json) = (Vec::new(), Vec::new());
    let (mut names, enums) = (names(), enums());
    let mut renderer = Renderer { names: &mut names, enums: &enums, truncation: "..", full: 0, flags: &[] };
    renderer.text(&value, &mut text);
    renderer.json(&value, &mut json);
    let json = String::from_utf8(json).unwrap();
    serde_json::from_str::<serde_json::Value>(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
    (String::from_utf8(text).unwrap(), json)
}

#[track_caller]
fn check(value: (Shape, Vec<u8>), text: &str, json: &str) {
    assert_eq!(both(&value), (text.to_owned(), json.to_owned()));
}

fn sized(shape: Shape, bytes: impl AsRef<[u8]>) -> (Shape, Vec<u8>) {
    let mut bytes = bytes.as_ref().to_vec();
    bytes.resize(shape.size() as usize, 0);
    (shape, bytes)
}

#[test]
fn numbers() {
    check(Build::int(-1), "-1", "-1");
    check(Build::unsigned(u64::MAX), "18446744073709551615", "\"18446744073709551615\"");
    check(Build::int(i64::MAX), "9223372036854775807", "\"9223372036854775807\"");
    check(Build::int(i64::MIN), "-9223372036854775808", "-9223372036854775808");
    check(Build::int(9_007_199_254_740_993), "9007199254740993", "\"9007199254740993\"");
    check(Build::int(9_007_199_254_740_992), "9007199254740992", "9007199254740992");
    check(sized(Shape::Int { bytes: 1, signed: true }, [0xff]), "-1", "-1");
    check(sized(Shape::Int { bytes: 2, signed: false }, [0xff, 0xff]), "65535", "65535");
    check(Build::bool(true), "true", "true");
    check(Build::enumerator(2), "BB", "2");
    check(Build::enumerator(9), "9", "9");
    check(Build::pointer(16), "0x10", "16");
    check(Build::pointer(0), "0x0", "0");
    check(sized(Shape::ErrorText, [2]), "No such file or directory", "\"No such file or directory\"");
    check(sized(Shape::SignalName, [9]), "Killed", "\"Killed\"");
}

#[test]
fn texts_and_addresses() {
    check(Build::text("a\"\x01\t\n\\", 8), "a\"\x01\t\n\\", r#""a\"\u0001\t\n\\""#);
    check(Build::text("", 1), "", "\"\"");
    check(Build::text("12345678", 8), "12345678..", "\"12345678..\"");
    check(Build::buffer("a\x01é".as_bytes(), 8), "a\\x01\\xc3\\xa9", "[97,1,-61,-87]");
    check(sized(Shape::Inet, [2, 0, 0, 0, 127, 0, 0, 1]), "127.0.0.1", "\"127.0.0.1\"");
    check(sized(Shape::Inet, [10]), "::", "\"::\"");
    check(sized(Shape::Inet, [3]), "", "\"\"");
    check(sized(Shape::Mac, [0, 1, 2, 0xab]), "00:01:02:AB:00:00", "\"00:01:02:AB:00:00\"");
    check(sized(Shape::KernelSymbol, [3, 0x10]), "do_syscall_64", "\"do_syscall_64\"");
    check(sized(Shape::KernelSymbol, [5]), "0x5", "\"0x5\"");
    check(sized(Shape::UserSymbol, [0]), "0", "\"0\"");
    check(sized(Shape::User, [0]), "root", "\"root\"");
    let time = Shape::Time("%Y-%m-%d %f".into());
    check(sized(time, 1000u64.to_le_bytes()), "2026-11-27 387485", "\"2026-11-27 387485\"");
}

#[test]
fn composites() {
    let inner = Build::tuple(&[Build::int(2), Build::int(3)]);
    check(Build::tuple(&[Build::int(1), Build::text("a", 4), inner]), "(1, a, (2, 3))", "[1,\"a\",[2,3]]");
    let record = Build::record(&[("a", Build::int(1)), ("b", Build::text("x", 3))]);
    check(record, "{ .a = 1, .b = x }", "{\"a\": 1, \"b\": \"x\"}");
    let bytes = Shape::Array(Box::new(Shape::Int { bytes: 1, signed: true }), 4);
    check(sized(bytes, [77]), "[77,0,0,0]", "[77,0,0,0]");
    check((Shape::Array(Box::new(Shape::Void), u32::MAX), vec![]), "[]", "[]");
    check((Shape::Tuple(vec![]), vec![]), "()", "[]");
}

#[test]
fn stacks() {
    check(
        Build::kernel_stack(0x1003, 2),
        "\n        do_syscall_64+3\n        do_syscall_64+4\n",
        r#""\n        do_syscall_64+3\n        do_syscall_64+4\n""#,
    );
    let user = |mode, pid: u8| {
        let bytes = [[0x30, 0x10, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, pid, 0, 0, 0]].concat();
        (Shape::Stack { kernel: false, dwarf: false, mode, limit: 1 }, bytes)
    };
    assert_eq!(both(&user(StackMode::Perf, 7)).0, "\n\t1030 main+48 (/bin/x)\n");
    assert_eq!(both(&user(StackMode::Perf, 8)).0, "\n\t1030 0x1030 ([unknown])\n");
    assert_eq!(both(&user(StackMode::Bpftrace, 8)).0, "\n        0x1030\n");
    assert_eq!(both(&user(StackMode::Raw, 7)).0, "\n1030\n");
    assert_eq!(both(&user(StackMode::BuildId, 7)).0, "\na226e0f1 0x30\n");
    assert_eq!(both(&user(StackMode::BuildId, 8)).0, "\n1030\n");
}

#[test]
fn missing_bytes_are_said_to_be_missing() {
    let (shape, bytes) = Build::tuple(&[Build::int(1), Build::int(2)]);
    check((shape, bytes[..12].to_vec()), "(1, <missing>)", "[1,null]");
    check((Shape::Array(Box::new(Shape::User), 9), vec![0; 6]), "[root,<missing>]", "[\"root\",null]");
    check((Shape::Buffer(9), vec![9, 0, 0, 0, 1]), "<missing>", "null");
}

#[test]
fn order_of_keys() {
    let value = |value: &(Shape, Vec<u8>), other: &(Shape, Vec<u8>)| {
        Value::decode(&value.0, &value.1).order(&Value::decode(&other.0, &other.1))
    };
    assert_eq!(value(&Build::int(-5), &Build::int(3)), Ordering::Less);
    assert_eq!(value(&Build::unsigned(u64::MAX), &Build::unsigned(3)), Ordering::Greater);
    assert_eq!(value(&Build::text("b", 4), &Build::text("ab", 4)), Ordering::Greater);
    let tuple = |number, text| Build::tuple(&[Build::int(number), Build::text(text, 4)]);
    assert_eq!(value(&tuple(1, "b"), &tuple(1, "a")), Ordering::Greater);
    assert_eq!(value(&tuple(0, "b"), &tuple(1, "a")), Ordering::Less);
}

#[test]
fn any_bytes_with_any_shape() {
    skep_random::random_test(|u| {
        crate::fuzz::value(u.arbitrary::<Vec<u8>>()?.as_slice());
        crate::fuzz::value(u.bytes(u.len())?);
        Ok(())
    });
}

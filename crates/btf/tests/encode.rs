//! Values from text: every form of the notation, and that what is printed is read back.

use skep_btf::{Array, Btf, BtfBuilder, Int, NewMember, NewType, TypeId, Value, encode};

/// `struct all { u32 number; s16 small; bool truth; enum colour colour; char text[6]; union { u32 word; u8 bytes[4]; };
/// int low : 3; unsigned high : 5; double ratio; }`
fn types() -> (Btf, TypeId) {
    let mut builder = BtfBuilder::new();
    let int = |size: u32, signed, char, bool| {
        NewType::Int(Int { size, bits: (8 * size) as u8, bit_offset: 0, signed, char, bool })
    };
    let number = builder.add("unsigned int", int(4, false, false, false)).unwrap();
    let signed = builder.add("int", int(4, true, false, false)).unwrap();
    let small = builder.add("short", int(2, true, false, false)).unwrap();
    let truth = builder.add("_Bool", int(1, false, false, true)).unwrap();
    let char = builder.add("char", int(1, true, false, false)).unwrap();
    let byte = builder.add("unsigned char", int(1, false, false, false)).unwrap();
    let ratio = builder.add("double", NewType::Float { size: 8 }).unwrap();
    let values = &[("RED", 0), ("GREEN", -1)];
    let colour = builder.add("colour", NewType::Enum { size: 4, signed: true, values }).unwrap();
    let array = |element, len| NewType::Array(Array { element, index: number, len });
    let text = builder.add("", array(char, 6)).unwrap();
    let bytes = builder.add("", array(byte, 4)).unwrap();
    let members = &[NewMember::new("word", number, 0), NewMember::new("bytes", bytes, 0)];
    let either = builder.add("", NewType::Union { size: 4, members }).unwrap();
    let members = &[
        NewMember::new("number", number, 0),
        NewMember::new("small", small, 32),
        NewMember::new("truth", truth, 48),
        NewMember::new("colour", colour, 64),
        NewMember::new("text", text, 96),
        NewMember::new("", either, 160),
        NewMember { name: "low", ty: signed, bit_offset: 192, bits: 3 },
        NewMember { name: "high", ty: number, bit_offset: 195, bits: 5 },
        NewMember::new("ratio", ratio, 256),
    ];
    let all = builder.add("all", NewType::Struct { size: 40, members }).unwrap();
    (Btf::parse(builder.to_bytes()).unwrap(), all)
}

#[test]
fn every_form_has_its_bytes() {
    let (btf, all) = types();
    let text = "{number: 0x01020304, small: -2, truth: true, colour: GREEN, text: \"hi\", word: 7, low: -1, high: 17, \
                ratio: 1.5}";
    let mut expected = vec![4, 3, 2, 1, 0xfe, 0xff, 1, 0, 0xff, 0xff, 0xff, 0xff, b'h', b'i', 0, 0, 0, 0, 0, 0];
    expected.extend([7, 0, 0, 0, 17 << 3 | 7, 0, 0, 0]);
    expected.extend([0; 4]);
    expected.extend(1.5f64.to_le_bytes());
    assert_eq!(encode(&btf, all, text).unwrap(), expected);
    // The other member of the union, the nameless member itself, C's way of writing.
    let by_bytes = text.replace("word: 7", "bytes: [7]");
    assert_eq!(encode(&btf, all, &by_bytes).unwrap(), expected);
    let nameless = text.replace("word: 7", "\"\": {word: 7}");
    assert_eq!(encode(&btf, all, &nameless).unwrap(), expected);
    let in_c = text.replace(": ", " = ").replace(", ", ", .").replace('{', "{.");
    assert_eq!(encode(&btf, all, &in_c).unwrap(), expected);
    assert_eq!(encode(&btf, all, "{}").unwrap(), [0; 40]);
    assert_eq!(encode(&btf, all, "{text: ['h', 105]}").unwrap()[12..14], *b"hi");
    // What is printed is read back.
    let printed = Value::decode(&btf, all, &expected).unwrap().to_string();
    assert_eq!(encode(&btf, all, &printed).unwrap(), expected, "{printed}");
}

#[test]
fn mistakes_have_a_place() {
    let (btf, all) = types();
    for (text, problem) in [
        ("7", "expected members: {name: value}"),
        ("{nmber: 1}", "there is no member `nmber`; it has: number, small, truth, colour, text, low, high, ratio"),
        ("{number: 4294967296}", "number: 4294967296 does not fit in 32 bits"),
        ("{small: -32769}", "small: -32769 does not fit in 16 bits"),
        ("{high: 32}", "high: 32 does not fit in 5 bits"),
        ("{truth: maybe}", "truth: expected true or false"),
        ("{colour: BLUE}", "colour: there is no constant `BLUE`; it has: RED, GREEN"),
        ("{text: \"too long\"}", "text: 8 bytes of text do not fit in 6"),
        ("{text: 5}", "text: expected a list of elements or a text in quotes"),
        ("{bytes: [1, 2, 300]}", "bytes[2]: 300 does not fit in 8 bits"),
        ("{bytes: [1, 2, 3, 4, 5]}", "bytes: there are 5 elements, the array has 4"),
        ("{ratio: x}", "ratio: expected a number"),
        ("{number 1}", "`1}` stands where `:` after the name is expected"),
    ] {
        assert_eq!(encode(&btf, all, text).unwrap_err().to_string(), problem, "{text}");
    }
    assert!(encode(&btf, TypeId::VOID, "1").is_err() && encode(&btf, TypeId(999), "1").is_err());
}

/// Random values of a type whose parts do not overlap: printed and read back they have the same bytes, up to what follows
/// a NUL in a text and to padding.
#[test]
fn printed_values_are_read_back() {
    let (btf, all) = types();
    skep_random::random_test(|random| {
        let mut bytes: [u8; 40] = random.arbitrary()?;
        // Truth values other than 0 and 1, and numbers without form in JSON, have no text of their own.
        bytes[6] &= 1;
        bytes[39] &= 0x3f;
        let printed = Value::decode(&btf, all, &bytes).unwrap().to_string();
        let again = encode(&btf, all, &printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(Value::decode(&btf, all, &again).unwrap().to_string(), printed);
        Ok(())
    });
}

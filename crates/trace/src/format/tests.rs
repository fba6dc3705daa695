//! Formats with the output of the reference (bpftrace 0.27.1 printed the same arguments with them).

use skep_lang_script::plan::{Field, Shape, lay_out};

use super::*;
use crate::testing::{Build, names};
use crate::value::Renderer;

fn check(format: &str, values: &[(Shape, Vec<u8>)], expected: &str) {
    let fields: Vec<Field> = lay_out(8, values.iter().map(|value| value.0.clone()));
    let mut record = vec![0; 8];
    for (field, (_, bytes)) in fields.iter().zip(values) {
        record.resize(field.offset as usize, 0xee);
        record.extend_from_slice(bytes);
    }
    let mut out = Vec::new();
    let mut names = names();
    let mut renderer =
        Renderer { names: &mut names, enums: &crate::testing::enums(), truncation: "..", full: 0, flags: &[] };
    Format::compile(format, fields.len()).unwrap().render(&fields, &record, &mut renderer, &mut out);
    assert_eq!(String::from_utf8_lossy(&out), expected, "{format}");
}

fn ints(numbers: &[i64]) -> Vec<(Shape, Vec<u8>)> {
    numbers.iter().map(|&number| Build::int(number)).collect()
}

#[test]
fn integers() {
    check(
        "x %d|%5d|%-5d|%05d|%x|%#x|%+d|% d|%c",
        &ints(&[-3, 3, 3, 3, 255, 255, 3, 3, 65]),
        "x -3|    3|3    |00003|ff|0xff|+3|3|A",
    );
    check("%lx|%hhd|%o|%X|%p|%u", &ints(&[-1, 300, 8, 255, 4096, -1]), "ffffffffffffffff|44|10|FF|0x1000|4294967295");
    let wide = 0x1_ffff_ffff;
    check("%%|%d|%ld|%lld|%u|%hd", &ints(&[wide, wide, -1, wide, 70000]), "%|-1|8589934591|-1|4294967295|4464");
    check(
        "%#o|%#p|%-20p|%20p|%020p|%5c|%-5c|",
        &ints(&[8, 16, 16, 16, 16, 65, 65]),
        "010|0x10|0x10                |                0x10|00000000000000000x10|    A|A    |",
    );
    check(
        "%-+5d|%+ d|%+05d|%#010x|%zd|%jd|%td|%i|%hu",
        &ints(&[1, 2, 3, 255, 5, 6, 7, 8, 65537]),
        "+1   |+2|000+3|0000000xff|5|6|7|8|1",
    );
    check(
        "%05d|%5d|%-5d|%05u|%x|%#o|%#X|%+u|%lu|%#x|%+x",
        &ints(&[-3, -3, -3, 3, -3, 0, 255, 3, -1, 0, 3]),
        "000-3|   -3|-3   |00003|fffffffd|0|0XFF|3|18446744073709551615|0|3",
    );
    check("%5.1d|%hhu|%hx|%hhx|%c|%c|%05c|", &ints(&[7, -1, -1, -1, -191, 321, 67]), "    7|255|ffff|ff|A|A|0000C|");
    check("%s|%d|%x|%lx", &ints(&[-1, -1, -1, -1]), "-1|-1|ffffffff|ffffffffffffffff");
}

#[test]
fn flags_of_allocations() {
    let flags: [(u64, std::sync::Arc<str>); 3] =
        [(0xcc0, "GFP_KERNEL".into()), (0x100, "__GFP_ZERO".into()), (0x40, "__GFP_IO".into())];
    let mut held = names();
    let mut renderer = Renderer { names: &mut held, enums: &[], truncation: "..", full: 0, flags: &flags };
    for (number, expected) in
        [(0xdc0, "GFP_KERNEL|__GFP_ZERO"), (0xcc0, "GFP_KERNEL"), (0x140, "__GFP_ZERO|__GFP_IO"), (0, "none")]
    {
        assert_eq!(shown(number, &mut renderer), expected);
    }
    assert_eq!(shown(0x8000_0100, &mut renderer), "__GFP_ZERO|0x80000000");
    assert_eq!(shown(0x1000, &mut renderer), "0x1000");
}

fn shown(number: i64, renderer: &mut Renderer<'_>) -> String {
    let (shape, bytes) = Build::int(number);
    let fields = lay_out(8, [shape]);
    let record = [&[0; 8][..], &bytes].concat();
    let mut out = Vec::new();
    Format::compile("%gr", 1).unwrap().render(&fields, &record, renderer, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_no_conversion() {
    check(
        "%-+5d|%-05d|%-#6x|%y %5 %|%0-5d|%5%|%100%|%-p|",
        &ints(&[2, 3, 255, 4]),
        "+2   |30000|0xff  |%y %5 %|%0-5d|%|%|0x4|",
    );
    check("%", &[], "%");
    check("100%% é %q %", &[], "100% é %q %");
    check("%*d|%.*d|%5.", &ints(&[1, 2]), "1|2|%5.");
}

#[test]
fn texts_and_other_values() {
    let pair = Build::tuple(&[Build::int(1), Build::text("x", 8)]);
    check(
        "%s|%s|%s|%s",
        &[pair.clone(), Build::bool(true), Build::enumerator(1), Build::pointer(16)],
        "(1, x)|true|AA|0x10",
    );
    check(
        "%5s|%8s|%-5s|%.2s|%05s|%-05s",
        &[
            Build::bool(true),
            pair,
            Build::bool(true),
            Build::text("hello", 8),
            Build::text("ab", 8),
            Build::text("ab", 8),
        ],
        " true|  (1, x)|true |hello|000ab|ab000",
    );
    check("%d|%d|%x", &[Build::bool(true), Build::enumerator(1), Build::pointer(255)], "1|1|ff");
    check(
        "%s|%10s|%d",
        &[Build::text("12345678", 8), Build::text("é", 8), Build::text("no", 8)],
        "12345678..|        é|no",
    );
    let bytes = Build::buffer(b"a\x01b\\\"\n~", 16);
    check(
        "%s %r|%rx|%rh|",
        &[bytes.clone(), bytes, Build::buffer(b"a\x01b", 4), Build::buffer(b"a\x01b", 4)],
        "a\\x01b\\\"\\x0a~ a\\x01b\\\"\\x0a~|\\x61\\x01\\x62|61 01 62|",
    );
    check(
        "%5r|%-10rx|%12rh|%r|",
        &[Build::buffer(b"", 4), Build::buffer(b"ab", 4), Build::buffer(b"ab", 4), Build::text("é", 2)],
        "     |\\x61\\x62  |       61 62|\\xc3\\xa9|",
    );
}

#[test]
fn wrong_formats_say_what_is_wrong() {
    let error = Format::compile("%d %s", 1).unwrap_err();
    assert_eq!(error.to_string(), "not enough arguments for the format (1 supplied, 2 expected)");
    let error = Format::compile("%d", 2).unwrap_err();
    assert_eq!(error.to_string(), "too many arguments for the format (2 supplied, 1 expected)");
    let error = Format::compile("é%-5.1Lf", 1).unwrap_err();
    assert_eq!(error, FormatError::Unsupported { text: "%-5.1Lf".into(), at: 2 });
    assert!(error.to_string().starts_with("the conversion `%-5.1Lf` at byte 2"));
}

#[test]
fn huge_widths_do_not_fill_the_memory() {
    let mut expected = " ".repeat(4095);
    expected.push('1');
    check("%99999999999d", &ints(&[1]), &expected);
}

#[test]
fn any_format() {
    skep_random::random_test(|u| {
        crate::fuzz::format(u.bytes(u.len())?);
        // Random bytes rarely are conversions: put some from the alphabet of formats together.
        let mut text: Vec<u8> = Vec::new();
        for _ in 0..u.arbitrary::<u8>()? % 40 {
            text.push(*u.choose(b"%%%%%-+ #0159.*hlLjztdiouxXcsprgf\n")?);
        }
        let rest = u.bytes(u.len())?;
        let half = text.len().min(rest.len());
        text.extend_from_slice(&rest[..half]);
        crate::fuzz::format(&text);
        Ok(())
    });
}

//! Which text becomes which token.

use super::*;

fn toks(source: &str) -> Vec<Tok> {
    lex(source, Compat::V1_11).tokens.into_iter().map(|token| token.tok).collect()
}

#[track_caller]
fn one(source: &str) -> Tok {
    match toks(source)[..] {
        [tok, Tok::End] => tok,
        ref other => panic!("{source}: {other:?}"),
    }
}

#[track_caller]
fn error(source: &str) -> String {
    lex(source, Compat::V1_11).error.expect(source).message
}

#[test]
fn numbers() {
    assert_eq!(one("80"), Tok::Num(80));
    assert_eq!(one("0x1F"), Tok::Num(31));
    assert_eq!(one("0X1f"), Tok::Num(31));
    assert_eq!(one("010"), Tok::Num(8));
    assert_eq!(one("0"), Tok::Num(0));
    assert_eq!(one("4294967295"), Tok::Num(u32::MAX));
    assert_eq!(one("037777777777"), Tok::Mac([0x03, 0x77, 0x77, 0x77, 0x77, 0x77]));
    assert_eq!(one("0037777777777"), Tok::Num(u32::MAX));
    assert_eq!(one("icmp6-echoreply"), Tok::Num(129));
    assert_eq!(one("tcpflags"), Tok::Num(13));
    assert_eq!(error("4294967296"), "4294967296 overflows 32 bits");
    assert_eq!(error("0x100000000"), "hexadecimal number 0x100000000 overflows 32 bits");
    assert_eq!(error("080"), "number 080 contains a non-octal digit");
    // No digits after the x, or other letters: a name.
    assert_eq!(one("0x"), Tok::Name);
    assert_eq!(one("80abc"), Tok::Name);
}

#[test]
fn names() {
    for name in ["len-14", "10-3", "80-90", "a..", "a-_b", "1..2", "1.2.3.4.5", "1.", "TCP", "http", "tcp6", "a.b."] {
        assert_eq!(one(name), Tok::Name, "{name}");
    }
    assert_eq!(toks("a-"), [Tok::Name, Tok::Alu(AluOp::Sub), Tok::End]);
    assert_eq!(toks("a_"), [Tok::Name, Tok::Bad]);
    assert_eq!(one("\\tcp"), Tok::Name);
    assert_eq!(toks("\\tcp)"), [Tok::Name, Tok::Close, Tok::End]);
    assert_eq!(toks("\\a=b c"), [Tok::Name, Tok::Name, Tok::End]);
    assert_eq!(error("\\ a"), "nothing follows the backslash");
}

#[test]
fn hardware_addresses() {
    let mac = Tok::Mac([0xaa, 0xbb, 0xcc, 0x0d, 0xee, 0xff]);
    for text in ["aa:bb:cc:d:ee:ff", "AA-BB-CC-0D-EE-FF", "aa.bb.cc.d.ee.ff", "aabb.cc0d.eeff", "aabbcc0deeff"] {
        assert_eq!(one(text), mac, "{text}");
    }
    assert_eq!(toks("aa-bb:cc")[0], Tok::Name, "separators must be the same");
    assert_eq!(one("$1f"), Tok::Arcnet(0x1f));
    assert_eq!(toks("$123"), [Tok::Arcnet(0x12), Tok::Num(3), Tok::End]);
    for text in ["aa:bb:cc:dd:ee", "aa:bb:cc:dd:ee:ff:00", "1::2::3", "1:2:3"] {
        assert!(error(text).contains("neither a hardware address nor an IPv6 address"), "{text}");
    }
}

#[test]
fn ip_addresses() {
    for text in ["1.2", "1.2.3", "1.2.3.4", "1.2.3.256", "0x1.2"] {
        assert_eq!(one(text), Tok::Quad, "{text}");
    }
    let texts = ":: ::1 1:: a::b 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:: ::1:2:3:4:5:6:7 1:2:3:4:5:6::8 ::ffff:1.2.3.4 \
                 ::1.2.3.4 1::1.2.3.4 1:2:3:4:5:6:1.2.3.4 fe80::a:b:c:d 2001:db8::";
    for text in texts.split_whitespace() {
        let address: std::net::Ipv6Addr = text.parse().unwrap();
        assert_eq!(one(text), Tok::V6(address.octets()), "{text}");
    }
    assert_eq!(error("::ffff:1.2.3.256"), "`::ffff:1.2.3.256` is not a valid IPv6 address");
    assert_eq!(toks("1:2:3:4:5:6:7::8"), [one("1:2:3:4:5:6:7::"), Tok::Num(8), Tok::End]);
    assert_eq!(toks("fe80::1%eth0"), [one("fe80::1"), Tok::Alu(AluOp::Mod), Tok::Name, Tok::End]);
}

#[test]
fn colons_in_brackets_are_no_addresses() {
    let inside = [Tok::Num(0), Tok::Colon, Tok::Num(2), Tok::End];
    assert_eq!(toks("0:2"), inside);
    assert_eq!(toks("0 :2"), inside);
    assert_eq!(toks("a:2"), [Tok::Name, Tok::Colon, Tok::Num(2), Tok::End]);
    assert_eq!(toks("len:2"), [Tok::Word(Word::Len), Tok::Colon, Tok::Num(2), Tok::End]);
    assert_eq!(toks("not:"), [Tok::Not, Tok::Colon, Tok::End]);
}

#[test]
fn operators_take_the_longest() {
    use RelOp::{Eq, Ge, Gt, Le, Lt, Ne};
    let rels = [Eq, Eq, Ne, Lt, Gt, Le, Ge].map(Tok::Rel);
    assert_eq!(toks("= == != < > <= >=")[..7], rels);
    assert_eq!(toks("tcp&&udp")[1], Tok::And);
    assert_eq!(toks("tcp||udp")[1], Tok::Or);
    assert_eq!(toks("! not !=")[..3], [Tok::Not, Tok::Not, Tok::Rel(Ne)]);
    assert_eq!(toks("<<<")[..2], [Tok::Alu(AluOp::Lsh), Tok::Rel(Lt)]);
}

#[test]
fn sets() {
    assert_eq!(one("@hosts.txt"), Tok::Set);
    assert_eq!(toks("(@/a/b)")[1..3], [Tok::Set, Tok::Close]);
    assert_eq!(one("@\"a file\""), Tok::Set);
    assert_eq!(error("@"), "no file name after `@`");
    assert_eq!(error("@''"), "no file name after `@`");
    assert_eq!(error("@\"a"), "the quote is not closed");
}

#[test]
fn reading_stops_at_the_first_error() {
    let lexed = lex("port 80, 443", Compat::V1_11);
    assert_eq!(lexed.tokens.len(), 3);
    assert_eq!(lexed.tokens[2], Token { tok: Tok::Bad, span: Span::new(7, 8) });
    assert_eq!(lexed.error.unwrap().message, "unexpected character ','");
    assert_eq!(lex("é", Compat::V1_11).error.unwrap().span, Span::new(0, 2));
}

#[test]
fn vxlan_is_a_word_since_1_11() {
    assert_eq!(one("vxlan"), Tok::Word(Word::Vxlan));
    assert_eq!(lex("vxlan", Compat::V1_10).tokens[0].tok, Tok::Name);
}

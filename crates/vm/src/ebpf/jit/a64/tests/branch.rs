//! Branches to places near and far.

use super::data::CONDITIONS;
use super::{Listing, WIDTHS, z, zt};
use crate::ebpf::jit::a64::{Code, Cond, EncodeError, Landing, Position, Reg, Site, Width::W, Width::X};

/// Emits a branch after `before` instructions and gives it a target this many instructions away.
fn word_after(before: &mut Code, away: i64, branch: impl FnOnce(&mut Code) -> Site) -> Result<u32, EncodeError> {
    let here = before.here();
    let site = branch(before);
    let target = usize::try_from(here.0 as i64 + away).unwrap();
    let result = before.patch(site, Position(target));
    let word = before.words.pop().unwrap();
    assert_eq!(before.here(), here);
    if result.is_err() {
        assert_eq!(word, 0, "a branch without target has to trap");
    }
    result.map(|()| word)
}

/// A branch with its name and operands as text, and the bits of its field.
struct Branch<'a> {
    text: String,
    bits: u32,
    emit: &'a dyn Fn(&mut Code) -> Site,
}

/// A branch to the borders of its reach and beyond.
fn check_reach(listing: &mut Listing, code: &mut Code, Branch { text, bits, emit }: Branch<'_>) {
    let limit = 1i64 << (bits - 1);
    for away in [-limit - 1, -limit, 1 - limit, -limit / 3, -1, 0, 1, limit / 3, limit - 2, limit - 1, limit] {
        let text = format!("{text} #{}", away * 4);
        match word_after(code, away, emit) {
            Ok(word) => listing.word(text, word),
            Err(error) => {
                assert!(away == limit || away == -limit - 1, "{text}: {error}");
                assert!(matches!(error, EncodeError::OutOfRange { value, .. } if value == away * 4), "{error}");
                listing.refused.push(text);
            }
        }
    }
}

#[test]
fn branches_reach_their_borders() {
    // Room for the farthest branch backwards; the pages are never touched.
    let mut code = Code { words: vec![0; (1 << 25) + 2] };
    code.words.pop();
    let mut listing = Listing::default();
    let mut check = |text: String, bits, emit: &dyn Fn(&mut Code) -> Site| {
        check_reach(&mut listing, &mut code, Branch { text, bits, emit });
    };
    check("b".into(), 26, &Code::b);
    check("bl".into(), 26, &Code::bl);
    for (cond, name) in CONDITIONS {
        check(format!("b.{name}"), 19, &|code| code.b_cond(cond));
    }
    for number in 0..32 {
        for w in WIDTHS {
            check(format!("cbz {},", zt(w, number)), 19, &|code| code.cbz(w, z(number)));
            check(format!("cbnz {},", zt(w, number)), 19, &|code| code.cbnz(w, z(number)));
        }
        // An address is in bytes; those of instructions end four before the border.
        check(format!("adr {},", zt(X, number)), 19, &|code| code.adr(z(number)));
    }
    for bit in 0..64 {
        let number = bit ^ 0b10110;
        let reg = zt(if bit < 32 { W } else { X }, number & 31);
        check(format!("tbz {reg}, #{bit},"), 14, &|code| code.tbz(z(number & 31), bit).unwrap());
        check(format!("tbnz {reg}, #{bit},"), 14, &|code| code.tbnz(z(number & 31), bit).unwrap());
    }
    for bit in [64, 65, 128, 255] {
        let mut empty = Code::new();
        assert!(empty.tbz(z(1), bit).is_err() && empty.tbnz(z(1), bit).is_err() && empty.words().is_empty());
        listing.refused.push(format!("tbz x1, #{bit}, #8"));
    }
    listing.check("branches");
}

#[test]
fn indirect_branches_and_system() {
    let mut listing = Listing::default();
    for reg in (0..31).filter_map(Reg::new) {
        let name = zt(X, reg.number());
        listing.emits(format!("br {name}"), |code| code.br(reg));
        listing.emits(format!("blr {name}"), |code| code.blr(reg));
        listing.emits(format!("ret {name}"), |code| code.ret(reg));
    }
    for (landing, name) in [(Landing::Call, "c"), (Landing::Jump, "j"), (Landing::Any, "jc")] {
        listing.emits(format!("bti {name}"), |code| code.bti(landing));
    }
    for number in (0..16).map(|bit| 1 << bit).chain([0, 0xffff]) {
        listing.emits(format!("brk #{number}"), |code| code.brk(number));
        listing.emits(format!("udf #{number}"), |code| code.udf(number));
    }
    listing.emits("nop".into(), Code::nop);
    listing.check("system");
    assert_eq!((31..=255).find_map(Reg::new), None);
}

#[test]
fn inverse_conditions_differ_in_the_lowest_bit() {
    for (cond, _) in CONDITIONS {
        assert_eq!(cond.inverse() as u8, cond as u8 ^ 1);
        assert_eq!(cond.inverse().inverse(), cond);
    }
}

#[test]
fn targets_before_and_after() {
    let mut code = Code::new();
    let start = code.here();
    let forward = code.b_cond(Cond::Ne);
    code.nop();
    let back = code.b();
    assert_eq!(code.words(), [0, 0xd503_201f, 0], "branches without target have to trap");
    code.patch(back, start).unwrap();
    let end = code.here();
    code.patch(forward, end).unwrap();
    // b.ne +12; nop; b -8
    assert_eq!(code.words(), [0x5400_0061, 0xd503_201f, 0x17ff_fffe]);
}

#[test]
fn errors_say_what_would_do() {
    let mut code = Code::new();
    let site = code.tbz(z(1), 3).unwrap();
    let error = code.patch(site, Position(1 << 20)).unwrap_err().to_string();
    let expected =
        "the distance of a branch on a bit in bytes is 4194304, but must be from -32768 to 32764 and a multiple of 4";
    assert_eq!(error, expected);
    let error = code.stlxr(X, z(3), z(3), Reg::new(4).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "stlxr names register 3 twice where the architecture requires two different ones");
}

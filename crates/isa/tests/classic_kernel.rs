//! Holds `classic::check` against the running kernel: random programs, valid and not, are attached to a socket.
//!
//! `SO_ATTACH_FILTER` needs no privileges; Python makes the system calls so that this crate needs none.

use std::fmt::Write as _;
use std::process::Command;

use skep_isa::classic::{ANCILLARY, FORMS, Insn, MAX_INSNS, SKF_AD_OFF, check, to_ne_bytes};

/// Attaches each program (one line of hex digits) to a fresh socket and prints 0 or the error number.
const ATTACH: &str = r#"
import ctypes, socket, struct, sys
SO_ATTACH_FILTER = 26
for text in open(sys.argv[1]):
    code = bytes.fromhex(text)
    insns = ctypes.create_string_buffer(code, len(code) + 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(code) // 8, ctypes.addressof(insns)))
            print(0)
        except OSError as error:
            print(error.errno)
"#;

const EINVAL: &str = "22";
const ENOMEM: &str = "12";

/// The same programs in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }
}

/// A program that is nearly valid, so that verdicts of both kinds are frequent.
fn program(random: &mut Random) -> Vec<Insn> {
    let len = 1 + random.below(12);
    let scratch = random.below(3);
    let mut insns: Vec<Insn> = (0..len)
        .map(|at| {
            let form = FORMS[random.below(FORMS.len() as u32) as usize];
            let code = if random.below(100) == 0 { random.next() as u16 % 300 } else { form.code() };
            let following = len - at;
            let distance = |random: &mut Random| (random.below(following) + random.below(20) / 19) as u8;
            let k = match random.below(60) {
                0 => random.next(),
                1 => SKF_AD_OFF + random.below(80),
                2 => ANCILLARY[random.below(16) as usize].k(),
                3 => 14 + random.below(4),
                4 => 31 + random.below(3),
                5 => 0,
                _ => scratch + random.below(2) + u32::from(code & 7 == 5) * random.below(following) / 2,
            };
            Insn { code, jt: distance(random), jf: distance(random), k }
        })
        .collect();
    // Scratch words are written early in most programs.
    for k in 0..random.below(5) {
        insns.insert(0, if random.below(2) == 0 { Insn::st(k) } else { Insn::stx(k) });
    }
    if random.below(20) > 0 {
        insns.push(if random.below(2) == 0 { Insn::ret_a() } else { Insn::ret_k(random.below(100)) });
    }
    insns
}

#[test]
fn same_verdicts_as_the_kernel() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut programs: Vec<Vec<Insn>> = (0..20_000).map(|_| program(&mut random)).collect();
    programs.push(Vec::new());
    programs.push(vec![Insn::ret_k(0); MAX_INSNS]);
    programs.push(vec![Insn::ret_k(0); MAX_INSNS + 1]);
    let mut input = String::new();
    for insns in &programs {
        for byte in to_ne_bytes(insns) {
            let _ = write!(input, "{byte:02x}");
        }
        input.push('\n');
    }
    let file = std::env::temp_dir().join(format!("skep-isa-attach-{}", std::process::id()));
    std::fs::write(&file, input).unwrap();
    let result = Command::new("python3").args(["-c", ATTACH]).arg(&file).output();
    std::fs::remove_file(&file).unwrap();
    let Ok(output) = result else {
        let required = std::env::var_os("SKEP_REQUIRE_KERNEL").is_some_and(|value| value == "1");
        assert!(!required, "python3 cannot be run");
        println!("SKIPPED: python3 cannot be run");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<&str> = text.lines().collect();
    assert_eq!(answers.len(), programs.len());
    let mut valid = 0;
    for (insns, answer) in programs.iter().zip(answers) {
        match (check(insns), answer) {
            // Memory for socket options is limited; that says nothing about the program.
            (Ok(()), "0" | ENOMEM) => valid += 1,
            (Err(_), EINVAL) => {}
            (verdict, answer) => panic!("check: {verdict:?}, kernel: {answer}\n{insns:#?}"),
        }
    }
    println!("{valid} of {} programs are valid", programs.len());
    assert!(valid > 2_000 && programs.len() - valid > 2_000, "the programs are too uniform: {valid} are valid");
}

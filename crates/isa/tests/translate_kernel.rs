//! The verifier of the running kernel accepts what the translator makes of classic programs.

mod common;

use std::process::Command;

use skep_isa::classic::{self, ANCILLARY, JmpOp, Size, Source};
use skep_isa::ebpf::{Cpu, disassemble};
use skep_isa::translate::{Options, fuzz, translate};

const CPUS: [Cpu; 4] = [Cpu::V1, Cpu::V2, Cpu::V3, Cpu::V4];

#[track_caller]
fn accepted(programs: &[Vec<classic::Insn>]) {
    let mut translated = Vec::new();
    for program in programs {
        for cpu in CPUS {
            // Words that 64-bit programs cannot read are tested elsewhere.
            if let Ok(translation) = translate(program, &Options { cpu }) {
                translated.push(translation.insns);
            }
        }
    }
    assert!(translated.len() >= programs.len());
    let Some(verdicts) = common::load(&translated, 1) else { return };
    for (insns, verdict) in translated.iter().zip(verdicts) {
        let text = || disassemble(&insns[..insns.len().min(200)]).unwrap_or_default();
        assert!(verdict.accepted, "{} slots: {}\n{}", insns.len(), verdict.last, text());
    }
}

#[test]
fn filters_of_tcpdump() {
    let filters = [
        "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
        "ip6 host 2001:db8::1 or (vlan and ip host 10.0.0.1)",
        "ip[ip[0]] / ip[1] = 7 and ip[8] % ip[9] = 1",
        "inbound and ifindex 3",
        "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420 or len > 1000",
        "ip[0] << ip[1] = ip[2] | -ip[3]",
    ];
    let mut programs = Vec::new();
    for filter in filters {
        for optimise in [None, Some("-O")] {
            let arguments = ["-y", "EN10MB", "-ddd"].into_iter().chain(optimise).chain([filter]);
            let Ok(output) = Command::new("tcpdump").args(arguments).output() else {
                println!("SKIPPED: tcpdump is not installed");
                return;
            };
            programs.push(classic::parse_decimal(&String::from_utf8_lossy(&output.stdout)).unwrap());
        }
    }
    accepted(&programs);
}

#[test]
fn ancillary_words() {
    let words = ANCILLARY.iter().filter(|word| !matches!(word.source, Source::Unreachable(_)));
    let programs: Vec<_> =
        words.map(|word| vec![classic::Insn::ld_abs(Size::Word, word.k()), classic::Insn::ret_a()]).collect();
    assert_eq!(programs.len(), 12);
    accepted(&programs);
}

#[test]
fn random_programs() {
    // A fixed generator: the same programs in every run, varied lengths and contents.
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let programs: Vec<_> = (0..300)
        .map(|_| {
            let len = 4 * (next() % 60) as usize;
            let data: Vec<u8> = (0..len).map(|_| (next() >> 32) as u8).collect();
            fuzz::program(&data)
        })
        .filter(|program| classic::check(program).is_ok() || program.len() > 3)
        .collect();
    accepted(&programs);
}

#[test]
fn long_programs_with_islands() {
    let tests = 30_000;
    let mut program = vec![classic::Insn::ld_abs(Size::Word, 0)];
    for value in 0..tests {
        program.push(classic::Insn::jump_k(JmpOp::Eq, value, 0, 1));
        program.push(classic::Insn::ja(2 * (tests - 1 - value) + 1));
    }
    program.push(classic::Insn::ret_k(0));
    program.push(classic::Insn::ret_k(7));
    accepted(&[program]);
}

//! The programs of the benchmark give native code's results on every engine: on our machines, in the kernel, on rbpf.
//!
//! Without clang or without the kernel the test says what it skips; with `SKEP_REQUIRE_KERNEL=1` a skip is a failure.

// The benchmark uses all of these modules; the test needs no clocks and no headings.
#[allow(dead_code)]
#[path = "../benches/machine/compile.rs"]
mod compile;
#[allow(dead_code)]
#[path = "../benches/machine/engine.rs"]
mod engine;
#[path = "../benches/machine/kernel.rs"]
mod kernel;
#[path = "../benches/machine/native.rs"]
mod native;
#[path = "../benches/machine/peer.rs"]
mod peer;
#[allow(dead_code)]
#[path = "../benches/machine/programs.rs"]
mod programs;
#[path = "../benches/machine/skep.rs"]
mod skep;
#[path = "../benches/machine/suite.rs"]
mod suite;

use compile::Compiler;
use engine::Refusal;
use programs::PROGRAMS;
use suite::{Engines, expected, load_checked};

fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

#[test]
fn all_engines_agree_with_native_code() {
    let compiler = match Compiler::find() {
        Ok(compiler) => compiler,
        Err(reason) => return skip(&reason),
    };
    let engines = Engines::find();
    for (name, reason) in &engines.skipped {
        skip(&format!("{name}: {reason}"));
    }
    let mut errors = Vec::new();
    for program in PROGRAMS {
        let name = program.name;
        let built = compiler.build(program).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = expected(&built).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(expected, model(name, &built.input), "{name}: native code against the model");
        for engine in &engines.usable {
            match load_checked(&**engine, &built, expected) {
                Ok(_) => {}
                Err(Refusal::Unsupported(reason)) => println!("{name}: {} cannot: {reason}", engine.name()),
                Err(Refusal::Failed(reason)) => errors.push(format!("{name}: {}: {reason}", engine.name())),
            }
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

fn fold(value: u64) -> u32 {
    value as u32 ^ (value >> 32) as u32
}

/// What a program returns, computed from the description of its work.
fn model(name: &str, input: &[u8]) -> u32 {
    let words: Vec<u32> = input.as_chunks::<4>().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect();
    let long = u64::from(words[1]) << 32 | u64::from(words[0]);
    let look_up = |key: u32| u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let keys = (0..1000).map(|at| (at * 7u32).wrapping_add(words[0]) % 1024);
    match name {
        "nop" => 2,
        // Ports 51234 and 443.
        "parse" => 51234 << 16 | 443,
        "csum" => checksum(input),
        "jhash" => jenkins(&words),
        "sieve" => (2..2048).filter(|n| (2..*n).all(|factor| n % factor != 0)).count() as u32,
        "matrix" => matrices(&words),
        "tree" => decisions(&words),
        "loop" => {
            let (mut state, mut sum) = (long | 1, 0u64);
            for _ in 0..20_000 {
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                sum = sum.wrapping_add(state.wrapping_mul(0x2545_f491_4f6c_dd1d));
            }
            fold(sum)
        }
        "divmod" => {
            let gcd = |mut a: u64, mut b: u64| {
                while b != 0 {
                    (a, b) = (b, a % b);
                }
                a
            };
            let pairs = words.as_chunks::<2>().0.iter().zip(1..);
            fold(pairs.map(|([a, b], number)| gcd((*a).into(), (*b).into()) * number).sum())
        }
        "calls" => (0..2000).fold(words[0], |value, at| (value << 1).wrapping_add(value ^ at)),
        "atomic" => fold((0..1000).fold(0, |sum, at| sum.wrapping_add(long ^ at))),
        "array" => fold(keys.map(look_up).fold(0, u64::wrapping_add)),
        "hash" => fold(keys.filter(|key| *key < 1000).map(look_up).fold(0, u64::wrapping_add)),
        other => panic!("the model does not know {other}"),
    }
}

/// The checksum of RFC 1071 in the byte order of this machine.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum: u32 = bytes.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_ne_bytes(*pair))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !sum & 0xffff
}

/// The lookup3 hash of whole triples of words.
fn jenkins(words: &[u32]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(4 * words.len() as u32);
    // The word that a step works on, the one that it subtracts, and the one that it advances move round.
    let mut state = [start; 3];
    for triple in words.chunks(3) {
        for (part, word) in state.iter_mut().zip(triple) {
            *part = part.wrapping_add(*word);
        }
        for (step, bits) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
            let [x, y, z] = [step % 3, (step + 1) % 3, (step + 2) % 3];
            state[x] = state[x].wrapping_sub(state[z]) ^ state[z].rotate_left(bits);
            state[z] = state[z].wrapping_add(state[y]);
        }
    }
    for (x, y, bits) in [(2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24)] {
        state[x] = (state[x] ^ state[y]).wrapping_sub(state[y].rotate_left(bits));
    }
    state[2]
}

fn matrices(words: &[u32]) -> u32 {
    let cell = |at: usize| u64::from(words[at]);
    let mut left: [u64; 36] = std::array::from_fn(|at| cell(2 * at));
    let right: [u64; 36] = std::array::from_fn(|at| cell(2 * at + 1));
    for round in 0..12 {
        left = std::array::from_fn(|place| {
            let (row, column) = (place / 6, place % 6);
            let products = (0..6).map(|at| left[6 * row + at].wrapping_mul(right[6 * at + column]));
            products.fold(0, u64::wrapping_add) ^ round
        });
    }
    fold(left.into_iter().fold(0, u64::wrapping_add))
}

fn decisions(words: &[u32]) -> u32 {
    let weight = |n: u32| (n * 7919 + 13) % 30011;
    (0..1000u32).fold(1, |score, n| {
        let threshold = (n + 1).wrapping_mul(0x9e37_79b9) & 0x7fff_ffff;
        let above = words[n as usize * 37 % 64] > threshold;
        if above { score.wrapping_add(weight(n)) ^ weight(n + 500) } else { score }
    })
}

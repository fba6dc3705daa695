//! Random records.

use skep_random::random_test;

use skep_strace::fuzz::{call, records};
use skep_strace::table::calls;

#[test]
fn random_records() {
    random_test(|u| {
        let mut bytes: Vec<u8> = u.arbitrary()?;
        // Most random bytes are no record: many get a kind and a call that exist.
        let mut at = 1;
        while at + 120 < bytes.len() {
            let length = usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])) % 1024;
            let kind = u.int_in_range(0..=6_u8)?;
            let number = u.int_in_range(0..=470_u16)?;
            bytes[at + 2..at + 6].copy_from_slice(&[kind, 0, 0, 0]);
            bytes[at + 6..at + 8].copy_from_slice(&number.to_le_bytes());
            bytes[at + 8..at + 10].copy_from_slice(&[0, 0]);
            // Few threads, so that beginnings and ends meet.
            bytes[at + 18..at + 22].copy_from_slice(&[kind & 1, 0, 0, 0]);
            at += 2 + length;
        }
        records(&bytes);
        Ok(())
    })
    .budget_ms(1_000)
    .size_max(1 << 16);
}

#[test]
fn short_records() {
    for length in 0..300 {
        let mut bytes = vec![0xff; length + 3];
        bytes[1..3].copy_from_slice(&u16::try_from(length).unwrap().to_le_bytes());
        records(&bytes);
    }
}

#[test]
fn every_call_with_any_arguments() {
    let rounds = 60 * skep_random::asked_duration().map_or(1, |time| time.as_secs());
    let mut numbers: Vec<u32> = calls().keys().copied().collect();
    numbers.sort_unstable();
    for number in numbers {
        for round in 0..rounds {
            // A new sequence of numbers for each round, the same in every run (splitmix64).
            let mut state = u64::from(number) << 32 | round;
            let mut next = move || {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ mixed >> 31
            };
            call(&calls()[&number], &mut next);
        }
    }
}

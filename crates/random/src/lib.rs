//! Random tests that are the same in every run. Development only.
//!
//! A property reads random bytes, as the body of a fuzz target does. `cargo test` tries the same inputs in the same order
//! each time, for as long as the test's budget allows, so that what fails has been changed by somebody;
//! `SKEP_FUZZ_SECONDS` looks for what nobody knows yet: it is the budget of each random test in seconds, and begins with
//! inputs that no run has had, or with those of the number in `SKEP_FUZZ_SEED`. `ARBTEST_SEED` repeats one input, the
//! one that a failure has printed.
//!
//! ```
//! skep_random::random_test(|u| {
//!     let (a, b): (u32, u32) = u.arbitrary()?;
//!     assert_eq!(a.wrapping_add(b), b.wrapping_add(a));
//!     Ok(())
//! })
//! .budget_ms(10);
//! ```

use std::time::{Duration, Instant, SystemTime};

pub use arbtest::arbitrary::{Result, Unstructured};

/// Variable of the environment: how long each random test runs, in seconds.
const SECONDS: &str = "SKEP_FUZZ_SECONDS";
/// Variable of the environment: where the sequence of inputs begins.
const SEED: &str = "SKEP_FUZZ_SEED";
/// Variable of the environment that `arbtest` reads: the one input to try.
const ONE: &str = "ARBTEST_SEED";

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How long random tests run: what `SKEP_FUZZ_SECONDS` says, if it is set.
pub fn asked_duration() -> Option<Duration> {
    setting(SECONDS).map(Duration::from_secs)
}

/// Where the sequence of inputs begins: the same number in every run, unless `SKEP_FUZZ_SEED` says another or
/// `SKEP_FUZZ_SECONDS` asks for new ones.
pub fn first_seed() -> u64 {
    let new =
        || asked_duration().and_then(|_| SystemTime::UNIX_EPOCH.elapsed().ok()).map(|time| time.as_nanos() as u64);
    setting(SEED).or_else(new).unwrap_or(1)
}

/// The next number of a sequence without a short period (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A random test: runs when it is dropped.
pub struct RandomTest<P: FnMut(&mut Unstructured<'_>) -> Result<()>> {
    property: P,
    least: u32,
    most: u32,
    runs: u64,
    budget: Duration,
}

/// A test that asks a property about random inputs, 32 bytes to 64 KiB long, for a tenth of a second. A property that
/// answers with an error had too few bytes.
pub fn random_test<P: FnMut(&mut Unstructured<'_>) -> Result<()>>(property: P) -> RandomTest<P> {
    RandomTest { property, least: 32, most: 1 << 16, runs: 0, budget: Duration::from_millis(100) }
}

impl<P: FnMut(&mut Unstructured<'_>) -> Result<()>> RandomTest<P> {
    /// Bytes of the first inputs; later ones are longer.
    pub fn size_min(mut self, bytes: u32) -> Self {
        self.least = bytes;
        self
    }

    /// Bytes of the longest inputs.
    pub fn size_max(mut self, bytes: u32) -> Self {
        self.most = bytes;
        self
    }

    /// How many inputs are tried at least, however long that takes.
    pub fn runs_min(mut self, runs: u64) -> Self {
        self.runs = runs;
        self
    }

    /// How long the test runs unless `SKEP_FUZZ_SECONDS` says otherwise, in milliseconds.
    pub fn budget_ms(mut self, milliseconds: u64) -> Self {
        self.budget = Duration::from_millis(milliseconds);
        self
    }

    fn run(&mut self) {
        let property = &mut self.property;
        if std::env::var_os(ONE).is_some() {
            arbtest::arbtest(property).run();
            return;
        }
        let (start, budget) = (Instant::now(), asked_duration().unwrap_or(self.budget));
        let (mut state, mut size, mut tries) = (first_seed(), self.least, 0_u64);
        let (mut fits, mut short) = (false, None);
        while tries < self.runs || start.elapsed() < budget {
            // The upper half of a seed is what its bytes follow from, the lower half their number.
            let seed = (next(&mut state) | 1 << 32) & !u64::from(u32::MAX) | u64::from(size);
            let tried = |u: &mut Unstructured<'_>| {
                match property(u) {
                    Ok(()) => fits = true,
                    Err(error) => short = Some(error),
                }
                Ok(())
            };
            arbtest::arbtest(tried).seed(seed).run();
            tries += 1;
            if tries.is_multiple_of(3) {
                size = size.saturating_add(size / 4).min(self.most);
            }
        }
        if let (Some(error), false) = (short, fits) {
            panic!("no input had enough bytes: {error}");
        }
    }
}

impl<P: FnMut(&mut Unstructured<'_>) -> Result<()>> Drop for RandomTest<P> {
    fn drop(&mut self) {
        self.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first inputs of a test.
    fn inputs(count: usize) -> Vec<Vec<u8>> {
        let mut inputs = Vec::new();
        random_test(|u| {
            inputs.push(u.bytes(u.len())?.to_vec());
            Ok(())
        })
        .size_min(8)
        .size_max(20)
        .runs_min(50)
        .budget_ms(1);
        inputs.truncate(count);
        inputs
    }

    #[test]
    fn inputs_grow_differ_and_are_the_same_in_every_run() {
        if asked_duration().is_some() || std::env::var_os(ONE).is_some() {
            println!("SKIPPED: {SECONDS} or {ONE} asks for other inputs");
            return;
        }
        let first = inputs(50);
        assert_eq!(first, inputs(50));
        assert_eq!(first.len(), 50);
        let lengths: Vec<usize> = first.iter().map(Vec::len).collect();
        // Whole words: 8, 10, 12 and 15 bytes asked for.
        assert_eq!(lengths[..12], [8, 8, 8, 12, 12, 12, 12, 12, 12, 16, 16, 16]);
        assert_eq!(lengths[40..], [20; 10]);
        assert_ne!(first[0], first[1]);
    }

    #[test]
    #[should_panic(expected = "no input had enough bytes")]
    fn a_property_that_never_has_enough_is_no_test() {
        random_test(|u| u.bytes(1 << 20).map(drop)).budget_ms(5);
    }
}

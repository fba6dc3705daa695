//! Tells the interpreter whether the compiler turns calls in tail position into jumps: with any optimisation it does.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(tail_calls)");
    let optimised = std::env::var("OPT_LEVEL").is_ok_and(|level| level != "0");
    // Sanitizers and coverage put code behind calls; fuzzers are built with them.
    let instrumented = std::env::var("CARGO_ENCODED_RUSTFLAGS")
        .is_ok_and(|flags| ["sanitizer", "instrument-coverage", "sancov"].iter().any(|flag| flags.contains(flag)));
    if optimised && !instrumented {
        println!("cargo::rustc-cfg=tail_calls");
    }
}

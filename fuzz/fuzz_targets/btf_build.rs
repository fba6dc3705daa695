//! Types of any sort, copied and made unique.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    skep_btf::fuzz::build(data);
});

//! Types of any sort as C, as listings, and as the layout of values.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    skep_btf::fuzz::print(data);
    skep_btf::fuzz::values(data);
});

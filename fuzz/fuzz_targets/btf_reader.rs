//! Any bytes as type information and as the records that belong to it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    skep_btf::fuzz::blob(data);
    skep_btf::fuzz::ext(data);
});

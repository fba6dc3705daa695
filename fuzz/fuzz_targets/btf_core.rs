//! Any relocation against any types.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    skep_btf::fuzz::core(data);
});

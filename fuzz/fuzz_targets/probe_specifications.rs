//! Specifications of `trace`, `argdist` and their like.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        skep_lang_probe::fuzz::specifications(text);
    }
    skep_lang_probe::fuzz::reports(data);
});

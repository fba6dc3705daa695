//! The preprocessor of C.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    skep_lang_c::fuzz::preprocessor(data);
});

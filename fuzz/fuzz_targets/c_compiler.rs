//! The compiler of C, up to the intermediate representation.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    skep_lang_c::fuzz::compiler(data);
});

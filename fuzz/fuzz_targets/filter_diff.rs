//! Random pairs of classic programs through the equivalence check; its witnesses must hold in the interpreter.
#![no_main]

use skep_vm::classic::{Metadata, Program};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    skep_lang_filter::diff::fuzz::check(data, &|insns, packet| {
        let program = Program::new(insns).expect("the body makes valid programs only");
        program.run(packet, packet.len() as u32, &Metadata::default())
    });
});

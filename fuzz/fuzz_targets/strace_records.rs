//! Any bytes as records of system calls.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_strace::fuzz::records(data));

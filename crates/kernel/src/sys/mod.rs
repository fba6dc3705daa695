//! System calls with typed arguments. Errors leave this module as plain numbers and get their words elsewhere.

pub(crate) mod attr;
pub(crate) mod bpf;
pub(crate) mod ptrace;
pub(crate) mod socket;

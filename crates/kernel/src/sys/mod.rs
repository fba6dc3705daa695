//! System calls with typed arguments. Errors leave this module as plain numbers and get their words elsewhere.

pub(crate) mod attr;
pub(crate) mod bpf;
pub(crate) mod info;
pub(crate) mod layout;
pub(crate) mod link;
pub(crate) mod map;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod netlink;
pub(crate) mod object;
pub(crate) mod perf;
pub(crate) mod perf_ring;
pub(crate) mod program;
pub(crate) mod ptrace;
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod terminal;
pub(crate) mod wait;

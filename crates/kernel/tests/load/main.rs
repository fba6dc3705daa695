//! Loading and attaching whole objects of clang: the corpus of loaders, libbpf as the oracle, delivery, pins, refusals.
//!
//! Objects are kept in `target/objects`; on machines without clang (`cargo xtask vm`, which takes them along) the tests
//! read them from there.

#[path = "../common/mod.rs"]
mod common;
#[path = "../attach/support.rs"]
#[allow(dead_code, reason = "the tests of attaching use all of it")]
mod support;

mod coverage;
mod delivery;
mod hooks;
mod killed;
mod objects;
mod pins;
mod refused;
mod session;
mod struct_ops;
mod targets;
mod translated;

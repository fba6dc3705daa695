//! Both BPF instruction sets as tables.
//!
//! [`classic`] is the 32-bit accumulator machine of `SO_ATTACH_FILTER` and tcpdump.
//!
//! This crate knows numbers and notation. It runs nothing and asks the machine nothing.

pub mod classic;
pub mod ebpf;
pub mod helpers;
mod release;
pub mod translate;
mod types;

pub use release::Release;
pub use types::{MapType, ProgType};

//! Both BPF instruction sets as tables.
//!
//! [`classic`] is the 32-bit accumulator machine of `SO_ATTACH_FILTER` and tcpdump.
//!
//! This crate knows numbers and notation. It runs nothing and asks the machine nothing.

pub mod classic;

//! The pcap-filter language.

pub mod ast;

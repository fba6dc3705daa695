//! Numbers and names of network protocols and link types: facts shared by compilers, decoders and printers.

pub mod link;
pub mod numbers;
pub use link::LinkType;

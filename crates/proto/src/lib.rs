//! Numbers and names of network protocols and link types: facts shared by compilers, decoders and printers.

pub mod link;
pub use link::LinkType;

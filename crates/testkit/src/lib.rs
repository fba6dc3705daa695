//! Packets, filter expressions and oracles for the tests of the other crates. Development only.
//!
//! The pieces fit together like this: [`packets()`] makes a few thousand packets of a link type, [`mod@corpus`] holds
//! the expressions that make sense for it, [`Tcpdump`] says which packets each expression keeps, and [`independent`]
//! runs printed programs without sharing code with the crates under test.
//!
//! ```
//! use skep_proto::LinkType;
//! use skep_testkit::{independent, packets};
//!
//! let listing = "(000) ldh [12]\n(001) jeq #0x800 jt 2 jf 3\n(002) ret #262144\n(003) ret #0\n";
//! let program = independent::Program::read(listing, independent::Format::Listing)?;
//! let list = packets(LinkType::EN10MB, 1000, 1);
//! let kept = list.iter().filter(|packet| {
//!     let input = independent::Input::recorded(&packet.data, packet.orig_len);
//!     matches!(program.run(&input), Ok((value, _)) if value > 0)
//! });
//! assert!((100..900).contains(&kept.count()));
//! # Ok::<(), independent::Fault>(())
//! ```
//!
//! Guarantees:
//! - packets and random expressions depend on their arguments only, never on the machine;
//! - every corpus expression is our own, and tcpdump accepts it for the link types that its file names;
//! - oracles never guess: a tool that is missing is reported as missing.

pub mod clang;
pub mod conformance;
pub mod corpus;
pub mod expr;
pub mod independent;
pub mod packets;
mod rng;
pub mod selftests;
pub mod sources;
pub mod tcpdump;

pub use corpus::{Entry, corpus};
pub use expr::random_expr;
pub use packets::{LINKS, TestPacket, packets};
pub use rng::Rng;
pub use tcpdump::{Recording, Tcpdump};

//! The pcap-filter language.

pub mod ast;
pub mod diff;
pub mod explain;
pub mod fuzz;
mod lex;
pub mod names;
pub mod parse;
mod suggest;

mod compile;
mod emit;
mod factor;
mod formula;
mod generate;
mod graph;
mod hash;
pub mod options;
mod ranges;
mod tables;
mod thread;
mod value;

pub use compile::{Filter, compile, compile_ast};
pub use generate::layout::supported_links;
pub use options::{Compat, Live, Options};

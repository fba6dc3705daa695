//! The pcap-filter language: expressions to classic BPF programs, and to 64-bit programs where those are too small.
//!
//! ```
//! use skep_isa::classic::{PadStyle, listing};
//! use skep_lang_filter::{Options, compile, names::FixedResolver};
//!
//! let filter = compile("ip and udp port 53", &Options::default(), &FixedResolver::new()).unwrap();
//! assert!(listing(&filter.program, PadStyle::V1_11).starts_with("(000) ldh      [12]"));
//!
//! let errors = compile("tcp port http and and", &Options::default(), &FixedResolver::new()).unwrap_err();
//! assert_eq!(errors[0].span.range(), 18..21);
//! ```
//!
//! The way of an expression: text, [`ast`], formula, decision graph, instructions.
//!
//! | module | from | to |
//! |---|---|---|
//! | `lex`, [`parse`] | text | syntax tree, with places |
//! | `generate` | syntax tree, link type, [`names`] | formula: ordered and/or over tests of packet values |
//! | `factor` | formula | formula with lists of alternatives as switches |
//! | `graph` | formula | decision graph |
//! | `thread` | decision graph | the same with known branches skipped |
//! | `tables` | decision graph | the same with large switches as look-ups, for 64-bit programs |
//! | `emit` | decision graph | classic instructions |
//!
//! [`diff`] decides whether two programs accept the same packets, [`explain`] says what a program does.
//!
//! Guarantees:
//! - An optimised program gives every packet the verdict of libpcap's *unoptimised* one, packets cut short included. The
//!   exceptions are the cases where libpcap itself is wrong (docs/filter.md lists them) and lists of more than 256
//!   compound alternatives (from 129 `ip6 host` on), where a packet that ends inside the addresses may be judged otherwise.
//! - Same expression, same options, same answers of the resolver: same program, on every machine.
//! - No expression panics or exhausts the stack; work is close to linear in the length of the expression.

pub mod ast;
pub mod diff;
pub mod explain;
pub mod fuzz;
pub mod names;
pub mod options;
pub mod parse;

mod compile;
mod emit;
mod factor;
mod formula;
mod generate;
mod graph;
mod hash;
mod lex;
mod ranges;
mod suggest;
mod tables;
mod thread;
mod value;

pub use compile::{Filter, compile, compile_ast};
pub use generate::layout::supported_links;
pub use options::{Compat, Live, Options};

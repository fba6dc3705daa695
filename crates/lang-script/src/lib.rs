//! The script language: bpftrace's language, compiled to the intermediate representation and to a plan for the host.
//!
//! What lives here: lexer, parser, types, lowering; the tables of probe types and builtins; the [`plan`] that says what
//! the host has to attach, and what records and maps mean. Running the plan (attaching, decoding, printing) is done by
//! `skep-trace`. Nothing here asks the running machine anything, except through traits that the caller fills.

pub mod ast;
pub mod builtins;
pub mod check;
pub mod compile;
pub mod consts;
pub mod ctypes;
pub mod desugar;
pub mod foreign;
pub mod format;
pub mod fuzz;
pub mod infer;
pub mod lex;
pub mod lower;
pub mod parse;
pub mod plan;
pub mod providers;
pub mod reference;
pub mod registers;
pub mod settings;
pub mod types;
pub mod visit;
pub mod words;

pub use compile::{Compiled, Environment, Facts, NoFacts, Switches, compile, compile_some};
pub use desugar::{Desugared, Options, desugar};
pub use format::{format, format_expr, format_text};
pub use parse::{parse, parse_expr, parse_type};

//! The restricted C of BPF programs: C11 with the extensions of GNU and clang that such programs use, compiled to the
//! intermediate representation.
//!
//! What lives here: sources with places through macro expansion ([`source`]), the lexer ([`lex`]), the preprocessor
//! ([`pp`]) with the headers that programs expect ([`headers`]), where types come from that no header declares
//! ([`provider`]), the parser, checks, and lowering ([`compile`]). Making an object, loading it and asking the running
//! machine are done by others; files come through the trait [`source::FileSource`].

#[doc(hidden)]
pub mod fuzz;
pub mod headers;
mod konst;
pub mod lex;
mod lower;
pub mod options;
mod parse;
pub mod pp;
pub mod provider;
mod sema;
pub mod source;
mod types;
pub mod unit;

pub use lower::compile;
pub use options::Options;
pub use unit::Unit;

//! The restricted C of BPF programs: C11 with the extensions of GNU and clang that such programs use, compiled to the
//! intermediate representation.
//!
//! What lives here: sources with places through macro expansion ([`source`]), the lexer ([`lex`]), the preprocessor with
//! the headers that programs expect, and where types come from that no header declares ([`provider`]). Making an object,
//! loading it and asking the running machine are done by others; files come through the trait [`source::FileSource`].

pub mod lex;
pub mod options;
pub mod provider;
pub mod source;

pub use options::Options;

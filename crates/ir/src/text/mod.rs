//! The text form: printer and parser.
//!
//! `Display` of [`Module`](crate::Module) prints all of a module, [`parse`] reads it back: what is printed and read
//! prints the same again. `Display` of [`Function`](crate::Function), [`Function::display`](crate::Function::display) and
//! `Display` of instructions print parts. The crate documentation has an example.
//!
//! One line is one item or instruction; empty lines and comments (`;` to the end of the line) may stand everywhere. A
//! comment `; @source:line:column` behind an instruction is its place. Items of a module, in any order:
//! ```text
//! license "GPL"
//! map m0 @name = TYPE key SIZE value SIZE entries COUNT [flags BITS] [types KEY, VALUE] [{ entry "hex" = "hex", inner @name = ... }]
//! global g0 @name in "section" align N [type ID] = "hex" | zero SIZE
//! core c0 = KIND type ID access "0:1" local NUMBER
//! kfunc k0 @name [weak]
//! func f0 @name: KIND [type ID] [inline always | never] [-> TYPE] {   slots, then blocks, then } on a line
//! source "name" "text"
//! btf "hex"
//! ```
//! The kind of a function is `static`, `global`, `callback` or
//! `program TYPE "section" [attach TYPE] [flags BITS]`, with the names of `skep_isa`. Parameters of the function are those
//! of its first block.

mod cursor;
mod inst;
mod lex;
mod parse;
mod print;

use std::fmt;

pub use parse::parse;
pub use print::InstText;

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// What was expected.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Whether a name of only such characters needs no quotes.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}

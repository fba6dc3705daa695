//! From characters to tokens.
//!
//! What lives here: the tokens of the parser ([`token`]), those of the preprocessor ([`raw`]) with the lexer that reads
//! them from the text of a file ([`lexer`]), and the values of character constants and strings ([`literals`]). What
//! tokens mean for the preprocessor does not live here.

pub mod lexer;
pub mod literals;
pub mod raw;
pub mod token;

pub use token::{CharTy, Keyword, PackPragma, Pragma, Punct, Token, TokenFlags, TokenKind};

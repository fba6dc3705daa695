//! From characters to tokens.
//!
//! What lives here: the tokens ([`token`]) and the lexer that reads them from the text of a file. What tokens mean for the
//! preprocessor does not live here.

pub mod token;

pub use token::{CharTy, Keyword, PackPragma, Pragma, Punct, Token, TokenFlags, TokenKind};

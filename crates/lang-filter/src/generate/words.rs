//! Protocol words as they are written, for messages, and the names of `ether proto`.

use crate::ast::Proto;
use crate::lex::words::{WORDS, Word};

/// How a protocol is written.
pub(super) fn proto_word(proto: Proto) -> &'static str {
    if proto == Proto::Link {
        return "ether";
    }
    WORDS.iter().find(|(_, word)| *word == Word::Proto(proto)).map_or("this protocol", |(text, _)| text)
}

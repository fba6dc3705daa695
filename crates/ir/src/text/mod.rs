//! The text form: printer and parser.

mod print;

pub use print::InstText;

/// Whether a name of only such characters needs no quotes.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}

//! Bodies of fuzz targets: any bytes give a result or messages, never a panic.

use crate::options::Options;
use crate::pp::{MainFile, preprocess, preprocess_to_text};
use crate::source::{Diags, NoFiles, Sources};

/// Preprocesses the bytes; what comes out as text comes out of itself again.
pub fn preprocessor(data: &[u8]) {
    let options = Options::default();
    let main = MainFile { name: "fuzz.c", text: data };
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let tokens = preprocess(&main, &options, &NoFiles, &mut sources, &mut diags);
    assert!(tokens.last().is_some_and(|token| token.kind == crate::lex::TokenKind::Eof), "the end is missing");
    let _ = diags.render(&sources, false);
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let _ = preprocess_to_text(&main, &options, &NoFiles, &mut sources, &mut diags);
}

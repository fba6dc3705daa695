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

/// Compiles the bytes: what is accepted follows the rules of the representation, but for what the kernel's stack holds.
pub fn compiler(data: &[u8]) {
    let options = Options::default();
    let main = MainFile { name: "fuzz.c", text: data };
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let tokens = preprocess(&main, &options, &NoFiles, &mut sources, &mut diags);
    if diags.has_errors() {
        return;
    }
    let unit = crate::compile(&tokens, &sources, &mut crate::provider::NoTypes::new(), &options, &mut diags);
    assert!(unit.is_some() != diags.has_errors(), "a unit, or errors");
    let _ = diags.render(&sources, false);
    let Some(unit) = unit else { return };
    if let Err(violations) = skep_ir::verify(&unit.module) {
        let broken = violations.iter().find(|violation| !is_limit(&violation.message));
        assert!(broken.is_none(), "{}\n{}", broken.map_or(String::new(), ToString::to_string), unit.module);
    }
}

/// What only the whole program can break: frames that call each other, and the stack that they take.
fn is_limit(message: &str) -> bool {
    ["objects on the stack take", "functions call each other", "calls itself"].iter().any(|text| message.contains(text))
}

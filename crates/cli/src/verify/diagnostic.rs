//! A refusal as a diagnostic of the language that the program was written in: the source line with a caret, the values, the
//! path, and what to change.

use skep_diag::{Diagnostic, Severity, Span, render_from};
use skep_isa::ebpf::InsnIdx;
use skep_object::{Line, Program};
use skep_verifier::Rejection;
use skep_verifier::noted::Noted;
use skep_verifier::suggest::Advice;

use super::explain::{changes, details, place};

/// What is drawn about a refusal.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// The program and the kernels that refuse it, in words.
    pub title: &'a str,
    /// How grave it is.
    pub severity: Severity,
    /// The program.
    pub program: &'a Program,
    /// Why it is refused.
    pub rejection: &'a Rejection,
    /// What is known at its instructions.
    pub noted: &'a Noted,
    /// What to do about it.
    pub advice: &'a Advice,
}

impl Refusal<'_> {
    /// The diagnostic as text. Programs whose source is not known have the instruction in place of the source line.
    pub fn draw(&self, colour: bool) -> String {
        let headline = format!("{}: {}", self.title, self.rejection.reason);
        let help = self.rejection.reason.help();
        let at = self.rejection.at;
        let mut text = match self.program.line_of(InsnIdx::new(at as usize)).filter(|line| line.line > 0) {
            Some(line) => {
                let diagnostic = Diagnostic { severity: self.severity, ..Diagnostic::error(span(line), headline) };
                let diagnostic = if help.is_empty() { diagnostic } else { diagnostic.with_help(help) };
                render_from(&diagnostic, &line.file, line.line, &line.text, colour)
            }
            None => {
                let level = if self.severity == Severity::Error { "error" } else { "warning" };
                let mut text = format!("{level}: {headline}\n");
                place(&mut text, self.program, at);
                if !help.is_empty() {
                    text.push_str(&format!("  help: {help}\n"));
                }
                text
            }
        };
        details(&mut text, self.program, self.rejection, self.noted, self.advice);
        changes(&mut text, self.advice);
        text
    }
}

/// What stands at the column of a line: a name with its members, or a sign; the whole line if there is no column.
fn span(line: &Line) -> Span {
    let bytes = line.text.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let word = |at: usize| bytes[at..].iter().take_while(|byte| is_word(byte)).count();
    let operator = |at: usize| match &bytes[at..] {
        [b'-', b'>', ..] => 2,
        [b'.', ..] => 1,
        _ => 0,
    };
    let column = usize::from(line.column).checked_sub(1).filter(|column| *column < bytes.len());
    let Some(column) = column else {
        let indented = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        return Span::new(indented as u32, bytes.len() as u32);
    };
    let mut start = column;
    // A call is shown by the name of its function.
    let calls = bytes[column] == b'(';
    if calls || operator(column) > 0 {
        start -= bytes[..column].iter().rev().take_while(|byte| is_word(byte)).count();
    }
    let mut end = column;
    loop {
        let part = operator(end) + word(end + operator(end));
        end += part;
        if part == 0 || operator(end) == 0 {
            break;
        }
    }
    if !(calls && start < column) {
        end = end.max(column + 1);
    }
    // Lines are cut at 1,024 bytes.
    Span::new(start as u32, end as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_words() {
        let at = |column: u16, text: &str| {
            let line = Line { at: InsnIdx::new(0), file: "f.c".into(), line: 1, column, text: text.into() };
            text.get(span(&line).range()).map(str::to_owned)
        };
        let text = "\treturn ip->daddr + a.b[7];";
        assert_eq!(at(2, text).as_deref(), Some("return"));
        assert_eq!(at(11, text).as_deref(), Some("ip->daddr"));
        assert_eq!(at(22, text).as_deref(), Some("a.b"));
        assert_eq!(at(19, text).as_deref(), Some("+"));
        assert_eq!(at(0, text).as_deref(), Some("return ip->daddr + a.b[7];"));
        assert_eq!(at(9, text).as_deref(), Some("ip->daddr"));
        assert_eq!(at(900, "  x y").as_deref(), Some("x y"));
        assert_eq!(at(0, "   ").as_deref(), Some(""));
        assert_eq!(at(1, "->").as_deref(), Some("->"));
        assert_eq!(at(2, "f(1)").as_deref(), Some("f"));
        assert_eq!(at(3, "f((a)b)").as_deref(), Some("("));
    }
}

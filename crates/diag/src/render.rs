//! Drawing a diagnostic: message, source line with a caret, remedies.
//!
//! The drawing itself is done by annotate-snippets. It is given only the lines around the span, cut to a bounded
//! length and without control characters, so that a generated expression of a megabyte or a hostile file name can
//! neither flood nor control the terminal.

use crate::{Diagnostic, Severity};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::ops::Range;

/// Characters shown before the span, of the span, and after it in lines that are too long.
const BEFORE: usize = 60;
const INSIDE: usize = 60;
const AFTER: usize = 30;

/// Lines up to this many characters are shown whole.
const WHOLE_LINE: usize = 160;

/// Lines of a span that are shown.
const MAX_LINES: usize = 5;

/// Messages, labels and remedies longer than this many characters are cut.
const MAX_MESSAGE: usize = 1000;

/// Stands for text that was cut.
const CUT: &str = "...";

/// A part of the source as it is shown.
struct View {
    text: String,
    /// The span within `text`.
    span: Range<usize>,
    /// Line and column of the beginning of the span in the whole source, both from 1; the column counts characters.
    line: usize,
    column: usize,
}

/// Draws `diagnostic` about `source_text`, which the reader knows as `source_name`, in one or more lines, each with a
/// line end. A span that does not fit into the text is moved into it.
#[must_use]
pub fn render(diagnostic: &Diagnostic, source_name: &str, source_text: &str, colour: bool) -> String {
    render_from(diagnostic, source_name, 1, source_text, colour)
}

/// As [`render`], of a source of which only some lines are at hand: `source_text` begins with the line of the number
/// `first_line`, counted from 1.
#[must_use]
pub fn render_from(
    diagnostic: &Diagnostic,
    source_name: &str,
    first_line: u32,
    source_text: &str,
    colour: bool,
) -> String {
    let mut view = View::new(source_text, diagnostic.span.range());
    view.line = view.line.saturating_add(first_line.saturating_sub(1) as usize);
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let label = message(&diagnostic.label);
    let annotation = AnnotationKind::Primary.span(view.span.clone());
    let annotation = if label.is_empty() { annotation } else { annotation.label(label.as_str()) };
    let snippet = Snippet::source(view.text.as_str()).line_start(view.line).annotation(annotation);
    let helps = diagnostic.help.iter().map(|help| Level::HELP.message(message(help)));
    let group = level.primary_title(message(&diagnostic.message)).element(snippet).elements(helps);
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    // The lines are short enough already; a second cut would hide the caret.
    let width = WHOLE_LINE + BEFORE + INSIDE + AFTER + MAX_MESSAGE;
    let drawn = renderer.decor_style(DecorStyle::Ascii).term_width(width).render(&[group]);
    // The place is added here because annotate-snippets would count the column in the cut line.
    let (title, rest) = drawn.split_once('\n').unwrap_or((&drawn, ""));
    let indent = " ".repeat(view.line.to_string().len());
    let arrow = if colour { "\x1b[1m\x1b[94m-->\x1b[0m" } else { "-->" };
    format!("{title}\n{indent}{arrow} {}:{}:{}\n{rest}\n", message(source_name), view.line, view.column)
}

impl View {
    fn new(source: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(source, span.start);
        let end = floor_boundary(source, span.end).max(start);
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = source[..line_start].bytes().filter(|&c| c == b'\n').count() + 1;
        let column = source[line_start..start].chars().count() + 1;
        let mut text = String::new();
        let mut shown = 0..0;
        let mut at = line_start;
        for (index, raw) in source[line_start..].split('\n').take(MAX_LINES).enumerate() {
            if index > 0 {
                if at > end || end == start {
                    break;
                }
                text.push('\n');
            }
            let part = start.clamp(at, at + raw.len()) - at..end.clamp(at, at + raw.len()) - at;
            let placed = push_line(&mut text, raw.strip_suffix('\r').unwrap_or(raw), part);
            if index == 0 {
                shown.start = placed.start;
            }
            shown.end = placed.end;
            at += raw.len() + 1;
        }
        Self { text, span: shown, line, column }
    }
}

/// Appends `line`, cut if it is long, and says where `part` of it is in `text` now.
fn push_line(text: &mut String, line: &str, part: Range<usize>) -> Range<usize> {
    let part = part.start.min(line.len())..part.end.min(line.len());
    let (before, inside, after) = (&line[..part.start], &line[part.clone()], &line[part.end..]);
    let long = line.chars().nth(WHOLE_LINE).is_some();
    if !long {
        push_visible(text, before);
        let start = text.len();
        push_visible(text, inside);
        let end = text.len();
        push_visible(text, after);
        return start..end;
    }
    let skip = before.char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
    if skip > 0 {
        text.push_str(CUT);
    }
    push_visible(text, &before[skip..]);
    let start = text.len();
    let inside_cut = push_prefix(text, inside, INSIDE);
    let end = text.len();
    if !inside_cut {
        push_prefix(text, after, AFTER);
    }
    start..end
}

/// Appends at most `max` characters; whether some were left out.
fn push_prefix(text: &mut String, part: &str, max: usize) -> bool {
    match part.char_indices().nth(max) {
        Some((end, _)) => {
            push_visible(text, &part[..end]);
            text.push_str(CUT);
            true
        }
        None => {
            push_visible(text, part);
            false
        }
    }
}

fn push_visible(text: &mut String, part: &str) {
    text.extend(part.chars().map(visible));
}

/// A message without control characters and of bounded length.
fn message(text: &str) -> String {
    let mut shown = String::new();
    push_prefix(&mut shown, text, MAX_MESSAGE);
    shown
}

/// Control characters as the pictures of Unicode's block for them; characters that change the direction of the text,
/// or have no width, as the replacement character.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The last character boundary that is not after `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    fn plain(span: Range<u32>, source: &str) -> String {
        let error = Diagnostic::error(Span::new(span.start, span.end), "wrong").with_label("here").with_help("do this");
        render(&error, "filter", source, false)
    }

    #[test]
    fn one_line() {
        let expected = "\
error: wrong
 --> filter:1:5
  |
1 | tcp prt 80
  |     ^^^ here
  |
  = help: do this
";
        assert_eq!(plain(4..7, "tcp prt 80"), expected);
    }

    #[test]
    fn the_end_of_the_text_and_an_empty_text() {
        assert!(plain(4..4, "tcp ").contains("1 | tcp \n  |     ^ here"), "{}", plain(4..4, "tcp "));
        assert!(plain(0..0, "").contains("filter:1:1"));
    }

    #[test]
    fn later_lines_keep_their_numbers() {
        let text = plain(9..12, "one\ntwo\n three\nfour");
        assert!(text.contains("--> filter:3:2\n"), "{text}");
        assert!(text.contains("3 |  three\n  |  ^^^ here"), "{text}");
        assert!(!text.contains("two") && !text.contains("four"));
    }

    #[test]
    fn a_single_line_keeps_its_number() {
        let error = Diagnostic::error(Span::new(7, 10), "wrong");
        let text = render_from(&error, "f.c", 31, "return *at;", false);
        assert!(text.contains("--> f.c:31:8\n") && text.contains("31 | return *at;\n   |        ^^^"), "{text}");
        assert!(render_from(&error, "f.c", u32::MAX, "return *at;", false).contains("f.c:4294967295:8"));
    }

    #[test]
    fn spans_over_lines_show_a_few_of_them() {
        let source = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let text = plain(2..16, source);
        assert!(text.contains("2 | / b") && text.contains("6 | | f"), "{text}");
        assert!(!text.contains("7 |"), "{text}");
    }

    #[test]
    fn long_lines_are_cut_around_the_span() {
        let source =
            (0..50_000).map(|n| format!("host 10.0.{}.{}", n / 256 % 256, n % 256)).collect::<Vec<_>>().join(" or ");
        let at = u32::try_from(source.find("10.0.9.9").unwrap()).unwrap();
        let text = plain(at..at + 8, &source);
        assert!(text.len() < 1000, "{} bytes", text.len());
        assert!(text.contains(&format!("filter:1:{}", at + 1)));
        let lines: Vec<&str> = text.lines().collect();
        let column = lines[3].find("10.0.9.9").unwrap();
        assert_eq!(lines[4].find('^'), Some(column), "{text}");
        assert!(lines[3].contains("| ...") && lines[3].ends_with("..."), "{text}");
        // A span as long as the whole text is cut, too.
        let text = plain(0..u32::try_from(source.len()).unwrap(), &source);
        assert!(text.len() < 1000, "{text}");
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        let source = "a\x1b[31m\tb\r\u{202e}c\u{7f}\u{9b}";
        let error = Diagnostic::error(Span::new(0, 1), "m\x1b\nn").with_help("h\x07");
        let text = render(&error, "f\x1bg", source, false);
        assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')), "{text:?}");
        assert!(text.contains("\u{241b}[31m b"), "{text}");
    }

    #[test]
    fn spans_that_do_not_fit_are_moved() {
        for (start, end) in [(3, 1), (1, 2), (2, 900), (900, 901), (u32::MAX, 0)] {
            let text = plain(start..end, "a\u{e9}b\r\nc");
            assert!(text.contains("wrong"), "{text}");
        }
    }

    #[test]
    fn colours_only_if_asked_for() {
        let error = Diagnostic::warning(Span::new(0, 1), "careful");
        assert!(render(&error, "f", "x", true).contains("\x1b["));
        assert!(!render(&error, "f", "x", false).contains('\x1b'));
        assert!(render(&error, "f", "x", false).starts_with("warning: careful\n"));
    }
}

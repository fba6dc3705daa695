//! A rules file in one form, comments kept.

use super::lex::lines;
use super::{RuleSet, parse_rule};

/// Every line that is a rule in the form in which rules are printed, comments behind two spaces; blank lines, comments,
/// sets, zones and defaults as they are, without space at their ends. The text has to be free of errors.
pub fn layout_of(text: &str) -> String {
    let mut result = String::new();
    for line in text.lines() {
        let end = comment(line);
        let (statement, comment) = (line[..end].trim_ascii(), line[end..].trim_end());
        let formed = one_rule(statement).unwrap_or_else(|| statement.to_owned());
        let gap = if formed.is_empty() || comment.is_empty() { "" } else { "  " };
        // What goes on in braces keeps its indentation.
        let indent = if one_rule(statement).is_none() && line.starts_with(char::is_whitespace) && !statement.is_empty()
        {
            "    "
        } else {
            ""
        };
        result.push_str(&format!("{indent}{formed}{gap}{comment}\n"));
    }
    result
}

/// Where the comment of a line begins: at the first `#` that is not in quotes.
fn comment(line: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, char) in line.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

/// A rule that stands in one line, printed.
fn one_rule(statement: &str) -> Option<String> {
    let mut errors = Vec::new();
    let pieces = lines(statement, &mut errors);
    if pieces.len() != 1 || !errors.is_empty() {
        return None;
    }
    // Any set that is named counts as defined: the whole file has been read already.
    let mut context = RuleSet::default();
    for name in
        statement.split(|c: char| c.is_whitespace() || c == ',' || c == '{').filter_map(|word| word.strip_prefix('@'))
    {
        context.sets.insert(name.trim_end_matches('}').to_owned(), Vec::new());
    }
    parse_rule(statement, &context).ok().map(|rule| rule.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn rules_get_one_form_and_comments_stay() {
        let text = "# head\nset a = {\n  10.0.0.0/8, # lan\n}\n\ndrop   in from { 10.0.0.1 }   # bad \"one\nlog \"#1\" accept\n";
        let expected =
            "# head\nset a = {\n    10.0.0.0/8,  # lan\n}\n\ndrop in from 10.0.0.1  # bad \"one\nlog \"#1\" accept\n";
        assert_eq!(super::layout_of(text), expected);
        assert_eq!(super::layout_of(expected), expected);
    }
}

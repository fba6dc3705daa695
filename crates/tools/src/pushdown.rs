//! Conditions of `--where` in the kernel: what is known where a row is made decides whether it is sent at all.
//!
//! ```text
//! print((pid = pid, err = $e, path = $p));       --where 'err == 2 && path ~ etc'
//!   --> if ((($e) == 2)) { print((pid = pid, err = $e, path = $p)); }
//! ```
//!
//! Comparisons of columns with whole numbers from 0 on are taken over, and what is made of them by `&&`, `||` and `!`. The
//! condition in the kernel is never narrower than what was asked for: rows that come are still compared. Whether the columns
//! are numbers the compiler knows; a text that it refuses is of no use.

use skep_lang_script::ast::{Expr, ExprKind, Span};
use skep_lang_script::visit::{Visitor, walk_expr, walk_script};

use crate::condition::Condition;

/// The script with the conditions around its rows; `None` if there is nothing that it could ask. `fields` are the columns
/// that the conditions are about.
pub fn push(text: &str, fields: &[&str], conditions: &[Condition]) -> Option<String> {
    if conditions.is_empty() {
        return None;
    }
    let (mut script, _) = skep_lang_script::parse(text);
    let mut found = Rows(Vec::new());
    walk_script(&mut found, &mut script);
    found.0.sort_by_key(|row| std::cmp::Reverse(row.span.start));
    let mut pushed = text.to_owned();
    let mut changed = false;
    for row in &found.0 {
        let (start, end) = (row.span.start as usize, row.span.end as usize);
        // Only whole statements.
        let Some(rest) = text.get(end..).filter(|rest| rest.trim_start().starts_with(';')) else { continue };
        let value = |field: usize| row.value(text, fields.get(field)?);
        let asked: Vec<String> = conditions.iter().filter_map(|condition| condition.in_script(&value)).collect();
        if asked.is_empty() {
            continue;
        }
        let behind = end + rest.find(';').map_or(0, |at| at + 1);
        let statement = format!("if ({}) {{ {}; }}", asked.join(" && "), &text[start..end]);
        pushed.replace_range(start..behind, &statement);
        changed = true;
    }
    changed.then_some(pushed)
}

/// The places at which rows are printed.
struct Rows(Vec<Row>);

struct Row {
    span: Span,
    /// Names of the fields with their places.
    names: Vec<(String, Span)>,
}

impl Visitor for Rows {
    fn expr(&mut self, expr: &mut Expr) {
        if let ExprKind::Call { name, args } = &expr.node
            && &*name.node == "print"
            && let [Expr { node: ExprKind::Record(fields), .. }] = args.as_slice()
        {
            let names = fields.iter().map(|(name, _)| (name.node.to_string(), name.span)).collect();
            self.0.push(Row { span: expr.span, names });
        }
        walk_expr(self, expr);
    }
}

impl Row {
    /// What the script has behind the name of a field; `None` if asking twice would do something twice.
    fn value(&self, text: &str, field: &str) -> Option<String> {
        let at = self.names.iter().position(|(name, _)| name == field)?;
        let start = self.names[at].1.end as usize;
        let whole = match self.names.get(at + 1) {
            Some((_, next)) => text.get(start..next.start as usize)?.trim_end().strip_suffix(',')?,
            None => {
                let call = text.get(start..self.span.end as usize)?.trim_end().strip_suffix(')')?;
                call.trim_end().strip_suffix(')')?
            }
        };
        let value = whole.trim().strip_prefix('=')?.trim();
        (!value.contains("++") && !value.contains("--")).then(|| value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[&str] = &["pid", "err", "path", "ns"];
    const TEXT: &str = "macro m($e) {\n  print((pid = pid, err = ($e), path = str($p), ns = nsecs - @s[tid]));\n}\n\
                        begin { print((pid = @n++, err = 1)) ; print(@n); }\n";

    fn pushed(condition: &str) -> Option<String> {
        push(TEXT, FIELDS, &[Condition::parse(condition, FIELDS).unwrap()])
    }

    #[test]
    fn comparisons_with_numbers_stand_around_rows() {
        let text = pushed("err == 2 && path ~ etc && ns >= 1.5ms").unwrap();
        assert!(
            text.contains("  if ((((($e)) == 2) && ((nsecs - @s[tid]) >= 1500000))) { print((pid = pid, err = ($e), "),
            "{text}"
        );
        assert!(text.contains("begin { if ((((1) == 2))) { print((pid = @n++, err = 1)); } print(@n); }"), "{text}");
        let (_, problems) = skep_lang_script::parse(&text);
        assert!(problems.is_empty(), "{problems:?}");
        // What has an effect is not asked twice.
        let text = pushed("pid in (1, 2) || !(pid > 9)").unwrap();
        assert!(text.contains("if ((((pid) == 1 || (pid) == 2) || !((pid) > 9))) { print((pid = pid,"), "{text}");
        assert!(text.contains("begin { print((pid = @n++, err = 1)) ;"), "{text}");
    }

    #[test]
    fn what_the_kernel_cannot_know_is_left() {
        for condition in ["path ~ etc", "path == 5x", "err == 1 || path ~ x", "!(err == 1 && path ~ x)", "err > -1"] {
            assert_eq!(pushed(condition), None, "{condition}");
        }
        assert_eq!(push(TEXT, FIELDS, &[]), None);
    }
}

//! Reads rules files. Every faulty line gives its error; the others are read all the same.

mod conditions;
mod special;

use skep_diag::{Diagnostic, Span};

use super::lex::{Piece, Token, lines};
use super::special::{MOST_CONDITIONS, conditions as conditions_of};
use super::words;
use super::{Action, Limit, Matches, Prefix, Reply, Rule, RuleSet, Verdict};
use crate::resolve::is_name;
use conditions::complete;

/// Bytes of the payload that rules can look at.
pub const PAYLOAD_BYTES: usize = 64;
/// The longest text of a log.
const LONGEST_LOG: usize = 64;

/// Reads the files that sets are in: from the name to the text, or to what is wrong.
pub type ReadFile<'r> = &'r dyn Fn(&str) -> Result<String, String>;

/// Reads a whole rules file.
///
/// # Errors
/// Everything that is wrong, in the order of the text.
pub fn parse(text: &str, read: ReadFile<'_>) -> Result<RuleSet, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut rules = RuleSet::default();
    let mut references = Vec::new();
    for pieces in lines(text, &mut errors) {
        let mut line = Line { pieces: &pieces, at: 0, references: &mut references };
        if let Err(error) = line.statement(&mut rules, read) {
            errors.push(*error);
        }
    }
    for reference in references {
        errors.extend(reference.problem(&rules));
    }
    rules.conditions = conditions_of(&rules);
    if let Some(last) = rules.conditions.get(MOST_CONDITIONS) {
        let rule = rules.rules.iter().find(|rule| rule.matches.conditions.contains(last));
        let message = format!(
            "a list may have {MOST_CONDITIONS} different expressions, hours and owners; this rule has one more: `{last}`"
        );
        errors.push(Diagnostic::error(rule.map_or(Span::new(0, 0), |rule| rule.span), message));
    }
    errors.sort_by_key(|error| error.span.start);
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

/// Reads one rule, which may use the sets and zones of `context`.
///
/// # Errors
/// What is wrong.
pub fn parse_rule(text: &str, context: &RuleSet) -> Result<Rule, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut references = Vec::new();
    let all = lines(text, &mut errors);
    let mut read = None;
    for pieces in &all {
        let mut line = Line { pieces, at: 0, references: &mut references };
        match line.rule() {
            Ok(rule) if read.is_none() => read = Some(rule),
            Ok(rule) => errors.push(Diagnostic::error(rule.span, "only one rule is expected here")),
            Err(error) => errors.push(*error),
        }
    }
    for reference in references {
        errors.extend(reference.problem(context));
    }
    match read {
        Some(rule) if errors.is_empty() => Ok(rule),
        None if errors.is_empty() => Err(vec![Diagnostic::error(Span::new(0, 0), "there is no rule in this text")]),
        _ => Err(errors),
    }
}

/// A name that has to be defined somewhere.
struct Reference {
    name: String,
    span: Span,
}

impl Reference {
    fn problem(&self, rules: &RuleSet) -> Option<Diagnostic> {
        if rules.sets.contains_key(&self.name) {
            return None;
        }
        let known: Vec<&str> = rules.sets.keys().map(String::as_str).collect();
        let help = if known.is_empty() {
            format!("define it: `set {} = {{ 192.0.2.0/24 }}`", self.name)
        } else {
            format!("there are: {}", known.join(", "))
        };
        Some(Diagnostic::error(self.span, format!("there is no set `{}`", self.name)).with_help(help))
    }
}

type Parsed<T> = Result<T, Box<Diagnostic>>;

fn fail<T>(span: Span, message: impl Into<String>) -> Parsed<T> {
    Err(Box::new(Diagnostic::error(span, message)))
}

struct Line<'p> {
    pieces: &'p [Piece],
    at: usize,
    references: &'p mut Vec<Reference>,
}

impl Line<'_> {
    fn peek(&self) -> Option<&Token> {
        self.pieces.get(self.at).map(|piece| &piece.token)
    }

    fn peek_word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Where the next piece is, or the end of the line.
    fn span(&self) -> Span {
        self.pieces.get(self.at).or(self.pieces.last()).map_or(Span::new(0, 0), |piece| piece.span)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == Some(word);
        self.at += usize::from(found);
        found
    }

    fn take_mark(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, what: &str) -> Parsed<(String, Span)> {
        let span = self.span();
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok((word, span))
            }
            Some(_) => fail(span, format!("expected {what}")),
            None => fail(span, format!("expected {what} behind this")),
        }
    }

    fn text(&mut self, what: &str) -> Parsed<(String, Span)> {
        let span = self.span();
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok((text, span))
            }
            _ => fail(span, format!("expected {what} in quotes")),
        }
    }

    /// One element, or several in braces, with commas or without.
    fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        if !self.take_mark('{') {
            return Ok(vec![element(self)?]);
        }
        let mut all = Vec::new();
        while !self.take_mark('}') {
            all.push(element(self)?);
            self.take_mark(',');
        }
        if all.is_empty() { fail(self.pieces[self.at - 1].span, "the list is empty") } else { Ok(all) }
    }

    fn end(&self) -> Parsed<()> {
        match self.pieces.get(self.at) {
            None => Ok(()),
            Some(piece) => fail(piece.span, "the statement has ended before this"),
        }
    }

    fn statement(&mut self, rules: &mut RuleSet, read: ReadFile<'_>) -> Parsed<()> {
        match self.peek_word() {
            Some("set") => self.set(rules, read),
            Some("zone") => self.zone(rules),
            Some("default") => self.default(rules),
            Some("tables") => self.tables(rules),
            _ => {
                let rule = self.rule()?;
                rules.rules.push(rule);
                Ok(())
            }
        }
    }

    fn name(&mut self, what: &str) -> Parsed<(String, Span)> {
        let (name, span) = self.word(what)?;
        let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') && name.len() <= 32;
        if good { Ok((name, span)) } else { fail(span, "names have up to 32 letters, digits, `_` and `-`") }
    }

    fn set(&mut self, rules: &mut RuleSet, read: ReadFile<'_>) -> Parsed<()> {
        self.at += 1;
        let (name, span) = self.name("the name of a set")?;
        if rules.sets.contains_key(&name) {
            return fail(span, format!("the set `{name}` is defined already"));
        }
        if !self.take_mark('=') {
            return fail(self.span(), "expected `=` and the elements of the set");
        }
        let mut names = Vec::new();
        let prefixes = if self.take_word("file") {
            let (file, span) = self.text("the name of a file")?;
            let text = read(&file).or_else(|problem| fail(span, problem))?;
            elements(&text).or_else(|problem| fail(span, format!("file `{file}`, {problem}")))?
        } else if self.take_mark('{') {
            // A set may become empty while it is in use, so it may begin empty.
            let mut all = Vec::new();
            while !self.take_mark('}') {
                if self.take_word("name") {
                    let (host, span) = self.text("the name of a host")?;
                    if !is_name(&host) {
                        return fail(span, "a name of a host has labels of letters, digits, `-` and `_` between dots");
                    }
                    names.push(host.trim_end_matches('.').to_ascii_lowercase());
                } else {
                    all.push(self.prefix()?);
                }
                self.take_mark(',');
            }
            all
        } else {
            return fail(self.span(), "expected `{` with addresses, or `file \"NAME\"`");
        };
        if !names.is_empty() {
            rules.names.insert(name.clone(), names);
        }
        rules.sets.insert(name, prefixes);
        self.end()
    }

    fn zone(&mut self, rules: &mut RuleSet) -> Parsed<()> {
        self.at += 1;
        let (name, span) = self.name("the name of a zone")?;
        if rules.zones.contains_key(&name) {
            return fail(span, format!("the zone `{name}` is defined already"));
        }
        if !self.take_mark('=') {
            return fail(self.span(), "expected `=` and the interfaces of the zone");
        }
        let interfaces = self.list(Self::interface)?;
        rules.zones.insert(name, interfaces);
        self.end()
    }

    fn interface(&mut self) -> Parsed<String> {
        let (name, span) = self.word("the name of an interface")?;
        if name.len() > 32 || name.contains('/') {
            return fail(span, "names of interfaces have up to 15 characters and no `/`");
        }
        Ok(name)
    }

    fn default(&mut self, rules: &mut RuleSet) -> Parsed<()> {
        self.at += 1;
        let (direction, span) = self.word("`in` or `out`")?;
        let (verdict, verdict_span) = self.word("`accept`, `drop` or `reject`")?;
        let Some(verdict) = words::number(words::VERDICTS, &verdict) else {
            return fail(verdict_span, "a default is `accept`, `drop` or `reject`");
        };
        let verdict = self.reply(verdict)?;
        if let Verdict::Reject(Reply::Message(message)) = verdict
            && message.only().is_some()
        {
            return fail(
                verdict_span,
                "a default is for both versions of the protocol, and one does not have this message",
            );
        }
        match direction.as_str() {
            "in" => rules.default_in = verdict,
            "out" => rules.default_out = verdict,
            _ => return fail(span, "a default is for `in` or `out`"),
        }
        self.end()
    }

    /// `tables connections 1000 limits 500`
    fn tables(&mut self, rules: &mut RuleSet) -> Parsed<()> {
        self.at += 1;
        loop {
            let (name, span) = self.word("the name of a table and how many entries it has")?;
            let Some(table) = words::TABLES.iter().position(|row| row.0 == name) else {
                let known = words::TABLES.map(|row| row.0).join(", ");
                let error = Diagnostic::error(span, format!("there is no table `{name}`"));
                return Err(Box::new(error.with_help(format!("there are: {known}"))));
            };
            if rules.tables.0[table].is_some() {
                return fail(span, format!("the size of `{name}` is said already"));
            }
            let span = self.span();
            let entries = self.number("a number of entries", words::MOST_ENTRIES)?;
            if entries == 0 {
                return fail(span, "a table has at least one entry");
            }
            rules.tables.0[table] = Some(entries);
            if self.peek().is_none() {
                return Ok(());
            }
        }
    }

    fn rule(&mut self) -> Parsed<Rule> {
        let first = self.span();
        let action = self.action()?;
        let mut matches = Matches::default();
        while self.peek().is_some() {
            self.condition(&mut matches)?;
        }
        let last = self.pieces.last().map_or(first, |piece| piece.span);
        let rule = Rule { action, matches, span: first.to(last) };
        complete(&rule)?;
        Ok(rule)
    }

    fn action(&mut self) -> Parsed<Action> {
        let mut action = Action::default();
        let mut any = false;
        loop {
            let span = self.span();
            match self.peek_word() {
                Some("limit") => {
                    self.at += 1;
                    action.limit = Some(self.limit()?);
                    continue;
                }
                Some("log") => {
                    self.at += 1;
                    let (text, span) = match self.peek() {
                        Some(Token::Text(_)) => self.text("a text")?,
                        _ => (String::new(), span),
                    };
                    if text.len() > LONGEST_LOG {
                        return fail(span, format!("the text of a log has at most {LONGEST_LOG} bytes"));
                    }
                    action.log = Some(text);
                }
                Some("mark") => {
                    self.at += 1;
                    action.mark = Some(self.number("a mark", u32::MAX)?);
                }
                Some("count") => {
                    self.at += 1;
                    return Ok(action);
                }
                Some(word) if let Some(verdict) = words::number(words::VERDICTS, word) => {
                    self.at += 1;
                    if verdict == Verdict::Accept && self.take_word("with") {
                        let (word, span) = self.word("`syn-cookies`")?;
                        if word != "syn-cookies" {
                            return fail(span, "only `syn-cookies` are given with what is accepted");
                        }
                        action.cookies = true;
                    }
                    action.verdict = Some(self.reply(verdict)?);
                    return Ok(action);
                }
                Some("dnat" | "snat" | "masquerade" | "redirect") => {
                    if action.limit.is_some() {
                        return fail(span, "addresses are changed for whole connections, not beyond a limit");
                    }
                    action.translation = Some(self.translation()?);
                    action.verdict = Some(Verdict::Accept);
                    return Ok(action);
                }
                _ if any => return Ok(action),
                word => {
                    if let Some(word) = word {
                        unsupported(word, span)?;
                    }
                    return Err(Box::new(Diagnostic::error(span, "a rule begins with what it does").with_help(
                        "accept, drop, reject, dnat, snat, masquerade, redirect, count, log, mark, limit; or a statement: set, zone, default, tables",
                    )));
                }
            }
            any = true;
        }
    }

    /// `with MESSAGE` behind `reject`.
    fn reply(&mut self, verdict: Verdict) -> Parsed<Verdict> {
        if verdict != Verdict::Reject(Reply::Usual) || !self.take_word("with") {
            return Ok(verdict);
        }
        let (word, span) = self.word("what the sender is told")?;
        match words::number(words::MESSAGES, &word) {
            Some(message) => Ok(Verdict::Reject(Reply::Message(message))),
            None => {
                let known: Vec<&str> = words::MESSAGES.iter().map(|row| row.0).collect();
                let error = Diagnostic::error(span, format!("`{word}` is no message to the sender"));
                let help = format!("there are: {}; `reject` alone resets connections of TCP", known.join(", "));
                Err(Box::new(error.with_help(help)))
            }
        }
    }

    fn number(&mut self, what: &str, most: u32) -> Parsed<u32> {
        let (word, span) = self.word(what)?;
        match numeral(&word).filter(|&number| number <= most) {
            Some(number) => Ok(number),
            None => fail(span, format!("expected {what}, a number up to {most}")),
        }
    }

    /// `100/s burst 20 per source then`
    fn limit(&mut self) -> Parsed<Limit> {
        let (rate, span) = self.word("a rate such as `100/s`")?;
        let parsed = rate.split_once('/').and_then(|(packets, unit)| {
            let packets = packets.parse().ok().filter(|&packets: &u32| packets > 0)?;
            Some((packets, words::number(words::UNITS, unit)?))
        });
        let Some((packets, seconds)) = parsed else {
            return fail(span, "a rate is a number and a unit of time: `100/s`, `5/min`, `20/hour`, `1000/day`");
        };
        let mut limit = Limit { packets, seconds, burst: packets.min(5), per_source: false };
        if self.take_word("burst") {
            let span = self.span();
            limit.burst = self.number("a number of packets", 1_000_000)?;
            if limit.burst == 0 {
                return fail(span, "a burst has at least one packet");
            }
        }
        if self.take_word("per") {
            let (word, span) = self.word("`source`")?;
            if word != "source" {
                return fail(span, "limits are kept per `source`, or together");
            }
            limit.per_source = true;
        }
        if !self.take_word("then") {
            return fail(self.span(), "expected `then` and what happens to packets beyond the limit");
        }
        Ok(limit)
    }
}

/// Fails if a word means something elsewhere that this firewall does not do.
fn unsupported(word: &str, span: Span) -> Parsed<()> {
    match words::UNSUPPORTED.iter().find(|row| row.0 == word) {
        Some((_, why, help)) => {
            Err(Box::new(Diagnostic::error(span, format!("`{word}` is not supported: {why}")).with_help(*help)))
        }
        None => Ok(()),
    }
}

/// A number in decimal or with `0x`.
fn numeral(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The elements of a file of a set: one or more a line, `#` begins a comment.
///
/// # Errors
/// The first line that is wrong.
pub fn elements(text: &str) -> Result<Vec<Prefix>, String> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        for word in line.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
            all.push(Prefix::parse(word).map_err(|problem| format!("line {number}: {problem}"))?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::words::UNSUPPORTED;
    use super::parse;

    #[test]
    fn what_is_not_supported_is_said() {
        for (word, why, _) in UNSUPPORTED {
            for text in [format!("{word} in"), format!("accept in {word} x")] {
                let errors = parse(&text, &|_| Err(String::new())).unwrap_err();
                assert!(errors.len() == 1 && errors[0].message.contains(why), "{text}: {errors:?}");
                assert!(errors[0].help.iter().all(|help| !help.is_empty()), "{text}");
            }
        }
        let errors = parse("nat in\naccept in\nforward in tcp", &|_| Err(String::new())).unwrap_err();
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn spaces_beyond_ascii_are_no_spaces() {
        let errors = parse("accept in \u{a0}tcp\n\u{2003}drop\n\u{b}", &|_| Err(String::new())).unwrap_err();
        assert_eq!(errors.len(), 3);
    }
}

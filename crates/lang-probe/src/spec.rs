//! Where a probe is: `[TYPE:][LIBRARY:]FUNCTION[+OFFSET]`, `t:CATEGORY:EVENT`, `u:BINARY[:PROVIDER]:PROBE`.
//!
//! One grammar for all tools: what one of them takes, the others take. A `*` stands for any letters.

use skep_diag::{Diagnostic, Span};

use crate::text;

/// The type of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Entry of a function (`p`).
    Entry,
    /// Return of a function (`r`).
    Return,
    /// Tracepoint of the kernel (`t`).
    Tracepoint,
    /// Probe that a program declares itself (`u`).
    Usdt,
}

/// The letters of the types.
const KINDS: &[(&str, Kind)] = &[("p", Kind::Entry), ("r", Kind::Return), ("t", Kind::Tracepoint), ("u", Kind::Usdt)];

/// A place to attach to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its type.
    pub kind: Kind,
    /// Library or program for functions of user space, category of a tracepoint, binary of a probe; empty for the kernel.
    pub library: String,
    /// Provider of a probe that a program declares; empty for any.
    pub provider: String,
    /// Function, event or probe.
    pub name: String,
    /// Bytes behind the start of the function.
    pub offset: u64,
    /// Its place in the text.
    pub span: Span,
}

impl Spec {
    /// Reads a specification that ends where `text[start..end]` ends.
    ///
    /// # Errors
    /// What is wrong, with its place in `text`.
    pub fn parse(text: &str, start: usize, end: usize) -> Result<Self, Diagnostic> {
        let span = crate::span(start, end);
        let whole = &text[start..end];
        if whole.is_empty() {
            return Err(Diagnostic::error(span, "a probe is expected here").with_help(FORMS));
        }
        let parts: Vec<&str> = whole.split(':').collect();
        let (kind, rest) = match parts.as_slice() {
            [] | [_] | [_, _] => (Kind::Entry, parts.as_slice()),
            ["", rest @ ..] => (Kind::Entry, rest),
            [letter, rest @ ..] => match KINDS.iter().find(|(name, _)| name == letter) {
                Some((_, kind)) => (*kind, rest),
                None => {
                    let at = crate::span(start, start + letter.len());
                    let error = Diagnostic::error(at, format!("`{letter}` is no type of probe"));
                    return Err(error.with_help("`p` is an entry, `r` a return, `t` a tracepoint, `u` a USDT probe"));
                }
            },
        };
        let mut spec =
            Self { kind, library: String::new(), provider: String::new(), name: String::new(), offset: 0, span };
        spec.fill(rest, start)?;
        Ok(spec)
    }

    fn fill(&mut self, parts: &[&str], start: usize) -> Result<(), Diagnostic> {
        let (&name, before) = parts.split_last().unwrap_or((&"", &[]));
        match (self.kind, before) {
            (Kind::Tracepoint, [category]) if !category.is_empty() => self.library = (*category).to_owned(),
            (Kind::Tracepoint, _) => {
                let error = Diagnostic::error(self.span, "a tracepoint has a category and an event");
                return Err(error.with_help("write `t:sched:sched_process_exec`"));
            }
            (Kind::Usdt, [binary, provider]) => {
                (self.library, self.provider) = ((*binary).to_owned(), (*provider).to_owned());
            }
            (Kind::Usdt, [binary]) => self.library = (*binary).to_owned(),
            (Kind::Usdt, _) => {
                let error = Diagnostic::error(self.span, "a USDT probe has a program or library and a name");
                return Err(error.with_help("write `u:/usr/sbin/mysqld:query__start`"));
            }
            (Kind::Entry | Kind::Return, before) => self.library = before.join(":"),
        }
        let end = self.span.range().end;
        let at = end - name.len();
        let (name, offset) = match (name.split_once('+'), self.kind) {
            (Some((name, offset)), Kind::Entry) => (name, number(offset, at + name.len() + 1, end)?),
            (Some(_), Kind::Return) => {
                let error = Diagnostic::error(crate::span(at, end), "a return has no offset");
                return Err(error.with_help("leave out what begins at the `+`"));
            }
            _ => (name, 0),
        };
        if name.is_empty() {
            let error = Diagnostic::error(crate::span(start, end), "the name of what is traced is missing");
            return Err(error.with_help(FORMS));
        }
        (self.name, self.offset) = (name.to_owned(), offset);
        Ok(())
    }

    /// Whether several places may be meant.
    pub fn is_pattern(&self) -> bool {
        self.name.contains('*') || self.library.contains('*')
    }

    /// Whether it is a function of the kernel.
    pub fn is_kernel_function(&self) -> bool {
        matches!(self.kind, Kind::Entry | Kind::Return) && self.library.is_empty()
    }

    /// The same place at the entry of the function.
    pub fn entry(&self) -> Self {
        Self { kind: if self.kind == Kind::Return { Kind::Entry } else { self.kind }, ..self.clone() }
    }

    /// The same place at the return of the function.
    pub fn exit(&self) -> Self {
        Self { kind: if self.kind == Kind::Entry { Kind::Return } else { self.kind }, ..self.clone() }
    }

    /// The attach point in the script language.
    pub fn point(&self) -> String {
        let offset = if self.offset == 0 { String::new() } else { format!("+{}", self.offset) };
        let (library, name) = (part(&self.library), part(&self.name));
        match (self.kind, self.library.is_empty()) {
            (Kind::Entry, true) => format!("kprobe:{name}{offset}"),
            (Kind::Return, true) => format!("kretprobe:{name}"),
            (Kind::Entry, false) => format!("uprobe:{library}:{name}{offset}"),
            (Kind::Return, false) => format!("uretprobe:{library}:{name}"),
            (Kind::Tracepoint, _) => format!("tracepoint:{library}:{name}"),
            (Kind::Usdt, _) if self.provider.is_empty() => format!("usdt:{library}:{name}"),
            (Kind::Usdt, _) => format!("usdt:{library}:{}:{name}", part(&self.provider)),
        }
    }

    /// The expression by which hits are counted: as [`label`](Self::label), but for patterns in libraries the probe, because
    /// the address of a function tells nothing when its process has ended.
    pub fn counted(&self) -> String {
        let named = !self.is_pattern() || self.library.is_empty();
        if named { self.label() } else { "probe".to_owned() }
    }

    /// The expression for the name of what was hit: the name itself, or for a pattern what the kernel tells.
    pub fn label(&self) -> String {
        match (self.is_pattern(), self.kind) {
            (false, _) => text::quoted(&self.name),
            (true, Kind::Entry | Kind::Return) => "func".to_owned(),
            (true, Kind::Tracepoint | Kind::Usdt) => "probe".to_owned(),
        }
    }
}

/// The forms of a specification, for messages.
const FORMS: &str = "write `function`, `library:function`, `p::function`, `r:library:function`, `t:category:event` or \
                     `u:binary:probe`";

/// A part of an attach point, in quotes if it has letters that would end it.
fn part(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./-*@~$".contains(&byte);
    if text.bytes().all(plain) { text.to_owned() } else { text::quoted(text) }
}

fn number(text: &str, start: usize, end: usize) -> Result<u64, Diagnostic> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| {
        let error = Diagnostic::error(crate::span(start, end), format!("`{text}` is no offset"));
        error.with_help("an offset is a decimal number, or a hexadecimal one with `0x`")
    })
}

/// A specification with what may stand behind it in `trace`: where each part is in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The place.
    pub spec: Spec,
    /// The parameters without their parentheses.
    pub signature: Option<(usize, usize)>,
    /// The condition without its parentheses.
    pub predicate: Option<(usize, usize)>,
    /// What is printed, from the quote on.
    pub action: Option<(usize, usize)>,
}

impl Parts {
    /// Takes `SPEC[(SIGNATURE)] [(PREDICATE)] ["FORMAT"[, VALUE...]]` apart.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(source: &str) -> Result<Self, Diagnostic> {
        if source.len() > crate::MAX_LENGTH {
            let text = format!("the specification has {} bytes, and {} is the limit", source.len(), crate::MAX_LENGTH);
            return Err(Diagnostic::error(Span::new(0, 0), text));
        }
        let front = source.len() - source.trim_start().len();
        let end = source[front..].find([' ', '\t', '(', '"', '\n']).map_or(source.len(), |at| front + at);
        let spec = Spec::parse(source, front, end)?;
        let mut at = end;
        let signature = if source[at..].starts_with('(') { Some(bracket(source, &mut at)?) } else { None };
        skip_blank(source, &mut at);
        let predicate = if source[at..].starts_with('(') { Some(bracket(source, &mut at)?) } else { None };
        skip_blank(source, &mut at);
        let action = match source[at..].chars().next() {
            None => None,
            Some('"') => Some((at, source.trim_end().len())),
            Some(_) => {
                let error =
                    Diagnostic::error(crate::span(at, source.len()), "a format in double quotes is expected here");
                return Err(error.with_help("behind the probe come `(condition)` and `\"format\", values`"));
            }
        };
        if let (Some((start, end)), Kind::Tracepoint | Kind::Usdt) = (signature, spec.kind) {
            let error = Diagnostic::error(crate::span(start - 1, end + 1), "only functions have parameters");
            return Err(error.with_help("a condition stands behind a blank; fields of tracepoints are `args->NAME`"));
        }
        Ok(Self { spec, signature, predicate, action })
    }
}

fn skip_blank(source: &str, at: &mut usize) {
    *at = source.len() - source[*at..].trim_start().len();
}

/// The inside of the bracket that opens here; goes on behind it.
fn bracket(source: &str, at: &mut usize) -> Result<(usize, usize), Diagnostic> {
    let Some(end) = text::closing(source, *at) else {
        let error = Diagnostic::error(crate::span(*at, *at + 1), "this parenthesis is never closed");
        return Err(error.with_help("add the `)` that belongs to it"));
    };
    let inside = (*at + 1, end);
    *at = end + 1;
    Ok(inside)
}

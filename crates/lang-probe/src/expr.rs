//! C expressions of specifications as expressions of the script language.
//!
//! The grammar is close enough that the parser of scripts reads them; what differs is replaced in the tree: `arg1` is
//! `arg0`, `$pid` is the thread, parameters of the signature are arguments with a type, and a few functions in capitals
//! stand for longer expressions.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use skep_diag::Diagnostic;
use skep_lang_script::ast::{Expr, ExprKind, Spanned};
use skep_lang_script::visit::{Visitor, set_spans, walk_expr};
use skep_lang_script::{format_expr, parse_expr, parse_type};

use crate::flags;
use crate::spec::{Kind, Spec};
use crate::text;

/// A parameter of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type as it was written, without qualifiers.
    pub ty: String,
    /// Whether it points into the process (`__user`).
    pub user: bool,
}

/// Words of C types that mean nothing here.
const QUALIFIERS: &[&str] = &["const", "volatile", "restrict", "register", "__user", "__kernel", "__iomem", "__rcu"];

/// Reads the parameters between the parentheses of a signature.
///
/// # Errors
/// What is wrong, with its place.
pub fn params(source: &str, (start, end): (usize, usize)) -> Result<Vec<Param>, Diagnostic> {
    let inside = source[start..end].trim();
    if inside.is_empty() || inside == "void" {
        return Ok(Vec::new());
    }
    text::split(source, start, end, b',').into_iter().map(|range| param(source, text::trim(source, range))).collect()
}

fn param(source: &str, (start, end): (usize, usize)) -> Result<Param, Diagnostic> {
    let whole = &source[start..end];
    let wrong = |message: String| {
        Diagnostic::error(crate::span(start, end), message)
            .with_help("write `(struct file *file, char __user *buf, size_t count)`")
            .with_help("a condition stands behind a blank: `function (retval < 0)`")
    };
    let name_at = whole.trim_end_matches(|c: char| c == '_' || c.is_ascii_alphanumeric()).len();
    let (ty, name) = whole.split_at(name_at);
    if !text::is_name(name) || ty.trim().is_empty() {
        return Err(wrong(format!("`{whole}` is no parameter with a type and a name")));
    }
    let user = ty.split(|c: char| c.is_whitespace() || c == '*').any(|word| word == "__user");
    let stars: String = ty.chars().filter(|c| *c == '*').collect();
    let words: Vec<&str> = ty
        .split(|c: char| c.is_whitespace() || c == '*')
        .filter(|word| !word.is_empty() && !QUALIFIERS.contains(word))
        .collect();
    let ty = format!("{}{stars}", words.join(" "));
    if parse_type(&ty).is_err() {
        return Err(wrong(format!("`{ty}` is no type")));
    }
    Ok(Param { name: name.to_owned(), ty, user })
}

/// Values at the entry of a function that an expression at its return asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// Number of the probe, in the names of its maps.
    pub number: usize,
    /// Whether the time is needed.
    pub start: bool,
    /// The parameters.
    pub params: BTreeSet<String>,
}

impl Entries {
    /// The map with the time of the entry.
    pub fn start_map(&self) -> String {
        format!("@start{}", self.number)
    }

    /// The map with a parameter.
    pub fn param_map(&self, param: &str) -> String {
        format!("@entry{}_{param}", self.number)
    }
}

/// What an expression is translated in.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Where the probe is.
    pub spec: &'a Spec,
    /// Parameters of the signature.
    pub params: &'a [Param],
    /// Bytes of texts that are read.
    pub string_size: u32,
    /// Whether texts with `{0x..}` in `STRCMP` are bytes.
    pub binary: bool,
    /// The type of what the function returns; `int64` if nothing is known.
    pub returns: &'a str,
    /// What is kept from the entry, for tools that do (`argdist`).
    pub entries: Option<RefCell<Entries>>,
}

/// An expression of the script language, and what it is printed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// Its text.
    pub text: String,
    /// Whether its value is a text already, so that `%s` must not read memory.
    pub is_text: bool,
}

impl Scope<'_> {
    /// Translates the expression at `source[start..end]`.
    ///
    /// # Errors
    /// What is wrong, with places in `source`.
    pub fn expression(&self, source: &str, range: (usize, usize)) -> Result<Translated, Vec<Diagnostic>> {
        let tree = self.tree(source, range)?;
        Ok(Translated { text: format_expr(&tree), is_text: is_text(&tree) })
    }

    /// The expression as a tree of the script language.
    ///
    /// # Errors
    /// What is wrong, with places in `source`.
    pub fn tree(&self, source: &str, range: (usize, usize)) -> Result<Expr, Vec<Diagnostic>> {
        let (start, end) = text::trim(source, range);
        if start == end {
            let error =
                Diagnostic::error(crate::span(range.0, range.1.max(range.0 + 1)), "an expression is missing here");
            return Err(vec![error.with_help("leave out the comma or write a value")]);
        }
        let (masked, user) = mask(source, start, end);
        let mut tree = parse_expr(&masked)?;
        let mut rewriter = Rewriter { scope: self, user, errors: Vec::new() };
        rewriter.expr(&mut tree);
        if rewriter.errors.is_empty() { Ok(tree) } else { Err(rewriter.errors) }
    }
}

/// The text with everything but `start..end` blank, so that places in it are places in the whole; and the ends of
/// arguments behind which `@user` stood, which is blank as well.
fn mask(source: &str, start: usize, end: usize) -> (String, Vec<u32>) {
    let mut bytes = vec![b' '; start];
    bytes.extend_from_slice(&source.as_bytes()[start..end]);
    for found in source[start..end].match_indices("$entry(") {
        bytes[start + found.0] = b'_';
    }
    let (mut at, mut user) = (start, Vec::new());
    while let Some(found) = source[at..end].find("@user") {
        let place = at + found;
        bytes[place..place + 5].fill(b' ');
        user.push(u32::try_from(place).unwrap_or(u32::MAX));
        at = place + 5;
    }
    (String::from_utf8(bytes).unwrap_or_default(), user)
}

/// Whether the value of an expression of the script language is a text, so that nothing has to be read.
pub fn is_text(expr: &Expr) -> bool {
    const TEXTS: &[&str] =
        &["str", "strerror", "ntop", "ksym", "usym", "macaddr", "strftime", "syscall_name", "signal_name", "buf"];
    match &expr.node {
        ExprKind::Text(_) => true,
        ExprKind::Ident(name) => matches!(&**name, "comm" | "probe" | "func" | "username" | "kstack" | "ustack"),
        ExprKind::Call { name, .. } => TEXTS.contains(&&*name.node),
        ExprKind::Ternary { yes, no, .. } => yes.as_deref().is_some_and(is_text) && is_text(no),
        _ => false,
    }
}

/// Names with a `$` and what they are in scripts.
const ALIASES: &[(&str, &str)] = &[
    ("$pid", "tid"),
    ("$tgid", "pid"),
    ("$uid", "uid"),
    ("$gid", "gid"),
    ("$cpu", "cpu"),
    ("$task", "curtask"),
    ("$comm", "comm"),
    ("$retval", "retval"),
    ("$PID", "pid"),
    ("$COMM", "comm"),
];

struct Rewriter<'s> {
    scope: &'s Scope<'s>,
    user: Vec<u32>,
    errors: Vec<Diagnostic>,
}

impl Visitor for Rewriter<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        walk_expr(self, expr);
        let replaced = match &expr.node {
            ExprKind::Variable(name) => self.variable(name, expr),
            ExprKind::Ident(name) => self.ident(&Arc::clone(name), expr),
            ExprKind::Call { name, args } => self.call(&Arc::clone(&name.node), &args.clone(), expr),
            ExprKind::Map(_) | ExprKind::Positional(_) | ExprKind::PositionalCount | ExprKind::Block { .. } => {
                let error = Diagnostic::error(expr.span, "this is no expression of C");
                self.errors
                    .push(error.with_help("maps, script parameters and blocks belong into scripts: `skep run -e`"));
                None
            }
            _ => None,
        };
        if let Some(node) = replaced {
            expr.node = node;
        }
    }
}

impl Rewriter<'_> {
    fn variable(&mut self, name: &str, expr: &Expr) -> Option<ExprKind> {
        if let Some((_, value)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            return Some(ExprKind::Ident((*value).into()));
        }
        if let (Some(entries), "$latency") = (&self.scope.entries, name) {
            entries.borrow_mut().start = true;
            return self.parsed(&format!("(nsecs - {}[tid])", entries.borrow().start_map()), expr);
        }
        let names: Vec<&str> = ALIASES.iter().map(|(alias, _)| *alias).collect();
        let error = Diagnostic::error(expr.span, format!("there is no `{name}`"));
        self.errors.push(error.with_help(format!("there are {}", names.join(" "))));
        None
    }

    fn ident(&mut self, name: &str, expr: &Expr) -> Option<ExprKind> {
        let scope = self.scope;
        if let Some(index) = scope.params.iter().position(|param| param.name == name) {
            let param = &scope.params[index];
            let argument = if param.user { format!("uptr(arg{index})") } else { format!("arg{index}") };
            return self.parsed(&format!("(({}){argument})", param.ty), expr);
        }
        if let Some(number) = argument(name) {
            let probe = scope.spec.kind;
            if number == 0 && matches!(probe, Kind::Entry | Kind::Return) {
                let error = Diagnostic::error(expr.span, "arguments are counted from 1 here");
                self.errors.push(error.with_help("the first is `arg1`"));
                return None;
            }
            let plain = format!("arg{}", number.saturating_sub(1));
            let user = self.user.contains(&expr.span.end);
            return self.parsed(&if user { format!("uptr({plain})") } else { plain }, expr);
        }
        match name {
            // The register holds what the function returns in its lower bits; above them may be anything.
            "retval" => self.parsed(&format!("(({})retval)", scope.returns), expr),
            "NULL" => self.parsed("0", expr),
            _ => None,
        }
    }

    /// A text of the script language in the place of an expression.
    fn parsed(&mut self, text: &str, expr: &Expr) -> Option<ExprKind> {
        match parse_expr(text) {
            Ok(mut tree) => {
                set_spans(expr.span, |setter| setter.expr(&mut tree));
                Some(tree.node)
            }
            Err(list) => {
                let message = list.first().map_or_else(String::new, |first| first.message.clone());
                self.errors.push(Diagnostic::error(expr.span, format!("`{text}` cannot stand here: {message}")));
                None
            }
        }
    }

    fn call(&mut self, name: &str, args: &[Expr], expr: &Expr) -> Option<ExprKind> {
        let built = match name {
            "_entry" => self.entry(args, expr)?,
            "STRCMP" | "STRPREFIX" | "STRSUFFIX" | "STRSTR" | "STRGLOB" => self.compare(name, args, expr)?,
            "ERRNO" => format!("strerror({})", self.one(name, args, expr)?),
            "IP" | "IP4" | "IP6" => format!("ntop({})", self.one(name, args, expr)?),
            "MAC" => format!("macaddr({})", self.one(name, args, expr)?),
            "HEX" => format!("buf({})", list(args)),
            "FDNAME" => {
                format!("str(curtask->files->fdt->fd[{}]->f_path.dentry->d_name.name)", self.one(name, args, expr)?)
            }
            _ if flags::find(name).is_some() || name == "SOCKADDR" => {
                let error = Diagnostic::error(expr.span, format!("`{name}` can only be printed with `%s`"));
                self.errors.push(error.with_help("it has to be a value of the format by itself"));
                return None;
            }
            _ => return None,
        };
        self.parsed(&format!("({built})"), expr)
    }

    fn one(&mut self, name: &str, args: &[Expr], expr: &Expr) -> Option<String> {
        if let [only] = args {
            return Some(format_expr(only));
        }
        let error = Diagnostic::error(expr.span, format!("`{name}` takes one value"));
        self.errors.push(error.with_help(format!("write `{name}(arg1)`")));
        None
    }

    /// `$entry(param)`; its argument has become an argument of the function already.
    fn entry(&mut self, args: &[Expr], expr: &Expr) -> Option<String> {
        let param =
            args.first().and_then(|arg| self.scope.params.iter().enumerate().find(|(at, _)| names_argument(arg, *at)));
        match (&self.scope.entries, param, args.len()) {
            (Some(entries), Some((_, param)), 1) => {
                entries.borrow_mut().params.insert(param.name.clone());
                Some(format!("{}[tid]", entries.borrow().param_map(&param.name)))
            }
            _ => {
                let error = Diagnostic::error(expr.span, "`$entry` takes a parameter of the signature, at a return");
                self.errors
                    .push(error.with_help("write `r:c:read(int fd, void *buf, size_t count):size_t:$entry(count)`"));
                None
            }
        }
    }

    fn compare(&mut self, name: &str, args: &[Expr], expr: &Expr) -> Option<String> {
        let (literal, value) = match args {
            [Spanned { node: ExprKind::Text(literal), .. }, value] => (Arc::clone(literal), value),
            [value, Spanned { node: ExprKind::Text(literal), .. }] => (Arc::clone(literal), value),
            _ => {
                let error = Diagnostic::error(expr.span, format!("`{name}` takes a text in quotes and a value"));
                self.errors.push(error.with_help(format!("write `{name}(\"text\", arg1)`")));
                return None;
            }
        };
        if self.scope.binary && name == "STRCMP" && literal.starts_with('{') {
            return self.bytes(&literal, value, expr);
        }
        let text = if is_text(value) {
            format_expr(value)
        } else {
            format!("str({}, {})", format_expr(value), self.scope.string_size)
        };
        Some(match name {
            "STRCMP" => format!("{text} == {}", text::quoted(&literal)),
            "STRPREFIX" => prefix(&text, &literal),
            "STRSTR" => format!("strcontains({text}, {})", text::quoted(&literal)),
            "STRSUFFIX" => suffix(&text, &literal),
            _ => glob(&text, &literal),
        })
    }

    /// `STRCMP("{0x6C,0x00}", p)`: byte by byte.
    fn bytes(&mut self, literal: &str, value: &Expr, expr: &Expr) -> Option<String> {
        let inside = literal.trim_start_matches('{').trim_end_matches('}');
        let number = |word: &str| {
            let word = word.trim();
            word.strip_prefix("0x")
                .map_or_else(|| word.parse::<u8>().ok(), |digits| u8::from_str_radix(digits, 16).ok())
        };
        let Some(bytes) = inside.split(',').map(number).collect::<Option<Vec<u8>>>() else {
            let error = Diagnostic::error(expr.span, format!("`{literal}` is no list of bytes"));
            self.errors.push(error.with_help("write `STRCMP(\"{0x6c,0x00}\", arg1)`"));
            return None;
        };
        let base = format_expr(value);
        let each = bytes.iter().enumerate().map(|(at, byte)| format!("((uint8*)({base}))[{at}] == {byte}"));
        Some(each.collect::<Vec<_>>().join(" && "))
    }
}

/// Whether an expression is the parameter at a position, as [`Rewriter::ident`] writes it.
fn names_argument(expr: &Expr, position: usize) -> bool {
    match &expr.node {
        ExprKind::Ident(name) => **name == *format!("arg{position}"),
        ExprKind::Cast { operand, .. } => names_argument(operand, position),
        ExprKind::Call { args, .. } => args.iter().any(|arg| names_argument(arg, position)),
        _ => false,
    }
}

/// The number in `arg3`.
fn argument(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("arg")?;
    if digits.is_empty() || digits.len() > 3 { None } else { digits.parse().ok() }
}

fn list(args: &[Expr]) -> String {
    args.iter().map(format_expr).collect::<Vec<_>>().join(", ")
}

fn prefix(text: &str, literal: &str) -> String {
    format!("strncmp({text}, {}, {}) == 0", text::quoted(literal), literal.len())
}

fn suffix(text: &str, literal: &str) -> String {
    let length = literal.len();
    let mut all = vec![format!("strlen({text}) >= {length}")];
    all.extend(
        literal.bytes().enumerate().map(|(at, byte)| format!("{text}[strlen({text}) - {}] == {byte}", length - at)),
    );
    all.join(" && ")
}

/// A pattern with `*`: its pieces in order are a prefix, parts and a suffix. Pieces in the middle are looked for anywhere,
/// which differs only if one of them occurs twice in another order.
fn glob(text: &str, pattern: &str) -> String {
    let pieces: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = pieces.as_slice() else {
        return format!("{text} == {}", text::quoted(pattern));
    };
    let mut all = Vec::new();
    if !first.is_empty() {
        all.push(prefix(text, first));
    }
    all.extend(
        middle
            .iter()
            .filter(|piece| !piece.is_empty())
            .map(|piece| format!("strcontains({text}, {})", text::quoted(piece))),
    );
    if !last.is_empty() {
        all.push(suffix(text, last));
    }
    if all.is_empty() { "1 == 1".to_owned() } else { all.join(" && ") }
}

/// The conversions of `%s` for a set of flags: `value & bit` prints its name, with a bar in front of all but the first.
pub fn flag_texts(set: &flags::Set, value: &Expr) -> Vec<String> {
    let value = format_expr(value);
    let mut pieces = Vec::new();
    if set.mask != 0 {
        let mut chain = text::quoted("?");
        for (name, number) in set.values.iter().rev() {
            chain = format!("({value} & {}) == {number} ? {} : {chain}", set.mask, text::quoted(name));
        }
        pieces.push(format!("({chain})"));
    }
    let mut before = 0;
    pieces.extend(set.bits.iter().map(|(name, bit)| {
        let (alone, behind) = (text::quoted(name), text::quoted(&format!("|{name}")));
        let shown = match (set.mask, before) {
            (0, 0) => alone,
            (0, before) => format!("({value} & {before} ? {behind} : {alone})"),
            _ => behind,
        };
        before |= bit;
        format!("({value} & {bit} ? {shown} : \"\")")
    }));
    pieces
}

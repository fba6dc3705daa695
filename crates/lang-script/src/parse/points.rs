//! Attach points: found in the text by the lexer, divided into provider and parts here.

use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use super::{Failed, Parse, Parser};
use crate::ast::{AttachPoint, Spanned};
use crate::lex::Kind;
use crate::providers;
use crate::words;

impl Parser<'_> {
    /// The attach points of a probe; a comma may follow the last one.
    pub(super) fn points(&mut self) -> Parse<Vec<Spanned<AttachPoint>>> {
        let mut points = Vec::new();
        loop {
            if self.token.kind != Kind::Word {
                let help = "write where the probe is attached, such as `tracepoint:syscalls:sys_enter_openat`";
                self.expected("an attach point", help);
                return Err(Failed);
            }
            points.push(self.point()?);
            if !self.eat(",") || self.at("{") || self.at("/") {
                return Ok(points);
            }
        }
    }

    fn point(&mut self) -> Parse<Spanned<AttachPoint>> {
        self.lexer.seek(self.token.span.start);
        let (parts, span) = self.lexer.point(|name| providers::find(name).and_then(|provider| provider.path));
        self.before = span.end;
        self.token = self.lexer.token();
        if self.at(":") {
            let error = Diagnostic::error(self.token.span, "an attach point contains no spaces");
            self.report(error.with_help("remove the spaces around `:`, or put the part into quotes"));
            return Err(Failed);
        }
        let (name, name_span) = &parts[0];
        let provider: Arc<str> = match providers::find(name) {
            Some(provider) => provider.name.into(),
            None => {
                self.unknown_provider(name, *name_span, parts.len());
                name.to_lowercase().into()
            }
        };
        let parts = parts[1..].iter().map(|(part, _)| Arc::from(part.as_str())).collect();
        Ok(Spanned::new(AttachPoint { provider, parts }, span))
    }

    fn unknown_provider(&mut self, name: &str, span: Span, parts: usize) {
        let error = Diagnostic::error(span, format!("there is no probe type called `{name}`"));
        let names = providers::PROVIDERS.iter().map(|provider| provider.name).filter(|name| name.len() > 2);
        let known = || providers::PROVIDERS.iter().map(|provider| provider.name).collect::<Vec<_>>().join(", ");
        let error = match words::nearest(name, names.chain(words::ITEMS.iter().copied())) {
            Some(likely) => error.with_help(format!("did you mean `{likely}`?")),
            None if parts == 1 => error.with_help(format!("write what kind of place it is first: `kprobe:{name}`")),
            None => error.with_help(format!("known are {}", known())),
        };
        self.report(error);
    }
}

//! `#include`: finding files.

use std::rc::Rc;

use super::Preprocessor;
use crate::headers;
use crate::lex::Punct;
use crate::lex::literals;
use crate::lex::raw::{RawKind, RawToken};
use crate::source::{Diag, Loc};

/// How deeply files may include others.
const MAX_INCLUDE_DEPTH: usize = 100;

/// How often files are included.
const MAX_INCLUDES: usize = 10_000;

/// What stands after `#include`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeaderName {
    name: String,
    quoted: bool,
}

/// A header that was found.
pub(super) struct Found {
    path: String,
    content: Vec<u8>,
    /// Index of its directory: 0 is next to the file that includes it.
    found_in: Option<usize>,
    embedded: bool,
}

impl Preprocessor<'_> {
    /// `#include` and `#include_next`.
    pub(super) fn include(&mut self, directive: &str, rest: &[RawToken], word: RawToken) {
        let angled = rest.first().is_some_and(|token| token.is(Punct::Lt));
        let quoted = matches!(rest.first().map(|token| token.kind), Some(RawKind::Str(_)));
        let tokens = if angled || quoted { rest.to_vec() } else { self.expand_list(rest.to_vec()) };
        let Some(header) = self.header_name(&tokens) else {
            let text = format!("'#{directive}' takes \"NAME\" or <NAME>");
            self.diags.error(rest.first().map_or(word.loc, |token| token.loc), text);
            return;
        };
        let place = rest.first().map_or(word.loc, |token| token.loc);
        self.included += 1;
        if self.files.len() > MAX_INCLUDE_DEPTH || self.included > MAX_INCLUDES {
            let text = format!("files include each other more than {MAX_INCLUDE_DEPTH} deep or {MAX_INCLUDES} times");
            self.diags.push(Diag::error(place, text).with_help("does a header lack '#pragma once' or a guard?"));
            self.stopped = true;
            return;
        }
        if !self.open(&header, directive == "include_next", place) {
            self.missing(&header, place);
        }
    }

    /// A file of `-include`.
    pub(super) fn include_option(&mut self, path: &str) {
        let header = HeaderName { name: path.to_owned(), quoted: true };
        if !self.open(&header, false, Loc::default()) {
            self.missing(&header, Loc::default());
        }
    }

    /// Puts a header onto the stack. False if there is none.
    fn open(&mut self, header: &HeaderName, next: bool, place: Loc) -> bool {
        let Some(found) = self.find_header(header, next, place) else { return false };
        let (file, tokens) = match self.cache.get(&found.path) {
            Some((file, tokens)) => (*file, Rc::clone(tokens)),
            None => {
                let Some(file) = self.sources.add(&found.path, &found.content, found.embedded, place) else {
                    self.diags.error(place, "all files together are too large");
                    self.stopped = true;
                    return true;
                };
                let tokens = self.lex(file);
                self.cache.insert(found.path.clone(), (file, Rc::clone(&tokens)));
                (file, tokens)
            }
        };
        if !self.once.contains(&file) {
            self.push_file(file, tokens, found.found_in, &found.path);
        }
        true
    }

    /// Marks the current file as one that is read once.
    pub(super) fn once(&mut self) {
        if let Some(file) = self.files.last() {
            self.once.insert(file.file);
        }
    }

    fn missing(&mut self, header: &HeaderName, place: Loc) {
        let name = &header.name;
        let mut diag = Diag::error(place, format!("there is no header '{name}'"));
        let file = name.rsplit('/').next().unwrap_or(name);
        if let Some(known) = headers::names().find(|known| known.rsplit('/').next() == Some(file) && *known != name) {
            diag = diag.with_help(format!("there is a built-in header <{known}>"));
        } else {
            diag = diag.with_help("say with -I DIR where it is; 'vmlinux.h' has all types of the kernel");
        }
        self.diags.push(diag);
        self.stopped = true;
    }

    /// The name in the tokens after `#include`.
    pub(super) fn header_name(&self, tokens: &[RawToken]) -> Option<HeaderName> {
        let first = tokens.first()?;
        if let RawKind::Str(sym) = first.kind {
            let name = literals::split(self.sources.text(sym)).1.to_owned();
            return (!name.is_empty()).then_some(HeaderName { name, quoted: true });
        }
        if !first.is(Punct::Lt) {
            return None;
        }
        // Between the brackets the text itself counts: it may look like a comment or hold a quote.
        let end = tokens.iter().position(|token| token.is(Punct::Gt))?;
        let mut name = String::new();
        for (index, token) in tokens[1..end].iter().enumerate() {
            if index > 0 && token.flags.has(crate::lex::TokenFlags::SPACE) {
                name.push(' ');
            }
            token.spell(self.sources, &mut name);
        }
        (!name.is_empty()).then_some(HeaderName { name, quoted: false })
    }

    /// Looks for a header: next to the file, in the directories of `-I`, among the embedded ones.
    pub(super) fn find_header(&mut self, header: &HeaderName, next: bool, place: Loc) -> Option<Found> {
        let name = &header.name;
        if name == headers::VMLINUX && self.options.vmlinux.is_none() {
            return self.embedded(name);
        }
        if let (headers::VMLINUX, Some(path)) = (name.as_str(), &self.options.vmlinux) {
            let path = path.clone();
            return self.read(path, None, place);
        }
        if name.starts_with('/') {
            return self.read(name.clone(), None, place);
        }
        let from = match self.files.last().and_then(|file| file.found_in) {
            Some(index) if next => index + 1,
            _ => 0,
        };
        if from == 0 && header.quoted && !next {
            let dir = self.files.last().map_or_else(String::new, |file| file.dir.clone());
            if let Some(found) = self.read(format!("{dir}{name}"), Some(0), place) {
                return Some(found);
            }
        }
        for index in from.saturating_sub(1)..self.options.include_dirs.len() {
            let dir = self.options.include_dirs[index].trim_end_matches('/');
            if let Some(found) = self.read(format!("{dir}/{name}"), Some(index + 1), place) {
                return Some(found);
            }
        }
        // Programs for BCC name headers of the kernel's sources: the types come from the kernel.
        let of_kernel =
            self.options.bcc && !header.quoted && !name.starts_with("bcc/") && !self.sources.is_system(place);
        self.embedded(if of_kernel { headers::VMLINUX } else { name })
    }

    fn embedded(&self, name: &str) -> Option<Found> {
        let name = headers::own_name(name);
        let (name, content) = match self.helpers_by_use && name == headers::HELPER_DEFS {
            true => (headers::HELPER_DEFS, headers::HELPERS_BY_USE.into()),
            false => headers::find(name)?,
        };
        Some(Found {
            path: format!("<{name}>"),
            content: content.into_owned().into_bytes(),
            found_in: None,
            embedded: true,
        })
    }

    fn read(&mut self, path: String, found_in: Option<usize>, place: Loc) -> Option<Found> {
        if self.cache.contains_key(&path) {
            return Some(Found { path, content: Vec::new(), found_in, embedded: false });
        }
        match self.reader.read(&path) {
            Ok(content) => content.map(|content| Found { path, content, found_in, embedded: false }),
            Err(message) => {
                self.diags.error(place, format!("'{path}' cannot be read: {message}"));
                None
            }
        }
    }
}

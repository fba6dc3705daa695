//! Imports: files that are read and merged into the script.

use std::collections::HashSet;

use skep_diag::{Diagnostic, Span};

use super::{Desugared, Options};
use crate::ast::{Definition, Name, Script};
use crate::parse;
use crate::visit::{Visitor, walk_script};

/// Files that a script may import, all together.
pub const MAX_FILES: usize = 1_000;

/// What kind of file is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A script (`.bt`).
    Script,
    /// Types and constants in C (`.h`).
    Header,
    /// A program in C (`.bpf.c`).
    Program,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its path, by which files are known to be the same.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Its contents.
    pub text: String,
}

/// Reads files for imports.
pub trait Loader {
    /// Reads the file, or the files of the directory, that `path` names in a script with the name `importer`.
    /// Paths are relative to the importing script.
    ///
    /// # Errors
    /// Why it cannot be read and what would help, one sentence: it does not exist, anybody may write to the directory.
    fn load(&self, importer: &str, path: &str) -> Result<Vec<Loaded>, String>;

    /// Reads a header that is named in angle brackets, if it is among those that are to be read. The types of others are
    /// those of the kernel.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    fn system_header(&self, path: &str) -> Result<Option<Loaded>, String> {
        let _ = path;
        Ok(None)
    }
}

/// A loader for scripts that have no files around them.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Loader for NoFiles {
    fn load(&self, _: &str, path: &str) -> Result<Vec<Loaded>, String> {
        Err(format!("`{path}` cannot be imported: this script does not come from a file"))
    }
}

/// Moves places by an offset.
struct Shift(u32);

impl Visitor for Shift {
    fn span(&mut self, span: &mut Span) {
        *span = self.of(*span);
    }
}

impl Shift {
    const fn of(&self, span: Span) -> Span {
        Span::new(span.start.saturating_add(self.0), span.end.saturating_add(self.0))
    }
}

struct Merger<'o> {
    options: &'o Options<'o>,
    work: Desugared,
    seen: HashSet<String>,
    /// Imports that were not read yet, with the names of the scripts that have them.
    open: Vec<(String, Name)>,
}

/// Parses a script and all that it imports.
pub(super) fn merge(text: &str, options: &Options<'_>) -> Desugared {
    let mut merger = Merger {
        options,
        work: Desugared::default(),
        seen: HashSet::from([options.name.to_owned()]),
        open: Vec::new(),
    };
    merger.add(options.name, text);
    for include in options.includes {
        merger.open.push((String::new(), Name::new(include.as_str().into(), Span::new(0, 0))));
    }
    let mut index = 0;
    while let Some((importer, import)) = merger.open.get(index).cloned() {
        merger.import(&importer, &import);
        index += 1;
    }
    merger.work
}

impl Merger<'_> {
    /// Parses a text and adds its parts. Definitions of imports come before those of the script.
    fn add(&mut self, name: &str, text: &str) {
        let Some(base) = self.work.sources.add(name, text) else { return };
        let (mut script, diagnostics) = parse(text);
        let shift = Shift(base);
        walk_script(&mut Shift(base), &mut script);
        let moved = |diagnostic: Diagnostic| Diagnostic { span: shift.of(diagnostic.span), ..diagnostic };
        self.work.diagnostics.extend(diagnostics.into_iter().map(moved));
        let Script { definitions, config, imports, maps, macros, functions, probes } = script;
        let whole = &mut self.work.script;
        if base == 0 {
            whole.config = config;
            whole.definitions = definitions;
        } else {
            if let Some((name, _)) = config.first() {
                let error = Diagnostic::error(name.span, "an imported script has no config block");
                self.work.diagnostics.push(error.with_help("move the settings to the script that imports it"));
            }
            whole.definitions.splice(0..0, definitions);
        }
        whole.maps.extend(maps);
        whole.macros.extend(macros);
        whole.functions.extend(functions);
        whole.probes.extend(probes);
        self.open.extend(imports.into_iter().map(|import| (name.to_owned(), import)));
        // Own headers are read like imports; those of the system are left to whoever knows where they are.
        let headers = whole
            .definitions
            .extract_if(.., |definition| matches!(&definition.node, Definition::Include { system: false, .. }));
        let headers: Vec<_> = headers.collect();
        self.add_system_headers();
        for header in headers {
            if let Definition::Include { name: path, .. } = header.node {
                self.open.push((name.to_owned(), Name::new(path, header.span)));
            }
        }
    }

    /// Reads those of the system's headers that the loader knows, and takes them out of the script.
    fn add_system_headers(&mut self) {
        let (loader, mut found) = (self.options.loader, Vec::new());
        self.work.script.definitions.retain(|definition| {
            let Definition::Include { system: true, name } = &definition.node else { return true };
            match loader.system_header(name) {
                Ok(None) => return true,
                Ok(Some(loaded)) => found.push((Name::new(name.clone(), definition.span), Ok(loaded))),
                Err(reason) => found.push((Name::new(name.clone(), definition.span), Err(reason))),
            }
            false
        });
        for (name, loaded) in found {
            match loaded {
                Ok(Loaded { path, text, .. }) if self.seen.insert(path.clone()) && self.seen.len() <= MAX_FILES => {
                    self.add(&path, &text);
                }
                Ok(_) => {}
                Err(reason) => self.error(&name, reason, "`-I DIRECTORY` says where headers are"),
            }
        }
    }

    fn import(&mut self, importer: &str, import: &Name) {
        let files = match self.options.loader.load(importer, &import.node) {
            Ok(files) => files,
            Err(reason) => return self.error(import, reason, "paths are relative to the script that imports"),
        };
        for Loaded { path, kind, text } in files {
            if !self.seen.insert(path.clone()) {
                continue;
            }
            if self.seen.len() > MAX_FILES {
                return self.error(import, "too many files are imported".into(), "1000 are the limit");
            }
            match kind {
                FileKind::Script | FileKind::Header => self.add(&path, &text),
                FileKind::Program => self.work.programs.push(Name::new(path.into(), import.span)),
            }
        }
    }

    fn error(&mut self, import: &Name, message: String, help: &str) {
        self.work.diagnostics.push(Diagnostic::error(import.span, message).with_help(help));
    }
}

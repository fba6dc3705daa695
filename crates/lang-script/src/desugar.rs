//! Passes that make a script simpler before it gets its meaning: imports are merged, preprocessor lines obeyed, constants,
//! positional parameters and macros replaced by what they stand for.
//!
//! Afterwards the tree has no imports, no preprocessor lines but `#include <...>`, no macros, no positional parameters.
//! Places in it count within the joined text of all files: [`Sources`] finds the file.

use skep_diag::{Diagnostic, Severity};

use crate::ast::{Name, Script};

mod conditions;
mod constants;
mod imports;
mod macros;
mod positional;
mod sources;

pub use imports::{FileKind, Loaded, Loader, NoFiles};
pub use sources::Sources;

/// Nodes that replacing may add to a script.
pub const MAX_NODES: usize = 500_000;
/// Height of the trees that replacing may build.
pub const MAX_HEIGHT: u32 = 800;

/// What passes need to know besides the script.
pub struct Options<'a> {
    /// Name of the script in messages, and its path for imports that are relative to it.
    pub name: &'a str,
    /// Arguments of the script: `$1` is the first.
    pub params: &'a [String],
    /// Where imports come from.
    pub loader: &'a dyn Loader,
    /// Files that are read as if the script included them.
    pub includes: &'a [String],
    /// Names that the preprocessor knows, with their values. `BPFTRACE_HAVE_BTF` tells scripts that types come from BTF.
    pub defined: &'a [(&'a str, &'a str)],
    /// Whether there is a builtin function or value of that name, which is used where no macro fits.
    pub builtin: &'a dyn Fn(&str) -> bool,
}

impl Default for Options<'_> {
    /// A script without arguments and files, types from BTF.
    fn default() -> Self {
        Self {
            name: "script",
            params: &[],
            loader: &NoFiles,
            includes: &[],
            defined: &[("BPFTRACE_HAVE_BTF", "1")],
            builtin: &|_| false,
        }
    }
}

/// A simplified script.
#[derive(Debug, Clone, Default)]
pub struct Desugared {
    /// The script.
    pub script: Script,
    /// The texts that its places count in.
    pub sources: Sources,
    /// Imports of C programs for the kernel (`.bpf.c`), which something else has to compile.
    pub programs: Vec<Name>,
    /// Errors and warnings of parser and passes.
    pub diagnostics: Vec<Diagnostic>,
}

impl Desugared {
    /// Whether there are errors: the script is then incomplete.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Parses a script and runs all passes.
pub fn desugar(text: &str, options: &Options<'_>) -> Desugared {
    let mut work = imports::merge(text, options);
    conditions::apply(&mut work, options);
    let constants = constants::collect(&work.script);
    positional::replace(&mut work, options);
    macros::check(&mut work);
    constants::replace(&mut work, &constants);
    macros::expand(&mut work, options);
    work.diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    work.diagnostics.dedup();
    work
}

/// How much a pass may still add.
struct Budget {
    nodes: usize,
    /// Whether running out of it was reported.
    reported: bool,
}

impl Budget {
    const fn new() -> Self {
        Self { nodes: MAX_NODES, reported: false }
    }

    /// Takes nodes; says whether there were enough.
    fn take(&mut self, nodes: usize) -> bool {
        let enough = nodes <= self.nodes;
        self.nodes = self.nodes.saturating_sub(nodes);
        enough
    }

    /// The error that the budget is used up, once.
    fn error(&mut self, span: skep_diag::Span) -> Option<Diagnostic> {
        let first = !std::mem::replace(&mut self.reported, true);
        let error = Diagnostic::error(span, "macros and constants make this script too large");
        first.then(|| {
            error.with_help(
                "they may add half a million nodes, 800 of them on top of one another: use functions or loops",
            )
        })
    }
}

#[cfg(test)]
mod tests;

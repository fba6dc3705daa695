//! Probe specifications as BCC's generic tools take them (`trace`, `argdist`, `funccount`, `stackcount`, `funclatency`,
//! `funcslower`, `funcinterval`), translated to scripts.
//!
//! ```text
//!  'r::vfs_read (retval < 0) "%d", retval' --spec--> where --expr, action--> what --trace--> a script, as text
//!                                                                                                  |
//!  lines and tables in the tools' forms <------------------ report::Report <---- JSON lines -------+
//! ```
//!
//! What lives here: the grammars, the rewriting of their C expressions into those of the script language, and the forms of
//! their output. Compiling and running scripts is done elsewhere; nothing here asks the machine anything.
//!
//! Each tool gives a [`Translated`]: the text of a script, which a person can read and keep.

use skep_diag::{Diagnostic, Span};

pub mod action;
pub mod argdist;
pub mod count;
pub mod expr;
pub mod flags;
pub mod fuzz;
pub mod latency;
pub mod report;
pub mod spec;
mod text;
pub mod trace;

/// What a tool's arguments were translated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// The script.
    pub script: String,
    /// How what it sends is printed.
    pub report: report::Layout,
}

/// What is wrong with one of several specifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The specification as it was given; places count in it.
    pub source: String,
    /// What is wrong, at least one error.
    pub diagnostics: Vec<Diagnostic>,
}

impl Problem {
    fn one(source: &str, diagnostic: Diagnostic) -> Self {
        Self { source: source.to_owned(), diagnostics: vec![diagnostic] }
    }
}

/// A part of a specification, `usize` offsets as a span. Specifications are shorter than 4 GiB: [`MAX_LENGTH`].
fn span(start: usize, end: usize) -> Span {
    let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
    Span::new(place(start), place(end))
}

/// Bytes of the longest specification.
pub const MAX_LENGTH: usize = 1 << 16;

/// Processes that are looked at; nothing set means all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Process id.
    pub pid: Option<u32>,
    /// Thread id.
    pub tid: Option<u32>,
    /// User id.
    pub uid: Option<u32>,
    /// Processor.
    pub cpu: Option<u32>,
    /// Path of a control group (version 2).
    pub cgroup: Option<String>,
    /// A part of the name of the thread.
    pub comm: Option<String>,
    /// A process that is left out: that of the tool itself.
    pub not_pid: Option<u32>,
}

impl Filter {
    /// The conditions in the script language, to be joined by `&&`.
    fn conditions(&self) -> Vec<String> {
        let number = |name: &str, value: Option<u32>| value.map(|value| format!("{name} == {value}"));
        let mut all: Vec<String> =
            [number("pid", self.pid), number("tid", self.tid), number("uid", self.uid), number("cpu", self.cpu)]
                .into_iter()
                .flatten()
                .collect();
        all.extend(self.not_pid.map(|pid| format!("pid != {pid}")));
        all.extend(self.cgroup.as_ref().map(|path| format!("cgroup == cgroupid({})", text::quoted(path))));
        all.extend(self.comm.as_ref().map(|part| format!("strcontains(comm, {})", text::quoted(part))));
        all
    }

    /// The predicate of a probe, with a blank behind it; empty without conditions.
    fn predicate(&self, more: Option<&str>) -> String {
        let mut all = self.conditions();
        all.extend(more.map(|condition| format!("({condition})")));
        if all.is_empty() { String::new() } else { format!("/{}/ ", all.join(" && ")) }
    }
}

/// The beginning of a script: settings, with room for texts of so many bytes and their end, and a buffer of so many pages.
fn settings(string_size: Option<u32>, pages: Option<u32>) -> String {
    let room =
        string_size.map(|bytes| format!("  max_strlen = {};\n", bytes.saturating_add(1).max(64))).unwrap_or_default();
    let buffer = pages.map(|pages| format!("  perf_rb_pages = {};\n", pages.next_power_of_two())).unwrap_or_default();
    format!("config = {{\n  print_maps_on_exit = false;\n{room}{buffer}}}\n\n")
}

/// The C part of a script: files with definitions of types.
fn includes(files: &[String]) -> String {
    let quoted = |file: &String| {
        if file.starts_with(['.', '/']) { format!("#include \"{file}\"\n") } else { format!("#include <{file}>\n") }
    };
    files.iter().map(quoted).collect()
}

#[cfg(test)]
mod tests;

//! What the user asks of a compilation.

use skep_isa::Release;

/// Settings of one compilation, as `skep build` takes them.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Macros of `-D` and `-U`, in their order.
    pub macros: Vec<MacroOption>,
    /// Directories of `-I`, searched for both forms of `#include`.
    pub include_dirs: Vec<String>,
    /// Files of `-include`, read before the main file.
    pub includes: Vec<String>,
    /// A file that is read for `vmlinux.h`; without one, its types come from the source of types.
    pub vmlinux: Option<String>,
    /// The version of the instruction set, 1 to 4; nothing means 3.
    pub cpu: Option<u8>,
    /// Whether the program is in the dialect of BCC.
    pub bcc: bool,
    /// A text that is read before the main file, in the dialect of BCC: structures of tracepoints.
    pub prelude: String,
    /// The oldest kernel that the object has to run on: newer features are warned of.
    pub target_kernel: Option<Release>,
}

impl Options {
    /// The version of the instruction set, 1 to 4.
    pub fn cpu(&self) -> u8 {
        self.cpu.unwrap_or(3)
    }
}

/// One `-D` or `-U`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MacroOption {
    /// `-D NAME` or `-D NAME=TEXT`; without a text it is `1`. The name may have parameters: `-D 'MAX(a,b)=...'`.
    Define(String, Option<String>),
    /// `-U NAME`.
    Undefine(String),
}

//! Errors: what was looked for, where, and what there is instead.

use std::fmt;

/// Why a symbol, file or probe was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SymError {
    /// A file could not be read.
    File {
        /// Its path.
        path: String,
        /// The reason in words.
        reason: String,
    },
    /// A file is no ELF file, or a broken one.
    Format {
        /// Its path.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing of this name.
    Missing {
        /// What kind of thing: "function", "probe".
        what: &'static str,
        /// The name that was given.
        name: String,
        /// Where it was looked for.
        place: String,
        /// What may help, or similar names; may be empty.
        remedy: String,
    },
    /// The kernel hides its addresses.
    Hidden,
}

impl fmt::Display for SymError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, reason } => write!(f, "cannot read `{path}`: {reason}"),
            Self::Format { path, reason } => write!(f, "`{path}` is no usable ELF file: {reason}"),
            Self::Missing { what, name, place, remedy } => {
                write!(f, "there is no {what} `{name}` in {place}")?;
                if remedy.is_empty() { Ok(()) } else { write!(f, "; {remedy}") }
            }
            Self::Hidden => f.write_str(
                "the kernel hides its addresses from this process (kernel.kptr_restrict, CAP_SYSLOG); run it with sudo, \
                 or `sysctl -w kernel.kptr_restrict=0`",
            ),
        }
    }
}

impl std::error::Error for SymError {}

impl SymError {
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase();
        Self::File { path: path.display().to_string(), reason }
    }
}

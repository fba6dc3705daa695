//! How a sub-command ends if it does not succeed: what is said, and the exit status.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use skep_diag::Diagnostic;
use skep_packet::WriteError;
use skep_packet::write::CopyError;

/// A line on standard error, like `eprintln!`, but if nobody reads it that is no reason to panic.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// Text on standard error without a line end.
macro_rules! say_part {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stderr(), $($text)*);
    }};
}

pub(crate) use {say, say_part};

/// Why a sub-command ended early.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that makes no sense. Status 2.
    Usage(String),
    /// The expression is faulty; the diagnostics are drawn already. Status 2.
    Expression(String),
    /// Input, capture or output failed. Status 1.
    Run(String),
    /// Programs of a script could not be loaded or attached. Status 255.
    Attach(String),
    /// Whoever read our output has gone away: nothing to complain about. Status 0.
    ClosedPipe,
}

impl Failure {
    /// Input, capture or output failed with this error.
    pub fn run(error: impl std::fmt::Display) -> Self {
        Self::Run(error.to_string())
    }

    /// What went wrong, in one line.
    pub fn line(&self) -> String {
        let text = match self {
            Self::Usage(text) | Self::Expression(text) | Self::Run(text) | Self::Attach(text) => text.as_str(),
            Self::ClosedPipe => "nobody reads the output",
        };
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        line.trim().trim_start_matches("error: ").to_owned()
    }

    /// A faulty expression: draws all diagnostics under the name that the reader knows the text by.
    pub fn expression(diagnostics: &[Diagnostic], name: &str, text: &str) -> Self {
        let colour = colour_on_stderr();
        Self::Expression(diagnostics.iter().map(|one| skep_diag::render(one, name, text, colour)).collect())
    }

    /// Says it on standard error and gives the exit status.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                note(&text);
                ExitCode::from(2)
            }
            Self::Expression(text) => {
                say_part!("{text}");
                ExitCode::from(2)
            }
            Self::Run(text) => {
                note(&text);
                ExitCode::from(1)
            }
            Self::Attach(text) => {
                note(&text);
                ExitCode::from(255)
            }
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        if error.is_closed_pipe() && error.name == "-" { Self::ClosedPipe } else { Self::run(error) }
    }
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read(error) => Self::run(error),
            CopyError::Write(error) => error.into(),
        }
    }
}

/// A line on standard error that begins with the name of the program.
pub fn note(text: &str) {
    say!("skep: {text}");
}

/// Whether diagnostics may be coloured: <https://no-color.org> and terminals that cannot are respected.
pub fn colour_on_stderr() -> bool {
    io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

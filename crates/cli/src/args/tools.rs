//! `skep tools` and `skep NAME`. What a tool takes is in its head; `skep_tools::command` makes a command line of it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// The tools, by the questions that they answer: `skep NAME` runs one.
///
/// A user's own tools are scripts with a head in ~/.config/skep/tools, in the directories of SKEP_TOOLS_PATH, or in that of
/// --tools-path.
#[derive(Debug, Clone, Args)]
pub struct ToolsArgs {
    /// Another directory with tools
    #[arg(long, value_name = "DIR")]
    pub tools_path: Option<PathBuf>,
}

/// Run a tool: `skep NAME` is the same for those that `skep tools` lists.
#[derive(Debug, Clone, Args)]
#[command(disable_help_flag = true)]
pub struct ToolArgs {
    /// Another directory with tools
    #[arg(long, value_name = "DIR")]
    pub tools_path: Option<PathBuf>,
    /// The tool
    pub name: String,
    /// Its options; `skep NAME --help` explains them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

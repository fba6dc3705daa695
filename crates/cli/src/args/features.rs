//! The options of `skep features` and `skep help`.

use clap::Args;

/// What `skep features` is asked for.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  skep features\n  skep features maps\n  skep features lru\n  \
                        skep features --helpers redirect\n  skep features --json")]
pub struct FeaturesArgs {
    /// Only this group (system, programs, maps, attach, links, instructions, helpers, kfuncs), or names that contain
    /// this text
    pub filter: Option<String>,
    /// One line for each feature, those that are there included
    #[arg(long)]
    pub all: bool,
    /// Also try every helper in every program type
    #[arg(long)]
    pub helpers: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `skep help` is asked for.
#[derive(Debug, Clone, Args)]
pub struct HelpArgs {
    /// A sub-command, or a topic (prog, map, helper, kfunc, attach, link, insn, limit, script) and a name
    pub words: Vec<String>,
}

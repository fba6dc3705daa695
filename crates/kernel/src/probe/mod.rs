//! What the running kernel can do, found out by trying, and why something is missing.
//!
//! Every row of the tables of `skep_isa` becomes a [`Finding`]: program and map types by loading the least program and
//! creating the least map, instructions by the least program that has them, helpers by a call in every program type,
//! attach types, links and kfuncs by the types that the kernel publishes. Nothing stays behind: all descriptors are
//! closed when the function returns.

mod config;
mod helpers;
mod insns;
mod maps;
mod programs;
mod reason;
mod system;
mod tracing;
mod types;

use skep_isa::Release;

pub use config::KernelConfig;
pub use insns::instruction_set;
pub use reason::Reason;

use types::KernelTypes;

/// What a finding is about; the topics of the reference carry the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Settings and file systems.
    System,
    /// Program types.
    Programs,
    /// Map types.
    Maps,
    /// Attach types.
    Attach,
    /// Kinds of links.
    Links,
    /// Instructions.
    Instructions,
    /// Helpers per program type.
    Helpers,
    /// Kernel functions that programs call by name.
    Kfuncs,
}

impl Group {
    /// Every group in the order in which they are shown.
    pub const ALL: &'static [Self] = &[
        Self::System,
        Self::Programs,
        Self::Maps,
        Self::Attach,
        Self::Links,
        Self::Instructions,
        Self::Helpers,
        Self::Kfuncs,
    ];

    /// Its name for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Programs => "programs",
            Self::Maps => "maps",
            Self::Attach => "attach",
            Self::Links => "links",
            Self::Instructions => "instructions",
            Self::Helpers => "helpers",
            Self::Kfuncs => "kfuncs",
        }
    }
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is there: it was tried, or the kernel's types name it.
    Present,
    /// It is there and has this value.
    Value(String),
    /// It is not there, or not for this process.
    Missing(Reason),
}

/// One feature and what was found out about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of feature it is.
    pub group: Group,
    /// Its name in the tables; for helpers that of the program type, a slash and the helper.
    pub name: String,
    /// First release that has it, `None` for settings.
    pub since: Option<Release>,
    /// What was found out.
    pub status: Status,
}

impl Finding {
    /// Whether it is there.
    pub const fn is_present(&self) -> bool {
        !matches!(self.status, Status::Missing(_))
    }
}

/// Tries things out. Reads the kernel's types and configuration when the first question needs them.
#[derive(Debug, Default)]
pub struct Prober {
    types: std::cell::OnceCell<KernelTypes>,
    config: std::cell::OnceCell<KernelConfig>,
}

impl Prober {
    /// A prober that has asked nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything about one group, in the order of its table.
    ///
    /// [`Group::Helpers`] loads a small program for each helper, program type and attach type, about ten thousand, which
    /// takes a second or two; the others take milliseconds.
    pub fn group(&self, group: Group) -> Vec<Finding> {
        match group {
            Group::System => system::probe(self),
            Group::Programs => programs::probe(self),
            Group::Maps => maps::probe(self),
            Group::Attach => programs::probe_attach(self),
            Group::Links => types::probe_links(self),
            Group::Instructions => insns::probe(self),
            Group::Helpers => helpers::probe(self),
            Group::Kfuncs => types::probe_kfuncs(self),
        }
    }

    /// The configuration that the kernel was built with, as far as it can be read.
    pub fn config(&self) -> &KernelConfig {
        self.config.get_or_init(KernelConfig::read)
    }

    fn types(&self) -> &KernelTypes {
        self.types.get_or_init(KernelTypes::read)
    }
}

//! What is defined before the first line. TABLE: words, and the operators that ask what the compiler can.

use skep_ir::hash::QuickMap;

use super::macros::Builtin;
use crate::source::{Sources, Sym};

/// Macros that are defined in every translation unit. Their values are those of clang for this target, so that sources
/// which ask for sizes and versions find what they expect.
pub(super) const PREDEFINED: &str = include_str!("predefined.h");

/// What version 4 of the instruction set adds.
pub(super) const CPU4: &str = "#define __BPF_FEATURE_LDSX 1\n#define __BPF_FEATURE_MOVSX 1\n#define __BPF_FEATURE_BSWAP 1\n\
    #define __BPF_FEATURE_SDIV_SMOD 1\n#define __BPF_FEATURE_GOTOL 1\n#define __BPF_FEATURE_ST 1\n";

/// Macros without a definition.
const BUILTINS: &[(&str, Builtin)] = &[
    ("__FILE__", Builtin::File),
    ("__FILE_NAME__", Builtin::FileName),
    ("__BASE_FILE__", Builtin::BaseFile),
    ("__LINE__", Builtin::Line),
    ("__COUNTER__", Builtin::Counter),
    ("__INCLUDE_LEVEL__", Builtin::IncludeLevel),
    ("__DATE__", Builtin::Date),
    ("__TIME__", Builtin::Time),
    ("__TIMESTAMP__", Builtin::Timestamp),
];

/// An operator of `#if` that looks like a macro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    /// `__has_include`
    Include,
    /// `__has_include_next`
    IncludeNext,
    /// `__has_builtin`
    Builtin,
    /// `__has_attribute`
    Attribute,
    /// `__has_feature` and `__has_extension`
    Feature,
    /// All others: nothing is there.
    Nothing,
}

const QUERIES: &[(&str, Query)] = &[
    ("__has_include", Query::Include),
    ("__has_include_next", Query::IncludeNext),
    ("__has_builtin", Query::Builtin),
    ("__has_attribute", Query::Attribute),
    ("__has_feature", Query::Feature),
    ("__has_extension", Query::Feature),
    ("__has_c_attribute", Query::Nothing),
    ("__has_cpp_attribute", Query::Nothing),
    ("__has_declspec_attribute", Query::Nothing),
    ("__has_warning", Query::Nothing),
];

/// Attributes: what `__has_attribute` says yes to.
const ATTRIBUTES: &[&str] = &[
    "aligned",
    "always_inline",
    "btf_decl_tag",
    "btf_type_tag",
    "cleanup",
    "deprecated",
    "fallthrough",
    "flatten",
    "format",
    "may_alias",
    "musttail",
    "naked",
    "noinline",
    "noreturn",
    "packed",
    "preserve_access_index",
    "preserve_static_offset",
    "pure",
    "section",
    "unused",
    "used",
    "visibility",
    "warn_unused_result",
    "weak",
];

/// What `__has_feature` says yes to.
const FEATURES: &[&str] =
    &["c_alignas", "c_alignof", "c_generic_selections", "c_static_assert", "statement_attributes_with_gnu_syntax"];

impl Query {
    /// The answer for a name; `__name__` is the same as `name`.
    pub(super) fn answer(self, name: &str) -> bool {
        let bare = name.strip_prefix("__").and_then(|name| name.strip_suffix("__")).unwrap_or(name);
        match self {
            Self::Builtin => crate::parse::builtin::is_builtin(name),
            Self::Attribute => ATTRIBUTES.contains(&bare),
            Self::Feature => FEATURES.contains(&bare),
            Self::Include | Self::IncludeNext | Self::Nothing => false,
        }
    }
}

/// Numbers of the words that the preprocessor knows.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) defined: Sym,
    pub(super) va_args: Sym,
    pub(super) va_opt: Sym,
    pub(super) pragma: Sym,
    pub(super) queries: QuickMap<Sym, Query>,
    pub(super) builtins: QuickMap<Sym, Builtin>,
}

impl Words {
    pub(super) fn new(sources: &mut Sources) -> Self {
        Self {
            defined: sources.intern("defined"),
            va_args: sources.intern("__VA_ARGS__"),
            va_opt: sources.intern("__VA_OPT__"),
            pragma: sources.intern("_Pragma"),
            queries: QUERIES.iter().map(|&(name, query)| (sources.intern(name), query)).collect(),
            builtins: BUILTINS.iter().map(|&(name, builtin)| (sources.intern(name), builtin)).collect(),
        }
    }
}

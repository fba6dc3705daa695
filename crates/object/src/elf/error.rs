//! Why an object file cannot be read: the place and the reason.

use std::fmt;

use skep_btf::BtfError;
use skep_isa::ebpf::InsnError;

use crate::{AttachError, ObjectError};

/// Why an object file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfError {
    /// The section that it is about.
    pub section: Option<String>,
    /// The symbol (function, variable, map) that it is about.
    pub symbol: Option<String>,
    /// Offset in bytes, in the section if there is one and in the file otherwise.
    pub offset: Option<u64>,
    /// What is wrong.
    pub problem: ElfProblem,
}

/// What is wrong with an object file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElfProblem {
    /// Not an ELF file.
    NotElf,
    /// An ELF file, but not what clang makes for BPF: what was found and what to do.
    NotBpf(&'static str),
    /// Made for another machine (`e_machine`).
    Machine(u16),
    /// Something lies beyond the end of the file or of its section; its name.
    Truncated(&'static str),
    /// Sections share bytes, which no compiler does.
    Overlap,
    /// An index of a section or symbol that does not exist.
    NoSuch(&'static str, u64),
    /// A name without end, longer than 4,096 bytes, or not UTF-8.
    Name,
    /// Two relocations or tables of relocations for one place.
    Duplicate(&'static str),
    /// A relocation of a type that has no place here; its number.
    Relocation(u32),
    /// Code whose position or length is no multiple of 8 bytes.
    Unaligned,
    /// An instruction that does not exist.
    Code(InsnError),
    /// A jump out of its function; the distance.
    JumpOutside(i32),
    /// What is declared as the running kernel's cannot be; the reason.
    Extern(&'static str),
    /// The name of a section with code cannot be understood.
    Section(AttachError),
    /// Defined nowhere.
    Undefined,
    /// A variable without a section (`-fcommon`).
    Common,
    /// No function starts where a call or function pointer leads; the offset in the target's section.
    NoFunction(u64),
    /// No map starts where a reference leads; the offset in the target's section.
    NoMap(u64),
    /// Variables of an arena, and no map that is one.
    NoArena,
    /// A reference to a section that programs cannot reach; its name.
    Unreachable(String),
    /// A reference beyond the end of a section of variables.
    OutsideData,
    /// Variables that hold addresses, which nobody could fill in.
    Pointers,
    /// An array of programs refers to a function that is no program.
    NotAProgram,
    /// The definition of a map is wrong.
    Map(String),
    /// Maps are defined in `.maps`, but there is no type information that says how.
    NoBtf,
    /// The type information is damaged.
    Btf(BtfError),
    /// More instructions than anything could run.
    TooLarge,
    /// More variables than a map can hold.
    VariablesTooLarge,
    /// A whole that no executor could load.
    Object(Box<ObjectError>),
}

impl ElfError {
    /// An error about the whole file.
    pub(crate) const fn new(problem: ElfProblem) -> Self {
        Self { section: None, symbol: None, offset: None, problem }
    }

    /// An error at an offset of the file.
    pub(crate) const fn at_file(offset: u64, problem: ElfProblem) -> Self {
        Self { section: None, symbol: None, offset: Some(offset), problem }
    }

    /// An error about a section.
    pub(crate) fn in_section(section: &str, problem: ElfProblem) -> Self {
        Self { section: Some(section.to_owned()), ..Self::new(problem) }
    }

    /// The same at an offset of its section.
    pub(crate) fn at(self, offset: u64) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// The same about a symbol, unless it has no name.
    pub(crate) fn about(self, symbol: &str) -> Self {
        if symbol.is_empty() { self } else { Self { symbol: Some(symbol.to_owned()), ..self } }
    }
}

impl From<BtfError> for ElfError {
    fn from(error: BtfError) -> Self {
        Self::new(ElfProblem::Btf(error))
    }
}

impl From<BtfError> for ElfProblem {
    fn from(error: BtfError) -> Self {
        Self::Btf(error)
    }
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(section) = &self.section {
            write!(f, "section `{section}`")?;
            separator = ", ";
        }
        if let Some(offset) = self.offset {
            let of = if self.section.is_none() { " of the file" } else { "" };
            write!(f, "{separator}offset {offset:#x}{of}")?;
            separator = ", ";
        }
        if let Some(symbol) = &self.symbol {
            write!(f, "{separator}`{symbol}`")?;
            separator = ", ";
        }
        if !separator.is_empty() {
            f.write_str(": ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for ElfError {}

impl fmt::Display for ElfProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an ELF file; give what `clang -O2 -g -target bpf -c` writes"),
            Self::NotBpf(what) => write!(f, "{what}; compile with `clang -O2 -g -target bpfel -c`"),
            Self::Machine(found) => {
                write!(f, "made for machine {found}, expected 247 (BPF); compile with `clang -target bpf -c`")
            }
            Self::Truncated(what) => write!(f, "{what} ends beyond the end of the data; the file is damaged"),
            Self::Overlap => f.write_str("sections overlap; the file is damaged"),
            Self::NoSuch(what, index) => write!(f, "there is no {what} {index}; the file is damaged"),
            Self::Name => f.write_str("a name has no end within 4,096 bytes or is not UTF-8"),
            Self::Duplicate(what) => write!(f, "two {what} for one place; the file is damaged"),
            Self::Relocation(kind) => write!(f, "a relocation of type {kind} has no meaning here"),
            Self::Unaligned => f.write_str("code must begin and end at a multiple of 8 bytes"),
            Self::Code(error) => error.fmt(f),
            Self::JumpOutside(distance) => write!(f, "a jump by {distance} leaves its function"),
            Self::Extern(problem) => f.write_str(problem),
            Self::Section(error) => error.fmt(f),
            Self::Undefined => f.write_str(
                "is declared but defined nowhere; define it, link the objects first, or, for what the kernel has, declare it with \
                 `__ksym` and compile with `-g`",
            ),
            Self::Common => f.write_str("has no section; initialise it or compile with `-fno-common`"),
            Self::NoFunction(offset) => write!(f, "no function starts at the target, offset {offset:#x}"),
            Self::NoMap(offset) => write!(f, "no map starts at the target, offset {offset:#x}"),
            Self::NoArena => f.write_str("its variables are in an arena, but no map has the type BPF_MAP_TYPE_ARENA"),
            Self::Unreachable(section) => write!(
                f,
                "a reference to section `{section}`, which programs cannot reach; put variables into `.data`, \
                 `.rodata` or `.bss` or a section whose name begins with one of them and a point"
            ),
            Self::OutsideData => f.write_str("a reference beyond the end of the variables"),
            Self::Pointers => f.write_str(
                "variables of this section are initialised with addresses, which exist only at run time; use indices \
                 or assign them in the program",
            ),
            Self::NotAProgram => {
                f.write_str("is no program; give the function a section of its own with `SEC(...)` and make it global")
            }
            Self::Map(problem) => f.write_str(problem),
            Self::NoBtf => f.write_str("maps are defined here, but section `.BTF` is missing; compile with `-g`"),
            Self::Btf(error) => error.fmt(f),
            Self::TooLarge => f.write_str("the programs have more instructions than can be run"),
            Self::VariablesTooLarge => f.write_str("its variables have more bytes than a map can hold"),
            Self::Object(error) => error.fmt(f),
        }
    }
}

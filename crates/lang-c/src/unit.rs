//! What compilation hands over: plain data from which an object is made.

use skep_ir::{FuncRef, GlobalRef, MapRef, Module};

use crate::source::Loc;

/// A translation unit after compilation.
///
/// The module has everything that code generation reads: functions with their kinds, maps, variables, relocated constants,
/// kernel functions, BTF of the program's own types, licence. The rest says what only loaders ask for.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    /// The intermediate representation. It follows the rules of the representation.
    pub module: Module,
    /// The programs in the order of the source.
    pub programs: Vec<Program>,
    /// What a map has beyond its declaration in the module; by the numbers of [`Module::maps`].
    pub maps: Vec<MapExtra>,
    /// What the loader has to find on the machine.
    pub externs: Vec<Extern>,
    /// Tables of operations of the kernel.
    pub tables: Vec<Table>,
    /// `version` section, 0 if there is none.
    pub kernel_version: u32,
    /// Bytes of stack that the variables of each function take before optimisation, with the place of the function.
    pub frames: Vec<(FuncRef, u32, Loc)>,
}

/// A program.
#[derive(Debug, Clone)]
pub struct Program {
    /// The function.
    pub func: FuncRef,
    /// Name of its section as written: `?tp/sched/sched_switch`.
    pub section: String,
    /// Whether loaders load it unless told otherwise.
    pub autoload: bool,
    /// Where it is defined.
    pub loc: Loc,
}

/// What the definition of a map says to loaders.
#[derive(Debug, Clone)]
pub struct MapExtra {
    /// The map.
    pub map: MapRef,
    /// `pinning`: 0 for none, 1 for by name.
    pub pinning: u32,
    /// `map_extra`.
    pub map_extra: u64,
    /// `numa_node`.
    pub numa_node: Option<u32>,
    /// Names of the maps or programs that fill an array of maps or programs, with their index.
    pub values: Vec<(u32, String)>,
    /// Where it is defined.
    pub loc: Loc,
}

/// A table of operations of the kernel (`SEC(".struct_ops")`).
#[derive(Debug, Clone)]
pub struct Table {
    /// Name of the variable.
    pub name: String,
    /// Its section: `.struct_ops`, `.struct_ops.link`, with `?` in front if it may be missing.
    pub section: String,
    /// Its bytes, zero where there are programs.
    pub bytes: Vec<u8>,
    /// Its type in the module's BTF.
    pub ty: u32,
    /// The programs that its members refer to, with the place of each in bytes.
    pub programs: Vec<(u32, String)>,
}

/// A variable that is not defined here.
#[derive(Debug, Clone)]
pub struct Extern {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ExternKind,
    /// Whether the program loads if it is not there; it is zero then.
    pub weak: bool,
    /// Where it is declared.
    pub loc: Loc,
}

/// What an external variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternKind {
    /// A setting of the kernel's configuration (`__kconfig`), or `LINUX_KERNEL_VERSION` and its like. The variable of the
    /// module, in section `.kconfig`, has its size and type; the loader fills in the bytes.
    Kconfig(GlobalRef),
}

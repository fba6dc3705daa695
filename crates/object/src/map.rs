//! Maps as data: what to create and what to put in.

use skep_isa::MapType;
use skep_isa::ebpf::Imm64;

use crate::ProgIdx;

/// Position of a map in [`Object::maps`](crate::Object::maps).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapIdx(pub u32);

impl MapIdx {
    /// Its position as an index into the vector.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The operand of a 64-bit immediate load that yields the map.
    pub const fn load(self) -> Imm64 {
        Imm64::MapFd(self.0 as i32)
    }

    /// The operand of a 64-bit immediate load that yields the address `offset` bytes into the map's first value;
    /// array maps only.
    pub const fn load_value(self, offset: u32) -> Imm64 {
        Imm64::MapFdValue { fd: self.0 as i32, offset }
    }
}

/// Flags of map creation (`BPF_F_*` in `linux/bpf.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MapFlags(pub u32);

impl MapFlags {
    /// Allocate entries when they are needed; required by prefix tries.
    pub const NO_PREALLOC: Self = Self(1 << 0);
    /// A table of operations is registered by a link (`BPF_F_LINK`, Linux 6.4), not by setting its value.
    pub const LINK: Self = Self(1 << 13);
    /// Programs may only read.
    pub const READ_ONLY_FOR_PROGRAMS: Self = Self(1 << 7);
    /// Programs may only write.
    pub const WRITE_ONLY_FOR_PROGRAMS: Self = Self(1 << 8);

    /// Both sets of flags.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What an entry of a map refers to that exists only when everything is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A map, in a map of maps.
    Map(MapIdx),
    /// A program, in an array of programs or a table of operations.
    Program(ProgIdx),
}

/// A map to create, with its first contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapSpec {
    /// Name, at most 15 bytes reach the kernel.
    pub name: String,
    /// Type.
    pub map_type: MapType,
    /// Bytes of a key; 0 for types without keys.
    pub key_size: u32,
    /// Bytes of a value; 0 for types without values.
    pub value_size: u32,
    /// Most entries; bytes for ring buffers. 0 for an array of performance events means one for each processor.
    pub max_entries: u32,
    /// Creation flags.
    pub flags: MapFlags,
    /// Pairs of key and value that the map holds before any program runs.
    pub contents: Vec<(Vec<u8>, Vec<u8>)>,
    /// For a map of maps: what the maps in it are like. Its name and contents do not matter.
    pub inner: Option<Box<MapSpec>>,
    /// For maps of maps and arrays of programs: what the entry with this index refers to before any program runs. For
    /// tables of operations (`struct_ops`): the program in the member at this offset in bytes of [`contents`](Self::contents),
    /// which are laid out as [`value_type`](Self::value_type) says; [`Resolved::tables`](crate::Resolved::tables) has them
    /// as the kernel does.
    pub references: Vec<(u32, Reference)>,
    /// The number whose meaning depends on the type (`map_extra`), for example the hash functions of a Bloom filter.
    pub extra: u64,
    /// The memory node to allocate on; counts only with `BPF_F_NUMA_NODE` among the flags.
    pub numa_node: u32,
    /// Whether only programs may change it once its contents are there; the kernel's verifier then takes what programs
    /// may not write either for constants.
    pub frozen: bool,
    /// Whether the map is meant to be pinned under its name and shared with other objects that say the same.
    pub pinned: bool,
    /// For tables of operations: whether it is left out unless somebody asks for one of its programs.
    pub optional: bool,
    /// Type of the keys, a number in [`Object::btf`](crate::Object::btf).
    pub key_type: Option<u32>,
    /// Type of the values, a number in [`Object::btf`](crate::Object::btf): for global variables their section, for an
    /// operations table the structure.
    pub value_type: Option<u32>,
    /// What the map is made for.
    pub purpose: Purpose,
}

/// What a map is made for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Defined by the author of the program.
    #[default]
    Ordinary,
    /// The global variables of one section, whose name is the map's; the map is an array with one value.
    Variables(Vec<Variable>),
    /// An arena of the author's with variables at its start (section `.addr_space.1`).
    Arena(Image),
    /// Settings of the kernel's build, see [`Extern`](crate::Extern); an array with one value.
    Config,
}

/// What an arena holds before any program runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The variables; offsets count from the start of the arena.
    pub variables: Vec<Variable>,
    /// The first bytes of the arena.
    pub bytes: Vec<u8>,
}

/// A global variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Distance from the start of the map's value in bytes.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Whether other objects can see it.
    pub global: bool,
    /// Whether a definition in another object replaces it (`__weak`).
    pub weak: bool,
    /// Its type, a number in [`Object::btf`](crate::Object::btf).
    pub ty: Option<u32>,
}

impl MapSpec {
    /// An empty map without flags.
    pub fn new(name: &str, map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> Self {
        Self {
            name: name.to_owned(),
            map_type,
            key_size,
            value_size,
            max_entries,
            flags: MapFlags::default(),
            contents: Vec::new(),
            inner: None,
            references: Vec::new(),
            extra: 0,
            numa_node: 0,
            optional: false,
            frozen: false,
            pinned: false,
            key_type: None,
            value_type: None,
            purpose: Purpose::Ordinary,
        }
    }

    /// Whether a program defines it as a map, unlike sections of variables and settings.
    pub const fn is_defined(&self) -> bool {
        matches!(self.purpose, Purpose::Ordinary | Purpose::Arena(_))
    }

    /// The variables in it; none in maps that hold something else.
    pub fn variables(&self) -> &[Variable] {
        match &self.purpose {
            Purpose::Variables(variables) | Purpose::Arena(Image { variables, .. }) => variables,
            Purpose::Ordinary | Purpose::Config => &[],
        }
    }

    /// Whether the entries are maps.
    pub const fn holds_maps(&self) -> bool {
        matches!(self.map_type, MapType::ArrayOfMaps | MapType::HashOfMaps)
    }
}

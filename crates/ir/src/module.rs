//! Modules: what is compiled together and becomes one object.

use std::sync::Arc;

use skep_isa::{AttachType, MapType, ProgType};

use crate::entity::{CoreRef, Entity, FuncRef, GlobalRef, KfuncRef, MapRef};
use crate::function::Function;
use crate::op::CoreKind;

/// Programs with their maps, variables and functions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Module {
    /// Licence, which decides which helpers may be called.
    pub license: String,
    /// Maps.
    pub maps: Vec<MapDecl>,
    /// Variables.
    pub globals: Vec<Global>,
    /// Functions, programs among them.
    pub functions: Vec<Function>,
    /// Constants that depend on the kernel's types.
    pub cores: Vec<Core>,
    /// Kernel functions that are called.
    pub kfuncs: Vec<Kfunc>,
    /// Texts that locations refer to.
    pub sources: Vec<Source>,
    /// BTF of the program's own types, which types of maps, functions and constants refer to; empty if there is none.
    pub btf: Vec<u8>,
}

/// A text that was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name by which the reader knows it.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

/// A map. What the numbers mean is described in `linux/bpf.h` under `BPF_MAP_CREATE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapDecl {
    /// Name.
    pub name: String,
    /// Type.
    pub map_type: MapType,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value.
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// `BPF_F_*`
    pub flags: u32,
    /// For maps of maps: what the maps in it are like.
    pub inner: Option<Box<MapDecl>>,
    /// Types of key and value in [`Module::btf`], 0 for none.
    pub types: [u32; 2],
    /// Entries at the start.
    pub contents: Vec<(Vec<u8>, Vec<u8>)>,
}

impl MapDecl {
    /// A map without flags and contents.
    pub fn new(name: &str, map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> Self {
        Self {
            name: name.to_owned(),
            map_type,
            key_size,
            value_size,
            max_entries,
            flags: 0,
            inner: None,
            types: [0; 2],
            contents: Vec::new(),
        }
    }
}

/// A variable. All variables of one section become one array map with one value; those of [`ARENA`](skep_isa::sections::ARENA) are at the
/// start of the module's arena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    /// Name.
    pub name: String,
    /// Section: `.rodata` is frozen before programs are loaded, and the verifier knows its bytes; `.data` and `.bss` can
    /// be written. Names may go on: `.data.counters`.
    pub section: String,
    /// The bytes at the start.
    pub bytes: Vec<u8>,
    /// Of which the address is a multiple: 1, 2, 4 or 8.
    pub align: u32,
    /// Type in [`Module::btf`], 0 for none.
    pub ty: u32,
}

impl Global {
    /// Whether programs cannot write it.
    pub fn is_read_only(&self) -> bool {
        self.section.starts_with(".rodata")
    }
}

/// A constant that depends on the types of the kernel that the program runs on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Core {
    /// What it says.
    pub kind: CoreKind,
    /// The type in [`Module::btf`].
    pub ty: u32,
    /// The way from the type to a field (`0:3:1`), or the number of an enumerator, as CO-RE relocations spell it.
    pub access: Arc<str>,
    /// Its value by the types of the program itself.
    pub local: i64,
}

/// A function of the kernel, or a variable of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kfunc {
    /// Its name in the kernel's BTF.
    pub name: String,
    /// Whether the program loads without it; its address is null then, and it must not be reached.
    pub weak: bool,
    /// For a variable its type in [`Module::btf`], 0 if only its address is asked for.
    pub variable: Option<u32>,
}

impl Kfunc {
    /// A function.
    pub fn function(name: &str, weak: bool) -> Self {
        Self { name: name.to_owned(), weak, variable: None }
    }
}

/// What a function is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FuncKind {
    /// A program, which the kernel calls.
    Program(ProgramInfo),
    /// A function that is verified at each call, with what is known there.
    Static,
    /// A function that is verified by itself: arguments may be anything of their type.
    Global,
    /// A function that a helper calls back.
    Callback,
}

/// What makes a function a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Program type.
    pub prog_type: ProgType,
    /// Where it is going to be attached, for types that are checked differently from place to place.
    pub attach_type: Option<AttachType>,
    /// `BPF_F_*` for loading.
    pub flags: u32,
    /// The section that it has in an object file: `kprobe/do_nanosleep`.
    pub section: String,
}

impl Module {
    /// An empty module under a licence.
    pub fn new(license: &str) -> Self {
        Self { license: license.to_owned(), ..Self::default() }
    }

    /// Adds a map.
    pub fn add_map(&mut self, map: MapDecl) -> MapRef {
        self.maps.push(map);
        MapRef::new(self.maps.len() - 1)
    }

    /// Adds a variable.
    pub fn add_global(&mut self, global: Global) -> GlobalRef {
        self.globals.push(global);
        GlobalRef::new(self.globals.len() - 1)
    }

    /// Adds a function.
    pub fn add_function(&mut self, function: Function) -> FuncRef {
        self.functions.push(function);
        FuncRef::new(self.functions.len() - 1)
    }

    /// Adds a constant, or finds the same one.
    pub fn add_core(&mut self, core: Core) -> CoreRef {
        let found = self.cores.iter().position(|known| *known == core);
        CoreRef::new(found.unwrap_or_else(|| {
            self.cores.push(core);
            self.cores.len() - 1
        }))
    }

    /// Adds a kernel function, or finds the one of the same name.
    pub fn add_kfunc(&mut self, kfunc: Kfunc) -> KfuncRef {
        let found = self.kfuncs.iter().position(|known| known.name == kfunc.name);
        KfuncRef::new(found.unwrap_or_else(|| {
            self.kfuncs.push(kfunc);
            self.kfuncs.len() - 1
        }))
    }

    /// The function with a name.
    pub fn function(&self, name: &str) -> Option<FuncRef> {
        self.functions.iter().position(|function| function.name == name).map(FuncRef::new)
    }

    /// The programs among the functions.
    pub fn programs(&self) -> impl Iterator<Item = (FuncRef, &ProgramInfo)> {
        self.functions.iter().enumerate().filter_map(|(index, function)| match &function.kind {
            FuncKind::Program(info) => Some((FuncRef::new(index), info)),
            _ => None,
        })
    }
}

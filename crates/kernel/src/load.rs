//! From an [`Object`], which is plain data, to maps and programs in the kernel.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use skep_isa::MapType;
use skep_isa::ebpf::{self, Imm64, Insn, Op};
use skep_object::{MapIdx, MapSpec, Object, ObjectError, Program, Reference};

use crate::errors::KernelError;
use crate::features::possible_cpus;
use crate::load_types::ObjectTypes;
use crate::loaded_btf::LoadedBtf;
use crate::map::{LoadedMap, MapDefinition, MapOptions, MapTypes, Update};
use crate::prog::{LoadedProgram, ProgramDebug, ProgramDefinition, ProgramOptions};

/// Everything of one object, in the kernel. Dropping it frees what nothing else uses.
#[derive(Debug)]
pub struct Loaded {
    /// The maps, in the order of the object.
    pub maps: Vec<LoadedMap>,
    /// The programs, in the order of the object.
    pub programs: Vec<LoadedProgram>,
    /// The types of the object; `None` if it has none or the kernel did not take them.
    pub btf: Option<LoadedBtf>,
    /// Why the kernel did not take the types of the object, if it did not and nothing needed them.
    pub btf_problem: Option<KernelError>,
}

impl Loaded {
    /// The program with the given name.
    pub fn program(&self, name: &str) -> Option<&LoadedProgram> {
        self.programs.iter().find(|program| program.name() == name)
    }

    /// The map at a position of the object.
    pub fn map(&self, map: MapIdx) -> Option<&LoadedMap> {
        self.maps.get(map.index())
    }
}

/// Why an object could not be loaded. Nothing of it stays in the kernel.
#[derive(Debug)]
pub enum LoadError {
    /// The object is wrong in itself.
    Object(ObjectError),
    /// A map could not be created or filled.
    Map {
        /// Its name.
        map: String,
        /// The reason.
        error: KernelError,
    },
    /// A program could not be loaded.
    Program {
        /// Its name.
        program: String,
        /// The reason, with the verifier's log if it refused.
        error: KernelError,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(error) => error.fmt(f),
            Self::Map { map, error } => write!(f, "map `{map}`: {error}"),
            // The verifier's refusal names the program already.
            Self::Program { error: error @ KernelError::Rejected { .. }, .. } => error.fmt(f),
            Self::Program { program, error } => write!(f, "program `{program}`: {error}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Object(error) => Some(error),
            Self::Map { error, .. } | Self::Program { error, .. } => Some(error),
        }
    }
}

/// Creates the maps of an object, fills them, puts their descriptors into the code, loads the programs,
/// and sets the entries that refer to maps and programs.
///
/// # Errors
/// The first part that fails; what was created before it is freed.
pub fn load(object: &Object) -> Result<Loaded, LoadError> {
    object.validate().map_err(LoadError::Object)?;
    // Most programs run without types. Those that need them are refused below for a reason that names the types.
    let (types, btf_problem) = match ObjectTypes::load(object) {
        Ok(types) => (types, None),
        Err(problem) => (None, Some(problem)),
    };
    let maps = object
        .maps
        .iter()
        .map(|spec| create(spec, types.as_ref()).map_err(|error| LoadError::Map { map: spec.name.clone(), error }))
        .collect::<Result<Vec<_>, _>>()?;
    set_references(object, &maps, |reference| match reference {
        Reference::Map(map) => maps.get(map.index()).map(AsFd::as_fd),
        Reference::Program(_) => None,
    })?;
    let programs = (0..object.programs.len())
        .map(|index| load_program(object, index, &maps, types.as_ref(), btf_problem.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    set_references(object, &maps, |reference| match reference {
        Reference::Map(_) => None,
        Reference::Program(program) => programs.get(program.index()).map(AsFd::as_fd),
    })?;
    Ok(Loaded { maps, programs, btf: types.map(|types| types.loaded), btf_problem })
}

fn load_program(
    object: &Object,
    index: usize,
    maps: &[LoadedMap],
    types: Option<&ObjectTypes>,
    btf_problem: Option<&KernelError>,
) -> Result<LoadedProgram, LoadError> {
    let program = &object.programs[index];
    let insns = with_descriptors(program, maps)?;
    let definition = ProgramDefinition {
        name: &program.name,
        prog_type: program.prog_type,
        insns: &insns,
        license: &object.license,
    };
    let debug = types.and_then(|types| {
        let (functions, lines) = types.of_program(index);
        (!functions.is_empty()).then_some(ProgramDebug { btf: types.loaded.as_fd(), functions, lines })
    });
    let options =
        ProgramOptions { attach_type: program.attach_type, flags: program.flags.0, debug, ..ProgramOptions::default() };
    LoadedProgram::load_with(&definition, options).map_err(|mut error| {
        if let (KernelError::Rejected { reason, log, .. }, Some(problem)) = (&mut error, btf_problem) {
            let note = format!("the program was loaded without its types, because {problem}");
            log.add_note(&note);
            *reason = format!("{reason}; {note}");
        }
        LoadError::Program { program: program.name.clone(), error }
    })
}

/// Stores the descriptors that `descriptor` finds in the entries that refer to them.
fn set_references<'a>(
    object: &Object,
    maps: &[LoadedMap],
    descriptor: impl Fn(Reference) -> Option<BorrowedFd<'a>>,
) -> Result<(), LoadError> {
    for (spec, map) in object.maps.iter().zip(maps) {
        for (entry, reference) in &spec.references {
            let Some(fd) = descriptor(*reference) else { continue };
            map.set(&entry.to_ne_bytes(), &fd.as_raw_fd().to_ne_bytes(), Update::Any)
                .map_err(|error| LoadError::Map { map: spec.name.clone(), error })?;
        }
    }
    Ok(())
}

fn create(spec: &MapSpec, types: Option<&ObjectTypes>) -> Result<LoadedMap, KernelError> {
    // The kernel copies the properties of the inner map; it is not needed for longer than this call.
    let inner = spec.inner.as_deref().map(|inner| create(inner, types)).transpose()?;
    let max_entries = match (spec.map_type, spec.max_entries) {
        (MapType::PerfEventArray, 0) => possible_cpus().unwrap_or(0),
        (_, entries) => entries,
    };
    let definition = MapDefinition {
        name: &spec.name,
        map_type: spec.map_type,
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries,
        flags: spec.flags.0,
    };
    let inner = inner.as_ref().map(AsFd::as_fd);
    let plain = MapOptions { inner, numa_node: spec.numa_node, extra: spec.extra, ..MapOptions::default() };
    let known = types.and_then(|types| {
        let (key, value) = types.of_map(spec)?;
        Some(MapOptions { types: Some(MapTypes { btf: types.loaded.as_fd(), key, value }), ..plain })
    });
    // Types that do not fit a map stop nobody who does not need them: who does is told by the verifier.
    let typed = known.map(|options| LoadedMap::create_with(&definition, &options));
    let map = match typed {
        Some(Ok(map)) => map,
        _ => LoadedMap::create_with(&definition, &plain)?,
    };
    let declared = usize::try_from(spec.value_size).ok();
    if declared == Some(map.value_size()) {
        map.fill(&spec.contents)?;
    } else {
        // A per-CPU map starts with the same value on every processor, each in a slot of a multiple of 8 bytes.
        let slot = spec.value_size.next_multiple_of(8) as usize;
        let spread = |value: &[u8]| {
            let mut padded = value.to_vec();
            padded.resize(slot, 0);
            padded.repeat(map.value_size() / slot.max(1))
        };
        let contents: Vec<_> = spec.contents.iter().map(|(key, value)| (key.clone(), spread(value))).collect();
        map.fill(&contents)?;
    }
    if spec.frozen {
        map.freeze()?;
    }
    Ok(map)
}

/// The code of a program with descriptors where it refers to maps by their position.
fn with_descriptors(program: &Program, maps: &[LoadedMap]) -> Result<Vec<Insn>, LoadError> {
    let mut insns = program.insns.clone();
    let ops = ebpf::validate(&program.insns)
        .map_err(|error| LoadError::Object(ObjectError::Code { program: program.name.clone(), error }))?;
    for (at, op) in ops {
        let Op::LoadImm { value: Imm64::MapFd(number) | Imm64::MapFdValue { fd: number, .. }, .. } = op else {
            continue;
        };
        let map = usize::try_from(number).ok().and_then(|number| maps.get(number));
        let slot = usize::try_from(at.0).ok().and_then(|at| insns.get_mut(at));
        // `Object::validate` has made sure of both.
        if let (Some(map), Some(slot)) = (map, slot) {
            slot.imm = map.as_fd().as_raw_fd();
        }
    }
    Ok(insns)
}

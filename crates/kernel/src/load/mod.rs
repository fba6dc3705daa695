//! From an [`Object`], which is plain data, to maps and programs in the kernel.
//!
//! ```text
//!  Object --copy, resolve--> fitted to the kernel --types--> BTF --maps--> maps, filled --target, load_program--> programs
//!            ^                                                                                    |
//!            running: what the kernel has                              entries that refer to maps and programs, pins
//! ```

mod maps;
mod running;
mod tables;
mod target;
mod types;

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use skep_isa::MapType;
use skep_isa::ebpf::{self, Imm64, Insn, Op};
use skep_object::{AttachPoint, MapIdx, Missing, Object, ObjectError, Program, Reference, Resolved, Table};

use crate::errors::KernelError;
use crate::loaded_btf::LoadedBtf;
use crate::log::VerifierLog;
use crate::map::{LoadedMap, Update};
use crate::pin::{BPFFS, unpin};
use crate::prog::{LoadedProgram, LogLevel, ProgramDebug, ProgramDefinition, ProgramOptions};

use maps::MapSources;
pub(crate) use running::syscall_prefix;
pub use running::{RunningKernel, module_btf};
use tables::Belongs;
pub use tables::LoadedTable;
use target::Target;
use types::ObjectTypes;

/// Everything of one object, in the kernel. Dropping it frees what nothing else uses.
#[derive(Debug)]
pub struct Loaded {
    /// The maps, in the order of the object.
    pub maps: Vec<LoadedMap>,
    /// The programs that were loaded, in the order of the object. Those that are not loaded on their own
    /// ([`Program::autoload`]) are not there unless they were asked for.
    pub programs: Vec<LoadedProgram>,
    /// The tables of operations of which all programs were loaded, in the order of the object's maps.
    pub tables: Vec<LoadedTable>,
    /// Tables of operations that nobody asked for ([`MapSpec::optional`](skep_object::MapSpec::optional)): an empty array
    /// stands in their places among the maps.
    pub left_out: Vec<MapIdx>,
    /// The types of the object; `None` if it has none or the kernel did not take them.
    pub btf: Option<LoadedBtf>,
    /// Why the kernel did not take the types of the object, if it did not and nothing needed them.
    pub btf_problem: Option<KernelError>,
    /// What the kernel lacks and the programs can do without.
    pub missing: Vec<Missing>,
    /// Where maps that are shared by name were pinned by this call. They stay there when this value is dropped.
    pub pinned: Vec<PathBuf>,
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
    /// A program was asked for that the object does not have.
    NoSuchProgram {
        /// The name that was given.
        program: String,
        /// The names that there are.
        known: Vec<String>,
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
            Self::NoSuchProgram { program, known } => {
                write!(f, "there is no program `{program}`; there are: {}", known.join(", "))
            }
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
            Self::NoSuchProgram { .. } => None,
            Self::Map { error, .. } | Self::Program { error, .. } => Some(error),
        }
    }
}

/// How an object is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The programs to load; `None` for those that are loaded on their own.
    pub programs: Option<&'a [&'a str]>,
    /// Places of attachment that count instead of the programs' own, which matters for programs that belong to a function
    /// of the kernel: name of the program and place.
    pub places: &'a [(&'a str, AttachPoint)],
    /// For programs that replace a function of another program (or observe one): name and the other program.
    pub targets: &'a [(&'a str, &'a LoadedProgram)],
    /// Maps that exist already and are used in place of the object's: name and map. They must be alike.
    pub maps: &'a [(&'a str, &'a LoadedMap)],
    /// Where maps that are shared by name ([`MapSpec::pinned`](skep_object::MapSpec::pinned)) are looked for and pinned;
    /// `None` to make them like any other map.
    pub pins: Option<&'a Path>,
    /// What the verifier is to log of programs that it accepts: [`LoadedProgram::log`].
    pub log: LogLevel,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        let pins = Some(Path::new(BPFFS));
        Self { programs: None, places: &[], targets: &[], maps: &[], pins, log: LogLevel::None }
    }
}

/// Fits a copy of an object to the running kernel, creates its maps, fills them, puts their descriptors into the code,
/// loads the programs, and sets the entries that refer to maps and programs.
///
/// # Errors
/// The first part that fails; what was created before it is freed.
pub fn load(object: &Object) -> Result<Loaded, LoadError> {
    load_with(object, &LoadOptions::default())
}

/// As [`load`] with what only some objects need.
///
/// # Errors
/// As for [`load`].
pub fn load_with(object: &Object, options: &LoadOptions<'_>) -> Result<Loaded, LoadError> {
    let kernel = RunningKernel::for_object(object);
    let mut fitted = object.clone();
    let left_out = choose(&mut fitted, options)?;
    let (resolved, damaged) = match fitted.resolve(&kernel) {
        Ok(resolved) => (resolved, None),
        // Damaged types are like none for an object that nothing has to be fitted in.
        Err(ObjectError::Types(problem)) if !fitted.is_unresolved() => {
            (Resolved::default(), Some(KernelError::Invalid { action: "load type information (BTF)", problem }))
        }
        Err(error) => return Err(LoadError::Object(error)),
    };
    let object = &fitted;
    object.validate().map_err(LoadError::Object)?;
    // Most programs run without types. Those that need them are refused below for a reason that names the types.
    let (types, btf_problem) = match ObjectTypes::load(object, &resolved.btf) {
        Ok(types) => (types, damaged),
        Err(problem) => (None, Some(problem)),
    };
    let sources =
        MapSources { types: types.as_ref(), given: options.maps, pins: options.pins, tables: &resolved.tables };
    let found = (0..).map(MapIdx).zip(&object.maps);
    let found = found.map(|(index, spec)| sources.open_or_create(index, spec)).collect::<Result<Vec<_>, _>>()?;
    let reused: Vec<bool> = found.iter().map(|(_, reused)| *reused).collect();
    let maps: Vec<LoadedMap> = found.into_iter().map(|(map, _)| map).collect();
    set_references(object, &maps, &reused, |reference| match reference {
        Reference::Map(map) => maps.get(map.index()).map(AsFd::as_fd),
        Reference::Program(_) => None,
    })?;
    let loader = Loader {
        object,
        options,
        kernel: &kernel,
        maps: &maps,
        types: types.as_ref(),
        btf_problem: btf_problem.as_ref(),
        modules: modules(&resolved.modules)?,
        missing: &resolved.missing,
        tables: &resolved.tables,
    };
    let programs: Vec<Option<LoadedProgram>> = (0..object.programs.len())
        .map(|index| object.programs[index].autoload.then(|| loader.load(index)).transpose())
        .collect::<Result<_, _>>()?;
    set_references(object, &maps, &reused, |reference| match reference {
        Reference::Map(_) => None,
        Reference::Program(program) => programs.get(program.index())?.as_ref().map(AsFd::as_fd),
    })?;
    let tables = tables::fill(object, &resolved.tables, &maps, &reused, &programs)?;
    let pinned = pin_maps(object, &maps, &reused, options.pins)?;
    Ok(Loaded {
        maps,
        programs: programs.into_iter().flatten().collect(),
        tables,
        left_out,
        btf: types.map(|types| types.loaded),
        btf_problem,
        missing: resolved.missing,
        pinned,
    })
}

/// Marks the programs that are loaded, and puts places that were given in place of their own. Returns the tables of
/// operations that are left out.
fn choose(object: &mut Object, options: &LoadOptions<'_>) -> Result<Vec<MapIdx>, LoadError> {
    let known = |object: &Object| object.programs.iter().map(|program| program.name.clone()).collect();
    let named = options.programs.into_iter().flatten().copied();
    let named =
        named.chain(options.places.iter().map(|place| place.0)).chain(options.targets.iter().map(|each| each.0));
    if let Some(name) = named.into_iter().find(|name| object.program(name).is_none()) {
        return Err(LoadError::NoSuchProgram { program: name.to_owned(), known: known(object) });
    }
    for program in &mut object.programs {
        if let Some(names) = options.programs {
            program.autoload = names.contains(&program.name.as_str());
        }
        if let Some((_, place)) = options.places.iter().find(|(name, _)| *name == program.name) {
            program.attach = place.clone();
        }
    }
    let left_out = tables::leave_out(object, options.programs);
    if options.programs.is_none() {
        tables::want_programs(object);
    }
    Ok(left_out)
}

/// Opens the BTF of the modules that instructions refer to.
fn modules(names: &[String]) -> Result<Vec<LoadedBtf>, LoadError> {
    let open = |name: &String| {
        module_btf(name).map_err(|error| {
            LoadError::Object(ObjectError::Extern { name: format!("module {name}"), problem: error.to_string() })
        })
    };
    names.iter().map(open).collect()
}

/// Pins the new ones among the maps that are shared by name; all or none.
fn pin_maps(
    object: &Object,
    maps: &[LoadedMap],
    reused: &[bool],
    directory: Option<&Path>,
) -> Result<Vec<PathBuf>, LoadError> {
    let mut pinned = Vec::new();
    let Some(directory) = directory else { return Ok(pinned) };
    for ((spec, map), reused) in object.maps.iter().zip(maps).zip(reused) {
        if !spec.pinned || *reused {
            continue;
        }
        let path = directory.join(&spec.name);
        if let Err(error) = crate::pin::pin(map, &path) {
            // They are seconds old, and removing them is all that can be done.
            pinned.iter().for_each(|path| drop(unpin(path)));
            return Err(LoadError::Map { map: spec.name.clone(), error });
        }
        pinned.push(path);
    }
    Ok(pinned)
}

/// What all programs of an object are loaded with.
struct Loader<'a> {
    object: &'a Object,
    options: &'a LoadOptions<'a>,
    kernel: &'a RunningKernel,
    maps: &'a [LoadedMap],
    types: Option<&'a ObjectTypes>,
    btf_problem: Option<&'a KernelError>,
    modules: Vec<LoadedBtf>,
    missing: &'a [Missing],
    tables: &'a [Table],
}

impl Loader<'_> {
    fn load(&self, index: usize) -> Result<LoadedProgram, LoadError> {
        let program = &self.object.programs[index];
        let insns = with_descriptors(program, self.maps, &self.modules)?;
        let definition = ProgramDefinition {
            name: &program.name,
            prog_type: program.prog_type,
            insns: &insns,
            license: &self.object.license,
        };
        self.load_definition(index, &definition).map_err(|error| LoadError::Program {
            program: program.name.clone(),
            error: self.explained(program, error),
        })
    }

    fn load_definition(&self, index: usize, definition: &ProgramDefinition<'_>) -> Result<LoadedProgram, KernelError> {
        let program = &self.object.programs[index];
        let debug = self.types.and_then(|types| {
            let (functions, lines) = types.of_program(index);
            (!functions.is_empty()).then_some(ProgramDebug { btf: types.loaded.as_fd(), functions, lines })
        });
        let other = self.options.targets.iter().find(|(name, _)| *name == program.name).map(|(_, other)| *other);
        let belongs = tables::belongs(self.tables, program, index)?;
        let target = match (other, &program.attach) {
            _ if belongs.is_some() => belongs.as_ref().map_or_else(Target::default, Belongs::target),
            (Some(other), AttachPoint::ProgramFunction(name) | AttachPoint::TypedFunction { name, .. }) => {
                Target { id: target::in_program(other, name)?, module: None }
            }
            _ => target::find(program, &program.attach, self.kernel)?,
        };
        let module = target.module.as_deref().map(module_btf).transpose()?;
        // Position 0 stands for the kernel and is never looked at.
        let descriptors: Vec<BorrowedFd<'_>> =
            self.modules.first().into_iter().chain(&self.modules).map(AsFd::as_fd).collect();
        let options = ProgramOptions {
            attach_type: program.attach_type,
            member: belongs.map(|belongs| belongs.member),
            flags: program.flags.0,
            debug,
            attach_btf_id: target.id,
            attach_btf: module.as_ref().map(AsFd::as_fd),
            attach_program: other.map(AsFd::as_fd),
            descriptors: &descriptors,
            log: self.options.log,
            ..ProgramOptions::default()
        };
        LoadedProgram::load_with(definition, options)
    }

    /// Adds to a refusal what the verifier cannot know.
    fn explained(&self, program: &Program, mut error: KernelError) -> KernelError {
        if let KernelError::Rejected { reason, log, .. } = &mut error {
            let types =
                self.btf_problem.map(|problem| format!("the program was loaded without its types, because {problem}"));
            if let Some(note) = missing_note(log, self.missing, &program.name).or(types) {
                log.add_note(&note);
                *reason = format!("{reason}; {note}");
            }
        }
        error
    }
}

/// What the kernel lacks where the verifier met an instruction that stands for it.
fn missing_note(log: &VerifierLog, missing: &[Missing], program: &str) -> Option<String> {
    let place = |line: &str| {
        let (at, call) = line.split_once(": (85) call ")?;
        call.starts_with("unknown#").then(|| at.trim().parse::<u32>().ok())?
    };
    let at = log.text().lines().rev().find_map(place)?;
    let found = missing.iter().find(|missing| missing.program == program && missing.at.0 == at)?;
    Some(format!(
        "the running kernel does not have {}; ask whether it exists before it is used, or use another",
        found.what
    ))
}

/// Stores the descriptors that `descriptor` finds in the entries that refer to them. Maps that were there before keep
/// their entries.
fn set_references<'a>(
    object: &Object,
    maps: &[LoadedMap],
    reused: &[bool],
    descriptor: impl Fn(Reference) -> Option<BorrowedFd<'a>>,
) -> Result<(), LoadError> {
    for ((spec, map), reused) in object.maps.iter().zip(maps).zip(reused) {
        // Tables of operations are set as a whole.
        if *reused || spec.map_type == MapType::StructOps {
            continue;
        }
        for (entry, reference) in &spec.references {
            let Some(fd) = descriptor(*reference) else { continue };
            map.set(&entry.to_ne_bytes(), &fd.as_raw_fd().to_ne_bytes(), Update::Any)
                .map_err(|error| LoadError::Map { map: spec.name.clone(), error })?;
        }
    }
    Ok(())
}

/// The code of a program with descriptors where it refers to maps by their position, and to variables of modules.
fn with_descriptors(program: &Program, maps: &[LoadedMap], modules: &[LoadedBtf]) -> Result<Vec<Insn>, LoadError> {
    let mut insns = program.insns.clone();
    let ops = ebpf::validate(&program.insns)
        .map_err(|error| LoadError::Object(ObjectError::Code { program: program.name.clone(), error }))?;
    for (at, op) in ops {
        let Op::LoadImm { value, .. } = op else { continue };
        let (fd, slot) = match value {
            Imm64::MapFd(number) | Imm64::MapFdValue { fd: number, .. } => {
                let map = usize::try_from(number).ok().and_then(|number| maps.get(number));
                (map.map(AsFd::as_fd), at.index())
            }
            // 1 is the first module; 0 stands for the kernel, which needs no descriptor.
            Imm64::BtfVar { fd: number, .. } => {
                let module = usize::try_from(number).ok().and_then(|number| modules.get(number.checked_sub(1)?));
                (module.map(AsFd::as_fd), at.index() + 1)
            }
            _ => continue,
        };
        // `Object::validate` has made sure of maps, and `Object::resolve` of modules.
        if let (Some(fd), Some(slot)) = (fd, insns.get_mut(slot)) {
            slot.imm = fd.as_raw_fd();
        }
    }
    Ok(insns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_isa::ebpf::InsnIdx;

    #[test]
    fn refusals_name_what_is_missing() {
        let missing = [
            Missing { program: "p".to_owned(), at: InsnIdx(7), what: "the function `f`".to_owned() },
            Missing { program: "q".to_owned(), at: InsnIdx(3), what: "`struct x`".to_owned() },
        ];
        let log = "0: (b7) r1 = 0\n; f(5); @ a.c:9\n7: (85) call unknown#2002000003\ninvalid func unknown#2002000003\n";
        let log = VerifierLog::new(log.as_bytes(), false);
        let note = missing_note(&log, &missing, "p").unwrap();
        assert!(note.starts_with("the running kernel does not have the function `f`;"), "{note}");
        assert_eq!(missing_note(&log, &missing, "q"), None);
        assert_eq!(missing_note(&VerifierLog::new(b"7: (85) call bpf_loop#181\n", false), &missing, "p"), None);
    }
}

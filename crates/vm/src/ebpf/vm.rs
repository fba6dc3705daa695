//! Making a machine of programs and maps, and what its workers share.
//!
//! ```text
//!  Object --Setup--> Vm (shared by threads) --worker--> Worker (one thread's cage) --run--> register 0, or a Fault
//! ```

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use skep_isa::ebpf::Insn;
use skep_isa::{MapType, ProgType};
use skep_object::{MapSpec, Object, Reference};
use skep_verifier::Verified;

use super::fault::FaultKind;
use super::helpers::{Entry, HelperFn, Helpers};
use super::interpreter::{Cell, Code, Form};
use super::jit::{ArrayMap, Compiled};
use super::layout::{MAPS, MAPS_END, MAX_MAPS, SLOT_BYTES, map_handle};
use super::machine::Machine;
use super::maps::{Map, MapError, UpdateFlag};
use super::program::{LoadError, Program};
use super::worker::Worker;

/// Fuel of a run unless told otherwise: 16 million.
pub const DEFAULT_FUEL: u64 = 1 << 24;

/// What runs programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Compiled code where the processor is supported and executable memory is to be had, else the interpreter.
    #[default]
    Auto,
    /// The interpreter: checks accesses against objects, not pages.
    Interpreter,
    /// The interpreter with the checks of compiled code: against mapped pages, with addresses cut to 32 bits. For
    /// tests of compiled code, which it agrees with in everything.
    InterpreterByPage,
    /// Compiled code.
    Jit,
}

/// A map and where its values lie in every cage.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) map: Arc<Map>,
    /// Address of the first value.
    pub(crate) offset: u32,
    /// Its index in the machine.
    pub(crate) number: u32,
}

impl Placed {
    /// Bytes that its window has: whole slots, the last of which is never mapped completely.
    fn window(map: &Map) -> u32 {
        let bytes = map.values().map_or(0, |values| values.len());
        // A map has at most a gigabyte of values.
        (bytes as u32 / SLOT_BYTES + 1) * SLOT_BYTES
    }

    /// Whether the address lies in the window.
    pub(crate) fn reaches(&self, address: u32) -> bool {
        address.wrapping_sub(self.offset) < Self::window(&self.map)
    }

    /// Whether `size` bytes at an address lie inside of one value.
    pub(crate) fn holds(&self, address: u32, size: u32) -> bool {
        let Some(offset) = address.checked_sub(self.offset) else { return false };
        self.map.value_range(offset).is_some_and(|range| u64::from(offset) + u64::from(size) <= u64::from(range.end))
    }
}

/// Why a machine cannot be made.
#[derive(Debug)]
pub enum SetupError {
    /// A map cannot be made.
    Map {
        /// Its name.
        name: String,
        /// The reason.
        error: MapError,
    },
    /// A program cannot be loaded.
    Program {
        /// Its name.
        name: String,
        /// The reason.
        error: LoadError,
    },
    /// The values of all maps together do not fit into the 3.5 GiB that a machine has for them.
    NoRoomForMaps,
    /// Programs refer to something that only a kernel has; its name.
    Unresolved(String),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map { name, error } => write!(f, "map `{name}`: {error}"),
            Self::Program { name, error } => write!(f, "program `{name}`: {error}"),
            Self::Unresolved(name) => write!(
                f,
                "`{name}` is something that only a kernel has; run the program there, or fit the object to a kernel's \
                 data first (`Object::resolve`)"
            ),
            Self::NoRoomForMaps => f.write_str(
                "the maps need more than the 3.5 GiB of addresses that a machine has for them; reduce max_entries",
            ),
        }
    }
}

impl std::error::Error for SetupError {}

/// What a machine is made of.
#[derive(Debug)]
#[must_use = "a setup does nothing until it is loaded"]
pub struct Setup {
    programs: Vec<(String, ProgType, Vec<Insn>)>,
    maps: Vec<(String, Result<Arc<Map>, MapError>)>,
    helpers: Helpers,
    fuel: u64,
    engine: Engine,
    proved: bool,
    /// Programs that a verifier has confined, by their indices.
    confined: Vec<bool>,
    /// Whether helpers are those of the kernel alone.
    own_helpers: bool,
    blinding: Option<u32>,
    /// The first name of the object that was not given a value.
    unresolved: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// Nothing yet, with the helpers of the kernel that exist in user space and [`DEFAULT_FUEL`].
    pub const fn new() -> Self {
        Self {
            programs: Vec::new(),
            maps: Vec::new(),
            helpers: Helpers::none(),
            fuel: DEFAULT_FUEL,
            engine: Engine::Auto,
            proved: false,
            confined: Vec::new(),
            own_helpers: true,
            blinding: None,
            unresolved: None,
        }
    }

    /// All programs and maps of an object with their contents, and the helpers of the kernel.
    pub fn of(object: &Object) -> Self {
        let programs =
            object.programs.iter().map(|program| (program.name.clone(), program.prog_type, program.insns.clone()));
        let made: Vec<_> = object.maps.iter().map(|spec| Map::from_spec(spec).map(Arc::new)).collect();
        let filled = object.maps.iter().zip(&made).map(|(spec, map)| {
            let map = map.clone().and_then(|map| refer(spec, &map, &made).map(|()| map));
            (spec.name.clone(), map)
        });
        let unresolved = object.externs.first().map(|external| external.name.clone());
        let (programs, maps) = (programs.collect(), filled.collect());
        Self { programs, maps, helpers: Helpers::kernel(), unresolved, ..Self::new() }
    }

    /// As [`of`](Self::of), for an object that was verified: compiled code of programs that are confined has no checks of
    /// addresses. Programs that are not, those that are added, and all of them if helpers are replaced or added, keep theirs.
    pub fn verified(verified: &Verified<'_>) -> Self {
        let object = verified.object();
        let confined = (0..object.programs.len()).map(|program| verified.is_confined(program)).collect();
        Self { confined, ..Self::of(object) }
    }

    /// With a program. Its map references (64-bit immediates) are indices of the maps in the order in which they were
    /// added.
    pub fn program(mut self, name: &str, prog_type: ProgType, insns: &[Insn]) -> Self {
        self.programs.push((name.to_owned(), prog_type, insns.to_vec()));
        self
    }

    /// With a map, which may be in other machines too.
    pub fn map(mut self, name: &str, map: Arc<Map>) -> Self {
        self.maps.push((name.to_owned(), Ok(map)));
        self
    }

    /// With these helpers instead of those so far.
    pub fn helpers(mut self, helpers: Helpers) -> Self {
        self.helpers = helpers;
        self.own_helpers = false;
        self
    }

    /// With one more helper; it replaces one of the same number.
    ///
    /// The helper gets registers 1 to 5 and gives register 0, or a fault that ends the run. Memory of the program is
    /// reached through the [`Machine`].
    pub fn helper(
        mut self,
        id: i32,
        helper: impl Fn(&mut Machine, [u64; 5]) -> Result<u64, FaultKind> + Send + Sync + 'static,
    ) -> Self {
        let helper: Box<HelperFn> = Box::new(helper);
        self.helpers = self.helpers.with(id, helper);
        self.own_helpers = false;
        self
    }

    /// With a limit for each run instead of [`DEFAULT_FUEL`]: about the number of instructions.
    pub const fn fuel(mut self, fuel: u64) -> Self {
        self.fuel = fuel;
        self
    }

    /// What is to run the programs.
    pub const fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Compiled code without checks of addresses.
    ///
    /// # Safety
    /// Every program must have been proved safe by a verifier: it accesses nothing but what its program type allows,
    /// whatever its input is. If it has not, it can read and change any memory of this process.
    pub const unsafe fn proved(mut self) -> Self {
        self.proved = true;
        self
    }

    /// Keeps constants of the programs out of compiled code, by a random key: nobody can bring machine code into it
    /// that way. It costs a sixth of the speed.
    pub fn blinded(mut self) -> Self {
        self.blinding = Some(RandomState::new().hash_one(self.fuel) as u32 | 1);
        self
    }

    /// Makes the machine.
    ///
    /// # Errors
    /// The first map that is impossible in user space, or program that does not load: an instruction does not exist,
    /// asks for a helper or a map that is not there, or control could leave its function. Nothing else is checked
    /// before a run; what goes wrong then is a [`Fault`](super::Fault).
    pub fn load(self) -> Result<Vm, SetupError> {
        let Self { programs, maps, helpers, fuel, engine, proved, confined, own_helpers, blinding, unresolved } = self;
        if let Some(name) = unresolved {
            return Err(SetupError::Unresolved(name));
        }
        let mut places = Places::default();
        for (name, map) in maps {
            let map = map.map_err(|error| SetupError::Map { name, error })?;
            places.add(&map).ok_or(SetupError::NoRoomForMaps)?;
        }
        let offsets: Vec<u32> = places.rows.iter().map(|placed| placed.offset).collect();
        let programs = programs
            .into_iter()
            .enumerate()
            .map(|(index, (name, prog_type, insns))| {
                let program = Program::new(&name, prog_type, &insns, &helpers, &offsets);
                // What another helper returns was not in the verifier's mind.
                let confined = own_helpers && confined.get(index).copied().unwrap_or(false);
                program
                    .map(|program| Loaded::new(program, &helpers, proved || confined))
                    .map_err(|error| SetupError::Program { name, error })
            })
            .collect::<Result<_, _>>()?;
        let shared = Shared { programs, helpers, places: RwLock::new(places), fuel, engine, blinding };
        Ok(Vm { shared: Arc::new(shared) })
    }
}

/// Puts into a map of maps or programs what its entries refer to.
fn refer(spec: &MapSpec, map: &Map, maps: &[Result<Arc<Map>, MapError>]) -> Result<(), MapError> {
    for (index, reference) in &spec.references {
        let key = index.to_ne_bytes();
        match reference {
            Reference::Program(program) => map.user().update(&key, &program.0.to_ne_bytes(), UpdateFlag::Any.bits())?,
            Reference::Map(inner) => {
                // What is wrong with the inner map is told where it is made.
                if let Some(Ok(inner)) = maps.get(inner.index()) {
                    map.user().set_inner(&key, Arc::clone(inner), UpdateFlag::Any.bits())?;
                }
            }
        }
    }
    Ok(())
}

/// A program with its executable forms, each made when it is first needed.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) program: Program,
    forms: [OnceLock<Code>; 3],
    /// Machine code, `None` if there can be none.
    compiled: OnceLock<Option<Compiled>>,
    /// Whether machine code needs no checks of addresses.
    proved: bool,
    /// Bytes of the stack page that a run may have changed.
    pub(crate) dirty_stack: u32,
}

impl Loaded {
    fn new(program: Program, helpers: &Helpers, proved: bool) -> Self {
        let dirty_stack = super::facts::dirty_stack(&program, helpers);
        Self { program, forms: Default::default(), compiled: OnceLock::new(), proved, dirty_stack }
    }
}

/// Where the maps of a machine are. Maps are added, never taken away.
#[derive(Debug, Default)]
struct Places {
    rows: Vec<Placed>,
    next: u32,
}

impl Places {
    /// Gives a map an address; `None` when there are no addresses left.
    fn add(&mut self, map: &Arc<Map>) -> Option<&Placed> {
        let number = u32::try_from(self.rows.len()).ok().filter(|&number| number < MAX_MAPS)?;
        let offset = MAPS + self.next;
        let window = Placed::window(map);
        if window > MAPS_END - offset {
            return None;
        }
        self.next += window;
        self.rows.push(Placed { map: Arc::clone(map), offset, number });
        self.rows.last()
    }
}

/// What all workers of a machine have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) programs: Box<[Loaded]>,
    pub(crate) helpers: Helpers,
    places: RwLock<Places>,
    pub(crate) fuel: u64,
    pub(crate) engine: Engine,
    blinding: Option<u32>,
}

impl Shared {
    /// The places of maps from number `from` on.
    pub(crate) fn places_from(&self, from: usize) -> Vec<Placed> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        places.rows.get(from..).unwrap_or_default().to_vec()
    }

    /// The number of a map that is in another map; it gets an address if it has none.
    pub(crate) fn number_of(&self, map: &Arc<Map>) -> Option<u32> {
        let find = |places: &Places| {
            places.rows.iter().find(|placed| Arc::ptr_eq(&placed.map, map)).map(|placed| placed.number)
        };
        let known = find(&self.places.read().unwrap_or_else(PoisonError::into_inner));
        known.or_else(|| {
            let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
            find(&places).or_else(|| places.add(map).map(|placed| placed.number))
        })
    }

    /// The code of a program in a form of the interpreter.
    pub(crate) fn code(&self, program: usize, form: Form) -> &Code {
        let loaded = &self.programs[program];
        loaded.forms[form as usize].get_or_init(|| Code::new(&loaded.program, &self.helpers, form))
    }

    /// The first cell of a program and what entering it costs.
    pub(crate) fn first_cell(&self, program: usize, form: Form) -> (*const Cell, u64) {
        let code = self.code(program, form);
        (code.first(), self.programs[program].program.functions[0].len().into())
    }

    /// The machine code of a program, `None` if there can be none.
    pub(crate) fn compiled(&self, program: usize) -> Option<&Compiled> {
        let loaded = &self.programs[program];
        let compile = || {
            let number = u32::try_from(program).ok()?;
            Compiled::new(&loaded.program, number, &self.helpers, self.arrays(), loaded.proved, self.blinding).ok()
        };
        loaded.compiled.get_or_init(compile).as_ref()
    }

    /// The program whose machine code `position` finds an address in, with what it finds.
    pub(crate) fn compiled_at(
        &self,
        address: u64,
        position: impl Fn(&Compiled, u64) -> Option<u32>,
    ) -> Option<(usize, &Compiled, u32)> {
        self.programs.iter().enumerate().find_map(|(index, loaded)| {
            let compiled = loaded.compiled.get()?.as_ref()?;
            Some((index, compiled, position(compiled, address)?))
        })
    }

    /// The arrays, whose look-ups need no call.
    fn arrays(&self) -> Vec<ArrayMap> {
        let arrays = self.places_from(0).into_iter().filter(|placed| placed.map.kind() == MapType::Array);
        arrays
            .map(|placed| ArrayMap {
                handle: map_handle(placed.number),
                values: placed.offset,
                entries: placed.map.shape().max_entries,
                stride: placed.map.value_stride(),
            })
            .collect()
    }

    /// The program and the step that a cell belongs to.
    pub(crate) fn find_step(&self, cell: *const Cell, form: Form) -> Option<(usize, usize)> {
        let with_code = |(index, loaded): (usize, &Loaded)| {
            loaded.forms[form as usize].get().and_then(|code| code.step_of(cell)).map(|step| (index, step))
        };
        self.programs.iter().enumerate().find_map(with_code)
    }

    /// The first cell and the cost of the function at `step` of the program that `cell` belongs to.
    pub(crate) fn function_cell(&self, cell: *const Cell, step: u32) -> Option<(*const Cell, u64)> {
        self.programs.iter().find_map(|loaded| {
            let code = loaded.forms.iter().filter_map(OnceLock::get).find(|code| code.step_of(cell).is_some())?;
            let function = loaded.program.function_at(step)?;
            Some((code.cell(function.start)?, function.len().into()))
        })
    }

    /// The helper that an indirect call of a number means: its index and entry.
    pub(crate) fn indirect_helper(&self, value: u64) -> Option<(u32, Entry)> {
        let index = i32::try_from(value).ok().and_then(|id| self.helpers.find(id))?;
        // A tail call needs more than an entry.
        let helper = self.helpers.at(index).filter(|helper| helper.kind != super::helpers::Kind::TailCall)?;
        Some((index, helper.entry))
    }
}

/// Programs with their maps, ready to run. Clones are the same machine; threads share it.
#[derive(Debug, Clone)]
pub struct Vm {
    shared: Arc<Shared>,
}

impl Vm {
    /// A machine of all programs and maps of an object: the start of a [`Setup`].
    #[expect(clippy::new_ret_no_self, reason = "a machine is made in steps: object, helpers, limits")]
    pub fn new(object: &Object) -> Setup {
        Setup::of(object)
    }

    /// An address space to run programs in, for one thread at a time.
    ///
    /// # Errors
    /// When the process may not reserve 4 GiB of addresses (`ulimit -v`), or maps cannot be mapped.
    pub fn worker(&self) -> io::Result<Worker> {
        Worker::new(Arc::clone(&self.shared))
    }

    /// Compiles a program now instead of when it first runs. `false` if it can only be interpreted here.
    ///
    /// # Panics
    /// If there is no program with this index.
    pub fn prepare(&self, program: usize) -> bool {
        match self.shared.engine {
            Engine::Auto | Engine::Jit => self.shared.compiled(program).is_some(),
            Engine::Interpreter => self.shared.first_cell(program, Form::Fast).1 == 0,
            Engine::InterpreterByPage => self.shared.first_cell(program, Form::StepPages).1 == 0,
        }
    }

    /// Whether compiled code of a program has checks of addresses.
    ///
    /// # Panics
    /// If there is no program with this index.
    pub fn is_checked(&self, program: usize) -> bool {
        !self.shared.programs[program].proved
    }

    /// The machine code of a program as it is in memory, empty if it can only be interpreted here.
    ///
    /// # Panics
    /// If there is no program with this index.
    pub fn machine_code(&self, program: usize) -> Vec<u8> {
        self.shared.compiled(program).map_or_else(Vec::new, Compiled::bytes)
    }

    /// The index of the program with this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.shared.programs.iter().position(|loaded| loaded.program.name == name)
    }

    /// Names and types of the programs, in the order of their indices.
    pub fn programs(&self) -> impl ExactSizeIterator<Item = (&str, ProgType)> {
        self.shared.programs.iter().map(|loaded| (loaded.program.name.as_str(), loaded.program.prog_type))
    }

    /// The map at an index.
    pub fn map(&self, index: usize) -> Option<Arc<Map>> {
        self.shared.places_from(index).first().map(|placed| Arc::clone(&placed.map))
    }
}

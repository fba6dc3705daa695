//! Lowering: from the typed tree to the intermediate representation, and the plan for the host beside it.
//!
//! How values are held: numbers and addresses in 64-bit values, extended by the sign of their type; everything else in
//! memory that is laid out by [`Shape`]. Memory comes from the stack as long as objects are small,
//! else from a map with one value per processor that each program has for itself (`memory`).

use std::sync::Arc;

use skep_diag::{Diagnostic, Span};
use skep_ir::{
    Builder, FuncKind, FuncRef, Function, Global, GlobalRef, Loc, MapDecl, MapRef, Memory, Module, ProgramInfo, Source,
    Type as IrType,
};
use skep_isa::MapType as KernelMap;

use crate::ast::Script;
use crate::check::Signature;
use crate::check::formats::conversions;
use crate::check::tree::{self, Held, MapType};
use crate::compile::{Environment, Instance, Units, program_info};
use crate::plan::{
    Action, Attach, Enumeration, Field, HostInfo, LostInfo, MapValue, Plan, Probe, ScriptMap, Settings, Shape,
    StackKey, allocation_flags, lay_out, system_maps,
};
use crate::providers::Kind as ProviderKind;
use crate::types::definitions::Types;
use crate::types::{CompositeId, ShapeContext, Type};

mod aggregate;
mod body;
mod builtin;
mod bytes;
mod calls;
mod cond;
mod control;
mod describe;
mod direct;
mod foreign;
mod helpers;
mod histogram;
mod kernel;
mod maps;
mod memory;
mod place;
mod scalar;
mod search;
mod send;
mod shared;
mod stacks;
mod stmt;
mod strings;
mod threads;
mod unwind;

use body::Body;
pub use describe::FIND_TASK;

/// Bytes of the buffer for records without a setting.
pub(crate) const RING_BYTES: u32 = 256 << 10;

/// What is lowered.
pub struct Input<'a> {
    /// The environment.
    pub env: &'a Environment<'a>,
    /// The settings.
    pub settings: &'a crate::settings::Settings,
    /// The types.
    pub types: &'a Types<'a>,
    /// The maps.
    pub maps: &'a [MapType],
    /// Functions.
    pub signatures: &'a [Signature],
    /// Their bodies, and programs.
    pub units: &'a Units,
    /// The tree that all this came from.
    pub script: &'a Script,
}

/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;

/// A map of the script as it is stored.
#[derive(Debug, Clone)]
struct Stored {
    map: MapRef,
    key: Vec<Field>,
    key_size: u32,
    held: MapValue,
    value_type: Type,
}

/// The module and the plan while they come into being.
struct Unit<'a> {
    input: &'a Input<'a>,
    module: Module,
    /// The number of the script's text among the texts of the module.
    source: u32,
    plan: Plan,
    enums: Vec<Arc<Enumeration>>,
    maps: Vec<Stored>,
    events: MapRef,
    lost: Option<GlobalRef>,
    host: Option<GlobalRef>,
    stacks: Option<MapRef>,
    zeros: Option<GlobalRef>,
    unknown_zero: Option<GlobalRef>,
    unknown_next: u32,
    powers: Option<GlobalRef>,
    report: [Option<FuncRef>; shared::REPORTS],
    unwind: Option<FuncRef>,
    thread: Option<FuncRef>,
    functions: Vec<Option<FuncRef>>,
    problems: Vec<Diagnostic>,
    serial: u32,
}

/// Lowers a script that was checked.
///
/// # Errors
/// What cannot be expressed in programs for the kernel: objects that are too large.
pub fn lower(input: &Input<'_>) -> Result<(Module, Plan), Vec<Diagnostic>> {
    let mut unit = Unit::new(input);
    unit.functions = vec![None; input.signatures.len()];
    // Those in C come first: they call none of the script's, which may call them.
    let own = input.units.functions.len();
    for index in (own..input.signatures.len()).chain(0..own) {
        unit.function(index);
    }
    for (instance, checked) in &input.units.programs {
        unit.program(instance, checked);
    }
    unit.plan.enums = unit.enums.iter().map(|names| (**names).clone()).collect();
    describe::describe(&mut unit.module);
    if unit.problems.is_empty() { Ok((unit.module, unit.plan)) } else { Err(unit.problems) }
}

impl ShapeContext for Unit<'_> {
    fn enumeration(&mut self, names: &Arc<Enumeration>) -> u32 {
        let found = self.enums.iter().position(|known| known == names).unwrap_or_else(|| {
            self.enums.push(names.clone());
            self.enums.len() - 1
        });
        u32::try_from(found).unwrap_or(u32::MAX)
    }
    fn composite_size(&self, id: CompositeId) -> u32 {
        self.input.types.size_and_align(&Type::Composite(id)).0
    }
}

impl<'a> Unit<'a> {
    fn new(input: &'a Input<'a>) -> Self {
        /// Iterators run to their ends before anybody reads what they have sent.
        const ITERATOR_BYTES: u32 = 16 << 20;
        let iterates = input.units.programs.iter().any(|(instance, _)| instance.provider.kind == ProviderKind::Iter);
        let usual = if iterates { ITERATOR_BYTES } else { RING_BYTES };
        // What is imported comes first: its numbers stay what they are.
        let mut module = input.env.foreign.map_or_else(Module::default, |foreign| foreign.module().clone());
        module.license = input.settings.license.to_string();
        let source = u32::try_from(module.sources.len()).unwrap_or(u32::MAX);
        module.sources.push(Source { name: input.env.name.into(), text: input.env.text.as_str().into() });
        let ring = u32::try_from(input.settings.host.ring_bytes).ok().filter(|&bytes| bytes > 0).unwrap_or(usual);
        let events = module.add_map(MapDecl::new(system_maps::EVENTS, KernelMap::Ringbuf, 0, 0, ring));
        let settings = Settings { max_strlen: input.settings.max_strlen, ..input.settings.host.clone() };
        let plan = Plan { settings, ..Plan::default() };
        let mut unit = Self {
            input,
            module,
            source,
            plan,
            enums: Vec::new(),
            maps: Vec::new(),
            events,
            lost: None,
            host: None,
            stacks: None,
            zeros: None,
            unknown_zero: None,
            unknown_next: 0,
            powers: None,
            report: [None; shared::REPORTS],
            unwind: None,
            thread: None,
            functions: Vec::new(),
            problems: Vec::new(),
            serial: 0,
        };
        for (index, map) in input.maps.iter().enumerate() {
            unit.add_map(index, map);
        }
        unit
    }

    fn shape(&mut self, ty: &Type) -> Shape {
        ty.shape(self)
    }

    fn add_map(&mut self, index: usize, map: &MapType) {
        let shapes: Vec<Shape> = map.key.iter().map(|ty| self.shape(ty)).collect();
        let key = lay_out(0, shapes);
        let (held, value_type) = match &map.value {
            Held::Aggregate(value) => (value.clone(), Type::Void),
            Held::Plain(ty) => (MapValue::Plain(self.shape(ty)), ty.clone()),
            Held::Unknown => (MapValue::Plain(Shape::Void), Type::Void),
        };
        let kind = map.declared.as_ref().map(|declared| &*declared.0);
        let array = kind == Some("percpuarray");
        let per_cpu = !matches!(held, MapValue::Plain(_)) || kind.is_some_and(|kind| kind.starts_with("percpu"));
        let map_type = match (kind, per_cpu) {
            _ if array => KernelMap::PercpuArray,
            (Some("lruhash"), false) => KernelMap::LruHash,
            (Some("lruhash" | "percpulruhash"), true) => KernelMap::LruPercpuHash,
            (_, true) => KernelMap::PercpuHash,
            (_, false) => KernelMap::Hash,
        };
        let entries = match &map.declared {
            _ if held.is_spread() => spread_entries(&held, key.is_empty(), self.input.settings.max_map_keys),
            _ if key.is_empty() => 1,
            Some((_, entries)) => u32::try_from(*entries).unwrap_or(u32::MAX).max(1),
            None => self.input.settings.max_map_keys,
        };
        let key_size = if key.is_empty() { 4 } else { Shape::Tuple(key.clone()).size() };
        let value_size = held_size(&held).next_multiple_of(8).max(8);
        self.check_size(map.span, key_size, value_size, per_cpu);
        let name = object_name(index, &map.name);
        let mut declared = MapDecl::new(&name, map_type, held.key_size(key_size), value_size, entries);
        if held.is_spread() || is_large(map_type, entries, value_size) {
            declared.flags = NO_PREALLOC;
        }
        let reference = self.module.add_map(declared);
        self.plan.maps.push(ScriptMap {
            name: map.name.clone(),
            object_map: name,
            key: key.clone(),
            value: held.clone(),
            per_cpu,
        });
        self.maps.push(Stored { map: reference, key, key_size, held, value_type });
    }

    fn check_size(&mut self, span: Span, key: u32, value: u32, per_cpu: bool) {
        /// `PCPU_MIN_UNIT_SIZE` of the kernel.
        const LARGEST_PER_CPU: u32 = 32 << 10;
        /// What one value of a hash map can have besides.
        const LARGEST: u32 = 512 << 10;
        let most = if per_cpu { LARGEST_PER_CPU } else { LARGEST };
        if value > most || key > LARGEST {
            let message =
                format!("an entry of the map has {key} bytes of key and {value} of value, at most {most} fit");
            self.problems.push(Diagnostic::error(span, message).with_help("smaller texts (`max_strlen`) help"));
        }
    }

    /// What the host says.
    fn host(&mut self) -> GlobalRef {
        let module = &mut self.module;
        *self.host.get_or_insert_with(|| system_variable(module, "host", system_maps::HOST, HostInfo::SIZE))
    }

    /// What could not be sent because there was no room.
    fn lost(&mut self) -> GlobalRef {
        let module = &mut self.module;
        *self.lost.get_or_insert_with(|| system_variable(module, "lost", system_maps::LOST, LostInfo::SIZE))
    }

    /// The map with stack traces.
    fn stacks(&mut self) -> MapRef {
        const MOST_STACKS: u32 = 16_384;
        *self.stacks.get_or_insert_with(|| {
            let bytes = StackKey::MAX_FRAMES * 8;
            let mut map = MapDecl::new(system_maps::STACKS, KernelMap::Hash, StackKey::SIZE, bytes, MOST_STACKS);
            // Most scripts see few stack traces; room for all of them would be 16 megabytes.
            map.flags = NO_PREALLOC;
            self.module.add_map(map)
        })
    }

    /// The map with processes that the host knows: the oldest make room for new ones.
    fn processes(&mut self) -> MapRef {
        const MOST_PROCESSES: u32 = 4096;
        self.module.add_map(MapDecl::new(system_maps::PROCESSES, KernelMap::LruHash, 4, 4, MOST_PROCESSES))
    }

    /// Zeros, as many as the largest value has bytes.
    fn zeros(&mut self) -> GlobalRef {
        let module = &mut self.module;
        let maps = &self.maps;
        *self.zeros.get_or_insert_with(|| {
            let size = maps.iter().map(|map| held_size(&map.held)).max().unwrap_or(8).next_multiple_of(8).max(8);
            module.add_global(Global {
                name: "zeros".to_owned(),
                section: ".rodata".to_owned(),
                bytes: vec![0; size as usize],
                align: 8,
                ty: 0,
            })
        })
    }

    /// A zero that nobody else changes, but that the kernel's verifier does not know: the variable and its place in it.
    /// Each time it is another one: of two numbers that are read from one place the verifier knows that they are equal, and
    /// takes them for something else as soon as one of them changes.
    fn unknown_zero(&mut self) -> (GlobalRef, u32) {
        const WORDS: u32 = 8;
        let place = self.unknown_next % WORDS * 8;
        self.unknown_next += 1;
        let module = &mut self.module;
        let global = *self.unknown_zero.get_or_insert_with(|| {
            let (name, section) = ("unknown_zero".to_owned(), ".bss".to_owned());
            module.add_global(Global { name, section, bytes: vec![0; WORDS as usize * 8], align: 8, ty: 0 })
        });
        (global, place)
    }

    /// Makes the names of allocation flags a part of the plan if the format of a request prints them.
    fn needs_flags(&mut self, request: &tree::Request) {
        let (tree::Request::Print(_, format) | tree::Request::Cat(format) | tree::Request::System(format)) = request
        else {
            return;
        };
        let prints = conversions(format).is_ok_and(|found| found.iter().any(|one| one.letters == "gr"));
        if prints && self.plan.allocation_flags.is_empty() {
            let types = self.input.types;
            self.plan.allocation_flags = allocation_flags(|name| types.enumerator(name).map(|enumerator| enumerator.0));
        }
    }

    fn action(&mut self, action: Action) -> i64 {
        self.plan.actions.push(action);
        i64::try_from(self.plan.actions.len() - 1).unwrap_or(i64::MAX)
    }

    fn loc(&self, span: Span) -> Loc {
        let (line, column) = self.input.env.text.place(span);
        Loc { source: self.source, line, column: u16::try_from(column).unwrap_or(u16::MAX) }
    }

    /// A function of the script, behind those that it calls. Those that stand in place of their calls are no functions
    /// here, but what they call are.
    fn function(&mut self, index: usize) {
        if self.functions[index].is_some() {
            return;
        }
        let input = self.input;
        if let Some(number) = index.checked_sub(input.units.functions.len()) {
            self.functions[index] = self.foreign(number);
            return;
        }
        let signature = &input.signatures[index];
        for &callee in &signature.calls {
            self.function(callee);
        }
        if signature.inline {
            return;
        }
        let params = vec![IrType::I64; signature.params.len()];
        let result = (signature.result != Type::Void).then_some(IrType::I64);
        let mut function = Function::new(&signature.name, FuncKind::Static, &params, result);
        let checked = &self.input.units.functions[index];
        let mut body = Body::new(self, Builder::new(&mut function), checked, body::Role::Function(result.is_some()));
        body.run(&signature.params);
        self.functions[index] = Some(self.module.add_function(function));
    }

    /// A program, and its rows in the plan.
    fn program(&mut self, instance: &Instance, checked: &tree::Unit) {
        let (prog_type, attach_type, section) = program_info(instance);
        let name = format!("{}_{}", instance.provider.name, self.serial);
        self.serial += 1;
        let info = ProgramInfo { prog_type, attach_type, flags: 0, section };
        let context = IrType::ptr(Memory::Context);
        let mut function = Function::new(&name, FuncKind::Program(info), &[context], Some(IrType::I32));
        let only = self.input.env.switches.only_process.filter(|_| instance.provider.kind.is_everywhere());
        let mut body = Body::new(self, Builder::new(&mut function), checked, body::Role::Program);
        let of_kernel = instance.attach.iter().all(|(_, attach, _)| matches!(attach, Attach::Typed { .. }));
        body.is_typed = matches!(instance.provider.kind, ProviderKind::Fentry | ProviderKind::Fexit) && of_kernel;
        body.only_process = only;
        body.run(&[]);
        self.module.add_function(function);
        let line = self.input.env.text.place(instance.span).0;
        for (probe, attach, route) in &instance.attach {
            let (name, program) = (probe.clone(), name.clone());
            let attach = self.in_table(attach.clone());
            self.plan.probes.push(Probe { name, program, attach, line, route: route.clone(), many: instance.many });
        }
    }
}

/// A variable in a section of its own, through which programs and host talk.
fn system_variable(module: &mut Module, name: &str, section: &str, size: u32) -> GlobalRef {
    let (name, section) = (name.to_owned(), section.to_owned());
    module.add_global(Global { name, section, bytes: vec![0; size as usize], align: 8, ty: 0 })
}
/// Bytes of an interval of a series.
const SERIES_BYTES: u32 = 24;

/// Bytes of what a map holds.
fn held_size(held: &MapValue) -> u32 {
    match held {
        MapValue::Plain(shape) => shape.size(),
        MapValue::Count | MapValue::Sum { .. } => 8,
        MapValue::Min { .. } | MapValue::Max { .. } | MapValue::Avg { .. } | MapValue::Stats { .. } => 16,
        MapValue::Hist { bits } => 8 * crate::plan::Buckets::count(*bits),
        MapValue::LinearHist { min, max, step } => 8 * linear_buckets(*min, *max, *step),
        MapValue::Series { .. } if held.is_spread() => SERIES_BYTES,
        MapValue::Series { count, .. } => SERIES_BYTES * count,
    }
}

/// Entries of a series with an entry for each interval.
fn spread_entries(held: &MapValue, one: bool, keys: u32) -> u32 {
    /// The kernel makes a table of as many buckets at once, whatever is in it.
    const MOST: u32 = 1 << 20;
    let MapValue::Series { count, .. } = held else { return 1 };
    if one { *count } else { count.saturating_mul(keys).min(MOST.max(*count)) }
}

/// Whether room for all entries of a hash table is too much to have at once: the kernel takes a microsecond for each entry
/// that every processor has, and histograms have hundreds of bytes on each. Since 6.1 it allocates them when they are
/// needed, in any place.
fn is_large(map_type: KernelMap, entries: u32, value: u32) -> bool {
    /// Entries, and bytes on a processor.
    const MOST: (u32, u64) = (4096, 1 << 20);
    map_type == KernelMap::PercpuHash && (entries > MOST.0 || u64::from(entries) * u64::from(value) > MOST.1)
}

/// Buckets of a linear histogram: below, inside, above.
fn linear_buckets(min: i64, max: i64, step: i64) -> u32 {
    let width = max.saturating_sub(min);
    let inside = width / step + i64::from(width % step != 0);
    u32::try_from(inside + 2).unwrap_or(u32::MAX)
}

/// The name of a map for the kernel: letters, digits and underscores.
fn object_name(index: usize, name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if plain.is_empty() { format!("map_{index}") } else { format!("m{index}_{plain}") }
}

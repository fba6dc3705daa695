//! The programs: what a packet is, which rule it meets, what becomes of it.
//!
//! ```text
//!  dispatcher: panic? --tail call--> the programs of the bank in force
//!  XDP: parse --> search once; only a plain drop that needs nothing else is done here, all else passes on
//!  traffic control, in and out: parse --> state of the connection --> judge --> follow the connection
//!                                                                       |
//!                        search --> index --> probe buckets <-----------+ again behind rules that only count
//! ```
//!
//! Nothing in the code belongs to a rule: what rules say is in the tables. All functions but the programs themselves are
//! verified by themselves.

mod answer;
mod code;
mod cookies;
mod dispatch;
mod flows;
mod forward;
mod judge;
mod parse;
mod search;
mod special;
mod straight;
mod table;
mod translate;
mod view;
pub mod work;

use skep_btf::BuildError;
use skep_ir::{FuncKind, Function, MapDecl, MapRef, Memory, Module, ProgramInfo, Type};
use skep_isa::{MapType, ProgType};
use skep_object::Object;

use crate::rules::special::Condition;
use crate::tables::entry::{details, line};
use crate::tables::layout::{COUNTER_BYTES, LINE_BYTES, SLOTS, book, maps, record, watch};
use crate::tables::{Entry, Sizes, layout};
use crate::zone::Zone;

use table::{Layout, Table};
use view::Types;

pub use code::{COOKIE_CHECK, COOKIE_MAKE, SOCKET_GROUP, SOCKET_LOOKUP, SOCKET_RELEASE, SOCKET_USER};
pub use dispatch::{BANKS, PANIC_ACCEPT, PANIC_DROP, SWITCH, SWITCH_BYTES, dispatcher};
pub use flows::{ASSURED, FLOW_BYTES, FLOW_KEY, TIMEOUTS};
pub use straight::MOST_ENTRIES as MOST_STRAIGHT;

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// XDP: in front of everything else.
    Xdp,
    /// Traffic control, for packets that arrive.
    Ingress,
    /// Traffic control, for packets that leave.
    Egress,
}

impl Hook {
    /// All.
    pub const ALL: [Self; 3] = [Self::Xdp, Self::Ingress, Self::Egress];

    /// The name of its program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Xdp => "skep_fw_xdp",
            Self::Ingress => "skep_fw_in",
            Self::Egress => "skep_fw_out",
        }
    }

    const fn prog_type(self) -> ProgType {
        match self {
            Self::Xdp => ProgType::Xdp,
            Self::Ingress | Self::Egress => ProgType::SchedCls,
        }
    }

    const fn section(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Ingress => "tcx/ingress",
            Self::Egress => "tcx/egress",
        }
    }

    /// What the program returns for packets that go on.
    pub const fn pass(self) -> i64 {
        match self {
            Self::Xdp => 2,
            // TCX_NEXT: programs of others and the rest of the stack decide.
            Self::Ingress | Self::Egress => -1,
        }
    }

    /// What it returns for packets that vanish.
    pub const fn drop(self) -> i64 {
        match self {
            Self::Xdp => 1,
            Self::Ingress | Self::Egress => 2,
        }
    }

    /// The hook of traffic control where packets of the other direction are met.
    const fn other(self) -> Self {
        match self {
            Self::Xdp | Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }

    /// The flags of `bpf_redirect` with which an answer goes to the sender: out of the interface that the packet came in
    /// by, or in where it wanted to leave.
    const fn back(self) -> i64 {
        match self {
            Self::Xdp | Self::Ingress => 0,
            // BPF_F_INGRESS
            Self::Egress => 1,
        }
    }

    /// A program of this hook without code.
    fn function(self, name: &str) -> Function {
        let info = ProgramInfo {
            prog_type: self.prog_type(),
            attach_type: None,
            flags: 0,
            section: self.section().to_owned(),
        };
        Function::new(name, FuncKind::Program(info), &[Type::ptr(Memory::Context)], Some(Type::I32))
    }
}

/// What the programs are made for.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How large the tables are.
    pub sizes: Sizes,
    /// Whether connections are followed.
    pub track: bool,
    /// Whether the payload is read.
    pub payload: bool,
    /// The entries of a short list in their order, which becomes code; empty for others.
    pub straight: Vec<Entry>,
    /// Whether addresses are changed.
    pub translates: bool,
    /// Whether forwarded packets are told from others.
    pub forwards: bool,
    /// For each condition the numbers of the interfaces that it is about.
    pub leaves: Vec<Vec<u32>>,
    /// Whether cookies are given.
    pub cookies: bool,
    /// The conditions that are found out for each packet.
    pub conditions: Vec<Condition>,
    /// For each condition the number and depth of its control group, if it is about one.
    pub groups: Vec<(u64, u32)>,
    /// The zone of the local clock.
    pub zone: Zone,
    /// The bank that the programs are for, which their records tell.
    pub bank: u32,
}

/// The maps of a module.
#[derive(Debug, Clone, Copy)]
struct Maps {
    index: MapRef,
    heads: MapRef,
    entries: MapRef,
    details: MapRef,
    rules: MapRef,
    counters: MapRef,
    limits: Table,
    flows: Table,
    events: MapRef,
    watch: MapRef,
    work: MapRef,
    book: MapRef,
    positions: MapRef,
}

/// `BPF_F_MMAPABLE`
pub const MMAPABLE: u32 = 1 << 10;
/// Bytes of the ring buffer.
const RING: u32 = 1 << 20;

/// The programs in the intermediate representation.
///
/// # Errors
/// None but for a defect of this crate.
pub fn module(shape: &Shape) -> Result<Module, BuildError> {
    let mut module = Module::new("GPL");
    let positions = module.add_map(search::positions());
    let sizes = &shape.sizes;
    let mut table = |names, key, value, entries| table::add(&mut module, &Layout { names, key, value, entries });
    let limits = table(maps::LIMITS, 24, 8, sizes.limits);
    let flows = table(maps::FLOWS, FLOW_KEY, FLOW_BYTES, sizes.flows);
    let translations = shape.translates.then(|| {
        // Two entries each.
        table(maps::TRANSLATIONS, translate::KEY_BYTES, translate::VALUE_BYTES, sizes.translations * 2)
    });
    let bytes = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let mut map = |name: &str, kind, key: usize, value: usize, entries, flags| {
        let mut decl = MapDecl::new(name, kind, bytes(key), bytes(value), entries);
        decl.flags = flags;
        module.add_map(decl)
    };
    let array = MapType::Array;
    let maps = Maps {
        positions,
        index: map(maps::INDEX, array, 4, LINE_BYTES, sizes.slots() / SLOTS, MMAPABLE),
        heads: map(maps::HEADS, array, 4, 8, 1 << sizes.bucket_bits, MMAPABLE),
        entries: map(maps::ENTRIES, array, 4, line::SIZE, sizes.entries, MMAPABLE),
        details: map(maps::DETAILS, array, 4, details::SIZE, sizes.entries, MMAPABLE),
        rules: map(maps::RULES, array, 4, record::SIZE, sizes.rules, MMAPABLE),
        counters: map(maps::COUNTERS, MapType::PercpuArray, 4, COUNTER_BYTES, sizes.rules, 0),
        limits,
        flows,
        events: map(maps::EVENTS, MapType::Ringbuf, 0, 0, RING, 0),
        watch: map(maps::WATCH, array, 4, watch::SIZE, 1, MMAPABLE),
        work: map(maps::WORK, MapType::PercpuArray, 4, work::SIZE, 1, 0),
        book: map(maps::BOOK, array, 4, 8, book::WORDS, MMAPABLE),
    };
    let fragments = shape.translates.then(|| module.add_map(translate::fragments()));
    let tells_time = shape.conditions.iter().any(|condition| matches!(condition, Condition::Hours(_)));
    let special = special::Special {
        conditions: &shape.conditions,
        groups: &shape.groups,
        leaves: &shape.leaves,
        clock: tells_time.then(|| (module.add_map(special::clock(&shape.zone)), shape.zone.rows.len())),
    };
    let mut types = Types::new()?;
    for hook in Hook::ALL {
        let is_tc = hook != Hook::Xdp;
        let conditions = (is_tc && !shape.conditions.is_empty())
            .then(|| special::add(&mut module, &mut types, &maps, hook, &special))
            .transpose()?;
        let answer = if is_tc {
            let name = format!("{}_answer", hook.program());
            let function = types.function(&name, 4, (&maps, hook, hook.drop()), |code, view, args| {
                answer::answer(code, &maps, view, args);
            })?;
            Some(module.add_function(function))
        } else {
            None
        };
        let translate = translations
            .zip(fragments)
            .filter(|_| is_tc)
            .map(|(table, fragments)| translate::add(&mut module, &mut types, (&maps, table, fragments), hook))
            .transpose()?;
        let cookies = (hook == Hook::Ingress && shape.cookies)
            .then(|| cookies::add(&mut module, &mut types, &maps))
            .transpose()?;
        let routed = (hook == Hook::Ingress && shape.forwards)
            .then(|| forward::add(&mut module, &mut types, &maps))
            .transpose()?;
        let search = search::add(&mut module, &maps, shape, hook);
        let tell = judge::tell(&mut module, &maps, hook);
        let judge = judge::add(&mut module, &maps, (hook, shape.forwards), search, tell);
        let flows = (hook != Hook::Xdp && shape.track).then(|| flows::add(&mut module, &maps));
        let parts =
            parse::Parts { maps, judge, tell, flows, hook, shape, conditions, answer, translate, cookies, routed };
        parse::add(&mut module, &parts);
    }
    module.btf = types.to_bytes();
    Ok(module)
}

/// The programs, compiled.
///
/// # Errors
/// What the compiler has to say, which is a defect of this crate.
pub fn object(shape: &Shape) -> Result<Object, String> {
    compile(module(shape).map_err(|error| error.to_string())?)
}

fn compile(mut module: Module) -> Result<Object, String> {
    skep_opt::optimise(&mut module, &skep_opt::Options::default());
    skep_codegen::compile(&module, &skep_codegen::Options::default()).map_err(|error| error.to_string())
}

/// A check of what the layout of slots and the search have in common.
const _: () = assert!(layout::PAIRS <= 64);

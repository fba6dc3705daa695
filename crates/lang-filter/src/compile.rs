//! Expression to program: the passes in their order.

use skep_diag::{Diagnostic, Span};
use skep_isa::classic::{self, Insn};
use skep_isa::translate::{self, Lookup, TranslateError, translate_with_lookups};
use skep_isa::{MapType, ProgType};
use skep_object::{MapFlags, MapIdx, MapSpec, Object, Program};

use crate::ast::Ast;
use crate::emit::{self, EmitOptions, Emitted};
use crate::factor::factor;
use crate::formula::{FId, Formulas};
use crate::generate::Generator;
use crate::graph::Graph;
use crate::names::Resolver;
use crate::options::Options;
use crate::parse::{ParseContext, parse};
use crate::tables::{Table, use_tables};
use crate::thread::thread_branches;
use crate::value::Values;

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    /// The classic program. It may be longer than the kernel accepts (see [`Filter::fits_kernel`]).
    pub program: Vec<Insn>,
    /// What may not mean what the author thinks.
    pub warnings: Vec<Diagnostic>,
    with_tables: Option<(Emitted, Vec<Table>)>,
}

impl Filter {
    /// Whether the kernel's classic filter can hold the program.
    pub fn fits_kernel(&self) -> bool {
        self.program.len() <= classic::MAX_INSNS
    }

    /// The filter as a 64-bit socket filter program named `filter`, for what is too large for a classic one: long lists
    /// of addresses or ports become hash maps.
    ///
    /// # Errors
    /// If the filter asks for a word of the kernel's that 64-bit programs cannot read.
    pub fn object(&self) -> Result<Object, TranslateError> {
        let mut object = Object::new("GPL");
        let (program, lookups) = match &self.with_tables {
            Some((emitted, tables)) => {
                let maps: Vec<MapIdx> = tables.iter().zip(0..).map(|(t, i)| object.add_map(map_of(t, i))).collect();
                let lookups = emitted.lookups.iter();
                let lookups = lookups.map(|&(at, table)| Lookup { at, map: maps[table.0 as usize].load() }).collect();
                (&emitted.program, lookups)
            }
            None => (&self.program, Vec::new()),
        };
        let translation = translate_with_lookups(program, &translate::Options::default(), &lookups)?;
        object.add_program(Program::new("filter", ProgType::SocketFilter, translation.insns));
        Ok(object)
    }
}

/// A table as a hash map with its contents.
fn map_of(table: &Table, number: u32) -> MapSpec {
    let entries = u32::try_from(table.entries.len()).unwrap_or(u32::MAX);
    let mut map = MapSpec::new(&format!("list_{number}"), MapType::Hash, 8, 4, entries);
    map.flags = MapFlags::READ_ONLY_FOR_PROGRAMS;
    let bytes = |n: u32| n.to_ne_bytes();
    map.contents = table
        .entries
        .iter()
        .map(|&((state, number), answer)| ([bytes(state), bytes(number)].concat(), bytes(answer).to_vec()))
        .collect();
    map
}

/// Nesting from which the compiler runs on a stack of its own, and that stack's size: pages are only used when touched.
const DEEP: usize = 200;
const STACK: usize = 1 << 30;
/// Lengths of comparison chains at the leaves of search trees, from fast to small.
const LEAVES: [usize; 3] = [8, 16, 64];

/// Compiles an expression.
///
/// # Errors
/// At least one diagnostic with its place in `source`: syntax, unknown names, combinations that mean nothing on this
/// link type, an expression that rejects every packet.
pub fn compile(source: &str, options: &Options, resolver: &dyn Resolver) -> Result<Filter, Vec<Diagnostic>> {
    let parsed = parse(source, &ParseContext { compat: options.compat })?;
    let whole = Span::new(0, u32::try_from(source.len()).unwrap_or(u32::MAX));
    let mut filter = compile_ast(&parsed.ast, whole, options, resolver)?;
    let mut warnings = parsed.warnings;
    warnings.append(&mut filter.warnings);
    filter.warnings = warnings;
    Ok(filter)
}

/// Compiles a syntax tree; `whole` is the place of the entire expression.
///
/// # Errors
/// As [`compile`].
pub fn compile_ast(
    ast: &Ast,
    whole: Span,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Filter, Vec<Diagnostic>> {
    let mut generator = Generator::new(options, resolver);
    let root = generator.run(ast)?;
    let Generator { values, mut formulas, vars, warnings, .. } = generator;
    let deep = formulas.depth(root) > DEEP;
    let passes = move || lower(values, &mut formulas, root, vars, options);
    let outcome = if deep { on_large_stack(passes) } else { passes() };
    match outcome {
        Ok(Lowered { program, with_tables }) => Ok(Filter { program, warnings, with_tables }),
        Err(Refused::RejectsAll) => Err(vec![
            Diagnostic::error(whole, "expression rejects all packets")
                .with_help("two of its tests exclude each other, such as `ip and ip6`; did you mean `or`?"),
        ]),
        Err(Refused::OutOfScratch) => {
            Err(vec![Diagnostic::error(whole, "too many registers needed to evaluate expression").with_help(
                "an arithmetic expression nests too deeply; a packet filter has 16 words of scratch memory",
            )])
        }
    }
}

enum Refused {
    RejectsAll,
    OutOfScratch,
}

/// What comes out of the passes: the classic program, and for one that the kernel cannot hold, what a 64-bit program
/// is made from.
struct Lowered {
    program: Vec<Insn>,
    with_tables: Option<(Emitted, Vec<Table>)>,
}

/// The passes behind the generator.
fn lower(
    mut values: Values,
    formulas: &mut Formulas,
    root: FId,
    mut vars: u8,
    options: &Options,
) -> Result<Lowered, Refused> {
    let root = if options.optimize { factor(&values, formulas, root) } else { root };
    let mut graph = Graph::build(&values, formulas, root);
    if options.optimize {
        thread_branches(&values, &mut graph);
        graph.drop_dead_sets(&mut values);
        if graph.root == Graph::REJECT {
            return Err(Refused::RejectsAll);
        }
        graph.shift_aligned_switches(&mut values);
    }
    let emit = |values: &Values, graph: &Graph, vars: u8, leaf: usize| {
        let options = EmitOptions { snaplen: options.snaplen, vars, leaf };
        emit::emit(values, graph, options).map_err(|_| Refused::OutOfScratch)
    };
    let mut program = Vec::new();
    for leaf in LEAVES {
        let emitted = emit(&values, &graph, vars, leaf)?.program;
        if emitted.len() <= classic::MAX_INSNS {
            return Ok(Lowered { program: emitted, with_tables: None });
        }
        // None fits: the fastest, for the executors that have no limit.
        if program.is_empty() {
            program = emitted;
        }
        // Longer chains save a quarter at most.
        if !options.optimize || program.len() > 2 * classic::MAX_INSNS {
            break;
        }
    }
    let tables = use_tables(&mut values, &mut graph, &mut vars);
    let with_tables = if tables.is_empty() { None } else { Some((emit(&values, &graph, vars, LEAVES[0])?, tables)) };
    Ok(Lowered { program, with_tables })
}

fn on_large_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run);
        match spawned.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => panic!("the operating system gave no thread for a deeply nested expression: {error}"),
        }
    })
}

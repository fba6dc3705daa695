//! Expression to program: the passes in their order.

use skep_diag::{Diagnostic, Span};
use skep_isa::classic::{self, Insn};

use crate::ast::Ast;
use crate::emit::{self, EmitOptions};
use crate::factor::factor;
use crate::formula::FId;
use crate::generate::Generator;
use crate::graph::Graph;
use crate::names::Resolver;
use crate::options::Options;
use crate::parse::{ParseContext, parse};
use crate::thread::thread_branches;
use crate::value::Values;

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    /// The classic program. It may be longer than the kernel accepts (see [`Filter::fits_kernel`]).
    pub program: Vec<Insn>,
    /// What may not mean what the author thinks.
    pub warnings: Vec<Diagnostic>,
}

impl Filter {
    /// Whether the kernel's classic filter can hold the program.
    pub fn fits_kernel(&self) -> bool {
        self.program.len() <= classic::MAX_INSNS
    }
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
        Ok(program) => Ok(Filter { program, warnings }),
        Err(Refused::RejectsAll) => Err(vec![
            Diagnostic::error(whole, "expression rejects all packets")
                .with_help("two of its tests exclude each other, such as `ip and ip6`; did you mean `or`?"),
        ]),
        Err(Refused::OutOfScratch) => Err(vec![
            Diagnostic::error(whole, "too many registers needed to evaluate expression")
                .with_help("an arithmetic expression nests too deeply; a packet filter has 16 words of scratch memory"),
        ]),
    }
}

enum Refused {
    RejectsAll,
    OutOfScratch,
}

/// The passes behind the generator.
fn lower(
    mut values: Values,
    formulas: &mut crate::formula::Formulas,
    root: FId,
    vars: u8,
    options: &Options,
) -> Result<Vec<Insn>, Refused> {
    let root = if options.optimize { factor(&values, formulas, root) } else { root };
    let mut graph = Graph::build(&values, formulas, root);
    if options.optimize {
        thread_branches(&values, &mut graph);
        graph.drop_dead_sets(&values);
        graph.shift_aligned_switches(&mut values);
        if graph.root == Graph::REJECT {
            return Err(Refused::RejectsAll);
        }
    }
    let mut best: Option<Vec<Insn>> = None;
    for leaf in LEAVES {
        let emit_options = EmitOptions { snaplen: options.snaplen, vars, leaf };
        let program = emit::emit(&values, &graph, emit_options).map_err(|_| Refused::OutOfScratch)?;
        if program.len() <= classic::MAX_INSNS {
            return Ok(program);
        }
        // None fits: the fastest, for the executors that have no limit.
        best.get_or_insert(program);
    }
    Ok(best.unwrap_or_default())
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

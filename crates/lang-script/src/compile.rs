//! The compiler as a whole: from a script without macros and imports to a module of the intermediate representation and a
//! plan for the host.
//!
//! ```text
//! Script --sites--> Sites --check, infer--> Units --lower--> Module
//!                                             |
//!                                             +-----------> Plan
//! ```

use skep_diag::{Diagnostic, Severity, Span};
use skep_ir::Module;

use crate::ast::Script;
use crate::check::Checker;
use crate::check::tree::{Held, MapType, Unit};
use crate::foreign::Foreign;
use crate::infer::Known;
use crate::lower;
use crate::plan::Plan;
use crate::providers::{Kind as ProviderKind, ProbeSource};
use crate::registers::Arch;
use crate::settings::{self, Settings};
use crate::types::TypeSource;
use crate::types::definitions::Types;

mod functions;
mod needs;
mod routes;
mod sites;
mod text;

pub use sites::{Group, Instance, kernel_program, program as program_info};
pub use text::Text;

/// What only the machine knows.
pub trait Facts {
    /// The id of the control group with a path.
    ///
    /// # Errors
    /// Why it is not known and what would help.
    fn cgroup_id(&self, path: &str) -> Result<u64, String>;
    /// The address of a symbol of the kernel.
    ///
    /// # Errors
    /// Why it is not known and what would help.
    fn kernel_symbol(&self, name: &str) -> Result<u64, String>;
    /// A symbol of a program or library; `None` is the binary of the process of `-p`.
    ///
    /// # Errors
    /// Why it is not known and what would help.
    fn user_symbol(&self, _binary: Option<&str>, _name: &str) -> Result<ProgramSymbol, String> {
        Err("the script is compiled without a machine to ask".to_owned())
    }
    /// Whether the kernel that programs are made for can do something. Asked only when a script needs it. Without a
    /// machine to ask the newest kernel with everything is meant, and probes are what is written.
    ///
    /// # Errors
    /// Why it cannot.
    fn can(&self, ability: Ability<'_>) -> Result<(), String> {
        match ability {
            Ability::CheaperWays => Err("probes are attached as they are written".to_owned()),
            _ => Ok(()),
        }
    }
    /// Functions whose names begin with this one and a dot: versions that the compiler made of it.
    fn versions(&self, function: &str) -> Vec<String> {
        let _ = function;
        Vec::new()
    }
    /// How many processors there may be at most; `None` if that is not known.
    fn processors(&self) -> Option<u32> {
        None
    }
}

/// A symbol of a program or library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramSymbol {
    /// The address that the file has for it.
    pub address: u64,
    /// Bytes; 0 if not known.
    pub bytes: u64,
    /// What has to be added to addresses of the file in the process: 0 for programs that are always at the same place;
    /// `None` if it is not known.
    pub base: Option<u64>,
}

/// What not every kernel can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability<'a> {
    /// Kprobes.
    Kprobe,
    /// A kprobe at the start of this function.
    KprobeAt(&'a str),
    /// One program at many functions of the kernel with one link (Linux 5.18).
    KprobeMulti,
    /// One program at many places of a file with one link (Linux 6.6).
    UprobeMulti,
    /// A program at a function with its types: fentry, fexit.
    Typed {
        /// The module, empty for the kernel itself.
        module: &'a str,
        /// The function.
        function: &'a str,
        /// Whether at its return.
        ret: bool,
    },
    /// A function of the kernel with this name.
    Function(&'a str),
    /// Loops that the kernel bounds itself (`may_goto`, Linux 6.9).
    MayGoto,
    /// Ways of the same meaning that cost less than the one that is written: fentry for a kprobe, raw tracepoints for
    /// tracepoints.
    CheaperWays,
}

/// Nothing is known: the same script gives the same program everywhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFacts;

impl Facts for NoFacts {
    fn cgroup_id(&self, _: &str) -> Result<u64, String> {
        Err("the script is compiled without a machine to ask".to_owned())
    }
    fn kernel_symbol(&self, _: &str) -> Result<u64, String> {
        Err("the script is compiled without a machine to ask".to_owned())
    }
}

/// What a script is compiled for and what the compiler may ask.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Name of the script in messages.
    pub name: &'a str,
    /// Its text, which places in the tree count in.
    pub text: &'a Text<'a>,
    /// Types of the kernel.
    pub types: &'a dyn TypeSource,
    /// What there is to attach to, for wildcards.
    pub probes: &'a dyn ProbeSource,
    /// Other facts about the machine.
    pub facts: &'a dyn Facts,
    /// Positional parameters that are still in the tree.
    pub positional: &'a [String],
    /// Named arguments of the script: `--name=value`, an empty value for `--name` alone.
    pub named: &'a [(String, String)],
    /// Whether functions that change what is traced are allowed.
    pub allow_unsafe: bool,
    /// The process that alone is traced.
    pub process: Option<u32>,
    /// The processor that programs run on.
    pub arch: Arch,
    /// Whether process ids are those of the host's own namespace instead of the outermost one: in a container. The host
    /// says which namespace in [`HostInfo`](crate::plan::HostInfo).
    pub inner_ids: bool,
    /// What whoever runs the script wants otherwise than usual.
    pub switches: Switches,
    /// Functions in C that the script imports. Those of the script and macros of the same name count more.
    pub foreign: Option<&'a Foreign>,
}

/// What can be wanted otherwise than usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// The process that probes at places of the kernel run for; the others are limited to it when they are attached.
    pub only_process: Option<u32>,
    /// Whether failures of helpers that read memory are reported.
    pub report_reads: bool,
    /// Whether probes of several functions of the kernel are attached all at once.
    pub kprobe_multi: bool,
    /// Whether probes of several functions of a binary are.
    pub uprobe_multi: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { only_process: None, report_reads: false, kprobe_multi: true, uprobe_multi: true }
    }
}

/// Which probes there are to be programs for, by type and name.
pub type Wanted<'a> = dyn Fn(ProviderKind, &str) -> bool + 'a;

/// A compiled script.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The programs.
    pub module: Module,
    /// What the host has to do.
    pub plan: Plan,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Most times that a script is checked. Each time something is learnt; types are nested in one another only so deep.
const MOST_ROUNDS: u32 = 64;

/// Compiles a script from which imports and macros are gone (`desugar`).
///
/// # Errors
/// All that is wrong with it, in the order of the text.
pub fn compile(script: &Script, env: &Environment<'_>) -> Result<Compiled, Vec<Diagnostic>> {
    compile_some(script, env, &|_, _| true)
}

/// As [`compile`], with programs only for the probes that are wanted. The others say what maps hold and are checked, but
/// they need not exist on this machine.
///
/// # Errors
/// As for [`compile`].
pub fn compile_some(script: &Script, env: &Environment<'_>, wanted: &Wanted<'_>) -> Result<Compiled, Vec<Diagnostic>> {
    let mut first = Vec::new();
    let settings = settings::read(&script.config, &mut first);
    let mut types = Types::new(env.types, &script.definitions, &mut first);
    let known = Known::new(&script.maps, &mut first);
    let groups = sites::groups(script, env, &settings, &mut types, wanted, &mut first);
    let mut checker = Checker::new(env, &settings, types, known);
    checker.functions = functions::signatures(script, &mut checker, &mut first);
    checker.functions.extend(env.foreign.iter().flat_map(|foreign| foreign.signatures().cloned()));
    checker.bodies = &script.functions;

    let mut rounds = 0;
    let mut units = loop {
        checker.problems.clear();
        checker.known.changed = false;
        let units = round(&mut checker, script, &groups);
        rounds += 1;
        if !checker.known.changed {
            break units;
        }
        if rounds == MOST_ROUNDS {
            let message = "the types of variables and maps depend on one another without end";
            checker
                .problems
                .push(Diagnostic::error(Span::new(0, 0), message).with_help("declare them: `let $x : uint64;`"));
            break units;
        }
    };
    let maps = checker.known.finish();
    check_maps(&maps, &mut checker.problems);
    let aside = only_checked(script, &groups);
    units.programs.retain(|(instance, _)| instance.wanted);
    check_units(&units, script, &mut checker.problems);
    if script.probes.is_empty() {
        first.push(Diagnostic::error(Span::new(0, 0), "the script has no probes").with_help("`begin { ... }` is one"));
    }
    first.append(&mut checker.problems);
    first.retain(|problem| !aside.iter().any(|span| span.start <= problem.span.start && problem.span.end <= span.end));
    let sorted = sorted(first);
    if sorted.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(sorted);
    }
    let input = lower::Input {
        env,
        settings: &settings,
        types: &checker.types,
        maps: &maps,
        signatures: &checker.functions,
        units: &units,
        script,
    };
    let (module, plan) = lower::lower(&input)?;
    Ok(Compiled { module, plan, warnings: sorted })
}

/// What is checked in one round: functions, then for each group of attach points its instances.
#[derive(Debug, Default)]
pub struct Units {
    /// Functions of the script.
    pub functions: Vec<Unit>,
    /// Programs with where they are attached.
    pub programs: Vec<(Instance, Unit)>,
}

/// The places of probes of which nothing is wanted: what is wrong with them does not matter.
fn only_checked(script: &Script, groups: &[Group]) -> Vec<Span> {
    let unwanted = |index: usize| {
        let mut of_probe = groups.iter().filter(|group| group.probe == index).peekable();
        of_probe.peek().is_some() && of_probe.all(|group| !group.wanted)
    };
    script.probes.iter().enumerate().filter(|(index, _)| unwanted(*index)).map(|(_, probe)| probe.span).collect()
}

fn round(checker: &mut Checker<'_>, script: &Script, groups: &[Group]) -> Units {
    let mut units = Units::default();
    for (index, function) in script.functions.iter().enumerate() {
        let unit =
            if checker.functions[index].inline { Unit::default() } else { checker.function(index, index, function) };
        units.functions.push(unit);
    }
    let mut number = script.functions.len();
    for group in groups {
        let probe = &script.probes[group.probe];
        let Some(site) = group.sites.first() else { continue };
        let unit = checker.probe(number, site.clone(), probe);
        if (unit.depends || group.is_bound()) && group.sites.len() > 1 {
            units.programs.push((group.instance(0..1), unit));
            for (at, site) in group.sites.iter().enumerate().skip(1) {
                let unit = checker.probe(number + at, site.clone(), probe);
                units.programs.push((group.instance(at..at + 1), unit));
            }
        } else {
            units.programs.push((group.instance(0..group.sites.len()), unit));
        }
        number += group.sites.len();
    }
    units
}

fn check_maps(maps: &[MapType], problems: &mut Vec<Diagnostic>) {
    for map in maps {
        if map.value == Held::Unknown {
            let message = format!("nothing is ever assigned to `{}`", map.name);
            problems.push(Diagnostic::error(map.span, message));
        }
        let Some((kind, _)) = &map.declared else { continue };
        let aggregate = matches!(map.value, Held::Aggregate(_));
        let per_cpu = kind.starts_with("percpu");
        if aggregate && !per_cpu {
            let message = format!("`{}` collects values, so it is kept for each processor", map.name);
            problems
                .push(Diagnostic::error(map.span, message).with_help("declare it as `percpuhash` or `percpulruhash`"));
        }
        if kind.as_ref() == "percpuarray" && !map.key.is_empty() {
            let message = format!("`{}` is an array and has a key", map.name);
            problems.push(Diagnostic::error(map.span, message).with_help("declare it as `percpuhash`"));
        }
    }
}

fn check_units(units: &Units, script: &Script, problems: &mut Vec<Diagnostic>) {
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return;
    }
    // What is never assigned has no type; every other reason was reported.
    let functions = units.functions.iter().zip(script.functions.iter().map(|function| function.name.span));
    let programs = units.programs.iter().map(|(instance, unit)| (unit, script.probes[instance.probe].span));
    for (unit, span) in functions.chain(programs) {
        let Some(name) = &unit.untyped else { continue };
        let problem = if name.starts_with('$') {
            Diagnostic::error(span, format!("`{name}` never gets a value that says of which type it is"))
                .with_help(format!("`let {name} : int64;` says it"))
        } else {
            Diagnostic::error(span, "a value here has no type, because nothing says of which type it is made")
        };
        problems.push(problem);
    }
}

fn sorted(mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    let mut seen: Vec<Diagnostic> = Vec::new();
    problems.retain(|problem| {
        let new = !seen.contains(problem);
        if new {
            seen.push(problem.clone());
        }
        new
    });
    problems
}

/// Settings of a script, for those who run it.
pub fn script_settings(script: &Script) -> Settings {
    settings::read(&script.config, &mut Vec::new())
}

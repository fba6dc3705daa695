//! `-l`: the places or types that a pattern means, the probes of a script.

use skep_btf::{CPrinter, TypeId};
use skep_diag::Diagnostic;
use skep_lang_script::plan::{Attach, Plan};
use skep_lang_script::providers::{Kind, PROVIDERS, Point, UserPlace, expand, matches, parse_point};
use skep_lang_script::types::{CompositeId, Prototype, Tag, Type, TypeSource as _};

use super::machine::{Machine, MachineTypes, formats};
use crate::args::ScriptArgs;
use crate::failure::Failure;
use crate::text::{TextOut, print};

/// What is listed when the pattern names no type of probe.
const ALL: &[&str] = &["*:*", "*"];

/// Prints the places, one a line; with -v what programs can read there. `struct NAME`, `union NAME` and `enum NAME` mean
/// types.
pub fn run(pattern: &str, args: &ScriptArgs) -> Result<(), Failure> {
    let machine = Machine::new(args.pid, args.debug_dirs()).with_functions(args.traceable_functions.clone());
    if let Some((keyword, name)) = pattern.split_once(' ').filter(|(word, _)| TAGS.contains(word)) {
        return types_named(keyword, name.trim(), &machine, args.verbose > 0);
    }
    let format = formats(&machine);
    let types = MachineTypes::new(&machine, &format);
    let mut out = TextOut::stdout(false)?;
    for point in points(pattern, &machine)? {
        out.buffer.extend_from_slice(format!("{point}\n").as_bytes());
        if args.verbose > 0 {
            for (ty, name) in readable(&point, &types) {
                out.buffer.extend_from_slice(format!("    {ty} {name}\n").as_bytes());
            }
        }
        out.line_done()?;
    }
    out.flush()
}

/// Prints the probes of a script, wildcards resolved.
pub fn probes(plan: &Plan) -> Result<(), Failure> {
    let mut text = String::new();
    for probe in &plan.probes {
        match &probe.attach {
            Attach::KernelFunction { functions, .. } if functions.len() > 1 => {
                let kind = probe.name.split(':').next().unwrap_or_default();
                functions.iter().for_each(|function| text.push_str(&format!("{kind}:{function}\n")));
            }
            _ => text.push_str(&format!("{}\n", probe.name)),
        }
    }
    print(&text)
}

// TABLE
/// What stands in front of the names of types.
const TAGS: &[&str] = &["struct", "union", "enum"];

/// The types of one kind that fit a pattern: their names, or their declarations.
fn types_named(keyword: &str, pattern: &str, machine: &Machine, whole: bool) -> Result<(), Failure> {
    let missing = || Failure::Run("the kernel has no type information (CONFIG_DEBUG_INFO_BTF)".to_owned());
    let btf = machine.btf().ok_or_else(missing)?;
    let is_wanted = |id: &TypeId| {
        let kind = btf.kind(*id).map(|kind| kind.name().to_ascii_lowercase()).unwrap_or_default();
        let name = btf.name(*id).unwrap_or_default();
        kind.trim_end_matches("64") == keyword && !name.is_empty() && matches(pattern, name)
    };
    let mut found: Vec<TypeId> = btf.ids().filter(is_wanted).collect();
    if found.is_empty() {
        return Err(Failure::Run(format!(
            "the kernel's types have no `{keyword} {pattern}`; `*` stands for any letters"
        )));
    }
    found.sort_by_key(|id| btf.name(*id).unwrap_or_default());
    found.dedup_by_key(|id| btf.name(*id).unwrap_or_default());
    let mut out = TextOut::stdout(false)?;
    for id in found {
        if whole {
            let mut printer = CPrinter::new(btf);
            printer.add_alone(id).map_err(|error| Failure::Run(format!("the kernel's types are damaged: {error}")))?;
            out.buffer.extend_from_slice(printer.text().trim_start().as_bytes());
        } else {
            out.buffer.extend_from_slice(format!("{keyword} {}\n", btf.name(id).unwrap_or_default()).as_bytes());
        }
        out.line_done()?;
    }
    out.flush()
}

/// Types and names of what programs at a place can read.
fn readable(point: &Point, types: &MachineTypes<'_>) -> Vec<(String, String)> {
    let of = |prototype: Option<Prototype>, result: bool| {
        let Some(prototype) = prototype else { return Vec::new() };
        let params = prototype.params.iter().map(|param| (declared(types, &param.ty), param.name.to_string()));
        let result = (result && prototype.result != Type::Void)
            .then(|| (declared(types, &prototype.result), "retval".to_owned()));
        params.chain(result).collect()
    };
    match point {
        Point::Tracepoint { category, event } => {
            let record = types.tracepoint(category, event);
            let members = record.map(|record| record.members).unwrap_or_default();
            members.iter().map(|member| (declared(types, &member.ty), member.name.to_string())).collect()
        }
        Point::Typed { ret, module, function } => {
            of(types.function(module.as_deref().unwrap_or_default(), function), *ret)
        }
        Point::RawTracepoint { event, .. } => of(types.raw_tracepoint(event), false),
        Point::User { binary, place: UserPlace::Function(function, 0), .. } => {
            let function = types.user_function(binary.as_deref(), function);
            let params = function.map(|function| function.params.clone()).unwrap_or_default();
            params.iter().map(|(param, _)| (param.ty.to_string(), param.name.to_string())).collect()
        }
        _ => Vec::new(),
    }
}

/// A type as C has it, where the language has no name of its own for it.
fn declared(types: &MachineTypes<'_>, ty: &Type) -> String {
    match ty {
        Type::Composite(CompositeId::Kernel(id)) => {
            let name = types.composite(*id).map(|composite| composite.name.to_string()).unwrap_or_default();
            let tag = if types.find(Tag::Union, &name).as_ref() == Some(ty) { "union" } else { "struct" };
            format!("{tag} {name}")
        }
        Type::Pointer(to, _) => format!("{} *", declared(types, to)),
        ty => ty.to_string(),
    }
}

fn points(pattern: &str, machine: &Machine) -> Result<Vec<Point>, Failure> {
    if let Some((provider, _)) = pattern.split_once(':').filter(|(provider, _)| !provider.contains('*')) {
        // An attach point is what stands in front of a block.
        let text = format!("{pattern} {{}}");
        let problem = |problems: &[Diagnostic]| Failure::expression(problems, "pattern", &text);
        let (script, problems) = skep_lang_script::parse(&text);
        let Some(written) = script.probes.first().and_then(|probe| probe.points.first()) else {
            return Err(problem(&problems));
        };
        let point = parse_point(written, machine.process.is_some()).map_err(|one| problem(&[one]))?;
        return expand(&point, machine).map_err(|why| Failure::Run(format!("`{provider}` cannot be listed: {why}")));
    }
    let mut found = Vec::new();
    for provider in PROVIDERS.iter().filter(|provider| is_kernel(provider.kind)) {
        for pattern in ALL {
            let (script, _) = skep_lang_script::parse(&format!("{}:{pattern} {{}}", provider.name));
            let written = script.probes.first().and_then(|probe| probe.points.first());
            let Some(Ok(point)) = written.map(|written| parse_point(written, false)) else { continue };
            // What this kernel cannot tell is left out.
            found.extend(expand(&point, machine).unwrap_or_default());
            break;
        }
    }
    found.retain(|point| matches(pattern, &point.to_string()));
    Ok(found)
}

/// Whether all places of this type are those of the kernel.
fn is_kernel(kind: Kind) -> bool {
    use Kind::{Fentry, Hardware, Iter, Kprobe, RawTracepoint, Software, Tracepoint};
    matches!(kind, Fentry | Hardware | Iter | Kprobe | RawTracepoint | Software | Tracepoint)
}

//! `-l`: the places that a pattern means.

use skep_diag::Diagnostic;
use skep_lang_script::providers::{Kind, PROVIDERS, Point, UserPlace, expand, matches, parse_point};
use skep_lang_script::types::TypeSource as _;

use super::machine::{Machine, MachineTypes, formats};
use crate::args::ScriptArgs;
use crate::failure::Failure;
use crate::text::TextOut;

/// What is listed when the pattern names no type of probe.
const ALL: &[&str] = &["*:*", "*"];

/// Prints the places, one a line; with -v the fields of tracepoints.
pub fn run(pattern: &str, args: &ScriptArgs) -> Result<(), Failure> {
    let machine = Machine::new(args.pid, args.debug_dirs());
    let format = formats(&machine);
    let types = MachineTypes::new(&machine, &format);
    let mut out = TextOut::stdout(false)?;
    for point in points(pattern, &machine)? {
        let name = point.to_string();
        out.buffer.extend_from_slice(format!("{name}\n").as_bytes());
        if let (Point::Tracepoint { category, event }, true) = (&point, args.verbose > 0) {
            for member in types.tracepoint(category, event).map(|record| record.members).unwrap_or_default() {
                out.buffer.extend_from_slice(format!("    {} {}\n", member.ty, member.name).as_bytes());
            }
        }
        if let (Point::User { binary, place: UserPlace::Function(function, 0), .. }, true) = (&point, args.verbose > 0)
            && let Ok(function) = types.user_function(binary.as_deref(), function)
        {
            for (param, _) in &function.params {
                out.buffer.extend_from_slice(format!("    {} {}\n", param.ty, param.name).as_bytes());
            }
        }
        out.line_done()?;
    }
    out.flush()
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

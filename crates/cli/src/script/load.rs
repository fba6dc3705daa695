//! From programs and plan to the kernel.

use std::sync::Arc;

use skep_kernel::inventory::find_program;
use skep_kernel::{KernelError, LoadError, LoadOptions, LoadedProgram, LogLevel};
use skep_lang_script::plan::{Attach, Plan};
use skep_object::Object;
use skep_trace::run::Script;

use crate::failure::{Failure, say_part};
use crate::object::show;
use crate::verify::gate;

/// Loads programs and maps.
pub fn load(object: Object, plan: &Plan, verbose: u8) -> Result<Arc<Script>, Failure> {
    let log = if verbose > 1 { LogLevel::Statistics } else { LogLevel::None };
    let script = load_with(object, plan, log, verbose > 0)?;
    if verbose > 1 {
        say_part!("{}", logs(&script));
    }
    Ok(script)
}

/// What the verifier says about the programs. Nothing stays loaded.
pub fn verifier(object: Object, plan: &Plan, verbose: u8) -> Result<String, Failure> {
    Ok(logs(&*load_with(object, plan, LogLevel::Statistics, verbose > 0)?))
}

fn load_with(object: Object, plan: &Plan, log: LogLevel, all: bool) -> Result<Arc<Script>, Failure> {
    let others = others(plan)?;
    let targets: Vec<(&str, &LoadedProgram)> = others.iter().map(|(name, other)| (name.as_str(), other)).collect();
    let load = LoadOptions { pins: None, log, targets: &targets, ..LoadOptions::default() };
    let loaded = skep_kernel::load_with(&object, &load).map_err(|error| refused(&error, &object, plan, all))?;
    let maps = object.maps.into_iter().map(|map| map.name).collect();
    Ok(Arc::new(Script { loaded, maps }))
}

fn logs(script: &Script) -> String {
    script.loaded.programs.iter().map(|program| format!("{}: {}", program.name(), program.log().text())).collect()
}

/// The BPF programs that are traced, by the programs that trace them.
fn others(plan: &Plan) -> Result<Vec<(String, LoadedProgram)>, Failure> {
    let mut found = Vec::new();
    for probe in &plan.probes {
        let Attach::Program { id, name, .. } = &probe.attach else { continue };
        let other = match id {
            Some(id) => LoadedProgram::by_id(*id),
            None => find_program(name),
        };
        let failed = |error| Failure::Run(format!("cannot trace `{}` (line {}): {error}", probe.name, probe.line));
        found.push((probe.program.clone(), other.map_err(failed)?));
    }
    Ok(found)
}

/// A program that the verifier does not take is shown with what it says, and with what our rules say of it.
fn refused(error: &LoadError, object: &Object, plan: &Plan, all: bool) -> Failure {
    if let LoadError::Program { program, error: KernelError::Rejected { log, .. } } = error {
        show(log, all);
        if let Some(text) = gate::explanation(object.clone(), program, title(plan, program)) {
            say_part!("{text}");
        }
    }
    Failure::Attach(error.to_string())
}

/// The probe that a program was made of.
pub fn title(plan: &Plan, program: &str) -> Option<String> {
    let probe = plan.probes.iter().find(|probe| probe.program == program)?;
    Some(format!("probe `{}`", probe.name))
}

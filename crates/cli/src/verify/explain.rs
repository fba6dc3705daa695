//! Verdicts in words: why a program is refused, on which path, with which values; and what accepted ones do.

use std::fmt::Write as _;

use skep_isa::ebpf::{InsnIdx, Notation, line};
use skep_kernel::{Capability, RunningKernel};
use skep_object::{Object, Program};
use skep_verifier::noted::Noted;
use skep_verifier::reg::Kind;
use skep_verifier::suggest::{Advice, advise};
use skep_verifier::{Kernel, Loader, Rejection, Terms, Verdict, facts, needs, verify_noting_by};

use super::{Context, Judged};

/// Branches of a path that are shown.
const SHOWN: usize = 8;

/// What is to be said about a program: each reason once, with the kernels that it holds for.
pub(super) fn verdicts(text: &mut String, context: &Context<'_>, one: &Judged<'_>, kernels: &[Kernel]) {
    let mut said: Vec<&Verdict> = Vec::new();
    let each = kernels.iter().zip(&one.verdicts);
    for (kernel, (verdict, noted)) in each.filter(|(_, (verdict, _))| verdict.accepted() != Some(true)) {
        if said.contains(&verdict) {
            continue;
        }
        said.push(verdict);
        let same = kernels.iter().zip(&one.verdicts).filter(|(_, (other, _))| other == verdict);
        let names: Vec<&str> = same.map(|(kernel, _)| kernel.name()).collect();
        let _ = write!(text, "\n{} on Linux {}: ", one.program.name, names.join(", "));
        match verdict {
            Verdict::Rejected(rejection) => {
                let advice = context.advice(one.program, *kernel, rejection);
                refusal(text, one.program, rejection, noted, &advice);
            }
            Verdict::Undecided { at, what } => {
                let _ = writeln!(text, "undecided, because of {what}");
                place(text, one.program, *at);
            }
            Verdict::Accepted(_) => {}
        }
    }
}

/// Why the running kernel refuses a program, by our rules for it; `None` if they do not refuse it.
pub fn of_running_kernel(mut object: Object, name: &str) -> Option<String> {
    let release = skep_kernel::running_release()?;
    for program in &mut object.programs {
        program.autoload = program.name == name;
    }
    let kernel = RunningKernel::for_object(&object);
    object.resolve(&kernel).ok()?;
    let program = object.program(name)?;
    let kernel = Kernel::at_most(release)?;
    let types = RunningKernel::new().types().ok();
    // The process that was refused is this one.
    let has = |capability| skep_kernel::has_capability(capability) || skep_kernel::has_capability(Capability::SysAdmin);
    let loader =
        Loader { bpf: has(Capability::Bpf), perfmon: has(Capability::Perfmon), net_admin: has(Capability::NetAdmin) };
    let terms = Terms { types: types.as_ref(), loader, ..Terms::default() };
    let (verdict, noted) = verify_noting_by(&object, program, kernel, &terms);
    let Verdict::Rejected(rejection) = verdict else { return None };
    let advice = advise(&object, program, kernel, &terms, &rejection);
    let mut text = format!("skep explains, by the rules of Linux {}: ", kernel.name());
    refusal(&mut text, program, &rejection, &noted, &advice);
    Some(text)
}

/// A refusal: the headline, the place, the values that matter, the path, where the value comes from, what to do.
pub fn refusal(text: &mut String, program: &Program, rejection: &Rejection, noted: &Noted, advice: &Advice) {
    let _ = writeln!(text, "{}", rejection.reason);
    place(text, program, rejection.at);
    values(text, program, rejection.at, noted);
    let skipped = rejection.path.len().saturating_sub(SHOWN);
    if !rejection.path.is_empty() {
        let _ = writeln!(text, "  on the path");
        if skipped > 0 {
            let _ = writeln!(text, "    ... {skipped} branches before");
        }
    }
    for (at, taken) in &rejection.path[skipped..] {
        let line = program.line_of(InsnIdx::new(*at as usize));
        let taken = if *taken { "jumps" } else { "goes on" };
        match line.filter(|line| line.line > 0) {
            Some(line) => _ = writeln!(text, "    {}: {} ({taken})", line.line, line.text.trim()),
            None => _ = writeln!(text, "    instruction {at} {taken}"),
        }
    }
    origins(text, program, advice);
    let help = rejection.reason.help();
    if !help.is_empty() {
        let _ = writeln!(text, "  help: {help}");
    }
    changes(text, advice);
}

/// What happened to the value that the refusal is about.
fn origins(text: &mut String, program: &Program, advice: &Advice) {
    if !advice.origins.is_empty() {
        let _ = writeln!(text, "  where the value comes from");
    }
    for origin in &advice.origins {
        match program.line_of(InsnIdx::new(origin.at as usize)).filter(|line| line.line > 0) {
            Some(line) => _ = writeln!(text, "    {}: {}: {}", line.line, line.text.trim(), origin.what),
            None => _ = writeln!(text, "    instruction {}: {}", origin.at, origin.what),
        }
    }
}

/// Changes that were tried.
fn changes(text: &mut String, advice: &Advice) {
    if !advice.changes.is_empty() {
        let _ = writeln!(text, "  checked: the program passes with");
    }
    for change in &advice.changes {
        let place =
            change.line.as_ref().map_or_else(|| format!("instruction {}", change.at), |line| line.line.to_string());
        let _ = writeln!(text, "    {place}: {}", change.words);
        let _ = writeln!(text, "      {}", change.code.join("; "));
    }
}

/// The source line and the instruction.
fn place(text: &mut String, program: &Program, at: u32) {
    match program.line_of(InsnIdx::new(at as usize)).filter(|line| line.line > 0) {
        Some(line) => {
            let _ = writeln!(text, "  at instruction {at}, {}:{}", line.file, line.line);
            let _ = writeln!(text, "    {}", line.text.trim());
        }
        None => _ = writeln!(text, "  at instruction {at}"),
    }
}

/// The instruction, and what is known of the registers that it names; nothing if the state on this path was not kept.
fn values(text: &mut String, program: &Program, at: u32, noted: &Noted) {
    let Some(moment) = noted.at(at).filter(|place| !place.cut).and_then(|place| place.moments.last()) else { return };
    let Some(insn) = instruction(program, at) else { return };
    let _ = writeln!(text, "  {insn}");
    for (number, reg) in moment.registers.iter().enumerate().take(10) {
        let named = |letter: char| names_register(&insn, letter, number);
        if reg.kind != Kind::Unset && (named('r') || named('w')) {
            let _ = writeln!(text, "    r{number} = {reg}");
        }
    }
}

/// The instruction at a slot in the kernel's notation.
pub fn instruction(program: &Program, at: u32) -> Option<String> {
    let at = at as usize;
    let insn = program.insns.get(at)?;
    insn.decode(program.insns.get(at + 1).copied()).ok().map(|op| line(&op, Notation::Plain))
}

fn names_register(insn: &str, letter: char, number: usize) -> bool {
    let name = format!("{letter}{number}");
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    insn.split(|character| !is_word(character)).any(|word| word == name)
}

/// What a program does that is accepted, and which releases it needs.
pub(super) fn facts(text: &mut String, object: &Object, one: &Judged<'_>, kernels: &[Kernel]) {
    let program = one.program;
    let accepted = kernels.iter().zip(&one.verdicts).rev().find_map(|(kernel, (verdict, noted))| match verdict {
        Verdict::Accepted(facts) => Some((kernel, facts, noted)),
        _ => None,
    });
    let _ = writeln!(text, "\n{}:", program.name);
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    if let Some((kernel, found, noted)) = accepted {
        let uses = facts::uses(object, program, noted);
        let helpers: Vec<String> = uses.helpers.iter().map(|name| (*name).to_owned()).collect();
        let yes = |yes: bool| if yes { "may" } else { "never" };
        let drops = if uses.drops.is_empty() { "never".to_owned() } else { format!("may ({})", uses.drops.join(", ")) };
        let longest = found.longest.map_or_else(|| "not known".to_owned(), |longest| format!("at most {longest}"));
        let _ = writeln!(text, "  helpers                 {}", list(&helpers));
        if uses.kernel_functions > 0 {
            let _ = writeln!(text, "  calls of the kernel     {}", uses.kernel_functions);
        }
        let _ = writeln!(text, "  maps                    {}", list(&uses.maps));
        let _ = writeln!(text, "  drops or refuses        {drops}");
        let _ = writeln!(text, "  changes packets         {}", yes(uses.changes_packet));
        let _ = writeln!(text, "  writes user memory      {}", yes(uses.writes_user));
        let _ = writeln!(text, "  overrides the kernel    {}", yes(uses.overrides));
        let _ = writeln!(text, "  instructions of a run   {longest}");
        let _ = writeln!(text, "  stack                   {} bytes", found.stack);
        let _ = writeln!(text, "  looked at               {} instructions on Linux {}", found.processed, kernel.name());
    } else {
        let _ = writeln!(text, "  accepted by none of these kernels");
    }
    let needs = needs::needs(object, program);
    for need in needs.iter().take(5) {
        let _ = writeln!(text, "  needs Linux {:<11} {}", need.since.to_string(), need.what);
    }
}

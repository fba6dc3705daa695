//! Objects before they are loaded or written: verified for the kernels that they are for, refusals as diagnostics.
//!
//! What is undecided stops nothing. Whether a refusal stops anything is the caller's business: where a kernel is about to
//! decide itself, it does ([`explanation`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_btf::Btf;
use skep_btf::core::CoreKind;
use skep_diag::Severity;
use skep_isa::Release;
use skep_kernel::{Capability, RunningKernel};
use skep_object::{KernelData, KernelInfo, Missing, Object, Program};
use skep_verifier::suggest::advise;
use skep_verifier::{Kernel, Loader, Rejection, Terms, Verdict, verify_by, verify_noting_by};

use super::diagnostic::Refusal;
use crate::failure::{Failure, colour_on_stderr, note, say_part};

/// The kernels that an object is for.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// This release and all later ones: each has to take it.
    From(Release),
    /// The running kernel or a later one: it is enough if one takes it.
    Here,
}

/// How an object is verified.
pub struct Gate<'a> {
    /// The kernels.
    pub aim: Aim,
    /// The types of these kernels, if they are not those of the running one.
    pub types: Option<Arc<Btf>>,
    /// What a program is called in messages; `None` for its own name.
    pub title: &'a dyn Fn(&Program) -> Option<String>,
}

/// What a program is called in messages if its own name tells enough.
pub fn own_name(_: &Program) -> Option<String> {
    None
}

/// The verdicts on an object.
#[derive(Debug, Default)]
pub struct Answer {
    /// Kernels that take all of it.
    passed: Vec<Kernel>,
    /// Kernels that refuse some of it.
    failed: Vec<Kernel>,
    /// Programs that are undecided, with the reason.
    undecided: Vec<String>,
    /// Refusals of the kernels that count.
    refusals: Vec<Refused>,
    /// How long it took.
    took: Duration,
}

/// A program that kernels refuse.
#[derive(Debug)]
struct Refused {
    program: usize,
    kernels: Vec<Kernel>,
    rejection: Rejection,
}

impl Gate<'_> {
    /// Verifies an object that is written and not loaded: refusals are shown, and are an error if no kernel that counts takes
    /// it. With `verbose` also tells what is known of the other kernels.
    pub fn pass(&self, object: &Object, verbose: bool) -> Result<(), Failure> {
        let start = Instant::now();
        let mut kernels = self.kernels();
        let others = if verbose { &Kernel::ASKED[..] } else { &[] };
        let mut all: Vec<Kernel> = kernels.iter().chain(others).copied().collect();
        all.sort_unstable();
        all.dedup();
        if adapts(object) {
            // What it does on another kernel depends on what that has.
            let known = |kernel: &Kernel| self.types.is_none() && Some(*kernel) == running();
            kernels.retain(known);
            all.retain(known);
        }
        let Fitted { object, missing, types } = match self.fitted(object) {
            Ok(fitted) => fitted,
            Err(why) => {
                if verbose {
                    note(&format!("not verified: the object cannot be fitted to the kernel: {why}"));
                }
                return Ok(());
            }
        };
        let mut answer = judged(&object, &missing, types.as_ref(), &all, &kernels);
        answer.took = start.elapsed();
        if verbose {
            answer.tell();
        }
        let stops = match self.aim {
            Aim::From(_) => !answer.refusals.is_empty(),
            Aim::Here => !kernels.is_empty() && kernels.iter().all(|kernel| answer.failed.contains(kernel)),
        };
        let severity = if stops { Severity::Error } else { Severity::Warning };
        let text: String =
            answer.refusals.iter().map(|one| self.drawn(&object, types.as_ref(), one, severity)).collect();
        if stops {
            return Err(Failure::Expression(format!("{text}note: with --no-verify it is written all the same\n")));
        }
        say_part!("{text}");
        Ok(())
    }

    /// The kernels that count, the oldest first.
    fn kernels(&self) -> Vec<Kernel> {
        match self.aim {
            Aim::From(release) => {
                let first = Kernel::at_most(release).unwrap_or(Kernel::ALL[0]);
                Kernel::ALL.into_iter().filter(|kernel| *kernel >= first).collect()
            }
            Aim::Here => {
                let mut kernels = vec![Kernel::newest()];
                kernels.extend(running());
                kernels.sort_unstable();
                kernels.dedup();
                kernels
            }
        }
    }

    /// The object with the layouts of the kernel's types.
    fn fitted(&self, object: &Object) -> Result<Fitted, String> {
        let mut object = object.clone();
        let running = RunningKernel::for_object(&object);
        let fitted = |object: &mut Object, kernel: &dyn KernelInfo| {
            if !object.is_unresolved() {
                return Ok(Vec::new());
            }
            object.resolve(kernel).map(|resolved| resolved.missing).map_err(|error| error.to_string())
        };
        let (missing, types) = match &self.types {
            Some(types) => {
                let kernel = KernelData { btf: Some(Arc::clone(types)), ..KernelData::default() };
                (fitted(&mut object, &kernel)?, Some(Arc::clone(types)))
            }
            None => (fitted(&mut object, &running)?, running.types().ok()),
        };
        Ok(Fitted { object, missing, types })
    }

    fn drawn(&self, object: &Object, types: Option<&Arc<Btf>>, refused: &Refused, severity: Severity) -> String {
        let program = &object.programs[refused.program];
        let kernel = refused.kernels[refused.kernels.len() - 1];
        let name = (self.title)(program).unwrap_or_else(|| format!("program `{}`", program.name));
        let names: Vec<&str> = refused.kernels.iter().map(|kernel| kernel.name()).collect();
        let title = format!("{name} would be refused by Linux {}", names.join(", "));
        let rejection = &refused.rejection;
        let terms = terms(types);
        let (_, noted) = verify_noting_by(object, program, kernel, &terms);
        let advice = advise(object, program, kernel, &terms, rejection);
        let refusal = Refusal { title: &title, severity, program, rejection, noted: &noted, advice: &advice };
        refusal.draw(colour_on_stderr())
    }
}

/// The release whose rules come closest to those of the running kernel.
fn running() -> Option<Kernel> {
    skep_kernel::running_release().and_then(Kernel::at_most)
}

/// Whether programs ask what the kernel has, and do something else where it has not.
fn adapts(object: &Object) -> bool {
    const ASKED: [CoreKind; 4] =
        [CoreKind::FieldExists, CoreKind::TypeExists, CoreKind::EnumvalExists, CoreKind::TypeMatches];
    let asks = |program: &Program| {
        program.core_relocations.iter().any(|one| ASKED.iter().any(|kind| *kind as u32 == one.kind))
    };
    !object.externs.is_empty() || object.programs.iter().any(asks)
}

/// An object with the layouts of a kernel's types.
struct Fitted {
    object: Object,
    missing: Vec<Missing>,
    types: Option<Arc<Btf>>,
}

/// The verdicts of `all`, and the refusals of those that count.
fn judged(object: &Object, missing: &[Missing], types: Option<&Arc<Btf>>, all: &[Kernel], count: &[Kernel]) -> Answer {
    let terms = terms(types);
    let mut answer = Answer { passed: all.to_vec(), ..Answer::default() };
    for (index, program) in object.programs.iter().enumerate().filter(|(_, program)| program.autoload) {
        for kernel in all {
            let what = match verify_by(object, program, *kernel, &terms) {
                Verdict::Accepted(_) => continue,
                Verdict::Undecided { what, .. } => what.to_owned(),
                Verdict::Rejected(rejection) => match lacking(missing, program, &rejection) {
                    Some(what) => what.to_owned(),
                    None => {
                        answer.failed.push(*kernel);
                        answer.passed.retain(|one| one != kernel);
                        if count.contains(kernel) {
                            answer.refuse(index, *kernel, rejection);
                        }
                        continue;
                    }
                },
            };
            answer.passed.retain(|one| one != kernel);
            let line = format!("program `{}` is undecided, because of {what}", program.name);
            if !answer.undecided.contains(&line) {
                answer.undecided.push(line);
            }
        }
    }
    answer.failed.dedup();
    answer
}

/// What the kernel whose types were taken lacks, if a program is refused for it: another may have it.
fn lacking<'a>(missing: &'a [Missing], program: &Program, rejection: &Rejection) -> Option<&'a str> {
    let here = |one: &&Missing| one.program == program.name && one.at.index() == rejection.at as usize;
    missing.iter().find(here).map(|one| one.what.as_str())
}

impl Answer {
    fn refuse(&mut self, program: usize, kernel: Kernel, rejection: Rejection) {
        let same = |one: &&mut Refused| one.program == program && one.rejection == rejection;
        match self.refusals.iter_mut().find(same) {
            Some(one) => one.kernels.push(kernel),
            None => self.refusals.push(Refused { program, kernels: vec![kernel], rejection }),
        }
    }

    /// Tells which kernels take the object.
    fn tell(&self) {
        let names = |kernels: &[Kernel]| kernels.iter().map(|kernel| kernel.name()).collect::<Vec<_>>().join(", ");
        let took = self.took;
        if !self.passed.is_empty() {
            note(&format!("verified for {} in {took:.1?}", names(&self.passed)));
        }
        if !self.failed.is_empty() {
            note(&format!("not for {}; `skep verify` tells why", names(&self.failed)));
        }
        self.undecided.iter().for_each(|line| note(line));
    }
}

/// The terms of a loader with all capabilities.
fn terms(types: Option<&Arc<Btf>>) -> Terms<'_> {
    Terms { types, ..Terms::default() }
}

/// Why the running kernel refuses a program, by our rules for it; `None` if they do not refuse it.
pub fn explanation(mut object: Object, name: &str, title: Option<String>) -> Option<String> {
    for program in &mut object.programs {
        program.autoload = program.name == name;
    }
    let kernel = RunningKernel::for_object(&object);
    object.resolve(&kernel).ok()?;
    let program = object.program(name)?;
    let rules = running()?;
    let types = kernel.types().ok();
    // The process that was refused is this one.
    let has = |capability| skep_kernel::has_capability(capability) || skep_kernel::has_capability(Capability::SysAdmin);
    let loader =
        Loader { bpf: has(Capability::Bpf), perfmon: has(Capability::Perfmon), net_admin: has(Capability::NetAdmin) };
    let terms = Terms { types: types.as_ref(), loader, ..Terms::default() };
    let (verdict, noted) = verify_noting_by(&object, program, rules, &terms);
    let Verdict::Rejected(rejection) = verdict else { return None };
    let advice = advise(&object, program, rules, &terms, &rejection);
    let name = title.unwrap_or_else(|| format!("program `{name}`"));
    let title = format!("{name}, by the rules of Linux {}", rules.name());
    let severity = Severity::Error;
    let refusal = Refusal { title: &title, severity, program, rejection: &rejection, noted: &noted, advice: &advice };
    Some(refusal.draw(colour_on_stderr()))
}

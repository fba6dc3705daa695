//! Programs near the border: accepted programs of the kernel's own tests and of this repository with one to three
//! instructions changed. What we accept the kernel must take; what we refuse and it takes is counted.
//!
//! Three seconds, or as long as `SKEP_FUZZ_SECONDS` says, from `SKEP_FUZZ_SEED`. Each difference is written beside the
//! objects, as `border.txt`. The tests of the kernel take part when they were compiled before (`tests/corpus.rs`).

mod agreement;
mod mutations;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use agreement::{Ours, Theirs, Unlocked};
use skep_kernel::RunningKernel;
use skep_object::{Object, Program};
use skep_testkit::Rng;
use skep_verifier::{Kernel, Loader, Terms, Verdict, may_load, verify_by};

/// Instructions that are looked at in a program that is changed: larger ones take too much of the time.
const MOST: u64 = 5_000;

/// Processes that load programs.
const LOADERS: [Loader; 3] = [Loader::ALL, Loader { perfmon: false, ..Loader::ALL }, Loader::NONE];

/// An object that is fitted to the running kernel, and which of its programs both accept for a process.
struct Source {
    name: String,
    loader: Loader,
    object: Object,
    programs: Vec<usize>,
}

/// What became of the programs.
#[derive(Debug, Default)]
struct Tally {
    same: u64,
    accepted: u64,
    silent: u64,
    undecided: u64,
    refused_wrongly: BTreeMap<String, u64>,
    accepted_wrongly: BTreeMap<String, u64>,
    lines: String,
}

fn ours(object: &Object, program: &Program, kernel: Kernel, terms: &Terms<'_>) -> Ours {
    let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| verify_by(object, program, kernel, terms)));
    match verdict {
        Ok(Verdict::Accepted(_)) => Ours::Takes,
        Ok(Verdict::Rejected(rejection)) => Ours::Refuses(format!("{} (at {})", rejection.reason, rejection.at)),
        Ok(Verdict::Undecided { what, .. }) => Ours::Undecided(what.to_owned()),
        Err(_) => Ours::Broken("it panics".to_owned()),
    }
}

/// The programs of an object that we accept soon; an object without any is of no use.
fn source(name: &str, bytes: &[u8], kernel: Kernel, terms: &Terms<'_>) -> Option<Source> {
    let loader = terms.loader;
    let mut object = Object::from_elf(bytes).ok()?;
    object.programs.iter_mut().for_each(|program| program.autoload = true);
    object.resolve(&RunningKernel::for_object(&object)).ok()?;
    if !loader.bpf {
        agreement::strip(&mut object);
    }
    let accepted = |program: &Program| match verify_by(&object, program, kernel, terms) {
        Verdict::Accepted(facts) => facts.processed <= MOST,
        _ => false,
    };
    // Who is attached where this kernel forbids it has no verdict, changed or not.
    let both = |index: &usize| {
        let program = &object.programs[*index];
        may_load(program.prog_type, loader)
            && accepted(program)
            && agreement::theirs_for(&object, program, loader) == Theirs::Takes
    };
    let programs: Vec<usize> = (0..object.programs.len()).filter(both).collect();
    (!programs.is_empty()).then(|| Source { name: name.to_owned(), loader, object, programs })
}

/// All objects that there are; a short test takes a part of those of the kernel.
fn sources(kernel: Kernel, terms: &Terms<'_>, long: bool) -> Vec<Source> {
    let mut found = Vec::new();
    let directory = agreement::cache().join("objects");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    paths.sort_unstable();
    for path in paths.iter().step_by(if long { 1 } else { 40 }) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        found.extend(std::fs::read(path).ok().and_then(|bytes| source(&name, &bytes, kernel, terms)));
    }
    for path in agreement::own_sources().iter().step_by(if long { 1 } else { 3 }) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let bytes = skep_testkit::clang::compile(Path::new(path), &[]).ok();
        found.extend(bytes.and_then(|bytes| source(&name, &bytes, kernel, terms)));
    }
    found
}

impl Tally {
    fn add(&mut self, what: &str, theirs: &Theirs, ours: &Ours) {
        match (theirs, ours) {
            (Theirs::Silent(_), _) => self.silent += 1,
            (_, Ours::Undecided(_)) => self.undecided += 1,
            (Theirs::Takes, Ours::Takes) => {
                self.same += 1;
                self.accepted += 1;
            }
            (Theirs::Refuses(_), Ours::Refuses(_)) => self.same += 1,
            (Theirs::Takes, Ours::Refuses(words)) => {
                *self.refused_wrongly.entry(agreement::without_numbers(words)).or_default() += 1;
                let _ = writeln!(self.lines, "refused wrongly: {what}: {words}");
            }
            (Theirs::Refuses(words), Ours::Takes) => {
                *self.accepted_wrongly.entry(agreement::without_numbers(words)).or_default() += 1;
                let _ = writeln!(self.lines, "accepted wrongly: {what}: {words}");
            }
            (_, Ours::Broken(words)) => {
                *self.accepted_wrongly.entry(words.clone()).or_default() += 1;
                let _ = writeln!(self.lines, "broken: {what}: {words}");
            }
        }
    }

    fn decided(&self) -> u64 {
        self.same + self.refused_wrongly.values().sum::<u64>() + self.accepted_wrongly.values().sum::<u64>()
    }
}

#[test]
fn changed_programs_are_judged_alike() {
    let Some(kernel) = agreement::running().filter(|_| !agreement::is_emulated()) else { return };
    let Ok(types) = RunningKernel::new().types() else { return agreement::skip("the kernel shows no types") };
    let budget = skep_random::asked_duration().unwrap_or(Duration::from_secs(3));
    let unlocked = Unlocked::new();
    let loaders = LOADERS.into_iter().filter(|loader| loader.bpf || unlocked.is_some());
    let terms = loaders.map(|loader| Terms { types: Some(&types), loader, ..Terms::default() });
    let mut sources: Vec<Vec<Source>> =
        terms.map(|terms| sources(kernel, &terms, budget > Duration::from_secs(30))).collect();
    sources.retain(|sources| !sources.is_empty());
    if sources.is_empty() {
        return agreement::skip("there is no clang and no object");
    }
    let mut rng = Rng::new(skep_random::first_seed());
    let mut tally = Tally::default();
    let end = Instant::now() + budget;
    while Instant::now() < end {
        let loader = rng.below(sources.len());
        let source = rng.below(sources[loader].len());
        let source = &mut sources[loader][source];
        let index = source.programs[rng.below(source.programs.len())];
        let kept = source.object.programs[index].insns.clone();
        let change = mutations::mutate(&mut source.object.programs[index].insns, &mut rng);
        let program = &source.object.programs[index];
        let what = format!("{} {} {:?}: {change}", source.name, program.name, source.loader);
        let terms = Terms { types: Some(&types), loader: source.loader, ..Terms::default() };
        let mine = ours(&source.object, program, kernel, &terms);
        if !matches!(mine, Ours::Undecided(_)) {
            tally.add(&what, &agreement::theirs_for(&source.object, program, source.loader), &mine);
        }
        source.object.programs[index].insns = kept;
    }
    let decided = tally.decided();
    println!(
        "{decided} programs, {} accepted by both, {} without a verdict of the kernel\naccepted wrongly: {:#?}\nrefused wrongly: {:#?}",
        tally.accepted, tally.silent, tally.accepted_wrongly, tally.refused_wrongly
    );
    let report = agreement::cache().join("border.txt");
    if std::fs::create_dir_all(agreement::cache()).and_then(|()| std::fs::write(&report, &tally.lines)).is_ok() {
        println!("each difference: {}", report.display());
    }
    assert!(tally.accepted > 10 && decided > tally.accepted, "{tally:?}");
    assert!(tally.accepted_wrongly.is_empty(), "{}", tally.lines);
    assert!(tally.refused_wrongly.values().sum::<u64>() * 50 <= decided, "{}", tally.lines);
}
